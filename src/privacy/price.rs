//! At what loss, with which noise?
//!
//! The price depends on the plan and on public figures alone. A question's ε is its share of the permit's cap
//! (`Cap::share_of`). In the coordinate in which the cap will bind it may cost what ε-randomised response costs there; in
//! that of Gaussians, the share itself. Where two would bind alike, as before anything is spent, the one with less noise is
//! taken. That is divided over the mechanisms so that their noise is equal relative to their bounds; each takes the noise,
//! pure or concentrated, that is smaller at its part.

use opendp::accuracy::discrete_laplacian_scale_to_accuracy;

use super::{
    noise::{
        NoiseFault, exponential, gaussian_loss, gaussian_threshold_loss, laplace, laplace_threshold, permute_and_flip,
    },
    partial::{Kind, Partial, Rank},
    release_point::{Output, Release},
};
use crate::terms::{Cap, GAUSSIAN, Loss, ORDERS, Refusal};

/// How a draw is distributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Discrete Laplace: pure ε.
    Laplace,
    /// Discrete Gaussian on a lattice far below the integers, rounded: ρ-zCDP and √(2ρ)-GDP.
    Gaussian,
    /// Picks a candidate: pure ε.
    PermuteAndFlip,
    /// Picks a candidate: ρ-zCDP.
    Exponential,
}

impl Family {
    /// The name in metadata and EXPLAIN.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Laplace => "discrete_laplace",
            Self::Gaussian => "discrete_gaussian",
            Self::PermuteAndFlip => "permute_and_flip",
            Self::Exponential => "exponential_mechanism",
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
    /// Laplace: b; Gaussian: σ; for a pick the temperature of its scores; in the vector's integer units.
    pub scale: f64,
    /// L∞: the most that one person adds to one group, in units.
    pub bound: u64,
    /// L0: the most groups that one person adds to.
    pub groups: u64,
    /// Groups at or below this noised count are not shown; for [`Target::Selection`].
    pub threshold: Option<i64>,
    /// For a protected end: how many units inside the distribution it is looked for.
    pub ends: Option<i64>,
    /// The 95 % half-width, in units: of a number, or of the rank of a picked candidate.
    pub half_width: f64,
    /// The size of one unit in the column's own unit.
    pub unit: f64,
    /// What it costs.
    pub loss: Loss,
}

impl Mechanism {
    /// What the half-width measures.
    #[must_use]
    pub fn half_width_of(&self) -> &'static str {
        match self.family {
            Family::Laplace | Family::Gaussian => "value",
            Family::PermuteAndFlip | Family::Exponential if self.ends.is_some() => "rank in persons",
            Family::PermuteAndFlip | Family::Exponential => "rank in rows",
        }
    }
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
    /// Which of [`ORDERS`] the permit's cap will bind at, or [`GAUSSIAN`].
    pub order: usize,
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
/// What the ledger's rounding up can add to a δ, and as much again.
const DELTA_ROUNDING: f64 = 2e-18;
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
    let mut high = offer.cap.epsilon();
    if !close_enough(&at_epsilon(releases, offer, high)?) {
        return Err(Refusal::BudgetExhausted { left: offer.cap.remaining(&offer.spent) });
    }
    let mut low = EPSILON_LEAST.min(high);
    // By their ratio: so many halvings bring any two ends within a ten-thousandth.
    for _ in 0..HALVINGS {
        let middle = (low * high).sqrt();
        if at_epsilon(releases, offer, middle).is_ok_and(|p| close_enough(&p)) { high = middle } else { low = middle }
    }
    at_epsilon(releases, offer, high)
}

/// No accuracy is so modest that less than this is spent on it.
const EPSILON_LEAST: f64 = 1e-6;
/// ln(1000 / [`EPSILON_LEAST`]) halved so often is below 1e-4.
const HALVINGS: u32 = 18;
/// Draws of one question that are priced each by itself: pricing happens before anything is charged.
const MECHANISMS_MAX: usize = 1024;

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
    if wanted.len() > MECHANISMS_MAX {
        let limit = format!("at most {MECHANISMS_MAX} noisy columns in all groupings together; ask for fewer");
        return Err(Refusal::TooComplex { limit });
    }
    let mut best: Option<Priced> = None;
    let mut refused = None;
    for place in places(offer, epsilon)? {
        match at_place(releases, offer, epsilon, place, &wanted) {
            Ok(priced) if best.as_ref().is_none_or(|b| all_noise(&priced) < all_noise(b)) => best = Some(priced),
            Ok(_) => {}
            Err(refusal) => refused = Some(refusal),
        }
    }
    best.ok_or_else(|| refused.unwrap_or_else(unaccountable))
}

