//! Does the attack judge a live gateway rightly?
//!
//! Nothing is broken as it is; and where more was spent than is claimed, it is found.
#![expect(clippy::print_stdout, reason = "the table is wanted by whoever reads the run")]

use std::collections::BTreeSet;

use sekisho::{
    attack::{
        self, Field, Finding, Plan, Verdict,
        field::{by_cell, look},
        guess::{by_learning, by_likelihood},
        measure::{Games, Spent},
        people::CELLS,
    },
    cli::serve,
};

fn plan(folder: &tempfile::TempDir, rows: impl Iterator<Item = u8>) -> Plan {
    Plan { rows: rows.collect(), directory: folder.path().join("enclaves"), short: true }
}

#[test]
fn the_short_form_finds_nothing_broken() {
    let folder = tempfile::tempdir().unwrap();
    let mut told = 0;
    let found = attack::run(&plan(&folder, 1..=44), &mut |one| {
        told += 1;
        println!("{:>2} {:<56} {} {}", one.row, attack::name_of(one.row), one.verdict, one.note);
    })
    .unwrap();
    assert_eq!(told, 44);
    assert_eq!(found.iter().map(|one| one.row).collect::<Vec<u8>>(), (1..=44).collect::<Vec<u8>>());
    let wrong: Vec<&Finding> =
        found.iter().filter(|one| matches!(one.verdict, Verdict::Broken | Verdict::NotRun)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // What this version does not have or does not close, by number: a further one needs a reason here.
    let of =
        |verdict: Verdict| found.iter().filter(|one| one.verdict == verdict).map(|one| one.row).collect::<Vec<u8>>();
    assert_eq!(of(Verdict::NotApplicable), [31, 42]);
    assert!(of(Verdict::Open).iter().all(|row| [10, 11, 38].contains(row)), "{:?}", of(Verdict::Open));
    // An attacker who never wins anything has not been tried: honest noise leaves something.
    let won = |row: u8| found.iter().find(|one| one.row == row).and_then(|one| one.advantage).unwrap();
    assert!(won(44) > 0.3 && won(30) > 0.15 && won(28) > 0.05, "{} {} {}", won(44), won(30), won(28));
}

/// Real answers of a real gateway, claimed to have cost a third of what they did; and fresh draws claimed to be one.
#[test]
fn answers_that_cost_more_than_is_claimed_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let made = Field::make(&plan(&folder, 1..=1), &BTreeSet::from([1])).unwrap();
    serve::runtime().unwrap().block_on(async {
        let mut field = made.open().await.unwrap();
        let eve = field.eve().await.unwrap();
        let (mut seen, mut answers) = (vec![vec![]; CELLS], vec![]);
        let answer = eve.ask_for(3.0, &by_cell("COUNT(*) AS n", "person p", "")).await.unwrap();
        look(&mut seen, &mut answers, &answer, "n", [2.0, 3.0]).unwrap();
        let guesses: Vec<bool> = seen.iter().map(|sights| by_likelihood(sights)).collect();
        let knowing = Games::of(&guesses, &field.secrets.targets);
        let numbers: Vec<Vec<f64>> = answer.by_cell("n").iter().map(|v| vec![v.unwrap()]).collect();
        let learning = by_learning(&numbers, &field.secrets.targets);
        let claimed = Spent { epsilon: 1.0, ..eve.spent().await.unwrap() };
        let spent = eve.spent().await.unwrap();
        for games in [knowing, learning] {
            assert_eq!(Finding::games("", games, claimed, "").verdict, Verdict::Broken, "{games:?}");
            assert_eq!(Finding::games("", games, spent, "").verdict, Verdict::Held, "{games:?}");
        }

        // Twelve different questions about the same people, claimed to have been one of them.
        let (mut seen, mut answers) = (vec![vec![]; CELLS], vec![]);
        for n in 0..12 {
            let sql = by_cell("COUNT(*) AS n", "person p", &format!("p.race_concept_id <> {}", 9_000 + n));
            look(&mut seen, &mut answers, &eve.ask_for(0.5, &sql).await.unwrap(), "n", [2.0, 3.0]).unwrap();
        }
        assert_eq!(answers.len(), 12, "each has its own draw");
        let guesses: Vec<bool> = seen.iter().map(|sights| by_likelihood(sights)).collect();
        let games = Games::of(&guesses, &field.secrets.targets);
        let claimed = Spent { epsilon: 0.5, delta: 1e-5 };
        assert_eq!(Finding::games("", games, claimed, "").verdict, Verdict::Broken, "{games:?}");
        field.close().await.unwrap();
    });
}
