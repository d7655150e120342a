//! Do the rows of a person fit together, and in what order do they lie?
//!
//! All rows of a bucket of persons are together here, so that links, maxima and order can be settled person by person:
//! links to rows that are missing or another person's are cut, a person's rows above the declared maximum are dropped by
//! the total order (owner key, event date, remaining columns), and the rest is written in that order.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering as Memory},
        mpsc::sync_channel,
    },
    thread,
};

use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, make_comparator},
    buffer::BooleanBuffer,
    compute::{SortOptions, filter_record_batch, take_record_batch},
    datatypes::{DataType, Date32Type, Int64Type, UInt64Type},
};

use super::{
    check::{without, zeroed},
    fault::{IngestFault, disk},
    plan::{Cut, Link, Plan, TablePlan},
    report::{Emptied, Reason, TableQuality},
    scatter::Scattered,
    write::{Protection, TableFile},
};
use crate::{catalog::OutsideRule, engine::layout::FileEntry};

/// Ascending, NULL last: what SQL's ORDER BY means by default.
const ASCENDING: SortOptions = SortOptions { descending: false, nulls_first: false };

/// The keys of a table that others refer to, and whose rows they are.
type Keys = HashMap<i64, i64>;

/// The keys of Reference tables by table.
pub(super) type ReferenceKeys = HashMap<String, HashSet<i64>>;

/// What one range became: for each unit table, in the order of the plan.
pub(super) struct Arranged {
    pub(super) tables: Vec<ArrangedTable>,
}

/// One table of one range.
pub(super) struct ArrangedTable {
    pub(super) file: FileEntry,
    pub(super) found: TableQuality,
    pub(super) rejects: Vec<(u64, Reason)>,
}

/// What writing a range needs to know.
pub(super) struct Arrangement<'a> {
    pub(super) plan: &'a Plan<'a>,
    /// For each unit table of the plan its rows, if the source delivers it.
    pub(super) scattered: &'a [Option<Scattered>],
    pub(super) references: &'a ReferenceKeys,
    pub(super) cut: Cut,
    pub(super) folder: &'a Path,
    pub(super) protection: Protection<'a>,
}

/// Writes every range of every unit table; ranges come back in order.
pub(super) fn arrange(arrangement: &Arrangement<'_>, progress: &dyn Fn(u32)) -> Result<Vec<Arranged>, IngestFault> {
    for plan in &arrangement.plan.units {
        let folder = arrangement.folder.join(&plan.table.name);
        fs::create_dir(&folder).map_err(disk(&folder))?;
    }
    let count = arrangement.cut.ranges.count;
    let workers = thread::available_parallelism().map_or(1, usize::from).min(8);
    let next = AtomicU32::new(0);
    let mut done: Vec<Option<Arranged>> = (0..count).map(|_| None).collect();
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(workers);
        for _ in 0..workers {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let range = next.fetch_add(1, Memory::Relaxed);
                    if range >= count || sender.send((range, arrange_range(arrangement, range))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (range, arranged) in receiver {
            let slot = usize::try_from(range).ok().and_then(|range| done.get_mut(range));
            if let Some(slot) = slot {
                *slot = Some(arranged?);
            }
            progress(range);
        }
        Ok::<_, IngestFault>(())
    })?;
    done.into_iter().map(|range| range.ok_or(IngestFault::Stopped("writing a range"))).collect()
}

fn arrange_range(arrangement: &Arrangement<'_>, range: u32) -> Result<Arranged, IngestFault> {
    let mut parents: HashMap<&str, Keys> = HashMap::new();
    let mut tables = Vec::new();
    for (plan, scattered) in arrangement.plan.units.iter().zip(arrangement.scattered) {
        let name = format!("{}/r{range:04}.parquet", plan.table.name);
        let schema = Arc::clone(&plan.check.schema);
        let ascending = plan.table.owner.as_deref();
        let mut file =
            TableFile::create(arrangement.folder, name, Some(range), schema, arrangement.protection, ascending)?;
        let (mut found, mut rejects, mut keys) = (TableQuality::default(), Vec::new(), Keys::new());
        if let Some(scattered) = scattered {
            for bucket in arrangement.cut.buckets_of(range) {
                let rows = scattered.rows.read(bucket)?;
                let mut bucket = Bucket::new(plan, rows);
                bucket.reject_repeated_keys(&scattered.duplicates);
                bucket.cut_links(&parents, arrangement.references, &mut found)?;
                let rows = bucket.finish(&mut keys, &mut found, &mut rejects)?;
                count_written(&rows, &mut found);
                file.write(&rows)?;
            }
        }
        if plan.key_at.is_some() {
            parents.insert(&plan.table.name, keys);
        }
        tables.push(ArrangedTable { file: file.finish()?, found, rejects });
    }
    Ok(Arranged { tables })
}

