//! Which scalar functions may a person's row pass through, and what is known of what comes out?

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::ScalarValue,
    logical_expr::{BinaryExpr, Case, Expr, Operator, ScalarUDF, expr::ScalarFunction},
};

use super::{
    expression::{Total, not_least, refused, short_enough, union},
    facts::{Facts, number},
    range::Range,
};
use crate::terms::Refusal;

/// A call of an allowed function with total arguments.
pub(super) fn total(function: &Arc<ScalarUDF>, arguments: Vec<(Total, DataType)>) -> Result<Total, Refusal> {
    let facts: Vec<Facts> = arguments.iter().map(|(a, _)| a.facts.clone()).collect();
    let fixed = facts.iter().all(|f| f.fixed);
    let nullable = facts.iter().any(|f| f.nullable);
    let literal = |i: usize| arguments.get(i).is_some_and(|(a, _)| matches!(a.expr, Expr::Literal(..)));
    let range = |i: usize| facts.get(i).and_then(|f| f.range);
    let name = function.name();
    let holds = facts.iter().all(|f| f.holds);
    let texts = facts.iter().map(|f| f.texts).max().unwrap_or(1);
    let plain = Facts { fixed, nullable, holds, texts, ..Facts::unknown() };
    let known = match name {
        "coalesce" => {
            let all_nullable = facts.iter().all(|f| f.nullable);
            Facts { nullable: all_nullable, fixed, ..union(&facts) }
        }
        "nullif" => Facts { nullable: true, fixed, ..first(&facts) },
        "greatest" | "least" => Facts { range: extreme(name, &facts), fixed, domain: None, ..union(&facts) },
        "abs" => Facts { range: range(0).map(Range::magnitude), grid: first(&facts).grid, nullable: true, ..plain },
        "ceil" | "floor" => Facts { range: range(0).map(Range::to_integers), grid: Some(1.0), ..plain },
        "round" | "trunc" if arguments.len() == 1 => {
            Facts { range: range(0).map(Range::to_integers), grid: Some(1.0), ..plain }
        }
        // Digits before the point move a value further than to the next whole number.
        "round" | "trunc" if literal(1) && not_negative(&arguments, 1) => {
            Facts { range: range(0).map(Range::to_integers), ..plain }
        }
        "round" | "trunc" if literal(1) => plain,
        // Only the clamp of a release keeps a value within bounds that do not hold: what lies outside gives NaN.
        "sqrt" if range(0).is_some_and(|r| r.lo >= 0.0) => {
            Facts { range: range(0).and_then(|r| r.map(f64::sqrt)), nullable: nullable || !holds, ..plain }
        }
        "exp" => Facts { range: range(0).and_then(|r| r.map(f64::exp)), ..plain },
        "ln" if range(0).is_some_and(|r| r.lo > 0.0) => {
            Facts { range: range(0).and_then(|r| r.map(f64::ln)), nullable: nullable || !holds, ..plain }
        }
        "sqrt" | "ln" | "log10" | "log2" => Facts { nullable: true, ..plain },
        "lower" | "upper" | "btrim" | "ltrim" | "rtrim" | "reverse" | "initcap" => plain,
        "concat" => {
            let all = facts.iter().fold(0_u64, |sum, f| sum.saturating_add(f.texts));
            Facts { texts: short_enough(all)?, ..plain }
        }
        "character_length" | "octet_length" | "strpos" => {
            Facts { range: Range::new(0.0, f64::from(i32::MAX)), grid: Some(1.0), ..plain }
        }
        "starts_with" | "ends_with" | "contains" => Facts { fixed, nullable, ..Facts::boolean() },
        // A negative length fails: both numbers are literals, the length at least zero.
        "substr" if literal(1) && (arguments.len() == 2 || (literal(2) && not_negative(&arguments, 2))) => plain,
        "left" | "right" if literal(1) => plain,
        "date_part" if literal(0) => Facts { range: part(&arguments)?, grid: Some(1.0), ..plain },
        "date_trunc" if literal(0) => plain,
        _ => {
            let hint = "inside a person only comparisons, arithmetic, CASE and the listed functions are allowed";
            return Err(refused(name, hint));
        }
    };
    let argument = |(a, data_type): (Total, DataType)| match name {
        "abs" => not_least(a.expr, &data_type),
        // The engine fails where a root or a logarithm does not exist.
        "sqrt" => null_where(Operator::Lt, a.expr, &data_type),
        "ln" | "log10" | "log2" => null_where(Operator::LtEq, a.expr, &data_type),
        _ => a.expr,
    };
    let expr = ScalarFunction::new_udf(Arc::clone(function), arguments.into_iter().map(argument).collect());
    Ok(Total { expr: Expr::ScalarFunction(expr), facts: Facts { owner: false, key: false, ..known } })
}

