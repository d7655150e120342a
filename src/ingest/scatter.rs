//! How do the rows of the source get to the persons that they belong to?
//!
//! One thread reads, others check and pseudonymise, the caller's thread gathers: the order of the source is kept for the
//! reject file alone, since rows are sorted anew when all of a bucket are together.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use datafusion::arrow::{
    array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array, UInt64Array},
    compute::take_record_batch,
    datatypes::{DataType, Field, Int64Type, Schema, UInt64Type},
};

use super::{
    check::Linked,
    fault::IngestFault,
    people::{Census, People},
    plan::{Cut, PERSON, TablePlan},
    pseudonym::Pseudonyms,
    reject::RejectFile,
    report::TableQuality,
    source::SourceBatch,
    spill::{Spill, Spilled},
};

/// Buckets of keys when looking for duplicates: by the top bits of a 63-bit pseudonym.
const KEY_BUCKETS: usize = 64;

/// Batches in flight between two threads.
const IN_FLIGHT: usize = 4;

/// What all tables share.
pub(super) struct Shared<'a> {
    pub(super) people: &'a People,
    pub(super) pseudonyms: &'a Pseudonyms,
    pub(super) cut: Cut,
    pub(super) scratch: &'a Path,
}

/// The rows of one table in their buckets.
pub(super) struct Scattered {
    pub(super) rows: Spilled,
    /// Origins of rows whose key an earlier row has.
    pub(super) duplicates: HashSet<u64>,
    pub(super) found: TableQuality,
}

/// A batch on its way, with its number.
type Numbered<T> = (u64, Result<T, IngestFault>);

/// One batch after the workers.
struct Sorted {
    parts: Vec<(usize, RecordBatch)>,
    keys: Vec<(usize, RecordBatch)>,
    bytes: usize,
    rejects: Vec<(u64, super::report::Reason)>,
    found: TableQuality,
}

/// Counts the persons of the person table.
pub(super) fn take_census(person: &TablePlan<'_>, mut census: Census) -> Result<Census, IngestFault> {
    for (number, file) in person.files.iter().enumerate() {
        for batch in file.read(&person.check.wanted())? {
            let judged = person.check.judge((number, &file.name), &batch?)?;
            for (id, origin) in person.check.sound_owners(&judged) {
                census.count(id, origin)?;
            }
        }
    }
    Ok(census)
}

/// Reads, checks and pseudonymises a table and puts its rows into buckets.
pub(super) fn scatter(
    plan: &TablePlan<'_>,
    shared: &Shared<'_>,
    rejects: &mut RejectFile,
    progress: &dyn Fn(u64),
) -> Result<Scattered, IngestFault> {
    let name = &plan.table.name;
    let spill_path = shared.scratch.join(format!("{name}.rows"));
    let mut spill = Spill::new(spill_path, Arc::clone(&plan.check.travelling), shared.cut.buckets())?;
    let mut keys = match plan.key_at {
        Some(_) => Some(Spill::new(shared.scratch.join(format!("{name}.keys")), key_schema(), KEY_BUCKETS)?),
        None => None,
    };
    let mut found = TableQuality::default();
    in_parallel(plan, shared, &mut |sorted| {
        let Sorted { parts, keys: new_keys, bytes, rejects: rejected, found: part } = sorted;
        let share = bytes / parts.len().max(1);
        for (bucket, rows) in parts {
            spill.push(bucket, rows, share)?;
        }
        for (bucket, rows) in new_keys {
            if let Some(keys) = &mut keys {
                let bytes = rows.num_rows() * 16;
                keys.push(bucket, rows, bytes)?;
            }
        }
        rejects.add(name, &plan.files, &rejected)?;
        progress(part.rows_read);
        found.add(part);
        Ok(())
    })?;
    let duplicates = match keys {
        Some(keys) => repeated(&keys.finish()?)?,
        None => HashSet::new(),
    };
    Ok(Scattered { rows: spill.finish()?, duplicates, found })
}

/// Runs readers and workers, and hands their batches to `gather` in the order of the source.
fn in_parallel(
    plan: &TablePlan<'_>,
    shared: &Shared<'_>,
    gather: &mut dyn FnMut(Sorted) -> Result<(), IngestFault>,
) -> Result<(), IngestFault> {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(8);
    thread::scope(|scope| {
        // The receivers are dropped with this scope's closure, whatever ends it: that stops the threads that send.
        let (read, to_check) = sync_channel(IN_FLIGHT);
        let (checked, to_gather) = sync_channel(IN_FLIGHT);
        let reader = scope.spawn(move || read_all(plan, &read));
        let to_check = Arc::new(Mutex::new(to_check));
        let crew: Vec<_> = (0..workers)
            .map(|_| {
                let (to_check, checked) = (Arc::clone(&to_check), checked.clone());
                scope.spawn(move || check_all(plan, shared, &to_check, &checked))
            })
            .collect();
        drop((to_check, checked));
        let (mut early, mut next) = (BTreeMap::new(), 0);
        for (number, sorted) in to_gather {
            early.insert(number, sorted?);
            while let Some(sorted) = early.remove(&next) {
                gather(sorted)?;
                next += 1;
            }
        }
        let stopped = |_| IngestFault::Stopped("reading a table");
        crew.into_iter().try_for_each(|worker| worker.join().map_err(stopped))?;
        reader.join().map_err(stopped)
    })
}

