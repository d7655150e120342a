//! How are questions prepared and their parameters bound?

use arrow_flight::{
    FlightData,
    decode::FlightRecordBatchStream,
    error::FlightError,
    sql::{
        ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, CommandPreparedStatementQuery,
        DoPutPreparedStatementResult, ProstMessageExt,
    },
};
use datafusion::arrow::record_batch::RecordBatch;
use futures::{Stream, StreamExt, TryStreamExt};
use prost::{Message, bytes::Bytes};
use tonic::Status;

use super::{
    caller::Caller,
    outflow,
    question::one_row,
    words::{No, NotOffered},
};

/// The most bytes that the parameters of one question may take on the wire.
const PARAMETER_BYTES_MAX: usize = 1 << 20;

/// Prepares a question; it is judged now, and again whenever it is asked.
pub(super) async fn create(caller: &Caller, request: ActionCreatePreparedStatementRequest) -> Result<Bytes, No> {
    if request.transaction_id.is_some_and(|id| !id.is_empty()) {
        return Err(No::NotOffered(NotOffered::Transactions));
    }
    let shape = caller.shape(&request.query).await?;
    let result = ActionCreatePreparedStatementResult {
        dataset_schema: outflow::schema_bytes(&outflow::plain_schema(&shape.schema))?,
        parameter_schema: outflow::schema_bytes(&outflow::plain_schema(&shape.parameters))?,
        prepared_statement_handle: caller.desk.open(request.query)?.to_vec().into(),
    };
    Ok(result.as_any().encode_to_vec().into())
}

/// Binds one row of parameters.
pub(super) async fn bind(
    caller: &Caller,
    query: CommandPreparedStatementQuery,
    data: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<Bytes, No> {
    let handle = query.prepared_statement_handle;
    // Fail early on a handle of nobody's, before its data is read.
    caller.desk.prepared(&handle)?;
    caller.desk.bind(&handle, row_of(data).await?)?;
    Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) }.encode_to_vec().into())
}

async fn row_of(
    data: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<Option<RecordBatch>, No> {
    let mut taken = 0_usize;
    let bounded = data.map(move |message| {
        let message = message.map_err(FlightError::from)?;
        taken = taken.saturating_add(message.data_body.len()).saturating_add(message.data_header.len());
        match taken > PARAMETER_BYTES_MAX {
            true => Err(FlightError::protocol("too many bytes of parameters")),
            false => Ok(message),
        }
    });
    let batches: Vec<RecordBatch> =
        FlightRecordBatchStream::new_from_flight_data(bounded).try_collect().await.map_err(|_| No::malformed())?;
    let mut filled = batches.into_iter().filter(|batch| batch.num_rows() > 0 && batch.num_columns() > 0);
    match (filled.next(), filled.next()) {
        (None, _) => Ok(None),
        (Some(row), None) if row.num_rows() == 1 => Ok(Some(row)),
        _ => Err(one_row()),
    }
}
