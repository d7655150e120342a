//! How does a table become a file, so that a file under its own name is always whole?
//!
//! Rows go to `<table>.<ending>.tmp`; only when every table is complete do the files get their names. A run of blocks
//! is encoded where it was drawn (any thread) and appended by one hand, in order: as a row group in Parquet, as lines
//! in CSV.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use datafusion::{
    arrow::{array::RecordBatch, csv::WriterBuilder, datatypes::SchemaRef, error::ArrowError},
    parquet::{
        arrow::{
            ArrowWriter,
            arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves},
        },
        basic::Compression,
        errors::ParquetError,
        file::{
            properties::{EnabledStatistics, WriterProperties},
            writer::SerializedFileWriter,
        },
    },
};

use super::{Format, SynthFault, layout::Layout};

/// A table being written.
pub struct TableFile {
    table: &'static str,
    partial: PathBuf,
    path: PathBuf,
    rows: u64,
    sink: Sink,
}

enum Sink {
    Parquet(SerializedFileWriter<BufWriter<File>>),
    Csv(BufWriter<File>),
}

/// What turns batches of one table into bytes, on any thread.
pub enum Encoder {
    /// Columns of a row group.
    Parquet(ArrowRowGroupWriterFactory),
    /// Lines.
    Csv,
}

/// Rows of one table, ready to be appended.
pub struct Encoded {
    rows: u64,
    body: EncodedBody,
}

enum EncodedBody {
    Parquet(Vec<ArrowColumnChunk>),
    Csv(Vec<u8>),
}

impl Encoded {
    /// Rows in it.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

impl Encoder {
    /// Start a run of batches that are appended together.
    ///
    /// # Errors
    /// If the columns have no writers.
    pub fn begin(&self) -> Result<Encoding, EncodeFault> {
        let body = match self {
            // The number of the row group matters only to encrypted files.
            Self::Parquet(factory) => EncodingBody::Parquet(factory.create_column_writers(0)?),
            Self::Csv => EncodingBody::Csv(Vec::new()),
        };
        Ok(Encoding { rows: 0, body })
    }
}

/// Batches of one table on their way to bytes: only the bytes are kept.
pub struct Encoding {
    rows: u64,
    body: EncodingBody,
}

enum EncodingBody {
    Parquet(Vec<ArrowColumnWriter>),
    Csv(Vec<u8>),
}

impl Encoding {
    /// Add a batch.
    ///
    /// # Errors
    /// If the batch does not fit the table.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), EncodeFault> {
        self.rows = self.rows.saturating_add(u64::try_from(batch.num_rows()).unwrap_or(u64::MAX));
        match &mut self.body {
            EncodingBody::Parquet(writers) => {
                let schema = batch.schema();
                // No table has nested columns: one leaf and one writer a column.
                for ((field, array), writer) in schema.fields().iter().zip(batch.columns()).zip(writers) {
                    for leaf in compute_leaves(field, array)? {
                        writer.write(&leaf)?;
                    }
                }
            }
            EncodingBody::Csv(lines) => WriterBuilder::new().with_header(false).build(lines).write(batch)?,
        }
        Ok(())
    }

    /// The bytes.
    ///
    /// # Errors
    /// If a column cannot be encoded.
    pub fn finish(self) -> Result<Encoded, EncodeFault> {
        let body = match self.body {
            EncodingBody::Parquet(writers) => {
                EncodedBody::Parquet(writers.into_iter().map(ArrowColumnWriter::close).collect::<Result<_, _>>()?)
            }
            EncodingBody::Csv(lines) => EncodedBody::Csv(lines),
        };
        Ok(Encoded { rows: self.rows, body })
    }
}

