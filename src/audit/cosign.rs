//! Who else has seen this checkpoint, and when? (C2SP tlog-cosignature, Ed25519)
//!
//! A witness signs `cosignature/v1`, the time in seconds, and the whole text of the checkpoint; its signature line holds key
//! id, time and signature. Its public key is written as `<name>+<hex key id>+base64(0x04 || key)`.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::{
    note::{Verifier, VerifierFault, key_id, signature_lines},
    text::{from_base64, to_base64, to_hex},
};

/// Cosigns for one witness. No Debug: it holds the key.
pub struct Cosigner {
    name: String,
    key: SigningKey,
}

/// Checks the cosignatures of one witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    key: VerifyingKey,
}

/// One cosignature that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// The witness.
    pub witness: String,
    /// When, in seconds since 1970-01-01T00:00:00Z.
    pub at_seconds: u64,
}

impl Cosigner {
    /// The witness called `name`, such as `ethics.example/w1`.
    ///
    /// # Errors
    /// [`VerifierFault::WitnessName`] where the name is none.
    pub fn new(name: &str, key: &SigningKey) -> Result<Self, VerifierFault> {
        match sound(name) {
            true => Ok(Self { name: name.to_owned(), key: key.clone() }),
            false => Err(VerifierFault::WitnessName),
        }
    }

    /// The public half.
    #[must_use]
    pub fn key(&self) -> WitnessKey {
        WitnessKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// The signature line over the text of a checkpoint, with its newline.
    #[must_use]
    pub fn cosign(&self, text: &str, at_seconds: u64) -> String {
        let mut stamp = key_id(&self.name, COSIGNATURE, &self.key.verifying_key()).to_vec();
        stamp.extend(at_seconds.to_be_bytes());
        stamp.extend(self.key.sign(message(text, at_seconds).as_bytes()).to_bytes());
        format!("\u{2014} {} {}\n", self.name, to_base64(&stamp))
    }
}

impl WitnessKey {
    /// Reads a public key as [`WitnessKey::to_text`] writes it, with or without a newline at the end.
    ///
    /// # Errors
    /// [`VerifierFault::NotAKey`].
    pub fn from_text(text: &str) -> Result<Self, VerifierFault> {
        let line = text.strip_suffix('\n').unwrap_or(text);
        Self::read(line).filter(|read| read.to_text() == line).ok_or(VerifierFault::NotAKey)
    }

    fn read(line: &str) -> Option<Self> {
        let (name, rest) = line.split_once('+')?;
        let (_, key) = rest.split_once('+')?;
        let key = from_base64(key)?;
        let key = <[u8; 32]>::try_from(key.strip_prefix(&[COSIGNATURE])?).ok()?;
        sound(name).then_some(())?;
        Some(Self { name: name.to_owned(), key: VerifyingKey::from_bytes(&key).ok()? })
    }

    /// The public key as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let key = [&[COSIGNATURE], self.key.as_bytes().as_slice()].concat();
        format!("{}+{}+{}", self.name, to_hex(&key_id(&self.name, COSIGNATURE, &self.key)), to_base64(&key))
    }

    /// The witness's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When this witness cosigned `text` by one of `lines`; none where no line of its own holds.
    #[must_use]
    pub fn cosigned(&self, text: &str, lines: &str) -> Option<Cosigned> {
        let lines = signature_lines(lines)?;
        lines.into_iter().find_map(|line| {
            let rest = line.stamp.strip_prefix(&key_id(&self.name, COSIGNATURE, &self.key))?;
            let (time, signature) = rest.split_first_chunk::<8>().filter(|_| line.name == self.name)?;
            let at_seconds = u64::from_be_bytes(*time);
            let signature = Signature::from_slice(signature).ok()?;
            self.key.verify_strict(message(text, at_seconds).as_bytes(), &signature).ok()?;
            Some(Cosigned { witness: self.name.clone(), at_seconds })
        })
    }
}

