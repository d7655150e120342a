//! Who pays for an answer that was given before?

use super::*;

fn bought(books: &Books, id: &str, key: u8, half_width: f64) -> Receipt {
    let reservation = books.reserve(charge(id, pure(0.25)), question()).unwrap();
    books.release(reservation, answer(key, half_width)).unwrap()
}

#[test]
fn within_the_permit_the_same_question_gets_the_same_bytes_for_nothing() {
    let (enclave, books) = Enclave::new();
    let receipt = bought(&books, "P-1", 1, 20.0);
    let books = enclave.reopen(books);
    let before = books.budgets().unwrap();
    let kept = books.kept(&[1; 32], &permit_id("P-1"), |_, _| true).unwrap().unwrap();
    assert_eq!((kept.answer.clone(), &kept.bought_by), (answer(1, 20.0).answer_ipc, &permit_id("P-1")));
    let again = books.serve_kept(charge("P-1", pure(0.25)), question(), &kept).unwrap();
    assert_eq!(again, receipt);
    assert_eq!(books.budgets().unwrap(), before);
    assert_eq!(kinds(&books).last().unwrap(), "kept_served");
}

#[test]
fn another_permit_pays_its_own_caps_and_is_not_told() {
    let (_enclave, books) = Enclave::new();
    let first = bought(&books, "P-1", 1, 20.0);
    let wide = held(&books, CapName::Population(population()));
    let kept = books.kept(&[1; 32], &permit_id("P-2"), |_, _| true).unwrap().unwrap();
    assert_eq!((&kept.bought_by, &kept.receipt), (&permit_id("P-1"), &None));
    let receipt = books.serve_kept(charge("P-2", pure(0.25)), question(), &kept).unwrap();
    assert_eq!(held(&books, CapName::Population(population())), wide);
    assert_eq!(held(&books, CapName::Dataset(dataset())).spent, wide.spent);
    assert_eq!(held(&books, CapName::Permit(permit_id("P-2"))).spent, pure(0.25));
    assert_eq!(held(&books, CapName::Analyst(permit_id("P-2"), who("hanako"))).spent, pure(0.25));
    // Its receipt reads as that of a fresh answer: but for numbers, time and permit the two entries are the same text.
    assert_eq!(receipt.verify(&books.verifier()), Ok(()));
    let shape = |receipt: &Receipt| {
        let mut body = body(&books, receipt.entry);
        for varying in ["entry", "at", "permit", "ledger"] {
            body[varying] = json!(null);
        }
        body
    };
    assert_eq!(shape(&receipt), shape(&first));
    // From now on it is that permit's own.
    let kept = books.kept(&[1; 32], &permit_id("P-2"), |_, _| true).unwrap().unwrap();
    assert_eq!((kept.bought_by, kept.receipt), (permit_id("P-2"), Some(receipt)));
}

#[test]
fn another_permit_without_budget_is_refused_as_for_a_fresh_answer() {
    let (_enclave, books) = Enclave::new();
    bought(&books, "P-1", 1, 20.0);
    let kept = books.kept(&[1; 32], &permit_id("P-2"), |_, _| true).unwrap().unwrap();
    let denied = books.serve_kept(charge("P-2", pure(9.0)), question(), &kept);
    assert!(matches!(denied, Err(Denied::Budget { .. })), "{denied:?}");
    books.revoke_permit(&who("review"), &permit_id("P-1"), "over").unwrap();
    let own = books.kept(&[1; 32], &permit_id("P-1"), |_, _| true).unwrap().unwrap();
    let denied = books.serve_kept(charge("P-1", pure(0.1)), question(), &own);
    assert!(matches!(denied, Err(Denied::PermitNotActive)), "a revoked permit is served nothing: {denied:?}");
}

