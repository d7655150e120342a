//! Which side of a join is held in memory, and which streams by in owner order?
//!
//! A hash join holds its left side and keeps the order of its right one, also where rows of one side are only marked by
//! the other. Public tables and those with few rows a person
//! go to the left, so that a long table of events is neither held nor sorted again. The sizes compared are those that
//! the catalogue declares: nothing of the data decides.

use std::sync::Arc;

use datafusion::{
    common::{
        Column, JoinType, Result,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    logical_expr::{Expr, Join, LogicalPlan, Projection},
};

use crate::sql::{Standing, catalogued};

/// `plan` with the smaller side of each join first.
pub(super) fn smaller_first(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up(|node| match node {
        LogicalPlan::Join(join) => match turned(join.join_type) {
            Some(kind) if rows(&join.right) < rows(&join.left) => Ok(Transformed::yes(turn(join, kind)?)),
            _ => Ok(Transformed::no(LogicalPlan::Join(join))),
        },
        other => Ok(Transformed::no(other)),
    })
    .data()
}

/// The kind of join that gives the same rows with the sides exchanged.
fn turned(kind: JoinType) -> Option<JoinType> {
    match kind {
        JoinType::Inner => Some(JoinType::Inner),
        JoinType::Left => Some(JoinType::Right),
        JoinType::Right => Some(JoinType::Left),
        JoinType::LeftMark => Some(JoinType::RightMark),
        JoinType::LeftSemi => Some(JoinType::RightSemi),
        JoinType::LeftAnti => Some(JoinType::RightAnti),
        _ => None,
    }
}

fn turn(join: Join, kind: JoinType) -> Result<LogicalPlan> {
    let columns = join.schema.iter().map(|field| Expr::Column(Column::from(field))).collect();
    let on = join.on.into_iter().map(|(left, right)| (right, left)).collect();
    let turned = Join::try_new(
        join.right,
        join.left,
        on,
        join.filter,
        kind,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    let schema = join.schema;
    Projection::try_new_with_schema(columns, Arc::new(LogicalPlan::Join(turned)), schema).map(LogicalPlan::Projection)
}

/// About how many rows a person has in a step, by declaration; none in a public one.
fn rows(plan: &LogicalPlan) -> u64 {
    let below = || plan.inputs().into_iter().map(rows);
    match plan {
        LogicalPlan::TableScan(scan) => match catalogued(scan).map(|table| &table.standing) {
            Some(Standing::Unit { table, .. }) if table.one_row_per_person => 1,
            Some(Standing::Unit { table, .. }) => u64::from(table.rows_per_person_max),
            _ => 0,
        },
        // Grouped by the person alone, or by more.
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.len() == 1 => below().map(|r| r.min(1)).sum(),
        LogicalPlan::Join(join)
            if matches!(join.join_type, JoinType::LeftMark | JoinType::LeftSemi | JoinType::LeftAnti) =>
        {
            rows(&join.left)
        }
        LogicalPlan::Join(_) => below().filter(|rows| *rows > 0).fold(0, |all, rows| all.max(1).saturating_mul(rows)),
        _ => below().fold(0, u64::saturating_add),
    }
}
