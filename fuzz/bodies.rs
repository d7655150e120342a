//! What is done with each input, and what may never come of it?
//!
//! One body per target, for two drivers: `cargo fuzz`, which looks for new paths for as long as it is let, and
//! `tests/fuzz/`, which mutates the kept corpus in CI. A body says in a word how its input ended. It panics where that may
//! not be: a refusal outside of the closed list, the engine's words in ours, something private for nothing, a forgery that
//! verifies.

#[path = "questions.rs"]
mod questions;
#[path = "records.rs"]
mod records;

pub use questions::{CODES, admission, catalogue, config, parameters};
pub use records::{entries, notes, trees};

/// What a target does with one input.
pub type Body = fn(&[u8]) -> &'static str;
