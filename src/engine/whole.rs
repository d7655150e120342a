//! What do those persons add whose rows all lie within a batch?
//!
//! The same as one by one in the scratch list of `person_aggregate.rs`, for all of them at once and column by column. A
//! slot is one person in one group; those of a person follow each other, in the order of the persons.

use std::ops::Range;

use super::{
    EngineFault,
    choice::Choice,
    columns::{Cell, Seen},
    intern::{OUTSIDE, index},
};
use crate::privacy::{Kind, Partial};

/// The slots of one batch.
#[derive(Default)]
pub(super) struct Whole {
    /// The group of each slot; [`OUTSIDE`] where the person did not keep it.
    groups: Vec<u32>,
    /// The slot of each row, [`OUTSIDE`] where it has none; nothing where each person has one slot.
    rows: Option<Vec<u32>>,
    /// For each group id the slot that it had last, counted over all batches from 1.
    last: Vec<u32>,
    /// How many slots there were before this batch.
    before: u32,
    ranked: Vec<(u64, u32)>,
    /// The rows seen in each slot, and whether they are all rows.
    counts: Vec<i64>,
    counts_all: bool,
    narrow: Vec<i64>,
    wide: Vec<i128>,
}

/// The rows of whole persons.
pub(super) struct Persons<'a> {
    /// Where they begin in the batch.
    pub(super) from: usize,
    pub(super) owners: &'a [i64],
    /// The group of each row.
    pub(super) ids: &'a [u32],
    /// The rows of each person, counted from `from`.
    pub(super) runs: &'a [Range<usize>],
}

