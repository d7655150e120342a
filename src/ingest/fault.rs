//! Why did a load fail, in words for its operator?

use std::{io, path::Path};

use super::report::QualityReport;
use crate::{engine::layout::LayoutFault, terms::DataVersion};

/// Why a load failed. Whatever the step, nothing of it remains on disk and earlier versions are untouched.
///
/// Faults name files, tables and columns, never a value; what the format readers say is dropped, since they quote cells.
#[derive(Debug, thiserror::Error)]
pub enum IngestFault {
    /// Another load of the same data set is running.
    #[error("another load of this data set is running")]
    Busy,
    /// The version is already there.
    #[error("version {0} is already there")]
    VersionExists(DataVersion),
    /// The folder or a file of the source cannot be read.
    #[error("{file}: cannot be read")]
    Source {
        /// The file or folder.
        file: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file is not what its name says: truncated, damaged or of another format.
    #[error("{file}: is damaged or not of the format given")]
    Broken {
        /// The file.
        file: String,
    },
    /// A table that the load needs is not there.
    #[error("the source has no table {table}")]
    MissingTable {
        /// The table.
        table: String,
    },
    /// A column that may not be NULL is not there.
    #[error("{file}: column {column} is missing")]
    MissingColumn {
        /// The file.
        file: String,
        /// The column.
        column: String,
    },
    /// Two columns have the same name but for case.
    #[error("{file}: column {column} is there twice")]
    ColumnTwice {
        /// The file.
        file: String,
        /// The column.
        column: String,
    },
    /// A column's type cannot hold what the catalogue declares.
    #[error("{file}: column {column} is of type {found}, not {expected}")]
    ColumnType {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// The type that the catalogue declares.
        expected: &'static str,
        /// The type of the file.
        found: String,
    },
    /// The load has more persons than the population declares.
    #[error("the load has more persons than the population's declared maximum of {population_max}")]
    PopulationExceeded {
        /// The declared maximum.
        population_max: u64,
    },
    /// More rows were rejected than the load allows.
    #[error("{table}: more rows were rejected than the load allows (see the quality report)")]
    TooManyRejects {
        /// The table.
        table: String,
        /// What was found until then, for the custodian.
        report: Box<QualityReport>,
    },
    /// The disk refused: full, read-only or failing.
    #[error("{path}: cannot be written")]
    Disk {
        /// The file or folder.
        path: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The catalogue model cannot be loaded.
    #[error("catalogue: {table}: {reason}")]
    Model {
        /// The table.
        table: String,
        /// Why.
        reason: &'static str,
    },
    /// The manifest cannot be written.
    #[error(transparent)]
    Layout(#[from] LayoutFault),
    /// A worker of the load stopped unexpectedly.
    #[error("a worker of the load stopped unexpectedly while {0}")]
    Stopped(&'static str),
}

pub(super) fn disk(path: &Path) -> impl FnOnce(io::Error) -> IngestFault + use<> {
    let path = path.display().to_string();
    |source| IngestFault::Disk { path, source }
}

pub(super) fn unreadable(file: &str) -> impl FnOnce(io::Error) -> IngestFault + use<> {
    let file = file.to_owned();
    |source| IngestFault::Source { file, source }
}
