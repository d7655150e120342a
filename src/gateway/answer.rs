//! What happens to one question, top to bottom?
//!
//! Each `let` is a proof type: a value only its own module can build, taken by value where it may be used once. Nothing
//! is executed without a reservation and nothing released without a receipt: [`exact_then_noise`] asks for the proof of
//! the one and [`leave`] for the other, [`Paid`] comes from a [`Reservation`] and that from
//! [`crate::record::Books::reserve`] alone, and `tests/tidy.rs` lets no other file call the exact stage.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    Gateway, Release, Session, Shape, blocking,
    deadline::{Deadline, Fault, Speed},
    explain, failed, figures,
    halt::denied,
    kept::{self, Before, Made},
    parameters::bound,
    pool::Held,
    priced::{Priced, Reserved, Wanted},
    replay,
    session::Settings,
    world::{Dataset, World},
};
use crate::{
    audit::Receipt,
    engine::{Engine, EngineFault, Finished, Prepared, RangedTables},
    identity::Principal,
    policy::{Action, Clearance, QuestionClearance},
    privacy::{Analysis, Bounds, Exact, Noisy, Plan, add_noise, analyze, loosely_bounded},
    record::{Paid, Permit, Reservation},
    sql::{Call, Parameters, Question, admit, parse},
    terms::{DatasetName, Instant, PermitId, Refusal},
};
use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{Field, Schema, SchemaRef},
    },
    common::ScalarValue,
};
use tracing::{Instrument, info_span};

/// A microsecond count of one epoch: one day, at fixed instants whatever the registers hold.
pub(super) const EPOCH_MICROS: i64 = 86_400_000_000;

/// What a call meets when it comes in: recorded with its verdict, so that the verdict can be reached again.
pub(super) struct Scene {
    pub(super) settings: Settings,
    pub(super) world: Arc<World>,
    pub(super) at: Instant,
    /// One row of bound parameters, as an Arrow IPC stream in base64.
    pub(super) parameters: Option<String>,
}

/// One call with everything that was fixed when it came in.
pub(super) struct Asking<'a> {
    pub(super) scene: &'a Scene,
    pub(super) principal: &'a Principal,
    pub(super) settings: Settings,
    pub(super) permit: Option<Permit>,
    pub(super) dataset: Option<DatasetName>,
    pub(super) world: Arc<World>,
    extra: Vec<(String, String, RecordBatch)>,
}

/// A question that may be asked.
struct Cleared {
    question: Question,
    clearance: QuestionClearance,
}

impl Gateway {
    /// What `sql` would return: parsed, judged and analysed, nothing read or charged.
    ///
    /// # Errors
    /// The [`Refusal`] that the question would meet, recorded.
    #[tracing::instrument(skip_all)]
    pub async fn shape(&self, session: &Session, sql: &str) -> Result<Shape, Refusal> {
        let shaped = self.shape_unrecorded(session, sql).await;
        match shaped {
            Ok(shape) => Ok(shape),
            Err(refusal) => Err(self.refuse(session.principal(), sql, refusal).await),
        }
    }

    /// The answer to `sql`, with one row of `parameters` for `$1`, `$2` and so on.
    ///
    /// # Errors
    /// A [`Refusal`], recorded.
    #[tracing::instrument(skip_all)]
    pub async fn answer(
        &self,
        session: &Session,
        sql: &str,
        parameters: Option<&RecordBatch>,
    ) -> Result<Release, Refusal> {
        let scene = self.scene(session, replay::written(parameters));
        let answered = match bound(parameters) {
            Ok(values) => self.answer_unrecorded(session, &scene, sql, values).await,
            Err(refusal) => Err(refusal),
        };
        match answered {
            Ok(release) => {
                figures::answered(&release);
                Ok(release)
            }
            Err(refusal) => Err(self.refuse_question(session.principal(), &scene, sql, refusal).await),
        }
    }

    fn scene(&self, session: &Session, parameters: Option<String>) -> Scene {
        Scene { settings: session.settings(), world: self.world(), at: self.clock.now(), parameters }
    }

