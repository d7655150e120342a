//! What is true for good, and since when?
//!
//! The one transaction over ledger, log, accounts, permits and kept answers. Two durable steps per question: (1) reserve
//! and record the admission, before any data is read; (2) settle, record the release and keep the answer. Whatever changes
//! the books writes its log entry in the same transaction.
//!
//! Everything here blocks; asynchronous callers go through their runtime's blocking threads.

mod administer;
mod certificates;
mod data;
mod export;
mod fault;
mod halts;
mod kept;
mod kept_failures;
mod publish;
mod question;
mod restore;
mod roles;
mod schema;
mod verify;

use std::{
    ops::Range,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::{
    audit::{self, Draft, Signer},
    keys::Keys,
    ledger::{self, Ending},
    store::Store,
    terms::{AccountName, CapName, Clock, EntryNumber, Instant, PermitId},
};

pub use crate::{
    accounts::{Account, ClientCertificate, NewAccount, PendingRole},
    audit::{Entry, Proof, ProofFault, Proved, Receipt, ReceiptFault, Verifier, VerifierFault, WitnessKey},
    ledger::{Balance, Change, ReplayFault, Totals, TotalsLine},
    permits::{EVERY_COLUMN, Permit, PermitFault, PermitState, Standing},
    store::StoreFault,
};
pub use data::{Activation, VocabularyDeclaration};
pub use fault::BooksFault;
pub use halts::{FailuresMax, Halt, HaltCause, HaltTarget, Lifting};
pub use kept::{Bought, Kept};
pub use publish::Publication;
pub use question::{Admission, Denied, Failures, Paid, Released, Reservation};
pub use restore::{Held, Suspension};
pub use roles::Granting;
pub use verify::{Verified, VerifyFault, verify_export, verify_watched_export};

/// The books of one enclave. A cheap handle; the last one to go closes them.
#[derive(Clone)]
pub struct Books {
    store: Store,
    clock: Clock,
    signer: Arc<Signer>,
    every: Duration,
    interval_share: Option<f64>,
    suspended: Arc<AtomicBool>,
    summed: Arc<Mutex<publish::Summed>>,
}

/// Something that happened and moves no budget: a refusal, a sign-in, an act of administration.
#[derive(Clone)]
pub struct Note {
    /// What kind of event, such as `refusal`.
    pub kind: &'static str,
    /// Whose act.
    pub account: Option<AccountName>,
    /// Under which permit.
    pub permit: Option<PermitId>,
    /// Everything else; becomes the entry's `detail`.
    pub body: Value,
}

impl Books {
    /// Makes new books in `dir` for the enclave called `enclave`, whose log is `sekisho/<enclave>`.
    ///
    /// # Errors
    /// [`BooksFault`], also where there are books already.
    pub fn create(dir: &Path, keys: &Keys, enclave: &str, clock: Clock) -> Result<Self, BooksFault> {
        let signer = Signer::new(enclave, keys.log())?;
        let store = Store::create_under(&dir.join(FILE), schema::MIGRATIONS, keys.books().bytes())?;
        let books = Self::of(store, clock, signer);
        let verifier = books.signer.verifier().to_text();
        let enclave = enclave.to_owned();
        books.write(move |w| {
            w.connection.execute("INSERT INTO enclave VALUES (1, ?1, ?2)", [&enclave, &verifier])?;
            let detail = json!({"enclave": enclave, "log": verifier, "program": env!("CARGO_PKG_VERSION")});
            w.append("created", None, None, detail, None)
        })?;
        Ok(books)
    }

    /// Opens the books in `dir`. Reservations that a crash left open are settled as spent, and recorded, before this
    /// returns: the loss may have happened.
    ///
    /// # Errors
    /// [`BooksFault`], also where another gateway has them open or the log key is not theirs.
    pub fn open(dir: &Path, keys: &Keys, clock: Clock) -> Result<Self, BooksFault> {
        Self::open_by(dir, keys, clock, false)
    }

    /// The same. With `clock_is_right` also where they have entries of a later time than the clock's: whoever opens them says
    /// that the clock was ahead before, and that is recorded.
    ///
    /// # Errors
    /// As [`Books::open`].
    pub fn open_by(dir: &Path, keys: &Keys, clock: Clock, clock_is_right: bool) -> Result<Self, BooksFault> {
        let store = Store::open_under(&dir.join(FILE), schema::MIGRATIONS, keys.books().bytes())?;
        Self::over_by(store, keys, clock, clock_is_right)
    }

    fn of(store: Store, clock: Clock, signer: Signer) -> Self {
        Self {
            store,
            clock,
            signer: Arc::new(signer),
            every: publish::EVERY,
            interval_share: None,
            suspended: Arc::default(),
            summed: publish::Summed::new(),
        }
    }

    #[cfg(test)]
    fn over(store: Store, keys: &Keys, clock: Clock) -> Result<Self, BooksFault> {
        Self::over_by(store, keys, clock, false)
    }

    fn over_by(store: Store, keys: &Keys, clock: Clock, clock_is_right: bool) -> Result<Self, BooksFault> {
        let named = "SELECT name, verifier FROM enclave";
        let (enclave, verifier): (String, String) =
            store.read(|c| Ok::<_, BooksFault>(c.query_row(named, [], |row| Ok((row.get(0)?, row.get(1)?)))?))?;
        let signer = Signer::new(&enclave, keys.log())?;
        if signer.verifier().to_text() != verifier {
            return Err(BooksFault::OtherKey);
        }
        let books = Self::of(store, clock, signer);
        books.check_head()?;
        books.check_clock(clock_is_right)?;
        books.recover()?;
        books.remember_suspension()?;
        Ok(books)
    }

    /// Records something that moves no budget.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn note(&self, note: Note) -> Result<EntryNumber, BooksFault> {
        self.write(move |w| w.append(note.kind, note.account, note.permit, note.body, None))
    }

    /// What a cap holds; none where nobody declared it.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn budget(&self, cap: &CapName) -> Result<Option<Balance>, BooksFault> {
        self.store.read(|c| Ok(ledger::balance(c, cap)?))
    }

    /// All caps and open reservations.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn budgets(&self) -> Result<Totals, BooksFault> {
        self.store.read(|c| Ok(ledger::totals(c)?))
    }

    /// The entries of `range` that exist, in order.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn entries(&self, range: Range<u64>) -> Result<Vec<Entry>, BooksFault> {
        self.store.read(|c| Ok(audit::entries(c, range)?))
    }

    /// How many entries the log has.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn size(&self) -> Result<u64, BooksFault> {
        self.store.read(|c| Ok(audit::head(c)?.size))
    }

    /// The public key of the log, for those who verify. Its name is the log's origin.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        self.signer.verifier()
    }

    /// Whether a failed commit has stopped the books: nothing is answered any more until they are opened again.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.store.is_poisoned()
    }

    /// Runs `job` as one durable transaction.
    fn write<T, E>(&self, job: impl FnOnce(&Writing<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreFault> + Send + 'static,
    {
        let (clock, signer, suspended) = (self.clock.clone(), Arc::clone(&self.signer), Arc::clone(&self.suspended));
        let (every, interval_share) = (self.every, self.interval_share);
        self.store.write(move |connection| {
            let suspended = suspended.load(Ordering::SeqCst);
            job(&Writing { connection, clock: &clock, signer: &signer, every, interval_share, suspended })
        })
    }

    /// The newest entry must be the newest leaf: a tree and entries that part are damage or tampering. What lies further
    /// back an export shows.
    fn check_head(&self) -> Result<(), BooksFault> {
        self.store.read(|c| {
            let size = audit::head(c)?.size;
            let last = size.checked_sub(1).filter(|_| audit::leaves(c).is_ok_and(|leaves| leaves == size));
            let last = EntryNumber(last.ok_or(BooksFault::Damaged)?);
            match audit::receipt(c, &self.signer, last)?.verify(&self.signer.verifier()) {
                Ok(()) => Ok(()),
                Err(_) => Err(BooksFault::Damaged),
            }
        })
    }

    /// A clock that shows a time before the newest entry would bring permits back that are over.
    fn check_clock(&self, it_is_right: bool) -> Result<(), BooksFault> {
        let last = self.size()?.checked_sub(1).ok_or(BooksFault::Damaged)?;
        let entry = self.entries(last..last.saturating_add(1))?.pop().ok_or(BooksFault::Damaged)?;
        let body: Value = serde_json::from_str(&entry.body).map_err(|_| BooksFault::Damaged)?;
        let newest = Instant(body.get("at").and_then(Value::as_i64).ok_or(BooksFault::Damaged)?);
        let now = self.clock.now();
        if newest <= now.plus(CLOCK_BACK_MAX) {
            return Ok(());
        }
        if !it_is_right {
            return Err(BooksFault::ClockBehind { newest, now });
        }
        let body = json!({"newest_entry": newest, "clock": now});
        self.note(Note { kind: "clock_set_back", account: None, permit: None, body }).map(drop)
    }

    // On disk now: admissions whose charge is committed and whose end is unknown. The loss may have happened, so it is
    // spent. The same function settles them that settles a failure.
    fn recover(&self) -> Result<(), BooksFault> {
        self.write(|w| {
            for (admission, charge) in ledger::open_reservations(w.connection)? {
                question::end(w, admission, &charge, Ending::Recovered)?;
            }
            Ok(())
        })
    }
}

/// The hands of one transaction.
struct Writing<'a> {
    connection: &'a Connection,
    clock: &'a Clock,
    signer: &'a Signer,
    every: Duration,
    interval_share: Option<f64>,
    suspended: bool,
}

impl Writing<'_> {
    fn append(
        &self,
        kind: &str,
        account: Option<AccountName>,
        permit: Option<PermitId>,
        detail: Value,
        effect: Option<ledger::Effect>,
    ) -> Result<EntryNumber, BooksFault> {
        let ledger = effect.map(serde_json::to_value).transpose().map_err(|_| BooksFault::Wording)?;
        let draft = Draft { at: self.clock.now(), kind: kind.to_owned(), account, permit, detail, ledger };
        Ok(audit::append(self.connection, draft)?.number)
    }
}

/// The schema version of books that this program writes, and the newest that it reads.
#[must_use]
pub fn schema_version() -> u32 {
    schema::MIGRATIONS.iter().map(|step| step.version).max().unwrap_or(0)
}

/// So far back a clock may be set between two starts: what keeps clocks in step sets them by less.
const CLOCK_BACK_MAX: Duration = Duration::from_secs(300);
/// The database, in the enclave's directory.
pub const BOOKS_FILE: &str = FILE;
const FILE: &str = "books.db";

#[cfg(test)]
mod tests;
