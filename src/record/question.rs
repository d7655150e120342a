//! What is durable before a question reads data, and what before its answer leaves?

use std::fmt;

use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Books, BooksFault, Writing, data, halts, kept, kept_failures, publish};
use crate::{
    accounts,
    audit::{self, Receipt, to_hex},
    ledger::{self, Asked, Effect, Ending, Scope},
    permits,
    store::StoreFault,
    terms::{Charge, DataVersion, DatasetName, EntryNumber, PermitId, PurposeCode},
};

/// The proof that every cap has borne a question, durably, and that its admission is on record. Only [`Books::reserve`]
/// makes one; [`Books::release`] and [`Books::fail`] consume it. Dropping it gives nothing back: the charge stands as
/// reserved, and the next start settles it as spent.
///
/// It cannot be spent twice:
/// ```compile_fail,E0382
/// fn twice(books: &sekisho::record::Books, reservation: sekisho::record::Reservation) {
///     let _ = books.fail(reservation);
///     let _ = books.fail(reservation);
/// }
/// ```
/// nor copied:
/// ```compile_fail,E0277
/// fn copies<T: Clone>() {}
/// copies::<sekisho::record::Reservation>();
/// ```
/// nor made by anybody else:
/// ```compile_fail,E0451
/// use sekisho::{ledger::Scope, record::{Admission, Reservation}, terms::{Charge, EntryNumber}};
/// fn forge(admission: EntryNumber, charge: Charge, question: Admission, scope: Scope) -> Reservation {
///     Reservation { admission, charge, question, scope }
/// }
/// ```
#[must_use = "a reservation that is neither released nor failed stays charged and without an end"]
#[derive(Debug)]
pub struct Reservation {
    admission: EntryNumber,
    charge: Charge,
    question: Admission,
    scope: Scope,
}

/// The proof that all caps have borne what a question may reveal: what reads data asks for it. Whatever of it is done on
/// another thread needs no reservation there, which settles the charge and stays where it was made. Nobody else makes one:
/// ```compile_fail,E0451
/// fn forge(nothing: ()) -> sekisho::record::Paid {
///     sekisho::record::Paid { nothing }
/// }
/// ```
#[must_use]
#[derive(Debug)]
pub struct Paid {
    #[expect(dead_code, reason = "it is there so that nobody outside can make one")]
    nothing: (),
}

impl Reservation {
    /// The entry of its admission.
    #[must_use]
    pub fn admission(&self) -> EntryNumber {
        self.admission
    }

    /// What was taken.
    #[must_use]
    pub fn charge(&self) -> &Charge {
        &self.charge
    }

    /// The proof that data may be read; none where population and data set paid nothing, since what is wanted was
    /// answered before.
    pub fn paid(&self) -> Option<Paid> {
        (self.scope == Scope::Fresh).then_some(Paid { nothing: () })
    }

    pub(super) fn is_again(&self) -> bool {
        self.scope == Scope::Again
    }
}

/// What was admitted: all that is needed to reach the same verdict again.
#[derive(Clone, PartialEq)]
pub struct Admission {
    /// The question as it was sent.
    pub sql: String,
    /// The hash of its canonical plan (SHA-256).
    pub canonical_hash: [u8; 32],
    /// The data version that it reads.
    pub data_version: DataVersion,
    /// The hash of policy, permit and catalogue as they stood, in hexadecimal.
    pub policy_hash: String,
    /// What for.
    pub purpose: PurposeCode,
    /// Every setting in force, bounds included.
    pub settings: Value,
}

/// An answer that is to leave.
#[derive(Clone)]
pub struct Released {
    /// The key of the kept answer (privacy.md section 5).
    pub key: [u8; 32],
    /// The answer, as an Arrow IPC stream.
    pub answer_ipc: Vec<u8>,
    /// SHA-256 of `answer_ipc`; the entry states it.
    pub answer_sha256: [u8; 32],
    /// The 95 % half-width of each noisy column, in the order of the answer's columns.
    pub half_widths: Vec<f64>,
    /// The ε that was spent on it: asked again for as much under the same permit, it serves.
    pub epsilon: f64,
    /// Which mechanisms drew, with their bounds and scales: public facts only.
    pub mechanisms: Value,
}

// The operator, who reads logs, reads neither questions nor answers.
impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Admission");
        shown.field("canonical_hash", &to_hex(&self.canonical_hash)).field("data_version", &self.data_version);
        shown.field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

impl fmt::Debug for Released {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Released").field("mechanisms", &self.mechanisms).finish_non_exhaustive()
    }
}

/// Why a question was not admitted.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// A cap would be passed. Nothing was taken.
    #[error("the budget does not allow this; epsilon {left} still fits")]
    Budget {
        /// The largest ε that still fits; see [`ledger::reserve`] for which caps it speaks of.
        left: f64,
    },
    /// The permit is unknown, not in force now, or not this account's; or the account may no longer sign in.
    #[error("the permit is not active for this account")]
    PermitNotActive,
    /// The books are older than what was seen of them: nothing is answered until that is acknowledged.
    #[error("the books are suspended")]
    Suspended,
    /// So much may not be charged between two published checkpoints.
    #[error("too much would be charged before the next checkpoint")]
    Interval,
    /// A halt stops it. Nothing was taken.
    #[error("stopped by a halt")]
    Halted,
    /// The books failed.
    #[error("{0}")]
    Fault(#[from] BooksFault),
}

