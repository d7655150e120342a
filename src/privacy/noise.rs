//! What may be shown?
//!
//! The only place where noise is drawn, and the only one that opens [`Exact`]. All of it is OpenDP's: discrete Laplace on the
//! integers, discrete Gaussian on a lattice far below them and then rounded (Canonne, Kamath and Steinke 2020), thresholds for
//! groups that no public list names.

use std::{collections::HashMap, num::NonZeroUsize};

use dashu::{
    base::Sign,
    integer::{IBig, UBig},
    rational::RBig,
};
use datafusion::arrow::{
    array::{ArrayRef, UInt32Array},
    compute::take,
};
use opendp::{
    core::Measurement,
    domains::{AtomDomain, MapDomain, VectorDomain},
    measurements::{MakeNoise, MakeNoiseThreshold, ZExpFamily, make_laplace, make_laplace_threshold, make_noisy_max},
    measures::{Approximate, MaxDivergence, ZeroConcentratedDivergence},
    metrics::{AbsoluteDistance, L0PInfDistance, L1Distance, L2Distance, LInfDistance},
};

use super::{
    Exact,
    exact::{Histogram, Opened},
    partial::{Kind, Partial, Rank},
    price::{Family, Mechanism, Target},
};
use crate::terms::Loss;

/// A mechanism could not be built or could not draw. No text of the library's, and no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoiseFault {
    /// The mechanism refused its parameters.
    #[error("a noise mechanism could not be built")]
    Built,
    /// The mechanism failed while drawing.
    #[error("a noise mechanism could not draw")]
    Drawn,
    /// The privacy map refused the sensitivity.
    #[error("a privacy map refused a sensitivity")]
    Mapped,
    /// The exact stage and the plan disagree on their shapes.
    #[error("the exact vector does not fit its plan")]
    Shape,
}

type Vectors = VectorDomain<AtomDomain<i64>>;
type Counts = MapDomain<AtomDomain<u32>, AtomDomain<i64>>;
type Laplace = Measurement<Vectors, L1Distance<i64>, MaxDivergence, Vec<i64>>;
type FineVectors = VectorDomain<AtomDomain<IBig>>;
type FineCounts = MapDomain<AtomDomain<u32>, AtomDomain<IBig>>;
type Gaussian = Measurement<FineVectors, L2Distance<RBig>, ZeroConcentratedDivergence, Vec<IBig>>;
type LaplaceThreshold =
    Measurement<Counts, L0PInfDistance<1, AbsoluteDistance<i64>>, Approximate<MaxDivergence>, HashMap<u32, i64>>;
type GaussianThreshold = Measurement<
    FineCounts,
    L0PInfDistance<2, AbsoluteDistance<RBig>>,
    Approximate<ZeroConcentratedDivergence>,
    HashMap<u32, IBig>,
>;

type PermuteAndFlip = Measurement<Vectors, LInfDistance<i64>, MaxDivergence, usize>;
type Exponential = Measurement<Vectors, LInfDistance<i64>, ZeroConcentratedDivergence, usize>;

/// Noised sums, one vector per partial, over the groups that may be shown.
pub(super) struct Noised {
    pub(super) keys: Vec<ArrayRef>,
    pub(super) sums: Vec<Vec<i64>>,
}

pub(super) fn laplace(scale: f64) -> Result<Laplace, NoiseFault> {
    let space = (Vectors::new(AtomDomain::default()), L1Distance::default());
    make_laplace(space.0, space.1, scale, None).map_err(|_| NoiseFault::Built)
}

