//! Does time tell whether one person is in the data?
//!
//! Two data sets that differ in one person, who makes the questions of this story run many times longer. The same questions
//! are asked of both, in random order; how long the asker waits and how long a bystander waits for other things meanwhile
//! is compared by Welch's t, as dudect does (Reparaz, Balasch, Verbauwhede 2017): beyond 4.5 the two can be told apart.
//! With deadlines nothing may be; without them the asker's own wait must be, or the story could not fail. On a busy machine
//! it takes more questions until that shows: as many as it takes are asked at deadlines too.
//!
//! `SEKISHO_TIMING_RUNS` questions are asked of each data set in each way, and as many again up to `ROUNDS_MAX` times.
#![expect(clippy::print_stderr, reason = "the figures are wanted by whoever reads the run")]

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, Int64Array, RecordBatch, UInt32Array, new_null_array},
        compute::{concat_batches, take},
    },
    parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
};
use sekisho::{
    gateway::ReleaseAt,
    synth::{self, SynthPlan, VOCABULARY},
};

use super::house::{Asker, Ground, House, cap, own_folder};

/// Beyond this, two samples come from different distributions.
const T_MAX: f64 = 4.5;
/// So many times as many questions are asked at most, until the person shows where nothing hides them.
const ROUNDS_MAX: usize = 10;
/// The others in the data.
const OTHERS: u64 = 12;
/// Of that one person; 16 times as many rows in a join, just below the bound on one person's work.
const MEASUREMENTS: u32 = 4_000;
const DRUGS: u32 = 16;
/// So long the bystander watches, from the moment on at which the question is asked.
const WATCHED: Duration = Duration::from_millis(300);
/// Nobody in the source has this number.
const HEAVY: i64 = 9_000_000_000_000;

fn rows_of(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// Adds `count` rows of that person to the table in `folder`, each like its first row.
fn add(folder: &Path, table: &str, count: u32) {
    let path = folder.join(format!("{table}.parquet"));
    let rows = rows_of(&path);
    let first = UInt32Array::from(vec![0; count as usize]);
    let column = |(field, column): (&Arc<datafusion::arrow::datatypes::Field>, &ArrayRef)| -> ArrayRef {
        match field.name().as_str() {
            "person_id" => Arc::new(Int64Array::from(vec![HEAVY; count as usize])),
            // A link to a row of somebody else would be cut.
            "visit_occurrence_id" => new_null_array(column.data_type(), count as usize),
            name if name == format!("{table}_id") => {
                Arc::new(Int64Array::from_iter_values((0..i64::from(count)).map(|n| HEAVY + n)))
            }
            _ => take(column.as_ref(), &first, None).unwrap(),
        }
    };
    let schema = rows.schema();
    let columns = schema.fields().iter().zip(rows.columns()).map(column).collect();
    let more = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), Arc::clone(&schema), None).unwrap();
    writer.write(&concat_batches(&schema, &[rows, more]).unwrap()).unwrap();
    writer.close().unwrap();
}

/// The others alone, or with that person.
fn ground(name: &str, with: bool) -> Arc<Ground> {
    let root: PathBuf = own_folder(name);
    let source = root.join("source");
    let plan = SynthPlan { persons: OTHERS, seed: 11, out: source.clone(), format: synth::Format::Parquet };
    synth::generate(&plan, &|_| {}).unwrap();
    if with {
        add(&source, "person", 1);
        add(&source, "measurement", MEASUREMENTS);
        add(&source, "drug_exposure", DRUGS);
    }
    let vocabulary = source.join(VOCABULARY);
    Arc::new(Ground::new(root, source, "omop-5.4", 20, Some(vocabulary), 0.0))
}

/// The n-th of many questions that cost a person's measurements times their drugs.
fn heavy(n: usize) -> String {
    format!(
        "SELECT COUNT(*) AS n FROM (SELECT m.person_id, row_number() OVER (PARTITION BY m.person_id
         ORDER BY m.measurement_date DESC, d.drug_exposure_start_date) AS r FROM demo.measurement m
         JOIN demo.drug_exposure d ON d.person_id = m.person_id WHERE m.measurement_concept_id > {n}) WHERE r % 7 = 1"
    )
}

const KEPT: &str = "SELECT COUNT(*) AS n FROM demo.person";
/// What a bystander does, all day long.
const BYSTANDER: [(&str, &str); 3] = [
    ("a free question", "SELECT COUNT(*) AS n FROM vocab.concept WHERE concept_name LIKE '%a%'"),
    ("a kept answer", KEPT),
    ("my_budget", "SELECT * FROM sekisho.my_budget"),
];

/// A data set behind its gateway, somebody who asks and somebody who watches.
struct Side {
    asker: Arc<Asker>,
    bystander: Asker,
    // It takes its files with it.
    _house: House,
}

