//! Was this asked before, and by whom was it bought?
//!
//! The same question gets the same bytes. Within the permit that bought it an answer is free. Another permit gets it only
//! where it would have bought the very same noise: it pays its own caps as for a fresh answer, sees what a fresh one would
//! show, and is not told; population and data set pay nothing again, since nothing new is learnt about anybody. Whatever
//! would be finer or coarser is a fresh release to it (privacy.md section 5).

use std::fmt;

use rusqlite::{Connection, params};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    Admission, Books, BooksFault, Denied, Released, Reservation,
    question::{self, Said},
};
use crate::{
    audit::Receipt,
    ledger::Scope,
    store::{StoreFault, from_column, to_column},
    terms::{Charge, EntryNumber, PermitId},
};

/// An answer that left before.
#[derive(Clone, PartialEq)]
pub struct Kept {
    /// The answer, as an Arrow IPC stream: the same bytes as then.
    pub answer: Vec<u8>,
    /// The 95 % half-width of each noisy column.
    pub half_widths: Vec<f64>,
    /// The permit that bought it: the asking one, if that has bought it; else any other.
    pub bought_by: PermitId,
    /// The receipt it left with; none where another permit bought it: that receipt is for others' eyes.
    pub receipt: Option<Receipt>,
    key: [u8; 32],
    mechanisms: serde_json::Value,
    answer_entry: EntryNumber,
    release: EntryNumber,
}

/// By whom a kept answer was bought, seen from an asking permit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bought<'a> {
    /// By itself, for this ε; unknown for those kept by the first builds.
    Here(Option<f64>),
    /// By another permit: all that counts are the mechanisms that drew it, in the words of [`Released::mechanisms`]. However
    /// accurate it is, one drawn from others would tell that it was asked for, or sell accuracy below its price.
    Elsewhere(&'a str),
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("release", &self.release).finish_non_exhaustive()
    }
}

pub(super) const SCHEMA: &str = "
CREATE TABLE answers (
    entry INTEGER PRIMARY KEY REFERENCES entries (number),
    half_widths BLOB NOT NULL,
    mechanisms TEXT NOT NULL,
    answer BLOB NOT NULL
) STRICT;
CREATE TABLE kept (
    release INTEGER PRIMARY KEY REFERENCES entries (number),
    key BLOB NOT NULL CHECK (length(key) = 32),
    permit TEXT NOT NULL REFERENCES permits (id),
    answer INTEGER NOT NULL REFERENCES answers (entry),
    visible_from INTEGER NOT NULL,
    receipt TEXT NOT NULL
) STRICT;
CREATE INDEX kept_by_key ON kept (key, permit);
";

/// A later step of the schema: what was spent on an answer. Unknown for those kept before.
pub(super) const EPSILON: &str = "ALTER TABLE answers ADD COLUMN epsilon REAL";

