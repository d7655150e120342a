//! How is the database read while it is written?

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rusqlite::Connection;

use super::{StoreFault, cipher::Cipher, open};

/// Connections that only read, kept for the next reader.
pub(super) struct Readers {
    path: PathBuf,
    cipher: Cipher,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: &Path, cipher: Cipher) -> Self {
        Self { path: path.to_owned(), cipher, idle: Mutex::new(Vec::new()) }
    }

    pub(super) fn read<T, E>(&self, look: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E>
    where
        E: From<StoreFault>,
    {
        let connection = match self.idle().pop() {
            Some(connection) => connection,
            None => open::reading(&self.path, &self.cipher)?,
        };
        let seen = {
            // One snapshot for everything that `look` reads; the rollback on drop only ends it.
            let snapshot = connection.unchecked_transaction().map_err(StoreFault::from)?;
            look(&snapshot)?
        };
        let mut idle = self.idle();
        if idle.len() < IDLE_MOST {
            idle.push(connection);
        }
        Ok(seen)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const IDLE_MOST: usize = 8;