impl Side {
    async fn of(ground: &Arc<Ground>, release: ReleaseAt) -> Self {
        let house = House::furnished(ground, cap(500.0), cap(500.0), |enclave| {
            enclave.datasets[0].release = release;
            enclave.engine.threads = std::num::NonZeroUsize::MIN;
        })
        .await;
        let asker = house.asker("hanako", "P-WIDE").await;
        asker.set("epsilon", "0.02").await;
        asker.set("deadline", "1").await;
        let bystander = house.asker("jiro", "P-RIVAL").await;
        bystander.ask(KEPT).await;
        Self { asker: Arc::new(asker), bystander, _house: house }
    }

    /// One question, and what the bystander waits for meanwhile: seconds.
    async fn run(&self, n: usize) -> [f64; 4] {
        let (asker, sql) = (Arc::clone(&self.asker), heavy(n));
        let begun = Instant::now();
        let asking = tokio::spawn(async move {
            asker.ask(&sql).await;
            begun.elapsed().as_secs_f64()
        });
        let (mut sums, mut rounds) = ([0.0; BYSTANDER.len()], 0.0);
        while begun.elapsed() < WATCHED {
            for ((_, sql), sum) in BYSTANDER.iter().zip(&mut sums) {
                let begun = Instant::now();
                self.bystander.ask(sql).await;
                *sum += begun.elapsed().as_secs_f64();
            }
            rounds += 1.0;
        }
        let [free, kept, budget] = sums.map(|sum: f64| sum / f64::max(rounds, 1.0));
        [asking.await.unwrap(), free, kept, budget]
    }
}

/// Welch's t of two samples.
fn welch(a: &[f64], b: &[f64]) -> f64 {
    let moments = |sample: &[f64]| {
        let n = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / n;
        let variance = sample.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (mean, variance / n)
    };
    let ((a, a_error), (b, b_error)) = (moments(a), moments(b));
    (a - b) / (a_error + b_error).sqrt().max(1e-12)
}

/// Both data sets, and what was waited for so far at each.
struct Pair {
    sides: [Side; 2],
    seen: [[Vec<f64>; 4]; 2],
    order: u64,
}

impl Pair {
    async fn of(grounds: &[Arc<Ground>; 2], release: ReleaseAt) -> Self {
        let sides = [Side::of(&grounds[0], release).await, Side::of(&grounds[1], release).await];
        // The first questions warm both and are not counted.
        for side in &sides {
            side.run(0).await;
        }
        Self { sides, seen: Default::default(), order: 0x9e37_79b9_7f4a_7c15 }
    }

    /// Asks `runs` more questions of each, the two in random order each time.
    async fn ask(&mut self, runs: usize) {
        for _ in 0..runs {
            self.order ^= self.order << 13;
            self.order ^= self.order >> 7;
            self.order ^= self.order << 17;
            let first = usize::from(self.order & 1 == 1);
            for side in [first, 1 - first] {
                let waited = self.sides[side].run(1 + self.seen[side][0].len()).await;
                waited.iter().zip(&mut self.seen[side]).for_each(|(seconds, all)| all.push(*seconds));
            }
        }
    }

    /// The t of each kind of waiting, printed.
    fn compared(&self, what: &str) -> [f64; 4] {
        let kinds = ["the asker's answer", BYSTANDER[0].0, BYSTANDER[1].0, BYSTANDER[2].0];
        let mean = |all: &[f64]| 1e3 * all.iter().sum::<f64>() / all.len() as f64;
        std::array::from_fn(|kind| {
            let (without, with) = (&self.seen[0][kind], &self.seen[1][kind]);
            let t = welch(with, without);
            let (name, asked, without, with) = (kinds[kind], with.len(), mean(without), mean(with));
            eprintln!("  {what:<14} {asked:>4} {name:<20} without {without:8.2} ms, with {with:8.2} ms, t = {t:7.2}");
            t
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn time_does_not_tell_whether_a_person_is_there() {
    let runs = std::env::var("SEKISHO_TIMING_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let grounds = [ground("timing-without", false), ground("timing-with", true)];
    eprintln!("questions of each data set; one person more, of {MEASUREMENTS} measurements and {DRUGS} drugs:");
    let mut open = Pair::of(&grounds, ReleaseAt::Immediate).await;
    let mut shown = [0.0; 4];
    let mut rounds = 0;
    while rounds < ROUNDS_MAX && shown[0] <= T_MAX {
        open.ask(runs).await;
        rounds += 1;
        shown = open.compared("at once");
    }
    assert!(
        shown[0] > T_MAX,
        "without deadlines the person has to show, or nothing is shown by what follows: {shown:?}"
    );
    drop(open);
    let mut closed = Pair::of(&grounds, ReleaseAt::AtDeadline).await;
    closed.ask(rounds * runs).await;
    let hidden = closed.compared("at deadlines");
    assert!(hidden.iter().all(|t| t.abs() < T_MAX), "{hidden:?}");
}

#[test]
fn two_samples_are_told_apart_where_they_differ() {
    let near = |centre: f64| (0..40).map(|n| centre + f64::from(n % 7) / 10.0).collect::<Vec<f64>>();
    assert!(welch(&near(1.0), &near(1.0)).abs() < 1e-9);
    assert!(welch(&near(2.0), &near(1.0)) > T_MAX && welch(&near(1.0), &near(2.0)) < -T_MAX);
}
