//! Does a hostile text cost more than a refusal?
//!
//! Whoever may ask may send any text: none may overflow the stack of the thread that reads it, nor keep it busy for long,
//! whether it is answered or refused.

use std::{sync::mpsc, time::Duration};

use super::Shapes;

/// What a worker of the server has for its stack.
const STACK: usize = 2 << 20;
const LONGEST: Duration = Duration::from_secs(30);

/// The verdict on `sql`, reached on such a stack within the time.
fn verdict_in_time(sql: String) -> String {
    let (done, wait) = mpsc::channel();
    let shown: String = sql.chars().take(200).collect();
    std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(move || {
            let shapes = Shapes::omop();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let verdict = runtime.block_on(shapes.verdict(&sql));
            let _ = done.send(verdict);
        })
        .unwrap();
    match wait.recv_timeout(LONGEST) {
        Ok(verdict) => verdict,
        Err(_) => panic!("no verdict after {LONGEST:?}: {shown}"),
    }
}

fn chain(term: &str, operator: &str, bytes: usize) -> String {
    let times = bytes / (term.len() + operator.len());
    vec![term; times].join(operator)
}

#[test]
fn a_chain_of_operators_is_refused_before_anything_walks_it() {
    let y = "(SELECT year_of_birth AS y FROM person) AS p";
    for sql in [
        format!("SELECT COUNT(*) FROM person WHERE {}", chain("year_of_birth>1", " AND ", 60_000)),
        format!("SELECT COUNT(*) FROM {y} WHERE {}>1", chain("y", "+", 60_000)),
        format!("SELECT COUNT(*) FROM {y} WHERE {}", chain("y>1", " OR ", 60_000)),
        format!("SELECT COUNT(*) FROM {y} WHERE {}", chain("y>1", " OR ", 3_000)),
        format!("SELECT COUNT(*) FROM {y} WHERE y>1{}", " IS NOT NULL".repeat(4_000)),
        format!("SELECT COUNT(*) FROM ({}) AS q", chain("SELECT person_id FROM person", " UNION ALL ", 60_000)),
    ] {
        assert!(verdict_in_time(sql).starts_with("too_complex"));
    }
    // What people write is far from it.
    let codes = format!("SELECT COUNT(*) FROM {y} WHERE {}", chain("y=1", " OR ", 900));
    assert_eq!(verdict_in_time(codes), "answered");
}

#[test]
fn with_after_with_that_reads_the_one_before_twice_is_refused_at_once() {
    let mut sql = "WITH w0 AS (SELECT person_id FROM person)".to_owned();
    for i in 0..40 {
        let after = i + 1;
        sql += &format!(", w{after} AS (SELECT a.person_id FROM w{i} a JOIN w{i} b ON a.person_id = b.person_id)");
    }
    assert!(verdict_in_time(sql + " SELECT COUNT(*) FROM w40").starts_with("too_complex"));
}

#[test]
fn a_column_that_each_step_reads_twice_is_followed_once() {
    let mut sql = "WITH w0 AS (SELECT year_of_birth AS x FROM person)".to_owned();
    for i in 0..60 {
        sql += &format!(", w{} AS (SELECT x + x + x AS x FROM w{i})", i + 1);
    }
    verdict_in_time(sql + " SELECT COUNT(x) FROM w60");
}

#[test]
fn joins_that_are_cut_on_both_sides_do_not_double_without_end() {
    let mut sql = "SELECT COUNT(*) FROM (SELECT person_id FROM visit_occurrence) AS v0".to_owned();
    for i in 1..60 {
        let of = i - 1;
        sql += &format!(
            " FULL JOIN (SELECT person_id FROM visit_occurrence) AS v{i} ON v{of}.person_id = v{i}.person_id"
        );
    }
    verdict_in_time(sql);
    let mut inner = "SELECT person_id FROM visit_occurrence".to_owned();
    for i in 0..9 {
        inner = format!(
            "SELECT a{i}.person_id FROM visit_occurrence AS a{i} FULL JOIN ({inner}) AS b{i} ON a{i}.person_id = b{i}.person_id"
        );
    }
    verdict_in_time(format!("SELECT COUNT(*) FROM ({inner}) AS q"));
}

