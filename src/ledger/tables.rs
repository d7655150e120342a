//! How are caps and reservations stored?

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;

use super::{Balance, Ending, LedgerFault, Scope, cap_text, replay::Totals};
use crate::{
    store::{StoreFault, from_column, to_column},
    terms::{Cap, CapName, Charge, EntryNumber, Loss},
};

/// The tables of the ledger. A loss is stored as the JSON of its type and nothing else.
pub const SCHEMA: &str = "
CREATE TABLE caps (
    name TEXT PRIMARY KEY,
    epsilon REAL NOT NULL,
    delta REAL NOT NULL,
    committed TEXT NOT NULL,
    spent TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE reservations (
    admission INTEGER PRIMARY KEY,
    charge TEXT NOT NULL,
    scope TEXT NOT NULL CHECK (scope IN ('fresh', 'again')),
    permit TEXT NOT NULL,
    dataset TEXT NOT NULL,
    ending TEXT CHECK (ending IN ('released', 'failed', 'recovered'))
) STRICT;
CREATE INDEX open_reservations ON reservations (admission) WHERE ending IS NULL;
CREATE TRIGGER caps_stay BEFORE DELETE ON caps BEGIN SELECT raise(ABORT, 'a cap is never removed'); END;
CREATE TRIGGER reservations_stay BEFORE DELETE ON reservations
    BEGIN SELECT raise(ABORT, 'a reservation is never removed'); END;
CREATE TRIGGER settled_once BEFORE UPDATE ON reservations WHEN OLD.ending IS NOT NULL
    BEGIN SELECT raise(ABORT, 'a reservation is settled once'); END;
";

/// How many charges were ever taken.
///
/// # Errors
/// [`LedgerFault`] where the books fail.
pub fn charges(connection: &Connection) -> Result<u64, LedgerFault> {
    Ok(from_column(connection.query_row("SELECT count(*) FROM reservations", [], |row| row.get(0))?)?)
}

/// What each account had borne at the newest checkpoint known outside of the books.
pub const MARKS: &str = "
CREATE TABLE marks (
    cap TEXT PRIMARY KEY REFERENCES caps (name),
    committed TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Sets the mark of the account called `cap`.
///
/// # Errors
/// [`LedgerFault`] where the books fail.
pub fn mark(connection: &Connection, cap: &str, committed: &Loss) -> Result<(), LedgerFault> {
    let sql = "INSERT INTO marks VALUES (?1, ?2) ON CONFLICT (cap) DO UPDATE SET committed = excluded.committed";
    connection.prepare_cached(sql)?.execute([cap, &json(committed)?])?;
    Ok(())
}

pub(super) fn marked(connection: &Connection, name: &CapName) -> Result<Loss, LedgerFault> {
    let mut statement = connection.prepare_cached("SELECT committed FROM marks WHERE cap = ?1")?;
    let text: Option<String> = statement.query_row([cap_text(name)], |row| row.get(0)).optional()?;
    Ok(text.map(|text| loss(&text)).transpose()?.unwrap_or_else(Loss::zero))
}

pub(super) fn population_caps(connection: &Connection) -> Result<Vec<Cap>, LedgerFault> {
    let mut statement = connection.prepare_cached("SELECT epsilon, delta FROM caps WHERE name LIKE 'population/%'")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut caps = Vec::new();
    for row in rows {
        let (epsilon, delta) = row?;
        caps.push(cap(epsilon, delta)?);
    }
    Ok(caps)
}

/// Raises the account called `cap`: so much counts as spent from now on. Nothing may be open, and nothing falls.
///
/// # Errors
/// [`LedgerFault`] where the books fail, or hold more than `to`.
pub fn raise(connection: &Connection, cap: &str, to: &Loss) -> Result<(), LedgerFault> {
    let before: String = connection.query_row("SELECT committed FROM caps WHERE name = ?1", [cap], |row| row.get(0))?;
    if !loss(&before)?.at_most(to) || !all_open(connection)?.is_empty() {
        return Err(StoreFault::Broken { what: "raising" }.into());
    }
    connection.execute("UPDATE caps SET committed = ?2, spent = ?2 WHERE name = ?1", params![cap, json(to)?])?;
    Ok(())
}

/// What `name` holds; none where nobody declared it.
///
/// # Errors
/// [`LedgerFault`] where the books fail.
pub fn balance(connection: &Connection, name: &CapName) -> Result<Option<Balance>, LedgerFault> {
    let Some(Held { cap, committed, spent }) = held(connection, name)? else { return Ok(None) };
    let reserved = reserved(connection, &cap_text(name))?;
    Ok(Some(Balance { cap, spent, reserved, committed }))
}

/// All caps and open reservations, as an export shows them.
///
/// # Errors
/// [`LedgerFault`] where the books fail.
pub fn totals(connection: &Connection) -> Result<Totals, LedgerFault> {
    let mut totals = Totals::default();
    let mut statement = connection.prepare("SELECT name, epsilon, delta, committed, spent FROM caps ORDER BY name")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, columns(row, 1)?)))?;
    for row in rows {
        let (name, (epsilon, delta, committed, spent)) = row?;
        let reserved = reserved(connection, &name)?;
        totals.add(name, cap(epsilon, delta)?, loss(&committed)?, loss(&spent)?, reserved);
    }
    totals.open = open_reservations(connection)?.iter().map(|(admission, _)| admission.0).collect();
    Ok(totals)
}

/// The reservations that nothing has settled, oldest first.
///
/// # Errors
/// [`LedgerFault`] where the books fail.
pub fn open_reservations(connection: &Connection) -> Result<Vec<(EntryNumber, Charge)>, LedgerFault> {
    let open = all_open(connection)?;
    Ok(open.into_iter().map(|(admission, charge, _)| (admission, charge)).collect())
}

