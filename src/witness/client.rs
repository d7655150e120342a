//! How does the gateway ask a witness?
//!
//! Plain HTTP/1.1, one request per connection. What comes back is believed only for its signature, so the wire needs no
//! protection of its own; where the totals should not be seen on the way, a tunnel carries it.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use super::notary::name_of;
use crate::audit::{Hash, WitnessKey, to_base64};

/// A witness that is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessAddress {
    /// Where: `http://host:port`.
    pub url: String,
    /// Its public key.
    pub key: WitnessKey,
}

/// What a witness answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Signature lines.
    Cosigned(String),
    /// The size of the newest checkpoint that it cosigned.
    Conflict(u64),
    /// It refused, with this HTTP status.
    Refused(u16),
}

/// A witness that cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientFault {
    /// The address is none.
    #[error("{0:?} is no address such as http://witness.example:8817")]
    Address(String),
    /// It does not answer.
    #[error("the witness at {url} does not answer")]
    Silent {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It answers something else than HTTP.
    #[error("the witness at {0} answers in another protocol")]
    Protocol(String),
}

impl WitnessAddress {
    /// Asks for a cosignature of `note`, whose tree begins with that of `old` entries by `proof`.
    ///
    /// # Errors
    /// [`ClientFault`].
    pub fn add_checkpoint(&self, old: u64, proof: &[Hash], note: &str) -> Result<Reply, ClientFault> {
        let mut body = format!("old {old}\n");
        for hash in proof {
            body.push_str(&to_base64(hash));
            body.push('\n');
        }
        body.push('\n');
        body.push_str(note);
        let (status, body) = self.ask("POST", "/add-checkpoint", &body)?;
        Ok(match status {
            200 => Reply::Cosigned(body),
            409 => Reply::Conflict(body.trim_end().parse().map_err(|_| ClientFault::Protocol(self.url.clone()))?),
            other => Reply::Refused(other),
        })
    }

    /// The newest checkpoint of `origin` that the witness cosigned; none where it has none.
    ///
    /// # Errors
    /// [`ClientFault`].
    pub fn newest(&self, origin: &str) -> Result<Option<String>, ClientFault> {
        match self.ask("GET", &format!("/newest/{}", name_of(origin)), "")? {
            (200, note) => Ok(Some(note)),
            (404, _) => Ok(None),
            _ => Err(ClientFault::Protocol(self.url.clone())),
        }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Result<(u16, String), ClientFault> {
        let silent = |source| ClientFault::Silent { url: self.url.clone(), source };
        let no_address = || ClientFault::Address(self.url.clone());
        let rest = self.url.strip_prefix("http://").ok_or_else(no_address)?.trim_end_matches('/');
        let (host, below) =
            rest.split_once('/').map_or((rest, String::new()), |(host, below)| (host, format!("/{below}")));
        let address = host.to_socket_addrs().map_err(silent)?.next().ok_or_else(no_address)?;
        let exchange = || {
            let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            let length = body.len();
            let head = format!(
                "{method} {below}{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes())?;
            stream.write_all(body.as_bytes())?;
            let mut answer = Vec::new();
            stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
            Ok(answer)
        };
        let answer = exchange().map_err(silent)?;
        read(&answer).ok_or_else(|| ClientFault::Protocol(self.url.clone()))
    }
}

/// Status and body of an answer that states its length.
fn read(answer: &[u8]) -> Option<(u16, String)> {
    let answer = std::str::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    Some((status, body.get(..length).filter(|whole| whole.len() == body.len())?.to_owned()))
}

/// How long a witness may be silent.
const PATIENCE: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
