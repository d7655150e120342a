//! How does one call become one answer or one refusal?
//!
//! Floor 8. `answer.rs` is the page to read first: one question, top to bottom, in proof types. Everything that enters,
//! by whatever surface, passes here; every refusal is recorded from one place.

mod administer;
mod answer;
mod certified;
mod deadline;
mod describe;
mod explain;
mod federated;
mod figures;
mod halt;
mod kept;
mod parameters;
mod pool;
mod priced;
mod public;
mod replay;
mod session;
mod sign_in;
mod world;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use datafusion::arrow::{array::RecordBatch, datatypes::SchemaRef};
use serde_json::json;
use tokio::sync::Semaphore;

pub use self::{
    deadline::ReleaseAt,
    parameters::{body_behind, bound, read_rows},
    public::while_waited_for,
    replay::{ReplayOf, Replayed, replay},
    session::Session,
    world::WorldFault,
};
use self::{
    halt::Running,
    pool::{Pool, Shares},
    priced::Turns,
    public::PublicWork,
    session::Sessions,
    world::World,
};
use crate::{
    catalog::Model,
    engine::{Engine, EngineFault, EngineLimits},
    identity::{Oidc, Passwords, Principal, Throttle, Tokens},
    keys::Keys,
    policy::{Policy, PolicyFault, PolicyFiles},
    record::{Books, BooksFault, Note},
    sql::Limits,
    terms::{AccountName, Cap, Clock, DatasetName, Language, PermitId, PopulationName, Refusal, VocabularyName},
};

/// One data set as the configuration declares it.
#[derive(Debug, Clone)]
pub struct DatasetConfig {
    /// Its name and SQL schema.
    pub name: DatasetName,
    /// Whose persons.
    pub population: PopulationName,
    /// The most persons of the population, rounded up to two digits.
    pub population_max: u64,
    /// The cap over everything about the population.
    pub population_cap: Cap,
    /// The cap over this data set.
    pub cap: Cap,
    /// What its tables are.
    pub model: Arc<Model>,
    /// The public vocabularies read beside it.
    pub vocabularies: Vec<VocabularyName>,
    /// Whether answers wait for their deadline.
    pub release: ReleaseAt,
    /// Rows that a person has in a table, by its name: a public figure that deadlines follow from.
    pub rows_per_person: BTreeMap<String, u32>,
}

/// What a gateway is made of.
#[derive(Debug, Clone)]
pub struct Enclave {
    /// Its name.
    pub name: String,
    /// The folder with `keys/`, `books.db` and `data/`.
    pub directory: PathBuf,
    /// The data sets.
    pub datasets: Vec<DatasetConfig>,
    /// Files that replace the policy built in.
    pub policies: Option<PathBuf>,
    /// What the exact stage may use.
    pub engine: EngineLimits,
    /// W: rows of one person that a step may hold.
    pub work_rows_max: u64,
    /// Cells of one release.
    pub cells_max: usize,
    /// Questions that may wait at once.
    pub waiting_max: usize,
    /// Plain steps over one row that one thread does in a second: a public figure that deadlines follow from.
    pub row_steps_per_second: u64,
}

