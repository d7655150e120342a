//! Which LATERAL sides are columns, or ask whether there is a row?

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator,
    LimitClause, ObjectNamePart, OrderByKind, Query, Select, SelectItem, SetExpr, TableFactor, TableWithJoins, Value,
    Visit, VisitMut, Visitor, VisitorMut, visit_expressions,
};

use super::{bare, whole};

/// `CROSS JOIN LATERAL (SELECT 2024 - p.year_of_birth AS age) a`: `a.age` is that expression, wherever it stands. Says what was
/// written: nothing, or too much.
pub(super) fn columns(query: &mut Query) -> usize {
    let SetExpr::Select(select) = query.body.as_mut() else { return 0 };
    if select.projection.iter().any(|item| expression(item).is_none()) {
        return 0;
    }
    let mut copied = 0_usize;
    while let Some((table, columns)) = taken(select) {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item
                && let Some(name) = last(expr)
                && columns.iter().any(|(column, _)| same(column, &name))
            {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: name };
            }
        }
        let columns = columns.into_iter().map(|(name, expr)| (name, super::size(&expr), expr)).collect();
        let mut written = Written { table, columns, depth: 0, copied };
        let _ = VisitMut::visit(select.as_mut(), &mut written);
        if let Some(order_by) = &mut query.order_by
            && let OrderByKind::Expressions(keys) = &mut order_by.kind
        {
            // A name alone is that of a column of the answer.
            written.depth = 1;
            let _ = VisitMut::visit(keys, &mut written);
        }
        copied = written.copied;
        if copied > COPIED_MAX {
            // More than may be written at all.
            return usize::MAX;
        }
    }
    0
}

/// So many nodes may all columns of LATERAL sides of one SELECT come to: they nest as deep.
const COPIED_MAX: usize = 1_000;

/// Takes one such side out of FROM: its name and its columns.
fn taken(select: &mut Select) -> Option<(Ident, Vec<(Ident, Expr)>)> {
    let names = table_names(select);
    let once = |table: &Ident| names.iter().filter(|name| same(name, table)).count() == 1;
    for from in &mut select.from {
        let place = from.joins.iter().position(|join| {
            on_true(&join.join_operator) && columns_of(&join.relation).is_some_and(|(table, _)| once(&table))
        });
        if let Some(place) = place {
            return columns_of(&from.joins.remove(place).relation);
        }
    }
    // Beside a comma.
    let place =
        select.from.iter().skip(1).position(|from| {
            from.joins.is_empty() && columns_of(&from.relation).is_some_and(|(table, _)| once(&table))
        })?;
    columns_of(&select.from.remove(place + 1).relation)
}

/// The columns of a LATERAL side that reads no table.
fn columns_of(relation: &TableFactor) -> Option<(Ident, Vec<(Ident, Expr)>)> {
    let TableFactor::Derived { lateral: true, subquery, alias: Some(alias), .. } = relation else { return None };
    let Query { with: None, body, order_by: None, limit_clause: None, fetch: None, .. } = subquery.as_ref() else {
        return None;
    };
    let SetExpr::Select(select) = body.as_ref() else { return None };
    let plain = select.from.is_empty()
        && select.selection.is_none()
        && select.having.is_none()
        && select.distinct.is_none()
        && select.projection.iter().all(|item| expression(item).is_some_and(is_of_one_row));
    if !plain {
        return None;
    }
    let mut columns = vec![];
    for (place, item) in select.projection.iter().enumerate() {
        let name = match (alias.columns.get(place), item) {
            (Some(column), _) => column.name.clone(),
            (None, SelectItem::ExprWithAlias { alias, .. }) => alias.clone(),
            (None, item) => last(expression(item)?)?,
        };
        columns.push((name, Expr::Nested(Box::new(expression(item)?.clone()))));
    }
    Some((alias.name.clone(), columns))
}

/// Whether nothing in it counts rows, lists values or asks again.
fn is_of_one_row(expr: &Expr) -> bool {
    const PLAIN: [&str; 19] = [
        "coalesce",
        "greatest",
        "least",
        "nullif",
        "date_trunc",
        "date_part",
        "age",
        "abs",
        "round",
        "floor",
        "ceil",
        "concat",
        "lower",
        "upper",
        "substr",
        "left",
        "right",
        "make_date",
        "width_bucket",
    ];
    let mut plain = true;
    let _ = visit_expressions(expr, |e| {
        plain &= match e {
            Expr::Function(call) => super::name(call).is_some_and(|name| PLAIN.contains(&name.as_str())),
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => false,
            _ => true,
        };
        ControlFlow::<()>::Continue(())
    });
    plain
}

