//! Against what is everything played?
//!
//! Up to six enclaves: two with the same people but one; two more of these that release as in service, for the clocks; one
//! whose whole column is the secret under the default caps; and one whose δ is large enough to be measured.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::{
    arena::{self, Arena, Ground, Wanted},
    asker::{Answer, Asker, seen},
    chance::Chance,
    finding::Checks,
    guess::{Noise, Sight},
    people::{self, CELLS, Secrets},
};
use crate::cli::Stop;

/// What is to be attacked, where and how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The numbers of the attacks.
    pub rows: Vec<u8>,
    /// The directory below which the enclaves are made; it must not exist or be empty.
    pub directory: PathBuf,
    /// As long as one waits for a change to be checked, instead of as long as it takes.
    pub short: bool,
}

/// The enclaves while they are made: directory and password of each.
pub struct Made {
    short: bool,
    directory: PathBuf,
    chance: Chance,
    secrets: Secrets,
    column: Vec<bool>,
    made: [Option<(PathBuf, String)>; 6],
}

/// Everything that attacks need.
pub struct Field {
    /// Whether to be brief.
    pub short: bool,
    /// The folder that holds the enclaves.
    pub directory: PathBuf,
    /// Coins for questions.
    pub chance: Chance,
    /// Who is in, cell by cell.
    pub secrets: Secrets,
    /// Who of the column has the condition.
    pub column: Vec<bool>,
    with: Option<Arena>,
    without: Option<Arena>,
    columns: Option<Arena>,
    singles: Option<Arena>,
    clocks: [Option<Arena>; 2],
    permits: u32,
    /// The password of the enclave without the giant, for opening it again.
    pub password: String,
}

/// δ of the enclave where δ is measured.
pub const LARGE_DELTA: f64 = 0.4;
/// Where the enclave without the giant stands among those made.
const WITHOUT: usize = 1;
/// Attacks on a whole column, and on the caps over everybody.
const ON_COLUMNS: [u8; 3] = [3, 23, 43];
const ON_SINGLES: [u8; 1] = [27];
const ON_CLOCKS: [u8; 3] = [10, 11, 38];
/// What the names of enclaves for the clocks begin with.
const CLOCK: &str = "clock-";
const ON_NONE: [u8; 2] = [31, 42];

impl Field {
    /// Makes the enclaves that `rows` need.
    ///
    /// # Errors
    /// [`Stop`] where one cannot be made.
    pub fn make(plan: &Plan, rows: &BTreeSet<u8>) -> Result<Made, Stop> {
        let mut chance = Chance::fresh()?;
        let secrets = Secrets { targets: chance.coins(CELLS), households: chance.coins(CELLS) };
        let column = chance.coins(people::COLUMN);
        let root = std::path::absolute(&plan.directory).map_err(|fault| disk(&plan.directory, &fault))?;
        let delivery = |name: &str| root.join("people").join(name);
        let enclave = |name: &str, population_max, cap, datasets, people: &Path| {
            // Where time is not what is attacked, nobody waits for a deadline.
            let at_deadline = name.starts_with(CLOCK);
            let ground = Ground { directory: root.join(name), population_max, cap, datasets, at_deadline };
            arena::make(&ground, people).map(|password| Some((ground.directory, password)))
        };
        let (wide, large) = ((1000.0, 1e-5), (1000.0, LARGE_DELTA));
        let uses = |of: &[u8]| rows.iter().any(|row| of.contains(row));
        let others = [&ON_COLUMNS[..], &ON_SINGLES, &ON_CLOCKS, &ON_NONE].concat();
        let on_cells = rows.iter().any(|row| !others.contains(row));
        for (name, giant) in [("with", true), ("without", false)] {
            if on_cells || uses(&ON_CLOCKS) {
                people::cells(&delivery(name), &secrets, giant)?;
            }
        }
        let cells = |wanted: bool, name: &str, people: &str| match wanted {
            true => enclave(name, 10_000, wide, &["demo"], &delivery(people)),
            false => Ok(None),
        };
        let with = cells(on_cells, "with", "with")?;
        let without = cells(on_cells, "without", "without")?;
        let clocks =
            [cells(uses(&ON_CLOCKS), "clock-with", "with")?, cells(uses(&ON_CLOCKS), "clock-without", "without")?];
        let (mut columns, mut singles) = (None, None);
        if uses(&ON_COLUMNS) {
            people::column(&delivery("column"), &column)?;
            columns = enclave("column", 240, (8.0, 1e-4), &["demo", "again"], &delivery("column"))?;
        }
        if uses(&ON_SINGLES) {
            people::singles(&delivery("singles"))?;
            singles = enclave("singles", 1_600, large, &["demo"], &delivery("singles"))?;
        }
        let [clock_with, clock_without] = clocks;
        let made = [with, without, columns, singles, clock_with, clock_without];
        Ok(Made { short: plan.short, directory: root, chance, secrets, column, made })
    }

