//! What does `sekisho.toml` say of whoever watches the process?

use std::net::SocketAddr;

use serde::Deserialize;
use toml::Spanned;

use super::{ConfigFault, Place};
use crate::telemetry::SeenBy;

/// Where figures are scraped, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricsConfig {
    /// The address.
    pub listen: SocketAddr,
    /// Who is to read there.
    pub seen_by: SeenBy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MetricsText {
    listen: Spanned<String>,
    show: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TracesText {
    otlp: Spanned<String>,
}

impl MetricsText {
    pub(super) fn checked(&self, place: &Place<'_>) -> Result<MetricsConfig, ConfigFault> {
        let seen_by = match self.show.as_ref().map(|show| (show.get_ref().as_str(), show.span().start)) {
            None | Some(("public", _)) => SeenBy::Anybody,
            Some(("all", _)) => SeenBy::Operator,
            Some((_, at)) => return Err(place.fault(at, "show is \"public\" or \"all\"".into())),
        };
        Ok(MetricsConfig { listen: place.address(&self.listen)?, seen_by })
    }
}

impl TracesText {
    pub(super) fn checked(self, place: &Place<'_>) -> Result<String, ConfigFault> {
        let rest = self.otlp.get_ref().strip_prefix("http://");
        match rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['@', '?', '#'])) {
            true => Ok(self.otlp.into_inner()),
            // It is reached in clear: it stands beside the gateway, and passes on what it may.
            false => Err(place.fault(
                self.otlp.span().start,
                "a collector is reached at http://host:port, best on this machine".into(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GOOD, read};
    use super::*;

    #[test]
    fn figures_and_traces_are_off_unless_the_file_says_where_they_go() {
        let off = read(GOOD).unwrap();
        assert_eq!((off.metrics, off.traces), (None, None));
        let said = |text: &str| read(&format!("{GOOD}\n{text}\n"));
        let listen = "127.0.0.1:9464".parse().unwrap();
        for (show, seen_by) in
            [("", SeenBy::Anybody), ("show = \"public\"", SeenBy::Anybody), ("show = \"all\"", SeenBy::Operator)]
        {
            let on = said(&format!("[metrics]\nlisten = \"127.0.0.1:9464\"\n{show}")).unwrap();
            assert_eq!(on.metrics, Some(MetricsConfig { listen, seen_by }), "{show}");
        }
        assert_eq!(
            said("[traces]\notlp = \"http://127.0.0.1:4317\"").unwrap().traces.as_deref(),
            Some("http://127.0.0.1:4317")
        );
        for (bad, words) in [
            ("[metrics]\nlisten = \"9464\"", ":22: \"9464\" is no address"),
            ("[metrics]\nlisten = \"127.0.0.1:1\"\nshow = \"some\"", ":23: show is"),
            ("[metrics]\nshow = \"all\"", "missing field `listen`"),
            ("[traces]\notlp = \"https://far.example\"", ":22: a collector is reached at http://"),
            ("[traces]\notlp = \"http://user:secret@host\"", ":22: a collector is reached at http://"),
        ] {
            let fault = said(bad).unwrap_err();
            assert!(fault.contains(words) && !fault.contains("secret"), "{fault}");
        }
    }
}
