//! Where do the rows of a table lie, range by range?

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{Array, AsArray, RecordBatch},
        datatypes::{Int64Type, SchemaRef},
    },
    catalog::TableProvider,
    datasource::{
        MemTable,
        file_format::parquet::ParquetFormat,
        listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl},
    },
    logical_expr::col,
};

use super::{EngineFault, layout::Manifest, persons::persons_schema, schema::arrow_schema, version_key::VersionKey};
use crate::catalog::Model;

/// The first owner key of a range, and the lasting pseudonyms from it on, one row each.
pub type PersonsOfRange = (i64, Arc<dyn TableProvider>);

/// The tables of one question: unit tables cut into owner-key ranges, the others whole.
pub trait RangedTables: Send + Sync {
    /// How many ranges every unit table is cut into.
    fn ranges(&self) -> u32;

    /// The rows of a unit table whose owner key lies in `range`, sorted by it; or, with `None`, a table about nobody.
    ///
    /// # Errors
    /// [`EngineFault::Missing`] where there is none.
    fn table(&self, schema: &str, name: &str, range: Option<u32>) -> Result<Arc<dyn TableProvider>, EngineFault>;

    /// The persons of `range` of the data set `schema`; `None` where owner keys last themselves.
    ///
    /// # Errors
    /// [`EngineFault::Missing`] where they cannot be read.
    fn persons(&self, schema: &str, range: u32) -> Result<Option<PersonsOfRange>, EngineFault>;
}

/// The tables of a data version and of public vocabularies, as Parquet files.
#[derive(Debug, Clone)]
pub struct FileTables {
    version: Option<Version>,
    public: PublicFiles,
}

/// Public tables: by schema and table their file and columns.
pub type PublicFiles = BTreeMap<(String, String), (PathBuf, SchemaRef)>;

#[derive(Debug, Clone)]
struct Version {
    schema: String,
    directory: PathBuf,
    manifest: Arc<Manifest>,
    model: Arc<Model>,
    key: Option<Arc<VersionKey>>,
}

impl FileTables {
    /// The version in `directory`, seen as the SQL schema `schema`.
    #[must_use]
    pub fn new(schema: String, directory: PathBuf, manifest: Arc<Manifest>, model: Arc<Model>) -> Self {
        Self { version: Some(Version { schema, directory, manifest, model, key: None }), public: BTreeMap::new() }
    }

    /// The same, encrypted under `key`.
    #[must_use]
    pub fn with_key(mut self, key: Option<Arc<VersionKey>>) -> Self {
        if let Some(version) = &mut self.version {
            version.key = key;
        }
        self
    }

    /// The same with public tables beside.
    #[must_use]
    pub fn with_public(self, public: PublicFiles) -> Self {
        Self { public, ..self }
    }

    /// Public tables alone.
    #[must_use]
    pub fn public_only(public: PublicFiles) -> Self {
        Self { version: None, public }
    }
}

impl RangedTables for FileTables {
    fn ranges(&self) -> u32 {
        self.version.as_ref().map_or(1, |v| v.manifest.ranges)
    }

    fn table(&self, schema: &str, name: &str, range: Option<u32>) -> Result<Arc<dyn TableProvider>, EngineFault> {
        if let Some((file, columns)) = self.public.get(&(schema.to_owned(), name.to_owned())) {
            return parquet(file, Arc::clone(columns), false, None);
        }
        let version = self.version.as_ref().filter(|v| v.schema == schema).ok_or(EngineFault::Missing)?;
        let columns = version.model.table(name).map(|t| Arc::new(arrow_schema(t))).ok_or(EngineFault::Missing)?;
        let files = version.manifest.files(name, range);
        match files.as_slice() {
            [file] => parquet(&version.directory.join(file), columns, range.is_some(), version.key.as_deref()),
            _ => Err(EngineFault::Missing),
        }
    }

    fn persons(&self, schema: &str, range: u32) -> Result<Option<PersonsOfRange>, EngineFault> {
        let version = self.version.as_ref().filter(|v| v.schema == schema).ok_or(EngineFault::Missing)?;
        let Some(entry) = version.manifest.persons.iter().find(|entry| entry.range == Some(range)) else {
            return match version.manifest.persons.is_empty() {
                // A version of before: its choices last as long as it does.
                true => Ok(None),
                false => Err(EngineFault::Missing),
            };
        };
        let first = i64::try_from(version.manifest.owner_keys(range).0).map_err(|_| EngineFault::Shape)?;
        let file = version.directory.join(&entry.file);
        Ok(Some((first, parquet(&file, persons_schema(), false, version.key.as_deref())?)))
    }
}

