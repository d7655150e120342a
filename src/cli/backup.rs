//! How is a whole enclave copied while it runs, and brought back?
//!
//! A backup is a folder: the books as they were at one moment, every data version, and the keys, sealed; never the master
//! key. The books are copied first: whatever they name lies in `data/` by then and never changes. `backup.json` names every
//! file with its hash, and `backup.seal` vouches for it under the root key.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::stop::Stop;
use crate::{
    audit::to_hex,
    config::{self, Config},
    keys::{Keys, MasterSource},
    record::{BOOKS_FILE, Books, Note, schema_version},
    store,
    terms::Clock,
};

/// Copy the whole enclave, without its master key, into a new folder. A gateway may run meanwhile.
#[derive(Debug, Clone, clap::Args)]
pub struct Backup {
    /// The enclave's directory.
    #[arg(long, value_name = "D")]
    pub dir: PathBuf,
    /// The folder to make.
    #[arg(long, value_name = "FOLDER")]
    pub to: PathBuf,
}

/// Bring a backup back as a new directory. Charges made after the backup are not in it: see the README before serving.
#[derive(Debug, Clone, clap::Args)]
pub struct Restore {
    /// The backup.
    #[arg(long, value_name = "FOLDER")]
    pub from: PathBuf,
    /// The directory to make; it must not exist.
    #[arg(long, value_name = "D")]
    pub dir: PathBuf,
    /// Where the master key of the backup comes from, unless it is where its sekisho.toml says. A relative file is looked for
    /// here; afterwards the key must be where that sekisho.toml says.
    #[arg(long, value_name = "SOURCE")]
    pub master_key: Option<MasterSource>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    format: u32,
    program: String,
    schema: u32,
    taken_at: i64,
    files: BTreeMap<String, Copied>,
}

#[derive(Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Copied {
    bytes: u64,
    sha256: String,
}

/// Makes a backup, whole or not at all.
///
/// # Errors
/// [`Stop`]; nothing is left then.
pub fn backup(asked: &Backup, out: &mut dyn Write) -> Result<(), Stop> {
    let clock = Clock::of_the_machine();
    let keys = Config::load(&asked.dir)?.unlock(&asked.dir)?;
    let draft = draft_of(&asked.to)?;
    let filled = fill(&asked.dir, &draft, &keys, &clock);
    let files = kept_or_removed(filled, &draft, &asked.to)?;
    writeln!(out, "{files} files in {}", asked.to.display())?;
    writeln!(out, "the master key is not among them: keep it elsewhere, or this backup opens for nobody")?;
    Ok(())
}

fn fill(dir: &Path, draft: &Path, keys: &Keys, clock: &Clock) -> Result<usize, Stop> {
    let taken_at = clock.now().0;
    store::copy_out(&dir.join(BOOKS_FILE), keys.books().bytes(), &draft.join(BOOKS_FILE))?;
    let schema = store::look_at(&draft.join(BOOKS_FILE), keys.books().bytes())?;
    let mut files = BTreeMap::from([(BOOKS_FILE.to_owned(), measured(&draft.join(BOOKS_FILE))?)]);
    for name in [config::FILE, super::init::LOG_KEY, "data", "policies", "catalog"] {
        copy_tree(dir, draft, Path::new(name), &mut files)?;
    }
    // Sealed files as they are, the others sealed on the way; the master key stays out.
    private_folder(&draft.join("keys"))?;
    for name in names(&dir.join("keys"))? {
        let (from, to) = (dir.join("keys").join(&name), draft.join("keys").join(&name));
        if name == "master.key" || name.ends_with(".new") || !from.is_file() {
            continue;
        }
        write_new(&to, &mut File::open(&from).map_err(|fault| disk(&from, &fault))?)?;
        if name.ends_with(".key") {
            keys.seal_file(&to)?;
        }
        files.insert(format!("keys/{name}"), measured(&to)?);
    }
    let count = files.len();
    let contents = Contents { format: FORMAT, program: env!("CARGO_PKG_VERSION").into(), schema, taken_at, files };
    let text = serde_json::to_vec_pretty(&contents).map_err(|fault| Stop::fault(&fault))?;
    write_new(&draft.join(CONTENTS), &mut text.as_slice())?;
    let seal = keys.vouch(CONTENTS, &Sha256::digest(&text))?;
    write_new(&draft.join(SEAL), &mut seal.as_slice())?;
    Ok(count)
}

