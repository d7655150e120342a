//! What does an analyst with a permit see, and what is refused?

use std::{fs, path::Path};

use datafusion::arrow::{
    array::AsArray,
    datatypes::{Float64Type, Int64Type, SchemaRef},
    record_batch::RecordBatch,
};
use serde_json::{Value, json};

use super::{
    prepare::{Ready, disk, note},
    tell::Teller,
};
use crate::{
    cli::{
        Stop, audit,
        client::{Client, ClientFault, ConnectTo},
        init,
        permit_draft::{Draft, complete},
        query::RECEIPT,
    },
    record,
    terms::{AccountName, Clock, DatasetName, PurposeCode},
};

/// The whole session, each step through the gateway.
pub(super) async fn whole(ready: &Ready, url: &str, teller: &mut Teller<'_>) -> Result<(), Stop> {
    let connect = |role| ConnectTo::from_file(&ready.connect, None, role);
    let to = connect("analyst")?;
    teller.chapter("A reviewer grants a permit", "審査委員が利用許可を与える")?;
    let reviewer = Client::connect(&connect("reviewer")?).await?;
    let permit = permit(&reviewer, ready, &to.user, teller).await?;
    let _closed = reviewer.sign_out().await;

    let analyst = Client::connect(&to).await?;
    analyst.set("sekisho.permit", &permit).await?;
    analyst.set("sekisho.intervals", "on").await?;
    look_around(&analyst, url, teller).await?;
    let receipt = questions(&analyst, teller).await?;
    refusal(&analyst, teller).await?;
    budget(&analyst, teller).await?;
    let _closed = analyst.sign_out().await;

    teller.chapter("Proof, without trusting the gateway", "関所を信用しなくてよい証明")?;
    proof(ready, &receipt, &connect("auditor")?, teller).await
}

/// The permit of an earlier run while it is active, else a new one.
async fn permit(reviewer: &Client, ready: &Ready, analyst: &str, teller: &mut Teller<'_>) -> Result<String, Stop> {
    let permits = reviewer.administer("permit.list", Value::Null).await?;
    let field = |p: &Value, name: &str| p.get(name).and_then(Value::as_str).map(str::to_owned);
    let known = ConnectTo::from_file(&ready.connect, None, "analyst")?.permit;
    let active = |p: &&Value| field(p, "standing").as_deref() == Some("active") && field(p, "id") == known;
    if let Some(id) = permits.as_array().into_iter().flatten().find(active).and_then(|p| field(p, "id")) {
        teller.line(&format!("{id} is active still"))?;
        return Ok(id);
    }
    let named = |fault: crate::terms::IdFault| Stop::fault(&fault);
    let draft = Draft {
        dataset: Some(DatasetName::new("demo").map_err(named)?),
        principals: vec![AccountName::new(analyst).map_err(named)?],
        purpose: Some(PurposeCode::new("epidemiology").map_err(named)?),
        grant_all: true,
        epsilon: Some(PERMIT_EPSILON),
        per_question_epsilon: Some(QUESTION_EPSILON),
        ..Draft::default()
    };
    let permit = complete(draft, reviewer, &Clock::of_the_machine()).await?;
    let id = permit.id.to_string();
    let body = serde_json::to_value(&permit).map_err(|fault| Stop::fault(&fault))?;
    reviewer.administer("permit.grant", body).await?;
    note(&ready.connect, "permit", json!(id))?;
    teller.line(&format!(
        "{id}: account {analyst} may ask for {}, until {}, every queryable column of {} tables",
        permit.purpose,
        permit.not_after,
        permit.grants.len()
    ))?;
    teller
        .line(&format!("epsilon {PERMIT_EPSILON} in all, {QUESTION_EPSILON} per question unless it says otherwise"))?;
    Ok(id)
}

