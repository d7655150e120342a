//! Why were the books not written or read?

use crate::{
    audit::{AuditFault, VerifierFault},
    ledger::LedgerFault,
    permits::PermitFault,
    store::StoreFault,
    terms::Instant,
};

/// What the operator reads. Names steps, accounts, permits and data sets; never a value of data.
#[derive(Debug, thiserror::Error)]
pub enum BooksFault {
    /// The database failed.
    #[error("{0}")]
    Store(#[from] StoreFault),
    /// The ledger did not write.
    #[error("{0}")]
    Ledger(#[from] LedgerFault),
    /// The log did not write.
    #[error("{0}")]
    Audit(#[from] AuditFault),
    /// The enclave's name or a public key is none.
    #[error("{0}")]
    Name(#[from] VerifierFault),
    /// The permit cannot be granted as it is.
    #[error("{0}")]
    Permit(#[from] PermitFault),
    /// The log key is not the one that these books began with.
    #[error("keys/log.key is not the key of these books")]
    OtherKey,
    /// Tree and entries disagree.
    #[error("the books are damaged or were changed from outside: the last entry is not the last leaf")]
    Damaged,
    /// The machine's clock is behind the books.
    #[error(
        "the newest entry of the books is of {newest}, and this machine's clock says {now}: set the clock. If it was ahead \
         then and is right now, start the gateway with --clock-is-right, which is recorded. Nothing was touched"
    )]
    ClockBehind {
        /// When the newest entry was written.
        newest: Instant,
        /// What the clock says.
        now: Instant,
    },
    /// Something with this name exists already.
    #[error("{0} exists already")]
    AlreadyThere(String),
    /// Nothing has this name.
    #[error("there is no {0}")]
    Unknown(String),
    /// The parts of one question do not belong together.
    #[error("{0}")]
    Mismatch(&'static str),
    /// An entry could not be put into words.
    #[error("an entry could not be written as JSON")]
    Wording,
    /// The export could not be written.
    #[error("cannot write the export")]
    Export(#[source] std::io::Error),
}

impl From<rusqlite::Error> for BooksFault {
    fn from(source: rusqlite::Error) -> Self {
        Self::Store(source.into())
    }
}
