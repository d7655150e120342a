//! Which groups of a public list can be told from groups that nobody is in?
//!
//! SQL shows the groups that have rows; a public list has its groups released whether anybody is in them or not. Where the
//! catalogue or the question spelled the values of a list out, all are shown: that a code has none is an answer. Values that
//! only lie within a declared range (months since 1900) and NULL are shown where a noised figure *stands out* from what noise
//! alone makes of nothing, and what is counted over released groups counts those alone. All of it looks at noised figures
//! and public scales: it is post-processing and free.

use std::sync::Arc;

use datafusion::{
    arrow::array::{Array, AsArray, RecordBatch},
    common::{Column, JoinType, ScalarValue},
    functions::core::expr_fn::coalesce,
    functions_aggregate::bool_and_or::bool_or_udaf,
    logical_expr::{
        Aggregate, Expr, Filter, Join, LogicalPlan, Projection, SubqueryAlias, Window, WindowFunctionDefinition,
        expr::{AggregateFunction, AggregateFunctionParams},
        lit,
    },
};

use super::{
    Noisy,
    noise::Noised,
    partial::{Kind, Partial},
    placeholder::{column_name, released},
    price::{Family, Mechanism, Target},
    release_point::Release,
    typing::{Typed, Walk, built, columns, mixed},
};
use crate::terms::Refusal;

/// The chance that any of the groups with nobody in it stands out.
const ALPHA: f64 = 0.01;

/// The least figure, in units, that stands out among `cells` figures of nothing.
///
/// Union bound over the cells, with the tails P(X ≥ t) ≤ e^{−t/b} / 2 of Laplace noise (and of discrete Laplace noise at whole
/// t, where e^{−t/b} / (1 + e^{−1/b}) is less than e^{−t/b}) and, of Gaussian noise, φ(x)/x at x = t/σ (Mills).
fn least(mechanism: &Mechanism, cells: u64) -> f64 {
    let chances = super::price::u64_to_f64(cells.max(1)) / ALPHA;
    match mechanism.family {
        Family::Gaussian => {
            // x with φ(x)/x = 1/chances, from above.
            let mut x = (2.0 * chances.ln()).sqrt().max(1.0);
            for _ in 0..8 {
                x = (2.0 * (chances / (x * (2.0 * std::f64::consts::PI).sqrt())).ln()).max(1.0).sqrt();
            }
            mechanism.scale * x + 1.0
        }
        _ => mechanism.scale * chances.ln() + 1.0,
    }
}

/// The least figure of the `index`-th partial, in its units, with which a group of `release` stands out.
pub(super) fn least_of(release: &Release, index: usize, mechanism: &Mechanism) -> Option<f64> {
    let cells = release.cells().filter(|_| release.says_who_stands_out())?;
    let partial = release.partials.get(index).filter(|partial| !partial.picks())?;
    let figures = u64::try_from(release.partials.len()).unwrap_or(u64::MAX);
    let tails = if counts(partial) { 1 } else { 2 };
    Some(least(mechanism, cells.saturating_mul(figures).saturating_mul(tails)))
}

/// Whether each group stands out; `None` where groups are selected, or nothing but picked values is known of them.
pub(super) fn stand_out(release: &Release, noised: &Noised, mechanisms: &[&Mechanism]) -> Option<Vec<bool>> {
    if !release.says_who_stands_out() {
        return None;
    }
    let mut standing: Vec<bool> = vec![];
    for (index, partial) in release.partials.iter().enumerate() {
        let own = mechanisms.iter().find(|m| m.target == Target::Partial(index));
        let least = own.and_then(|mechanism| least_of(release, index, mechanism));
        let (Some(least), Some(sums)) = (least, noised.sums.get(index)) else { continue };
        standing.resize(sums.len(), false);
        for (stands, sum) in standing.iter_mut().zip(sums) {
            let size = if counts(partial) { *sum } else { sum.saturating_abs() };
            *stands |= super::facts::to_f64(size) >= least;
        }
    }
    Some(standing)
}

