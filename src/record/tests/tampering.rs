//! Is every change of an export or of the store found?
//!
//! What somebody can do to an export without the log's key: flip, cut, drop, repeat, reorder, mix two logs, set it back.
//! What somebody can do to the database file, who does hold the key but not the world's memory: set it back, rewrite it,
//! cut its write-ahead log.

use std::path::{Path, PathBuf};

use super::*;
use crate::audit::{Cosigner, WitnessKey};

#[derive(Default)]
struct Table(BTreeMap<String, (u64, u64)>);

impl Table {
    fn add(&mut self, what: &str, found: bool) {
        let (tried, hits) = self.0.entry(what.to_owned()).or_default();
        *tried += 1;
        *hits += u64::from(found);
    }

    fn print_and_check(&self, title: &str) {
        say(title);
        for (what, (tried, found)) in &self.0 {
            say(&format!("  {what:<44} tried {tried:>6}  found {found:>6}"));
        }
        let all = self.0.values().fold((0, 0), |(t, f), (tried, found)| (t + tried, f + found));
        say(&format!("  {} of {} found", all.1, all.0));
        assert_eq!(all.0, all.1, "{title}: something was not found");
    }
}

fn minute(n: i64) -> Instant {
    Instant(n * 60_000_000)
}

fn witness() -> Cosigner {
    Cosigner::new("ethics.example/w1", &ed25519_dalek::SigningKey::from_bytes(&[9; 32])).unwrap()
}

fn fill(books: &Books, rounds: u8) {
    for n in 0..rounds {
        let id = if n % 3 == 0 { "P-2" } else { "P-1" };
        let reservation = books.reserve(charge(id, pure(0.01)), question()).unwrap();
        match n % 4 {
            0 => drop(books.fail(reservation).unwrap()),
            _ => drop(books.release(reservation, answer(n, 20.0)).unwrap()),
        }
    }
}

fn publish(books: &Books, n: i64) -> Publication {
    let made = books.publish(minute(n)).unwrap().unwrap();
    let text = |note: &str| note.rsplit_once("\n\n").map(|(text, _)| format!("{text}\n")).unwrap();
    let lines = [&made.public, &made.totals].map(|note| witness().cosign(&text(note), 60));
    books.cosigned(&made, &lines[0], &lines[1]).unwrap()
}

fn exported(name: &str, rounds: u8) -> (Enclave, Books, PathBuf) {
    let (enclave, books) = Enclave::new();
    fill(&books, rounds / 2);
    publish(&books, 1);
    fill(&books, rounds.div_ceil(2));
    let to = enclave.dir.path().join(name);
    books.export(&to).unwrap();
    (enclave, books, to)
}

fn holds(to: &Path, log: &Verifier, keys: &[WitnessKey]) -> bool {
    verify_watched_export(to, Some(log), keys).is_ok()
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.path().is_dir() {
            true => files.extend(files_of(&entry.path())),
            false => files.push(entry.path()),
        }
    }
    files.sort();
    files
}

