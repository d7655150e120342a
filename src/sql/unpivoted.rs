//! Which rows does `LATERAL (VALUES ('low', t.low), ('high', t.high))` make of each row of what stands before it?
//!
//! As many as it lists: so it is a join with the numbers of its entries, and each of its columns chooses by that number.

use std::sync::Arc;

use datafusion::{
    common::{
        Column, Result,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    logical_expr::{
        Case, Cast, Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias, Values, lit,
    },
};

use super::laterals::{joins_on_true, lateral};

/// `plan` with every such LATERAL as a join. Others stay.
///
/// # Errors
/// Only those of building steps.
pub(super) fn unpivoted(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut made = 0_usize;
    plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Join(join) = &node else { return Ok(Transformed::no(node)) };
        match joined(join, &format!("__sekisho_entry_{made}"))? {
            Some(plan) => {
                made += 1;
                Ok(Transformed::yes(plan))
            }
            None => Ok(Transformed::no(node)),
        }
    })
    .data()
}

fn joined(join: &Join, name: &str) -> Result<Option<LogicalPlan>> {
    let Some(lateral) = lateral(&join.right) else { return Ok(None) };
    // It lists an entry at least, so that no row is lost and none is missing.
    if !joins_on_true(join) {
        return Ok(None);
    }
    let Some(entries) = entries(&lateral.subquery)? else { return Ok(None) };
    let mut numbers = (0_i64..).map(|number| vec![lit(number)]);
    let list = LogicalPlanBuilder::values(numbers.by_ref().take(entries.len()).collect())?.build()?;
    let list = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(list), name)?);
    let number = list.schema().iter().next().map(|field| Expr::Column(Column::from(field)));
    let Some(number) = number else { return Ok(None) };
    let plan = LogicalPlanBuilder::from(join.left.as_ref().clone()).cross_join(list)?.build()?;
    let mut items: Vec<Expr> = join.left.schema().iter().map(|field| Expr::Column(Column::from(field))).collect();
    for (index, (relation, field)) in join.right.schema().iter().enumerate() {
        let mut branches = vec![];
        for (entry, place) in entries.iter().zip(0_i64..) {
            let Some(value) = entry.get(index) else { return Ok(None) };
            let same = value.get_type(plan.schema())? == *field.data_type();
            let value = match same {
                true => value.clone(),
                false => Expr::Cast(Cast::new(Box::new(value.clone()), field.data_type().clone())),
            };
            branches.push((Box::new(lit(place)), Box::new(value)));
        }
        let chosen = Case::new(Some(Box::new(number.clone())), branches, None);
        items.push(Expr::Case(chosen).alias_qualified(relation.cloned(), field.name()));
    }
    Ok(Some(LogicalPlan::Projection(Projection::try_new(items, Arc::new(plan))?)))
}

/// The columns of each entry as expressions over the row before it; `None` where it is no list of such.
fn entries(plan: &LogicalPlan) -> Result<Option<Vec<Vec<Expr>>>> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => entries(&alias.input),
        LogicalPlan::Values(Values { values, .. }) => {
            values.iter().map(|row| row.iter().map(of_row_before).collect()).collect::<Result<_>>().map(Some)
        }
        LogicalPlan::Projection(projection) => {
            let Some(below) = entries(&projection.input)? else { return Ok(None) };
            let schema = projection.input.schema();
            let places = projection.expr.iter().map(|item| match item.clone().unalias_nested().data {
                Expr::Column(column) => schema.maybe_index_of_column(&column),
                _ => None,
            });
            let Some(places) = places.collect::<Option<Vec<usize>>>() else { return Ok(None) };
            let chosen = below.iter().map(|row| places.iter().map(|place| row.get(*place).cloned()).collect());
            Ok(chosen.collect())
        }
        _ => Ok(None),
    }
}

/// What reads the row before from inside reads it as its own column outside.
fn of_row_before(expr: &Expr) -> Result<Expr> {
    let read = expr.clone().transform_up(|e| match e {
        Expr::OuterReferenceColumn(_, column) => Ok(Transformed::yes(Expr::Column(column))),
        other => Ok(Transformed::no(other)),
    });
    read.data()
}
