//! What can a caller find out without asking about anybody: data sets, columns, code lists, own permits and budgets?

use std::{collections::BTreeSet, sync::Arc};

use datafusion::arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};

use super::{Gateway, Session, TableInfo, blocking, failed, world::World};
use crate::{
    catalog::{Code, Column, Table, TableKind},
    identity::Principal,
    policy::Action,
    record::{Balance, Permit},
    sql::Standing,
    terms::{CapName, Refusal},
};

/// How many of the newest entries `my_queries` looks through, and `audit.entries` shows.
const ENTRIES_SHOWN: u64 = 10_000;

type Named = (String, String, RecordBatch);

impl Gateway {
    /// Every table that the session can name, with its columns.
    #[must_use]
    pub fn catalogue(&self, session: &Session) -> Vec<TableInfo> {
        let world = self.world();
        let language = session.principal().language();
        let mut infos = vec![];
        for table in world.directory(None, &[]).tables() {
            let declared = world
                .datasets
                .values()
                .filter(|d| {
                    table.schema == d.config.name.as_str()
                        || table.schema == format!("{}_sample", d.config.name)
                        || matches!(table.standing, Standing::Public { .. })
                })
                .find_map(|d| d.config.model.table(&table.name));
            let words = declared.map(|d| match language {
                crate::terms::Language::En => d.description.en.clone(),
                crate::terms::Language::Ja => d.description.ja.clone(),
            });
            infos.push(TableInfo {
                schema: table.schema.clone(),
                table: table.name.clone(),
                kind: "TABLE".into(),
                arrow: Arc::clone(&table.columns),
                primary_key: declared.map(|d| d.primary_key.clone()).unwrap_or_default(),
                remarks: words.unwrap_or_default(),
            });
        }
        for (schema, name, rows) in public_facts(&world).unwrap_or_default() {
            infos.push(TableInfo {
                schema,
                table: name,
                kind: "TABLE".into(),
                arrow: rows.schema(),
                primary_key: vec![],
                remarks: String::new(),
            });
        }
        infos
    }

    /// The schemas `sekisho` and, for auditors, `audit`, as this caller sees them now.
    pub(super) async fn own_tables(&self, principal: &Principal, world: &World) -> Result<Vec<Named>, Refusal> {
        let mut tables = public_facts(world).map_err(|_| Refusal::Failed { entry: None })?;
        let (books, account) = (self.books.clone(), principal.account().clone());
        let audits = self.policy.judge_without_permit(principal, Action::AuditRead, self.clock.now()).is_ok();
        let now = self.clock.now();
        let own = blocking(move || {
            let permits = books.permits_of(&account)?;
            let mut budgets: Vec<(String, Balance)> = vec![];
            for permit in &permits {
                for cap in [CapName::Permit(permit.id.clone()), CapName::Analyst(permit.id.clone(), account.clone())] {
                    if let Some(balance) = books.budget(&cap)? {
                        budgets.push((cap.to_string(), balance));
                    }
                }
            }
            let size = books.size()?;
            let entries = books.entries(size.saturating_sub(ENTRIES_SHOWN)..size)?;
            let totals = if audits { Some(books.budgets()?) } else { None };
            Ok::<_, crate::record::BooksFault>((permits, budgets, entries, totals))
        });
        let (permits, budgets, entries, totals) = own.await?.map_err(|fault| failed(&fault))?;
        let wrong = |_| Refusal::Failed { entry: None };
        tables.push(("sekisho".into(), "my_permits".into(), permits_table(&permits, now).map_err(wrong)?));
        tables.push(("sekisho".into(), "my_budget".into(), budgets_table(&budgets).map_err(wrong)?));
        let lines: Vec<Line> = entries.iter().filter_map(|e| Line::read(e.number.0, &e.body)).collect();
        let mine: Vec<&Line> = lines.iter().filter(|l| l.account == principal.account().as_str()).collect();
        tables.push(("sekisho".into(), "my_queries".into(), queries_table(&mine).map_err(wrong)?));
        if let Some(totals) = totals {
            let all: Vec<&Line> = lines.iter().collect();
            tables.push(("audit".into(), "entries".into(), entries_table(&all).map_err(wrong)?));
            let caps = totals.caps.iter();
            let ledger = batch(vec![
                ("cap", texts(caps.clone().map(|c| Some(c.cap.clone())))),
                ("epsilon", texts(caps.clone().map(|c| Some(c.epsilon.clone())))),
                ("delta", texts(caps.clone().map(|c| Some(c.delta.clone())))),
                (
                    "committed_epsilon",
                    numbers(caps.clone().map(|c| c.committed.epsilon(c.delta.parse().unwrap_or(0.0)))),
                ),
                ("open_reservations", integers(caps.map(|_| i64::try_from(totals.open.len()).ok()))),
            ]);
            tables.push(("audit".into(), "ledger".into(), ledger.map_err(wrong)?));
        }
        Ok(tables)
    }
}