/// How many groups of `releases` are released and not shown, since they do not stand out.
#[must_use]
pub fn not_shown(releases: &[Release], noisy: &Noisy) -> usize {
    let of = |(release, batch): (&Release, &RecordBatch)| {
        let stands = batch.columns().get(release.standing()).filter(|_| release.says_who_stands_out());
        let Some(stands) = stands.and_then(|column| column.as_boolean_opt()) else { return 0 };
        let keys = || batch.columns().iter().take(release.keys);
        let named = |row: usize| release.spelled && keys().all(|key| key.is_valid(row));
        (0..batch.num_rows()).filter(|row| !stands.value(*row) && !named(*row)).count()
    };
    releases.iter().zip(noisy.releases()).map(of).sum()
}

/// Whether it is never below zero before noise.
fn counts(partial: &Partial) -> bool {
    !matches!(partial.kind, Kind::Sum { .. })
}

impl Release {
    /// Whether its batch says which groups stand out.
    #[must_use]
    pub fn says_who_stands_out(&self) -> bool {
        self.keys > 0 && self.public_groups.is_some() && self.partials.iter().any(|partial| !partial.picks())
    }

    /// Which column of the batch says so.
    fn standing(&self) -> usize {
        self.outputs.len().saturating_mul(2)
    }

    /// The same over the columns of the scan called `name`.
    fn stands_out(&self, name: &str) -> Expr {
        Expr::Column(Column::new(Some(name.to_owned()), column_name(self.standing())))
    }

    /// What holds of the groups that are shown, over the columns of the scan called `name`; `None` where all are.
    pub(super) fn shown(&self, name: &str) -> Option<Expr> {
        let column = |index: usize| Expr::Column(Column::new(Some(name.to_owned()), column_name(index)));
        if !self.says_who_stands_out() {
            return None;
        }
        let stands = self.stands_out(name);
        let nullable: Vec<usize> = (0..self.keys).filter(|key| self.lists_null(*key)).collect();
        match (self.spelled, nullable.as_slice()) {
            (true, []) => None,
            (true, nullable) => {
                let named = nullable.iter().map(|key| column(*key).is_not_null()).reduce(Expr::and);
                named.map(|named| named.or(stands))
            }
            (false, _) => Some(stands),
        }
    }

    fn lists_null(&self, key: usize) -> bool {
        self.public_groups
            .as_ref()
            .and_then(|g| g.get(key))
            .is_some_and(|values| values.iter().any(ScalarValue::is_null))
    }
}

/// `aggregate` over released groups `below`: it counts the groups that stand out, except that sums take in all of them, since
/// what is noise there has no direction.
pub(super) fn aggregate(walk: &mut Walk<'_>, aggregate: &Aggregate, below: LogicalPlan) -> Result<Typed, Refusal> {
    let mut carried = Carried::new(walk, What::StandsOut);
    let (input, standing) = carried.up(&below)?;
    let standing = standing.into_iter().map(|column| coalesce(vec![Expr::Column(column), lit(true)]));
    let Some(standing) = standing.reduce(Expr::and) else {
        return walk.above(&LogicalPlan::Aggregate(aggregate.clone()), vec![Typed::Released(below)]);
    };
    let counted = aggregate.aggr_expr.iter().map(|expr| among(expr, &standing));
    let mut exprs: Vec<Expr> = counted.collect();
    let levels = aggregate.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_)));
    let grouped = !aggregate.group_expr.is_empty() && !levels;
    let hidden = "__sekisho_any_standing";
    if grouped {
        exprs.push(bool_or_udaf().call(vec![standing]).alias(hidden));
    }
    let counted = built(Aggregate::try_new(Arc::new(input.clone()), aggregate.group_expr.clone(), exprs))?;
    let Typed::Released(mut plan) = walk.above(&LogicalPlan::Aggregate(counted), vec![Typed::Released(input)])? else {
        return Err(mixed("write it with fewer nested steps"));
    };
    let shown = columns(&plan).into_iter().take(aggregate.schema.fields().len());
    let shown: Vec<Expr> = aggregate
        .schema
        .iter()
        .zip(shown)
        .map(|((relation, field), column)| column.alias_qualified(relation.cloned(), field.name()))
        .collect();
    if grouped {
        let any = Expr::Column(Column::from_name(hidden));
        plan = LogicalPlan::Filter(built(Filter::try_new(any, Arc::new(plan)))?);
    }
    Ok(Typed::Released(LogicalPlan::Projection(built(Projection::try_new(shown, Arc::new(plan)))?)))
}

