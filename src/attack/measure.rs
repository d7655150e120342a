//! How far from guessing is an attacker, and how far may they get?
//!
//! An attacker who says of each of many people whether a secret is so is right by chance half of the time. What lies
//! above is the *advantage*: 2·(share of right answers) − 1, zero for a coin and one for somebody who knows.

/// What was spent on the people attacked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spent {
    /// ε in nats, at δ.
    pub epsilon: f64,
    /// δ.
    pub delta: f64,
}

impl Spent {
    /// The largest advantage that anybody can have over a secret bit that is 0 or 1 with equal chance, whatever they know
    /// and compute: (e^ε − 1 + 2δ) / (e^ε + 1) (Kairouz, Oh and Viswanath 2015, theorem 2.1; the best of the
    /// hypothesis tests that (ε, δ) leaves).
    #[must_use]
    pub fn bound(self) -> f64 {
        ((self.epsilon / 2.0).tanh() + 2.0 * self.delta / (self.epsilon.exp() + 1.0)).min(1.0)
    }

    /// The same for a group of `persons` that are in or out together: (kε, δ(e^{kε} − 1)/(e^ε − 1)).
    #[must_use]
    pub fn of_linked(self, persons: u32) -> Self {
        let epsilon = self.epsilon * f64::from(persons);
        let grown = self.delta * epsilon.exp_m1() / self.epsilon.exp_m1().max(f64::MIN_POSITIVE);
        Self { epsilon, delta: grown.min(1.0) }
    }
}

/// Games that somebody played against the gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Games {
    /// How often the guess was right.
    pub right: u64,
    /// How many there were.
    pub played: u64,
}

impl Games {
    /// The games in which `guesses` was said of `secrets`.
    #[must_use]
    pub fn of(guesses: &[bool], secrets: &[bool]) -> Self {
        let right = guesses.iter().zip(secrets).filter(|(guess, secret)| guess == secret).count();
        Self { right: right as u64, played: guesses.len().min(secrets.len()) as u64 }
    }

    /// 2·(share right) − 1.
    #[must_use]
    pub fn advantage(self) -> f64 {
        2.0 * self.right as f64 / self.played.max(1) as f64 - 1.0
    }

    /// Where the attacker's true advantage lies: Wilson's interval at [`SIGMAS`] standard deviations.
    #[must_use]
    pub fn interval(self) -> (f64, f64) {
        let (n, z) = (self.played.max(1) as f64, SIGMAS);
        let share = self.right as f64 / n;
        let middle = (share + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let half = z / (1.0 + z * z / n) * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        (2.0 * (middle - half) - 1.0, 2.0 * (middle + half) - 1.0)
    }

    /// Whether the measured advantage is surely more than `bound`.
    #[must_use]
    pub fn beat(self, bound: f64) -> bool {
        self.interval().0 > bound
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { right: self.right + other.right, played: self.played + other.played }
    }
}

/// The chance of at least `count` hits in `trials` at `chance` each.
#[must_use]
pub fn at_least(count: u64, trials: u64, chance: f64) -> f64 {
    if count == 0 {
        return 1.0;
    }
    if chance <= 0.0 || count > trials {
        return 0.0;
    }
    let odds = (chance / (1.0 - chance).max(f64::MIN_POSITIVE)).ln();
    let mut log = trials as f64 * (-chance).ln_1p();
    let mut sum = 0.0;
    for hits in 0..=trials {
        if hits >= count {
            sum += log.exp();
        }
        log += ((trials - hits) as f64 / (hits + 1) as f64).ln() + odds;
    }
    sum.min(1.0)
}

/// Welch's t of two samples: how many standard errors their means lie apart. 0 for samples that say nothing.
#[must_use]
pub fn welch(a: &[f64], b: &[f64]) -> f64 {
    let ((mean_a, var_a), (mean_b, var_b)) = (moments(a), moments(b));
    let error = (var_a / (a.len().max(1) as f64) + var_b / (b.len().max(1) as f64)).sqrt();
    if error > 0.0 { (mean_a - mean_b) / error } else { 0.0 }
}

/// How well one cut separates two samples, as an advantage over guessing which of both a value is from.
#[must_use]
pub fn best_cut(a: &[f64], b: &[f64]) -> f64 {
    let share_below = |of: &[f64], cut: f64| of.iter().filter(|v| **v <= cut).count() as f64 / of.len().max(1) as f64;
    a.iter().chain(b).map(|cut| (share_below(a, *cut) - share_below(b, *cut)).abs()).fold(0.0, f64::max)
}

/// Pearson's correlation of pairs, and how many standard errors it is from none.
#[must_use]
pub fn correlation(pairs: &[(f64, f64)]) -> (f64, f64) {
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let ((mean_x, var_x), (mean_y, var_y)) = (moments(&x), moments(&y));
    let n = pairs.len() as f64;
    let together = pairs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / (n - 1.0).max(1.0);
    let scale = (var_x * var_y).sqrt();
    if scale > 0.0 { (together / scale, together / scale * n.sqrt()) } else { (0.0, 0.0) }
}

fn moments(of: &[f64]) -> (f64, f64) {
    let n = of.len().max(1) as f64;
    let mean = of.iter().sum::<f64>() / n;
    (mean, of.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0))
}

