//! How does the gateway open its doors, and close them?

use std::{
    future::Future,
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
};

use super::stop::Stop;
use crate::{
    certificates,
    config::Config,
    flight::{self, DoorLimits, ServerIdentity, Tls},
    gateway::Gateway,
    identity::Oidc,
    keys,
    record::Books,
    terms::Clock,
};

/// Run the gateway: the one door to the enclave. Prints `ready` when it answers; SIGINT and SIGTERM let questions under
/// way finish.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "What the process does is logged to standard error, never with data in it; \
SEKISHO_LOG=error|warn|info|debug|trace says how much.")]
pub struct Serve {
    /// The enclave's directory, made by `sekisho init`.
    #[arg(long, value_name = "D")]
    pub dir: PathBuf,
    /// Where to listen, instead of what sekisho.toml says; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub flight: Option<SocketAddr>,
}

/// Serves until a signal.
///
/// # Errors
/// [`Stop`] says what keeps the gateway from opening, or made it stop.
pub fn run(serve: &Serve, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Stop> {
    runtime()?.block_on(async {
        let open = Open::new(&serve.dir, serve.flight).await?;
        writeln!(out, "listening on {}", open.url())?;
        let mut serving = tokio::spawn(open.serve(asked_to_stop()?));
        writeln!(out, "ready")?;
        out.flush()?;
        let again = asked_to_stop()?;
        tokio::select! {
            ended = &mut serving => return ended.map_err(|_| Stop::Fault("the gateway stopped unexpectedly".into()))?,
            () = again => {}
        }
        writeln!(err, "finishing the questions under way; a second signal stops at once")?;
        tokio::select! {
            ended = serving => ended.map_err(|_| Stop::Fault("the gateway stopped unexpectedly".into()))?,
            // What was reserved stays charged: the next start settles it.
            () = asked_to_stop()? => Err(Stop::Said(1)),
            () = tokio::time::sleep(DRAIN_MAX) => Ok(()),
        }
    })
}

/// The runtime that answers: threads enough that a sign-in is heard while every core computes.
///
/// # Errors
/// [`Stop::Fault`] where the system gives no threads.
pub fn runtime() -> Result<Runtime, Stop> {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let built = Builder::new_multi_thread().worker_threads(cores.saturating_add(2)).enable_all().build();
    built.map_err(|fault| Stop::Fault(format!("no threads for the gateway: {fault}")))
}

/// A gateway with its books open and its port taken.
pub struct Open {
    gateway: Arc<Gateway>,
    listener: TcpListener,
    tls: Tls,
    folder: PathBuf,
    foreign: Vec<PathBuf>,
    address: SocketAddr,
}

impl Open {
    /// Opens books, data and port.
    ///
    /// # Errors
    /// [`Stop`], also where another gateway has the books.
    pub async fn new(directory: &Path, at: Option<SocketAddr>) -> Result<Self, Stop> {
        let config = Config::load(directory)?;
        let address = at.unwrap_or(config.flight);
        let folder = directory.join("keys");
        let keys = config.unlock(directory)?;
        let foreign = config.client_cas.clone();
        let tls = Tls::new(&identity(&folder, &foreign)?)?;
        // The port before the books: what follows can take long, and a port in use is the more likely mistake.
        let listener = TcpListener::bind(address)
            .await
            .map_err(|fault| Stop::Fault(format!("cannot listen on {address}: {fault}")))?;
        let address = listener.local_addr().map_err(|fault| Stop::Fault(format!("{address}: {fault}")))?;
        let books = Books::open(directory, &keys, Clock::of_the_machine())?;
        let mut gateway = Gateway::open(config.enclave, books, &keys, Clock::of_the_machine()).await?;
        if let Some(oidc) = config.oidc {
            gateway = gateway.believing(Oidc::new(oidc, Clock::of_the_machine())?);
        }
        tracing::info!(%address, "the gateway is open");
        Ok(Self { gateway: Arc::new(gateway), listener, tls, folder, foreign, address })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        format!("grpc+tls://{address}")
    }

    /// Answers until `stop` is done.
    ///
    /// # Errors
    /// [`Stop::Fault`] where the transport fails.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), Stop> {
        let renewing = tokio::spawn(renew(self.tls.clone(), self.folder, self.foreign));
        let served = flight::serve(self.gateway, self.listener, &self.tls, DoorLimits::default(), stop).await;
        renewing.abort();
        tracing::info!("the gateway is closed");
        served.map_err(Stop::from)
    }
}

/// Done when the process is asked to stop.
///
/// # Errors
/// [`Stop::Fault`] where signals cannot be heard.
pub fn asked_to_stop() -> Result<impl Future<Output = ()> + Send + 'static, Stop> {
    let deaf = |fault| Stop::Fault(format!("signals cannot be heard: {fault}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(deaf)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(deaf)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Puts certificates in force as they are replaced on disk. What cannot be used leaves those before as they were.
async fn renew(tls: Tls, folder: PathBuf, foreign: Vec<PathBuf>) {
    let mut before = identity(&folder, &foreign).ok();
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let (folder, foreign) = (folder.clone(), foreign.clone());
        let Ok(read) = tokio::task::spawn_blocking(move || identity(&folder, &foreign)).await else { continue };
        let now = match read {
            Ok(now) if before.as_ref() == Some(&now) => continue,
            Ok(now) => now,
            Err(stop) => {
                tracing::error!(reason = stop.words(), "the certificates on disk cannot be read; those before stay");
                continue;
            }
        };
        match tls.renew(&now) {
            Ok(()) => tracing::info!("new certificates are in force"),
            Err(fault) => tracing::error!(%fault, "the certificates on disk cannot be used; those before stay"),
        }
        before = Some(now);
    }
}

/// The certificates on disk.
fn identity(folder: &Path, foreign: &[PathBuf]) -> Result<ServerIdentity, Stop> {
    let public = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|fault| Stop::Fault(format!("{}: {fault}", path.display())))
    };
    let (certificate_pem, own_ca_pem) = (text(&folder.join("server.pem"))?, text(&folder.join("ca.pem"))?);
    if !certificates::check_server(&certificate_pem, &own_ca_pem, Clock::of_the_machine().now())? {
        tracing::warn!("keys/server.pem is not under keys/ca.pem: clients that trust ca.pem will not connect");
    }
    let revoked = foreign.iter().map(|ca| ca.with_extension("crl")).filter(|list| list.exists());
    Ok(ServerIdentity {
        certificate_pem,
        key_pem: text(&folder.join("server.key"))?,
        own_ca_pem,
        foreign_ca_pem: foreign.iter().map(public).collect::<Result<_, _>>()?,
        revoked_pem: revoked.map(|list| public(&list)).collect::<Result<_, _>>()?,
    })
}

/// The text of a secret file.
///
/// # Errors
/// [`Stop::Fault`] where it cannot be read, is open to others or is no text.
pub fn text(path: &Path) -> Result<String, Stop> {
    let secret = keys::read_secret(path)?;
    String::from_utf8(secret.to_vec()).map_err(|_| Stop::Fault(format!("{} is not PEM", path.display())))
}

/// How soon a certificate replaced on disk is in force.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// How long questions under way have after the first signal.
const DRAIN_MAX: Duration = Duration::from_secs(60);
