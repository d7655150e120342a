//! What does the operator see of a running process?
//!
//! Lines on standard error, from this crate alone: what libraries log can carry cells of data, so none of theirs passes,
//! nor the message of a panic.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;

/// How much is said: `error`, `warn`, `info`, `debug` or `trace`.
pub const VARIABLE: &str = "SEKISHO_LOG";

/// Starts logging to standard error, once for the process. `quiet` is what is said unless [`VARIABLE`] says otherwise.
pub fn start(quiet: Level) {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
        // Nobody is left to tell where standard error is gone.
        let _ = writeln!(io::stderr(), "a part of the program stopped unexpectedly at {place}");
    }));
    let level = std::env::var(VARIABLE).ok().and_then(|word| Level::read(&word)).unwrap_or(quiet);
    let filter = EnvFilter::new(format!("off,sekisho={}", level.as_str()));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    // Another logger is already there in tests only.
    let _ = lines.with_ansi(io::stderr().is_terminal()).try_init();
}

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// What failed.
    Error,
    /// And what may be wrong.
    Warn,
    /// And what was done.
    Info,
    /// And how.
    Debug,
    /// And every step.
    Trace,
}

impl Level {
    const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_of_other_crates_cannot_be_asked_for() {
        assert_eq!(Level::read("debug"), Some(Level::Debug));
        assert_eq!(Level::read("datafusion=trace"), None);
    }
}
