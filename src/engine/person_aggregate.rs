//! What do all persons together add to each group, each within their bounds?
//!
//! One pass over rows in owner order. A person's rows are folded in a scratch list by group; when the next person
//! begins, weights (m), the groups bound (C) and the clamps are applied and the bounded integers are added up
//! (privacy.md section 3, steps 1 to 4). A group leaves only if some person kept it.

use std::{collections::BTreeSet, ops::Range};

use datafusion::arrow::{
    array::{AsArray, RecordBatch},
    compute::partition,
    datatypes::Int64Type,
};

use super::{
    EngineFault,
    columns::{Cell, Seen},
    intern::{Interner, OUTSIDE, Value, index, mix},
    marks::Marks,
    sums::{Added, Sums},
};
use crate::privacy::{Kind, Partial, Release};

/// The fold over the rows of some whole persons.
pub(super) struct Fold<'a> {
    release: &'a Release,
    secret: &'a [u8; 32],
    rows_per_group: i64,
    groups_max: usize,
    interner: Interner,
    ids: Vec<u32>,
    columns: Vec<Seen>,
    marks: Marks,
    person: Option<i64>,
    scratch: Scratch,
    /// The person's slots with their keyed hashes.
    kept: Vec<(u64, u32)>,
    /// One sum per group and partial, then the persons who kept the group: `groups × (partials + 1)`.
    sums: Vec<i64>,
}

/// The groups of the person being folded.
#[derive(Default)]
struct Scratch {
    /// For each group id the turn in which it was last used, and its slot then.
    slots: Vec<(u32, u32)>,
    turn: u32,
    /// The group id of each slot.
    groups: Vec<u32>,
    /// The slot of each of the rows being folded; [`OUTSIDE`] where it has none.
    rows: Vec<u32>,
    /// For each slot and partial: rows seen, and their sum.
    cells: Vec<Cell>,
}

impl<'a> Fold<'a> {
    pub(super) fn new(
        release: &'a Release,
        public: Option<&[BTreeSet<Value>]>,
        secret: &'a [u8; 32],
    ) -> Result<Self, EngineFault> {
        Ok(Self {
            release,
            secret,
            rows_per_group: i64::try_from(release.rows_per_group).map_err(|_| EngineFault::Shape)?,
            groups_max: usize::try_from(release.groups_max).map_err(|_| EngineFault::Shape)?,
            interner: Interner::new(release.keys, public, secret),
            ids: vec![],
            columns: release.partials.iter().map(|_| Seen::default()).collect(),
            marks: Marks::new(release, secret)?,
            person: None,
            scratch: Scratch { turn: 1, ..Scratch::default() },
            kept: vec![],
            sums: vec![],
        })
    }