impl From<StoreFault> for Denied {
    fn from(fault: StoreFault) -> Self {
        Self::Fault(fault.into())
    }
}

/// How many charged questions ended without an answer. Each may have shown one bit (privacy.md section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// Under the permit.
    pub permit: u64,
    /// From the data set, under whatever permit.
    pub dataset: u64,
}

impl Books {
    /// Takes `charge` from all of its caps or from none, and records the admission. Durable when this returns: only now
    /// may data be read.
    ///
    /// # Errors
    /// [`Denied`]; then nothing was taken and nothing recorded.
    pub fn reserve(&self, charge: Charge, question: Admission) -> Result<Reservation, Denied> {
        self.reserve_in(charge, question, Scope::Fresh)
    }

    pub(super) fn reserve_in(&self, charge: Charge, question: Admission, scope: Scope) -> Result<Reservation, Denied> {
        self.write(move |w| {
            belongs_together(w, &charge, &question)?;
            if let Some(share) = w.interval_share
                && !ledger::within_interval(w.connection, &charge, share).map_err(BooksFault::from)?
            {
                return Err(Denied::Interval);
            }
            let takes = Effect::Takes {
                loss: charge.loss.clone(),
                from: scope.caps(&charge).iter().map(ledger::cap_text).collect(),
            };
            let detail = json!({"question": question_json(&question), "population": charge.population,
                "dataset": charge.dataset, "draws": charge.draws});
            let (account, permit) = (charge.account.clone(), charge.permit.clone());
            // The reservation has the number of the entry that is written right after it, in the same transaction.
            let admission = audit::next(w.connection).map_err(BooksFault::from)?;
            match ledger::reserve(w.connection, admission, &charge, scope).map_err(BooksFault::from)? {
                Asked::Refused { left } => return Err(Denied::Budget { left }),
                Asked::Taken => {}
            }
            let recorded = w.append("admission", Some(account), Some(permit), detail, Some(takes))?;
            match recorded == admission {
                true => Ok(Reservation { admission, charge, question, scope }),
                false => Err(BooksFault::Damaged.into()),
            }
        })
    }

    /// Settles the charge, records the release and keeps the answer, in one durable transaction. Only when this has
    /// returned may the answer leave. There is no releasing without a reservation; what it was for is not enough:
    /// ```compile_fail,E0308
    /// use sekisho::{audit::Receipt, record::{Books, BooksFault, Released}, terms::Charge};
    /// fn unpaid(books: &Books, charge: Charge, released: Released) -> Result<Receipt, BooksFault> {
    ///     books.release(charge, released)
    /// }
    /// ```
    /// and none with one that is spent:
    /// ```compile_fail,E0382
    /// use sekisho::record::{Books, Released, Reservation};
    /// fn twice(books: &Books, reservation: Reservation, one: Released, two: Released) {
    ///     let _first = books.release(reservation, one);
    ///     let _second = books.release(reservation, two);
    /// }
    /// ```
    ///
    /// # Errors
    /// [`BooksFault`]: the charge stands, nothing was released.
    pub fn release(&self, reservation: Reservation, released: Released) -> Result<Receipt, BooksFault> {
        if reservation.is_again() {
            return Err(BooksFault::Mismatch("population and data set have not paid for a new answer"));
        }
        if <[u8; 32]>::from(Sha256::digest(&released.answer_ipc)) != released.answer_sha256 {
            return Err(BooksFault::Mismatch("the hash is not that of the answer"));
        }
        self.write(move |w| {
            let said = Said {
                answer_sha256: &released.answer_sha256,
                half_widths: &released.half_widths,
                mechanisms: &released.mechanisms,
            };
            let receipt = record_release(w, &reservation, &said)?;
            let answer = kept::keep_answer(w.connection, &released, receipt.entry)?;
            kept::keep_for(w, answer, &released.key, &reservation.charge.permit, &receipt)?;
            Ok(receipt)
        })
    }

    /// Records that a question ended without an answer. The charge stands, and the failure is kept as the question's
    /// answer under its permit: see [`Books::kept_failure`].
    ///
    /// # Errors
    /// [`BooksFault`]; the charge stands then, too.
    pub fn fail(&self, reservation: Reservation) -> Result<EntryNumber, BooksFault> {
        self.write(move |w| {
            let entry = end(w, reservation.admission, &reservation.charge, Ending::Failed)?;
            let key = kept_failures::key_of(&reservation.question);
            kept_failures::keep(w.connection, entry, &key, &reservation.charge.permit)?;
            Ok(entry)
        })
    }

    /// How many charged questions ended without an answer, those included that a crash ended.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn failures(&self, permit: &PermitId, dataset: &DatasetName) -> Result<Failures, BooksFault> {
        self.store.read(|c| failures(c, permit, dataset))
    }
}

