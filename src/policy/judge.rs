//! Is this call allowed, and then this question?

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest, Sha256};

use super::{
    action::Action,
    clearance::{Clearance, QuestionClearance},
    compile::{self, CompiledPermit},
    enforcer::{Enforcer, Request, Rule},
    fault::PolicyFault,
    files::PolicyFiles,
    model::Model,
    purposes::{ProhibitedUse, Purpose, Purposes},
    roles::{self, Roles},
    rules::{self, RulePack},
};
use crate::{
    identity::Principal,
    permits::Permit,
    terms::{AccountName, ColumnUse, DatasetName, Instant, PurposeCode, Refusal, Role, Touched, VocabularyName},
};

/// So many compiled permits are kept; beyond it they are compiled anew.
const COMPILED_MAX: usize = 256;
/// So many names does one refusal list.
const NAMED_MAX: usize = 8;

/// The policy in force: read once, immutable, shared by all threads.
pub struct Policy {
    pub(super) model: Model,
    pub(super) roles: Roles,
    pub(super) purposes: Purposes,
    pub(super) packs: BTreeMap<String, RulePack>,
    by_role: Enforcer,
    vocabularies: BTreeMap<DatasetName, BTreeSet<VocabularyName>>,
    files_hash: [u8; 32],
    compiled: Mutex<HashMap<[u8; 32], Arc<CompiledPermit>>>,
}

impl Policy {
    /// The policy of `files`, where each data set is read beside these public vocabularies.
    ///
    /// # Errors
    /// [`PolicyFault`] names the file and line that does not hold together.
    pub fn read(
        files: &PolicyFiles,
        vocabularies: BTreeMap<DatasetName, BTreeSet<VocabularyName>>,
    ) -> Result<Self, PolicyFault> {
        let model = Model::read(&files.model)?;
        let roles = Roles::read(&files.roles)?;
        let by_role = Enforcer::new(&model, &roles.rules(), &BTreeSet::new())?;
        Ok(Self {
            purposes: Purposes::read(&files.purposes, &files.prohibited)?,
            packs: rules::read(&files.rules)?,
            files_hash: files.hash(),
            compiled: Mutex::default(),
            model,
            roles,
            by_role,
            vocabularies,
        })
    }

    /// The policy built in, with the files of `dir` in their place.
    ///
    /// # Errors
    /// [`PolicyFault`] names the file and line that cannot be read or does not hold together.
    pub fn open(
        dir: Option<&Path>,
        vocabularies: BTreeMap<DatasetName, BTreeSet<VocabularyName>>,
    ) -> Result<Self, PolicyFault> {
        let files = dir.map_or_else(|| Ok(PolicyFiles::embedded()), PolicyFiles::read)?;
        Self::read(&files, vocabularies)
    }

    /// The first judgement: may this principal do this, under this permit, now? The permit counts for questions; what
    /// else there is to do depends on roles alone.
    ///
    /// # Errors
    /// `RoleNotAllowed` where no role of the principal includes the action; `PermitNotActive` where the permit is
    /// somebody else's, not yet or no longer valid, or revoked.
    pub fn judge(
        &self,
        principal: &Principal,
        permit: &Permit,
        action: Action,
        now: Instant,
    ) -> Result<Clearance, Refusal> {
        let permit = self.admit(principal.account(), principal.roles(), Some(permit), action, now)?;
        Ok(self.clear(principal, action, now, permit))
    }

    /// The first judgement of what needs no permit: administration, and looking at what there is.
    ///
    /// # Errors
    /// `RoleNotAllowed` where no role of the principal includes the action; `NoPermit` for a question.
    pub fn judge_without_permit(
        &self,
        principal: &Principal,
        action: Action,
        now: Instant,
    ) -> Result<Clearance, Refusal> {
        let permit = self.admit(principal.account(), principal.roles(), None, action, now)?;
        Ok(self.clear(principal, action, now, permit))
    }

    /// The first judgement of adding an account: also whether the principal may give each of these roles.
    ///
    /// # Errors
    /// `RoleNotAllowed`, also where no role is given at all.
    pub fn judge_account(
        &self,
        principal: &Principal,
        given: &BTreeSet<Role>,
        now: Instant,
    ) -> Result<Clearance, Refusal> {
        self.judge_giving(principal, Action::AccountAdd, given, now)
    }

