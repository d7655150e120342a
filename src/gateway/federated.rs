//! Who comes in by a token of an identity provider?

use std::{net::IpAddr, sync::Arc};

use serde_json::json;

use super::{Gateway, Session, blocking, failed, figures};
use crate::{
    identity::{Oidc, Origin, Principal, SessionId, Way, federate, is_federated},
    terms::{Instant, Refusal},
};

impl Gateway {
    /// The same gateway, believing this identity provider's tokens besides its own.
    #[must_use]
    pub fn believing(mut self, provider: Oidc) -> Self {
        self.oidc = Some(provider);
        self
    }

    /// The session of a bearer token: one of ours, or one of the identity provider's. The same token is the same session.
    ///
    /// # Errors
    /// [`Refusal::NotSignedIn`] where the token is unknown, tampered with, expired or revoked;
    /// [`Refusal::TokenNotAccepted`] where a genuine one of the provider's opens nothing here.
    pub async fn authenticate_from(&self, bearer: &str, address: Option<IpAddr>) -> Result<Arc<Session>, Refusal> {
        let provider = match &self.oidc {
            Some(provider) if is_federated(bearer) => provider,
            _ => return self.authenticate(bearer).await,
        };
        let id = SessionId::of_proof("oidc", bearer.as_bytes());
        if self.tokens.has_ended(id) {
            return Err(Refusal::NotSignedIn);
        }
        let principal = match self.tokens.admitted(id) {
            Ok(principal) => principal,
            Err(_) => {
                let (principal, until) = self.federated(provider, bearer, address).await?;
                self.tokens.admit(id, principal.clone(), Origin { way: Way::Oidc, address }, until);
                principal
            }
        };
        self.sessions.drop_dead(&self.tokens);
        Ok(self.sessions.of(id, principal))
    }

    /// Whose token it is, on record where it is genuine.
    async fn federated(
        &self,
        provider: &Oidc,
        bearer: &str,
        address: Option<IpAddr>,
    ) -> Result<(Principal, Instant), Refusal> {
        let claimed = provider.believe(bearer).await?;
        let (books, name) = (self.books.clone(), claimed.account.clone());
        let account = blocking(move || books.account(&name)).await?.map_err(|fault| failed(&fault))?;
        let principal = federate(&claimed, account.as_ref());
        let detail = json!({"way": Way::Oidc, "claimed": claimed.roles, "address": address});
        match &principal {
            Ok(principal) => self.note("login", Some(principal.account().clone()), None, detail).await?,
            Err(_) => self.note("login_refused", None, None, detail).await?,
        };
        figures::signed_in("token", &principal);
        Ok((principal?, claimed.until))
    }
}
