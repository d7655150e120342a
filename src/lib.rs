//! How can data about millions of people serve research without a row ever leaving?
//!
//! Sekisho (関所) is a secure research enclave with one door: SQL in, differentially private answers out. Read
//! `gateway/answer.rs` first: it holds one query, top to bottom; the floors below it are in ARCHITECTURE.md.

pub mod synth;
pub mod terms;
