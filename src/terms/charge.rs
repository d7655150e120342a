//! Who pays how much for one question?

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AccountName, DatasetName, Loss, PermitId, PopulationName};

/// What one question takes from every cap above it, fixed before any data is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Charge {
    /// Who asks.
    pub account: AccountName,
    /// Under which permit.
    pub permit: PermitId,
    /// The data set read.
    pub dataset: DatasetName,
    /// The population whose persons bear the loss.
    pub population: PopulationName,
    /// The sum over all mechanisms of the question.
    pub loss: Loss,
    /// How many mechanisms draw noise for it.
    pub draws: u32,
}

impl Charge {
    /// The caps that this charge is taken from, widest first: from all of them or from none.
    #[must_use]
    pub fn caps(&self) -> [CapName; 4] {
        [
            CapName::Population(self.population.clone()),
            CapName::Dataset(self.dataset.clone()),
            CapName::Permit(self.permit.clone()),
            CapName::Analyst(self.permit.clone(), self.account.clone()),
        ]
    }
}

/// One account of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CapName {
    /// Everything ever released about a population, to everybody.
    Population(PopulationName),
    /// Everything released from one data set.
    Dataset(DatasetName),
    /// Everything released under one permit.
    Permit(PermitId),
    /// What one account took under one permit.
    Analyst(PermitId, AccountName),
}

impl fmt::Display for CapName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Population(name) => write!(f, "population {name}"),
            Self::Dataset(name) => write!(f, "data set {name}"),
            Self::Permit(id) => write!(f, "permit {id}"),
            Self::Analyst(id, who) => write!(f, "analyst {who} under {id}"),
        }
    }
}
