//! To whom does every row of every step belong?
//!
//! The analyser walks the plan bottom-up and gives every step a type (privacy.md section 2). Four things can stand
//! below a step: public rows, reference rows, rows owned by one person each, and released values. What is not listed
//! here is refused. Soundness rests on one invariant:
//!
//! INVARIANT: in an [`Owned`] step every row is computed from rows of one person only, and the column `owner` holds
//! that person's key.

use std::sync::Arc;

use datafusion::{
    common::{Column, JoinType, NullEquality},
    logical_expr::{
        Expr, Filter, Join, LogicalPlan, Projection, SubqueryAlias,
        logical_plan::{Sort, TableScan},
    },
};

use super::{
    cut,
    expression::{Scope, refused},
    facts::Facts,
    narrowing, per_person,
    release_point::{self, Release},
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
pub(super) struct Owned {
    pub(super) plan: LogicalPlan,
    /// Index of a column that holds the owner key; never NULL.
    pub(super) owner: usize,
    /// One entry per column of the plan.
    pub(super) facts: Vec<Facts>,
    /// No person has more rows here.
    pub(super) rows_max: u64,
    pub(super) defaults: Defaults,
}

/// What the catalogue proposes for a release over the tables below, and whose they are.
#[derive(Debug, Clone)]
pub(super) struct Defaults {
    pub(super) dataset: DatasetName,
    pub(super) population: PopulationName,
    pub(super) rows_per_group: u32,
    pub(super) groups: u32,
    pub(super) distinct_values: u32,
}

impl Owned {
    pub(super) fn scope(&self) -> Scope<'_> {
        Scope { schema: self.plan.schema(), facts: &self.facts }
    }

    /// The owner key as an expression over this step.
    pub(super) fn owner_key(&self) -> Option<Expr> {
        self.plan.schema().iter().nth(self.owner).map(|field| Expr::Column(Column::from(field)))
    }
}

/// The walk: collects releases and public inputs on its way up.
pub(super) struct Walk<'a> {
    pub(super) bounds: &'a Bounds,
    pub(super) asked: &'a super::Asked,
    pub(super) releases: Vec<Release>,
    pub(super) public_inputs: Vec<LogicalPlan>,
    fresh: usize,
}

const TOP: &str = "select aggregates such as COUNT(*)";

impl<'a> Walk<'a> {
    pub(super) fn new(bounds: &'a Bounds, asked: &'a super::Asked) -> Self {
        Self { bounds, asked, releases: vec![], public_inputs: vec![], fresh: 0 }
    }

    /// A name that no caller can have written: admission refuses texts that hold its prefix.
    pub(super) fn fresh(&mut self, stem: &str) -> String {
        self.fresh += 1;
        format!("__sekisho_{stem}_{}", self.fresh)
    }

