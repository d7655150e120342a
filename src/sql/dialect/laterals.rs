//! Which LATERAL sides are columns or lists?

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, JoinConstraint, JoinOperator, OrderByKind, Query, Select, SelectItem, SetExpr, TableFactor,
    TableWithJoins, Value, VisitMut, VisitorMut, visit_expressions,
};

use super::items::{all_names, expression, last, once, same};

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
    let names = all_names(select);
    let once = |table: &Ident| once(&names, table);
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

/// Puts what stands for them in the place of columns of `table`.
pub(super) struct Written {
    pub(super) table: Ident,
    /// Each with the nodes of what stands for it.
    pub(super) columns: Vec<(Ident, usize, Expr)>,
    pub(super) depth: usize,
    pub(super) copied: usize,
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

/// Whether a join takes all pairs.
pub(super) fn on_true(operator: &JoinOperator) -> bool {
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
