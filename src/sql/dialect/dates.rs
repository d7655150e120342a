//! How do other engines write days, months and ages?

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, DateTimeField, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Interval,
    Statement, visit_expressions_mut,
};

use super::{arguments, bare, name, text_of, whole};

/// A unit of dates, written bare or as a text, in whatever engine's abbreviation.
pub(super) fn unit_of(expr: &Expr) -> Option<&'static str> {
    let unit = match expr {
        Expr::Identifier(word) => word.value.to_ascii_lowercase(),
        other => text_of(other)?.to_ascii_lowercase(),
    };
    named(&unit)
}

fn named(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "d" | "dd" | "day" | "days" => "day",
        "wk" | "ww" | "week" | "weeks" => "week",
        "m" | "mm" | "mon" | "month" | "months" => "month",
        "q" | "qq" | "quarter" | "quarters" => "quarter",
        "y" | "yy" | "yyyy" | "year" | "years" => "year",
        _ => return None,
    })
}

pub(super) fn days(later: &Expr, earlier: &Expr) -> String {
    format!("(CAST({} AS DATE) - CAST({} AS DATE))", dated(later), dated(earlier))
}

/// A quoted day as a day; anything else as it stands.
fn dated(expr: &Expr) -> String {
    let read = |format: &str| {
        let text = text_of(bare(expr))?;
        Some(format!("DATE '{}'", chrono::NaiveDate::parse_from_str(text, format).ok()?))
    };
    read("%Y-%m-%d").or_else(|| read("%Y%m%d")).unwrap_or_else(|| expr.to_string())
}

/// How many borders of `unit` lie between two dates, as SQL Server counts: weeks begin on Sunday.
pub(super) fn difference(unit: &str, from: &Expr, to: &Expr) -> Option<String> {
    let part = |unit: &str, of: &Expr| format!("EXTRACT({unit} FROM {})", dated(of));
    // The week of the next day begins on Monday where that of the day begins on Sunday.
    let week = |of: &Expr| format!("CAST(date_trunc('week', CAST({} AS DATE) + 1) AS DATE)", dated(of));
    let years = || format!("({} - {})", part("YEAR", to), part("YEAR", from));
    match unit {
        "day" => Some(days(to, from)),
        "week" => Some(format!("(({} - {}) / 7)", week(to), week(from))),
        "year" => Some(years()),
        "quarter" => Some(format!("({} * 4 + {} - {})", years(), part("QUARTER", to), part("QUARTER", from))),
        "month" => Some(format!("({} * 12 + {} - {})", years(), part("MONTH", to), part("MONTH", from))),
        _ => None,
    }
}

/// `date` moved by `count` units: a literal interval where the count is one, else days.
pub(super) fn moved(unit: &str, count: &Expr, date: &Expr) -> Option<String> {
    let date = dated(date);
    match (whole(bare(count)), unit) {
        (Some(count), "quarter") => Some(format!("({date} + INTERVAL '{} month')", count.checked_mul(3)?)),
        (Some(count), _) => Some(format!("({date} + INTERVAL '{count} {unit}')")),
        (None, "day") => Some(format!("({date} + ({count}))")),
        (None, "week") => Some(format!("({date} + ({count}) * 7)")),
        _ => None,
    }
}

/// `EXTRACT(field FROM expr)` where `expr` is an AGE, or in the words of BigQuery.
pub(super) fn extracted(field: &DateTimeField, expr: &Expr) -> Option<String> {
    match field {
        DateTimeField::IsoWeek => Some(format!("EXTRACT(WEEK FROM {expr})")),
        DateTimeField::DayOfYear => Some(format!("EXTRACT(DOY FROM {expr})")),
        DateTimeField::Year | DateTimeField::Years => of_age("year", expr),
        DateTimeField::Month | DateTimeField::Months => of_age("month", expr),
        DateTimeField::Epoch => of_difference("epoch", expr),
        DateTimeField::Day | DateTimeField::Days => of_difference("day", expr),
        _ => None,
    }
}

