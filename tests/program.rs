//! How is the program itself served to a story, as in service?
//!
//! An enclave made by `init`, `synth` and `ingest`, and `serve` as a process of its own, so that its memory and its file
//! handles are its own. Clients reach it over TLS and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead, BufReader},
    net::IpAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use arrow_flight::{HandshakeRequest, flight_service_client::FlightServiceClient};
use base64::{Engine, prelude::BASE64_STANDARD};
use sekisho::{
    cli::client::{Client, ConnectTo},
    record::{Permit, PermitState},
    terms::{AccountName, Cap, Clock, DatasetName, Instant, PermitId, Position, PurposeCode},
};
use tonic::{
    Request, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sekisho");
/// The password of the analysts that stories add.
pub const PASSWORD: &str = "a long password for stories";
/// The tables that permits of stories open.
const TABLES: [&str; 6] =
    ["person", "visit_occurrence", "condition_occurrence", "drug_exposure", "measurement", "observation"];

/// A running gateway with its enclave.
pub struct Program {
    folder: tempfile::TempDir,
    child: Child,
    url: String,
    ca_pem: String,
    passwords: BTreeMap<String, String>,
}

/// What a process takes of the machine at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Footprint {
    /// Resident memory.
    pub kib: u64,
    /// Open file handles, connections among them.
    pub handles: u64,
    /// Threads.
    pub threads: u64,
}

impl Program {
    /// Serves `persons` synthetic persons, with caps of `epsilon`, a checkpoint every second and `further` settings.
    pub fn serve(persons: u64, epsilon: f64, further: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (enclave, delivery) = (folder.path().join("enclave"), folder.path().join("delivery"));
        let (dir, from) = (enclave.to_str().unwrap(), delivery.to_str().unwrap());
        let number = persons.to_string();
        run(&["init", "--dir", dir, "--with-sample-accounts", "--population-max", &number]);
        let file = enclave.join("sekisho.toml");
        let written = std::fs::read_to_string(&file).unwrap();
        let wider = written.replace("cap = { epsilon = 8.0,", &format!("cap = {{ epsilon = {epsilon:?},"));
        assert_ne!(written, wider, "the caps are where init writes them");
        // What is looked at is the gateway, not how long it waits for its deadlines.
        let at_once = wider.replace("\nrelease = \"at_deadline\"\n", "\nrelease = \"immediate\"\n");
        assert_ne!(wider, at_once, "the data set is where init writes it");
        std::fs::write(&file, format!("{at_once}\n[log]\ncheckpoint_seconds = 1\n{further}")).unwrap();
        run(&["synth", "--persons", &number, "--seed", "7", "--out", from]);
        let vocabulary = delivery.join("vocabulary");
        let public = vocabulary.to_str().unwrap();
        run(&["ingest", "--dir", dir, "--dataset", "demo", "--source", "holder", "--format", "omop-parquet", from]);
        run(&[
            "ingest",
            "--dir",
            dir,
            "--vocabulary",
            "vocab",
            "--release",
            "1",
            "--declare",
            "made without persons",
            "--format",
            "omop-parquet",
            public,
        ]);
        std::fs::remove_dir_all(&delivery).unwrap();
        let passwords = passwords(&enclave.join("connect.json"));
        let ca_pem = std::fs::read_to_string(enclave.join("keys/ca.pem")).unwrap();
        let said = File::create(folder.path().join("said")).unwrap();
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--dir", dir, "--flight", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(said)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
        let ready = lines.any(|line| line == "ready");
        let program = Self { folder, child, url: url.unwrap_or_default(), ca_pem, passwords };
        assert!(ready, "{}", program.said());
        program
    }

