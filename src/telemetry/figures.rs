//! Which figures may the operator scrape, and which of them may anybody see?
//!
//! INVARIANT: none is of one question, none depends on a row, and none that [`SeenBy::Anybody`] may see depends on how long
//! the exact stage of a question ran. What those count is what somebody outside was told, at the instant when they were told:
//! analysts are taken to collude (ARCHITECTURE.md, "The promise"), so that nothing is learned from it which they did not know.
//! The others say more: a commit of the books comes when an exact stage has ended, memory follows the rows that are held. They
//! are for the operator, and shown only where the configuration says `show = "all"`.

use std::{collections::BTreeSet, fs};

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::terms::Instant;

/// Who may see a family of figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeenBy {
    /// An analyst learns nothing about a person from it.
    Anybody,
    /// It follows when work ended or how much memory it took.
    Operator,
}

/// What kind of figure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Grows from the start of the process on.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How many were at most so large.
    Histogram,
}

/// One family of figures.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Its name, in the way of Prometheus.
    pub name: &'static str,
    /// What kind.
    pub kind: Kind,
    /// Who may see it.
    pub seen_by: SeenBy,
    /// What it says.
    pub help: &'static str,
}

const fn of(kind: Kind, seen_by: SeenBy, name: &'static str, help: &'static str) -> Family {
    Family { name, kind, seen_by, help }
}

use Kind::{Counter, Gauge, Histogram};
use SeenBy::{Anybody, Operator};

/// All families. What is not in this list is not shown.
pub const FAMILIES: &[Family] = &[
    of(Gauge, Anybody, "sekisho_build_info", "1; the label says which version of the program runs."),
    of(Gauge, Anybody, "sekisho_start_timestamp_seconds", "When the process started, in seconds since 1970."),
    of(Counter, Anybody, "sekisho_answers_total", "Answers that left, by what the asker was told of them."),
    of(Counter, Anybody, "sekisho_refusals_total", "Calls that were turned away, by the code of the refusal."),
    of(Counter, Anybody, "sekisho_sign_ins_total", "Sign-ins, by way and outcome."),
    of(Gauge, Anybody, "sekisho_sessions", "Open sessions."),
    of(Gauge, Anybody, "sekisho_connections", "Open connections."),
    of(Counter, Anybody, "sekisho_connections_turned_away_total", "Connections closed before any call, by reason."),
    of(Gauge, Anybody, "sekisho_halts_in_force", "Halts that nobody has lifted yet."),
    of(Gauge, Anybody, "sekisho_books_sound", "1; 0 after a failed commit: the gateway must be started again."),
    of(Gauge, Anybody, "sekisho_books_suspended", "1 where the books are older than what was seen of them, else 0."),
    of(Gauge, Anybody, "sekisho_checkpoint_timestamp_seconds", "The instant of the checkpoint published last."),
    of(Gauge, Anybody, "sekisho_checkpoint_entries", "How many entries the checkpoint published last covers."),
    of(Counter, Operator, "sekisho_questions_ended_by_halt_total", "Running questions that a halt has ended."),
    of(Histogram, Operator, "sekisho_books_commit_jobs", "How many writes one durable commit held."),
    of(Histogram, Operator, "sekisho_books_commit_seconds", "How long one durable commit took."),
    of(Histogram, Operator, "sekisho_administration_seconds", "How long one act of administration took."),
    of(Gauge, Operator, "process_resident_memory_bytes", "Memory that the process holds."),
    of(Gauge, Operator, "process_threads", "Threads of the process."),
    of(Gauge, Operator, "process_open_fds", "Open file descriptors."),
    of(Gauge, Operator, "process_max_fds", "The most file descriptors that the process may open."),
];

