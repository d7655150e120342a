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
    task::JoinHandle,
};

use super::stop::Stop;
use crate::{
    certificates,
    config::{self, Config, LogConfig},
    flight::{self, DoorLimits, ServerIdentity, Tls},
    gateway::Gateway,
    identity::Oidc,
    keys,
    record::{Books, Held},
    telemetry::{self, Figures, Level, Traces},
    terms::Clock,
    witness::{Publisher, newest_known},
};

/// Run the gateway: the one door to the enclave. Prints `ready` when it answers; SIGINT and SIGTERM let questions under
/// way finish.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = LOGGING, after_long_help = settings())]
pub struct Serve {
    /// The enclave's directory, made by `sekisho init`.
    #[arg(long, value_name = "D")]
    pub dir: PathBuf,
    /// Where to listen, instead of what sekisho.toml says; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub flight: Option<SocketAddr>,
    /// How long questions under way have to finish after the first signal.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub drain_seconds: u64,
    /// Start although the newest entry of the books is later than the machine's clock: that clock was wrong and is right
    /// now. Recorded.
    #[arg(long)]
    pub clock_is_right: bool,
}

const LOGGING: &str = "What the process does is logged to standard error, never with data in it; \
SEKISHO_LOG=error|warn|info|debug|trace says how much, SEKISHO_LOG_FORMAT=json in objects, one a line.";

/// What `--help` says besides: every setting, and whether it is trusted.
fn settings() -> String {
    let line = |setting: &config::Setting| {
        let trusted = if setting.trusted == config::Trusted::Yes { "trusted  " } else { "untrusted" };
        format!("  {trusted} {:<31} {}\n", format!("{} {}", setting.table, setting.name), setting.says)
    };
    let lines: String = config::SETTINGS.iter().map(line).collect();
    format!(
        "{LOGGING}\n\nSettings in D/sekisho.toml. Whoever can change a trusted one can break the guarantee; an untrusted one \
         changes form or speed alone:\n\n{lines}"
    )
}

