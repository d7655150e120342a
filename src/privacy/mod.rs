//! What could this reveal, at what loss?
//!
//! Floor 6, and the reason for the house. [`analyze`] types a question, cuts it at its release points and bounds what
//! one person adds; [`Analysis::price`] decides noise and loss from public figures; [`add_noise`] is the only way from
//! exact sums to anything that may be shown.

mod across;
mod aggregate_call;
mod candidates;
mod canonical;
mod carried;
mod cases;
mod checked;
mod correlated;
mod cut;
mod display;
mod entries;
mod exact;
mod explain;
mod expression;
mod facts;
mod grid;
mod group_keys;
mod grouping;
mod guarded;
mod intervals;
mod joins;
mod laterals;
mod listed;
mod narrowing;
mod noise;
mod numbers;
mod one_row;
mod outer_values;
mod output;
mod partial;
mod per_person;
mod person_moments;
mod placeholder;
mod plan;
mod price;
mod range;
mod references;
mod release_point;
mod scalar_functions;
mod scalar_subqueries;
mod sets;
mod settled;
mod standing;
mod statistics;
mod stored;
mod subqueries;
mod times;
mod typing;
mod widths;
mod windows;

pub use candidates::Candidates;
pub use exact::{Exact, Histogram};
pub use explain::{Explained, explain, loosely_bounded};
pub use expression::BUILT_BYTES_MAX;
pub use facts::Origin;
pub use grid::Grid;
pub use intervals::Passed;
pub use noise::NoiseFault;
pub use partial::{Kind, Partial, ROW_PARTS, Rank};
pub use placeholder::{Filled, Placeholder, column_name, placeholder};
pub use plan::{Analysis, Noisy, Plan, add_noise, analyze};
pub use price::{Family, Mechanism, Offer, Priced, Target, price};
pub use release_point::{Axis, Output, Release};
pub use settled::{SETTLED, Settled, Verdict};
pub use standing::not_shown;
pub use statistics::Statistic;
pub use typing::Bounds;

/// What the analyst sets for one question; `None` leaves it to the catalogue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asked {
    /// m: rows of one person that count in one group.
    pub rows_per_group: Option<u32>,
    /// C: groups that one person counts in.
    pub groups: Option<u32>,
    /// D: different values of one person that count in one group.
    pub distinct_values: Option<u32>,
    /// Show no count below zero.
    pub non_negative: bool,
    /// Add `<column>_lo` and `<column>_hi` beside each noisy column.
    pub intervals: bool,
}
