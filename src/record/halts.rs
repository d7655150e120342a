//! What is stopped, by whom, and which two people lift it?
//!
//! A halt is ordered by one account, or made by the books themselves where too many charged questions failed. It holds
//! from the transaction that writes it: the one that reserves a charge looks here. Lifting takes two people, of whom one
//! is an auditor where failures were the cause.

use std::fmt;

use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Books, BooksFault, Failures, Writing, data, question};
use crate::{
    accounts, permits,
    store::{StoreFault, from_column, to_column},
    terms::{AccountName, Charge, DatasetName, EntryNumber, Instant, PermitId, Role, SourceName},
};

/// What a halt stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HaltTarget {
    /// Every question of everybody.
    Everything,
    /// Whatever one account asks or administers.
    Principal(AccountName),
    /// Every question under one permit.
    Permit(PermitId),
    /// Every question about one data set.
    Dataset(DatasetName),
    /// Every question about a data set whose version in force one holder delivered.
    Source(SourceName),
}

impl fmt::Display for HaltTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Principal(name) => write!(f, "principal {name}"),
            Self::Permit(id) => write!(f, "permit {id}"),
            Self::Dataset(name) => write!(f, "data set {name}"),
            Self::Source(name) => write!(f, "source {name}"),
        }
    }
}

/// Why there is a halt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HaltCause {
    /// Somebody ordered it.
    Ordered,
    /// Too many charged questions ended without an answer.
    Failures,
}

/// A halt, in force or lifted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Halt {
    /// 1 for the first of the enclave.
    pub number: u64,
    /// What it stops.
    pub target: HaltTarget,
    /// Why there is one.
    pub cause: HaltCause,
    /// In words.
    pub reason: String,
    /// Who ordered it; none where the books did.
    pub by: Option<AccountName>,
    /// Since when.
    pub since: Instant,
    /// Who asked first that it be lifted.
    pub asked_by: Option<AccountName>,
    /// Who agreed, so that it was lifted.
    pub lifted_by: Option<AccountName>,
    /// When it was lifted; none while it is in force.
    pub lifted_at: Option<Instant>,
}

/// What came of asking that a halt be lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifting {
    /// The first of two has asked; it is still in force.
    Asked(EntryNumber),
    /// The second has agreed; it is lifted.
    Lifted(EntryNumber),
}

/// How many charged questions may end without an answer before the books halt (privacy.md section 8).
#[derive(Debug, Clone, Copy)]
pub struct FailuresMax {
    /// Under one permit.
    pub permit: u64,
    /// From one data set.
    pub dataset: u64,
}

