//! Of which values of the outer row does a subquery speak, and what is its aggregate for each of them?
//!
//! `SELECT MAX(v.day) FROM v WHERE v.person_id = d.person_id AND v.day <= d.day` is asked once for every outer row, and
//! says the same for rows that agree in `person_id` and `day`. So it is taken for each such pair of values: they are
//! joined with the inner rows on all conditions, grouped by, and found again from the outer row.

use std::sync::Arc;

use datafusion::{
    common::{
        Column, JoinConstraint, JoinType, NullEquality,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Aggregate, Distinct, Expr, Join, LogicalPlan, Projection, SubqueryAlias, lit},
};

use super::{
    correlated::{Terms, outer_columns, renamed_columns},
    cut::{self, Before},
    expression::refused,
    facts::Facts,
    joins::{keyed, of_one_dataset, persons},
    per_person,
    scalar_subqueries::Found,
    subqueries::any,
    typing::{Owned, Walk, built, columns, mixed},
};
use crate::terms::Refusal;

/// The aggregate for each of the outer values, and the outer step without the persons who are cut for their many pairs.
pub(super) fn found(
    walk: &mut Walk<'_>,
    owned: Owned,
    inner: Owned,
    terms: Terms,
    aggregate: &Aggregate,
) -> Result<(Owned, Found), Refusal> {
    if terms.rest.iter().any(any) {
        return Err(refused("a subquery inside a correlated condition", "join it in the subquery's FROM"));
    }
    of_one_dataset(&owned, &inner)?;
    let values = Values::of(walk, &owned, &terms)?;
    let known = values.step(&owned)?;
    let of_rows = keyed(&owned, &inner, &terms.pairs, "a subquery over persons is correlated by person_id")?;
    let terms = values.over(&owned, terms);
    keyed(&known, &inner, &terms.pairs, "a subquery over persons is correlated by person_id")?;
    let join = built(Join::try_new(
        Arc::new(known.plan.clone()),
        Arc::new(inner.plan.clone()),
        terms.pairs,
        terms.rest.into_iter().reduce(Expr::and),
        JoinType::Inner,
        JoinConstraint::On,
        NullEquality::NullEqualsNothing,
        false,
    ))?;
    // Who is cut below is cut here as well: their rows would look as if nothing was found.
    let owned = match known.rows_max.saturating_mul(inner.rows_max) > walk.bounds.work_rows_max {
        true => {
            let nulls = NullEquality::NullEqualsNothing;
            cut::before(walk, owned, &inner.plan, Before { on: &of_rows, nulls, unmatched_stay: true })?
        }
        false => owned,
    };
    let groups = columns(&known.plan);
    let fixed = known.facts.iter().all(|f| f.fixed);
    let (rows_of_one, values_of_one) = (inner.rows_max, known.rows_max);
    let pairs = persons(walk, &join, known, inner)?;
    let all_pairs = pairs.clone();
    // Each group is of one combination of values, which meets each inner row once.
    let pairs = Owned { rows_max: pairs.rows_max.min(rows_of_one), ..pairs };
    let whole = Aggregate::try_new(Arc::new(pairs.plan.clone()), groups.clone(), aggregate.aggr_expr.clone());
    let whole = built(whole)?;
    per_person::few_kept(&whole, &all_pairs, values_of_one)?;
    let per_value = per_person::aggregate(walk, &whole, pairs)?;
    // One value for all rows of a person where all that it reads of the outer row is.
    let of = per_value.facts.into_iter().skip(groups.len());
    let facts = of.map(|f| Facts { fixed, ..f.outer(false) }).collect();
    let on = values.keys.into_iter().enumerate().map(|(place, key)| (key, place)).collect();
    // A value that is NULL finds its own aggregate; an owner key never is, so rows of two persons never meet.
    Ok((owned, Found { plan: per_value.plan, on, facts, nulls: NullEquality::NullEqualsNull }))
}

/// The owner key and the columns of the outer step of which a subquery speaks.
struct Values {
    alias: String,
    columns: Vec<Column>,
    /// The same as they are compared.
    keys: Vec<Expr>,
}

impl Values {
    fn of(walk: &mut Walk<'_>, owned: &Owned, terms: &Terms) -> Result<Self, Refusal> {
        let Some(Expr::Column(owner)) = owned.owner_key() else { return Err(mixed("correlate by person_id")) };
        let resolved = terms.pairs.iter().map(|(l, _)| owned.resolved(l));
        let mut columns = vec![owner];
        for expr in resolved {
            let mut used: Vec<Column> = expr.column_refs().into_iter().cloned().collect();
            // A set's order is not that of the text: fixed here, so that equal questions make equal plans.
            used.sort();
            columns.extend(used);
        }
        columns.extend(terms.rest.iter().flat_map(outer_columns));
        let mut once: Vec<Column> = vec![];
        for column in columns {
            if !once.contains(&column) {
                once.push(column);
            }
        }
        let keys = once.iter().map(|column| key(owned, column)).collect::<Result<_, Refusal>>()?;
        Ok(Self { alias: walk.fresh("outer"), columns: once, keys })
    }

    fn name(&self, place: usize) -> Column {
        Column::new(Some(self.alias.clone()), format!("c{place}"))
    }

