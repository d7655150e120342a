//! Which rows of persons may meet, and to whom does the row that they make belong?
//!
//! Rows of two tables of persons meet only where the owner keys are equal, so that every row of the result is computed
//! from one person's rows. Which rows of a person meet nothing is a matter of that person's rows as well: so outer,
//! semi and anti joins keep the invariant, with the owner key taken from the side that is there.

use std::sync::Arc;

use datafusion::{
    common::{DFSchema, JoinType, NullEquality, ScalarValue},
    functions::core::expr_fn::coalesce,
    logical_expr::{Expr, Filter, Join, LogicalPlan, Projection, utils::split_conjunction_owned},
};

use super::{
    cut::{self, Before},
    expression::{Scope, refused},
    facts::Facts,
    laterals, listed, narrowing, placeholder, references, standing,
    stored::bound_by_codes,
    subqueries,
    typing::{Defaults, Owned, Typed, Walk, built, columns, mixed},
};
use crate::terms::Refusal;

/// The join of whatever stands below it.
pub(super) fn join(walk: &mut Walk<'_>, join: &Join) -> Result<Typed, Refusal> {
    if let Some(plain) = without_subqueries(join)? {
        return walk.node(&plain);
    }
    if let Some(plain) = laterals::unfolded(join)? {
        return walk.node(&plain);
    }
    let (left, right) = (walk.node(&join.left)?, walk.node(&join.right)?);
    match (left, right) {
        (Typed::Owned(left), Typed::Owned(right)) => persons(walk, join, left, right).map(Typed::Owned),
        (Typed::Owned(owned), Typed::Public(plan) | Typed::Reference(plan) | Typed::Released(plan)) => {
            public(walk, join, owned, plan, true).map(Typed::Owned)
        }
        (Typed::Public(plan) | Typed::Reference(plan) | Typed::Released(plan), Typed::Owned(owned)) => {
            public(walk, join, owned, plan, false).map(Typed::Owned)
        }
        (left, right) => standing::join(walk, join, left, right),
    }
}

/// The same join with subqueries of its condition in a WHERE: above an inner join, or below the side that may be
/// missing where they speak of that side alone. Both mean the same as ON does.
fn without_subqueries(join: &Join) -> Result<Option<LogicalPlan>, Refusal> {
    let terms = join.filter.clone().map(split_conjunction_owned).unwrap_or_default();
    let (asking, plain): (Vec<Expr>, Vec<Expr>) = terms.into_iter().partition(subqueries::any);
    let Some(asking) = asking.into_iter().reduce(Expr::and) else { return Ok(None) };
    let rebuilt = |left: &Arc<LogicalPlan>, right: &Arc<LogicalPlan>| {
        built(Join::try_new(
            Arc::clone(left),
            Arc::clone(right),
            join.on.clone(),
            plain.clone().into_iter().reduce(Expr::and),
            join.join_type,
            join.join_constraint,
            join.null_equality,
            join.null_aware,
        ))
        .map(LogicalPlan::Join)
    };
    let filtered = |input: &Arc<LogicalPlan>| {
        built(Filter::try_new(asking.clone(), Arc::clone(input))).map(|f| Arc::new(LogicalPlan::Filter(f)))
    };
    let speaks_of = |input: &LogicalPlan| {
        let mut used = asking.column_refs();
        used.extend(subqueries::outer_columns(&asking));
        used.iter().all(|column| input.schema().maybe_index_of_column(column).is_some())
    };
    match join.join_type {
        JoinType::Inner => {
            let above = Arc::new(rebuilt(&join.left, &join.right)?);
            built(Filter::try_new(asking, above)).map(|f| Some(LogicalPlan::Filter(f)))
        }
        JoinType::Left if speaks_of(&join.right) => rebuilt(&join.left, &filtered(&join.right)?).map(Some),
        JoinType::Right if speaks_of(&join.left) => rebuilt(&filtered(&join.left)?, &join.right).map(Some),
        _ => Err(refused("a subquery in this ON", "put it into the WHERE of a subquery")),
    }
}

