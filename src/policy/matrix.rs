//! Who may do what, all of it on one page?
//!
//! The grid walks through every point of role x standing to the permit x action x object x position with the real
//! enforcer. [`plain`] is the same policy once more without Casbin, short enough to be read; the two are compared at
//! every point.

use std::{collections::BTreeSet, fmt::Write};

use super::{
    action::Action,
    cases::{ALLOWED, Asked, verdict},
    example::{Example, Standing},
    fault::PolicyFault,
    judge::Policy,
    roles::{BY_ROLE, Roles},
};
use crate::permits::{Permit, PermitState};
use crate::terms::{AccountName, ColumnUse, Instant, Position, Refusal, Role, Touched};

const LEGEND: &str = "\
# Who may do what. Written by sekisho policy check; every change of the policy shows here as a difference.
# Permit: the example of cases.toml. Standing: none (no permit named), stranger (somebody else's), early, active,
# expired, revoked. Columns: an account without a role, then each role alone.
# Cells: t the table alone, f filter, g group, a aggregate, + allowed, . refused.
";

/// What one point of the grid is about.
pub(super) struct Target<'a> {
    schema: &'a str,
    table: &'a str,
    /// None where the table alone is touched.
    column: Option<(&'a str, Position)>,
}

impl Target<'_> {
    fn touched(&self) -> Touched {
        let [schema, table] = [self.schema, self.table].map(String::from);
        let mut touched = Touched::default();
        match self.column {
            None => {
                touched.tables.insert((schema, table));
            }
            Some((column, position)) => {
                touched.columns.insert(ColumnUse { schema, table, column: column.into(), position });
            }
        }
        touched
    }

    fn letter(&self) -> char {
        match self.column {
            None => 't',
            Some((_, Position::Filter)) => 'f',
            Some((_, Position::Group)) => 'g',
            Some((_, Position::Aggregate)) => 'a',
        }
    }
}

/// The grid of `policy`, as text.
pub(super) fn grid(policy: &Policy, example: &Example) -> Result<String, PolicyFault> {
    let columns: Vec<BTreeSet<Role>> =
        [BTreeSet::new()].into_iter().chain(Role::ALL.map(|r| BTreeSet::from([r]))).collect();
    let mut text = String::from(LEGEND);
    for action in Action::ALL.iter().copied() {
        if !is_question(action) {
            block(&mut text, action.as_str(), &columns, |asked| plus(policy, example, asked, action));
            continue;
        }
        for object in &example.objects {
            let targets = targets(object)?;
            let cell = |asked: &Corner<'_>| {
                targets.iter().map(|t| letter(policy, example, &asked.of(action, Some(t)), t.letter())).collect()
            };
            block(&mut text, &format!("{action} {object}"), &columns, cell);
        }
    }
    for given in Role::ALL {
        let cell = |corner: &Corner<'_>| {
            let asked = Asked { given: BTreeSet::from([given]), ..corner.of(Action::AccountAdd, None) };
            letter(policy, example, &asked, '+').to_string()
        };
        block(&mut text, &format!("account-add giving {given}"), &columns, cell);
    }
    Ok(text)
}

/// Compares the enforcer with the plain evaluator for each of these sets of roles; says at how many points.
pub(super) fn compare(
    policy: &Policy,
    example: &Example,
    sets_of_roles: &[BTreeSet<Role>],
) -> Result<usize, PolicyFault> {
    let mut points = 0;
    for roles in sets_of_roles {
        for standing in Standing::ALL {
            let corner = Corner { roles, standing };
            for action in Action::ALL.iter().copied() {
                points += compare_one(policy, example, &corner.of(action, None))?;
                for object in example.objects.iter().filter(|_| is_question(action)) {
                    for target in targets(object)? {
                        points += compare_one(policy, example, &corner.of(action, Some(&target)))?;
                    }
                }
            }
            for given in Role::ALL {
                let asked = Asked { given: BTreeSet::from([given]), ..corner.of(Action::AccountAdd, None) };
                points += compare_one(policy, example, &asked)?;
            }
        }
    }
    Ok(points)
}

