//! What is a date plus a whole number?
//!
//! As many days later, as in PostgreSQL and Oracle. The engine would read the number as an interval of its own making. Here
//! it is days since 1970, added and read as a date again: so bounds follow as from any sum, and what leaves the calendar is
//! NULL after the casts have become total.

use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    common::{DFSchema, Result},
    logical_expr::{
        Expr, ExprSchemable, cast, lit,
        planner::{ExprPlanner, PlannerResult, RawBinaryExpr},
    },
    sql::sqlparser::ast::BinaryOperator,
};

const MICROS_A_DAY: i64 = 86_400_000_000;

/// Plans sums of times and whole numbers.
#[derive(Debug)]
pub(super) struct Days;

impl ExprPlanner for Days {
    fn plan_binary_op(&self, sum: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if !matches!(sum.op, BinaryOperator::Plus | BinaryOperator::Minus) {
            return Ok(PlannerResult::Original(sum));
        }
        let types = (sum.left.get_type(schema), sum.right.get_type(schema));
        let later = sum.op == BinaryOperator::Plus;
        let moved = match types {
            (Ok(time), Ok(days)) if days.is_integer() => moved(&sum.left, &time, &sum.right, later),
            (Ok(days), Ok(time)) if days.is_integer() && later => moved(&sum.right, &time, &sum.left, later),
            _ => None,
        };
        Ok(moved.map_or(PlannerResult::Original(sum), PlannerResult::Planned))
    }
}

fn moved(time: &Expr, data_type: &DataType, days: &Expr, later: bool) -> Option<Expr> {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let (start, step, back) = match data_type {
        DataType::Date32 => (cast(cast(time.clone(), DataType::Int32), DataType::Int64), 1, DataType::Date32),
        DataType::Timestamp(_, None) => {
            (cast(cast(time.clone(), micros.clone()), DataType::Int64), MICROS_A_DAY, micros)
        }
        _ => return None,
    };
    let span = cast(days.clone(), DataType::Int64);
    let span = if step == 1 { span } else { span * lit(step) };
    let count = if later { start + span } else { start - span };
    Some(cast(count, back))
}