    /// What the columns are called in [`Self::step`].
    fn names(&self) -> Vec<(Column, Column)> {
        self.columns.iter().enumerate().map(|(place, column)| (column.clone(), self.name(place))).collect()
    }

    /// Each combination of the values once, person by person.
    fn step(&self, owned: &Owned) -> Result<Owned, Refusal> {
        let (plan, below) = source(&owned.plan, self.columns.clone());
        if steps(plan) > STEPS_MAX {
            return Err(refused("this combination of steps", "write it with fewer nested steps"));
        }
        let names: Vec<(Column, Column)> = self.columns.iter().cloned().zip(below).collect();
        let item = |(place, key): (usize, &Expr)| renamed_columns(key.clone(), &names).alias(format!("c{place}"));
        let items: Vec<Expr> = self.keys.iter().enumerate().map(item).collect();
        let plan = LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(plan.clone())))?);
        let plan = LogicalPlan::Distinct(Distinct::All(Arc::new(plan)));
        let plan = LogicalPlan::SubqueryAlias(built(SubqueryAlias::try_new(Arc::new(plan), self.alias.clone()))?);
        let facts = self.columns.iter().map(|column| Ok(owned.scope().facts_of(column)?.clone().multiplied()));
        let facts = facts.collect::<Result<Vec<Facts>, Refusal>>()?;
        let rows_max = if facts.iter().all(|f| f.fixed) { owned.rows_max.min(1) } else { owned.rows_max };
        let step = Owned { plan, owner: 0, facts, rows_max, defaults: owned.defaults.clone(), halves: None };
        step.in_memory()?;
        Ok(step)
    }

    /// The conditions over [`Self::step`] and the inner rows.
    fn over(&self, owned: &Owned, terms: Terms) -> Terms {
        let names = self.names();
        let outer = |expr: Expr| {
            let renamed = expr.clone().transform_up(|e| {
                let Expr::OuterReferenceColumn(_, column) = &e else { return Ok(Transformed::no(e)) };
                let to = names.iter().find(|(from, _)| from == column);
                Ok(to.map_or(Transformed::no(e.clone()), |(_, to)| Transformed::yes(Expr::Column(to.clone()))))
            });
            renamed.map_or(expr, |renamed| renamed.data)
        };
        let pairs = terms.pairs.into_iter().map(|(l, r)| (renamed_columns(owned.resolved(&l), &names), r));
        Terms { pairs: pairs.collect(), rest: terms.rest.into_iter().map(outer).collect() }
    }
}

/// A column of which equal values are the same to the last bit: -0 is 0.
fn key(owned: &Owned, column: &Column) -> Result<Expr, Refusal> {
    let expr = Expr::Column(column.clone());
    let floating = owned.scope().data_type(&expr)?.is_floating();
    Ok(if floating { expr + lit(0.0) } else { expr })
}

/// The steps that are taken a second time for the values of the outer rows.
const STEPS_MAX: usize = 512;

fn steps(plan: &LogicalPlan) -> usize {
    let mut steps = 0_usize;
    let _ = plan.apply(|_| {
        steps = steps.saturating_add(1);
        Ok(TreeNodeRecursion::Continue)
    });
    steps
}

/// A step below `plan` that holds all values that `columns` have there, and their names in it: what only adds columns to
/// rows or repeats them is left out, and so are the cuts of whole persons, whose values nobody then looks for. So
/// several subqueries in one SELECT do not each take the ones before them a second time.
fn source(plan: &LogicalPlan, columns: Vec<Column>) -> (&LogicalPlan, Vec<Column>) {
    let (mut plan, mut columns) = (plan, columns);
    while let Some((below, names)) = below(plan, &columns) {
        (plan, columns) = (below, names);
    }
    (plan, columns)
}

fn below<'a>(plan: &'a LogicalPlan, columns: &[Column]) -> Option<(&'a LogicalPlan, Vec<Column>)> {
    let (input, names): (&LogicalPlan, Option<Vec<Column>>) = match plan {
        LogicalPlan::Projection(projection) => {
            let item = |column: &Column| {
                let item = projection.expr.get(projection.schema.maybe_index_of_column(column)?)?;
                match item.clone().unalias_nested().data {
                    Expr::Column(below) => Some(below),
                    _ => None,
                }
            };
            (&projection.input, columns.iter().map(item).collect())
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let names = alias.input.schema().columns();
            let name = |column: &Column| names.get(alias.schema.maybe_index_of_column(column)?).cloned();
            (&alias.input, columns.iter().map(name).collect())
        }
        LogicalPlan::Join(join) if matches!(join.join_type, JoinType::Left | JoinType::LeftMark) => {
            (&join.left, Some(columns.to_vec()))
        }
        LogicalPlan::Window(window) => (&window.input, Some(columns.to_vec())),
        LogicalPlan::Filter(filter) if cut::cuts(&filter.predicate) => (&filter.input, Some(columns.to_vec())),
        _ => return None,
    };
    let there = |names: &Vec<Column>| names.iter().all(|c| input.schema().maybe_index_of_column(c).is_some());
    names.filter(there).map(|names| (input, names))
}
