//! How much can be learnt from what left, and does it still fit?
//!
//! A loss is a curve over fixed Rényi orders, the μ² of a Gaussian that is as bad, and a δ, in integers rounded up.
//! Composition adds. A cap admits while at least one of these coordinates stays within the budget that the cap's (ε, δ)
//! leaves there: the Rényi privacy filter (Feldman and Zrnic 2021, "Individual Privacy Accounting via a Rényi Filter";
//! Lécuyer 2021), or that of Gaussian differential privacy (`gaussian.rs`). Their theorems are about one coordinate fixed
//! beforehand. Which of several is the one that stays may depend on what was released, so each has a part of δ of its own
//! (`delta_part`), and the union bound over them closes the proof.

use serde::{Deserialize, Serialize};

use super::gaussian;

/// The orders at which every curve is kept. The last is the order of pure differential privacy.
pub const ORDERS: [f64; 17] =
    [1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, f64::INFINITY];

/// The index, beside those of [`ORDERS`], of the coordinate of Gaussian differential privacy: μ².
pub const GAUSSIAN: usize = ORDERS.len();

const NANO: f64 = 1e9;
const PICO: f64 = 1e12;
const ATTO: f64 = 1e18;
/// Above this a curve value is written as "nothing finite".
const INFINITE: u64 = u64::MAX;

/// A figure that is no loss: negative, not a number, or beyond what the ledger can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LossFault {
    /// ε, ρ or δ is negative or not a number.
    #[error("a loss is a number of at least zero")]
    NotANumber,
    /// It is no cap.
    #[error("a cap is an epsilon above 0 and up to 1000, at a delta between 0 and 1")]
    NoCap,
    /// The figure does not fit the ledger's integers.
    #[error("the loss does not fit the ledger")]
    TooLarge,
}

/// What one release, or the sum of many, can reveal about one person. Opaque: only this file looks inside.
///
/// Units: 1e-9 nats at each of [`ORDERS`], 1e-12 for μ², 1e-18 for δ; all rounded up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "LossText", into = "LossText")]
pub struct Loss {
    nanos: [u64; ORDERS.len()],
    gaussian_picos: u64,
    delta_attos: u64,
}

/// A loss as it is written. Before there was a Gaussian coordinate none was written: then nothing finite is known of it,
/// which takes nothing from the other coordinates, except where the order ∞ says that nothing at all was revealed. A loss of
/// which just that is known is still written so, that older books, entries and signed totals read back to what they were.
#[derive(Serialize, Deserialize)]
struct LossText {
    nanos: [u64; ORDERS.len()],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gaussian_picos: Option<u64>,
    delta_attos: u64,
}

impl LossText {
    fn unwritten(nanos: &[u64; ORDERS.len()]) -> u64 {
        if nanos.iter().all(|nanos| *nanos == 0) { 0 } else { INFINITE }
    }
}

impl From<LossText> for Loss {
    fn from(text: LossText) -> Self {
        let LossText { nanos, gaussian_picos, delta_attos } = text;
        let gaussian_picos = gaussian_picos.unwrap_or_else(|| LossText::unwritten(&nanos));
        Self { nanos, gaussian_picos, delta_attos }
    }
}

impl From<Loss> for LossText {
    fn from(loss: Loss) -> Self {
        let Loss { nanos, gaussian_picos, delta_attos } = loss;
        let written = gaussian_picos != Self::unwritten(&nanos);
        Self { nanos, gaussian_picos: written.then_some(gaussian_picos), delta_attos }
    }
}

impl Loss {
    /// Nothing was revealed.
    #[must_use]
    pub const fn zero() -> Self {
        Self { nanos: [0; ORDERS.len()], gaussian_picos: 0, delta_attos: 0 }
    }

    /// The curve of randomised response with parameter `epsilon` (nats), which dominates every ε-DP mechanism
    /// (Kairouz, Oh and Viswanath 2015, "The Composition Theorem for Differential Privacy").
    ///
    /// # Errors
    /// [`LossFault`] where `epsilon` is negative, not finite or too large.
    pub fn pure(epsilon: f64) -> Result<Self, LossFault> {
        Self::from_curve(epsilon, |order| randomised_response(epsilon, order))
            .map(|l| l.with_gaussian(gaussian::of_pure(epsilon)))
    }

    /// The curve αρ of a ρ-zCDP mechanism (Bun and Steinke 2016), with nothing finite at the order ∞ nor as a Gaussian.
    ///
    /// # Errors
    /// [`LossFault`] where `rho` is negative, not finite or too large.
    pub fn concentrated(rho: f64) -> Result<Self, LossFault> {
        Self::from_curve(rho, |order| order * rho)
    }

