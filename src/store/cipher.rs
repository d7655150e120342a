//! With which key are the database's pages read and written?
//!
//! SQLCipher: every page, of the write-ahead log too, is encrypted and carries a keyed hash. A connection gets the key
//! before anything else, and shows that it is the right one before anybody uses it.

use std::{fs::File, io::Read, path::Path};

use rusqlite::Connection;
use zeroize::Zeroizing;

use super::StoreFault;

/// The key of a database; none for one in clear. Wiped on drop; SQLCipher wipes its own copy when a connection closes.
#[derive(Clone)]
pub(super) struct Cipher(Option<Zeroizing<[u8; 32]>>);

impl Cipher {
    pub(super) fn of(key: Option<&[u8; 32]>) -> Self {
        Self(key.map(|key| Zeroizing::new(*key)))
    }

    /// Gives the key to a connection, and reads a page with it.
    pub(super) fn unlock(&self, connection: &Connection, path: &Path) -> Result<(), StoreFault> {
        if let Some(literal) = self.literal() {
            // What it would say on standard error is what the fault below says.
            connection.execute_batch("PRAGMA cipher_log_level = NONE")?;
            connection.execute_batch(&Zeroizing::new(format!("PRAGMA key = {}", literal.as_str())))?;
        }
        let read: Result<i64, _> = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0));
        match read {
            Ok(_) => Ok(()),
            Err(rusqlite::Error::SqliteFailure(said, _)) if said.code == rusqlite::ErrorCode::NotADatabase => {
                Err(match (in_clear(path), &self.0) {
                    (true, Some(_)) => StoreFault::InClear { path: path.to_owned() },
                    _ => StoreFault::NotReadable { path: path.to_owned() },
                })
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// Reads every page of the file and holds it against its keyed hash. A page that a crash has torn lies whole in the
    /// write-ahead log: where something is amiss, what waits there is put into the file, and all is read again.
    pub(super) fn check(&self, connection: &Connection, path: &Path) -> Result<(), StoreFault> {
        if self.0.is_none() || all_pages_hold(connection)? {
            return Ok(());
        }
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        if all_pages_hold(connection)? { Ok(()) } else { Err(StoreFault::Damaged { path: path.to_owned() }) }
    }

    /// The raw key as SQLCipher reads it, so that no password is stretched.
    pub(super) fn literal(&self) -> Option<Zeroizing<String>> {
        let mut literal = Zeroizing::new(String::with_capacity(80));
        literal.push_str("\"x'");
        for byte in self.0.as_ref()?.iter() {
            for digit in [byte >> 4, byte & 15] {
                literal.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
            }
        }
        literal.push_str("'\"");
        Some(literal)
    }
}

fn all_pages_hold(connection: &Connection) -> Result<bool, StoreFault> {
    let mut statement = connection.prepare("PRAGMA cipher_integrity_check")?;
    let mut faults = statement.query([])?;
    Ok(faults.next()?.is_none())
}

/// Whether the file is a database that anybody can read.
pub(super) fn in_clear(path: &Path) -> bool {
    let mut head = [0; 16];
    File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok() && head == *b"SQLite format 3\0"
}
