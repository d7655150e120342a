//! Where persons meet: which bounded integers leave the per-person steps, and what is made of them?
//!
//! An aggregate over Owned rows whose GROUP BY does not hold the owner key is a release point (privacy.md section 3).
//! It is cut into *partials*, each an integer per person and group with a public bound, and into *outputs*, which are
//! computed from noised sums of partials.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, Field},
    common::{DFSchemaRef, ScalarValue},
    logical_expr::{
        Aggregate, Expr, LogicalPlan, Projection, TryCast,
        expr::{AggregateFunction, AggregateFunctionParams},
    },
};

use super::{
    expression::refused,
    facts::{Facts, Origin},
    grid::Grid,
    placeholder,
    typing::{Owned, Walk, built, in_owner_order, mixed},
};
use crate::terms::{DatasetName, PopulationName, Refusal};

/// One release point: what the engine must compute exactly, and what becomes of it after noise.
#[derive(Debug, Clone)]
pub struct Release {
    /// Whose persons these are.
    pub dataset: DatasetName,
    /// The population that bears the loss.
    pub population: PopulationName,
    /// The per-person part. Its columns: the owner key, then the keys, then arguments and filters; in owner order.
    pub input: LogicalPlan,
    /// How many columns after the owner key are group keys.
    pub keys: usize,
    /// The groups, where they are public: for each key all its values. `None`: groups are selected by noise.
    pub public_groups: Option<Vec<Vec<ScalarValue>>>,
    /// What each person adds to each group.
    pub partials: Vec<Partial>,
    /// m: a person with more rows in a group is weighted down to this many.
    pub rows_per_group: u64,
    /// C: a person in more groups keeps this many of them.
    pub groups_max: u64,
    /// No person has more rows than this below the release.
    pub rows_max: u64,
    /// The columns of the SQL aggregate, keys first.
    pub outputs: Vec<Output>,
    /// Names and types of those columns.
    pub schema: DFSchemaRef,
}

/// An integer that one person adds to one group.
#[derive(Debug, Clone, PartialEq)]
pub struct Partial {
    /// What is added.
    pub kind: Kind,
    /// The input column whose NULLs are not seen; `None` for all rows.
    pub argument: Option<usize>,
    /// The input column that must be TRUE; `None` for all rows.
    pub filter: Option<usize>,
}

/// What a partial adds.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// The rows seen, at most m.
    Rows,
    /// 1 if any row is seen.
    Person,
    /// The argument's grid units minus `centre`, summed over the rows seen, times m/n where they are more than m.
    Sum {
        /// The grid that values are clamped and rounded to.
        grid: Grid,
        /// The public point that is subtracted, in grid units.
        centre: i64,
        /// Where the bounds come from.
        origin: Origin,
    },
}

/// One column of the result, from noised sums.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// The n-th group key.
    Key(usize),
    /// The noised sum of a partial, as it is.
    Count(usize),
    /// The noised sum of a partial, in the column's unit.
    Sum(usize),
    /// `centre` plus the quotient of two partials.
    Mean {
        /// The partial with Σ(e − centre).
        sum: usize,
        /// The partial with the rows seen.
        rows: usize,
    },
}

impl Partial {
    /// The most that one person adds to one group, in units (L∞ of the release, privacy.md section 3).
    ///
    /// # Errors
    /// `None` where it does not fit 2^62.
    #[must_use]
    pub fn bound(&self, rows_per_group: u64) -> Option<u64> {
        let bound = match &self.kind {
            Kind::Rows => rows_per_group,
            Kind::Person => 1,
            Kind::Sum { grid, centre, .. } => {
                let farthest = grid.lo.abs_diff(*centre).max(grid.hi.abs_diff(*centre));
                rows_per_group.checked_mul(farthest)?
            }
        };
        (bound < 1 << 62).then_some(bound)
    }
}