struct Written {
    table: Ident,
    /// Each with the nodes of what stands for it.
    columns: Vec<(Ident, usize, Expr)>,
    depth: usize,
    copied: usize,
}

impl VisitorMut for Written {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let name = match &*expr {
            // Further in, a name alone may be that of another table's column.
            Expr::Identifier(name) if self.depth == 0 => name,
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [table, name] if same(table, &self.table) => name,
                _ => return ControlFlow::Continue(()),
            },
            _ => return ControlFlow::Continue(()),
        };
        let Some((_, size, written)) = self.columns.iter().find(|(column, ..)| same(column, name)) else {
            return ControlFlow::Continue(());
        };
        self.copied = self.copied.saturating_add(*size);
        if self.copied > COPIED_MAX {
            return ControlFlow::Break(());
        }
        *expr = written.clone();
        ControlFlow::Continue(())
    }
}

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
    let names = table_names(select);
    let mut place = 0;
    while let (false, Some(from)) = (wildcard, select.from.first_mut()) {
        let Some(join) = from.joins.get(place) else { return };
        place += 1;
        let Some((table, sides)) = apart(join) else { continue };
        if names.iter().filter(|name| same(name, &table)).count() != 1 {
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
    let here = table_names(inner);
    let outward = |filter: &Expr| {
        let mut outward = false;
        let _ = visit_expressions(filter, |e| {
            if let Expr::CompoundIdentifier(parts) = e
                && let Some(table) = parts.first()
            {
                outward |= !here.iter().any(|name| same(name, table));
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

fn item_name(item: &SelectItem) -> Option<Ident> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.clone()),
        item => last(expression(item)?),
    }
}

fn expression(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

/// The name of a column.
fn last(expr: &Expr) -> Option<Ident> {
    match expr {
        Expr::Identifier(name) => Some(name.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().cloned(),
        _ => None,
    }
}

fn same(a: &Ident, b: &Ident) -> bool {
    a.value.eq_ignore_ascii_case(&b.value)
}

fn on_true(operator: &JoinOperator) -> bool {
    let (JoinOperator::Join(constraint)
    | JoinOperator::Inner(constraint)
    | JoinOperator::Left(constraint)
    | JoinOperator::LeftOuter(constraint)
    | JoinOperator::CrossJoin(constraint)) = operator
    else {
        return false;
    };
    match constraint {
        JoinConstraint::None => true,
        JoinConstraint::On(Expr::Value(value)) => value.value == Value::Boolean(true),
        _ => false,
    }
}

/// All names under which tables are read, in subqueries as well.
fn table_names(select: &Select) -> Vec<Ident> {
    struct Names(Vec<Ident>);
    impl Visitor for Names {
        type Break = ();
        fn pre_visit_table_factor(&mut self, relation: &TableFactor) -> ControlFlow<()> {
            match relation {
                TableFactor::Table { alias: Some(alias), .. }
                | TableFactor::Derived { alias: Some(alias), .. }
                | TableFactor::UNNEST { alias: Some(alias), .. } => self.0.push(alias.name.clone()),
                TableFactor::Table { name, .. } => {
                    self.0.extend(name.0.last().and_then(|part| part.as_ident()).cloned());
                }
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(vec![]);
    let _ = Visit::visit(select, &mut names);
    names.0
}

/// `LATERAL VIEW explode(sequence(2015, 2020)) t AS year`, as Spark writes a list beside a table; says how many bytes were written.
pub(super) fn views(select: &mut Select) -> usize {
    let (mut lists, mut written) = (vec![], 0_usize);
    for view in &select.lateral_views {
        let (Expr::Function(call), [column], false) =
            (&view.lateral_view, view.lateral_col_alias.as_slice(), view.outer)
        else {
            return 0;
        };
        let (Some(name), Some(arguments)) = (super::name(call), super::arguments(call)) else { return 0 };
        let Some(values) = super::relations::of_call(&name, &arguments) else { return 0 };
        let rows: Vec<String> = values.into_iter().map(|value| format!("({value})")).collect();
        let table = format!("(VALUES {}) AS {} ({column})", rows.join(", "), view.lateral_view_name);
        written = written.saturating_add(table.len());
        let Some(table) = super::parsed_table(&table) else { return 0 };
        lists.push(table);
    }
    select.lateral_views.clear();
    for relation in lists {
        select.from.push(TableWithJoins { relation, joins: vec![] });
    }
    written
}
