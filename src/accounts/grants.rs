//! Which roles has one holder given and a second not yet?

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    store::StoreFault,
    terms::{AccountName, Role},
};

/// Roles that wait for their second holder. A line goes when the second has agreed; the log keeps both.
pub const SCHEMA: &str = "
CREATE TABLE role_grants (
    account TEXT NOT NULL REFERENCES accounts (name),
    role TEXT NOT NULL,
    first TEXT NOT NULL REFERENCES accounts (name),
    PRIMARY KEY (account, role)
) STRICT, WITHOUT ROWID;
";

/// A role that one holder has given and a second not yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRole {
    /// To whom.
    pub account: AccountName,
    /// Which role.
    pub role: Role,
    /// Who gave it first.
    pub first: AccountName,
}

/// Writes that `first` gives `role`, in place of whoever gave it first before.
///
/// # Errors
/// [`StoreFault`] where the books fail.
pub fn begin(connection: &Connection, pending: &PendingRole) -> Result<(), StoreFault> {
    let PendingRole { account, role, first } = pending;
    let values = params![account.as_str(), role.as_str(), first.as_str()];
    connection.prepare_cached("INSERT OR REPLACE INTO role_grants VALUES (?1, ?2, ?3)")?.execute(values)?;
    Ok(())
}

/// Who gave `role` to `account` first; none where nobody did.
///
/// # Errors
/// [`StoreFault`] where the books fail.
pub fn first(connection: &Connection, account: &AccountName, role: Role) -> Result<Option<AccountName>, StoreFault> {
    let mut statement = connection.prepare_cached("SELECT first FROM role_grants WHERE account = ?1 AND role = ?2")?;
    let first: Option<String> = statement.query_row([account.as_str(), role.as_str()], |row| row.get(0)).optional()?;
    first.map(name).transpose()
}

/// The second holder has agreed, or the role is no longer to be given.
///
/// # Errors
/// [`StoreFault`] where the books fail.
pub fn end(connection: &Connection, account: &AccountName, role: Role) -> Result<(), StoreFault> {
    let values = [account.as_str(), role.as_str()];
    connection.prepare_cached("DELETE FROM role_grants WHERE account = ?1 AND role = ?2")?.execute(values)?;
    Ok(())
}

/// All roles that wait for their second holder, by account.
///
/// # Errors
/// [`StoreFault`] where the books fail or hold a broken line.
pub fn all(connection: &Connection) -> Result<Vec<PendingRole>, StoreFault> {
    let mut statement = connection.prepare_cached("SELECT account, role, first FROM role_grants ORDER BY 1, 2")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?)))?;
    let mut pending = vec![];
    for row in rows {
        let (account, role, first) = row?;
        let role = role.parse().map_err(|_| StoreFault::Broken { what: "role" })?;
        pending.push(PendingRole { account: name(account)?, role, first: name(first)? });
    }
    Ok(pending)
}

fn name(given: String) -> Result<AccountName, StoreFault> {
    AccountName::new(given).map_err(|_| StoreFault::Broken { what: "account" })
}
