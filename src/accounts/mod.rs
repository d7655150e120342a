//! Who may sign in, and which parts may they play?
//!
//! Rows only. Passwords arrive and leave as hashes; `identity/` makes and checks them.

pub mod certificates;
pub mod grants;

use std::{collections::BTreeSet, fmt};

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    store::StoreFault,
    terms::{AccountName, Language, Role},
};

pub use certificates::ClientCertificate;
pub use grants::PendingRole;

/// An account that is to be.
#[derive(Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// Its name, for ever.
    pub name: AccountName,
    /// Its roles; none at first where all of them take two holders to give.
    pub roles: BTreeSet<Role>,
    /// The language of its messages.
    pub language: Language,
    /// The argon2id hash of its password, in PHC form.
    pub password_hash: String,
}

/// An account as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: AccountName,
    /// Its roles.
    pub roles: BTreeSet<Role>,
    /// The language of its messages.
    pub language: Language,
    /// The argon2id hash of its password, in PHC form.
    pub password_hash: String,
    /// Whether it may no longer sign in.
    pub disabled: bool,
}

// Neither shows its hash: a hash in a log is a password to guess.
impl fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewAccount").field("name", &self.name).field("roles", &self.roles).finish_non_exhaustive()
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Account");
        shown.field("name", &self.name).field("roles", &self.roles).field("disabled", &self.disabled);
        shown.finish_non_exhaustive()
    }
}

/// The table of accounts. None is ever removed: the log names them.
pub const SCHEMA: &str = "
CREATE TABLE accounts (
    name TEXT PRIMARY KEY,
    roles TEXT NOT NULL,
    language TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    disabled INTEGER NOT NULL CHECK (disabled IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE TRIGGER accounts_stay BEFORE DELETE ON accounts BEGIN SELECT raise(ABORT, 'accounts are never removed'); END;
";

/// Writes a new account; `false` where the name is taken, in whatever case.
///
/// # Errors
/// [`StoreFault`] where the books fail.
pub fn insert(connection: &Connection, new: &NewAccount) -> Result<bool, StoreFault> {
    let mut same = connection.prepare_cached("SELECT 1 FROM accounts WHERE name = ?1 COLLATE NOCASE")?;
    if same.exists([new.name.as_str()])? {
        return Ok(false);
    }
    let values = params![new.name.as_str(), json(&new.roles)?, json(&new.language)?, new.password_hash];
    connection.prepare_cached("INSERT INTO accounts VALUES (?1, ?2, ?3, ?4, 0)")?.execute(values)?;
    Ok(true)
}

/// Ends an account's right to sign in; `false` where there is no such account or it has none.
///
/// # Errors
/// [`StoreFault`] where the books fail.
pub fn disable(connection: &Connection, name: &AccountName) -> Result<bool, StoreFault> {
    let mut statement =
        connection.prepare_cached("UPDATE accounts SET disabled = 1 WHERE name = ?1 AND disabled = 0")?;
    Ok(statement.execute([name.as_str()])? == 1)
}

/// Replaces the roles of an account.
///
/// # Errors
/// [`StoreFault`] where the books fail.
pub fn set_roles(connection: &Connection, name: &AccountName, roles: &BTreeSet<Role>) -> Result<(), StoreFault> {
    let mut statement = connection.prepare_cached("UPDATE accounts SET roles = ?2 WHERE name = ?1")?;
    statement.execute([name.as_str(), &json(roles)?])?;
    Ok(())
}

/// Replaces the password of an account; `false` where there is none that may sign in.
///
/// # Errors
/// [`StoreFault`] where the books fail.
pub fn set_password(connection: &Connection, name: &AccountName, hash: &str) -> Result<bool, StoreFault> {
    let mut statement =
        connection.prepare_cached("UPDATE accounts SET password_hash = ?2 WHERE name = ?1 AND disabled = 0")?;
    Ok(statement.execute([name.as_str(), hash])? == 1)
}

/// The account called `name`.
///
/// # Errors
/// [`StoreFault`] where the books fail or hold a broken account.
pub fn find(connection: &Connection, name: &AccountName) -> Result<Option<Account>, StoreFault> {
    let mut statement = connection.prepare_cached("SELECT * FROM accounts WHERE name = ?1")?;
    statement.query_row([name.as_str()], columns).optional()?.map(account).transpose()
}

/// All accounts, by name.
///
/// # Errors
/// [`StoreFault`] where the books fail or hold a broken account.
pub fn all(connection: &Connection) -> Result<Vec<Account>, StoreFault> {
    let mut statement = connection.prepare_cached("SELECT * FROM accounts ORDER BY name")?;
    let rows = statement.query_map([], columns)?;
    rows.map(|row| account(row?)).collect()
}

type Columns = (String, String, String, String, bool);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    let (name, roles, language) = (row.get("name")?, row.get("roles")?, row.get("language")?);
    Ok((name, roles, language, row.get("password_hash")?, row.get("disabled")?))
}

fn account((name, roles, language, password_hash, disabled): Columns) -> Result<Account, StoreFault> {
    let broken = || StoreFault::Broken { what: "account" };
    Ok(Account {
        name: AccountName::new(name).map_err(|_| broken())?,
        roles: serde_json::from_str(&roles).map_err(|_| broken())?,
        language: serde_json::from_str(&language).map_err(|_| broken())?,
        password_hash,
        disabled,
    })
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreFault> {
    serde_json::to_string(value).map_err(|_| StoreFault::Broken { what: "account" })
}
