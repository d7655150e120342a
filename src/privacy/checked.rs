//! What becomes of released values with which the last steps of a question do not work?
//!
//! NULL, row by row: a root of a count that noise made negative, a product of counts beyond 64 bits. The values are bought
//! and show nobody, so a failure would tell nothing; but it would take the other rows and columns of the answer along, and a
//! product that wraps would stand there as if it were one.

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DFSchema, Result,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    logical_expr::{
        Expr, ExprSchemable, LogicalPlan, Operator,
        expr::{BinaryExpr, ScalarFunction},
        utils::merge_schema,
    },
};

use super::{
    guarded::{guarded, whole_arithmetic},
    settled::{Verdict, settled},
    typing::built,
};
use crate::terms::Refusal;

/// `plan` over released values, with NULL where a function of it fails or whole numbers leave 64 bits.
///
/// # Errors
/// Only those of building steps.
pub(super) fn checked(plan: LogicalPlan) -> std::result::Result<LogicalPlan, Refusal> {
    let done = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let named = matches!(node, LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Window(_));
        node.map_expressions(|expr| {
            let name = expr.schema_name().to_string();
            let done = expr.transform_up(|e| step(e, &schema))?;
            Ok(match done.transformed && named && done.data.schema_name().to_string() != name {
                true => done.update_data(|e| e.alias(name)),
                false => done,
            })
        })
    });
    built(done.data())
}

fn step(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) => {
            let total = settled(func.name()).is_some_and(|line| line.verdict == Verdict::Total);
            let func = if total { func } else { guarded(&func) };
            Ok(Transformed::new_transformed(Expr::ScalarFunction(ScalarFunction { func, args }), !total))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if moves(op) && whole(&left, schema) && whole(&right, schema) =>
        {
            Ok(Transformed::yes(whole_arithmetic(op, *left, *right)))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn moves(op: Operator) -> bool {
    matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply)
}

fn whole(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|data_type| data_type == DataType::Int64)
}
