//! Which integers does one person add to one group, and how far can they move what is released of it?
//!
//! Every sensitivity of the house is a line of [`Partial::bound`]. The oracles hold the engine to each of them.

use super::{candidates::Candidates, facts::Origin, grid::Grid};

/// Weighted rows are counted in parts of this size, since m/n of a row need not be whole.
pub const ROW_PARTS: u64 = 256;

/// An integer, a set of values or a histogram that one person adds to one group.
#[derive(Debug, Clone, PartialEq)]
pub struct Partial {
    /// What is added.
    pub kind: Kind,
    /// The input column whose NULLs are not seen; `None` for all rows.
    pub argument: Option<usize>,
    /// The input column that must be TRUE; `None` for all rows.
    pub filter: Option<usize>,
}

/// What a partial adds.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// The rows seen, at most m.
    Rows,
    /// 1 if any row is seen.
    Person,
    /// The argument's grid units minus `centre`, summed over the rows seen, times m/n where they are more than m.
    Sum {
        /// The grid that values are clamped and rounded to.
        grid: Grid,
        /// The public point that is subtracted, in grid units.
        centre: i64,
        /// Where the bounds come from.
        origin: Origin,
    },
    /// The argument's different values, `most` of them by keyed hash. Persons' sets are united, and the union counted.
    Values {
        /// D: how many values of one person count in one group.
        most: u64,
        /// Where D comes from.
        origin: Origin,
    },
    /// How often each public candidate is seen; [`Rank`] says which of them is looked for.
    Histogram {
        /// What may be picked.
        candidates: Candidates,
        /// Which candidate is looked for.
        rank: Rank,
        /// Where the bounds come from.
        origin: Origin,
    },
}

/// Which value of a distribution is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// The value that `below` of `of` parts of the rows lie below.
    Quantile {
        /// The numerator of the wanted share.
        below: u32,
        /// Its denominator.
        of: u32,
    },
    /// The least value: each person counts once, with their least.
    Least,
    /// The greatest value: each person counts once, with their greatest.
    Greatest,
}

impl Partial {
    /// The most that one person changes in one group, in units (L∞ of the release, privacy.md section 3).
    ///
    /// A sum moves by m values of at most the farthest unit. The union of sets moves by at most the D values that one
    /// person puts in. A histogram is released through the scores of its candidates, by `Rank::bound`.
    ///
    /// # Errors
    /// `None` where it does not fit 2^62.
    #[must_use]
    pub fn bound(&self, rows_per_group: u64) -> Option<u64> {
        let bound = match &self.kind {
            Kind::Rows => rows_per_group,
            Kind::Person => 1,
            Kind::Sum { grid, centre, .. } => {
                let farthest = grid.lo.abs_diff(*centre).max(grid.hi.abs_diff(*centre));
                rows_per_group.checked_mul(farthest)?
            }
            Kind::Values { most, .. } => *most,
            Kind::Histogram { rank, .. } => rank.bound(rows_per_group)?,
        };
        (bound < 1 << 62).then_some(bound)
    }

    /// The size of one unit of what is drawn: of a sum in the column's own unit, of a score in rows (or persons).
    #[must_use]
    pub fn unit(&self) -> f64 {
        match &self.kind {
            Kind::Rows | Kind::Person | Kind::Values { .. } => 1.0,
            Kind::Sum { grid, .. } => grid.step,
            Kind::Histogram { rank, .. } => 1.0 / rank.parts_per_row(),
        }
    }

    /// Whether one draw picks a candidate instead of adding noise to a number.
    #[must_use]
    pub fn picks(&self) -> bool {
        matches!(self.kind, Kind::Histogram { .. })
    }

    /// Whether the sums of two parts of the persons add up to that of both. Unions of sets do not.
    #[must_use]
    pub fn additive(&self) -> bool {
        !matches!(self.kind, Kind::Values { .. })
    }
}

impl Rank {
    /// The most by which one person moves any candidate's score.
    ///
    /// A candidate is a p/q-quantile of N parts of rows if q·below ≤ p·N ≤ q·(below + here); its score is how far it is
    /// from that: max(0, (q − p)·below − p·(here + above), p·above − (q − p)·(below + here)). A person adds parts on both
    /// sides, together at most m · [`ROW_PARTS`]; they pull each term in opposite directions, so a term, and with it the
    /// maximum, moves by at most m · parts · max(p, q − p) (the exponential mechanism for quantiles: Smith 2011,
    /// "Privacy-preserving statistical estimation with optimal convergence rates"). For the ends each person is one unit,
    /// and the score is the distance from a fixed rank to the ranks at the candidate: it moves by at most one.
    fn bound(self, rows_per_group: u64) -> Option<u64> {
        match self {
            Self::Quantile { below, of } => {
                let weight = u64::from(below.max(of.saturating_sub(below)));
                rows_per_group.checked_mul(ROW_PARTS)?.checked_mul(weight)
            }
            Self::Least | Self::Greatest => Some(1),
        }
    }

