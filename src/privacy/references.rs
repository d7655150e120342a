//! What may be done with a table that is known from the records alone, before it meets persons' rows?
//!
//! Its rows are about no person, but which of them there are may follow from one. So nothing that could fail on a row is
//! computed there: it is renamed, filtered by comparisons and joined. Once joined to persons, its columns are theirs, and
//! whatever is computed with them is total.

use datafusion::{
    arrow::datatypes::DataType,
    logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, Operator, TryCast},
};

use super::typing::mixed;
use crate::terms::Refusal;

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
    match kind && expressions.iter().all(|expr| compares(expr, step)) {
        true => Ok(()),
        false => Err(mixed(
            "reference tables are renamed, filtered by comparisons and joined; compute after the join to persons",
        )),
    }
}

/// Columns, constants and comparisons of them.
fn compares(expr: &Expr, step: &LogicalPlan) -> bool {
    let compares = |expr: &Expr| compares(expr, step);
    match expr {
        Expr::Column(_) | Expr::Literal(..) => true,
        Expr::Alias(alias) => compares(&alias.expr),
        Expr::Not(inner) | Expr::IsNull(inner) | Expr::IsNotNull(inner) => compares(inner),
        Expr::TryCast(TryCast { expr: inner, .. }) => compares(inner),
        Expr::Cast(Cast { expr: inner, field }) => compares(inner) && widens(inner, field.data_type(), step),
        Expr::BinaryExpr(binary) => {
            let compared = matches!(
                binary.op,
                Operator::Eq
                    | Operator::NotEq
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq
                    | Operator::And
                    | Operator::Or
                    | Operator::IsDistinctFrom
                    | Operator::IsNotDistinctFrom
            );
            compared && compares(&binary.left) && compares(&binary.right)
        }
        Expr::Between(between) => compares(&between.expr) && compares(&between.low) && compares(&between.high),
        Expr::InList(list) => compares(&list.expr) && list.list.iter().all(compares),
        Expr::Like(like) => {
            like.escape_char.is_none() && compares(&like.expr) && matches!(*like.pattern, Expr::Literal(..))
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
