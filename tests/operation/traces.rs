//! What does a collector of traces learn?

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, transport::Server};

use super::Enclave;

/// A collector that keeps what it is sent.
#[derive(Clone, Default)]
pub struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    pub async fn listening() -> (Self, SocketAddr) {
        let collector = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let incoming = futures::stream::unfold(listener, |listener| async move {
            let accepted = listener.accept().await.map(|(stream, _)| stream);
            Some((accepted, listener))
        });
        let service = TraceServiceServer::new(collector.clone());
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        (collector, address)
    }

    /// Everything that it was sent, in words.
    pub fn everything(&self) -> String {
        format!("{:?}", self.0.lock().unwrap())
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.0.lock().unwrap();
        let scopes = requests.iter().flat_map(|r| &r.resource_spans).flat_map(|r| &r.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_names_the_steps_up_to_the_price_and_says_nothing_else() {
    let (collector, address) = Collector::listening().await;
    let enclave = Enclave::new();
    enclave.configure(&format!("[traces]\notlp = \"http://{address}\""));
    let running = enclave.serve(&[], &[("SEKISHO_LOG", "error")]);
    let analyst = running.permitted(&enclave, "P-1").await;
    analyst.query("SELECT COUNT(*) AS n FROM person").await.unwrap();
    running.stop();

    let spans = collector.spans();
    let answer = spans.iter().find(|span| span.name == "answer").expect("the question has a span");
    let inside: BTreeSet<&str> =
        spans.iter().filter(|span| span.parent_span_id == answer.span_id).map(|span| span.name.as_str()).collect();
    assert_eq!(inside, BTreeSet::from(["judge", "admit", "judge_question", "analyze", "rehearse", "price"]));
    let call = spans.iter().find(|span| span.span_id == answer.parent_span_id).expect("it belongs to a call");
    assert_eq!((call.name.as_str(), call.trace_id == answer.trace_id), ("do_get", true));
    let names: BTreeSet<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    let steps = ["judge", "admit", "judge_question", "analyze", "rehearse", "price", "answer", "shape", "administer"];
    let calls = ["authenticate", "handshake", "get_flight_info", "do_get", "do_action"];
    assert!(names.is_subset(&steps.into_iter().chain(calls).collect()), "{names:?}");
    // No end of an exact stage: what lies inside an answer is over before its charge.
    let price = spans.iter().find(|span| span.name == "price" && span.parent_span_id == answer.span_id).unwrap();
    for span in spans.iter().filter(|span| span.parent_span_id == answer.span_id) {
        assert!(span.end_time_unix_nano <= price.end_time_unix_nano, "{}", span.name);
    }
    for span in &spans {
        assert!(span.attributes.is_empty(), "{}: {:?}", span.name, span.attributes);
        assert!(span.events.is_empty() && span.links.is_empty(), "{}", span.name);
        assert!(span.status.as_ref().is_none_or(|status| status.message.is_empty()), "{}", span.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_delays_no_answer_and_no_end() {
    let enclave = Enclave::new();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    enclave.configure(&format!("[traces]\notlp = \"http://{nobody}\""));
    let mut running = enclave.serve(&[], &[]);
    let analyst = running.permitted(&enclave, "P-1").await;
    analyst.query("SELECT COUNT(*) AS n FROM person").await.unwrap();
    drop(analyst);
    running.signal("TERM");
    let (status, took) = running.ended(Duration::from_secs(30));
    assert_eq!(status, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}
