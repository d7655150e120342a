//! Does a halt stop what it names, at once, on record, until two people lift it?

use std::time::{Duration, Instant};

use sekisho::{
    record::{Admission, HaltTarget},
    terms::{Charge, DataVersion, Loss, Refusal},
};
use serde_json::{Value, json};

use super::house::{Asker, House, wide};

/// Works for many seconds: tens of thousands of joined rows for every person.
const LONG: &str = "SELECT COUNT(*) AS n FROM demo.measurement a JOIN demo.measurement b ON a.person_id = b.person_id
    JOIN demo.drug_exposure c ON c.person_id = a.person_id JOIN demo.visit_occurrence d ON d.person_id = a.person_id
    JOIN demo.condition_occurrence e ON e.person_id = a.person_id";
const SHORT: &str = "SELECT COUNT(*) AS n FROM demo.person";
/// About nobody, and works for hours.
const ENDLESS: &str =
    "SELECT COUNT(*) AS n FROM vocab.concept a CROSS JOIN (SELECT b.concept_id AS i FROM vocab.concept b
    CROSS JOIN (SELECT c.concept_id AS i FROM vocab.concept c CROSS JOIN (SELECT d.concept_id AS i FROM vocab.concept d
    CROSS JOIN vocab.concept e) y) z) w";

async fn act(who: &Asker, house: &House, verb: &str, body: Value) -> Result<Value, Refusal> {
    house.gateway.administer(&who.session, verb, body).await
}

async fn halt(house: &House, who: &str, target: Value) -> Value {
    let who = house.sign_in(who).await;
    act(&who, house, "halt.on", json!({"target": target, "reason": "a story"})).await.unwrap()
}

async fn lift(house: &House, who: &str, target: Value) -> Result<bool, Refusal> {
    let who = house.sign_in(who).await;
    let done = act(&who, house, "halt.off", json!({ "target": target })).await?;
    Ok(done["lifted"].as_bool().unwrap())
}