#[test]
fn every_change_of_an_export_is_found() {
    let (_enclave, books, to) = exported("export", 24);
    let (log, keys) = (books.verifier(), [witness().key()]);
    assert!(holds(&to, &log, &keys), "{:?}", verify_watched_export(&to, Some(&log), &keys));
    let (mut table, mut dice) = (Table::default(), Dice(42));
    let bytes_most: u64 = std::env::var("SEKISHO_FLIPS").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    for path in files_of(&to) {
        let name = path.strip_prefix(&to).unwrap().display().to_string();
        let good = std::fs::read(&path).unwrap();
        let mut spoil = |what: &str, bad: &[u8]| {
            std::fs::write(&path, bad).unwrap();
            table.add(&format!("{what} {name}"), !holds(&to, &log, &keys));
        };
        // Every structural byte of texts, and bytes drawn at random from all.
        let structural =
            |b: u8| matches!(b, b'\n' | b'"' | b'{' | b'}' | b'[' | b']' | b':' | b',' | b' ' | b'+' | b'=');
        let structure: Vec<usize> = (0..good.len()).filter(|&place| structural(good[place])).collect();
        let step = structure.len().div_ceil(usize::try_from(bytes_most).unwrap()).max(1);
        let drawn =
            (0..bytes_most.min(good.len() as u64)).map(|_| usize::try_from(dice.below(good.len() as u64)).unwrap());
        let places: BTreeSet<usize> =
            structure.iter().step_by(step).copied().chain(drawn.collect::<Vec<_>>()).collect();
        for place in places {
            let mut bad = good.clone();
            bad[place] ^= 1 << (place * 5 % 8);
            spoil("byte of", &bad);
        }
        for cut in [0, 1, good.len() / 3, good.len() / 2, good.len() - 2, good.len() - 1] {
            spoil("cut of", &good[..cut.min(good.len() - 1)]);
        }
        spoil("byte more in", &[good.as_slice(), b"\n"].concat());
        std::fs::remove_file(&path).unwrap();
        // Without what was published an export is one of before the first instant; all else is missed.
        if name != "published" {
            table.add("without a file", !holds(&to, &log, &keys));
        }
        std::fs::write(&path, &good).unwrap();
    }
    std::fs::write(to.join("tile/0/999"), [0; 32]).unwrap();
    table.add("a file more", !holds(&to, &log, &keys));
    std::fs::remove_file(to.join("tile/0/999")).unwrap();

    // Lines dropped, repeated, reordered.
    let path = to.join("entries.jsonl");
    let good = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let mut spoil = |what: &str, lines: &[&str]| {
        std::fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        table.add(what, !holds(&to, &log, &keys));
    };
    for place in 0..lines.len() {
        let without: Vec<&str> = [&lines[..place], &lines[place + 1..]].concat();
        spoil("an entry dropped", &without);
        spoil("entries from one on dropped", &lines[..place]);
        spoil("an entry repeated", &[&lines[..=place], &lines[place..]].concat());
        let mut swapped = lines.clone();
        swapped.swap(place, (place + 1) % lines.len());
        spoil("two entries swapped", &swapped);
    }
    std::fs::write(&path, &good).unwrap();

    // A fork: another history under the same key. A roll-back: an older export beside a newer published checkpoint.
    let newer = publish(&books, 2);
    assert!(holds(&to, &log, &keys), "whole again");
    std::fs::write(to.join("published"), &newer.totals).unwrap();
    fill(&books, 3);
    let (again, newest) = (to.with_file_name("again"), publish(&books, 3));
    books.export(&again).unwrap();
    std::fs::write(to.join("published"), &newest.totals).unwrap();
    table.add("an older export than what is published", !holds(&to, &log, &keys));
    for name in ["entries.jsonl", "checkpoint", "ledger.json"] {
        let kept = std::fs::read(again.join(name)).unwrap();
        std::fs::copy(to.join(name), again.join(name)).unwrap();
        table.add("a file of an older export", !holds(&again, &log, &keys));
        std::fs::write(again.join(name), kept).unwrap();
    }
    let (_other, other_books, other) = exported("other", 24);
    table.add("an export of another key", !holds(&other, &log, &keys));
    for name in ["entries.jsonl", "checkpoint", "ledger.json", "published", "log.vkey"] {
        let kept = std::fs::read(again.join(name)).unwrap();
        std::fs::copy(other.join(name), again.join(name)).unwrap();
        table.add("a file of another log", !holds(&again, &log, &keys));
        std::fs::write(again.join(name), kept).unwrap();
    }
    assert!(holds(&again, &log, &keys) && holds(&other, &other_books.verifier(), &keys));
    table.print_and_check("changes of an export");
}

