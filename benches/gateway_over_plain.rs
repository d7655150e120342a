//! What does the gateway's exact and noisy answer cost over the plain engine's, on the same files?
//!
//! `SEKISHO_BENCH_PERSONS` (100,000) persons are generated and ingested below `SEKISHO_BENCH_DIR`, or reused from there.
//! Each question runs in turn by the plain engine (two partitions, all ranges of the same Parquet files) and by the
//! gateway's own steps (exact stage, noise, finish); of each the best of `SEKISHO_BENCH_RUNS` (3) counts. Ratios matter,
//! not seconds. `SEKISHO_BENCH_TABLES` (all) names the tables that are ingested, with commas between; questions about others
//! are left out. `SEKISHO_BENCH_PLAIN=off` leaves out the plain engine, whose memory is not all given back before ours is
//! looked at. The last column is the time that deadlines follow from: the public estimate at the default speed with the
//! machine to itself, of which a deadline grants at least eight times as much.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measurement stops at its first fault and prints its figures"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use chrono::NaiveDate;
use datafusion::{
    datasource::{
        file_format::parquet::ParquetFormat,
        listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl},
    },
    prelude::{ParquetReadOptions, SessionConfig, SessionContext},
};
use mimalloc::MiMalloc;
use sekisho::{
    catalog::{Model, TableKind},
    engine::{
        Engine, EngineLimits, FileTables, RangedTables, Sizes, VersionKey, estimate, finish, layout::Manifest,
        schema::arrow_schema,
    },
    ingest::{self, Load},
    keys::Keys,
    privacy::{Asked, Bounds, Noisy, Offer, Plan, add_noise, analyze},
    sql::{Call, CataloguedTable, Directory, Limits, Parameters, Standing, admit, parse},
    synth,
    terms::{Cap, DataVersion, DatasetName, Loss, PopulationName, SourceName},
};

/// As in the program.
#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

#[expect(dead_code, reason = "the stories use more of it")]
#[path = "../tests/gateway/house.rs"]
mod house;

