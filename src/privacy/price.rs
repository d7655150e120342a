//! At what loss, with which noise?
//!
//! The price depends on the plan and on public figures alone. A question's ε is its share of the caps: the loss it may
//! cost at every order is that of ε-randomised response. It is divided evenly over the mechanisms, so that their noise
//! is equal relative to their bounds. Discrete Laplace spends it as it is; discrete Gaussian spends the same at the
//! order at which the permit's cap binds, where that gives less noise.

use opendp::accuracy::{discrete_gaussian_scale_to_accuracy, discrete_laplacian_scale_to_accuracy};

use super::{
    noise::{NoiseFault, gaussian, gaussian_threshold, laplace, laplace_threshold},
    release_point::{Kind, Output, Release},
};
use crate::terms::{Cap, Loss, ORDERS, Refusal};

/// How a draw is distributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Discrete Laplace: pure ε.
    Laplace,
    /// Discrete Gaussian: ρ-zCDP.
    Gaussian,
}

impl Family {
    /// The name in metadata and EXPLAIN.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Laplace => "discrete_laplace",
            Self::Gaussian => "discrete_gaussian",
        }
    }
}

/// What a mechanism draws for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// The n-th partial of the release.
    Partial(usize),
    /// Which groups are shown at all, by their noised number of persons.
    Selection,
}

/// One draw per cell of one vector of one release, with its own loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Mechanism {
    /// Of which release.
    pub release: usize,
    /// For which of its vectors.
    pub target: Target,
    /// How it is distributed.
    pub family: Family,
    /// Laplace: b; Gaussian: σ; in the vector's integer units.
    pub scale: f64,
    /// L∞: the most that one person adds to one group, in units.
    pub bound: u64,
    /// L0: the most groups that one person adds to.
    pub groups: u64,
    /// Groups at or below this noised count are not shown; for [`Target::Selection`].
    pub threshold: Option<i64>,
    /// The 95 % half-width, in units.
    pub half_width: f64,
    /// The size of one unit in the column's own unit.
    pub unit: f64,
    /// What it costs.
    pub loss: Loss,
}

/// All mechanisms of a question, with their sum.
#[derive(Debug, Clone, PartialEq)]
pub struct Priced {
    /// In the order of the releases and their vectors.
    pub mechanisms: Vec<Mechanism>,
    /// The sum of their losses.
    pub loss: Loss,
    /// The ε that was spent on it.
    pub epsilon: f64,
}

/// What an analyst offers, and against which cap.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The share of the cap to spend.
    pub epsilon: f64,
    /// Instead: the wanted 95 % half-width of every count and sum, in the column's own unit.
    pub accuracy: Option<f64>,
    /// The permit's cap.
    pub cap: Cap,
    /// What is already spent of it.
    pub spent: Loss,
}

/// Chance of a wrong interval.
const ALPHA: f64 = 0.05;
/// The standard normal's two-sided quantile for it.
const NORMAL_95: f64 = 1.959_963_984_540_054;
/// Below this a δ is lost in the arithmetic of the samplers: per kept group (privacy.md section 3.5).
const DELTA_LEAST: f64 = 1.1e-16;

/// Prices `releases` at the offer.
///
/// # Errors
/// [`Refusal::BudgetExhausted`] where the wanted accuracy costs more than the whole cap, [`Refusal::TooComplex`] where
/// the bounds cannot be accounted for.
pub fn price(releases: &[Release], offer: &Offer) -> Result<Priced, Refusal> {
    match offer.accuracy {
        None => at_epsilon(releases, offer, offer.epsilon),
        Some(wanted) => at_accuracy(releases, offer, wanted),
    }
}

/// The least ε of which every count and sum is within `wanted`.
fn at_accuracy(releases: &[Release], offer: &Offer, wanted: f64) -> Result<Priced, Refusal> {
    let close_enough = |priced: &Priced| {
        priced.mechanisms.iter().filter(|m| plain_output(releases, m)).all(|m| m.half_width * m.unit <= wanted)
    };
    if !releases.iter().flat_map(|r| &r.outputs).any(|o| matches!(o, Output::Count(_) | Output::Sum(_))) {
        let hint = "sekisho.accuracy works for COUNT and SUM; set sekisho.epsilon for this question".to_owned();
        return Err(Refusal::UnknownSetting { hint });
    }
    let (mut low, mut high) = (0.0, offer.cap.epsilon());
    if !close_enough(&at_epsilon(releases, offer, high)?) {
        return Err(Refusal::BudgetExhausted { left: offer.cap.remaining(&offer.spent) });
    }
    while high - low > high * 1e-4 {
        let middle = f64::midpoint(low, high);
        if at_epsilon(releases, offer, middle).is_ok_and(|p| close_enough(&p)) { high = middle } else { low = middle }
    }
    at_epsilon(releases, offer, high)
}

