//! How are questions prepared and their parameters bound?

use arrow_flight::{
    FlightData,
    sql::{
        ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, CommandPreparedStatementQuery,
        DoPutPreparedStatementResult, ProstMessageExt,
    },
};
use futures::Stream;
use prost::{Message, bytes::Bytes};
use tonic::Status;

use super::{
    caller::Caller,
    outflow,
    parameters::bound_row,
    words::{No, NotOffered},
};

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
    caller.desk.bind(&handle, bound_row(data).await?)?;
    Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) }.encode_to_vec().into())
}
