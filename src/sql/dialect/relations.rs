//! How do other engines write lists, calendars, rows of values and limits?

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, GroupByExpr, JoinConstraint,
    JoinOperator, LimitClause, Query, Select, SelectItem, SetExpr, SetOperator, SetQuantifier, TableAlias, TableFactor,
    Top, TopQuantity, TypedString, Value,
};

use super::{bare, items::expression, text_of, whole};
use crate::terms::Refusal;

/// The most rows of a calendar or series: they are written out.
const ROWS_MAX: usize = 4096;

/// The refusal of forms that the engine does not have, by their names.
pub(super) fn unknown(relation: &TableFactor) -> Option<Refusal> {
    let (name, hint) = match relation {
        TableFactor::Pivot { .. } => (
            "PIVOT",
            "name the columns of a subquery before PIVOT and the values after IN; or write SUM(...) FILTER (WHERE ...)",
        ),
        TableFactor::Unpivot { .. } => ("UNPIVOT", "write it with joins, windows and aggregates"),
        TableFactor::MatchRecognize { .. } => ("MATCH_RECOGNIZE", "write it with joins, windows and aggregates"),
        TableFactor::JsonTable { .. } | TableFactor::OpenJsonTable { .. } => {
            ("JSON_TABLE", "list its values in FROM with VALUES or generate_series")
        }
        _ => return None,
    };
    Some(Refusal::FunctionNotAllowed { name: name.to_owned(), hint: hint.to_owned() })
}

/// The refusal of INTERSECT ALL and EXCEPT ALL, in which the engine does not count how often a row stands there.
pub(super) fn unknown_sets(body: &SetExpr) -> Option<Refusal> {
    let SetExpr::SetOperation { op, set_quantifier, left, right } = body else { return None };
    if let (SetOperator::Intersect | SetOperator::Except, SetQuantifier::All) = (op, set_quantifier) {
        let hint = "take it without ALL, or number the rows with ROW_NUMBER first".to_owned();
        return Some(Refusal::FunctionNotAllowed { name: format!("{op} ALL"), hint });
    }
    unknown_sets(left).or_else(|| unknown_sets(right))
}

/// The refusal of as many rows as share the last place.
pub(super) fn unknown_ties(query: &Query) -> Option<Refusal> {
    let top = match query.body.as_ref() {
        SetExpr::Select(select) => select.top.as_ref().is_some_and(|top| top.with_ties || top.percent),
        _ => false,
    };
    let fetch = query.fetch.as_ref().is_some_and(|fetch| fetch.with_ties || fetch.percent);
    let hint = "number the rows with RANK() OVER (ORDER BY ...) in a subquery, and take the first".to_owned();
    (top || fetch).then(|| Refusal::FunctionNotAllowed { name: "WITH TIES".to_owned(), hint })
}

/// The refusal of views that list what is no literal, as Spark writes them.
pub(super) fn unknown_views(select: &Select) -> Option<Refusal> {
    let hint = "list its values in FROM with VALUES or generate_series".to_owned();
    let refusal = Refusal::FunctionNotAllowed { name: "LATERAL VIEW".to_owned(), hint };
    (!select.lateral_views.is_empty()).then_some(refusal)
}

/// The refusal of what the engine would read past, as if it were not written.
pub(super) fn ignored(relation: &TableFactor) -> Option<Refusal> {
    let TableFactor::Table { sample, version, .. } = relation else { return None };
    let name = match (sample, version) {
        (None, None) => return None,
        (Some(_), _) => "TABLESAMPLE",
        (None, Some(_)) => "FOR SYSTEM_TIME",
    };
    let hint = "ask of the whole table; noise protects the persons in it".to_owned();
    Some(Refusal::FunctionNotAllowed { name: name.to_owned(), hint })
}

