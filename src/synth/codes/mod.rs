//! What do the codes in synthetic records mean?
//!
//! A small curated extract of public vocabularies, written for this generator: standard concepts with their numbers,
//! local codes (ICD-10, YJ, JLAC10) with what they map to, names in English and Japanese. Local codes have concept
//! numbers above two thousand million, the space that OMOP leaves to sites.

pub mod conditions;
pub mod drugs;
pub mod measurements;
pub mod others;

/// First local concept id of the ICD-10 codes, in the order of [`conditions::CONDITIONS`].
pub const ICD10_FIRST: i64 = 2_000_010_000;
/// First local concept id of the YJ codes, in the order of [`drugs::PRODUCTS`].
pub const YJ_FIRST: i64 = 2_000_020_000;
/// First local concept id of the JLAC10 codes, in the order of [`measurements::MEASUREMENTS`].
pub const JLAC10_FIRST: i64 = 2_000_030_000;

/// The local concept id at a position of a list.
#[must_use]
pub fn local(first: i64, position: usize) -> i64 {
    first.saturating_add(i64::try_from(position).unwrap_or(i64::MAX))
}
