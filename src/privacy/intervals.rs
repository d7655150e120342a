//! Which column of the answer is which noisy output, and how wide is its interval?
//!
//! What follows a release renames, filters and sorts its columns. A noisy column that is only passed on keeps its
//! half-width: hidden columns carry it up beside the values. Sums, differences, products and quotients of noisy columns
//! get one of their own, in which the half-widths of both parts work in the worst direction (first order for quotients).

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::Column,
    functions::math::expr_fn::abs,
    logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, Projection, SubqueryAlias, TryCast, lit},
};

use super::{
    placeholder::{column_name, released},
    release_point::{Output, Release},
    typing::built,
};
use crate::terms::Refusal;

/// A column of the answer that is a noisy output, passed on unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Of which release.
    pub release: usize,
    /// Which of its outputs.
    pub output: usize,
}

/// A plan above releases in which half-widths stand in hidden columns.
pub(super) struct Threaded {
    pub(super) plan: LogicalPlan,
    /// For every visible column: what it is, and the hidden column with its half-width.
    pub(super) columns: Vec<Option<(Option<Passed>, Column)>>,
}

/// `plan` with the half-widths of `releases` carried up beside the values.
pub(super) fn thread(plan: &LogicalPlan, releases: &[Release]) -> Result<Threaded, Refusal> {
    let untouched = || Threaded { plan: plan.clone(), columns: vec![None; plan.schema().fields().len()] };
    match plan {
        LogicalPlan::Projection(projection) => match (released(projection), projection.input.as_ref()) {
            (Some((index, _)), _) => at_release(projection, index, releases),
            (None, LogicalPlan::TableScan(_)) => Ok(untouched()),
            (None, _) => above(projection, releases),
        },
        LogicalPlan::SubqueryAlias(alias) => {
            let below = thread(&alias.input, releases)?;
            let renamed = built(SubqueryAlias::try_new(Arc::new(below.plan), alias.alias.clone()))?;
            let requalify = |(passed, column): (Option<Passed>, Column)| {
                (passed, Column::new(Some(alias.alias.clone()), column.name))
            };
            let columns = below.columns.into_iter().map(|c| c.map(requalify)).collect();
            Ok(Threaded { plan: LogicalPlan::SubqueryAlias(renamed), columns })
        }
        LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => match plan.inputs().as_slice() {
            [input] => {
                let below = thread(input, releases)?;
                let rebuilt = built(plan.with_new_exprs(plan.expressions(), vec![below.plan]))?;
                Ok(Threaded { plan: rebuilt, columns: below.columns })
            }
            _ => Ok(untouched()),
        },
        _ => Ok(untouched()),
    }
}

/// The visible columns of `plan` alone, or each noisy one followed by `<name>_lo` and `<name>_hi`.
pub(super) fn close(threaded: Threaded, with_intervals: bool) -> Result<(LogicalPlan, Vec<Option<Passed>>), Refusal> {
    let Threaded { plan, columns } = threaded;
    let (mut items, mut passed) = (vec![], vec![]);
    let fields = plan.schema().iter().take(columns.len());
    let fields: Vec<(Column, String, bool)> =
        fields.map(|field| (Column::from(field), field.1.name().clone(), field.1.data_type().is_numeric())).collect();
    for ((column, name, number), noisy) in fields.into_iter().zip(columns) {
        items.push(Expr::Column(column.clone()));
        passed.push(noisy.as_ref().and_then(|(p, _)| p.clone()));
        // A picked date has an interval of ranks alone, which stands in its metadata.
        if let Some((_, width)) = noisy.filter(|_| with_intervals && number) {
            let value = as_float(&Expr::Column(column));
            items.push((value.clone() - Expr::Column(width.clone())).alias(format!("{name}_lo")));
            items.push((value + Expr::Column(width) * lit(1.0)).alias(format!("{name}_hi")));
            passed.extend([None, None]);
        }
    }
    Ok((LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(plan)))?), passed))
}