/// So many bits below the integer is the lattice on which Gaussian noise is drawn.
///
/// Continuous Gaussian noise rounded to whole numbers is a function of a Gaussian mechanism and so exactly μ-GDP; discrete
/// Gaussian noise on the integers themselves is not (a test tells it from the claim). With h = 2⁻¹²⁸, what is drawn here
/// differs from the first by a factor close to 1. Rounding up from the middle takes the lattice points of [n − ½, n + ½) to
/// n. On one step [x, x + h) the density changes by a factor within e^{±h(2|x| + h)/2σ²}, so as long as |x| ≤ 64σ the chance
/// of n is that of the rounded continuous Gaussian within e^{±65h/σ}; the sum that the discrete one is divided by is 1 to
/// within 3e^{−2π²σ²/h²} (Poisson); and farther out than 64σ is nobody, at chances below e^{−2000}. With σ ≥ 2⁻¹⁰ and even 2⁶⁴
/// draws, both worlds together move ε by 2 · 2⁶⁴ · 65 · 2¹⁰ · 2⁻¹²⁸ < 2e-14, which is less than the Gaussian coordinate sets
/// aside. No factor e^ε comes in, so this holds for every cap.
///
/// ρ is that of OpenDP's map, for which the unit of length does not matter.
const FINENESS: usize = 128;
/// σ below which the above is not argued, and nothing finite is known of the noise as a Gaussian.
const SCALE_LEAST: f64 = 1.0 / 1024.0;

fn gaussian(scale: f64) -> Result<Gaussian, NoiseFault> {
    ZExpFamily::<2> { scale: fine(scale)? }
        .make_noise((FineVectors::new(AtomDomain::default()), L2Distance::default()))
        .map_err(|_| NoiseFault::Built)
}

/// What Gaussian noise of σ = `scale` costs at this L2 sensitivity.
pub(super) fn gaussian_loss(scale: f64, l2: f64) -> Result<Loss, NoiseFault> {
    let rho = gaussian(scale)?.map(&fine(l2)?).map_err(|_| NoiseFault::Mapped)?;
    as_gaussian(scale, rho)
}

fn as_gaussian(scale: f64, rho: f64) -> Result<Loss, NoiseFault> {
    let loss = if scale >= SCALE_LEAST { Loss::gaussian(rho) } else { Loss::concentrated(rho) };
    loss.map_err(|_| NoiseFault::Mapped)
}

/// A length in steps of the lattice, exactly.
fn fine(length: f64) -> Result<RBig, NoiseFault> {
    Ok(RBig::try_from(length).map_err(|_| NoiseFault::Built)? * RBig::from(UBig::ONE << FINENESS))
}

fn finely(value: i64) -> IBig {
    IBig::from(value) << FINENESS
}

/// The nearest whole number, upwards from the middle; what leaves the integers stops at their end.
fn rounded(fine: IBig) -> i64 {
    let whole = (fine + (IBig::ONE << (FINENESS - 1))) >> FINENESS;
    let end = if whole.sign() == Sign::Negative { i64::MIN } else { i64::MAX };
    i64::try_from(whole).unwrap_or(end)
}

pub(super) fn laplace_threshold(scale: f64, threshold: i64) -> Result<LaplaceThreshold, NoiseFault> {
    make_laplace_threshold(counts(), L0PInfDistance::default(), scale, threshold, None).map_err(|_| NoiseFault::Built)
}

/// OpenDP's map accounts for what lies above its threshold. Above `threshold` once rounded is what lies at `threshold` + ½ or
/// above, so its threshold is the lattice's last point below that.
fn gaussian_threshold(scale: f64, threshold: i64) -> Result<GaussianThreshold, NoiseFault> {
    let last = finely(threshold) + (IBig::ONE << (FINENESS - 1)) - IBig::ONE;
    ZExpFamily::<2> { scale: fine(scale)? }
        .make_noise_threshold(
            (FineCounts::new(AtomDomain::default(), AtomDomain::default()), L0PInfDistance::default()),
            last,
        )
        .map_err(|_| NoiseFault::Built)
}

/// What selecting groups above `threshold` costs, for these L0, L2 and L∞.
///
/// Of a group that both worlds have, the noised count is a Gaussian's as above, and hiding it below a threshold is a function
/// of it. A group that one world alone has is hidden but for the chance δ.
pub(super) fn gaussian_threshold_loss(
    scale: f64,
    threshold: i64,
    (l0, l2, l_inf): (u32, f64, f64),
) -> Result<Loss, NoiseFault> {
    let lengths = (l0, fine(l2)?, fine(l_inf)?);
    let (rho, delta) = gaussian_threshold(scale, threshold)?.map(&lengths).map_err(|_| NoiseFault::Mapped)?;
    as_gaussian(scale, rho)?.with_delta(delta).map_err(|_| NoiseFault::Mapped)
}

