//! What do questions about persons say of each row of a list?
//!
//! `SELECT month, (SELECT COUNT(*) FROM visit_occurrence v WHERE v.visit_start_date < month ...) FROM months` asks as many
//! questions as the list has rows. It is one release of the list joined with persons, grouped by what the question speaks of,
//! beside the list.

use std::sync::Arc;

use datafusion::{
    common::{
        Column, JoinConstraint, JoinType, NullEquality,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        Aggregate, BinaryExpr, Distinct, Expr, Join, LogicalPlan, Operator, Projection, SubqueryAlias,
        expr::AggregateFunction, lit,
    },
};

use super::{
    correlated::{outer_columns, peel, speaks_outward},
    listed::about_persons,
    subqueries::any,
    typing::{Walk, built, columns},
};
use crate::terms::Refusal;

/// So many such questions may be asked in one: the list is read once more for each.
const QUESTIONS_MAX: u32 = 6;

/// `projection` over a list with joins instead of such questions; `None` where there is none.
///
/// # Errors
/// As of the questions themselves.
pub(super) fn joined(walk: &mut Walk<'_>, projection: &Projection) -> Result<Option<LogicalPlan>, Refusal> {
    if !projection.expr.iter().any(any) || about_persons(&projection.input) {
        return Ok(None);
    }
    let (mut plan, mut exprs, mut found) = (projection.input.as_ref().clone(), vec![], false);
    for (expr, (relation, field)) in projection.expr.iter().zip(projection.schema.iter()) {
        let mut asked = vec![];
        let _ = expr.apply(|e| {
            if let Expr::ScalarSubquery(subquery) = e
                && speaks_outward(&subquery.subquery)
                && about_persons(&subquery.subquery)
            {
                asked.push((e.clone(), Arc::clone(&subquery.subquery)));
            }
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        });
        let mut answered = expr.clone().unalias_nested().data;
        for (question, subquery) in asked {
            let Some((joined, value)) = answer(walk, &plan, &projection.input, &subquery)? else { return Ok(None) };
            plan = joined;
            found = true;
            let put = |e: Expr| Ok(if e == question { Transformed::yes(value.clone()) } else { Transformed::no(e) });
            answered = built(answered.transform_down(put))?.data;
        }
        exprs.push(answered.alias_qualified(relation.cloned(), field.name()));
    }
    match found {
        true => Ok(Some(LogicalPlan::Projection(built(Projection::try_new(exprs, Arc::new(plan)))?))),
        false => Ok(None),
    }
}

