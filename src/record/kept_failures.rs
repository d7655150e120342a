//! Did this question fail before?
//!
//! Whether a charged question ends in time and without a fault is a function of rows that no noise covers: one bit, which
//! is counted. Asked again it would be another one, so the failure is kept as the question's answer, for whoever asks and
//! however much time they would give it (privacy.md section 6).

use rusqlite::{Connection, OptionalExtension, params};

use super::{Admission, Books, BooksFault, Denied, Reservation};
use crate::{
    ledger::Scope,
    store::{from_column, to_column},
    terms::{Charge, EntryNumber, PermitId},
};

/// A failure that a question has had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFailure {
    /// The entry that records it, which its asker may quote.
    pub entry: EntryNumber,
    /// Under which permit it was asked: the asking one, if that has asked it; else any other.
    pub asked_by: PermitId,
}

pub(super) const SCHEMA: &str = "
CREATE TABLE kept_failures (
    entry INTEGER PRIMARY KEY REFERENCES entries (number),
    key BLOB NOT NULL CHECK (length(key) = 32),
    permit TEXT NOT NULL REFERENCES permits (id)
) STRICT;
CREATE INDEX kept_failures_by_key ON kept_failures (key, permit);
CREATE TRIGGER kept_failures_stay BEFORE DELETE ON kept_failures
    BEGIN SELECT raise(ABORT, 'a failure is never forgotten'); END;
";

impl Books {
    /// The failure of the question of this key; for an asker under `permit` the first that this permit had, else the first
    /// of all.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn kept_failure(&self, key: &[u8; 32], permit: &PermitId) -> Result<Option<KeptFailure>, BooksFault> {
        self.store.read(|c| {
            let sql = "SELECT entry, permit FROM kept_failures WHERE key = ?1 ORDER BY permit = ?2 DESC, entry LIMIT 1";
            let found = c
                .prepare_cached(sql)?
                .query_row(params![key, permit.as_str()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)));
            let Some((entry, asked_by)) = found.optional()? else { return Ok(None) };
            let broken = |_| crate::store::StoreFault::Broken { what: "kept failure" };
            let asked_by = PermitId::new(asked_by).map_err(broken)?;
            Ok(Some(KeptFailure { entry: EntryNumber(from_column(entry)?), asked_by }))
        })
    }

    /// Takes `charge` from permit and analyst for a question that failed for another permit: it gets no second try, and
    /// is not told so. To be ended by [`Books::fail`].
    ///
    /// # Errors
    /// [`Denied`]; then nothing was taken.
    pub fn reserve_for_failure(
        &self,
        charge: Charge,
        question: Admission,
        failure: &KeptFailure,
    ) -> Result<Reservation, Denied> {
        if failure.asked_by == charge.permit {
            return Err(BooksFault::Mismatch("this permit has paid for the failure").into());
        }
        self.reserve_in(charge, question, Scope::Again)
    }
}

pub(super) fn keep(
    connection: &Connection,
    entry: EntryNumber,
    key: &[u8; 32],
    permit: &PermitId,
) -> Result<(), BooksFault> {
    let add = "INSERT INTO kept_failures VALUES (?1, ?2, ?3)";
    connection.prepare_cached(add)?.execute(params![to_column(entry.0)?, key, permit.as_str()])?;
    Ok(())
}