async fn look_around(analyst: &Client, url: &str, teller: &mut Teller<'_>) -> Result<(), Stop> {
    teller.chapter("An analyst looks around, for free", "分析者が無料で見て回る")?;
    let (_, tables) = analyst.tables().await?;
    let (_, columns) = analyst.query("SELECT COUNT(*) AS n FROM sekisho.columns").await?;
    let tables: usize = tables.iter().map(RecordBatch::num_rows).sum();
    teller.line(&format!("signed in at {url}: {tables} tables, {} columns described", text(&columns)))?;
    teller.line("demo_sample has synthetic persons made from the catalogue alone: rows and all, exact and free.")?;
    teller.line("見本スキーマ demo_sample は行まで見られます（実データとは無関係）。")?;
    ask(analyst, SAMPLE, teller).await?;
    Ok(())
}

/// The questions; the receipt of the last answer.
async fn questions(analyst: &Client, teller: &mut Teller<'_>) -> Result<String, Stop> {
    let mut receipt = None;
    for question in &QUESTIONS {
        teller.chapter(question.en, question.ja)?;
        let (schema, _) = ask(analyst, question.sql, teller).await?;
        if let Some(saved) = schema.metadata().get(RECEIPT) {
            receipt = Some(saved.clone());
            left(analyst, teller).await?;
        }
        teller.line(question.why)?;
    }
    receipt.ok_or_else(|| Stop::Fault("no answer came with a receipt".into()))
}

/// What the permit still has, which is free to ask.
async fn left(analyst: &Client, teller: &mut Teller<'_>) -> Result<(), Stop> {
    let (_, batches) = analyst.query(LEFT).await?;
    let column = batches.first().and_then(|batch| batch.columns().first());
    let number = column.and_then(|c| c.as_primitive_opt::<Float64Type>()).and_then(|c| c.iter().flatten().next());
    teller.line(&format!("left for one more question: epsilon {:.2}", number.unwrap_or(0.0)))
}

async fn refusal(analyst: &Client, teller: &mut Teller<'_>) -> Result<(), Stop> {
    teller.chapter("Rows never leave", "行データは決して外に出ない")?;
    teller.question(REFUSED)?;
    match analyst.query(REFUSED).await {
        Err(ClientFault::Refused { message, .. }) => teller.line(&format!("refused: {message}"))?,
        Err(fault) => return Err(fault.into()),
        Ok(_) => return Err(Stop::Fault("a question for rows about persons was answered".into())),
    }
    teller.line("The refusal cost nothing and is recorded. With its fix:")?;
    ask(analyst, FIXED, teller).await?;
    Ok(())
}

async fn budget(analyst: &Client, teller: &mut Teller<'_>) -> Result<(), Stop> {
    teller.chapter("What is left", "残りの予算")?;
    ask(analyst, "SELECT cap, epsilon, spent_epsilon, left_for_one_question FROM sekisho.my_budget", teller).await?;
    Ok(())
}

/// A receipt and an export, both verified offline.
async fn proof(ready: &Ready, receipt: &str, auditor: &ConnectTo, teller: &mut Teller<'_>) -> Result<(), Stop> {
    let (file, key) = (ready.directory.join("receipt.json"), ready.directory.join(init::LOG_KEY));
    fs::write(&file, format!("{receipt}\n")).map_err(|fault| disk(&file, &fault))?;
    let verified = audit::verify_receipt(&file, &key)?;
    teller.line(&format!("sekisho audit verify --receipt {} --key {}", file.display(), key.display()))?;
    teller.line(&format!("verified: the last answer is entry {} of the log, unchanged", verified.entry.0))?;

    let client = Client::connect(auditor).await?;
    let name = export_name(&ready.directory.join("exports"));
    let done = client.administer("audit.export", json!({"name": name})).await?;
    let _closed = client.sign_out().await;
    let folder = done.get("folder").and_then(Value::as_str).unwrap_or_default();
    let whole = record::verify_export(Path::new(folder), Some(&audit::log_key(&key)?))?;
    teller.line(&format!("sekisho audit verify {folder} --key {}", key.display()))?;
    teller.line(&format!(
        "verified: {} entries of {}, one tree; {} charges add up to the ledger; no cap was ever passed",
        whole.size, whole.origin, whole.charges
    ))
}

/// The first number that no export has.
fn export_name(exports: &Path) -> String {
    let mut number: u32 = 1;
    while exports.join(format!("demo-{number}")).exists() {
        number = number.saturating_add(1);
    }
    format!("demo-{number}")
}

