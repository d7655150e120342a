//! Where do the steps of a call go, for an operator who asks?
//!
//! To a collector, by OTLP over gRPC; off unless the configuration names one. A span is the name of a step and its two ends:
//! no text of a question, no name of an account, table or permit, no event, nothing that a span was given to say.
//!
//! INVARIANT: no span begins or ends with an exact stage. Steps of a question have spans up to its price, which depend on
//! public facts alone; from there to the moment when the asker is told there is the span of the whole call and nothing inside,
//! so that a trace shows no more of the run time than the asker saw.

use std::time::Duration;

use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing_subscriber::{Layer, Registry, filter::filter_fn};

use super::AnyLayer;

/// Why there are no traces.
#[derive(Debug, thiserror::Error)]
pub enum TracesFault {
    /// The address of the collector is none.
    #[error("traces cannot be sent to {otlp}")]
    Address {
        /// As configured.
        otlp: String,
        /// Why.
        #[source]
        source: ExporterBuildError,
    },
}

/// The way to a collector. What cannot be sent in time is dropped: no call waits for it.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Towards the collector at `otlp`, such as `http://127.0.0.1:4317`. Needs the runtime; connects when there is something
    /// to send.
    ///
    /// # Errors
    /// [`TracesFault`].
    pub fn to(otlp: &str) -> Result<Self, TracesFault> {
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(otlp).with_timeout(SEND_MAX).build();
        let exporter = exporter.map_err(|source| TracesFault::Address { otlp: otlp.to_owned(), source })?;
        let service = [("service.name", "sekisho"), ("service.version", env!("CARGO_PKG_VERSION"))];
        let resource = Resource::builder_empty().with_attributes(service.map(|(key, value)| KeyValue::new(key, value)));
        Ok(Self(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build()))
    }

    pub(super) fn layer(&self) -> AnyLayer {
        tracing_opentelemetry::layer::<Registry>()
            .with_tracer(self.0.tracer("sekisho"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            // How long a span was worked on, other than how long it lasted, follows the work.
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|told| {
                told.is_span() && told.target().starts_with("sekisho") && told.fields().is_empty()
            }))
            .boxed()
    }

    /// Sends what is left, for a moment. Blocks.
    pub fn end(self) {
        if let Err(fault) = self.0.shutdown_with_timeout(SEND_MAX) {
            tracing::warn!(%fault, "the last traces were not sent");
        }
    }
}

/// So long may the collector take to receive.
const SEND_MAX: Duration = Duration::from_secs(3);
