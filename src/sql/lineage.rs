//! Which columns of which tables does a plan touch, and in which position?

mod plain;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ptr,
};

use datafusion::{
    common::{
        Column, Result,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Distinct, Expr, LogicalPlan, Subquery, utils::grouping_set_to_exprlist},
};

use super::{
    Standing, catalogued,
    positions::{conjuncts, expressions, further, subqueries, subquery},
};
use crate::terms::{ColumnUse, Position, Touched};

/// A column of a stored table: schema, table, column.
type Stored = (String, String, String);

/// A step and the scope that it stands in.
type Scoped<'p> = (&'p LogicalPlan, usize);

/// Every table and column below `plan`, also inside subqueries of expressions.
///
/// A column counts in every position where its value is used, however many SELECT lists or subqueries passed it on. It
/// is grouped where rows are made distinct by it, and filters where CASE or a comparison reads it. One that is only
/// passed on counts as grouped, since that is how it would come out.
///
/// # Errors
/// Only those of walking the plan.
pub fn touched(plan: &LogicalPlan) -> Result<Touched> {
    let mut lineage = Lineage::new();
    let mut passed_on: BTreeSet<Stored> = BTreeSet::new();
    let mut uses = Uses::default();
    let steps = lineage.steps(plan, OUTERMOST)?;
    let mut seen = Touched::default();
    for (step, _) in &steps {
        if let LogicalPlan::TableScan(scan) = step
            && let Some(table) = catalogued(scan)
        {
            let name = (table.schema.clone(), table.name.clone());
            if !matches!(table.standing, Standing::Public { .. }) {
                lineage.recorded.insert(name.clone());
            }
            if let Standing::Unit { table: unit, .. } = &table.standing
                && let Some(owner) = &unit.owner
            {
                lineage.owners.insert((table.schema.clone(), table.name.clone(), owner.clone()));
            }
            seen.tables.insert(name);
        }
    }
    for (step, scope) in steps {
        for (expr, position) in expressions(step) {
            let stored = lineage.origins(expr, step, scope)?;
            match position {
                Some(position) => uses.add(stored, position),
                None => passed_on.extend(stored),
            }
        }
        for (expr, position) in further(step)? {
            uses.add(lineage.origins(expr, step, scope)?, position);
        }
        uses.add(lineage.counted_by_value(step, scope)?, Position::Filter);
        match step {
            LogicalPlan::Distinct(Distinct::All(input)) if !lineage.released(input, scope)? => {
                uses.add(lineage.shown(input, scope)?, Position::Group);
            }
            LogicalPlan::Unnest(unnest) => {
                for column in &unnest.exec_columns {
                    uses.add(lineage.follow(column, &unnest.input, scope)?, Position::Filter);
                }
            }
            _ => {}
        }
    }
    uses.fill(passed_on, Position::Group);
    seen.columns = uses.all();
    Ok(seen)
}

#[derive(Default)]
struct Uses(BTreeMap<Stored, BTreeSet<Position>>);

impl Uses {
    fn add(&mut self, stored: BTreeSet<Stored>, position: Position) {
        for column in stored {
            self.0.entry(column).or_default().insert(position);
        }
    }

    /// Adds those that have no use yet.
    fn fill(&mut self, stored: BTreeSet<Stored>, position: Position) {
        for column in stored {
            self.0.entry(column).or_insert_with(|| BTreeSet::from([position]));
        }
    }

    fn all(mut self) -> BTreeSet<ColumnUse> {
        self.0.remove(&listed());
        let each = |((schema, table, column), positions): (Stored, BTreeSet<Position>)| {
            let used = move |position| {
                let (schema, table, column) = (schema.clone(), table.clone(), column.clone());
                ColumnUse { schema, table, column, position }
            };
            positions.into_iter().map(used)
        };
        self.0.into_iter().flat_map(each).collect()
    }
}

/// The scope of the whole plan: nothing stands around it.
const OUTERMOST: usize = 0;

/// What a step may read beside its inputs: columns of the step around its subquery, or of what stands left of a LATERAL.
struct Scope<'p> {
    sees: Vec<Scoped<'p>>,
    within: usize,
}

/// From where a scope is entered.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Door {
    /// An expression of the step.
    Subquery,
    /// The right side of a join, which reads the left one if it is LATERAL.
    Lateral,
}

