//! How is the work that one person can cause kept within the public bound W?
//!
//! Where declared row counts multiply beyond W, a person-local cut is inserted: a person whose rows at that step exceed
//! W contributes nothing from there on. It is decided from that person's rows alone, so it is part of the per-person
//! step and changes nobody else's contribution.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    common::{Column, JoinConstraint, JoinType, NullEquality, tree_node::TreeNode},
    functions::core::expr_fn::coalesce,
    logical_expr::{
        Aggregate, AggregateUDF, Distinct, Expr, ExprFunctionExt, Filter, Join, LogicalPlan, Projection, Window,
        WindowFrame, WindowFunctionDefinition, expr::WindowFunction, lit,
    },
};

use super::{
    expression::refused,
    facts::Facts,
    placeholder::{Filled, Placeholder, placeholder},
    release_point::Release,
    typing::{Defaults, Owned, Walk, built, columns},
};
use crate::{
    sql::{Standing, catalogued, vocabulary},
    terms::Refusal,
};

/// Which rows of a join are counted before it is made.
pub(super) struct Before<'e> {
    /// What is equated, this side first.
    pub(super) on: &'e [(Expr, Expr)],
    pub(super) nulls: NullEquality,
    /// Whether a row of this side that meets none stays, once.
    pub(super) unmatched_stay: bool,
}

/// `owned` without the persons whose rows make more than W of a join with `other`. It is decided before the join, so that
/// no more than W rows are ever made of one person.
pub(super) fn before(
    walk: &mut Walk<'_>,
    owned: Owned,
    other: &LogicalPlan,
    Before { on, nulls, unmatched_stay }: Before<'_>,
) -> Result<Owned, Refusal> {
    owned.in_memory()?;
    let rows = walk.fresh("rows");
    let (mut keys, mut items, mut equal) = (vec![], vec![], vec![]);
    for (mine, theirs) in on {
        let (inner, outer) = (walk.fresh("match"), walk.fresh("match"));
        keys.push(theirs.clone().alias(inner.clone()));
        items.push(Expr::Column(Column::from_name(inner)).alias(outer.clone()));
        equal.push((mine.clone(), Expr::Column(Column::from_name(outer))));
    }
    items.push(Expr::Column(Column::from_name(rows.clone())));
    let counted = vec![count_rows()?.alias(rows.clone())];
    let matches = LogicalPlan::Aggregate(built(Aggregate::try_new(Arc::new(other.clone()), keys, counted))?);
    let matches = LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(matches)))?);
    let passed = columns(&owned.plan);
    let Owned { plan, owner, facts, rows_max, defaults, halves } = owned;
    let joined = LogicalPlan::Join(built(Join::try_new(
        Arc::new(plan),
        Arc::new(matches),
        equal,
        None,
        JoinType::Left,
        JoinConstraint::On,
        nulls,
        false,
    ))?);
    let joined = Owned { plan: joined, owner, facts, rows_max, defaults, halves };
    let sum = vocabulary().aggregate("sum").ok_or_else(|| refused("SUM", "it is missing"))?;
    let alone = lit(i64::from(unmatched_stay));
    let of_one_row = coalesce(vec![Expr::Column(Column::from_name(rows)), alone]);
    let (joined, all) = over_person(walk, joined, sum, of_one_row)?;
    let few = LogicalPlan::Filter(built(Filter::try_new(all.lt_eq(most(walk)), Arc::new(joined.plan)))?);
    only(passed, few, joined.owner, joined.facts, joined.rows_max, joined.defaults)
}

/// Whether `predicate` is that of a cut, which keeps or drops a person whole.
pub(super) fn cuts(predicate: &Expr) -> bool {
    let columns = predicate.column_refs();
    !columns.is_empty() && columns.iter().all(|column| column.name.starts_with("__sekisho_rows_"))
}

/// Whether somebody may be left out of `plan` by a cut.
pub(super) fn stands_in(plan: &LogicalPlan) -> bool {
    plan.exists(|step| Ok(matches!(step, LogicalPlan::Filter(filter) if cuts(&filter.predicate)))).unwrap_or(true)
}

fn most(walk: &Walk<'_>) -> Expr {
    lit(i64::try_from(walk.bounds.work_rows_max).unwrap_or(i64::MAX))
}

fn count_rows() -> Result<Expr, Refusal> {
    let count = vocabulary().aggregate("count").ok_or_else(|| refused("COUNT", "it is missing"))?;
    Ok(count.call(vec![lit(1_i64)]))
}

