//! How much of the server may others take?
//!
//! Each connection takes a file descriptor of the process that also opens the data files and the books, each unread answer
//! memory: strangers must not be able to take all of either.

use std::time::Duration;

/// The limits of one server; the defaults are for service, tests lower them.
#[derive(Debug, Clone, Copy)]
pub struct DoorLimits {
    /// Connections at once; further ones wait in the listener's queue.
    pub connections: usize,
    /// Connections at once from one address; further ones are closed.
    pub connections_per_address: usize,
    /// TLS handshakes under way; further connections are closed.
    pub handshakes: usize,
    /// TLS handshakes under way from one address; further connections are closed.
    pub handshakes_per_address: usize,
    /// A peer that has not finished its handshake by then is dropped, plaintext ones among them.
    pub handshake: Duration,
    /// A connection on which nobody has signed in by then is dropped.
    pub stranger: Duration,
    /// A message that does not arrive whole by then is given up.
    pub message: Duration,
    /// An answer of which nothing is read for so long is dropped.
    pub stalled: Duration,
    /// Answers that one session may have on their way.
    pub answers_per_session: usize,
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self {
            connections: 512,
            connections_per_address: 256,
            handshakes: 128,
            handshakes_per_address: 32,
            handshake: Duration::from_secs(10),
            stranger: Duration::from_secs(30),
            message: Duration::from_secs(30),
            stalled: Duration::from_secs(60),
            answers_per_session: 32,
        }
    }
}
