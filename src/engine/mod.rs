//! What is the exact answer?

pub mod sample;
pub mod schema;
