//! Can every budget bear this, and what has each borne?
//!
//! Caps nest: population, data set, permit, analyst within the permit. A reservation takes from all of its caps or from
//! none. What was taken is never given back: settling only says that the question has ended.
//!
//! The functions here run inside a transaction of the caller (`record/`), beside the log entry that says the same.

mod effect;
mod replay;
mod tables;

use rusqlite::Connection;

use crate::{
    store::StoreFault,
    terms::{Cap, CapName, Charge, EntryNumber, Loss, LossFault},
};

pub use effect::{Declared, Effect, Raised, cap_text};
pub use replay::{Replay, ReplayFault, Totals, TotalsLine};
pub use tables::{MARKS, SCHEMA, balance, charges, mark, open_reservations, raise, totals};

/// Why the ledger did not write.
#[derive(Debug, thiserror::Error)]
pub enum LedgerFault {
    /// The books failed.
    #[error("the ledger could not be read or written")]
    Store(#[from] StoreFault),
    /// A sum left the ledger's integers.
    #[error("a sum does not fit the ledger")]
    Sum(#[from] LossFault),
    /// A charge names a cap that nobody declared.
    #[error("no cap is declared for {cap}")]
    NotDeclared {
        /// The cap.
        cap: CapName,
    },
    /// A reservation was settled before, or never made.
    #[error("entry {admission} has no open reservation")]
    NotOpen {
        /// The entry of its admission.
        admission: EntryNumber,
    },
}

impl From<rusqlite::Error> for LedgerFault {
    fn from(source: rusqlite::Error) -> Self {
        Self::Store(source.into())
    }
}

/// What one cap holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Balance {
    /// The most that may ever be lost.
    pub cap: Cap,
    /// The sum of all settled charges.
    pub spent: Loss,
    /// The sum of all charges of questions still running. Counts like spent.
    pub reserved: Loss,
    /// Both together: what the cap is held against.
    pub committed: Loss,
}

impl Balance {
    /// The largest ε of one question, pure or a Gaussian of its share of this cap, that still fits; rounded down.
    #[must_use]
    pub fn left(&self) -> f64 {
        self.cap.remaining(&self.committed)
    }
}

/// How declaring a cap changed it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// It is new; nothing is spent.
    New,
    /// It was declared just so before.
    Same,
    /// It was another figure before; what is spent stays spent.
    From(Cap),
}

/// Which caps a charge is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All four: something new is learnt about the persons.
    Fresh,
    /// Permit and analyst: the answer left before, for another permit, and costs the persons nothing more.
    Again,
}

impl Scope {
    /// The caps of `charge` that this scope takes from, widest first.
    #[must_use]
    pub fn caps(self, charge: &Charge) -> Vec<CapName> {
        let [population, dataset, permit, analyst] = charge.caps();
        match self {
            Self::Fresh => vec![population, dataset, permit, analyst],
            Self::Again => vec![permit, analyst],
        }
    }
}

/// How a reservation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With an answer.
    Released,
    /// Without one, after data was read.
    Failed,
    /// The gateway stopped in between; found and settled at the next start.
    Recovered,
}

/// The outcome of asking for a reservation.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// All caps bear it, and it is taken from all of them.
    Taken,
    /// One cap at least does not bear it; nothing was taken.
    Refused {
        /// The largest ε that would still be admitted; see [`reserve`].
        left: f64,
    },
}

/// Sets a cap. Never touches what was spent.
///
/// # Errors
/// [`LedgerFault`] where the books fail.
pub fn declare(connection: &Connection, name: &CapName, cap: Cap) -> Result<Change, LedgerFault> {
    let change = match tables::held(connection, name)? {
        None => Change::New,
        Some(before) if before.cap == cap => Change::Same,
        Some(before) => Change::From(before.cap),
    };
    tables::write_cap(connection, name, cap)?;
    Ok(change)
}

