//! Does an answer leave at its deadline, and does nothing tell before how long it took?
#![expect(clippy::print_stderr, reason = "the figures are wanted by whoever reads the run")]

use std::time::{Duration, Instant};

use sekisho::{
    gateway::ReleaseAt,
    terms::{CapName, Refusal},
};
use serde_json::{Value, json};

use super::house::{Asker, House, cap, ground, kind_of, wide};

const SHORT: &str = "SELECT COUNT(*) AS n FROM demo.person";
/// Works for many seconds: tens of thousands of joined rows for every person.
const LONG: &str = "SELECT COUNT(*) AS n FROM demo.measurement a JOIN demo.measurement b ON a.person_id = b.person_id
    JOIN demo.drug_exposure c ON c.person_id = a.person_id JOIN demo.visit_occurrence d ON d.person_id = a.person_id
    JOIN demo.condition_occurrence e ON e.person_id = a.person_id";

async fn waiting_house() -> House {
    House::furnished(ground(), cap(500.0), cap(500.0), |enclave| {
        enclave.datasets[0].release = ReleaseAt::AtDeadline;
    })
    .await
}

async fn asker_within(house: &House, name: &str, permit: &str, seconds: &str) -> Asker {
    let asker = house.asker(name, permit).await;
    asker.set("deadline", seconds).await;
    asker
}

