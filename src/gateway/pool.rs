//! On which threads do questions about persons run?
//!
//! On their own, a fixed number of them, which answer nobody. Calls, sign-ins, questions about nobody, samples and the
//! serving of kept answers have other threads: what they wait for is never the end of somebody's run. The threads compute
//! until there is nothing to compute, so a machine should have more cores than these threads; with as many or fewer, the
//! others are slowed down while a question runs, and can feel when it ends.

use std::{future::Future, num::NonZeroUsize};

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use crate::engine::EngineFault;

/// The threads of questions about persons.
pub(super) struct Pool(Option<Runtime>);

impl Pool {
    /// A pool of so many threads that compute, and as many that read files and draw noise.
    ///
    /// # Errors
    /// [`EngineFault::Threads`] where the system gives no threads.
    pub(super) fn new(threads: NonZeroUsize) -> Result<Self, EngineFault> {
        let built = Builder::new_multi_thread()
            .worker_threads(threads.get())
            .max_blocking_threads(threads.get().saturating_mul(2))
            .thread_name("persons")
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
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use super::*;

    fn pool() -> Pool {
        Pool::new(NonZeroUsize::MIN).unwrap()
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
