//! What does `roles.toml` say that each role may do?

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use serde::Deserialize;
use toml::Spanned;

use super::{
    action::Action,
    enforcer::{EVERY, NOTHING, Rule},
    fault::{PolicyFault, line_at},
};
use crate::terms::Role;

const FILE: &str = "roles.toml";
/// The schemas that are read by role and not by permit.
pub(super) const BY_ROLE: [&str; 2] = ["sekisho", "audit"];
/// How rules call reading such a schema.
pub(super) const READ: &str = "read";
/// How rules call giving a role to a new account.
pub(super) const GIVE: &str = "give";

/// What one role may do.
#[derive(Debug, Clone, Default)]
pub(super) struct Duty {
    pub may: BTreeSet<Action>,
    pub reads: BTreeSet<&'static str>,
    pub gives: BTreeSet<Role>,
}

/// What every role may do.
#[derive(Debug, Clone)]
pub(super) struct Roles(BTreeMap<Role, Duty>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RolesText {
    analyst: DutyText,
    reviewer: DutyText,
    auditor: DutyText,
    custodian: DutyText,
    operator: DutyText,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DutyText {
    may: Vec<Spanned<String>>,
    reads: Vec<Spanned<String>>,
    gives: Vec<Spanned<String>>,
}

impl Roles {
    /// The roles of `text`.
    pub fn read(text: &str) -> Result<Self, PolicyFault> {
        let read: RolesText = toml::from_str(text).map_err(|e| PolicyFault::toml(FILE, text, &e))?;
        let RolesText { analyst, reviewer, auditor, custodian, operator } = read;
        let duties = [analyst, reviewer, auditor, custodian, operator].into_iter().map(|d| duty(text, &d));
        let duties = Role::ALL.into_iter().zip(duties).map(|(role, duty)| Ok((role, duty?)));
        Ok(Self(duties.collect::<Result<_, PolicyFault>>()?))
    }

    /// What `role` may do.
    pub fn of(&self, role: Role) -> Option<&Duty> {
        self.0.get(&role)
    }

    /// The same as rules.
    pub fn rules(&self) -> BTreeSet<Rule> {
        let mut rules = BTreeSet::new();
        for (role, duty) in &self.0 {
            let subject = subject(*role);
            rules.extend(duty.may.iter().map(|a| Rule::on_action(&subject, a.as_str())));
            rules.extend(duty.reads.iter().map(|s| Rule::new(&subject, READ, &format!("{s}.*"), EVERY, EVERY)));
            rules.extend(duty.gives.iter().map(|r| Rule::new(&subject, GIVE, &self::subject(*r), NOTHING, NOTHING)));
        }
        rules
    }
}

/// How rules call a role.
pub(super) fn subject(role: Role) -> String {
    format!("role:{role}")
}

fn duty(text: &str, duty: &DutyText) -> Result<Duty, PolicyFault> {
    Ok(Duty {
        may: each(text, &duty.may, Action::from_str)?,
        reads: each(text, &duty.reads, schema)?,
        gives: each(text, &duty.gives, Role::from_str)?,
    })
}

fn schema(given: &str) -> Result<&'static str, String> {
    BY_ROLE.into_iter().find(|s| *s == given).ok_or_else(|| format!("{given:?} is not read by role"))
}

fn each<T: Ord>(
    text: &str,
    given: &[Spanned<String>],
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<BTreeSet<T>, PolicyFault> {
    let one = |g: &Spanned<String>| {
        read(g.get_ref()).map_err(|reason| PolicyFault::wrong(FILE, line_at(text, g.span().start), reason))
    };
    given.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = include_str!("../../policies/roles.toml");

    #[test]
    fn a_wrong_word_is_named_with_its_line() {
        for (from, to, fault) in [
            ("\"audit-export\"", "\"audit-burn\"", "roles.toml:18: \"audit-burn\" is not an action"),
            ("gives = [\"auditor\"]", "gives = [\"king\"]", "roles.toml:20: \"king\" is not a role"),
            ("reads = [\"sekisho\", \"audit\"]", "reads = [\"demo\"]", "roles.toml:19: \"demo\" is not read by role"),
        ] {
            assert_eq!(Roles::read(&OURS.replacen(from, to, 1)).unwrap_err().to_string(), fault);
        }
        assert!(Roles::read(&OURS.replace("[operator]", "[emperor]")).is_err(), "an unknown role, one missing");
        assert!(Roles::read("[analyst]").unwrap_err().to_string().starts_with("roles.toml:1:"));
    }

    #[test]
    fn the_operator_reads_neither_questions_nor_answers() {
        let roles = Roles::read(OURS).unwrap();
        let operator = roles.of(Role::Operator).unwrap();
        assert!(!operator.reads.contains("audit"));
        for never in [Action::Ask, Action::AuditRead, Action::AuditExport, Action::PermitGrant] {
            assert!(!operator.may.contains(&never), "{never}");
        }
    }
}