/// What an expression on one side of an equality is.
pub(super) enum Standing {
    /// The owner key of its row, or NULL.
    Person,
    /// The id of a row of a table of persons, or a link to it.
    Link(Option<Arc<str>>),
    /// Neither.
    Value,
}

pub(super) fn standing(side: &Owned, expr: &Expr) -> Standing {
    match expr {
        Expr::Column(column) => match side.scope().facts_of(column) {
            Ok(facts) if facts.person => Standing::Person,
            Ok(facts) if facts.key => Standing::Link(facts.link.clone()),
            _ => Standing::Value,
        },
        _ => Standing::Value,
    }
}

/// Equalities between rows of two steps of persons, with that of the owner keys among them.
///
/// Where a declared link is equated, the equality of the owner keys is added: ingest has cut every link to a row that
/// is missing, duplicated or another person's, so it takes no row away.
pub(super) fn keyed(
    left: &Owned,
    right: &Owned,
    on: &[(Expr, Expr)],
    hint: &str,
) -> Result<Vec<(Expr, Expr)>, Refusal> {
    let (mut by_person, mut by_link) = (false, false);
    let mut keyed = vec![];
    for (l, r) in on {
        let (l, r) = (left.resolved(l), right.resolved(r));
        match (standing(left, &l), standing(right, &r)) {
            (Standing::Person, Standing::Person) => by_person = true,
            (Standing::Link(a), Standing::Link(b)) => by_link |= a.is_some() && a == b,
            _ => {
                keyed.push((left.scope().total(&l)?.expr, right.scope().total(&r)?.expr));
                continue;
            }
        }
        keyed.push((l, r));
    }
    let owners = || left.owner_key().zip(right.owner_key());
    match (by_person, by_link) {
        (true, _) => Ok(keyed),
        (false, true) => {
            keyed.insert(0, owners().ok_or_else(|| mixed("select person_id in the subquery"))?);
            Ok(keyed)
        }
        (false, false) => Err(mixed(hint)),
    }
}

pub(super) fn of_one_dataset(left: &Owned, right: &Owned) -> Result<Defaults, Refusal> {
    if left.defaults.population != right.defaults.population || left.defaults.dataset != right.defaults.dataset {
        return Err(mixed("tables of two data sets"));
    }
    Ok(Defaults {
        rows_per_group: left.defaults.rows_per_group.max(right.defaults.rows_per_group),
        groups: left.defaults.groups.max(right.defaults.groups),
        groups_met: left.defaults.groups_met.max(right.defaults.groups_met),
        picked: left.defaults.picked.max(right.defaults.picked),
        distinct_values: left.defaults.distinct_values.max(right.defaults.distinct_values),
        ..left.defaults.clone()
    })
}

