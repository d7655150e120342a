//! Which tables do the oracles ask about, and how do their rows look at their worst?

use std::{collections::BTreeMap, sync::Arc};

use datafusion::arrow::{
    array::{
        ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray, UInt32Array,
    },
    compute::filter_record_batch,
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef},
};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use sekisho::{
    catalog::{Column, ColumnType, Domain, Model, Table},
    engine::{MemoryTables, schema::arrow_schema},
};

/// The SQL schema of the persons' tables.
pub const DATASET: &str = "demo";
/// The SQL schema of the public tables.
pub const VOCABULARY: &str = "vocab";

/// The small catalogue.
pub fn model() -> Model {
    Model::from_toml("tests/oracle/model.toml", include_str!("model.toml")).expect("the oracles' model holds together")
}

/// Public tables: name, columns, unique columns.
pub fn public_tables() -> Vec<(&'static str, SchemaRef, Vec<&'static str>)> {
    let field = |name: &str, data_type: DataType, nullable| Field::new(name, data_type, nullable);
    let concept = Schema::new(vec![
        field("concept_id", DataType::Int64, false),
        field("name", DataType::Utf8, true),
        field("class", DataType::Utf8, false),
        field("factor", DataType::Float64, true),
    ]);
    let alias = Schema::new(vec![
        field("concept_id", DataType::Int64, true),
        field("word", DataType::Utf8, true),
        field("rank", DataType::Int64, false),
    ]);
    vec![("concept", Arc::new(concept), vec!["concept_id"]), ("alias", Arc::new(alias), vec![])]
}

/// All rows of all tables; unit tables sorted by owner.
#[derive(Clone)]
pub struct Database {
    pub units: BTreeMap<String, RecordBatch>,
    pub whole: BTreeMap<String, RecordBatch>,
    /// Owner keys lie in `0..persons`.
    pub persons: i64,
}

/// How hostile the rows are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Extreme persons, NaN, infinities, 64-bit limits, values far outside declared bounds.
    Wild,
    /// Within all declared bounds and on their grids: what the same-meaning oracle needs.
    Tame,
}

