//! Where does a story take place, and who is in it?
//!
//! An enclave with persons, accounts of every role and permits.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::NaiveDate;
use datafusion::{
    arrow::array::{Array, RecordBatch},
    common::ScalarValue,
};
use sekisho::{
    audit::{Checkpoint, Signer},
    catalog::Model,
    engine::EngineLimits,
    gateway::{DatasetConfig, Enclave, Gateway, Release, ReleaseAt, Session},
    identity::Passwords,
    ingest::{self, Load, VocabularyLoad},
    keys::Keys,
    record::{Activation, Balance, Books, Entry, NewAccount, Permit, PermitState, Receipt, VocabularyDeclaration},
    synth,
    terms::{
        AccountName, Cap, CapName, Clock, DataVersion, DatasetName, Instant, Language, PermitId, PopulationName,
        Position, PurposeCode, Refusal, Role, SourceName, VocabularyName,
    },
};
use tempfile::TempDir;

pub const PERSONS: u64 = 3_000;
pub const PASSWORD: &str = "a long password for stories";
/// Noon of a day in 2026: epochs turn at midnight.
pub const NOON: i64 = 1_780_000_000_000_000 - 1_780_000_000_000_000 % 86_400_000_000 + 43_200_000_000;
const ACCOUNTS: [(&str, Role); 10] = [
    ("hanako", Role::Analyst),
    ("jiro", Role::Analyst),
    ("kei", Role::Analyst),
    ("reviewer", Role::Reviewer),
    ("auditor", Role::Auditor),
    ("custodian", Role::Custodian),
    ("operator", Role::Operator),
    ("reviewer2", Role::Reviewer),
    ("auditor2", Role::Auditor),
    ("custodian2", Role::Custodian),
];

/// Files and keys that houses stand on; never books.
pub struct Ground {
    root: PathBuf,
    source: PathBuf,
    data: ingest::Loaded,
    model: Arc<Model>,
    population_max: u64,
    vocabulary: bool,
    password_hash: String,
}

/// The synthetic persons that all stories of this process share.
pub fn ground() -> &'static Arc<Ground> {
    static GROUND: OnceLock<Arc<Ground>> = OnceLock::new();
    GROUND.get_or_init(|| {
        // What the operator would read, for whoever looks into a failing story: RUST_LOG=sekisho=warn.
        let log = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(log).with_test_writer().try_init();
        Arc::new(Ground::of_persons(own_folder("ground"), PERSONS))
    })
}

impl Ground {
    /// Synthetic persons, below `root`.
    pub fn of_persons(root: PathBuf, persons: u64) -> Self {
        let source = root.join("source");
        let plan = synth::SynthPlan { persons, seed: 7, out: source.clone(), format: synth::Format::Parquet };
        synth::generate(&plan, &|_| {}).unwrap();
        let vocabulary = source.join(synth::VOCABULARY);
        Self::new(root, source, "omop-5.4", persons, Some(vocabulary), 0.0)
    }

    /// Ingests the delivery in `source` and, where there is one, the vocabulary.
    pub fn new(
        root: PathBuf,
        source: PathBuf,
        model: &str,
        population_max: u64,
        vocabulary: Option<PathBuf>,
        reject_share_max: f64,
    ) -> Self {
        let keys = Keys::make(&root.join("keys")).unwrap();
        let model = Arc::new(Model::builtin(model).unwrap());
        let load = Load {
            dataset: DatasetName::new("demo").unwrap(),
            population: PopulationName::new("jp").unwrap(),
            population_max,
            source: SourceName::new("holder").unwrap(),
            model: &model,
            format: ingest::Format::OmopParquet,
            path: source.clone(),
            data_dir: root.join("data/demo"),
            version: DataVersion(1),
            date: NaiveDate::from_ymd_opt(2026, 4, 1).unwrap(),
            pseudonym_key: keys.pseudonym(),
            file_key: keys.file(),
            reject_share_max,
        };
        let data = ingest::ingest(&load, &|_| {}).unwrap();
        if let Some(path) = &vocabulary {
            let load = VocabularyLoad {
                name: VocabularyName::new("vocab").unwrap(),
                release: "stories 1".into(),
                model: &model,
                format: ingest::Format::OmopParquet,
                path: path.clone(),
                data_dir: root.join("data/vocab/vocab"),
                version: DataVersion(1),
                date: load.date,
                file_key: keys.file(),
                reject_share_max,
            };
            ingest::ingest_vocabulary(&load, &|_| {}).unwrap();
        }
        let password_hash = Passwords::new().unwrap().hash(PASSWORD).unwrap();
        Self { root, source, data, model, population_max, vocabulary: vocabulary.is_some(), password_hash }
    }