/// How sure a verdict against the gateway is: a true advantage at the bound is called broken with chance 3·10⁻⁵ a row.
pub const SIGMAS: f64 = 4.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_that_of_randomised_response() {
        // Truth with chance e^ε/(1+e^ε): the advantage is (e^ε − 1)/(e^ε + 1), and nothing better exists.
        let at = |epsilon, delta| Spent { epsilon, delta }.bound();
        assert!((at(1.0, 0.0) - 0.462_117_157).abs() < 1e-8);
        assert!(at(0.0, 0.0).abs() < 1e-12);
        assert!((at(0.0, 0.25) - 0.25).abs() < 1e-12, "δ alone");
        assert!((at(f64::INFINITY, 0.1) - 1.0).abs() < 1e-12);
        let two = Spent { epsilon: 1.0, delta: 1e-6 }.of_linked(2);
        assert!((two.epsilon - 2.0).abs() < 1e-12 && (two.delta / 1e-6 - 3.718_281_8).abs() < 1e-4);
    }

    #[test]
    fn more_than_the_bound_is_seen_and_chance_is_not() {
        let bound = Spent { epsilon: 1.0, delta: 1e-6 }.bound();
        let at =
            |advantage: f64, played: u64| Games { right: (played as f64 * (1.0 + advantage) / 2.0) as u64, played };
        assert!(!at(0.0, 1_500).beat(bound) && !at(bound, 1_500).beat(bound) && !at(0.5, 1_500).beat(bound));
        assert!(at(0.632, 1_500).beat(bound), "Laplace noise of half the scale");
        assert!(!at(1.0, 8).beat(bound), "eight right guesses prove nothing");
        let (low, high) = at(0.3, 1_500).interval();
        assert!(low < 0.3 && 0.3 < high && high - low < 0.21);
    }

    #[test]
    fn tails_of_a_coin_are_those_of_the_book() {
        assert!((at_least(1, 10, 0.5) - (1.0 - 0.5_f64.powi(10))).abs() < 1e-12);
        assert!((at_least(8, 10, 0.5) - 56.0 / 1024.0).abs() < 1e-12);
        assert!(at_least(200, 1_500, 0.1) < 1e-3 && at_least(150, 1_500, 0.1) > 0.4);
        assert!(at_least(3, 1_500, 1e-6) < 1e-8);
        assert!((at_least(0, 5, 0.1) - 1.0).abs() < 1e-12 && at_least(6, 5, 0.1) == 0.0);
    }

    #[test]
    fn two_samples_apart_are_told_apart() {
        let (a, b): (Vec<f64>, Vec<f64>) = (0..200).map(|i| (f64::from(i % 7), f64::from(i % 7) + 1.0)).unzip();
        assert!(welch(&a, &b) < -4.0 && welch(&a, &a).abs() < 1e-12);
        assert!(best_cut(&a, &b) > 0.1 && best_cut(&a, &a) < 1e-12);
        let pairs: Vec<_> = a.iter().copied().zip(b).collect();
        assert!(correlation(&pairs).1 > 4.0);
    }
}
