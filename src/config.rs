//! What does `sekisho.toml` say of an enclave?

mod settings;
mod watching;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Deserialize;
use toml::Spanned;

use crate::{
    audit::WitnessKey,
    catalog::{CatalogFault, Model, TableKind},
    engine::EngineLimits,
    gateway::{DatasetConfig, Enclave, ReleaseAt},
    identity::OidcConfig,
    keys::{Keys, KeysFault, MasterSource},
    terms::{Cap, DatasetName, PopulationName, Role, VocabularyName},
    witness::WitnessAddress,
};

use watching::{MetricsText, TracesText};
pub use {
    settings::{SETTINGS, Setting, Trusted},
    watching::MetricsConfig,
};

/// The file, in the enclave's directory.
pub const FILE: &str = "sekisho.toml";
/// Where the Flight SQL server listens unless the file says otherwise.
pub const FLIGHT: &str = "127.0.0.1:8815";

/// An enclave and where it listens.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the gateway is made of.
    pub enclave: Enclave,
    /// Where the Flight SQL server listens.
    pub flight: SocketAddr,
    /// How the log is published and watched.
    pub log: LogConfig,
    /// Where the master key comes from.
    pub master: MasterSource,
    /// Certificates of further CAs whose clients are accepted; beside each may lie a list of what it revoked.
    pub client_cas: Vec<PathBuf>,
    /// The identity provider whose tokens are believed; none unless the file names one.
    pub oidc: Option<OidcConfig>,
    /// Where figures are scraped; nowhere unless the file says so.
    pub metrics: Option<MetricsConfig>,
    /// The collector to which traces go, such as `http://127.0.0.1:4317`; none unless the file names one.
    pub traces: Option<String>,
}

