//! How are `greatest(x, 0)` and `least(x, 300)` computed in a few instructions a row?
//!
//! Nearly every sum says its bounds so, and the engine compares row by row through a comparator wherever a NULL may stand.
//! Numbers beside one constant are compared here; whatever else goes to the engine's own function. The result is the same to
//! the bit: NULL is passed over, floating-point numbers are in total order.

use std::{cmp::Ordering, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, AsArray, PrimitiveArray},
        datatypes::{ArrowPrimitiveType, DataType, Float64Type, Int64Type},
    },
    common::{
        Result, ScalarValue,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    logical_expr::{ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature},
};

/// `plan` with the faster functions.
pub(super) fn fast_ends(plan: LogicalPlan) -> Result<LogicalPlan> {
    let faster = |expr: Expr| match expr {
        Expr::ScalarFunction(mut call) => {
            let keep = match call.name() {
                "greatest" => Ordering::Greater,
                "least" => Ordering::Less,
                _ => return Ok(Transformed::no(Expr::ScalarFunction(call))),
            };
            let inner = Arc::clone(&call.func);
            call.func = Arc::new(ScalarUDF::new_from_impl(End { inner, keep }));
            Ok(Transformed::yes(Expr::ScalarFunction(call)))
        }
        other => Ok(Transformed::no(other)),
    };
    plan.transform_up_with_subqueries(|node| node.map_expressions(|expr| expr.transform_up(faster))).data()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct End {
    inner: Arc<ScalarUDF>,
    keep: Ordering,
}

impl ScalarUDFImpl for End {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match self.beside_a_constant(&args.args) {
            Some(ends) => Ok(ends),
            None => self.inner.invoke_with_args(args),
        }
    }
}

impl End {
    fn beside_a_constant(&self, args: &[ColumnarValue]) -> Option<ColumnarValue> {
        let (array, constant) = match args {
            [ColumnarValue::Array(array), ColumnarValue::Scalar(constant)]
            | [ColumnarValue::Scalar(constant), ColumnarValue::Array(array)] => (array, constant),
            _ => return None,
        };
        let ends: Arc<dyn Array> = match constant {
            ScalarValue::Int64(Some(end)) => {
                let keep = |value: i64| if value.cmp(end) == self.keep { value } else { *end };
                Arc::new(kept(array.as_primitive_opt::<Int64Type>()?, *end, keep))
            }
            ScalarValue::Float64(Some(end)) => {
                let keep = |value: f64| if value.total_cmp(end) == self.keep { value } else { *end };
                Arc::new(kept(array.as_primitive_opt::<Float64Type>()?, *end, keep))
            }
            _ => return None,
        };
        Some(ColumnarValue::Array(ends))
    }
}

fn kept<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    end: T::Native,
    keep: impl Fn(T::Native) -> T::Native,
) -> PrimitiveArray<T> {
    match array.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => PrimitiveArray::from_iter_values(array.values().iter().map(|value| keep(*value))),
        Some(nulls) => {
            let values = array.values().iter().zip(nulls);
            PrimitiveArray::from_iter_values(values.map(|(value, there)| if there { keep(*value) } else { end }))
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::{
        arrow::{
            array::{ArrayRef, Float64Array, Int64Array, StringArray},
            datatypes::Field,
        },
        config::ConfigOptions,
        functions::core::{greatest, least},
    };

    use super::*;

    fn invoked(function: &dyn ScalarUDFImpl, args: &[ColumnarValue], rows: usize) -> ArrayRef {
        let fields = args.iter().map(|arg| Arc::new(Field::new("x", arg.data_type(), true))).collect::<Vec<_>>();
        let args = ScalarFunctionArgs {
            args: args.to_vec(),
            return_field: Arc::clone(&fields[0]),
            arg_fields: fields,
            number_rows: rows,
            config_options: Arc::new(ConfigOptions::default()),
        };
        function.invoke_with_args(args).unwrap().into_array(rows).unwrap()
    }

    #[test]
    fn the_same_to_the_bit_as_the_engine_s_own() {
        let floats = [
            None,
            Some(-0.0),
            Some(0.0),
            Some(f64::NAN),
            Some(-f64::NAN),
            Some(f64::INFINITY),
            Some(f64::NEG_INFINITY),
            Some(1.5),
            Some(-7.25),
            Some(f64::MIN_POSITIVE),
        ];
        let integers = [None, Some(i64::MIN), Some(-1), Some(0), Some(1), Some(300), Some(i64::MAX)];
        let mut compared = 0;
        for (own, keep) in [(greatest(), Ordering::Greater), (least(), Ordering::Less)] {
            let fast = End { inner: Arc::clone(&own), keep };
            let mut both = |array: ArrayRef, constant: ScalarValue| {
                for rows in [array.len(), array.len() - 1] {
                    // Without its first value no array here has a NULL.
                    let array = array.slice(array.len() - rows, rows);
                    let (array, constant) = (ColumnarValue::Array(array), ColumnarValue::Scalar(constant.clone()));
                    for args in [[array.clone(), constant.clone()], [constant.clone(), array.clone()]] {
                        let (ours, theirs) = (invoked(&fast, &args, rows), invoked(own.inner().as_ref(), &args, rows));
                        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "{args:?}");
                        let bits = |a: &ArrayRef| a.to_data().buffers()[0].typed_data::<u64>()[..rows].to_vec();
                        if ours.data_type().is_numeric() && ours.null_count() == 0 {
                            assert_eq!(bits(&ours), bits(&theirs), "{args:?}");
                        }
                        compared += rows;
                    }
                }
            };
            for constant in floats.into_iter() {
                both(Arc::new(Float64Array::from(floats.to_vec())), ScalarValue::Float64(constant));
            }
            for constant in integers.into_iter() {
                both(Arc::new(Int64Array::from(integers.to_vec())), ScalarValue::Int64(constant));
            }
            both(Arc::new(StringArray::from(vec![None, Some("a"), Some("b")])), ScalarValue::Utf8(Some("a b".into())));
        }
        assert_eq!(compared, 2 * 2 * (10 * 19 + 7 * 13 + 5));
    }
}