/// `generate_series` and `unnest` over literals as the list of values that they are.
pub(super) fn listed(relation: &TableFactor) -> Option<String> {
    let (alias, default, values) = match relation {
        TableFactor::Table { name, alias, args: Some(args), with_ordinality: false, .. } => {
            let [part] = name.0.as_slice() else { return None };
            let called = part.as_ident()?.value.to_ascii_lowercase();
            let plain = args.args.iter().map(argument).collect::<Option<Vec<_>>>()?;
            (alias, called.clone(), of_call(&called, &plain)?)
        }
        TableFactor::Function { name, args, alias, .. } => {
            let [part] = name.0.as_slice() else { return None };
            let called = part.as_ident()?.value.to_ascii_lowercase();
            let plain = args.iter().map(argument).collect::<Option<Vec<_>>>()?;
            (alias, called.clone(), of_call(&called, &plain)?)
        }
        TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_ordinality: false, .. } => {
            (alias, "unnest".to_owned(), of_call("unnest", &array_exprs.iter().collect::<Vec<_>>())?)
        }
        _ => return None,
    };
    let rows: Vec<String> = values.into_iter().map(|value| format!("({value})")).collect();
    let named = alias.as_ref().map_or_else(|| format!("{default} ({default})"), shown);
    Some(format!("(VALUES {}) AS {named}", rows.join(", ")))
}

/// Rows that are written with questions in them, `VALUES ('asthma', (SELECT COUNT(*) ...)), ...`, as one SELECT for each.
pub(super) fn rows_of_questions(relation: &TableFactor) -> Option<String> {
    let TableFactor::Derived { lateral, subquery, alias, .. } = relation else { return None };
    let Query { with: None, body, order_by: None, limit_clause: None, fetch: None, .. } = subquery.as_ref() else {
        return None;
    };
    let SetExpr::Values(values) = body.as_ref() else { return None };
    if !values.rows.iter().any(|row| row.content.iter().any(|e| matches!(bare(e), Expr::Subquery(_)))) {
        return None;
    }
    let row = |row: &[Expr]| {
        let items = row.iter().enumerate().map(|(place, e)| format!("{e} AS column{}", place + 1));
        format!("SELECT {}", items.collect::<Vec<_>>().join(", "))
    };
    let rows: Vec<String> = values.rows.iter().map(|one| row(&one.content)).collect();
    let lateral = if *lateral { "LATERAL " } else { "" };
    let alias = alias.as_ref().map(|alias| format!(" AS {alias}")).unwrap_or_default();
    Some(format!("{lateral}({}){alias}", rows.join(" UNION ALL ")))
}

fn argument(argument: &FunctionArg) -> Option<&Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

/// An alias with the name of its column; PostgreSQL gives the column the alias of its table.
fn shown(alias: &TableAlias) -> String {
    let column = alias.columns.first().map_or(&alias.name, |column| &column.name);
    format!("{} ({column})", alias.name)
}

pub(super) fn of_call(called: &str, arguments: &[&Expr]) -> Option<Vec<String>> {
    match (called, arguments) {
        ("generate_series" | "generate_array" | "sequence", [first, last]) => {
            whole_numbers(whole(bare(first))?, whole(bare(last))?, 1)
        }
        ("generate_date_array", [first, last]) => instants(day(first)?, day(last)?, (1, "day")),
        (
            "generate_series" | "generate_array" | "generate_date_array" | "generate_timestamp_array" | "sequence",
            [first, last, step],
        ) => match whole(bare(first)) {
            Some(first) => whole_numbers(first, whole(bare(last))?, whole(bare(step))?),
            None => {
                let (number, unit) = interval(step)?;
                instants(day(first)?, day(last)?, (number, &unit))
            }
        },
        // A list of what is a list already.
        ("unnest" | "explode", [Expr::Function(list)]) => match super::name(list)?.as_str() {
            name @ ("generate_series"
            | "generate_array"
            | "generate_date_array"
            | "generate_timestamp_array"
            | "sequence") => of_call(name, &super::arguments(list)?),
            _ => None,
        },
        ("unnest" | "explode", [list]) => members(list).filter(|values| values.len() <= ROWS_MAX),
        _ => None,
    }
}

fn whole_numbers(first: i64, last: i64, step: i64) -> Option<Vec<String>> {
    let mut values = vec![];
    let mut value = first;
    while (step > 0 && value <= last) || (step < 0 && value >= last) {
        values.push(value.to_string());
        value = value.checked_add(step).filter(|_| values.len() <= ROWS_MAX)?;
    }
    (!values.is_empty()).then_some(values)
}