/// The text of `note` where the log signed it first and every further line is a cosignature of one of `witnesses`; with
/// the cosignatures.
///
/// # Errors
/// [`VerifierFault`] says what is wrong; [`VerifierFault::OtherKey`] where a line is by nobody known.
pub fn open_cosigned<'a>(
    note: &'a str,
    log: &Verifier,
    witnesses: &[WitnessKey],
) -> Result<(&'a str, Vec<Cosigned>), VerifierFault> {
    let (text, lines) = note.rsplit_once("\n\n").ok_or(VerifierFault::NotANote)?;
    let text = note.get(..=text.len()).ok_or(VerifierFault::NotANote)?;
    let first = lines.split_inclusive('\n').next().ok_or(VerifierFault::NotANote)?;
    log.open(&format!("{text}\n{first}"))?;
    let rest = lines.get(first.len()..).unwrap_or_default();
    let mut cosigned = Vec::new();
    for line in rest.split_inclusive('\n') {
        let by = witnesses.iter().find_map(|witness| witness.cosigned(text, line));
        cosigned.push(by.ok_or(VerifierFault::OtherKey)?);
    }
    Ok((text, cosigned))
}

/// `note` without its cosignatures: text and first signature line.
#[must_use]
pub fn without_cosignatures(note: &str) -> Option<String> {
    let (text, lines) = note.rsplit_once("\n\n")?;
    Some(format!("{text}\n\n{}", lines.split_inclusive('\n').next()?))
}

fn message(text: &str, at_seconds: u64) -> String {
    format!("cosignature/v1\ntime {at_seconds}\n{text}")
}

fn sound(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// The signature type of Ed25519 cosignatures.
const COSIGNATURE: u8 = 4;

#[cfg(test)]
mod tests {
    use super::{super::note::Signer, *};

    fn log() -> Signer {
        Signer::new("test", &SigningKey::from_bytes(&[7; 32])).unwrap()
    }

    fn witness(n: u8) -> Cosigner {
        Cosigner::new(&format!("ethics.example/w{n}"), &SigningKey::from_bytes(&[n; 32])).unwrap()
    }

    #[test]
    fn cosignatures_of_several_witnesses_stand_below_the_logs_own() {
        let mut note = log().sign("a text\n");
        note.push_str(&witness(1).cosign("a text\n", 5));
        note.push_str(&witness(2).cosign("a text\n", 6));
        let keys = [witness(2).key(), witness(1).key()];
        let (text, cosigned) = open_cosigned(&note, &log().verifier(), &keys).unwrap();
        assert_eq!((text, cosigned.len(), cosigned[0].at_seconds), ("a text\n", 2, 5));
        assert_eq!(open_cosigned(&note, &log().verifier(), &keys[..1]).unwrap_err(), VerifierFault::OtherKey);
        assert_eq!(log().verifier().open(&without_cosignatures(&note).unwrap()), Ok("a text\n"));
        assert_eq!(log().verifier().open(&note), Err(VerifierFault::NotANote), "strict where no witness is expected");
    }

    #[test]
    fn every_flipped_byte_of_a_cosigned_note_is_found() {
        let note = [log().sign("a text\n"), witness(1).cosign("a text\n", 1_679_315_147)].concat();
        let keys = [witness(1).key()];
        assert!(open_cosigned(&note, &log().verifier(), &keys).is_ok());
        for place in 0..note.len() {
            for bit in 0..8 {
                let mut bytes = note.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                let opened = String::from_utf8(bytes).ok();
                let opened =
                    opened.map(|n| open_cosigned(&n, &log().verifier(), &keys).is_ok_and(|(_, c)| c.len() == 1));
                assert_ne!(opened, Some(true), "byte {place} bit {bit}");
            }
        }
    }

    #[test]
    fn a_public_key_reads_back_and_is_no_key_of_a_log() {
        let key = witness(1).key().to_text();
        assert_eq!(WitnessKey::from_text(&key).unwrap(), witness(1).key());
        assert!(Verifier::from_text(&key).is_err());
        assert!(WitnessKey::from_text(&log().verifier().to_text()).is_err());
        for bad in ["", "a b", "a+b", "a\nb"] {
            assert!(Cosigner::new(bad, &SigningKey::from_bytes(&[7; 32])).is_err(), "{bad:?}");
        }
    }

    // The layout of the specification's example: key id, then the time 1679315147, then the signature.
    #[test]
    fn the_published_example_has_the_layout_that_is_read_here() {
        let stamp = from_base64(
            "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==",
        )
        .unwrap();
        assert_eq!(stamp.len(), 4 + 8 + 64);
        assert_eq!(stamp[4..12], 1_679_315_147_u64.to_be_bytes());
        let own = witness(1).cosign("a text\n", 1_679_315_147);
        let own = from_base64(own.trim_end().rsplit(' ').next().unwrap()).unwrap();
        assert_eq!((own.len(), &own[4..12]), (stamp.len(), &stamp[4..12]));
    }
}