/// How the log is published and watched.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// A checkpoint is published at every multiple of this.
    pub every: Duration,
    /// Where the newest totals are also written: a place that is not restored together with the books.
    pub outside: Option<PathBuf>,
    /// The most of a population's and a data set's cap that may be charged between two checkpoints, 0 to 1.
    pub interval_share: Option<f64>,
    /// Who cosigns.
    pub witnesses: Vec<WitnessAddress>,
}

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFault {
    /// There is no enclave in this directory.
    #[error("{} cannot be read: is there an enclave in that directory? sekisho init --dir makes one", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file says what it may not say.
    #[error("{}:{line}: {reason}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong, in words.
        reason: String,
    },
    /// A data set's model does not hold together.
    #[error(transparent)]
    Catalog(#[from] CatalogFault),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    enclave: EnclaveText,
    #[serde(default)]
    listen: ListenText,
    #[serde(default)]
    keys: KeysText,
    #[serde(default)]
    population: BTreeMap<PopulationName, PopulationText>,
    #[serde(default)]
    dataset: BTreeMap<DatasetName, DatasetText>,
    #[serde(default)]
    engine: EngineText,
    oidc: Option<Spanned<OidcText>>,
    #[serde(default)]
    log: LogText,
    metrics: Option<MetricsText>,
    traces: Option<TracesText>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct LogText {
    checkpoint_seconds: Option<Spanned<u64>>,
    outside: Option<PathBuf>,
    interval_share: Option<Spanned<f64>>,
    #[serde(default)]
    witness: Vec<WitnessText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WitnessText {
    url: Spanned<String>,
    key: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnclaveText {
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct ListenText {
    flight: Option<Spanned<String>>,
    /// For the pages of a later version; checked, and nothing listens there yet.
    web: Option<Spanned<String>>,
    #[serde(default)]
    client_ca: Vec<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct KeysText {
    master: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PopulationText {
    population_max: Spanned<u64>,
    cap: Cap,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DatasetText {
    population: Spanned<PopulationName>,
    model: String,
    cap: Spanned<Cap>,
    vocabularies: Option<Spanned<Vec<VocabularyName>>>,
    #[serde(default)]
    release: ReleaseAt,
    rows_per_person: Option<Spanned<BTreeMap<String, NonZeroU32>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OidcText {
    issuer: String,
    audience: String,
    /// The CA to trust for the issuer's address, below the enclave's directory.
    ca: Option<PathBuf>,
    account_claim: Option<String>,
    roles_claim: String,
    roles: BTreeMap<String, Role>,
    #[serde(default)]
    second_factor: BTreeSet<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct EngineText {
    memory_bytes: Option<NonZeroUsize>,
    threads: Option<NonZeroUsize>,
    work_rows_max: Option<NonZeroU64>,
    cells_max: Option<NonZeroUsize>,
    waiting_max: Option<NonZeroUsize>,
    row_steps_per_second: Option<NonZeroU64>,
}

impl Config {
    /// Reads `sekisho.toml` in `directory`, and the catalogue models that it names.
    ///
    /// # Errors
    /// [`ConfigFault`] names file and line.
    pub fn load(directory: &Path) -> Result<Self, ConfigFault> {
        let path = directory.join(FILE);
        let text =
            std::fs::read_to_string(&path).map_err(|source| ConfigFault::Unreadable { path: path.clone(), source })?;
        Self::read(directory, &text)
    }

    /// The same, of a text.
    ///
    /// # Errors
    /// [`ConfigFault`] names file and line.
    pub fn read(directory: &Path, text: &str) -> Result<Self, ConfigFault> {
        let place = Place { path: directory.join(FILE), text };
        let read: Text = toml::from_str(text).map_err(|fault| {
            place.fault(fault.span().map_or(0, |span| span.start), fault.message().trim().replace('\n', ", "))
        })?;
        let flight = match &read.listen.flight {
            Some(given) => place.address(given)?,
            None => place.address(&Spanned::new(0..0, FLIGHT.to_owned()))?,
        };
        if let Some(web) = &read.listen.web {
            place.address(web)?;
        }
        let master = match &read.keys.master {
            Some(given) => given.get_ref().parse().map_err(|reason| place.fault(given.span().start, reason))?,
            None => MasterSource::default(),
        };
        let datasets = read.dataset.iter().map(|(name, of)| dataset(&place, directory, &read.population, name, of));
        let policies = Some(directory.join("policies")).filter(|folder| folder.is_dir());
        let engine = EngineLimits::default();
        Ok(Self {
            enclave: Enclave {
                name: read.enclave.name,
                directory: directory.to_path_buf(),
                datasets: datasets.collect::<Result<_, _>>()?,
                policies,
                work_rows_max: read.engine.work_rows_max.map_or(WORK_ROWS_MAX, NonZeroU64::get),
                cells_max: read.engine.cells_max.map_or(CELLS_MAX, NonZeroUsize::get),
                waiting_max: read.engine.waiting_max.map_or(WAITING_MAX, NonZeroUsize::get),
                row_steps_per_second: read.engine.row_steps_per_second.map_or(ROW_STEPS_PER_SECOND, NonZeroU64::get),
                engine: EngineLimits {
                    threads: read.engine.threads.unwrap_or_else(|| threads_by_default(engine.threads)),
                    memory_bytes: read.engine.memory_bytes.map_or(engine.memory_bytes, NonZeroUsize::get),
                    ..engine
                },
            },
            flight,
            log: log(&place, &read.log)?,
            master,
            client_cas: read.listen.client_ca.iter().map(|ca| directory.join(ca)).collect(),
            oidc: read.oidc.map(|given| oidc(&place, directory, given)).transpose()?,
            metrics: read.metrics.map(|given| given.checked(&place)).transpose()?,
            traces: read.traces.map(|given| given.checked(&place)).transpose()?,
        })
    }

    /// The secrets of the enclave in `directory`, opened with its master key.
    ///
    /// # Errors
    /// [`KeysFault`] names the file, or where the master key should come from.
    pub fn unlock(&self, directory: &Path) -> Result<Keys, KeysFault> {
        Keys::open(&directory.join("keys"), &self.master, directory)
    }

    /// The data set of this name.
    #[must_use]
    pub fn dataset(&self, name: &DatasetName) -> Option<&DatasetConfig> {
        self.enclave.datasets.iter().find(|dataset| dataset.name == *name)
    }
}

/// `persons` rounded up to two digits: what may be said in public of how many there are.
#[must_use]
pub fn rounded_up(persons: u64) -> u64 {
    let mut unit: u64 = 1;
    while persons / unit > 99 {
        unit = unit.saturating_mul(10);
    }
    persons.div_ceil(unit).saturating_mul(unit)
}

fn log(place: &Place<'_>, text: &LogText) -> Result<LogConfig, ConfigFault> {
    let wrong = |at: usize, reason: &str| Err(place.fault(at, reason.to_owned()));
    if let Some(seconds) = text.checkpoint_seconds.as_ref().filter(|s| !(1..=86_400).contains(s.get_ref())) {
        return wrong(seconds.span().start, "checkpoint_seconds is from 1 to 86400");
    }
    if let Some(share) = text.interval_share.as_ref().filter(|s| !(0.0..=1.0).contains(s.get_ref())) {
        return wrong(share.span().start, "interval_share is from 0 to 1");
    }
    let mut witnesses = vec![];
    for witness in &text.witness {
        if !witness.url.get_ref().starts_with("http://") {
            return wrong(witness.url.span().start, "a witness is asked at http://host:port");
        }
        let Ok(key) = WitnessKey::from_text(witness.key.get_ref()) else {
            return wrong(witness.key.span().start, "not the public key of a witness");
        };
        witnesses.push(WitnessAddress { url: witness.url.get_ref().clone(), key });
    }
    Ok(LogConfig {
        every: Duration::from_secs(text.checkpoint_seconds.as_ref().map_or(60, |s| *s.get_ref())),
        outside: text.outside.clone(),
        interval_share: text.interval_share.as_ref().map(|s| *s.get_ref()),
        witnesses,
    })
}

fn dataset(
    place: &Place<'_>,
    directory: &Path,
    populations: &BTreeMap<PopulationName, PopulationText>,
    name: &DatasetName,
    text: &DatasetText,
) -> Result<DatasetConfig, ConfigFault> {
    let wrong = |span: std::ops::Range<usize>, reason: String| Err(place.fault(span.start, reason));
    let Some(population) = populations.get(text.population.get_ref()) else {
        return wrong(text.population.span(), format!("there is no [population.{}]", text.population.get_ref()));
    };
    let population_max = *population.population_max.get_ref();
    if population_max == 0 || rounded_up(population_max) != population_max {
        let fit = rounded_up(population_max.max(1));
        return wrong(population.population_max.span(), format!("population_max is rounded up to two digits: {fit}"));
    }
    let cap = *text.cap.get_ref();
    if cap.epsilon() > population.cap.epsilon() || cap.delta() > population.cap.delta() {
        return wrong(text.cap.span(), "a data set's cap is at most its population's".into());
    }
    let vocabularies = text.vocabularies.as_ref().map_or(&[][..], |given| given.get_ref());
    if let Some(same) = vocabularies.iter().find(|v| v.as_str() == name.as_str()) {
        let span = text.vocabularies.as_ref().map_or(0..0, Spanned::span);
        return wrong(span, format!("{same} is already the schema of the data set"));
    }
    let model = Arc::new(Model::load(&directory.join("catalog"), &text.model)?);
    let is_unit = |table: &str| model.table(table).is_some_and(|table| table.kind == TableKind::Unit);
    let mut rows_per_person = BTreeMap::new();
    if let Some(given) = &text.rows_per_person {
        for (table, rows) in given.get_ref() {
            if !is_unit(table) {
                return wrong(given.span(), format!("{} has no table {table} of persons", text.model));
            }
            rows_per_person.insert(table.clone(), rows.get());
        }
    }
    Ok(DatasetConfig {
        name: name.clone(),
        population: text.population.get_ref().clone(),
        population_max,
        population_cap: population.cap,
        cap,
        model,
        vocabularies: vocabularies.to_vec(),
        release: text.release,
        rows_per_person,
    })
}

fn oidc(place: &Place<'_>, directory: &Path, given: Spanned<OidcText>) -> Result<OidcConfig, ConfigFault> {
    let at = given.span().start;
    let text = given.into_inner();
    let ca_pem = text.ca.map(|ca| {
        let ca = directory.join(ca);
        std::fs::read_to_string(&ca).map_err(|fault| place.fault(at, format!("{}: {fault}", ca.display())))
    });
    Ok(OidcConfig {
        issuer: text.issuer,
        audience: text.audience,
        ca_pem: ca_pem.transpose()?,
        account_claim: text.account_claim.unwrap_or_else(|| "sub".into()),
        roles_claim: text.roles_claim,
        roles: text.roles,
        second_factor: text.second_factor,
    })
}

/// The text, to say in which line something stands.
struct Place<'a> {
    path: PathBuf,
    text: &'a str,
}

impl Place<'_> {
    fn fault(&self, at: usize, reason: String) -> ConfigFault {
        let before = self.text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        ConfigFault::Wrong { path: self.path.clone(), line: before.saturating_add(1), reason }
    }

    fn address(&self, given: &Spanned<String>) -> Result<SocketAddr, ConfigFault> {
        let not_one =
            || self.fault(given.span().start, format!("{:?} is no address such as {FLIGHT}", given.get_ref()));
        given.get_ref().parse().map_err(|_| not_one())
    }
}

/// One core at least is left to those who are not asking about persons: what they wait for must not tell how long a
/// question runs.
fn threads_by_default(most: NonZeroUsize) -> NonZeroUsize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new(cores.saturating_sub(1)).map_or(NonZeroUsize::MIN, |spare| spare.min(most))
}

/// W of privacy.md section 8.
const WORK_ROWS_MAX: u64 = 65_536;
const CELLS_MAX: usize = 100_000;
const WAITING_MAX: usize = 64;
/// What an old core does.
const ROW_STEPS_PER_SECOND: u64 = 200_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const GOOD: &str = r#"
[enclave]
name = "demo"
[listen]
flight = "127.0.0.1:8815"
web = "127.0.0.1:8816"
[keys]
master = "fd:3"
[population.jp]
population_max = 100000
cap = { epsilon = 8.0, delta = 1e-7 }
[dataset.demo]
population = "jp"
model = "omop-5.4"
cap = { epsilon = 8.0, delta = 1e-7 }
vocabularies = ["vocab"]
[engine]
threads = 3
cells_max = 1000
"#;

    pub(super) fn read(text: &str) -> Result<Config, String> {
        Config::read(Path::new("/nowhere"), text).map_err(|fault| fault.to_string())
    }

    fn wrong(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        read(&GOOD.replacen(from, to, 1)).unwrap_err()
    }

    #[test]
    fn the_file_of_the_contract_makes_an_enclave() {
        let config = read(GOOD).unwrap();
        assert_eq!(config.flight.to_string(), "127.0.0.1:8815");
        assert_eq!(config.enclave.engine.threads.get(), 3);
        assert_eq!(config.enclave.cells_max, 1000);
        assert_eq!(config.enclave.work_rows_max, 65_536);
        let demo = config.dataset(&DatasetName::new("demo").unwrap()).unwrap();
        assert_eq!((demo.population_max, demo.model.name.as_str()), (100_000, "omop-5.4"));
        assert_eq!(demo.vocabularies.len(), 1);
    }

    #[test]
    fn the_log_is_published_every_minute_unless_the_file_says_otherwise() {
        assert_eq!(read(GOOD).unwrap().log.every, Duration::from_secs(60));
        let key = "ethics.example/w1+e4b5a5b8+BP////////////////////////////////////////8=";
        let said = "\n[log]\ncheckpoint_seconds = 5\noutside = \"/mnt/x\"\ninterval_share = 0.25\n";
        let log = read(&format!("{GOOD}{said}")).unwrap().log;
        assert_eq!((log.every, log.interval_share), (Duration::from_secs(5), Some(0.25)));
        for bad in ["checkpoint_seconds = 0", "interval_share = 1.5", "checkpoints = 5"] {
            assert!(read(&format!("{GOOD}\n[log]\n{bad}\n")).is_err(), "{bad}");
        }
        for (url, key) in [("http://w:1", key), ("https://w:1", "x"), ("ftp://w", "x")] {
            let witness = format!("{GOOD}\n[[log.witness]]\nurl = \"{url}\"\nkey = \"{key}\"\n");
            assert!(read(&witness).is_err(), "{url} {key}");
        }
    }

    #[test]
    fn answers_wait_for_their_deadline_unless_the_custodian_says_otherwise() {
        let of = |text: &str| read(text).unwrap().dataset(&DatasetName::new("demo").unwrap()).unwrap().clone();
        assert_eq!(of(GOOD).release, ReleaseAt::AtDeadline);
        assert!(of(GOOD).rows_per_person.is_empty());
        let said = GOOD.replacen(
            "vocabularies",
            "release = \"immediate\"\nrows_per_person = { measurement = 60 }\nvocabularies",
            1,
        );
        assert_eq!(of(&said).release, ReleaseAt::Immediate);
        assert_eq!(of(&said).rows_per_person["measurement"], 60);
        assert!(read(&said.replace("immediate", "soon")).unwrap_err().contains(":16: "));
        assert!(
            read(&said.replace("measurement", "concept")).unwrap_err().contains(":17: omop-5.4 has no table concept")
        );
        assert!(read(&said.replace("60", "0")).is_err());
        assert!(read(GOOD).unwrap().enclave.row_steps_per_second > 0);
        assert_eq!(threads_by_default(NonZeroUsize::MIN), NonZeroUsize::MIN);
    }

    #[test]
    fn a_fault_names_file_and_line() {
        assert!(wrong("fd:3", "vault:x").starts_with("/nowhere/sekisho.toml:8: "));
        assert!(wrong("web =", "wab =").starts_with("/nowhere/sekisho.toml:6: unknown field `wab`"));
        assert!(wrong("\"127.0.0.1:8815\"", "\"8815\"").starts_with("/nowhere/sekisho.toml:5: "));
        assert!(wrong("100000", "123456").contains(":10: population_max is rounded up to two digits: 130000"));
        assert!(wrong("population = \"jp\"", "population = \"eu\"").contains(":13: there is no [population.eu]"));
        assert!(wrong("[\"vocab\"]", "[\"demo\"]").contains(":16: demo is already the schema"));
        assert!(wrong("epsilon = 8.0", "epsilon = 4.0").contains(":15: a data set's cap is at most"));
        assert!(wrong("threads = 3", "threads = 0").contains(":18: "));
        assert!(wrong("omop-5.4", "omop-9").contains("no model \"omop-9\""));
        assert!(wrong("[listen]", "[listen").contains("/nowhere/sekisho.toml:"));
        assert!(wrong("epsilon = 8.0", "epsilon = -8.0").contains(":11: "));
    }

    #[test]
    fn an_identity_provider_and_further_cas_are_read() {
        let text = format!(
            "{}{}",
            GOOD.replacen("web =", "client_ca = [\"keys/lab.pem\"]\nweb =", 1),
            "[oidc]\nissuer = \"https://idp.example\"\naudience = \"sekisho\"\nroles_claim = \"groups\"\n\
             roles = { researchers = \"analyst\" }\nsecond_factor = [\"otp\"]\n"
        );
        let config = read(&text).unwrap();
        assert_eq!(config.client_cas, [Path::new("/nowhere/keys/lab.pem")]);
        let oidc = config.oidc.unwrap();
        assert_eq!((oidc.account_claim.as_str(), oidc.roles.get("researchers")), ("sub", Some(&Role::Analyst)));
        assert!(read(&text.replace("\"analyst\"", "\"king\"")).unwrap_err().contains("sekisho.toml:"));
        let absent = text.replace("audience", "ca = \"keys/no.pem\"\naudience");
        assert!(read(&absent).unwrap_err().contains("keys/no.pem"));
        assert!(read(GOOD).unwrap().oidc.is_none());
    }

    #[test]
    fn two_digits_are_kept_and_the_rest_is_rounded_up() {
        for (given, said) in [(1, 1), (99, 99), (100, 100), (101, 110), (2000, 2000), (123_456, 130_000), (991, 1000)] {
            assert_eq!(rounded_up(given), said);
        }
    }
}