/// A day that is written as a literal.
pub(super) fn day(expr: &Expr) -> Option<chrono::NaiveDate> {
    let text = match bare(expr) {
        Expr::TypedString(TypedString { data_type: DataType::Date | DataType::Timestamp(..), value, .. }) => {
            value.to_string().trim_matches('\'').to_owned()
        }
        Expr::Cast { expr, data_type: DataType::Date | DataType::Timestamp(..), .. } => text_of(bare(expr))?.to_owned(),
        other => text_of(other)?.to_owned(),
    };
    chrono::NaiveDate::parse_from_str(text.trim().strip_suffix("00:00:00").unwrap_or(&text).trim(), "%Y-%m-%d").ok()
}

/// Number and unit of an interval.
pub(super) fn interval(step: &Expr) -> Option<(u32, String)> {
    let text = match bare(step) {
        Expr::Interval(interval) => match &interval.leading_field {
            Some(field) => format!("{} {field}", interval.value.to_string().trim_matches('\'')),
            None => text_of(&interval.value)?.to_owned(),
        },
        Expr::Cast { expr, data_type: DataType::Interval { .. }, .. } => text_of(bare(expr))?.to_owned(),
        other => text_of(other)?.to_owned(),
    };
    let (number, unit) = text.trim().split_once(' ')?;
    Some((number.parse().ok()?, unit.trim().to_ascii_lowercase()))
}

/// The day that lies so many units behind `day`.
pub(super) fn stepped(day: chrono::NaiveDate, number: u32, unit: &str) -> Option<chrono::NaiveDate> {
    match unit.trim_end_matches('s') {
        "day" => day.checked_add_days(chrono::Days::new(number.into())),
        "week" => day.checked_add_days(chrono::Days::new(u64::from(number) * 7)),
        "month" | "mon" => day.checked_add_months(chrono::Months::new(number)),
        "year" => day.checked_add_months(chrono::Months::new(number.checked_mul(12)?)),
        _ => None,
    }
}

/// Midnights from `first` to `last`, so many units apart.
fn instants(first: chrono::NaiveDate, last: chrono::NaiveDate, (number, unit): (u32, &str)) -> Option<Vec<String>> {
    if number == 0 {
        return None;
    }
    let (mut values, mut at) = (vec![], first);
    while at <= last {
        values.push(format!("TIMESTAMP '{at} 00:00:00'"));
        // From the one before, so that a day that a month does not have stays lost, as PostgreSQL counts.
        at = stepped(at, number, unit)?;
        if values.len() > ROWS_MAX {
            return None;
        }
    }
    (!values.is_empty()).then_some(values)
}

/// CROSS APPLY is a lateral join that keeps rows with a match, OUTER APPLY one that keeps all.
pub(super) fn apply_as_lateral(select: &mut Select) {
    for join in select.from.iter_mut().flat_map(|from| &mut from.joins) {
        let always = || Expr::Value(Value::Boolean(true).into());
        let operator = match join.join_operator {
            JoinOperator::CrossApply => JoinOperator::Inner(JoinConstraint::On(always())),
            JoinOperator::OuterApply => JoinOperator::Left(JoinConstraint::On(always())),
            _ => continue,
        };
        if let TableFactor::Derived { lateral, .. } = &mut join.relation {
            *lateral = true;
            join.join_operator = operator;
        }
    }
}

/// `GROUP BY ROLLUP (1, 2)` names columns by their number, as plain keys do. Says how many nodes were copied.
pub(super) fn keys_by_number(select: &mut Select) -> usize {
    let items: Vec<Option<(usize, Expr)>> = select
        .projection
        .iter()
        .map(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                Some((super::size(expr), expr.clone()))
            }
            _ => None,
        })
        .collect();
    let GroupByExpr::Expressions(keys, _) = &mut select.group_by else { return 0 };
    let mut copied = 0_usize;
    for key in keys {
        let (Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets)) = key else { continue };
        for member in sets.iter_mut().flatten() {
            let at = whole(member).and_then(|number| usize::try_from(number).ok()?.checked_sub(1));
            let Some(Some((size, item))) = at.and_then(|at| items.get(at)) else { continue };
            copied = copied.saturating_add(*size);
            if copied > KEYS_MAX {
                // More than may be written at all.
                return usize::MAX;
            }
            *member = item.clone();
        }
    }
    copied
}

/// As many nodes as keys that are named by number may come to.
const KEYS_MAX: usize = 8_192;

/// FETCH FIRST n ROWS ONLY is LIMIT n.
pub(super) fn fetch_as_limit(query: &mut Query) {
    let rows = match &query.fetch {
        Some(fetch) if !fetch.with_ties && !fetch.percent => fetch.quantity.clone(),
        _ => return,
    };
    if limited(query, rows) {
        query.fetch = None;
    }
}

