//! Does every recorded verdict come out again from an export alone, and never a false one?

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use sekisho::{
    gateway::{ReplayOf, Replayed, replay},
    terms::EntryNumber,
};

use super::house::{House, cap, ground, wide};

/// Questions of many kinds, good and bad, drawn from pieces by a number.
fn drawn(n: usize) -> String {
    let year = 1920 + n * 7 % 90;
    let keys = ["gender_concept_id", "race_concept_id", "year_of_birth", "ethnicity_concept_id"];
    let key = keys[n / 3 % keys.len()];
    match n % 16 {
        0 | 1 => format!("SELECT COUNT(*) AS n FROM demo.person WHERE year_of_birth > {year}"),
        2 => format!(
            "SELECT gender_concept_id, COUNT(*) AS n{n} FROM demo.person WHERE year_of_birth < {year} GROUP BY 1"
        ),
        3 => format!("SELECT AVG(year_of_birth) FROM demo.person WHERE year_of_birth > {year}"),
        4 => format!(
            "SELECT COUNT(DISTINCT person_id) FROM demo.visit_occurrence WHERE visit_concept_id = {}",
            9200 + n % 5
        ),
        5 => format!(
            "SELECT p.gender_concept_id, COUNT(*) FROM demo.person p JOIN demo.visit_occurrence v
             ON v.person_id = p.person_id WHERE p.year_of_birth > {year} GROUP BY 1"
        ),
        6 => format!(
            "SELECT SUM(least(visits, {})) FROM (SELECT person_id, COUNT(*) AS visits FROM demo.visit_occurrence GROUP BY 1)",
            2 + n % 9
        ),
        7 => format!("EXPLAIN SELECT COUNT(*) FROM demo.person WHERE year_of_birth > {year}"),
        8 => format!("SELECT * FROM demo.person WHERE year_of_birth = {year}"),
        9 => format!("SELECT AVG(value_as_number) FROM demo.measurement WHERE measurement_concept_id = {n}"),
        10 => format!("SELECT nothing{n} FROM demo.person"),
        11 => format!("SELECT COUNT(*) FROM demo.nowhere{n}"),
        12 => format!("SELECT COUNT(*) FROM demo.person WHERE random() < 0.{n}"),
        13 => format!("SELEC {n}"),
        14 => format!("SELECT {key}, COUNT(*) FROM demo.person GROUP BY {key} HAVING COUNT(*) > {n}"),
        _ => format!("SELECT COUNT(*) FROM vocab.concept WHERE concept_id > {n}"),
    }
}

async fn exported(house: &House, name: &str) -> std::path::PathBuf {
    let auditor = house.sign_in("auditor").await;
    let body = serde_json::json!({ "name": name });
    let done = house.gateway.administer(&auditor.session, "audit.export", body).await.unwrap();
    done["folder"].as_str().unwrap().into()
}

