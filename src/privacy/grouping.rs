//! How is GROUPING SETS, ROLLUP or CUBE released?
//!
//! Each set is a release of its own, with its own groups, bound and loss, and the results stand one after the other:
//! columns that a set does not group by are NULL. Two sets never share a draw, since their keys differ.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::ScalarValue,
    logical_expr::{Aggregate, Expr, GroupingSet, LogicalPlan, Projection, Union},
};

use super::{
    one_row, release_point,
    typing::{Owned, Walk, built, columns, mixed},
};
use crate::terms::Refusal;

/// The most sets of one question.
const SETS_MAX: usize = 32;

/// Cuts `aggregate` over `input` into releases, one per grouping set.
pub(super) fn release(walk: &mut Walk<'_>, aggregate: &Aggregate, input: Owned) -> Result<LogicalPlan, Refusal> {
    if let Some(beside) = one_row::beside(walk, aggregate, &input)? {
        return Ok(beside);
    }
    let [Expr::GroupingSet(sets)] = aggregate.group_expr.as_slice() else {
        return release_point::release(walk, aggregate, input);
    };
    let keys: Vec<Expr> = sets.distinct_expr().into_iter().cloned().collect();
    let sets = listed(sets)?;
    if keys.iter().any(|key| input.is_owner(key)) {
        return Err(mixed("GROUPING SETS with person_id; group by plain keys inside a person"));
    }
    let mut parts = vec![];
    for (ordinal, set) in sets.iter().enumerate() {
        let again = sets.iter().take(ordinal).filter(|earlier| *earlier == set).count();
        parts.push(Arc::new(one(walk, aggregate, &input, &keys, set, again)?));
    }
    let whole = match parts.as_slice() {
        [part] => part.as_ref().clone(),
        _ => LogicalPlan::Union(built(Union::try_new_with_loose_types(parts))?),
    };
    let named = aggregate.schema.iter().zip(columns(&whole));
    let items = named.map(|((relation, field), column)| column.alias_qualified(relation.cloned(), field.name()));
    Ok(LogicalPlan::Projection(built(Projection::try_new(items.collect(), Arc::new(whole)))?))
}

fn one(
    walk: &mut Walk<'_>,
    aggregate: &Aggregate,
    input: &Owned,
    keys: &[Expr],
    set: &[Expr],
    again: usize,
) -> Result<LogicalPlan, Refusal> {
    let below = Arc::new(input.plan.clone());
    let level = built(Aggregate::try_new(below, set.to_vec(), aggregate.aggr_expr.clone()))?;
    let released = release_point::release(walk, &level, input.clone())?;
    let mut found = columns(&released).into_iter();
    let grouped: Vec<Expr> = found.by_ref().take(set.len()).collect();
    // The bit of a key is set where the key is left out; equal sets are told apart by the bits above.
    let mut id = u64::try_from(again).unwrap_or(0);
    for key in keys {
        id = (id << 1) | u64::from(!set.contains(key));
    }
    let mut items = vec![];
    for (index, field) in aggregate.schema.fields().iter().enumerate() {
        let item = match keys.get(index) {
            Some(key) => match set.iter().position(|member| member == key).and_then(|place| grouped.get(place)) {
                Some(column) => column.clone(),
                None => null(field.data_type())?,
            },
            None if index == keys.len() => {
                built(ScalarValue::UInt64(Some(id)).cast_to(field.data_type()).map(|id| Expr::Literal(id, None)))?
            }
            None => found.next().ok_or_else(|| mixed("ask each level by itself"))?,
        };
        items.push(item.alias(format!("__sekisho_level_{index}")));
    }
    Ok(LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(released)))?))
}

fn null(data_type: &DataType) -> Result<Expr, Refusal> {
    built(ScalarValue::try_new_null(data_type).map(|null| Expr::Literal(null, None)))
}

/// Every set with its keys.
fn listed(sets: &GroupingSet) -> Result<Vec<Vec<Expr>>, Refusal> {
    let listed: Vec<Vec<Expr>> = match sets {
        GroupingSet::GroupingSets(sets) => sets.clone(),
        GroupingSet::Rollup(keys) => (0..=keys.len()).rev().map(|n| keys.iter().take(n).cloned().collect()).collect(),
        GroupingSet::Cube(keys) if keys.len() < 6 => {
            let chosen = |bits: u32| {
                let of = keys.iter().enumerate().filter(|(i, _)| bits & (1 << i) != 0);
                of.map(|(_, key)| key.clone()).collect()
            };
            (0..1_u32 << keys.len()).rev().map(chosen).collect()
        }
        GroupingSet::Cube(_) => return Err(too_many()),
    };
    match listed.len() <= SETS_MAX {
        true => Ok(listed),
        false => Err(too_many()),
    }
}

fn too_many() -> Refusal {
    Refusal::TooComplex { limit: format!("at most {SETS_MAX} grouping sets") }
}
