//! How is the exact stage of a plan run on this machine?

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    ops::Range,
    sync::{Arc, Weak},
};

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, RecordBatch},
        compute::{concat_batches, kernels::length::length, max},
        datatypes::{DataType, Int32Type, Int64Type, Schema},
    },
    catalog::TableProvider,
    common::tree_node::{Transformed, TransformedResult},
    datasource::{MemTable, provider_as_source},
    execution::{
        SessionState, SessionStateBuilder,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::GreedyMemoryPool,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    logical_expr::LogicalPlan,
    physical_plan::{ExecutionPlan, collect, execute_stream},
    prelude::SessionConfig,
};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::task::JoinSet;

use super::{
    EngineFault, Prepared, RangedTables,
    ends::fast_ends,
    intern::{Value, value_of},
    person_aggregate::Fold,
    sides::smaller_first,
    sums::{Sums, merge, seal},
    yielding::yielding,
};
use crate::{
    privacy::{Analysis, BUILT_BYTES_MAX, Exact, Filled, Noisy, Release, placeholder},
    sql::{Standing, catalogued},
};

/// What the exact stage may use of the machine; public figures.
#[derive(Debug, Clone)]
pub struct EngineLimits {
    /// Ranges run at once.
    pub threads: NonZeroUsize,
    /// Bytes for hash tables and sorts.
    pub memory_bytes: usize,
    /// Rows of a batch.
    pub batch_rows: NonZeroUsize,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            threads: NonZeroUsize::MIN.saturating_add(1),
            memory_bytes: 4 << 30,
            batch_rows: NonZeroUsize::MIN.saturating_add(8191),
        }
    }
}

/// The local engine: plans and runs one range at a time, nothing ever spilled to disk.
#[derive(Clone)]
pub struct Engine {
    state: SessionState,
    threads: NonZeroUsize,
    group_key: [u8; 32],
}

/// Says whether an engine's work has come to rest: work that was dropped ends where it next yields, which a call of the
/// engine over one batch does not.
#[derive(Clone, Default)]
pub struct InUse(Weak<RuntimeEnv>);

impl InUse {
    /// Whether nothing holds the engine's memory any more.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl Engine {
    /// An engine that picks groups beyond C by `group_key`, which is secret and fixed.
    ///
    /// # Errors
    /// [`EngineFault::Planned`] where the runtime refuses its settings.
    pub fn new(limits: &EngineLimits, group_key: [u8; 32]) -> Result<Self, EngineFault> {
        let runtime = memory(limits.memory_bytes)?;
        let config = SessionConfig::new()
            .with_target_partitions(1)
            .with_batch_size(limits.batch_rows.get())
            .with_information_schema(false)
            .with_collect_statistics(false)
            // Sorted in parts, a union of rows per person is taken for sorted where it is not, and found wanting.
            .with_repartition_sorts(false);
        let state =
            SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features().build();
        Ok(Self { state, threads: limits.threads, group_key })
    }

    /// The same engine with `memory_bytes` of its own: what one question takes is never missing to another, so nobody's
    /// failure tells about somebody else's question.
    ///
    /// # Errors
    /// [`EngineFault::Planned`] where the runtime refuses its settings.
    pub fn with_memory_of_its_own(&self, memory_bytes: usize) -> Result<Self, EngineFault> {
        let state = SessionStateBuilder::new_from_existing(self.state.clone());
        let state = state.with_runtime_env(memory(memory_bytes)?).build();
        Ok(Self { state, threads: self.threads, group_key: self.group_key })
    }

    /// Whether work in this engine's memory goes on, also when this handle of it is gone.
    #[must_use]
    pub fn in_use(&self) -> InUse {
        InUse(Arc::downgrade(self.state.runtime_env()))
    }

    /// How many threads a question may keep busy at once; a public figure.
    #[must_use]
    pub fn threads(&self) -> NonZeroUsize {
        self.threads
    }

    pub(super) fn state(&self) -> &SessionState {
        &self.state
    }