    /// Of a continuous Gaussian, or a function of one, whose means are μ standard deviations apart, where ρ is μ²/2.
    ///
    /// # Errors
    /// [`LossFault`] where `rho` is negative, not finite or too large.
    pub fn gaussian(rho: f64) -> Result<Self, LossFault> {
        Ok(Self::concentrated(rho)?.with_gaussian((2.0 * rho).next_up()))
    }

    /// Of so many choices, each with privacy losses in a range of η, where `rho` is η²/8 (the exponential mechanism; Cesar
    /// and Rogers 2021).
    ///
    /// # Errors
    /// [`LossFault`] where `rho` is negative, not finite or too large.
    pub fn choices(rho: f64, times: u32) -> Result<Self, LossFault> {
        let times = f64::from(times);
        let each = gaussian::of_range((8.0 * rho).sqrt().next_up().next_up());
        Ok(Self::concentrated((rho * times).next_up())?.with_gaussian((each * times).next_up()))
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
        // What leaves the integers is beyond every cap here, and may be within one elsewhere.
        sum.gaussian_picos = sum.gaussian_picos.saturating_add(other.gaussian_picos);
        sum.delta_attos = sum.delta_attos.checked_add(other.delta_attos).ok_or(LossFault::TooLarge)?;
        Ok(sum)
    }

    /// A loss that no cap admits: everything may have been revealed.
    #[must_use]
    pub const fn everything() -> Self {
        Self { nanos: [INFINITE; ORDERS.len()], gaussian_picos: INFINITE, delta_attos: 1_000_000_000_000_000_000 }
    }

    /// The worse of both in every coordinate.
    #[must_use]
    pub fn worse_of(&self, other: &Self) -> Self {
        let mut worse = self.clone();
        for (mine, theirs) in worse.nanos.iter_mut().zip(other.nanos) {
            *mine = theirs.max(*mine);
        }
        worse.gaussian_picos = worse.gaussian_picos.max(other.gaussian_picos);
        worse.delta_attos = worse.delta_attos.max(other.delta_attos);
        worse
    }

    /// Whether this loss is at most `other` in every coordinate.
    #[must_use]
    pub fn at_most(&self, other: &Self) -> bool {
        self.delta_attos <= other.delta_attos
            && self.gaussian_picos <= other.gaussian_picos
            && self.nanos.iter().zip(other.nanos).all(|(a, b)| *a <= b)
    }

    /// The ε at which this loss alone is (ε, δ)-DP: the best over all orders by the conversion of Canonne, Kamath and
    /// Steinke 2020 (proposition 12), and over the Gaussian that is as bad; infinite where none has a finite answer.
    #[must_use]
    pub fn epsilon(&self, delta: f64) -> f64 {
        let left = delta - from_attos(self.delta_attos);
        let at = |(order, nanos): (f64, u64)| match nanos {
            INFINITE => f64::INFINITY,
            nanos if order.is_infinite() && left >= 0.0 => from_nanos(nanos),
            _ if order.is_infinite() || left <= 0.0 => f64::INFINITY,
            nanos => (from_nanos(nanos) + conversion(order, left)).max(0.0),
        };
        let as_gaussian = match self.gaussian_picos {
            INFINITE => f64::INFINITY,
            _ if left <= 0.0 => f64::INFINITY,
            picos => gaussian::epsilon(from_picos(picos), left),
        };
        ORDERS.into_iter().zip(self.nanos).map(at).fold(as_gaussian, f64::min)
    }

