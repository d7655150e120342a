//! Does this token of an identity provider say who calls, and may it be believed?
//!
//! Signed by a key that the provider publishes, by an algorithm with a public key, for this enclave, now, and, where the
//! enclave wants it, after a second factor. What a token that is genuine lacks is said; every other one is `NotSignedIn`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{Jwk, JwkSet, PublicKeyUse},
};
use serde_json::{Map, Value};

use super::Principal;
use crate::{
    accounts::Account,
    terms::{AccountName, Instant, Refusal, Role},
};

/// How far the provider's clock may be from ours.
const LEEWAY: Duration = Duration::from_secs(60);
/// No longer token is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Algorithms with a public key; one that shares a secret with the provider is none.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Whom to believe, and what of their words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcConfig {
    /// The issuer as its tokens name it; below it lies the discovery document.
    pub issuer: String,
    /// What its tokens for this enclave are for.
    pub audience: String,
    /// PEM of the CA to trust for the issuer's own address; none for those of the system.
    pub ca_pem: Option<String>,
    /// The claim that names the account.
    pub account_claim: String,
    /// The claim that lists groups or roles; dots lead into objects.
    pub roles_claim: String,
    /// What a value of that claim means here.
    pub roles: BTreeMap<String, Role>,
    /// One of these must stand in `amr`, or be `acr`; empty where no second factor is asked for.
    pub second_factor: BTreeSet<String>,
}

/// What a believed token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Which account.
    pub account: AccountName,
    /// Which roles it claims.
    pub roles: BTreeSet<Role>,
    /// Until when it is good.
    pub until: Instant,
}

/// Why a token is not believed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Disbelief {
    /// It names a key that is not among those known: the provider may have new ones.
    UnknownKey,
    /// It is not genuine, not for us, or not of this hour.
    Refused(Refusal),
}

impl From<Refusal> for Disbelief {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Whether `text` could be such a token: three parts with points between.
#[must_use]
pub fn is_federated(text: &str) -> bool {
    text.len() <= TOKEN_BYTES_MAX && text.split('.').count() == 3
}

/// What `token` says, if one of `keys` has signed it for us and it is good at `now`.
pub(super) fn believe(config: &OidcConfig, keys: &JwkSet, token: &str, now: Instant) -> Result<Claimed, Disbelief> {
    if !is_federated(token) {
        return Err(Refusal::NotSignedIn.into());
    }
    let header = decode_header(token).map_err(|_| Refusal::NotSignedIn)?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(Refusal::NotSignedIn.into());
    }
    let key = signing_key(keys, header.kid.as_deref(), header.alg).ok_or(Disbelief::UnknownKey)?;
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[&config.issuer]);
    validation.set_audience(&[&config.audience]);
    validation.set_required_spec_claims(&["iss", "aud", "exp"]);
    // Its clock would be the machine's; ours is handed in, below.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    let claims: Map<String, Value> = decode(token, &key, &validation).map_err(|_| Refusal::NotSignedIn)?.claims;
    let until = in_time(&claims, now).ok_or(Refusal::NotSignedIn)?;
    if !config.second_factor.is_empty() && !has_second_factor(config, &claims) {
        return Err(lacks("it shows no second factor").into());
    }
    let named = claims.get(&config.account_claim).and_then(Value::as_str).and_then(|name| AccountName::new(name).ok());
    let account = named.ok_or_else(|| lacks("it names no account"))?;
    Ok(Claimed { account, roles: roles(config, &claims), until })
}

/// Whoever the token names, if that account may sign in. Roles that two holders have to give a token does not give: it
/// only brings along those that the account holds.
///
/// # Errors
/// `TokenNotAccepted` says why not.
pub fn federate(claimed: &Claimed, account: Option<&Account>) -> Result<Principal, Refusal> {
    let account = account.filter(|account| account.name == claimed.account && !account.disabled);
    let account = account.ok_or_else(|| lacks("the account that it names may not sign in here"))?;
    let given = |role: &&Role| !role.takes_two() || account.roles.contains(role);
    let roles: BTreeSet<Role> = claimed.roles.iter().filter(given).copied().collect();
    match roles.is_empty() {
        true => Err(lacks("it brings no role that the account may have")),
        false => Ok(Principal::proved(account.name.clone(), roles, account.language)),
    }
}

fn lacks(reason: &str) -> Refusal {
    Refusal::TokenNotAccepted { reason: reason.to_owned() }
}

/// The key that the token names; where it names none, the only one for its algorithm.
fn signing_key(keys: &JwkSet, named: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
    let fits = |key: &&Jwk| {
        let signs = key.common.public_key_use.as_ref().is_none_or(|meant| *meant == PublicKeyUse::Signature);
        let same = key.common.key_algorithm.is_none_or(|of| of.to_string().parse() == Ok(algorithm));
        signs && same && named.is_none_or(|name| key.common.key_id.as_deref() == Some(name))
    };
    let mut fitting = keys.keys.iter().filter(fits);
    let key = fitting.next()?;
    match (named, fitting.next()) {
        (None, Some(_)) => None,
        _ => DecodingKey::from_jwk(key).ok(),
    }
}

