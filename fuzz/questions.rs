//! What becomes of texts and parameters that an analyst sends, and of files that a custodian writes?

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use arrow_flight::FlightData;
use prost::Message;
use sekisho::{
    catalog::{Model, TableKind},
    config::Config,
    engine::schema::arrow_schema,
    flight::{bound_row, read_parameters},
    gateway::bound,
    privacy::{Asked, Bounds, Offer, analyze},
    sql::{Call, CataloguedTable, Directory, Limits, Parameters, Standing, admit, parse},
    terms::{Cap, DatasetName, Language, Loss, PopulationName, Refusal},
};
use shapes::Shapes;

#[allow(clippy::duplicate_mod, reason = "the fuzz targets, a crate of their own, have it from here alone")]
#[path = "../tests/typing/shapes.rs"]
mod shapes;

/// Every code that a refusal may have (interface.md), in the order of that list.
pub const CODES: [&str; 25] = [
    "not_signed_in",
    "too_many_attempts",
    "no_permit",
    "permit_not_active",
    "not_granted",
    "role_not_allowed",
    "halted",
    "not_sql",
    "not_a_question",
    "unknown_table",
    "unknown_column",
    "function_not_allowed",
    "rows_not_released",
    "persons_mixed",
    "bound_missing",
    "too_many_groups",
    "too_complex",
    "unknown_setting",
    "not_done",
    "budget_exhausted",
    "cancelled",
    "certificate_not_accepted",
    "token_not_accepted",
    "busy",
    "failed",
];
/// How the engine's own texts are known.
const FOREIGN: [&str; 7] = [
    "DataFusion",
    "Arrow error",
    "Internal error",
    "Schema error",
    "likely caused by a bug",
    "backtrace",
    "ParserError",
];
/// Questions with places for parameters where numbers, texts, dates, patterns, units and limits stand.
const PREPARED: [&str; 10] = [
    "SELECT COUNT(*) FROM person WHERE year_of_birth > $1",
    "SELECT gender_concept_id, COUNT(*) FROM person WHERE year_of_birth BETWEEN $1 AND $2 GROUP BY 1",
    "SELECT SUM(least(greatest(value_as_number, $1), $2)) FROM measurement",
    "SELECT COUNT(*) FROM condition_occurrence WHERE condition_start_date >= $1",
    "SELECT $1, COUNT(*) FROM person GROUP BY 1",
    "SELECT COUNT(*) FROM condition_occurrence c JOIN concept k ON k.concept_id = c.condition_concept_id \
     WHERE k.concept_name LIKE $1",
    "SELECT COUNT(*) FROM person WHERE year_of_birth IN ($1, $2, $3)",
    "SELECT APPROX_PERCENTILE_CONT(year_of_birth, $1) FROM person",
    "SELECT date_trunc($1, condition_start_date), COUNT(*) FROM condition_occurrence GROUP BY 1",
    "SELECT COUNT(*) FROM person WHERE year_of_birth + $1 * $2 > 3 HAVING COUNT(*) > $3",
];

fn shapes() -> &'static Shapes {
    static SHAPES: OnceLock<Shapes> = OnceLock::new();
    SHAPES.get_or_init(Shapes::omop)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

/// SQL text: parsed, planned, typed, made physical and priced; asked twice, it is the same question.
pub fn admission(data: &[u8]) -> &'static str {
    // Text on the wire is UTF-8, or no message.
    let Ok(sql) = std::str::from_utf8(data) else { return "not text" };
    ended(sql, judged(&shapes().directory, sql, Parameters::Open))
}

/// Bound parameters, as a ticket brings them back or as DoPut sends them: two bytes choose question and form.
pub fn parameters(data: &[u8]) -> &'static str {
    let Some((&[which, form], rest)) = data.split_first_chunk::<2>() else { return "too short" };
    let row = match form % 2 {
        0 => read_parameters(rest).map(Some),
        _ => runtime().block_on(bound_row(futures::stream::iter(messages(rest).into_iter().map(Ok)))),
    };
    let sql = PREPARED[usize::from(which) % PREPARED.len()];
    let values = row.and_then(|row| bound(row.as_ref()));
    ended(sql, values.and_then(|values| judged(&shapes().directory, sql, Parameters::Bound(values))))
}

/// `sekisho.toml`.
pub fn config(data: &[u8]) -> &'static str {
    let Ok(text) = std::str::from_utf8(data) else { return "not text" };
    match Config::read(Path::new("no/such/enclave"), text) {
        Ok(read) => {
            for dataset in &read.enclave.datasets {
                assert!(dataset.cap.epsilon() > 0.0 && dataset.cap.epsilon() <= 1000.0, "a cap that is none");
                assert!(dataset.cap.delta() > 0.0 && dataset.cap.delta() < 1.0, "a cap that is none");
            }
            "taken"
        }
        Err(fault) => {
            assert!(!fault.to_string().is_empty());
            "refused"
        }
    }
}