fn targets() -> [Value; 5] {
    [
        json!("everything"),
        json!({"principal": "hanako"}),
        json!({"permit": "P-WIDE"}),
        json!({"dataset": "demo"}),
        json!({"source": "holder"}),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_target_stops_its_questions_and_two_people_lift_it() {
    let house = House::new().await;
    let (hanako, jiro) = (house.asker("hanako", "P-WIDE").await, house.asker("jiro", "P-RIVAL").await);
    hanako.ask(SHORT).await;
    jiro.ask(SHORT).await;
    let spent = house.spent_of_permit("P-WIDE");
    for (n, target) in targets().into_iter().enumerate() {
        halt(&house, "operator", target.clone()).await;
        let fresh = format!("{SHORT} WHERE year_of_birth > {}", 1940 + n);
        assert_eq!(hanako.refusal(&fresh).await, Refusal::Halted, "{target}");
        assert_eq!(hanako.refusal(SHORT).await, Refusal::Halted, "a kept answer under {target}");
        assert_eq!(hanako.refusal(&format!("EXPLAIN {fresh}")).await, Refusal::Halted, "{target}");
        let others_too = target == "everything" || target.get("dataset").or(target.get("source")).is_some();
        match others_too {
            true => assert_eq!(jiro.refusal(SHORT).await, Refusal::Halted, "{target}"),
            false => drop(jiro.ask(SHORT).await),
        }
        assert_eq!(lift(&house, "reviewer", target.clone()).await, Ok(false));
        assert!(lift(&house, "reviewer", target.clone()).await.is_err(), "the same person twice");
        assert_eq!(hanako.refusal(SHORT).await, Refusal::Halted, "one person is not enough");
        assert_eq!(lift(&house, "custodian", target.clone()).await, Ok(true));
        hanako.ask(SHORT).await;
        assert!(lift(&house, "auditor", target).await.is_err(), "nothing is left to lift");
    }
    assert_eq!(house.spent_of_permit("P-WIDE").to_bits(), spent.to_bits(), "what is halted costs nothing");
    for (kind, count) in [("halted", 5), ("halt_lift_asked", 5), ("halt_lifted", 5)] {
        assert_eq!(house.count(kind), count, "{kind}");
    }
}

// As in service: threads enough that somebody is heard while every core computes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn running_questions_end_within_a_second_and_their_charge_stands() {
    let house = House::new().await;
    for (n, target) in targets().into_iter().enumerate() {
        let hanako = house.asker("hanako", "P-WIDE").await;
        let (before, failures) = (house.spent_of_permit("P-WIDE"), house.count("failure"));
        // Each time another question: none is served from those kept.
        let long = format!("{LONG} WHERE a.measurement_concept_id > {n}");
        let asking = tokio::spawn(async move { hanako.try_ask(&long).await.map(|_| ()) });
        while house.books.budgets().unwrap().open.is_empty() {
            assert!(!asking.is_finished(), "{:?}", asking.await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!asking.is_finished(), "the question has to be longer for this story");
        let ordered = halt(&house, "operator", target.clone()).await;
        assert_eq!(ordered["ended"], 1);
        let begun = Instant::now();
        assert_eq!(asking.await.unwrap(), Err(Refusal::Halted), "{target}");
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert!(house.books.budgets().unwrap().open.is_empty(), "settled");
        assert!(house.spent_of_permit("P-WIDE") > before, "the charge stands");
        assert_eq!(house.count("ended_by_halt"), n + 1);
        assert_eq!(house.count("failure"), failures, "it is nobody's failure");
        lift(&house, "auditor", target.clone()).await.unwrap();
        assert_eq!(lift(&house, "reviewer", target).await, Ok(true));
    }
    // Five questions ended; none counts as a residual bit, so the permit is not halted for failures.
    house.asker("hanako", "P-WIDE").await.ask(SHORT).await;
}

// An account has two places for such questions, whoever else has the others, and no question has the threads that answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn questions_about_nobody_keep_nobody_else_waiting_and_end_by_a_halt_too() {
    let house = House::new().await;
    let mut asking = vec![];
    for _ in 0..2 {
        let jiro = house.asker("jiro", "P-RIVAL").await;
        asking.push(tokio::spawn(async move { jiro.try_ask(ENDLESS).await.map(drop) }));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(asking.iter().all(|one| !one.is_finished()), "the question has to be longer for this story");
    let begun = Instant::now();
    let hanako = house.asker("hanako", "P-WIDE").await;
    hanako.ask(SHORT).await;
    hanako.ask("SELECT COUNT(*) AS n FROM vocab.concept").await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(house.asker("jiro", "P-RIVAL").await.refusal(ENDLESS).await, Refusal::Busy, "the third of one account");
    let ordered = halt(&house, "operator", json!({"permit": "P-RIVAL"})).await;
    assert_eq!(ordered["ended"], 2);
    let begun = Instant::now();
    for one in asking {
        assert_eq!(one.await.unwrap(), Err(Refusal::Halted));
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!((house.count("admission"), house.count("ended_by_halt")), (1, 0), "they were charged nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_question_about_nobody_ends_when_nobody_waits_for_it() {
    let house = House::new().await;
    for _ in 0..3 {
        let jiro = house.asker("jiro", "P-RIVAL").await;
        let (waiting, waited_for) = tokio::sync::watch::channel(());
        let call = async move { jiro.try_ask(ENDLESS).await.map(drop) };
        let asking = tokio::spawn(sekisho::gateway::while_waited_for(waited_for, call));
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!asking.is_finished());
        drop(waiting);
        let begun = Instant::now();
        assert_eq!(asking.await.unwrap(), Err(Refusal::Cancelled));
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
    // Their places are free again.
    house.asker("jiro", "P-RIVAL").await.ask("SELECT COUNT(*) AS n FROM vocab.concept").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halted_administrator_administers_nothing_and_does_not_lift_it() {
    let house = House::new().await;
    let reviewer = house.sign_in("reviewer").await;
    halt(&house, "auditor", json!({"principal": "reviewer"})).await;
    let permit = serde_json::to_value(wide("P-LATE", "hanako")).unwrap();
    assert_eq!(act(&reviewer, &house, "permit.grant", permit).await, Err(Refusal::Halted));
    assert_eq!(lift(&house, "reviewer", json!({"principal": "reviewer"})).await, Err(Refusal::Halted));
}

#[tokio::test(flavor = "multi_thread")]
async fn halts_are_ordered_by_their_roles_with_a_reason_for_names_that_exist() {
    let house = House::new().await;
    let hanako = house.sign_in("hanako").await;
    let everything = json!({"target": "everything", "reason": "mine"});
    assert_eq!(act(&hanako, &house, "halt.on", everything).await, Err(Refusal::RoleNotAllowed));
    assert_eq!(act(&hanako, &house, "halt.list", Value::Null).await, Err(Refusal::RoleNotAllowed));
    let operator = house.sign_in("operator").await;
    for body in [
        json!({"target": "everything", "reason": "  "}),
        json!({"target": {"permit": "P-NONE"}, "reason": "x"}),
        json!({"target": {"principal": "nobody"}, "reason": "x"}),
        json!({"target": {"dataset": "other"}, "reason": "x"}),
        json!({"target": {"source": "other"}, "reason": "x"}),
        json!({"target": "nothing", "reason": "x"}),
        json!({"target": "everything"}),
        Value::Null,
    ] {
        let refused = act(&operator, &house, "halt.on", body.clone()).await.unwrap_err();
        assert_eq!(refused.code(), "not_done", "{body}");
    }
    halt(&house, "operator", json!("everything")).await;
    let twice = act(&operator, &house, "halt.on", json!({"target": "everything", "reason": "again"})).await;
    assert_eq!(twice.unwrap_err().code(), "not_done");
    let listed = act(&operator, &house, "halt.list", Value::Null).await.unwrap();
    assert_eq!((listed[0]["target"].as_str(), listed[0]["by"].as_str()), (Some("everything"), Some("operator")));
}

fn fail(house: &House, n: u8) {
    let charge = Charge {
        account: "hanako".parse().unwrap(),
        permit: "P-WIDE".parse().unwrap(),
        dataset: "demo".parse().unwrap(),
        population: "jp".parse().unwrap(),
        loss: Loss::pure(0.1).unwrap(),
        draws: 1,
    };
    let admission = Admission {
        sql: SHORT.into(),
        canonical_hash: [n; 32],
        data_version: DataVersion(1),
        policy_hash: "00".into(),
        purpose: "drug-safety".parse().unwrap(),
        settings: json!([]),
    };
    let reservation = house.books.reserve(charge, admission).unwrap();
    house.books.fail(reservation).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halt_for_failures_is_lifted_when_an_auditor_has_looked_and_counts_anew() {
    let house = House::new().await;
    let hanako = house.asker("hanako", "P-WIDE").await;
    let permit = json!({"permit": "P-WIDE"});
    for round in 0..2_u8 {
        fail(&house, 2 * round);
        hanako.ask(&format!("{SHORT} WHERE year_of_birth > {}", 1950 + u32::from(round))).await;
        fail(&house, 2 * round + 1);
        assert_eq!(hanako.refusal(SHORT).await, Refusal::Halted);
        assert_eq!(house.count("halted"), usize::from(round) + 1, "the books halt, once");
        let halts = house.books.halts().unwrap();
        let last = halts.last().unwrap();
        assert_eq!((&last.target, &last.by), (&HaltTarget::Permit("P-WIDE".parse().unwrap()), &None));
        assert_eq!(lift(&house, "reviewer", permit.clone()).await, Ok(false));
        let without = lift(&house, "custodian", permit.clone()).await.unwrap_err();
        assert!(without.to_string().contains("auditor"), "{without}");
        assert_eq!(hanako.refusal(SHORT).await, Refusal::Halted);
        assert_eq!(lift(&house, "auditor", permit.clone()).await, Ok(true));
        hanako.ask(SHORT).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halt_survives_a_restart() {
    let house = House::new().await;
    halt(&house, "operator", json!({"permit": "P-WIDE"})).await;
    let house = house.reopened().await;
    assert_eq!(house.asker("hanako", "P-WIDE").await.refusal(SHORT).await, Refusal::Halted);
    house.asker("jiro", "P-RIVAL").await.ask(SHORT).await;
}
