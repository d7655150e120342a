//! How are the random choices of a synthetic population drawn, so that the same seed gives the same bytes?
//!
//! One ChaCha8 stream per block of persons, keyed by (seed, block): a block does not depend on who draws it, when, or
//! how many blocks follow. No transcendental function takes part in a draw, since those differ between machines.

use rand::RngCore;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// A stream of draws.
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// The stream of one block of persons.
    #[must_use]
    pub fn of_block(seed: u64, block: u64) -> Self {
        let mut key = *b"................sekisho.synth.v1";
        for (to, from) in key.iter_mut().zip(seed.to_le_bytes().into_iter().chain(block.to_le_bytes())) {
            *to = from;
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Does something of probability `p` happen?
    #[inline]
    pub fn chance(&mut self, p: f64) -> bool {
        self.even() < p
    }

    /// A number in 0..1.
    #[inline]
    pub fn even(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / 4_294_967_296.0
    }

    /// A whole number in 0..n; 0 for n = 0.
    #[inline]
    pub fn below(&mut self, n: u32) -> u32 {
        let scaled = u64::from(self.0.next_u32()).saturating_mul(u64::from(n)) >> 32;
        u32::try_from(scaled).unwrap_or(0)
    }

    /// A day in first..=last; `first` if the span is empty.
    #[inline]
    pub fn day(&mut self, first: i32, last: i32) -> i32 {
        let span = u32::try_from(i64::from(last).saturating_sub(i64::from(first)).saturating_add(1)).unwrap_or(0);
        first.saturating_add(i32::try_from(self.below(span)).unwrap_or(0))
    }

    /// A bell-shaped number of mean 0 and deviation 1, within ±3.47: four even draws of 16 bits, summed.
    #[inline]
    pub fn bell(&mut self) -> f64 {
        const MEAN: f64 = 131_070.0;
        const DEVIATION: f64 = 37_837.227;
        let four = self.0.next_u64();
        let sum = (four & 0xffff) + ((four >> 16) & 0xffff) + ((four >> 32) & 0xffff) + (four >> 48);
        #[expect(clippy::cast_precision_loss, reason = "a sum of four 16-bit numbers is exact")]
        let sum = sum as f64;
        (sum - MEAN) / DEVIATION
    }

    /// A place in a list of weights, in proportion to them.
    pub fn weighted(&mut self, weights: &[u32]) -> usize {
        let total = weights.iter().fold(0_u32, |sum, w| sum.saturating_add(*w));
        let mut left = self.below(total);
        for (place, weight) in weights.iter().enumerate() {
            if left < *weight {
                return place;
            }
            left = left.saturating_sub(*weight);
        }
        0
    }

    /// How often something of this mean happens: nearly a Poisson count, without a logarithm. The mean is cut into
    /// steps of at most 1/8, of which each happens or not.
    pub fn times(&mut self, mean: f64) -> u32 {
        let mut count = 0_u32;
        let mut left = mean.clamp(0.0, 64.0);
        while left > 0.0 {
            let step = left.min(0.125);
            if self.even() < step {
                count = count.saturating_add(1);
            }
            left -= step;
        }
        count
    }
}

/// Person ids: a keyed permutation of 0..2⁶², so that ids are neither dense nor ordered by anything, and never repeat.
#[derive(Debug, Clone, Copy)]
pub struct Disguise([u32; 6]);

impl Disguise {
    /// The permutation of a seed; `purpose` gives independent ones.
    #[must_use]
    pub fn of(seed: u64, purpose: u64) -> Self {
        let mut chance = Chance::of_block(seed, u64::MAX.wrapping_sub(purpose));
        Self(std::array::from_fn(|_| chance.below(u32::MAX)))
    }

    /// The number behind which `index` hides. INVARIANT: one to one over 0..2⁶² (a Feistel network).
    #[must_use]
    pub fn hide(self, index: u64) -> i64 {
        const HALF: u64 = 0x7fff_ffff;
        let (mut left, mut right) = ((index >> 31) & HALF, index & HALF);
        for key in self.0 {
            let mixed = (right ^ u64::from(key)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33;
            (left, right) = (right, left ^ (mixed & HALF));
        }
        i64::try_from((left << 31) | right).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn disguised_numbers_never_meet_and_say_no_order() {
        let disguise = Disguise::of(7, 0);
        let hidden: Vec<i64> = (0..20_000).map(|i| disguise.hide(i)).collect();
        assert_eq!(hidden.iter().collect::<BTreeSet<_>>().len(), hidden.len());
        assert!(hidden.iter().all(|h| *h >= 0));
        let rising = hidden.windows(2).filter(|w| w[0] < w[1]).count();
        assert!((9_500..10_500).contains(&rising), "{rising} of 20,000 neighbours rise");
    }

    #[test]
    fn a_bell_has_mean_nought_and_deviation_one() {
        let mut chance = Chance::of_block(1, 2);
        let draws: Vec<f64> = (0..100_000).map(|_| chance.bell()).collect();
        let mean = draws.iter().sum::<f64>() / 100_000.0;
        let variance = draws.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / 100_000.0;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn weights_and_counts_come_out_as_asked() {
        let mut chance = Chance::of_block(3, 4);
        let third = (0..30_000).filter(|_| chance.weighted(&[1, 0, 2]) == 0).count();
        assert!((9_500..10_500).contains(&third), "{third}");
        let hits: u32 = (0..10_000).map(|_| chance.times(1.5)).sum();
        assert!((14_500..15_500).contains(&hits), "{hits}");
    }
}
