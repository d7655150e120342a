//! Do the entries add up to the totals?
//!
//! Pure: it sees only the effects that the log's entries state, never a database.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Effect;
use crate::terms::{Cap, EntryNumber, Loss};

/// All figures of the ledger at one moment, as an export shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// One line per cap, sorted by its text.
    pub caps: Vec<TotalsLine>,
    /// The entries of all reservations that nothing has settled.
    pub open: Vec<u64>,
}

/// One cap with its figures; ε and δ as in [`super::Declared`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TotalsLine {
    /// The cap, as [`super::cap_text`] writes it.
    pub cap: String,
    /// ε in nats.
    pub epsilon: String,
    /// δ.
    pub delta: String,
    /// Everything taken.
    pub committed: Loss,
    /// Of which settled.
    pub spent: Loss,
    /// Of which of questions still running.
    pub reserved: Loss,
}

impl TotalsLine {
    /// Whether this cap still bears `loss`.
    #[must_use]
    pub fn bears(&self, loss: &Loss) -> bool {
        let cap = self.epsilon.parse().ok().zip(self.delta.parse().ok()).and_then(|(e, d)| Cap::new(e, d).ok());
        let total = self.committed.plus(loss).ok();
        cap.zip(total).is_some_and(|(cap, total)| cap.admits(&total))
    }
}

impl Totals {
    pub(super) fn add(&mut self, cap: String, figure: Cap, committed: Loss, spent: Loss, reserved: Loss) {
        let (epsilon, delta) = (figure.epsilon().to_string(), figure.delta().to_string());
        self.caps.push(TotalsLine { cap, epsilon, delta, committed, spent, reserved });
    }
}

/// What an entry states that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayFault {
    /// A cap's figure is no figure.
    #[error("entry {0} declares a cap that is none")]
    NotACap(EntryNumber),
    /// A charge is taken from a cap that nobody declared.
    #[error("entry {entry} takes from {cap}, which nobody declared")]
    NotDeclared {
        /// The entry.
        entry: EntryNumber,
        /// The cap.
        cap: String,
    },
    /// A charge names no caps or one cap twice.
    #[error("entry {0} takes from no cap, or from one twice")]
    BadScope(EntryNumber),
    /// A charge passes a cap.
    #[error("entry {entry} passes the cap of {cap}")]
    Passed {
        /// The entry.
        entry: EntryNumber,
        /// The cap.
        cap: String,
    },
    /// An account is raised to less than was spent of it, or while reservations are open.
    #[error("entry {entry} does not raise {cap}")]
    Fallen {
        /// The entry.
        entry: EntryNumber,
        /// The cap.
        cap: String,
    },
    /// A reservation is settled twice, or was never made.
    #[error("entry {entry} settles entry {admission}, which is not open")]
    NotOpen {
        /// The entry.
        entry: EntryNumber,
        /// The reservation.
        admission: EntryNumber,
    },
    /// The sums leave the ledger's integers.
    #[error("entry {0} leaves the ledger's integers")]
    Sum(EntryNumber),
}

/// Adds up effects, entry by entry.
#[derive(Debug, Default)]
pub struct Replay {
    caps: BTreeMap<String, Line>,
    open: BTreeMap<u64, (Loss, Vec<String>)>,
}

#[derive(Debug)]
struct Line {
    cap: Cap,
    committed: Loss,
    spent: Loss,
}

impl Replay {
    /// Applies the effect that entry `entry` states.
    ///
    /// # Errors
    /// [`ReplayFault`] where it cannot have happened under the rules of the ledger.
    pub fn apply(&mut self, entry: EntryNumber, effect: &Effect) -> Result<(), ReplayFault> {
        match effect {
            Effect::Declares(caps) => self.declare(entry, caps),
            Effect::Takes { loss, from } => self.take(entry, loss, from),
            Effect::Settles(admission) => self.settle(entry, *admission),
            Effect::Raises(raised) => raised.iter().try_for_each(|raised| self.raise(entry, raised)),
        }
    }

    /// The figures after everything applied so far.
    ///
    /// # Errors
    /// [`ReplayFault::Sum`] where the open reservations leave the ledger's integers.
    pub fn totals(&self) -> Result<Totals, ReplayFault> {
        let mut totals = Totals::default();
        for (name, line) in &self.caps {
            let mut reserved = Loss::zero();
            for (admission, (loss, from)) in &self.open {
                if from.contains(name) {
                    reserved = reserved.plus(loss).map_err(|_| ReplayFault::Sum(EntryNumber(*admission)))?;
                }
            }
            totals.add(name.clone(), line.cap, line.committed.clone(), line.spent.clone(), reserved);
        }
        totals.open = self.open.keys().copied().collect();
        Ok(totals)
    }

    fn declare(&mut self, entry: EntryNumber, caps: &[super::Declared]) -> Result<(), ReplayFault> {
        for declared in caps {
            let cap = declared.figure().ok_or(ReplayFault::NotACap(entry))?;
            let line = self.caps.entry(declared.cap.clone());
            let nothing = || Line { cap, committed: Loss::zero(), spent: Loss::zero() };
            line.or_insert_with(nothing).cap = cap;
        }
        Ok(())
    }

    fn take(&mut self, entry: EntryNumber, loss: &Loss, from: &[String]) -> Result<(), ReplayFault> {
        let mut distinct = from.to_vec();
        distinct.sort();
        distinct.dedup();
        if from.is_empty() || distinct.len() != from.len() {
            return Err(ReplayFault::BadScope(entry));
        }
        for cap in from {
            let not_declared = || ReplayFault::NotDeclared { entry, cap: cap.clone() };
            let line = self.caps.get_mut(cap).ok_or_else(not_declared)?;
            line.committed = line.committed.plus(loss).map_err(|_| ReplayFault::Sum(entry))?;
            if !line.cap.admits(&line.committed) && !line.cap.admitted_before(loss, &line.committed) {
                return Err(ReplayFault::Passed { entry, cap: cap.clone() });
            }
        }
        self.open.insert(entry.0, (loss.clone(), from.to_vec()));
        Ok(())
    }

    fn raise(&mut self, entry: EntryNumber, raised: &super::Raised) -> Result<(), ReplayFault> {
        let fallen = || ReplayFault::Fallen { entry, cap: raised.cap.clone() };
        let line = self.caps.get_mut(&raised.cap).ok_or_else(fallen)?;
        if !self.open.is_empty() || !line.committed.at_most(&raised.to) {
            return Err(fallen());
        }
        line.committed.clone_from(&raised.to);
        line.spent.clone_from(&raised.to);
        Ok(())
    }

    fn settle(&mut self, entry: EntryNumber, admission: u64) -> Result<(), ReplayFault> {
        let not_open = ReplayFault::NotOpen { entry, admission: EntryNumber(admission) };
        let (loss, from) = self.open.remove(&admission).ok_or(not_open)?;
        for cap in from {
            let Some(line) = self.caps.get_mut(&cap) else { return Err(ReplayFault::NotDeclared { entry, cap }) };
            line.spent = line.spent.plus(&loss).map_err(|_| ReplayFault::Sum(entry))?;
        }
        Ok(())
    }
}
