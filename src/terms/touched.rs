//! Which columns does a question touch, and in which position?

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where in a question a column stands. A permit grants positions, not only columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Position {
    /// In a WHERE, HAVING, join condition, CASE or any expression that decides which rows count.
    Filter,
    /// In GROUP BY, or passed on by a SELECT list without aggregation.
    Group,
    /// Inside an aggregate function.
    Aggregate,
}

impl Position {
    /// All positions, in the order of the policy grid.
    pub const ALL: [Self; 3] = [Self::Filter, Self::Group, Self::Aggregate];

    /// The position as it is written in permits.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Group => "group",
            Self::Aggregate => "aggregate",
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Position {
    type Err = String;
    fn from_str(given: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|p| p.as_str() == given).ok_or_else(|| format!("{given:?} is not a position"))
    }
}

/// One column of one table in one position.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ColumnUse {
    /// The SQL schema: a data set, a sample or a vocabulary.
    pub schema: String,
    /// The table in it.
    pub table: String,
    /// The column in it.
    pub column: String,
    /// Where it stands.
    pub position: Position,
}

/// Everything that a question touches: tables even where no column of them is named (`COUNT(*)`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// `(schema, table)` of every scan.
    pub tables: BTreeSet<(String, String)>,
    /// Every column in every position.
    pub columns: BTreeSet<ColumnUse>,
}
