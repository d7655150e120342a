//! Which whole number does `2.7::INT` become?
//!
//! 3, as in PostgreSQL and most engines: the planner's own cast would cut off.

use datafusion::{
    common::{
        Result,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    functions::math::expr_fn::round,
    logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, TryCast, utils::merge_schema},
};

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