/// When the token ends, if it has begun and not ended.
fn in_time(claims: &Map<String, Value>, now: Instant) -> Option<Instant> {
    let at = |name: &str| {
        let seconds = claims.get(name)?.as_f64().filter(|s| s.is_finite() && (0.0..4e9).contains(s))?;
        Some(Instant(0).plus(Duration::from_secs_f64(seconds)))
    };
    let until = at("exp")?;
    let begun = match claims.get("nbf") {
        Some(_) => at("nbf")? <= now.plus(LEEWAY),
        None => true,
    };
    (begun && now < until.plus(LEEWAY)).then_some(until.plus(LEEWAY))
}

fn has_second_factor(config: &OidcConfig, claims: &Map<String, Value>) -> bool {
    let texts = |name: &str| claims.get(name).map(words).unwrap_or_default();
    texts("amr").iter().chain(&texts("acr")).any(|said| config.second_factor.contains(said))
}

fn roles(config: &OidcConfig, claims: &Map<String, Value>) -> BTreeSet<Role> {
    let mut parts = config.roles_claim.split('.');
    let first = parts.next().and_then(|name| claims.get(name));
    let listed = parts.fold(first, |value, name| value?.get(name)).map(words).unwrap_or_default();
    listed.iter().filter_map(|said| config.roles.get(said)).copied().collect()
}

