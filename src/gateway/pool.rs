//! On which threads do questions run, and how many of one account?
//!
//! Those about persons on their own, a fixed number of them, which answer nobody; work about nobody on others
//! (`public.rs`). Calls, sign-ins and the books have the rest: what they wait for is never the end of somebody's run. The
//! threads compute until there is nothing to compute, so a machine should have more cores than the threads for persons;
//! with as many or fewer, the others are slowed down while a question runs, and can feel when it ends.

use std::{
    collections::HashMap,
    future::Future,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::Instant,
};

use crate::{
    engine::{EngineFault, InUse},
    terms::{AccountName, Refusal},
};

/// The stack of a thread that plans: one that overflows ends the whole process. Only what is used of it is memory.
const STACK_BYTES: usize = 16 << 20;

/// The threads of one kind of questions.
pub(super) struct Pool(Option<Runtime>);

/// Places that each account has for itself: whoever asks more at once waits for their own, and keeps nobody else out.
pub(super) struct Shares {
    of_one: usize,
    accounts: Mutex<HashMap<AccountName, Arc<Semaphore>>>,
}

impl Shares {
    pub(super) fn of_each(of_one: usize) -> Self {
        Self { of_one, accounts: Mutex::default() }
    }

    /// Waits until the account has a place left.
    ///
    /// # Errors
    /// `busy` where there is none any more.
    pub(super) async fn enter(&self, account: &AccountName) -> Result<OwnedSemaphorePermit, Refusal> {
        self.places_of(account).acquire_owned().await.map_err(|_| Refusal::Busy)
    }

    fn places_of(&self, account: &AccountName) -> Arc<Semaphore> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.retain(|_, places| Arc::strong_count(places) > 1);
        let places = accounts.entry(account.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.of_one)));
        Arc::clone(places)
    }
}

/// Places that are given back when the work that they were for has come to rest, however early it was dropped: a thread that
/// is still busy is nobody else's place, and makes nobody else's question miss its deadline. How long work about persons
/// takes to come to rest is told by powers of four of its deadline alone: whoever waits for the place sees no other instant.
pub(super) struct Held<P: Send + 'static> {
    places: Option<P>,
    in_use: InUse,
    /// When the work began, and how long it has.
    timed: Option<(Instant, Duration)>,
}

impl<P: Send + 'static> Held<P> {
    pub(super) fn new(places: P, in_use: InUse) -> Self {
        Self { places: Some(places), in_use, timed: None }
    }

    /// From here on the work is about persons, and has `time`; without one, answers leave as soon as they are made.
    pub(super) fn begins(&mut self, time: Option<Duration>) {
        self.timed = time.map(|time| (Instant::now(), time));
    }
}

/// The first instant, from `now` on, at which it may be looked whether work has come to rest that began at `begun`: once it
/// has had its time, and so often four times as much.
fn next_look(begun: Instant, time: Duration, now: Instant) -> Instant {
    let mut at = time;
    while begun + at < now {
        at = at.saturating_mul(4);
    }
    begun + at
}

impl<P: Send + 'static> Drop for Held<P> {
    fn drop(&mut self) {
        let (Some(places), in_use, timed) = (self.places.take(), self.in_use.clone(), self.timed) else { return };
        let early = timed.is_some_and(|(begun, time)| Instant::now() < begun + time);
        if in_use.ended() && !early {
            return;
        }
        // Without a runtime nothing runs any more either.
        if let Ok(threads) = Handle::try_current() {
            threads.spawn(async move {
                loop {
                    match timed {
                        // A moment after the last look, or it would be the next.
                        Some((begun, time)) => {
                            tokio::time::sleep_until(next_look(begun, time, Instant::now() + LOOK_EVERY)).await;
                        }
                        None => tokio::time::sleep(LOOK_EVERY).await,
                    }
                    if in_use.ended() {
                        break;
                    }
                }
                drop(places);
            });
        }
    }
}

/// So often it is looked whether dropped work has come to rest.
const LOOK_EVERY: Duration = Duration::from_millis(10);

impl Pool {
    /// A pool of so many threads that compute, and as many that read files and draw noise.
    ///
    /// # Errors
    /// [`EngineFault::Threads`] where the system gives no threads.
    pub(super) fn new(name: &'static str, threads: NonZeroUsize) -> Result<Self, EngineFault> {
        let built = Builder::new_multi_thread()
            .worker_threads(threads.get())
            .max_blocking_threads(threads.get().saturating_mul(2))
            .thread_name(name)
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build();
        Ok(Self(Some(built.map_err(EngineFault::Threads)?)))
    }

