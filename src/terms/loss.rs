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
mod tests;
