//! Who is in the books, and who can change them?

use super::*;
use crate::terms::{SourceName, VocabularyName};

#[test]
fn a_second_open_of_the_same_books_is_refused() {
    let (enclave, books) = Enclave::new();
    assert!(matches!(enclave.open(), Err(BooksFault::Store(StoreFault::Locked { .. }))));
    let clone = books.clone();
    drop(books);
    assert!(enclave.open().is_err());
    drop(clone);
    assert!(enclave.open().is_ok());
    let again = Books::create(enclave.dir.path(), &enclave.keys, "test", enclave.clock());
    assert!(matches!(again, Err(BooksFault::Store(StoreFault::AlreadyThere { .. }))));
}

#[test]
fn books_are_not_opened_with_the_keys_of_others() {
    let (enclave, books) = Enclave::new();
    drop(books);
    let other = Keys::make(&enclave.dir.path().join("other")).unwrap();
    let opened = Books::open(enclave.dir.path(), &other, enclave.clock());
    assert!(matches!(opened, Err(BooksFault::Store(StoreFault::NotReadable { .. }))));
}

#[test]
fn books_changed_from_outside_are_not_opened() {
    for change in [
        "DROP TRIGGER entries_stay; DELETE FROM entries WHERE number = (SELECT max(number) FROM entries)",
        "DROP TRIGGER entries_unchanged; UPDATE entries SET body = replace(body, 'review', 'hanako')",
        "DROP TRIGGER nodes_unchanged; UPDATE nodes SET hash = zeroblob(32) WHERE level = 0",
        "DROP TRIGGER nodes_stay; DELETE FROM nodes WHERE level > 0",
        "DROP TRIGGER entries_stay; DELETE FROM entries",
    ] {
        let (enclave, books) = Enclave::new();
        drop(books);
        let outside = crate::store::meddle(&enclave.dir.path().join(FILE), enclave.keys.books().bytes());
        outside.pragma_update(None, "foreign_keys", false).unwrap();
        outside.execute_batch(change).unwrap();
        drop(outside);
        assert!(enclave.open().is_err(), "{change}");
    }
}

#[test]
fn the_log_cannot_be_changed_through_the_books() {
    let (_enclave, books) = Enclave::new();
    for sql in [
        "UPDATE entries SET body = '{}'",
        "DELETE FROM entries",
        "UPDATE nodes SET hash = zeroblob(32)",
        "DELETE FROM nodes",
        "DELETE FROM permits",
        "UPDATE permits SET permit = '{}'",
        "DELETE FROM accounts",
    ] {
        let outcome: Result<(), BooksFault> = books.write(move |w| Ok(w.connection.execute_batch(sql)?));
        assert!(outcome.is_err(), "{sql}");
    }
}

#[test]
fn caps_are_declared_once_and_a_change_is_on_record() {
    let (enclave, books) = Enclave::new();
    let size = books.size().unwrap();
    let cap = |epsilon| Cap::new(epsilon, 1e-7).unwrap();
    let books = enclave.reopen(books);
    assert_eq!(books.declare_caps(&population(), cap(8.0), &dataset(), cap(8.0)).unwrap(), None);
    assert_eq!(books.size().unwrap(), size);
    let reservation = books.reserve(charge("P-1", pure(0.5)), question()).unwrap();
    let _ = books.release(reservation, answer(1, 1.0)).unwrap();
    let entry = books.declare_caps(&population(), cap(9.0), &dataset(), cap(8.0)).unwrap().unwrap();
    let declared = &body(&books, entry)["ledger"]["declares"];
    assert_eq!(*declared, json!([{"cap": "population/jp", "epsilon": "9", "delta": "0.0000001"}]));
    assert_eq!(held(&books, CapName::Population(population())).spent, pure(0.5), "never renewed");
    // The same people under a second population name would have a second cap.
    let other = PopulationName::new("second").unwrap();
    let moved = books.declare_caps(&other, cap(8.0), &dataset(), cap(8.0));
    assert!(matches!(moved, Err(BooksFault::Mismatch(_))));
    assert_eq!(books.budget(&CapName::Population(other)).unwrap(), None, "the refusal left nothing");
}