pub(super) const SCHEMA: &str = "
CREATE TABLE halts (
    number INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    cause TEXT NOT NULL CHECK (cause IN ('ordered', 'failures')),
    reason TEXT NOT NULL,
    by TEXT,
    since INTEGER NOT NULL,
    entry INTEGER NOT NULL REFERENCES entries (number),
    asked_by TEXT,
    lifted_by TEXT,
    lifted_at INTEGER,
    failures_seen INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX halts_in_force ON halts (target, cause) WHERE lifted_at IS NULL;
CREATE TRIGGER halts_stay BEFORE DELETE ON halts BEGIN SELECT raise(ABORT, 'a halt is never removed'); END;
CREATE TRIGGER halts_lifted_once BEFORE UPDATE ON halts WHEN OLD.lifted_at IS NOT NULL
    BEGIN SELECT raise(ABORT, 'a halt is lifted once'); END;
CREATE TABLE ended_by_halt (admission INTEGER PRIMARY KEY REFERENCES entries (number)) STRICT;
";

impl Books {
    /// Stops `target` from the next reservation on.
    ///
    /// # Errors
    /// [`BooksFault::Unknown`] where nothing has this name, [`BooksFault::AlreadyThere`] where it is halted; [`BooksFault`].
    pub fn halt(&self, by: &AccountName, target: HaltTarget, reason: &str) -> Result<EntryNumber, BooksFault> {
        let (by, reason) = (by.clone(), reason.to_owned());
        self.write(move |w| {
            known(w.connection, &target)?;
            if !in_force(w.connection, &target)?.is_empty() {
                return Err(BooksFault::AlreadyThere(format!("a halt of {target}")));
            }
            write(w, &target, HaltCause::Ordered, &reason, Some(by))
        })
    }

    /// Halts a permit or its data set where as many charged questions have ended without an answer as may, those not
    /// counted that two people have looked at. True where either is halted for this.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn halt_for_failures(
        &self,
        permit: &PermitId,
        dataset: &DatasetName,
        most: FailuresMax,
    ) -> Result<bool, BooksFault> {
        let targets = [HaltTarget::Permit(permit.clone()), HaltTarget::Dataset(dataset.clone())];
        let reached = move |c: &Connection, failures: Failures| -> Result<Vec<HaltTarget>, BooksFault> {
            let counts = [(failures.permit, most.permit), (failures.dataset, most.dataset)];
            let mut reached = vec![];
            for (target, (count, most)) in targets.iter().zip(counts) {
                if count.saturating_sub(seen(c, target)?) >= most {
                    reached.push(target.clone());
                }
            }
            Ok(reached)
        };
        let failures = self.failures(permit, dataset)?;
        // Nearly always nothing is reached: that is found out without the one who writes.
        if self.store.read(|c| reached(c, failures))?.is_empty() {
            return Ok(false);
        }
        let (permit, dataset) = (permit.clone(), dataset.clone());
        self.write(move |w| {
            let failures = question::failures(w.connection, &permit, &dataset)?;
            let reached = reached(w.connection, failures)?;
            for target in &reached {
                let standing = in_force(w.connection, target)?;
                if !standing.iter().any(|halt| halt.cause == HaltCause::Failures) {
                    write(w, target, HaltCause::Failures, "too many charged questions ended without an answer", None)?;
                }
            }
            Ok(!reached.is_empty())
        })
    }

    /// The first of two people asks, the second agrees: then everything that stops `target` is lifted.
    ///
    /// # Errors
    /// [`BooksFault::Unknown`] where it is not halted; [`BooksFault::Mismatch`] where this account may not be one of the
    /// two; [`BooksFault`].
    pub fn lift(&self, by: &AccountName, target: HaltTarget) -> Result<Lifting, BooksFault> {
        let by = by.clone();
        self.write(move |w| {
            let halts = in_force(w.connection, &target)?;
            if halts.is_empty() {
                return Err(BooksFault::Unknown(format!("halt of {target} in force")));
            }
            if target == HaltTarget::Principal(by.clone()) {
                return Err(BooksFault::Mismatch("nobody lifts a halt on themselves"));
            }
            // Whoever has lost the right to sign in since does not count as one of the two.
            let first = halts.iter().find_map(|halt| halt.asked_by.clone());
            let first = match first {
                Some(first) => accounts::find(w.connection, &first)?.filter(|account| !account.disabled),
                None => None,
            };
            let Some(first) = first else { return ask(w, &target, by) };
            if first.name == by {
                return Err(BooksFault::Mismatch("you have asked for this; a second person has to agree"));
            }
            let second =
                accounts::find(w.connection, &by)?.ok_or_else(|| BooksFault::Unknown(format!("account {by}")))?;
            let looked_at = [&first, &second].into_iter().any(|account| account.roles.contains(&Role::Auditor));
            if halts.iter().any(|halt| halt.cause == HaltCause::Failures) && !looked_at {
                return Err(BooksFault::Mismatch("after failed questions one of the two has to be an auditor"));
            }
            agree(w, &target, &halts, &first.name, by)
        })
    }

    /// All halts, oldest first.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn halts(&self) -> Result<Vec<Halt>, BooksFault> {
        self.store.read(|c| {
            let mut statement = c.prepare_cached("SELECT * FROM halts ORDER BY number")?;
            let rows = statement.query_map([], columns)?;
            rows.map(|row| halt(row?)).collect()
        })
    }

    /// What stops this account, and where it asks under a permit, what stops that; none where nothing does.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn halted(
        &self,
        account: &AccountName,
        under: Option<(&PermitId, &DatasetName)>,
    ) -> Result<Option<HaltTarget>, BooksFault> {
        self.store.read(|c| stopping(c, account, under))
    }

    /// Whether this account itself is halted.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn halted_itself(&self, account: &AccountName) -> Result<bool, BooksFault> {
        self.store.read(|c| Ok(!in_force(c, &HaltTarget::Principal(account.clone()))?.is_empty()))
    }

    /// Records that a halt ended a question. The charge stands; it counts as no failure, since no row had a part in it.
    ///
    /// # Errors
    /// [`BooksFault`]; the charge stands then, too.
    pub fn end_by_halt(&self, reservation: super::Reservation) -> Result<EntryNumber, BooksFault> {
        self.write(move |w| {
            let admission = to_column(reservation.admission().0)?;
            w.connection.execute("INSERT INTO ended_by_halt VALUES (?1)", [admission])?;
            question::end_by_halt(w, &reservation)
        })
    }
}

