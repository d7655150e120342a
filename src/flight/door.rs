//! What does each call of the Flight protocol do?
//!
//! Every call but the Handshake is authenticated first, whatever it asks for. This implements the protocol itself and not
//! arrow-flight's `FlightSqlService`, which answers GetSchema and malformed messages on its own account.

use std::{future::Future, sync::Arc};

use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, PollInfo,
    PutResult, SchemaResult, Ticket,
    flight_service_server::FlightService,
    sql::{Any, Command, DoPutUpdateResult},
};
use futures::{StreamExt, stream, stream::BoxStream};
use prost::{Message, bytes::Bytes};
use tonic::{Request, Response, Status, Streaming};

use super::{
    actions,
    caller::{Caller, Peer, settings_in},
    catalogue,
    desk::Desks,
    limits::DoorLimits,
    outflow, prepared, question, sign_in,
    words::{No, NotOffered},
};
use crate::{
    gateway::Gateway,
    terms::{Language, Refusal},
};

/// The server's side of the protocol.
pub(super) struct Door {
    gateway: Arc<Gateway>,
    desks: Desks,
    limits: DoorLimits,
}

impl Door {
    pub(super) fn new(gateway: Arc<Gateway>, limits: DoorLimits) -> Self {
        Self { gateway, desks: Desks::new(limits.answers_per_session), limits }
    }

    /// Who calls; without a valid token there is no account and so no language but English.
    #[tracing::instrument(skip_all, name = "authenticate")]
    async fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let metadata = request.metadata();
        let authenticated = async {
            let session = sign_in::session(&self.gateway, metadata, &Peer::of(request)).await?;
            let desk = self.desks.of(&session);
            Ok(Caller { gateway: Arc::clone(&self.gateway), session, desk, headers: settings_in(metadata)? })
        };
        authenticated.await.map_err(|refusal: Refusal| No::from(refusal).into_status(Language::En))
    }

    async fn flight_info(&self, caller: &Caller, descriptor: FlightDescriptor) -> Result<FlightInfo, No> {
        let command = command(&descriptor.cmd)?;
        if let Some(batch) = catalogue::answer(caller, &command)? {
            // The command is its own ticket.
            let ticket = descriptor.cmd.clone();
            return question::flight_info(&batch.schema(), ticket, descriptor);
        }
        match command {
            Command::CommandStatementQuery(statement) => {
                question::info(caller, question::text_of(statement)?, None, descriptor).await
            }
            Command::CommandPreparedStatementQuery(query) => {
                let prepared = caller.desk.prepared(&query.prepared_statement_handle)?;
                question::info(caller, prepared.sql, prepared.parameters.as_ref(), descriptor).await
            }
            other => Err(not_offered(&other)),
        }
    }

    /// What is set holds from here on: clients that want no rows of a SET need not come back for any.
    async fn set(&self, caller: &Caller, descriptor: &FlightDescriptor) -> Result<(), No> {
        let sql = match command(&descriptor.cmd)? {
            Command::CommandStatementQuery(statement) => question::text_of(statement)?,
            Command::CommandPreparedStatementQuery(query) => {
                caller.desk.prepared(&query.prepared_statement_handle)?.sql
            }
            _ => return Ok(()),
        };
        question::set(caller, sql).await
    }

    async fn data(&self, caller: &Caller, ticket: &[u8]) -> Result<outflow::DataStream, No> {
        let command = command(ticket)?;
        if let Some(batch) = catalogue::answer(caller, &command)? {
            let place = caller.desk.place()?;
            return outflow::stream(&batch.schema(), &[batch], caller.language(), place, self.limits.stalled);
        }
        let (sql, parameters) = match command {
            Command::TicketStatementQuery(ticket) => question::redeem(ticket)?,
            Command::CommandPreparedStatementQuery(query) => {
                let prepared = caller.desk.prepared(&query.prepared_statement_handle)?;
                (prepared.sql, prepared.parameters)
            }
            other => return Err(not_offered(&other)),
        };
        let place = caller.desk.place()?;
        let release = caller.desk.waiting.unless_cancelled(ticket, caller.answer(sql, parameters)).await?;
        outflow::stream(&release.schema, &release.batches, caller.language(), place, self.limits.stalled)
    }

    async fn put(&self, caller: &Caller, mut data: Streaming<FlightData>) -> Result<Bytes, No> {
        let first = self.in_time(data.next()).await?.ok_or_else(No::malformed)?.map_err(|_| No::malformed())?;
        let descriptor = first.flight_descriptor.as_ref().ok_or_else(No::malformed)?;
        let updated = |record_count| DoPutUpdateResult { record_count }.encode_to_vec().into();
        match command(&descriptor.cmd)? {
            Command::CommandPreparedStatementQuery(query) => {
                self.in_time(prepared::bind(caller, query, stream::iter([Ok(first)]).chain(data))).await?
            }
            Command::CommandStatementUpdate(update) => question::update(caller, update.query).await.map(updated),
            Command::CommandPreparedStatementUpdate(update) => {
                let prepared = caller.desk.prepared(&update.prepared_statement_handle)?;
                question::update(caller, prepared.sql).await.map(updated)
            }
            other => Err(not_offered(&other)),
        }
    }

    /// A message that does not come whole in time is none.
    async fn in_time<T>(&self, message: impl Future<Output = T>) -> Result<T, No> {
        tokio::time::timeout(self.limits.message, message).await.map_err(|_| No::malformed())
    }
}

