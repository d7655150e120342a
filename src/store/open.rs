//! With which guarantees is the database opened?

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use super::{StoreFault, cipher::Cipher};

/// Makes the empty file first, owner-only: SQLite gives its journal files the same mode.
pub(super) fn make_file(path: &Path) -> Result<(), StoreFault> {
    let fault = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => StoreFault::AlreadyThere { path: path.to_owned() },
        _ => StoreFault::File { step: "make", path: path.to_owned(), source },
    };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(fault)?;
    file.sync_all().map_err(fault)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    folder.map_or(Ok(()), |p| File::open(p)?.sync_all()).map_err(fault)
}

/// The one connection that writes.
pub(super) fn writing(path: &Path, cipher: &Cipher) -> Result<Connection, StoreFault> {
    if !path.is_file() {
        return Err(StoreFault::Absent { path: path.to_owned() });
    }
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    cipher.unlock(&connection, path)?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreFault::Broken { what: "journal mode" });
    }
    // FULL: in the write-ahead log every commit is one fsync, and no commit is answered before it.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    settle_in(&connection)?;
    Ok(connection)
}

/// A connection that can only read.
pub(super) fn reading(path: &Path, cipher: &Cipher) -> Result<Connection, StoreFault> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    cipher.unlock(&connection, path)?;
    connection.pragma_update(None, "query_only", true)?;
    settle_in(&connection)?;
    Ok(connection)
}

fn settle_in(connection: &Connection) -> Result<(), StoreFault> {
    connection.busy_timeout(Duration::from_secs(5))?;
    // Neither the schema nor a damaged page of a file that somebody changed is trusted.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}
