//! Does any interleaving of any callers ever pass any cap?
//!
//! Random histories of several callers over caps that nest three ways: each reserves and later settles, caps are tightened
//! and loosened in between, now and then everything crashes. A second ledger, in a few lines of plain sums, says after
//! every move what must be so.

use std::{collections::BTreeMap, io::Write};

use rusqlite::Connection;

use super::*;
use crate::terms::{AccountName, DatasetName, PermitId, PopulationName};

struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % 1_000_003).unwrap() % sides
    }

    fn loss(&mut self) -> Loss {
        let size = [0.002, 0.03, 0.2, 0.7][self.below(4)];
        let loss = match self.below(4) {
            0 => Loss::pure(size).unwrap(),
            1 => Loss::gaussian(size * size / 8.0).unwrap(),
            2 => Loss::concentrated(size * size / 8.0).unwrap(),
            _ => Loss::pure(size / 2.0).unwrap().with_delta(1e-9).unwrap(),
        };
        if self.below(400) == 0 { Loss::concentrated(8e6).unwrap() } else { loss }
    }

    fn cap(&mut self) -> Cap {
        let epsilon = [0.3, 1.0, 2.0, 8.0][self.below(4)];
        Cap::new(epsilon, [1e-8, 1e-7, 1e-6][self.below(3)]).unwrap()
    }

    /// Four permits over three data sets of two populations, for three analysts.
    fn charge(&mut self) -> Charge {
        let permit = self.below(4);
        let dataset = permit % 3;
        Charge {
            account: AccountName::new(["aki", "ben", "chie"][self.below(3)]).unwrap(),
            permit: PermitId::new(format!("P-{permit}")).unwrap(),
            dataset: DatasetName::new(["one", "two", "three"][dataset]).unwrap(),
            population: PopulationName::new(["east", "east", "west"][dataset]).unwrap(),
            loss: self.loss(),
            draws: 1,
        }
    }
}

/// The plain sums.
#[derive(Default)]
struct Sums {
    caps: BTreeMap<CapName, (Cap, Loss)>,
}

impl Sums {
    /// What is sold again is refused where a fresh answer would be: all four caps count.
    fn bears(&self, charge: &Charge) -> bool {
        charge.caps().iter().all(|name| {
            let (cap, committed) = &self.caps[name];
            committed.plus(&charge.loss).is_ok_and(|total| cap.admits(&total))
        })
    }

    fn take(&mut self, charge: &Charge, scope: Scope) {
        for name in scope.caps(charge) {
            let (_, committed) = self.caps.get_mut(&name).unwrap();
            *committed = committed.plus(&charge.loss).unwrap();
        }
    }
}

#[derive(Default)]
struct Seen {
    moves: u64,
    taken: u64,
    refused: u64,
    crashes: u64,
}

