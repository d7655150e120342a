//! How does a plan refer to what another stage has computed?

use std::{any::Any, sync::Arc};

use datafusion::{
    arrow::datatypes::{Field, Schema, SchemaRef},
    common::{Column, DFSchema, tree_node::TreeNodeRecursion},
    logical_expr::{Expr, LogicalPlan, Projection, TableSource, logical_plan::TableScan},
};

use super::typing::built;
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
    scan(Filled::PublicInput(index), format!("__sekisho_public_{index}"), fields, schema, &[])
}

/// A scan of the n-th release under the names of `schema`, with `hidden` columns behind them.
pub(super) fn release(
    index: usize,
    fields: Vec<Field>,
    schema: &DFSchema,
    hidden: &[String],
) -> Result<LogicalPlan, Refusal> {
    scan(Filled::Release(index), format!("__sekisho_release_{index}"), fields, schema, hidden)
}

fn scan(
    source: Filled,
    name: String,
    fields: Vec<Field>,
    schema: &DFSchema,
    hidden: &[String],
) -> Result<LogicalPlan, Refusal> {
    let source = Placeholder { source, columns: Arc::new(Schema::new(fields)) };
    let scan =
        built(datafusion::logical_expr::logical_plan::TableScanBuilder::new(name.clone(), Arc::new(source)).build())?;
    let visible = schema.iter().enumerate().map(|(i, (relation, field))| {
        Expr::Column(Column::new(Some(name.clone()), column_name(i))).alias_qualified(relation.cloned(), field.name())
    });
    let width = schema.fields().len();
    let hidden = hidden
        .iter()
        .enumerate()
        .map(|(i, hidden)| Expr::Column(Column::new(Some(name.clone()), column_name(width + i))).alias(hidden.clone()));
    let items = visible.chain(hidden).collect();
    Ok(LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(LogicalPlan::TableScan(scan))))?))
}
