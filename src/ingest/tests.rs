//! Does a load keep every promise, whatever the source delivers?

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{
            ArrayRef, AsArray, Float64Array, Int64Array, NullArray, RecordBatch, StringArray, TimestampSecondArray,
        },
        compute::concat_batches,
        datatypes::{Date32Type, Float64Type, Int64Type},
    },
    parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
};
use tempfile::TempDir;

use super::*;
use crate::{engine::layout::Ranges, terms::VocabularyName};

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

const PERSONS: &str = "Person_ID,SEX,provider_id,person_source_value\n1,8507,7,secret\n-2,8532,,x\n3,99,8,x\n";
const VISITS: &str = "visit_occurrence_id,person_id,visit_start_date,preceding_visit_occurrence_id\n\
    10,1,2020-01-05,\n11,1,2020-02-01,10\n20,-2,2020-01-01,10\n";
const MEASUREMENTS: &str = "measurement_id,person_id,measurement_date,value,code,unit,visit_occurrence_id\n\
    100,1,2020-02-01,7.5,1,mg,11\n101,1,2020-01-05,6.5,2,mg,10\n102,-2,20200101,5.5,5,,20\n";

/// A place for a source and a data set.
struct Enclave {
    dir: TempDir,
    model: Model,
}

impl Enclave {
    fn new(files: &[(&str, &str)]) -> Self {
        let enclave = Self { dir: tempfile::tempdir().unwrap(), model: Model::from_toml("small.toml", MODEL).unwrap() };
        fs::create_dir(enclave.source()).unwrap();
        for (name, text) in files {
            enclave.put(name, text);
        }
        enclave
    }

