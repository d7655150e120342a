//! Do caps nest, and does nothing ever flow back?

use rusqlite::Connection;

use super::*;
use crate::terms::{AccountName, DatasetName, PermitId, PopulationName};

fn books() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(SCHEMA).unwrap();
    connection
}

fn charge(loss: Loss) -> Charge {
    Charge {
        account: AccountName::new("hanako").unwrap(),
        permit: PermitId::new("P-1").unwrap(),
        dataset: DatasetName::new("demo").unwrap(),
        population: PopulationName::new("jp").unwrap(),
        loss,
        draws: 1,
    }
}

fn pure(epsilon: f64) -> Charge {
    charge(Loss::pure(epsilon).unwrap())
}

fn declare_all(connection: &Connection, epsilons: [f64; 4]) {
    for (name, epsilon) in pure(0.1).caps().iter().zip(epsilons) {
        declare(connection, name, Cap::new(epsilon, 1e-9).unwrap()).unwrap();
    }
}

fn figures(connection: &Connection) -> Vec<Balance> {
    pure(0.1).caps().iter().map(|name| balance(connection, name).unwrap().unwrap()).collect()
}

#[test]
fn a_charge_is_taken_from_every_cap() {
    let c = books();
    declare_all(&c, [4.0, 3.0, 2.0, 1.0]);
    assert_eq!(reserve(&c, EntryNumber(7), &pure(0.5), Scope::Fresh).unwrap(), Asked::Taken);
    let loss = Loss::pure(0.5).unwrap();
    for held in figures(&c) {
        assert_eq!((held.reserved, held.spent, held.committed), (loss.clone(), Loss::zero(), loss.clone()));
    }
    settle(&c, EntryNumber(7), Ending::Released).unwrap();
    for held in figures(&c) {
        assert_eq!((held.reserved, held.spent, held.committed), (Loss::zero(), loss.clone(), loss.clone()));
    }
}

#[test]
fn whichever_cap_refuses_nothing_is_taken_from_any() {
    for refusing in 0..4 {
        let c = books();
        let mut epsilons = [9.0; 4];
        epsilons[refusing] = 0.4;
        declare_all(&c, epsilons);
        let before = figures(&c);
        let asked = reserve(&c, EntryNumber(1), &pure(0.5), Scope::Fresh).unwrap();
        let Asked::Refused { left } = asked else { panic!("cap {refusing} did not refuse") };
        assert!((left - 0.4).abs() < 1e-6, "cap {refusing} leaves {left}");
        assert_eq!(figures(&c), before);
        assert_eq!(open_reservations(&c).unwrap(), []);
        assert!(matches!(settle(&c, EntryNumber(1), Ending::Failed), Err(LedgerFault::NotOpen { .. })));
    }
}

#[test]
fn an_analyst_refused_by_the_own_permit_reads_what_the_permit_leaves() {
    let c = books();
    // The population has less left than the permit, but it is not what refuses here: both do.
    declare_all(&c, [0.3, 9.0, 9.0, 0.4]);
    let Asked::Refused { left } = reserve(&c, EntryNumber(1), &pure(0.5), Scope::Fresh).unwrap() else { panic!() };
    assert!((left - 0.3).abs() < 1e-6, "a wider cap refuses, too: the least of all, {left}");
    let Asked::Refused { left } = reserve(&c, EntryNumber(1), &pure(0.5), Scope::Again).unwrap() else { panic!() };
    assert!((left - 0.3).abs() < 1e-6, "as for a fresh answer: {left}");
}

#[test]
fn an_answer_is_sold_again_where_a_fresh_one_would_be() {
    for wide in 0..4 {
        let c = books();
        let mut caps = [9.0; 4];
        caps[wide] = 0.3;
        declare_all(&c, caps);
        let [again, fresh] =
            [Scope::Again, Scope::Fresh].map(|scope| reserve(&c, EntryNumber(1), &pure(0.5), scope).unwrap());
        assert_eq!(again, fresh, "cap {wide}: what is denied tells nobody whether it was asked before");
        assert!(matches!(again, Asked::Refused { .. }));
        assert!(figures(&c).iter().all(|held| held.committed == Loss::zero()));
    }
}

#[test]
fn an_answer_sold_again_costs_population_and_data_set_nothing() {
    let c = books();
    declare_all(&c, [1.0; 4]);
    assert_eq!(reserve(&c, EntryNumber(1), &pure(0.5), Scope::Again).unwrap(), Asked::Taken);
    settle(&c, EntryNumber(1), Ending::Released).unwrap();
    let spent: Vec<bool> = figures(&c).iter().map(|held| held.spent != Loss::zero()).collect();
    assert_eq!(spent, [false, false, true, true]);
}

