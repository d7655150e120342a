//! Does the policy hold together?

use std::{io::Write, path::PathBuf};

use serde_json::json;

use super::stop::Stop;
use crate::policy::{self, Policy};

/// Check the policy files: built in, or those of an enclave.
#[derive(Debug, Clone, clap::Args)]
pub struct PolicyVerb {
    /// What to do.
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Act {
    /// Check that every file parses, every example of cases.toml comes out as written, the plain evaluator agrees with
    /// the enforcer at every point, and roles.golden is the grid of the policy.
    Check {
        /// A folder of policy files, such as D/policies; what it lacks is taken from those built in.
        folder: Option<PathBuf>,
        /// Print the grid instead, to be kept as roles.golden by whoever has read the difference.
        #[arg(long, conflicts_with = "json")]
        grid: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Checks.
///
/// # Errors
/// [`Stop::Fault`] names the first thing that does not hold, with file and line.
pub fn run(verb: &PolicyVerb, out: &mut dyn Write) -> Result<(), Stop> {
    let Act::Check { folder, grid, json } = &verb.act;
    if let Some(missing) = folder.as_deref().filter(|folder| !folder.is_dir()) {
        return Err(Stop::Usage(format!("there is no folder {}", missing.display())));
    }
    if *grid {
        write!(out, "{}", Policy::grid(folder.as_deref())?)?;
        return Ok(());
    }
    let report = policy::check(folder.as_deref())?;
    let hash = crate::audit::to_hex(&report.files_hash);
    if *json {
        let whole = json!({"cases": report.cases, "points": report.points, "purposes": report.purposes,
            "prohibited": report.prohibited, "rule_packs": report.rule_packs, "hash": hash});
        writeln!(out, "{whole}")?;
        return Ok(());
    }
    writeln!(out, "{} examples come out as written", report.cases)?;
    writeln!(out, "{} points of the matrix agree with the plain evaluator", report.points)?;
    writeln!(out, "{} purposes can be granted, {} uses are prohibited", report.purposes, report.prohibited)?;
    writeln!(out, "rule packs: {}", report.rule_packs.join(", "))?;
    writeln!(out, "hash of the deciding files: {hash}")?;
    Ok(())
}
