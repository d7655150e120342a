//! Would the same question get the same verdict again?
//!
//! Offline, from an export and, where a data set uses one, the folder of its own catalogue models. Each admission and each
//! refusal of a question names the entry of the *world* that it met: policy files word by word, catalogue models by their
//! hash, data versions, public limits, program and engine. From these and from the permits in the log the question is
//! judged, planned, typed and priced anew, without a row of data, and must come out as recorded. What another program or
//! engine decided is said to be that, and never compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::BufReader,
    path::Path,
};

use datafusion::arrow::{array::RecordBatch, ipc::writer::StreamWriter};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Enclave, GatewayFault,
    answer::{EPOCH_MICROS, Scene},
    deadline::{Deadline, Speed},
    parameters::{bound, read_rows},
    public::TOO_LONG,
    session::Settings,
    world::{World, WorldText},
};
use crate::{
    audit::{ENTRIES, from_base64, from_hex, read_lines, to_base64, to_hex},
    identity::Principal,
    ledger::{Effect, Replay, Scope, cap_text},
    policy::{Policy, PolicyFiles},
    privacy::{Bounds, Offer, analyze},
    record::{Books, Note, Permit, PermitState, VerifyFault},
    sql::{Call, Limits, Parameters, admit, parse},
    terms::{AccountName, Charge, EntryNumber, Instant, Loss, PermitId, Refusal, Role},
};

/// How one entry came out.
#[derive(Debug, Clone, PartialEq)]
pub enum Replayed {
    /// As recorded.
    Same,
    /// Not as recorded.
    Different {
        /// What the entry says.
        recorded: String,
        /// What came out.
        here: String,
    },
    /// Another program or engine decided it: nothing is said about it here.
    OtherEngine {
        /// Which.
        by: String,
    },
    /// It depends on more than the log holds, for this reason.
    NotReplayable(&'static str),
}

/// One entry that was replayed.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayOf {
    /// The entry.
    pub entry: EntryNumber,
    /// `admission` or `refusal`.
    pub kind: String,
    /// How it came out.
    pub outcome: Replayed,
}

/// What a verdict depends on besides the question's text: the `settings` of an admission, the `met` of a refusal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    world: EntryNumber,
    session: Vec<(String, String)>,
    roles: BTreeSet<Role>,
    at: Instant,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parameters: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spent: Option<Loss>,
    /// When its answer was to leave: milliseconds from the reservation; none where answers leave at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline_ms: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_channel: Option<String>,
}

/// The entry that describes a world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Met {
    program: String,
    engine: String,
    policies: BTreeMap<String, String>,
    work_rows_max: u64,
    cells_max: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    speed: Option<Speed>,
    world: WorldText,
}

/// Records the world that questions meet from now on.
pub(super) fn record_world(
    books: &Books,
    files: &PolicyFiles,
    enclave: &Enclave,
    world: &World,
) -> Result<EntryNumber, GatewayFault> {
    let met = Met {
        program: env!("CARGO_PKG_VERSION").into(),
        engine: datafusion::DATAFUSION_VERSION.into(),
        policies: files.deciding().map(|(name, text)| (name, text.to_owned())).collect(),
        work_rows_max: enclave.work_rows_max,
        cells_max: enclave.cells_max,
        speed: Some(Speed::of(enclave)),
        world: world.describe(),
    };
    let body = serde_json::to_value(met).map_err(|_| crate::record::BooksFault::Wording)?;
    Ok(books.note(Note { kind: "world", account: None, permit: None, body })?)
}

/// What is recorded beside a question's text.
pub(super) fn facts(scene: &Scene, principal: &Principal, admitted: Option<(&Loss, &Deadline)>) -> Value {
    json!(Facts {
        world: scene.world.entry,
        session: scene.settings.list(),
        roles: principal.roles().clone(),
        at: scene.at,
        parameters: scene.parameters.clone(),
        spent: admitted.map(|(spent, _)| spent.clone()),
        deadline_ms: admitted.and_then(|(_, deadline)| deadline.milliseconds()),
        time_channel: admitted.map(|(_, deadline)| deadline.time_channel().to_owned()),
    })
}

/// Bound parameters as they are recorded.
pub(super) fn written(parameters: Option<&RecordBatch>) -> Option<String> {
    let batch = parameters?;
    let mut writer = StreamWriter::try_new(vec![], &batch.schema()).ok()?;
    writer.write(batch).ok()?;
    writer.into_inner().ok().map(|bytes| to_base64(&bytes))
}

fn unwritten(text: &str) -> Option<RecordBatch> {
    read_rows(&from_base64(text)?)
}

