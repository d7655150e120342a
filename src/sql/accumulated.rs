//! Which percentiles are written with counts that add up?
//!
//! `MIN(CASE WHEN p.accumulated >= 0.5 * o.total THEN p.value END)`, where each value stands beside how many rows have it or a
//! lesser one: so does OHDSI's Achilles write distributions. Counted anew for each value, with noise each time, little would be
//! left of them; a percentile of the same rows says it at once.

use std::sync::Arc;

use datafusion::{
    common::{Column, JoinType, Result},
    functions_aggregate::min_max::max_udaf,
    logical_expr::{Aggregate, BinaryExpr, Expr, Join, LogicalPlan, Operator, Projection, SubqueryAlias},
};

use super::numbered::{
    Origin, Picked, at, column, counts, in_place, origin, persons, picks, share_of, the_join, unaliased, window_of,
    within,
};

/// `aggregate` with percentiles in its totals instead of sums beside them; `None` where it is not written so.
///
/// # Errors
/// Only those of building steps.
pub(super) fn renamed(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let picks: Vec<Option<Picked>> = picks(aggregate);
    // Of counts that add up it would be another value.
    if picks.iter().flatten().any(|pick| pick.up_to) {
        return Ok(None);
    }
    let Some(first) = picks.iter().flatten().next() else { return Ok(None) };
    let input = aggregate.input.as_ref();
    let Some((totals, side, value)) = read(aggregate, first) else { return Ok(None) };
    let place = |column: &Column| origin(column, input);
    let (Some(number), Some(count)) = (place(&first.number), place(&first.count)) else { return Ok(None) };
    let mut shares = vec![];
    for pick in picks.iter().flatten() {
        let same = |column: &Column, of: Origin<'_>| place(column).is_some_and(|found| at(found, of));
        let greatest =
            pick.otherwise.as_ref().is_none_or(|of| place(of).is_some_and(|of| is_greatest(of, totals, &value)));
        if !same(&pick.number, number)
            || !same(&pick.count, count)
            || !of_value(pick, input, number, &value)
            || !greatest
        {
            return Ok(None);
        }
        shares.push(share_of(&value, pick.share));
    }
    let Some((below, columns)) = with_more(side, totals, &shares)? else { return Ok(None) };
    let mut found = columns.into_iter();
    let mut exprs = vec![];
    for (expr, pick) in aggregate.aggr_expr.iter().zip(&picks) {
        exprs.push(match pick {
            // One row of totals in each group: the greatest is that one.
            Some(_) => max_udaf().call(found.next().map(Expr::Column).into_iter().collect()),
            None => expr.clone(),
        });
    }
    let known = |column: &Column| below.schema().maybe_index_of_column(column).is_some();
    if !exprs.iter().chain(&aggregate.group_expr).flat_map(Expr::column_refs).all(known) {
        return Ok(None);
    }
    in_place(aggregate, below, exprs).map(Some)
}

/// The totals, the side of the join that they are on, and what is counted up, in terms of the rows below the totals.
fn read<'a>(aggregate: &'a Aggregate, pick: &Picked) -> Option<(&'a Aggregate, &'a LogicalPlan, Expr)> {
    let input = aggregate.input.as_ref();
    let (number, count) = (origin(&pick.number, input)?, origin(&pick.count, input)?);
    let (LogicalPlan::Aggregate(sums), LogicalPlan::Aggregate(totals)) = (number.0, count.0) else { return None };
    let join = the_join(input).filter(|join| join.filter.is_none() && join.join_type == JoinType::Inner)?;
    let side = [&join.left, &join.right].into_iter().find(|side| within(side.as_ref(), count.0))?;
    if within(side, number.0) || !persons(&totals.input) || !is_count(totals, count.1) {
        return None;
    }
    // Each value beside those that are not greater, of the same keys.
    let (pairs, condition) = pairs_of(&sums.input).filter(|(pairs, _)| pairs.join_type == JoinType::Inner)?;
    let (each, of_lesser) = summed(sums, number.1, pairs)?;
    let LogicalPlan::Aggregate(each) = each else { return None };
    let keys = each.group_expr.len().checked_sub(1)?;
    let value = each.group_expr.last()?.clone();
    let same_rows = each.input == totals.input && totals.group_expr == each.group_expr.get(..keys)?;
    let ordered =
        lesser(pairs, condition, each, keys)? == of_lesser && by_keys(pairs, keys, |place, here| place == here);
    // The sums have the keys of the other side.
    let greater = sums.group_expr.iter().filter_map(column).all(|key| on_left(pairs, &key) != Some(of_lesser));
    let key_of = |place: usize| origin(&column(sums.group_expr.get(place)?)?, &sums.input).map(|(_, place)| place);
    let beside = by_keys(join, keys, |a, b| {
        let (sums_at, totals_at) = if std::ptr::eq(side, &join.left) { (b, a) } else { (a, b) };
        key_of(sums_at) == Some(totals_at)
    });
    (same_rows && ordered && greater && beside && counts(each)).then_some((totals, side.as_ref(), value))
}

/// The join below, and what is asked of its rows beside equalities: in it or right above.
fn pairs_of(plan: &LogicalPlan) -> Option<(&Join, &Expr)> {
    match plan {
        LogicalPlan::Projection(step) => pairs_of(&step.input),
        LogicalPlan::Filter(step) => {
            the_join(&step.input).filter(|join| join.filter.is_none()).map(|join| (join, &step.predicate))
        }
        LogicalPlan::Join(join) => Some((join, join.filter.as_ref()?)),
        _ => None,
    }
}

