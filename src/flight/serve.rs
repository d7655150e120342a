//! How is the server opened, and within which limits?

use std::{fmt, future::Future, sync::Arc, time::Duration};

use arrow_flight::flight_service_server::FlightServiceServer;
use tokio::net::TcpListener;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use super::{connections::seated, door::Door, words::OwnWords};
use crate::gateway::Gateway;

/// The largest message taken in.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Connections at once; further ones wait.
const CONNECTIONS_MAX: usize = 512;
/// Calls in flight on one connection; more wait.
const CALLS_PER_CONNECTION_MAX: u32 = 64;
/// All headers of one call together.
const HEADER_BYTES_MAX: u32 = 16 << 10;
/// A peer that has not finished its TLS handshake by then is dropped, plaintext ones among them.
const TLS_HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// A silent connection is asked for a sign of life this often.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);

/// The certificate that the server shows, with its private key, both PEM.
pub struct ServerIdentity {
    /// The server's certificate, followed by the chain up to the CA if there is one.
    pub certificate_pem: String,
    /// Its private key.
    pub key_pem: String,
}

impl fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerIdentity")
    }
}

/// Why the server did not open, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum FlightFault {
    /// The certificate or its key cannot be used.
    #[error("the server's certificate or key cannot be used")]
    Identity(#[source] tonic::transport::Error),
    /// The transport failed.
    #[error("the Flight server stopped")]
    Stopped(#[source] tonic::transport::Error),
}

/// Answers Flight SQL on `listener`, over TLS only, until `stop` is done; questions under way are finished first.
///
/// # Errors
/// [`FlightFault`] if the certificate cannot be used or the transport fails.
pub async fn serve(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    identity: ServerIdentity,
    stop: impl Future<Output = ()>,
) -> Result<(), FlightFault> {
    // One provider for the whole process: whoever comes first installs it, and it is the same for all.
    let _already = rustls::crypto::ring::default_provider().install_default();
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(identity.certificate_pem, identity.key_pem))
        .timeout(TLS_HANDSHAKE_MAX);
    let service = FlightServiceServer::new(Door::new(gateway)).max_decoding_message_size(MESSAGE_BYTES_MAX);
    Server::builder()
        .tls_config(tls)
        .map_err(FlightFault::Identity)?
        .max_concurrent_streams(CALLS_PER_CONNECTION_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .add_service(OwnWords(service))
        .serve_with_incoming_shutdown(seated(listener, CONNECTIONS_MAX), stop)
        .await
        .map_err(FlightFault::Stopped)
}