/// Whether a halt stops this charge: part of the transaction that takes it.
pub(super) fn stops(connection: &Connection, charge: &Charge) -> Result<bool, BooksFault> {
    Ok(stopping(connection, &charge.account, Some((&charge.permit, &charge.dataset)))?.is_some())
}

fn stopping(
    connection: &Connection,
    account: &AccountName,
    under: Option<(&PermitId, &DatasetName)>,
) -> Result<Option<HaltTarget>, BooksFault> {
    let mut targets = vec![HaltTarget::Everything, HaltTarget::Principal(account.clone())];
    if let Some((permit, dataset)) = under {
        targets.push(HaltTarget::Permit(permit.clone()));
        targets.push(HaltTarget::Dataset(dataset.clone()));
        targets.extend(data::sources_of(connection, dataset)?.into_iter().map(HaltTarget::Source));
    }
    for target in targets {
        if !in_force(connection, &target)?.is_empty() {
            return Ok(Some(target));
        }
    }
    Ok(None)
}

fn ask(w: &Writing<'_>, target: &HaltTarget, by: AccountName) -> Result<Lifting, BooksFault> {
    let asked = "UPDATE halts SET asked_by = ?2 WHERE target = ?1 AND lifted_at IS NULL";
    w.connection.execute(asked, params![text(target)?, by.as_str()])?;
    w.append("halt_lift_asked", Some(by), None, json!({ "target": target }), None).map(Lifting::Asked)
}

fn agree(
    w: &Writing<'_>,
    target: &HaltTarget,
    halts: &[Halt],
    first: &AccountName,
    by: AccountName,
) -> Result<Lifting, BooksFault> {
    for halt in halts {
        // What was looked at is not counted again.
        let failures = match halt.cause {
            HaltCause::Failures => failed(w.connection, target)?,
            HaltCause::Ordered => 0,
        };
        w.connection.execute(
            "UPDATE halts SET asked_by = ?2, lifted_by = ?3, lifted_at = ?4, failures_seen = ?5 WHERE number = ?1",
            params![to_column(halt.number)?, first.as_str(), by.as_str(), w.clock.now().0, to_column(failures)?],
        )?;
    }
    let detail = json!({"target": target, "asked_by": first});
    w.append("halt_lifted", Some(by), None, detail, None).map(Lifting::Lifted)
}

