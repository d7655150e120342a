//! Which column of the subquery between does a subquery two levels deep mean?

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Query, SelectItem, SetExpr, VisitMut, VisitorMut,
};

use super::items::names;

/// In `EXISTS (... WHERE c.person_id = p.person_id AND NOT EXISTS (... d.person_id = p.person_id))` the inner one reads `p`
/// over the head of the one between, which the engine does not resolve. Wherever a row of the one between is kept,
/// `p.person_id` is `c.person_id`, so that stands there instead.
pub(super) fn nearer(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let here = names(select);
    let mut equal = vec![];
    if let Some(condition) = &select.selection {
        equals(condition, &here, &mut equal);
    }
    if equal.is_empty() {
        return;
    }
    // What is equal to the same column is equal: `a.person_id = p.person_id AND b.person_id = p.person_id`.
    for (place, (outer, inner)) in equal.iter().enumerate() {
        let before = equal.iter().take(place).find(|(other, _)| other == outer);
        if let (Some((_, first)), Some(condition)) = (before, &mut select.selection)
            && let Some(more) = super::parsed(&format!("({condition}) AND {first} = {inner}"))
        {
            *condition = more;
        }
    }
    // Subqueries in FROM do not see the tables beside them.
    let mut nearer = Nearer { equal, depth: 0, declared: vec![] };
    let _ = VisitMut::visit(&mut select.selection, &mut nearer);
    let _ = VisitMut::visit(&mut select.projection, &mut nearer);
}

/// `(SELECT c.concept_name FROM concept c WHERE c.concept_id = v.visit_concept_id)` looks one value up: it is the greatest of
/// the one that there is.
pub(super) fn looked_up(query: &Query) -> Option<String> {
    let plain = query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none();
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let single = plain && select.distinct.is_none() && select.having.is_none() && select.qualify.is_none();
    let ungrouped =
        matches!(&select.group_by, GroupByExpr::Expressions(keys, sets) if keys.is_empty() && sets.is_empty());
    let [SelectItem::UnnamedExpr(column) | SelectItem::ExprWithAlias { expr: column, .. }] =
        select.projection.as_slice()
    else {
        return None;
    };
    let is_column = matches!(column, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
    let here = names(select);
    let mut outside = vec![];
    equals(select.selection.as_ref()?, &here, &mut outside);
    if !single || !ungrouped || !is_column || outside.is_empty() {
        return None;
    }
    let mut greatest = query.clone();
    let SetExpr::Select(select) = greatest.body.as_mut() else { return None };
    select.projection = vec![SelectItem::UnnamedExpr(super::parsed(&format!("max({column})"))?)];
    Some(format!("({greatest})"))
}

/// Columns from outside, each with one from `here` that is equal to it in every row that is kept.
fn equals(condition: &Expr, here: &[String], found: &mut Vec<(String, Expr)>) {
    match condition {
        Expr::Nested(inner) => equals(inner, here, found),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            equals(left, here, found);
            equals(right, here, found);
        }
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            for (inner, outer) in [(left, right), (right, left)] {
                let (Some(inside), Some(outside)) = (qualifier(inner), qualifier(outer)) else { continue };
                if here.contains(&inside) && !here.contains(&outside) {
                    found.push((outer.to_string().to_ascii_lowercase(), inner.as_ref().clone()));
                }
            }
        }
        _ => {}
    }
}

fn qualifier(expr: &Expr) -> Option<String> {
    match expr {
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [table, _] => Some(table.value.to_ascii_lowercase()),
            _ => None,
        },
        _ => None,
    }
}

struct Nearer {
    equal: Vec<(String, Expr)>,
    depth: usize,
    /// The names that the subqueries declare which are open.
    declared: Vec<Vec<String>>,
}

impl VisitorMut for Nearer {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        self.declared.push(match query.body.as_ref() {
            SetExpr::Select(select) => names(select),
            _ => vec![],
        });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth = self.depth.saturating_sub(1);
        self.declared.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Some(table) = qualifier(expr).filter(|_| self.depth > 0) else { return ControlFlow::Continue(()) };
        if self.declared.iter().any(|names| names.contains(&table)) {
            return ControlFlow::Continue(());
        }
        let text = expr.to_string().to_ascii_lowercase();
        if let Some((_, nearer)) = self.equal.iter().find(|(outer, nearer)| {
            // A name that is declared anew further in does not mean this one.
            let hidden = qualifier(nearer).is_none_or(|name| self.declared.iter().any(|names| names.contains(&name)));
            *outer == text && !hidden
        }) {
            *expr = nearer.clone();
        }
        ControlFlow::Continue(())
    }
}