    async fn answer_unrecorded(
        &self,
        session: &Session,
        scene: &Scene,
        sql: &str,
        values: Vec<ScalarValue>,
    ) -> Result<Release, Refusal> {
        let (statement, explaining) = match parse(sql, &self.limits)? {
            Call::Ask(statement) => (statement, false),
            Call::Explain(statement) => (statement, true),
            Call::Set { name, value } => {
                session.set(&name, value.as_deref())?;
                return explain::setting(&name, value.as_deref());
            }
            Call::Show { name } => return explain::settings(&session.settings(), name.as_deref()),
        };
        let asking = self.asking(session, scene, sql).await?;
        let cleared = self.clear(&asking, *statement, Parameters::Bound(values))?;
        if explaining {
            return Box::pin(self.explain(&asking, &cleared)).await;
        }
        match cleared.question.is_public() {
            true => Box::pin(self.answer_public(&asking, &cleared)).await,
            false => Box::pin(self.answer_private(&asking, cleared, sql)).await,
        }
    }

    /// The page. Between two durable steps a comment says what is true on disk.
    async fn answer_private(&self, asking: &Asking<'_>, cleared: Cleared, sql: &str) -> Result<Release, Refusal> {
        let Cleared { question, clearance } = cleared;
        let permit = asking.permit.as_ref().ok_or(Refusal::NoPermit)?;
        let dataset = asking.world.datasets.get(&permit.dataset).ok_or(Refusal::PermitNotActive)?;
        let tables = asking.world.tables(Some(&permit.dataset), &[]);

        // 1. What could it reveal, and at what loss? Public facts only. These steps have their spans in a trace, and none after
        //    the price has one: its end would show how long the exact stage ran (`telemetry/traces.rs`).
        let analysis = self.analysis(asking, &question)?;
        let key = analysis.core(&[
            &asking.world.versions(dataset),
            env!("CARGO_PKG_VERSION"),
            datafusion::DATAFUSION_VERSION,
            "UTC",
            &asking.world.today(Some(&permit.dataset)).to_string(),
            &(clearance.at().0.div_euclid(EPOCH_MICROS)).to_string(),
        ]);
        self.not_halted_under(asking.principal, permit).await?;
        self.rehearse(asking, &analysis, &tables).instrument(info_span!("rehearse")).await?;
        let deadline = self.deadline(asking, &analysis, dataset)?;
        let policy_hash = crate::audit::to_hex(clearance.policy_hash());
        let wanted = Wanted { asking, permit, dataset, sql, policy_hash, analysis, deadline, key };

        // 2. Asked before: the same bytes, or the same failure. Identical questions in flight under one permit wait for the
        //    first. One under another permit does not: how long it would wait tells that somebody asks, and is theirs to choose.
        let turn = self.in_flight.of((permit.id.clone(), key));
        let alone = turn.lock().await;
        let priced = self.priced(&wanted).await?;
        if let Before::Own(own) = &priced.before {
            let own = own.clone();
            return self.serve_own(&wanted, priced, own).await;
        }
        let engine = self.engine.with_memory_of_its_own(self.memory_of_one()).map_err(|fault| failed(&fault))?;

        // 3. Can every budget bear it? Durable before any data is read. What is public below persons' rows is read before: a
        //    fault there depends on nobody. A place is held until the deadline: whoever waits for it learns how many others
        //    ask, and nothing of how long they take.
        let own = self.shares.enter(asking.principal.account()).await?;
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Refusal::Busy)?;
        let mut held = Held::new((running, waiting, own), engine.in_use());
        // While it waited others may have failed.
        self.not_halted_under(asking.principal, permit).await?;
        let prepared = self.prepare(asking, &wanted.analysis, &tables).await?;
        let account = asking.principal.account();
        let place = self.running_now.enter(account, Some(&permit.id), Some(&permit.dataset), dataset.source());
        let (plan, reservation, before) = match self.reserve(&wanted, priced).await? {
            Reserved::Charged(plan, reservation, before) => (plan, reservation, before),
            Reserved::Own(priced, own) => return self.serve_own(&wanted, priced, own).await,
        };
        let leaving = wanted.deadline.begins();
        held.begins(wanted.deadline.duration());
        // On disk: the charge and the admission. A crash from here on settles the charge as spent at the next start.

        // 4. The exact bounded sums, sealed; then noise. A halt ends it. What it comes to is known to nobody before the
        //    deadline.
        let work = make(engine, plan.clone(), key, before, reservation.paid(), prepared, Arc::clone(&tables));
        let making = self.pool.run(work);
        let made = leaving.hold(async { making.await.map_err(Fault::from)? });
        let made = match place.unless_halted(made).await {
            Some(Ok(made)) => made,
            Some(Err(fault)) => return Err(self.fail(reservation, fault.as_ref()).await),
            None => return Err(self.end_by_halt(reservation).await),
        };
        // On disk: what it was when the question began. A crash up to here loses the answer and keeps the charge.

