//! What of a list that the question itself holds is public, and how is it counted along where nobody belongs to an entry?
//!
//! A calendar or a list of classes is written into the question as VALUES. Its values are public facts. And
//! `FROM months LEFT JOIN visits ... GROUP BY month` asks for every month, also for those without a visit: a row of the
//! list without a person belongs to nobody, so that join is no step of persons. What is asked is the release over the
//! inner join, put beside the list afterwards, which is post-processing.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::{DFSchema, JoinConstraint, JoinType, NullEquality, ScalarValue, tree_node::TreeNodeRecursion},
    functions::core::expr_fn::coalesce,
    logical_expr::{
        Aggregate, BinaryExpr, Case, Distinct, Expr, Filter, Join, LogicalPlan, Operator, Projection, SubqueryAlias,
        TableScan, Values, expr::AggregateFunction, utils::split_conjunction_owned,
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
        let zero = || ScalarValue::new_zero(field.data_type()).map(|zero| Expr::Literal(zero, None));
        let value = if counted { coalesce(vec![column, built(zero())?]) } else { column };
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

/// Whether an aggregate is 0, and not NULL, of an entry that has nobody; `None` where the row of a list that has nobody could
/// add something to it.
fn counts_persons(call: &Expr, join: &Join) -> Option<bool> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = call.clone().unalias_nested().data else {
        return None;
    };
    let alone = Alone { persons: join.right.schema() };
    let value = params.args.first()?;
    let counts = func.name() == "count";
    match params.filter.as_deref() {
        Some(condition) if alone.fails(condition) => Some(counts),
        _ if alone.is_null(value) => Some(counts),
        // Nothing is added where the row is seen.
        None if func.name() == "sum" && !params.distinct && alone.is_zero(value) => Some(true),
        _ => None,
    }
}

/// A row of a list beside which all columns of persons are NULL.
struct Alone<'a> {
    persons: &'a DFSchema,
}

impl Alone<'_> {
    /// Whether `expr` is NULL there.
    fn is_null(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Column(column) => self.persons.maybe_index_of_column(column).is_some(),
            Expr::Literal(value, _) => value.is_null(),
            Expr::Cast(cast) => self.is_null(&cast.expr),
            Expr::Negative(inner) | Expr::Not(inner) => self.is_null(inner),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let compares =
                    [Operator::Eq, Operator::NotEq, Operator::Lt, Operator::LtEq, Operator::Gt, Operator::GtEq];
                let strict = compares.contains(op) || op.is_numerical_operators();
                strict && (self.is_null(left) || self.is_null(right))
            }
            Expr::Between(between) => self.is_null(&between.expr),
            Expr::Like(like) => self.is_null(&like.expr),
            Expr::InList(list) => self.is_null(&list.expr),
            Expr::Case(case) => self.otherwise(case).is_some_and(|other| other.is_none_or(|other| self.is_null(other))),
            _ => false,
        }
    }

    /// Whether `expr` is the number 0 there.
    fn is_zero(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Literal(value, _) => number(value) == Some(0.0),
            Expr::Cast(cast) => self.is_zero(&cast.expr),
            Expr::Case(case) => self.otherwise(case).flatten().is_some_and(|other| self.is_zero(other)),
            _ => false,
        }
    }

    /// Whether `condition` is FALSE or NULL there.
    fn fails(&self, condition: &Expr) -> bool {
        match condition {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => self.fails(left) || self.fails(right),
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => self.fails(left) && self.fails(right),
            Expr::IsNotNull(inner) | Expr::IsTrue(inner) => self.is_null(inner),
            other => self.is_null(other),
        }
    }

    /// The ELSE of a CASE of which no condition holds there.
    fn otherwise<'e>(&self, case: &'e Case) -> Option<Option<&'e Expr>> {
        let none_holds = match &case.expr {
            Some(value) => self.is_null(value),
            None => case.when_then_expr.iter().all(|(condition, _)| self.fails(condition)),
        };
        none_holds.then_some(case.else_expr.as_deref())
    }
}

/// Whether rows of persons, or rows known from them alone, lie below.
pub(super) fn about_persons(plan: &LogicalPlan) -> bool {
    let mut about = false;
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            about |= catalogued(scan).is_none_or(|table| !matches!(table.standing, Standing::Public { .. }));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    about
}
