//! Can more be learnt than the caps allow: by asking on, all at once, or by a crash?

use std::{sync::Arc, time::Duration};

use sekisho::{
    record::{Admission, Permit},
    terms::{CapName, Charge, DataVersion, Loss, Refusal},
};

use super::house::{House, cap, ground, wide};

/// A permit for exactly ten questions of ε 0.1 each.
fn ten(who: &[&str]) -> Permit {
    let mut permit = wide("P-TEN", who[0]);
    permit.principals = who.iter().map(|name| name.parse().unwrap()).collect();
    (permit.cap, permit.analyst_cap, permit.per_question_epsilon) = (cap(1.0), cap(1.0), 0.1);
    permit
}

/// The n-th of many different questions.
fn different(n: usize) -> String {
    format!("SELECT COUNT(*) AS n FROM demo.person WHERE year_of_birth > {}", 1950 + n)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_budget_says_what_is_left_and_a_question_of_that_size_fits() {
    let house = House::new().await;
    house.grant(ten(&["hanako"])).await;
    let asker = house.asker("hanako", "P-TEN").await;
    asker.set("epsilon", "0.7").await;
    asker.ask(&different(0)).await;
    let refusal = asker.refusal(&different(1)).await;
    let Refusal::BudgetExhausted { left } = refusal else { panic!("{refusal}") };
    assert!((0.29..0.31).contains(&left), "{left}");
    let spent = house.spent_of_permit("P-TEN");
    asker.set("epsilon", &format!("{left:.6}")).await;
    asker.ask(&different(1)).await;
    assert!(house.spent_of_permit("P-TEN") > spent && house.spent_of_permit("P-TEN") <= 1.0 + 1e-9);
    asker.set("epsilon", "0.01").await;
    let refusal = asker.refusal(&different(2)).await;
    assert!(matches!(refusal, Refusal::BudgetExhausted { left } if left < 0.001), "{refusal}");
    asker.set("epsilon", "0.7").await;
    assert!(asker.ask(&different(0)).await.kept(), "what was bought stays bought");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_analyst_cannot_take_more_than_their_share_of_the_permit() {
    let house = House::new().await;
    let mut permit = ten(&["hanako", "jiro"]);
    permit.analyst_cap = cap(0.5);
    house.grant(permit).await;
    let (hanako, jiro) = (house.asker("hanako", "P-TEN").await, house.asker("jiro", "P-TEN").await);
    hanako.set("epsilon", "0.4").await;
    hanako.ask(&different(0)).await;
    let refusal = hanako.refusal(&different(1)).await;
    assert!(matches!(refusal, Refusal::BudgetExhausted { left } if (0.09..0.11).contains(&left)), "{refusal}");
    jiro.set("epsilon", "0.4").await;
    jiro.ask(&different(1)).await;
    let own = CapName::Analyst("P-TEN".parse().unwrap(), "hanako".parse().unwrap());
    assert!((house.spent(&own) - 0.4).abs() < 1e-6);
    assert!(house.spent_of_permit("P-TEN") > 0.79);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn of_thirty_two_questions_at_once_ten_fit_and_ten_are_charged() {
    let house = House::new().await;
    house.grant(ten(&["hanako"])).await;
    let asker = Arc::new(house.asker("hanako", "P-TEN").await);
    let all = (0..32).map(|n| {
        let asker = Arc::clone(&asker);
        tokio::spawn(async move { asker.try_ask(&different(n)).await.map(|_| ()) })
    });
    let mut answered = 0;
    for task in all.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Ok(()) => answered += 1,
            Err(refusal) => assert_eq!(refusal.code(), "budget_exhausted", "{refusal}"),
        }
    }
    assert_eq!(answered, 10);
    assert_eq!(house.count("admission"), 10);
    assert_eq!(house.count("release"), 10);
    assert_eq!(house.count("refusal"), 22);
    // Stated at δ, ten tenths are a little less than one.
    assert!((0.99..=1.0).contains(&house.spent_of_permit("P-TEN")), "{}", house.spent_of_permit("P-TEN"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn identical_questions_in_flight_are_charged_once_and_answered_alike() {
    let house = House::new().await;
    house.grant(ten(&["hanako"])).await;
    let asker = Arc::new(house.asker("hanako", "P-TEN").await);
    let all = (0..24).map(|n| {
        let asker = Arc::clone(&asker);
        let sql = format!("SELECT COUNT(*) AS n{n} FROM demo.person");
        tokio::spawn(async move { asker.ask(&sql).await })
    });
    let mut answers = vec![];
    for task in all.collect::<Vec<_>>() {
        answers.push(task.await.unwrap());
    }
    assert!(answers.iter().all(|a| a.rows() == answers[0].rows()));
    assert_eq!(answers.iter().filter(|a| !a.kept()).count(), 1);
    assert_eq!(house.count("admission"), 1);
    assert!((house.spent_of_permit("P-TEN") - 0.1).abs() < 1e-6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn of_a_thousand_different_questions_at_once_a_hundred_fit_and_a_hundred_are_charged() {
    let house = House::furnished(ground(), cap(1000.0), cap(1000.0), |enclave| enclave.waiting_max = 2_000).await;
    // 9.99 is so much that no order composes better than by adding up: a hundred fit into 1,000.
    let mut permit = wide("P-HUNDRED", "hanako");
    permit.principals.insert("kei".parse().unwrap());
    (permit.cap, permit.analyst_cap, permit.per_question_epsilon) = (cap(1000.0), cap(1000.0), 9.99);
    house.grant(permit).await;
    let askers = [house.asker("hanako", "P-HUNDRED").await, house.asker("kei", "P-HUNDRED").await].map(Arc::new);
    let all = (0..1000_usize).map(|n| {
        let asker = Arc::clone(&askers[n % 2]);
        let sql = format!("SELECT COUNT(*) AS n FROM demo.person WHERE year_of_birth * 1000 > {}", 1_900_000 + 37 * n);
        tokio::spawn(async move { asker.try_ask(&sql).await.map(|_| ()) })
    });
    let mut answered = 0;
    for task in all.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Ok(()) => answered += 1,
            Err(refusal) => assert_eq!(refusal.code(), "budget_exhausted", "{refusal}"),
        }
    }
    assert_eq!(answered, 100);
    assert_eq!([house.count("admission"), house.count("release"), house.count("refusal")], [100, 100, 900]);
    assert!((998.0..=1000.0).contains(&house.spent_of_permit("P-HUNDRED")), "{}", house.spent_of_permit("P-HUNDRED"));
    crate::say("1,000 different questions at once against a budget for 100: 100 answered and charged, 900 refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_hundred_identical_questions_in_flight_are_one_charge_and_the_same_bytes() {
    let house = House::furnished(ground(), cap(500.0), cap(500.0), |enclave| enclave.waiting_max = 200).await;
    let asker = Arc::new(house.asker("hanako", "P-WIDE").await);
    let sql = "SELECT gender_concept_id, COUNT(*) AS n, AVG(year_of_birth) AS y FROM demo.person GROUP BY 1";
    let all = (0..100).map(|_| {
        let asker = Arc::clone(&asker);
        tokio::spawn(async move { asker.ask(sql).await })
    });
    let mut answers = vec![];
    for task in all.collect::<Vec<_>>() {
        answers.push(task.await.unwrap());
    }
    let bytes = |answer: &super::house::Answer| {
        let columns = answer.0.batches.iter().flat_map(|batch| batch.columns().iter().map(|c| c.to_data()));
        columns.collect::<Vec<_>>()
    };
    for other in &answers {
        assert_eq!(other.rows(), answers[0].rows());
        assert_eq!(bytes(other), bytes(&answers[0]), "the same bytes");
    }
    assert!(answers.iter().all(|a| a.receipt() == answers[0].receipt()), "and the same receipt");
    assert_eq!(answers.iter().filter(|a| !a.kept()).count(), 1);
    assert_eq!([house.count("admission"), house.count("release"), house.count("kept_served")], [1, 1, 99]);
    crate::say("100 identical questions in flight: 1 charge, 100 times the same bytes and receipt");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_permit_gets_no_finer_answer_than_its_own_budget_buys() {
    let house = House::new().await;
    let (hanako, jiro) = (house.asker("hanako", "P-WIDE").await, house.asker("jiro", "P-RIVAL").await);
    let sql = "SELECT COUNT(*) AS n FROM demo.condition_occurrence";
    hanako.set("epsilon", "5").await;
    let dear = hanako.ask(sql).await;
    let population = CapName::Population("jp".parse().unwrap());
    let before = house.spent(&population);
    jiro.set("epsilon", "0.001").await;
    let alone = jiro.ask(&format!("{sql} WHERE condition_concept_id > 0")).await;
    let cheap = jiro.ask(sql).await;
    assert!(!cheap.kept());
    assert!(cheap.half_width("n") > 1_000.0 * dear.half_width("n"), "{}", cheap.half_width("n"));
    // As if nobody had asked: the same noise, price and marks as for what nobody has asked, at the expense of all caps.
    let ratio = cheap.half_width("n") / alone.half_width("n");
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
    assert_eq!(cheap.epsilon_spent(), alone.epsilon_spent());
    assert_eq!(cheap.0.schema.metadata().len(), alone.0.schema.metadata().len());
    assert_eq!(house.count("release"), 3);
    assert!(house.spent(&population) > before);
    // Nor a coarser one: what a rival's small budget bought is not sold for a large one.
    let kei = wide("P-THIRD", "kei");
    house.grant(kei).await;
    let kei = house.asker("kei", "P-THIRD").await;
    kei.set("epsilon", "1").await;
    assert!(kei.ask(sql).await.half_width("n") > 2.0 * dear.half_width("n"), "not the finer one either");
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_after_reserve_keeps_the_charge() {
    let house = House::new().await;
    let charge = Charge {
        account: "hanako".parse().unwrap(),
        permit: "P-WIDE".parse().unwrap(),
        dataset: "demo".parse().unwrap(),
        population: "jp".parse().unwrap(),
        loss: Loss::pure(0.5).unwrap(),
        draws: 1,
    };
    let admission = Admission {
        sql: "SELECT COUNT(*) FROM demo.person".into(),
        canonical_hash: [7; 32],
        data_version: DataVersion(1),
        policy_hash: "00".into(),
        purpose: "drug-safety".parse().unwrap(),
        settings: serde_json::json!([]),
    };
    let reservation = house.books.reserve(charge, admission).unwrap();
    // The process ends here: nothing that was reserved is released or failed.
    drop(reservation);
    let house = house.reopened().await;
    assert!((house.spent_of_permit("P-WIDE") - 0.5).abs() < 1e-6);
    assert_eq!(house.count("recovered"), 1);
    let asker = house.asker("hanako", "P-WIDE").await;
    let answer = asker.ask("SELECT COUNT(*) FROM demo.person").await;
    assert!(!answer.kept(), "an answer that never left was not kept");
    let failures = house.books.failures(&"P-WIDE".parse().unwrap(), &"demo".parse().unwrap()).unwrap();
    assert_eq!(failures.permit, 1, "and counts as a bit that may have been seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_answers_and_spent_budgets_survive_a_restart() {
    let house = House::new().await;
    let sql = different(3);
    let before = house.asker("hanako", "P-WIDE").await.ask(&sql).await;
    let spent = house.spent_of_permit("P-WIDE");
    let house = house.reopened().await;
    let after = house.asker("hanako", "P-WIDE").await.ask(&sql).await;
    assert!(after.kept());
    assert_eq!(after.rows(), before.rows());
    assert_eq!(house.spent_of_permit("P-WIDE"), spent);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_two_failed_questions_a_permit_is_halted() {
    let house = House::new().await;
    for n in 0..2 {
        let charge = Charge {
            account: "hanako".parse().unwrap(),
            permit: "P-WIDE".parse().unwrap(),
            dataset: "demo".parse().unwrap(),
            population: "jp".parse().unwrap(),
            loss: Loss::pure(0.1).unwrap(),
            draws: 1,
        };
        let admission = Admission {
            sql: "SELECT COUNT(*) FROM demo.person".into(),
            canonical_hash: [n; 32],
            data_version: DataVersion(1),
            policy_hash: "00".into(),
            purpose: "drug-safety".parse().unwrap(),
            settings: serde_json::json!([]),
        };
        let reservation = house.books.reserve(charge, admission).unwrap();
        house.books.fail(reservation).unwrap();
    }
    let hanako = house.asker("hanako", "P-WIDE").await;
    assert_eq!(hanako.refusal(&different(0)).await.code(), "halted");
    house.asker("jiro", "P-RIVAL").await.ask(&different(0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permit_ends_at_its_hour_and_when_it_is_revoked() {
    let house = House::new().await;
    let hanako = house.asker("hanako", "P-WIDE").await;
    hanako.ask(&different(0)).await;
    let reviewer = house.sign_in("reviewer").await;
    let body = serde_json::json!({"permit": "P-RIVAL", "reason": "asked for"});
    house.gateway.administer(&reviewer.session, "permit.revoke", body).await.unwrap();
    let jiro = house.asker("jiro", "P-RIVAL").await;
    assert_eq!(jiro.refusal(&different(0)).await.code(), "permit_not_active", "also for what is kept");
    house.later(Duration::from_secs(91 * 86_400));
    let hanako = house.asker("hanako", "P-WIDE").await;
    assert_eq!(hanako.refusal(&different(0)).await.code(), "permit_not_active");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_p_1_is_not_shown_the_budget_of_p_10() {
    let house = House::new().await;
    house.grant(wide("P-1", "hanako")).await;
    house.grant(wide("P-10", "jiro")).await;
    let hanako = house.asker("hanako", "P-1").await;
    let body = serde_json::Value::Null;
    let shown = house.gateway.administer(&hanako.session, "budget.show", body).await.unwrap().to_string();
    assert!(shown.contains("permit/P-1\"") && !shown.contains("P-10"), "{shown}");
}
