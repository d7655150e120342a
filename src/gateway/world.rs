//! Which data versions and vocabularies are in force, and what does a caller see of them?

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::NaiveDate;
use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    catalog::TableProvider,
};

use serde::{Deserialize, Serialize};

use super::{DatasetConfig, Enclave, ReleaseAt};
use crate::{
    catalog::{Model, Table, TableKind},
    engine::{
        Engine, EngineFault, FileTables, MemoryTables, PersonsOfRange, RangedTables, VersionKey,
        layout::{FileKind, LayoutFault, Manifest, TableEntry, VocabularyManifest},
        sample::{self, SampleFault, sample},
        schema::arrow_schema,
    },
    record::{Activation, Books, BooksFault, VocabularyDeclaration},
    sql::{CataloguedTable, Directory, Standing},
    terms::{DataVersion, DatasetName, EntryNumber, PopulationName, SourceName, VocabularyName},
};

/// A data version or vocabulary that cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub enum WorldFault {
    /// The books.
    #[error(transparent)]
    Books(#[from] BooksFault),
    /// A manifest or file is not the one that the books know.
    #[error("{what}: {fault}")]
    Layout {
        /// Which data version or vocabulary.
        what: String,
        /// What is wrong with it.
        fault: LayoutFault,
    },
    /// The books hold no keyed hash where one must be.
    #[error("{0}: the books hold no keyed hash of its manifest")]
    Unmarked(String),
    /// The configuration declares no such data set.
    #[error("{0}: no data set of this name is declared")]
    Undeclared(String),
    /// The configuration has changed since the version was written, in what its bounds rest on.
    #[error("{0}: was loaded as another data set, population or model, or for a larger population_max, than declared")]
    OtherData(String),
    /// A sample could not be made.
    #[error(transparent)]
    Sample(#[from] SampleFault),
    /// A public table could not be read.
    #[error(transparent)]
    Engine(#[from] EngineFault),
}

/// A world in words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WorldText {
    datasets: Vec<DatasetText>,
    vocabularies: Vec<VocabularyText>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DatasetText {
    name: DatasetName,
    population: PopulationName,
    population_max: u64,
    model: String,
    model_sha256: String,
    vocabularies: Vec<VocabularyName>,
    #[serde(default)]
    release: ReleaseAt,
    #[serde(default)]
    rows_per_person: BTreeMap<String, u32>,
    version: Option<VersionText>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionText {
    number: DataVersion,
    date: String,
    source: SourceName,
    persons_max: u64,
    tables: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VocabularyText {
    declaration: VocabularyDeclaration,
    tables: BTreeMap<String, (BTreeSet<String>, u64)>,
}

/// Everything that questions can be about, at one moment.
pub(super) struct World {
    /// The entry of the log that describes it.
    pub(super) entry: EntryNumber,
    pub(super) datasets: BTreeMap<DatasetName, Dataset>,
    vocabularies: BTreeMap<VocabularyName, Vocabulary>,
}

/// One data set: its declarations, its sample, and the version in force if there is one.
pub(super) struct Dataset {
    pub(super) config: DatasetConfig,
    pub(super) version: Option<Version>,
    samples: BTreeMap<String, RecordBatch>,
}

pub(super) struct Version {
    pub(super) number: DataVersion,
    pub(super) manifest: Arc<Manifest>,
    source: SourceName,
    directory: PathBuf,
    key: Option<Arc<VersionKey>>,
}

struct Vocabulary {
    declaration: VocabularyDeclaration,
    tables: BTreeMap<String, PublicTable>,
}

struct PublicTable {
    file: PathBuf,
    columns: SchemaRef,
    unique: BTreeSet<String>,
    rows: u64,
    text_bytes: BTreeMap<String, u64>,
}

impl World {
    /// Reads what the books say is in force, and verifies every byte of it.
    pub(super) async fn load(
        enclave: &Enclave,
        books: &Books,
        file_key: &[u8; 32],
        engine: &Engine,
    ) -> Result<Self, WorldFault> {
        let mut datasets = BTreeMap::new();
        let data = enclave.directory.join("data");
        for config in &enclave.datasets {
            let mut samples = BTreeMap::new();
            for table in config.model.tables.values() {
                if matches!(table.kind, TableKind::Unit | TableKind::Reference) {
                    samples.insert(table.name.clone(), sample(&config.model, &table.name, sample::PERSONS)?);
                }
            }
            let version = version_in_force(&data, config, books, file_key)?;
            datasets.insert(config.name.clone(), Dataset { config: config.clone(), version, samples });
        }
        let mut vocabularies = BTreeMap::new();
        for declaration in books.vocabularies()? {
            let model = enclave.datasets.first().map(|d| Arc::clone(&d.model));
            if let Some(model) = model {
                let vocabulary = Vocabulary::load(&data, declaration, &model, engine).await?;
                vocabularies.insert(vocabulary.declaration.name.clone(), vocabulary);
            }
        }
        Ok(Self { entry: EntryNumber(0), datasets, vocabularies })
    }

    /// Whether a data version could be put in force: its bytes are all there, and are those of the keyed hash.
    pub(super) fn check(enclave: &Enclave, wanted: &Activation, file_key: &[u8; 32]) -> Result<(), WorldFault> {
        let config = enclave.datasets.iter().find(|d| d.name == wanted.dataset);
        let config = config.ok_or_else(|| WorldFault::Undeclared(wanted.dataset.to_string()))?;
        verified(&enclave.directory.join("data"), config, wanted, file_key).map(|_| ())
    }

    /// Whether a vocabulary could be put in force.
    pub(super) async fn check_vocabulary(
        enclave: &Enclave,
        wanted: &VocabularyDeclaration,
        engine: &Engine,
    ) -> Result<(), WorldFault> {
        let config = enclave.datasets.first().ok_or_else(|| WorldFault::Undeclared(wanted.name.to_string()))?;
        let data = enclave.directory.join("data");
        Vocabulary::load(&data, wanted.clone(), &config.model, engine).await.map(|_| ())
    }

    /// All that a verdict depends on, in words that [`World::described`] reads: names, versions and declarations, which are
    /// public, and no count of anything about persons.
    pub(super) fn describe(&self) -> WorldText {
        let dataset = |dataset: &Dataset| DatasetText {
            name: dataset.config.name.clone(),
            population: dataset.config.population.clone(),
            population_max: dataset.config.population_max,
            model: dataset.config.model.name.clone(),
            model_sha256: crate::audit::to_hex(&dataset.config.model.text_sha256),
            vocabularies: dataset.config.vocabularies.clone(),
            release: dataset.config.release,
            rows_per_person: dataset.config.rows_per_person.clone(),
            version: dataset.version.as_ref().map(|version| VersionText {
                number: version.number,
                date: version.manifest.date.to_string(),
                source: version.manifest.source.clone(),
                persons_max: version.manifest.persons_max,
                tables: version.manifest.tables.iter().map(|table| table.name.clone()).collect(),
            }),
        };
        let vocabulary = |vocabulary: &Vocabulary| VocabularyText {
            declaration: vocabulary.declaration.clone(),
            tables: vocabulary
                .tables
                .iter()
                .map(|(name, table)| (name.clone(), (table.unique.clone(), table.rows)))
                .collect(),
        };
        WorldText {
            datasets: self.datasets.values().map(dataset).collect(),
            vocabularies: self.vocabularies.values().map(vocabulary).collect(),
        }
    }

    /// The world of those words, without any row in it: enough to judge and to price, not to answer. `None` where a
    /// catalogue model of that text is not at hand.
    pub(super) fn described(text: &WorldText, catalog: &Path) -> Option<Self> {
        let mut datasets = BTreeMap::new();
        let mut models = vec![];
        for of in &text.datasets {
            let model = Arc::new(Model::load(catalog, &of.model).ok()?);
            if crate::audit::to_hex(&model.text_sha256) != of.model_sha256 {
                return None;
            }
            models.push(Arc::clone(&model));
            let mut samples = BTreeMap::new();
            for table in model.tables.values().filter(|t| matches!(t.kind, TableKind::Unit | TableKind::Reference)) {
                samples.insert(table.name.clone(), sample(&model, &table.name, sample::PERSONS).ok()?);
            }
            let version = match &of.version {
                None => None,
                Some(version) => {
                    let (dataset, population) = (of.name.clone(), of.population.clone());
                    let (date, source) = (version.date.parse().ok()?, version.source.clone());
                    let persons_max = version.persons_max;
                    let number = version.number;
                    let mut manifest =
                        Manifest::new(dataset, population, number, of.model.clone(), source, date, persons_max);
                    for name in &version.tables {
                        let kind = FileKind::Unit;
                        manifest.tables.push(TableEntry { name: name.clone(), kind, columns: vec![], files: vec![] });
                    }
                    let source = version.source.clone();
                    // Nothing of it is ever read: it has neither place nor key.
                    let (manifest, directory) = (Arc::new(manifest), PathBuf::new());
                    Some(Version { number, manifest, source, directory, key: None })
                }
            };
            // The caps of the configuration decide nothing here: the permit's and the ledger's do.
            let cap = crate::terms::Cap::new(1.0, 1e-6).ok()?;
            let config = DatasetConfig {
                name: of.name.clone(),
                population: of.population.clone(),
                population_max: of.population_max,
                population_cap: cap,
                cap,
                model,
                vocabularies: of.vocabularies.clone(),
                release: of.release,
                rows_per_person: of.rows_per_person.clone(),
            };
            datasets.insert(of.name.clone(), Dataset { config, version, samples });
        }
        let mut vocabularies = BTreeMap::new();
        for of in &text.vocabularies {
            let mut tables = BTreeMap::new();
            for (name, (unique, rows)) in &of.tables {
                let declared = models.first()?.table(name)?;
                let (columns, text_bytes) = (Arc::new(arrow_schema(declared)), declared.text_bytes());
                let (file, unique) = (PathBuf::new(), unique.clone());
                let table = PublicTable { file, columns, unique, rows: *rows, text_bytes };
                tables.insert(name.clone(), table);
            }
            let declaration = of.declaration.clone();
            vocabularies.insert(declaration.name.clone(), Vocabulary { declaration, tables });
        }
        Some(Self { entry: EntryNumber(0), datasets, vocabularies })
    }

    /// The value of `now()`: the date of the data set's version; for questions about nobody, that of the newest.
    pub(super) fn today(&self, dataset: Option<&DatasetName>) -> NaiveDate {
        let dates = self.datasets.values().filter(|d| dataset.is_none_or(|name| *name == d.config.name));
        dates.filter_map(|d| d.version.as_ref().map(|v| v.manifest.date)).max().unwrap_or_default()
    }

    /// What gives a question about `dataset` its meaning besides its text: versions of data and public tables.
    pub(super) fn versions(&self, dataset: &Dataset) -> String {
        let number = dataset.version.as_ref().map(|v| v.number.0);
        let beside: Vec<String> = dataset
            .config
            .vocabularies
            .iter()
            .filter_map(|name| self.vocabularies.get(name))
            .map(|v| format!("{} {}", v.declaration.name, v.declaration.version))
            .collect();
        let model = crate::audit::to_hex(&dataset.config.model.text_sha256);
        format!("{} {number:?} {model} {beside:?}", dataset.config.name)
    }

    /// All tables that can be named when asking about `chosen` first.
    pub(super) fn directory(&self, chosen: Option<&DatasetName>, extra: &[(String, String, RecordBatch)]) -> Directory {
        let mut order: Vec<&Dataset> = self.datasets.values().collect();
        order.sort_by_key(|d| Some(&d.config.name) != chosen);
        let mut schemas: Vec<String> = vec![];
        for dataset in order.iter().take(1) {
            schemas.push(dataset.config.name.to_string());
            schemas.extend(dataset.config.vocabularies.iter().map(ToString::to_string));
        }
        let mut directory = Directory::new(schemas);
        for dataset in self.datasets.values() {
            dataset.describe(&mut directory);
        }
        for (name, vocabulary) in &self.vocabularies {
            for (table, public) in &vocabulary.tables {
                directory.insert(CataloguedTable {
                    schema: name.to_string(),
                    name: table.clone(),
                    standing: Standing::Public {
                        unique: public.unique.clone(),
                        rows: public.rows,
                        text_bytes: public.text_bytes.clone(),
                    },
                    columns: Arc::clone(&public.columns),
                });
            }
        }
        for (schema, name, rows) in extra {
            directory.insert(public_rows(schema, name, rows));
        }
        directory
    }

    /// The rows below those tables.
    pub(super) fn tables(
        &self,
        chosen: Option<&DatasetName>,
        extra: &[(String, String, RecordBatch)],
    ) -> Arc<dyn RangedTables> {
        let mut memory = MemoryTables::new(1, i64::MAX, 8192);
        for dataset in self.datasets.values() {
            for (table, rows) in &dataset.samples {
                memory.add_whole(&format!("{}_sample", dataset.config.name), table, rows.clone());
            }
        }
        for (schema, name, rows) in extra {
            memory.add_whole(schema, name, rows.clone());
        }
        let mut public = BTreeMap::new();
        for (name, vocabulary) in &self.vocabularies {
            for (table, of) in &vocabulary.tables {
                public.insert((name.to_string(), table.clone()), (of.file.clone(), Arc::clone(&of.columns)));
            }
        }
        let dataset = chosen.and_then(|name| self.datasets.get(name));
        let files = dataset.and_then(|d| d.version.as_ref().map(|v| (d, v))).map(|(d, version)| {
            FileTables::new(
                d.config.name.to_string(),
                version.directory.clone(),
                Arc::clone(&version.manifest),
                Arc::clone(&d.config.model),
            )
            .with_key(version.key.clone())
        });
        Arc::new(AllTables { files, public: FileTables::public_only(public), memory })
    }
}

impl Dataset {
    /// The holder that delivered the version in force.
    pub(super) fn source(&self) -> Option<SourceName> {
        self.version.as_ref().map(|version| version.source.clone())
    }

    fn describe(&self, directory: &mut Directory) {
        let name = &self.config.name;
        for (table, rows) in &self.samples {
            directory.insert(public_rows(&format!("{name}_sample"), table, rows));
        }
        let Some(version) = &self.version else { return };
        for entry in &version.manifest.tables {
            let Some(table) = self.config.model.table(&entry.name) else { continue };
            let standing = match table.kind {
                TableKind::Unit => Standing::Unit {
                    dataset: name.clone(),
                    population: self.config.population.clone(),
                    table: Arc::new(table.clone()),
                },
                _ => Standing::Reference { unique: sole_key(table), table: Arc::new(table.clone()) },
            };
            let columns = Arc::new(arrow_schema(table));
            directory.insert(CataloguedTable { schema: name.to_string(), name: entry.name.clone(), standing, columns });
        }
    }
}

impl Vocabulary {
    async fn load(
        data: &Path,
        declaration: VocabularyDeclaration,
        model: &Model,
        engine: &Engine,
    ) -> Result<Self, WorldFault> {
        let directory = data.join("vocab").join(declaration.name.as_str()).join(format!("v{}", declaration.version.0));
        let what = format!("vocabulary {}", declaration.name);
        let manifest = VocabularyManifest::read(&directory).map_err(|fault| WorldFault::Layout { what, fault })?;
        let mut tables = BTreeMap::new();
        for entry in &manifest.tables {
            let (Some(table), Some(file)) = (model.table(&entry.name), entry.files.first()) else { continue };
            let file = directory.join(&file.file);
            let columns: SchemaRef = Arc::new(arrow_schema(table));
            let key = (declaration.name.to_string(), entry.name.clone());
            let files = FileTables::public_only(BTreeMap::from([(key.clone(), (file.clone(), Arc::clone(&columns)))]));
            let declared: Vec<String> = sole_key(table).into_iter().collect();
            let (rows, unique) = engine.measure_public(files.table(&key.0, &key.1, None)?, &declared).await?;
            let text_bytes = table.text_bytes();
            tables.insert(entry.name.clone(), PublicTable { file, columns, unique, rows, text_bytes });
        }
        Ok(Self { declaration, tables })
    }
}

/// The column that is the whole primary key; none where several are.
fn sole_key(table: &Table) -> BTreeSet<String> {
    match table.primary_key.as_slice() {
        [one] => BTreeSet::from([one.clone()]),
        _ => BTreeSet::new(),
    }
}

fn version_in_force(
    data: &Path,
    config: &DatasetConfig,
    books: &Books,
    file_key: &[u8; 32],
) -> Result<Option<Version>, WorldFault> {
    match books.activation(&config.name)? {
        Some(activation) => verified(data, config, &activation, file_key).map(Some),
        None => Ok(None),
    }
}

/// The version on disk, every byte of which is the one that the keyed hash of its manifest vouches for.
fn verified(
    data: &Path,
    config: &DatasetConfig,
    activation: &Activation,
    file_key: &[u8; 32],
) -> Result<Version, WorldFault> {
    let what = format!("{} {}", config.name, activation.version);
    let directory = data.join(config.name.as_str()).join(format!("v{}", activation.version.0));
    let mac =
        crate::audit::from_hex::<32>(&activation.manifest_mac).ok_or_else(|| WorldFault::Unmarked(what.clone()))?;
    let layout = |fault| WorldFault::Layout { what: what.clone(), fault };
    let manifest = Manifest::read(&directory).map_err(layout)?;
    let layout = |fault| WorldFault::Layout { what: what.clone(), fault };
    manifest.verify(&directory, file_key, &mac).map_err(layout)?;
    let same = manifest.dataset == config.name
        && manifest.version == activation.version
        && manifest.population == config.population
        && manifest.model == config.model.name
        && manifest.persons_max <= config.population_max;
    if !same {
        return Err(WorldFault::OtherData(what));
    }
    let (number, source) = (activation.version, activation.source.clone());
    let layout = |fault| WorldFault::Layout { what, fault };
    let key = manifest.version_key(file_key).map_err(layout)?.map(Arc::new);
    Ok(Version { number, manifest: Arc::new(manifest), source, directory, key })
}

fn public_rows(schema: &str, name: &str, rows: &RecordBatch) -> CataloguedTable {
    CataloguedTable {
        schema: schema.to_owned(),
        name: name.to_owned(),
        standing: Standing::Public {
            unique: BTreeSet::new(),
            rows: u64::try_from(rows.num_rows()).unwrap_or(u64::MAX),
            text_bytes: BTreeMap::new(),
        },
        columns: rows.schema(),
    }
}

/// Files of one data version, files of vocabularies, and what stands in memory.
struct AllTables {
    files: Option<FileTables>,
    public: FileTables,
    memory: MemoryTables,
}

impl RangedTables for AllTables {
    fn ranges(&self) -> u32 {
        self.files.as_ref().map_or(1, RangedTables::ranges)
    }

    fn table(&self, schema: &str, name: &str, range: Option<u32>) -> Result<Arc<dyn TableProvider>, EngineFault> {
        let in_files = || match &self.files {
            Some(files) => files.table(schema, name, range),
            None => Err(EngineFault::Missing),
        };
        match range {
            Some(_) => in_files(),
            None => self
                .memory
                .table(schema, name, None)
                .or_else(|_| self.public.table(schema, name, None))
                .or_else(|_| in_files()),
        }
    }

    fn persons(&self, schema: &str, range: u32) -> Result<Option<PersonsOfRange>, EngineFault> {
        self.files.as_ref().ok_or(EngineFault::Missing)?.persons(schema, range)
    }
}