/// Days or seconds of the time between two dates or instants: `EXTRACT(EPOCH FROM (later - earlier))`, of which the engine
/// would take two dates for a number.
pub(super) fn of_difference(unit: &str, of: &Expr) -> Option<String> {
    let Expr::BinaryOp { left, op: BinaryOperator::Minus, right } = bare(of) else { return None };
    let moves = |e: &Expr| matches!(e, Expr::Interval(_) | Expr::Value(_) | Expr::BinaryOp { .. });
    let instant = |e: &Expr| {
        matches!(e, Expr::Cast { data_type: DataType::Timestamp(..) | DataType::Datetime(_), .. })
            || matches!(e, Expr::TypedString(_))
    };
    let (later, earlier) = (bare(left), bare(right));
    // What moves a date is an interval or a number of days; a date that is moved itself stands in brackets.
    let moved = matches!(right.as_ref(), Expr::Nested(_)) && matches!(earlier, Expr::BinaryOp { .. });
    if (moves(earlier) && !moved) || (instant(later) && instant(earlier)) {
        return None;
    }
    // Of a number there is no sum with an interval: it would be read as an instant.
    let instant = |of: &Expr| format!("CAST(({of}) + INTERVAL '0 day' AS TIMESTAMP(6))");
    Some(format!("EXTRACT({unit} FROM {} - {})", instant(later), instant(earlier)))
}

/// Years or months of AGE(later, earlier): full ones, negative where the first lies before the second.
pub(super) fn of_age(unit: &str, of: &Expr) -> Option<String> {
    let Expr::Function(call) = bare(of) else { return None };
    if name(call)? != "age" {
        return None;
    }
    match arguments(call)?.as_slice() {
        [later, earlier] => full(unit, &later.to_string(), &earlier.to_string()),
        [earlier] => full(unit, "current_date", &earlier.to_string()),
        _ => None,
    }
}

/// Full years, or the full months beyond them, from `earlier` to `later`.
pub(super) fn full(unit: &str, later: &str, earlier: &str) -> Option<String> {
    let full = |a: &str, b: &str| match unit {
        "year" => format!(
            "(EXTRACT(YEAR FROM {a}) - EXTRACT(YEAR FROM {b}) - CASE WHEN EXTRACT(MONTH FROM {a}) * 100 + \
             EXTRACT(DAY FROM {a}) < EXTRACT(MONTH FROM {b}) * 100 + EXTRACT(DAY FROM {b}) THEN 1 ELSE 0 END)"
        ),
        _ => format!(
            "(((EXTRACT(YEAR FROM {a}) - EXTRACT(YEAR FROM {b})) * 12 + EXTRACT(MONTH FROM {a}) - EXTRACT(MONTH FROM {b}) - \
             CASE WHEN EXTRACT(DAY FROM {a}) < EXTRACT(DAY FROM {b}) THEN 1 ELSE 0 END) % 12)"
        ),
    };
    match unit {
        "year" | "month" => Some(format!(
            "(CASE WHEN {later} >= {earlier} THEN {} ELSE -{} END)",
            full(later, earlier),
            full(earlier, later)
        )),
        _ => None,
    }
}

/// Months between two dates with the rest in thirty-firsts of a month; whole between equal days and between last days,
/// as Oracle counts.
pub(super) fn months_between(later: &Expr, earlier: &Expr) -> String {
    let day = |of: &Expr| format!("EXTRACT(DAY FROM {of})");
    let last = |of: &Expr| format!("EXTRACT(DAY FROM (CAST({of} AS DATE) + INTERVAL '1 day')) = 1");
    format!(
        "((EXTRACT(YEAR FROM {later}) - EXTRACT(YEAR FROM {earlier})) * 12 + EXTRACT(MONTH FROM {later}) - \
         EXTRACT(MONTH FROM {earlier}) + CASE WHEN {} AND {} THEN 0.0 ELSE ({} - {}) / 31.0 END)",
        last(later),
        last(earlier),
        day(later),
        day(earlier),
    )
}

/// `TO_DATE(TO_CHAR(y, '0000FM') || '-' || TO_CHAR(m, '00FM') || '-' || TO_CHAR(d, '00FM'), 'YYYY-MM-DD')`: a day of three numbers, as
/// OHDSI's SQL has it for PostgreSQL.
pub(super) fn of_numbers(expr: &Expr) -> Option<String> {
    let Expr::Function(call) = expr else { return None };
    let of = arguments(call).filter(|_| name(call).is_some_and(|name| name == "to_date"))?;
    let [text, format] = of.as_slice() else { return None };
    text_of(format)?.eq_ignore_ascii_case("YYYY-MM-DD").then_some(())?;
    let mut parts = vec![];
    joined(text, &mut parts);
    let [year, first, month, second, day] = parts.as_slice() else { return None };
    let dashes = [first, second].iter().all(|dash| text_of(dash) == Some("-"));
    let (year, month, day) = (padded(year)?, padded(month)?, padded(day)?);
    dashes.then(|| format!("make_date(CAST({year} AS INT), CAST({month} AS INT), CAST({day} AS INT))"))
}

