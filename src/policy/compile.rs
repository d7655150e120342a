//! Which rules does a permit come down to?
//!
//! A permit becomes few rules of one enforcer: per granted table one for touching it at all and one per column and
//! position (one for all columns or all positions where all are granted); one per public schema; one that lets its
//! principals, and nobody else, ask at all. Dates and revocation are no rules: they are looked at on each call.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::{
    action::Action,
    enforcer::{EVERY, Enforcer, NOTHING, Request, Rule},
    fault::PolicyFault,
    model::Model,
};
use crate::{
    permits::{EVERY_COLUMN, Permit, PermitState},
    terms::{AccountName, ColumnUse, DatasetName, PermitId, Position, PurposeCode, VocabularyName},
};

/// SHA-256 over everything that a permit says, except whether it was revoked.
pub(super) fn digest(permit: &Permit) -> Result<[u8; 32], PolicyFault> {
    let terms = Permit { state: PermitState::Granted, ..permit.clone() };
    let text = serde_json::to_vec(&terms).map_err(|_| wrong(permit, "it cannot be written as text".into()))?;
    Ok(Sha256::new_with_prefix("sekisho permit 1\n").chain_update(text).finalize().into())
}

/// A permit as rules, fixed.
pub(super) struct CompiledPermit {
    pub id: PermitId,
    pub dataset: DatasetName,
    pub purpose: PurposeCode,
    pub rule_pack: String,
    pub per_question_epsilon: f64,
    /// Over the permit's terms and its rules.
    pub hash: [u8; 32],
    enforcer: Enforcer,
}

impl CompiledPermit {
    /// The rules of `terms`, at work.
    pub fn new(model: &Model, permit: &Permit, vocabularies: &BTreeSet<VocabularyName>) -> Result<Self, PolicyFault> {
        let rules = rules(permit, vocabularies)?;
        let held = subject(&permit.id);
        let members = permit.principals.iter().map(|who| (user(who), held.clone())).collect();
        let mut hasher = Sha256::new_with_prefix("sekisho compiled permit 1\n").chain_update(digest(permit)?);
        for rule in &rules {
            hasher.update(rule.line());
            hasher.update("\n");
        }
        Ok(Self {
            id: permit.id.clone(),
            dataset: permit.dataset.clone(),
            purpose: permit.purpose.clone(),
            rule_pack: permit.rule_pack.clone(),
            per_question_epsilon: permit.per_question_epsilon,
            hash: hasher.finalize().into(),
            enforcer: Enforcer::new(model, &rules, &members)?,
        })
    }

    /// Whether this account may ask under the permit at all.
    pub fn has_principal(&self, who: &AccountName) -> bool {
        self.enforcer.allows(&Request::on_action(&user(who), Action::Ask.as_str()))
    }

    /// Whether the account may touch this table, be it only to count its rows.
    pub fn allows_table(&self, who: &AccountName, schema: &str, table: &str) -> bool {
        self.allows(who, schema, table, NOTHING, NOTHING)
    }

    /// Whether the account may use this column there.
    pub fn allows_column(&self, who: &AccountName, used: &ColumnUse) -> bool {
        word(&used.column) && self.allows(who, &used.schema, &used.table, &used.column, used.position.as_str())
    }

    fn allows(&self, who: &AccountName, schema: &str, table: &str, column: &str, position: &str) -> bool {
        let (subject, every, object) = (user(who), format!("{schema}.*"), format!("{schema}.{table}"));
        let action = Action::Ask.as_str();
        let plain = word(schema) && word(table);
        plain
            && self.enforcer.allows(&Request {
                subject: &subject,
                action,
                schema: &every,
                object: &object,
                column,
                position,
            })
    }
}

/// The rules of a permit, in order.
pub(super) fn rules(permit: &Permit, vocabularies: &BTreeSet<VocabularyName>) -> Result<BTreeSet<Rule>, PolicyFault> {
    let (subject, ask) = (subject(&permit.id), Action::Ask.as_str());
    let mut rules = BTreeSet::from([Rule::on_action(&subject, ask)]);
    for (object, columns) in &permit.grants {
        let (schema, table) = object.split_once('.').unwrap_or_default();
        if schema != permit.dataset.as_str() || !word(table) {
            return Err(wrong(permit, format!("{object:?} is no table of data set {}", permit.dataset)));
        }
        rules.insert(Rule::new(&subject, ask, object, NOTHING, NOTHING));
        for (column, positions) in columns {
            if column != EVERY_COLUMN && !word(column) {
                return Err(wrong(permit, format!("{column:?} is no name of a column of {object}")));
            }
            rules.extend(named(positions).map(|p| Rule::new(&subject, ask, object, column, p)));
        }
    }
    let public = vocabularies.iter().map(VocabularyName::as_str).map(String::from);
    for schema in public.chain([format!("{}_sample", permit.dataset)]) {
        rules.insert(Rule::new(&subject, ask, &format!("{schema}.*"), EVERY, EVERY));
    }
    Ok(rules)
}

