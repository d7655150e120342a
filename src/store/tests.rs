//! Does the store keep its promises when jobs fail, commits fail and gateways meet?

use std::sync::{Barrier, atomic::AtomicUsize};

use rusqlite::Connection;

use super::*;

const FIRST: &[Migration] = &[Migration {
    version: 1,
    name: "notes",
    batches: &["CREATE TABLE notes (n INTEGER PRIMARY KEY) STRICT;
                CREATE TABLE later (n INTEGER REFERENCES notes (n) DEFERRABLE INITIALLY DEFERRED) STRICT;"],
    detours: &[],
}];

const fn step(name: &'static str, batches: &'static [&'static str], detours: &'static [Detour]) -> Migration {
    Migration { version: 2, name, batches, detours }
}

fn note(connection: &Connection, n: i64) -> Result<(), StoreFault> {
    connection.execute("INSERT INTO notes VALUES (?1)", [n])?;
    Ok(())
}

fn notes(store: &Store) -> Vec<i64> {
    let all = |c: &Connection| -> Result<Vec<i64>, StoreFault> {
        let mut statement = c.prepare("SELECT n FROM notes ORDER BY n")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    store.read(all).unwrap()
}

#[test]
fn a_write_is_durable_when_it_returns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("books.db");
    let store = Store::create(&path, FIRST).unwrap();
    store.write(|c| note(c, 1)).unwrap();
    // Another process would see it, too: not through our connections.
    let other = Connection::open(&path).unwrap();
    assert_eq!(other.query_row("SELECT count(*) FROM notes", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    let pragma =
        |name| store.read(|c| Ok::<_, StoreFault>(c.pragma_query_value(None, name, |r| r.get::<_, String>(0))));
    assert_eq!(pragma("journal_mode").unwrap().unwrap(), "wal");
    let full = store.write(|c| Ok::<i64, StoreFault>(c.pragma_query_value(None, "synchronous", |row| row.get(0))?));
    assert_eq!(full.unwrap(), 2, "FULL");
}

#[test]
fn one_failing_job_does_not_fail_the_others_of_its_group() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(&dir.path().join("books.db"), FIRST).unwrap();
    let together = Barrier::new(64);
    let failed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for n in 0..64 {
            let (store, together, failed) = (&store, &together, &failed);
            scope.spawn(move || {
                together.wait();
                let outcome = store.write(move |c| {
                    note(c, n)?;
                    if n % 2 == 1 { Err(StoreFault::Number) } else { Ok(()) }
                });
                failed.fetch_add(usize::from(outcome.is_err()), Ordering::Relaxed);
            });
        }
    });
    assert_eq!(failed.into_inner(), 32);
    assert_eq!(notes(&store), (0..64).filter(|n| n % 2 == 0).collect::<Vec<_>>());
    assert!(!store.is_poisoned());
}

#[test]
fn many_writers_share_commits() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(&dir.path().join("books.db"), FIRST).unwrap();
    // The first job holds the writer until all others wait: they must come in one group, seen by one transaction.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let first = store.clone();
        let holder = scope.spawn(move || {
            first.write(move |c| {
                wait.recv().unwrap();
                note(c, -1)
            })
        });
        let writers: Vec<_> = (0..50)
            .map(|n| {
                let store = store.clone();
                scope.spawn(move || {
                    store.write(move |c| {
                        note(c, n)?;
                        Ok::<bool, StoreFault>(c.is_autocommit())
                    })
                })
            })
            .collect();
        std::thread::sleep(std::time::Duration::from_millis(100));
        go.send(()).unwrap();
        holder.join().unwrap().unwrap();
        for writer in writers {
            assert!(!writer.join().unwrap().unwrap(), "every job runs inside a transaction");
        }
    });
    assert_eq!(notes(&store).len(), 51);
}

#[test]
fn a_failed_commit_poisons_the_store_until_it_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("books.db");
    let store = Store::create(&path, FIRST).unwrap();
    store.write(|c| note(c, 1)).unwrap();
    // A deferred constraint is checked at COMMIT: the commit itself fails.
    let doomed = store.write(|c| {
        note(c, 2)?;
        c.execute("INSERT INTO later VALUES (99)", [])?;
        Ok::<(), StoreFault>(())
    });
    assert!(matches!(doomed, Err(StoreFault::Poisoned)), "{doomed:?}");
    assert!(store.is_poisoned());
    assert!(matches!(store.write(|c| note(c, 3)), Err(StoreFault::Poisoned)));
    assert!(matches!(store.read(|_| Ok::<(), StoreFault>(())), Err(StoreFault::Poisoned)));
    drop(store);
    let store = Store::open(&path, FIRST).unwrap();
    assert_eq!(notes(&store), [1]);
    store.write(|c| note(c, 4)).unwrap();
}

#[test]
fn a_panicking_job_stops_the_store_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("books.db");
    let store = Store::create(&path, FIRST).unwrap();
    let outcome = store.write(|c| -> Result<(), StoreFault> {
        note(c, 1)?;
        panic!("a fault of ours, on purpose")
    });
    assert!(outcome.is_err());
    assert!(store.write(|c| note(c, 2)).is_err());
    drop(store);
    assert_eq!(notes(&Store::open(&path, FIRST).unwrap()), Vec::<i64>::new());
}

