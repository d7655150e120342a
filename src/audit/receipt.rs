//! What can the holder of an answer prove, to anybody, without us?
//!
//! A receipt opens one entry (body and salt) and shows its leaf in the tree (inclusion proof) and the tree in a published
//! checkpoint. Checkpoints are published at fixed instants only, whatever happens in between, and an answer does not wait
//! for the next: it leaves with a *promise*, the log's signature under entry, leaf and the instant whose checkpoint will
//! hold it. A promise that a later checkpoint does not keep convicts the log. Both verify offline with its public key.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    checkpoint::Checkpoint,
    commitment::leaf_of,
    log::Entry,
    note::{Signer, Verifier, VerifierFault},
    text::{from_hex, to_base64, to_hex},
    tree::{Hash, verify_inclusion},
};
use crate::terms::{EntryNumber, Instant};

/// The proof that an entry is in the log. As JSON it has one spelling; [`Receipt::from_json`] refuses others.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The version of this form: 1 with a checkpoint, 2 with a promise.
    pub format: u32,
    /// The number of the entry, which is its place in the tree.
    pub entry: EntryNumber,
    /// The leaf hash, in hexadecimal.
    pub leaf: String,
    /// The whole entry, canonical JSON.
    pub body: String,
    /// The salt, in hexadecimal.
    pub salt: String,
    /// The inclusion proof of RFC 6962, lowest hash first, in hexadecimal.
    pub proof: Vec<String>,
    /// The signed checkpoint; in form 2 the signed promise.
    pub checkpoint: String,
}

/// What a receipt that verifies proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proved {
    /// The entry is in the published tree of so many entries.
    InTheTree(u64),
    /// The log has promised it for the checkpoint of this instant, as it wrote it.
    Promised(String),
}

// The body holds the text of a question: it goes to its asker, not into logs.
impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").field("entry", &self.entry).field("leaf", &self.leaf).finish_non_exhaustive()
    }
}

/// What is wrong with a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptFault {
    /// The text is no receipt, or not in its one spelling.
    #[error("not a receipt")]
    NotAReceipt,
    /// The checkpoint is not signed by the log's key.
    #[error("the checkpoint is not the log's")]
    Checkpoint(#[source] VerifierFault),
    /// Body and salt do not give the leaf.
    #[error("the entry is not the one that the leaf commits to")]
    Leaf,
    /// The log's promise is about another entry or leaf.
    #[error("the promise is not about this entry")]
    Promise,
    /// The leaf is not in the checkpoint's tree at that place.
    #[error("the leaf is not in the tree")]
    Inclusion,
}

impl Receipt {
    pub(super) fn new(entry: &Entry, path: &[Hash], checkpoint: String) -> Self {
        Self {
            format: FORMAT,
            entry: entry.number,
            leaf: to_hex(&leaf_of(&entry.salt, &entry.body)),
            body: entry.body.clone(),
            salt: to_hex(&entry.salt),
            proof: path.iter().map(|hash| to_hex(hash)).collect(),
            checkpoint,
        }
    }

    pub(super) fn promise(entry: &Entry, signer: &Signer, by: Instant) -> Self {
        let leaf = leaf_of(&entry.salt, &entry.body);
        let promise = signer.sign(&promise_text(signer.name(), entry.number, &leaf, &by.to_string()));
        Self { format: PROMISE, ..Self::new(entry, &[], promise) }
    }

    /// The receipt as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // A struct of strings and numbers always has a JSON text.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`Receipt::to_json`] wrote, with or without a newline at the end; no other spelling.
    ///
    /// # Errors
    /// [`ReceiptFault::NotAReceipt`].
    pub fn from_json(text: &str) -> Result<Self, ReceiptFault> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let read: Self = serde_json::from_str(text).map_err(|_| ReceiptFault::NotAReceipt)?;
        if read.to_json() == text { Ok(read) } else { Err(ReceiptFault::NotAReceipt) }
    }

    /// Checks everything, offline: signature, leaf, inclusion or promise.
    ///
    /// # Errors
    /// [`ReceiptFault`] says what does not hold.
    pub fn verify(&self, verifier: &Verifier) -> Result<(), ReceiptFault> {
        self.prove(verifier).map(drop)
    }

    /// The same, and what it proves.
    ///
    /// # Errors
    /// [`ReceiptFault`] says what does not hold.
    pub fn prove(&self, verifier: &Verifier) -> Result<Proved, ReceiptFault> {
        let salt = from_hex(&self.salt).ok_or(ReceiptFault::NotAReceipt)?;
        let leaf = leaf_of(&salt, &self.body);
        match self.format {
            FORMAT => self.prove_inclusion(verifier, &leaf),
            PROMISE => self.prove_promise(verifier, &leaf),
            _ => Err(ReceiptFault::NotAReceipt),
        }
    }

    fn prove_inclusion(&self, verifier: &Verifier, leaf: &Hash) -> Result<Proved, ReceiptFault> {
        let checkpoint = Checkpoint::open(&self.checkpoint, verifier).map_err(ReceiptFault::Checkpoint)?;
        self.states(leaf)?;
        let path: Option<Vec<Hash>> = self.proof.iter().map(|hash| from_hex(hash)).collect();
        let path = path.ok_or(ReceiptFault::NotAReceipt)?;
        match verify_inclusion(leaf, self.entry.0, checkpoint.size, &path, &checkpoint.root) {
            true => Ok(Proved::InTheTree(checkpoint.size)),
            false => Err(ReceiptFault::Inclusion),
        }
    }

    fn prove_promise(&self, verifier: &Verifier, leaf: &Hash) -> Result<Proved, ReceiptFault> {
        let text = verifier.open(&self.checkpoint).map_err(ReceiptFault::Checkpoint)?;
        self.states(leaf)?;
        let by = text.lines().last().and_then(|line| line.strip_prefix("by ")).ok_or(ReceiptFault::Promise)?;
        let whole = self.proof.is_empty() && text == promise_text(verifier.name(), self.entry, leaf, by);
        if whole { Ok(Proved::Promised(by.to_owned())) } else { Err(ReceiptFault::Promise) }
    }

    fn states(&self, leaf: &Hash) -> Result<(), ReceiptFault> {
        if from_hex(&self.leaf) == Some(*leaf) { Ok(()) } else { Err(ReceiptFault::Leaf) }
    }
}

/// What the log signs as a promise. Its first two lines keep it from ever being read as a checkpoint.
fn promise_text(origin: &str, entry: EntryNumber, leaf: &Hash, by: &str) -> String {
    format!("{origin}/entry\nentry {}\n{}\nby {by}\n", entry.0, to_base64(leaf))
}

const PROMISE: u32 = 2;
const FORMAT: u32 = 1;
