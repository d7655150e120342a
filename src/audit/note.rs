//! Who signed this text? (C2SP signed-note, Ed25519)
//!
//! A signed note is a text that ends with a newline, an empty line, and signature lines
//! `— <key name> base64(key id || signature)`. The key id is the first four bytes of SHA-256(name, newline, 0x01, public
//! key); a public key is written as `<key name>+<hex key id>+base64(0x01 || public key)`.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::text::{from_base64, to_base64, to_hex};

/// Signs notes for one enclave. No Debug: it holds the key.
pub struct Signer {
    name: String,
    key: SigningKey,
}

impl Signer {
    /// The signer of the enclave called `enclave`; its key name is `sekisho/<enclave>`.
    ///
    /// # Errors
    /// [`VerifierFault::Name`] unless the name is 1 to 64 of a-z, A-Z, 0-9, '.', '_' and '-'.
    pub fn new(enclave: &str, key: &SigningKey) -> Result<Self, VerifierFault> {
        let sound = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        match !enclave.is_empty() && enclave.len() <= 64 && enclave.chars().all(sound) {
            true => Ok(Self { name: format!("{ORIGIN}{enclave}"), key: key.clone() }),
            false => Err(VerifierFault::Name),
        }
    }

    /// The key name, which is also the origin of the log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// `text` (ending with a newline) as a signed note.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        let mut stamp = key_id(&self.name, ED25519, &self.key.verifying_key()).to_vec();
        stamp.extend(self.key.sign(text.as_bytes()).to_bytes());
        format!("{text}\n\u{2014} {} {}\n", self.name, to_base64(&stamp))
    }
}

/// Checks notes of one enclave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: VerifyingKey,
}

/// Why a public key is none, or a note is not by that key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifierFault {
    /// The name of the enclave breaks the rule of key names.
    #[error("an enclave's name is 1 to 64 of a-z, A-Z, 0-9, '.', '_' and '-'")]
    Name,
    /// The name of a witness breaks the rule of key names.
    #[error("a witness's name has neither blanks nor '+'")]
    WitnessName,
    /// The text is no public key in the C2SP form.
    #[error("not a public key of a log")]
    NotAKey,
    /// The text is no signed note.
    #[error("not a signed note")]
    NotANote,
    /// It is signed by somebody else.
    #[error("signed by another key")]
    OtherKey,
    /// The signature does not belong to the text.
    #[error("the signature does not belong to the text")]
    Signature,
}

impl Verifier {
    /// Reads a public key as [`Verifier::to_text`] writes it, with or without a newline at the end.
    ///
    /// # Errors
    /// [`VerifierFault::NotAKey`], also where name and key id do not belong to the key.
    pub fn from_text(text: &str) -> Result<Self, VerifierFault> {
        let line = text.strip_suffix('\n').unwrap_or(text);
        Self::read(line).filter(|read| read.to_text() == line).ok_or(VerifierFault::NotAKey)
    }

    fn read(line: &str) -> Option<Self> {
        // The name and the key id hold no '+', base64 may.
        let (name, rest) = line.split_once('+')?;
        let (_, key) = rest.split_once('+')?;
        let key = from_base64(key)?;
        let key = <[u8; 32]>::try_from(key.strip_prefix(&[ED25519])?).ok()?;
        name.starts_with(ORIGIN).then_some(())?;
        Some(Self { name: name.to_owned(), key: VerifyingKey::from_bytes(&key).ok()? })
    }

    /// The public key as text: `sekisho/<enclave>+<key id>+<key>`.
    #[must_use]
    pub fn to_text(&self) -> String {
        let key = [&[ED25519], self.key.as_bytes().as_slice()].concat();
        format!("{}+{}+{}", self.name, to_hex(&key_id(&self.name, ED25519, &self.key)), to_base64(&key))
    }

    /// The key name, which is also the origin of the log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text of `note`, if this key signed it and nothing else is in it.
    ///
    /// # Errors
    /// [`VerifierFault`] says what is wrong.
    pub fn open<'a>(&self, note: &'a str) -> Result<&'a str, VerifierFault> {
        let (text, line) = note.rsplit_once("\n\n").ok_or(VerifierFault::NotANote)?;
        let text = note.get(..=text.len()).ok_or(VerifierFault::NotANote)?;
        let lines = signature_lines(line).ok_or(VerifierFault::NotANote)?;
        let [line] = lines.as_slice() else { return Err(VerifierFault::NotANote) };
        let (id, signature) = line.stamp.split_at_checked(4).ok_or(VerifierFault::NotANote)?;
        if line.name != self.name || id != key_id(&self.name, ED25519, &self.key) {
            return Err(VerifierFault::OtherKey);
        }
        let signature = Signature::from_slice(signature).map_err(|_| VerifierFault::Signature)?;
        // Strict: no second signature of the same text can be made from the first.
        self.key.verify_strict(text.as_bytes(), &signature).map_err(|_| VerifierFault::Signature)?;
        Ok(text)
    }
}

