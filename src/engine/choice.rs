//! Which of a person's groups are kept, and how much do its rows add there?
//!
//! By the bounds of the release and a secret that is fixed, and so the same in whatever order and batches rows come
//! (privacy.md section 3, steps 1 to 3).

use super::{
    EngineFault,
    columns::Cell,
    intern::{Group, index, mix},
    persons::Persons,
};
use crate::privacy::{Kind, Partial};

/// The bounds of one person, over the groups that are known so far.
pub(super) struct Choice<'a> {
    pub(super) groups: &'a [Group],
    pub(super) persons: &'a Persons,
    /// C.
    pub(super) groups_max: usize,
    /// m.
    pub(super) rows_per_group: i64,
}

impl Choice<'_> {
    /// Lists the places of `ids`, a person's groups, and puts those that are kept first: all, or the C with the smallest
    /// keyed hash of (person, group). Says how many are kept.
    ///
    /// # Errors
    /// [`EngineFault::Shape`] for an owner key that no person has.
    pub(super) fn keep(&self, owner: i64, ids: &[u32], ranked: &mut Vec<(u64, u32)>) -> Result<usize, EngineFault> {
        ranked.clear();
        if ids.len() <= self.groups_max {
            ranked.extend(ids.iter().zip(0_u32..).map(|(_, place)| (0, place)));
            return Ok(ranked.len());
        }
        let person = self.persons.lasting(owner)?;
        let of = |id: u32| self.groups.get(index(id));
        let rank = |id: u32| {
            let hash = of(id).map_or(0, |group| group.hash);
            mix(hash ^ mix(person ^ hash.rotate_left(32)))
        };
        ranked.extend(ids.iter().zip(0_u32..).map(|(id, place)| (rank(*id), place)));
        // Equal hashes are told apart by the keys themselves, so that the choice depends on nothing else.
        let key = |place: u32| ids.get(index(place)).and_then(|id| of(*id)).map(|group| &group.key);
        let order = |a: &(u64, u32), b: &(u64, u32)| a.0.cmp(&b.0).then_with(|| key(a.1).cmp(&key(b.1)));
        ranked.select_nth_unstable_by(self.groups_max, order);
        Ok(self.groups_max)
    }

    /// What one person adds to one group: at most m rows' worth, truncated toward zero.
    #[inline]
    pub(super) fn bounded(&self, partial: &Partial, (seen, sum): Cell) -> Result<i64, EngineFault> {
        match partial.kind {
            Kind::Rows => Ok(seen.min(self.rows_per_group)),
            Kind::Person => Ok(i64::from(seen > 0)),
            // Not a sum: see `marks.rs`.
            Kind::Values { .. } | Kind::Histogram { .. } => Ok(0),
            Kind::Sum { .. } => {
                if let Ok(sum) = i64::try_from(sum)
                    && let Some(bounded) = self.weighted(seen, sum)
                {
                    return Ok(bounded);
                }
                if seen <= self.rows_per_group {
                    return Err(EngineFault::Overflow);
                }
                let product = sum.checked_mul(i128::from(self.rows_per_group)).ok_or(EngineFault::Overflow)?;
                i64::try_from(product / i128::from(seen)).map_err(|_| EngineFault::Overflow)
            }
        }
    }

    /// A sum of so many rows, weighted down to m of them; `None` where the product on the way does not fit.
    #[inline]
    pub(super) fn weighted(&self, seen: i64, sum: i64) -> Option<i64> {
        if seen <= self.rows_per_group { Some(sum) } else { Some(sum.checked_mul(self.rows_per_group)? / seen) }
    }
}
