//! Which tables can this caller name, and what is each of them?

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use datafusion::{
    arrow::datatypes::SchemaRef,
    common::TableReference,
    logical_expr::{Expr, TableProviderFilterPushDown, TableScan, TableSource},
};

use crate::{
    catalog,
    terms::{DatasetName, PopulationName},
};

/// What the rows of a table stand for.
#[derive(Debug, Clone)]
pub enum Standing {
    /// Every row belongs to one person.
    Unit {
        /// The data set it belongs to.
        dataset: DatasetName,
        /// The population of its persons.
        population: PopulationName,
        /// What the catalogue declares of it.
        table: Arc<catalog::Table>,
    },
    /// Rows about no person, but known only from the records.
    Reference {
        /// Columns that hold each value at most once, as ingest enforces.
        unique: BTreeSet<String>,
        /// What the catalogue declares of it.
        table: Arc<catalog::Table>,
    },
    /// Exists without these persons.
    Public {
        /// Columns that hold each value at most once.
        unique: BTreeSet<String>,
        /// How many rows it has.
        rows: u64,
        /// How many bytes the texts of a column have at most, where that is declared.
        text_bytes: BTreeMap<String, u64>,
    },
}

/// One table as the planner sees it: a shape without data.
#[derive(Debug, Clone)]
pub struct CataloguedTable {
    /// The SQL schema.
    pub schema: String,
    /// The name in it.
    pub name: String,
    /// What its rows stand for.
    pub standing: Standing,
    /// Its queryable columns.
    pub columns: SchemaRef,
}

impl TableSource for CataloguedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns)
    }

    /// Filters may go down to the scan to skip what cannot match; they are applied above it all the same.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> datafusion::common::Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}

/// The catalogued table below a scan; `None` for a scan that this door did not plan.
#[must_use]
pub fn catalogued(scan: &TableScan) -> Option<&CataloguedTable> {
    let source: &dyn Any = scan.source.as_ref();
    source.downcast_ref()
}

/// Schemas of SQL Server, of PostgreSQL, and of the common ways to set OMOP up.
const USUAL: [&str; 7] = ["dbo", "public", "cdm", "omop", "omop_cdm", "cdm_v5", "cdm_schema"];

/// All tables that one caller can name.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    tables: BTreeMap<(String, String), Arc<CataloguedTable>>,
    default_schemas: Vec<String>,
}

impl Directory {
    /// A directory in which a bare table name is looked up in `default_schemas`, in that order.
    #[must_use]
    pub fn new(default_schemas: Vec<String>) -> Self {
        Self { tables: BTreeMap::new(), default_schemas }
    }

    /// Adds one table.
    pub fn insert(&mut self, table: CataloguedTable) {
        self.tables.insert((table.schema.clone(), table.name.clone()), Arc::new(table));
    }

    /// All tables, by schema and name.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<CataloguedTable>> {
        self.tables.values()
    }

    /// The table under `name`, which may be bare or hold a schema and the catalog `sekisho`. A schema that other engines have
    /// by default, and that is none here, is as good as none.
    #[must_use]
    pub fn find(&self, name: &TableReference) -> Option<Arc<CataloguedTable>> {
        let at = |schema: &str, table: &str| self.tables.get(&(schema.to_owned(), table.to_owned())).cloned();
        let bare = |table: &str| self.default_schemas.iter().find_map(|schema| at(schema, table));
        match name {
            TableReference::Bare { table } => bare(table),
            TableReference::Partial { schema, table } => match self.is_usual(schema) {
                true => bare(table),
                false => at(schema, table),
            },
            TableReference::Full { catalog, schema, table } if catalog.as_ref() == "sekisho" => at(schema, table),
            TableReference::Full { schema, table, .. } if self.is_usual(schema) => bare(table),
            TableReference::Full { .. } => None,
        }
    }

    /// Whether it is a schema that holds the records elsewhere, and nothing here.
    fn is_usual(&self, schema: &str) -> bool {
        USUAL.contains(&schema) && !self.tables.keys().any(|(known, _)| known == schema)
    }
}
