//! On what deliveries is a load tested?

mod failures;
mod promises;

use std::{
    fs::{self, File},
    path::Path,
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, RecordBatch},
        compute::concat_batches,
        datatypes::Int64Type,
    },
    parquet::arrow::{
        ArrowWriter,
        arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    },
};
use tempfile::TempDir;

use super::*;

const MODEL: &str = r#"
name = "small"
version = 1
declared_by = "a test"

[table.person]
kind = "unit"
owner = "person_id"
primary_key = ["person_id"]
one_row_per_person = true
rows_per_person_max = 1
en = "x"
ja = "x"
[table.person.columns]
person_id = { type = "int64", class = "key", en = "x", ja = "x" }
sex = { type = "int64", class = "quasi", values = [0, 8507, 8532], outside = "zero", en = "x", ja = "x" }
provider_id = { type = "int64?", class = "key", references = "provider.provider_id", en = "x", ja = "x" }
person_source_value = { type = "utf8?", class = "identifier", en = "x", ja = "x" }

[table.visit_occurrence]
kind = "unit"
owner = "person_id"
primary_key = ["visit_occurrence_id"]
event_date = "visit_start_date"
rows_per_person_max = 50
en = "x"
ja = "x"
[table.visit_occurrence.columns]
visit_occurrence_id = { type = "int64", class = "key", en = "x", ja = "x" }
person_id = { type = "int64", class = "key", references = "person.person_id", en = "x", ja = "x" }
visit_start_date = { type = "date", class = "clinical", dates = [1900-01-01, 2100-12-31], en = "x", ja = "x" }
preceding_visit_occurrence_id = { type = "int64?", class = "key", references = "visit_occurrence.visit_occurrence_id", en = "x", ja = "x" }

[table.measurement]
kind = "unit"
owner = "person_id"
primary_key = ["measurement_id"]
event_date = "measurement_date"
rows_per_person_max = 3
en = "x"
ja = "x"
[table.measurement.columns]
measurement_id = { type = "int64", class = "key", en = "x", ja = "x" }
person_id = { type = "int64", class = "key", references = "person.person_id", en = "x", ja = "x" }
measurement_date = { type = "date", class = "clinical", dates = [1900-01-01, 2100-12-31], outside = "reject", en = "x", ja = "x" }
value = { type = "float64?", class = "clinical", bounds = { lo = 0, hi = 100, grid = 1, because = "x" }, en = "x", ja = "x" }
code = { type = "int64", class = "clinical", values = [1, 2, 5], outside = "reject", en = "x", ja = "x" }
unit = { type = "utf8?", class = "clinical", length_max = 4, en = "x", ja = "x" }
visit_occurrence_id = { type = "int64?", class = "key", references = "visit_occurrence.visit_occurrence_id", en = "x", ja = "x" }

[table.death]
kind = "unit"
owner = "person_id"
primary_key = ["person_id"]
event_date = "death_date"
one_row_per_person = true
rows_per_person_max = 1
en = "x"
ja = "x"
[table.death.columns]
person_id = { type = "int64", class = "key", references = "person.person_id", en = "x", ja = "x" }
death_date = { type = "date", class = "clinical", dates = [1900-01-01, 2100-12-31], en = "x", ja = "x" }

[table.provider]
kind = "reference"
primary_key = ["provider_id"]
en = "x"
ja = "x"
[table.provider.columns]
provider_id = { type = "int64", class = "key", en = "x", ja = "x" }
specialty = { type = "int64?", class = "clinical", en = "x", ja = "x" }

[table.concept]
kind = "public"
primary_key = ["concept_id"]
en = "x"
ja = "x"
[table.concept.columns]
concept_id = { type = "int64", class = "key", en = "x", ja = "x" }
concept_name = { type = "utf8?", class = "clinical", en = "x", ja = "x" }

[table.cost]
kind = "refused"
refused_because = "names no person"
en = "x"
ja = "x"
"#;

pub(super) const PERSONS: &str =
    "Person_ID,SEX,provider_id,person_source_value\n1,8507,7,secret\n-2,8532,,x\n3,99,8,x\n";
pub(super) const VISITS: &str = "visit_occurrence_id,person_id,visit_start_date,preceding_visit_occurrence_id\n\
    10,1,2020-01-05,\n11,1,2020-02-01,10\n20,-2,2020-01-01,10\n";
