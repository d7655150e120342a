//! Are these books older than what the world has seen of them?
//!
//! A restored copy has forgotten charges, and nothing inside it can tell. What can is a checkpoint kept elsewhere: the file
//! outside the books, or the newest that a witness cosigned. Where one is ahead of the books, or has another tree, nothing
//! is answered until an operator and an auditor, two persons, have acknowledged it; then every account is raised to the
//! totals of that checkpoint plus the most that one checkpoint interval can charge, in one recorded transaction.
//!
//! INVARIANT: no account is ever further above its newest published total than its share of one interval
//! ([`Books::charging_per_interval`]). Where no share is set, one interval can use up a cap, and raising does just that.

use std::sync::atomic::Ordering;

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Books, BooksFault, Publication, Writing};
use crate::{
    audit::{self, Checkpoint, LEDGER_LINE, to_hex},
    ledger::{self, Effect, Raised},
    store::StoreFault,
    terms::{AccountName, EntryNumber, Loss, Role},
};

/// How the books stand to a checkpoint known elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It is the beginning of their log, or all of it.
    Current,
    /// It covers more entries than they have: they were restored from an older copy.
    Behind {
        /// How many entries the checkpoint covers.
        known: u64,
        /// How many the books hold.
        here: u64,
    },
    /// It covers other entries than theirs: they went on after having been restored, or were rewritten.
    Forked {
        /// How many entries the checkpoint covers.
        known: u64,
    },
}

/// What is still missing before the books answer again.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Suspension {
    /// How many entries were seen elsewhere.
    pub known: u64,
    /// How many are here.
    pub here: u64,
    /// The operator who has acknowledged.
    pub operator: Option<String>,
    /// The auditor who has.
    pub auditor: Option<String>,
}

pub(super) const SCHEMA: &str = "
CREATE TABLE restorations (
    note_sha256 TEXT PRIMARY KEY,
    note TEXT NOT NULL,
    known INTEGER NOT NULL,
    operator TEXT,
    auditor TEXT,
    entry INTEGER REFERENCES entries (number)
) STRICT, WITHOUT ROWID;
";

impl Books {
    /// The same books with at most this share of a population's and a data set's cap charged between two published
    /// checkpoints (0 to 1). A public setting; without it there is no such limit.
    #[must_use]
    pub fn charging_per_interval(self, share: Option<f64>) -> Self {
        Self { interval_share: share.map(|share| share.clamp(0.0, 1.0)), ..self }
    }

    /// Holds the books against a checkpoint with totals that is known elsewhere. Where they are not its continuation they
    /// are suspended, durably, until [`Books::acknowledge`].
    ///
    /// # Errors
    /// [`BooksFault::Name`] where the note is not this log's; [`BooksFault`].
    pub fn hold_against(&self, note: &str) -> Result<Held, BooksFault> {
        let log_alone = audit::without_cosignatures(note).ok_or(BooksFault::Name(audit::VerifierFault::NotANote))?;
        let known = Checkpoint::open(&log_alone, &self.signer.verifier())?;
        let held = self.store.read(|c| {
            let here = audit::head(c)?.size;
            match known.size > here {
                true => Ok::<_, BooksFault>(Held::Behind { known: known.size, here }),
                false if audit::root_of(c, known.size)? == known.root => Ok(Held::Current),
                false => Ok(Held::Forked { known: known.size }),
            }
        })?;
        if held == Held::Current {
            return Ok(held);
        }
        let key = to_hex(&Sha256::digest(&log_alone));
        let open = self.write(move |w| {
            let known = crate::store::to_column(known.size)?;
            let add = "INSERT OR IGNORE INTO restorations (note_sha256, note, known) VALUES (?1, ?2, ?3)";
            w.connection.execute(add, params![key, log_alone, known])?;
            let settled = "SELECT entry IS NOT NULL FROM restorations WHERE note_sha256 = ?1";
            Ok::<bool, BooksFault>(!w.connection.query_row(settled, [&key], |row| row.get::<_, bool>(0))?)
        })?;
        // An acknowledged one is over: the log went on from there, on record.
        if open {
            self.suspended.store(true, Ordering::SeqCst);
        }
        Ok(if open { held } else { Held::Current })
    }

