//! What does the log show the world, and when?
//!
//! At fixed instants, and at no other, a checkpoint is published: whatever is asked or answered in between shows nowhere.
//! It covers the entries that may be seen by then: a release counts from its visible-from instant on, and what comes after
//! it in the tree waits with it. Two notes are signed over one tree: the public one, and one with the ledger's totals for
//! witnesses, auditors and the file that shows a roll-back (`restore.rs`).

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension, params};

use super::{Books, BooksFault, export::ledger_lines};
use crate::{
    audit::{self, AT_LINE, Checkpoint, Hash, Proof, Receipt, Signer, Tile},
    ledger::{self, Effect, Replay, Totals},
    store::{StoreFault, from_column, to_column},
    terms::{EntryNumber, Instant},
};

/// What was published for one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The instant.
    pub at: Instant,
    /// How many entries it covers.
    pub size: u64,
    /// The signed checkpoint that anybody may see, with the cosignatures that came so far.
    pub public: String,
    /// The same with the ledger's totals.
    pub totals: String,
}

pub(super) const SCHEMA: &str = "
CREATE TABLE published (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    public TEXT NOT NULL,
    totals TEXT NOT NULL
) STRICT;
";

/// Ledger and tree made anew from the entries, as far as they were published: what is signed rests on nothing stored beside
/// them. The first publication after a start goes through all entries.
#[derive(Debug, Default)]
pub(super) struct Summed {
    size: u64,
    replay: Replay,
    charges: u64,
    // The newest full node of each level that waits for its right neighbour.
    waiting: Vec<Hash>,
}

impl Books {
    /// The same books with checkpoints at other instants than every 60 seconds. A public setting.
    #[must_use]
    pub fn publishing_every(self, every: Duration) -> Self {
        Self { every: every.max(Duration::from_secs(1)), ..self }
    }

    /// The first instant after `now` for which a checkpoint is published.
    #[must_use]
    pub fn next_instant(&self, now: Instant) -> Instant {
        next(self.every, now)
    }

    /// Signs and keeps the checkpoint of `at`. None where that of this or a later instant was published before: a clock
    /// that jumps back publishes nothing twice.
    ///
    /// # Errors
    /// [`BooksFault::Damaged`] where the ledger is not the sum of the entries: such totals are never signed; [`BooksFault`].
    pub fn publish(&self, at: Instant) -> Result<Option<Publication>, BooksFault> {
        let before = self.published()?;
        if before.as_ref().is_some_and(|before| before.at >= at) {
            return Ok(None);
        }
        let (size, root, totals) = self.visible(at, before.map_or(0, |before| before.size))?;
        let note = |mut lines: Vec<String>| {
            lines.insert(0, format!("{AT_LINE} {at}"));
            Checkpoint { size, root, extension: lines }.sign(&self.signer)
        };
        let made = Publication { at, size, public: note(vec![]), totals: note(ledger_lines(&totals)) };
        self.keep(made.clone())?;
        Ok(Some(made))
    }

