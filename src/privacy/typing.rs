//! To whom does every row of every step belong?
//!
//! The analyser walks the plan bottom-up and gives every step a type (privacy.md section 2). Four things can stand
//! below a step: public rows, reference rows, rows owned by one person each, and released values. What is not listed
//! here is refused. Soundness rests on one invariant:
//!
//! INVARIANT: in an [`Owned`] step every row is computed from rows of one person only, and the column `owner` holds
//! that person's key.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        Aggregate, Distinct, Expr, Filter, LogicalPlan, Projection, SubqueryAlias, Window,
        logical_plan::{Sort, TableScan},
        utils::split_conjunction,
    },
};

use super::{
    across, entries,
    expression::{Scope, refused},
    facts::{Facts, room, short_rows},
    group_keys::left_by,
    grouping, joins, listed, narrowing, per_person, references,
    release_point::Release,
    sets, standing,
    stored::bound_by_codes,
    subqueries, windows,
};
use crate::{
    sql::{Standing, catalogued},
    terms::{DatasetName, PopulationName, Refusal},
};

/// The public limits of what may be planned over persons' rows.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// W of privacy.md: rows of one person that a step may hold.
    pub work_rows_max: u64,
    /// Cells of one release.
    pub cells_max: usize,
    /// The most persons of the population, rounded up to two digits.
    pub population_max: u64,
}

/// What stands below a step.
#[derive(Clone)]
pub(super) enum Typed {
    /// No record of a person lies below.
    Public(LogicalPlan),
    /// Rows about no person, known only from the records.
    Reference(LogicalPlan),
    /// Every row belongs to one person.
    Owned(Owned),
    /// Mechanism output and what was computed from it.
    Released(LogicalPlan),
}

/// A step whose every row belongs to the person in column `owner`.
#[derive(Clone)]
pub(super) struct Owned {
    pub(super) plan: LogicalPlan,
    /// Index of a column that holds the owner key; never NULL.
    pub(super) owner: usize,
    /// One entry per column of the plan.
    pub(super) facts: Vec<Facts>,
    /// No person has more rows here.
    pub(super) rows_max: u64,
    pub(super) defaults: Defaults,
    /// After a full join: the two columns of which one at least holds the owner key.
    pub(super) halves: Option<(usize, usize)>,
}

/// What the catalogue proposes for a release over the tables below, and whose they are.
#[derive(Debug, Clone)]
pub(super) struct Defaults {
    pub(super) dataset: DatasetName,
    pub(super) population: PopulationName,
    pub(super) rows_per_group: u32,
    pub(super) groups: u32,
    /// In as many groups a person may be, where rows meet lists that no equality picks from.
    pub(super) groups_met: u32,
    /// The fewest values that a condition leaves of a column that varies within a person, such as the codes of a `WHERE`.
    pub(super) picked: u32,
    pub(super) distinct_values: u32,
    /// How many bytes all rows of one person may take.
    pub(super) room: u64,
}

impl Defaults {
    /// Of rows of which each person has one for all values of `keys`: one, where these do not vary.
    pub(super) fn grouped<'f>(self, mut keys: impl Iterator<Item = &'f Facts>) -> Self {
        match keys.all(|key| key.fixed) {
            true => Self { rows_per_group: 1, groups: 1, picked: 1, ..self },
            false => self,
        }
    }
}

