//! Is a column NULL only where what is stored is missing, whatever is stored where it is not?
//!
//! COUNT of such a column says how many values there are. COUNT of anything else may say how many of them lie where a
//! function has a result: `COUNT(ln(x - 1950))` is a condition written as arithmetic.

use std::{collections::BTreeSet, ptr};

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column, Result,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        Aggregate, Distinct, Expr, ExprSchemable, LogicalPlan, WindowFunctionDefinition,
        utils::grouping_set_to_exprlist,
    },
};

use super::{Door, Lineage, Stored, subquery};

/// Aggregates that look at nothing of their arguments but whether they are NULL.
const COUNTING: [&str; 3] = ["approx_distinct", "count", "regr_count"];

/// Functions that are NULL only where arguments are.
const PASSING: [&str; 6] = ["coalesce", "greatest", "least", "named_struct", "nvl", "struct"];

/// Aggregates and windows that are NULL only where their rows are missing or NULL.
const KEEPING: [&str; 14] = [
    "avg",
    "bool_and",
    "bool_or",
    "count",
    "first_value",
    "lag",
    "last_value",
    "lead",
    "max",
    "median",
    "min",
    "nth_value",
    "row_number",
    "sum",
];

impl<'p> Lineage<'p> {
    /// The stored columns of records of which the counts of `step` tell more than whether they are there.
    pub(super) fn counted_by_value(&mut self, step: &'p LogicalPlan, scope: usize) -> Result<BTreeSet<Stored>> {
        let LogicalPlan::Aggregate(aggregate) = step else { return Ok(BTreeSet::new()) };
        let mut by_value = BTreeSet::new();
        for argument in counted(aggregate)? {
            if !self.plain(argument, step, scope)? {
                let stored = self.origins(argument, step, scope)?;
                by_value.extend(stored.into_iter().filter(|stored| self.of_records(stored)));
            }
        }
        Ok(by_value)
    }

    fn plain(&mut self, expr: &'p Expr, step: &'p LogicalPlan, scope: usize) -> Result<bool> {
        match expr {
            Expr::Column(column) => self.plain_below(column, step, scope),
            Expr::Literal(..) => Ok(true),
            Expr::Alias(alias) => self.plain(&alias.expr, step, scope),
            Expr::Cast(cast) => {
                Ok(widens(&cast.expr, step, cast.field.data_type()) && self.plain(&cast.expr, step, scope)?)
            }
            Expr::TryCast(cast) => {
                Ok(widens(&cast.expr, step, cast.field.data_type()) && self.plain(&cast.expr, step, scope)?)
            }
            // What decides is a filter already.
            Expr::Case(case) => {
                let branches = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
                self.all_plain(branches.map(AsRef::as_ref), step, scope)
            }
            Expr::ScalarFunction(call) if PASSING.contains(&call.func.name()) => {
                self.all_plain(call.args.iter(), step, scope)
            }
            Expr::AggregateFunction(call) if KEEPING.contains(&call.func.name()) => {
                self.all_plain(call.params.args.iter(), step, scope)
            }
            Expr::WindowFunction(call) if KEEPING.contains(&window_name(&call.fun)) => {
                self.all_plain(call.params.args.iter(), step, scope)
            }
            Expr::ScalarSubquery(_) => match subquery(expr) {
                Some((subquery, _)) => {
                    let inner = self.enter(step, scope, Door::Subquery);
                    let shown = subquery.subquery.schema().iter().next().map(Column::from);
                    shown.map_or(Ok(false), |column| self.plain_at(&column, &subquery.subquery, inner))
                }
                None => Ok(false),
            },
            // Nothing of a record stands in it, or it is computed.
            other => Ok(self.origins(other, step, scope)?.iter().all(|stored| !self.of_records(stored))),
        }
    }

