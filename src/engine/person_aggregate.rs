//! What do all persons together add to each group, each within their bounds?
//!
//! One pass over rows in owner order. A person's rows are folded in a scratch list by group; when the next person
//! begins, weights (m), the groups bound (C) and the clamps are applied and the bounded integers are added up
//! (privacy.md section 3, steps 1 to 4). A group leaves only if some person kept it.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Float64Type, Int64Type},
};

use super::{
    EngineFault,
    intern::{Interner, OUTSIDE, Value, index, mix},
};
use crate::privacy::{Grid, Kind, Partial, Release};

/// The bounded sums of some whole persons: for each group one sum per partial, then the persons who kept it.
pub(super) type Sums = BTreeMap<Vec<Value>, Vec<i64>>;

/// The fold over the rows of some whole persons.
pub(super) struct Fold<'a> {
    release: &'a Release,
    secret: &'a [u8; 32],
    rows_per_group: i64,
    groups_max: usize,
    interner: Interner,
    ids: Vec<u32>,
    columns: Vec<Seen>,
    person: Option<i64>,
    scratch: Scratch,
    /// One sum per group and partial, then the persons who kept the group: `groups × (partials + 1)`.
    sums: Vec<i64>,
}

/// One partial over one batch: whether each row is seen, and its units.
#[derive(Default)]
struct Seen {
    rows: Option<Vec<bool>>,
    units: Vec<i64>,
}

/// The groups of the person being folded.
#[derive(Default)]
struct Scratch {
    /// For each group id the turn in which it was last used, and its slot then.
    slots: Vec<(u32, u32)>,
    turn: u32,
    /// The group id of each slot.
    groups: Vec<u32>,
    /// For each slot and partial: rows seen, and their sum.
    cells: Vec<(i64, i128)>,
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
            interner: Interner::new(release.keys, public),
            ids: vec![],
            columns: release.partials.iter().map(|_| Seen::default()).collect(),
            person: None,
            scratch: Scratch { turn: 1, ..Scratch::default() },
            sums: vec![],
        })
    }

    /// Folds a batch; owners must come in ascending order over all batches.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<(), EngineFault> {
        let owners = batch.columns().first().ok_or(EngineFault::Shape)?;
        let owners = owners.as_primitive_opt::<Int64Type>().ok_or(EngineFault::Shape)?.values();
        let keys = batch.columns().get(1..=self.release.keys).ok_or(EngineFault::Shape)?;
        self.interner.ids(keys, batch.num_rows(), self.secret, &mut self.ids)?;
        for (partial, seen) in self.release.partials.iter().zip(&mut self.columns) {
            seen.read(partial, batch)?;
        }
        let width = self.release.partials.len();
        let ids = std::mem::take(&mut self.ids);
        self.scratch.slots.resize(self.scratch.slots.len().max(self.interner.groups().len()), (0, 0));
        for (row, (owner, id)) in owners.iter().zip(&ids).enumerate() {
            match self.person {
                Some(person) if person == *owner => {}
                Some(person) if person > *owner => return Err(EngineFault::Order),
                _ => {
                    self.close()?;
                    self.person = Some(*owner);
                }
            }
            if *id == OUTSIDE {
                continue;
            }
            let slot = self.scratch.slot(*id, width);
            let Some(cells) = self.scratch.cells.get_mut(slot * width..(slot + 1) * width) else {
                return Err(EngineFault::Shape);
            };
            for (cell, seen) in cells.iter_mut().zip(&self.columns) {
                if seen.rows.as_ref().is_none_or(|rows| rows.get(row).copied().unwrap_or(false)) {
                    cell.0 += 1;
                    cell.1 += seen.units.get(row).map_or(0, |units| i128::from(*units));
                }
            }
        }
        self.ids = ids;
        Ok(())
    }

    /// The sums of all persons folded.
    pub(super) fn finish(mut self) -> Result<Sums, EngineFault> {
        self.close()?;
        let width = self.release.partials.len() + 1;
        let mut all = Sums::new();
        for (group, sums) in self.interner.groups().iter().zip(self.sums.chunks(width)) {
            // INVARIANT: a group that nobody kept does not exist for the mechanism (privacy.md section 3.3).
            if sums.last().is_some_and(|persons| *persons > 0) {
                all.insert(group.key.clone(), sums.to_vec());
            }
        }
        Ok(all)
    }

    /// Bounds the person being folded and adds them up.
    fn close(&mut self) -> Result<(), EngineFault> {
        let Some(person) = self.person.take() else { return Ok(()) };
        let width = self.release.partials.len();
        let mut slots: Vec<usize> = (0..self.scratch.groups.len()).collect();
        if slots.len() > self.groups_max {
            slots = self.keep(person, slots);
        }
        self.sums.resize(self.interner.groups().len() * (width + 1), 0);
        for slot in slots {
            let group = index(self.scratch.groups.get(slot).copied().ok_or(EngineFault::Shape)?);
            let cells = self.scratch.cells.get(slot * width..(slot + 1) * width).ok_or(EngineFault::Shape)?;
            let sums = self.sums.get_mut(group * (width + 1)..(group + 1) * (width + 1)).ok_or(EngineFault::Shape)?;
            for ((sum, cell), partial) in sums.iter_mut().zip(cells).zip(&self.release.partials) {
                let bounded = bounded(partial, *cell, self.rows_per_group)?;
                *sum = sum.checked_add(bounded).ok_or(EngineFault::Overflow)?;
            }
            if let Some(persons) = sums.last_mut() {
                *persons += 1;
            }
        }
        self.scratch.clear();
        Ok(())
    }

    /// The C groups of this person with the smallest keyed hash of (person, group).
    fn keep(&self, person: i64, slots: Vec<usize>) -> Vec<usize> {
        let rank = |slot: &usize| {
            let group = self.scratch.groups.get(*slot).and_then(|id| self.interner.groups().get(index(*id)));
            let hash = group.map_or(0, |g| g.hash);
            (mix(hash ^ mix(person.cast_unsigned() ^ hash.rotate_left(32))), group.map(|g| &g.key))
        };
        let mut ranked: Vec<_> = slots.iter().map(|slot| (rank(slot), *slot)).collect();
        ranked.sort_unstable();
        ranked.truncate(self.groups_max);
        ranked.into_iter().map(|(_, slot)| slot).collect()
    }
}