    /// How far one row more below a candidate moves its score away from that of the next.
    fn parts_per_row(self) -> f64 {
        match self {
            Self::Quantile { of, .. } => 256.0 * f64::from(of),
            Self::Least | Self::Greatest => 1.0,
        }
    }

    /// The scores of all candidates: the lower, the better. `seen` holds parts of rows by candidate, in order; `ends` is
    /// how many units inside the distribution an end is looked for, from public figures.
    #[must_use]
    pub fn scores(self, seen: &[(u32, i64)], candidates: usize, ends: i64) -> Vec<i64> {
        let total = seen.iter().fold(0_i64, |sum, (_, parts)| sum.saturating_add(*parts));
        let mut scores = Vec::with_capacity(candidates);
        let mut below = 0_i64;
        let mut next = seen.iter().peekable();
        for candidate in 0..candidates {
            let mut here = 0_i64;
            while let Some((_, parts)) = next.next_if(|(at, _)| usize::try_from(*at).is_ok_and(|at| at <= candidate)) {
                here = here.saturating_add(*parts);
            }
            let above = total.saturating_sub(below).saturating_sub(here);
            let (up_to, from) = (below.saturating_add(here), above.saturating_add(here));
            scores.push(match self {
                Self::Quantile { below: p, of: q } => {
                    let (p, q) = (i64::from(p), i64::from(q));
                    let too_high = (q - p).saturating_mul(below).saturating_sub(p.saturating_mul(from));
                    let too_low = p.saturating_mul(above).saturating_sub((q - p).saturating_mul(up_to));
                    too_high.max(too_low).max(0)
                }
                Self::Least => below.saturating_sub(ends).max(ends.saturating_sub(up_to)).max(0),
                Self::Greatest => above.saturating_sub(ends).max(ends.saturating_sub(from)).max(0),
            });
            below = up_to;
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_candidate_with_as_much_below_as_above() {
        let seen = [(2, 256), (5, 512), (9, 256)];
        let scores = Rank::Quantile { below: 1, of: 2 }.scores(&seen, 11, 0);
        let best = scores.iter().enumerate().min_by_key(|(_, score)| **score).map(|(at, _)| at);
        assert_eq!(best, Some(5));
        assert_eq!((scores[0], scores[10]), (1024, 1024));
    }

    #[test]
    fn a_value_that_most_rows_have_is_the_median_wherever_the_others_lie() {
        let seen = [(0, 6 * 256), (7, 4 * 256)];
        let scores = Rank::Quantile { below: 1, of: 2 }.scores(&seen, 10, 0);
        assert_eq!(scores.iter().position(|score| *score == 0), Some(0));
        assert!(scores.iter().skip(1).all(|score| *score > 0), "{scores:?}");
    }

    #[test]
    fn ends_are_looked_for_inside_the_distribution() {
        let seen = [(3, 10), (4, 5), (8, 1)];
        let least = Rank::Least.scores(&seen, 10, 10);
        assert_eq!(least.iter().position(|score| *score == 0), Some(3));
        assert_eq!(least.iter().take(3).max(), Some(&10), "nobody is there");
        let greatest = Rank::Greatest.scores(&seen, 10, 1);
        assert_eq!(greatest.iter().position(|score| *score == 0), Some(4));
    }

    #[test]
    fn no_person_moves_a_score_further_than_the_bound() {
        let base = [(1_u32, 700_i64), (4, 256), (6, 90)];
        for (below, of) in [(1, 2), (1, 4), (9, 10), (1, 100), (0, 1), (1, 1)] {
            let rank = Rank::Quantile { below, of };
            let most = i64::try_from(rank.bound(3).unwrap()).unwrap();
            for at in 0..8_u32 {
                for other in 0..8_u32 {
                    let mut more = base.to_vec();
                    more.extend([(at, 512), (other, 256)]);
                    more.sort_unstable();
                    let pairs = rank.scores(&base, 8, 0).into_iter().zip(rank.scores(&more, 8, 0));
                    assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() <= most), "{rank:?} {at} {other}");
                }
            }
        }
    }
}
