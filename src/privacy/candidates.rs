//! Which public values may a percentile, a least or a greatest value turn out to be?
//!
//! All values of a range where they are few. Else two lists together: one evenly spaced, and one whose distances grow with
//! the value, so that a median of 300 among values that may reach a billion is not zero.

use std::sync::Arc;

use super::{
    facts::to_f64,
    grid::{Grid, UNITS_MAX},
    range::Range,
};

/// Ascending public candidates on an integer grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidates {
    grid: Grid,
    units: Arc<[i64]>,
}

/// Below this many steps every one is a candidate of the growing list.
const EACH_BELOW: i64 = 100;

/// How many hundredths of a power of ten lie between candidates after it; from two of it on twice as many, from five on five
/// times. The candidates next to a value are then at most this share of it apart.
const HUNDREDTHS: [i64; 6] = [1, 2, 5, 10, 20, 50];

impl Candidates {
    /// At most `most` candidates for a value in `range`. Values that count from a zero of their own (`growing`) have a
    /// list with growing distances too where not every whole number, or every declared step, can be one. `None` without two
    /// finite bounds.
    pub(super) fn of(
        range: Option<Range>,
        declared: Option<f64>,
        integers: bool,
        growing: bool,
        most: u64,
    ) -> Option<Self> {
        let even = |most| Grid::evenly(range, declared, integers, most).map(Self::all);
        let range = range.filter(|r| r.is_finite())?;
        let finest = match (integers, declared) {
            (true, _) => 1.0,
            (false, Some(step)) if step > 0.0 => step,
            // A millionth of the largest value, as a power of ten.
            _ => 10.0_f64.powf(range.magnitude().hi.max(1e-9).log10().floor() - 6.0),
        };
        if !growing || range.magnitude().hi / finest > UNITS_MAX {
            return even(most);
        }
        let fine = Grid::with_step(range, finest)?;
        if fine.units() <= most {
            return Some(Self::all(fine));
        }
        let half = usize::try_from(most / 2).ok()?;
        let Some(growing) = HUNDREDTHS.iter().find_map(|step| growing_units(&fine, *step, half)) else {
            return even(most);
        };
        let apart = nice(fine.units().div_ceil(u64::try_from(half).ok()?.saturating_sub(2).max(1)))?;
        let first = fine.lo.div_euclid(apart).saturating_mul(apart);
        let spread = (0..).map_while(|i: i64| first.checked_add(i.checked_mul(apart)?).filter(|unit| *unit <= fine.hi));
        let ends = [fine.lo, fine.hi];
        let mut units: Vec<i64> = spread.filter(|unit| *unit >= fine.lo).chain(growing).chain(ends).collect();
        units.sort_unstable();
        units.dedup();
        Some(Self { grid: fine, units: units.into() })
    }

    fn all(grid: Grid) -> Self {
        Self { units: (grid.lo..=grid.hi).collect(), grid }
    }

    /// The grid on which they lie, with its ends.
    #[must_use]
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The candidates in steps of the grid, ascending.
    #[must_use]
    pub fn units(&self) -> &Arc<[i64]> {
        &self.units
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.units.len()
    }

    /// The `place`-th in the value's own unit.
    #[must_use]
    pub fn value(&self, place: usize) -> Option<f64> {
        self.units.get(place).map(|unit| to_f64(*unit) * self.grid.step)
    }

    /// The widest distance between neighbours, in the value's own unit.
    #[must_use]
    pub fn widest(&self) -> f64 {
        let gaps = self.units.iter().zip(self.units.iter().skip(1)).map(|(a, b)| b.saturating_sub(*a));
        to_f64(gaps.max().unwrap_or(0)) * self.grid.step
    }

    /// How far the neighbours of the candidate at `unit` are from it at most, in the value's own unit.
    #[must_use]
    pub fn apart(&self, unit: i64) -> f64 {
        let at = self.units.partition_point(|known| *known < unit);
        let gap = |a: usize, b: usize| match (self.units.get(a), self.units.get(b)) {
            (Some(a), Some(b)) => to_f64(b.saturating_sub(*a)),
            _ => 0.0,
        };
        let below = at.checked_sub(1).map_or(0.0, |before| gap(before, at));
        below.max(gap(at, at.saturating_add(1))) * self.grid.step
    }
}

