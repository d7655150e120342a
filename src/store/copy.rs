//! How does a database become another file, encrypted or not, while nobody or everybody uses it?

use std::{
    fs::{self, File},
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, backup::Backup};

use super::{StoreFault, cipher, cipher::Cipher, lock::Lock, open};

/// Writes a copy of what is committed at one moment to the new file `to`, under the same key, while others read and write,
/// in this process or another; durable when this returns.
///
/// # Errors
/// [`StoreFault::AlreadyThere`] where `to` exists; [`StoreFault`] where the disk refuses: nothing is left then.
pub fn copy_out(from: &Path, key: &[u8; 32], to: &Path) -> Result<(), StoreFault> {
    if !from.is_file() {
        return Err(StoreFault::Absent { path: from.to_owned() });
    }
    open::make_file(to)?;
    let copied = copy(from, &Cipher::of(Some(key)), to);
    if copied.is_err() {
        // What cannot be removed is a file that no restore takes: it does not open, or lacks its end.
        let _ = fs::remove_file(to);
    }
    copied
}

/// Encrypts a database in clear that nobody uses. Says whether there was anything to do.
///
/// # Errors
/// [`StoreFault::Locked`] where somebody uses it; [`StoreFault`] where the disk refuses: it is in clear still, and whole.
pub fn encrypt(path: &Path, key: &[u8; 32]) -> Result<bool, StoreFault> {
    let _lock = Lock::take(path)?;
    if !path.is_file() {
        return Err(StoreFault::Absent { path: path.to_owned() });
    }
    if !cipher::in_clear(path) {
        return Ok(false);
    }
    let draft = path.with_extension("db.sealing");
    // What a run that was cut short left; the books in clear are whole.
    let _ = fs::remove_file(&draft);
    open::make_file(&draft)?;
    let encrypted = encrypt_into(path, &draft, &Cipher::of(Some(key)));
    if encrypted.is_err() {
        let _ = fs::remove_file(&draft);
    }
    encrypted.map(|()| true)
}

fn encrypt_into(path: &Path, draft: &Path, cipher: &Cipher) -> Result<(), StoreFault> {
    let clear = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Back into one file: what the write-ahead log holds is in it then, and the log is gone.
    let mode: String = clear.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))?;
    if mode != "delete" {
        return Err(StoreFault::Broken { what: "journal mode" });
    }
    let literal = cipher.literal().ok_or(StoreFault::Broken { what: "key" })?;
    let place = draft.to_str().ok_or(StoreFault::Broken { what: "path" })?.replace('\'', "''");
    let attach = zeroize::Zeroizing::new(format!("ATTACH DATABASE '{place}' AS sealed KEY {}", literal.as_str()));
    clear.execute_batch(&attach)?;
    clear.query_row("SELECT sqlcipher_export('sealed')", [], |_| Ok(()))?;
    clear.execute_batch("DETACH DATABASE sealed")?;
    drop(clear);
    checked(draft, cipher)?;
    sync(draft)?;
    // On disk now: both, each whole. The rename puts the encrypted one in force in one step.
    let renamed = fs::rename(draft, path).and_then(|()| path.parent().map_or(Ok(()), |p| File::open(p)?.sync_all()));
    renamed.map_err(|source| StoreFault::File { step: "replace", path: path.to_owned(), source })
}

fn copy(from: &Path, cipher: &Cipher, to: &Path) -> Result<(), StoreFault> {
    let source = open::reading(from, cipher)?;
    let mut target = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    cipher.unlock(&target, to)?;
    // All pages in one step: one read transaction of the source, hence one moment.
    Backup::new(&source, &mut target)?.run_to_completion(i32::MAX, Duration::from_millis(1), None)?;
    target.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0))?;
    drop(target);
    checked(to, cipher)?;
    sync(to)
}

/// Reads every page of a finished copy.
fn checked(path: &Path, cipher: &Cipher) -> Result<(), StoreFault> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    cipher.unlock(&connection, path)?;
    let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if said == "ok" { Ok(()) } else { Err(StoreFault::Broken { what: "page" }) }
}

fn sync(path: &Path) -> Result<(), StoreFault> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|source| StoreFault::File { step: "write", path: path.to_owned(), source })
}

