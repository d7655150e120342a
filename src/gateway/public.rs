//! Where does work run that reads nobody's rows, and what ends it?
//!
//! Questions about nobody, the public parts of the others, and what is done with values once they are released. All of it may
//! be as long as its author likes, so it has threads and memory of its own, of which one account gets no more than its part,
//! and ends with its time, with a halt, and with whoever waits for it. How long it takes depends on nobody.

use std::{future::Future, num::NonZeroUsize, sync::Arc, time::Duration};

use datafusion::logical_expr::LogicalPlan;
use futures::{FutureExt, future::BoxFuture};
use tokio::sync::{Semaphore, watch};

use super::{
    Gateway,
    answer::Asking,
    failed,
    pool::{Pool, Shares},
};
use crate::{
    engine::{Engine, EngineFault, Finished, Prepared, RangedTables, finish, public_answer},
    privacy::{Analysis, Noisy},
    terms::Refusal,
};

/// Works of this kind that run at once; each has a thread and a part of the memory.
const PLACES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);
/// Of these, how many one account may have.
const PLACES_OF_ONE: usize = 2;
/// So long somebody waits for a place before it is `busy`.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long may one work take.
const TIME_MAX: Duration = Duration::from_secs(30);
/// The limit of a text that a question computes from public tables and puts beside persons' rows.
const LONG_TEXT: &str = "texts of at most 4,096 bytes beside persons' rows; shorten them with left(x, 1024)";
/// The limit that a longer one has met, in words.
pub(super) const TOO_LONG: &str =
    "more than 30 seconds for what reads no rows of persons; join fewer public tables, or filter them first";

/// The threads of such work, and the places on them.
pub(super) struct PublicWork {
    pool: Pool,
    places: Arc<Semaphore>,
    shares: Shares,
}

impl PublicWork {
    /// All places free.
    ///
    /// # Errors
    /// [`EngineFault::Threads`] where the system gives no threads.
    pub(super) fn new() -> Result<Self, EngineFault> {
        Ok(Self {
            pool: Pool::new("nobody", PLACES)?,
            places: Arc::new(Semaphore::new(PLACES.get())),
            shares: Shares::of_each(PLACES_OF_ONE),
        })
    }
}

/// What fails over rows about nobody is the question's own: a pattern that is none, a text that is no number.
fn of_public_rows(fault: &EngineFault) -> Refusal {
    match fault {
        EngineFault::Planned(_) | EngineFault::Run(_) => {
            tracing::info!(%fault, "a question about nobody fails on its rows");
            let hint = "a step fails on the public rows: look for a pattern that is no regular expression, a cast, a root or \
                        an overflow";
            Refusal::NotAQuestion { hint: hint.into() }
        }
        fault => failed(fault),
    }
}

tokio::task_local! {
    /// Closed when nobody waits for this call any more.
    static WAITED_FOR: watch::Receiver<()>;
}

/// `work`, which ends where it is about nobody when the other half of `waited_for` is dropped: its client has gone, or has
/// cancelled. What is about persons goes on, and whether it had ended is not told.
pub async fn while_waited_for<T>(waited_for: watch::Receiver<()>, work: impl Future<Output = T>) -> T {
    WAITED_FOR.scope(waited_for, work).await
}

async fn nobody_waits() {
    match WAITED_FOR.try_with(Clone::clone) {
        Ok(mut waited_for) => while waited_for.changed().await.is_ok() {},
        Err(_) => std::future::pending().await,
    }
}

impl Gateway {
    /// The exact answer to a question about nobody, for as long as somebody waits for it.
    ///
    /// # Errors
    /// As [`Gateway::in_public`]; `cancelled` where nobody waits any more; `failed`.
    pub(super) async fn of_nobody(
        &self,
        asking: &Asking<'_>,
        plan: LogicalPlan,
        tables: Arc<dyn RangedTables>,
    ) -> Result<Finished, Refusal> {
        let engine = self.public_engine().map_err(|fault| failed(&fault))?;
        let answering =
            self.in_public(asking, async move { public_answer(&engine, &plan, tables.as_ref()).await }.boxed());
        tokio::select! {
            biased;
            () = nobody_waits() => Err(Refusal::Cancelled),
            answer = answering => answer?.map_err(|fault| of_public_rows(&fault)),
        }
    }

    /// Whether the engine can run it over no rows at all.
    ///
    /// # Errors
    /// Why it cannot, from public facts.
    pub(super) async fn rehearse(
        &self,
        asking: &Asking<'_>,
        analysis: &Analysis,
        tables: &Arc<dyn RangedTables>,
    ) -> Result<(), Refusal> {
        let (engine, analysis, tables) = (self.public_engine(), analysis.clone(), Arc::clone(tables));
        let engine = engine.map_err(|fault| failed(&fault))?;
        let rehearsed = self.aside(asking, async move { engine.rehearse(&analysis, tables.as_ref()).await }.boxed());
        rehearsed.await?.map_err(|fault| unplannable(&fault))
    }

