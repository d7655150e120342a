//! Does any text or any bytes that a stranger may send cost more than a refusal?
//!
//! The bodies of `fuzz/`, which cargo-fuzz runs for as long as it is let, over mutations of the kept corpus: seeded, so
//! that the same build tries the same cases. `SEKISHO_FUZZ_CASES` (1000) scales all targets. Each case runs on a stack as
//! small as the server's and must end in time. What crashes is kept beside the build and belongs into `tests/corpus/`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../../fuzz/bodies.rs"]
pub(crate) mod bodies;
pub(crate) mod mutator;
mod seeds;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    time::{Duration, Instant},
};

use bodies::Body;
use mutator::{Mutator, Words};

/// What a worker of the server has for its stack.
const STACK: usize = 2 << 20;
/// No case may take longer, on a machine however busy.
const LONGEST: Duration = Duration::from_secs(60);
/// Crashes that are kept before a run gives up.
const CRASHES_MOST: usize = 5;

struct Target {
    name: &'static str,
    body: Body,
    words: Words,
    /// Cases for a thousand asked for: what costs more is tried less.
    share: u64,
}

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

/// Where the case that is being tried lies, in case nothing is left to tell of it.
fn last_case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}-last"))
}

fn kept(name: &str) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(corpus(name)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// A thread with a small stack that runs cases, and says how each ended.
struct Worker {
    cases: Sender<Vec<u8>>,
    ends: Receiver<Result<&'static str, String>>,
}

impl Worker {
    fn new(body: Body) -> Self {
        let (cases, waiting) = mpsc::channel::<Vec<u8>>();
        let (said, ends) = mpsc::channel();
        let run = move || {
            for case in waiting {
                let end = catch_unwind(AssertUnwindSafe(|| body(&case)));
                let end = end.map_err(|panic| {
                    let text = panic.downcast_ref::<String>().cloned();
                    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
                });
                if said.send(end).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().stack_size(STACK).spawn(run).unwrap();
        Self { cases, ends }
    }

    fn tried(&self, case: &[u8]) -> Result<&'static str, String> {
        self.cases.send(case.to_vec()).unwrap();
        match self.ends.recv_timeout(LONGEST) {
            Ok(end) => end,
            Err(RecvTimeoutError::Timeout) => panic!("no end after {LONGEST:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the thread is gone"),
        }
    }
}

fn fuzzed(target: &Target, more: &[&str]) {
    let asked: u64 = std::env::var("SEKISHO_FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000);
    let cases = (asked * target.share / 1_000).max(1);
    let mut pool = kept(target.name);
    pool.extend(more.iter().map(|text| text.as_bytes().to_vec()));
    assert!(!pool.is_empty(), "{} has no corpus", target.name);
    let (worker, begun) = (Worker::new(target.body), Instant::now());
    let mut mutator = Mutator::new(target.name, target.words);
    let (mut ends, mut crashes, mut slowest): (BTreeMap<&str, u64>, Vec<String>, Duration) = Default::default();
    let seeds = pool.len() as u64;
    for n in 0..seeds + cases {
        let case = if n < seeds { pool[n as usize].clone() } else { mutator.mutated(&pool) };
        std::fs::write(last_case(target.name), &case).unwrap();
        let one = Instant::now();
        match worker.tried(&case) {
            Ok(end) => {
                let times = ends.entry(end).or_default();
                *times += 1;
                // Ends that few cases come to are gone on from.
                if n >= seeds && *times <= 20 && case.len() < 1 << 16 {
                    pool.push(case);
                }
            }
            Err(said) => {
                let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}-{n}", target.name));
                std::fs::write(&file, &case).unwrap();
                crashes.push(format!("{said}\n    {}", file.display()));
                if crashes.len() >= CRASHES_MOST {
                    break;
                }
            }
        }
        slowest = slowest.max(one.elapsed());
    }
    let line = format!(
        "fuzz {}: {cases} cases from {seeds} seeds in {:.1} s, the slowest {:.2} s, {} crashes; ended {ends:?}",
        target.name,
        begun.elapsed().as_secs_f64(),
        slowest.as_secs_f64(),
        crashes.len()
    );
    crate::say(&line);
    assert!(crashes.is_empty(), "{} crashes:\n{}", crashes.len(), crashes.join("\n"));
    assert!(ends.len() > 1, "all inputs ended alike: the corpus reaches nothing");
}

#[test]
fn any_sql_text_is_priced_or_refused_in_our_words() {
    let target = Target { name: "admission", body: bodies::admission, words: mutator::sql(), share: 2_000 };
    let forms: Vec<&str> = crate::typing::forms::ANSWERED.to_vec();
    let refused = crate::typing::forms::REFUSED.iter().map(|(_, sql)| *sql);
    fuzzed(&target, &forms.into_iter().chain(refused).collect::<Vec<_>>());
}

#[test]
fn any_bound_parameters_are_values_or_refused_in_our_words() {
    let target = Target { name: "parameters", body: bodies::parameters, words: &[], share: 4_000 };
    fuzzed(&target, &[]);
}

#[test]
fn any_configuration_is_taken_whole_or_refused() {
    let target = Target { name: "config", body: bodies::config, words: mutator::config(), share: 1_000 };
    fuzzed(&target, &[]);
}

#[test]
fn any_catalogue_is_taken_whole_or_refused() {
    let target = Target { name: "catalogue", body: bodies::catalogue, words: mutator::catalogue(), share: 1_000 };
    fuzzed(&target, &[]);
}

#[test]
fn any_export_is_read_and_only_the_genuine_one_verifies() {
    let target = Target { name: "entries", body: bodies::entries, words: mutator::log(), share: 1_000 };
    fuzzed(&target, &[]);
}

#[test]
fn no_note_receipt_or_proof_verifies_that_nobody_signed() {
    let target = Target { name: "notes", body: bodies::notes, words: mutator::log(), share: 10_000 };
    fuzzed(&target, &[]);
}

#[test]
fn no_proof_verifies_that_is_not_the_trees_own() {
    let target = Target { name: "trees", body: bodies::trees, words: &[], share: 5_000 };
    fuzzed(&target, &[]);
}
