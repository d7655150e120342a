//! Which schema do these books have, and how do they get the newest?

use rusqlite::{Connection, TransactionBehavior, params};

use super::StoreFault;

/// One step of the schema, applied in one transaction and never changed after it has shipped.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// 1 for the first, without gaps.
    pub version: u32,
    /// What it brings, in a few words.
    pub name: &'static str,
    /// The statements, one batch per module that owns tables.
    pub batches: &'static [&'static str],
}

/// Applies every migration that the database does not have yet, in order.
pub(super) fn migrate(connection: &mut Connection, migrations: &[Migration]) -> Result<(), StoreFault> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT",
    )?;
    let found: u32 = connection.query_row("SELECT coalesce(max(version), 0) FROM migrations", [], |row| row.get(0))?;
    let known = migrations.iter().map(|m| m.version).max().unwrap_or(0);
    if found > known {
        return Err(StoreFault::Newer { found, known });
    }
    for migration in migrations.iter().filter(|m| m.version > found) {
        // A crash inside leaves the version before: the whole step is one transaction.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for batch in migration.batches {
            transaction.execute_batch(batch)?;
        }
        transaction.execute("INSERT INTO migrations VALUES (?1, ?2)", params![migration.version, migration.name])?;
        transaction.commit()?;
    }
    Ok(())
}
