//! Does one call become one answer or one refusal, and nothing else?
//!
//! Stories told through the gateway's own doors, over an enclave of synthetic persons that is made once per process.

mod answers;
mod asking;
mod budgets;
mod deadlines;
mod descriptions;
mod doors;
mod halts;
pub(crate) mod house;
mod intervals;
mod refusals;
mod replays;
mod statistics;
mod timing;
pub(crate) mod truth;
mod watched;
