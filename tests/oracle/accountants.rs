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
use sekisho::terms::{Cap, Loss};

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

fn world((b, laplaces, sigma, gaussians): (f64, u32, f64, u32)) -> (Loss, Losses) {
    let mut losses = vec![Loss::pure(1.0 / b).unwrap(); laplaces as usize];
    losses.extend(vec![Loss::concentrated(1.0 / (2.0 * sigma * sigma)).unwrap(); gaussians as usize]);
    let of = |single: Losses, n: u32| (n > 0).then(|| single.times(n));
    let parts = [of(Losses::laplace(b, 1), laplaces), of(Losses::gaussian(sigma, 1), gaussians)];
    let numeric = parts.into_iter().flatten().reduce(|a, b| a.and(&b)).unwrap();
    (composed(&losses), numeric)
}

#[test]
fn no_composition_costs_less_than_its_privacy_loss_distribution_says() {
    for composition in COMPOSITIONS {
        let (ours, numeric) = world(composition);
        for delta in [1e-9, 1e-6, 1e-3] {
            let epsilon = ours.epsilon(delta);
            let least = numeric.delta(epsilon);
            assert!(least <= delta * (1.0 + 1e-6), "{composition:?}: ({epsilon}, {delta}) claimed, delta is {least}");
        }
    }
}

#[test]
fn what_a_cap_admits_is_within_it_by_the_privacy_loss_distribution() {
    let mut admitted = 0;
    for composition in COMPOSITIONS {
        let (ours, numeric) = world(composition);
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
    say(&format!("accountants: {admitted} admissions within the numeric accountant's bound"));
    assert!(admitted > 10);
}
