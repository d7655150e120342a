//! Does the ledger's arithmetic never fall below two other accountants?
//!
//! The first is OpenDP's own conversion; the second sums the privacy-loss distributions of composed mechanisms
//! numerically, always rounded so that it claims too little.

use opendp::{
    combinators::make_zCDP_to_approxDP,
    domains::{AtomDomain, VectorDomain},
    measurements::make_gaussian,
    metrics::L2Distance,
};
use sekisho::terms::{Cap, GAUSSIAN, Loss};

use super::run::say;

#[test]
fn a_gaussians_epsilon_is_at_least_opendps() {
    let mut loosest = 1.0_f64;
    for scale in [0.7, 1.5, 4.0, 20.0, 100.0] {
        let domain = VectorDomain::new(AtomDomain::<i64>::default());
        let gaussian = make_gaussian(domain, L2Distance::<f64>::default(), scale, None).unwrap();
        let rho = gaussian.map(&1.0).unwrap();
        let profile = make_zCDP_to_approxDP(gaussian).unwrap().map(&1.0).unwrap();
        for delta in [1e-12, 1e-9, 1e-6, 1e-3] {
            let (ours, theirs) = (Loss::concentrated(rho).unwrap().epsilon(delta), profile.epsilon(delta).unwrap());
            assert!(ours >= theirs * (1.0 - 1e-9), "rho {rho}, delta {delta}: ours {ours}, OpenDP {theirs}");
            if theirs > 0.01 {
                loosest = loosest.max(ours / theirs);
            }
        }
    }
    say(&format!("accountants: our conversion is at most {loosest:.3} times OpenDP's"));
    assert!(loosest < 1.6, "needlessly loose");
}

/// A distribution of privacy losses: probabilities at multiples of [`STEP`] from `low` on, losses rounded down.
#[derive(Clone)]
struct Losses {
    low: i64,
    chances: Vec<f64>,
}

const STEP: f64 = 2e-3;

impl Losses {
    /// Of a mechanism with these probabilities, seen from a neighbour `shift` away.
    fn of(chance: impl Fn(i64) -> f64, reach: i64, shift: i64) -> Self {
        let total: f64 = (-reach..=reach).map(&chance).sum();
        let places = (-reach..=reach + shift).filter(|x| chance(*x) > 0.0 && chance(*x - shift) > 0.0);
        let pairs = places.map(|x| ((chance(x) / chance(x - shift)).ln(), chance(x) / total));
        let binned: Vec<(i64, f64)> = pairs.map(|(loss, p)| ((loss / STEP).floor() as i64, p)).collect();
        let low = binned.iter().map(|(bin, _)| *bin).min().unwrap();
        let high = binned.iter().map(|(bin, _)| *bin).max().unwrap();
        let mut chances = vec![0.0; usize::try_from(high - low + 1).unwrap()];
        binned.into_iter().for_each(|(bin, p)| chances[usize::try_from(bin - low).unwrap()] += p);
        Self { low, chances }
    }

    fn laplace(scale: f64, shift: i64) -> Self {
        Self::of(|x| (-(x.abs() as f64) / scale).exp(), (scale * 40.0) as i64 + shift, shift)
    }

    fn gaussian(scale: f64, shift: i64) -> Self {
        Self::of(|x| (-((x * x) as f64) / (2.0 * scale * scale)).exp(), (scale * 9.0) as i64 + shift, shift)
    }

    /// Of continuous Gaussian noise, by cells so small that they lose nothing.
    fn continuous(scale: f64, shift: i64) -> Self {
        const CELLS: i64 = 64;
        Self::gaussian(scale * CELLS as f64, shift * CELLS)
    }

    fn and(&self, other: &Self) -> Self {
        let mut chances = vec![0.0; self.chances.len() + other.chances.len() - 1];
        for (i, p) in self.chances.iter().enumerate().filter(|(_, p)| **p > 1e-18) {
            for (j, q) in other.chances.iter().enumerate() {
                chances[i + j] += p * q;
            }
        }
        Self { low: self.low + other.low, chances }
    }

    fn times(&self, n: u32) -> Self {
        (1..n).fold(self.clone(), |all, _| all.and(self))
    }

    /// The least δ at which all of it is (ε, δ)-DP: never more than the truth.
    fn delta(&self, epsilon: f64) -> f64 {
        let losses = self.chances.iter().zip(self.low..);
        losses.map(|(p, bin)| p * (1.0 - (epsilon - bin as f64 * STEP).exp()).max(0.0)).sum()
    }
}

fn composed(losses: &[Loss]) -> Loss {
    losses.iter().fold(Loss::zero(), |sum, loss| sum.plus(loss).unwrap())
}

/// Questions by (Laplace scale, how many, Gaussian scale, how many), all about a count that one person changes by one.
const COMPOSITIONS: [(f64, u32, f64, u32); 7] = [
    (2.0, 1, 1.0, 0),
    (4.0, 4, 1.0, 0),
    (10.0, 12, 1.0, 0),
    (1.0, 0, 3.0, 1),
    (1.0, 0, 8.0, 6),
    (5.0, 4, 6.0, 4),
    (20.0, 6, 20.0, 6),
];

