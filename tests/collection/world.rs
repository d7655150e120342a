//! Over which rows are the questions asked?
//!
//! The sample persons of the catalogue, whom nobody had a part in, with the vocabulary of the generator; the same rows
//! once as the engine reads them and once for a plain engine.

use std::{collections::BTreeMap, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, Float64Array, Int64Array, RecordBatch, new_null_array},
        compute::{cast, concat_batches},
        datatypes::DataType,
    },
    common::{
        config::Dialect,
        tree_node::{Transformed, TransformedResult},
    },
    datasource::{MemTable, provider_as_source},
    logical_expr::LogicalPlan,
    prelude::{ParquetReadOptions, SessionConfig, SessionContext},
};
use sekisho::{
    catalog::{Model, Table, TableKind},
    engine::{Engine, MemoryTables, sample::sample, schema::arrow_schema},
    sql::{CataloguedTable, Directory, Standing, catalogued},
    synth,
    terms::{DatasetName, PopulationName},
};

use crate::oracle::run::{engine, runtime};

const PERSONS: u32 = 240;
const RANGES: u32 = 3;

/// The tables, and both engines over them.
pub struct World {
    pub directory: Directory,
    pub tables: Arc<MemoryTables>,
    pub engine: Engine,
    pub plain: SessionContext,
    pub runtime: tokio::runtime::Runtime,
    rows: BTreeMap<String, RecordBatch>,
}

impl World {
    pub fn new() -> Self {
        let (model, runtime) = (Model::builtin("omop-5.4").unwrap(), runtime());
        let mut config = SessionConfig::new().with_target_partitions(1);
        config.options_mut().sql_parser.dialect = Dialect::PostgreSQL;
        config.options_mut().sql_parser.map_string_types_to_utf8view = false;
        let plain = SessionContext::new_with_config(config);
        let mut directory = Directory::new(vec!["demo".into(), "vocab".into()]);
        let mut tables = MemoryTables::new(RANGES, i64::from(PERSONS.div_ceil(RANGES)), 512);
        let vocabulary = runtime.block_on(vocabulary(&model));
        let mut rows = BTreeMap::new();
        for table in model.tables.values() {
            let of_table = match table.kind {
                TableKind::Refused => continue,
                TableKind::Public => vocabulary[&table.name].clone(),
                _ => sample(&model, &table.name, PERSONS).unwrap(),
            };
            let name = table.name.clone();
            let schema = if table.kind == TableKind::Public { "vocab" } else { "demo" };
            match table.kind {
                TableKind::Unit => {
                    let owner = of_table.schema().index_of("person_id").unwrap();
                    tables.add_unit(schema, &name, of_table.clone(), owner);
                }
                _ => tables.add_whole(schema, &name, of_table.clone()),
            }
            let (columns, standing) = (of_table.schema(), standing(table, &of_table));
            directory.insert(CataloguedTable { schema: schema.into(), name: name.clone(), standing, columns });
            plain.register_table(&name, Arc::new(memory(&of_table))).unwrap();
            rows.insert(name, of_table);
        }
        Self { directory, tables: Arc::new(tables), engine: engine(1, 512), plain, runtime, rows }
    }

    /// The plan of an admitted question over the same rows, for the plain engine.
    pub fn for_plain(&self, plan: &LogicalPlan) -> LogicalPlan {
        let bound = plan.clone().transform_up_with_subqueries(|node| {
            let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
            if let Some(table) = catalogued(&scan) {
                scan.source = provider_as_source(Arc::new(memory(&self.rows[&table.name])));
            }
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        });
        bound.data().unwrap()
    }

    /// Rows of all tables of persons.
    pub fn rows(&self) -> usize {
        self.rows.values().map(RecordBatch::num_rows).sum()
    }
}

fn memory(rows: &RecordBatch) -> MemTable {
    MemTable::try_new(rows.schema(), vec![vec![rows.clone()]]).unwrap()
}

fn standing(table: &Table, rows: &RecordBatch) -> Standing {
    let unique = match table.primary_key.as_slice() {
        [one] => [one.clone()].into(),
        _ => std::collections::BTreeSet::new(),
    };
    match table.kind {
        TableKind::Unit => Standing::Unit {
            dataset: DatasetName::new("demo").unwrap(),
            population: PopulationName::new("jp").unwrap(),
            table: Arc::new(table.clone()),
        },
        TableKind::Reference => Standing::Reference { unique, table: Arc::new(table.clone()) },
        _ => Standing::Public { unique, rows: u64::try_from(rows.num_rows()).unwrap(), text_bytes: table.text_bytes() },
    }
}

/// The public tables that the generator writes, with the columns of the catalogue; what it does not write is made up.
async fn vocabulary(model: &Model) -> BTreeMap<String, RecordBatch> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("persons");
    let plan = synth::SynthPlan { persons: 1, seed: 7, out: out.clone(), format: synth::Format::Parquet };
    synth::generate(&plan, &|_| {}).unwrap();
    let context = SessionContext::new();
    let mut tables = BTreeMap::new();
    for table in model.tables.values().filter(|table| table.kind == TableKind::Public) {
        let file = out.join(synth::VOCABULARY).join(format!("{}.parquet", table.name));
        let rows = match file.exists() {
            true => {
                let options = ParquetReadOptions::default();
                let frame = context.read_parquet(file.to_str().unwrap(), options).await.unwrap();
                let schema = Arc::new(frame.schema().as_arrow().clone());
                concat_batches(&schema, &frame.collect().await.unwrap()).unwrap()
            }
            false => strengths(table),
        };
        tables.insert(table.name.clone(), shaped(table, &rows));
    }
    tables
}

/// `rows` with the columns of `table` in their order and types; what is missing is NULL.
fn shaped(table: &Table, rows: &RecordBatch) -> RecordBatch {
    let schema = Arc::new(arrow_schema(table));
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| match rows.column_by_name(field.name()) {
            Some(column) => cast(column, field.data_type()).unwrap(),
            None => new_null_array(field.data_type(), rows.num_rows()),
        })
        .collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

/// A strength for some of the drugs that the sample persons receive.
fn strengths(table: &Table) -> RecordBatch {
    assert_eq!(table.name, "drug_strength", "the generator writes every other public table");
    let drugs = [1_503_297, 1_545_958, 1_332_418, 1_112_807, 1_112_807, 1_177_480];
    let ingredients = [1_503_297, 1_545_958, 1_332_418, 1_112_807, 1_332_418, 1_177_480];
    let amounts = [500.0, 10.0, 5.0, 100.0, 2.5, 200.0];
    let rows = drugs.len();
    let schema = Arc::new(arrow_schema(table));
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "drug_concept_id" => Arc::new(Int64Array::from(drugs.to_vec())),
            "ingredient_concept_id" => Arc::new(Int64Array::from(ingredients.to_vec())),
            "amount_value" => Arc::new(Float64Array::from(amounts.to_vec())),
            _ if field.is_nullable() => new_null_array(field.data_type(), rows),
            _ => cast(&Int64Array::from(vec![0; rows]), &DataType::Int32)
                .and_then(|zeros| cast(&zeros, field.data_type()))
                .unwrap(),
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}
