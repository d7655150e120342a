//! Which calendar or series does a WITH RECURSIVE count out?

use chrono::{Days, NaiveDate};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Cte, DataType, Expr, Query, Select, SelectItem, SetExpr, SetOperator, SetQuantifier, TableFactor,
};

use super::{
    bare,
    items::expression,
    relations::{day, interval, stepped},
    whole,
};
use crate::terms::Refusal;

/// As many values as a list may have.
const VALUES_MAX: usize = 4096;

/// Each WITH RECURSIVE that begins with a literal, adds a literal and ends at a literal becomes the list of its values; says
/// how many bytes were written.
///
/// # Errors
/// [`Refusal`] for any other that reads itself.
pub(super) fn written_out(query: &mut Query) -> Result<usize, Refusal> {
    let Some(with) = query.with.as_mut().filter(|with| with.recursive) else { return Ok(0) };
    let mut written = 0_usize;
    for cte in &mut with.cte_tables {
        if !reads(&cte.query, &cte.alias.name.value) {
            continue;
        }
        let text = counted(cte);
        written = written.saturating_add(text.as_ref().map_or(0, String::len));
        let values = text.and_then(|text| super::parsed_query(&text));
        let hint = "list days and numbers with generate_series, and ancestors with concept_ancestor".to_owned();
        let refused = Refusal::FunctionNotAllowed { name: "WITH RECURSIVE".to_owned(), hint };
        *cte.query = values.ok_or(refused)?;
    }
    with.recursive = false;
    Ok(written)
}

/// Whether the second part of a UNION reads `name`.
fn reads(query: &Query, name: &str) -> bool {
    let SetExpr::SetOperation { right, .. } = query.body.as_ref() else { return false };
    let text = right.to_string().to_ascii_lowercase();
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name.to_ascii_lowercase())
}

#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum At {
    Number(i64),
    Day(NaiveDate),
}

enum Step {
    Number(i64),
    /// So many of a unit.
    Interval((u32, String)),
}

fn counted(cte: &Cte) -> Option<String> {
    let SetExpr::SetOperation { op: SetOperator::Union, set_quantifier, left, right } = cte.query.body.as_ref() else {
        return None;
    };
    let (SetQuantifier::All | SetQuantifier::None, SetExpr::Select(left), SetExpr::Select(right)) =
        (set_quantifier, left.as_ref(), right.as_ref())
    else {
        return None;
    };
    let ([first], [next], []) = (left.projection.as_slice(), right.projection.as_slice(), left.from.as_slice()) else {
        return None;
    };
    let column = match (cte.alias.columns.as_slice(), first) {
        ([column], _) => column.name.value.clone(),
        ([], SelectItem::ExprWithAlias { alias, .. }) => alias.value.clone(),
        _ => return None,
    };
    if !of_itself(right, &cte.alias.name.value) {
        return None;
    }
    let (first, next) = (at(expression(first)?)?, expression(next)?);
    let next = |from: At| moved(next, &column, from);
    let condition = right.selection.as_ref()?;
    let (mut values, mut here) = (vec![first], first);
    while holds(condition, &column, here)? {
        here = next(here).filter(|next| *next > here)?;
        values.push(here);
        if values.len() > VALUES_MAX {
            return None;
        }
    }
    let shown = values.into_iter().map(|value| match value {
        At::Number(number) => format!("({number})"),
        At::Day(day) => format!("(DATE '{day}')"),
    });
    let column = format!("\"{}\"", column.replace('"', "\"\""));
    let list = shown.collect::<Vec<_>>().join(", ");
    Some(format!("SELECT __sekisho_list.v AS {column} FROM (VALUES {list}) AS __sekisho_list (v)"))
}

/// Whether it reads the list alone, and does no more than to move and to end.
fn of_itself(select: &Select, name: &str) -> bool {
    let [from] = select.from.as_slice() else { return false };
    let TableFactor::Table { name: read, args: None, .. } = &from.relation else { return false };
    from.joins.is_empty() && read.to_string().eq_ignore_ascii_case(name) && select.having.is_none()
}

fn at(expr: &Expr) -> Option<At> {
    whole(bare(expr)).map(At::Number).or_else(|| day(expr).map(At::Day))
}

fn is_column(expr: &Expr, column: &str) -> bool {
    match bare(expr) {
        Expr::Identifier(name) => name.value.eq_ignore_ascii_case(column),
        Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|name| name.value.eq_ignore_ascii_case(column)),
        _ => false,
    }
}

/// The column, or what is added to it, at `here`.
fn moved(expr: &Expr, column: &str, here: At) -> Option<At> {
    match bare(expr) {
        expr if is_column(expr, column) => Some(here),
        Expr::Cast { expr, data_type: DataType::Date | DataType::Timestamp(..) | DataType::BigInt(_), .. } => {
            moved(expr, column, here)
        }
        Expr::BinaryOp { left, op: BinaryOperator::Plus, right } => {
            let (from, by) = (moved(left, column, here)?, step(bare(right))?);
            match (from, by) {
                (At::Number(n), Step::Number(by)) => Some(At::Number(n.checked_add(by)?)),
                (At::Day(day), Step::Number(by)) => {
                    Some(At::Day(day.checked_add_days(Days::new(by.try_into().ok()?))?))
                }
                (At::Day(day), Step::Interval((number, unit))) => Some(At::Day(stepped(day, number, &unit)?)),
                (At::Number(_), _) => None,
            }
        }
        _ => None,
    }
}

fn step(expr: &Expr) -> Option<Step> {
    if let Some(number) = whole(expr) {
        return Some(Step::Number(number));
    }
    Some(Step::Interval(interval(expr)?))
}

/// Whether the list goes on behind `here`.
fn holds(condition: &Expr, column: &str, here: At) -> Option<bool> {
    let Expr::BinaryOp { left, op, right } = bare(condition) else { return None };
    let (value, end) = (moved(left, column, here)?, at(right)?);
    match (value, end) {
        (At::Number(_), At::Day(_)) | (At::Day(_), At::Number(_)) => None,
        _ => match op {
            BinaryOperator::Lt => Some(value < end),
            BinaryOperator::LtEq => Some(value <= end),
            _ => None,
        },
    }
}
