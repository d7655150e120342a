//! What do synthetic persons look like on whom SQL is written and tested before any budget is touched?
//!
//! Everything here comes from the catalogue model and a constant seed: the same model gives the same rows on every
//! machine, whatever a data set holds. So the sample of a data set may be answered exactly, rows included.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{Datelike, Days, NaiveDate};
use datafusion::arrow::{
    array::{
        ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    },
    error::ArrowError,
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use sha2::{Digest, Sha256};

use super::schema::arrow_schema;
use crate::catalog::{Bounds, Column, ColumnType, DateRange, Domain, Examples, ForeignKey, Model, Table, TableKind};

/// How many persons a sample has unless someone says otherwise.
pub const PERSONS: u32 = 200;

/// How many rows a reference table has.
const PLACES: u32 = 10;
/// Row `r` of person `p` has the number `p * ROW_NUMBERS + r`.
const ROW_NUMBERS: i64 = 1000;
/// How many rows a person has in a table of events: most have few, some have many, some have none.
const ROWS: [u32; 12] = [0, 1, 1, 1, 2, 2, 3, 3, 4, 6, 9, 16];
/// One value in so many is NULL where NULL may stand.
const NULL_ONE_IN: u64 = 5;
/// One person in so many has died.
const DEAD_ONE_IN: u64 = 8;
const BIRTH_YEARS: (i64, i64) = (1930, 2015);
/// The last day on which anything happens.
const LAST_DAY: NaiveDate = match NaiveDate::from_ymd_opt(2024, 12, 31) {
    Some(day) => day,
    None => NaiveDate::MAX,
};
const DAY_MICROS: i64 = 86_400_000_000;
const HOUR_MICROS: i64 = 3_600_000_000;

/// Why there is no sample of a table.
#[derive(Debug, thiserror::Error)]
pub enum SampleFault {
    /// The model has no such table.
    #[error("the model has no table {0:?}")]
    UnknownTable(String),
    /// A public or refused table: a vocabulary is answered as it is, a refused table not at all.
    #[error("{0:?} is neither a unit nor a reference table")]
    NotSampled(String),
    /// The values do not fit the schema.
    #[error("the sample does not fit its schema")]
    Unfit(#[source] ArrowError),
}

/// The rows of a unit or reference table for so many synthetic persons, sorted by person and event date.
///
/// # Errors
/// [`SampleFault`], from the model alone.
pub fn sample(model: &Model, table: &str, persons: u32) -> Result<RecordBatch, SampleFault> {
    let table = model.table(table).ok_or_else(|| SampleFault::UnknownTable(table.to_owned()))?;
    let mut rows = Vec::new();
    match table.kind {
        TableKind::Unit => (0..persons).for_each(|person| rows.extend(rows_of_person(model, table, person))),
        TableKind::Reference => rows.extend((0..PLACES).map(|place| row_of_place(table, place))),
        TableKind::Public | TableKind::Refused => return Err(SampleFault::NotSampled(table.name.clone())),
    }
    let mut arrays = Vec::new();
    for column in table.queryable() {
        let cells = rows.iter().map(|row: &Row| row.get(column.name.as_str()).unwrap_or(&Cell::Null));
        arrays.push(array(column.data_type, cells));
    }
    RecordBatch::try_new(Arc::new(arrow_schema(table)), arrays).map_err(SampleFault::Unfit)
}

type Row<'a> = BTreeMap<&'a str, Cell>;

#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Null,
    Integer(i64),
    Float(f64),
    Text(String),
    Day(NaiveDate),
    Micros(i64),
    Boolean(bool),
}

/// What is the same for one person in all tables.
struct Life {
    birth: NaiveDate,
    death: Option<NaiveDate>,
}

impl Life {
    fn of(model: &Model, person: u32) -> Self {
        let mut dice = Dice::new("life", person);
        let years = model.tables.values().filter_map(|table| table.column("year_of_birth")?.domain.as_ref()).next();
        let (first, last) = match years {
            Some(Domain::Integers(years)) => {
                let years = || years.iter().copied();
                let within = |year: &i64| (BIRTH_YEARS.0..=BIRTH_YEARS.1).contains(year);
                let some = years().filter(within).min().or(years().min()).unwrap_or(BIRTH_YEARS.0);
                (some, years().filter(within).max().unwrap_or(some))
            }
            _ => BIRTH_YEARS,
        };
        let year = i32::try_from(dice.between(first, last)).unwrap_or(2000);
        let day = u32::try_from(dice.between(1, 365)).unwrap_or(1);
        let birth = NaiveDate::from_yo_opt(year, day).unwrap_or(LAST_DAY).min(LAST_DAY);
        let dead = dice.one_in(DEAD_ONE_IN);
        let death = dead.then(|| dice.day(later(birth, 365), LAST_DAY));
        Self { birth, death }
    }

    fn end(&self) -> NaiveDate {
        self.death.unwrap_or(LAST_DAY)
    }
}

fn rows_of_person<'a>(model: &Model, table: &'a Table, person: u32) -> Vec<Row<'a>> {
    let life = Life::of(model, person);
    let count = row_count(model, table, person, &life);
    let mut dice = Dice::new(&table.name, person);
    let mut days: Vec<NaiveDate> = (0..count).map(|_| dice.day(life.birth, life.end())).collect();
    days.sort_unstable();
    if let ("death", Some(death)) = (table.name.as_str(), life.death) {
        days = vec![death; days.len()];
    }
    let row = |(number, day): (u32, NaiveDate)| {
        let mut row = Row::new();
        let starts = table.event_date.as_deref();
        // Days before times, so that a time falls on its own column's day.
        for column in table.queryable().filter(|column| column.data_type == ColumnType::Date) {
            row.insert(&column.name, day_cell(column, starts, day, &life, &mut dice));
        }
        for column in table.queryable().filter(|column| column.data_type != ColumnType::Date) {
            let cell = match (column.name.as_str(), column.data_type) {
                (name, _) if table.owner.as_deref() == Some(name) => Cell::Integer(i64::from(person)),
                (name, _) if table.primary_key == [name] => Cell::Integer(row_number(person, number)),
                ("year_of_birth", ColumnType::Int64) => Cell::Integer(i64::from(life.birth.year())),
                ("month_of_birth", ColumnType::Int64) => Cell::Integer(i64::from(life.birth.month())),
                ("day_of_birth", ColumnType::Int64) => Cell::Integer(i64::from(life.birth.day())),
                ("birth_datetime", ColumnType::Timestamp) => Cell::Micros(micros(life.birth)),
                (_, ColumnType::Timestamp) => time_cell(column, &row, day, &mut dice),
                _ => match table.foreign_keys.iter().find(|key| key.column == column.name) {
                    Some(key) => link(model, table, key, (person, number), &life, column, &mut dice),
                    None => any_cell(column, &mut dice),
                },
            };
            row.insert(&column.name, cell);
        }
        row
    };
    (0..count).zip(days).map(row).collect()
}