pub(super) fn failures(
    connection: &Connection,
    permit: &PermitId,
    dataset: &DatasetName,
) -> Result<Failures, BooksFault> {
    Ok(Failures {
        permit: failures_in(connection, "permit", permit.as_str())?,
        dataset: failures_in(connection, "dataset", dataset.as_str())?,
    })
}

/// Charged questions without an answer, those left out that a halt ended: no row had a part in that.
pub(super) fn failures_in(connection: &Connection, column: &str, value: &str) -> Result<u64, BooksFault> {
    let ended = "ending IN ('failed', 'recovered') AND admission NOT IN (SELECT admission FROM ended_by_halt)";
    let sql = format!("SELECT count(*) FROM reservations WHERE {column} = ?1 AND {ended}");
    Ok(crate::store::from_column(connection.query_row(&sql, [value], |row| row.get(0))?)?)
}

/// What a release entry states of its answer.
pub(super) struct Said<'a> {
    pub(super) answer_sha256: &'a [u8; 32],
    pub(super) half_widths: &'a [f64],
    pub(super) mechanisms: &'a Value,
}

/// Settles and records a release. The entry says neither which caps were charged nor that an answer was kept before: its
/// receipt goes to the analyst, who is not told what rivals asked. The admission's entry says both.
pub(super) fn record_release(
    w: &Writing<'_>,
    reservation: &Reservation,
    said: &Said<'_>,
) -> Result<Receipt, BooksFault> {
    let Reservation { admission, charge, question, .. } = reservation;
    ledger::settle(w.connection, *admission, Ending::Released)?;
    let detail = json!({
        "question": question_json(question),
        "dataset": charge.dataset,
        "loss": charge.loss,
        "draws": charge.draws,
        "answer_sha256": to_hex(said.answer_sha256),
        "half_widths": said.half_widths,
        "mechanisms": said.mechanisms,
    });
    let settles = Effect::Settles(admission.0);
    let (account, permit) = (charge.account.clone(), charge.permit.clone());
    let entry = w.append("release", Some(account), Some(permit), detail, Some(settles))?;
    publish::promise(w.connection, w.signer, entry, w.every, w.clock.now())
}

/// Settles a reservation that has no answer.
pub(super) fn end(
    w: &Writing<'_>,
    admission: EntryNumber,
    charge: &Charge,
    ending: Ending,
) -> Result<EntryNumber, BooksFault> {
    ledger::settle(w.connection, admission, ending)?;
    let kind = if ending == Ending::Recovered { "recovered" } else { "failure" };
    let settles = Effect::Settles(admission.0);
    let (account, permit) = (charge.account.clone(), charge.permit.clone());
    w.append(kind, Some(account), Some(permit), json!({"dataset": charge.dataset}), Some(settles))
}

/// Settles a reservation whose question a halt has ended.
pub(super) fn end_by_halt(w: &Writing<'_>, reservation: &Reservation) -> Result<EntryNumber, BooksFault> {
    let Reservation { admission, charge, .. } = reservation;
    ledger::settle(w.connection, *admission, Ending::Failed)?;
    let settles = Effect::Settles(admission.0);
    let (account, permit) = (charge.account.clone(), charge.permit.clone());
    w.append("ended_by_halt", Some(account), Some(permit), json!({"dataset": charge.dataset}), Some(settles))
}

/// The clearance was given a moment ago and by others; what the books themselves know is checked again, in the same
/// transaction as the charge: a revoked permit ends here at the latest.
pub(super) fn belongs_together(w: &Writing<'_>, charge: &Charge, question: &Admission) -> Result<(), Denied> {
    if w.suspended {
        return Err(Denied::Suspended);
    }
    let permit = permits::find(w.connection, &charge.permit)?.ok_or(Denied::PermitNotActive)?;
    let account = accounts::find(w.connection, &charge.account)?.ok_or(Denied::PermitNotActive)?;
    let may_ask = permit.active(w.clock.now()) && permit.principals.contains(&charge.account) && !account.disabled;
    if !may_ask {
        return Err(Denied::PermitNotActive);
    }
    if halts::stops(w.connection, charge)? {
        return Err(Denied::Halted);
    }
    let population = data::population_of(w.connection, &charge.dataset)?;
    let rules = [
        (permit.dataset == charge.dataset, "the charge is for another data set than the permit's"),
        (permit.purpose == question.purpose, "the question is for another purpose than the permit's"),
        (population.as_deref() == Some(charge.population.as_str()), "the charge is for another population"),
    ];
    match rules.into_iter().find(|(holds, _)| !holds) {
        None => Ok(()),
        Some((_, rule)) => Err(BooksFault::Mismatch(rule).into()),
    }
}

pub(super) fn question_json(question: &Admission) -> Value {
    json!({
        "sql": question.sql,
        "canonical_hash": to_hex(&question.canonical_hash),
        "data_version": question.data_version,
        "policy_hash": question.policy_hash,
        "purpose": question.purpose,
        "settings": question.settings,
    })
}
