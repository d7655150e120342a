//! How is the server opened, and within which limits?

use std::{future::Future, sync::Arc, time::Duration};

use arrow_flight::flight_service_server::FlightServiceServer;
use tokio::net::TcpListener;
use tonic::{server::NamedService, transport::Server};
use tonic_health::{ServingStatus, server::HealthReporter};

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
/// How soon a failure of the books, or its end, shows in the server's health.
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
    say(&health, gateway.is_serving()).await;
    let stop = telling(Arc::clone(&gateway), health, stop);
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

/// Done when `stop` is. Until then whoever watches the server's health is told when the books have failed, or are older than
/// what was seen of them, and when that is over; at the end, that nothing is served any more.
async fn telling(gateway: Arc<Gateway>, mut health: HealthReporter, stop: impl Future<Output = ()>) {
    tokio::pin!(stop);
    let mut said = gateway.is_serving();
    loop {
        tokio::select! {
            () = &mut stop => break,
            () = tokio::time::sleep(HEALTH_EVERY) => {}
        }
        let now = gateway.is_serving();
        if now != said {
            say(&health, now).await;
            said = now;
        }
    }
    say(&health, false).await;
    // Whoever watches has heard it, and is let go: a stream of health would keep the door open for ever.
    for service in SERVICES {
        health.clear_service_status(service).await;
    }
}

async fn say(health: &HealthReporter, serving: bool) {
    let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    for service in SERVICES {
        health.set_service_status(service, status).await;
    }
}

/// The server as a whole, and the one service of it, as those who watch call them.
const SERVICES: [&str; 2] = ["", <FlightServiceServer<Door> as NamedService>::NAME];
