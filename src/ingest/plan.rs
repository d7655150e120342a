//! Which tables does the load write, in which order, and what refers to what?

use std::collections::{BTreeMap, BTreeSet};

use super::{
    check::TableCheck,
    fault::IngestFault,
    report::{QualityReport, TableQuality},
    source::{Delivery, SourceFile},
};
use crate::{
    catalog::{Model, OutsideRule, Table, TableKind},
    engine::layout::Ranges,
};

/// The table whose rows are the persons themselves.
pub(super) const PERSON: &str = "person";

/// One table of the load.
pub(super) struct TablePlan<'a> {
    pub(super) table: &'a Table,
    pub(super) check: TableCheck,
    /// What the source has of it: nothing where it does not deliver it.
    pub(super) files: Vec<SourceFile>,
    /// Its links to tables that the source delivers; positions are those of the written columns.
    pub(super) links: Vec<Link<'a>>,
    /// The position of the key that other delivered tables refer to.
    pub(super) key_at: Option<usize>,
    pub(super) owner_at: usize,
    pub(super) event_date_at: Option<usize>,
}

/// A declared foreign key.
pub(super) struct Link<'a> {
    pub(super) column: &'a str,
    pub(super) at: usize,
    pub(super) table: &'a str,
    pub(super) missing: OutsideRule,
}

/// All tables of the load.
pub(super) struct Plan<'a> {
    /// Unit tables, each behind those that it refers to.
    pub(super) units: Vec<TablePlan<'a>>,
    pub(super) references: Vec<TablePlan<'a>>,
}

/// How owner keys are cut into ranges and these into buckets, so that few rows are in memory at a time.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    pub(super) ranges: Ranges,
    pub(super) buckets_per_range: u64,
    bucket_width: u64,
}

impl Cut {
    pub(super) fn of(population_max: u64) -> Self {
        let ranges = Ranges::of(population_max);
        let buckets_per_range = (256 / u64::from(ranges.count)).clamp(1, 8).min(ranges.width.max(1));
        Self { ranges, buckets_per_range, bucket_width: ranges.width.div_ceil(buckets_per_range).max(1) }
    }

    pub(super) fn buckets(&self) -> usize {
        usize::try_from(u64::from(self.ranges.count) * self.buckets_per_range).unwrap_or(usize::MAX)
    }

    /// The bucket of an owner key. Buckets are in the order of owner keys.
    pub(super) fn bucket_of(&self, owner_key: u64) -> usize {
        let (range, within) = (owner_key / self.ranges.width, owner_key % self.ranges.width);
        usize::try_from(range * self.buckets_per_range + within / self.bucket_width).unwrap_or(usize::MAX)
    }

    /// The buckets of a range, in order.
    pub(super) fn buckets_of(&self, range: u32) -> impl Iterator<Item = usize> + use<> {
        let first = u64::from(range) * self.buckets_per_range;
        (first..first + self.buckets_per_range).filter_map(|bucket| usize::try_from(bucket).ok())
    }
}

impl<'a> Plan<'a> {
    /// Plans the load of what was delivered; says in `report` what is missing, unknown or skipped.
    pub(super) fn new(
        model: &'a Model,
        mut delivery: Delivery,
        report: &mut QualityReport,
    ) -> Result<Self, IngestFault> {
        if !delivery.tables.contains_key(PERSON) {
            return Err(IngestFault::MissingTable { table: PERSON.to_owned() });
        }
        report.files_unknown = delivery.unknown;
        let delivered: BTreeSet<String> = delivery.tables.keys().cloned().collect();
        let (mut units, mut references) = (Vec::new(), Vec::new());
        for table in model.tables.values() {
            let files = delivery.tables.remove(&table.name);
            match table.kind {
                TableKind::Unit => units.push(TablePlan::new(model, table, files, &delivered, report)?),
                TableKind::Reference => references.push(TablePlan::new(model, table, files, &delivered, report)?),
                TableKind::Public if files.is_some() => {
                    let why = "public vocabularies are loaded by themselves (ingest --vocabulary)".to_owned();
                    report.tables_skipped.insert(table.name.clone(), why);
                }
                TableKind::Refused if files.is_some() => {
                    report.tables_skipped.insert(table.name.clone(), table.refused_because.clone().unwrap_or_default());
                }
                TableKind::Public | TableKind::Refused => {}
            }
        }
        Ok(Self { units: parents_first(units)?, references })
    }

