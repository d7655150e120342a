//! Does this bearer token stand for somebody who signed in?
//!
//! A token is 32 random bytes as base64url. Only its SHA-256 is held, in memory, so that a look into memory or a core
//! dump yields no token; the lookup by hash also takes the comparison of secrets out of the timing.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Principal;
use crate::terms::{AccountName, Clock, Instant, Refusal};

const LIFE: Duration = Duration::from_secs(8 * 3600);
const IDLE: Duration = Duration::from_secs(3600);
/// Text length of a token: 32 bytes in base64url without padding.
const TOKEN_CHARS: usize = 43;
/// So many living tokens per account; one more ends the oldest.
const PER_ACCOUNT_MAX: usize = 32;

/// No token could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no randomness for a token")]
pub struct TokenFault;

/// A token on its way to its owner: never printed, wiped when dropped.
#[must_use]
pub struct BearerToken(Zeroizing<String>);

impl BearerToken {
    /// The text that the owner sends with each call.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken")
    }
}

/// Names one session without being able to open it: for the settings that last as long as the token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 32]);

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId")
    }
}

impl SessionId {
    /// The session of whatever proof stands for it on each call, such as a token that others issued.
    #[must_use]
    pub fn of_proof(kind: &str, proof: &[u8]) -> Self {
        let mut hasher = Sha256::new_with_prefix(kind.as_bytes());
        hasher.update([0]);
        hasher.update(proof);
        Self(hasher.finalize().into())
    }

    /// What the session is called where sessions are listed.
    #[must_use]
    pub fn name(&self) -> SessionName {
        let short = self.0.first_chunk::<6>().copied().unwrap_or_default();
        SessionName(short.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// What a session is called in lists: too little of its hash to be of use for anything else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionName(String);

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How somebody proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// With a password.
    Password,
    /// With a client certificate.
    Certificate,
    /// With a token of an identity provider.
    Oidc,
}

/// Where a session came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// How.
    pub way: Way,
    /// From which address; none where no network lies between.
    pub address: Option<IpAddr>,
}

/// An open session, for those who may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenSession {
    /// What it is called.
    pub session: SessionName,
    /// Whose it is.
    pub account: AccountName,
    /// How they proved who they are.
    pub way: Way,
    /// From where.
    pub address: Option<IpAddr>,
    /// Since when.
    pub begun: Instant,
    /// The last call.
    pub used: Instant,
    /// When it ends at the latest.
    pub ends: Instant,
}

struct Session {
    principal: Principal,
    origin: Origin,
    begun: Instant,
    used: Instant,
    ends: Instant,
}

/// The tokens that live now. Held in memory alone: a restart ends every session.
pub struct Tokens {
    clock: Clock,
    life: Duration,
    idle: Duration,
    sessions: Mutex<HashMap<SessionId, Session>>,
    /// Proofs of others whose session was ended by its name, until they run out by themselves.
    ended: Mutex<HashMap<SessionId, Instant>>,
}

