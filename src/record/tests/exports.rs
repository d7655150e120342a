//! Is every change of an export found?

use std::path::{Path, PathBuf};

use super::*;

/// Books with one of everything, exported.
fn an_export() -> (Enclave, Books, PathBuf) {
    let (enclave, books) = Enclave::new();
    let reservation = books.reserve(charge("P-1", pure(0.5)), question()).unwrap();
    let _ = books.release(reservation, answer(1, 20.0)).unwrap();
    let reservation = books.reserve(charge("P-2", pure(0.25)), question()).unwrap();
    books.fail(reservation).unwrap();
    let _open = books.reserve(charge("P-1", Loss::concentrated(0.001).unwrap()), question()).unwrap();
    let to = enclave.dir.path().join("export");
    books.export(&to).unwrap();
    (enclave, books, to)
}

#[test]
fn an_export_verifies_and_gives_the_ledger() {
    let (_enclave, books, to) = an_export();
    let verified = verify_export(&to, Some(&books.verifier())).unwrap();
    assert_eq!(verified.origin, "sekisho/test");
    assert_eq!(verified.size, books.size().unwrap());
    assert_eq!(verified.charges, 3);
    assert_eq!(verified.totals, books.budgets().unwrap());
    assert_eq!(verified.totals.open.len(), 1);
    // The checkpoint carries what is held against each cap.
    let checkpoint = std::fs::read_to_string(to.join("checkpoint")).unwrap();
    assert_eq!(checkpoint.lines().filter(|line| line.starts_with("ledger ")).count(), verified.totals.caps.len());
    assert!(checkpoint.contains("\nledger population/jp {"), "{checkpoint}");
}

#[test]
fn every_flipped_byte_of_an_export_is_found() {
    let (_enclave, _books, to) = an_export();
    let mut flips = 0;
    for file in ["entries.jsonl", "checkpoint", "ledger.json", "log.vkey"] {
        let path = to.join(file);
        let good = std::fs::read(&path).unwrap();
        for place in 0..good.len() {
            let mut bad = good.clone();
            // Another bit at each byte; all of them come up.
            bad[place] ^= 1 << (place * 5 % 8);
            std::fs::write(&path, &bad).unwrap();
            assert!(verify_export(&to, None).is_err(), "byte {place} of {file}");
            flips += 1;
        }
        std::fs::write(&path, &good).unwrap();
    }
    assert!(verify_export(&to, None).is_ok(), "whole again");
    assert!(flips > 5_000, "{flips}");
}

#[test]
fn entries_cut_repeated_swapped_or_added_are_found() {
    let (_enclave, _books, to) = an_export();
    let path = to.join("entries.jsonl");
    let good = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<String> = good.lines().map(str::to_owned).collect();
    let spoilt = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        std::fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        verify_export(&to, None).is_err()
    };
    for (place, line) in lines.iter().enumerate() {
        assert!(spoilt(&|l| drop(l.remove(place))), "without {place}");
        assert!(spoilt(&|l| l.truncate(place)), "the first {place}");
        assert!(spoilt(&|l| l.insert(place, line.clone())), "{place} twice");
        assert!(place == 0 || spoilt(&|l| l.swap(place - 1, place)), "{place} before its elder");
    }
    for cut in [1, 2, good.len() / 2, good.len() - 1] {
        std::fs::write(&path, &good[..cut]).unwrap();
        assert!(verify_export(&to, None).is_err(), "{cut} bytes");
    }
    std::fs::write(&path, format!("{good}\n")).unwrap();
    assert!(verify_export(&to, None).is_err(), "an empty line more");
    std::fs::write(&path, &good).unwrap();
    for file in ["entries.jsonl", "checkpoint", "ledger.json", "log.vkey"] {
        let kept = std::fs::read(to.join(file)).unwrap();
        std::fs::remove_file(to.join(file)).unwrap();
        assert!(matches!(verify_export(&to, None), Err(VerifyFault::File { .. })), "without {file}");
        std::fs::write(to.join(file), kept).unwrap();
    }
}

