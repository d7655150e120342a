//! What do a column's values become in the catalogue's type?
//!
//! Sources store the same fact in many ways: ids as text or DOUBLE, dates as timestamps, numbers or text. Whatever is
//! no value of the declared type is marked, never guessed, and no id passes through a float.

use std::sync::Arc;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use datafusion::arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
        TimestampMicrosecondArray, new_null_array,
    },
    buffer::BooleanBuffer,
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Date32Type, Float64Type, Int64Type},
    util::display::FormatOptions,
};

use crate::{catalog::ColumnType, engine::schema::arrow_type};

/// The largest whole number below which a DOUBLE holds every whole number.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A column in the catalogue's type.
#[derive(Debug)]
pub(super) struct Converted {
    /// The values; NULL where there is none or none of this type.
    pub(super) array: ArrayRef,
    /// Where the source has a value that is none of this type.
    pub(super) unreadable: Option<BooleanBuffer>,
    /// How many values were not a number or infinite, and are NULL now.
    pub(super) not_finite: u64,
}

/// The values of `array` as `declared`, or nothing where no value of its type can be one.
pub(super) fn convert(array: &ArrayRef, declared: ColumnType) -> Option<Converted> {
    let array = plain(array)?;
    if *array.data_type() == DataType::Null {
        return Some(Converted {
            array: new_null_array(&arrow_type(declared), array.len()),
            unreadable: None,
            not_finite: 0,
        });
    }
    match declared {
        ColumnType::Int64 => to_whole(&array),
        ColumnType::Float64 => to_float(&array),
        ColumnType::Utf8 => to_text(&array),
        ColumnType::Date => to_date(&array),
        ColumnType::Timestamp => to_timestamp(&array),
        ColumnType::Boolean => to_boolean(&array),
    }
}

/// Without dictionaries, runs and views.
fn plain(array: &ArrayRef) -> Option<ArrayRef> {
    match array.data_type() {
        DataType::Dictionary(_, values) => plain(&cast(array, values)?),
        DataType::RunEndEncoded(_, values) => plain(&cast(array, values.data_type())?),
        DataType::Utf8View | DataType::LargeUtf8 => cast(array, &DataType::Utf8),
        DataType::Float16 | DataType::Float32 => cast(array, &DataType::Float64),
        _ => Some(Arc::clone(array)),
    }
}

fn to_whole(array: &ArrayRef) -> Option<Converted> {
    match array.data_type() {
        kind if kind.is_integer() => by_cast(array, &DataType::Int64),
        DataType::Boolean | DataType::Decimal128(_, 0) | DataType::Decimal256(_, 0) => by_cast(array, &DataType::Int64),
        DataType::Decimal128(..) | DataType::Decimal256(..) => by_text(array, whole_of_text),
        DataType::Utf8 => by_text(array, whole_of_text),
        DataType::Float64 => {
            // A DOUBLE column writes NULL as NaN; anything else that is not exactly whole is no id.
            let floats = array.as_primitive::<Float64Type>();
            let absent = floats.iter().flatten().filter(|x| x.is_nan()).count() as u64;
            let given = |x: &f64| !x.is_nan();
            let values: Int64Array = floats.iter().map(|x| x.filter(given).and_then(whole_of_float)).collect();
            let unreadable = BooleanBuffer::from_iter(
                floats.iter().zip(values.iter()).map(|(from, to)| from.is_some_and(|x| given(&x)) && to.is_none()),
            );
            let unreadable = Some(unreadable).filter(|marks| marks.count_set_bits() > 0);
            Some(Converted { array: Arc::new(values), unreadable, not_finite: absent })
        }
        _ => None,
    }
}

fn to_float(array: &ArrayRef) -> Option<Converted> {
    let numbers = match array.data_type() {
        DataType::Float64 => by_cast(array, &DataType::Float64)?,
        kind if kind.is_integer() => by_cast(array, &DataType::Float64)?,
        DataType::Decimal128(..) | DataType::Decimal256(..) => by_cast(array, &DataType::Float64)?,
        DataType::Utf8 => parsed::<Float64Array, _>(array, |text| text.parse::<f64>().ok()),
        _ => return None,
    };
    let floats = numbers.array.as_primitive::<Float64Type>();
    let not_finite = floats.iter().flatten().filter(|x| !x.is_finite()).count() as u64;
    // Adding zero makes -0 into 0: one value, one place in the order.
    let finite: Float64Array = floats.iter().map(|x| x.filter(|x| x.is_finite()).map(|x| x + 0.0)).collect();
    Some(Converted { array: Arc::new(finite), unreadable: numbers.unreadable, not_finite })
}

fn to_text(array: &ArrayRef) -> Option<Converted> {
    match array.data_type() {
        kind if kind.is_nested() => None,
        _ => by_cast(array, &DataType::Utf8),
    }
}

fn to_date(array: &ArrayRef) -> Option<Converted> {
    match array.data_type() {
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => by_cast(array, &DataType::Date32),
        DataType::Utf8 => Some(parsed::<Date32Array, _>(array, |text| day_of_text(text).map(days))),
        kind if kind.is_integer() => {
            let whole = by_cast(array, &DataType::Int64)?;
            Some(mapped::<Date32Array, _>(&whole.array, |n| day_of_number(n).map(days)))
        }
        _ => None,
    }
}

