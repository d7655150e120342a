//! How does the enclave stand at the moment of a scrape?

use metrics::gauge;

use super::figures::seconds;
use crate::{gateway::Gateway, record::Books};

/// Looks up what is not counted as it happens. Blocks. What cannot be read keeps its last figure: that the books are unsound
/// is a figure of its own.
pub fn look_up(gateway: &Gateway, books: &Books) {
    gauge!("sekisho_sessions").set(number(gateway.sessions_open()));
    gauge!("sekisho_books_sound").set(number(usize::from(gateway.is_sound())));
    gauge!("sekisho_books_suspended").set(number(usize::from(books.is_suspended())));
    if let Ok(Some(published)) = books.published() {
        gauge!("sekisho_checkpoint_timestamp_seconds").set(seconds(published.at));
        gauge!("sekisho_checkpoint_entries").set(number(usize::try_from(published.size).unwrap_or(usize::MAX)));
    }
    if let Ok(halts) = books.halts() {
        gauge!("sekisho_halts_in_force").set(number(halts.iter().filter(|halt| halt.lifted_at.is_none()).count()));
    }
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
