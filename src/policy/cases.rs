//! Do the examples of `cases.toml` come out as written?

use std::{collections::BTreeSet, str::FromStr};

use serde::Deserialize;
use toml::Spanned;

use super::{
    action::Action,
    example::{Example, Standing},
    fault::{PolicyFault, line_at},
    judge::Policy,
};
use crate::terms::{ColumnUse, Position, Role, Touched};

const FILE: &str = "cases.toml";
/// What a verdict is called that is no refusal.
pub(super) const ALLOWED: &str = "allowed";

/// The file, read.
pub(super) struct Cases {
    pub example: Example,
    cases: Vec<Case>,
}

struct Case {
    line: usize,
    name: String,
    expected: String,
    asked: Asked,
}

/// What is put before the policy.
pub(super) struct Asked {
    pub roles: BTreeSet<Role>,
    pub standing: Standing,
    pub action: Action,
    /// Where it comes to a question.
    pub touched: Option<Touched>,
    /// Where it comes to a new account.
    pub given: BTreeSet<Role>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CasesText {
    example: Example,
    case: Vec<Spanned<CaseText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseText {
    name: String,
    roles: BTreeSet<Role>,
    standing: Standing,
    action: String,
    touches: Option<Vec<String>>,
    #[serde(default)]
    gives: BTreeSet<Role>,
    answer: String,
}

impl Cases {
    /// The examples of `text`.
    pub fn read(text: &str) -> Result<Self, PolicyFault> {
        let read: CasesText = toml::from_str(text).map_err(|e| PolicyFault::toml(FILE, text, &e))?;
        let one = |case: Spanned<CaseText>| {
            let line = line_at(text, case.span().start);
            one_case(line, case.into_inner()).map_err(|reason| PolicyFault::wrong(FILE, line, reason))
        };
        Ok(Self { example: read.example, cases: read.case.into_iter().map(one).collect::<Result<_, _>>()? })
    }

    /// How many came out as written: all of them.
    ///
    /// # Errors
    /// [`PolicyFault::Case`] names the first that did not.
    pub fn run(&self, policy: &Policy) -> Result<usize, PolicyFault> {
        for case in &self.cases {
            let found = verdict(policy, &self.example, &case.asked);
            if found != case.expected {
                let (name, expected) = (case.name.clone(), case.expected.clone());
                return Err(PolicyFault::Case { line: case.line, name, expected, found: found.into() });
            }
        }
        Ok(self.cases.len())
    }
}

/// What the policy says: `allowed`, or the code of its refusal.
pub(super) fn verdict(policy: &Policy, example: &Example, asked: &Asked) -> &'static str {
    let (who, permit, now) = example.stand(asked.standing);
    let permit = match policy.admit(who, &asked.roles, permit.as_ref(), asked.action, now) {
        Ok(permit) => permit,
        Err(refusal) => return refusal.code(),
    };
    if !asked.given.iter().all(|role| policy.gives(&asked.roles, *role)) {
        return crate::terms::Refusal::RoleNotAllowed.code();
    }
    let Some(touched) = &asked.touched else { return ALLOWED };
    match policy.admit_question(who, &asked.roles, permit.as_deref(), asked.action, touched) {
        Ok(()) => ALLOWED,
        Err(refusal) => refusal.code(),
    }
}

fn one_case(line: usize, case: CaseText) -> Result<Case, String> {
    let touched = case.touches.map(|names| touched(&names)).transpose()?;
    let action = Action::from_str(&case.action)?;
    if !case.gives.is_empty() && action != Action::AccountAdd {
        return Err("gives goes with account-add".into());
    }
    let CaseText { name, roles, standing, gives: given, answer: expected, .. } = case;
    Ok(Case { line, name, expected, asked: Asked { roles, standing, action, touched, given } })
}

fn touched(names: &[String]) -> Result<Touched, String> {
    let mut touched = Touched::default();
    for name in names {
        let (path, position) = name.split_once(' ').map_or((name.as_str(), None), |(p, w)| (p, Some(w)));
        match (path.split('.').collect::<Vec<_>>().as_slice(), position) {
            ([schema, table], None) => {
                touched.tables.insert((String::from(*schema), String::from(*table)));
            }
            ([schema, table, column], Some(position)) => {
                let [schema, table, column] = [schema, table, column].map(|n| String::from(*n));
                let position = Position::from_str(position)?;
                touched.columns.insert(ColumnUse { schema, table, column, position });
            }
            _ => return Err(format!("{name:?} is neither schema.table nor schema.table.column and a position")),
        }
    }
    Ok(touched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::files::PolicyFiles;

    const OURS: &str = include_str!("../../policies/cases.toml");

    #[test]
    fn every_example_comes_out_as_written() {
        let cases = Cases::read(OURS).unwrap();
        let policy = super::super::check::policy_of(&PolicyFiles::embedded(), &cases.example).unwrap();
        assert_eq!(cases.run(&policy).unwrap(), OURS.matches("[[case]]").count());
    }

    #[test]
    fn an_example_that_comes_out_otherwise_is_named_with_its_line() {
        let text = OURS.replacen("answer = \"allowed\"", "answer = \"no_permit\"", 1);
        let cases = Cases::read(&text).unwrap();
        let policy = super::super::check::policy_of(&PolicyFiles::embedded(), &cases.example).unwrap();
        let fault = cases.run(&policy).unwrap_err().to_string();
        let line = OURS.lines().position(|l| l == "[[case]]").unwrap() + 1;
        assert!(fault.starts_with(&format!("cases.toml:{line}: \"an analyst counts")), "{fault}");
        assert!(fault.ends_with("is expected to be no_permit, but is allowed"), "{fault}");
    }

    #[test]
    fn a_wrong_example_is_named_with_its_line() {
        for (from, to, reason) in [
            ("touches = [\"demo.person\"]", "touches = [\"person\"]", "neither schema.table"),
            ("action = \"ask\"", "action = \"beg\"", "is not an action"),
            ("standing = \"active\"", "standing = \"sitting\"", "unknown variant"),
            ("gives = [\"analyst\"]", "gives = [\"king\"]", "unknown variant"),
        ] {
            let fault = Cases::read(&OURS.replacen(from, to, 1)).err().unwrap().to_string();
            assert!(fault.starts_with("cases.toml:") && fault.contains(reason), "{fault}");
        }
    }
}
