//! What is known of what a scalar function makes of a person's values, and what must be literal in its call?

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::ScalarValue,
    logical_expr::{BinaryExpr, Case, Expr, Operator, ScalarUDF, expr::ScalarFunction, lit},
};

use super::{
    expression::{Total, not_least, refused, short_enough, union},
    facts::{Facts, number, whole},
    group_keys::constant,
    guarded::guarded,
    range::Range,
    settled::{Verdict, settled},
};
use crate::{sql::PADDED_MAX, terms::Refusal};

/// A call of an allowed function with total arguments.
pub(super) fn total(function: &Arc<ScalarUDF>, arguments: Vec<(Total, DataType)>) -> Result<Total, Refusal> {
    let name = function.name();
    let line = settled(name).ok_or_else(|| refused(name, "it is not settled for persons' rows"))?;
    if line.verdict == Verdict::Refused {
        return Err(refused(name, line.note));
    }
    only_literals(name, &arguments)?;
    let call = Call { name, arguments: &arguments };
    let known = call.facts()?;
    // The engine's own function is kept where it cannot fail on these types: the optimiser knows it.
    let timed = |t: &DataType| matches!(t, DataType::Date32 | DataType::Timestamp(_, None));
    // Truncation goes by nanoseconds, which end in 1677 and in 2262: what an interval has moved further out fails there.
    let near = || call.range(1).is_some_and(|r| r.within(-NEAR, NEAR)) && known.holds;
    let total_on_times = match name {
        "date_part" => call.data_type(1).is_some_and(timed),
        "date_trunc" => call.data_type(1).is_some_and(timed) && near(),
        _ => false,
    };
    let known = Facts { nullable: known.nullable || (name == "date_trunc" && !total_on_times), ..known };
    let function = match line.verdict == Verdict::Guarded && !total_on_times {
        true => guarded(function),
        false => Arc::clone(function),
    };
    let argument = |(a, data_type): (Total, DataType)| match name {
        "abs" => not_least(a.expr, &data_type),
        // The engine fails where a root or a logarithm does not exist.
        "sqrt" => null_where(Operator::Lt, a.expr, &data_type),
        "ln" | "log10" | "log2" => null_where(Operator::LtEq, a.expr, &data_type),
        _ => a.expr,
    };
    let expr = ScalarFunction::new_udf(function, arguments.into_iter().map(argument).collect());
    Ok(Total { expr: Expr::ScalarFunction(expr), facts: Facts { owner: false, key: false, numbered: false, ..known } })
}

/// Arguments that decide how long a value gets, or of which a wrong one fails, are written in the question.
fn only_literals(name: &str, arguments: &[(Total, DataType)]) -> Result<(), Refusal> {
    let places: &[usize] = match name {
        "date_part" | "date_trunc" | "date_bin" => &[0, 2],
        "left" | "right" | "to_char" | "to_date" | "to_timestamp" | "round" | "trunc" => &[1],
        "lpad" | "rpad" | "substr" | "split_part" | "replace" | "translate" | "substr_index" => &[1, 2],
        "regexp_like" | "regexp_count" | "regexp_instr" | "regexp_replace" => &[1, 2, 3, 4, 5, 6],
        "overlay" => &[2, 3],
        _ => &[],
    };
    let literal = |place: &&usize| arguments.get(**place).is_none_or(|(a, _)| matches!(a.expr, Expr::Literal(..)));
    if !places.iter().all(|place| literal(&place)) {
        return Err(refused(name, "write its pattern, unit, format or length as a literal"));
    }
    if name == "substr" && arguments.len() == 3 && !not_negative(arguments, 2) {
        return Err(refused(name, "the length is not negative"));
    }
    if name.starts_with("regexp_") {
        let pattern = arguments.get(1).map(|(a, _)| a.expr.clone());
        if !pattern.is_some_and(|pattern| pattern_compiles(&pattern)) {
            return Err(refused(name, "this pattern is no regular expression"));
        }
    }
    Ok(())
}

