//! How does a function that fails on some rows become one that is NULL there?
//!
//! A failure over persons' rows would be an answer that no noise covers. A guarded function is first tried on the whole
//! batch; where that fails, or panics, on halves of it, down to single rows, which become NULL. What a row yields depends
//! on that row alone, whatever batch it stands in.

use std::{
    hash::Hash,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, new_null_array},
        compute::{concat, kernels::numeric},
        datatypes::{DataType, Field, FieldRef},
    },
    common::{DataFusionError, Result, ScalarValue},
    logical_expr::{
        ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
        expr::ScalarFunction,
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
            let sum = if self.subtract { numeric::sub(left, right) } else { numeric::add(left, right) }?;
            let sum = datafusion::arrow::compute::cast(&sum, &self.result)?;
            match scalars {
                true => ScalarValue::try_from_array(&sum, 0).map(ColumnarValue::Scalar),
                false => Ok(ColumnarValue::Array(sum)),
            }
        })
    }
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
    fn a_batch_of_failures_alone_is_null_throughout() {
        for length in [1, 2, 3, 8] {
            let guarded = guard(&args(vec![Some(13); length]), &unlucky).unwrap().into_array(length).unwrap();
            assert_eq!((guarded.len(), guarded.null_count()), (length, length));
        }
    }
}
