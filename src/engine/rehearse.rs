//! Can this question be run at all, whatever the rows?
//!
//! After the charge a failure is a bit that no noise covers, and it is counted. What would fail for any rows, or over public
//! rows alone, is found out here, before the charge, and costs nothing: each plan is run over no rows, and over two made-up
//! ones of one person in every table, of which none is filtered out, so that each step has a row to fail on.

use std::{panic::AssertUnwindSafe, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, new_null_array},
        compute::cast,
        datatypes::{DataType, FieldRef, Schema, SchemaRef},
    },
    catalog::TableProvider,
    common::{
        DataFusionError,
        tree_node::{Transformed, TransformedResult, TreeNodeRecursion},
    },
    datasource::MemTable,
    logical_expr::{Expr, Filter, LogicalPlan, col},
    physical_plan::{ExecutionPlan, collect},
};

use futures::FutureExt;

use super::{
    Engine, EngineFault, PersonsOfRange, RangedTables, finish,
    local::{Placed, positional},
};
use crate::{
    privacy::Analysis,
    sql::{Standing, catalogued},
};

/// The public parts below persons' rows that wait for no release, evaluated.
pub struct Prepared {
    /// By number; nothing for a part that reads released values.
    pub(super) public: Vec<Option<Arc<dyn TableProvider>>>,
}

impl Engine {
    /// Whether every step can be made physical over `tables`, and runs to its end where they have no rows and where they have
    /// made-up ones. Some plans of the engine's are found wanting only when they run.
    ///
    /// # Errors
    /// [`EngineFault::Planned`]; it depends on no row.
    pub async fn rehearse(&self, analysis: &Analysis, tables: &dyn RangedTables) -> Result<(), EngineFault> {
        let inputs = analysis.public_inputs().iter();
        let public = inputs.map(|plan| empty(plan.schema().as_arrow()).map(Some)).collect::<Result<Vec<_>, _>>()?;
        let releases = analysis.releases().iter().map(|r| empty(&Schema::new(r.fields())));
        let filled = Placed { public, releases: releases.collect::<Result<Vec<_>, _>>()? };
        let (nothing, somebody) = (Instead { of: tables, rows: no_rows }, Instead { of: tables, rows: made_up_pair });
        let made_up = |schema: &Schema| positional(made_up(schema, 1)?).map(Some);
        let public = analysis.public_inputs().iter().map(|plan| made_up(plan.schema().as_arrow()));
        let releases = analysis.releases().iter().map(|r| positional(self::made_up(&Schema::new(r.fields()), 1)?));
        let beside =
            Placed { public: public.collect::<Result<_, _>>()?, releases: releases.collect::<Result<_, _>>()? };
        for plan in analysis.public_inputs() {
            self.physical(&self.optimised(plan)?, tables, &filled, None).await?;
        }
        for release in analysis.releases() {
            let optimised = self.optimised(&release.input)?;
            self.physical(&optimised, tables, &filled, Some(0)).await?;
            let physical = self.physical(&optimised, &nothing, &filled, Some(0)).await?;
            self.runs(physical).await?;
            let all_pass = passing(optimised)?;
            let physical = self.physical(&all_pass, &somebody, &beside, Some(0)).await?;
            self.runs(physical).await?;
        }
        finish::rehearse(self, analysis, &nothing, &filled).await
    }

    /// Runs a plan to its end, for whether it comes there: some steps of the engine's panic.
    async fn runs(&self, physical: Arc<dyn ExecutionPlan>) -> Result<(), EngineFault> {
        let running = AssertUnwindSafe(collect(physical, self.state().task_ctx())).catch_unwind();
        let panicked = |_| EngineFault::planned(DataFusionError::Internal("it panicked".to_owned()));
        running.await.map_err(panicked)?.map(drop).map_err(EngineFault::planned)
    }

