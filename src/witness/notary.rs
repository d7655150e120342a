//! May this checkpoint be cosigned? (C2SP tlog-witness)
//!
//! The folder holds `witness.key` (owner-only), `witness.vkey`, `logs/` with the public key of each log that is witnessed,
//! `newest/` with the newest checkpoint cosigned of each, and `evidence/`: what a log signed and an honest one never would.
//! The newest checkpoint is durable before its cosignature leaves, and the check and the write are one step.

use std::{
    collections::BTreeMap,
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding},
};
use sha2::{Digest, Sha256};

use crate::{
    audit::{
        AT_LINE, Checkpoint, Cosigner, Hash, LEDGER_LINE, Verifier, VerifierFault, from_base64, to_hex,
        verify_consistency,
    },
    keys::{self, KeysFault},
    terms::{Clock, Loss},
};

/// What a witness answers to one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Cosigned: the signature line.
    Cosigned(String),
    /// The newest one cosigned has this size, not the one that the proof begins with; or that size has another root.
    Conflict(u64),
    /// The request has another form, or its sizes cannot be.
    Malformed,
    /// This log is not witnessed here.
    UnknownLog,
    /// The log did not sign it.
    NotSigned,
    /// The proof does not show that the older tree is the beginning, or an account of the ledger has fallen.
    Inconsistent,
}

