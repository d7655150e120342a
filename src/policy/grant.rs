//! Can this permit be granted as it stands?

use std::collections::BTreeSet;

use super::{action::Action, clearance::Clearance, judge::Policy};
use crate::{
    permits::{self, EVERY_COLUMN, Permit},
    terms::{AccountName, Cap, Role},
};

/// What a grant is checked against that neither the permit nor the policy knows.
#[derive(Clone, Copy)]
pub struct GrantSurroundings<'a> {
    /// The cap of the permit's data set.
    pub dataset_cap: Cap,
    /// Whether the data set's model has this (table, column) and lets it be queried; for the column `*`, the table.
    pub queryable: &'a dyn Fn(&str, &str) -> bool,
    /// The roles of an account that exists and is not disabled.
    pub roles_of: &'a dyn Fn(&AccountName) -> Option<BTreeSet<Role>>,
}

/// Why a permit cannot be granted: what the reviewer reads.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GrantFault {
    /// The clearance is not one for granting.
    #[error("this clearance is not for granting permits")]
    NotCleared,
    /// It makes no sense by itself.
    #[error(transparent)]
    Unsound(#[from] permits::PermitFault),
    /// The purpose is not on the closed list.
    #[error("{0} is not on the list of purposes")]
    PurposeUnknown(String),
    /// The purpose is a prohibited use.
    #[error("{0} is a prohibited use; no permit can allow it")]
    PurposeProhibited(String),
    /// The purpose is on the list but not of public benefit.
    #[error("{0} does not count as public benefit")]
    PurposeNotPublicBenefit(String),
    /// The granter would grant it to themselves.
    #[error("{0} cannot grant a permit to themselves")]
    SelfGrant(AccountName),
    /// A principal has no account in use.
    #[error("there is no account {0}")]
    PrincipalUnknown(AccountName),
    /// A principal may not ask questions.
    #[error("{0} has no role that may ask questions")]
    PrincipalMayNotAsk(AccountName),
    /// It could never be used.
    #[error("a permit ends after it is granted")]
    Ended,
    /// It could cost more than the data set bears.
    #[error("the permit's cap is above the data set's: epsilon {epsilon}, delta {delta:e}")]
    CapAboveDataset {
        /// ε of the data set's cap.
        epsilon: f64,
        /// δ of the data set's cap.
        delta: f64,
    },
    /// One analyst could take more than the permit has.
    #[error("the analyst's cap is above the permit's")]
    AnalystCapAbovePermit,
    /// It names a column but no position.
    #[error("{0} is granted in no position")]
    NoPosition(String),
    /// It grants what is not there, or what is never queried.
    #[error("{0} does not exist in the data set or is never queryable")]
    NotQueryable(String),
    /// It names a rule pack that is not there.
    #[error("there is no rule pack {0:?}")]
    RulePackUnknown(String),
    /// It cannot be turned into rules.
    #[error("{0}")]
    NotCompiled(String),
}

impl Policy {
    /// Whether `permit` can be granted by whoever holds `clearance`, which must be for [`Action::PermitGrant`].
    ///
    /// # Errors
    /// The first [`GrantFault`] found.
    pub fn check_grant(
        &self,
        clearance: &Clearance,
        permit: &Permit,
        around: &GrantSurroundings<'_>,
    ) -> Result<(), GrantFault> {
        if clearance.action() != Action::PermitGrant {
            return Err(GrantFault::NotCleared);
        }
        permit.check()?;
        self.purpose_serves_the_public(permit)?;
        self.principals_may_ask(clearance.account(), permit, around)?;
        if permit.not_after <= clearance.at() {
            return Err(GrantFault::Ended);
        }
        caps_nest(permit, around.dataset_cap)?;
        grants_exist(permit, around)?;
        if self.rule_pack(&permit.rule_pack).is_none() {
            return Err(GrantFault::RulePackUnknown(permit.rule_pack.clone()));
        }
        self.preview(permit).map(|_| ()).map_err(|fault| GrantFault::NotCompiled(fault.to_string()))
    }

    fn purpose_serves_the_public(&self, permit: &Permit) -> Result<(), GrantFault> {
        let code = permit.purpose.to_string();
        if self.purposes.prohibited.contains_key(&permit.purpose) {
            return Err(GrantFault::PurposeProhibited(code));
        }
        match self.purpose(&permit.purpose) {
            None => Err(GrantFault::PurposeUnknown(code)),
            Some(purpose) if !purpose.public_benefit => Err(GrantFault::PurposeNotPublicBenefit(code)),
            Some(_) => Ok(()),
        }
    }

