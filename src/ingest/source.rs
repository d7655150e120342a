//! Which files did the source deliver, and what do they say, batch by batch?
//!
//! A table is `<table>.csv`, `<table>.tsv` or `<table>.parquet`, or a folder `<table>` of such files; names in any case.
//! Text files begin with a header; a tab in the header makes tab the separator and quotes ordinary characters, as in
//! the vocabulary downloads of the OMOP community.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use csv::ByteRecord;
use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder},
        datatypes::{DataType, Field, Schema},
    },
    parquet::arrow::{
        ProjectionMask,
        arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
};

use super::fault::{IngestFault, unreadable};
use crate::catalog::Model;

/// In what format the source delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OMOP CDM tables as CSV (or TSV) files with a header.
    OmopCsv,
    /// OMOP CDM tables as Parquet files.
    OmopParquet,
}

/// Rows of a batch: enough for columnar work, few enough to stay in the cache of a small machine.
const BATCH_ROWS: usize = 32_768;

/// One file of a table.
#[derive(Debug, Clone)]
pub(super) struct SourceFile {
    /// Relative to the source's folder.
    pub(super) name: String,
    path: PathBuf,
    format: Format,
}

/// What lies in the source's folder.
pub(super) struct Delivery {
    /// The files of each table of the catalogue.
    pub(super) tables: BTreeMap<String, Vec<SourceFile>>,
    /// Everything else.
    pub(super) unknown: Vec<String>,
}

/// Some rows of a file.
pub(super) struct SourceBatch {
    /// The columns asked for that the file has, with lower-case names.
    pub(super) columns: RecordBatch,
    /// The line or row number of each row, from 1.
    pub(super) rows: Vec<u64>,
    /// Lines that are no rows of the table: another number of fields, or not UTF-8.
    pub(super) broken: Vec<u64>,
}

/// Finds the tables of `model` in the folder `root`.
pub(super) fn discover(root: &Path, format: Format, model: &Model) -> Result<Delivery, IngestFault> {
    let mut delivery = Delivery { tables: BTreeMap::new(), unknown: Vec::new() };
    for (name, path) in entries(root)? {
        let table = |stem: &str| Some(stem.to_ascii_lowercase()).filter(|t| model.tables.contains_key(t));
        let parts = match path.is_dir() {
            true => entries(&path)?.into_iter().map(|(part, path)| (format!("{name}/{part}"), path)).collect(),
            false => vec![(name.clone(), path.clone())],
        };
        let stem = match path.is_dir() {
            true => Some(name.as_str()),
            false => path.file_stem().and_then(|stem| stem.to_str()),
        };
        match stem.and_then(table) {
            None => delivery.unknown.push(name),
            Some(table) => {
                let (files, others): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(_, path)| is_of(path, format));
                delivery.unknown.extend(others.into_iter().map(|(name, _)| name));
                let files = files.into_iter().map(|(name, path)| SourceFile { name, path, format });
                delivery.tables.entry(table).or_default().extend(files);
            }
        }
    }
    delivery.tables.retain(|_, files| !files.is_empty());
    Ok(delivery)
}

/// The visible entries of a folder by name.
fn entries(folder: &Path) -> Result<BTreeMap<String, PathBuf>, IngestFault> {
    let name = folder.display().to_string();
    let listed = fs::read_dir(folder).map_err(unreadable(&name))?;
    let mut found = BTreeMap::new();
    for entry in listed {
        let entry = entry.map_err(unreadable(&name))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            found.insert(name, entry.path());
        }
    }
    Ok(found)
}

fn is_of(path: &Path, format: Format) -> bool {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    path.is_file()
        && match format {
            Format::OmopCsv => matches!(ending.as_str(), "csv" | "tsv" | "txt"),
            Format::OmopParquet => matches!(ending.as_str(), "parquet" | "parq"),
        }
}

/// Reads one file.
pub(super) enum SourceReader {
    Text(TextReader),
    Parquet(Box<ParquetReader>),
}

pub(super) struct TextReader {
    name: String,
    reader: csv::Reader<File>,
    fields: usize,
    /// Position in the line and lower-case name of each column to read.
    wanted: Vec<(usize, String)>,
}

pub(super) struct ParquetReader {
    name: String,
    reader: ParquetRecordBatchReader,
    next_row: u64,
}

impl SourceFile {
    /// The lower-case names of the file's columns.
    pub(super) fn columns(&self) -> Result<Vec<String>, IngestFault> {
        let names: Vec<String> = match self.format {
            Format::OmopCsv => self.text()?.1,
            Format::OmopParquet => {
                self.parquet()?.schema().fields().iter().map(|f| f.name().trim().to_ascii_lowercase()).collect()
            }
        };
        let mut seen = BTreeSet::new();
        match names.iter().find(|name| !seen.insert(name.as_str())) {
            Some(column) => Err(IngestFault::ColumnTwice { file: self.name.clone(), column: column.clone() }),
            None => Ok(names),
        }
    }

