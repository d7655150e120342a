//! What of a list that the question itself holds is public, and how is it counted along where nobody belongs to an entry?
//!
//! A calendar or a list of classes is written into the question as VALUES. Its values are public facts. And
//! `FROM months LEFT JOIN visits ... GROUP BY month` asks for every month, also for those without a visit: a row of the
//! list without a person belongs to nobody, so that join is no step of persons. What is asked is the release over the
//! inner join, put beside the list afterwards, which is post-processing.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::{Column, JoinConstraint, JoinType, NullEquality, ScalarValue, tree_node::TreeNodeRecursion},
    functions::core::expr_fn::coalesce,
    logical_expr::{
        Aggregate, Distinct, Expr, Filter, Join, LogicalPlan, Projection, SubqueryAlias, TableScan, Values,
        expr::AggregateFunction, lit, utils::split_conjunction_owned,
    },
};

use super::{
    expression::Scope,
    facts::{Facts, PLAIN_BYTES, number},
    group_keys::constant,
    range::Range,
    subqueries,
    typing::{Walk, built, columns},
};
use crate::{
    sql::{Standing, catalogued},
    terms::Refusal,
};

/// What is known of the columns of a step about nobody: of VALUES and what is computed of them, their values.
pub(super) fn facts(plan: &LogicalPlan) -> Vec<Facts> {
    let unknown = || plan.schema().fields().iter().map(|_| Facts::unknown()).collect::<Vec<_>>();
    match plan {
        LogicalPlan::Values(values) => of_values(values),
        LogicalPlan::TableScan(scan) => stored(scan),
        LogicalPlan::Join(join) => {
            let sides = facts(&join.left).into_iter().chain(facts(&join.right));
            let mut all: Vec<Facts> = sides.map(|f| Facts { text_bytes: f.text_bytes, ..Facts::unknown() }).collect();
            all.resize(plan.schema().fields().len(), Facts::unknown());
            all
        }
        LogicalPlan::SubqueryAlias(alias) => facts(&alias.input),
        LogicalPlan::Filter(filter) => facts(&filter.input),
        LogicalPlan::Distinct(Distinct::All(input)) => facts(input),
        LogicalPlan::Projection(projection) => {
            let below = facts(&projection.input);
            let scope = Scope { schema: projection.input.schema(), facts: &below };
            let of = |item: &Expr| match subqueries::any(item) {
                true => Facts::unknown(),
                false => scope.item(item).map_or_else(|_| Facts::unknown(), |total| total.facts),
            };
            projection.expr.iter().map(|item| Facts { fixed: false, ..of(item) }).collect()
        }
        _ => unknown(),
    }
}

/// Of the columns of a table, how long their texts are.
fn stored(scan: &TableScan) -> Vec<Facts> {
    let known = |name: &str| match &catalogued(scan)?.standing {
        Standing::Public { text_bytes, .. } => text_bytes.get(name).copied(),
        Standing::Reference { table, .. } => table.text_bytes().get(name).copied(),
        Standing::Unit { .. } => None,
    };
    let of =
        |name: &String| known(name).map_or_else(Facts::unknown, |text_bytes| Facts { text_bytes, ..Facts::unknown() });
    scan.projected_schema.fields().iter().map(|field| of(field.name())).collect()
}

fn of_values(values: &Values) -> Vec<Facts> {
    let column = |index: usize, data_type: &DataType| {
        let cells = values.values.iter().map(|row| row.get(index).and_then(constant)?.cast_to(data_type).ok());
        let Some(cells) = cells.collect::<Option<Vec<ScalarValue>>>() else { return Facts::unknown() };
        let (nulls, mut known): (Vec<_>, Vec<_>) = cells.into_iter().partition(ScalarValue::is_null);
        known.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        known.dedup();
        let numbers: Option<Vec<f64>> = known.iter().map(number).collect();
        let range = numbers.filter(|n| n.iter().all(|v| v.is_finite())).and_then(|numbers| {
            let lo = numbers.iter().copied().fold(f64::INFINITY, f64::min);
            Range::new(lo, numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max))
        });
        let lengths = known.iter().filter_map(|value| value.try_as_str().flatten()).map(str::len);
        let text_bytes = lengths.max().map_or(PLAIN_BYTES, |bytes| u64::try_from(bytes).unwrap_or(u64::MAX));
        Facts { nullable: !nulls.is_empty(), range, domain: Some(known.into()), text_bytes, ..Facts::unknown() }
    };
    values.schema.fields().iter().enumerate().map(|(index, field)| column(index, field.data_type())).collect()
}

