//! Where persons meet: which bounded integers leave the per-person steps, and what is made of them?
//!
//! An aggregate over Owned rows whose GROUP BY does not hold the owner key is a release point (privacy.md section 3).
//! It is cut into *partials*, each an integer per person and group with a public bound, and into *outputs*, which are
//! computed from noised sums of partials.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, Field},
    common::{DFSchemaRef, Dependency, FunctionalDependence, ScalarValue},
    logical_expr::{Aggregate, Expr, LogicalPlan, Projection},
};

use super::{
    aggregate_call::{Limits, Parts},
    expression::refused,
    facts::{Facts, Origin, short_rows},
    group_keys::public_groups,
    narrowing,
    partial::{Kind, Partial},
    placeholder,
    statistics::Statistic,
    typing::{Defaults, Owned, Walk, built, in_owner_order, mixed},
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
    /// Whether a list of the catalogue or of the question spelled the values of all keys out.
    pub spelled: bool,
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
    /// A function of sums of products around public centres.
    Moments {
        /// Which.
        statistic: Statistic,
        /// The partial with the rows seen.
        rows: usize,
        /// The sums of the first number; of the second in a regression, which calls it x.
        x: Axis,
        /// The sums of the other number.
        y: Axis,
        /// The partial with Σ(x − cx)(y − cy).
        product: Option<usize>,
    },
    /// The candidate that a histogram's draw picked.
    Quantile(usize),
}

/// The partials of one number in a [`Output::Moments`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// Σ(x − cx).
    pub sum: Option<usize>,
    /// Σ(x − cx)².
    pub squares: Option<usize>,
}

impl Output {
    /// The partials that it is made of.
    #[must_use]
    pub fn partials(&self) -> Vec<usize> {
        match self {
            Self::Key(_) => vec![],
            Self::Count(partial) | Self::Sum(partial) | Self::Quantile(partial) => vec![*partial],
            Self::Mean { sum, rows } => vec![*sum, *rows],
            Self::Moments { rows, x, y, product, .. } => {
                let sums = [Some(*rows), x.sum, x.squares, y.sum, y.squares, *product];
                sums.into_iter().flatten().collect()
            }
        }
    }
}

