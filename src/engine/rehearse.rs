//! Can this question be run at all, whatever the rows?
//!
//! After the charge a failure is a bit that no noise covers, and it is counted. What would fail for any rows, or over public
//! rows alone, is found out here, before the charge, and costs nothing.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{DataType, Schema},
    },
    catalog::TableProvider,
    datasource::MemTable,
    logical_expr::col,
    physical_plan::collect,
};

use super::{
    Engine, EngineFault, RangedTables, finish,
    local::{Placed, positional},
};
use crate::privacy::Analysis;

/// The public parts below persons' rows that wait for no release, evaluated.
pub struct Prepared {
    /// By number; nothing for a part that reads released values.
    pub(super) public: Vec<Option<Arc<dyn TableProvider>>>,
}

impl Engine {
    /// Whether every step can be made physical over `tables`, and runs to its end where they have no rows. Some plans of the
    /// engine's are found wanting only when they run.
    ///
    /// # Errors
    /// [`EngineFault::Planned`]; it depends on no row.
    pub async fn rehearse(&self, analysis: &Analysis, tables: &dyn RangedTables) -> Result<(), EngineFault> {
        let inputs = analysis.public_inputs().iter();
        let public = inputs.map(|plan| empty(plan.schema().as_arrow()).map(Some)).collect::<Result<Vec<_>, _>>()?;
        let releases = analysis.releases().iter().map(|r| empty(&Schema::new(r.fields())));
        let filled = Placed { public, releases: releases.collect::<Result<Vec<_>, _>>()? };
        let nothing = NoRows(tables);
        for plan in analysis.public_inputs() {
            self.physical(&self.optimised(plan)?, tables, &filled, None).await?;
        }
        for release in analysis.releases() {
            let optimised = self.optimised(&release.input)?;
            self.physical(&optimised, tables, &filled, Some(0)).await?;
            let physical = self.physical(&optimised, &nothing, &filled, Some(0)).await?;
            collect(physical, self.state().task_ctx()).await.map_err(EngineFault::planned)?;
        }
        finish::rehearse(self, analysis, &nothing, &filled).await
    }

    /// The public parts of `analysis`: exact and free, so evaluated before the charge. A fault in them costs nobody anything.
    ///
    /// # Errors
    /// [`EngineFault`]; it depends on public rows alone.
    pub async fn prepare(&self, analysis: &Analysis, tables: &dyn RangedTables) -> Result<Prepared, EngineFault> {
        let mut filled = Placed::default();
        for plan in analysis.public_inputs() {
            let rows = match analysis.releases_read(plan).is_empty() {
                true => Some(self.evaluated(plan, tables, &filled).await?),
                false => None,
            };
            filled.public.push(rows);
        }
        Ok(Prepared { public: filled.public })
    }
}

/// The same tables without a row: what a data set of nobody would be.
struct NoRows<'a>(&'a dyn RangedTables);

impl RangedTables for NoRows<'_> {
    fn ranges(&self) -> u32 {
        self.0.ranges()
    }

    fn table(&self, schema: &str, name: &str, range: Option<u32>) -> Result<Arc<dyn TableProvider>, EngineFault> {
        let columns = self.0.table(schema, name, range)?.schema();
        let owner = columns.field_with_name("person_id").is_ok_and(|field| *field.data_type() == DataType::Int64);
        let table = MemTable::try_new(Arc::clone(&columns), vec![vec![RecordBatch::new_empty(columns)]]);
        let table = table.map_err(EngineFault::planned)?;
        Ok(Arc::new(match range.is_some() && owner {
            true => table.with_sort_order(vec![vec![col("person_id").sort(true, false)]]),
            false => table,
        }))
    }
}

fn empty(schema: &Schema) -> Result<Arc<dyn TableProvider>, EngineFault> {
    positional(RecordBatch::new_empty(Arc::new(schema.clone())))
}