fn at_place(
    releases: &[Release],
    offer: &Offer,
    epsilon: f64,
    place: Place,
    wanted: &[(usize, Target)],
) -> Result<Priced, Refusal> {
    let selections = wanted.iter().filter(|(_, t)| *t == Target::Selection).count();
    let order = place.index;
    let delta = threshold_delta(offer, place) / usize_to_f64(selections.max(1));
    let wanted: Vec<Wanted<'_>> = wanted
        .iter()
        .map(|(index, target)| Wanted::new(releases, *index, *target, order))
        .collect::<Option<_>>()
        .ok_or_else(unaccountable)?;
    let all: f64 = wanted.iter().map(|w| w.weight).sum();
    let mut priced = Priced { mechanisms: vec![], loss: Loss::zero(), epsilon, order };
    for one in &wanted {
        let part = after_rounding(place.cost * (one.weight / all), order);
        let mechanism = one.least_noisy(part, order, delta)?;
        priced.loss = priced.loss.plus(&mechanism.loss).map_err(|_| unaccountable())?;
        priced.mechanisms.push(mechanism);
    }
    Ok(priced)
}

/// A coordinate of losses in which a question may be paid.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Of [`ORDERS`], or [`GAUSSIAN`].
    index: usize,
    /// What the question may cost there.
    cost: f64,
    /// How many such questions the cap still bears there.
    questions: f64,
}

/// The coordinates in which the cap bears the most questions of this ε: where it will bind.
///
/// INVARIANT: at the orders a question costs what randomised response of ε does, in the Gaussian coordinate its share of a
/// whole budget, which is the least that this is of any. So before anything is spent the Gaussian coordinate bears as many as
/// the best order, whichever of them is taken stays the best, and as many questions of one ε fit as the best order bears: at
/// least so many as add up to the cap's ε. In the Gaussian coordinate that is so of different ε as well: a share is at most
/// ε over the cap's.
fn places(offer: &Offer, epsilon: f64) -> Result<Vec<Place>, Refusal> {
    let allowed = Loss::pure(epsilon).map_err(|_| unaccountable())?;
    let share = offer.cap.share_of(epsilon).map_err(|_| unaccountable())?;
    let place = |index: usize| {
        let budget = offer.cap.budget(index);
        let cost = if index == GAUSSIAN { share * budget } else { allowed.at(index) };
        let left = budget - offer.spent.at(index);
        let questions = if left.is_finite() && budget > 0.0 { left / cost } else { f64::NEG_INFINITY };
        Place { index, cost, questions }
    };
    let all: Vec<Place> = (0..=GAUSSIAN).map(place).filter(|place| place.cost > 0.0).collect();
    let most = all.iter().map(|place| place.questions).fold(f64::NEG_INFINITY, f64::max);
    let best: Vec<Place> = all.iter().copied().filter(|p| p.questions >= most - most.abs() * ALIKE).collect();
    // With nothing left anywhere the price is what pure ε costs, and the ledger refuses it.
    Ok(if most.is_finite() { best } else { all.into_iter().filter(|p| p.index + 1 == ORDERS.len()).collect() })
}

/// Numbers of questions that differ by no more are the same.
const ALIKE: f64 = 1e-9;

/// What two ways to pay for one question are compared by: their noise relative to the bounds. Pure noise alone leaves the
/// order ∞, where every later ε simply adds up and a large one is worth most, so another has to be better by a tenth.
fn all_noise(priced: &Priced) -> f64 {
    let noise: f64 = priced.mechanisms.iter().map(|m| noisiness(m) / u64_to_f64(m.bound.max(1))).sum();
    if ORDERS.get(priced.order).is_some_and(|order| order.is_infinite()) { noise * PURE_IS_WORTH } else { noise }
}

const PURE_IS_WORTH: f64 = 0.9;

/// A vector that needs a draw of its own.
struct Wanted<'a> {
    index: usize,
    release: &'a Release,
    target: Target,
    /// Nothing for a selection: it counts persons.
    partial: Option<&'a Partial>,
    bound: u64,
    /// Its part of the loss, relative to the others': the noise relative to the bound is k·C / ε for pure mechanisms
    /// (k is 2 for a pick, whose scores move both ways) and √(C / 2ρ) for concentrated ones, so it is equal for all if
    /// ε is divided by k·C or ρ by C.
    weight: f64,
}

