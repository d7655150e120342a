//! What does the best attacker say, given everything that they saw?
//!
//! Two of them. The one who knows the mechanism takes the likelihood ratio, which no other rule beats (Neyman and
//! Pearson). The one who knows nothing learns a rule from people whose secret they know, as automated searches for
//! attacks do, and says it of the others.

use super::measure::Games;

/// One noised number about one person's secret.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sight {
    /// What was shown.
    pub shown: f64,
    /// What it would be without noise, were the secret 0; and 1.
    pub would_be: [f64; 2],
    /// How the noise is distributed.
    pub noise: Noise,
}

/// A distribution that the answer's metadata states.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Noise {
    /// Discrete Laplace of scale b.
    Laplace(f64),
    /// Discrete Gaussian of standard deviation σ.
    Gaussian(f64),
}

impl Noise {
    /// As the metadata of a column words it; none for other mechanisms, or for several in one column.
    #[must_use]
    pub fn stated(mechanism: &str, scale: &str) -> Option<Self> {
        let scale = scale.parse().ok().filter(|s: &f64| *s > 0.0)?;
        match mechanism {
            "discrete_laplace" => Some(Self::Laplace(scale)),
            "discrete_gaussian" => Some(Self::Gaussian(scale)),
            _ => None,
        }
    }

    /// The logarithm of how much more likely `shown` is from 1 than from 0.
    fn says(self, shown: f64, [none, one]: [f64; 2]) -> f64 {
        match self {
            Self::Laplace(b) => ((shown - none).abs() - (shown - one).abs()) / b,
            Self::Gaussian(s) => ((shown - none).powi(2) - (shown - one).powi(2)) / (2.0 * s * s),
        }
    }

    /// Its variance.
    #[must_use]
    pub fn variance(self) -> f64 {
        match self {
            Self::Laplace(b) => 2.0 * b * b,
            Self::Gaussian(s) => s * s,
        }
    }
}

/// Whether the secret is rather 1, by all that was seen of it.
#[must_use]
pub fn by_likelihood(seen: &[Sight]) -> bool {
    seen.iter().map(|sight| sight.noise.says(sight.shown, sight.would_be)).sum::<f64>() > 0.0
}

/// Learns from one half of the people what to say of the other, and the other way round. `seen` has one line of numbers
/// per person, all of one length.
#[must_use]
pub fn by_learning(seen: &[Vec<f64>], secrets: &[bool]) -> Games {
    let half = |odd: bool| -> Vec<(&Vec<f64>, bool)> {
        let all = seen.iter().zip(secrets.iter().copied()).enumerate();
        all.filter(|(place, _)| (place % 2 == 1) == odd).map(|(_, one)| one).collect()
    };
    let (even, odd) = (half(false), half(true));
    let said = |of: &[(&Vec<f64>, bool)], rule: &Rule| {
        let guesses: Vec<bool> = of.iter().map(|(numbers, _)| rule.says(numbers)).collect();
        let truth: Vec<bool> = of.iter().map(|(_, secret)| *secret).collect();
        Games::of(&guesses, &truth)
    };
    said(&odd, &Rule::learnt(&even)).and(said(&even, &Rule::learnt(&odd)))
}

/// A weight for each number, its rank among those learnt from, and a constant: logistic regression by gradient descent.
struct Rule {
    sorted: Vec<Vec<f64>>,
    weights: Vec<f64>,
    constant: f64,
}

impl Rule {
    fn learnt(from: &[(&Vec<f64>, bool)]) -> Self {
        let width = from.iter().map(|(numbers, _)| numbers.len()).min().unwrap_or(0);
        let column = |c: usize| {
            let mut values: Vec<f64> = from.iter().filter_map(|(n, _)| n.get(c).copied()).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let mut rule = Self { sorted: (0..width).map(column).collect(), weights: vec![0.0; width], constant: 0.0 };
        let lines: Vec<(Vec<f64>, f64)> =
            from.iter().map(|(n, secret)| (rule.ranks(n), if *secret { 1.0 } else { 0.0 })).collect();
        for _ in 0..STEPS {
            let (mut by, mut constant) = (vec![0.0; width], 0.0);
            for (ranks, secret) in &lines {
                let off = secret - 1.0 / (1.0 + (-rule.score(ranks)).exp());
                by.iter_mut().zip(ranks).for_each(|(sum, rank)| *sum += off * rank);
                constant += off;
            }
            let step = STEP / lines.len().max(1) as f64;
            rule.weights.iter_mut().zip(by).for_each(|(weight, sum)| *weight += step * sum);
            rule.constant += step * constant;
        }
        rule
    }

    /// Where each number stands among those learnt from, −1 to 1: extremes do not drown the rest.
    fn ranks(&self, numbers: &[f64]) -> Vec<f64> {
        let rank = |(sorted, value): (&Vec<f64>, &f64)| {
            let (below, upto) = (sorted.partition_point(|v| v < value), sorted.partition_point(|v| v <= value));
            (below + upto) as f64 / sorted.len().max(1) as f64 - 1.0
        };
        self.sorted.iter().zip(numbers).map(rank).collect()
    }

    fn score(&self, ranks: &[f64]) -> f64 {
        self.weights.iter().zip(ranks).map(|(weight, rank)| weight * rank).sum::<f64>() + self.constant
    }

    fn says(&self, numbers: &[f64]) -> bool {
        self.score(&self.ranks(numbers)) > 0.0
    }
}

const STEPS: usize = 150;
const STEP: f64 = 6.0;

#[cfg(test)]
mod tests {
    use super::super::{chance::Chance, measure::Spent};
    use super::*;

