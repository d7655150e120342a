//! What happens to a question besides its answer: charge, record, receipt, and the same answer when asked again?

use std::time::Duration;

use sekisho::terms::CapName;

use super::house::{House, cap, ground, kind_of, wide};

const BY_SEX: &str = "SELECT gender_concept_id, COUNT(*) FROM demo.person GROUP BY gender_concept_id";

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_charged_kept_and_recorded_and_its_receipt_verifies_offline() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let answer = asker.ask(BY_SEX).await;
    assert!(!answer.kept());
    assert!((answer.epsilon_spent() - 2.0).abs() < 1e-9);
    let permit = house.spent_of_permit("P-WIDE");
    assert!(permit > 0.0 && permit <= 2.0 + 1e-6, "{permit}");
    for cap in [
        CapName::Population("jp".parse().unwrap()),
        CapName::Dataset("demo".parse().unwrap()),
        CapName::Analyst("P-WIDE".parse().unwrap(), "hanako".parse().unwrap()),
    ] {
        assert!((house.spent(&cap) - permit).abs() < 1e-9, "{cap}");
    }
    let kinds: Vec<String> = house.entries().iter().map(kind_of).collect();
    assert_eq!(kinds[kinds.len() - 2..], ["admission", "release"]);

    let receipt = answer.receipt();
    assert_eq!(answer.said("receipt").unwrap(), receipt.entry.0.to_string());
    receipt.verify(&house.books.verifier()).unwrap();
    assert!(receipt.body.contains("answer_sha256") && receipt.body.contains("gender_concept_id"));
    let mut forged = receipt.clone();
    forged.body = forged.body.replace("hanako", "jirooo");
    assert!(forged.verify(&house.books.verifier()).is_err());

    let field = answer.0.schema.field(1);
    for name in ["sekisho.mechanism", "sekisho.scale", "sekisho.half_width_95"] {
        assert!(field.metadata().contains_key(name), "{name}");
    }
    assert!(answer.0.schema.field(0).metadata().is_empty(), "a key is exact");
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_again_in_other_words_the_answer_has_the_same_noise_and_is_free() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let first = asker.ask(BY_SEX).await;
    let spent = house.spent_of_permit("P-WIDE");
    let values = first.by_key("count(*)");
    for (sql, column) in [
        (BY_SEX, "count(*)"),
        ("select gender_concept_id as sex, count(*) as n from demo.person group by 1", "n"),
        ("SELECT gender_concept_id, COUNT(1) AS n FROM person GROUP BY 1", "n"),
        ("SELECT gender_concept_id, COUNT(*) AS n FROM demo.person AS q GROUP BY 1 ORDER BY n DESC", "n"),
        ("SELECT gender_concept_id, COUNT(*) AS n FROM demo.person GROUP BY 1 HAVING COUNT(*) > 50", "n"),
        ("SELECT gender_concept_id, COUNT(*) AS n FROM demo.person GROUP BY 1 ORDER BY 2 DESC LIMIT 1", "n"),
        ("WITH p AS (SELECT * FROM demo.person) SELECT gender_concept_id, COUNT(*) AS n FROM p GROUP BY 1", "n"),
    ] {
        let again = asker.ask(sql).await;
        assert!(again.kept(), "{sql}");
        assert_eq!(again.epsilon_spent(), 0.0);
        for (key, noisy) in again.by_key(column) {
            assert_eq!(noisy, values[&key], "{sql}: {key}");
        }
        assert_eq!(again.receipt(), first.receipt(), "the receipt of the one release");
    }
    assert_eq!(house.spent_of_permit("P-WIDE"), spent);
    assert_eq!(house.count("release"), 1);
    assert_eq!(house.count("kept_served"), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_answer_serves_a_coarser_question_and_not_a_finer_one() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    asker.set("epsilon", "1").await;
    let first = asker.ask(BY_SEX).await;
    asker.set("epsilon", "0.5").await;
    assert!(asker.ask(BY_SEX).await.kept());
    asker.set("epsilon", "2").await;
    let finer = asker.ask(BY_SEX).await;
    assert!(!finer.kept());
    assert!(finer.half_width("count(*)") < first.half_width("count(*)"));
    assert_eq!(house.count("release"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_epoch_draws_anew() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    asker.ask(BY_SEX).await;
    house.later(Duration::from_secs(86_400));
    let asker = house.asker("hanako", "P-WIDE").await;
    assert!(!asker.ask(BY_SEX).await.kept());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_permit_gets_the_same_answer_pays_for_it_and_is_not_told() {
    let house = House::new().await;
    let (hanako, jiro) = (house.asker("hanako", "P-WIDE").await, house.asker("jiro", "P-RIVAL").await);
    let first = hanako.ask(BY_SEX).await;
    let dataset = CapName::Dataset("demo".parse().unwrap());
    let (spent, population) = (house.spent(&dataset), house.spent(&CapName::Population("jp".parse().unwrap())));
    let second = jiro.ask(BY_SEX).await;
    assert_eq!(first.rows(), second.rows(), "nothing new is learnt about anybody");
    assert!(!second.kept());
    assert_eq!(second.epsilon_spent(), first.epsilon_spent());
    assert_eq!(first.0.schema.metadata().len(), second.0.schema.metadata().len());
    assert_ne!(first.receipt().entry, second.receipt().entry);
    assert!(!second.receipt().body.contains("hanako"));
    assert_eq!(house.spent_of_permit("P-RIVAL"), house.spent_of_permit("P-WIDE"));
    assert_eq!(house.spent(&dataset), spent);
    assert_eq!(house.spent(&CapName::Population("jp".parse().unwrap())), population);
    assert!(jiro.ask(BY_SEX).await.kept(), "now it is jiro's own");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_reads_nothing_charges_nothing_and_says_the_price() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let explained = asker
        .ask("EXPLAIN SELECT gender_concept_id, COUNT(*) AS n, AVG(year_of_birth) AS a FROM demo.person GROUP BY 1")
        .await;
    assert_eq!(explained.rows().len(), 2, "the count and the mean share one count");
    assert_eq!(house.spent_of_permit("P-WIDE"), 0.0);
    assert_eq!(house.count("admission"), 0);
    assert!(explained.numbers("question_epsilon").iter().all(|e| *e == Some(2.0)));
    assert!(explained.numbers("cells").iter().all(|c| *c == Some(5.0)));
    let said = explained.numbers("half_width_95");
    let answer =
        asker.ask("SELECT gender_concept_id, COUNT(*) AS n, AVG(year_of_birth) AS a FROM demo.person GROUP BY 1").await;
    assert!(said.contains(&Some(answer.half_width("n"))), "{said:?}");
    for sql in ["EXPLAIN ANALYZE SELECT 1", "EXPLAIN VERBOSE SELECT 1", "EXPLAIN SELECT * FROM demo.person"] {
        let code = asker.refusal(sql).await.code();
        assert!(["not_a_question", "rows_not_released"].contains(&code), "{sql}: {code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wanted_accuracy_buys_the_least_loss_that_reaches_it() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    asker.ask("SET sekisho.accuracy = 50").await;
    let coarse = asker.ask(BY_SEX).await;
    assert!(coarse.half_width("count(*)") <= 50.0 && coarse.half_width("count(*)") > 40.0);
    asker.ask("SET sekisho.accuracy = 5").await;
    let fine = asker.ask(BY_SEX).await;
    assert!(fine.half_width("count(*)") <= 5.0 && fine.epsilon_spent() > 5.0 * coarse.epsilon_spent());
    asker.ask("SET sekisho.accuracy = 0.001").await;
    assert_eq!(asker.refusal(BY_SEX).await.code(), "budget_exhausted");
    asker.ask("SET sekisho.accuracy = 50").await;
    assert_eq!(asker.refusal("SELECT AVG(year_of_birth) FROM demo.person").await.code(), "unknown_setting");
}

#[tokio::test(flavor = "multi_thread")]
async fn set_and_show_speak_of_this_session_alone() {
    let house = House::new().await;
    let (one, other) = (house.sign_in("hanako").await, house.sign_in("hanako").await);
    one.ask("SET sekisho.epsilon = 0.25").await;
    one.ask("SET sekisho.permit TO 'P-WIDE'").await;
    let shown = one.ask("SHOW ALL").await;
    let lines: Vec<String> = shown.rows().iter().map(|row| format!("{}={}", row[0], row[1])).collect();
    assert_eq!(lines, ["sekisho.permit=P-WIDE", "sekisho.epsilon=0.25"]);
    assert_eq!(one.ask("SHOW sekisho.epsilon").await.numbers("value"), [Some(0.25)]);
    assert!(other.ask("SHOW ALL").await.rows().is_empty());
    one.ask("SET sekisho.epsilon = DEFAULT").await;
    assert_eq!(one.ask("SHOW ALL").await.rows().len(), 1);
    for sql in ["SET sekisho.epsilon = -1", "SET sekisho.colour = 'red'", "SET sekisho.deadline = 17"] {
        assert_eq!(one.refusal(sql).await.code(), "unknown_setting", "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_active_permit_need_not_be_named() {
    let house = House::new().await;
    let hanako = house.sign_in("hanako").await;
    hanako.ask(BY_SEX).await;
    house.grant(wide("P-SECOND", "hanako")).await;
    assert_eq!(hanako.refusal(BY_SEX).await.code(), "no_permit", "now there are two");
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_bound_as_values() {
    use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use std::sync::Arc;
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let sql = "SELECT COUNT(*) AS n FROM demo.person WHERE gender_concept_id = $1";
    let one = |v: Vec<i64>| RecordBatch::try_from_iter([("$1", Arc::new(Int64Array::from(v)) as ArrayRef)]).unwrap();
    let bound = house.gateway.answer(&asker.session, sql, Some(&one(vec![8507]))).await.unwrap();
    let written = asker.ask("SELECT COUNT(*) AS n FROM demo.person WHERE gender_concept_id = 8507").await;
    assert!(written.kept(), "the same question");
    assert_eq!(super::house::rows(&bound.batches), written.rows());
    let shape = house.gateway.shape(&asker.session, sql).await.unwrap();
    assert_eq!(shape.parameters.fields().len(), 1);
    assert_eq!(shape.schema.field(0).name(), "n");
    for wrong in [vec![], vec![1, 2]] {
        let refusal = house.gateway.answer(&asker.session, sql, Some(&one(wrong))).await.unwrap_err();
        assert_eq!(refusal.code(), "not_a_question");
    }
    assert_eq!(asker.refusal(sql).await.code(), "not_a_question");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smaller_cap_of_the_data_set_stops_a_wide_permit() {
    let house = House::on(ground(), cap(1.0), cap(1.0)).await;
    let mut permit = wide("P-WIDE", "hanako");
    (permit.cap, permit.analyst_cap, permit.per_question_epsilon) = (cap(1.0), cap(1.0), 0.6);
    house.grant(permit.clone()).await;
    let mut rival = wide("P-RIVAL", "jiro");
    (rival.cap, rival.analyst_cap, rival.per_question_epsilon) = (cap(1.0), cap(1.0), 0.6);
    house.grant(rival).await;
    house.asker("hanako", "P-WIDE").await.ask(BY_SEX).await;
    let refusal = house.asker("jiro", "P-RIVAL").await.refusal("SELECT COUNT(*) FROM demo.death").await;
    assert_eq!(refusal.code(), "budget_exhausted");
    assert_eq!(house.spent_of_permit("P-RIVAL"), 0.0, "from all caps or from none");
}