    /// What was published last.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn published(&self) -> Result<Option<Publication>, BooksFault> {
        self.store.read(published)
    }

    /// Adds the signature lines of witnesses to the checkpoint published last, which must be that of `made`.
    ///
    /// # Errors
    /// [`BooksFault::Mismatch`] where another was published since; [`BooksFault`].
    pub fn cosigned(&self, made: &Publication, public: &str, totals: &str) -> Result<Publication, BooksFault> {
        let mut cosigned = made.clone();
        cosigned.public.push_str(public);
        cosigned.totals.push_str(totals);
        let (made, kept) = (made.clone(), cosigned.clone());
        self.write(move |w| match published(w.connection)? {
            Some(before) if before == made => keep(w.connection, &kept),
            _ => Err(BooksFault::Mismatch("another checkpoint was published since")),
        })?;
        Ok(cosigned)
    }

    /// The proof, as C2SP witnesses read it, that the first `old` entries are the beginning of the first `new`.
    ///
    /// # Errors
    /// [`BooksFault`], also where there are not so many.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, BooksFault> {
        self.store.read(|c| Ok(audit::consistency_of(c, old, new)?))
    }

    /// The receipt of any entry, for those who may read it: against the published checkpoint where that covers it, else
    /// the promise of the next.
    ///
    /// # Errors
    /// [`BooksFault`], also where there is no such entry.
    pub fn receipt(&self, entry: EntryNumber) -> Result<Receipt, BooksFault> {
        let (every, now) = (self.every, self.clock.now());
        self.store.read(|c| match published(c)? {
            Some(made) if entry.0 < made.size => {
                let log_alone = audit::without_cosignatures(&made.public).ok_or(BooksFault::Damaged)?;
                Ok(audit::receipt_at(c, entry, made.size, log_alone)?)
            }
            _ => promise(c, &self.signer, entry, every, now),
        })
    }

    /// The C2SP proof of an entry that is published, with the cosignatures of its checkpoint.
    ///
    /// # Errors
    /// [`BooksFault::Unknown`] where no published checkpoint covers it yet; [`BooksFault`].
    pub fn proof(&self, entry: EntryNumber) -> Result<Proof, BooksFault> {
        self.store.read(|c| {
            let made = published(c)?.filter(|made| entry.0 < made.size);
            let made =
                made.ok_or_else(|| BooksFault::Unknown(format!("published checkpoint with entry {entry} yet")))?;
            let opening = audit::entry(c, entry)?;
            let path = audit::inclusion_of(c, entry, made.size)?;
            let opening = (opening.salt, opening.body);
            Ok(Proof { index: entry.0, path, opening, checkpoint: made.public })
        })
    }

    /// Writes what was published last below `folder`: tiles and entry bundles that are not there yet, then `checkpoint`, then
    /// `totals`. Whatever a crash left there is completed.
    ///
    /// # Errors
    /// [`BooksFault::Export`] where the disk refuses; [`BooksFault`].
    pub fn write_log(&self, folder: &Path) -> Result<(), BooksFault> {
        let Some(made) = self.published()? else { return Ok(()) };
        let shown = std::fs::read_to_string(folder.join(CHECKPOINT)).ok();
        let shown = shown.and_then(|note| audit::without_cosignatures(&note));
        let shown = shown.and_then(|note| Checkpoint::open(&note, &self.signer.verifier()).ok());
        let tiles = self.store.read(|c| {
            // Files of another tree, such as the one lost with the newer books, are written anew from the first.
            let ours = |old: &Checkpoint| audit::root_of(c, old.size).is_ok_and(|root| root == old.root);
            let before = shown.filter(|old| old.size <= made.size && ours(old)).map_or(0, |old| old.size);
            Ok::<_, BooksFault>(audit::tiles_of(c, before, made.size)?)
        })?;
        for tile in &tiles {
            write_tile(folder, tile).map_err(BooksFault::Export)?;
        }
        replace(&folder.join(CHECKPOINT), &made.public).map_err(BooksFault::Export)?;
        replace(&folder.join(TOTALS), &made.totals).map_err(BooksFault::Export)
    }

    /// Writes the note with the totals that was published last to `path`, on another disk if there is one.
    ///
    /// # Errors
    /// [`BooksFault::Export`] where the disk refuses; [`BooksFault`].
    pub fn write_totals(&self, path: &Path) -> Result<(), BooksFault> {
        let Some(made) = self.published()? else { return Ok(()) };
        replace(path, &made.totals).map_err(BooksFault::Export)
    }

    fn keep(&self, made: Publication) -> Result<(), BooksFault> {
        self.write(move |w| keep(w.connection, &made))
    }

    /// Size, root and totals of what may be seen at `at`.
    fn visible(&self, at: Instant, before: u64) -> Result<(u64, Hash, Totals), BooksFault> {
        let mut summed = self.summed.lock().unwrap_or_else(PoisonError::into_inner);
        self.store.read(|c| {
            let head = audit::head(c)?.size;
            let hidden = "SELECT min(release) FROM kept WHERE visible_from > ?1";
            let hidden: Option<i64> = c.query_row(hidden, [at.0], |row| row.get(0))?;
            let size = hidden.map(from_column).transpose()?.unwrap_or(head).max(before);
            summed.add_up_to(c, size)?;
            let totals = summed.replay.totals().map_err(|_| BooksFault::Damaged)?;
            let as_stored =
                || Ok::<_, BooksFault>(totals == ledger::totals(c)? && summed.charges == ledger::charges(c)?);
            if size == head && !as_stored()? {
                return Err(BooksFault::Damaged);
            }
            Ok((size, audit::root_of(c, size)?, totals))
        })
    }
}

impl Summed {
    pub(super) fn new() -> Arc<Mutex<Self>> {
        Arc::default()
    }

