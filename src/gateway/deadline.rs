//! When does an answer leave?
//!
//! How long a question runs depends on rows, and no noise covers it. So each question about persons has one deadline,
//! fixed before its reservation from public facts alone (`engine/cost.rs`) or chosen by the analyst, and its answer leaves
//! then: not before, however soon it is made, and not later, since what is not made by then is dropped and counts as a
//! failure. Rounded up to a public ladder, so that few different ones exist.
//!
//! INVARIANT: from the reservation to the deadline a question does nothing that anybody outside can see. It holds its
//! place, computes on threads of its own (`pool.rs`) and writes nothing: what it comes to is settled, recorded and kept in
//! one transaction at the deadline. Writing it down earlier, hidden, would not do: the place of an entry in the log tells
//! when it was written, the one who writes the books would be busy at that moment, and publication would have to wait.
//!
//! Time is the runtime's monotonic one, counted from the reservation. No instant of a clock decides what is shown, so a
//! clock that jumps shows nothing early and hides nothing for ever.

use std::{error::Error, fmt, future::Future, time::Duration};

use serde::{Deserialize, Serialize};

use super::{DatasetConfig, Enclave, RUNNING_MAX};
use crate::{
    engine::{Sizes, estimate},
    privacy::{Analysis, Bounds},
    terms::Refusal,
};

/// What a custodian has decided about the run time of questions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseAt {
    /// Answers leave at their deadline: how long they took is hidden.
    #[default]
    AtDeadline,
    /// Answers leave as soon as they are made: how long they took is visible, and depends on rows.
    Immediate,
}

impl ReleaseAt {
    /// Whether run time tells about rows, in the word of metadata and EXPLAIN.
    #[must_use]
    pub fn time_channel(self) -> &'static str {
        match self {
            Self::AtDeadline => "closed",
            Self::Immediate => "open",
        }
    }
}

/// One of the few times that a deadline can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rung {
    milliseconds: u32,
}

/// The public ladder (privacy.md section 8).
const LADDER: [Rung; 7] =
    [rung(250), rung(1_000), rung(4_000), rung(16_000), rung(64_000), rung(256_000), rung(1_024_000)];

const fn rung(milliseconds: u32) -> Rung {
    Rung { milliseconds }
}

impl Rung {
    /// The rung of just so many seconds.
    pub(super) fn of_seconds(seconds: f64) -> Option<Self> {
        LADDER.into_iter().find(|rung| (rung.seconds() - seconds).abs() < f64::EPSILON)
    }

    /// The lowest rung that computing may take: on a lower one a question that nobody would call slow can miss it for
    /// reasons that are not its own.
    fn least(time: Duration) -> Option<Self> {
        LADDER.into_iter().skip(1).find(|rung| rung.duration() >= time)
    }

    /// The rung so many steps above this one, or the last.
    fn above(self, steps: usize) -> Self {
        LADDER.into_iter().filter(|rung| *rung > self).take(steps).last().unwrap_or(self)
    }

    pub(super) fn duration(self) -> Duration {
        Duration::from_millis(self.milliseconds.into())
    }

    pub(super) fn seconds(self) -> f64 {
        f64::from(self.milliseconds) / 1e3
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seconds())
    }
}

/// The public figures of an enclave that deadlines rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Speed {
    /// Plain steps over one row that one thread does in a second.
    pub(super) row_steps_per_second: u64,
    /// Threads for questions about persons.
    pub(super) threads: u64,
    /// Questions that share them.
    pub(super) sharing: u64,
}

impl Speed {
    pub(super) fn of(enclave: &Enclave) -> Self {
        let count = |of: usize| u64::try_from(of).unwrap_or(u64::MAX);
        let (threads, sharing) = (count(enclave.engine.threads.get()), count(RUNNING_MAX));
        Self { row_steps_per_second: enclave.row_steps_per_second, threads, sharing }
    }
}

