//! Does a backup come back whole, and only where it should?

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::{
    cli::{init, keys},
    terms::{DatasetName, PopulationName, VocabularyName},
};

/// A small enclave; its master key lies outside of it.
fn enclave(parent: &Path) -> PathBuf {
    let dir = parent.join("enclave");
    let beginning = init::Beginning {
        directory: dir.clone(),
        name: "test".into(),
        dataset: DatasetName::new("demo").unwrap(),
        model: "omop-5.4".into(),
        population: PopulationName::new("jp").unwrap(),
        population_max: 1000,
        epsilon: 8.0,
        vocabulary: VocabularyName::new("vocab").unwrap(),
        flight: config::FLIGHT.parse().unwrap(),
        master: MasterSource::File(parent.join("master.key")),
        rows_per_person: &[],
    };
    init::make(&beginning, &init::sample_accounts().unwrap(), true, &Clock::of_the_machine()).unwrap();
    fs::create_dir_all(dir.join("data/demo/v1")).unwrap();
    fs::create_dir_all(dir.join("data/demo/.v2.tmp-1")).unwrap();
    fs::write(dir.join("data/demo/v1/person.parquet"), "rows").unwrap();
    dir
}

fn back_up(dir: &Path, to: &Path) -> Result<(), Stop> {
    backup(&Backup { dir: dir.to_owned(), to: to.to_owned() }, &mut Vec::new())
}

fn bring(from: &Path, dir: &Path, master_key: Option<MasterSource>) -> Result<(), Stop> {
    restore(&Restore { from: from.to_owned(), dir: dir.to_owned(), master_key }, &mut Vec::new())
}

fn said(outcome: Result<(), Stop>) -> String {
    outcome.unwrap_err().words().unwrap().to_owned()
}

