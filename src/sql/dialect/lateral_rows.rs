//! Which LATERAL sides ask of the rows beside them whether there are any, or how many?

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, Join, JoinOperator, LimitClause,
    ObjectNamePart, Query, Select, SelectItem, SetExpr, TableFactor, Value, VisitMut, visit_expressions,
};

use super::{
    bare,
    items::{all_names, expression, item_name, last, once, same},
    laterals::{Written, on_true},
    whole,
};

/// `LEFT JOIN LATERAL (SELECT 1 AS hit FROM ... LIMIT 1) x ON TRUE`, without an order: any row will do, and all that is asked
/// is whether there is one.
pub(super) fn any_row(select: &mut Select) {
    let mut found = vec![];
    for join in select.from.iter().flat_map(|from| &from.joins) {
        let left = matches!(join.join_operator, JoinOperator::Left(_) | JoinOperator::LeftOuter(_));
        let TableFactor::Derived { lateral: true, subquery, alias: Some(alias), .. } = &join.relation else { continue };
        if left && on_true(&join.join_operator) && takes_any(subquery) {
            found.push(alias.name.clone());
        }
    }
    for table in found {
        let asked = asked_of(select, &table);
        let joins = select.from.iter_mut().flat_map(|from| &mut from.joins);
        for join in joins {
            if let TableFactor::Derived { subquery, alias: Some(alias), .. } = &mut join.relation
                && same(&alias.name, &table)
            {
                counted(subquery, &asked);
            }
        }
    }
}

/// In a LATERAL side that aggregates, HAVING keeps its one row or leaves NULL, and a FILTER that reads the row before it is
/// a condition of a side of its own: the engine moves conditions, and neither of these.
pub(super) fn of_aggregates(select: &mut Select) {
    for join in select.from.iter_mut().flat_map(|from| &mut from.joins) {
        let left = matches!(join.join_operator, JoinOperator::Left(_) | JoinOperator::LeftOuter(_));
        if let TableFactor::Derived { lateral: true, subquery, .. } = &mut join.relation
            && left
            && on_true(&join.join_operator)
            && let SetExpr::Select(inner) = subquery.body.as_mut()
            && ungrouped(inner)
        {
            without_having(inner);
        }
    }
    let wildcard = select.projection.iter().any(|item| expression(item).is_none());
    let names = all_names(select);
    let mut place = 0;
    while let (false, Some(from)) = (wildcard, select.from.first_mut()) {
        let Some(join) = from.joins.get(place) else { return };
        place += 1;
        let Some((table, sides)) = apart(join) else { continue };
        if !once(&names, &table) {
            continue;
        }
        let of = |side: &Apart| Expr::CompoundIdentifier(vec![side.name.clone(), side.column.clone()]);
        // One name for another: nothing grows.
        let columns = sides.iter().map(|side| (side.column.clone(), 0, of(side))).collect();
        from.joins.splice(place - 1..place, sides.into_iter().map(|side| side.join));
        // A name alone stays: it is that of a column of one of the sides.
        let _ = VisitMut::visit(select, &mut Written { table, columns, depth: 1, copied: 0 });
    }
}

fn ungrouped(select: &Select) -> bool {
    let keys = matches!(&select.group_by, GroupByExpr::Expressions(keys, sets) if keys.is_empty() && sets.is_empty());
    keys && select.distinct.is_none() && select.qualify.is_none()
}

fn without_having(select: &mut Select) {
    let Some(condition) = select.having.clone().filter(|_| select.projection.len() <= SIDES_MAX) else { return };
    let mut items = vec![];
    for item in &select.projection {
        let (Some(expr), Some(alias)) = (expression(item), item_name(item)) else { return };
        let Some(expr) = super::parsed(&format!("CASE WHEN {condition} THEN {expr} END")) else { return };
        items.push(SelectItem::ExprWithAlias { expr, alias });
    }
    select.projection = items;
    select.having = None;
}

/// The most sides that one is cut into: each is as long as the whole.
const SIDES_MAX: usize = 16;

/// One of the sides that a LATERAL one is cut into.
struct Apart {
    column: Ident,
    name: Ident,
    join: Join,
}

