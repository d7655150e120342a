//! Does asking often, in other words or with other conditions, wear the noise off?

use super::{
    Field, Finding,
    arena::Wanted,
    asker::Answer,
    chance::Chance,
    field::{by_cell, look},
    finding::Checks,
    guess::{Sight, by_likelihood},
    measure::{Games, SIGMAS, Spent, at_least, correlation},
    people::CELLS,
};
use crate::cli::Stop;

/// Without the target a cell has two people; with them three.
const PEOPLE: [f64; 2] = [2.0, 3.0];

fn people(target: bool) -> f64 {
    if target { 3.0 } else { 2.0 }
}

/// The same question in every form, by three accounts under two permits: one draw, or as many as were charged.
pub(super) async fn the_same_again(field: &mut Field) -> Result<Finding, Stop> {
    let (first, rival) = (field.number(), field.number());
    let arena = field.with()?;
    arena.grant(&first, &Wanted::default()).await?;
    arena.grant(&rival, &Wanted { who: &["trudy"], ..Wanted::default() }).await?;
    let (eve, mallory, trudy) =
        (arena.asker("eve", &first)?, arena.asker("mallory", &first)?, arena.asker("trudy", &rival)?);
    let mut seen: Vec<Vec<Sight>> = vec![vec![]; CELLS];
    let (mut answers, mut asked) = (vec![], 0_u64);
    for _ in 0..field.times(1, 8) {
        for (n, sql) in forms().iter().enumerate() {
            let asker = if n % 3 == 2 { &mallory } else { &eve };
            let answer = if n % 4 == 3 { asker.ask_prepared(1.0, sql).await? } else { asker.ask_for(1.0, sql).await? };
            look(&mut seen, &mut answers, &answer, "n", PEOPLE)?;
            asked += 1;
        }
    }
    let mut spent = eve.spent().await?;
    let before = answers.len();
    for sql in forms().iter().take(3) {
        look(&mut seen, &mut answers, &trudy.ask_for(1.0, sql).await?, "n", PEOPLE)?;
        asked += 1;
    }
    if answers.len() > before {
        // Fresh noise for the rival: then both permits' losses are about the same people.
        let more = trudy.spent().await?;
        spent = Spent { epsilon: spent.epsilon + more.epsilon, delta: spent.delta + more.delta };
    }
    let note = format!("{asked} questions by three accounts under two permits: {} draws", answers.len());
    Ok(Finding::games("one count in other words, prepared, by others", play(field, &seen), spent, note))
}

/// One question in many words.
fn forms() -> Vec<String> {
    let keys = "p.year_of_birth, p.month_of_birth";
    let day = "p.day_of_birth = 1 AND p.month_of_birth IS NOT NULL";
    vec![
        by_cell("COUNT(*) AS n", "person p", ""),
        by_cell("COUNT(*) AS n", "person p", ""),
        by_cell("COUNT(1) AS n", "demo.person AS p", ""),
        format!("select p.year_of_birth y, p.month_of_birth m, count(*) n from person p where {day} group by 1, 2"),
        format!("SELECT p.year_of_birth AS y, p.month_of_birth AS m, COUNT(*) AS n FROM person p WHERE {day} GROUP BY {keys} ORDER BY n DESC"),
        format!("SELECT p.year_of_birth AS y, p.month_of_birth AS m, COUNT(*) AS n FROM person p WHERE {day} GROUP BY {keys} HAVING COUNT(*) > -1000"),
        format!("SELECT p.year_of_birth AS y, p.month_of_birth AS m, COUNT(*) AS n FROM person p WHERE {day} GROUP BY {keys} LIMIT 100000"),
        "SELECT p.year_of_birth AS y, p.month_of_birth AS m, COUNT(*) AS n FROM person p WHERE p.month_of_birth IS NOT NULL AND p.day_of_birth = 1 GROUP BY p.month_of_birth, p.year_of_birth".into(),
        "SELECT p.year_of_birth AS y, p.month_of_birth AS m, COUNT(*) AS n FROM person p WHERE p.day_of_birth = 0 + 1 AND p.month_of_birth IS NOT NULL GROUP BY 1, 2".into(),
        format!("WITH w AS (SELECT * FROM person) SELECT p.year_of_birth AS y, p.month_of_birth AS m, COUNT(*) AS n FROM w p WHERE {day} GROUP BY 1, 2"),
        format!("SELECT q.y, q.m, q.n FROM (SELECT p.year_of_birth AS y, p.month_of_birth AS m, COUNT(*) AS n FROM person p WHERE {day} GROUP BY 1, 2) q"),
        format!("SELECT p.year_of_birth AS y, p.month_of_birth AS m, COUNT(*) AS n FROM person p WHERE NOT (NOT ({day})) GROUP BY 1, 2"),
    ]
}

fn play(field: &Field, seen: &[Vec<Sight>]) -> Games {
    let guesses: Vec<bool> = seen.iter().map(|sights| by_likelihood(sights)).collect();
    Games::of(&guesses, &field.secrets.targets)
}