/// Both sides belong to persons.
pub(super) fn persons(walk: &mut Walk<'_>, join: &Join, left: Owned, right: Owned) -> Result<Owned, Refusal> {
    let defaults = of_one_dataset(&left, &right)?;
    let kind = join.join_type;
    if matches!(kind, JoinType::RightSemi | JoinType::RightAnti | JoinType::LeftMark | JoinType::RightMark) {
        return Err(mixed("this join of persons; write EXISTS or NOT EXISTS"));
    }
    let on = keyed(&left, &right, &join.on, "join tables of persons ON a.person_id = b.person_id")?;
    left.in_memory()?;
    right.in_memory()?;
    // INTERSECT and EXCEPT compare NULLs as equal: an owner key is never NULL, so rows of two persons still never meet,
    // but an owner-or-NULL would.
    if join.null_equality == NullEquality::NullEqualsNull {
        let owners = |(l, r): &(Expr, Expr)| left.is_owner(l) && right.is_owner(r);
        if !on.iter().any(owners) || !matches!(kind, JoinType::LeftSemi | JoinType::LeftAnti) {
            return Err(mixed("INTERSECT and EXCEPT of persons need person_id among their columns"));
        }
    }
    let (a, b) = (left.rows_max, right.rows_max);
    let product = a.saturating_mul(b);
    let rows_max = match kind {
        JoinType::Inner => product,
        JoinType::Left => a.saturating_mul(b.max(1)),
        JoinType::Right => b.saturating_mul(a.max(1)),
        JoinType::LeftSemi | JoinType::LeftAnti => a,
        // None may meet: then all rows of both sides stand by themselves.
        _ => product.max(a.saturating_add(b)),
    };
    let most = walk.bounds.work_rows_max;
    let nulls = join.null_equality;
    let (left, right) = match (product > most, kind) {
        (false, _) => (left, right),
        // Whoever is cut is cut on both sides, else the rows of the other side would look unmatched: rows that meet are as
        // many from either.
        (true, JoinType::Right | JoinType::Full) => {
            let back: Vec<_> = on.iter().map(|(l, r)| (r.clone(), l.clone())).collect();
            let of_left = Before { on: &on, nulls, unmatched_stay: false };
            let cut_left = cut::before(walk, left.clone(), &right.plan, of_left)?;
            let of_right = Before { on: &back, nulls, unmatched_stay: false };
            (cut_left, cut::before(walk, right, &left.plan, of_right)?)
        }
        (true, _) => {
            let unmatched_stay = kind != JoinType::Inner;
            (cut::before(walk, left, &right.plan, Before { on: &on, nulls, unmatched_stay })?, right)
        }
    };
    let width = left.facts.len();
    let scope_facts: Vec<Facts> = left.facts.iter().chain(&right.facts).cloned().collect();
    let schema = built(left.plan.schema().join(right.plan.schema()))?;
    let scope = Scope { schema: &schema, facts: &scope_facts };
    let filter = join.filter.as_ref().map(|f| scope.total(f)).transpose()?.map(|t| t.expr);
    let by_owner = filter.is_none() && on.len() == 1 && on.iter().all(|(l, r)| left.is_owner(l) && right.is_owner(r));
    let (left_owner, right_owner) = (left.owner, right.owner + width);
    let (left_facts, right_facts) = met(kind, join.filter.as_ref(), &schema, left.facts, right.facts);
    let facts = joined_facts(kind, by_owner, left_facts, right_facts);
    let plan = built(Join::try_new(
        Arc::new(left.plan),
        Arc::new(right.plan),
        on,
        filter,
        kind,
        join.join_constraint,
        join.null_equality,
        false,
    ))?;
    let plan = LogicalPlan::Join(plan);
    let owner = if kind == JoinType::Right { right_owner } else { left_owner };
    let rows_max = match kind {
        // Beside those that meet, each of the rows that do not.
        JoinType::Right | JoinType::Full => rows_max.min(most.saturating_add(a).saturating_add(b)),
        _ => rows_max.min(most.max(a.saturating_add(b))),
    };
    let owned = Owned { plan, owner, facts, rows_max, defaults, halves: None };
    match kind {
        JoinType::Full => with_either_owner(walk, owned, left_owner, right_owner),
        _ => Ok(owned),
    }
}

/// `a LEFT JOIN b ON a.k = b.k WHERE b.k IS NULL`: the rows of `a` that meet none, as NOT EXISTS asks for. So no row of `b`
/// multiplies them.
pub(super) fn unmatched(filter: &Filter) -> Result<Option<LogicalPlan>, Refusal> {
    let LogicalPlan::Join(join) = filter.input.as_ref() else { return Ok(None) };
    let of_persons = listed::about_persons(&join.left) && listed::about_persons(&join.right);
    if join.join_type != JoinType::Left || join.null_equality != NullEquality::NullEqualsNothing || !of_persons {
        return Ok(None);
    }
    let misses = |term: &Expr| match term {
        Expr::IsNull(of) => join.on.iter().any(|(_, key)| key == of.as_ref() && matches!(key, Expr::Column(_))),
        _ => false,
    };
    let (missing, rest): (Vec<Expr>, Vec<Expr>) =
        split_conjunction_owned(filter.predicate.clone()).into_iter().partition(misses);
    if missing.is_empty() {
        return Ok(None);
    }
    let (left, right, on) = (Arc::clone(&join.left), Arc::clone(&join.right), join.on.clone());
    let (constraint, equality) = (join.join_constraint, join.null_equality);
    let anti =
        built(Join::try_new(left, right, on, join.filter.clone(), JoinType::LeftAnti, constraint, equality, false))?;
    let mut items = columns(&join.left);
    for (relation, field) in join.right.schema().iter() {
        let null = built(ScalarValue::try_new_null(field.data_type()))?;
        items.push(Expr::Literal(null, None).alias_qualified(relation.cloned(), field.name()));
    }
    let plan = LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(LogicalPlan::Join(anti))))?);
    Ok(Some(match rest.into_iter().reduce(Expr::and) {
        Some(rest) => LogicalPlan::Filter(built(Filter::try_new(rest, Arc::new(plan)))?),
        None => plan,
    }))
}