impl Owned {
    pub(super) fn scope(&self) -> Scope<'_> {
        Scope { schema: self.plan.schema(), facts: &self.facts }
    }

    /// The owner key as an expression over this step.
    pub(super) fn owner_key(&self) -> Option<Expr> {
        self.plan.schema().iter().nth(self.owner).map(|field| Expr::Column(Column::from(field)))
    }

    /// Its columns, with what is known of them.
    fn columns(&self) -> impl Iterator<Item = (&Facts, DataType)> {
        self.facts.iter().zip(self.plan.schema().fields().iter().map(|field| field.data_type().clone()))
    }

    /// Whether all rows of a person have room in memory at once, whatever they hold.
    ///
    /// # Errors
    /// [`Refusal::TooComplex`] says how long a row may be.
    pub(super) fn in_memory(&self) -> Result<(), Refusal> {
        short_rows(self.columns(), self.rows_max, self.defaults.room)
    }

    /// Whether `expr` is the owner key itself.
    pub(super) fn is_owner(&self, expr: &Expr) -> bool {
        matches!(expr, Expr::Column(column) if self.scope().facts_of(column).is_ok_and(|f| f.owner))
    }

    /// Whether `expr` is the id of a row of persons, or a link to one, that is there on every row.
    pub(super) fn names_a_row(&self, expr: &Expr) -> bool {
        let named = |f: &Facts| f.link.is_some() && f.key && !f.person && !f.nullable;
        matches!(expr, Expr::Column(column) if self.scope().facts_of(column).is_ok_and(named))
    }

    /// `expr` with each COALESCE of owner-or-NULL columns that cannot be NULL as the owner key, which it is: those
    /// columns hold the owner key of their row or nothing.
    pub(super) fn resolved(&self, expr: &Expr) -> Expr {
        let Some(owner) = self.owner_key() else { return expr.clone() };
        let replaced = expr.clone().transform_down(|e| {
            let coalesced = match &e {
                Expr::ScalarFunction(call) if call.func.name() == "coalesce" => self.never_null(&call.args),
                _ => false,
            };
            Ok(if coalesced { Transformed::yes(owner.clone()) } else { Transformed::no(e) })
        });
        replaced.map_or_else(|_| expr.clone(), |replaced| replaced.data)
    }

    fn never_null(&self, coalesced: &[Expr]) -> bool {
        let schema = self.plan.schema();
        let places = coalesced.iter().map(|e| match e {
            Expr::Column(column) => {
                schema.maybe_index_of_column(column).filter(|i| self.facts.get(*i).is_some_and(|f| f.person))
            }
            _ => None,
        });
        let Some(places) = places.collect::<Option<Vec<usize>>>() else { return false };
        let owner = places.iter().any(|i| self.facts.get(*i).is_some_and(|f| f.owner));
        let halves = self.halves.is_some_and(|(a, b)| places.contains(&a) && places.contains(&b));
        owner || halves
    }

    /// What follows from a person having at most one row here: every column has one value per person.
    pub(super) fn settled(mut self) -> Self {
        if self.rows_max <= 1 {
            self.facts.iter_mut().for_each(|f| f.fixed = true);
        }
        self
    }
}

/// All columns of a step, as expressions over it.
pub(super) fn columns(plan: &LogicalPlan) -> Vec<Expr> {
    plan.schema().iter().map(|field| Expr::Column(Column::from(field))).collect()
}

/// The walk: collects releases and public inputs on its way up.
pub(super) struct Walk<'a> {
    pub(super) bounds: &'a Bounds,
    pub(super) asked: &'a super::Asked,
    pub(super) releases: Vec<Release>,
    pub(super) public_inputs: Vec<LogicalPlan>,
    /// The release points met so far, as they were written, with what stands for each.
    released: Vec<(Aggregate, LogicalPlan)>,
    /// The columns that the SELECT list above the step being typed can tell rows apart by, where that is known.
    pub(super) needed: Option<BTreeSet<Column>>,
    /// The steps of windows that have become joins with what is released of all persons.
    pub(super) across: Vec<Window>,
    /// How many tables of persons were read.
    scans: usize,
    /// How many conditions were evaluated over public values.
    looked_at: u32,
    /// How many questions were asked of each row of a list.
    pub(super) entries: u32,
    fresh: usize,
}

/// So many conditions of a question are evaluated over the public values of their column: this is before any charge.
const LOOKED_AT: u32 = 16;

const TOP: &str = "select aggregates such as COUNT(*)";

impl<'a> Walk<'a> {
    pub(super) fn new(bounds: &'a Bounds, asked: &'a super::Asked) -> Self {
        Self {
            bounds,
            asked,
            releases: vec![],
            public_inputs: vec![],
            released: vec![],
            needed: None,
            across: vec![],
            scans: 0,
            looked_at: 0,
            entries: 0,
            fresh: 0,
        }
    }