/// Waits until a question has its reservation.
async fn reserved(house: &House) {
    while house.books.budgets().unwrap().open.is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn at_least(begun: Instant, milliseconds: u64) {
    assert!(begun.elapsed() >= Duration::from_millis(milliseconds), "after {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_shows_before_the_deadline_and_everything_at_it() {
    let house = waiting_house().await;
    let hanako = asker_within(&house, "hanako", "P-WIDE", "4").await;
    let other = house.asker("hanako", "P-WIDE").await;
    let auditor = house.sign_in("auditor").await;
    let begun = Instant::now();
    let asking = tokio::spawn(async move { hanako.ask(SHORT).await });
    reserved(&house).await;
    // Long after it was made.
    tokio::time::sleep(Duration::from_millis(2_000)).await;
    assert!(!asking.is_finished());
    assert_eq!(house.count("release"), 0);
    let open = house.books.budgets().unwrap().open;
    assert_eq!(open.len(), 1, "the reservation is open");
    let mine = other.ask("SELECT kind FROM sekisho.my_queries").await;
    assert_eq!(mine.rows().len(), 1, "the admission alone");
    let spent = "SELECT spent_epsilon FROM sekisho.my_budget ORDER BY cap";
    let during = other.ask(spent).await.numbers("spent_epsilon");
    let ledger = auditor.ask("SELECT MAX(open_reservations) AS n FROM audit.ledger").await;
    assert_eq!(ledger.numbers("n"), [Some(1.0)]);
    let released = auditor.ask("SELECT COUNT(*) AS n FROM audit.entries WHERE kind IN ('release', 'failure')").await;
    assert_eq!(released.numbers("n"), [Some(0.0)]);
    // The place of an entry in the log tells when it was written: this one is before the release.
    other.refusal("SELECT * FROM demo.person").await;
    let marker = house.books.size().unwrap() - 1;
    let at = house.books.next_instant(sekisho::terms::Instant(super::house::NOON));
    let made = house.books.publish(at).unwrap().unwrap();
    assert_eq!(made.size, house.books.size().unwrap(), "nothing is hidden, so nothing waits to be published");
    assert!(!asking.is_finished());

    let answer = asking.await.unwrap();
    at_least(begun, 4_000);
    assert!(answer.receipt().entry.0 > marker);
    assert_eq!(
        (answer.said("time_channel").as_deref(), answer.said("deadline").as_deref()),
        (Some("closed"), Some("4"))
    );
    assert!(house.books.budgets().unwrap().open.is_empty());
    assert_eq!(other.ask(spent).await.numbers("spent_epsilon"), during, "reserved counts like spent");
    let admission = house.entries().into_iter().find(|entry| kind_of(entry) == "admission").unwrap();
    let body: Value = serde_json::from_str(&admission.body).unwrap();
    let settings = &body["detail"]["question"]["settings"];
    assert_eq!((&settings["deadline_ms"], &settings["time_channel"]), (&json!(4_000), &json!("closed")));
    assert!(answer.receipt().body.contains("\"deadline_ms\":4000"), "the receipt states it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_asks_the_same_waits_and_a_rival_waits_as_if_it_were_new() {
    let house = waiting_house().await;
    let (one, two) =
        (asker_within(&house, "hanako", "P-WIDE", "1").await, asker_within(&house, "hanako", "P-WIDE", "0.25").await);
    let begun = Instant::now();
    let first = tokio::spawn(async move { one.ask(SHORT).await });
    reserved(&house).await;
    let second = two.ask("SELECT COUNT(*) AS other_name FROM demo.person").await;
    at_least(begun, 1_000);
    let first = first.await.unwrap();
    assert!(second.kept() && !first.kept());
    assert_eq!(first.rows(), second.rows());
    let begun = Instant::now();
    assert!(two.ask(SHORT).await.kept());
    assert!(begun.elapsed() < Duration::from_millis(1_000), "what one has bought is there at once");

    let jiro = asker_within(&house, "jiro", "P-RIVAL", "1").await;
    let begun = Instant::now();
    let asking = tokio::spawn(async move { (jiro.ask(SHORT).await, jiro) });
    reserved(&house).await;
    assert_eq!(house.count("release"), 1);
    let (sold, jiro) = asking.await.unwrap();
    at_least(begun, 1_000);
    assert_eq!(sold.rows(), first.rows());
    let names = |answer: &super::house::Answer| {
        let mut names: Vec<String> = answer.0.schema.metadata().keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(names(&sold), names(&first), "it is not told");
    assert!(jiro.ask(SHORT).await.kept());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_missed_deadline_is_a_failure_that_is_constant_charged_kept_and_counted() {
    let house = waiting_house().await;
    let hanako = asker_within(&house, "hanako", "P-WIDE", "0.25").await;
    let population = CapName::Population("jp".parse().unwrap());
    let begun = Instant::now();
    let missed = hanako.refusal(LONG).await;
    at_least(begun, 250);
    let Refusal::Failed { entry: Some(entry) } = missed else { panic!("{missed}") };
    let (spent, of_all) = (house.spent_of_permit("P-WIDE"), house.spent(&population));
    assert!(spent > 0.0);
    let failures = |permit: &str| house.books.failures(&permit.parse().unwrap(), &"demo".parse().unwrap()).unwrap();
    assert_eq!(failures("P-WIDE").permit, 1);
    // No second try: the same sentence with the same entry, for nothing and at once.
    let begun = Instant::now();
    assert_eq!(hanako.refusal(LONG).await, Refusal::Failed { entry: Some(entry) });
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(house.spent_of_permit("P-WIDE").to_bits(), spent.to_bits());
    assert_eq!((house.count("admission"), house.count("failure")), (1, 1));
    // To nobody else is it a failure: a rival has their own try, at the price of a fresh one, and may fail by themselves.
    let jiro = asker_within(&house, "jiro", "P-RIVAL", "0.25").await;
    let begun = Instant::now();
    let theirs = jiro.refusal(LONG).await;
    at_least(begun, 250);
    assert!(matches!(theirs, Refusal::Failed { entry: Some(other) } if other > entry), "{theirs}");
    assert!(house.spent_of_permit("P-RIVAL") > 0.0);
    assert!(house.spent(&population) > of_all, "it was tried, and not served from what another had");
    assert_eq!((failures("P-WIDE").permit, failures("P-RIVAL").permit), (1, 1));
    // To have missed a short one says nothing of a longer one: another try, charged, which a fast machine meets. Where it is
    // missed too, it is the second of a permit and halts it.
    hanako.set("deadline", "1").await;
    let begun = Instant::now();
    let longer = hanako.try_ask(LONG).await.map(drop);
    at_least(begun, 1_000);
    assert!(house.spent_of_permit("P-WIDE") > spent);
    match longer {
        Ok(()) => assert_eq!(failures("P-WIDE").permit, 1),
        Err(Refusal::Failed { entry: Some(other) }) if other > entry => {
            assert_eq!(failures("P-WIDE").permit, 2);
            assert_eq!(hanako.refusal(SHORT).await, Refusal::Halted);
        }
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_questions_asked_at_once_no_more_fail_than_a_permit_may() {
    let house = waiting_house().await;
    let mut asking = vec![];
    for n in 0..6 {
        let hanako = asker_within(&house, "hanako", "P-WIDE", "0.25").await;
        let sql = format!("{LONG} WHERE a.measurement_concept_id <> {n}");
        asking.push(tokio::spawn(async move { hanako.try_ask(&sql).await.map(drop) }));
    }
    let mut failed = 0;
    for one in asking {
        match one.await.unwrap() {
            Err(Refusal::Failed { entry: Some(_) }) => failed += 1,
            Err(Refusal::Halted) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((failed, house.count("failure"), house.count("admission")), (2, 2, 2), "halted before the others began");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_halt_ends_what_waits_for_its_deadline_as_it_ends_what_runs() {
    let house = waiting_house().await;
    let operator = house.sign_in("operator").await;
    for (sql, n) in [(SHORT, 1), (LONG, 2)] {
        let hanako = asker_within(&house, "hanako", "P-WIDE", "16").await;
        let asking = tokio::spawn(async move { hanako.try_ask(sql).await.map(drop) });
        reserved(&house).await;
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        let order = json!({"target": {"permit": "P-WIDE"}, "reason": "a story"});
        let begun = Instant::now();
        let ordered = house.gateway.administer(&operator.session, "halt.on", order).await.unwrap();
        assert_eq!(ordered["ended"], 1, "{sql}");
        assert_eq!(asking.await.unwrap(), Err(Refusal::Halted), "{sql}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!((house.count("ended_by_halt"), house.count("release"), house.count("failure")), (n, 0, 0));
        for who in ["auditor", "reviewer"] {
            let session = house.sign_in(who).await.session;
            let lift = json!({"target": {"permit": "P-WIDE"}});
            house.gateway.administer(&session, "halt.off", lift).await.unwrap();
        }
    }
    let hanako = asker_within(&house, "hanako", "P-WIDE", "4").await;
    assert!(!hanako.ask(SHORT).await.kept(), "what was made and not released is kept by nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn places_are_held_until_the_deadline_however_soon_a_question_is_done() {
    let house = House::furnished(ground(), cap(500.0), cap(500.0), |enclave| {
        enclave.datasets[0].release = ReleaseAt::AtDeadline;
        enclave.waiting_max = 2;
    })
    .await;
    house.grant(wide("P-THIRD", "kei")).await;
    let kei = house.asker("kei", "P-THIRD").await;
    let begun = Instant::now();
    let mut asking = vec![];
    for (name, permit) in [("hanako", "P-WIDE"), ("jiro", "P-RIVAL")] {
        let asker = asker_within(&house, name, permit, "4").await;
        asking.push(tokio::spawn(async move { asker.ask(SHORT).await }));
    }
    while house.books.budgets().unwrap().open.len() < 2 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // One account has no more than one of the two: what it asks beside waits for its own, and takes no place to wait either.
    let hanako = asker_within(&house, "hanako", "P-WIDE", "1").await;
    let second = tokio::spawn(async move { hanako.ask(&format!("{SHORT} WHERE year_of_birth > 1900")).await });
    for wait in [0, 2_000] {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        assert_eq!(kei.refusal(SHORT).await, Refusal::Busy, "after {wait} ms more");
    }
    assert!(!second.is_finished());
    for asked in asking {
        asked.await.unwrap();
    }
    at_least(begun, 4_000);
    second.await.unwrap();
    at_least(begun, 5_000);
    kei.set("deadline", "1").await;
    kei.ask(SHORT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_waits_for_the_deadline_of_another_permits_question() {
    let house = waiting_house().await;
    let hanako = asker_within(&house, "hanako", "P-WIDE", "16").await;
    let asking = tokio::spawn(async move { hanako.ask(SHORT).await });
    reserved(&house).await;
    let jiro = asker_within(&house, "jiro", "P-RIVAL", "1").await;
    let begun = Instant::now();
    assert!(!jiro.ask(SHORT).await.kept());
    at_least(begun, 1_000);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(!asking.is_finished());
    assert_eq!((house.count("admission"), house.count("release")), (2, 1));
    assert!(!asking.await.unwrap().kept());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_that_another_permit_bought_helps_nobody_to_meet_a_short_deadline() {
    let house = waiting_house().await;
    asker_within(&house, "hanako", "P-WIDE", "1").await.ask(SHORT).await;
    let population = CapName::Population("jp".parse().unwrap());
    let before = house.spent(&population);
    // It is tried; whether it is made in time is this machine's affair.
    let _either = asker_within(&house, "jiro", "P-RIVAL", "0.25").await.try_ask(SHORT).await;
    assert!(house.spent(&population) > before);
    assert_eq!(house.count("admission"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_is_chosen_no_more_than_two_rungs_above_the_model() {
    let house = waiting_house().await;
    let hanako = house.asker("hanako", "P-WIDE").await;
    for (seconds, fits) in [("0.25", true), ("16", true), ("64", false), ("1024", false)] {
        hanako.set("deadline", seconds).await;
        match hanako.try_ask(&format!("EXPLAIN {SHORT}")).await {
            Ok(_) => assert!(fits, "{seconds}"),
            Err(refusal) => {
                assert_eq!((refusal.code(), fits), ("unknown_setting", false), "{seconds}: {refusal}");
                assert!(refusal.to_string().contains("SET sekisho.deadline = 16"), "{refusal}");
                assert_eq!(hanako.refusal(SHORT).await, refusal);
            }
        }
    }
    assert_eq!(house.count("admission"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crash_before_the_deadline_keeps_the_charge_and_nothing_else() {
    let house = waiting_house().await;
    let hanako = asker_within(&house, "hanako", "P-WIDE", "16").await;
    let asking = tokio::spawn(async move { hanako.ask(SHORT).await });
    reserved(&house).await;
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    asking.abort();
    assert!(asking.await.is_err());
    let spent = house.spent_of_permit("P-WIDE");
    let house = house.reopened().await;
    assert_eq!(house.spent_of_permit("P-WIDE").to_bits(), spent.to_bits());
    assert_eq!((house.count("recovered"), house.count("release")), (1, 0));
    let failures = house.books.failures(&"P-WIDE".parse().unwrap(), &"demo".parse().unwrap()).unwrap();
    assert_eq!(failures.permit, 1, "it may have been about rows");
    let hanako = house.asker("hanako", "P-WIDE").await;
    assert!(!hanako.ask(SHORT).await.kept());
    // However far the clock jumps back, what is kept stays there: no instant decides what is shown.
    house.earlier(Duration::from_secs(3_600));
    assert!(hanako.ask(SHORT).await.kept());
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_and_the_catalogue_say_when_an_answer_leaves() {
    let house = waiting_house().await;
    let hanako = house.asker("hanako", "P-WIDE").await;
    let explained = hanako.ask(&format!("EXPLAIN {SHORT}")).await;
    assert_eq!(explained.numbers("deadline_seconds"), [Some(1.0)], "never less, where nobody chose it");
    let of_long = hanako.ask(&format!("EXPLAIN {LONG}")).await.numbers("deadline_seconds");
    assert!(of_long[0] > Some(1.0), "{of_long:?}");
    hanako.set("deadline", "0.25").await;
    let chosen = hanako.ask(&format!("EXPLAIN {LONG}")).await;
    assert_eq!(chosen.numbers("deadline_seconds"), [Some(0.25)], "at the asker's own risk");
    let word = |answer: &super::house::Answer, column: &str| {
        let index = answer.0.schema.index_of(column).unwrap();
        answer.rows()[0][index].to_string()
    };
    assert_eq!(word(&chosen, "time_channel"), "closed");
    assert_eq!(word(&hanako.ask("SELECT * FROM sekisho.datasets").await, "time_channel"), "closed");

    let open = House::new().await;
    let hanako = open.asker("hanako", "P-WIDE").await;
    let explained = hanako.ask(&format!("EXPLAIN {SHORT}")).await;
    assert_eq!((explained.numbers("deadline_seconds"), word(&explained, "time_channel")), (vec![None], "open".into()));
    let answer = hanako.ask(SHORT).await;
    assert_eq!((answer.said("time_channel").as_deref(), answer.said("deadline")), (Some("open"), None));
    assert!(answer.receipt().body.contains("\"time_channel\":\"open\""), "the receipt says so");
    assert_eq!(word(&hanako.ask("SELECT * FROM sekisho.datasets").await, "time_channel"), "open");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_follows_from_what_is_declared_and_from_nothing_stored() {
    let many = "SELECT COUNT(*) FROM demo.measurement";
    let deadline = |furnish: fn(&mut sekisho::gateway::Enclave)| async move {
        let house = House::furnished(ground(), cap(500.0), cap(500.0), |enclave| {
            enclave.datasets[0].release = ReleaseAt::AtDeadline;
            furnish(enclave);
        })
        .await;
        let hanako = house.asker("hanako", "P-WIDE").await;
        match hanako.try_ask(&format!("EXPLAIN {many}")).await {
            Ok(explained) => explained.numbers("deadline_seconds")[0],
            Err(refusal) => {
                assert_eq!(refusal.code(), "too_complex", "{refusal}");
                assert_eq!(house.count("admission"), 0);
                None
            }
        }
    };
    // The same rows on disk each time.
    assert_eq!(deadline(|_| ()).await, Some(1.0));
    let by_rows = deadline(|e| _ = e.datasets[0].rows_per_person.insert("measurement".into(), 8_000)).await;
    let by_persons = deadline(|e| e.datasets[0].population_max = 10_000_000).await;
    let by_speed = deadline(|e| e.row_steps_per_second = 20_000).await;
    assert!(
        by_rows > Some(1.0) && by_persons > Some(1.0) && by_speed > Some(1.0),
        "{by_rows:?} {by_persons:?} {by_speed:?}"
    );
    assert_eq!(deadline(|e| e.row_steps_per_second = 1).await, None, "what misses every deadline is not charged");
}

/// Questions of the kinds that people ask, from plain to heavy.
const ASKED: [&str; 24] = [
    "SELECT COUNT(*) FROM demo.person",
    "SELECT gender_concept_id, COUNT(*), AVG(year_of_birth) FROM demo.person GROUP BY 1",
    "SELECT year_of_birth, COUNT(*) FROM demo.person GROUP BY 1",
    "SELECT VAR_SAMP(year_of_birth), STDDEV(year_of_birth) FROM demo.person",
    "SELECT MEDIAN(year_of_birth) FROM demo.person",
    "SELECT gender_concept_id, MEDIAN(year_of_birth), MIN(year_of_birth), MAX(year_of_birth) FROM demo.person GROUP BY 1",
    "SELECT gender_concept_id, race_concept_id, COUNT(*) FROM demo.person GROUP BY ROLLUP (gender_concept_id, race_concept_id)",
    "SELECT c.concept_name, COUNT(*) FROM demo.person p JOIN vocab.concept c ON c.concept_id = p.gender_concept_id GROUP BY 1",
    "SELECT COUNT(*), COUNT(DISTINCT person_id) FROM demo.measurement",
    "SELECT measurement_concept_id, COUNT(*) FROM demo.measurement GROUP BY 1",
    "SELECT AVG(least(greatest(value_as_number, 3), 20)) FROM demo.measurement WHERE measurement_concept_id = 3004410",
    "SELECT date_trunc('month', measurement_date), COUNT(*) FROM demo.measurement WHERE measurement_date >= DATE '2020-01-01' AND measurement_date < DATE '2026-01-01' GROUP BY 1",
    "SELECT COUNT(DISTINCT measurement_concept_id) FROM demo.measurement",
    "SELECT c.concept_name, COUNT(DISTINCT o.person_id) AS n FROM demo.condition_occurrence o JOIN vocab.concept c ON c.concept_id = o.condition_concept_id GROUP BY 1 ORDER BY n DESC LIMIT 10",
    "SELECT p.gender_concept_id, COUNT(*) FROM demo.person p JOIN demo.visit_occurrence v ON v.person_id = p.person_id GROUP BY 1",
    "SELECT p.gender_concept_id, COUNT(DISTINCT p.person_id) FROM demo.person p JOIN demo.measurement m ON m.person_id = p.person_id JOIN demo.visit_occurrence v ON v.visit_occurrence_id = m.visit_occurrence_id GROUP BY 1",
    "SELECT COUNT(*) FROM demo.person p WHERE EXISTS (SELECT 1 FROM demo.condition_occurrence c WHERE c.person_id = p.person_id AND c.condition_concept_id = 201826)",
    "SELECT COUNT(*) FROM demo.person p WHERE NOT EXISTS (SELECT 1 FROM demo.drug_exposure d WHERE d.person_id = p.person_id)",
    "SELECT least(n, 20), COUNT(*) FROM (SELECT person_id, COUNT(*) AS n FROM demo.visit_occurrence GROUP BY person_id) GROUP BY 1",
    "SELECT AVG(least(n, 50)) FROM (SELECT person_id, COUNT(DISTINCT drug_concept_id) AS n FROM demo.drug_exposure GROUP BY person_id)",
    "SELECT COUNT(*) FROM (SELECT person_id, row_number() OVER (PARTITION BY person_id ORDER BY drug_exposure_start_date) AS r FROM demo.drug_exposure) WHERE r = 1",
    "SELECT COUNT(*) FROM (SELECT person_id, measurement_date - lag(measurement_date) OVER (PARTITION BY person_id ORDER BY measurement_date) AS gap FROM demo.measurement) WHERE gap > 90",
    "SELECT COUNT(*) FROM demo.drug_exposure d JOIN demo.condition_occurrence c ON c.person_id = d.person_id WHERE d.drug_exposure_start_date BETWEEN c.condition_start_date AND c.condition_start_date + INTERVAL '30' DAY",
    "SELECT COUNT(*) FROM demo.person WHERE year_of_birth > (SELECT AVG(year_of_birth) FROM demo.person)",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_cost_model_in_figures() {
    let (waiting, open) = (waiting_house().await, House::new().await);
    let (explaining, asking) = (waiting.asker("hanako", "P-WIDE").await, open.asker("hanako", "P-WIDE").await);
    let (mut missed, mut lines) = (0, vec![]);
    for sql in ASKED {
        let deadline = explaining.ask(&format!("EXPLAIN {sql}")).await.numbers("deadline_seconds")[0].unwrap();
        let begun = Instant::now();
        asking.ask(sql).await;
        let took = begun.elapsed().as_secs_f64();
        missed += usize::from(took > deadline);
        lines.push((deadline / took, deadline, took, sql));
    }
    lines.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (factor, deadline, took, sql) in &lines {
        eprintln!("  {took:8.3} s of {deadline:>5} s, {factor:7.1} x  {}", &sql[..sql.len().min(90)]);
    }
    let median = lines[lines.len() / 2].0;
    eprintln!(
        "deadlines missed: {missed} of {}; an answer waits {median:.0} times its run time at the median",
        lines.len()
    );
    assert_eq!(missed, 0);
}