/// Cuts `aggregate` over `input` into a release, and returns the scan of what it will release.
pub(super) fn release(walk: &mut Walk<'_>, aggregate: &Aggregate, input: Owned) -> Result<LogicalPlan, Refusal> {
    let scope = input.scope();
    let mut keys: Vec<(Facts, DataType)> = vec![];
    let mut key_columns = vec![];
    for (expr, field) in aggregate.group_expr.iter().zip(aggregate.schema.iter()) {
        if matches!(expr, Expr::GroupingSet(_)) {
            return Err(mixed("GROUPING SETS, ROLLUP and CUBE; ask each level by itself"));
        }
        let total = scope.item(expr)?;
        if total.facts.key && total.facts.place.is_none() {
            let fix = "row ids are no group keys of a release; inside a subquery, WHERE it IS NOT NULL";
            return Err(refused(field.1.name(), fix));
        }
        let data_type = scope.data_type(expr)?;
        if !groupable(&data_type) {
            return Err(refused(field.1.name(), "group by numbers, dates, texts or booleans"));
        }
        keys.push((total.facts, data_type));
        key_columns.push(total.expr);
    }
    let fixed = keys.iter().all(|(facts, _)| facts.fixed);
    // Where groups are all that is asked for, showing them whether anybody is in them or not would answer nothing.
    let selected = aggregate.aggr_expr.is_empty() && !keys.is_empty();
    let mut public_groups = public_groups(&keys, walk.bounds.cells_max).filter(|_| !selected);
    let calendar = keys.iter().any(|(facts, _)| !facts.fixed && facts.calendar);
    let varying = || keys.iter().enumerate().filter(|(_, (facts, _))| !facts.fixed).map(|(key, _)| key);
    let within = |groups: Option<&Vec<Vec<ScalarValue>>>| {
        let met = match (fixed, groups) {
            (true, _) => Some(1),
            // What is one value per person tells nobody's groups apart.
            (false, groups) => groups.map(|groups| cells(varying().filter_map(|key| groups.get(key)))),
        };
        Within { met, calendar }.bounds(walk, aggregate, &input.defaults)
    };
    let (rows_asked, groups_max) = within(public_groups.as_ref());
    let groups_max = groups_max.min(input.rows_max.max(1));
    let rows_per_group = match one_row_in_each(&input, &key_columns)? {
        true => 1,
        false => rows_asked.min(input.rows_max.max(1)),
    };
    let spelled = keys.iter().all(|(facts, _)| facts.spelled == (true, true));
    let passed = narrowing::passed(&aggregate.input);
    let asked = |cells: Option<u64>| {
        let limits = Limits {
            rows_per_group,
            distinct_values: u64::from(walk.asked.distinct_values.unwrap_or(input.defaults.distinct_values).max(1)),
            distinct_origin: if walk.asked.distinct_values.is_some() { Origin::Question } else { Origin::Catalogue },
            rows_max: input.rows_max.max(1),
            population_max: walk.bounds.population_max,
            candidates_max: candidates_max(cells),
        };
        let mut parts = Parts::new(limits, passed.clone());
        parts.columns.clone_from(&key_columns);
        let mut outputs: Vec<Output> = (0..keys.len()).map(Output::Key).collect();
        for expr in &aggregate.aggr_expr {
            let Expr::AggregateFunction(call) = expr.clone().unalias_nested().data else {
                return Err(refused("this aggregate", "use COUNT, SUM, AVG, MIN, MAX, MEDIAN, VAR or CORR"));
            };
            outputs.push(parts.output(&call, &input)?);
        }
        Ok((parts, outputs))
    };
    let (mut parts, mut outputs) = asked(public_groups.as_ref().map(cells))?;
    // What is picked where nobody is says nothing, and nothing beside it would tell.
    if !spelled && public_groups.is_some() && parts.partials.iter().all(Partial::picks) {
        public_groups = None;
        (parts, outputs) = asked(None)?;
    }
    // Keys are kept for each group that there is, and of the rest a batch of rows at a time.
    let counted = Facts { text_bytes: parts.text_bytes, ..Facts::unknown() };
    let texts = || keys.iter().map(|(facts, data_type)| (facts, data_type.clone()));
    short_rows(texts(), input.rows_max, input.defaults.room)?;
    short_rows(texts().chain([(&counted, DataType::Utf8)]), 1, input.defaults.room)?;
    fits(&parts.partials, rows_per_group, input.rows_max, walk.bounds.population_max)?;

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
        spelled,
        partials: parts.partials,
        rows_per_group,
        groups_max,
        rows_max: input.rows_max,
        outputs,
        schema: Arc::clone(&aggregate.schema),
    };
    let scan = placeholder::release(walk.releases.len(), &release)?;
    walk.releases.push(release);
    Ok(scan)
}

/// In which groups may the rows of one person lie?
struct Within {
    /// The public number of groups that the rows of one person can be in, where there is one.
    met: Option<u64>,
    /// Months, weeks or days of a year are told apart.
    calendar: bool,
}

/// A person is in so many times more months, weeks or days than groups of another kind, with half as many rows in each: the
/// noise of counted rows is the same.
const CALENDAR: u64 = 4;

impl Within {
    /// m and C: what is asked, or made of what the catalogue proposes, m rows in each of C groups.
    ///
    /// Where rows are counted or added up and a person can be in fewer groups, the rows of all C are in these: a total would
    /// lack what is left out, as a mean does not. Where a condition has picked fewer values than C, it has left no more than
    /// the rows of as many groups.
    fn bounds(&self, walk: &Walk<'_>, aggregate: &Aggregate, defaults: &Defaults) -> (u64, u64) {
        let rows = u64::from(defaults.rows_per_group.max(1));
        let proposed = u64::from(defaults.groups.max(1));
        let met = self.met.map_or(u64::MAX, |met| met.max(1));
        let (mut m, mut groups) = (rows, proposed.max(u64::from(defaults.groups_met)));
        if met <= proposed {
            if aggregate.aggr_expr.iter().any(adds_up) {
                m = rows * proposed.min(u64::from(defaults.picked.max(1))).div_ceil(met);
            }
        } else if self.calendar {
            groups = groups.max((proposed * CALENDAR).min(met));
            m = rows.min((2 * rows * proposed).div_ceil(groups));
        }
        if let Some(asked) = walk.asked.groups {
            (m, groups) = (rows, u64::from(asked.max(1)));
        }
        let m = walk.asked.rows_per_group.map_or(m, |asked| u64::from(asked.max(1)));
        (m, groups.min(met))
    }
}