/// The names that `total` accepts, for the documentation and the tests.
pub const ALLOWED: [&str; 33] = [
    "abs",
    "btrim",
    "ceil",
    "character_length",
    "coalesce",
    "concat",
    "contains",
    "date_part",
    "date_trunc",
    "ends_with",
    "exp",
    "floor",
    "greatest",
    "initcap",
    "least",
    "left",
    "ln",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "nullif",
    "octet_length",
    "reverse",
    "right",
    "round",
    "rtrim",
    "sqrt",
    "starts_with",
    "strpos",
    "substr",
    "trunc",
    "upper",
];

fn first(facts: &[Facts]) -> Facts {
    facts.first().cloned().unwrap_or_else(Facts::unknown)
}

/// GREATEST and LEAST skip NULLs: one bounded argument that is never NULL bounds one end, all of them both.
fn extreme(name: &str, facts: &[Facts]) -> Option<Range> {
    let ranges: Vec<Range> = facts.iter().filter_map(|f| f.range).collect();
    let never_null: Vec<Range> = facts.iter().filter(|f| !f.nullable).filter_map(|f| f.range).collect();
    let every = ranges.len() == facts.len();
    let least = |ends: &mut dyn Iterator<Item = f64>| ends.fold(f64::INFINITY, f64::min);
    let most = |ends: &mut dyn Iterator<Item = f64>| ends.fold(f64::NEG_INFINITY, f64::max);
    let (lo, hi) = match (name, every) {
        ("greatest", true) if never_null.is_empty() => {
            (least(&mut ranges.iter().map(|r| r.lo)), most(&mut ranges.iter().map(|r| r.hi)))
        }
        ("greatest", true) => (most(&mut never_null.iter().map(|r| r.lo)), most(&mut ranges.iter().map(|r| r.hi))),
        ("greatest", false) => (most(&mut never_null.iter().map(|r| r.lo)), f64::INFINITY),
        (_, true) if never_null.is_empty() => {
            (least(&mut ranges.iter().map(|r| r.lo)), most(&mut ranges.iter().map(|r| r.hi)))
        }
        (_, true) => (least(&mut ranges.iter().map(|r| r.lo)), least(&mut never_null.iter().map(|r| r.hi))),
        (_, false) => (f64::NEG_INFINITY, least(&mut never_null.iter().map(|r| r.hi))),
    };
    // One open end is kept: `least(greatest(x, lo), hi)` closes it.
    (lo <= hi && !lo.is_nan() && !hi.is_nan() && (lo.is_finite() || hi.is_finite())).then_some(Range { lo, hi })
}

/// NULL where `expr` compares with zero as `op` says.
fn null_where(op: Operator, expr: Expr, data_type: &DataType) -> Expr {
    let zero = ScalarValue::new_zero(data_type).unwrap_or(ScalarValue::Float64(Some(0.0)));
    let null = ScalarValue::try_new_null(data_type).unwrap_or(ScalarValue::Null);
    let zero = Box::new(Expr::Literal(zero, None));
    let outside = Expr::BinaryExpr(BinaryExpr::new(Box::new(expr.clone()), op, zero));
    let null = Box::new(Expr::Literal(null, None));
    Expr::Case(Case::new(None, vec![(Box::new(outside), null)], Some(Box::new(expr))))
}

fn not_negative(arguments: &[(Total, DataType)], index: usize) -> bool {
    match arguments.get(index).map(|(a, _)| &a.expr) {
        Some(Expr::Literal(value, _)) => number(value).is_some_and(|n| n >= 0.0),
        _ => false,
    }
}

/// The values of `date_part(unit, date)`.
fn part(arguments: &[(Total, DataType)]) -> Result<Option<Range>, Refusal> {
    let unit = match arguments.first().map(|(a, _)| &a.expr) {
        Some(Expr::Literal(ScalarValue::Utf8(Some(unit)), _)) => unit.to_ascii_lowercase(),
        _ => return Err(refused("date_part", "name the part as a literal")),
    };
    let Some((date, data_type)) = arguments.get(1) else { return Ok(None) };
    if !matches!(data_type, DataType::Date32 | DataType::Timestamp(_, None)) {
        return Err(refused("date_part", "take parts of a DATE or TIMESTAMP"));
    }
    let year = |value: f64| {
        let days = if *data_type == DataType::Date32 { value } else { value / 86_400_000_000.0 };
        super::facts::whole(days.floor())
            .and_then(chrono::TimeDelta::try_days)
            .and_then(|delta| chrono::NaiveDate::default().checked_add_signed(delta))
            .map(|date| f64::from(chrono::Datelike::year(&date)))
    };
    Ok(match unit.as_str() {
        "year" => date.facts.range.and_then(|r| Range::new(year(r.lo)?, year(r.hi)?)),
        "quarter" => Range::new(1.0, 4.0),
        "month" => Range::new(1.0, 12.0),
        "week" => Range::new(1.0, 53.0),
        "day" => Range::new(1.0, 31.0),
        "doy" => Range::new(1.0, 366.0),
        "dow" | "isodow" => Range::new(0.0, 7.0),
        "hour" => Range::new(0.0, 23.0),
        "minute" | "second" => Range::new(0.0, 59.0),
        _ => {
            return Err(refused(&format!("date_part {unit}"), "use year, quarter, month, week, day, doy, dow or hour"));
        }
    })
}