    /// The loss at one of [`ORDERS`] by its index, in nats, or μ² at [`GAUSSIAN`]; infinite where nothing finite is known or
    /// no such coordinate is.
    #[must_use]
    pub fn at(&self, index: usize) -> f64 {
        match self.nanos.get(index) {
            None if index == GAUSSIAN && self.gaussian_picos != INFINITE => from_picos(self.gaussian_picos),
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
        let mut loss = Self { gaussian_picos: if parameter == 0.0 { 0 } else { INFINITE }, ..Self::zero() };
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

    /// The same with the μ² of a Gaussian that is as bad; nothing finite where it leaves the integers.
    fn with_gaussian(mut self, mu_squared: f64) -> Self {
        if self.gaussian_picos != 0 {
            self.gaussian_picos = round_up(mu_squared * PICO).map_or(INFINITE, |picos| picos.saturating_add(1));
        }
        self
    }
}

/// The most that may ever be lost on one account: (ε, δ).
///
/// δ is divided beforehand, so that no part depends on what was asked: ¾ of it is for the Gaussian coordinate, ⅛ for the
/// conversion from Rényi orders, ⅛ for the δ of thresholds.
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
        if sound { Ok(Self { epsilon, delta }) } else { Err(LossFault::NoCap) }
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

    /// The part of δ that thresholds may use up, whatever else is asked.
    #[must_use]
    pub fn thresholds_delta(&self) -> f64 {
        self.delta * THRESHOLDS_PART
    }

    /// Whether everything lost so far, `total`, stays within this cap in one coordinate at least.
    #[must_use]
    pub fn admits(&self, total: &Loss) -> bool {
        from_attos(total.delta_attos) <= self.thresholds_delta()
            && (within(self.budgets_nanos(ORDERS_PART), total)
                || total.gaussian_picos != INFINITE && total.gaussian_picos <= self.budget_picos())
    }

    /// Whether this cap admitted a charge of `loss` that came to `total` before there was a Gaussian coordinate, when halves of
    /// δ were for the orders and for thresholds: for entries of then alone.
    ///
    /// It is sound beside what is admitted now: nothing finite is known of such a total as a Gaussian, now or later, and no
    /// order has more of δ now than it had.
    #[must_use]
    pub fn admitted_before(&self, loss: &Loss, total: &Loss) -> bool {
        (loss.gaussian_picos, total.gaussian_picos) == (INFINITE, INFINITE)
            && from_attos(total.delta_attos) <= self.delta * PART_BEFORE
            && within(self.budgets_nanos(PART_BEFORE), total)
    }

    /// The most that `share` (0 to 1) of this cap may take at once: at every finite order that share of the order's budget or
    /// of the largest Gaussian that fits the cap, whichever is more; anything at ∞, where a Gaussian has nothing finite, and in
    /// the Gaussian coordinate, where pure ε costs more than its share; and that share of what δ leaves to thresholds.
    ///
    /// # Errors
    /// [`LossFault`] where `share` is no share.
    pub fn share(&self, share: f64) -> Result<Loss, LossFault> {
        if !(0.0..=1.0).contains(&share) {
            return Err(LossFault::NotANumber);
        }
        let budgets = self.budgets_nanos(ORDERS_PART).map(from_nanos);
        let finite = ORDERS.into_iter().zip(budgets).filter(|(order, _)| order.is_finite());
        let rho = finite.map(|(order, budget)| budget / order).fold(self.budget(GAUSSIAN) / 2.0, f64::max);
        let mut part = Loss { gaussian_picos: INFINITE, ..Loss::zero() };
        for (nanos, (order, budget)) in part.nanos.iter_mut().zip(ORDERS.into_iter().zip(budgets)) {
            *nanos = match order.is_infinite() {
                true => INFINITE,
                false => round_up(share * budget.max(order * rho) * NANO)?,
            };
        }
        part.with_delta(share * self.thresholds_delta())
    }

    /// The budget at one of [`ORDERS`] by its index, in nats, or the largest μ² at [`GAUSSIAN`], rounded down; zero where
    /// that coordinate can never bind.
    #[must_use]
    pub fn budget(&self, index: usize) -> f64 {
        match index {
            GAUSSIAN => from_picos(self.budget_picos()),
            _ => self.budgets_nanos(ORDERS_PART).get(index).map_or(0.0, |nanos| from_nanos(*nanos)),
        }
    }

    /// The share of this cap that ε stands for: the least that randomised response of `epsilon` takes of any budget. So 1/share
    /// questions of that ε fit, however they add up best, and so many questions of that share of any one budget.
    ///
    /// # Errors
    /// [`LossFault`] where `epsilon` is no loss.
    pub fn share_of(&self, epsilon: f64) -> Result<f64, LossFault> {
        Ok(self.budgets().share_of(&Loss::pure(epsilon)?))
    }

    /// The largest ε of one question that would still be admitted after `spent`, be it pure or a Gaussian of the share that
    /// this ε stands for; rounded down, 0 where none is.
    #[must_use]
    pub fn remaining(&self, spent: &Loss) -> f64 {
        if !self.admits(spent) {
            return 0.0;
        }
        let budgets = self.budgets();
        let share_left = 1.0 - spent.at(GAUSSIAN) / budgets.gaussian;
        let fits = |epsilon: f64| {
            let Ok(more) = Loss::pure(epsilon) else { return false };
            let fits_pure = || spent.plus(&more).is_ok_and(|total| within(budgets.orders, &total));
            budgets.share_of(&more) <= share_left || fits_pure()
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

    fn budgets(&self) -> Budgets {
        Budgets { orders: self.budgets_nanos(ORDERS_PART), gaussian: self.budget(GAUSSIAN) }
    }

    fn budget_picos(&self) -> u64 {
        round_down(gaussian::budget(self.epsilon, self.delta * GAUSSIAN_PART) * PICO)
    }

    /// With `part` of δ for all finite orders.
    fn budgets_nanos(&self, part: f64) -> [u64; ORDERS.len()] {
        let main = self.main_order();
        let mut budgets = [0; ORDERS.len()];
        for (index, (budget, order)) in budgets.iter_mut().zip(ORDERS).enumerate() {
            let nats = match order.is_infinite() {
                true => self.epsilon,
                false => self.epsilon - conversion(order, self.delta_part(part, index.abs_diff(main))),
            };
            *budget = round_down(nats * NANO);
        }
        budgets
    }

    /// The order at which the largest Gaussian fits this cap, by its index: public, and fixed with the cap. It is the one of
    /// halves of δ, as it was before there was a Gaussian coordinate, so that every order has a fourth of what it had.
    fn main_order(&self) -> usize {
        let rho = |order: f64| (self.epsilon - conversion(order, self.delta_part(PART_BEFORE, 0))) / order;
        let finite = ORDERS.into_iter().enumerate().filter(|(_, order)| order.is_finite());
        finite.max_by(|(_, a), (_, b)| rho(*a).total_cmp(&rho(*b))).map_or(0, |(index, _)| index)
    }

    /// The part of δ that the conversion from one finite order may use up, by how many places it is from the main one.
    ///
    /// Let A be the outcomes after which order α has stayed within its budget B. Up to there they are outcomes of an
    /// interaction that stops when α is passed, of which the theorem says that it is (α, B)-Rényi private; so A adds at
    /// most the δ of that order's conversion to the chance that the privacy loss passes ε. The same goes for the Gaussian
    /// coordinate, of which the theorem says that the interaction is as a Gaussian of its budget. An admitted outcome lies
    /// in one such A at least, and the parts of all coordinates add up to at most δ less that of thresholds; the order ∞
    /// uses none. Nearly all of the orders' goes where most caps bind: the main order loses ln(4/3)/(α − 1) of ε by it.
    fn delta_part(&self, part: f64, places: usize) -> f64 {
        let all = self.delta * part;
        match places {
            0 => all * 0.75,
            1 => all * 0.1,
            _ => all * 0.05 / FAR_ORDERS,
        }
    }
}

/// Whether one order at least has stayed within its budget.
fn within(budgets: [u64; ORDERS.len()], total: &Loss) -> bool {
    budgets.into_iter().zip(total.nanos).any(|(budget, nanos)| nanos <= budget)
}

/// What a cap leaves in each coordinate.
struct Budgets {
    orders: [u64; ORDERS.len()],
    /// μ².
    gaussian: f64,
}

impl Budgets {
    fn share_of(&self, loss: &Loss) -> f64 {
        let orders = self.orders.iter().enumerate().map(|(index, nanos)| loss.at(index) / from_nanos(*nanos));
        let least = orders.filter(|share| !share.is_nan()).fold(f64::INFINITY, f64::min);
        if self.gaussian > 0.0 { least.min(loss.at(GAUSSIAN) / self.gaussian) } else { least }
    }
}

/// Of δ, for the Gaussian coordinate. A Gaussian session has 1.4 % more noise than one accounted numerically with all of δ
/// (at ε = 1 and 8, δ = 1e-6; 0.7 to 0.9 % at 1e-9); with 13/16 it would have 1.0 %, with all of δ none.
const GAUSSIAN_PART: f64 = 0.75;
/// Of δ, for all finite Rényi orders, where picks and many small pure questions bind: 19 % above that bound at (1, 1e-6), 12 %
/// with half of δ, 22 % with a sixteenth.
const ORDERS_PART: f64 = 0.125;
/// Of δ, for the orders and for thresholds each, before there was a Gaussian coordinate.
const PART_BEFORE: f64 = 0.5;
/// Of δ, for thresholds: at the same noise each is 2 to 8 % higher than with half of δ, and the noise is 9 % less.
const THRESHOLDS_PART: f64 = 0.125;
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
fn from_picos(picos: u64) -> f64 {
    picos as f64 / PICO
}

#[expect(clippy::cast_precision_loss, reason = "for comparison and display; the ledger adds integers")]
fn from_attos(attos: u64) -> f64 {
    attos as f64 / ATTO
}

#[cfg(test)]
mod tests;