/// The texts that `||` puts one behind the other.
fn joined<'a>(expr: &'a Expr, parts: &mut Vec<&'a Expr>) {
    match bare(expr) {
        Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } => {
            joined(left, parts);
            joined(right, parts);
        }
        other => parts.push(other),
    }
}

/// The number that TO_CHAR fills up with zeros, to four digits or two.
fn padded(expr: &Expr) -> Option<&Expr> {
    let Expr::Function(call) = expr else { return None };
    let of = arguments(call).filter(|_| name(call).is_some_and(|name| name == "to_char"))?;
    let [number, format] = of.as_slice() else { return None };
    ["0000FM", "00FM", "FM0000", "FM00"].contains(&text_of(format)?.to_ascii_uppercase().as_str()).then_some(*number)
}

/// The last day of the month of `date`.
pub(super) fn end_of_month(date: &Expr) -> String {
    format!("CAST((date_trunc('month', {date}) + INTERVAL '1 month') - INTERVAL '1 day' AS DATE)")
}

/// `statement` in which texts such as '2024-12-31' are days where they stand beside days in COALESCE, GREATEST or LEAST, or one
/// side of a difference. For what could not be planned otherwise: PostgreSQL reads them as whatever stands beside them.
pub(in crate::sql) fn dated_literals(mut statement: Statement) -> Statement {
    let _ = visit_expressions_mut(&mut statement, |expr| {
        let day = |expr: &mut Expr| {
            let day = Some(dated(expr)).filter(|day| day.starts_with("DATE '") && text_of(bare(expr)).is_some());
            if let Some(day) = day.and_then(|day| super::parsed(&day)) {
                *expr = day;
            }
        };
        match expr {
            Expr::BinaryOp { left, op: BinaryOperator::Minus, right } => {
                day(left);
                day(right);
            }
            Expr::Function(call) => {
                let beside = ["coalesce", "greatest", "least", "nullif"];
                if let (true, FunctionArguments::List(list)) =
                    (name(call).is_some_and(|name| beside.contains(&name.as_str())), &mut call.args)
                {
                    for argument in &mut list.args {
                        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument {
                            day(argument);
                        }
                    }
                }
            }
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    });
    statement
}

/// `INTERVAL '1 month - 1 day'` without the blank behind a sign.
pub(super) fn interval(interval: &Interval) -> Option<String> {
    let text = text_of(&interval.value).filter(|text| interval.leading_field.is_none() && text.contains("- "))?;
    Some(format!("INTERVAL '{}'", text.replace("- ", "-")))
}

/// What is multiplied or compared with an interval, or moves a date by a number of units that is no literal.
pub(super) fn arithmetic(left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<String> {
    match op {
        BinaryOperator::Multiply => times(left, right).or_else(|| times(right, left)),
        BinaryOperator::Plus | BinaryOperator::Minus => by_counted(left, op, counted(bare(right))?),
        BinaryOperator::Gt | BinaryOperator::GtEq | BinaryOperator::Lt | BinaryOperator::LtEq => {
            apart(left, right).map(|(later, moved)| format!("({later} {op} {moved})"))
        }
        _ => None,
    }
}

/// `AGE(a, b) >= INTERVAL '18 years'` and `a - b > INTERVAL '30 days'` compare `a` with `b` moved by the interval.
fn apart(left: &Expr, right: &Expr) -> Option<(String, String)> {
    let interval = match bare(right) {
        Expr::Interval(_) => right,
        _ => return None,
    };
    let (later, earlier) = match bare(left) {
        Expr::BinaryOp { left, op: BinaryOperator::Minus, right } if !matches!(bare(right), Expr::Interval(_)) => {
            (left.to_string(), right.to_string())
        }
        Expr::Function(call) if name(call)? == "age" => match arguments(call)?.as_slice() {
            [later, earlier] => (later.to_string(), earlier.to_string()),
            [earlier] => ("current_date".to_owned(), earlier.to_string()),
            _ => return None,
        },
        _ => return None,
    };
    Some((later, format!("({earlier} + {interval})")))
}

/// `3 * INTERVAL '30 days'` as one literal.
fn times(count: &Expr, interval: &Expr) -> Option<String> {
    let Expr::Interval(interval) = bare(interval) else { return None };
    let (number, unit) = written(interval)?;
    let total = number.checked_mul(whole(bare(count))?)?;
    unit.chars().all(|c| c.is_ascii_alphabetic()).then(|| format!("INTERVAL '{total} {unit}'"))
}

/// Number and unit of an interval literal.
fn written(interval: &Interval) -> Option<(i64, String)> {
    let text = match text_of(&interval.value) {
        Some(text) => text.to_owned(),
        None => whole(&interval.value)?.to_string(),
    };
    let text = match &interval.leading_field {
        Some(field) => format!("{text} {field}"),
        None => text,
    };
    let (number, unit) = text.trim().split_once(' ')?;
    Some((number.parse().ok()?, unit.trim().to_owned()))
}

/// How often which unit: of `n * INTERVAL '1 day'`, `make_interval(days => n)` and `(n || ' days')::interval`.
fn counted(expr: &Expr) -> Option<(String, &'static str)> {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::Multiply, right } => {
            let (count, interval) = match (bare(left), bare(right)) {
                (Expr::Interval(interval), _) => (right, interval),
                (_, Expr::Interval(interval)) => (left, interval),
                _ => return None,
            };
            let (number, unit) = written(interval)?;
            let count = if number == 1 { format!("({count})") } else { format!("({count}) * {number}") };
            Some((count, named(&unit.to_ascii_lowercase())?))
        }
        Expr::Function(call) if name(call)? == "make_interval" => {
            let FunctionArguments::List(list) = &call.args else { return None };
            let (unit, count) = match list.args.as_slice() {
                [FunctionArg::Named { name, arg: FunctionArgExpr::Expr(count), .. }] => (name.value.clone(), count),
                [FunctionArg::ExprNamed { name, arg: FunctionArgExpr::Expr(count), .. }] => (name.to_string(), count),
                _ => return None,
            };
            Some((format!("({count})"), named(&unit.to_ascii_lowercase())?))
        }
        Expr::Cast { expr, data_type: DataType::Interval { .. }, .. } => match bare(expr) {
            Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } => {
                // The number as a text is that number.
                let number = match bare(left) {
                    Expr::Cast { expr, data_type: DataType::Text | DataType::Varchar(_), .. } => expr,
                    other => other,
                };
                Some((format!("({number})"), named(&text_of(bare(right))?.trim().to_ascii_lowercase())?))
            }
            _ => None,
        },
        _ => None,
    }
}

