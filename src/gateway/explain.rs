//! What do EXPLAIN, SET and SHOW answer?

use std::sync::Arc;

use datafusion::arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};

use super::{Release, deadline::Deadline, session::Settings};
use crate::{
    privacy::{Explained, Offer, Plan},
    terms::Refusal,
};

/// The columns of EXPLAIN.
pub(super) fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let number = |name: &str| Field::new(name, DataType::Float64, true);
    Arc::new(Schema::new(vec![
        Field::new("release", DataType::Int64, true),
        text("column"),
        text("mechanism"),
        text("bound"),
        text("origin"),
        number("loss_at_binding_order"),
        number("epsilon_if_only_question"),
        number("half_width_95"),
        text("half_width_of"),
        Field::new("cells", DataType::Int64, true),
        number("question_epsilon"),
        number("remaining_after"),
        number("deadline_seconds"),
        text("time_channel"),
    ]))
}

/// A priced plan, one line per mechanism. It says of the permit what is left of it after this question, and when the
/// answer would leave.
pub(super) fn plan(plan: &Plan, offer: &Offer, deadline: &Deadline) -> Result<Release, Refusal> {
    let lines: Vec<Explained> = crate::privacy::explain(plan, offer.cap.delta());
    let after = offer.spent.plus(plan.loss()).ok();
    let remaining = after.map_or(0.0, |total| if offer.cap.admits(&total) { offer.cap.remaining(&total) } else { 0.0 });
    let integer = |v: u64| i64::try_from(v).ok();
    let text = |f: fn(&Explained) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(lines.iter().map(f))) };
    let number =
        |f: &dyn Fn(&Explained) -> f64| -> ArrayRef { Arc::new(Float64Array::from_iter_values(lines.iter().map(f))) };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter(lines.iter().map(|l| integer(l.release)))),
        text(|l| &l.column),
        text(|l| &l.mechanism),
        text(|l| &l.bound),
        text(|l| &l.origin),
        number(&|l| l.loss_at_binding_order),
        number(&|l| l.epsilon),
        number(&|l| l.half_width_95),
        text(|l| l.half_width_of),
        Arc::new(Int64Array::from_iter(lines.iter().map(|l| l.cells.and_then(integer)))),
        number(&|_| plan.priced().epsilon),
        number(&|_| remaining),
        Arc::new(Float64Array::from_iter(lines.iter().map(|_| deadline.seconds()))),
        text_of_all(deadline.time_channel(), lines.len()),
    ];
    table(schema(), columns)
}

fn text_of_all(text: &str, lines: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, lines)))
}

/// A question about nobody costs nothing.
pub(super) fn public() -> Result<Release, Refusal> {
    let columns: Vec<ArrayRef> = schema()
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "mechanism" => {
                Arc::new(StringArray::from(vec!["none: about nobody, answered exactly and free"])) as ArrayRef
            }
            "question_epsilon" | "loss_at_binding_order" | "epsilon_if_only_question" => {
                Arc::new(Float64Array::from(vec![0.0]))
            }
            _ => datafusion::arrow::array::new_null_array(field.data_type(), 1),
        })
        .collect();
    table(schema(), columns)
}

/// The columns of SET and SHOW.
pub(super) fn settings_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![text("setting"), text("value")]))
}

/// The row that SET answers.
pub(super) fn setting(name: &str, value: Option<&str>) -> Result<Release, Refusal> {
    rows(vec![(format!("sekisho.{name}"), value.map(str::to_owned))])
}

/// The settings that have a value; one by name, or all.
pub(super) fn settings(settings: &Settings, name: Option<&str>) -> Result<Release, Refusal> {
    let all = settings.list();
    match name {
        None => rows(all.into_iter().map(|(name, value)| (name, Some(value))).collect()),
        Some(name) => {
            let full = format!("sekisho.{name}");
            let value = all.into_iter().find(|(known, _)| *known == full).map(|(_, value)| value);
            rows(vec![(full, value)])
        }
    }
}

fn rows(rows: Vec<(String, Option<String>)>) -> Result<Release, Refusal> {
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|(name, _)| name)));
    let values: ArrayRef = Arc::new(StringArray::from_iter(rows.iter().map(|(_, value)| value.as_deref())));
    table(settings_schema(), vec![names, values])
}

fn table(schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<Release, Refusal> {
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|_| Refusal::Failed { entry: None })?;
    Ok(Release { schema, batches: vec![batch] })
}
