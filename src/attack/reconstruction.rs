//! Can a whole secret column be computed back from many random sums of it?
//!
//! Dinur and Nissim 2003, as Cohen and Nissim 2020 carried it out: counts over random subsets, until every cap is used
//! up, then the assignment of the column that fits them best. Fractional values are allowed on the way and rounded at
//! the end, as in their linear programme; what is minimised is the weighted square, the likelihood of Gaussian noise.

use super::{
    Field, Finding,
    arena::Wanted,
    asker::{Answer, Asker},
    finding::Checks,
    measure::{Games, Spent},
    people::{COLUMN, CONDITION, birth_of},
};
use crate::cli::{Stop, client::ClientFault};

/// One sum over a subset, as it was shown.
struct Equation {
    of: Vec<bool>,
    shown: f64,
    variance: f64,
}

/// Which people a random linear condition on the month of birth picks, and the same in SQL.
struct Subset {
    a: u64,
    b: u64,
}

const PRIME: u64 = 7_919;
/// Sums in one question.
const SUMS: usize = 60;

impl Subset {
    fn sql(&self) -> String {
        format!("((p.year_of_birth * 12 + p.month_of_birth) * {} + {}) % {PRIME} < {}", self.a, self.b, PRIME / 2)
    }

    fn holds(&self, person: usize) -> bool {
        let (year, month) = birth_of(person);
        ((year as u64 * 12 + month as u64) * self.a + self.b) % PRIME < PRIME / 2
    }
}

/// First everything that one permit of ε 1 buys, then everything that all of them together get out of the data set.
pub(super) async fn a_column(field: &mut Field) -> Result<Finding, Stop> {
    let (small, wide, third) = (field.number(), field.number(), field.number());
    let arena = field.columns()?;
    arena.grant(&small, &Wanted { epsilon: 1.0, analyst_epsilon: 1.0, ..Wanted::default() }).await?;
    let all = Wanted { epsilon: 8.0, analyst_epsilon: 8.0, ..Wanted::default() };
    arena.grant(&wide, &Wanted { who: &["mallory", "trudy"], ..all.clone() }).await?;
    arena.grant(&third, &Wanted { who: &["trudy"], ..all }).await?;
    let (eve, mallory, trudy) =
        (arena.asker("eve", &small)?, arena.asker("mallory", &wide)?, arena.asker("trudy", &third)?);

    let mut equations = vec![];
    let mut asked = vec![];
    let each = if field.short { 0.25 } else { 0.1 };
    asked.push(exhaust(field, &eve, each / 2.0, &mut equations).await?);
    let one = eve.spent().await?;
    let under_one = guess(&equations, &field.column);
    for asker in [&mallory, &trudy] {
        asked.push(exhaust(field, asker, each, &mut equations).await?);
    }
    // What no longer fits as a large question may fit as a small one.
    for (asker, part) in [(&mallory, 8.0), (&trudy, 64.0)] {
        asked.push(exhaust(field, asker, each / part, &mut equations).await?);
    }
    let dataset = field.columns()?.spent("dataset/demo").await?;
    let spent = Spent { epsilon: dataset, delta: DELTA };
    let under_all = guess(&equations, &field.column);

    let mut checks = Checks::default();
    checks.that(!under_one.beat(one.bound()), || {
        format!("under one permit {:.3} where {:.3} is allowed", under_one.advantage(), one.bound())
    });
    checks.that(dataset <= 8.0 + 1e-6, || format!("the data set has spent {dataset}"));
    checks.that(asked.iter().sum::<usize>() > 0, || "nothing was answered".into());
    let note = format!(
        "{} sums in {} questions by three accounts; under one permit (epsilon {:.2}) advantage {:.3} of {:.3}, \
         under all (epsilon {dataset:.2}) {:.1} % of the column right",
        equations.len(),
        asked.iter().sum::<usize>(),
        one.epsilon,
        under_one.advantage(),
        one.bound(),
        100.0 * under_all.right as f64 / under_all.played as f64,
    );
    Ok(Finding::games("a column of 240 from random subset sums", under_all, spent, note).and("checks", checks))
}

/// Asks until the budget is refused; how many questions were answered.
async fn exhaust(field: &mut Field, asker: &Asker, each: f64, into: &mut Vec<Equation>) -> Result<usize, Stop> {
    let mut answered = 0;
    loop {
        let draw = |_| Subset { a: 1 + field.chance.below(PRIME - 1), b: field.chance.below(PRIME) };
        let subsets: Vec<Subset> = (0..SUMS).map(draw).collect();
        match asker.ask_for(each, &question(&subsets)).await {
            Ok(answer) => read(&answer, &subsets, into)?,
            Err(ClientFault::Refused { code, .. }) if code == "budget_exhausted" => return Ok(answered),
            Err(fault) => return Err(fault.into()),
        }
        answered += 1;
    }
}

