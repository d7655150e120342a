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

    /// Whether all units of the batch add up to less than 2⁶², whatever their signs.
    pub(super) fn is_narrow(&self) -> bool {
        self.narrow
    }

    /// For `rows` rows from `from` on whether each is seen, `None` where all are, and their units; none for partials that count.
    pub(super) fn parts(&self, from: usize, rows: usize) -> Option<(Option<&[bool]>, &[i64])> {
        let seen = match &self.rows {
            Some(seen) => Some(seen.get(from..from + rows)?),
            None => None,
        };
        let units = if self.units.is_empty() { &[] } else { self.units.get(from..from + rows)? };
        Some((seen, units))
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
