//! How many may be connected at once?
//!
//! Each connection takes a file descriptor of the process that also opens the data files and the books: strangers must
//! not be able to take them all. When all places are taken, newcomers wait in the listener's queue.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// A connection and the place it takes until it is dropped.
pub(super) struct Seated {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

/// The connections to `listener`, at most `places` at once.
pub(super) fn seated(listener: TcpListener, places: usize) -> impl Stream<Item = io::Result<Seated>> {
    let places = Arc::new(Semaphore::new(places));
    stream::unfold((listener, places), |(listener, places)| async move {
        // The semaphore is never closed, so a place always comes.
        let place = Arc::clone(&places).acquire_owned().await.ok()?;
        let stream = accepted(&listener).await;
        Some((Ok(Seated { stream, _place: place }), (listener, places)))
    })
}

/// A failing accept is the peer's or the machine's trouble of the moment, never the end of the server.
async fn accepted(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without it answers are merely slower.
                let _slower = stream.set_nodelay(true);
                return stream;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

impl Connected for Seated {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Seated {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
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

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn who_leaves_makes_room_for_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut connections = Box::pin(seated(listener, 1));
        let _one = TcpStream::connect(address).await.unwrap();
        let _two = TcpStream::connect(address).await.unwrap();
        let first = connections.next().await.unwrap().unwrap();
        let wait = Duration::from_millis(50);
        assert!(tokio::time::timeout(wait, connections.next()).await.is_err(), "the only place is taken");
        drop(first);
        assert!(connections.next().await.is_some());
    }
}
