//! How are keys and books put under a master key, or under another one?

use std::{io::Write, path::PathBuf};

use serde_json::json;

use super::stop::Stop;
use crate::{
    config::Config,
    keys::{Keys, MasterSource},
    record::{BOOKS_FILE, Books, Note},
    store,
    terms::Clock,
};

/// Seal keys and books under the master key, or change it. Works while no gateway runs.
#[derive(Debug, Clone, clap::Args)]
pub struct KeysVerb {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Act {
    /// Seal keys and encrypt books that an earlier version of the program left in clear. Can be run again at any time.
    ///
    /// Data versions loaded before stay in clear until they are loaded anew. What was in clear may stay readable on the
    /// disk until it is written over, and in older backups.
    Seal {
        /// The enclave's directory.
        #[arg(long, value_name = "D")]
        dir: PathBuf,
    },
    /// Seal the keys under another master key. The old one opens nothing in this directory afterwards; backups taken
    /// before still need it.
    Rotate {
        /// The enclave's directory.
        #[arg(long, value_name = "D")]
        dir: PathBuf,
        /// Where the new master key comes from; a file that does not exist is made.
        #[arg(long, value_name = "SOURCE")]
        to: MasterSource,
    },
}

/// Seals or rotates, and records it.
///
/// # Errors
/// [`Stop`]; nothing is lost then, and the same call can be made again.
pub fn run(verb: &KeysVerb, out: &mut dyn Write) -> Result<(), Stop> {
    let clock = Clock::of_the_machine();
    match &verb.act {
        Act::Seal { dir } => {
            let config = Config::load(dir)?;
            let files = Keys::seal_folder(&dir.join("keys"), &config.master, dir)?;
            let keys = config.unlock(dir)?;
            let books = store::encrypt(&dir.join(BOOKS_FILE), keys.books().bytes())?;
            if files > 0 || books {
                let body = json!({"key_files": files, "books": books, "master": config.master.to_string()});
                Books::open(dir, &keys, clock)?.note(note("sealed", body))?;
            }
            writeln!(out, "sealed {files} key files; the books {}", if books { "are encrypted now" } else { "were" })?;
            writeln!(out, "the master key: {}", config.master)?;
        }
        Act::Rotate { dir, to } => {
            let config = Config::load(dir)?;
            if *to == config.master {
                return Err(Stop::Usage(format!("{to} is the master key in force; name another place")));
            }
            let keys = config.unlock(dir)?;
            let books = Books::open(dir, &keys, clock)?;
            let (old, new) = (config.master.read(dir)?, to.read_or_make(dir)?);
            Keys::rotate(&dir.join("keys"), &old, &new)?;
            // On disk now: keys under the new master key, while sekisho.toml names the old one. A start in between is
            // refused as one with the wrong master key, and says so.
            books.note(note("master_key", json!({"from": config.master.to_string(), "to": to.to_string()})))?;
            writeln!(out, "the keys are sealed under {to}. In sekisho.toml now write:\n\n[keys]\nmaster = \"{to}\"")?;
        }
    }
    Ok(())
}

fn note(kind: &'static str, body: serde_json::Value) -> Note {
    Note { kind, account: None, permit: None, body }
}