fn at_release(projection: &Projection, release: usize, releases: &[Release]) -> Result<Threaded, Refusal> {
    let outputs = projection.expr.len();
    let relation = projection.input.schema().iter().next().and_then(|(relation, _)| relation.cloned());
    let (mut items, mut columns) = (projection.expr.clone(), vec![]);
    for output in 0..outputs {
        let hidden = format!("__sekisho_width_{release}_{output}");
        items.push(Expr::Column(Column::new(relation.clone(), column_name(outputs + output))).alias(hidden.clone()));
        let kind = releases.get(release).and_then(|r| r.outputs.get(output));
        let noisy = kind.is_some_and(|output| !matches!(output, Output::Key(_)));
        columns.push(noisy.then(|| (Some(Passed { release, output }), Column::from_name(hidden))));
    }
    let plan = LogicalPlan::Projection(built(Projection::try_new(items, Arc::clone(&projection.input)))?);
    Ok(Threaded { plan, columns })
}

fn above(projection: &Projection, releases: &[Release]) -> Result<Threaded, Refusal> {
    let below = thread(&projection.input, releases)?;
    let (mut items, mut columns) = (projection.expr.clone(), vec![]);
    let mut carried: Vec<Column> = vec![];
    let height = height(&projection.input);
    for (place, item) in projection.expr.iter().enumerate() {
        let origin = match item.clone().unalias_nested().data {
            Expr::Column(column) => {
                below.plan.schema().maybe_index_of_column(&column).and_then(|i| below.columns.get(i)).cloned().flatten()
            }
            computed => width(&computed, &below).map(|width| {
                let hidden = format!("__sekisho_width_of_{height}_{place}");
                items.push(width.alias(hidden.clone()));
                carried.push(Column::from_name(hidden.clone()));
                (None, Column::from_name(hidden))
            }),
        };
        if let Some((_, width)) = &origin
            && !carried.contains(width)
        {
            carried.push(width.clone());
            items.push(Expr::Column(width.clone()));
        }
        columns.push(origin);
    }
    let plan = LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(below.plan)))?);
    Ok(Threaded { plan, columns })
}

/// How many steps stand on top of each other: a name that no lower step has.
fn height(plan: &LogicalPlan) -> usize {
    plan.inputs().into_iter().map(height).max().map_or(0, |below| below + 1)
}

/// The half-width of a number computed from noisy columns and constants; `None` of anything else.
fn width(expr: &Expr, below: &Threaded) -> Option<Expr> {
    let (width, noisy) = propagated(expr, below)?;
    noisy.then_some(width)
}

/// The half-width of an arithmetic expression, and whether anything in it is noisy.
fn propagated(expr: &Expr, below: &Threaded) -> Option<(Expr, bool)> {
    match expr {
        Expr::Alias(alias) => propagated(&alias.expr, below),
        Expr::Cast(cast) => propagated(&cast.expr, below),
        Expr::TryCast(cast) => propagated(&cast.expr, below),
        Expr::Negative(inner) => propagated(inner, below),
        Expr::Literal(..) => Some((lit(0.0), false)),
        Expr::Column(column) => {
            let place = below.plan.schema().maybe_index_of_column(column)?;
            let (_, width) = below.columns.get(place).cloned().flatten()?;
            Some((Expr::Column(width), true))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let ((of_left, noisy_left), (of_right, noisy_right)) =
                (propagated(left, below)?, propagated(right, below)?);
            let size = |e: &Expr| abs(as_float(e));
            let width = match op {
                Operator::Plus | Operator::Minus => of_left + of_right,
                Operator::Multiply => {
                    size(left) * of_right.clone() + size(right) * of_left.clone() + of_left * of_right
                }
                Operator::Divide => (of_left + abs(as_float(left) / as_float(right)) * of_right) / size(right),
                _ => return None,
            };
            Some((width, noisy_left || noisy_right))
        }
        _ => None,
    }
}

fn as_float(expr: &Expr) -> Expr {
    Expr::TryCast(TryCast::new(Box::new(expr.clone()), DataType::Float64))
}
