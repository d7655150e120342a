//! What may be done with a table that is known from the records alone, before it meets persons' rows?
//!
//! Its rows are about no person, but which of them there are may follow from one. So nothing that could fail on a row is
//! computed there: it is renamed, filtered by comparisons and joined. Once joined to persons, its columns are theirs, and
//! whatever is computed with them is total.

use datafusion::{
    arrow::datatypes::DataType,
    logical_expr::{
        Cast, Expr, ExprSchemable, LogicalPlan, TryCast,
        expr::{AggregateFunctionParams, Alias},
    },
};

use super::{
    expression::compares,
    typing::{Owned, mixed},
};
use crate::{
    sql::{Standing, catalogued},
    terms::Refusal,
};

/// Whether `step`, over such tables, cannot fail.
///
/// # Errors
/// [`Refusal::PersonsMixed`] says what can be done instead.
pub(super) fn harmless(step: &LogicalPlan, expressions: &[Expr]) -> Result<(), Refusal> {
    let kind = matches!(
        step,
        LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Join(_)
            | LogicalPlan::Distinct(_)
            | LogicalPlan::Sort(_)
    );
    match kind && expressions.iter().all(|expr| plain(expr, step)) {
        true => Ok(()),
        false => Err(mixed(
            "reference tables are renamed, filtered by comparisons and joined; compute after the join to persons",
        )),
    }
}

/// Whether nothing that `plan`, evaluated beside persons' rows, does with such a table can fail; and whether it reads one.
///
/// # Errors
/// As [`harmless`].
pub(super) fn checked(plan: &LogicalPlan) -> Result<bool, Refusal> {
    if let LogicalPlan::TableScan(scan) = plan {
        return Ok(catalogued(scan).is_some_and(|table| matches!(table.standing, Standing::Reference { .. })));
    }
    let mut reads = false;
    for input in plan.inputs() {
        reads |= checked(input)?;
    }
    match plan {
        _ if !reads => {}
        LogicalPlan::Aggregate(_) if plan.expressions().iter().all(|expr| adds_up(expr, plan)) => {}
        _ => harmless(plan, &plan.expressions())?,
    }
    Ok(reads)
}

/// Whether `plan`, to be put beside persons' rows where `mine` of theirs equals a column of it, reads such a table. It then
/// says something of the persons' own places alone: without a link it would tell whether some row of it exists, which may
/// have come with one person, by as many rows as all persons have.
///
/// # Errors
/// [`Refusal::PersonsMixed`] where nothing of `mine` is such a link; and as [`harmless`].
pub(super) fn linked<'e>(
    owned: &Owned,
    plan: &LogicalPlan,
    mut mine: impl Iterator<Item = &'e Expr>,
) -> Result<bool, Refusal> {
    if !checked(plan)? {
        return Ok(false);
    }
    match mine.any(|expr| links(owned, expr)) {
        true => Ok(true),
        false => Err(mixed(
            "a reference table is joined, or compared in a subquery, by the link that leads to its rows, such as \
             care_site_id",
        )),
    }
}

fn links(owned: &Owned, expr: &Expr) -> bool {
    match expr {
        Expr::Column(column) => owned.scope().facts_of(column).is_ok_and(|facts| facts.place),
        Expr::Alias(Alias { expr: inner, .. }) => links(owned, inner),
        Expr::Cast(Cast { expr: inner, .. }) | Expr::TryCast(TryCast { expr: inner, .. }) => links(owned, inner),
        _ => false,
    }
}

/// A key, or one of the aggregates that no value makes fail.
fn adds_up(expr: &Expr, step: &LogicalPlan) -> bool {
    match expr {
        Expr::Alias(alias) => adds_up(&alias.expr, step),
        Expr::AggregateFunction(call) => {
            let AggregateFunctionParams { args, filter, order_by, .. } = &call.params;
            let known = matches!(call.func.name(), "count" | "sum" | "avg" | "min" | "max");
            let of = args.iter().chain(filter.as_deref());
            known && order_by.is_empty() && of.into_iter().all(|expr| plain(expr, step))
        }
        key => plain(key, step),
    }
}

/// Columns, constants and comparisons of them.
fn plain(expr: &Expr, step: &LogicalPlan) -> bool {
    let plain = |expr: &Expr| plain(expr, step);
    match expr {
        Expr::Column(_) | Expr::Literal(..) => true,
        Expr::Alias(alias) => plain(&alias.expr),
        Expr::Not(inner) | Expr::IsNull(inner) | Expr::IsNotNull(inner) => plain(inner),
        // Times outside the calendar fail in TRY_CAST too.
        Expr::Cast(Cast { expr: inner, field }) | Expr::TryCast(TryCast { expr: inner, field }) => {
            plain(inner) && widens(inner, field.data_type(), step)
        }
        Expr::BinaryExpr(binary) => compares(binary.op) && plain(&binary.left) && plain(&binary.right),
        Expr::Between(between) => plain(&between.expr) && plain(&between.low) && plain(&between.high),
        Expr::InList(list) => plain(&list.expr) && list.list.iter().all(plain),
        Expr::Like(like) => {
            like.escape_char.is_none() && plain(&like.expr) && matches!(*like.pattern, Expr::Literal(..))
        }
        _ => false,
    }
}

/// Whether no value is too large for the cast: numbers as wider ones, texts as texts.
fn widens(expr: &Expr, to: &DataType, step: &LogicalPlan) -> bool {
    let text = |of: &DataType| matches!(of, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
    let from = step.inputs().into_iter().find_map(|input| expr.get_type(input.schema()).ok());
    from.is_some_and(|from| {
        let wider = matches!(to, DataType::Int64) && from.is_signed_integer() || matches!(to, DataType::Float64);
        from == *to || (text(&from) && text(to)) || (from.is_numeric() && !from.is_decimal() && wider)
    })
}
