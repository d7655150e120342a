//! Can a question be written so that it fails on some rows, or so that a bound gives way?
//!
//! Questions that an analyst with the source code would try, on databases at their worst.

use sekisho::privacy::{Asked, Bounds};

use super::{
    database::{Database, Manner},
    run::{SEED, ask, directory, engine, exact_given, runtime, unplanned},
    sensitivity::difference,
};

const FAILING: &[&str] = &[
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
    // As a text or a date.
    "SELECT COUNT(*) FROM visit WHERE CAST(start + 2000000000 AS TEXT) IS NULL",
    "SELECT COUNT(*) FROM visit WHERE CAST(start + 2000000000 AS TIMESTAMP) IS NULL",
    "SELECT COUNT(*) FROM visit WHERE CAST(start - 2000000000 AS TIMESTAMP(9)) IS NULL",
    "SELECT COUNT(*) FROM visit WHERE concat('on ', start + 2000000000) = ''",
    "SELECT COUNT(*) FROM visit WHERE concat_ws('-', start + 2000000000, label) = ''",
    "SELECT COUNT(*) FROM visit WHERE ((start + 2000000000) || label) IS NULL",
    "SELECT COUNT(*) FROM lab WHERE CAST(CAST(big * 980000000000000 AS TIMESTAMP(6)) AS TEXT) IS NULL",
    "SELECT COUNT(*) FROM lab WHERE CAST(CAST(big * 980000000000000 AS TIMESTAMP(6)) AS DATE) IS NULL",
    "SELECT COUNT(*) FROM lab WHERE CAST(CAST(big AS TIMESTAMP(0)) AS TEXT) IS NULL",
    "SELECT COUNT(*) FROM lab WHERE CAST(CAST(big AS TIMESTAMP(0)) AS DATE) IS NULL",
    "SELECT COUNT(*) FROM lab WHERE CAST(CAST(big AS TIMESTAMP(0)) AS TIMESTAMP(9)) IS NULL",
    "SELECT COUNT(*) FROM lab WHERE CAST(CAST(big AS TIMESTAMP(3)) AS TEXT) IS NULL",
    "SELECT COUNT(*) FROM lab WHERE CAST(to_timestamp_micros(big) AS TEXT) IS NULL",
    "SELECT COUNT(*) FROM lab WHERE CAST(to_timestamp_seconds(big) AS TEXT) IS NULL",
    "SELECT COUNT(*) FROM lab WHERE CAST(from_unixtime(big) AS TEXT) IS NULL",
    "SELECT COUNT(*) FROM lab WHERE date_part('doy', to_timestamp_micros(big)) IS NULL",
    "SELECT COUNT(*) FROM visit WHERE DATEDIFF(day, start, start + 2000000000) IS NULL",
    "SELECT COUNT(*) FROM visit WHERE MONTHS_BETWEEN(start + 2000000000, start) IS NULL",
    "SELECT COUNT(*) FROM visit WHERE start + 2000000000 > at",
    "SELECT COUNT(*) FROM visit WHERE DATEADD(month, 2147483647, start) IS NULL",
    "SELECT COUNT(*) FROM visit WHERE at - TIMESTAMP '2000-01-01 00:00:00' > INTERVAL '1 day'",
    // Numbers at the end of what there is.
    "SELECT COUNT(*) FROM visit WHERE substr(label, CAST('-9223372036854775808' AS BIGINT)) IS NULL",
    "SELECT COUNT(*) FROM visit WHERE substr(label, CAST('-9223372036854775808' AS BIGINT), 2) IS NULL",
    "SELECT COUNT(*) FROM visit WHERE left(label, CAST('-9223372036854775808' AS BIGINT)) IS NULL",
    "SELECT COUNT(*) FROM visit WHERE right(label, CAST('-9223372036854775808' AS BIGINT)) IS NULL",
    "SELECT COUNT(*) FROM visit WHERE split_part(label, 'a', CAST('-9223372036854775808' AS BIGINT)) IS NULL",
    "SELECT COUNT(*) FROM visit WHERE overlay(label PLACING 'x' FROM 9223372036854775807 FOR 9223372036854775807) IS NULL",
    "SELECT COUNT(*) FROM lab WHERE round(big, -19) IS NULL OR abs(big) IS NULL OR -big IS NULL",
    "SELECT COUNT(*) FROM lab WHERE big / -1 IS NULL OR big % -1 IS NULL OR big / (big - big) IS NULL",
    "SELECT COUNT(*) FROM lab WHERE chr(big) IS NULL OR factorial(big) IS NULL OR to_hex(big) IS NULL",
    // Texts as long as they get, and patterns that look at them.
    "SELECT COUNT(*) FROM visit WHERE lpad(label, 1024, 'é') IS NULL",
    "SELECT COUNT(*) FROM visit WHERE upper(rpad(label, 341, 'ΐ')) IS NULL",
    "SELECT COUNT(*) FROM visit WHERE regexp_count(lpad(label, 64, 'a'), 'a.*b|a') IS NULL",
    "SELECT COUNT(*) FROM visit WHERE to_char(start + 2000000000, '%c') IS NULL",
    // Keys of an order that are one, as written or once simplified; what no step evaluates before it has a row.
    "SELECT COUNT(*) FROM (SELECT person_id, FIRST_VALUE(cost ORDER BY start, start) AS v FROM visit GROUP BY 1) q WHERE v > 0",
    "SELECT COUNT(*) FROM (SELECT person_id, LAST_VALUE(cost ORDER BY start, start DESC) AS v FROM visit GROUP BY 1) q \
     WHERE v > 0",
    "SELECT COUNT(*) FROM (SELECT person_id, FIRST_VALUE(cost ORDER BY minutes, minutes * 1) AS v FROM visit GROUP BY 1) q \
     WHERE v > 0",
    "SELECT COUNT(*) FROM (SELECT person_id, FIRST_VALUE(cost ORDER BY minutes * 1) AS v FROM visit GROUP BY 1) q WHERE v > 0",
    "SELECT COUNT(*) FROM (SELECT person_id, FIRST_VALUE(coalesce(code) ORDER BY coalesce(code) DESC) AS v FROM visit \
     GROUP BY 1) q WHERE v > 0",
    "SELECT COUNT(*) FROM person p WHERE (SELECT v.cost FROM visit v WHERE v.person_id = p.person_id ORDER BY v.start, v.start \
     LIMIT 1) > 0",
    "SELECT COUNT(*) FROM (SELECT person_id, lag(date_trunc('decade', at)) OVER (PARTITION BY person_id ORDER BY start) AS l \
     FROM visit) q WHERE l IS NULL",
    "SELECT COUNT(*) FROM (SELECT person_id, row_number() OVER (PARTITION BY person_id ORDER BY date_trunc('foo', at)) AS l \
     FROM visit) q WHERE l = 1",
    "SELECT COUNT(*) FROM visit v JOIN person p ON p.person_id = v.person_id AND date_trunc('', v.at) < p.joined",
    "SELECT COUNT(*) FROM visit WHERE to_char(at, '%Q') IS NULL OR to_char(at, '%:z') IS NULL",
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