    /// The enclave with the giant.
    ///
    /// # Errors
    /// [`Stop::Fault`] where it was not made.
    pub fn with(&self) -> Result<&Arena, Stop> {
        self.with.as_ref().ok_or_else(not_made)
    }

    /// The same without.
    ///
    /// # Errors
    /// [`Stop::Fault`] where it was not made.
    pub fn without(&self) -> Result<&Arena, Stop> {
        self.without.as_ref().ok_or_else(not_made)
    }

    /// Takes the enclave without the giant, to close it.
    ///
    /// # Errors
    /// [`Stop::Fault`] where it was not made.
    pub fn take_without(&mut self) -> Result<Arena, Stop> {
        self.without.take().ok_or_else(not_made)
    }

    /// The enclave whose column is secret.
    ///
    /// # Errors
    /// [`Stop::Fault`] where it was not made.
    pub fn columns(&self) -> Result<&Arena, Stop> {
        self.columns.as_ref().ok_or_else(not_made)
    }

    /// The enclave of many groups of one.
    ///
    /// # Errors
    /// [`Stop::Fault`] where it was not made.
    pub fn singles(&self) -> Result<&Arena, Stop> {
        self.singles.as_ref().ok_or_else(not_made)
    }

    /// The two enclaves that release as in service: with the giant, and without.
    ///
    /// # Errors
    /// [`Stop::Fault`] where they were not made.
    pub fn in_service(&self) -> Result<[&Arena; 2], Stop> {
        match &self.clocks {
            [Some(with), Some(without)] => Ok([with, without]),
            _ => Err(not_made()),
        }
    }

    /// As [`Field::both`], in those.
    ///
    /// # Errors
    /// [`Stop`], a refusal among others.
    pub async fn both_in_service(&mut self) -> Result<[Asker; 2], Stop> {
        let id = self.number();
        let [with, without] = self.in_service()?;
        for arena in [with, without] {
            arena.grant(&id, &Wanted::default()).await?;
        }
        // The attacker chooses the shortest rung of the ladder that the work fits into: what is made sooner shows best.
        Ok([with.asker("eve", &id)?.with("deadline", "1")?, without.asker("eve", &id)?.with("deadline", "1")?])
    }

    /// A number that no permit has.
    pub fn number(&mut self) -> String {
        self.permits += 1;
        format!("P-ATTACK-{:04}", self.permits)
    }

    /// Eve under a fresh permit where the giant is.
    ///
    /// # Errors
    /// [`Stop`], a refusal among others.
    pub async fn eve(&mut self) -> Result<Asker, Stop> {
        let id = self.number();
        let arena = self.with()?;
        arena.grant(&id, &Wanted::default()).await?;
        arena.asker("eve", &id)
    }

    /// Eve under a fresh permit of the same number on both sides: with the giant, and without.
    ///
    /// # Errors
    /// [`Stop`], a refusal among others.
    pub async fn both(&mut self) -> Result<[Asker; 2], Stop> {
        let id = self.number();
        for arena in [self.with()?, self.without()?] {
            arena.grant(&id, &Wanted::default()).await?;
        }
        Ok([self.with()?.asker("eve", &id)?, self.without()?.asker("eve", &id)?])
    }

