//! On which integers does a bounded number lie?

use super::{
    facts::{to_f64, whole},
    range::Range,
};

/// The finest grid that a value without a declared resolution is put on: its width in 2^20 steps.
const STEPS: f64 = 1_048_576.0;
/// No grid has more steps than this on either side of zero.
const UNITS_MAX: f64 = 1_125_899_906_842_624.0;

/// A public integer grid: value ≈ units × step, units between `lo` and `hi`.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// The distance of two neighbours, in the column's own unit.
    pub step: f64,
    /// The lower bound in steps, rounded to the nearest as every value is.
    pub lo: i64,
    /// The upper bound in steps.
    pub hi: i64,
}

impl Grid {
    /// The grid of values in `range`: whole numbers for integers, else the declared resolution, else the power of two
    /// nearest to a 2^20th of the width. `None` without two finite bounds that a grid can hold.
    pub(super) fn of(range: Option<Range>, declared: Option<f64>, integers: bool) -> Option<Self> {
        let range = range.filter(|r| r.is_finite())?;
        let width = (range.hi - range.lo).max(range.magnitude().hi).max(f64::MIN_POSITIVE);
        let step = match (integers, declared) {
            (true, _) => 1.0,
            (false, Some(step)) if step > 0.0 && width / step <= UNITS_MAX => step,
            _ => (width / STEPS).log2().floor().exp2(),
        };
        Self::with_step(range, step)
    }

    fn with_step(range: Range, step: f64) -> Option<Self> {
        let units = |value: f64| whole((value / step).round()).filter(|u| to_f64(u.abs()) <= UNITS_MAX);
        (step.is_finite() && step > 0.0).then_some(())?;
        Some(Self { step, lo: units(range.lo)?, hi: units(range.hi)? })
    }

    /// The public point in the middle, from which means are taken.
    #[must_use]
    pub fn centre(&self) -> i64 {
        self.lo.midpoint(self.hi)
    }

    /// The largest distance from zero, in steps.
    #[must_use]
    pub fn magnitude(&self) -> u64 {
        self.lo.unsigned_abs().max(self.hi.unsigned_abs())
    }

    /// The largest distance from the centre, in steps.
    #[must_use]
    pub fn radius(&self) -> u64 {
        self.centre().abs_diff(self.lo).max(self.centre().abs_diff(self.hi))
    }

    /// A floating-point value in steps: NaN is none, everything else is clamped.
    #[must_use]
    pub fn units_of_float(&self, value: f64) -> Option<i64> {
        if value.is_nan() {
            return None;
        }
        let clamped = (value / self.step).round().clamp(to_f64(self.lo), to_f64(self.hi));
        whole(clamped)
    }

    /// A whole number in steps of one, clamped.
    #[must_use]
    pub fn units_of_integer(&self, value: i64) -> i64 {
        value.clamp(self.lo, self.hi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_comes_in_stays_between_the_ends() {
        let grid = Grid::of(Range::new(-1.0, 2.5), Some(0.1), false).unwrap();
        assert_eq!((grid.lo, grid.hi), (-10, 25));
        for (value, units) in [(0.14, 1), (9.9, 25), (-9.9, -10), (f64::INFINITY, 25), (f64::NEG_INFINITY, -10)] {
            assert_eq!(grid.units_of_float(value), Some(units), "{value}");
        }
        assert_eq!(grid.units_of_float(f64::NAN), None);
    }

    #[test]
    fn without_a_declared_resolution_the_step_is_a_power_of_two_from_public_bounds() {
        let grid = Grid::of(Range::new(0.0, 100.0), None, false).unwrap();
        assert!((grid.step.log2().fract()).abs() < f64::EPSILON);
        assert!(grid.hi >= 1 << 20);
    }

    #[test]
    fn open_or_endless_ranges_have_no_grid() {
        assert_eq!(Grid::of(Some(Range { lo: 0.0, hi: f64::INFINITY }), None, false), None);
        assert_eq!(Grid::of(Range::new(-9e18, 9e18), None, true), None);
        assert_eq!(Grid::of(None, Some(1.0), false), None);
    }
}
