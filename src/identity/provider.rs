//! Which keys does the identity provider sign with now?
//!
//! Found through its discovery document and kept for a while. A token that names an unknown key has them looked up again,
//! but not oftener than every half minute, whatever anybody sends. While the provider cannot be reached, keys known from
//! before serve for a day.

use std::{fmt, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use jsonwebtoken::jwk::JwkSet;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::oidc::{Claimed, Disbelief, OidcConfig, believe};
use crate::terms::{Clock, Instant, Refusal};

/// Keys are looked up again after so long.
const FRESH: Duration = Duration::from_secs(600);
/// And serve at most so long where the provider cannot be reached.
const STALE_MAX: Duration = Duration::from_secs(86_400);
/// The least time between two look-ups.
const AGAIN: Duration = Duration::from_secs(30);
/// One request to the provider.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// The most that it may answer, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// An identity provider that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OidcFault {
    /// The issuer must be reached over TLS; plain HTTP is for this machine alone.
    #[error("the issuer {0} is no https address")]
    Issuer(String),
    /// Its CA is no certificate, or the system has none.
    #[error("there is no CA to trust for the issuer")]
    Ca,
    /// It did not answer, or not as a provider.
    #[error("{what} of the issuer could not be had: {reason}")]
    Unreachable {
        /// Which document.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// Its discovery document is another issuer's.
    #[error("the discovery document is of {0}, another issuer")]
    OtherIssuer(String),
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// One identity provider, whose tokens are believed.
pub struct Oidc {
    config: OidcConfig,
    clock: Clock,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    keys: Option<Arc<JwkSet>>,
    had: Option<Instant>,
    tried: Option<Instant>,
}

impl Oidc {
    /// Ready to believe; nothing is looked up yet.
    ///
    /// # Errors
    /// [`OidcFault`] where the issuer's address or CA cannot be used.
    pub fn new(config: OidcConfig, clock: Clock) -> Result<Self, OidcFault> {
        if !reachable(&config.issuer) {
            return Err(OidcFault::Issuer(config.issuer));
        }
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|_| OidcFault::Ca)?;
        let tls = match &config.ca_pem {
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                    roots.add(certificate.map_err(|_| OidcFault::Ca)?).map_err(|_| OidcFault::Ca)?;
                }
                builder.with_root_certificates(roots).with_no_client_auth()
            }
            None => builder.with_native_roots().map_err(|_| OidcFault::Ca)?.with_no_client_auth(),
        };
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { config, clock, client, known: Mutex::default() })
    }

    /// What this token says.
    ///
    /// # Errors
    /// `NotSignedIn` where it is not genuine, not for this enclave or not of this hour; `TokenNotAccepted` where a genuine
    /// one lacks something, or the provider cannot be reached.
    pub async fn believe(&self, token: &str) -> Result<Claimed, Refusal> {
        let keys = self.keys(false).await?;
        match believe(&self.config, &keys, token, self.clock.now()) {
            Ok(claimed) => Ok(claimed),
            Err(Disbelief::Refused(refusal)) => Err(refusal),
            Err(Disbelief::UnknownKey) => {
                let keys = self.keys(true).await?;
                believe(&self.config, &keys, token, self.clock.now()).map_err(|disbelief| match disbelief {
                    Disbelief::Refused(refusal) => refusal,
                    Disbelief::UnknownKey => Refusal::NotSignedIn,
                })
            }
        }
    }

    /// The keys as they are known, looked up where they are old, or where `anew` and it is time.
    async fn keys(&self, anew: bool) -> Result<Arc<JwkSet>, Refusal> {
        // One looks, the others wait for what it finds.
        let mut known = self.known.lock().await;
        let now = self.clock.now();
        let older = |than: Option<Instant>, by: Duration| than.is_none_or(|than| than.plus(by) <= now);
        let wanted = anew || older(known.had, FRESH);
        if wanted && older(known.tried, AGAIN) {
            known.tried = Some(now);
            match self.look_up().await {
                Ok(keys) => {
                    known.keys = Some(Arc::new(keys));
                    known.had = Some(now);
                }
                Err(fault) => tracing::warn!(%fault, "the identity provider's keys were not had"),
            }
        }
        let usable = known.keys.clone().filter(|_| !older(known.had, STALE_MAX));
        usable.ok_or_else(|| Refusal::TokenNotAccepted { reason: "its issuer cannot be reached now".into() })
    }

    async fn look_up(&self) -> Result<JwkSet, OidcFault> {
        let issuer = self.config.issuer.trim_end_matches('/');
        let at = format!("{issuer}/.well-known/openid-configuration");
        let discovery: Discovery = self.fetch("the discovery document", &at).await?;
        if discovery.issuer != self.config.issuer {
            return Err(OidcFault::OtherIssuer(discovery.issuer));
        }
        if !reachable(&discovery.jwks_uri) {
            return Err(OidcFault::Issuer(discovery.jwks_uri));
        }
        self.fetch("the keys", &discovery.jwks_uri).await
    }

    async fn fetch<T: for<'a> Deserialize<'a>>(&self, what: &'static str, at: &str) -> Result<T, OidcFault> {
        let because = |reason: &dyn fmt::Display| OidcFault::Unreachable { what, reason: reason.to_string() };
        let request = Request::get(at).header("accept", "application/json").body(Empty::new());
        let request = request.map_err(|fault| because(&fault))?;
        let body = async {
            let answer = self.client.request(request).await.map_err(|fault| because(&fault))?;
            if answer.status() != StatusCode::OK {
                return Err(because(&answer.status()));
            }
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            body.map(|body| body.to_bytes()).map_err(|fault| because(&fault))
        };
        let body = tokio::time::timeout(REQUEST_MAX, body).await.map_err(|_| because(&"it takes too long"))??;
        serde_json::from_slice(&body).map_err(|fault| because(&fault))
    }
}

