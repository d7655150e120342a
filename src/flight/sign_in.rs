//! Who opens a session?
//!
//! Basic credentials are taken in the Handshake alone, never per call: each costs the server a slow password hash.
//! The bearer token goes back in both places where clients look for it, the payload and the `authorization` header.

use std::{str::FromStr, sync::Arc, time::Duration};

use arrow_flight::{BasicAuth, HandshakeRequest, HandshakeResponse};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use futures::{StreamExt, stream::BoxStream};
use prost::Message;
use tonic::{
    Request, Response, Status, Streaming,
    metadata::{MetadataMap, MetadataValue},
};

use super::{caller::Peer, words::No};
use crate::{
    gateway::{Gateway, Session},
    terms::{Fingerprint, Refusal},
};

/// The longest Basic header or handshake payload that is looked at.
const CREDENTIALS_BYTES_MAX: usize = 4096;

/// Base64 with or without padding: Go clients, the ADBC driver among them, send none.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The stream of a handshake's answers.
pub(super) type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;

/// Name and password for a bearer token.
pub(super) async fn handshake(
    gateway: &Gateway,
    in_time: Duration,
    request: Request<Streaming<HandshakeRequest>>,
) -> Result<Response<HandshakeStream>, No> {
    let peer = Peer::of(&request);
    let given = match basic_header(request.metadata()) {
        Some(given) => Some(given),
        None => tokio::time::timeout(in_time, basic_payload(request.into_inner())).await.ok().flatten(),
    };
    let token = match (given, certificate(&peer)) {
        (Some((name, password)), _) => gateway.sign_in_from(&name, &password, peer.address()).await?,
        (None, Some(shown)) => gateway.sign_in_certified(&shown, peer.address()).await?,
        (None, None) => return Err(Refusal::NotSignedIn.into()),
    };
    peer.is_known();
    let header = MetadataValue::from_str(&format!("Bearer {token}")).map_err(|_| No::failed())?;
    let answer = HandshakeResponse { protocol_version: 0, payload: token.into() };
    let mut response: Response<HandshakeStream> = Response::new(futures::stream::iter([Ok(answer)]).boxed());
    response.metadata_mut().insert("authorization", header);
    Ok(response)
}

/// The session of a call: of its bearer token, else of the client certificate of its connection.
pub(super) async fn session(gateway: &Gateway, metadata: &MetadataMap, peer: &Peer) -> Result<Arc<Session>, Refusal> {
    let session = match (bearer(metadata), certificate(peer)) {
        (Some(token), _) => gateway.authenticate_from(&token, peer.address()).await?,
        (None, Some(shown)) => gateway.authenticate_certified(&shown, peer.address()).await?,
        (None, None) => return Err(Refusal::NotSignedIn),
    };
    peer.is_known();
    Ok(session)
}

/// What the client's own certificate is known by. The handshake has found it good.
fn certificate(peer: &Peer) -> Option<Fingerprint> {
    let shown = peer.certificates.as_ref()?.first()?;
    Some(Fingerprint::of(shown))
}

/// The bearer token of a call, from the header of today's clients or from that of the older generation.
pub(super) fn bearer(metadata: &MetadataMap) -> Option<String> {
    if let Some(header) = metadata.get("authorization") {
        let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned());
    }
    let payload = metadata.get_bin("auth-token-bin")?.to_bytes().ok()?;
    String::from_utf8(payload.to_vec()).ok()
}

fn basic_header(metadata: &MetadataMap) -> Option<(String, String)> {
    let header = metadata.get("authorization")?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > CREDENTIALS_BYTES_MAX {
        return None;
    }
    let text = String::from_utf8(BASE64.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// Older clients send a `BasicAuth` message as the first payload instead of a header. Nothing after it is read.
async fn basic_payload(mut stream: Streaming<HandshakeRequest>) -> Option<(String, String)> {
    let payload = stream.next().await?.ok()?.payload;
    if payload.len() > CREDENTIALS_BYTES_MAX {
        return None;
    }
    let BasicAuth { username, password } = BasicAuth::decode(payload).ok()?;
    // An empty message decodes, too: it is the greeting of a client that proves who it is by other means.
    (!username.is_empty()).then_some((username, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(header: &str) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        metadata.insert("authorization", header.parse().unwrap());
        metadata
    }

    #[test]
    fn a_password_may_hold_colons() {
        let header = with(&format!("Basic {}", BASE64.encode("hanako:a:b")));
        assert_eq!(basic_header(&header), Some(("hanako".into(), "a:b".into())));
    }

    #[test]
    fn credentials_come_with_and_without_padding() {
        for password in ["a", "ab", "abc", "abcd"] {
            let padded = BASE64.encode(format!("hanako:{password}"));
            for sent in [padded.as_str(), padded.trim_end_matches('=')] {
                let found = basic_header(&with(&format!("Basic {sent}")));
                assert_eq!(found, Some(("hanako".into(), password.into())), "{sent}");
            }
        }
    }

    #[test]
    fn an_oversized_header_is_not_decoded() {
        let header = with(&format!("Basic {}", BASE64.encode("x".repeat(5000))));
        assert_eq!(basic_header(&header), None);
    }

    #[test]
    fn basic_credentials_are_no_bearer_token() {
        assert_eq!(bearer(&with("Basic aGFuYWtvOng=")), None);
        assert_eq!(bearer(&with("Bearer t0ken")), Some("t0ken".into()));
        assert_eq!(bearer(&MetadataMap::new()), None);
    }
}
