//! What becomes of SQL as researchers write it?
//!
//! Every question of `tests/sql/omop/` goes through parsing, admission, analysis, price, rehearsal, the exact stage and
//! the last steps, and its answer is compared with that of plain SQL. The table that is printed says how many were
//! answered with the same meaning, how many refused rightly, and which were refused wrongly and why.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod answers;
mod questions;
mod world;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use sekisho::{
    engine::{finish, public_answer},
    privacy::{Analysis, Asked, Bounds, Noisy, Offer, analyze},
    sql::{Call, Limits, Parameters, admit, parse},
    terms::{Cap, Loss, Refusal},
};

use crate::oracle::{
    meaning::rebuilt,
    run::{Opened, exact, say},
};
use answers::{Rows, columns, has_percentiles, moved, rows, same};
use questions::{Expect, Question, read};
use world::World;

/// What became of one question.
enum Outcome {
    /// Answered with the meaning that plain SQL gives the same text, or, where plain SQL does not know its words, the
    /// text that admission makes of it.
    Same {
        text: bool,
    },
    Refused(Refusal),
    /// Anything else: another meaning, a plan that cannot be made, a panic.
    Wrong(String),
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sql/omop"))
}

#[test]
fn sql_as_researchers_write_it_is_answered_with_its_meaning_or_refused_rightly() {
    let only = std::env::var("SEKISHO_COLLECTION").unwrap_or_default();
    let asked: Vec<Question> =
        read(folder()).into_iter().filter(|q| format!("{} {}", q.family, q.name).contains(&only)).collect();
    let outcomes = all(&asked);
    let table = Table::of(&asked, &outcomes);
    table.print();
    if only.is_empty() {
        table.hold();
    }
}

#[test]
fn the_collection_is_as_large_and_as_mixed_as_real_use() {
    let all = read(folder());
    let of = |expect: Expect| all.iter().filter(|q| q.expect == expect).collect::<Vec<_>>();
    let (aggregates, public, refused) = (of(Expect::Answerable), of(Expect::PublicOnly), of(Expect::MustRefuse));
    let quarter = |n: usize| (all.len() * 22 / 100..=all.len() * 28 / 100).contains(&n);
    assert!(all.len() >= 250 && quarter(public.len()) && quarter(refused.len()), "{} questions", all.len());
    let share = |words: &[&str]| {
        let has = |q: &&&Question| words.iter().any(|word| q.bare().contains(word));
        aggregates.iter().filter(has).count() * 100 / aggregates.len()
    };
    let statistics = share(&["MIN(", "MAX(", "MEDIAN(", "PERCENTILE_CONT", " OVER"]);
    let joins = share(&[" JOIN ", "EXISTS (", " IN (SELECT", "PERSON P WHERE"]);
    say(&format!("collection: {statistics} % of aggregates use ends, percentiles or windows, {joins} % join tables"));
    assert!(statistics >= 33 && joins >= 50);
}

/// All outcomes, in the order of the questions.
fn all(asked: &[Question]) -> Vec<Outcome> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let work = || {
        let world = World::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(question) = asked.get(n) else { return };
            let outcome = catch_unwind(AssertUnwindSafe(|| world.runtime.block_on(become_of(&world, question))));
            let outcome = outcome.unwrap_or_else(|_| Outcome::Wrong("it panicked".into()));
            done.lock().unwrap().insert(n, outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            std::thread::Builder::new().stack_size(32 << 20).spawn_scoped(scope, work).unwrap();
        }
    });
    done.into_inner().unwrap().into_values().collect()
}

async fn become_of(world: &World, question: &Question) -> Outcome {
    match answered(world, question).await {
        Ok(outcome) => outcome,
        Err(refusal) => Outcome::Refused(refusal),
    }
}

