//! Can an outsider check that nothing was altered or removed?
//!
//! Every entry is one leaf of a Merkle tree (RFC 6962). A leaf is a salted commitment of one length, so that the tree
//! shows neither type nor size of an entry; the entry itself lies beside it. Checkpoints are signed notes in the C2SP
//! formats (signed-note, tlog-checkpoint), Ed25519, key name `sekisho/<enclave>`.

mod canonical;
mod checkpoint;
mod commitment;
mod consistency;
mod cosign;
mod export;
mod log;
mod note;
mod proof;
mod receipt;
mod text;
mod tiles;
mod tree;

use crate::store::StoreFault;

pub use canonical::{canonical, is_canonical};
pub use checkpoint::{AT_LINE, Checkpoint, LEDGER_LINE};
pub use commitment::{Salt, commitment_of, leaf_of};
pub use consistency::verify_consistency;
pub use cosign::{Cosigned, Cosigner, WitnessKey, open_cosigned, without_cosignatures};
pub use export::{ENTRIES, ExportLine, KEY, read_lines};
pub use log::{
    Draft, Entry, Head, SCHEMA, append, checkpoint, consistency_of, entries, entry, head, inclusion_of, leaves, next,
    node_of, promise, receipt, receipt_at, root_of, tiles_of,
};
pub use note::{Signer, Verifier, VerifierFault};
pub use proof::{Proof, ProofFault};
pub use receipt::{Proved, Receipt, ReceiptFault};
pub use text::{from_base64, from_hex, to_base64, to_hex};
pub use tiles::{Tile, tiles};
pub use tree::{Hash, Tree, hash_children, hash_leaf, verify_inclusion};

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