    /// The public parts of `analysis`: exact and free, so evaluated before the charge. A fault in them costs nobody anything.
    /// What reads tables that are known from the records alone waits for the charge: how long it takes, and whether it comes
    /// to an end, would tell of their rows for nothing.
    ///
    /// # Errors
    /// [`EngineFault`]; it depends on public rows alone.
    pub async fn prepare(&self, analysis: &Analysis, tables: &dyn RangedTables) -> Result<Prepared, EngineFault> {
        let mut filled = Placed::default();
        for plan in analysis.public_inputs() {
            let waiting = |index: usize| filled.public.get(index).is_none_or(Option::is_none);
            let waits = reads_records(plan)? || analysis.inputs_of(plan).into_iter().any(waiting);
            let rows = match analysis.releases_read(plan).is_empty() && !waits {
                true => Some(self.evaluated(plan, tables, &filled).await?),
                false => None,
            };
            filled.public.push(rows);
        }
        Ok(Prepared { public: filled.public })
    }
}

/// Whether some table in `plan` is known from the records alone.
fn reads_records(plan: &LogicalPlan) -> Result<bool, EngineFault> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            found |= catalogued(scan).is_some_and(|table| !matches!(table.standing, Standing::Public { .. }));
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(EngineFault::planned)?;
    Ok(found)
}

/// The same tables with other rows.
struct Instead<'a> {
    of: &'a dyn RangedTables,
    rows: fn(&SchemaRef) -> Result<RecordBatch, EngineFault>,
}

impl RangedTables for Instead<'_> {
    fn ranges(&self) -> u32 {
        self.of.ranges()
    }

    fn table(&self, schema: &str, name: &str, range: Option<u32>) -> Result<Arc<dyn TableProvider>, EngineFault> {
        let columns = self.of.table(schema, name, range)?.schema();
        let owner = columns.field_with_name("person_id").is_ok_and(|field| *field.data_type() == DataType::Int64);
        let table = MemTable::try_new(Arc::clone(&columns), vec![vec![(self.rows)(&columns)?]]);
        let table = table.map_err(EngineFault::planned)?;
        Ok(Arc::new(match range.is_some() && owner {
            true => table.with_sort_order(vec![vec![col("person_id").sort(true, false)]]),
            false => table,
        }))
    }

    fn persons(&self, _: &str, _: u32) -> Result<Option<PersonsOfRange>, EngineFault> {
        Ok(None)
    }
}

fn no_rows(schema: &SchemaRef) -> Result<RecordBatch, EngineFault> {
    Ok(RecordBatch::new_empty(Arc::clone(schema)))
}

fn made_up_pair(schema: &SchemaRef) -> Result<RecordBatch, EngineFault> {
    made_up(schema, 2)
}

/// So many rows of the same values: every number is 1, so that they are of one person and meet wherever rows are joined.
fn made_up(schema: &Schema, rows: usize) -> Result<RecordBatch, EngineFault> {
    let column = |field: &FieldRef| {
        let one: ArrayRef = Arc::new(Int64Array::from(vec![1; rows]));
        match cast(&one, field.data_type()) {
            Ok(column) => column,
            Err(_) => new_null_array(field.data_type(), rows),
        }
    };
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let columns = schema.fields().iter().map(column).collect();
    RecordBatch::try_new_with_options(Arc::new(schema.clone()), columns, &options).map_err(|_| EngineFault::Shape)
}

/// `plan`, in which conditions are computed, and hold whatever comes of them.
fn passing(plan: LogicalPlan) -> Result<LogicalPlan, EngineFault> {
    let holds = |condition: Expr| condition.clone().is_null().or(condition.is_not_null());
    let passing = plan.transform_up_with_subqueries(|node| {
        Ok(match node {
            LogicalPlan::Filter(filter) => {
                Transformed::yes(LogicalPlan::Filter(Filter::try_new(holds(filter.predicate), filter.input)?))
            }
            LogicalPlan::Join(mut join) if join.filter.is_some() => {
                join.filter = join.filter.map(holds);
                Transformed::yes(LogicalPlan::Join(join))
            }
            other => Transformed::no(other),
        })
    });
    passing.data().map_err(EngineFault::planned)
}

fn empty(schema: &Schema) -> Result<Arc<dyn TableProvider>, EngineFault> {
    positional(RecordBatch::new_empty(Arc::new(schema.clone())))
}