/// What is asked: by the plain engine and, with schemas before the tables, by the gateway.
const QUESTIONS: [(&str, &str); 11] = [
    (
        "fixed: persons and mean by sex",
        "SELECT gender_concept_id, COUNT(*) AS n, AVG(year_of_birth) AS a FROM demo.person GROUP BY 1",
    ),
    (
        "fixed: all rows from a day on",
        "SELECT COUNT(*) AS n FROM demo.measurement WHERE measurement_date >= '2015-01-01'",
    ),
    (
        "fixed: rows by sex, joined",
        "SELECT p.gender_concept_id, COUNT(*) AS n FROM demo.person p
         JOIN demo.measurement m ON m.person_id = p.person_id GROUP BY 1",
    ),
    (
        "fixed: rows and mean by sex, joined",
        "SELECT p.gender_concept_id, COUNT(*) AS n, AVG(least(greatest(m.value_as_number, 0), 300)) AS a
         FROM demo.person p JOIN demo.measurement m ON m.person_id = p.person_id GROUP BY 1",
    ),
    (
        "general: rows and mean by concept",
        "SELECT measurement_concept_id, COUNT(*) AS n, AVG(least(greatest(value_as_number, 0), 300)) AS a
         FROM demo.measurement GROUP BY 1",
    ),
    (
        "general: persons by diagnosis",
        "SELECT condition_concept_id, COUNT(DISTINCT person_id) AS n FROM demo.condition_occurrence GROUP BY 1",
    ),
    (
        "per person: visits, then persons by their number",
        "SELECT least(v, 20) AS visits, COUNT(*) AS n FROM
         (SELECT person_id, COUNT(*) AS v FROM demo.visit_occurrence GROUP BY person_id) q GROUP BY 1",
    ),
    (
        "per person: rows numbered by a window",
        "SELECT COUNT(*) AS n FROM (SELECT person_id, row_number() OVER
         (PARTITION BY person_id ORDER BY measurement_date) AS rn FROM demo.measurement) q WHERE rn = 1",
    ),
    (
        "per person: days since the visit before",
        "SELECT COUNT(*) AS n, AVG(least(greatest(gap, 0), 365)) AS a FROM (SELECT person_id, visit_start_date -
         lag(visit_start_date) OVER (PARTITION BY person_id ORDER BY visit_start_date) AS gap
         FROM demo.visit_occurrence) q",
    ),
    (
        "cells: 109,000 draws, by day of birth",
        "SELECT year_of_birth, month_of_birth, day_of_birth, COUNT(*) AS n, SUM(gender_concept_id % 2) AS s
         FROM demo.person GROUP BY 1, 2, 3",
    ),
    (
        "public: rows by the name of the drug",
        "SELECT c.concept_name, COUNT(*) AS n FROM demo.drug_exposure d
         JOIN vocab.concept c ON c.concept_id = d.drug_concept_id GROUP BY 1",
    ),
];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let persons = setting("SEKISHO_BENCH_PERSONS", 100_000);
    let bench = Bench::prepare(persons);
    println!("\n{persons} persons, {} rows, {} ranges", bench.rows, bench.manifest.ranges);
    println!(
        "{:<52} {:>9} {:>9} {:>6}   {:>8} {:>8} {:>11}",
        "question", "plain s", "ours s", "ratio", "plain MB", "ours MB", "estimated s"
    );
    let only = std::env::var("SEKISHO_BENCH_ONLY").unwrap_or_default();
    for (name, sql) in QUESTIONS.iter().filter(|(name, _)| name.contains(&only)) {
        if !bench.has_tables_of(sql) {
            println!("{name:<52} left out: not all of its tables are here");
            continue;
        }
        runtime.block_on(bench.compare(name, sql));
    }
    println!("peak of the whole process: {} MB", status("VmHWM:") / 1024);
    if only.is_empty() {
        runtime.block_on(first_byte());
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

struct Bench {
    root: PathBuf,
    model: Arc<Model>,
    manifest: Arc<Manifest>,
    rows: u64,
    persons: u64,
    engine: Engine,
    key: Option<Arc<VersionKey>>,
}

impl Bench {
    fn prepare(persons: u64) -> Self {
        let root = std::env::var_os("SEKISHO_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let root = root.join(format!("sekisho-bench-{persons}"));
        let model = Arc::new(Model::builtin("omop-5.4").unwrap());
        let version = root.join("data/demo/v1");
        if !version.exists() {
            make(&root, persons, &model);
        }
        let keys = Keys::load(&root.join("keys")).unwrap();
        let manifest = Arc::new(Manifest::read(&version).unwrap());
        let key = manifest.version_key(keys.file()).unwrap().map(Arc::new);
        let engine = Engine::new(&EngineLimits::default(), *keys.group()).unwrap();
        let rows = std::fs::read_to_string(root.join("rows")).unwrap().trim().parse().unwrap();
        Self { root, model, manifest, rows, persons, engine, key }
    }

    /// Whether all tables of a question were ingested; the others are there, and empty.
    fn has_tables_of(&self, sql: &str) -> bool {
        let Ok(tables) = std::env::var("SEKISHO_BENCH_TABLES") else { return true };
        let named =
            sql.split("demo.").skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next());
        named.flatten().all(|name| tables.split(',').any(|table| table == name))
    }

    async fn compare(&self, name: &str, sql: &str) {
        let (mut plain_best, mut ours_best) = (f64::INFINITY, f64::INFINITY);
        let (mut plain_memory, mut ours_memory) = (0, 0);
        let with_plain = std::env::var("SEKISHO_BENCH_PLAIN").as_deref() != Ok("off");
        for _ in 0..setting("SEKISHO_BENCH_RUNS", 3) {
            if with_plain {
                let context = self.plain_context().await;
                reset_peak();
                let begun = Instant::now();
                let plain = context.sql(&bare(sql)).await.unwrap().collect().await.unwrap();
                plain_best = plain_best.min(begun.elapsed().as_secs_f64());
                plain_memory = plain_memory.max(status("VmHWM:"));
                drop((plain, context));
            }

            let tables = self.tables();
            reset_peak();
            let begun = Instant::now();
            let plan = self.plan(sql);
            let planned = begun.elapsed();
            self.engine.rehearse(plan.analysis(), tables.as_ref()).await.unwrap();
            let prepared = self.engine.prepare(plan.analysis(), tables.as_ref()).await.unwrap();
            let rehearsed = begun.elapsed();
            let (mut noisy, mut summed) = (Noisy::none(), rehearsed);
            for stage in plan.analysis().stages() {
                let tables = Arc::clone(&tables);
                let exact = self.engine.exact_stage(plan.analysis(), stage, &noisy, &prepared, tables).await.unwrap();
                summed = begun.elapsed();
                noisy = add_noise(&plan, noisy, exact, self.engine.threads()).unwrap();
            }
            let finished = finish(&self.engine, plan.analysis(), &noisy, tables.as_ref()).await.unwrap();
            ours_best = ours_best.min(begun.elapsed().as_secs_f64());
            if std::env::var_os("SEKISHO_BENCH_STEPS").is_some() {
                let (rehearsal, sum) = (rehearsed - planned, summed - rehearsed);
                println!(
                    "  planned {planned:?}, rehearsed {rehearsal:?}, summed {sum:?}, in all {:?}",
                    begun.elapsed()
                );
            }
            ours_memory = ours_memory.max(status("VmHWM:"));
            drop(finished);
        }
        let ratio = ours_best / plain_best;
        let (plain_memory, ours_memory) = (plain_memory / 1024, ours_memory / 1024);
        let estimated = self.estimated(&self.plan(sql));
        println!(
            "{name:<52} {plain_best:>9.3} {ours_best:>9.3} {ratio:>6.2}   {plain_memory:>8} {ours_memory:>8} \
             {estimated:>11.3}"
        );
    }

    /// What the public cost model expects, in seconds, of two threads at the speed that a configuration has by default.
    fn estimated(&self, plan: &Plan) -> f64 {
        let bounds = bounds(self.persons);
        let sizes = Sizes {
            population_max: bounds.population_max,
            rows_per_person: &BTreeMap::new(),
            work_rows_max: bounds.work_rows_max,
            cells_max: bounds.cells_max as u64,
        };
        estimate(plan.analysis(), &sizes).time(2 * 200_000_000).as_secs_f64()
    }

    /// The plain engine over all ranges of each table, as anybody would set it up.
    async fn plain_context(&self) -> SessionContext {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
        for table in &self.manifest.tables {
            let columns = Arc::new(arrow_schema(self.model.table(&table.name).unwrap()));
            let folder = self.root.join("data/demo/v1").join(&table.name);
            if !folder.is_dir() {
                continue;
            }
            let url = ListingTableUrl::parse(format!("{}/", folder.display())).unwrap();
            let options = ListingOptions::new(Arc::new(self.format())).with_file_extension("parquet");
            let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(columns);
            context.register_table(&table.name, Arc::new(ListingTable::try_new(config).unwrap())).unwrap();
        }
        let concept = self.concept();
        context.register_parquet("concept", concept.to_str().unwrap(), ParquetReadOptions::default()).await.unwrap();
        context
    }

    /// Both sides read the same encrypted files.
    fn format(&self) -> ParquetFormat {
        match &self.key {
            Some(key) => ParquetFormat::default().with_options(key.reading().unwrap()),
            None => ParquetFormat::default(),
        }
    }

    fn concept(&self) -> PathBuf {
        self.root.join("vocabulary/concept.parquet")
    }

    fn tables(&self) -> Arc<dyn RangedTables> {
        let columns = Arc::new(arrow_schema(self.model.table("concept").unwrap()));
        let public = BTreeMap::from([(("vocab".to_owned(), "concept".to_owned()), (self.concept(), columns))]);
        let version = self.root.join("data/demo/v1");
        let files = FileTables::new("demo".into(), version, Arc::clone(&self.manifest), Arc::clone(&self.model));
        Arc::new(files.with_key(self.key.clone()).with_public(public))
    }

    fn plan(&self, sql: &str) -> Plan {
        let mut directory = Directory::new(vec!["demo".into()]);
        for entry in &self.manifest.tables {
            let table = self.model.table(&entry.name).unwrap();
            if table.kind == TableKind::Unit {
                directory.insert(CataloguedTable {
                    schema: "demo".into(),
                    name: entry.name.clone(),
                    standing: Standing::Unit {
                        dataset: DatasetName::new("demo").unwrap(),
                        population: PopulationName::new("jp").unwrap(),
                        table: Arc::new(table.clone()),
                    },
                    columns: Arc::new(arrow_schema(table)),
                });
            }
        }
        directory.insert(CataloguedTable {
            schema: "vocab".into(),
            name: "concept".into(),
            standing: Standing::Public {
                unique: BTreeSet::from(["concept_id".to_owned()]),
                rows: 1_000,
                text_bytes: BTreeMap::new(),
            },
            columns: Arc::new(arrow_schema(self.model.table("concept").unwrap())),
        });
        let limits = Limits::default();
        let Call::Ask(statement) = parse(sql, &limits).unwrap() else { panic!("a question") };
        let question = admit(*statement, &directory, day(), Parameters::Bound(vec![]), &limits).unwrap();
        let bounds = bounds(self.persons);
        let cap = Cap::new(8.0, 1e-7).unwrap();
        let offer = Offer { epsilon: 0.4, accuracy: None, cap, spent: Loss::zero() };
        analyze(&question, &Asked::default(), &bounds).unwrap().price(&offer).unwrap()
    }
}

fn bounds(persons: u64) -> Bounds {
    Bounds { work_rows_max: 65_536, cells_max: 100_000, population_max: persons }
}

fn make(root: &Path, persons: u64, model: &Model) {
    let _ = std::fs::remove_dir_all(root);
    std::fs::create_dir_all(root).unwrap();
    let source = root.join("source");
    let begun = Instant::now();
    let plan = synth::SynthPlan { persons, seed: 1, out: source.clone(), format: synth::Format::Parquet };
    let summary = synth::generate(&plan, &|_| {}).unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    println!("synth: {} rows in {seconds:.1} s", summary.rows());
    let rows = match std::env::var("SEKISHO_BENCH_TABLES") {
        Ok(tables) => only(&source, &tables, &summary),
        Err(_) => summary.rows(),
    };
    let keys = Keys::make(&root.join("keys")).unwrap();
    let begun = Instant::now();
    let load = Load {
        dataset: DatasetName::new("demo").unwrap(),
        population: PopulationName::new("jp").unwrap(),
        population_max: persons,
        source: SourceName::new("synth").unwrap(),
        model,
        format: ingest::Format::OmopParquet,
        path: source.clone(),
        data_dir: root.join("data/demo"),
        version: DataVersion(1),
        date: day(),
        pseudonym_key: keys.pseudonym(),
        file_key: keys.file(),
        reject_share_max: 0.0,
    };
    ingest::ingest(&load, &|_| {}).unwrap();
    println!("ingest: {:.1} s, peak {} MB", begun.elapsed().as_secs_f64(), status("VmHWM:") / 1024);
    std::fs::rename(source.join(synth::VOCABULARY), root.join("vocabulary")).unwrap();
    std::fs::remove_dir_all(source).unwrap();
    std::fs::write(root.join("rows"), rows.to_string()).unwrap();
}

/// Removes the files of all tables but `tables`; says how many rows are left.
fn only(source: &Path, tables: &str, summary: &synth::Summary) -> u64 {
    let wanted: BTreeSet<&str> = tables.split(',').collect();
    let (kept, left): (Vec<_>, Vec<_>) =
        summary.tables.iter().partition(|(table, _)| wanted.contains(table.as_str()) || table.contains('/'));
    for (table, _) in left {
        std::fs::remove_file(source.join(format!("{table}.parquet"))).unwrap();
    }
    kept.iter().map(|(_, rows)| rows).sum()
}

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 4, 1).unwrap()
}