/// A witness that cannot start or write.
#[derive(Debug, thiserror::Error)]
pub enum WitnessFault {
    /// Its key.
    #[error(transparent)]
    Keys(#[from] KeysFault),
    /// Its name, or the public key of a log.
    #[error(transparent)]
    Name(#[from] VerifierFault),
    /// Its key file holds something else.
    #[error("witness.key is not the key of a witness")]
    NotAKey,
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system")]
    Randomness,
    /// A file could not be read or written.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What the witness kept is not what it wrote: it must not go on.
    #[error("{0} is damaged: a witness that forgot what it cosigned must be given a new name and key")]
    Damaged(PathBuf),
}

/// A witness with its folder open.
pub struct Notary {
    folder: PathBuf,
    cosigner: Cosigner,
    logs: BTreeMap<String, Verifier>,
    clock: Clock,
    one_at_a_time: Mutex<()>,
}

impl Notary {
    /// Makes the folder of a new witness called `name`; durable when this returns.
    ///
    /// # Errors
    /// [`WitnessFault`], also where the folder exists.
    pub fn make(folder: &Path, name: &str) -> Result<(), WitnessFault> {
        let fault = |source| WitnessFault::File { path: folder.to_owned(), source };
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(|_| WitnessFault::Randomness)?;
        let key = SigningKey::from_bytes(&seed);
        let public = Cosigner::new(name, &key)?.key().to_text();
        for part in ["", LOGS, NEWEST, EVIDENCE] {
            DirBuilder::new().mode(0o700).create(folder.join(part)).map_err(fault)?;
        }
        let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|_| WitnessFault::NotAKey)?;
        keys::write_secret(&folder.join(KEY), pem.as_bytes())?;
        write(&folder.join(VKEY), &format!("{public}\n"))
    }

    /// Has the witness accept a log, by its public key.
    ///
    /// # Errors
    /// [`WitnessFault`].
    pub fn add_log(folder: &Path, key: &str) -> Result<String, WitnessFault> {
        let log = Verifier::from_text(key.trim_end())?;
        write(&folder.join(LOGS).join(name_of(log.name())), &format!("{}\n", log.to_text()))?;
        Ok(log.name().to_owned())
    }

    /// Opens the folder.
    ///
    /// # Errors
    /// [`WitnessFault`], also where the newest checkpoint of a log is not readable: a witness does not begin anew.
    pub fn open(folder: &Path, clock: Clock) -> Result<Self, WitnessFault> {
        let public = read(&folder.join(VKEY))?;
        let pem = keys::read_secret(&folder.join(KEY))?;
        let pem = std::str::from_utf8(&pem).map_err(|_| WitnessFault::NotAKey)?;
        let key = SigningKey::from_pkcs8_pem(pem).map_err(|_| WitnessFault::NotAKey)?;
        let name = public.split_once('+').map_or("", |(name, _)| name);
        let cosigner = Cosigner::new(name, &key)?;
        if cosigner.key().to_text() != public.trim_end() {
            return Err(WitnessFault::NotAKey);
        }
        let mut logs = BTreeMap::new();
        let path = folder.join(LOGS);
        let fault = |source| WitnessFault::File { path: path.clone(), source };
        for file in std::fs::read_dir(&path).map_err(fault)? {
            let log = Verifier::from_text(read(&file.map_err(fault)?.path())?.trim_end())?;
            logs.insert(log.name().to_owned(), log);
        }
        let notary = Self { folder: folder.to_owned(), cosigner, logs, clock, one_at_a_time: Mutex::default() };
        for log in notary.logs.values() {
            let _readable = notary.held(log)?;
        }
        Ok(notary)
    }

    /// The witness's public key.
    #[must_use]
    pub fn key(&self) -> crate::audit::WitnessKey {
        self.cosigner.key()
    }

    /// Judges one request of `add-checkpoint`: `old <size>`, the consistency proof, an empty line, the checkpoint.
    ///
    /// # Errors
    /// [`WitnessFault`] where the folder cannot be read or written; then nothing was cosigned.
    pub fn add_checkpoint(&self, request: &str) -> Result<Verdict, WitnessFault> {
        let Some(request) = Request::read(request) else { return Ok(Verdict::Malformed) };
        let Some(log) = self.logs.get(request.origin) else { return Ok(Verdict::UnknownLog) };
        let Ok(asked) = Checkpoint::open(&request.note, log) else { return Ok(Verdict::NotSigned) };
        if request.old > asked.size {
            return Ok(Verdict::Malformed);
        }
        let _alone = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        let held = self.held(log)?;
        if let Some((held, note)) = &held {
            let forked = held.size == asked.size && held.root != asked.root;
            // A later instant and yet a smaller tree: the log was set back.
            let set_back = asked.size < held.size && instant(&asked) > instant(held);
            if forked || set_back {
                self.keep_evidence(&asked, &request.note, note)?;
            }
        }
        let (size, root) = held.as_ref().map_or((0, [0; 32]), |(held, _)| (held.size, held.root));
        if request.old != size || (size == asked.size && root != asked.root) {
            return Ok(Verdict::Conflict(size));
        }
        if !verify_consistency((size, &root), (asked.size, &asked.root), &request.proof) {
            return Ok(Verdict::Inconsistent);
        }
        if held.as_ref().is_some_and(|(held, _)| fallen(held, &asked)) {
            return Ok(Verdict::Inconsistent);
        }
        let Some((text, _)) = request.note.rsplit_once("\n\n") else { return Ok(Verdict::Malformed) };
        let at = u64::try_from(self.clock.now().0 / 1_000_000).unwrap_or(0);
        let line = self.cosigner.cosign(&format!("{text}\n"), at);
        // Of two notes over one tree the one with the ledger's totals is kept.
        if asked.size > size || held.is_none() || asked.extension.iter().any(|line| line.starts_with(LEDGER_LINE)) {
            write(&self.newest_path(log), &format!("{}{line}", request.note))?;
        }
        // On disk: the checkpoint. Only now may its cosignature leave.
        Ok(Verdict::Cosigned(line))
    }

    /// The newest checkpoint of the log called `origin`, as it was cosigned.
    ///
    /// # Errors
    /// [`WitnessFault`].
    pub fn newest(&self, origin: &str) -> Result<Option<String>, WitnessFault> {
        let Some(log) = self.logs.get(origin) else { return Ok(None) };
        Ok(self.held(log)?.map(|(_, note)| note))
    }

    /// The same, by the SHA-256 of the origin in hexadecimal.
    pub(super) fn newest_by_file(&self, file: &str) -> Result<Option<String>, WitnessFault> {
        let log = self.logs.keys().find(|origin| name_of(origin) == file);
        log.map_or(Ok(None), |origin| self.newest(origin))
    }

    /// What lies in `evidence/`.
    ///
    /// # Errors
    /// [`WitnessFault`].
    pub fn evidence(&self) -> Result<Vec<String>, WitnessFault> {
        let path = self.folder.join(EVIDENCE);
        let fault = |source| WitnessFault::File { path: path.clone(), source };
        let mut all = Vec::new();
        for file in std::fs::read_dir(&path).map_err(fault)? {
            all.push(read(&file.map_err(fault)?.path())?);
        }
        Ok(all)
    }

    /// The newest checkpoint cosigned, and its note. One that was written and does not verify is damage.
    fn held(&self, log: &Verifier) -> Result<Option<(Checkpoint, String)>, WitnessFault> {
        let path = self.newest_path(log);
        let note = match std::fs::read_to_string(&path) {
            Ok(note) => note,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(WitnessFault::File { path, source }),
        };
        let own = [self.cosigner.key()];
        let opened = crate::audit::open_cosigned(&note, log, &own).ok();
        let held = opened.filter(|(_, by)| by.len() == 1).and_then(|(text, _)| Checkpoint::of_text(text, log));
        held.map(|held| Some((held, note))).ok_or(WitnessFault::Damaged(path))
    }

    fn keep_evidence(&self, asked: &Checkpoint, asked_note: &str, held_note: &str) -> Result<(), WitnessFault> {
        let name = format!("{}-{}", asked.size, to_hex(&Sha256::digest(asked_note)));
        tracing::error!(size = asked.size, "a log signed what contradicts an older checkpoint; kept as evidence");
        write(&self.folder.join(EVIDENCE).join(name), &format!("{held_note}\n{asked_note}"))
    }

    fn newest_path(&self, log: &Verifier) -> PathBuf {
        self.folder.join(NEWEST).join(name_of(log.name()))
    }
}

/// One request, read.
struct Request<'a> {
    old: u64,
    proof: Vec<Hash>,
    origin: &'a str,
    /// The checkpoint with its first signature alone: others are not ours to judge.
    note: String,
}