    /// The type of `plan`, with `plan` rewritten so that every Owned step carries its owner key.
    pub(super) fn node(&mut self, plan: &LogicalPlan) -> Result<Typed, Refusal> {
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
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Aggregate(aggregate) => match self.node(&aggregate.input)? {
                Typed::Owned(owned) if per_person::by_owner(aggregate, &owned) => {
                    per_person::aggregate(self, aggregate, owned).map(Typed::Owned)
                }
                Typed::Owned(owned) => release_point::release(self, aggregate, owned).map(Typed::Released),
                other => self.above(plan, vec![other]),
            },
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

    /// Any step of which no input is Owned: public steps stay public, and what follows a release is post-processing.
    fn above(&mut self, plan: &LogicalPlan, inputs: Vec<Typed>) -> Result<Typed, Refusal> {
        let released = inputs.iter().any(|i| matches!(i, Typed::Released(_)));
        let reference = inputs.iter().any(|i| matches!(i, Typed::Reference(_)));
        let mut plans = vec![];
        for input in inputs {
            match input {
                Typed::Public(p) | Typed::Released(p) | Typed::Reference(p) => plans.push(p),
                Typed::Owned(_) => return Err(self.refuse_step(plan)),
            }
        }
        no_unit_in_expressions(plan)?;
        let rebuilt = built(plan.with_new_exprs(plan.expressions(), plans))?;
        Ok(match (released, reference) {
            (true, true) => return Err(mixed("reference tables join persons' rows, not released values")),
            (true, false) => Typed::Released(rebuilt),
            (false, true) => Typed::Reference(rebuilt),
            (false, false) => Typed::Public(rebuilt),
        })
    }

    fn refuse_step(&self, plan: &LogicalPlan) -> Refusal {
        match plan {
            LogicalPlan::Limit(_) => mixed("LIMIT over persons' rows; aggregate first, then LIMIT"),
            LogicalPlan::Distinct(_) => mixed("DISTINCT over persons; write GROUP BY with COUNT(*) instead"),
            LogicalPlan::Window(_) => {
                mixed("a window over persons' rows; aggregate per person in a subquery grouped by person_id")
            }
            LogicalPlan::Union(_) => mixed("UNION of persons' rows; release each part, then combine"),
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
        let facts: Vec<Facts> = table
            .columns
            .fields()
            .iter()
            .map(|field| declared.column(field.name()).map_or_else(Facts::unknown, |c| Facts::declared(c, declared)))
            .collect();
        let owner = facts.iter().position(|f| f.owner).ok_or_else(|| mixed("this table has no owner key"))?;
        let defaults = Defaults {
            dataset: dataset.clone(),
            population: population.clone(),
            rows_per_group: declared.rows_per_group,
            groups: declared.groups,
            distinct_values: declared.distinct_values,
        };
        let rows_max = if declared.one_row_per_person { 1 } else { u64::from(declared.rows_per_person_max) };
        Ok(Typed::Owned(Owned { plan, owner, facts, rows_max, defaults }))
    }

    fn filter(&mut self, filter: &Filter) -> Result<Typed, Refusal> {
        match self.node(&filter.input)? {
            Typed::Owned(mut owned) => {
                let predicate = owned.scope().total(&filter.predicate)?;
                narrowing::narrow(&filter.predicate, owned.plan.schema(), &mut owned.facts);
                let input = Arc::new(owned.plan);
                let plan = LogicalPlan::Filter(built(Filter::try_new(predicate.expr, input))?);
                Ok(Typed::Owned(Owned { plan, ..owned }))
            }
            other => self.above(&LogicalPlan::Filter(filter.clone()), vec![other]),
        }
    }

    fn projection(&mut self, projection: &Projection) -> Result<Typed, Refusal> {
        let owned = match self.node(&projection.input)? {
            Typed::Owned(owned) => owned,
            other => return self.above(&LogicalPlan::Projection(projection.clone()), vec![other]),
        };
        let (mut exprs, mut facts) = (vec![], vec![]);
        for (item, field) in projection.expr.iter().zip(projection.schema.iter()) {
            let total = owned.scope().item(item)?;
            exprs.push(keep_name(total.expr, item, field.0.cloned(), field.1.name()));
            facts.push(total.facts);
        }
        let owner = match facts.iter().position(|f| f.owner) {
            Some(index) => index,
            None => {
                let hidden = self.fresh("owner");
                exprs.push(owned.owner_key().ok_or_else(|| mixed(TOP))?.alias(hidden));
                facts.push(Facts { owner: true, fixed: true, nullable: false, ..Facts::unknown() });
                facts.len() - 1
            }
        };
        let plan = LogicalPlan::Projection(built(Projection::try_new(exprs, Arc::new(owned.plan)))?);
        Ok(Typed::Owned(Owned { plan, owner, facts, ..owned }))
    }

    fn join(&mut self, join: &Join) -> Result<Typed, Refusal> {
        let (left, right) = (self.node(&join.left)?, self.node(&join.right)?);
        match (left, right) {
            (Typed::Owned(left), Typed::Owned(right)) => self.join_persons(join, left, right),
            (Typed::Owned(owned), Typed::Public(plan) | Typed::Reference(plan)) => {
                self.join_public(join, owned, plan, true)
            }
            (Typed::Public(plan) | Typed::Reference(plan), Typed::Owned(owned)) => {
                self.join_public(join, owned, plan, false)
            }
            (Typed::Owned(_), Typed::Released(_)) | (Typed::Released(_), Typed::Owned(_)) => {
                Err(mixed("released values and persons' rows in one join"))
            }
            (left, right) => self.above(&LogicalPlan::Join(join.clone()), vec![left, right]),
        }
    }

    /// Both sides belong to persons: rows meet only where the owner keys are equal, so every row of the result is
    /// computed from one person's rows.
    fn join_persons(&mut self, join: &Join, left: Owned, right: Owned) -> Result<Typed, Refusal> {
        if left.defaults.population != right.defaults.population || left.defaults.dataset != right.defaults.dataset {
            return Err(mixed("tables of two data sets"));
        }
        if join.join_type != JoinType::Inner || join.null_equality != NullEquality::NullEqualsNothing {
            return Err(mixed("only inner joins between tables of persons, on person_id"));
        }
        let is_owner = |side: &Owned, expr: &Expr| match expr {
            Expr::Column(column) => side.scope().facts_of(column).is_ok_and(|f| f.owner),
            _ => false,
        };
        let is_link = |side: &Owned, expr: &Expr| match expr {
            Expr::Column(column) => side.scope().facts_of(column).is_ok_and(|f| f.key && !f.owner),
            _ => false,
        };
        let keyed = join.on.iter().any(|(l, r)| is_owner(&left, l) && is_owner(&right, r));
        if !keyed {
            return Err(mixed("join tables of persons ON a.person_id = b.person_id"));
        }
        let mut on = vec![];
        for (l, r) in &join.on {
            match (is_owner(&left, l), is_owner(&right, r)) {
                (true, true) => on.push((l.clone(), r.clone())),
                // Links between rows of one person, whose owner keys are equal besides.
                (false, false) if is_link(&left, l) && is_link(&right, r) => on.push((l.clone(), r.clone())),
                _ => on.push((left.scope().total(l)?.expr, right.scope().total(r)?.expr)),
            }
        }
        let rows_max = left.rows_max.saturating_mul(right.rows_max);
        let defaults = Defaults {
            rows_per_group: left.defaults.rows_per_group.max(right.defaults.rows_per_group),
            groups: left.defaults.groups.max(right.defaults.groups),
            distinct_values: left.defaults.distinct_values.max(right.defaults.distinct_values),
            ..left.defaults.clone()
        };
        let most = self.bounds.work_rows_max;
        let left = match rows_max > most {
            true => cut::before_join(self, left, &right)?,
            false => left,
        };
        let facts: Vec<Facts> = left.facts.iter().chain(&right.facts).cloned().collect();
        let owner = left.owner;
        let schema = built(left.plan.schema().join(right.plan.schema()))?;
        let scope = Scope { schema: &schema, facts: &facts };
        let filter = join.filter.as_ref().map(|f| scope.total(f)).transpose()?.map(|t| t.expr);
        let plan = built(Join::try_new(
            Arc::new(left.plan),
            Arc::new(right.plan),
            on,
            filter,
            JoinType::Inner,
            join.join_constraint,
            NullEquality::NullEqualsNothing,
            false,
        ))?;
        Ok(Typed::Owned(Owned { plan: LogicalPlan::Join(plan), owner, facts, rows_max: rows_max.min(most), defaults }))
    }

    /// Persons' rows meet rows about nobody: every row of the result carries one of the person's.
    fn join_public(
        &mut self,
        join: &Join,
        owned: Owned,
        public: LogicalPlan,
        owned_left: bool,
    ) -> Result<Typed, Refusal> {
        let kept = match (join.join_type, owned_left) {
            (JoinType::Inner, _) => false,
            (JoinType::Left, true) | (JoinType::Right, false) => true,
            _ => return Err(mixed("this join could return public rows without a person; use INNER or LEFT JOIN")),
        };
        if join.null_equality != NullEquality::NullEqualsNothing {
            return Err(mixed("join with ="));
        }
        let unique = cut::unique_columns(&public);
        let rows_public = cut::rows(&public);
        let public_schema = Arc::clone(public.schema());
        let public_facts: Vec<Facts> =
            public_schema.fields().iter().map(|_| Facts { nullable: true, ..Facts::unknown() }).collect();
        let input = self.public_input(public)?;
        let mut on = vec![];
        let mut single = false;
        for (l, r) in &join.on {
            let (mine, theirs) = if owned_left { (l, r) } else { (r, l) };
            // A link such as location_id may lead to a reference table; the owner key leads nowhere.
            let mine = owned.scope().item(mine)?;
            if mine.facts.owner {
                return Err(mixed("person_id joins tables of persons only"));
            }
            let mine = mine.expr;
            if let Expr::Column(column) = theirs {
                single |= unique.contains(column);
            }
            let theirs = Scope { schema: &public_schema, facts: &public_facts }.total(theirs)?.expr;
            on.push(if owned_left { (mine, theirs) } else { (theirs, mine) });
        }
        let rows_max =
            if single { owned.rows_max } else { owned.rows_max.saturating_mul(rows_public.unwrap_or(u64::MAX)) };
        let most = self.bounds.work_rows_max;
        let owned = match rows_max > most {
            true => cut::before_public_join(self, owned, &input, &on, owned_left)?,
            false => owned,
        };
        let Owned { plan, owner, facts, defaults, .. } = owned;
        let width = public_facts.len();
        let (left, right, facts, owner) = match owned_left {
            true => (plan, input, facts.into_iter().chain(public_facts).collect::<Vec<_>>(), owner),
            false => (input, plan, public_facts.into_iter().chain(facts).collect(), owner + width),
        };
        let schema = built(left.schema().join(right.schema()))?;
        let filter = join
            .filter
            .as_ref()
            .map(|f| Scope { schema: &schema, facts: &facts }.total(f))
            .transpose()?
            .map(|t| t.expr);
        let constraint = join.join_constraint;
        let kind = if kept { join.join_type } else { JoinType::Inner };
        let equality = NullEquality::NullEqualsNothing;
        let plan =
            built(Join::try_new(Arc::new(left), Arc::new(right), on, filter, kind, constraint, equality, false))?;
        Ok(Typed::Owned(Owned { plan: LogicalPlan::Join(plan), owner, facts, rows_max: rows_max.min(most), defaults }))
    }

    /// A public part below persons' rows is evaluated once, beforehand, and read from memory.
    fn public_input(&mut self, plan: LogicalPlan) -> Result<LogicalPlan, Refusal> {
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

/// Subqueries inside expressions of a step: they may only read public tables.
fn no_unit_in_expressions(plan: &LogicalPlan) -> Result<(), Refusal> {
    use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
    let mut public = true;
    let mut subqueries = false;
    let _ = plan.apply_expressions(|expr| {
        expr.apply(|e| {
            let subquery = match e {
                Expr::ScalarSubquery(s) => Some(&s.subquery),
                Expr::Exists(e) => Some(&e.subquery.subquery),
                Expr::InSubquery(i) => Some(&i.subquery.subquery),
                Expr::SetComparison(s) => Some(&s.subquery.subquery),
                _ => None,
            };
            if let Some(inner) = subquery {
                subqueries = true;
                inner.apply_with_subqueries(|node| {
                    if let LogicalPlan::TableScan(scan) = node {
                        public &= catalogued(scan).is_some_and(|t| matches!(t.standing, Standing::Public { .. }));
                    }
                    Ok(TreeNodeRecursion::Continue)
                })?;
            }
            Ok(TreeNodeRecursion::Continue)
        })
    });
    match !subqueries || public {
        true => Ok(()),
        false => Err(refused("a subquery in an expression", "join the table instead")),
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
