//! How many charged questions and kept answers a second do the books bear, each commit durable?
//!
//! `SEKISHO_BENCH_SECONDS` (5) for each figure; the books alone, without planning or noise.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement stops at its first fault and prints its figures"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant as Stopwatch},
};

use sekisho::{
    keys::Keys,
    record::{Admission, Books, NewAccount, Permit, PermitState, Released},
    terms::{
        Cap, Charge, Clock, DataVersion, DatasetName, Instant, Language, Loss, PermitId, PopulationName, PurposeCode,
        Role,
    },
};
use serde_json::json;
use sha2::{Digest, Sha256};

fn main() {
    let seconds = std::env::var("SEKISHO_BENCH_SECONDS").ok().and_then(|v| v.parse().ok()).unwrap_or(5);
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::make(&folder.path().join("keys")).unwrap();
    let books = Books::create(folder.path(), &keys, "bench", Clock::of_the_machine()).unwrap();
    let cap = Cap::new(1000.0, 1e-6).unwrap();
    books.declare_caps(&population(), cap, &dataset(), cap).unwrap();
    let account = NewAccount {
        name: "hanako".parse().unwrap(),
        roles: BTreeSet::from([Role::Analyst]),
        language: Language::En,
        password_hash: "none".into(),
    };
    books.add_account(None, account).unwrap();
    books.grant_permit(&"reviewer".parse().unwrap(), permit(cap)).unwrap();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!("{cores} cores, {seconds} s each; a charged question is reserve + release, two durable commits");
    for callers in [1, 16, 256] {
        let numbers = AtomicU64::new(u64::try_from(callers).unwrap() << 32);
        measure("charged questions", callers, seconds, || {
            let n = numbers.fetch_add(1, Ordering::Relaxed);
            let reservation = books.reserve(charge(), question(n)).unwrap();
            let _receipt = books.release(reservation, released(n)).unwrap();
        });
    }
    let n = 7;
    let reservation = books.reserve(charge(), question(n)).unwrap();
    let _receipt = books.release(reservation, released(n)).unwrap();
    for callers in [1, 16, 256] {
        measure("kept answers, recorded", callers, seconds, || {
            let kept = books.kept(&key(n), &permit_id(), |_, _| true).unwrap().unwrap();
            let _receipt = books.serve_kept(charge(), question(n), &kept).unwrap();
        });
    }
    let begun = Stopwatch::now();
    let made = books.publish(books.next_instant(Clock::of_the_machine().now())).unwrap().unwrap();
    println!("first checkpoint over {} entries, every entry added up: {:?}", made.size, begun.elapsed());
    let begun = Stopwatch::now();
    books.write_log(&folder.path().join("log")).unwrap();
    println!("its tiles written: {:?}", begun.elapsed());
    let size = std::fs::metadata(folder.path().join("books.db")).unwrap().len();
    println!("books.db {} bytes an entry", size / made.size);
}

fn measure(what: &str, callers: usize, seconds: u64, act: impl Fn() + Sync) {
    let (begun, limit) = (Stopwatch::now(), Duration::from_secs(seconds));
    let times: Vec<Duration> = std::thread::scope(|scope| {
        let act = &act;
        let asking = move || {
            let mut times = vec![];
            while begun.elapsed() < limit {
                let one = Stopwatch::now();
                act();
                times.push(one.elapsed());
            }
            times
        };
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(asking)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let elapsed = begun.elapsed().as_secs_f64();
    let mut times = times;
    times.sort();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    let per_second = f64::from(u32::try_from(times.len()).unwrap()) / elapsed;
    println!("{what:<24} {callers:>4} callers {per_second:>9.0} a second   p50 {:?}  p99 {:?}", at(50), at(99));
}

fn population() -> PopulationName {
    PopulationName::new("jp").unwrap()
}

fn dataset() -> DatasetName {
    DatasetName::new("demo").unwrap()
}

fn permit_id() -> PermitId {
    PermitId::new("P-1").unwrap()
}

fn permit(cap: Cap) -> Permit {
    Permit {
        id: permit_id(),
        principals: BTreeSet::from(["hanako".parse().unwrap()]),
        dataset: dataset(),
        grants: BTreeMap::from([("demo.person".into(), BTreeMap::from([("*".into(), BTreeSet::new())]))]),
        purpose: PurposeCode::new("drug-safety").unwrap(),
        cap,
        analyst_cap: cap,
        per_question_epsilon: 1.0,
        not_before: Instant(0),
        not_after: Instant(i64::MAX),
        rule_pack: "none".into(),
        state: PermitState::Granted,
    }
}

fn charge() -> Charge {
    Charge {
        account: "hanako".parse().unwrap(),
        permit: permit_id(),
        dataset: dataset(),
        population: population(),
        loss: Loss::pure(1e-6).unwrap(),
        draws: 1,
    }
}

fn key(n: u64) -> [u8; 32] {
    Sha256::digest(n.to_be_bytes()).into()
}

fn question(n: u64) -> Admission {
    Admission {
        sql: format!("SELECT gender_concept_id, COUNT(*) AS n FROM person WHERE year_of_birth > {n} GROUP BY 1"),
        canonical_hash: key(n),
        data_version: DataVersion(1),
        policy_hash: "00".repeat(32),
        purpose: PurposeCode::new("drug-safety").unwrap(),
        settings: json!({"session": [["sekisho.epsilon", "0.05"]], "world": 0, "roles": ["analyst"], "at": 0}),
    }
}

fn released(n: u64) -> Released {
    let answer_ipc = vec![7; 1_500];
    Released {
        key: key(n),
        answer_sha256: Sha256::digest(&answer_ipc).into(),
        answer_ipc,
        half_widths: vec![12.0],
        epsilon: 0.05,
        mechanisms: json!([{"mechanism": "laplace", "scale": "20", "bound_per_group": 1}]),
    }
}