    /// The first judgement of giving a role to an account that there is.
    ///
    /// # Errors
    /// `RoleNotAllowed`.
    pub fn judge_grant(&self, principal: &Principal, given: Role, now: Instant) -> Result<Clearance, Refusal> {
        self.judge_giving(principal, Action::RoleGrant, &BTreeSet::from([given]), now)
    }

    fn judge_giving(
        &self,
        principal: &Principal,
        action: Action,
        given: &BTreeSet<Role>,
        now: Instant,
    ) -> Result<Clearance, Refusal> {
        let clearance = self.judge_without_permit(principal, action, now)?;
        match !given.is_empty() && given.iter().all(|role| self.gives(principal.roles(), *role)) {
            true => Ok(clearance),
            false => Err(Refusal::RoleNotAllowed),
        }
    }

    /// The second judgement: may the question touch every table and column that it touches, in every position?
    ///
    /// # Errors
    /// `NotGranted` names what it may not touch; `NoPermit` where it touches what only a permit can open.
    pub fn judge_question(&self, clearance: Clearance, touched: &Touched) -> Result<QuestionClearance, Refusal> {
        let permit = clearance.permit.as_deref();
        self.admit_question(clearance.account(), clearance.principal.roles(), permit, clearance.action, touched)?;
        Ok(QuestionClearance(clearance))
    }

    /// SHA-256 over the policy files and the permit as compiled, for the record of a decision.
    ///
    /// # Errors
    /// [`PolicyFault::Permit`] where the permit cannot be compiled.
    pub fn policy_hash(&self, permit: Option<&Permit>) -> Result<[u8; 32], PolicyFault> {
        Ok(self.hash(permit.map(|p| self.compiled(p)).transpose()?.as_deref()))
    }

    /// The rules that a permit comes down to, one a line: what a reviewer sees before granting it.
    ///
    /// # Errors
    /// [`PolicyFault::Permit`] where the permit cannot be compiled.
    pub fn preview(&self, permit: &Permit) -> Result<Vec<String>, PolicyFault> {
        let rules = compile::rules(permit, &self.vocabularies_of(&permit.dataset))?;
        Ok(rules.iter().map(Rule::line).collect())
    }

    /// The closed list of purposes.
    pub fn purposes(&self) -> impl Iterator<Item = &Purpose> {
        self.purposes.listed.values()
    }

    /// A purpose of the list.
    #[must_use]
    pub fn purpose(&self, code: &PurposeCode) -> Option<&Purpose> {
        self.purposes.listed.get(code)
    }

    /// The uses that no permit can allow.
    pub fn prohibited(&self) -> impl Iterator<Item = &ProhibitedUse> {
        self.purposes.prohibited.values()
    }

    /// A rule pack by its name.
    #[must_use]
    pub fn rule_pack(&self, name: &str) -> Option<&RulePack> {
        self.packs.get(name)
    }

    /// Both judgements in the plain: what the public functions wrap in proofs and the grid looks at.
    pub(super) fn admit(
        &self,
        who: &AccountName,
        roles: &BTreeSet<Role>,
        permit: Option<&Permit>,
        action: Action,
        now: Instant,
    ) -> Result<Option<Arc<CompiledPermit>>, Refusal> {
        if !self.may(roles, action) {
            return Err(Refusal::RoleNotAllowed);
        }
        if action != Action::Ask {
            return Ok(None);
        }
        let terms = permit.ok_or(Refusal::NoPermit)?;
        if !terms.active(now) {
            return Err(Refusal::PermitNotActive);
        }
        let compiled = self.compiled(terms).map_err(|fault| {
            tracing::error!(permit = %terms.id, %fault, "a permit in the books cannot be compiled");
            Refusal::PermitNotActive
        })?;
        match compiled.has_principal(who) {
            true => Ok(Some(compiled)),
            false => Err(Refusal::PermitNotActive),
        }
    }

