//! Does removing one person change any exact vector by more than was claimed?

use std::{cell::RefCell, collections::BTreeSet};

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use sekisho::{
    engine::Engine,
    privacy::{Analysis, Bounds, Kind, Release},
    sql::Directory,
};

use super::{
    database::{Database, Manner},
    grammar::Question,
    run::{Case, Opened, SEED, all_cores, ask, cases, directory, engine, exact_given, runtime, say, unplanned},
};

/// One database serves this many questions.
const QUESTIONS_PER_DATABASE: u64 = 25;
const REMOVALS: usize = 3;

struct World {
    directory: Directory,
    engines: Vec<(usize, Engine)>,
    runtime: tokio::runtime::Runtime,
    database: RefCell<Option<(u64, Database)>>,
}

impl World {
    fn new() -> Self {
        let engines = [1, 7, 8192].into_iter().map(|rows| (rows, engine(1, rows))).collect();
        Self { directory: directory(), engines, runtime: runtime(), database: RefCell::new(None) }
    }

    fn database(&self, number: u64) -> Database {
        let mut kept = self.database.borrow_mut();
        match kept.as_ref() {
            Some((known, database)) if *known == number => database.clone(),
            _ => {
                let database = Database::random(SEED ^ (number << 32), Manner::Wild);
                *kept = Some((number, database.clone()));
                database
            }
        }
    }
}

/// How one question is run.
struct Setting<'a> {
    engine: &'a Engine,
    ranges: u32,
    batch_rows: usize,
}

#[test]
fn removing_any_person_changes_no_vector_by_more_than_was_claimed() {
    let tally = all_cores(cases(10_000), World::new, one_question);
    tally.report("sensitivity oracle", "removals");
    say(&format!("sensitivity oracle: answered questions that used each form: {:?}", tally.labels));
    tally.assert_clean();
    assert!(tally.cases < 1000 || tally.answered_percent() >= 60, "too few questions are answered");
}

fn one_question(world: &World, number: u64) -> Case {
    let question = Question::random(SEED.wrapping_add(number.wrapping_mul(0x9e37_79b9)), true);
    let mut rng = ChaCha8Rng::seed_from_u64(SEED ^ number);
    let bounds = Bounds {
        work_rows_max: *[1, 16, 1000, 65_536, 65_536].choose(&mut rng).unwrap(),
        cells_max: *[6, 1000, 100_000].choose(&mut rng).unwrap(),
        population_max: 100,
    };
    let mut case = Case { labels: question.labels.clone(), ..Case::default() };
    let analysis = match ask(&world.directory, &question.sql, &question.asked, &bounds) {
        Ok(analysis) => analysis,
        Err(refusal) => {
            case.refused = Some(refusal.code());
            return case;
        }
    };
    let (batch_rows, engine) = world.engines.choose(&mut rng).unwrap();
    let setting = Setting { engine, ranges: rng.random_range(1..3), batch_rows: *batch_rows };
    let database = world.database(number / QUESTIONS_PER_DATABASE);
    let violation = world.runtime.block_on(async {
        let whole = match run(&setting, &analysis, &database).await {
            Ok(whole) => whole,
            Err(fault) if fault == UNPLANNED => {
                case.refused = Some(UNPLANNED);
                return None;
            }
            Err(fault) => return Some(shrunk_fault(&setting, &analysis, &database, &fault).await),
        };
        case.answered = true;
        for person in persons(&database, &mut rng) {
            case.checks += 1;
            if let Some(violated) = removal(&setting, &analysis, &database, &whole, person).await {
                return Some(shrunk(&setting, &analysis, &database, person, violated).await);
            }
        }
        None
    });
    case.violation =
        violation.map(|v| format!("question {number}: {}\n{:?} {bounds:?}\n{v}", question.sql, question.asked));
    case
}

/// The person with the most rows and some others.
fn persons(database: &Database, rng: &mut ChaCha8Rng) -> BTreeSet<i64> {
    let heaviest = (0..database.persons).max_by_key(|p| database.rows_of(*p));
    heaviest.into_iter().chain((1..REMOVALS).map(|_| rng.random_range(0..database.persons))).collect()
}

const UNPLANNED: &str = "engine_unplanned";

async fn run(setting: &Setting<'_>, analysis: &Analysis, database: &Database) -> Result<Vec<Opened>, String> {
    run_given(setting, analysis, database, None).await
}

async fn run_given(
    setting: &Setting<'_>,
    analysis: &Analysis,
    database: &Database,
    given: Option<&[Opened]>,
) -> Result<Vec<Opened>, String> {
    let tables = database.tables(setting.ranges, setting.batch_rows);
    exact_given(setting.engine, analysis, tables, given).await.map_err(|fault| match unplanned(&fault) {
        true => UNPLANNED.to_owned(),
        false => format!("{fault:?}"),
    })
}

/// What is violated between `database` with and without `person`.
async fn removal(
    setting: &Setting<'_>,
    analysis: &Analysis,
    database: &Database,
    whole: &[Opened],
    person: i64,
) -> Option<String> {
    let without = match run_given(setting, analysis, &database.of_persons(|p| p != person), Some(whole)).await {
        Ok(without) => without,
        Err(fault) => return Some(format!("without person {person}: {fault}")),
    };
    let pairs = analysis.releases().iter().zip(whole.iter().zip(&without));
    pairs.enumerate().find_map(|(n, (release, (a, b)))| {
        difference(release, a, b).map(|violated| format!("release {n}, person {person}: {violated}"))
    })
}

