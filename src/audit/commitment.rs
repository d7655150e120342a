//! What does the tree show of an entry? Nothing: one hash, salted, of one length.

use sha2::{Digest, Sha256};

use super::{
    AuditFault,
    tree::{Hash, hash_leaf},
};

/// Thirty-two secret random bytes beside every entry. Without them a leaf cannot be guessed from a candidate entry.
pub type Salt = [u8; 32];

/// The leaf of an entry: the RFC 6962 leaf hash of SHA-256(domain, salt, body), where the body is the whole entry.
#[must_use]
pub fn leaf_of(salt: &Salt, body: &str) -> Hash {
    hash_leaf(&commitment_of(salt, body))
}

/// The data of that leaf: SHA-256(domain, salt, body).
#[must_use]
pub fn commitment_of(salt: &Salt, body: &str) -> Hash {
    // INVARIANT: domain and salt have fixed lengths, so that no two (salt, body) share an input.
    Sha256::new().chain_update(DOMAIN).chain_update(salt).chain_update(body).finalize().into()
}

pub(super) fn fresh_salt() -> Result<Salt, AuditFault> {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).map_err(|_| AuditFault::Randomness)?;
    Ok(salt)
}

const DOMAIN: &[u8] = b"sekisho/entry/v1\n";
