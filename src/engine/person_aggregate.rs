//! What do all persons together add to each group, each within their bounds?
//!
//! One pass over rows in owner order. A person's rows are folded in a scratch list by group; when the next person
//! begins, weights (m), the groups bound (C) and the clamps are applied and the bounded integers are added up
//! (privacy.md section 3, steps 1 to 4). A group leaves only if some person kept it.

use std::{collections::BTreeSet, ops::Range};

use datafusion::arrow::{
    array::{AsArray, RecordBatch},
    datatypes::Int64Type,
};

use super::{
    EngineFault,
    choice::Choice,
    columns::{Cell, Seen},
    intern::{Interner, OUTSIDE, Value, index},
    marks::Marks,
    persons::Persons,
    sums::{Added, Sums},
    whole::{self, Whole},
};
use crate::privacy::Release;

/// The fold over the rows of some whole persons.
pub(super) struct Fold<'a> {
    release: &'a Release,
    secret: &'a [u8; 32],
    persons: Persons,
    interner: Interner,
    ids: Vec<u32>,
    columns: Vec<Seen>,
    marks: Marks,
    person: Option<i64>,
    scratch: Scratch,
    whole: Whole,
    /// The rows of each person of a batch.
    runs: Vec<Range<usize>>,
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
        persons: Persons,
    ) -> Result<Self, EngineFault> {
        Ok(Self {
            release,
            secret,
            persons,
            interner: Interner::new(release.keys, public, secret),
            ids: vec![],
            columns: release.partials.iter().map(|_| Seen::default()).collect(),
            marks: Marks::new(release, secret)?,
            person: None,
            scratch: Scratch { turn: 1, ..Scratch::default() },
            whole: Whole::default(),
            runs: vec![],
            kept: vec![],
            sums: vec![],
        })
    }

    /// Folds a batch; owners must come in ascending order over all batches.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<(), EngineFault> {
        let owners = batch.columns().first().and_then(|owners| owners.as_primitive_opt::<Int64Type>());
        let owners = owners.ok_or(EngineFault::Shape)?.values();
        let keys = batch.columns().get(1..=self.release.keys).ok_or(EngineFault::Shape)?;
        self.interner.ids(keys, batch.num_rows(), self.secret, &mut self.ids)?;
        for (partial, seen) in self.release.partials.iter().zip(&mut self.columns) {
            seen.read(partial, batch)?;
        }
        self.marks.read(batch)?;
        let groups = self.interner.groups().len();
        self.scratch.slots.resize(groups, (0, 0));
        self.sums.resize(groups * (self.release.partials.len() + 1), 0);
        // At most m rows of one person in at most C groups: with one row each there is nothing to choose or to weigh.
        let bounds = self.release.rows_per_group.min(self.release.groups_max);
        if self.marks.is_empty() && bounds > 0 && groups <= SINGLE_GROUPS_MAX && one_each(owners) {
            return self.fold_single(owners);
        }
        let mut runs = std::mem::take(&mut self.runs);
        runs_of(owners, &mut runs);
        self.fold(owners, &mut runs)?;
        self.runs = runs;
        Ok(())
    }

    /// Folds the rows of persons who have one each.
    fn fold_single(&mut self, owners: &[i64]) -> Result<(), EngineFault> {
        let (Some(first), Some(last)) = (owners.first().copied(), owners.last().copied()) else { return Ok(()) };
        if self.person.is_some_and(|person| person > first) {
            return Err(EngineFault::Order);
        }
        // Whoever begins before this batch, or may go on after it, is folded in the scratch list.
        let (begun, end) = (usize::from(self.person == Some(first)), owners.len() - 1);
        if begun > end {
            return self.in_scratch(first, 0..1);
        }
        if begun > 0 {
            self.in_scratch(first, 0..1)?;
        }
        self.close()?;
        self.whole(owners, begun..end, None)?;
        self.in_scratch(last, end..owners.len())
    }

    /// Folds the rows of each person in turn.
    fn fold(&mut self, owners: &[i64], runs: &mut Vec<Range<usize>>) -> Result<(), EngineFault> {
        let owner = |run: &Range<usize>| owners.get(run.start).copied().ok_or(EngineFault::Shape);
        let (Some(first), Some(last)) = (runs.first().map(owner).transpose()?, runs.pop()) else { return Ok(()) };
        let ascending = runs.iter().chain([&last]).is_sorted_by(|a, b| owners.get(a.start) < owners.get(b.start));
        if !ascending || self.person.is_some_and(|person| person > first) {
            return Err(EngineFault::Order);
        }
        // Whoever begins before this batch, or may go on after it, is folded in the scratch list.
        let begun = usize::from(self.person == Some(first)).min(runs.len());
        if self.marks.is_empty() {
            for run in runs.iter().take(begun) {
                self.in_scratch(owner(run)?, run.clone())?;
            }
            if let Some(next) = runs.get(begun).map(|run| run.start) {
                self.close()?;
                let whole = runs.get_mut(begun..).unwrap_or_default();
                whole.iter_mut().for_each(|run| *run = run.start - next..run.end - next);
                self.whole(owners, next..last.start, Some(whole))?;
            }
        } else {
            for run in runs.iter() {
                self.in_scratch(owner(run)?, run.clone())?;
            }
        }
        self.in_scratch(owner(&last)?, last)
    }

    /// Folds the persons of these rows, all of whose rows they are.
    fn whole(&mut self, owners: &[i64], rows: Range<usize>, runs: Option<&[Range<usize>]>) -> Result<(), EngineFault> {
        let (owners, ids) = (owners.get(rows.clone()), self.ids.get(rows.clone()));
        let (Some(owners), Some(ids)) = (owners, ids) else { return Err(EngineFault::Shape) };
        let persons = whole::Persons { from: rows.start, owners, ids, keyless: self.release.keys == 0, runs };
        let choice = choice(self.release, &self.interner, &self.persons)?;
        self.whole.add(&persons, self.release.partials.iter().zip(&self.columns), &choice, &mut self.sums)
    }

    /// Some rows of one person, group by group; another person that is being folded ends.
    fn in_scratch(&mut self, person: i64, rows: Range<usize>) -> Result<(), EngineFault> {
        if self.person.is_some_and(|before| before != person) {
            self.close()?;
        }
        self.person = Some(person);
        let Range { start: from, end: to } = rows;
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
        let choice = choice(self.release, &self.interner, &self.persons)?;
        let kept = choice.keep(person, &self.scratch.groups, &mut self.kept)?;
        self.marks.settle();
        for place in 0..kept {
            let slot = index(self.kept.get(place).map_or(u32::MAX, |(_, slot)| *slot));
            let group = index(self.scratch.groups.get(slot).copied().ok_or(EngineFault::Shape)?);
            let cells = self.scratch.cells.get(slot * width..(slot + 1) * width).ok_or(EngineFault::Shape)?;
            let sums = self.sums.get_mut(group * (width + 1)..(group + 1) * (width + 1)).ok_or(EngineFault::Shape)?;
            for (place, cell) in cells.iter().enumerate() {
                let known = (self.release.partials.get(place), sums.get_mut(place));
                let (Some(partial), Some(sum)) = known else { return Err(EngineFault::Shape) };
                let bounded = choice.bounded(partial, *cell)?;
                *sum = sum.checked_add(bounded).ok_or(EngineFault::Overflow)?;
            }
            *sums.get_mut(width).ok_or(EngineFault::Shape)? += 1;
            let seen = |place: usize| cells.get(place).map_or(0, |cell| cell.0);
            let (slot, group) = (u32::try_from(slot), u32::try_from(group));
            let (Ok(slot), Ok(group)) = (slot, group) else { return Err(EngineFault::Shape) };
            self.marks.add(choice.persons.lasting(person)?, slot, group, seen)?;
        }
        self.marks.clear();
        self.scratch.clear();
        Ok(())
    }
}

