//! How is the server opened, and within which limits?

use std::{future::Future, sync::Arc, time::Duration};

use arrow_flight::flight_service_server::FlightServiceServer;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic_health::server::HealthReporter;

use super::{
    connections::secured,
    door::Door,
    limits::DoorLimits,
    tls::{Tls, TlsFault},
    words::OwnWords,
};
use crate::gateway::Gateway;

/// The largest message taken in.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// How soon a failure of the books shows in the server's health.
const HEALTH_EVERY: Duration = Duration::from_secs(1);
/// Calls in flight on one connection; more wait.
const CALLS_PER_CONNECTION_MAX: u32 = 64;
/// All headers of one call together.
const HEADER_BYTES_MAX: u32 = 16 << 10;
/// A connection is wound up after so long: calls under way end, the next ones come by a new one.
const CONNECTION_MAX: Duration = Duration::from_secs(3600);
/// A silent connection is asked for a sign of life this often.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
/// And dropped when none has come by then.
const KEEPALIVE_MAX: Duration = Duration::from_secs(20);
/// Calls that a peer opens and takes back at once; one more and the connection is closed.
const TAKEN_BACK_MAX: usize = 32;
/// What one call, and all calls of a connection, may send before it is read.
const STREAM_BYTES_MAX: u32 = 1 << 20;
const CONNECTION_BYTES_MAX: u32 = 4 << 20;

/// Why the server did not open, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum FlightFault {
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// The transport failed.
    #[error("the Flight server stopped")]
    Stopped(#[source] tonic::transport::Error),
}

/// Answers Flight SQL on `listener`, over TLS only, until `stop` is done; questions under way are finished first.
///
/// # Errors
/// [`FlightFault`] if the transport fails.
pub async fn serve(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    tls: &Tls,
    limits: DoorLimits,
    stop: impl Future<Output = ()>,
) -> Result<(), FlightFault> {
    // One provider for the whole process: whoever comes first installs it, and it is the same for all.
    let _already = rustls::crypto::ring::default_provider().install_default();
    let (health, reports) = tonic_health::server::health_reporter();
    health.set_serving::<FlightServiceServer<Door>>().await;
    let stop = until_unsound(Arc::clone(&gateway), health, stop);
    let connections = secured(listener, tls.server.clone(), limits);
    let door = Door::new(gateway, limits);
    let service = FlightServiceServer::new(door).max_decoding_message_size(MESSAGE_BYTES_MAX);
    Server::builder()
        .max_concurrent_streams(CALLS_PER_CONNECTION_MAX)
        .initial_stream_window_size(STREAM_BYTES_MAX)
        .initial_connection_window_size(CONNECTION_BYTES_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(TAKEN_BACK_MAX))
        // A certificate that has run out since, the server's or the client's, is not shown for longer than this.
        .max_connection_age(CONNECTION_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_MAX))
        .add_service(OwnWords(service))
        .add_service(reports)
        .serve_with_incoming_shutdown(connections, stop)
        .await
        .map_err(FlightFault::Stopped)
}

/// Done when `stop` is; says to whoever watches the server's health when that is, or when the books have failed.
async fn until_unsound(gateway: Arc<Gateway>, health: HealthReporter, stop: impl Future<Output = ()>) {
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return health.set_not_serving::<FlightServiceServer<Door>>().await,
            () = tokio::time::sleep(HEALTH_EVERY) => {}
        }
        if !gateway.is_sound() {
            health.set_not_serving::<FlightServiceServer<Door>>().await;
        }
    }
}