    pub(super) fn admit_question(
        &self,
        who: &AccountName,
        roles: &BTreeSet<Role>,
        permit: Option<&CompiledPermit>,
        action: Action,
        touched: &Touched,
    ) -> Result<(), Refusal> {
        if !matches!(action, Action::Ask | Action::Describe) {
            return Err(Refusal::RoleNotAllowed);
        }
        let mut refused = Vec::new();
        for (schema, table) in &touched.tables {
            let by_permit = permit.is_some_and(|p| p.allows_table(who, schema, table));
            if !by_permit && !self.reads(roles, schema) {
                refused.push((schema, format!("{schema}.{table}")));
            }
        }
        for used in &touched.columns {
            let by_permit = permit.is_some_and(|p| p.allows_column(who, used));
            if !by_permit && !self.reads(roles, &used.schema) {
                refused.push((&used.schema, named(used)));
            }
        }
        if refused.is_empty() {
            return apart(touched, permit);
        }
        let opened_by_role = refused.iter().any(|(schema, _)| roles::BY_ROLE.contains(&schema.as_str()));
        match permit {
            None if opened_by_role => Err(Refusal::RoleNotAllowed),
            None if !self.may(roles, Action::Ask) => Err(Refusal::RoleNotAllowed),
            None => Err(Refusal::NoPermit),
            Some(_) => Err(not_granted(refused.into_iter().map(|(_, name)| name))),
        }
    }

    pub(super) fn gives(&self, roles: &BTreeSet<Role>, given: Role) -> bool {
        let given = roles::subject(given);
        roles.iter().any(|r| self.by_role.allows(&Request::on_object(&roles::subject(*r), roles::GIVE, &given)))
    }

    pub(super) fn may(&self, roles: &BTreeSet<Role>, action: Action) -> bool {
        roles.iter().any(|r| self.by_role.allows(&Request::on_action(&roles::subject(*r), action.as_str())))
    }

    fn reads(&self, roles: &BTreeSet<Role>, schema: &str) -> bool {
        let every = format!("{schema}.*");
        let reads = |r: &Role| {
            let subject = roles::subject(*r);
            let request = Request::on_object(&subject, roles::READ, schema);
            self.by_role.allows(&Request { schema: &every, ..request })
        };
        roles.iter().any(reads)
    }

    fn clear(
        &self,
        principal: &Principal,
        action: Action,
        at: Instant,
        permit: Option<Arc<CompiledPermit>>,
    ) -> Clearance {
        let policy_hash = self.hash(permit.as_deref());
        Clearance { principal: principal.clone(), action, at, permit, policy_hash }
    }

    fn hash(&self, permit: Option<&CompiledPermit>) -> [u8; 32] {
        let mut hasher = Sha256::new_with_prefix("sekisho policy 1\n");
        hasher.update(self.files_hash);
        hasher.update(permit.map_or([0; 32], |p| p.hash));
        hasher.finalize().into()
    }

    pub(super) fn compiled(&self, terms: &Permit) -> Result<Arc<CompiledPermit>, PolicyFault> {
        let digest = compile::digest(terms)?;
        if let Some(kept) = self.kept().get(&digest) {
            return Ok(Arc::clone(kept));
        }
        let made = Arc::new(CompiledPermit::new(&self.model, terms, &self.vocabularies_of(&terms.dataset))?);
        let mut kept = self.kept();
        if kept.len() >= COMPILED_MAX {
            kept.clear();
        }
        kept.insert(digest, Arc::clone(&made));
        Ok(made)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Arc<CompiledPermit>>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn vocabularies_of(&self, dataset: &DatasetName) -> BTreeSet<VocabularyName> {
        self.vocabularies.get(dataset).cloned().unwrap_or_default()
    }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Policy")
    }
}

/// What is read by role never stands in one question with the data set (privacy.md section 6, "Metadata").
fn apart(touched: &Touched, permit: Option<&CompiledPermit>) -> Result<(), Refusal> {
    let by_role = touched.tables.iter().find(|(schema, _)| roles::BY_ROLE.contains(&schema.as_str()));
    let data = permit.and_then(|p| touched.tables.iter().find(|(schema, _)| schema == p.dataset.as_str()));
    match (by_role, data) {
        (Some((s, t)), Some((schema, table))) => {
            Err(Refusal::NotGranted { what: format!("{s}.{t} beside {schema}.{table}") })
        }
        _ => Ok(()),
    }
}

fn named(used: &ColumnUse) -> String {
    format!("{}.{}.{} ({})", used.schema, used.table, used.column, used.position)
}

