//! When do two plans compute the same, whatever names their writers chose?
//!
//! A kept answer is found by the structure of what was computed (privacy.md section 5). Two texts that mean the same
//! may miss each other here, which costs their asker; two that differ must never meet.
//!
//! Functions count by their names. The engine's own hash of one holds the identity of its type, which is another one in
//! every build of the program: answers were not found again after an upgrade, and replays of the log disagreed.

use std::{
    fmt::Debug,
    hash::{Hash, Hasher},
};

use datafusion::{
    common::{
        Column, DFSchema,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        Distinct, Expr, LogicalPlan, SortExpr, WindowFunctionDefinition,
        expr::{InList, Placeholder},
        logical_plan::TableScan,
    },
    optimizer::{Optimizer, OptimizerContext},
};

use super::placeholder::placeholder;
use crate::sql::catalogued;

/// Feeds `plan`, as it will run, into `state`: tables by what they are, columns by their place, names not at all.
pub(super) fn hash(plan: &LogicalPlan, state: &mut impl Hasher) {
    let context = OptimizerContext::new().with_skip_failing_rules(false);
    let optimised = Optimizer::new().optimize(plan.clone(), &context, |_, _| {});
    match optimised {
        Ok(plan) => node(&plan, state),
        Err(_) => node(plan, state),
    }
}

fn node(plan: &LogicalPlan, state: &mut impl Hasher) {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => node(&alias.input, state),
        LogicalPlan::TableScan(scan) => table(scan, state),
        LogicalPlan::Filter(filter) => {
            "filter".hash(state);
            all(std::slice::from_ref(&filter.predicate), &[filter.input.schema()], state);
            node(&filter.input, state);
        }
        LogicalPlan::Projection(projection) => {
            let input = projection.input.schema();
            let places = projection.expr.iter().map(|e| place(e, input)).collect::<Option<Vec<_>>>();
            if places.is_some_and(|places| places.into_iter().eq(0..input.fields().len())) {
                return node(&projection.input, state);
            }
            "projection".hash(state);
            all(&projection.expr, &[input], state);
            node(&projection.input, state);
        }
        LogicalPlan::Join(join) => {
            let (left, right) = (join.left.schema(), join.right.schema());
            ("join", join.join_type, join.null_equality, join.null_aware, join.on.len()).hash(state);
            for (mine, theirs) in &join.on {
                all(std::slice::from_ref(mine), &[left], state);
                all(std::slice::from_ref(theirs), &[right], state);
            }
            all(join.filter.as_slice(), &[left, right], state);
            node(&join.left, state);
            node(&join.right, state);
        }
        LogicalPlan::Aggregate(aggregate) => {
            "aggregate".hash(state);
            all(&aggregate.group_expr, &[aggregate.input.schema()], state);
            all(&aggregate.aggr_expr, &[aggregate.input.schema()], state);
            node(&aggregate.input, state);
        }
        LogicalPlan::Window(window) => {
            "window".hash(state);
            all(&window.window_expr, &[window.input.schema()], state);
            node(&window.input, state);
        }
        LogicalPlan::Sort(sort) => {
            ("sort", sort.fetch).hash(state);
            sorted(&sort.expr, sort.input.schema(), state);
            node(&sort.input, state);
        }
        LogicalPlan::Union(union) => {
            ("union", union.inputs.len()).hash(state);
            union.inputs.iter().for_each(|input| node(input, state));
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            "distinct".hash(state);
            node(input, state);
        }
        LogicalPlan::Distinct(Distinct::On(on)) => {
            ("distinct on", on.sort_expr.is_some()).hash(state);
            all(&on.on_expr, &[on.input.schema()], state);
            all(&on.select_expr, &[on.input.schema()], state);
            sorted(on.sort_expr.as_deref().unwrap_or_default(), on.input.schema(), state);
            node(&on.input, state);
        }
        LogicalPlan::Limit(limit) => {
            ("limit", limit.skip.is_some(), limit.fetch.is_some()).hash(state);
            let counts = [&limit.skip, &limit.fetch].into_iter().flatten().map(|count| count.as_ref().clone());
            all(&counts.collect::<Vec<_>>(), &[limit.input.schema()], state);
            node(&limit.input, state);
        }
        LogicalPlan::Values(values) => {
            ("values", values.values.len()).hash(state);
            values.values.iter().for_each(|row| all(row, &[&values.schema], state));
        }
        LogicalPlan::EmptyRelation(empty) => {
            ("empty", empty.produce_one_row).hash(state);
            empty.schema.fields().iter().for_each(|field| field.data_type().hash(state));
        }
        // Whole, with all names below it.
        other => ("other", other).hash(state),
    }
}

