//! What can be asked about, in the tables that Flight SQL clients list?
//!
//! Everything comes from the catalogue: what this session may know exists, never what the data holds. The schemas are
//! exactly those of the protocol: ADBC compares them to the letter, nullability included.

use std::{collections::BTreeSet, sync::Arc};

use arrow_flight::sql::{Command, CommandGetDbSchemas, CommandGetTables};
use datafusion::arrow::{
    array::{ArrayRef, StringArray},
    datatypes::{DataType, Field, FieldRef, Schema},
    record_batch::RecordBatch,
};

use super::{caller::Caller, facts, keys, outflow, words::No};
use crate::gateway::TableInfo;

/// The one catalog.
pub(super) const CATALOG: &str = "sekisho";

/// The table that answers a metadata command; none for any other command.
pub(super) fn answer(caller: &Caller, command: &Command) -> Result<Option<RecordBatch>, No> {
    let tables = || caller.gateway.catalogue(&caller.session);
    let batch = match command {
        Command::CommandGetCatalogs(_) => one_column("catalog_name", [CATALOG]),
        Command::CommandGetDbSchemas(asked) => schemas(&tables(), asked),
        Command::CommandGetTables(asked) => listed(&tables(), asked),
        Command::CommandGetTableTypes(_) => {
            let kinds: BTreeSet<String> = tables().into_iter().map(|t| t.kind).collect();
            one_column("table_type", kinds)
        }
        Command::CommandGetPrimaryKeys(asked) => keys::primary(&tables(), asked),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => Ok(keys::no_foreign_keys()),
        Command::CommandGetSqlInfo(asked) => facts::server(asked),
        Command::CommandGetXdbcTypeInfo(asked) => facts::types(asked),
        _ => return Ok(None),
    };
    batch.map(Some)
}

fn schemas(tables: &[TableInfo], asked: &CommandGetDbSchemas) -> Result<RecordBatch, No> {
    let names: BTreeSet<&str> = tables.iter().map(|t| t.schema.as_str()).collect();
    let mut builder = asked.clone().into_builder();
    for name in names {
        builder.append(CATALOG, name);
    }
    builder.build().map_err(|_| No::failed())
}

fn listed(tables: &[TableInfo], asked: &CommandGetTables) -> Result<RecordBatch, No> {
    let mut builder = asked.clone().into_builder();
    for t in tables {
        builder.append(CATALOG, &t.schema, &t.table, &t.kind, &described(t)).map_err(|_| No::failed())?;
    }
    builder.build().map_err(|_| No::failed())
}

/// The columns of a table with the marks that JDBC's `getColumns` reads.
fn described(table: &TableInfo) -> Schema {
    let plain = outflow::plain_schema(&table.arrow);
    let fields: Vec<FieldRef> = plain
        .fields()
        .iter()
        .map(|field| {
            let mut marks = field.metadata().clone();
            let own = [
                ("CATALOG_NAME", CATALOG),
                ("SCHEMA_NAME", &table.schema),
                ("TABLE_NAME", &table.table),
                ("TYPE_NAME", facts::type_name(field.data_type())),
                ("IS_READ_ONLY", "1"),
            ];
            marks.extend(own.map(|(key, value)| (format!("ARROW:FLIGHT:SQL:{key}"), value.to_owned())));
            Arc::new(field.as_ref().clone().with_metadata(marks))
        })
        .collect();
    let mut marks = plain.metadata().clone();
    marks.insert("sekisho.remarks".into(), table.remarks.clone());
    Schema::new_with_metadata(fields, marks)
}

fn one_column<S: AsRef<str>>(name: &str, values: impl IntoIterator<Item = S>) -> Result<RecordBatch, No> {
    let schema = Schema::new(vec![Field::new(name, DataType::Utf8, false)]);
    let column: ArrayRef = Arc::new(StringArray::from_iter_values(values));
    RecordBatch::try_new(Arc::new(schema), vec![column]).map_err(|_| No::failed())
}