async fn answered(world: &World, asked: &Question) -> Result<Outcome, Refusal> {
    let limits = Limits::default();
    let Call::Ask(statement) = parse(&asked.sql, &limits)? else {
        return Ok(Outcome::Wrong("it is read as a setting or an EXPLAIN".into()));
    };
    let today = chrono::NaiveDate::from_ymd_opt(2024, 12, 31).unwrap();
    let question = admit(*statement, &world.directory, today, Parameters::Bound(vec![]), &limits)?;
    if question.is_public() {
        let ours = public_answer(&world.engine, question.plan(), world.tables.as_ref()).await;
        let ours = match ours {
            Ok(finished) => rows(&finished.batches),
            Err(fault) => return Ok(Outcome::Wrong(format!("{fault:?}"))),
        };
        return Ok(against_plain(world, asked, question.plan(), ours, None, &[]).await);
    }
    let analysis = as_it_would_be_asked(&question)?;
    if let Err(fault) = world.engine.rehearse(&analysis, world.tables.as_ref()).await {
        return Ok(Outcome::Wrong(format!("rehearsal: {fault:?}")));
    }
    let wide = Asked {
        rows_per_group: Some(u32::MAX),
        groups: Some(u32::MAX),
        distinct_values: Some(u32::MAX),
        ..Asked::default()
    };
    let bounds = Bounds { work_rows_max: 1 << 22, cells_max: 100_000, population_max: 1_000 };
    let analysis = analyze(&question, &wide, &bounds)?;
    let opened = match exact(&world.engine, &analysis, world.tables.clone()).await {
        Ok(opened) => opened,
        Err(fault) => return Ok(Outcome::Wrong(format!("exact stage: {fault:?}"))),
    };
    let finished = |towards: Option<bool>| finished(world, &analysis, &opened, towards);
    let ours = match finished(None).await {
        Ok(ours) => ours,
        Err(fault) => return Ok(Outcome::Wrong(fault)),
    };
    let between = match has_percentiles(&analysis) {
        true => finished(Some(false)).await.ok().zip(finished(Some(true)).await.ok()),
        false => None,
    };
    let columns = columns(&analysis, world.rows());
    Ok(against_plain(world, asked, question.plan(), ours, between, &columns).await)
}

/// Analysed and priced under the catalogue's own bounds, as one of twenty questions about a million persons.
fn as_it_would_be_asked(question: &sekisho::sql::Question) -> Result<Analysis, Refusal> {
    let bounds = Bounds { work_rows_max: 65_536, cells_max: 100_000, population_max: 1_000_000 };
    let analysis = analyze(question, &Asked::default(), &bounds)?;
    let cap = Cap::new(8.0, 1e-7).unwrap();
    let offer = Offer { epsilon: 0.4, accuracy: None, cap, spent: Loss::zero() };
    let priced = analysis.clone().price(&offer)?;
    Ok(priced.analysis().clone())
}

/// The answer without noise; where `towards` says so, with every percentile at the next value down or up.
async fn finished(
    world: &World,
    analysis: &Analysis,
    opened: &[Opened],
    towards: Option<bool>,
) -> Result<Rows, String> {
    let batches = analysis.releases().iter().zip(opened).map(|(release, opened)| {
        let batch = rebuilt(release, opened);
        towards.map_or(batch.clone(), |up| moved(release, opened, &batch, up))
    });
    let noisy = Noisy::kept(batches.collect());
    let finished = finish(&world.engine, analysis, &noisy, world.tables.as_ref()).await;
    finished.map(|finished| rows(&finished.batches)).map_err(|fault| format!("last steps: {fault:?}"))
}

async fn against_plain(
    world: &World,
    asked: &Question,
    plan: &datafusion::logical_expr::LogicalPlan,
    ours: Rows,
    between: Option<(Rows, Rows)>,
    columns: &[answers::Column],
) -> Outcome {
    let sql = asked.plain.as_ref().unwrap_or(&asked.sql);
    let plain = async |sql: &str| world.plain.sql(sql).await?.collect().await;
    let (expected, text) = match plain(sql.trim().trim_end_matches(';')).await {
        Ok(batches) => (Ok(batches), true),
        Err(fault) if asked.plain.is_some() => (Err(fault), true),
        Err(_) => match world.plain.execute_logical_plan(world.for_plain(plan)).await {
            Ok(frame) => (frame.collect().await, false),
            Err(fault) => (Err(fault), false),
        },
    };
    let expected = match expected {
        Ok(batches) => rows(&batches),
        Err(fault) => return Outcome::Wrong(format!("nothing to compare with: {}", fault.strip_backtrace())),
    };
    match same(ours, between, expected, columns) {
        Ok(()) => Outcome::Same { text },
        Err(differs) => Outcome::Wrong(differs),
    }
}

