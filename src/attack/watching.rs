//! Does anything beside the values tell who is in the data: prices, metadata, catalogues, totals, marks of kept answers?

use super::{
    Field, Finding,
    arena::Wanted,
    asker::{Asker, seen},
    field::{by_cell, compare},
    finding::Checks,
    wire::Wire,
};
use crate::cli::Stop;

const QUESTIONS: [&str; 7] = [
    "SELECT COUNT(*) AS n FROM measurement",
    "SELECT AVG(least(greatest(value_as_number, 0), 100)) AS n FROM measurement",
    "SELECT COUNT(*) AS n FROM measurement a JOIN measurement b ON a.person_id = b.person_id",
    "SELECT gender_concept_id, COUNT(*) AS n, AVG(year_of_birth) AS a FROM person GROUP BY gender_concept_id",
    "SELECT MEDIAN(least(greatest(value_as_number, 0), 100)) AS n FROM measurement",
    "SELECT COUNT(*) AS n FROM person WHERE year_of_birth > (SELECT AVG(year_of_birth) FROM person)",
    "SELECT visit_concept_id, COUNT(*) AS n FROM visit_occurrence GROUP BY visit_concept_id",
];
const GROUPS: &str = "SELECT measurement_concept_id, COUNT(*) AS n FROM measurement GROUP BY measurement_concept_id";

/// What a question costs, and what is left, to the last digit.
pub(super) async fn prices(field: &mut Field) -> Result<Finding, Stop> {
    let both = field.both().await?;
    let mut checks = Checks::default();
    for (selected, sql) in QUESTIONS.iter().map(|sql| (false, *sql)).chain([(true, GROUPS)]) {
        compare(&mut checks, &both, sql, selected).await;
        let [with, without] = &both;
        checks.same(&format!("budget after {sql}"), &with.budget().await?, &without.budget().await?);
    }
    let accurate = [both[0].with("accuracy", "25")?, both[1].with("accuracy", "25")?];
    compare(&mut checks, &accurate, "SELECT COUNT(*) AS n FROM visit_occurrence", false).await;
    Ok(Finding::checks("prices and budgets to the last digit, with and without one person", checks))
}

/// What the catalogue says is public.
pub(super) async fn parameters(field: &mut Field) -> Result<Finding, Stop> {
    let both = field.both().await?;
    let mut checks = Checks::default();
    for sql in [
        "SELECT * FROM sekisho.datasets",
        "SELECT * FROM sekisho.tables ORDER BY table_name",
        "SELECT * FROM sekisho.columns ORDER BY table_name, column_name",
        "SELECT * FROM sekisho.code_lists ORDER BY code_list, code",
        "SELECT COUNT(*), SUM(person_id), MIN(year_of_birth), MAX(year_of_birth) FROM demo_sample.person",
        "SELECT * FROM demo_sample.measurement ORDER BY measurement_id LIMIT 50",
        "SELECT * FROM demo_sample.location ORDER BY location_id",
    ] {
        compare(&mut checks, &both, sql, false).await;
    }
    for sql in QUESTIONS.iter().chain([&GROUPS]) {
        compare(&mut checks, &both, &format!("EXPLAIN {sql}"), false).await;
    }
    // Bounds, domains and lists of a question: a missing bound is named and never filled in from data.
    for sql in [
        "SELECT AVG(value_as_number) FROM measurement",
        "SELECT SUM(quantity * 2) FROM measurement",
        "SELECT MAX(value_as_number) FROM measurement",
        "SELECT value_as_number, COUNT(*) FROM measurement GROUP BY ROLLUP (value_as_number, person_id)",
    ] {
        let [with, without] = compare(&mut checks, &both, sql, false).await;
        checks.that(with.is_none() && without.is_none(), || format!("{sql} was answered"));
    }
    Ok(Finding::checks("catalogue, samples, EXPLAIN and missing bounds, with and without one person", checks))
}

/// FlightInfo, metadata commands, EXPLAIN, and whether somebody else has asked.
pub(super) async fn metadata(field: &mut Field) -> Result<Finding, Stop> {
    let (id, rival) = (field.number(), field.number());
    let mut wires = vec![];
    let mut checks = Checks::default();
    for arena in [field.with()?, field.without()?] {
        arena.grant(&id, &Wanted::default()).await?;
        wires.push(Wire::new(&arena.as_account("eve"), &id).await?);
    }
    let [with, without] = wires.as_slice() else { return Err(Stop::Fault("two enclaves were made".into())) };
    let cells = by_cell("COUNT(*) AS n", "person p", "");
    for sql in QUESTIONS.iter().copied().chain([GROUPS, cells.as_str(), "SELECT * FROM sekisho.tables"]) {
        let (a, b) = (with.info(sql).await, without.info(sql).await);
        for info in [&a, &b].into_iter().flatten() {
            checks.that(info.total_records == -1 && info.total_bytes == -1, || format!("totals are told: {sql}"));
            checks.that(info.app_metadata.is_empty(), || format!("application metadata: {sql}"));
        }
        checks.same(sql, &format!("{a:?}"), &format!("{b:?}"));
    }
    for ((name, a), (_, b)) in with.catalogue().await.into_iter().zip(without.catalogue().await) {
        checks.same(&name, &format!("{a:?}"), &format!("{b:?}"));
    }
    let both = [field.with()?.asker("eve", &id)?, field.without()?.asker("eve", &id)?];
    for sql in ["EXPLAIN ANALYZE SELECT COUNT(*) FROM person", "EXPLAIN VERBOSE SELECT COUNT(*) FROM person"] {
        let [a, b] = compare(&mut checks, &both, sql, false).await;
        checks.that(a.is_none() && b.is_none(), || format!("{sql} was answered"));
    }
    let queries = both[0].ask("SELECT * FROM sekisho.my_queries LIMIT 1").await?;
    let names: Vec<&str> = queries.schema.fields().iter().map(|f| f.name().as_str()).collect();
    let telling = names.iter().find(|n| ["second", "duration", "rows", "took", "bytes"].iter().any(|w| n.contains(w)));
    checks.that(telling.is_none(), || format!("my_queries tells {telling:?}"));

    // A rival who asks what was asked before sees what they would see had nobody asked.
    field.with()?.grant(&rival, &Wanted { who: &["trudy"], ..Wanted::default() }).await?;
    let trudy = field.with()?.asker("trudy", &rival)?;
    let before = [state(&trudy).await?];
    let sql = "SELECT COUNT(*) AS n FROM person WHERE year_of_birth > 1950";
    both[0].ask(sql).await?;
    checks.same("the rival's own views while others ask", &before[0], &state(&trudy).await?);
    let first = trudy.ask(sql).await;
    let fresh = trudy.ask("SELECT COUNT(*) AS n FROM person WHERE year_of_birth > 1951").await;
    checks.same("an answer that a rival bought before", &seen(&first, false), &seen(&fresh, false));
    let told = first.as_ref().ok().and_then(|answer| answer.says("kept_answer"));
    checks.that(told.is_none(), || "the rival is told that the answer was kept".into());
    Ok(Finding::checks("FlightInfo, metadata commands, EXPLAIN, marks of kept answers", checks))
}

/// Everything that an account can see of itself for free.
async fn state(asker: &Asker) -> Result<String, Stop> {
    let mut text = String::new();
    for sql in [
        "SELECT * FROM sekisho.my_budget",
        "SELECT * FROM sekisho.my_permits",
        "SELECT kind, sql FROM sekisho.my_queries",
    ] {
        text += &seen(&asker.ask(sql).await, false);
    }
    Ok(text)
}