    /// What `work` comes to on these threads. Dropped, it ends where it next lets go; whatever it still holds then is of
    /// its own memory and delays who comes after it, at most into a failure that is counted.
    ///
    /// # Errors
    /// [`EngineFault::Lost`] where it panicked, or the pool is closing.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, EngineFault> {
        let threads = self.0.as_ref().ok_or(EngineFault::Lost)?;
        // Dropped with what waits for it, the set ends the task.
        let mut alone = JoinSet::new();
        alone.spawn_on(work, threads.handle());
        // The text of a panic may hold values: only that there was one goes on.
        alone.join_next().await.ok_or(EngineFault::Lost)?.map_err(|_| EngineFault::Lost)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // A runtime must not be waited for on the threads of another one.
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn pool() -> Pool {
        Pool::new("persons", NonZeroUsize::MIN).unwrap()
    }

    #[tokio::test]
    async fn an_account_waits_for_its_own_places_and_for_nobody_elses() {
        let shares = Shares::of_each(1);
        let [hanako, jiro] = ["hanako", "jiro"].map(|name| name.parse::<AccountName>().unwrap());
        let held = shares.enter(&hanako).await.unwrap();
        let _others = shares.enter(&jiro).await.unwrap();
        let soon = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, shares.enter(&hanako)).await.is_err());
        drop(held);
        let _again = shares.enter(&hanako).await.unwrap();
        assert_eq!(shares.accounts.lock().unwrap().len(), 2);
    }

    #[test]
    fn whether_work_has_come_to_rest_is_looked_at_by_powers_of_four_of_its_time() {
        let (begun, second) = (Instant::now(), Duration::from_secs(1));
        for (after, look) in [(0, 1000), (999, 1000), (1000, 1000), (1001, 4000), (4001, 16_000), (200_000, 256_000)] {
            let now = begun + Duration::from_millis(after);
            assert_eq!(next_look(begun, second, now), begun + Duration::from_millis(look), "{after}");
        }
    }

    #[tokio::test]
    async fn a_place_is_free_at_such_an_instant_however_early_its_work_ended() {
        let shares = Shares::of_each(1);
        let hanako: AccountName = "hanako".parse().unwrap();
        let time = Duration::from_millis(300);
        // Of work that has ended at once; dropped in time, and once after it.
        for (dropped_after, free_after) in [(0, 300), (100, 300), (400, 400)] {
            let begun = Instant::now();
            let mut held = Held::new(shares.enter(&hanako).await.unwrap(), InUse::default());
            held.begins(Some(time));
            tokio::time::sleep(Duration::from_millis(dropped_after)).await;
            drop(held);
            drop(shares.enter(&hanako).await.unwrap());
            let waited = begun.elapsed().as_millis();
            assert!(waited >= free_after, "dropped after {dropped_after}: {waited}");
        }
    }

    #[tokio::test]
    async fn work_runs_on_threads_of_its_own() {
        let (pool, here) = (pool(), std::thread::current().id());
        let there = pool.run(async { (std::thread::current().id(), std::thread::current().name().map(str::to_owned)) });
        let (id, name) = there.await.unwrap();
        assert_ne!(id, here);
        assert_eq!(name.as_deref(), Some("persons"));
    }

    #[tokio::test]
    async fn a_panic_is_a_fault_and_the_pool_goes_on() {
        async fn panics() {
            panic!("on purpose");
        }
        let pool = pool();
        assert!(matches!(pool.run(panics()).await, Err(EngineFault::Lost)));
        assert_eq!(pool.run(async { 7 }).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_ends() {
        let pool = pool();
        let (ended, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(tokio::sync::Notify::new()));
        struct Tells(Arc<AtomicBool>);
        impl Drop for Tells {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let (tells, telling) = (Tells(Arc::clone(&ended)), Arc::clone(&begun));
        let forever = pool.run(async move {
            let _tells = tells;
            telling.notify_one();
            std::future::pending::<()>().await;
        });
        tokio::select! {
            _ = forever => unreachable!(),
            () = begun.notified() => {}
        }
        for _ in 0..100 {
            if ended.load(Ordering::SeqCst) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(ended.load(Ordering::SeqCst));
    }
}