fn wrong(permit: &Permit, reason: String) -> PolicyFault {
    PolicyFault::Permit { permit: permit.id.to_string(), reason }
}

/// One name for all positions, or one for each.
fn named(positions: &BTreeSet<Position>) -> impl Iterator<Item = &'static str> {
    let all = positions.len() == Position::ALL.len();
    let each = if all { Vec::new() } else { positions.iter().map(|p| p.as_str()).collect() };
    all.then_some(EVERY).into_iter().chain(each)
}

/// How rules call an account.
pub(super) fn user(who: &AccountName) -> String {
    format!("user:{who}")
}

fn subject(permit: &PermitId) -> String {
    format!("permit:{permit}")
}

/// A schema, table or column: nothing that means something else in a rule.
fn word(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{policy::example, terms::Instant};

    fn lines(permit: &Permit) -> Result<Vec<String>, String> {
        let found = rules(permit, &example::vocabularies()).map_err(|e| e.to_string())?;
        Ok(found.iter().map(Rule::line).collect())
    }

    #[test]
    fn a_permit_comes_down_to_few_rules_that_people_can_read() {
        assert_eq!(
            lines(&example::permit()).unwrap(),
            [
                "permit:P-2026-0001, ask, -, -, -",
                "permit:P-2026-0001, ask, demo.death, -, -",
                "permit:P-2026-0001, ask, demo.person, -, -",
                "permit:P-2026-0001, ask, demo.person, gender_concept_id, filter",
                "permit:P-2026-0001, ask, demo.person, gender_concept_id, group",
                "permit:P-2026-0001, ask, demo.person, year_of_birth, aggregate",
                "permit:P-2026-0001, ask, demo.visit_occurrence, *, *",
                "permit:P-2026-0001, ask, demo.visit_occurrence, -, -",
                "permit:P-2026-0001, ask, demo_sample.*, *, *",
                "permit:P-2026-0001, ask, vocab.*, *, *",
            ]
        );
    }

    #[test]
    fn a_grant_cannot_smuggle_in_a_wildcard_or_another_data_set() {
        let with = |table: &str, column: &str| {
            let mut permit = example::permit();
            let columns = BTreeMap::from([(column.to_owned(), BTreeSet::from([Position::Group]))]);
            permit.grants.insert(table.into(), columns);
            lines(&permit)
        };
        assert!(with("demo.cost", "*").is_ok());
        for (table, column) in [
            ("demo.*", "x"),
            ("demo.person, *", "x"),
            ("demo.", "x"),
            ("demo", "x"),
            ("demo.person.x", "x"),
            ("demo.cost", "a*"),
            ("demo.cost", ""),
            ("demo.cost", "a.b"),
            ("demo.cost", "-"),
            ("audit.entries", "*"),
            ("other.person", "*"),
        ] {
            assert!(with(table, column).is_err(), "{table}.{column}");
        }
    }

    #[test]
    fn the_digest_tells_every_change_apart_but_not_revocation() {
        let one = example::permit();
        let digest = |permit: &Permit| super::digest(permit).unwrap();
        let by = one.principals.first().unwrap().clone();
        let revoked = PermitState::Revoked { by, at: Instant(1), reason: "asked for".into() };
        assert_eq!(digest(&Permit { state: revoked, ..one.clone() }), digest(&one));
        let mut other = one.clone();
        other.principals.insert(AccountName::new("jiro").unwrap());
        for changed in [
            other,
            Permit { per_question_epsilon: 0.06, ..one.clone() },
            Permit { not_after: Instant(1), ..one.clone() },
            Permit { rule_pack: "jp-ndb".into(), ..one.clone() },
            Permit { grants: BTreeMap::new(), ..one.clone() },
            Permit { purpose: PurposeCode::new("drug-safety").unwrap(), ..one.clone() },
        ] {
            assert_ne!(digest(&changed), digest(&one));
        }
    }
}
