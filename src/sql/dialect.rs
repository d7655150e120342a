//! Which ways of writing does the engine lack that PostgreSQL or SQL Server have?
//!
//! They become expressions that it has, before anything is planned: so what may be done with them, and between which
//! bounds they lie, is known as for any other. AGE exists inside EXTRACT of years and months alone, where it is a count.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{
        BinaryOperator, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Statement,
        Value, visit_expressions_mut,
    },
    dialect::PostgreSqlDialect,
    parser::Parser,
};

/// Names of functions that the engine has under another one.
pub(super) const ALIASES: [(&str, &str); 3] = [("ceiling", "ceil"), ("sign", "signum"), ("len", "character_length")];

/// Longer expressions stay as they are: each rewrite repeats its arguments.
const TEXT_MAX: usize = 8192;

/// `statement` in the engine's own words.
pub(super) fn spoken(mut statement: Statement) -> Statement {
    let _ = visit_expressions_mut(&mut statement, |expr| {
        if let Some(other) = rewritten(expr) {
            *expr = other;
        }
        ControlFlow::<()>::Continue(())
    });
    statement
}

fn rewritten(expr: &Expr) -> Option<Expr> {
    let text = match expr {
        Expr::Function(call) => match (name(call)?.as_str(), arguments(call)?.as_slice()) {
            ("datediff" | "date_diff", [unit, from, to]) => difference(&unit_of(unit)?, from, to)?,
            ("datediff" | "date_diff", [later, earlier]) => days(later, earlier),
            ("dateadd" | "date_add", [unit, count, date]) => {
                format!("({date} + INTERVAL '{} {}')", whole(count)?, unit_of(unit)?)
            }
            ("date_part", [unit, of]) => parts(&unit_of(unit)?, of)?,
            _ => return None,
        },
        Expr::Extract { field, expr, .. } => match field {
            DateTimeField::Year | DateTimeField::Years => parts("year", expr)?,
            DateTimeField::Month | DateTimeField::Months => parts("month", expr)?,
            _ => return None,
        },
        Expr::BinaryOp { left, op: BinaryOperator::Multiply, right } => {
            times(left, right).or_else(|| times(right, left))?
        }
        _ => return None,
    };
    if text.len() > TEXT_MAX {
        return None;
    }
    Parser::new(&PostgreSqlDialect {}).try_with_sql(&text).ok()?.parse_expr().ok()
}

fn name(call: &Function) -> Option<String> {
    match call.name.0.as_slice() {
        [part] if call.over.is_none() && call.filter.is_none() => part.as_ident().map(|i| i.value.to_ascii_lowercase()),
        _ => None,
    }
}

fn arguments(call: &Function) -> Option<Vec<&Expr>> {
    let FunctionArguments::List(list) = &call.args else { return None };
    let plain = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    plain.collect()
}

/// `day`, written bare or as a text.
fn unit_of(expr: &Expr) -> Option<String> {
    let unit = match expr {
        Expr::Identifier(word) => word.value.to_ascii_lowercase(),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => text.to_ascii_lowercase(),
            _ => return None,
        },
        _ => return None,
    };
    let unit = unit.trim_end_matches('s');
    matches!(unit, "day" | "week" | "month" | "year").then(|| unit.to_owned())
}

fn days(later: &Expr, earlier: &Expr) -> String {
    format!("(CAST({later} AS DATE) - CAST({earlier} AS DATE))")
}

/// How many borders of `unit` lie between two dates, as SQL Server counts; weeks are seven days.
fn difference(unit: &str, from: &Expr, to: &Expr) -> Option<String> {
    let part = |unit: &str, of: &Expr| format!("EXTRACT({unit} FROM {of})");
    let years = || format!("({} - {})", part("YEAR", to), part("YEAR", from));
    match unit {
        "day" => Some(days(to, from)),
        "week" => Some(format!("({} / 7)", days(to, from))),
        "year" => Some(years()),
        "month" => Some(format!("({} * 12 + {} - {})", years(), part("MONTH", to), part("MONTH", from))),
        _ => None,
    }
}

/// Years or months of AGE(later, earlier): full ones, negative where the first lies before the second.
fn parts(unit: &str, of: &Expr) -> Option<String> {
    let Expr::Function(call) = of else { return None };
    if name(call)? != "age" {
        return None;
    }
    let (later, earlier) = match arguments(call)?.as_slice() {
        [later, earlier] => (later.to_string(), earlier.to_string()),
        [earlier] => ("current_date".to_owned(), earlier.to_string()),
        _ => return None,
    };
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
            full(&later, &earlier),
            full(&earlier, &later)
        )),
        _ => None,
    }
}

/// `3 * INTERVAL '30 days'` as one literal.
fn times(count: &Expr, interval: &Expr) -> Option<String> {
    let Expr::Interval(interval) = interval else { return None };
    let count = whole(count)?;
    let Expr::Value(value) = interval.value.as_ref() else { return None };
    let text = match &value.value {
        Value::SingleQuotedString(text) => text.clone(),
        Value::Number(number, _) => number.clone(),
        _ => return None,
    };
    let text = match &interval.leading_field {
        Some(field) => format!("{text} {field}"),
        None => text,
    };
    let (number, unit) = text.trim().split_once(' ')?;
    let total = number.parse::<i64>().ok()?.checked_mul(count)?;
    let unit = unit.trim();
    unit.chars().all(|c| c.is_ascii_alphabetic()).then(|| format!("INTERVAL '{total} {unit}'"))
}

/// A whole number as it is written.
fn whole(expr: &Expr) -> Option<i64> {
    expr.to_string().replace(' ', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Call, Limits, parse};

    fn spoken_of(expr: &str) -> String {
        match parse(&format!("SELECT {expr}"), &Limits::default()) {
            Ok(Call::Ask(statement)) => spoken(*statement).to_string().replacen("SELECT ", "", 1),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_other_engines_say_becomes_what_this_one_says() {
        for (written, meant) in [
            ("DATEDIFF(day, a, b)", "(CAST(b AS DATE) - CAST(a AS DATE))"),
            ("datediff('days', a, b)", "(CAST(b AS DATE) - CAST(a AS DATE))"),
            ("datediff(a, b)", "(CAST(a AS DATE) - CAST(b AS DATE))"),
            ("datediff(year, a, b)", "(EXTRACT(YEAR FROM b) - EXTRACT(YEAR FROM a))"),
            ("dateadd(month, -3, a)", "(a + INTERVAL '-3 month')"),
            ("a + 2 * INTERVAL '30 days'", "a + INTERVAL '60 days'"),
            ("a + INTERVAL '1' DAY * 14", "a + INTERVAL '14 DAY'"),
        ] {
            assert_eq!(spoken_of(written), meant);
        }
    }

    #[test]
    fn the_years_of_an_age_are_full_years() {
        let years = spoken_of("EXTRACT(YEAR FROM AGE(a, b))");
        assert!(years.starts_with("(CASE WHEN a >= b THEN (EXTRACT(YEAR FROM a)"), "{years}");
        assert_eq!(spoken_of("date_part('year', age(a, b))"), years);
        assert!(spoken_of("extract(month from age(b))").contains("% 12"));
    }

    #[test]
    fn everything_else_stays_as_it_was_written() {
        for same in [
            "f(a, b)",
            "a * b",
            "EXTRACT(YEAR FROM a)",
            "AGE(a, b)",
            "datediff(hour, a, b)",
            "a + n * INTERVAL '1 day'",
        ] {
            assert_eq!(spoken_of(same), same);
        }
    }
}
