//! How can columns that the engine would call alike stand side by side?
//!
//! The engine names a column by its expression without its casts: `AVG(x), AVG(x::numeric)` and `COUNT(*), COUNT(*)` are
//! two columns of one name to it, which it refuses. A second one is called after its function, as PostgreSQL calls it,
//! with its number; and casts are kept apart by COALESCE, which of one value is that value.

use std::{collections::BTreeSet, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectNamePart, Select, SelectItem, Statement, VisitMut, VisitorMut,
};

use super::bare;

/// `statement` with a name of its own for each column. For what could not be planned otherwise: names change.
pub(in crate::sql) fn told_apart(mut statement: Statement) -> Statement {
    let mut named = Named { casts: vec![] };
    let _ = VisitMut::visit(&mut statement, &mut named);
    statement
}

/// `statement` with PostgreSQL's name for each column that has none of its own, `count` and `date_trunc`, where only one
/// would have it.
pub(in crate::sql) fn named_as_postgres(mut statement: Statement) -> Statement {
    let _ = VisitMut::visit(&mut statement, &mut AsPostgres);
    statement
}

struct AsPostgres;

impl VisitorMut for AsPostgres {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let names: Vec<String> =
            select.projection.iter().filter_map(|item| named(item).or_else(|| called(item))).collect();
        for item in &mut select.projection {
            let name = called(item).filter(|name| names.iter().filter(|other| *other == name).count() == 1);
            if let (SelectItem::UnnamedExpr(expr), Some(name)) = (&*item, name) {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', name) };
            }
        }
        ControlFlow::Continue(())
    }
}

/// What PostgreSQL calls a column without a name of its own; `None` where it has one.
fn called(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(expr) if named(item).is_none() => match stem(expr) {
            stem if stem == NAMELESS => Some("?column?".to_owned()),
            stem => Some(stem),
        },
        _ => None,
    }
}

/// The types that are cast to, each once.
struct Named {
    casts: Vec<String>,
}

impl VisitorMut for Named {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let mut taken: BTreeSet<String> = select.projection.iter().filter_map(named).collect();
        let mut seen = BTreeSet::new();
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item
                && !seen.insert(without_casts(expr))
            {
                let stem = stem(expr);
                let alias = (2..).map(|n: usize| format!("{stem}_{n}")).find(|alias| taken.insert(alias.clone()));
                let alias = Ident::with_quote('"', alias.unwrap_or(stem));
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.keep_apart(expr);
        ControlFlow::Continue(())
    }
}

impl Named {
    /// As many times COALESCE as there are types before this one, and once more.
    fn keep_apart(&mut self, cast: &mut Expr) {
        let Expr::Cast { expr, data_type, .. } = &*cast else { return };
        if matches!(bare(expr), Expr::Value(_) | Expr::TypedString(_)) {
            return;
        }
        let to = data_type.to_string();
        let place = self.casts.iter().position(|known| *known == to).unwrap_or_else(|| {
            self.casts.push(to);
            self.casts.len() - 1
        });
        let text = format!("{}{cast}{}", "coalesce(".repeat(place + 1), ")".repeat(place + 1));
        if let Some(apart) = super::parsed(&text) {
            *cast = apart;
        }
    }
}

fn named(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.to_ascii_lowercase()),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.value.to_ascii_lowercase()),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(|p| p.value.to_ascii_lowercase()),
        _ => None,
    }
}

/// What PostgreSQL would call it.
fn stem(expr: &Expr) -> String {
    let last = match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => return stem(inner),
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(parts) => parts.last(),
        Expr::Function(call) => call.name.0.last().and_then(ObjectNamePart::as_ident),
        Expr::Case { .. } => return "case".to_owned(),
        Expr::Extract { .. } => return "extract".to_owned(),
        _ => None,
    };
    last.map_or_else(|| NAMELESS.to_owned(), |name| name.value.to_ascii_lowercase())
}

/// What is called after nothing.
const NAMELESS: &str = "column";

/// The text of `expr` as the engine would name it.
fn without_casts(expr: &Expr) -> String {
    let mut plain = expr.clone();
    let _ = VisitMut::visit(&mut plain, &mut Bare);
    plain.to_string().to_ascii_lowercase()
}

struct Bare;

impl VisitorMut for Bare {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Cast { expr: inner, .. } | Expr::Nested(inner) = expr {
            *expr = inner.as_ref().clone();
        }
        ControlFlow::Continue(())
    }
}
