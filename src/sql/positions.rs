//! In which position does one step of a plan use each of its expressions?

use datafusion::{
    common::{
        Result,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        BinaryExpr, Distinct, Expr, LogicalPlan, Operator, Partitioning, Subquery, WindowFunctionDefinition,
        utils::split_conjunction,
    },
};

use crate::terms::Position;

/// Functions whose result tells whether a condition holds, as CASE would.
const DECIDING: [&str; 7] = ["contains", "ends_with", "isnan", "iszero", "nullif", "regexp_like", "starts_with"];

/// The expressions of one step, each once, with the position that it gives to its columns; `None` where it only passes
/// them on.
pub(super) fn expressions(step: &LogicalPlan) -> Vec<(&Expr, Option<Position>)> {
    match step {
        LogicalPlan::Projection(projection) => projection.expr.iter().map(|e| (e, None)).collect(),
        LogicalPlan::Values(values) => values.values.iter().flatten().map(|e| (e, None)).collect(),
        LogicalPlan::Aggregate(aggregate) => {
            let groups = aggregate.group_expr.iter().map(|e| (e, Some(Position::Group)));
            groups.chain(aggregate.aggr_expr.iter().map(|e| (e, Some(Position::Aggregate)))).collect()
        }
        LogicalPlan::Distinct(Distinct::On(on)) => {
            let sorted = on.sort_expr.iter().flatten().map(|sort| &sort.expr);
            let chosen = on.on_expr.iter().chain(sorted).map(|e| (e, Some(Position::Filter)));
            chosen.chain(on.select_expr.iter().map(|e| (e, None))).collect()
        }
        LogicalPlan::Join(join) => {
            let pairs = join.on.iter().flat_map(|(left, right)| [left, right]);
            pairs.chain(&join.filter).map(|e| (e, Some(Position::Filter))).collect()
        }
        LogicalPlan::Filter(filter) => filtered(std::iter::once(&filter.predicate)),
        LogicalPlan::Window(window) => filtered(window.window_expr.iter()),
        LogicalPlan::Sort(sort) => filtered(sort.expr.iter().map(|s| &s.expr)),
        LogicalPlan::TableScan(scan) => filtered(scan.filters.iter()),
        LogicalPlan::Limit(limit) => filtered(limit.skip.as_deref().into_iter().chain(limit.fetch.as_deref())),
        // LATERAL: it reads columns of the other side.
        LogicalPlan::Subquery(lateral) => filtered(lateral.outer_ref_columns.iter()),
        LogicalPlan::Repartition(spread) => match &spread.partitioning_scheme {
            Partitioning::Hash(by, _) | Partitioning::DistributeBy(by) => filtered(by.iter()),
            Partitioning::Range(_) | Partitioning::RoundRobinBatch(_) => vec![],
        },
        _ => vec![],
    }
}

fn filtered<'p>(all: impl Iterator<Item = &'p Expr>) -> Vec<(&'p Expr, Option<Position>)> {
    all.map(|e| (e, Some(Position::Filter))).collect()
}

/// Parts of the step's expressions that are used in another way besides: SUM over a CASE both adds up and decides.
///
/// # Errors
/// Only those of walking an expression.
pub(super) fn further(step: &LogicalPlan) -> Result<Vec<(&Expr, Position)>> {
    let mut all = vec![];
    for (expr, position) in expressions(step) {
        if position != Some(Position::Filter) {
            all.extend(conditions(expr)?.into_iter().map(|e| (e, Position::Filter)));
        }
    }
    match step {
        // One row for each value, as GROUP BY would have it.
        LogicalPlan::Distinct(Distinct::On(on)) => all.extend(on.on_expr.iter().map(|e| (e, Position::Group))),
        LogicalPlan::Window(window) => {
            for expr in &window.window_expr {
                expr.apply(|e| {
                    if let Expr::WindowFunction(call) = e
                        && matches!(call.fun, WindowFunctionDefinition::AggregateUDF(_))
                    {
                        all.extend(call.params.args.iter().map(|e| (e, Position::Aggregate)));
                    }
                    Ok(TreeNodeRecursion::Continue)
                })?;
            }
        }
        _ => {}
    }
    Ok(all)
}

/// The parts of `expr` that decide, wherever it stands: CASE, comparisons, FILTER, what an aggregate orders by.
fn conditions(expr: &Expr) -> Result<Vec<&Expr>> {
    let mut found = vec![];
    expr.apply(|e| {
        match e {
            Expr::Case(case) => {
                found.extend(case.expr.as_deref());
                found.extend(case.when_then_expr.iter().map(|(when, _)| when.as_ref()));
            }
            Expr::AggregateFunction(call) => {
                found.extend(call.params.filter.as_deref());
                // What stands WITHIN GROUP is an argument too: a percentile decides nothing.
                if !call.func.supports_within_group_clause() {
                    found.extend(call.params.order_by.iter().map(|sort| &sort.expr));
                }
            }
            decided if decides(decided) => {
                found.push(decided);
                return Ok(TreeNodeRecursion::Jump);
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

fn decides(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => !computes(*op),
        Expr::ScalarFunction(call) => DECIDING.contains(&call.func.name()),
        Expr::Like(_)
        | Expr::SimilarTo(_)
        | Expr::Not(_)
        | Expr::IsNotNull(_)
        | Expr::IsNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Between(_)
        | Expr::InList(_)
        | Expr::Exists(_)
        | Expr::InSubquery(_)
        | Expr::SetComparison(_) => true,
        _ => false,
    }
}

fn computes(op: Operator) -> bool {
    op.is_numerical_operators()
        || matches!(
            op,
            Operator::IntegerDivide
                | Operator::StringConcat
                | Operator::BitwiseAnd
                | Operator::BitwiseOr
                | Operator::BitwiseXor
                | Operator::BitwiseShiftLeft
                | Operator::BitwiseShiftRight
        )
}

/// The conditions of a join or a filter that must hold together; the two sides of an equality stand as a pair.
pub(super) fn conjuncts(step: &LogicalPlan) -> Vec<Vec<&Expr>> {
    match step {
        LogicalPlan::Filter(filter) => each(&filter.predicate),
        LogicalPlan::Join(join) => {
            let pairs = join.on.iter().map(|(left, right)| vec![left, right]);
            pairs.chain(join.filter.iter().flat_map(each)).collect()
        }
        _ => vec![],
    }
}

fn each(condition: &Expr) -> Vec<Vec<&Expr>> {
    split_conjunction(condition).into_iter().map(|e| vec![e]).collect()
}

/// The subquery that `expr` itself is or compares with, and whether its columns show in the value of `expr`.
pub(super) fn subquery(expr: &Expr) -> Option<(&Subquery, bool)> {
    match expr {
        Expr::ScalarSubquery(subquery) => Some((subquery, true)),
        Expr::InSubquery(within) => Some((&within.subquery, true)),
        Expr::SetComparison(any) => Some((&any.subquery, true)),
        Expr::Exists(exists) => Some((&exists.subquery, false)),
        _ => None,
    }
}

/// All subqueries that stand in `expr`, but not those that stand in them.
pub(super) fn subqueries(expr: &Expr) -> Result<Vec<&Subquery>> {
    let mut all = vec![];
    expr.apply(|e| {
        all.extend(subquery(e).map(|(subquery, _)| subquery));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(all)
}
