//! Does a load that fails leave everything as it was?

use std::{fs, sync::Arc};

use datafusion::arrow::array::{ArrayRef, Date32Array, Int64Array, StringArray};

use super::*;

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
    let date = Arc::new(Date32Array::from(vec![1])) as ArrayRef;
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
