//! Is anybody else using this database?

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::StoreFault;

/// An exclusive lock on `<database>.lock`, given up on drop or when the process ends, however it ends.
pub(super) struct Lock(#[expect(dead_code, reason = "held, never read: closing it gives the lock up")] File);

impl Lock {
    pub(super) fn take(database: &Path) -> Result<Self, StoreFault> {
        let mut path = database.as_os_str().to_owned();
        path.push(".lock");
        let path = std::path::PathBuf::from(path);
        let fault = |step, source| StoreFault::File { step, path: path.clone(), source };
        let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = opened.map_err(|source| fault("open", source))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(StoreFault::Locked { path }),
            Err(TryLockError::Error(source)) => Err(fault("lock", source)),
        }
    }
}