#[test]
fn readers_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(&dir.path().join("books.db"), FIRST).unwrap();
    assert!(store.read(|c| note(c, 1)).is_err());
    assert_eq!(notes(&store), Vec::<i64>::new());
}

#[test]
fn a_second_gateway_on_one_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("books.db");
    let store = Store::create(&path, FIRST).unwrap();
    let clone = store.clone();
    assert!(matches!(Store::open(&path, FIRST), Err(StoreFault::Locked { .. })));
    drop(store);
    assert!(matches!(Store::open(&path, FIRST), Err(StoreFault::Locked { .. })), "a clone still holds it");
    drop(clone);
    assert!(Store::open(&path, FIRST).is_ok());
}

#[test]
fn books_are_neither_overwritten_nor_made_by_opening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("books.db");
    assert!(matches!(Store::open(&path, FIRST), Err(StoreFault::Absent { .. })));
    assert!(!path.exists());
    drop(Store::create(&path, FIRST).unwrap());
    assert!(matches!(Store::create(&path, FIRST), Err(StoreFault::AlreadyThere { .. })));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_schema_is_brought_up_to_date_and_one_from_the_future_is_refused() {
    const SECOND: &[Migration] = &[FIRST[0], step("more", &["CREATE TABLE more (n INTEGER) STRICT"], &[])];
    const BROKEN: &[Migration] =
        &[FIRST[0], step("broken", &["CREATE TABLE more (n INTEGER)", "CREATE NONSENSE"], &[])];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("books.db");
    let store = Store::create(&path, FIRST).unwrap();
    store.write(|c| note(c, 1)).unwrap();
    drop(store);
    assert!(Store::open(&path, BROKEN).is_err());
    let store = Store::open(&path, SECOND).expect("the broken step left nothing behind");
    assert_eq!(notes(&store), [1]);
    drop(store);
    assert!(matches!(Store::open(&path, FIRST), Err(StoreFault::Newer { found: 2, known: 1 })));
}

#[test]
fn books_that_went_another_way_are_brought_back_where_it_is_known_and_refused_where_it_is_not() {
    const OTHER: &[Migration] = &[FIRST[0], step("one half", &["CREATE TABLE left_half (n INTEGER) STRICT"], &[])];
    const LIST: &[Migration] = &[
        FIRST[0],
        step(
            "both halves",
            &["CREATE TABLE left_half (n INTEGER) STRICT; CREATE TABLE right_half (n INTEGER) STRICT"],
            &[Detour {
                name: "one half",
                lacks: None,
                batches: &["CREATE TABLE right_half (n INTEGER) STRICT"],
                leads_to: 2,
            }],
        ),
    ];
    const STRANGER: &[Migration] = &[FIRST[0], step("another", &["CREATE TABLE left_half (n INTEGER) STRICT"], &[])];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("books.db");
    drop(Store::create(&path, OTHER).unwrap());
    let strange = Store::open(&path, STRANGER).err().unwrap();
    assert!(matches!(&strange, StoreFault::Strange { version: 2, name } if name == "one half"), "{strange}");
    assert!(strange.to_string().contains("use the program that wrote them"), "{strange}");
    for _ in 0..2 {
        let store = Store::open(&path, LIST).unwrap();
        store.read(|c| Ok::<_, StoreFault>(c.execute_batch("SELECT * FROM left_half, right_half")?)).unwrap();
    }
    let connection = Connection::open(&path).unwrap();
    connection.execute("DELETE FROM migrations WHERE version = 1", []).unwrap();
    drop(connection);
    assert!(matches!(Store::open(&path, LIST), Err(StoreFault::Broken { .. })), "a gap in the list");
}

#[test]
fn a_step_that_is_stopped_after_any_of_its_statements_has_not_begun() {
    const SECOND: &[Migration] = &[
        FIRST[0],
        step("more", &["CREATE TABLE a (n INTEGER) STRICT", "INSERT INTO notes VALUES (7)", "DROP TABLE later"], &[]),
    ];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("books.db");
    let store = Store::create(&path, FIRST).unwrap();
    store.write(|c| note(c, 1)).unwrap();
    drop(store);
    for statements in 0..=SECOND[1].batches.len() {
        // The files as they lie there when the process is killed after so many statements; written through, too.
        let stopped = tempfile::tempdir().unwrap();
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "cache_size", 1).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        SECOND[1].batches[..statements].iter().for_each(|batch| connection.execute_batch(batch).unwrap());
        for name in ["books.db", "books.db-wal"] {
            if let Ok(bytes) = std::fs::read(dir.path().join(name)) {
                std::fs::write(stopped.path().join(name), bytes).unwrap();
            }
        }
        drop(connection);
        let before = Store::open(&stopped.path().join("books.db"), FIRST).expect("the version before, whole");
        assert_eq!(notes(&before), [1]);
        drop(before);
        assert_eq!(notes(&Store::open(&stopped.path().join("books.db"), SECOND).unwrap()), [1, 7]);
    }
}