impl fmt::Debug for Oidc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oidc").field("issuer", &self.config.issuer).finish_non_exhaustive()
    }
}

/// Over TLS, or on this very machine.
fn reachable(address: &str) -> bool {
    let here = ["http://127.0.0.1", "http://[::1]", "http://localhost"];
    let ends = |rest: &str| rest.is_empty() || rest.starts_with([':', '/']);
    address.starts_with("https://") || here.iter().any(|here| address.strip_prefix(here).is_some_and(ends))
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        sync::atomic::{AtomicI64, AtomicUsize, Ordering},
    };

    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use rcgen::{KeyPair, PKCS_ED25519};
    use serde_json::{Value, json};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::terms::Role;

    /// A provider of one key at a time.
    struct Provider {
        issuer: String,
        keys: Arc<std::sync::Mutex<Option<Value>>>,
        asked: Arc<AtomicUsize>,
    }

    impl Provider {
        async fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let issuer = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
            let (keys, asked) = (Arc::new(std::sync::Mutex::new(None::<Value>)), Arc::new(AtomicUsize::new(0)));
            let (shown, counted, own) = (Arc::clone(&keys), Arc::clone(&asked), issuer.clone());
            tokio::spawn(async move {
                loop {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    let mut request = vec![0; 4096];
                    let read = stream.read(&mut request).await.unwrap();
                    let wanted = String::from_utf8_lossy(&request[..read]).into_owned();
                    let body = match shown.lock().unwrap().clone() {
                        None => None,
                        Some(_) if wanted.contains("openid-configuration") => {
                            Some(json!({"issuer": own, "jwks_uri": format!("{own}/keys")}))
                        }
                        Some(keys) => {
                            counted.fetch_add(1, Ordering::SeqCst);
                            Some(keys)
                        }
                    };
                    let answer = match body {
                        Some(body) => format!(
                            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                            body.to_string().len()
                        ),
                        None => "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into(),
                    };
                    let _hung_up = stream.write_all(answer.as_bytes()).await;
                }
            });
            Self { issuer, keys, asked }
        }

        /// A new key in place of those before, and what signs with it.
        fn rotate(&self, kid: &str) -> impl Fn() -> String {
            let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
            let jwk =
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": URL_SAFE_NO_PAD.encode(pair.public_key_raw())});
            *self.keys.lock().unwrap() = Some(json!({ "keys": [jwk] }));
            let (key, kid, issuer) =
                (EncodingKey::from_ed_der(&pair.serialize_der()), kid.to_owned(), self.issuer.clone());
            move || {
                let header = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::EdDSA) };
                let claims =
                    json!({"iss": issuer, "aud": "sekisho", "exp": 2_000_000_000, "sub": "hanako", "roles": "analyst"});
                encode(&header, &claims, &key).unwrap()
            }
        }
    }

    fn of(provider: &Provider) -> (Oidc, Arc<AtomicI64>) {
        let hand = Arc::new(AtomicI64::new(1_800_000_000_000_000));
        let seen = Arc::clone(&hand);
        let config = OidcConfig {
            issuer: provider.issuer.clone(),
            audience: "sekisho".into(),
            ca_pem: None,
            account_claim: "sub".into(),
            roles_claim: "roles".into(),
            roles: BTreeMap::from([("analyst".to_owned(), Role::Analyst)]),
            second_factor: BTreeSet::new(),
        };
        (Oidc::new(config, Clock::from_fn(move || Instant(seen.load(Ordering::SeqCst)))).unwrap(), hand)
    }

    fn later(hand: &AtomicI64, seconds: i64) {
        hand.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    #[tokio::test]
    async fn keys_are_found_kept_and_looked_up_again_when_the_provider_has_new_ones() {
        let provider = Provider::new().await;
        let first = provider.rotate("one");
        let (oidc, hand) = of(&provider);
        for _ in 0..5 {
            assert_eq!(oidc.believe(&first()).await.unwrap().account.as_str(), "hanako");
        }
        assert_eq!(provider.asked.load(Ordering::SeqCst), 1, "kept");
        let second = provider.rotate("two");
        assert_eq!(oidc.believe(&second()).await, Err(Refusal::NotSignedIn), "not so soon");
        later(&hand, 30);
        assert!(oidc.believe(&second()).await.is_ok());
        assert_eq!(oidc.believe(&first()).await, Err(Refusal::NotSignedIn), "its key is gone");
        for _ in 0..50 {
            let _unknown = oidc.believe(&first()).await;
        }
        assert_eq!(provider.asked.load(Ordering::SeqCst), 2, "whatever is sent, no oftener");
    }

    #[tokio::test]
    async fn while_the_provider_is_away_known_keys_serve_for_a_day() {
        let provider = Provider::new().await;
        let (oidc, hand) = of(&provider);
        let away = oidc.believe("a.b.c").await.unwrap_err();
        assert!(away.to_string().contains("cannot be reached"), "{away}");
        let token = provider.rotate("one");
        later(&hand, 30);
        assert!(oidc.believe(&token()).await.is_ok());
        *provider.keys.lock().unwrap() = None;
        later(&hand, 86_300);
        assert!(oidc.believe(&token()).await.is_ok());
        later(&hand, 200);
        assert!(oidc.believe(&token()).await.unwrap_err().to_string().contains("cannot be reached"));
    }

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for good in ["https://idp.example", "http://127.0.0.1:3000", "http://localhost/realm", "http://[::1]:1"] {
            assert!(reachable(good), "{good}");
        }
        for bad in ["http://idp.example", "http://127.0.0.1.evil.example", "http://localhost.evil", "ftp://x", ""] {
            assert!(!reachable(bad), "{bad}");
        }
    }
}