/// Decided by the table and the person alone, so that a row of another table can point to one of these.
fn row_count(model: &Model, table: &Table, person: u32, life: &Life) -> u32 {
    // A row that must point to another one cannot be where there is none.
    let parents = table.foreign_keys.iter().filter(|key| {
        key.table != table.name
            && Some(key.column.as_str()) != table.owner.as_deref()
            && table.column(&key.column).is_some_and(|column| !column.nullable)
    });
    for parent in parents.filter_map(|key| model.table(&key.table)) {
        if parent.kind == TableKind::Unit && row_count(model, parent, person, life) == 0 {
            return 0;
        }
    }
    let drawn = match table.name.as_str() {
        "death" => u32::from(life.death.is_some()),
        "observation_period" => 1,
        _ if table.one_row_per_person => 1,
        _ => ROWS.get(Dice::new(&format!("{} rows", table.name), person).below(ROWS.len())).copied().unwrap_or(1),
    };
    drawn.min(table.rows_per_person_max)
}

fn row_number(person: u32, number: u32) -> i64 {
    i64::from(person).saturating_mul(ROW_NUMBERS).saturating_add(i64::from(number))
}

fn row_of_place(table: &Table, place: u32) -> Row<'_> {
    let mut dice = Dice::new(&table.name, place);
    let cell = |column: &Column| {
        if table.primary_key == [column.name.as_str()] {
            return Cell::Integer(i64::from(place));
        }
        match table.foreign_keys.iter().any(|key| key.column == column.name) {
            true => Cell::Integer(dice.between(0, i64::from(PLACES) - 1)),
            false => any_cell(column, &mut dice),
        }
    };
    let mut cell = cell;
    table.queryable().map(|column| (column.name.as_str(), cell(column))).collect()
}

