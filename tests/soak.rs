//! Does the gateway stay the same size under hours of mixed load, and do its books verify afterwards?
//!
//! The program as in service, and everybody at once: askers of new and of known questions, refused ones, EXPLAIN and
//! metadata, prepared questions, callers who give up, sessions that open and close, wrong passwords, slow readers,
//! connections broken off. `SEKISHO_SOAK_SECONDS` (20) is how long; 3600 is the whole soak.

use std::{
    collections::BTreeMap,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arrow_flight::{
    FlightDescriptor, Ticket,
    flight_service_client::FlightServiceClient,
    sql::{CommandStatementQuery, ProstMessageExt},
};
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use prost::Message;
use sekisho::{
    cli::client::{Client, ClientFault},
    config::Config,
    flight::CODE_HEADER,
    record::{Books, verify_export},
    terms::Clock,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
};
use tonic::{Request, Status, transport::Channel};

use super::{
    program::{Footprint, PASSWORD, Program, sign_in},
    say,
};

const PERMIT: &str = "P-SOAK";
/// Rows of nobody, many and free.
const MANY: &str = "SELECT a.* FROM demo_sample.measurement a, demo_sample.visit_occurrence b";
const KNOWN: [&str; 5] = [
    "SELECT COUNT(*) AS n FROM demo.person",
    "SELECT gender_concept_id, COUNT(*) AS n FROM demo.person GROUP BY 1",
    "SELECT gender_concept_id, AVG(year_of_birth) AS y FROM demo.person GROUP BY 1",
    "SELECT COUNT(DISTINCT person_id) AS n FROM demo.condition_occurrence",
    "SELECT visit_concept_id, COUNT(*) AS n FROM demo.visit_occurrence GROUP BY 1",
];
/// What is refused, and with which word.
const BAD: [(&str, &str); 8] = [
    ("SELECT * FROM demo.person", "rows_not_released"),
    ("SELEC 1", "not_sql"),
    ("DROP TABLE demo.person", "not_a_question"),
    ("SELECT COUNT(*) FROM demo.nowhere", "unknown_table"),
    ("SELECT nothing FROM demo.person", "unknown_column"),
    ("SELECT AVG(value_as_number) FROM demo.measurement", "bound_missing"),
    ("SELECT COUNT(*) FROM demo.person WHERE random() < 0.5", "function_not_allowed"),
    ("SET sekisho.epsilon = 'much'", "unknown_setting"),
];
/// Growth of the memory from the second quarter to the last that is no leak: the allocator's own coming and going.
const MEMORY_SLACK_KIB: u64 = 48 << 10;
/// The same for handles: connections that happen to be open when one looks, and readers of the books.
const HANDLES_SLACK: u64 = 24;
/// What the books keep open for their next readers: eight connections of three files.
const READERS_HANDLES: u64 = 24;

/// How every call ended, by who made it.
#[derive(Default)]
struct Seen {
    ends: Mutex<BTreeMap<(&'static str, String), u64>>,
    wrong: Mutex<Vec<String>>,
}

impl Seen {
    /// Counts one call; its end must be one of `expected`.
    fn end(&self, who: &'static str, end: &str, expected: &[&str]) {
        *self.ends.lock().unwrap().entry((who, end.to_owned())).or_default() += 1;
        if !expected.contains(&end) {
            self.wrong.lock().unwrap().push(format!("{who}: {end}"));
        }
    }
}

/// One scene of the soak, shared by all who act in it.
#[derive(Clone)]
struct Scene {
    program: Arc<Program>,
    seen: Arc<Seen>,
    next: Arc<AtomicU64>,
    until: Instant,
}

fn end_of<T>(outcome: &Result<T, ClientFault>) -> String {
    match outcome {
        Ok(_) => "answered".into(),
        Err(ClientFault::Refused { code, .. }) => code.clone(),
        Err(other) => other.to_string(),
    }
}

fn end_of_call<T>(outcome: &Result<T, Status>) -> String {
    match outcome {
        Ok(_) => "answered".into(),
        Err(status) => match status.metadata().get(CODE_HEADER).and_then(|code| code.to_str().ok()) {
            Some(code) => code.to_owned(),
            None => format!("not in our words: {status}"),
        },
    }
}

fn descriptor(sql: &str) -> FlightDescriptor {
    let command = CommandStatementQuery { query: sql.into(), transaction_id: None };
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

fn signed<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

async fn ticket(door: &FlightServiceClient<Channel>, token: &str, sql: &str) -> Result<Ticket, Status> {
    let info = door.clone().get_flight_info(signed(descriptor(sql), token)).await?.into_inner();
    Ok(info.endpoint[0].ticket.clone().unwrap())
}

impl Scene {
    fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    /// A question that nobody asked before.
    fn new_question(&self) -> String {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        format!("SELECT COUNT(*) AS n FROM demo.person WHERE year_of_birth + {n} > {}", 1950 + n)
    }

    async fn analyst(&self, name: &str) -> Client {
        let client = self.program.client(name).await;
        client.set("sekisho.permit", PERMIT).await.unwrap();
        client.set("sekisho.epsilon", "0.0005").await.unwrap();
        client
    }

    async fn asks_new_questions(self, name: String) {
        let client = self.analyst(&name).await;
        while self.goes_on() {
            let asked = client.query(&self.new_question()).await;
            self.seen.end("new questions", &end_of(&asked), &["answered", "busy"]);
        }
    }

    async fn asks_known_questions(self, name: String) {
        let client = self.analyst(&name).await;
        for n in 0.. {
            if !self.goes_on() {
                break;
            }
            let asked = client.query(KNOWN[n % KNOWN.len()]).await;
            self.seen.end("known questions", &end_of(&asked), &["answered", "busy"]);
        }
    }

    async fn refused(self, name: String) {
        let client = self.analyst(&name).await;
        for n in 0.. {
            if !self.goes_on() {
                break;
            }
            let (sql, code) = BAD[n % BAD.len()];
            self.seen.end("refused", &end_of(&client.query(sql).await), &[code]);
        }
    }

    async fn looks_around(self, name: String) {
        let client = self.analyst(&name).await;
        let one = |n: i64| {
            let column: ArrayRef = Arc::new(Int64Array::from(vec![n]));
            RecordBatch::try_from_iter([("1", column)]).unwrap()
        };
        while self.goes_on() {
            let explained =
                client.query("EXPLAIN SELECT gender_concept_id, COUNT(*) FROM demo.person GROUP BY 1").await;
            self.seen.end("EXPLAIN", &end_of(&explained), &["answered"]);
            self.seen.end("metadata", &end_of(&client.tables().await), &["answered"]);
            for sql in ["SELECT * FROM sekisho.my_budget", "SELECT COUNT(*) FROM sekisho.columns", "SHOW ALL"] {
                self.seen.end("metadata", &end_of(&client.query(sql).await), &["answered"]);
            }
            let prepared = client.prepare("SELECT COUNT(*) FROM demo_sample.person WHERE year_of_birth > $1").await;
            let Ok(prepared) = prepared else {
                self.seen.end("prepared", &end_of(&prepared), &["answered"]);
                continue;
            };
            for year in [1950, 1960, 1970] {
                let asked = client.query_prepared(&prepared, Some(one(year))).await;
                self.seen.end("prepared", &end_of(&asked), &["answered"]);
            }
            self.seen.end("prepared", &end_of(&client.close_prepared(prepared).await), &["answered"]);
        }
    }

    /// Asks what is charged and is gone before it is answered.
    async fn gives_up(self, name: String) {
        let client = self.analyst(&name).await;
        for n in 0_u64.. {
            if !self.goes_on() {
                break;
            }
            let sql = self.new_question();
            let patience = Duration::from_millis(n * 7 % 40);
            match tokio::time::timeout(patience, client.query(&sql)).await {
                Ok(asked) => self.seen.end("given up", &end_of(&asked), &["answered", "busy"]),
                Err(_) => self.seen.end("given up", "left", &["left"]),
            }
            // What was left behind still runs: not so many that nobody else finds a place.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn comes_and_goes(self, name: String) {
        while self.goes_on() {
            let came = Client::connect(&self.program.to(&name)).await;
            self.seen.end("sign-in", &end_of(&came), &["answered", "busy"]);
            let Ok(client) = came else { continue };
            client.set("sekisho.permit", PERMIT).await.unwrap();
            self.seen.end("short session", &end_of(&client.query(KNOWN[0]).await), &["answered", "busy"]);
            // Every other one leaves without a word.
            if self.next.load(Ordering::Relaxed).is_multiple_of(2) {
                self.seen.end("sign-out", &end_of(&client.sign_out().await), &["answered"]);
            }
        }
    }

    async fn guesses_passwords(self) {
        let door = self.program.door("127.0.0.3".parse().unwrap()).await.unwrap();
        for n in 0_u64.. {
            if !self.goes_on() {
                break;
            }
            let name = if n.is_multiple_of(3) { "operator".into() } else { format!("nobody{}", n % 50) };
            let guessed = sign_in(&door, &name, &format!("{PASSWORD} or not {n}")).await;
            let expected = ["not_signed_in", "too_many_attempts", "busy"];
            match end_of_call(&guessed) {
                // A connection on which nobody signs in is closed in time: that is as it should be.
                closed if closed.starts_with("not in our words") => {
                    self.seen.end("wrong password", "connection closed", &["connection closed"]);
                }
                end => self.seen.end("wrong password", &end, &expected),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Takes one message of a long answer and then nothing, and leaves.
    async fn reads_slowly(self, name: String) {
        let from = "127.0.0.4".parse().unwrap();
        let door = self.program.door(from).await.unwrap();
        let token = sign_in(&door, &name, PASSWORD).await.unwrap();
        while self.goes_on() {
            let door = self.program.door(from).await.unwrap();
            let reads = async {
                let ticket = ticket(&door, &token, MANY).await?;
                let mut answer = door.clone().do_get(signed(ticket, &token)).await?.into_inner();
                answer.message().await?;
                tokio::time::sleep(Duration::from_millis(300)).await;
                Ok::<_, Status>(())
            };
            self.seen.end("slow reader", &end_of_call(&reads.await), &["answered", "busy"]);
        }
    }

    /// Connections broken off at any point before a word is said.
    async fn hangs_up(self) {
        let hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
        let address: SocketAddr = self.program.to("").url.trim_start_matches("grpc+tls://").parse().unwrap();
        let connect = || async {
            let socket = TcpSocket::new_v4()?;
            socket.bind("127.0.0.2:0".parse().unwrap())?;
            socket.connect(address).await
        };
        for n in 0_usize.. {
            if !self.goes_on() {
                break;
            }
            let Ok::<TcpStream, _>(mut stream) = connect().await else {
                self.seen.end("broken off", "not let in", &["not let in"]);
                continue;
            };
            // The server may have closed it by now: that is its right.
            let _refused = stream.write_all(&hello[..n % (hello.len() + 1)]).await;
            self.seen.end("broken off", "let in", &["let in"]);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn oversees(self) {
        let operator = self.program.client("operator").await;
        let reviewer = self.program.client("reviewer").await;
        while self.goes_on() {
            let listed = operator.administer("session.list", serde_json::Value::Null).await;
            self.seen.end("administration", &end_of(&listed), &["answered"]);
            let listed = reviewer.administer("permit.list", serde_json::Value::Null).await;
            self.seen.end("administration", &end_of(&listed), &["answered"]);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn watched(self) -> Vec<Footprint> {
        let mut all = vec![];
        while self.goes_on() {
            all.push(self.program.footprint());
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        all
    }
}

/// The middle value of `figure` over a part of what was watched.
fn middle(part: &[Footprint], figure: impl Fn(&Footprint) -> u64) -> u64 {
    let mut figures: Vec<u64> = part.iter().map(figure).collect();
    figures.sort_unstable();
    figures[figures.len() / 2]
}

fn spawned(tasks: &mut Vec<tokio::task::JoinHandle<()>>, act: impl Future<Output = ()> + Send + 'static) {
    tasks.push(tokio::spawn(act));
}

#[test]
fn under_mixed_load_memory_and_handles_stay_flat_and_the_books_verify() {
    let seconds: u64 = std::env::var("SEKISHO_SOAK_SECONDS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    // Not on the test harness's own thread of control: the clients take threads of their own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let program = runtime.block_on(async {
        let program = Program::serve(1_000, 1_000.0, "");
        let analysts: Vec<String> = (0..10).map(|n| format!("analyst{n}")).collect();
        program.admit(PERMIT, &analysts, 500.0).await;
        program
    });
    let before = program.footprint();
    let program = runtime.block_on(soak(program, Duration::from_secs(seconds)));
    // Everybody has gone. What is left of them goes with them, soon.
    let gone = Instant::now();
    let most = before.handles + READERS_HANDLES;
    while program.footprint().handles > most && gone.elapsed() < Duration::from_secs(40) {
        std::thread::sleep(Duration::from_millis(100));
    }
    let left = program.footprint();
    say(&format!("  when all have gone: {} MiB, {} handles, {} threads", left.kib >> 10, left.handles, left.threads));
    assert!(left.handles <= most, "handles that nobody holds: {before:?}, now {left:?}");
    runtime.block_on(books_verify(program));
}

async fn soak(program: Program, long: Duration) -> Program {
    let begun = Instant::now();
    let (seen, next) = (Arc::new(Seen::default()), Arc::new(AtomicU64::new(1)));
    let scene = Scene { program: Arc::new(program), seen, next, until: begun + long };
    let watched = tokio::spawn(scene.clone().watched());
    let mut tasks = vec![];
    for n in 0..3 {
        spawned(&mut tasks, scene.clone().asks_new_questions(format!("analyst{n}")));
        spawned(&mut tasks, scene.clone().asks_known_questions(format!("analyst{}", n + 3)));
    }
    spawned(&mut tasks, scene.clone().refused("analyst6".into()));
    spawned(&mut tasks, scene.clone().looks_around("analyst6".into()));
    spawned(&mut tasks, scene.clone().gives_up("analyst7".into()));
    spawned(&mut tasks, scene.clone().comes_and_goes("analyst8".into()));
    spawned(&mut tasks, scene.clone().guesses_passwords());
    spawned(&mut tasks, scene.clone().reads_slowly("analyst9".into()));
    spawned(&mut tasks, scene.clone().hangs_up());
    spawned(&mut tasks, scene.clone().oversees());
    for task in tasks {
        task.await.unwrap();
    }
    let watched = watched.await.unwrap();
    let ends = scene.seen.ends.lock().unwrap().clone();
    let calls: u64 = ends.values().sum();
    say(&format!("soak: {calls} calls in {:.0} s", begun.elapsed().as_secs_f64()));
    for ((who, end), times) in &ends {
        say(&format!("  {who:<16} {end:<24} {times:>8}"));
    }
    let quarter = watched.len() / 4;
    let quarters: Vec<&[Footprint]> = watched.chunks(quarter.max(1)).take(4).collect();
    for (n, part) in quarters.iter().enumerate() {
        let (kib, handles, threads) =
            (middle(part, |f| f.kib), middle(part, |f| f.handles), middle(part, |f| f.threads));
        say(&format!("  quarter {}: {} MiB, {handles} handles, {threads} threads", n + 1, kib >> 10));
    }
    assert!(quarters.len() == 4 && quarter >= 4, "too short to see anything");
    let wrong = scene.seen.wrong.lock().unwrap().clone();
    assert!(
        wrong.is_empty(),
        "{} calls ended as none should, the first: {:?}",
        wrong.len(),
        &wrong[..wrong.len().min(5)]
    );
    for who in [
        "new questions",
        "known questions",
        "refused",
        "EXPLAIN",
        "metadata",
        "prepared",
        "given up",
        "sign-in",
        "short session",
        "wrong password",
        "slow reader",
        "broken off",
        "administration",
    ] {
        assert!(ends.keys().any(|(did, _)| *did == who), "{who}: nobody came to it");
    }
    // The first quarter fills what is filled once: caches, pools, the kept answers of the known questions.
    let (early, late) = (quarters[1], quarters[3]);
    let (was, is) = (middle(early, |f| f.kib), middle(late, |f| f.kib));
    assert!(is <= was + was / 20 + MEMORY_SLACK_KIB, "memory grew from {was} to {is} KiB");
    let (was, is) = (middle(early, |f| f.handles), middle(late, |f| f.handles));
    assert!(is <= was + HANDLES_SLACK, "handles grew from {was} to {is}");
    drop(scene.seen);
    Arc::into_inner(scene.program).unwrap()
}

async fn books_verify(mut program: Program) {
    let auditor = program.client("auditor").await;
    let done = auditor.administer("audit.export", serde_json::json!({"name": "after"})).await.unwrap();
    let folder = std::path::PathBuf::from(done["folder"].as_str().unwrap());
    drop(auditor);
    let status = program.end();
    assert!(status.success(), "{status}: {}", program.said());
    let verified = verify_export(&folder, None).unwrap();
    assert_eq!(verified.totals.open, Vec::<u64>::new(), "every charge has its end, also of those who gave up");
    let keys = Config::load(&program.dir()).unwrap().unlock(&program.dir()).unwrap();
    let books = Books::open(&program.dir(), &keys, Clock::of_the_machine()).unwrap();
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for entry in books.entries(0..u64::MAX).unwrap() {
        let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
        *kinds.entry(body["kind"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    say(&format!("  books of {} entries verify: {kinds:?}", verified.size));
    let of = |kind: &str| kinds.get(kind).copied().unwrap_or(0);
    assert_eq!((of("failure"), of("recovered")), (0, 0), "{}", program.said());
    assert_eq!((of("admission"), of("release")), (verified.charges, verified.charges));
    let all: u64 = std::fs::read_to_string(folder.join("entries.jsonl")).unwrap().lines().count() as u64;
    assert_eq!(all, verified.size);
}