    fn principals_may_ask(
        &self,
        granter: &AccountName,
        permit: &Permit,
        around: &GrantSurroundings<'_>,
    ) -> Result<(), GrantFault> {
        if permit.principals.contains(granter) {
            return Err(GrantFault::SelfGrant(granter.clone()));
        }
        for who in &permit.principals {
            let roles = (around.roles_of)(who).ok_or_else(|| GrantFault::PrincipalUnknown(who.clone()))?;
            if !self.may(&roles, Action::Ask) {
                return Err(GrantFault::PrincipalMayNotAsk(who.clone()));
            }
        }
        Ok(())
    }
}

fn caps_nest(permit: &Permit, dataset: Cap) -> Result<(), GrantFault> {
    if !within(permit.cap, dataset) {
        return Err(GrantFault::CapAboveDataset { epsilon: dataset.epsilon(), delta: dataset.delta() });
    }
    if !within(permit.analyst_cap, permit.cap) {
        return Err(GrantFault::AnalystCapAbovePermit);
    }
    Ok(())
}

fn within(inner: Cap, outer: Cap) -> bool {
    inner.epsilon() <= outer.epsilon() && inner.delta() <= outer.delta()
}

fn grants_exist(permit: &Permit, around: &GrantSurroundings<'_>) -> Result<(), GrantFault> {
    for (object, columns) in &permit.grants {
        let (schema, table) = object.split_once('.').unwrap_or_default();
        if schema != permit.dataset.as_str() || !(around.queryable)(table, EVERY_COLUMN) {
            return Err(GrantFault::NotQueryable(object.clone()));
        }
        for (column, positions) in columns {
            if !(around.queryable)(table, column) {
                return Err(GrantFault::NotQueryable(format!("{object}.{column}")));
            }
            if positions.is_empty() {
                return Err(GrantFault::NoPosition(format!("{object}.{column}")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        identity::Principal,
        policy::example,
        terms::{Instant, Position, PurposeCode, Refusal},
    };

    const NOW: Instant = Instant(1_780_000_000_000_000);

    fn cap(epsilon: f64, delta: f64) -> Cap {
        Cap::new(epsilon, delta).unwrap()
    }

    fn policy() -> Policy {
        Policy::open(None, BTreeMap::from([(example::ours().dataset, example::vocabularies())])).unwrap()
    }

    fn granted_by(granter: &str, permit: &Permit) -> Result<(), GrantFault> {
        let policy = policy();
        let granter = Principal::for_tests(granter, [Role::Reviewer]);
        let clearance = policy.judge_without_permit(&granter, Action::PermitGrant, NOW).unwrap();
        let around = GrantSurroundings {
            dataset_cap: cap(8.0, 1e-7),
            queryable: &|table, column| match table {
                "person" => ["*", "gender_concept_id", "year_of_birth"].contains(&column),
                "visit_occurrence" | "death" => column == "*",
                _ => false,
            },
            roles_of: &|who| match who.as_str() {
                "hanako" | "rin" => Some(BTreeSet::from([Role::Analyst])),
                "aki" => Some(BTreeSet::from([Role::Auditor])),
                _ => None,
            },
        };
        policy.check_grant(&clearance, permit, &around)
    }

    fn changed(change: impl FnOnce(&mut Permit)) -> Result<(), GrantFault> {
        let mut permit = example::permit();
        change(&mut permit);
        granted_by("rei", &permit)
    }

    fn purpose(code: &str) -> Result<(), GrantFault> {
        changed(|p| p.purpose = PurposeCode::new(code).unwrap())
    }

    fn also_for(name: &str) -> Result<(), GrantFault> {
        changed(|p| {
            p.principals.insert(AccountName::new(name).unwrap());
        })
    }

    fn also_granting(table: &str, column: &str, positions: &[Position]) -> Result<(), GrantFault> {
        changed(|p| {
            let columns = BTreeMap::from([(column.to_owned(), positions.iter().copied().collect())]);
            p.grants.insert(table.into(), columns);
        })
    }

    fn unsound(change: impl FnOnce(&mut Permit)) -> bool {
        matches!(changed(change), Err(GrantFault::Unsound(_)))
    }

    #[test]
    fn a_sound_permit_can_be_granted() {
        assert_eq!(changed(|_| ()), Ok(()));
        assert_eq!(also_for("rin"), Ok(()));
    }

    #[test]
    fn only_a_listed_purpose_of_public_benefit_will_do() {
        assert_eq!(purpose("world-peace"), Err(GrantFault::PurposeUnknown("world-peace".into())));
        assert_eq!(purpose("market-analysis"), Err(GrantFault::PurposeNotPublicBenefit("market-analysis".into())));
        for use_ in policy().prohibited() {
            let code = use_.code.to_string();
            assert_eq!(purpose(&code), Err(GrantFault::PurposeProhibited(code)));
        }
    }

    #[test]
    fn nobody_grants_to_themselves_nor_to_those_who_may_not_ask() {
        let hanako = AccountName::new("hanako").unwrap();
        assert_eq!(granted_by("hanako", &example::permit()), Err(GrantFault::SelfGrant(hanako)));
        assert_eq!(also_for("aki"), Err(GrantFault::PrincipalMayNotAsk(AccountName::new("aki").unwrap())));
        assert_eq!(also_for("ghost"), Err(GrantFault::PrincipalUnknown(AccountName::new("ghost").unwrap())));
        assert!(unsound(|p| p.principals.clear()));
    }

    #[test]
    fn its_dates_lie_ahead_and_in_order() {
        assert!(unsound(|p| p.not_after = p.not_before));
        assert_eq!(changed(|p| p.not_after = NOW), Err(GrantFault::Ended));
        assert_eq!(changed(|p| p.not_after = Instant(NOW.0 + 1)), Ok(()));
    }

    #[test]
    fn its_caps_nest() {
        let above = Err(GrantFault::CapAboveDataset { epsilon: 8.0, delta: 1e-7 });
        assert_eq!(changed(|p| p.cap = cap(8.1, 1e-7)), above);
        assert_eq!(changed(|p| p.cap = cap(1.0, 1e-6)), above);
        assert!(unsound(|p| p.analyst_cap = cap(1.1, 1e-7)));
        assert_eq!(changed(|p| p.analyst_cap = cap(0.5, 2e-7)), Err(GrantFault::AnalystCapAbovePermit));
        for odd in [0.0, -1.0, f64::NAN, f64::INFINITY, 0.6] {
            assert!(unsound(|p| p.per_question_epsilon = odd), "{odd}");
        }
    }

    #[test]
    fn it_grants_what_exists_and_something_at_all() {
        let group = [Position::Group];
        let missing = |name: &str| Err(GrantFault::NotQueryable(name.into()));
        assert_eq!(also_granting("demo.cost", "*", &group), missing("demo.cost"));
        let hidden = also_granting("demo.person", "person_source_value", &group);
        assert_eq!(hidden, missing("demo.person.person_source_value"));
        assert_eq!(also_granting("other.person", "*", &group), missing("other.person"));
        assert_eq!(also_granting("audit.entries", "*", &group), missing("audit.entries"));
        assert!(unsound(|p| p.grants.clear()));
        let nowhere = also_granting("demo.person", "year_of_birth", &[]);
        assert_eq!(nowhere, Err(GrantFault::NoPosition("demo.person.year_of_birth".into())));
        assert_eq!(changed(|p| p.rule_pack = "mine".into()), Err(GrantFault::RulePackUnknown("mine".into())));
    }

    #[test]
    fn granting_takes_a_clearance_for_granting() {
        let policy = policy();
        let rei = Principal::for_tests("rei", [Role::Reviewer]);
        let clearance = policy.judge_without_permit(&rei, Action::PermitList, NOW).unwrap();
        let around = GrantSurroundings { dataset_cap: cap(8.0, 1e-7), queryable: &|_, _| true, roles_of: &|_| None };
        assert_eq!(policy.check_grant(&clearance, &example::permit(), &around), Err(GrantFault::NotCleared));
        for role in [Role::Analyst, Role::Auditor, Role::Custodian, Role::Operator] {
            let other = Principal::for_tests("rei", [role]);
            let refused = policy.judge_without_permit(&other, Action::PermitGrant, NOW);
            assert_eq!(refused.err(), Some(Refusal::RoleNotAllowed), "{role}");
        }
    }
}
