//! How many rows a second do the generator and the load handle?
//!
//! `SEKISHO_BENCH_PERSONS` (20,000) persons; the generator on one thread and on all, the load from Parquet and from CSV.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement stops at its first fault and prints its figures"
)]

use std::{path::Path, time::Instant};

use chrono::NaiveDate;
use sekisho::{
    catalog::Model,
    ingest::{self, Load},
    keys::Keys,
    synth::{self, Format, SynthPlan},
    terms::{DataVersion, DatasetName, PopulationName, SourceName},
};

fn main() {
    let persons = std::env::var("SEKISHO_BENCH_PERSONS").ok().and_then(|v| v.parse().ok()).unwrap_or(20_000);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let folder = tempfile::tempdir().unwrap();
    let plan = |name: &str, format| SynthPlan { persons, seed: 1, out: folder.path().join(name), format };
    let generate = |what: &str, plan: &SynthPlan, threads| {
        let begun = Instant::now();
        let rows = synth::generate_on(plan, threads, &|_| {}).unwrap().rows();
        say(what, rows, begun);
        rows
    };
    println!("{persons} persons, {cores} cores");
    generate("synth to Parquet on one core", &plan("one", Format::Parquet), 1);
    let rows = generate("synth to Parquet on all cores", &plan("parquet", Format::Parquet), cores);
    generate("synth to CSV on one core", &plan("csv", Format::Csv), 1);
    let keys = Keys::make(&folder.path().join("keys")).unwrap();
    for (what, name, format) in [
        ("ingest from Parquet", "parquet", ingest::Format::OmopParquet),
        ("ingest from CSV", "csv", ingest::Format::OmopCsv),
    ] {
        let begun = Instant::now();
        load(folder.path(), name, format, persons, &keys);
        say(what, rows, begun);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default());
}

fn say(what: &str, rows: u64, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    let per_second = u128::from(rows) * 1_000 / begun.elapsed().as_millis().max(1);
    println!("{what:<32} {rows:>10} rows {seconds:>7.1} s {per_second:>9} rows/s");
}

fn load(root: &Path, name: &str, format: ingest::Format, persons: u64, keys: &Keys) {
    let model = Model::builtin("omop-5.4").unwrap();
    let load = Load {
        dataset: DatasetName::new("demo").unwrap(),
        population: PopulationName::new("jp").unwrap(),
        population_max: persons,
        source: SourceName::new("synth").unwrap(),
        model: &model,
        format,
        path: root.join(name),
        data_dir: root.join("data").join(name),
        version: DataVersion(1),
        date: NaiveDate::from_ymd_opt(2026, 4, 1).unwrap(),
        pseudonym_key: keys.pseudonym(),
        file_key: keys.file(),
        reject_share_max: 0.0,
    };
    ingest::ingest(&load, &|_| {}).unwrap();
}
