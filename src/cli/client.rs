//! How does the command line reach a running gateway?
//!
//! A small Flight SQL client over TLS, used by every verb that signs in.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use arrow_flight::{
    Action, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, IpcMessage,
    decode::FlightRecordBatchStream,
    encode::FlightDataEncoderBuilder,
    error::FlightError,
    flight_service_client::FlightServiceClient,
    sql::{
        ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
        Any, CommandGetTables, CommandPreparedStatementQuery, CommandStatementQuery, DoPutPreparedStatementResult,
        ProstMessageExt,
    },
};
use base64::{Engine, prelude::BASE64_STANDARD};
use datafusion::arrow::{
    datatypes::{Schema, SchemaRef},
    record_batch::RecordBatch,
};
use futures::{StreamExt, TryStreamExt, stream};
use prost::{Message, bytes::Bytes};
use serde::Deserialize;
use tonic::{
    Request, Status,
    metadata::{Ascii, AsciiMetadataKey, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use crate::flight::{ACTION_PREFIX, CODE_HEADER, HEADER_PREFIX};

const CONNECT_MAX: Duration = Duration::from_secs(10);
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Where the gateway is, whom to trust and who signs in.
#[derive(Clone)]
pub struct ConnectTo {
    /// `grpc+tls://host:port` or `https://host:port`.
    pub url: String,
    /// The CA certificate, PEM.
    pub ca_pem: String,
    /// The account.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The permit that the connection file names.
    pub permit: Option<String>,
    /// A client certificate with its key, both PEM, instead of account and password.
    pub certificate: Option<(String, String)>,
}

/// What went wrong on the way to an answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientFault {
    /// The gateway said no.
    #[error("{message}")]
    Refused {
        /// The stable code.
        code: String,
        /// `code: sentence`.
        message: String,
    },
    /// A file could not be read.
    #[error("{} could not be read", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The connection file is not as `init` writes it.
    #[error("{} is not a connection file: {reason}", path.display())]
    ConnectFile {
        /// Which file.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// No password was given.
    #[error("{0}")]
    Password(String),
    /// Nothing says which gateway.
    #[error("say where the gateway is: --connect FILE, or --url, --ca and --user")]
    Nowhere,
    /// The address is not one.
    #[error("{url:?} is not an address such as grpc+tls://127.0.0.1:8815")]
    Address {
        /// As given.
        url: String,
    },
    /// No connection: nothing listens there, or its certificate is not under this CA.
    #[error("cannot connect to {url}: is the gateway running, and is this its CA certificate?")]
    Unreachable {
        /// As given.
        url: String,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
    /// The handshake ended over the client certificate.
    #[error(
        "the gateway does not take this client certificate: is it in its dates, and under a CA that it lists? ({0})"
    )]
    NotShaken(String),
    /// The connection broke or the other side is no gateway.
    #[error("the gateway did not answer as one: {0}")]
    Protocol(String),
}

impl ClientFault {
    /// The exit status of the verb that met this.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Refused { .. } => 3,
            Self::File { .. } | Self::ConnectFile { .. } | Self::Password(_) | Self::Nowhere | Self::Address { .. } => {
                2
            }
            Self::Unreachable { .. } | Self::NotShaken(_) | Self::Protocol(_) => 1,
        }
    }
}

impl From<Status> for ClientFault {
    fn from(status: Status) -> Self {
        let code = status.metadata().get(CODE_HEADER).and_then(|code| code.to_str().ok());
        match code {
            Some(code) => Self::Refused { code: code.to_owned(), message: status.message().to_owned() },
            None => Self::Protocol(status.to_string()),
        }
    }
}

impl From<FlightError> for ClientFault {
    fn from(fault: FlightError) -> Self {
        match fault {
            FlightError::Tonic(status) => Self::from(*status),
            other => Self::Protocol(other.to_string()),
        }
    }
}

#[derive(Deserialize)]
struct ConnectFile {
    flight: String,
    ca: PathBuf,
    accounts: Vec<FileAccount>,
    permit: Option<String>,
}

#[derive(Deserialize)]
struct FileAccount {
    name: String,
    password: String,
    #[serde(default)]
    roles: Vec<String>,
}

