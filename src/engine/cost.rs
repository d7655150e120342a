//! How long will a question take at most, judged by what is public?
//!
//! From the plan and from declared figures alone: the population's maximum, rows of one person in a table, rows of public
//! tables, threads and speed. Never from what is stored: no count of rows, no size of a file, no manifest. So whatever
//! follows from an estimate, such as the deadline of an answer, tells nothing about anybody.
//!
//! The unit of work is one row that one plain step handles. The weights are coarse on purpose: what they are held against
//! is a ladder whose rungs lie four times apart.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use datafusion::{
    common::{
        JoinType,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{BinaryExpr, Cast, Expr, Join, LogicalPlan, Operator, TryCast, utils::split_conjunction},
};

use super::layout::Ranges;
use crate::{
    privacy::{Analysis, Filled, Kind, Release, placeholder},
    sql::{Standing, catalogued},
};

/// The public figures that an estimate rests on.
#[derive(Debug, Clone, Copy)]
pub struct Sizes<'a> {
    /// The most persons there will ever be.
    pub population_max: u64,
    /// Rows that a person has in a table, by its name, as declared; absent where nobody declared it.
    pub rows_per_person: &'a BTreeMap<String, u32>,
    /// No person has more rows than this in one step.
    pub work_rows_max: u64,
    /// Cells of one release.
    pub cells_max: u64,
}

/// What a question is estimated to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Rows that steps handle, weighted.
    pub row_steps: u64,
    /// Draws of noise at most.
    pub draws: u64,
    /// Plans that are made and run: one for each release and range of persons, and for each public part.
    pub plans: u64,
}

impl Work {
    /// The time that it takes where `row_steps_per_second` are done in a second.
    #[must_use]
    pub fn time(&self, row_steps_per_second: u64) -> Duration {
        let speed = u128::from(row_steps_per_second.max(1));
        let rows = u128::from(self.row_steps).saturating_mul(1_000_000) / speed;
        let draws = u128::from(self.draws).saturating_mul(DRAW_MICROS);
        let plans = u128::from(self.plans).saturating_mul(PLAN_MICROS);
        let micros = rows.saturating_add(draws).saturating_add(plans);
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

/// The work of a question, whatever is stored.
#[must_use]
pub fn estimate(analysis: &Analysis, sizes: &Sizes<'_>) -> Work {
    let mut estimate = Estimate { analysis, sizes, public: vec![], row_steps: 0 };
    let mut plans = 1;
    for input in analysis.public_inputs() {
        let rows = estimate.step(input).rows;
        estimate.public.push(rows);
        plans += 1;
    }
    let mut draws = 0_u64;
    for release in analysis.releases() {
        let below = estimate.step(&release.input);
        estimate.add(below.rows.saturating_mul(fold_weight(release)));
        draws = draws.saturating_add(drawn(release, sizes));
        plans += u64::from(Ranges::of(sizes.population_max).count);
    }
    // What is done with released values handles cells, not persons.
    let finish = estimate.step(analysis.finish());
    estimate.add(finish.rows);
    Work { row_steps: estimate.row_steps, draws, plans }
}

/// What a step hands on.
#[derive(Debug, Clone, Copy)]
struct Step {
    rows: u64,
    /// Rows of one person; none where the rows are about nobody.
    per_person: Option<u64>,
}

struct Estimate<'a> {
    analysis: &'a Analysis,
    sizes: &'a Sizes<'a>,
    public: Vec<u64>,
    row_steps: u64,
}

impl Estimate<'_> {
    fn add(&mut self, row_steps: u64) {
        self.row_steps = self.row_steps.saturating_add(row_steps);
    }

    /// Adds what one person with as many rows as any may have can take more than is usual: all of them on one thread, and
    /// each of them one on which every function fails.
    fn add_one_person(&mut self, per_person: Option<u64>, weight: u64) {
        if per_person.is_some() {
            self.add(self.sizes.work_rows_max.saturating_mul(weight).saturating_mul(2));
        }
    }