    /// Whether the books answer nothing because they are older than what was seen of them.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::SeqCst)
    }

    /// What keeps the books suspended; none where they are not.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn suspension(&self) -> Result<Option<Suspension>, BooksFault> {
        self.store.read(|c| {
            let here = audit::head(c)?.size;
            Ok(open_one(c)?.map(|open| Suspension {
                known: open.known,
                here,
                operator: open.operator,
                auditor: open.auditor,
            }))
        })
    }

    /// One of the two acknowledgements, as operator or as auditor. With the second every account is raised, and the books
    /// answer again. Returns the entry of the raising.
    ///
    /// # Errors
    /// [`BooksFault::Unknown`] where nothing is suspended, [`BooksFault::Mismatch`] for another role, or for one person in
    /// both; [`BooksFault`].
    pub fn acknowledge(&self, by: &AccountName, role: Role) -> Result<Option<EntryNumber>, BooksFault> {
        let (by, share) = (by.clone(), self.interval_share);
        let entry = self.write(move |w| {
            let mut open =
                open_one(w.connection)?.ok_or_else(|| BooksFault::Unknown("restored copy to acknowledge".into()))?;
            let (own, other, column) = match role {
                Role::Operator => (&mut open.operator, &open.auditor, "operator"),
                Role::Auditor => (&mut open.auditor, &open.operator, "auditor"),
                _ => return Err(BooksFault::Mismatch("an operator and an auditor acknowledge")),
            };
            if other.as_deref() == Some(by.as_str()) {
                return Err(BooksFault::Mismatch("two persons acknowledge"));
            }
            *own = Some(by.to_string());
            let sql = format!("UPDATE restorations SET {column} = ?2 WHERE note_sha256 = ?1");
            w.connection.execute(&sql, [open.key.as_str(), by.as_str()])?;
            let detail = json!({"known": open.known, "as": column});
            w.append("restore_acknowledged", Some(by), None, detail, None)?;
            match (&open.operator, &open.auditor) {
                (Some(_), Some(_)) => raise_all(w, &open, share).map(Some),
                _ => Ok(None),
            }
        })?;
        self.store.read(|c| {
            self.suspended.store(open_one(c)?.is_some(), Ordering::SeqCst);
            Ok::<_, BooksFault>(())
        })?;
        Ok(entry)
    }

    /// Says that a checkpoint is known outside of the books: an interval begins.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn mark(&self, made: &Publication) -> Result<(), BooksFault> {
        if self.interval_share.is_none() {
            return Ok(());
        }
        let log_alone = audit::without_cosignatures(&made.totals).ok_or(BooksFault::Damaged)?;
        let totals = totals_of(&Checkpoint::open(&log_alone, &self.signer.verifier())?)?;
        self.write(move |w| {
            for (cap, total) in &totals {
                ledger::mark(w.connection, cap, total)?;
            }
            Ok(())
        })
    }

    /// Reads at start whether the books were left suspended.
    pub(super) fn remember_suspension(&self) -> Result<(), BooksFault> {
        let open = self.store.read(|c| Ok::<_, BooksFault>(open_one(c)?.is_some()))?;
        self.suspended.store(open, Ordering::SeqCst);
        Ok(())
    }
}

struct Open {
    key: String,
    note: String,
    known: u64,
    operator: Option<String>,
    auditor: Option<String>,
}

/// The restoration that waits for acknowledgement and knows most.
fn open_one(connection: &Connection) -> Result<Option<Open>, BooksFault> {
    let sql = "SELECT note_sha256, note, known, operator, auditor FROM restorations WHERE entry IS NULL
               ORDER BY known DESC, note_sha256 LIMIT 1";
    let row = connection
        .query_row(sql, [], |r| {
            let (key, note, operator, auditor) = (r.get(0)?, r.get(1)?, r.get(3)?, r.get(4)?);
            Ok((Open { key, note, known: 0, operator, auditor }, r.get::<_, i64>(2)?))
        })
        .optional()?;
    row.map(|(open, known)| Ok(Open { known: crate::store::from_column(known)?, ..open })).transpose()
}

fn raise_all(w: &Writing<'_>, open: &Open, share: Option<f64>) -> Result<EntryNumber, BooksFault> {
    let known = totals_of(&Checkpoint::open(&open.note, &w.signer.verifier())?)?;
    let mut raised = Vec::new();
    for line in ledger::totals(w.connection)?.caps {
        let theirs = known.iter().find(|(cap, _)| *cap == line.cap).map(|(_, loss)| loss);
        let newest = theirs.map_or_else(|| line.committed.clone(), |loss| loss.worse_of(&line.committed));
        let interval = match share {
            Some(share) => ledger::allowance(w.connection, share)?,
            None => Loss::everything(),
        };
        let to = newest.plus(&interval).unwrap_or_else(|_| Loss::everything());
        ledger::raise(w.connection, &line.cap, &to)?;
        raised.push(Raised { cap: line.cap, to });
    }
    let detail = json!({"known": open.known, "checkpoint": open.note, "operator": open.operator,
        "auditor": open.auditor});
    let entry = w.append("restored", None, None, detail, Some(Effect::Raises(raised)))?;
    // Every other checkpoint that was found before is answered by this one: it knew most.
    let settle = "UPDATE restorations SET entry = ?1 WHERE entry IS NULL";
    w.connection.execute(settle, [crate::store::to_column(entry.0)?])?;
    Ok(entry)
}

/// What a checkpoint says of each account.
pub(super) fn totals_of(checkpoint: &Checkpoint) -> Result<Vec<(String, Loss)>, BooksFault> {
    let lines = checkpoint.extension.iter().filter_map(|line| line.strip_prefix(LEDGER_LINE)?.strip_prefix(' '));
    let read = |line: &str| {
        let (cap, loss) = line.split_once(' ')?;
        Some((cap.to_owned(), serde_json::from_str(loss).ok()?))
    };
    lines.map(|line| read(line).ok_or(StoreFault::Broken { what: "checkpoint" }.into())).collect()
}
