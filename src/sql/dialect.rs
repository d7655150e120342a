//! Which ways of writing does the engine lack that PostgreSQL, SQL Server or others have?
//!
//! They become expressions that it has, before anything is planned: so what may be done with them, and between which
//! bounds they lie, is known as for any other. AGE exists inside EXTRACT of years and months alone, where it is a count.

mod calls;
mod dates;
mod formats;
mod names;
mod patterns;
mod relations;
mod series;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{
        Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Select, Statement, TableFactor, Value,
        VisitMut, VisitorMut,
    },
    parser::Parser,
};

pub(super) use names::told_apart;

use super::steps::Postgres;
use crate::terms::Refusal;

/// Names of functions that the engine has under another one.
pub(super) const ALIASES: [(&str, &str); 11] = [
    ("ceiling", "ceil"),
    ("date_from_parts", "make_date"),
    ("datefromparts", "make_date"),
    ("getdate", "now"),
    ("isnull", "coalesce"),
    ("lcase", "lower"),
    ("len", "character_length"),
    ("localtimestamp", "now"),
    ("sign", "signum"),
    ("sysdatetime", "now"),
    ("ucase", "upper"),
];

/// Longer expressions stay as they are: each rewrite repeats its arguments.
const TEXT_MAX: usize = 8192;

/// `statement` in the engine's own words.
///
/// # Errors
/// [`Refusal`] for what the engine would read as something else than its writer means.
pub(super) fn spoken(mut statement: Statement) -> Result<Statement, Refusal> {
    match VisitMut::visit(&mut statement, &mut Spoken) {
        ControlFlow::Break(refusal) => Err(refusal),
        ControlFlow::Continue(()) => Ok(statement),
    }
}

struct Spoken;

impl VisitorMut for Spoken {
    type Break = Refusal;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Refusal> {
        if let Expr::Function(call) = expr {
            calls::rename(call);
        }
        if let Some(refusal) = formats::unknown(expr).or_else(|| patterns::unknown(expr)) {
            return ControlFlow::Break(refusal);
        }
        if let Some(other) = rewritten(expr) {
            *expr = other;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, relation: &mut TableFactor) -> ControlFlow<Refusal> {
        if let Some(refusal) = relations::ignored(relation) {
            return ControlFlow::Break(refusal);
        }
        if let Some(text) = relations::listed(relation)
            && let Ok(mut parser) = Parser::new(&Postgres::default()).try_with_sql(&text)
            && let Ok(other) = parser.parse_table_factor()
        {
            *relation = other;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<Refusal> {
        relations::rows_in_where(select);
        relations::apply_as_lateral(select);
        relations::keys_by_number(select);
        series::from_select(select);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Refusal> {
        relations::fetch_as_limit(query);
        relations::top_as_limit(query);
        ControlFlow::Continue(())
    }
}

fn rewritten(expr: &Expr) -> Option<Expr> {
    let text = match expr {
        Expr::Function(call) => calls::rewritten(call)?,
        Expr::Extract { field, expr, .. } => dates::extracted(field, expr)?,
        Expr::BinaryOp { left, op, right } => {
            relations::overlaps(left, op, right).or_else(|| dates::arithmetic(left, op, right))?
        }
        Expr::Cast { expr, data_type, .. } => calls::cast(expr, data_type)?,
        Expr::Convert { is_try: false, expr, data_type: Some(to), styles, .. } => calls::converted(expr, to, styles)?,
        Expr::CompoundFieldAccess { root, access_chain } => calls::first_of_array(root, access_chain)?,
        Expr::InList { expr, list, negated } => relations::row_in_list(expr, list, *negated)?,
        Expr::Like { .. } | Expr::ILike { .. } | Expr::SimilarTo { .. } => patterns::rewritten(expr)?,
        Expr::AnyOp { left, compare_op, right, .. } => relations::any_of(left, compare_op, right)?,
        Expr::AllOp { left, compare_op, right } => relations::none_of(left, compare_op, right)?,
        _ => return None,
    };
    parsed(&text)
}

/// `text` as an expression; `None` where it is too long or none.
fn parsed(text: &str) -> Option<Expr> {
    if text.len() > TEXT_MAX {
        return None;
    }
    Parser::new(&Postgres::default()).try_with_sql(text).ok()?.parse_expr().ok()
}

/// The name of a plain call.
fn name(call: &Function) -> Option<String> {
    match call.name.0.as_slice() {
        [part] if call.over.is_none() && call.filter.is_none() => part.as_ident().map(|i| i.value.to_ascii_lowercase()),
        _ => None,
    }
}

fn arguments(call: &Function) -> Option<Vec<&Expr>> {
    let FunctionArguments::List(list) = &call.args else { return None };
    let plain = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    plain.collect()
}

/// A quoted text.
fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// A whole number as it is written.
fn whole(expr: &Expr) -> Option<i64> {
    expr.to_string().replace(' ', "").parse().ok()
}

/// `expr` without parentheses around it.
fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => bare(inner),
        other => other,
    }
}

#[cfg(test)]
mod tests;
