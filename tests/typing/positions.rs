//! Does a column count in every position where its value is used, however it gets there, and in no other?

use sekisho::{
    sql::{Call, Limits, Parameters, admit, parse},
    terms::Position::{self, Aggregate, Filter, Group},
};

use super::Shapes;

/// The positions in which `sql` uses the column of a table.
fn positions(shapes: &Shapes, sql: &str, table: &str, column: &str) -> Vec<Position> {
    let Ok(Call::Ask(statement)) = parse(sql, &Limits::default()) else { panic!("{sql}: not a question") };
    let today = chrono::NaiveDate::from_ymd_opt(2026, 4, 1).unwrap();
    let admitted = admit(*statement, &shapes.directory, today, Parameters::Bound(vec![]), &Limits::default());
    let question = admitted.unwrap_or_else(|refusal| panic!("{sql}: {refusal}"));
    let uses = &question.touched().columns;
    uses.iter().filter(|u| u.table == table && u.column == column).map(|u| u.position).collect()
}

/// The oldest year of each person, as a scalar subquery has it.
const FIRST: &str = "(SELECT q.year_of_birth FROM person q WHERE q.person_id = p.person_id \
                     ORDER BY q.year_of_birth LIMIT 1)";
const GREATEST: &str = "(SELECT MAX(q.year_of_birth) FROM person q WHERE q.person_id = p.person_id)";
/// The years of which a count is wanted.
const YEARS: &str = "(VALUES (1950), (1951), (1952)) AS v(n)";

