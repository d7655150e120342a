//! Can the record be changed, set back, or asked about the data?

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    Field, Finding,
    arena::{Arena, Wanted},
    asker::{Asker, seen},
    finding::Checks,
};
use crate::{
    audit::to_hex,
    cli::{Stop, audit, init},
    record::verify_export,
};

/// The newest totals that were published.
const TOTALS: &str = "log/totals";
const BOOKS: [&str; 3] = ["books.db", "books.db-wal", "books.db-shm"];

/// An export with anything changed in it; and old books put under a gateway whose checkpoints were published.
pub(super) async fn rewritten_and_rolled_back(field: &mut Field) -> Result<Finding, Stop> {
    let mut checks = Checks::default();
    let id = field.number();
    let arena = field.take_without()?;
    arena.grant(&id, &Wanted::default()).await?;
    let eve = arena.asker("eve", &id)?;
    eve.ask("SELECT COUNT(*) AS n FROM person WHERE year_of_birth > 1960").await?;
    let done = arena.client("auditor")?.administer("audit.export", json!({"name": "attacked"})).await?;
    let folder = PathBuf::from(done.get("folder").and_then(Value::as_str).unwrap_or_default());
    let key = audit::log_key(&arena.directory.join(init::LOG_KEY))?;
    let whole = verify_export(&folder, Some(&key));
    checks.that(whole.is_ok(), || "the export does not verify as it is".into());
    let changed = changes(&folder, &mut |path: &Path, what: &str| {
        checks.that(verify_export(&folder, Some(&key)).is_err(), || format!("{} of {}", what, path.display()));
    })?;
    drop(eve);

    // Old books: copied while the gateway is closed, put back after a charge was published.
    let directory = arena.close().await?;
    let old: Vec<(PathBuf, Option<Vec<u8>>)> =
        BOOKS.iter().map(|name| directory.join(name)).map(|path| (path.clone(), fs::read(path).ok())).collect();
    let before = fs::read(directory.join(TOTALS)).ok();
    let arena = Arena::open(&directory, &field.password).await?;
    let eve = arena.asker("eve", &id)?;
    eve.ask("SELECT COUNT(*) AS n FROM person WHERE year_of_birth > 1970").await?;
    let spent = eve.spent().await?.epsilon;
    published_after(&directory, before.as_deref()).await?;
    arena.close().await?;
    for (path, bytes) in &old {
        let put = match bytes {
            Some(bytes) => fs::write(path, bytes),
            None if path.exists() => fs::remove_file(path),
            None => Ok(()),
        };
        put.map_err(|fault| Stop::Fault(format!("{}: {fault}", path.display())))?;
    }
    let arena = Arena::open(&directory, &field.password).await?;
    let eve = arena.asker("eve", &id)?;
    for sql in ["SELECT COUNT(*) AS n FROM person WHERE year_of_birth > 1980", "SELECT * FROM sekisho.my_budget"] {
        let met = eve.code(sql).await?;
        checks.that(met == "halted", || format!("on books that were set back, {sql}: {met}"));
    }
    for who in ["operator", "auditor"] {
        arena.client(who)?.administer("restore.acknowledge", json!({})).await?;
    }
    let raised = arena.spent(&format!("permit/{id}")).await?;
    checks.that(raised >= spent - 1e-6, || format!("{spent} was spent and {raised} is accounted for"));
    arena.close().await?;
    let mut found = Finding::checks("an export with any file changed; books set back to before a charge", checks);
    if found.note.is_empty() {
        found.note = format!("{changed} changes of the export found; the gateway with old books answers nothing");
    }
    Ok(found)
}