fn plain_output(releases: &[Release], mechanism: &Mechanism) -> bool {
    let Target::Partial(index) = mechanism.target else { return false };
    releases
        .get(mechanism.release)
        .is_some_and(|r| r.outputs.iter().any(|o| matches!(o, Output::Count(i) | Output::Sum(i) if *i == index)))
}

fn at_epsilon(releases: &[Release], offer: &Offer, epsilon: f64) -> Result<Priced, Refusal> {
    if !epsilon.is_finite() || epsilon <= 0.0 {
        return Err(Refusal::UnknownSetting { hint: "sekisho.epsilon is a number above zero".into() });
    }
    let wanted: Vec<(usize, Target)> =
        releases.iter().enumerate().flat_map(|(i, r)| targets(r).into_iter().map(move |t| (i, t))).collect();
    let share = 1.0 / usize_to_f64(wanted.len().max(1));
    let selections = wanted.iter().filter(|(_, t)| *t == Target::Selection).count();
    // A question that takes an ε-th of the cap takes as much of the half of δ that is set aside for thresholds.
    let delta = offer.cap.delta() / 2.0 * (epsilon / offer.cap.epsilon()).min(1.0) / usize_to_f64(selections.max(1));
    let laplace = Spend { family: Family::Laplace, each: after_rounding(epsilon * share), delta };
    let allowed = Loss::pure(epsilon).map_err(|_| unaccountable())?;
    let order = binding_order(offer, &allowed);
    let rho = ORDERS.get(order).filter(|o| o.is_finite()).map(|o| after_rounding(allowed.at(order) / o * share));
    let spends = [Some(laplace), rho.map(|each| Spend { family: Family::Gaussian, each, delta })];
    let mut best: Option<Priced> = None;
    for spend in spends.into_iter().flatten() {
        let priced = all(releases, &wanted, &spend, epsilon)?;
        let better = best.as_ref().is_none_or(|b| noisiness(&priced) < noisiness(b));
        if better {
            best = Some(priced);
        }
    }
    best.ok_or_else(unaccountable)
}

/// The sum of half-widths relative to bounds: what two ways of spending the same are compared by.
fn noisiness(priced: &Priced) -> f64 {
    priced.mechanisms.iter().map(|m| (m.half_width + threshold(m)) / u64_to_f64(m.bound.max(1))).sum()
}

fn threshold(mechanism: &Mechanism) -> f64 {
    mechanism.threshold.map_or(0.0, super::facts::to_f64)
}

/// The order at which the cap admits the most questions of this loss: where it will bind.
fn binding_order(offer: &Offer, allowed: &Loss) -> usize {
    let admits = |index: usize| {
        let left = offer.cap.budget(index) - offer.spent.at(index);
        if left.is_finite() { left / allowed.at(index).max(1e-9) } else { f64::NEG_INFINITY }
    };
    (0..ORDERS.len()).rev().max_by(|a, b| admits(*a).total_cmp(&admits(*b))).unwrap_or(ORDERS.len() - 1)
}

/// The vectors of a release that need a draw of their own.
fn targets(release: &Release) -> Vec<Target> {
    let selected = release.public_groups.is_none();
    let served = |kind: &Kind, filtered: bool| selected && *kind == Kind::Person && !filtered;
    let own = release.partials.iter().enumerate();
    let own = own.filter(|(_, p)| !served(&p.kind, p.filter.is_some())).map(|(i, _)| Target::Partial(i));
    selected.then_some(Target::Selection).into_iter().chain(own).collect()
}

struct Spend {
    family: Family,
    /// ε or ρ per mechanism.
    each: f64,
    /// δ per selection.
    delta: f64,
}

fn all(releases: &[Release], wanted: &[(usize, Target)], spend: &Spend, epsilon: f64) -> Result<Priced, Refusal> {
    let mut mechanisms = vec![];
    let mut loss = Loss::zero();
    for (index, target) in wanted {
        let release = releases.get(*index).ok_or_else(unaccountable)?;
        let mechanism = one(*index, release, *target, spend)?;
        loss = loss.plus(&mechanism.loss).map_err(|_| unaccountable())?;
        mechanisms.push(mechanism);
    }
    Ok(Priced { mechanisms, loss, epsilon })
}

fn one(index: usize, release: &Release, target: Target, spend: &Spend) -> Result<Mechanism, Refusal> {
    let groups = release.groups_max;
    let (bound, unit) = match target {
        Target::Selection => (1, 1.0),
        Target::Partial(i) => {
            let partial = release.partials.get(i).ok_or_else(unaccountable)?;
            let unit = if let Kind::Sum { grid, .. } = &partial.kind { grid.step } else { 1.0 };
            (partial.bound(release.rows_per_group).ok_or_else(unaccountable)?, unit)
        }
    };
    let scale = scale(spend, bound, groups);
    let threshold = match target {
        Target::Selection => Some(threshold_for(spend, scale, groups)?),
        Target::Partial(_) => None,
    };
    let loss = loss(spend.family, scale, bound, groups, threshold).map_err(|_| unaccountable())?;
    let half_width = half_width(spend.family, scale).map_err(|_| unaccountable())?;
    let family = spend.family;
    Ok(Mechanism { release: index, target, family, scale, bound, groups, threshold, half_width, unit, loss })
}