/// `aggregate` over `list LEFT JOIN persons`, grouped by columns of the list, as a release over the inner join beside the
/// list; `None` where it is something else. Entries without a group have COUNT 0 and every other aggregate NULL, as over
/// no rows.
pub(super) fn beside(walk: &mut Walk<'_>, aggregate: &Aggregate) -> Result<Option<LogicalPlan>, Refusal> {
    let (join, terms) = match aggregate.input.as_ref() {
        LogicalPlan::Join(join) => (join, vec![]),
        LogicalPlan::Filter(filter) => match filter.input.as_ref() {
            LogicalPlan::Join(join) => (join, split_conjunction_owned(filter.predicate.clone())),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    if join.join_type != JoinType::Left || about_persons(&join.left) || !about_persons(&join.right) {
        return Ok(None);
    }
    let of_list = |expr: &Expr| {
        let plain = !matches!(expr, Expr::GroupingSet(_)) && !subqueries::any(expr);
        plain && expr.column_refs().iter().all(|column| join.left.schema().maybe_index_of_column(column).is_some())
    };
    let counts: Option<Vec<bool>> = aggregate.aggr_expr.iter().map(|call| counts_persons(call, join)).collect();
    let Some(counts) = counts else { return Ok(None) };
    if aggregate.group_expr.is_empty() || !aggregate.group_expr.iter().chain(&terms).all(of_list) {
        return Ok(None);
    }
    let list = match terms.into_iter().reduce(Expr::and) {
        Some(terms) => {
            let filter = Filter::try_new(terms, Arc::clone(&join.left));
            Arc::new(LogicalPlan::Filter(built(filter)?))
        }
        None => Arc::clone(&join.left),
    };
    let inner = built(Join::try_new(
        Arc::clone(&list),
        Arc::clone(&join.right),
        join.on.clone(),
        join.filter.clone(),
        JoinType::Inner,
        join.join_constraint,
        join.null_equality,
        false,
    ))?;
    let keys = aggregate.group_expr.len();
    let (groups, calls) = (aggregate.group_expr.clone(), aggregate.aggr_expr.clone());
    let released = built(Aggregate::try_new(Arc::new(LogicalPlan::Join(inner)), groups, calls))?;
    let released = LogicalPlan::Aggregate(released);
    let items = columns(&released);
    let released = named(walk, items, Arc::new(released), false)?;
    let entries = named(walk, aggregate.group_expr.clone(), list, true)?;
    let on = columns(&entries).into_iter().zip(columns(&released)).collect();
    let (left, right) = (Arc::new(entries), Arc::new(released));
    let alike = NullEquality::NullEqualsNull;
    let joined = built(Join::try_new(left, right, on, None, JoinType::Left, JoinConstraint::On, alike, false))?;
    let joined = LogicalPlan::Join(joined);
    let found = columns(&joined);
    let mut items = vec![];
    for (index, (relation, field)) in aggregate.schema.iter().enumerate() {
        let place = if index < keys { index } else { keys + index };
        let Some(column) = found.get(place).cloned() else { return Ok(None) };
        let counted = index.checked_sub(keys).and_then(|i| counts.get(i)).is_some_and(|counts| *counts);
        let value = if counted { coalesce(vec![column, lit(0_i64)]) } else { column };
        items.push(value.alias_qualified(relation.cloned(), field.name()));
    }
    built(Projection::try_new(items, Arc::new(joined))).map(|plan| Some(LogicalPlan::Projection(plan)))
}

fn named(walk: &mut Walk<'_>, items: Vec<Expr>, plan: Arc<LogicalPlan>, once: bool) -> Result<LogicalPlan, Refusal> {
    let items = items.into_iter().enumerate().map(|(i, expr)| expr.alias(format!("c{i}"))).collect();
    let plan = LogicalPlan::Projection(built(Projection::try_new(items, plan))?);
    let plan = if once { LogicalPlan::Distinct(Distinct::All(Arc::new(plan))) } else { plan };
    let alias = walk.fresh("listed");
    built(SubqueryAlias::try_new(Arc::new(plan), alias)).map(LogicalPlan::SubqueryAlias)
}

/// Whether an aggregate is a count; `None` where the row of a list that has nobody could add something to it.
fn counts_persons(call: &Expr, join: &Join) -> Option<bool> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = call.clone().unalias_nested().data else {
        return None;
    };
    let of_persons = |column: &Column| join.right.schema().maybe_index_of_column(column).is_some();
    let missing_is_null = match params.args.first()? {
        Expr::Column(column) => of_persons(column),
        Expr::Cast(cast) => matches!(cast.expr.as_ref(), Expr::Column(column) if of_persons(column)),
        _ => false,
    };
    (missing_is_null && params.filter.is_none()).then(|| func.name() == "count")
}

/// Whether rows of persons, or rows known from them alone, lie below.
fn about_persons(plan: &LogicalPlan) -> bool {
    let mut about = false;
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            about |= catalogued(scan).is_none_or(|table| !matches!(table.standing, Standing::Public { .. }));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    about
}
