//! What is the exact answer, and where does it lie?

pub mod layout;
pub mod sample;
pub mod schema;
