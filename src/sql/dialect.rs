//! Which ways of writing does the engine lack that PostgreSQL, SQL Server or others have?
//!
//! They become expressions that it has, before anything is planned: so what may be done with them, and between which
//! bounds they lie, is known as for any other. AGE exists inside EXTRACT of years and months alone, where it is a count.

mod calls;
mod dates;
mod distinct;
mod formats;
mod items;
mod keys;
mod lateral_rows;
mod laterals;
mod names;
mod patterns;
mod pivots;
mod reach;
mod recursions;
mod relations;
mod series;
mod windows;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{
        Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Select, Statement, TableFactor, Value,
        VisitMut, VisitorMut, visit_expressions,
    },
    parser::Parser,
};

pub(super) use dates::dated_literals;
pub(super) use names::{named_as_postgres, told_apart};

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
    distinct::regrouped(&mut statement);
    match VisitMut::visit(&mut statement, &mut Spoken { left: WRITTEN_MAX }) {
        ControlFlow::Break(refusal) => Err(refusal),
        ControlFlow::Continue(()) => Ok(statement),
    }
}

/// How much all rewritings of a statement may write: bytes of text, or as many for each node that is copied.
const WRITTEN_MAX: usize = 1 << 20;

struct Spoken {
    left: usize,
}

impl Spoken {
    /// Takes from what may be written.
    fn spend(&mut self, bytes: usize) -> ControlFlow<Refusal> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                ControlFlow::Continue(())
            }
            None => {
                ControlFlow::Break(Refusal::TooComplex { limit: "fewer lists and shorter repeated expressions".into() })
            }
        }
    }
}

impl VisitorMut for Spoken {
    type Break = Refusal;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Refusal> {
        // What its parts would hide once they are rewritten.
        let text = match &*expr {
            Expr::CompoundFieldAccess { root, access_chain } => calls::one_of_percentiles(root, access_chain),
            other => calls::first_day(other).or_else(|| dates::of_numbers(other)),
        };
        if let Some(other) = text.and_then(|text| parsed(&text)) {
            *expr = other;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Refusal> {
        if let Expr::Function(call) = expr {
            calls::rename(call);
        }
        if let Some(refusal) =
            formats::unknown(expr).or_else(|| patterns::unknown(expr)).or_else(|| calls::unknown(expr))
        {
            return ControlFlow::Break(refusal);
        }
        if let Some(text) = rewritten(expr) {
            self.spend(text.len())?;
            if let Some(other) = parsed(&text) {
                *expr = other;
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Refusal> {
        if let Some(refusal) = relations::unknown_sets(&query.body).or_else(|| relations::unknown_ties(query)) {
            return ControlFlow::Break(refusal);
        }
        match recursions::written_out(query) {
            Ok(bytes) => self.spend(bytes),
            Err(refusal) => ControlFlow::Break(refusal),
        }
    }

    fn post_visit_table_factor(&mut self, relation: &mut TableFactor) -> ControlFlow<Refusal> {
        if let Some(refusal) = relations::ignored(relation) {
            return ControlFlow::Break(refusal);
        }
        let text = relations::listed(relation).or_else(|| relations::rows_of_questions(relation));
        let text = text.or_else(|| pivots::as_aggregates(relation));
        if let Some(text) = text {
            self.spend(text.len())?;
            if let Some(other) = parsed_table(&text) {
                *relation = other;
            }
        }
        relations::unknown(relation).map_or(ControlFlow::Continue(()), ControlFlow::Break)
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<Refusal> {
        relations::rows_in_where(select);
        relations::apply_as_lateral(select);
        lateral_rows::any_row(select);
        lateral_rows::of_aggregates(select);
        self.spend(laterals::views(select))?;
        self.spend(relations::keys_by_number(select))?;
        keys::fixed_by_person(select);
        windows::as_groups(select);
        self.spend(series::from_select(select))?;
        relations::unknown_views(select).map_or(ControlFlow::Continue(()), ControlFlow::Break)
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Refusal> {
        relations::fetch_as_limit(query);
        relations::top_as_limit(query);
        self.spend(laterals::columns(query))?;
        reach::nearer(query);
        keys::in_the_answer(query);
        self.spend(keys::hidden_by_the_answer(query))?;
        ControlFlow::Continue(())
    }
}

fn rewritten(expr: &Expr) -> Option<String> {
    Some(match expr {
        Expr::Function(call) => calls::rewritten(call)?,
        Expr::Extract { field, expr, .. } => dates::extracted(field, expr)?,
        Expr::BinaryOp { left, op, right } => {
            let other = relations::overlaps(left, op, right).or_else(|| keys::of_nobody(left, op, right));
            other.or_else(|| dates::arithmetic(left, op, right))?
        }
        Expr::Cast { expr, data_type, .. } => {
            keys::as_it_is(expr, data_type).or_else(|| calls::cast(expr, data_type))?
        }
        Expr::Convert { is_try: false, expr, data_type: Some(to), styles, .. } => calls::converted(expr, to, styles)?,
        Expr::CompoundFieldAccess { root, access_chain } => calls::first_of_array(root, access_chain)?,
        Expr::Interval(interval) => dates::interval(interval)?,
        // Texts are compared byte by byte as it is.
        Expr::Collate { expr, collation } if ["\"C\"", "\"POSIX\"", "C"].contains(&collation.to_string().as_str()) => {
            expr.to_string()
        }
        Expr::Identifier(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("sysdate") => {
            "now()".to_owned()
        }
        Expr::Subquery(query) => reach::looked_up(query)?,
        Expr::InList { expr, list, negated } => relations::row_in_list(expr, list, *negated)?,
        Expr::Like { .. } | Expr::ILike { .. } | Expr::SimilarTo { .. } => patterns::rewritten(expr)?,
        Expr::AnyOp { left, compare_op, right, .. } => relations::any_of(left, compare_op, right)?,
        Expr::AllOp { left, compare_op, right } => relations::none_of(left, compare_op, right)?,
        _ => return None,
    })
}

/// The nodes of `expr`.
fn size(expr: &Expr) -> usize {
    let mut nodes = 0;
    let _ = visit_expressions(expr, |_| {
        nodes += 1;
        ControlFlow::<()>::Continue(())
    });
    nodes
}

/// `text` as an expression; `None` where it is too long or none.
fn parsed(text: &str) -> Option<Expr> {
    if text.len() > TEXT_MAX {
        return None;
    }
    Parser::new(&Postgres::default()).try_with_sql(text).ok()?.parse_expr().ok()
}

/// `text` as a table or subquery of FROM.
fn parsed_table(text: &str) -> Option<TableFactor> {
    Parser::new(&Postgres::default()).try_with_sql(text).ok()?.parse_table_factor().ok()
}

fn parsed_query(text: &str) -> Option<Query> {
    Some(*Parser::new(&Postgres::default()).try_with_sql(text).ok()?.parse_query().ok()?)
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