    /// Adds the work of `plan` and of all below it.
    fn step(&mut self, plan: &LogicalPlan) -> Step {
        if let LogicalPlan::TableScan(scan) = plan {
            let step = self.scan(scan);
            self.add(step.rows.saturating_mul(3));
            return step;
        }
        if let LogicalPlan::Join(join) = plan {
            return self.join(join);
        }
        let below: Vec<Step> = plan.inputs().into_iter().map(|input| self.step(input)).collect();
        let rows = below.iter().fold(0_u64, |sum, step| sum.saturating_add(step.rows));
        let per_person = below.iter().filter_map(|step| step.per_person).reduce(u64::saturating_add);
        let handed_on = Step { rows, per_person };
        self.add(rows.saturating_mul(weight(plan)));
        self.add_one_person(per_person, weight(plan).saturating_add(failing(plan)));
        match plan {
            LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() && per_person.is_none() => {
                Step { rows: 1, per_person }
            }
            // Rows of persons are grouped by the owner key at least: by nothing else, one row of a person is left.
            LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.len() == 1 && per_person.is_some() => {
                self.of_persons(1)
            }
            // One value of many is wanted: what is left goes on.
            LogicalPlan::Filter(filter) if wants_one_value(&filter.predicate) => Step { rows: rows / 2, per_person },
            LogicalPlan::EmptyRelation(_) => Step { rows: 1, per_person: None },
            LogicalPlan::Values(values) => {
                Step { rows: u64::try_from(values.values.len()).unwrap_or(u64::MAX), per_person: None }
            }
            _ => handed_on,
        }
    }

    fn of_persons(&self, per_person: u64) -> Step {
        let per_person = per_person.min(self.sizes.work_rows_max).max(1);
        Step { rows: self.sizes.population_max.saturating_mul(per_person), per_person: Some(per_person) }
    }

    fn scan(&self, scan: &datafusion::logical_expr::TableScan) -> Step {
        let about_nobody = |rows| Step { rows, per_person: None };
        match catalogued(scan).map(|table| &table.standing) {
            Some(Standing::Unit { table, .. }) => {
                let most = if table.one_row_per_person { 1 } else { u64::from(table.rows_per_person_max) };
                let declared = self.sizes.rows_per_person.get(&table.name);
                self.of_persons(declared.map_or(ROWS_PER_PERSON, |rows| u64::from(*rows)).min(most))
            }
            Some(Standing::Public { rows, .. }) => about_nobody(*rows),
            Some(Standing::Reference { .. }) => about_nobody(REFERENCE_ROWS),
            None => about_nobody(match placeholder(scan).map(|filled| filled.source) {
                Some(Filled::PublicInput(index)) => self.public.get(index).copied().unwrap_or(REFERENCE_ROWS),
                Some(Filled::Release(index)) => {
                    self.analysis.releases().get(index).map_or(1, |release| cells(release, self.sizes))
                }
                None => REFERENCE_ROWS,
            }),
        }
    }

    /// The columns of a step about nobody that hold each value at most once, as far as its one table says.
    fn unique(&self, plan: &LogicalPlan) -> BTreeSet<String> {
        if let LogicalPlan::TableScan(scan) = plan {
            return match (catalogued(scan).map(|table| &table.standing), placeholder(scan).map(|filled| filled.source))
            {
                (Some(Standing::Public { unique, .. } | Standing::Reference { unique, .. }), _) => unique.clone(),
                (_, Some(Filled::PublicInput(index))) => {
                    self.analysis.public_inputs().get(index).map(|input| self.unique(input)).unwrap_or_default()
                }
                _ => BTreeSet::new(),
            };
        }
        match plan.inputs().as_slice() {
            [input] => self.unique(input),
            _ => BTreeSet::new(),
        }
    }

