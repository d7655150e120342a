//! What does the operator see of a running process?
//!
//! Lines on standard error, figures to scrape (`figures.rs`), and where it is asked for the steps of each call (`traces.rs`).
//! All of it comes from this crate alone: what libraries log can carry cells of data, so none of theirs passes, nor the
//! message of a panic.

mod enclave;
mod figures;
mod lines;
mod scrape;
mod traces;

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, layer::SubscriberExt, util::SubscriberInitExt};

pub use self::{
    enclave::look_up,
    figures::{FAMILIES, Family, Figures, FiguresFault, Kind, SeenBy},
    scrape::serve as serve_figures,
    traces::{Traces, TracesFault},
};

/// How much is said: `error`, `warn`, `info`, `debug` or `trace`.
pub const VARIABLE: &str = "SEKISHO_LOG";
/// In which form: `text`, or `json` for one object a line.
pub const FORM_VARIABLE: &str = "SEKISHO_LOG_FORMAT";

/// Starts logging to standard error, once for the process. `quiet` is what is said unless [`VARIABLE`] says otherwise. With
/// `traces` the steps of calls go there, whatever is logged.
pub fn start(quiet: Level, traces: Option<&Traces>) {
    let level = std::env::var(VARIABLE).ok().and_then(|word| Level::read(&word)).unwrap_or(quiet);
    let mut layers = vec![logging(level, std::env::var(FORM_VARIABLE).is_ok_and(|form| form == "json"))];
    layers.extend(traces.map(Traces::layer));
    // Another logger is already there in tests only.
    let _ = tracing_subscriber::registry().with(layers).try_init();
}

type AnyLayer = Box<dyn Layer<Registry> + Send + Sync>;

fn logging(level: Level, json: bool) -> AnyLayer {
    let filter = EnvFilter::new(format!("off,sekisho={}", level.as_str()));
    let layer = fmt::layer().with_writer(io::stderr).with_target(false);
    match json {
        true => layer.event_format(lines::Json::of_the_machine()).with_filter(filter).boxed(),
        false => layer.with_ansi(io::stderr().is_terminal()).with_filter(filter).boxed(),
    }
}

/// Keeps the message of a panic, which can hold a value, from standard error: only its place is said.
pub fn hush_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
        // Nobody is left to tell where standard error is gone.
        let _ = writeln!(io::stderr(), "a part of the program stopped unexpectedly at {place}");
    }));
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