    /// How many rows all files together have, where the format says.
    pub(super) fn rows(&self) -> Option<u64> {
        let tables = self.units.iter().chain(&self.references);
        tables.flat_map(|table| &table.files).map(SourceFile::rows).sum()
    }
}

impl<'a> TablePlan<'a> {
    fn new(
        model: &'a Model,
        table: &'a Table,
        files: Option<Vec<SourceFile>>,
        delivered: &BTreeSet<String>,
        report: &mut QualityReport,
    ) -> Result<Self, IngestFault> {
        let mut check = TableCheck::new(table)?;
        match &files {
            None => report.tables_missing.push(table.name.clone()),
            Some(files) => {
                report.tables.insert(table.name.clone(), inspect(table, &mut check, files)?);
            }
        }
        let position = |name: &str| check.schema.index_of(name).ok();
        let referred = |name: &str| {
            let keys = model.tables.values().flat_map(|t| &t.foreign_keys);
            keys.filter(|key| key.table == name).map(|key| key.references.as_str()).next()
        };
        let own = |key: &&crate::catalog::ForeignKey| table.owner.as_ref() != Some(&key.column);
        let local =
            |name: &str| model.table(name).is_some_and(|t| matches!(t.kind, TableKind::Unit | TableKind::Reference));
        let links =
            table.foreign_keys.iter().filter(own).filter(|key| delivered.contains(&key.table) && local(&key.table));
        let links = links.filter_map(|key| {
            let (column, table) = (key.column.as_str(), key.table.as_str());
            let at = position(column).filter(|_| !check.is_absent(column));
            at.map(|at| Link { column, at, table, missing: key.missing })
        });
        let links = links.collect();
        let key_at = referred(&table.name).filter(|_| table.name != PERSON).and_then(position);
        let owner_at = table.owner.as_deref().and_then(position).unwrap_or_default();
        let event_date_at = table.event_date.as_deref().and_then(position);
        Ok(Self { table, files: files.unwrap_or_default(), links, key_at, owner_at, event_date_at, check })
    }
}

/// Looks at the headers of all files before any row is read.
pub(super) fn inspect(
    table: &Table,
    check: &mut TableCheck,
    files: &[SourceFile],
) -> Result<TableQuality, IngestFault> {
    let mut found = TableQuality::default();
    let (mut missing, mut unknown, mut all) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for file in files {
        let given = file.columns()?;
        missing.extend(check.missing(&file.name, &given)?);
        unknown.extend(given.iter().filter(|name| table.column(name).is_none()).cloned());
        all.extend(given);
        found.files.push(file.name.clone());
    }
    check.leave_absent(&all);
    found.columns_missing = missing.into_iter().collect();
    found.columns_unknown = unknown.into_iter().collect();
    Ok(found)
}

/// The tables in an order in which each comes behind those that it refers to.
fn parents_first(tables: Vec<TablePlan<'_>>) -> Result<Vec<TablePlan<'_>>, IngestFault> {
    let mut waiting: BTreeMap<&str, TablePlan<'_>> = tables.into_iter().map(|t| (t.table.name.as_str(), t)).collect();
    let mut ordered = Vec::new();
    while let Some(name) = waiting.keys().next().copied() {
        let ready = waiting.iter().find(|(name, table)| {
            table.links.iter().all(|link| link.table == **name || !waiting.contains_key(link.table))
        });
        let ready = ready.map(|(name, _)| *name);
        let table = ready.and_then(|name| waiting.remove(name));
        ordered.push(table.ok_or_else(|| IngestFault::Model {
            table: name.to_owned(),
            reason: "refers to a table that refers to it",
        })?);
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_the_owner_keys_and_never_cross_a_range() {
        for population_max in [1, 2, 5, 1000, 65_536, 131_073, 1_000_000, 100_000_000] {
            let cut = Cut::of(population_max);
            let step = (population_max / 1000).max(1);
            let mut last = 0;
            for owner_key in (0..population_max).step_by(usize::try_from(step).unwrap()) {
                let bucket = cut.bucket_of(owner_key);
                let range = u32::try_from(owner_key / cut.ranges.width).unwrap();
                assert!(cut.buckets_of(range).any(|b| b == bucket), "{population_max} {owner_key}");
                assert!(bucket >= last && bucket < cut.buckets());
                last = bucket;
            }
        }
    }
}
