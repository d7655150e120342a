//! Do two answers mean the same?

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, Float64Array, RecordBatch},
        compute::{cast, concat_batches},
    },
    common::ScalarValue,
};
use sekisho::privacy::{Analysis, Candidates, Kind, Output, Rank, Release};

use crate::oracle::{run::Opened, statistics};

pub type Rows = Vec<Vec<ScalarValue>>;

pub fn rows(batches: &[RecordBatch]) -> Rows {
    let Some(first) = batches.first() else { return vec![] };
    let all = concat_batches(&first.schema(), batches).unwrap();
    let value = |column: &ArrayRef, row| one_spelling(ScalarValue::try_from_array(column, row).unwrap());
    (0..all.num_rows()).map(|row| all.columns().iter().map(|c| value(c, row)).collect()).collect()
}

fn one_spelling(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text) => ScalarValue::Utf8(text),
        other => other,
    }
}

/// How near a column has to come, and whether its values order the rows.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Of the value's own size.
    relative: f64,
    absolute: f64,
    orders: bool,
}

/// Values that are not noised have to be equal to the digits that a FLOAT of the reference engine has.
pub const EXACT: Column = Column { relative: 1e-6, absolute: 1e-9, orders: true };

/// What is asked of each column of `analysis`: counts and sums of whole numbers are equal, what lies on a finer grid is
/// as near as the grid, picked candidates one step.
pub fn columns(analysis: &Analysis, rows: usize) -> Vec<Column> {
    let steps = |release: &Release| release.partials.iter().map(|p| step(&p.kind)).fold(0.0, f64::max);
    let widest = analysis.releases().iter().map(steps).fold(0.0, f64::max);
    let of = |passed: &Option<sekisho::privacy::Passed>| {
        let Some(passed) = passed else {
            let relative = if widest > 0.0 { 1e-3 } else { 1e-6 };
            return Column { relative, absolute: if widest > 0.0 { widest } else { 1e-9 }, orders: true };
        };
        let release = &analysis.releases()[passed.release];
        let at = |partial: usize| step(&release.partials[partial].kind);
        let absolute = match &release.outputs[passed.output] {
            Output::Key(_) => return EXACT,
            Output::Count(_) => 0.0,
            Output::Sum(partial) => at(*partial) * rows as f64,
            Output::Mean { sum, .. } => at(*sum) * 1.01,
            Output::Moments { .. } => steps(release),
            Output::Quantile(partial) => at(*partial) * 1.01,
        };
        let moments = matches!(release.outputs[passed.output], Output::Moments { .. });
        Column { relative: if moments { 1e-3 } else { 1e-9 }, absolute: absolute + 1e-9, orders: false }
    };
    analysis.passed().iter().map(of).collect()
}

/// The step of a grid that is not of whole numbers, and of all that are picked.
fn step(kind: &Kind) -> f64 {
    match kind {
        Kind::Sum { grid, .. } if (grid.step - 1.0).abs() > f64::EPSILON => grid.step,
        Kind::Histogram { candidates, .. } => candidates.widest(),
        _ => 0.0,
    }
}

/// Whether any percentile is among the outputs: where it lies between two values of the rows, every candidate between
/// them is one, and engines differ in which they take.
pub fn has_percentiles(analysis: &Analysis) -> bool {
    let percentile = |kind: &Kind| matches!(kind, Kind::Histogram { rank: Rank::Quantile { .. }, .. });
    analysis.releases().iter().flat_map(|r| &r.partials).any(|p| percentile(&p.kind))
}