/// Restores a backup, whole or not at all.
///
/// # Errors
/// [`Stop`] where it is damaged, of a later version or time, or the master key is another one; nothing is left then.
pub fn restore(asked: &Restore, out: &mut dyn Write) -> Result<(), Stop> {
    let clock = Clock::of_the_machine();
    let text = fs::read(asked.from.join(CONTENTS)).map_err(|fault| disk(&asked.from.join(CONTENTS), &fault))?;
    let contents = readable(&text, clock.now().0)?;
    let draft = draft_of(&asked.dir)?;
    let restored = bring_back(asked, &contents, &text, &draft, clock);
    let master = kept_or_removed(restored, &draft, &asked.dir)?;
    writeln!(out, "restored {} files to {}, as of the backup", contents.files.len(), asked.dir.display())?;
    writeln!(out, "the master key must be at {master} before the gateway starts")?;
    writeln!(out, "charges made after the backup are missing: hold the log against a checkpoint kept elsewhere first")?;
    Ok(())
}

/// What the backup says it is, if this program can bring it back.
fn readable(text: &[u8], now: i64) -> Result<Contents, Stop> {
    // The format is looked at before the shape: a later one may have another.
    let format = serde_json::from_slice::<serde_json::Value>(text).ok();
    match format.as_ref().and_then(|whole| whole.get("format")).and_then(serde_json::Value::as_u64) {
        Some(format) if format == u64::from(FORMAT) => {}
        Some(format) => {
            let which = if format > u64::from(FORMAT) { "use a newer program" } else { "use the program that made it" };
            return Err(Stop::Fault(format!("the backup has format {format}, this program reads {FORMAT}: {which}")));
        }
        None => return Err(Stop::Fault(format!("{CONTENTS} does not describe a backup"))),
    }
    let contents: Contents = serde_json::from_slice(text)
        .map_err(|_| Stop::Fault(format!("{CONTENTS} does not have the shape of a backup of format {FORMAT}")))?;
    if contents.schema > schema_version() {
        let (found, known) = (contents.schema, schema_version());
        return Err(store::StoreFault::Newer { found, known }.into());
    }
    if contents.taken_at > now {
        return Err(Stop::Fault(
            "the backup was taken later than this machine's clock says it is: set the clock".into(),
        ));
    }
    Ok(contents)
}

fn bring_back(
    asked: &Restore,
    contents: &Contents,
    text: &[u8],
    draft: &Path,
    clock: Clock,
) -> Result<MasterSource, Stop> {
    for (name, expected) in &contents.files {
        let path = Path::new(name);
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(Stop::Fault(format!("{CONTENTS} names a file outside of the backup")));
        }
        let to = draft.join(path);
        private_folder(to.parent().unwrap_or(draft))?;
        let from = asked.from.join(path);
        write_new(&to, &mut File::open(&from).map_err(|fault| disk(&from, &fault))?)?;
        if measured(&to)? != *expected {
            return Err(Stop::Fault(format!("{name} is not the file that was backed up")));
        }
    }
    let config = Config::load(draft)?;
    let master = asked.master_key.as_ref().unwrap_or(&config.master);
    let from_here = Path::new("");
    let beside = if asked.master_key.is_some() { from_here } else { asked.dir.as_path() };
    let keys = Keys::open(&draft.join("keys"), master, beside).map_err(|fault| {
        Stop::Fault(format!("{fault}; where the master key lies elsewhere, say --master-key file:PATH"))
    })?;
    let seal = asked.from.join(SEAL);
    let seal = fs::read(&seal).map_err(|fault| disk(&seal, &fault))?;
    if !keys.has_vouched(CONTENTS, &Sha256::digest(text), &seal) {
        return Err(Stop::Fault(format!("{CONTENTS} was changed after the backup, or is another enclave's")));
    }
    for name in names(&draft.join("keys"))?.iter().filter(|name| name.ends_with(".key")) {
        // The keys of TLS lie in clear in an enclave: certificates are renewed on disk while the gateway runs.
        if name == "server.key" || name == "ca.key" {
            let path = draft.join("keys").join(name);
            let clear = keys.read(&path)?;
            fs::remove_file(&path).map_err(|fault| disk(&path, &fault))?;
            write_new(&path, &mut clear.as_slice())?;
        }
    }
    store::look_at(&draft.join(BOOKS_FILE), keys.books().bytes())?;
    let body = json!({"taken_at": contents.taken_at, "contents_sha256": to_hex(&Sha256::digest(text))});
    let books = Books::open(draft, &keys, clock)?;
    books.note(Note { kind: "restored", account: None, permit: None, body })?;
    Ok(config.master)
}