impl ConnectTo {
    /// Reads `connect.json` and picks the account named `user`, or the first that has `role`, or the only one.
    ///
    /// # Errors
    /// [`ClientFault::File`] or [`ClientFault::ConnectFile`].
    pub fn from_file(path: &Path, user: Option<&str>, role: &str) -> Result<Self, ClientFault> {
        let not_one = |reason: String| ClientFault::ConnectFile { path: path.to_owned(), reason };
        let file: ConnectFile = serde_json::from_str(&read(path)?).map_err(|e| not_one(e.to_string()))?;
        let alone = file.accounts.len() == 1;
        let account = file.accounts.into_iter().find(|a| match user {
            Some(user) => a.name == user,
            None => alone || a.roles.iter().any(|r| r == role),
        });
        let account = account.ok_or_else(|| not_one(format!("no account for {}", user.unwrap_or(role))))?;
        // The file's permit is its analyst's.
        let permit = file.permit.filter(|_| account.roles.iter().any(|role| role == "analyst"));
        // A relative path is relative to the file, wherever the verb runs.
        let ca = path.parent().map_or_else(|| file.ca.clone(), |dir| dir.join(&file.ca));
        Ok(Self {
            url: file.flight,
            ca_pem: read(&ca)?,
            user: account.name,
            password: account.password,
            permit,
            certificate: None,
        })
    }

    /// The parts, with the CA certificate in a file.
    ///
    /// # Errors
    /// [`ClientFault::File`] for the file that cannot be read.
    pub fn from_parts(url: &str, ca: &Path, user: &str, password: String) -> Result<Self, ClientFault> {
        Ok(Self { url: url.into(), ca_pem: read(ca)?, user: user.into(), password, permit: None, certificate: None })
    }

    /// The same with a client certificate and its key in files, and nothing else to prove.
    ///
    /// # Errors
    /// [`ClientFault::File`] for the file that cannot be read.
    pub fn with_certificate(url: &str, ca: &Path, certificate: &Path, key: &Path) -> Result<Self, ClientFault> {
        let certificate = Some((read(certificate)?, read(key)?));
        let (user, password) = (String::new(), String::new());
        Ok(Self { url: url.into(), ca_pem: read(ca)?, user, password, permit: None, certificate })
    }
}

impl fmt::Debug for ConnectTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectTo").field("url", &self.url).field("user", &self.user).finish_non_exhaustive()
    }
}

/// A signed-in connection. Cheap to clone; all clones share one session.
#[derive(Clone)]
pub struct Client {
    flight: FlightServiceClient<Channel>,
    headers: Vec<(AsciiMetadataKey, MetadataValue<Ascii>)>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

/// A prepared question.
#[derive(Debug, Clone)]
pub struct Prepared {
    handle: Bytes,
    /// What it returns.
    pub schema: SchemaRef,
    /// What it takes.
    pub parameters: SchemaRef,
}

impl Client {
    /// Connects and signs in.
    ///
    /// # Errors
    /// [`ClientFault::Address`], [`ClientFault::Unreachable`], or the refusal of the sign-in.
    pub async fn connect(to: &ConnectTo) -> Result<Self, ClientFault> {
        let address = || ClientFault::Address { url: to.url.clone() };
        let bare = to.url.strip_prefix("grpc+tls://").or_else(|| to.url.strip_prefix("https://"));
        let uri = format!("https://{}", bare.ok_or_else(address)?);
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&to.ca_pem));
        if let Some((certificate, key)) = &to.certificate {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        let unreachable = |source| ClientFault::Unreachable { url: to.url.clone(), source };
        let endpoint = Endpoint::from_shared(uri).map_err(|_| address())?.connect_timeout(CONNECT_MAX);
        let channel = endpoint.tls_config(tls).map_err(unreachable)?.connect().await.map_err(unreachable)?;
        let flight = FlightServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mut client = Self { flight, headers: Vec::new() };
        let proof = to.certificate.is_none().then_some((to.user.as_str(), to.password.as_str()));
        client.sign_in(proof).await.map_err(|fault| match (fault, &to.certificate) {
            (ClientFault::Protocol(said), Some(_)) => ClientFault::NotShaken(said),
            (fault, _) => fault,
        })?;
        Ok(client)
    }

    /// With name and password, or with the certificate of the connection.
    async fn sign_in(&mut self, proof: Option<(&str, &str)>) -> Result<(), ClientFault> {
        let mut request = Request::new(stream::iter([HandshakeRequest::default()]));
        if let Some((user, password)) = proof {
            let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
            request.metadata_mut().insert("authorization", ascii(&basic)?);
        }
        let mut answers = self.flight.handshake(request).await?.into_inner();
        let answer = answers.message().await?.ok_or_else(|| protocol("an empty handshake"))?;
        let token = std::str::from_utf8(&answer.payload).map_err(|_| protocol("a token that is not text"))?;
        self.headers.push((AsciiMetadataKey::from_static("authorization"), ascii(&format!("Bearer {token}"))?));
        Ok(())
    }