fn table(scan: &TableScan, state: &mut impl Hasher) {
    match (catalogued(scan), placeholder(scan)) {
        (Some(table), _) => ("table", &table.schema, &table.name).hash(state),
        (None, Some(filled)) => ("stage", filled.source).hash(state),
        (None, None) => ("unknown", &scan.table_name).hash(state),
    }
    (&scan.projection, scan.fetch).hash(state);
    let schema = DFSchema::try_from(scan.source.schema().as_ref().clone());
    match schema {
        Ok(schema) => all(&scan.filters.iter().map(unqualified).collect::<Vec<_>>(), &[&schema], state),
        Err(_) => scan.filters.hash(state),
    }
}

fn all(exprs: &[Expr], inputs: &[&DFSchema], state: &mut impl Hasher) {
    exprs.len().hash(state);
    for expr in exprs {
        by_name(by_place(expr, inputs)).hash(state);
    }
}

fn sorted(exprs: &[SortExpr], input: &DFSchema, state: &mut impl Hasher) {
    exprs.len().hash(state);
    for by in exprs {
        (by.asc, by.nulls_first).hash(state);
        all(std::slice::from_ref(&by.expr), &[input], state);
    }
}

/// The expression with each call as a list below a parameter that has the function's name, and how it is called. No
/// question has a parameter left when it comes here, so nothing that was written can look like one of these.
fn by_name(expr: Expr) -> Expr {
    let named = expr.clone().transform_up(|e| {
        Ok(match e {
            Expr::ScalarFunction(call) => Transformed::yes(listed(&("scalar", call.func.name()), call.args)),
            Expr::AggregateFunction(call) => {
                let params = call.params;
                let how =
                    (params.distinct, params.null_treatment, params.filter.is_some(), directions(&params.order_by));
                let parts = params.args.into_iter().chain(params.filter.map(|f| *f));
                let parts = parts.chain(params.order_by.into_iter().map(|by| by.expr));
                Transformed::yes(listed(&("aggregate", call.func.name(), how), parts.collect()))
            }
            Expr::WindowFunction(call) => {
                let params = call.params;
                let kind = match &call.fun {
                    WindowFunctionDefinition::AggregateUDF(function) => ("aggregate", function.name().to_owned()),
                    WindowFunctionDefinition::WindowUDF(function) => ("window", function.name().to_owned()),
                };
                let frame = (params.window_frame.units, params.window_frame.start_bound, params.window_frame.end_bound);
                let how =
                    (params.distinct, params.null_treatment, params.filter.is_some(), directions(&params.order_by));
                let counts = (params.args.len(), params.partition_by.len());
                let parts = params.args.into_iter().chain(params.partition_by).chain(params.filter.map(|f| *f));
                let parts = parts.chain(params.order_by.into_iter().map(|by| by.expr));
                Transformed::yes(listed(&("over", kind, frame, how, counts), parts.collect()))
            }
            other => Transformed::no(other),
        })
    });
    named.map_or(expr, |named| named.data)
}

fn listed(what: &impl Debug, parts: Vec<Expr>) -> Expr {
    let named = Expr::Placeholder(Placeholder::new_with_field(format!("{what:?}"), None));
    Expr::InList(InList::new(Box::new(named), parts, false))
}

