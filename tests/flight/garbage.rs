//! Is whatever a signed-in client sends answered in our own words?
//!
//! Commands, tickets, actions and their bodies, changed by the mutator of `tests/fuzz/`, through the real server: each ends
//! in an answer or in a refusal of the closed list, in time, and nothing that is sent makes the server fail.
//! `SEKISHO_FUZZ_CASES` (1000) scales how many.

use std::{collections::BTreeMap, time::Duration};

use arrow_flight::{
    Action, FlightData, FlightDescriptor, Ticket,
    sql::{
        ActionCreatePreparedStatementRequest, CommandGetCatalogs, CommandGetDbSchemas, CommandGetPrimaryKeys,
        CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandPreparedStatementQuery,
        CommandStatementQuery, CommandStatementUpdate, ProstMessageExt,
    },
};
use prost::Message;
use sekisho::flight::{CODE_HEADER, DoorLimits};
use tonic::Status;

use super::{Served, protocol::Raw};
use crate::fuzz::mutator::{Mutator, log};

const FREE: &str = "SELECT COUNT(*) AS n FROM demo_sample.person";
const LONGEST: Duration = Duration::from_secs(60);
/// Acts of administration with bodies that are nearly right.
const ACTS: [(&str, &str); 14] = [
    ("sekisho.halt.on", r#"{"target":{"principal":"jiro"},"reason":"x"}"#),
    ("sekisho.halt.off", r#"{"target":"everything"}"#),
    ("sekisho.account.add", r#"{"name":"saburo","roles":["analyst"],"language":"ja","password":"a long password"}"#),
    ("sekisho.account.grant", r#"{"name":"hanako","role":"auditor"}"#),
    ("sekisho.account.disable", r#"{"name":"operator"}"#),
    ("sekisho.certificate.add", r#"{"fingerprint":"00ff"}"#),
    ("sekisho.session.list", "null"),
    ("sekisho.session.end", r#"{"session":"0123456789ab"}"#),
    (
        "sekisho.permit.grant",
        r#"{"id":"P-9","principals":["hanako"],"dataset":"demo","grants":{},"cap":{"epsilon":1}}"#,
    ),
    ("sekisho.permit.preview", r#"{"id":"P-9"}"#),
    ("sekisho.budget.show", "null"),
    ("sekisho.data.activate", r#"{"dataset":"demo","version":1,"manifest_mac":"00","source":"holder"}"#),
    ("sekisho.audit.receipt", r#"{"entry":1}"#),
    ("sekisho.audit.export", r#"{"name":"../../x"}"#),
];

/// How a call ended: `answered`, or the code of the refusal.
fn end<T>(what: &str, ended: Result<Result<T, Status>, tokio::time::error::Elapsed>) -> String {
    let status = match ended.unwrap_or_else(|_| panic!("{what}: no end")) {
        Ok(_) => return "answered".into(),
        Err(status) => status,
    };
    let code = status.metadata().get(CODE_HEADER).and_then(|code| code.to_str().ok());
    let code = code.unwrap_or_else(|| panic!("{what}: not in our words: {status:?}")).to_owned();
    assert!(code != "failed" && status.message().starts_with(&code), "{what}: {status:?}");
    code
}

fn commands() -> Vec<Vec<u8>> {
    let text = |query: &str| query.to_owned();
    vec![
        CommandStatementQuery { query: text(FREE), transaction_id: None }.as_any().encode_to_vec(),
        CommandStatementUpdate { query: text("SET sekisho.groups = 3"), transaction_id: None }.as_any().encode_to_vec(),
        CommandPreparedStatementQuery { prepared_statement_handle: vec![7; 16].into() }.as_any().encode_to_vec(),
        CommandGetCatalogs {}.as_any().encode_to_vec(),
        CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: Some("de%".into()) }.as_any().encode_to_vec(),
        CommandGetTables { include_schema: true, table_types: vec!["TABLE".into()], ..CommandGetTables::default() }
            .as_any()
            .encode_to_vec(),
        CommandGetTableTypes {}.as_any().encode_to_vec(),
        CommandGetSqlInfo { info: vec![0, 500, u32::MAX] }.as_any().encode_to_vec(),
        CommandGetPrimaryKeys { catalog: None, db_schema: None, table: text("person") }.as_any().encode_to_vec(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_client_sends_is_answered_or_refused_in_our_words() {
    let cases: u64 = std::env::var("SEKISHO_FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000);
    let served = Served::new(DoorLimits { message: Duration::from_secs(2), ..DoorLimits::default() }).await;
    let mut raw = Raw::new(&served, "hanako").await;
    let mut commands = commands();
    commands.push(raw.ticket(FREE).await.ticket.to_vec());
    let prepare = ActionCreatePreparedStatementRequest { query: FREE.into(), transaction_id: None };
    let actions: Vec<(&str, Vec<u8>)> = [("CreatePreparedStatement", prepare.as_any().encode_to_vec())]
        .into_iter()
        .chain(
            ["ClosePreparedStatement", "CancelFlightInfo", "CancelQuery", "SetSessionOptions", "BeginTransaction"]
                .map(|name| (name, prepare.as_any().encode_to_vec())),
        )
        .chain(ACTS.map(|(name, body)| (name, body.as_bytes().to_vec())))
        .collect();
    let bodies: Vec<Vec<u8>> = actions.iter().map(|(_, body)| body.clone()).collect();
    let (mut bytes, mut words) = (Mutator::new("commands", &[]), Mutator::new("acts", log()));
    let mut ends: BTreeMap<(&str, String), u64> = BTreeMap::new();
    for n in 0..cases {
        let which = usize::try_from(n).unwrap();
        // Each seed as it is first.
        let command = commands.get(which).cloned().unwrap_or_else(|| bytes.mutated(&commands));
        let mut flight = raw.flight.clone();
        let (call, end) = match n % 5 {
            0 => {
                let sent = raw.signed(FlightDescriptor::new_cmd(command.clone()));
                (
                    "GetFlightInfo",
                    end("GetFlightInfo", tokio::time::timeout(LONGEST, flight.get_flight_info(sent)).await),
                )
            }
            1 => {
                let sent = raw.signed(FlightDescriptor::new_cmd(command.clone()));
                ("GetSchema", end("GetSchema", tokio::time::timeout(LONGEST, flight.get_schema(sent)).await))
            }
            2 => {
                let sent = raw.signed(Ticket { ticket: command.clone().into() });
                ("DoGet", end("DoGet", tokio::time::timeout(LONGEST, flight.do_get(sent)).await))
            }
            3 => {
                let first = FlightData {
                    flight_descriptor: Some(FlightDescriptor::new_cmd(command.clone())),
                    data_header: bytes.mutated(&commands).into(),
                    ..FlightData::default()
                };
                let sent = raw.signed(futures::stream::iter([first]));
                ("DoPut", end("DoPut", tokio::time::timeout(LONGEST, flight.do_put(sent)).await))
            }
            _ => {
                let (name, body) = &actions[which / 5 % actions.len()];
                let body = match which / 5 < actions.len() {
                    true => body.clone(),
                    false => words.mutated(&bodies),
                };
                let sent = raw.signed(Action { r#type: (*name).into(), body: body.into() });
                (*name, end(name, tokio::time::timeout(LONGEST, flight.do_action(sent)).await))
            }
        };
        // A session that was ended by its own hand is begun anew.
        if end == "not_signed_in" {
            raw = Raw::new(&served, "hanako").await;
        }
        *ends.entry((call, end)).or_default() += 1;
    }
    let ends: Vec<String> = ends.into_iter().map(|((call, end), times)| format!("{call} {end} {times}")).collect();
    crate::say(&format!("garbage on the wire: {cases} calls, all in our words: {}", ends.join(", ")));
    assert!(!served.house.books.is_poisoned());
    served.serves_others().await;
    served.close().await;
}
