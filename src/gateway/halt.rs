//! Who stops questions, those already running too?
//!
//! A halt is durable before it is acted upon: from then on no charge is taken that it stops. A question enters the list
//! of those running before it takes its charge, so that none slips between the two.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Gateway, Session, administer, blocking, failed, figures};
use crate::{
    identity::Principal,
    policy::Action,
    record::{Denied, FailuresMax, HaltTarget, Lifting, Permit, Reservation},
    terms::{AccountName, DatasetName, PermitId, Refusal, SourceName},
};

/// Residual bits before a halt (privacy.md section 8).
const FAILURES_MAX: FailuresMax = FailuresMax { permit: 2, dataset: 16 };
/// So long may the reason of a halt be, in characters.
const REASON_CHARS_MAX: usize = 1000;

/// The questions that run now, or are about to: charged ones, and work about nobody.
#[derive(Default)]
pub(super) struct Running(Mutex<List>);

#[derive(Default)]
struct List {
    next: u64,
    questions: HashMap<u64, Question>,
}

struct Question {
    account: AccountName,
    permit: Option<PermitId>,
    dataset: Option<DatasetName>,
    source: Option<SourceName>,
    stop: watch::Sender<bool>,
}

/// One question's place among those running, until it is dropped.
pub(super) struct Place<'a> {
    running: &'a Running,
    number: u64,
    stopped: watch::Receiver<bool>,
}

impl Running {
    pub(super) fn enter(
        &self,
        account: &AccountName,
        permit: Option<&PermitId>,
        dataset: Option<&DatasetName>,
        source: Option<SourceName>,
    ) -> Place<'_> {
        let (stop, stopped) = watch::channel(false);
        let mut list = self.lock();
        let number = list.next;
        list.next = list.next.wrapping_add(1);
        let question =
            Question { account: account.clone(), permit: permit.cloned(), dataset: dataset.cloned(), source, stop };
        list.questions.insert(number, question);
        Place { running: self, number, stopped }
    }

    /// Ends the questions that `target` stops; how many.
    pub(super) fn end(&self, target: &HaltTarget) -> usize {
        let list = self.lock();
        let meant = list.questions.values().filter(|question| question.is_meant(target));
        // Nobody listens where the question has just ended by itself.
        meant.filter(|question| question.stop.send(true).is_ok()).count()
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Question {
    fn is_meant(&self, target: &HaltTarget) -> bool {
        match target {
            HaltTarget::Everything => true,
            HaltTarget::Principal(name) => *name == self.account,
            HaltTarget::Permit(id) => self.permit.as_ref() == Some(id),
            HaltTarget::Dataset(name) => self.dataset.as_ref() == Some(name),
            HaltTarget::Source(name) => self.source.as_ref() == Some(name),
        }
    }
}

impl Place<'_> {
    /// What `work` comes to; none where a halt ends it before. The work is dropped where it stands.
    pub(super) async fn unless_halted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut stopped = self.stopped.clone();
        tokio::select! {
            biased;
            // The sender lives as long as this place.
            Ok(_) = stopped.wait_for(|stopped| *stopped) => None,
            done = work => Some(done),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.running.lock().questions.remove(&self.number);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    target: HaltTarget,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lift {
    target: HaltTarget,
}

impl Gateway {
    /// Whether a halt stops whatever this account asks.
    ///
    /// # Errors
    /// `Halted`.
    pub(super) async fn not_halted(&self, principal: &Principal) -> Result<(), Refusal> {
        let (books, account) = (self.books.clone(), principal.account().clone());
        let halted = blocking(move || books.halted(&account, None)).await?.map_err(|fault| failed(&fault))?;
        halted.map_or(Ok(()), |_| Err(Refusal::Halted))
    }

    /// Whether a halt on this very account stops what it administers. A halt of everything stops questions alone: somebody
    /// has to lift it.
    ///
    /// # Errors
    /// `Halted`.
    pub(super) async fn not_halted_itself(&self, session: &Session) -> Result<(), Refusal> {
        let (books, account) = (self.books.clone(), session.principal().account().clone());
        let halted = blocking(move || books.halted_itself(&account)).await?.map_err(|fault| failed(&fault))?;
        if halted { Err(Refusal::Halted) } else { Ok(()) }
    }

    /// Whether a halt stops a question under this permit, ordered or for its failures.
    ///
    /// # Errors
    /// `Halted`.
    pub(super) async fn not_halted_under(&self, principal: &Principal, permit: &Permit) -> Result<(), Refusal> {
        let (books, account) = (self.books.clone(), principal.account().clone());
        let (id, dataset) = (permit.id.clone(), permit.dataset.clone());
        let halted = blocking(move || {
            let failures = books.halt_for_failures(&id, &dataset, FAILURES_MAX)?;
            Ok::<_, crate::record::BooksFault>(failures || books.halted(&account, Some((&id, &dataset)))?.is_some())
        });
        match halted.await?.map_err(|fault| failed(&fault))? {
            true => Err(Refusal::Halted),
            false => Ok(()),
        }
    }

    /// The end of a question that a halt stopped while it ran. Its charge stands.
    pub(super) async fn end_by_halt(&self, reservation: Reservation) -> Refusal {
        let books = self.books.clone();
        match blocking(move || books.end_by_halt(reservation)).await {
            Ok(Ok(_)) => {
                figures::ended_by_halt();
                Refusal::Halted
            }
            Ok(Err(fault)) => failed(&fault),
            Err(refusal) => refusal,
        }
    }

    pub(super) async fn halt_on(&self, session: &Session, body: Value) -> Result<Value, Refusal> {
        let Order { target, reason } = administer::read(body)?;
        let by = self.may(session, Action::HaltOn)?;
        if reason.trim().is_empty() || reason.chars().count() > REASON_CHARS_MAX {
            return Err(administer::not_done_because("give the halt a reason, of at most 1000 characters"));
        }
        let (books, meant) = (self.books.clone(), target.clone());
        let entry = blocking(move || books.halt(&by, meant, &reason)).await?.map_err(|f| administer::words(&f))?;
        // On disk: the halt. Nothing that it stops begins any more; what runs ends here.
        let ended = self.running_now.end(&target);
        tracing::warn!(%target, ended, "halted");
        Ok(json!({"entry": entry, "ended": ended}))
    }

    pub(super) async fn halt_off(&self, session: &Session, body: Value) -> Result<Value, Refusal> {
        let Lift { target } = administer::read(body)?;
        let by = self.may(session, Action::HaltOff)?;
        let books = self.books.clone();
        let lifting = blocking(move || books.lift(&by, target)).await?.map_err(|f| administer::words(&f))?;
        Ok(match lifting {
            Lifting::Asked(entry) => json!({"entry": entry, "lifted": false}),
            Lifting::Lifted(entry) => json!({"entry": entry, "lifted": true}),
        })
    }

    pub(super) async fn halt_list(&self, session: &Session) -> Result<Value, Refusal> {
        self.may(session, Action::HaltList)?;
        let books = self.books.clone();
        let halts = blocking(move || books.halts()).await?.map_err(|fault| failed(&fault))?;
        serde_json::to_value(halts).map_err(|_| Refusal::Failed { entry: None })
    }
}

/// Why the books denied a charge, in the words of the asker.
pub(super) fn denied(denied: Denied) -> Refusal {
    match denied {
        Denied::Budget { left } => Refusal::BudgetExhausted { left },
        Denied::PermitNotActive => Refusal::PermitNotActive,
        Denied::Halted | Denied::Suspended => Refusal::Halted,
        Denied::Interval => Refusal::Busy,
        Denied::Fault(fault) => failed(&fault),
    }
}