fn command(bytes: &[u8]) -> Result<Command, No> {
    let any = Any::decode(bytes).map_err(|_| No::malformed())?;
    Command::try_from(any).map_err(|_| No::malformed())
}

fn not_offered(command: &Command) -> No {
    No::NotOffered(match command {
        Command::CommandStatementSubstraitPlan(_) => NotOffered::Substrait,
        Command::CommandStatementIngest(_) => NotOffered::Ingest,
        Command::CommandStatementUpdate(_) | Command::CommandPreparedStatementUpdate(_) => NotOffered::Updates,
        _ => NotOffered::Unknown,
    })
}

fn once<T: Send + 'static>(item: Option<T>) -> BoxStream<'static, Result<T, Status>> {
    stream::iter(item.map(Ok)).boxed()
}

#[tonic::async_trait]
impl FlightService for Door {
    type HandshakeStream = sign_in::HandshakeStream;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = outflow::DataStream;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;

    #[tracing::instrument(skip_all)]
    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let signed_in = sign_in::handshake(&self.gateway, self.limits.message, request).await;
        signed_in.map_err(|no| no.into_status(Language::En))
    }

    #[tracing::instrument(skip_all)]
    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let caller = self.caller(&request).await?;
        let descriptor = request.into_inner();
        let set = self.set(&caller, &descriptor).await;
        set.map_err(|no| no.into_status(caller.language()))?;
        let info = self.flight_info(&caller, descriptor).await;
        info.map(Response::new).map_err(|no| no.into_status(caller.language()))
    }

    /// Nothing runs before DoGet, so the first poll is the last.
    #[tracing::instrument(skip_all)]
    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        let caller = self.caller(&request).await?;
        let descriptor = request.into_inner();
        let set = self.set(&caller, &descriptor).await;
        set.map_err(|no| no.into_status(caller.language()))?;
        let info = self.flight_info(&caller, descriptor).await;
        let done = |info| PollInfo { info: Some(info), ..PollInfo::default() };
        info.map(done).map(Response::new).map_err(|no| no.into_status(caller.language()))
    }

    #[tracing::instrument(skip_all)]
    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let caller = self.caller(&request).await?;
        let info = self.flight_info(&caller, request.into_inner()).await;
        let schema = |info: FlightInfo| SchemaResult { schema: info.schema };
        info.map(schema).map(Response::new).map_err(|no| no.into_status(caller.language()))
    }

    #[tracing::instrument(skip_all)]
    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let caller = self.caller(&request).await?;
        let data = self.data(&caller, &request.get_ref().ticket).await;
        data.map(Response::new).map_err(|no| no.into_status(caller.language()))
    }

    #[tracing::instrument(skip_all)]
    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let caller = self.caller(&request).await?;
        let result = self.put(&caller, request.into_inner()).await;
        let put = |app_metadata| Response::new(once(Some(PutResult { app_metadata })));
        result.map(put).map_err(|no| no.into_status(caller.language()))
    }

    #[tracing::instrument(skip_all)]
    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let caller = self.caller(&request).await?;
        let result = actions::act(&caller, &self.desks, request.get_ref()).await;
        let acted = |body: Option<Bytes>| Response::new(once(body.map(|body| arrow_flight::Result { body })));
        result.map(acted).map_err(|no| no.into_status(caller.language()))
    }

    async fn list_actions(&self, request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        self.caller(&request).await?;
        Ok(Response::new(stream::iter(actions::offered().into_iter().map(Ok)).boxed()))
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        let caller = self.caller(&request).await?;
        Err(No::NotOffered(NotOffered::FlightLists).into_status(caller.language()))
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        let caller = self.caller(&request).await?;
        Err(No::NotOffered(NotOffered::Exchange).into_status(caller.language()))
    }
}
