//! How is a secret kept in a file that others may copy?
//!
//! AES-256-GCM under a key of 32 bytes, with a fresh random nonce and the name of what is sealed as associated data: a
//! sealed file put under another name does not open. The number of messages under one key is small (files, not rows).

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf,
};
use zeroize::Zeroizing;

/// A key of 32 bytes, wiped on drop. No Debug, no Clone, no Serialize.
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// A fresh one from the operating system's randomness; none where it gives none.
    #[must_use]
    pub fn fresh() -> Option<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).ok()?;
        Some(Self(bytes))
    }

    /// The key of these bytes; none unless there are 32.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0; 32]);
        (bytes.len() == key.len()).then(|| key.copy_from_slice(bytes))?;
        Some(Self(key))
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Another key, for one use, that says nothing about this one (HKDF-SHA-256). Equal uses give equal keys.
    #[must_use]
    pub fn derive(&self, used_for: &str) -> Option<Self> {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"sekisho");
        let mut key = Zeroizing::new([0; 32]);
        let info = [used_for.as_bytes()];
        salt.extract(self.bytes()).expand(&info, hkdf::HKDF_SHA256).ok()?.fill(key.as_mut_slice()).ok()?;
        Some(Self(key))
    }

    /// `secret`, sealed under the name `called`; none where there is no randomness.
    #[must_use]
    pub fn seal(&self, called: &str, secret: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        // Room for the tag from the start, so that growing leaves no copy in clear behind.
        let mut inside = Vec::with_capacity(secret.len().checked_add(AES_256_GCM.tag_len())?);
        inside.extend_from_slice(secret);
        let aad = Aad::from(called.as_bytes());
        self.cipher()?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut inside).ok()?;
        Some([MAGIC, &nonce, &inside].concat())
    }

    /// What was sealed under the name `called` with this key; none for anything else.
    #[must_use]
    pub fn unseal(&self, called: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, inside) = sealed.strip_prefix(MAGIC)?.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut inside = Zeroizing::new(inside.to_vec());
        let length = self.cipher()?.open_in_place(nonce, Aad::from(called.as_bytes()), &mut inside).ok()?.len();
        inside.truncate(length);
        Some(inside)
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, self.bytes()).ok().map(LessSafeKey::new)
    }
}

/// Whether the bytes were sealed by [`SecretKey::seal`], under whatever key.
#[must_use]
pub fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// What a sealed secret begins with.
const MAGIC: &[u8] = b"sekisho-sealed-1\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_under_the_same_name_opens_what_was_sealed_and_every_changed_byte_is_noticed() {
        let key = SecretKey::fresh().unwrap();
        let sealed = key.seal("group.key", b"a secret").unwrap();
        assert!(is_sealed(&sealed) && !sealed.windows(8).any(|part| part == b"a secret"));
        assert_eq!(key.unseal("group.key", &sealed).unwrap().as_slice(), b"a secret");
        assert!(key.unseal("file.key", &sealed).is_none(), "another name");
        assert!(SecretKey::fresh().unwrap().unseal("group.key", &sealed).is_none(), "another key");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.unseal("group.key", &changed).is_none(), "byte {at}");
            assert!(key.unseal("group.key", &sealed[..at]).is_none(), "cut at {at}");
        }
        assert_ne!(key.seal("group.key", b"a secret").unwrap(), sealed, "a fresh nonce each time");
    }

    #[test]
    fn a_derived_key_is_the_same_for_the_same_use_and_another_for_another() {
        let key = SecretKey::of(&[7; 32]).unwrap();
        assert_eq!(key.derive("books").unwrap().bytes(), key.derive("books").unwrap().bytes());
        assert_ne!(key.derive("books").unwrap().bytes(), key.derive("files").unwrap().bytes());
        assert_ne!(key.derive("books").unwrap().bytes(), key.bytes());
        assert!(SecretKey::of(&[7; 31]).is_none());
    }
}
