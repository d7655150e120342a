//! What can go wrong between rows and sums?

/// Which step failed. No text of the engine's, since that may hold values; the operator reads the step.
#[derive(Debug, thiserror::Error)]
pub enum EngineFault {
    /// The plan could not be optimised or made physical.
    #[error("the engine could not plan a step")]
    Planned(#[source] Sealed),
    /// Reading or computing failed.
    #[error("the engine failed while running")]
    Run(#[source] Sealed),
    /// A table or range does not exist in this data version.
    #[error("the data version lacks a table of its catalogue")]
    Missing,
    /// Rows did not come in owner order.
    #[error("rows did not come in owner order")]
    Order,
    /// Columns are not what the plan promised.
    #[error("columns are not what the plan promised")]
    Shape,
    /// A table about nobody has a text that is longer than those that a question may build.
    #[error("a table about nobody has too long a text")]
    LongText,
    /// More groups than ids.
    #[error("more groups than the engine can number")]
    TooManyGroups,
    /// A sum left its integers although its bounds fit.
    #[error("a sum left its integers")]
    Overflow,
    /// A task ended without a result.
    #[error("a task ended without a result")]
    Lost,
    /// The system gives no threads.
    #[error("no threads for questions about persons")]
    Threads(#[source] std::io::Error),
}

/// The engine's own error: kept for its type, never shown, since its text may hold values of rows.
pub struct Sealed(
    #[expect(dead_code, reason = "held so that a debugger can find it; never printed")]
    Box<datafusion::error::DataFusionError>,
);

impl From<datafusion::error::DataFusionError> for Sealed {
    fn from(fault: datafusion::error::DataFusionError) -> Self {
        Self(Box::new(fault))
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed")
    }
}

impl std::fmt::Display for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sealed engine error")
    }
}

impl std::error::Error for Sealed {}

impl EngineFault {
    /// A fault of planning.
    pub(super) fn planned(fault: datafusion::error::DataFusionError) -> Self {
        Self::Planned(fault.into())
    }

    /// A fault of running.
    pub(super) fn run(fault: datafusion::error::DataFusionError) -> Self {
        Self::Run(fault.into())
    }
}
