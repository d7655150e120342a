//! What can the holder of an answer prove, to anybody, without us?
//!
//! A receipt opens one entry (body and salt), shows its leaf in the tree (inclusion proof) and the tree in a signed
//! checkpoint. It verifies offline with the log's public key.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    checkpoint::Checkpoint,
    commitment::leaf_of,
    log::Entry,
    note::{Verifier, VerifierFault},
    text::{from_hex, to_hex},
    tree::{Hash, verify_inclusion},
};
use crate::terms::EntryNumber;

/// The proof that an entry is in the log. As JSON it has one spelling; [`Receipt::from_json`] refuses others.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The version of this form: 1.
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
    /// The signed checkpoint.
    pub checkpoint: String,
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

    /// Checks everything, offline: signature, leaf, inclusion.
    ///
    /// # Errors
    /// [`ReceiptFault`] says what does not hold.
    pub fn verify(&self, verifier: &Verifier) -> Result<(), ReceiptFault> {
        if self.format != FORMAT {
            return Err(ReceiptFault::NotAReceipt);
        }
        let checkpoint = Checkpoint::open(&self.checkpoint, verifier).map_err(ReceiptFault::Checkpoint)?;
        let salt = from_hex(&self.salt).ok_or(ReceiptFault::NotAReceipt)?;
        let leaf = leaf_of(&salt, &self.body);
        if from_hex(&self.leaf) != Some(leaf) {
            return Err(ReceiptFault::Leaf);
        }
        let path: Option<Vec<Hash>> = self.proof.iter().map(|hash| from_hex(hash)).collect();
        let path = path.ok_or(ReceiptFault::NotAReceipt)?;
        match verify_inclusion(&leaf, self.entry.0, checkpoint.size, &path, &checkpoint.root) {
            true => Ok(()),
            false => Err(ReceiptFault::Inclusion),
        }
    }
}

const FORMAT: u32 = 1;