fn compare_one(policy: &Policy, example: &Example, asked: &Asked) -> Result<usize, PolicyFault> {
    let (who, permit, now) = example.stand(asked.standing);
    let plain = plain(&policy.roles, example, who, permit.as_ref(), now, asked);
    let enforcer = verdict(policy, example, asked);
    if enforcer == plain {
        return Ok(1);
    }
    let Asked { roles, standing, action, touched, given } = asked;
    let point = format!("roles {roles:?}, permit {}, {action} {touched:?} {given:?}", standing.as_str());
    Err(PolicyFault::Disagree { point, enforcer: enforcer.into(), plain: plain.into() })
}

/// The policy without Casbin: the reference that the enforcer is compared with.
fn plain(
    duties: &Roles,
    example: &Example,
    who: &AccountName,
    permit: Option<&Permit>,
    now: Instant,
    asked: &Asked,
) -> &'static str {
    let refused = |refusal: Refusal| refusal.code();
    let mine = || asked.roles.iter().filter_map(|r| duties.of(*r));
    let may = |action| mine().any(|d| d.may.contains(&action));
    if !may(asked.action) {
        return refused(Refusal::RoleNotAllowed);
    }
    if asked.given.iter().any(|role| !mine().any(|d| d.gives.contains(role))) {
        return refused(Refusal::RoleNotAllowed);
    }
    let permit = permit.filter(|_| asked.action == Action::Ask);
    match permit {
        None if asked.action == Action::Ask => return refused(Refusal::NoPermit),
        Some(p)
            if p.state != PermitState::Granted
                || now < p.not_before
                || now >= p.not_after
                || !p.principals.contains(who) =>
        {
            return refused(Refusal::PermitNotActive);
        }
        _ => {}
    }
    let Some(touched) = &asked.touched else { return ALLOWED };
    let reads = |schema: &str| mine().any(|d| d.reads.contains(schema));
    let public = |schema: &str| {
        permit.is_some()
            && (schema == format!("{}_sample", example.dataset)
                || example.vocabularies.iter().any(|v| v.as_str() == schema))
    };
    let granted = |schema: &str, table: &str, at: Option<(&str, Position)>| {
        let columns = permit.and_then(|p| p.grants.get(&format!("{schema}.{table}")));
        columns.is_some_and(|columns| match at {
            None => true,
            Some((column, position)) => {
                ["*", column].iter().any(|c| columns.get(*c).is_some_and(|p| p.contains(&position)))
            }
        })
    };
    let tables = touched.tables.iter().map(|(schema, table)| (schema, table, None));
    let columns = touched.columns.iter().map(|c| (&c.schema, &c.table, Some((c.column.as_str(), c.position))));
    let open = |schema: &str, table: &str, at| reads(schema) || public(schema) || granted(schema, table, at);
    let closed: Vec<_> = tables.chain(columns).filter(|(s, t, at)| !open(s, t, *at)).collect();
    if closed.is_empty() {
        let any = |wanted: &dyn Fn(&str) -> bool| touched.tables.iter().any(|(schema, _)| wanted(schema));
        let beside = any(&|s| BY_ROLE.contains(&s)) && permit.is_some_and(|p| any(&|s| s == p.dataset.as_str()));
        return if beside { refused(Refusal::NotGranted { what: String::new() }) } else { ALLOWED };
    }
    match permit {
        Some(_) => refused(Refusal::NotGranted { what: String::new() }),
        None if closed.iter().any(|(s, _, _)| BY_ROLE.contains(&s.as_str())) => refused(Refusal::RoleNotAllowed),
        None if may(Action::Ask) => refused(Refusal::NoPermit),
        None => refused(Refusal::RoleNotAllowed),
    }
}

