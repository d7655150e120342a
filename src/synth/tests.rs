//! Does a whole population hold what was promised of it?

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
};

use datafusion::{
    arrow::{
        array::AsArray,
        datatypes::{Date32Type, Float64Type, Int64Type},
    },
    parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
};

use super::*;

fn plan(out: &Path, persons: u64, seed: u64) -> SynthPlan {
    SynthPlan { persons, seed, out: out.to_path_buf(), format: Format::Parquet }
}

fn population(persons: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    generate(&plan(dir.path(), persons, 11), &|_| ()).unwrap();
    dir
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            all.extend(files(&entry.path()).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            all.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    all
}

fn batches(path: PathBuf) -> Vec<RecordBatch> {
    let file = File::open(path).unwrap();
    ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap).collect()
}

fn longs(folder: &Path, table: &str, column: &str) -> Vec<Option<i64>> {
    let all = batches(folder.join(format!("{table}.parquet")));
    let column = all.iter().map(|b| b.column_by_name(column).unwrap().as_primitive::<Int64Type>().clone());
    column.flat_map(|c| c.iter().collect::<Vec<_>>()).collect()
}

fn days(folder: &Path, table: &str, column: &str) -> Vec<i32> {
    let all = batches(folder.join(format!("{table}.parquet")));
    let column = all.iter().map(|b| b.column_by_name(column).unwrap().as_primitive::<Date32Type>().clone());
    column.flat_map(|c| c.iter().flatten().collect::<Vec<_>>()).collect()
}

fn doubles(folder: &Path, table: &str, column: &str) -> Vec<Option<f64>> {
    let all = batches(folder.join(format!("{table}.parquet")));
    let column = all.iter().map(|b| b.column_by_name(column).unwrap().as_primitive::<Float64Type>().clone());
    column.flat_map(|c| c.iter().collect::<Vec<_>>()).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    assert!(values.len() > 300, "only {} values", values.len());
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let dirs: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let once = generate_on(&plan(dirs[0].path(), 70_000, 3), 1, &|_| ()).unwrap();
    let again = generate_on(&plan(dirs[1].path(), 70_000, 3), 2, &|_| ()).unwrap();
    generate_on(&plan(dirs[2].path(), 70_000, 3), 5, &|_| ()).unwrap();
    generate_on(&plan(dirs[3].path(), 9_000, 4), 1, &|_| ()).unwrap();
    assert_eq!(once, again);
    let first = files(dirs[0].path());
    assert_eq!(first.len(), 9 + 2 + 8);
    assert!(first == files(dirs[1].path()) && first == files(dirs[2].path()));
    let other = files(dirs[3].path());
    assert_ne!(first["person.parquet"], other["person.parquet"]);
    assert_eq!(first["vocabulary/concept.parquet"], other["vocabulary/concept.parquet"], "the vocabulary is public");
}

#[test]
fn a_smaller_population_is_the_beginning_of_a_larger_one() {
    let (small, large) = (population(5_000), population(34_000));
    for (table, column) in [("person", "person_id"), ("measurement", "measurement_id"), ("death", "person_id")] {
        let few = longs(small.path(), table, column);
        assert_eq!(few, longs(large.path(), table, column)[..few.len()], "{table}");
    }
}

#[test]
fn progress_ends_at_the_rows_written() {
    let dir = tempfile::tempdir().unwrap();
    let heard = std::cell::RefCell::new(Vec::new());
    let summary = generate(&plan(dir.path(), 33_000, 1), &|rows| heard.borrow_mut().push(rows)).unwrap();
    let heard = heard.into_inner();
    assert!(heard.is_sorted() && heard.len() == 2);
    let about_persons = summary.tables.iter().take(9).map(|t| t.1).sum::<u64>();
    assert_eq!(heard.last(), Some(&about_persons));
}