/// One row of the table: all that admission and settling need.
pub(super) struct Held {
    pub(super) cap: Cap,
    pub(super) committed: Loss,
    pub(super) spent: Loss,
}

pub(super) fn held(connection: &Connection, name: &CapName) -> Result<Option<Held>, LedgerFault> {
    let mut statement =
        connection.prepare_cached("SELECT epsilon, delta, committed, spent FROM caps WHERE name = ?1")?;
    let Some((epsilon, delta, committed, spent)) =
        statement.query_row([cap_text(name)], |row| columns(row, 0)).optional()?
    else {
        return Ok(None);
    };
    Ok(Some(Held { cap: cap(epsilon, delta)?, committed: loss(&committed)?, spent: loss(&spent)? }))
}

pub(super) fn write_cap(connection: &Connection, name: &CapName, cap: Cap) -> Result<(), LedgerFault> {
    let nothing = json(&Loss::zero())?;
    connection
        .prepare_cached(
            "INSERT INTO caps VALUES (?1, ?2, ?3, ?4, ?4)
             ON CONFLICT (name) DO UPDATE SET epsilon = excluded.epsilon, delta = excluded.delta",
        )?
        .execute(params![cap_text(name), cap.epsilon(), cap.delta(), nothing])?;
    Ok(())
}

pub(super) fn write_committed(connection: &Connection, name: &CapName, total: &Loss) -> Result<(), LedgerFault> {
    connection
        .prepare_cached("UPDATE caps SET committed = ?2 WHERE name = ?1")?
        .execute(params![cap_text(name), json(total)?])?;
    Ok(())
}

pub(super) fn write_spent(connection: &Connection, name: &CapName, total: &Loss) -> Result<(), LedgerFault> {
    connection
        .prepare_cached("UPDATE caps SET spent = ?2 WHERE name = ?1")?
        .execute(params![cap_text(name), json(total)?])?;
    Ok(())
}

pub(super) fn write_reservation(
    connection: &Connection,
    admission: EntryNumber,
    charge: &Charge,
    scope: Scope,
) -> Result<(), LedgerFault> {
    let values = params![
        to_column(admission.0)?,
        json(charge)?,
        scope_text(scope),
        charge.permit.as_str(),
        charge.dataset.as_str()
    ];
    connection.prepare_cached("INSERT INTO reservations VALUES (?1, ?2, ?3, ?4, ?5, NULL)")?.execute(values)?;
    Ok(())
}

pub(super) fn close_reservation(
    connection: &Connection,
    admission: EntryNumber,
    ending: Ending,
) -> Result<(Charge, Scope), LedgerFault> {
    let text = match ending {
        Ending::Released => "released",
        Ending::Failed => "failed",
        Ending::Recovered => "recovered",
    };
    let mut statement = connection.prepare_cached(
        "UPDATE reservations SET ending = ?2 WHERE admission = ?1 AND ending IS NULL RETURNING charge, scope",
    )?;
    let mut rows = statement.query(params![to_column(admission.0)?, text])?;
    let closed = match rows.next()? {
        Some(row) => (row.get::<_, String>(0)?, row.get::<_, String>(1)?),
        None => return Err(LedgerFault::NotOpen { admission }),
    };
    // To the end: an UPDATE with RETURNING is finished only when it has no more rows.
    while rows.next()?.is_some() {}
    Ok((parsed(&closed.0, "charge")?, scope_of(&closed.1)?))
}

// Losses have no difference (nothing finite minus nothing finite is unknown), so what is reserved is added up.
fn reserved(connection: &Connection, name: &str) -> Result<Loss, LedgerFault> {
    let mut sum = Loss::zero();
    for (_, charge, scope) in all_open(connection)? {
        if scope.caps(&charge).iter().any(|cap| cap_text(cap) == name) {
            sum = sum.plus(&charge.loss)?;
        }
    }
    Ok(sum)
}

fn all_open(connection: &Connection) -> Result<Vec<(EntryNumber, Charge, Scope)>, LedgerFault> {
    let mut statement = connection
        .prepare_cached("SELECT admission, charge, scope FROM reservations WHERE ending IS NULL ORDER BY admission")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut open = Vec::new();
    for row in rows {
        let (admission, charge, scope): (i64, String, String) = row?;
        open.push((EntryNumber(from_column(admission)?), parsed(&charge, "charge")?, scope_of(&scope)?));
    }
    Ok(open)
}

type CapColumns = (f64, f64, String, String);

fn columns(row: &Row<'_>, first: usize) -> rusqlite::Result<CapColumns> {
    Ok((row.get(first)?, row.get(first + 1)?, row.get(first + 2)?, row.get(first + 3)?))
}

fn cap(epsilon: f64, delta: f64) -> Result<Cap, StoreFault> {
    Cap::new(epsilon, delta).map_err(|_| StoreFault::Broken { what: "cap" })
}

fn loss(text: &str) -> Result<Loss, StoreFault> {
    parsed(text, "loss")
}

fn scope_text(scope: Scope) -> &'static str {
    match scope {
        Scope::Fresh => "fresh",
        Scope::Again => "again",
    }
}

fn scope_of(text: &str) -> Result<Scope, StoreFault> {
    match text {
        "fresh" => Ok(Scope::Fresh),
        "again" => Ok(Scope::Again),
        _ => Err(StoreFault::Broken { what: "scope" }),
    }
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreFault> {
    serde_json::to_string(value).map_err(|_| StoreFault::Broken { what: "figure" })
}

fn parsed<T: DeserializeOwned>(text: &str, what: &'static str) -> Result<T, StoreFault> {
    serde_json::from_str(text).map_err(|_| StoreFault::Broken { what })
}
