//! Is every question charged, once, whatever happens to it?

use std::sync::Barrier;

use super::*;

#[test]
fn crash_after_reserve_keeps_the_charge() {
    let (enclave, books) = Enclave::new();
    let reservation = books.reserve(charge("P-1", pure(0.5)), question()).unwrap();
    let admission = reservation.admission();
    assert_eq!(all_caps(&books)[0].reserved, pure(0.5));
    // The machine stops here: nobody releases or fails the reservation.
    drop(reservation);
    let books = enclave.reopen(books);
    for held in all_caps(&books) {
        assert_eq!((held.spent, held.reserved, held.committed), (pure(0.5), Loss::zero(), pure(0.5)));
    }
    let last = EntryNumber(books.size().unwrap() - 1);
    assert_eq!(body(&books, last)["kind"], "recovered");
    assert_eq!(body(&books, last)["ledger"], json!({"settles": admission.0}));
    let failures = books.failures(&permit_id("P-1"), &dataset()).unwrap();
    assert_eq!(failures, Failures { permit: 1, dataset: 1 });
    // And once only.
    let size = books.size().unwrap();
    assert_eq!(enclave.reopen(books).size().unwrap(), size);
}

#[test]
fn a_charge_is_durable_before_data_is_read() {
    let (enclave, books) = Enclave::new();
    let reservation = books.reserve(charge("P-1", pure(0.5)), question()).unwrap();
    // What another process finds in the file while this one still runs.
    let other = crate::store::meddle(&enclave.dir.path().join(FILE), enclave.keys.books().bytes());
    let committed: String =
        other.query_row("SELECT committed FROM caps WHERE name = 'population/jp'", [], |row| row.get(0)).unwrap();
    assert_eq!(serde_json::from_str::<Loss>(&committed).unwrap(), pure(0.5));
    let entries: i64 = other.query_row("SELECT count(*) FROM entries", [], |row| row.get(0)).unwrap();
    assert_eq!(u64::try_from(entries).unwrap(), reservation.admission().0 + 1);
    books.fail(reservation).unwrap();
}

#[test]
fn a_copy_of_the_files_taken_between_the_two_steps_keeps_the_charge() {
    let (enclave, books) = Enclave::new();
    let reservation = books.reserve(charge("P-1", pure(0.5)), question()).unwrap();
    // What the disk holds if power fails now: database and write-ahead log, no clean closing.
    let copy = tempfile::tempdir().unwrap();
    for file in ["books.db", "books.db-wal"] {
        std::fs::copy(enclave.dir.path().join(file), copy.path().join(file)).unwrap();
    }
    let recovered = Books::open(copy.path(), &enclave.keys, enclave.clock()).unwrap();
    assert_eq!(all_caps(&recovered)[0].spent, pure(0.5));
    let _ = books.release(reservation, answer(1, 20.0)).unwrap();
}

#[test]
fn a_release_settles_records_and_keeps_in_one_step() {
    let (enclave, books) = Enclave::new();
    let reservation = books.reserve(charge("P-1", pure(0.5)), question()).unwrap();
    let admission = reservation.admission();
    let receipt = books.release(reservation, answer(1, 20.0)).unwrap();
    let books = enclave.reopen(books);
    for held in all_caps(&books) {
        assert_eq!((held.spent, held.reserved), (pure(0.5), Loss::zero()));
    }
    let release = body(&books, receipt.entry);
    assert_eq!(release["kind"], "release");
    assert_eq!(release["ledger"], json!({"settles": admission.0}));
    assert_eq!(release["detail"]["answer_sha256"], crate::audit::to_hex(&answer(1, 20.0).answer_sha256));
    assert_eq!(release["detail"]["question"]["sql"], question().sql);
    assert!(books.kept(&[1; 32], &permit_id("P-1"), |_, _| true).unwrap().is_some());
    assert!(!kinds(&books).contains(&"recovered".to_owned()));
}

#[test]
fn a_release_that_cannot_be_recorded_leaves_the_charge_and_keeps_nothing() {
    let (enclave, books) = Enclave::new();
    let reservation = books.reserve(charge("P-1", pure(0.5)), question()).unwrap();
    let wrong = Released { answer_sha256: [0; 32], ..answer(1, 20.0) };
    assert!(matches!(books.release(reservation, wrong), Err(BooksFault::Mismatch(_))));
    assert!(books.kept(&[1; 32], &permit_id("P-1"), |_, _| true).unwrap().is_none());
    assert_eq!(all_caps(&books)[0].committed, pure(0.5));
    let books = enclave.reopen(books);
    assert_eq!(all_caps(&books)[0].spent, pure(0.5));
}

#[test]
fn a_failure_keeps_the_charge_and_is_counted() {
    let (_enclave, books) = Enclave::new();
    let reservation = books.reserve(charge("P-1", pure(0.5)), question()).unwrap();
    let entry = books.fail(reservation).unwrap();
    assert_eq!(body(&books, entry)["kind"], "failure");
    assert_eq!(all_caps(&books)[0].spent, pure(0.5));
    let counted = |id| books.failures(&permit_id(id), &dataset()).unwrap();
    assert_eq!(counted("P-1"), Failures { permit: 1, dataset: 1 });
    assert_eq!(counted("P-2"), Failures { permit: 0, dataset: 1 });
}

