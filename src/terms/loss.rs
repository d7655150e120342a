//! How much can be learnt from what left, and does it still fit?
//!
//! A loss is a curve over fixed Rényi orders plus a δ, in integers rounded up. Composition adds; a cap admits while at
//! least one order stays within the budget that the cap's (ε, δ) leaves at that order: the Rényi privacy filter
//! (Feldman and Zrnic 2021, "Individual Privacy Accounting via a Rényi Filter"; Lécuyer 2021). Their theorem is about one
//! order fixed beforehand. Which of several orders is the one that stays may depend on what was released, so each has a
//! part of δ of its own (`delta_part`), and the union bound over them closes the proof.

use serde::{Deserialize, Serialize};

/// The orders at which every curve is kept. The last is the order of pure differential privacy.
pub const ORDERS: [f64; 17] =
    [1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, f64::INFINITY];

const NANO: f64 = 1e9;
const ATTO: f64 = 1e18;
/// Above this a curve value is written as "nothing finite".
const INFINITE: u64 = u64::MAX;

/// A figure that is no loss: negative, not a number, or beyond what the ledger can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LossFault {
    /// ε, ρ or δ is negative or not a number.
    #[error("a loss is a number of at least zero")]
    NotANumber,
    /// The figure does not fit the ledger's integers.
    #[error("the loss does not fit the ledger")]
    TooLarge,
}

/// What one release, or the sum of many, can reveal about one person. Opaque: only this file looks inside.
///
/// Units: 1e-9 nats at each of [`ORDERS`], 1e-18 for δ; both rounded up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    nanos: [u64; ORDERS.len()],
    delta_attos: u64,
}

impl Loss {
    /// Nothing was revealed.
    #[must_use]
    pub const fn zero() -> Self {
        Self { nanos: [0; ORDERS.len()], delta_attos: 0 }
    }

    /// The curve of randomised response with parameter `epsilon` (nats), which dominates every ε-DP mechanism
    /// (Kairouz, Oh and Viswanath 2015, "The Composition Theorem for Differential Privacy").
    ///
    /// # Errors
    /// [`LossFault`] where `epsilon` is negative, not finite or too large.
    pub fn pure(epsilon: f64) -> Result<Self, LossFault> {
        Self::from_curve(epsilon, |order| randomised_response(epsilon, order))
    }

    /// The curve αρ of a ρ-zCDP mechanism (Bun and Steinke 2016), with nothing finite at the order ∞.
    ///
    /// # Errors
    /// [`LossFault`] where `rho` is negative, not finite or too large.
    pub fn concentrated(rho: f64) -> Result<Self, LossFault> {
        Self::from_curve(rho, |order| order * rho)
    }

    /// This loss with `delta` more chance of failing altogether, as a threshold has.
    ///
    /// # Errors
    /// [`LossFault`] where `delta` is no probability.
    pub fn with_delta(mut self, delta: f64) -> Result<Self, LossFault> {
        if !(0.0..=1.0).contains(&delta) {
            return Err(LossFault::NotANumber);
        }
        let attos = round_up(delta * ATTO)?;
        self.delta_attos = self.delta_attos.checked_add(attos).ok_or(LossFault::TooLarge)?;
        Ok(self)
    }

    /// The loss of both together (sequential, fully adaptive composition).
    ///
    /// # Errors
    /// [`LossFault::TooLarge`] where the sum leaves the ledger's integers.
    pub fn plus(&self, other: &Self) -> Result<Self, LossFault> {
        let mut sum = self.clone();
        for (mine, theirs) in sum.nanos.iter_mut().zip(other.nanos) {
            *mine = match (*mine, theirs) {
                (INFINITE, _) | (_, INFINITE) => INFINITE,
                (a, b) => a.checked_add(b).filter(|s| *s != INFINITE).ok_or(LossFault::TooLarge)?,
            };
        }
        sum.delta_attos = sum.delta_attos.checked_add(other.delta_attos).ok_or(LossFault::TooLarge)?;
        Ok(sum)
    }

    /// A loss that no cap admits: everything may have been revealed.
    #[must_use]
    pub const fn everything() -> Self {
        Self { nanos: [INFINITE; ORDERS.len()], delta_attos: 1_000_000_000_000_000_000 }
    }