#[test]
fn a_backup_taken_while_a_gateway_holds_the_books_comes_back_whole_and_says_so_in_the_log() {
    let parent = tempfile::tempdir().unwrap();
    let dir = enclave(parent.path());
    let keys = Config::load(&dir).unwrap().unlock(&dir).unwrap();
    let books = Books::open(&dir, &keys, Clock::of_the_machine()).unwrap();
    let (to, again) = (parent.path().join("backup"), parent.path().join("again"));
    back_up(&dir, &to).unwrap();
    let size = books.size().unwrap();
    books.note(Note { kind: "later", account: None, permit: None, body: json!({}) }).unwrap();
    assert!(!to.join("connect.json").exists() && !to.join("data/demo/.v2.tmp-1").exists());
    for key in names(&to.join("keys")).unwrap().iter().filter(|name| name.ends_with(".key")) {
        assert!(crate::keys::is_sealed(&fs::read(to.join("keys").join(key)).unwrap()), "{key}");
    }
    bring(&to, &again, None).unwrap();
    let restored = Books::open(&again, &Config::load(&again).unwrap().unlock(&again).unwrap(), Clock::of_the_machine());
    let restored = restored.unwrap();
    assert_eq!(restored.size().unwrap(), size + 1);
    let last = restored.entries(size..size + 1).unwrap().remove(0).body;
    assert!(last.contains("restored"), "{last}");
    assert_eq!(fs::read(again.join("data/demo/v1/person.parquet")).unwrap(), b"rows");
    for name in ["server.key", "ca.key"] {
        assert_eq!(fs::read(again.join("keys").join(name)).unwrap(), fs::read(dir.join("keys").join(name)).unwrap());
        assert_eq!(fs::metadata(again.join("keys").join(name)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(said(bring(&to, &again, None)).contains("exists already"));
    assert!(said(back_up(&dir, &to)).contains("exists already"));
}

#[test]
fn every_changed_missing_or_cut_file_of_a_backup_is_found_and_nothing_is_left() {
    let parent = tempfile::tempdir().unwrap();
    let dir = enclave(parent.path());
    let (to, again) = (parent.path().join("backup"), parent.path().join("again"));
    back_up(&dir, &to).unwrap();
    let contents: Contents = serde_json::from_slice(&fs::read(to.join(CONTENTS)).unwrap()).unwrap();
    let mut tried = 0;
    for name in contents.files.keys().map(String::as_str).chain([CONTENTS, SEAL]) {
        let whole = fs::read(to.join(name)).unwrap();
        let mut changed = whole.clone();
        let middle = whole.len() / 2;
        changed[middle] ^= 1;
        for wrong in [Some(&changed[..]), Some(&whole[..middle]), None] {
            fs::remove_file(to.join(name)).unwrap();
            if let Some(wrong) = wrong {
                fs::write(to.join(name), wrong).unwrap();
            }
            assert!(bring(&to, &again, None).is_err(), "{name}");
            assert!(!again.exists());
            fs::write(to.join(name), &whole).unwrap();
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried}");
    let left = names(parent.path()).unwrap();
    assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");
    bring(&to, &again, None).unwrap();
}

#[test]
fn a_backup_of_a_later_program_or_time_or_under_another_master_key_is_refused_in_words() {
    let parent = tempfile::tempdir().unwrap();
    let dir = enclave(parent.path());
    let (to, again) = (parent.path().join("backup"), parent.path().join("again"));
    back_up(&dir, &to).unwrap();
    let text = fs::read_to_string(to.join(CONTENTS)).unwrap();
    let contents: Contents = serde_json::from_str(&text).unwrap();
    let schema = contents.schema;
    for (from, into, words) in [
        ("\"format\": 1".to_owned(), "\"format\": 2".to_owned(), "use a newer program"),
        ("\"format\": 1".to_owned(), "\"format\": 0".to_owned(), "use the program that made it"),
        (format!("\"schema\": {schema}"), format!("\"schema\": {}", schema + 1), "use a newer program"),
        (format!("\"taken_at\": {}", contents.taken_at), format!("\"taken_at\": {}", i64::MAX), "set the clock"),
        (format!("\"taken_at\": {}", contents.taken_at), "\"taken_at\": 1".to_owned(), "was changed after the backup"),
    ] {
        assert!(text.contains(&from), "{from}");
        fs::write(to.join(CONTENTS), text.replace(&from, &into)).unwrap();
        let found = said(bring(&to, &again, None));
        assert!(found.contains(words), "{found}");
        assert!(!again.exists());
    }
    fs::write(to.join(CONTENTS), &text).unwrap();
    let other = MasterSource::File(parent.path().join("other.key"));
    other.read_or_make(parent.path()).unwrap();
    let found = said(bring(&to, &again, Some(other)));
    assert!(found.contains("does not open with this master key"), "{found}");
    bring(&to, &again, None).unwrap();
}

#[test]
fn rotation_is_recorded_and_the_old_master_key_opens_nothing_but_older_backups() {
    let parent = tempfile::tempdir().unwrap();
    let dir = enclave(parent.path());
    let to = parent.path().join("backup");
    back_up(&dir, &to).unwrap();
    let new = parent.path().join("new.key");
    let call = ["keys", "rotate", "--dir", dir.to_str().unwrap(), "--to", &format!("file:{}", new.display())];
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        keys: keys::KeysVerb,
    }
    let line = <Line as clap::Parser>::parse_from(call);
    keys::run(&line.keys, &mut Vec::new()).unwrap();
    let found = Config::load(&dir).unwrap().unlock(&dir).err().unwrap();
    assert!(matches!(found, crate::keys::KeysFault::WrongMaster { .. }), "{found}");
    let keys = Keys::open(&dir.join("keys"), &MasterSource::File(new), &dir).unwrap();
    let books = Books::open(&dir, &keys, Clock::of_the_machine()).unwrap();
    let size = books.size().unwrap();
    assert!(books.entries(size - 1..size).unwrap()[0].body.contains("master_key"));
    bring(&to, &parent.path().join("again"), None).unwrap();
}
