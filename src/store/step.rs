//! Where does the writer stand between two durable steps, and what do tests put there?
//!
//! In the program this is nothing: a step is always taken. The crash tests put faults here, at every step of the protocol
//! of `writer.rs`: a statement that fails, a commit that fails although it is on disk, a panic, a process that is killed.

#[cfg(test)]
use std::sync::Arc;

use super::StoreFault;

/// The steps of one group commit, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// A job was taken; nothing has begun.
    Begin,
    /// A job has run; nothing of it is durable.
    Ran,
    /// Everything has run; the commit comes next.
    Commit,
    /// The commit is durable; nobody was told.
    Committed,
    /// Everybody was told.
    Told,
}

/// What happens instead of a step.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meddling {
    /// Nothing: the step is taken.
    Nothing,
    /// It fails and is not done.
    Fails,
    /// It is done and yet reported as failed.
    DoneButFails,
}

/// What tests do at each step; nothing in the program.
#[derive(Clone, Default)]
pub(crate) struct Steps {
    #[cfg(test)]
    meddler: Option<Arc<dyn Fn(Step) -> Meddling + Send + Sync>>,
}

impl Steps {
    /// Takes the step at `step` by doing `act`.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "tests need it")]
    pub(super) fn take(&self, _step: Step, act: impl FnOnce() -> Result<(), StoreFault>) -> Result<(), StoreFault> {
        act()
    }

    #[cfg(test)]
    pub(super) fn take(&self, step: Step, act: impl FnOnce() -> Result<(), StoreFault>) -> Result<(), StoreFault> {
        match self.meddler.as_ref().map_or(Meddling::Nothing, |meddle| meddle(step)) {
            Meddling::Nothing => act(),
            Meddling::Fails => Err(StoreFault::Broken { what: "disk, on purpose" }),
            Meddling::DoneButFails => act().and(Err(StoreFault::Broken { what: "disk, on purpose" })),
        }
    }

    /// Steps at which `meddle` says what happens.
    #[cfg(test)]
    pub(crate) fn meddled(meddle: impl Fn(Step) -> Meddling + Send + Sync + 'static) -> Self {
        Self { meddler: Some(Arc::new(meddle)) }
    }
}
