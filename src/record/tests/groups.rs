//! How many questions does one durable commit carry?

use std::{
    sync::atomic::{AtomicBool, AtomicU64},
    time::Duration,
};

use super::*;
use crate::store::{Meddling, Step, Steps};

/// As many as one group takes (`store/writer.rs`).
const GROUP: u64 = 256;

/// Books whose commits are counted once `armed`; the first of them waits until `callers` have asked.
struct Counted {
    armed: AtomicBool,
    asked: AtomicU64,
    callers: u64,
    commits: AtomicU64,
    jobs: AtomicU64,
}

impl Counted {
    fn new(callers: u64) -> Arc<Self> {
        let [asked, commits, jobs] = [(); 3].map(|()| AtomicU64::new(0));
        Arc::new(Self { armed: AtomicBool::new(false), asked, callers, commits, jobs })
    }

    fn steps(self: &Arc<Self>) -> Steps {
        let seen = Arc::clone(self);
        Steps::meddled(move |step| {
            if seen.armed.load(Ordering::SeqCst) {
                match step {
                    Step::Begin if seen.commits.load(Ordering::SeqCst) == 0 => seen.wait_for_all(),
                    Step::Ran => drop(seen.jobs.fetch_add(1, Ordering::SeqCst)),
                    Step::Commit => drop(seen.commits.fetch_add(1, Ordering::SeqCst)),
                    _ => {}
                }
            }
            Meddling::Nothing
        })
    }

    fn wait_for_all(&self) {
        while self.asked.load(Ordering::SeqCst) < self.callers {
            std::thread::sleep(Duration::from_millis(1));
        }
        // Asked is said a moment before it stands in the queue.
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn questions_that_wait_for_a_commit_are_charged_by_the_next_one_together() {
    let callers = 2 * GROUP;
    let (enclave, books) = Enclave::new();
    drop(books);
    let counted = Counted::new(callers);
    let path = enclave.dir.path().join(FILE);
    let store = Store::open_meddled(&path, schema::MIGRATIONS, enclave.keys.books().bytes(), counted.steps());
    let books = Books::over(store.unwrap(), &enclave.keys, enclave.clock()).unwrap();
    counted.armed.store(true, Ordering::SeqCst);
    std::thread::scope(|scope| {
        for _ in 0..callers {
            let (books, counted) = (&books, &counted);
            let ask = move || {
                counted.asked.fetch_add(1, Ordering::SeqCst);
                let reservation = books.reserve(charge("P-1", pure(0.001)), question()).unwrap();
                // Whoever is told is told after the commit that carries the charge.
                assert!(counted.commits.load(Ordering::SeqCst) > 0);
                drop(reservation);
            };
            std::thread::Builder::new().stack_size(512 * 1024).spawn_scoped(scope, ask).unwrap();
        }
    });
    let (commits, jobs) = (counted.commits.load(Ordering::SeqCst), counted.jobs.load(Ordering::SeqCst));
    say(&format!("{jobs} charges of {callers} callers at once: {commits} durable commits"));
    assert_eq!(jobs, callers);
    // Two whole groups; a few more where a caller was late to the queue.
    assert!((2..=6).contains(&commits), "{commits}");
    drop(books);
    let books = enclave.open().unwrap();
    assert_eq!(kinds(&books).iter().filter(|kind| *kind == "admission").count() as u64, callers, "all of them durable");
}