/// A link to a row of the same person, to an earlier row of the same table, or to a place.
fn link(
    model: &Model,
    table: &Table,
    key: &ForeignKey,
    (person, number): (u32, u32),
    life: &Life,
    column: &Column,
    dice: &mut Dice,
) -> Cell {
    let null = column.nullable && dice.one_in(NULL_ONE_IN);
    let rows = match model.table(&key.table) {
        Some(parent) if parent.name == table.name => number,
        Some(parent) if parent.kind == TableKind::Unit => row_count(model, parent, person, life),
        Some(parent) if parent.kind == TableKind::Reference => {
            let place = dice.between(0, i64::from(PLACES) - 1);
            return if null { Cell::Null } else { Cell::Integer(place) };
        }
        _ => 0,
    };
    match rows {
        0 => Cell::Null,
        _ if null => Cell::Null,
        rows => Cell::Integer(row_number(person, 0).saturating_add(dice.between(0, i64::from(rows) - 1))),
    }
}

fn day_cell(column: &Column, starts: Option<&str>, day: NaiveDate, life: &Life, dice: &mut Dice) -> Cell {
    let is_start = starts == Some(column.name.as_str());
    if !is_start && column.nullable && dice.one_in(NULL_ONE_IN) {
        return Cell::Null;
    }
    let drawn = match is_start {
        true => day,
        false if column.name.starts_with("observation_period") => life.end(),
        false => later(day, dice.below_u64(30)).min(life.end()),
    };
    Cell::Day(within(drawn, column.dates))
}

fn time_cell(column: &Column, row: &Row<'_>, day: NaiveDate, dice: &mut Dice) -> Cell {
    let own_day = column.name.strip_suffix("time").and_then(|name| row.get(name));
    let day = match own_day {
        Some(Cell::Day(own)) => *own,
        Some(_) => return Cell::Null,
        None => day,
    };
    if column.nullable && dice.one_in(NULL_ONE_IN) {
        return Cell::Null;
    }
    // What ends in the afternoon began in the morning, also on one day.
    let hours = if column.name.contains("_end_") { (12, 20) } else { (8, 11) };
    let time = dice.between(hours.0, hours.1).saturating_mul(HOUR_MICROS);
    Cell::Micros(micros(within(day, column.dates)).saturating_add(time))
}

fn any_cell(column: &Column, dice: &mut Dice) -> Cell {
    if column.nullable && dice.one_in(NULL_ONE_IN) {
        return Cell::Null;
    }
    match (&column.examples, &column.domain, &column.bounds) {
        (Some(Examples::Integers(values)), _, _) | (None, Some(Domain::Integers(values)), _) => {
            Cell::Integer(dice.one_of(values).copied().unwrap_or(0))
        }
        (Some(Examples::Texts(values)), _, _) | (None, Some(Domain::Texts(values)), _) => {
            Cell::Text(dice.one_of(values).cloned().unwrap_or_default())
        }
        (Some(Examples::Floats(values)), _, _) => Cell::Float(dice.one_of(values).copied().unwrap_or(0.0)),
        (None, None, Some(bounds)) => bounded(column.data_type, bounds, dice),
        (None, None, None) => match column.data_type {
            ColumnType::Int64 => Cell::Integer(0),
            ColumnType::Float64 => Cell::Float(0.0),
            ColumnType::Utf8 => Cell::Text(String::new()),
            ColumnType::Boolean => Cell::Boolean(dice.one_in(2)),
            ColumnType::Date | ColumnType::Timestamp => Cell::Day(LAST_DAY),
        },
    }
}

/// A point of the grid within the bounds, of at most a thousand.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a sample value; floats saturate")]
fn bounded(data_type: ColumnType, bounds: &Bounds, dice: &mut Dice) -> Cell {
    let steps = ((bounds.hi - bounds.lo) / bounds.grid).floor().clamp(0.0, 1000.0) as i64;
    let value = bounds.lo + bounds.grid * dice.between(0, steps) as f64;
    match data_type {
        ColumnType::Int64 => Cell::Integer(value.round() as i64),
        _ => Cell::Float(value),
    }
}

fn within(day: NaiveDate, dates: Option<DateRange>) -> NaiveDate {
    dates.map_or(day, |dates| day.clamp(dates.first, dates.last))
}

fn later(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_add_days(Days::new(days)).unwrap_or(day).min(LAST_DAY).max(day)
}

fn days_since_1970(day: NaiveDate) -> i32 {
    i32::try_from(day.signed_duration_since(NaiveDate::default()).num_days()).unwrap_or(0)
}