fn to_timestamp(array: &ArrayRef) -> Option<Converted> {
    let target = arrow_type(ColumnType::Timestamp);
    match array.data_type() {
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => by_cast(array, &target),
        DataType::Utf8 => Some(parsed::<TimestampMicrosecondArray, _>(array, |text| {
            time_of_text(text).map(|t| t.and_utc().timestamp_micros())
        })),
        _ => None,
    }
}

fn to_boolean(array: &ArrayRef) -> Option<Converted> {
    match array.data_type() {
        DataType::Boolean => by_cast(array, &DataType::Boolean),
        DataType::Utf8 => Some(parsed::<BooleanArray, _>(array, |text| match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "1" | "yes" | "y" => Some(true),
            "false" | "f" | "0" | "no" | "n" => Some(false),
            _ => None,
        })),
        kind if kind.is_integer() => {
            let whole = by_cast(array, &DataType::Int64)?;
            Some(mapped::<BooleanArray, _>(&whole.array, |n| match n {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            }))
        }
        _ => None,
    }
}

fn whole_of_float(x: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "whole and at most 2^53")]
    let whole = (x.trunc() == x && x.abs() <= WHOLE_MAX).then_some(x as i64);
    whole
}

/// `-12`, and `-12.0` as some tools write whole numbers; never through a float.
fn whole_of_text(text: &str) -> Option<i64> {
    let whole = match text.split_once('.') {
        Some((whole, rest)) if !rest.is_empty() && rest.bytes().all(|digit| digit == b'0') => whole,
        Some(_) => return None,
        None => text,
    };
    whole.parse().ok()
}

/// `2024-03-31`, `20240331`, or the day of a date with time.
fn day_of_text(text: &str) -> Option<NaiveDate> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<u32> {
        let digits = bytes.get(from..to)?;
        digits.iter().try_fold(0, |n, d| d.is_ascii_digit().then(|| n * 10 + u32::from(d - b'0')))
    };
    let date = |month, day| NaiveDate::from_ymd_opt(i32::try_from(number(0, 4)?).ok()?, month, day);
    match (bytes.get(4), bytes.get(7), bytes.get(10)) {
        (Some(b'-' | b'/'), Some(b'-' | b'/'), None) => date(number(5, 7)?, number(8, 10)?),
        (Some(b'-' | b'/'), Some(b'-' | b'/'), Some(b' ' | b'T')) => time_of_text(text).map(|t| t.date()),
        _ if bytes.len() == 8 => date(number(4, 6)?, number(6, 8)?),
        _ => None,
    }
}

/// 20240331.
fn day_of_number(number: i64) -> Option<NaiveDate> {
    let part = |n: i64| u32::try_from(n).ok();
    NaiveDate::from_ymd_opt(i32::try_from(number / 10_000).ok()?, part(number / 100 % 100)?, part(number % 100)?)
}

/// `2024-03-31`, `2024-03-31 12:00`, `2024-03-31T12:00:00.5Z`: the clock of the place, so an offset is dropped.
fn time_of_text(text: &str) -> Option<NaiveDateTime> {
    let Some((day, time)) = text.split_once([' ', 'T']) else {
        return Some(day_of_text(text)?.and_time(NaiveTime::MIN));
    };
    let day = day_of_text(day)?;
    let end = time.find(['Z', '+', '-', ' ']).unwrap_or(time.len());
    let clock = time.get(..end)?;
    let time = ["%H:%M:%S%.f", "%H:%M"].iter().find_map(|form| NaiveTime::parse_from_str(clock, form).ok())?;
    Some(day.and_time(time))
}

fn days(date: NaiveDate) -> i32 {
    Date32Type::from_naive_date(date)
}

/// Casts; what was a value and is none afterwards is unreadable.
fn by_cast(array: &ArrayRef, target: &DataType) -> Option<Converted> {
    let converted = if array.data_type() == target { Arc::clone(array) } else { cast(array, target)? };
    let unreadable = lost(array, &converted);
    Some(Converted { array: converted, unreadable, not_finite: 0 })
}

fn by_text(array: &ArrayRef, read: fn(&str) -> Option<i64>) -> Option<Converted> {
    let text = cast(array, &DataType::Utf8)?;
    Some(parsed::<Int64Array, _>(&text, read))
}

/// Reads each text.
fn parsed<A, T>(array: &ArrayRef, read: impl Fn(&str) -> Option<T>) -> Converted
where
    A: FromIterator<Option<T>> + Array + 'static,
{
    let texts: &StringArray = array.as_string();
    let values: A = texts.iter().map(|text| text.and_then(|text| read(text.trim()))).collect();
    finished(array, Arc::new(values))
}

fn mapped<A, T>(array: &ArrayRef, read: impl Fn(i64) -> Option<T>) -> Converted
where
    A: FromIterator<Option<T>> + Array + 'static,
{
    let values: A = array.as_primitive::<Int64Type>().iter().map(|n| n.and_then(&read)).collect();
    finished(array, Arc::new(values))
}

