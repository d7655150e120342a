//! Where do data come from that look like Japan's health records and belong to nobody?
//!
//! Floor 8. A seeded generator of OMOP CDM 5.4 of any size. Blocks of persons are drawn and encoded on as many threads
//! as the machine has and appended in order, so the same seed gives the same bytes whatever the number of threads, and
//! memory does not grow with the population (but for the footers of the files, a few kilobytes a thousand persons).

mod body;
mod chance;
mod codes;
mod course;
mod layout;
mod life;
mod model;
mod output;
mod person;
mod places;
mod sheets;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
};

use datafusion::arrow::array::RecordBatch;

use layout::Layout;
use life::Scribe;
use model::Model;
use output::{Closed, EncodeFault, Encoded, Encoder, Encoding, TableFile};

/// Folder of the public vocabulary inside the output.
pub const VOCABULARY: &str = "vocabulary";
/// Persons drawn together. Part of the format: another number gives another population.
const BLOCK: u64 = 4_096;
/// Blocks written together, as one row group. Part of the format too.
const BLOCKS_TOGETHER: u64 = 8;
/// The most persons that one population can have; row numbers of the last block then still fit.
pub const PERSONS_MAX: u64 = 1 << 48;

/// What to generate.
#[derive(Debug, Clone)]
pub struct SynthPlan {
    /// How many persons. A smaller population of the same seed is the beginning of a larger one.
    pub persons: u64,
    /// What the population grows from.
    pub seed: u64,
    /// The folder to write to: empty or not yet there.
    pub out: PathBuf,
    /// What the files are.
    pub format: Format,
}

/// What the files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `<table>.parquet`
    Parquet,
    /// `<table>.csv` with a header line.
    Csv,
}

impl Format {
    /// The ending of a file's name, without the point.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
        }
    }
}

/// What was generated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Rows of each table; those of the vocabulary as `vocabulary/<table>`.
    pub tables: Vec<(String, u64)>,
}

impl Summary {
    /// Rows of all tables together.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().fold(0, |sum, (_, rows)| sum.saturating_add(*rows))
    }
}

/// Why nothing was generated.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SynthFault {
    /// A population of none, or of more than row numbers allow.
    #[error("a population has 1 to {PERSONS_MAX} persons")]
    Persons,
    /// Something else lies in the folder.
    #[error("{} is not empty: choose another folder or empty it", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// The disk is full.
    #[error("the disk is full: {} could not be completed and was taken away", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: Arc<io::Error>,
    },
    /// Rows cannot be encoded.
    #[error("the rows drawn cannot be encoded")]
    Encode(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// A thread ended early.
    #[error("a thread of the generator ended early")]
    Worker,
}

impl SynthFault {
    fn write(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Write { path, source: Arc::new(source) },
        }
    }
}

impl From<EncodeFault> for SynthFault {
    fn from(fault: EncodeFault) -> Self {
        Self::Encode(Arc::new(fault))
    }
}

impl From<datafusion::arrow::error::ArrowError> for SynthFault {
    fn from(fault: datafusion::arrow::error::ArrowError) -> Self {
        EncodeFault::from(fault).into()
    }
}

/// Generate a population and the public vocabulary. `progress` hears how many rows about persons are done.
///
/// # Errors
/// If the folder holds anything, or the disk refuses. Nothing that was begun is then left under its own name.
pub fn generate(plan: &SynthPlan, progress: &dyn Fn(u64)) -> Result<Summary, SynthFault> {
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    generate_on(plan, threads, progress)
}

/// The same, on so many threads. The bytes do not depend on their number.
///
/// # Errors
/// As [`generate`].
pub fn generate_on(plan: &SynthPlan, threads: usize, progress: &dyn Fn(u64)) -> Result<Summary, SynthFault> {
    if !(1..=PERSONS_MAX).contains(&plan.persons) {
        return Err(SynthFault::Persons);
    }
    let vocabulary = plan.out.join(VOCABULARY);
    output::empty_folder(&plan.out)?;
    output::empty_folder(&vocabulary)?;

    let written = write_all(plan, &vocabulary, threads.max(1), progress);
    let closed = written.inspect_err(|_| {
        output::sweep(&vocabulary);
        output::sweep(&plan.out);
        // An empty folder of the vocabulary is taken away too; one that is not stays, and the next run says so.
        let _ = fs::remove_dir(&vocabulary);
    })?;
    // Every file is whole here and still has its temporary name. A crash between two renames leaves whole files only.
    for (_, file) in &closed {
        file.publish()?;
    }
    let name = |(prefix, file): &(&str, Closed)| (format!("{prefix}{}", file.table), file.rows);
    Ok(Summary { tables: closed.iter().map(name).collect() })
}