#[test]
fn every_roll_back_and_fork_of_the_store_is_found() {
    let mut table = Table::default();
    let (enclave, books) = Enclave::new();
    let mut copies = Vec::new();
    // Copies of the database after every few entries, each with its log, as a backup or a lying disk would leave them.
    for n in 0..12 {
        fill(&books, 3);
        let read = |name: &str| std::fs::read(enclave.dir.path().join(name)).unwrap();
        copies.push((read("books.db"), read("books.db-wal")));
        if n == 6 {
            publish(&books, 1);
        }
    }
    let known = publish(&books, 2);
    let wal_then = copies.last().unwrap().1.clone();
    drop(books);
    let restored = |database: &[u8], wal: &[u8]| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("books.db"), database).unwrap();
        std::fs::write(dir.path().join("books.db-wal"), wal).unwrap();
        let opened = Books::open(dir.path(), &enclave.keys, enclave.clock());
        (dir, opened)
    };
    for (at, (database, wal)) in copies.iter().enumerate() {
        let last = at + 1 == copies.len();
        let (_dir, opened) = restored(database, wal);
        let held = opened.unwrap().hold_against(&known.totals).unwrap();
        if last {
            assert_eq!(held, Held::Current, "the newest copy is no roll-back");
        } else {
            table.add("the database set back", held != Held::Current);
            let (_dir, opened) = restored(database, wal);
            let went_on = opened.unwrap();
            fill(&went_on, 60);
            table.add("set back, then gone on", went_on.hold_against(&known.totals).unwrap() != Held::Current);
        }
    }
    // Commits that the disk confirmed and lost: the write-ahead log cut at frames further back.
    let frame = 24 + 4096;
    let (database, _) = copies.last().unwrap();
    for cut in (32 + frame..wal_then.len() - 3 * frame).step_by(frame * 5) {
        let (_dir, opened) = restored(database, &wal_then[..cut]);
        let found = opened.map_or(true, |books| books.hold_against(&known.totals).unwrap() != Held::Current);
        table.add("confirmed commits lost", found);
    }
    // Rewritten from outside: entries, leaves, totals.
    for change in [
        "DROP TRIGGER entries_unchanged; UPDATE entries SET body = replace(body, 'hanako', 'jiro_x') WHERE number = (SELECT max(number) FROM entries)",
        "DROP TRIGGER entries_stay; PRAGMA foreign_keys = off; DELETE FROM entries WHERE number = (SELECT max(number) FROM entries)",
        "DROP TRIGGER nodes_unchanged; UPDATE nodes SET hash = zeroblob(32) WHERE level = 3 AND position = 0",
        "DROP TRIGGER nodes_unchanged; UPDATE nodes SET hash = zeroblob(32) WHERE level = 0 AND position = 5",
        "DROP TRIGGER entries_unchanged; UPDATE entries SET body = replace(body, 'hanako', 'jiro_x') WHERE number = 9",
        "UPDATE caps SET committed = spent WHERE 0; UPDATE caps SET committed = '{\"nanos\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0],\"delta_attos\":0}'",
        "UPDATE caps SET spent = '{\"nanos\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0],\"delta_attos\":0}'",
        "UPDATE caps SET epsilon = 900.0",
        "UPDATE kept SET release = release + 1000 WHERE 0; PRAGMA foreign_keys = off; DROP TRIGGER reservations_stay; DELETE FROM reservations WHERE ending = 'failed'",
    ] {
        let (dir, opened) = restored(database, &wal_then);
        drop(opened.unwrap());
        crate::store::meddle(&dir.path().join(FILE), enclave.keys.books().bytes()).execute_batch(change).unwrap();
        let found = match Books::open(dir.path(), &enclave.keys, enclave.clock()) {
            Err(_) => true,
            Ok(books) => {
                let to = dir.path().join("export");
                let exported = books.export(&to).is_err() || verify_export(&to, Some(&books.verifier())).is_err();
                exported || books.publish(minute(9)).is_err()
            }
        };
        table.add("rewritten from outside", found);
        assert!(found, "{change}");
    }
    table.print_and_check("changes of the store, held against the newest checkpoint known outside or exported");
}