/// The hidden folder beside `target` in which it grows; `target` itself must not exist.
fn draft_of(target: &Path) -> Result<PathBuf, Stop> {
    let target = std::path::absolute(target).map_err(|fault| disk(target, &fault))?;
    if target.exists() {
        return Err(Stop::Usage(format!("{} exists already: nothing is ever overwritten", target.display())));
    }
    let name = target.file_name().ok_or_else(|| Stop::Usage("give the folder a name".into()))?;
    let draft = target.with_file_name(format!(".{}.tmp-{}", name.to_string_lossy(), std::process::id()));
    fs::DirBuilder::new().mode(0o700).create(&draft).map_err(|fault| disk(&draft, &fault))?;
    Ok(draft)
}

fn kept_or_removed<T>(made: Result<T, Stop>, draft: &Path, target: &Path) -> Result<T, Stop> {
    let made = made.and_then(|made| {
        sync_folders(draft)?;
        fs::rename(draft, target).map_err(|fault| disk(target, &fault))?;
        Ok(made)
    });
    if made.is_err() {
        // What went wrong is said above, whatever becomes of the draft.
        let _ = fs::remove_dir_all(draft);
    }
    made
}

fn copy_tree(from: &Path, to: &Path, inside: &Path, files: &mut BTreeMap<String, Copied>) -> Result<(), Stop> {
    let source = from.join(inside);
    if source.is_dir() {
        private_folder(&to.join(inside))?;
        // Hidden are locks, and loads under way: in force is neither.
        for name in names(&source)?.iter().filter(|name| !name.starts_with('.')) {
            copy_tree(from, to, &inside.join(name), files)?;
        }
    } else if source.is_file() {
        write_new(&to.join(inside), &mut File::open(&source).map_err(|fault| disk(&source, &fault))?)?;
        files.insert(inside.to_string_lossy().into_owned(), measured(&to.join(inside))?);
    }
    Ok(())
}

fn names(folder: &Path) -> Result<Vec<String>, Stop> {
    let entries: Result<Vec<_>, io::Error> = fs::read_dir(folder).and_then(Iterator::collect);
    let entries = entries.map_err(|fault| disk(folder, &fault))?;
    Ok(entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

fn measured(path: &Path) -> Result<Copied, Stop> {
    let mut hash = Sha256::new();
    let mut read = || io::copy(&mut File::open(path)?, &mut hash);
    let bytes = read().map_err(|fault| disk(path, &fault))?;
    Ok(Copied { bytes, sha256: to_hex(&hash.finalize()) })
}

fn write_new(path: &Path, from: &mut dyn Read) -> Result<(), Stop> {
    let mut write = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        io::copy(from, &mut file)?;
        file.sync_all()
    };
    write().map_err(|fault| disk(path, &fault))
}

fn private_folder(path: &Path) -> Result<(), Stop> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|fault| disk(path, &fault))
}

fn sync_folders(folder: &Path) -> Result<(), Stop> {
    for name in names(folder)? {
        let path = folder.join(name);
        if path.is_dir() {
            sync_folders(&path)?;
        }
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|fault| disk(folder, &fault))
}

fn disk(path: &Path, fault: &io::Error) -> Stop {
    Stop::Fault(format!("{}: {fault}", path.display()))
}

/// The form of backups that this program makes and reads.
const FORMAT: u32 = 1;
const CONTENTS: &str = "backup.json";
const SEAL: &str = "backup.seal";

#[cfg(test)]
mod tests;