/// Whether a join equates so many columns, of places that belong together.
fn by_keys(join: &Join, keys: usize, together: impl Fn(usize, usize) -> bool) -> bool {
    let places = |(left, right): &(Expr, Expr)| {
        Some((origin(&column(left)?, &join.left)?.1, origin(&column(right)?, &join.right)?.1))
    };
    join.on.len() == keys && join.on.iter().map(places).all(|at| at.is_some_and(|(left, right)| together(left, right)))
}

/// Whether a column is of the left side.
fn on_left(pairs: &Join, column: &Column) -> Option<bool> {
    let of = |side: &LogicalPlan| side.schema().maybe_index_of_column(column).is_some();
    match (of(&pairs.left), of(&pairs.right)) {
        (left, right) if left != right => Some(left),
        _ => None,
    }
}

/// Where the counts come from that a SUM adds up, and whether from the left side.
fn summed<'a>(sums: &'a Aggregate, place: usize, pairs: &Join) -> Option<(&'a LogicalPlan, bool)> {
    let call = sums.aggr_expr.get(place.checked_sub(sums.group_expr.len())?)?;
    let Expr::AggregateFunction(call) = unaliased(call) else { return None };
    let plain = call.func.name() == "sum" && !call.params.distinct && call.params.filter.is_none();
    let [of] = call.params.args.as_slice() else { return None };
    let of = column(of).filter(|_| plain)?;
    // Both sides are the same WITH, so that names alone tell them apart.
    Some((origin(&of, &sums.input)?.0, on_left(pairs, &of)?))
}

/// Which side of a join has the values that are not greater than those of the other, by their row numbers: the left one?
fn lesser(pairs: &Join, condition: &Expr, each: &Aggregate, keys: usize) -> Option<bool> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return None };
    let number = |expr: &Expr| {
        let column = column(expr)?;
        let is_left = on_left(pairs, &column)?;
        let numbered = origin(&column, if is_left { &pairs.left } else { &pairs.right })?;
        let call = window_of(numbered).filter(|call| call.fun.name() == "row_number")?;
        let (LogicalPlan::Window(window), [order]) = (numbered.0, call.params.order_by.as_slice()) else { return None };
        let (LogicalPlan::Aggregate(counted), place) = origin(&self::column(&order.expr)?, &window.input)? else {
            return None;
        };
        (counted == each && place == keys && order.asc).then_some(is_left)
    };
    match (number(left)?, op, number(right)?) {
        (left, Operator::LtEq, right) if left != right => Some(left),
        (left, Operator::GtEq, right) if left != right => Some(right),
        _ => None,
    }
}

fn is_count(totals: &Aggregate, place: usize) -> bool {
    let call = place.checked_sub(totals.group_expr.len()).and_then(|at| totals.aggr_expr.get(at)).map(unaliased);
    matches!(call, Some(Expr::AggregateFunction(call)) if call.func.name() == "count" && !call.params.distinct
        && call.params.filter.is_none() && call.params.args.iter().all(|of| matches!(of, Expr::Literal(..))))
}

/// Whether a column of the totals is the greatest value.
fn is_greatest((step, place): Origin<'_>, totals: &Aggregate, value: &Expr) -> bool {
    let LogicalPlan::Aggregate(here) = step else { return false };
    let call = place.checked_sub(here.group_expr.len()).and_then(|at| here.aggr_expr.get(at)).map(unaliased);
    std::ptr::eq(here, totals)
        && matches!(call, Some(Expr::AggregateFunction(call)) if call.func.name() == "max" && call.params.args == [value.clone()])
}

/// Whether what is picked is the value that was counted up: a key of the sums, and of the counts below them.
fn of_value(pick: &Picked, input: &LogicalPlan, number: Origin<'_>, value: &Expr) -> bool {
    let picked = || {
        let (step, place) = origin(&column(&pick.value)?, input)?;
        let LogicalPlan::Aggregate(sums) = step else { return None };
        let key = column(sums.group_expr.get(place)?)?;
        let (LogicalPlan::Aggregate(each), place) = origin(&key, &sums.input)? else { return None };
        Some(std::ptr::eq(step, number.0) && each.group_expr.get(place) == Some(value))
    };
    picked().unwrap_or(false)
}

/// `plan` with more columns of the aggregate `totals` at its end.
fn with_more(plan: &LogicalPlan, totals: &Aggregate, more: &[Expr]) -> Result<Option<(LogicalPlan, Vec<Column>)>> {
    let wider = match plan {
        LogicalPlan::Aggregate(here) if std::ptr::eq(here, totals) => {
            let named = more.iter().enumerate().map(|(i, e)| e.clone().alias(format!("__sekisho_at_{i}")));
            let exprs = here.aggr_expr.iter().cloned().chain(named).collect();
            LogicalPlan::Aggregate(Aggregate::try_new(Arc::clone(&here.input), here.group_expr.clone(), exprs)?)
        }
        LogicalPlan::Projection(step) => {
            let Some((below, columns)) = with_more(&step.input, totals, more)? else { return Ok(None) };
            let items = step.expr.iter().cloned().chain(columns.into_iter().map(Expr::Column)).collect();
            LogicalPlan::Projection(Projection::try_new(items, Arc::new(below))?)
        }
        LogicalPlan::SubqueryAlias(step) => {
            let Some((below, _)) = with_more(&step.input, totals, more)? else { return Ok(None) };
            LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(below), step.alias.clone())?)
        }
        _ => return Ok(None),
    };
    let width = wider.schema().fields().len();
    let columns = wider.schema().iter().skip(width.saturating_sub(more.len())).map(Column::from).collect();
    Ok(Some((wider, columns)))
}