/// Cuts `aggregate` over `input` into a release, and returns the scan of what it will release.
pub(super) fn release(walk: &mut Walk<'_>, aggregate: &Aggregate, input: Owned) -> Result<LogicalPlan, Refusal> {
    let mut parts = Parts::default();
    let scope = input.scope();
    let mut keys: Vec<(Facts, DataType)> = vec![];
    for (expr, field) in aggregate.group_expr.iter().zip(aggregate.schema.iter()) {
        if matches!(expr, Expr::GroupingSet(_)) {
            return Err(mixed("GROUPING SETS, ROLLUP and CUBE; ask each level by itself"));
        }
        let total = scope.item(expr)?;
        if total.facts.key {
            return Err(refused(field.1.name(), "row ids are no group keys of a release"));
        }
        let data_type = scope.data_type(expr)?;
        if !groupable(&data_type) {
            return Err(refused(field.1.name(), "group by numbers, dates, texts or booleans"));
        }
        keys.push((total.facts, data_type));
        parts.columns.push(total.expr);
    }
    let mut outputs: Vec<Output> = (0..keys.len()).map(Output::Key).collect();
    for expr in &aggregate.aggr_expr {
        let Expr::AggregateFunction(call) = expr.clone().unalias_nested().data else {
            return Err(refused("this aggregate", "use COUNT, SUM or AVG"));
        };
        outputs.push(parts.output(&call, &input)?);
    }
    let public_groups = public_groups(&keys, walk.bounds.cells_max);
    let cells = public_groups.as_ref().map(|g| cells(g));
    let fixed = keys.iter().all(|(facts, _)| facts.fixed);
    let groups_asked = walk.asked.groups.unwrap_or(input.defaults.groups).max(1);
    let groups_max = match (fixed, cells) {
        (true, _) => 1,
        (false, Some(cells)) => u64::from(groups_asked).min(cells.max(1)),
        (false, None) => u64::from(groups_asked),
    };
    let groups_max = groups_max.min(input.rows_max.max(1));
    let rows_asked = walk.asked.rows_per_group.unwrap_or(input.defaults.rows_per_group).max(1);
    let rows_per_group = u64::from(rows_asked).min(input.rows_max.max(1));
    fits(&mut parts.partials, rows_per_group, input.rows_max, walk.bounds.population_max)?;

    let owner = input.owner_key().ok_or_else(|| mixed("group by columns of persons"))?.alias("__sekisho_owner");
    let items = [owner]
        .into_iter()
        .chain(parts.columns.into_iter().enumerate().map(|(i, expr)| expr.alias(format!("__sekisho_in_{i}"))));
    let plan = LogicalPlan::Projection(built(Projection::try_new(items.collect(), Arc::new(input.plan)))?);
    let by_owner = Expr::Column(datafusion::common::Column::from_name("__sekisho_owner"));
    let release = Release {
        dataset: input.defaults.dataset,
        population: input.defaults.population,
        input: in_owner_order(plan, by_owner),
        keys: keys.len(),
        public_groups,
        partials: parts.partials,
        rows_per_group,
        groups_max,
        rows_max: input.rows_max,
        outputs,
        schema: Arc::clone(&aggregate.schema),
    };
    let scan = placeholder::release(walk.releases.len(), release.fields(), &release.schema, &[])?;
    walk.releases.push(release);
    Ok(scan)
}

/// The types that the exact stage keeps apart to the last value.
fn groupable(data_type: &DataType) -> bool {
    let text = matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
    let time = matches!(data_type, DataType::Date32 | DataType::Timestamp(_, None));
    let whole = data_type.is_integer() && *data_type != DataType::UInt64;
    whole || data_type.is_floating() || text || time || *data_type == DataType::Boolean
}

impl Release {
    /// The columns of what is released: the SQL aggregate's, then one half-width per output that is noisy.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        let visible = self.schema.fields().iter().enumerate();
        let mut fields: Vec<Field> =
            visible.map(|(i, f)| Field::new(placeholder::column_name(i), f.data_type().clone(), true)).collect();
        for index in 0..self.outputs.len() {
            fields.push(Field::new(placeholder::column_name(self.outputs.len() + index), DataType::Float64, true));
        }
        fields
    }

    /// How many cells the release has; `None` where groups are selected.
    #[must_use]
    pub fn cells(&self) -> Option<u64> {
        self.public_groups.as_ref().map(|groups| cells(groups))
    }
}

fn cells(groups: &[Vec<ScalarValue>]) -> u64 {
    groups.iter().map(|values| u64::try_from(values.len()).unwrap_or(u64::MAX)).fold(1, u64::saturating_mul)
}

/// All values of every key, if each has a public list and the cells stay within the cap.
fn public_groups(keys: &[(Facts, DataType)], most: usize) -> Option<Vec<Vec<ScalarValue>>> {
    let mut groups = vec![];
    let mut cells = 1_usize;
    for (facts, data_type) in keys {
        let mut values = facts.values(data_type, most)?;
        if facts.nullable {
            values.push(ScalarValue::try_new_null(data_type).ok()?);
        }
        cells = cells.checked_mul(values.len()).filter(|c| *c <= most)?;
        groups.push(values);
    }
    Some(groups)
}

/// Sums over the whole population fit 2^62 and one person's rows 2^127, else sums take a coarser grid.
fn fits(partials: &mut [Partial], rows_per_group: u64, rows_max: u64, population_max: u64) -> Result<(), Refusal> {
    for partial in partials {
        let whole_population = partial.bound(rows_per_group).and_then(|b| b.checked_mul(population_max));
        let one_person = i128::from(rows_max)
            .checked_mul(i128::from(partial.bound(rows_per_group).unwrap_or(u64::MAX >> 1)))
            .and_then(|b| b.checked_mul(i128::from(rows_per_group)));
        if whole_population.is_none_or(|b| b >= 1 << 62) || one_person.is_none() {
            return Err(Refusal::TooComplex {
                limit: "bounds too wide for a sum over the population; narrow them".into(),
            });
        }
    }
    Ok(())
}

