//! What does a stored column tell of another column of the same row?
//!
//! The end of a stay lies some days after its beginning; what a value can be depends on what was measured. The catalogue
//! declares both. Neither is a promise about stored rows: as with a declared bound, a release clamps to it.

use std::{collections::BTreeMap, sync::Arc};

use datafusion::{arrow::datatypes::DataType, common::ScalarValue};

use super::{
    facts::{Facts, Origin},
    range::Range,
};
use crate::catalog;

/// A column of a stored row, as long as it stands beside the other columns of that row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    /// Which scan of a table the row is of. What stands side by side above that scan is of one row of it.
    scan: usize,
    says: Says,
}

#[derive(Debug, Clone, PartialEq)]
enum Says {
    /// A date or time, or a date as a number of days: it lies so many days after the event of its row.
    After(Range),
    /// What the values of its row are of.
    Code(Arc<str>),
    /// Its values lie within the range of the code in the column of that name.
    By(Arc<str>, Arc<BTreeMap<i64, (f64, f64)>>),
}

impl Stored {
    /// What the catalogue declares of `column` in the `scan`-th table that is read.
    pub(super) fn declared(column: &catalog::Column, table: &catalog::Table, scan: usize) -> Option<Self> {
        let says = if let Some(bounds) = &column.after_event {
            Says::After(Range::new(bounds.lo, bounds.hi)?)
        } else if table.event_date.as_deref() == Some(column.name.as_str()) {
            Says::After(Range::point(0.0)?)
        } else if let Some(by) = &column.bounds_by {
            Says::By(Arc::from(by.column.as_str()), Arc::clone(&by.each))
        } else if table.columns.iter().any(|c| c.bounds_by.as_ref().is_some_and(|by| by.column == column.name)) {
            Says::Code(Arc::from(column.name.as_str()))
        } else {
            return None;
        };
        Some(Self { scan, says })
    }

    /// Either of two values of one row.
    pub(super) fn or(&self, other: &Self) -> Option<Self> {
        match (&self.says, &other.says) {
            _ if self == other => Some(self.clone()),
            (Says::After(a), Says::After(b)) if self.scan == other.scan => Some(self.after(a.union(*b))),
            _ => None,
        }
    }

    /// So many days later.
    pub(super) fn moved(&self, by: Range) -> Option<Self> {
        match &self.says {
            Says::After(days) => Some(self.after(days.plus(by)?)),
            _ => None,
        }
    }

    /// How many days after `other`, which is of the same row.
    pub(super) fn since(&self, other: &Self) -> Option<Range> {
        match (&self.says, &other.says) {
            (Says::After(a), Says::After(b)) if self.scan == other.scan => a.minus(*b),
            _ => None,
        }
    }

    /// A date as a time, as its number of days, and back: to a day.
    pub(super) fn cast(&self, from: &DataType, to: &DataType) -> Option<Self> {
        let day = |t: &DataType| matches!(t, DataType::Date32 | DataType::Int32 | DataType::Int64);
        let time = |t: &DataType| matches!(t, DataType::Timestamp(_, None));
        match (from, to) {
            (f, t) if (day(f) && day(t)) || (time(f) && time(t)) => Some(self.clone()),
            (DataType::Date32, t) if time(t) => Some(self.clone()),
            (f, DataType::Date32) if time(f) => self.moved(Range { lo: -1.0, hi: 0.0 }),
            (_, DataType::Float64) if matches!(self.says, Says::By(..)) => Some(self.clone()),
            _ => None,
        }
    }

    fn after(&self, days: Range) -> Self {
        Self { scan: self.scan, says: Says::After(days) }
    }
}

/// The range of a difference of two times of one row: what is declared of their distance, where that says more than what each
/// of them can be; and whether it does.
pub(super) fn clamped(range: Option<Range>, apart: Option<Range>) -> (Option<Range>, bool) {
    match (range, apart) {
        (Some(all), Some(apart)) => match all.intersect(apart) {
            Some(both) => (Some(both), both != all),
            None => (Some(all), false),
        },
        (all, _) => (all, false),
    }
}

/// Bounds values by the codes that conditions have left, where each of these has bounds.
pub(super) fn bound_by_codes(facts: &mut [Facts]) {
    for index in 0..facts.len() {
        let Some(known) = facts.get(index).and_then(|values| by_codes(values, facts)) else { continue };
        if let Some(values) = facts.get_mut(index) {
            let range = values.range.map_or(Some(known), |range| range.intersect(known));
            if range.is_some() && range != values.range {
                (values.range, values.holds, values.origin) = (range, false, Origin::Catalogue);
            }
        }
    }
}

fn by_codes(values: &Facts, facts: &[Facts]) -> Option<Range> {
    let Some(Stored { scan, says: Says::By(of, each) }) = &values.stored else { return None };
    let is_code = |stored: &Stored| stored.scan == *scan && stored.says == Says::Code(Arc::clone(of));
    let codes = facts.iter().find(|f| f.stored.as_ref().is_some_and(is_code))?.domain.as_ref()?;
    let range = |code: &ScalarValue| {
        let code = code.cast_to(&DataType::Int64).ok()?;
        let ScalarValue::Int64(Some(code)) = code else { return None };
        let (lo, hi) = each.get(&code)?;
        Range::new(*lo, *hi)
    };
    let all = codes.iter().map(range).collect::<Option<Vec<_>>>()?;
    all.into_iter().reduce(Range::union)
}