/// What one person adds to one group: at most m rows' worth, truncated toward zero.
fn bounded(partial: &Partial, (seen, sum): (i64, i128), rows_per_group: i64) -> Result<i64, EngineFault> {
    match partial.kind {
        Kind::Rows => Ok(seen.min(rows_per_group)),
        Kind::Person => Ok(i64::from(seen > 0)),
        Kind::Sum { .. } => {
            let weighted = match seen > rows_per_group {
                true => sum.checked_mul(i128::from(rows_per_group)).ok_or(EngineFault::Overflow)? / i128::from(seen),
                false => sum,
            };
            i64::try_from(weighted).map_err(|_| EngineFault::Overflow)
        }
    }
}

impl Scratch {
    fn slot(&mut self, id: u32, width: usize) -> usize {
        let Some(place) = self.slots.get_mut(index(id)) else { return usize::MAX >> 16 };
        if place.0 != self.turn {
            *place = (self.turn, u32::try_from(self.groups.len()).unwrap_or(u32::MAX));
            self.groups.push(id);
            self.cells.resize(self.groups.len() * width, (0, 0));
        }
        index(place.1)
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

impl Seen {
    fn read(&mut self, partial: &Partial, batch: &RecordBatch) -> Result<(), EngineFault> {
        let column = |i: usize| batch.columns().get(i).ok_or(EngineFault::Shape);
        self.rows = None;
        self.units.clear();
        if let Some(filter) = partial.filter {
            let filter = column(filter)?.as_boolean_opt().ok_or(EngineFault::Shape)?;
            self.rows = Some(filter.iter().map(|passed| passed == Some(true)).collect());
        }
        let Some(argument) = partial.argument else { return Ok(()) };
        let argument = column(argument)?;
        self.only(present(argument));
        if let Kind::Sum { grid, centre, .. } = &partial.kind {
            self.units(argument, grid, *centre)?;
        }
        Ok(())
    }

    fn only(&mut self, present: Option<Vec<bool>>) {
        self.rows = match (self.rows.take(), present) {
            (Some(passed), Some(present)) => Some(passed.iter().zip(present).map(|(a, b)| *a && b).collect()),
            (a, b) => a.or(b),
        };
    }

    /// Grid units relative to the centre; zero where the row is not seen.
    fn units(&mut self, argument: &ArrayRef, grid: &Grid, centre: i64) -> Result<(), EngineFault> {
        match argument.data_type() {
            DataType::Int64 => {
                let values = argument.as_primitive::<Int64Type>().values();
                self.units.extend(values.iter().map(|v| grid.units_of_integer(*v) - centre));
            }
            DataType::Float64 => {
                let values = argument.as_primitive::<Float64Type>().values();
                self.units.extend(values.iter().map(|v| grid.units_of_float(*v).map_or(0, |units| units - centre)));
            }
            _ => return Err(EngineFault::Shape),
        }
        Ok(())
    }
}

/// Where an argument is a value: not NULL, and not NaN. `None` where every row is.
fn present(argument: &ArrayRef) -> Option<Vec<bool>> {
    let nulls = argument.logical_nulls();
    if let Some(floats) = argument.as_primitive_opt::<Float64Type>() {
        let any_nan = floats.values().iter().any(|v| v.is_nan());
        if any_nan || nulls.is_some() {
            return Some(floats.iter().map(|v| v.is_some_and(|v| !v.is_nan())).collect());
        }
        return None;
    }
    nulls.filter(|n| n.null_count() > 0).map(|nulls| nulls.iter().collect())
}
