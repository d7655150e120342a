//! How does a delivery become a data version, all of it or nothing?
//!
//! [`ingest`] is the whole job, top to bottom. The version that it writes is not in force until the caller says so in the
//! books: a crash at any point leaves the version in force as it was.

mod arrange;
mod check;
mod convert;
mod fault;
mod people;
mod plan;
mod pseudonym;
mod references;
mod reject;
mod report;
mod scatter;
mod source;
mod spill;
mod stage;
#[cfg(test)]
mod tests;
mod vocabulary;
mod write;

use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::NaiveDate;

use self::{
    arrange::{Arranged, Arrangement, arrange},
    fault::disk,
    people::{Census, People},
    plan::{Cut, PERSON, Plan, TablePlan},
    pseudonym::Pseudonyms,
    references::{ReferenceTable, read_references},
    reject::RejectFile,
    scatter::{Scattered, Shared, scatter, take_census},
    source::discover,
    stage::Stage,
    write::{Protection, TableFile},
};
pub use self::{
    fault::IngestFault,
    report::{ColumnQuality, Emptied, QualityReport, Reason, Reject, TableQuality},
    source::Format,
    stage::next_version,
    vocabulary::{LoadedVocabulary, VocabularyLoad, ingest_vocabulary},
};
use crate::{
    catalog::Model,
    engine::{
        VersionKey,
        layout::{FileEntry, FileKind, Manifest, TableEntry},
        persons_rows, persons_schema,
    },
    terms::{DataVersion, DatasetName, PopulationName, SourceName},
};

/// The share of a load's rows that may be rejected before it fails, unless the custodian says otherwise.
pub const REJECT_SHARE_MAX: f64 = 0.01;

/// One load of a data set.
pub struct Load<'a> {
    /// The data set.
    pub dataset: DatasetName,
    /// The population that its persons belong to.
    pub population: PopulationName,
    /// The population's declared maximum: a load with more persons is refused.
    pub population_max: u64,
    /// The holder that delivers.
    pub source: SourceName,
    /// What the delivery is checked against.
    pub model: &'a Model,
    /// The format of the files.
    pub format: Format,
    /// The folder of the files.
    pub path: PathBuf,
    /// The folder of the data set's versions: `data/<dataset>`.
    pub data_dir: PathBuf,
    /// The version to write, such as [`next_version`] says.
    pub version: DataVersion,
    /// The value of `now()` in questions to this version.
    pub date: NaiveDate,
    /// The key of the pseudonyms.
    pub pseudonym_key: &'a [u8; 32],
    /// The key of the hashes of files.
    pub file_key: &'a [u8; 32],
    /// The share of all rows that may be rejected: [`REJECT_SHARE_MAX`].
    pub reject_share_max: f64,
}

/// A version that lies on disk and is not in force yet.
#[derive(Debug)]
pub struct Loaded {
    /// The version.
    pub version: DataVersion,
    /// The keyed hash of its manifest, which the books keep.
    pub manifest_mac: [u8; 32],
    /// What was found, for the custodian's eyes only.
    pub report: QualityReport,
}

/// How far a load is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// Persons are being counted. Says how many rows all tables have, where the format tells.
    Counting {
        /// Rows of all tables.
        rows: Option<u64>,
    },
    /// Rows are being read.
    Reading {
        /// The table.
        table: &'a str,
        /// Rows of all tables read so far.
        rows: u64,
    },
    /// Ranges are being written.
    Writing {
        /// Ranges written.
        done: u32,
        /// Ranges in all.
        of: u32,
    },
    /// The version lies on disk.
    Published,
}

/// Reads, checks, pseudonymises, links and writes a new immutable version beside the old ones.
///
/// Bad rows go to `rejects-v<N>.csv` beside the versions: table, file, row and reason, never a value. It does not touch the
/// books; whoever calls it puts the version in force.
///
/// # Errors
/// [`IngestFault`] says which step failed. Nothing of the load is left then, and earlier versions are untouched.
pub fn ingest(load: &Load<'_>, progress: &dyn Fn(Progress<'_>)) -> Result<Loaded, IngestFault> {
    let mut report = QualityReport::default();
    let delivery = discover(&load.path, load.format, load.model)?;

    // 1. A hidden folder for the version; what earlier crashes left is gone.
    let stage = Stage::open(&load.data_dir, load.version)?;
    let mut rejects = RejectFile::create(stage.scratch().join("rejects.csv"))?;

    // 2. Every header is looked at before any row.
    let plan = Plan::new(load.model, delivery, &mut report)?;
    progress(Progress::Counting { rows: plan.rows() });

    // 3. Who is there, and under which owner key?
    let pseudonyms = Pseudonyms::new(load.pseudonym_key, &load.population);
    let person = plan.units.iter().find(|table| table.table.name == PERSON);
    let person = person.ok_or_else(|| IngestFault::MissingTable { table: PERSON.to_owned() })?;
    let people = take_census(person, Census::new(load.population_max))?.close(&pseudonyms);

    // 4. Tables about no person, then every row to the bucket of its person.
    let (reference_tables, references) = read_references(&plan.references, &pseudonyms, &mut rejects, &mut report)?;
    let cut = Cut::of(load.population_max);
    let shared = Shared { people: &people, pseudonyms: &pseudonyms, cut, scratch: stage.scratch() };
    let scattered = scatter_all(load, &plan, &shared, &mut rejects, &mut report, progress)?;

    // 5. Person by person: links, maxima, order; range by range to disk.
    let version_key = VersionKey::fresh().ok_or(IngestFault::Stopped("making the key of the version"))?;
    let protection = Protection { file_key: load.file_key, version_key: Some(&version_key) };
    let arrangement = Arrangement {
        plan: &plan,
        scattered: &scattered,
        references: &references,
        cut,
        folder: stage.folder(),
        protection,
    };
    let done = Cell::new(0);
    let ranges = arrange(&arrangement, &|_| {
        done.set(done.get() + 1);
        progress(Progress::Writing { done: done.get(), of: cut.ranges.count });
    })?;
    let persons = write_persons(&people, cut, stage.folder(), protection)?;
    let mut tables = gather_units(&plan, ranges, &mut rejects, &mut report)?;
    tables.extend(write_references(&plan.references, &reference_tables, stage.folder(), protection)?);
    report.first_rejects = rejects.first();
    refuse_too_many_rejects(load, &report)?;

    // 6. The manifest, then the version appears. A crash before the rename leaves a hidden folder, after it a version
    //    that no book names: neither is ever in force.
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    let manifest_mac = manifest(load, tables, persons, &version_key)?.write(stage.folder(), load.file_key)?;
    let rejects = rejects.finish()?;
    stage.publish(&rejects)?;
    progress(Progress::Published);
    Ok(Loaded { version: load.version, manifest_mac, report })
}

