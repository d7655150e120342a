//! Is whatever must not pass refused by its name, on record, without charge and in no words but ours?

use std::collections::{BTreeMap, BTreeSet};

use sekisho::{
    record::Permit,
    terms::{Language, Position, Refusal},
};

use super::house::{House, PASSWORD, wide};

/// What the engine and its parts say of themselves; none of it may ever be read outside.
const WORDS_OF_THE_ENGINE: [&str; 24] = [
    "DataFusion",
    "Arrow",
    "Parquet",
    "Schema error",
    "Plan(",
    "Utf8",
    "Int64",
    "Float64",
    "Date32",
    "LogicalPlan",
    "TableScan",
    "Projection",
    "coerc",
    "logical_expr",
    "sqlparser",
    "ParserError",
    "Expected",
    "found:",
    "This feature",
    "Internal error",
    "cannot be cast",
    "Cannot cast",
    "physical",
    "__sekisho",
];

fn in_our_words(refusal: &Refusal, of: &str) {
    for language in [Language::En, Language::Ja] {
        let text = refusal.sentence(language);
        // What the caller wrote may come back.
        for word in WORDS_OF_THE_ENGINE.iter().filter(|word| !of.contains(*word)) {
            assert!(!text.contains(word), "{of}\n{text}");
        }
    }
}

