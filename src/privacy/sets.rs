//! What of DISTINCT and UNION keeps every row with its person?

use std::sync::Arc;

use datafusion::{
    common::Column,
    logical_expr::{
        Aggregate, DistinctOn, Expr, ExprFunctionExt, Filter, LogicalPlan, Projection, Union, Window,
        WindowFunctionDefinition, expr::WindowFunction, lit,
    },
};

use super::{
    expression,
    facts::{Facts, short_rows},
    joins::of_one_dataset,
    typing::{Owned, Typed, Walk, built, columns, mixed},
};
use crate::{sql::vocabulary, terms::Refusal};

/// DISTINCT over columns among which is the owner key, or a link: equal rows are one person's, so it is GROUP BY inside a
/// person. `shown` are the columns that the caller wrote; beside a link alone the owner key stands hidden.
pub(super) fn distinct(walk: &mut Walk<'_>, shown: Vec<Expr>, owned: Owned) -> Result<Owned, Refusal> {
    let mut groups = shown;
    let scope = owned.scope();
    let mut facts: Vec<Facts> =
        groups.iter().map(|group| scope.item(group).map(|total| total.facts)).collect::<Result<_, _>>()?;
    let owner = match groups.iter().position(|column| owned.is_owner(column)) {
        Some(owner) => owner,
        None => {
            let key = owned.owner_key().ok_or_else(|| mixed("DISTINCT over persons' rows; select person_id too"))?;
            groups.push(key.alias(walk.fresh("owner")));
            facts.push(Facts::owner_key());
            facts.len() - 1
        }
    };
    let data_types = groups.iter().map(|group| scope.data_type(group)).collect::<Result<Vec<_>, _>>()?;
    short_rows(facts.iter().zip(data_types), owned.rows_max, owned.defaults.room)?;
    // One value per person in every column: one row per person.
    let rows_max = if facts.iter().all(|f| f.fixed) { owned.rows_max.min(1) } else { owned.rows_max };
    let plan = LogicalPlan::Aggregate(built(Aggregate::try_new(Arc::new(owned.plan), groups, vec![]))?);
    Ok(Owned { plan, owner, facts, rows_max, defaults: owned.defaults, halves: None })
}

/// DISTINCT ON as what it means: the first row of each group in the given order.
pub(super) fn first_of_each(walk: &mut Walk<'_>, on: &DistinctOn) -> Result<LogicalPlan, Refusal> {
    let function = vocabulary().window("row_number").ok_or_else(|| mixed("DISTINCT ON; use row_number()"))?;
    let call = WindowFunction::new(WindowFunctionDefinition::WindowUDF(function), vec![]);
    let call = Expr::from(call).partition_by(on.on_expr.clone()).order_by(on.sort_expr.clone().unwrap_or_default());
    let name = walk.fresh("number");
    let call = built(call.build())?.alias(name.clone());
    let numbered = LogicalPlan::Window(built(Window::try_new(vec![call], Arc::clone(&on.input)))?);
    let first = Expr::Column(Column::from_name(name)).eq(lit(1_i64));
    let first = LogicalPlan::Filter(built(Filter::try_new(first, Arc::new(numbered)))?);
    let named = on.select_expr.iter().zip(on.schema.iter());
    let items = named.map(|(expr, (relation, field))| match expr {
        Expr::Column(_) => expr.clone(),
        _ => expr.clone().alias_qualified(relation.cloned(), field.name()),
    });
    Ok(LogicalPlan::Projection(built(Projection::try_new(items.collect(), Arc::new(first)))?))
}

/// UNION ALL of steps of one population: each row keeps the owner key of its branch.
pub(super) fn union(walk: &mut Walk<'_>, union: &Union, inputs: Vec<Typed>) -> Result<Owned, Refusal> {
    let mut branches = vec![];
    for (input, written) in inputs.into_iter().zip(&union.inputs) {
        let Typed::Owned(owned) = input else {
            return Err(mixed("UNION of persons' rows with other rows; release the persons' part first"));
        };
        let shown: Vec<Expr> = written.schema().columns().into_iter().map(Expr::Column).collect();
        branches.push((owned, shown));
    }
    let width = union.schema.fields().len();
    let mut branches_left = branches.iter();
    let (first, _) = branches_left.next().ok_or_else(|| mixed("UNION of nothing"))?;
    let mut defaults = first.defaults.clone();
    for (other, _) in branches_left {
        let both = of_one_dataset(first, other)?;
        defaults.rows_per_group = defaults.rows_per_group.max(both.rows_per_group);
        defaults.groups = defaults.groups.max(both.groups);
        defaults.distinct_values = defaults.distinct_values.max(both.distinct_values);
    }
    let in_all = |place: usize| branches.iter().all(|(b, shown)| shown.get(place).is_some_and(|e| b.is_owner(e)));
    let owner = (0..width).find(|place| in_all(*place));
    let (hidden, mut facts) = (walk.fresh("owner"), Vec::<Facts>::new());
    let (mut rows_max, mut plans) = (0_u64, vec![]);
    for (branch, shown) in &branches {
        rows_max = rows_max.saturating_add(branch.rows_max);
        let scope = branch.scope();
        let of = shown.iter().map(|e| scope.item(e).map(|t| t.facts)).collect::<Result<Vec<_>, _>>()?;
        facts = match facts.is_empty() {
            true => of,
            // A branch of NULLs alone adds no number, as in a CASE.
            false => facts.iter().zip(&of).map(|(a, b)| expression::union(&[a.clone(), b.clone()])).collect(),
        };
        let mut items: Vec<Expr> = shown.iter().enumerate().map(|(i, e)| e.clone().alias(format!("c{i}"))).collect();
        if owner.is_none() {
            let key = branch.owner_key().ok_or_else(|| mixed("select person_id in each part of the UNION"))?;
            items.push(key.alias(hidden.clone()));
        }
        let plan = built(Projection::try_new(items, Arc::new(branch.plan.clone())))?;
        plans.push(Arc::new(LogicalPlan::Projection(plan)));
    }
    for (place, facts) in facts.iter_mut().enumerate() {
        let owner = in_all(place);
        // What was the owner key in some branches alone is a key of no known kind; one value per branch is not one per
        // person.
        let key = facts.key || branches.iter().any(|(b, shown)| shown.get(place).is_some_and(|e| b.is_owner(e)));
        *facts = Facts { owner, fixed: owner, numbered: false, key: key && !owner, ..facts.clone() };
    }
    let plan = LogicalPlan::Union(built(Union::try_new_with_loose_types(plans))?);
    let mut items = vec![];
    let mut shown = columns(&plan).into_iter();
    for ((relation, field), column) in union.schema.iter().zip(shown.by_ref()) {
        items.push(column.alias_qualified(relation.cloned(), field.name()));
    }
    if owner.is_none() {
        facts.push(Facts::owner_key());
        items.push(Expr::Column(Column::from_name(hidden)));
    }
    let plan = LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(plan)))?);
    Ok(Owned { plan, owner: owner.unwrap_or(width), facts, rows_max, defaults, halves: None })
}
