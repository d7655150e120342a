//! What is the exact answer?
//!
//! Floor 7. A data version is cut by owner key into ranges; each range is planned and run by itself, so that whatever
//! happens inside a person is local to it, memory is bounded by a range, and only small integer vectors meet.

pub mod layout;
pub mod sample;
pub mod schema;

mod choice;
mod columns;
mod cost;
mod ends;
mod fault;
mod finish;
mod intern;
mod local;
mod marks;
mod person_aggregate;
mod persons;
mod rehearse;
mod sides;
mod sums;
mod tables;
mod version_key;
mod whole;
mod yielding;

pub use cost::{Sizes, Work, estimate};
pub use fault::EngineFault;
pub use finish::{Finished, finish, public_answer};
pub use local::{Engine, EngineLimits, InUse};
pub use persons::{persons_rows, persons_schema};
pub use rehearse::Prepared;
pub use tables::{FileTables, MemoryTables, PersonsOfRange, RangedTables};
pub use version_key::VersionKey;