/// A side for each aggregate of a LATERAL one, with its FILTER in WHERE; and the name of the one.
fn apart(join: &Join) -> Option<(Ident, Vec<Apart>)> {
    let TableFactor::Derived { lateral: true, subquery, alias: Some(alias), .. } = &join.relation else { return None };
    let SetExpr::Select(inner) = subquery.body.as_ref() else { return None };
    let few = inner.projection.len() <= SIDES_MAX;
    let plain =
        few && ungrouped(inner) && inner.having.is_none() && subquery.order_by.is_none() && subquery.with.is_none();
    if !plain || !on_true(&join.join_operator) || subquery.limit_clause.is_some() || !alias.columns.is_empty() {
        return None;
    }
    let here = all_names(inner);
    let outward = |filter: &Expr| {
        let mut outward = false;
        let _ = visit_expressions(filter, |e| {
            if let Expr::CompoundIdentifier(parts) = e
                && let Some(table) = parts.first()
            {
                outward |= !here.iter().any(|name| name.eq_ignore_ascii_case(&table.value));
            }
            ControlFlow::<()>::Continue(())
        });
        outward
    };
    let mut sides = vec![];
    let mut any = false;
    for (place, item) in inner.projection.iter().enumerate() {
        let (Some(Expr::Function(call)), Some(column)) = (expression(item), item_name(item)) else { return None };
        let (mut call, mut select) = (call.clone(), inner.clone());
        if let Some(filter) = call.filter.take_if(|filter| outward(filter)) {
            any = true;
            let text = match &select.selection {
                Some(condition) => format!("({condition}) AND ({filter})"),
                None => filter.to_string(),
            };
            select.selection = Some(super::parsed(&text)?);
        }
        select.projection = vec![SelectItem::ExprWithAlias { expr: Expr::Function(call), alias: column.clone() }];
        let side = Ident::new(format!("__sekisho_side_{place}_{}", alias.name.value));
        let mut one = join.clone();
        if let TableFactor::Derived { subquery, alias: Some(alias), .. } = &mut one.relation {
            *subquery.body = SetExpr::Select(select);
            alias.name = side.clone();
        }
        sides.push(Apart { column, name: side, join: one });
    }
    any.then(|| (alias.name.clone(), sides))
}

/// Whether it takes one row of a plain selection, whichever.
fn takes_any(query: &Query) -> bool {
    let one = match &query.limit_clause {
        Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, .. }) => whole(limit) == Some(1),
        _ => false,
    };
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    one && query.order_by.is_none() && query.with.is_none() && select.distinct.is_none() && select.having.is_none()
}

/// The columns of `table` of which nothing is asked but whether they are NULL.
fn asked_of(select: &Select, table: &Ident) -> Vec<String> {
    let column = |expr: &Expr| match expr {
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [of, name] if same(of, table) => Some(name.value.to_ascii_lowercase()),
            _ => None,
        },
        _ => None,
    };
    let (mut asked, mut all) = (vec![], vec![]);
    let _ = visit_expressions(select, |e| {
        match e {
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => asked.extend(column(bare(inner))),
            Expr::Function(call) => {
                let counts = |part: &ObjectNamePart| {
                    part.as_ident().is_some_and(|name| name.value.eq_ignore_ascii_case("count"))
                };
                if let (true, FunctionArguments::List(list)) = (call.name.0.iter().all(counts), &call.args)
                    && let ([FunctionArg::Unnamed(FunctionArgExpr::Expr(of))], None) =
                        (list.args.as_slice(), list.duplicate_treatment)
                {
                    asked.extend(column(of));
                }
            }
            other => all.extend(column(other)),
        }
        ControlFlow::<()>::Continue(())
    });
    let count = |list: &[String], name: &String| list.iter().filter(|other| *other == name).count();
    asked.iter().filter(|name| count(&asked, name) == count(&all, name)).cloned().collect()
}

/// One row that is always there: literals, and columns of persons' numbers, are 1 or themselves where a row is.
fn counted(query: &mut Query, asked: &[String]) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let mut items = vec![];
    for item in &select.projection {
        let (Some(expr), Some(name)) = (expression(item), item_name(item)) else { return };
        let is_literal = matches!(bare(expr), Expr::Value(value) if !matches!(value.value, Value::Null));
        let is_person = last(expr).is_some_and(|name| name.value.eq_ignore_ascii_case("person_id"));
        let text = match (is_literal, is_person && asked.contains(&name.value.to_ascii_lowercase())) {
            (true, _) => format!("max({expr})"),
            (false, true) => "max(1)".to_owned(),
            _ => return,
        };
        let Some(expr) = super::parsed(&text) else { return };
        items.push(SelectItem::ExprWithAlias { expr, alias: name });
    }
    select.projection = items;
    query.limit_clause = None;
}
