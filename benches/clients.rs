//! What does the gateway add to a question, with 1, 16 and 256 clients, and what does an idle session take?
//!
//! The program as in service, `sekisho serve`, reached over TLS by real Flight SQL clients, each with a connection and a
//! session of its own. The population is small, so that the engine's part is. `SEKISHO_BENCH_SECONDS` (5) for each line,
//! `SEKISHO_BENCH_CLIENTS` ("1 16 256"), `SEKISHO_BENCH_SESSIONS` (1000).
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement stops at its first fault and prints its figures"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arrow_flight::flight_service_client::FlightServiceClient;
use futures::{StreamExt, TryStreamExt, stream};
use sekisho::cli::client::Client;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

#[expect(dead_code, reason = "the soak uses more of it")]
#[path = "../tests/program.rs"]
mod program;
use program::{Footprint, PASSWORD, Program, sign_in};

const PERSONS: u64 = 1_000;
const PERMIT: &str = "P-BENCH";
/// So many sessions an account; at 32 the oldest would be ended.
const SESSIONS_PER_ACCOUNT: usize = 24;
/// From one address come so many connections at most.
const CONNECTIONS_PER_ADDRESS: usize = 200;

#[derive(Debug, Clone, Copy)]
enum Asking {
    /// A health check: network, TLS and HTTP/2, no session and no question.
    Nothing,
    /// What privacy allows whom: metadata, answered without the engine.
    Tables,
    /// About nobody.
    Public,
    /// Asked and paid for before.
    Kept,
    /// New each time.
    Charged,
}

impl Asking {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Nothing, "nothing (a health check)"),
        (Self::Tables, "the list of tables"),
        (Self::Public, "a public question"),
        (Self::Kept, "a kept question"),
        (Self::Charged, "a charged question"),
    ];
}

/// One client with a connection and a session of its own.
#[derive(Clone)]
struct Visitor {
    client: Client,
    health: HealthClient<tonic::transport::Channel>,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measured());
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

