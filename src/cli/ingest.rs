//! How do records and vocabularies come into an enclave from the shell?
//!
//! A new version is written beside the old ones; then it is put in force by the running gateway, or in the books where
//! none runs.

use std::{
    cell::{Cell, RefCell},
    io::Write,
    path::{Path, PathBuf},
};

use chrono::NaiveDate;
use indicatif::ProgressBar;
use serde_json::json;

use super::{client::Client, progress, query::Connection, serve, stop::Stop};
use crate::{
    config::Config,
    gateway::DatasetConfig,
    ingest::{self, Format, IngestFault, Load, Progress, QualityReport, VocabularyLoad},
    keys::Keys,
    record::{Activation, Books, VocabularyDeclaration},
    terms::{Clock, DataVersion, DatasetName, SourceName, VocabularyName},
};

/// Load records of a source into a data set, or a public vocabulary, as a new version.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Nothing is half-written on any failure. With --connect the running gateway puts the version in force; \
without it this does so itself, which works only while no gateway runs.\n\n  \
sekisho ingest --dir D --dataset demo --source hospital_a --format omop-csv /path/to/csv\n  \
sekisho ingest --dir D --vocabulary vocab --release v5.0-2026 --declare 'OHDSI Athena, public' --format omop-csv /path"
)]
pub struct Ingest {
    /// The enclave's directory.
    #[arg(long, value_name = "D")]
    pub dir: PathBuf,
    /// The data set to load.
    #[arg(long, value_name = "NAME", requires = "source", required_unless_present = "vocabulary")]
    pub dataset: Option<DatasetName>,
    /// The holder that delivers these records.
    #[arg(long, value_name = "SOURCE", requires = "dataset")]
    pub source: Option<SourceName>,
    /// The public vocabulary to load instead of a data set.
    #[arg(long, value_name = "NAME", conflicts_with = "dataset", requires_all = ["release", "declare"])]
    pub vocabulary: Option<VocabularyName>,
    /// The vocabulary's release, as its publisher calls it.
    #[arg(long, value_name = "R", requires = "vocabulary")]
    pub release: Option<String>,
    /// The custodian's declaration that the vocabulary exists without these persons; recorded.
    #[arg(long, value_name = "STATEMENT", requires = "vocabulary")]
    pub declare: Option<String>,
    /// The form of the files.
    #[arg(long, value_enum)]
    pub format: FileFormat,
    /// The folder with the files: one per table, or one folder per table.
    pub path: PathBuf,
    /// The value of now() in questions to this version; today unless given.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub date: Option<NaiveDate>,
    /// The share of rows that may be rejected before the load fails.
    #[arg(long, value_name = "S", default_value_t = ingest::REJECT_SHARE_MAX, value_parser = share)]
    pub reject_share: f64,
    /// Print version, manifest and quality report as JSON.
    #[arg(long)]
    pub json: bool,
    /// The running gateway, where one runs; the account must be a custodian's.
    #[command(flatten)]
    pub connection: Connection,
}

/// The form of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FileFormat {
    /// OMOP CDM tables as CSV or TSV files with a header.
    OmopCsv,
    /// OMOP CDM tables as Parquet files.
    OmopParquet,
}

impl From<FileFormat> for Format {
    fn from(format: FileFormat) -> Self {
        match format {
            FileFormat::OmopCsv => Self::OmopCsv,
            FileFormat::OmopParquet => Self::OmopParquet,
        }
    }
}

