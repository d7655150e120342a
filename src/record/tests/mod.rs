//! Do the books tell the truth after everything that can happen to them?

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;
use crate::terms::{Cap, Charge, DataVersion, DatasetName, Instant, Language, Loss, PopulationName, PurposeCode, Role};

mod acts;
mod administration;
mod charges;
mod crashes;
mod disks;
mod exports;
mod groups;
mod keeping;
mod publishing;
mod receipts;
mod restoring;
mod starts;
mod tampering;

/// An enclave with three accounts and two permits over one data set.
struct Enclave {
    dir: tempfile::TempDir,
    keys: Keys,
    hand: Arc<AtomicI64>,
}

impl Enclave {
    fn new() -> (Self, Books) {
        Self::with_cap(Cap::new(8.0, 1e-7).unwrap())
    }

    fn with_cap(cap: Cap) -> (Self, Books) {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::make(&dir.path().join("keys")).unwrap();
        let enclave = Self { dir, keys, hand: Arc::new(AtomicI64::new(1_000)) };
        let books = Books::create(enclave.dir.path(), &enclave.keys, "test", enclave.clock()).unwrap();
        books.declare_caps(&population(), cap, &dataset(), cap).unwrap();
        for (name, role) in [("hanako", Role::Analyst), ("taro", Role::Analyst), ("review", Role::Reviewer)] {
            books.add_account(None, account(name, role)).unwrap();
        }
        for id in ["P-1", "P-2"] {
            books.grant_permit(&who("review"), permit(id, cap)).unwrap();
        }
        (enclave, books)
    }

    fn clock(&self) -> Clock {
        let hand = Arc::clone(&self.hand);
        Clock::from_fn(move || Instant(hand.fetch_add(1, Ordering::Relaxed)))
    }

    fn open(&self) -> Result<Books, BooksFault> {
        let mut opened = Books::open(self.dir.path(), &self.keys, self.clock());
        // A child of another test may hold a copy of our lock for the moment between its fork and its exec.
        for _ in 0..20 {
            if !matches!(opened, Err(BooksFault::Store(StoreFault::Locked { .. }))) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
            opened = Books::open(self.dir.path(), &self.keys, self.clock());
        }
        opened
    }

    fn reopen(&self, books: Books) -> Books {
        drop(books);
        self.open().unwrap()
    }
}

fn who(name: &str) -> AccountName {
    AccountName::new(name).unwrap()
}

fn dataset() -> DatasetName {
    DatasetName::new("demo").unwrap()
}

fn population() -> PopulationName {
    PopulationName::new("jp").unwrap()
}

fn permit_id(id: &str) -> PermitId {
    PermitId::new(id).unwrap()
}

fn account(name: &str, role: Role) -> NewAccount {
    NewAccount {
        name: who(name),
        roles: BTreeSet::from([role]),
        language: Language::Ja,
        password_hash: "$argon2id$hash-canary".into(),
    }
}

fn permit(id: &str, cap: Cap) -> Permit {
    Permit {
        id: permit_id(id),
        principals: BTreeSet::from([who("hanako"), who("taro")]),
        dataset: dataset(),
        grants: BTreeMap::from([("demo.person".into(), BTreeMap::from([("*".into(), BTreeSet::new())]))]),
        purpose: PurposeCode::new("drug-safety").unwrap(),
        cap,
        analyst_cap: cap,
        per_question_epsilon: cap.epsilon() / 20.0,
        not_before: Instant(0),
        not_after: Instant(1_000_000),
        rule_pack: "none".into(),
        state: PermitState::Granted,
    }
}

fn charge(id: &str, loss: Loss) -> Charge {
    Charge {
        account: who("hanako"),
        permit: permit_id(id),
        dataset: dataset(),
        population: population(),
        loss,
        draws: 1,
    }
}

fn pure(epsilon: f64) -> Loss {
    Loss::pure(epsilon).unwrap()
}

fn question() -> Admission {
    Admission {
        sql: "SELECT COUNT(*) AS \"数\" FROM person".into(),
        canonical_hash: [3; 32],
        data_version: DataVersion(1),
        policy_hash: "00ff".into(),
        purpose: PurposeCode::new("drug-safety").unwrap(),
        settings: json!({"epsilon": 0.05}),
    }
}

fn answer(key: u8, half_width: f64) -> Released {
    let answer_ipc = vec![key; 40];
    Released {
        key: [key; 32],
        answer_sha256: Sha256::digest(&answer_ipc).into(),
        answer_ipc,
        half_widths: vec![half_width],
        epsilon: 1.0 / half_width,
        mechanisms: json!([{"kind": "laplace", "scale": 20, "bound": 1}]),
    }
}

fn held(books: &Books, cap: CapName) -> Balance {
    books.budget(&cap).unwrap().unwrap()
}

fn all_caps(books: &Books) -> Vec<Balance> {
    charge("P-1", Loss::zero()).caps().into_iter().map(|cap| held(books, cap)).collect()
}

fn body(books: &Books, number: EntryNumber) -> serde_json::Value {
    let entry = books.entries(number.0..number.0 + 1).unwrap().remove(0);
    serde_json::from_str(&entry.body).unwrap()
}

/// The kinds of all entries, in order.
fn kinds(books: &Books) -> Vec<String> {
    let kind = |entry: Entry| {
        let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
        body["kind"].as_str().unwrap().to_owned()
    };
    books.entries(0..u64::MAX).unwrap().into_iter().map(kind).collect()
}

/// Past the test harness's capture: such figures are what these tests exist to show.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A word of a child process to its parent.
fn child_says(word: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{word}").and_then(|()| out.flush()).unwrap();
}

/// A small generator for the property loops: the same numbers on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}
