//! Which row of parameters did a client bind?
//!
//! By DoPut, or in the ticket that brings it back. What may be read at all `gateway/parameters.rs` says.

use std::panic::AssertUnwindSafe;

use arrow_flight::{FlightData, decode::FlightRecordBatchStream, error::FlightError};
use datafusion::arrow::record_batch::RecordBatch;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use tonic::Status;

use super::words::malformed;
use crate::{
    gateway::{body_behind, read_rows},
    terms::Refusal,
};

/// The most bytes that the parameters of one question may take on the wire.
const PARAMETER_BYTES_MAX: usize = 1 << 20;

/// The one row of parameters that a ticket brings back, as an Arrow IPC stream.
///
/// # Errors
/// [`Refusal::NotAQuestion`] where the bytes are no such stream, [`Refusal::TooComplex`] where it holds more than one row.
pub fn read_parameters(bytes: &[u8]) -> Result<RecordBatch, Refusal> {
    let batch = read_rows(bytes).ok_or_else(malformed)?;
    match batch.num_rows() {
        1 => Ok(batch),
        _ => Err(one_row()),
    }
}

/// The one row of parameters in a stream of Flight messages; none where the stream holds no row.
///
/// # Errors
/// [`Refusal::NotAQuestion`] where the messages are no such stream, [`Refusal::TooComplex`] for more than one row.
pub async fn bound_row(
    data: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<Option<RecordBatch>, Refusal> {
    let mut taken = 0_usize;
    let bounded = data.map(move |message| {
        let message = message.map_err(FlightError::from)?;
        taken = taken.saturating_add(message.data_body.len()).saturating_add(message.data_header.len());
        let plain = message.data_header.is_empty() || body_behind(&message.data_header).is_some();
        match taken <= PARAMETER_BYTES_MAX && plain {
            true => Ok(message),
            false => Err(FlightError::protocol("these are no parameters")),
        }
    });
    let read = FlightRecordBatchStream::new_from_flight_data(bounded).try_collect::<Vec<RecordBatch>>();
    // On offsets that no encoder writes the decoder panics: such messages are malformed like all others.
    let read = AssertUnwindSafe(read).catch_unwind().await.map_err(|_| malformed())?;
    let batches = read.map_err(|_| malformed())?;
    let mut filled = batches.into_iter().filter(|batch| batch.num_rows() > 0 && batch.num_columns() > 0);
    match (filled.next(), filled.next()) {
        (None, _) => Ok(None),
        (Some(row), None) if row.num_rows() == 1 => Ok(Some(row)),
        _ => Err(one_row()),
    }
}

/// Parameters come in one row: several rows would be several questions.
fn one_row() -> Refusal {
    Refusal::TooComplex { limit: "one row of parameters a question".into() }
}