/// One entry of the log, as far as a question about it goes.
struct Line {
    number: u64,
    at: i64,
    kind: String,
    account: String,
    permit: Option<String>,
    sql: Option<String>,
    body: String,
}

impl Line {
    fn read(number: u64, body: &str) -> Option<Self> {
        let json: serde_json::Value = serde_json::from_str(body).ok()?;
        let text = |v: Option<&serde_json::Value>| v.and_then(|v| v.as_str()).map(str::to_owned);
        let detail = json.get("detail");
        let sql = detail.and_then(|d| d.get("sql").or_else(|| d.get("question").and_then(|q| q.get("sql"))));
        Some(Self {
            number,
            at: json.get("at").and_then(serde_json::Value::as_i64)?,
            kind: text(json.get("kind"))?,
            account: text(json.get("account")).unwrap_or_default(),
            permit: text(json.get("permit")),
            sql: text(sql),
            body: body.to_owned(),
        })
    }
}

fn queries_table(lines: &[&Line]) -> datafusion::arrow::error::Result<RecordBatch> {
    // Neither run time nor row count: both would tell about rows.
    let asked = ["admission", "release", "refusal", "kept_served", "failure"];
    let lines: Vec<&&Line> = lines.iter().filter(|l| asked.contains(&l.kind.as_str())).collect();
    batch(vec![
        ("entry", integers(lines.iter().map(|l| i64::try_from(l.number).ok()))),
        ("at", texts(lines.iter().map(|l| Some(crate::terms::Instant(l.at).to_string())))),
        ("kind", texts(lines.iter().map(|l| Some(l.kind.clone())))),
        ("permit", texts(lines.iter().map(|l| l.permit.clone()))),
        ("sql", texts(lines.iter().map(|l| l.sql.clone()))),
    ])
}

fn entries_table(lines: &[&Line]) -> datafusion::arrow::error::Result<RecordBatch> {
    batch(vec![
        ("entry", integers(lines.iter().map(|l| i64::try_from(l.number).ok()))),
        ("at", texts(lines.iter().map(|l| Some(crate::terms::Instant(l.at).to_string())))),
        ("kind", texts(lines.iter().map(|l| Some(l.kind.clone())))),
        ("account", texts(lines.iter().map(|l| Some(l.account.clone())))),
        ("permit", texts(lines.iter().map(|l| l.permit.clone()))),
        ("sql", texts(lines.iter().map(|l| l.sql.clone()))),
        ("body", texts(lines.iter().map(|l| Some(l.body.clone())))),
    ])
}

fn permits_table(permits: &[Permit], now: crate::terms::Instant) -> datafusion::arrow::error::Result<RecordBatch> {
    let all = permits.iter();
    batch(vec![
        ("permit", texts(all.clone().map(|p| Some(p.id.to_string())))),
        ("dataset", texts(all.clone().map(|p| Some(p.dataset.to_string())))),
        ("purpose", texts(all.clone().map(|p| Some(p.purpose.to_string())))),
        (
            "standing",
            texts(all.clone().map(|p| serde_json::to_value(p.standing(now)).ok()?.as_str().map(str::to_owned))),
        ),
        ("not_before", texts(all.clone().map(|p| Some(p.not_before.to_string())))),
        ("not_after", texts(all.clone().map(|p| Some(p.not_after.to_string())))),
        ("epsilon", numbers(all.clone().map(|p| p.cap.epsilon()))),
        ("delta", numbers(all.clone().map(|p| p.cap.delta()))),
        ("per_question_epsilon", numbers(all.clone().map(|p| p.per_question_epsilon))),
        ("grants", texts(all.map(|p| serde_json::to_string(&p.grants).ok()))),
    ])
}

fn budgets_table(budgets: &[(String, Balance)]) -> datafusion::arrow::error::Result<RecordBatch> {
    let all = budgets.iter();
    batch(vec![
        ("cap", texts(all.clone().map(|(name, _)| Some(name.clone())))),
        ("epsilon", numbers(all.clone().map(|(_, b)| b.cap.epsilon()))),
        ("delta", numbers(all.clone().map(|(_, b)| b.cap.delta()))),
        ("spent_epsilon", numbers(all.clone().map(|(_, b)| b.committed.epsilon(b.cap.delta())))),
        ("left_for_one_question", numbers(all.map(|(_, b)| b.left()))),
    ])
}

