//! Does a load keep every promise, whatever the rows are?

use std::{collections::BTreeMap, fs, sync::Arc};

use datafusion::arrow::{
    array::{ArrayRef, AsArray, Float64Array, Int64Array, NullArray, StringArray, TimestampSecondArray},
    datatypes::{Date32Type, Float64Type, Int64Type},
};

use super::*;
use crate::{
    engine::layout::{Ranges, VocabularyManifest},
    terms::VocabularyName,
};

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
    let tables = |version: &str| Manifest::read(&enclave.data().join(version)).unwrap().tables;
    for (first, second) in tables("v1").into_iter().zip(tables("v2")) {
        assert_eq!((&first.name, &first.columns), (&second.name, &second.columns));
        assert_ne!(first.files, second.files, "every version is encrypted under a key of its own");
    }
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
    let key = manifest.version_key(enclave.load().file_key).unwrap();
    assert_eq!(Ranges::of(100), Ranges { count: 2, width: 50 });
    let mut all = 0;
    for range in 0..manifest.ranges {
        let (first, end) = manifest.owner_keys(range);
        let file = &manifest.files("visit_occurrence", Some(range))[0];
        let mut last = (0, 0, 0);
        for rows in read_file(&dir.join(file), key.as_ref()) {
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
    let manifest = VocabularyManifest::read(&dir).unwrap();
    manifest.verify(&dir, &[2; 32], &loaded.manifest_mac).unwrap();
    let rows = &read_file(&dir.join("concept.parquet"), None)[0];
    assert_eq!(rows.column(0).as_primitive::<Int64Type>().values(), &[8507, 8532]);
    assert_eq!(rows.column(1).as_string::<i32>().value(1), "5\" needle");
    assert_eq!(loaded.report.tables_skipped["person"], "is not a public table");
    assert_eq!(loaded.report.files_unknown, ["other.csv"]);
    assert_eq!(loaded.report.tables["concept"].columns_unknown, ["valid"]);
    assert!(matches!(ingest_vocabulary(&load, &|_| ()), Err(IngestFault::VersionExists(DataVersion(1)))));
}

#[test]
fn a_person_keeps_its_pseudonym_whoever_comes() {
    let enclave = Enclave::sound();
    let named = |version: u32| -> Vec<i64> {
        let dir = enclave.data().join(format!("v{version}"));
        let manifest = Manifest::read(&dir).unwrap();
        let ranges: Vec<_> = manifest.persons.iter().map(|file| file.range).collect();
        assert_eq!(ranges, (0..manifest.ranges).map(Some).collect::<Vec<_>>());
        let key = manifest.version_key(enclave.load().file_key).unwrap();
        let batches = manifest.persons.iter().flat_map(|file| read_file(&dir.join(&file.file), key.as_ref()));
        let of = |batch: RecordBatch| batch.column(0).as_primitive::<Int64Type>().values().to_vec();
        batches.flat_map(of).collect()
    };
    enclave.ingest().unwrap();
    for id in 10..30 {
        enclave.add("person.csv", &format!("{id},8507,,x"));
    }
    enclave.ingest().unwrap();
    let (before, after) = (named(1), named(2));
    assert_eq!((before.len(), after.len()), (3, 23));
    assert!(before.iter().all(|pseudonym| after.contains(pseudonym)), "{before:?} {after:?}");
    assert!(after.is_sorted_by_key(|pseudonym| pseudonym.cast_unsigned()), "in the order of the owner keys");
}