/// Follows columns down to the tables.
struct Lineage<'p> {
    /// The first is the outermost; each stands behind the one that it is within.
    scopes: Vec<Scope<'p>>,
    doors: HashMap<(*const LogicalPlan, usize, Door), usize>,
    /// What was found already: by the address of a step, which stands still while the plan is walked, its scope and a
    /// column of its output. Without it a column that each step reads twice would be followed twice as often at each.
    trail: HashMap<(*const LogicalPlan, usize, Column), BTreeSet<Stored>>,
    ties: HashMap<(*const LogicalPlan, usize), BTreeSet<Stored>>,
    /// Which columns are plain, as the trail has them.
    plain: HashMap<(*const LogicalPlan, usize, Column), bool>,
    /// Tables that are known only from persons' records.
    recorded: BTreeSet<(String, String)>,
    /// The owner keys of tables of persons.
    owners: BTreeSet<Stored>,
}

impl<'p> Lineage<'p> {
    fn new() -> Self {
        Self {
            scopes: vec![Scope { sees: vec![], within: OUTERMOST }],
            doors: HashMap::new(),
            trail: HashMap::new(),
            ties: HashMap::new(),
            plain: HashMap::new(),
            recorded: BTreeSet::new(),
            owners: BTreeSet::new(),
        }
    }

