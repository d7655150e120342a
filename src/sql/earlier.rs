//! Which conditions can be asked of rows before they are joined?
//!
//! Those that speak of one side alone: a join is of fewer rows then, and who has too many of them to be joined is judged by
//! the rows that are asked for. The engine would find the same later, but what persons may add is settled before.

use std::sync::Arc;

use datafusion::{
    common::{
        JoinType, Result,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    logical_expr::{Expr, Filter, Join, LogicalPlan, utils::split_conjunction_owned},
};

use super::{Standing, catalogued, laterals::lateral, positions::subquery};

/// `plan` with each condition on rows that are joined as low as its columns allow.
///
/// # Errors
/// Only those of building steps.
pub(super) fn earlier(plan: LogicalPlan) -> Result<LogicalPlan> {
    // From above: what comes down from one join goes on down the next.
    plan.transform_down_with_subqueries(|node| match node {
        LogicalPlan::Filter(filter) => {
            let (mut conditions, mut below) = (split_conjunction_owned(filter.predicate.clone()), &filter.input);
            while let LogicalPlan::Filter(inner) = below.as_ref() {
                conditions.splice(0..0, split_conjunction_owned(inner.predicate.clone()));
                below = &inner.input;
            }
            let LogicalPlan::Join(join) = below.as_ref() else {
                return Ok(Transformed::no(LogicalPlan::Filter(filter)));
            };
            let (join, rest) = asked(join.clone(), conditions)?;
            Ok(Transformed::yes(filtered(LogicalPlan::Join(join), rest)?))
        }
        LogicalPlan::Join(join) => {
            let (join, rest) = asked(join, vec![])?;
            Ok(Transformed::yes(filtered(LogicalPlan::Join(join), rest)?))
        }
        other => Ok(Transformed::no(other)),
    })
    .data()
}

/// `join` with what of its own condition, and of `above` it, speaks of one side alone below it; and what of `above` stays.
fn asked(join: Join, above: Vec<Expr>) -> Result<(Join, Vec<Expr>)> {
    // Whose rows a condition above, and one of ON, may leave out before the join: a row that an outer join keeps is kept
    // for what stands above it, and unmatched for what stands in ON.
    let (above_left, above_right, on_left, on_right) = match join.join_type {
        JoinType::Inner => (true, true, true, true),
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti => (true, false, false, true),
        JoinType::Right => (false, true, true, false),
        _ => return Ok((join, above)),
    };
    let side = |expr: &Expr, plan: &LogicalPlan| {
        // What would fail over public rows is total over persons', and a side that reads the row before is no step yet.
        if !of_persons(plan) || lateral(plan).is_some() {
            return false;
        }
        let columns = expr.column_refs();
        !columns.is_empty() && columns.iter().all(|c| plan.schema().maybe_index_of_column(c).is_some())
    };
    let (mut left, mut right) = (vec![], vec![]);
    let mut part = |exprs: Vec<Expr>, to_left: bool, to_right: bool| {
        let mut stays = vec![];
        for expr in exprs {
            match asks(&expr) {
                false if to_left && side(&expr, &join.left) => left.push(expr),
                false if to_right && side(&expr, &join.right) => right.push(expr),
                _ => stays.push(expr),
            }
        }
        stays
    };
    let above = part(above, above_left, above_right);
    let own = part(join.filter.clone().map(split_conjunction_owned).unwrap_or_default(), on_left, on_right);
    if left.is_empty() && right.is_empty() {
        return Ok((join, above));
    }
    let join = Join::try_new(
        Arc::new(filtered(join.left.as_ref().clone(), left)?),
        Arc::new(filtered(join.right.as_ref().clone(), right)?),
        join.on,
        own.into_iter().reduce(Expr::and),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    Ok((join, above))
}

fn of_persons(plan: &LogicalPlan) -> bool {
    let unit = |step: &LogicalPlan| match step {
        LogicalPlan::TableScan(scan) => catalogued(scan).is_some_and(|t| matches!(t.standing, Standing::Unit { .. })),
        _ => false,
    };
    plan.exists(|step| Ok(unit(step))).unwrap_or(false)
}

fn asks(expr: &Expr) -> bool {
    expr.exists(|e| Ok(subquery(e).is_some())).unwrap_or(true)
}

fn filtered(plan: LogicalPlan, conditions: Vec<Expr>) -> Result<LogicalPlan> {
    match conditions.into_iter().reduce(Expr::and) {
        Some(all) => Ok(LogicalPlan::Filter(Filter::try_new(all, Arc::new(plan))?)),
        None => Ok(plan),
    }
}
