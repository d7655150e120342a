//! Does the log show at fixed instants what it should, and nothing before?

use super::*;
use crate::audit::{Checkpoint, Cosigner, open_cosigned};

fn minute(n: i64) -> Instant {
    Instant(n * 60_000_000)
}

fn buy(books: &Books, key: u8) -> Receipt {
    let reservation = books.reserve(charge("P-1", pure(0.01)), question()).unwrap();
    books.release(reservation, answer(key, 20.0)).unwrap()
}

#[test]
fn a_checkpoint_states_its_instant_and_what_every_cap_has_borne() {
    let (_enclave, books) = Enclave::new();
    buy(&books, 1);
    let made = books.publish(minute(1)).unwrap().unwrap();
    let open = |note: &str| Checkpoint::open(note, &books.verifier()).unwrap();
    let (public, totals) = (open(&made.public), open(&made.totals));
    assert_eq!((public.size, public.root), (totals.size, totals.root));
    assert_eq!(public.extension, ["at 1970-01-01T00:01:00Z"], "others' spending is nobody's to see");
    assert_eq!(totals.extension[1..], super::super::export::ledger_lines(&books.budgets().unwrap()));
    assert_eq!(books.next_instant(minute(1)), minute(2));
    assert_eq!(books.next_instant(Instant(1)), minute(1));
}

#[test]
fn a_release_that_may_not_be_seen_yet_is_in_no_checkpoint_and_no_tile() {
    let (enclave, books) = Enclave::new();
    let seen = buy(&books, 1);
    let hidden = buy(&books, 2);
    // One that is written after the instant of a checkpoint and before that is made.
    let release = hidden.entry.0;
    let later = move |w: &Writing<'_>| {
        let sql = "UPDATE kept SET visible_from = ?1 WHERE release = ?2";
        w.connection.execute(sql, [minute(5).0, i64::try_from(release).unwrap()])?;
        Ok::<_, BooksFault>(())
    };
    books.write(later).unwrap();
    let after = buy(&books, 3);
    let made = books.publish(minute(1)).unwrap().unwrap();
    assert_eq!(made.size, hidden.entry.0, "it and what lies behind it wait");
    assert!(books.proof(seen.entry).is_ok() && books.proof(hidden.entry).is_err() && books.proof(after.entry).is_err());
    let log = enclave.dir.path().join("log");
    books.write_log(&log).unwrap();
    let width = made.size;
    assert!(log.join(format!("tile/0/000.p/{width}")).is_file());
    // The totals are those of the entries shown: the charge behind the hidden one is not among them.
    let shown = Checkpoint::open(&made.totals, &books.verifier()).unwrap();
    let line = shown.extension.iter().find(|line| line.starts_with("ledger population/jp ")).unwrap();
    let two = serde_json::to_string(&pure(0.01).plus(&pure(0.01)).unwrap()).unwrap();
    assert_eq!(line, &format!("ledger population/jp {two}"));
    assert_eq!(books.publish(minute(5)).unwrap().unwrap().size, books.size().unwrap(), "at its instant it shows");
}

