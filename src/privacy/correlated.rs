//! Which conditions of a subquery speak of the step around it, and what is left of the subquery without them?
//!
//! `EXISTS (SELECT 1 FROM b WHERE b.person_id = a.person_id AND b.day > a.day)` asks for rows of `b` that meet two
//! conditions with a row of `a`. Taken out of the subquery, they are the conditions of a join. They may be taken out
//! through filters, projections and inner joins, which only drop or rename rows of the subquery, and through groups that
//! they keep or drop whole; nothing else passes.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column, DFSchema, ExprSchema, JoinType, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        Aggregate, BinaryExpr, Distinct, Expr, Filter, Join, LogicalPlan, Operator, Projection, SubqueryAlias,
        utils::split_conjunction_owned,
    },
};

use super::{
    expression::refused,
    typing::{Walk, built},
};
use crate::terms::Refusal;

/// A subquery without the conditions that speak of the step around it.
pub(super) struct Peeled {
    pub(super) plan: LogicalPlan,
    /// The conditions, over the columns of `plan` and, as outer references, over those of the step around.
    pub(super) terms: Vec<Expr>,
}

/// The conditions of a subquery as a join takes them.
#[derive(Clone)]
pub(super) struct Terms {
    /// Equalities: an expression over the step around, and one over the subquery.
    pub(super) pairs: Vec<(Expr, Expr)>,
    /// All others.
    pub(super) rest: Vec<Expr>,
}

/// Whether some step of `plan` speaks of the step around it; subqueries further inside aside.
pub(super) fn speaks_outward(plan: &LogicalPlan) -> bool {
    let mut outward = false;
    let _ = plan.apply(|node| {
        node.apply_expressions(|expr| {
            outward |= has_outer(expr);
            Ok(TreeNodeRecursion::Continue)
        })
    });
    outward
}

fn has_outer(expr: &Expr) -> bool {
    expr.exists(|e| Ok(matches!(e, Expr::OuterReferenceColumn(..)))).unwrap_or(true)
}

/// The columns of the step around that `expr` speaks of, in the order of the text.
pub(super) fn outer_columns(expr: &Expr) -> Vec<Column> {
    let mut found = vec![];
    let _ = expr.apply(|e| {
        if let Expr::OuterReferenceColumn(_, column) = e {
            found.push(column.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// The rows whose existence EXISTS asks for: what only shapes or orders them is left out.
pub(super) fn existing(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Projection(projection) => existing(&projection.input),
        LogicalPlan::Distinct(Distinct::All(input)) => existing(input),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => existing(&sort.input),
        LogicalPlan::Limit(limit) if limit.skip.is_none() && some_rows(limit.fetch.as_deref()) => {
            existing(&limit.input)
        }
        other => other,
    }
}

fn some_rows(fetch: Option<&Expr>) -> bool {
    match fetch {
        None => true,
        Some(Expr::Literal(value, _)) => matches!(value, ScalarValue::Int64(Some(rows)) if *rows > 0),
        Some(_) => false,
    }
}

/// The values that IN looks among: neither order nor repetition matters.
pub(super) fn members(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Distinct(Distinct::All(input)) => members(input),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => members(&sort.input),
        other => other,
    }
}

/// Takes the conditions that speak of the step around out of `plan`.
pub(super) fn peel(walk: &mut Walk<'_>, plan: &LogicalPlan) -> Result<Peeled, Refusal> {
    if !speaks_outward(plan) {
        return Ok(Peeled { plan: plan.clone(), terms: vec![] });
    }
    match plan {
        LogicalPlan::Filter(filter) => {
            let below = peel(walk, &filter.input)?;
            let split = split_conjunction_owned(filter.predicate.clone()).into_iter().partition(has_outer);
            let (outward, own): (Vec<Expr>, Vec<Expr>) = split;
            let plan = match own.into_iter().reduce(Expr::and) {
                Some(own) => LogicalPlan::Filter(built(Filter::try_new(own, Arc::new(below.plan)))?),
                None => below.plan,
            };
            Ok(Peeled { plan, terms: below.terms.into_iter().chain(outward).collect() })
        }
        LogicalPlan::Projection(projection) => through_projection(walk, projection),
        LogicalPlan::SubqueryAlias(alias) => {
            let below = peel(walk, &alias.input)?;
            let renamed = built(SubqueryAlias::try_new(Arc::new(below.plan.clone()), alias.alias.clone()))?;
            let names = below.plan.schema().columns().into_iter().zip(renamed.schema.columns());
            let names: Vec<(Column, Column)> = names.collect();
            let terms = below.terms.into_iter().map(|term| renamed_columns(term, &names)).collect();
            Ok(Peeled { plan: LogicalPlan::SubqueryAlias(renamed), terms })
        }
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => peel(walk, &sort.input),
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => through_join(walk, join),
        LogicalPlan::Aggregate(aggregate) => through_groups(walk, aggregate),
        _ => Err(form()),
    }
}

fn form() -> Refusal {
    refused(
        "this correlated subquery",
        "speak of the outer row in its WHERE alone, above no aggregate, outer join, LIMIT or UNION",
    )
}

/// All rows of a group that one outer row asks for are alike in what is equated with that row: grouped by it as well, the
/// groups of all outer rows stand side by side. Conditions over keys then keep or drop a group whole.
fn through_groups(walk: &mut Walk<'_>, aggregate: &Aggregate) -> Result<Peeled, Refusal> {
    let plain = |expr: &Expr| !matches!(expr, Expr::GroupingSet(_));
    // Without keys there is a row where nothing is found.
    if aggregate.group_expr.is_empty() || !aggregate.group_expr.iter().all(plain) {
        return Err(form());
    }
    if aggregate.group_expr.iter().chain(&aggregate.aggr_expr).any(has_outer) {
        return Err(form());
    }
    let below = peel(walk, &aggregate.input)?;
    let mut groups = aggregate.group_expr.clone();
    for (_, inner) in Terms::of(below.terms.clone()).pairs {
        if !groups.contains(&inner) && is_one_value(&inner, below.plan.schema()) {
            groups.push(inner);
        }
    }
    let key = |column: &&Column| groups.contains(&Expr::Column((*column).clone()));
    if !below.terms.iter().all(|term| term.column_refs().iter().all(key)) {
        return Err(form());
    }
    let plan = built(Aggregate::try_new(Arc::new(below.plan), groups, aggregate.aggr_expr.clone()))?;
    Ok(Peeled { plan: LogicalPlan::Aggregate(plan), terms: below.terms })
}

/// A column of which values that are equal are one group: of floating-point numbers 0 and -0 are not.
fn is_one_value(expr: &Expr, schema: &DFSchema) -> bool {
    let Expr::Column(column) = expr else { return false };
    let alike = |t: &DataType| t.is_integer() || matches!(t, DataType::Utf8 | DataType::Utf8View | DataType::Date32);
    schema.field_from_column(column).is_ok_and(|field| alike(field.data_type()))
}

fn through_projection(walk: &mut Walk<'_>, projection: &Projection) -> Result<Peeled, Refusal> {
    if projection.expr.iter().any(has_outer) {
        return Err(refused("an outer column in this SELECT list", "use it in WHERE alone"));
    }
    let below = peel(walk, &projection.input)?;
    let (mut items, mut names) = (projection.expr.clone(), vec![]);
    for column in below.terms.iter().flat_map(Expr::column_refs) {
        if names.iter().all(|(known, _)| known != column) {
            let hidden = walk.fresh("inside");
            items.push(Expr::Column(column.clone()).alias(hidden.clone()));
            names.push((column.clone(), Column::from_name(hidden)));
        }
    }
    let terms = below.terms.iter().map(|term| renamed_columns(term.clone(), &names)).collect();
    let plan = LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(below.plan)))?);
    Ok(Peeled { plan, terms })
}

