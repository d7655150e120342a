//! Which columns of which tables does a plan touch, and in which position?

use std::collections::{BTreeMap, BTreeSet, HashMap};

use datafusion::{
    common::{
        Column, DFSchema, Result,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Distinct, Expr, LogicalPlan},
};

use super::catalogued;
use crate::terms::{ColumnUse, Position, Touched};

/// A column of a stored table: schema, table, column.
type Stored = (String, String, String);

/// What was found already: by the address of a step, which stands still while the plan is walked, and a column of its
/// output. Without it a column that each step reads twice would be followed twice as often at each.
type Trail = HashMap<(*const LogicalPlan, Column), BTreeSet<Stored>>;

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
    let mut trail = Trail::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(table) = catalogued(scan)
        {
            seen.tables.insert((table.schema.clone(), table.name.clone()));
        }
        for (expr, position) in positions(node) {
            let stored = origins(&expr, node, &mut trail)?;
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
        LogicalPlan::Distinct(Distinct::On(on)) => {
            let sorted = on.sort_expr.iter().flatten().map(|sort| &sort.expr);
            let chosen = on.on_expr.iter().chain(sorted).map(|e| (e.clone(), Some(Position::Filter)));
            chosen.chain(on.select_expr.iter().map(|e| (e.clone(), None))).collect()
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
fn origins(expr: &Expr, node: &LogicalPlan, trail: &mut Trail) -> Result<BTreeSet<Stored>> {
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
            stored.extend(origins(outer, node, trail)?);
        }
        let column = match e {
            Expr::Column(column) | Expr::OuterReferenceColumn(_, column) => column,
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        for input in &inputs {
            stored.extend(follow(column, input, trail)?);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(stored)
}

/// The stored columns from which `column` of `plan`'s output is computed.
fn follow(column: &Column, plan: &LogicalPlan, trail: &mut Trail) -> Result<BTreeSet<Stored>> {
    let place = (std::ptr::from_ref(plan), column.clone());
    if let Some(known) = trail.get(&place) {
        return Ok(known.clone());
    }
    let found = follow_once(column, plan, trail)?;
    trail.insert(place, found.clone());
    Ok(found)
}

fn follow_once(column: &Column, plan: &LogicalPlan, trail: &mut Trail) -> Result<BTreeSet<Stored>> {
    let Some(index) = plan.schema().maybe_index_of_column(column) else { return Ok(BTreeSet::new()) };
    let computed = |expr: Option<&Expr>, trail: &mut Trail| match expr {
        Some(expr) => origins(expr, plan, trail),
        None => Ok(BTreeSet::new()),
    };
    match plan {
        LogicalPlan::TableScan(scan) => {
            let table = catalogued(scan).into_iter();
            Ok(table.map(|t| (t.schema.clone(), t.name.clone(), column.name.clone())).collect())
        }
        LogicalPlan::Projection(projection) => computed(projection.expr.get(index), trail),
        // It names its columns itself, as a SELECT list does.
        LogicalPlan::Distinct(Distinct::On(on)) => computed(on.select_expr.get(index), trail),
        LogicalPlan::Aggregate(aggregate) => {
            computed(aggregate.group_expr.iter().chain(&aggregate.aggr_expr).nth(index), trail)
        }
        LogicalPlan::Window(window) => {
            let passed = window.input.schema().fields().len();
            match index.checked_sub(passed).and_then(|i| window.window_expr.get(i)) {
                Some(expr) => computed(Some(expr), trail),
                None => follow_index(index, window.input.schema(), &window.input, trail),
            }
        }
        LogicalPlan::SubqueryAlias(alias) => follow_index(index, alias.input.schema(), &alias.input, trail),
        LogicalPlan::Union(union) => {
            let mut stored = BTreeSet::new();
            for input in &union.inputs {
                stored.extend(follow_index(index, input.schema(), input, trail)?);
            }
            Ok(stored)
        }
        other => {
            let mut stored = BTreeSet::new();
            for input in other.inputs() {
                stored.extend(follow(column, input, trail)?);
            }
            Ok(stored)
        }
    }
}

fn follow_index(index: usize, schema: &DFSchema, plan: &LogicalPlan, trail: &mut Trail) -> Result<BTreeSet<Stored>> {
    match schema.iter().nth(index) {
        Some(field) => follow(&Column::from(field), plan, trail),
        None => Ok(BTreeSet::new()),
    }
}