    /// Reads the columns that `wanted` names, as far as the file has them.
    pub(super) fn read(&self, wanted: &BTreeSet<String>) -> Result<SourceReader, IngestFault> {
        let names = self.columns()?;
        let positions = names.into_iter().enumerate().filter(|(_, name)| wanted.contains(name));
        match self.format {
            Format::OmopCsv => {
                let (reader, header) = self.text()?;
                let (name, wanted) = (self.name.clone(), positions.collect());
                Ok(SourceReader::Text(TextReader { name, reader, fields: header.len(), wanted }))
            }
            Format::OmopParquet => {
                let builder = self.parquet()?;
                let roots = ProjectionMask::roots(builder.parquet_schema(), positions.map(|(at, _)| at));
                let reader = builder.with_batch_size(BATCH_ROWS).with_projection(roots).build();
                let reader = reader.map_err(|_| self.broken())?;
                Ok(SourceReader::Parquet(Box::new(ParquetReader { name: self.name.clone(), reader, next_row: 1 })))
            }
        }
    }

    /// How many rows the file has, where that is known before reading it.
    pub(super) fn rows(&self) -> Option<u64> {
        match self.format {
            Format::OmopCsv => None,
            Format::OmopParquet => u64::try_from(self.parquet().ok()?.metadata().file_metadata().num_rows()).ok(),
        }
    }

    fn parquet(&self) -> Result<ParquetRecordBatchReaderBuilder<File>, IngestFault> {
        let file = File::open(&self.path).map_err(unreadable(&self.name))?;
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|_| self.broken())
    }

    /// The reader behind the header, and the header's names in lower case.
    fn text(&self) -> Result<(csv::Reader<File>, Vec<String>), IngestFault> {
        let open = |delimiter: u8| -> Result<(csv::Reader<File>, Vec<String>), IngestFault> {
            let file = File::open(&self.path).map_err(unreadable(&self.name))?;
            let mut reader = csv::ReaderBuilder::new()
                .flexible(true)
                .delimiter(delimiter)
                .quoting(delimiter != b'\t')
                .buffer_capacity(1 << 18)
                .from_reader(file);
            let header = reader.byte_headers().map_err(|_| self.broken())?;
            let names: Result<Vec<String>, _> = header
                .iter()
                .map(|name| {
                    std::str::from_utf8(name).map(|n| n.trim_matches(['\u{feff}', ' ', '"']).to_ascii_lowercase())
                })
                .collect();
            Ok((reader, names.map_err(|_| self.broken())?))
        };
        let tabbed = open(b'\t')?;
        if tabbed.1.len() > 1 { Ok(tabbed) } else { open(b',') }
    }

    fn broken(&self) -> IngestFault {
        IngestFault::Broken { file: self.name.clone() }
    }
}

impl Iterator for SourceReader {
    type Item = Result<SourceBatch, IngestFault>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Text(reader) => reader.next_batch().transpose(),
            Self::Parquet(reader) => reader.next_batch().transpose(),
        }
    }
}

impl TextReader {
    fn next_batch(&mut self) -> Result<Option<SourceBatch>, IngestFault> {
        let broken_file = || IngestFault::Broken { file: self.name.clone() };
        let mut builders: Vec<_> = self.wanted.iter().map(|_| StringBuilder::new()).collect();
        let (mut rows, mut broken) = (Vec::new(), Vec::new());
        let mut record = ByteRecord::new();
        while rows.len() + broken.len() < BATCH_ROWS {
            let more = self.reader.read_byte_record(&mut record).map_err(|_| broken_file())?;
            if !more {
                break;
            }
            let line = record.position().map_or(0, csv::Position::line);
            let text = |(at, _): &(usize, String)| record.get(*at).map(std::str::from_utf8);
            let whole =
                record.len() == self.fields && self.wanted.iter().all(|column| matches!(text(column), Some(Ok(_))));
            if !whole {
                broken.push(line);
                continue;
            }
            rows.push(line);
            for (builder, column) in builders.iter_mut().zip(&self.wanted) {
                match text(column) {
                    Some(Ok(value)) if !value.is_empty() => builder.append_value(value),
                    _ => builder.append_null(),
                }
            }
        }
        if rows.is_empty() && broken.is_empty() {
            return Ok(None);
        }
        let fields: Vec<_> = self.wanted.iter().map(|(_, name)| Field::new(name, DataType::Utf8, true)).collect();
        let arrays: Vec<ArrayRef> = builders.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef).collect();
        let columns = batch_of(fields, arrays, rows.len()).ok_or_else(broken_file)?;
        Ok(Some(SourceBatch { columns, rows, broken }))
    }
}

impl ParquetReader {
    fn next_batch(&mut self) -> Result<Option<SourceBatch>, IngestFault> {
        let broken_file = || IngestFault::Broken { file: self.name.clone() };
        let Some(batch) = self.reader.next().transpose().map_err(|_| broken_file())? else { return Ok(None) };
        let first = self.next_row;
        self.next_row += batch.num_rows() as u64;
        let lower =
            |f: &Arc<Field>| f.as_ref().clone().with_name(f.name().trim().to_ascii_lowercase()).with_nullable(true);
        let fields = batch.schema().fields().iter().map(lower).collect();
        let columns = batch_of(fields, batch.columns().to_vec(), batch.num_rows()).ok_or_else(broken_file)?;
        Ok(Some(SourceBatch { columns, rows: (first..self.next_row).collect(), broken: Vec::new() }))
    }
}

fn batch_of(fields: Vec<Field>, arrays: Vec<ArrayRef>, rows: usize) -> Option<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).ok()
}
