//! Can anybody learn more about one person than the spent loss allows?
//!
//! Every attack of the list in [`ROWS`], played against a gateway that runs as in service, by analysts with permits who
//! know everything but the bit that they are after. What rests on chance is played many times and measured against
//! guessing; what must not depend on a person at all is asked of two enclaves that differ in that person, and a single
//! byte of difference breaks it.

pub mod arena;
pub mod asker;
pub mod averaging;
pub mod bounds;
pub mod budgets;
pub mod chance;
pub mod clocks;
pub mod doors;
pub mod errors;
pub mod field;
pub mod finding;
pub mod groups;
pub mod guess;
pub mod log;
pub mod measure;
pub mod numbers;
pub mod people;
pub mod permits;
pub mod reconstruction;
pub mod searching;
pub mod watching;
pub mod wire;

use std::collections::BTreeSet;

pub use self::{
    field::{Field, Plan},
    finding::{Finding, Verdict},
};
use crate::cli::{Stop, serve};

/// The attacks by their numbers, from 1.
pub const ROWS: [&str; 44] = [
    "averaging: the same question again",
    "differencing, tracker",
    "linear-programme reconstruction",
    "noise exploitation on sticky noise",
    "automated search for attacks",
    "bounded-noise averaging",
    "least significant bits",
    "precision-based attack",
    "sensitivity understated by overflow, rounding, order",
    "question timing",
    "sampler timing",
    "state channel through functions",
    "budget channel",
    "error oracle",
    "existence of a group",
    "row or hash order",
    "suppression as a signal",
    "noise scale or error bar computed from data",
    "row-level instead of person-level sensitivity",
    "fan-out joins, self joins, undeclared tables",
    "data-dependent public parameters",
    "EXPLAIN, statistics, totals, cache hits",
    "collusion, second account, new view, window reset",
    "parallel double spend",
    "denial of budget",
    "predictable generator, seed control",
    "threshold and rounding slips",
    "composition bookkeeping slips",
    "hostile inserted rows",
    "group privacy",
    "stop-of-use differencing",
    "SQL doors",
    "permit confusion",
    "log rewriting, roll-back",
    "owner-or-NULL",
    "a foreign key that lies",
    "work bomb on one person's rows",
    "watching from a second session",
    "hash guessing",
    "rare codes from a holder's own subset",
    "one person with a million group keys",
    "polling a kept answer for the stop register",
    "the same people under a second data-set name",
    "one CTE used twice",
];

/// What an attack is called.
#[must_use]
pub fn name_of(row: u8) -> &'static str {
    ROWS.get(usize::from(row).wrapping_sub(1)).copied().unwrap_or("no such attack")
}

/// Carries out the attacks of `plan`; `told` hears of each finding as it is made.
///
/// # Errors
/// [`Stop`] where the enclaves cannot be made or opened. What goes wrong within one attack is that attack's finding.
pub fn run(plan: &Plan, told: &mut dyn FnMut(&Finding)) -> Result<Vec<Finding>, Stop> {
    let rows: BTreeSet<u8> = plan.rows.iter().copied().collect();
    let made = Field::make(plan, &rows)?;
    serve::runtime()?.block_on(async {
        let mut field = made.open().await?;
        let mut findings = vec![];
        // The attack that closes a gateway and puts old books under it comes last.
        for row in rows.iter().copied().filter(|row| *row != ROLL_BACK).chain(rows.get(&ROLL_BACK).copied()) {
            let found = match attack(row, &mut field).await {
                Ok(found) => found,
                Err(stop) => Finding::nothing(Verdict::NotRun, stop.words().unwrap_or("no reason was given")),
            };
            let found = Finding { row, ..found };
            told(&found);
            findings.push(found);
        }
        field.close().await?;
        findings.sort_by_key(|found| found.row);
        Ok(findings)
    })
}

const ROLL_BACK: u8 = 34;

async fn attack(row: u8, field: &mut Field) -> Result<Finding, Stop> {
    match row {
        1 => averaging::the_same_again(field).await,
        2 => searching::differencing(field).await,
        3 => reconstruction::a_column(field).await,
        4 => averaging::sticky(field).await,
        5 => searching::automated(field).await,
        6 => averaging::bounded(field).await,
        7 => numbers::least_bits(field).await,
        8 => numbers::precision(field).await,
        9 => bounds::overflow(field).await,
        10 => clocks::asker(field).await,
        11 => clocks::sampler(field).await,
        12 => doors::functions(field).await,
        13 => watching::prices(field).await,
        14 => errors::oracle(field).await,
        15 => groups::existence(field).await,
        16 => groups::order(field).await,
        17 => groups::suppression(field).await,
        18 => numbers::scales(field).await,
        19 => bounds::rows(field).await,
        20 => bounds::fan_out(field).await,
        21 => watching::parameters(field).await,
        22 => watching::metadata(field).await,
        23 => budgets::collusion(field).await,
        24 => budgets::at_once(field).await,
        25 => budgets::denial(field).await,
        26 => numbers::generator(field).await,
        27 => groups::threshold(field).await,
        28 => averaging::bookkeeping(field).await,
        29 => bounds::hostile_rows(field).await,
        30 => bounds::household(field).await,
        31 => Ok(Finding::nothing(
            Verdict::NotApplicable,
            "there is no stop register in this version; every answer is charged whatever it follows",
        )),
        32 => doors::sql_and_flight(field).await,
        33 => permits::confusion(field).await,
        34 => log::rewritten_and_rolled_back(field).await,
        35 => bounds::owner_or_null(field).await,
        36 => bounds::lying_link(field).await,
        37 => errors::work_bomb(field).await,
        38 => clocks::bystander(field).await,
        39 => log::hashes(field).await,
        40 => groups::own_codes(field).await,
        41 => groups::million_keys(field).await,
        42 => Ok(Finding::nothing(
            Verdict::NotApplicable,
            "there is no stop register in this version, so a kept answer has nothing to follow; its key holds the day",
        )),
        43 => budgets::second_name(field).await,
        44 => averaging::twice_in_one(field).await,
        _ => Err(Stop::Usage(format!("there is no attack {row}"))),
    }
}
