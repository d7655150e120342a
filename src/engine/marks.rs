//! What does a person add to a group that is no sum: which different values, which candidates how often?
//!
//! A person's marks are listed as rows come and bounded when the person ends: at most D values of a set, by a keyed hash
//! of (person, value), so that the choice depends on that person's rows alone; of a histogram m rows' worth of parts; of
//! an end the one least or greatest candidate.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{BuildHasher, BuildHasherDefault},
    sync::Arc,
};

use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type},
};

use super::{
    EngineFault,
    intern::{Mixer, Seeded, mix, ordered_bits, whole_numbers},
};
use crate::privacy::{Kind, ROW_PARTS, Rank, Release};

type Set = HashSet<u64, BuildHasherDefault<Mixer>>;

/// What all persons together marked in one group, for one partial.
#[derive(Clone)]
pub(super) enum Marked {
    /// The union of their sets, as keyed hashes.
    Set(Set),
    /// Parts of rows by candidate, from 0.
    Bins(BTreeMap<u32, i64>),
}

/// The marks of one fold.
pub(super) struct Marks {
    partials: Vec<Marking>,
    /// Slot, partial and value of each mark of the person being folded.
    person: Vec<(u32, u32, u64)>,
    rows_per_group: i128,
    seed: u64,
    texts: Seeded,
}

/// One partial that is a set or a histogram.
struct Marking {
    /// Its place among the release's partials.
    place: usize,
    argument: usize,
    what: What,
    /// The value of each row of the batch.
    values: Vec<u64>,
    /// By group id.
    all: HashMap<u32, Marked, BuildHasherDefault<Mixer>>,
}

enum What {
    Set { most: usize },
    Histogram { candidates: Arc<[i64]>, rank: Rank },
}

impl Marks {
    pub(super) fn new(release: &Release, secret: &[u8; 32]) -> Result<Self, EngineFault> {
        let mut partials = vec![];
        for (place, partial) in release.partials.iter().enumerate() {
            let what = match &partial.kind {
                Kind::Values { most, .. } => {
                    What::Set { most: usize::try_from(*most).map_err(|_| EngineFault::Shape)? }
                }
                Kind::Histogram { candidates, rank, .. } => {
                    What::Histogram { candidates: Arc::clone(candidates.units()), rank: *rank }
                }
                Kind::Rows | Kind::Person | Kind::Sum { .. } => continue,
            };
            let argument = partial.argument.ok_or(EngineFault::Shape)?;
            partials.push(Marking { place, argument, what, values: vec![], all: HashMap::default() });
        }
        let texts = Seeded::new(secret);
        let rows_per_group = i128::from(release.rows_per_group);
        Ok(Self {
            partials,
            person: vec![],
            rows_per_group,
            seed: texts.hash_one("the seed of the hash of numbers"),
            texts,
        })
    }

    /// Whether the release has no sets and histograms.
    pub(super) fn is_empty(&self) -> bool {
        self.partials.is_empty()
    }

    /// Reads the values of a batch.
    pub(super) fn read(&mut self, batch: &RecordBatch) -> Result<(), EngineFault> {
        for marking in &mut self.partials {
            let column = batch.columns().get(marking.argument).ok_or(EngineFault::Shape)?;
            marking.values.clear();
            match &marking.what {
                What::Set { .. } => hashes(column, self.seed, &self.texts, &mut marking.values)?,
                What::Histogram { candidates, .. } => {
                    let units = column.as_primitive_opt::<Int64Type>().ok_or(EngineFault::Shape)?;
                    marking.values.extend(units.values().iter().map(|unit| nearest(candidates, *unit)));
                }
            }
        }
        Ok(())
    }

    /// Notes a row of the person being folded under `slot`; `seen(place)` says which partials see it.
    #[inline]
    pub(super) fn note(&mut self, slot: u32, row: usize, seen: impl Fn(usize) -> bool) {
        for (which, marking) in (0_u32..).zip(&self.partials) {
            if seen(marking.place)
                && let Some(value) = marking.values.get(row)
            {
                self.person.push((slot, which, *value));
            }
        }
    }

    /// The person ends: its marks are brought in order.
    pub(super) fn settle(&mut self) {
        self.person.sort_unstable();
    }