#[test]
fn every_event_belongs_to_a_person_and_every_link_to_a_visit_of_the_same_person() {
    let dir = population(6_000);
    let ids = longs(dir.path(), "person", "person_id");
    let persons: BTreeSet<i64> = ids.iter().flatten().copied().collect();
    assert_eq!((persons.len(), ids.len()), (6_000, 6_000));
    let visit = longs(dir.path(), "visit_occurrence", "visit_occurrence_id");
    let visitor = longs(dir.path(), "visit_occurrence", "person_id");
    let visits: BTreeMap<i64, i64> = visit.into_iter().flatten().zip(visitor.into_iter().flatten()).collect();
    for layout in layout::UNIT {
        let owners = longs(dir.path(), layout.table, "person_id");
        assert!(owners.iter().flatten().all(|p| persons.contains(p)), "{}", layout.table);
        if layout.columns.iter().any(|c| c.name == "visit_occurrence_id") && layout.table != "visit_occurrence" {
            let links = longs(dir.path(), layout.table, "visit_occurrence_id");
            let lost = links.iter().filter(|l| l.is_none()).count();
            assert!(lost > 0 && lost < links.len() / 3, "{}: {lost} links lost", layout.table);
            let linked = owners.iter().zip(links).filter_map(|(owner, link)| Some((visits.get(&link?), *owner)));
            assert!({ linked }.all(|(visitor, owner)| visitor.copied() == owner), "{}", layout.table);
        }
    }
}

#[test]
fn the_vocabulary_covers_every_concept_that_is_used() {
    let dir = population(6_000);
    let known: BTreeSet<i64> =
        longs(&dir.path().join(VOCABULARY), "concept", "concept_id").into_iter().flatten().collect();
    let mut used = BTreeSet::new();
    for layout in layout::UNIT.iter().chain(&[&layout::LOCATION, &layout::CARE_SITE]) {
        for column in layout.columns.iter().filter(|c| c.name.ends_with("_concept_id")) {
            used.extend(longs(dir.path(), layout.table, column.name).into_iter().flatten());
        }
    }
    let unknown: Vec<&i64> = used.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(used.len() > 200, "{} concepts used", used.len());
}

#[test]
fn analysts_find_the_country_that_they_know() {
    let dir = population(20_000);
    let at = dir.path();

    let homes = longs(at, "person", "location_id");
    let share = |place: i64| homes.iter().filter(|h| **h == Some(place)).count() as f64 / 20_000.0;
    assert!((0.105..0.122).contains(&share(13)), "Tokyo {}", share(13));
    assert!((0.002..0.007).contains(&share(31)), "Tottori {}", share(31));

    let ill: BTreeSet<i64> = longs(at, "condition_occurrence", "condition_concept_id")
        .into_iter()
        .zip(longs(at, "condition_occurrence", "person_id"))
        .filter_map(|(concept, person)| (concept == Some(201_826)).then_some(person?))
        .collect();
    assert!((0.04..0.12).contains(&(ill.len() as f64 / 20_000.0)), "{} diabetics", ill.len());

    let born: BTreeMap<i64, i64> = longs(at, "person", "person_id")
        .into_iter()
        .flatten()
        .zip(longs(at, "person", "year_of_birth").into_iter().flatten())
        .collect();
    let tested = longs(at, "measurement", "measurement_concept_id");
    let owner = longs(at, "measurement", "person_id");
    let value = doubles(at, "measurement", "value_as_number");
    let rows = || tested.iter().flatten().zip(owner.iter().flatten()).zip(&value);
    let of = |concept: i64| rows().filter_map(move |((c, p), v)| (*c == concept).then_some((*p, (*v)?)));
    let diabetics = mean(of(3_004_410).filter(|(p, _)| ill.contains(p)).map(|r| r.1));
    let others = mean(of(3_004_410).filter(|(p, _)| !ill.contains(p)).map(|r| r.1));
    assert!(diabetics > others + 1.0, "HbA1c {diabetics} {others}");
    assert!(of(3_004_410).all(|(_, v)| (3.0..=20.0).contains(&v) && ((v * 10.0).round() / 10.0 - v).abs() < 1e-9));
    let young = mean(of(46_236_952).filter(|(p, _)| born[p] >= 1984).map(|r| r.1));
    let old = mean(of(46_236_952).filter(|(p, _)| born[p] < 1949).map(|r| r.1));
    assert!(young > old + 20.0, "eGFR {young} {old}");
    let missing = value.iter().filter(|v| v.is_none()).count() as f64 / value.len() as f64;
    assert!((0.015..0.04).contains(&missing), "{missing} without a value");

    let takers = |concept: i64| {
        let drugs = longs(at, "drug_exposure", "drug_concept_id").into_iter();
        let taken = drugs.zip(longs(at, "drug_exposure", "person_id"));
        taken.filter_map(|(c, p)| (c == Some(concept)).then_some(p?)).collect::<BTreeSet<i64>>()
    };
    let metformin = takers(1_503_297);
    assert!(metformin.len() > 300 && metformin.difference(&ill).count() < metformin.len() / 10);

    let flu = longs(at, "condition_occurrence", "condition_concept_id")
        .into_iter()
        .zip(days(at, "condition_occurrence", "condition_start_date"))
        .filter(|(c, _)| *c == Some(4_266_367));
    let (winter, summer): (Vec<_>, Vec<_>) = flu.partition(|(_, day)| !(90..330).contains(&((day - 18_628) % 365)));
    assert!(winter.len() > summer.len() * 5, "influenza {} {}", winter.len(), summer.len());

    let mut rows_of: BTreeMap<i64, u32> = BTreeMap::new();
    let events = ["visit_occurrence", "condition_occurrence", "drug_exposure", "procedure_occurrence", "measurement"];
    for table in events {
        for person in longs(at, table, "person_id").into_iter().flatten() {
            *rows_of.entry(person).or_default() += 1;
        }
    }
    let all = mean(rows_of.values().map(|n| f64::from(*n))) * rows_of.len() as f64 / 20_000.0;
    assert!((35.0..60.0).contains(&all), "{all} rows a person");
    assert!(rows_of.values().max() > Some(&500), "a long tail of heavy users");
}