/// One corner of the grid: who, and how they stand.
struct Corner<'a> {
    roles: &'a BTreeSet<Role>,
    standing: Standing,
}

impl Corner<'_> {
    fn of(&self, action: Action, target: Option<&Target<'_>>) -> Asked {
        let touched = target.map(Target::touched);
        Asked { roles: self.roles.clone(), standing: self.standing, action, touched, given: BTreeSet::new() }
    }
}

fn is_question(action: Action) -> bool {
    matches!(action, Action::Ask | Action::Describe)
}

fn targets(object: &str) -> Result<Vec<Target<'_>>, PolicyFault> {
    let [schema, table, column] = object.split('.').collect::<Vec<_>>()[..] else {
        return Err(PolicyFault::wrong("cases.toml", 1, format!("object {object:?} is not schema.table.column")));
    };
    let positions = Position::ALL.map(|p| Some((column, p)));
    Ok([None].into_iter().chain(positions).map(|column| Target { schema, table, column }).collect())
}

fn plus(policy: &Policy, example: &Example, corner: &Corner<'_>, action: Action) -> String {
    letter(policy, example, &corner.of(action, None), '+').to_string()
}

fn letter(policy: &Policy, example: &Example, asked: &Asked, letter: char) -> char {
    if verdict(policy, example, asked) == ALLOWED { letter } else { '.' }
}

fn block(text: &mut String, title: &str, columns: &[BTreeSet<Role>], cell: impl Fn(&Corner<'_>) -> String) {
    let head = |roles: &BTreeSet<Role>| roles.first().map_or("-", |r| r.as_str()).to_owned();
    let mut lines = vec![line("", columns.iter().map(head))];
    lines.extend(Standing::ALL.iter().map(|standing| {
        line(standing.as_str(), columns.iter().map(|roles| cell(&Corner { roles, standing: *standing })))
    }));
    // Writing to a String does not fail.
    let _ = writeln!(text, "\n{title}\n{}", lines.join("\n"));
}

fn line(first: &str, cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<_> = cells.map(|c| format!("{c:<9}")).collect();
    format!("  {first:<9}{}", cells.join(" ")).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{check, example, files::PolicyFiles};

    fn every_set_of_roles() -> Vec<BTreeSet<Role>> {
        let set = |bits: usize| Role::ALL.into_iter().enumerate().filter(move |(at, _)| bits >> at & 1 == 1);
        (0..1 << Role::ALL.len()).map(|bits| set(bits).map(|(_, role)| role).collect()).collect()
    }

    #[test]
    fn the_enforcer_and_the_plain_evaluator_agree_at_every_point() {
        let example = example::ours();
        let policy = check::policy_of(&PolicyFiles::embedded(), &example).unwrap();
        let points = compare(&policy, &example, &every_set_of_roles()).unwrap();
        let per_corner = Action::ALL.len() + 2 * example.objects.len() * 4 + Role::ALL.len();
        assert_eq!(points, 32 * Standing::ALL.len() * per_corner);
    }

    #[test]
    fn a_matcher_that_forgets_the_position_is_caught() {
        let ours = PolicyFiles::embedded();
        for (from, to) in [
            ("(r.position == p.position || p.position == \"*\") && ", ""),
            ("(r.column == p.column || p.column == \"*\") && ", ""),
            (" && g(r.sub, p.sub)", ""),
            ("r.act == p.act && ", ""),
            ("(r.obj == p.obj || r.schema == p.obj) && ", ""),
            ("r.act == p.act", "true"),
        ] {
            let files = PolicyFiles { model: ours.model.replacen(from, to, 1), ..ours.clone() };
            assert_ne!(files.model, ours.model);
            let policy = check::policy_of(&files, &example::ours()).unwrap();
            let found = compare(&policy, &example::ours(), &every_set_of_roles());
            assert!(matches!(found, Err(PolicyFault::Disagree { .. })), "without {from:?}");
        }
    }
}