    /// What is public below persons' rows.
    ///
    /// # Errors
    /// As [`Gateway::in_public`]; `failed`.
    pub(super) async fn prepare(
        &self,
        asking: &Asking<'_>,
        analysis: &Analysis,
        tables: &Arc<dyn RangedTables>,
    ) -> Result<Prepared, Refusal> {
        let (analysis, tables) = (analysis.clone(), Arc::clone(tables));
        let engine = self.public_engine().map_err(|fault| failed(&fault))?;
        let none = analysis.public_inputs().is_empty();
        let preparing = async move { engine.prepare(&analysis, tables.as_ref()).await }.boxed();
        let prepared = match none {
            true => preparing.await,
            false => self.in_public(asking, preparing).await?,
        };
        prepared.map_err(|fault| match fault {
            EngineFault::LongText => Refusal::TooComplex { limit: LONG_TEXT.into() },
            fault => of_public_rows(&fault),
        })
    }

    /// The last steps, over released values alone.
    ///
    /// # Errors
    /// `not_done` where they do not work on these values; as [`Gateway::in_public`].
    pub(super) async fn finished(
        &self,
        asking: &Asking<'_>,
        analysis: &Analysis,
        noisy: Noisy,
        tables: Arc<dyn RangedTables>,
    ) -> Result<Finished, Refusal> {
        let (engine, analysis) = (self.public_engine().map_err(|fault| failed(&fault))?, analysis.clone());
        let finishing = async move { finish(&engine, &analysis, &noisy, tables.as_ref()).await }.boxed();
        match self.in_public(asking, finishing).await {
            Ok(Ok(finished)) => Ok(finished),
            Ok(Err(fault)) => {
                tracing::warn!(%fault, "released values could not be finished");
                Err(unfinished())
            }
            Err(Refusal::TooComplex { .. }) => Err(unfinished()),
            Err(refusal) => Err(refusal),
        }
    }

    /// What `work` comes to, in one of the places for it.
    ///
    /// # Errors
    /// `busy`, and as [`Gateway::aside`].
    async fn in_public<T: Send + 'static>(
        &self,
        asking: &Asking<'_>,
        work: BoxFuture<'static, Result<T, EngineFault>>,
    ) -> Result<Result<T, EngineFault>, Refusal> {
        let taken = async {
            let own = self.public.shares.enter(asking.principal.account()).await?;
            let place = Arc::clone(&self.public.places).acquire_owned().await.map_err(|_| Refusal::Busy)?;
            Ok::<_, Refusal>((own, place))
        };
        let places = tokio::time::timeout(PATIENCE, taken).await.map_err(|_| Refusal::Busy)??;
        // They go with the work, which may end later than whoever waits for it stops waiting.
        let placed = async move {
            let done = work.await;
            drop(places);
            done
        };
        self.aside(asking, placed.boxed()).await
    }

    /// The same without a place, for what is short unless somebody means it not to be.
    ///
    /// # Errors
    /// `too_complex` for what takes too long, and `halted`.
    async fn aside<T: Send + 'static>(
        &self,
        asking: &Asking<'_>,
        work: BoxFuture<'static, Result<T, EngineFault>>,
    ) -> Result<Result<T, EngineFault>, Refusal> {
        let dataset = asking.dataset.as_ref();
        let source = dataset.and_then(|name| asking.world.datasets.get(name)?.source());
        let permit = asking.permit.as_ref().map(|permit| &permit.id);
        let running = self.running_now.enter(asking.principal.account(), permit, dataset, source);
        let working = running.unless_halted(tokio::time::timeout(TIME_MAX, self.public.pool.run(work)));
        match working.await {
            None => Err(Refusal::Halted),
            Some(Err(_)) => Err(Refusal::TooComplex { limit: TOO_LONG.into() }),
            Some(Ok(Err(lost))) => Ok(Err(lost)),
            Some(Ok(Ok(done))) => Ok(done),
        }
    }

    /// The engine with the memory of one such work.
    ///
    /// # Errors
    /// [`EngineFault::Planned`] where the runtime refuses its settings.
    fn public_engine(&self) -> Result<Engine, EngineFault> {
        self.engine.with_memory_of_its_own(super::memory_of_public(&self.enclave.engine) / PLACES)
    }
}

fn unplannable(fault: &EngineFault) -> Refusal {
    tracing::warn!(%fault, "a typed question could not be made physical");
    Refusal::FunctionNotAllowed {
        name: "this combination of types".into(),
        hint: "the engine cannot run it; compare and compute values of one type".into(),
    }
}

/// What was released cannot be shown as asked for. It says nothing of rows: no failure of the question, and nothing is lost.
fn unfinished() -> Refusal {
    Refusal::NotDone {
        reason:
            "what you asked for is bought and kept, but its last step does not work on the noised values; ask for them \
                 without that step, at no further cost, and compute the rest yourself"
                .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_is_waited_for_hears_when_that_ends() {
        let (waiting, waited_for) = watch::channel(());
        let told = tokio::spawn(while_waited_for(waited_for, nobody_waits()));
        tokio::task::yield_now().await;
        assert!(!told.is_finished());
        drop(waiting);
        told.await.unwrap();
        let never = tokio::time::timeout(Duration::from_millis(20), nobody_waits());
        assert!(never.await.is_err(), "nobody said whether anybody waits");
    }
}
