//! In which Arrow types does an answer leave?
//!
//! Stock clients know the plain types only: views and dictionaries are the engine's and end here. The schema announced
//! in FlightInfo and the schema of the stream must be equal, or ADBC refuses the stream.

use std::{sync::Arc, time::Duration};

use arrow_flight::{FlightData, IpcMessage, SchemaAsIpc, encode::FlightDataEncoderBuilder, error::FlightError};
use datafusion::arrow::{
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
    ipc::writer::IpcWriteOptions,
    record_batch::{RecordBatch, RecordBatchOptions},
};
use futures::{StreamExt, stream::BoxStream};
use prost::bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tonic::Status;

use super::words::No;
use crate::terms::{Language, Refusal};

/// The stream of a DoGet.
pub(super) type DataStream = BoxStream<'static, Result<FlightData, Status>>;

/// The schema in types that every client reads.
pub(super) fn plain_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<FieldRef> = schema.fields().iter().map(plain_field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// A schema as the bytes of an IPC message.
pub(super) fn schema_bytes(schema: &Schema) -> Result<Bytes, No> {
    let message: IpcMessage =
        SchemaAsIpc::new(schema, &IpcWriteOptions::default()).try_into().map_err(|_| No::failed())?;
    Ok(message.0)
}

/// Batches as the messages of a DoGet. An answer of which nothing is read for as long as `stalled` is dropped, with the
/// place that it takes.
pub(super) fn stream(
    schema: &Schema,
    batches: &[RecordBatch],
    language: Language,
    place: OwnedSemaphorePermit,
    stalled: Duration,
) -> Result<DataStream, No> {
    let plain = plain_schema(schema);
    let batches: Vec<RecordBatch> = batches.iter().map(|b| plain_batch(b, &plain)).collect::<Result<_, _>>()?;
    let encoded = FlightDataEncoderBuilder::new()
        .with_schema(plain)
        .build(futures::stream::iter(batches.into_iter().map(Ok::<_, FlightError>)));
    let failed = move || No::from(Refusal::Failed { entry: None }).into_status(language);
    // A stream that nobody reads is not even polled: who waits has to stand outside of it.
    let (sender, receiver) = mpsc::channel(AHEAD_MAX);
    tokio::spawn(async move {
        let mut encoded = encoded;
        while let Some(data) = encoded.next().await {
            let sent = tokio::time::timeout(stalled, sender.send(Some(data.map_err(|_| failed())))).await;
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
        // The end is said: an answer that was dropped must not look like a whole one.
        let _gone = tokio::time::timeout(stalled, sender.send(None)).await;
        drop(place);
    });
    let read = futures::stream::unfold(Some(receiver), move |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Some(data)) => Some((data, Some(receiver))),
            Some(None) => None,
            None => Some((Err(failed()), None)),
        }
    });
    Ok(read.boxed())
}

/// Messages encoded before the one before them is read.
const AHEAD_MAX: usize = 2;

fn plain_batch(batch: &RecordBatch, plain: &SchemaRef) -> Result<RecordBatch, No> {
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (column, field) in batch.columns().iter().zip(plain.fields()) {
        match column.data_type() == field.data_type() {
            true => columns.push(Arc::clone(column)),
            false => columns.push(cast(column, field.data_type()).map_err(|_| No::failed())?),
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(plain), columns, &options).map_err(|_| No::failed())
}

fn plain_field(field: &FieldRef) -> FieldRef {
    match plain_type(field.data_type()) {
        same if same == *field.data_type() => Arc::clone(field),
        other => Arc::new(Field::new(field.name(), other, field.is_nullable()).with_metadata(field.metadata().clone())),
    }
}

fn plain_type(given: &DataType) -> DataType {
    match given {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, value) => plain_type(value),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use datafusion::arrow::array::{ArrayRef, Int64Array, StringViewArray};

    use super::*;

    #[test]
    fn views_leave_as_plain_text_with_their_metadata() {
        let marks = HashMap::from([("sekisho.scale".to_owned(), "2".to_owned())]);
        let schema = Schema::new(vec![
            Field::new("name", DataType::Utf8View, true).with_metadata(marks.clone()),
            Field::new("n", DataType::Int64, false),
        ]);
        let columns: Vec<ArrayRef> =
            vec![Arc::new(StringViewArray::from(vec!["a"])), Arc::new(Int64Array::from(vec![1]))];
        let batch = RecordBatch::try_new(Arc::new(schema.clone()), columns).unwrap();
        let plain = plain_schema(&schema);
        let out = plain_batch(&batch, &plain).unwrap();
        assert_eq!(out.schema().field(0).data_type(), &DataType::Utf8);
        assert_eq!(out.schema().field(0).metadata(), &marks);
        assert_eq!(out.num_rows(), 1);
    }
}
