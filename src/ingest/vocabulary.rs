//! How does a release of a public vocabulary get into the enclave?
//!
//! Its tables exist without the persons in any data set, so nothing is pseudonymised and nobody is counted; the checks of
//! values, the reject file and the way it appears on disk are those of a data set.

use std::{path::PathBuf, sync::Arc};

use chrono::NaiveDate;
use datafusion::arrow::array::Array;

use super::{
    Progress,
    check::TableCheck,
    fault::IngestFault,
    people::People,
    plan::inspect,
    pseudonym::Pseudonyms,
    reject::RejectFile,
    report::QualityReport,
    source::{Format, SourceFile, discover},
    stage::Stage,
    write::{Protection, TableFile},
};
use crate::{
    catalog::{Model, Table, TableKind},
    engine::layout::{FileEntry, FileKind, TableEntry, VocabularyManifest},
    terms::{DataVersion, PopulationName, VocabularyName},
};

/// One load of a public vocabulary.
pub struct VocabularyLoad<'a> {
    /// The vocabulary.
    pub name: VocabularyName,
    /// The release as its publisher calls it.
    pub release: String,
    /// Whose public tables it is checked against.
    pub model: &'a Model,
    /// The format of the files.
    pub format: Format,
    /// The folder of the files.
    pub path: PathBuf,
    /// The folder of the vocabulary's versions: `data/vocab/<name>`.
    pub data_dir: PathBuf,
    /// The version to write, such as [`super::next_version`] says.
    pub version: DataVersion,
    /// The date of loading.
    pub date: NaiveDate,
    /// The key of the hashes of files.
    pub file_key: &'a [u8; 32],
    /// The share of all rows that may be rejected: [`super::REJECT_SHARE_MAX`].
    pub reject_share_max: f64,
}

/// A vocabulary release that lies on disk and is not in force yet.
#[derive(Debug)]
pub struct LoadedVocabulary {
    /// The version.
    pub version: DataVersion,
    /// The keyed hash of its manifest, which the books keep.
    pub manifest_mac: [u8; 32],
    /// What was found.
    pub report: QualityReport,
}

/// Reads and checks a vocabulary release and writes it as a new immutable version.
///
/// # Errors
/// [`IngestFault`] says which step failed. Nothing of the load is left then, and earlier versions are untouched.
pub fn ingest_vocabulary(
    load: &VocabularyLoad<'_>,
    progress: &dyn Fn(Progress<'_>),
) -> Result<LoadedVocabulary, IngestFault> {
    let mut report = QualityReport::default();
    let mut delivery = discover(&load.path, load.format, load.model)?;
    report.files_unknown = delivery.unknown;
    let stage = Stage::open(&load.data_dir, load.version)?;
    let mut rejects = RejectFile::create(stage.scratch().join("rejects.csv"))?;

    let mut plans: Vec<(&Table, TableCheck, Vec<SourceFile>)> = Vec::new();
    for table in load.model.tables.values() {
        match (delivery.tables.remove(&table.name), table.kind) {
            (Some(files), TableKind::Public) => {
                let mut check = TableCheck::new(table)?;
                report.tables.insert(table.name.clone(), inspect(table, &mut check, &files)?);
                plans.push((table, check, files));
            }
            (Some(_), _) => {
                report.tables_skipped.insert(table.name.clone(), "is not a public table".to_owned());
            }
            (None, TableKind::Public) => report.tables_missing.push(table.name.clone()),
            (None, _) => {}
        }
    }
    if plans.is_empty() {
        return Err(IngestFault::MissingTable { table: "of a public vocabulary".to_owned() });
    }
    let rows = plans.iter().flat_map(|(_, _, files)| files).map(SourceFile::rows).sum();
    progress(Progress::Counting { rows });

    let (mut tables, mut rows) = (Vec::new(), 0);
    for (table, check, files) in &plans {
        let file = write_table(load, (table, check, files), &stage, &mut rejects, &mut report, &mut |more| {
            rows += more;
            progress(Progress::Reading { table: &table.name, rows });
        })?;
        let columns = check.schema.fields().iter().map(|field| field.name().clone()).collect();
        tables.push(TableEntry { name: table.name.clone(), kind: FileKind::Public, columns, files: vec![file] });
    }

    report.first_rejects = rejects.first();
    if let Some(table) = report.rejects_more_than(load.reject_share_max) {
        return Err(IngestFault::TooManyRejects { table, report: Box::new(report) });
    }

    let (name, release, model) = (load.name.clone(), load.release.clone(), load.model.name.clone());
    let manifest = VocabularyManifest::new(name, release, load.version, model, load.date);
    let manifest_mac = VocabularyManifest { tables, ..manifest }.write(stage.folder(), load.file_key)?;
    let rejects = rejects.finish()?;
    stage.publish(&rejects)?;
    progress(Progress::Published);
    Ok(LoadedVocabulary { version: load.version, manifest_mac, report })
}

fn write_table(
    load: &VocabularyLoad<'_>,
    (table, check, files): (&Table, &TableCheck, &[SourceFile]),
    stage: &Stage,
    rejects: &mut RejectFile,
    report: &mut QualityReport,
    progress: &mut dyn FnMut(u64),
) -> Result<FileEntry, IngestFault> {
    let name = format!("{}.parquet", table.name);
    let protection = Protection { file_key: load.file_key, version_key: None };
    let mut out = TableFile::create(stage.folder(), name, None, Arc::clone(&check.schema), protection, None)?;
    let (nobody, mut memory) = (People::nobody(), check.memory());
    let nothing = nothing_to_hide()?;
    let found = report.tables.entry(table.name.clone()).or_default();
    for (number, file) in files.iter().enumerate() {
        for batch in file.read(&check.wanted())? {
            let judged = check.judge((number, &file.name), &batch?)?;
            let linked = check.link(judged, &nobody, false, &nothing, &mut memory)?;
            rejects.add(&table.name, files, &linked.rejects)?;
            progress(linked.found.rows_read);
            found.add(linked.found);
            let rows = check.written(&linked.rows)?;
            found.rows_written += rows.num_rows() as u64;
            for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
                found.columns.entry(field.name().clone()).or_default().nulls += column.null_count() as u64;
            }
            out.write(&rows)?;
        }
    }
    out.finish()
}

/// Public tables have no column that becomes a pseudonym: this key is never used.
fn nothing_to_hide() -> Result<Pseudonyms, IngestFault> {
    let nobody = PopulationName::new("nobody").map_err(|_| IngestFault::Stopped("writing a vocabulary"))?;
    Ok(Pseudonyms::new(&[0; 32], &nobody))
}
