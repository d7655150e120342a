//! Who may be connected at once?
//!
//! A connection passes four gates: a place among all, a place among those of its address, a handshake in time, and somebody
//! who signs in on it before long. Handshakes run beside each other, so that a silent peer keeps nobody waiting. When all
//! places are taken, newcomers wait in the listener's queue.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum_server::{
    accept::Accept,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use futures::{Stream, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Sleep, sleep},
};
use tonic::transport::server::Connected;

use super::limits::DoorLimits;

/// A connection with TLS.
pub(super) type Secured = <RustlsAcceptor as Accept<Seated, ()>>::Stream;

/// A connection and the places it takes until it is dropped.
pub(super) struct Seated {
    stream: TcpStream,
    peer: PeerInfo,
    /// Until somebody has signed in.
    patience: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
    _share: Share,
}

/// What every call of a connection knows of it.
#[derive(Clone)]
pub(super) struct PeerInfo {
    /// Whence it comes.
    pub(super) address: IpAddr,
    known: Arc<AtomicBool>,
}

impl PeerInfo {
    /// Somebody has signed in on this connection: it may stay.
    pub(super) fn is_known(&self) {
        self.known.store(true, Ordering::Relaxed);
    }
}

/// The connections to `listener` after their handshake, within `limits`.
pub(super) fn secured(
    listener: TcpListener,
    tls: RustlsConfig,
    limits: DoorLimits,
) -> impl Stream<Item = io::Result<Secured>> {
    let (ready, taken) = mpsc::channel(READY_MAX);
    tokio::spawn(async move {
        let hall = Hall::new(tls, limits);
        // Over when the server takes no more.
        tokio::select! {
            () = ready.closed() => {}
            () = hall.receive(&listener, &ready) => {}
        }
    });
    stream::unfold(taken, |mut taken| async move { Some((Ok(taken.recv().await?), taken)) })
}

struct Hall {
    places: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    connections_of: Shares,
    handshakes_of: Shares,
    acceptor: RustlsAcceptor,
    limits: DoorLimits,
}

impl Hall {
    fn new(tls: RustlsConfig, limits: DoorLimits) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limits.connections)),
            handshakes: Arc::new(Semaphore::new(limits.handshakes)),
            connections_of: Shares::new(limits.connections_per_address),
            handshakes_of: Shares::new(limits.handshakes_per_address),
            acceptor: RustlsAcceptor::new(tls).handshake_timeout(limits.handshake),
            limits,
        }
    }

    async fn receive(&self, listener: &TcpListener, ready: &mpsc::Sender<Secured>) {
        // The semaphore is never closed, so a place always comes.
        while let Ok(place) = Arc::clone(&self.places).acquire_owned().await {
            let (stream, address) = accepted(listener).await;
            // Whoever takes too much is closed, so that the queue moves on to others.
            let Some(share) = self.connections_of.take(address) else {
                turned_away("connections_of_address");
                continue;
            };
            let Some(greeting) = self.handshakes_of.take(address) else {
                turned_away("handshakes_of_address");
                continue;
            };
            let Ok(turn) = Arc::clone(&self.handshakes).try_acquire_owned() else {
                turned_away("handshakes");
                continue;
            };
            metrics::gauge!("sekisho_connections").increment(1.0);
            let seated = Seated {
                stream,
                peer: PeerInfo { address, known: Arc::default() },
                patience: Some(Box::pin(sleep(self.limits.stranger))),
                _place: place,
                _share: share,
            };
            let (handshake, ready) = (self.acceptor.accept(seated, ()), ready.clone());
            tokio::spawn(async move {
                // A handshake that fails is the peer's affair; plaintext and garbage end here.
                match handshake.await {
                    Ok((secured, ())) => {
                        drop((greeting, turn));
                        let _closing = ready.send(secured).await;
                    }
                    Err(_) => turned_away("handshake_failed"),
                }
            });
        }
    }
}

fn turned_away(reason: &'static str) {
    metrics::counter!("sekisho_connections_turned_away_total", "reason" => reason).increment(1);
}

impl Drop for Seated {
    fn drop(&mut self) {
        metrics::gauge!("sekisho_connections").decrement(1.0);
    }
}

/// A failing accept is the peer's or the machine's trouble of the moment, never the end of the server.
async fn accepted(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // Without it answers are merely slower.
                let _slower = stream.set_nodelay(true);
                return (stream, address.ip().to_canonical());
            }
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// How many of something each address has.
#[derive(Clone)]
struct Shares {
    most: usize,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One of them, given back when it is dropped.
struct Share {
    of: Shares,
    address: IpAddr,
}

impl Shares {
    fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    fn take(&self, address: IpAddr) -> Option<Share> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Share { of: self.clone(), address })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.of.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.address) {
            Some(count) if *count > 1 => *count = count.saturating_sub(1),
            _ => drop(taken.remove(&self.address)),
        }
    }
}

impl Connected for Seated {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.peer.clone()
    }
}

impl AsyncRead for Seated {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let over = self.patience.as_mut().is_some_and(|patience| patience.as_mut().poll(cx).is_ready());
        if over {
            if !self.peer.known.load(Ordering::Relaxed) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.patience = None;
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Seated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Connections that have shaken hands and wait for the server to take them.
const READY_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_gives_it_back() {
        let (one, two): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let shares = Shares::new(2);
        let held = [shares.take(one), shares.take(one)];
        assert!(held.iter().all(Option::is_some) && shares.take(one).is_none());
        assert!(shares.take(two).is_some(), "others have their own");
        drop(held);
        assert!(shares.take(one).is_some());
        assert!(shares.taken.lock().unwrap().is_empty(), "nobody is remembered who has nothing");
    }
}
