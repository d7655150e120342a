//! Under which names does a SELECT read tables and show columns?

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, Select, SelectItem, TableFactor, Visit, Visitor};

/// The names, in small letters, under which the FROM of `select` reads tables.
pub(super) fn names(select: &Select) -> Vec<String> {
    let mut names = Names { own: true, depth: 0, found: vec![] };
    let _ = Visit::visit(&select.from, &mut names);
    names.found
}

/// The same of all its parts, subqueries as well.
pub(super) fn all_names(select: &Select) -> Vec<String> {
    let mut names = Names { own: false, depth: 0, found: vec![] };
    let _ = Visit::visit(select, &mut names);
    names.found
}

struct Names {
    own: bool,
    depth: usize,
    found: Vec<String>,
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, relation: &TableFactor) -> ControlFlow<()> {
        if self.depth == 0 || !self.own {
            self.found.extend(table_name(relation));
        }
        ControlFlow::Continue(())
    }
}

/// The name under which a table or subquery of FROM is read, in small letters.
pub(super) fn table_name(relation: &TableFactor) -> Option<String> {
    let name = match relation {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. } => &alias.name,
        TableFactor::Table { name, .. } => name.0.last()?.as_ident()?,
        _ => return None,
    };
    Some(name.value.to_ascii_lowercase())
}

/// Whether `table` stands exactly once among `names`.
pub(super) fn once(names: &[String], table: &Ident) -> bool {
    names.iter().filter(|name| name.eq_ignore_ascii_case(&table.value)).count() == 1
}

pub(super) fn expression(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

/// What an item is called, where it has an alias or is a column.
pub(super) fn item_name(item: &SelectItem) -> Option<Ident> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.clone()),
        item => last(expression(item)?),
    }
}

/// The name of a column.
pub(super) fn last(expr: &Expr) -> Option<Ident> {
    match expr {
        Expr::Identifier(name) => Some(name.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().cloned(),
        _ => None,
    }
}

pub(super) fn same(a: &Ident, b: &Ident) -> bool {
    a.value.eq_ignore_ascii_case(&b.value)
}