fn missing(named: &[(String, &str, &str, Position)]) {
    let shapes = Shapes::omop();
    let mut wrong = vec![];
    for (sql, table, column, position) in named {
        let found = positions(&shapes, sql, table, column);
        if !found.contains(position) {
            wrong.push(format!("{table}.{column} is not {position} but {found:?}\n    {sql}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn year(position: Position) -> impl Fn(String) -> (String, &'static str, &'static str, Position) {
    move |sql| (sql, "person", "year_of_birth", position)
}

#[test]
fn what_a_scalar_subquery_yields_counts_where_it_is_used() {
    let mut named: Vec<_> = [
        format!("SELECT SUM({FIRST}) FROM person p"),
        format!("SELECT AVG({FIRST}) FROM person p"),
        format!("SELECT SUM(y) FROM (SELECT p.person_id, {FIRST} AS y FROM person p) AS r"),
    ]
    .map(year(Aggregate))
    .into();
    for yielded in [FIRST, GREATEST] {
        let years = format!("(SELECT p.person_id, {yielded} AS y FROM person p) AS r");
        named.push(year(Group)(format!("SELECT y, COUNT(*) FROM {years} GROUP BY y")));
        named.push(year(Group)(format!("SELECT DISTINCT y FROM {years}")));
        named.push(year(Filter)(format!("SELECT COUNT(*) FROM {years} WHERE y > 1950")));
        named.push(year(Filter)(format!("SELECT COUNT(*) FROM person p WHERE {yielded} > 1950")));
        named.push(year(Filter)(format!("SELECT SUM(CASE WHEN {yielded} > 1950 THEN 1 ELSE 0 END) FROM person p")));
    }
    let median = "SELECT MEDIAN((SELECT m.value_as_number FROM measurement m WHERE m.person_id = p.person_id \
                  ORDER BY m.value_as_number LIMIT 1)) FROM person p";
    named.push((median.to_owned(), "measurement", "value_as_number", Aggregate));
    missing(&named);
}

#[test]
fn what_rows_are_made_distinct_by_is_grouped_whatever_other_use_it_has() {
    let named = [
        "SELECT DISTINCT year_of_birth FROM person WHERE year_of_birth > 0",
        "SELECT year_of_birth FROM person WHERE year_of_birth > 0 \
         UNION SELECT year_of_birth FROM person WHERE year_of_birth > 0",
        "SELECT COUNT(*) FROM (SELECT DISTINCT year_of_birth FROM person WHERE year_of_birth > 0) AS q",
        "SELECT COUNT(*) FROM (SELECT DISTINCT person_id, year_of_birth FROM person WHERE year_of_birth > 0) AS q",
        "SELECT DISTINCT y FROM (SELECT person_id, MAX(year_of_birth) AS y FROM person GROUP BY person_id) AS q",
        "SELECT DISTINCT y + 0 FROM (SELECT person_id, MAX(year_of_birth) AS y FROM person GROUP BY person_id) AS q",
        "SELECT person_id, year_of_birth FROM person WHERE year_of_birth > 0 \
         INTERSECT SELECT person_id, year_of_birth FROM person",
        "SELECT person_id, year_of_birth FROM person WHERE year_of_birth > 0 \
         EXCEPT SELECT person_id, month_of_birth FROM person",
        "SELECT COUNT(*) FROM (SELECT DISTINCT ON (person_id, year_of_birth) person_id FROM person) AS q",
    ];
    missing(&named.map(|sql| year(Group)(sql.to_owned())));
}

#[test]
fn a_list_that_is_compared_with_a_column_shows_its_values() {
    let mut named: Vec<_> = [
        format!("SELECT v.n, COUNT(*) FROM person p JOIN {YEARS} ON p.year_of_birth = v.n GROUP BY v.n"),
        format!("SELECT v.n, COUNT(*) FROM person p, {YEARS} WHERE p.year_of_birth = v.n GROUP BY v.n"),
        format!("SELECT v.n, COUNT(*) FROM person p, {YEARS} WHERE p.year_of_birth - v.n BETWEEN 0 AND 0 GROUP BY v.n"),
        format!(
            "SELECT v.n, COUNT(*) FROM person p, {YEARS} WHERE EXISTS (SELECT 1 FROM person q \
             WHERE q.person_id = p.person_id AND q.year_of_birth = v.n) GROUP BY v.n"
        ),
        "SELECT v.n, COUNT(*) FROM person p JOIN (VALUES (1950, 8507), (1951, 8507)) AS v(n, g) \
         ON p.gender_concept_id = v.g WHERE p.year_of_birth - v.n BETWEEN 0 AND 0 GROUP BY v.n"
            .to_owned(),
    ]
    .map(year(Group))
    .into();
    named.push(year(Aggregate)(format!("SELECT SUM(v.n) FROM person p JOIN {YEARS} ON p.year_of_birth = v.n")));
    let sexes = "SELECT c.concept_name, COUNT(*) FROM person p JOIN vocab.concept c \
                 ON c.concept_id = p.gender_concept_id GROUP BY c.concept_name";
    named.push((sexes.to_owned(), "person", "gender_concept_id", Group));
    missing(&named);
}

#[test]
fn what_decides_is_a_filter_wherever_it_stands() {
    let named = [
        "SELECT SUM(CASE WHEN year_of_birth = 1950 THEN 1 ELSE 0 END) FROM person",
        "SELECT SUM(CASE year_of_birth WHEN 1950 THEN 1 ELSE 0 END) FROM person",
        "SELECT SUM(CAST(year_of_birth = 1950 AS INT)) FROM person",
        "SELECT COUNT(NULLIF(year_of_birth, 1950)) FROM person",
        "SELECT SUM(k) FROM (SELECT person_id, CASE WHEN year_of_birth = 1950 THEN 1 ELSE 0 END AS k FROM person) AS q",
        "SELECT COUNT(*) FILTER (WHERE year_of_birth = 1950) FROM person",
        "SELECT COUNT(*) FROM (SELECT person_id, first_value(month_of_birth ORDER BY year_of_birth) AS m \
         FROM person GROUP BY person_id) AS q",
        "SELECT COUNT(*) FROM (SELECT person_id, row_number() OVER (PARTITION BY person_id ORDER BY year_of_birth) AS r \
         FROM person) AS q",
        "SELECT SUM(r) FROM (SELECT gender_concept_id, year_of_birth AS y, COUNT(*) AS r FROM person \
         GROUP BY ROLLUP (gender_concept_id, year_of_birth)) AS q WHERE y > 1950",
        "SELECT COUNT(*) FROM (SELECT person_id, MAX(year_of_birth) AS y FROM person GROUP BY person_id) AS q \
         WHERE y > 1950",
    ];
    missing(&named.map(|sql| year(Filter)(sql.to_owned())));
    let window = "SELECT COUNT(*) FROM (SELECT person_id, SUM(value_as_number) OVER (PARTITION BY person_id) AS s \
                  FROM measurement) AS q WHERE s > 10";
    let within = "SELECT COUNT(*) FROM person p WHERE p.person_id IN (SELECT d.person_id FROM death d)";
    missing(&[
        (window.to_owned(), "measurement", "value_as_number", Aggregate),
        (within.to_owned(), "death", "person_id", Filter),
    ]);
}

#[test]
fn a_count_of_what_is_there_for_some_values_alone_is_a_filter() {
    let named = [
        "SELECT COUNT(ln(year_of_birth - 1950)) FROM person",
        "SELECT COUNT(1 / (year_of_birth - 1950)) FROM person",
        "SELECT COUNT(TRY_CAST(year_of_birth - 1823 AS TINYINT)) FROM person",
        "SELECT COUNT(DISTINCT sqrt(year_of_birth - 1950)) FROM person",
        "SELECT approx_distinct(sqrt(year_of_birth - 1950)) FROM person",
        "SELECT regr_count(month_of_birth, sqrt(year_of_birth - 1950)) FROM person",
        "SELECT COUNT(l) FROM (SELECT ln(year_of_birth - 1950) AS l FROM person) AS q",
        "SELECT COUNT(l) FROM (SELECT person_id, MAX(ln(year_of_birth - 1950)) AS l FROM person GROUP BY person_id) AS q",
        "SELECT SUM(n) FROM (SELECT person_id, COUNT(ln(year_of_birth - 1950)) AS n FROM person GROUP BY person_id) AS q",
        "SELECT COUNT(l) FROM (SELECT person_id, month_of_birth AS l FROM person \
         UNION ALL SELECT person_id, ln(year_of_birth - 1950) FROM person) AS q",
        "SELECT COUNT(l) FROM (SELECT person_id, LAG(ln(year_of_birth - 1950)) OVER (PARTITION BY person_id \
         ORDER BY person_id) AS l FROM person) AS q",
        "SELECT COUNT(l) FROM (SELECT p.person_id, (SELECT MAX(ln(q.year_of_birth - 1950)) FROM person q \
         WHERE q.person_id = p.person_id) AS l FROM person p) AS r",
        "SELECT COUNT(x.l) FROM person p CROSS JOIN LATERAL (VALUES (ln(p.year_of_birth - 1950))) AS x(l)",
    ];
    missing(&named.map(|sql| year(Filter)(sql.to_owned())));
    let shapes = Shapes::omop();
    for sql in [
        "SELECT COUNT(year_of_birth) FROM person",
        "SELECT COUNT(DISTINCT year_of_birth) FROM person",
        "SELECT COUNT(CAST(year_of_birth AS BIGINT)) FROM person",
        "SELECT COUNT(DISTINCT CAST(year_of_birth AS VARCHAR)) FROM person",
        "SELECT COUNT(DISTINCT (year_of_birth, month_of_birth)) FROM person",
        "SELECT COUNT(y) FROM (SELECT person_id, year_of_birth AS y FROM person) AS q",
        "SELECT COUNT(y) FROM (SELECT person_id, MAX(year_of_birth) AS y FROM person GROUP BY person_id) AS q",
        "SELECT AVG(ln(year_of_birth - 1900)) FROM person",
    ] {
        assert_eq!(positions(&shapes, sql, "person", "year_of_birth"), [Aggregate], "{sql}");
    }
}

#[test]
fn a_column_that_a_lateral_list_passes_on_counts_where_it_is_used() {
    let list = "person p CROSS JOIN LATERAL (VALUES ('y', p.year_of_birth), ('m', p.month_of_birth)) AS x(label, v)";
    missing(&[
        year(Group)(format!("SELECT v, COUNT(*) FROM {list} GROUP BY v")),
        year(Filter)(format!("SELECT COUNT(*) FROM {list} WHERE v > 1950")),
        year(Aggregate)(format!("SELECT label, AVG(v) FROM {list} GROUP BY label")),
    ]);
}

#[test]
fn a_column_counts_in_no_other_position() {
    let shapes = Shapes::omop();
    for (sql, table, column, only) in [
        ("SELECT COUNT(*) FROM person", "person", "person_id", vec![]),
        ("SELECT COUNT(DISTINCT person_id) FROM visit_occurrence", "visit_occurrence", "person_id", vec![Aggregate]),
        ("SELECT AVG(year_of_birth) FROM person", "person", "year_of_birth", vec![Aggregate]),
        (
            "SELECT AVG(LEAST(GREATEST(year_of_birth, 1900), 2000)) FROM person",
            "person",
            "year_of_birth",
            vec![Aggregate],
        ),
        (
            "SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY year_of_birth) FROM person",
            "person",
            "year_of_birth",
            vec![Aggregate],
        ),
        ("SELECT COUNT(*) FROM person WHERE year_of_birth > 1950", "person", "year_of_birth", vec![Filter]),
        (
            "SELECT gender_concept_id, AVG(year_of_birth) FROM person GROUP BY 1",
            "person",
            "gender_concept_id",
            vec![Group],
        ),
        (
            "SELECT 'all', AVG(year_of_birth) FROM person UNION SELECT 'again', AVG(year_of_birth) FROM person",
            "person",
            "year_of_birth",
            vec![Aggregate],
        ),
        (
            "SELECT p.gender_concept_id, COUNT(*) FROM person p JOIN death d ON d.person_id = p.person_id GROUP BY 1",
            "death",
            "person_id",
            vec![Filter],
        ),
    ] {
        assert_eq!(positions(&shapes, sql, table, column), only, "{sql}");
    }
}

#[test]
fn a_column_that_distinct_on_passes_under_another_name_counts_where_it_is_used() {
    let renamed = "SELECT z, COUNT(*) FROM (SELECT DISTINCT ON (person_id) person_id, gender_concept_id AS z \
                   FROM person ORDER BY person_id, year_of_birth) AS q GROUP BY z";
    let swapped = "SELECT SUM(month_of_birth) FROM (SELECT DISTINCT ON (person_id) person_id, \
                   year_of_birth AS month_of_birth FROM person ORDER BY person_id, day_of_birth) AS q";
    missing(&[
        (renamed.to_owned(), "person", "gender_concept_id", Group),
        (swapped.to_owned(), "person", "year_of_birth", Aggregate),
    ]);
}
