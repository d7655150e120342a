//! Are answers near the truth, within the bounds that they state, and complete?

use std::collections::BTreeMap;

use super::{
    house::{Answer, House, number},
    truth::{true_number, truth},
};

/// Six half-widths: less than one wrong alarm in ten million draws.
fn near(noisy: Option<f64>, exact: f64, half_width: f64, what: &str) {
    let noisy = noisy.unwrap_or_else(|| panic!("{what}: NULL, not near {exact}"));
    assert!((noisy - exact).abs() <= 6.0 * half_width + 1e-9, "{what}: {noisy}, exact {exact}, ± {half_width}");
}

/// Every group of `exact` (key, value) is near; groups that it does not name are near zero.
async fn all_near(answer: &Answer, column: &str, exact_sql: &str) {
    let exact: BTreeMap<String, f64> =
        truth(exact_sql).await.iter().map(|row| (row[0].to_string(), number(&row[1]).unwrap())).collect();
    let noisy = answer.by_key(column);
    assert!(exact.keys().all(|key| noisy.contains_key(key)), "a group is missing: {exact:?} {noisy:?}");
    for (key, value) in noisy {
        near(value, exact.get(&key).copied().unwrap_or(0.0), answer.half_width(column), &key);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_and_means_by_sex_are_near_and_empty_cells_are_shown() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let answer = asker
        .ask("SELECT gender_concept_id AS sex, COUNT(*) AS n, AVG(year_of_birth) AS born FROM demo.person GROUP BY 1")
        .await;
    assert_eq!(answer.names(), ["sex", "n", "born"]);
    all_near(&answer, "n", "SELECT gender_concept_id, COUNT(*) FROM person GROUP BY 1").await;
    let cells = answer.by_key("n");
    assert_eq!(cells.len(), 5, "all of the code list: {cells:?}");
    let born = answer.by_key("born");
    for row in truth("SELECT gender_concept_id, AVG(year_of_birth), COUNT(*) FROM person GROUP BY 1").await {
        let (mean, persons) = (number(&row[1]).unwrap(), number(&row[2]).unwrap());
        assert!((born[&row[0].to_string()].unwrap() - mean).abs() < 2000.0 / persons, "{born:?} {mean}");
    }
    let keys: Vec<String> = answer.rows().iter().map(|row| row[0].to_string()).collect();
    let mut sorted = keys.clone();
    sorted.sort_by_key(|key| key.parse::<i64>().unwrap());
    assert_eq!(keys, sorted, "rows come in the order of their keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_counts_m_rows_in_a_group_and_no_more() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let sql = "SELECT p.gender_concept_id, COUNT(*) AS n FROM demo.person p
               JOIN demo.visit_occurrence v ON v.person_id = p.person_id GROUP BY 1";
    for most in [1, 3] {
        asker.set("rows_per_group", &most.to_string()).await;
        let bounded = format!(
            "SELECT p.gender_concept_id, SUM(LEAST(v.n, {most})) FROM person p JOIN
             (SELECT person_id, COUNT(*) AS n FROM visit_occurrence GROUP BY 1) v ON v.person_id = p.person_id GROUP BY 1"
        );
        all_near(&asker.ask(sql).await, "n", &bounded).await;
    }
    asker.set("rows_per_group", "4096").await;
    asker.set("epsilon", "10").await;
    let all = "SELECT p.gender_concept_id, COUNT(*) FROM person p JOIN visit_occurrence v
               ON v.person_id = p.person_id GROUP BY 1";
    all_near(&asker.ask(sql).await, "n", all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_counts_in_c_groups_and_no_more() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let sql = "SELECT visit_concept_id, COUNT(DISTINCT person_id) AS n FROM demo.visit_occurrence GROUP BY 1";
    for most in [1, 2] {
        asker.set("groups", &most.to_string()).await;
        let answer = asker.ask(sql).await;
        let kept = format!(
            "SELECT SUM(LEAST(n, {most})) FROM
             (SELECT COUNT(DISTINCT visit_concept_id) AS n FROM visit_occurrence GROUP BY person_id)"
        );
        let cells = answer.numbers("n");
        let total: f64 = cells.iter().map(|n| n.unwrap()).sum();
        // Independent draws: the sum's width grows with the root of their number.
        near(
            Some(total),
            true_number(&kept).await,
            answer.half_width("n") * (cells.len() as f64).sqrt(),
            "all cells together",
        );
        for row in truth("SELECT visit_concept_id, COUNT(DISTINCT person_id) FROM visit_occurrence GROUP BY 1").await {
            let shown = answer.by_key("n")[&row[0].to_string()].unwrap();
            assert!(shown <= number(&row[1]).unwrap() + 6.0 * answer.half_width("n"));
        }
    }
    asker.set("groups", "64").await;
    let exact = "SELECT visit_concept_id, COUNT(DISTINCT person_id) FROM visit_occurrence GROUP BY 1";
    all_near(&asker.ask(sql).await, "n", exact).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_without_a_public_list_are_shown_only_above_the_threshold() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    asker.set("groups", "64").await;
    let sql =
        "SELECT condition_concept_id, COUNT(DISTINCT person_id) AS persons FROM demo.condition_occurrence GROUP BY 1";
    let explained = asker.ask(&format!("EXPLAIN {sql}")).await;
    let lines: Vec<String> = explained.rows().iter().map(|row| row[2].to_string()).collect();
    let threshold = lines.iter().find_map(|line| {
        let (_, rest) = line.split_once("groups above ")?;
        rest.split(' ').next()?.parse::<f64>().ok()
    });
    let threshold = threshold.unwrap_or_else(|| panic!("no threshold in {lines:?}"));
    let answer = asker.ask(sql).await;
    let shown = answer.by_key("persons");
    let exact: BTreeMap<String, f64> =
        truth("SELECT condition_concept_id, COUNT(DISTINCT person_id) FROM condition_occurrence GROUP BY 1")
            .await
            .iter()
            .map(|row| (row[0].to_string(), number(&row[1]).unwrap()))
            .collect();
    assert!(!shown.is_empty() && shown.len() < exact.len(), "{} of {} shown", shown.len(), exact.len());
    let width = answer.half_width("persons");
    for (key, noisy) in &shown {
        assert!(noisy.unwrap() > threshold, "{key} shown at {noisy:?}, threshold {threshold}");
        near(*noisy, exact[key], width, key);
    }
    for (key, persons) in &exact {
        assert!(shown.contains_key(key) || *persons < threshold + 6.0 * width, "{key} of {persons} is missing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_of_a_mean_come_from_where_or_from_least_and_greatest() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    // HbA1c, concept 3004410, in percent.
    let from = "FROM demo.measurement WHERE measurement_concept_id = 3004410";
    let refusal = asker.refusal("SELECT AVG(value_as_number) FROM demo.measurement").await;
    assert_eq!(refusal.code(), "bound_missing");
    let known = asker.ask(&format!("SELECT AVG(value_as_number) AS a {from}")).await;
    let clamped = asker.ask(&format!("SELECT AVG(least(greatest(value_as_number, 3), 15)) AS a {from}")).await;
    let cut = asker.ask(&format!("SELECT AVG(value_as_number) AS a {from} AND value_as_number BETWEEN 3 AND 15")).await;
    // Weighted as the release does it: a person with more than m = 8 rows counts as 8.
    let weighted = |value: &str, filter: &str| {
        format!(
            "SELECT SUM(s * LEAST(n, 8) / n) / SUM(LEAST(n, 8)) FROM (
                SELECT person_id, SUM({value}) AS s, CAST(COUNT({value}) AS DOUBLE) AS n FROM measurement
                WHERE measurement_concept_id = 3004410 {filter} GROUP BY 1) WHERE n > 0"
        )
    };
    let exact = true_number(&weighted("LEAST(GREATEST(value_as_number, 0), 25)", "")).await;
    assert!((known.numbers("a")[0].unwrap() - exact).abs() < 0.3, "{:?} {exact}", known.numbers("a"));
    let exact =
        true_number(&weighted("LEAST(GREATEST(value_as_number, 3), 15)", "AND value_as_number IS NOT NULL")).await;
    assert!((clamped.numbers("a")[0].unwrap() - exact).abs() < 0.15, "{:?} {exact}", clamped.numbers("a"));
    let exact = true_number(&weighted("value_as_number", "AND value_as_number BETWEEN 3 AND 15")).await;
    assert!((cut.numbers("a")[0].unwrap() - exact).abs() < 0.15, "{:?} {exact}", cut.numbers("a"));
    // Of what is computed as well.
    let doubled = format!("SELECT AVG(value_as_number * 2) AS a {from} AND value_as_number * 2 BETWEEN 6 AND 30");
    let doubled = asker.ask(&doubled).await.numbers("a")[0].unwrap();
    assert!((doubled - 2.0 * exact).abs() < 0.3, "{doubled} {exact}");
    let other = "SELECT AVG(value_as_number * 3) AS a FROM demo.measurement WHERE value_as_number * 2 BETWEEN 6 AND 30";
    assert_eq!(asker.refusal(other).await.code(), "bound_missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_computed_per_person_first_may_be_grouped_by() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let answer = asker
        .ask(
            "SELECT least(visits, 5) AS visits, COUNT(*) AS persons FROM
             (SELECT person_id, COUNT(*) AS visits FROM demo.visit_occurrence GROUP BY person_id) GROUP BY 1",
        )
        .await;
    let exact = "SELECT LEAST(visits, 5) AS visits, COUNT(*) FROM
                 (SELECT person_id, COUNT(*) AS visits FROM visit_occurrence GROUP BY person_id) GROUP BY 1";
    all_near(&answer, "persons", exact).await;
    let means = asker
        .ask(
            "WITH worst AS (SELECT person_id, MAX(value_as_number) AS hba1c FROM demo.measurement
                            WHERE measurement_concept_id = 3004410 GROUP BY person_id)
             SELECT COUNT(*) AS n, AVG(least(greatest(hba1c, 3), 15)) AS a FROM worst",
        )
        .await;
    let exact = truth(
        "SELECT COUNT(*), AVG(LEAST(GREATEST(h, 3), 15)) FROM (SELECT person_id, MAX(value_as_number) AS h
         FROM measurement WHERE measurement_concept_id = 3004410 GROUP BY 1)",
    )
    .await;
    near(means.numbers("n")[0], number(&exact[0][0]).unwrap(), means.half_width("n"), "persons with a value");
    assert!((means.numbers("a")[0].unwrap() - number(&exact[0][1]).unwrap()).abs() < 0.3);
}

#[tokio::test(flavor = "multi_thread")]
async fn public_tables_are_joined_and_answered_by_themselves_exactly_and_free() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let alone = asker.ask("SELECT COUNT(*) AS n FROM vocab.concept WHERE domain_id = 'Drug'").await;
    assert_eq!(alone.numbers("n")[0], Some(true_number("SELECT COUNT(*) FROM concept WHERE domain_id = 'Drug'").await));
    assert_eq!(alone.said("receipt"), None);
    assert_eq!(house.spent_of_permit("P-WIDE"), 0.0);
    let joined = asker
        .ask(
            "SELECT c.concept_name AS name, COUNT(DISTINCT o.person_id) AS n FROM demo.condition_occurrence o
             JOIN vocab.concept c ON c.concept_id = o.condition_concept_id
             WHERE o.condition_concept_id IN (201826, 320128) GROUP BY 1",
        )
        .await;
    assert!(house.spent_of_permit("P-WIDE") > 0.0);
    let exact: BTreeMap<String, f64> = truth(
        "SELECT c.concept_name, COUNT(DISTINCT o.person_id) FROM condition_occurrence o
         JOIN concept c ON c.concept_id = o.condition_concept_id
         WHERE o.condition_concept_id IN (201826, 320128) GROUP BY 1",
    )
    .await
    .iter()
    .map(|row| (row[0].to_string(), number(&row[1]).unwrap()))
    .collect();
    let shown = joined.by_key("n");
    assert_eq!(shown.len(), exact.len(), "{shown:?} {exact:?}");
    for (name, noisy) in shown {
        near(noisy, exact[&name], joined.half_width("n"), &name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn persons_join_public_tables_on_any_condition() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    asker.set("epsilon", "5").await;
    asker.set("groups", "64").await;
    asker.set("rows_per_group", "4096").await;
    let joined = |condition: &str| {
        format!(
            "SELECT COUNT(*) AS n FROM condition_occurrence o JOIN concept c ON {condition}
             WHERE o.condition_concept_id IN (201826, 320128)"
        )
    };
    for condition in [
        "c.concept_id = o.condition_concept_id",
        "o.condition_concept_id = c.concept_id AND c.domain_id = 'Condition'",
        "c.concept_id = o.condition_concept_id + 0",
        "c.concept_id > o.condition_concept_id AND c.domain_id = 'Gender'",
        "c.concept_id = o.condition_concept_id OR c.domain_id = 'Gender'",
        "c.concept_id IN (8507, 8532)",
    ] {
        let sql = joined(condition);
        let noisy = asker.ask(&sql.replace("JOIN concept", "JOIN vocab.concept")).await;
        near(noisy.numbers("n")[0], true_number(&sql).await, noisy.half_width("n"), condition);
    }
    let grouped = "SELECT c.domain_id, COUNT(*) AS n FROM person p CROSS JOIN concept c
                   WHERE c.domain_id IN ('Gender', 'Visit') GROUP BY 1";
    let noisy = asker.ask(&grouped.replace("JOIN concept", "JOIN vocab.concept")).await;
    assert_eq!(noisy.rows().len(), 2);
    all_near(&noisy, "n", grouped).await;
    assert_eq!(house.count("failure"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_is_exact_free_and_shows_rows() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let rows = asker.ask("SELECT * FROM demo_sample.person LIMIT 3").await;
    assert_eq!(rows.rows().len(), 3);
    let (twice, again) = (
        asker.ask("SELECT COUNT(*) AS n FROM demo_sample.measurement").await,
        asker.ask("SELECT COUNT(*) AS n FROM demo_sample.measurement").await,
    );
    assert_eq!(twice.rows(), again.rows());
    assert_eq!(house.spent_of_permit("P-WIDE"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn having_order_limit_and_arithmetic_work_on_what_was_released() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let answer = asker
        .ask(
            "SELECT visit_concept_id AS kind, COUNT(*) AS n, COUNT(*) / COUNT(DISTINCT person_id) AS each,
                    SUM(1) * 100 / COUNT(*) AS percent
             FROM demo.visit_occurrence GROUP BY visit_concept_id HAVING COUNT(*) > 100 ORDER BY n DESC LIMIT 2",
        )
        .await;
    let n = answer.numbers("n");
    assert!(n.len() == 2 && n[0] >= n[1] && n[1] > Some(100.0), "{n:?}");
    // Both counts are noised: where most persons have one visit, a whole quotient may be zero.
    assert!(answer.numbers("each").iter().all(|each| each.is_some_and(|each| (0.0..=17.0).contains(&each))));
}

#[tokio::test(flavor = "multi_thread")]
async fn intervals_stand_beside_each_noisy_column_when_wanted() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    asker.ask("SET sekisho.intervals = on").await;
    let answer = asker
        .ask("SELECT gender_concept_id AS sex, COUNT(*) AS n, AVG(year_of_birth) AS born FROM demo.person GROUP BY 1 ORDER BY n DESC")
        .await;
    assert_eq!(answer.names(), ["sex", "n", "n_lo", "n_hi", "born", "born_lo", "born_hi"]);
    let (n, low, high) = (answer.numbers("n"), answer.numbers("n_lo"), answer.numbers("n_hi"));
    for ((n, low), high) in n.iter().zip(low).zip(high) {
        let (n, low, high) = (n.unwrap(), low.unwrap(), high.unwrap());
        assert!((n - low - answer.half_width("n")).abs() < 1e-9 && (high - n - answer.half_width("n")).abs() < 1e-9);
    }
    let (born, low) = (answer.numbers("born"), answer.numbers("born_lo"));
    assert!(low[0] < born[0] && born[0].unwrap() - low[0].unwrap() < 5.0, "{born:?} {low:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_to_a_reference_table_groups_persons_by_their_place() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let answer = asker
        .ask(
            "SELECT l.state AS prefecture, COUNT(*) AS n FROM demo.person p
             JOIN demo.location l ON l.location_id = p.location_id GROUP BY 1",
        )
        .await;
    let exact: BTreeMap<String, f64> =
        truth("SELECT l.state, COUNT(*) FROM person p JOIN location l ON l.location_id = p.location_id GROUP BY 1")
            .await
            .iter()
            .map(|row| (row[0].to_string(), number(&row[1]).unwrap()))
            .collect();
    let shown = answer.by_key("n");
    assert!(!shown.is_empty());
    for (prefecture, noisy) in shown {
        near(noisy, exact[&prefecture], answer.half_width("n"), &prefecture);
    }
    assert_eq!(asker.refusal("SELECT COUNT(*) FROM demo.location").await.code(), "persons_mixed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_step_that_fails_on_noised_values_is_nobodys_failure() {
    let house = House::new().await;
    let (hanako, jiro) = (house.asker("hanako", "P-WIDE").await, house.asker("jiro", "P-RIVAL").await);
    let plain = "SELECT COUNT(*) AS n FROM demo.condition_occurrence";
    let beyond = "SELECT CAST(DATE '2000-01-01' + CAST(2000000000 + COUNT(*) AS INT) AS TEXT) AS t
                  FROM demo.condition_occurrence";
    // As often as would halt a permit that fails.
    for _ in 0..3 {
        match hanako.try_ask(beyond).await {
            Ok(answer) => assert!(answer.rows()[0][0].is_null(), "{:?}", answer.rows()),
            Err(refusal) => assert_eq!(refusal.code(), "not_done", "{refusal}"),
        }
    }
    assert_eq!((house.count("admission"), house.count("release"), house.count("failure")), (1, 1, 0));
    let spent = house.spent_of_permit("P-WIDE");
    assert!(spent > 0.0);
    assert!(hanako.ask(plain).await.kept(), "the values are bought and kept");
    assert_eq!(house.spent_of_permit("P-WIDE").to_bits(), spent.to_bits());
    assert!(!jiro.ask(plain).await.kept());
    let cast = hanako.ask("SELECT CAST(COUNT(*) + 3000000000 AS INT) AS n FROM demo.condition_occurrence").await;
    assert_eq!(cast.numbers("n"), [None], "a cast that does not fit is NULL");
}