/// Windows over released groups `below`: they too count those that stand out, and sum all of them.
pub(super) fn window(walk: &mut Walk<'_>, window: &Window, below: LogicalPlan) -> Result<Typed, Refusal> {
    let (input, standing) = Carried::new(walk, What::StandsOutOfShown).up(&below)?;
    let standing = standing.into_iter().map(|column| coalesce(vec![Expr::Column(column), lit(true)]));
    let counted = standing.reduce(Expr::and).map(|standing| {
        let among = |expr: &Expr| among(expr, &standing);
        window.window_expr.iter().map(among).collect::<Vec<_>>()
    });
    let Some(counted) = counted.filter(|counted| *counted != window.window_expr) else {
        return walk.above(&LogicalPlan::Window(window.clone()), vec![Typed::Released(below)]);
    };
    let (before, all) = (below.schema().fields().len(), input.schema().fields().len());
    let counted = LogicalPlan::Window(built(Window::try_new(counted, Arc::new(input.clone())))?);
    let Typed::Released(plan) = walk.above(&counted, vec![Typed::Released(input)])? else {
        return Err(mixed("write it with fewer nested steps"));
    };
    let computed = columns(&plan).into_iter().enumerate().filter(|(place, _)| *place < before || *place >= all);
    let shown = window.schema.iter().zip(computed).map(|((relation, field), (place, column))| match place < before {
        true => column,
        false => column.alias_qualified(relation.cloned(), field.name()),
    });
    let shown = shown.collect();
    Ok(Typed::Released(LogicalPlan::Projection(built(Projection::try_new(shown, Arc::new(plan)))?)))
}

/// `join` of what released values are in. Where the same groups are put side by side, a row is shown where the side that is
/// always there is, or either of two that must meet: what is missing on the other side for being small would else count as
/// nothing. Where groups meet others, such as a year the one before it, those meet that stand out.
pub(super) fn join(walk: &mut Walk<'_>, join: &Join, left: Typed, right: Typed) -> Result<Typed, Refusal> {
    let written = LogicalPlan::Join(join.clone());
    if !pairs_rows(join.join_type) {
        return walk.above(&written, vec![left, right]);
    }
    if !side_by_side(join)
        && let (Typed::Released(a), Typed::Released(b)) = (&left, &right)
    {
        let (a_out, b_out) = (outstanding(walk, a)?, outstanding(walk, b)?);
        if let (Some(a_out), Some(b_out)) = (a_out, b_out) {
            let kept = |side: Side, all: &LogicalPlan, some: LogicalPlan| {
                let stays = side.decides(join.join_type) && join.join_type != JoinType::Inner;
                Typed::Released(if stays { all.clone() } else { some })
            };
            return walk.above(&written, vec![kept(Side::Left, a, a_out), kept(Side::Right, b, b_out)]);
        }
    }
    let mut carried = Carried::new(walk, What::IsShown);
    let mut whole = |side: Typed| match side {
        Typed::Released(plan) => carried.up(&plan).map(|(plan, shown)| (Typed::Released(plan), shown)),
        other => Ok((other, vec![])),
    };
    let ((left, shown_left), (right, shown_right)) = (whole(left)?, whole(right)?);
    if shown_left.is_empty() && shown_right.is_empty() {
        return walk.above(&written, vec![left, right]);
    }
    let Typed::Released(mut plan) = walk.above(&written, vec![left, right])? else {
        return Err(mixed("write it with fewer nested steps"));
    };
    let sides = [(Side::Left, shown_left), (Side::Right, shown_right)];
    let shown = sides.into_iter().filter(|(side, _)| side.decides(join.join_type)).flat_map(|(_, shown)| shown);
    if let Some(any) = shown.map(|column| coalesce(vec![Expr::Column(column), lit(false)])).reduce(Expr::or) {
        plan = LogicalPlan::Filter(built(Filter::try_new(any, Arc::new(plan)))?);
    }
    let items = join.schema.iter().map(|field| Expr::Column(Column::from(field))).collect();
    Ok(Typed::Released(LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(plan)))?)))
}

/// Whether it joins columns with columns alone, as two figures of the same groups are put side by side.
fn side_by_side(join: &Join) -> bool {
    let plain = |(a, b): &(Expr, Expr)| matches!((a, b), (Expr::Column(_), Expr::Column(_)));
    !join.on.is_empty() && join.on.iter().all(plain) && join.filter.is_none()
}

