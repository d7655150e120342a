//! How far is a long piece of work?
//!
//! A bar on standard error where that is a terminal, nothing elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

const STEADY: Duration = Duration::from_millis(120);

/// A bar for work of `of` steps, or a counter where nobody knows how many.
#[must_use]
pub fn bar(what: &str, of: Option<u64>) -> ProgressBar {
    let (bar, style) = match of {
        Some(of) => (ProgressBar::new(of), "{msg:28} {bar:32} {human_pos}/{human_len} {elapsed} (left {eta})"),
        None => (ProgressBar::new_spinner(), "{msg:28} {spinner} {human_pos} {elapsed}"),
    };
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(STEADY);
    bar
}
