//! Are medians, spreads, ends and groups by expressions answered near the truth, through the whole gateway?

use std::collections::{BTreeMap, BTreeSet};

use super::{
    house::{House, number},
    truth::{true_number, truth},
};

async fn one(house: &House, sql: &str) -> f64 {
    let asker = house.asker("hanako", "P-WIDE").await;
    asker.set("epsilon", "2").await;
    let answer = asker.ask(sql).await;
    number(&answer.rows()[0][0]).unwrap_or(f64::NAN)
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_of_the_year_of_birth_are_near_the_truth() {
    let house = House::new().await;
    for (aggregate, within) in [
        ("MEDIAN(year_of_birth)", 3.0),
        ("percentile_cont(0.9) WITHIN GROUP (ORDER BY year_of_birth)", 3.0),
        ("approx_percentile_cont(0.25) WITHIN GROUP (ORDER BY year_of_birth)", 3.0),
        ("STDDEV(year_of_birth)", 3.0),
        ("STDDEV_POP(year_of_birth)", 3.0),
        ("AVG(year_of_birth)", 2.0),
        ("COUNT(DISTINCT year_of_birth)", 20.0),
    ] {
        let found = one(&house, &format!("SELECT {aggregate} FROM demo.person")).await;
        let exact = true_number(&format!("SELECT {aggregate} FROM person")).await;
        assert!((found - exact).abs() <= within, "{aggregate}: {found}, in truth {exact}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_mostly_noise_within_the_catalogues_bounds_says_so() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    asker.set("epsilon", "0.5").await;
    asker.set("intervals", "on").await;
    let wide = "SELECT AVG(visit_end_date - visit_start_date) AS days FROM demo.visit_occurrence";
    let narrow = "SELECT AVG(least(greatest(year_of_birth, 1900), 2030)) AS born FROM demo.person";
    assert_eq!(asker.ask(wide).await.said("loosely_bounded").as_deref(), Some("days"));
    assert_eq!(asker.ask(narrow).await.said("loosely_bounded"), None);
    let origin = async |sql: &str| format!("{:?}", asker.ask(&format!("EXPLAIN {sql}")).await.rows());
    let hint = "less noise within narrower ones: least(greatest(x, lowest), highest), or WHERE";
    assert!(origin("SELECT AVG(year_of_birth) FROM demo.person").await.contains(hint));
    assert!(!origin(narrow).await.contains(hint));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_and_the_greatest_are_protected_ends_between_the_true_ones() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let sql = "SELECT MIN(year_of_birth) AS first, MAX(year_of_birth) AS last FROM";
    let answer = asker.ask(&format!("{sql} demo.person")).await;
    let exact = truth(&format!("{sql} person")).await;
    let (first, last) = (answer.numbers("first")[0].unwrap(), answer.numbers("last")[0].unwrap());
    let (least, greatest) = (number(&exact[0][0]).unwrap(), number(&exact[0][1]).unwrap());
    assert!(first >= least - 3.0 && first < least + 30.0, "{first}, in truth {least}");
    assert!(last <= greatest + 3.0 && last > greatest - 30.0, "{last}, in truth {greatest}");
    let schema = &answer.0.schema;
    let said = schema.field_with_name("first").unwrap().metadata();
    assert_eq!(said["sekisho.half_width_of"], "rank in persons");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_by_month_by_age_and_by_case_are_public_and_complete() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let decades =
        "SELECT floor(year_of_birth / 10) * 10 AS decade, COUNT(*) AS n FROM demo.person GROUP BY 1 ORDER BY 1";
    let explained = asker.ask(&format!("EXPLAIN {decades}")).await;
    assert_eq!(explained.rows().len(), 1, "no selection is paid for");
    assert!(
        explained.numbers("cells")[0].is_some_and(|cells| (10.0..=20.0).contains(&cells)),
        "{:?}",
        explained.rows()
    );
    assert!(explained.numbers("loss_at_binding_order")[0].is_some_and(|loss| loss > 0.0));
    for sql in [
        "EXPLAIN SELECT date_trunc('month', visit_start_date), COUNT(*) FROM demo.visit_occurrence GROUP BY 1",
        "EXPLAIN SELECT EXTRACT(year FROM visit_start_date) AS y, COUNT(*) FROM demo.visit_occurrence GROUP BY 1",
        "EXPLAIN SELECT to_char(visit_start_date, '%Y') AS y, COUNT(*) FROM demo.visit_occurrence GROUP BY 1",
        "EXPLAIN SELECT CASE WHEN year_of_birth < 1950 THEN 'old' ELSE 'young' END, COUNT(*) FROM demo.person GROUP BY 1",
    ] {
        let explained = asker.ask(sql).await;
        assert_eq!(explained.rows().len(), 1, "{sql}");
        assert!(explained.numbers("cells")[0].is_some(), "{sql}");
    }
    let shown = asker.ask(decades).await.by_key("n");
    for row in truth("SELECT CAST(floor(year_of_birth / 10) * 10 AS BIGINT), COUNT(*) FROM person GROUP BY 1").await {
        let decade = number(&row[0]).unwrap();
        let known = shown.iter().find(|(key, _)| key.parse::<f64>().is_ok_and(|key| (key - decade).abs() < 0.5));
        assert!(known.is_some(), "{decade} is missing in {shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_nobody_is_in_count_nowhere() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    asker.set("epsilon", "3").await;
    let yearly = |table: &str| {
        format!(
            "SELECT EXTRACT(year FROM visit_start_date) AS y, COUNT(*) AS n FROM {table}visit_occurrence GROUP BY 1"
        )
    };
    let above = |of: &str| {
        format!("SELECT COUNT(*) AS years, AVG(n) AS mean, MIN(n) AS least, SUM(n) AS every FROM ({of}) AS t")
    };
    let (shown, exact) = (asker.ask(&yearly("demo.")).await, truth(&yearly("")).await);
    let known: BTreeSet<String> = exact.iter().map(|row| row[0].to_string()).collect();
    let years = shown.by_key("n");
    let cells = asker.ask(&format!("EXPLAIN {}", yearly("demo."))).await.numbers("cells")[0].unwrap();
    let left_out = shown.said("groups_not_shown").map_or(0.0, |n| n.parse().unwrap());
    assert!((cells - left_out - years.len() as f64).abs() < 0.5, "{left_out} of {cells} beside {years:?}");
    // One release in a hundred shows a year of nobody.
    let ghosts = |years: &BTreeMap<String, Option<f64>>| years.keys().filter(|year| !known.contains(*year)).count();
    assert!(ghosts(&years) <= 1, "{years:?}, in truth {exact:?}");
    // A year of a handful may be lost in noise; no year of hundreds.
    for row in &exact {
        let n = number(&row[1]).unwrap();
        assert!(n < 300.0 || years.contains_key(&row[0].to_string()), "{row:?} is missing in {years:?}");
    }
    let figures = asker.ask(&above(&yearly("demo."))).await;
    let of = |name: &str| figures.numbers(name)[0].unwrap();
    let standing: Vec<f64> = years.values().map(|n| n.unwrap()).collect();
    let (count, sum): (f64, f64) = (standing.len() as f64, standing.iter().sum());
    assert!((of("years") - count).abs() < 0.5, "{:?}: the same draws", figures.rows());
    assert!((of("mean") - sum / count).abs() < 1e-6 * sum);
    assert!((of("least") - standing.iter().copied().fold(f64::INFINITY, f64::min)).abs() < 0.5);
    let all = number(&truth("SELECT COUNT(*) FROM visit_occurrence").await[0][0]).unwrap();
    assert!((of("every") - all).abs() < 0.2 * all, "a sum takes in every group: {}, in truth {all}", of("every"));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_the_question_names_are_shown_whoever_is_in_them() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let sql = "SELECT EXTRACT(year FROM visit_start_date) AS y, COUNT(*) AS n FROM demo.visit_occurrence
               WHERE visit_start_date >= DATE '1951-01-01' AND visit_start_date < DATE '1961-01-01' GROUP BY 1 ORDER BY 1";
    assert_eq!(asker.ask(sql).await.rows().len(), 10, "nobody is there");
    let counted = asker.ask(&format!("SELECT COUNT(*) AS n FROM ({sql}) AS t")).await;
    assert!(
        counted.numbers("n")[0].unwrap() < 3.0,
        "but what is counted are groups with somebody: {:?}",
        counted.rows()
    );
    let labels =
        "SELECT CASE WHEN year_of_birth > 2100 THEN 'none' WHEN year_of_birth > 1960 THEN 'young' ELSE 'old' END AS a,
                  COUNT(*) AS n FROM demo.person GROUP BY 1";
    assert_eq!(asker.ask(labels).await.rows().len(), 3);
}

/// What is too small to stand out is no reason for a 0 beside what it is compared with.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_group_stands_beside_the_large_one_that_it_is_joined_to() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    asker.set("epsilon", "2").await;
    let yearly = |condition: &str| {
        format!(
            "SELECT EXTRACT(year FROM visit_start_date) AS y, COUNT(*) AS n FROM demo.visit_occurrence {condition} GROUP BY 1"
        )
    };
    let (few, all) = (yearly("WHERE visit_concept_id = 262"), yearly(""));
    let joined = format!("SELECT a.y, f.n AS few, a.n AS every FROM ({all}) a LEFT JOIN ({few}) f ON f.y = a.y");
    let beside = asker.ask(&joined).await;
    let years = beside.by_key("every");
    assert!((3..40).contains(&years.len()), "a row for each year that stands out: {years:?}");
    assert!(beside.numbers("few").iter().all(Option::is_some), "{:?}", beside.rows());
    let either = format!("SELECT a.y, f.n AS few, a.n AS every FROM ({all}) a JOIN ({few}) f ON f.y = a.y");
    assert_eq!(asker.ask(&either).await.by_key("every"), years, "the same draws");
    let mean = format!("SELECT COUNT(*) AS years, AVG(1.0 * q.few / q.every) AS share FROM ({joined}) q");
    let counted = asker.ask(&mean).await;
    let counted = counted.numbers("years")[0].unwrap();
    assert!(counted < years.len() as f64 + 0.5, "above it both must stand out: {counted} of {years:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn medians_by_a_declared_range_are_of_groups_that_have_somebody() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    asker.set("epsilon", "3").await;
    let sql = "SELECT EXTRACT(year FROM visit_start_date) AS y, MEDIAN(EXTRACT(month FROM visit_start_date)) AS m FROM demo.visit_occurrence GROUP BY 1";
    let explained = asker.ask(&format!("EXPLAIN {sql}")).await;
    assert_eq!(explained.rows().len(), 2, "a selection is paid for: {:?}", explained.rows());
    let known = truth("SELECT DISTINCT EXTRACT(year FROM visit_start_date) FROM visit_occurrence").await;
    let known: BTreeSet<String> = known.iter().map(|row| row[0].to_string()).collect();
    let years = asker.ask(sql).await.by_key("m");
    assert!(!years.is_empty() && years.keys().all(|year| known.contains(year)), "{years:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn age_at_an_event_needs_no_bounds_by_hand() {
    let house = House::new().await;
    let sql = "SELECT AVG(EXTRACT(year FROM v.visit_start_date) - p.year_of_birth) AS age FROM";
    let found =
        one(&house, &format!("{sql} demo.person p JOIN demo.visit_occurrence v ON v.person_id = p.person_id")).await;
    let exact = true_number(&format!("{sql} person p JOIN visit_occurrence v ON v.person_id = p.person_id")).await;
    assert!((found - exact).abs() < 15.0, "{found}, in truth {exact}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_count_is_negative_where_that_is_wanted() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let sql = "SELECT visit_start_date AS day, COUNT(*) AS n FROM demo.visit_occurrence
               WHERE visit_start_date BETWEEN DATE '1951-01-01' AND DATE '1951-12-31' GROUP BY 1";
    let drawn = asker.ask(sql).await;
    assert!(drawn.numbers("n").iter().any(|n| n.is_some_and(|n| n < 0.0)), "some day's count is below zero");
    asker.set("display", "non_negative").await;
    let shown = asker.ask(sql).await;
    assert!(shown.kept(), "the same draws, shown otherwise");
    assert!(shown.numbers("n").iter().all(|n| n.is_some_and(|n| n >= 0.0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quotient_of_two_noisy_counts_has_an_interval_of_its_own() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    asker.set("intervals", "on").await;
    let sql = "SELECT COUNT(*) AS n, COUNT(DISTINCT person_id) AS k, 1.0 * COUNT(*) / COUNT(DISTINCT person_id) AS each
               FROM demo.visit_occurrence";
    let answer = asker.ask(sql).await;
    let one = |name: &str| answer.numbers(name)[0].unwrap();
    assert_eq!(answer.names(), ["n", "n_lo", "n_hi", "k", "k_lo", "k_hi", "each", "each_lo", "each_hi"]);
    let half = |name: &str| (one(&format!("{name}_hi")) - one(&format!("{name}_lo"))) / 2.0;
    let expected = (half("n") + one("each").abs() * half("k")) / one("k").abs();
    assert!((half("each") - expected).abs() < 1e-6 * expected, "{} for {expected}", half("each"));
    assert!((one("each") - one("n") / one("k")).abs() < 1e-9);
}
