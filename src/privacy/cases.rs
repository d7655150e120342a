//! Between which bounds lie the branches of a CASE?

use datafusion::logical_expr::{BinaryExpr, Case, Expr, Operator};

use super::{
    expression::{Scope, Total, union},
    facts::Facts,
};
use crate::terms::Refusal;

impl Scope<'_> {
    /// A CASE that is total, between the bounds of its branches. A branch is reached where its own condition is true and
    /// those before it are not: `CASE WHEN x < 30 THEN 30 WHEN x > 250 THEN 250 ELSE x END` lies between 30 and 250.
    pub(super) fn case(&self, case: &Case) -> Result<Total, Refusal> {
        let base = case.expr.as_deref().map(|e| self.total(e)).transpose()?;
        let mut fixed = base.as_ref().is_none_or(|b| b.facts.fixed);
        let mut results: Vec<Facts> = vec![];
        let mut branches = vec![];
        let mut before: Option<Expr> = None;
        // Of a condition that is false, and not NULL, the range alone is taken over: the value may be NULL.
        let under = |condition: Option<Expr>, expr: &Expr, facts: Facts| match condition {
            Some(condition) if base.is_none() => match self.where_true(&condition, expr) {
                Some(known) => known.within(&facts),
                None => facts,
            },
            _ => facts,
        };
        for (when, then) in &case.when_then_expr {
            let (condition, result) = (self.total(when)?, self.total(then)?);
            fixed &= condition.facts.fixed;
            let reached = before.clone().into_iter().chain([when.as_ref().clone()]).reduce(Expr::and);
            results.push(under(reached, then, result.facts));
            branches.push((Box::new(condition.expr), Box::new(result.expr)));
            before = before.into_iter().chain(fails(when)).reduce(Expr::and);
        }
        let otherwise = case.else_expr.as_deref().map(|e| self.total(e)).transpose()?;
        let misses = otherwise.is_none();
        if let (Some(total), Some(expr)) = (&otherwise, case.else_expr.as_deref()) {
            results.push(under(before, expr, total.facts.clone()));
        }
        let mut facts = union(&results);
        facts.fixed &= fixed;
        facts.nullable |= misses;
        let expr = Case::new(base.map(|b| Box::new(b.expr)), branches, otherwise.map(|o| Box::new(o.expr)));
        Ok(Total { expr: Expr::Case(expr), facts })
    }
}

/// What is true where a comparison is false.
fn fails(condition: &Expr) -> Option<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return None };
    let negated = match op {
        Operator::Or => return Some(fails(left)?.and(fails(right)?)),
        Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => op.negate()?,
        _ => return None,
    };
    Some(Expr::BinaryExpr(BinaryExpr { left: left.clone(), op: negated, right: right.clone() }))
}
