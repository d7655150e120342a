//! What is counted of those who come and ask?
//!
//! What they were told, when they were told it. Nothing here is of one question, and nothing says how long one took
//! (`telemetry/figures.rs` says why that is safe to look at).

use std::{future::Future, time::Instant};

use metrics::{counter, histogram};

use super::{Gateway, Release};
use crate::terms::Refusal;

/// One sign-in, by its way and as it ended.
pub(super) fn signed_in<T>(way: &'static str, outcome: &Result<T, Refusal>) {
    let outcome = match outcome {
        Ok(_) => "accepted",
        Err(Refusal::TooManyAttempts { .. }) => "throttled",
        Err(Refusal::Busy) => "busy",
        Err(_) => "refused",
    };
    counter!("sekisho_sign_ins_total", "way" => way, "outcome" => outcome).increment(1);
}

/// One answer that leaves, by what its own metadata tells the asker. Sold to a second permit it is told as a fresh one.
pub(super) fn answered(release: &Release) {
    let told = release.schema.metadata();
    let kind = match (told.contains_key("sekisho.receipt"), told.contains_key("sekisho.kept_answer")) {
        (true, true) => "kept",
        (true, false) => "fresh",
        (false, _) => "free",
    };
    counter!("sekisho_answers_total", "kind" => kind).increment(1);
}

/// One running question that a halt has ended.
pub(super) fn ended_by_halt() {
    counter!("sekisho_questions_ended_by_halt_total").increment(1);
}

/// One act of administration, from its beginning to its end.
pub(super) async fn administered<T>(act: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let done = act.await;
    histogram!("sekisho_administration_seconds").record(begun.elapsed().as_secs_f64());
    done
}

impl Gateway {
    /// Whether questions are answered at all: the books can be written, and are not known to be older than they were.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.is_sound() && !self.books.is_suspended()
    }

    /// How many sessions are open.
    #[must_use]
    pub fn sessions_open(&self) -> usize {
        self.tokens.open(None).len()
    }
}
