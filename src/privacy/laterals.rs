//! What does LATERAL ask of each row, said as a scalar subquery?
//!
//! `FROM a CROSS JOIN LATERAL (SELECT MIN(x) FROM b WHERE b.person_id = a.person_id)` has one row for each row of `a`: an
//! aggregate without GROUP BY yields one, and so does `ORDER BY ... LIMIT 1` where there is any. So each of its columns is
//! a scalar subquery of the row, and those have their rule; nothing else passes.

use std::sync::Arc;

use datafusion::{
    common::{JoinType, Spans},
    logical_expr::{Expr, Filter, Join, LogicalPlan, Projection, Subquery, expr::Exists, logical_plan::Limit},
};

use super::{
    expression::refused,
    typing::{built, columns},
};
use crate::{
    sql::{joins_on_true, lateral},
    terms::Refusal,
};

/// `join` without LATERAL; `None` where there is none in it.
pub(super) fn unfolded(join: &Join) -> Result<Option<LogicalPlan>, Refusal> {
    let Some(lateral) = lateral(&join.right) else { return Ok(None) };
    if !joins_on_true(join) {
        return Err(form());
    }
    let asks = |plan: LogicalPlan| Subquery {
        subquery: Arc::new(plan),
        outer_ref_columns: lateral.outer_ref_columns.clone(),
        spans: Spans::new(),
    };
    let inner = without_aliases(&lateral.subquery);
    let (values, always) = match inner {
        LogicalPlan::Projection(projection) => match projection.input.as_ref() {
            LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => {
                let one = |item: &Expr| built(Projection::try_new(vec![item.clone()], Arc::clone(&projection.input)));
                let all = projection.expr.iter().map(one).collect::<Result<Vec<_>, _>>()?;
                (all.into_iter().map(LogicalPlan::Projection).collect::<Vec<_>>(), true)
            }
            _ => return Err(form()),
        },
        LogicalPlan::Limit(limit) => {
            // What is selected stands above the order, which may look at other columns.
            let (items, below) = match limit.input.as_ref() {
                LogicalPlan::Projection(projection) => (projection.expr.clone(), &projection.input),
                _ => (columns(&limit.input), &limit.input),
            };
            let one = |item: Expr| -> Result<LogicalPlan, Refusal> {
                let value = built(Projection::try_new(vec![item], Arc::clone(below)))?;
                let input = Arc::new(LogicalPlan::Projection(value));
                Ok(LogicalPlan::Limit(Limit { skip: limit.skip.clone(), fetch: limit.fetch.clone(), input }))
            };
            (items.into_iter().map(one).collect::<Result<Vec<_>, _>>()?, false)
        }
        _ => return Err(form()),
    };
    let left = match always || join.join_type == JoinType::Left {
        true => Arc::clone(&join.left),
        false => {
            let exists = Expr::Exists(Exists { subquery: asks(inner.clone()), negated: false });
            Arc::new(LogicalPlan::Filter(built(Filter::try_new(exists, Arc::clone(&join.left)))?))
        }
    };
    let mut items = columns(&left);
    for (value, (relation, field)) in values.into_iter().zip(join.right.schema().iter()) {
        items.push(Expr::ScalarSubquery(asks(value)).alias_qualified(relation.cloned(), field.name()));
    }
    built(Projection::try_new(items, left)).map(|plan| Some(LogicalPlan::Projection(plan)))
}

fn without_aliases(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => without_aliases(&alias.input),
        other => other,
    }
}

fn form() -> Refusal {
    refused("LATERAL", "select aggregates without GROUP BY in it, or ORDER BY ... LIMIT 1, and join it ON TRUE")
}
