//! What do we know about a data set before any row of it is read?
//!
//! A model says for every table whose rows it holds, and for every column what it means, what it can be and whether a
//! question may touch it. Models are TOML: two are built in, and an enclave may bring its own, which may extend one of
//! these. A model that does not hold together is refused with file, line and reason.

mod check;
mod column;
mod fault;
mod model;
mod read;
mod table;
#[cfg(test)]
mod tests;
mod toml_value;

pub use fault::{CatalogFault, Reason};
pub use model::{
    Bounds, BoundsBy, Code, CodeList, CodeValue, Column, ColumnClass, ColumnType, DateRange, Domain, Examples,
    ForeignKey, Model, OutsideRule, Table, TableKind, Text,
};