/// The positions in which `sql` uses the column of a table.
fn positions(sql: &str, table: &str, column: &str) -> Vec<sekisho::terms::Position> {
    use sekisho::sql::{Call, Limits, Parameters, admit, parse};
    let shapes = Shapes::omop();
    let Ok(Call::Ask(statement)) = parse(sql, &Limits::default()) else { panic!("{sql}: not a question") };
    let today = chrono::NaiveDate::from_ymd_opt(2026, 4, 1).unwrap();
    let question = admit(*statement, &shapes.directory, today, Parameters::Bound(vec![]), &Limits::default()).unwrap();
    let uses = &question.touched().columns;
    uses.iter().filter(|u| u.table == table && u.column == column).map(|u| u.position).collect()
}

#[test]
fn a_column_that_distinct_on_passes_under_another_name_counts_where_it_is_used() {
    use sekisho::terms::Position;
    let renamed = "SELECT z, COUNT(*) FROM (SELECT DISTINCT ON (person_id) person_id, gender_concept_id AS z \
                   FROM person ORDER BY person_id, year_of_birth) AS q GROUP BY z";
    assert!(positions(renamed, "person", "gender_concept_id").contains(&Position::Group), "grouped under another name");
    let swapped = "SELECT SUM(month_of_birth) FROM (SELECT DISTINCT ON (person_id) person_id, \
                   year_of_birth AS month_of_birth FROM person ORDER BY person_id, day_of_birth) AS q";
    assert!(positions(swapped, "person", "year_of_birth").contains(&Position::Aggregate), "under another's name");
}

#[test]
fn a_person_whose_rows_all_miss_each_other_in_a_full_join_has_the_rows_of_both_sides() {
    let missing = "SELECT COUNT(*) FROM person AS p FULL JOIN death AS d ON p.person_id = d.person_id \
                   AND p.year_of_birth = d.cause_concept_id";
    let analysis = Shapes::omop().typed(missing).unwrap();
    assert_eq!(analysis.releases()[0].rows_max, 2);
}

/// A subquery that stands where few write one is a release of its own, or refused.
#[tokio::test]
async fn odd_places_of_a_subquery_show_no_rows() {
    let shapes = Shapes::omop();
    for released in [
        "SELECT concept_name FROM vocab.concept LIMIT (SELECT COUNT(*) FROM person)",
        "SELECT concept_name FROM vocab.concept ORDER BY (SELECT MAX(year_of_birth) FROM person)",
        "SELECT * FROM (VALUES ((SELECT MAX(year_of_birth) FROM person))) AS v",
    ] {
        assert_eq!(shapes.typed(released).unwrap().releases().len(), 1, "{released}");
    }
    for refused in [
        "SELECT concept_name FROM vocab.concept WHERE concept_id IN (SELECT gender_concept_id FROM person)",
        "SELECT concept_name FROM vocab.concept WHERE concept_id IN (SELECT location_id FROM location)",
        "SELECT c.concept_name FROM vocab.concept AS c WHERE EXISTS (SELECT 1 FROM person AS p \
         WHERE p.gender_concept_id = c.concept_id)",
        "SELECT COUNT(*) OVER () FROM vocab.concept WHERE concept_id = ANY (SELECT gender_concept_id FROM person)",
        "SELECT c.concept_id, x.n FROM vocab.concept AS c, LATERAL (SELECT COUNT(*) AS n FROM person AS p \
         WHERE p.gender_concept_id = c.concept_id) AS x",
        "SELECT COUNT(*) FROM person AS p, LATERAL (SELECT concept_name FROM vocab.concept AS c \
         WHERE c.concept_id = p.gender_concept_id) AS x",
        "SELECT COUNT(*) FROM person AS a WHERE a.year_of_birth > (SELECT AVG(b.year_of_birth) FROM person AS b \
         WHERE EXISTS (SELECT 1 FROM death AS c WHERE c.person_id = b.person_id AND c.cause_concept_id > a.year_of_birth))",
        "SELECT COUNT(*) FROM person AS a WHERE EXISTS (SELECT 1 FROM vocab.concept AS c WHERE EXISTS \
         (SELECT 1 FROM vocab.concept AS e WHERE e.concept_id = a.gender_concept_id))",
    ] {
        assert_ne!(shapes.verdict(refused).await, "answered", "{refused}");
    }
}