        // 5. Settled, recorded and kept in one durable transaction; only then is it released.
        let Made { noisy, outcome } = made;
        let books = self.books.clone();
        let receipt = blocking(move || outcome.release(&books, reservation)).await?.map_err(|fault| failed(&fault))?;
        drop((place, held, alone));
        // On disk: charge settled, release recorded, answer kept.

        // 6. Post-processing of what is released, as from a kept answer. Neither how long it takes nor whether it fails can
        //    tell more of anybody than the released values do; a failure of it is no failure of the question.
        let finished = self.finished(asking, plan.analysis(), noisy, tables).await?;
        leave(finished, &plan, &receipt, &wanted.deadline, None)
    }

    /// When the answer leaves: from public facts, before anything is reserved.
    fn deadline(&self, asking: &Asking<'_>, analysis: &Analysis, dataset: &Dataset) -> Result<Deadline, Refusal> {
        let (bounds, speed) = (self.bounds(dataset), Speed::of(&self.enclave));
        Deadline::of(analysis, &dataset.config, &bounds, &speed, asking.settings.deadline)
    }

    async fn answer_public(&self, asking: &Asking<'_>, cleared: &Cleared) -> Result<Release, Refusal> {
        let tables = asking.world.tables(asking.dataset.as_ref(), &asking.extra);
        let Finished { schema, batches, .. } = self.of_nobody(asking, cleared.question.plan().clone(), tables).await?;
        Ok(Release { schema, batches })
    }

    async fn explain(&self, asking: &Asking<'_>, cleared: &Cleared) -> Result<Release, Refusal> {
        if cleared.question.is_public() {
            return explain::public();
        }
        let permit = asking.permit.as_ref().ok_or(Refusal::NoPermit)?;
        self.not_halted_under(asking.principal, permit).await?;
        let dataset = asking.world.datasets.get(&permit.dataset).ok_or(Refusal::PermitNotActive)?;
        let offer = self.offer(asking, permit).await?;
        let plan = self.analysis(asking, &cleared.question)?.price(&offer)?;
        let deadline = self.deadline(asking, plan.analysis(), dataset)?;
        explain::plan(&plan, &offer, &deadline)
    }

    async fn shape_unrecorded(&self, session: &Session, sql: &str) -> Result<Shape, Refusal> {
        let none: SchemaRef = Arc::new(Schema::empty());
        let scene = self.scene(session, None);
        let statement = match parse(sql, &self.limits)? {
            Call::Ask(statement) => statement,
            Call::Explain(statement) => {
                let asking = self.asking(session, &scene, sql).await?;
                let cleared = self.clear(&asking, *statement, Parameters::Open)?;
                if !cleared.question.is_public() {
                    let _analysed = self.analysis(&asking, &cleared.question)?;
                }
                return Ok(Shape { schema: explain::schema(), parameters: parameters(&cleared.question) });
            }
            Call::Set { .. } | Call::Show { .. } => {
                return Ok(Shape { schema: explain::settings_schema(), parameters: none });
            }
        };
        let asking = self.asking(session, &scene, sql).await?;
        let cleared = self.clear(&asking, *statement, Parameters::Open)?;
        let schema = match cleared.question.is_public() {
            true => plain(cleared.question.plan().schema().as_arrow()),
            false => plain(self.analysis(&asking, &cleared.question)?.finish().schema().as_arrow()),
        };
        Ok(Shape { schema, parameters: parameters(&cleared.question) })
    }

    /// Who asks, under which permit, with which settings, about which versions: fixed for the whole call.
    async fn asking<'a>(&self, session: &'a Session, scene: &'a Scene, sql: &str) -> Result<Asking<'a>, Refusal> {
        // Older than what was seen of them, the books answer nothing, not even for free, until that is acknowledged.
        if self.books.is_suspended() {
            return Err(Refusal::Halted);
        }
        let principal = session.principal();
        self.not_halted(principal).await?;
        let settings = scene.settings.clone();
        let permit = self.chosen_permit(principal, settings.permit.as_ref(), scene.at).await?;
        let world = Arc::clone(&scene.world);
        let dataset = permit.as_ref().map(|p| p.dataset.clone()).or_else(|| world.datasets.keys().next().cloned());
        // Neither schema is ever looked up for a bare name: a text that does not write it does not mean it.
        let text = sql.to_ascii_lowercase();
        let extra = match text.contains("sekisho") || text.contains("audit") {
            true => self.own_tables(principal, &world).await?,
            false => vec![],
        };
        Ok(Asking { scene, principal, settings, permit, dataset, world, extra })
    }

    /// May they, for this purpose, these columns? Both judgements, with planning between them.
    fn clear(
        &self,
        asking: &Asking<'_>,
        statement: datafusion::sql::sqlparser::ast::Statement,
        parameters: Parameters,
    ) -> Result<Cleared, Refusal> {
        let now = asking.scene.at;
        let clearance: Clearance = match &asking.permit {
            Some(permit) => {
                info_span!("judge").in_scope(|| self.policy.judge(asking.principal, permit, Action::Ask, now))?
            }
            None => self.policy.judge_without_permit(asking.principal, Action::Describe, now)?,
        };
        let directory = asking.world.directory(asking.dataset.as_ref(), &asking.extra);
        let today = asking.world.today(asking.dataset.as_ref());
        let admitted = info_span!("admit").in_scope(|| admit(statement, &directory, today, parameters, &self.limits));
        let question = admitted?;
        let judged =
            info_span!("judge_question").in_scope(|| self.policy.judge_question(clearance, question.touched()));
        let clearance = judged?;
        if let (Some(named), Some(permit)) = (question.dataset()?, &asking.permit)
            && named != permit.dataset
        {
            return Err(Refusal::NotGranted { what: named.to_string() });
        }
        Ok(Cleared { question, clearance })
    }

    #[tracing::instrument(skip_all, name = "analyze")]
    fn analysis(&self, asking: &Asking<'_>, question: &Question) -> Result<Analysis, Refusal> {
        let permit = asking.permit.as_ref().ok_or(Refusal::NoPermit)?;
        let dataset = asking.world.datasets.get(&permit.dataset).ok_or(Refusal::PermitNotActive)?;
        analyze(question, &asking.settings.asked, &self.bounds(dataset))
    }

    fn bounds(&self, dataset: &Dataset) -> Bounds {
        Bounds {
            work_rows_max: self.enclave.work_rows_max,
            cells_max: self.enclave.cells_max,
            population_max: dataset.config.population_max,
        }
    }

    /// The permit that the session names, or the only active one.
    async fn chosen_permit(
        &self,
        principal: &Principal,
        named: Option<&PermitId>,
        now: Instant,
    ) -> Result<Option<Permit>, Refusal> {
        let (books, account) = (self.books.clone(), principal.account().clone());
        let own = blocking(move || books.permits_of(&account)).await?.map_err(|fault| failed(&fault))?;
        if let Some(id) = named {
            return own.into_iter().find(|p| p.id == *id).map(Some).ok_or(Refusal::PermitNotActive);
        }
        let mut active: Vec<Permit> = own.into_iter().filter(|p| p.active(now)).collect();
        Ok(if active.len() == 1 { active.pop() } else { None })
    }

    /// What this permit has bought before, at once and for nothing: it reads no data, and how long it takes depends on
    /// what was released alone.
    async fn serve_own(&self, wanted: &Wanted<'_>, priced: Priced, own: kept::Own) -> Result<Release, Refusal> {
        let found = match own {
            kept::Own::Answer(found) => found,
            kept::Own::Failure(entry) => return Err(Refusal::Failed { entry: Some(entry.0) }),
        };
        let Priced { plan, charge, admission, .. } = priced;
        let noisy = kept::unpack(&found.answer)?;
        let tables = wanted.asking.world.tables(Some(&charge.dataset), &[]);
        let finished = self.finished(wanted.asking, plan.analysis(), noisy, tables).await?;
        let books = self.books.clone();
        let receipt = blocking(move || books.serve_kept(charge, admission, &found)).await?.map_err(denied)?;
        leave(finished, &plan, &receipt, &wanted.deadline, Some("true"))
    }

    /// After the charge only one sentence leaves, whatever went wrong; it is counted.
    async fn fail(&self, reservation: Reservation, fault: &(dyn std::error::Error + Send + Sync)) -> Refusal {
        tracing::error!(%fault, "a charged question failed");
        let books = self.books.clone();
        match blocking(move || books.fail(reservation)).await {
            Ok(Ok(entry)) => Refusal::Failed { entry: Some(entry.0) },
            Ok(Err(fault)) => failed(&fault),
            Err(refusal) => refusal,
        }
    }
}