/// When one answer leaves: fixed before anything is reserved.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deadline {
    release: ReleaseAt,
    rung: Option<Rung>,
    /// Shorter than what the model gives: chosen at the asker's own risk.
    hurried: bool,
}

impl Deadline {
    /// The deadline of a question: the rung that the analyst chose, also one that it will miss, else the lowest that is
    /// many times what the question should take. Where answers leave at once there is none.
    ///
    /// # Errors
    /// [`Refusal::TooComplex`] for what would miss every rung: it would be charged for nothing.
    /// [`Refusal::UnknownSetting`] for a choice far above that lowest rung: until then a place is held, which others lack.
    pub(super) fn of(
        analysis: &Analysis,
        dataset: &DatasetConfig,
        bounds: &Bounds,
        speed: &Speed,
        chosen: Option<Rung>,
    ) -> Result<Self, Refusal> {
        let release = dataset.release;
        if release == ReleaseAt::Immediate {
            return Ok(Self { release, rung: None, hurried: false });
        }
        let sizes = Sizes {
            population_max: bounds.population_max,
            rows_per_person: &dataset.rows_per_person,
            work_rows_max: bounds.work_rows_max,
            cells_max: u64::try_from(bounds.cells_max).unwrap_or(u64::MAX),
        };
        // As if all who may run at once did so, and needed the threads as much.
        let share = speed.row_steps_per_second.saturating_mul(speed.threads.max(1)) / speed.sharing.max(1);
        let time = estimate(analysis, &sizes).time(share);
        let last = LADDER.last().copied().filter(|last| last.duration() >= time);
        let modelled = Rung::least(time.saturating_mul(SAFETY)).or(last);
        let most = modelled.map(|rung| rung.above(CHOSEN_ABOVE_MAX));
        if let (Some(chosen), Some(most)) = (chosen, most)
            && chosen > most
        {
            let hint =
                format!("this question may have {most} seconds at most: SET sekisho.deadline = {most} or DEFAULT");
            return Err(Refusal::UnknownSetting { hint });
        }
        let hurried = chosen.is_some_and(|chosen| modelled.is_none_or(|modelled| chosen < modelled));
        match chosen.or(modelled) {
            Some(rung) => Ok(Self { release, rung: Some(rung), hurried }),
            None => Err(Refusal::TooComplex {
                limit: "what the longest deadline, 1024 seconds, has time for; ask about fewer tables, or choose that \
                        deadline with SET sekisho.deadline = 1024"
                    .into(),
            }),
        }
    }

    /// In milliseconds; none where the answer leaves at once.
    pub(super) fn milliseconds(&self) -> Option<u32> {
        self.rung.map(|rung| rung.milliseconds)
    }

    /// Whether it is so short that the question would rather miss it. Met all the same, it would tell that the answer was there
    /// already: it is not served from what another permit has bought.
    pub(super) fn is_hurried(&self) -> bool {
        self.hurried
    }

    /// In seconds; none where the answer leaves at once.
    pub(super) fn seconds(&self) -> Option<f64> {
        self.rung.map(Rung::seconds)
    }

    /// None where the answer leaves at once.
    pub(super) fn duration(&self) -> Option<Duration> {
        self.rung.map(Rung::duration)
    }

    /// `open` or `closed`.
    pub(super) fn time_channel(&self) -> &'static str {
        self.release.time_channel()
    }

    /// The clock runs: to be called when the reservation is durable.
    pub(super) fn begins(&self) -> Leaving {
        Leaving(self.rung.map(|rung| tokio::time::Instant::now() + rung.duration()))
    }
}

/// What went wrong with a charged question.
pub(super) type Fault = Box<dyn Error + Send + Sync>;

/// Nothing was made by the deadline.
#[derive(Debug, thiserror::Error)]
#[error("nothing was made by the deadline")]
struct Missed;

/// The instant at which one answer leaves.
#[must_use]
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaving(Option<tokio::time::Instant>);

