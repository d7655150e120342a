//! How does an entry get into the log, and out again?

use std::{fmt, ops::Range};

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Map, Value, json};

use super::{
    AuditFault,
    canonical::{canonical, is_canonical},
    checkpoint::Checkpoint,
    commitment::{Salt, commitment_of, fresh_salt, leaf_of},
    consistency,
    note::Signer,
    receipt::Receipt,
    tiles::{self, Tile},
    tree::{self, Hash},
};
use crate::{
    store::{StoreFault, from_column, to_column},
    terms::{AccountName, EntryNumber, Instant, PermitId},
};

/// The tables of the log: entries beside the tree, and its full nodes.
pub const SCHEMA: &str = "
CREATE TABLE entries (
    number INTEGER PRIMARY KEY,
    body TEXT NOT NULL,
    salt BLOB NOT NULL CHECK (length(salt) = 32)
) STRICT;
CREATE TABLE nodes (
    level INTEGER NOT NULL,
    position INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, position)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER entries_unchanged BEFORE UPDATE ON entries BEGIN SELECT raise(ABORT, 'entries are never changed'); END;
CREATE TRIGGER entries_stay BEFORE DELETE ON entries BEGIN SELECT raise(ABORT, 'entries are never removed'); END;
CREATE TRIGGER nodes_unchanged BEFORE UPDATE ON nodes BEGIN SELECT raise(ABORT, 'the tree is never changed'); END;
CREATE TRIGGER nodes_stay BEFORE DELETE ON nodes BEGIN SELECT raise(ABORT, 'the tree is never cut'); END;
";

/// What an entry is to say, before it has a number.
#[derive(Clone)]
pub struct Draft {
    /// When.
    pub at: Instant,
    /// What kind of event: `admission`, `release`, `refusal` and so on.
    pub kind: String,
    /// Whose act, where it is an account's.
    pub account: Option<AccountName>,
    /// Under which permit.
    pub permit: Option<PermitId>,
    /// Everything else.
    pub detail: Value,
    /// What it does to the ledger, in the ledger's words.
    pub ledger: Option<Value>,
}

/// One entry of the log.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number, which is its place in the tree.
    pub number: EntryNumber,
    /// The whole entry: canonical JSON with `entry`, `at` (microseconds), `kind`, `detail`, and where they apply
    /// `account`, `permit`, `ledger`.
    pub body: String,
    /// What hides it in the tree.
    pub salt: Salt,
}

// Bodies hold the texts of questions, salts are secret: neither belongs into anything printed.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Where the tree stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How many entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// Writes an entry and its leaf. Runs in a transaction of the caller.
///
/// # Errors
/// [`AuditFault`] where the books fail or there is no randomness.
pub fn append(connection: &Connection, draft: Draft) -> Result<Entry, AuditFault> {
    let number = size(connection)?;
    let entry = Entry { number: EntryNumber(number), body: body(number, draft), salt: fresh_salt()? };
    // INVARIANT: what is in the log verifies. A body nested deeper than verifiers read would spoil every later export.
    if !is_canonical(&entry.body) {
        return Err(AuditFault::Wording);
    }
    connection.prepare_cached("INSERT INTO entries VALUES (?1, ?2, ?3)")?.execute(params![
        to_column(number)?,
        entry.body,
        entry.salt
    ])?;
    let leaf = leaf_of(&entry.salt, &entry.body);
    tree::append(leaf, number, |l, p| node(connection, l, p), |l, p, hash| write_node(connection, l, p, hash))?;
    Ok(entry)
}

/// The number that the next entry will have.
///
/// # Errors
/// [`AuditFault`] where the books fail.
pub fn next(connection: &Connection) -> Result<EntryNumber, AuditFault> {
    size(connection).map(EntryNumber)
}

/// Where the tree stands now.
///
/// # Errors
/// [`AuditFault`] where the books fail.
pub fn head(connection: &Connection) -> Result<Head, AuditFault> {
    let size = size(connection)?;
    Ok(Head { size, root: tree::root(size, |l, p| node(connection, l, p))? })
}

/// How many leaves the tree has: as many as there are entries, or the books are damaged.
///
/// # Errors
/// [`AuditFault`] where the books fail.
pub fn leaves(connection: &Connection) -> Result<u64, AuditFault> {
    let mut statement =
        connection.prepare_cached("SELECT coalesce(max(position) + 1, 0) FROM nodes WHERE level = 0")?;
    Ok(from_column(statement.query_row([], |row| row.get(0))?)?)
}

