//! Do silent, slow, loud and broken peers leave the others served and the memory bounded?

use std::{
    io::{Read, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use sekisho::flight::DoorLimits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::Served;

/// Resident memory of this process, in MiB.
fn memory() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096 / (1 << 20)
}

/// Whether the other side has closed, before long.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = vec![];
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_full_of_half_open_connections_keeps_nobody_else_waiting() {
    let served = Served::new(DoorLimits { handshake: Duration::from_secs(3), ..DoorLimits::default() }).await;
    let mut silent = vec![];
    for _ in 0..400 {
        silent.push(served.enemy().await.unwrap());
    }
    let begun = Instant::now();
    served.serves_others().await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // Those beyond the enemy's share were closed at once, the others with the handshake's time.
    for stream in &mut silent {
        assert!(is_closed(stream).await);
    }
    served.serves_others().await;
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_handshakes_broken_off_leave_no_trace() {
    let served = Served::new(DoorLimits::default()).await;
    served.serves_others().await;
    let before = memory();
    // The first bytes of a handshake, then silence or a hang-up.
    let hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
    for round in 0..20 {
        let mut crowd = vec![];
        for _ in 0..150 {
            let Ok(mut stream) = served.enemy().await else { continue };
            // The server may have closed it by now: that is its right.
            let _refused = stream.write_all(&hello).await;
            crowd.push(stream);
        }
        if round % 5 == 0 {
            served.serves_others().await;
        }
    }
    served.serves_others().await;
    let after = memory();
    assert!(after < before + 200, "{before} MiB before, {after} MiB after");
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_whole_handshakes_by_nobody_leave_no_trace() {
    let served = Served::new(DoorLimits::default()).await;
    served.serves_others().await;
    let (before, begun) = (memory(), Instant::now());
    let mut shaken = 0;
    for round in 0..250 {
        let mut crowd = vec![];
        for _ in 0..8 {
            let Ok(stream) = served.enemy().await else { continue };
            let mut one = secured(&served, stream);
            // Good manners up to the first frame of the server's, and nobody signs in.
            crowd.push(tokio::task::spawn_blocking(move || {
                let mut first = [0; 9];
                one.write_all(PREFACE).and_then(|()| one.flush()).and_then(|()| one.read_exact(&mut first)).is_ok()
            }));
        }
        for one in crowd {
            shaken += u32::from(one.await.unwrap());
        }
        if round % 50 == 0 {
            served.serves_others().await;
        }
    }
    served.serves_others().await;
    let (after, seconds) = (memory(), begun.elapsed().as_secs_f64());
    crate::say(&format!(
        "{shaken} whole handshakes by nobody in {seconds:.1} s; {before} MiB before, {after} MiB after"
    ));
    assert!(shaken >= 1_500, "{shaken}");
    assert!(after < before + 200, "{before} MiB before, {after} MiB after");
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plaintext_and_garbage_are_closed_without_a_word_of_ours() {
    let served = Served::new(DoorLimits { handshake: Duration::from_secs(2), ..DoorLimits::default() }).await;
    let garbage: Vec<u8> = (0..65_536_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let oversized = [&[0x16, 0x03, 0x03, 0xff, 0xff][..], &garbage].concat();
    for said in [
        b"GET / HTTP/1.1\r\nHost: sekisho\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"\0".repeat(100_000),
        garbage,
        oversized,
    ] {
        let mut stream = served.enemy().await.unwrap();
        let _closed_early = stream.write_all(&said).await;
        let mut heard = vec![];
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut heard)).await;
        assert!(read.is_ok(), "still open");
        assert!(heard.len() <= 7, "an alert of TLS at most: {heard:?}");
    }
    served.serves_others().await;
    served.close().await;
}

/// A TLS connection of the enemy's, its handshake done, that speaks whatever it likes.
fn secured(served: &Served, stream: TcpStream) -> StreamOwned<ClientConnection, std::net::TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(served.certificates.ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    StreamOwned::new(connection, stream)
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// Whether the server ends a connection on which this is said.
async fn ends(served: &Served, said: Vec<u8>) -> bool {
    let stream = served.enemy().await.unwrap();
    let mut secured = secured(served, stream);
    tokio::task::spawn_blocking(move || {
        // The server may close in the middle of it.
        let _closed_early = secured.write_all(&said).and_then(|()| secured.flush());
        let mut heard = vec![];
        match secured.read_to_end(&mut heard) {
            Ok(_) => true,
            Err(fault) => !matches!(fault.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
        }
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_frames_end_their_own_connection_alone() {
    let served = Served::new(DoorLimits { stranger: Duration::from_secs(5), ..DoorLimits::default() }).await;
    let friend = served.client("hanako").await;
    // A frame of 16 MiB, announced and sent.
    let mut oversized = [PREFACE, &[0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01]].concat();
    oversized.extend(std::iter::repeat_n(7_u8, 1 << 20));
    // Headers that never end.
    let mut endless = PREFACE.to_vec();
    endless.extend([0x00, 0x40, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x01]);
    endless.extend(std::iter::repeat_n(0x40, 0x4000));
    for _ in 0..64 {
        endless.extend([0x00, 0x40, 0x00, 0x09, 0x00, 0x00, 0x00, 0x00, 0x01]);
        endless.extend(std::iter::repeat_n(0x40, 0x4000));
    }
    // Calls opened and taken back as fast as can be.
    let mut rapid = PREFACE.to_vec();
    for n in 0..5000_u32 {
        let id = (2 * n + 1).to_be_bytes();
        rapid.extend([0x00, 0x00, 0x01, 0x01, 0x04]);
        rapid.extend(id);
        rapid.push(0x82);
        rapid.extend([0x00, 0x00, 0x04, 0x03, 0x00]);
        rapid.extend(id);
        rapid.extend([0, 0, 0, 8]);
    }
    let garbage: Vec<u8> = (0..65_536_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (what, said) in
        [("oversized", oversized), ("endless headers", endless), ("rapid reset", rapid), ("garbage", garbage)]
    {
        assert!(ends(&served, said).await, "{what}");
        friend.tables().await.unwrap_or_else(|fault| panic!("{what}: {fault}"));
    }
    served.serves_others().await;
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_connects_and_does_not_sign_in_is_sent_away() {
    let served = Served::new(DoorLimits { stranger: Duration::from_secs(1), ..DoorLimits::default() }).await;
    let friend = served.client("hanako").await;
    let begun = Instant::now();
    // A whole handshake, good manners, and nobody signs in.
    assert!(ends(&served, PREFACE.to_vec()).await);
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    tokio::time::sleep(Duration::from_millis(1200)).await;
    friend.tables().await.expect("who has signed in stays, however long");
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_shared_out_by_address() {
    let limits = DoorLimits { connections: 40, connections_per_address: 20, ..DoorLimits::default() };
    let served = Served::new(limits).await;
    let mut held = vec![];
    for _ in 0..20 {
        let stream = served.enemy().await.unwrap();
        let mut one = secured(&served, stream);
        held.push(
            tokio::task::spawn_blocking(move || {
                one.write_all(PREFACE).and_then(|()| one.flush()).unwrap();
                let mut first = [0; 9];
                one.read_exact(&mut first).unwrap();
                one
            })
            .await
            .unwrap(),
        );
    }
    assert!(is_closed(&mut served.enemy().await.unwrap()).await, "beyond the enemy's share");
    served.serves_others().await;
    drop(held);
    served.close().await;
}
