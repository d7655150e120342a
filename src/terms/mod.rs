//! Which nouns does the whole house share?
//!
//! Floor 0. Plain values without behaviour beyond their own invariants: nothing here opens a file, knows a table or
//! draws a random number.

mod charge;
mod clock;
mod fingerprint;
mod gaussian;
mod hints;
mod ids;
mod loss;
mod refusal;
mod role;
mod touched;

pub use charge::{CapName, Charge};
pub use clock::{Clock, Instant};
pub use fingerprint::Fingerprint;
pub use ids::{
    AccountName, DataVersion, DatasetName, EntryNumber, IdFault, PermitId, PopulationName, PurposeCode, SourceName,
    VocabularyName,
};
pub use loss::{Cap, GAUSSIAN, Loss, LossFault, ORDERS};
pub use refusal::{Language, Refusal};
pub use role::Role;
pub use touched::{ColumnUse, Position, Touched};
