//! How does one durable database serve many threads?
//!
//! One SQLite file, write-ahead log, every commit forced to disk. One thread writes: it takes closures from a queue and
//! commits all that wait together (`writer.rs`). Reads go through connections of their own that cannot write. A lock
//! file keeps a second gateway out. After a commit of unknown outcome the store is poisoned and answers nothing more
//! until it is opened again.

mod cipher;
mod copy;
mod fault;
mod lock;
mod migrate;
mod open;
mod readers;
mod step;
mod writer;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::Connection;

pub use copy::{copy_out, encrypt, look_at};
pub use fault::StoreFault;
pub use migrate::{Detour, Migration};
#[cfg(not(test))]
use step::Steps;
#[cfg(test)]
pub(crate) use step::{Meddling, Step, Steps};

/// One open database. A cheap handle: clones share the writer thread, which ends with the last of them.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

// Dropped from top to bottom: the writer finishes its queue, the readers close, and only then the lock is given up.
struct Inner {
    writer: writer::Writer,
    readers: readers::Readers,
    poison: Arc<Poison>,
    _lock: lock::Lock,
}

impl Store {
    /// Makes a new encrypted database at `path` with the newest schema; durable when this returns.
    ///
    /// # Errors
    /// [`StoreFault::AlreadyThere`] where the file exists, [`StoreFault::Locked`] where another gateway holds it.
    pub fn create_under(path: &Path, migrations: &'static [Migration], key: &[u8; 32]) -> Result<Self, StoreFault> {
        let lock = lock::Lock::take(path)?;
        open::make_file(path)?;
        Self::start(path, migrations, lock, cipher::Cipher::of(Some(key)), Steps::default())
    }

    /// Opens the encrypted database at `path` and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreFault::Absent`], [`StoreFault::Locked`] where another gateway holds it, [`StoreFault::Newer`] where a later
    /// version of the program wrote it, [`StoreFault::InClear`] where it is not encrypted, [`StoreFault::NotReadable`] where
    /// the key is another one, [`StoreFault::Damaged`] where a page is not as it was written.
    pub fn open_under(path: &Path, migrations: &'static [Migration], key: &[u8; 32]) -> Result<Self, StoreFault> {
        let lock = lock::Lock::take(path)?;
        Self::start(path, migrations, lock, cipher::Cipher::of(Some(key)), Steps::default())
    }

    /// The same, with a meddler at every step of a commit.
    #[cfg(test)]
    pub(crate) fn open_meddled(
        path: &Path,
        migrations: &[Migration],
        key: &[u8; 32],
        steps: Steps,
    ) -> Result<Self, StoreFault> {
        let lock = lock::Lock::take(path)?;
        Self::start(path, migrations, lock, cipher::Cipher::of(Some(key)), steps)
    }

    /// As [`Store::create_under`], in clear: what earlier versions wrote.
    ///
    /// # Errors
    /// As [`Store::create_under`].
    pub fn create(path: &Path, migrations: &'static [Migration]) -> Result<Self, StoreFault> {
        let lock = lock::Lock::take(path)?;
        open::make_file(path)?;
        Self::start(path, migrations, lock, cipher::Cipher::of(None), Steps::default())
    }

    /// As [`Store::open_under`], in clear.
    ///
    /// # Errors
    /// As [`Store::open_under`].
    pub fn open(path: &Path, migrations: &'static [Migration]) -> Result<Self, StoreFault> {
        let lock = lock::Lock::take(path)?;
        Self::start(path, migrations, lock, cipher::Cipher::of(None), Steps::default())
    }

    fn start(
        path: &Path,
        migrations: &[Migration],
        lock: lock::Lock,
        cipher: cipher::Cipher,
        steps: Steps,
    ) -> Result<Self, StoreFault> {
        let mut connection = open::writing(path, &cipher).map_err(|fault| fault.of(path))?;
        let whole = cipher.check(&connection, path).and_then(|()| migrate::migrate(&mut connection, migrations));
        whole.map_err(|fault| fault.of(path))?;
        let poison = Arc::new(Poison::default());
        let writer = writer::Writer::start(connection, Arc::clone(&poison), steps)?;
        let readers = readers::Readers::new(path, cipher);
        Ok(Self(Arc::new(Inner { writer, readers, poison, _lock: lock })))
    }

    /// Runs `job` on the writer thread and returns what it returned once that is durable. A job that returns an error
    /// leaves nothing behind; other jobs of the same commit are not touched by it.
    ///
    /// Blocks until the commit. A job must not wait for another job.
    ///
    /// # Errors
    /// What `job` returned, or a [`StoreFault`] where the commit failed: then nothing is known about what is on disk, and
    /// the store is poisoned.
    pub fn write<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreFault> + Send + 'static,
    {
        self.0.writer.write(job)
    }

    /// Runs `look` on one consistent snapshot of what is durable. It cannot write.
    ///
    /// # Errors
    /// What `look` returned, or a [`StoreFault`].
    pub fn read<T, E>(&self, look: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E>
    where
        E: From<StoreFault>,
    {
        self.0.poison.check()?;
        self.0.readers.read(look)
    }

    /// Whether a failed commit has stopped the store.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.0.poison.check().is_err()
    }
}

/// Whether a commit failed. Once set it stays: what is on disk is unknown until the next start reads it.
#[derive(Default)]
struct Poison(AtomicBool);

impl Poison {
    fn check(&self) -> Result<(), StoreFault> {
        if self.0.load(Ordering::SeqCst) { Err(StoreFault::Poisoned) } else { Ok(()) }
    }

    fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A count as SQLite stores it.
///
/// # Errors
/// [`StoreFault::Number`] above 2^63 - 1.
pub fn to_column(count: u64) -> Result<i64, StoreFault> {
    i64::try_from(count).map_err(|_| StoreFault::Number)
}

/// A count as SQLite gives it back.
///
/// # Errors
/// [`StoreFault::Number`] below zero.
pub fn from_column(column: i64) -> Result<u64, StoreFault> {
    u64::try_from(column).map_err(|_| StoreFault::Number)
}

/// Opens an encrypted database beside everything else, to look at or to meddle with it.
#[cfg(test)]
pub(crate) fn meddle(path: &Path, key: &[u8; 32]) -> Connection {
    let connection = Connection::open(path).unwrap();
    cipher::Cipher::of(Some(key)).unlock(&connection, path).unwrap();
    connection
}

#[cfg(test)]
mod tests;
