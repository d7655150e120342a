//! What does each verb of the command line do?
//!
//! One file per verb; what several need stands beside them. A verb writes to the streams that it is handed and ends with
//! nothing or a [`Stop`], which `main.rs` turns into standard error and exit status.

pub mod account;
pub mod attack;
pub mod audit;
pub mod backup;
pub mod budget;
pub mod catalog;
pub mod certificate;
pub mod client;
pub mod halt;
pub mod ingest;
pub mod init;
pub mod keys;
pub mod listing;
pub mod permit;
pub mod permit_draft;
pub mod policy;
pub mod progress;
pub mod query;
pub mod render;
pub mod secret;
pub mod serve;
pub mod session;
pub mod stop;
pub mod synth;
pub mod witness;

pub use stop::Stop;