    /// `plan` and every step below it, also inside subqueries of expressions.
    fn steps(&mut self, plan: &'p LogicalPlan, scope: usize) -> Result<Vec<Scoped<'p>>> {
        let mut all = vec![];
        let mut open = vec![(plan, scope)];
        while let Some((step, scope)) = open.pop() {
            all.push((step, scope));
            for (expr, _) in expressions(step) {
                for subquery in subqueries(expr)? {
                    open.push((subquery.subquery.as_ref(), self.enter(step, scope, Door::Subquery)));
                }
            }
            open.extend(self.inputs(step, scope));
        }
        Ok(all)
    }

    fn inputs(&mut self, step: &'p LogicalPlan, scope: usize) -> Vec<Scoped<'p>> {
        match step {
            LogicalPlan::Join(join) => {
                vec![(join.left.as_ref(), scope), (join.right.as_ref(), self.enter(step, scope, Door::Lateral))]
            }
            other => other.inputs().into_iter().map(|input| (input, scope)).collect(),
        }
    }

    fn enter(&mut self, step: &'p LogicalPlan, scope: usize, door: Door) -> usize {
        let key = (ptr::from_ref(step), scope, door);
        if let Some(known) = self.doors.get(&key) {
            return *known;
        }
        let sees = match (door, step) {
            (Door::Lateral, LogicalPlan::Join(join)) => vec![(join.left.as_ref(), scope)],
            _ => self.inputs(step, scope),
        };
        let entered = self.scopes.len();
        self.scopes.push(Scope { sees, within: scope });
        self.doors.insert(key, entered);
        entered
    }

    /// The stored columns that `expr`, evaluated over the inputs of `step`, reads or yields.
    fn origins(&mut self, expr: &'p Expr, step: &'p LogicalPlan, scope: usize) -> Result<BTreeSet<Stored>> {
        let mut stored = BTreeSet::new();
        expr.apply(|e| {
            match e {
                Expr::Column(column) => stored.extend(self.read(column, step, scope)?),
                Expr::OuterReferenceColumn(_, column) => stored.extend(self.around(column, scope)?),
                _ => {}
            }
            if let Some((subquery, yields)) = subquery(e) {
                let inner = self.enter(step, scope, Door::Subquery);
                // Its value depends on what it reads of the step around it.
                for column in outer_columns(subquery)? {
                    stored.extend(self.around(column, inner)?);
                }
                if yields {
                    stored.extend(self.shown(&subquery.subquery, inner)?);
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(stored)
    }

    /// From where the inputs of `step` have `column`.
    fn read(&mut self, column: &Column, step: &'p LogicalPlan, scope: usize) -> Result<BTreeSet<Stored>> {
        if matches!(step, LogicalPlan::TableScan(_)) {
            return self.follow(column, step, scope);
        }
        let mut stored = BTreeSet::new();
        for (input, scope) in self.inputs(step, scope) {
            stored.extend(self.follow(column, input, scope)?);
        }
        Ok(stored)
    }

    /// From where the steps around `scope` have `column`: all that know the name, lest a nearer one hide the one meant.
    fn around(&mut self, column: &Column, scope: usize) -> Result<BTreeSet<Stored>> {
        let mut stored = BTreeSet::new();
        let mut at = scope;
        while at != OUTERMOST
            && let Some(Scope { sees, within }) = self.scopes.get(at)
        {
            at = *within;
            for (step, scope) in sees.clone() {
                stored.extend(self.follow(column, step, scope)?);
            }
        }
        Ok(stored)
    }

    /// From where all columns of `plan`'s output are.
    fn shown(&mut self, plan: &'p LogicalPlan, scope: usize) -> Result<BTreeSet<Stored>> {
        let mut stored = BTreeSet::new();
        for index in 0..plan.schema().fields().len() {
            stored.extend(self.follow_index(index, plan, scope)?);
        }
        Ok(stored)
    }

    /// The stored columns from which `column` of `plan`'s output is computed.
    fn follow(&mut self, column: &Column, plan: &'p LogicalPlan, scope: usize) -> Result<BTreeSet<Stored>> {
        let place = (ptr::from_ref(plan), scope, column.clone());
        if let Some(known) = self.trail.get(&place) {
            return Ok(known.clone());
        }
        let mut found = BTreeSet::new();
        if let Some(index) = plan.schema().maybe_index_of_column(column) {
            // Through the engine's own walk, which is safe on any stack however many steps stand above each other.
            plan.apply(|step| {
                found = self.follow_once(column, index, step, scope)?;
                Ok(TreeNodeRecursion::Stop)
            })?;
        }
        self.trail.insert(place, found.clone());
        Ok(found)
    }

    fn follow_index(&mut self, index: usize, plan: &'p LogicalPlan, scope: usize) -> Result<BTreeSet<Stored>> {
        match plan.schema().iter().nth(index) {
            Some(field) => self.follow(&Column::from(field), plan, scope),
            None => Ok(BTreeSet::new()),
        }
    }

    fn follow_once(
        &mut self,
        column: &Column,
        index: usize,
        plan: &'p LogicalPlan,
        scope: usize,
    ) -> Result<BTreeSet<Stored>> {
        let computed: Vec<&'p Expr> = match plan {
            LogicalPlan::TableScan(scan) => {
                let table = catalogued(scan).into_iter();
                return Ok(table.map(|t| (t.schema.clone(), t.name.clone(), column.name.clone())).collect());
            }
            LogicalPlan::Projection(projection) => projection.expr.get(index).into_iter().collect(),
            // It names its columns itself, as a SELECT list does.
            LogicalPlan::Distinct(Distinct::On(on)) => on.select_expr.get(index).into_iter().collect(),
            LogicalPlan::Values(values) => values.values.iter().filter_map(|row| row.get(index)).collect(),
            LogicalPlan::Aggregate(aggregate) => {
                let keys = plan.schema().fields().len().saturating_sub(aggregate.aggr_expr.len());
                match index.checked_sub(keys) {
                    Some(index) => aggregate.aggr_expr.get(index).into_iter().collect(),
                    // Grouping sets stand in one expression and make a column each; the number of the set, behind them,
                    // comes from none.
                    None if matches!(aggregate.group_expr.first(), Some(Expr::GroupingSet(_))) => {
                        grouping_set_to_exprlist(&aggregate.group_expr)?.get(index).copied().into_iter().collect()
                    }
                    None => aggregate.group_expr.get(index).into_iter().collect(),
                }
            }
            LogicalPlan::Window(window) => {
                let passed = window.input.schema().fields().len();
                match index.checked_sub(passed) {
                    Some(index) => window.window_expr.get(index).into_iter().collect(),
                    None => return self.follow_index(index, &window.input, scope),
                }
            }
            LogicalPlan::SubqueryAlias(alias) => return self.follow_index(index, &alias.input, scope),
            LogicalPlan::Unnest(unnest) => {
                return match unnest.dependency_indices.get(index) {
                    Some(index) => self.follow_index(*index, &unnest.input, scope),
                    None => Ok(BTreeSet::new()),
                };
            }
            LogicalPlan::Union(_) | LogicalPlan::RecursiveQuery(_) => {
                let mut stored = BTreeSet::new();
                for (input, scope) in self.inputs(plan, scope) {
                    stored.extend(self.follow_index(index, input, scope)?);
                }
                return Ok(stored);
            }
            LogicalPlan::Filter(_) | LogicalPlan::Join(_) => {
                let mut stored = self.read(column, plan, scope)?;
                if self.is_free(&stored) {
                    stored.extend(self.tied(plan, scope)?);
                    stored.insert(listed());
                }
                return Ok(stored);
            }
            _ => return self.read(column, plan, scope),
        };
        let mut stored = BTreeSet::new();
        for expr in computed {
            stored.extend(self.origins(expr, plan, scope)?);
        }
        Ok(stored)
    }

    /// The columns of persons' records that `step`, a join or a filter, compares with columns of no person: those show
    /// the values of these. Whoever joins a list of all years and groups by it groups by the year.
    fn tied(&mut self, step: &'p LogicalPlan, scope: usize) -> Result<BTreeSet<Stored>> {
        let place = (ptr::from_ref(step), scope);
        if let Some(known) = self.ties.get(&place) {
            return Ok(known.clone());
        }
        let mut tied = BTreeSet::new();
        for condition in conjuncts(step) {
            let (mut free, mut read) = (false, BTreeSet::new());
            for expr in condition {
                read.extend(self.origins(expr, step, scope)?);
                for column in columns(expr)? {
                    let stored = self.read(column, step, scope)?;
                    free |= self.is_free(&stored);
                }
                for subquery in subqueries(expr)? {
                    let inner = self.enter(step, scope, Door::Subquery);
                    for column in outer_columns(subquery)? {
                        let stored = self.around(column, inner)?;
                        free |= self.is_free(&stored);
                    }
                    for (step, scope) in self.steps(&subquery.subquery, inner)? {
                        for (expr, _) in expressions(step) {
                            read.extend(self.origins(expr, step, scope)?);
                        }
                    }
                }
            }
            if free {
                tied.extend(read.into_iter().filter(|stored| self.of_records(stored)));
            }
        }
        self.ties.insert(place, tied.clone());
        Ok(tied)
    }

    /// Whether a column of this origin is no person's, whatever it was compared with.
    fn is_free(&self, stored: &BTreeSet<Stored>) -> bool {
        stored.contains(&listed()) || !stored.iter().any(|stored| self.of_records(stored))
    }

    fn of_records(&self, (schema, table, _): &Stored) -> bool {
        self.recorded.contains(&(schema.clone(), table.clone()))
    }

    /// Whether the rows of `plan` are no persons' any more: public ones, or groups over persons. What they show was
    /// counted where they were grouped.
    fn released(&mut self, plan: &'p LogicalPlan, scope: usize) -> Result<bool> {
        if scope != OUTERMOST {
            return Ok(false);
        }
        let mut open = vec![plan];
        while let Some(step) = open.pop() {
            for (expr, _) in expressions(step) {
                if !subqueries(expr)?.is_empty() {
                    return Ok(false);
                }
            }
            match step {
                LogicalPlan::Aggregate(aggregate) => {
                    for key in &aggregate.group_expr {
                        if !self.origins(key, step, scope)?.is_disjoint(&self.owners) {
                            return Ok(false);
                        }
                    }
                }
                LogicalPlan::TableScan(scan) => {
                    if !catalogued(scan).is_some_and(|t| matches!(t.standing, Standing::Public { .. })) {
                        return Ok(false);
                    }
                }
                LogicalPlan::Projection(_)
                | LogicalPlan::Filter(_)
                | LogicalPlan::Window(_)
                | LogicalPlan::Sort(_)
                | LogicalPlan::Limit(_)
                | LogicalPlan::SubqueryAlias(_)
                | LogicalPlan::Union(_)
                | LogicalPlan::Distinct(Distinct::All(_))
                | LogicalPlan::EmptyRelation(_)
                | LogicalPlan::Values(_) => open.extend(step.inputs()),
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// Stands among the origins of a column that was no person's before it was compared with one that is: it may be
/// compared with more of them further up.
fn listed() -> Stored {
    Stored::default()
}

/// The columns that `expr` reads of its step's inputs.
fn columns(expr: &Expr) -> Result<Vec<&Column>> {
    let mut all = vec![];
    expr.apply(|e| {
        if let Expr::Column(column) = e {
            all.push(column);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(all)
}

/// The columns that `subquery` reads of the steps around it.
fn outer_columns(subquery: &Subquery) -> Result<Vec<&Column>> {
    let mut all = vec![];
    for outer in &subquery.outer_ref_columns {
        outer.apply(|e| {
            if let Expr::Column(column) | Expr::OuterReferenceColumn(_, column) = e {
                all.push(column);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(all)
}
