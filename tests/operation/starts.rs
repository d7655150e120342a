//! What does the program say to what it cannot start with, and is nothing lost by it?
//!
//! After each refused start the cause is taken away: the gateway then starts, and the books hold what they held.

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use sekisho::{
    certificates::{issue, renew},
    terms::{Clock, Instant},
};

use super::{Enclave, PROGRAM, run};

/// The entries of the log, word by word.
fn entries(enclave: &Enclave) -> Vec<String> {
    enclave.books().entries(0..u64::MAX).unwrap().into_iter().map(|entry| entry.body).collect()
}

/// Spoils a file, sees the start refused in these words, puts the file back.
fn refused_with(enclave: &Enclave, file: &str, spoil: impl FnOnce(Vec<u8>) -> Vec<u8>, words: &[&str]) {
    let path = enclave.file(file);
    let before = entries(enclave);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, spoil(whole.clone())).unwrap();
    let (status, said) = enclave.refused();
    std::fs::write(&path, whole).unwrap();
    assert_eq!(status, Some(1), "{file}: {said}");
    for word in words {
        assert!(said.contains(word), "{file}: {said}");
    }
    assert!(!said.contains("panicked") && said.lines().count() <= 3, "in a sentence: {said}");
    assert_eq!(entries(enclave), before, "{file}");
}

fn flipped(mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

#[test]
fn what_is_damaged_wrong_or_out_of_its_time_is_named_and_nothing_is_lost() {
    let enclave = Enclave::new();
    let other = "A".repeat(43) + "=\n";
    refused_with(&enclave, "keys/master.key", |_| other.into_bytes(), &["does not open with this master key"]);
    refused_with(&enclave, "keys/master.key", |_| b"short\n".to_vec(), &["master"]);
    refused_with(&enclave, "keys/log.key", flipped, &["keys/log.key"]);
    refused_with(&enclave, "keys/root.key", flipped, &["master key"]);
    refused_with(&enclave, "books.db", flipped, &["books.db is damaged", "Restore a backup"]);
    refused_with(&enclave, "books.db", |bytes| bytes[..bytes.len() / 2].to_vec(), &["books.db"]);
    refused_with(
        &enclave,
        "books.db",
        |bytes| [vec![7; 64], bytes[64..].to_vec()].concat(),
        &["books.db does not open"],
    );
    refused_with(
        &enclave,
        "data/demo/v1/person/r0000.parquet",
        flipped,
        &["person/r0000.parquet", "keyed hash differs"],
    );
    refused_with(&enclave, "data/demo/v1/manifest.json", flipped, &["manifest"]);
    refused_with(&enclave, "policies/roles.toml", |text| [text, b"[roles.king]\n".to_vec()].concat(), &["roles.toml"]);
    let stray = |text: Vec<u8>| [text, b"\n[log]\nchekpoint_seconds = 5\n".to_vec()].concat();
    refused_with(&enclave, "sekisho.toml", stray, &["sekisho.toml:", "unknown field `chekpoint_seconds`, expected"]);

    let now = Clock::of_the_machine().now();
    let long_ago = Instant(now.0 - 4 * 366 * 86_400_000_000);
    let ca_key = std::fs::read_to_string(enclave.file("keys/ca.key")).unwrap();
    let old = renew("enclave", &ca_key, &[], long_ago).unwrap();
    let pair = std::fs::read(enclave.file("keys/server.key")).unwrap();
    std::fs::write(enclave.file("keys/server.key"), &old.key_pem).unwrap();
    refused_with(
        &enclave,
        "keys/server.pem",
        |_| old.pem.into_bytes(),
        &["certificate is good from", "certificate renew"],
    );
    std::fs::write(enclave.file("keys/server.key"), pair).unwrap();
    let foreign = issue("elsewhere", &[], now).unwrap();
    refused_with(&enclave, "keys/server.pem", |_| foreign.server.pem.into_bytes(), &["cannot be used together"]);
    refused_with(&enclave, "keys/server.pem", |_| b"garbage".to_vec(), &["PEM"]);

    std::fs::set_permissions(enclave.file("keys/log.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let (status, said) = enclave.refused();
    assert!(status == Some(1) && said.contains("mode 0644"), "{said}");
    std::fs::set_permissions(enclave.file("keys/log.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    enclave.serve(&[], &[]).stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_gateway_on_one_directory_or_port_is_told_so_and_the_first_goes_on() {
    let enclave = Enclave::new();
    let first = enclave.serve(&[], &[]);
    let (status, said) = enclave.refused();
    assert!(status == Some(1) && said.contains("is held by another gateway"), "{said}");
    let other = Enclave::new();
    let port = first.url.trim_start_matches("grpc+tls://").to_owned();
    let dir = other.dir().display().to_string();
    let output = run(PROGRAM, &["serve", "--dir", &dir, "--flight", &port]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains(&format!("cannot listen on {port}")), "{said}");
    first.client(&enclave, "auditor").await.tables().await.unwrap();
    first.stop();
    enclave.serve(&[], &[]).stop();
}

#[test]
fn on_a_read_only_disk_it_says_so_and_starts_nothing() {
    let enclave = Enclave::new();
    let before = entries(&enclave);
    let dir = enclave.dir().display().to_string();
    let read_only = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && exec \"$@\"";
    let tried = run("unshare", &["-m", "sh", "-c", read_only, &dir, "true"]);
    if !tried.status.success() {
        let why = String::from_utf8_lossy(&tried.stderr).into_owned();
        let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("skipped: no mounts here: {why}").as_bytes());
        return;
    }
    let words = enclave.words(&[]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = run("unshare", &[&["-m", "sh", "-c", read_only, &dir, PROGRAM], &words[..]].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("books.db.lock") && said.contains("Read-only file system"), "{said}");
    assert_eq!(entries(&enclave), before);
    enclave.serve(&[], &[]).stop();
}

#[test]
fn a_full_disk_stops_the_gateway_and_not_what_it_has_promised() {
    let enclave = Enclave::new();
    let before = entries(&enclave);
    // No file may grow: every write of the books fails as on a full disk.
    let words = enclave.words(&[]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let full = "trap '' XFSZ; ulimit -f 0; exec \"$@\"";
    let output = run("sh", &[&["-c", full, "sh", PROGRAM], &words[..]].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        ["disk I/O error", "database or disk is full", "File too large"].iter().any(|words| said.contains(words)),
        "{said}"
    );
    assert_eq!(entries(&enclave), before);
    enclave.serve(&[], &[]).stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_ahead_is_told_and_taken_back_on_record() {
    let enclave = Enclave::new();
    let keys = sekisho::keys::Keys::load(&enclave.file("keys")).unwrap();
    let later = Clock::of_the_machine().now().plus(Duration::from_secs(86_400));
    let books = sekisho::record::Books::open(&enclave.dir(), &keys, Clock::from_fn(move || later)).unwrap();
    books
        .note(sekisho::record::Note { kind: "story", account: None, permit: None, body: serde_json::json!({}) })
        .unwrap();
    drop(books);
    let (status, said) = enclave.refused();
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("set the clock") && said.contains("--clock-is-right"), "{said}");
    enclave.serve(&["--clock-is-right"], &[]).stop();
    let last = entries(&enclave);
    assert!(last.iter().any(|body| body.contains("\"kind\":\"clock_set_back\"")), "{last:?}");
    enclave.serve(&[], &[]).stop();
}