#[test]
fn csv_holds_the_same_rows() {
    let (csv, parquet) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let lines = SynthPlan { format: Format::Csv, ..plan(csv.path(), 300, 5) };
    let summary = generate(&lines, &|_| ()).unwrap();
    assert_eq!(summary, generate(&plan(parquet.path(), 300, 5), &|_| ()).unwrap());
    for (table, rows) in &summary.tables {
        let text = fs::read_to_string(csv.path().join(format!("{table}.csv"))).unwrap();
        assert_eq!(text.lines().count() as u64, rows + 1, "{table}");
    }
}

#[test]
fn a_folder_that_holds_anything_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    let refused = generate(&plan(dir.path(), 10, 1), &|_| ());
    assert!(matches!(refused, Err(SynthFault::NotEmpty { .. })), "{refused:?}");
    assert_eq!(files(dir.path()).len(), 1);

    let earlier = population(10);
    let before = files(earlier.path());
    assert!(matches!(generate(&plan(earlier.path(), 20, 1), &|_| ()), Err(SynthFault::NotEmpty { .. })));
    assert!(before == files(earlier.path()));
}

#[test]
fn what_a_broken_off_run_left_is_written_over() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(VOCABULARY)).unwrap();
    fs::write(dir.path().join("person.parquet.tmp"), "half").unwrap();
    generate(&plan(dir.path(), 10, 1), &|_| ()).unwrap();
    assert!(files(dir.path()).keys().all(|name| !name.ends_with(".tmp")));
}

#[test]
fn nobody_is_no_population() {
    let dir = tempfile::tempdir().unwrap();
    for persons in [0, PERSONS_MAX + 1] {
        assert!(matches!(generate(&plan(dir.path(), persons, 1), &|_| ()), Err(SynthFault::Persons)));
    }
    assert!(files(dir.path()).is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_leaves_no_file() {
    for table in ["measurement", "person", "location"] {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join(format!("{table}.parquet.tmp"))).unwrap();
        let full = generate(&plan(dir.path(), 9_000, 1), &|_| ());
        assert!(matches!(full, Err(SynthFault::DiskFull { .. })), "{table}: {full:?}");
        assert!(files(dir.path()).is_empty(), "{table}");
    }
}
