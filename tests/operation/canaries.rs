//! Does anything that somebody planted come out in a log, a figure or a trace?
//!
//! Canaries lie in the rows, in the texts of questions, in bound parameters, passwords, tokens and settings. Then every way
//! of saying no is provoked, a charged question fails over a broken file, and everything that an operator can read at the
//! loudest level is searched.

use std::{collections::BTreeSet, sync::Arc};

use arrow_flight::{Action, Ticket, flight_service_client::FlightServiceClient};
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use sekisho::cli::client::{Client, ClientFault, ConnectTo};
use serde_json::json;
use tonic::{
    Request,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use super::{Enclave, IN_THE_ROWS, NUMBER_IN_THE_ROWS, Running, code, figures, permit, traces::Collector};
use crate::fuzz::bodies::CODES;

/// Canaries that analysts and enemies plant; those in the rows are the enclave's.
const IN_SQL: &str = "canary-in-a-literal";
const IN_A_PARAMETER: &str = "canary-in-a-parameter";
const IN_A_PASSWORD: &str = "canary-in-a-password";
const IN_A_TOKEN: &str = "canary-in-a-token";
const IN_A_SETTING: &str = "canary-in-a-setting";
const IN_A_BODY: &str = "canary-in-a-body";
const IN_A_TICKET: &str = "canary-in-a-ticket";

/// Questions that are turned away, with the code that they meet; each holds the canary.
fn turned_away() -> Vec<(&'static str, String)> {
    let of = |code, sql: &str| (code, sql.replace('?', &format!("'{IN_SQL}'")));
    let columns: Vec<String> = (0..300).map(|n| format!("COUNT(*) AS c{n}")).collect();
    vec![
        of("not_sql", "SELEKT ? ?"),
        of("not_a_question", "CREATE TABLE t AS SELECT ?"),
        of("not_a_question", "COPY (SELECT ?) TO 'out.csv'"),
        of("unknown_table", "SELECT COUNT(*) FROM \"canary-in-a-literal\""),
        of("unknown_column", "SELECT COUNT(\"canary-in-a-literal\") FROM person"),
        of("function_not_allowed", "SELECT COUNT(*) FROM person WHERE random() > 0 AND ? <> ''"),
        of("rows_not_released", "SELECT *, ? FROM person"),
        of(
            "persons_mixed",
            "SELECT COUNT(*) FROM person a JOIN person b ON a.gender_concept_id = b.gender_concept_id WHERE ? <> ''",
        ),
        of("bound_missing", "SELECT AVG(value_as_number) FROM measurement WHERE ? <> ''"),
        of("too_complex", &format!("SELECT {} FROM person WHERE ? <> ''", columns.join(", "))),
        of("not_granted", "SELECT COUNT(*) FROM death WHERE ? <> ''"),
        of("unknown_setting", "SET sekisho.deadline = 'canary-in-a-setting'"),
        of("unknown_setting", "SET sekisho.epsilon = 'canary-in-a-setting'"),
        of("budget_exhausted", "SELECT COUNT(*) FROM person WHERE ? <> ''"),
    ]
}

async fn channel(enclave: &Enclave, running: &Running) -> Channel {
    let ca = Certificate::from_pem(enclave.account("analyst").ca_pem);
    let endpoint = Endpoint::from_shared(running.url.replace("grpc+tls", "https")).unwrap();
    endpoint.tls_config(ClientTlsConfig::new().ca_certificate(ca)).unwrap().connect().await.unwrap()
}

/// Everything that goes wrong for an analyst, and the codes that were met.
async fn provoke(enclave: &Enclave, running: &Running) -> BTreeSet<String> {
    let mut met = BTreeSet::new();
    let mut meets = |fault: ClientFault| met.insert(code(&fault).to_owned());

    // Nobody yet, or somebody who guesses.
    let to = running.to(enclave, "analyst");
    for _ in 0..12 {
        let guess = ConnectTo { password: IN_A_PASSWORD.into(), ..to.clone() };
        meets(Client::connect(&guess).await.unwrap_err());
    }
    let stranger = ConnectTo { user: IN_A_PASSWORD.into(), ..to.clone() };
    meets(Client::connect(&stranger).await.unwrap_err());
    let mut raw = FlightServiceClient::new(channel(enclave, running).await);
    for ticket in [IN_A_TICKET.as_bytes().to_vec(), vec![]] {
        let mut forged = Request::new(Ticket { ticket: ticket.into() });
        let bearer = format!("Bearer {IN_A_TOKEN}").parse().unwrap();
        forged.metadata_mut().insert("authorization", bearer);
        meets(raw.do_get(forged).await.unwrap_err().into());
    }
    meets(raw.do_action(Request::new(Action::new(IN_A_TOKEN, IN_A_BODY))).await.unwrap_err().into());

    // The analyst's name is throttled from this address by now; the second one's is not.
    let reviewer = running.client(enclave, "reviewer").await;
    let second = json!({"name": "second", "roles": ["analyst"], "password": "a long enough password"});
    let operator = running.client(enclave, "operator").await;
    operator.administer("account.add", second).await.unwrap();
    let to = ConnectTo { user: "second".into(), password: "a long enough password".into(), ..to };
    let unpermitted = Client::connect(&to).await.unwrap();
    meets(unpermitted.query(&format!("SELECT COUNT(*) FROM demo.person WHERE '{IN_SQL}' <> ''")).await.unwrap_err());
    let mut granted = permit("P-1");
    granted.principals = BTreeSet::from(["second".parse().unwrap()]);
    reviewer.administer("permit.grant", serde_json::to_value(&granted).unwrap()).await.unwrap();
    let analyst = unpermitted.clone().with_setting("permit", "P-1").unwrap();

    meets(unpermitted.clone().with_setting("permit", IN_A_SETTING).unwrap().query("SELECT 1").await.unwrap_err());
    meets(
        unpermitted
            .clone()
            .with_setting("permit", "P-9")
            .unwrap()
            .query("SELECT COUNT(*) FROM person")
            .await
            .unwrap_err(),
    );
    meets(reviewer.query("SELECT COUNT(*) FROM demo.person").await.unwrap_err());
    for (expected, sql) in turned_away() {
        let asker = match expected {
            "budget_exhausted" => analyst.clone().with_setting("epsilon", "3.999").unwrap(),
            _ => analyst.clone(),
        };
        if expected == "budget_exhausted" {
            // The first of the two takes nearly all that there is.
            asker.query("SELECT COUNT(*) FROM drug_exposure").await.unwrap();
        }
        let fault = asker.query(&sql).await.expect_err(&sql);
        assert_eq!(code(&fault), expected, "{sql}: {fault}");
        meets(fault);
    }
    for (verb, body) in [
        ("permit.grant", json!({ IN_A_BODY: IN_A_BODY })),
        ("account.add", json!({"name": IN_A_BODY, "roles": ["analyst"], "password": IN_A_PASSWORD})),
        ("halt.on", json!({"target": {"permit": "P-404"}, "reason": IN_A_BODY})),
        (IN_A_BODY, json!(IN_A_BODY)),
    ] {
        meets(analyst.administer(verb, body.clone()).await.unwrap_err());
        meets(
            operator
                .administer(verb, body)
                .await
                .err()
                .unwrap_or(ClientFault::Refused { code: "not_done".into(), message: String::new() }),
        );
    }
    met
}

/// A charged question fails in the middle: a file of the data is broken while the gateway runs.
async fn fail(enclave: &Enclave, running: &Running) -> Vec<String> {
    let reviewer = running.client(enclave, "reviewer").await;
    let mut granted = permit("P-2");
    granted.principals = BTreeSet::from(["second".parse().unwrap()]);
    reviewer.administer("permit.grant", serde_json::to_value(&granted).unwrap()).await.unwrap();
    let to = running.to(enclave, "analyst");
    let to = ConnectTo { user: "second".into(), password: "a long enough password".into(), ..to };
    let analyst = Client::connect(&to).await.unwrap().with_setting("permit", "P-2").unwrap();

    let sql = "SELECT COUNT(*) AS n FROM person p JOIN location l ON l.location_id = p.location_id WHERE l.city = $1";
    let prepared = analyst.prepare(sql).await.unwrap();
    let bound: ArrayRef = Arc::new(StringArray::from(vec![IN_A_PARAMETER]));
    let row = RecordBatch::try_from_iter([("$1", bound)]).unwrap();
    analyst.query_prepared(&prepared, Some(row)).await.unwrap();
    let mut codes = Vec::new();
    for file in std::fs::read_dir(enclave.file("data/demo/v1/measurement")).unwrap().map(|entry| entry.unwrap().path())
    {
        let mut bytes = std::fs::read(&file).unwrap();
        // All but the footer, whose length stands before the last four bytes: the plan is made, and the pages fail.
        let length = bytes.len() - 8;
        let footer = u32::from_le_bytes(bytes[length..length + 4].try_into().unwrap());
        bytes[4..length - usize::try_from(footer).unwrap()].fill(0x5a);
        std::fs::write(&file, bytes).unwrap();
    }
    for n in 0..2 {
        let sql = format!("SELECT COUNT(*) AS n FROM measurement WHERE value_as_number <= {NUMBER_IN_THE_ROWS} + {n}");
        codes.push(code(&analyst.query(&sql).await.unwrap_err()).to_owned());
    }
    codes.push(code(&analyst.query("SELECT COUNT(*) AS n FROM visit_occurrence").await.unwrap_err()).to_owned());
    codes
}

async fn whole_story(form: &str) {
    let (collector, address) = Collector::listening().await;
    let enclave = Enclave::new();
    enclave.configure(&format!(
        "[metrics]\nlisten = \"127.0.0.1:0\"\nshow = \"all\"\n[traces]\notlp = \"http://{address}\""
    ));
    let running = enclave.serve(&[], &[("SEKISHO_LOG", "trace"), ("SEKISHO_LOG_FORMAT", form)]);
    let mut met = provoke(&enclave, &running).await;
    met.extend(fail(&enclave, &running).await);
    // Not provoked here: what takes a crowd, a foreign certificate, an identity provider, or groups that are none.
    let elsewhere = ["too_many_groups", "cancelled", "certificate_not_accepted", "token_not_accepted", "busy"];
    let expected: Vec<&str> = CODES.into_iter().filter(|code| !elsewhere.contains(code)).collect();
    let missing: Vec<_> = expected.iter().filter(|code| !met.contains(**code)).collect();
    assert!(missing.is_empty(), "not provoked: {missing:?}; met {met:?}");

    let figures = figures::scraped(&running);
    let passwords: Vec<String> = {
        let text = std::fs::read_to_string(enclave.file("connect.json")).unwrap();
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        file["accounts"].as_array().unwrap().iter().map(|a| a["password"].as_str().unwrap().to_owned()).collect()
    };
    let log = running.stop();
    assert!(log.contains("a charged question failed"), "the log says that something failed: {log}");
    if form == "json" {
        for line in log.lines().filter(|line| line.starts_with('{')) {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
        assert!(log.lines().filter(|line| line.starts_with('{')).count() > 2, "{log}");
    }
    let traced = collector.everything();
    assert!(traced.contains("\"do_get\""), "something was traced");
    let planted = [
        IN_THE_ROWS,
        NUMBER_IN_THE_ROWS,
        IN_SQL,
        IN_A_PARAMETER,
        IN_A_PASSWORD,
        IN_A_TOKEN,
        IN_A_SETTING,
        IN_A_BODY,
        IN_A_TICKET,
        "a long enough password",
        // The texts of questions and the engine's own words.
        "SELECT",
        "COUNT(",
        "Parquet",
        "DataFusion",
    ];
    for (what, text) in [("log", &log), ("figures", &figures), ("traces", &traced)] {
        for canary in planted.iter().copied().chain(passwords.iter().map(String::as_str)) {
            assert!(!text.contains(canary), "{canary} in the {what}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_canary_comes_out_in_lines_of_text() {
    whole_story("text").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_canary_comes_out_in_lines_of_json() {
    whole_story("json").await;
}
