//! Does the protocol behave where clients are slow, give up or send nonsense?

use std::{sync::Arc, time::Duration};

use arrow_flight::{
    Action, CancelFlightInfoRequest, FlightData, FlightDescriptor, Ticket,
    flight_service_client::FlightServiceClient,
    sql::{CommandPreparedStatementQuery, CommandStatementQuery, ProstMessageExt},
};
use datafusion::arrow::{
    array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array, Int16Array,
        Int32Array, Int64Array, LargeStringArray, ListArray, RecordBatch, StringArray, StringViewArray,
        TimestampMicrosecondArray, UInt8Array, UInt64Array,
    },
    datatypes::Int32Type,
};
use prost::Message;
use sekisho::flight::DoorLimits;
use tonic::{
    Code, Request,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use super::{Served, code};

/// Rows of nobody, many and free.
const MANY: &str = "SELECT a.* FROM demo_sample.measurement a, demo_sample.visit_occurrence b";

pub(super) struct Raw {
    pub(super) flight: FlightServiceClient<Channel>,
    token: String,
}

impl Raw {
    pub(super) async fn new(served: &Served, user: &str) -> Self {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&served.certificates.ca_pem));
        let endpoint = Endpoint::from_shared(format!("https://{}", served.address)).unwrap().tls_config(tls).unwrap();
        // Small windows: what is not read stays at the server.
        let endpoint = endpoint.initial_stream_window_size(65_535).initial_connection_window_size(1 << 20);
        let channel = endpoint.connect().await.unwrap();
        let flight =
            FlightServiceClient::new(channel).max_decoding_message_size(1 << 30).max_encoding_message_size(1 << 30);
        let token = served.house.gateway.sign_in(user, super::PASSWORD).await.unwrap();
        Self { flight, token }
    }

    pub(super) fn signed<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse().unwrap());
        request.metadata_mut().insert("x-sekisho-permit", "P-WIDE".parse().unwrap());
        request
    }

    pub(super) async fn ticket(&self, sql: &str) -> Ticket {
        let command = CommandStatementQuery { query: sql.into(), transaction_id: None };
        let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        let info = self.flight.clone().get_flight_info(self.signed(descriptor)).await.unwrap().into_inner();
        info.endpoint[0].ticket.clone().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_reads_is_dropped_and_its_place_is_free_again() {
    let limits = DoorLimits { stalled: Duration::from_secs(2), answers_per_session: 2, ..DoorLimits::default() };
    let served = Served::new(limits).await;
    let slow = Raw::new(&served, "hanako").await;
    let ticket = slow.ticket(MANY).await;
    let mut unread = vec![];
    for _ in 0..2 {
        unread.push(slow.flight.clone().do_get(slow.signed(ticket.clone())).await.unwrap().into_inner());
    }
    let third = slow.flight.clone().do_get(slow.signed(ticket.clone())).await.unwrap_err();
    assert_eq!(third.code(), Code::Unavailable, "{third}");
    served.serves_others().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let again = slow.flight.clone().do_get(slow.signed(ticket.clone())).await;
    assert!(again.is_ok(), "the places are free: {:?}", again.err());
    drop(again);
    // What was dropped does not look like a whole answer.
    for mut answer in unread {
        let end = loop {
            match answer.message().await {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(status) => break Some(status),
            }
        };
        assert_eq!(end.map(|status| status.code()), Some(Code::Internal));
    }
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_ends_the_waiting_and_the_answer_is_kept() {
    let served = Served::new(DoorLimits::default()).await;
    let raw = Raw::new(&served, "hanako").await;
    let sql = "SELECT COUNT(*) AS n FROM demo.measurement a JOIN demo.measurement b ON a.person_id = b.person_id
        JOIN demo.drug_exposure c ON c.person_id = a.person_id";
    let ticket = raw.ticket(sql).await;
    let info =
        arrow_flight::FlightInfo::new().with_endpoint(arrow_flight::FlightEndpoint::new().with_ticket(ticket.clone()));
    let cancel = || {
        let body = CancelFlightInfoRequest::new(info.clone()).encode_to_vec().into();
        raw.signed(Action { r#type: "CancelFlightInfo".into(), body })
    };
    let (mut flight, request) = (raw.flight.clone(), raw.signed(ticket.clone()));
    let waiting = tokio::spawn(async move { flight.do_get(request).await.map(|_| ()) });
    while served.house.books.budgets().unwrap().open.is_empty() {
        assert!(!waiting.is_finished(), "{:?}", waiting.await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let said = raw.flight.clone().do_action(cancel()).await.unwrap().into_inner().message().await.unwrap().unwrap();
    let ended = waiting.await.unwrap().unwrap_err();
    assert_eq!(ended.code(), Code::Cancelled, "{ended}");
    // It runs to its end all the same, is charged once and kept.
    let spent = served.house.spent_of_permit("P-WIDE");
    raw.flight.clone().do_get(raw.signed(ticket)).await.unwrap();
    assert_eq!(served.house.spent_of_permit("P-WIDE").to_bits(), spent.to_bits());
    assert_eq!((served.house.count("admission"), served.house.count("release")), (1, 1));
    let nothing = raw.flight.clone().do_action(cancel()).await.unwrap().into_inner().message().await.unwrap().unwrap();
    assert_eq!(said, nothing, "the same words whether or not anything was running");
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_for_bound_parameters_is_refused_and_a_message_too_large_too() {
    let served = Served::new(DoorLimits { message: Duration::from_secs(2), ..DoorLimits::default() }).await;
    let client = served.client("hanako").await.with_setting("permit", "P-WIDE").unwrap();
    let prepared =
        client.prepare("SELECT COUNT(*) AS n FROM demo_sample.person WHERE year_of_birth > $1").await.unwrap();
    let raw = Raw::new(&served, "hanako").await;
    let handle = {
        let body = arrow_flight::sql::ActionCreatePreparedStatementRequest {
            query: "SELECT COUNT(*) AS n FROM demo_sample.person WHERE year_of_birth > $1".into(),
            transaction_id: None,
        };
        let action = Action { r#type: "CreatePreparedStatement".into(), body: body.as_any().encode_to_vec().into() };
        let made =
            raw.flight.clone().do_action(raw.signed(action)).await.unwrap().into_inner().message().await.unwrap();
        let any = arrow_flight::sql::Any::decode(made.unwrap().body).unwrap();
        let made: arrow_flight::sql::ActionCreatePreparedStatementResult = any.unpack().unwrap().unwrap();
        made.prepared_statement_handle
    };
    let command = CommandPreparedStatementQuery { prepared_statement_handle: handle };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let noise: Vec<u8> = (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let first = |header: &[u8], body: &[u8]| FlightData {
        flight_descriptor: Some(descriptor.clone()),
        data_header: header.to_vec().into(),
        data_body: body.to_vec().into(),
        ..FlightData::default()
    };
    for (header, body) in
        [(&noise[..], &[][..]), (&noise[..64], &noise[..]), (&[][..], &noise[..]), (&[0xff; 8][..], &[0; 8][..])]
    {
        let sent = futures::stream::iter([first(header, body), FlightData::default()]);
        let refused = raw.flight.clone().do_put(raw.signed(sent)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.metadata().contains_key("sekisho-code"), "in our words: {refused}");
    }
    // Too many bytes of parameters, too large a message, and a message that never ends.
    let much = futures::stream::iter([first(&[], &vec![0; 2 << 20])]);
    assert_eq!(raw.flight.clone().do_put(raw.signed(much)).await.unwrap_err().code(), Code::InvalidArgument);
    let huge = futures::stream::iter([first(&[], &vec![0; 20 << 20])]);
    let refused = raw.flight.clone().do_put(raw.signed(huge)).await.unwrap_err();
    assert!(refused.metadata().contains_key("sekisho-code"), "{refused:?}");
    let endless = futures::stream::pending::<FlightData>();
    let refused = raw.flight.clone().do_put(raw.signed(endless)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    // Every plain type binds where a number or text belongs; what is no value is refused.
    let bind = |column: ArrayRef| {
        let (client, prepared) = (client.clone(), prepared.clone());
        let row = RecordBatch::try_from_iter([("1", column)]).unwrap();
        async move { client.query_prepared(&prepared, Some(row)).await.map(|_| ()) }
    };
    let good: [ArrayRef; 10] = [
        Arc::new(Int8Array::from(vec![60])),
        Arc::new(Int16Array::from(vec![1960])),
        Arc::new(Int32Array::from(vec![1960])),
        Arc::new(Int64Array::from(vec![1960])),
        Arc::new(UInt8Array::from(vec![60])),
        Arc::new(UInt64Array::from(vec![1960])),
        Arc::new(Float32Array::from(vec![1960.5])),
        Arc::new(Float64Array::from(vec![1960.5])),
        Arc::new(Decimal128Array::from(vec![196_000]).with_precision_and_scale(10, 2).unwrap()),
        Arc::new(Int64Array::from(vec![None])),
    ];
    for column in good {
        let of = column.data_type().clone();
        bind(column).await.unwrap_or_else(|fault| panic!("{of}: {fault}"));
    }
    let bad: [ArrayRef; 3] = [
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])])),
        Arc::new(BooleanArray::from(vec![true, false])),
        Arc::new(TimestampMicrosecondArray::from(vec![0])),
    ];
    for column in bad {
        let of = column.data_type().clone();
        let fault = bind(column).await.expect_err(&of.to_string());
        assert_ne!(code(&fault), "failed", "{of}");
    }
    let perhaps: [ArrayRef; 4] = [
        Arc::new(Date32Array::from(vec![0])),
        Arc::new(StringArray::from(vec!["1960"])),
        Arc::new(LargeStringArray::from(vec!["1960"])),
        Arc::new(StringViewArray::from(vec!["1960"])),
    ];
    for column in perhaps {
        if let Err(fault) = bind(column).await {
            assert_ne!(code(&fault), "failed");
        }
    }
    served.serves_others().await;
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_its_health_needs_no_account_and_hears_of_a_suspension_and_of_its_end() {
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
    let served = Served::new(DoorLimits::default()).await;
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&served.certificates.ca_pem));
    let endpoint = Endpoint::from_shared(format!("https://{}", served.address)).unwrap().tls_config(tls).unwrap();
    let mut health = HealthClient::new(endpoint.connect().await.unwrap());
    for service in ["arrow.flight.protocol.FlightService", ""] {
        let asked = HealthCheckRequest { service: service.into() };
        assert_eq!(health.check(asked).await.unwrap().get_ref().status(), ServingStatus::Serving, "{service}");
    }
    let mut told = health.watch(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
    let mut next = async || tokio::time::timeout(Duration::from_secs(20), told.message()).await.unwrap().unwrap();
    assert_eq!(next().await.unwrap().status(), ServingStatus::Serving);
    // Somewhere a checkpoint is known of a log that goes on where these books do not.
    let ahead = served.house.checkpoint_of_a_longer_log();
    served.house.books.hold_against(&ahead).unwrap();
    assert!(served.house.books.is_suspended());
    assert_eq!(next().await.unwrap().status(), ServingStatus::NotServing);
    let (operator, auditor) = (served.client("operator").await, served.client("auditor").await);
    operator.administer("restore.acknowledge", serde_json::Value::Null).await.unwrap();
    auditor.administer("restore.acknowledge", serde_json::Value::Null).await.unwrap();
    assert_eq!(next().await.unwrap().status(), ServingStatus::Serving);
    // Asked to close, it says so and lets the watcher go: with an open stream it could not close.
    served.close().await;
    assert_eq!(next().await.unwrap().status(), ServingStatus::NotServing);
    assert!(next().await.is_none());
}
