//! How does a number stand on whole units, so that what is added up of it depends on no order?

use datafusion::{
    arrow::datatypes::DataType,
    common::ScalarValue,
    functions::{
        core::expr_fn::{greatest, least},
        math::{expr_fn::round, isnan},
    },
    logical_expr::{Case, Expr, TryCast, lit},
};

use super::{
    aggregate_call::readable,
    expression::{Scope, Total, refused},
    facts::{Facts, to_f64},
    grid::Grid,
};
use crate::terms::Refusal;

/// One numeric argument.
#[derive(Clone)]
pub(super) struct Number {
    pub(super) expr: Expr,
    pub(super) facts: Facts,
    pub(super) data_type: DataType,
    /// It was a date or an instant: its zero means nothing.
    pub(super) time: bool,
    pub(super) name: String,
}

impl Number {
    /// `expr` over the rows of `scope`, an argument of `function`, of which `known` makes what is known where it is seen.
    pub(super) fn of(
        function: &str,
        expr: &Expr,
        scope: &Scope<'_>,
        known: impl FnOnce(&Expr, Facts) -> Facts,
    ) -> Result<Self, Refusal> {
        let Total { expr: total, facts } = scope.item(expr)?;
        let facts = known(expr, facts);
        let data_type = scope.data_type(expr)?;
        if facts.owner || facts.key {
            return Err(refused(function, "person_id and row ids can be counted, nothing else"));
        }
        if !data_type.is_integer() && !data_type.is_floating() {
            return Err(refused(&format!("{function}({})", readable(expr)), "it takes numbers"));
        }
        Ok(Self { expr: total, facts, data_type, time: false, name: readable(expr) })
    }

    pub(super) fn grid(&self) -> Result<Grid, Refusal> {
        // What is computed of integers is computed of their floating-point copies: the grid stays whole where they are.
        let whole = self.data_type.is_integer() || self.facts.grid == Some(1.0);
        let grid = Grid::of(self.facts.range, self.facts.grid, whole);
        grid.ok_or_else(|| Refusal::BoundMissing { column: self.name.clone() })
    }
}

/// Each of the two made NULL where the other is.
pub(super) fn both_present(x: Number, y: Number) -> (Number, Number) {
    let only_where = |mine: &Number, other: &Number| {
        if !other.facts.nullable || mine.expr == other.expr {
            return (mine.expr.clone(), mine.facts.nullable);
        }
        let missing = without_nan(other.expr.clone(), &other.data_type).is_null();
        let null = Expr::Literal(ScalarValue::try_new_null(&mine.data_type).unwrap_or(ScalarValue::Null), None);
        let when = vec![(Box::new(missing), Box::new(null))];
        (Expr::Case(Case::new(None, when, Some(Box::new(mine.expr.clone())))), true)
    };
    let ((of_x, null_x), (of_y, null_y)) = (only_where(&x, &y), only_where(&y, &x));
    let x = Number { expr: of_x, facts: Facts { nullable: null_x, ..x.facts }, ..x };
    let y = Number { expr: of_y, facts: Facts { nullable: null_y, ..y.facts }, ..y };
    (x, y)
}

/// Integers as BIGINT, floating-point numbers as DOUBLE: the two that the exact stage folds.
pub(super) fn as_number(expr: &Expr, data_type: &DataType) -> Expr {
    let wanted = if data_type.is_integer() { DataType::Int64 } else { DataType::Float64 };
    match *data_type == wanted {
        true => expr.clone(),
        false => Expr::TryCast(TryCast::new(Box::new(expr.clone()), wanted)),
    }
}

pub(super) fn cast(expr: Expr, to: DataType) -> Expr {
    Expr::TryCast(TryCast::new(Box::new(expr), to))
}

/// Days of a date, microseconds of a timestamp.
pub(super) fn count_of_time(expr: &Expr, data_type: &DataType) -> Expr {
    match data_type {
        DataType::Date32 => cast(cast(expr.clone(), DataType::Int32), DataType::Int64),
        _ => {
            let micros = DataType::Timestamp(datafusion::arrow::datatypes::TimeUnit::Microsecond, None);
            let same = *data_type == micros;
            cast(if same { expr.clone() } else { cast(expr.clone(), micros) }, DataType::Int64)
        }
    }
}

/// The number of grid units of a value within its bounds, as BIGINT; NULL where it is NULL or NaN.
pub(super) fn in_units(expr: &Expr, data_type: &DataType, grid: &Grid) -> Expr {
    if data_type.is_integer() && grid.is_whole() {
        let value = as_number(expr, data_type);
        // LEAST and GREATEST skip NULLs; the CASE keeps a NULL a NULL.
        let bounded = least(vec![greatest(vec![value.clone(), lit(grid.lo)]), lit(grid.hi)]);
        let null = Expr::Literal(ScalarValue::Int64(None), None);
        let when = vec![(Box::new(value.is_null()), Box::new(null))];
        return Expr::Case(Case::new(None, when, Some(Box::new(bounded))));
    }
    let float = match data_type {
        DataType::Float64 => expr.clone(),
        _ => cast(expr.clone(), DataType::Float64),
    };
    on_grid(float, grid)
}

