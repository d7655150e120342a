//! Which permit do the examples and the grid look at, and in which states?

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::{
    permits::{Permit, PermitState},
    terms::{AccountName, Cap, DatasetName, Instant, PermitId, Position, PurposeCode, VocabularyName},
};

/// When the example's permit begins (2026-01-01) and ends (2027-01-01).
const FIRST: Instant = Instant(1_767_225_600_000_000);
const LAST: Instant = Instant(1_798_761_600_000_000);

/// What `[example]` of `cases.toml` says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Example {
    pub id: PermitId,
    pub dataset: DatasetName,
    pub vocabularies: BTreeSet<VocabularyName>,
    /// The only principal of the permit.
    pub principal: AccountName,
    /// An account that is none.
    pub stranger: AccountName,
    pub purpose: PurposeCode,
    pub rule_pack: String,
    pub cap: Cap,
    pub analyst_cap: Cap,
    pub per_question_epsilon: f64,
    /// The columns that the grid looks at, each as `schema.table.column`.
    pub objects: Vec<String>,
    /// As in a permit.
    pub grants: BTreeMap<String, BTreeMap<String, BTreeSet<Position>>>,
}

/// How an account can stand to a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Standing {
    /// No permit is named.
    None,
    /// Active, but for somebody else.
    Stranger,
    /// Before its first instant.
    Early,
    /// Active.
    Active,
    /// At its end.
    Expired,
    /// Within its dates, but revoked.
    Revoked,
}

impl Standing {
    /// All of them, in the order of the grid.
    pub const ALL: [Self; 6] = [Self::None, Self::Stranger, Self::Early, Self::Active, Self::Expired, Self::Revoked];

    /// As written in the grid.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Stranger => "stranger",
            Self::Early => "early",
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl Example {
    /// The example's permit.
    pub fn permit(&self) -> Permit {
        Permit {
            id: self.id.clone(),
            principals: BTreeSet::from([self.principal.clone()]),
            dataset: self.dataset.clone(),
            grants: self.grants.clone(),
            purpose: self.purpose.clone(),
            cap: self.cap,
            analyst_cap: self.analyst_cap,
            per_question_epsilon: self.per_question_epsilon,
            not_before: FIRST,
            not_after: LAST,
            rule_pack: self.rule_pack.clone(),
            state: PermitState::Granted,
        }
    }

    /// Who asks, under which permit, and when, for each standing.
    pub fn stand(&self, standing: Standing) -> (&AccountName, Option<Permit>, Instant) {
        let permit = self.permit();
        match standing {
            Standing::None => (&self.principal, None, FIRST),
            Standing::Stranger => (&self.stranger, Some(permit), FIRST),
            Standing::Early => (&self.principal, Some(permit), Instant(FIRST.0 - 1)),
            Standing::Active => (&self.principal, Some(permit), FIRST),
            Standing::Expired => (&self.principal, Some(permit), LAST),
            Standing::Revoked => {
                let state = PermitState::Revoked { by: self.stranger.clone(), at: FIRST, reason: "example".into() };
                (&self.principal, Some(Permit { state, ..permit }), FIRST)
            }
        }
    }
}

#[cfg(test)]
pub(super) fn ours() -> Example {
    super::cases::Cases::read(include_str!("../../policies/cases.toml")).unwrap().example
}

#[cfg(test)]
pub(super) fn permit() -> Permit {
    ours().permit()
}

#[cfg(test)]
pub(super) fn vocabularies() -> BTreeSet<VocabularyName> {
    ours().vocabularies
}
