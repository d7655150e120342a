//! Can one person's value make a question fail, in any way that shows?

use super::{
    Field, Finding,
    asker::Asker,
    field::compare,
    finding::Checks,
    people::{GIANTS_KEY, GIANTS_NUMBER, OWN_CONDITION},
};
use crate::cli::Stop;

/// Expressions that fail in SQL for a value that only one person has. Each is asked with and without that person; what
/// comes back must be the same, word by word.
pub(super) async fn oracle(field: &mut Field) -> Result<Finding, Stop> {
    let both = cheap(field.both().await?)?;
    let mut checks = Checks::default();
    let x = "value_as_number";
    let own = GIANTS_NUMBER;
    let whole = "CAST(value_as_number AS BIGINT)";
    let key = GIANTS_KEY;
    let conditions = [
        format!("1 / ({whole} - {own}) >= 0"),
        format!("1 % ({whole} - {own}) >= 0"),
        format!("{x} / ({x} - {own}) > 0"),
        format!("CAST(CASE WHEN {x} = {own} THEN 'not a number' ELSE '1' END AS BIGINT) = 1"),
        format!("CAST(CASE WHEN {x} = {own} THEN '2020-13-77' ELSE '2020-01-01' END AS DATE) = DATE '2020-01-01'"),
        format!(
            "CAST(CASE WHEN {x} = {own} THEN 'x' ELSE '2020-01-01T00:00:00' END AS TIMESTAMP) > TIMESTAMP '2019-01-01'"
        ),
        format!("{whole} * 9223372036854775807 > 0"),
        format!("{whole} + 9223372036854775807 > 0"),
        format!("-{whole} - 9223372036854775807 > 0"),
        format!("abs({whole}) > 0"),
        format!("CAST({x} AS INT) > 0"),
        format!("CAST({x} AS SMALLINT) > 0"),
        format!("sqrt({own} - {x}) > 0"),
        format!("ln({x} - {own}) > 0"),
        format!("power({x}, {x}) > 0"),
        format!("asin({x}) > 0"),
        format!("CAST({x} AS DECIMAL(10, 2)) > 0"),
        format!("chr({whole}) = 'x'"),
        format!("to_timestamp({whole}) > TIMESTAMP '2019-01-01'"),
        format!("measurement_date + CAST({whole} AS INT) > DATE '2020-01-01'"),
        format!("factorial({whole}) > 0"),
        format!("gcd({whole}, measurement_concept_id) > 0"),
        format!("substr('abc', {whole}) = 'a'"),
        format!("'abc' ~ CAST({x} AS TEXT)"),
        format!("regexp_like(CAST({x} AS TEXT), '(a+)+$')"),
        format!("CAST({x} AS TEXT) LIKE '%' || CAST(measurement_concept_id AS TEXT) || '%'"),
        format!("repeat('a', {whole}) = 'a'"),
        format!("lpad('a', {whole}, 'b') = 'a'"),
        format!("CASE WHEN measurement_concept_id = {key} THEN 1 / 0 ELSE 1 END = 1"),
        format!("COALESCE(NULLIF(measurement_concept_id, {key}), 1 / 0) > 0"),
        format!("{}{x} = {own}{}", "(".repeat(20), ")".repeat(20)),
        format!("{}{x} = {own}{}", "NOT (".repeat(60), ")".repeat(60)),
    ];
    for condition in &conditions {
        let sql = format!("SELECT COUNT(*) AS n FROM measurement WHERE {condition}");
        compare(&mut checks, &both, &sql, false).await;
    }
    let aggregates = [
        format!("SUM(least(greatest(1 / ({whole} - {own}), -1), 1))"),
        format!("AVG(least(greatest({x} * {x}, -1e300), 1e300))"),
        format!("VAR_SAMP(least(greatest({x}, -1e150), 1e150))"),
        format!("CORR(least(greatest({x}, 0), 1), least(greatest({x}, 0), 1))"),
        format!("MEDIAN(least(greatest({x}, -1e9), 1e9))"),
        format!("SUM(CASE WHEN {x} = {own} THEN 1 / 0 ELSE 1 END)"),
    ];
    for aggregate in &aggregates {
        let sql = format!("SELECT {aggregate} AS n FROM measurement");
        compare(&mut checks, &both, &sql, false).await;
    }
    // A failure that is the same with everybody is still a failure: none of these may be one.
    for asker in &both {
        let answer = asker.ask("SELECT COUNT(*) AS n FROM sekisho.my_queries WHERE kind = 'failure'").await?;
        let failures = answer.numbers("n").first().copied().flatten();
        checks.that(failures == Some(0.0), || format!("{failures:?} questions failed after their charge"));
    }
    Ok(Finding::checks("questions that fail for one value, with and without the person who has it", checks))
}

/// Work that grows with one person's rows: products of joins, nested aggregates, long texts.
pub(super) async fn work_bomb(field: &mut Field) -> Result<Finding, Stop> {
    let both = cheap(field.both().await?)?;
    let mut checks = Checks::default();
    for (selected, sql) in [
        (false, "SELECT COUNT(*) AS n FROM measurement a JOIN measurement b ON a.person_id = b.person_id".to_owned()),
        (
            false,
            "SELECT COUNT(*) AS n FROM measurement a JOIN measurement b ON a.person_id = b.person_id \
             JOIN measurement c ON c.person_id = a.person_id"
                .to_owned(),
        ),
        (
            false,
            "SELECT COUNT(*) AS n FROM measurement a JOIN condition_occurrence b ON a.person_id = b.person_id \
             JOIN visit_occurrence c ON c.person_id = a.person_id"
                .to_owned(),
        ),
        (
            false,
            "SELECT COUNT(*) AS n FROM (SELECT person_id, concat(CAST(value_as_number AS TEXT), \
             CAST(measurement_concept_id AS TEXT), CAST(value_as_number AS TEXT)) AS x FROM measurement) t \
             WHERE x LIKE '%1%'"
                .to_owned(),
        ),
        (
            false,
            "SELECT COUNT(*) AS n FROM (SELECT person_id, measurement_concept_id, ROW_NUMBER() OVER (PARTITION BY \
             person_id ORDER BY value_as_number) AS r FROM measurement) t WHERE r > 1000"
                .to_owned(),
        ),
        (
            true,
            "SELECT n, COUNT(*) AS persons FROM (SELECT person_id, COUNT(DISTINCT measurement_concept_id) AS n FROM \
             measurement GROUP BY person_id) t GROUP BY n"
                .to_owned(),
        ),
        (false, format!("SELECT COUNT(*) AS n FROM condition_occurrence WHERE condition_concept_id > {OWN_CONDITION}")),
    ] {
        compare(&mut checks, &both, &sql, selected).await;
    }
    for asker in &both {
        let answer = asker.ask("SELECT COUNT(*) AS n FROM sekisho.my_queries WHERE kind = 'failure'").await?;
        let failures = answer.numbers("n").first().copied().flatten();
        checks.that(failures == Some(0.0), || format!("{failures:?} questions failed after their charge"));
    }
    let mut found = Finding::checks("products of one person's 16,384 rows, with and without that person", checks);
    found.note = format!("{}; how long they take is row 10", found.note).trim_start_matches("; ").to_owned();
    Ok(found)
}

/// Failures do not depend on the price.
fn cheap([with, without]: [Asker; 2]) -> Result<[Asker; 2], Stop> {
    Ok([with.with("epsilon", "0.2")?, without.with("epsilon", "0.2")?])
}