/// The entries of `range` that exist, in order.
///
/// # Errors
/// [`AuditFault`] where the books fail.
pub fn entries(connection: &Connection, range: Range<u64>) -> Result<Vec<Entry>, AuditFault> {
    let mut statement = connection
        .prepare_cached("SELECT number, body, salt FROM entries WHERE number >= ?1 AND number < ?2 ORDER BY number")?;
    let end = range.end.min(i64::MAX.unsigned_abs());
    let bounds = params![to_column(range.start.min(end))?, to_column(end)?];
    let rows = statement.query_map(bounds, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut entries = Vec::new();
    for row in rows {
        let (number, body, salt) = row?;
        entries.push(Entry { number: EntryNumber(from_column(number)?), body, salt });
    }
    Ok(entries)
}

/// One entry.
///
/// # Errors
/// [`AuditFault::NoEntry`] where there is none.
pub fn entry(connection: &Connection, number: EntryNumber) -> Result<Entry, AuditFault> {
    let found = entries(connection, number.0..number.0.saturating_add(1))?.pop();
    found.ok_or(AuditFault::NoEntry(number.0))
}

/// The signed checkpoint of the tree as it stands, with these extension lines.
///
/// # Errors
/// [`AuditFault`] where the books fail.
pub fn checkpoint(connection: &Connection, signer: &Signer, extension: Vec<String>) -> Result<String, AuditFault> {
    let Head { size, root } = head(connection)?;
    Ok(Checkpoint { size, root, extension }.sign(signer))
}

/// The root over the first `size` entries, which there must be.
///
/// # Errors
/// [`AuditFault`] where the books fail, or hold fewer entries.
pub fn root_of(connection: &Connection, size: u64) -> Result<Hash, AuditFault> {
    tree::root(size, |l, p| node(connection, l, p))
}

/// The proof that the tree of `old` entries is the beginning of the tree of `new`, which there must be.
///
/// # Errors
/// [`AuditFault`] where the books fail, or hold fewer entries.
pub fn consistency_of(connection: &Connection, old: u64, new: u64) -> Result<Vec<Hash>, AuditFault> {
    consistency::consistency(old, new, |l, p| node(connection, l, p))
}

/// The stored hash of a full subtree.
///
/// # Errors
/// [`AuditFault`] where the books fail, or hold none there.
pub fn node_of(connection: &Connection, level: u32, position: u64) -> Result<Hash, AuditFault> {
    node(connection, level, position)
}

/// The inclusion proof of one entry in the tree of the first `size` entries, which there must be and which must hold it.
///
/// # Errors
/// [`AuditFault`] where the books fail, or hold fewer entries.
pub fn inclusion_of(connection: &Connection, number: EntryNumber, size: u64) -> Result<Vec<Hash>, AuditFault> {
    tree::inclusion(number.0, size, |l, p| node(connection, l, p))
}

/// The tiles of the first `size` entries that the first `before` did not have.
///
/// # Errors
/// [`AuditFault`] where the books fail, or hold fewer entries.
pub fn tiles_of(connection: &Connection, before: u64, size: u64) -> Result<Vec<Tile>, AuditFault> {
    let leaf = |number| entry(connection, EntryNumber(number)).map(|entry| commitment_of(&entry.salt, &entry.body));
    tiles::tiles(before, size, |l, p| node(connection, l, p), leaf)
}

/// The receipt of one entry against a checkpoint published before: the signed note of the tree of `size` entries.
///
/// # Errors
/// [`AuditFault::NoEntry`] where that tree does not hold it.
pub fn receipt_at(
    connection: &Connection,
    number: EntryNumber,
    size: u64,
    checkpoint: String,
) -> Result<Receipt, AuditFault> {
    let entry = entry(connection, number)?;
    if number.0 >= size {
        return Err(AuditFault::NoEntry(number.0));
    }
    let path = tree::inclusion(number.0, size, |l, p| node(connection, l, p))?;
    Ok(Receipt::new(&entry, &path, checkpoint))
}

/// The signed promise that one entry will be in the checkpoint of the instant `by`.
///
/// # Errors
/// [`AuditFault::NoEntry`] where there is none.
pub fn promise(
    connection: &Connection,
    signer: &Signer,
    number: EntryNumber,
    by: Instant,
) -> Result<Receipt, AuditFault> {
    Ok(Receipt::promise(&entry(connection, number)?, signer, by))
}

/// The receipt of one entry against the tree as it stands.
///
/// # Errors
/// [`AuditFault::NoEntry`] where there is none.
pub fn receipt(connection: &Connection, signer: &Signer, number: EntryNumber) -> Result<Receipt, AuditFault> {
    let entry = entry(connection, number)?;
    let path = tree::inclusion(number.0, size(connection)?, |l, p| node(connection, l, p))?;
    Ok(Receipt::new(&entry, &path, checkpoint(connection, signer, Vec::new())?))
}

fn body(number: u64, draft: Draft) -> String {
    let mut body = Map::new();
    let mut say = |key: &str, value: Value| body.insert(key.to_owned(), value);
    say("entry", json!(number));
    say("at", json!(draft.at.0));
    say("kind", json!(draft.kind));
    say("detail", draft.detail);
    draft.account.map(|account| say("account", json!(account.as_str())));
    draft.permit.map(|permit| say("permit", json!(permit.as_str())));
    draft.ledger.map(|ledger| say("ledger", ledger));
    canonical(&Value::Object(body))
}

fn size(connection: &Connection) -> Result<u64, AuditFault> {
    let mut statement = connection.prepare_cached("SELECT coalesce(max(number) + 1, 0) FROM entries")?;
    Ok(from_column(statement.query_row([], |row| row.get(0))?)?)
}

fn node(connection: &Connection, level: u32, position: u64) -> Result<Hash, AuditFault> {
    let mut statement = connection.prepare_cached("SELECT hash FROM nodes WHERE level = ?1 AND position = ?2")?;
    let found = statement.query_row(params![level, to_column(position)?], |row| row.get(0)).optional()?;
    Ok(found.ok_or(StoreFault::Broken { what: "tree" })?)
}

fn write_node(connection: &Connection, level: u32, position: u64, hash: &Hash) -> Result<(), AuditFault> {
    connection.prepare_cached("INSERT INTO nodes VALUES (?1, ?2, ?3)")?.execute(params![
        level,
        to_column(position)?,
        hash
    ])?;
    Ok(())
}
