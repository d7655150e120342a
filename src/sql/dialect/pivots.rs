//! Which aggregates does PIVOT stand for?

use datafusion::sql::sqlparser::ast::{
    Expr, ExprWithAlias, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, PivotValueSource, Select,
    SetExpr, TableFactor,
};

use super::{
    items::{item_name, last},
    whole,
};

/// `(SELECT k, c, x ...) PIVOT (SUM(x) FOR c IN (1, 2))`: for each k one column per value of c. Only over a subquery that
/// names its columns, since all that stand in neither part are keys.
pub(super) fn as_aggregates(relation: &TableFactor) -> Option<String> {
    let TableFactor::Pivot { table, aggregate_functions, value_column, value_source, default_on_null: None, alias } =
        relation
    else {
        return None;
    };
    let (TableFactor::Derived { lateral: false, subquery, alias: inner, .. }, [by]) =
        (table.as_ref(), value_column.as_slice())
    else {
        return None;
    };
    let SetExpr::Select(select) = subquery.body.as_ref() else { return None };
    let (columns, by) = (columns(select)?, column(by)?);
    let PivotValueSource::List(values) = value_source else { return None };
    // As many as a step has columns.
    if values.len().saturating_mul(aggregate_functions.len()) > 256 {
        return None;
    }
    let mut cells = vec![];
    let mut used = vec![by.clone()];
    for value in values {
        for aggregate in aggregate_functions {
            let (cell, of) = cell(aggregate, &by, value, aggregate_functions.len() > 1)?;
            cells.push(cell);
            used.push(of);
        }
    }
    let keys: Vec<String> = columns.into_iter().filter(|column| !used.contains(column)).collect();
    let inner = inner.as_ref().map_or_else(|| "__sekisho_pivoted".to_owned(), ToString::to_string);
    let grouped = match keys.is_empty() {
        true => String::new(),
        false => format!(" GROUP BY {}", keys.join(", ")),
    };
    let shown = keys.iter().chain(&cells).cloned().collect::<Vec<_>>().join(", ");
    let alias = alias.as_ref().map_or_else(|| "__sekisho_pivot".to_owned(), ToString::to_string);
    Some(format!("(SELECT {shown} FROM ({subquery}) AS {inner}{grouped}) AS {alias}"))
}

/// The names of a SELECT list.
fn columns(select: &Select) -> Option<Vec<String>> {
    select.projection.iter().map(|item| item_name(item).map(|name| name.to_string())).collect()
}

fn column(expr: &Expr) -> Option<String> {
    last(expr).map(|name| name.to_string())
}

/// One aggregate for one value, and the column that it is of.
fn cell(aggregate: &ExprWithAlias, by: &str, value: &ExprWithAlias, several: bool) -> Option<(String, String)> {
    let Expr::Function(call) = &aggregate.expr else { return None };
    let FunctionArguments::List(list) = &call.args else { return None };
    let of = match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(of))] => column(of)?,
        [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] => String::new(),
        _ => return None,
    };
    // SQL Server names values as if they were columns.
    let (literal, name) = match &value.expr {
        Expr::Identifier(Ident { value, quote_style: Some(_), .. }) => match value.parse::<i64>() {
            Ok(number) => (number.to_string(), value.clone()),
            Err(_) => (format!("'{}'", value.replace('\'', "''")), value.clone()),
        },
        literal => match super::text_of(literal) {
            Some(text) => (literal.to_string(), text.to_owned()),
            None => (whole(literal)?.to_string(), whole(literal)?.to_string()),
        },
    };
    let name = value.alias.as_ref().map_or(name, |alias| alias.value.clone());
    let name = match (&aggregate.alias, several) {
        (Some(alias), true) => format!("{name}_{}", alias.value),
        (None, true) => return None,
        _ => name,
    };
    let filtered = Function { filter: Some(Box::new(super::parsed(&format!("{by} = {literal}"))?)), ..call.clone() };
    Some((format!("{filtered} AS {}", Ident::with_quote('"', name)), of))
}
