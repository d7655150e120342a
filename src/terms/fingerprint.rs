//! By what is a certificate known?

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The SHA-256 of a certificate in DER, as `openssl x509 -fingerprint -sha256` shows it, in small letters without colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That of this certificate.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = String;
    fn from_str(given: &str) -> Result<Self, String> {
        let wrong = || "a fingerprint is 64 hexadecimal digits, with or without colons".to_owned();
        let digits: Vec<u32> =
            given.chars().filter(|c| *c != ':').map(|c| c.to_digit(16)).collect::<Option<_>>().ok_or_else(wrong)?;
        let byte = |pair: &[u32]| pair.iter().try_fold(0_u32, |sum, digit| sum.checked_mul(16)?.checked_add(*digit));
        let bytes: Option<Vec<u8>> =
            digits.chunks(2).map(|pair| byte(pair).and_then(|b| u8::try_from(b).ok())).collect();
        let exact = bytes.filter(|_| digits.len() == 64).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        exact.map(Self).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;
    fn try_from(given: String) -> Result<Self, String> {
        given.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_in_either_spelling() {
        let one = Fingerprint::of(b"a certificate");
        let text = one.to_string();
        assert_eq!(text.len(), 64);
        assert_eq!(text.parse(), Ok(one));
        let pairs: Vec<String> =
            text.to_uppercase().as_bytes().chunks(2).map(|p| String::from_utf8_lossy(p).into()).collect();
        assert_eq!(pairs.join(":").parse(), Ok(one));
        for wrong in ["", "00", &text[1..], &format!("{text}0"), &text.replace(|c: char| c.is_ascii_digit(), "x")] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }
}