fn adds_up(expr: &Expr) -> bool {
    match expr.clone().unalias_nested().data {
        Expr::AggregateFunction(call) => matches!(call.func.name(), "count" | "sum") && !call.params.distinct,
        _ => false,
    }
}

/// Whether a person has one row in each group: where it was grouped by the person and no more than the keys. It makes the noise
/// less; what a person adds is bounded all the same, whatever the rows are.
fn one_row_in_each(input: &Owned, keys: &[Expr]) -> Result<bool, Refusal> {
    let Some(owner) = input.owner_key() else { return Ok(false) };
    let named = keys.iter().enumerate().map(|(i, key)| key.clone().alias(format!("__sekisho_in_{i}")));
    let columns = std::iter::once(owner.alias("__sekisho_owner")).chain(named).collect();
    let keyed = built(Projection::try_new(columns, Arc::new(input.plan.clone())))?;
    let once = |known: &FunctionalDependence| known.mode == Dependency::Single && !known.source_indices.is_empty();
    Ok(keyed.schema.functional_dependencies().iter().any(once))
}

/// How many candidates a histogram may have: so many that all groups together stay within a public amount of work. A number
/// of rows from 0 to 4,096 has each as a candidate, and both ends may be rounded outwards.
fn candidates_max(cells: Option<u64>) -> u64 {
    const ALL: u64 = 1 << 20;
    match cells {
        Some(cells) => (ALL / cells.max(1)).clamp(64, 4098),
        None => 512,
    }
}

/// The types that the exact stage keeps apart to the last value.
pub(super) fn groupable(data_type: &DataType) -> bool {
    let text = matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
    let time = matches!(data_type, DataType::Date32 | DataType::Timestamp(_, None));
    let whole = data_type.is_integer() && *data_type != DataType::UInt64;
    whole || data_type.is_floating() || text || time || *data_type == DataType::Boolean
}

impl Release {
    /// The columns of what is released: the SQL aggregate's, then one half-width per output that is noisy, then, where groups
    /// are public, whether each stands out from noise.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        let visible = self.schema.fields().iter().enumerate();
        let mut fields: Vec<Field> =
            visible.map(|(i, f)| Field::new(placeholder::column_name(i), f.data_type().clone(), true)).collect();
        for index in 0..self.outputs.len() {
            fields.push(Field::new(placeholder::column_name(self.outputs.len() + index), DataType::Float64, true));
        }
        if self.says_who_stands_out() {
            fields.push(Field::new(placeholder::column_name(fields.len()), DataType::Boolean, true));
        }
        fields
    }

    /// The public bounds by which rows of a person may be left out, where they can bind: what a half-width says nothing of.
    #[must_use]
    pub fn person_bounds(&self) -> Option<String> {
        let of_rows = self.partials.iter().any(|partial| !matches!(partial.kind, Kind::Person));
        let rows = (of_rows && self.rows_per_group < self.rows_max).then_some(("rows_per_group", self.rows_per_group));
        let groups = (self.keys > 0 && self.groups_max < self.rows_max).then_some(("groups", self.groups_max));
        let named = [rows, groups].into_iter().flatten().map(|(name, most)| format!("{name}={most}"));
        Some(named.collect::<Vec<_>>().join(" ")).filter(|bounds| !bounds.is_empty())
    }

    /// How many cells the release has; `None` where groups are selected.
    #[must_use]
    pub fn cells(&self) -> Option<u64> {
        self.public_groups.as_ref().map(cells)
    }
}

fn cells<'a>(groups: impl IntoIterator<Item = &'a Vec<ScalarValue>>) -> u64 {
    groups.into_iter().map(|values| u64::try_from(values.len()).unwrap_or(u64::MAX)).fold(1, u64::saturating_mul)
}

/// Sums over the whole population fit 2^62 and one person's rows 2^127, else sums take a coarser grid.
fn fits(partials: &[Partial], rows_per_group: u64, rows_max: u64, population_max: u64) -> Result<(), Refusal> {
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