    /// Folds a batch; owners must come in ascending order over all batches.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<(), EngineFault> {
        let owners = batch.columns().first().ok_or(EngineFault::Shape)?;
        let runs = partition(std::slice::from_ref(owners)).map_err(|_| EngineFault::Shape)?.ranges();
        let owners = owners.as_primitive_opt::<Int64Type>().ok_or(EngineFault::Shape)?.values();
        if !ascending(owners, &runs)
            || owners.first().is_some_and(|first| self.person.is_some_and(|last| last > *first))
        {
            return Err(EngineFault::Order);
        }
        let keys = batch.columns().get(1..=self.release.keys).ok_or(EngineFault::Shape)?;
        self.interner.ids(keys, batch.num_rows(), self.secret, &mut self.ids)?;
        for (partial, seen) in self.release.partials.iter().zip(&mut self.columns) {
            seen.read(partial, batch)?;
        }
        self.marks.read(batch)?;
        let groups = self.interner.groups().len();
        self.scratch.slots.resize(groups, (0, 0));
        self.sums.resize(groups * (self.release.partials.len() + 1), 0);
        let done = self.singles(owners, runs.len())?;
        for Range { start: from, end: to } in runs.into_iter().skip(done) {
            let owner = *owners.get(from).ok_or(EngineFault::Shape)?;
            if self.person.is_some_and(|person| person != owner) {
                self.close()?;
            }
            // Whoever begins before this batch or may go on after it is folded in the scratch list.
            let whole = self.person.is_none() && to < owners.len() && self.marks.is_empty();
            match self.one_id(from, to).filter(|_| whole) {
                Some(id) => self.in_one_group(id, from, to)?,
                None => {
                    self.person = Some(owner);
                    self.in_scratch(from, to)?;
                }
            }
        }
        Ok(())
    }

    /// The group that all of these rows share.
    fn one_id(&self, from: usize, to: usize) -> Option<u32> {
        let ids = self.ids.get(from..to).unwrap_or_default();
        let first = ids.first()?;
        (self.release.keys == 0 || ids.iter().all(|id| id == first)).then_some(*first)
    }

    /// Where every person of the batch has a single row: folds all of them but those at the ends, who may have more in
    /// other batches, column by column. Says up to which row it came.
    ///
    /// One row is one group, at most C, and counts at most m times: there is nothing to choose and nothing to weigh.
    fn singles(&mut self, owners: &[i64], runs: usize) -> Result<usize, EngineFault> {
        let (Some(first), Some(last)) = (owners.first(), owners.len().checked_sub(1)) else { return Ok(0) };
        if runs != owners.len() || runs < 3 || !self.marks.is_empty() {
            return Ok(0);
        }
        let from = usize::from(self.person == Some(*first));
        self.in_scratch(0, from)?;
        self.close()?;
        let width = self.release.partials.len();
        let ids = self.ids.get(from..last).ok_or(EngineFault::Shape)?;
        for (place, (partial, seen)) in self.release.partials.iter().zip(&self.columns).enumerate() {
            let sums = self.sums.get_mut(place..).ok_or(EngineFault::Shape)?;
            let counted = !matches!(partial.kind, Kind::Sum { .. });
            seen.add_each(from..last, ids, counted, width + 1, sums)?;
        }
        let persons = self.sums.get_mut(width..).ok_or(EngineFault::Shape)?;
        Seen::default().add_each(from..last, ids, true, width + 1, persons)?;
        Ok(last)
    }

    /// A whole person in a single group: nothing to choose, straight to the sums.
    fn in_one_group(&mut self, id: u32, from: usize, to: usize) -> Result<(), EngineFault> {
        if id == OUTSIDE {
            return Ok(());
        }
        let width = self.release.partials.len();
        let sums = self.sums.get_mut(index(id) * (width + 1)..).ok_or(EngineFault::Shape)?;
        for place in 0..width {
            let known = (self.release.partials.get(place), self.columns.get(place), sums.get_mut(place));
            let (Some(partial), Some(seen), Some(sum)) = known else { return Err(EngineFault::Shape) };
            let bounded = bounded(partial, seen.over(from, to), self.rows_per_group)?;
            *sum = sum.checked_add(bounded).ok_or(EngineFault::Overflow)?;
        }
        *sums.get_mut(width).ok_or(EngineFault::Shape)? += 1;
        Ok(())
    }

    /// Some rows of the person being folded, group by group.
    fn in_scratch(&mut self, from: usize, to: usize) -> Result<(), EngineFault> {
        let width = self.release.partials.len();
        self.scratch.place(self.ids.get(from..to).ok_or(EngineFault::Shape)?, width);
        for (place, seen) in self.columns.iter().enumerate() {
            let cells = self.scratch.cells.get_mut(place..).unwrap_or_default();
            seen.add_cells(from..to, &self.scratch.rows, width, cells)?;
        }
        if self.marks.is_empty() {
            return Ok(());
        }
        for (row, slot) in (from..to).zip(&self.scratch.rows).filter(|(_, slot)| **slot != OUTSIDE) {
            let columns = &self.columns;
            self.marks.note(*slot, row, |place| columns.get(place).is_some_and(|seen| seen.sees(row)));
        }
        Ok(())
    }

    /// The sums of all persons folded.
    pub(super) fn finish(mut self) -> Result<Sums, EngineFault> {
        self.close()?;
        let width = self.release.partials.len() + 1;
        let mut all = Sums::new();
        for ((id, group), sums) in (0_u32..).zip(self.interner.groups()).zip(self.sums.chunks(width)) {
            // INVARIANT: a group that nobody kept does not exist for the mechanism (privacy.md section 3.3).
            if sums.last().is_some_and(|persons| *persons > 0) {
                all.insert(group.key.clone(), Added { sums: sums.to_vec(), marked: self.marks.take(id) });
            }
        }
        Ok(all)
    }

    /// Bounds the person being folded and adds them up.
    fn close(&mut self) -> Result<(), EngineFault> {
        let Some(person) = self.person.take() else { return Ok(()) };
        let width = self.release.partials.len();
        let kept = self.keep(person);
        self.marks.settle();
        for place in 0..kept {
            let slot = index(self.kept.get(place).map_or(u32::MAX, |(_, slot)| *slot));
            let group = index(self.scratch.groups.get(slot).copied().ok_or(EngineFault::Shape)?);
            let cells = self.scratch.cells.get(slot * width..(slot + 1) * width).ok_or(EngineFault::Shape)?;
            let sums = self.sums.get_mut(group * (width + 1)..(group + 1) * (width + 1)).ok_or(EngineFault::Shape)?;
            for (place, cell) in cells.iter().enumerate() {
                let known = (self.release.partials.get(place), sums.get_mut(place));
                let (Some(partial), Some(sum)) = known else { return Err(EngineFault::Shape) };
                let bounded = bounded(partial, *cell, self.rows_per_group)?;
                *sum = sum.checked_add(bounded).ok_or(EngineFault::Overflow)?;
            }
            *sums.get_mut(width).ok_or(EngineFault::Shape)? += 1;
            let seen = |place: usize| cells.get(place).map_or(0, |cell| cell.0);
            let (slot, group) = (u32::try_from(slot), u32::try_from(group));
            let (Ok(slot), Ok(group)) = (slot, group) else { return Err(EngineFault::Shape) };
            self.marks.add(person, slot, group, seen)?;
        }
        self.marks.clear();
        self.scratch.clear();
        Ok(())
    }

    /// Lists the slots of this person that are kept: all, or the C groups with the smallest keyed hash of (person,
    /// group). Says how many stand first in the list.
    fn keep(&mut self, person: i64) -> usize {
        self.kept.clear();
        let ids = self.scratch.groups.iter();
        if self.scratch.groups.len() <= self.groups_max {
            self.kept.extend(ids.zip(0_u32..).map(|(_, slot)| (0, slot)));
            return self.kept.len();
        }
        let groups = self.interner.groups();
        let of = |id: u32| groups.get(index(id));
        let rank = |id: u32| {
            let hash = of(id).map_or(0, |group| group.hash);
            mix(hash ^ mix(person.cast_unsigned() ^ hash.rotate_left(32)))
        };
        self.kept.extend(ids.zip(0_u32..).map(|(id, slot)| (rank(*id), slot)));
        // Equal hashes are told apart by the keys themselves, so that the choice depends on nothing else.
        let key = |slot: u32| self.scratch.groups.get(index(slot)).and_then(|id| of(*id)).map(|group| &group.key);
        let order = |a: &(u64, u32), b: &(u64, u32)| a.0.cmp(&b.0).then_with(|| key(a.1).cmp(&key(b.1)));
        self.kept.select_nth_unstable_by(self.groups_max, order);
        self.groups_max
    }
}