    /// The worse of both at every order and in δ.
    #[must_use]
    pub fn worse_of(&self, other: &Self) -> Self {
        let mut worse = self.clone();
        for (mine, theirs) in worse.nanos.iter_mut().zip(other.nanos) {
            *mine = theirs.max(*mine);
        }
        worse.delta_attos = worse.delta_attos.max(other.delta_attos);
        worse
    }

    /// Whether this loss is at most `other` at every order and in δ.
    #[must_use]
    pub fn at_most(&self, other: &Self) -> bool {
        self.delta_attos <= other.delta_attos && self.nanos.iter().zip(other.nanos).all(|(a, b)| *a <= b)
    }

    /// The ε at which this loss alone is (ε, δ)-DP: the best over all orders by the conversion of Canonne, Kamath and
    /// Steinke 2020 (proposition 12); infinite where no order has a finite answer. Rounded up to 1e-9.
    #[must_use]
    pub fn epsilon(&self, delta: f64) -> f64 {
        let left = delta - from_attos(self.delta_attos);
        let at = |(order, nanos): (f64, u64)| match nanos {
            INFINITE => f64::INFINITY,
            nanos if order.is_infinite() && left >= 0.0 => from_nanos(nanos),
            _ if order.is_infinite() || left <= 0.0 => f64::INFINITY,
            nanos => (from_nanos(nanos) + conversion(order, left)).max(0.0),
        };
        ORDERS.into_iter().zip(self.nanos).map(at).fold(f64::INFINITY, f64::min)
    }

    /// The loss at one of [`ORDERS`] by its index, in nats; infinite where nothing finite is known or no such order is.
    #[must_use]
    pub fn at(&self, order_index: usize) -> f64 {
        match self.nanos.get(order_index) {
            None | Some(&INFINITE) => f64::INFINITY,
            Some(&nanos) => from_nanos(nanos),
        }
    }

    /// The probability of failing altogether that this loss carries.
    #[must_use]
    pub fn delta(&self) -> f64 {
        from_attos(self.delta_attos)
    }

    fn from_curve(parameter: f64, curve: impl Fn(f64) -> f64) -> Result<Self, LossFault> {
        if !parameter.is_finite() || parameter < 0.0 {
            return Err(LossFault::NotANumber);
        }
        let mut loss = Self::zero();
        for (nanos, order) in loss.nanos.iter_mut().zip(ORDERS) {
            let value = curve(order);
            *nanos = match parameter {
                0.0 => 0,
                _ if value.is_infinite() => INFINITE,
                // One unit more than rounding up: the curve itself is computed in floating point.
                _ => round_up(value.max(0.0) * NANO)?.checked_add(1).ok_or(LossFault::TooLarge)?,
            };
        }
        Ok(loss)
    }
}

/// The most that may ever be lost on one account: (ε, δ).
///
/// Half of δ pays for the conversion from Rényi orders, half for the δ of thresholds, so that neither depends on what
/// was asked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "CapText", into = "CapText")]
pub struct Cap {
    epsilon: f64,
    delta: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CapText {
    epsilon: f64,
    delta: f64,
}

impl TryFrom<CapText> for Cap {
    type Error = LossFault;
    fn try_from(text: CapText) -> Result<Self, LossFault> {
        Self::new(text.epsilon, text.delta)
    }
}

impl From<Cap> for CapText {
    fn from(cap: Cap) -> Self {
        Self { epsilon: cap.epsilon, delta: cap.delta }
    }
}

impl Cap {
    /// A cap of `epsilon` nats at `delta`.
    ///
    /// # Errors
    /// [`LossFault`] unless 0 < ε ≤ 1000 and 0 < δ < 1.
    pub fn new(epsilon: f64, delta: f64) -> Result<Self, LossFault> {
        let sound = epsilon > 0.0 && epsilon <= 1000.0 && delta > 0.0 && delta < 1.0;
        if sound { Ok(Self { epsilon, delta }) } else { Err(LossFault::NotANumber) }
    }

    /// ε in nats.
    #[must_use]
    pub fn epsilon(&self) -> f64 {
        self.epsilon
    }

    /// δ at which ε is stated.
    #[must_use]
    pub fn delta(&self) -> f64 {
        self.delta
    }

    /// Whether everything lost so far, `total`, stays within this cap at one order at least.
    #[must_use]
    pub fn admits(&self, total: &Loss) -> bool {
        from_attos(total.delta_attos) <= self.delta / 2.0
            && self.budgets_nanos().into_iter().zip(total.nanos).any(|(budget, nanos)| nanos <= budget)
    }