/// Takes `charge` from every cap in `scope`, or from none. `admission` names the reservation from now on.
///
/// A refusal says the largest ε that still fits. Where permit or analyst refuse, that is what *they* leave: figures the
/// analyst sees anyway. Where a wider cap refuses, it is the least that any cap leaves, since a larger figure would be an
/// advice that fails again; this shows how much of the population's or data set's cap is left, which counts public
/// charges and nothing about a person.
///
/// # Errors
/// [`LedgerFault::NotDeclared`] for a cap that nobody set; [`LedgerFault`] where the books fail.
pub fn reserve(
    connection: &Connection,
    admission: EntryNumber,
    charge: &Charge,
    scope: Scope,
) -> Result<Asked, LedgerFault> {
    let mut after = Vec::new();
    let mut refused = Vec::new();
    let takes_from = scope.caps(charge);
    // What costs the persons nothing more is refused where a fresh answer would be: else it would tell that somebody has
    // asked before.
    for name in charge.caps() {
        let before = held(connection, &name)?;
        // A sum beyond the ledger's integers is beyond every cap.
        match before.committed.plus(&charge.loss) {
            Ok(total) if before.cap.admits(&total) => {
                if takes_from.contains(&name) {
                    after.push((name.clone(), total));
                }
            }
            _ => refused.push(name.clone()),
        }
    }
    if !refused.is_empty() {
        return Ok(Asked::Refused { left: left(connection, charge, Scope::Fresh, &refused)? });
    }
    for (name, total) in &after {
        tables::write_committed(connection, name, total)?;
    }
    tables::write_reservation(connection, admission, charge, scope)?;
    Ok(Asked::Taken)
}

/// Ends a reservation: what it took is spent from now on.
///
/// # Errors
/// [`LedgerFault::NotOpen`] where it was settled before; [`LedgerFault`] where the books fail.
pub fn settle(connection: &Connection, admission: EntryNumber, ending: Ending) -> Result<(), LedgerFault> {
    let (charge, scope) = tables::close_reservation(connection, admission, ending)?;
    for name in scope.caps(&charge) {
        let before = held(connection, &name)?;
        tables::write_spent(connection, &name, &before.spent.plus(&charge.loss)?)?;
    }
    Ok(())
}

/// Whether `charge` stays within `share` of the caps of population and data set since the newest published checkpoint.
///
/// # Errors
/// [`LedgerFault`] where the books fail.
pub fn within_interval(connection: &Connection, charge: &Charge, share: f64) -> Result<bool, LedgerFault> {
    let [population, dataset, ..] = charge.caps();
    for name in [population, dataset] {
        let before = held(connection, &name)?;
        let most = tables::marked(connection, &name)?.plus(&before.cap.share(share)?)?;
        if !before.committed.plus(&charge.loss)?.at_most(&most) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The most that any account can have been charged within one interval: every fresh charge is one of a population's, too.
///
/// # Errors
/// [`LedgerFault`] where the books fail.
pub fn allowance(connection: &Connection, share: f64) -> Result<Loss, LedgerFault> {
    let mut most = Loss::zero();
    for cap in tables::population_caps(connection)? {
        most = most.worse_of(&cap.share(share)?);
    }
    Ok(most)
}

fn left(connection: &Connection, charge: &Charge, scope: Scope, refused: &[CapName]) -> Result<f64, LedgerFault> {
    let narrow = |name: &CapName| matches!(name, CapName::Permit(_) | CapName::Analyst(..));
    let all = !refused.iter().all(narrow);
    let mut least = f64::INFINITY;
    for name in scope.caps(charge).iter().filter(|name| all || narrow(name)) {
        let held = held(connection, name)?;
        least = held.cap.remaining(&held.committed).min(least);
    }
    Ok(least)
}

fn held(connection: &Connection, name: &CapName) -> Result<tables::Held, LedgerFault> {
    tables::held(connection, name)?.ok_or_else(|| LedgerFault::NotDeclared { cap: name.clone() })
}

#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;
