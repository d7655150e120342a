//! How is a witness asked over HTTP? (C2SP tlog-witness)
//!
//! `POST /add-checkpoint` answers with a cosignature; `GET /newest/<SHA-256 of the origin>` with the newest checkpoint that
//! was cosigned, so that a log restored from an older copy can be held against it.

use std::{future::Future, sync::Arc};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::net::TcpListener;

use super::{Notary, Verdict, WitnessFault};

/// Answers until `stop` is done.
///
/// # Errors
/// What the transport returns.
pub async fn serve(
    notary: Arc<Notary>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/newest/{log}", get(newest))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(notary);
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

async fn add_checkpoint(State(notary): State<Arc<Notary>>, request: String) -> Response {
    let judged = tokio::task::spawn_blocking(move || notary.add_checkpoint(&request)).await;
    match judged {
        Ok(Ok(Verdict::Cosigned(line))) => line.into_response(),
        Ok(Ok(Verdict::Conflict(size))) => {
            (StatusCode::CONFLICT, [(CONTENT_TYPE, "text/x.tlog.size")], format!("{size}\n")).into_response()
        }
        Ok(Ok(Verdict::Malformed)) => StatusCode::BAD_REQUEST.into_response(),
        Ok(Ok(Verdict::UnknownLog)) => StatusCode::NOT_FOUND.into_response(),
        Ok(Ok(Verdict::NotSigned)) => StatusCode::FORBIDDEN.into_response(),
        Ok(Ok(Verdict::Inconsistent)) => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
        Ok(Err(fault)) => failed(&fault),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn newest(State(notary): State<Arc<Notary>>, Path(log): Path<String>) -> Response {
    match notary.newest_by_file(&log) {
        Ok(Some(note)) => note.into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(fault) => failed(&fault),
    }
}

fn failed(fault: &WitnessFault) -> Response {
    tracing::error!(%fault, "the witness cannot answer");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// A checkpoint with the totals of some ten thousand accounts.
const REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;
