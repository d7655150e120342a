//! How is one random question brought through admission, analysis and the exact stage, and many of them on all cores?

use std::{
    collections::{BTreeMap, HashMap},
    io::Write,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use datafusion::common::ScalarValue;
use sekisho::{
    engine::{Engine, EngineFault, EngineLimits, RangedTables, schema::arrow_schema},
    privacy::{Analysis, Asked, Bounds, Exact, Histogram, Noisy, analyze},
    sql::{Call, CataloguedTable, Directory, Limits, Parameters, Standing, admit, parse},
    terms::{DatasetName, PopulationName, Refusal},
};

use super::{
    database::{DATASET, VOCABULARY, model, public_tables},
    meaning::rebuilt,
};

/// The first cause of everything random here.
pub const SEED: u64 = 0x5e_15_50;

/// What draws of noise run on side by side.
pub const THREADS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// How many cases an oracle runs: `SEKISHO_ORACLE_CASES` scales all of them, 10,000 being the whole.
pub fn cases(whole: u64) -> u64 {
    let asked = std::env::var("SEKISHO_ORACLE_CASES").ok().and_then(|text| text.parse::<u64>().ok());
    asked.map_or(whole, |asked| (whole * asked).div_ceil(10_000).max(1))
}

/// The tables that the oracles' analyst can name.
pub fn directory() -> Directory {
    let mut directory = Directory::new(vec![DATASET.into(), VOCABULARY.into()]);
    for table in model().tables.into_values() {
        directory.insert(CataloguedTable {
            schema: DATASET.into(),
            name: table.name.clone(),
            columns: Arc::new(arrow_schema(&table)),
            standing: Standing::Unit {
                dataset: DatasetName::new(DATASET).unwrap(),
                population: PopulationName::new("jp").unwrap(),
                table: Arc::new(table),
            },
        });
    }
    for (name, columns, unique) in public_tables() {
        let rows = if name == "concept" { 7 } else { 8 };
        let unique = unique.into_iter().map(str::to_owned).collect();
        let standing = Standing::Public { unique, rows, text_bytes: Default::default() };
        directory.insert(CataloguedTable { schema: VOCABULARY.into(), name: name.into(), columns, standing });
    }
    directory
}

/// Admission and analysis of one question.
pub fn ask(directory: &Directory, sql: &str, asked: &Asked, bounds: &Bounds) -> Result<Analysis, Refusal> {
    let limits = Limits::default();
    let Call::Ask(statement) = parse(sql, &limits)? else {
        return Err(Refusal::NotAQuestion { hint: "not a question".into() });
    };
    let today = chrono::NaiveDate::from_ymd_opt(2003, 6, 15).unwrap();
    let question = admit(*statement, directory, today, Parameters::Bound(vec![]), &limits)?;
    analyze(&question, asked, bounds)
}

/// An engine on `threads` ranges at once.
pub fn engine(threads: usize, batch_rows: usize) -> Engine {
    let limits = EngineLimits {
        threads: NonZeroUsize::new(threads).unwrap(),
        memory_bytes: 1 << 30,
        batch_rows: NonZeroUsize::new(batch_rows).unwrap(),
    };
    Engine::new(&limits, [7; 32]).unwrap()
}

/// The exact sums of one release, opened.
#[derive(PartialEq)]
pub struct Opened {
    pub groups: HashMap<Vec<ScalarValue>, usize>,
    pub keys: Vec<Vec<ScalarValue>>,
    pub sums: Vec<Vec<i64>>,
    pub persons: Vec<i64>,
    /// Of each partial that is a histogram, one per group.
    pub histograms: Vec<Vec<Histogram>>,
}

impl Opened {
    pub fn of(exact: Exact) -> Self {
        let (columns, sums, persons, histograms) = exact.dangerous_exact_for_tests();
        let key = |row: usize| columns.iter().map(|c| ScalarValue::try_from_array(c, row).unwrap()).collect::<Vec<_>>();
        let keys: Vec<Vec<ScalarValue>> = (0..persons.len()).map(key).collect();
        let groups: HashMap<_, _> = keys.iter().cloned().enumerate().map(|(i, k)| (k, i)).collect();
        assert_eq!(groups.len(), keys.len(), "a group stands twice");
        Self { groups, keys, sums, persons, histograms }
    }

    /// The n-th histogram at `key`; empty where the group does not exist.
    pub fn histogram(&self, n: usize, key: &[ScalarValue]) -> Histogram {
        let of_group = |group: &usize| self.histograms[n][*group].clone();
        self.groups.get(key).map_or_else(Histogram::new, of_group)
    }

    /// Vector `index` (the persons after the last partial) at `key`; zero where the group does not exist.
    pub fn at(&self, index: usize, key: &[ScalarValue]) -> i64 {
        let vector = self.sums.get(index).unwrap_or(&self.persons);
        self.groups.get(key).map_or(0, |group| vector[*group])
    }
}

/// Runs the exact stages; a fault by name. What a stage reads of the one before is not noised here.
pub async fn exact(
    engine: &Engine,
    analysis: &Analysis,
    tables: Arc<dyn RangedTables>,
) -> Result<Vec<Opened>, EngineFault> {
    exact_given(engine, analysis, tables, None).await
}

/// The same where earlier stages have released `given`, whatever the rows: what a later stage does is bounded for
/// every value that it may read.
pub async fn exact_given(
    engine: &Engine,
    analysis: &Analysis,
    tables: Arc<dyn RangedTables>,
    given: Option<&[Opened]>,
) -> Result<Vec<Opened>, EngineFault> {
    let stages = analysis.stages();
    let (mut opened, mut batches): (Vec<Opened>, _) = (vec![], vec![]);
    engine.rehearse(analysis, tables.as_ref()).await?;
    let prepared = engine.prepare(analysis, tables.as_ref()).await?;
    for stage in stages.clone() {
        let earlier = Noisy::kept(batches.clone());
        let exact = engine.exact_stage(analysis, stage, &earlier, &prepared, Arc::clone(&tables)).await?;
        opened.extend(exact.into_iter().map(Opened::of));
        if stages.len() > 1 {
            let known = given.unwrap_or(&opened);
            let more = analysis.releases().iter().zip(known).take(opened.len()).skip(batches.len());
            let more: Vec<_> = more.map(|(release, opened)| rebuilt(release, opened)).collect();
            batches.extend(more);
        }
    }
    Ok(opened)
}

/// Whether a fault is one of planning, found by the rehearsal before anything is charged.
pub fn unplanned(fault: &EngineFault) -> bool {
    matches!(fault, EngineFault::Planned(_))
}

/// What one case came to.
#[derive(Default)]
pub struct Case {
    pub answered: bool,
    /// The code of the refusal.
    pub refused: Option<&'static str>,
    /// Comparisons made.
    pub checks: u64,
    pub labels: Vec<&'static str>,
    /// What was violated, ready to print.
    pub violation: Option<String>,
}

/// The sum over all cases of one oracle.
#[derive(Default)]
pub struct Tally {
    pub cases: u64,
    pub answered: u64,
    pub checks: u64,
    pub refused: BTreeMap<&'static str, u64>,
    pub labels: BTreeMap<&'static str, u64>,
    pub violations: Vec<String>,
}

impl Tally {
    fn add(&mut self, case: Case) {
        self.cases += 1;
        self.answered += u64::from(case.answered);
        self.checks += case.checks;
        if let Some(code) = case.refused {
            *self.refused.entry(code).or_default() += 1;
        }
        if case.answered {
            let labels: std::collections::BTreeSet<&str> = case.labels.into_iter().collect();
            labels.into_iter().for_each(|label| *self.labels.entry(label).or_default() += 1);
        }
        self.violations.extend(case.violation);
    }

    /// The share of questions that were answered, in percent.
    pub fn answered_percent(&self) -> u64 {
        self.answered * 100 / self.cases.max(1)
    }

    pub fn report(&self, oracle: &str, checks: &str) {
        say(&format!(
            "{oracle}: {} questions, {} {checks}, {} violations, answered {} %, refused {:?}",
            self.cases,
            self.checks,
            self.violations.len(),
            self.answered_percent(),
            self.refused
        ));
    }

    pub fn assert_clean(&self) {
        let first = self.violations.iter().take(3).cloned().collect::<Vec<_>>().join("\n\n");
        assert!(self.violations.is_empty(), "{} violations, the first:\n{first}", self.violations.len());
    }
}

/// Past the test harness's capture: these lines are what the oracles exist to show.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Runs `case(n)` for all `n` below `cases` on all cores; a panic is a violation.
pub fn all_cores<W>(cases: u64, world: impl Fn() -> W + Sync, case: impl Fn(&W, u64) -> Case + Sync) -> Tally {
    let first = std::env::var("SEKISHO_ORACLE_FIRST").ok().and_then(|text| text.parse::<u64>().ok());
    let (next, tally) = (AtomicU64::new(first.unwrap_or(0)), Mutex::new(Tally::default()));
    let work = || {
        let world = world();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= cases {
                return;
            }
            let done = catch_unwind(AssertUnwindSafe(|| case(&world, n)))
                .unwrap_or_else(|_| Case { violation: Some(format!("case {n} panicked")), ..Case::default() });
            tally.lock().unwrap().add(done);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, NonZeroUsize::get) {
            std::thread::Builder::new().stack_size(32 << 20).spawn_scoped(scope, work).unwrap();
        }
    });
    let mut tally = tally.into_inner().unwrap();
    tally.violations.sort();
    tally
}

/// A runtime for one worker.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The engine's own words for a fault in a release's input: for the reader of a failed test, found by running the
/// input again outside the seal.
pub async fn why(_engine: &Engine, analysis: &Analysis, tables: Arc<dyn RangedTables>) -> String {
    use datafusion::{
        common::tree_node::{Transformed, TransformedResult},
        datasource::provider_as_source,
        logical_expr::LogicalPlan,
        prelude::SessionContext,
    };
    let context = SessionContext::new();
    for release in analysis.releases() {
        let bound = release.input.clone().transform_up_with_subqueries(|node| {
            let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
            if let Some(table) = sekisho::sql::catalogued(&scan) {
                let range = matches!(table.standing, Standing::Unit { .. }).then_some(0);
                scan.source = provider_as_source(tables.table(&table.schema, &table.name, range).unwrap());
            }
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        });
        let ran = match bound.data() {
            Ok(plan) => match context.execute_logical_plan(plan).await {
                Ok(frame) => frame.collect().await.map(|_| ()),
                Err(fault) => Err(fault),
            },
            Err(fault) => Err(fault),
        };
        if let Err(fault) = ran {
            return fault.strip_backtrace();
        }
    }
    "not seen again outside the engine".into()
}
