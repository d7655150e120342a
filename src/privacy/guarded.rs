//! How does a function that fails on some rows become one that is NULL there?
//!
//! A failure over persons' rows would be an answer that no noise covers. A guarded function is first tried on the whole
//! batch; where that fails, or panics, on halves of it, down to single rows, which become NULL. What a row yields depends
//! on that row alone, whatever batch it stands in.

use std::{
    cell::Cell,
    hash::Hash,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, Int64Array, new_null_array},
        compute::{
            CastOptions, cast, cast_with_options, concat,
            kernels::{cmp, numeric},
            nullif, or,
        },
        datatypes::{DataType, Field, FieldRef, TimeUnit},
        error::ArrowError,
    },
    common::{DataFusionError, Result, ScalarValue},
    logical_expr::{
        ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility, expr::ScalarFunction,
    },
};

/// `inner`, with NULL where it fails.
pub(super) fn guarded(inner: &Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Guarded { inner: Arc::clone(inner) }))
}

/// `left + right` or `left - right` of times and intervals, with NULL where it leaves the calendar.
pub(super) fn guarded_sum(subtract: bool, left: Expr, right: Expr, result: &DataType) -> Expr {
    let signature = Signature::any(2, Volatility::Immutable);
    let name = format!("time_{}_to_{result}", if subtract { "minus" } else { "plus" });
    let shift = Shift { name, subtract, result: result.clone(), signature };
    let udf = Arc::new(ScalarUDF::new_from_impl(shift));
    Expr::ScalarFunction(ScalarFunction::new_udf(udf, vec![left, right]))
}

/// `left op right` of whole numbers of 64 bits, with NULL where the result has more.
pub(super) fn whole_arithmetic(op: Operator, left: Expr, right: Expr) -> Expr {
    let signature = Signature::exact(vec![DataType::Int64, DataType::Int64], Volatility::Immutable);
    let udf = Whole { name: format!("whole{op}"), op, signature };
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::new_from_impl(udf)), vec![left, right]))
}

/// `value` of or as a time, with NULL where either is outside the calendar. TRY_CAST fails there.
pub(super) fn guarded_cast(value: Expr, to: &DataType) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    let udf = TimeCast { name: format!("time_cast_to_{to}"), to: to.clone(), signature };
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::new_from_impl(udf)), vec![value]))
}

/// Runs `work`, in which guarded functions fail after `most` halves in place of going on down to single rows: for what is
/// evaluated before anything is charged, and may be given up.
pub(super) fn with_few_halves<T>(most: u32, work: impl FnOnce() -> T) -> T {
    struct Before(Option<u32>);
    impl Drop for Before {
        fn drop(&mut self) {
            HALVES_LEFT.set(self.0);
        }
    }
    // Put back whatever happens: a bound that stayed would make a question over rows fail.
    let _before = Before(HALVES_LEFT.replace(Some(most)));
    work()
}

