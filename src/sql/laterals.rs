//! Which side of a join reads the row before it?

use datafusion::{
    common::{JoinType, ScalarValue},
    logical_expr::{Expr, Join, LogicalPlan, Subquery},
};

/// The subquery of a LATERAL side.
pub(crate) fn lateral(plan: &LogicalPlan) -> Option<&Subquery> {
    match plan {
        LogicalPlan::Subquery(subquery) if !subquery.outer_ref_columns.is_empty() => Some(subquery),
        LogicalPlan::SubqueryAlias(alias) => lateral(&alias.input),
        _ => None,
    }
}

/// Whether it is an inner or left join without a condition, or ON TRUE.
pub(crate) fn joins_on_true(join: &Join) -> bool {
    let always = match &join.filter {
        None => true,
        Some(Expr::Literal(value, _)) => *value == ScalarValue::Boolean(Some(true)),
        Some(_) => false,
    };
    always && join.on.is_empty() && matches!(join.join_type, JoinType::Inner | JoinType::Left)
}
