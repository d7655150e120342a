//! What may be shown?
//!
//! The only place where noise is drawn, and the only one that opens [`Exact`]. All of it is OpenDP's: integer discrete
//! Laplace and Gaussian (Canonne, Kamath and Steinke 2020), thresholds for groups that no public list names.

use std::{collections::HashMap, num::NonZeroUsize};

use datafusion::arrow::{
    array::{ArrayRef, UInt32Array},
    compute::take,
};
use opendp::{
    core::Measurement,
    domains::{AtomDomain, MapDomain, VectorDomain},
    measurements::{make_gaussian, make_gaussian_threshold, make_laplace, make_laplace_threshold, make_noisy_max},
    measures::{Approximate, MaxDivergence, ZeroConcentratedDivergence},
    metrics::{AbsoluteDistance, L0PInfDistance, L1Distance, L2Distance, LInfDistance},
};

use super::{
    Exact,
    exact::{Histogram, Opened},
    partial::{Kind, Partial, Rank},
    price::{Family, Mechanism, Target},
};

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
type Gaussian = Measurement<Vectors, L2Distance<f64>, ZeroConcentratedDivergence, Vec<i64>>;
type LaplaceThreshold =
    Measurement<Counts, L0PInfDistance<1, AbsoluteDistance<i64>>, Approximate<MaxDivergence>, HashMap<u32, i64>>;
type GaussianThreshold = Measurement<
    Counts,
    L0PInfDistance<2, AbsoluteDistance<f64>>,
    Approximate<ZeroConcentratedDivergence>,
    HashMap<u32, i64>,
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

pub(super) fn gaussian(scale: f64) -> Result<Gaussian, NoiseFault> {
    let space = (Vectors::new(AtomDomain::default()), L2Distance::default());
    make_gaussian(space.0, space.1, scale, None).map_err(|_| NoiseFault::Built)
}

pub(super) fn laplace_threshold(scale: f64, threshold: i64) -> Result<LaplaceThreshold, NoiseFault> {
    make_laplace_threshold(counts(), L0PInfDistance::default(), scale, threshold, None).map_err(|_| NoiseFault::Built)
}

pub(super) fn gaussian_threshold(scale: f64, threshold: i64) -> Result<GaussianThreshold, NoiseFault> {
    make_gaussian_threshold(counts(), L0PInfDistance::default(), scale, threshold, None).map_err(|_| NoiseFault::Built)
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
                pick(&kept(groups, survivors.as_deref()), candidates.lo, candidates.units(), *rank, mechanism, threads)?
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
fn add(values: &[i64], mechanism: &Mechanism, threads: NonZeroUsize) -> Result<Vec<i64>, NoiseFault> {
    let drawn = in_parts(values, threads, |part| match mechanism.family {
        Family::Laplace => laplace(mechanism.scale)?.invoke(&part.to_vec()).map_err(|_| NoiseFault::Drawn),
        Family::Gaussian => gaussian(mechanism.scale)?.invoke(&part.to_vec()).map_err(|_| NoiseFault::Drawn),
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

/// One candidate per group, in units of the candidates' grid, from `first` on.
fn pick(
    groups: &[Histogram],
    first: i64,
    candidates: u64,
    rank: Rank,
    mechanism: &Mechanism,
    threads: NonZeroUsize,
) -> Result<Vec<i64>, NoiseFault> {
    let candidates = usize::try_from(candidates).map_err(|_| NoiseFault::Shape)?;
    let ends = mechanism.ends.unwrap_or(0);
    let one = |group: &Histogram| {
        let scores = rank.scores(group, candidates, ends);
        let picked = match mechanism.family {
            Family::PermuteAndFlip => permute_and_flip(mechanism.scale)?.invoke(&scores),
            Family::Exponential => exponential(mechanism.scale)?.invoke(&scores),
            Family::Laplace | Family::Gaussian => return Err(NoiseFault::Shape),
        };
        let place = i64::try_from(picked.map_err(|_| NoiseFault::Drawn)?).map_err(|_| NoiseFault::Shape)?;
        first.checked_add(place).ok_or(NoiseFault::Shape)
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
        Family::Gaussian => gaussian_threshold(mechanism.scale, threshold)?.invoke(&counts),
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
