//! Is there any door beside the one?

use super::{Field, Finding, arena::Wanted, finding::Checks, wire::Wire};
use crate::cli::{Stop, client::ClientFault};

/// Functions with a state, a will or an eye of their own.
pub(super) async fn functions(field: &mut Field) -> Result<Finding, Stop> {
    let eve = field.eve().await?;
    let mut checks = Checks::default();
    for expression in [
        "random() > 0.5",
        "uuid() = 'x'",
        "CAST(random() * 10 AS INT) = year_of_birth",
        "version() = 'x'",
        "arrow_typeof(year_of_birth) = 'Int64'",
        "nextval('s') > 0",
        "pg_sleep(1) IS NULL",
        "sleep(1) = 0",
        "my_function(year_of_birth) > 0",
        "repeat('a', year_of_birth) = 'a'",
        "current_setting('x') = 'y'",
        "setseed(0.5) IS NULL",
        "sha256(CAST(random() AS TEXT)) IS NULL",
        "array_length(make_array(year_of_birth, random())) > 0",
    ] {
        let sql = format!("SELECT COUNT(*) AS n FROM person WHERE {expression}");
        let met = eve.code(&sql).await?;
        checks.that(["function_not_allowed", "not_sql", "unknown_column"].contains(&met.as_str()), || {
            format!("{expression}: {met}")
        });
    }
    for sql in [
        "CREATE FUNCTION f(x INT) RETURNS INT AS 'x'",
        "CREATE FUNCTION f(x INT) RETURNS INT LANGUAGE plrust AS 'x'",
        "DROP FUNCTION f",
        "CREATE MACRO f(x) AS x",
        "CALL f(1)",
        "EXECUTE f(1)",
        "DECLARE c CURSOR FOR SELECT 1",
    ] {
        let met = eve.code(sql).await?;
        checks.that(["not_a_question", "not_sql"].contains(&met.as_str()), || format!("{sql}: {met}"));
    }
    // now() is the date of the data version and does not run.
    let first = eve.ask("SELECT now() AS n, current_date AS d").await?;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let later = eve.ask("SELECT now() AS n, current_date AS d").await?;
    checks.that(first.rows() == later.rows(), || "now() runs".into());
    Ok(Finding::checks("volatile, stateful, user-defined functions", checks))
}

const SQL: [(&str, &[&str]); 2] = [
    (
        "not_a_question",
        &[
            "CREATE TABLE t AS SELECT * FROM person",
            "CREATE VIEW v AS SELECT * FROM person",
            "CREATE TEMPORARY VIEW v AS SELECT * FROM person",
            "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 'data/demo'",
            "CREATE SCHEMA s",
            "CREATE DATABASE d",
            "DROP TABLE person",
            "DROP VIEW IF EXISTS v",
            "ALTER TABLE person ADD COLUMN a INT",
            "INSERT INTO person VALUES (1)",
            "UPDATE person SET year_of_birth = 1",
            "DELETE FROM person",
            "TRUNCATE TABLE person",
            "MERGE INTO person USING death ON 1 = 1 WHEN MATCHED THEN DELETE",
            "COPY person TO 'out.parquet'",
            "COPY (SELECT * FROM person) TO 'out.csv'",
            "SET datafusion.execution.batch_size = 1",
            "SET datafusion.catalog.information_schema = true",
            "SET TIME ZONE 'Asia/Tokyo'",
            "RESET ALL",
            "SHOW TABLES",
            "SHOW ALL TABLES",
            "SHOW datafusion.execution.batch_size",
            "DESCRIBE person",
            "ANALYZE TABLE person",
            "PREPARE p AS SELECT 1",
            "EXECUTE p",
            "BEGIN",
            "COMMIT",
            "SELECT * INTO t FROM person",
            "SELECT 1; SELECT * FROM person",
            "EXPLAIN ANALYZE SELECT COUNT(*) FROM person",
            "GRANT SELECT ON person TO eve",
            "LOAD DATA LOCAL INPATH 'x' INTO TABLE person",
            "ATTACH 'x' AS y",
            "KILL 1",
        ],
    ),
    (
        "",
        &[
            "SELECT * FROM 'file.parquet'",
            "SELECT * FROM \"/etc/passwd\"",
            "SELECT * FROM 'data/demo/v1/person/r0000.parquet'",
            "SELECT * FROM \"books.db\"",
            "SELECT * FROM 'https://example.org/x.csv'",
            "SELECT * FROM read_parquet('x')",
            "SELECT * FROM parquet_metadata('x')",
            "SELECT * FROM generate_series(1, 1000000000)",
            "SELECT * FROM information_schema.tables",
            "SELECT * FROM information_schema.df_settings",
            "SELECT * FROM information_schema.columns",
            "SELECT * FROM pg_catalog.pg_class",
            "SELECT * FROM sqlite_master",
            "SELECT * FROM datafusion.information_schema.views",
            "SELECT * FROM audit.entries",
            "SELECT * FROM audit.ledger",
            "SELECT * FROM main.entries",
            "SELECT * FROM sekisho.entries",
            "SELECT * FROM sekisho.accounts",
            "SELECT COUNT(*) FROM person, sekisho.my_budget",
            "SELECT COUNT(*) FROM person WHERE EXISTS (SELECT 1 FROM sekisho.my_queries)",
            "SELECT * FROM person",
            "SELECT person_id FROM person",
            "SELECT year_of_birth FROM person LIMIT 1",
            "SELECT DISTINCT person_id FROM person",
            "SELECT * FROM person ORDER BY year_of_birth LIMIT 1",
            "SELECT array_agg(year_of_birth) FROM person",
            "SELECT string_agg(CAST(year_of_birth AS TEXT), ',') FROM person",
            "SELECT first_value(year_of_birth) FROM person",
            "SELECT MAX(person_id) FROM person",
            "SELECT COUNT(*) FROM person WHERE person_id = 1",
            "SELECT person_source_value FROM person",
            "SELECT COUNT(*) AS __sekisho_owner FROM person",
            "SELECT __sekisho_owner FROM person",
            "TABLE person",
            "VALUES ((SELECT year_of_birth FROM person))",
            "SELECT * FROM person TABLESAMPLE (10)",
            "WITH RECURSIVE r AS (SELECT person_id FROM person UNION ALL SELECT person_id FROM r) SELECT COUNT(*) FROM r",
            "SELECT x FROM person CROSS JOIN UNNEST(make_array(year_of_birth)) AS t(x)",
            "SELECT COUNT(*) FROM person p, LATERAL (SELECT year_of_birth FROM person q WHERE q.year_of_birth > p.year_of_birth) x",
        ],
    ),
];