/// The first four bytes that every signature of a key begins with.
pub(super) fn key_id(name: &str, kind: u8, key: &VerifyingKey) -> [u8; 4] {
    let hash: [u8; 32] =
        Sha256::new().chain_update(name).chain_update([b'\n', kind]).chain_update(key.as_bytes()).finalize().into();
    let [a, b, c, d, ..] = hash;
    [a, b, c, d]
}

/// One signature line: whose it says it is, and key id with signature.
pub(super) struct SignatureLine<'a> {
    pub(super) name: &'a str,
    pub(super) stamp: Vec<u8>,
}

/// The signature lines of a note, all of them; none where one has another form.
pub(super) fn signature_lines(lines: &str) -> Option<Vec<SignatureLine<'_>>> {
    let mut all = Vec::new();
    for line in lines.split_inclusive('\n') {
        let (name, stamp) = line.strip_suffix('\n')?.strip_prefix("\u{2014} ")?.split_once(' ')?;
        all.push(SignatureLine { name, stamp: from_base64(stamp)? });
    }
    Some(all)
}

const ORIGIN: &str = "sekisho/";
/// The signature type of Ed25519 in signed notes.
const ED25519: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    // The worked example of the reference implementation (golang.org/x/mod/sumdb/note).
    #[test]
    fn a_published_note_verifies_with_its_published_key() {
        let verifier = published();
        let note = format!("{PUBLISHED_TEXT}\n{PUBLISHED_LINE}");
        assert_eq!(verifier.open(&note), Ok(PUBLISHED_TEXT));
    }

    #[test]
    fn every_flipped_byte_of_a_note_is_found() {
        let signer = Signer::new("test", &SigningKey::from_bytes(&[7; 32])).unwrap();
        let note = signer.sign("a text\nof two lines\n");
        assert_eq!(signer.verifier().open(&note), Ok("a text\nof two lines\n"));
        for place in 0..note.len() {
            for bit in 0..8 {
                let mut bytes = note.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                let opened = String::from_utf8(bytes).ok().map(|n| signer.verifier().open(&n).is_ok());
                assert_ne!(opened, Some(true), "byte {place} bit {bit}");
            }
        }
    }

    #[test]
    fn every_flipped_byte_of_a_public_key_is_found() {
        let key = Signer::new("test", &SigningKey::from_bytes(&[7; 32])).unwrap().verifier().to_text();
        assert_eq!(Verifier::from_text(&key).unwrap().to_text(), key);
        for place in 0..key.len() {
            for bit in 0..8 {
                let mut bytes = key.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                let read = String::from_utf8(bytes).ok().map(|k| Verifier::from_text(&k).is_ok());
                assert_ne!(read, Some(true), "byte {place} bit {bit}");
            }
        }
    }

    #[test]
    fn another_enclave_with_the_same_key_is_another_signer() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let (one, two) = (Signer::new("one", &key).unwrap(), Signer::new("two", &key).unwrap());
        assert_eq!(two.verifier().open(&one.sign("text\n")), Err(VerifierFault::OtherKey));
        assert!(
            Signer::new("a b", &key).is_err() && Signer::new("a+b", &key).is_err() && Signer::new("", &key).is_err()
        );
    }

    fn published() -> Verifier {
        // Read past the rule that our own key names begin with `sekisho/`.
        let (name, rest) = PUBLISHED_KEY.split_once('+').unwrap();
        let (id, key) = rest.split_once('+').unwrap();
        let key = from_base64(key).unwrap();
        let key = VerifyingKey::from_bytes(key[1..].try_into().unwrap()).unwrap();
        assert_eq!(to_hex(&key_id(name, ED25519, &key)), id);
        Verifier { name: name.to_owned(), key }
    }

    const PUBLISHED_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const PUBLISHED_TEXT: &str =
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const PUBLISHED_LINE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
}
