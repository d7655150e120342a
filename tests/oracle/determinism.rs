//! Is the exact vector the same however the work is cut, and is it the sum of what each person adds alone?

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sekisho::{
    engine::Engine,
    privacy::{Analysis, Asked, Bounds},
    sql::Directory,
};

use super::{
    database::{Database, Manner},
    grammar::Question,
    run::{Case, Opened, SEED, all_cores, ask, cases, directory, engine, exact_given, runtime, unplanned},
};

struct World {
    directory: Directory,
    runtime: tokio::runtime::Runtime,
    /// For each variant: its name, engine, ranges and rows of a stored batch.
    variants: Vec<(&'static str, Engine, u32, usize)>,
}

impl World {
    fn new() -> Self {
        let variants = vec![
            ("1 range, whole batches", engine(1, 8192), 1, 8192),
            ("2 ranges on 2 threads", engine(2, 8192), 2, 8192),
            ("7 ranges in batches of 7", engine(2, 7), 7, 7),
            ("1 range row by row", engine(1, 1), 1, 1),
            ("2 ranges, small batches of large ones", engine(2, 7), 2, 8192),
        ];
        Self { directory: directory(), runtime: runtime(), variants }
    }
}

fn bounds() -> Bounds {
    Bounds { work_rows_max: 2000, cells_max: 1000, population_max: 100 }
}

#[test]
fn ranges_batches_threads_and_the_order_of_a_persons_rows_change_nothing() {
    let tally = all_cores(cases(500), World::new, |world, number| case(world, number, same_however_cut));
    tally.report("determinism oracle", "vectors compared");
    tally.assert_clean();
}

#[test]
fn the_vector_of_all_is_the_sum_of_the_vectors_of_each_part_of_the_persons() {
    let tally = all_cores(cases(500), World::new, |world, number| case(world, number, sum_of_parts));
    tally.report("metamorphic oracle", "parts added");
    tally.assert_clean();
}

#[test]
fn a_question_has_one_core_however_often_it_is_read() {
    let tally = all_cores(cases(1_000), directory, |directory, number| {
        let question = Question::random(SEED.wrapping_add(11 + number.wrapping_mul(0x9e37_79b9)), true);
        let mut case = Case { labels: question.labels.clone(), ..Case::default() };
        let core =
            || ask(directory, &question.sql, &question.asked, &bounds()).map(|analysis| analysis.core(&["same"]));
        match core() {
            Ok(first) => {
                let again = 4;
                let other = (0..again).find(|_| core().ok() != Some(first));
                case.checks = again;
                case.violation = other.map(|_| format!("question {number} has several cores: {}", question.sql));
                case.answered = true;
            }
            Err(refusal) => case.refused = Some(refusal.code()),
        }
        case
    });
    tally.report("cores", "readings compared");
    tally.assert_clean();
}

/// Kept answers and replays of the log outlive a build of the program: what is written here may change with the engine or
/// the analyser alone, and then answers kept before are asked and charged anew.
#[test]
fn a_core_is_the_same_in_every_build() {
    let core = |sql: &str| {
        let analysis = ask(&directory(), sql, &Asked::default(), &bounds()).unwrap();
        sekisho::audit::to_hex(&analysis.core(&["a build"]))
    };
    let guarded = "SELECT to_char(start, '%Y-%m') AS m, COUNT(*) FROM demo.visit WHERE date_part('year', start) = 2001 GROUP BY 1";
    let windowed = "SELECT kind, COUNT(*) FROM (SELECT person_id, kind, row_number() OVER (PARTITION BY person_id ORDER BY start) \
                    AS n, SUM(minutes) OVER (PARTITION BY person_id) AS m FROM demo.visit) v WHERE n = 1 AND m > 5 GROUP BY kind";
    let shifted = "SELECT COUNT(*), AVG(minutes) FROM demo.visit WHERE start + INTERVAL '3' DAY < DATE '2002-02-02'";
    let cores = [
        "4a4a55750114f737ef38bce227b07426a1729f9d6aaac7f89d4bac2b76a85134",
        "e416db150337c937307110b64e703b4abefe7a98cca23904d77d4765f666e65b",
        "8f18ed69b474eccce855492db191541fa70ac5d4eacfef2691bf66775022ad23",
    ];
    assert_eq!([guarded, windowed, shifted].map(core), cores);
}

type Check = fn(&World, &Analysis, &Database, &[Opened], &mut ChaCha8Rng, &mut u64) -> Option<String>;

fn case(world: &World, number: u64, check: Check) -> Case {
    let question = Question::random(SEED.wrapping_add(7 + number.wrapping_mul(0xc2b2_ae35)), true);
    let mut case = Case { labels: question.labels.clone(), ..Case::default() };
    let analysis = match ask(&world.directory, &question.sql, &question.asked, &bounds()) {
        Ok(analysis) => analysis,
        Err(refusal) => {
            case.refused = Some(refusal.code());
            return case;
        }
    };
    let mut rng = ChaCha8Rng::seed_from_u64(SEED ^ (number << 7));
    let database = Database::random(SEED ^ (number << 35), Manner::Wild);
    let whole = match run(world, 0, &analysis, &database) {
        Ok(whole) => whole,
        Err(fault) if fault.is_empty() => {
            case.refused = Some("engine_unplanned");
            return case;
        }
        Err(fault) => {
            case.violation = Some(format!("question {number}: {}\n{fault}", question.sql));
            return case;
        }
    };
    case.answered = true;
    let violated = check(world, &analysis, &database, &whole, &mut rng, &mut case.checks);
    case.violation = violated
        .map(|v| format!("question {number}: {}\n{:?}\n{v}\n{}", question.sql, question.asked, database.shown()));
    case
}

fn run(world: &World, variant: usize, analysis: &Analysis, database: &Database) -> Result<Vec<Opened>, String> {
    run_given(world, variant, analysis, database, None)
}

fn run_given(
    world: &World,
    variant: usize,
    analysis: &Analysis,
    database: &Database,
    given: Option<&[Opened]>,
) -> Result<Vec<Opened>, String> {
    let (name, engine, ranges, batch_rows) = &world.variants[variant];
    let tables = database.tables(*ranges, *batch_rows);
    world.runtime.block_on(exact_given(engine, analysis, tables, given)).map_err(|fault| match unplanned(&fault) {
        true => String::new(),
        false => format!("{name}: {fault:?}"),
    })
}

fn same_however_cut(
    world: &World,
    analysis: &Analysis,
    database: &Database,
    whole: &[Opened],
    _: &mut ChaCha8Rng,
    checks: &mut u64,
) -> Option<String> {
    let large = database.units.values().any(|b| b.num_rows() > 1000);
    for variant in 1..world.variants.len() {
        if large && world.variants[variant].3 == 1 {
            continue;
        }
        match run(world, variant, analysis, database) {
            Ok(other) if other == whole => *checks += 1,
            Ok(_) => return Some(format!("{} gives another vector", world.variants[variant].0)),
            Err(fault) => return Some(fault),
        }
    }
    match run(world, 0, analysis, &database.reversed()) {
        Ok(other) if other == whole => *checks += 1,
        Ok(_) => return Some("the rows of each person in the opposite order give another vector".into()),
        Err(fault) => return Some(fault),
    }
    None
}

fn sum_of_parts(
    world: &World,
    analysis: &Analysis,
    database: &Database,
    whole: &[Opened],
    rng: &mut ChaCha8Rng,
    checks: &mut u64,
) -> Option<String> {
    let parts = rng.random_range(2..6);
    let of: Vec<i64> = (0..database.persons).map(|_| rng.random_range(0..parts)).collect();
    let mut opened = vec![];
    for part in 0..parts {
        let rows = database.of_persons(|person| of[usize::try_from(person).unwrap()] == part);
        match run_given(world, 0, analysis, &rows, Some(whole)) {
            Ok(vectors) => opened.push(vectors),
            Err(fault) => return Some(fault),
        }
        *checks += 1;
    }
    for (n, whole) in whole.iter().enumerate() {
        let everywhere = opened.iter().flat_map(|part| &part[n].keys).chain(&whole.keys);
        for key in everywhere.collect::<std::collections::HashSet<_>>() {
            let partials = &analysis.releases()[n].partials;
            for histogram in 0..whole.histograms.len() {
                let mut sum = std::collections::BTreeMap::<u32, i64>::new();
                for (bin, parts) in opened.iter().flat_map(|part| part[n].histogram(histogram, key)) {
                    *sum.entry(bin).or_default() += parts;
                }
                if sum.into_iter().ne(whole.histogram(histogram, key)) {
                    return Some(format!("release {n}, histogram {histogram}, {key:?}: parts do not add up"));
                }
            }
            for index in 0..=whole.sums.len() {
                if partials.get(index).is_some_and(|p| !p.additive()) {
                    let of: Vec<i64> = opened.iter().map(|part| part[n].at(index, key)).collect();
                    let all = whole.at(index, key);
                    // A union is no smaller than its largest part and no larger than all together.
                    if all < of.iter().copied().max().unwrap_or(0) || all > of.iter().sum() {
                        return Some(format!("release {n}, vector {index}, {key:?}: parts {of:?}, all {all}"));
                    }
                    continue;
                }
                let sum: i64 = opened.iter().map(|part| part[n].at(index, key)).sum();
                if sum != whole.at(index, key) {
                    let all = whole.at(index, key);
                    return Some(format!(
                        "release {n}, vector {index}, {key:?}: parts add up to {sum}, all give {all}"
                    ));
                }
            }
        }
    }
    None
}