fn directions(order: &[SortExpr]) -> Vec<(bool, bool)> {
    order.iter().map(|by| (by.asc, by.nulls_first)).collect()
}

/// The expression without aliases, each column replaced by its place in the inputs.
fn by_place(expr: &Expr, inputs: &[&DFSchema]) -> Expr {
    let plain = expr.clone().unalias_nested().data;
    let placed = plain.clone().transform_up(|e| {
        let Expr::Column(column) = &e else { return Ok(Transformed::no(e)) };
        let mut sides = inputs.iter().enumerate();
        let found = sides.find_map(|(side, schema)| Some((side, schema.maybe_index_of_column(column)?)));
        Ok(match found {
            Some((side, index)) => Transformed::yes(Expr::Column(Column::from_name(format!("{side}#{index}")))),
            None => Transformed::no(e),
        })
    });
    placed.map_or(plain, |placed| placed.data)
}

fn unqualified(expr: &Expr) -> Expr {
    let bare = expr.clone().transform_up(|e| {
        Ok(match e {
            Expr::Column(column) => Transformed::yes(Expr::Column(Column::from_name(column.name))),
            other => Transformed::no(other),
        })
    });
    bare.map_or_else(|_| expr.clone(), |bare| bare.data)
}

fn place(expr: &Expr, input: &DFSchema) -> Option<usize> {
    match expr.clone().unalias_nested().data {
        Expr::Column(column) => input.maybe_index_of_column(&column),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::hash_map::DefaultHasher, sync::Arc};

    use datafusion::{
        arrow::datatypes::{DataType, Field, Schema},
        logical_expr::{LogicalPlanBuilder, col, lit},
    };

    use super::*;
    use crate::sql::{CataloguedTable, Standing};

    fn scan(called: &str, table: &str) -> LogicalPlanBuilder {
        let fields = ["a", "b"].map(|name| Field::new(name, DataType::Int64, false));
        let table = CataloguedTable {
            schema: "demo".into(),
            name: table.into(),
            standing: Standing::Public { unique: Default::default(), rows: 1, text_bytes: Default::default() },
            columns: Arc::new(Schema::new(fields.to_vec())),
        };
        LogicalPlanBuilder::scan(called, Arc::new(table), None).unwrap()
    }

    fn digest(builder: LogicalPlanBuilder) -> u64 {
        let mut state = DefaultHasher::new();
        hash(&builder.build().unwrap(), &mut state);
        state.finish()
    }

    #[test]
    fn names_make_no_difference_and_meaning_does() {
        let asked = |called: &str, table: &str, over: i64| {
            digest(scan(called, table).filter(col("a").gt(lit(over))).unwrap().project([col("b")]).unwrap())
        };
        let first = asked("person", "person", 5);
        assert_eq!(asked("q", "person", 5), first, "another name");
        let aliased = scan("x", "person").alias("y").unwrap().filter(col("y.a").gt(lit(5_i64))).unwrap();
        assert_eq!(digest(aliased.project([col("y.b").alias("z")]).unwrap()), first, "aliases");
        let passed_on = scan("x", "person").project([col("b").alias("m"), col("a").alias("n")]).unwrap();
        let passed_on = passed_on.filter(col("n").gt(lit(5_i64))).unwrap().project([col("m")]).unwrap();
        assert_eq!(digest(passed_on), first, "through a subquery");
        assert_ne!(asked("person", "death", 5), first, "another table under the same name");
        assert_ne!(asked("person", "person", 6), first, "another literal");
        let other = scan("person", "person").filter(col("b").gt(lit(5_i64))).unwrap().project([col("b")]).unwrap();
        assert_ne!(digest(other), first, "another column");
        let text = scan("person", "person").filter(col("a").gt(lit("5"))).unwrap().project([col("b")]).unwrap();
        assert_ne!(digest(text), first, "another type");
    }
}
