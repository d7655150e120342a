//! Does a group, its order or its absence tell that somebody is in it?

use std::collections::BTreeSet;

use super::{
    Field, Finding,
    arena::Wanted,
    asker::{Answer, seen},
    field::{LARGE_DELTA, by_cell, compare},
    finding::Checks,
    measure::{Games, at_least},
    people::{CELLS, CONDITION, GIANTS_KEY, GIANTS_STATE, MEASUREMENT, OWN_CONDITION},
};
use crate::cli::Stop;

/// Chance below which what happened is no chance.
const NEVER: f64 = 1e-6;
/// δ of the caps of the two enclaves of cells.
const DELTA: f64 = 1e-5;

fn keys(answer: &Answer, column: &str) -> Vec<i64> {
    answer.numbers(column).into_iter().flatten().map(|key| key as i64).collect()
}

/// Groups that hold one person each, who is there or not: a group that appears gives its person away.
pub(super) async fn existence(field: &mut Field) -> Result<Finding, Stop> {
    let eve = field.eve().await?.with("groups", "1")?;
    let mut appeared = BTreeSet::new();
    let mut common = false;
    for sql in [
        "SELECT condition_concept_id AS k, COUNT(*) AS n FROM condition_occurrence GROUP BY condition_concept_id",
        "SELECT condition_concept_id AS k, COUNT(DISTINCT person_id) AS n FROM condition_occurrence GROUP BY condition_concept_id",
        "SELECT condition_concept_id AS k, COUNT(*) AS n FROM condition_occurrence GROUP BY ROLLUP (condition_concept_id)",
    ] {
        let shown = keys(&eve.ask_for(1.0 / 3.0, sql).await?, "k");
        common |= shown.contains(&CONDITION);
        appeared
            .extend(shown.iter().filter_map(|key| usize::try_from(key - OWN_CONDITION).ok()).filter(|c| *c < CELLS));
    }
    let guesses: Vec<bool> = (0..CELLS).map(|cell| appeared.contains(&cell) || field.chance.coin()).collect();
    let games = Games::of(&guesses, &field.secrets.targets);
    let mut checks = Checks::default();
    let chance = at_least(appeared.len() as u64, CELLS as u64, DELTA);
    checks.that(chance > NEVER, || format!("{} groups of one person appeared", appeared.len()));
    checks.that(common, || "not even the group of everybody appeared: nothing was tested".into());
    let note = format!("{} groups of one appeared", appeared.len());
    let found = Finding::games("groups of one person, there or not", games, eve.spent().await?, note);
    Ok(found.and("checks that the rate is below delta", checks))
}

/// The same where δ is large enough to be counted: how often a group of one passes the threshold, against δ.
pub(super) async fn threshold(field: &mut Field) -> Result<Finding, Stop> {
    let id = field.number();
    let arena = field.singles()?;
    arena.grant(&id, &Wanted { epsilon: 1.0, analyst_epsilon: 1.0, ..Wanted::default() }).await?;
    let eve = arena.asker("eve", &id)?.with("groups", "1")?.with("rows_per_group", "1")?;
    let sql = "SELECT condition_concept_id AS k, COUNT(DISTINCT person_id) AS n FROM condition_occurrence GROUP BY condition_concept_id";
    let answer = eve.ask_for(1.0, sql).await?;
    let appeared = keys(&answer, "k").len() as u64;
    // An eighth of δ is set aside for thresholds; nearly all of it went into this one question.
    let delta = LARGE_DELTA / 8.0;
    let checks = rate(appeared, CELLS as u64, delta);
    let mut found = Finding::checks("groups of one person against a threshold of a delta that can be counted", checks);
    found.times = CELLS as u64;
    found.advantage = Some(appeared as f64 / CELLS as f64);
    found.bound = Some(delta);
    if found.note.is_empty() {
        found.note = format!("share of groups of one that appear, against delta: {appeared} of {CELLS}");
    }
    Ok(found)
}

/// That so many of `groups` can have passed at `delta` each; and that some did, or nothing was tested.
fn rate(appeared: u64, groups: u64, delta: f64) -> Checks {
    let mut checks = Checks::default();
    let chance = at_least(appeared, groups, delta);
    checks.that(chance > NEVER, || format!("{appeared} of {groups} groups of one appeared at delta {delta}"));
    checks.that(appeared > groups / 200, || format!("{appeared} of {groups} appeared: the test is blind"));
    checks
}

/// Rows come sorted by key, every time, whatever the noise.
pub(super) async fn order(field: &mut Field) -> Result<Finding, Stop> {
    let both = field.both().await?;
    let mut checks = Checks::default();
    for (selected, sql) in [
        (false, by_cell("COUNT(*) AS n", "person p", "")),
        (false, "SELECT gender_concept_id AS k, COUNT(*) AS n FROM person GROUP BY gender_concept_id".into()),
        (
            true,
            "SELECT measurement_concept_id AS k, COUNT(*) AS n FROM measurement GROUP BY measurement_concept_id".into(),
        ),
        (
            true,
            "SELECT condition_concept_id AS k, COUNT(*) AS n FROM condition_occurrence GROUP BY condition_concept_id"
                .into(),
        ),
    ] {
        for answer in compare(&mut checks, &both, &sql, selected).await.iter().flatten() {
            let (first, second) = match selected || answer.schema.index_of("k").is_ok() {
                true => (answer.numbers("k"), vec![]),
                false => (answer.numbers("y"), answer.numbers("m")),
            };
            let place = |at: usize| (first.get(at).copied().flatten(), second.get(at).copied().flatten());
            let sorted = (1..first.len()).all(|at| place(at - 1).partial_cmp(&place(at)).is_some_and(|o| o.is_lt()));
            checks.that(sorted, || format!("not in the order of its keys: {sql}"));
            checks.that(answer.batches.len() <= 1, || format!("{} batches: {sql}", answer.batches.len()));
        }
    }
    Ok(Finding::checks("order and shape of rows, with and without one person", checks))
}

