//! Who sees to it that a checkpoint is published at every fixed instant?
//!
//! First the checkpoint of the instant is signed and kept (`record/publish.rs`), then each witness that answers cosigns it,
//! then tiles and checkpoint are written below `D/log`, then the note with the totals to the place outside, if there is one.
//! A crash in between is completed at the next instant; a witness that is silent is asked again then.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use super::client::{Reply, WitnessAddress};
use crate::{
    audit::{Checkpoint, Verifier},
    record::{Books, BooksFault, Publication},
    terms::{Clock, Instant},
};

/// Publishes for one gateway.
pub struct Publisher {
    books: Books,
    folder: PathBuf,
    outside: Option<PathBuf>,
    witnesses: Vec<WitnessAddress>,
    clock: Clock,
    // The size that each witness cosigned last.
    sizes: Mutex<Vec<u64>>,
}

impl Publisher {
    /// Publishes what `books` hold below `folder`, and the totals also at `outside`.
    #[must_use]
    pub fn new(
        books: Books,
        folder: PathBuf,
        outside: Option<PathBuf>,
        witnesses: Vec<WitnessAddress>,
        clock: Clock,
    ) -> Self {
        let sizes = Mutex::new(vec![0; witnesses.len()]);
        Self { books, folder, outside, witnesses, clock, sizes }
    }

    /// Publishes at every fixed instant, until dropped.
    pub async fn run(self: std::sync::Arc<Self>) {
        let mut latest = self.clock.now();
        loop {
            let now = self.clock.now();
            if now < latest {
                tracing::error!(%latest, %now, "the clock went back: until it is there again no checkpoint is published");
            }
            latest = latest.max(now);
            let at = self.books.next_instant(now);
            let wait = u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0);
            tokio::time::sleep(Duration::from_micros(wait)).await;
            let publisher = std::sync::Arc::clone(&self);
            match tokio::task::spawn_blocking(move || publisher.publish(at)).await {
                Ok(Ok(_)) => {}
                Ok(Err(fault)) => tracing::error!(%fault, "the checkpoint of this instant was not published"),
                Err(_) => tracing::error!("the checkpoint of this instant was not published: a fault of ours"),
            }
        }
    }

    /// Publishes the checkpoint of `at`; none where it is published already. Blocks.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn publish(&self, at: Instant) -> Result<Option<Publication>, BooksFault> {
        let Some(made) = self.books.publish(at)? else { return Ok(None) };
        let (public, totals) = self.cosignatures(&made);
        let made = match public.is_empty() && totals.is_empty() {
            true => made,
            false => self.books.cosigned(&made, &public, &totals)?,
        };
        self.books.write_log(&self.folder)?;
        if let Some(outside) = &self.outside {
            self.books.write_totals(outside)?;
        }
        self.books.mark(&made)?;
        Ok(Some(made))
    }

    fn cosignatures(&self, made: &Publication) -> (String, String) {
        let (mut public, mut totals) = (String::new(), String::new());
        let mut sizes = self.sizes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (witness, size) in self.witnesses.iter().zip(sizes.iter_mut()) {
            // The totals first: of two notes over one tree the witness keeps those.
            for (note, lines) in [(&made.totals, &mut totals), (&made.public, &mut public)] {
                match self.cosignature(witness, size, note, made.size) {
                    Some(line) => lines.push_str(&line),
                    None => tracing::error!(witness = witness.key.name(), "no cosignature for this instant"),
                }
            }
        }
        (public, totals)
    }

    fn cosignature(&self, witness: &WitnessAddress, size: &mut u64, note: &str, new: u64) -> Option<String> {
        let text = note.rsplit_once("\n\n").map(|(text, _)| format!("{text}\n"))?;
        // Once with what is believed to be its newest, once with what it says that is.
        for _ in 0..2 {
            let proof = self.books.consistency(*size, new).ok()?;
            match witness.add_checkpoint(*size, &proof, note) {
                Ok(Reply::Cosigned(lines)) => {
                    let own = lines.split_inclusive('\n').find(|line| witness.key.cosigned(&text, line).is_some())?;
                    *size = new;
                    return Some(own.to_owned());
                }
                Ok(Reply::Conflict(theirs)) if theirs < new || (theirs == new && *size != new) => *size = theirs,
                Ok(Reply::Conflict(theirs)) => {
                    tracing::error!(theirs, ours = new, "the witness knows another or a longer log than this one");
                    return None;
                }
                Ok(Reply::Refused(status)) => {
                    tracing::error!(status, "the witness refuses the checkpoint");
                    return None;
                }
                Err(fault) => {
                    tracing::error!(%fault, "the witness was not asked");
                    return None;
                }
            }
        }
        None
    }
}

/// The newest note with totals known outside of the books, by its size: of `files` and of the witnesses, where they
/// verify. A witness that is silent is named in the log and passed over.
#[must_use]
pub fn newest_known(log: &Verifier, files: &[&Path], witnesses: &[WitnessAddress]) -> Option<String> {
    let from_files = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    let from_witnesses = witnesses.iter().filter_map(|witness| match witness.newest(log.name()) {
        Ok(note) => note,
        Err(fault) => {
            tracing::error!(witness = witness.key.name(), %fault, "the newest checkpoint was not asked for");
            None
        }
    });
    let verified = from_files.chain(from_witnesses).filter_map(|note| {
        let note = crate::audit::without_cosignatures(&note)?;
        let size = Checkpoint::open(&note, log).ok()?.size;
        Some((size, note))
    });
    verified.max_by_key(|(size, _)| *size).map(|(_, note)| note)
}