    /// The same session, with a setting such as `sekisho.permit` sent along with each call of this client.
    ///
    /// # Errors
    /// [`ClientFault::Protocol`] if name or value cannot stand in a header.
    pub fn with_setting(mut self, name: &str, value: &str) -> Result<Self, ClientFault> {
        let short = name.strip_prefix("sekisho.").unwrap_or(name).replace('_', "-");
        let key = AsciiMetadataKey::from_str(&format!("{HEADER_PREFIX}{short}"));
        let key = key.map_err(|_| protocol("a setting whose name cannot be sent"))?;
        self.headers.push((key, ascii(value)?));
        Ok(self)
    }

    /// Sets a setting for the whole session, by `SET`.
    ///
    /// # Errors
    /// The gateway's refusal, or a broken connection.
    pub async fn set(&self, name: &str, value: &str) -> Result<(), ClientFault> {
        self.query(&format!("SET {name} = '{}'", value.replace('\'', "''"))).await.map(|_| ())
    }

    /// Asks a question.
    ///
    /// # Errors
    /// The gateway's refusal, or a broken connection.
    pub async fn query(&self, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>), ClientFault> {
        let info = self.info(&CommandStatementQuery { query: sql.to_owned(), transaction_id: None }).await?;
        self.fetch(info).await
    }

    /// Prepares a question.
    ///
    /// # Errors
    /// The gateway's refusal, or a broken connection.
    pub async fn prepare(&self, sql: &str) -> Result<Prepared, ClientFault> {
        let request = ActionCreatePreparedStatementRequest { query: sql.to_owned(), transaction_id: None };
        let body = self.act("CreatePreparedStatement", request.as_any().encode_to_vec()).await?;
        let body = body.ok_or_else(|| protocol("no prepared statement"))?;
        let any = Any::decode(body).map_err(|_| protocol("an unreadable prepared statement"))?;
        let made: Option<ActionCreatePreparedStatementResult> = any.unpack().ok().flatten();
        let made = made.ok_or_else(|| protocol("an unreadable prepared statement"))?;
        Ok(Prepared {
            handle: made.prepared_statement_handle,
            schema: schema_in(made.dataset_schema)?,
            parameters: schema_in(made.parameter_schema)?,
        })
    }

    /// Asks a prepared question, with one row of parameters if it takes any.
    ///
    /// # Errors
    /// The gateway's refusal, or a broken connection.
    pub async fn query_prepared(
        &self,
        prepared: &Prepared,
        parameters: Option<RecordBatch>,
    ) -> Result<(SchemaRef, Vec<RecordBatch>), ClientFault> {
        let mut command = CommandPreparedStatementQuery { prepared_statement_handle: prepared.handle.clone() };
        if let Some(row) = parameters {
            command.prepared_statement_handle = self.bind(&command, row).await?;
        }
        let info = self.info(&command).await?;
        self.fetch(info).await
    }

    /// Forgets a prepared question.
    ///
    /// # Errors
    /// The gateway's refusal, or a broken connection.
    pub async fn close_prepared(&self, prepared: Prepared) -> Result<(), ClientFault> {
        let request = ActionClosePreparedStatementRequest { prepared_statement_handle: prepared.handle };
        self.act("ClosePreparedStatement", request.as_any().encode_to_vec()).await.map(|_| ())
    }

    /// The tables that this session may know of: catalog, schema, table, type.
    ///
    /// # Errors
    /// The gateway's refusal, or a broken connection.
    pub async fn tables(&self) -> Result<(SchemaRef, Vec<RecordBatch>), ClientFault> {
        let info = self.info(&CommandGetTables::default()).await?;
        self.fetch(info).await
    }

    /// An administrative action such as `permit.grant`.
    ///
    /// # Errors
    /// The gateway's refusal, or a broken connection.
    pub async fn administer(&self, action: &str, body: serde_json::Value) -> Result<serde_json::Value, ClientFault> {
        let body = serde_json::to_vec(&body).map_err(|_| protocol("a body that is no JSON"))?;
        match self.act(&format!("{ACTION_PREFIX}{action}"), body).await? {
            Some(answer) => serde_json::from_slice(&answer).map_err(|_| protocol("an answer that is no JSON")),
            None => Ok(serde_json::Value::Null),
        }
    }