/// Input columns and partials, each kept once however often it is used.
#[derive(Default)]
struct Parts {
    columns: Vec<Expr>,
    partials: Vec<Partial>,
}

impl Parts {
    fn column(&mut self, expr: Expr) -> usize {
        match self.columns.iter().position(|c| *c == expr) {
            Some(index) => index + 1,
            None => {
                self.columns.push(expr);
                self.columns.len()
            }
        }
    }

    fn partial(&mut self, partial: Partial) -> usize {
        match self.partials.iter().position(|p| *p == partial) {
            Some(index) => index,
            None => {
                self.partials.push(partial);
                self.partials.len() - 1
            }
        }
    }

    fn output(&mut self, call: &AggregateFunction, input: &Owned) -> Result<Output, Refusal> {
        let AggregateFunctionParams { args, distinct, filter, order_by, null_treatment } = &call.params;
        let name = call.func.name();
        if !order_by.is_empty() || null_treatment.is_some() {
            return Err(refused(name, "without ORDER BY or RESPECT NULLS"));
        }
        let scope = input.scope();
        let filter = match filter {
            Some(condition) => Some(self.column(scope.total(condition)?.expr)),
            None => None,
        };
        let [argument] = args.as_slice() else { return Err(refused(name, "with one argument")) };
        let item = scope.item(argument)?;
        let data_type = scope.data_type(argument)?;
        match (name, distinct) {
            // The owner key or NULL: of one person it is one value, so it counts whether any row has it.
            ("count", true) if item.facts.person => {
                let argument = (!item.facts.owner).then(|| self.column(item.expr));
                Ok(Output::Count(self.partial(Partial { kind: Kind::Person, argument, filter })))
            }
            ("count", false) => {
                let argument = item.facts.nullable.then(|| self.column(item.expr));
                Ok(Output::Count(self.partial(Partial { kind: Kind::Rows, argument, filter })))
            }
            ("count", true) => Err(refused(
                "COUNT(DISTINCT ...)",
                "count distinct person_id, or count distinct values per person first",
            )),
            ("sum" | "avg", false) if item.facts.owner || item.facts.key => Err(refused(name, "keys are no numbers")),
            ("sum", false) => {
                let sum = self.sum(argument, item.expr, &item.facts, &data_type, filter, false)?;
                Ok(Output::Sum(sum))
            }
            ("avg", false) => {
                let seen = item.facts.nullable.then(|| self.column(as_number(&item.expr, &data_type)));
                let sum = self.sum(argument, item.expr, &item.facts, &data_type, filter, true)?;
                let rows = self.partial(Partial { kind: Kind::Rows, argument: seen, filter });
                Ok(Output::Mean { sum, rows })
            }
            (name, distinct) => Err(refused(
                &format!("{}{name}", if *distinct { "DISTINCT " } else { "" }),
                "use COUNT(*), COUNT(x), COUNT(DISTINCT person_id), SUM or AVG",
            )),
        }
    }

    fn sum(
        &mut self,
        argument: &Expr,
        expr: Expr,
        facts: &Facts,
        data_type: &DataType,
        filter: Option<usize>,
        centred: bool,
    ) -> Result<usize, Refusal> {
        if !data_type.is_integer() && !data_type.is_floating() {
            return Err(refused(&format!("a sum of {}", argument.schema_name()), "sum numbers"));
        }
        // A mean of integers is a mean of their floating-point copies: the grid stays whole where the range is.
        let whole = data_type.is_integer() || facts.grid == Some(1.0);
        let grid = Grid::of(facts.range, facts.grid, whole)
            .ok_or_else(|| Refusal::BoundMissing { column: readable(argument) })?;
        let centre = if centred { grid.centre() } else { 0 };
        let column = self.column(as_number(&expr, data_type));
        let kind = Kind::Sum { grid, centre, origin: facts.origin };
        Ok(self.partial(Partial { kind, argument: Some(column), filter }))
    }
}

/// Integers as BIGINT, floating-point numbers as DOUBLE: the two that the exact stage folds.
fn as_number(expr: &Expr, data_type: &DataType) -> Expr {
    let wanted = if data_type.is_integer() { DataType::Int64 } else { DataType::Float64 };
    match *data_type == wanted {
        true => expr.clone(),
        false => Expr::TryCast(TryCast::new(Box::new(expr.clone()), wanted)),
    }
}

/// The argument as its writer knows it, without the casts that planning added.
fn readable(expr: &Expr) -> String {
    match expr {
        Expr::Cast(cast) => readable(&cast.expr),
        Expr::TryCast(cast) => readable(&cast.expr),
        Expr::Column(column) => column.name.clone(),
        other => other.schema_name().to_string(),
    }
}