#[test]
fn the_files_of_the_log_grow_and_each_step_is_consistent_with_the_one_before() {
    let (enclave, books) = Enclave::new();
    let log = enclave.dir.path().join("log");
    let mut before: Option<Checkpoint> = None;
    for step in 1..8 {
        for _ in 0..60 {
            books.note(Note { kind: "sign_in", account: None, permit: None, body: json!({}) }).unwrap();
        }
        let made = books.publish(minute(step)).unwrap().unwrap();
        books.write_log(&log).unwrap();
        let read = std::fs::read_to_string(log.join("checkpoint")).unwrap();
        assert_eq!(read, made.public);
        let now = Checkpoint::open(&read, &books.verifier()).unwrap();
        if let Some(old) = before {
            let proof = books.consistency(old.size, now.size).unwrap();
            assert!(crate::audit::verify_consistency((old.size, &old.root), (now.size, &now.root), &proof));
        }
        // An outsider's reading: every leaf of the tiles is the hash of the data in the bundles, and gives the root.
        let (mut tree, mut index) = (crate::audit::Tree::default(), 0);
        while tree.size() < now.size {
            let width = (now.size - tree.size()).min(256);
            let partial = if width < 256 { format!(".p/{width}") } else { String::new() };
            let bundle = std::fs::read(log.join(format!("tile/entries/{index:03}{partial}"))).unwrap();
            let tile = std::fs::read(log.join(format!("tile/0/{index:03}{partial}"))).unwrap();
            for (data, leaf) in bundle.chunks(34).zip(tile.chunks(32)) {
                assert_eq!(crate::audit::hash_leaf(&data[2..]), leaf);
                tree.push(leaf.try_into().unwrap());
            }
            index += 1;
        }
        assert_eq!(tree.root(), Some(now.root));
        before = Some(now);
    }
    assert!(log.join("tile/0/000").is_file() && !log.join("tile/0/000.p").exists(), "full tiles replace partial ones");
    // A crash that left nothing, or half of it, is completed by the next writing.
    let whole = std::fs::read(log.join("tile/0/000")).unwrap();
    std::fs::remove_dir_all(&log).unwrap();
    books.write_log(&log).unwrap();
    assert_eq!(std::fs::read(log.join("tile/0/000")).unwrap(), whole);
}

#[test]
fn a_proof_reads_in_the_c2sp_form_and_carries_the_witnesses() {
    let (_enclave, books) = Enclave::new();
    let receipt = buy(&books, 1);
    let made = books.publish(minute(1)).unwrap().unwrap();
    let witness = Cosigner::new("ethics.example/w1", &ed25519_dalek_key()).unwrap();
    let text = |note: &str| note.rsplit_once("\n\n").map(|(text, _)| format!("{text}\n")).unwrap();
    let lines = [&made.public, &made.totals].map(|note| witness.cosign(&text(note), 60));
    let made = books.cosigned(&made, &lines[0], &lines[1]).unwrap();
    assert!(open_cosigned(&made.totals, &books.verifier(), &[witness.key()]).is_ok());
    let proof = books.proof(receipt.entry).unwrap();
    let written = proof.to_text();
    assert!(written.starts_with("c2sp.org/tlog-proof@v1\nextra ") && written.contains("\nindex 8\n"), "{written}");
    let read = Proof::from_text(&written).unwrap();
    assert_eq!(read.verify(&books.verifier(), &[witness.key()]).unwrap().len(), 1);
    assert!(read.verify(&books.verifier(), &[]).is_err(), "a witness that nobody knows");
    for place in 0..written.len() {
        let mut bytes = written.clone().into_bytes();
        bytes[place] ^= 1 << (place % 8);
        let proof = String::from_utf8(bytes).ok().and_then(|text| Proof::from_text(&text).ok());
        let holds = proof.is_some_and(|proof| proof.verify(&books.verifier(), &[witness.key()]).is_ok());
        assert!(!holds, "byte {place} of {written}");
    }
    assert_eq!(books.receipt(receipt.entry).unwrap().verify(&books.verifier()), Ok(()));
}

fn ed25519_dalek_key() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[9; 32])
}

#[test]
fn totals_that_the_entries_do_not_give_are_never_signed() {
    let (_enclave, books) = Enclave::new();
    buy(&books, 1);
    let cheaper = serde_json::to_string(&Loss::zero()).unwrap();
    let spoil = move |w: &Writing<'_>| {
        w.connection.execute("UPDATE caps SET committed = ?1 WHERE name = 'population/jp'", [cheaper])?;
        Ok::<_, BooksFault>(())
    };
    books.write(spoil).unwrap();
    assert!(matches!(books.publish(minute(1)), Err(BooksFault::Damaged)));
    assert_eq!(books.published().unwrap(), None);
}
