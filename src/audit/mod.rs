//! Can an outsider check that nothing was altered or removed?
//!
//! Every entry is one leaf of a Merkle tree (RFC 6962). A leaf is a salted commitment of one length, so that the tree
//! shows neither type nor size of an entry; the entry itself lies beside it. Checkpoints are signed notes in the C2SP
//! formats (signed-note, tlog-checkpoint), Ed25519, key name `sekisho/<enclave>`.

mod canonical;
mod checkpoint;
mod commitment;
mod export;
mod log;
mod note;
mod receipt;
mod text;
mod tree;

use crate::store::StoreFault;

pub use canonical::{canonical, is_canonical};
pub use checkpoint::{Checkpoint, LEDGER_LINE};
pub use commitment::{Salt, leaf_of};
pub use export::{ENTRIES, ExportLine, KEY, read_lines};
pub use log::{Draft, Entry, Head, SCHEMA, append, checkpoint, entries, entry, head, leaves, receipt};
pub use note::{Signer, Verifier, VerifierFault};
pub use receipt::{Receipt, ReceiptFault};
pub use text::{from_hex, to_hex};
pub use tree::{Hash, Tree, verify_inclusion};

/// Why the log did not write or read.
#[derive(Debug, thiserror::Error)]
pub enum AuditFault {
    /// The books failed.
    #[error("the log could not be read or written")]
    Store(#[from] StoreFault),
    /// The operating system gave no randomness for a salt.
    #[error("no randomness from the operating system")]
    Randomness,
    /// An entry would not be readable: it nests too deep.
    #[error("an entry nests too deep for the log")]
    Wording,
    /// There is no such entry.
    #[error("the log has no entry {0}")]
    NoEntry(u64),
}

impl From<rusqlite::Error> for AuditFault {
    fn from(source: rusqlite::Error) -> Self {
        Self::Store(source.into())
    }
}