/// What is printed.
#[derive(Default)]
struct Table {
    families: BTreeMap<String, Line>,
    /// What went wrong, with its reason.
    wrong: Vec<String>,
    /// How often each reason refused what could be answered.
    reasons: BTreeMap<String, usize>,
    in_other_words: usize,
}

#[derive(Default, Clone)]
struct Line {
    answerable: usize,
    answered: usize,
    public: usize,
    exact: usize,
    to_refuse: usize,
    refused: usize,
    refused_wrongly: usize,
    wrong: usize,
}

impl Table {
    fn of(asked: &[Question], outcomes: &[Outcome]) -> Self {
        let mut table = Self::default();
        for (question, outcome) in asked.iter().zip(outcomes) {
            table.add(question, outcome);
        }
        table
    }

    fn add(&mut self, question: &Question, outcome: &Outcome) {
        let line = self.families.entry(question.family.clone()).or_default();
        match question.expect {
            Expect::Answerable => line.answerable += 1,
            Expect::PublicOnly => line.public += 1,
            Expect::MustRefuse => line.to_refuse += 1,
        }
        let wrong = match (outcome, question.expect) {
            (Outcome::Same { text }, Expect::Answerable | Expect::PublicOnly) => {
                self.in_other_words += usize::from(!text);
                match question.expect {
                    Expect::Answerable => line.answered += 1,
                    _ => line.exact += 1,
                }
                return;
            }
            (Outcome::Refused(refusal), Expect::MustRefuse) => {
                let right = question.code.as_ref().is_none_or(|code| code == refusal.code());
                line.refused += usize::from(right);
                match right {
                    true => return,
                    false => format!("refused with {}: {refusal}", refusal.code()),
                }
            }
            (Outcome::Refused(refusal), _) => {
                line.refused_wrongly += 1;
                *self.reasons.entry(format!("{}: {refusal}", refusal.code())).or_default() += 1;
                format!("{}: {refusal}", refusal.code())
            }
            (Outcome::Same { .. }, Expect::MustRefuse) => "it was answered".into(),
            (Outcome::Wrong(what), _) => {
                line.wrong += 1;
                what.clone()
            }
        };
        self.wrong.push(format!("{}, {}:\n      {wrong}", question.family, question.name));
    }

    fn print(&self) {
        say(
            "family               answerable same | public exact | must refuse refused | refused wrongly  otherwise wrong",
        );
        for (family, line) in self.families.iter().chain([(&"all".to_owned(), &self.all())]) {
            say(&format!(
                "{family:<20} {:>10} {:>4} | {:>6} {:>5} | {:>11} {:>7} | {:>15} {:>16}",
                line.answerable,
                line.answered,
                line.public,
                line.exact,
                line.to_refuse,
                line.refused,
                line.refused_wrongly,
                line.wrong,
            ));
        }
        say(&format!("{} compared with what admission makes of words that plain SQL lacks", self.in_other_words));
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
        reasons.iter().for_each(|(reason, times)| say(&format!("  {times} x {reason}")));
        self.wrong.iter().for_each(|wrong| say(&format!("  - {wrong}")));
    }

    fn all(&self) -> Line {
        self.families.values().fold(Line::default(), |sum, line| Line {
            answerable: sum.answerable + line.answerable,
            answered: sum.answered + line.answered,
            public: sum.public + line.public,
            exact: sum.exact + line.exact,
            to_refuse: sum.to_refuse + line.to_refuse,
            refused: sum.refused + line.refused,
            refused_wrongly: sum.refused_wrongly + line.refused_wrongly,
            wrong: sum.wrong + line.wrong,
        })
    }

    fn hold(&self) {
        let all = self.all();
        assert_eq!(all.wrong, 0, "crashed, or answered with another meaning");
        assert_eq!(all.refused, all.to_refuse, "something that must be refused was not, or with another word");
        assert_eq!(all.exact, all.public, "a question about nobody is answered exactly");
        assert!(all.answered * 100 >= all.answerable * 95, "{} of {} answerable", all.answered, all.answerable);
    }
}
