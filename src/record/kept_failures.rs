//! Did this question fail before?
//!
//! Whether a charged question ends in time and without a fault is a function of rows that no noise covers, and it is
//! counted. Asked again it would tell another time, so the failure is kept as the question's answer (privacy.md section 6):
//! for the permit that paid for it, and for the deadline that it had. To miss a short one says nothing about a longer one, and
//! nobody shall make the questions of other permits fail: they have their own try, which they pay for, and their own failure.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Admission, Books, BooksFault};
use crate::{
    store::{from_column, to_column},
    terms::{EntryNumber, PermitId},
};

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
    /// The entry of the first failure that `permit` had with the question of this key and a deadline of so many
    /// milliseconds, or none.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn kept_failure(
        &self,
        key: &[u8; 32],
        deadline_ms: Option<u32>,
        permit: &PermitId,
    ) -> Result<Option<EntryNumber>, BooksFault> {
        let key = with_deadline(key, deadline_ms.map(u64::from));
        self.store.read(|c| {
            let sql = "SELECT entry FROM kept_failures WHERE key = ?1 AND permit = ?2 ORDER BY entry LIMIT 1";
            let mut statement = c.prepare_cached(sql)?;
            let found = statement.query_row(params![key, permit.as_str()], |row| row.get::<_, i64>(0)).optional()?;
            Ok(found.map(from_column).transpose()?.map(EntryNumber))
        })
    }
}

/// The key under which the failure of a question is kept: its own, with the deadline that its admission states.
pub(super) fn key_of(question: &Admission) -> [u8; 32] {
    with_deadline(&question.canonical_hash, question.settings.get("deadline_ms").and_then(Value::as_u64))
}

fn with_deadline(key: &[u8; 32], deadline_ms: Option<u64>) -> [u8; 32] {
    let Some(milliseconds) = deadline_ms else { return *key };
    Sha256::new().chain_update(key).chain_update(milliseconds.to_be_bytes()).finalize().into()
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