/// Every door that SQL has elsewhere, every call of the protocol, and all of it again without having signed in.
pub(super) async fn sql_and_flight(field: &mut Field) -> Result<Finding, Stop> {
    let id = field.number();
    let arena = field.with()?;
    arena.grant(&id, &Wanted::default()).await?;
    let eve = arena.asker("eve", &id)?;
    let mut checks = Checks::default();
    for (code, texts) in SQL {
        for sql in texts {
            // The same admission stands before a statement, before a prepared one and before EXPLAIN.
            let prepared = eve.client().prepare(sql).await.map(drop);
            let asked = eve.client().query(sql).await.map(drop);
            let explained = eve.client().query(&format!("EXPLAIN {sql}")).await.map(drop);
            for (way, outcome) in [("asked", asked), ("prepared", prepared), ("explained", explained)] {
                let met = match &outcome {
                    Ok(()) => "answered",
                    Err(ClientFault::Refused { code, .. }) => code,
                    Err(_) => "no refusal of ours",
                };
                let refused = met != "answered" && met != "failed" && met != "no refusal of ours";
                let by_name = code.is_empty() || way != "asked" || met == code || met == "not_sql";
                checks.that(refused && by_name, || format!("{sql}, {way}: {met}"));
            }
        }
    }
    let spent = eve.spent().await?;
    checks.that(spent.epsilon == 0.0, || format!("refusals cost {}", spent.epsilon));
    let wire = Wire::new(&arena.as_account("eve"), &id).await?;
    for (call, heard) in wire.forbidden().await {
        checks.that(heard.is_err(), || format!("{call}: {heard:?}"));
        let ours = heard.err().unwrap_or_default();
        let theirs =
            ["DataFusion", "Arrow", "Parquet", "tonic", "Schema error"].iter().find(|word| ours.contains(**word));
        checks.that(theirs.is_none(), || format!("{call} is refused in the engine's words: {ours}"));
    }
    let stranger = Wire::stranger(&arena.to, &id).await?;
    for (call, heard) in stranger.unsigned().await {
        let turned_away = heard.as_ref().is_err_and(|said| said.starts_with("Unauthenticated"));
        checks.that(turned_away, || format!("{call}, not signed in: {heard:?}"));
    }
    Ok(Finding::checks("SQL and Flight doors, asked, prepared, explained and unsigned", checks))
}