/// Whole numbers of which the distance grows with their size, on both sides of zero; `None` where they are more than `most`.
fn growing_units(fine: &Grid, hundredths: i64, most: usize) -> Option<Vec<i64>> {
    let farthest = i64::try_from(fine.magnitude()).ok()?;
    let mut sizes: Vec<i64> = (0..EACH_BELOW).collect();
    let mut power = EACH_BELOW;
    while power <= farthest {
        let step = power / EACH_BELOW * hundredths;
        for (from, to, times) in [(1, 2, 1), (2, 5, 2), (5, 10, 5)] {
            let (mut at, to) = (power.checked_mul(from)?, power.checked_mul(to)?);
            while at < to {
                sizes.push(at);
                at = at.checked_add(step.checked_mul(times)?)?;
            }
        }
        // Both signs may be wanted.
        if sizes.len() > most.saturating_mul(2) {
            return None;
        }
        power = power.checked_mul(10)?;
    }
    let inside = |unit: &i64| (fine.lo..=fine.hi).contains(unit);
    let units: Vec<i64> = sizes.iter().map(|size| -size).chain(sizes.iter().copied()).filter(inside).collect();
    (units.len() <= most).then_some(units)
}

/// The least of 1, 2, 5, 10, 20, 50, … that is not less.
fn nice(least: u64) -> Option<i64> {
    let mut ten = 1_u64;
    loop {
        for factor in [1, 2, 5] {
            let step = ten.checked_mul(factor)?;
            if step >= least {
                return i64::try_from(step).ok();
            }
        }
        ten = ten.checked_mul(10)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lo: f64, hi: f64, declared: Option<f64>, integers: bool, most: u64) -> Candidates {
        Candidates::of(Range::new(lo, hi), declared, integers, true, most).unwrap()
    }

    fn nearest(candidates: &Candidates, value: f64) -> f64 {
        let all = (0..candidates.count()).filter_map(|place| candidates.value(place));
        all.min_by(|a, b| (a - value).abs().total_cmp(&(b - value).abs())).unwrap()
    }

    #[test]
    fn they_are_ascending_within_the_range_and_few_enough() {
        for (lo, hi, declared, integers) in [
            (0.0, 120.0, None, true),
            (0.0, 4096.0 * 1e6, None, true),
            (-1e9, 1e9, None, true),
            (0.0, 1e6, None, false),
            (-3.0, 1e12, Some(0.25), false),
            (1e6, 2e6, Some(0.1), false),
            (-5e3, -2.0, None, false),
            (3.0, 3.0, None, false),
            (0.0, 0.0, None, true),
        ] {
            for most in [64, 512, 4098] {
                let all = of(lo, hi, declared, integers, most);
                assert!(all.count() as u64 <= most, "{lo} {hi} {most}: {}", all.count());
                assert!(all.units().windows(2).all(|w| w[0] < w[1]));
                assert_eq!((all.units().first(), all.units().last()), (Some(&all.grid.lo), Some(&all.grid.hi)));
            }
        }
    }

    #[test]
    fn small_values_of_wide_ranges_have_a_candidate_near_them() {
        let sums = of(0.0, 4096.0 * 1e6, None, true, 4098);
        let floats = of(0.0, 1e6, None, false, 4098);
        for value in [1.0, 7.0, 90.0, 300.0, 1234.0, 56_789.0, 987_654.0] {
            for all in [&sums, &floats] {
                assert!((nearest(all, value) - value).abs() <= value * 0.03, "{value}: {}", nearest(all, value));
            }
        }
    }

    #[test]
    fn the_evenly_spaced_half_stays() {
        let lab = of(0.0, 300.0, None, false, 4098);
        for value in [12.3, 150.1, 299.7] {
            assert!((nearest(&lab, value) - value).abs() <= 0.1 + 1e-9, "{value}");
        }
    }

    #[test]
    fn dates_stay_evenly_spaced_and_few_values_are_all_there() {
        let days = Candidates::of(Range::new(-25_567.0, 47_481.0), None, true, false, 4098).unwrap();
        assert!(days.units().windows(2).all(|w| w[1] - w[0] == 1), "each a step of its grid");
        let ages = of(0.0, 120.0, None, true, 4098);
        assert_eq!((ages.count(), ages.value(7), ages.apart(7)), (121, Some(7.0), 1.0));
        assert_eq!(of(0.0, 1e9, None, true, 512).apart(0), 1.0);
    }
}