/// `date` moved by so many units; by months its day is at most the last of its month. Only a day is moved by months: a time of
/// day would be lost.
fn by_counted(date: &Expr, op: &BinaryOperator, (count, unit): (String, &str)) -> Option<String> {
    let months = match unit {
        "day" => return Some(format!("({date} {op} {count})")),
        "week" => return Some(format!("({date} {op} {count} * 7)")),
        "month" => 1,
        "quarter" => 3,
        _ => 12,
    };
    if !is_day(date) {
        return None;
    }
    let part = |unit: &str| format!("EXTRACT({unit} FROM {date})");
    let month = format!("({} * 12 + {} - 1 {op} {count} * {months})", part("YEAR"), part("MONTH"));
    let first = format!("make_date({month} / 12, {month} % 12 + 1, 1)");
    Some(format!(
        "least({first} + ({} - 1), CAST({first} + INTERVAL '1 month' - INTERVAL '1 day' AS DATE))",
        part("DAY")
    ))
}

/// Whether an expression is a day by its looks.
fn is_day(expr: &Expr) -> bool {
    match bare(expr) {
        Expr::TypedString(typed) => typed.data_type == DataType::Date,
        Expr::Cast { data_type, .. } => *data_type == DataType::Date,
        Expr::Identifier(name) => name.value.to_ascii_lowercase().ends_with("date"),
        Expr::CompoundIdentifier(parts) => {
            parts.last().is_some_and(|name| name.value.to_ascii_lowercase().ends_with("date"))
        }
        Expr::Function(call) => {
            matches!(name(call).as_deref(), Some("make_date" | "current_date" | "min" | "max"))
                && arguments(call).is_none_or(|of| of.iter().all(|of| whole(of).is_some() || is_day(of)))
        }
        _ => false,
    }
}