#[test]
fn a_reservation_is_settled_once() {
    let c = books();
    declare_all(&c, [1.0; 4]);
    reserve(&c, EntryNumber(1), &pure(0.1), Scope::Fresh).unwrap();
    settle(&c, EntryNumber(1), Ending::Failed).unwrap();
    let before = figures(&c);
    assert!(matches!(settle(&c, EntryNumber(1), Ending::Released), Err(LedgerFault::NotOpen { .. })));
    assert_eq!(figures(&c), before);
    assert!(c.execute("UPDATE reservations SET ending = NULL", []).is_err());
    assert!(c.execute("DELETE FROM reservations", []).is_err());
    assert!(c.execute("DELETE FROM caps", []).is_err());
}

#[test]
fn a_new_figure_never_renews_what_was_spent() {
    let c = books();
    declare_all(&c, [1.0; 4]);
    reserve(&c, EntryNumber(1), &pure(0.9), Scope::Fresh).unwrap();
    let name = CapName::Population(PopulationName::new("jp").unwrap());
    let figure = |epsilon| Cap::new(epsilon, 1e-9).unwrap();
    assert_eq!(declare(&c, &name, figure(1.0)).unwrap(), Change::Same);
    assert_eq!(declare(&c, &name, figure(0.5)).unwrap(), Change::From(figure(1.0)));
    let held = balance(&c, &name).unwrap().unwrap();
    assert_eq!(held.committed, Loss::pure(0.9).unwrap());
    assert_eq!(held.left().to_bits(), 0.0_f64.to_bits());
}

#[test]
fn a_cap_that_nobody_declared_bears_nothing() {
    let c = books();
    assert!(matches!(
        reserve(&c, EntryNumber(1), &pure(0.1), Scope::Fresh),
        Err(LedgerFault::NotDeclared { cap: CapName::Population(_) })
    ));
}

#[test]
fn a_loss_beyond_the_integers_is_refused_and_not_wrapped() {
    let c = books();
    declare_all(&c, [1000.0; 4]);
    let huge = charge(Loss::concentrated(8e6).unwrap());
    for _ in 0..3 {
        assert!(matches!(reserve(&c, EntryNumber(1), &huge, Scope::Fresh), Ok(Asked::Refused { .. })));
    }
    assert_eq!(figures(&c)[0].committed, Loss::zero());
}

#[test]
fn the_entries_alone_give_the_same_totals() {
    let c = books();
    let mut replay = Replay::default();
    declare_all(&c, [3.0, 3.0, 2.0, 1.0]);
    let cap = |epsilon| Cap::new(epsilon, 1e-9).unwrap();
    let declared = pure(0.1).caps().iter().zip([3.0, 3.0, 2.0, 1.0]).map(|(n, e)| Declared::new(n, cap(e))).collect();
    replay.apply(EntryNumber(0), &Effect::Declares(declared)).unwrap();
    for (n, scope) in [(1, Scope::Fresh), (2, Scope::Again), (3, Scope::Fresh)] {
        let charge = pure(0.1);
        reserve(&c, EntryNumber(n), &charge, scope).unwrap();
        let from = scope.caps(&charge).iter().map(cap_text).collect();
        replay.apply(EntryNumber(n), &Effect::Takes { loss: charge.loss, from }).unwrap();
    }
    settle(&c, EntryNumber(2), Ending::Released).unwrap();
    replay.apply(EntryNumber(4), &Effect::Settles(2)).unwrap();
    assert_eq!(totals(&c).unwrap(), replay.totals().unwrap());
    assert_eq!(totals(&c).unwrap().open, [1, 3]);
}

#[test]
fn entries_that_cannot_be_are_named() {
    let taking = |from: &[&str]| Effect::Takes {
        loss: Loss::pure(0.6).unwrap(),
        from: from.iter().map(|&name| name.to_owned()).collect(),
    };
    let mut replay = Replay::default();
    let name = CapName::Permit(PermitId::new("P-1").unwrap());
    let declares = Effect::Declares(vec![Declared::new(&name, Cap::new(1.0, 1e-9).unwrap())]);
    replay.apply(EntryNumber(0), &declares).unwrap();
    let mut faulty = |n, effect: &Effect| replay.apply(EntryNumber(n), effect).unwrap_err();
    assert!(matches!(faulty(1, &taking(&[])), ReplayFault::BadScope(_)));
    assert!(matches!(faulty(1, &taking(&["permit/P-1", "permit/P-1"])), ReplayFault::BadScope(_)));
    assert!(matches!(faulty(1, &taking(&["permit/P-2"])), ReplayFault::NotDeclared { .. }));
    assert!(matches!(faulty(1, &Effect::Settles(0)), ReplayFault::NotOpen { .. }));
    replay.apply(EntryNumber(1), &taking(&["permit/P-1"])).unwrap();
    replay.apply(EntryNumber(2), &Effect::Settles(1)).unwrap();
    let mut faulty = |n, effect: &Effect| replay.apply(EntryNumber(n), effect).unwrap_err();
    assert!(matches!(faulty(3, &Effect::Settles(1)), ReplayFault::NotOpen { .. }));
    assert!(matches!(faulty(3, &taking(&["permit/P-1"])), ReplayFault::Passed { .. }));
    let other_spelling = Declared { cap: "permit/P-1".into(), epsilon: "1.0".into(), delta: "0.000000001".into() };
    assert!(matches!(faulty(4, &Effect::Declares(vec![other_spelling])), ReplayFault::NotACap(_)));
}

