//! Does a hostile text cost more than a refusal?
//!
//! Whoever may ask may send any text: none may overflow the stack of the thread that reads it, nor keep it busy for long,
//! whether it is answered or refused.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use datafusion::catalog::TableProvider;
use sekisho::engine::{EngineFault, PersonsOfRange, RangedTables};

use super::Shapes;

/// What a worker of the server has for its stack.
const STACK: usize = 2 << 20;
const LONGEST: Duration = Duration::from_secs(120);

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

/// Each of these would stand there twice or more at every level.
#[test]
fn what_is_written_twice_does_not_double_at_every_level() {
    let y = "(SELECT year_of_birth AS y FROM person) AS p";
    let nested = |function: &str, times: usize| {
        format!("SELECT COUNT({}y{}) FROM {y}", format!("{function}(").repeat(times), ")".repeat(times))
    };
    for function in ["ln", "sqrt", "log10", "abs", "log"] {
        assert!(verdict_in_time(nested(function, 25)).starts_with("too_complex"), "{function}");
        assert_eq!(verdict_in_time(nested(function, 3)), "answered", "{function}");
    }
    let casts = format!("SELECT COUNT(*) FROM {y} WHERE y{} > 1", "::text::float8".repeat(15));
    assert_eq!(verdict_in_time(casts), "answered");
    let sides: String =
        (1..23).map(|n| format!(" CROSS JOIN LATERAL (SELECT l{}.x + l{}.x AS x) l{n}", n - 1, n - 1)).collect();
    let laterals = format!("SELECT COUNT(*) FROM {y} CROSS JOIN LATERAL (SELECT p.y AS x) l0{sides} WHERE l22.x > 1");
    assert!(verdict_in_time(laterals).starts_with("too_complex"));
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
        sql +=
            &format!(" FULL JOIN (SELECT person_id FROM visit_occurrence) AS v{i} ON v{of}.person_id = v{i}.person_id");
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

#[test]
fn scalar_subqueries_that_are_asked_of_values_do_not_double_without_end() {
    let of = |i: usize, row: &str| {
        format!(
            "(SELECT COUNT(*) FROM visit_occurrence AS x{i} WHERE x{i}.person_id = {row}.person_id \
             AND x{i}.visit_start_date < {row}.visit_start_date)"
        )
    };
    let many: Vec<String> = (0..40).map(|i| of(i, "v")).collect();
    let sum = many.join(" + ");
    let beside = format!("SELECT COUNT(*) FROM (SELECT {sum} AS n FROM visit_occurrence AS v) AS t WHERE n > 3");
    assert_eq!(verdict_in_time(beside), "answered");
    let mut chain = "SELECT COUNT(*) FROM visit_occurrence AS v".to_owned();
    for i in 0..12 {
        let subquery = of(i, "v").replace("COUNT(*)", "COUNT(*) AS n");
        chain += &format!(" CROSS JOIN LATERAL {subquery} AS q{i}");
    }
    assert_eq!(verdict_in_time(chain + " WHERE q0.n + q11.n > 3"), "answered");
    let mut nested = "SELECT person_id, visit_start_date FROM visit_occurrence".to_owned();
    for i in 0..14 {
        let row = format!("v{i}");
        nested = format!("SELECT person_id, visit_start_date FROM ({nested}) AS {row} WHERE {} > 1", of(i, &row));
    }
    verdict_in_time(format!("SELECT COUNT(*) FROM ({nested}) AS q"));
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
        "SELECT c.concept_id, x.n FROM vocab.concept AS c, LATERAL (SELECT COUNT(*) AS n FROM person AS p \
         WHERE p.gender_concept_id = c.concept_id) AS x",
    ] {
        assert_eq!(shapes.typed(released).unwrap().releases().len(), 1, "{released}");
    }
    for refused in [
        "SELECT concept_name FROM vocab.concept WHERE concept_id IN (SELECT gender_concept_id FROM person)",
        "SELECT concept_name FROM vocab.concept WHERE concept_id IN (SELECT location_id FROM location)",
        "SELECT c.concept_name FROM vocab.concept AS c WHERE EXISTS (SELECT 1 FROM person AS p \
         WHERE p.gender_concept_id = c.concept_id)",
        "SELECT COUNT(*) OVER () FROM vocab.concept WHERE concept_id = ANY (SELECT gender_concept_id FROM person)",
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

/// Tables of which one cannot be read.
struct Without<'a>(&'a dyn RangedTables, &'static str);

impl RangedTables for Without<'_> {
    fn ranges(&self) -> u32 {
        self.0.ranges()
    }

    fn table(&self, schema: &str, name: &str, range: Option<u32>) -> Result<Arc<dyn TableProvider>, EngineFault> {
        if name == self.1 { Err(EngineFault::Missing) } else { self.0.table(schema, name, range) }
    }

    fn persons(&self, schema: &str, range: u32) -> Result<Option<PersonsOfRange>, EngineFault> {
        self.0.persons(schema, range)
    }
}

#[tokio::test]
async fn what_is_known_from_the_records_alone_is_not_read_before_the_charge() {
    let shapes = Shapes::omop();
    let tables = |name| Without(shapes.tables.as_ref(), name);
    for sql in [
        "SELECT COUNT(*) FROM person p JOIN location l ON l.location_id = p.location_id WHERE l.state = 'Tokyo'",
        "SELECT COUNT(*) FROM person WHERE location_id IN (SELECT location_id FROM location WHERE state = 'Tokyo')",
    ] {
        let analysis = shapes.typed(sql).unwrap();
        assert!(!analysis.public_inputs().is_empty(), "{sql}");
        assert!(shapes.engine.prepare(&analysis, &tables("location")).await.is_ok(), "{sql}");
    }
    let public = "SELECT COUNT(*) FROM person WHERE gender_concept_id IN (SELECT concept_id FROM vocab.concept)";
    let analysis = shapes.typed(public).unwrap();
    assert!(shapes.engine.prepare(&analysis, &tables("concept")).await.is_err(), "the other kind is");
}

/// Whether some row of such a table exists, which may have come with one person, is told by no join that all persons pass.
#[tokio::test]
async fn a_reference_table_is_asked_by_the_link_of_persons_alone() {
    let shapes = Shapes::omop();
    let persons = |condition: &str| format!("SELECT COUNT(*) FROM person p WHERE {condition}");
    let beside = |places: &str| {
        format!("SELECT COUNT(*) FROM person p JOIN ({places}) AS l ON l.id = p.location_id WHERE l.state IS NOT NULL")
    };
    for sql in [
        persons("EXISTS (SELECT 1 FROM location l WHERE l.state = 'Atlantis')"),
        persons("NOT EXISTS (SELECT 1 FROM location l WHERE l.city = 'Atlantis')"),
        persons("'Atlantis' IN (SELECT state FROM location)"),
        persons("p.year_of_birth IN (SELECT location_id FROM location)"),
        persons("(SELECT MIN(l.state) FROM location l WHERE l.city = 'Atlantis') = 'Atlantis'"),
        persons("(SELECT COUNT(*) FROM location l WHERE l.location_id = p.year_of_birth) > 0"),
        persons("EXISTS (SELECT 1 FROM location l WHERE l.location_id >= p.location_id AND l.state = 'Atlantis')"),
        "SELECT COUNT(*) FROM person p CROSS JOIN location l WHERE l.state = 'Atlantis'".to_owned(),
        "SELECT COUNT(*) FROM person p JOIN location l ON l.state = 'Atlantis'".to_owned(),
        "SELECT COUNT(*) FROM person p LEFT JOIN location l ON l.location_id > p.location_id".to_owned(),
        "SELECT COUNT(DISTINCT l.state) FROM person p, location l".to_owned(),
        "SELECT l.state, COUNT(*) FROM person p CROSS JOIN location l GROUP BY l.state".to_owned(),
        // Below the link too, rows are met by links alone.
        beside("SELECT a.location_id AS id, b.state FROM location a CROSS JOIN location b"),
        beside("SELECT a.location_id AS id, b.state FROM location a JOIN location b ON a.city = b.city"),
        beside("SELECT a.location_id AS id, b.state FROM location a, location b WHERE a.state > b.state"),
        beside("SELECT a.location_id AS id, c.care_site_name AS state FROM location a LEFT JOIN care_site c ON c.location_id = a.location_id"),
        beside("SELECT a.location_id AS id, a.state FROM location a WHERE EXISTS (SELECT 1 FROM care_site c WHERE c.location_id = a.location_id)"),
        beside("SELECT location_id AS id, COUNT(*) AS state FROM care_site GROUP BY location_id"),
        beside("SELECT DISTINCT location_id AS id, care_site_name AS state FROM care_site"),
        beside("SELECT care_site_id AS id, care_site_name AS state FROM care_site"),
        beside("SELECT 17 AS id, state FROM location"),
        beside("SELECT COUNT(*) AS id, state FROM location GROUP BY state"),
        beside("SELECT l.location_id AS id, v.s AS state FROM (VALUES ('Atlantis')) v(s) LEFT JOIN location l ON l.state = v.s"),
        "SELECT COUNT(*) FROM person p JOIN location l ON CAST(l.location_id AS DOUBLE) = CAST(p.location_id AS DOUBLE)".to_owned(),
        "SELECT COUNT(*) FROM person p JOIN location l ON l.location_id = p.location_id
         JOIN care_site c ON c.location_id = l.location_id"
            .to_owned(),
        "SELECT COUNT(*) FROM person p JOIN care_site c ON c.care_site_id = p.location_id".to_owned(),
        persons(
            "p.location_id NOT IN (SELECT l.location_id FROM (VALUES ('Atlantis')) v(s) LEFT JOIN location l ON l.state = v.s)",
        ),
        persons(
            "p.care_site_id NOT IN (SELECT c.care_site_id FROM care_site c RIGHT JOIN location l ON l.location_id = \
             c.location_id WHERE l.state = 'Atlantis')",
        ),
        persons(
            "p.care_site_id <> ALL (SELECT c.care_site_id FROM care_site c FULL JOIN location l ON l.location_id = \
             c.location_id WHERE l.state = 'Atlantis')",
        ),
        persons("EXISTS (SELECT 1 FROM care_site c WHERE c.location_id = p.location_id)"),
        persons("(SELECT COUNT(*) FROM care_site c WHERE c.location_id = p.location_id) > 1"),
    ] {
        let refusal = shapes.typed(&sql).err().unwrap_or_else(|| panic!("typed: {sql}"));
        assert_eq!(refusal.code(), "persons_mixed", "{sql}: {refusal}");
    }
    for sql in [
        persons("EXISTS (SELECT 1 FROM location l WHERE l.location_id = p.location_id AND l.state = 'Tokyo')"),
        persons("p.location_id IN (SELECT location_id FROM location WHERE state = 'Tokyo')"),
        persons("(SELECT MIN(l.state) FROM location l WHERE l.location_id = p.location_id) = 'Tokyo'"),
        "SELECT l.state, COUNT(*) FROM visit_occurrence v JOIN care_site c ON c.care_site_id = v.care_site_id
         LEFT JOIN location l ON l.location_id = c.location_id GROUP BY l.state"
            .to_owned(),
        "SELECT COUNT(*) FROM (SELECT person_id, location_id AS place FROM person) p
         JOIN (SELECT location_id AS id, state FROM location WHERE state LIKE 'T%') l ON l.id = p.place"
            .to_owned(),
        "SELECT s.state, COUNT(DISTINCT v.person_id) FROM visit_occurrence v JOIN (
           SELECT c.care_site_id, l.state FROM care_site c LEFT JOIN location l ON l.location_id = c.location_id
         ) s ON s.care_site_id = v.care_site_id GROUP BY s.state"
            .to_owned(),
        "SELECT COUNT(*) FROM visit_occurrence v, provider p, care_site c, location l
         WHERE v.provider_id = p.provider_id AND p.care_site_id = c.care_site_id AND c.location_id = l.location_id
           AND l.state = 'Tokyo'"
            .to_owned(),
        "SELECT c.care_site_id, COUNT(*) FROM visit_occurrence v JOIN care_site c USING (care_site_id) GROUP BY c.care_site_id"
            .to_owned(),
        beside("SELECT l.location_id AS id, v.s AS state FROM (VALUES ('Atlantis')) v(s) JOIN location l ON l.state = v.s"),
        persons("p.location_id NOT IN (SELECT location_id FROM location WHERE state = 'Tokyo')"),
        persons(
            "EXISTS (SELECT 1 FROM care_site c JOIN location l ON l.location_id = c.location_id
             WHERE c.care_site_id = p.care_site_id AND l.state = 'Tokyo')",
        ),
    ] {
        assert!(shapes.typed(&sql).is_ok(), "{sql}: {:?}", shapes.typed(&sql).err());
    }
}