/// What somebody can do who holds the enclave's log key: rewrite entries and sign the new tree.
fn sign_anew(enclave: &Enclave, to: &Path, change: impl Fn(&mut Vec<serde_json::Value>)) {
    use crate::audit::{Checkpoint, Entry, ExportLine, Tree, canonical, leaf_of};
    let read = std::fs::read_to_string(to.join("entries.jsonl")).unwrap();
    let body = |line: &str| {
        let line: ExportLine = serde_json::from_str(line).unwrap();
        serde_json::from_str(&line.body).unwrap()
    };
    let mut bodies: Vec<serde_json::Value> = read.lines().map(body).collect();
    change(&mut bodies);
    let (mut tree, mut lines) = (Tree::default(), String::new());
    for (number, body) in bodies.iter_mut().enumerate() {
        body["entry"] = json!(number);
        let entry = Entry { number: EntryNumber(number as u64), body: canonical(body), salt: [5; 32] };
        tree.push(leaf_of(&entry.salt, &entry.body));
        lines.push_str(&ExportLine::of(&entry));
    }
    std::fs::write(to.join("entries.jsonl"), lines).unwrap();
    let data = |n: u64| crate::audit::commitment_of(&[5; 32], &canonical(&bodies[usize::try_from(n).unwrap()]));
    std::fs::remove_dir_all(to.join("tile")).unwrap();
    for tile in crate::audit::tiles(0, tree.size(), |l, p| tree.full(l, p).ok_or(()), |n| Ok(data(n))).unwrap() {
        let path = to.join(tile.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, tile.bytes).unwrap();
    }
    let signer = Signer::new("test", enclave.keys.log()).unwrap();
    let verifier = signer.verifier();
    let old = Checkpoint::open(&std::fs::read_to_string(to.join("checkpoint")).unwrap(), &verifier).unwrap();
    let new = Checkpoint { size: tree.size(), root: tree.root().unwrap(), ..old };
    std::fs::write(to.join("checkpoint"), new.sign(&signer)).unwrap();
}

#[test]
fn a_charge_left_out_does_not_add_up_even_when_signed() {
    let (enclave, _books, to) = an_export();
    sign_anew(&enclave, &to, |_| ());
    assert!(verify_export(&to, None).is_ok(), "the helper itself changes nothing that matters");
    sign_anew(&enclave, &to, |bodies| bodies.truncate(bodies.len() - 1));
    assert!(matches!(verify_export(&to, None), Err(VerifyFault::Ledger)));

    let (enclave, _books, to) = an_export();
    sign_anew(&enclave, &to, |bodies| bodies.retain(|body| body["kind"] != "release"));
    assert!(verify_export(&to, None).is_err());

    let (enclave, _books, to) = an_export();
    let cheaper = serde_json::to_value(pure(0.01)).unwrap();
    sign_anew(&enclave, &to, |bodies| {
        let taking = bodies.iter_mut().find(|body| body["kind"] == "admission").unwrap();
        taking["ledger"]["takes"]["loss"] = cheaper.clone();
    });
    assert!(matches!(verify_export(&to, None), Err(VerifyFault::Ledger)));
}

#[test]
fn an_export_of_another_log_is_refused_where_the_key_is_known() {
    let (_enclave, books, _) = an_export();
    let (_other, _, to) = an_export();
    assert!(verify_export(&to, None).is_ok());
    assert!(matches!(verify_export(&to, Some(&books.verifier())), Err(VerifyFault::OtherKey)));
}

#[test]
fn an_export_appears_complete_or_not_at_all() {
    let (enclave, books, to) = an_export();
    assert!(matches!(books.export(&to), Err(BooksFault::Export(_))), "never over another");
    assert!(matches!(books.export(&enclave.dir.path().join("no/such")), Err(BooksFault::Export(_))));
    let left: Vec<_> = std::fs::read_dir(enclave.dir.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains(".tmp-")), "{left:?}");
}

#[test]
fn every_entry_has_the_one_text() {
    let (_enclave, books, _) = an_export();
    for entry in books.entries(0..u64::MAX).unwrap() {
        assert!(crate::audit::is_canonical(&entry.body), "{}", entry.body);
        let value: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
        assert_eq!(value["entry"], entry.number.0);
    }
}