/// Whether each run belongs to a later person than the one before.
fn ascending(owners: &[i64], runs: &[Range<usize>]) -> bool {
    runs.iter().filter_map(|run| owners.get(run.start)).is_sorted_by(|a, b| a < b)
}

/// What one person adds to one group: at most m rows' worth, truncated toward zero.
#[inline]
fn bounded(partial: &Partial, (seen, sum): (i64, i128), rows_per_group: i64) -> Result<i64, EngineFault> {
    match partial.kind {
        Kind::Rows => Ok(seen.min(rows_per_group)),
        Kind::Person => Ok(i64::from(seen > 0)),
        // Not a sum: see `marks.rs`.
        Kind::Values { .. } | Kind::Histogram { .. } => Ok(0),
        Kind::Sum { .. } => {
            if seen <= rows_per_group {
                return i64::try_from(sum).map_err(|_| EngineFault::Overflow);
            }
            // Both ways truncate toward zero; most products fit the faster one.
            if let Some(product) = i64::try_from(sum).ok().and_then(|sum| sum.checked_mul(rows_per_group)) {
                return Ok(product / seen);
            }
            let product = sum.checked_mul(i128::from(rows_per_group)).ok_or(EngineFault::Overflow)?;
            i64::try_from(product / i128::from(seen)).map_err(|_| EngineFault::Overflow)
        }
    }
}

impl Scratch {
    /// Gives each of these rows of the person its slot.
    fn place(&mut self, ids: &[u32], width: usize) {
        self.rows.clear();
        for id in ids {
            // The id of a row outside the public list lies beyond all of them.
            let slot = self.slots.get_mut(index(*id)).map_or(OUTSIDE, |place| {
                if place.0 != self.turn {
                    *place = (self.turn, u32::try_from(self.groups.len()).unwrap_or(OUTSIDE));
                    self.groups.push(*id);
                }
                place.1
            });
            self.rows.push(slot);
        }
        self.cells.resize(self.groups.len() * width, (0, 0));
    }

    fn clear(&mut self) {
        self.groups.clear();
        self.cells.clear();
        self.turn = match self.turn.checked_add(1) {
            Some(next) => next,
            None => {
                self.slots.fill((0, 0));
                1
            }
        };
    }
}