    fn join(&mut self, join: &Join) -> Step {
        let (left, right) = (self.step(&join.left), self.step(&join.right));
        let joined = match (left.per_person, right.per_person) {
            // Always by the person: what one person has on both sides, at most W.
            (Some(l), Some(r)) => self.of_persons(l.saturating_mul(r)),
            (Some(of), None) | (None, Some(of)) => {
                let public_left = left.per_person.is_none();
                let (plan, rows) = if public_left { (&join.left, left.rows) } else { (&join.right, right.rows) };
                let mut sides = join.on.iter().map(|(l, r)| if public_left { l } else { r });
                let unique = self.unique(plan);
                let once = sides.any(|side| matches!(side, Expr::Column(column) if unique.contains(&column.name)));
                let matches = match (once, join.on.is_empty()) {
                    (true, _) => 1,
                    (false, true) => rows,
                    (false, false) => rows.min(MATCHES),
                };
                self.of_persons(of.saturating_mul(matches.max(1)))
            }
            (None, None) => {
                let rows = match join.on.is_empty() {
                    true => left.rows.saturating_mul(right.rows),
                    false => left.rows.max(right.rows).saturating_mul(MATCHES),
                };
                Step { rows, per_person: None }
            }
        };
        self.add(left.rows.saturating_add(right.rows).saturating_mul(3));
        let matching = join.filter.as_ref().map_or(0, on_texts).saturating_add(1);
        self.add(joined.rows.saturating_mul(matching));
        let failing = join.filter.as_ref().map_or(0, |filter| FAILING.saturating_mul(functions(filter)));
        self.add_one_person(joined.per_person, matching.saturating_add(failing));
        match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left,
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => right,
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => joined,
        }
    }
}

/// Whether rows pass only where some column is one given value.
fn wants_one_value(predicate: &Expr) -> bool {
    let one = |term: &&Expr| match term {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            matches!(
                (left.as_ref(), right.as_ref()),
                (Expr::Column(_), Expr::Literal(..)) | (Expr::Literal(..), Expr::Column(_))
            )
        }
        _ => false,
    };
    split_conjunction(predicate).iter().any(one)
}

/// What a step costs for each row that comes in.
fn weight(plan: &LogicalPlan) -> u64 {
    let computed = || {
        let bare = |expr: &&Expr| !matches!(expr, Expr::Column(_) | Expr::Literal(..));
        u64::try_from(plan.expressions().iter().filter(bare).count()).unwrap_or(u64::MAX)
    };
    let texts = || plan.expressions().iter().fold(0_u64, |sum, expr| sum.saturating_add(on_texts(expr)));
    let parts = || plan.expressions().iter().fold(0_u64, |sum, expr| sum.saturating_add(parts(expr))) / PARTS_OF_A_STEP;
    match plan {
        LogicalPlan::Projection(_) => computed().saturating_add(texts()).saturating_add(parts()),
        LogicalPlan::Filter(_) => 1_u64.saturating_add(texts()).saturating_add(parts()),
        LogicalPlan::Aggregate(_) => 3_u64.saturating_add(computed()).saturating_add(texts()),
        LogicalPlan::Window(_) => 20_u64.saturating_add(computed().saturating_mul(3)).saturating_add(texts()),
        LogicalPlan::Sort(_) | LogicalPlan::Distinct(_) => 5,
        LogicalPlan::SubqueryAlias(_) => 0,
        _ => 1,
    }
}

/// What rows cost beyond that on which every function fails: a guarded one is tried on ever fewer of them.
fn failing(plan: &LogicalPlan) -> u64 {
    let all = plan.expressions().iter().fold(0_u64, |sum, expr| sum.saturating_add(functions(expr)));
    FAILING.saturating_mul(all)
}

fn functions(expr: &Expr) -> u64 {
    let mut count = 0_u64;
    let _ = expr.apply(|e| {
        count = count.saturating_add(u64::from(matches!(e, Expr::ScalarFunction(_))));
        Ok(TreeNodeRecursion::Continue)
    });
    count
}

/// How many operations an expression has; writing a number as a text, and reading it again, is many.
fn parts(expr: &Expr) -> u64 {
    let mut count = 0_u64;
    let _ = expr.apply(|e| {
        let more = match e {
            Expr::Column(_) | Expr::Literal(..) | Expr::Alias(_) => 0,
            Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. }) if field.data_type().is_string() => {
                PARTS_OF_A_TEXT
            }
            _ => 1,
        };
        count = count.saturating_add(more);
        Ok(TreeNodeRecursion::Continue)
    });
    count
}