/// One Parquet file as a table of known columns, without statistics; sorted by owner key where it is a range.
fn parquet(
    file: &Path,
    columns: SchemaRef,
    sorted: bool,
    key: Option<&VersionKey>,
) -> Result<Arc<dyn TableProvider>, EngineFault> {
    let path = file.to_str().ok_or(EngineFault::Missing)?;
    let url = ListingTableUrl::parse(path).map_err(EngineFault::planned)?;
    let mut format = ParquetFormat::default();
    if let Some(key) = key {
        format = format.with_options(key.reading().map_err(|_| EngineFault::Missing)?);
    }
    let mut options = ListingOptions::new(Arc::new(format));
    options = options.with_file_extension("parquet");
    if sorted {
        options = options.with_file_sort_order(vec![vec![col("person_id").sort(true, false)]]);
    }
    let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(columns);
    Ok(Arc::new(ListingTable::try_new(config).map_err(EngineFault::planned)?))
}

/// The tables of a question in memory: what samples and the oracles run on.
#[derive(Debug, Clone)]
pub struct MemoryTables {
    ranges: u32,
    width: i64,
    /// Unit tables sorted by owner key, in the column of this index.
    units: BTreeMap<(String, String), (RecordBatch, usize)>,
    whole: BTreeMap<(String, String), RecordBatch>,
    batch_rows: usize,
}

impl MemoryTables {
    /// Tables in `ranges` ranges of `width` owner keys each, read in batches of `batch_rows`.
    #[must_use]
    pub fn new(ranges: u32, width: i64, batch_rows: usize) -> Self {
        Self { ranges, width, units: BTreeMap::new(), whole: BTreeMap::new(), batch_rows: batch_rows.max(1) }
    }

    /// Adds a unit table whose rows are sorted by the column `owner`.
    pub fn add_unit(&mut self, schema: &str, name: &str, rows: RecordBatch, owner: usize) {
        self.units.insert((schema.to_owned(), name.to_owned()), (rows, owner));
    }

    /// Adds a table about nobody.
    pub fn add_whole(&mut self, schema: &str, name: &str, rows: RecordBatch) {
        self.whole.insert((schema.to_owned(), name.to_owned()), rows);
    }
}

impl RangedTables for MemoryTables {
    fn ranges(&self) -> u32 {
        self.ranges
    }

    fn table(&self, schema: &str, name: &str, range: Option<u32>) -> Result<Arc<dyn TableProvider>, EngineFault> {
        let key = (schema.to_owned(), name.to_owned());
        let Some(range) = range else {
            let rows = self.whole.get(&key).ok_or(EngineFault::Missing)?;
            return memory(rows, self.batch_rows, None);
        };
        let (rows, owner) = self.units.get(&key).ok_or(EngineFault::Missing)?;
        let owners = rows.columns().get(*owner).ok_or(EngineFault::Shape)?;
        let owners =
            owners.as_primitive_opt::<Int64Type>().filter(|o| o.null_count() == 0).ok_or(EngineFault::Shape)?;
        let low = i64::from(range).saturating_mul(self.width);
        let from = owners.values().partition_point(|o| *o < low);
        let to = owners.values().partition_point(|o| *o < low.saturating_add(self.width));
        memory(&rows.slice(from, to - from), self.batch_rows, Some(*owner))
    }

    fn persons(&self, _: &str, _: u32) -> Result<Option<PersonsOfRange>, EngineFault> {
        Ok(None)
    }
}

fn memory(rows: &RecordBatch, batch_rows: usize, owner: Option<usize>) -> Result<Arc<dyn TableProvider>, EngineFault> {
    let mut batches = vec![];
    let mut from = 0;
    while from < rows.num_rows() {
        let length = batch_rows.min(rows.num_rows() - from);
        batches.push(rows.slice(from, length));
        from += length;
    }
    let mut table = MemTable::try_new(rows.schema(), vec![batches]).map_err(EngineFault::planned)?;
    if let Some(name) = owner.and_then(|i| rows.schema().fields().get(i).map(|f| f.name().clone())) {
        table = table.with_sort_order(vec![vec![col(name).sort(true, false)]]);
    }
    Ok(Arc::new(table))
}