/// Whether the engine takes a literal as a regular expression; found by matching it with the empty text.
pub(super) fn pattern_compiles(pattern: &Expr) -> bool {
    let matched = BinaryExpr::new(Box::new(lit("")), Operator::RegexMatch, Box::new(pattern.clone()));
    match pattern {
        Expr::Literal(value, _) if value.is_null() => true,
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) if text.len() <= 1024 => {
            constant(&Expr::BinaryExpr(matched)).is_some()
        }
        _ => false,
    }
}

struct Call<'a> {
    name: &'a str,
    arguments: &'a [(Total, DataType)],
}

impl Call<'_> {
    fn data_type(&self, index: usize) -> Option<&DataType> {
        self.arguments.get(index).map(|(_, data_type)| data_type)
    }

    fn range(&self, index: usize) -> Option<Range> {
        self.arguments.get(index).and_then(|(a, _)| a.facts.range)
    }

    fn text(&self, index: usize) -> Option<&str> {
        match self.arguments.get(index).map(|(a, _)| &a.expr) {
            Some(Expr::Literal(ScalarValue::Utf8(Some(text)), _)) => Some(text),
            _ => None,
        }
    }

    fn literal(&self, index: usize) -> Option<f64> {
        match self.arguments.get(index).map(|(a, _)| &a.expr) {
            Some(Expr::Literal(value, _)) => number(value),
            _ => None,
        }
    }

    fn facts(&self) -> Result<Facts, Refusal> {
        let facts: Vec<Facts> = self.arguments.iter().map(|(a, _)| a.facts.clone()).collect();
        let fixed = facts.iter().all(|f| f.fixed);
        let nullable = facts.iter().any(|f| f.nullable);
        let holds = facts.iter().all(|f| f.holds);
        let texts = facts.iter().map(|f| f.texts).max().unwrap_or(1);
        let plain = Facts { fixed, nullable, holds, texts, ..Facts::unknown() };
        let failing = Facts { nullable: true, ..plain.clone() };
        let range = |i: usize| self.range(i);
        let rising = |f: fn(f64) -> f64| range(0).and_then(|r| r.map(f));
        let sum_of_texts = || short_enough(facts.iter().fold(0_u64, |sum, f| sum.saturating_add(f.texts)));
        Ok(match self.name {
            "coalesce" | "nvl" => {
                let all_nullable = facts.iter().all(|f| f.nullable);
                Facts { nullable: all_nullable, fixed, ..union(&facts) }
            }
            "nvl2" => Facts { fixed, ..union(facts.get(1..).unwrap_or_default()) },
            "nullif" => Facts { nullable: true, fixed, ..first(&facts) },
            "greatest" | "least" => Facts { range: extreme(self.name, &facts), fixed, domain: None, ..union(&facts) },
            "abs" => Facts { range: range(0).map(Range::magnitude), grid: first(&facts).grid, nullable: true, ..plain },
            "ceil" | "floor" => Facts { range: range(0).map(Range::to_integers), grid: Some(1.0), ..plain },
            "round" | "trunc" if self.arguments.len() == 1 => {
                Facts { range: range(0).map(Range::to_integers), grid: Some(1.0), ..plain }
            }
            // Digits before the point move a value further than to the next whole number.
            "round" | "trunc" if not_negative(self.arguments, 1) => {
                Facts { range: range(0).map(Range::to_integers), ..plain }
            }
            "round" | "trunc" => plain,
            // Only the clamp of a release keeps a value within bounds that do not hold: what lies outside gives NaN.
            "sqrt" if range(0).is_some_and(|r| r.lo >= 0.0) => {
                Facts { range: rising(f64::sqrt), nullable: nullable || !holds, ..plain }
            }
            "ln" if range(0).is_some_and(|r| r.lo > 0.0) => {
                Facts { range: rising(f64::ln), nullable: nullable || !holds, ..plain }
            }
            "log10" if range(0).is_some_and(|r| r.lo > 0.0) => {
                Facts { range: rising(f64::log10), nullable: nullable || !holds, ..plain }
            }
            "log2" if range(0).is_some_and(|r| r.lo > 0.0) => {
                Facts { range: rising(f64::log2), nullable: nullable || !holds, ..plain }
            }
            "exp" => Facts { range: rising(f64::exp), ..plain },
            "cbrt" => Facts { range: rising(f64::cbrt), nullable: true, ..plain },
            "degrees" => Facts { range: rising(f64::to_degrees), nullable: true, ..plain },
            "radians" => Facts { range: rising(f64::to_radians), nullable: true, ..plain },
            "atan" => Facts { range: Range::new(-1.571, 1.571), nullable: true, ..plain },
            "atan2" => Facts { range: Range::new(-3.15, 3.15), nullable: true, ..plain },
            "sin" | "cos" | "tanh" | "signum" => Facts { range: Range::new(-1.0, 1.0), nullable: true, ..plain },
            "power" => Facts { range: self.power(), ..failing },
            "lower" | "upper" | "btrim" | "ltrim" | "rtrim" | "reverse" | "initcap" | "left" | "right" | "substr" => {
                plain
            }
            "concat" | "concat_ws" | "overlay" => {
                Facts { texts: sum_of_texts()?, nullable: nullable || self.name == "overlay", ..plain }
            }
            "replace" | "regexp_replace" => {
                let (from, to) = (self.text(1).map_or(0, str::len), self.text(2).map_or(0, str::len));
                let longer = match self.name {
                    "replace" => to.div_ceil(from.max(1)),
                    _ => to.saturating_add(1),
                };
                let longer = u64::try_from(longer.max(1)).unwrap_or(u64::MAX);
                Facts { texts: short_enough(texts.saturating_mul(longer))?, ..failing }
            }
            "to_char" => {
                let format = self.text(1).map_or(usize::MAX, str::len);
                Facts { texts: short_enough(1 + u64::try_from(format / 16).unwrap_or(u64::MAX >> 1))?, ..failing }
            }
            "lpad" | "rpad" => {
                let length = self.literal(1).filter(|n| (0.0..=f64::from(PADDED_MAX)).contains(n));
                length.ok_or_else(|| refused(self.name, "pad to a literal length of at most 1024"))?;
                Facts { texts: short_enough(texts.saturating_add(4))?, ..failing }
            }
            "character_length" | "octet_length" | "strpos" => {
                Facts { range: Range::new(0.0, f64::from(i32::MAX)), grid: Some(1.0), ..plain }
            }
            "ascii" | "bit_length" | "find_in_set" | "regexp_count" | "regexp_instr" => {
                Facts { range: Range::new(0.0, f64::from(i32::MAX)), grid: Some(1.0), ..failing }
            }
            "starts_with" | "ends_with" | "contains" => Facts { fixed, nullable, ..Facts::boolean() },
            "isnan" | "iszero" | "regexp_like" => Facts { fixed, nullable: true, ..Facts::boolean() },
            "date_part" => {
                let (range, whole) = self.part()?;
                let times = matches!(self.data_type(1), Some(DataType::Date32 | DataType::Timestamp(_, None)));
                Facts { range, grid: whole.then_some(1.0), nullable: nullable || !times, ..plain }
            }
            "date_trunc" => Facts { range: range(1).and_then(|r| Range::new(r.lo - 366.0 * DAY, r.hi)), ..plain },
            "make_date" => Facts { range: self.made_date(), ..failing },
            "to_unixtime" => {
                let seconds = match self.data_type(0) {
                    Some(DataType::Date32) => range(0).and_then(|r| r.times(Range { lo: 86_400.0, hi: 86_400.0 })),
                    Some(DataType::Timestamp(..)) => {
                        range(0).and_then(|r| r.times(Range { lo: 1e-6, hi: 1e-6 })).map(Range::to_integers)
                    }
                    _ => None,
                };
                Facts { range: seconds, grid: Some(1.0), ..failing }
            }
            "pi" => Facts { range: Range::new(3.0, 3.5), fixed: true, nullable: false, ..plain },
            _ => failing,
        })
    }

    /// `base ^ exponent` for an exponent that is a literal of at least zero, or a base that is one of at least 1.
    fn power(&self) -> Option<Range> {
        if let Some(base) = self.literal(0).filter(|base| *base >= 1.0) {
            return self.range(1)?.map(|exponent| base.powf(exponent));
        }
        let exponent = self.literal(1).filter(|e| *e >= 0.0)?;
        let base = self.range(0)?;
        let even = exponent % 2.0 == 0.0;
        let base = if even { base.magnitude() } else { base };
        let odd = (exponent % 2.0 - 1.0).abs() < f64::EPSILON;
        (base.lo >= 0.0 || odd).then(|| base.map(|b| b.powf(exponent)))?
    }

    /// The days between the first of the least year and the last of the greatest.
    fn made_date(&self) -> Option<Range> {
        let years = self.range(0)?;
        let day = |year: f64, month: u32, day: u32| {
            let year = i32::try_from(whole(year)?).ok()?;
            let date = chrono::NaiveDate::from_ymd_opt(year, month, day)?;
            Some(super::facts::to_f64(date.signed_duration_since(chrono::NaiveDate::default()).num_days()))
        };
        Range::new(day(years.lo.floor(), 1, 1)?, day(years.hi.ceil(), 12, 31)?)
    }

    /// The values of `date_part(unit, time)`, and whether they are whole.
    fn part(&self) -> Result<(Option<Range>, bool), Refusal> {
        let unit = self.text(0).ok_or_else(|| refused("date_part", "name the part as a literal"))?.to_ascii_lowercase();
        let Some(data_type) = self.data_type(1) else { return Ok((None, false)) };
        let scaled = |by: f64| self.range(1).and_then(|r| r.times(Range { lo: by, hi: by }));
        match data_type {
            DataType::Date32 | DataType::Timestamp(_, None) => {}
            DataType::Duration(_) if unit == "epoch" => return Ok((scaled(1e-6), false)),
            DataType::Duration(_) if unit == "day" => return Ok((scaled(1.0 / DAY).map(Range::to_integers), true)),
            DataType::Duration(_) | DataType::Interval(_) => return Ok((None, true)),
            _ => return Err(refused("date_part", "take parts of a DATE, a TIMESTAMP or a difference of two")),
        }
        let micros =
            |r: Range| if *data_type == DataType::Date32 { r.times(Range { lo: DAY, hi: DAY }) } else { Some(r) };
        let year = |value: f64| {
            whole((value / DAY).floor())
                .and_then(chrono::TimeDelta::try_days)
                .and_then(|delta| chrono::NaiveDate::default().checked_add_signed(delta))
                .map(|date| f64::from(chrono::Datelike::year(&date)))
        };
        let time = self.range(1).and_then(micros);
        let range = match unit.as_str() {
            "year" => time.and_then(|r| Range::new(year(r.lo)?, year(r.hi)?)),
            // The days around New Year may belong to the neighbouring week-year.
            "isoyear" => time.and_then(|r| Range::new(year(r.lo)? - 1.0, year(r.hi)? + 1.0)),
            "quarter" => Range::new(1.0, 4.0),
            "month" => Range::new(1.0, 12.0),
            "week" => Range::new(1.0, 53.0),
            "day" => Range::new(1.0, 31.0),
            "doy" => Range::new(1.0, 366.0),
            "dow" | "isodow" => Range::new(0.0, 7.0),
            "hour" => Range::new(0.0, 23.0),
            "minute" | "second" => Range::new(0.0, 59.0),
            "millisecond" => Range::new(0.0, 59_999.0),
            "microsecond" => Range::new(0.0, 59_999_999.0),
            "epoch" => return Ok((time.and_then(|r| r.times(Range { lo: 1e-6, hi: 1e-6 })), false)),
            _ => {
                let hint = "use year, quarter, month, week, day, doy, dow, hour, minute, second or epoch";
                return Err(refused(&format!("date_part {unit}"), hint));
            }
        };
        Ok((range, true))
    }
}

/// Microseconds.
const DAY: f64 = 86_400_000_000.0;
/// As many microseconds on both sides of 1970 as nanoseconds fit in 64 bits, less two years.
const NEAR: f64 = 290.0 * 365.0 * DAY;

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
