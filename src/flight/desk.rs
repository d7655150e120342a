//! What does the server remember for one session?

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use datafusion::arrow::record_batch::RecordBatch;
use tokio::sync::{OwnedSemaphorePermit, RwLock, Semaphore};

use super::{waiting::Waiting, words::No};
use crate::{gateway::Session, terms::Refusal};

/// The most prepared statements that one session may hold open.
const PREPARED_MAX: usize = 256;

/// A prepared statement: its text and the parameters last bound to it.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) sql: String,
    pub(super) parameters: Option<RecordBatch>,
}

/// The prepared statements of one session and the lock on its settings.
pub(super) struct Desk {
    prepared: Mutex<HashMap<[u8; 16], Prepared>>,
    answers: Arc<Semaphore>,
    /// The answers that are waited for.
    pub(super) waiting: Waiting,
    /// Held for reading by each question; for writing by one that brings other settings in its headers.
    pub(super) settings: Arc<RwLock<()>>,
}

impl Desk {
    fn new(answers_max: usize) -> Self {
        let answers = Arc::new(Semaphore::new(answers_max));
        Self { prepared: Mutex::default(), answers, waiting: Waiting::default(), settings: Arc::default() }
    }

    /// A place for one answer, until it has been read.
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, No> {
        Arc::clone(&self.answers).try_acquire_owned().map_err(|_| Refusal::Busy.into())
    }

    /// Keeps a statement under a handle that nobody can guess.
    pub(super) fn open(&self, sql: String) -> Result<[u8; 16], No> {
        let mut handle = [0; 16];
        getrandom::fill(&mut handle).map_err(|_| No::failed())?;
        let mut prepared = locked(&self.prepared);
        if prepared.len() >= PREPARED_MAX {
            let limit = format!("more than {PREPARED_MAX} prepared statements in one session; close some");
            return Err(Refusal::TooComplex { limit }.into());
        }
        prepared.insert(handle, Prepared { sql, parameters: None });
        Ok(handle)
    }

    /// The statement under this handle.
    pub(super) fn prepared(&self, handle: &[u8]) -> Result<Prepared, No> {
        let key = <[u8; 16]>::try_from(handle).map_err(|_| unknown_handle())?;
        locked(&self.prepared).get(&key).cloned().ok_or_else(unknown_handle)
    }

    /// Binds parameters, replacing those bound before.
    pub(super) fn bind(&self, handle: &[u8], parameters: Option<RecordBatch>) -> Result<(), No> {
        let key = <[u8; 16]>::try_from(handle).map_err(|_| unknown_handle())?;
        let mut prepared = locked(&self.prepared);
        prepared.get_mut(&key).ok_or_else(unknown_handle)?.parameters = parameters;
        Ok(())
    }

    /// Forgets a statement; closing twice is no error.
    pub(super) fn close(&self, handle: &[u8]) {
        if let Ok(key) = <[u8; 16]>::try_from(handle) {
            locked(&self.prepared).remove(&key);
        }
    }
}

fn unknown_handle() -> No {
    Refusal::NotAQuestion { hint: "this prepared statement is closed or of another session; prepare it again".into() }
        .into()
}

/// The desks of all sessions that the gateway still knows.
pub(super) struct Desks {
    answers_max: usize,
    kept: Mutex<HashMap<usize, Kept>>,
}

/// A desk, and the session for as long as the gateway knows it.
type Kept = (Weak<Session>, Arc<Desk>);

impl Desks {
    /// Of sessions with at most so many answers on their way.
    pub(super) fn new(answers_max: usize) -> Self {
        Self { answers_max, kept: Mutex::default() }
    }

    /// The desk of this session, cleared of those whose session the gateway has ended.
    ///
    /// The key is the session's address: the `Weak` beside it keeps that address from being used again.
    pub(super) fn of(&self, session: &Arc<Session>) -> Arc<Desk> {
        let mut desks = locked(&self.kept);
        let key = Arc::as_ptr(session).addr();
        if let Some((_, desk)) = desks.get(&key) {
            return Arc::clone(desk);
        }
        desks.retain(|_, (session, _)| session.strong_count() > 0);
        let desk = Arc::new(Desk::new(self.answers_max));
        desks.insert(key, (Arc::downgrade(session), Arc::clone(&desk)));
        desk
    }

    /// Forgets everything of one session.
    pub(super) fn clear(&self, session: &Arc<Session>) {
        locked(&self.kept).remove(&Arc::as_ptr(session).addr());
    }
}

/// A thread that panicked while holding the lock leaves a map that is still whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_holds_a_bounded_number_of_prepared_statements() {
        let desk = Desk::new(1);
        let first = desk.open("SELECT 1".into()).unwrap();
        for _ in 1..PREPARED_MAX {
            desk.open("SELECT 1".into()).unwrap();
        }
        assert!(desk.open("SELECT 1".into()).is_err());
        desk.close(&first);
        assert!(desk.open("SELECT 1".into()).is_ok());
    }

    #[test]
    fn a_closed_or_foreign_handle_is_refused() {
        let (mine, theirs) = (Desk::new(1), Desk::new(1));
        let handle = mine.open("SELECT 1".into()).unwrap();
        assert_eq!(mine.prepared(&handle).unwrap().sql, "SELECT 1");
        assert!(theirs.prepared(&handle).is_err());
        assert!(mine.prepared(b"short").is_err());
        mine.close(&handle);
        assert!(mine.prepared(&handle).is_err());
    }
}