    /// Ends the session.
    ///
    /// # Errors
    /// The gateway's refusal, or a broken connection.
    pub async fn sign_out(self) -> Result<(), ClientFault> {
        self.act("CloseSession", Vec::new()).await.map(|_| ())
    }

    async fn info(&self, command: &impl ProstMessageExt) -> Result<FlightInfo, ClientFault> {
        let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        Ok(self.flight.clone().get_flight_info(self.signed(descriptor)).await?.into_inner())
    }

    async fn fetch(&self, info: FlightInfo) -> Result<(SchemaRef, Vec<RecordBatch>), ClientFault> {
        let ticket = info.endpoint.into_iter().next().and_then(|endpoint| endpoint.ticket);
        let ticket = ticket.ok_or_else(|| protocol("an answer without a ticket"))?;
        let data = self.flight.clone().do_get(self.signed(ticket)).await?.into_inner();
        let mut answer = FlightRecordBatchStream::new_from_flight_data(data.map_err(FlightError::from));
        let mut batches = Vec::new();
        while let Some(batch) = answer.next().await {
            batches.push(batch?);
        }
        let schema = answer.schema().cloned().ok_or_else(|| protocol("an answer without a schema"))?;
        Ok((schema, batches))
    }

    async fn bind(&self, command: &CommandPreparedStatementQuery, row: RecordBatch) -> Result<Bytes, ClientFault> {
        let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        let encoder = FlightDataEncoderBuilder::new().with_flight_descriptor(Some(descriptor));
        let data: Vec<FlightData> = encoder.build(stream::iter([Ok(row)])).try_collect().await?;
        let mut results = self.flight.clone().do_put(self.signed(stream::iter(data))).await?.into_inner();
        let bound = match results.message().await? {
            Some(result) => DoPutPreparedStatementResult::decode(result.app_metadata).ok(),
            None => None,
        };
        Ok(bound.and_then(|b| b.prepared_statement_handle).unwrap_or_else(|| command.prepared_statement_handle.clone()))
    }

    async fn act(&self, name: &str, body: Vec<u8>) -> Result<Option<Bytes>, ClientFault> {
        let action = Action { r#type: name.to_owned(), body: body.into() };
        let mut results = self.flight.clone().do_action(self.signed(action)).await?.into_inner();
        Ok(results.message().await?.map(|result| result.body))
    }

    fn signed<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        for (key, value) in &self.headers {
            request.metadata_mut().insert(key.clone(), value.clone());
        }
        request
    }
}

fn ascii(text: &str) -> Result<MetadataValue<Ascii>, ClientFault> {
    MetadataValue::from_str(text).map_err(|_| protocol("text that cannot stand in a header"))
}

fn protocol(what: &str) -> ClientFault {
    ClientFault::Protocol(what.to_owned())
}

fn schema_in(bytes: Bytes) -> Result<SchemaRef, ClientFault> {
    if bytes.is_empty() {
        return Ok(Schema::empty().into());
    }
    Schema::try_from(IpcMessage(bytes)).map(Into::into).map_err(|_| protocol("an unreadable schema"))
}

fn read(path: &Path) -> Result<String, ClientFault> {
    std::fs::read_to_string(path).map_err(|source| ClientFault::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_file_gives_the_account_of_a_role() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), "CA").unwrap();
        let path = dir.path().join("connect.json");
        let text = r#"{"flight":"grpc+tls://127.0.0.1:8815","web":"https://127.0.0.1:8816","ca":"ca.pem","permit":"P-1",
            "accounts":[{"name":"op","password":"o","roles":["operator"]},{"name":"ana","password":"a","roles":["analyst"]}]}"#;
        std::fs::write(&path, text).unwrap();
        let to = ConnectTo::from_file(&path, None, "analyst").unwrap();
        assert_eq!((to.user.as_str(), to.ca_pem.as_str(), to.permit.as_deref()), ("ana", "CA", Some("P-1")));
        assert_eq!(ConnectTo::from_file(&path, Some("op"), "analyst").unwrap().password, "o");
        let none = ConnectTo::from_file(&path, None, "auditor").unwrap_err();
        assert_eq!(none.exit_status(), 2);
        assert!(!format!("{to:?}").contains("\"a\""), "the password stays out of Debug");
    }
}
