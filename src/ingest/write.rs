//! How does a sorted stretch of rows become a durable Parquet file with a keyed hash?

use std::{
    fs::File,
    io::{self, BufWriter},
    path::Path,
};

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    parquet::{
        arrow::ArrowWriter,
        basic::{Compression, Encoding, ZstdLevel},
        errors::ParquetError,
        file::properties::{EnabledStatistics, WriterProperties},
        schema::types::ColumnPath,
    },
};

use super::fault::{IngestFault, disk};
use crate::engine::{
    VersionKey,
    layout::{FileEntry, MacWriter},
};

/// Rows of a row group: what one reader holds at a time.
const ROW_GROUP_ROWS: usize = 131_072;

/// What protects the files of a version: their keyed hashes, and the key that encrypts them.
#[derive(Clone, Copy)]
pub(super) struct Protection<'a> {
    pub(super) file_key: &'a [u8; 32],
    /// None for public tables.
    pub(super) version_key: Option<&'a VersionKey>,
}

/// A Parquet file that is being written.
pub(super) struct TableFile {
    writer: ArrowWriter<MacWriter<BufWriter<File>>>,
    /// Relative to the version's folder.
    name: String,
    range: Option<u32>,
    path: String,
}

impl TableFile {
    /// `ascending` is a column of whole numbers each of which is the one before or a little more.
    pub(super) fn create(
        folder: &Path,
        name: String,
        range: Option<u32>,
        schema: SchemaRef,
        protection: Protection<'_>,
        ascending: Option<&str>,
    ) -> Result<Self, IngestFault> {
        let path = folder.join(&name);
        let file = File::create_new(&path).map_err(disk(&path))?;
        let hashed = MacWriter::new(BufWriter::with_capacity(1 << 18, file), protection.file_key);
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_created_by("sekisho".to_owned());
        if let Some(key) = protection.version_key {
            properties = properties.with_file_encryption_properties(key.encryption().map_err(IngestFault::from)?);
        }
        if let Some(column) = ascending.map(ColumnPath::from) {
            // Their differences take a bit or none, and are added up faster than values are looked up in a dictionary.
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
        let path = path.display().to_string();
        let writer = ArrowWriter::try_new(hashed, schema, Some(properties.build())).map_err(full(&path))?;
        Ok(Self { writer, name, range, path })
    }

    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<(), IngestFault> {
        self.writer.write(rows).map_err(full(&self.path))
    }

    /// Makes the file durable and says what the manifest holds of it.
    pub(super) fn finish(self) -> Result<FileEntry, IngestFault> {
        let Self { writer, name, range, path } = self;
        let (buffered, mac) = writer.into_inner().map_err(full(&path))?.finish();
        let file = buffered.into_inner().map_err(|said| disk(Path::new(&path))(said.into_error()))?;
        file.sync_all().map_err(disk(Path::new(&path)))?;
        Ok(FileEntry { range, file: name, mac })
    }
}

/// The Parquet writer's own words are dropped; what the operating system said is kept.
fn full(path: &str) -> impl FnOnce(ParquetError) -> IngestFault + use<> {
    let path = path.to_owned();
    |fault| {
        let said = match fault {
            ParquetError::External(cause) => cause.downcast::<io::Error>().map(|said| *said).ok(),
            _ => None,
        };
        IngestFault::Disk { path, source: said.unwrap_or_else(|| io::ErrorKind::Other.into()) }
    }
}