/// Replays the admissions and refusals of the export in `folder` that `wanted` names, in order, and gives each to `each`.
/// `catalog` is a folder of catalogue models; built-in ones need none. Verify the export first.
///
/// # Errors
/// [`VerifyFault`] where the export cannot be read.
pub fn replay(
    folder: &Path,
    catalog: &Path,
    wanted: impl Fn(EntryNumber) -> bool,
    mut each: impl FnMut(ReplayOf),
) -> Result<(), VerifyFault> {
    let path = folder.join(ENTRIES);
    let fault = |source| VerifyFault::File { path: path.clone(), source };
    let mut past = Past { catalog, ..Past::default() };
    let mut number = 0;
    let whole = read_lines(BufReader::new(File::open(&path).map_err(fault)?), |line| {
        number = line.entry;
        let Ok(body) = serde_json::from_str::<Value>(&line.body) else { return false };
        let entry = EntryNumber(line.entry);
        let kind = body.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        if wanted(entry) && (kind == "admission" || kind == "refusal") {
            let outcome = past
                .judge_again(&kind, &body)
                .unwrap_or(Replayed::NotReplayable("it was recorded without what it met"));
            each(ReplayOf { entry, kind, outcome });
        }
        past.go_on(entry, &body)
    });
    match whole {
        Ok(true) => Ok(()),
        Ok(false) => Err(VerifyFault::Entry(number)),
        Err(source) => Err(fault(source)),
    }
}

/// What the log says up to some entry.
struct Past<'a> {
    catalog: &'a Path,
    permits: BTreeMap<PermitId, Permit>,
    worlds: BTreeMap<EntryNumber, Seen>,
    ledger: Replay,
}

impl Default for Past<'_> {
    fn default() -> Self {
        let (permits, worlds, ledger) = (BTreeMap::new(), BTreeMap::new(), Replay::default());
        Self { catalog: Path::new("."), permits, worlds, ledger }
    }
}

enum Seen {
    Whole(Box<Surroundings>),
    OtherEngine(String),
    NoModel,
}

struct Surroundings {
    policy: Policy,
    world: World,
    work_rows_max: u64,
    cells_max: usize,
    speed: Option<Speed>,
}

/// A verdict, as far as it can be compared.
struct Verdict {
    key: [u8; 32],
    policy_hash: [u8; 32],
    charge: Charge,
    /// None where it was recorded before there were deadlines.
    deadline: Option<Deadline>,
}

enum Judged {
    Charged(Box<Verdict>),
    /// It was answered for nothing: it is about nobody, or explains.
    Free,
}

