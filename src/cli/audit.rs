//! How is the record taken out, and checked by whoever doubts it?

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{account::administer, query::Connection, stop::Stop};
use crate::record::{self, Receipt, Verified, Verifier};

/// Export the record, verify an export or a receipt offline, fetch a receipt.
#[derive(Debug, Clone, clap::Args)]
pub struct Audit {
    /// What to do.
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Act {
    /// Have the gateway write the whole record to D/exports/NAME, for auditors.
    Export {
        /// The folder's name: letters, digits, - and _.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Verify an export (tree, signature, ledger) or one receipt. Needs no gateway and no network.
    Verify {
        /// The folder of an export.
        #[arg(required_unless_present = "receipt", conflicts_with = "receipt")]
        folder: Option<PathBuf>,
        /// A receipt, as `sekisho query --receipt` saves it.
        #[arg(long, value_name = "FILE", requires = "key")]
        receipt: Option<PathBuf>,
        /// The log's public key (D/log.vkey), from where it is trusted. Without it an export is only shown to agree
        /// with itself.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Fetch the receipt of an entry: of any for auditors, of one's own for others.
    Receipt {
        /// The entry's number.
        entry: u64,
        /// Where to save it; standard output unless given.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        connection: Connection,
    },
}

/// Does it.
///
/// # Errors
/// [`Stop`], also for what does not verify.
pub fn run(audit: &Audit, out: &mut dyn Write) -> Result<(), Stop> {
    match &audit.act {
        Act::Export { name, connection } => {
            let done = administer(connection, "auditor", "audit.export", json!({"name": name}))?;
            writeln!(out, "{}", done.get("folder").and_then(Value::as_str).unwrap_or_default())?;
        }
        Act::Verify { folder, receipt: Some(receipt), key: Some(key), json } if folder.is_none() => {
            let verified = verify_receipt(receipt, key)?;
            match json {
                true => writeln!(out, "{}", verified.body)?,
                false => {
                    writeln!(out, "verified: entry {} is in the log, unchanged: {}", verified.entry.0, verified.body)?
                }
            }
        }
        Act::Verify { folder, key, json, .. } => {
            let folder = folder.as_deref().ok_or_else(|| Stop::Usage("say which folder".into()))?;
            let expected = key.as_deref().map(log_key).transpose()?;
            let verified = record::verify_export(folder, expected.as_ref())?;
            print(&verified, *json, out)?;
        }
        Act::Receipt { entry, out: file, connection } => {
            let answer = administer(connection, "auditor", "audit.receipt", json!({"entry": entry}))?;
            let receipt: Receipt = serde_json::from_value(answer).map_err(|fault| Stop::fault(&fault))?;
            match file {
                Some(path) => write(path, &format!("{}\n", receipt.to_json()))?,
                None => writeln!(out, "{}", receipt.to_json())?,
            }
        }
    }
    Ok(())
}

/// Verifies a receipt in a file under the log's public key in another.
///
/// # Errors
/// [`Stop::Fault`] says what does not hold.
pub fn verify_receipt(receipt: &Path, key: &Path) -> Result<Receipt, Stop> {
    let receipt = Receipt::from_json(&read(receipt)?)?;
    receipt.verify(&log_key(key)?)?;
    Ok(receipt)
}

/// The public key of a log in a file.
///
/// # Errors
/// [`Stop`] where it is none.
pub fn log_key(path: &Path) -> Result<Verifier, Stop> {
    Ok(Verifier::from_text(read(path)?.trim_end())?)
}

fn print(verified: &Verified, as_json: bool, out: &mut dyn Write) -> Result<(), Stop> {
    if as_json {
        let whole = json!({"origin": verified.origin, "size": verified.size, "root": verified.root,
            "charges": verified.charges, "totals": verified.totals});
        writeln!(out, "{whole}")?;
        return Ok(());
    }
    writeln!(out, "verified: {} with {} entries", verified.origin, verified.size)?;
    writeln!(out, "root {}", verified.root)?;
    writeln!(out, "{} charges add up to the ledger, and no cap was ever passed", verified.charges)?;
    Ok(())
}

fn read(path: &Path) -> Result<String, Stop> {
    std::fs::read_to_string(path).map_err(|fault| Stop::Usage(format!("{}: {fault}", path.display())))
}

fn write(path: &Path, text: &str) -> Result<(), Stop> {
    std::fs::write(path, text).map_err(|fault| Stop::Fault(format!("{}: {fault}", path.display())))
}