/// As books, entries and exports were written before losses had a Gaussian coordinate.
fn as_before(text: &str) -> String {
    let (before, after) = text.split_once(",\"gaussian_picos\":").unwrap();
    format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
}

#[test]
fn books_from_before_the_gaussian_coordinate_go_on_with_the_orders_and_replay_alike() {
    let c = books();
    declare_all(&c, [8.0, 8.0, 8.0, 1.0]);
    let cap = |epsilon| Cap::new(epsilon, 1e-9).unwrap();
    let declared = pure(0.1).caps().iter().zip([8.0, 8.0, 8.0, 1.0]).map(|(n, e)| Declared::new(n, cap(e))).collect();
    let mut replay = Replay::default();
    replay.apply(EntryNumber(0), &Effect::Declares(declared)).unwrap();
    let taking =
        |loss: Loss| Effect::Takes { loss, from: Scope::Fresh.caps(&pure(0.1)).iter().map(cap_text).collect() };
    // One question of before, settled, and one still open when the program was replaced.
    for n in [1, 2] {
        assert_eq!(reserve(&c, EntryNumber(n), &pure(0.1), Scope::Fresh).unwrap(), Asked::Taken);
        let effect = as_before(&serde_json::to_string(&taking(Loss::pure(0.1).unwrap())).unwrap());
        replay.apply(EntryNumber(n), &serde_json::from_str(&effect).unwrap()).unwrap();
    }
    settle(&c, EntryNumber(1), Ending::Released).unwrap();
    replay.apply(EntryNumber(3), &Effect::Settles(1)).unwrap();
    for table in ["UPDATE caps SET committed = ?2 WHERE committed = ?1", "UPDATE caps SET spent = ?2 WHERE spent = ?1"]
    {
        let column = if table.contains("committed") { "committed" } else { "spent" };
        let now: String = c.query_row(&format!("SELECT {column} FROM caps LIMIT 1"), [], |row| row.get(0)).unwrap();
        assert_eq!(c.execute(table, [&now, &as_before(&now)]).unwrap(), 4);
    }
    let charge_now: String =
        c.query_row("SELECT charge FROM reservations WHERE ending IS NULL", [], |row| row.get(0)).unwrap();
    c.execute("UPDATE reservations SET charge = ?1 WHERE ending IS NULL", [as_before(&charge_now)]).unwrap();

    assert_eq!(totals(&c).unwrap(), replay.totals().unwrap());
    let text = serde_json::to_string(&totals(&c).unwrap()).unwrap();
    assert!(!text.contains("gaussian_picos"), "what was signed reads the same: {text}");
    // It goes on: nothing finite is known as a Gaussian, and the orders bear what they bore.
    let gaussian = charge(Loss::gaussian(1e-4).unwrap());
    reserve(&c, EntryNumber(4), &gaussian, Scope::Fresh).unwrap();
    replay.apply(EntryNumber(4), &taking(gaussian.loss)).unwrap();
    for n in [2, 4] {
        settle(&c, EntryNumber(n), Ending::Released).unwrap();
        replay.apply(EntryNumber(n + 10), &Effect::Settles(n)).unwrap();
    }
    assert_eq!(totals(&c).unwrap(), replay.totals().unwrap());
    for held in figures(&c) {
        assert!(held.committed.at(crate::terms::GAUSSIAN).is_infinite() && held.cap.admits(&held.committed));
        assert!(2.0 * Loss::pure(0.1).unwrap().at(4) < held.committed.at(4), "nothing was forgotten");
    }
}

#[test]
fn an_export_that_was_filled_under_halves_of_delta_verifies_and_takes_no_more() {
    let cap = Cap::new(1.0, 1e-6).unwrap();
    let name = CapName::Permit(PermitId::new("P-1").unwrap());
    let mut replay = Replay::default();
    replay.apply(EntryNumber(0), &Effect::Declares(vec![Declared::new(&name, cap)])).unwrap();
    let taking = |loss: Loss| Effect::Takes { loss, from: vec![cap_text(&name)] };
    // Two thresholds that took nine tenths of the half of δ that was theirs.
    for n in [1, 2] {
        let now = taking(Loss::pure(0.1).unwrap().with_delta(2.25e-7).unwrap());
        let before = as_before(&serde_json::to_string(&now).unwrap());
        if n == 1 {
            let mut fresh = Replay::default();
            fresh.apply(EntryNumber(0), &Effect::Declares(vec![Declared::new(&name, cap)])).unwrap();
            assert!(
                matches!(fresh.apply(EntryNumber(n), &now), Err(ReplayFault::Passed { .. })),
                "not by today's rule"
            );
        }
        replay.apply(EntryNumber(n), &serde_json::from_str(&before).unwrap()).unwrap();
    }
    let more = taking(Loss::pure(0.001).unwrap());
    assert!(matches!(replay.apply(EntryNumber(3), &more), Err(ReplayFault::Passed { .. })));
}