impl Database {
    pub fn random(seed: u64, manner: Manner) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let persons = match rng.random_range(0..20) {
            0 => 1,
            1 => 2,
            _ => rng.random_range(5..40),
        };
        let heavy = rng.random_range(0..persons);
        let huge = manner == Manner::Wild && rng.random_range(0..30) == 0;
        let model = model();
        let mut units = BTreeMap::new();
        for table in model.tables.values() {
            let sparse = rng.random_range(0..12) == 0 || (table.name == "rare" && rng.random_range(0..3) > 0);
            let mut owners = vec![];
            for person in 0..persons {
                let most = i64::from(table.rows_per_person_max);
                let rows = match (table.one_row_per_person, person == heavy) {
                    (true, _) => i64::from(person == heavy || rng.random_range(0..12) > 0),
                    (false, true) if huge && table.name == "visit" => rng.random_range(2000..4096),
                    (false, true) => rng.random_range(0..120),
                    (false, false) if sparse => 0,
                    (false, false) => *[0, 0, 1, 1, 2, 3, 5, 9].choose(&mut rng).unwrap(),
                };
                owners.extend(std::iter::repeat_n(person, usize::try_from(rows.min(most)).unwrap()));
            }
            units.insert(table.name.clone(), rows(table, &owners, manner, &mut rng));
        }
        Self { units, whole: public_rows(), persons }
    }

    /// The rows of those persons alone for whom `keep` is true.
    pub fn of_persons(&self, keep: impl Fn(i64) -> bool) -> Self {
        self.filtered(|_, owner, _| keep(owner))
    }

    /// The rows for which `keep(table, owner, row)` is true.
    pub fn filtered(&self, keep: impl Fn(&str, i64, usize) -> bool) -> Self {
        let mut kept = self.clone();
        for (name, batch) in &mut kept.units {
            let owners = batch.column_by_name("person_id").unwrap().as_primitive::<Int64Type>();
            let mask: BooleanArray =
                owners.values().iter().enumerate().map(|(row, owner)| Some(keep(name, *owner, row))).collect();
            *batch = filter_record_batch(batch, &mask).unwrap();
        }
        kept
    }

    /// Every person's rows in the opposite order.
    pub fn reversed(&self) -> Self {
        let mut reversed = self.clone();
        for batch in reversed.units.values_mut() {
            let owners = batch.column_by_name("person_id").unwrap().as_primitive::<Int64Type>();
            let mut order: Vec<u32> = (0..u32::try_from(batch.num_rows()).unwrap()).rev().collect();
            order.sort_by_key(|row| owners.value(*row as usize));
            *batch = datafusion::arrow::compute::take_record_batch(batch, &UInt32Array::from(order)).unwrap();
        }
        reversed
    }

    /// How many rows `person` has in all tables.
    pub fn rows_of(&self, person: i64) -> usize {
        let owners = self.units.values().map(|b| b.column_by_name("person_id").unwrap());
        owners.map(|o| o.as_primitive::<Int64Type>().values().iter().filter(|v| **v == person).count()).sum()
    }

    /// The tables as the engine reads them.
    pub fn tables(&self, ranges: u32, batch_rows: usize) -> Arc<MemoryTables> {
        let width = (self.persons + i64::from(ranges) - 1) / i64::from(ranges);
        let mut tables = MemoryTables::new(ranges, width.max(1), batch_rows);
        for (name, batch) in &self.units {
            let owner = batch.schema().index_of("person_id").unwrap();
            tables.add_unit(DATASET, name, batch.clone(), owner);
        }
        for (name, batch) in &self.whole {
            tables.add_whole(VOCABULARY, name, batch.clone());
        }
        Arc::new(tables)
    }

    /// The unit tables as text, for a failure's report.
    pub fn shown(&self) -> String {
        let mut text = String::new();
        for (name, batch) in &self.units {
            text += &format!("-- {name}\n");
            if batch.num_rows() > 0 {
                text += &datafusion::arrow::util::pretty::pretty_format_batches(std::slice::from_ref(batch))
                    .map_or_else(|_| "?".into(), |shown| shown.to_string());
                text += "\n";
            }
        }
        text
    }
}

fn rows(table: &Table, owners: &[i64], manner: Manner, rng: &mut ChaCha8Rng) -> RecordBatch {
    let columns: Vec<ArrayRef> = table
        .queryable()
        .map(|column| match table.owner.as_deref() == Some(column.name.as_str()) {
            true => Arc::new(Int64Array::from(owners.to_vec())) as ArrayRef,
            false => values(column, owners.len(), manner, rng),
        })
        .collect();
    // Some rows stand twice, to the last column.
    let mut order: Vec<u32> = (0..u32::try_from(owners.len()).unwrap()).collect();
    for row in 1..owners.len() {
        if owners[row] == owners[row - 1] && rng.random_range(0..8) == 0 {
            order[row] = order[row - 1];
        }
    }
    let batch = RecordBatch::try_new(Arc::new(arrow_schema(table)), columns).unwrap();
    datafusion::arrow::compute::take_record_batch(&batch, &UInt32Array::from(order)).unwrap()
}

const TEXTS: [&str; 14] =
    ["", "a", "b", "abc", "ABC", "x%y", "1", "-7", "2001-02-03", "東京", "NaN", "a b ", "true", "1e400"];

