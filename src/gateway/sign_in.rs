//! Who comes in, from where, and which sessions are open?

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Gateway, Session, administer, blocking, failed, figures};
use crate::{
    identity::{OpenSession, Origin, Principal, SessionName, Way},
    policy::Action,
    terms::{AccountName, Refusal},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    old: String,
    new: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToEnd {
    session: SessionName,
}

impl Gateway {
    /// The same as [`Gateway::sign_in_from`] for a caller who comes over no network.
    ///
    /// # Errors
    /// As there.
    pub async fn sign_in(&self, name: &str, password: &str) -> Result<String, Refusal> {
        self.sign_in_from(name, password, None).await
    }

    /// Signs in with name and password; the result is a bearer token.
    ///
    /// # Errors
    /// [`Refusal::NotSignedIn`], the same for every reason; [`Refusal::TooManyAttempts`] after many failures for this name
    /// or from this address, whether or not there is such an account; [`Refusal::Busy`] while too many sign in.
    pub async fn sign_in_from(&self, name: &str, password: &str, address: Option<IpAddr>) -> Result<String, Refusal> {
        let proved = self.prove(name, password, address).await;
        figures::signed_in("password", &proved);
        let principal = proved?;
        let token = self.tokens.issue(principal, Origin { way: Way::Password, address });
        Ok(token.map_err(|_| Refusal::Failed { entry: None })?.as_str().to_owned())
    }

    /// Whether this is the password of that account: counted, slow, and on record either way.
    async fn prove(&self, name: &str, password: &str, address: Option<IpAddr>) -> Result<Principal, Refusal> {
        let _place = self.sign_ins.try_acquire().map_err(|_| Refusal::Busy)?;
        let attempt = self.throttle.enter(name, address).map_err(|wait| Refusal::TooManyAttempts {
            // Upwards: after so many seconds the next attempt is heard.
            wait_seconds: u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX),
        })?;
        let _turn = self.hashing.acquire().await.map_err(|_| Refusal::Busy)?;
        let account = AccountName::new(name).ok();
        let (books, passwords, given) = (self.books.clone(), Arc::clone(&self.passwords), password.to_owned());
        let lookup = account.clone();
        let signed = blocking(move || {
            let known = match lookup {
                Some(name) => books.account(&name).map_err(|fault| failed(&fault))?,
                None => None,
            };
            passwords.authenticate(known.as_ref(), &given)
        })
        .await?;
        match &signed {
            Ok(principal) => {
                let closes = attempt.closes();
                attempt.succeeded();
                let detail = json!({"way": Way::Password, "address": address, "after_failures": closes});
                self.note("login", Some(principal.account().clone()), None, detail).await?;
            }
            // A name that nobody has may be a password typed in the wrong place: it is not written down.
            Err(Refusal::NotSignedIn) => {
                let detail = json!({"address": address, "next_one_waits": attempt.closes()});
                self.note("login_refused", None, None, detail).await?;
            }
            Err(_) => {}
        }
        signed
    }

    /// Ends a session.
    pub async fn sign_out(&self, session: &Session) {
        self.tokens.revoke(session.id());
        self.sessions.drop_dead(&self.tokens);
    }

    /// The caller's own password: with the old one it is changed, and every session of the account ends.
    pub(super) async fn account_password(&self, session: &Session, body: Value) -> Result<Value, Refusal> {
        let NewPassword { old, new } = administer::read(body)?;
        let address = self.tokens.origin(session.id()).and_then(|origin| origin.address);
        let account = self.prove(session.principal().account().as_str(), &old, address).await?.account().clone();
        let (books, passwords, name) = (self.books.clone(), Arc::clone(&self.passwords), account.clone());
        let changed = blocking(move || {
            let hash = passwords.hash(&new).map_err(|fault| administer::not_done(&fault))?;
            books.change_password(&name, hash).map_err(|fault| administer::words(&fault))
        });
        let entry = changed.await??;
        self.tokens.revoke_account(&account);
        self.sessions.drop_dead(&self.tokens);
        Ok(administer::entry(entry))
    }

    /// The open sessions: one's own, for those who may everybody's.
    pub(super) async fn session_list(&self, session: &Session) -> Result<Value, Refusal> {
        let all = self.may(session, Action::SessionList).is_ok();
        let own = session.principal().account().clone();
        let mut open = self.tokens.open(if all { None } else { Some(&own) });
        open.sort_by_key(|s| (s.account.clone(), s.begun));
        let own = session.id().name();
        let line = |s: &OpenSession| {
            let mut line = serde_json::to_value(s).unwrap_or_default();
            if let Some(fields) = line.as_object_mut() {
                fields.insert("this".into(), json!(s.session == own));
            }
            line
        };
        Ok(open.iter().map(line).collect())
    }

    /// Ends an open session: one's own, for those who may anybody's.
    pub(super) async fn session_end(&self, session: &Session, body: Value) -> Result<Value, Refusal> {
        let ToEnd { session: named } = administer::read(body)?;
        let all: BTreeMap<_, _> = self.tokens.open(None).into_iter().map(|s| (s.session.clone(), s.account)).collect();
        let account = all.get(&named).filter(|account| {
            *account == session.principal().account() || self.may(session, Action::SessionEnd).is_ok()
        });
        // Another's session is not told apart from one that does not exist.
        let account = account.ok_or_else(|| administer::not_done_because("no session of this name is yours to end"))?;
        self.tokens.revoke_named(&named);
        self.sessions.drop_dead(&self.tokens);
        let by = session.principal().account().clone();
        let detail = json!({"session": named, "of": account});
        Ok(administer::entry(self.note("session_ended", Some(by), None, detail).await?))
    }
}
