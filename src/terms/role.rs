//! Which parts may an account play?

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The five roles of governance; what each may do is decided by `policies/`, never here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Asks questions under a permit.
    Analyst,
    /// Judges purposes; in this version also the one who grants permits.
    Reviewer,
    /// Reads every entry of the log.
    Auditor,
    /// Loads records and declares public vocabularies.
    Custodian,
    /// Runs the machine; reads neither answers nor questions.
    Operator,
}

impl Role {
    /// All roles, in the order of the policy grid.
    pub const ALL: [Self; 5] = [Self::Analyst, Self::Reviewer, Self::Auditor, Self::Custodian, Self::Operator];

    /// Whether two of its holders have to give it: those who watch over the others.
    #[must_use]
    pub fn takes_two(self) -> bool {
        matches!(self, Self::Reviewer | Self::Auditor | Self::Custodian)
    }

    /// The role as it is written in files and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Analyst => "analyst",
            Self::Reviewer => "reviewer",
            Self::Auditor => "auditor",
            Self::Custodian => "custodian",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;
    fn from_str(given: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|r| r.as_str() == given).ok_or_else(|| format!("{given:?} is not a role"))
    }
}
