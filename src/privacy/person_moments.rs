//! How far apart are one person's values, and how do two of them go together?
//!
//! VAR, STDDEV, COVAR, CORR and REGR_* inside a person. What is added up are whole units of public grids around their
//! middles, so coarse that no sum leaves 62 bits however many rows a person has: it depends on no order of them.

use std::sync::Arc;

use datafusion::{
    functions::{core::expr_fn::nullif, math::expr_fn::sqrt},
    logical_expr::{AggregateUDF, Case, Expr, lit},
};

use super::{
    expression::refused,
    facts::Facts,
    numbers::{Around, Number, as_float, both_present},
    per_person::u64_to_f64,
    range::Range,
    statistics::Statistic,
};
use crate::{sql::vocabulary, terms::Refusal};

/// `statistic` of `x`, and of `y` where it is of two, over at most `rows_max` rows; `push` has the engine compute an aggregate
/// of one argument.
pub(super) fn of(
    statistic: Statistic,
    x: Number,
    y: Option<Number>,
    rows_max: u64,
    push: &mut dyn FnMut(&Arc<AggregateUDF>, Expr) -> Expr,
) -> Result<(Expr, Facts), Refusal> {
    let (x, y) = match y {
        Some(y) => both_present(x, y),
        None => (x.clone(), x),
    };
    let (fine_x, fine_y) = (x.grid()?, y.grid()?);
    let most = (1_u64 << 61) / rows_max.max(1);
    // Each so coarse that its own squares have room as well.
    let (of_x, _) = Around::both(&fine_x, &fine_x, most)?;
    let (of_y, _) = Around::both(&fine_y, &fine_y, most)?;
    let (sum, count) = (aggregate("sum")?, aggregate("count")?);
    let (units_x, units_y) = (of_x.of(&x), of_y.of(&y));
    let rows = as_float(push(&count, units_x.clone()));
    let mut mean = |units: Expr| as_float(push(&sum, units)) / nullif(rows.clone(), lit(0.0));
    let (step_x, step_y) = (lit(of_x.step()), lit(of_y.step()));
    let of = statistic.needs();
    let mean_x = mean(units_x.clone());
    let mean_y = if of.y { mean(units_y.clone()) } else { mean_x.clone() };
    let spread = |squares: Expr, mean: &Expr| at_least_zero(squares - mean.clone() * mean.clone());
    let mut spread_x = || spread(mean(units_x.clone() * units_x.clone()), &mean_x);
    let xx = if of.xx { spread_x() } else { lit(0.0) };
    let yy = if of.yy { spread(mean(units_y.clone() * units_y.clone()), &mean_y) } else { lit(0.0) };
    let xy = if of.xy { mean(units_x * units_y) - mean_x.clone() * mean_y.clone() } else { lit(0.0) };
    let sample = rows.clone() / nullif(rows.clone() - lit(1.0), lit(0.0));
    let some = |spread: &Expr| nullif(spread.clone(), lit(0.0));
    let slope = || xy.clone() / some(&xx) * (step_y.clone() / step_x.clone());
    let (area_x, area_y) = (step_x.clone() * step_x.clone(), step_y.clone() * step_y.clone());
    let area = step_x.clone() * step_y.clone();
    let middle = |mean: &Expr, step: &Expr, around: &Around<'_>| mean.clone() * step.clone() + lit(around.centre());
    let value = match statistic {
        Statistic::VarianceSample => xx * sample * area_x,
        Statistic::VariancePopulation => xx * area_x,
        Statistic::DeviationSample => sqrt(xx * sample) * step_x,
        Statistic::DeviationPopulation => sqrt(xx) * step_x,
        Statistic::CovarianceSample => xy * sample * area,
        Statistic::CovariancePopulation => xy * area,
        Statistic::Correlation => within(xy / (sqrt(some(&xx)) * sqrt(some(&yy))), -1.0, 1.0),
        Statistic::Slope => slope(),
        Statistic::Intercept => middle(&mean_y, &step_y, &of_y) - slope() * middle(&mean_x, &step_x, &of_x),
        Statistic::Determination => within(xy.clone() * xy / (some(&xx) * some(&yy)), 0.0, 1.0),
        Statistic::MeanX => middle(&mean_x, &step_x, &of_x),
        Statistic::MeanY => middle(&mean_y, &step_y, &of_y),
        Statistic::SquaresX => xx * rows * area_x,
        Statistic::SquaresY => yy * rows * area_y,
        Statistic::Products => xy * rows * area,
    };
    Ok((value, Facts { range: range(statistic, &of_x, &of_y, rows_max), ..Facts::unknown() }))
}

fn aggregate(name: &str) -> Result<Arc<AggregateUDF>, Refusal> {
    vocabulary().aggregate(name).ok_or_else(|| refused(name, "it is missing"))
}

/// Differences that rounding alone made negative; NULL stays NULL, which GREATEST would pass over.
fn at_least_zero(value: Expr) -> Expr {
    within(value, 0.0, f64::INFINITY)
}

fn within(value: Expr, lo: f64, hi: f64) -> Expr {
    let mut cases = vec![(Box::new(value.clone().lt(lit(lo))), Box::new(lit(lo)))];
    if hi.is_finite() {
        cases.push((Box::new(value.clone().gt(lit(hi))), Box::new(lit(hi))));
    }
    Expr::Case(Case::new(None, cases, Some(Box::new(value))))
}

/// Between which numbers it lies: values at most a width apart have a variance of a quarter of its square, and of two rows
/// the half. A slope and an intercept may be anything.
fn range(statistic: Statistic, x: &Around<'_>, y: &Around<'_>, rows_max: u64) -> Option<Range> {
    // A thousandth more than there is, for what rounding adds.
    let radius = |around: &Around<'_>| u64_to_f64(around.radius() + 1) * around.step() * 1.001;
    let (of_x, of_y) = (radius(x), radius(y));
    let rows = u64_to_f64(rows_max);
    match statistic {
        Statistic::VarianceSample => Range::new(0.0, 2.0 * of_x * of_x),
        Statistic::VariancePopulation => Range::new(0.0, of_x * of_x),
        Statistic::DeviationSample => Range::new(0.0, 2.0_f64.sqrt() * of_x),
        Statistic::DeviationPopulation => Range::new(0.0, of_x),
        Statistic::CovarianceSample => Range::new(-2.0 * of_x * of_y, 2.0 * of_x * of_y),
        Statistic::CovariancePopulation => Range::new(-of_x * of_y, of_x * of_y),
        Statistic::Correlation => Range::new(-1.0, 1.0),
        Statistic::Determination => Range::new(0.0, 1.0),
        Statistic::Slope | Statistic::Intercept => None,
        Statistic::MeanX => Range::new(x.centre() - of_x, x.centre() + of_x),
        Statistic::MeanY => Range::new(y.centre() - of_y, y.centre() + of_y),
        Statistic::SquaresX => Range::new(0.0, rows * of_x * of_x),
        Statistic::SquaresY => Range::new(0.0, rows * of_y * of_y),
        Statistic::Products => Range::new(-rows * of_x * of_y, rows * of_x * of_y),
    }
}