/// All rows of some persons in one table.
struct Bucket<'a> {
    plan: &'a TablePlan<'a>,
    /// The origin, then the columns as written.
    rows: RecordBatch,
    verdicts: Vec<Option<Reason>>,
}

impl<'a> Bucket<'a> {
    fn new(plan: &'a TablePlan<'a>, rows: RecordBatch) -> Self {
        let verdicts = vec![None; rows.num_rows()];
        Self { plan, rows, verdicts }
    }

    fn reject_repeated_keys(&mut self, duplicates: &HashSet<u64>) {
        if duplicates.is_empty() {
            return;
        }
        let origins = self.rows.column(0).as_primitive::<UInt64Type>().values();
        for (origin, verdict) in origins.iter().zip(&mut self.verdicts) {
            if duplicates.contains(origin) {
                *verdict = Some(Reason::KeyDuplicate);
            }
        }
    }

    /// Cuts the links to other tables.
    fn cut_links(
        &mut self,
        parents: &HashMap<&str, Keys>,
        references: &ReferenceKeys,
        found: &mut TableQuality,
    ) -> Result<(), IngestFault> {
        for link in self.plan.links.iter().filter(|link| link.table != self.plan.table.name) {
            let broken = match (parents.get(link.table), references.get(link.table)) {
                (Some(keys), _) => self.broken(link, |key, owner| keys.get(&key) == Some(&owner)),
                (None, Some(keys)) => self.broken(link, |key, _| keys.contains(&key)),
                (None, None) => continue,
            };
            self.settle(link, &broken, found)?;
        }
        Ok(())
    }

    /// Cuts the links within the table, orders the rows, drops those above the maximum and the rejected ones.
    fn finish(
        mut self,
        keys: &mut Keys,
        found: &mut TableQuality,
        rejects: &mut Vec<(u64, Reason)>,
    ) -> Result<RecordBatch, IngestFault> {
        self.cut_own_links(found)?;
        self.leave_out_rejected(found, rejects)?;
        self.order()?;
        if self.leave_out_above_maximum(found, rejects)? {
            // Rows that others of the same person refer to may be gone now.
            self.cut_own_links(found)?;
            self.leave_out_rejected(found, rejects)?;
            self.order()?;
        }
        if let Some(at) = self.plan.key_at {
            keys.extend(self.keys_and_owners(at));
        }
        self.plan.check.written(&self.rows)
    }

    /// A rejected row may be one that others of this table refer to, so this goes on until nothing changes.
    fn cut_own_links(&mut self, found: &mut TableQuality) -> Result<(), IngestFault> {
        let Some(at) = self.plan.key_at else { return Ok(()) };
        let own: Vec<&Link<'_>> = self.plan.links.iter().filter(|link| link.table == self.plan.table.name).collect();
        let mut changed = !own.is_empty();
        while changed {
            let standing = self.keys_and_owners(at).zip(&self.verdicts).filter(|(_, verdict)| verdict.is_none());
            let keys: Keys = standing.map(|(pair, _)| pair).collect();
            changed = false;
            for link in &own {
                let broken = self.broken(link, |key, owner| keys.get(&key) == Some(&owner));
                changed |= broken.count_set_bits() > 0 && link.missing == OutsideRule::Reject;
                self.settle(link, &broken, found)?;
            }
        }
        Ok(())
    }

    /// Where a link of a row that still stands leads to nothing of its person's.
    fn broken(&self, link: &Link<'_>, holds: impl Fn(i64, i64) -> bool) -> BooleanBuffer {
        let links = self.rows.column(link.at + 1).as_primitive::<Int64Type>();
        let rows = links.iter().zip(self.owners().values()).zip(&self.verdicts);
        rows.map(|((key, owner), verdict)| verdict.is_none() && key.is_some_and(|key| !holds(key, *owner))).collect()
    }

    fn settle(&mut self, link: &Link<'_>, broken: &BooleanBuffer, found: &mut TableQuality) -> Result<(), IngestFault> {
        let count = broken.count_set_bits() as u64;
        if count == 0 {
            return Ok(());
        }
        match link.missing {
            OutsideRule::Reject => {
                for row in broken.set_indices() {
                    if let Some(verdict) = self.verdicts.get_mut(row) {
                        verdict.get_or_insert(Reason::ReferenceBroken);
                    }
                }
                return Ok(());
            }
            OutsideRule::Null => found.emptied(link.column, Emptied::ReferenceBroken, count),
            OutsideRule::Zero => found.columns.entry(link.column.to_owned()).or_default().zeroed += count,
        }
        let mut columns = self.rows.columns().to_vec();
        if let Some(column) = columns.get_mut(link.at + 1) {
            *column = if link.missing == OutsideRule::Null { without(column, broken) } else { zeroed(column, broken) };
        }
        self.rows = RecordBatch::try_new(self.rows.schema(), columns).map_err(stopped)?;
        Ok(())
    }

