//! How does a log line look to a machine?
//!
//! One JSON object a line: when, how grave, in which steps, what, and the fields that the line names. Nothing else goes in,
//! and what is in a field cannot end the line or forge another.

use std::fmt;

use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::terms::Clock;

/// Writes events as JSON.
pub(super) struct Json(Clock);

impl Json {
    pub(super) fn of_the_machine() -> Self {
        Self(Clock::of_the_machine())
    }
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let steps = ctx.event_scope().into_iter().flat_map(|scope| scope.from_root()).map(|span| span.name());
        let steps: Vec<Value> = steps.map(Value::from).collect();
        let mut line = Fields(Map::new());
        event.record(&mut line);
        line.set("at", self.0.now().to_string());
        line.set("level", event.metadata().level().as_str().to_ascii_lowercase());
        if !steps.is_empty() {
            line.set("steps", steps);
        }
        writeln!(writer, "{}", Value::Object(line.0))
    }
}

struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt};

    use super::*;
    use crate::terms::Instant;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Written {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn a_line_is_one_object_whatever_is_in_it() {
        let written = Written::default();
        let json = Json(Clock::from_fn(|| Instant(1_780_000_000_000_000)));
        let layer = tracing_subscriber::fmt::layer().with_writer(written.clone()).event_format(json);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let _step = tracing::info_span!("answer").entered();
            tracing::warn!(name = "two\nlines \u{1b}[31m\"", ended = 3_u64, sound = true, "halted");
            tracing::error!("plain");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{text}");
        let (first, second) = (&lines[0], &lines[1]);
        assert_eq!(first["name"], "two\nlines \u{1b}[31m\"");
        assert_eq!((&first["ended"], &first["sound"]), (&Value::from(3), &Value::from(true)));
        assert_eq!((&first["message"], &first["level"]), (&Value::from("halted"), &Value::from("warn")));
        assert_eq!(
            (&first["at"], &first["steps"]),
            (&Value::from("2026-05-28T20:26:40Z"), &serde_json::json!(["answer"]))
        );
        assert_eq!(second["message"], "plain");
    }
}