impl Past<'_> {
    fn go_on(&mut self, entry: EntryNumber, body: &Value) -> bool {
        let detail = body.get("detail").cloned().unwrap_or_default();
        match body.get("kind").and_then(Value::as_str) {
            Some("world") => {
                if let Ok(met) = serde_json::from_value::<Met>(detail) {
                    self.worlds.insert(entry, self.seen(&met));
                }
            }
            Some("permit_granted") => {
                if let Ok(permit) = serde_json::from_value::<Permit>(detail) {
                    self.permits.insert(permit.id.clone(), permit);
                }
            }
            Some("permit_revoked") => {
                let id = body.get("permit").and_then(Value::as_str).and_then(|id| PermitId::new(id).ok());
                let by = body.get("account").and_then(Value::as_str).and_then(|by| AccountName::new(by).ok());
                if let (Some(permit), Some(by)) = (id.and_then(|id| self.permits.get_mut(&id)), by) {
                    let at = Instant(body.get("at").and_then(Value::as_i64).unwrap_or(0));
                    permit.state = PermitState::Revoked { by, at, reason: String::new() };
                }
            }
            _ => {}
        }
        let effect = body.get("ledger").cloned().map(serde_json::from_value::<Effect>);
        effect.is_none_or(|effect| effect.is_ok_and(|effect| self.ledger.apply(entry, &effect).is_ok()))
    }

    fn seen(&self, met: &Met) -> Seen {
        let (program, engine) = (env!("CARGO_PKG_VERSION"), datafusion::DATAFUSION_VERSION);
        if met.program != program || met.engine != engine {
            return Seen::OtherEngine(format!("program {} with engine {}", met.program, met.engine));
        }
        let Some(world) = World::described(&met.world, self.catalog) else { return Seen::NoModel };
        let vocabularies =
            world.datasets.values().map(|d| (d.config.name.clone(), d.config.vocabularies.iter().cloned().collect()));
        match Policy::read(&PolicyFiles::of_texts(&met.policies), vocabularies.collect()) {
            Ok(policy) => {
                let Met { work_rows_max, cells_max, speed, .. } = *met;
                Seen::Whole(Box::new(Surroundings { policy, world, work_rows_max, cells_max, speed }))
            }
            Err(_) => Seen::NoModel,
        }
    }

    /// None where the entry does not hold what it met.
    fn judge_again(&self, kind: &str, body: &Value) -> Option<Replayed> {
        let detail = body.get("detail")?;
        let (question, facts) = match kind {
            "admission" => (detail.get("question")?, detail.get("question")?.get("settings")?),
            _ => (detail, detail.get("met")?),
        };
        let sql = question.get("sql")?.as_str()?;
        let facts: Facts = serde_json::from_value(facts.clone()).ok()?;
        let who = AccountName::new(body.get("account")?.as_str()?).ok()?;
        let around = match self.worlds.get(&facts.world)? {
            Seen::Whole(around) => around,
            Seen::OtherEngine(by) => return Some(Replayed::OtherEngine { by: by.clone() }),
            Seen::NoModel => return Some(Replayed::NotReplayable("a catalogue model that it names is not at hand")),
        };
        let lower = sql.to_ascii_lowercase();
        if lower.contains("sekisho") || lower.contains("audit") {
            return Some(Replayed::NotReplayable("it asks about the books themselves"));
        }
        let judged = self.judge(around, &who, sql, &facts);
        Some(match kind {
            "admission" => self.compare_admission(body, detail, facts.spent.as_ref(), judged),
            _ => self.compare_refusal(serde_json::from_value(detail.get("refusal")?.clone()).ok()?, judged),
        })
    }

    /// The same steps as `answer.rs`, up to the reservation, without the engine.
    fn judge(&self, around: &Surroundings, who: &AccountName, sql: &str, facts: &Facts) -> Result<Judged, Refusal> {
        let limits = Limits::default();
        let mut settings = Settings::default();
        for (name, value) in &facts.session {
            settings.set(name.strip_prefix("sekisho.").unwrap_or(name), Some(value))?;
        }
        let values = match &facts.parameters {
            None => vec![],
            Some(text) => bound(Some(&unwritten(text).ok_or(Refusal::Failed { entry: None })?))?,
        };
        let (statement, explaining) = match parse(sql, &limits)? {
            Call::Ask(statement) => (statement, false),
            Call::Explain(statement) => (statement, true),
            Call::Set { name, value } => return settings.set(&name, value.as_deref()).map(|()| Judged::Free),
            Call::Show { .. } => return Ok(Judged::Free),
        };
        let permit = self.chosen_permit(who, settings.permit.as_ref(), facts.at)?;
        let world = &around.world;
        let chosen = permit.map(|p| p.dataset.clone()).or_else(|| world.datasets.keys().next().cloned());
        around.policy.rejudge(who, &facts.roles, permit, facts.at)?;
        let directory = world.directory(chosen.as_ref(), &[]);
        let today = world.today(chosen.as_ref());
        let question = admit(*statement, &directory, today, Parameters::Bound(values), &limits)?;
        let policy_hash = around.policy.rejudge_question(who, &facts.roles, permit, question.touched())?;
        if let (Some(named), Some(permit)) = (question.dataset()?, permit)
            && named != permit.dataset
        {
            return Err(Refusal::NotGranted { what: named.to_string() });
        }
        if question.is_public() {
            return Ok(Judged::Free);
        }
        let permit = permit.ok_or(Refusal::NoPermit)?;
        let dataset = world.datasets.get(&permit.dataset).ok_or(Refusal::PermitNotActive)?;
        let bounds = Bounds {
            work_rows_max: around.work_rows_max,
            cells_max: around.cells_max,
            population_max: dataset.config.population_max,
        };
        let analysis = analyze(&question, &settings.asked, &bounds)?;
        let key = analysis.core(&[
            &world.versions(dataset),
            env!("CARGO_PKG_VERSION"),
            datafusion::DATAFUSION_VERSION,
            "UTC",
            &world.today(Some(&permit.dataset)).to_string(),
            &facts.at.0.div_euclid(EPOCH_MICROS).to_string(),
        ]);
        let offer = Offer {
            epsilon: settings.epsilon.unwrap_or(permit.per_question_epsilon),
            accuracy: settings.accuracy,
            cap: permit.cap,
            spent: facts.spent.clone().unwrap_or_else(|| self.spent(&permit.id)),
        };
        let plan = analysis.price(&offer)?;
        let deadline = match &around.speed {
            Some(speed) => Some(Deadline::of(plan.analysis(), &dataset.config, &bounds, speed, settings.deadline)?),
            None => None,
        };
        if explaining {
            return Ok(Judged::Free);
        }
        let charge = Charge {
            account: who.clone(),
            permit: permit.id.clone(),
            dataset: permit.dataset.clone(),
            population: dataset.config.population.clone(),
            loss: plan.loss().clone(),
            draws: u32::try_from(plan.priced().mechanisms.len()).map_err(|_| Refusal::Failed { entry: None })?,
        };
        Ok(Judged::Charged(Box::new(Verdict { key, policy_hash, charge, deadline })))
    }

    fn chosen_permit(
        &self,
        who: &AccountName,
        named: Option<&PermitId>,
        now: Instant,
    ) -> Result<Option<&Permit>, Refusal> {
        let mut own = self.permits.values().filter(|permit| permit.principals.contains(who));
        if let Some(id) = named {
            return own.find(|permit| permit.id == *id).map(Some).ok_or(Refusal::PermitNotActive);
        }
        let mut active = own.filter(|permit| permit.active(now));
        Ok(match (active.next(), active.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        })
    }

    fn spent(&self, permit: &PermitId) -> Loss {
        let cap = format!("permit/{permit}");
        let totals = self.ledger.totals().unwrap_or_default();
        let line = totals.caps.into_iter().find(|line| line.cap == cap);
        line.map_or_else(Loss::zero, |line| line.committed)
    }

    fn bears(&self, charge: &Charge) -> bool {
        let totals = self.ledger.totals().unwrap_or_default();
        Scope::Fresh.caps(charge).iter().all(|name| {
            let text = cap_text(name);
            let line = totals.caps.iter().find(|line| line.cap == text);
            line.is_some_and(|line| line.bears(&charge.loss))
        })
    }

    fn compare_admission(
        &self,
        body: &Value,
        detail: &Value,
        spent: Option<&Loss>,
        judged: Result<Judged, Refusal>,
    ) -> Replayed {
        let verdict = match judged {
            Ok(Judged::Charged(verdict)) => verdict,
            Ok(Judged::Free) => return different("admitted and charged", "answered for nothing"),
            Err(here) => return different("admitted", &format!("{here:?}")),
        };
        let question = |name: &str| detail.get("question").and_then(|q| q.get(name)).and_then(Value::as_str);
        let takes = body.get("ledger").and_then(|ledger| ledger.get("takes")).and_then(|takes| takes.get("loss"));
        let loss = takes.and_then(|loss| serde_json::from_value::<Loss>(loss.clone()).ok());
        let charge = &verdict.charge;
        let settings = |name: &str| detail.get("question").and_then(|q| q.get("settings")).and_then(|s| s.get(name));
        let recorded = settings("deadline_ms").and_then(Value::as_u64);
        let deadline = verdict.deadline.map(|deadline| deadline.milliseconds().map(u64::from));
        let checks = [
            // At the price of the moment: what the permit had spent is what the log up to here adds up to.
            ("budget before it", spent.is_none_or(|spent| *spent == self.spent(&charge.permit))),
            ("plan", question("canonical_hash").and_then(from_hex) == Some(verdict.key)),
            ("policy", question("policy_hash") == Some(to_hex(&verdict.policy_hash).as_str())),
            ("loss", loss.as_ref() == Some(&charge.loss)),
            ("deadline", deadline.is_none_or(|deadline| deadline == recorded)),
            ("draws", detail.get("draws").and_then(Value::as_u64) == Some(charge.draws.into())),
            ("permit", body.get("permit").and_then(Value::as_str) == Some(charge.permit.as_str())),
            ("data set", detail.get("dataset").and_then(Value::as_str) == Some(charge.dataset.as_str())),
            ("population", detail.get("population").and_then(Value::as_str) == Some(charge.population.as_str())),
        ];
        match checks.iter().find(|(_, same)| !same) {
            None => Replayed::Same,
            Some((what, _)) => different(&format!("its {what}"), "another"),
        }
    }

    fn compare_refusal(&self, recorded: Refusal, judged: Result<Judged, Refusal>) -> Replayed {
        let of_the_moment = match &recorded {
            // Of the last three: nobody waited any more; a last step failed on what was released; public rows took long.
            Refusal::Busy
            | Refusal::Halted
            | Refusal::Failed { .. }
            | Refusal::NotSignedIn
            | Refusal::Cancelled
            | Refusal::NotDone { .. } => true,
            Refusal::TooComplex { limit } => limit == TOO_LONG,
            _ => false,
        };
        if of_the_moment {
            return Replayed::NotReplayable("it depends on the moment, not on the question");
        }
        match (&recorded, judged) {
            (recorded, Err(here)) if *recorded == here => Replayed::Same,
            (Refusal::BudgetExhausted { .. }, Ok(Judged::Charged(verdict))) if !self.bears(&verdict.charge) => {
                Replayed::Same
            }
            (Refusal::FunctionNotAllowed { name, .. }, Ok(_)) if name == "this combination of types" => {
                Replayed::NotReplayable("the engine refused to run it")
            }
            (recorded, Err(here)) => different(&format!("{recorded:?}"), &format!("{here:?}")),
            (recorded, Ok(_)) => different(&format!("{recorded:?}"), "admitted"),
        }
    }
}

fn different(recorded: &str, here: &str) -> Replayed {
    Replayed::Different { recorded: recorded.to_owned(), here: here.to_owned() }
}