    fn add_up_to(&mut self, connection: &Connection, size: u64) -> Result<(), BooksFault> {
        while self.size < size {
            let end = self.size.saturating_add(CHUNK).min(size);
            for entry in audit::entries(connection, self.size..end)? {
                let body: serde_json::Value = serde_json::from_str(&entry.body).map_err(|_| BooksFault::Damaged)?;
                if let Some(effect) = body.get("ledger") {
                    let effect: Effect = serde_json::from_value(effect.clone()).map_err(|_| BooksFault::Damaged)?;
                    self.charges += u64::from(matches!(effect, Effect::Takes { .. }));
                    self.replay.apply(entry.number, &effect).map_err(|_| BooksFault::Damaged)?;
                }
                self.grow(connection, entry.number.0, audit::leaf_of(&entry.salt, &entry.body))?;
                self.size = entry.number.0.saturating_add(1);
            }
            if self.size < end {
                return Err(BooksFault::Damaged);
            }
        }
        Ok(())
    }
}

impl Summed {
    /// Adds a leaf; every node that becomes full must be the stored one.
    fn grow(&mut self, connection: &Connection, number: u64, leaf: Hash) -> Result<(), BooksFault> {
        let (mut hash, mut position) = (leaf, number);
        for level in 0.. {
            if audit::node_of(connection, level, position)? != hash {
                return Err(BooksFault::Damaged);
            }
            let place = usize::try_from(level).unwrap_or(usize::MAX);
            if self.waiting.len() <= place {
                self.waiting.push(hash);
            }
            let Some(left) = self.waiting.get_mut(place) else { return Err(BooksFault::Damaged) };
            if position & 1 == 0 {
                *left = hash;
                return Ok(());
            }
            hash = audit::hash_children(left, &hash);
            position >>= 1;
        }
        Ok(())
    }
}

/// The promise of an entry for the first checkpoint that can hold it: never for an instant that was published already,
/// should the clock have jumped back.
pub(super) fn promise(
    connection: &Connection,
    signer: &Signer,
    entry: EntryNumber,
    every: Duration,
    now: Instant,
) -> Result<Receipt, BooksFault> {
    let last = published(connection)?.map_or(now, |made| made.at.max(now));
    Ok(audit::promise(connection, signer, entry, next(every, last))?)
}

fn next(every: Duration, now: Instant) -> Instant {
    let every = i64::try_from(every.as_micros()).unwrap_or(i64::MAX).max(1);
    Instant(now.0.div_euclid(every).saturating_add(1).saturating_mul(every))
}

pub(super) fn published(connection: &Connection) -> Result<Option<Publication>, BooksFault> {
    let mut statement = connection.prepare_cached("SELECT at, size, public, totals FROM published")?;
    let row = statement.query_row([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))).optional()?;
    let Some((at, size, public, totals)) = row else { return Ok(None) };
    let size = from_column(size).map_err(|_| StoreFault::Broken { what: "published checkpoint" })?;
    Ok(Some(Publication { at: Instant(at), size, public, totals }))
}

fn keep(connection: &Connection, made: &Publication) -> Result<(), BooksFault> {
    connection.execute(
        "INSERT INTO published VALUES (1, ?1, ?2, ?3, ?4) ON CONFLICT (one) DO UPDATE
         SET at = excluded.at, size = excluded.size, public = excluded.public, totals = excluded.totals",
        params![made.at.0, to_column(made.size)?, made.public, made.totals],
    )?;
    Ok(())
}

fn write_tile(folder: &Path, tile: &Tile) -> io::Result<()> {
    let path = folder.join(&tile.path);
    replace_bytes(&path, &tile.bytes)?;
    // A full tile takes the place of its partial ones.
    let mut partial = path.into_os_string();
    partial.push(".p");
    match std::fs::remove_dir_all(&partial) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
        _ => Ok(()),
    }
}

/// Puts `text` in the place of the file at `path`: the old or the new is there, whatever happens, and the new when this
/// returns.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    replace_bytes(path, text.as_bytes())
}

fn replace_bytes(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(".tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    File::open(folder)?.sync_all()
}

/// How often, unless configured.
pub(super) const EVERY: Duration = Duration::from_secs(60);
/// The file of the public checkpoint.
const CHECKPOINT: &str = "checkpoint";
/// The file of the checkpoint with the ledger's totals.
pub(super) const TOTALS: &str = "totals";
const CHUNK: u64 = 1_000;