    /// How often, in short or at length.
    #[must_use]
    pub fn times(&self, brief: usize, long: usize) -> usize {
        if self.short { brief } else { long }
    }

    /// Closes every gateway.
    ///
    /// # Errors
    /// [`Stop`] where one had stopped by itself.
    pub async fn close(self) -> Result<(), Stop> {
        let [clock_with, clock_without] = self.clocks;
        let all = [self.with, self.without, self.columns, self.singles, clock_with, clock_without];
        for arena in all.into_iter().flatten() {
            arena.close().await?;
        }
        Ok(())
    }
}

impl Made {
    /// Opens them all.
    ///
    /// # Errors
    /// [`Stop`] where one does not open.
    pub async fn open(self) -> Result<Field, Stop> {
        let password = self.made[WITHOUT].as_ref().map(|(_, password)| password.clone()).unwrap_or_default();
        let mut open = [const { None }; 6];
        for (arena, made) in open.iter_mut().zip(&self.made) {
            if let Some((directory, password)) = made {
                *arena = Some(Arena::open(directory, password).await?);
            }
        }
        let [with, without, columns, singles, clock_with, clock_without] = open;
        let clocks = [clock_with, clock_without];
        let Self { short, directory, chance, secrets, column, .. } = self;
        let permits = 0;
        Ok(Field {
            short,
            directory,
            chance,
            secrets,
            column,
            with,
            without,
            columns,
            singles,
            clocks,
            permits,
            password,
        })
    }
}

/// A question that has a cell for each target: `aggregates` over `from`, where `person` is called p.
#[must_use]
pub fn by_cell(aggregates: &str, from: &str, also: &str) -> String {
    on_day(1, aggregates, from, also)
}

/// The same about those born on another day of the month, where the households are.
#[must_use]
pub fn on_day(day: u32, aggregates: &str, from: &str, also: &str) -> String {
    let and = if also.is_empty() { "" } else { " AND " };
    format!(
        "SELECT p.year_of_birth AS y, p.month_of_birth AS m, {aggregates} FROM {from} \
         WHERE p.day_of_birth = {day} AND p.month_of_birth IS NOT NULL{and}{also} \
         GROUP BY p.year_of_birth, p.month_of_birth"
    )
}

/// Adds to what was seen of each target the column `shown` of `answer`, unless the same noise was seen before.
///
/// # Errors
/// [`Stop::Fault`] where the answer is not of the form that was asked for.
pub fn look(
    seen: &mut [Vec<Sight>],
    answers: &mut Vec<Vec<Option<f64>>>,
    answer: &Answer,
    shown: &str,
    would_be: [f64; 2],
) -> Result<(), Stop> {
    let cells = answer.by_cell(shown);
    if answers.contains(&cells) {
        return Ok(());
    }
    let noise: Noise = answer.noise(shown).ok_or_else(|| Stop::Fault(format!("{shown} states no noise")))?;
    for (sights, value) in seen.iter_mut().zip(&cells) {
        let shown = value.ok_or_else(|| Stop::Fault("a public group is missing from the answer".into()))?;
        sights.push(Sight { shown, would_be, noise });
    }
    answers.push(cells);
    Ok(())
}

/// Asks both enclaves the same and compares everything but the noise.
pub async fn compare(checks: &mut Checks, both: &[Asker; 2], sql: &str, selected: bool) -> [Option<Answer>; 2] {
    let [with, without] = both;
    let (with, without) = (with.ask(sql).await, without.ask(sql).await);
    checks.same(sql, &seen(&with, selected), &seen(&without, selected));
    [with.ok(), without.ok()]
}

fn not_made() -> Stop {
    Stop::Fault("this attack's enclave was not made".into())
}

fn disk(path: &Path, fault: &std::io::Error) -> Stop {
    Stop::Fault(format!("{}: {fault}", path.display()))
}

/// Removes what was made.
///
/// # Errors
/// [`Stop::Fault`] where it cannot be removed.
pub fn remove(directory: &Path) -> Result<(), Stop> {
    fs::remove_dir_all(directory).map_err(|fault| disk(directory, &fault))
}
