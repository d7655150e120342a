//! Does a gateway that is asked to stop finish what it began, in bounded time?

use std::time::Duration;

use sekisho::{
    cli::client::{Client, ClientFault},
    record::Balance,
    terms::CapName,
};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use super::{Enclave, Running};

/// Works for a second or more: joins every person's measurements with themselves.
const LONG: &str = "SELECT COUNT(*) AS n FROM measurement a JOIN measurement b ON a.person_id = b.person_id
    JOIN drug_exposure c ON c.person_id = a.person_id";

/// What is charged to the permit, as the gateway shows it.
async fn spent(auditor: &Client) -> f64 {
    let shown = auditor.administer("budget.show", serde_json::Value::Null).await.unwrap();
    let of_permit = |line: &&serde_json::Value| line["cap"] == "permit/P-1";
    shown.as_array().unwrap().iter().find(of_permit).and_then(|line| line["spent_epsilon"].as_f64()).unwrap_or(0.0)
}

/// Waits until a question has taken its charge.
async fn charged(auditor: &Client) {
    for _ in 0..2_000 {
        if spent(auditor).await > 0.0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nothing was charged");
}

async fn health(enclave: &Enclave, running: &Running) -> HealthClient<tonic::transport::Channel> {
    let ca = Certificate::from_pem(enclave.account("analyst").ca_pem);
    let url = running.url.replace("grpc+tls", "https");
    let endpoint = Endpoint::from_shared(url).unwrap().tls_config(ClientTlsConfig::new().ca_certificate(ca)).unwrap();
    HealthClient::new(endpoint.connect().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_under_way_is_answered_new_ones_are_not_and_whoever_watches_is_told() {
    let enclave = Enclave::new();
    let mut running = enclave.serve(&[], &[]);
    // Where answers wait for a deadline, it is one that is over before the drain is.
    let analyst = running.permitted(&enclave, "P-1").await.with_setting("deadline", "16").unwrap();
    let (auditor, idle) = (running.client(&enclave, "auditor").await, running.client(&enclave, "analyst").await);
    let idle = idle.with_setting("permit", "P-1").unwrap();
    let mut watched = health(&enclave, &running).await;
    let mut told = watched.watch(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
    assert_eq!(told.message().await.unwrap().unwrap().status(), ServingStatus::Serving);

    let asking = tokio::spawn(async move { analyst.query(LONG).await });
    charged(&auditor).await;
    assert!(!asking.is_finished(), "the question has to be longer for this story");
    running.signal("TERM");
    assert_eq!(told.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(told.message().await.unwrap().is_none(), "nobody who watches keeps the door open");
    // What was told and what is done are two things, the second a moment later.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let turned_away = idle.query("SELECT COUNT(*) AS n FROM visit_occurrence").await.unwrap_err();
    assert!(matches!(turned_away, ClientFault::Protocol(_)), "{turned_away}");
    let no_more = Client::connect(&running.to(&enclave, "analyst")).await.unwrap_err();
    assert!(matches!(no_more, ClientFault::Unreachable { .. }), "{no_more}");

    let (_, batches) = asking.await.unwrap().expect("the question under way is answered");
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
    let (status, _) = running.ended(Duration::from_secs(30));
    assert_eq!(status, Some(0), "{}", running.log());
    assert!(running.log().contains("finishing the questions under way"), "{}", running.log());
    let books = enclave.books();
    assert!(books.budgets().unwrap().open.is_empty(), "settled before the end, not after the next start");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_outlasts_the_drain_is_cut_and_its_charge_stands() {
    let enclave = Enclave::new();
    let mut running = enclave.serve(&["--drain-seconds", "0"], &[]);
    let (analyst, auditor) = (running.permitted(&enclave, "P-1").await, running.client(&enclave, "auditor").await);
    let asking = tokio::spawn(async move { analyst.query(LONG).await });
    charged(&auditor).await;
    running.signal("TERM");
    let (status, took) = running.ended(Duration::from_secs(20));
    assert_eq!(status, Some(0), "{}", running.log());
    assert!(running.log().contains("stopped after 0 s with questions under way"), "{took:?}: {}", running.log());
    assert!(asking.await.unwrap().is_err(), "no answer left");
    let books = enclave.books();
    let spent: Balance = books.budget(&CapName::Permit("P-1".parse().unwrap())).unwrap().unwrap();
    assert!(spent.committed.epsilon(1e-6) > 0.0, "the charge stands");
    assert_eq!(spent.committed, spent.spent, "settled at the start");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_a_question_it_starts_again_with_the_charge_on_record() {
    let enclave = Enclave::new();
    let running = enclave.serve(&[], &[]);
    let (analyst, auditor) = (running.permitted(&enclave, "P-1").await, running.client(&enclave, "auditor").await);
    let asking = tokio::spawn(async move { analyst.query(LONG).await });
    charged(&auditor).await;
    drop(running);
    assert!(asking.await.unwrap().is_err());
    let running = enclave.serve(&[], &[]);
    let auditor = running.client(&enclave, "auditor").await;
    assert!(spent(&auditor).await > 0.0, "the charge stands");
    running.stop();
    let last = enclave.books().entries(0..u64::MAX).unwrap();
    assert!(last.iter().any(|entry| entry.body.contains("\"kind\":\"recovered\"")));
}
