//! Where are the figures read?
//!
//! `GET /metrics` on a listener of their own, in clear and without an account: it is for the operator's own network.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;

use super::figures::Figures;

/// The text form of Prometheus.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How often buckets are tidied up while nobody scrapes.
const TIDY_EVERY: Duration = Duration::from_secs(5);

type Read = Arc<dyn Fn() -> String + Send + Sync>;

/// Answers until `stop` is done. `refresh` sets what is looked up and not counted; it may block.
///
/// # Errors
/// What the transport returns.
pub async fn serve(
    listener: TcpListener,
    figures: Figures,
    refresh: impl Fn() + Send + Sync + 'static,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let tidied = figures.clone();
    let tidying = tokio::spawn(async move {
        loop {
            tokio::time::sleep(TIDY_EVERY).await;
            tidied.tidy_up();
        }
    });
    let read: Read = Arc::new(move || {
        refresh();
        figures.text()
    });
    let router = Router::new().route("/metrics", get(scraped)).with_state(read);
    let served = axum::serve(listener, router).with_graceful_shutdown(stop).await;
    tidying.abort();
    served
}

async fn scraped(State(read): State<Read>) -> Response {
    match tokio::task::spawn_blocking(move || read()).await {
        Ok(text) => ([(CONTENT_TYPE, TEXT)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
