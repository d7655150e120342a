//! Is a restored copy found, and does it forget nothing that was charged?

use super::*;

fn minute(n: i64) -> Instant {
    Instant(n * 60_000_000)
}

fn spend(books: &Books, key: u8, epsilon: f64) {
    let reservation = books.reserve(charge("P-1", pure(epsilon)), question()).unwrap();
    let _ = books.release(reservation, answer(key, 20.0)).unwrap();
}

/// Books that were copied, went on to a published checkpoint, and were then replaced by the copy.
fn restored(share: Option<f64>) -> (Enclave, Books, String, Loss) {
    let (enclave, books) = Enclave::new();
    let books = books.charging_per_interval(share);
    spend(&books, 1, 0.25);
    let first = books.publish(minute(1)).unwrap().unwrap();
    books.mark(&first).unwrap();
    drop(books);
    let file = |name: &str| enclave.dir.path().join(name);
    let copies = ["books.db", "books.db-wal"].map(|name| (name, std::fs::read(file(name)).ok()));
    let books = enclave.open().unwrap().charging_per_interval(share);
    spend(&books, 2, 0.5);
    let newest = books.publish(minute(2)).unwrap().unwrap();
    books.mark(&newest).unwrap();
    let spent = held(&books, CapName::Population(population())).committed;
    drop(books);
    for name in ["books.db", "books.db-wal", "books.db-shm"] {
        let _ = std::fs::remove_file(file(name));
    }
    for (name, bytes) in copies.into_iter().filter_map(|(name, bytes)| Some((name, bytes?))) {
        std::fs::write(file(name), bytes).unwrap();
    }
    let books = enclave.open().unwrap().charging_per_interval(share);
    (enclave, books, newest.totals, spent)
}

#[test]
fn books_that_are_current_are_not_suspended() {
    let (enclave, books) = Enclave::new();
    spend(&books, 1, 0.25);
    let made = books.publish(minute(1)).unwrap().unwrap();
    assert_eq!(books.hold_against(&made.totals).unwrap(), Held::Current);
    spend(&books, 2, 0.25);
    let books = enclave.reopen(books);
    assert_eq!(books.hold_against(&made.totals).unwrap(), Held::Current, "they have grown since");
    assert!(!books.is_suspended() && books.suspension().unwrap().is_none());
    let (_other, elsewhere) = Enclave::new();
    assert!(matches!(elsewhere.hold_against(&made.totals), Err(BooksFault::Name(_))), "another log's key");
}

#[test]
fn a_restored_copy_answers_nothing_until_two_have_acknowledged_and_every_account_is_raised() {
    let (enclave, books, known, spent) = restored(Some(0.5));
    assert_eq!(held(&books, CapName::Population(population())).committed, pure(0.25), "it has forgotten a charge");
    assert!(matches!(books.hold_against(&known).unwrap(), Held::Behind { .. }));
    // Across restarts, for whatever is asked.
    let books = enclave.reopen(books).charging_per_interval(Some(0.5));
    assert!(books.is_suspended());
    assert!(matches!(books.reserve(charge("P-1", pure(0.1)), question()), Err(Denied::Suspended)));
    let kept = books.kept(&[1; 32], &permit_id("P-1"), |_, _| true).unwrap().unwrap();
    assert!(matches!(books.serve_kept(charge("P-1", pure(0.25)), question(), &kept), Err(Denied::Suspended)));
    // Not by one, not by one in two roles, not by others.
    assert!(books.acknowledge(&who("hanako"), Role::Analyst).is_err());
    assert_eq!(books.acknowledge(&who("mio"), Role::Operator).unwrap(), None);
    assert!(books.acknowledge(&who("mio"), Role::Auditor).is_err());
    assert!(books.is_suspended());
    let entry = books.acknowledge(&who("ren"), Role::Auditor).unwrap().unwrap();
    assert!(!books.is_suspended());
    let raised = held(&books, CapName::Population(population()));
    assert!(spent.at_most(&raised.committed), "at least what was spent");
    let cap = Cap::new(8.0, 1e-7).unwrap();
    assert_eq!(raised.committed, spent.plus(&cap.share(0.5).unwrap()).unwrap(), "and one interval's most");
    assert_eq!((raised.spent, raised.reserved), (raised.committed, Loss::zero()));
    for balance in all_caps(&books) {
        assert!(spent.at_most(&balance.committed), "every account");
    }
    assert_eq!(body(&books, entry)["kind"], "restored");
    // The log goes on, verifies, and the acknowledged checkpoint is not found again.
    assert_eq!(books.hold_against(&known).unwrap(), Held::Current);
    // What was raised is above the old mark by a whole interval: the next checkpoint comes first.
    let made = books.publish(minute(3)).unwrap().unwrap();
    books.mark(&made).unwrap();
    spend(&books, 3, 0.1);
    let to = enclave.dir.path().join("export");
    books.export(&to).unwrap();
    assert_eq!(verify_export(&to, None).unwrap().totals, books.budgets().unwrap());
    let books = enclave.reopen(books);
    assert!(!books.is_suspended());
}

#[test]
fn a_restored_copy_that_went_on_is_a_fork() {
    let (_enclave, books, known, _) = restored(None);
    for key in 10..20 {
        spend(&books, key, 0.01);
    }
    assert!(matches!(books.hold_against(&known).unwrap(), Held::Forked { .. }));
    assert!(books.is_suspended());
}

#[test]
fn without_a_limit_per_interval_a_restored_copy_has_nothing_left() {
    let (_enclave, books, known, _) = restored(None);
    books.hold_against(&known).unwrap();
    books.acknowledge(&who("ren"), Role::Auditor).unwrap();
    books.acknowledge(&who("mio"), Role::Operator).unwrap().unwrap();
    assert!(all_caps(&books).iter().all(|held| held.left() == 0.0));
    assert!(matches!(books.reserve(charge("P-1", pure(0.001)), question()), Err(Denied::Budget { .. })));
}

#[test]
fn between_two_checkpoints_no_more_than_the_share_is_charged() {
    let (_enclave, books) = Enclave::new();
    let books = books.charging_per_interval(Some(0.1));
    let mut taken = 0;
    let denied = loop {
        match books.reserve(charge("P-1", pure(0.1)), question()) {
            Ok(reservation) => {
                taken += 1;
                books.fail(reservation).unwrap();
            }
            Err(denied) => break denied,
        }
    };
    assert!(matches!(denied, Denied::Interval), "{denied:?}");
    assert!((7..=40).contains(&taken), "{taken} of 0.1 within a tenth of 8");
    // INVARIANT of restore.rs, for every account, whoever paid.
    let most = Cap::new(8.0, 1e-7).unwrap().share(0.1).unwrap();
    assert!(all_caps(&books).iter().all(|held| held.committed.at_most(&most)));
    let made = books.publish(minute(1)).unwrap().unwrap();
    assert!(
        matches!(books.reserve(charge("P-1", pure(0.1)), question()), Err(Denied::Interval)),
        "not known outside yet"
    );
    books.mark(&made).unwrap();
    assert!(books.reserve(charge("P-1", pure(0.1)), question()).is_ok());
}