    /// A name that no caller can have written: admission refuses texts that hold its prefix.
    pub(super) fn fresh(&mut self, stem: &str) -> String {
        self.fresh += 1;
        format!("__sekisho_{stem}_{}", self.fresh)
    }

    /// The type of `plan`, with `plan` rewritten so that every Owned step carries its owner key.
    pub(super) fn node(&mut self, plan: &LogicalPlan) -> Result<Typed, Refusal> {
        let mut typed = None;
        // The engine's walk makes room on the stack before each step, so that no depth overflows it.
        let _ = plan.apply(|p| {
            typed = Some(self.node_here(p));
            Ok(TreeNodeRecursion::Stop)
        });
        typed.unwrap_or_else(|| Err(mixed("write it with fewer nested steps")))
    }

    fn node_here(&mut self, plan: &LogicalPlan) -> Result<Typed, Refusal> {
        // It holds for the windows right below a SELECT list and for nothing else.
        if !matches!(plan, LogicalPlan::Window(_) | LogicalPlan::Filter(_)) {
            self.needed = None;
        }
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::SubqueryAlias(alias) => {
                let input = self.node(&alias.input)?;
                let named = |plan: LogicalPlan| {
                    built(SubqueryAlias::try_new(Arc::new(plan), alias.alias.clone())).map(LogicalPlan::SubqueryAlias)
                };
                Ok(match input {
                    Typed::Owned(owned) => Typed::Owned(Owned { plan: named(owned.plan)?, ..owned }),
                    other => other.rebuild(named)?,
                })
            }
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Join(join) => joins::join(self, join),
            LogicalPlan::Aggregate(aggregate) => {
                // A WITH that is read twice stands twice in the plan: it is released once, and is the same both times.
                if let Some((_, released)) = self.released.iter().find(|(known, _)| known == aggregate) {
                    return Ok(Typed::Released(released.clone()));
                }
                if let Some(beside) = listed::beside(self, aggregate)? {
                    return self.node(&beside);
                }
                match self.node(&aggregate.input)? {
                    Typed::Owned(owned) => self.aggregate(aggregate, owned),
                    Typed::Released(below) => standing::aggregate(self, aggregate, below),
                    other => self.above(plan, vec![other]),
                }
            }
            LogicalPlan::Window(window) => {
                let needed = self.needed.take();
                if matches!(window.input.as_ref(), LogicalPlan::Window(_)) {
                    self.needed = needed.clone();
                }
                match self.node(&window.input)? {
                    Typed::Owned(owned) => {
                        if let Some(beside) = across::released(self, window, &owned)? {
                            return self.node(&beside);
                        }
                        self.needed = needed;
                        windows::window(self, window, owned).map(Typed::Owned)
                    }
                    Typed::Released(below) => standing::window(self, window, below),
                    other => self.above(plan, vec![other]),
                }
            }
            LogicalPlan::Distinct(Distinct::All(input)) => match self.node(input)? {
                Typed::Owned(owned) => self.distinct(input, owned),
                other => self.above(plan, vec![other]),
            },
            LogicalPlan::Distinct(Distinct::On(on)) => {
                let numbered = sets::first_of_each(self, on)?;
                self.node(&numbered)
            }
            LogicalPlan::Union(union) => {
                let inputs = union.inputs.iter().map(|i| self.node(i)).collect::<Result<Vec<_>, _>>()?;
                match inputs.iter().any(|i| matches!(i, Typed::Owned(_))) {
                    true => sets::union(self, union, inputs).map(Typed::Owned),
                    false => self.above(plan, inputs),
                }
            }
            LogicalPlan::Sort(sort) => match self.node(&sort.input)? {
                // An order without a limit is no part of the rows; it goes, and with it every question of ties.
                Typed::Owned(owned) if sort.fetch.is_none() => Ok(Typed::Owned(owned)),
                Typed::Owned(_) => Err(mixed("LIMIT over persons' rows; aggregate first, then LIMIT")),
                other => self.above(plan, vec![other]),
            },
            other => {
                let inputs = other.inputs().into_iter().map(|i| self.node(i)).collect::<Result<Vec<_>, _>>()?;
                self.above(plan, inputs)
            }
        }
    }

    /// DISTINCT inside persons, or else GROUP BY all columns: a release of groups without anything beside them.
    fn distinct(&mut self, input: &Arc<LogicalPlan>, owned: Owned) -> Result<Typed, Refusal> {
        let shown: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        if shown.iter().any(|column| owned.is_owner(column) || owned.names_a_row(column)) {
            return sets::distinct(self, shown, owned).map(Typed::Owned);
        }
        let written = built(Aggregate::try_new(Arc::clone(input), shown, vec![]))?;
        match self.released.iter().find(|(known, _)| *known == written) {
            Some((_, released)) => Ok(Typed::Released(released.clone())),
            None => self.aggregate(&written, owned),
        }
    }

    fn aggregate(&mut self, written: &Aggregate, owned: Owned) -> Result<Typed, Refusal> {
        let aggregate = written;
        let asked: Vec<Expr> = aggregate.group_expr.iter().chain(&aggregate.aggr_expr).cloned().collect();
        let (owned, mut groups) = subqueries::resolve(self, owned, &asked)?;
        let aggregates = groups.split_off(aggregate.group_expr.len());
        let input = Arc::clone(&aggregate.input);
        let schema = Arc::clone(&aggregate.schema);
        let aggregate = built(Aggregate::try_new_with_schema(input, groups, aggregates, schema))?;
        match per_person::by_owner(&aggregate, &owned) {
            true => per_person::aggregate(self, &aggregate, owned).map(Typed::Owned),
            false => {
                let released = grouping::release(self, &aggregate, owned)?;
                self.released.push((written.clone(), released.clone()));
                Ok(Typed::Released(released))
            }
        }
    }

    /// Any step of which no input is Owned: public steps stay public, and what follows a release is post-processing.
    pub(super) fn above(&mut self, plan: &LogicalPlan, inputs: Vec<Typed>) -> Result<Typed, Refusal> {
        let released = inputs.iter().any(|i| matches!(i, Typed::Released(_)));
        let reference = inputs.iter().any(|i| matches!(i, Typed::Reference(_)));
        let mut plans = vec![];
        for input in inputs {
            match input {
                Typed::Public(p) | Typed::Released(p) | Typed::Reference(p) => plans.push(p),
                Typed::Owned(_) => return Err(self.refuse_step(plan)),
            }
        }
        let (exprs, released_inside) = self.with_released_subqueries(plan)?;
        if reference {
            references::harmless(plan, &exprs)?;
        }
        let released = released || released_inside;
        let rebuilt = built(plan.with_new_exprs(exprs, plans))?;
        Ok(match (released, reference) {
            (true, true) => return Err(mixed("reference tables join persons' rows, not released values")),
            (true, false) => Typed::Released(rebuilt),
            (false, true) => Typed::Reference(rebuilt),
            (false, false) => Typed::Public(rebuilt),
        })
    }

    /// The expressions of a step without persons' rows, subqueries in them cut at their releases; whether there are any.
    fn with_released_subqueries(&mut self, plan: &LogicalPlan) -> Result<(Vec<Expr>, bool), Refusal> {
        let exprs = plan.expressions();
        if !exprs.iter().any(subqueries::any) {
            return Ok((exprs, false));
        }
        let mut released = false;
        let mut rebuilt = vec![];
        for expr in exprs {
            let (name, asks) = (expr.schema_name().to_string(), subqueries::any(&expr));
            let expr = subqueries::replaced(expr, &mut |inner| match self.node(inner)? {
                Typed::Public(plan) => Ok(plan),
                Typed::Released(plan) => {
                    released = true;
                    Ok(plan)
                }
                Typed::Owned(_) | Typed::Reference(_) => {
                    Err(refused("a subquery that yields rows of the records", "aggregate in it"))
                }
            })?;
            let renamed = asks && matches!(plan, LogicalPlan::Projection(_)) && expr.schema_name().to_string() != name;
            rebuilt.push(if renamed { expr.alias(name) } else { expr });
        }
        Ok((rebuilt, released))
    }

    fn refuse_step(&self, plan: &LogicalPlan) -> Refusal {
        match plan {
            LogicalPlan::Limit(_) => mixed("LIMIT over persons' rows; aggregate first, then LIMIT"),
            LogicalPlan::Subquery(_) => mixed("LATERAL; aggregate per person in a subquery and join it on person_id"),
            LogicalPlan::RecursiveQuery(_) => mixed("WITH RECURSIVE over persons' rows; use windows over person_id"),
            LogicalPlan::Unnest(_) => mixed("UNNEST over persons' rows; join a public table instead"),
            _ => mixed("this step over persons' rows; use WHERE, JOIN on person_id and GROUP BY"),
        }
    }

    fn scan(&mut self, scan: &TableScan) -> Result<Typed, Refusal> {
        let plan = LogicalPlan::TableScan(scan.clone());
        let table = catalogued(scan).ok_or_else(|| Refusal::UnknownTable { name: scan.table_name.to_string() })?;
        let Standing::Unit { dataset, population, table: declared } = &table.standing else {
            return Ok(match table.standing {
                Standing::Reference { .. } => Typed::Reference(plan),
                _ => Typed::Public(plan),
            });
        };
        self.scans += 1;
        let facts: Vec<Facts> = table
            .columns
            .fields()
            .iter()
            .map(|field| {
                declared
                    .column(field.name())
                    .map_or_else(Facts::unknown, |c| Facts::declared(c, declared, &table.schema, self.scans))
            })
            .collect();
        let owner = facts.iter().position(|f| f.owner).ok_or_else(|| mixed("this table has no owner key"))?;
        let defaults = Defaults {
            dataset: dataset.clone(),
            population: population.clone(),
            rows_per_group: declared.rows_per_group,
            groups: declared.groups,
            groups_met: 0,
            picked: if declared.one_row_per_person { 1 } else { u32::MAX },
            distinct_values: declared.distinct_values,
            room: room(self.bounds.work_rows_max),
        };
        let rows_max = if declared.one_row_per_person { 1 } else { u64::from(declared.rows_per_person_max) };
        Ok(Typed::Owned(Owned { plan, owner, facts, rows_max, defaults, halves: None }))
    }

    /// Narrows the columns that a term of `predicate` computes with to the public values for which it is true.
    fn narrow_by_values(&mut self, predicate: &Expr, before: &[Facts], owned: &mut Owned) {
        for term in split_conjunction(predicate) {
            let columns = term.column_refs();
            let [column] = columns.iter().copied().collect::<Vec<_>>()[..] else { continue };
            let Some(place) = owned.plan.schema().maybe_index_of_column(column) else { continue };
            let understood = before.get(place).zip(owned.facts.get(place));
            if understood.is_none_or(|(a, b)| a.range != b.range || a.domain != b.domain) || self.looked_at >= LOOKED_AT
            {
                continue;
            }
            self.looked_at += 1;
            let Some(values) = left_by(&owned.scope(), term) else { continue };
            if let Some(facts) = owned.facts.get_mut(place) {
                narrowing::among(values, facts);
            }
        }
    }

    fn filter(&mut self, filter: &Filter) -> Result<Typed, Refusal> {
        if let Some(unmatched) = joins::unmatched(filter)? {
            return self.node(&unmatched);
        }
        match self.node(&filter.input)? {
            Typed::Owned(owned) => {
                let (mut owned, predicate) = subqueries::resolve_filter(self, owned, &filter.predicate)?;
                let total = owned.scope().total(&predicate)?;
                let before = owned.facts.clone();
                narrowing::narrow(&predicate, owned.plan.schema(), &mut owned.facts);
                self.narrow_by_values(&total.expr, &before, &mut owned);
                bound_by_codes(&mut owned.facts);
                owned.defaults.picked = owned.defaults.picked.min(narrowing::picked(&before, &owned.facts));
                owned.rows_max = owned.rows_max.min(narrowing::numbered_rows(&owned.facts));
                let plan = LogicalPlan::Filter(built(Filter::try_new(total.expr, Arc::new(owned.plan)))?);
                Ok(Typed::Owned(Owned { plan, ..owned }.settled()))
            }
            other => self.above(&LogicalPlan::Filter(filter.clone()), vec![other]),
        }
    }

    fn projection(&mut self, projection: &Projection) -> Result<Typed, Refusal> {
        if let Some(joined) = entries::joined(self, projection)? {
            return self.node(&joined);
        }
        self.needed = windows::needed(projection);
        let owned = match self.node(&projection.input)? {
            Typed::Owned(owned) => owned,
            other => return self.above(&LogicalPlan::Projection(projection.clone()), vec![other]),
        };
        let (owned, items) = subqueries::resolve(self, owned, &projection.expr)?;
        let (mut exprs, mut facts) = (vec![], vec![]);
        let passed = narrowing::passed(&projection.input);
        for (item, field) in items.iter().zip(projection.schema.iter()) {
            let total = owned.scope().item(item)?;
            exprs.push(keep_name(total.expr, item, field.0.cloned(), field.1.name()));
            facts.push(narrowing::seen_between(&passed, item, total.facts));
        }
        let owner = match facts.iter().position(|f| f.owner) {
            Some(index) => index,
            None => {
                let hidden = self.fresh("owner");
                exprs.push(owned.owner_key().ok_or_else(|| mixed(TOP))?.alias(hidden));
                facts.push(Facts::owner_key());
                facts.len() - 1
            }
        };
        let plan = LogicalPlan::Projection(built(Projection::try_new(exprs, Arc::new(owned.plan)))?);
        let owned = Owned { plan, owner, facts, halves: None, ..owned };
        short_rows(owned.columns(), 1, owned.defaults.room)?;
        Ok(Typed::Owned(owned))
    }

    /// A public part below persons' rows is evaluated once, beforehand, and read from memory.
    pub(super) fn public_input(&mut self, plan: LogicalPlan) -> Result<LogicalPlan, Refusal> {
        references::checked(&plan)?;
        let index = self.public_inputs.len();
        let placeholder = super::placeholder::public_input(index, plan.schema())?;
        self.public_inputs.push(plan);
        Ok(placeholder)
    }
}

