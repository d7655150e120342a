//! Which whole number does `2.7::INT` become, and which text a whole number among fractions?
//!
//! 3, as in PostgreSQL and most engines: the planner's own cast would cut off. And `FLOOR(29 / 10.0)` is '2' in a text: the
//! planner's own would be '2.0', as only what was rounded to places is elsewhere.

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Result, ScalarValue,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    functions::{
        math::expr_fn::round,
        string::expr_fn::{replace, rtrim},
    },
    logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, Operator, TryCast, binary_expr, lit, utils::merge_schema},
};

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Whether it was rounded to places behind the point, which are shown then.
fn to_places(expr: &Expr) -> bool {
    match expr {
        Expr::Cast(cast) => to_places(&cast.expr),
        Expr::Alias(alias) => to_places(&alias.expr),
        Expr::ScalarFunction(call) => call.name() == "round" && call.args.len() > 1 && !is_zero(call.args.last()),
        // A literal is shown as it is written.
        Expr::Literal(..) => true,
        _ => false,
    }
}

fn is_zero(expr: Option<&Expr>) -> bool {
    match expr {
        Some(Expr::Cast(cast)) => is_zero(Some(&cast.expr)),
        Some(Expr::Literal(places, _)) => ScalarValue::new_zero(&places.data_type()).is_ok_and(|zero| zero == *places),
        _ => false,
    }
}

/// `plan` in which numbers become whole ones by rounding, halves away from zero.
///
/// # Errors
/// Only those of building steps.
pub(super) fn rounded(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let fraction = |e: &Expr| e.get_type(&schema).is_ok_and(|from| from.is_floating() || from.is_decimal());
        let whole = |e: &Expr| Box::new(round(vec![e.clone()]));
        node.map_expressions(|expr| {
            let name = expr.schema_name().to_string();
            let done = expr.transform_up(|e| match e {
                Expr::Cast(cast) if cast.field.data_type().is_integer() && fraction(&cast.expr) => {
                    let expr = whole(&cast.expr);
                    Ok(Transformed::yes(Expr::Cast(Cast { expr, ..cast })))
                }
                Expr::TryCast(cast) if cast.field.data_type().is_integer() && fraction(&cast.expr) => {
                    let expr = whole(&cast.expr);
                    Ok(Transformed::yes(Expr::TryCast(TryCast { expr, ..cast })))
                }
                Expr::Cast(cast)
                    if is_text(cast.field.data_type()) && fraction(&cast.expr) && !to_places(&cast.expr) =>
                {
                    // Each part once: what is written twice grows with every cast around it.
                    let ended = binary_expr(Expr::Cast(cast), Operator::StringConcat, lit("#"));
                    Ok(Transformed::yes(rtrim(vec![replace(ended, lit(".0#"), lit("")), lit("#")])))
                }
                other => Ok(Transformed::no(other)),
            })?;
            Ok(match done.transformed && done.data.schema_name().to_string() != name {
                true => done.update_data(|e| e.alias(name)),
                false => done,
            })
        })
    })
    .data()
}
