//! Which actions does a session have beside its questions?

use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo,
    sql::{
        ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest, Any, ProstMessageExt,
    },
};
use prost::{Message, bytes::Bytes};
use tracing::Instrument;

use super::{
    caller::Caller,
    desk::Desks,
    options, prepared,
    words::{ACTION_PREFIX, No, NotOffered},
};

/// What the server offers, for ListActions.
pub(super) fn offered() -> Vec<ActionType> {
    [
        ("CreatePreparedStatement", "prepares a question"),
        ("ClosePreparedStatement", "forgets a prepared question"),
        ("CancelFlightInfo", "ends the waiting for an answer; what was asked stays charged and is kept"),
        ("CancelQuery", "the same, in its older form"),
        ("SetSessionOptions", "sets sekisho.permit, sekisho.epsilon and the other settings"),
        ("GetSessionOptions", "reads them"),
        ("CloseSession", "signs out"),
        ("sekisho.*", "administration with JSON bodies; see the command line"),
    ]
    .map(|(name, description)| ActionType { r#type: name.into(), description: description.into() })
    .into()
}

/// One action; none of them has more than one result.
pub(super) async fn act(caller: &Caller, desks: &Desks, action: &Action) -> Result<Option<Bytes>, No> {
    match action.r#type.as_str() {
        "CreatePreparedStatement" => prepared::create(caller, unpack(&action.body)?).await.map(Some),
        "ClosePreparedStatement" => {
            let request: ActionClosePreparedStatementRequest = unpack(&action.body)?;
            caller.desk.close(&request.prepared_statement_handle);
            Ok(None)
        }
        "CancelFlightInfo" => {
            let request = CancelFlightInfoRequest::decode(action.body.clone()).map_err(|_| No::malformed())?;
            cancel(caller, request.info.ok_or_else(No::malformed)?);
            Ok(Some(CancelFlightInfoResult { status: CancelStatus::Cancelled.into() }.encode_to_vec().into()))
        }
        "CancelQuery" => {
            let request: ActionCancelQueryRequest = unpack(&action.body)?;
            cancel(caller, FlightInfo::decode(request.info).map_err(|_| No::malformed())?);
            let result = ActionCancelQueryResult { result: CancelStatus::Cancelled.into() };
            Ok(Some(result.as_any().encode_to_vec().into()))
        }
        "SetSessionOptions" => options::set(caller, &action.body).await.map(Some),
        "GetSessionOptions" => Ok(Some(options::get(caller).await)),
        "CloseSession" => Ok(Some(options::close(caller, desks).await)),
        "CreatePreparedSubstraitPlan" => Err(No::NotOffered(NotOffered::Substrait)),
        "BeginTransaction" | "EndTransaction" | "BeginSavepoint" | "EndSavepoint" => {
            Err(No::NotOffered(NotOffered::Transactions))
        }
        other => match other.strip_prefix(ACTION_PREFIX) {
            Some(verb) => administer(caller, verb, &action.body).await.map(Some),
            None => Err(No::NotOffered(NotOffered::Unknown)),
        },
    }
}

/// The answer is the same whether or not there was anything to end: it would tell what is still running.
fn cancel(caller: &Caller, info: FlightInfo) {
    for ticket in info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket) {
        caller.desk.waiting.cancel(&ticket.ticket);
    }
}

/// `sekisho.permit.grant` with a JSON body is the gateway's `permit.grant`; an empty body is `null`.
async fn administer(caller: &Caller, verb: &str, body: &[u8]) -> Result<Bytes, No> {
    let body = match body {
        [] => serde_json::Value::Null,
        text => serde_json::from_slice(text).map_err(|_| No::malformed())?,
    };
    let (gateway, session, verb) = (caller.gateway.clone(), caller.session.clone(), verb.to_owned());
    // As with answers: a client that hangs up leaves nothing half-done.
    let task = tokio::spawn(async move { gateway.administer(&session, &verb, body).await }.in_current_span());
    let answer = task.await.map_err(|_| No::failed())??;
    serde_json::to_vec(&answer).map(Bytes::from).map_err(|_| No::failed())
}

/// The message inside an action's `Any`.
fn unpack<M: ProstMessageExt>(body: &[u8]) -> Result<M, No> {
    let any = Any::decode(body).map_err(|_| No::malformed())?;
    any.unpack().map_err(|_| No::malformed())?.ok_or_else(No::malformed)
}
