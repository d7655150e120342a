//! What do they ask?
//!
//! Floor 5. Text becomes a plan over known tables and allowed functions, within public limits; nothing is executed.

mod accumulated;
mod admit;
mod days;
mod dialect;
mod directory;
mod earlier;
mod functions;
mod laterals;
mod lineage;
mod numbered;
mod parse;
mod picked;
mod positions;
mod ranking;
mod rounding;
mod steps;
mod unpivoted;

pub use admit::{Limits, Parameters, Question, admit};
pub use directory::{CataloguedTable, Directory, Standing, catalogued};
pub use functions::{PADDED_MAX, Vocabulary, vocabulary};
pub(crate) use laterals::{joins_on_true, lateral};
pub use parse::{Call, parse};
