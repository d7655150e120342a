//! By what is a person told from others where some of its groups or values are chosen?
//!
//! Owner keys are dense: whoever comes or leaves with another data version moves those of everybody after it. A choice by
//! them would be drawn anew for all, and two answers would differ by more than one person's part. So it is made by the keyed
//! pseudonym, which a person keeps for as long as the enclave has its key.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, Int64Array, RecordBatch},
        datatypes::{DataType, Field, Int64Type, Schema, SchemaRef},
    },
    physical_plan::collect,
};

use super::{Engine, EngineFault, RangedTables};
use crate::privacy::{Kind, Release};

/// The pseudonyms of the persons of a range, in the order of their owner keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Persons {
    first: i64,
    pseudonyms: Option<Int64Array>,
}

impl Persons {
    /// What stands for the person of an owner key in every version of the data.
    ///
    /// # Errors
    /// [`EngineFault::Shape`] for an owner key that the version does not name.
    pub(super) fn lasting(&self, owner: i64) -> Result<u64, EngineFault> {
        let Some(pseudonyms) = &self.pseudonyms else { return Ok(owner.cast_unsigned()) };
        let at = owner.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let found = at.and_then(|at| pseudonyms.values().get(at)).ok_or(EngineFault::Shape)?;
        Ok(found.cast_unsigned())
    }

    #[cfg(test)]
    pub(super) fn numbered(first: i64, pseudonyms: Vec<i64>) -> Self {
        Self { first, pseudonyms: Some(pseudonyms.into()) }
    }
}

/// The columns of the file that names the persons of a range.
#[must_use]
pub fn persons_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("pseudonym", DataType::Int64, false)]))
}

/// Those pseudonyms as rows of that file.
///
/// # Errors
/// [`EngineFault::Shape`] where the batch cannot be built.
pub fn persons_rows(pseudonyms: &[u64]) -> Result<RecordBatch, EngineFault> {
    let column: ArrayRef = Arc::new(pseudonyms.iter().map(|p| p.cast_signed()).collect::<Int64Array>());
    RecordBatch::try_new(persons_schema(), vec![column]).map_err(|_| EngineFault::Shape)
}

impl Engine {
    /// The persons of `range`, where `release` may have to choose among what one of them has.
    pub(super) async fn persons(
        &self,
        release: &Release,
        tables: &dyn RangedTables,
        range: u32,
    ) -> Result<Persons, EngineFault> {
        let sets = release.partials.iter().any(|partial| matches!(partial.kind, Kind::Values { .. }));
        // Public figures: nobody has more groups than rows.
        let chooses = sets || (release.keys > 0 && release.rows_max > release.groups_max);
        let Some((first, table)) = tables.persons(release.dataset.as_str(), range)?.filter(|_| chooses) else {
            return Ok(Persons::default());
        };
        let state = self.state();
        let scan = table.scan(state, None, &[], None).await.map_err(EngineFault::planned)?;
        let batches = collect(scan, state.task_ctx()).await.map_err(EngineFault::run)?;
        let mut pseudonyms = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
        for batch in &batches {
            let column = batch.columns().first().and_then(|column| column.as_primitive_opt::<Int64Type>());
            pseudonyms.extend_from_slice(column.ok_or(EngineFault::Shape)?.values());
        }
        Ok(Persons { first, pseudonyms: Some(pseudonyms.into()) })
    }
}