impl Typed {
    fn rebuild(self, build: impl Fn(LogicalPlan) -> Result<LogicalPlan, Refusal>) -> Result<Self, Refusal> {
        Ok(match self {
            Self::Public(plan) => Self::Public(build(plan)?),
            Self::Reference(plan) => Self::Reference(build(plan)?),
            Self::Released(plan) => Self::Released(build(plan)?),
            Self::Owned(owned) => Self::Owned(Owned { plan: build(owned.plan)?, ..owned }),
        })
    }
}

/// A rewritten item keeps the name under which later steps know it.
fn keep_name(total: Expr, original: &Expr, relation: Option<datafusion::common::TableReference>, name: &str) -> Expr {
    match (&total, original) {
        (Expr::Column(_), Expr::Column(_)) => total,
        _ => total.alias_qualified(relation, name),
    }
}

pub(super) fn mixed(hint: &str) -> Refusal {
    Refusal::PersonsMixed { hint: hint.to_owned() }
}

/// Building a step from parts that the planner has already accepted; should it fail all the same, the question is
/// refused, in our words.
pub(super) fn built<T>(result: datafusion::common::Result<T>) -> Result<T, Refusal> {
    result.map_err(|_| refused("this combination of steps", "write it with fewer nested steps"))
}

/// The plan of [`Sort`] by owner on top of a release's input: where the files are already in that order it costs nothing.
pub(super) fn in_owner_order(plan: LogicalPlan, owner: Expr) -> LogicalPlan {
    LogicalPlan::Sort(Sort { expr: vec![owner.sort(true, false)], input: Arc::new(plan), fetch: None })
}
