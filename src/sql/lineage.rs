//! Which columns of which tables does a plan touch, and in which position?

use std::collections::{BTreeMap, BTreeSet};

use datafusion::{
    common::{
        Column, DFSchema, Result,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, LogicalPlan},
};

use super::catalogued;
use crate::terms::{ColumnUse, Position, Touched};

/// A column of a stored table: schema, table, column.
type Stored = (String, String, String);

/// Every table and column below `plan`, also inside subqueries of expressions.
///
/// A column counts in the position where its value is used, however many SELECT lists passed it on; one that is only
/// passed on counts as grouped, since that is how it would come out.
///
/// # Errors
/// Only those of walking the plan.
pub fn touched(plan: &LogicalPlan) -> Result<Touched> {
    let mut seen = Touched::default();
    let mut passed_on: BTreeSet<Stored> = BTreeSet::new();
    let mut uses: BTreeMap<Stored, BTreeSet<Position>> = BTreeMap::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(table) = catalogued(scan)
        {
            seen.tables.insert((table.schema.clone(), table.name.clone()));
        }
        for (expr, position) in positions(node) {
            let stored = origins(&expr, node)?;
            match position {
                Some(position) => stored.into_iter().for_each(|s| {
                    uses.entry(s).or_default().insert(position);
                }),
                None => passed_on.extend(stored),
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    for stored in passed_on {
        uses.entry(stored).or_insert_with(|| BTreeSet::from([Position::Group]));
    }
    for ((schema, table, column), positions) in uses {
        for position in positions {
            let (schema, table, column) = (schema.clone(), table.clone(), column.clone());
            seen.columns.insert(ColumnUse { schema, table, column, position });
        }
    }
    Ok(seen)
}

/// The expressions of one node with the position that each gives to its columns; `None` where it only passes them on.
fn positions(node: &LogicalPlan) -> Vec<(Expr, Option<Position>)> {
    match node {
        LogicalPlan::Projection(projection) => projection.expr.iter().map(|e| (e.clone(), None)).collect(),
        LogicalPlan::Aggregate(aggregate) => {
            let groups = aggregate.group_expr.iter().map(|e| (e.clone(), Some(Position::Group)));
            let mut all: Vec<_> = groups.collect();
            for expr in &aggregate.aggr_expr {
                all.push((expr.clone(), Some(Position::Aggregate)));
                if let Expr::AggregateFunction(function) = expr.clone().unalias_nested().data {
                    all.extend(function.params.filter.map(|f| (*f, Some(Position::Filter))));
                }
            }
            all
        }
        LogicalPlan::Join(join) => {
            let mut all = vec![];
            let _ = node.apply_expressions(|e| {
                all.push((e.clone(), Some(Position::Filter)));
                Ok(TreeNodeRecursion::Continue)
            });
            // LATERAL: the right side reads columns of the left.
            let _ = join.right.apply(|inner| {
                if let LogicalPlan::Subquery(lateral) = inner {
                    all.extend(lateral.outer_ref_columns.iter().map(|e| (e.clone(), Some(Position::Filter))));
                }
                Ok(TreeNodeRecursion::Continue)
            });
            all
        }
        other => {
            let mut all = vec![];
            let _ = other.apply_expressions(|e| {
                all.push((e.clone(), Some(Position::Filter)));
                Ok(TreeNodeRecursion::Continue)
            });
            all
        }
    }
}

/// The stored columns that `expr`, evaluated over the inputs of `node`, reads.
fn origins(expr: &Expr, node: &LogicalPlan) -> Result<BTreeSet<Stored>> {
    let mut stored = BTreeSet::new();
    let inputs: Vec<&LogicalPlan> = match node {
        LogicalPlan::TableScan(_) => vec![node],
        other => other.inputs(),
    };
    expr.apply(|e| {
        let subquery = match e {
            Expr::ScalarSubquery(subquery) => Some(subquery),
            Expr::Exists(exists) => Some(&exists.subquery),
            Expr::InSubquery(within) => Some(&within.subquery),
            Expr::SetComparison(any) => Some(&any.subquery),
            _ => None,
        };
        // What a correlated subquery reads of the step around it stands in no expression of that step.
        for outer in subquery.iter().flat_map(|s| &s.outer_ref_columns) {
            stored.extend(origins(outer, node)?);
        }
        let column = match e {
            Expr::Column(column) | Expr::OuterReferenceColumn(_, column) => column,
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        for input in &inputs {
            follow(column, input, &mut stored)?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(stored)
}

/// Adds the stored columns from which `column` of `plan`'s output is computed.
fn follow(column: &Column, plan: &LogicalPlan, stored: &mut BTreeSet<Stored>) -> Result<()> {
    let Some(index) = plan.schema().maybe_index_of_column(column) else { return Ok(()) };
    match plan {
        LogicalPlan::TableScan(scan) => {
            if let Some(table) = catalogued(scan) {
                stored.insert((table.schema.clone(), table.name.clone(), column.name.clone()));
            }
            Ok(())
        }
        LogicalPlan::Projection(projection) => match projection.expr.get(index) {
            Some(expr) => add(expr, plan, stored),
            None => Ok(()),
        },
        LogicalPlan::Aggregate(aggregate) => match aggregate.group_expr.iter().chain(&aggregate.aggr_expr).nth(index) {
            Some(expr) => add(expr, plan, stored),
            None => Ok(()),
        },
        LogicalPlan::Window(window) => {
            let passed = window.input.schema().fields().len();
            match index.checked_sub(passed).and_then(|i| window.window_expr.get(i)) {
                Some(expr) => add(expr, plan, stored),
                None => follow_index(index, window.input.schema(), &window.input, stored),
            }
        }
        LogicalPlan::SubqueryAlias(alias) => follow_index(index, alias.input.schema(), &alias.input, stored),
        LogicalPlan::Union(union) => {
            union.inputs.iter().try_for_each(|input| follow_index(index, input.schema(), input, stored))
        }
        other => other.inputs().into_iter().try_for_each(|input| follow(column, input, stored)),
    }
}

fn follow_index(index: usize, schema: &DFSchema, plan: &LogicalPlan, stored: &mut BTreeSet<Stored>) -> Result<()> {
    match schema.iter().nth(index) {
        Some(field) => follow(&Column::from(field), plan, stored),
        None => Ok(()),
    }
}

fn add(expr: &Expr, node: &LogicalPlan, stored: &mut BTreeSet<Stored>) -> Result<()> {
    stored.extend(origins(expr, node)?);
    Ok(())
}
