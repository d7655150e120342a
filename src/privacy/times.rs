//! Between which instants does a date or timestamp lie after an interval is added, and how far are two apart?

use datafusion::{arrow::datatypes::DataType, common::ScalarValue, logical_expr::Expr};

use super::{expression::Total, facts::Facts, range::Range, stored::clamped};

/// Microseconds.
const DAY: f64 = 86_400_000_000.0;
/// Further out than this an interval leaves the calendar, and the sum is NULL: 200,000 years.
const CALENDAR: f64 = 73_000_000.0 * DAY;

/// What is known of `left ± right`, if it is a time and an interval or the difference of two timestamps.
pub(super) fn shifted(
    subtract: bool,
    (left, left_type): (&Total, &DataType),
    (right, right_type): (&Total, &DataType),
    result: &DataType,
) -> Option<Facts> {
    let timed = |t: &DataType| matches!(t, DataType::Date32 | DataType::Timestamp(_, None));
    let interval = |t: &DataType| matches!(t, DataType::Interval(_) | DataType::Duration(_));
    let mut holds = left.facts.holds && right.facts.holds;
    let nullable = left.facts.nullable || right.facts.nullable;
    let mut stored = None;
    let range = if timed(left_type) && interval(right_type) && timed(result) {
        stored = left.facts.stored.as_ref().zip(span(right, subtract)).and_then(|(stored, days)| stored.moved(days));
        moved(left, left_type, right, subtract)
    } else if !subtract && interval(left_type) && timed(right_type) && timed(result) {
        stored = right.facts.stored.as_ref().zip(span(left, false)).and_then(|(stored, days)| stored.moved(days));
        moved(right, right_type, left, false)
    } else if subtract && timed(left_type) && timed(right_type) && interval(result) {
        let both = left.facts.range.and_then(|r| in_micros(r, left_type));
        let all = both.zip(right.facts.range.and_then(|r| in_micros(r, right_type))).and_then(|(a, b)| a.minus(b));
        let apart = left.facts.stored.as_ref().zip(right.facts.stored.as_ref()).and_then(|(a, b)| a.since(b));
        let (range, declared) = clamped(all, apart.and_then(|days| days.times(Range { lo: DAY, hi: DAY })));
        holds &= !declared;
        range
    } else {
        return None;
    };
    // What may leave the calendar becomes NULL there.
    let inside =
        range.is_some_and(|r| !timed(result) || in_micros(r, result).is_some_and(|r| r.within(-CALENDAR, CALENDAR)));
    Some(Facts { nullable: nullable || !inside || !holds, range, holds, stored, ..Facts::unknown() })
}

fn in_micros(range: Range, data_type: &DataType) -> Option<Range> {
    match data_type {
        DataType::Date32 => range.times(Range { lo: DAY, hi: DAY }),
        _ => Some(range),
    }
}

/// The range of a time moved by a literal interval.
fn moved(time: &Total, data_type: &DataType, by: &Total, back: bool) -> Option<Range> {
    let unit = if *data_type == DataType::Date32 { 1.0 } else { DAY };
    time.facts.range?.plus(span(by, back)?.times(Range { lo: unit, hi: unit })?)
}

/// The days of a literal interval. A month has 28 to 31.
fn span(by: &Total, back: bool) -> Option<Range> {
    let Expr::Literal(value, _) = &by.expr else { return None };
    let (months, days, nanos) = match value {
        ScalarValue::IntervalMonthDayNano(Some(v)) => (v.months, v.days, v.nanoseconds),
        ScalarValue::IntervalYearMonth(Some(months)) => (*months, 0, 0),
        ScalarValue::IntervalDayTime(Some(v)) => (0, v.days, i64::from(v.milliseconds).checked_mul(1_000_000)?),
        _ => return None,
    };
    let months = f64::from(months);
    let shortest = (months * 28.0).min(months * 31.0);
    let longest = (months * 28.0).max(months * 31.0);
    let rest = f64::from(days) + super::facts::to_f64(nanos) / 1000.0 / DAY;
    // Dates move by whole days; a day more on both sides covers every rounding.
    let days = Range::new((shortest + rest).floor() - 1.0, (longest + rest).ceil() + 1.0)?;
    Some(if back { days.negated() } else { days })
}