/// What ON says of the rows that meet: of both sides where no others stay, else of the side that is there only if it is met.
fn met(
    kind: JoinType,
    filter: Option<&Expr>,
    schema: &DFSchema,
    left: Vec<Facts>,
    right: Vec<Facts>,
) -> (Vec<Facts>, Vec<Facts>) {
    let Some(filter) = filter else { return (left, right) };
    let mut both: Vec<Facts> = left.iter().chain(&right).cloned().collect();
    narrowing::narrow(filter, schema, &mut both);
    bound_by_codes(&mut both);
    let narrowed = both.split_off(left.len());
    match kind {
        JoinType::Inner | JoinType::LeftSemi => (both, narrowed),
        JoinType::Left | JoinType::LeftAnti => (left, narrowed),
        JoinType::Right => (both, right),
        _ => (left, right),
    }
}

fn joined_facts(kind: JoinType, by_owner: bool, left: Vec<Facts>, right: Vec<Facts>) -> Vec<Facts> {
    let kept = |facts: Vec<Facts>| facts.into_iter().map(Facts::multiplied).collect::<Vec<_>>();
    let missing = |facts: Vec<Facts>| facts.into_iter().map(|f| f.outer(by_owner)).collect::<Vec<_>>();
    match kind {
        JoinType::LeftSemi | JoinType::LeftAnti => left,
        JoinType::Inner => kept(left).into_iter().chain(kept(right)).collect(),
        JoinType::Left => kept(left).into_iter().chain(missing(right)).collect(),
        JoinType::Right => missing(left).into_iter().chain(kept(right)).collect(),
        _ => missing(left).into_iter().chain(missing(right)).collect(),
    }
}

/// After a full join the owner key is that of whichever side is there: COALESCE of both, never NULL.
fn with_either_owner(walk: &mut Walk<'_>, owned: Owned, left: usize, right: usize) -> Result<Owned, Refusal> {
    let mut items = columns(&owned.plan);
    let half = |index: usize| items.get(index).cloned();
    let halves = half(left).zip(half(right)).ok_or_else(|| mixed("select person_id in the subquery"))?;
    items.push(coalesce(vec![halves.0, halves.1]).alias(walk.fresh("owner")));
    let mut facts = owned.facts;
    facts.push(Facts::owner_key());
    let plan = LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(owned.plan)))?);
    Ok(Owned { plan, owner: facts.len() - 1, facts, halves: Some((left, right)), ..owned })
}