fn values(column: &Column, rows: usize, manner: Manner, rng: &mut ChaCha8Rng) -> ArrayRef {
    let wild = manner == Manner::Wild;
    let null_of_ten = match (column.nullable, rng.random_range(0..10)) {
        (false, _) => 0,
        (true, 0) => 10,
        (true, _) => 2,
    };
    let null = |rng: &mut ChaCha8Rng| rng.random_range(0..10) < null_of_ten;
    let (first, last) = column.dates.map_or((0, 0), |dates| (day(dates.first), day(dates.last)));
    macro_rules! each {
        ($array:ty, $value:expr) => {{
            let all: Vec<_> = (0..rows).map(|_| if null(rng) { None } else { Some($value(rng)) }).collect();
            Arc::new(<$array>::from(all)) as ArrayRef
        }};
    }
    match (column.data_type, &column.domain) {
        (_, Some(Domain::Integers(listed))) => each!(Int64Array, |r: &mut ChaCha8Rng| *listed.choose(r).unwrap()),
        (_, Some(Domain::Texts(listed))) => each!(StringArray, |r: &mut ChaCha8Rng| listed.choose(r).unwrap().clone()),
        (ColumnType::Int64, None) => each!(Int64Array, |r: &mut ChaCha8Rng| match (wild, r.random_range(0..12)) {
            (true, 0) => i64::MAX,
            (true, 1) => i64::MIN,
            (true, 2) => *[-1, 61, 1 << 53, -(1 << 53) - 1, 1 << 62, 1 << 31].choose(r).unwrap(),
            _ => r.random_range(0..8),
        }),
        (ColumnType::Float64, None) => {
            let grid = column.bounds.as_ref().map_or(0.5, |b| b.grid);
            each!(Float64Array, |r: &mut ChaCha8Rng| match (wild, r.random_range(0..14)) {
                (true, 0) => f64::NAN,
                (true, 1) => f64::INFINITY,
                (true, 2) => f64::NEG_INFINITY,
                (true, 3) => *[f64::MAX, f64::MIN, -0.0, 5e-324, -f64::NAN, 1e19, -1e19].choose(r).unwrap(),
                (true, 4) => 0.1 * f64::from(r.random_range(-900..900)),
                _ => grid * f64::from(r.random_range(0..40)),
            })
        }
        (ColumnType::Utf8, None) => each!(StringArray, |r: &mut ChaCha8Rng| match wild {
            true => (*TEXTS.choose(r).unwrap()).to_owned(),
            false => (*TEXTS[1..5].choose(r).unwrap()).to_owned(),
        }),
        (ColumnType::Date, _) => each!(Date32Array, |r: &mut ChaCha8Rng| r.random_range(first..=last)),
        (ColumnType::Timestamp, _) => each!(TimestampMicrosecondArray, |r: &mut ChaCha8Rng| {
            i64::from(r.random_range(first..=last)) * 86_400_000_000 + r.random_range(0..86_400) * 1_000_000
        }),
        (ColumnType::Boolean, _) => each!(BooleanArray, |r: &mut ChaCha8Rng| r.random_range(0..2) == 0),
    }
}

fn day(date: chrono::NaiveDate) -> i32 {
    i32::try_from(date.signed_duration_since(chrono::NaiveDate::default()).num_days()).unwrap()
}

fn public_rows() -> BTreeMap<String, RecordBatch> {
    let mut whole = BTreeMap::new();
    for (name, schema, _) in public_tables() {
        let columns: Vec<ArrayRef> = match name {
            "concept" => vec![
                Arc::new(Int64Array::from(vec![0, 1, 2, 3, 5, 9, 1995])),
                Arc::new(StringArray::from(vec![
                    Some("zero"),
                    Some("a"),
                    None,
                    Some("b"),
                    Some("a"),
                    Some("abc"),
                    Some("y"),
                ])),
                Arc::new(StringArray::from(vec!["even", "odd", "even", "odd", "odd", "odd", "odd"])),
                Arc::new(Float64Array::from(vec![Some(0.5), Some(1.0), Some(2.0), None, Some(-3.5), Some(4.0), None])),
            ],
            _ => vec![
                Arc::new(Int64Array::from(vec![Some(1), Some(1), Some(1), Some(2), Some(3), Some(3), Some(9), None])),
                Arc::new(StringArray::from(vec![
                    Some("uno"),
                    Some("one"),
                    None,
                    Some("two"),
                    Some("three"),
                    Some("a"),
                    Some("nine"),
                    Some("none"),
                ])),
                Arc::new(Int64Array::from(vec![1, 2, 3, 1, 1, 2, 1, 7])),
            ],
        };
        whole.insert(name.to_owned(), RecordBatch::try_new(schema, columns).unwrap());
    }
    whole
}
