//! Who may ask what, for which purpose, at which price and until when?
//!
//! A permit is never changed: an amended one has a new number. Only its revocation is added to it; whether it is active is
//! computed from the time.

mod tables;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::terms::{AccountName, Cap, DatasetName, Instant, PermitId, Position, PurposeCode};

pub use tables::{SCHEMA, all, find, insert, revoke};

/// What the reviewers have allowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permit {
    /// Its number, such as `P-2026-0001`.
    pub id: PermitId,
    /// Who may ask under it.
    pub principals: BTreeSet<AccountName>,
    /// The data set that bears the loss.
    pub dataset: DatasetName,
    /// For each `schema.table`: its columns with the positions they may stand in. [`EVERY_COLUMN`] stands for all
    /// queryable columns. A table with no column may be counted.
    pub grants: BTreeMap<String, BTreeMap<String, BTreeSet<Position>>>,
    /// What for.
    pub purpose: PurposeCode,
    /// The most that all its principals together may ever take.
    pub cap: Cap,
    /// The most that each of them may take.
    pub analyst_cap: Cap,
    /// The ε of a question that names none.
    pub per_question_epsilon: f64,
    /// From when.
    pub not_before: Instant,
    /// Until when, this instant no longer included.
    pub not_after: Instant,
    /// The disclosure rules applied after the noise; `none` for none.
    pub rule_pack: String,
    /// Whether it was revoked.
    #[serde(default)]
    pub state: PermitState,
}

/// In [`Permit::grants`]: every queryable column of the table.
pub const EVERY_COLUMN: &str = "*";

/// What is stored of a permit's life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum PermitState {
    /// In force between its dates.
    #[default]
    Granted,
    /// Ended for good.
    Revoked {
        /// By whom.
        by: AccountName,
        /// When.
        at: Instant,
        /// Why, in the reviewer's words.
        reason: String,
    },
}

/// Where a permit stands at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Its first day has not come.
    NotYet,
    /// Questions may be asked.
    Active,
    /// Its last day is over.
    Expired,
    /// It was revoked.
    Revoked,
}

/// A permit that cannot be granted as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("permit {id}: {rule}")]
pub struct PermitFault {
    id: PermitId,
    rule: &'static str,
}

impl Permit {
    /// Where this permit stands at `now`.
    #[must_use]
    pub fn standing(&self, now: Instant) -> Standing {
        match self.state {
            PermitState::Revoked { .. } => Standing::Revoked,
            PermitState::Granted if now < self.not_before => Standing::NotYet,
            PermitState::Granted if now < self.not_after => Standing::Active,
            PermitState::Granted => Standing::Expired,
        }
    }

    /// Whether questions may be asked under it at `now`.
    #[must_use]
    pub fn active(&self, now: Instant) -> bool {
        self.standing(now) == Standing::Active
    }

    /// Whether the permit can be granted: what holds without looking anywhere else.
    ///
    /// # Errors
    /// [`PermitFault`] names the rule that it breaks.
    pub fn check(&self) -> Result<(), PermitFault> {
        let tables_named = self.grants.keys().all(|t| t.split_once('.').is_some_and(|(s, t)| sound(s) && sound(t)));
        let columns_named =
            self.grants.values().flat_map(BTreeMap::keys).all(|column| column == EVERY_COLUMN || sound(column));
        let rules = [
            (self.state == PermitState::Granted, "a new permit is not revoked"),
            (!self.principals.is_empty(), "somebody must be allowed to ask"),
            (!self.grants.is_empty(), "some table must be granted"),
            (tables_named, "tables are written schema.table"),
            (columns_named, "columns are names, or * for all"),
            (self.not_before < self.not_after, "it must begin before it ends"),
            (self.analyst_cap.epsilon() <= self.cap.epsilon(), "an analyst's cap is at most the permit's"),
            (self.per_question_epsilon > 0.0, "a question costs more than nothing"),
            (self.per_question_epsilon <= self.analyst_cap.epsilon(), "one question costs at most the analyst's cap"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            None => Ok(()),
            Some((_, rule)) => Err(PermitFault { id: self.id.clone(), rule }),
        }
    }
}

fn sound(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permit() -> Permit {
        let json = r#"{"id":"P-1","principals":["hanako"],"dataset":"demo",
            "grants":{"demo.person":{"*":["filter","group"]},"demo.death":{}},"purpose":"drug-safety",
            "cap":{"epsilon":1.0,"delta":1e-7},"analyst_cap":{"epsilon":0.5,"delta":1e-7},"per_question_epsilon":0.05,
            "not_before":100,"not_after":200,"rule_pack":"none"}"#;
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_permit_is_active_between_its_dates_until_it_is_revoked() {
        let mut permit = permit();
        assert_eq!(permit.standing(Instant(99)), Standing::NotYet);
        assert_eq!(permit.standing(Instant(100)), Standing::Active);
        assert_eq!(permit.standing(Instant(199)), Standing::Active);
        assert_eq!(permit.standing(Instant(200)), Standing::Expired);
        let by = AccountName::new("reviewer").unwrap();
        permit.state = PermitState::Revoked { by, at: Instant(150), reason: "asked for".into() };
        assert_eq!(permit.standing(Instant(199)), Standing::Revoked);
        assert!(!permit.active(Instant(199)));
    }

    #[test]
    fn a_permit_that_makes_no_sense_is_refused_with_the_rule() {
        assert_eq!(permit().check(), Ok(()));
        let spoilt: [fn(&mut Permit); 7] = [
            |p| p.principals.clear(),
            |p| p.grants.clear(),
            |p| p.grants = BTreeMap::from([("person".into(), BTreeMap::new())]),
            |p| p.not_after = p.not_before,
            |p| p.per_question_epsilon = f64::NAN,
            |p| p.per_question_epsilon = 0.6,
            |p| p.analyst_cap = Cap::new(2.0, 1e-7).unwrap(),
        ];
        for (place, spoil) in spoilt.into_iter().enumerate() {
            let mut permit = permit();
            spoil(&mut permit);
            assert!(permit.check().is_err(), "{place}");
        }
    }

    #[test]
    fn a_permit_reads_back_as_written() {
        let json = serde_json::to_string(&permit()).unwrap();
        assert_eq!(serde_json::from_str::<Permit>(&json).unwrap(), permit());
        assert!(serde_json::from_str::<Permit>(&json.replace("rule_pack", "rules")).is_err());
    }
}
