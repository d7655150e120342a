//! Which client certificates open which account?

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    store::StoreFault,
    terms::{AccountName, Fingerprint, Instant},
};

/// Certificates by their fingerprint. None is ever removed, so that a revoked one stays revoked.
pub const SCHEMA: &str = "
CREATE TABLE client_certificates (
    fingerprint TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (name),
    added INTEGER NOT NULL,
    revoked INTEGER
) STRICT, WITHOUT ROWID;
CREATE TRIGGER client_certificates_stay BEFORE DELETE ON client_certificates
    BEGIN SELECT raise(ABORT, 'a certificate is never removed'); END;
CREATE TRIGGER client_certificates_revoked_once BEFORE UPDATE ON client_certificates WHEN OLD.revoked IS NOT NULL
    BEGIN SELECT raise(ABORT, 'a certificate is revoked once'); END;
";

/// A certificate that an account has registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// What it is known by.
    pub fingerprint: Fingerprint,
    /// Whose it is.
    pub account: AccountName,
    /// Since when.
    pub added: Instant,
    /// When it was revoked; none while it is good.
    pub revoked: Option<Instant>,
}

/// Writes a new certificate; `false` where it was registered before, by whomever, even if revoked since.
///
/// # Errors
/// [`StoreFault`] where the books fail.
pub fn add(connection: &Connection, new: &ClientCertificate) -> Result<bool, StoreFault> {
    let values = params![new.fingerprint.to_string(), new.account.as_str(), new.added.0];
    let sql = "INSERT INTO client_certificates VALUES (?1, ?2, ?3, NULL) ON CONFLICT DO NOTHING";
    Ok(connection.prepare_cached(sql)?.execute(values)? == 1)
}

/// Revokes a certificate, for good; `false` where there is none in force.
///
/// # Errors
/// [`StoreFault`] where the books fail.
pub fn revoke(connection: &Connection, fingerprint: &Fingerprint, at: Instant) -> Result<bool, StoreFault> {
    let sql = "UPDATE client_certificates SET revoked = ?2 WHERE fingerprint = ?1 AND revoked IS NULL";
    Ok(connection.prepare_cached(sql)?.execute(params![fingerprint.to_string(), at.0])? == 1)
}

/// The certificate known by this fingerprint.
///
/// # Errors
/// [`StoreFault`] where the books fail or hold a broken line.
pub fn find(connection: &Connection, fingerprint: &Fingerprint) -> Result<Option<ClientCertificate>, StoreFault> {
    let mut statement = connection.prepare_cached("SELECT * FROM client_certificates WHERE fingerprint = ?1")?;
    statement.query_row([fingerprint.to_string()], columns).optional()?.map(certificate).transpose()
}

/// All certificates, by account.
///
/// # Errors
/// [`StoreFault`] where the books fail or hold a broken line.
pub fn all(connection: &Connection) -> Result<Vec<ClientCertificate>, StoreFault> {
    let mut statement = connection.prepare_cached("SELECT * FROM client_certificates ORDER BY account, added")?;
    let rows = statement.query_map([], columns)?;
    rows.map(|row| certificate(row?)).collect()
}

type Columns = (String, String, i64, Option<i64>);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get("fingerprint")?, row.get("account")?, row.get("added")?, row.get("revoked")?))
}

fn certificate((fingerprint, account, added, revoked): Columns) -> Result<ClientCertificate, StoreFault> {
    let broken = || StoreFault::Broken { what: "certificate" };
    Ok(ClientCertificate {
        fingerprint: fingerprint.parse().map_err(|_| broken())?,
        account: AccountName::new(account).map_err(|_| broken())?,
        added: Instant(added),
        revoked: revoked.map(Instant),
    })
}