/// The rows of `plan` in which all released groups stand out; `None` where nothing says so.
fn outstanding(walk: &mut Walk<'_>, plan: &LogicalPlan) -> Result<Option<LogicalPlan>, Refusal> {
    let (all, standing) = Carried::new(walk, What::StandsOut).up(plan)?;
    let standing = standing.into_iter().map(|column| coalesce(vec![Expr::Column(column), lit(true)]));
    let Some(standing) = standing.reduce(Expr::and) else { return Ok(None) };
    let kept = LogicalPlan::Filter(built(Filter::try_new(standing, Arc::new(all)))?);
    let items = plan.schema().columns().into_iter().map(Expr::Column).collect();
    Ok(Some(LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(kept)))?)))
}

/// `expr` over the rows alone that stand out; a sum as it is.
fn among(expr: &Expr, standing: &Expr) -> Expr {
    match expr {
        Expr::Alias(alias) => {
            let mut alias = alias.clone();
            alias.expr = Box::new(among(&alias.expr, standing));
            Expr::Alias(alias)
        }
        Expr::AggregateFunction(call) if call.func.name() == "sum" && !call.params.distinct => expr.clone(),
        Expr::AggregateFunction(call) => {
            let filter = match &call.params.filter {
                Some(filter) => filter.as_ref().clone().and(standing.clone()),
                None => standing.clone(),
            };
            let params = AggregateFunctionParams { filter: Some(Box::new(filter)), ..call.params.clone() };
            Expr::AggregateFunction(AggregateFunction { params, ..call.clone() })
        }
        Expr::WindowFunction(call) => {
            let name = call.fun.name();
            let aggregates = matches!(call.fun, WindowFunctionDefinition::AggregateUDF(_));
            if !aggregates || (name == "sum" && !call.params.distinct) {
                return expr.clone();
            }
            let mut call = call.as_ref().clone();
            call.params.filter = Some(Box::new(match call.params.filter {
                Some(filter) => filter.and(standing.clone()),
                None => standing.clone(),
            }));
            Expr::from(call)
        }
        other => other.clone(),
    }
}

/// Whether a join puts rows of both sides beside each other, instead of asking whether there are any.
fn pairs_rows(kind: JoinType) -> bool {
    matches!(kind, JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full)
}

/// A side of a join.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Side {
    /// Whether it depends on this side which rows there are: not where it is the one that may be missing.
    fn decides(self, kind: JoinType) -> bool {
        match kind {
            JoinType::Left => self == Self::Left,
            JoinType::Right => self == Self::Right,
            _ => true,
        }
    }
}

/// What is said of a row.
#[derive(Clone, Copy)]
enum What {
    StandsOut,
    /// The same, of the groups alone that are shown.
    StandsOutOfShown,
    IsShown,
}

/// Carries columns that say so up to an aggregate or a join.
struct Carried {
    releases: Vec<Release>,
    what: What,
    /// Of the columns' names, with a number behind: the same release may stand on both sides of a join.
    stem: String,
    named: usize,
}

impl Carried {
    fn new(walk: &mut Walk<'_>, what: What) -> Self {
        Self { releases: walk.releases.clone(), what, stem: walk.fresh("standing"), named: 0 }
    }