impl<'a> Wanted<'a> {
    fn new(releases: &'a [Release], index: usize, target: Target, order: usize) -> Option<Self> {
        let release = releases.get(index)?;
        let partial = match target {
            Target::Selection => None,
            Target::Partial(i) => Some(release.partials.get(i)?),
        };
        let bound = match partial {
            None => 1,
            Some(partial) => partial.bound(release.rows_per_group)?,
        };
        let pure = ORDERS.get(order).is_some_and(|order| order.is_infinite());
        let twice = if pure && partial.is_some_and(Partial::picks) { 2.0 } else { 1.0 };
        let weight = twice * u64_to_f64(release.groups_max);
        Some(Self { index, release, target, partial, bound, weight })
    }

    /// The mechanism with the least noise among those that cost at most `part` at the order.
    fn least_noisy(&self, part: f64, order: usize, delta: f64) -> Result<Mechanism, Refusal> {
        let families = match self.partial.is_some_and(Partial::picks) {
            true => [Family::PermuteAndFlip, Family::Exponential],
            false => [Family::Laplace, Family::Gaussian],
        };
        let mut best: Option<Mechanism> = None;
        let mut refused = None;
        for family in families {
            let each = match family {
                Family::Laplace | Family::PermuteAndFlip => Some(pure_for(part, order)),
                Family::Exponential if order == GAUSSIAN => Some(choices_for(part, self.release.groups_max)),
                Family::Gaussian | Family::Exponential => concentrated_for(part, order),
            };
            match each.map(|each| self.mechanism(&Spend { family, each, delta })) {
                Some(Ok(mechanism)) if best.as_ref().is_none_or(|b| noisiness(&mechanism) < noisiness(b)) => {
                    best = Some(mechanism);
                }
                Some(Err(refusal)) => refused = Some(refusal),
                _ => {}
            }
        }
        best.ok_or_else(|| refused.unwrap_or_else(unaccountable))
    }

    fn mechanism(&self, spend: &Spend) -> Result<Mechanism, Refusal> {
        let (family, groups, bound) = (spend.family, self.release.groups_max, self.bound);
        let scale = scale(spend, bound, groups);
        let threshold = match self.target {
            Target::Selection => Some(threshold_for(spend, scale, groups)?),
            Target::Partial(_) => None,
        };
        let loss = loss(family, scale, bound, groups, threshold).map_err(|_| unaccountable())?;
        let (mut ends, mut unit) = (None, 1.0);
        let mut half_width = match self.partial.map(|p| &p.kind) {
            Some(Kind::Histogram { candidates, .. }) => pick_error(scale, candidates.count()),
            _ => half_width(family, scale).map_err(|_| unaccountable())?,
        };
        if let Some(partial) = self.partial {
            unit = partial.unit();
            if let Kind::Histogram { rank: Rank::Least | Rank::Greatest, .. } = partial.kind {
                // Far enough inside that the noise rarely picks an end of the candidates where nobody is.
                let inside = super::facts::whole(half_width.ceil()).ok_or_else(unaccountable)?;
                ends = Some(inside);
                half_width *= 2.0;
            }
        }
        let (release, target) = (self.index, self.target);
        Ok(Mechanism { release, target, family, scale, bound, groups, threshold, ends, half_width, unit, loss })
    }
}

/// With chance 1 − 0.05 the picked candidate's score is no further than this from the best one (McSherry and Talwar
/// 2007, theorem 6; permute-and-flip is never worse).
fn pick_error(scale: f64, candidates: usize) -> f64 {
    scale * (usize_to_f64(candidates) / ALPHA).ln()
}

/// The largest ε whose randomised response costs at most `part` at the order.
fn pure_for(part: f64, order: usize) -> f64 {
    if ORDERS.get(order).is_some_and(|order| order.is_infinite()) {
        return part;
    }
    // The curve lies below ε and, for small ε, near αε²/2; μ² lies below 8ε: the search starts where it is surely above.
    let at = |epsilon: f64| Loss::pure(epsilon).map_or(f64::INFINITY, |loss| loss.at(order));
    let (mut low, mut high) = ((part / if order == GAUSSIAN { 9.0 } else { 1.0 }).min(1e6), part.clamp(1e-9, 1e6));
    while at(high) < part && high < 1e6 {
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if at(middle) <= part { low = middle } else { high = middle }
    }
    low
}

/// The ρ of which αρ is `part`, or μ² = 2ρ; none at the order of pure privacy.
fn concentrated_for(part: f64, order: usize) -> Option<f64> {
    match ORDERS.get(order) {
        None => Some(part / 2.0),
        Some(order) => order.is_finite().then(|| part / order),
    }
}

/// The ρ = η²/8 of all `groups` choices whose μ², which is that of η/2 in each, adds up to `part`.
fn choices_for(part: f64, groups: u64) -> f64 {
    let groups = u64_to_f64(groups).max(1.0);
    let half_range = pure_for(part / groups, GAUSSIAN);
    groups * half_range * half_range / 2.0
}