fn history(connection: &Connection, seed: u64, seen: &mut Seen) {
    let (mut dice, mut sums, mut replay) = (Dice(seed), Sums::default(), Replay::default());
    let mut entry = 0;
    let declare_one = |sums: &mut Sums, replay: &mut Replay, entry: &mut u64, name: CapName, cap: Cap| {
        declare(connection, &name, cap).unwrap();
        replay.apply(EntryNumber(*entry), &Effect::Declares(vec![Declared::new(&name, cap)])).unwrap();
        sums.caps.entry(name).or_insert_with(|| (cap, Loss::zero())).0 = cap;
        *entry += 1;
    };
    for permit in 0..4 {
        for account in ["aki", "ben", "chie"] {
            let mut charge = Dice(1).charge();
            charge.permit = PermitId::new(format!("P-{permit}")).unwrap();
            charge.account = AccountName::new(account).unwrap();
            charge.dataset = DatasetName::new(["one", "two", "three"][permit % 3]).unwrap();
            charge.population = PopulationName::new(["east", "east", "west"][permit % 3]).unwrap();
            for name in charge.caps() {
                if !sums.caps.contains_key(&name) {
                    let cap = dice.cap();
                    declare_one(&mut sums, &mut replay, &mut entry, name, cap);
                }
            }
        }
    }
    // What each caller has reserved and not yet settled.
    let mut callers: Vec<Option<EntryNumber>> = vec![None; 2 + dice.below(14)];
    for _ in 0..50 {
        seen.moves += 1;
        let caller = dice.below(callers.len());
        match (callers[caller], dice.below(40)) {
            (_, 0) => {
                let name = sums.caps.keys().nth(dice.below(sums.caps.len())).unwrap().clone();
                let cap = dice.cap();
                declare_one(&mut sums, &mut replay, &mut entry, name, cap);
            }
            (_, 1) => {
                for (admission, _) in open_reservations(connection).unwrap() {
                    settle(connection, admission, Ending::Recovered).unwrap();
                    replay.apply(EntryNumber(entry), &Effect::Settles(admission.0)).unwrap();
                    entry += 1;
                }
                callers.fill(None);
                seen.crashes += 1;
            }
            (Some(admission), dice) => {
                let ending = if dice % 3 == 0 { Ending::Failed } else { Ending::Released };
                settle(connection, admission, ending).unwrap();
                replay.apply(EntryNumber(entry), &Effect::Settles(admission.0)).unwrap();
                entry += 1;
                callers[caller] = None;
            }
            (None, sold) => {
                let charge = dice.charge();
                let scope = if sold % 5 == 0 { Scope::Again } else { Scope::Fresh };
                let bears = sums.bears(&charge);
                match reserve(connection, EntryNumber(entry), &charge, scope).unwrap() {
                    Asked::Taken => {
                        assert!(bears, "seed {seed}: a charge that passes a cap was taken");
                        sums.take(&charge, scope);
                        let from = scope.caps(&charge).iter().map(cap_text).collect();
                        replay.apply(EntryNumber(entry), &Effect::Takes { loss: charge.loss, from }).unwrap();
                        callers[caller] = Some(EntryNumber(entry));
                        entry += 1;
                        seen.taken += 1;
                    }
                    Asked::Refused { left } => {
                        assert!(!bears, "seed {seed}: a charge that fits was refused");
                        assert!(left.is_finite() && left >= 0.0);
                        seen.refused += 1;
                    }
                }
            }
        }
    }
    for (name, (cap, committed)) in &sums.caps {
        let held = balance(connection, name).unwrap().unwrap();
        assert_eq!((&held.cap, &held.committed), (cap, committed), "seed {seed}: {name}");
    }
    let totals = totals(connection).unwrap();
    assert_eq!(totals, replay.totals().unwrap(), "seed {seed}: the entries alone add up to the same");
    for line in &totals.caps {
        assert_eq!(line.spent.plus(&line.reserved).unwrap(), line.committed, "seed {seed}: {}", line.cap);
    }
}

#[test]
fn no_interleaving_of_any_callers_passes_any_cap() {
    let histories: u64 = std::env::var("SEKISHO_HISTORIES").ok().and_then(|n| n.parse().ok()).unwrap_or(3_000);
    let connection = Connection::open_in_memory().unwrap();
    connection.set_prepared_statement_cache_capacity(64);
    connection.execute_batch(SCHEMA).unwrap();
    let mut seen = Seen::default();
    for seed in 1..=histories {
        connection.execute_batch("SAVEPOINT history").unwrap();
        history(&connection, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), &mut seen);
        connection.execute_batch("ROLLBACK TO history; RELEASE history").unwrap();
    }
    let Seen { moves, taken, refused, crashes } = seen;
    let line = format!(
        "{histories} histories, {moves} moves: {taken} charges taken, {refused} refused, {crashes} crashes, 0 caps passed"
    );
    // Past the test harness's capture.
    let _ = writeln!(std::io::stderr(), "{line}");
    assert!(taken > histories * 5 && refused > histories * 2, "both happen often");
}