pub(super) const MEASUREMENTS: &str = "measurement_id,person_id,measurement_date,value,code,unit,visit_occurrence_id\n\
    100,1,2020-02-01,7.5,1,mg,11\n101,1,2020-01-05,6.5,2,mg,10\n102,-2,20200101,5.5,5,,20\n";

/// A place for a source and a data set.
pub(super) struct Enclave {
    pub(super) dir: TempDir,
    pub(super) model: Model,
}

impl Enclave {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let enclave = Self { dir: tempfile::tempdir().unwrap(), model: Model::from_toml("small.toml", MODEL).unwrap() };
        fs::create_dir(enclave.source()).unwrap();
        for (name, text) in files {
            enclave.put(name, text);
        }
        enclave
    }

    /// The sound delivery that other tests spoil.
    pub(super) fn sound() -> Self {
        let provider = "provider_id,specialty\n7,1\n9,2\n";
        let death = "person_id,death_date\n3,2021-01-01\n";
        Self::new(&[
            ("person.csv", PERSONS),
            ("visit_occurrence.csv", VISITS),
            ("measurement.csv", MEASUREMENTS),
            ("provider.csv", provider),
            ("DEATH.CSV", death),
        ])
    }

    pub(super) fn put(&self, name: &str, text: &str) {
        fs::write(self.source().join(name), text).unwrap();
    }

    /// Adds a line to a file.
    pub(super) fn add(&self, name: &str, line: &str) {
        let path = self.source().join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{text}{line}\n")).unwrap();
    }

    pub(super) fn parquet(&self, name: &str, columns: Vec<(&str, ArrayRef)>) {
        let rows = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
        let file = File::create(self.source().join(name)).unwrap();
        let mut writer = ArrowWriter::try_new(file, rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
    }

    pub(super) fn source(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(super) fn load(&self) -> Load<'_> {
        Load {
            dataset: DatasetName::new("demo").unwrap(),
            population: PopulationName::new("jp").unwrap(),
            population_max: 100,
            source: SourceName::new("clinic").unwrap(),
            model: &self.model,
            format: Format::OmopCsv,
            path: self.source(),
            data_dir: self.data(),
            version: next_version(&self.data()).unwrap(),
            date: NaiveDate::from_ymd_opt(2026, 4, 1).unwrap(),
            pseudonym_key: &[1; 32],
            file_key: &[2; 32],
            reject_share_max: 0.9,
        }
    }

    pub(super) fn ingest(&self) -> Result<Loaded, IngestFault> {
        ingest(&self.load(), &|_| ())
    }

    pub(super) fn ingest_parquet(&self) -> Result<Loaded, IngestFault> {
        ingest(&Load { format: Format::OmopParquet, ..self.load() }, &|_| ())
    }

    /// The rows of a table of version 1, range after range.
    pub(super) fn rows(&self, table: &str) -> RecordBatch {
        self.rows_of(1, table)
    }

    pub(super) fn rows_of(&self, version: u32, table: &str) -> RecordBatch {
        let dir = self.data().join(format!("v{version}"));
        let manifest = Manifest::read(&dir).unwrap();
        let key = manifest.version_key(self.load().file_key).unwrap();
        let files = manifest.files(table, None);
        let batches: Vec<_> = files.iter().flat_map(|file| read_file(&dir.join(file), key.as_ref())).collect();
        concat_batches(&batches[0].schema(), &batches).unwrap()
    }

    pub(super) fn whole(&self, table: &str, column: &str) -> Vec<Option<i64>> {
        self.rows(table).column_by_name(column).unwrap().as_primitive::<Int64Type>().iter().collect()
    }

    /// Everything in the data set's folder but the lock.
    pub(super) fn leftovers(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.data()) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != ".lock");
        names.sort_unstable();
        names
    }

    pub(super) fn rejects(&self) -> Vec<String> {
        let text = fs::read_to_string(self.data().join("rejects-v1.csv")).unwrap();
        text.lines().skip(1).map(str::to_owned).collect()
    }
}

pub(super) fn read_file(path: &Path, key: Option<&VersionKey>) -> Vec<RecordBatch> {
    let options = ArrowReaderOptions::new();
    let options = match key {
        Some(key) => options.with_file_decryption_properties(key.decryption().unwrap()),
        None => options,
    };
    let file = File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).unwrap();
    let schema = Arc::clone(reader.schema());
    let rows: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    if rows.is_empty() { vec![RecordBatch::new_empty(schema)] } else { rows }
}
