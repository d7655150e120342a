//! How are synthetic records made from the shell?

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use super::{progress, stop::Stop};
use crate::synth::{self, Format, Summary, SynthPlan};

/// Generate synthetic OMOP CDM 5.4 records that look like Japan's and belong to nobody, with a public vocabulary.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "The same seed gives the same bytes. The vocabulary lies in D/vocabulary:\n\n  \
sekisho synth --persons 100000 --out /tmp/synth\n  \
sekisho ingest --dir E --dataset demo --source synth --format omop-parquet /tmp/synth\n  \
sekisho ingest --dir E --vocabulary vocab --release 1 --declare 'made without persons' --format omop-parquet /tmp/synth/vocabulary")]
pub struct Synth {
    /// How many persons.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=synth::PERSONS_MAX))]
    pub persons: u64,
    /// The folder to write to; it must be absent or empty.
    #[arg(long, value_name = "D")]
    pub out: PathBuf,
    /// What the population grows from.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// The form of the files.
    #[arg(long, value_enum, default_value_t = FileFormat::Parquet)]
    pub format: FileFormat,
    /// Print the tables and their rows as JSON.
    #[arg(long)]
    pub json: bool,
}

/// The form of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FileFormat {
    /// One Parquet file per table.
    Parquet,
    /// One CSV file per table, with a header.
    Csv,
}

/// Generates and says how many rows there are.
///
/// # Errors
/// [`Stop`]; no file under its own name is left then.
pub fn run(synth: &Synth, out: &mut dyn Write) -> Result<(), Stop> {
    let format = match synth.format {
        FileFormat::Parquet => Format::Parquet,
        FileFormat::Csv => Format::Csv,
    };
    let made = generate(synth.persons, synth.seed, &synth.out, format)?;
    if synth.json {
        let tables: serde_json::Map<_, _> = made.tables.iter().map(|(t, rows)| (t.clone(), (*rows).into())).collect();
        writeln!(out, "{}", serde_json::Value::from(tables))?;
        return Ok(());
    }
    for (table, rows) in &made.tables {
        writeln!(out, "{table:<36}{rows:>14} rows")?;
    }
    Ok(())
}

/// Generates with a progress bar.
///
/// # Errors
/// As [`synth::generate`].
pub fn generate(persons: u64, seed: u64, out: &Path, format: Format) -> Result<Summary, Stop> {
    let bar = progress::bar("drawing persons, rows", None);
    let plan = SynthPlan { persons, seed, out: out.to_path_buf(), format };
    let made = synth::generate(&plan, &|rows| bar.set_position(rows));
    bar.finish_and_clear();
    Ok(made?)
}