/// Conditions that change nothing, each of which would have its own layer of noise if noise hung on conditions: layers
/// that cancel in differences, or repeat.
pub(super) async fn sticky(field: &mut Field) -> Result<Finding, Stop> {
    let eve = field.eve().await?;
    let dummies = [
        "p.year_of_birth < 2100",
        "p.gender_concept_id > 0",
        "p.race_concept_id <> 8557",
        "p.ethnicity_concept_id IN (38003563, 38003564)",
        "p.gender_concept_id <> 8551",
        "p.race_concept_id BETWEEN 8000 AND 9000",
    ];
    let mut seen: Vec<Vec<Sight>> = vec![vec![]; CELLS];
    let mut answers = vec![];
    for dummy in dummies {
        let answer = eve.ask_for(1.0 / 6.0, &by_cell("COUNT(*) AS n", "person p", dummy)).await?;
        look(&mut seen, &mut answers, &answer, "n", PEOPLE)?;
    }
    // What is left of the noise when the truth, known to us alone, is taken off: no two answers may share any.
    let left = |cells: &Vec<Option<f64>>| -> Vec<f64> {
        cells.iter().zip(&field.secrets.targets).map(|(v, t)| v.unwrap_or(0.0) - people(*t)).collect()
    };
    let left: Vec<Vec<f64>> = answers.iter().map(left).collect();
    let checks = nothing_shared(&left);
    let note = format!("{} conditions, {} draws", dummies.len(), answers.len());
    let found = Finding::games("conditions that change nothing", play(field, &seen), eve.spent().await?, note);
    Ok(found.and("correlations of noise, none beyond chance", checks))
}

/// That no two of these noises have anything in common.
fn nothing_shared(noises: &[Vec<f64>]) -> Checks {
    let mut checks = Checks::default();
    for (n, a) in noises.iter().enumerate() {
        for b in noises.iter().skip(n + 1) {
            let pairs: Vec<(f64, f64)> = a.iter().copied().zip(b.iter().copied()).collect();
            let (r, sigmas) = correlation(&pairs);
            checks.that(sigmas.abs() < SIGMAS + 1.0, || format!("the noise of two answers correlates by {r:.3}"));
        }
    }
    checks
}

/// If noise had an end, a value beyond it would give the secret away for certain.
pub(super) async fn bounded(field: &mut Field) -> Result<Finding, Stop> {
    let eve = field.eve().await?;
    // Of her own: what another permit asked before is served, with the noise that it was drawn with.
    let own = by_cell("COUNT(*) AS n", "person p", "p.year_of_birth > 1006");
    let answer = eve.ask_for(0.25, &own).await?;
    let shown = cells(&answer)?;
    let half = answer.half_width("n").ok_or_else(|| Stop::Fault("no half-width".into()))?;
    let (games, end) = beyond_the_end(&shown, &field.secrets.targets, &mut field.chance);
    let truth = shown.iter().zip(&field.secrets.targets).map(|(shown, target)| (shown - people(*target)).abs());
    let beyond = truth.filter(|left| *left > half).count() as u64;
    let checks = honest_width(beyond, CELLS as u64);
    let note = format!("{beyond} of {CELLS} beyond the stated 95 % half-width {half}, the furthest {end}");
    let found = Finding::games("beyond the furthest noise seen", games, eve.spent().await?, note);
    Ok(found.and("checks of the tail", checks))
}

/// Takes the furthest noise among people whose secret is known for the furthest there is, and says of the others what
/// only one of both could have shown; else a coin. The end that it found comes along.
fn beyond_the_end(shown: &[f64], secrets: &[bool], chance: &mut Chance) -> (Games, f64) {
    let all = || shown.iter().copied().zip(secrets.iter().copied());
    let end = all().step_by(2).fold(0.0_f64, |end, (shown, secret)| end.max((shown - people(secret)).abs()));
    let (mut guesses, mut truth) = (vec![], vec![]);
    for (value, secret) in all().skip(1).step_by(2) {
        let certain =
            if value - people(false) > end { Some(true) } else { (value - people(true) < -end).then_some(false) };
        guesses.push(certain.unwrap_or_else(|| chance.coin()));
        truth.push(secret);
    }
    (Games::of(&guesses, &truth), end)
}

/// That as many values are beyond their 95 % half-width as there should be: not more, and not none.
fn honest_width(beyond: u64, of: u64) -> Checks {
    let mut checks = Checks::default();
    checks.that(at_least(beyond, of, 0.05) > 1e-6, || format!("{beyond} of {of} are beyond the 95 % half-width"));
    checks.that(beyond > of / 200, || format!("only {beyond} of {of} are beyond the 95 % half-width"));
    checks
}

