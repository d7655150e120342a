//! What do the calls of the Flight protocol answer that the command line's own client never makes?

use arrow_flight::{
    Action, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, Ticket,
    decode::FlightRecordBatchStream,
    error::FlightError,
    flight_service_client::FlightServiceClient,
    sql::{
        ActionBeginTransactionRequest, ActionCreatePreparedSubstraitPlanRequest, CommandGetCatalogs,
        CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
        CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
        CommandStatementIngest, CommandStatementQuery, CommandStatementSubstraitPlan, CommandStatementUpdate,
        ProstMessageExt, TicketStatementQuery,
    },
};
use base64::{Engine, prelude::BASE64_STANDARD};
use datafusion::arrow::util::pretty::pretty_format_batches;
use futures::{TryStreamExt, stream};
use prost::Message;
use tonic::{
    Request, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::cli::{Stop, client::ConnectTo};

/// A connection that says whatever it likes.
pub struct Wire {
    flight: FlightServiceClient<Channel>,
    token: Option<String>,
    permit: String,
}

/// A call and what came back, as one text: the answer's bytes where there was one, else code and message.
pub type Heard = (String, Result<String, String>);

impl Wire {
    /// Connects without signing in.
    ///
    /// # Errors
    /// [`Stop::Fault`] where there is no connection.
    pub async fn stranger(to: &ConnectTo, permit: &str) -> Result<Self, Stop> {
        let broken = |fault: tonic::transport::Error| Stop::fault(&fault);
        let address = to.url.replace("grpc+tls://", "https://");
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&to.ca_pem));
        let endpoint = Endpoint::from_shared(address).map_err(broken)?.tls_config(tls).map_err(broken)?;
        let channel = endpoint.connect().await.map_err(broken)?;
        let flight = FlightServiceClient::new(channel).max_decoding_message_size(1 << 28);
        Ok(Self { flight, token: None, permit: permit.to_owned() })
    }

    /// Connects and signs in.
    ///
    /// # Errors
    /// [`Stop`] where that is refused.
    pub async fn new(to: &ConnectTo, permit: &str) -> Result<Self, Stop> {
        let mut wire = Self::stranger(to, permit).await?;
        let mut request = Request::new(stream::iter([HandshakeRequest::default()]));
        let basic = BASE64_STANDARD.encode(format!("{}:{}", to.user, to.password));
        let basic = format!("Basic {basic}").parse().map_err(|_| Stop::Fault("no header".into()))?;
        request.metadata_mut().insert("authorization", basic);
        let refused = |status: Status| Stop::Refused(status.message().to_owned());
        let mut answers = wire.flight.handshake(request).await.map_err(refused)?.into_inner();
        let answer = answers.message().await.map_err(refused)?;
        wire.token = answer.map(|a| String::from_utf8_lossy(&a.payload).into_owned());
        Ok(wire)
    }

    fn call<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let token = self.token.as_ref().map(|token| ("authorization", format!("Bearer {token}")));
        for (name, value) in token.into_iter().chain([("x-sekisho-permit", self.permit.clone())]) {
            if let Ok(value) = value.parse() {
                request.metadata_mut().insert(name, value);
            }
        }
        request
    }

    /// What GetFlightInfo says of a question.
    ///
    /// # Errors
    /// The refusal as a text.
    pub async fn info(&self, sql: &str) -> Result<FlightInfo, String> {
        let command = CommandStatementQuery { query: sql.to_owned(), transaction_id: None };
        self.info_of(&command).await
    }

    async fn info_of(&self, command: &impl ProstMessageExt) -> Result<FlightInfo, String> {
        let info = self.flight.clone().get_flight_info(self.call(descriptor(command))).await;
        info.map(tonic::Response::into_inner).map_err(|status| said(&status))
    }

    async fn data(&self, ticket: Ticket) -> Result<String, String> {
        let data = self.flight.clone().do_get(self.call(ticket)).await.map_err(|status| said(&status))?.into_inner();
        let batches: Vec<_> = FlightRecordBatchStream::new_from_flight_data(data.map_err(FlightError::from))
            .try_collect()
            .await
            .map_err(|fault| fault.to_string())?;
        pretty_format_batches(&batches).map(|table| table.to_string()).map_err(|fault| fault.to_string())
    }

    /// Every metadata command: what GetFlightInfo says, and the data behind it.
    pub async fn catalogue(&self) -> Vec<Heard> {
        let mut heard = vec![];
        let tables = CommandGetTables { include_schema: true, ..CommandGetTables::default() };
        let keys = CommandGetPrimaryKeys { table: "person".into(), ..CommandGetPrimaryKeys::default() };
        macro_rules! hear {
            ($($command:expr),* $(,)?) => {
                $(heard.push((stringify!($command).to_owned(), self.described(&$command).await));)*
            };
        }
        hear![
            CommandGetCatalogs::default(),
            CommandGetDbSchemas::default(),
            tables,
            CommandGetTableTypes::default(),
            CommandGetSqlInfo::default(),
            keys,
            CommandGetExportedKeys::default(),
            CommandGetImportedKeys::default(),
            CommandGetCrossReference::default(),
            CommandGetXdbcTypeInfo::default(),
        ];
        heard
    }

    async fn described(&self, command: &impl ProstMessageExt) -> Result<String, String> {
        let info = self.info_of(command).await?;
        let totals = format!("{} {} {:?} {:?}", info.total_records, info.total_bytes, info.schema, info.app_metadata);
        let ticket = info.endpoint.into_iter().next().and_then(|endpoint| endpoint.ticket);
        match ticket {
            Some(ticket) => Ok(format!("{totals}\n{}", self.data(ticket).await?)),
            None => Ok(totals),
        }
    }

    /// Every way of the protocol to change, load, plan or list something: none may be answered.
    pub async fn forbidden(&self) -> Vec<Heard> {
        let update = CommandStatementUpdate { query: "DELETE FROM demo.person".into(), transaction_id: None };
        let ingest = CommandStatementIngest { table: "person".into(), ..CommandStatementIngest::default() };
        let plan = CommandStatementSubstraitPlan::default();
        let in_transaction = CommandStatementQuery { query: "SELECT 1".into(), transaction_id: Some(b"t"[..].into()) };
        let mut heard = vec![
            ("Substrait plan".into(), self.info_of(&plan).await.map(|_| "taken".into())),
            ("Substrait plan as a ticket".into(), self.data(ticket(&plan)).await),
            ("ingest, described".into(), self.info_of(&ingest).await.map(|_| "taken".into())),
            ("ingest".into(), self.put(&ingest).await),
            ("update".into(), self.put(&update).await),
            ("a statement in a transaction".into(), self.info_of(&in_transaction).await.map(|_| "taken".into())),
            ("a forged ticket".into(), self.data(ticket(&forged())).await),
            ("bytes as a ticket".into(), self.data(Ticket::new(vec![0xff; 64])).await),
        ];
        for name in ["BeginTransaction", "EndTransaction", "BeginSavepoint", "EndSavepoint", "Shutdown", "sekisho.sql"]
        {
            heard.push((name.into(), self.act(name, ActionBeginTransactionRequest {}.as_any().encode_to_vec()).await));
        }
        let plan = ActionCreatePreparedSubstraitPlanRequest::default().as_any().encode_to_vec();
        heard.push(("CreatePreparedSubstraitPlan".into(), self.act("CreatePreparedSubstraitPlan", plan).await));
        let flights = self.flight.clone().list_flights(self.call(Criteria::default())).await;
        heard.push(("ListFlights".into(), flights.map(|_| "taken".into()).map_err(|s| said(&s))));
        let data = stream::iter([FlightData::default()]);
        let exchanged = self.flight.clone().do_exchange(self.call(data)).await;
        heard.push(("DoExchange".into(), exchanged.map(|_| "taken".into()).map_err(|s| said(&s))));
        heard
    }

    /// Every call of the protocol, as somebody who has not signed in.
    pub async fn unsigned(&self) -> Vec<Heard> {
        let mut heard = self.forbidden().await;
        heard.extend(self.catalogue().await);
        heard.push(("SELECT 1".into(), self.info("SELECT 1").await.map(|_| "taken".into())));
        let actions = self.flight.clone().list_actions(self.call(Empty::default())).await;
        heard.push(("ListActions".into(), actions.map(|_| "taken".into()).map_err(|s| said(&s))));
        let schema = self.flight.clone().get_schema(self.call(descriptor(&CommandGetTables::default()))).await;
        heard.push(("GetSchema".into(), schema.map(|_| "taken".into()).map_err(|s| said(&s))));
        let poll = self.flight.clone().poll_flight_info(self.call(descriptor(&CommandGetTables::default()))).await;
        heard.push(("PollFlightInfo".into(), poll.map(|_| "taken".into()).map_err(|s| said(&s))));
        heard
    }

    async fn act(&self, name: &str, body: Vec<u8>) -> Result<String, String> {
        let action = Action { r#type: name.to_owned(), body: body.into() };
        let acted = self.flight.clone().do_action(self.call(action)).await.map_err(|status| said(&status))?;
        let result = acted.into_inner().message().await.map_err(|status| said(&status))?;
        Ok(format!("{result:?}"))
    }

    async fn put(&self, command: &impl ProstMessageExt) -> Result<String, String> {
        let data = FlightData { flight_descriptor: Some(descriptor(command)), ..FlightData::default() };
        let put = self.flight.clone().do_put(self.call(stream::iter([data]))).await.map_err(|status| said(&status))?;
        let result = put.into_inner().message().await.map_err(|status| said(&status))?;
        Ok(format!("{result:?}"))
    }
}

fn descriptor(command: &impl ProstMessageExt) -> FlightDescriptor {
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

fn ticket(command: &impl ProstMessageExt) -> Ticket {
    Ticket::new(command.as_any().encode_to_vec())
}

fn forged() -> TicketStatementQuery {
    TicketStatementQuery { statement_handle: b"\x0a\x1aSELECT * FROM demo.person "[..].into() }
}

fn said(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}