    /// The most that `share` (0 to 1) of this cap may take at once: at every finite order that share of the order's budget or
    /// of the largest Gaussian that fits the cap, whichever is more; anything at ∞, where a Gaussian has nothing finite; and
    /// that share of what δ leaves to thresholds.
    ///
    /// # Errors
    /// [`LossFault`] where `share` is no share.
    pub fn share(&self, share: f64) -> Result<Loss, LossFault> {
        if !(0.0..=1.0).contains(&share) {
            return Err(LossFault::NotANumber);
        }
        let budgets = self.budgets_nanos().map(from_nanos);
        let finite = ORDERS.into_iter().zip(budgets).filter(|(order, _)| order.is_finite());
        let rho = finite.map(|(order, budget)| budget / order).fold(0.0, f64::max);
        let mut part = Loss::zero();
        for (nanos, (order, budget)) in part.nanos.iter_mut().zip(ORDERS.into_iter().zip(budgets)) {
            *nanos = match order.is_infinite() {
                true => INFINITE,
                false => round_up(share * budget.max(order * rho) * NANO)?,
            };
        }
        part.with_delta(share * self.delta / 2.0)
    }

    /// The budget at one of [`ORDERS`] by its index, in nats, rounded down; zero where that order can never bind.
    #[must_use]
    pub fn budget(&self, order_index: usize) -> f64 {
        self.budgets_nanos().get(order_index).map_or(0.0, |nanos| from_nanos(*nanos))
    }

    /// The largest ε of one pure question that would still be admitted after `spent`, rounded down; 0 where none is.
    #[must_use]
    pub fn remaining(&self, spent: &Loss) -> f64 {
        let fits = |epsilon: f64| {
            Loss::pure(epsilon).and_then(|more| spent.plus(&more)).is_ok_and(|total| self.admits(&total))
        };
        let (mut low, mut high) = (0.0, self.epsilon);
        if fits(high) {
            return high;
        }
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if fits(middle) { low = middle } else { high = middle }
        }
        if low > 1e-9 { low } else { 0.0 }
    }

    fn budgets_nanos(&self) -> [u64; ORDERS.len()] {
        let main = self.main_order();
        let mut budgets = [0; ORDERS.len()];
        for (index, (budget, order)) in budgets.iter_mut().zip(ORDERS).enumerate() {
            let nats = match order.is_infinite() {
                true => self.epsilon,
                false => self.epsilon - conversion(order, self.delta_part(index.abs_diff(main))),
            };
            *budget = round_down(nats * NANO);
        }
        budgets
    }

    /// The order at which the largest Gaussian fits this cap, by its index: public, and fixed with the cap.
    fn main_order(&self) -> usize {
        let rho = |order: f64| (self.epsilon - conversion(order, self.delta_part(0))) / order;
        let finite = ORDERS.into_iter().enumerate().filter(|(_, order)| order.is_finite());
        finite.max_by(|(_, a), (_, b)| rho(*a).total_cmp(&rho(*b))).map_or(0, |(index, _)| index)
    }

    /// The part of δ that the conversion from one finite order may use up, by how many places it is from the main one.
    ///
    /// Let A be the outcomes after which order α has stayed within its budget B. Up to there they are outcomes of an
    /// interaction that stops when α is passed, of which the theorem says that it is (α, B)-Rényi private; so A adds at
    /// most the δ of that order's conversion to the chance that the privacy loss passes ε. An admitted outcome lies in
    /// one such A at least, and the parts of all finite orders add up to at most half of δ; the order ∞ uses none.
    /// Nearly all of it goes where most caps bind: the main order loses ln(4/3)/(α − 1) of ε by it.
    fn delta_part(&self, places: usize) -> f64 {
        let half = self.delta / 2.0;
        match places {
            0 => half * 0.75,
            1 => half * 0.1,
            _ => half * 0.05 / FAR_ORDERS,
        }
    }
}

/// No cap has more finite orders than this that are two places or more from its main one.
const FAR_ORDERS: f64 = 14.0;

/// What ε gains over the Rényi divergence at `order` for the chance `delta` (Canonne, Kamath and Steinke 2020).
fn conversion(order: f64, delta: f64) -> f64 {
    ((order - 1.0) / order).ln() - (delta.ln() + order.ln()) / (order - 1.0)
}