impl Whole {
    /// Adds up what `persons` add to each group: `sums` holds for each group one sum per partial, then the persons who kept
    /// it.
    pub(super) fn add<'a>(
        &mut self,
        persons: &Persons<'_>,
        columns: impl ExactSizeIterator<Item = (&'a Partial, &'a Seen)>,
        choice: &Choice<'_>,
        sums: &mut [i64],
    ) -> Result<(), EngineFault> {
        self.place(persons, choice)?;
        let stride = columns.len() + 1;
        for (place, (partial, seen)) in columns.enumerate() {
            // Nothing, as long as no row was in the public list.
            let sums = sums.get_mut(place..).unwrap_or_default();
            match persons.ids.len() == persons.runs.len() {
                true => self.single_rows(persons, partial, seen, stride, sums),
                false => self.slots(persons, partial, seen, choice, stride, sums),
            }?;
        }
        let kept = sums.get_mut(stride - 1..).unwrap_or_default();
        spread(&self.groups, self.groups.iter().map(|_| Ok(1)), stride, kept)
    }

    /// One partial where each person has one row, which counts at most m times: there is nothing to weigh.
    fn single_rows(
        &self,
        persons: &Persons<'_>,
        partial: &Partial,
        seen: &Seen,
        stride: usize,
        sums: &mut [i64],
    ) -> Result<(), EngineFault> {
        let (seen, units) = seen.parts(persons.from, persons.ids.len()).ok_or(EngineFault::Shape)?;
        match (&partial.kind, seen) {
            // Rows that are not seen have no units.
            (Kind::Sum { .. }, _) => spread(&self.groups, units.iter().map(|units| Ok(*units)), stride, sums),
            (_, Some(seen)) => spread(&self.groups, seen.iter().map(|seen| Ok(i64::from(*seen))), stride, sums),
            (_, None) => spread(&self.groups, self.groups.iter().map(|_| Ok(1)), stride, sums),
        }
    }

    /// One partial, by slots.
    fn slots(
        &mut self,
        persons: &Persons<'_>,
        partial: &Partial,
        seen: &Seen,
        choice: &Choice<'_>,
        stride: usize,
        sums: &mut [i64],
    ) -> Result<(), EngineFault> {
        let narrow = seen.is_narrow();
        let (seen, units) = seen.parts(persons.from, persons.ids.len()).ok_or(EngineFault::Shape)?;
        self.count(persons, seen);
        let (rows, slots) = (self.rows.as_deref(), self.groups.len());
        let counts = self.counts.iter().copied();
        let bounded = |cell: Cell| choice.bounded(partial, cell);
        match (&partial.kind, narrow) {
            // INVARIANT: the sum of all units of the batch fits 62 bits, so that no part of it wraps.
            (Kind::Sum { .. }, true) => {
                let add = |sum: i64, units: i64| sum.wrapping_add(units);
                add_up(persons, rows, units, slots, add, &mut self.narrow);
                let cells = counts.zip(&self.narrow).map(|(seen, sum)| match choice.weighted(seen, *sum) {
                    Some(weighted) => Ok(weighted),
                    None => bounded((seen, i128::from(*sum))),
                });
                spread(&self.groups, cells, stride, sums)
            }
            // Of 64 bits each, fewer than 2^63 of them.
            (Kind::Sum { .. }, false) => {
                let add = |sum: i128, units: i64| sum.wrapping_add(i128::from(units));
                add_up(persons, rows, units, slots, add, &mut self.wide);
                let cells = counts.zip(&self.wide).map(|(seen, sum)| bounded((seen, *sum)));
                spread(&self.groups, cells, stride, sums)
            }
            _ => spread(&self.groups, counts.map(|seen| bounded((seen, 0))), stride, sums),
        }
    }

    /// Gives each row its slot, and of each person's slots leaves those that are kept.
    fn place(&mut self, persons: &Persons<'_>, choice: &Choice<'_>) -> Result<(), EngineFault> {
        let Persons { ids, runs, .. } = persons;
        self.counts_all = false;
        self.groups.clear();
        if ids.len() == runs.len() || choice.groups.len() == 1 && ids.iter().all(|id| *id == 0) {
            self.rows = None;
            self.groups.extend(ids.iter().take(runs.len()));
            return Ok(());
        }
        let of = |run: &Range<usize>| ids.get(run.clone()).unwrap_or_default();
        let one = |ids: &[u32]| ids.first().is_some_and(|first| ids.iter().all(|id| id == first));
        if runs.iter().all(|run| one(of(run))) {
            self.rows = None;
            self.groups.extend(runs.iter().filter_map(|run| ids.get(run.start)));
            return Ok(());
        }
        let rows = self.rows.get_or_insert_default();
        rows.clear();
        self.last.resize(choice.groups.len(), 0);
        let most = u32::try_from(ids.len()).map_err(|_| EngineFault::Shape)?;
        if self.before.checked_add(most).is_none() {
            self.last.fill(0);
            self.before = 0;
        }
        for run in *runs {
            let begun = self.groups.len();
            // The slots of this person are above this.
            let floor = self.before + u32::try_from(begun).map_err(|_| EngineFault::Shape)?;
            let mut next = floor;
            rows.extend(of(run).iter().map(|id| {
                // The id of a row outside the public list lies beyond all of them.
                let Some(last) = self.last.get_mut(index(*id)) else { return OUTSIDE };
                if *last <= floor {
                    next = next.wrapping_add(1);
                    *last = next;
                    self.groups.push(*id);
                }
                (*last - 1).wrapping_sub(self.before)
            }));
            if self.groups.len() - begun > choice.groups_max {
                let own = self.groups.get_mut(begun..).ok_or(EngineFault::Shape)?;
                let owner = *persons.owners.get(run.start).ok_or(EngineFault::Shape)?;
                let kept = choice.keep(owner, own, &mut self.ranked);
                for (_, slot) in self.ranked.get(kept..).unwrap_or_default() {
                    *own.get_mut(index(*slot)).ok_or(EngineFault::Shape)? = OUTSIDE;
                }
            }
        }
        self.before += u32::try_from(self.groups.len()).map_err(|_| EngineFault::Shape)?;
        Ok(())
    }

    /// Counts the rows of each slot that are seen.
    fn count(&mut self, persons: &Persons<'_>, seen: Option<&[bool]>) {
        if self.counts_all && seen.is_none() {
            return;
        }
        self.counts_all = seen.is_none();
        let slots = self.groups.len();
        match (self.rows.as_deref(), seen) {
            (rows, Some(seen)) => {
                let add = |count: i64, seen: bool| count.wrapping_add(i64::from(seen));
                add_up(persons, rows, seen, slots, add, &mut self.counts);
            }
            (None, None) => {
                self.counts.clear();
                self.counts.extend(persons.runs.iter().map(|run| i64::try_from(run.len()).unwrap_or(i64::MAX)));
            }
            (Some(rows), None) => {
                self.counts.clear();
                self.counts.resize(slots, 0);
                for slot in rows {
                    if let Some(count) = self.counts.get_mut(index(*slot)) {
                        *count = count.wrapping_add(1);
                    }
                }
            }
        }
    }
}

/// Adds the value of each row to its slot.
fn add_up<T: Copy + Default, V: Copy>(
    persons: &Persons<'_>,
    rows: Option<&[u32]>,
    values: &[V],
    slots: usize,
    add: impl Fn(T, V) -> T,
    sums: &mut Vec<T>,
) {
    sums.clear();
    match rows {
        // One slot for each person, in their order.
        None => sums.extend(persons.runs.iter().map(|run| {
            let values = values.get(run.clone()).unwrap_or_default();
            values.iter().fold(T::default(), |sum, value| add(sum, *value))
        })),
        Some(rows) => {
            sums.resize(slots, T::default());
            for (slot, value) in rows.iter().zip(values) {
                // The slot of a row without one lies beyond all of them.
                if let Some(sum) = sums.get_mut(index(*slot)) {
                    *sum = add(*sum, *value);
                }
            }
        }
    }
}

/// Adds what each slot adds to the sum of its group: that at the group's id times `stride`.
fn spread(
    groups: &[u32],
    added: impl Iterator<Item = Result<i64, EngineFault>>,
    stride: usize,
    sums: &mut [i64],
) -> Result<(), EngineFault> {
    for (group, added) in groups.iter().zip(added) {
        // A group that was not kept, and the id of a row outside the public list, lie beyond all sums.
        if let Some(sum) = sums.get_mut(index(*group).saturating_mul(stride)) {
            *sum = sum.checked_add(added?).ok_or(EngineFault::Overflow)?;
        }
    }
    Ok(())
}