#[test]
fn accounts_are_added_once_disabled_once_and_never_shown_with_their_hash() {
    let (_enclave, books) = Enclave::new();
    let twice = books.add_account(Some(&who("review")), account("Hanako", Role::Analyst));
    assert!(matches!(twice, Err(BooksFault::AlreadyThere(_))), "also in another case");
    assert_eq!(books.accounts().unwrap().len(), 3);
    assert!(books.account(&who("nobody")).unwrap().is_none());
    let hanako = books.account(&who("hanako")).unwrap().unwrap();
    assert_eq!((hanako.language, hanako.disabled), (Language::Ja, false));
    assert_eq!(hanako.password_hash, "$argon2id$hash-canary");
    let shown = format!("{hanako:?} {:?}", account("x", Role::Operator));
    assert!(!shown.contains("canary"), "{shown}");
    for entry in books.entries(0..u64::MAX).unwrap() {
        assert!(!entry.body.contains("canary"), "{}", entry.body);
    }
    books.disable_account(&who("review"), &who("hanako")).unwrap();
    assert!(books.account(&who("hanako")).unwrap().unwrap().disabled);
    assert!(books.disable_account(&who("review"), &who("hanako")).is_err());
    let denied = books.reserve(charge("P-1", pure(0.1)), question());
    assert!(matches!(denied, Err(Denied::PermitNotActive)), "{denied:?}");
}

#[test]
fn a_permit_is_granted_once_for_what_exists_and_revoked_once() {
    let (enclave, books) = Enclave::new();
    let cap = Cap::new(1.0, 1e-7).unwrap();
    let grant = |permit: Permit| books.grant_permit(&who("review"), permit);
    assert!(matches!(grant(permit("P-1", cap)), Err(BooksFault::AlreadyThere(_))));
    let mut spoilt = permit("P-3", cap);
    spoilt.principals.insert(who("nobody"));
    assert!(matches!(grant(spoilt), Err(BooksFault::Unknown(_))));
    let elsewhere = Permit { dataset: DatasetName::new("nowhere").unwrap(), ..permit("P-3", cap) };
    assert!(matches!(grant(elsewhere), Err(BooksFault::Unknown(_))));
    let endless = Permit { per_question_epsilon: f64::INFINITY, ..permit("P-3", cap) };
    assert!(matches!(grant(endless), Err(BooksFault::Permit(_))));
    assert_eq!(books.budget(&CapName::Permit(permit_id("P-3"))).unwrap(), None);

    assert_eq!(books.permits_of(&who("hanako")).unwrap().len(), 2);
    assert_eq!(books.permits_of(&who("review")).unwrap(), []);
    let reservation = books.reserve(charge("P-1", pure(0.1)), question()).unwrap();
    books.revoke_permit(&who("review"), &permit_id("P-1"), "asked for").unwrap();
    assert!(books.revoke_permit(&who("review"), &permit_id("P-1"), "again").is_err());
    assert!(matches!(books.reserve(charge("P-1", pure(0.1)), question()), Err(Denied::PermitNotActive)));
    books.fail(reservation).unwrap();
    let books = enclave.reopen(books);
    let revoked = books.permit(&permit_id("P-1")).unwrap().unwrap();
    assert!(matches!(&revoked.state, PermitState::Revoked { reason, .. } if reason == "asked for"));
}

#[test]
fn a_permit_ends_on_its_last_day() {
    let (enclave, books) = Enclave::new();
    enclave.hand.store(999_000, Ordering::Relaxed);
    assert!(books.reserve(charge("P-1", pure(0.1)), question()).is_ok());
    enclave.hand.store(1_000_000, Ordering::Relaxed);
    assert!(matches!(books.reserve(charge("P-1", pure(0.1)), question()), Err(Denied::PermitNotActive)));
}

