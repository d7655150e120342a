//! What does one entry of the log do to the ledger?
//!
//! Written into the entry under `"ledger"`, so that anybody with the log can add the figures up again.

use serde::{Deserialize, Serialize};

use crate::terms::{Cap, CapName, Loss};

/// The effect of one entry on the caps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Effect {
    /// Caps are set.
    Declares(Vec<Declared>),
    /// A reservation, named by the number of this entry, takes a loss from each of these caps.
    Takes {
        /// The loss.
        loss: Loss,
        /// The caps, as [`cap_text`] writes them.
        from: Vec<String>,
    },
    /// The reservation of that entry is spent.
    Settles(u64),
    /// Accounts are raised after books were restored from an older copy; nothing is open then.
    Raises(Vec<Raised>),
}

/// One account and what counts as spent of it from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raised {
    /// The cap, as [`cap_text`] writes it.
    pub cap: String,
    /// At least what was spent before.
    pub to: Loss,
}

/// One cap and its figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// The cap, as [`cap_text`] writes it.
    pub cap: String,
    /// ε in nats, as the shortest decimal that reads back to the same number: JSON readers differ on numbers.
    pub epsilon: String,
    /// δ, likewise.
    pub delta: String,
}

impl Declared {
    /// The entry's wording of `cap`.
    #[must_use]
    pub fn new(name: &CapName, cap: Cap) -> Self {
        Self { cap: cap_text(name), epsilon: cap.epsilon().to_string(), delta: cap.delta().to_string() }
    }

    /// The figure; none where it is no sound cap or is not written in the one way.
    #[must_use]
    pub fn figure(&self) -> Option<Cap> {
        let (epsilon, delta) = (self.epsilon.parse().ok()?, self.delta.parse().ok()?);
        let cap = Cap::new(epsilon, delta).ok()?;
        let one_way = epsilon.to_string() == self.epsilon && delta.to_string() == self.delta;
        one_way.then_some(cap)
    }
}

/// A cap as the books write it: `population/jp`, `dataset/demo`, `permit/P-1`, `analyst/P-1/hanako`. No name may hold a
/// slash, so that no two caps share a text.
#[must_use]
pub fn cap_text(name: &CapName) -> String {
    match name {
        CapName::Population(name) => format!("population/{name}"),
        CapName::Dataset(name) => format!("dataset/{name}"),
        CapName::Permit(id) => format!("permit/{id}"),
        CapName::Analyst(id, account) => format!("analyst/{id}/{account}"),
    }
}