#[test]
fn only_an_answer_that_is_accurate_enough_serves() {
    let (_enclave, books) = Enclave::new();
    bought(&books, "P-1", 1, 20.0);
    let at_most = |most: f64| move |widths: &[f64], _: Bought<'_>| widths.iter().all(|width| *width <= most);
    let find = |id, most| books.kept(&[1; 32], &permit_id(id), at_most(most)).unwrap();
    assert!(find("P-1", 10.0).is_none());
    assert!(find("P-1", 20.0).is_some());
    assert!(books.kept(&[2; 32], &permit_id("P-1"), |_, _| true).unwrap().is_none());
    // As dear as asked for, for whoever bought it; for others by its mechanisms, word by word.
    let as_dear = |id, least: f64| {
        let enough = move |_: &[f64], bought: Bought<'_>| matches!(bought, Bought::Here(Some(had)) if had >= least);
        books.kept(&[1; 32], &permit_id(id), enough).unwrap().is_some()
    };
    assert!(as_dear("P-1", 0.05) && !as_dear("P-1", 0.06) && !as_dear("P-2", 0.05));
    let drawn = answer(1, 20.0).mechanisms.to_string();
    for (id, wanted, serves) in [("P-2", drawn.as_str(), true), ("P-2", "[]", false), ("P-1", drawn.as_str(), false)] {
        let same = |_: &[f64], bought: Bought<'_>| bought == Bought::Elsewhere(wanted);
        assert_eq!(books.kept(&[1; 32], &permit_id(id), same).unwrap().is_some(), serves, "{id} {wanted}");
    }
    // A finer one is bought by the other permit; it does not hide the own one, which is free.
    bought(&books, "P-2", 1, 5.0);
    assert_eq!(find("P-1", 20.0).unwrap().bought_by, permit_id("P-1"));
    let finer = find("P-1", 10.0).unwrap();
    assert_eq!((finer.bought_by, finer.half_widths), (permit_id("P-2"), vec![5.0]));
}

#[test]
fn a_failure_is_kept_as_the_answer_of_the_permit_that_paid_for_it_at_its_deadline() {
    let (enclave, books) = Enclave::new();
    let within = |ms: u32| Admission { settings: json!({"deadline_ms": ms}), ..question() };
    let failed =
        |books: &Books, deadline: Option<u32>, id| books.kept_failure(&[3; 32], deadline, &permit_id(id)).unwrap();
    assert_eq!(failed(&books, Some(250), "P-1"), None);
    let entry = books.fail(books.reserve(charge("P-1", pure(0.25)), within(250)).unwrap()).unwrap();
    let books = enclave.reopen(books);
    assert_eq!(failed(&books, Some(250), "P-1"), Some(entry));
    assert_eq!(books.kept_failure(&[4; 32], Some(250), &permit_id("P-1")).unwrap(), None, "another question");
    assert_eq!((failed(&books, Some(1_000), "P-1"), failed(&books, None, "P-1")), (None, None), "another deadline");
    assert_eq!(failed(&books, Some(250), "P-2"), None, "another permit has its own try");
    // Which it pays for in full, as for anything new.
    let wide = held(&books, CapName::Population(population()));
    let second = books.fail(books.reserve(charge("P-2", pure(0.25)), within(250)).unwrap()).unwrap();
    assert_ne!(held(&books, CapName::Population(population())), wide);
    assert_eq!((failed(&books, Some(250), "P-1"), failed(&books, Some(250), "P-2")), (Some(entry), Some(second)));
    assert_eq!(books.failures(&permit_id("P-2"), &dataset()).unwrap(), Failures { permit: 1, dataset: 2 });
    // Where answers leave at once there is no deadline to tell apart.
    let third = books.fail(books.reserve(charge("P-1", pure(0.25)), question()).unwrap()).unwrap();
    assert_eq!(failed(&books, None, "P-1"), Some(third));
}

#[test]
fn a_charge_for_what_was_answered_before_buys_nothing_new() {
    let (_enclave, books) = Enclave::new();
    bought(&books, "P-1", 1, 20.0);
    let kept = books.kept(&[1; 32], &permit_id("P-2"), |_, _| true).unwrap().unwrap();
    let cheap = books.reserve_for_kept(charge("P-2", pure(0.25)), question(), &kept).unwrap();
    assert!(cheap.paid().is_none());
    assert!(matches!(books.release(cheap, answer(2, 1.0)), Err(BooksFault::Mismatch(_))));
    let dear = books.reserve(charge("P-2", pure(0.25)), question()).unwrap();
    assert!(matches!(books.release_kept(dear, &kept), Err(BooksFault::Mismatch(_))));
    let own = books.kept(&[1; 32], &permit_id("P-1"), |_, _| true).unwrap().unwrap();
    assert!(books.reserve_for_kept(charge("P-1", pure(0.25)), question(), &own).is_err(), "it is free for this one");
}
