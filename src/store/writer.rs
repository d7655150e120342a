//! When is a write durable, and what happens to the ones beside it?
//!
//! The protocol of one group commit, on one page:
//! 1. take the first job that waits; BEGIN;
//! 2. run it inside a savepoint; if it fails, roll back to the savepoint: it leaves nothing;
//! 3. take what else waits by now, up to a limit, and do the same;
//! 4. COMMIT, which is one fsync for all of them;
//! 5. only now tell each caller its outcome. Errors wait as well: what a job was refused for may have been written by a
//!    job before it in the same group.
//!
//! A crash before 4 leaves nothing of the group, and nobody was told anything. A crash after 4 leaves all of it; callers
//! that were not told find it at the next start. If 4 fails, nobody knows which of the two it is: the store is poisoned.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel, sync_channel},
    },
    thread::JoinHandle,
    time::Instant,
};

use rusqlite::Connection;

use super::{
    Poison, StoreFault,
    step::{Step, Steps},
};

/// Runs inside the transaction; says whether to keep what it wrote and how to tell the caller.
type Job = Box<dyn FnOnce(&Connection) -> Ran + Send>;
type Tell = Box<dyn FnOnce(Result<(), StoreFault>) + Send>;

struct Ran {
    keep: bool,
    tell: Tell,
}

pub(super) struct Writer {
    queue: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    poison: Arc<Poison>,
}

impl Writer {
    pub(super) fn start(connection: Connection, poison: Arc<Poison>, steps: Steps) -> Result<Self, StoreFault> {
        let (queue, waiting) = channel();
        let shared = Arc::clone(&poison);
        let run = move || write_groups(&connection, &waiting, &shared, &steps);
        let thread = std::thread::Builder::new().name("books".into()).spawn(run).map_err(StoreFault::Thread)?;
        Ok(Self { queue: Some(queue), thread: Some(thread), poison })
    }

    pub(super) fn write<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreFault> + Send + 'static,
    {
        self.poison.check()?;
        let (answer, answered) = sync_channel(1);
        let run: Job = Box::new(move |connection| {
            let outcome = job(connection);
            let keep = outcome.is_ok();
            let tell: Tell = Box::new(move |committed| {
                // The caller waits below; if its thread is gone nobody needs to know.
                let _ = answer.send(committed.map_err(E::from).and(outcome));
            });
            Ran { keep, tell }
        });
        let queue = self.queue.as_ref().ok_or(StoreFault::Stopped)?;
        queue.send(run).map_err(|_| self.unanswered())?;
        answered.recv().map_err(|_| self.unanswered())?
    }

    /// A job without an answer has an unknown outcome: its thread is poisoned or gone, or about to be.
    fn unanswered(&self) -> StoreFault {
        self.poison.set();
        StoreFault::Poisoned
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has closed the connection already; nothing is left to repair here.
            let _ = thread.join();
        }
    }
}

fn write_groups(connection: &Connection, waiting: &Receiver<Job>, poison: &Poison, steps: &Steps) {
    // A panic in a job ends this thread in the middle of a transaction: nothing more may be read from the store.
    let guard = PoisonOnPanic(poison);
    while let Ok(first) = waiting.recv() {
        let mut told = Vec::new();
        let committed = match poison.check() {
            Ok(()) => write_group(connection, first, waiting, &mut told, steps),
            Err(fault) => Err((fault, Some(first))),
        };
        match committed {
            Ok(()) => {
                told.into_iter().for_each(|tell: Tell| tell(Ok(())));
                // Nothing is left to do, so nothing can fail here.
                let _ = steps.take(Step::Told, || Ok(()));
            }
            Err((fault, unrun)) => {
                poison.set();
                // Dropping an unrun job closes its channel, and its caller reads the poison.
                drop((fault, unrun));
                told.into_iter().for_each(|tell| tell(Err(StoreFault::Poisoned)));
            }
        }
    }
    if poison.check().is_ok() {
        // Closed in good order: what waits in the log goes into the file, where the next start checks every page. Where that
        // fails, it is still in the log.
        let _waits = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }
    std::mem::forget(guard);
}

type Failed = (StoreFault, Option<Job>);

fn write_group(
    connection: &Connection,
    first: Job,
    waiting: &Receiver<Job>,
    told: &mut Vec<Tell>,
    steps: &Steps,
) -> Result<(), Failed> {
    let begun = Instant::now();
    if let Err(fault) = steps.take(Step::Begin, || statement(connection, "BEGIN IMMEDIATE")) {
        return Err((fault, Some(first)));
    }
    let mut next = Some(first);
    while let Some(job) = next.take() {
        run_in_savepoint(connection, job, told, steps).map_err(|fault| (fault, None))?;
        if told.len() < GROUP_MOST {
            next = waiting.try_recv().ok();
        }
    }
    steps.take(Step::Commit, || statement(connection, "COMMIT")).map_err(|fault| (fault, None))?;
    metrics::histogram!("sekisho_books_commit_jobs").record(f64::from(u32::try_from(told.len()).unwrap_or(u32::MAX)));
    metrics::histogram!("sekisho_books_commit_seconds").record(begun.elapsed().as_secs_f64());
    steps.take(Step::Committed, || Ok(())).map_err(|fault| (fault, None))
}

fn run_in_savepoint(connection: &Connection, job: Job, told: &mut Vec<Tell>, steps: &Steps) -> Result<(), StoreFault> {
    statement(connection, "SAVEPOINT job")?;
    let ran = job(connection);
    told.push(ran.tell);
    // A full disk makes SQLite roll back the whole transaction, the jobs before this one too: then the group has failed.
    if connection.is_autocommit() {
        return Err(StoreFault::Poisoned);
    }
    if !ran.keep {
        statement(connection, "ROLLBACK TO job")?;
    }
    steps.take(Step::Ran, || statement(connection, "RELEASE job"))
}

fn statement(connection: &Connection, sql: &str) -> Result<(), StoreFault> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

struct PoisonOnPanic<'a>(&'a Poison);

impl Drop for PoisonOnPanic<'_> {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// How many jobs one commit takes at most, so that the first of them does not wait for ever.
const GROUP_MOST: usize = 256;