#[test]
fn a_refusal_for_the_budget_writes_nothing() {
    let (_enclave, books) = Enclave::with_cap(Cap::new(1.0, 1e-7).unwrap());
    let _kept = books.reserve(charge("P-1", pure(0.75)), question()).unwrap();
    let (before, size) = (books.budgets().unwrap(), books.size().unwrap());
    match books.reserve(charge("P-1", pure(0.5)), question()) {
        Err(Denied::Budget { left }) => assert!((left - 0.25).abs() < 1e-6, "{left}"),
        other => panic!("{other:?}"),
    }
    assert_eq!((books.budgets().unwrap(), books.size().unwrap()), (before, size));
}

#[test]
fn a_second_permit_meets_the_cap_of_the_data_set() {
    let (_enclave, books) = Enclave::with_cap(Cap::new(1.0, 1e-7).unwrap());
    let _one = books.reserve(charge("P-1", pure(0.75)), question()).unwrap();
    assert!(matches!(books.reserve(charge("P-2", pure(0.5)), question()), Err(Denied::Budget { .. })));
    assert!(books.reserve(charge("P-2", pure(0.2)), question()).is_ok());
}

#[test]
fn a_thousand_at_once_against_a_budget_for_a_hundred_are_exactly_a_hundred() {
    // Each takes a little more than a hundred-and-first of the eighth of δ that thresholds may use.
    let loss = pure(1e-6).with_delta(1.247e-10).unwrap();
    let cap = Cap::new(8.0, 1e-7).unwrap();
    let fits = (0..1000).scan(Loss::zero(), |total, _| {
        *total = total.plus(&loss).unwrap();
        cap.admits(total).then_some(())
    });
    assert_eq!(fits.count(), 100, "a budget for a hundred");
    let (enclave, books) = Enclave::with_cap(cap);
    let start = Barrier::new(1000);
    let taken: Vec<Reservation> = std::thread::scope(|scope| {
        let ask = |n: u32| {
            let (books, start, loss) = (&books, &start, loss.clone());
            move || {
                start.wait();
                let asker = if n.is_multiple_of(2) { "hanako" } else { "taro" };
                let charge = Charge { account: who(asker), ..charge("P-1", loss) };
                match books.reserve(charge, question()) {
                    Ok(reservation) => Some(reservation),
                    Err(Denied::Budget { .. }) => None,
                    Err(other) => panic!("{other}"),
                }
            }
        };
        let spawn = |n| std::thread::Builder::new().stack_size(512 * 1024).spawn_scoped(scope, ask(n)).unwrap();
        let asking: Vec<_> = (0..1000).map(spawn).collect();
        asking.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(taken.len(), 100);
    let admissions: BTreeSet<EntryNumber> = taken.iter().map(Reservation::admission).collect();
    assert_eq!(admissions.len(), 100);
    assert_eq!(books.budgets().unwrap().open.len(), 100);
    let (first, rest) = {
        let mut taken = taken.into_iter();
        (taken.next().unwrap(), taken)
    };
    let _ = books.release(first, answer(1, 1.0)).unwrap();
    drop(rest);
    let books = enclave.reopen(books);
    let held = held(&books, CapName::Permit(permit_id("P-1")));
    let hundred = (0..100).fold(Loss::zero(), |total, _| total.plus(&loss).unwrap());
    assert_eq!((held.spent, held.reserved), (hundred, Loss::zero()));
    assert_eq!(kinds(&books).iter().filter(|kind| *kind == "recovered").count(), 99);
}

#[test]
fn a_charge_must_belong_to_its_permit_data_set_population_and_purpose() {
    let (_enclave, books) = Enclave::new();
    let other = PopulationName::new("elsewhere").unwrap();
    let data = DatasetName::new("other").unwrap();
    let cap = Cap::new(8.0, 1e-7).unwrap();
    books.declare_caps(&other, cap, &data, cap).unwrap();
    let size = books.size().unwrap();
    let good = charge("P-1", pure(0.1));
    for bad in [Charge { population: other, ..good.clone() }, Charge { dataset: data, ..good.clone() }] {
        let denied = books.reserve(bad, question());
        assert!(matches!(denied, Err(Denied::Fault(BooksFault::Mismatch(_)))), "{denied:?}");
    }
    let purpose = PurposeCode::new("something-else").unwrap();
    let denied = books.reserve(good.clone(), Admission { purpose, ..question() });
    assert!(matches!(denied, Err(Denied::Fault(BooksFault::Mismatch(_)))), "{denied:?}");
    for bad in [Charge { permit: permit_id("P-9"), ..good.clone() }, Charge { account: who("review"), ..good }] {
        assert!(matches!(books.reserve(bad, question()), Err(Denied::PermitNotActive)));
    }
    assert_eq!(books.size().unwrap(), size);
}

#[test]
fn any_order_of_events_and_crashes_leaves_books_that_add_up_and_never_pass_a_cap() {
    for seed in 1..=12 {
        let (enclave, mut books) = Enclave::with_cap(Cap::new(1.0, 1e-7).unwrap());
        let mut dice = Dice(seed);
        let mut open = Vec::new();
        let mut charged = Loss::zero();
        for _ in 0..40 {
            match dice.below(10) {
                0..5 => {
                    let id = if dice.below(2) == 0 { "P-1" } else { "P-2" };
                    let kinds =
                        [pure(0.05), pure(0.2), Loss::concentrated(0.001).unwrap(), Loss::gaussian(0.002).unwrap()];
                    let loss = kinds[dice.below(4) as usize].clone();
                    if let Ok(reservation) = books.reserve(charge(id, loss.clone()), question()) {
                        charged = charged.plus(&loss).unwrap();
                        open.push(reservation);
                    }
                }
                5..8 if !open.is_empty() => {
                    let reservation = open.swap_remove(dice.below(open.len() as u64) as usize);
                    let key = u8::try_from(dice.below(200)).unwrap();
                    let _ = books.release(reservation, answer(key, 1.0)).unwrap();
                }
                8 if !open.is_empty() => {
                    let reservation = open.swap_remove(dice.below(open.len() as u64) as usize);
                    books.fail(reservation).unwrap();
                }
                9 => {
                    open.clear();
                    books = enclave.reopen(books);
                }
                _ => {}
            }
            let held = held(&books, CapName::Population(population()));
            assert_eq!(held.committed, charged, "seed {seed}");
            assert_eq!(held.spent.plus(&held.reserved).unwrap(), charged, "seed {seed}");
            assert!(held.cap.admits(&charged), "seed {seed}");
        }
        let to = enclave.dir.path().join("export");
        books.export(&to).unwrap();
        let verified = verify_export(&to, Some(&books.verifier())).unwrap();
        assert_eq!(verified.totals, books.budgets().unwrap(), "seed {seed}");
        assert_eq!(verified.totals.open.len(), open.len(), "seed {seed}");
    }
}

#[test]
fn charges_asked_for_at_once_never_overspend() {
    let charges: u64 = std::env::var("SEKISHO_CHARGES").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    // Two permits share the population; each takes what its share of the eighth of delta bears, 700 in all and 450 in one.
    let loss = pure(1e-6).with_delta(1.25e-8 / 700.5).unwrap();
    let (wide, narrow) = (Cap::new(8.0, 1e-7).unwrap(), Cap::new(8.0, 1e-7 * 450.2 / 700.5).unwrap());
    let fits = |cap: Cap| {
        let totals = (0..charges).scan(Loss::zero(), |total, _| {
            *total = total.plus(&loss).unwrap();
            cap.admits(total).then_some(())
        });
        totals.count() as u64
    };
    assert_eq!((fits(wide), fits(narrow)), (700.min(charges), 450.min(charges)));
    let (enclave, books) = Enclave::with_cap(wide);
    for id in ["P-3", "P-4"] {
        books.grant_permit(&who("review"), permit(id, narrow)).unwrap();
    }
    let threads = 64;
    let (taken, begun) = (std::sync::atomic::AtomicU64::new(0), std::time::Instant::now());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (books, loss, taken) = (&books, &loss, &taken);
            let ask = move || {
                for n in (thread..charges).step_by(usize::try_from(threads).unwrap()) {
                    let asker = if n % 3 == 0 { "hanako" } else { "taro" };
                    let id = if (n / 7) % 2 == 0 { "P-3" } else { "P-4" };
                    let charge = Charge { account: who(asker), ..charge(id, loss.clone()) };
                    match books.reserve(charge, question()) {
                        Ok(reservation) => {
                            taken.fetch_add(1, Ordering::Relaxed);
                            books.fail(reservation).unwrap();
                        }
                        Err(Denied::Budget { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            };
            std::thread::Builder::new().stack_size(512 * 1024).spawn_scoped(scope, ask).unwrap();
        }
    });
    let taken = taken.into_inner();
    let seconds = begun.elapsed().as_secs_f64();
    say(&format!("{charges} charges asked for by {threads} threads in {seconds:.1} s: {taken} taken, 0 overspent"));
    assert_eq!(taken, 700.min(charges), "exactly what the population bears");
    let all = (0..taken).fold(Loss::zero(), |total, _| total.plus(&loss).unwrap());
    assert_eq!(held(&books, CapName::Population(population())).committed, all);
    for id in ["P-3", "P-4"] {
        let held = held(&books, CapName::Permit(permit_id(id)));
        assert!(held.cap.admits(&held.committed), "{id}");
    }
    let books = enclave.reopen(books);
    let to = enclave.dir.path().join("export");
    books.export(&to).unwrap();
    assert_eq!(verify_export(&to, None).unwrap().charges, taken);
}