fn share(given: &str) -> Result<f64, String> {
    let share = given.parse().ok().filter(|share: &f64| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a share is between 0 and 1".to_owned())
}

/// What was loaded and lies on disk.
pub struct Done {
    /// Its version.
    pub version: DataVersion,
    /// The keyed hash of its manifest, in hexadecimal.
    pub manifest_mac: String,
    report: QualityReport,
    rejects: PathBuf,
}

impl Done {
    /// Rows of all its tables. Exact: for the custodian only.
    #[must_use]
    pub fn rows_written(&self) -> u64 {
        self.report.tables.values().map(|table| table.rows_written).sum()
    }
}

/// Loads, puts in force, and prints the quality report.
///
/// # Errors
/// [`Stop`]; what was in force before is in force still.
pub fn run(ingest: &Ingest, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Stop> {
    let config = Config::load(&ingest.dir)?;
    let keys = config.unlock(&ingest.dir)?;
    let clock = Clock::of_the_machine();
    // Whoever will put it in force is found before the long work.
    let runtime = serve::runtime()?;
    let activator = match ingest.connection.resolve_if_given("custodian")? {
        Some(to) => Activator::Gateway(runtime.block_on(Client::connect(&to))?),
        None => Activator::Books(offline_books(&ingest.dir, &keys, &clock)?),
    };
    let date = match ingest.date {
        Some(date) => date,
        None => today(&clock)?,
    };
    let done = match (&ingest.vocabulary, &ingest.dataset, &ingest.source) {
        (Some(name), _, _) => {
            let release = ingest.release.clone().unwrap_or_default();
            let statement = ingest.declare.clone().unwrap_or_default();
            let done = vocabulary(
                &config,
                &keys,
                name,
                &release,
                ingest.format.into(),
                &ingest.path,
                date,
                ingest.reject_share,
            );
            let done = failing(done, err)?;
            let declaration = VocabularyDeclaration { name: name.clone(), release, version: done.version, statement };
            runtime.block_on(activator.declare(declaration))?;
            done
        }
        (None, Some(name), Some(source)) => {
            let dataset = config.dataset(name).ok_or_else(|| {
                Stop::Usage(format!(
                    "there is no [dataset.{name}] in {}",
                    ingest.dir.join(crate::config::FILE).display()
                ))
            })?;
            let done =
                records(&config, dataset, &keys, source, ingest.format.into(), &ingest.path, date, ingest.reject_share);
            let done = failing(done, err)?;
            let (version, manifest_mac) = (done.version, done.manifest_mac.clone());
            let activation = Activation { dataset: name.clone(), version, manifest_mac, source: source.clone() };
            runtime.block_on(activator.activate(dataset, activation))?;
            done
        }
        _ => return Err(Stop::Usage("say --dataset NAME --source SOURCE, or --vocabulary NAME".into())),
    };
    print(&done, ingest.json, out)
}

/// A load of records, with a progress bar.
///
/// # Errors
/// As [`ingest::ingest`].
#[expect(clippy::too_many_arguments, reason = "each is one choice of the custodian")]
pub fn records(
    config: &Config,
    dataset: &DatasetConfig,
    keys: &Keys,
    source: &SourceName,
    format: Format,
    path: &Path,
    date: NaiveDate,
    reject_share_max: f64,
) -> Result<Done, IngestFault> {
    let data_dir = config.enclave.directory.join("data").join(dataset.name.as_str());
    let version = ingest::next_version(&data_dir)?;
    let rejects = data_dir.join(format!("rejects-{version}.csv"));
    let load = Load {
        dataset: dataset.name.clone(),
        population: dataset.population.clone(),
        population_max: dataset.population_max,
        source: source.clone(),
        model: &dataset.model,
        format,
        path: path.to_path_buf(),
        data_dir,
        version,
        date,
        pseudonym_key: keys.pseudonym(),
        file_key: keys.file(),
        reject_share_max,
    };
    let shown = Shown::default();
    let loaded = ingest::ingest(&load, &|progress| shown.show(progress));
    shown.clear();
    let loaded = loaded?;
    let manifest_mac = crate::audit::to_hex(&loaded.manifest_mac);
    Ok(Done { version: loaded.version, manifest_mac, report: loaded.report, rejects })
}

/// A load of a vocabulary, with a progress bar.
///
/// # Errors
/// As [`ingest::ingest_vocabulary`].
#[expect(clippy::too_many_arguments, reason = "each is one choice of the custodian")]
pub fn vocabulary(
    config: &Config,
    keys: &Keys,
    name: &VocabularyName,
    release: &str,
    format: Format,
    path: &Path,
    date: NaiveDate,
    reject_share_max: f64,
) -> Result<Done, IngestFault> {
    let data_dir = config.enclave.directory.join("data/vocab").join(name.as_str());
    let version = ingest::next_version(&data_dir)?;
    let rejects = data_dir.join(format!("rejects-{version}.csv"));
    let reads = |d: &&DatasetConfig| d.vocabularies.contains(name);
    let datasets = &config.enclave.datasets;
    let dataset = datasets.iter().find(reads).or_else(|| datasets.first());
    let Some(dataset) = dataset else {
        return Err(IngestFault::MissingTable { table: "of a data set: sekisho.toml declares none".into() });
    };
    let load = VocabularyLoad {
        name: name.clone(),
        release: release.to_owned(),
        model: &dataset.model,
        format,
        path: path.to_path_buf(),
        data_dir,
        version,
        date,
        file_key: keys.file(),
        reject_share_max,
    };
    let shown = Shown::default();
    let loaded = ingest::ingest_vocabulary(&load, &|progress| shown.show(progress));
    shown.clear();
    let loaded = loaded?;
    let manifest_mac = crate::audit::to_hex(&loaded.manifest_mac);
    Ok(Done { version: loaded.version, manifest_mac, report: loaded.report, rejects })
}

/// Who puts a version in force.
pub enum Activator {
    /// The running gateway.
    Gateway(Client),
    /// The books themselves, while no gateway runs.
    Books(Books),
}

impl Activator {
    /// Puts records in force.
    ///
    /// # Errors
    /// [`Stop`] where gateway or books refuse.
    pub async fn activate(&self, dataset: &DatasetConfig, activation: Activation) -> Result<(), Stop> {
        match self {
            Self::Gateway(client) => {
                let Activation { dataset, version, manifest_mac, source } = activation;
                let body =
                    json!({"dataset": dataset, "version": version, "manifest_mac": manifest_mac, "source": source});
                client.administer("data.activate", body).await?;
            }
            Self::Books(books) => {
                // A data set that came into sekisho.toml after init has its caps from here on.
                books.declare_caps(&dataset.population, dataset.population_cap, &dataset.name, dataset.cap)?;
                books.activate(OFFLINE, activation)?;
            }
        }
        Ok(())
    }

    /// Declares a vocabulary public and puts it in force.
    ///
    /// # Errors
    /// [`Stop`] where gateway or books refuse.
    pub async fn declare(&self, declaration: VocabularyDeclaration) -> Result<(), Stop> {
        match self {
            Self::Gateway(client) => {
                let body = serde_json::to_value(&declaration).map_err(|fault| Stop::fault(&fault))?;
                client.administer("vocabulary.declare", body).await?;
            }
            Self::Books(books) => {
                books.declare_vocabulary(None, declaration)?;
            }
        }
        Ok(())
    }
}

fn offline_books(directory: &Path, keys: &Keys, clock: &Clock) -> Result<Books, Stop> {
    Books::open(directory, keys, clock.clone()).map_err(|fault| {
        let Stop::Fault(words) = Stop::fault(&fault) else { return Stop::fault(&fault) };
        Stop::Fault(format!("{words}; where a gateway runs, say --connect FILE with a custodian's account"))
    })
}

/// The day by the machine's clock, in UTC.
///
/// # Errors
/// [`Stop::Fault`] for a clock outside of the calendar.
pub fn today(clock: &Clock) -> Result<NaiveDate, Stop> {
    let now = chrono::DateTime::from_timestamp_micros(clock.now().0);
    now.map(|now| now.date_naive()).ok_or_else(|| Stop::Fault("the clock shows no usable date".into()))
}

/// A failed load still has its report for the custodian.
fn failing(done: Result<Done, IngestFault>, err: &mut dyn Write) -> Result<Done, Stop> {
    if let Err(IngestFault::TooManyRejects { report, .. }) = &done {
        writeln!(err, "quality report, for the custodian only:\n{report}")?;
    }
    done.map_err(|fault| Stop::fault(&fault))
}

fn print(done: &Done, as_json: bool, out: &mut dyn Write) -> Result<(), Stop> {
    if as_json {
        let whole = json!({"version": done.version, "manifest_mac": done.manifest_mac, "rejects": done.rejects,
            "report": done.report});
        writeln!(out, "{whole}")?;
        return Ok(());
    }
    writeln!(out, "quality report, for the custodian only: every figure is exact\n")?;
    writeln!(out, "{}", done.report)?;
    writeln!(out, "version {} is in force", done.version)?;
    writeln!(out, "manifest (keyed hash): {}", done.manifest_mac)?;
    writeln!(out, "rejected rows: {}", done.rejects.display())?;
    Ok(())
}

/// A progress bar for the stages of a load.
#[derive(Default)]
struct Shown {
    rows: Cell<Option<u64>>,
    bar: RefCell<Option<ProgressBar>>,
    writing: Cell<bool>,
}

impl Shown {
    fn show(&self, progress: Progress<'_>) {
        match progress {
            Progress::Counting { rows } => {
                self.rows.set(rows);
                self.start("counting persons", None);
            }
            Progress::Reading { table, rows } => {
                if self.bar.borrow().as_ref().is_none_or(|bar| bar.length().is_none()) {
                    self.start("reading", self.rows.get());
                }
                if let Some(bar) = self.bar.borrow().as_ref() {
                    bar.set_message(format!("reading {table}"));
                    bar.set_position(rows);
                }
            }
            Progress::Writing { done, of } => {
                if !self.writing.replace(true) {
                    self.start("writing ranges", Some(of.into()));
                }
                if let Some(bar) = self.bar.borrow().as_ref() {
                    bar.set_position(done.into());
                }
            }
            Progress::Published => self.clear(),
        }
    }

    fn start(&self, what: &str, of: Option<u64>) {
        self.clear();
        *self.bar.borrow_mut() = Some(progress::bar(what, of));
    }

    fn clear(&self) {
        if let Some(bar) = self.bar.borrow_mut().take() {
            bar.finish_and_clear();
        }
    }
}

/// Who the entry names where no gateway was there to ask.
const OFFLINE: &str = "offline";
