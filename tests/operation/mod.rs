//! Can one operator run it: watch it, stop it, and be told what is wrong?
//!
//! The program itself, as an operator starts it, over an enclave that it has made and loaded.

mod canaries;
mod figures;
mod starts;
mod stops;
mod traces;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use sekisho::{
    cli::client::{Client, ClientFault, ConnectTo},
    keys::Keys,
    record::{Books, Permit, PermitState},
    terms::{Cap, Clock, Position},
};

use super::gateway::house::own_folder;

const PROGRAM: &str = env!("CARGO_BIN_EXE_sekisho");
/// What rows hold, as text and as a number, that nothing else may ever show.
const IN_THE_ROWS: &str = "canary-in-the-rows";
const NUMBER_IN_THE_ROWS: &str = "27182.8182845";

/// An enclave of the program's own making, loaded, not served.
struct Enclave {
    folder: tempfile::TempDir,
}

impl Enclave {
    /// A copy of one that is made once: 1,500 persons whose records hold canaries.
    fn new() -> Self {
        static MADE: OnceLock<PathBuf> = OnceLock::new();
        let made = MADE.get_or_init(make);
        let enclave = Self { folder: tempfile::tempdir().unwrap() };
        assert!(run("cp", &["-a", &made.display().to_string(), &enclave.dir().display().to_string()]).status.success());
        enclave
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("enclave")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Adds lines to sekisho.toml.
    fn configure(&self, lines: &str) {
        let text = std::fs::read_to_string(self.file("sekisho.toml")).unwrap();
        std::fs::write(self.file("sekisho.toml"), format!("{text}\n{lines}\n")).unwrap();
    }

    /// The account of a role, as `connect.json` has it.
    fn account(&self, role: &str) -> ConnectTo {
        ConnectTo::from_file(&self.file("connect.json"), None, role).unwrap()
    }

    /// The books, while no gateway runs.
    fn books(&self) -> Books {
        Books::open(&self.dir(), &Keys::load(&self.file("keys")).unwrap(), Clock::of_the_machine()).unwrap()
    }

    fn words(&self, more: &[&str]) -> Vec<String> {
        let dir = self.dir().display().to_string();
        let words = ["serve", "--dir", &dir, "--flight", "127.0.0.1:0"];
        words.iter().chain(more).map(|word| (*word).to_owned()).collect()
    }

    /// A start that is refused: its exit status and what it says.
    fn refused(&self) -> (Option<i32>, String) {
        let words = self.words(&[]);
        let output = run(PROGRAM, &words.iter().map(String::as_str).collect::<Vec<_>>());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    fn serve(&self, more: &[&str], environment: &[(&str, &str)]) -> Running {
        Running::start(self, more, environment)
    }
}

fn run(program: &str, words: &[&str]) -> Output {
    Command::new(program).args(words).stdin(Stdio::null()).output().unwrap()
}

fn make() -> PathBuf {
    let root = own_folder("operation");
    let [dir, delivery] = ["enclave", "delivery"].map(|name| root.join(name).display().to_string());
    let done = |words: &[&str]| {
        let output = run(PROGRAM, words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    done(&["init", "--dir", &dir, "--with-sample-accounts", "--population-max", "2000"]);
    done(&["synth", "--persons", "1500", "--seed", "7", "--out", &delivery, "--format", "csv"]);
    plant(Path::new(&delivery), "condition_occurrence", "condition_source_value", IN_THE_ROWS);
    plant(Path::new(&delivery), "location", "city", IN_THE_ROWS);
    plant(Path::new(&delivery), "measurement", "value_as_number", NUMBER_IN_THE_ROWS);
    let load = ["--dataset", "demo", "--source", "hospital_a", "--format", "omop-csv"];
    done(&[&["ingest", "--dir", &dir], &load[..], &[&delivery]].concat());
    PathBuf::from(dir)
}

/// Every value of the column becomes the canary.
fn plant(delivery: &Path, table: &str, column: &str, canary: &str) {
    let path = delivery.join(format!("{table}.csv"));
    let mut rows = csv::Reader::from_path(&path).unwrap();
    let header = rows.headers().unwrap().clone();
    let at = header.iter().position(|name| name == column).unwrap();
    let planted = rows.records().map(|row| {
        let row = row.unwrap();
        row.iter().enumerate().map(|(n, cell)| if n == at { canary } else { cell }.to_owned()).collect::<Vec<_>>()
    });
    let planted: Vec<_> = planted.collect();
    assert!(!planted.is_empty(), "{table}");
    let mut out = csv::Writer::from_path(&path).unwrap();
    out.write_record(&header).unwrap();
    planted.iter().for_each(|row| out.write_record(row).unwrap());
    out.flush().unwrap();
}

/// A gateway that answers.
struct Running {
    child: Child,
    url: String,
    figures: Option<String>,
    log: PathBuf,
}

impl Running {
    fn start(enclave: &Enclave, more: &[&str], environment: &[(&str, &str)]) -> Self {
        let log = enclave.folder.path().join("stderr");
        let mut command = Command::new(PROGRAM);
        command.args(enclave.words(more)).stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(std::fs::File::create(&log).unwrap()).envs(environment.iter().copied());
        let mut child = command.spawn().unwrap();
        let said = |line: &str, begin: &str| line.strip_prefix(begin).map(str::to_owned);
        let (mut url, mut figures, mut ready) = (None, None, false);
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap) {
            url = said(&line, "listening on ").or(url);
            figures = said(&line, "figures on http://").or(figures);
            ready = line == "ready";
            if ready {
                break;
            }
        }
        assert!(ready, "{}", std::fs::read_to_string(&log).unwrap());
        Self { child, url: url.unwrap(), figures, log }
    }

    async fn client(&self, enclave: &Enclave, role: &str) -> Client {
        Client::connect(&self.to(enclave, role)).await.unwrap()
    }

    fn to(&self, enclave: &Enclave, role: &str) -> ConnectTo {
        ConnectTo { url: self.url.clone(), ..enclave.account(role) }
    }

    /// A reviewer grants the analyst a permit that opens the tables of persons; the analyst's session.
    async fn permitted(&self, enclave: &Enclave, id: &str) -> Client {
        let reviewer = self.client(enclave, "reviewer").await;
        reviewer.administer("permit.grant", serde_json::to_value(permit(id)).unwrap()).await.unwrap();
        self.client(enclave, "analyst").await.with_setting("permit", id).unwrap()
    }

    /// What the operator reads so far.
    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn signal(&self, name: &str) {
        assert!(run("kill", &[&format!("-{name}"), &self.child.id().to_string()]).status.success());
    }

    /// Waits for the process to end by itself: its exit status, and how long it took.
    fn ended(&mut self, at_most: Duration) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), begun.elapsed());
            }
            assert!(begun.elapsed() < at_most, "still there after {at_most:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn stop(mut self) -> String {
        self.signal("TERM");
        let (status, _) = self.ended(Duration::from_secs(60));
        assert_eq!(status, Some(0), "{}", self.log());
        self.log()
    }
}

// A story that fails leaves no process behind.
impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Opens every column of a few tables of persons, to the analyst of the sample accounts.
fn permit(id: &str) -> Permit {
    let every = BTreeMap::from([("*".to_owned(), BTreeSet::from(Position::ALL))]);
    let tables = ["person", "condition_occurrence", "measurement", "drug_exposure", "visit_occurrence", "location"];
    let now = Clock::of_the_machine().now();
    Permit {
        id: id.parse().unwrap(),
        principals: BTreeSet::from(["analyst".parse().unwrap()]),
        dataset: "demo".parse().unwrap(),
        grants: tables.map(|table| (format!("demo.{table}"), every.clone())).into(),
        purpose: "drug-safety".parse().unwrap(),
        cap: Cap::new(4.0, 1e-6).unwrap(),
        analyst_cap: Cap::new(4.0, 1e-6).unwrap(),
        per_question_epsilon: 0.25,
        not_before: now,
        not_after: now.plus(Duration::from_secs(86_400 * 90)),
        rule_pack: "none".into(),
        state: PermitState::Granted,
    }
}

/// The code of a refusal.
fn code(fault: &ClientFault) -> &str {
    match fault {
        ClientFault::Refused { code, .. } => code,
        other => panic!("{other}"),
    }
}
