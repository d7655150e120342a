//! Which rules does a permit come down to?
//!
//! A permit becomes few rules of one enforcer: per granted table one for touching it at all and one per column and
//! position (one for all columns or all positions where all are granted); one per public schema; one that lets its
//! principals, and nobody else, ask at all. Dates and revocation are no rules: they are looked at on each call.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::{
    action::Action,
    enforcer::{EVERY, Enforcer, NOTHING, Request, Rule},
    fault::PolicyFault,
    model::Model,
};
use crate::terms::{
    AccountName, Cap, ColumnUse, DatasetName, Instant, PermitId, Position, PurposeCode, VocabularyName,
};

/// The positions granted per column of one table; the column `*` stands for every queryable column.
pub type ColumnGrants = BTreeMap<String, BTreeSet<Position>>;

/// What a permit says, as far as policy needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct PermitTerms {
    /// Its number.
    pub id: PermitId,
    /// Who may ask under it.
    pub principals: BTreeSet<AccountName>,
    /// The data set that it opens.
    pub dataset: DatasetName,
    /// What it opens of each (schema, table).
    pub grants: BTreeMap<(String, String), ColumnGrants>,
    /// For which purpose.
    pub purpose: PurposeCode,
    /// The most that may be lost under it.
    pub cap: Cap,
    /// The most that one of its principals may use of that.
    pub analyst_cap: Cap,
    /// What a question gets that does not say.
    pub per_question_epsilon: f64,
    /// The first instant at which it is active.
    pub not_before: Instant,
    /// The first instant at which it no longer is.
    pub not_after: Instant,
    /// The rule pack applied to its answers.
    pub rule_pack: String,
    /// Whether it was revoked.
    pub revoked: bool,
}

impl PermitTerms {
    /// Whether its dates and state let it be used at `now`.
    #[must_use]
    pub fn active(&self, now: Instant) -> bool {
        !self.revoked && self.not_before <= now && now < self.not_after
    }

