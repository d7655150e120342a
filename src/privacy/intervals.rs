//! Which column of the answer is which noisy output, and how wide is its interval?
//!
//! What follows a release renames, filters, joins, stacks and adds up its columns. Hidden columns carry the half-widths up
//! beside the values: `carried.rs` says what becomes of them where rows meet, `widths.rs` in an expression. Half-widths are
//! those of the rows that are shown; which rows these are, where noise decided it, is no part of them.
//!
//! INVARIANT: a hidden column is NULL where its value is, infinite where nothing is known of a value, and else a half-width.

use std::{cell::Cell, sync::Arc};

use datafusion::{
    common::{
        Column, TableReference,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Case, Expr, LogicalPlan, Operator, Projection, SubqueryAlias, binary_expr, lit},
};

use super::{
    placeholder::{self, column_name, released},
    release_point::{Output, Release},
    subqueries,
    typing::{built, columns},
    widths::{Reach, Widths, as_float, held},
};
use crate::terms::Refusal;

/// A column of the answer that is a noisy output, passed on unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Of which release.
    pub release: usize,
    /// Which of its outputs.
    pub output: usize,
}

/// What is known of the noise in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// There is none: keys, public columns and what is computed from them alone.
    Exact,
    /// The hidden column holds its half-widths.
    Noisy { passed: Option<Passed>, width: Column },
    /// There may be some.
    Unknown,
}

/// A plan above releases in which half-widths stand in hidden columns.
pub(super) struct Threaded {
    /// The visible columns, then the hidden ones: those that a visible one names and no other.
    pub(super) plan: LogicalPlan,
    /// One entry per visible column.
    pub(super) columns: Vec<Standing>,
    /// Whether no release is read.
    pub(super) public: bool,
}

/// The walk that carries half-widths up.
pub(super) struct Thread<'r> {
    releases: &'r [Release],
    fresh: Cell<usize>,
    in_subquery: Cell<bool>,
}

/// `plan` above `releases` with its columns alone, or each noisy number followed by `<name>_lo` and `<name>_hi`; and which
/// column is which output.
pub(super) fn close(
    plan: LogicalPlan,
    releases: &[Release],
    with_intervals: bool,
) -> Result<(LogicalPlan, Vec<Option<Passed>>), Refusal> {
    let thread = Thread { releases, fresh: Cell::new(0), in_subquery: Cell::new(false) };
    let threaded = thread.through(&plan);
    if with_intervals && let Some(closed) = with_ends(&threaded) {
        return Ok(closed);
    }
    let passed = threaded.columns.iter().map(Standing::passed).collect();
    let items = columns(&plan);
    Ok((LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(plan)))?), passed))
}

type Named = (Option<TableReference>, String);

fn with_ends(threaded: &Threaded) -> Option<(LogicalPlan, Vec<Option<Passed>>)> {
    let shown: Vec<_> = threaded.plan.schema().iter().take(threaded.columns.len()).collect();
    let mut taken: Vec<Named> = shown.iter().map(|(of, field)| (of.cloned(), field.name().clone())).collect();
    let (mut items, mut passed) = (vec![], vec![]);
    for ((of, field), standing) in shown.into_iter().zip(&threaded.columns) {
        let column = Expr::Column(Column::from((of, field)));
        items.push(column.clone());
        passed.push(standing.passed());
        // A picked date has an interval of ranks alone, which stands in its metadata.
        let Some(width) = standing.width().filter(|_| field.data_type().is_numeric()) else { continue };
        let ends = ["lo", "hi"].map(|end| (of.cloned(), format!("{}_{end}", field.name())));
        if ends.iter().any(|end| clashes(end, &taken)) {
            continue;
        }
        let (value, width) = (as_float(&column), known(width));
        let [low, high] = ends.clone();
        items.push((value.clone() - width.clone()).alias_qualified(low.0, low.1));
        items.push((value + width).alias_qualified(high.0, high.1));
        taken.extend(ends);
        passed.extend([None, None]);
    }
    let plan = Projection::try_new(items, Arc::new(threaded.plan.clone())).ok()?;
    Some((LogicalPlan::Projection(plan), passed))
}

