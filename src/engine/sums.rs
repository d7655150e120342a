//! How do the bounded sums of several folds become one sealed vector?

use std::collections::{BTreeMap, BTreeSet};

use datafusion::arrow::array::ArrayRef;

use super::{
    EngineFault,
    intern::{Value, array_of},
    marks::Marked,
};
use crate::privacy::{Exact, Histogram, Kind, Release};

/// The bounded sums of some whole persons, by group.
pub(super) type Sums = BTreeMap<Vec<Value>, Added>;

/// What some persons together added to one group.
#[derive(Clone)]
pub(super) struct Added {
    /// One sum per partial, then the persons who kept the group.
    pub(super) sums: Vec<i64>,
    /// One entry per partial that is a set or a histogram.
    pub(super) marked: Vec<Marked>,
}

/// Adds `more`, of other persons, to `all`.
pub(super) fn merge(all: &mut Sums, more: Sums) -> Result<(), EngineFault> {
    for (key, added) in more {
        match all.get_mut(&key) {
            Some(known) => {
                for (mine, theirs) in known.sums.iter_mut().zip(added.sums) {
                    *mine = mine.checked_add(theirs).ok_or(EngineFault::Overflow)?;
                }
                for (mine, theirs) in known.marked.iter_mut().zip(added.marked) {
                    mine.merge(theirs)?;
                }
            }
            None => {
                all.insert(key, added);
            }
        }
    }
    Ok(())
}

/// The sums in key order; with public lists, one row for every combination, zero where nobody is.
pub(super) fn seal(release: &Release, public: Option<&[BTreeSet<Value>]>, mut all: Sums) -> Result<Exact, EngineFault> {
    let nothing = Added { sums: vec![0; release.partials.len() + 1], marked: Marked::nothing(release) };
    if let Some(lists) = public {
        let mut cells: Vec<Vec<Value>> = vec![vec![]];
        for list in lists {
            cells = cells
                .into_iter()
                .flat_map(|cell| list.iter().map(move |value| [cell.as_slice(), std::slice::from_ref(value)].concat()))
                .collect();
        }
        for cell in cells {
            all.entry(cell).or_insert_with(|| nothing.clone());
        }
    }
    let mut keys: Vec<ArrayRef> = vec![];
    for index in 0..release.keys {
        let values = all.keys().map(|key| key.get(index)).collect::<Option<Vec<_>>>().ok_or(EngineFault::Shape)?;
        keys.push(array_of(&values, release.schema.field(index).data_type())?);
    }
    let column = |index: usize| all.values().map(|a| a.sums.get(index).copied().unwrap_or(0)).collect::<Vec<i64>>();
    let persons = column(release.partials.len());
    let mut sums: Vec<Vec<i64>> = (0..release.partials.len()).map(column).collect();
    let mut histograms = vec![];
    let marked = release
        .partials
        .iter()
        .enumerate()
        .filter(|(_, p)| matches!(p.kind, Kind::Values { .. } | Kind::Histogram { .. }));
    for (which, (place, partial)) in marked.enumerate() {
        let (mut sizes, mut bins) = (vec![], vec![]);
        for added in all.values() {
            match added.marked.get(which).ok_or(EngineFault::Shape)? {
                Marked::Set(set) => sizes.push(i64::try_from(set.len()).map_err(|_| EngineFault::Overflow)?),
                Marked::Bins(of) => bins.push(of.iter().map(|(bin, parts)| (*bin, *parts)).collect::<Histogram>()),
            }
        }
        match (&partial.kind, sums.get_mut(place)) {
            (Kind::Values { .. }, Some(sum)) => *sum = sizes,
            (_, Some(_)) => histograms.push(bins),
            (_, None) => return Err(EngineFault::Shape),
        }
    }
    Ok(Exact::seal(keys, sums, persons).with_histograms(histograms))
}