/// One text or a list of them.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => vec![],
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use jsonwebtoken::{EncodingKey, Header, encode};
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
    use serde_json::json;

    use super::*;
    use crate::terms::Language;

    const NOW: Instant = Instant(1_800_000_000_000_000);
    const SECONDS: i64 = 1_800_000_000;

    struct Provider {
        key: EncodingKey,
        algorithm: Algorithm,
        keys: JwkSet,
    }

    fn p256(kid: &str) -> Provider {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        // An uncompressed point: 4, x, y.
        let point = pair.public_key_raw();
        let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
        let jwk = json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid,
            "x": part(1..33), "y": part(33..65)});
        let keys = serde_json::from_value(json!({ "keys": [jwk] })).unwrap();
        Provider { key: EncodingKey::from_ec_der(&pair.serialize_der()), algorithm: Algorithm::ES256, keys }
    }

    fn ed25519(kid: &str) -> Provider {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": kid,
            "x": URL_SAFE_NO_PAD.encode(pair.public_key_raw())});
        let keys = serde_json::from_value(json!({ "keys": [jwk] })).unwrap();
        Provider { key: EncodingKey::from_ed_der(&pair.serialize_der()), algorithm: Algorithm::EdDSA, keys }
    }

    impl Provider {
        fn token(&self, kid: Option<&str>, claims: &Value) -> String {
            let header = Header { kid: kid.map(str::to_owned), ..Header::new(self.algorithm) };
            encode(&header, claims, &self.key).unwrap()
        }
    }

    fn config() -> OidcConfig {
        OidcConfig {
            issuer: "https://idp.example".into(),
            audience: "sekisho".into(),
            ca_pem: None,
            account_claim: "preferred_username".into(),
            roles_claim: "realm_access.roles".into(),
            roles: BTreeMap::from([("analysts".to_owned(), Role::Analyst), ("auditors".to_owned(), Role::Auditor)]),
            second_factor: BTreeSet::from(["otp".to_owned(), "hwk".to_owned()]),
        }
    }

    fn claims() -> Value {
        json!({"iss": "https://idp.example", "aud": ["other", "sekisho"], "sub": "1", "exp": SECONDS + 300,
            "nbf": SECONDS, "preferred_username": "hanako", "amr": ["pwd", "otp"],
            "realm_access": {"roles": ["analysts", "auditors", "something"]}})
    }

    #[test]
    fn a_token_of_the_provider_is_believed_whatever_its_algorithm() {
        for provider in [p256("one"), ed25519("one")] {
            for kid in [Some("one"), None] {
                let said = believe(&config(), &provider.keys, &provider.token(kid, &claims()), NOW).unwrap();
                assert_eq!(said.account.as_str(), "hanako");
                assert_eq!(said.roles, BTreeSet::from([Role::Analyst, Role::Auditor]));
                assert_eq!(said.until, Instant((SECONDS + 360) * 1_000_000));
            }
        }
    }

    fn spoilt(change: impl Fn(&mut Value)) -> Result<Claimed, Disbelief> {
        let provider = p256("one");
        let mut claims = claims();
        change(&mut claims);
        believe(&config(), &provider.keys, &provider.token(Some("one"), &claims), NOW)
    }

    #[test]
    fn what_is_not_for_us_not_from_them_or_not_of_this_hour_is_one_refusal() {
        let no = Err(Disbelief::Refused(Refusal::NotSignedIn));
        assert_eq!(spoilt(|c| c["iss"] = "https://idp.example.evil".into()), no);
        assert_eq!(spoilt(|c| c["aud"] = "another".into()), no);
        assert_eq!(spoilt(|c| drop(c.as_object_mut().unwrap().remove("aud"))), no);
        assert_eq!(spoilt(|c| drop(c.as_object_mut().unwrap().remove("iss"))), no);
        assert_eq!(spoilt(|c| drop(c.as_object_mut().unwrap().remove("exp"))), no);
        assert_eq!(spoilt(|c| c["exp"] = (SECONDS - 61).into()), no);
        assert_eq!(spoilt(|c| c["nbf"] = (SECONDS + 61).into()), no);
        assert_eq!(spoilt(|c| c["exp"] = "never".into()), no);
        assert!(spoilt(|c| c["exp"] = (SECONDS - 30).into()).is_ok(), "clocks differ a little");
    }

    #[test]
    fn what_a_genuine_token_lacks_is_said() {
        let said = |claimed: Result<Claimed, Disbelief>| match claimed.unwrap_err() {
            Disbelief::Refused(Refusal::TokenNotAccepted { reason }) => reason,
            other => panic!("{other:?}"),
        };
        assert!(said(spoilt(|c| c["amr"] = json!(["pwd"]))).contains("second factor"));
        assert!(said(spoilt(|c| drop(c.as_object_mut().unwrap().remove("amr")))).contains("second factor"));
        assert!(said(spoilt(|c| c["preferred_username"] = "not a name!".into())).contains("names no account"));
        assert!(spoilt(|c| (c["amr"], c["acr"]) = (json!(["pwd"]), "hwk".into())).is_ok(), "acr says so, too");
    }

    #[test]
    fn forged_tokens_are_not_believed() {
        let (provider, other) = (p256("one"), p256("one"));
        let no = Err(Disbelief::Refused(Refusal::NotSignedIn));
        assert_eq!(believe(&config(), &provider.keys, &other.token(Some("one"), &claims()), NOW), no, "another key");
        let unknown = believe(&config(), &provider.keys, &provider.token(Some("two"), &claims()), NOW);
        assert_eq!(unknown, Err(Disbelief::UnknownKey));
        let good = provider.token(Some("one"), &claims());
        let [header, body, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let shared = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT","kid":"one"}"#);
        let changed = URL_SAFE_NO_PAD.encode(claims().to_string().replace("hanako", "auditor"));
        for forged in [
            format!("{none}.{body}."),
            format!("{shared}.{body}.{signature}"),
            format!("{header}.{changed}.{signature}"),
            format!("{header}.{body}."),
            format!("{header}.{body}"),
            "a.b.c".into(),
            "..".into(),
            String::new(),
            format!("{header}.{}.{signature}", "A".repeat(1 << 20)),
        ] {
            assert_eq!(believe(&config(), &provider.keys, &forged, NOW), no, "{:.60}", forged);
        }
    }

    #[test]
    fn keys_for_encryption_and_keys_of_another_algorithm_sign_nothing() {
        let provider = p256("one");
        let token = provider.token(Some("one"), &claims());
        for (from, to) in [("\"sig\"", "\"enc\""), ("\"ES256\"", "\"ES384\"")] {
            let text = serde_json::to_string(&provider.keys).unwrap();
            assert!(text.contains(from), "{text}");
            let keys: JwkSet = serde_json::from_str(&text.replace(from, to)).unwrap();
            assert_eq!(believe(&config(), &keys, &token, NOW), Err(Disbelief::UnknownKey), "{to}");
        }
        let mut both = provider.keys.clone();
        both.keys.extend(p256("two").keys.keys);
        let unnamed = provider.token(None, &claims());
        assert_eq!(believe(&config(), &both, &unnamed, NOW), Err(Disbelief::UnknownKey), "which of two");
    }

    #[test]
    fn a_token_gives_no_role_that_takes_two_holders() {
        let account = |roles: &[Role], disabled| Account {
            name: AccountName::new("hanako").unwrap(),
            roles: roles.iter().copied().collect(),
            language: Language::Ja,
            password_hash: String::new(),
            disabled,
        };
        let claimed = spoilt(|_| {}).unwrap();
        let analyst = federate(&claimed, Some(&account(&[], false))).unwrap();
        assert_eq!(*analyst.roles(), BTreeSet::from([Role::Analyst]));
        let both = federate(&claimed, Some(&account(&[Role::Auditor, Role::Operator], false))).unwrap();
        assert_eq!(*both.roles(), BTreeSet::from([Role::Analyst, Role::Auditor]), "and none that is not claimed");
        assert!(federate(&claimed, Some(&account(&[Role::Auditor], true))).is_err(), "disabled");
        assert!(federate(&claimed, None).is_err());
        let nothing = Claimed { roles: BTreeSet::from([Role::Auditor]), ..claimed };
        assert!(federate(&nothing, Some(&account(&[Role::Analyst], false))).is_err());
    }
}