impl Leaving {
    /// What `work` comes to, told at the deadline whenever it was known. Work that is not done by then is dropped, and ends
    /// where it next lets go (`engine/yielding.rs`).
    pub(super) async fn hold<T>(self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let Some(at) = self.0 else { return work.await };
        let made = tokio::time::timeout_at(at, work).await.unwrap_or_else(|_| Err(Missed.into()));
        tokio::time::sleep_until(at).await;
        made
    }
}

/// So many times longer than it should take may a question take.
const SAFETY: u32 = 4;
/// So many rungs above what the model gives may an analyst choose.
const CHOSEN_ABOVE_MAX: usize = 2;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_rung_is_one_of_the_seven() {
        let seconds: Vec<String> = LADDER.iter().map(ToString::to_string).collect();
        assert_eq!(seconds, ["0.25", "1", "4", "16", "64", "256", "1024"]);
        for rung in LADDER {
            assert_eq!(Rung::of_seconds(rung.seconds()), Some(rung));
        }
        assert!([0.0, 0.5, 17.0, 2048.0, f64::NAN].into_iter().all(|other| Rung::of_seconds(other).is_none()));
    }

    #[test]
    fn above_a_rung_are_the_next_ones_up_to_the_last() {
        for (from, steps, to) in
            [(0.25, 2, 4.0), (1.0, 1, 4.0), (1.0, 2, 16.0), (256.0, 2, 1024.0), (1024.0, 2, 1024.0)]
        {
            assert_eq!(Rung::of_seconds(from).map(|rung| rung.above(steps).seconds()), Some(to));
        }
    }

    #[test]
    fn an_estimate_is_rounded_up_and_never_to_less_than_a_second() {
        for (milliseconds, seconds) in [(0, 1.0), (1_000, 1.0), (1_001, 4.0), (64_001, 256.0), (1_024_000, 1024.0)] {
            assert_eq!(Rung::least(Duration::from_millis(milliseconds)).map(Rung::seconds), Some(seconds));
        }
        assert_eq!(Rung::least(Duration::from_millis(1_024_001)), None);
    }

    fn leaving(milliseconds: u32) -> Leaving {
        Deadline { release: ReleaseAt::AtDeadline, rung: Some(rung(milliseconds)), hurried: false }.begins()
    }

    #[tokio::test]
    async fn what_is_made_early_is_told_at_the_deadline_and_what_fails_early_too() {
        for made in [Ok(7), Err("a fault")] {
            let begun = Instant::now();
            let told = leaving(100).hold(async { made.map_err(Fault::from) }).await;
            assert!(begun.elapsed() >= Duration::from_millis(100), "{:?}", begun.elapsed());
            assert_eq!(told.map_err(|fault| fault.to_string()), made.map_err(str::to_owned));
        }
    }

    #[tokio::test]
    async fn what_is_not_made_by_then_is_dropped_there() {
        struct Dropped(tokio::sync::mpsc::UnboundedSender<Instant>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                let _ = self.0.send(Instant::now());
            }
        }
        let (send, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let begun = Instant::now();
        let held = Dropped(send);
        let missed = leaving(100).hold(async move {
            let _held = held;
            std::future::pending::<Result<u8, Fault>>().await
        });
        assert!(missed.await.unwrap_err().is::<Missed>());
        let dropped = seen.recv().await.unwrap().duration_since(begun);
        assert!(dropped >= Duration::from_millis(100), "{dropped:?}");
    }

    #[tokio::test]
    async fn where_answers_leave_at_once_nothing_waits_and_nothing_is_missed() {
        let deadline = Deadline { release: ReleaseAt::Immediate, rung: None, hurried: false };
        assert_eq!((deadline.seconds(), deadline.time_channel()), (None, "open"));
        assert_eq!(deadline.begins().hold(async { Ok(7) }).await.unwrap(), 7);
    }
}