/// `plan` beside what a question says of each row of `list`, and that column.
fn answer(
    walk: &mut Walk<'_>,
    plan: &LogicalPlan,
    list: &Arc<LogicalPlan>,
    question: &LogicalPlan,
) -> Result<Option<(LogicalPlan, Expr)>, Refusal> {
    let LogicalPlan::Projection(shown) = question else { return Ok(None) };
    let (LogicalPlan::Aggregate(aggregate), [item]) = (shown.input.as_ref(), shown.expr.as_slice()) else {
        return Ok(None);
    };
    let plain = aggregate.group_expr.is_empty() && !aggregate.aggr_expr.iter().chain([item]).any(any);
    if !plain || walk.entries >= QUESTIONS_MAX {
        return Ok(None);
    }
    walk.entries += 1;
    let peeled = peel(walk, &aggregate.input)?;
    let mut spoken_of: Vec<Column> = vec![];
    for column in peeled.terms.iter().flat_map(outer_columns) {
        if !spoken_of.contains(&column) {
            spoken_of.push(column);
        }
    }
    let name = walk.fresh("entry");
    let of_list = |place: usize| Column::new(Some(name.clone()), format!("c{place}"));
    let keys =
        spoken_of.iter().enumerate().map(|(place, column)| Expr::Column(column.clone()).alias(format!("c{place}")));
    let entries = LogicalPlan::Projection(built(Projection::try_new(keys.collect(), Arc::clone(list)))?);
    let entries = LogicalPlan::Distinct(Distinct::All(Arc::new(entries)));
    let entries = built(SubqueryAlias::try_new(Arc::new(entries), name.clone()))?;
    // Rows of persons are told from none by a column that is never NULL.
    let one = walk.fresh("one");
    let items = columns(&peeled.plan).into_iter().chain([lit(1_i64).alias(one.clone())]).collect();
    let persons = LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(peeled.plan)))?);
    let of_entry =
        |expr: &Expr| expr.column_refs().iter().all(|c| c.relation.as_ref().is_some_and(|r| r.table() == name));
    let of_persons =
        |expr: &Expr| expr.column_refs().iter().all(|c| persons.schema().maybe_index_of_column(c).is_some());
    let (mut on, mut rest) = (vec![], vec![]);
    for term in peeled.terms {
        let place = |column: &Column| spoken_of.iter().position(|known| known == column);
        let inward = term.transform_up(|e| {
            let Expr::OuterReferenceColumn(_, column) = &e else { return Ok(Transformed::no(e)) };
            Ok(match place(column) {
                Some(place) => Transformed::yes(Expr::Column(of_list(place))),
                None => Transformed::no(e),
            })
        });
        match built(inward)?.data {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if of_entry(&left) && of_persons(&right) => {
                on.push((*left, *right));
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if of_entry(&right) && of_persons(&left) => {
                on.push((*right, *left));
            }
            other => rest.push(other),
        }
    }
    let (left, right) = (Arc::new(LogicalPlan::SubqueryAlias(entries)), Arc::new(persons));
    let rest = rest.into_iter().reduce(Expr::and);
    let nulls = NullEquality::NullEqualsNothing;
    let met = built(Join::try_new(left, right, on, rest, JoinType::Left, JoinConstraint::On, nulls, false))?;
    let groups: Vec<Expr> = (0..spoken_of.len()).map(|place| Expr::Column(of_list(place))).collect();
    let calls = aggregate.aggr_expr.iter().map(|call| counting(call, &one)).collect();
    let grouped = built(Aggregate::try_new(Arc::new(LogicalPlan::Join(met)), groups.clone(), calls))?;
    let values: Vec<Expr> = grouped.schema.columns().into_iter().skip(groups.len()).map(Expr::Column).collect();
    let value = item.clone().unalias_nested().data.transform_up(|e| {
        let Expr::Column(column) = &e else { return Ok(Transformed::no(e)) };
        let place = aggregate.schema.maybe_index_of_column(column);
        Ok(place
            .and_then(|place| values.get(place))
            .map_or_else(|| Transformed::no(e.clone()), |v| Transformed::yes(v.clone())))
    });
    let said = walk.fresh("said");
    let keys = groups.into_iter().enumerate().map(|(place, key)| key.alias(format!("{said}_{place}")));
    let items = keys.chain([built(value)?.data.alias(said.clone())]).collect();
    let answers =
        LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(LogicalPlan::Aggregate(grouped))))?);
    let answers = LogicalPlan::SubqueryAlias(built(SubqueryAlias::try_new(Arc::new(answers), said.clone()))?);
    let on = spoken_of.into_iter().enumerate();
    let on = on
        .map(|(place, c)| (Expr::Column(c), Expr::Column(Column::new(Some(said.clone()), format!("{said}_{place}")))));
    let (left, right, alike) = (Arc::new(plan.clone()), Arc::new(answers), NullEquality::NullEqualsNull);
    let beside =
        built(Join::try_new(left, right, on.collect(), None, JoinType::Left, JoinConstraint::On, alike, false))?;
    Ok(Some((LogicalPlan::Join(beside), Expr::Column(Column::new(Some(said.clone()), said)))))
}

/// COUNT(*) as the count of rows of persons.
fn counting(call: &Expr, one: &str) -> Expr {
    let counted = call.clone().transform_down(|e| {
        let Expr::AggregateFunction(AggregateFunction { func, params }) = &e else { return Ok(Transformed::no(e)) };
        let all =
            func.name() == "count" && matches!(params.args.as_slice(), [Expr::Literal(value, _)] if !value.is_null());
        if !all {
            return Ok(Transformed::no(e));
        }
        let mut params = params.clone();
        params.args = vec![Expr::Column(Column::from_name(one))];
        Ok(Transformed::yes(Expr::AggregateFunction(AggregateFunction { func: Arc::clone(func), params })))
    });
    counted.map_or_else(|_| call.clone(), |counted| counted.data)
}