/// Serves until a signal.
///
/// # Errors
/// [`Stop`] says what keeps the gateway from opening, or made it stop.
pub fn run(serve: &Serve, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Stop> {
    runtime()?.block_on(async {
        let traces = Config::load(&serve.dir)?.traces.as_deref().map(Traces::to).transpose()?;
        telemetry::start(Level::Info, traces.as_ref());
        let served = until_stopped(serve, out, err).await;
        if let Some(traces) = traces {
            // What is not sent by then is dropped.
            let _sent = tokio::task::spawn_blocking(move || traces.end()).await;
        }
        served
    })
}

async fn until_stopped(serve: &Serve, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Stop> {
    let open = Open::at_this_time(&serve.dir, serve.flight, serve.clock_is_right).await?;
    writeln!(out, "listening on {}", open.url())?;
    if let Some(address) = open.scraped_at() {
        writeln!(out, "figures on http://{address}/metrics")?;
    }
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
        () = tokio::time::sleep(Duration::from_secs(serve.drain_seconds)) => {
            writeln!(err, "stopped after {} s with questions under way: their charges stand", serve.drain_seconds)?;
            Ok(())
        }
    }
}

/// The runtime that answers: threads enough that a sign-in is heard while every core computes.
///
/// # Errors
/// [`Stop::Fault`] where the system gives no threads.
pub fn runtime() -> Result<Runtime, Stop> {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let mut threads = Builder::new_multi_thread();
    let built = threads.worker_threads(cores.saturating_add(2)).thread_stack_size(STACK_BYTES).enable_all().build();
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
    publisher: Arc<Publisher>,
    books: Books,
    figures: Option<(TcpListener, SocketAddr, Figures)>,
}

impl Open {
    /// Opens books, data and port.
    ///
    /// # Errors
    /// [`Stop`], also where another gateway has the books.
    pub async fn new(directory: &Path, at: Option<SocketAddr>) -> Result<Self, Stop> {
        Self::at_this_time(directory, at, false).await
    }

    /// The same, and with `clock_is_right` also where the books have entries of a later time.
    async fn at_this_time(directory: &Path, at: Option<SocketAddr>, clock_is_right: bool) -> Result<Self, Stop> {
        let config = Config::load(directory)?;
        let address = at.unwrap_or(config.flight);
        let folder = directory.join("keys");
        let keys = config.unlock(directory)?;
        let foreign = config.client_cas.clone();
        let tls = Tls::new(&identity(&folder, &foreign)?)?;
        // The port before the books: what follows can take long, and a port in use is the more likely mistake.
        let (listener, address) = bound(address).await?;
        let figures = match config.metrics {
            Some(metrics) => {
                let (listener, address) = bound(metrics.listen).await?;
                Some((listener, address, Figures::collect(metrics.seen_by, Clock::of_the_machine().now())?))
            }
            None => None,
        };
        let books = Books::open_by(directory, &keys, Clock::of_the_machine(), clock_is_right)?
            .publishing_every(config.log.every)
            .charging_per_interval(config.log.interval_share);
        let (books, publisher) = watched(books, directory, config.log).await?;
        let mut gateway = Gateway::open(config.enclave, books.clone(), &keys, Clock::of_the_machine()).await?;
        if let Some(oidc) = config.oidc {
            gateway = gateway.believing(Oidc::new(oidc, Clock::of_the_machine())?);
        }
        tracing::info!(%address, "the gateway is open");
        Ok(Self { gateway: Arc::new(gateway), listener, tls, folder, foreign, address, publisher, books, figures })
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

    /// Where figures are scraped, if they are.
    #[must_use]
    pub fn scraped_at(&self) -> Option<SocketAddr> {
        self.figures.as_ref().map(|(_, address, _)| *address)
    }

    /// Answers until `stop` is done.
    ///
    /// # Errors
    /// [`Stop::Fault`] where the transport fails.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), Stop> {
        let scraping = self.figures.map(|(listener, _, figures)| {
            let (gateway, books) = (Arc::clone(&self.gateway), self.books);
            let look_up = move || telemetry::look_up(&gateway, &books);
            tokio::spawn(telemetry::serve_figures(listener, figures, look_up, std::future::pending()))
        });
        let publishing = tokio::spawn(self.publisher.run());
        let renewing = tokio::spawn(renew(self.tls.clone(), self.folder, self.foreign));
        let served = flight::serve(self.gateway, self.listener, &self.tls, DoorLimits::default(), stop).await;
        renewing.abort();
        publishing.abort();
        scraping.iter().for_each(JoinHandle::abort);
        tracing::info!("the gateway is closed");
        served.map_err(Stop::from)
    }
}

/// A port of ours, and where it is.
async fn bound(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Stop> {
    let taken = |fault| {
        let fix = "stop what listens there, or say another one: --flight ADDRESS:PORT, or [listen] in sekisho.toml";
        Stop::Fault(format!("cannot listen on {address}: {fault}; {fix}"))
    };
    let listener = TcpListener::bind(address).await.map_err(taken)?;
    let address = listener.local_addr().map_err(taken)?;
    Ok((listener, address))
}

/// Holds the books against the newest checkpoint known elsewhere before anything else happens, and makes what publishes
/// the next ones.
async fn watched(books: Books, directory: &Path, log: LogConfig) -> Result<(Books, Arc<Publisher>), Stop> {
    let folder = directory.join("log");
    let known = folder.join("totals");
    tokio::task::spawn_blocking(move || {
        let files: Vec<&Path> = [Some(known.as_path()), log.outside.as_deref()].into_iter().flatten().collect();
        if let Some(note) = newest_known(&books.verifier(), &files, &log.witnesses) {
            let held = books.hold_against(&note)?;
            if held != Held::Current {
                tracing::error!(
                    ?held,
                    "the books are older than what was seen of them: nothing is answered until an \
                    operator and an auditor have acknowledged it (sekisho audit restored)"
                );
            }
        }
        let clock = Clock::of_the_machine();
        let publisher = Publisher::new(books.clone(), folder, log.outside, log.witnesses, clock);
        Ok((books, Arc::new(publisher)))
    })
    .await
    .map_err(|_| Stop::Fault("the books could not be held against what was published".into()))?
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

/// The stack of a thread that answers: one that overflows ends the whole process, and a call is deep. Only what is used of it
/// is memory.
const STACK_BYTES: usize = 16 << 20;
/// How soon a certificate replaced on disk is in force.
const RENEW_EVERY: Duration = Duration::from_secs(2);