/// Sends the batches of all files of a table until they end, one fails or nobody listens.
fn read_all(plan: &TablePlan<'_>, out: &SyncSender<(u64, usize, Result<SourceBatch, IngestFault>)>) {
    let wanted = plan.check.wanted();
    let mut number = 0;
    for (file_number, file) in plan.files.iter().enumerate() {
        let (failed, batches) = match file.read(&wanted) {
            Ok(reader) => (None, Some(reader)),
            Err(fault) => (Some(Err(fault)), None),
        };
        for batch in batches.into_iter().flatten().chain(failed) {
            let last = batch.is_err();
            if out.send((number, file_number, batch)).is_err() || last {
                return;
            }
            number += 1;
        }
    }
}

type ToCheck = Mutex<Receiver<(u64, usize, Result<SourceBatch, IngestFault>)>>;

fn check_all(plan: &TablePlan<'_>, shared: &Shared<'_>, batches: &ToCheck, out: &SyncSender<Numbered<Sorted>>) {
    let mut memory = plan.check.memory();
    let census = plan.table.name == PERSON;
    loop {
        let next = batches.lock().ok().and_then(|batches| batches.recv().ok());
        let Some((number, file, batch)) = next else { return };
        let sorted = batch.and_then(|batch| {
            let name = plan.files.get(file).map(|f| f.name.as_str()).unwrap_or_default();
            let judged = plan.check.judge((file, name), &batch)?;
            let linked = plan.check.link(judged, shared.people, census, shared.pseudonyms, &mut memory)?;
            sort_into_buckets(plan, shared.cut, linked)
        });
        if out.send((number, sorted)).is_err() {
            return;
        }
    }
}

fn sort_into_buckets(plan: &TablePlan<'_>, cut: Cut, linked: Linked) -> Result<Sorted, IngestFault> {
    let Linked { rows, rejects, found } = linked;
    // Behind the origin every column is one further.
    let owners = rows.column(plan.owner_at + 1).as_primitive::<Int64Type>();
    let buckets: Vec<usize> = owners.values().iter().map(|owner| cut.bucket_of(owner.cast_unsigned())).collect();
    let keys = match plan.key_at {
        None => Vec::new(),
        Some(at) => {
            let columns: Vec<ArrayRef> = vec![Arc::clone(rows.column(at + 1)), Arc::clone(rows.column(0))];
            let keys = RecordBatch::try_new(key_schema(), columns).map_err(stopped)?;
            let values = keys.column(0).as_primitive::<Int64Type>().values().iter();
            let by_key: Vec<usize> = values.map(|key| usize::try_from(key >> 57).unwrap_or(0) % KEY_BUCKETS).collect();
            split(&keys, &by_key)?
        }
    };
    Ok(Sorted { parts: split(&rows, &buckets)?, keys, bytes: rows.get_array_memory_size(), rejects, found })
}

/// The rows of each bucket; buckets without rows are left out.
fn split(rows: &RecordBatch, buckets: &[usize]) -> Result<Vec<(usize, RecordBatch)>, IngestFault> {
    let mut order: Vec<(usize, u32)> = buckets.iter().copied().zip(0_u32..).collect();
    order.sort_unstable();
    let indices: UInt32Array = order.iter().map(|(_, row)| *row).collect();
    let sorted = take_record_batch(rows, &indices).map_err(stopped)?;
    let mut first = 0;
    let runs = order.chunk_by(|a, b| a.0 == b.0).filter_map(|run| run.first().map(|(bucket, _)| (*bucket, run.len())));
    let parts = runs.map(|(bucket, count)| {
        let part = sorted.slice(first, count);
        first += count;
        (bucket, part)
    });
    Ok(parts.collect())
}

/// Origins of the rows whose key an earlier row has.
fn repeated(keys: &Spilled) -> Result<HashSet<u64>, IngestFault> {
    let mut repeated = HashSet::new();
    for bucket in 0..keys.buckets() {
        let rows = keys.read(bucket)?;
        let values: &Int64Array = rows.column(0).as_primitive::<Int64Type>();
        let origins: &UInt64Array = rows.column(1).as_primitive::<UInt64Type>();
        let pairs = values.iter().zip(origins.values());
        let mut order: Vec<(i64, u64)> = pairs.filter_map(|(key, origin)| key.map(|key| (key, *origin))).collect();
        order.sort_unstable();
        let runs = order.chunk_by(|a, b| a.0 == b.0);
        repeated.extend(runs.flat_map(|run| run.iter().skip(1)).map(|(_, origin)| *origin));
    }
    Ok(repeated)
}

fn key_schema() -> Arc<Schema> {
    let fields = vec![Field::new("key", DataType::Int64, true), Field::new("origin", DataType::UInt64, false)];
    Arc::new(Schema::new(fields))
}

fn stopped(_: datafusion::arrow::error::ArrowError) -> IngestFault {
    IngestFault::Stopped("sorting rows into buckets")
}