async fn measured() {
    let seconds = setting("SEKISHO_BENCH_SECONDS", 5);
    let sessions = usize::try_from(setting("SEKISHO_BENCH_SESSIONS", 1_000)).unwrap();
    let crowds = std::env::var("SEKISHO_BENCH_CLIENTS").unwrap_or_else(|_| "1 16 256".into());
    let crowds: Vec<usize> = crowds.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let program = Arc::new(Program::serve(PERSONS, 1_000.0, "[engine]\nwaiting_max = 1024\n"));
    let most = crowds.iter().copied().max().unwrap_or(0).max(sessions).max(2 * SESSIONS_PER_ACCOUNT);
    let analysts: Vec<String> = (0..most.div_ceil(SESSIONS_PER_ACCOUNT)).map(|n| format!("analyst{n}")).collect();
    program.admit(PERMIT, &analysts, 500.0).await;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!(
        "{cores} cores, which the clients share; {PERSONS} persons; {seconds} s a line; times as a client sees them"
    );
    println!(
        "{:<28} {:>8} {:>10} {:>10} {:>10} {:>10}",
        "asked", "clients", "a second", "p50 ms", "p99 ms", "worst ms"
    );
    let next = Arc::new(AtomicU64::new(1));
    for crowd in crowds {
        let visitors = visitors(&program, &analysts, crowd).await;
        for (asking, name) in Asking::ALL {
            asked(&visitors, asking, name, Duration::from_secs(seconds), &next).await;
        }
        for visitor in visitors {
            visitor.client.sign_out().await.unwrap();
        }
        // The door counts connections until it has seen them close.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    idle(&program, &analysts, sessions).await;
}

/// Clients that have signed in, spread over accounts.
async fn visitors(program: &Arc<Program>, analysts: &[String], crowd: usize) -> Vec<Visitor> {
    let come = |n: usize| {
        let (program, name) = (Arc::clone(program), analysts[n % analysts.len()].clone());
        async move {
            let client = Client::connect(&program.to(&name)).await.unwrap();
            client.set("sekisho.permit", PERMIT).await.unwrap();
            client.set("sekisho.epsilon", "0.001").await.unwrap();
            client
        }
    };
    let clients: Vec<Client> = stream::iter(0..crowd).map(come).buffered(8).collect().await;
    // A few further connections carry the health checks. Where nobody signs in, they would be closed in time.
    let mut health = vec![];
    for n in 0..crowd.min(16) {
        let channel = program.channel(format!("127.0.0.{}", 2 + n % 4).parse().unwrap()).await.unwrap();
        sign_in(&FlightServiceClient::new(channel.clone()), &analysts[n % analysts.len()], PASSWORD).await.unwrap();
        health.push(HealthClient::new(channel));
    }
    let with_health = |(n, client): (usize, Client)| Visitor { client, health: health[n % health.len()].clone() };
    clients.into_iter().enumerate().map(with_health).collect()
}

async fn asked(visitors: &[Visitor], asking: Asking, name: &str, long: Duration, next: &Arc<AtomicU64>) {
    // Once beforehand: what is kept has to be bought, and caches be filled, by somebody.
    visit(&mut visitors[0].clone(), asking, next).await;
    let begun = Instant::now();
    let busy = visitors.iter().map(|visitor| {
        let (mut visitor, next) = (visitor.clone(), Arc::clone(next));
        tokio::spawn(async move {
            let mut times = vec![];
            while begun.elapsed() < long {
                let one = Instant::now();
                visit(&mut visitor, asking, &next).await;
                times.push(one.elapsed());
            }
            times
        })
    });
    let mut times = vec![];
    for task in busy.collect::<Vec<_>>() {
        times.extend(task.await.unwrap());
    }
    let elapsed = begun.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |thousandth: usize| times[(times.len() * thousandth / 1000).min(times.len() - 1)].as_secs_f64() * 1e3;
    let rate = f64::from(u32::try_from(times.len()).unwrap()) / elapsed;
    let crowd = visitors.len();
    println!("{name:<28} {crowd:>8} {rate:>10.0} {:>10.2} {:>10.2} {:>10.2}", at(500), at(990), at(1000));
}

async fn visit(visitor: &mut Visitor, asking: Asking, next: &AtomicU64) {
    let asked = match asking {
        Asking::Nothing => {
            visitor.health.check(HealthCheckRequest { service: String::new() }).await.unwrap();
            return;
        }
        Asking::Tables => visitor.client.tables().await,
        Asking::Public => visitor.client.query("SELECT COUNT(*) FROM vocab.concept WHERE concept_id = 8507").await,
        Asking::Kept => visitor.client.query("SELECT COUNT(*) AS n FROM demo.person").await,
        Asking::Charged => {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let sql = format!("SELECT COUNT(*) AS n FROM demo.person WHERE year_of_birth + {n} > {}", 1950 + n);
            visitor.client.query(&sql).await
        }
    };
    asked.unwrap();
}

/// What sessions take that nobody uses: without a connection, and with one each.
async fn idle(program: &Arc<Program>, analysts: &[String], sessions: usize) {
    // Signing in takes memory for the hash of a password; a few first, so that only sessions are seen after.
    signed_in(program, &analysts[..1], SESSIONS_PER_ACCOUNT).await;
    let before = settled(program).await;
    let operator = program.client("operator").await;
    let open = || async {
        let listed = operator.administer("session.list", serde_json::Value::Null).await.unwrap();
        listed.as_array().unwrap().len()
    };
    let had = open().await;
    let begun = Instant::now();
    signed_in(program, &analysts[1..], sessions.saturating_sub(SESSIONS_PER_ACCOUNT)).await;
    let took = begun.elapsed();
    let (more, after) = (open().await - had, settled(program).await);
    said("idle sessions without a connection", more, before, after);
    println!("  signed in in {:.1} s, passwords hashed two at once", took.as_secs_f64());
    let mut doors = vec![];
    let connections = sessions.min(2 * CONNECTIONS_PER_ADDRESS);
    for n in 0..connections {
        let from = format!("127.0.0.{}", 5 + n / CONNECTIONS_PER_ADDRESS);
        let door = program.door(from.parse().unwrap()).await.unwrap();
        sign_in(&door, &analysts[n % analysts.len()], PASSWORD).await.unwrap();
        doors.push(door);
    }
    said("idle sessions with a connection each", connections, after, settled(program).await);
}

async fn signed_in(program: &Arc<Program>, analysts: &[String], sessions: usize) {
    let come = |n: usize| {
        let (program, name) = (Arc::clone(program), analysts[n % analysts.len()].clone());
        async move { Client::connect(&program.to(&name)).await.map(drop) }
    };
    stream::iter(0..sessions).map(come).buffer_unordered(8).try_collect::<Vec<()>>().await.unwrap();
}

/// What the gateway takes once it has come to rest.
async fn settled(program: &Program) -> Footprint {
    tokio::time::sleep(Duration::from_secs(3)).await;
    program.footprint()
}

fn said(what: &str, sessions: usize, before: Footprint, after: Footprint) {
    let grown = after.kib.saturating_sub(before.kib);
    let each = grown / u64::try_from(sessions).unwrap().max(1);
    println!(
        "{sessions} {what}: {} MiB before, {} MiB after, {each} KiB each; {} handles before, {} after",
        before.kib >> 10,
        after.kib >> 10,
        before.handles,
        after.handles
    );
}
