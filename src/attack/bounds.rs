//! Does one person ever move an answer by more than the noise was made for?
//!
//! Targets with thirty rows of extremes, neighbours whose rows were made to cancel or swallow others, joins that multiply
//! rows, links that lie. The attacker learns a rule from cells whose secret they know, so whatever moves is found, also
//! what nobody thought of.

use super::{
    Field, Finding,
    asker::{Answer, Asker},
    field::{by_cell, compare, look, on_day},
    finding::Checks,
    guess::{Sight, by_learning, by_likelihood},
    measure::Games,
    people::CELLS,
};
use crate::cli::{Stop, client::ClientFault};

const WITH_MEASUREMENTS: &str = "person p JOIN measurement t ON t.person_id = p.person_id";

/// The numbers that `sqls` show of each cell, column n; what is refused is counted and left out.
async fn numbers(eve: &Asker, epsilon: f64, sqls: &[String]) -> Result<(Vec<Vec<f64>>, usize), Stop> {
    let mut seen: Vec<Vec<f64>> = vec![vec![]; CELLS];
    let mut refused = 0;
    for sql in sqls {
        match eve.ask_for(epsilon / sqls.len() as f64, sql).await {
            Ok(answer) => {
                let cells = answer.by_cell("n");
                seen.iter_mut().zip(cells).for_each(|(numbers, shown)| numbers.push(shown.unwrap_or(-1e9)));
            }
            Err(ClientFault::Refused { code, .. }) if code != "failed" => refused += 1,
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok((seen, refused))
}

async fn learnt(field: &mut Field, tried: &str, sqls: &[String]) -> Result<Finding, Stop> {
    let eve = field.eve().await?;
    let (seen, refused) = numbers(&eve, 1.0, sqls).await?;
    let games = by_learning(&seen, &field.secrets.targets);
    let note = format!("{} questions, {refused} refused", sqls.len());
    let mut checks = Checks::default();
    checks.that(refused < sqls.len(), || "all of them were refused".into());
    Ok(Finding::games(tried, games, eve.spent().await?, note).and("answered", checks))
}

/// Sums and statistics of values at the ends of their types.
pub(super) async fn overflow(field: &mut Field) -> Result<Finding, Stop> {
    let of = |aggregate: &str| by_cell(&format!("{aggregate} AS n"), WITH_MEASUREMENTS, "");
    let sqls = [
        of("SUM(least(greatest(t.value_as_number, 0), 1))"),
        of("SUM(least(greatest(t.value_as_number * 1e300, -1), 1))"),
        of("SUM(least(greatest(CAST(t.value_as_number AS BIGINT), -10), 10))"),
        of("SUM(least(greatest(CAST(t.value_as_number AS BIGINT) * 9223372036854775807, -10), 10))"),
        of("SUM(least(greatest(-t.value_as_number - t.value_as_number, -1000000), 1000000))"),
        of("AVG(least(greatest(t.value_as_number, -1e15), 1e15))"),
        of("VAR_POP(least(greatest(t.value_as_number, 0), 100))"),
        of(
            "SUM(abs(least(greatest(CAST(t.value_as_number AS BIGINT), -9223372036854775808), 9223372036854775807)) % 7)",
        ),
    ];
    learnt(field, "sums over values at the ends of their types", &sqls).await
}

/// Thirty rows of one person in a group.
pub(super) async fn rows(field: &mut Field) -> Result<Finding, Stop> {
    let of = |aggregate: &str| by_cell(&format!("{aggregate} AS n"), WITH_MEASUREMENTS, "");
    let sqls = [
        of("COUNT(*)"),
        of("COUNT(t.value_as_number)"),
        of("SUM(CASE WHEN t.value_as_number = 0.1 THEN 1 ELSE 0 END)"),
        of("COUNT(DISTINCT t.value_as_number)"),
    ];
    learnt(field, "counting rows where the target has thirty", &sqls).await
}

/// Joins that give one person many rows; and joins that would mix persons, which are refused.
pub(super) async fn fan_out(field: &mut Field) -> Result<Finding, Stop> {
    let twice = format!("{WITH_MEASUREMENTS} JOIN measurement u ON u.person_id = p.person_id");
    let of = |from: &str| by_cell("COUNT(*) AS n", from, "");
    let sqls = [
        of(&twice),
        of(&format!("{twice} JOIN measurement v ON v.person_id = u.person_id")),
        of("person p JOIN person q ON q.person_id = p.person_id"),
        of(&format!("{WITH_MEASUREMENTS} LEFT JOIN condition_occurrence c ON c.person_id = p.person_id")),
    ];
    let found = learnt(field, "self joins of the target's rows", &sqls).await?;
    let eve = field.eve().await?;
    let mut checks = Checks::default();
    for (code, sql) in [
        ("unknown_table", "SELECT COUNT(*) FROM cost"),
        ("unknown_table", "SELECT COUNT(*) FROM fact_relationship"),
        ("unknown_table", "SELECT COUNT(*) FROM episode_event"),
        ("persons_mixed", "SELECT COUNT(*) FROM person a CROSS JOIN person b"),
        ("persons_mixed", "SELECT COUNT(*) FROM person a JOIN person b ON a.year_of_birth = b.year_of_birth"),
        ("persons_mixed", "SELECT COUNT(*) FROM person a, measurement b WHERE a.year_of_birth > b.value_as_number"),
    ] {
        let met = eve.code(sql).await?;
        checks.that(met == code, || format!("{sql}: {met}, not {code}"));
    }
    Ok(found.and("joins that mix persons or read undeclared tables", checks))
}

/// Neighbours whose rows swallow others in a sum of doubles, and whose order would show.
pub(super) async fn hostile_rows(field: &mut Field) -> Result<Finding, Stop> {
    let of = |aggregate: &str| by_cell(&format!("{aggregate} AS n"), WITH_MEASUREMENTS, "");
    let sqls = [
        of("SUM(least(greatest(t.value_as_number, -1e16), 1e16))"),
        of("SUM(least(greatest(t.value_as_number / 1e300, -1), 1))"),
        of("AVG(least(greatest(t.value_as_number, -1e308), 1e308))"),
        of("STDDEV(least(greatest(t.value_as_number, -100), 100))"),
        of("CORR(least(greatest(t.value_as_number, -100), 100), p.day_of_birth)"),
    ];
    learnt(field, "sums beside rows made to cancel", &sqls).await
}

/// Two linked people who are in or out together: the bound is that of twice the loss.
pub(super) async fn household(field: &mut Field) -> Result<Finding, Stop> {
    let eve = field.eve().await?;
    let (mut seen, mut answers): (Vec<Vec<Sight>>, _) = (vec![vec![]; CELLS], vec![]);
    let answer = eve.ask_for(0.5, &on_day(2, "COUNT(*) AS n", "person p", "")).await?;
    look(&mut seen, &mut answers, &answer, "n", [0.0, 2.0])?;
    let guesses: Vec<bool> = seen.iter().map(|sights| by_likelihood(sights)).collect();
    let games = Games::of(&guesses, &field.secrets.households);
    let spent = eve.spent().await?.of_linked(2);
    Ok(Finding::games("households of two, in or out", games, spent, "the loss is stated for two linked people"))
}

/// The nullable side of an outer join, and NOT IN over one person's NULL: where the engine's own rule looks across persons.
pub(super) async fn owner_or_null(field: &mut Field) -> Result<Finding, Stop> {
    let both = field.both().await?;
    let mut checks = Checks::default();
    let left = "person p LEFT JOIN death d ON d.person_id = p.person_id";
    for sql in [
        format!("SELECT COUNT(*) FROM (SELECT row_number() OVER (PARTITION BY d.person_id) AS r FROM {left}) t WHERE r = 1"),
        format!("SELECT COUNT(*) FROM person WHERE person_id NOT IN (SELECT d.person_id FROM {left})"),
        format!("SELECT d.person_id, COUNT(*) FROM {left} GROUP BY 1"),
        format!("SELECT COUNT(*) FROM (SELECT DISTINCT d.person_id FROM {left}) t"),
        format!("SELECT COUNT(*) FROM (SELECT d.person_id, COUNT(*) AS n FROM {left} GROUP BY ROLLUP (d.person_id)) t"),
        "SELECT COUNT(*) FROM (SELECT person_id, COUNT(*) AS n FROM person GROUP BY CUBE (person_id, gender_concept_id)) t".into(),
    ] {
        let [with, without] = compare(&mut checks, &both, &sql, false).await;
        checks.that(with.is_none() && without.is_none(), || format!("{sql} was answered"));
    }
    // These are answered, person by person: one person's NULL must not decide for all.
    let mut answered = 0;
    for sql in [
        "SELECT COUNT(*) AS n FROM person p WHERE 1 NOT IN (SELECT t.value_as_number FROM measurement t WHERE t.person_id = p.person_id)",
        "SELECT COUNT(*) AS n FROM person WHERE person_id NOT IN (SELECT person_id FROM death)",
        "SELECT COUNT(*) AS n FROM person p WHERE NOT EXISTS (SELECT 1 FROM measurement t WHERE t.person_id = p.person_id AND t.value_as_number IS NULL)",
        "SELECT COUNT(DISTINCT d.person_id) AS n FROM person p LEFT JOIN death d ON d.person_id = p.person_id",
    ] {
        let answers = compare(&mut checks, &both, sql, false).await;
        answered += near(&mut checks, sql, &answers);
    }
    checks.that(answered >= 2, || "hardly anything was answered".into());
    let mut found = Finding::checks("outer joins and NOT IN, with and without one person", checks);
    if found.note.is_empty() {
        found.note = "refused where a NULL would be a group of all; answered where it is person by person".into();
    }
    Ok(found)
}

/// Rows of many persons under one person's visit.
pub(super) async fn lying_link(field: &mut Field) -> Result<Finding, Stop> {
    let both = field.both().await?;
    let (mut checks, mut answered) = (Checks::default(), 0);
    for sql in [
        "SELECT COUNT(*) AS n FROM measurement t JOIN visit_occurrence v ON v.visit_occurrence_id = t.visit_occurrence_id",
        "SELECT COUNT(DISTINCT t.person_id) AS n FROM measurement t JOIN visit_occurrence v USING (visit_occurrence_id)",
        "SELECT COUNT(*) AS n FROM measurement WHERE visit_occurrence_id IS NOT NULL",
        "SELECT COUNT(*) AS n FROM visit_occurrence v WHERE EXISTS (SELECT 1 FROM measurement t WHERE t.visit_occurrence_id = v.visit_occurrence_id)",
    ] {
        let answers = compare(&mut checks, &both, sql, false).await;
        answered += near(&mut checks, sql, &answers);
    }
    checks.that(answered >= 2, || "hardly anything was answered".into());
    let tried = format!("{CELLS} rows that name the visit of another person, with and without that person");
    Ok(Finding::checks(tried, checks))
}

/// Whether two answers differ by no more than one person's part, which the noise is made for, and the noise itself: a
/// person who decided for others would move them by hundreds. How many were answered: one, or none where it was refused.
fn near(checks: &mut Checks, sql: &str, answers: &[Option<Answer>; 2]) -> usize {
    let [Some(with), Some(without)] = answers else { return 0 };
    let one = |answer: &Answer| answer.numbers("n").first().copied().flatten();
    let (a, b) = (one(with).unwrap_or(f64::NAN), one(without).unwrap_or(f64::NAN));
    let width = with.half_width("n").unwrap_or(f64::NAN);
    // Six half-widths are eighteen scales of Laplace noise, which two draws and one person's part reach once in 10^6.
    checks.that((a - b).abs() <= 6.0 * width, || format!("{sql}: {a} with the person, {b} without"));
    1
}