/// Picks the least score under pure ε (McKenna and Sheldon 2020). Scores move both ways: not monotonic.
pub(super) fn permute_and_flip(scale: f64) -> Result<PermuteAndFlip, NoiseFault> {
    let space = (Vectors::new(AtomDomain::default()), LInfDistance::new(false));
    make_noisy_max(space.0, space.1, MaxDivergence, scale, true).map_err(|_| NoiseFault::Built)
}

/// Picks the least score under zCDP: η²/8 for an η-bounded range (Cesar and Rogers 2021).
pub(super) fn exponential(scale: f64) -> Result<Exponential, NoiseFault> {
    let space = (Vectors::new(AtomDomain::default()), LInfDistance::new(false));
    make_noisy_max(space.0, space.1, ZeroConcentratedDivergence, scale, true).map_err(|_| NoiseFault::Built)
}

fn counts() -> Counts {
    MapDomain::new(AtomDomain::default(), AtomDomain::default())
}

/// Draws every mechanism of one release once.
pub(super) fn draw(
    exact: Exact,
    partials: &[Partial],
    mechanisms: &[&Mechanism],
    threads: NonZeroUsize,
) -> Result<Noised, NoiseFault> {
    let Opened { keys, sums, persons, histograms } = exact.open();
    if sums.len() != partials.len() || sums.iter().any(|s| s.len() != persons.len()) {
        return Err(NoiseFault::Shape);
    }
    let survivors = match mechanisms.iter().find(|m| m.target == Target::Selection) {
        Some(selection) => Some(select(&persons, selection)?),
        None => None,
    };
    let mut histograms = histograms.into_iter();
    let mut noised: Vec<Vec<i64>> = vec![];
    for (index, (exact, partial)) in sums.into_iter().zip(partials).enumerate() {
        let own = mechanisms.iter().find(|m| m.target == Target::Partial(index));
        noised.push(match (&partial.kind, own, &survivors) {
            (Kind::Histogram { candidates, rank, .. }, Some(mechanism), _) => {
                let groups = histograms.next().filter(|g| g.len() == persons.len()).ok_or(NoiseFault::Shape)?;
                pick(&kept(groups, survivors.as_deref()), candidates.units(), *rank, mechanism, threads)?
            }
            (_, Some(mechanism), _) => add(&kept(exact, survivors.as_deref()), mechanism, threads)?,
            // The selecting count is itself the noised number of persons.
            (_, None, Some(chosen)) => chosen.iter().map(|(_, count)| *count).collect(),
            (_, None, None) => return Err(NoiseFault::Shape),
        });
    }
    let keys = match &survivors {
        Some(chosen) => {
            let indices: UInt32Array = chosen.iter().map(|(index, _)| u32::try_from(*index).ok()).collect();
            keys.iter().map(|k| take(k, &indices, None)).collect::<Result<_, _>>().map_err(|_| NoiseFault::Shape)?
        }
        None => keys,
    };
    Ok(Noised { keys, sums: noised })
}

/// What belongs to the groups that may be shown.
fn kept<T: Clone>(values: Vec<T>, survivors: Option<&[(usize, i64)]>) -> Vec<T> {
    match survivors {
        Some(chosen) => chosen.iter().filter_map(|(index, _)| values.get(*index).cloned()).collect(),
        None => values,
    }
}