impl<'a> Request<'a> {
    fn read(request: &'a str) -> Option<Self> {
        let (head, note) = request.split_once("\n\n")?;
        let mut lines = head.lines();
        let written = lines.next()?.strip_prefix("old ")?;
        let old: u64 = written.parse().ok().filter(|old: &u64| old.to_string() == written)?;
        let proof: Option<Vec<Hash>> = lines.map(|line| from_base64(line)?.try_into().ok()).collect();
        let proof = proof.filter(|proof| proof.len() <= PROOF_MOST)?;
        let (origin, _) = note.split_once('\n')?;
        Some(Self { old, proof, origin, note: crate::audit::without_cosignatures(note)? })
    }
}

/// Whether an account of the ledger shows less in `new` than in `old`.
fn fallen(old: &Checkpoint, new: &Checkpoint) -> bool {
    let (before, after) = (totals(old), totals(new));
    // The public note of the same tree has no totals.
    !after.is_empty() && before.iter().any(|(cap, was)| after.get(cap).is_none_or(|is| !was.at_most(is)))
}

fn totals(checkpoint: &Checkpoint) -> BTreeMap<&str, Loss> {
    let read = |line: &'_ String| -> Option<(usize, Loss)> {
        let (cap, loss) = line.strip_prefix(LEDGER_LINE)?.strip_prefix(' ')?.split_once(' ')?;
        Some((cap.len(), serde_json::from_str(loss).ok()?))
    };
    let start = LEDGER_LINE.len() + 1;
    let lines = checkpoint.extension.iter();
    lines.filter_map(|line| read(line).and_then(|(len, loss)| Some((line.get(start..start + len)?, loss)))).collect()
}

/// The instant that a checkpoint states, as written: instants of one form sort as their texts do.
fn instant(checkpoint: &Checkpoint) -> Option<&str> {
    checkpoint.extension.first()?.strip_prefix(AT_LINE)
}

/// A log's file: its origin holds a slash.
pub(super) fn name_of(origin: &str) -> String {
    to_hex(&Sha256::digest(origin))
}

fn read(path: &Path) -> Result<String, WitnessFault> {
    std::fs::read_to_string(path).map_err(|source| WitnessFault::File { path: path.to_owned(), source })
}

/// Writes a file that is there whole or not at all, durable when this returns.
fn write(path: &Path, text: &str) -> Result<(), WitnessFault> {
    let write = || {
        let draft = path.with_extension("tmp");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().map_err(|source| WitnessFault::File { path: path.to_owned(), source })
}

const KEY: &str = "witness.key";
/// The public key.
pub(super) const VKEY: &str = "witness.vkey";
const LOGS: &str = "logs";
const NEWEST: &str = "newest";
const EVIDENCE: &str = "evidence";
/// The most lines that a consistency proof may have.
const PROOF_MOST: usize = 63;

#[cfg(test)]
mod tests;
