//! Which schema do these books have, and how do they get the newest?
//!
//! Each step is one transaction, and the books name the steps that they have been through. Books that went another way than
//! the list says, since programs of between two steps wrote them, are brought back onto it first, where that way is known;
//! others are refused.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

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
    /// What else programs have written under this version.
    pub detours: &'static [Detour],
}

/// What a program has written under the number of a step that means something else by now, or more.
#[derive(Debug, Clone, Copy)]
pub struct Detour {
    /// What it called the step.
    pub name: &'static str,
    /// The table and its column by whose absence it is told from the step itself, where both have one name.
    pub lacks: Option<(&'static str, &'static str)>,
    /// The statements that it left out, up to and with those of step `leads_to`.
    pub batches: &'static [&'static str],
    /// The step that such books have been through once these are applied.
    pub leads_to: u32,
}

/// Applies every migration that the database does not have yet, in order.
pub(super) fn migrate(connection: &mut Connection, migrations: &[Migration]) -> Result<(), StoreFault> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT",
    )?;
    let known = migrations.iter().map(|m| m.version).max().unwrap_or(0);
    let found: u32 = connection.query_row("SELECT coalesce(max(version), 0) FROM migrations", [], |row| row.get(0))?;
    if found > known {
        return Err(StoreFault::Newer { found, known });
    }
    for migration in migrations {
        match recorded(connection, migration.version)? {
            None if migration.version > newest(connection)? => apply(connection, migration)?,
            None => return Err(StoreFault::Broken { what: "list of schema steps" }),
            Some(name) => match detour(connection, migration, &name)? {
                Some(detour) => rejoin(connection, migrations, migration, detour)?,
                None if name == migration.name => {}
                None => return Err(StoreFault::Strange { version: migration.version, name }),
            },
        }
    }
    Ok(())
}

fn newest(connection: &Connection) -> Result<u32, StoreFault> {
    Ok(connection.query_row("SELECT coalesce(max(version), 0) FROM migrations", [], |row| row.get(0))?)
}

/// What the books call this step, if they have been through it.
fn recorded(connection: &Connection, version: u32) -> Result<Option<String>, StoreFault> {
    let mut statement = connection.prepare("SELECT name FROM migrations WHERE version = ?1")?;
    let mut rows = statement.query([version])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}

/// The detour that books took which call this step so.
fn detour(connection: &Connection, migration: &Migration, name: &str) -> Result<Option<Detour>, StoreFault> {
    for detour in migration.detours.iter().filter(|detour| detour.name == name) {
        let taken = match detour.lacks {
            None => true,
            Some((table, column)) => {
                let count = "SELECT count(*) FROM pragma_table_info(?1) WHERE name = ?2";
                connection.query_row(count, [table, column], |row| Ok(row.get::<_, i64>(0)? == 0))?
            }
        };
        if taken {
            return Ok(Some(*detour));
        }
    }
    Ok(None)
}

fn apply(connection: &mut Connection, migration: &Migration) -> Result<(), StoreFault> {
    // A crash inside leaves the version before: the whole step is one transaction.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    run(&transaction, migration.batches)?;
    transaction.execute("INSERT INTO migrations VALUES (?1, ?2)", params![migration.version, migration.name])?;
    Ok(transaction.commit()?)
}

/// Brings books back onto the list.
fn rejoin(
    connection: &mut Connection,
    migrations: &[Migration],
    at: &Migration,
    detour: Detour,
) -> Result<(), StoreFault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    run(&transaction, detour.batches)?;
    for step in migrations.iter().filter(|step| (at.version..=detour.leads_to).contains(&step.version)) {
        transaction.execute("INSERT OR REPLACE INTO migrations VALUES (?1, ?2)", params![step.version, step.name])?;
    }
    Ok(transaction.commit()?)
}

fn run(transaction: &Transaction<'_>, batches: &[&str]) -> Result<(), StoreFault> {
    batches.iter().try_for_each(|batch| Ok(transaction.execute_batch(batch)?))
}
