//! Which Gaussian is as bad?
//!
//! A mechanism is μ-GDP if its two worlds are no easier to tell apart than N(0, 1) and N(μ, 1) (Dong, Roth and Su 2022,
//! "Gaussian Differential Privacy"). Squares of μ add up, and a filter on their sum costs nothing, whatever is asked after
//! which answer (Smith and Thakurta 2022, "Fully Adaptive Composition for Gaussian Differential Privacy"; Koskela, Tobaben
//! and Honkela 2023, "Individual Privacy Accounting with Gaussian Differential Privacy").
//!
//! Every figure here is rounded against us: `erfc` is the C library's, below an ulp, and what its argument's rounding adds
//! stays below [`DOUBT`].

use libm::erfc;

/// The most by which Φ of anything here can be off, relative to itself, ten times over: its argument is off by 4e-16 of at
/// most 60, and Φ(−z) moves by z + 1 times that, z below 38.
const DOUBT: f64 = 1e-11;
/// Below this `erfc` has lost digits.
const SMALLEST: f64 = 1e-290;
/// Halvings of an interval until nothing of it is left.
const HALVINGS: usize = 80;
/// What the lattice below the noise can add to ε, and far more: `privacy/noise.rs` argues 2e-14.
pub const LATTICE: f64 = 1e-9;

/// μ² of every ε-DP mechanism, rounded up.
///
/// Randomised response dominates it (Kairouz, Oh and Viswanath 2015). Its trade-off curve is the two chords that meet where
/// both errors are q = 1 / (1 + e^ε), and a Gaussian's is convex: it lies below both as soon as it passes below that point,
/// so μ = 2 Φ⁻¹(1 − q).
pub fn of_pure(epsilon: f64) -> f64 {
    // Φ(−√(2ε)) ≤ e^{−ε} / 2 ≤ q: the upper end always suffices.
    let (mut low, mut high) = (0.0, (2.0 * epsilon).sqrt().next_up());
    let most = (1.0 - DOUBT) / (1.0 + epsilon.exp());
    if most > SMALLEST {
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if tail(middle) * (1.0 + DOUBT) <= most { high = middle } else { low = middle }
        }
    }
    4.0 * high * high * (1.0 + DOUBT)
}

/// μ² of a choice whose privacy losses lie in a range of η, [t − η, t], whatever t; rounded up.
///
/// Two points dominate such a pair (Dong, Durfee and Rogers 2020, "Optimal Differential Privacy Composition for Exponential
/// Mechanisms"): chances p and q of one of them with p/q = e^t and (1−p)/(1−q) = e^{t−η}, so logit p − logit q = η for every
/// t, and μ = Φ⁻¹(p) − Φ⁻¹(q). The slope of Φ⁻¹ over logit, ΦΦ̄/φ, falls off on both sides of ½: there it holds that
/// φ(Φ−Φ̄) ≥ zΦΦ̄, both being 0 at z = 0 and at ∞ and the derivative of the difference, 2φ² − ΦΦ̄, changing sign once. So the
/// worst t is η/2, which is randomised response of η/2.
pub fn of_range(eta: f64) -> f64 {
    of_pure(eta / 2.0)
}

/// The δ at which μ-GDP is (ε, δ)-DP: Φ(−ε/μ + μ/2) − e^ε Φ(−ε/μ − μ/2) (Balle and Wang 2018), rounded up.
pub fn delta(mu: f64, epsilon: f64) -> f64 {
    if mu <= 0.0 {
        return 0.0;
    }
    let (near, far) = (tail(epsilon / mu - mu / 2.0), tail(epsilon / mu + mu / 2.0));
    let subtracted = epsilon.exp() * far * (1.0 - DOUBT);
    // Without what cannot be computed it is still an upper bound.
    let subtracted = if far > SMALLEST && subtracted.is_finite() { subtracted } else { 0.0 };
    (near * (1.0 + DOUBT) - subtracted).max(0.0)
}

/// The largest μ² that is (ε, δ)-DP, rounded down; 0 where none can be computed.
pub fn budget(epsilon: f64, most: f64) -> f64 {
    let epsilon = epsilon - LATTICE;
    if epsilon <= 0.0 || most <= SMALLEST {
        return 0.0;
    }
    // INVARIANT: whatever `delta` does in between, `low` was seen to stay within `most`.
    let (mut low, mut high) = (0.0, (2.0 * epsilon).sqrt() + 40.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if delta(middle, epsilon) <= most { low = middle } else { high = middle }
    }
    low * low * (1.0 - DOUBT)
}

/// The least ε at which μ-GDP is (ε, `most`)-DP, rounded up; infinite where none can be computed.
pub fn epsilon(mu_squared: f64, most: f64) -> f64 {
    let mu = mu_squared.sqrt().next_up();
    if mu_squared <= 0.0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while most <= SMALLEST || delta(mu, high) > most {
        high *= 2.0;
        if high > 1e6 {
            return f64::INFINITY;
        }
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if delta(mu, middle) <= most { high = middle } else { low = middle }
    }
    high + LATTICE
}

/// Φ(−z).
fn tail(z: f64) -> f64 {
    erfc(z / std::f64::consts::SQRT_2) / 2.0
}

#[cfg(test)]
mod tests;
