//! Which rows did not make it, and why? Table, file, row and reason: never the cell.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use super::{
    check::file_and_row,
    fault::{IngestFault, disk},
    report::{Reason, Reject},
    source::SourceFile,
};

/// How many rejected rows the quality report names.
const FIRST_REJECTS: usize = 1000;

/// The reject file that is being written.
pub(super) struct RejectFile {
    writer: csv::Writer<File>,
    path: PathBuf,
    first: Vec<Reject>,
}

impl RejectFile {
    pub(super) fn create(path: PathBuf) -> Result<Self, IngestFault> {
        let file = File::create_new(&path).map_err(disk(&path))?;
        let mut rejects = Self { writer: csv::Writer::from_writer(file), path, first: Vec::new() };
        rejects.line(["table", "file", "row", "reason"])?;
        Ok(rejects)
    }

    pub(super) fn add(
        &mut self,
        table: &str,
        files: &[SourceFile],
        rejected: &[(u64, Reason)],
    ) -> Result<(), IngestFault> {
        for (origin, reason) in rejected {
            let (number, row) = file_and_row(*origin);
            let file = files.get(number).map(|file| file.name.as_str()).unwrap_or_default();
            self.line([table, file, &row.to_string(), reason.code()])?;
            if self.first.len() < FIRST_REJECTS {
                self.first.push(Reject { table: table.to_owned(), file: file.to_owned(), row, reason: *reason });
            }
        }
        Ok(())
    }

    /// The first rejects so far.
    pub(super) fn first(&self) -> Vec<Reject> {
        self.first.clone()
    }

    /// Makes the file durable and says where it lies.
    pub(super) fn finish(self) -> Result<PathBuf, IngestFault> {
        let path: &Path = &self.path;
        let file = self.writer.into_inner().map_err(|fault| disk(path)(fault.into_error()))?;
        file.sync_all().map_err(disk(path))?;
        Ok(self.path)
    }

    fn line(&mut self, fields: [&str; 4]) -> Result<(), IngestFault> {
        self.writer.write_record(fields).map_err(|fault| match fault.into_kind() {
            csv::ErrorKind::Io(said) => disk(&self.path)(said),
            _ => disk(&self.path)(std::io::ErrorKind::Other.into()),
        })
    }
}
