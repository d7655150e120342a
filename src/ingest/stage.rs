//! How does a new version appear all at once, or not at all?
//!
//! Everything is written into a hidden folder beside the versions. Only when every byte is on disk is the folder renamed;
//! whatever ends the load before that leaves a hidden folder at most, and the next load removes it.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    path::{Path, PathBuf},
};

use super::fault::{IngestFault, disk};
use crate::terms::DataVersion;

const LOCK_FILE: &str = ".lock";

/// A version that is being written. Dropped without [`Stage::publish`], it removes what it wrote.
pub(super) struct Stage {
    /// Where to write: becomes the version's folder.
    folder: PathBuf,
    /// Where rows wait: removed before the version appears.
    scratch: PathBuf,
    target: PathBuf,
    parent: PathBuf,
    version: DataVersion,
    /// Holds the lock of the folder: one load at a time.
    _lock: File,
}

/// The version after the highest that lies in `data_dir`.
///
/// # Errors
/// [`IngestFault::Disk`] where the folder is there but cannot be read.
pub fn next_version(data_dir: &Path) -> Result<DataVersion, IngestFault> {
    if !data_dir.exists() {
        return Ok(DataVersion(1));
    }
    let mut highest: u32 = 0;
    for entry in fs::read_dir(data_dir).map_err(disk(data_dir))? {
        let name = entry.map_err(disk(data_dir))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix('v')).and_then(|n| n.parse().ok());
        highest = highest.max(number.unwrap_or(0));
    }
    Ok(DataVersion(highest.saturating_add(1)))
}

impl Stage {
    /// Locks `data_dir`, removes what crashed loads left there and makes a folder for `version`.
    pub(super) fn open(data_dir: &Path, version: DataVersion) -> Result<Self, IngestFault> {
        private_folder(data_dir)?;
        let lock_path = data_dir.join(LOCK_FILE);
        let lock =
            File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(disk(&lock_path))?;
        lock.try_lock().map_err(|fault| match fault {
            TryLockError::WouldBlock => IngestFault::Busy,
            TryLockError::Error(source) => disk(&lock_path)(source),
        })?;
        remove_left_overs(data_dir)?;
        let target = data_dir.join(version.to_string());
        if target.exists() {
            return Err(IngestFault::VersionExists(version));
        }
        let folder = data_dir.join(format!(".{version}.tmp-{}", std::process::id()));
        let scratch = data_dir.join(format!(".{version}.tmp-{}-rows", std::process::id()));
        let stage = Self { folder, scratch, target, parent: data_dir.to_path_buf(), version, _lock: lock };
        private_folder(&stage.folder)?;
        private_folder(&stage.scratch)?;
        Ok(stage)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Lets the version appear, after the file `rejects` was renamed into the folder of the versions.
    pub(super) fn publish(self, rejects: &Path) -> Result<(), IngestFault> {
        let beside = self.parent.join(format!("rejects-{}.csv", self.version));
        sync_folders(&self.folder)?;
        fs::rename(rejects, &beside).map_err(disk(&beside))?;
        // On disk now: a hidden folder with all of the version, and its reject file. A crash here leaves the folder to the
        // next load to remove, which writes the same reject file anew.
        if let Err(said) = fs::rename(&self.folder, &self.target) {
            let _ = fs::remove_file(&beside);
            return Err(disk(&self.target)(said));
        }
        // On disk now: the version, perhaps not durably named yet. It is in force only once the books say so.
        sync_folder(&self.parent).inspect_err(|_| {
            let _ = fs::remove_dir_all(&self.target);
            let _ = fs::remove_file(&beside);
        })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // After `publish` only the second is still there. What cannot be removed now is removed by the next load.
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

/// A folder that only its owner can read.
pub(super) fn private_folder(path: &Path) -> Result<(), IngestFault> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path).map_err(disk(path))
}

fn remove_left_overs(data_dir: &Path) -> Result<(), IngestFault> {
    for entry in fs::read_dir(data_dir).map_err(disk(data_dir))? {
        let entry = entry.map_err(disk(data_dir))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(".v") && name.contains(".tmp-") {
            fs::remove_dir_all(entry.path()).map_err(disk(&entry.path()))?;
        }
    }
    Ok(())
}

/// Makes the names inside a folder durable, in all depths.
fn sync_folders(folder: &Path) -> Result<(), IngestFault> {
    for entry in fs::read_dir(folder).map_err(disk(folder))? {
        let path = entry.map_err(disk(folder))?.path();
        if path.is_dir() {
            sync_folders(&path)?;
        }
    }
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> Result<(), IngestFault> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(disk(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != LOCK_FILE);
        names.sort_unstable();
        names
    }

    #[test]
    fn a_version_appears_when_it_is_published_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let stage = Stage::open(dir.path(), DataVersion(1)).unwrap();
        fs::write(stage.folder().join("x"), "x").unwrap();
        let rejects = stage.scratch().join("rejects");
        fs::write(&rejects, "x").unwrap();
        assert!(!dir.path().join("v1").exists());
        stage.publish(&rejects).unwrap();
        assert_eq!(names(dir.path()), ["rejects-v1.csv", "v1"]);
        assert!(matches!(Stage::open(dir.path(), DataVersion(1)), Err(IngestFault::VersionExists(DataVersion(1)))));
        assert_eq!(next_version(dir.path()).unwrap(), DataVersion(2));
    }

    #[test]
    fn a_load_that_is_given_up_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let stage = Stage::open(dir.path(), DataVersion(1)).unwrap();
        fs::write(stage.folder().join("x"), "x").unwrap();
        drop(stage);
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn a_version_that_cannot_appear_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let stage = Stage::open(dir.path(), DataVersion(1)).unwrap();
        let rejects = stage.scratch().join("rejects");
        fs::write(&rejects, "x").unwrap();
        // Something stands in the way of the name.
        fs::write(dir.path().join("v1"), "x").unwrap();
        assert!(matches!(stage.publish(&rejects), Err(IngestFault::Disk { .. })));
        assert_eq!(names(dir.path()), ["v1"]);
    }

    #[test]
    fn what_a_crash_left_is_removed_by_the_next_load_and_versions_stay() {
        let dir = tempfile::tempdir().unwrap();
        for left in [".v2.tmp-1/person", ".v2.tmp-1-rows", "v1/person"] {
            fs::create_dir_all(dir.path().join(left)).unwrap();
        }
        let stage = Stage::open(dir.path(), DataVersion(2)).unwrap();
        drop(stage);
        assert_eq!(names(dir.path()), ["v1"]);
    }

    #[test]
    fn a_second_load_of_the_same_data_set_waits_its_turn() {
        let dir = tempfile::tempdir().unwrap();
        let first = Stage::open(dir.path(), DataVersion(1)).unwrap();
        assert!(matches!(Stage::open(dir.path(), DataVersion(2)), Err(IngestFault::Busy)));
        assert!(first.folder().exists(), "the second did not remove the first one's folder");
        drop(first);
        assert!(Stage::open(dir.path(), DataVersion(2)).is_ok());
    }
}
