//! What does an identifier of the source become?
//!
//! HMAC-SHA-256 under the enclave's pseudonym key, labelled with the population and the kind of identifier: the same
//! identifier gives the same pseudonym in every load of a population, so that foreign keys still match, and another one
//! in another population or kind. Without the key nobody can tell which identifier it was.

use std::io::Write as _;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::terms::PopulationName;

/// The label of persons: not the name of a column, so that an owner key is never a row key.
const PERSON: &str = "person";

/// Makes pseudonyms for one population.
#[derive(Clone)]
pub(super) struct Pseudonyms {
    keyed: Hmac<Sha256>,
    population: String,
}

impl Pseudonyms {
    pub(super) fn new(pseudonym_key: &[u8; 32], population: &PopulationName) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let keyed = Hmac::new_from_slice(pseudonym_key).expect("HMAC takes a key of any length");
        Self { keyed, population: population.as_str().to_owned() }
    }

    /// By what persons are put in order: says nothing about the source's order.
    pub(super) fn of_person(&self, id: i64) -> u64 {
        self.first_eight_bytes(PERSON, id)
    }

    /// The pseudonym of a row or visit: 63 bits, never negative.
    pub(super) fn of_row(&self, label: &str, id: i64) -> i64 {
        (self.first_eight_bytes(label, id) >> 1).cast_signed()
    }

    fn first_eight_bytes(&self, label: &str, id: i64) -> u64 {
        let mut mac = self.keyed.clone();
        mac.update(label.as_bytes());
        mac.update(&[0]);
        mac.update(self.population.as_bytes());
        mac.update(&[0]);
        let mut decimal = [0; 20];
        let mut rest = decimal.as_mut_slice();
        // At most 20 characters: "-9223372036854775808".
        let _ = write!(rest, "{id}");
        let unused = rest.len();
        mac.update(decimal.get(..decimal.len() - unused).unwrap_or_default());
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// Remembers recent pseudonyms of one column: the rows of a visit follow each other.
pub(super) struct Recent {
    slots: Vec<Option<(i64, i64)>>,
}

impl Recent {
    pub(super) fn new() -> Self {
        Self { slots: vec![None; 1 << 12] }
    }

    pub(super) fn of_row(&mut self, pseudonyms: &Pseudonyms, label: &str, id: i64) -> i64 {
        let slot = id.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 52;
        match usize::try_from(slot).ok().and_then(|slot| self.slots.get_mut(slot)) {
            Some(Some((known, pseudonym))) if *known == id => *pseudonym,
            Some(slot) => slot.insert((id, pseudonyms.of_row(label, id))).1,
            None => pseudonyms.of_row(label, id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn under(key: u8, population: &str) -> Pseudonyms {
        Pseudonyms::new(&[key; 32], &PopulationName::new(population).unwrap())
    }

    #[test]
    fn the_same_key_gives_the_same_pseudonym_and_another_key_another() {
        let first = under(1, "jp").of_row("visit_occurrence_id", -7);
        assert_eq!(first, under(1, "jp").of_row("visit_occurrence_id", -7));
        assert_ne!(first, under(2, "jp").of_row("visit_occurrence_id", -7));
        assert_ne!(first, under(1, "nl").of_row("visit_occurrence_id", -7));
        assert_ne!(first, under(1, "jp").of_row("measurement_id", -7));
        assert_ne!(first, under(1, "jp").of_row("visit_occurrence_id", 7));
    }

    #[test]
    fn row_pseudonyms_are_never_negative_and_extremes_are_told_apart() {
        let pseudonyms = under(1, "jp");
        let ids = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
        let mut seen: Vec<_> = ids.iter().map(|id| pseudonyms.of_row("x", *id)).collect();
        assert!(seen.iter().all(|p| *p >= 0));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), ids.len());
    }

    #[test]
    fn a_remembered_pseudonym_is_the_one_that_would_be_made() {
        let (pseudonyms, mut recent) = (under(1, "jp"), Recent::new());
        for id in (0..20_000).chain(0..20_000).map(|n| n * 4096 - 9_000_000) {
            assert_eq!(recent.of_row(&pseudonyms, "x", id), pseudonyms.of_row("x", id));
        }
    }
}