/// What is hidden is hidden by its noised value, which is known already.
pub(super) async fn suppression(field: &mut Field) -> Result<Finding, Stop> {
    let both = field.both().await?;
    let [eve, _] = &both;
    let mut checks = Checks::default();
    let plain = eve.ask(&by_cell("COUNT(*) AS n", "person p", "")).await?.by_cell("n");
    for least in [0, 2, 3, 5] {
        let sql = format!("{} HAVING COUNT(*) > {least}", by_cell("COUNT(*) AS n", "person p", ""));
        let kept = eve.ask(&sql).await?.by_cell("n");
        let expected: Vec<Option<f64>> = plain.iter().map(|v| v.filter(|v| *v > f64::from(least))).collect();
        checks.that(kept == expected, || format!("HAVING COUNT(*) > {least} is no function of the noised counts"));
    }
    for pack in ["jp-ndb", "round-5-redact-7", "midpoint-6", "none"] {
        let met = |asker: &super::asker::Asker| {
            let asker = asker.with("rules", pack);
            async move { Ok::<_, Stop>(asker?.ask("SELECT COUNT(*) AS n FROM death").await) }
        };
        let (with, without) = (met(&both[0]).await?, met(&both[1]).await?);
        checks.same(&format!("rules {pack}"), &seen(&with, false), &seen(&without, false));
    }
    Ok(Finding::checks("HAVING against the noised counts; rule packs with and without one person", checks))
}

/// Codes, places and vocabularies that came with the records and that only one person accounts for.
pub(super) async fn own_codes(field: &mut Field) -> Result<Finding, Stop> {
    let both = field.both().await?;
    let mut checks = Checks::default();
    for sql in [
        "SELECT state, COUNT(*) FROM location GROUP BY state",
        "SELECT * FROM location",
        "SELECT COUNT(*) AS n FROM location",
        "SELECT * FROM concept",
        "SELECT COUNT(*) AS n FROM demo.concept",
        "SELECT concept_id FROM vocab.concept",
        "SELECT COUNT(*) AS n FROM measurement t JOIN concept c ON c.concept_id = t.measurement_concept_id",
        "SELECT table_name, kind FROM sekisho.tables ORDER BY table_name",
        "SELECT code_list, code FROM sekisho.code_lists ORDER BY code_list, code",
        "SELECT state, COUNT(*) FROM demo_sample.location GROUP BY state ORDER BY state",
    ] {
        compare(&mut checks, &both, sql, false).await;
    }
    let by_place = "SELECT l.state AS k, COUNT(*) AS n FROM person p JOIN location l ON l.location_id = p.location_id GROUP BY l.state";
    for answer in compare(&mut checks, &both, by_place, true).await.iter().flatten() {
        let shown = answer.rows().iter().any(|row| row.iter().any(|v| v.to_string() == GIANTS_STATE));
        checks.that(!shown, || format!("{GIANTS_STATE} appeared, where one person lives"));
    }
    Ok(Finding::checks("places and codes of one person only, and a holder's own vocabulary", checks))
}

/// One person with sixteen thousand keys that nobody else has.
pub(super) async fn million_keys(field: &mut Field) -> Result<Finding, Stop> {
    let [with, without] = field.both().await?;
    let both = [with.with("epsilon", "8")?, without.with("epsilon", "8")?];
    let mut checks = Checks::default();
    for sql in [
        "SELECT measurement_concept_id AS k, COUNT(*) AS n FROM measurement GROUP BY measurement_concept_id",
        "SELECT measurement_concept_id AS k, SUM(least(greatest(value_as_number, 0), 1)) AS n FROM measurement GROUP BY measurement_concept_id",
        "SELECT measurement_concept_id AS k, condition_concept_id AS j, COUNT(*) AS n FROM measurement t \
         JOIN condition_occurrence c ON c.person_id = t.person_id GROUP BY 1, 2",
    ] {
        for answer in compare(&mut checks, &both, sql, true).await.iter().flatten() {
            let shown = keys(answer, "k");
            let own = shown.iter().filter(|key| (GIANTS_KEY..GIANTS_KEY + 1_000_000).contains(*key)).count();
            checks.that(own == 0, || format!("{own} keys of one person appeared: {sql}"));
            checks.that(shown.contains(&MEASUREMENT), || format!("everybody's key did not appear: {sql}"));
        }
    }
    Ok(Finding::checks("16,384 keys of one person, with and without that person", checks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_that_lets_equal_counts_pass_is_found() {
        let of = |share: f64| rate((share * CELLS as f64) as u64, CELLS as u64, 0.1);
        assert!(of(0.1).failed.is_empty() && of(0.06).failed.is_empty());
        // At epsilon 1, counting for `> T` and keeping `>= T` multiplies the chance by e.
        assert_eq!(of(0.06 * std::f64::consts::E).failed.len(), 1);
        assert_eq!(of(0.0).failed.len(), 1, "blind");
    }
}
