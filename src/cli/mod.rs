//! What does each verb of the command line do?

pub mod client;
pub mod query;
pub mod render;