fn micros(day: NaiveDate) -> i64 {
    i64::from(days_since_1970(day)).saturating_mul(DAY_MICROS)
}

/// A stream of draws that depends on a word and a number alone.
struct Dice(ChaCha8Rng);

impl Dice {
    fn new(word: &str, number: u32) -> Self {
        let seed = Sha256::new().chain_update("sekisho sample").chain_update(number.to_be_bytes()).chain_update(word);
        Self(ChaCha8Rng::from_seed(seed.finalize().into()))
    }

    fn below_u64(&mut self, ends: u64) -> u64 {
        self.0.next_u64().checked_rem(ends).unwrap_or(0)
    }

    fn below(&mut self, ends: usize) -> usize {
        usize::try_from(self.below_u64(u64::try_from(ends).unwrap_or(u64::MAX))).unwrap_or(0)
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below_u64(chances) == 0
    }

    /// Both ends included; the first end where the range is empty.
    fn between(&mut self, first: i64, last: i64) -> i64 {
        let values = last.saturating_sub(first).saturating_add(1);
        let step = self.below_u64(u64::try_from(values).unwrap_or(1));
        first.saturating_add(i64::try_from(step).unwrap_or(0))
    }

    fn day(&mut self, first: NaiveDate, last: NaiveDate) -> NaiveDate {
        let days = last.signed_duration_since(first).num_days();
        first.checked_add_days(Days::new(u64::try_from(self.between(0, days)).unwrap_or(0))).unwrap_or(first)
    }

    fn one_of<'a, T>(&mut self, values: &'a [T]) -> Option<&'a T> {
        values.get(self.below(values.len()))
    }
}

fn array<'a>(data_type: ColumnType, cells: impl Iterator<Item = &'a Cell>) -> ArrayRef {
    match data_type {
        ColumnType::Int64 => Arc::new(cells.map(integer).collect::<Int64Array>()),
        ColumnType::Float64 => Arc::new(cells.map(float).collect::<Float64Array>()),
        ColumnType::Utf8 => Arc::new(cells.map(text).collect::<StringArray>()),
        ColumnType::Date => Arc::new(cells.map(day).collect::<Date32Array>()),
        ColumnType::Timestamp => Arc::new(cells.map(time).collect::<TimestampMicrosecondArray>()),
        ColumnType::Boolean => Arc::new(cells.map(boolean).collect::<BooleanArray>()),
    }
}

fn integer(cell: &Cell) -> Option<i64> {
    if let Cell::Integer(value) = cell { Some(*value) } else { None }
}

fn float(cell: &Cell) -> Option<f64> {
    if let Cell::Float(value) = cell { Some(*value) } else { None }
}

fn text(cell: &Cell) -> Option<&str> {
    if let Cell::Text(value) = cell { Some(value) } else { None }
}

fn day(cell: &Cell) -> Option<i32> {
    if let Cell::Day(value) = cell { Some(days_since_1970(*value)) } else { None }
}

fn time(cell: &Cell) -> Option<i64> {
    match cell {
        Cell::Micros(value) => Some(*value),
        Cell::Day(value) => Some(micros(*value)),
        _ => None,
    }
}

