//! What is known of what a scalar function makes of a person's values, and what must be literal in its call?

use std::sync::Arc;

use chrono::format::{Fixed, Item, StrftimeItems};
use datafusion::{
    arrow::datatypes::DataType,
    common::{
        ScalarValue,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        BinaryExpr, Case, Expr, Operator, ScalarUDF,
        expr::{Like, ScalarFunction},
        lit,
    },
};

use super::{
    expression::{Total, not_least, refused, short_enough, union},
    facts::{Facts, PLAIN_BYTES, is_text, number, text_of, whole},
    group_keys::constant,
    guarded::guarded,
    range::Range,
    settled::{Verdict, settled},
};
use crate::{sql::PADDED_MAX, terms::Refusal};

/// The units that the engine truncates to; on any other it fails as soon as there is a row.
const TRUNCATED_TO: [&str; 10] =
    ["microsecond", "millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year"];

/// A call of an allowed function with total arguments.
pub(super) fn total(function: &Arc<ScalarUDF>, mut arguments: Vec<(Total, DataType)>) -> Result<Total, Refusal> {
    let name = function.name();
    // Of one value it is that value.
    if name == "coalesce"
        && arguments.len() == 1
        && let Some((only, _)) = arguments.pop()
    {
        return Ok(only);
    }
    let line = settled(name).ok_or_else(|| refused(name, "it is not settled for persons' rows"))?;
    if line.verdict == Verdict::Refused {
        return Err(refused(name, line.note));
    }
    only_literals(name, &arguments)?;
    let call = Call { name, arguments: &arguments };
    let known = call.facts()?;
    // The engine's own function is kept where it cannot fail on these times: the optimiser knows it. Truncation goes by
    // nanoseconds, which end in 1677 and in 2262: what an interval has moved further out fails there.
    let total_on_times = matches!(name, "date_part" | "date_trunc") && call.near(1);
    let known = Facts { nullable: known.nullable || (line.verdict == Verdict::Guarded && !total_on_times), ..known };
    let function = match line.verdict == Verdict::Total || total_on_times {
        true => Arc::clone(function),
        false => guarded(function),
    };
    short_where_doubled(name, &arguments)?;
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
    // The place before the first is counted from there: none is before the least integer.
    let start = |(a, _): &(Total, DataType)| matches!(&a.expr, Expr::Literal(value, _) if number(value).is_some_and(|n| n < -1e15));
    if name == "substr" && arguments.get(1).is_some_and(start) {
        return Err(refused(name, "start at 1, or a few places before it"));
    }
    let flags = |index: usize| arguments.get(index).and_then(|(a, _)| text_of(&a.expr));
    let iterates = match name {
        "regexp_count" | "regexp_instr" => true,
        "regexp_replace" => flags(3).is_some_and(|flags| flags.contains('g')),
        _ => false,
    };
    if iterates && arguments.first().is_some_and(|(a, _)| a.facts.text_bytes > ITERATED_BYTES_MAX) {
        return Err(refused(name, "its text has at most 256 bytes, four for each character: write left(x, 64)"));
    }
    if name.starts_with("regexp_") {
        arguments.first().map_or(Ok(()), |(a, _)| searchable(name, &a.facts))?;
        let pattern = arguments.get(1).map(|(a, _)| a.expr.clone());
        if !pattern.is_some_and(|pattern| pattern_compiles(&pattern)) {
            return Err(refused(name, "this pattern is no regular expression"));
        }
    }
    Ok(())
}

/// A regular expression that goes on after each match takes time with the square of the text.
const ITERATED_BYTES_MAX: u64 = 256;

/// The most bytes of a text in which a regular expression is looked for.
const SEARCHED_BYTES_MAX: u64 = 1024;

/// The most that counted repetitions of a pattern, such as {30}, may come to, each inside the others: a pattern is searched for
/// in time with its size, and each of these makes it so many times larger.
const REPEATED_MAX: u64 = 64;

/// Refuses the search of a long text.
pub(super) fn searchable(name: &str, facts: &Facts) -> Result<(), Refusal> {
    match facts.text_bytes > SEARCHED_BYTES_MAX {
        true => Err(refused(name, "its text has at most 1,024 bytes, four for each character: write left(x, 256)")),
        false => Ok(()),
    }
}

/// All counts of counted repetitions, multiplied.
fn repeated(pattern: &str) -> u64 {
    let counts = pattern.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let largest = |(counts, _): (&str, &str)| counts.split(',').filter_map(|n| n.trim().parse::<u64>().ok()).max();
    counts.filter_map(largest).fold(1, |all, count| all.saturating_mul(count.max(1)))
}

/// The same where classes of thousands of characters stand in the pattern, each of which is a large pattern itself.
const REPEATED_CLASSES_MAX: u64 = 8;