/// So is SELECT TOP n.
pub(super) fn top_as_limit(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    let rows = match &select.top {
        Some(Top { with_ties: false, percent: false, quantity: Some(TopQuantity::Constant(rows)) }) => {
            super::parsed(&rows.to_string())
        }
        Some(Top { with_ties: false, percent: false, quantity: Some(TopQuantity::Expr(rows)) }) => Some(rows.clone()),
        _ => return,
    };
    if rows.is_some()
        && limited(query, rows)
        && let SetExpr::Select(select) = query.body.as_mut()
    {
        select.top = None;
    }
}

/// Whether `rows`, one where nothing is said, could be made the query's LIMIT.
fn limited(query: &mut Query, rows: Option<Expr>) -> bool {
    let Some(rows) = rows.or_else(|| super::parsed("1")) else { return false };
    match &mut query.limit_clause {
        None => {
            query.limit_clause = Some(LimitClause::LimitOffset { limit: Some(rows), offset: None, limit_by: vec![] });
        }
        Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => *limit = Some(rows),
        Some(_) => return false,
    }
    true
}

/// `(a, b) IN (SELECT x, y ...)` among the terms of WHERE: there is a row with both. Only there is NULL as good as FALSE.
pub(super) fn rows_in_where(select: &mut Select) {
    if let Some(condition) = &mut select.selection {
        rows_in(condition);
    }
}

fn rows_in(condition: &mut Expr) {
    match condition {
        Expr::Nested(inner) => rows_in(inner),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            rows_in(left);
            rows_in(right);
        }
        Expr::InSubquery { expr, subquery, negated: false } => {
            if let Some(exists) = row_in(expr, subquery).and_then(|text| super::parsed(&text)) {
                *condition = exists;
            }
        }
        _ => {}
    }
}

fn row_in(row: &Expr, subquery: &Query) -> Option<String> {
    let Expr::Tuple(values) = row else { return None };
    let columns: Vec<String> = (0..values.len()).map(|i| format!("__sekisho_c{i}")).collect();
    let equal: Vec<String> =
        columns.iter().zip(values).map(|(column, value)| format!("__sekisho_row.{column} = ({value})")).collect();
    Some(format!(
        "EXISTS (SELECT 1 FROM ({subquery}) AS __sekisho_row ({}) WHERE {})",
        columns.join(", "),
        equal.join(" AND ")
    ))
}

/// `(a, b) IN ((1, 2), (3, 4))`.
pub(super) fn row_in_list(row: &Expr, list: &[Expr], negated: bool) -> Option<String> {
    let Expr::Tuple(values) = row else { return None };
    let one = |member: &Expr| {
        let Expr::Tuple(members) = member else { return None };
        let equal = values.iter().zip(members).map(|(a, b)| format!("({a}) = ({b})")).collect::<Vec<_>>();
        (members.len() == values.len()).then(|| format!("({})", equal.join(" AND ")))
    };
    let any = list.iter().map(one).collect::<Option<Vec<_>>>()?.join(" OR ");
    Some(if negated { format!("NOT ({any})") } else { format!("({any})") })
}