    /// Two-sided geometric noise of scale b: what a gateway with this noise would add.
    fn laplace(chance: &mut Chance, b: f64) -> f64 {
        let mut geometric = || (chance.unit().ln() / (-1.0 / b)).floor();
        geometric() - geometric()
    }

    /// The advantage of an attacker over `people` counts with noise of `b`, each asked `times` over.
    fn advantage(b: f64, people: usize, times: usize) -> (Games, Games) {
        let mut chance = Chance::seeded(11);
        let secrets = chance.coins(people);
        let seen: Vec<Vec<Sight>> = secrets
            .iter()
            .map(|secret| {
                let exact = if *secret { 3.0 } else { 2.0 };
                let sight = |_| {
                    let (shown, noise) = (exact + laplace(&mut chance, b), Noise::Laplace(b));
                    Sight { shown, would_be: [2.0, 3.0], noise }
                };
                (0..times).map(sight).collect()
            })
            .collect();
        let guesses: Vec<bool> = seen.iter().map(|sights| by_likelihood(sights)).collect();
        let numbers: Vec<Vec<f64>> = seen.iter().map(|sights| sights.iter().map(|s| s.shown).collect()).collect();
        (Games::of(&guesses, &secrets), by_learning(&numbers, &secrets))
    }

    #[test]
    fn both_attackers_stay_below_the_bound_of_honest_noise_and_come_near_it() {
        let (knowing, learning) = advantage(1.0, 3_000, 1);
        let bound = Spent { epsilon: 1.0, delta: 0.0 }.bound();
        assert!(!knowing.beat(bound) && !learning.beat(bound));
        assert!(knowing.interval().0 > 0.25, "an attacker that wins nothing proves nothing: {knowing:?}");
        assert!(learning.interval().0 > 0.25, "{learning:?}");
    }

    #[test]
    fn noise_of_half_the_scale_that_was_claimed_is_found_by_both() {
        let bound = Spent { epsilon: 1.0, delta: 0.0 }.bound();
        let (knowing, learning) = advantage(0.5, 1_572, 1);
        assert!(knowing.beat(bound), "{knowing:?}");
        assert!(learning.beat(bound), "{learning:?}");
    }

    #[test]
    fn fresh_noise_for_each_repetition_is_found_by_both() {
        let bound = Spent { epsilon: 1.0, delta: 0.0 }.bound();
        let (knowing, learning) = advantage(1.0, 1_572, 12);
        assert!(knowing.beat(bound), "{knowing:?}");
        assert!(learning.beat(bound), "{learning:?}");
    }

    #[test]
    fn gaussian_noise_below_what_was_claimed_is_found() {
        let mut chance = Chance::seeded(5);
        let secrets = chance.coins(1_572);
        let mut normal = || (-2.0 * chance.unit().ln()).sqrt() * (std::f64::consts::TAU * chance.unit()).cos();
        let noise = Noise::Gaussian(0.5);
        let shown: Vec<f64> = secrets.iter().map(|s| f64::from(u8::from(*s)) + 0.5 * normal()).collect();
        let guesses: Vec<bool> =
            shown.iter().map(|v| by_likelihood(&[Sight { shown: *v, would_be: [0.0, 1.0], noise }])).collect();
        assert!(Games::of(&guesses, &secrets).beat(Spent { epsilon: 1.0, delta: 1e-6 }.bound()));
    }

    #[test]
    fn a_mechanism_is_read_as_the_metadata_words_it() {
        assert_eq!(Noise::stated("discrete_laplace", "2.5"), Some(Noise::Laplace(2.5)));
        assert_eq!(Noise::stated("discrete_laplace / discrete_laplace", "2 / 3"), None);
        assert_eq!(Noise::stated("permute_and_flip", "1"), None);
        assert_eq!(Noise::stated("discrete_gaussian", "0"), None);
    }
}