fn question(subsets: &[Subset]) -> String {
    let sum = |(n, subset): (usize, &Subset)| format!("COUNT(*) FILTER (WHERE {}) AS s{n}", subset.sql());
    let sums: Vec<String> = subsets.iter().enumerate().map(sum).collect();
    format!(
        "SELECT {} FROM person p WHERE EXISTS (SELECT 1 FROM condition_occurrence c WHERE c.person_id = p.person_id \
         AND c.condition_concept_id = {CONDITION})",
        sums.join(", ")
    )
}

fn read(answer: &Answer, subsets: &[Subset], into: &mut Vec<Equation>) -> Result<(), Stop> {
    for (n, subset) in subsets.iter().enumerate() {
        let name = format!("s{n}");
        let shown = answer.numbers(&name).first().copied().flatten();
        let (Some(shown), Some(noise)) = (shown, answer.noise(&name)) else {
            return Err(Stop::Fault("a sum came without value or noise".into()));
        };
        let of = (0..COLUMN).map(|person| subset.holds(person)).collect();
        into.push(Equation { of, shown, variance: noise.variance() });
    }
    Ok(())
}

fn guess(equations: &[Equation], truth: &[bool]) -> Games {
    Games::of(&fit(equations, truth.len()), truth)
}

/// The column between 0 and 1 that fits best, by projected gradients with momentum, rounded.
fn fit(equations: &[Equation], people: usize) -> Vec<bool> {
    let all: f64 = equations.iter().map(|e| 1.0 / e.variance).sum::<f64>().max(f64::MIN_POSITIVE);
    let (mut column, mut before) = (vec![0.5_f64; people], vec![0.5_f64; people]);
    // The largest curvature is that of everybody together: a quarter of people per equation, by their weights.
    let step = 1.0 / (0.30 * people as f64);
    for round in 0..ROUNDS {
        let momentum = f64::from(round) / (f64::from(round) + 3.0);
        let ahead: Vec<f64> = column.iter().zip(&before).map(|(now, last)| now + momentum * (now - last)).collect();
        let mut slope = vec![0.0; people];
        for equation in equations {
            let members = ahead.iter().zip(&equation.of).filter(|(_, of)| **of);
            let off = (members.map(|(value, _)| value).sum::<f64>() - equation.shown) / (equation.variance * all);
            slope.iter_mut().zip(&equation.of).filter(|(_, of)| **of).for_each(|(slope, _)| *slope += off);
        }
        let next = ahead.iter().zip(&slope).map(|(value, slope)| (value - step * slope).clamp(0.0, 1.0)).collect();
        before = std::mem::replace(&mut column, next);
    }
    column.iter().map(|value| *value > 0.5).collect()
}

const ROUNDS: u32 = 300;
/// δ of the enclave's caps.
const DELTA: f64 = 1e-4;

#[cfg(test)]
mod tests {
    use super::super::{Verdict, chance::Chance};
    use super::*;

    /// Answers to random sums with normal noise of `sigma`.
    fn answers(chance: &mut Chance, truth: &[bool], count: usize, sigma: f64) -> Vec<Equation> {
        let sum = |chance: &mut Chance| {
            let subset = Subset { a: 1 + chance.below(PRIME - 1), b: chance.below(PRIME) };
            let of: Vec<bool> = (0..truth.len()).map(|person| subset.holds(person)).collect();
            let exact = of.iter().zip(truth).filter(|(of, truth)| **of && **truth).count() as f64;
            let normal = (-2.0 * chance.unit().ln()).sqrt() * (std::f64::consts::TAU * chance.unit()).cos();
            Equation { of, shown: exact + sigma * normal, variance: sigma * sigma }
        };
        (0..count).map(|_| sum(chance)).collect()
    }

    #[test]
    fn little_noise_gives_the_whole_column_away() {
        let mut chance = Chance::seeded(2);
        let truth = chance.coins(COLUMN);
        let games = guess(&answers(&mut chance, &truth, 1_200, 2.0), &truth);
        assert!(games.advantage() > 0.9, "{games:?}");
        let claimed = Spent { epsilon: 1.0, delta: 1e-4 };
        assert_eq!(Finding::games("", games, claimed, "").verdict, Verdict::Broken, "claimed as epsilon 1");
    }

    #[test]
    fn much_noise_gives_little() {
        let mut chance = Chance::seeded(2);
        let truth = chance.coins(COLUMN);
        let games = guess(&answers(&mut chance, &truth, 1_200, 120.0), &truth);
        assert!(games.advantage() < 0.4, "{games:?}");
    }
}