fn bare(sql: &str) -> String {
    sql.replace("demo.", "").replace("vocab.", "")
}

/// A line of the process's status, in kB.
fn status(line: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = text.lines().find_map(|l| l.strip_prefix(line));
    value.and_then(|v| v.split_whitespace().next()).and_then(|v| v.parse().ok()).unwrap_or(0)
}

/// Lets the peak of memory begin anew at what is in use now.
fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The whole gateway at 1,000 persons: from the text of a question to its answer, receipt and durable records included.
async fn first_byte() {
    let ground = Arc::new(house::Ground::of_persons(house::own_folder("first-byte"), 1_000));
    let house = house::House::on(&ground, house::cap(500.0), house::cap(500.0)).await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let mut times = vec![];
    for year in 1940..1990 {
        let sql = format!(
            "SELECT gender_concept_id, COUNT(*) AS n, AVG(year_of_birth) AS a FROM demo.person
             WHERE year_of_birth > {year} GROUP BY 1"
        );
        asker.set("epsilon", "0.5").await;
        let begun = Instant::now();
        asker.ask(&sql).await;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("first byte at 1,000 persons: median {:.1} ms, worst {:.1} ms of 50", times[25], times[49]);
    let begun = Instant::now();
    asker.ask("SELECT gender_concept_id, COUNT(*) AS n, AVG(year_of_birth) AS a FROM demo.person WHERE year_of_birth > 1940 GROUP BY 1").await;
    println!("kept answer: {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
}