impl Tokens {
    /// Tokens that end after 8 hours, or after 1 hour without a call.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self::lasting(clock, LIFE, IDLE)
    }

    /// Tokens that end after `life`, or after `idle` without a call.
    #[must_use]
    pub fn lasting(clock: Clock, life: Duration, idle: Duration) -> Self {
        Self { clock, life, idle, sessions: Mutex::default(), ended: Mutex::default() }
    }

    /// A new token for somebody who has just proved who they are.
    ///
    /// # Errors
    /// [`TokenFault`] where the operating system gives no randomness.
    pub fn issue(&self, principal: Principal, origin: Origin) -> Result<BearerToken, TokenFault> {
        let mut secret = Zeroizing::new([0_u8; 32]);
        getrandom::fill(secret.as_mut_slice()).map_err(|_| TokenFault)?;
        let token = BearerToken(Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.as_slice())));
        self.open_as(session_of(token.as_str()), principal, origin, None);
        Ok(token)
    }

    /// Opens a session for a proof that comes along with each call, until `until` at the latest.
    pub fn admit(&self, id: SessionId, principal: Principal, origin: Origin, until: Instant) {
        self.open_as(id, principal, origin, Some(until));
    }

    fn open_as(&self, id: SessionId, principal: Principal, origin: Origin, until: Option<Instant>) {
        let now = self.clock.now();
        let life = now.plus(self.life);
        let ends = until.map_or(life, |until| until.min(life));
        let mut sessions = self.lock();
        sessions.retain(|_, s| self.lives(s, now));
        end_the_oldest(&mut sessions, principal.account());
        sessions.insert(id, Session { principal, origin, begun: now, used: now, ends });
    }

    /// The session of a proof that was admitted, if it still lives; counts as a call.
    ///
    /// # Errors
    /// `NotSignedIn` where it has ended or never was.
    pub fn admitted(&self, id: SessionId) -> Result<Principal, Refusal> {
        self.call(id)
    }

    /// Where a session came from.
    #[must_use]
    pub fn origin(&self, id: SessionId) -> Option<Origin> {
        self.lock().get(&id).map(|s| s.origin)
    }

    /// The open sessions of an account, or of all.
    #[must_use]
    pub fn open(&self, account: Option<&AccountName>) -> Vec<OpenSession> {
        let now = self.clock.now();
        let shown = |(id, s): (&SessionId, &Session)| OpenSession {
            session: id.name(),
            account: s.principal.account().clone(),
            way: s.origin.way,
            address: s.origin.address,
            begun: s.begun,
            used: s.used,
            ends: s.ends,
        };
        let sessions = self.lock();
        let living = sessions.iter().filter(|(_, s)| self.lives(s, now));
        living.filter(|(_, s)| account.is_none_or(|a| s.principal.account() == a)).map(shown).collect()
    }

    /// Ends the session of this name. True if it was there.
    pub fn revoke_named(&self, name: &SessionName) -> bool {
        let named = self.lock().keys().find(|id| id.name() == *name).copied();
        let ended = named.and_then(|id| Some((id, self.lock().remove(&id)?)));
        if let Some((id, session)) = &ended {
            self.remember(*id, session);
        }
        ended.is_some()
    }

    /// Whose token this is, with the session that it names.
    ///
    /// # Errors
    /// `NotSignedIn` where the token is unknown, tampered with, expired or revoked.
    pub fn authenticate(&self, presented: &str) -> Result<(Principal, SessionId), Refusal> {
        if presented.len() != TOKEN_CHARS {
            return Err(Refusal::NotSignedIn);
        }
        let id = session_of(presented);
        Ok((self.call(id)?, id))
    }

    fn call(&self, id: SessionId) -> Result<Principal, Refusal> {
        let now = self.clock.now();
        let mut sessions = self.lock();
        let session = sessions.get_mut(&id).ok_or(Refusal::NotSignedIn)?;
        if !self.lives(session, now) {
            sessions.remove(&id);
            return Err(Refusal::NotSignedIn);
        }
        session.used = session.used.max(now);
        Ok(session.principal.clone())
    }

    /// Whether a session has neither ended nor been revoked; does not count as a call.
    #[must_use]
    pub fn living(&self, id: SessionId) -> bool {
        let now = self.clock.now();
        self.lock().get(&id).is_some_and(|s| self.lives(s, now))
    }

    /// Ends one session. True if it was there.
    pub fn revoke(&self, id: SessionId) -> bool {
        self.lock().remove(&id).is_some()
    }

    /// Whether a session of this proof of others was ended by its name: the proof opens none again.
    #[must_use]
    pub fn has_ended(&self, id: SessionId) -> bool {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    /// A token that we issued is gone when its session is; one of a provider's would open another.
    fn remember(&self, id: SessionId, session: &Session) {
        if session.origin.way == Way::Oidc {
            let now = self.clock.now();
            let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            ended.retain(|_, until| *until > now);
            ended.insert(id, session.ends);
        }
    }

    /// Ends every session of an account: when it is disabled, or its roles or password change.
    pub fn revoke_account(&self, account: &AccountName) -> usize {
        let mut sessions = self.lock();
        let before = sessions.len();
        sessions.retain(|_, s| s.principal.account() != account);
        before - sessions.len()
    }

    fn lives(&self, session: &Session, now: Instant) -> bool {
        now < session.ends && now < session.used.plus(self.idle)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

fn session_of(token: &str) -> SessionId {
    SessionId(Sha256::digest(token.as_bytes()).into())
}

fn end_the_oldest(sessions: &mut HashMap<SessionId, Session>, account: &AccountName) {
    let mine = || sessions.iter().filter(|(_, s)| s.principal.account() == account);
    if mine().count() < PER_ACCOUNT_MAX {
        return;
    }
    if let Some(oldest) = mine().min_by_key(|(_, s)| s.used).map(|(id, _)| *id) {
        sessions.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use super::*;
    use crate::terms::Role;

    const HOUR: i64 = 3_600_000_000;
    const HERE: Origin = Origin { way: Way::Password, address: None };

    struct House {
        hand: Arc<AtomicI64>,
        tokens: Tokens,
    }

    fn house() -> House {
        let hand = Arc::new(AtomicI64::new(1_700_000_000_000_000));
        let seen = Arc::clone(&hand);
        House { hand, tokens: Tokens::new(Clock::from_fn(move || Instant(seen.load(Ordering::SeqCst)))) }
    }

    impl House {
        fn wait(&self, micros: i64) {
            self.hand.fetch_add(micros, Ordering::SeqCst);
        }
    }

    fn hanako() -> Principal {
        Principal::for_tests("hanako", [Role::Analyst])
    }

    #[test]
    fn a_token_stands_for_the_one_who_signed_in() {
        let house = house();
        let token = house.tokens.issue(hanako(), HERE).unwrap();
        let (principal, id) = house.tokens.authenticate(token.as_str()).unwrap();
        assert_eq!(principal, hanako());
        assert!(house.tokens.living(id));
        assert_eq!(token.as_str().len(), TOKEN_CHARS);
    }

    #[test]
    fn a_token_changed_in_any_one_place_is_worth_nothing() {
        let house = house();
        let token = house.tokens.issue(hanako(), HERE).unwrap();
        for at in 0..TOKEN_CHARS {
            let mut bytes = token.as_str().as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let tampered = String::from_utf8(bytes).unwrap();
            assert_eq!(house.tokens.authenticate(&tampered), Err(Refusal::NotSignedIn), "place {at}");
        }
        for odd in ["", "A", &token.as_str()[1..], &format!("{}=", token.as_str()), &"A".repeat(1 << 20)] {
            assert_eq!(house.tokens.authenticate(odd), Err(Refusal::NotSignedIn));
        }
    }

    #[test]
    fn a_token_ends_after_an_hour_without_a_call() {
        let house = house();
        let token = house.tokens.issue(hanako(), HERE).unwrap();
        house.wait(HOUR - 1);
        assert!(house.tokens.authenticate(token.as_str()).is_ok());
        house.wait(HOUR);
        assert_eq!(house.tokens.authenticate(token.as_str()), Err(Refusal::NotSignedIn));
        house.wait(-HOUR);
        assert_eq!(house.tokens.authenticate(token.as_str()), Err(Refusal::NotSignedIn), "it does not come back");
    }

    #[test]
    fn a_busy_token_ends_after_eight_hours_all_the_same() {
        let house = house();
        let token = house.tokens.issue(hanako(), HERE).unwrap();
        for _ in 0..15 {
            house.wait(HOUR / 2);
            assert!(house.tokens.authenticate(token.as_str()).is_ok());
        }
        house.wait(HOUR / 2);
        assert_eq!(house.tokens.authenticate(token.as_str()), Err(Refusal::NotSignedIn));
    }

    #[test]
    fn a_revoked_token_is_worth_nothing() {
        let house = house();
        let token = house.tokens.issue(hanako(), HERE).unwrap();
        let (_, id) = house.tokens.authenticate(token.as_str()).unwrap();
        assert!(house.tokens.revoke(id));
        assert_eq!(house.tokens.authenticate(token.as_str()), Err(Refusal::NotSignedIn));
        assert!(!house.tokens.living(id) && !house.tokens.revoke(id));
    }

    #[test]
    fn disabling_an_account_ends_its_sessions_and_no_others() {
        let house = house();
        let (one, two) = (house.tokens.issue(hanako(), HERE).unwrap(), house.tokens.issue(hanako(), HERE).unwrap());
        let other = house.tokens.issue(Principal::for_tests("jiro", [Role::Auditor]), HERE).unwrap();
        assert_eq!(house.tokens.revoke_account(hanako().account()), 2);
        for token in [one, two] {
            assert_eq!(house.tokens.authenticate(token.as_str()), Err(Refusal::NotSignedIn));
        }
        assert!(house.tokens.authenticate(other.as_str()).is_ok());
    }

    #[test]
    fn one_account_cannot_fill_the_memory_with_sessions() {
        let house = house();
        let first = house.tokens.issue(hanako(), HERE).unwrap();
        for _ in 0..PER_ACCOUNT_MAX {
            house.wait(1);
            let _ = house.tokens.issue(hanako(), HERE).unwrap();
        }
        assert_eq!(house.tokens.lock().len(), PER_ACCOUNT_MAX);
        assert_eq!(house.tokens.authenticate(first.as_str()), Err(Refusal::NotSignedIn));
    }

    #[test]
    fn neither_token_nor_session_is_printed() {
        let house = house();
        let token = house.tokens.issue(hanako(), HERE).unwrap();
        let (_, id) = house.tokens.authenticate(token.as_str()).unwrap();
        assert_eq!(format!("{token:?} {id:?} {:?}", house.tokens), "BearerToken SessionId Tokens");
    }

    #[test]
    fn sessions_are_listed_with_their_origin_and_ended_by_their_name() {
        let house = house();
        let from = Origin { way: Way::Certificate, address: Some("192.0.2.1".parse().unwrap()) };
        let token = house.tokens.issue(hanako(), from).unwrap();
        let other = house.tokens.issue(Principal::for_tests("jiro", [Role::Auditor]), HERE).unwrap();
        let mine = house.tokens.open(Some(hanako().account()));
        assert_eq!((mine.len(), mine[0].way, mine[0].address), (1, Way::Certificate, from.address));
        assert_eq!(house.tokens.open(None).len(), 2);
        assert!(house.tokens.revoke_named(&mine[0].session) && !house.tokens.revoke_named(&mine[0].session));
        assert!(house.tokens.authenticate(token.as_str()).is_err());
        assert!(house.tokens.authenticate(other.as_str()).is_ok());
    }

    #[test]
    fn a_proof_of_others_opens_a_session_until_it_runs_out_itself() {
        let house = house();
        let id = SessionId::of_proof("oidc", b"a token");
        assert_ne!(id, SessionId::of_proof("certificate", b"a token"));
        assert_eq!(house.tokens.admitted(id), Err(Refusal::NotSignedIn));
        let until = house.tokens.clock.now().plus(Duration::from_secs(600));
        house.tokens.admit(id, hanako(), HERE, until);
        assert_eq!(house.tokens.admitted(id), Ok(hanako()));
        house.wait(600_000_000);
        assert_eq!(house.tokens.admitted(id), Err(Refusal::NotSignedIn));
        assert!(!house.tokens.has_ended(id), "it ran out by itself");
        let until = house.tokens.clock.now().plus(Duration::from_secs(600));
        house.tokens.admit(id, hanako(), Origin { way: Way::Oidc, address: None }, until);
        assert!(
            house.tokens.revoke(id) && !house.tokens.has_ended(id),
            "signing out leaves the proof as good as it was"
        );
        house.tokens.admit(id, hanako(), Origin { way: Way::Oidc, address: None }, until);
        assert!(
            house.tokens.revoke_named(&id.name()) && house.tokens.has_ended(id),
            "ended by its name it opens nothing"
        );
    }
}