/// What is refused in words, whatever the rows: over rows it would fail, or take memory or time, where a row exists alone.
#[tokio::test]
async fn what_would_fail_or_grow_where_a_row_exists_is_refused_before() {
    let shapes = Shapes::omop();
    let visits = |condition: String| format!("SELECT COUNT(*) FROM visit_occurrence WHERE {condition}");
    let text = "CAST(visit_concept_id AS VARCHAR)";
    let padded = format!("lpad({text}, 1024, 'é')");
    let many = vec![padded.clone(); 51].join(", ");
    let framed = |frame: &str| {
        format!(
            "SELECT COUNT(*) FROM (SELECT COUNT(*) OVER (PARTITION BY person_id ORDER BY visit_start_date {frame}) AS n \
             FROM visit_occurrence) AS w WHERE n > 1"
        )
    };
    let texts = |count: usize, length: usize| {
        let one = |i: usize| format!("rpad({text}, {length}, '{i}é') AS t{i}");
        (0..count).map(one).collect::<Vec<_>>().join(", ")
    };
    let (sixty, eight) = (texts(68, 64), texts(8, 512));
    let firsts = (0..150).map(|i| format!("first_value(visit_concept_id + {i} ORDER BY visit_start_date) AS f{i}"));
    let firsts = firsts.collect::<Vec<_>>().join(", ");
    let seven = texts(7, 512);
    let counted = (0..10).map(|i| format!("COUNT(DISTINCT t{} || '{i}')", i % 7)).collect::<Vec<_>>().join(", ");
    let keys = (0..10).map(|i| format!("t{} || '{i}'", i % 7)).collect::<Vec<_>>().join(", ");
    let compared = (0..8).map(|i| format!("a.t{i} > CAST(c.condition_concept_id AS VARCHAR)")).collect::<Vec<_>>();
    let compared = compared.join(" AND ");
    let nine = (0..9).map(|i| format!("lpad({text}, 1000, '{i}é')")).collect::<Vec<_>>().join(", ");
    let shifted = |call: &str| {
        format!(
            "SELECT COUNT(*) FROM (SELECT {call} OVER (PARTITION BY person_id ORDER BY visit_start_date) AS n \
             FROM visit_occurrence) AS w WHERE n > 1"
        )
    };
    let ranked = "SELECT COUNT(*) FROM (SELECT rank() OVER (PARTITION BY person_id ORDER BY visit_start_date RANGE BETWEEN \
                  INTERVAL '3000000' MONTH PRECEDING AND CURRENT ROW) AS n FROM visit_occurrence) AS w WHERE n > 1";
    let longest = format!(
        "SELECT COUNT(*) FROM (SELECT person_id, STRING_AGG({text}, '{}' ORDER BY visit_start_date) AS path \
         FROM visit_occurrence GROUP BY person_id) AS p WHERE path IS NULL",
        "-".repeat(65)
    );
    let mut wrong = vec![];
    for (code, sql) in [
        ("function_not_allowed", framed("ROWS BETWEEN 18446744073709551615 FOLLOWING AND UNBOUNDED FOLLOWING")),
        (
            "function_not_allowed",
            framed("ROWS BETWEEN 18446744073709551614 FOLLOWING AND 18446744073709551615 FOLLOWING"),
        ),
        ("function_not_allowed", framed("ROWS BETWEEN 18446744073709551615 PRECEDING AND CURRENT ROW")),
        ("function_not_allowed", framed("GROUPS BETWEEN 18446744073709551615 PRECEDING AND CURRENT ROW")),
        ("function_not_allowed", framed("ROWS BETWEEN 65537 PRECEDING AND CURRENT ROW")),
        ("function_not_allowed", ranked.to_owned()),
        ("too_complex", visits(format!("concat({many}) IS NULL"))),
        ("too_complex", visits(format!("({padded} || 'x') IS NULL"))),
        ("too_complex", visits(format!("upper({padded}) IS NULL"))),
        ("too_complex", visits(format!("replace({padded}, '', 'é') IS NULL"))),
        ("too_complex", visits(format!("regexp_replace(lpad({text}, 64, 'a'), '', '{}', 'g') IS NULL", "é".repeat(9)))),
        ("function_not_allowed", visits(format!("regexp_count({padded}, 'a.*b|a') > 1"))),
        ("function_not_allowed", visits(format!("regexp_instr({padded}, 'a.*b|a') > 1"))),
        ("function_not_allowed", visits(format!("regexp_replace({padded}, 'a.*b|a', '', 'g') = ''"))),
        ("function_not_allowed", visits(format!("{text} LIKE '{}'", "_".repeat(2000)))),
        ("function_not_allowed", visits(format!("{padded} ~ '(\\w\\W?){{30,60}}z'"))),
        (
            "too_complex",
            visits(format!("CASE WHEN visit_concept_id > 3 THEN '{}' ELSE {text} END > '4'", "5".repeat(5000))),
        ),
        ("too_complex", visits(format!("strpos('{}', {text}) > 0", "5".repeat(5000)))),
        ("too_complex", visits(format!("btrim({text}, '{}') = ''", "5".repeat(5000)))),
        (
            "too_complex",
            format!(
                "SELECT COUNT(*) FROM visit_occurrence v CROSS JOIN (VALUES ('{}')) AS l(t) WHERE l.t > {text}",
                "5".repeat(5000)
            ),
        ),
        (
            "too_complex",
            format!(
                "SELECT COUNT(*) FROM visit_occurrence v CROSS JOIN (VALUES ('{}')) AS l(t) WHERE (l.t || {text}) > '5'",
                "5".repeat(4095)
            ),
        ),
        ("too_complex", format!("SELECT COUNT(*) FROM (SELECT DISTINCT person_id, {nine} FROM visit_occurrence) AS d")),
        (
            "too_complex",
            format!("SELECT COUNT(*) FROM (SELECT DISTINCT person_id, {sixty} FROM visit_occurrence) AS d"),
        ),
        ("too_complex", format!("SELECT COUNT(*) FROM (SELECT person_id, {sixty} FROM visit_occurrence) AS d")),
        ("too_complex", format!("SELECT {counted} FROM (SELECT person_id, {seven} FROM visit_occurrence) AS d")),
        (
            "too_complex",
            format!(
                "SELECT {keys}, COUNT(*) FROM (SELECT person_id, {seven} FROM visit_occurrence) AS d GROUP BY {keys}"
            ),
        ),
        (
            "too_complex",
            format!(
                "SELECT COUNT(*) FROM (SELECT person_id, {firsts} FROM visit_occurrence GROUP BY person_id, visit_occurrence_id) d"
            ),
        ),
        (
            "too_complex",
            format!(
                "SELECT COUNT(*) FROM (SELECT person_id, {eight} FROM visit_occurrence UNION ALL SELECT person_id, {eight} \
                 FROM visit_occurrence) a FULL JOIN person b ON a.person_id = b.person_id"
            ),
        ),
        (
            "too_complex",
            format!(
                "SELECT COUNT(*) FROM (SELECT v.*, {eight} FROM visit_occurrence v) a WHERE (SELECT COUNT(*) FROM \
                 condition_occurrence c WHERE c.person_id = a.person_id AND {compared}) > 1"
            ),
        ),
        (
            "too_complex",
            format!(
                "SELECT COUNT(*) FROM (SELECT person_id, COUNT(*) FROM visit_occurrence GROUP BY person_id, {nine}) AS d"
            ),
        ),
        ("function_not_allowed", shifted("nth_value(visit_concept_id, 9000) IGNORE NULLS")),
        ("function_not_allowed", shifted("lag(visit_concept_id, 9000) IGNORE NULLS")),
        ("function_not_allowed", shifted("lead(visit_concept_id) IGNORE NULLS")),
        ("function_not_allowed", longest),
    ] {
        let verdict = shapes.verdict(&sql).await;
        if !verdict.starts_with(&format!("{code}:")) {
            wrong.push(format!("{verdict}\n    {}", sql.chars().take(300).collect::<String>()));
        }
    }
    // What people write is far from all of it.
    for sql in [
        framed("ROWS BETWEEN 65536 PRECEDING AND 3 FOLLOWING"),
        visits(format!("concat({text}, ' ', CAST(visit_start_date AS VARCHAR), ' ', {text}) LIKE '9%'")),
        visits(format!("upper(lower({text} || '-' || {text})) = 'X'")),
        visits(format!("regexp_count({text}, '[0-9]') > 3 AND regexp_replace({text}, '0+', '', 'g') = '92'")),
        "SELECT COUNT(*) FROM condition_occurrence o JOIN concept c ON c.concept_id = o.condition_concept_id \
         WHERE lower(concat(c.concept_name, ' ', c.vocabulary_id)) LIKE '%diabetes%'"
            .to_owned(),
        "SELECT path, COUNT(*) FROM (SELECT person_id, STRING_AGG(drug_concept_id::text, ' > ' ORDER BY \
         drug_era_start_date) || '.' AS path FROM drug_era GROUP BY person_id) t GROUP BY path"
            .to_owned(),
    ] {
        let verdict = shapes.verdict(&sql).await;
        if verdict != "answered" {
            wrong.push(format!("{verdict}\n    {sql}"));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn dates_that_leave_the_calendar_on_every_day_keep_nobody_busy_before_the_charge() {
    let shifted = |index: u32| format!("DATEADD(month, {}, visit_start_date)", 2_147_483_647 - index);
    let nulls: Vec<String> = (0..40).map(|index| format!("{} IS NULL", shifted(index))).collect();
    let columns: Vec<String> = (0..40).map(|index| format!("{} AS d{index}", shifted(index))).collect();
    let texts: Vec<String> = (0..40).map(|index| format!("CAST({} AS VARCHAR) AS t{index}", shifted(index))).collect();
    for sql in [
        format!("SELECT COUNT(*) FROM visit_occurrence WHERE {}", nulls.join(" AND ")),
        format!("SELECT COUNT(d39) FROM (SELECT person_id, {} FROM visit_occurrence) AS v", columns.join(", ")),
        format!("SELECT COUNT(t39) FROM (SELECT person_id, {} FROM visit_occurrence) AS v", texts.join(", ")),
    ] {
        let began = Instant::now();
        verdict_in_time(sql);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
}