thread_local! {
    /// How many halves may still be tried; without a bound where rows are asked.
    static HALVES_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

fn may_halve() -> bool {
    match HALVES_LEFT.get() {
        None => true,
        Some(0) => false,
        Some(left) => {
            HALVES_LEFT.set(Some(left - 1));
            true
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Guarded {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for Guarded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(args)?;
        Ok(Arc::new(Field::new(field.name(), field.data_type().clone(), true)))
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        guard(&args, &|args| self.inner.invoke_with_args(args))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Shift {
    /// Tells all of them apart: calls are the same where the names of their functions are (`canonical.rs`).
    name: String,
    subtract: bool,
    result: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for Shift {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.result.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        guard(&args, &|args| {
            let scalars = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
            let arrays = ColumnarValue::values_to_arrays(&args.args)?;
            let [left, right] = arrays.as_slice() else {
                return Err(DataFusionError::Internal("two arguments".to_owned()));
            };
            let [of_left, of_right] = args.args.as_slice() else {
                return Err(DataFusionError::Internal("two arguments".to_owned()));
            };
            let left = reaching(left, of_right, self.subtract)?;
            let right = reaching(right, of_left, false)?;
            let sum = if self.subtract { numeric::sub(&left, &right) } else { numeric::add(&left, &right) }?;
            let sum = cast(&sum, &self.result)?;
            match scalars {
                true => ScalarValue::try_from_array(&sum, 0).map(ColumnarValue::Scalar),
                false => Ok(ColumnarValue::Array(sum)),
            }
        })
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Whole {
    /// One per operator.
    name: String,
    op: Operator,
    signature: Signature,
}

impl ScalarUDFImpl for Whole {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        guard(&args, &|args| {
            let arrays = ColumnarValue::values_to_arrays(&args.args)?;
            let [left, right] = arrays.as_slice() else {
                return Err(DataFusionError::Internal("two arguments".to_owned()));
            };
            let result = match self.op {
                Operator::Plus => numeric::add(left, right),
                Operator::Minus => numeric::sub(left, right),
                _ => numeric::mul(left, right),
            }?;
            match args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_))) {
                true => ScalarValue::try_from_array(&result, 0).map(ColumnarValue::Scalar),
                false => Ok(ColumnarValue::Array(result)),
            }
        })
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TimeCast {
    /// One per type: calls are the same where the names of their functions are (`canonical.rs`).
    name: String,
    to: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for TimeCast {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        guard(&args, &|args| {
            let [value] = args.args.as_slice() else {
                return Err(DataFusionError::Internal("one argument".to_owned()));
            };
            let safe = CastOptions { safe: true, ..CastOptions::default() };
            let converted = |array: &ArrayRef| cast_with_options(&in_calendar(array, &self.to)?, &self.to, &safe);
            match value {
                ColumnarValue::Scalar(value) => {
                    let converted = converted(&value.to_array_of_size(1)?)?;
                    ScalarValue::try_from_array(&converted, 0).map(ColumnarValue::Scalar)
                }
                ColumnarValue::Array(array) => Ok(ColumnarValue::Array(converted(array)?)),
            }
        })
    }
}

/// The calendar has 262,000 years on both sides of 0; microseconds in 64 bits have 292,000. In days.
const CALENDAR: i64 = 95_000_000;
/// Nanoseconds in 64 bits.
const CALENDAR_OF_NANOSECONDS: i64 = 106_000;

/// `times`, with NULL where they lie outside the calendar; all at once, so that a column of such times costs no more than
/// another. Anything else as it is.
fn in_calendar(times: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let days = match to {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => CALENDAR_OF_NANOSECONDS,
        _ => CALENDAR,
    };
    between(times, -days, days)
}

/// `times`, with NULL where the interval `by` surely leads out of the calendar; what is close to its end may still fail.
fn reaching(times: &ArrayRef, by: &ColumnarValue, back: bool) -> Result<ArrayRef, ArrowError> {
    let ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(by))) = by else { return Ok(Arc::clone(times)) };
    let months = i64::from(by.months);
    let rest = i64::from(by.days) + by.nanoseconds / 86_400_000_000_000;
    let least = (months * 28).min(months * 31) + rest - 2;
    let most = (months * 28).max(months * 31) + rest + 2;
    let (least, most) = if back { (-most, -least) } else { (least, most) };
    between(times, -CALENDAR - most, CALENDAR - least)
}

/// `times`, with NULL before the day `first` and after the day `last`, counted from 1970.
fn between(times: &ArrayRef, first: i64, last: i64) -> Result<ArrayRef, ArrowError> {
    let a_day = match times.data_type() {
        DataType::Date32 => 1,
        DataType::Timestamp(TimeUnit::Second, None) => 86_400,
        DataType::Timestamp(TimeUnit::Millisecond, None) => 86_400_000,
        DataType::Timestamp(TimeUnit::Microsecond, None) => 86_400_000_000,
        // Every nanosecond that there is lies in the calendar.
        _ => return Ok(Arc::clone(times)),
    };
    let numbers = cast(times, &DataType::Int64)?;
    let before = cmp::lt(&numbers, &Int64Array::new_scalar(i64::saturating_mul(first, a_day)))?;
    let after = cmp::gt(&numbers, &Int64Array::new_scalar(i64::saturating_mul(last, a_day)))?;
    nullif(times, &or(&before, &after)?)
}

type Call<'a> = &'a dyn Fn(ScalarFunctionArgs) -> Result<ColumnarValue>;

fn guard(args: &ScalarFunctionArgs, call: Call<'_>) -> Result<ColumnarValue> {
    if let Some(value) = attempt(args.clone(), call) {
        return Ok(value);
    }
    let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
    match constant {
        true => ScalarValue::try_new_null(args.return_type()).map(ColumnarValue::Scalar),
        false => in_halves(args, call, 0, args.number_rows).map(ColumnarValue::Array),
    }
}

fn attempt(args: ScalarFunctionArgs, call: Call<'_>) -> Option<ColumnarValue> {
    // What a panic leaves behind is dropped: arguments are read only.
    catch_unwind(AssertUnwindSafe(|| call(args))).ok()?.ok()
}

/// The values of the rows from `from` up to `to`, which have failed together.
fn in_halves(args: &ScalarFunctionArgs, call: Call<'_>, from: usize, to: usize) -> Result<ArrayRef> {
    if to - from <= 1 {
        return Ok(new_null_array(args.return_type(), to - from));
    }
    if !may_halve() {
        return Err(DataFusionError::Execution("too many rows fail".to_owned()));
    }
    let middle = from.midpoint(to);
    let mut halves = vec![];
    for (from, to) in [(from, middle), (middle, to)] {
        halves.push(match attempt(part(args, from, to), call) {
            Some(value) => value.into_array(to - from)?,
            None => in_halves(args, call, from, to)?,
        });
    }
    let halves: Vec<&dyn Array> = halves.iter().map(AsRef::as_ref).collect();
    Ok(concat(&halves)?)
}

fn part(args: &ScalarFunctionArgs, from: usize, to: usize) -> ScalarFunctionArgs {
    let cut = |value: &ColumnarValue| match value {
        ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(from, to - from)),
        ColumnarValue::Scalar(value) => ColumnarValue::Scalar(value.clone()),
    };
    ScalarFunctionArgs { args: args.args.iter().map(cut).collect(), number_rows: to - from, ..args.clone() }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::{array::AsArray, array::Int64Array, datatypes::Int64Type};

    use super::*;

    fn args(values: Vec<Option<i64>>) -> ScalarFunctionArgs {
        let rows = values.len();
        let field = Arc::new(Field::new("x", DataType::Int64, true));
        ScalarFunctionArgs {
            args: vec![ColumnarValue::Array(Arc::new(Int64Array::from(values)))],
            arg_fields: vec![Arc::clone(&field)],
            number_rows: rows,
            return_field: field,
            config_options: Arc::default(),
        }
    }

    /// Fails on 13 and panics on 17.
    fn unlucky(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = args.args[0].clone().into_array(args.number_rows)?;
        for value in array.as_primitive::<Int64Type>().iter().flatten() {
            assert_ne!(value, 17);
            if value == 13 {
                return Err(DataFusionError::Execution("thirteen".into()));
            }
        }
        Ok(ColumnarValue::Array(array))
    }

    #[test]
    fn rows_that_fail_are_null_and_no_other_row_notices() {
        let values: Vec<Option<i64>> = (0..40).map(|v| (v % 7 != 0).then_some(v)).collect();
        let guarded = guard(&args(values.clone()), &unlucky).unwrap().into_array(40).unwrap();
        let expected: Vec<Option<i64>> = values.into_iter().map(|v| v.filter(|v| *v != 13 && *v != 17)).collect();
        assert_eq!(guarded.as_primitive::<Int64Type>(), &Int64Array::from(expected));
    }

    #[test]
    fn where_halves_are_few_a_column_of_failures_is_given_up_and_afterwards_none_is() {
        let failing = args(vec![Some(13); 4096]);
        assert!(with_few_halves(8, || guard(&failing, &unlucky)).is_err());
        let few = args((0..64).map(Some).collect());
        assert!(with_few_halves(64, || guard(&few, &unlucky)).is_ok());
        assert_eq!(guard(&failing, &unlucky).unwrap().into_array(4096).unwrap().null_count(), 4096);
    }

    /// What a cast of these yields, which never fails.
    fn converted(times: ArrayRef, to: &DataType) -> ArrayRef {
        let rows = times.len();
        let expr = guarded_cast(datafusion::logical_expr::lit(0), to);
        let Expr::ScalarFunction(call) = expr else { panic!("a call") };
        let field = |data_type: &DataType| Arc::new(Field::new("x", data_type.clone(), true));
        let args = ScalarFunctionArgs {
            arg_fields: vec![field(times.data_type())],
            args: vec![ColumnarValue::Array(times)],
            number_rows: rows,
            return_field: field(to),
            config_options: Arc::default(),
        };
        call.func.invoke_with_args(args).unwrap().into_array(rows).unwrap()
    }

    #[test]
    fn an_interval_out_of_the_calendar_is_null_without_a_look_at_each_row() {
        let days = cast(&Int64Array::from((0..4096).collect::<Vec<i64>>()), &DataType::Int32).unwrap();
        let days = cast(&days, &DataType::Date32).unwrap();
        for (months, subtract) in [(i32::MAX, false), (i32::MIN, true), (-4_000_000, false), (4_000_000, true)] {
            let by = ScalarValue::new_interval_mdn(months, 0, 0);
            let lost = reaching(&days, &ColumnarValue::Scalar(by), subtract).unwrap();
            assert_eq!(lost.null_count(), 4096, "{months} {subtract}");
        }
        for months in [0, 1200, -1200, 2_400_000, -2_400_000] {
            let by = ScalarValue::new_interval_mdn(months, 1, -1);
            let kept = reaching(&days, &ColumnarValue::Scalar(by), false).unwrap();
            assert_eq!(kept.null_count(), 0, "{months}");
        }
    }

    #[test]
    fn times_outside_the_calendar_are_null_as_text_or_date_and_no_other_row_notices() {
        let far = [i64::MIN, -9_000_000_000_000_000_000, i64::MAX, 9_000_000_000_000_000_000, 0];
        for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
            let times = cast(&Int64Array::from(far.to_vec()), &DataType::Timestamp(unit, None)).unwrap();
            for to in [DataType::Utf8, DataType::Date32, DataType::Timestamp(TimeUnit::Nanosecond, None)] {
                assert!(converted(Arc::clone(&times), &to).is_valid(4), "{unit:?} to {to}");
            }
        }
        let days =
            cast(&Int64Array::from(vec![i64::from(i32::MAX), i64::from(i32::MIN), 0]), &DataType::Int32).unwrap();
        let days = cast(&days, &DataType::Date32).unwrap();
        for to in [DataType::Utf8, DataType::Utf8View, DataType::Timestamp(TimeUnit::Microsecond, None)] {
            let converted = converted(Arc::clone(&days), &to);
            assert_eq!((converted.null_count(), converted.is_valid(2)), (2, true), "{to}");
        }
    }

    #[test]
    fn a_batch_of_failures_alone_is_null_throughout() {
        for length in [1, 2, 3, 8] {
            let guarded = guard(&args(vec![Some(13); length]), &unlucky).unwrap().into_array(length).unwrap();
            assert_eq!((guarded.len(), guarded.null_count()), (length, length));
        }
    }
}