fn scatter_all(
    load: &Load<'_>,
    plan: &Plan<'_>,
    shared: &Shared<'_>,
    rejects: &mut RejectFile,
    report: &mut QualityReport,
    progress: &dyn Fn(Progress<'_>),
) -> Result<Vec<Option<Scattered>>, IngestFault> {
    let rows = Cell::new(0);
    let mut scattered = Vec::new();
    for table in &plan.units {
        if table.files.is_empty() {
            scattered.push(None);
            continue;
        }
        let name = table.table.name.as_str();
        let mut done = scatter(table, shared, rejects, &|more| {
            rows.set(rows.get() + more);
            progress(Progress::Reading { table: name, rows: rows.get() });
        })?;
        if let Some(found) = report.tables.get_mut(name) {
            found.add(std::mem::take(&mut done.found));
        }
        scattered.push(Some(done));
    }
    report.first_rejects = rejects.first();
    refuse_too_many_rejects(load, report)?;
    Ok(scattered)
}

/// The manifest's entries of the unit tables.
fn gather_units(
    plan: &Plan<'_>,
    ranges: Vec<Arranged>,
    rejects: &mut RejectFile,
    report: &mut QualityReport,
) -> Result<Vec<TableEntry>, IngestFault> {
    let mut entries: Vec<TableEntry> = plan.units.iter().map(|table| entry(table, FileKind::Unit)).collect();
    for range in ranges {
        for ((table, entry), arranged) in plan.units.iter().zip(&mut entries).zip(range.tables) {
            rejects.add(&entry.name, &table.files, &arranged.rejects)?;
            if let Some(found) = report.tables.get_mut(&entry.name) {
                found.add(arranged.found);
            }
            entry.files.push(arranged.file);
        }
    }
    Ok(entries)
}

fn write_references(
    plans: &[TablePlan<'_>],
    tables: &[ReferenceTable],
    folder: &Path,
    protection: Protection<'_>,
) -> Result<Vec<TableEntry>, IngestFault> {
    let mut entries = Vec::new();
    for (plan, table) in plans.iter().zip(tables) {
        let name = format!("{}.parquet", plan.table.name);
        let mut file = TableFile::create(folder, name, None, Arc::clone(&plan.check.schema), protection, None)?;
        file.write(&table.rows)?;
        let mut entry = entry(plan, FileKind::Reference);
        entry.files.push(file.finish()?);
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(plan: &TablePlan<'_>, kind: FileKind) -> TableEntry {
    let columns = plan.check.schema.fields().iter().map(|field| field.name().clone()).collect();
    TableEntry { name: plan.table.name.clone(), kind, columns, files: Vec::new() }
}

fn refuse_too_many_rejects(load: &Load<'_>, report: &QualityReport) -> Result<(), IngestFault> {
    match report.rejects_more_than(load.reject_share_max) {
        None => Ok(()),
        Some(table) => Err(IngestFault::TooManyRejects { table, report: Box::new(report.clone()) }),
    }
}

/// The folder of the files that name the persons; no table of a model can have its name.
const PERSONS: &str = "_persons";

/// By what the persons of each range are known in every version.
fn write_persons(
    people: &People,
    cut: Cut,
    folder: &Path,
    protection: Protection<'_>,
) -> Result<Vec<FileEntry>, IngestFault> {
    let shape = |_| IngestFault::Stopped("naming the persons of a range");
    let inside = folder.join(PERSONS);
    fs::create_dir(&inside).map_err(disk(&inside))?;
    let one = |range: u32| {
        let first = u64::from(range) * cut.ranges.width;
        let rows = persons_rows(people.pseudonyms(first, first + cut.ranges.width)).map_err(shape)?;
        let name = format!("{PERSONS}/r{range:04}.parquet");
        let mut file = TableFile::create(folder, name, Some(range), persons_schema(), protection, None)?;
        file.write(&rows)?;
        file.finish()
    };
    (0..cut.ranges.count).map(one).collect()
}

fn manifest(
    load: &Load<'_>,
    tables: Vec<TableEntry>,
    persons: Vec<FileEntry>,
    key: &VersionKey,
) -> Result<Manifest, IngestFault> {
    let wrapped = key.wrapped(load.file_key, &load.dataset, load.version);
    let wrapped = wrapped.ok_or(IngestFault::Stopped("sealing the key of the version"))?;
    let (dataset, population) = (load.dataset.clone(), load.population.clone());
    let (model, source) = (load.model.name.clone(), load.source.clone());
    let manifest = Manifest::new(dataset, population, load.version, model, source, load.date, load.population_max);
    Ok(Manifest { key: Some(wrapped), persons, tables, ..manifest })
}
