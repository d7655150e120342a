//! How does an auditor get the whole record, to check it elsewhere?
//!
//! A folder from one moment: `entries.jsonl`, `log.vkey` (the log's public key), `checkpoint` (a signed note whose extension
//! lines carry the ledger), `ledger.json` (every cap, and every open reservation), `published` (the newest checkpoint that
//! was published, with its cosignatures, where there is one), and below `tile/` the same tree as any C2SP reader knows it.

use std::{
    fs::{DirBuilder, File},
    io::{self, BufWriter, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{Books, BooksFault, publish};
use crate::{
    audit::{self, ENTRIES, ExportLine, KEY, LEDGER_LINE},
    ledger::{self, Totals},
};

impl Books {
    /// Writes the record as a new folder `to`, which appears complete or not at all.
    ///
    /// # Errors
    /// [`BooksFault::Export`], also where `to` exists and is not empty; [`BooksFault`].
    pub fn export(&self, to: &Path) -> Result<(), BooksFault> {
        let draft = beside(to)?;
        DirBuilder::new().mode(0o700).create(&draft).map_err(BooksFault::Export)?;
        let written = self.store.read(|c| self.write_files(c, &draft));
        // The files are durable; now their names, then the name of the folder.
        let place = || {
            File::open(&draft)?.sync_all()?;
            std::fs::rename(&draft, to)?;
            to.parent().filter(|p| !p.as_os_str().is_empty()).map_or(Ok(()), |p| File::open(p)?.sync_all())
        };
        let moved = written.and_then(|()| place().map_err(BooksFault::Export));
        if moved.is_err() {
            // The reason to report is the one above, whatever becomes of the draft.
            let _ = std::fs::remove_dir_all(&draft);
        }
        moved
    }

    /// The signed checkpoint of the log as it stands, with the ledger's totals.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn checkpoint(&self) -> Result<String, BooksFault> {
        self.store.read(|c| Ok(audit::checkpoint(c, &self.signer, ledger_lines(&ledger::totals(c)?))?))
    }

    fn write_files(&self, connection: &Connection, folder: &Path) -> Result<(), BooksFault> {
        let totals = ledger::totals(connection)?;
        let checkpoint = audit::checkpoint(connection, &self.signer, ledger_lines(&totals))?;
        write_file(&folder.join(CHECKPOINT), |file| file.write_all(checkpoint.as_bytes()))?;
        write_file(&folder.join(LEDGER), |file| file.write_all(totals_text(&totals).as_bytes()))?;
        write_file(&folder.join(KEY), |file| writeln!(file, "{}", self.signer.verifier().to_text()))?;
        if let Some(made) = publish::published(connection)? {
            write_file(&folder.join(PUBLISHED), |file| file.write_all(made.totals.as_bytes()))?;
        }
        let size = audit::head(connection)?.size;
        for tile in audit::tiles_of(connection, 0, size)? {
            let path = folder.join(&tile.path);
            let folder = path.parent().unwrap_or(folder);
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(BooksFault::Export)?;
            write_file(&path, |file| file.write_all(&tile.bytes))?;
        }
        let mut file = create(&folder.join(ENTRIES))?;
        for start in (0..size).step_by(CHUNK) {
            for entry in audit::entries(connection, start..start.saturating_add(CHUNK as u64))? {
                file.write_all(ExportLine::of(&entry).as_bytes()).map_err(BooksFault::Export)?;
            }
        }
        finish(file)
    }
}

/// The ledger as the lines of a checkpoint; see `audit/checkpoint.rs`.
pub(super) fn ledger_lines(totals: &Totals) -> Vec<String> {
    let line = |line: &ledger::TotalsLine| format!("{LEDGER_LINE} {} {}", line.cap, json(&line.committed));
    totals.caps.iter().map(line).collect()
}

/// The one spelling of `ledger.json`.
pub(super) fn totals_text(totals: &Totals) -> String {
    format!("{}\n", json(totals))
}

fn json(value: &impl serde::Serialize) -> String {
    // Losses, names and numbers always have a JSON text.
    serde_json::to_string(value).unwrap_or_default()
}

fn beside(to: &Path) -> Result<PathBuf, BooksFault> {
    let nameless = || BooksFault::Export(io::ErrorKind::InvalidInput.into());
    let mut name = std::ffi::OsString::from(".");
    name.push(to.file_name().ok_or_else(nameless)?);
    name.push(format!(".tmp-{}", std::process::id()));
    Ok(to.with_file_name(name))
}

fn create(path: &Path) -> Result<BufWriter<File>, BooksFault> {
    File::create_new(path).map(BufWriter::new).map_err(BooksFault::Export)
}

fn write_file(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<(), BooksFault> {
    let mut file = create(path)?;
    write(&mut file).map_err(BooksFault::Export)?;
    finish(file)
}

fn finish(file: BufWriter<File>) -> Result<(), BooksFault> {
    let file = file.into_inner().map_err(|e| BooksFault::Export(e.into_error()))?;
    file.sync_all().map_err(BooksFault::Export)
}

/// The file of the checkpoint.
pub(super) const CHECKPOINT: &str = "checkpoint";
/// The file of the ledger.
pub(super) const LEDGER: &str = "ledger.json";
/// The file of the newest published checkpoint.
pub(super) const PUBLISHED: &str = "published";
const CHUNK: usize = 1000;
