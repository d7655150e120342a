//! Does one person really change no more than was claimed, and does the answer mean what was asked?
//!
//! Random questions over random databases (privacy.md section 7). Everything is seeded: the same build gives the same
//! counts. Sizes: `SEKISHO_ORACLE_CASES` sets the questions of the sensitivity oracle; the others scale with it.
//! `SEKISHO_ORACLE_FIRST` begins at a question that was reported.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod accountants;
mod asides;
mod database;
mod determinism;
mod expressions;
mod functions;
mod grammar;
mod hostile;
mod lists;
pub mod meaning;
mod mechanisms;
mod operators;
mod picks;
pub mod run;
mod sensitivity;
pub mod statistics;
