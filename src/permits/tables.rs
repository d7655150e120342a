//! How are permits stored?

use rusqlite::{Connection, OptionalExtension, params};

use super::{Permit, PermitState};
use crate::{store::StoreFault, terms::PermitId};

/// The table of permits. None is ever removed or changed, but for its one revocation.
pub const SCHEMA: &str = "
CREATE TABLE permits (
    id TEXT PRIMARY KEY,
    permit TEXT NOT NULL,
    revoked TEXT
) STRICT, WITHOUT ROWID;
CREATE TRIGGER permits_stay BEFORE DELETE ON permits BEGIN SELECT raise(ABORT, 'permits are never removed'); END;
CREATE TRIGGER permits_unchanged BEFORE UPDATE ON permits WHEN OLD.revoked IS NOT NULL OR OLD.permit <> NEW.permit
    BEGIN SELECT raise(ABORT, 'a permit is only revoked, once'); END;
";

/// Writes a new permit; `false` where the number is taken.
///
/// # Errors
/// [`StoreFault`] where the books fail.
pub fn insert(connection: &Connection, permit: &Permit) -> Result<bool, StoreFault> {
    let mut statement =
        connection.prepare_cached("INSERT INTO permits VALUES (?1, ?2, NULL) ON CONFLICT DO NOTHING")?;
    Ok(statement.execute(params![permit.id.as_str(), json(permit)?])? == 1)
}

/// Revokes a permit; `false` where there is no such permit or it is revoked already.
///
/// # Errors
/// [`StoreFault`] where the books fail.
pub fn revoke(connection: &Connection, id: &PermitId, revoked: &PermitState) -> Result<bool, StoreFault> {
    let mut statement =
        connection.prepare_cached("UPDATE permits SET revoked = ?2 WHERE id = ?1 AND revoked IS NULL")?;
    Ok(statement.execute(params![id.as_str(), json(revoked)?])? == 1)
}

/// The permit with this number.
///
/// # Errors
/// [`StoreFault`] where the books fail or hold a broken permit.
pub fn find(connection: &Connection, id: &PermitId) -> Result<Option<Permit>, StoreFault> {
    let mut statement = connection.prepare_cached("SELECT permit, revoked FROM permits WHERE id = ?1")?;
    let found = statement.query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    found.map(permit).transpose()
}

/// All permits, by number.
///
/// # Errors
/// [`StoreFault`] where the books fail or hold a broken permit.
pub fn all(connection: &Connection) -> Result<Vec<Permit>, StoreFault> {
    let mut statement = connection.prepare_cached("SELECT permit, revoked FROM permits ORDER BY id")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.map(|row| permit(row?)).collect()
}

fn permit((permit, revoked): (String, Option<String>)) -> Result<Permit, StoreFault> {
    let broken = |_| StoreFault::Broken { what: "permit" };
    let mut permit: Permit = serde_json::from_str(&permit).map_err(broken)?;
    if let Some(revoked) = revoked {
        permit.state = serde_json::from_str(&revoked).map_err(broken)?;
    }
    Ok(permit)
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreFault> {
    serde_json::to_string(value).map_err(|_| StoreFault::Broken { what: "permit" })
}