fn through_join(walk: &mut Walk<'_>, join: &Join) -> Result<Peeled, Refusal> {
    let (left, right) = (peel(walk, &join.left)?, peel(walk, &join.right)?);
    let (mut on, mut terms) = (vec![], left.terms);
    terms.extend(right.terms);
    for (l, r) in &join.on {
        match has_outer(l) || has_outer(r) {
            true => terms.push(l.clone().eq(r.clone())),
            false => on.push((l.clone(), r.clone())),
        }
    }
    let conditions = join.filter.clone().map(split_conjunction_owned).unwrap_or_default();
    let (outward, own): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(has_outer);
    terms.extend(outward);
    let plan = built(Join::try_new(
        Arc::new(left.plan),
        Arc::new(right.plan),
        on,
        own.into_iter().reduce(Expr::and),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    ))?;
    Ok(Peeled { plan: LogicalPlan::Join(plan), terms })
}

/// `term` with the columns of the subquery under other names.
pub(super) fn renamed_columns(term: Expr, names: &[(Column, Column)]) -> Expr {
    let renamed = term.clone().transform_up(|e| {
        Ok(match &e {
            Expr::Column(column) => match names.iter().find(|(from, _)| from == column) {
                Some((_, to)) => Transformed::yes(Expr::Column(to.clone())),
                None => Transformed::no(e),
            },
            _ => Transformed::no(e),
        })
    });
    renamed.map_or(term, |renamed| renamed.data)
}

/// An expression over the step around, as a subquery writes it.
pub(super) fn outward(expr: &Expr, around: &DFSchema) -> Expr {
    let outer = expr.clone().transform_up(|e| {
        let Expr::Column(column) = &e else { return Ok(Transformed::no(e)) };
        let field = around.field_from_column(column)?;
        Ok(Transformed::yes(Expr::OuterReferenceColumn(Arc::clone(field), column.clone())))
    });
    outer.map_or_else(|_| expr.clone(), |outer| outer.data)
}

/// An expression that a subquery writes over the step around, as that step writes it.
pub(super) fn inward(expr: Expr) -> Expr {
    let inner = expr.clone().transform_up(|e| {
        Ok(match e {
            Expr::OuterReferenceColumn(_, column) => Transformed::yes(Expr::Column(column)),
            other => Transformed::no(other),
        })
    });
    inner.map_or(expr, |inner| inner.data)
}

impl Terms {
    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty() && self.rest.is_empty()
    }

    /// Equalities apart from the rest.
    pub(super) fn of(terms: Vec<Expr>) -> Self {
        let (mut pairs, mut rest) = (vec![], vec![]);
        for term in terms {
            let sides = match &term {
                Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => sides(left, right),
                _ => None,
            };
            match sides {
                Some((outer, inner)) => pairs.push((inward(outer.clone()), inner.clone())),
                None => rest.push(term),
            }
        }
        Self { pairs, rest }
    }
}

/// The outer side of an equality first, where one side speaks of the outer row alone and the other of the inner one.
fn sides<'a>(left: &'a Expr, right: &'a Expr) -> Option<(&'a Expr, &'a Expr)> {
    let outer = |e: &Expr| has_outer(e) && e.column_refs().is_empty();
    let inner = |e: &Expr| !has_outer(e) && !e.column_refs().is_empty();
    match (outer(left) && inner(right), inner(left) && outer(right)) {
        (true, _) => Some((left, right)),
        (_, true) => Some((right, left)),
        _ => None,
    }
}