/// Rényi divergence of order α between the two answers of ε-randomised response:
/// ln((e^{αε} + e^{(1-α)ε}) / (1 + e^ε)) / (α-1).
fn randomised_response(epsilon: f64, order: f64) -> f64 {
    if order.is_infinite() {
        return epsilon;
    }
    // Both numerator and denominator divided by e^{αε}, so that nothing overflows.
    let numerator = ((1.0 - 2.0 * order) * epsilon).exp().ln_1p();
    let denominator = (-epsilon).exp().ln_1p();
    let divergence = (order * epsilon + numerator - epsilon - denominator) / (order - 1.0);
    divergence.clamp(0.0, epsilon)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie within u64")]
fn round_up(value: f64) -> Result<u64, LossFault> {
    let up = value.ceil();
    match up {
        up if up.is_nan() || up < 0.0 => Err(LossFault::NotANumber),
        up if up >= 9e18 => Err(LossFault::TooLarge),
        up => Ok(up as u64),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "negative and NaN become zero, large is below 9e18"
)]
fn round_down(value: f64) -> u64 {
    value.floor().clamp(0.0, 9e18) as u64
}

#[expect(clippy::cast_precision_loss, reason = "for comparison and display; the ledger adds integers")]
fn from_nanos(nanos: u64) -> f64 {
    nanos as f64 / NANO
}

#[expect(clippy::cast_precision_loss, reason = "for comparison and display; the ledger adds integers")]
fn from_attos(attos: u64) -> f64 {
    attos as f64 / ATTO
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pure(epsilon: f64) -> Loss {
        Loss::pure(epsilon).unwrap_or_else(|_| Loss::zero())
    }

    fn cap() -> Cap {
        Cap { epsilon: 1.0, delta: 1e-6 }
    }

    #[test]
    fn four_questions_of_a_quarter_fill_a_cap_exactly() {
        let mut total = Loss::zero();
        for n in 1..=4 {
            total = total.plus(&pure(0.25 - 2e-9)).unwrap_or_else(|_| Loss::zero());
            assert!(cap().admits(&total), "question {n}");
        }
        assert!(!cap().admits(&total.plus(&pure(0.01)).unwrap_or_else(|_| Loss::zero())));
    }

    #[test]
    fn many_small_questions_fit_better_than_pure_composition_allows() {
        let mut total = Loss::zero();
        let mut questions = 0;
        while cap().admits(&total) {
            total = total.plus(&pure(0.005)).unwrap_or_else(|_| Loss::zero());
            questions += 1;
        }
        assert!(questions > 1000, "pure composition stops at 200, the Rényi filter went to {questions}");
    }

    #[test]
    fn the_curve_is_never_above_epsilon_and_grows_with_the_order() {
        for epsilon in [1e-6, 0.01, 0.5, 1.0, 5.0, 40.0] {
            let loss = pure(epsilon);
            for index in 1..ORDERS.len() {
                assert!(loss.at(index) >= loss.at(index - 1), "{epsilon} at {index}");
                assert!(loss.at(index) <= epsilon + 3e-9, "{epsilon} at {index}");
            }
        }
    }

    #[test]
    fn the_curve_matches_the_divergence_summed_by_hand() {
        for (epsilon, order) in [(0.1_f64, 2.0_f64), (1.0, 4.0), (3.0, 1.5)] {
            let p = epsilon.exp() / (1.0 + epsilon.exp());
            let by_hand = (p.powf(order) * (1.0 - p).powf(1.0 - order) + (1.0 - p).powf(order) * p.powf(1.0 - order))
                .ln()
                / (order - 1.0);
            assert!((randomised_response(epsilon, order) - by_hand).abs() < 1e-12);
        }
    }

    #[test]
    fn a_gaussian_has_nothing_finite_at_infinity() {
        let loss = Loss::concentrated(0.01).unwrap_or_else(|_| Loss::zero());
        assert!(loss.at(ORDERS.len() - 1).is_infinite());
        assert!(loss.epsilon(1e-6) < 0.8);
        assert!(loss.epsilon(0.0).is_infinite());
    }

    #[test]
    fn nothing_negative_or_endless_becomes_a_loss() {
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(Loss::pure(bad).is_err());
            assert!(Loss::concentrated(bad).is_err());
            assert!(Loss::zero().with_delta(bad).is_err());
            assert!(Cap::new(bad, 1e-6).is_err());
            assert!(Cap::new(1.0, bad).is_err());
        }
        assert!(Loss::pure(1e300).is_err());
    }

    #[test]
    fn whichever_order_stays_within_its_budget_their_deltas_add_up_to_half_of_the_cap() {
        for epsilon in [0.01, 0.1, 1.0, 8.0, 100.0] {
            for delta in [1e-12, 1e-9, 1e-6, 1e-2] {
                let cap = Cap { epsilon, delta };
                // The conversion the other way round: the δ at which the budget of an order alone would be (ε, δ)-DP.
                let finite = ORDERS.into_iter().enumerate().filter(|(_, order)| order.is_finite());
                let open = finite.filter(|(index, _)| cap.budget(*index) > 0.0);
                let used: f64 = open
                    .map(|(i, a)| {
                        (((a - 1.0) / a).ln() * (a - 1.0) - a.ln() + (a - 1.0) * (cap.budget(i) - epsilon)).exp()
                    })
                    .sum();
                assert!(used <= delta / 2.0 * (1.0 + 1e-6), "({epsilon}, {delta}): {used}");
            }
        }
    }

    /// The analyst of whom the union bound is for: after a first answer, goes on with questions that only the order
    /// which suits that answer admits. Two-point losses meet the conversion of their order exactly.
    #[test]
    fn choosing_the_order_after_an_answer_gains_nothing_beyond_delta() {
        let cap = Cap { epsilon: 1.0, delta: 1e-6 };
        let orders: Vec<(usize, f64)> =
            ORDERS.into_iter().enumerate().filter(|(i, a)| a.is_finite() && cap.budget(*i) > 0.0).collect();
        assert!(orders.len() > 4);
        // What each order, with all of its budget after a loss l, can add to the chance of passing ε.
        let failing = |(index, order): (usize, f64), l: f64, spent: f64| {
            let most = ((order - 1.0) * (cap.budget(index) - spent)).exp();
            let passes = cap.epsilon - l;
            let conversion = ((order - 1.0) / order).ln() * (order - 1.0) - order.ln() - (order - 1.0) * passes;
            conversion.exp() * most
        };
        // A first question with a few possible losses, each rare enough to suit one order.
        let first: Vec<(f64, f64)> = (0..8).map(|n| (0.09 * f64::from(n), 10_f64.powi(-n))).collect();
        let all: f64 = first.iter().map(|(_, p)| p).sum();
        let spent = |order: f64| {
            (first.iter().map(|(l, p)| p / all * ((order - 1.0) * l).exp()).sum::<f64>()).ln() / (order - 1.0)
        };
        let best = |l: f64| orders.iter().map(|o| failing(*o, l, spent(o.1))).fold(0.0, f64::max);
        let delta: f64 = first.iter().map(|(l, p)| p / all * best(*l)).sum();
        assert!(delta <= cap.delta / 2.0, "{delta}");
        // With the whole of δ/2 at every order it would pass: the check can fail.
        let naive: f64 = first
            .iter()
            .map(|(l, p)| {
                let at = |o: &(usize, f64)| {
                    let more = conversion(o.1, cap.delta_part(o.0.abs_diff(cap.main_order())))
                        - conversion(o.1, cap.delta / 2.0);
                    failing(*o, *l, spent(o.1)) * ((o.1 - 1.0) * more).exp()
                };
                p / all * orders.iter().map(at).fold(0.0, f64::max)
            })
            .sum();
        assert!(naive > cap.delta / 2.0, "{naive}");
    }

    #[test]
    fn deltas_beyond_half_of_the_cap_are_refused_whatever_epsilon_is_left() {
        let loss = |delta| Loss::zero().with_delta(delta).unwrap_or_else(|_| Loss::zero());
        assert!(cap().admits(&loss(5e-7)));
        assert!(!cap().admits(&loss(5.1e-7)));
    }

    #[test]
    fn what_remains_is_what_still_fits() {
        let left = cap().remaining(&pure(0.25));
        assert!((left - 0.75).abs() < 1e-6, "{left}");
        assert!(cap().remaining(&pure(5.0)).abs() < f64::EPSILON);
    }
}