/// `batch` with the percentiles moved to the neighbouring value that some row has, down or up.
pub fn moved(release: &Release, opened: &Opened, batch: &RecordBatch, up: bool) -> RecordBatch {
    let shown: Vec<usize> = (0..opened.persons.len()).filter(|g| release.keys == 0 || opened.persons[*g] > 0).collect();
    let mut columns = batch.columns().to_vec();
    for (index, output) in release.outputs.iter().enumerate() {
        let Output::Quantile(partial) = output else { continue };
        let Kind::Histogram { candidates, rank: rank @ Rank::Quantile { .. }, .. } = &release.partials[*partial].kind
        else {
            continue;
        };
        let n = release.partials[..*partial].iter().filter(|p| p.picks()).count();
        let of = |group: &usize| neighbour(&opened.histograms[n][*group], candidates, *rank, up);
        let values: ArrayRef = Arc::new(Float64Array::from_iter(shown.iter().map(of)));
        let data_type = release.schema.field(index).data_type();
        columns[index] = cast(&statistics::timed(values, data_type), batch.column(index).data_type()).unwrap();
    }
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

fn neighbour(seen: &[(u32, i64)], candidates: &Candidates, rank: Rank, up: bool) -> Option<f64> {
    if seen.is_empty() {
        return None;
    }
    let scores = rank.scores(seen, candidates.count(), 0);
    let least = *scores.iter().min().unwrap();
    let first = scores.iter().position(|s| *s == least).unwrap();
    let last = scores.iter().rposition(|s| *s == least).unwrap();
    let mut places = seen.iter().map(|(place, _)| usize::try_from(*place).unwrap());
    let place = match up {
        true => places.find(|place| *place > last).unwrap_or(last),
        false => places.rfind(|place| *place < first).unwrap_or(first),
    };
    candidates.value(place)
}

/// Compares what was found with what was expected; `between` are two more answers of which one value lies below and one
/// above what may be expected.
pub fn same(found: Rows, between: Option<(Rows, Rows)>, expected: Rows, columns: &[Column]) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("{} rows, plain SQL has {}", found.len(), expected.len()));
    }
    let sorted = |mut rows: Rows| {
        rows.sort_by_cached_key(|row| order(row, columns));
        rows
    };
    let (found, expected) = (sorted(found), sorted(expected));
    let between = between.filter(|(low, high)| low.len() == found.len() && high.len() == found.len());
    let between = between.map(|(low, high)| (sorted(low), sorted(high)));
    for (place, (ours, plain)) in found.iter().zip(&expected).enumerate() {
        for (index, (a, b)) in ours.iter().zip(plain).enumerate() {
            let column = columns.get(index).copied().unwrap_or(EXACT);
            let bracket = between.as_ref().map(|(low, high)| (&low[place][index], &high[place][index]));
            if !alike(a, b, bracket, column) {
                return Err(format!(
                    "column {index}: ours {a:?}, plain SQL {b:?}\n      ours {ours:?}\n      plain {plain:?}"
                ));
            }
        }
    }
    Ok(())
}

fn alike(a: &ScalarValue, b: &ScalarValue, bracket: Option<(&ScalarValue, &ScalarValue)>, column: Column) -> bool {
    if a == b {
        return true;
    }
    // An empty sum is 0 with us: NULL would tell that nobody is there.
    if b.is_null() {
        return a.is_null() || amount(a) == Some(0.0);
    }
    let Some(y) = amount(b) else { return false };
    let within = column.absolute + column.relative * (1.0 + y.abs());
    let near = amount(a).is_some_and(|x| (x - y).abs() <= within || (x.is_nan() && y.is_nan()));
    let inside = bracket.and_then(|(low, high)| amount(low).zip(amount(high)));
    near || inside.is_some_and(|(l, h)| l.min(h) - within <= y && y <= l.max(h) + within)
}

/// Days of a date, microseconds of a timestamp, numbers as they are.
fn amount(value: &ScalarValue) -> Option<f64> {
    match value {
        ScalarValue::Boolean(_) | ScalarValue::Utf8(_) => None,
        ScalarValue::Date32(days) => days.map(f64::from),
        ScalarValue::TimestampMicrosecond(micros, _) => micros.map(|m| m as f64),
        ScalarValue::TimestampNanosecond(nanos, _) => nanos.map(|n| n as f64 / 1000.0),
        other => match other.cast_to(&datafusion::arrow::datatypes::DataType::Float64) {
            Ok(ScalarValue::Float64(value)) => value,
            _ => None,
        },
    }
}

/// Columns without noise first, then all numbers to the third digit.
fn order(row: &[ScalarValue], columns: &[Column]) -> (Vec<String>, Vec<i64>) {
    let settled = |index: usize| columns.get(index).is_none_or(|c| c.orders);
    let text = |(index, value): (usize, &ScalarValue)| match settled(index) && !value.data_type().is_floating() {
        true => amount(value).map_or_else(|| format!("{value:?}"), |n| n.to_string()),
        false => String::new(),
    };
    let numbers = row.iter().map(|value| amount(value).map_or(i64::MIN, |v| (v * 1000.0).round() as i64));
    (row.iter().enumerate().map(text).collect(), numbers.collect())
}