/// Many small questions about the same people: does the ledger count all that they show together?
pub(super) async fn bookkeeping(field: &mut Field) -> Result<Finding, Stop> {
    let eve = field.eve().await?;
    let count = field.times(16, 60);
    let mut seen: Vec<Vec<Sight>> = vec![vec![]; CELLS];
    let mut answers = vec![];
    for n in 0..count {
        // The target is in each: other conditions, the same person.
        let sql = by_cell("COUNT(*) AS n", "person p", &format!("p.race_concept_id <> {}", 9_000 + n));
        look(&mut seen, &mut answers, &eve.ask_for(1.6 / count as f64, &sql).await?, "n", PEOPLE)?;
    }
    let mut checks = Checks::default();
    checks.that(answers.len() == count, || format!("{} draws for {count} charges", answers.len()));
    let note = format!("{count} questions on the same people, by the ledger together");
    let found = Finding::games("many small charges against their sum", play(field, &seen), eve.spent().await?, note);
    Ok(found.and("check that every charge had its own draw", checks))
}

/// One subquery read twice in one question: drawn twice and charged once?
pub(super) async fn twice_in_one(field: &mut Field) -> Result<Finding, Stop> {
    let eve = field.eve().await?;
    let inner = by_cell("COUNT(*) AS n", "person p", "");
    let (mut draws, mut checks): (Vec<Vec<Option<f64>>>, _) = (vec![], Checks::default());
    let joined = eve
        .ask_for(
            1.0,
            &format!(
                "WITH r AS ({inner}) SELECT a.y, a.m, a.n, b.n AS again FROM r a JOIN r b ON a.y = b.y AND a.m = b.m"
            ),
        )
        .await?;
    let united = eve
        .ask_for(1.0, &format!("WITH r AS ({inner}) SELECT y, m, n FROM r UNION ALL SELECT y, m, -n FROM r"))
        .await?;
    let twice = united.by_cell("n");
    // Of both signs the last stays per cell: as amounts they are the draw.
    let amounts = |cells: Vec<Option<f64>>| cells.into_iter().map(|v| v.map(f64::abs)).collect::<Vec<_>>();
    let plain = eve.ask_for(1.0, &inner).await?;
    for (name, cells) in [("a.n", joined.by_cell("n")), ("b.n", joined.by_cell("again")), ("n", plain.by_cell("n"))] {
        checks.that(draws.first().is_none_or(|first| *first == cells), || format!("{name} is another draw"));
        checks.that(amounts(cells.clone()) == amounts(twice.clone()), || format!("{name} is not what UNION ALL shows"));
        if !draws.contains(&cells) {
            draws.push(cells);
        }
    }
    let noise = plain.noise("n").ok_or_else(|| Stop::Fault("n states no noise".into()))?;
    let sights = |cell: usize| -> Vec<Sight> {
        let shown = draws.iter().filter_map(|draw| draw.get(cell).copied().flatten());
        shown.map(|shown| Sight { shown, would_be: PEOPLE, noise }).collect()
    };
    let seen: Vec<Vec<Sight>> = (0..CELLS).map(sights).collect();
    let spent = eve.spent().await?;
    let note = format!("{} draws for epsilon {:.3}", draws.len(), spent.epsilon);
    let found = Finding::games("WITH read twice: joined to itself, and UNION ALL", play(field, &seen), spent, note);
    Ok(found.and("checks that both are one draw", checks))
}

fn cells(answer: &Answer) -> Result<Vec<f64>, Stop> {
    let cells: Option<Vec<f64>> = answer.by_cell("n").into_iter().collect();
    cells.ok_or_else(|| Stop::Fault("a public group is missing from the answer".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_that_hangs_on_the_person_and_not_on_the_question_is_found() {
        let mut chance = Chance::seeded(4);
        let mut noise = |layer: &[f64], share: f64| -> Vec<f64> {
            layer.iter().map(|sticky| share * sticky + chance.unit() - 0.5).collect()
        };
        let none = vec![0.0; CELLS];
        let layer = noise(&none, 0.0);
        let (sticky, fresh) = ([noise(&layer, 0.5), noise(&layer, 0.5)], [noise(&none, 0.0), noise(&none, 0.0)]);
        assert_eq!(nothing_shared(&sticky).failed.len(), 1);
        assert!(nothing_shared(&fresh).failed.is_empty());
    }

    #[test]
    fn noise_with_an_end_gives_people_away_and_its_width_is_no_honest_one() {
        let mut chance = Chance::seeded(9);
        let secrets = chance.coins(CELLS);
        // Whole numbers from −1 to 1: what a table builder adds.
        let shown: Vec<f64> = secrets.iter().map(|s| people(*s) + chance.below(3) as f64 - 1.0).collect();
        let (games, end) = beyond_the_end(&shown, &secrets, &mut chance);
        assert!((end - 1.0).abs() < f64::EPSILON);
        assert!(games.beat(Spent { epsilon: 0.25, delta: 0.0 }.bound()), "{games:?}");
        assert_eq!(honest_width(0, 1_572).failed.len(), 1, "bounded");
        assert_eq!(honest_width(300, 1_572).failed.len(), 1, "wider than stated");
        assert!(honest_width(60, 1_572).failed.is_empty());
    }
}