/// Changes each file of a folder in several ways, one at a time, and puts it back; how many changes there were.
fn changes(folder: &Path, look: &mut dyn FnMut(&Path, &str)) -> Result<usize, Stop> {
    let broken = |path: &Path, fault: &std::io::Error| Stop::Fault(format!("{}: {fault}", path.display()));
    let mut changed = 0;
    for entry in fs::read_dir(folder).map_err(|fault| broken(folder, &fault))? {
        let path = entry.map_err(|fault| broken(folder, &fault))?.path();
        if !path.is_file() {
            continue;
        }
        let bytes = fs::read(&path).map_err(|fault| broken(&path, &fault))?;
        let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        if let Some(byte) = flipped.get_mut(middle) {
            *byte ^= 1;
        }
        let mut others = vec![("a flipped bit", flipped)];
        // Only in the entries is every line evidence of its own; elsewhere the whole file is.
        if lines.len() > 8 {
            let without =
                |n: usize| lines.iter().enumerate().filter(|(at, _)| *at != n).map(|(_, l)| *l).collect::<Vec<_>>();
            others.push(("a line less", without(lines.len() / 2).concat()));
            others.push(("the last line less", without(lines.len() - 1).concat()));
            let mut swapped = lines.clone();
            swapped.swap(2, 3);
            others.push(("two lines swapped", swapped.concat()));
        }
        for (what, other) in others.iter().filter(|(_, other)| *other != bytes) {
            fs::write(&path, other).map_err(|fault| broken(&path, &fault))?;
            look(&path, what);
            changed += 1;
        }
        fs::write(&path, &bytes).map_err(|fault| broken(&path, &fault))?;
    }
    Ok(changed)
}

/// Waits until another checkpoint than `before` is published.
async fn published_after(directory: &Path, before: Option<&[u8]>) -> Result<(), Stop> {
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if fs::read(directory.join(TOTALS)).ok().as_deref() != before {
            return Ok(());
        }
    }
    Err(Stop::Fault("no checkpoint was published in twenty seconds".into()))
}

/// Hashes of files, leaves and versions against candidates that the attacker makes themselves.
pub(super) async fn hashes(field: &mut Field) -> Result<Finding, Stop> {
    let both = field.both().await?;
    let mut checks = Checks::default();
    let sql = "SELECT COUNT(*) AS n FROM condition_occurrence";
    let mut leaves = vec![];
    let mut everything = String::new();
    for asker in &both {
        let answer = asker.ask(sql).await?;
        let receipt = answer.says("receipt_json").unwrap_or_default().to_owned();
        let read: Value = serde_json::from_str(&receipt).map_err(|fault| Stop::fault(&fault))?;
        let text = |name: &str| read.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (leaf, body) = (text("leaf"), text("body"));
        checks.that(leaf.len() == 64 && !body.is_empty(), || "the receipt opens no entry".into());
        // Without the salt, which only this receipt opens, the body gives no leaf.
        let plain = Sha256::digest(&body);
        let leaf_of = |data: &[u8]| to_hex(&Sha256::new().chain_update([0]).chain_update(data).finalize());
        for guess in [to_hex(&plain), leaf_of(body.as_bytes()), leaf_of(&plain)] {
            checks.that(guess != leaf, || "a leaf is a plain hash of its entry".into());
        }
        leaves.push(leaf);
        everything += &receipt;
        everything += &visible(asker).await?;
    }
    checks.that(leaves.first() != leaves.last(), || "the same entry has the same leaf in two enclaves".into());
    for arena in [field.with()?, field.without()?] {
        for file in files_below(&arena.directory.join("data"))? {
            let bytes = fs::read(&file).map_err(|fault| Stop::Fault(format!("{}: {fault}", file.display())))?;
            let hash = to_hex(&Sha256::digest(&bytes));
            checks.that(!everything.contains(&hash), || format!("the hash of {} is shown", file.display()));
        }
    }
    let version = "SELECT version, date, population_max FROM sekisho.datasets";
    checks.same(version, &seen(&both[0].ask(version).await, false), &seen(&both[1].ask(version).await, false));
    Ok(Finding::checks("leaves and file hashes against candidates; versions with and without one person", checks))
}

async fn visible(asker: &Asker) -> Result<String, Stop> {
    let mut text = String::new();
    for table in ["datasets", "tables", "columns", "my_permits", "my_budget", "my_queries"] {
        text += &seen(&asker.ask(&format!("SELECT * FROM sekisho.{table}")).await, false);
    }
    Ok(text)
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Stop> {
    let (mut files, mut folders) = (vec![], vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|fault| Stop::Fault(format!("{}: {fault}", folder.display())))? {
            let path = entry.map_err(|fault| Stop::Fault(format!("{}: {fault}", folder.display())))?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    Ok(files)
}
