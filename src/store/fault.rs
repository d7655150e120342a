//! What can go wrong between us and the disk?

use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;

/// Why the database did not do what it was asked. Names steps and files, never what is stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// Another process has the database open.
    #[error("{path} is held by another gateway")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// There is no database.
    #[error("there are no books at {path}")]
    Absent {
        /// Where it should be.
        path: PathBuf,
    },
    /// There is a database already.
    #[error("there are books at {path} already")]
    AlreadyThere {
        /// Where it is.
        path: PathBuf,
    },
    /// Anybody who has the file can read it.
    #[error("{path} is not encrypted: sekisho keys seal encrypts it, while no gateway runs")]
    InClear {
        /// The database.
        path: PathBuf,
    },
    /// The key is not that of the database, or its first page is damaged: one cannot be told from the other.
    #[error(
        "{path} does not open with these keys: they belong to other books, or the file is damaged. Nothing was touched"
    )]
    NotReadable {
        /// The database.
        path: PathBuf,
    },
    /// Some page is not as it was written.
    #[error("{path} is damaged: some page of it is not as it was written. Restore a backup")]
    Damaged {
        /// The database.
        path: PathBuf,
    },
    /// A later version of the program wrote it.
    #[error("the books have schema version {found}, this program knows {known}: use a newer program")]
    Newer {
        /// The version on disk.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// They went a way that this program does not know.
    #[error(
        "the books call their schema step {version} {name:?}, which this program does not know: use the program that \
         wrote them. Nothing was touched"
    )]
    Strange {
        /// The step.
        version: u32,
        /// What they call it.
        name: String,
    },
    /// A commit failed before: stop, restart, recover.
    #[error("the books stopped after a write of unknown outcome: restart the gateway")]
    Poisoned,
    /// The writer thread is gone.
    #[error("the books are closed")]
    Stopped,
    /// A file operation failed.
    #[error("cannot {step} {path}")]
    File {
        /// What was tried.
        step: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The thread could not be started.
    #[error("cannot start the writer thread")]
    Thread(#[source] io::Error),
    /// SQLite refused a statement.
    #[error("the database refused a statement")]
    Statement(#[from] rusqlite::Error),
    /// A number does not fit its column.
    #[error("a number does not fit the books")]
    Number,
    /// A stored value is not of its kind: the file was changed from outside or is damaged.
    #[error("the books hold a broken {what}")]
    Broken {
        /// The kind of value.
        what: &'static str,
    },
}

impl StoreFault {
    /// The same with the file by name, where the engine found that it is damaged.
    pub(super) fn of(self, path: &Path) -> Self {
        match self {
            Self::Statement(rusqlite::Error::SqliteFailure(said, _))
                if matches!(said.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) =>
            {
                Self::Damaged { path: path.to_owned() }
            }
            other => other,
        }
    }
}
