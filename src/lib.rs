//! How can data about millions of people serve research without a row ever leaving?
//!
//! Sekisho (関所) is a secure research enclave with one door: SQL in, differentially private answers out. Read
//! `gateway/answer.rs` first: it holds one query, top to bottom; the floors below it are in ARCHITECTURE.md.

pub mod accounts;
pub mod attack;
pub mod audit;
pub mod catalog;
pub mod certificates;
pub mod cli;
pub mod config;
pub mod demo;
pub mod engine;
pub mod flight;
pub mod gateway;
pub mod identity;
pub mod ingest;
pub mod keys;
pub mod ledger;
pub mod permits;
pub mod policy;
pub mod privacy;
pub mod record;
pub mod sql;
pub mod store;
pub mod synth;
pub mod telemetry;
pub mod terms;
pub mod witness;