async fn ask(analyst: &Client, sql: &str, teller: &mut Teller<'_>) -> Result<(SchemaRef, Vec<RecordBatch>), Stop> {
    teller.question(sql)?;
    let begun = std::time::Instant::now();
    let (schema, batches) = analyst.query(sql).await?;
    teller.answer(&schema, &batches)?;
    tracing::debug!(seconds = begun.elapsed().as_secs_f64(), "answered");
    Ok((schema, batches))
}

/// The one number of an answer.
fn text(batches: &[RecordBatch]) -> String {
    let column = batches.first().and_then(|batch| batch.columns().first());
    let integers = column.and_then(|c| c.as_primitive_opt::<Int64Type>());
    integers.and_then(|c| c.iter().flatten().next()).map(|n| n.to_string()).unwrap_or_default()
}

/// ε of the permit, and of one question under it.
const PERMIT_EPSILON: f64 = 20.0;
const QUESTION_EPSILON: f64 = 0.5;

const SAMPLE: &str = "SELECT person_id, gender_concept_id, year_of_birth FROM demo_sample.person LIMIT 3";

const LEFT: &str = "SELECT MIN(left_for_one_question) AS epsilon FROM sekisho.my_budget";

/// A question of the sample session.
struct Question {
    en: &'static str,
    ja: &'static str,
    sql: &'static str,
    /// One line below the answer.
    why: &'static str,
}

const QUESTIONS: [Question; 4] = [
    Question {
        en: "How many women and men?",
        ja: "男女それぞれ何人か。数値には誤差の幅が付く",
        sql: "SELECT c.concept_name AS sex, COUNT(*) AS persons\n\
              FROM person p JOIN vocab.concept c ON c.concept_id = p.gender_concept_id\n\
              GROUP BY c.concept_name ORDER BY persons DESC",
        why: "± is the 95 % half-width of the noise: enough to hide any one person. Everybody counts once here.",
    },
    Question {
        en: "What does a question cost? Ask before paying",
        ja: "質問の値段を先に聞く（EXPLAIN は無料）",
        sql: "EXPLAIN SELECT gender_concept_id, COUNT(*) AS persons, AVG(year_of_birth) AS mean_year\n\
              FROM person GROUP BY gender_concept_id",
        why: "EXPLAIN reads no data and is free. SET sekisho.epsilon or sekisho.accuracy changes price and noise.",
    },
    Question {
        en: "Is HbA1c higher under metformin? First per person, then over persons",
        ja: "メトホルミン使用者の HbA1c は高いか。まず一人ずつ、次に全体で",
        sql: "SELECT u.metformin, COUNT(*) AS persons, AVG(l.hba1c) AS mean_hba1c\n\
              FROM (SELECT person_id, AVG(least(greatest(value_as_number, 3.0), 15.0)) AS hba1c\n      \
              FROM measurement WHERE measurement_concept_id = 3004410 AND value_as_number IS NOT NULL\n      \
              GROUP BY person_id) l\n\
              JOIN (SELECT d.person_id, MAX(CASE WHEN a.ancestor_concept_id = 1503297 THEN 1 ELSE 0 END) AS metformin\n      \
              FROM drug_exposure d JOIN vocab.concept_ancestor a ON a.descendant_concept_id = d.drug_concept_id\n      \
              GROUP BY d.person_id) u ON u.person_id = l.person_id\n\
              GROUP BY u.metformin",
        why: "Inside a person the subqueries compute exactly; least and greatest state the bounds that a mean needs.",
    },
    Question {
        en: "Which conditions do most persons have?",
        ja: "多くの人が持つ病名は。十分な人数のある群だけが現れる",
        sql: "SELECT c.concept_name AS condition, COUNT(DISTINCT o.person_id) AS persons\n\
              FROM condition_occurrence o JOIN vocab.concept c ON c.concept_id = o.condition_concept_id\n\
              GROUP BY c.concept_name ORDER BY persons DESC LIMIT 10",
        why: "The groups are found in the records, so only those with enough persons appear: a rare one stays hidden.",
    },
];

const REFUSED: &str = "SELECT * FROM person";
const FIXED: &str = "SELECT COUNT(*) AS persons FROM person";