fn not_granted(names: impl Iterator<Item = String>) -> Refusal {
    let names: Vec<_> = names.collect();
    let listed: Vec<_> = names.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = match names.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Refusal::NotGranted { what: format!("{}{more}", listed.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        permits::PermitState,
        policy::{check::policy_of, example},
        terms::Position,
    };

    fn policy() -> Policy {
        policy_of(&PolicyFiles::embedded(), &example::ours()).unwrap()
    }

    fn hanako() -> Principal {
        Principal::for_tests("hanako", [Role::Analyst])
    }

    fn now() -> Instant {
        example::permit().not_before
    }

    fn touched(tables: &[&str], columns: &[(&str, &str, Position)]) -> Touched {
        let table = |name: &str| name.split_once('.').map(|(s, t)| (s.to_owned(), t.to_owned())).unwrap();
        let column = |(name, column, position): &(&str, &str, Position)| {
            let (schema, table) = table(name);
            ColumnUse { schema, table, column: (*column).into(), position: *position }
        };
        Touched { tables: tables.iter().map(|t| table(t)).collect(), columns: columns.iter().map(column).collect() }
    }

    fn asked(touched: &Touched) -> Result<QuestionClearance, Refusal> {
        let policy = policy();
        let clearance = policy.judge(&hanako(), &example::permit(), Action::Ask, now())?;
        policy.judge_question(clearance, touched)
    }

    #[test]
    fn a_clearance_carries_what_the_floors_above_need() {
        let permit = example::permit();
        let cleared =
            asked(&touched(&["demo.person"], &[("demo.person", "gender_concept_id", Position::Group)])).unwrap();
        assert_eq!(cleared.account().as_str(), "hanako");
        assert_eq!((cleared.permit(), cleared.dataset()), (Some(&permit.id), Some(&permit.dataset)));
        assert_eq!((cleared.purpose(), cleared.rule_pack()), (Some(&permit.purpose), Some("none")));
        assert_eq!((cleared.per_question_epsilon(), cleared.action()), (Some(0.05), Action::Ask));
        assert_eq!(cleared.policy_hash(), &policy().policy_hash(Some(&permit)).unwrap());
        assert_eq!(cleared.at(), now());
    }

    #[test]
    fn a_column_out_of_its_position_is_refused_by_name() {
        let question = touched(&["demo.person"], &[("demo.person", "year_of_birth", Position::Filter)]);
        let what = "demo.person.year_of_birth (filter)".into();
        assert_eq!(asked(&question).err(), Some(Refusal::NotGranted { what }));
    }

    #[test]
    fn everything_that_is_not_granted_is_named_tables_first() {
        let question = touched(
            &["demo.measurement", "demo.person"],
            &[
                ("demo.measurement", "value_as_number", Position::Aggregate),
                ("demo.person", "gender_concept_id", Position::Group),
                ("demo.person", "race_concept_id", Position::Group),
            ],
        );
        let what =
            "demo.measurement, demo.measurement.value_as_number (aggregate), demo.person.race_concept_id (group)";
        assert_eq!(asked(&question).err(), Some(Refusal::NotGranted { what: what.into() }));
    }

    #[test]
    fn a_refusal_stays_short_however_much_is_touched() {
        let names: Vec<_> = (0..100).map(|n| format!("c{n:03}")).collect();
        let columns: Vec<_> = names.iter().map(|n| ("demo.person", n.as_str(), Position::Group)).collect();
        let Some(Refusal::NotGranted { what }) = asked(&touched(&["demo.person"], &columns)).err() else { panic!() };
        assert!(what.ends_with("demo.person.c007 (group) and 92 more"), "{what}");
    }

    #[test]
    fn a_column_is_judged_even_where_its_table_is_not_listed() {
        let question = touched(&[], &[("demo.measurement", "value_as_number", Position::Filter)]);
        assert!(matches!(asked(&question).err(), Some(Refusal::NotGranted { .. })));
    }

    #[test]
    fn names_in_another_spelling_or_with_rule_characters_are_not_granted() {
        for name in ["demo.PERSON", "DEMO.person", "demo.person ", "demo.*", "demo.person.x", "demo_sample.*", "demo.-"]
        {
            assert!(asked(&touched(&[name], &[])).is_err(), "{name}");
        }
        for column in ["*", "-", "", "GENDER_CONCEPT_ID", "gender_concept_id, group"] {
            let question = touched(&["demo.person"], &[("demo.person", column, Position::Group)]);
            assert!(asked(&question).is_err(), "{column:?}");
            let whole = touched(&[], &[("demo.visit_occurrence", column, Position::Group)]);
            // Under a whole table any word is granted: that there is such a column is for sql/ to say.
            assert_eq!(asked(&whole).is_ok(), column == "GENDER_CONCEPT_ID", "{column:?}");
        }
    }

    #[test]
    fn an_account_called_like_the_permit_or_a_role_gets_nothing_from_it() {
        for name in ["P-2026-0001", "analyst", "permit"] {
            let other = Principal::for_tests(name, [Role::Analyst]);
            let refused = policy().judge(&other, &example::permit(), Action::Ask, now()).err();
            assert_eq!(refused, Some(Refusal::PermitNotActive), "{name}");
        }
    }

    #[test]
    fn a_revocation_counts_from_the_next_call_although_the_rules_are_kept() {
        let policy = policy();
        let permit = example::permit();
        assert!(policy.judge(&hanako(), &permit, Action::Ask, now()).is_ok());
        let by = hanako().account().clone();
        let revoked =
            Permit { state: PermitState::Revoked { by, at: now(), reason: "asked for".into() }, ..permit.clone() };
        assert_eq!(policy.judge(&hanako(), &revoked, Action::Ask, now()).err(), Some(Refusal::PermitNotActive));
        assert_eq!(policy.kept().len(), 1, "compiled once");
    }

    #[test]
    fn two_permits_of_one_number_do_not_share_rules() {
        let policy = policy();
        let narrow = Permit { grants: BTreeMap::from([("demo.death".into(), BTreeMap::new())]), ..example::permit() };
        let question = touched(&["demo.person"], &[]);
        let ask = |permit: &Permit| {
            policy.judge(&hanako(), permit, Action::Ask, now()).and_then(|c| policy.judge_question(c, &question))
        };
        assert!(ask(&example::permit()).is_ok());
        assert!(ask(&narrow).is_err());
        assert_ne!(policy.policy_hash(Some(&narrow)).unwrap(), policy.policy_hash(Some(&example::permit())).unwrap());
        assert_ne!(policy.policy_hash(None).unwrap(), policy.policy_hash(Some(&narrow)).unwrap());
    }

    #[test]
    fn a_clearance_to_administer_asks_no_question() {
        let policy = policy();
        let aki = Principal::for_tests("aki", [Role::Auditor]);
        let export = policy.judge_without_permit(&aki, Action::AuditExport, now()).unwrap();
        let refused = policy.judge_question(export, &touched(&["audit.entries"], &[])).err();
        assert_eq!(refused, Some(Refusal::RoleNotAllowed));
    }

    #[test]
    fn roles_are_given_by_those_who_may_give_them() {
        let policy = policy();
        let by = |role, given: &[Role]| {
            let given = given.iter().copied().collect();
            policy.judge_account(&Principal::for_tests("rei", [role]), &given, now()).is_ok()
        };
        assert!(by(Role::Operator, &[Role::Analyst, Role::Operator]));
        assert!(by(Role::Auditor, &[Role::Auditor]));
        assert!(!by(Role::Operator, &[Role::Analyst, Role::Auditor]));
        assert!(!by(Role::Operator, &[]), "an account without a role");
        assert!(!by(Role::Analyst, &[Role::Analyst]));
    }

    #[test]
    fn a_permit_that_cannot_be_compiled_opens_nothing() {
        let broken =
            Permit { grants: BTreeMap::from([("audit.entries".into(), BTreeMap::new())]), ..example::permit() };
        let refused = policy().judge(&hanako(), &broken, Action::Ask, now()).err();
        assert_eq!(refused, Some(Refusal::PermitNotActive));
        assert!(policy().preview(&broken).is_err());
    }

    #[test]
    fn a_large_question_under_a_large_permit_is_judged_in_well_under_a_second() {
        let policy = policy();
        let names: Vec<_> = (0..100).map(|n| format!("c{n:03}")).collect();
        let positions = BTreeSet::from([Position::Filter, Position::Group]);
        let granted = names.iter().map(|n| (n.clone(), positions.clone())).collect();
        let permit = Permit { grants: BTreeMap::from([("demo.person".into(), granted)]), ..example::permit() };
        let columns: Vec<_> = names.iter().map(|n| ("demo.person", n.as_str(), Position::Group)).collect();
        let question = touched(&["demo.person"], &columns);
        let clearance = policy.judge(&hanako(), &permit, Action::Ask, now()).unwrap();
        let begun = std::time::Instant::now();
        assert!(policy.judge_question(clearance, &question).is_ok());
        assert!(begun.elapsed().as_secs_f64() < 0.9, "{:?}", begun.elapsed());
    }
}