fn replayed(folder: &Path, only: impl Fn(EntryNumber) -> bool) -> Vec<ReplayOf> {
    let mut all = vec![];
    replay(folder, Path::new("no/such/catalogue"), only, |one| all.push(one)).unwrap();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_recorded_verdicts_come_out_the_same() {
    let wanted: usize = std::env::var("SEKISHO_REPLAYS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000);
    let house = House::furnished(ground(), cap(1000.0), cap(1000.0), |enclave| enclave.waiting_max = 5_000).await;
    let mut permit = wide("P-MANY", "hanako");
    (permit.cap, permit.analyst_cap, permit.per_question_epsilon) = (cap(500.0), cap(500.0), 0.05);
    house.grant(permit.clone()).await;
    let mut narrow = wide("P-NARROW", "jiro");
    narrow.grants.retain(|table, _| table == "demo.person");
    (narrow.cap, narrow.analyst_cap, narrow.per_question_epsilon) = (cap(2.0), cap(2.0), 0.3);
    house.grant(narrow).await;
    let hanako = Arc::new(house.asker("hanako", "P-MANY").await);
    let finer = Arc::new(house.asker("hanako", "P-MANY").await);
    for (name, value) in [("epsilon", "0.07"), ("rows_per_group", "3"), ("groups", "5"), ("intervals", "on")] {
        finer.set(name, value).await;
    }
    let accurate = Arc::new(house.asker("hanako", "P-MANY").await);
    accurate.set("accuracy", "75").await;
    let jiro = Arc::new(house.asker("jiro", "P-NARROW").await);
    let askers = [&hanako, &finer, &accurate, &jiro];
    let recorded = |house: &House| house.count("admission") + house.count("refusal");
    let mut n = 0;
    while recorded(&house) < wanted {
        let round: Vec<_> = (n..n + 64)
            .map(|n| {
                let asker = Arc::clone(askers[n / 16 % 4]);
                tokio::spawn(async move { asker.try_ask(&drawn(n)).await.map(drop) })
            })
            .collect();
        for task in round {
            let _answered_or_refused = task.await.unwrap();
        }
        n += 64;
        if n == 640 {
            // The world changes under way: another start, another policy entry, a permit that ends.
            let reviewer = house.sign_in("reviewer").await;
            let body = serde_json::json!({"permit": "P-RIVAL", "reason": "asked for"});
            house.gateway.administer(&reviewer.session, "permit.revoke", body).await.unwrap();
        }
    }
    let all = replayed(&exported(&house, "all").await, |_| true);
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for one in &all {
        let outcome = match &one.outcome {
            Replayed::Same => "same".to_owned(),
            other => format!("{other:?}"),
        };
        *outcomes.entry(format!("{} {outcome}", one.kind)).or_default() += 1;
    }
    crate::say(&format!("{} verdicts replayed from the export alone: {outcomes:?}", all.len()));
    assert!(all.len() >= wanted);
    assert!(all.iter().all(|one| one.outcome == Replayed::Same), "{outcomes:?}");
    assert!(house.count("admission") > wanted / 10 && house.count("refusal") > wanted / 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_that_was_changed_or_that_another_engine_gave_is_not_called_the_same() {
    let house = House::new().await;
    let hanako = house.asker("hanako", "P-WIDE").await;
    hanako.ask(&drawn(0)).await;
    hanako.refusal(&drawn(8)).await;
    let numbers = arrow_of(1950);
    house
        .gateway
        .answer(&hanako.session, "SELECT COUNT(*) FROM demo.person WHERE year_of_birth > $1", Some(&numbers))
        .await
        .unwrap();
    house.later(Duration::from_secs(86_400));
    hanako.ask(&drawn(0)).await;
    let folder = exported(&house, "all").await;
    let good = replayed(&folder, |_| true);
    assert_eq!(good.len(), 4, "{good:?}");
    assert!(good.iter().all(|one| one.outcome == Replayed::Same), "{good:?}");
    let path = folder.join("entries.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let spoilt = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        replayed(&folder, |_| true).into_iter().map(|one| one.outcome).collect::<Vec<_>>()
    };
    // What the question was, what it met, what was decided: each changes the verdict.
    for (from, to) in [
        ("year_of_birth > 1920", "year_of_birth > 1921"),
        ("rows_not_released", "no_permit"),
        ("\\\"draws\\\":1", "\\\"draws\\\":2"),
        ("\\\"spent\\\":{\\\"delta_attos\\\":0", "\\\"spent\\\":{\\\"delta_attos\\\":7"),
        ("\\\"per_question_epsilon\\\":2.0", "\\\"per_question_epsilon\\\":1.0"),
    ] {
        let outcomes = spoilt(from, to);
        assert!(outcomes.iter().any(|o| matches!(o, Replayed::Different { .. })), "{from}: {outcomes:?}");
    }
    let program = format!("\\\"program\\\":\\\"{}\\\",\\\"speed", env!("CARGO_PKG_VERSION"));
    let other = spoilt(&program, "\\\"program\\\":\\\"9.9.9\\\",\\\"speed");
    assert!(other.iter().all(|o| matches!(o, Replayed::OtherEngine { by } if by.contains("9.9.9"))), "{other:?}");
    let model = spoilt("\\\"model_sha256\\\":\\\"", "\\\"model_sha256\\\":\\\"0");
    assert!(model.iter().all(|o| matches!(o, Replayed::NotReplayable(_))), "{model:?}");
    let unsaid = spoilt("\\\"roles\\\":[\\\"analyst\\\"],\\\"session", "\\\"rules\\\":[\\\"analyst\\\"],\\\"session");
    assert!(unsaid.iter().all(|o| matches!(o, Replayed::NotReplayable(_))), "{unsaid:?}");
}

fn arrow_of(number: i64) -> datafusion::arrow::array::RecordBatch {
    let column: datafusion::arrow::array::ArrayRef = Arc::new(datafusion::arrow::array::Int64Array::from(vec![number]));
    datafusion::arrow::array::RecordBatch::try_from_iter([("$1", column)]).unwrap()
}