/// `x = ANY (ARRAY[1, 2])` is `x IN (1, 2)`, and what is greater than some member of a subquery is greater than its least.
pub(super) fn any_of(left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<String> {
    match (op, subquery(right)) {
        (BinaryOperator::Eq, None) => Some(format!("({left}) IN ({})", array(right)?)),
        (BinaryOperator::Eq, Some(members)) => Some(format!("({left}) IN ({members})")),
        (BinaryOperator::Gt | BinaryOperator::GtEq, Some(members)) => Some(beside_end(left, op, "min", members)),
        (BinaryOperator::Lt | BinaryOperator::LtEq, Some(members)) => Some(beside_end(left, op, "max", members)),
        _ => None,
    }
}

/// `x ILIKE ANY (ARRAY['a%', 'b%'])` matches one of them.
pub(super) fn like_any(expr: &Expr) -> Option<String> {
    let (negated, like, value, pattern) = match expr {
        Expr::Like { negated, any: true, expr, pattern, escape_char: None } => (negated, "LIKE", expr, pattern),
        Expr::ILike { negated, any: true, expr, pattern, escape_char: None } => (negated, "ILIKE", expr, pattern),
        _ => return None,
    };
    let patterns: Vec<&Expr> = match bare(pattern) {
        Expr::Array(array) => array.elem.iter().collect(),
        Expr::Tuple(list) => list.iter().collect(),
        one => vec![one],
    };
    let (not, or) = if *negated { ("NOT ", " AND ") } else { ("", " OR ") };
    let any: Vec<String> = patterns.iter().map(|pattern| format!("({value}) {not}{like} {pattern}")).collect();
    Some(format!("({})", any.join(or)))
}

/// `x <> ALL (ARRAY[1, 2])` is `x NOT IN (1, 2)`, and what is at least as great as the counts of all groups is at least as great
/// as the greatest. Of no group, or with NULL among them, it would not be: so only where counts are grouped.
pub(super) fn none_of(left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<String> {
    match (op, subquery(right)) {
        (BinaryOperator::NotEq, None) => Some(format!("({left}) NOT IN ({})", array(right)?)),
        (BinaryOperator::NotEq, Some(members)) => Some(format!("({left}) NOT IN ({members})")),
        (BinaryOperator::Gt | BinaryOperator::GtEq, Some(members)) if counts_groups(members) => {
            Some(beside_end(left, op, "max", members))
        }
        (BinaryOperator::Lt | BinaryOperator::LtEq, Some(members)) if counts_groups(members) => {
            Some(beside_end(left, op, "min", members))
        }
        _ => None,
    }
}

fn subquery(expr: &Expr) -> Option<&Query> {
    match bare(expr) {
        Expr::Subquery(query) => Some(query),
        _ => None,
    }
}

fn beside_end(left: &Expr, op: &BinaryOperator, end: &str, members: &Query) -> String {
    format!("({left}) {op} (SELECT {end}(__sekisho_all.v) FROM ({members}) AS __sekisho_all (v))")
}

/// Whether it is one COUNT for each of some groups.
fn counts_groups(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    let grouped = matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if !keys.is_empty());
    let [item] = select.projection.as_slice() else { return false };
    let counts = expression(item).is_some_and(|expr| match bare(expr) {
        Expr::Function(call) => call.over.is_none() && call.name.to_string().eq_ignore_ascii_case("count"),
        _ => false,
    });
    grouped && counts
}

fn array(expr: &Expr) -> Option<String> {
    Some(members(expr)?.join(", "))
}

/// The members of `ARRAY[1, 2]`, of `ARRAY['2024-01-01']::date[]` and of `'{1, 2}'::int[]`.
fn members(expr: &Expr) -> Option<Vec<String>> {
    let found: Vec<String> = match bare(expr) {
        Expr::Array(array) => array.elem.iter().map(ToString::to_string).collect(),
        Expr::Cast { expr, data_type: DataType::Array(of), .. } => {
            let (ArrayElemTypeDef::SquareBracket(of, None) | ArrayElemTypeDef::AngleBracket(of)) = of else {
                return None;
            };
            let written = text_of(bare(expr)).and_then(|text| text.strip_prefix('{')?.strip_suffix('}'));
            let members = match written {
                Some(text) if text.contains(['"', '\\', '{']) => return None,
                Some(text) => text.split(',').map(|part| format!("'{}'", part.trim().replace('\'', "''"))).collect(),
                None => members(expr)?,
            };
            members.into_iter().map(|member| format!("CAST({member} AS {of})")).collect()
        }
        _ => return None,
    };
    (!found.is_empty()).then_some(found)
}

/// `(a, b) OVERLAPS (c, d)`: two spans share an instant; the end is no part of a span unless it is also its start.
pub(super) fn overlaps(left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<String> {
    let (BinaryOperator::Overlaps, Expr::Tuple(left), Expr::Tuple(right)) = (op, left, right) else { return None };
    let ([a, b], [c, d]) = (left.as_slice(), right.as_slice()) else { return None };
    if [b, d].iter().any(|end| matches!(end, Expr::Interval(_))) {
        return None;
    }
    Some(format!(
        "CASE WHEN {a} IS NULL OR {b} IS NULL OR {c} IS NULL OR {d} IS NULL THEN NULL ELSE \
         (least({a}, {b}) < greatest({c}, {d}) AND least({c}, {d}) < greatest({a}, {b})) \
         OR least({a}, {b}) = least({c}, {d}) END"
    ))
}