    fn leave_out_rejected(
        &mut self,
        found: &mut TableQuality,
        rejects: &mut Vec<(u64, Reason)>,
    ) -> Result<(), IngestFault> {
        let before = rejects.len();
        let origins = self.rows.column(0).as_primitive::<UInt64Type>().values();
        let rejected = origins.iter().zip(&self.verdicts);
        rejects.extend(rejected.filter_map(|(origin, verdict)| verdict.map(|reason| (*origin, reason))));
        let new = rejects.get(before..).unwrap_or_default();
        if new.is_empty() {
            return Ok(());
        }
        new.iter().for_each(|(_, reason)| found.reject(*reason));
        let stays = self.verdicts.iter().map(|verdict| Some(verdict.is_none())).collect();
        self.rows = filter_record_batch(&self.rows, &stays).map_err(stopped)?;
        self.verdicts = vec![None; self.rows.num_rows()];
        Ok(())
    }

    /// Puts the rows into their total order.
    fn order(&mut self) -> Result<(), IngestFault> {
        let date = self.plan.event_date_at.map(|at| self.rows.column(at + 1));
        let days =
            date.filter(|date| *date.data_type() == DataType::Date32).map(|date| date.as_primitive::<Date32Type>());
        // Owner key and day in one number decide most comparisons.
        let first = |row: usize, owner: i64| -> u64 {
            let day = days.map_or(0, |days| match days.is_valid(row) {
                true => days.value(row).cast_unsigned() ^ (1 << 31),
                false => u32::MAX,
            });
            (owner.cast_unsigned() << 32) | u64::from(day)
        };
        let later = |at: &usize| Some(*at) != self.plan.event_date_at && *at != self.plan.owner_at;
        let rest = self.plan.event_date_at.into_iter().chain((0..self.plan.check.schema.fields().len()).filter(later));
        let columns: Vec<&ArrayRef> = rest.map(|at| self.rows.column(at + 1)).collect();
        let comparators: Result<Vec<_>, _> = columns.iter().map(|c| make_comparator(c, c, ASCENDING)).collect();
        let comparators = comparators.map_err(stopped)?;
        let compare = |a: u32, b: u32| -> Ordering {
            let (a, b) = (usize::try_from(a).unwrap_or_default(), usize::try_from(b).unwrap_or_default());
            comparators.iter().map(|compare| compare(a, b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
        };
        let owners = self.owners().values().iter().enumerate();
        let mut order: Vec<(u64, u32)> = owners.map(|(row, owner)| first(row, *owner)).zip(0_u32..).collect();
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| compare(a.1, b.1)));
        let indices: UInt32Array = order.into_iter().map(|(_, row)| row).collect();
        drop(comparators);
        self.rows = take_record_batch(&self.rows, &indices).map_err(stopped)?;
        Ok(())
    }

    /// Drops a person's rows above the maximum, the last ones first; says whether there were any.
    fn leave_out_above_maximum(
        &mut self,
        found: &mut TableQuality,
        rejects: &mut Vec<(u64, Reason)>,
    ) -> Result<bool, IngestFault> {
        let single = self.plan.table.one_row_per_person;
        let most = if single { 1 } else { usize::try_from(self.plan.table.rows_per_person_max).unwrap_or(usize::MAX) };
        let owners = self.owners().values();
        let runs = owners.chunk_by(|a, b| a == b).map(<[i64]>::len);
        let stays: Vec<bool> = runs.flat_map(|count| (0..count).map(|row| row < most)).collect();
        let dropped = stays.iter().filter(|stays| !**stays).count() as u64;
        if dropped == 0 {
            return Ok(false);
        }
        if single {
            for (row, verdict) in stays.iter().zip(&mut self.verdicts) {
                *verdict = (!row).then_some(Reason::PersonHasRow);
            }
            self.leave_out_rejected(found, rejects)?;
        } else {
            found.rows_over_maximum += dropped;
            self.rows = filter_record_batch(&self.rows, &stays.into()).map_err(stopped)?;
            self.verdicts.truncate(self.rows.num_rows());
        }
        Ok(true)
    }

    fn owners(&self) -> &datafusion::arrow::array::Int64Array {
        self.rows.column(self.plan.owner_at + 1).as_primitive::<Int64Type>()
    }

    fn keys_and_owners(&self, at: usize) -> impl Iterator<Item = (i64, i64)> {
        let keys = self.rows.column(at + 1).as_primitive::<Int64Type>();
        keys.values().iter().copied().zip(self.owners().values().iter().copied())
    }
}

fn count_written(rows: &RecordBatch, found: &mut TableQuality) {
    found.rows_written += rows.num_rows() as u64;
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
        found.columns.entry(field.name().clone()).or_default().nulls += column.null_count() as u64;
    }
}

fn stopped(_: datafusion::arrow::error::ArrowError) -> IngestFault {
    IngestFault::Stopped("arranging rows")
}
