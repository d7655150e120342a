//! Where does an attack take place?
//!
//! In a throw-away enclave with its own keys, books and people, made as `init` and `ingest` make one and served over TLS
//! as `serve` serves it. The attackers come in through the same door as everybody.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinHandle};

use super::asker::Asker;
use crate::{
    certificates,
    cli::{
        Stop,
        client::{Client, ConnectTo},
        ingest, init, permit_draft, secret, serve,
    },
    config::{self, Config},
    identity::Passwords,
    ingest::{Format, IngestFault},
    keys::{Keys, MasterSource},
    record::{Activation, BOOKS_FILE, Books, NewAccount},
    terms::{AccountName, Clock, DatasetName, Language, PermitId, PurposeCode, Role, SourceName},
};

/// Who is in every enclave; the analysts collude.
pub const ACCOUNTS: [(&str, Role); 9] = [
    ("eve", Role::Analyst),
    ("mallory", Role::Analyst),
    ("trudy", Role::Analyst),
    ("reviewer", Role::Reviewer),
    ("auditor", Role::Auditor),
    ("auditor2", Role::Auditor),
    ("custodian", Role::Custodian),
    ("custodian2", Role::Custodian),
    ("operator", Role::Operator),
];

/// What an enclave is to be like.
#[derive(Debug, Clone)]
pub struct Ground {
    /// Its directory, which must not exist.
    pub directory: PathBuf,
    /// The most persons, two digits.
    pub population_max: u64,
    /// ε and δ of the caps of the population and its data sets.
    pub cap: (f64, f64),
    /// Names of data sets, each with the same people.
    pub datasets: &'static [&'static str],
    /// Whether answers leave at their deadline, as in service, and not as soon as they are made.
    pub at_deadline: bool,
}

/// A permit that the attackers talked a reviewer into.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Who may ask.
    pub who: &'a [&'a str],
    /// Its ε.
    pub epsilon: f64,
    /// The ε of each of them.
    pub analyst_epsilon: f64,
    /// Of which data set.
    pub dataset: &'a str,
    /// What is granted, `TABLE:COLUMNS:POSITIONS`; everything where nothing is said.
    pub grants: &'a [&'a str],
    /// From which day; from now unless said.
    pub from: Option<&'a str>,
    /// For how long; for a year unless said.
    pub lasting: Option<Duration>,
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        let (who, dataset) = (&["eve", "mallory"][..], "demo");
        Self { who, epsilon: 40.0, analyst_epsilon: 40.0, dataset, grants: &[], from: None, lasting: None }
    }
}

/// An enclave that is being served.
pub struct Arena {
    /// Its directory.
    pub directory: PathBuf,
    /// Where it listens and whom to trust, signed in as nobody.
    pub to: ConnectTo,
    clients: BTreeMap<&'static str, Client>,
    close: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Result<(), Stop>>,
}

