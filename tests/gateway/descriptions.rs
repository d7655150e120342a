//! What can a caller find out besides answers, and does any of it tell about rows?

use super::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_says_what_there_is_and_not_how_much() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let datasets = asker.ask("SELECT * FROM sekisho.datasets").await;
    assert_eq!(datasets.rows().len(), 1);
    let columns = asker.ask("SELECT * FROM sekisho.columns WHERE table_name = 'person'").await;
    assert!(columns.rows().len() > 5);
    let shown: Vec<String> = columns.rows().iter().map(|row| format!("{row:?}")).collect();
    assert!(!shown.iter().any(|line| line.contains("person_source_value")), "an identifier is not named");
    for table in ["datasets", "tables", "columns", "code_lists", "my_permits", "my_budget", "my_queries"] {
        let names = asker.ask(&format!("SELECT * FROM sekisho.{table} LIMIT 1")).await.names();
        for name in &names {
            let tells = ["row_count", "rows", "size", "bytes", "time_ms", "duration", "null_count"];
            assert!(!tells.contains(&name.as_str()), "{table}.{name}");
        }
    }
    let infos = house.gateway.catalogue(&asker.session);
    assert!(infos.iter().any(|t| t.schema == "demo" && t.table == "person" && t.primary_key == ["person_id"]));
    assert!(infos.iter().any(|t| t.schema == "demo_sample"));
    assert!(!infos.iter().any(|t| t.arrow.field_with_name("person_source_value").is_ok()));
    assert_eq!(house.spent_of_permit("P-WIDE"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn own_budget_and_own_questions_are_shown_and_nobody_elses() {
    let house = House::new().await;
    let (hanako, jiro) = (house.asker("hanako", "P-WIDE").await, house.asker("jiro", "P-RIVAL").await);
    hanako.ask("SELECT COUNT(*) FROM demo.person").await;
    let budget = hanako.ask("SELECT cap, spent_epsilon FROM sekisho.my_budget ORDER BY cap").await;
    assert_eq!(budget.rows().len(), 2);
    assert!(budget.numbers("spent_epsilon").iter().all(|spent| spent.unwrap() > 1.9));
    let asked = hanako.ask("SELECT sql FROM sekisho.my_queries WHERE kind = 'release'").await;
    assert_eq!(asked.rows()[0][0].to_string(), "SELECT COUNT(*) FROM demo.person");
    assert!(jiro.ask("SELECT sql FROM sekisho.my_queries WHERE kind = 'release'").await.rows().is_empty());
    assert!(
        jiro.ask("SELECT spent_epsilon FROM sekisho.my_budget")
            .await
            .numbers("spent_epsilon")
            .iter()
            .all(|s| *s == Some(0.0))
    );
    let permits = jiro.ask("SELECT permit FROM sekisho.my_permits").await;
    assert_eq!(permits.rows()[0][0].to_string(), "P-RIVAL");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_described_never_meets_persons_in_one_question() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    for sql in [
        "SELECT COUNT(*) FROM demo.person, sekisho.my_queries",
        "SELECT COUNT(*) FROM demo.person p JOIN sekisho.code_lists c ON c.code = CAST(p.gender_concept_id AS TEXT)",
        "WITH q AS (SELECT * FROM sekisho.my_budget) SELECT COUNT(*) FROM demo.person, q",
    ] {
        assert_eq!(asker.refusal(sql).await.code(), "not_granted", "{sql}");
    }
    assert_eq!(house.spent_of_permit("P-WIDE"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_auditor_reads_every_entry_the_analyst_and_the_operator_none() {
    let house = House::new().await;
    let hanako = house.asker("hanako", "P-WIDE").await;
    hanako.ask("SELECT COUNT(*) FROM demo.person").await;
    let auditor = house.sign_in("auditor").await;
    let entries = auditor.ask("SELECT kind, account, sql FROM audit.entries WHERE kind = 'release'").await;
    assert_eq!(entries.rows().len(), 1);
    assert_eq!(entries.rows()[0][2].to_string(), "SELECT COUNT(*) FROM demo.person");
    assert!(!auditor.ask("SELECT * FROM audit.ledger").await.rows().is_empty());
    for (who, asker) in [
        ("hanako", hanako),
        ("operator", house.sign_in("operator").await),
        ("reviewer", house.sign_in("reviewer").await),
        ("custodian", house.sign_in("custodian").await),
    ] {
        for table in ["audit.entries", "audit.ledger"] {
            let refusal = asker.refusal(&format!("SELECT * FROM {table}")).await;
            assert!(["not_granted", "role_not_allowed", "unknown_table"].contains(&refusal.code()), "{who}: {refusal}");
        }
    }
    let operator = house.sign_in("operator").await;
    assert!(operator.ask("SELECT * FROM sekisho.my_queries WHERE kind = 'release'").await.rows().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_verifies_offline_and_receipts_are_for_their_owners() {
    let house = House::new().await;
    let hanako = house.asker("hanako", "P-WIDE").await;
    let answer = hanako.ask("SELECT COUNT(*) FROM demo.person").await;
    let auditor = house.sign_in("auditor").await;
    let body = serde_json::json!({"name": "all"});
    let done = house.gateway.administer(&auditor.session, "audit.export", body).await.unwrap();
    let folder = std::path::PathBuf::from(done["folder"].as_str().unwrap());
    sekisho::record::verify_export(&folder, Some(&house.books.verifier())).unwrap();
    let entry = serde_json::json!({"entry": answer.receipt().entry});
    house.gateway.administer(&hanako.session, "audit.receipt", entry.clone()).await.unwrap();
    house.gateway.administer(&auditor.session, "audit.receipt", entry.clone()).await.unwrap();
    let none =
        house.gateway.administer(&auditor.session, "audit.receipt", serde_json::json!({"entry": 1_000_000})).await;
    assert_eq!(none.unwrap_err().to_string(), "not_done: the log has no entry 1000000");
    let jiro = house.sign_in("jiro").await;
    assert!(house.gateway.administer(&jiro.session, "audit.receipt", entry).await.is_err());
}
