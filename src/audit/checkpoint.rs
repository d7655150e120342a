//! What does the log say about itself, signed? (C2SP tlog-checkpoint)
//!
//! Lines: origin, number of entries, base64 root, then extension lines. Ours carry the ledger:
//! `ledger <cap> <loss>`, one per cap in the order of the caps' texts, where the loss is the JSON of everything ever taken
//! from that cap, settled or not. A store restored from an older copy shows less than its newest checkpoint known outside.
//!
//! A published checkpoint has the line `at <instant>` first. It is signed twice over the same tree: once with ledger lines,
//! for witnesses and auditors, once without, for tiles, proofs and receipts: what others spent is not an analyst's to see.

use super::{
    note::{Signer, Verifier, VerifierFault},
    text::{from_base64, to_base64},
    tree::Hash,
};

/// The state of the log at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// How many entries the tree has.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// The extension lines, without newlines.
    pub extension: Vec<String>,
}

impl Checkpoint {
    /// The signed note of this checkpoint.
    #[must_use]
    pub fn sign(&self, signer: &Signer) -> String {
        signer.sign(&self.text(signer.name()))
    }

    /// The checkpoint in `note`, if `verifier` signed it for its own log.
    ///
    /// # Errors
    /// [`VerifierFault`] says what is wrong.
    pub fn open(note: &str, verifier: &Verifier) -> Result<Self, VerifierFault> {
        Self::of_text(verifier.open(note)?, verifier).ok_or(VerifierFault::NotANote)
    }

    /// The checkpoint that `text` states, a note's text that was verified before; none where it is another log's or none.
    #[must_use]
    pub fn of_text(text: &str, log: &Verifier) -> Option<Self> {
        Self::read(text).filter(|read| read.text(log.name()) == text)
    }

    fn text(&self, origin: &str) -> String {
        let mut text = format!("{origin}\n{}\n{}\n", self.size, to_base64(&self.root));
        for line in &self.extension {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    // The origin is compared by writing the whole text again.
    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1);
        let size = lines.next()?.parse().ok()?;
        let root = from_base64(lines.next()?)?.try_into().ok()?;
        let extension: Vec<String> = lines.map(str::to_owned).collect();
        extension.iter().all(|line| !line.is_empty()).then_some(Self { size, root, extension })
    }
}

/// What the extension line of the instant begins with.
pub const AT_LINE: &str = "at";
/// What the ledger's extension lines begin with.
pub const LEDGER_LINE: &str = "ledger";

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    #[test]
    fn a_checkpoint_reads_back_and_belongs_to_its_log_only() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let signer = Signer::new("test", &key).unwrap();
        let checkpoint = Checkpoint { size: 3, root: [9; 32], extension: vec!["ledger population/jp {}".into()] };
        let note = checkpoint.sign(&signer);
        assert!(note.starts_with("sekisho/test\n3\nCQkJ"), "{note}");
        assert_eq!(Checkpoint::open(&note, &signer.verifier()), Ok(checkpoint));
        for text in ["sekisho/other\n3\n", "sekisho/test\n03\n", "sekisho/test\n+3\n"] {
            let other = signer.sign(&format!("{text}{}\n", to_base64(&[9; 32])));
            assert_eq!(Checkpoint::open(&other, &signer.verifier()), Err(VerifierFault::NotANote), "{text:?}");
        }
    }
}
