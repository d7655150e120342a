//! Where do secrets and random questions of an attack come from?

use crate::cli::Stop;

/// A small seeded generator (SplitMix64): for questions and made-up people alone, never for noise or keys.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// Another one each time.
    ///
    /// # Errors
    /// [`Stop::Fault`] where the operating system gives no randomness.
    pub fn fresh() -> Result<Self, Stop> {
        let mut bytes = [0_u8; 8];
        getrandom::fill(&mut bytes).map_err(|_| Stop::Fault("no randomness from the operating system".into()))?;
        Ok(Self(u64::from_be_bytes(bytes)))
    }

    /// The same each time.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `most`.
    pub fn below(&mut self, most: u64) -> u64 {
        self.next() % most.max(1)
    }

    /// A fair coin.
    pub fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// Uniform between 0 and 1, neither included.
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// So many coins.
    pub fn coins(&mut self, count: usize) -> Vec<bool> {
        (0..count).map(|_| self.coin()).collect()
    }

    /// One of `of`; none of nothing.
    pub fn one<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        of.get(self.below(of.len() as u64) as usize).copied()
    }
}