impl Books {
    /// The kept answer for `key` that `serves`, by its half-widths and by how it was [`Bought`]: within a permit also by the ε
    /// that was spent, since which noise that ε buys depends on what was spent by then, and asking again must not buy another.
    /// For an asker under `permit`: the newest that this permit bought, else the newest that any other bought. To hand it
    /// out, call [`Books::serve_kept`].
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn kept(
        &self,
        key: &[u8; 32],
        permit: &PermitId,
        serves: impl Fn(&[f64], Bought<'_>) -> bool,
    ) -> Result<Option<Kept>, BooksFault> {
        self.store.read(|c| {
            let mut statement = c.prepare_cached(
                "SELECT answers.entry, half_widths, mechanisms, answers.answer, permit, receipt, release, epsilon
                 FROM kept JOIN answers ON kept.answer = answers.entry
                 WHERE key = ?1 ORDER BY permit = ?2 DESC, release DESC",
            )?;
            let mut rows = statement.query(params![key, permit.as_str()])?;
            while let Some(row) = rows.next()? {
                let half_widths = floats(&row.get::<_, Vec<u8>>(1)?)?;
                let mechanisms = row.get::<_, String>(2)?;
                let bought = match row.get::<_, String>(4)? == permit.as_str() {
                    true => Bought::Here(row.get(7)?),
                    false => Bought::Elsewhere(&mechanisms),
                };
                if !serves(&half_widths, bought) {
                    continue;
                }
                let broken = |_| StoreFault::Broken { what: "kept answer" };
                let bought_by = PermitId::new(row.get::<_, String>(4)?);
                let bought_by = bought_by.map_err(|_| StoreFault::Broken { what: "kept answer" })?;
                let receipt = serde_json::from_str(&row.get::<_, String>(5)?).map_err(broken)?;
                return Ok(Some(Kept {
                    answer: row.get(3)?,
                    half_widths,
                    receipt: (bought_by == *permit).then_some(receipt),
                    bought_by,
                    key: *key,
                    mechanisms: serde_json::from_str(&mechanisms).map_err(broken)?,
                    answer_entry: EntryNumber(from_column(row.get(0)?)?),
                    release: EntryNumber(from_column(row.get(6)?)?),
                }));
            }
            Ok(None)
        })
    }

    /// Hands out a kept answer: records that, and where another permit bought it takes `charge` from permit and analyst
    /// in the same two steps as a fresh question. Returns the receipt to hand out with the answer. `charge` is the price
    /// of a fresh answer.
    ///
    /// # Errors
    /// [`Denied`]; then nothing may be handed out.
    pub fn serve_kept(&self, charge: Charge, question: Admission, kept: &Kept) -> Result<Receipt, Denied> {
        match &kept.receipt {
            Some(receipt) if kept.bought_by == charge.permit => {
                self.record_serving(charge, question, kept.release)?;
                Ok(receipt.clone())
            }
            _ => self.sell_again(charge, question, kept),
        }
    }

    fn record_serving(&self, charge: Charge, question: Admission, release: EntryNumber) -> Result<(), Denied> {
        self.write(move |w| {
            question::belongs_together(w, &charge, &question)?;
            let detail = json!({"question": question::question_json(&question), "release": release});
            w.append("kept_served", Some(charge.account), Some(charge.permit), detail, None)?;
            Ok(())
        })
    }

    fn sell_again(&self, charge: Charge, question: Admission, kept: &Kept) -> Result<Receipt, Denied> {
        let reservation = self.reserve_for_kept(charge, question, kept)?;
        Ok(self.release_kept(reservation, kept)?)
    }

    /// The first step of selling an answer to another permit than the one that bought it: takes `charge` from permit and
    /// analyst alone. What lies between it and [`Books::release_kept`] must take as long as for a fresh answer, or the
    /// time tells that somebody has asked before.
    ///
    /// # Errors
    /// [`Denied`]; then nothing was taken.
    pub fn reserve_for_kept(&self, charge: Charge, question: Admission, kept: &Kept) -> Result<Reservation, Denied> {
        if kept.bought_by == charge.permit {
            return Err(BooksFault::Mismatch("this permit has bought the answer").into());
        }
        self.reserve_in(charge, question, Scope::Again)
    }

    /// The second step: settled, recorded, and from now on kept for this permit as well.
    ///
    /// # Errors
    /// [`BooksFault`]: the charge stands, nothing may be handed out.
    pub fn release_kept(&self, reservation: Reservation, kept: &Kept) -> Result<Receipt, BooksFault> {
        if !reservation.is_again() {
            return Err(BooksFault::Mismatch("the charge is one for a new answer"));
        }
        let kept = kept.clone();
        self.write(move |w| {
            let answer_sha256 = Sha256::digest(&kept.answer).into();
            let Kept { half_widths, mechanisms, .. } = &kept;
            let said = Said { answer_sha256: &answer_sha256, half_widths, mechanisms };
            let receipt = question::record_release(w, &reservation, &said)?;
            keep_for(w, kept.answer_entry, &kept.key, &reservation.charge().permit, &receipt)?;
            Ok(receipt)
        })
    }
}

/// Keeps the bytes of an answer under the entry of its first release.
pub(super) fn keep_answer(
    connection: &Connection,
    released: &Released,
    entry: EntryNumber,
) -> Result<EntryNumber, BooksFault> {
    let half_widths: Vec<u8> = released.half_widths.iter().flat_map(|width| width.to_le_bytes()).collect();
    let mechanisms = released.mechanisms.to_string();
    connection.prepare_cached("INSERT INTO answers VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
        to_column(entry.0)?,
        half_widths,
        mechanisms,
        released.answer_ipc,
        released.epsilon
    ])?;
    Ok(entry)
}

/// Makes a kept answer one that `permit` has bought, visible from its release on. That is at its deadline and not before:
/// entries are written at instants that are public, since the place of an entry in the log is as good as its time.
pub(super) fn keep_for(
    w: &super::Writing<'_>,
    answer: EntryNumber,
    key: &[u8; 32],
    permit: &PermitId,
    receipt: &Receipt,
) -> Result<(), BooksFault> {
    let (release, answer) = (to_column(receipt.entry.0)?, to_column(answer.0)?);
    w.connection.prepare_cached("INSERT INTO kept VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
        release,
        key,
        permit.as_str(),
        answer,
        w.clock.now().0,
        receipt.to_json()
    ])?;
    Ok(())
}

// Bit for bit, which JSON would not promise.
fn floats(bytes: &[u8]) -> Result<Vec<f64>, StoreFault> {
    match bytes.as_chunks::<8>() {
        (chunks, []) => Ok(chunks.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect()),
        _ => Err(StoreFault::Broken { what: "kept answer" }),
    }
}
