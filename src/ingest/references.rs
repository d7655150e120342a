//! Which care sites, providers and places do the records mention?
//!
//! Reference tables hold rows about no person. They are small beside the records, so each is held in memory whole; their
//! keys get the same pseudonyms as the links of the unit tables, and they are sorted by them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch},
    buffer::BooleanBuffer,
    compute::{SortColumn, SortOptions, concat_batches, filter_record_batch, lexsort_to_indices, take_record_batch},
    datatypes::{Int64Type, UInt64Type},
    error::ArrowError,
};

use super::{
    arrange::ReferenceKeys,
    check::without,
    fault::IngestFault,
    people::People,
    plan::TablePlan,
    pseudonym::Pseudonyms,
    reject::RejectFile,
    report::{Emptied, QualityReport, Reason, TableQuality},
};
use crate::catalog::OutsideRule;

/// The rows of one Reference table, as written.
pub(super) struct ReferenceTable {
    pub(super) rows: RecordBatch,
}

/// Reads all Reference tables and settles the links among them.
pub(super) fn read_references(
    plans: &[TablePlan<'_>],
    pseudonyms: &Pseudonyms,
    rejects: &mut RejectFile,
    report: &mut QualityReport,
) -> Result<(Vec<ReferenceTable>, ReferenceKeys), IngestFault> {
    let mut tables = Vec::new();
    for plan in plans {
        let mut found = TableQuality::default();
        tables.push(read(plan, pseudonyms, rejects, &mut found)?);
        add(report, plan, found);
    }
    let mut keys = HashMap::new();
    loop {
        for (plan, rows) in plans.iter().zip(&tables) {
            if !plan.files.is_empty() {
                keys.insert(plan.table.name.clone(), keys_of(plan, rows));
            }
        }
        let mut changed = false;
        for (plan, rows) in plans.iter().zip(&mut tables) {
            let mut found = TableQuality::default();
            let before = rows.num_rows();
            *rows = cut_links(plan, rows, &keys, rejects, &mut found)?;
            changed |= rows.num_rows() < before;
            add(report, plan, found);
        }
        if !changed {
            break;
        }
    }
    let mut sorted = Vec::new();
    for (plan, rows) in plans.iter().zip(tables) {
        let rows = sort(&plan.check.written(&rows)?)?;
        if let Some(found) = report.tables.get_mut(&plan.table.name) {
            found.rows_written = rows.num_rows() as u64;
            for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
                found.columns.entry(field.name().clone()).or_default().nulls = column.null_count() as u64;
            }
        }
        sorted.push(ReferenceTable { rows });
    }
    Ok((sorted, keys))
}

fn add(report: &mut QualityReport, plan: &TablePlan<'_>, found: TableQuality) {
    if let Some(table) = report.tables.get_mut(&plan.table.name) {
        table.add(found);
    }
}

/// The rows of a table, the first of each key, behind their origin.
fn read(
    plan: &TablePlan<'_>,
    pseudonyms: &Pseudonyms,
    rejects: &mut RejectFile,
    found: &mut TableQuality,
) -> Result<RecordBatch, IngestFault> {
    let (nobody, mut memory) = (People::nobody(), plan.check.memory());
    let (mut batches, mut seen) = (Vec::new(), HashSet::new());
    for (number, file) in plan.files.iter().enumerate() {
        for batch in file.read(&plan.check.wanted())? {
            let judged = plan.check.judge((number, &file.name), &batch?)?;
            let linked = plan.check.link(judged, &nobody, false, pseudonyms, &mut memory)?;
            rejects.add(&plan.table.name, &plan.files, &linked.rejects)?;
            found.add(linked.found);
            let first: Vec<bool> = match plan.key_at {
                Some(at) => linked
                    .rows
                    .column(at + 1)
                    .as_primitive::<Int64Type>()
                    .values()
                    .iter()
                    .map(|key| seen.insert(*key))
                    .collect(),
                None => vec![true; linked.rows.num_rows()],
            };
            batches.push(reject(plan, &linked.rows, &first, Reason::KeyDuplicate, rejects, found)?);
        }
    }
    concat_batches(&plan.check.travelling, &batches).map_err(stopped)
}

fn keys_of(plan: &TablePlan<'_>, rows: &RecordBatch) -> HashSet<i64> {
    let keys = plan.key_at.map(|at| rows.column(at + 1).as_primitive::<Int64Type>());
    keys.into_iter().flatten().flatten().collect()
}

fn cut_links(
    plan: &TablePlan<'_>,
    rows: &RecordBatch,
    keys: &ReferenceKeys,
    rejects: &mut RejectFile,
    found: &mut TableQuality,
) -> Result<RecordBatch, IngestFault> {
    let mut rows = rows.clone();
    for link in &plan.links {
        let Some(known) = keys.get(link.table) else { continue };
        let links = rows.column(link.at + 1).as_primitive::<Int64Type>();
        let broken: BooleanBuffer = links.iter().map(|key| key.is_some_and(|key| !known.contains(&key))).collect();
        if broken.count_set_bits() == 0 {
            continue;
        }
        if link.missing == OutsideRule::Reject {
            let stays: Vec<bool> = broken.iter().map(|broken| !broken).collect();
            rows = reject(plan, &rows, &stays, Reason::ReferenceBroken, rejects, found)?;
            continue;
        }
        found.emptied(link.column, Emptied::ReferenceBroken, broken.count_set_bits() as u64);
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        if let Some(column) = columns.get_mut(link.at + 1) {
            *column = without(column, &broken);
        }
        rows = RecordBatch::try_new(rows.schema(), columns).map_err(stopped)?;
    }
    Ok(rows)
}

/// The rows that stay; the others go to the reject file.
fn reject(
    plan: &TablePlan<'_>,
    rows: &RecordBatch,
    stays: &[bool],
    reason: Reason,
    rejects: &mut RejectFile,
    found: &mut TableQuality,
) -> Result<RecordBatch, IngestFault> {
    let origins = rows.column(0).as_primitive::<UInt64Type>().values();
    let rejected = origins.iter().zip(stays).filter(|(_, stays)| !**stays).map(|(origin, _)| (*origin, reason));
    let rejected: Vec<_> = rejected.collect();
    rejected.iter().for_each(|_| found.reject(reason));
    rejects.add(&plan.table.name, &plan.files, &rejected)?;
    filter_record_batch(rows, &BooleanArray::from(stays.to_vec())).map_err(stopped)
}

/// By all columns in their order.
fn sort(rows: &RecordBatch) -> Result<RecordBatch, IngestFault> {
    let ascending = Some(SortOptions { descending: false, nulls_first: false });
    let order: Vec<SortColumn> =
        rows.columns().iter().map(|c| SortColumn { values: Arc::clone(c), options: ascending }).collect();
    let order = lexsort_to_indices(&order, None).map_err(stopped)?;
    take_record_batch(rows, &order).map_err(stopped)
}

fn stopped(_: ArrowError) -> IngestFault {
    IngestFault::Stopped("reading Reference tables")
}