/// The bounds of each person, over the groups that are known so far.
fn choice<'a>(release: &Release, interner: &'a Interner, persons: &'a Persons) -> Result<Choice<'a>, EngineFault> {
    let groups_max = usize::try_from(release.groups_max).map_err(|_| EngineFault::Shape)?;
    let rows_per_group = i64::try_from(release.rows_per_group).map_err(|_| EngineFault::Shape)?;
    Ok(Choice { groups: interner.groups(), persons, groups_max, rows_per_group })
}

/// Whether each owner is above the one before it.
fn one_each(owners: &[i64]) -> bool {
    // A block at a time, so that several are compared at once and the first of many rows of one person ends it.
    let behind = owners.get(1..).unwrap_or_default();
    owners.chunks(BLOCK).zip(behind.chunks(BLOCK)).all(|(owners, behind)| {
        let mut ascending = true;
        for (owner, next) in owners.iter().zip(behind) {
            ascending &= owner < next;
        }
        ascending
    })
}

const BLOCK: usize = 64;

/// As many groups as are counted anew in each batch.
const SINGLE_GROUPS_MAX: usize = 4096;

/// The rows of each owner, where equal ones stand together.
fn runs_of(owners: &[i64], runs: &mut Vec<Range<usize>>) {
    runs.clear();
    let mut from = 0;
    for run in owners.chunk_by(|a, b| a == b) {
        runs.push(from..from + run.len());
        from += run.len();
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::{
        arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array},
        common::DFSchema,
        logical_expr::{EmptyRelation, LogicalPlan},
    };

    use super::*;
    use crate::{
        engine::intern::mix,
        privacy::{Grid, Kind, Origin, Partial},
    };

    /// The n-th of a fixed sequence of numbers below `most`.
    fn drawn(n: &mut u64, most: u64) -> u64 {
        *n += 1;
        mix(*n) % most
    }

    /// Owner, key, two numbers and a filter, each with its NULLs, of persons with one row and with hundreds.
    fn rows(seed: u64, rows_each: &[u64], keys: u64) -> RecordBatch {
        let mut n = seed << 32;
        let (mut owners, mut key, mut numbers, mut wide, mut filter) = (vec![], vec![], vec![], vec![], vec![]);
        for owner in 0..1_500 {
            let most = rows_each[usize::try_from(drawn(&mut n, rows_each.len() as u64)).unwrap()];
            for _ in 0..=drawn(&mut n, most) {
                owners.push(owner * 3);
                key.push((drawn(&mut n, 9) > 0).then_some(i64::try_from(drawn(&mut n, keys)).unwrap()));
                let number = i32::try_from(drawn(&mut n, 400)).unwrap();
                numbers.push(match number {
                    0..10 => None,
                    10..15 => Some(f64::NAN),
                    number => Some(f64::from(number) / 4.0),
                });
                wide.push(Some(mix(n).cast_signed() >> drawn(&mut n, 60)));
                filter.push((number % 7 > 0).then_some(number % 3 > 0));
            }
        }
        let columns: [ArrayRef; 5] = [
            Arc::new(Int64Array::from(owners)),
            Arc::new(Int64Array::from(key)),
            Arc::new(Float64Array::from(numbers)),
            Arc::new(Int64Array::from(wide)),
            Arc::new(BooleanArray::from(filter)),
        ];
        RecordBatch::try_from_iter(["o", "k", "x", "y", "f"].into_iter().zip(columns)).unwrap()
    }

    fn release(keys: usize, rows_per_group: u64, groups_max: u64, work: &RecordBatch) -> Release {
        let wide = 1 << 50;
        let sum = |lo, hi, step, centre| Kind::Sum { grid: Grid { lo, hi, step }, centre, origin: Origin::Catalogue };
        let partial = |kind, argument, filter| Partial { kind, argument, filter };
        let empty = EmptyRelation { produce_one_row: false, schema: Arc::new(DFSchema::empty()) };
        Release {
            dataset: "demo".parse().unwrap(),
            population: "jp".parse().unwrap(),
            input: LogicalPlan::EmptyRelation(empty),
            keys,
            public_groups: None,
            spelled: true,
            partials: vec![
                partial(Kind::Rows, None, None),
                partial(Kind::Rows, Some(2), Some(4)),
                partial(sum(-40, 300, 0.25, 7), Some(2), None),
                partial(Kind::Person, None, Some(4)),
                partial(sum(-wide, wide, 1.0, 0), Some(3), Some(4)),
                partial(sum(0, 90, 1.0, 45), Some(3), None),
            ],
            rows_per_group,
            groups_max,
            rows_max: work.num_rows() as u64,
            outputs: vec![],
            schema: Arc::new(DFSchema::empty()),
        }
    }

    fn folded(release: &Release, public: Option<&[BTreeSet<Value>]>, rows: &RecordBatch, size: usize) -> Vec<String> {
        let secret = [7; 32];
        let mut fold = Fold::new(release, public, &secret, Persons::default()).unwrap();
        let mut from = 0;
        while from < rows.num_rows() {
            let length = size.min(rows.num_rows() - from);
            fold.add(&rows.slice(from, length)).unwrap();
            from += length;
        }
        let sums = fold.finish().unwrap();
        sums.iter().map(|(key, added)| format!("{key:?} {:?}", added.sums)).collect()
    }

    /// Row by row everybody is folded in the scratch list; in larger batches most are whole.
    #[test]
    fn however_rows_are_cut_into_batches_they_come_to_the_same() {
        let public = [BTreeSet::from([Value::Null, Value::Int(0), Value::Int(3), Value::Int(99)])];
        let mut compared = 0;
        for (seed, rows_each) in [[1, 1, 1].as_slice(), &[1, 4, 30], &[12], &[1, 2, 700]].iter().enumerate() {
            for (keys, values) in [(0, 1), (1, 1), (1, 6), (1, 500)] {
                let all = rows(seed as u64, rows_each, values);
                for (m, c) in [(1, 1), (3, 2), (1_000, 1_000)] {
                    let release = release(keys, m, c, &all);
                    for public in [None, Some(&public[..])] {
                        let public = public.filter(|_| keys == 1);
                        let one_by_one = folded(&release, public, &all, 1);
                        assert!(!one_by_one.is_empty());
                        for size in [2, 97, 8_192, all.num_rows()] {
                            assert_eq!(
                                folded(&release, public, &all, size),
                                one_by_one,
                                "{seed} {keys} {m} {c} {size}"
                            );
                            compared += one_by_one.len();
                        }
                    }
                }
            }
        }
        assert!(compared > 10_000, "{compared}");
    }

    /// With one person fewer everybody behind has another owner key: the sums differ by that person's groups alone.
    #[test]
    fn whoever_comes_or_leaves_moves_nobody_elses_choice() {
        let all = rows(5, &[40], 30);
        let owners = all.column(0).as_primitive::<Int64Type>().values().to_vec();
        let without = |gone: i64| {
            let stays: BooleanArray = owners.iter().map(|owner| Some(*owner != gone)).collect();
            datafusion::arrow::compute::filter_record_batch(&all, &stays).unwrap()
        };
        let secret = [7; 32];
        let summed = |rows: &RecordBatch, size: usize, lasting: bool| {
            let sources: Vec<i64> = rows.column(0).as_primitive::<Int64Type>().values().to_vec();
            let mut persons = sources.clone();
            persons.dedup();
            let dense: Int64Array =
                sources.iter().map(|owner| 100 + persons.partition_point(|p| p < owner) as i64).collect();
            let mut columns = rows.columns().to_vec();
            columns[0] = Arc::new(dense);
            let rows = RecordBatch::try_new(rows.schema(), columns).unwrap();
            let release = release(1, 3, 2, &rows);
            let pseudonyms = persons.iter().map(|source| mix(source.cast_unsigned()).cast_signed()).collect();
            let persons = if lasting { Persons::numbered(100, pseudonyms) } else { Persons::default() };
            let mut fold = Fold::new(&release, None, &secret, persons).unwrap();
            for from in (0..rows.num_rows()).step_by(size) {
                fold.add(&rows.slice(from, size.min(rows.num_rows() - from))).unwrap();
            }
            let sums = fold.finish().unwrap();
            sums.into_iter().map(|(key, added)| (key, *added.sums.last().unwrap())).collect::<Vec<_>>()
        };
        let apart = |a: &[(Vec<Value>, i64)], b: &[(Vec<Value>, i64)]| -> i64 {
            let of = |list: &[(Vec<Value>, i64)], key| list.iter().find(|(k, _)| k == key).map_or(0, |(_, n)| *n);
            a.iter().map(|(key, n)| (n - of(b, key)).abs()).sum()
        };
        for gone in [0, 3, 300, 2_997, 4_497] {
            for size in [1, 8_192] {
                let (with, without) = (summed(&all, size, true), summed(&without(gone), size, true));
                assert!(apart(&with, &without) <= 2, "{gone} {size}: {}", apart(&with, &without));
            }
        }
        let moved = apart(&summed(&all, 8_192, false), &summed(&without(0), 8_192, false));
        assert!(moved > 100, "this test would not see it: {moved}");
    }

    #[test]
    fn owner_keys_that_no_person_has_are_a_fault() {
        let persons = Persons::numbered(10, vec![7, 8]);
        assert_eq!(persons.lasting(11).unwrap(), 8);
        for owner in [9, 12, i64::MIN] {
            assert!(matches!(persons.lasting(owner), Err(EngineFault::Shape)), "{owner}");
        }
    }

    #[test]
    fn owners_that_do_not_ascend_are_a_fault() {
        let all = rows(0, &[5], 3);
        let (release, secret) = (release(1, 2, 2, &all), [7; 32]);
        let batch = |owners: &[usize]| {
            let from = |owner: &usize| {
                all.column(0).as_primitive::<Int64Type>().values().partition_point(|o| o < &(3 * *owner as i64))
            };
            let parts: Vec<_> =
                owners.iter().map(|owner| all.slice(from(owner), from(&(owner + 1)) - from(owner))).collect();
            datafusion::arrow::compute::concat_batches(&all.schema(), &parts).unwrap()
        };
        for batches in [vec![batch(&[2, 1, 3])], vec![batch(&[1, 3, 2])], vec![batch(&[1, 2]), batch(&[1])]] {
            let mut fold = Fold::new(&release, None, &secret, Persons::default()).unwrap();
            let done = batches.iter().try_for_each(|batch| fold.add(batch));
            assert!(matches!(done, Err(EngineFault::Order)), "{done:?}");
        }
    }
}