/// Up to so many writes a commit, and so many seconds.
const JOBS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
const SECONDS: [f64; 9] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum FiguresFault {
    /// They are collected once in a process.
    #[error("the figures of this process are collected already, or cannot be")]
    Collected(#[source] BuildError),
}

/// What has been counted so far in this process.
#[derive(Clone)]
pub struct Figures {
    handle: PrometheusHandle,
    shown: BTreeSet<&'static str>,
}

impl Figures {
    /// Begins to count, once for the process; `seen_by` says who will read it.
    ///
    /// # Errors
    /// [`FiguresFault`].
    pub fn collect(seen_by: SeenBy, started: Instant) -> Result<Self, FiguresFault> {
        let bucketed = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_jobs".into()), &JOBS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS));
        let handle = bucketed.and_then(PrometheusBuilder::install_recorder).map_err(FiguresFault::Collected)?;
        for family in FAMILIES {
            match family.kind {
                Counter => describe_counter!(family.name, family.help),
                Gauge => describe_gauge!(family.name, family.help),
                Histogram => describe_histogram!(family.name, family.help),
            }
        }
        gauge!("sekisho_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        gauge!("sekisho_start_timestamp_seconds").set(seconds(started));
        counter!("sekisho_questions_ended_by_halt_total").increment(0);
        let shown = FAMILIES.iter().filter(|family| seen_by == Operator || family.seen_by == Anybody);
        Ok(Self { handle, shown: shown.map(|family| family.name).collect() })
    }

    /// What stands now, in the text form of Prometheus; of the families that are shown alone.
    #[must_use]
    pub fn text(&self) -> String {
        of_the_process();
        shown(&self.handle.render(), &self.shown)
    }

    /// Puts what came in since into its buckets. Without it they would grow while nobody scrapes.
    pub(super) fn tidy_up(&self) {
        self.handle.run_upkeep();
    }
}

/// An instant as Prometheus wants it.
#[must_use]
pub(super) fn seconds(at: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a time of today is exact to the microsecond in 53 bits")]
    let micros = at.0 as f64;
    micros / 1e6
}

/// The blocks of `text` whose family is among those shown: one block a family, apart by empty lines.
fn shown(text: &str, families: &BTreeSet<&'static str>) -> String {
    let name = |block: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix("# TYPE "))?;
        line.split_once(' ').map(|(name, _)| name.to_owned())
    };
    let blocks = text.split("\n\n").filter(|block| name(block).is_some_and(|name| families.contains(name.as_str())));
    blocks.map(|block| format!("{}\n\n", block.trim_matches('\n'))).collect()
}

/// Memory and descriptors, as the system shows them to the process itself. Where it does not, there is no figure.
fn of_the_process() {
    let number = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        if let Some(kilobytes) = number(&status, "VmRSS:") {
            gauge!("process_resident_memory_bytes").set(kilobytes * 1024.0);
        }
        if let Some(threads) = number(&status, "Threads:") {
            gauge!("process_threads").set(threads);
        }
    }
    if let Some(most) = fs::read_to_string("/proc/self/limits").ok().and_then(|text| number(&text, "Max open files")) {
        gauge!("process_max_fds").set(most);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The folder itself is open while it is read.
        gauge!("process_open_fds").set(f64::from(u32::try_from(open.count()).unwrap_or(u32::MAX)) - 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_list_is_not_shown() {
        let text = "# HELP a_total x\n# TYPE a_total counter\na_total{code=\"x\"} 1\na_total{code=\"y\"} 2\n\n\
                    # TYPE secret gauge\nsecret 7\n\n# TYPE b gauge\nb 3\n\n";
        let seen = shown(text, &BTreeSet::from(["a_total", "b"]));
        let expected = "# HELP a_total x\n# TYPE a_total counter\na_total{code=\"x\"} 1\na_total{code=\"y\"} 2\n\n\
                        # TYPE b gauge\nb 3\n\n";
        assert_eq!(seen, expected);
        assert_eq!(shown("b 3\n\n", &BTreeSet::from(["b"])), "", "a figure of no family");
    }

    #[test]
    fn names_follow_the_conventions() {
        let names: BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), FAMILIES.len());
        for family in FAMILIES {
            let ours = family.name.starts_with("sekisho_") || family.name.starts_with("process_");
            let plain = family.name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            assert!(ours && plain && family.help.ends_with('.'), "{}", family.name);
            assert_eq!(family.name.ends_with("_total"), family.kind == Counter, "{}", family.name);
        }
    }
}
