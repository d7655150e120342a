//! Was anything in this export altered, removed or left uncounted?
//!
//! Offline: it needs the folder alone, and the log's public key from elsewhere if the folder itself is not trusted.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::export::{CHECKPOINT, LEDGER, PUBLISHED, ledger_lines, totals_text};
use crate::{
    audit::{
        Checkpoint, Cosigned, ENTRIES, ExportLine, Hash, KEY, Tree, Verifier, VerifierFault, WitnessKey, commitment_of,
        from_hex, is_canonical, open_cosigned, read_lines, tiles, to_hex, without_cosignatures,
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
    /// How many entries the newest published checkpoint covers, and who cosigned it of the witnesses asked about.
    pub published: Option<(u64, Vec<String>)>,
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
    /// A file of the tree is missing, changed or one too many.
    #[error("{0} is not the file of the tree that it should be")]
    Tile(PathBuf),
    /// The published checkpoint is not the log's, or a cosignature is by nobody known.
    #[error("the published checkpoint does not verify: {0}")]
    Published(VerifierFault),
    /// The published checkpoint is not a beginning of these entries, or its totals are not their sum.
    #[error("the published checkpoint is not one of these entries")]
    OtherLog,
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
    verify_watched_export(folder, expected, &[])
}

/// The same; where `witnesses` are given, every cosignature of the published checkpoint must be one of theirs.
///
/// # Errors
/// [`VerifyFault`] names the first thing that does not hold.
pub fn verify_watched_export(
    folder: &Path,
    expected: Option<&Verifier>,
    witnesses: &[WitnessKey],
) -> Result<Verified, VerifyFault> {
    // 1. Whose log.
    let key = read(&folder.join(KEY))?;
    let verifier = Verifier::from_text(&key).ok().filter(|read| format!("{}\n", read.to_text()) == key);
    let verifier = verifier.ok_or(VerifyFault::Key)?;
    if expected.is_some_and(|expected| *expected != verifier) {
        return Err(VerifyFault::OtherKey);
    }
    // 2. What it signed.
    let note = read(&folder.join(CHECKPOINT))?;
    let checkpoint = Checkpoint::open(&note, &verifier).map_err(VerifyFault::Checkpoint)?;
    // 3. Every entry, in its place, into the tree and the ledger.
    let published = published(folder, &verifier, witnesses)?;
    let sums = add_up(&folder.join(ENTRIES), published.as_ref().map(|(published, _)| published.size))?;
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
    // 5. What was published is a beginning of it, and said what was so then.
    if let Some((published, _)) = &published {
        let (at, totals) = sums.published.as_ref().ok_or(VerifyFault::OtherLog)?;
        if *at != published.root || published.extension.get(1..) != Some(&ledger_lines(totals)) {
            return Err(VerifyFault::OtherLog);
        }
    }
    // 6. The same tree in files, and nothing else in the folder.
    check_files(folder, &sums, published.is_some())?;
    let (origin, size) = (verifier.name().to_owned(), checkpoint.size);
    let published = published.map(|(at, by)| (at.size, by.into_iter().map(|by| by.witness).collect()));
    Ok(Verified { origin, size, root: to_hex(&root), charges: sums.charges, totals, published })
}

#[derive(Default)]
struct Sums {
    tree: Tree,
    replay: Replay,
    charges: u64,
    commitments: Vec<Hash>,
    watched: Option<u64>,
    published: Option<(Hash, Totals)>,
}

type Published = (Checkpoint, Vec<Cosigned>);

fn published(folder: &Path, log: &Verifier, witnesses: &[WitnessKey]) -> Result<Option<Published>, VerifyFault> {
    let path = folder.join(PUBLISHED);
    if !path.exists() {
        return Ok(None);
    }
    let mut note = read(&path)?;
    if witnesses.is_empty() {
        note = without_cosignatures(&note).ok_or(VerifyFault::Published(VerifierFault::NotANote))?;
    }
    let (text, by) = open_cosigned(&note, log, witnesses).map_err(VerifyFault::Published)?;
    let checkpoint = Checkpoint::of_text(text, log).ok_or(VerifyFault::Published(VerifierFault::NotANote))?;
    Ok(Some((checkpoint, by)))
}

fn check_files(folder: &Path, sums: &Sums, published: bool) -> Result<(), VerifyFault> {
    let leaf = |number: u64| {
        let commitment = usize::try_from(number).ok().and_then(|number| sums.commitments.get(number));
        commitment.copied().ok_or(VerifyFault::Root)
    };
    let node = |level, position| sums.tree.full(level, position).ok_or(VerifyFault::Root);
    let mut expected: BTreeMap<PathBuf, Option<Vec<u8>>> =
        [ENTRIES, KEY, CHECKPOINT, LEDGER].map(|name| (folder.join(name), None)).into();
    if published {
        expected.insert(folder.join(PUBLISHED), None);
    }
    for tile in tiles(0, sums.tree.size(), node, leaf)? {
        expected.insert(folder.join(tile.path), Some(tile.bytes));
    }
    for path in files_below(folder)? {
        let whole = match expected.remove(&path) {
            Some(None) => true,
            Some(Some(bytes)) => std::fs::read(&path).is_ok_and(|read| read == bytes),
            None => false,
        };
        if !whole {
            return Err(VerifyFault::Tile(path));
        }
    }
    expected.into_keys().next().map_or(Ok(()), |missing| Err(VerifyFault::Tile(missing)))
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>, VerifyFault> {
    let fault = |source| VerifyFault::File { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        match entry.file_type().map_err(fault)?.is_dir() {
            true => files.extend(files_below(&entry.path())?),
            false => files.push(entry.path()),
        }
    }
    Ok(files)
}

fn add_up(path: &Path, watched: Option<u64>) -> Result<Sums, VerifyFault> {
    let fault = |source| VerifyFault::File { path: path.to_owned(), source };
    let mut sums = Sums { watched, ..Sums::default() };
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
    let salt = from_hex(&line.salt).ok_or(VerifyFault::Entry(number))?;
    sums.commitments.push(commitment_of(&salt, &line.body));
    if let Some(effect) = effect {
        sums.charges += u64::from(matches!(effect, Effect::Takes { .. }));
        sums.replay.apply(EntryNumber(number), &effect)?;
    }
    if sums.watched == Some(sums.tree.size()) {
        sums.published = sums.tree.root().zip(sums.replay.totals().ok());
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