/// Draws for each value by itself, in parts side by side: the draws are independent, so the parts are one mechanism.
pub(super) fn add(values: &[i64], mechanism: &Mechanism, threads: NonZeroUsize) -> Result<Vec<i64>, NoiseFault> {
    let drawn = in_parts(values, threads, |part| match mechanism.family {
        Family::Laplace => laplace(mechanism.scale)?.invoke(&part.to_vec()).map_err(|_| NoiseFault::Drawn),
        Family::Gaussian => {
            let fine: Vec<IBig> = part.iter().copied().map(finely).collect();
            let drawn = gaussian(mechanism.scale)?.invoke(&fine).map_err(|_| NoiseFault::Drawn)?;
            Ok(drawn.into_iter().map(rounded).collect())
        }
        Family::PermuteAndFlip | Family::Exponential => Err(NoiseFault::Shape),
    })?;
    Ok(drawn.concat())
}

/// `draw` over parts of `values`, each on a thread of its own where there are many; in their order.
fn in_parts<T: Sync, R: Send>(
    values: &[T],
    threads: NonZeroUsize,
    draw: impl Fn(&[T]) -> Result<R, NoiseFault> + Sync,
) -> Result<Vec<R>, NoiseFault> {
    let each = values.len().div_ceil(threads.get()).max(PART_LEAST);
    if values.len() <= each {
        return Ok(vec![draw(values)?]);
    }
    std::thread::scope(|scope| {
        let parts: Vec<_> = values.chunks(each).map(|part| scope.spawn(|| draw(part))).collect();
        parts.into_iter().map(|part| part.join().map_err(|_| NoiseFault::Drawn)?).collect()
    })
}

/// Values that are not worth a thread of their own.
const PART_LEAST: usize = 1024;

/// One of the `candidates` per group.
fn pick(
    groups: &[Histogram],
    candidates: &[i64],
    rank: Rank,
    mechanism: &Mechanism,
    threads: NonZeroUsize,
) -> Result<Vec<i64>, NoiseFault> {
    let ends = mechanism.ends.unwrap_or(0);
    let one = |group: &Histogram| {
        let scores = rank.scores(group, candidates.len(), ends);
        let picked = match mechanism.family {
            Family::PermuteAndFlip => permute_and_flip(mechanism.scale)?.invoke(&scores),
            Family::Exponential => exponential(mechanism.scale)?.invoke(&scores),
            Family::Laplace | Family::Gaussian => return Err(NoiseFault::Shape),
        };
        let place = picked.map_err(|_| NoiseFault::Drawn)?;
        candidates.get(place).copied().ok_or(NoiseFault::Shape)
    };
    let picked = in_parts(groups, threads, |part| part.iter().map(one).collect::<Result<Vec<_>, _>>())?;
    Ok(picked.concat())
}

/// The groups whose noised count of persons lies strictly above the threshold, in their order, with that count.
fn select(persons: &[i64], mechanism: &Mechanism) -> Result<Vec<(usize, i64)>, NoiseFault> {
    let threshold = mechanism.threshold.ok_or(NoiseFault::Shape)?;
    let counts: HashMap<u32, i64> =
        persons.iter().enumerate().filter_map(|(i, n)| Some((u32::try_from(i).ok()?, *n))).collect();
    let survivors = match mechanism.family {
        Family::Laplace => laplace_threshold(mechanism.scale, threshold)?.invoke(&counts),
        Family::Gaussian => {
            let fine = counts.into_iter().map(|(key, count)| (key, finely(count))).collect();
            let survivors = gaussian_threshold(mechanism.scale, threshold)?.invoke(&fine);
            survivors.map(|all| all.into_iter().map(|(key, count)| (key, rounded(count))).collect())
        }
        Family::PermuteAndFlip | Family::Exponential => return Err(NoiseFault::Shape),
    }
    .map_err(|_| NoiseFault::Drawn)?;
    // OpenDP keeps keys at the threshold while its map accounts for those above it: keys equal to it are dropped here.
    let mut chosen: Vec<(usize, i64)> = survivors
        .into_iter()
        .filter(|(_, count)| *count > threshold)
        .filter_map(|(i, count)| Some((usize::try_from(i).ok()?, count)))
        .collect();
    chosen.sort_unstable();
    Ok(chosen)
}