/// What two ways of spending the same are compared by.
fn noisiness(mechanism: &Mechanism) -> f64 {
    mechanism.half_width + mechanism.threshold.map_or(0.0, super::facts::to_f64)
}

/// What a question may take of the part of δ that is set aside for thresholds: what is left of it, divided by how many
/// questions of this loss are left where the cap will bind. So many as fit by their loss then fit by their δ.
fn threshold_delta(offer: &Offer, place: Place) -> f64 {
    let all = offer.cap.thresholds_delta();
    let left = all - offer.spent.delta() - DELTA_ROUNDING;
    // With nothing left the price is what a first question's is, and the ledger refuses it.
    let left = if left > all * 1e-6 { left } else { all };
    if place.questions > 1.0 { left / place.questions } else { left }
}

/// The vectors of a release that need a draw of their own.
fn targets(release: &Release) -> Vec<Target> {
    let selected = release.public_groups.is_none();
    // The selecting count is of all kept persons: it serves no count of those alone who pass a filter or have a value.
    let all = |partial: &Partial| partial.filter.is_none() && partial.argument.is_none();
    let served = |partial: &Partial| selected && partial.kind == Kind::Person && all(partial);
    let own = release.partials.iter().enumerate();
    let own = own.filter(|(_, p)| !served(p)).map(|(i, _)| Target::Partial(i));
    selected.then_some(Target::Selection).into_iter().chain(own).collect()
}

struct Spend {
    family: Family,
    /// ε or ρ per mechanism.
    each: f64,
    /// δ per selection.
    delta: f64,
}

/// A little less than the share, so that the ledger's rounding up (two units a loss) stays within it: ten questions of a
/// tenth fit in one.
fn after_rounding(share: f64, order: usize) -> f64 {
    let rounding = if order == GAUSSIAN { 3e-12 + share * 1e-9 } else { 3e-9 };
    (share - rounding).max(share / 2.0)
}

/// The 95 % half-width of a draw, in units: from there on outwards lies no more than 5 %.
fn half_width(family: Family, scale: f64) -> Result<f64, NoiseFault> {
    match family {
        Family::Laplace => discrete_laplacian_scale_to_accuracy(scale, ALPHA).map_err(|_| NoiseFault::Mapped),
        // Rounded it lies at n or beyond where it lay at n − ½ or beyond.
        Family::Gaussian => Ok((scale * NORMAL_95 + 0.5).ceil()),
        Family::PermuteAndFlip | Family::Exponential => Err(NoiseFault::Mapped),
    }
}

/// The scale at which the sensitivity costs what is to be spent: L1 = b·C for Laplace, L2 = b·√C for Gaussian; a pick
/// costs 2b/scale or (2b/scale)²/8 in each of C groups.
fn scale(spend: &Spend, bound: u64, groups: u64) -> f64 {
    let (bound, groups) = (u64_to_f64(bound).max(1.0), u64_to_f64(groups));
    match spend.family {
        Family::Laplace => (bound * groups / spend.each).next_up(),
        Family::Gaussian | Family::Exponential => {
            (bound * groups.sqrt().next_up() / (2.0 * spend.each).sqrt()).next_up().next_up()
        }
        Family::PermuteAndFlip => (2.0 * bound * groups / spend.each).next_up(),
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
        (Family::Gaussian, None) => return gaussian_loss(scale, l2),
        (Family::Laplace, Some(t)) => {
            let (epsilon, delta) = laplace_threshold(scale, t)?.map(&(l0, l1, integer(bound)?)).map_err(mapped)?;
            Loss::pure(epsilon).and_then(|l| l.with_delta(delta))
        }
        (Family::Gaussian, Some(t)) => return gaussian_threshold_loss(scale, t, (l0, l2, u64_to_f64(bound))),
        // One pick in each of C groups: their losses add up.
        (Family::PermuteAndFlip, None) => {
            let each = permute_and_flip(scale)?.map(&integer(bound)?).map_err(mapped)?;
            Loss::pure((each * u64_to_f64(groups)).next_up())
        }
        (Family::Exponential, None) => {
            let each = exponential(scale)?.map(&integer(bound)?).map_err(mapped)?;
            Loss::choices(each, l0)
        }
        (Family::PermuteAndFlip | Family::Exponential, Some(_)) => return Err(NoiseFault::Mapped),
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
pub(super) fn u64_to_f64(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "a handful of mechanisms")]
fn usize_to_f64(value: usize) -> f64 {
    value as f64
}
