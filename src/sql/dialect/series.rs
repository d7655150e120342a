//! Which list does a SELECT list spell out, as in `SELECT generate_series(2015, 2020) AS year`?

use datafusion::sql::sqlparser::{
    ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Select, SelectItem},
    parser::Parser,
};

use super::{Postgres, relations::of_call};

/// One `generate_series` or `unnest` over literals among the columns becomes the list of values that it is, beside FROM.
/// Only where all other columns are plain: where others are aggregates or windows, it would come after them.
pub(super) fn from_select(select: &mut Select) {
    let mut places = select.projection.iter().enumerate().filter(|(_, item)| values(item).is_some());
    let (Some((place, item)), None) = (places.next(), places.next()) else { return };
    let plain = select.projection.iter().enumerate().all(|(at, item)| at == place || is_column(item));
    let Some(values) = values(item).filter(|_| plain && select.distinct.is_none()) else { return };
    let name = match item {
        SelectItem::ExprWithAlias { alias, .. } => alias.to_string(),
        _ => called(item).unwrap_or_default(),
    };
    let rows: Vec<String> = values.into_iter().map(|value| format!("({value})")).collect();
    let text = format!("SELECT __sekisho_series.v AS {name} FROM (VALUES {}) AS __sekisho_series (v)", rows.join(", "));
    let Some(list) = read(&text) else { return };
    if let Some(item) = select.projection.get_mut(place) {
        *item = list.projection.into_iter().next().unwrap_or_else(|| item.clone());
        select.from.extend(list.from);
    }
}

fn read(text: &str) -> Option<Select> {
    let parsed = Parser::new(&Postgres::default()).try_with_sql(text).ok()?.parse_select().ok()?;
    Some(parsed)
}

fn expression(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

fn called(item: &SelectItem) -> Option<String> {
    match expression(item)? {
        Expr::Function(call) => super::name(call),
        _ => None,
    }
}

fn values(item: &SelectItem) -> Option<Vec<String>> {
    let Expr::Function(call) = expression(item)? else { return None };
    let FunctionArguments::List(list) = &call.args else { return None };
    let plain = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    of_call(&super::name(call)?, &plain.collect::<Option<Vec<_>>>()?)
}

fn is_column(item: &SelectItem) -> bool {
    match item {
        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => false,
        item => matches!(expression(item), Some(Expr::Identifier(_) | Expr::CompoundIdentifier(_))),
    }
}