fn clashes(name: &Named, taken: &[Named]) -> bool {
    taken.iter().any(|(of, other)| *other == name.1 && (*of == name.0 || of.is_none() || name.0.is_none()))
}

/// A half-width that is known, else NULL.
fn known(width: &Column) -> Expr {
    let width = Expr::Column(width.clone());
    let finite = binary_expr(width.clone(), Operator::LtEq, lit(f64::MAX));
    Expr::Case(Case::new(None, vec![(Box::new(finite), Box::new(width))], None))
}

impl Standing {
    fn passed(&self) -> Option<Passed> {
        if let Self::Noisy { passed, .. } = self { passed.clone() } else { None }
    }

    pub(super) fn width(&self) -> Option<&Column> {
        if let Self::Noisy { width, .. } = self { Some(width) } else { None }
    }

    fn renamed(self, of: &TableReference) -> Self {
        match self {
            Self::Noisy { passed, width } => Self::Noisy { passed, width: Column::new(Some(of.clone()), width.name) },
            other => other,
        }
    }
}

impl Threaded {
    /// `plan` as it is: what nothing is known of may be noisy, unless it reads no release.
    fn untouched(plan: &LogicalPlan) -> Self {
        match placeholder::read(plan).is_empty() {
            true => Self::public(plan),
            false => Self::alone(plan, vec![Standing::Unknown; plan.schema().fields().len()]),
        }
    }

    fn public(plan: &LogicalPlan) -> Self {
        let columns = vec![Standing::Exact; plan.schema().fields().len()];
        Self { plan: plan.clone(), columns, public: true }
    }

    /// `plan` as it is, without hidden columns.
    pub(super) fn alone(plan: &LogicalPlan, columns: Vec<Standing>) -> Self {
        Self { plan: plan.clone(), columns, public: false }
    }

    /// What is known of a column by its name.
    pub(super) fn standing(&self, column: &Column) -> Standing {
        let place = self.plan.schema().maybe_index_of_column(column);
        place.and_then(|place| self.columns.get(place)).cloned().unwrap_or(Standing::Unknown)
    }

    /// The visible columns.
    pub(super) fn visible(&self) -> Vec<Expr> {
        columns(&self.plan).into_iter().take(self.columns.len()).collect()
    }

    /// Whether half-widths stand in it.
    pub(super) fn hides(&self) -> bool {
        self.columns.iter().any(|column| column.width().is_some())
    }
}

