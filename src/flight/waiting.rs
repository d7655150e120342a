//! Which answers does a session wait for, and how does it stop waiting?
//!
//! Cancelling a question about persons ends the waiting and nothing else: it goes on, is charged, recorded and kept. So it
//! tells nothing about how long it took, and asked again under the same permit its answer is free. One about nobody ends.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use crate::terms::Refusal;

/// The tickets that are being redeemed.
#[derive(Default)]
pub(super) struct Waiting(Mutex<HashMap<[u8; 32], Arc<Notify>>>);

impl Waiting {
    /// What `work` comes to, or `Cancelled` where somebody cancels the ticket before.
    pub(super) async fn unless_cancelled<T>(
        &self,
        ticket: &[u8],
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let told = self.redeemed(ticket);
        let cancelled = told.notified();
        tokio::pin!(cancelled);
        // From here on a cancellation is heard, though nothing has been polled.
        cancelled.as_mut().enable();
        tokio::select! {
            biased;
            () = cancelled => Err(Refusal::Cancelled),
            done = work => done,
        }
    }

    /// Ends the waiting for this ticket, if there is any.
    pub(super) fn cancel(&self, ticket: &[u8]) {
        let tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = tickets.get(&key(ticket)) {
            told.notify_waiters();
        }
    }

    fn redeemed(&self, ticket: &[u8]) -> Arc<Notify> {
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.retain(|_, told| Arc::strong_count(told) > 1);
        Arc::clone(tickets.entry(key(ticket)).or_default())
    }
}

fn key(ticket: &[u8]) -> [u8; 32] {
    Sha256::digest(ticket).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn cancelling_ends_the_waiting_for_that_ticket_alone() {
        let waiting = Arc::new(Waiting::default());
        let wait = |ticket: &'static [u8]| {
            let waiting = Arc::clone(&waiting);
            tokio::spawn(async move {
                waiting.unless_cancelled(ticket, std::future::pending::<Result<(), Refusal>>()).await
            })
        };
        let (one, same, other) = (wait(b"one"), wait(b"one"), wait(b"other"));
        tokio::task::yield_now().await;
        waiting.cancel(b"one");
        waiting.cancel(b"nobody waits for this");
        assert_eq!(one.await.unwrap(), Err(Refusal::Cancelled));
        assert_eq!(same.await.unwrap(), Err(Refusal::Cancelled));
        assert!(!other.is_finished());
        assert_eq!(waiting.unless_cancelled(b"one", async { Ok(7) }).await, Ok(7), "cancelled is not forbidden");
        other.abort();
    }
}