    /// The enclave's directory.
    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("enclave")
    }

    /// What the gateway has written for its operator.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("said")).unwrap()
    }

    /// Where and as whom to connect.
    pub fn to(&self, account: &str) -> ConnectTo {
        let password = self.passwords.get(account).map_or(PASSWORD, String::as_str);
        ConnectTo {
            url: self.url.clone(),
            ca_pem: self.ca_pem.clone(),
            user: account.into(),
            password: password.into(),
            permit: None,
            certificate: None,
        }
    }

    /// A signed-in client.
    pub async fn client(&self, account: &str) -> Client {
        Client::connect(&self.to(account)).await.unwrap()
    }

    /// A connection from `from`, such as 127.0.0.2, on which nobody has signed in and little is read ahead.
    pub async fn door(&self, from: IpAddr) -> Result<FlightServiceClient<Channel>, tonic::transport::Error> {
        Ok(FlightServiceClient::new(self.channel(from).await?).max_decoding_message_size(64 << 20))
    }

    /// The connection of such a door.
    pub async fn channel(&self, from: IpAddr) -> Result<Channel, tonic::transport::Error> {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.ca_pem));
        let url = self.url.replace("grpc+tls://", "https://");
        let endpoint = Endpoint::from_shared(url)?.tls_config(tls)?.local_address(Some(from));
        let endpoint = endpoint.connect_timeout(Duration::from_secs(20));
        let endpoint = endpoint.initial_stream_window_size(65_535).initial_connection_window_size(1 << 20);
        endpoint.connect().await
    }

    /// Adds analysts, and a permit of `epsilon` for all of them that opens every column.
    pub async fn admit(&self, permit: &str, analysts: &[String], epsilon: f64) {
        let operator = self.client("operator").await;
        for name in analysts {
            let body = serde_json::json!({"name": name, "roles": ["analyst"], "password": PASSWORD});
            operator.administer("account.add", body).await.unwrap();
        }
        operator.sign_out().await.unwrap();
        let every = BTreeMap::from([("*".to_owned(), BTreeSet::from(Position::ALL))]);
        let cap = Cap::new(epsilon, 1e-6).unwrap();
        let granted = Permit {
            id: PermitId::new(permit).unwrap(),
            principals: analysts.iter().map(|name| AccountName::new(name).unwrap()).collect(),
            dataset: DatasetName::new("demo").unwrap(),
            grants: TABLES.iter().map(|table| (format!("demo.{table}"), every.clone())).collect(),
            purpose: PurposeCode::new("drug-safety").unwrap(),
            cap,
            analyst_cap: cap,
            per_question_epsilon: epsilon / 20.0,
            not_before: Instant(0),
            not_after: Clock::of_the_machine().now().plus(Duration::from_secs(90 * 86_400)),
            rule_pack: "none".into(),
            state: PermitState::Granted,
        };
        let reviewer = self.client("reviewer").await;
        reviewer.administer("permit.grant", serde_json::to_value(&granted).unwrap()).await.unwrap();
        reviewer.sign_out().await.unwrap();
    }

    /// What the gateway takes now.
    pub fn footprint(&self) -> Footprint {
        let process = PathBuf::from(format!("/proc/{}", self.child.id()));
        let status = std::fs::read_to_string(process.join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap()
        };
        let handles = std::fs::read_dir(process.join("fd")).unwrap().count() as u64;
        Footprint { kib: field("VmRSS:"), handles, threads: field("Threads:") }
    }

    /// Asks the gateway to end, as a service manager does, and waits.
    pub fn end(&mut self) -> ExitStatus {
        let process = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to kill.
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// Signs in on `door`; a bearer token.
pub async fn sign_in(door: &FlightServiceClient<Channel>, name: &str, password: &str) -> Result<String, Status> {
    let mut request = Request::new(futures::stream::iter([HandshakeRequest::default()]));
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")));
    request.metadata_mut().insert("authorization", basic.parse().unwrap());
    let mut answers = door.clone().handshake(request).await?.into_inner();
    let answer = answers.message().await?.ok_or_else(|| Status::internal("an empty handshake"))?;
    Ok(String::from_utf8(answer.payload.to_vec()).unwrap())
}

fn run(words: &[&str]) {
    let output = Command::new(PROGRAM).args(words).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn passwords(connect: &Path) -> BTreeMap<String, String> {
    let file: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(connect).unwrap()).unwrap();
    let account = |account: &serde_json::Value| {
        let text = |field: &str| account[field].as_str().unwrap().to_owned();
        (text("name"), text("password"))
    };
    file["accounts"].as_array().unwrap().iter().map(account).collect()
}