/// A catalogue model. What is taken also serves: its tables become shapes, and are asked about.
pub fn catalogue(data: &[u8]) -> &'static str {
    let Ok(text) = std::str::from_utf8(data) else { return "not text" };
    let model = match Model::from_toml("fuzz.toml", text) {
        Ok(model) => model,
        Err(fault) => {
            assert!(fault.to_string().contains("fuzz.toml") || !fault.to_string().is_empty());
            return "refused";
        }
    };
    let mut directory = Directory::new(vec!["demo".into()]);
    let mut names = vec![];
    for table in model.tables.into_values().filter(|table| table.kind == TableKind::Unit) {
        let columns = Arc::new(arrow_schema(&table));
        names.push(table.name.clone());
        let standing = Standing::Unit {
            dataset: DatasetName::new("demo").unwrap(),
            population: PopulationName::new("jp").unwrap(),
            table: Arc::new(table),
        };
        let name = names.last().cloned().unwrap_or_default();
        directory.insert(CataloguedTable { schema: "demo".into(), name, standing, columns });
    }
    for name in names {
        let sql = format!("SELECT COUNT(*) FROM demo.\"{}\"", name.replace('"', "\"\""));
        if let Err(refusal) = typed(&directory, &sql, Parameters::Open) {
            sound(&refusal, &sql);
        }
    }
    "taken"
}

/// How a question ended; a refusal is one of ours, in our words.
fn ended(sql: &str, judged: Result<&'static str, Refusal>) -> &'static str {
    judged.unwrap_or_else(|refusal| {
        sound(&refusal, sql);
        refusal.code()
    })
}

fn sound(refusal: &Refusal, sql: &str) {
    assert!(CODES.contains(&refusal.code()), "{} is not in the closed list", refusal.code());
    assert_ne!(refusal.code(), "failed", "nothing can have failed before data is read: {refusal:?}");
    for sentence in [refusal.sentence(Language::En), refusal.sentence(Language::Ja)] {
        for foreign in FOREIGN {
            assert!(sql.contains(foreign) || !sentence.contains(foreign), "the engine's words: {sentence}");
        }
    }
}

/// Everything that happens to a question before it is charged.
fn judged(directory: &Directory, sql: &str, parameters: Parameters) -> Result<&'static str, Refusal> {
    let Some(analysis) = typed(directory, sql, parameters.clone())? else { return Ok("not charged") };
    let again = typed(directory, sql, parameters)?.map(|again| again.core(&[]));
    assert_eq!(Some(analysis.core(&[])), again, "the same question under another key: {sql}");
    let planned = runtime().block_on(shapes().engine.rehearse(&analysis, shapes().tables.as_ref()));
    if planned.is_err() {
        return Ok("not planned");
    }
    let cap = Cap::new(8.0, 1e-6).unwrap();
    let plan = analysis.price(&Offer { epsilon: 0.4, accuracy: None, cap, spent: Loss::zero() })?;
    // What nobody can move, such as a sum of values clamped to nothing, is free. Nothing else is.
    for mechanism in &plan.priced().mechanisms {
        assert!(mechanism.bound == 0 || mechanism.loss != Loss::zero(), "something private for nothing: {sql}");
    }
    Ok("charged")
}

/// The question typed; none where it is about nobody, or a setting.
fn typed(
    directory: &Directory,
    sql: &str,
    parameters: Parameters,
) -> Result<Option<sekisho::privacy::Analysis>, Refusal> {
    let limits = Limits::default();
    let statement = match parse(sql, &limits)? {
        Call::Ask(statement) | Call::Explain(statement) => statement,
        Call::Set { .. } | Call::Show { .. } => return Ok(None),
    };
    let today = chrono::NaiveDate::from_ymd_opt(2026, 4, 1).unwrap();
    let question = admit(*statement, directory, today, parameters, &limits)?;
    if question.is_public() {
        return Ok(None);
    }
    let bounds = Bounds { work_rows_max: 65_536, cells_max: 100_000, population_max: 100_000 };
    analyze(&question, &Asked::default(), &bounds).map(Some)
}

/// The values of the one row, as the gateway takes them.
/// Flight messages, each behind its length.
fn messages(mut data: &[u8]) -> Vec<FlightData> {
    let mut messages = vec![];
    while !data.is_empty() && messages.len() < 64 {
        match FlightData::decode_length_delimited(&mut data) {
            Ok(message) => messages.push(message),
            Err(_) => break,
        }
    }
    messages
}