fn bad_questions() -> Vec<(String, &'static str)> {
    let deep = format!("SELECT {}1{} FROM demo.person", "(".repeat(3_000), ")".repeat(3_000));
    let nested = (0..40).fold("SELECT 1 AS x".to_owned(), |inner, _| format!("SELECT x FROM ({inner}) q"));
    let huge = format!("SELECT COUNT(*) FROM demo.person WHERE year_of_birth IN ({}1)", "1,".repeat(40_000));
    let many = (0..10_000).map(|i| format!("1 AS c{i}")).collect::<Vec<_>>().join(",");
    let columns = format!("SELECT {many}");
    let fewer = (0..300).map(|i| format!("COUNT(*) AS c{i}")).collect::<Vec<_>>().join(",");
    let fixed = [
        // Not SQL, or not a question.
        ("", "not_sql"),
        ("hello", "not_sql"),
        ("SELECT 1 FROM", "not_sql"),
        ("SELECT 'open", "not_sql"),
        ("SELECT 1; SELECT 2", "not_a_question"),
        ("CREATE TABLE t AS SELECT * FROM demo.person", "not_a_question"),
        ("CREATE VIEW v AS SELECT * FROM demo.person", "not_a_question"),
        ("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '/tmp'", "not_a_question"),
        ("DROP TABLE demo.person", "not_a_question"),
        ("ALTER TABLE demo.person ADD COLUMN a INT", "not_a_question"),
        ("INSERT INTO demo.person VALUES (1)", "not_a_question"),
        ("UPDATE demo.person SET year_of_birth = 1", "not_a_question"),
        ("DELETE FROM demo.person", "not_a_question"),
        ("COPY demo.person TO '/tmp/out.csv'", "not_a_question"),
        ("COPY (SELECT 1) TO '/tmp/out.csv'", "not_a_question"),
        ("SET datafusion.execution.batch_size = 1", "not_a_question"),
        ("SET TIME ZONE 'Asia/Tokyo'", "not_a_question"),
        ("SHOW TABLES", "not_a_question"),
        ("SHOW datafusion.execution.batch_size", "not_a_question"),
        ("PREPARE p AS SELECT 1", "not_a_question"),
        ("BEGIN", "not_a_question"),
        ("SELECT * INTO t FROM demo.person", "not_a_question"),
        ("SELECT 1 AS a INTO t", "not_a_question"),
        // Tables that are not there.
        ("SELECT * FROM 'file.parquet'", "unknown_table"),
        ("SELECT * FROM \"/etc/passwd\"", "unknown_table"),
        ("SELECT * FROM '/srv/data/v1/person/r0000.parquet'", "unknown_table"),
        ("SELECT * FROM read_parquet('/tmp/x')", "function_not_allowed"),
        ("SELECT * FROM information_schema.tables", "unknown_table"),
        ("SELECT * FROM information_schema.df_settings", "unknown_table"),
        ("SELECT * FROM pg_catalog.pg_class", "unknown_table"),
        ("SELECT * FROM generate_series(1, 1000000000)", "function_not_allowed"),
        ("SELECT COUNT(*) FROM demo.nothing", "unknown_table"),
        ("SELECT COUNT(*) FROM demo.cost", "unknown_table"),
        ("SELECT COUNT(*) FROM demo.note_nlp", "unknown_table"),
        ("SELECT COUNT(person_source_value) FROM demo.person", "unknown_column"),
        ("SELECT COUNT(nothing) FROM demo.person", "unknown_column"),
        // Rows.
        ("SELECT * FROM demo.person", "rows_not_released"),
        ("SELECT person_id FROM demo.person", "rows_not_released"),
        ("SELECT year_of_birth FROM demo.person WHERE person_id = 1", "function_not_allowed"),
        ("SELECT p.* FROM demo.person p JOIN demo.death d ON d.person_id = p.person_id", "rows_not_released"),
        ("SELECT person_id, COUNT(*) FROM demo.visit_occurrence GROUP BY person_id", "rows_not_released"),
        ("WITH r AS (SELECT * FROM demo.person) SELECT * FROM r", "rows_not_released"),
        ("SELECT * FROM demo.person ORDER BY year_of_birth LIMIT 1", "persons_mixed"),
        ("SELECT year_of_birth FROM demo.person LIMIT 1", "persons_mixed"),
        ("SELECT visit_occurrence_id, COUNT(*) FROM demo.visit_occurrence GROUP BY 1", "rows_not_released"),
        ("SELECT visit_occurrence_id, COUNT(*) FROM demo.drug_exposure GROUP BY 1", "function_not_allowed"),
        ("SELECT MAX(gender_source_value) FROM demo.person", "unknown_column"),
        ("SELECT bool_or(year_of_birth > 1990) FROM demo.person", "function_not_allowed"),
        ("SELECT MAX(value_as_number) FROM demo.measurement", "bound_missing"),
        ("SELECT MEDIAN(value_as_number) FROM demo.measurement", "bound_missing"),
        ("SELECT SUM(DISTINCT year_of_birth) FROM demo.person", "function_not_allowed"),
        ("SELECT AVG(DISTINCT year_of_birth) FROM demo.person", "function_not_allowed"),
        ("SELECT percentile_cont(1.5) WITHIN GROUP (ORDER BY year_of_birth) FROM demo.person", "function_not_allowed"),
        ("SELECT COUNT(*) FROM demo.person WHERE CAST(year_of_birth AS TEXT) ~ '('", "function_not_allowed"),
        ("SELECT MIN(person_id) FROM demo.person", "function_not_allowed"),
        ("SELECT SUM(person_id) FROM demo.person", "function_not_allowed"),
        ("SELECT array_agg(year_of_birth) FROM demo.person", "function_not_allowed"),
        ("SELECT string_agg(CAST(year_of_birth AS TEXT), ',') FROM demo.person", "function_not_allowed"),
        ("SELECT first_value(year_of_birth) FROM demo.person", "function_not_allowed"),
        // Persons mixed.
        ("SELECT COUNT(*) FROM demo.person p CROSS JOIN demo.death d", "persons_mixed"),
        (
            "SELECT COUNT(*) FROM demo.person p JOIN demo.death d ON p.year_of_birth = d.cause_concept_id",
            "persons_mixed",
        ),
        (
            "SELECT COUNT(*) FROM demo.person p LEFT JOIN demo.death d ON p.year_of_birth = d.cause_concept_id",
            "persons_mixed",
        ),
        (
            "SELECT COUNT(*) FROM vocab.concept c LEFT JOIN demo.person p ON p.gender_concept_id = c.concept_id",
            "persons_mixed",
        ),
        ("SELECT COUNT(*) FROM (SELECT * FROM demo.person LIMIT 10) q", "persons_mixed"),
        (
            "SELECT gender_concept_id, COUNT(*) FROM demo.person GROUP BY ROLLUP (person_id), gender_concept_id",
            "persons_mixed",
        ),
        (
            "SELECT SUM(r) FROM (SELECT row_number() OVER (ORDER BY year_of_birth) AS r FROM demo.person) q",
            "persons_mixed",
        ),
        (
            "SELECT COUNT(*) FROM demo.person WHERE year_of_birth = (SELECT year_of_birth FROM demo.person)",
            "function_not_allowed",
        ),
        (
            "SELECT COUNT(*) FROM demo.person WHERE year_of_birth IN (SELECT year_of_birth FROM demo.person)",
            "persons_mixed",
        ),
        ("SELECT (SELECT year_of_birth FROM demo.person)", "function_not_allowed"),
        (
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT COUNT(*) FROM r",
            "function_not_allowed",
        ),
        ("SELECT state, COUNT(*) FROM demo.location GROUP BY state", "persons_mixed"),
        // Functions, bounds, groups.
        ("SELECT COUNT(*) FROM demo.person WHERE random() > 0.5", "function_not_allowed"),
        ("SELECT COUNT(*) FROM demo.person WHERE repeat('a', year_of_birth) = 'a'", "function_not_allowed"),
        ("SELECT nosuch(year_of_birth) FROM demo.person", "function_not_allowed"),
        ("SELECT version()", "function_not_allowed"),
        ("SELECT arrow_typeof(1)", "function_not_allowed"),
        ("SELECT AVG(value_as_number) FROM demo.measurement", "bound_missing"),
        ("SELECT SUM(value_as_number) FROM demo.measurement", "bound_missing"),
        ("SELECT year_of_birth, gender_concept_id FROM demo.person GROUP BY 1", "not_a_question"),
        ("SELECT COUNT(*) AS __sekisho_owner FROM demo.person", "not_a_question"),
        ("SELECT COUNT(*) FROM demo.person, sekisho.my_budget", "not_granted"),
        ("SELECT * FROM audit.entries", "unknown_table"),
    ];
    let mut all: Vec<_> = fixed.into_iter().map(|(sql, code)| (sql.to_owned(), code)).collect();
    all.extend([
        (deep, "too_complex"),
        (nested, "too_complex"),
        (huge, "too_complex"),
        (columns, "too_complex"),
        (format!("SELECT {fewer} FROM demo.person"), "too_complex"),
    ]);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_question_is_refused_recorded_and_free() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let mut wrong = vec![];
    for (sql, code) in bad_questions() {
        let before = house.count("refusal");
        let shown: String = sql.chars().take(120).collect();
        match asker.try_ask(&sql).await {
            Ok(_) => wrong.push(format!("{shown}\n    answered, not {code}")),
            Err(refusal) => {
                in_our_words(&refusal, &sql);
                if refusal.code() != code {
                    wrong.push(format!("{shown}\n    {refusal:?}, not {code}"));
                }
                assert_eq!(house.count("refusal"), before + 1, "{shown} is not on record");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(house.spent_of_permit("P-WIDE"), 0.0);
    assert_eq!(house.count("admission"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shape_of_a_bad_question_is_refused_as_the_question_is() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    for (sql, code) in bad_questions() {
        let refusal = house.gateway.shape(&asker.session, &sql).await;
        let shown: String = sql.chars().take(120).collect();
        assert_eq!(refusal.err().map(|r| r.code()), Some(code), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_signed_in_gets_one_answer_for_every_reason() {
    let house = House::new().await;
    for (name, password) in
        [("hanako", "wrong"), ("nobody", PASSWORD), ("", ""), ("hanako' OR 1=1", PASSWORD), ("user:hanako", PASSWORD)]
    {
        let refusal = house.gateway.sign_in(name, password).await.unwrap_err();
        assert_eq!(refusal, Refusal::NotSignedIn, "{name}");
    }
    assert_eq!(house.count("login_refused"), 5);
    let token = house.gateway.sign_in("hanako", PASSWORD).await.unwrap();
    let mut tampered = token.clone().into_bytes();
    let last = tampered.len() - 1;
    tampered[last] = if tampered[last] == b'A' { b'B' } else { b'A' };
    for bad in ["", "x", &String::from_utf8(tampered).unwrap(), &token[1..]] {
        assert_eq!(house.gateway.authenticate(bad).await.err(), Some(Refusal::NotSignedIn));
    }
    house.gateway.authenticate(&token).await.unwrap();
    house.later(std::time::Duration::from_secs(7 * 86_400));
    assert_eq!(house.gateway.authenticate(&token).await.err(), Some(Refusal::NotSignedIn), "expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_account_and_a_signed_out_session_are_out_at_once() {
    let house = House::new().await;
    let token = house.gateway.sign_in("hanako", PASSWORD).await.unwrap();
    let session = house.gateway.authenticate(&token).await.unwrap();
    house.gateway.sign_out(&session).await;
    assert!(house.gateway.authenticate(&token).await.is_err());
    let token = house.gateway.sign_in("hanako", PASSWORD).await.unwrap();
    let operator = house.sign_in("operator").await;
    let disable = serde_json::json!({"name": "hanako"});
    house.gateway.administer(&operator.session, "account.disable", disable).await.unwrap();
    assert!(house.gateway.authenticate(&token).await.is_err());
    assert_eq!(house.gateway.sign_in("hanako", PASSWORD).await.err(), Some(Refusal::NotSignedIn));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_permit_of_ones_own_nothing_about_persons_is_answered() {
    let house = House::new().await;
    let question = "SELECT COUNT(*) FROM demo.person";
    let kei = house.sign_in("kei").await;
    assert_eq!(kei.refusal(question).await.code(), "no_permit");
    for (name, permit, code) in [
        ("kei", "P-WIDE", "permit_not_active"),
        ("kei", "P-NOWHERE", "permit_not_active"),
        ("jiro", "P-WIDE", "permit_not_active"),
        ("reviewer", "P-WIDE", "permit_not_active"),
    ] {
        assert_eq!(house.asker(name, permit).await.refusal(question).await.code(), code, "{name} {permit}");
    }
    for name in ["reviewer", "auditor", "custodian", "operator"] {
        assert_eq!(house.sign_in(name).await.refusal(question).await.code(), "role_not_allowed", "{name}");
    }
}

/// hanako may group by sex, average the year of birth, filter by condition, count visits.
fn narrow() -> Permit {
    let of = |positions: &[Position]| BTreeSet::from_iter(positions.iter().copied());
    let mut permit = wide("P-NARROW", "hanako");
    permit.grants = BTreeMap::from([
        (
            "demo.person".to_owned(),
            BTreeMap::from([
                ("person_id".to_owned(), of(&Position::ALL)),
                ("gender_concept_id".to_owned(), of(&[Position::Group])),
                ("year_of_birth".to_owned(), of(&[Position::Aggregate])),
            ]),
        ),
        (
            "demo.condition_occurrence".to_owned(),
            BTreeMap::from([
                ("person_id".to_owned(), of(&Position::ALL)),
                ("condition_concept_id".to_owned(), of(&[Position::Filter])),
            ]),
        ),
        ("demo.visit_occurrence".to_owned(), BTreeMap::new()),
    ]);
    permit
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_is_refused_by_name_in_every_position_that_the_permit_does_not_list() {
    let house = House::new().await;
    house.grant(narrow()).await;
    let asker = house.asker("hanako", "P-NARROW").await;
    for sql in [
        "SELECT gender_concept_id, AVG(year_of_birth) FROM demo.person GROUP BY 1",
        "SELECT COUNT(*) FROM demo.visit_occurrence",
        "SELECT p.gender_concept_id, COUNT(*) FROM demo.person p JOIN demo.condition_occurrence c
            ON c.person_id = p.person_id WHERE c.condition_concept_id = 201826 GROUP BY 1",
    ] {
        asker.ask(sql).await;
    }
    let spent = house.spent_of_permit("P-NARROW");
    for (what, sql, named) in [
        ("select", "SELECT AVG(month_of_birth) FROM demo.person", "demo.person.month_of_birth (aggregate)"),
        ("aggregate", "SELECT AVG(gender_concept_id) FROM demo.person", "demo.person.gender_concept_id (aggregate)"),
        (
            "filter",
            "SELECT COUNT(*) FROM demo.person WHERE gender_concept_id = 8507",
            "demo.person.gender_concept_id (filter)",
        ),
        (
            "filter of an aggregate",
            "SELECT COUNT(*) FILTER (WHERE year_of_birth > 1950) FROM demo.person",
            "demo.person.year_of_birth (filter)",
        ),
        ("group", "SELECT year_of_birth, COUNT(*) FROM demo.person GROUP BY 1", "demo.person.year_of_birth (group)"),
        (
            "group by an expression",
            "SELECT year_of_birth / 10, COUNT(*) FROM demo.person GROUP BY 1",
            "demo.person.year_of_birth (group)",
        ),
        (
            "join",
            "SELECT COUNT(*) FROM demo.person p JOIN demo.condition_occurrence c
            ON c.person_id = p.person_id AND c.condition_concept_id = p.race_concept_id",
            "demo.person.race_concept_id (filter)",
        ),
        (
            "subquery",
            "SELECT g, COUNT(*) FROM (SELECT person_id, year_of_birth AS g FROM demo.person) q GROUP BY g",
            "demo.person.year_of_birth (group)",
        ),
        (
            "CTE",
            "WITH q AS (SELECT person_id, race_concept_id AS r FROM demo.person) SELECT COUNT(*) FROM q WHERE r = 0",
            "demo.person.race_concept_id (filter)",
        ),
        ("alias", "SELECT AVG(q.day_of_birth) FROM demo.person AS q", "demo.person.day_of_birth (aggregate)"),
        (
            "having",
            "SELECT gender_concept_id FROM demo.person GROUP BY 1 HAVING AVG(month_of_birth) > 6",
            "demo.person.month_of_birth (aggregate)",
        ),
        (
            "case",
            "SELECT AVG(CASE WHEN year_of_birth > 1950 THEN 1 ELSE 0 END) FROM demo.person WHERE day_of_birth > 3",
            "demo.person.day_of_birth (filter)",
        ),
        ("table", "SELECT COUNT(*) FROM demo.death", "demo.death"),
        (
            "column of a table that may only be counted",
            "SELECT COUNT(*) FROM demo.visit_occurrence WHERE visit_concept_id = 9201",
            "demo.visit_occurrence.visit_concept_id (filter)",
        ),
        (
            "key",
            "SELECT COUNT(DISTINCT person_id) FROM demo.visit_occurrence",
            "demo.visit_occurrence.person_id (aggregate)",
        ),
    ] {
        let refusal = asker.refusal(sql).await;
        assert!(matches!(&refusal, Refusal::NotGranted { what } if what.contains(named)), "{what}: {refusal}");
        in_our_words(&refusal, sql);
    }
    assert_eq!(house.spent_of_permit("P-NARROW"), spent);
    let wide = house.asker("hanako", "P-WIDE").await;
    wide.ask("SELECT COUNT(*) FROM demo.person WHERE gender_concept_id = 8507").await;
    let kept = asker.refusal("SELECT COUNT(*) FROM demo.person WHERE gender_concept_id = 8507").await;
    assert_eq!(kept.code(), "not_granted", "an answer kept under another permit opens nothing");
}

/// What hanako may do with years of birth and with measured values under `id`: only this.
fn only(id: &str, position: Position) -> Permit {
    let of = |column: &str| {
        let own = BTreeSet::from([position]);
        BTreeMap::from([("person_id".to_owned(), BTreeSet::from(Position::ALL)), (column.to_owned(), own)])
    };
    let mut permit = wide(id, "hanako");
    permit.grants = BTreeMap::from([
        ("demo.person".to_owned(), of("year_of_birth")),
        ("demo.measurement".to_owned(), of("value_as_number")),
    ]);
    permit
}

#[tokio::test(flavor = "multi_thread")]
async fn no_detour_leads_a_column_out_of_the_one_position_that_the_permit_lists() {
    const FIRST: &str = "(SELECT q.year_of_birth FROM demo.person q WHERE q.person_id = p.person_id \
                         ORDER BY q.year_of_birth LIMIT 1)";
    const GREATEST: &str = "(SELECT MAX(q.year_of_birth) FROM demo.person q WHERE q.person_id = p.person_id)";
    const GREATEST_OF_EACH: &str =
        "(SELECT person_id, MAX(year_of_birth) AS y FROM demo.person GROUP BY person_id) AS r";
    let first_of_each = format!("(SELECT p.person_id, {FIRST} AS y FROM demo.person p) AS r");
    let greatest_of_each = format!("(SELECT p.person_id, {GREATEST} AS y FROM demo.person p) AS r");
    let plain = |sql: &str| sql.to_owned();
    let (filter, aggregate) = (Position::Filter, Position::Aggregate);
    let house = House::new().await;
    for position in [filter, aggregate] {
        house.grant(only(&format!("P-{position}").to_uppercase(), position)).await;
    }
    let [filters, aggregates] = ["P-FILTER", "P-AGGREGATE"];
    for (permit, sql) in [
        (filters, "SELECT COUNT(*) FROM demo.person WHERE year_of_birth > 1950"),
        (filters, "SELECT COUNT(DISTINCT person_id) FROM demo.person WHERE year_of_birth > 1950"),
        (aggregates, "SELECT AVG(year_of_birth) FROM demo.person"),
        (aggregates, "SELECT COUNT(DISTINCT person_id) FROM demo.measurement"),
        (aggregates, "SELECT COUNT(year_of_birth), COUNT(DISTINCT year_of_birth) FROM demo.person"),
    ] {
        house.asker("hanako", permit).await.ask(sql).await;
    }
    let spent = [filters, aggregates].map(|permit| house.spent_of_permit(permit));
    let years = "demo.person.year_of_birth";
    for (permit, named, sql) in [
        (filters, format!("{years} (aggregate)"), format!("SELECT SUM({FIRST}) FROM demo.person p")),
        (filters, format!("{years} (aggregate)"), format!("SELECT AVG({FIRST}) FROM demo.person p")),
        (filters, format!("{years} (group)"), format!("SELECT y, COUNT(*) FROM {first_of_each} GROUP BY y")),
        (
            filters,
            plain("demo.measurement.value_as_number (aggregate)"),
            plain(
                "SELECT MEDIAN((SELECT m.value_as_number FROM demo.measurement m WHERE m.person_id = p.person_id \
                 ORDER BY m.value_as_number LIMIT 1)) FROM demo.person p",
            ),
        ),
        (
            filters,
            format!("{years} (group)"),
            plain("SELECT DISTINCT year_of_birth FROM demo.person WHERE year_of_birth > 0"),
        ),
        (
            filters,
            format!("{years} (group)"),
            plain(
                "SELECT year_of_birth FROM demo.person WHERE year_of_birth > 0 \
                 UNION SELECT year_of_birth FROM demo.person WHERE year_of_birth > 0",
            ),
        ),
        (
            filters,
            format!("{years} (group)"),
            plain("SELECT COUNT(*) FROM (SELECT DISTINCT year_of_birth FROM demo.person WHERE year_of_birth > 0) AS q"),
        ),
        (
            filters,
            format!("{years} (group)"),
            plain(
                "SELECT v.n, COUNT(*) FROM demo.person p JOIN (VALUES (1950), (1951)) AS v(n) \
                 ON p.year_of_birth = v.n GROUP BY v.n",
            ),
        ),
        (aggregates, format!("{years} (group)"), format!("SELECT y, COUNT(*) FROM {greatest_of_each} GROUP BY y")),
        (
            aggregates,
            format!("{years} (filter)"),
            format!("SELECT COUNT(*) FROM demo.person p WHERE {GREATEST} > 1950"),
        ),
        (aggregates, format!("{years} (group)"), format!("SELECT DISTINCT y FROM {GREATEST_OF_EACH}")),
        (
            aggregates,
            format!("{years} (filter)"),
            plain("SELECT SUM(CASE WHEN year_of_birth = 1950 THEN 1 ELSE 0 END) FROM demo.person"),
        ),
        // Conditions written as arithmetic: a logarithm or a root is there for some values alone.
        (aggregates, format!("{years} (filter)"), plain("SELECT COUNT(ln(year_of_birth - 1950)) FROM demo.person")),
        (aggregates, format!("{years} (filter)"), plain("SELECT COUNT(NULLIF(year_of_birth, 1950)) FROM demo.person")),
        (
            aggregates,
            format!("{years} (filter)"),
            plain("SELECT COUNT(l) FROM (SELECT person_id, sqrt(year_of_birth - 1950) AS l FROM demo.person) AS q"),
        ),
    ] {
        let refusal = house.asker("hanako", permit).await.refusal(&sql).await;
        let by_name = matches!(&refusal, Refusal::NotGranted { what } if what.contains(&named));
        assert!(by_name, "{permit}: {refusal}, not {named}\n    {sql}");
        in_our_words(&refusal, &sql);
    }
    assert_eq!([filters, aggregates].map(|permit| house.spent_of_permit(permit)), spent);
}

#[tokio::test(flavor = "multi_thread")]
async fn administration_is_for_its_roles_and_refusals_of_it_are_on_record() {
    let house = House::new().await;
    let permit = serde_json::to_value(wide("P-OWN", "hanako")).unwrap();
    let account = serde_json::json!({"name": "eve", "roles": ["analyst"], "password": "a long password for eve"});
    let number = serde_json::json!({"entry": 0});
    for (who, verb, body) in [
        ("hanako", "permit.grant", permit.clone()),
        ("operator", "permit.grant", permit),
        ("hanako", "account.add", account),
        ("hanako", "account.list", serde_json::json!({})),
        (
            "reviewer",
            "data.activate",
            serde_json::json!({"dataset": "demo", "version": 2, "manifest_mac": "00", "source": "synth"}),
        ),
        ("hanako", "audit.export", serde_json::json!({"name": "mine"})),
        ("operator", "audit.receipt", number),
    ] {
        let before = house.count("refusal");
        let asker = house.sign_in(who).await;
        let refusal = house.gateway.administer(&asker.session, verb, body).await.unwrap_err();
        assert_eq!(refusal.code(), "role_not_allowed", "{who} {verb}");
        assert_eq!(house.count("refusal"), before + 1);
    }
    let reviewer = house.sign_in("reviewer").await;
    let mut spoilt = wide("P-SPOILT", "hanako");
    spoilt
        .grants
        .insert("demo.person".into(), BTreeMap::from([("person_source_value".into(), BTreeSet::from(Position::ALL))]));
    let spoilt = serde_json::to_value(spoilt).unwrap();
    assert!(house.gateway.administer(&reviewer.session, "permit.grant", spoilt).await.is_err());
    let mut unbeneficial = serde_json::to_value(wide("P-ADS", "hanako")).unwrap();
    unbeneficial["purpose"] = "advertising".into();
    assert!(house.gateway.administer(&reviewer.session, "permit.grant", unbeneficial).await.is_err());
    assert!(house.gateway.administer(&reviewer.session, "no.such", serde_json::json!({})).await.is_err());
}