impl Thread<'_> {
    /// `plan` with the half-widths carried up beside the values; as it is, where that is not understood.
    pub(super) fn through(&self, plan: &LogicalPlan) -> Threaded {
        let mut threaded = None;
        // The engine's walk makes room on the stack before each step, so that no depth overflows it.
        let _ = plan.apply(|step| {
            threaded = self.step(step);
            Ok(TreeNodeRecursion::Stop)
        });
        threaded.unwrap_or_else(|| Threaded::untouched(plan))
    }

    /// The one row of a scalar subquery's plan; not for a subquery inside it, which would be doubled at each level.
    pub(super) fn through_subquery(&self, plan: &LogicalPlan) -> Option<Threaded> {
        if self.in_subquery.replace(true) {
            return None;
        }
        let threaded = self.through(plan);
        self.in_subquery.set(false);
        Some(threaded)
    }

    /// A name that no other column has.
    pub(super) fn hidden(&self) -> String {
        self.fresh.set(self.fresh.get() + 1);
        format!("__sekisho_width_{}", self.fresh.get())
    }

    fn step(&self, plan: &LogicalPlan) -> Option<Threaded> {
        match plan {
            LogicalPlan::Projection(projection) => match released(projection) {
                Some((index, _)) => self.at_release(projection, index),
                None => self.projection(projection),
            },
            LogicalPlan::SubqueryAlias(alias) => {
                let below = self.through(&alias.input);
                let renamed = SubqueryAlias::try_new(Arc::new(below.plan), alias.alias.clone()).ok()?;
                let columns = below.columns.into_iter().map(|column| column.renamed(&alias.alias)).collect();
                Some(Threaded { plan: LogicalPlan::SubqueryAlias(renamed), columns, public: below.public })
            }
            LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
                let [input] = plan.inputs().try_into().ok()?;
                let below = self.through(input);
                let exprs = plan.expressions();
                let public = below.public && !exprs.iter().any(subqueries::any);
                let plan = plan.with_new_exprs(exprs, vec![below.plan]).ok()?;
                Some(Threaded { plan, columns: below.columns, public })
            }
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Distinct(distinct) => self.distinct(distinct),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Window(window) => self.window(window),
            _ => None,
        }
    }

    fn at_release(&self, projection: &Projection, release: usize) -> Option<Threaded> {
        let outputs = &self.releases.get(release)?.outputs;
        let relation = projection.input.schema().iter().next().and_then(|(relation, _)| relation.cloned());
        let of = |place| Expr::Column(Column::new(relation.clone(), column_name(place)));
        let (mut items, mut standings) = (projection.expr.clone(), vec![]);
        for (output, kind) in outputs.iter().enumerate() {
            standings.push(match kind {
                Output::Key(_) => Standing::Exact,
                _ => {
                    let hidden = self.hidden();
                    items.push(held(&of(output), of(outputs.len() + output)).alias(hidden.clone()));
                    Standing::Noisy { passed: Some(Passed { release, output }), width: Column::from_name(hidden) }
                }
            });
        }
        // Behind the outputs may stand whether a group stands out: which rows are shown is taken as given.
        standings.resize(projection.expr.len(), Standing::Exact);
        let plan = LogicalPlan::Projection(Projection::try_new(items, Arc::clone(&projection.input)).ok()?);
        Some(Threaded { plan, columns: standings, public: false })
    }

    fn projection(&self, projection: &Projection) -> Option<Threaded> {
        let below = self.through(&projection.input);
        if below.public && !projection.expr.iter().any(subqueries::any) {
            return Some(Threaded::public(&LogicalPlan::Projection(projection.clone())));
        }
        let (mut made, mut standings) = (vec![], vec![]);
        for item in &projection.expr {
            standings.push(match item.clone().unalias_nested().data {
                Expr::Column(column) => below.standing(&column),
                computed => match (Widths { thread: self, below: &below }).of(&computed) {
                    Reach::Exact => Standing::Exact,
                    Reach::Within(width) => {
                        let hidden = self.hidden();
                        made.push(held(&computed, width.expr).alias(hidden.clone()));
                        Standing::Noisy { passed: None, width: Column::from_name(hidden) }
                    }
                    Reach::Unknown => Standing::Unknown,
                },
            });
        }
        Self::gathered(below.plan, projection.expr.clone(), standings, made)
    }

    /// `visible` of `plan` and the half-widths that `columns` names, `made` here or passed on.
    pub(super) fn gathered(
        plan: LogicalPlan,
        visible: Vec<Expr>,
        columns: Vec<Standing>,
        made: Vec<Expr>,
    ) -> Option<Threaded> {
        let made_here: Vec<String> = made.iter().map(|item| item.schema_name().to_string()).collect();
        let mut items = visible;
        for width in columns.iter().filter_map(Standing::width) {
            let passed_on = Expr::Column(width.clone());
            if !made_here.contains(&width.name) && !items.contains(&passed_on) {
                items.push(passed_on);
            }
        }
        items.extend(made);
        let plan = LogicalPlan::Projection(Projection::try_new(items, Arc::new(plan)).ok()?);
        Some(Threaded { plan, columns, public: false })
    }
}