fn write(
    w: &Writing<'_>,
    target: &HaltTarget,
    cause: HaltCause,
    reason: &str,
    by: Option<AccountName>,
) -> Result<EntryNumber, BooksFault> {
    let detail = json!({"target": target, "cause": cause, "reason": reason});
    let entry = w.append("halted", by.clone(), None, detail, None)?;
    w.connection.execute(
        "INSERT INTO halts (target, cause, reason, by, since, entry) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            text(target)?,
            word(cause),
            reason,
            by.as_ref().map(AccountName::as_str),
            w.clock.now().0,
            to_column(entry.0)?
        ],
    )?;
    Ok(entry)
}

/// A halt of a name that nobody has would stop nothing, and somebody would rely on it.
fn known(connection: &Connection, target: &HaltTarget) -> Result<(), BooksFault> {
    let found = match target {
        HaltTarget::Everything => true,
        HaltTarget::Principal(name) => accounts::find(connection, name)?.is_some(),
        HaltTarget::Permit(id) => permits::find(connection, id)?.is_some(),
        HaltTarget::Dataset(name) => data::population_of(connection, name)?.is_some(),
        HaltTarget::Source(name) => {
            let delivered = "SELECT 1 FROM data_versions WHERE source = ?1";
            connection.prepare_cached(delivered)?.exists([name.as_str()])?
        }
    };
    found.then_some(()).ok_or_else(|| BooksFault::Unknown(target.to_string()))
}

/// The failures of a target that people have looked at.
fn seen(connection: &Connection, target: &HaltTarget) -> Result<u64, BooksFault> {
    let most = "SELECT coalesce(max(failures_seen), 0) FROM halts WHERE target = ?1 AND lifted_at IS NOT NULL";
    let seen: i64 = connection.prepare_cached(most)?.query_row([text(target)?], |row| row.get(0))?;
    Ok(from_column(seen)?)
}

fn failed(connection: &Connection, target: &HaltTarget) -> Result<u64, BooksFault> {
    match target {
        HaltTarget::Permit(id) => question::failures_in(connection, "permit", id.as_str()),
        HaltTarget::Dataset(name) => question::failures_in(connection, "dataset", name.as_str()),
        HaltTarget::Everything | HaltTarget::Principal(_) | HaltTarget::Source(_) => Ok(0),
    }
}

fn in_force(connection: &Connection, target: &HaltTarget) -> Result<Vec<Halt>, BooksFault> {
    let mut statement = connection.prepare_cached("SELECT * FROM halts WHERE target = ?1 AND lifted_at IS NULL")?;
    let rows = statement.query_map([text(target)?], columns)?;
    rows.map(|row| halt(row?)).collect()
}

type Columns = (i64, String, String, String, Option<String>, i64, Option<String>, Option<String>, Option<i64>);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((
        row.get("number")?,
        row.get("target")?,
        row.get("cause")?,
        row.get("reason")?,
        row.get("by")?,
        row.get("since")?,
        row.get("asked_by")?,
        row.get("lifted_by")?,
        row.get("lifted_at")?,
    ))
}

fn halt(
    (number, target, cause, reason, by, since, asked_by, lifted_by, lifted_at): Columns,
) -> Result<Halt, BooksFault> {
    let broken = |_| StoreFault::Broken { what: "halt" };
    let name = |given: Option<String>| {
        given.map(AccountName::new).transpose().map_err(|_| StoreFault::Broken { what: "halt" })
    };
    Ok(Halt {
        number: from_column(number)?,
        target: serde_json::from_str(&target).map_err(broken)?,
        cause: serde_json::from_value(Value::String(cause)).map_err(broken)?,
        reason,
        by: name(by)?,
        since: Instant(since),
        asked_by: name(asked_by)?,
        lifted_by: name(lifted_by)?,
        lifted_at: lifted_at.map(Instant),
    })
}

fn text(target: &HaltTarget) -> Result<String, BooksFault> {
    serde_json::to_string(target).map_err(|_| BooksFault::Wording)
}

fn word(cause: HaltCause) -> &'static str {
    match cause {
        HaltCause::Ordered => "ordered",
        HaltCause::Failures => "failures",
    }
}
