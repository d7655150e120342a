//! Between which numbers does an expression lie, whatever the rows hold?
//!
//! Interval arithmetic over `f64`, widened outward by one step wherever a result need not be exact.

/// A closed interval without NaN; `lo <= hi`; one end may be open (infinite). Dates count in days, timestamps in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    pub(super) lo: f64,
    pub(super) hi: f64,
}

/// Every integer up to here is exact in an `f64`.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Range {
    pub(super) fn new(lo: f64, hi: f64) -> Option<Self> {
        (lo <= hi && lo.is_finite() && hi.is_finite()).then_some(Self { lo, hi })
    }

    pub(super) fn point(value: f64) -> Option<Self> {
        Self::new(value, value)
    }

    pub(super) fn plus(self, other: Self) -> Option<Self> {
        Self::new(down(self.lo + other.lo), up(self.hi + other.hi))
    }

    pub(super) fn minus(self, other: Self) -> Option<Self> {
        Self::new(down(self.lo - other.hi), up(self.hi - other.lo))
    }

    pub(super) fn times(self, other: Self) -> Option<Self> {
        let corners = [self.lo * other.lo, self.lo * other.hi, self.hi * other.lo, self.hi * other.hi];
        hull(&corners)
    }

    /// Quotients for divisors at least `smallest` away from zero; zero itself gives NULL, never a number.
    pub(super) fn over(self, other: Self, smallest: f64) -> Option<Self> {
        let mut divisors = vec![];
        for end in [other.lo, other.hi, smallest, -smallest] {
            if end != 0.0 && end >= other.lo && end <= other.hi {
                divisors.push(end);
            }
        }
        let corners: Vec<f64> = divisors.iter().flat_map(|d| [self.lo / d, self.hi / d]).collect();
        let spans_zero = other.lo <= 0.0 && other.hi >= 0.0;
        match (corners.is_empty(), smallest > 0.0 || !spans_zero) {
            (false, true) => hull(&corners),
            _ => None,
        }
    }

    pub(super) fn negated(self) -> Self {
        Self { lo: -self.hi, hi: -self.lo }
    }

    pub(super) fn magnitude(self) -> Self {
        let most = self.lo.abs().max(self.hi.abs());
        let least = if self.lo <= 0.0 && self.hi >= 0.0 { 0.0 } else { self.lo.abs().min(self.hi.abs()) };
        Self { lo: least, hi: most }
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    pub(super) fn intersect(self, other: Self) -> Option<Self> {
        let (lo, hi) = (self.lo.max(other.lo), self.hi.min(other.hi));
        (lo <= hi).then_some(Self { lo, hi })
    }

    /// The integers that truncation, rounding, floor or ceiling of a value can give.
    pub(super) fn to_integers(self) -> Self {
        Self { lo: self.lo.floor(), hi: self.hi.ceil() }
    }

    /// The interval under a function that never falls.
    pub(super) fn map(self, rising: impl Fn(f64) -> f64) -> Option<Self> {
        Self::new(down(rising(self.lo)), up(rising(self.hi)))
    }

    pub(super) fn is_finite(self) -> bool {
        self.lo.is_finite() && self.hi.is_finite()
    }

    pub(super) fn within(self, lo: f64, hi: f64) -> bool {
        self.lo >= lo && self.hi <= hi
    }
}

fn hull(corners: &[f64]) -> Option<Range> {
    if corners.iter().any(|c| c.is_nan()) {
        return None;
    }
    let lo = corners.iter().copied().fold(f64::INFINITY, f64::min);
    let hi = corners.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Range::new(down(lo), up(hi))
}

fn exact(value: f64) -> bool {
    value.fract() == 0.0 && value.abs() < EXACT
}

fn down(value: f64) -> f64 {
    if exact(value) { value } else { value.next_down() }
}

fn up(value: f64) -> f64 {
    if exact(value) { value } else { value.next_up() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(lo: f64, hi: f64) -> Range {
        Range { lo, hi }
    }

    #[test]
    fn every_combination_of_members_stays_inside() {
        let members = [-7.5, -2.0, -0.25, 0.0, 0.5, 3.0, 11.0];
        let all: Vec<Range> =
            members.iter().flat_map(|a| members.iter().filter(move |b| a <= *b).map(|b| range(*a, *b))).collect();
        for a in &all {
            for b in &all {
                for x in members.iter().filter(|x| a.lo <= **x && **x <= a.hi) {
                    for y in members.iter().filter(|y| b.lo <= **y && **y <= b.hi) {
                        let inside = |r: Option<Range>, v: f64| r.is_none_or(|r| r.lo <= v && v <= r.hi);
                        assert!(inside(a.plus(*b), x + y));
                        assert!(inside(a.minus(*b), x - y));
                        assert!(inside(a.times(*b), x * y));
                        assert!(*y == 0.0 || inside(a.over(*b, 0.25), x / y), "{a:?} / {b:?} holds {x} / {y}");
                        assert!(*y == 0.0 || inside(a.over(*b, 0.0), x / y));
                        assert!(inside(Some(a.magnitude()), x.abs()));
                        assert!(inside(Some(a.negated()), -x));
                    }
                }
            }
        }
    }

    #[test]
    fn division_by_an_interval_around_zero_has_no_bounds_unless_divisors_are_whole() {
        assert_eq!(range(1.0, 2.0).over(range(-1.0, 1.0), 0.0), None);
        assert_eq!(range(1.0, 2.0).over(range(0.0, 4.0), 1.0), Some(range(0.25_f64.next_down(), 2.0)));
    }
}