/// A gateway that cannot start, or go on.
#[derive(Debug, thiserror::Error)]
pub enum GatewayFault {
    /// The books.
    #[error(transparent)]
    Books(#[from] BooksFault),
    /// The policy.
    #[error(transparent)]
    Policy(#[from] PolicyFault),
    /// The data versions.
    #[error(transparent)]
    World(#[from] WorldFault),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineFault),
    /// The password hasher.
    #[error("the password hasher refuses its parameters")]
    Passwords,
}

/// Questions about persons that run at once; further ones wait.
const RUNNING_MAX: usize = 2;
/// Of these, how many one account may have: nobody who asks for a long deadline keeps all others waiting until then.
const RUNNING_OF_ONE: usize = RUNNING_MAX - 1;
/// Of the memory, the eighths that each of these has for itself. The rest is for questions about nobody.
const MEMORY_EIGHTHS_OF_ONE: usize = 3;

/// Passwords hashed at once, each on a thread that answers nothing else.
const HASHING_MAX: usize = 2;
/// Sign-ins under way; one more is told to come back.
const SIGN_INS_MAX: usize = 64;

/// The one door behind all surfaces.
pub struct Gateway {
    enclave: Enclave,
    books: Books,
    policy: Policy,
    files: PolicyFiles,
    passwords: Arc<Passwords>,
    tokens: Tokens,
    sessions: Sessions,
    engine: Engine,
    pool: Pool,
    public: PublicWork,
    clock: Clock,
    limits: Limits,
    world: RwLock<Arc<World>>,
    file_key: [u8; 32],
    shares: Shares,
    running: Arc<Semaphore>,
    running_now: Running,
    waiting: Arc<Semaphore>,
    hashing: Semaphore,
    sign_ins: Semaphore,
    throttle: Throttle,
    oidc: Option<Oidc>,
    /// Held by the one of identical questions that is answered; the others of its permit wait for it.
    in_flight: Turns<(PermitId, [u8; 32])>,
    /// Held from the last look at a permit's budget to the durable charge.
    charging: Turns<PermitId>,
}

/// What a question would return; telling it reads no data.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The columns of the answer.
    pub schema: SchemaRef,
    /// Its parameters.
    pub parameters: SchemaRef,
}

/// An answer that has left the gateway.
#[derive(Debug, Clone)]
pub struct Release {
    /// The columns, with `sekisho.*` metadata.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
}

/// A table that a caller can name.
#[derive(Debug, Clone)]
pub struct TableInfo {
    /// Its SQL schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// Its kind, always `TABLE`.
    pub kind: String,
    /// Its columns.
    pub arrow: SchemaRef,
    /// The columns of its primary key.
    pub primary_key: Vec<String>,
    /// What it holds, in words.
    pub remarks: String,
}

impl Gateway {
    /// Opens the gateway over `books`: caps are declared, data versions verified against the books.
    ///
    /// # Errors
    /// [`GatewayFault`] says which part refuses.
    pub async fn open(enclave: Enclave, books: Books, keys: &Keys, clock: Clock) -> Result<Self, GatewayFault> {
        for dataset in &enclave.datasets {
            books.declare_caps(&dataset.population, dataset.population_cap, &dataset.name, dataset.cap)?;
        }
        let vocabularies: BTreeMap<_, _> =
            enclave.datasets.iter().map(|d| (d.name.clone(), d.vocabularies.iter().cloned().collect())).collect();
        let files = enclave.policies.as_deref().map_or_else(|| Ok(PolicyFiles::embedded()), PolicyFiles::read)?;
        let policy = Policy::read(&files, vocabularies)?;
        let shared = EngineLimits { memory_bytes: memory_of_public(&enclave.engine), ..enclave.engine.clone() };
        let engine = Engine::new(&shared, *keys.group())?;
        let (pool, public) = (Pool::new("persons", enclave.engine.threads)?, PublicWork::new()?);
        let mut world = World::load(&enclave, &books, keys.file(), &engine).await?;
        world.entry = replay::record_world(&books, &files, &enclave, &world)?;
        Ok(Self {
            files,
            passwords: Arc::new(Passwords::new().map_err(|_| GatewayFault::Passwords)?),
            tokens: Tokens::new(clock.clone()),
            sessions: Sessions::default(),
            limits: Limits::default(),
            world: RwLock::new(Arc::new(world)),
            file_key: *keys.file(),
            shares: Shares::of_each(RUNNING_OF_ONE),
            running: Arc::new(Semaphore::new(RUNNING_MAX)),
            running_now: Running::default(),
            waiting: Arc::new(Semaphore::new(enclave.waiting_max)),
            hashing: Semaphore::new(HASHING_MAX),
            sign_ins: Semaphore::new(SIGN_INS_MAX),
            throttle: Throttle::new(clock.clone()),
            oidc: None,
            in_flight: Turns::default(),
            charging: Turns::default(),
            enclave,
            books,
            policy,
            engine,
            pool,
            public,
            clock,
        })
    }

    /// The session of a bearer token: the same one for every call with it.
    ///
    /// # Errors
    /// [`Refusal::NotSignedIn`] where the token is unknown, tampered with, expired or revoked, or its account disabled.
    pub async fn authenticate(&self, bearer: &str) -> Result<Arc<Session>, Refusal> {
        let (principal, id) = self.tokens.authenticate(bearer)?;
        self.sessions.drop_dead(&self.tokens);
        Ok(self.sessions.of(id, principal))
    }

    /// Whether the books can still be written: after a failed commit nothing is answered until the next start.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        !self.books.is_poisoned()
    }

    /// The language of the session's account.
    #[must_use]
    pub fn language(&self, session: &Session) -> Language {
        session.principal().language()
    }

    /// Sets one `sekisho.*` setting of the session; an empty value takes it back.
    ///
    /// # Errors
    /// [`Refusal::UnknownSetting`] for a name or value that does not exist.
    pub async fn set(&self, session: &Session, name: &str, value: &str) -> Result<(), Refusal> {
        session.set(name.strip_prefix("sekisho.").unwrap_or(name), Some(value).filter(|v| !v.is_empty()))
    }

    /// All settings of the session that have a value, under their full names.
    pub async fn settings(&self, session: &Session) -> Vec<(String, String)> {
        session.settings().list()
    }

    fn memory_of_one(&self) -> usize {
        memory_of_one(&self.enclave.engine)
    }

    fn world(&self) -> Arc<World> {
        Arc::clone(&self.world.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn reload(&self) -> Result<(), GatewayFault> {
        let mut world = World::load(&self.enclave, &self.books, &self.file_key, &self.engine).await?;
        world.entry = replay::record_world(&self.books, &self.files, &self.enclave, &world)?;
        *self.world.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(world);
        Ok(())
    }

    async fn note(
        &self,
        kind: &'static str,
        account: Option<AccountName>,
        permit: Option<PermitId>,
        body: serde_json::Value,
    ) -> Result<crate::terms::EntryNumber, Refusal> {
        let books = self.books.clone();
        blocking(move || books.note(Note { kind, account, permit, body })).await?.map_err(|fault| failed(&fault))
    }

    /// The refusal of a question, with what it met, so that an auditor can replay it.
    async fn refuse_question(
        &self,
        principal: &Principal,
        scene: &answer::Scene,
        sql: &str,
        refusal: Refusal,
    ) -> Refusal {
        let met = replay::facts(scene, principal, None);
        self.refuse_with(principal, json!({ "sql": sql, "refusal": refusal, "met": met }), refusal).await
    }

    /// Every refusal of every surface is recorded here, once.
    async fn refuse(&self, principal: &Principal, sql: &str, refusal: Refusal) -> Refusal {
        self.refuse_with(principal, json!({ "sql": sql, "refusal": refusal }), refusal).await
    }

    async fn refuse_with(&self, principal: &Principal, body: serde_json::Value, refusal: Refusal) -> Refusal {
        match self.note("refusal", Some(principal.account().clone()), None, body).await {
            Ok(_) => refusal,
            Err(unrecorded) => unrecorded,
        }
    }
}

/// The bytes that one question about persons has for itself.
fn memory_of_one(limits: &EngineLimits) -> usize {
    limits.memory_bytes / 8 * MEMORY_EIGHTHS_OF_ONE
}

/// The bytes of all work about nobody.
fn memory_of_public(limits: &EngineLimits) -> usize {
    limits.memory_bytes.saturating_sub(RUNNING_MAX * memory_of_one(limits))
}

/// Work that waits for the disk or a hash, off the request threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::Failed { entry: None })
}

/// A fault of the house: the operator reads it in the log, the caller one constant sentence.
fn failed(fault: &dyn std::error::Error) -> Refusal {
    tracing::error!(%fault, "a step failed");
    Refusal::Failed { entry: None }
}