    /// Adds what the person marked under `slot`, within its bounds, to `group`. `seen(place)` says how many of its rows
    /// each partial saw there.
    pub(super) fn add(
        &mut self,
        person: u64,
        slot: u32,
        group: u32,
        seen: impl Fn(usize) -> i64,
    ) -> Result<(), EngineFault> {
        for (which, marking) in (0_u32..).zip(&mut self.partials) {
            let from = self.person.partition_point(|mark| (mark.0, mark.1) < (slot, which));
            let to = self.person.partition_point(|mark| (mark.0, mark.1) <= (slot, which));
            let own = self.person.get(from..to).ok_or(EngineFault::Shape)?;
            if own.is_empty() {
                continue;
            }
            match marking.what {
                What::Set { most } => {
                    let all = marking.all.entry(group).or_insert_with(|| Marked::Set(Set::default()));
                    let Marked::Set(all) = all else { return Err(EngineFault::Shape) };
                    all.extend(at_most(own, most, person));
                }
                What::Histogram { rank, .. } => {
                    let all = marking.all.entry(group).or_insert_with(|| Marked::Bins(BTreeMap::new()));
                    let Marked::Bins(all) = all else { return Err(EngineFault::Shape) };
                    let seen = i128::from(seen(marking.place));
                    for (value, parts) in parts(own, rank, seen, self.rows_per_group)? {
                        let bin = all.entry(u32::try_from(value).map_err(|_| EngineFault::Shape)?).or_default();
                        *bin = bin.checked_add(parts).ok_or(EngineFault::Overflow)?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.person.clear();
    }

    /// What was marked in `group`, one entry per partial that is a set or a histogram.
    pub(super) fn take(&mut self, group: u32) -> Vec<Marked> {
        self.partials
            .iter_mut()
            .map(|marking| marking.all.remove(&group).unwrap_or_else(|| marking.what.nothing()))
            .collect()
    }
}

impl What {
    fn nothing(&self) -> Marked {
        match self {
            Self::Set { .. } => Marked::Set(Set::default()),
            Self::Histogram { .. } => Marked::Bins(BTreeMap::new()),
        }
    }
}

impl Marked {
    /// Nothing marked, in the shape of each partial of `release` that is a set or a histogram.
    pub(super) fn nothing(release: &Release) -> Vec<Self> {
        let of = |kind: &Kind| match kind {
            Kind::Values { .. } => Some(Self::Set(Set::default())),
            Kind::Histogram { .. } => Some(Self::Bins(BTreeMap::new())),
            Kind::Rows | Kind::Person | Kind::Sum { .. } => None,
        };
        release.partials.iter().filter_map(|p| of(&p.kind)).collect()
    }

    /// Both together: the union of sets, the sum of histograms.
    pub(super) fn merge(&mut self, more: Self) -> Result<(), EngineFault> {
        match (self, more) {
            (Self::Set(mine), Self::Set(theirs)) => mine.extend(theirs),
            (Self::Bins(mine), Self::Bins(theirs)) => {
                for (bin, parts) in theirs {
                    let known = mine.entry(bin).or_default();
                    *known = known.checked_add(parts).ok_or(EngineFault::Overflow)?;
                }
            }
            _ => return Err(EngineFault::Shape),
        }
        Ok(())
    }
}

/// The different values, at most `most` of them: those with the smallest keyed hash of (person, value).
fn at_most(own: &[(u32, u32, u64)], most: usize, person: u64) -> Vec<u64> {
    let mut values: Vec<u64> = own.iter().map(|mark| mark.2).collect();
    values.dedup();
    if values.len() > most {
        let rank = |value: &u64| (mix(value ^ mix(person ^ value.rotate_left(32))), *value);
        values.sort_unstable_by_key(rank);
        values.truncate(most);
    }
    values
}

/// The place of the candidate nearest to `unit`, the lower of two. The clamp is enforced here, whatever is known of the
/// expression.
fn nearest(candidates: &[i64], unit: i64) -> u64 {
    let (Some(first), Some(last)) = (candidates.first(), candidates.last()) else { return 0 };
    let unit = unit.clamp(*first, *last);
    // Each unit a candidate: its place is its distance.
    if usize::try_from(last.abs_diff(*first)).is_ok_and(|span| span.saturating_add(1) == candidates.len()) {
        return unit.abs_diff(*first);
    }
    let from = candidates.partition_point(|candidate| *candidate < unit);
    let above = candidates.get(from).map_or(u64::MAX, |candidate| candidate.abs_diff(unit));
    let below = from.checked_sub(1).and_then(|at| candidates.get(at)).map(|candidate| candidate.abs_diff(unit));
    let place = if below.is_some_and(|below| below <= above) { from.saturating_sub(1) } else { from };
    u64::try_from(place).unwrap_or(u64::MAX)
}

/// How much a person adds to each candidate: together at most m rows' worth, each truncated; one for an end.
fn parts(
    own: &[(u32, u32, u64)],
    rank: Rank,
    seen: i128,
    rows_per_group: i128,
) -> Result<Vec<(u64, i64)>, EngineFault> {
    let value = |mark: Option<&(u32, u32, u64)>| mark.map(|mark| mark.2).ok_or(EngineFault::Shape);
    match rank {
        Rank::Least => return Ok(vec![(value(own.first())?, 1)]),
        Rank::Greatest => return Ok(vec![(value(own.last())?, 1)]),
        Rank::Quantile { .. } => {}
    }
    let mut all = vec![];
    for run in own.chunk_by(|a, b| a.2 == b.2) {
        let rows = i128::try_from(run.len()).map_err(|_| EngineFault::Overflow)?;
        let parts = rows * i128::from(ROW_PARTS);
        let weighted = if seen > rows_per_group { parts * rows_per_group / seen } else { parts };
        all.push((value(run.first())?, i64::try_from(weighted).map_err(|_| EngineFault::Overflow)?));
    }
    Ok(all)
}

/// A keyed hash of every value; what stands for a NULL means nothing. Different whole numbers have different hashes.
fn hashes(array: &ArrayRef, seed: u64, texts: &Seeded, hashes: &mut Vec<u64>) -> Result<(), EngineFault> {
    let shape = |_| EngineFault::Shape;
    match array.data_type() {
        DataType::Float64 | DataType::Float32 | DataType::Float16 => {
            let floats = cast(array, &DataType::Float64).map_err(shape)?;
            let floats = floats.as_primitive::<Float64Type>();
            hashes.extend(floats.values().iter().map(|v| mix(ordered_bits(*v).cast_unsigned() ^ seed)));
        }
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 | DataType::Dictionary(..) => {
            let values = cast(array, &DataType::Utf8).map_err(shape)?;
            let values = values.as_string::<i32>();
            hashes.extend(
                (0..values.len()).map(|row| if values.is_null(row) { 0 } else { texts.hash_one(values.value(row)) }),
            );
        }
        _ => {
            let integers = whole_numbers(array)?;
            let integers = integers.as_primitive::<Int64Type>();
            hashes.extend(integers.values().iter().map(|v| mix(v.cast_unsigned() ^ seed)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(values: &[u64]) -> Vec<(u32, u32, u64)> {
        let mut all: Vec<_> = values.iter().map(|v| (0, 0, *v)).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn a_set_holds_each_value_once_and_at_most_as_many_as_allowed() {
        let many: Vec<u64> = (0..5000).map(|i| i % 100).collect();
        assert_eq!(at_most(&marks(&many), 1000, 7).len(), 100);
        let kept = at_most(&marks(&many), 16, 7);
        assert_eq!(kept.len(), 16);
        assert_eq!(at_most(&marks(&(0..100).rev().collect::<Vec<_>>()), 16, 7), kept, "the order of rows is nothing");
        assert_ne!(at_most(&marks(&many), 16, 8), kept, "another person keeps others");
    }

    #[test]
    fn a_value_counts_at_the_nearest_candidate() {
        let uneven = [-10, 0, 1, 2, 5, 100];
        let places =
            [(i64::MIN, 0), (-6, 0), (-5, 0), (-4, 1), (1, 2), (3, 3), (4, 4), (52, 4), (53, 5), (i64::MAX, 5)];
        for (unit, place) in places {
            assert_eq!(nearest(&uneven, unit), place, "{unit}");
        }
        let each: Vec<i64> = (-3..=4).collect();
        assert_eq!([-9, -3, 0, 4, 9].map(|unit| nearest(&each, unit)), [0, 0, 3, 7, 7]);
    }

    #[test]
    fn a_heavy_person_adds_no_more_than_m_rows_to_a_histogram() {
        let heavy: Vec<u64> = (0..4001).map(|i| i % 7).collect();
        let quantile = Rank::Quantile { below: 1, of: 2 };
        let all = parts(&marks(&heavy), quantile, 4001, 8).unwrap();
        let sum: i64 = all.iter().map(|(_, parts)| parts).sum();
        assert!(sum <= 8 * 256 && sum > 8 * 256 - 7, "{sum}");
        assert_eq!(parts(&marks(&[3, 3, 9]), quantile, 3, 8).unwrap(), [(3, 512), (9, 256)]);
        assert_eq!(parts(&marks(&heavy), Rank::Least, 4001, 8).unwrap(), [(0, 1)]);
        assert_eq!(parts(&marks(&heavy), Rank::Greatest, 4001, 8).unwrap(), [(6, 1)]);
    }
}
