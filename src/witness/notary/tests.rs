//! Does a witness cosign what grows, and nothing else?

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use super::*;
use crate::audit::{Signer, Tree, WitnessKey, hash_leaf, open_cosigned, to_base64};

struct Log {
    signer: Signer,
    tree: Tree,
}

impl Log {
    fn new(name: &str) -> Self {
        Self { signer: Signer::new(name, &SigningKey::from_bytes(&[7; 32])).unwrap(), tree: Tree::default() }
    }

    fn grow(&mut self, leaves: u64, kind: &str) {
        (0..leaves).for_each(|n| self.tree.push(hash_leaf(format!("{kind} {n}").as_bytes())));
    }

    fn note(&self, extension: &[&str]) -> String {
        let extension = extension.iter().map(|&line| line.to_owned()).collect();
        let (size, root) = (self.tree.size(), self.tree.root().unwrap());
        Checkpoint { size, root, extension }.sign(&self.signer)
    }

    fn request(&self, old: u64, extension: &[&str]) -> String {
        let proof: String =
            self.tree.consistency(old, self.tree.size()).unwrap().iter().map(|hash| to_base64(hash) + "\n").collect();
        format!("old {old}\n{proof}\n{}", self.note(extension))
    }
}

fn witness() -> (tempfile::TempDir, Notary, Arc<AtomicI64>) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("w");
    Notary::make(&folder, "ethics.example/w1").unwrap();
    Notary::add_log(&folder, &Log::new("test").signer.verifier().to_text()).unwrap();
    let hand = Arc::new(AtomicI64::new(5_000_000));
    let notary = Notary::open(&folder, clock(&hand)).unwrap();
    (dir, notary, hand)
}

fn clock(hand: &Arc<AtomicI64>) -> Clock {
    let hand = Arc::clone(hand);
    Clock::from_fn(move || crate::terms::Instant(hand.load(Ordering::SeqCst)))
}

fn cosigned(verdict: &Verdict, note: &str, key: &WitnessKey) -> u64 {
    let Verdict::Cosigned(line) = verdict else { panic!("{verdict:?}") };
    let log = Log::new("test").signer.verifier();
    let whole = format!("{note}{line}");
    open_cosigned(&whole, &log, std::slice::from_ref(key)).unwrap().1[0].at_seconds
}

#[test]
fn a_log_that_grows_is_cosigned_from_step_to_step_and_across_restarts() {
    let (dir, mut notary, hand) = witness();
    let mut log = Log::new("test");
    let mut before = 0;
    for step in 1..12 {
        log.grow(step * 3 % 7 + 1, "entry");
        let verdict = notary.add_checkpoint(&log.request(before, &[])).unwrap();
        assert_eq!(cosigned(&verdict, &log.note(&[]), &notary.key()), 5);
        assert!(notary.newest("sekisho/test").unwrap().unwrap().starts_with(&log.note(&[])));
        before = log.tree.size();
        notary = Notary::open(&dir.path().join("w"), clock(&hand)).unwrap();
    }
    // The same tree again, such as with another extension line, is no conflict.
    let verdict = notary.add_checkpoint(&log.request(before, &["at x"])).unwrap();
    cosigned(&verdict, &log.note(&["at x"]), &notary.key());
    assert_eq!(notary.evidence().unwrap(), Vec::<String>::new());
}

#[test]
fn forks_and_roll_backs_are_refused_and_kept_as_evidence() {
    let (_dir, notary, _) = witness();
    let mut log = Log::new("test");
    log.grow(10, "entry");
    let mut fork = Log::new("test");
    fork.grow(10, "other");
    notary.add_checkpoint(&log.request(0, &["at 1"])).unwrap();
    // Same size, another root.
    assert_eq!(notary.add_checkpoint(&fork.request(10, &["at 2"])).unwrap(), Verdict::Conflict(10));
    // Older than what was cosigned, at a later instant: a restored copy.
    let mut older = Log::new("test");
    older.grow(7, "entry");
    assert_eq!(notary.add_checkpoint(&older.request(0, &["at 3"])).unwrap(), Verdict::Conflict(10));
    assert_eq!(notary.evidence().unwrap().len(), 2);
    // The fork grows on: no proof leads there.
    fork.grow(5, "other");
    assert_eq!(notary.add_checkpoint(&fork.request(10, &["at 4"])).unwrap(), Verdict::Inconsistent);
    older.grow(9, "after the restore");
    assert_eq!(notary.add_checkpoint(&older.request(10, &["at 4"])).unwrap(), Verdict::Inconsistent);
    // The true log goes on as if nothing had been.
    log.grow(1, "entry");
    assert!(matches!(notary.add_checkpoint(&log.request(10, &["at 5"])).unwrap(), Verdict::Cosigned(_)));
}