/// All that happens between reservation and deadline, on threads of its own. Another permit's answer takes the same way as
/// a new one.
async fn make(
    engine: Engine,
    plan: Plan,
    key: [u8; 32],
    before: Before,
    paid: Option<Paid>,
    prepared: Prepared,
    tables: Arc<dyn RangedTables>,
) -> Result<Made, Fault> {
    let (noisy, bought) = match before.noisy()? {
        Some((noisy, bought)) => (noisy, Some(bought)),
        None => {
            let paid = paid.ok_or(EngineFault::Lost)?;
            (exact_then_noise(&engine, &plan, paid, &prepared, tables).await?, None)
        }
    };
    Made::of(&plan, key, noisy, bought)
}

/// The one place where exact values exist outside the engine: sealed in, noised out.
async fn exact_then_noise(
    engine: &Engine,
    plan: &Plan,
    _paid: Paid,
    prepared: &Prepared,
    tables: Arc<dyn RangedTables>,
) -> Result<Noisy, Fault> {
    let mut noisy = Noisy::none();
    // A later stage reads what an earlier one released: noised before anything more is computed.
    for stage in plan.analysis().stages() {
        let tables = Arc::clone(&tables);
        let exact: Vec<Exact> = engine.exact_stage(plan.analysis(), stage, &noisy, prepared, tables).await?;
        let (plan, earlier, threads) = (plan.clone(), noisy, engine.threads());
        // The text of a panic may hold values: only that there was one goes on.
        let drawn = tokio::task::spawn_blocking(move || add_noise(&plan, earlier, exact, threads)).await;
        noisy = drawn.map_err(|_| EngineFault::Lost)??;
    }
    Ok(noisy)
}

