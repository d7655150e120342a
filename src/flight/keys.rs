//! Which keys do tables have, in the columns that JDBC expects?

use std::sync::Arc;

use arrow_flight::sql::CommandGetPrimaryKeys;
use datafusion::arrow::{
    array::{ArrayRef, Int32Array, StringArray},
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};

use super::{catalogue::CATALOG, words::No};
use crate::gateway::TableInfo;

/// The primary key of one table.
pub(super) fn primary(tables: &[TableInfo], asked: &CommandGetPrimaryKeys) -> Result<RecordBatch, No> {
    let matches = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|w| w == name);
    let found: Vec<(&TableInfo, &String, i32)> = tables
        .iter()
        .filter(|t| matches(&asked.catalog, CATALOG) && matches(&asked.db_schema, &t.schema) && t.table == asked.table)
        .flat_map(|t| t.primary_key.iter().zip(1..).map(move |(column, place)| (t, column, place)))
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(found.iter().map(|_| CATALOG))),
        Arc::new(StringArray::from_iter_values(found.iter().map(|(t, ..)| &t.schema))),
        Arc::new(StringArray::from_iter_values(found.iter().map(|(t, ..)| &t.table))),
        Arc::new(StringArray::from_iter_values(found.iter().map(|(_, column, _)| column))),
        Arc::new(StringArray::from_iter(found.iter().map(|_| None::<&str>))),
        Arc::new(Int32Array::from_iter_values(found.iter().map(|(.., place)| *place))),
    ];
    let schema = Schema::new(vec![
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("column_name", false),
        text("key_name", true),
        Field::new("key_sequence", DataType::Int32, false),
    ]);
    RecordBatch::try_new(Arc::new(schema), columns).map_err(|_| No::failed())
}

/// Foreign keys are not told in this form: the empty table. `sekisho.columns` describes the model.
pub(super) fn no_foreign_keys() -> RecordBatch {
    RecordBatch::new_empty(Arc::new(Schema::new(vec![
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ])))
}

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}
