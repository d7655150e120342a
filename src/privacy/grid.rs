//! On which integers does a bounded number lie?

use super::{
    facts::{to_f64, whole},
    range::Range,
};

/// The finest grid that a value without a declared resolution is put on: its width in 2^20 steps.
const STEPS: f64 = 1_048_576.0;
/// No grid has more steps than this on either side of zero.
pub(super) const UNITS_MAX: f64 = 1_125_899_906_842_624.0;

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

    pub(super) fn with_step(range: Range, step: f64) -> Option<Self> {
        let units = |value: f64| whole((value / step).round()).filter(|u| to_f64(u.abs()) <= UNITS_MAX);
        (step.is_finite() && step > 0.0).then_some(())?;
        Some(Self { step, lo: units(range.lo)?, hi: units(range.hi)? })
    }

    /// A grid of at most `most` units over `range`: every whole number or every declared step where they are few enough,
    /// else evenly spread ones. `None` without two finite bounds.
    pub(super) fn evenly(range: Option<Range>, declared: Option<f64>, integers: bool, most: u64) -> Option<Self> {
        let range = range.filter(|r| r.is_finite())?;
        let most = to_f64(i64::try_from(most).ok()?).max(2.0);
        // A single point has candidates too: as if it had a millionth of its size as width.
        let width = (range.hi - range.lo).max(range.magnitude().hi * 1e-6).max(1e-9);
        let finest = match (integers, declared) {
            (true, _) => 1.0,
            (false, Some(step)) if step > 0.0 => step,
            _ => f64::MIN_POSITIVE,
        };
        // One, two or five times a power of ten: steps that a reader recognises.
        let least = (width / (most - 2.0).max(1.0)).max(finest);
        let step = match least <= finest {
            true => finest,
            false => {
                let ten = 10.0_f64.powf(least.log10().floor());
                [1.0, 2.0, 5.0, 10.0].into_iter().map(|f| f * ten).find(|step| *step >= least).unwrap_or(least)
            }
        };
        let step = if integers { step.ceil() } else { step };
        Self::with_step(range, step)
    }

    /// Whether its units are whole numbers as they are.
    pub(super) fn is_whole(&self) -> bool {
        (self.step - 1.0).abs() < f64::EPSILON
    }

    /// How many units it has.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.hi.abs_diff(self.lo).saturating_add(1)
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

    /// Many floating-point values in steps, less `centre`, as [`Grid::units_of_float`] has each; what stands for a NaN
    /// means nothing.
    pub fn units_of_floats(&self, values: &[f64], centre: i64, units: &mut Vec<i64>) {
        let (lo, hi) = (to_f64(self.lo), to_f64(self.hi));
        let inverse = 1.0 / self.step;
        // INVARIANT: ends and centre lie within 2^50 of zero, so that no difference wraps.
        // A power of two has an exact inverse, and a product with it is the quotient to the last bit.
        match self.step.to_bits().trailing_zeros() >= 52 && inverse.is_normal() && self.step.is_normal() {
            true => units.extend(values.iter().map(|value| nearest(value * inverse, lo, hi).wrapping_sub(centre))),
            false => units.extend(values.iter().map(|value| nearest(value / self.step, lo, hi).wrapping_sub(centre))),
        }
    }

    /// Many whole numbers in steps of one, clamped, less `centre`.
    pub fn units_of_integers(&self, values: &[i64], centre: i64, units: &mut Vec<i64>) {
        units.extend(values.iter().map(|value| (*value).clamp(self.lo, self.hi).wrapping_sub(centre)));
    }
}

/// 1.5 · 2⁵²: doubles around it are the whole numbers, so that a sum with it is rounded to one, halves to the even one.
const WHOLE: f64 = 6_755_399_441_055_744.0;

/// The nearest whole number, halves away from zero, of a value clamped between two whole numbers up to 2^50: what `round`
/// and then `clamp` give, in steps that go over several values at once. What stands for a NaN means nothing.
#[inline]
fn nearest(value: f64, lo: f64, hi: f64) -> i64 {
    let value = value.max(lo).min(hi);
    let shifted = value + WHOLE;
    let rest = value - (shifted - WHOLE);
    let up = (rest >= 0.5) & (value > 0.0);
    let down = (rest <= -0.5) & (value < 0.0);
    let even = shifted.to_bits().wrapping_sub(WHOLE.to_bits()).cast_signed();
    even.wrapping_add(i64::from(up)).wrapping_sub(i64::from(down))
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
    fn many_at_once_are_what_each_is_alone() {
        for grid in [
            Grid::of(Range::new(-1.0, 2.5), Some(0.1), false).unwrap(),
            Grid::of(Range::new(0.0, 300.0), None, false).unwrap(),
            Grid::of(Range::new(-1e12, 7.0), Some(1.0), false).unwrap(),
            Grid::of(Range::new(-UNITS_MAX, UNITS_MAX), None, true).unwrap(),
        ] {
            let edges = [0.0, -0.0, 0.05, 0.15, 0.25, 0.5, -0.5, 1.5, 2.45, 2.55, 299.999, 1e300, -1e300, 5e-324];
            let ends = [
                f64::INFINITY,
                f64::NEG_INFINITY,
                UNITS_MAX - 0.5,
                0.5 - UNITS_MAX,
                grid.step / 2.0,
                -grid.step / 2.0,
                grid.step * 2.5,
            ];
            let steps = (-2_000..2_000).map(|i| f64::from(i) * grid.step * 0.25);
            let values: Vec<f64> = edges.into_iter().chain(ends).chain(steps).collect();
            let mut units = vec![];
            grid.units_of_floats(&values, grid.centre(), &mut units);
            for (value, units) in values.iter().zip(units) {
                assert_eq!(grid.units_of_float(*value), Some(units + grid.centre()), "{value} on {grid:?}");
            }
        }
    }

    #[test]
    fn without_a_declared_resolution_the_step_is_a_power_of_two_from_public_bounds() {
        let grid = Grid::of(Range::new(0.0, 100.0), None, false).unwrap();
        assert!((grid.step.log2().fract()).abs() < f64::EPSILON);
        assert!(grid.hi >= 1 << 20);
    }

    #[test]
    fn few_units_are_whole_where_they_can_be() {
        let age = Grid::evenly(Range::new(0.0, 120.0), None, true, 1000).unwrap();
        assert_eq!((age.lo, age.hi, age.units()), (0, 120, 121));
        let days = Grid::evenly(Range::new(-40_000.0, 60_000.0), None, true, 1000).unwrap();
        assert!(days.units() <= 1001 && days.step.fract() == 0.0, "{days:?}");
        let lab = Grid::evenly(Range::new(0.0, 3.3), None, false, 100).unwrap();
        assert!((lab.step - 0.05).abs() < 1e-12 && lab.units() == 67, "{lab:?}");
        let declared = Grid::evenly(Range::new(0.0, 50.0), Some(0.1), false, 1000).unwrap();
        assert!((declared.step - 0.1).abs() < 1e-12, "{declared:?}");
        assert_eq!(Grid::evenly(Range::new(3.0, 3.0), None, false, 100).map(|g| g.units() <= 4), Some(true));
    }

    #[test]
    fn open_or_endless_ranges_have_no_grid() {
        assert_eq!(Grid::of(Some(Range { lo: 0.0, hi: f64::INFINITY }), None, false), None);
        assert_eq!(Grid::of(Range::new(-9e18, 9e18), None, true), None);
        assert_eq!(Grid::of(None, Some(1.0), false), None);
    }
}