/// Makes the enclave of `ground` with the people in `delivery`; the password of all its accounts.
///
/// # Errors
/// [`Stop`] where anything fails.
pub fn make(ground: &Ground, delivery: &Path) -> Result<String, Stop> {
    let (directory, clock) = (&ground.directory, Clock::of_the_machine());
    let broken = |path: &Path, fault: &std::io::Error| Stop::Fault(format!("{}: {fault}", path.display()));
    let folder = |path: &Path| {
        let made = fs::DirBuilder::new().mode(0o700).recursive(true).create(path);
        made.map_err(|fault| broken(path, &fault))
    };
    folder(&directory.join("data"))?;
    let file = directory.join(config::FILE);
    fs::write(&file, configuration(ground)).map_err(|fault| broken(&file, &fault))?;
    let config = Config::load(directory)?;
    let keys = Keys::make_under(&directory.join("keys"), &MasterSource::default(), directory)?;
    certificates::issue(NAME, &[], clock.now())?.write(&directory.join("keys"))?;

    let books = Books::create(directory, &keys, NAME, clock.clone())?;
    let password = secret::fresh()?;
    // The passwords are one, so one slow hash serves all.
    let password_hash = Passwords::new()?.hash(&password)?;
    for (name, role) in ACCOUNTS {
        let (name, roles) = (named(AccountName::new(name))?, BTreeSet::from([role]));
        let (language, password_hash) = (Language::En, password_hash.clone());
        books.add_account(None, NewAccount { name, roles, language, password_hash })?;
    }
    let key = directory.join(init::LOG_KEY);
    fs::write(&key, format!("{}\n", books.verifier().to_text())).map_err(|fault| broken(&key, &fault))?;

    let (source, date) = (named(SourceName::new("holder"))?, ingest::today(&clock)?);
    for dataset in &config.enclave.datasets {
        books.declare_caps(&dataset.population, dataset.population_cap, &dataset.name, dataset.cap)?;
        let failed = |fault: IngestFault| Stop::fault(&fault);
        let done = ingest::records(&config, dataset, &keys, &source, Format::OmopCsv, delivery, date, 1.0);
        let done = done.map_err(failed)?;
        let (dataset, source) = (dataset.name.clone(), source.clone());
        let (version, manifest_mac) = (done.version, done.manifest_mac);
        books.activate(NAME, Activation { dataset, version, manifest_mac, source })?;
    }
    Ok(password)
}

fn configuration(ground: &Ground) -> String {
    let cap = format!("{{ epsilon = {:?}, delta = {:e} }}", ground.cap.0, ground.cap.1);
    let release = if ground.at_deadline { "at_deadline" } else { "immediate" };
    let datasets: String = ground
        .datasets
        .iter()
        .map(|d| {
            format!(
                "[dataset.{d}]\npopulation = \"jp\"\nmodel = \"omop-5.4\"\ncap = {cap}\nvocabularies = []\n\
                 release = \"{release}\"\n"
            )
        })
        .collect();
    format!(
        "[enclave]\nname = \"{NAME}\"\n[population.jp]\npopulation_max = {}\ncap = {cap}\n{datasets}\
         [log]\ncheckpoint_seconds = 5\n[engine]\nwaiting_max = 2000\nmemory_bytes = 1073741824\n",
        ground.population_max
    )
}

impl Arena {
    /// Opens the gateway of an enclave and signs everybody in.
    ///
    /// # Errors
    /// [`Stop`] where it does not open.
    pub async fn open(directory: &Path, password: &str) -> Result<Self, Stop> {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let open = serve::Open::new(directory, Some(free)).await?;
        let to = ConnectTo::from_parts(&open.url(), &directory.join("keys/ca.pem"), "", password.to_owned())?;
        let (close, closed) = oneshot::channel::<()>();
        let serving = tokio::spawn(open.serve(async {
            // Asked to close, or nobody is left who could ask.
            let _ = closed.await;
        }));
        let mut arena =
            Self { directory: directory.to_owned(), to, clients: BTreeMap::new(), close: Some(close), serving };
        for (name, _) in ACCOUNTS {
            let client = arena.sign_in(name).await?;
            arena.clients.insert(name, client);
        }
        Ok(arena)
    }

    /// A session of its own for `name`.
    ///
    /// # Errors
    /// [`Stop`], a refusal among others.
    pub async fn sign_in(&self, name: &str) -> Result<Client, Stop> {
        Ok(Client::connect(&self.as_account(name)).await?)
    }

    /// Where to connect to as `name`.
    #[must_use]
    pub fn as_account(&self, name: &str) -> ConnectTo {
        ConnectTo { user: name.to_owned(), ..self.to.clone() }
    }

    /// The standing session of `name`.
    ///
    /// # Errors
    /// [`Stop::Fault`] for a name that is no account.
    pub fn client(&self, name: &str) -> Result<Client, Stop> {
        self.clients.get(name).cloned().ok_or_else(|| Stop::Fault(format!("nobody is called {name}")))
    }

    /// `who` under `permit`.
    ///
    /// # Errors
    /// [`Stop`] for a name that is no account.
    pub fn asker(&self, who: &str, permit: &str) -> Result<Asker, Stop> {
        Asker::new(self.client(who)?, permit)
    }