/// Which claimed bound the change from `a` to `b` passes.
pub fn difference(release: &Release, a: &Opened, b: &Opened) -> Option<String> {
    if release.public_groups.is_some() && a.keys != b.keys {
        return Some("public groups differ".into());
    }
    let groups: Vec<_> = a.keys.iter().chain(b.keys.iter().filter(|key| !a.groups.contains_key(*key))).collect();
    let mut changed: BTreeSet<usize> = BTreeSet::new();
    let mut histograms = 0;
    for index in 0..=release.partials.len() {
        if let Some(Kind::Histogram { candidates, rank, .. }) = release.partials.get(index).map(|p| &p.kind) {
            let bound = i128::from(release.partials[index].bound(release.rows_per_group).unwrap());
            let n = histograms;
            histograms += 1;
            for (place, key) in groups.iter().enumerate() {
                let (mine, theirs) = (a.histogram(n, key), b.histogram(n, key));
                if mine == theirs {
                    continue;
                }
                changed.insert(place);
                // What is released is a candidate picked by its score: whatever `ends` is, from public figures.
                for ends in [0, 3, 1000] {
                    let scores = |seen| rank.scores(seen, candidates.count(), ends);
                    let pairs = scores(&mine).into_iter().zip(scores(&theirs));
                    let moved = pairs.map(|(x, y)| (i128::from(x) - i128::from(y)).abs()).max().unwrap_or(0);
                    if moved > bound {
                        return Some(format!("a score of vector {index} ({rank:?}) moves by {moved}, claimed {bound}"));
                    }
                }
            }
            continue;
        }
        let bound = match release.partials.get(index) {
            Some(partial) => i128::from(partial.bound(release.rows_per_group).unwrap()),
            None => 1,
        };
        let changes: Vec<i128> =
            groups.iter().map(|key| i128::from(a.at(index, key)) - i128::from(b.at(index, key))).collect();
        changed.extend(changes.iter().enumerate().filter(|(_, c)| **c != 0).map(|(i, _)| i));
        let most = i128::from(release.groups_max);
        let l0 = i128::try_from(changes.iter().filter(|c| **c != 0).count()).unwrap();
        let largest = changes.iter().map(|c| c.abs()).max().unwrap_or(0);
        let l1: i128 = changes.iter().map(|c| c.abs()).sum();
        let l2_squared: i128 = changes.iter().map(|c| c * c).sum();
        for (name, value, claimed) in [
            ("L0", l0, most),
            ("L∞", largest, bound),
            ("L1", l1, bound * most),
            ("L2 squared", l2_squared, bound * bound * most),
        ] {
            if value > claimed {
                let partial = release.partials.get(index);
                return Some(format!("{name} of vector {index} ({partial:?}) is {value}, claimed {claimed}"));
            }
        }
    }
    let changed = u64::try_from(changed.len()).unwrap();
    (changed > release.groups_max).then(|| format!("{changed} groups change, claimed {}", release.groups_max))
}

/// The violation on the fewest persons and rows that still show it.
async fn shrunk(
    setting: &Setting<'_>,
    analysis: &Analysis,
    database: &Database,
    person: i64,
    violated: String,
) -> String {
    let (mut small, mut last) = (database.clone(), violated);
    for candidate in candidates(&small) {
        let fewer = candidate(&small, person);
        if let Ok(whole) = run(setting, analysis, &fewer).await
            && let Some(violated) = removal(setting, analysis, &fewer, &whole, person).await
        {
            (small, last) = (fewer, violated);
        }
    }
    format!("{last}\n{}", small.shown())
}

async fn shrunk_fault(setting: &Setting<'_>, analysis: &Analysis, database: &Database, fault: &str) -> String {
    let mut small = database.clone();
    for candidate in candidates(&small) {
        let fewer = candidate(&small, -1);
        if run(setting, analysis, &fewer).await.is_err() {
            small = fewer;
        }
    }
    let sealed = super::run::why(setting.engine, analysis, small.tables(1, setting.batch_rows)).await;
    format!("fault {fault}: {sealed}\n{}", small.shown())
}

type Smaller = Box<dyn Fn(&Database, i64) -> Database>;

/// Ways to make a database smaller: without each person, then without each row.
fn candidates(database: &Database) -> Vec<Smaller> {
    let mut ways: Vec<Smaller> = vec![];
    for gone in 0..database.persons {
        ways.push(Box::new(move |d, spared| d.of_persons(|p| p != gone || p == spared)));
    }
    for name in database.units.keys().cloned() {
        for from in 0..60_usize {
            let name = name.clone();
            ways.push(Box::new(move |d, _| d.filtered(|table, _, row| table != name || row != 60 - from)));
        }
        ways.push(Box::new(move |d, _| d.filtered(|table, _, row| table != name || row == 0)));
    }
    ways
}

/// For tests of the test: a shrunk database is never larger.
#[test]
fn shrinking_takes_rows_away() {
    let database = Database::random(SEED, Manner::Wild);
    let rows = |d: &Database| d.units.values().map(|b| b.num_rows()).sum::<usize>();
    for smaller in candidates(&database) {
        assert!(rows(&smaller(&database, 0)) <= rows(&database));
    }
}