/// What goes wrong in an encoder.
#[derive(Debug, thiserror::Error)]
pub enum EncodeFault {
    /// Arrow's reason.
    #[error("the rows do not form a batch")]
    Arrow(#[from] ArrowError),
    /// Parquet's reason.
    #[error("the rows cannot be encoded")]
    Parquet(#[from] ParquetError),
}

impl TableFile {
    /// Start the file of a table in `folder`, and what encodes for it.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn create(folder: &Path, layout: &Layout, format: Format) -> Result<(Self, Encoder), SynthFault> {
        let path = folder.join(format!("{}.{}", layout.table, format.ending()));
        let partial = folder.join(format!("{}.{}.tmp", layout.table, format.ending()));
        let file = File::create(&partial).map_err(|source| SynthFault::write(&partial, source))?;
        let buffered = BufWriter::with_capacity(1 << 20, file);
        let schema = layout.schema();
        let (sink, encoder) = match format {
            Format::Parquet => parquet_sink(buffered, schema).map_err(|fault| parquet_fault(&partial, fault))?,
            Format::Csv => csv_sink(buffered, layout).map_err(|source| SynthFault::write(&partial, source))?,
        };
        Ok((Self { table: layout.table, partial, path, rows: 0, sink }, encoder))
    }

    /// Append encoded rows. None leave no trace.
    ///
    /// # Errors
    /// If the disk is full or the file cannot be written.
    pub fn append(&mut self, encoded: Encoded) -> Result<(), SynthFault> {
        if encoded.rows == 0 {
            return Ok(());
        }
        self.rows = self.rows.saturating_add(encoded.rows);
        match (&mut self.sink, encoded.body) {
            (Sink::Parquet(writer), EncodedBody::Parquet(chunks)) => {
                append_row_group(writer, chunks).map_err(|fault| parquet_fault(&self.partial, fault))
            }
            (Sink::Csv(writer), EncodedBody::Csv(lines)) => {
                writer.write_all(&lines).map_err(|source| SynthFault::write(&self.partial, source))
            }
            _ => Err(SynthFault::Worker),
        }
    }

    /// Write what is left of the file; it keeps its temporary name.
    ///
    /// # Errors
    /// If the disk is full or the file cannot be written.
    pub fn close(self) -> Result<Closed, SynthFault> {
        let Self { table, partial, path, rows, sink } = self;
        match sink {
            Sink::Parquet(mut writer) => {
                writer.finish().map_err(|fault| parquet_fault(&partial, fault))?;
                let buffered = writer.inner_mut();
                buffered.flush().map_err(|source| SynthFault::write(&partial, source))?;
            }
            Sink::Csv(mut writer) => writer.flush().map_err(|source| SynthFault::write(&partial, source))?,
        }
        Ok(Closed { table, rows, partial, path })
    }
}

/// A whole file that has not got its name yet.
#[must_use]
pub struct Closed {
    pub table: &'static str,
    pub rows: u64,
    partial: PathBuf,
    path: PathBuf,
}

impl Closed {
    /// Give the file its name.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub fn publish(&self) -> Result<(), SynthFault> {
        fs::rename(&self.partial, &self.path).map_err(|source| SynthFault::write(&self.path, source))
    }
}

fn parquet_sink(file: BufWriter<File>, schema: SchemaRef) -> Result<(Sink, Encoder), ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .build();
    let (writer, factory) = ArrowWriter::try_new(file, schema, Some(properties))?.into_serialized_writer()?;
    Ok((Sink::Parquet(writer), Encoder::Parquet(factory)))
}

fn csv_sink(mut file: BufWriter<File>, layout: &Layout) -> io::Result<(Sink, Encoder)> {
    let header: Vec<&str> = layout.columns.iter().map(|c| c.name).collect();
    writeln!(file, "{}", header.join(","))?;
    Ok((Sink::Csv(file), Encoder::Csv))
}

fn append_row_group(
    writer: &mut SerializedFileWriter<BufWriter<File>>,
    chunks: Vec<ArrowColumnChunk>,
) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    for chunk in chunks {
        chunk.append_to_row_group(&mut group)?;
    }
    group.close().map(|_| ())
}

/// A fault of the Parquet writer is nearly always the disk's: tell it apart.
fn parquet_fault(path: &Path, fault: ParquetError) -> SynthFault {
    match fault {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(source) => SynthFault::write(path, *source),
            Err(other) => SynthFault::Encode(Arc::new(EncodeFault::Parquet(ParquetError::External(other)))),
        },
        other => SynthFault::Encode(Arc::new(EncodeFault::Parquet(other))),
    }
}

/// A folder that holds nothing but what a broken-off run left.
///
/// # Errors
/// If the folder cannot be made or holds anything else.
pub fn empty_folder(folder: &Path) -> Result<(), SynthFault> {
    fs::create_dir_all(folder).map_err(|source| SynthFault::write(folder, source))?;
    let listing = fs::read_dir(folder).map_err(|source| SynthFault::write(folder, source))?;
    for entry in listing {
        let entry = entry.map_err(|source| SynthFault::write(folder, source))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let leftover = name.ends_with(".parquet.tmp") || name.ends_with(".csv.tmp");
        if name == super::VOCABULARY && entry.path().is_dir() {
            empty_folder(&entry.path())?;
        } else if !leftover {
            return Err(SynthFault::NotEmpty { folder: folder.to_path_buf() });
        }
    }
    Ok(())
}

/// Take away what a run that failed has left.
pub fn sweep(folder: &Path) {
    let Ok(listing) = fs::read_dir(folder) else { return };
    for entry in listing.flatten() {
        if entry.file_name().to_string_lossy().ends_with(".tmp") {
            // Best effort: a leftover under its temporary name misleads nobody, and the next run overwrites it.
            let _ = fs::remove_file(entry.path());
        }
    }
}