/// The schema version of a database that nobody uses; every page of it is read.
///
/// # Errors
/// [`StoreFault`] where it is absent, damaged or under another key.
pub fn look_at(path: &Path, key: &[u8; 32]) -> Result<u32, StoreFault> {
    if !path.is_file() {
        return Err(StoreFault::Absent { path: path.to_owned() });
    }
    let cipher = Cipher::of(Some(key));
    checked(path, &cipher)?;
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    cipher.unlock(&connection, path)?;
    Ok(connection.query_row("SELECT coalesce(max(version), 0) FROM migrations", [], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Migration, Store};

    const FIRST: &[Migration] = &[Migration {
        version: 1,
        name: "notes",
        batches: &["CREATE TABLE notes (n INTEGER PRIMARY KEY, words TEXT) STRICT"],
        detours: &[],
    }];
    const KEY: [u8; 32] = [9; 32];

    fn write(store: &Store, n: i64) {
        store
            .write(move |c| {
                c.execute("INSERT INTO notes VALUES (?1, 'a-canary-of-words')", [n])?;
                Ok::<_, StoreFault>(())
            })
            .unwrap();
    }

    fn count(store: &Store) -> i64 {
        store.read(|c| Ok::<_, StoreFault>(c.query_row("SELECT count(*) FROM notes", [], |r| r.get(0))?)).unwrap()
    }

    fn shows(path: &Path) -> bool {
        let folder = path.parent().unwrap();
        let all = fs::read_dir(folder).unwrap().flatten().map(|entry| fs::read(entry.path()).unwrap());
        all.into_iter().any(|bytes| bytes.windows(8).any(|part| part == b"a-canary"))
    }

    #[test]
    fn an_encrypted_database_shows_nothing_and_opens_with_its_key_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("books.db");
        let store = Store::create_under(&path, FIRST, &KEY).unwrap();
        (0..100).for_each(|n| write(&store, n));
        assert!(!shows(&path), "in the database or its write-ahead log");
        drop(store);
        assert!(!shows(&path));
        assert!(matches!(Store::open_under(&path, FIRST, &[8; 32]), Err(StoreFault::NotReadable { .. })));
        assert!(matches!(Store::open(&path, FIRST), Err(StoreFault::NotReadable { .. })));
        assert_eq!(count(&Store::open_under(&path, FIRST, &KEY).unwrap()), 100);
    }

    #[test]
    fn a_database_in_clear_is_refused_until_it_is_encrypted_and_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("books.db");
        let store = Store::create(&path, FIRST).unwrap();
        (0..10).for_each(|n| write(&store, n));
        assert!(matches!(encrypt(&path, &KEY), Err(StoreFault::Locked { .. })), "somebody uses it");
        drop(store);
        assert!(shows(&path));
        assert!(matches!(Store::open_under(&path, FIRST, &KEY), Err(StoreFault::InClear { .. })));
        // As after a run that was cut short.
        fs::write(path.with_extension("db.sealing"), "half").unwrap();
        assert!(encrypt(&path, &KEY).unwrap());
        assert!(!encrypt(&path, &KEY).unwrap(), "nothing to do any more");
        assert!(!shows(&path));
        assert_eq!(count(&Store::open_under(&path, FIRST, &KEY).unwrap()), 10);
    }

    #[test]
    fn a_copy_made_under_load_is_one_moment_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("books.db");
        let store = Store::create_under(&from, FIRST, &KEY).unwrap();
        (0..50).for_each(|n| write(&store, n));
        let to = dir.path().join("copy.db");
        std::thread::scope(|scope| {
            let busy = scope.spawn(|| (50..250).for_each(|n| write(&store, n)));
            copy_out(&from, &KEY, &to).unwrap();
            busy.join().unwrap();
        });
        assert!(matches!(copy_out(&from, &KEY, &to), Err(StoreFault::AlreadyThere { .. })));
        assert_eq!(look_at(&to, &KEY).unwrap(), 1);
        let copy = Store::open_under(&to, FIRST, &KEY).unwrap();
        let (rows, newest): (i64, i64) = copy
            .read(|c| {
                Ok::<_, StoreFault>(
                    c.query_row("SELECT count(*), max(n) FROM notes", [], |r| Ok((r.get(0)?, r.get(1)?)))?,
                )
            })
            .unwrap();
        assert!(rows >= 50 && newest == rows - 1, "{rows} {newest}");
    }

    #[test]
    fn a_copy_that_is_damaged_or_under_another_key_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("books.db");
        let store = Store::create_under(&from, FIRST, &KEY).unwrap();
        (0..500).for_each(|n| write(&store, n));
        let to = dir.path().join("copy.db");
        copy_out(&from, &KEY, &to).unwrap();
        assert!(matches!(look_at(&to, &[1; 32]), Err(StoreFault::NotReadable { .. })));
        let whole = fs::read(&to).unwrap();
        for at in (0..whole.len()).step_by(997) {
            let mut changed = whole.clone();
            changed[at] ^= 0x40;
            fs::write(&to, changed).unwrap();
            assert!(look_at(&to, &KEY).is_err(), "byte {at} of {}", whole.len());
        }
        fs::write(&to, &whole[..whole.len() / 2]).unwrap();
        assert!(look_at(&to, &KEY).is_err());
    }
}
