//! Who comes in by a client certificate?

use std::{net::IpAddr, sync::Arc};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Gateway, Session, administer, blocking, failed, figures};
use crate::{
    identity::{Origin, Principal, SessionId, Way, recognise},
    policy::Action,
    terms::{Fingerprint, Instant, Refusal},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    fingerprint: Fingerprint,
}

impl Gateway {
    /// A bearer token for whoever holds this certificate; the handshake has found the certificate itself good.
    ///
    /// # Errors
    /// [`Refusal::CertificateNotAccepted`] says why it opens no account.
    pub async fn sign_in_certified(&self, shown: &Fingerprint, address: Option<IpAddr>) -> Result<String, Refusal> {
        let principal = self.recognised(shown, address).await?;
        let token = self.tokens.issue(principal, Origin { way: Way::Certificate, address });
        Ok(token.map_err(|_| Refusal::Failed { entry: None })?.as_str().to_owned())
    }

    /// The session of a certificate that comes along with each call instead of a token: the same one for every call.
    ///
    /// # Errors
    /// As for [`Gateway::sign_in_certified`].
    pub async fn authenticate_certified(
        &self,
        shown: &Fingerprint,
        address: Option<IpAddr>,
    ) -> Result<Arc<Session>, Refusal> {
        let id = session_of(shown);
        let principal = match self.tokens.admitted(id) {
            Ok(principal) => principal,
            Err(_) => {
                let principal = self.recognised(shown, address).await?;
                let origin = Origin { way: Way::Certificate, address };
                self.tokens.admit(id, principal.clone(), origin, Instant(i64::MAX));
                principal
            }
        };
        self.sessions.drop_dead(&self.tokens);
        Ok(self.sessions.of(id, principal))
    }

    /// Whose certificate it is, on record either way.
    async fn recognised(&self, shown: &Fingerprint, address: Option<IpAddr>) -> Result<Principal, Refusal> {
        let (books, of) = (self.books.clone(), *shown);
        let found = blocking(move || {
            let known = books.certificate(&of)?;
            let account = match &known {
                Some(known) => books.account(&known.account)?,
                None => None,
            };
            Ok::<_, crate::record::BooksFault>((known, account))
        });
        let (known, account) = found.await?.map_err(|fault| failed(&fault))?;
        let recognised = recognise(shown, known.as_ref(), account.as_ref());
        let detail = json!({"way": Way::Certificate, "fingerprint": shown, "address": address});
        match &recognised {
            Ok(principal) => self.note("login", Some(principal.account().clone()), None, detail).await?,
            Err(_) => self.note("login_refused", None, None, detail).await?,
        };
        figures::signed_in("certificate", &recognised);
        recognised
    }

    /// Registers a certificate to the caller's own account.
    pub(super) async fn certificate_add(&self, session: &Session, body: Value) -> Result<Value, Refusal> {
        let Named { fingerprint } = administer::read(body)?;
        let (books, account) = (self.books.clone(), session.principal().account().clone());
        let added = blocking(move || books.add_certificate(&account, fingerprint)).await?;
        Ok(administer::entry(added.map_err(|fault| administer::words(&fault))?))
    }

    /// Revokes a certificate, one's own or, for those who may, anybody's; sessions of its account end.
    pub(super) async fn certificate_revoke(&self, session: &Session, body: Value) -> Result<Value, Refusal> {
        let Named { fingerprint } = administer::read(body)?;
        let books = self.books.clone();
        let known = blocking(move || books.certificate(&fingerprint)).await?.map_err(|fault| failed(&fault))?;
        let by = session.principal().account().clone();
        let known = known.filter(|known| known.account == by || self.may(session, Action::SessionEnd).is_ok());
        let known = known.ok_or_else(|| administer::not_done_because("no certificate of this fingerprint is yours"))?;
        let books = self.books.clone();
        let revoked = blocking(move || books.revoke_certificate(&by, fingerprint)).await?;
        let entry = revoked.map_err(|fault| administer::words(&fault))?;
        self.tokens.revoke_account(&known.account);
        self.sessions.drop_dead(&self.tokens);
        Ok(administer::entry(entry))
    }

    /// The certificates of the caller, for those who may everybody's.
    pub(super) async fn certificate_list(&self, session: &Session) -> Result<Value, Refusal> {
        let all = self.may(session, Action::SessionList).is_ok();
        let (books, own) = (self.books.clone(), session.principal().account().clone());
        let known = blocking(move || books.certificates()).await?.map_err(|fault| failed(&fault))?;
        let shown = known.iter().filter(|known| all || known.account == own);
        Ok(shown
            .map(|known| {
                json!({"account": known.account, "fingerprint": known.fingerprint, "added": known.added,
                    "revoked": known.revoked})
            })
            .collect())
    }
}

fn session_of(shown: &Fingerprint) -> SessionId {
    SessionId::of_proof("certificate", shown.bytes())
}
