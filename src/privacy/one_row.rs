//! What of a grouped join is the same for every group, since it comes from a table of one row?
//!
//! `FROM person p CROSS JOIN total t GROUP BY p.sex` with MAX(t.n): an aggregate without GROUP BY yields one row, so in each
//! group every value of its columns is that one. It is no sum over persons: it is put beside the groups afterwards, which
//! is post-processing of what was released, or public.

use std::{collections::HashMap, sync::Arc};

use datafusion::{
    common::{Column, DFSchema, JoinConstraint, JoinType, NullEquality},
    logical_expr::{
        Aggregate, Cast, Expr, ExprSchemable, Join, LogicalPlan, Projection, SubqueryAlias, expr::AggregateFunction,
    },
};

use super::{
    grouping, subqueries,
    typing::{Owned, Typed, Walk, built, columns, mixed},
};
use crate::terms::Refusal;

/// What each of several equal values is.
const OF_EQUAL_VALUES: [&str; 5] = ["avg", "first_value", "last_value", "max", "min"];

/// `aggregate` over `input` with what comes from one row put beside its groups; `None` where nothing does.
pub(super) fn beside(
    walk: &mut Walk<'_>,
    aggregate: &Aggregate,
    input: &Owned,
) -> Result<Option<LogicalPlan>, Refusal> {
    let mut rows = vec![];
    of_one_row(&aggregate.input, &mut rows);
    let settled: Vec<Option<(usize, Expr)>> = aggregate.aggr_expr.iter().map(|call| one_value(call, &rows)).collect();
    let kept: Vec<Expr> =
        aggregate.aggr_expr.iter().zip(&settled).filter(|(_, s)| s.is_none()).map(|(call, _)| call.clone()).collect();
    let nothing_left = kept.is_empty() && aggregate.group_expr.is_empty();
    if nothing_left || kept.len() == settled.len() {
        return Ok(None);
    }
    let keys = aggregate.schema.fields().len().saturating_sub(settled.len());
    let of = |index: usize| index.checked_sub(keys).and_then(|call| settled.get(call)).and_then(Option::as_ref);
    let fields = aggregate.schema.iter().enumerate().filter(|(index, _)| of(*index).is_none());
    let fields = fields.map(|(_, (relation, field))| (relation.cloned(), Arc::clone(field))).collect();
    let schema = Arc::new(built(DFSchema::new_with_metadata(fields, HashMap::new()))?);
    let (below, groups) = (Arc::clone(&aggregate.input), aggregate.group_expr.clone());
    let reduced = built(Aggregate::try_new_with_schema(below, groups, kept, schema))?;
    let mut plan = grouping::release(walk, &reduced, input.clone())?;
    let mut released = columns(&plan).into_iter();
    let mut beside = HashMap::new();
    for (place, row) in rows.iter().enumerate() {
        let wanted = (0..aggregate.schema.fields().len()).filter_map(|i| of(i).map(|(row, value)| (i, *row, value)));
        let wanted: Vec<(usize, &Expr)> = wanted.filter(|(_, row, _)| *row == place).map(|(i, _, v)| (i, v)).collect();
        if wanted.is_empty() {
            continue;
        }
        let (Typed::Public(row) | Typed::Released(row)) = walk.node(row)? else {
            return Err(mixed("reference tables join persons' rows, not released values"));
        };
        let alias = walk.fresh("one_row");
        let mut items = vec![];
        for (index, value) in wanted {
            let to = aggregate.schema.field(index).data_type();
            let same = built(value.get_type(row.schema()))? == *to;
            let value = if same { value.clone() } else { Expr::Cast(Cast::new(Box::new(value.clone()), to.clone())) };
            beside.insert(index, Expr::Column(Column::new(Some(alias.as_str()), format!("c{index}"))));
            items.push(value.alias(format!("c{index}")));
        }
        let row = LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(row)))?);
        let row = LogicalPlan::SubqueryAlias(built(SubqueryAlias::try_new(Arc::new(row), alias))?);
        let (left, right) = (Arc::new(plan), Arc::new(row));
        let alike = NullEquality::NullEqualsNothing;
        let crossed = Join::try_new(left, right, vec![], None, JoinType::Inner, JoinConstraint::On, alike, false);
        plan = LogicalPlan::Join(built(crossed)?);
    }
    let mut items = vec![];
    for (index, (relation, field)) in aggregate.schema.iter().enumerate() {
        let column =
            beside.remove(&index).or_else(|| released.next()).ok_or_else(|| mixed("ask each level by itself"))?;
        items.push(column.alias_qualified(relation.cloned(), field.name()));
    }
    built(Projection::try_new(items, Arc::new(plan))).map(|plan| Some(LogicalPlan::Projection(plan)))
}

/// The sides of inner joins that have one row, whatever the rows of persons are.
fn of_one_row<'p>(plan: &'p LogicalPlan, found: &mut Vec<&'p LogicalPlan>) {
    match plan {
        LogicalPlan::Filter(filter) => of_one_row(&filter.input, found),
        // Joins that were put in another order have their columns put back.
        LogicalPlan::Projection(projection)
            if !has_one_row(plan) && projection.expr.iter().all(|item| matches!(item, Expr::Column(_))) =>
        {
            of_one_row(&projection.input, found);
        }
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            of_one_row(&join.left, found);
            of_one_row(&join.right, found);
        }
        other if has_one_row(other) => found.push(other),
        _ => {}
    }
}

fn has_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => has_one_row(&alias.input),
        LogicalPlan::Projection(projection) => has_one_row(&projection.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(relation) => relation.produce_one_row,
        LogicalPlan::Values(values) => values.values.len() == 1,
        _ => false,
    }
}

/// From which row `call` has one value in every group, and which.
fn one_value(call: &Expr, rows: &[&LogicalPlan]) -> Option<(usize, Expr)> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = call.clone().unalias_nested().data else {
        return None;
    };
    let [value] = params.args.as_slice() else { return None };
    let read = value.column_refs();
    if !OF_EQUAL_VALUES.contains(&func.name())
        || params.filter.is_some()
        || params.null_treatment.is_some()
        || read.is_empty()
        || subqueries::any(value)
    {
        return None;
    }
    let place = rows.iter().position(|row| read.iter().all(|c| row.schema().maybe_index_of_column(c).is_some()))?;
    Some((place, value.clone()))
}