    /// Has the reviewer grant a permit with this number.
    ///
    /// # Errors
    /// [`Stop`], the refusal of the grant among others.
    pub async fn grant(&self, id: &str, wanted: &Wanted<'_>) -> Result<(), Stop> {
        let grant = wanted.grants.iter().map(|g| g.parse()).collect::<Result<Vec<_>, _>>().map_err(Stop::Usage)?;
        let principals = wanted.who.iter().map(|w| named(AccountName::new(*w))).collect::<Result<_, _>>()?;
        let from = wanted.from.map(|from| from.parse()).transpose().map_err(Stop::Usage)?;
        let draft = permit_draft::Draft {
            id: Some(named(PermitId::new(id))?),
            dataset: Some(named(DatasetName::new(wanted.dataset))?),
            principals,
            purpose: Some(named(PurposeCode::new("epidemiology"))?),
            grant_all: grant.is_empty(),
            grant,
            epsilon: Some(wanted.epsilon),
            analyst_epsilon: Some(wanted.analyst_epsilon),
            per_question_epsilon: Some(wanted.analyst_epsilon.min(1.0)),
            from,
            ..permit_draft::Draft::default()
        };
        let reviewer = self.client("reviewer")?;
        let clock = Clock::of_the_machine();
        let mut permit = permit_draft::complete(draft, &reviewer, &clock).await?;
        if let Some(lasting) = wanted.lasting {
            permit.not_after = clock.now().plus(lasting);
        }
        let body = serde_json::to_value(&permit).map_err(|fault| Stop::fault(&fault))?;
        reviewer.administer("permit.grant", body).await?;
        Ok(())
    }

    /// Takes a permit back.
    ///
    /// # Errors
    /// [`Stop`], a refusal among others.
    pub async fn revoke(&self, id: &str) -> Result<(), Stop> {
        let body = json!({"permit": id, "reason": "misused"});
        self.client("reviewer")?.administer("permit.revoke", body).await?;
        Ok(())
    }

    /// What is spent of a cap such as `dataset/demo`, as ε at the cap's δ.
    ///
    /// # Errors
    /// [`Stop`] where there is no such cap.
    pub async fn spent(&self, cap: &str) -> Result<f64, Stop> {
        let caps = self.client("reviewer")?.administer("budget.show", Value::Null).await?;
        let line = caps.as_array().into_iter().flatten().find(|c| c.get("cap").and_then(Value::as_str) == Some(cap));
        // JSON has no infinity: null is one.
        let spent = line.and_then(|l| l.get("spent_epsilon")).map(|s| s.as_f64().unwrap_or(f64::INFINITY));
        spent.ok_or_else(|| Stop::Fault(format!("there is no cap {cap}")))
    }

    /// Closes the gateway and waits for it.
    ///
    /// # Errors
    /// [`Stop`] where it stopped by itself.
    pub async fn close(mut self) -> Result<PathBuf, Stop> {
        if let Some(close) = self.close.take() {
            // The receiver is gone only where the gateway has stopped, which the next line finds.
            let _ = close.send(());
        }
        self.clients.clear();
        match tokio::time::timeout(CLOSING_MAX, &mut self.serving).await {
            Ok(ended) => ended.map_err(|_| Stop::Fault("the gateway stopped unexpectedly".into()))??,
            Err(_) => self.serving.abort(),
        }
        // What it began may end a moment later: when the lock is free, its books are closed.
        let lock = self.directory.join(format!("{BOOKS_FILE}.lock"));
        for _ in 0..200 {
            let opened = File::options().write(true).open(&lock);
            if opened.is_ok_and(|file| file.try_lock().is_ok()) {
                return Ok(self.directory);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Stop::Fault("the gateway has not closed its books".into()))
    }
}

fn named<T>(made: Result<T, crate::terms::IdFault>) -> Result<T, Stop> {
    made.map_err(|fault| Stop::fault(&fault))
}

const NAME: &str = "attacked";
const CLOSING_MAX: Duration = Duration::from_secs(10);