fn write_all(
    plan: &SynthPlan,
    vocabulary: &Path,
    threads: usize,
    progress: &dyn Fn(u64),
) -> Result<Vec<(&'static str, Closed)>, SynthFault> {
    let mut closed = persons(plan, threads, progress)?.into_iter().map(|file| ("", file)).collect::<Vec<_>>();
    for (layout, batch) in places::tables()? {
        closed.push(("", small(&plan.out, layout, &batch, plan.format)?));
    }
    for (layout, batch) in vocabulary::tables()? {
        closed.push(("vocabulary/", small(vocabulary, layout, &batch, plan.format)?));
    }
    Ok(closed)
}

fn small(folder: &Path, layout: &Layout, batch: &RecordBatch, format: Format) -> Result<Closed, SynthFault> {
    let (mut file, encoder) = TableFile::create(folder, layout, format)?;
    let mut encoding = encoder.begin()?;
    encoding.push(batch)?;
    file.append(encoding.finish()?)?;
    file.close()
}

/// Draw the persons: thread t draws runs of blocks t, t + threads, …; they are appended in the order of blocks.
fn persons(plan: &SynthPlan, threads: usize, progress: &dyn Fn(u64)) -> Result<Vec<Closed>, SynthFault> {
    let (mut files, mut encoders) = (Vec::new(), Vec::new());
    for layout in layout::UNIT {
        let (file, encoder) = TableFile::create(&plan.out, layout, plan.format)?;
        files.push(file);
        encoders.push(encoder);
    }
    let (model, runs) = (Model::new(), plan.persons.div_ceil(BLOCK * BLOCKS_TOGETHER));
    thread::scope(|scope| {
        let mut lanes = Vec::with_capacity(threads);
        for lane in 0..threads {
            // One run of blocks waits in each lane: memory is bounded by the threads, not by the population.
            let (send, receive) = mpsc::sync_channel::<Result<Vec<Encoded>, SynthFault>>(1);
            let (model, encoders, first) = (&model, &encoders, u64::try_from(lane).unwrap_or(0));
            let stride = u64::try_from(threads).unwrap_or(1);
            scope.spawn(move || {
                let mut run = first;
                while run < runs {
                    // The receiver is gone when the writer failed: nobody waits for more.
                    if send.send(draw(plan, model, encoders, run)).is_err() {
                        return;
                    }
                    run = run.saturating_add(stride);
                }
            });
            lanes.push(receive);
        }
        let mut done = 0_u64;
        for (_, lane) in (0..runs).zip(lanes.iter().cycle()) {
            let tables = lane.recv().map_err(|_| SynthFault::Worker)??;
            for (file, table) in files.iter_mut().zip(tables) {
                done = done.saturating_add(table.rows());
                file.append(table)?;
            }
            progress(done);
        }
        drop(lanes);
        Ok::<(), SynthFault>(())
    })?;
    files.into_iter().map(TableFile::close).collect()
}

/// The rows of a run of blocks, encoded. Only one block at a time is held as rows.
fn draw(plan: &SynthPlan, model: &Model, encoders: &[Encoder], run: u64) -> Result<Vec<Encoded>, SynthFault> {
    let mut encodings = encoders.iter().map(Encoder::begin).collect::<Result<Vec<_>, _>>()?;
    let first = run.saturating_mul(BLOCKS_TOGETHER);
    for block in first..first.saturating_add(BLOCKS_TOGETHER).min(plan.persons.div_ceil(BLOCK)) {
        let mut scribe = Scribe::new(model, plan.seed, block);
        let first = block.saturating_mul(BLOCK);
        for index in first..first.saturating_add(BLOCK).min(plan.persons) {
            scribe.write(index);
        }
        for (encoding, batch) in encodings.iter_mut().zip(&scribe.finish()?) {
            encoding.push(batch)?;
        }
    }
    Ok(encodings.into_iter().map(Encoding::finish).collect::<Result<_, _>>()?)
}
