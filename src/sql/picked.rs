//! Which of the values stands at a share of them all? PERCENTILE_DISC, which picks one where PERCENTILE_CONT takes a value
//! between two.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch},
        datatypes::{DataType, Field, FieldRef, Schema},
    },
    common::{
        Result, ScalarValue,
        cast::{as_float64_array, as_list_array},
        plan_err,
    },
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};

/// `percentile_disc(share) WITHIN GROUP (ORDER BY x)`.
pub(super) fn percentile_disc() -> Arc<AggregateUDF> {
    let signature = Signature::exact(vec![DataType::Float64, DataType::Float64], Volatility::Immutable);
    Arc::new(AggregateUDF::from(Picked { signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Picked {
    signature: Signature,
}

impl AggregateUDFImpl for Picked {
    fn name(&self) -> &str {
        "percentile_disc"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn supports_within_group_clause(&self) -> bool {
        true
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let values = DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)));
        Ok(vec![Arc::new(Field::new(format!("{}[values]", args.name), values, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let none = RecordBatch::new_empty(Arc::new(Schema::empty()));
        let share = match args.exprs.get(1).map(|share| share.evaluate(&none)).transpose()? {
            Some(ColumnarValue::Scalar(ScalarValue::Float64(Some(share)))) if (0.0..=1.0).contains(&share) => share,
            _ => return plan_err!("the share of percentile_disc is a literal from 0 to 1"),
        };
        let descending = args.order_bys.first().is_some_and(|sort| sort.options.descending);
        if args.is_distinct {
            return plan_err!("percentile_disc knows no DISTINCT");
        }
        Ok(Box::new(Values { share, descending, all: vec![] }))
    }
}

#[derive(Debug)]
struct Values {
    share: f64,
    descending: bool,
    all: Vec<f64>,
}

impl Values {
    fn add(&mut self, values: &ArrayRef) -> Result<()> {
        self.all.extend(as_float64_array(values)?.iter().flatten());
        Ok(())
    }
}

impl Accumulator for Values {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        values.first().map_or(Ok(()), |values| self.add(values))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(states) = states.first() else { return Ok(()) };
        as_list_array(states)?.iter().flatten().try_for_each(|values| self.add(&values))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<ScalarValue> = self.all.iter().map(|v| ScalarValue::Float64(Some(*v))).collect();
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Float64))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.all.sort_by(f64::total_cmp);
        if self.descending {
            self.all.reverse();
        }
        Ok(ScalarValue::Float64(self.all.get(place(self.share, self.all.len())).copied()))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.all.capacity() * size_of::<f64>()
    }
}

/// The first place up to which at least `share` of `count` values stand.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places of values in memory, far below 2^52"
)]
fn place(share: f64, count: usize) -> usize {
    // A share such as 0.07 is a little more than it is written as.
    let many = (share * count as f64 - 1e-9).ceil();
    (many.max(1.0) as usize) - 1
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::Float64Array;

    use super::*;

    fn picked(share: f64, descending: bool, all: &[f64]) -> ScalarValue {
        let (first, second) = all.split_at(all.len() / 2);
        let array = |values: &[f64]| -> ArrayRef { Arc::new(Float64Array::from(values.to_vec())) };
        let mut values = Values { share, descending, all: vec![] };
        values.update_batch(&[array(first)]).unwrap();
        let mut others = Values { share, descending, all: vec![] };
        others.update_batch(&[array(second)]).unwrap();
        let states: Vec<ArrayRef> = others.state().unwrap().iter().map(|s| s.to_array().unwrap()).collect();
        values.merge_batch(&states).unwrap();
        values.evaluate().unwrap()
    }

    #[test]
    fn a_share_picks_the_first_value_up_to_which_that_many_stand() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        for (share, descending, value) in [
            (0.5, false, 50.0),
            (0.07, false, 7.0),
            (0.071, false, 8.0),
            (0.0, false, 1.0),
            (1.0, false, 100.0),
            (0.07, true, 94.0),
        ] {
            assert_eq!(picked(share, descending, &hundred), ScalarValue::Float64(Some(value)), "{share} {descending}");
        }
        assert_eq!(picked(0.5, false, &[1.0, 2.0, 3.0, 4.0]), ScalarValue::Float64(Some(2.0)));
        assert_eq!(picked(0.5, false, &[]), ScalarValue::Float64(None));
    }
}