fn finished(from: &ArrayRef, array: ArrayRef) -> Converted {
    let unreadable = lost(from, &array);
    Converted { array, unreadable, not_finite: 0 }
}

fn lost(from: &ArrayRef, to: &ArrayRef) -> Option<BooleanBuffer> {
    if from.null_count() == to.null_count() {
        return None;
    }
    let rows = 0..from.len();
    Some(BooleanBuffer::from_iter(rows.map(|row| from.is_valid(row) && to.is_null(row))))
}

fn cast(array: &ArrayRef, target: &DataType) -> Option<ArrayRef> {
    let safe = CastOptions { safe: true, format_options: FormatOptions::default() };
    cast_with_options(array, target, &safe).ok()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Decimal128Array, DictionaryArray, NullArray, UInt64Array};
    use datafusion::arrow::datatypes::Int32Type;

    use super::*;

    fn whole(array: impl Array + 'static) -> (Vec<Option<i64>>, usize, u64) {
        let done = convert(&(Arc::new(array) as ArrayRef), ColumnType::Int64).unwrap();
        let marks = done.unreadable.map_or(0, |marks| marks.count_set_bits());
        (done.array.as_primitive::<Int64Type>().iter().collect(), marks, done.not_finite)
    }

    #[test]
    fn ids_are_whole_numbers_or_nothing() {
        let floats = Float64Array::from(vec![
            Some(-7.0),
            Some(9_007_199_254_740_992.0),
            Some(9_007_199_254_740_994.0),
            Some(1.5),
            Some(f64::NAN),
            Some(f64::INFINITY),
            None,
        ]);
        let expected = vec![Some(-7), Some(1 << 53), None, None, None, None, None];
        assert_eq!(whole(floats), (expected, 3, 1));
        let texts = StringArray::from(vec!["-9223372036854775808", "9007199254740993.0", "1.5", "1e5", "", " 12 "]);
        let expected = vec![Some(i64::MIN), Some(9_007_199_254_740_993), None, None, None, Some(12)];
        assert_eq!(whole(texts), (expected, 3, 0));
        assert_eq!(whole(UInt64Array::from(vec![1, u64::MAX])), (vec![Some(1), None], 1, 0));
        let decimals = Decimal128Array::from(vec![1200, 1250]).with_precision_and_scale(38, 2).unwrap();
        assert_eq!(whole(decimals), (vec![Some(12), None], 1, 0));
        assert_eq!(whole(NullArray::new(2)), (vec![None, None], 0, 0));
        let dictionary: DictionaryArray<Int32Type> = vec!["5", "x"].into_iter().collect();
        assert_eq!(whole(dictionary), (vec![Some(5), None], 1, 0));
    }

    #[test]
    fn floats_that_are_no_numbers_become_null() {
        let floats = Arc::new(Float64Array::from(vec![1.5, f64::NAN, f64::NEG_INFINITY, -0.0])) as ArrayRef;
        let done = convert(&floats, ColumnType::Float64).unwrap();
        assert_eq!(done.not_finite, 2);
        let values: Vec<_> = done.array.as_primitive::<Float64Type>().iter().collect();
        assert_eq!(values, [Some(1.5), None, None, Some(0.0)]);
        assert!(values[3].unwrap().is_sign_positive());
        let texts = Arc::new(StringArray::from(vec!["1.5", "inf", "many"])) as ArrayRef;
        let done = convert(&texts, ColumnType::Float64).unwrap();
        assert_eq!((done.not_finite, done.unreadable.unwrap().count_set_bits()), (1, 1));
    }

    #[test]
    fn dates_are_read_in_every_usual_form() {
        let day = NaiveDate::from_ymd_opt(2024, 2, 29).unwrap();
        for text in ["2024-02-29", "20240229", "2024-02-29 12:30:00", "2024-02-29T23:59:59.5Z", "2024/02/29"] {
            assert_eq!(day_of_text(text), Some(day), "{text}");
        }
        for text in ["2023-02-29", "29.02.2024", "2024-2-29", "2024-02-29 noon", "", "日本"] {
            assert_eq!(day_of_text(text), None, "{text}");
        }
        assert_eq!(day_of_number(20_240_229), Some(day));
        assert_eq!(day_of_number(-1), None);
        assert_eq!(time_of_text("2024-02-29 12:30").unwrap().to_string(), "2024-02-29 12:30:00");
    }

    #[test]
    fn a_type_that_cannot_hold_the_values_is_told_from_a_bad_value() {
        let dates = Arc::new(Date32Array::from(vec![1])) as ArrayRef;
        assert!(convert(&dates, ColumnType::Int64).is_none());
        assert!(convert(&dates, ColumnType::Float64).is_none());
        let booleans = Arc::new(BooleanArray::from(vec![true])) as ArrayRef;
        assert!(convert(&booleans, ColumnType::Date).is_none());
        let numbers = Arc::new(Int64Array::from(vec![2])) as ArrayRef;
        assert_eq!(convert(&numbers, ColumnType::Boolean).unwrap().unreadable.unwrap().count_set_bits(), 1);
    }
}
