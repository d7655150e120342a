//! What do those persons add whose rows all lie within a batch?
//!
//! The same as one by one in the scratch list of `person_aggregate.rs`, for all of them at once and column by column. A
//! slot is one person in one group; those of a person follow each other, in the order of the persons.

use std::ops::Range;

use super::{
    EngineFault,
    choice::Choice,
    columns::Seen,
    intern::{OUTSIDE, index},
};
use crate::privacy::{Kind, Partial};

/// The slots of one batch.
#[derive(Default)]
pub(super) struct Whole {
    /// The group of each slot; [`OUTSIDE`] where the person did not keep it.
    groups: Vec<u32>,
    /// The slots that are kept, each with its group.
    kept: Vec<(u32, u32)>,
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
    /// Whether all rows are of one group, without a key.
    pub(super) keyless: bool,
    /// The rows of each person, counted from `from`; nothing where each person has one row.
    pub(super) runs: Option<&'a [Range<usize>]>,
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
        let stride = columns.len() + 1;
        match (persons.runs, persons.keyless) {
            (None, _) => self.tally(persons.ids, choice.groups.len()),
            (Some(runs), false) => self.place(persons, runs, choice)?,
            (Some(_), true) => {}
        }
        for (place, (partial, seen)) in columns.enumerate() {
            // Nothing, as long as no row was in the public list.
            let sums = sums.get_mut(place..).unwrap_or_default();
            let (rows, units) = seen.parts(persons.from, persons.ids.len()).ok_or(EngineFault::Shape)?;
            match (persons.runs, persons.keyless) {
                (None, _) => self.single_rows(persons.ids, partial, (rows, units), stride, sums),
                (Some(runs), true) => {
                    let sum = one_group((runs, seen.is_narrow()), partial, (rows, units), choice)?;
                    plus(sums.first_mut(), sum)
                }
                (Some(runs), false) => {
                    self.count(runs, rows);
                    self.slots((runs, seen.is_narrow()), partial, units, choice, stride, sums)
                }
            }?;
        }
        let kept = sums.get_mut(stride - 1..).unwrap_or_default();
        match (persons.runs, persons.keyless) {
            (None, _) => tallied(&self.counts, stride, kept),
            (Some(runs), true) => plus(kept.first_mut(), runs.len().try_into().map_err(|_| EngineFault::Shape)?),
            (Some(_), false) => spread(&self.kept, stride, kept, |_| Ok(1)),
        }
    }

    /// Counts the rows of each group.
    fn tally(&mut self, ids: &[u32], groups: usize) {
        self.counts.clear();
        self.counts.resize(groups, 0);
        for id in ids {
            // The id of a row outside the public list lies beyond all groups.
            if let Some(count) = self.counts.get_mut(index(*id)) {
                *count = count.wrapping_add(1);
            }
        }
    }

    /// One partial where each person has one row, which counts at most m times: there is nothing to weigh.
    fn single_rows(
        &self,
        ids: &[u32],
        partial: &Partial,
        (seen, units): (Option<&[bool]>, &[i64]),
        stride: usize,
        sums: &mut [i64],
    ) -> Result<(), EngineFault> {
        match (&partial.kind, seen) {
            // Rows that are not seen have no units.
            (Kind::Sum { .. }, _) => each(ids, units, stride, sums, |units| units),
            (_, Some(seen)) => each(ids, seen, stride, sums, i64::from),
            (_, None) => tallied(&self.counts, stride, sums),
        }
    }

    /// One partial, by slots.
    fn slots(
        &mut self,
        (runs, narrow): (&[Range<usize>], bool),
        partial: &Partial,
        units: &[i64],
        choice: &Choice<'_>,
        stride: usize,
        sums: &mut [i64],
    ) -> Result<(), EngineFault> {
        let (rows, slots) = (self.rows.as_deref(), self.groups.len());
        let count = |slot: usize| self.counts.get(slot).copied().unwrap_or(0);
        match (&partial.kind, narrow) {
            // INVARIANT: the sum of all units of the batch fits 62 bits, so that no part of it wraps.
            (Kind::Sum { .. }, true) => {
                let add = |sum: i64, units: i64| sum.wrapping_add(units);
                add_up(runs, rows, units, slots, add, &mut self.narrow);
                let sum = |slot: usize| self.narrow.get(slot).copied().unwrap_or(0);
                spread(&self.kept, stride, sums, |slot| match choice.weighted(count(slot), sum(slot)) {
                    Some(weighted) => Ok(weighted),
                    None => choice.bounded(partial, (count(slot), i128::from(sum(slot)))),
                })
            }
            // Of 64 bits each, fewer than 2^63 of them.
            (Kind::Sum { .. }, false) => {
                let add = |sum: i128, units: i64| sum.wrapping_add(i128::from(units));
                add_up(runs, rows, units, slots, add, &mut self.wide);
                let sum = |slot: usize| self.wide.get(slot).copied().unwrap_or(0);
                spread(&self.kept, stride, sums, |slot| choice.bounded(partial, (count(slot), sum(slot))))
            }
            _ => spread(&self.kept, stride, sums, |slot| choice.bounded(partial, (count(slot), 0))),
        }
    }

    /// Gives each row its slot, and of each person's slots keeps those that it may.
    fn place(&mut self, persons: &Persons<'_>, runs: &[Range<usize>], choice: &Choice<'_>) -> Result<(), EngineFault> {
        let ids = persons.ids;
        self.counts_all = false;
        self.groups.clear();
        let of = |run: &Range<usize>| ids.get(run.clone()).unwrap_or_default();
        let one = |ids: &[u32]| ids.first().is_some_and(|first| ids.iter().all(|id| id == first));
        match runs.iter().all(|run| one(of(run))) {
            true => {
                self.rows = None;
                for run in runs {
                    self.groups.push(*ids.get(run.start).ok_or(EngineFault::Shape)?);
                }
            }
            false => self.scatter(persons, runs, choice)?,
        }
        self.kept.clear();
        self.kept.extend((0_u32..).zip(&self.groups).filter(|(_, group)| **group != OUTSIDE).map(|(s, g)| (s, *g)));
        Ok(())
    }

    /// The same where some person is in several groups.
    fn scatter(
        &mut self,
        persons: &Persons<'_>,
        runs: &[Range<usize>],
        choice: &Choice<'_>,
    ) -> Result<(), EngineFault> {
        let ids = persons.ids;
        let rows = self.rows.get_or_insert_default();
        rows.clear();
        self.last.resize(choice.groups.len(), 0);
        let most = u32::try_from(ids.len()).map_err(|_| EngineFault::Shape)?;
        if self.before.checked_add(most).is_none() {
            self.last.fill(0);
            self.before = 0;
        }
        // Each row's id is written where the next slot would be, which stays only if it is new: no branch to mispredict.
        self.groups.resize(ids.len() + 1, OUTSIDE);
        let (before, mut next) = (self.before, self.before);
        for run in runs {
            // The slots of this person are above this.
            let floor = next;
            rows.extend(ids.get(run.clone()).unwrap_or_default().iter().map(|id| {
                // The id of a row outside the public list lies beyond all of them.
                let Some(last) = self.last.get_mut(index(*id)) else { return OUTSIDE };
                if let Some(group) = self.groups.get_mut(index(next.wrapping_sub(before))) {
                    *group = *id;
                }
                let new = *last <= floor;
                next = next.wrapping_add(u32::from(new));
                *last = if new { next } else { *last };
                last.wrapping_sub(before).wrapping_sub(1)
            }));
            if index(next.wrapping_sub(floor)) > choice.groups_max {
                let own = index(floor.wrapping_sub(before))..index(next.wrapping_sub(before));
                let own = self.groups.get_mut(own).ok_or(EngineFault::Shape)?;
                let owner = *persons.owners.get(run.start).ok_or(EngineFault::Shape)?;
                let kept = choice.keep(owner, own, &mut self.ranked)?;
                for (_, slot) in self.ranked.get(kept..).unwrap_or_default() {
                    *own.get_mut(index(*slot)).ok_or(EngineFault::Shape)? = OUTSIDE;
                }
            }
        }
        self.groups.truncate(index(next.wrapping_sub(before)));
        self.before = next;
        Ok(())
    }

    /// Counts the rows of each slot that are seen.
    fn count(&mut self, runs: &[Range<usize>], seen: Option<&[bool]>) {
        if self.counts_all && seen.is_none() {
            return;
        }
        self.counts_all = seen.is_none();
        let slots = self.groups.len();
        match (self.rows.as_deref(), seen) {
            (rows, Some(seen)) => {
                let add = |count: i64, seen: bool| count.wrapping_add(i64::from(seen));
                add_up(runs, rows, seen, slots, add, &mut self.counts);
            }
            (None, None) => {
                self.counts.clear();
                self.counts.extend(runs.iter().map(|run| i64::try_from(run.len()).unwrap_or(i64::MAX)));
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

/// One partial where all rows are of one group.
fn one_group(
    (runs, narrow): (&[Range<usize>], bool),
    partial: &Partial,
    (seen, units): (Option<&[bool]>, &[i64]),
    choice: &Choice<'_>,
) -> Result<i64, EngineFault> {
    let mut all = 0_i64;
    for run in runs {
        let count = match seen {
            None => i64::try_from(run.len()).map_err(|_| EngineFault::Shape)?,
            Some(seen) => {
                let mut count = 0_i64;
                for seen in seen.get(run.clone()).ok_or(EngineFault::Shape)? {
                    count = count.wrapping_add(i64::from(*seen));
                }
                count
            }
        };
        let added = match (&partial.kind, narrow) {
            // INVARIANT: as in `slots`.
            (Kind::Sum { .. }, true) => {
                let mut sum = 0_i64;
                for units in units.get(run.clone()).ok_or(EngineFault::Shape)? {
                    sum = sum.wrapping_add(*units);
                }
                match choice.weighted(count, sum) {
                    Some(weighted) => weighted,
                    None => choice.bounded(partial, (count, i128::from(sum)))?,
                }
            }
            (Kind::Sum { .. }, false) => {
                let mut sum = 0_i128;
                for units in units.get(run.clone()).ok_or(EngineFault::Shape)? {
                    sum = sum.wrapping_add(i128::from(*units));
                }
                choice.bounded(partial, (count, sum))?
            }
            _ => choice.bounded(partial, (count, 0))?,
        };
        all = all.checked_add(added).ok_or(EngineFault::Overflow)?;
    }
    Ok(all)
}

/// Adds the value of each row to its slot.
fn add_up<T: Copy + Default, V: Copy>(
    runs: &[Range<usize>],
    rows: Option<&[u32]>,
    values: &[V],
    slots: usize,
    add: impl Fn(T, V) -> T,
    sums: &mut Vec<T>,
) {
    sums.clear();
    match rows {
        // One slot for each person, in their order.
        None => sums.extend(runs.iter().map(|run| {
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

/// Adds what each kept slot adds to the sum of its group: that at the group's id times `stride`.
fn spread(
    kept: &[(u32, u32)],
    stride: usize,
    sums: &mut [i64],
    added: impl Fn(usize) -> Result<i64, EngineFault>,
) -> Result<(), EngineFault> {
    for (slot, group) in kept {
        // The id of a row outside the public list lies beyond all sums.
        if let Some(sum) = sums.get_mut(index(*group).saturating_mul(stride)) {
            *sum = sum.checked_add(added(index(*slot))?).ok_or(EngineFault::Overflow)?;
        }
    }
    Ok(())
}

/// Adds what each row adds to the sum of its group: that at the group's id times `stride`.
fn each<V: Copy>(
    ids: &[u32],
    values: &[V],
    stride: usize,
    sums: &mut [i64],
    added: impl Fn(V) -> i64,
) -> Result<(), EngineFault> {
    for (id, value) in ids.iter().zip(values) {
        // The id of a row outside the public list lies beyond all sums.
        if let Some(sum) = sums.get_mut(index(*id).saturating_mul(stride)) {
            *sum = sum.checked_add(added(*value)).ok_or(EngineFault::Overflow)?;
        }
    }
    Ok(())
}

/// Adds to the sum of each group what was counted of it.
fn tallied(counts: &[i64], stride: usize, sums: &mut [i64]) -> Result<(), EngineFault> {
    counts.iter().zip(sums.iter_mut().step_by(stride)).try_for_each(|(count, sum)| plus(Some(sum), *count))
}

fn plus(sum: Option<&mut i64>, added: i64) -> Result<(), EngineFault> {
    let sum = sum.ok_or(EngineFault::Shape)?;
    *sum = sum.checked_add(added).ok_or(EngineFault::Overflow)?;
    Ok(())
}