    /// SHA-256 over everything that it says except whether it was revoked.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new_with_prefix("sekisho permit 1\n");
        hasher.update(format!("{}\n{}\n{}\n{}\n", self.id, self.dataset, self.purpose, self.rule_pack));
        hasher.update(format!("{} {}\n", self.not_before.0, self.not_after.0));
        for figure in [self.cap.epsilon(), self.cap.delta(), self.analyst_cap.epsilon(), self.analyst_cap.delta()] {
            hasher.update(figure.to_le_bytes());
        }
        hasher.update(self.per_question_epsilon.to_le_bytes());
        for who in &self.principals {
            hasher.update(format!("principal {who}\n"));
        }
        for ((schema, table), columns) in &self.grants {
            hasher.update(format!("table {schema:?} {table:?}\n"));
            for (column, positions) in columns {
                hasher.update(format!("column {column:?} {positions:?}\n"));
            }
        }
        hasher.finalize().into()
    }
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
    pub fn new(
        model: &Model,
        terms: &PermitTerms,
        vocabularies: &BTreeSet<VocabularyName>,
    ) -> Result<Self, PolicyFault> {
        let rules = rules(terms, vocabularies)?;
        let permit = subject(&terms.id);
        let members = terms.principals.iter().map(|who| (user(who), permit.clone())).collect();
        let mut hasher = Sha256::new_with_prefix("sekisho compiled permit 1\n");
        hasher.update(terms.digest());
        for rule in &rules {
            hasher.update(rule.line());
            hasher.update("\n");
        }
        Ok(Self {
            id: terms.id.clone(),
            dataset: terms.dataset.clone(),
            purpose: terms.purpose.clone(),
            rule_pack: terms.rule_pack.clone(),
            per_question_epsilon: terms.per_question_epsilon,
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
        used.column != NOTHING && self.allows(who, &used.schema, &used.table, &used.column, used.position.as_str())
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
pub(super) fn rules(
    terms: &PermitTerms,
    vocabularies: &BTreeSet<VocabularyName>,
) -> Result<BTreeSet<Rule>, PolicyFault> {
    let wrong = |reason: String| PolicyFault::Permit { permit: terms.id.to_string(), reason };
    let (subject, ask) = (subject(&terms.id), Action::Ask.as_str());
    let mut rules = BTreeSet::from([Rule::on_action(&subject, ask)]);
    for ((schema, table), columns) in &terms.grants {
        if schema != terms.dataset.as_str() {
            return Err(wrong(format!("{schema}.{table} is not of data set {}", terms.dataset)));
        }
        if !word(table) {
            return Err(wrong(format!("{table:?} is no name of a table")));
        }
        let object = format!("{schema}.{table}");
        for (column, positions) in columns.iter().filter(|(_, positions)| !positions.is_empty()) {
            if column != EVERY && !word(column) {
                return Err(wrong(format!("{column:?} is no name of a column of {object}")));
            }
            rules.insert(Rule::new(&subject, ask, &object, NOTHING, NOTHING));
            rules.extend(named(positions).map(|p| Rule::new(&subject, ask, &object, column, p)));
        }
    }
    let public = vocabularies.iter().map(VocabularyName::as_str).map(String::from);
    for schema in public.chain([format!("{}_sample", terms.dataset)]) {
        rules.insert(Rule::new(&subject, ask, &format!("{schema}.*"), EVERY, EVERY));
    }
    Ok(rules)
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
    use super::*;
    use crate::policy::example;

    fn lines(terms: &PermitTerms) -> Result<Vec<String>, String> {
        let found = rules(terms, &example::vocabularies()).map_err(|e| e.to_string())?;
        Ok(found.iter().map(Rule::line).collect())
    }

    #[test]
    fn a_permit_comes_down_to_few_rules_that_people_can_read() {
        assert_eq!(
            lines(&example::permit()).unwrap(),
            [
                "permit:P-2026-0001, ask, -, -, -",
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
        let with = |schema: &str, table: &str, column: &str| {
            let mut terms = example::permit();
            let columns = BTreeMap::from([(column.to_owned(), BTreeSet::from([Position::Group]))]);
            terms.grants.insert((schema.into(), table.into()), columns);
            lines(&terms)
        };
        assert!(with("demo", "death", "*").is_ok());
        for (schema, table, column) in [
            ("demo", "*", "x"),
            ("demo", "person, *", "x"),
            ("demo", "", "x"),
            ("demo", "death", "a*"),
            ("demo", "death", ""),
            ("demo", "death", "a.b"),
            ("demo", "death", "-"),
            ("audit", "entries", "*"),
            ("other", "person", "*"),
        ] {
            assert!(with(schema, table, column).is_err(), "{schema}.{table}.{column}");
        }
    }

    #[test]
    fn a_table_of_which_no_position_is_granted_is_not_granted() {
        let mut terms = example::permit();
        terms.grants.insert(("demo".into(), "death".into()), BTreeMap::from([("cause".into(), BTreeSet::new())]));
        assert!(!lines(&terms).unwrap().iter().any(|l| l.contains("death")));
    }

    #[test]
    fn the_digest_tells_every_change_apart_but_not_revocation() {
        let one = example::permit();
        let digest = one.digest();
        assert_eq!(PermitTerms { revoked: true, ..one.clone() }.digest(), digest);
        let mut other = one.clone();
        other.principals.insert(AccountName::new("jiro").unwrap());
        for changed in [
            other,
            PermitTerms { per_question_epsilon: 0.06, ..one.clone() },
            PermitTerms { not_after: Instant(1), ..one.clone() },
            PermitTerms { rule_pack: "jp-ndb".into(), ..one.clone() },
            PermitTerms { grants: BTreeMap::new(), ..one.clone() },
            PermitTerms { purpose: PurposeCode::new("drug-safety").unwrap(), ..one.clone() },
        ] {
            assert_ne!(changed.digest(), digest);
        }
    }
}
