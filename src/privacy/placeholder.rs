//! How does a plan refer to what another stage has computed?

use std::{any::Any, sync::Arc};

use datafusion::{
    arrow::datatypes::{Field, Schema, SchemaRef},
    common::{Column, DFSchema, tree_node::TreeNodeRecursion},
    logical_expr::{Expr, Filter, LogicalPlan, Projection, TableSource, logical_plan::TableScan},
};

use super::{release_point::Release, typing::built};
use crate::terms::Refusal;

/// A table that exists only in memory, between two stages.
#[derive(Debug, Clone)]
pub struct Placeholder {
    /// Which stage fills it.
    pub source: Filled,
    /// Its columns, named `c0`, `c1` and so on.
    pub columns: SchemaRef,
}

/// Which stage fills a placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Filled {
    /// The n-th public part, evaluated beforehand.
    PublicInput(usize),
    /// The n-th release, after noise.
    Release(usize),
}

impl TableSource for Placeholder {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns)
    }
}

/// The placeholder below a scan, if it is one.
#[must_use]
pub fn placeholder(scan: &TableScan) -> Option<&Placeholder> {
    let source: &dyn Any = scan.source.as_ref();
    source.downcast_ref()
}

/// What the placeholders in `plan` are filled from.
pub(super) fn read(plan: &LogicalPlan) -> Vec<Filled> {
    let mut read = vec![];
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            read.extend(placeholder(scan).map(|p| p.source));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    read
}

/// The names of a placeholder's columns: by position, since a plan's own names may repeat under other qualifiers.
#[must_use]
pub fn column_name(index: usize) -> String {
    format!("c{index}")
}

/// A scan of the n-th public part under the names of `schema`.
pub(super) fn public_input(index: usize, schema: &DFSchema) -> Result<LogicalPlan, Refusal> {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(i, f)| Field::new(column_name(i), f.data_type().clone(), f.is_nullable()))
        .collect();
    scan(Filled::PublicInput(index), format!("__sekisho_public_{index}"), fields, schema, None)
}

/// A scan of the n-th release, of the groups that are shown, under the names of the SQL aggregate's columns.
pub(super) fn release(index: usize, release: &Release) -> Result<LogicalPlan, Refusal> {
    let name = format!("__sekisho_release_{index}");
    let shown = release.shown(&name);
    scan(Filled::Release(index), name, release.fields(), &release.schema, shown)
}

/// Of which release `projection` names the columns, and the scan of all its groups.
pub(super) fn released(projection: &Projection) -> Option<(usize, &Arc<LogicalPlan>)> {
    let below = match projection.input.as_ref() {
        LogicalPlan::Filter(filter) => &filter.input,
        _ => &projection.input,
    };
    let LogicalPlan::TableScan(scan) = below.as_ref() else { return None };
    match placeholder(scan).map(|p| p.source) {
        Some(Filled::Release(index)) => Some((index, below)),
        _ => None,
    }
}

fn scan(
    source: Filled,
    name: String,
    fields: Vec<Field>,
    schema: &DFSchema,
    only: Option<Expr>,
) -> Result<LogicalPlan, Refusal> {
    let source = Placeholder { source, columns: Arc::new(Schema::new(fields)) };
    let scan =
        built(datafusion::logical_expr::logical_plan::TableScanBuilder::new(name.clone(), Arc::new(source)).build())?;
    let visible = schema.iter().enumerate().map(|(i, (relation, field))| {
        Expr::Column(Column::new(Some(name.clone()), column_name(i))).alias_qualified(relation.cloned(), field.name())
    });
    let scan = Arc::new(LogicalPlan::TableScan(scan));
    let rows = match only {
        Some(only) => Arc::new(LogicalPlan::Filter(built(Filter::try_new(only, scan))?)),
        None => scan,
    };
    Ok(LogicalPlan::Projection(built(Projection::try_new(visible.collect(), rows))?))
}