    /// The sound delivery that other tests spoil.
    fn sound() -> Self {
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

    fn put(&self, name: &str, text: &str) {
        fs::write(self.source().join(name), text).unwrap();
    }

    /// Adds a line to a file.
    fn add(&self, name: &str, line: &str) {
        let path = self.source().join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{text}{line}\n")).unwrap();
    }

    fn parquet(&self, name: &str, columns: Vec<(&str, ArrayRef)>) {
        let rows = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
        let file = File::create(self.source().join(name)).unwrap();
        let mut writer = ArrowWriter::try_new(file, rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
    }

    fn source(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn load(&self) -> Load<'_> {
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

    fn ingest(&self) -> Result<Loaded, IngestFault> {
        ingest(&self.load(), &|_| ())
    }

    fn ingest_parquet(&self) -> Result<Loaded, IngestFault> {
        ingest(&Load { format: Format::OmopParquet, ..self.load() }, &|_| ())
    }

    /// The rows of a table of version 1, range after range.
    fn rows(&self, table: &str) -> RecordBatch {
        self.rows_of(1, table)
    }

    fn rows_of(&self, version: u32, table: &str) -> RecordBatch {
        let dir = self.data().join(format!("v{version}"));
        let files = Manifest::read(&dir).unwrap().files(table, None);
        let batches: Vec<_> = files.iter().flat_map(|file| read_file(&dir.join(file))).collect();
        concat_batches(&batches[0].schema(), &batches).unwrap()
    }

    fn whole(&self, table: &str, column: &str) -> Vec<Option<i64>> {
        self.rows(table).column_by_name(column).unwrap().as_primitive::<Int64Type>().iter().collect()
    }

    /// Everything in the data set's folder but the lock.
    fn leftovers(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.data()) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != ".lock");
        names.sort_unstable();
        names
    }

    fn rejects(&self) -> Vec<String> {
        let text = fs::read_to_string(self.data().join("rejects-v1.csv")).unwrap();
        text.lines().skip(1).map(str::to_owned).collect()
    }
}

fn read_file(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = Arc::clone(reader.schema());
    let rows: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    if rows.is_empty() { vec![RecordBatch::new_empty(schema)] } else { rows }
}

#[test]
fn a_sound_delivery_becomes_a_version_that_verifies() {
    let enclave = Enclave::sound();
    let loaded = enclave.ingest().unwrap();
    let dir = enclave.data().join("v1");
    let manifest = Manifest::read(&dir).unwrap();
    manifest.verify(&dir, &[2; 32], &loaded.manifest_mac).unwrap();
    assert_eq!(enclave.leftovers(), ["rejects-v1.csv", "v1"]);
    assert!(enclave.rejects().is_empty());
    let names: Vec<_> = manifest.tables.iter().map(|t| (t.name.as_str(), t.kind, t.files.len())).collect();
    let unit = |name| (name, FileKind::Unit, 2);
    let expected = [
        unit("death"),
        unit("measurement"),
        unit("person"),
        ("provider", FileKind::Reference, 1),
        unit("visit_occurrence"),
    ];
    assert_eq!(names, expected);
    assert_eq!(manifest.table("person").unwrap().columns, ["person_id", "sex", "provider_id"]);
    let read: u64 = loaded.report.tables.values().map(|t| t.rows_read).sum();
    let written: u64 = loaded.report.tables.values().map(|t| t.rows_written).sum();
    assert_eq!((read, written), (12, 12));
}

#[test]
fn owner_keys_are_dense_and_no_identifier_of_the_source_is_written() {
    let enclave = Enclave::sound();
    enclave.ingest().unwrap();
    assert_eq!(enclave.whole("person", "person_id"), [Some(0), Some(1), Some(2)]);
    assert!(enclave.rows("person").column_by_name("person_source_value").is_none());
    for (table, column, ids) in [
        ("visit_occurrence", "visit_occurrence_id", [10, 11, 20]),
        ("measurement", "measurement_id", [100, 101, 102]),
        ("provider", "provider_id", [7, 8, 9]),
    ] {
        for key in enclave.whole(table, column).into_iter().flatten() {
            assert!(key >= 0 && !ids.contains(&key), "{table}.{column}");
        }
    }
}

#[test]
fn foreign_keys_still_match_and_broken_ones_become_null() {
    let enclave = Enclave::sound();
    // Visit 20 is another person's, visit 99 is nobody's.
    enclave.add("measurement.csv", "103,1,2020-03-01,1,1,,20");
    enclave.add("measurement.csv", "104,3,2020-03-01,1,1,,99");
    let report = enclave.ingest().unwrap().report;
    let visits = enclave.whole("visit_occurrence", "visit_occurrence_id");
    let links = enclave.whole("measurement", "visit_occurrence_id");
    assert_eq!(links.iter().flatten().count(), 3);
    assert!(links.iter().flatten().all(|link| visits.contains(&Some(*link))));
    let emptied = |table: &str, column: &str| report.tables[table].columns[column].emptied.clone();
    assert_eq!(emptied("measurement", "visit_occurrence_id"), BTreeMap::from([(Emptied::ReferenceBroken, 2)]));
    // Visit 20 of person -2 says that visit 10 of person 1 came before.
    assert_eq!(emptied("visit_occurrence", "preceding_visit_occurrence_id")[&Emptied::ReferenceBroken], 1);
    // Provider 8 of person 3 is not delivered.
    assert_eq!(emptied("person", "provider_id")[&Emptied::ReferenceBroken], 1);
    let providers = enclave.whole("provider", "provider_id");
    let known: Vec<_> = enclave.whole("person", "provider_id").into_iter().flatten().collect();
    assert!(known.len() == 1 && providers.contains(&Some(known[0])));
}

#[test]
fn links_to_a_table_that_is_not_delivered_stay() {
    let enclave = Enclave::new(&[("person.csv", PERSONS), ("measurement.csv", MEASUREMENTS)]);
    enclave.ingest().unwrap();
    assert_eq!(enclave.whole("measurement", "visit_occurrence_id").iter().flatten().count(), 3);
    assert_eq!(enclave.rows("visit_occurrence").num_rows(), 0, "every table of the model is there");
}

#[test]
fn the_same_key_gives_the_same_pseudonyms_in_the_next_version() {
    let enclave = Enclave::sound();
    enclave.ingest().unwrap();
    enclave.ingest().unwrap();
    let other = Load { pseudonym_key: &[9; 32], ..enclave.load() };
    ingest(&other, &|_| ()).unwrap();
    for table in ["person", "visit_occurrence", "measurement", "death", "provider"] {
        assert_eq!(enclave.rows_of(1, table), enclave.rows_of(2, table), "{table}");
    }
    assert_ne!(enclave.rows_of(1, "visit_occurrence"), enclave.rows_of(3, "visit_occurrence"));
}

#[test]
fn rows_lie_in_ranges_by_person_date_and_remaining_columns() {
    let enclave = Enclave::new(&[]);
    let mut persons = "person_id,sex\n".to_owned();
    let mut visits = "visit_occurrence_id,person_id,visit_start_date\n".to_owned();
    for n in 0..97_i64 {
        persons += &format!("{},8507\n", n * 1_000_003 - 50_000_000);
        for visit in 0..20 {
            let (id, person) = (n * 20 + visit, (n * 31 + visit * 7) % 97 * 1_000_003 - 50_000_000);
            visits += &format!("{id},{person},2020-01-{:02}\n", (id * 5) % 4 + 1);
        }
    }
    enclave.put("person.csv", &persons);
    enclave.put("visit_occurrence.csv", &visits);
    enclave.ingest().unwrap();
    let dir = enclave.data().join("v1");
    let manifest = Manifest::read(&dir).unwrap();
    assert_eq!(Ranges::of(100), Ranges { count: 2, width: 50 });
    let mut all = 0;
    for range in 0..manifest.ranges {
        let (first, end) = manifest.owner_keys(range);
        let file = &manifest.files("visit_occurrence", Some(range))[0];
        let mut last = (0, 0, 0);
        for rows in read_file(&dir.join(file)) {
            let owners = rows.column_by_name("person_id").unwrap().as_primitive::<Int64Type>().values().to_vec();
            let dates = rows.column_by_name("visit_start_date").unwrap().as_primitive::<Date32Type>().values().to_vec();
            let ids = rows.column(0).as_primitive::<Int64Type>().values().to_vec();
            for ((owner, date), id) in owners.into_iter().zip(dates).zip(ids) {
                assert!((first..end).contains(&owner.cast_unsigned()));
                assert!((owner, date, id) > last, "rows of range {range} are out of order");
                last = (owner, date, id);
                all += 1;
            }
        }
    }
    assert_eq!(all, 97 * 20);
}

#[test]
fn every_bad_row_is_rejected_with_its_line_and_reason_and_never_its_value() {
    let enclave = Enclave::sound();
    let bad = [
        ("person.csv", "1,8507,,again", "person,person.csv,5,person_duplicate"),
        ("person.csv", ",8507,,x", "person,person.csv,6,key_null"),
        ("person.csv", "5,male,,x", "person,person.csv,7,value_unreadable"),
        ("person.csv", "6,,,x", "person,person.csv,8,value_missing"),
        ("measurement.csv", "110,5,2020-01-01,1,1,,", "measurement,measurement.csv,5,person_unknown"),
        ("measurement.csv", "111,,2020-01-01,1,1,,", "measurement,measurement.csv,6,key_null"),
        ("measurement.csv", "112,1.5,2020-01-01,1,1,,", "measurement,measurement.csv,7,key_not_whole"),
        ("measurement.csv", "113,1,1776-07-04,1,1,,", "measurement,measurement.csv,8,date_outside_range"),
        ("measurement.csv", "114,1,yesterday,1,1,,", "measurement,measurement.csv,9,value_unreadable"),
        ("measurement.csv", "115,1,2020-01-01,1,3,,", "measurement,measurement.csv,10,value_outside_domain"),
        ("measurement.csv", "116,1,2020-01-01,1,1", "measurement,measurement.csv,11,line_broken"),
        ("measurement.csv", "117,1,,1,1,,", "measurement,measurement.csv,12,value_missing"),
        ("visit_occurrence.csv", "10,3,2020-01-01,", "visit_occurrence,visit_occurrence.csv,5,key_duplicate"),
        ("visit_occurrence.csv", "30,77,2020-01-01,", "visit_occurrence,visit_occurrence.csv,6,person_unknown"),
        ("DEATH.CSV", "3,2021-01-02", "death,DEATH.CSV,3,person_has_row"),
        ("provider.csv", "7,3", "provider,provider.csv,4,key_duplicate"),
    ];
    for (file, line, _) in bad {
        enclave.add(file, line);
    }
    let report = enclave.ingest().unwrap().report;
    let mut rejects = enclave.rejects();
    rejects.sort_unstable();
    let mut expected: Vec<_> = bad.iter().map(|(_, _, expected)| (*expected).to_owned()).collect();
    expected.sort_unstable();
    assert_eq!(rejects, expected);
    assert_eq!(report.first_rejects.len(), bad.len());
    assert_eq!(enclave.rows("measurement").num_rows(), 3);
    assert_eq!(enclave.rows("person").num_rows(), 3);
    let death = enclave.rows("death");
    let kept = death.column_by_name("death_date").unwrap().as_primitive::<Date32Type>().value_as_date(0);
    assert_eq!(kept, NaiveDate::from_ymd_opt(2021, 1, 1), "the first by the total order stands");
}

#[test]
fn values_that_may_not_stay_become_null_or_zero_and_are_counted() {
    let enclave = Enclave::sound();
    enclave.add("measurement.csv", "120,3,2020-01-01,NaN,1,millimol,");
    enclave.add("measurement.csv", "121,3,2020-01-02,-inf,1,mmol,");
    enclave.add("measurement.csv", "122,3,2020-01-03,1000,1,\"\",");
    let report = enclave.ingest().unwrap().report;
    let columns = &report.tables["measurement"].columns;
    assert_eq!(columns["value"].emptied[&Emptied::NotFinite], 2);
    assert_eq!(columns["value"].nulls, 2);
    assert_eq!(columns["value"].outside_bounds, 1, "kept: every release clamps");
    assert_eq!(columns["unit"].emptied[&Emptied::TextTooLong], 1);
    assert_eq!(report.tables["person"].columns["sex"].zeroed, 1);
    let rows = enclave.rows("measurement");
    assert!(rows.column_by_name("value").unwrap().as_primitive::<Float64Type>().iter().flatten().all(f64::is_finite));
}

#[test]
fn rows_above_the_maximum_are_dropped_by_the_total_order() {
    let enclave = Enclave::sound();
    for day in (1..=9).rev() {
        enclave.add("measurement.csv", &format!("{},3,2020-05-0{day},{day},1,,", 200 + day));
    }
    let report = enclave.ingest().unwrap().report;
    assert_eq!(report.tables["measurement"].rows_over_maximum, 6);
    assert_eq!(report.tables["measurement"].rejected_in_all(), 0);
    let mut kept: Vec<f64> =
        enclave.rows("measurement").column_by_name("value").unwrap().as_primitive::<Float64Type>().values().to_vec();
    kept.sort_by(f64::total_cmp);
    assert_eq!(kept, [1.0, 2.0, 3.0, 5.5, 6.5, 7.5]);
}

#[test]
fn a_visit_dropped_above_the_maximum_takes_the_links_to_it_along() {
    let enclave = Enclave::sound();
    for n in 0..60 {
        let previous = if n == 0 { String::new() } else { (1000 + n - 1).to_string() };
        let day = NaiveDate::from_ymd_opt(2022, 1, 1).unwrap() - chrono::Days::new(n);
        enclave.add("visit_occurrence.csv", &format!("{},3,{day},{previous}", 1000 + n));
    }
    enclave.add("measurement.csv", "300,3,2022-01-01,1,1,,1000");
    enclave.add("measurement.csv", "301,3,2022-01-01,1,1,,1059");
    enclave.ingest().unwrap();
    let visits = enclave.whole("visit_occurrence", "visit_occurrence_id");
    assert_eq!(visits.len(), 53);
    let linked = |table: &str, column: &str| {
        let links = enclave.whole(table, column);
        assert!(links.iter().flatten().all(|link| visits.contains(&Some(*link))), "{table}.{column} dangles");
        links.iter().flatten().count()
    };
    assert_eq!(linked("visit_occurrence", "preceding_visit_occurrence_id"), 1 + 49);
    assert_eq!(linked("measurement", "visit_occurrence_id"), 3 + 1);
}

#[test]
fn ids_stored_as_double_null_columns_and_timestamps_are_read_from_parquet() {
    let enclave = Enclave::new(&[]);
    let ids = |ids: Vec<f64>| Arc::new(Float64Array::from(ids)) as ArrayRef;
    let nothing = Arc::new(NullArray::new(3)) as ArrayRef;
    enclave.parquet(
        "person.parquet",
        vec![
            ("PERSON_ID", ids(vec![-5.0, 6.0, 7.5])),
            ("sex", Arc::new(StringArray::from(vec!["8507", "8532.0", "0"]))),
            ("provider_id", Arc::clone(&nothing)),
        ],
    );
    let too_large = 9_007_199_254_740_994.0;
    enclave.parquet(
        "measurement.parquet",
        vec![
            ("measurement_id", ids(vec![1.0, too_large, 3.0])),
            ("person_id", Arc::new(Int64Array::from(vec![-5, -5, 6]))),
            ("measurement_date", Arc::new(TimestampSecondArray::from(vec![1_577_836_800; 3]))),
            ("value", nothing),
            ("code", ids(vec![1.0, 1.0, 2.0])),
            ("visit_occurrence_id", ids(vec![f64::NAN; 3])),
            ("extra", ids(vec![0.0; 3])),
        ],
    );
    enclave.put("readme.txt", "x");
    enclave.put("cost.parquet", "x");
    let report = enclave.ingest_parquet().unwrap().report;
    let mut rejects = enclave.rejects();
    rejects.sort_unstable();
    assert_eq!(rejects, ["measurement,measurement.parquet,2,key_not_whole", "person,person.parquet,3,key_not_whole"]);
    assert_eq!(enclave.rows("person").num_rows(), 2);
    assert_eq!(enclave.whole("measurement", "visit_occurrence_id"), [None, None]);
    assert_eq!(report.tables["measurement"].columns_unknown, ["extra"]);
    assert_eq!(report.tables["measurement"].columns_missing, ["unit"]);
    assert_eq!(report.files_unknown, ["readme.txt"]);
    assert_eq!(report.tables_skipped["cost"], "names no person");
    assert_eq!(report.tables_missing, ["death", "provider", "visit_occurrence"]);
}

/// A load that must fail: what it says, and that nothing of it is left beside the first version.
fn fails(enclave: &Enclave, format: Format, expected: &str) {
    let sound = Enclave::sound();
    ingest(&Load { data_dir: enclave.data(), ..sound.load() }, &|_| ()).unwrap();
    let before = Manifest::read(&enclave.data().join("v1")).unwrap();
    let fault = ingest(&Load { format, ..enclave.load() }, &|_| ()).unwrap_err();
    assert_eq!(fault.to_string(), expected);
    assert_eq!(enclave.leftovers(), ["rejects-v1.csv", "v1"]);
    assert_eq!(Manifest::read(&enclave.data().join("v1")).unwrap(), before);
}

#[test]
fn a_delivery_without_persons_is_refused() {
    fails(&Enclave::new(&[("measurement.csv", MEASUREMENTS)]), Format::OmopCsv, "the source has no table person");
}

#[test]
fn a_missing_column_is_refused() {
    let enclave = Enclave::sound();
    enclave.put("measurement.csv", "measurement_id,person_id,value,code\n1,1,1,1\n");
    fails(&enclave, Format::OmopCsv, "measurement.csv: column measurement_date is missing");
}

#[test]
fn a_column_that_is_there_twice_is_refused() {
    let enclave = Enclave::sound();
    enclave.put("person.csv", "person_id,sex,SEX\n1,1,1\n");
    fails(&enclave, Format::OmopCsv, "person.csv: column sex is there twice");
}

#[test]
fn a_column_of_another_type_is_refused() {
    let enclave = Enclave::new(&[]);
    let persons = Arc::new(Int64Array::from(vec![1])) as ArrayRef;
    let date = Arc::new(datafusion::arrow::array::Date32Array::from(vec![1])) as ArrayRef;
    enclave.parquet("person.parquet", vec![("person_id", persons), ("sex", date)]);
    fails(&enclave, Format::OmopParquet, "person.parquet: column sex is of type Date32, not int64");
}

#[test]
fn a_broken_parquet_file_is_refused_wherever_it_breaks() {
    for broken_table in ["person", "measurement"] {
        let enclave = Enclave::new(&[]);
        let ids = || Arc::new(Int64Array::from((0..20_000).collect::<Vec<i64>>())) as ArrayRef;
        let few = Load { population_max: 20_000, format: Format::OmopParquet, ..enclave.load() };
        enclave.parquet("person.parquet", vec![("person_id", ids()), ("sex", ids())]);
        let date = Arc::new(StringArray::from(vec!["2020-01-01"; 20_000])) as ArrayRef;
        let columns =
            vec![("measurement_id", ids()), ("person_id", ids()), ("measurement_date", date), ("code", ids())];
        enclave.parquet("measurement.parquet", columns);
        let path = enclave.source().join(format!("{broken_table}.parquet"));
        let sound = fs::read(&path).unwrap();
        // Without its end; with its pages overwritten.
        let mut overwritten = sound.clone();
        overwritten[4..2000].fill(0xA5);
        for spoilt in [sound[..sound.len() / 2].to_vec(), overwritten, b"PAR1".to_vec(), Vec::new()] {
            fs::write(&path, spoilt).unwrap();
            let fault = ingest(&few, &|_| ()).unwrap_err();
            assert!(matches!(fault, IngestFault::Broken { .. } | IngestFault::Stopped(_)), "{fault:?}");
            assert!(enclave.leftovers().is_empty());
        }
    }
}

#[test]
fn more_persons_than_the_population_declares_are_refused() {
    let enclave = Enclave::sound();
    let fault = ingest(&Load { population_max: 2, ..enclave.load() }, &|_| ()).unwrap_err();
    assert!(matches!(fault, IngestFault::PopulationExceeded { population_max: 2 }));
    assert!(enclave.leftovers().is_empty());
}

#[test]
fn too_many_rejects_fail_the_load_and_the_fault_carries_the_report() {
    let enclave = Enclave::sound();
    enclave.add("measurement.csv", "110,secret,2020-01-01,1,1,,");
    let fault = ingest(&Load { reject_share_max: 0.01, ..enclave.load() }, &|_| ()).unwrap_err();
    assert!(!fault.to_string().contains("secret") && !format!("{fault:?}").contains("secret"));
    match fault {
        IngestFault::TooManyRejects { table, report } => {
            let first =
                Reject { table: table.clone(), file: "measurement.csv".into(), row: 5, reason: Reason::KeyNotWhole };
            assert_eq!((table.as_str(), report.first_rejects), ("measurement", vec![first]));
        }
        other => panic!("{other:?}"),
    }
    assert!(enclave.leftovers().is_empty());
}

#[test]
fn a_crash_between_any_two_files_leaves_the_version_before_it_and_nothing_lasting() {
    let enclave = Enclave::sound();
    enclave.ingest().unwrap();
    let before = enclave.rows("measurement");
    // What a killed load leaves: its hidden folders, half full.
    for left in [".v2.tmp-99999/person", ".v2.tmp-99999-rows"] {
        fs::create_dir_all(enclave.data().join(left)).unwrap();
        fs::write(enclave.data().join(left).join("r0000.parquet"), "half a file").unwrap();
    }
    assert_eq!(next_version(&enclave.data()).unwrap(), DataVersion(2));
    enclave.ingest().unwrap();
    assert_eq!(enclave.leftovers(), ["rejects-v1.csv", "rejects-v2.csv", "v1", "v2"]);
    assert_eq!(enclave.rows("measurement"), before);
}

#[test]
fn a_load_that_panics_midway_leaves_nothing() {
    let enclave = Enclave::sound();
    let load = enclave.load();
    for stop_at in ["reading", "writing"] {
        let stop = |progress: Progress<'_>| match (progress, stop_at) {
            (Progress::Reading { table: "measurement", .. }, "reading") | (Progress::Writing { .. }, "writing") => {
                panic!("stopped here")
            }
            _ => {}
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ingest(&load, &stop)));
        assert!(outcome.is_err());
        assert!(enclave.leftovers().is_empty(), "{stop_at}");
    }
}

