//! What value does a scalar subquery have for one row?
//!
//! Correlated, it is an aggregate over rows of the same person (or of a public table), taken per key, or per value of the
//! outer row, and joined on where that is equal: each stands once, so no row is added. Uncorrelated, it is one value for
//! all: public or released.

use std::sync::Arc;

use datafusion::{
    common::{
        Column, JoinConstraint, JoinType, NullEquality, ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    functions::core::expr_fn::coalesce,
    logical_expr::{Aggregate, Case, Expr, ExprFunctionExt, Join, LogicalPlan, Projection, lit},
};

use super::{
    correlated::{Terms, peel},
    expression::refused,
    facts::Facts,
    joins::{keyed, lone_side, of_one_dataset},
    outer_values, per_person, references,
    subqueries::{Right, any, with_one_row},
    typing::{Owned, Typed, Walk, built, columns, mixed},
};
use crate::{sql::vocabulary, terms::Refusal};

/// A scalar subquery that reads nothing of the outer row: one public value. Where plain SQL would fail for finding
/// several, it is NULL.
pub(super) fn lone(walk: &mut Walk<'_>, owned: Owned, plan: &LogicalPlan) -> Result<(Owned, Expr), Refusal> {
    let plan = match walk.node(plan)? {
        Typed::Public(plan) | Typed::Reference(plan) | Typed::Released(plan) => plan,
        Typed::Owned(_) => return Err(refused("a subquery that yields persons' rows", "aggregate in it")),
    };
    references::linked(&owned, &plan, &[])?;
    let value = columns(&plan).into_iter().next().ok_or_else(|| refused("a subquery", "select one column"))?;
    let function = |name| vocabulary().aggregate(name).ok_or_else(|| refused(name, "it is missing"));
    let of = vec![
        function("min")?.call(vec![value]).alias("value"),
        function("count")?.call(vec![lit(1_i64)]).alias("rows"),
    ];
    let plan = LogicalPlan::Aggregate(built(Aggregate::try_new(Arc::new(plan), vec![], of))?);
    let (owned, values) = with_one_row(walk, owned, plan)?;
    let [value, rows] = values.as_slice() else { return Err(refused("a subquery", "select one column")) };
    let single = vec![(Box::new(rows.clone().eq(lit(1_i64))), Box::new(value.clone()))];
    Ok((owned, Expr::Case(Case::new(None, single, None))))
}

/// An aggregate over rows that are correlated with the outer row: by equalities, the aggregate per key, joined on; by more,
/// the aggregate per value of the outer row.
pub(super) fn correlated(walk: &mut Walk<'_>, owned: Owned, plan: &LogicalPlan) -> Result<(Owned, Expr), Refusal> {
    let form = || {
        refused(
            "this correlated subquery",
            "select one aggregate in it, without GROUP BY or HAVING, or ORDER BY ... LIMIT 1",
        )
    };
    let first = first_row(plan)?;
    let (item, aggregate) = match first.as_ref().unwrap_or(plan) {
        LogicalPlan::Projection(projection) => match (projection.input.as_ref(), projection.expr.as_slice()) {
            (LogicalPlan::Aggregate(aggregate), [item]) => (item.clone(), aggregate),
            _ => return Err(form()),
        },
        plan @ LogicalPlan::Aggregate(aggregate) => (columns(plan).into_iter().next().ok_or_else(form)?, aggregate),
        _ => return Err(form()),
    };
    if !aggregate.group_expr.is_empty() || any(&item) || aggregate.aggr_expr.iter().any(any) {
        return Err(form());
    }
    let peeled = peel(walk, &aggregate.input)?;
    let terms = Terms::of(peeled.terms);
    match (walk.node(&peeled.plan)?, terms.rest.is_empty()) {
        (Typed::Owned(inner), true) => scalar_of_person(walk, owned, inner, terms.pairs, &item, aggregate),
        (Typed::Owned(inner), false) => {
            let (owned, found) = outer_values::found(walk, owned, inner, terms, aggregate)?;
            joined_scalar(walk, owned, found, &item, aggregate)
        }
        (Typed::Public(plan) | Typed::Reference(plan), true) => {
            scalar_of_public(walk, owned, plan, terms.pairs, &item, aggregate)
        }
        (Typed::Public(_) | Typed::Reference(_), false) => {
            Err(refused("this correlated subquery", "correlate with = alone, or join and aggregate per person"))
        }
        (Typed::Released(_), _) => Err(mixed("released values and persons' rows in one subquery")),
    }
}

/// `SELECT x FROM ... ORDER BY y LIMIT 1` as what it means: FIRST_VALUE(x ORDER BY y), NULL over no rows.
fn first_row(plan: &LogicalPlan) -> Result<Option<LogicalPlan>, Refusal> {
    let LogicalPlan::Limit(limit) = plan else { return Ok(None) };
    let one = matches!(limit.fetch.as_deref(), Some(Expr::Literal(ScalarValue::Int64(Some(1)), _)));
    if !one || limit.skip.is_some() {
        return Ok(None);
    }
    let (outer, sorted) = match limit.input.as_ref() {
        LogicalPlan::Projection(projection) => (Some(projection), projection.input.as_ref()),
        other => (None, other),
    };
    let LogicalPlan::Sort(sort) = sorted else { return Ok(None) };
    let value = match outer {
        Some(projection) => projection.expr.first().cloned(),
        None => columns(sorted).into_iter().next(),
    };
    let value = value.ok_or_else(|| refused("this correlated subquery", "select one column"))?;
    let function = vocabulary().aggregate("first_value").ok_or_else(|| refused("LIMIT", "use MIN or MAX"))?;
    let call = function.call(vec![value.unalias_nested().data]).order_by(sort.expr.clone());
    let call = built(call.build())?;
    let aggregate = built(Aggregate::try_new(Arc::clone(&sort.input), vec![], vec![call]))?;
    Ok(Some(LogicalPlan::Aggregate(aggregate)))
}

fn scalar_of_person(
    walk: &mut Walk<'_>,
    owned: Owned,
    inner: Owned,
    pairs: Vec<(Expr, Expr)>,
    item: &Expr,
    aggregate: &Aggregate,
) -> Result<(Owned, Expr), Refusal> {
    of_one_dataset(&owned, &inner)?;
    let mut on = keyed(&owned, &inner, &pairs, "a subquery over persons is correlated by person_id")?;
    if !on.iter().any(|(_, r)| inner.is_owner(r)) {
        let owners = owned.owner_key().zip(inner.owner_key());
        on.push(owners.ok_or_else(|| mixed("select person_id in the subquery"))?);
    }
    let mut groups: Vec<Expr> = vec![];
    for (_, r) in &on {
        if !groups.contains(r) {
            groups.push(r.clone());
        }
    }
    let whole = built(Aggregate::try_new(Arc::new(inner.plan.clone()), groups.clone(), aggregate.aggr_expr.clone()))?;
    // An owner-or-NULL would find the value on some of a person's rows alone.
    let by_owner = groups.len() == 1 && on.iter().all(|(l, _)| owned.is_owner(l));
    let per_person = per_person::aggregate(walk, &whole, inner)?;
    let place = |expr: &Expr| groups.iter().position(|g| g == expr);
    let on = on.iter().map(|(l, r)| Some((l.clone(), place(r)?))).collect::<Option<Vec<_>>>();
    let on = on.ok_or_else(|| mixed("correlate by person_id"))?;
    let facts = per_person.facts.iter().skip(groups.len()).cloned().map(|f| f.outer(by_owner)).collect();
    let nulls = NullEquality::NullEqualsNothing;
    joined_scalar(walk, owned, Found { plan: per_person.plan, on, facts, nulls }, item, aggregate)
}

fn scalar_of_public(
    walk: &mut Walk<'_>,
    owned: Owned,
    plan: LogicalPlan,
    pairs: Vec<(Expr, Expr)>,
    item: &Expr,
    aggregate: &Aggregate,
) -> Result<(Owned, Expr), Refusal> {
    references::linked(&owned, &plan, &pairs)?;
    let (mut groups, mut on): (Vec<Expr>, Vec<(Expr, usize)>) = (vec![], vec![]);
    for (l, r) in pairs {
        let place = groups.iter().position(|g| *g == r).unwrap_or_else(|| {
            groups.push(r);
            groups.len() - 1
        });
        on.push((lone_side(&owned, &l)?, place));
    }
    let whole = Aggregate::try_new(Arc::new(plan), groups, aggregate.aggr_expr.clone());
    let plan = walk.public_input(LogicalPlan::Aggregate(built(whole)?))?;
    let facts = aggregate.aggr_expr.iter().map(|_| Facts::unknown()).collect();
    let nulls = NullEquality::NullEqualsNothing;
    joined_scalar(walk, owned, Found { plan, on, facts, nulls }, item, aggregate)
}

/// An aggregate for each key.
pub(super) struct Found {
    /// Its first columns are keys that stand at most once in it, all others are aggregates.
    pub(super) plan: LogicalPlan,
    /// What of the outer row is equal to which key.
    pub(super) on: Vec<(Expr, usize)>,
    /// Of the aggregates, as they stand beside an outer row.
    pub(super) facts: Vec<Facts>,
    /// Whether a key that is NULL is found by a NULL.
    pub(super) nulls: NullEquality,
}

/// Left join with what was found. Where nothing was, COUNT is 0 and every other aggregate NULL, as over an empty set.
fn joined_scalar(
    walk: &mut Walk<'_>,
    owned: Owned,
    found: Found,
    item: &Expr,
    aggregate: &Aggregate,
) -> Result<(Owned, Expr), Refusal> {
    let Found { plan, on, facts, nulls } = found;
    let right = Right::new(walk);
    let items: Vec<Expr> =
        columns(&plan).into_iter().enumerate().map(|(i, column)| column.alias(format!("c{i}"))).collect();
    let keys = items.len().saturating_sub(facts.len());
    let plan = right.named(LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(plan)))?))?;
    let on = on.into_iter().map(|(l, place)| (l, Expr::Column(right.at(place)))).collect();
    let mut items = columns(&owned.plan);
    let (mut all_facts, mut names) = (owned.facts, vec![]);
    for (index, facts) in facts.into_iter().enumerate() {
        let name = walk.fresh("value");
        items.push(Expr::Column(right.at(keys + index)).alias(name.clone()));
        names.push(Expr::Column(Column::from_name(name)));
        all_facts.push(Facts { person: false, link: None, ..facts });
    }
    let kind = JoinType::Left;
    let joined =
        built(Join::try_new(Arc::new(owned.plan), Arc::new(plan), on, None, kind, JoinConstraint::On, nulls, false))?;
    let plan = LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(LogicalPlan::Join(joined))))?);
    let value = item.clone().unalias_nested().data.transform_up(|e| {
        let Expr::Column(column) = &e else { return Ok(Transformed::no(e)) };
        let place = aggregate.schema.maybe_index_of_column(column);
        let Some(value) = place.and_then(|i| names.get(i)) else { return Ok(Transformed::no(e)) };
        let counts = place.and_then(|i| aggregate.aggr_expr.get(i)).is_some_and(is_count);
        Ok(Transformed::yes(if counts { coalesce(vec![value.clone(), lit(0_i64)]) } else { value.clone() }))
    });
    let value = built(value)?.data;
    Ok((Owned { plan, facts: all_facts, ..owned }, value))
}

fn is_count(expr: &Expr) -> bool {
    match expr.clone().unalias_nested().data {
        Expr::AggregateFunction(call) => call.func.name() == "count",
        _ => false,
    }
}
