//! Can a question be written so that it fails on some rows, or so that a bound gives way?
//!
//! Questions that an analyst with the source code would try, on databases at their worst.

use sekisho::privacy::{Asked, Bounds};

use super::{
    database::{Database, Manner},
    run::{SEED, ask, directory, engine, exact_given, runtime, unplanned},
    sensitivity::difference,
};

const FAILING: [&str; 9] = [
    "SELECT COUNT(*) FROM visit WHERE date_trunc('month', at + INTERVAL '300 years') IS NULL",
    "SELECT COUNT(*) FROM visit WHERE date_trunc('year', at - INTERVAL '900 years') IS NULL",
    "SELECT COUNT(*) FROM visit WHERE date_trunc('week', CASE WHEN code > 2 THEN at + INTERVAL '9000 years' ELSE at END) \
     IS NULL",
    "SELECT COUNT(*) FROM visit WHERE date_trunc('quarter', CAST(label AS TIMESTAMP)) IS NULL",
    "SELECT COUNT(*) FROM visit WHERE date_trunc('month', start + INTERVAL '300 years') IS NULL",
    "SELECT COUNT(*) FROM visit WHERE date_trunc('month', CAST(minutes * 10000 AS DATE)) IS NULL",
    "SELECT COUNT(*) FROM lab WHERE date_trunc('month', to_timestamp(big)) IS NULL",
    "SELECT COUNT(*) FROM lab WHERE date_part('year', to_timestamp(big)) IS NULL",
    "SELECT COUNT(*) FROM lab WHERE date_trunc('month', from_unixtime(big)) IS NULL",
];

/// Runs `sql` over wild databases; what fails or moves too far.
fn tried(sql: &str) -> Option<String> {
    let bounds = Bounds { work_rows_max: 65_536, cells_max: 1000, population_max: 100 };
    let analysis = match ask(&directory(), sql, &Asked::default(), &bounds) {
        Ok(analysis) => analysis,
        Err(_) => return None,
    };
    let engine = engine(1, 7);
    runtime().block_on(async {
        for number in 0..6 {
            let database = Database::random(SEED ^ (number << 20), Manner::Wild);
            let whole = match exact_given(&engine, &analysis, database.tables(2, 7), None).await {
                Ok(whole) => whole,
                Err(fault) if unplanned(&fault) => return None,
                Err(fault) => return Some(format!("{fault:?}\n    {sql}")),
            };
            for person in 0..database.persons {
                let less = database.of_persons(|p| p != person);
                let less = match exact_given(&engine, &analysis, less.tables(2, 7), Some(&whole)).await {
                    Ok(less) => less,
                    Err(fault) => return Some(format!("{fault:?}\n    {sql}")),
                };
                let pairs = analysis.releases().iter().zip(whole.iter().zip(&less));
                for (release, (a, b)) in pairs {
                    if let Some(moved) = difference(release, a, b) {
                        return Some(format!("{moved}\n    {sql}"));
                    }
                }
            }
        }
        None
    })
}

#[test]
fn no_expression_over_times_far_away_fails_on_any_row() {
    let failed: Vec<String> = FAILING.iter().filter_map(|sql| tried(sql)).collect();
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), FAILING.len(), failed.join("\n"));
}
