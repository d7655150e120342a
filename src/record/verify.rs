//! Was anything in this export altered, removed or left uncounted?
//!
//! Offline: it needs the folder alone, and the log's public key from elsewhere if the folder itself is not trusted.

use std::{
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::export::{CHECKPOINT, LEDGER, ledger_lines, totals_text};
use crate::{
    audit::{
        Checkpoint, ENTRIES, ExportLine, Hash, KEY, Tree, Verifier, VerifierFault, is_canonical, read_lines, to_hex,
    },
    ledger::{Effect, Replay, ReplayFault, Totals},
    terms::EntryNumber,
};

/// What was verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// The log: `sekisho/<enclave>`.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root over them, in hexadecimal.
    pub root: String,
    /// How many of them took from a cap.
    pub charges: u64,
    /// The ledger, added up from the entries and equal to the export's own.
    pub totals: Totals,
}

/// What does not hold.
#[derive(Debug, thiserror::Error)]
pub enum VerifyFault {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The public key is none.
    #[error("{KEY} is not a public key of a log")]
    Key,
    /// The export is another log's, or signed by another key.
    #[error("the export's public key is not the one expected")]
    OtherKey,
    /// The checkpoint is not signed by the log's key, or is none.
    #[error("the checkpoint does not verify: {0}")]
    Checkpoint(VerifierFault),
    /// A line is not an entry in its one spelling, or out of its place.
    #[error("{ENTRIES} does not hold entry {0} in its place")]
    Entry(u64),
    /// There are more or fewer entries than the checkpoint says.
    #[error("{found} entries where the checkpoint has {signed}")]
    Size {
        /// In the file.
        found: u64,
        /// In the checkpoint.
        signed: u64,
    },
    /// The entries are not those of the checkpoint.
    #[error("the entries do not give the root of the checkpoint")]
    Root,
    /// An entry states what cannot be.
    #[error("{0}")]
    Replay(#[from] ReplayFault),
    /// The ledger is not the sum of the entries.
    #[error("{LEDGER} is not the sum of the entries")]
    Ledger,
    /// The signed totals are not the sum of the entries.
    #[error("the totals in the checkpoint are not the sum of the entries")]
    Totals,
}

/// Verifies the export in `folder`: signature, every entry's place and spelling, tree, and that the ledger is the sum of
/// the entries, with no cap ever passed. `expected` is the log's public key from elsewhere; without it the folder's own is
/// believed, which shows only that the folder agrees with itself.
///
/// # Errors
/// [`VerifyFault`] names the first thing that does not hold.
pub fn verify_export(folder: &Path, expected: Option<&Verifier>) -> Result<Verified, VerifyFault> {
    // 1. Whose log.
    let key = read(&folder.join(KEY))?;
    let verifier = key.strip_suffix('\n').and_then(|line| Verifier::from_text(line).ok()).ok_or(VerifyFault::Key)?;
    if expected.is_some_and(|expected| *expected != verifier) {
        return Err(VerifyFault::OtherKey);
    }
    // 2. What it signed.
    let note = read(&folder.join(CHECKPOINT))?;
    let checkpoint = Checkpoint::open(&note, &verifier).map_err(VerifyFault::Checkpoint)?;
    // 3. Every entry, in its place, into the tree and the ledger.
    let sums = add_up(&folder.join(ENTRIES))?;
    if sums.tree.size() != checkpoint.size {
        return Err(VerifyFault::Size { found: sums.tree.size(), signed: checkpoint.size });
    }
    let root = sums.tree.root().filter(|root| *root == checkpoint.root).ok_or(VerifyFault::Root)?;
    // 4. Zero difference.
    let totals = sums.replay.totals()?;
    if read(&folder.join(LEDGER))? != totals_text(&totals) {
        return Err(VerifyFault::Ledger);
    }
    if checkpoint.extension != ledger_lines(&totals) {
        return Err(VerifyFault::Totals);
    }
    let (origin, size) = (verifier.name().to_owned(), checkpoint.size);
    Ok(Verified { origin, size, root: to_hex(&root), charges: sums.charges, totals })
}

#[derive(Default)]
struct Sums {
    tree: Tree,
    replay: Replay,
    charges: u64,
}

fn add_up(path: &Path) -> Result<Sums, VerifyFault> {
    let fault = |source| VerifyFault::File { path: path.to_owned(), source };
    let mut sums = Sums::default();
    let mut wrong = None;
    let file = BufReader::new(File::open(path).map_err(fault)?);
    let whole = read_lines(file, |line| match add(&mut sums, &line) {
        Ok(()) => true,
        Err(fault) => {
            wrong = Some(fault);
            false
        }
    });
    match (whole, wrong) {
        (Ok(true), _) => Ok(sums),
        (Ok(false), Some(fault)) => Err(fault),
        (Ok(false), None) => Err(VerifyFault::Entry(sums.tree.size())),
        (Err(source), _) => Err(fault(source)),
    }
}

fn add(sums: &mut Sums, line: &ExportLine) -> Result<(), VerifyFault> {
    let number = sums.tree.size();
    let (leaf, effect) = checked(number, line).ok_or(VerifyFault::Entry(number))?;
    sums.tree.push(leaf);
    if let Some(effect) = effect {
        sums.charges += u64::from(matches!(effect, Effect::Takes { .. }));
        sums.replay.apply(EntryNumber(number), &effect)?;
    }
    Ok(())
}

fn checked(number: u64, line: &ExportLine) -> Option<(Hash, Option<Effect>)> {
    let body: Value = serde_json::from_str(&line.body).ok()?;
    let in_place = line.entry == number && body.get("entry")?.as_u64()? == number && is_canonical(&line.body);
    let effect = body.get("ledger").cloned().map(serde_json::from_value::<Effect>).transpose().ok()?;
    in_place.then_some((line.leaf()?, effect))
}

fn read(path: &Path) -> Result<String, VerifyFault> {
    std::fs::read_to_string(path).map_err(|source| VerifyFault::File { path: path.to_owned(), source })
}
