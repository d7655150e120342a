//! What is done with values that may be shown, and what with questions about nobody?

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{Array, RecordBatch},
        datatypes::{Field, Schema, SchemaRef},
    },
    catalog::TableProvider,
    common::tree_node::{Transformed, TransformedResult, TreeNode},
    logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, Operator, TryCast, ident},
    physical_plan::collect,
    prelude::{DataFrame, SessionContext},
};

use super::{
    Engine, EngineFault, RangedTables,
    local::{Placed, bind},
    yielding::yielding,
};
use crate::privacy::{Analysis, Noisy, not_shown};

/// An answer as it leaves: noised, finished, with the metadata of its noisy columns.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The columns, noisy ones with `sekisho.*` metadata.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// How many released groups are not shown because they do not stand out from noise.
    pub not_shown: usize,
}

/// Post-processing of `noisy` as the question says: free, and a function of what was released alone.
///
/// # Errors
/// [`EngineFault`] where the engine cannot run the last steps, or they fail on these values.
pub async fn finish(
    engine: &Engine,
    analysis: &Analysis,
    noisy: &Noisy,
    tables: &dyn RangedTables,
) -> Result<Finished, EngineFault> {
    let plan = total(analysis.finish().clone())?;
    let mut finished = run(engine, plan, tables, &Placed::after(noisy)?).await?;
    let mut fields = vec![];
    for (index, field) in finished.schema.fields().iter().enumerate() {
        let noisy_field = analysis.passed().get(index).cloned().flatten().and_then(|passed| {
            noisy.releases().get(passed.release).map(|b| b.schema().field(passed.output).metadata().clone())
        });
        fields.push(plain(field).with_metadata(noisy_field.unwrap_or_default()));
    }
    finished.not_shown = not_shown(analysis.releases(), noisy);
    finished.schema = Arc::new(Schema::new(fields));
    finished.batches = retype(&finished.batches, &finished.schema)?;
    Ok(finished)
}

/// Whether the last steps run where nothing was released.
pub(super) async fn rehearse(
    engine: &Engine,
    analysis: &Analysis,
    tables: &dyn RangedTables,
    placed: &Placed,
) -> Result<(), EngineFault> {
    let plan = total(analysis.finish().clone())?;
    let bound = bind(plan, tables, placed, None)?;
    let physical =
        engine.state().create_physical_plan(&bound).await.and_then(yielding).map_err(EngineFault::planned)?;
    collect(physical, engine.state().task_ctx()).await.map(|_| ()).map_err(EngineFault::planned)
}

/// A question about nobody, answered exactly.
///
/// # Errors
/// [`EngineFault`] where the engine cannot run it.
pub async fn public_answer(
    engine: &Engine,
    plan: &LogicalPlan,
    tables: &dyn RangedTables,
) -> Result<Finished, EngineFault> {
    let finished = run(engine, plan.clone(), tables, &Placed::default()).await?;
    let fields: Vec<Field> = finished.schema.fields().iter().map(|f| plain(f)).collect();
    let schema = Arc::new(Schema::new(fields));
    Ok(Finished { batches: retype(&finished.batches, &schema)?, schema, not_shown: 0 })
}

impl Engine {
    /// How many rows a public table has, and which of `columns` hold each value at most once in it.
    ///
    /// # Errors
    /// [`EngineFault`] where the table cannot be read.
    pub async fn measure_public(
        &self,
        table: Arc<dyn TableProvider>,
        columns: &[String],
    ) -> Result<(u64, BTreeSet<String>), EngineFault> {
        let context = SessionContext::new_with_state(self.state().clone());
        let frame = context.read_table(table).map_err(EngineFault::planned)?;
        let rows = frame.clone().count().await.map_err(EngineFault::run)?;
        let mut unique = BTreeSet::new();
        for name in columns {
            let values = frame.clone().select(vec![ident(name)]).and_then(DataFrame::distinct);
            let values = values.map_err(EngineFault::planned)?.count().await.map_err(EngineFault::run)?;
            if values == rows {
                unique.insert(name.clone());
            }
        }
        Ok((u64::try_from(rows).unwrap_or(u64::MAX), unique))
    }
}

async fn run(
    engine: &Engine,
    plan: LogicalPlan,
    tables: &dyn RangedTables,
    placed: &Placed,
) -> Result<Finished, EngineFault> {
    let bound = bind(plan, tables, placed, None)?;
    let physical =
        engine.state().create_physical_plan(&bound).await.and_then(yielding).map_err(EngineFault::planned)?;
    let schema = physical.schema();
    let batches = collect(physical, engine.state().task_ctx()).await.map_err(EngineFault::run)?;
    Ok(Finished { schema, batches, not_shown: 0 })
}

fn plain(field: &Field) -> Field {
    Field::new(field.name(), field.data_type().clone(), true).with_metadata(HashMap::new())
}

fn retype(batches: &[RecordBatch], schema: &SchemaRef) -> Result<Vec<RecordBatch>, EngineFault> {
    batches
        .iter()
        .filter(|batch| batch.num_rows() > 0)
        .map(|batch| {
            let columns = batch.columns().iter().map(Arc::clone).collect::<Vec<_>>();
            debug_assert!(columns.iter().all(|c| c.len() == batch.num_rows()));
            RecordBatch::try_new(Arc::clone(schema), columns).map_err(|_| EngineFault::Shape)
        })
        .collect()
}

/// A quotient of released values is NULL where the divisor is zero, and a cast where the value does not fit, as over persons'
/// rows.
fn total(plan: LogicalPlan) -> Result<LogicalPlan, EngineFault> {
    plan.transform_up(|node| {
        let schemas: Vec<_> = node.inputs().into_iter().map(|input| Arc::clone(input.schema())).collect();
        node.map_expressions(|expr| {
            let name = expr.schema_name().to_string();
            let changed = expr.transform_up(|e| match e {
                Expr::BinaryExpr(BinaryExpr { left, op, right })
                    if matches!(op, Operator::Divide | Operator::Modulo) && !matches!(*right, Expr::Literal(..)) =>
                {
                    let zero = schemas
                        .iter()
                        .find_map(|schema| right.get_type(schema.as_ref()).ok())
                        .and_then(|t| datafusion::common::ScalarValue::new_zero(&t).ok());
                    let right = match zero {
                        Some(zero) => datafusion::functions::core::expr_fn::nullif(*right, Expr::Literal(zero, None)),
                        None => *right,
                    };
                    Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(left, op, Box::new(right)))))
                }
                Expr::Cast(Cast { expr, field }) if !matches!(*expr, Expr::Literal(..)) => {
                    Ok(Transformed::yes(Expr::TryCast(TryCast { expr, field })))
                }
                other => Ok(Transformed::no(other)),
            })?;
            Ok(match changed.transformed && changed.data.schema_name().to_string() != name {
                true => changed.update_data(|e| e.alias(name)),
                false => changed,
            })
        })?
        // What may be NULL now has to be said to the steps above.
        .map_data(LogicalPlan::recompute_schema)
    })
    .data()
    .map_err(EngineFault::planned)
}