    fn all_plain(&mut self, all: impl Iterator<Item = &'p Expr>, step: &'p LogicalPlan, scope: usize) -> Result<bool> {
        for expr in all {
            if !self.plain(expr, step, scope)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether all inputs of `step` that have `column` have it plainly.
    fn plain_below(&mut self, column: &Column, step: &'p LogicalPlan, scope: usize) -> Result<bool> {
        for (input, scope) in self.inputs(step, scope) {
            if !self.plain_at(column, input, scope)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether `column` of `plan`'s output is plain. Also where `plan` does not have it.
    fn plain_at(&mut self, column: &Column, plan: &'p LogicalPlan, scope: usize) -> Result<bool> {
        let place = (ptr::from_ref(plan), scope, column.clone());
        if let Some(known) = self.plain.get(&place) {
            return Ok(*known);
        }
        let mut plainly = true;
        if let Some(index) = plan.schema().maybe_index_of_column(column) {
            // The engine's own walk makes room on the stack.
            plan.apply(|step| {
                plainly = self.plain_once(column, index, step, scope)?;
                Ok(TreeNodeRecursion::Stop)
            })?;
        }
        self.plain.insert(place, plainly);
        Ok(plainly)
    }

    fn plain_once(&mut self, column: &Column, index: usize, plan: &'p LogicalPlan, scope: usize) -> Result<bool> {
        let computed = match plan {
            LogicalPlan::TableScan(_) => return Ok(true),
            LogicalPlan::Projection(projection) => projection.expr.get(index),
            LogicalPlan::Distinct(Distinct::On(on)) => on.select_expr.get(index),
            LogicalPlan::EmptyRelation(_) => return Ok(true),
            // What LATERAL lists reads the row before it.
            LogicalPlan::Values(values) => {
                return self.all_plain(values.values.iter().filter_map(|row| row.get(index)), plan, scope);
            }
            LogicalPlan::Aggregate(aggregate) => {
                let keys = plan.schema().fields().len().saturating_sub(aggregate.aggr_expr.len());
                match index.checked_sub(keys) {
                    Some(index) => aggregate.aggr_expr.get(index),
                    None if matches!(aggregate.group_expr.first(), Some(Expr::GroupingSet(_))) => {
                        match grouping_set_to_exprlist(&aggregate.group_expr)?.get(index) {
                            Some(key) => Some(*key),
                            None => return Ok(true),
                        }
                    }
                    None => aggregate.group_expr.get(index),
                }
            }
            LogicalPlan::Window(window) => match index.checked_sub(window.input.schema().fields().len()) {
                Some(index) => window.window_expr.get(index),
                None => return self.plain_index(index, &window.input, scope),
            },
            LogicalPlan::SubqueryAlias(alias) => return self.plain_index(index, &alias.input, scope),
            LogicalPlan::Union(_) => {
                for (input, scope) in self.inputs(plan, scope) {
                    if !self.plain_index(index, input, scope)? {
                        return Ok(false);
                    }
                }
                return Ok(true);
            }
            LogicalPlan::Filter(_)
            | LogicalPlan::Join(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::Distinct(Distinct::All(_)) => return self.plain_below(column, plan, scope),
            _ => return Ok(false),
        };
        computed.map_or(Ok(false), |expr| self.plain(expr, plan, scope))
    }

    fn plain_index(&mut self, index: usize, plan: &'p LogicalPlan, scope: usize) -> Result<bool> {
        match plan.schema().iter().nth(index) {
            Some(field) => self.plain_at(&Column::from(field), plan, scope),
            None => Ok(false),
        }
    }
}

/// What the counts of an aggregate count.
fn counted(aggregate: &Aggregate) -> Result<Vec<&Expr>> {
    let mut all = vec![];
    for expr in &aggregate.aggr_expr {
        expr.apply(|e| {
            if let Expr::AggregateFunction(call) = e
                && COUNTING.contains(&call.func.name())
            {
                all.extend(call.params.args.iter());
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(all)
}

/// Whether every value of `expr` has one of the type `to`, and no two the same.
fn widens(expr: &Expr, step: &LogicalPlan, to: &DataType) -> bool {
    let from = step.inputs().iter().find_map(|input| expr.get_type(input.schema()).ok());
    let text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
    from.is_some_and(|from| match (&from, to) {
        (from, to) if from == to => true,
        (from, to) if text(to) => text(from) || from.is_integer() || *from == DataType::Boolean,
        (from, DataType::Float64) => from.is_integer() || *from == DataType::Float32,
        (DataType::Boolean, to) => to.is_integer(),
        (DataType::Int8 | DataType::Int16 | DataType::Int32, DataType::Int64) => true,
        (DataType::Int8 | DataType::Int16, DataType::Int32) => true,
        _ => false,
    })
}

fn window_name(function: &WindowFunctionDefinition) -> &str {
    match function {
        WindowFunctionDefinition::AggregateUDF(function) => function.name(),
        WindowFunctionDefinition::WindowUDF(function) => function.name(),
    }
}