/// Persons' rows meet rows about nobody, or released values, which are the same for all: every row of the result carries
/// one of the person's.
fn public(
    walk: &mut Walk<'_>,
    join: &Join,
    owned: Owned,
    public: LogicalPlan,
    owned_left: bool,
) -> Result<Owned, Refusal> {
    let kind = match (join.join_type, owned_left) {
        (JoinType::Inner | JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti, true)
        | (JoinType::Inner | JoinType::Right, false) => join.join_type,
        _ => return Err(mixed("this join could return public rows without a person; use INNER or LEFT JOIN")),
    };
    if join.null_equality != NullEquality::NullEqualsNothing {
        return Err(mixed("join with ="));
    }
    let mine_first = |(l, r): &(Expr, Expr)| if owned_left { (l.clone(), r.clone()) } else { (r.clone(), l.clone()) };
    let places = references::linked(&owned, &public, &join.on.iter().map(mine_first).collect::<Vec<_>>())?;
    let places = places.unwrap_or_default().into_iter().chain(std::iter::repeat(None));
    let unique = cut::unique_columns(&public);
    let rows_public = cut::rows(&public, &walk.releases);
    let released = !placeholder::read(&public).is_empty();
    let public_schema = Arc::clone(public.schema());
    // A row of the persons that finds no public one has NULL there.
    let missing = join.join_type != JoinType::Inner;
    let beside = |(f, place): (Facts, _)| Facts { nullable: f.nullable || missing, place, ..f };
    let public_facts: Vec<Facts> = listed::facts(&public).into_iter().zip(places).map(beside).collect();
    let input = walk.public_input(public)?;
    let mut on = vec![];
    let mut single = false;
    for (l, r) in &join.on {
        let (mine, theirs) = if owned_left { (l, r) } else { (r, l) };
        let mine = lone_side(&owned, mine)?;
        if let Expr::Column(column) = theirs {
            single |= unique.contains(column);
        }
        let theirs = Scope { schema: &public_schema, facts: &public_facts }.total(theirs)?.expr;
        on.push(if owned_left { (mine, theirs) } else { (theirs, mine) });
    }
    let kept_only = matches!(kind, JoinType::LeftSemi | JoinType::LeftAnti);
    // A row that finds nothing stays, once.
    let found = rows_public.unwrap_or(u64::MAX).max(u64::from(missing));
    let pairs = if single { owned.rows_max } else { owned.rows_max.saturating_mul(found) };
    let most = walk.bounds.work_rows_max;
    let owned = match pairs > most {
        true => {
            let mine_first =
                |(l, r): &(Expr, Expr)| if owned_left { (l.clone(), r.clone()) } else { (r.clone(), l.clone()) };
            let on: Vec<_> = on.iter().map(mine_first).collect();
            let nulls = NullEquality::NullEqualsNothing;
            cut::before(walk, owned, &input, Before { on: &on, nulls, unmatched_stay: true })?
        }
        false => owned,
    };
    let rows_max = if kept_only { owned.rows_max } else { pairs.min(most.max(owned.rows_max)) };
    let Owned { plan, owner, facts, mut defaults, .. } = owned;
    // Where no equality picks public rows, a row meets any number of them, as a period does the months of a calendar: in as
    // many groups may each person be.
    if on.is_empty() && !kept_only {
        let most = if released { MET_RELEASED_MAX } else { MET_MAX };
        let met = rows_public.map_or(MET_RELEASED_MAX, |rows| u32::try_from(rows).unwrap_or(u32::MAX).min(most));
        defaults.groups_met = defaults.groups_met.max(met);
    }
    let facts: Vec<Facts> = match single {
        true => facts,
        false => facts.into_iter().map(Facts::multiplied).collect(),
    };
    let width = public_facts.len();
    let (left, right, facts, owner) = match owned_left {
        true => (plan, input, facts.into_iter().chain(public_facts).collect::<Vec<_>>(), owner),
        false => (input, plan, public_facts.into_iter().chain(facts).collect(), owner + width),
    };
    let schema = built(left.schema().join(right.schema()))?;
    let filter =
        join.filter.as_ref().map(|f| Scope { schema: &schema, facts: &facts }.total(f)).transpose()?.map(|t| t.expr);
    let constraint = join.join_constraint;
    let equality = NullEquality::NullEqualsNothing;
    let plan = built(Join::try_new(Arc::new(left), Arc::new(right), on, filter, kind, constraint, equality, false))?;
    let mut facts = facts;
    facts.truncate(plan.schema.fields().len());
    Ok(Owned { plan: LogicalPlan::Join(plan), owner, facts, rows_max, defaults, halves: None })
}

/// In as many groups a person counts at most where periods meet a calendar, unless the question says how many: 21 years of
/// months, and where nobody knows beforehand how long it is.
const MET_MAX: u32 = 256;
const MET_RELEASED_MAX: u32 = 64;

/// A person's side of an equality with a table about nobody. A link such as location_id may lead to a reference table;
/// the owner key leads nowhere.
pub(super) fn lone_side(owned: &Owned, expr: &Expr) -> Result<Expr, Refusal> {
    let mine = owned.scope().item(expr)?;
    match mine.facts.person {
        true => Err(mixed("person_id joins tables of persons only")),
        false => Ok(mine.expr),
    }
}