fn repeated_max(pattern: &str) -> u64 {
    let large = ["\\w", "\\W", "\\p", "\\P", "\\S", "\\D"];
    if large.iter().any(|class| pattern.contains(class)) { REPEATED_CLASSES_MAX } else { REPEATED_MAX }
}

/// The most bytes of a pattern.
const PATTERN_BYTES_MAX: usize = 1024;

/// Whether the engine takes a literal as a regular expression, with and without regard to case; found by matching it
/// with the empty text.
pub(super) fn pattern_compiles(pattern: &Expr) -> bool {
    let matches = |op: Operator| {
        let matched = BinaryExpr::new(Box::new(lit("")), op, Box::new(pattern.clone()));
        constant(&Expr::BinaryExpr(matched)).is_some()
    };
    match pattern {
        Expr::Literal(value, _) if value.is_null() => true,
        Expr::Literal(ScalarValue::Utf8(Some(text)), _)
            if text.len() <= PATTERN_BYTES_MAX && repeated(text) <= repeated_max(text) =>
        {
            matches(Operator::RegexMatch) && matches(Operator::RegexIMatch)
        }
        _ => false,
    }
}

/// Whether the engine takes the literal of `x LIKE literal`: it makes a regular expression of it, which may get too large.
pub(super) fn like_compiles(like: &Like) -> bool {
    let Expr::Literal(pattern, _) = like.pattern.as_ref() else { return false };
    if pattern.is_null() {
        return true;
    }
    let short = text_of(&like.pattern).is_some_and(|text| text.len() <= PATTERN_BYTES_MAX);
    let Ok(empty) = ScalarValue::Utf8(Some(String::new())).cast_to(&pattern.data_type()) else { return false };
    short && constant(&Expr::Like(Like { expr: Box::new(Expr::Literal(empty, None)), ..like.clone() })).is_some()
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
        self.arguments.get(index).and_then(|(a, _)| text_of(&a.expr))
    }

    /// Whether what is made of a date can tell months, weeks or days of a year apart.
    fn tells_within_a_year(&self) -> bool {
        let year = |unit: &str| matches!(unit.to_ascii_lowercase().as_str(), "year" | "isoyear");
        match self.name {
            "date_part" | "date_trunc" => self.text(0).is_none_or(|unit| !year(unit)),
            "to_char" => self.text(1).is_none_or(|format| format.replace("%Y", "").contains('%')),
            _ => true,
        }
    }

    /// The most bytes of an argument as a text.
    fn bytes(&self, index: usize) -> u64 {
        match self.arguments.get(index) {
            Some((a, data_type)) if is_text(data_type) => a.facts.text_bytes,
            Some(_) => PLAIN_BYTES,
            None => 0,
        }
    }

    /// Of all arguments from `from` together.
    fn bytes_from(&self, from: usize) -> u64 {
        (from..self.arguments.len()).fold(0, |sum: u64, index| sum.saturating_add(self.bytes(index)))
    }

    /// The most bytes of what `lpad`, `left` and their kin cut at so many characters.
    fn cut(&self, length: usize) -> Option<u64> {
        let characters = self.literal(length).filter(|n| (0.0..=9e15).contains(n)).and_then(whole)?;
        u64::try_from(characters).ok().map(|n| n.saturating_mul(4))
    }

    /// The most bytes of a text in which others were replaced.
    fn replaced(&self) -> u64 {
        let length = |text: &str| u64::try_from(text.len()).unwrap_or(u64::MAX);
        let (bytes, to) = (self.bytes(0), self.text(2).unwrap_or_default());
        let places = bytes.saturating_add(1);
        if self.name == "replace" {
            return match self.text(1).map_or(0, length) {
                0 => bytes.saturating_add(places.saturating_mul(length(to))),
                from => bytes.saturating_mul(length(to).div_ceil(from).max(1)),
            };
        }
        // Each `\1` or `$1` repeats what was matched.
        let repeats = to.chars().filter(|c| matches!(c, '\\' | '$')).count();
        let repeated = bytes.saturating_mul(u64::try_from(repeats).unwrap_or(u64::MAX));
        let all = self.text(3).is_some_and(|flags| flags.contains('g'));
        let written = length(to).saturating_mul(if all { places } else { 1 });
        bytes.saturating_add(repeated).saturating_add(written)
    }

    /// Whether a time lies where every part and truncation of it exists, on all rows.
    fn near(&self, index: usize) -> bool {
        let Some((time, data_type)) = self.arguments.get(index) else { return false };
        let most = match data_type {
            DataType::Date32 => NEAR / DAY,
            DataType::Timestamp(_, None) => NEAR,
            _ => return false,
        };
        time.facts.holds && time.facts.range.is_some_and(|r| r.within(-most, most))
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
        // No function but those below gives a text that is longer than its longest argument.
        let longest = (0..self.arguments.len()).map(|index| self.bytes(index)).max().unwrap_or(0);
        let calendar = facts.iter().any(|f| f.calendar) && self.tells_within_a_year();
        let plain = Facts { fixed, nullable, holds, text_bytes: longest, calendar, ..Facts::unknown() };
        let failing = Facts { nullable: true, ..plain.clone() };
        let range = |i: usize| self.range(i);
        let rising = |f: fn(f64) -> f64| range(0).and_then(|r| r.map(f));
        let of_bytes = |bytes: u64| short_enough(bytes).map(|text_bytes| Facts { text_bytes, ..failing.clone() });
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
            // A letter in lower case may have half its bytes again, one in upper case three times as many.
            "lower" => of_bytes(longest.saturating_mul(3).div_ceil(2))?,
            "upper" | "initcap" => of_bytes(longest.saturating_mul(3))?,
            "left" | "right" => {
                Facts { text_bytes: self.cut(1).map_or(self.bytes(0), |cut| cut.min(self.bytes(0))), ..failing }
            }
            "substr" => {
                Facts { text_bytes: self.cut(2).map_or(self.bytes(0), |cut| cut.min(self.bytes(0))), ..failing }
            }
            "concat" => of_bytes(self.bytes_from(0))?,
            "concat_ws" => {
                let between = u64::try_from(self.arguments.len().saturating_sub(2)).unwrap_or(u64::MAX);
                of_bytes(self.bytes_from(1).saturating_add(self.bytes(0).saturating_mul(between)))?
            }
            "overlay" => of_bytes(self.bytes(0).saturating_add(self.bytes(1)))?,
            "replace" | "regexp_replace" => of_bytes(self.replaced())?,
            "translate" => {
                let wider = if self.text(2).is_some_and(|to| !to.is_ascii()) { 4 } else { 1 };
                of_bytes(self.bytes(0).saturating_mul(wider))?
            }
            "to_char" => {
                let format = self.text(1).ok_or_else(|| refused(self.name, "write the format as a literal"))?;
                if !formats(format) {
                    return Err(refused(self.name, "this format is none, or asks for a time zone"));
                }
                let fields = format.bytes().filter(|byte| *byte == b'%').count();
                // Forty for each field, and a difference of times without any.
                let bytes = format.len().saturating_add(fields.saturating_mul(40)).saturating_add(120);
                of_bytes(u64::try_from(bytes).unwrap_or(u64::MAX))?
            }
            "lpad" | "rpad" => {
                let length = self.literal(1).filter(|n| (0.0..=f64::from(PADDED_MAX)).contains(n));
                length.ok_or_else(|| refused(self.name, "pad to a literal length of at most 1024"))?;
                of_bytes(self.cut(1).unwrap_or(u64::MAX))?
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
            "date_trunc"
                if !self.text(0).is_some_and(|unit| TRUNCATED_TO.contains(&unit.to_ascii_lowercase().as_str())) =>
            {
                let hint =
                    "truncate to microsecond, millisecond, second, minute, hour, day, week, month, quarter or year";
                return Err(refused("date_trunc", hint));
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

/// Whether a stored time has all fields of a format; on one that it has not, every row would fail and be NULL.
fn formats(format: &str) -> bool {
    StrftimeItems::new(format).all(|item| {
        !matches!(
            item,
            Item::Error
                | Item::Fixed(
                    Fixed::TimezoneName
                        | Fixed::TimezoneOffset
                        | Fixed::TimezoneOffsetZ
                        | Fixed::TimezoneOffsetColon
                        | Fixed::TimezoneOffsetColonZ
                        | Fixed::TimezoneOffsetDoubleColon
                        | Fixed::TimezoneOffsetTripleColon
                        | Fixed::RFC2822
                        | Fixed::RFC3339
                )
        )
    })
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

/// What stands there twice, before it fails and where it does not, is short: nested, it would double at every level.
fn short_where_doubled(name: &str, arguments: &[(Total, DataType)]) -> Result<(), Refusal> {
    let mut nodes = 0_usize;
    for (argument, _) in arguments.iter().filter(|_| matches!(name, "abs" | "sqrt" | "ln" | "log10" | "log2")) {
        let _ = argument.expr.apply(|_| {
            nodes += 1;
            Ok(if nodes > DOUBLED_MAX { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
    }
    match nodes <= DOUBLED_MAX {
        true => Ok(()),
        false => Err(Refusal::TooComplex { limit: "roots and logarithms of shorter expressions".to_owned() }),
    }
}

/// The nodes of what a root or a logarithm is taken of.
const DOUBLED_MAX: usize = 512;

fn not_negative(arguments: &[(Total, DataType)], index: usize) -> bool {
    match arguments.get(index).map(|(a, _)| &a.expr) {
        Some(Expr::Literal(value, _)) => number(value).is_some_and(|n| n >= 0.0),
        _ => false,
    }
}