/// The answer as it leaves, with the metadata that interface.md promises.
fn leave(
    finished: Finished,
    plan: &Plan,
    receipt: &Receipt,
    deadline: &Deadline,
    kept: Option<&str>,
) -> Result<Release, Refusal> {
    let spent = if kept.is_some() { 0.0 } else { plan.priced().epsilon };
    let mut metadata = HashMap::from([
        ("sekisho.receipt".to_owned(), receipt.entry.0.to_string()),
        ("sekisho.receipt_json".to_owned(), receipt.to_json()),
        ("sekisho.epsilon_spent".to_owned(), spent.to_string()),
        ("sekisho.time_channel".to_owned(), deadline.time_channel().to_owned()),
    ]);
    let bounds: BTreeSet<String> =
        plan.analysis().releases().iter().filter_map(|release| release.person_bounds()).collect();
    if !bounds.is_empty() {
        let bounds = bounds.into_iter().collect::<Vec<_>>().join("; ");
        metadata.insert("sekisho.person_bounds".to_owned(), bounds);
    }
    if finished.not_shown > 0 {
        metadata.insert("sekisho.groups_not_shown".to_owned(), finished.not_shown.to_string());
    }
    let loose = loosely_bounded(plan.analysis(), &finished.batches);
    if !loose.is_empty() {
        metadata.insert("sekisho.loosely_bounded".to_owned(), loose.join(", "));
    }
    let waited = deadline.seconds().filter(|_| kept.is_none());
    metadata.extend(waited.map(|seconds| ("sekisho.deadline".to_owned(), seconds.to_string())));
    metadata.extend(kept.map(|kept| ("sekisho.kept_answer".to_owned(), kept.to_owned())));
    let schema = Arc::new(finished.schema.as_ref().clone().with_metadata(metadata));
    let retyped = |batch: &RecordBatch| batch.clone().with_schema(Arc::clone(&schema));
    let batches = finished.batches.iter().map(retyped).collect::<Result<Vec<_>, _>>();
    Ok(Release { batches: batches.map_err(|_| Refusal::Failed { entry: None })?, schema })
}

fn parameters(question: &Question) -> SchemaRef {
    let named = question.parameters().iter().enumerate();
    Arc::new(Schema::new(named.map(|(i, t)| Field::new(format!("${}", i + 1), t.clone(), true)).collect::<Vec<_>>()))
}

fn plain(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|f| Field::new(f.name(), f.data_type().clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