/// What an expression's searching and building of texts costs beyond a plain step.
fn on_texts(expr: &Expr) -> u64 {
    let mut steps = 0_u64;
    let _ = expr.apply(|e| {
        let more = match e {
            Expr::SimilarTo(_) | Expr::Like(_) => 200,
            // Each row that may be chosen is taken apart, value by value.
            Expr::AggregateFunction(call) if !call.params.order_by.is_empty() => {
                let keys = u64::try_from(call.params.order_by.len()).unwrap_or(u64::MAX);
                keys.saturating_mul(10).saturating_add(if call.func.name() == "string_agg" { 100 } else { 20 })
            }
            Expr::ScalarFunction(call) => match call.func.name() {
                name if name.starts_with("regexp_") => 200,
                "lpad" | "rpad" | "repeat" | "replace" | "translate" | "reverse" | "overlay" | "initcap" | "concat"
                | "concat_ws" | "upper" | "lower" | "to_char" => 20,
                _ => 0,
            },
            Expr::BinaryExpr(binary) if binary.op.to_string().contains('~') => 200,
            _ => 0,
        };
        steps = steps.saturating_add(more);
        Ok(TreeNodeRecursion::Continue)
    });
    steps
}

/// What folding one row costs: its keys are interned, and each partial is added to.
fn fold_weight(release: &Release) -> u64 {
    let keys = u64::try_from(release.keys).unwrap_or(u64::MAX);
    let partial = |kind: &Kind| match kind {
        Kind::Rows | Kind::Person => 1,
        Kind::Sum { .. } => 2,
        Kind::Values { .. } | Kind::Histogram { .. } => 6,
    };
    let partials = release.partials.iter().fold(0_u64, |sum, of| sum.saturating_add(partial(&of.kind)));
    keys.saturating_mul(2).saturating_add(partials).saturating_add(1)
}

/// The groups of a release: all of them where they are public, else a figure of what is usual.
fn cells(release: &Release, sizes: &Sizes<'_>) -> u64 {
    match &release.public_groups {
        Some(lists) => {
            let all = lists.iter().try_fold(1_u64, |all, list| all.checked_mul(u64::try_from(list.len()).ok()?));
            all.unwrap_or(u64::MAX).min(sizes.cells_max)
        }
        None => {
            let kept = sizes.population_max.saturating_mul(release.groups_max);
            kept.min(SELECTED_GROUPS).min(sizes.cells_max)
        }
    }
}

fn drawn(release: &Release, sizes: &Sizes<'_>) -> u64 {
    let each = |kind: &Kind| match kind {
        // One candidate is picked by a draw over all of them.
        Kind::Histogram { candidates, .. } => u64::try_from(candidates.count()).unwrap_or(u64::MAX),
        Kind::Rows | Kind::Person | Kind::Sum { .. } | Kind::Values { .. } => 1,
    };
    let partials = release.partials.iter().fold(0_u64, |sum, of| sum.saturating_add(each(&of.kind)));
    cells(release, sizes).saturating_mul(partials.saturating_add(1))
}

/// Operations on a column at once that take as long as a plain step of a row.
const PARTS_OF_A_STEP: u64 = 4;
/// Operations that take as long as a number's way to a text and back.
const PARTS_OF_A_TEXT: u64 = 120;
/// A function that fails on a row, found out in halves.
const FAILING: u64 = 100;
/// Rows of one person in a table of which nothing is declared.
const ROWS_PER_PERSON: u64 = 32;
/// Rows of a table about nobody that is known from the records alone.
const REFERENCE_ROWS: u64 = 10_000;
/// Rows of a table about nobody that match one row.
const MATCHES: u64 = 4;
/// Groups that are found in the records.
const SELECTED_GROUPS: u64 = 2_048;
/// One draw of noise.
const DRAW_MICROS: u128 = 20;
/// Making one plan and opening its files.
const PLAN_MICROS: u128 = 10_000;