    /// The files as they were delivered.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// What was found while they were loaded.
    pub fn report(&self) -> &ingest::QualityReport {
        &self.data.report
    }

    fn keys(&self) -> Keys {
        Keys::load(&self.root.join("keys")).unwrap()
    }

    fn enclave(&self, folder: &Path, population: Cap, dataset: Cap) -> Enclave {
        Enclave {
            name: "stories".into(),
            directory: folder.to_owned(),
            datasets: vec![DatasetConfig {
                name: DatasetName::new("demo").unwrap(),
                population: PopulationName::new("jp").unwrap(),
                population_max: self.population_max,
                population_cap: population,
                cap: dataset,
                model: Arc::clone(&self.model),
                vocabularies: if self.vocabulary { vec![VocabularyName::new("vocab").unwrap()] } else { vec![] },
                // Most stories are about something else and shall not wait; `deadlines.rs` tells of those that do.
                release: ReleaseAt::Immediate,
                rows_per_person: BTreeMap::new(),
            }],
            policies: None,
            engine: EngineLimits { memory_bytes: 1 << 30, ..EngineLimits::default() },
            work_rows_max: 65_536,
            cells_max: 100_000,
            waiting_max: 64,
            row_steps_per_second: 50_000_000,
        }
    }
}

/// A folder of this process below Cargo's own for tests.
pub fn own_folder(name: &str) -> PathBuf {
    let folders = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for left in std::fs::read_dir(folders).into_iter().flatten().flatten() {
        let named = left.file_name().to_string_lossy().into_owned();
        let process = named.strip_prefix("sekisho-").and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            let _ = std::fs::remove_dir_all(left.path());
        }
    }
    let own = folders.join(format!("sekisho-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&own).unwrap();
    own
}

/// One enclave with its own books.
pub struct House {
    pub gateway: Arc<Gateway>,
    pub books: Books,
    ground: Arc<Ground>,
    hand: Arc<AtomicI64>,
    folder: TempDir,
}

/// Who asks: a signed-in session.
pub struct Asker {
    gateway: Arc<Gateway>,
    pub session: Arc<Session>,
}

/// An answer, with hands to read it.
#[derive(Debug)]
pub struct Answer(pub Release);

impl House {
    /// Accounts of every role; hanako's P-WIDE and jiro's P-RIVAL open everything.
    pub async fn new() -> Self {
        Self::on(ground(), cap(500.0), cap(500.0)).await
    }

    pub async fn on(ground: &Arc<Ground>, population: Cap, dataset: Cap) -> Self {
        Self::furnished(ground, population, dataset, |_| ()).await
    }

    /// The same with some of the enclave's public settings changed.
    pub async fn furnished(
        ground: &Arc<Ground>,
        population: Cap,
        dataset: Cap,
        furnish: impl FnOnce(&mut Enclave),
    ) -> Self {
        let ground = Arc::clone(ground);
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(ground.root.join("data"), folder.path().join("data")).unwrap();
        let hand = Arc::new(AtomicI64::new(NOON));
        let keys = ground.keys();
        let books = Books::create(folder.path(), &keys, "stories", clock(&hand)).unwrap();
        for (name, role) in ACCOUNTS {
            let account = NewAccount {
                name: name.parse().unwrap(),
                roles: BTreeSet::from([role]),
                language: Language::En,
                password_hash: ground.password_hash.clone(),
            };
            books.add_account(None, account).unwrap();
        }
        let dataset_name = DatasetName::new("demo").unwrap();
        books.declare_caps(&PopulationName::new("jp").unwrap(), population, &dataset_name, dataset).unwrap();
        let activation = Activation {
            dataset: dataset_name,
            version: DataVersion(1),
            manifest_mac: ground.data.manifest_mac.iter().map(|b| format!("{b:02x}")).collect(),
            source: SourceName::new("holder").unwrap(),
        };
        books.activate("stories", activation).unwrap();
        if ground.vocabulary {
            let declaration = VocabularyDeclaration {
                name: VocabularyName::new("vocab").unwrap(),
                release: "stories 1".into(),
                version: DataVersion(1),
                statement: "it does not depend on these persons".into(),
            };
            books.declare_vocabulary(Some(&"custodian".parse().unwrap()), declaration).unwrap();
        }
        let mut enclave = ground.enclave(folder.path(), population, dataset);
        furnish(&mut enclave);
        let gateway = Gateway::open(enclave, books.clone(), &keys, clock(&hand)).await.unwrap();
        let house = Self { gateway: Arc::new(gateway), books, ground, hand, folder };
        if dataset.epsilon() >= 100.0 {
            house.grant(wide("P-WIDE", "hanako")).await;
            house.grant(wide("P-RIVAL", "jiro")).await;
        }
        house
    }

    /// Has the reviewer grant `permit`.
    pub async fn grant(&self, permit: Permit) {
        let reviewer = self.sign_in("reviewer").await;
        let body = serde_json::to_value(&permit).unwrap();
        self.gateway.administer(&reviewer.session, "permit.grant", body).await.unwrap();
    }

    pub async fn sign_in(&self, name: &str) -> Asker {
        let token = self.gateway.sign_in(name, PASSWORD).await.unwrap();
        let session = self.gateway.authenticate(&token).await.unwrap();
        Asker { gateway: Arc::clone(&self.gateway), session }
    }

    /// A session under `permit`.
    pub async fn asker(&self, name: &str, permit: &str) -> Asker {
        let asker = self.sign_in(name).await;
        asker.set("permit", permit).await;
        asker
    }

    pub fn later(&self, by: Duration) {
        self.hand.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }

    /// The clock jumps back.
    pub fn earlier(&self, by: Duration) {
        self.hand.fetch_sub(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }

    /// What is committed of a cap, as ε.
    pub fn spent(&self, cap: &CapName) -> f64 {
        let balance: Balance = self.books.budget(cap).unwrap().unwrap();
        balance.committed.epsilon(balance.cap.delta())
    }

    pub fn spent_of_permit(&self, permit: &str) -> f64 {
        self.spent(&CapName::Permit(permit.parse().unwrap()))
    }

    pub fn entries(&self) -> Vec<Entry> {
        self.books.entries(0..u64::MAX).unwrap()
    }

    /// How many entries of a kind there are.
    pub fn count(&self, kind: &str) -> usize {
        self.entries().iter().filter(|e| kind_of(e) == kind).count()
    }

    /// What the world would know of these books if they went on after what they hold.
    pub fn checkpoint_of_a_longer_log(&self) -> String {
        let at = self.books.next_instant(Instant(self.hand.load(Ordering::SeqCst)));
        let made = self.books.publish(at).unwrap().unwrap();
        let known = Checkpoint::open(&made.totals, &self.books.verifier()).unwrap();
        let longer = Checkpoint { size: known.size + 10, root: [7; 32], ..known };
        longer.sign(&Signer::new("stories", self.ground.keys().log()).unwrap())
    }

    /// The enclave's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends the gateway and opens the enclave again, as after a crash.
    pub async fn reopened(self) -> Self {
        self.reopened_after(|| ()).await
    }

    /// The same, with something done to the files in between.
    pub async fn reopened_after(self, between: impl FnOnce()) -> Self {
        let Self { gateway, books, ground, hand, folder } = self;
        drop(gateway);
        drop(books);
        between();
        let keys = ground.keys();
        let books = Books::open(folder.path(), &keys, clock(&hand)).unwrap();
        let enclave = ground.enclave(folder.path(), cap(500.0), cap(500.0));
        let gateway = Gateway::open(enclave, books.clone(), &keys, clock(&hand)).await.unwrap();
        Self { gateway: Arc::new(gateway), books, ground, hand, folder }
    }
}

impl Asker {
    pub async fn set(&self, name: &str, value: &str) {
        self.gateway.set(&self.session, name, value).await.unwrap();
    }

    pub async fn ask(&self, sql: &str) -> Answer {
        match self.try_ask(sql).await {
            Ok(answer) => answer,
            Err(refusal) => panic!("{sql}: {refusal}"),
        }
    }

    pub async fn try_ask(&self, sql: &str) -> Result<Answer, Refusal> {
        self.gateway.answer(&self.session, sql, None).await.map(Answer)
    }

    pub async fn refusal(&self, sql: &str) -> Refusal {
        match self.try_ask(sql).await {
            Ok(answer) => panic!("{sql}: answered with {} rows", answer.rows().len()),
            Err(refusal) => refusal,
        }
    }
}

impl Answer {
    pub fn rows(&self) -> Vec<Vec<ScalarValue>> {
        rows(&self.0.batches)
    }

    /// A column as numbers.
    pub fn numbers(&self, column: &str) -> Vec<Option<f64>> {
        let index = self.0.schema.index_of(column).unwrap();
        self.rows().iter().map(|row| number(&row[index])).collect()
    }

    /// A column of numbers by the key in the first column, written as text.
    pub fn by_key(&self, column: &str) -> BTreeMap<String, Option<f64>> {
        self.rows().iter().map(|row| row[0].to_string()).zip(self.numbers(column)).collect()
    }

    pub fn names(&self) -> Vec<String> {
        self.0.schema.fields().iter().map(|f| f.name().clone()).collect()
    }

    /// The 95 % half-width that the field of a count or sum states.
    pub fn half_width(&self, column: &str) -> f64 {
        self.0.schema.field_with_name(column).unwrap().metadata()["sekisho.half_width_95"].parse().unwrap()
    }

    pub fn said(&self, name: &str) -> Option<String> {
        self.0.schema.metadata().get(&format!("sekisho.{name}")).cloned()
    }

    pub fn kept(&self) -> bool {
        self.said("kept_answer").is_some()
    }

    pub fn epsilon_spent(&self) -> f64 {
        self.said("epsilon_spent").unwrap().parse().unwrap()
    }

    pub fn receipt(&self) -> Receipt {
        Receipt::from_json(&self.said("receipt_json").unwrap()).unwrap()
    }
}

pub fn rows(batches: &[RecordBatch]) -> Vec<Vec<ScalarValue>> {
    let row = |batch: &RecordBatch, i| {
        let value = |column| ScalarValue::try_from_array(column as &dyn Array, i).unwrap();
        batch.columns().iter().map(|c| value(c.as_ref())).collect()
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |i| row(batch, i))).collect()
}

pub fn number(value: &ScalarValue) -> Option<f64> {
    match value.cast_to(&datafusion::arrow::datatypes::DataType::Float64).unwrap() {
        ScalarValue::Float64(number) => number,
        _ => None,
    }
}

pub fn kind_of(entry: &Entry) -> String {
    let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
    body["kind"].as_str().unwrap().to_owned()
}

pub fn cap(epsilon: f64) -> Cap {
    Cap::new(epsilon, 1e-6).unwrap()
}

/// A permit that opens every column of every unit and Reference table in every position.
pub fn wide(id: &str, who: &str) -> Permit {
    let every = BTreeMap::from([("*".to_owned(), BTreeSet::from(Position::ALL))]);
    let tables = [
        "person",
        "observation_period",
        "visit_occurrence",
        "condition_occurrence",
        "drug_exposure",
        "procedure_occurrence",
        "measurement",
        "observation",
        "death",
        "care_site",
        "location",
    ];
    let grants = tables.iter().map(|table| (format!("demo.{table}"), every.clone())).collect();
    Permit {
        id: PermitId::new(id).unwrap(),
        principals: BTreeSet::from([AccountName::new(who).unwrap()]),
        dataset: DatasetName::new("demo").unwrap(),
        grants,
        purpose: PurposeCode::new("drug-safety").unwrap(),
        cap: cap(100.0),
        analyst_cap: cap(100.0),
        per_question_epsilon: 2.0,
        not_before: Instant(0),
        not_after: Instant(NOON).plus(Duration::from_secs(90 * 86_400)),
        rule_pack: "none".into(),
        state: PermitState::Granted,
    }
}

fn clock(hand: &Arc<AtomicI64>) -> Clock {
    let hand = Arc::clone(hand);
    Clock::from_fn(move || Instant(hand.load(Ordering::SeqCst)))
}
