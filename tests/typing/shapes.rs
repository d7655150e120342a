//! Which tables can an analyst of OMOP records name, where there is no record?
//!
//! For whatever judges questions without answering them.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use sekisho::{
    catalog::{Model, TableKind},
    engine::{Engine, EngineLimits, MemoryTables, schema::arrow_schema},
    sql::{CataloguedTable, Directory, Standing},
    terms::{DatasetName, PopulationName},
};

/// The OMOP tables as an analyst names them, without rows.
pub struct Shapes {
    pub directory: Directory,
    pub tables: Arc<MemoryTables>,
    pub engine: Engine,
}

impl Shapes {
    pub fn omop() -> Self {
        let model = Model::builtin("omop-5.4").unwrap();
        let mut directory = Directory::new(vec!["demo".into(), "vocab".into()]);
        let mut tables = MemoryTables::new(1, i64::MAX, 8192);
        for table in model.tables.into_values() {
            let columns = Arc::new(arrow_schema(&table));
            let unique = match table.primary_key.as_slice() {
                [one] => [one.clone()].into(),
                _ => Default::default(),
            };
            let schema = if table.kind == TableKind::Public { "vocab" } else { "demo" };
            let rows = RecordBatch::new_empty(Arc::clone(&columns));
            let name = table.name.clone();
            let standing = match table.kind {
                TableKind::Unit => {
                    let owner = columns.index_of("person_id").unwrap();
                    tables.add_unit(schema, &name, rows, owner);
                    Standing::Unit {
                        dataset: DatasetName::new("demo").unwrap(),
                        population: PopulationName::new("jp").unwrap(),
                        table: Arc::new(table),
                    }
                }
                TableKind::Reference => {
                    tables.add_whole(schema, &name, rows);
                    Standing::Reference { unique, table: Arc::new(table) }
                }
                TableKind::Public => {
                    tables.add_whole(schema, &name, rows);
                    Standing::Public { unique, rows: 100_000, text_bytes: table.text_bytes() }
                }
                TableKind::Refused => continue,
            };
            directory.insert(CataloguedTable { schema: schema.into(), name, standing, columns });
        }
        let engine = Engine::new(&EngineLimits::default(), [7; 32]).unwrap();
        Self { directory, tables: Arc::new(tables), engine }
    }
}