fn boolean(cell: &Cell) -> Option<bool> {
    if let Cell::Boolean(value) = cell { Some(*value) } else { None }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use datafusion::arrow::array::Array;

    use super::*;

    fn model() -> Model {
        Model::builtin("omop-5.4").expect("built in")
    }

    fn integers(batch: &RecordBatch, column: &str) -> Int64Array {
        let array = batch.column_by_name(column).unwrap_or_else(|| panic!("{column}"));
        array.as_any().downcast_ref::<Int64Array>().expect("int64").clone()
    }

    fn days(batch: &RecordBatch, column: &str) -> Date32Array {
        let array = batch.column_by_name(column).unwrap_or_else(|| panic!("{column}"));
        array.as_any().downcast_ref::<Date32Array>().expect("date").clone()
    }

    fn sampled(model: &Model) -> impl Iterator<Item = &Table> {
        model.tables.values().filter(|table| matches!(table.kind, TableKind::Unit | TableKind::Reference))
    }

    #[test]
    fn every_table_about_persons_or_places_has_a_sample_that_fits_its_schema() {
        for name in ["omop-5.3", "omop-5.4"] {
            let model = Model::builtin(name).expect("built in");
            for table in sampled(&model) {
                let batch =
                    sample(&model, &table.name, PERSONS).unwrap_or_else(|fault| panic!("{}: {fault}", table.name));
                assert!(batch.num_rows() > 0, "{}", table.name);
                assert_eq!(batch.schema().as_ref(), &arrow_schema(table));
            }
        }
    }

    #[test]
    fn the_same_model_gives_the_same_rows_and_fewer_persons_a_prefix_of_them() {
        let model = model();
        let all = sample(&model, "measurement", 50).expect("sampled");
        assert_eq!(all, sample(&model, "measurement", 50).expect("sampled"));
        let few = sample(&model, "measurement", 20).expect("sampled");
        assert_eq!(few, all.slice(0, few.num_rows()));
        assert!(few.num_rows() < all.num_rows());
    }

    #[test]
    fn nobody_has_an_event_before_birth_or_after_death() {
        let model = model();
        let lives: Vec<Life> = (0..PERSONS).map(|person| Life::of(&model, person)).collect();
        assert!(lives.iter().any(|life| life.death.is_some()) && lives.iter().any(|life| life.death.is_none()));
        for table in sampled(&model).filter(|table| table.event_date.is_some()) {
            let batch = sample(&model, &table.name, PERSONS).expect("sampled");
            let owners = integers(&batch, "person_id");
            for column in table.queryable().filter(|column| column.data_type == ColumnType::Date) {
                let days = days(&batch, &column.name);
                for row in (0..batch.num_rows()).filter(|row| days.is_valid(*row)) {
                    let life = &lives[usize::try_from(owners.value(row)).expect("a person")];
                    let lived = days_since_1970(life.birth)..=days_since_1970(life.end());
                    assert!(lived.contains(&days.value(row)), "{}.{} row {row}", table.name, column.name);
                }
            }
        }
    }

    #[test]
    fn rows_are_in_order_and_links_lead_to_rows_of_the_same_person() {
        let model = model();
        for table in sampled(&model) {
            let batch = sample(&model, &table.name, PERSONS).expect("sampled");
            if let (Some(owner), Some(event)) = (&table.owner, &table.event_date) {
                let (owners, events) = (integers(&batch, owner), days(&batch, event));
                let order: Vec<_> = owners.values().iter().zip(events.values()).collect();
                assert!(order.is_sorted(), "{}", table.name);
            }
            for key in &table.foreign_keys {
                let parent = model.table(&key.table).expect("checked by the catalogue");
                let parents = sample(&model, &parent.name, PERSONS).expect("sampled");
                let owner = |batch: &RecordBatch, of: &Table, row: usize| match &of.owner {
                    Some(owner) => integers(batch, owner).value(row),
                    None => -1,
                };
                let numbers = integers(&parents, &key.references);
                let there: BTreeSet<(i64, i64)> =
                    (0..parents.num_rows()).map(|row| (numbers.value(row), owner(&parents, parent, row))).collect();
                let links = integers(&batch, &key.column);
                assert!(links.null_count() < links.len(), "{}.{} links somewhere", table.name, key.column);
                for row in (0..batch.num_rows()).filter(|row| links.is_valid(*row)) {
                    let whose = if parent.owner.is_some() { owner(&batch, table, row) } else { -1 };
                    assert!(there.contains(&(links.value(row), whose)), "{}.{} row {row}", table.name, key.column);
                }
            }
        }
    }

    #[test]
    fn values_stay_within_what_the_catalogue_declares() {
        let model = model();
        for table in sampled(&model) {
            let batch = sample(&model, &table.name, PERSONS).expect("sampled");
            for column in table.queryable().filter(|column| column.data_type == ColumnType::Int64) {
                let values = integers(&batch, &column.name);
                if column.nullable && table.kind == TableKind::Unit {
                    assert!(
                        column.name.ends_with("_of_birth") || values.null_count() > 0,
                        "{}.{}",
                        table.name,
                        column.name
                    );
                }
                for value in values.iter().flatten() {
                    if let Some(Domain::Integers(domain)) = &column.domain {
                        assert!(domain.contains(&value), "{}.{} {value}", table.name, column.name);
                    }
                }
            }
        }
    }

    #[test]
    fn tables_without_persons_of_their_own_have_no_sample() {
        let model = model();
        assert!(matches!(sample(&model, "concept", 5), Err(SampleFault::NotSampled(_))));
        assert!(matches!(sample(&model, "note_nlp", 5), Err(SampleFault::NotSampled(_))));
        assert!(matches!(sample(&model, "patients", 5), Err(SampleFault::UnknownTable(_))));
    }
}
