//! Who calls, and with which settings for this call alone?

use std::{future::Future, net::IpAddr, sync::Arc};

use datafusion::arrow::record_batch::RecordBatch;
use futures::FutureExt;
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;
use tonic::{
    Request,
    metadata::{KeyAndValueRef, MetadataMap},
    transport::server::TlsConnectInfo,
};
use tracing::Instrument;

use super::{connections::PeerInfo, desk::Desk};
use crate::{
    gateway::{Gateway, Release, Session, Shape, while_waited_for},
    terms::{Language, Refusal},
};

/// A header `x-sekisho-permit: P-2026-0001` sets `sekisho.permit` for one call.
pub const HEADER_PREFIX: &str = "x-sekisho-";

/// Who is at the other end of the connection.
pub(super) struct Peer {
    info: Option<PeerInfo>,
    /// The certificates that the client showed, its own first; the handshake has found them good.
    pub(super) certificates: Option<Arc<Vec<CertificateDer<'static>>>>,
}

impl Peer {
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        let connection = request.extensions().get::<TlsConnectInfo<PeerInfo>>();
        let info = connection.map(|connection| connection.get_ref().clone());
        Self { info, certificates: connection.and_then(TlsConnectInfo::peer_certs) }
    }

    pub(super) fn address(&self) -> Option<IpAddr> {
        self.info.as_ref().map(|info| info.address)
    }

    /// Somebody has signed in: the connection may stay.
    pub(super) fn is_known(&self) {
        if let Some(info) = &self.info {
            info.is_known();
        }
    }
}

/// One authenticated call.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) gateway: Arc<Gateway>,
    pub(super) session: Arc<Session>,
    pub(super) desk: Arc<Desk>,
    pub(super) headers: Vec<(String, String)>,
}

impl Caller {
    /// The language of the account.
    pub(super) fn language(&self) -> Language {
        self.gateway.language(&self.session)
    }

    /// What a question would return.
    pub(super) async fn shape(&self, sql: &str) -> Result<Shape, Refusal> {
        let (gateway, session, sql) = (Arc::clone(&self.gateway), Arc::clone(&self.session), sql.to_owned());
        self.undisturbed(async move { gateway.shape(&session, &sql).await }).await
    }

    /// The answer to a question.
    pub(super) async fn answer(&self, sql: String, parameters: Option<RecordBatch>) -> Result<Release, Refusal> {
        let (gateway, session) = (Arc::clone(&self.gateway), Arc::clone(&self.session));
        self.undisturbed(async move { gateway.answer(&session, &sql, parameters.as_ref()).await }).await
    }

    /// Runs to the end even when the client hangs up: what is reserved must be settled, and cancelling tells nothing. What
    /// is about nobody hears of it and ends.
    async fn undisturbed<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        let caller = self.clone();
        let (_waiting, waited_for) = watch::channel(());
        // On the heap: a call is deep, and each step around it would hold it once more.
        let work = work.boxed();
        let call = while_waited_for(waited_for, async move { caller.under_headers(work).await }.boxed());
        let task = tokio::spawn(call.in_current_span());
        task.await.unwrap_or(Err(Refusal::Failed { entry: None }))
    }

    /// Settings in headers hold for one call: no other call of the session runs beside it, and they are put back after.
    async fn under_headers<T>(&self, work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        let shared = self.desk.settings.read().await;
        let current = self.gateway.settings(&self.session).await;
        if self.headers.iter().all(|header| current.contains(header)) {
            return work.await;
        }
        drop(shared);
        let _alone = self.desk.settings.write().await;
        let before = self.gateway.settings(&self.session).await;
        let result = match self.apply(&self.headers).await {
            Ok(()) => work.await,
            Err(refusal) => Err(refusal),
        };
        // A setting without an earlier value is unset by the empty one.
        let earlier = self.headers.iter().map(|(name, _)| {
            let value = before.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            (name.clone(), value.unwrap_or_default())
        });
        for one in earlier {
            // A header that was never accepted has nothing to put back: its refusal is already on its way.
            let _refused = self.apply(&[one]).await;
        }
        result
    }

    async fn apply(&self, settings: &[(String, String)]) -> Result<(), Refusal> {
        for (name, value) in settings {
            self.gateway.set(&self.session, name, value).await?;
        }
        Ok(())
    }
}

/// The settings that a call brings along: `x-sekisho-rows-per-group` is `sekisho.rows_per_group`.
pub(super) fn settings_in(metadata: &MetadataMap) -> Result<Vec<(String, String)>, Refusal> {
    let mut settings = Vec::new();
    for pair in metadata.iter() {
        let KeyAndValueRef::Ascii(key, value) = pair else { continue };
        let Some(name) = key.as_str().strip_prefix(HEADER_PREFIX) else { continue };
        let value = value.to_str().map_err(|_| Refusal::UnknownSetting { hint: format!("{key} is not plain text") })?;
        settings.push((format!("sekisho.{}", name.replace('-', "_")), value.to_owned()));
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_name_settings_with_hyphens() {
        let mut metadata = MetadataMap::new();
        metadata.insert("x-sekisho-rows-per-group", "4".parse().unwrap());
        metadata.insert("x-other", "1".parse().unwrap());
        assert_eq!(settings_in(&metadata).unwrap(), [("sekisho.rows_per_group".to_owned(), "4".to_owned())]);
    }
}