    /// The bounded sums of the releases of one stage of `analysis`; `earlier` are the noised releases before it.
    ///
    /// Exact values: they come sealed, and only noise opens them. The caller holds a reservation; see
    /// `gateway/answer.rs`.
    ///
    /// # Errors
    /// [`EngineFault`] names the step that failed and nothing of the rows.
    pub async fn exact_stage(
        &self,
        analysis: &Analysis,
        stage: Range<usize>,
        earlier: &Noisy,
        prepared: &Prepared,
        tables: Arc<dyn RangedTables>,
    ) -> Result<Vec<Exact>, EngineFault> {
        let releases = analysis.releases().get(stage).ok_or(EngineFault::Shape)?;
        let wanted: BTreeSet<usize> = releases.iter().flat_map(|r| analysis.inputs_of(&r.input)).collect();
        let mut filled = Placed::after(earlier)?;
        for (index, plan) in analysis.public_inputs().iter().enumerate() {
            let ready = prepared.public.get(index).cloned().flatten();
            let rows = match wanted.contains(&index) && ready.is_none() {
                true => Some(self.evaluated(plan, tables.as_ref(), &filled).await?),
                false => ready,
            };
            filled.public.push(rows);
        }
        let filled = Arc::new(filled);
        let mut exact = vec![];
        for release in releases {
            exact.push(self.one_release(release, &tables, &filled).await?);
        }
        Ok(exact)
    }

    async fn one_release(
        &self,
        release: &Release,
        tables: &Arc<dyn RangedTables>,
        filled: &Arc<Placed>,
    ) -> Result<Exact, EngineFault> {
        let lists = match &release.public_groups {
            Some(groups) => Some(
                groups
                    .iter()
                    .map(|list| list.iter().map(value_of).collect())
                    .collect::<Result<Vec<BTreeSet<Value>>, _>>()?,
            ),
            None => None,
        };
        let plan = Arc::new(self.optimised(&release.input)?);
        let shared = Arc::new((release.clone(), lists));
        let tasks = stream::iter(0..tables.ranges()).map(|range| {
            let (engine, plan, shared) = (self.clone(), Arc::clone(&plan), Arc::clone(&shared));
            let (tables, filled) = (Arc::clone(tables), Arc::clone(filled));
            async move {
                let task = async move {
                    let physical = engine.physical(&plan, tables.as_ref(), &filled, Some(range)).await?;
                    let mut rows = execute_stream(physical, engine.state.task_ctx()).map_err(EngineFault::run)?;
                    let persons = engine.persons(&shared.0, tables.as_ref(), range).await?;
                    let mut fold = Fold::new(&shared.0, shared.1.as_deref(), &engine.group_key, persons)?;
                    while let Some(batch) = rows.try_next().await.map_err(EngineFault::run)? {
                        fold.add(&batch)?;
                        // Batches that are always ready would never let go: a halt ends the question here.
                        tokio::task::yield_now().await;
                    }
                    fold.finish()
                };
                // Dropped with what waits for it, the set ends the task: a halted question stops computing.
                let mut alone = JoinSet::new();
                alone.spawn(task);
                alone.join_next().await.ok_or(EngineFault::Lost)?.map_err(|_| EngineFault::Lost)?
            }
        });
        let mut ranges = tasks.buffer_unordered(self.threads.get());
        let mut all = Sums::new();
        while let Some(sums) = ranges.next().await {
            merge(&mut all, sums?)?;
        }
        seal(release, shared.1.as_deref(), all)
    }

    /// The rows of a plan about nobody.
    pub(super) async fn evaluated(
        &self,
        plan: &LogicalPlan,
        tables: &dyn RangedTables,
        filled: &Placed,
    ) -> Result<Arc<dyn TableProvider>, EngineFault> {
        let physical = self.physical(&self.optimised(plan)?, tables, filled, None).await?;
        let schema = physical.schema();
        let batches = collect(physical, self.state.task_ctx()).await.map_err(EngineFault::run)?;
        let rows = concat_batches(&schema, &batches).map_err(|_| EngineFault::Shape)?;
        match rows.columns().iter().all(short_texts) {
            true => positional(rows),
            false => Err(EngineFault::LongText),
        }
    }