/// A little less than the share, so that the ledger's rounding up (two nano-units a loss) stays within it: ten questions
/// of a tenth fit in one.
fn after_rounding(share: f64) -> f64 {
    (share - 3e-9).max(share / 2.0)
}

/// The 95 % half-width of a draw, in units. The discrete Gaussian's own is summed up term by term, so that a wide one
/// takes as long as it is wide: from 1,000 on the continuous one, rounded up, is the same to one unit.
fn half_width(family: Family, scale: f64) -> Result<f64, NoiseFault> {
    match family {
        Family::Laplace => discrete_laplacian_scale_to_accuracy(scale, ALPHA),
        Family::Gaussian if scale < 1_000.0 => discrete_gaussian_scale_to_accuracy(scale, ALPHA),
        Family::Gaussian => return Ok((scale * NORMAL_95).ceil() + 1.0),
    }
    .map_err(|_| NoiseFault::Mapped)
}

/// The scale at which the sensitivity costs what is to be spent: L1 = b·C for Laplace, L2 = b·√C for Gaussian.
fn scale(spend: &Spend, bound: u64, groups: u64) -> f64 {
    let (bound, groups) = (u64_to_f64(bound).max(1.0), u64_to_f64(groups));
    match spend.family {
        Family::Laplace => (bound * groups / spend.each).next_up(),
        Family::Gaussian => (bound * groups.sqrt().next_up() / (2.0 * spend.each).sqrt()).next_up(),
    }
}

/// The loss of a mechanism as OpenDP's map bounds it.
pub(super) fn loss(
    family: Family,
    scale: f64,
    bound: u64,
    groups: u64,
    threshold: Option<i64>,
) -> Result<Loss, NoiseFault> {
    let integer = |v: u64| i64::try_from(v).map_err(|_| NoiseFault::Mapped);
    let l1 = integer(bound.checked_mul(groups).ok_or(NoiseFault::Mapped)?)?;
    let l2 = (u64_to_f64(bound).next_up() * u64_to_f64(groups).sqrt().next_up()).next_up();
    let l2 = if groups == 1 { u64_to_f64(bound) } else { l2 };
    let l0 = u32::try_from(groups).map_err(|_| NoiseFault::Mapped)?;
    let mapped = |_| NoiseFault::Mapped;
    let loss = match (family, threshold) {
        (Family::Laplace, None) => Loss::pure(laplace(scale)?.map(&l1).map_err(mapped)?),
        (Family::Gaussian, None) => Loss::concentrated(gaussian(scale)?.map(&l2).map_err(mapped)?),
        (Family::Laplace, Some(t)) => {
            let (epsilon, delta) = laplace_threshold(scale, t)?.map(&(l0, l1, integer(bound)?)).map_err(mapped)?;
            Loss::pure(epsilon).and_then(|l| l.with_delta(delta))
        }
        (Family::Gaussian, Some(t)) => {
            let (rho, delta) = gaussian_threshold(scale, t)?.map(&(l0, l2, u64_to_f64(bound))).map_err(mapped)?;
            Loss::concentrated(rho).and_then(|l| l.with_delta(delta))
        }
    };
    loss.map_err(|_| NoiseFault::Mapped)
}

/// The least threshold whose δ stays within the offer, by search over OpenDP's map.
fn threshold_for(spend: &Spend, scale: f64, groups: u64) -> Result<i64, Refusal> {
    if spend.delta < DELTA_LEAST * u64_to_f64(groups) {
        return Err(Refusal::TooComplex { limit: "groups without a public list need more of delta".into() });
    }
    let safe = |t: i64| loss(spend.family, scale, 1, groups, Some(t)).is_ok_and(|l| l.delta() <= spend.delta);
    let mut high = 2_i64;
    while !safe(high) {
        high = high.checked_mul(2).filter(|h| *h < 1 << 50).ok_or_else(unaccountable)?;
    }
    let mut low = high / 2;
    while low + 1 < high {
        let middle = low.midpoint(high);
        if safe(middle) { high = middle } else { low = middle }
    }
    Ok(high)
}

fn unaccountable() -> Refusal {
    Refusal::TooComplex { limit: "bounds that the accountant cannot hold; narrow them".into() }
}

#[expect(clippy::cast_precision_loss, reason = "bounds are below 2^62; scales are rounded up after it")]
fn u64_to_f64(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "a handful of mechanisms")]
fn usize_to_f64(value: usize) -> f64 {
    value as f64
}