#[test]
fn an_account_that_falls_is_refused_although_the_tree_grows() {
    let (_dir, notary, _) = witness();
    let mut log = Log::new("test");
    log.grow(3, "entry");
    let line =
        |cap: &str, epsilon| format!("ledger {cap} {}", serde_json::to_string(&Loss::pure(epsilon).unwrap()).unwrap());
    let (high, low) = (line("population/jp", 0.5), line("population/jp", 0.4));
    notary.add_checkpoint(&log.request(0, &["at 1", &high])).unwrap();
    // The public note of the same tree does not take the place of the one with totals.
    assert!(matches!(notary.add_checkpoint(&log.request(3, &["at 1"])).unwrap(), Verdict::Cosigned(_)));
    assert!(notary.newest("sekisho/test").unwrap().unwrap().contains(&high));
    log.grow(1, "entry");
    for fallen in [low.as_str(), &line("dataset/demo", 9.0)] {
        assert_eq!(
            notary.add_checkpoint(&log.request(3, &["at 2", fallen])).unwrap(),
            Verdict::Inconsistent,
            "{fallen}"
        );
    }
    assert!(matches!(notary.add_checkpoint(&log.request(3, &["at 2", &high])).unwrap(), Verdict::Cosigned(_)));
}

#[test]
fn requests_of_another_form_log_or_key_are_refused() {
    let (_dir, notary, _) = witness();
    let mut log = Log::new("test");
    log.grow(5, "entry");
    let good = log.request(0, &[]);
    for bad in ["", "old 0\n", "old 00\n\nx", &good.replace("old 0", "old  0"), &good.replace("old 0", "new 0")] {
        assert_eq!(notary.add_checkpoint(bad).unwrap(), Verdict::Malformed, "{bad:?}");
    }
    assert_eq!(notary.add_checkpoint(&good.replace("old 0", "old 6")).unwrap(), Verdict::Malformed);
    assert_eq!(
        notary.add_checkpoint(&good.replace("sekisho/test\n5", "sekisho/none\n5")).unwrap(),
        Verdict::UnknownLog
    );
    assert_eq!(notary.add_checkpoint(&good.replace("\n5\n", "\n6\n")).unwrap(), Verdict::NotSigned);
    let hash = to_base64(&[1; 32]);
    let extra = good.replace("old 0\n", &format!("old 0\n{hash}\n"));
    assert_eq!(notary.add_checkpoint(&extra).unwrap(), Verdict::Inconsistent, "a proof where none belongs");
    let long = good.replace("old 0\n", &format!("old 0\n{}", format!("{hash}\n").repeat(64)));
    assert_eq!(notary.add_checkpoint(&long).unwrap(), Verdict::Malformed);
    assert_eq!(notary.newest("sekisho/test").unwrap(), None, "nothing was kept");
    assert!(matches!(notary.add_checkpoint(&good).unwrap(), Verdict::Cosigned(_)));
}

#[test]
fn of_many_requests_at_once_one_chain_is_cosigned() {
    let (_dir, notary, _) = witness();
    let (mut one, mut two) = (Log::new("test"), Log::new("test"));
    one.grow(4, "one");
    two.grow(4, "two");
    let accepted: usize = std::thread::scope(|scope| {
        let ask = |log: &Log| {
            let request = log.request(0, &[]);
            let notary = &notary;
            scope.spawn(move || usize::from(matches!(notary.add_checkpoint(&request).unwrap(), Verdict::Cosigned(_))))
        };
        let asked: Vec<_> = (0..20).map(|n| ask(if n % 2 == 0 { &one } else { &two })).collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(accepted, 1, "the first; all others begin from a size that is no longer the newest");
}

#[test]
fn a_witness_whose_memory_is_damaged_does_not_begin_anew() {
    let (dir, notary, hand) = witness();
    let mut log = Log::new("test");
    log.grow(5, "entry");
    notary.add_checkpoint(&log.request(0, &[])).unwrap();
    let path = notary.newest_path(&log.signer.verifier());
    let good = std::fs::read_to_string(&path).unwrap();
    for bad in [String::new(), good[..good.len() / 2].to_owned(), good.replacen('5', "4", 1)] {
        std::fs::write(&path, bad).unwrap();
        assert!(matches!(notary.add_checkpoint(&log.request(0, &[])), Err(WitnessFault::Damaged(_))));
        assert!(matches!(Notary::open(&dir.path().join("w"), clock(&hand)), Err(WitnessFault::Damaged(_))));
    }
    assert!(Notary::make(&dir.path().join("w"), "again").is_err(), "nor is its key overwritten");
}
