//! How far does `x IS DISTINCT FROM y` reach?
//!
//! To the end of `y`, as IS does: AND and OR come after it. The parser reads on to the end of all conditions, so that
//! `x IS DISTINCT FROM y AND z` would be `x IS DISTINCT FROM (y AND z)`. What was read is the text in another grouping, so it
//! is written again with brackets around what belongs together, and read anew.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Statement, visit_expressions_mut};

use super::parsed;

/// Groups the conditions of `statement` as they are meant.
pub(super) fn regrouped(statement: &mut Statement) {
    let _ = visit_expressions_mut(statement, |expr| {
        if reads_on(expr)
            && let Some(meant) = parsed(&bracketed(expr.clone()).to_string())
        {
            *expr = meant;
        }
        ControlFlow::<()>::Continue(())
    });
}

/// Whether the right side of such a comparison has run into the conditions behind it.
fn reads_on(expr: &Expr) -> bool {
    match expr {
        Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
            joins(right) || reads_on(left) || reads_on(right)
        }
        Expr::BinaryOp { left, right, .. } => reads_on(left) || reads_on(right),
        Expr::UnaryOp { expr, .. } => reads_on(expr),
        _ => false,
    }
}

fn joins(expr: &Expr) -> bool {
    matches!(expr, Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or | BinaryOperator::Xor, .. })
}

/// The same text with brackets around each comparison that has run into others.
fn bracketed(expr: Expr) -> Expr {
    match expr {
        Expr::IsDistinctFrom(left, right) if joins(&right) => {
            first_of(bracketed(*right), &|first| Expr::IsDistinctFrom(left.clone(), Box::new(first)))
        }
        Expr::IsNotDistinctFrom(left, right) if joins(&right) => {
            first_of(bracketed(*right), &|first| Expr::IsNotDistinctFrom(left.clone(), Box::new(first)))
        }
        Expr::BinaryOp { left, op, right } => {
            Expr::BinaryOp { left: Box::new(bracketed(*left)), op, right: Box::new(bracketed(*right)) }
        }
        Expr::UnaryOp { op, expr } => Expr::UnaryOp { op, expr: Box::new(bracketed(*expr)) },
        other => other,
    }
}

/// `conditions` with the first of them compared, in brackets.
fn first_of(conditions: Expr, compared: &dyn Fn(Expr) -> Expr) -> Expr {
    match conditions {
        Expr::BinaryOp { left, op, right }
            if matches!(op, BinaryOperator::And | BinaryOperator::Or | BinaryOperator::Xor) =>
        {
            Expr::BinaryOp { left: Box::new(first_of(*left, compared)), op, right }
        }
        first => Expr::Nested(Box::new(compared(first))),
    }
}