/// The tables of schema `sekisho` that are the same for everybody.
fn public_facts(world: &World) -> datafusion::arrow::error::Result<Vec<Named>> {
    let sekisho = |name: &str, rows| ("sekisho".to_owned(), name.to_owned(), rows);
    let datasets: Vec<_> = world.datasets.values().collect();
    let tables: Vec<(String, &Table)> =
        datasets.iter().flat_map(|d| d.config.model.tables.values().map(|t| (d.config.name.to_string(), t))).collect();
    let columns: Vec<(&str, &Table, &Column)> =
        tables.iter().flat_map(|(d, t)| t.queryable().map(move |c| (d.as_str(), *t, c))).collect();
    let population = |v: u64| i64::try_from(v).ok();
    let all = datasets.iter();
    let datasets_table = batch(vec![
        ("dataset", texts(all.clone().map(|d| Some(d.config.name.to_string())))),
        ("population", texts(all.clone().map(|d| Some(d.config.population.to_string())))),
        ("population_max", integers(all.clone().map(|d| population(d.config.population_max)))),
        ("model", texts(all.clone().map(|d| Some(d.config.model.name.clone())))),
        ("version", integers(all.clone().map(|d| d.version.as_ref().map(|v| i64::from(v.number.0))))),
        ("date", texts(all.clone().map(|d| d.version.as_ref().map(|v| v.manifest.date.to_string())))),
        ("source", texts(all.clone().map(|d| d.version.as_ref().map(|v| v.manifest.source.to_string())))),
        ("epsilon", numbers(all.clone().map(|d| d.config.cap.epsilon()))),
        ("time_channel", texts(all.map(|d| Some(d.config.release.time_channel().to_owned())))),
    ])?;
    let all = tables.iter();
    let tables_table = batch(vec![
        ("dataset", texts(all.clone().map(|(d, _)| Some(d.clone())))),
        ("table_name", texts(all.clone().map(|(_, t)| Some(t.name.clone())))),
        ("kind", texts(all.clone().map(|(_, t)| Some(t.kind.as_str().to_owned())))),
        ("rows_per_group", integers(all.clone().map(|(_, t)| unit(t, t.rows_per_group)))),
        ("groups", integers(all.clone().map(|(_, t)| unit(t, t.groups)))),
        ("description", texts(all.clone().map(|(_, t)| Some(t.description.en.clone())))),
        ("description_ja", texts(all.clone().map(|(_, t)| Some(t.description.ja.clone())))),
        ("refused_because", texts(all.map(|(_, t)| t.refused_because.clone()))),
    ])?;
    let all = columns.iter();
    let columns_table = batch(vec![
        ("dataset", texts(all.clone().map(|(d, ..)| Some((*d).to_owned())))),
        ("table_name", texts(all.clone().map(|(_, t, _)| Some(t.name.clone())))),
        ("column_name", texts(all.clone().map(|(.., c)| Some(c.name.clone())))),
        ("data_type", texts(all.clone().map(|(.., c)| Some(c.data_type.as_str().to_owned())))),
        ("class", texts(all.clone().map(|(.., c)| Some(c.class.as_str().to_owned())))),
        ("nullable", Arc::new(BooleanArray::from_iter(all.clone().map(|(.., c)| Some(c.nullable))))),
        ("lowest", options(all.clone().map(|(.., c)| c.bounds.as_ref().map(|b| b.lo)))),
        ("highest", options(all.clone().map(|(.., c)| c.bounds.as_ref().map(|b| b.hi)))),
        (
            "public_values",
            integers(all.clone().map(|(.., c)| c.domain.as_ref().and_then(|d| i64::try_from(d.len()).ok()))),
        ),
        ("code_list", texts(all.clone().map(|(.., c)| c.code_list.clone()))),
        ("description", texts(all.clone().map(|(.., c)| Some(c.description.en.clone())))),
        ("description_ja", texts(all.map(|(.., c)| Some(c.description.ja.clone())))),
    ])?;
    let mut listed = BTreeSet::new();
    let mut codes = vec![];
    for dataset in &datasets {
        for list in dataset.config.model.code_lists.values() {
            if listed.insert(list.name.clone()) {
                codes.extend(list.values.iter().map(|value| (list.name.clone(), value)));
            }
        }
    }
    let all = codes.iter();
    let lists_table = batch(vec![
        ("code_list", texts(all.clone().map(|(list, _)| Some(list.clone())))),
        (
            "code",
            texts(all.clone().map(|(_, v)| {
                Some(match &v.code {
                    Code::Integer(code) => code.to_string(),
                    Code::Text(code) => code.clone(),
                })
            })),
        ),
        ("label", texts(all.clone().map(|(_, v)| Some(v.label.en.clone())))),
        ("label_ja", texts(all.clone().map(|(_, v)| Some(v.label.ja.clone())))),
        ("lowest", options(all.clone().map(|(_, v)| v.between.map(|(lo, _)| lo)))),
        ("highest", options(all.map(|(_, v)| v.between.map(|(_, hi)| hi)))),
    ])?;
    Ok(vec![
        sekisho("datasets", datasets_table),
        sekisho("tables", tables_table),
        sekisho("columns", columns_table),
        sekisho("code_lists", lists_table),
    ])
}

fn unit(table: &Table, value: u32) -> Option<i64> {
    (table.kind == TableKind::Unit).then(|| i64::from(value))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> datafusion::arrow::error::Result<RecordBatch> {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, values)| (name, values, true)))
}

fn texts(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values))
}

fn integers(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from_iter(values))
}

fn numbers(values: impl Iterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}

fn options(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(Float64Array::from_iter(values))
}
