//! Which rows does each partial see, and how many units does each of them add?

use std::ops::Range;

use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Float64Type, Int64Type},
};

use super::{EngineFault, intern::index};
use crate::privacy::{Kind, Partial};

/// Rows seen, and the sum of their units.
pub(super) type Cell = (i64, i128);

/// One partial over one batch.
#[derive(Default)]
pub(super) struct Seen {
    /// Whether each row is seen; `None` where every row is.
    rows: Option<Vec<bool>>,
    /// Grid units relative to the centre, zero where the row is not seen; empty for partials that count.
    units: Vec<i64>,
    /// No row of a batch so far was further from zero than this allows to add up in 64 bits.
    narrow: bool,
}

impl Seen {
    /// Reads what `partial` sees of `batch`.
    pub(super) fn read(&mut self, partial: &Partial, batch: &RecordBatch) -> Result<(), EngineFault> {
        let column = |i: usize| batch.columns().get(i).ok_or(EngineFault::Shape);
        self.rows = None;
        self.units.clear();
        self.narrow = false;
        if let Some(filter) = partial.filter {
            let filter = column(filter)?.as_boolean_opt().ok_or(EngineFault::Shape)?;
            self.rows = Some(filter.iter().map(|passed| passed == Some(true)).collect());
        }
        let Some(argument) = partial.argument else { return Ok(()) };
        let argument = column(argument)?;
        self.only(present(argument));
        if let Kind::Sum { grid, centre, .. } = &partial.kind {
            match argument.data_type() {
                DataType::Int64 => {
                    grid.units_of_integers(argument.as_primitive::<Int64Type>().values(), *centre, &mut self.units);
                }
                DataType::Float64 => {
                    grid.units_of_floats(argument.as_primitive::<Float64Type>().values(), *centre, &mut self.units);
                }
                _ => return Err(EngineFault::Shape),
            }
            if let Some(rows) = &self.rows {
                self.units.iter_mut().zip(rows).for_each(|(units, seen)| *units *= i64::from(*seen));
            }
            let farthest = grid.lo.abs_diff(*centre).max(grid.hi.abs_diff(*centre));
            let all = u64::try_from(batch.num_rows()).ok().and_then(|rows| farthest.checked_mul(rows));
            self.narrow = all.is_some_and(|all| all < 1 << 62);
        }
        Ok(())
    }

    /// How many of the rows from `from` up to `to` are seen, and the sum of their units.
    #[inline]
    pub(super) fn over(&self, from: usize, to: usize) -> Cell {
        let seen = match &self.rows {
            None => to - from,
            Some(rows) => rows.get(from..to).unwrap_or_default().iter().filter(|seen| **seen).count(),
        };
        // Counting partials have no units: the slice is empty.
        let units = self.units.get(from..to).unwrap_or_default();
        let sum = match self.narrow {
            // INVARIANT: the sum of all units of the batch fits 62 bits, so that no part of it wraps.
            true => i128::from(units.iter().fold(0_i64, |sum, units| sum.wrapping_add(*units))),
            false => units.iter().fold(0_i128, |sum, units| sum + i128::from(*units)),
        };
        (i64::try_from(seen).unwrap_or(i64::MAX), sum)
    }

    /// Whether this row is seen.
    #[inline]
    pub(super) fn sees(&self, row: usize) -> bool {
        self.rows.as_ref().is_none_or(|rows| rows.get(row).copied().unwrap_or(false))
    }

    /// Adds what each of `rows` has to the cell of its slot: that at the slot times `stride`.
    pub(super) fn add_cells(
        &self,
        rows: Range<usize>,
        slots: &[u32],
        stride: usize,
        cells: &mut [Cell],
    ) -> Result<(), EngineFault> {
        // The slot of a row without one lies beyond all cells.
        let place = |slot: u32| index(slot).saturating_mul(stride);
        match &self.rows {
            None => {
                for slot in slots {
                    if let Some(cell) = cells.get_mut(place(*slot)) {
                        cell.0 += 1;
                    }
                }
            }
            Some(seen) => {
                for (slot, seen) in slots.iter().zip(seen.get(rows.clone()).ok_or(EngineFault::Shape)?) {
                    if let Some(cell) = cells.get_mut(place(*slot)) {
                        cell.0 += i64::from(*seen);
                    }
                }
            }
        }
        if !self.units.is_empty() {
            // Rows that are not seen have no units.
            for (slot, units) in slots.iter().zip(self.units.get(rows).ok_or(EngineFault::Shape)?) {
                if let Some(cell) = cells.get_mut(place(*slot)) {
                    cell.1 += i128::from(*units);
                }
            }
        }
        Ok(())
    }

    /// Adds what each of `rows` has, a seen row or its units, to the sum of its group: that at the group's id times
    /// `stride`.
    pub(super) fn add_each(
        &self,
        rows: Range<usize>,
        ids: &[u32],
        counted: bool,
        stride: usize,
        sums: &mut [i64],
    ) -> Result<(), EngineFault> {
        let mut overflow = false;
        // The id of a row outside the public list lies beyond all sums.
        let mut add = |id: u32, units: i64| {
            if let Some(sum) = sums.get_mut(index(id).saturating_mul(stride)) {
                let (total, wrapped) = sum.overflowing_add(units);
                *sum = total;
                overflow |= wrapped;
            }
        };
        match (&self.rows, counted) {
            (None, true) => ids.iter().for_each(|id| add(*id, 1)),
            (Some(seen), true) => {
                let seen = seen.get(rows).ok_or(EngineFault::Shape)?;
                ids.iter().zip(seen).for_each(|(id, seen)| add(*id, i64::from(*seen)));
            }
            // Rows that are not seen have no units.
            (_, false) => {
                let units = self.units.get(rows).ok_or(EngineFault::Shape)?;
                ids.iter().zip(units).for_each(|(id, units)| add(*id, *units));
            }
        }
        if overflow { Err(EngineFault::Overflow) } else { Ok(()) }
    }

    fn only(&mut self, present: Option<Vec<bool>>) {
        self.rows = match (self.rows.take(), present) {
            (Some(passed), Some(present)) => Some(passed.iter().zip(present).map(|(a, b)| *a && b).collect()),
            (a, b) => a.or(b),
        };
    }
}

/// Where an argument is a value: not NULL, and not NaN. `None` where every row is.
fn present(argument: &ArrayRef) -> Option<Vec<bool>> {
    let nulls = argument.logical_nulls().filter(|n| n.null_count() > 0);
    let mut present: Option<Vec<bool>> = nulls.map(|nulls| nulls.iter().collect());
    if let Some(floats) = argument.as_primitive_opt::<Float64Type>()
        && floats.values().iter().fold(false, |any, value| any | value.is_nan())
    {
        let rows = present.get_or_insert_with(|| vec![true; floats.len()]);
        rows.iter_mut().zip(floats.values()).for_each(|(present, value)| *present &= !value.is_nan());
    }
    present
}
