//! How is the work that one person can cause kept within the public bound W?
//!
//! Where declared row counts multiply beyond W, a person-local cut is inserted: a person whose rows at that step exceed
//! W contributes nothing from there on. It is decided from that person's rows alone, so it is part of the per-person
//! step and changes nobody else's contribution.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    common::Column,
    logical_expr::{Expr, ExprFunctionExt, Filter, LogicalPlan, WindowFunctionDefinition, expr::WindowFunction, lit},
    logical_expr::{Window, WindowFrame},
};

use super::{
    expression::refused,
    facts::Facts,
    typing::{Owned, Walk, built},
};
use crate::{
    sql::{Standing, catalogued, vocabulary},
    terms::Refusal,
};

/// Both sides of a join of persons' rows with their rows per person counted, and the condition that keeps the product
/// within W.
pub(super) fn before_join(
    walk: &mut Walk<'_>,
    left: Owned,
    right: Owned,
) -> Result<(Owned, Owned, Option<Expr>), Refusal> {
    let most = walk.bounds.work_rows_max;
    let (left, left_rows) = counted(walk, left)?;
    let (right, right_rows) = counted(walk, right)?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    Ok((left, right, Some((left_rows * right_rows).lt_eq(lit(most)))))
}

/// The step without the persons who have more than W rows in it.
pub(super) fn after(walk: &mut Walk<'_>, owned: Owned) -> Result<Owned, Refusal> {
    let most = walk.bounds.work_rows_max;
    let (owned, rows) = counted(walk, owned)?;
    let condition = rows.lt_eq(lit(i64::try_from(most).unwrap_or(i64::MAX)));
    let plan = LogicalPlan::Filter(built(Filter::try_new(condition, Arc::new(owned.plan)))?);
    Ok(Owned { plan, rows_max: most, ..owned })
}

/// The step with one hidden column more: how many rows the person has in it.
fn counted(walk: &mut Walk<'_>, owned: Owned) -> Result<(Owned, Expr), Refusal> {
    let name = walk.fresh("rows");
    let count = vocabulary().aggregate("count").ok_or_else(|| refused("COUNT", "it is missing"))?;
    let owner = owned.owner_key().ok_or_else(|| refused("this join", "select person_id in the subquery"))?;
    let window = WindowFunction::new(WindowFunctionDefinition::AggregateUDF(count), vec![lit(1_i64)]);
    let window = built(Expr::from(window).partition_by(vec![owner]).window_frame(WindowFrame::new(None)).build())?;
    let window = window.alias(name.clone());
    let plan = LogicalPlan::Window(built(Window::try_new(vec![window], Arc::new(owned.plan)))?);
    let mut facts = owned.facts;
    facts.push(Facts { fixed: true, nullable: false, ..Facts::unknown() });
    Ok((Owned { plan, facts, ..owned }, Expr::Column(Column::from_name(name))))
}

/// The columns of a public step that hold each value at most once: those of a table, passed on by name.
pub(super) fn unique_columns(plan: &LogicalPlan) -> BTreeSet<Column> {
    match plan {
        LogicalPlan::TableScan(scan) => match catalogued(scan).map(|t| &t.standing) {
            Some(Standing::Public { unique, .. } | Standing::Reference { unique }) => {
                plan.schema().iter().filter(|(_, f)| unique.contains(f.name())).map(Column::from).collect()
            }
            _ => BTreeSet::new(),
        },
        LogicalPlan::Filter(filter) => unique_columns(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => {
            let below = unique_columns(&alias.input);
            let renamed = alias.input.schema().iter().zip(alias.schema.iter());
            renamed.filter(|(from, _)| below.contains(&Column::from(*from))).map(|(_, to)| Column::from(to)).collect()
        }
        LogicalPlan::Projection(projection) => {
            let below = unique_columns(&projection.input);
            let items = projection.expr.iter().zip(projection.schema.iter());
            items
                .filter(
                    |(item, _)| matches!((*item).clone().unalias_nested().data, Expr::Column(c) if below.contains(&c)),
                )
                .map(|(_, field)| Column::from(field))
                .collect()
        }
        _ => BTreeSet::new(),
    }
}

/// How many rows a public step has at most; `None` where that is not known without running it.
pub(super) fn rows(plan: &LogicalPlan) -> Option<u64> {
    match plan {
        LogicalPlan::TableScan(scan) => match catalogued(scan).map(|t| &t.standing) {
            Some(Standing::Public { rows, .. }) => Some(*rows),
            _ => None,
        },
        LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Projection(_) | LogicalPlan::Sort(_) => {
            plan.inputs().first().and_then(|input| rows(input))
        }
        LogicalPlan::Values(values) => u64::try_from(values.values.len()).ok(),
        LogicalPlan::EmptyRelation(_) => Some(1),
        _ => None,
    }
}