    pub(super) fn optimised(&self, plan: &LogicalPlan) -> Result<LogicalPlan, EngineFault> {
        self.state.optimize(plan).and_then(smaller_first).and_then(fast_ends).map_err(EngineFault::planned)
    }

    pub(super) async fn physical(
        &self,
        plan: &LogicalPlan,
        tables: &dyn RangedTables,
        filled: &Placed,
        range: Option<u32>,
    ) -> Result<Arc<dyn ExecutionPlan>, EngineFault> {
        let bound = bind(plan.clone(), tables, filled, range)?;
        let physical = self.state.query_planner().create_physical_plan(&bound, &self.state).await;
        physical.and_then(yielding).map_err(EngineFault::planned)
    }
}

/// Whether no text of a column is longer than a question may build: each may come to stand on every row of a person.
fn short_texts(column: &ArrayRef) -> bool {
    if !matches!(column.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
        return true;
    }
    // Of texts it is in bytes.
    let Ok(lengths) = length(column.as_ref()) else { return false };
    let longest = match lengths.data_type() {
        DataType::Int64 => max(lengths.as_primitive::<Int64Type>()),
        _ => lengths.as_primitive_opt::<Int32Type>().and_then(max).map(i64::from),
    };
    longest.is_none_or(|bytes| u64::try_from(bytes).is_ok_and(|bytes| bytes <= BUILT_BYTES_MAX))
}

/// What stands for placeholders: public parts that were evaluated, and releases that were noised.
#[derive(Default)]
pub(super) struct Placed {
    pub(super) public: Vec<Option<Arc<dyn TableProvider>>>,
    pub(super) releases: Vec<Arc<dyn TableProvider>>,
}

impl Placed {
    /// Noised releases alone.
    pub(super) fn after(noisy: &Noisy) -> Result<Self, EngineFault> {
        let releases = noisy.releases().iter().map(|batch| positional(batch.clone()));
        Ok(Self { public: vec![], releases: releases.collect::<Result<_, _>>()? })
    }

    fn get(&self, source: Filled) -> Result<Arc<dyn TableProvider>, EngineFault> {
        let found = match source {
            Filled::PublicInput(index) => self.public.get(index).cloned().flatten(),
            Filled::Release(index) => self.releases.get(index).cloned(),
        };
        found.ok_or(EngineFault::Missing)
    }
}

/// Puts the rows of one range below every scan.
pub(super) fn bind(
    plan: LogicalPlan,
    tables: &dyn RangedTables,
    placed: &Placed,
    range: Option<u32>,
) -> Result<LogicalPlan, EngineFault> {
    let mut missing = None;
    let bound = plan
        .transform_up_with_subqueries(|node| {
            let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
            let provider = if let Some(table) = catalogued(&scan) {
                let unit = matches!(table.standing, Standing::Unit { .. });
                tables.table(&table.schema, &table.name, range.filter(|_| unit))
            } else if let Some(filled) = placeholder(&scan) {
                placed.get(filled.source)
            } else {
                Err(EngineFault::Missing)
            };
            match provider {
                Ok(provider) => scan.source = provider_as_source(provider),
                Err(fault) => missing = Some(fault),
            }
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        })
        .data()
        .map_err(EngineFault::planned)?;
    missing.map_or(Ok(bound), Err)
}

/// Memory for hash tables and sorts, so much and no disk behind it.
fn memory(memory_bytes: usize) -> Result<Arc<RuntimeEnv>, EngineFault> {
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory_bytes)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()
        .map_err(EngineFault::planned)
}

/// A batch as a table whose columns are named by position.
pub(super) fn positional(rows: RecordBatch) -> Result<Arc<dyn TableProvider>, EngineFault> {
    use datafusion::arrow::datatypes::Field;
    let fields: Vec<Field> = rows
        .schema()
        .fields()
        .iter()
        .enumerate()
        .map(|(i, f)| Field::new(crate::privacy::column_name(i), f.data_type().clone(), f.is_nullable()))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let options = datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let rows = RecordBatch::try_new_with_options(Arc::clone(&schema), rows.columns().to_vec(), &options)
        .map_err(|_| EngineFault::Shape)?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![rows]]).map_err(EngineFault::planned)?))
}