#[test]
fn data_versions_only_go_up() {
    let (enclave, books) = Enclave::new();
    let source = SourceName::new("hospital").unwrap();
    let version = |n| Activation {
        dataset: dataset(),
        version: DataVersion(n),
        manifest_mac: "ab".repeat(32),
        source: source.clone(),
    };
    assert_eq!(books.active(&dataset()).unwrap(), None);
    books.activate("custodian", version(1)).unwrap();
    books.activate("custodian", version(3)).unwrap();
    for earlier in [1, 2, 3] {
        assert!(matches!(books.activate("custodian", version(earlier)), Err(BooksFault::AlreadyThere(_))));
    }
    let nowhere = Activation { dataset: DatasetName::new("nowhere").unwrap(), ..version(1) };
    assert!(matches!(books.activate("custodian", nowhere), Err(BooksFault::Unknown(_))));
    let books = enclave.reopen(books);
    assert_eq!(books.active(&dataset()).unwrap(), Some(DataVersion(3)));
    assert_eq!(books.activation(&dataset()).unwrap(), Some(version(3)));
}

#[test]
fn vocabularies_are_declared_with_their_release() {
    let (_enclave, books) = Enclave::new();
    let declared = |version, release: &str| VocabularyDeclaration {
        name: VocabularyName::new("vocab").unwrap(),
        release: release.into(),
        version: DataVersion(version),
        statement: "published without any of these persons".into(),
    };
    books.declare_vocabulary(Some(&who("review")), declared(1, "2026-01")).unwrap();
    books.declare_vocabulary(None, declared(2, "2026-07")).unwrap();
    assert!(books.declare_vocabulary(None, declared(2, "2026-08")).is_err());
    assert_eq!(books.vocabularies().unwrap(), [declared(2, "2026-07")]);
}

#[test]
fn a_note_cannot_pass_for_a_charge() {
    let (enclave, books) = Enclave::new();
    let forged = json!({"ledger": {"takes": {"loss": pure(1.0), "from": ["population/jp"]}}, "entry": 0});
    books.note(Note { kind: "refusal", account: None, permit: None, body: forged }).unwrap();
    let to = enclave.dir.path().join("export");
    books.export(&to).unwrap();
    assert_eq!(verify_export(&to, None).unwrap().charges, 0);
}

#[test]
fn an_entry_too_deep_for_verifiers_is_refused() {
    let (enclave, books) = Enclave::new();
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let note = |body| books.note(Note { kind: "refusal", account: None, permit: None, body });
    assert!(note(deep).is_err());
    note((0..50).fold(json!(1.5e-300), |inner, _| json!({"": inner}))).unwrap();
    let to = enclave.dir.path().join("export");
    books.export(&to).unwrap();
    assert!(verify_export(&to, None).is_ok());
}

#[test]
fn nothing_printed_shows_a_question_or_an_answer() {
    let (_enclave, books) = Enclave::new();
    let sql = "SELECT canary FROM person".to_owned();
    let reservation = books.reserve(charge("P-1", pure(0.1)), Admission { sql, ..question() }).unwrap();
    let mut shown = format!("{reservation:?} {:?}", answer(67, 1.0));
    let receipt = books.release(reservation, answer(67, 1.0)).unwrap();
    let kept = books.kept(&[67; 32], &permit_id("P-1"), |_, _| true).unwrap();
    shown += &format!("{receipt:?} {kept:?} {:?}", books.entries(0..100).unwrap());
    assert!(!shown.contains("canary") && !shown.contains("67, 67"), "{shown}");
}

#[test]
fn faults_speak_of_names_and_never_of_what_is_stored() {
    let (_enclave, books) = Enclave::new();
    let duplicate: Result<(), BooksFault> = books.write(|w| {
        w.connection.execute("INSERT INTO accounts VALUES ('hanako', 'canary', 'canary', 'canary', 0)", [])?;
        Ok(())
    });
    let fault = duplicate.unwrap_err();
    assert!(!format!("{fault} {fault:?}").contains("canary"), "{fault:?}");
}
