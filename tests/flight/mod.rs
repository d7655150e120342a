//! Does the door hold on a real network?
//!
//! A gateway of the stories behind its own Flight server with TLS, on a port of its own; friends come by 127.0.0.1 and
//! enemies by 127.0.0.2, as two machines would.

mod certificates;
mod garbage;
mod hostile;
mod protocol;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use sekisho::{
    certificates::{Certificates, issue},
    cli::client::{Client, ClientFault, ConnectTo},
    flight::{DoorLimits, ServerIdentity, Tls, serve},
    terms::Clock,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

use super::gateway::house::{House, PASSWORD};

const SHORT: &str = "SELECT COUNT(*) AS n FROM demo.person";
const ENEMY: &str = "127.0.0.2:0";

/// A house behind its door.
struct Served {
    house: House,
    address: SocketAddr,
    certificates: Certificates,
    tls: Tls,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

fn identity(certificates: &Certificates) -> ServerIdentity {
    ServerIdentity {
        certificate_pem: certificates.server.pem.clone(),
        key_pem: certificates.server.key_pem.clone(),
        own_ca_pem: certificates.ca_pem.clone(),
        ..ServerIdentity::default()
    }
}

impl Served {
    async fn new(limits: DoorLimits) -> Self {
        let house = House::new().await;
        let certificates = issue("stories", &[], Clock::of_the_machine().now()).unwrap();
        let tls = Tls::new(&identity(&certificates)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (gateway, own) = (Arc::clone(&house.gateway), tls.clone());
        let serving = tokio::spawn(async move {
            let stopped = async move { drop(stopped.await) };
            serve(gateway, listener, &own, limits, stopped).await.unwrap();
        });
        Self { house, address, certificates, tls, stop: Some(stop), serving: Some(serving) }
    }

    fn to(&self, user: &str) -> ConnectTo {
        ConnectTo {
            url: format!("grpc+tls://{}", self.address),
            ca_pem: self.certificates.ca_pem.clone(),
            user: user.into(),
            password: PASSWORD.into(),
            permit: None,
            certificate: None,
        }
    }

    async fn client(&self, user: &str) -> Client {
        Client::connect(&self.to(user)).await.unwrap()
    }

    /// Somebody well-behaved is served, soon.
    async fn serves_others(&self) {
        let served = async {
            let client = self.client("hanako").await;
            client.with_setting("permit", "P-WIDE").unwrap().query(SHORT).await.unwrap()
        };
        let (_, batches) = tokio::time::timeout(Duration::from_secs(20), served).await.expect("others wait too long");
        assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
    }

    /// A connection of the enemy's machine.
    async fn enemy(&self) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(ENEMY.parse().unwrap())?;
        socket.connect(self.address).await
    }

    /// Closes the door and waits for it.
    async fn close(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        let serving = self.serving.take().unwrap();
        tokio::time::timeout(Duration::from_secs(30), serving).await.expect("the door does not close").unwrap();
    }
}

fn code(fault: &ClientFault) -> &str {
    match fault {
        ClientFault::Refused { code, .. } => code,
        other => panic!("{other}"),
    }
}