/// The ledger's loss and the numeric one, of Gaussians on the integers and of such as are drawn and charged.
fn worlds((b, laplaces, sigma, gaussians): (f64, u32, f64, u32)) -> [(Loss, Losses); 2] {
    let of = |single: Losses, n: u32| (n > 0).then(|| single.times(n));
    let rho = 1.0 / (2.0 * sigma * sigma);
    let kinds = [
        (Loss::concentrated(rho).unwrap(), Losses::gaussian(sigma, 1)),
        (Loss::gaussian(rho).unwrap(), Losses::continuous(sigma, 1)),
    ];
    kinds.map(|(loss, numeric)| {
        let mut losses = vec![Loss::pure(1.0 / b).unwrap(); laplaces as usize];
        losses.extend(vec![loss; gaussians as usize]);
        let parts = [of(Losses::laplace(b, 1), laplaces), of(numeric, gaussians)];
        (composed(&losses), parts.into_iter().flatten().reduce(|a, b| a.and(&b)).unwrap())
    })
}

#[test]
fn no_composition_costs_less_than_its_privacy_loss_distribution_says() {
    for composition in COMPOSITIONS {
        for (ours, numeric) in worlds(composition) {
            for delta in [1e-9, 1e-6, 1e-3] {
                let epsilon = ours.epsilon(delta);
                let least = numeric.delta(epsilon);
                assert!(least <= delta * (1.0 + 1e-6), "{composition:?}: ({epsilon}, {delta}) claimed, it is {least}");
            }
        }
    }
}

#[test]
fn what_a_cap_admits_is_within_it_by_the_privacy_loss_distribution() {
    let mut admitted = 0;
    for composition in COMPOSITIONS {
        for (ours, numeric) in worlds(composition) {
            for epsilon in [0.05, 0.2, 0.5, 1.0, 2.0, 4.0] {
                for delta in [1e-9, 1e-6, 1e-3] {
                    if Cap::new(epsilon, delta).unwrap().admits(&ours) {
                        admitted += 1;
                        let least = numeric.delta(epsilon);
                        assert!(least <= delta, "{composition:?} admitted at ({epsilon}, {delta}), delta is {least}");
                    }
                }
            }
        }
    }
    say(&format!("accountants: {admitted} admissions within the numeric accountant's bound"));
    assert!(admitted > 10);
}

#[test]
fn of_gaussians_alone_the_ledger_says_what_the_privacy_loss_distribution_says() {
    for (sigma, n) in [(3.0, 1), (8.0, 6), (12.0, 20)] {
        let [_, (ours, numeric)] = worlds((1.0, 0, sigma, n));
        for delta in [1e-9, 1e-6, 1e-3] {
            let epsilon = ours.epsilon(delta);
            // The numeric one rounds every loss down by up to a step.
            let least = numeric.delta(epsilon - 2.0 * STEP * f64::from(n) - epsilon * 1e-3);
            assert!(least >= delta, "sigma {sigma}, {n}: epsilon {epsilon} at {delta} is needlessly large");
        }
    }
}

/// Φ(−z).
fn tail(z: f64) -> f64 {
    libm::erfc(z / std::f64::consts::SQRT_2) / 2.0
}

/// The chance that rounded Gaussian noise of `sigma` is `n`.
pub fn cell(n: i64, sigma: f64) -> f64 {
    let n = n.abs() as f64;
    tail((n - 0.5) / sigma) - tail((n + 0.5) / sigma)
}

/// Why noise is drawn below the integers: on them it is more telling than a Gaussian, rounded to them it is not.
#[test]
fn noise_on_the_integers_is_no_gaussian_and_rounded_noise_is() {
    let mut beyond = 0.0_f64;
    for sigma in [0.3_f64, 0.5, 0.7, 1.0, 2.0] {
        let on_integers = |x: i64| (-(x as f64 / sigma).powi(2) / 2.0).exp();
        let total: f64 = (-40..=40).map(on_integers).sum();
        for step in 0..600 {
            let (epsilon, mu) = (f64::from(step) * 0.02, 1.0 / sigma);
            let claimed = tail(epsilon / mu - mu / 2.0) - epsilon.exp() * tail(epsilon / mu + mu / 2.0);
            let delta = |chance: &dyn Fn(i64) -> f64| -> f64 {
                (-40..=40).map(|x| (chance(x) - epsilon.exp() * chance(x - 1)).max(0.0)).sum()
            };
            let rounded = delta(&|x| cell(x, sigma));
            assert!(
                rounded <= claimed * (1.0 + 1e-9) + 1e-14,
                "sigma {sigma}, epsilon {epsilon}: {rounded}, {claimed}"
            );
            let other = rounded.max(delta(&|x| cell(-x, sigma)));
            assert!(other <= claimed * (1.0 + 1e-9) + 1e-14, "sigma {sigma}, epsilon {epsilon}");
            if claimed > 1e-9 {
                beyond = beyond.max(delta(&|x| on_integers(x) / total) / claimed);
            }
        }
    }
    say(&format!("accountants: noise on the integers has up to {beyond:.2} times a Gaussian's delta"));
    assert!(beyond > 1.05, "{beyond}: the test would not see it");
}

/// The most that a Gaussian may be, at the total of its session, by every family: what is admitted and what is exact.
#[test]
fn a_cap_admits_nearly_the_largest_gaussian_that_is_within_it() {
    // μ at all of δ, computed with 40 digits.
    for (epsilon, delta, mu) in
        [(1.0, 1e-6, 0.236_704_38), (1.0, 1e-9, 0.181_974_81), (8.0, 1e-6, 1.531_545_1), (8.0, 1e-9, 1.262_248_5)]
    {
        let ratio = mu / Cap::new(epsilon, delta).unwrap().budget(GAUSSIAN).sqrt();
        say(&format!("accountants: at ({epsilon}, {delta}) a session has {ratio:.4} times the noise of the exact one"));
        assert!((1.0..1.015).contains(&ratio), "({epsilon}, {delta}): {ratio}");
    }
}
