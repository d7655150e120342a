//! Which list does a SELECT list spell out, as in `SELECT generate_series(2015, 2020) AS year`?

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{Expr, Function, Ident, Select, SelectItem, visit_expressions, visit_expressions_mut},
    parser::Parser,
};

use super::{Postgres, items::expression, relations::of_call};

/// One `generate_series` or `unnest` over literals in one of the columns becomes the list of values that it is, beside FROM.
/// Only where all other columns are plain: where others are aggregates or windows, it would come after them. Says how many bytes
/// were written.
pub(super) fn from_select(select: &mut Select) -> usize {
    let lists = |item: &SelectItem| expression(item).map_or(0, |expr| calls(expr).len());
    let mut places = select.projection.iter().enumerate().filter(|(_, item)| lists(item) > 0);
    let (Some((place, item)), None) = (places.next(), places.next()) else { return 0 };
    let plain = select.projection.iter().enumerate().all(|(at, item)| at == place || is_column(item));
    if !plain || select.distinct.is_some() || lists(item) != 1 {
        return 0;
    }
    let name = match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.clone()),
        _ => expression(item).and_then(|expr| calls(expr).pop()).and_then(|call| super::name(&call)).map(Ident::new),
    };
    let Some(mut expr) = expression(item).cloned() else { return 0 };
    let (mut list, mut written) = (None, 0_usize);
    let _ = visit_expressions_mut(&mut expr, |e| {
        if let Some(values) = values(e) {
            let rows: Vec<String> = values.into_iter().map(|value| format!("({value})")).collect();
            let text = format!("SELECT __sekisho_series.v FROM (VALUES {}) AS __sekisho_series (v)", rows.join(", "));
            written = text.len();
            list = read(&text);
            if let Some(SelectItem::UnnamedExpr(column)) = list.as_ref().and_then(|list| list.projection.first()) {
                *e = column.clone();
            }
        }
        ControlFlow::<()>::Continue(())
    });
    let (Some(list), Some(alias)) = (list, name) else { return written };
    if let Some(item) = select.projection.get_mut(place) {
        *item = SelectItem::ExprWithAlias { expr, alias };
        select.from.extend(list.from);
    }
    written
}

/// The calls in `expr` that list values.
fn calls(expr: &Expr) -> Vec<Function> {
    let mut found = vec![];
    let _ = visit_expressions(expr, |e| {
        if let (Expr::Function(call), Some(_)) = (e, values(e)) {
            found.push(call.clone());
        }
        ControlFlow::<()>::Continue(())
    });
    found
}

fn read(text: &str) -> Option<Select> {
    let parsed = Parser::new(&Postgres::default()).try_with_sql(text).ok()?.parse_select().ok()?;
    Some(parsed)
}

fn values(expr: &Expr) -> Option<Vec<String>> {
    let Expr::Function(call) = expr else { return None };
    of_call(&super::name(call)?, &super::arguments(call)?)
}

fn is_column(item: &SelectItem) -> bool {
    match item {
        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => false,
        item => matches!(expression(item), Some(Expr::Identifier(_) | Expr::CompoundIdentifier(_))),
    }
}