#[test]
fn a_table_may_be_a_folder_of_files() {
    let enclave = Enclave::sound();
    fs::remove_file(enclave.source().join("measurement.csv")).unwrap();
    fs::create_dir(enclave.source().join("Measurement")).unwrap();
    enclave.put("Measurement/part-0.csv", MEASUREMENTS);
    let second = "person_id,measurement_id,code,measurement_date\n1,500,5,2020-01-01\n1,501,9,2020-01-01\n";
    enclave.put("Measurement/part-1.csv", second);
    enclave.ingest().unwrap();
    assert_eq!(enclave.rows("measurement").num_rows(), 4);
    assert_eq!(enclave.rejects(), ["measurement,Measurement/part-1.csv,3,value_outside_domain"]);
}

#[test]
fn a_public_vocabulary_keeps_its_ids_and_takes_no_other_table() {
    let tabbed = "concept_id\tconcept_name\tvalid\n8507\tMALE\t1\n8532\t5\" needle\t1\n";
    let enclave = Enclave::new(&[("CONCEPT.csv", tabbed), ("person.csv", PERSONS), ("other.csv", "a,b\n")]);
    let load = VocabularyLoad {
        name: VocabularyName::new("vocab").unwrap(),
        release: "2026-02".into(),
        model: &enclave.model,
        format: Format::OmopCsv,
        path: enclave.source(),
        data_dir: enclave.data(),
        version: DataVersion(1),
        date: NaiveDate::from_ymd_opt(2026, 4, 1).unwrap(),
        file_key: &[2; 32],
        reject_share_max: 0.0,
    };
    let loaded = ingest_vocabulary(&load, &|_| ()).unwrap();
    let dir = enclave.data().join("v1");
    let manifest = crate::engine::layout::VocabularyManifest::read(&dir).unwrap();
    manifest.verify(&dir, &[2; 32], &loaded.manifest_mac).unwrap();
    let rows = &read_file(&dir.join("concept.parquet"))[0];
    assert_eq!(rows.column(0).as_primitive::<Int64Type>().values(), &[8507, 8532]);
    assert_eq!(rows.column(1).as_string::<i32>().value(1), "5\" needle");
    assert_eq!(loaded.report.tables_skipped["person"], "is not a public table");
    assert_eq!(loaded.report.files_unknown, ["other.csv"]);
    assert_eq!(loaded.report.tables["concept"].columns_unknown, ["valid"]);
    assert!(matches!(ingest_vocabulary(&load, &|_| ()), Err(IngestFault::VersionExists(DataVersion(1)))));
}
