//! Which books does a start refuse, which does it bring up to date, and is anything lost?

use std::path::Path;

use super::{
    acts::{Act, picture, sound},
    *,
};
use crate::{
    accounts::ClientCertificate,
    store::{StoreFault, meddle},
    terms::Fingerprint,
};

/// The tables and columns that came later, by what books of earlier programs called their last step.
const SHAPES: [(&str, &str); 8] = [
    (
        "1 the walking enclave",
        "DROP TABLE ended_by_halt; DROP TABLE halts; DROP TABLE role_grants; DROP TABLE client_certificates;
         DROP TABLE published; DROP TABLE restorations; DROP TABLE marks; ALTER TABLE answers DROP COLUMN epsilon;
         DROP TABLE kept_failures; DELETE FROM migrations WHERE version > 1",
    ),
    (
        "2 halts",
        "DROP TABLE role_grants; DROP TABLE client_certificates; DROP TABLE published; DROP TABLE restorations;
         DROP TABLE marks; ALTER TABLE answers DROP COLUMN epsilon;
         DROP TABLE kept_failures;
         DELETE FROM migrations WHERE version > 2; UPDATE migrations SET name = 'halts' WHERE version = 2",
    ),
    (
        "2 halts, roles given by two, client certificates",
        "DROP TABLE published; DROP TABLE restorations; DROP TABLE marks; ALTER TABLE answers DROP COLUMN epsilon;
         DROP TABLE kept_failures; DELETE FROM migrations WHERE version > 2",
    ),
    (
        "2 checkpoints at fixed instants",
        "DROP TABLE ended_by_halt; DROP TABLE halts; DROP TABLE role_grants; DROP TABLE client_certificates;
         ALTER TABLE answers DROP COLUMN epsilon;
         DROP TABLE kept_failures; DELETE FROM migrations WHERE version > 2;
         UPDATE migrations SET name = 'checkpoints at fixed instants' WHERE version = 2",
    ),
    (
        "3 without the price of answers",
        "ALTER TABLE answers DROP COLUMN epsilon; DROP TABLE kept_failures; DELETE FROM migrations WHERE version > 3",
    ),
    ("3 with it", "DROP TABLE kept_failures; DELETE FROM migrations WHERE version > 3"),
    ("4 over books without it", "ALTER TABLE answers DROP COLUMN epsilon"),
    (
        "4 over books that had halts alone",
        "DROP TABLE role_grants; DROP TABLE client_certificates; UPDATE migrations SET name = 'halts' WHERE version = 2",
    ),
];

/// Books with something of everything that the first schema could hold.
fn lived() -> (Enclave, Books) {
    let (enclave, books) = Enclave::new();
    // No failure: those of earlier programs are not kept as answers.
    for act in [Act::Activate, Act::Vocabulary, Act::Release, Act::SellAgain, Act::Note, Act::Account] {
        let doing = act.prepare(&books);
        doing(&books).unwrap();
    }
    (enclave, books)
}

fn change(enclave: &Enclave, sql: &str) {
    meddle(&enclave.dir.path().join(FILE), enclave.keys.books().bytes()).execute_batch(sql).unwrap();
}

/// Receipts were proofs of inclusion before there were promises.
fn with_receipts_of_format_1(books: &Books) {
    let rewritten = books.write(|w| {
        let mut statement = w.connection.prepare("SELECT release FROM kept")?;
        let releases = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
        for release in releases {
            let entry = EntryNumber(release.unsigned_abs());
            let receipt = audit::receipt(w.connection, w.signer, entry).map_err(BooksFault::from)?;
            assert_eq!(receipt.format, 1);
            w.connection.execute("UPDATE kept SET receipt = ?2 WHERE release = ?1", (release, receipt.to_json()))?;
        }
        Ok::<_, BooksFault>(())
    });
    rewritten.unwrap();
}

fn steps(books: &Books) -> Vec<(u32, String)> {
    let all = |c: &Connection| {
        let mut statement = c.prepare("SELECT version, name FROM migrations ORDER BY version")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok::<_, BooksFault>(rows.collect::<Result<Vec<_>, _>>()?)
    };
    books.store.read(all).unwrap()
}

/// What each step brought is there, and works.
fn works(books: &Books) {
    let reservation = books.reserve(charge("P-1", pure(0.01)), question()).unwrap();
    let _receipt = books.release(reservation, answer(50, 1.0)).unwrap();
    assert!(books.kept(&[50; 32], &permit_id("P-1"), |_, bought| bought == Bought::Here(Some(1.0))).unwrap().is_some());
    assert!(books.kept(&[7; 32], &permit_id("P-1"), |_, _| true).unwrap().is_some(), "kept before");
    books.halt(&who("review"), HaltTarget::Everything, "a story").unwrap();
    assert!(matches!(books.reserve(charge("P-1", pure(0.01)), question()), Err(Denied::Halted)));
    assert_eq!(books.halts().unwrap().len(), 1);
    let fingerprint = Fingerprint::of(b"a certificate");
    books.add_certificate(&who("hanako"), fingerprint).unwrap();
    let known: Option<ClientCertificate> = books.certificate(&fingerprint).unwrap();
    assert_eq!(known.unwrap().account, who("hanako"));
    assert!(books.pending_roles().unwrap().is_empty());
    assert!(books.publish(Instant(120_000_000)).unwrap().is_some());
    assert!(books.suspension().unwrap().is_none());
}