    /// `plan` with all groups of the releases below it, and the columns that say of each row whether it stands out. What is
    /// not walked through here keeps the rows that are shown.
    fn up(&mut self, plan: &LogicalPlan) -> Result<(LogicalPlan, Vec<Column>), Refusal> {
        match plan {
            LogicalPlan::Projection(projection) => match released(projection) {
                Some((index, scan)) => self.at_release(projection, index, scan),
                None => {
                    let (input, standing) = self.up(&projection.input)?;
                    let carried = standing.iter().cloned().map(Expr::Column);
                    let items = projection.expr.iter().cloned().chain(carried).collect();
                    let plan = LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(input)))?);
                    Ok((plan, standing))
                }
            },
            LogicalPlan::SubqueryAlias(alias) => {
                let (input, standing) = self.up(&alias.input)?;
                let named = built(SubqueryAlias::try_new(Arc::new(input), alias.alias.clone()))?;
                let requalified = |column: Column| Column::new(Some(alias.alias.clone()), column.name);
                Ok((LogicalPlan::SubqueryAlias(named), standing.into_iter().map(requalified).collect()))
            }
            LogicalPlan::Window(window) => {
                let (input, standing) = self.up(&window.input)?;
                let counted = built(Window::try_new(window.window_expr.clone(), Arc::new(input)))?;
                let shown = window.schema.columns().into_iter().chain(standing.iter().cloned()).map(Expr::Column);
                let (shown, counted) = (shown.collect(), Arc::new(LogicalPlan::Window(counted)));
                Ok((LogicalPlan::Projection(built(Projection::try_new(shown, counted))?), standing))
            }
            LogicalPlan::Filter(filter) => {
                let (input, standing) = self.up(&filter.input)?;
                let plan = LogicalPlan::Filter(built(Filter::try_new(filter.predicate.clone(), Arc::new(input)))?);
                Ok((plan, standing))
            }
            LogicalPlan::Join(join) if pairs_rows(join.join_type) => {
                let ((left, of_left), (right, of_right)) = (self.up(&join.left)?, self.up(&join.right)?);
                let plan = built(plan.with_new_exprs(plan.expressions(), vec![left, right]))?;
                let standing = [(Side::Left, of_left), (Side::Right, of_right)];
                let standing = standing.into_iter().filter(|(side, _)| side.decides(join.join_type));
                Ok((plan, standing.flat_map(|(_, columns)| columns).collect()))
            }
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.up(&sort.input),
            other => Ok((other.clone(), vec![])),
        }
    }

    fn at_release(
        &mut self,
        projection: &Projection,
        index: usize,
        scan: &Arc<LogicalPlan>,
    ) -> Result<(LogicalPlan, Vec<Column>), Refusal> {
        let release = self.releases.get(index).filter(|release| release.says_who_stands_out());
        let Some(release) = release else { return Ok((LogicalPlan::Projection(projection.clone()), vec![])) };
        let relation = scan.schema().iter().next().and_then(|(relation, _)| relation.map(ToString::to_string));
        let scanned = relation.ok_or_else(|| mixed("write it with fewer nested steps"))?;
        let said = match self.what {
            What::StandsOut | What::StandsOutOfShown => Some(release.stands_out(&scanned)),
            What::IsShown => release.shown(&scanned),
        };
        let Some(said) = said else { return Ok((LogicalPlan::Projection(projection.clone()), vec![])) };
        self.named += 1;
        let name = format!("{}_{}", self.stem, self.named);
        let items = projection.expr.iter().cloned().chain([said.alias(name.clone())]).collect();
        let below = match self.what {
            What::StandsOutOfShown => &projection.input,
            What::StandsOut | What::IsShown => scan,
        };
        let plan = LogicalPlan::Projection(built(Projection::try_new(items, Arc::clone(below)))?);
        Ok((plan, vec![Column::from_name(name)]))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::{privacy::noise, terms::Loss};

    fn mechanism(family: Family, scale: f64) -> Mechanism {
        Mechanism {
            release: 0,
            target: Target::Partial(0),
            family,
            scale,
            bound: 1,
            groups: 1,
            threshold: None,
            ends: None,
            half_width: scale,
            unit: 1.0,
            loss: Loss::zero(),
        }
    }

    /// Of releases of nothing, as many as 1 in 100 may have a group that stands out; 400 of them at 500 cells are drawn, so
    /// that more than 16 are a chance of 2e-6.
    #[test]
    fn groups_with_nobody_seldom_stand_out() {
        const CELLS: usize = 500;
        for (family, scale) in
            [(Family::Gaussian, 3.0), (Family::Laplace, 2.0), (Family::Gaussian, 0.4), (Family::Laplace, 0.3)]
        {
            let mechanism = mechanism(family, scale);
            let least = least(&mechanism, 500);
            let mut releases = 0;
            for _ in 0..400 {
                let drawn = noise::add(&[0; CELLS], &mechanism, NonZeroUsize::MIN).unwrap();
                releases += u32::from(drawn.iter().any(|n| super::super::facts::to_f64(*n) >= least));
            }
            assert!(releases <= 16, "{family:?} {scale}: {releases} of 400");
        }
    }

    #[test]
    fn what_stands_out_is_not_far_beyond_the_noise() {
        let gaussian = least(&mechanism(Family::Gaussian, 10.0), 1_500);
        assert!((42.0..47.0).contains(&gaussian), "{gaussian}");
        let laplace = least(&mechanism(Family::Laplace, 10.0), 1_500);
        assert!((115.0..125.0).contains(&laplace), "{laplace}");
        assert!(least(&mechanism(Family::Gaussian, 1e-9), 1) <= 1.001);
    }
}