/// The step with the columns `passed` alone, which stand first in `plan`.
fn only(
    passed: Vec<Expr>,
    plan: LogicalPlan,
    owner: usize,
    mut facts: Vec<Facts>,
    rows_max: u64,
    defaults: Defaults,
) -> Result<Owned, Refusal> {
    facts.truncate(passed.len());
    let plan = LogicalPlan::Projection(built(Projection::try_new(passed, Arc::new(plan)))?);
    Ok(Owned { plan, owner, facts, rows_max, defaults, halves: None })
}

/// The step with one hidden column more: the sum over all rows of the person.
fn over_person(
    walk: &mut Walk<'_>,
    owned: Owned,
    function: Arc<AggregateUDF>,
    argument: Expr,
) -> Result<(Owned, Expr), Refusal> {
    let name = walk.fresh("rows");
    let owner = owned.owner_key().ok_or_else(|| refused("this join", "select person_id in the subquery"))?;
    let window = WindowFunction::new(WindowFunctionDefinition::AggregateUDF(function), vec![argument]);
    let window = built(Expr::from(window).partition_by(vec![owner]).window_frame(WindowFrame::new(None)).build())?;
    let window = window.alias(name.clone());
    let plan = LogicalPlan::Window(built(Window::try_new(vec![window], Arc::new(owned.plan)))?);
    let mut facts = owned.facts;
    facts.push(Facts { fixed: true, nullable: false, ..Facts::unknown() });
    Ok((Owned { plan, facts, ..owned }, Expr::Column(Column::from_name(name))))
}

/// The columns of a public step that hold each value at most once: those of a table, passed on by name.
pub(super) fn unique_columns(plan: &LogicalPlan) -> BTreeSet<Column> {
    match plan {
        LogicalPlan::TableScan(scan) => match catalogued(scan).map(|t| &t.standing) {
            Some(Standing::Public { unique, .. } | Standing::Reference { unique, .. }) => {
                plan.schema().iter().filter(|(_, f)| unique.contains(f.name())).map(Column::from).collect()
            }
            _ => BTreeSet::new(),
        },
        LogicalPlan::Filter(filter) => unique_columns(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => {
            let below = unique_columns(&alias.input);
            let renamed = alias.input.schema().iter().zip(alias.schema.iter());
            renamed.filter(|(from, _)| below.contains(&Column::from(*from))).map(|(_, to)| Column::from(to)).collect()
        }
        LogicalPlan::Projection(projection) => {
            let below = unique_columns(&projection.input);
            let items = projection.expr.iter().zip(projection.schema.iter());
            items
                .filter(
                    |(item, _)| matches!((*item).clone().unalias_nested().data, Expr::Column(c) if below.contains(&c)),
                )
                .map(|(_, field)| Column::from(field))
                .collect()
        }
        // Grouped by one key: each of its values stands once.
        LogicalPlan::Aggregate(aggregate) => match aggregate.group_expr.as_slice() {
            [Expr::GroupingSet(_)] => BTreeSet::new(),
            [_] => aggregate.schema.iter().take(1).map(Column::from).collect(),
            _ => BTreeSet::new(),
        },
        LogicalPlan::Distinct(Distinct::All(input)) if input.schema().fields().len() == 1 => {
            input.schema().iter().map(Column::from).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// How many rows a public step has at most; `None` where that is not known without running it.
pub(super) fn rows(plan: &LogicalPlan, releases: &[Release]) -> Option<u64> {
    let rows = |plan: &LogicalPlan| rows(plan, releases);
    match plan {
        LogicalPlan::TableScan(scan) => match (catalogued(scan).map(|t| &t.standing), placeholder(scan)) {
            (Some(Standing::Public { rows, .. }), _) => Some(*rows),
            (None, Some(Placeholder { source: Filled::Release(index), .. })) => match releases.get(*index)? {
                release if release.keys == 0 => Some(1),
                release => release.cells(),
            },
            _ => None,
        },
        LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Projection(_) | LogicalPlan::Sort(_) => {
            plan.inputs().first().and_then(|input| rows(input))
        }
        LogicalPlan::Values(values) => u64::try_from(values.values.len()).ok(),
        LogicalPlan::EmptyRelation(_) => Some(1),
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => Some(1),
        LogicalPlan::Aggregate(aggregate) if !matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]) => {
            rows(&aggregate.input)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => rows(input),
        LogicalPlan::Union(union) => {
            union.inputs.iter().try_fold(0_u64, |all, input| Some(all.saturating_add(rows(input)?)))
        }
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            rows(&join.left)?.checked_mul(rows(&join.right)?)
        }
        _ => None,
    }
}
