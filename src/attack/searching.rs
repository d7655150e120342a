//! Does a search over random questions find a pair, or a combination, that gives a person away?

use super::{
    Field, Finding,
    chance::Chance,
    field::{by_cell, look},
    finding::Checks,
    guess::{Sight, by_learning, by_likelihood},
    measure::Games,
    people::{CELLS, LOOKS, Looks, TARGET},
};
use crate::cli::Stop;

/// A condition on attributes that a neighbour may know.
#[derive(Debug, Clone)]
struct Condition {
    sql: String,
    /// Which of a cell's people it is true of.
    of: [bool; LOOKS.len()],
}

const COLUMNS: [&str; 3] = ["p.gender_concept_id", "p.race_concept_id", "p.ethnicity_concept_id"];

/// A random condition: terms over one to three attributes, any of them negated, joined by AND or OR.
fn condition(chance: &mut Chance) -> Condition {
    let and = chance.coin();
    let (mut terms, mut of) = (vec![], [and; LOOKS.len()]);
    let terms_max = 1 + chance.below(3);
    for _ in 0..terms_max {
        let column = chance.below(3) as usize;
        let look = |looks: &Looks| looks.get(column).copied().unwrap_or_default();
        let value = chance.one(&LOOKS).map_or(0, |looks| look(&looks));
        let negated = chance.coin();
        for (of, looks) in of.iter_mut().zip(&LOOKS) {
            let term = (look(looks) == value) != negated;
            *of = if and { *of && term } else { *of || term };
        }
        let name = COLUMNS.get(column).copied().unwrap_or_default();
        terms.push(format!("{name} {} {value}", if negated { "<>" } else { "=" }));
    }
    Condition { sql: format!("({})", terms.join(if and { " AND " } else { " OR " })), of }
}

impl Condition {
    fn knows_target(&self) -> bool {
        self.of.get(TARGET).copied().unwrap_or(false)
    }

    /// What a cell's count would be without and with the target.
    fn would_be(&self) -> [f64; 2] {
        let others = self.of.iter().take(TARGET).filter(|of| **of).count() as f64;
        [others, others + if self.knows_target() { 1.0 } else { 0.0 }]
    }

    fn ask(&self) -> String {
        by_cell("COUNT(*) AS n", "person p", &self.sql)
    }
}

/// Among random conditions, pairs that hold of the same known people and differ in the target: a tracker.
fn pairs(chance: &mut Chance, wanted: usize) -> Vec<[Condition; 2]> {
    let drawn: Vec<Condition> = (0..400).map(|_| condition(chance)).collect();
    let mut found: Vec<[Condition; 2]> = vec![];
    for a in drawn.iter().filter(|c| c.knows_target()) {
        let same = |b: &&Condition| !b.knows_target() && b.of.iter().take(TARGET).eq(a.of.iter().take(TARGET));
        let fresh = |b: &&Condition| !found.iter().flatten().any(|c| c.sql == b.sql || c.sql == a.sql);
        if let Some(b) = drawn.iter().filter(same).find(fresh) {
            found.push([a.clone(), b.clone()]);
        }
        if found.len() == wanted {
            break;
        }
    }
    found
}

/// Pairs of questions whose answers differ in exactly the target.
pub(super) async fn differencing(field: &mut Field) -> Result<Finding, Stop> {
    let eve = field.eve().await?;
    let wanted = field.times(4, 20);
    let pairs = pairs(&mut field.chance, wanted);
    let each = 1.0 / (2 * pairs.len().max(1)) as f64;
    let mut seen: Vec<Vec<Sight>> = vec![vec![]; CELLS];
    let mut answers = vec![];
    for condition in pairs.iter().flatten() {
        let answer = eve.ask_for(each, &condition.ask()).await?;
        look(&mut seen, &mut answers, &answer, "n", condition.would_be())?;
    }
    let guesses: Vec<bool> = seen.iter().map(|sights| by_likelihood(sights)).collect();
    let games = Games::of(&guesses, &field.secrets.targets);
    let note = format!("{} pairs found among 400 random conditions", pairs.len());
    let mut checks = Checks::default();
    checks.that(!pairs.is_empty(), || "the search found no pair".into());
    Ok(Finding::games("pairs that differ in the target", games, eve.spent().await?, note).and("search", checks))
}

/// Random questions, and a rule learnt from people whose secret is known: nothing of the mechanism is taken for granted.
pub(super) async fn automated(field: &mut Field) -> Result<Finding, Stop> {
    let eve = field.eve().await?;
    let count = field.times(8, 40);
    let mut seen: Vec<Vec<f64>> = vec![vec![]; CELLS];
    for _ in 0..count {
        let condition = condition(&mut field.chance);
        let sql = match field.chance.below(3) {
            0 => by_cell("SUM(p.year_of_birth) AS n", "person p", &condition.sql),
            1 => by_cell("AVG(p.year_of_birth) AS n", "person p", &condition.sql),
            _ => condition.ask(),
        };
        let answer = eve.ask_for(1.0 / count as f64, &sql).await?;
        for (numbers, shown) in seen.iter_mut().zip(answer.by_cell("n")) {
            numbers.push(shown.unwrap_or(0.0));
        }
    }
    let games = by_learning(&seen, &field.secrets.targets);
    let note = format!("{count} random counts, sums and means; learnt on one half, said of the other");
    Ok(Finding::games("a rule learnt over random questions", games, eve.spent().await?, note))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_finds_pairs_that_differ_in_the_target_alone() {
        let pairs = pairs(&mut Chance::seeded(3), 4);
        assert_eq!(pairs.len(), 4);
        for [with, without] in pairs {
            assert!((with.would_be()[1] - without.would_be()[1] - 1.0).abs() < f64::EPSILON);
            assert!((with.would_be()[0] - without.would_be()[0]).abs() < f64::EPSILON);
        }
    }
}