/// A number's distance from the public centre of its grid, on that grid or on a coarser one.
pub(super) struct Around<'a> {
    fine: &'a Grid,
    /// Each makes the step twice as wide.
    doublings: i32,
    /// The farthest unit.
    radius: u64,
}

impl<'a> Around<'a> {
    /// Two numbers, each as fine as its grid where the product of both stays within `most`, else coarser.
    pub(super) fn both(x: &'a Grid, y: &'a Grid, most: u64) -> Result<(Self, Self), Refusal> {
        let fine = |grid: &'a Grid| Self { fine: grid, doublings: 0, radius: grid.radius().max(1) };
        let (mut of_x, mut of_y) = (fine(x), fine(y));
        while of_x.radius.checked_mul(of_y.radius).is_none_or(|product| product > most) {
            let coarsest = if of_x.radius >= of_y.radius { &mut of_x } else { &mut of_y };
            let too_wide = || Refusal::TooComplex { limit: "bounds too wide for products; narrow them".into() };
            *coarsest = coarsest.coarser().ok_or_else(too_wide)?;
        }
        Ok((of_x, of_y))
    }

    fn coarser(&self) -> Option<Self> {
        let wider = self.radius > 1 && self.doublings < 60;
        wider.then(|| Self { fine: self.fine, doublings: self.doublings + 1, radius: self.radius.div_ceil(2) })
    }

    pub(super) fn radius(&self) -> u64 {
        self.radius
    }

    /// How far apart its units are, in the number's own unit.
    pub(super) fn step(&self) -> f64 {
        self.fine.step * 2.0_f64.powi(self.doublings)
    }

    /// The public point from which it is taken, in the number's own unit.
    pub(super) fn centre(&self) -> f64 {
        to_f64(self.fine.centre()) * self.fine.step
    }

    /// The units of `x` from there.
    pub(super) fn of(&self, x: &Number) -> Expr {
        let centre = self.fine.centre();
        if self.doublings == 0 {
            return in_units(&x.expr, &x.data_type, self.fine) - lit(centre);
        }
        let radius = i64::try_from(self.radius).unwrap_or(i64::MAX >> 1);
        let grid = Grid { step: self.step(), lo: -radius, hi: radius };
        on_grid(cast(x.expr.clone(), DataType::Float64) - lit(self.centre()), &grid)
    }
}

/// The number of grid steps of a floating-point value within its bounds: NaN is NULL, the rest is clamped.
pub(super) fn on_grid(value: Expr, grid: &Grid) -> Expr {
    let clamped = round(vec![without_nan(value, &DataType::Float64) / lit(grid.step)]);
    // LEAST and GREATEST skip NULLs; the CASE keeps a NULL a NULL.
    let bounded = least(vec![greatest(vec![clamped.clone(), lit(to_f64(grid.lo))]), lit(to_f64(grid.hi))]);
    let null = Expr::Literal(ScalarValue::Float64(None), None);
    let case =
        Expr::Case(Case::new(None, vec![(Box::new(clamped.is_null()), Box::new(null))], Some(Box::new(bounded))));
    Expr::TryCast(TryCast::new(Box::new(case), DataType::Int64))
}

/// Of smaller values ten decimal places are too few.
const TINY: f64 = 1e-3;

/// What is added up of a floating-point value, so that a sum depends on no order and is within its bounds, and by what the sum
/// is multiplied: steps of the declared resolution; else the value to ten decimal places, so that the mean of equal values is
/// that value. Beyond 10^20 it is NULL.
pub(super) fn addend(value: Expr, facts: &Facts) -> (Expr, f64) {
    let tiny = facts.range.is_some_and(|range| range.magnitude().hi < TINY);
    if let Some(grid) = Grid::of(facts.range, facts.grid, false).filter(|_| facts.grid.is_some() || tiny) {
        let step = grid.step;
        return (on_grid(value, &grid), step);
    }
    let value = without_nan(value, &DataType::Float64);
    let bounded = match facts.range {
        Some(range) => {
            // LEAST and GREATEST skip NULLs; the CASE keeps a NULL a NULL.
            let bounded = least(vec![greatest(vec![value.clone(), lit(range.lo)]), lit(range.hi)]);
            let null = Expr::Literal(ScalarValue::Float64(None), None);
            Expr::Case(Case::new(None, vec![(Box::new(value.is_null()), Box::new(null))], Some(Box::new(bounded))))
        }
        None => value,
    };
    (cast(bounded, DataType::Decimal128(30, 10)), 1.0)
}

/// NaN of either sign becomes NULL and -0 becomes 0, so that no value depends on the order of a person's rows.
pub(super) fn without_nan(value: Expr, data_type: &DataType) -> Expr {
    if !data_type.is_floating() {
        return value;
    }
    let null = ScalarValue::try_new_null(data_type).unwrap_or(ScalarValue::Null);
    let zero = ScalarValue::new_zero(data_type).unwrap_or(ScalarValue::Float64(Some(0.0)));
    Expr::Case(Case::new(
        None,
        vec![(Box::new(isnan().call(vec![value.clone()])), Box::new(Expr::Literal(null, None)))],
        Some(Box::new(value + Expr::Literal(zero, None))),
    ))
}

pub(super) fn as_float(value: Expr) -> Expr {
    Expr::TryCast(TryCast::new(Box::new(value), DataType::Float64))
}
