//! Do data sets of other makers load, and are questions about them answered?
//!
//! They lie outside the repository: `SEKISHO_SHARED_DATA`, or `../shared/data` beside it. Absent, each story says so.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::gateway::{
    house::{Answer, Ground, House, cap, number, own_folder},
    truth::truth_of,
};

/// The delivery of this name, if it is on this machine.
fn delivery(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("SEKISHO_SHARED_DATA").map_or(beside, PathBuf::from).join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    #[expect(clippy::print_stderr, reason = "whoever runs the tests is to know that this one did nothing")]
    {
        eprintln!("skipped: {} is not on this machine", folder.display());
    }
    None
}

async fn house(
    name: &str,
    source: PathBuf,
    model: &str,
    population_max: u64,
    vocabulary: bool,
) -> (House, Arc<Ground>) {
    let vocabulary = vocabulary.then(|| source.clone());
    let ground = Ground::new(own_folder(name), source, model, population_max, vocabulary, 0.05);
    let ground = Arc::new(ground);
    (House::on(&ground, cap(500.0), cap(500.0)).await, ground)
}

/// Each cell of `exact_sql` (key, value) is shown within six half-widths.
async fn near(answer: &Answer, column: &str, ground: &Ground, exact_sql: &str) {
    let shown = answer.by_key(column);
    for row in truth_of(ground.source(), exact_sql).await {
        let (key, exact) = (row[0].to_string(), number(&row[1]).unwrap());
        let noisy = shown.get(&key).copied().flatten();
        let off = noisy.map_or(f64::INFINITY, |noisy| (noisy - exact).abs());
        assert!(off <= 6.0 * answer.half_width(column), "{key}: {noisy:?}, exact {exact}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gibleed_of_cdm_5_3_loads_and_answers() {
    let Some(source) = delivery("omop-gibleed-5.3") else { return };
    let (house, ground) = house("gibleed", source, "omop-5.3", 2_700, true).await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let by_sex = asker.ask("SELECT gender_concept_id, COUNT(*) AS n FROM demo.person GROUP BY 1").await;
    near(&by_sex, "n", &ground, "SELECT CAST(gender_concept_id AS BIGINT), COUNT(*) FROM person GROUP BY 1").await;
    asker.set("groups", "64").await;
    let drugs = asker
        .ask(
            "SELECT c.concept_name, COUNT(DISTINCT d.person_id) AS n FROM demo.drug_exposure d
             JOIN vocab.concept c ON c.concept_id = d.drug_concept_id GROUP BY 1 ORDER BY n DESC LIMIT 10",
        )
        .await;
    assert_eq!(drugs.rows().len(), 10);
    let all = asker.ask("SELECT COUNT(*) AS n FROM vocab.concept").await;
    assert!(all.numbers("n")[0] > Some(400.0));
    // Every value_as_number of this delivery is NULL: the mean of nothing is NULL or noise, never a failure.
    asker.ask("SELECT AVG(least(greatest(value_as_number, 0), 10)) AS a FROM demo.measurement").await;
    assert_eq!(house.count("failure"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn psynthea_of_cdm_5_4_loads_and_answers() {
    let Some(source) = delivery("omop-psynthea2000-5.4") else { return };
    let (house, ground) = house("psynthea", source, "omop-5.4", 2_000, false).await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let by_sex = asker
        .ask(
            "SELECT p.gender_concept_id, COUNT(DISTINCT m.person_id) AS n, COUNT(*) AS rows
             FROM demo.person p JOIN demo.measurement m ON m.person_id = p.person_id GROUP BY 1",
        )
        .await;
    let exact = "SELECT CAST(p.gender_concept_id AS BIGINT), COUNT(DISTINCT m.person_id)
                 FROM person p JOIN measurement m ON m.person_id = p.person_id GROUP BY 1";
    near(&by_sex, "n", &ground, exact).await;
    asker.set("groups", "64").await;
    // Spread over 64 groups, a smaller share hides even what all 2,000 have.
    asker.set("epsilon", "8").await;
    let top = asker
        .ask(
            "SELECT measurement_concept_id, COUNT(DISTINCT person_id) AS n, AVG(least(greatest(value_as_number, 0), 300)) AS a
             FROM demo.measurement GROUP BY 1 ORDER BY n DESC LIMIT 5",
        )
        .await;
    assert_eq!(top.rows().len(), 5);
    let per_person = asker
        .ask(
            "SELECT least(n, 20) AS conditions, COUNT(*) AS persons FROM (SELECT person_id,
             COUNT(DISTINCT condition_concept_id) AS n FROM demo.condition_occurrence GROUP BY person_id) GROUP BY 1",
        )
        .await;
    let exact = "SELECT LEAST(n, 20), COUNT(*) FROM (SELECT person_id, COUNT(DISTINCT condition_concept_id) AS n
                 FROM condition_occurrence GROUP BY person_id) GROUP BY 1";
    near(&per_person, "persons", &ground, exact).await;
    assert_eq!(house.count("failure"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn synthea27nj_of_cdm_5_4_loads_and_answers() {
    let Some(source) = delivery("omop-synthea27nj-5.4") else { return };
    let (house, ground) = house("synthea27nj", source, "omop-5.4", 28, true).await;
    let asker = house.asker("hanako", "P-WIDE").await;
    let by_sex = asker.ask("SELECT gender_concept_id, COUNT(*) AS n FROM demo.person GROUP BY 1").await;
    near(&by_sex, "n", &ground, "SELECT CAST(gender_concept_id AS BIGINT), COUNT(*) FROM person GROUP BY 1").await;
    let visits = asker
        .ask(
            "SELECT v.visit_concept_id, COUNT(DISTINCT p.person_id) AS n FROM demo.person p
             JOIN demo.visit_occurrence v ON v.person_id = p.person_id GROUP BY 1",
        )
        .await;
    assert!(!visits.rows().is_empty());
    let related = asker.ask("SELECT COUNT(*) AS n FROM vocab.concept_relationship").await;
    assert!(related.numbers("n")[0] > Some(200_000.0));
    assert_eq!(house.count("failure"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_delivery_lost_on_its_way_in_is_on_the_report() {
    let Some(source) = delivery("omop-psynthea2000-5.4") else { return };
    let ground = Ground::new(own_folder("report"), source, "omop-5.4", 2_000, None, 0.05);
    assert!(!ground.report().tables.is_empty());
}