#[test]
fn books_of_every_earlier_shape_come_up_to_date_with_everything_in_them() {
    for (shape, undo) in SHAPES {
        let (enclave, books) = lived();
        let (before, newest) = (picture(&books), steps(&books));
        if !shape.contains("checkpoints") && !shape.starts_with(['3', '4']) {
            with_receipts_of_format_1(&books);
        }
        drop(books);
        change(&enclave, undo);
        let books = enclave.open().unwrap_or_else(|fault| panic!("{shape}: {fault}"));
        let receipt = books.kept(&[7; 32], &permit_id("P-1"), |_, _| true).unwrap().unwrap().receipt.unwrap();
        assert_eq!(receipt.verify(&books.verifier()), Ok(()), "{shape}");
        assert_eq!(picture(&books), before, "{shape}");
        assert_eq!(steps(&books), newest, "{shape}");
        let scratch = enclave.dir.path().join("export");
        sound(&books, &scratch);
        works(&books);
        let books = enclave.reopen(books);
        assert_eq!(steps(&books), newest, "{shape}, opened again");
        books.export(&scratch).unwrap();
        verify_export(&scratch, Some(&books.verifier())).unwrap();
    }
}

#[test]
fn a_migration_that_is_stopped_anywhere_is_finished_by_the_next_start() {
    for (shape, undo) in SHAPES {
        let (enclave, books) = lived();
        let (before, newest) = (picture(&books), steps(&books));
        drop(books);
        change(&enclave, undo);
        let path = enclave.dir.path().join(FILE);
        let known: Vec<&str> = schema::MIGRATIONS.iter().flat_map(|step| step.batches.iter().copied()).collect();
        let mut stopped = 0;
        for batch in known {
            // In the middle of a step: what was written so far lies in the log, uncommitted, when the process is killed.
            let copy = tempfile::tempdir().unwrap();
            let connection = meddle(&path, enclave.keys.books().bytes());
            connection.pragma_update(None, "cache_size", 1).unwrap();
            connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            // Not every batch is still missing in every shape.
            if connection.execute_batch(batch).is_err() {
                continue;
            }
            copy_books(enclave.dir.path(), copy.path());
            drop(connection);
            let books = Books::open(copy.path(), &enclave.keys, enclave.clock()).unwrap();
            assert_eq!((picture(&books), steps(&books)), (before.clone(), newest.clone()), "{shape}");
            stopped += 1;
        }
        assert!(stopped > 0, "{shape}");
    }
}

fn copy_books(from: &Path, to: &Path) {
    for name in ["books.db", "books.db-wal"] {
        if let Ok(bytes) = std::fs::read(from.join(name)) {
            std::fs::write(to.join(name), bytes).unwrap();
        }
    }
}

#[test]
fn books_of_a_later_program_or_of_a_stranger_are_refused_in_words_and_left_as_they_are() {
    for (sql, words) in [
        ("INSERT INTO migrations VALUES (99, 'of the future')", "schema version 99, this program knows"),
        (
            "UPDATE migrations SET name = 'of a stranger' WHERE version = 2",
            "\"of a stranger\", which this program does not",
        ),
        ("DELETE FROM migrations WHERE version = 2", "broken list of schema steps"),
    ] {
        let (enclave, books) = lived();
        let before = picture(&books);
        drop(books);
        change(&enclave, &format!("CREATE TABLE saved AS SELECT * FROM migrations; {sql}"));
        let fault = enclave.open().err().unwrap();
        assert!(fault.to_string().contains(words), "{fault}");
        change(&enclave, "DELETE FROM migrations; INSERT INTO migrations SELECT * FROM saved; DROP TABLE saved");
        assert_eq!(picture(&enclave.open().unwrap()), before);
    }
}

#[test]
fn a_clock_set_back_is_refused_before_anything_is_written_unless_somebody_vouches_for_it() {
    let (enclave, books) = lived();
    let open = books.reserve(charge("P-1", pure(0.5)), question()).unwrap();
    let size = books.size().unwrap();
    drop(books);
    let at = |micros: i64, vouched| {
        Books::open_by(enclave.dir.path(), &enclave.keys, Clock::from_fn(move || Instant(micros)), vouched)
    };
    let newest = enclave.hand.load(Ordering::SeqCst);
    let hour = 3_600_000_000;
    let fault = at(newest - hour, false).err().unwrap();
    assert!(matches!(fault, BooksFault::ClockBehind { .. }), "{fault}");
    assert!(fault.to_string().contains("set the clock"), "{fault}");
    // A step of the kind that keeps clocks together is none.
    let books = at(newest - 1_000_000, false).unwrap();
    assert_eq!(kinds(&books).last().unwrap(), "recovered");
    assert_eq!(books.size().unwrap(), size + 1, "the refused start has written nothing");
    assert_eq!(open.admission().0, size - 1);
    drop(books);
    let books = at(newest - hour, true).unwrap();
    assert_eq!(kinds(&books).last().unwrap(), "clock_set_back");
    drop(books);
    assert!(at(newest - hour, false).is_ok(), "from then on that is the time");
}

#[test]
fn every_damaged_page_is_found_before_anything_is_answered() {
    let (enclave, books) = lived();
    drop(books);
    let path = enclave.dir.path().join(FILE);
    let whole = std::fs::read(&path).unwrap();
    let pages = whole.len() / 4096;
    assert!(pages > 20, "{pages}");
    for page in 0..pages {
        let mut changed = whole.clone();
        changed[page * 4096 + 17 + page * 31 % 4000] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        let fault = enclave.open().err().unwrap_or_else(|| panic!("page {page} of {pages}"));
        let expected = match page {
            0 => matches!(fault, BooksFault::Store(StoreFault::NotReadable { .. })),
            _ => matches!(fault, BooksFault::Store(StoreFault::Damaged { .. } | StoreFault::NotReadable { .. })),
        };
        assert!(expected, "page {page}: {fault}");
    }
    std::fs::write(&path, &whole).unwrap();
    sound(&enclave.open().unwrap(), &enclave.dir.path().join("export"));
}
