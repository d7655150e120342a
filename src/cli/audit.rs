//! How is the record taken out, and checked by whoever doubts it?

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{account::administer, query::Connection, stop::Stop};
use crate::{
    gateway::{ReplayOf, Replayed, replay},
    record::{self, Proof, Proved, Receipt, Verified, Verifier, WitnessKey},
};

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
        #[arg(required_unless_present_any = ["receipt", "proof"], conflicts_with_all = ["receipt", "proof"])]
        folder: Option<PathBuf>,
        /// A receipt, as `sekisho query --receipt` saves it.
        #[arg(long, value_name = "FILE", requires = "key")]
        receipt: Option<PathBuf>,
        /// A C2SP tlog-proof, as `sekisho audit receipt --proof` saves it.
        #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "receipt")]
        proof: Option<PathBuf>,
        /// The public key of a witness, from where it is trusted; once for each.
        #[arg(long, value_name = "FILE")]
        witness: Vec<PathBuf>,
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
        /// Fetch the C2SP tlog-proof instead, for other verifiers: against the published checkpoint, with cosignatures.
        #[arg(long)]
        proof: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Judge recorded questions anew from an export alone: same verdict, or why that cannot be said. Needs no gateway.
    Replay {
        /// The folder of an export.
        folder: PathBuf,
        /// The log's public key (D/log.vkey), from where it is trusted.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Only this entry; all admissions and refusals unless given.
        #[arg(long, value_name = "NUMBER")]
        entry: Option<u64>,
        /// A folder with the enclave's own catalogue models, where it has any.
        #[arg(long, value_name = "FOLDER", default_value = "catalog")]
        catalog: PathBuf,
        /// Print JSON, one line per entry.
        #[arg(long)]
        json: bool,
    },
    /// Say whether the books were found to be older than what was seen of them, or acknowledge that they are: an operator
    /// and an auditor do, then every account is raised and questions are answered again.
    Restored {
        /// Acknowledge.
        #[arg(long)]
        acknowledge: bool,
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
        Act::Verify { folder, receipt: Some(receipt), key: Some(key), json, .. } if folder.is_none() => {
            let verified = verify_receipt(receipt, key)?;
            let (entry, body) = (verified.entry.0, &verified.body);
            match verified.prove(&log_key(key)?)? {
                _ if *json => writeln!(out, "{body}")?,
                Proved::InTheTree(size) => {
                    writeln!(out, "verified: entry {entry} is in the log of {size} entries, unchanged: {body}")?;
                }
                Proved::Promised(by) => writeln!(
                    out,
                    "verified: the log signed entry {entry} and promised it for its checkpoint of {by}; from then on \
                     `sekisho audit receipt {entry}` fetches the proof: {body}"
                )?,
            }
        }
        Act::Verify { proof: Some(proof), key: Some(key), witness, .. } => {
            let witnesses = witness.iter().map(|path| witness_key(path)).collect::<Result<Vec<_>, _>>()?;
            let proof = Proof::from_text(&read(proof)?)?;
            let cosigned = proof.verify(&log_key(key)?, &witnesses)?;
            let by: Vec<&str> = cosigned.iter().map(|by| by.witness.as_str()).collect();
            writeln!(out, "verified: entry {} is in the log, unchanged, cosigned by {}", proof.index, by.join(", "))?;
        }
        Act::Verify { folder, key, json, witness, .. } => {
            let witnesses = witness.iter().map(|path| witness_key(path)).collect::<Result<Vec<_>, _>>()?;
            let folder = folder.as_deref().ok_or_else(|| Stop::Usage("say which folder".into()))?;
            let expected = key.as_deref().map(log_key).transpose()?;
            let verified = record::verify_watched_export(folder, expected.as_ref(), &witnesses)?;
            print(&verified, *json, out)?;
        }
        Act::Receipt { entry, out: file, proof: true, connection } => {
            let answer = administer(connection, "auditor", "audit.proof", json!({"entry": entry}))?;
            let proof = answer.get("proof").and_then(Value::as_str).unwrap_or_default();
            match file {
                Some(path) => write(path, proof)?,
                None => write!(out, "{proof}")?,
            }
        }
        Act::Replay { folder, key, entry, catalog, json } => {
            let expected = key.as_deref().map(log_key).transpose()?;
            record::verify_export(folder, expected.as_ref())?;
            replay_all(folder, catalog, *entry, *json, out)?;
        }
        Act::Restored { acknowledge, connection } => {
            let verb = if *acknowledge { "restore.acknowledge" } else { "restore.show" };
            writeln!(out, "{}", administer(connection, "auditor", verb, json!({}))?)?;
        }
        Act::Receipt { entry, out: file, connection, .. } => {
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

fn replay_all(
    folder: &Path,
    catalog: &Path,
    only: Option<u64>,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<(), Stop> {
    let mut all = vec![];
    replay(folder, catalog, |entry| only.is_none_or(|only| only == entry.0), |one| all.push(one))?;
    let (mut same, mut different) = (0_u64, 0_u64);
    for ReplayOf { entry, kind, outcome } in &all {
        let words = match outcome {
            Replayed::Same => "same verdict".to_owned(),
            Replayed::Different { recorded, here } => format!("DIFFERENT: recorded {recorded}, here {here}"),
            Replayed::OtherEngine { by } => format!("other engine version: {by}"),
            Replayed::NotReplayable(why) => format!("not replayable: {why}"),
        };
        same += u64::from(*outcome == Replayed::Same);
        different += u64::from(matches!(outcome, Replayed::Different { .. }));
        match as_json {
            true => writeln!(out, "{}", json!({"entry": entry, "kind": kind, "outcome": words}))?,
            false if *outcome == Replayed::Same && only.is_none() => {}
            false => writeln!(out, "{entry} {kind}: {words}")?,
        }
    }
    if !as_json {
        writeln!(out, "{} verdicts replayed: {same} the same, {different} different", all.len())?;
    }
    if different > 0 { Err(Stop::Said(1)) } else { Ok(()) }
}

fn witness_key(path: &Path) -> Result<WitnessKey, Stop> {
    Ok(WitnessKey::from_text(read(path)?.trim_end())?)
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
    if let Some((size, by)) = &verified.published {
        let by = if by.is_empty() { "nobody asked about".to_owned() } else { by.join(", ") };
        writeln!(out, "published up to entry {size}, cosigned by {by}")?;
    }
    writeln!(out, "{} charges add up to the ledger, and no cap was ever passed", verified.charges)?;
    Ok(())
}

fn read(path: &Path) -> Result<String, Stop> {
    std::fs::read_to_string(path).map_err(|fault| Stop::Usage(format!("{}: {fault}", path.display())))
}

fn write(path: &Path, text: &str) -> Result<(), Stop> {
    std::fs::write(path, text).map_err(|fault| Stop::Fault(format!("{}: {fault}", path.display())))
}
