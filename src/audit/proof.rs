//! How does anybody's own verifier check that an entry is in the log? (C2SP tlog-proof)
//!
//! Lines: `c2sp.org/tlog-proof@v1`, `extra` (here: salt and entry, so that the proof stands alone), `index`, the hashes of
//! the inclusion proof, an empty line, and the published checkpoint with its cosignatures. The record that it proves is the
//! salted commitment to the entry.

use super::{
    checkpoint::Checkpoint,
    commitment::{Salt, commitment_of},
    cosign::{Cosigned, WitnessKey, open_cosigned},
    note::{Verifier, VerifierFault},
    text::{from_base64, to_base64},
    tree::{Hash, hash_leaf, verify_inclusion},
};

/// A proof in the C2SP form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The entry's place.
    pub index: u64,
    /// The inclusion proof, lowest hash first.
    pub path: Vec<Hash>,
    /// Salt and whole entry. Not authenticated by itself: it must give the leaf.
    pub opening: (Salt, String),
    /// The signed checkpoint, with cosignatures.
    pub checkpoint: String,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// The text has another form.
    #[error("not a tlog-proof of this log")]
    NotAProof,
    /// The checkpoint is not the log's, or a cosignature is by nobody known.
    #[error("the checkpoint does not verify")]
    Checkpoint(#[source] VerifierFault),
    /// The entry is not in that tree at that place.
    #[error("the entry is not in the tree")]
    Inclusion,
}

impl Proof {
    /// The proof as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let (salt, body) = &self.opening;
        let extra = to_base64(&[salt.as_slice(), body.as_bytes()].concat());
        let mut text = format!("{HEAD}\nextra {extra}\nindex {}\n", self.index);
        for hash in &self.path {
            text.push_str(&to_base64(hash));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads what [`Proof::to_text`] wrote; no other spelling.
    ///
    /// # Errors
    /// [`ProofFault::NotAProof`].
    pub fn from_text(text: &str) -> Result<Self, ProofFault> {
        Self::read(text).filter(|read| read.to_text() == text).ok_or(ProofFault::NotAProof)
    }

    fn read(text: &str) -> Option<Self> {
        let (head, checkpoint) = text.split_once("\n\n")?;
        let mut lines = head.lines();
        (lines.next()? == HEAD).then_some(())?;
        let extra = from_base64(lines.next()?.strip_prefix("extra ")?)?;
        let (salt, body) = extra.split_first_chunk::<32>()?;
        let opening = (*salt, String::from_utf8(body.to_vec()).ok()?);
        let index = lines.next()?.strip_prefix("index ")?.parse().ok()?;
        let path: Option<Vec<Hash>> = lines.map(|line| from_base64(line)?.try_into().ok()).collect();
        Some(Self { index, path: path?, opening, checkpoint: checkpoint.to_owned() })
    }

    /// Checks everything, offline; returns who cosigned.
    ///
    /// # Errors
    /// [`ProofFault`] says what does not hold.
    pub fn verify(&self, log: &Verifier, witnesses: &[WitnessKey]) -> Result<Vec<Cosigned>, ProofFault> {
        let (text, cosigned) = open_cosigned(&self.checkpoint, log, witnesses).map_err(ProofFault::Checkpoint)?;
        let checkpoint = Checkpoint::of_text(text, log).ok_or(ProofFault::NotAProof)?;
        let (salt, body) = &self.opening;
        let leaf = hash_leaf(&commitment_of(salt, body));
        match verify_inclusion(&leaf, self.index, checkpoint.size, &self.path, &checkpoint.root) {
            true => Ok(cosigned),
            false => Err(ProofFault::Inclusion),
        }
    }
}

const HEAD: &str = "c2sp.org/tlog-proof@v1";
