//! What does a scrape of a served gateway show?

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::TcpStream,
};

use sekisho::telemetry::{FAMILIES, Kind, SeenBy};

use super::{Enclave, Running, code};

/// The body of `GET /metrics`, as Prometheus fetches it.
pub fn scraped(running: &Running) -> String {
    let at = running.figures.as_ref().unwrap().strip_suffix("/metrics").unwrap().to_owned();
    let mut stream = TcpStream::connect(&at).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    body.to_owned()
}

/// The figures of a scrape by their name and labels, and the type of each family. Checks the form on the way.
fn parsed(text: &str) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
    let (mut figures, mut types, mut helped) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            helped.insert(rest.split_once(' ').expect("words after the name").0.to_owned());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(helped.contains(name), "{name} has HELP before TYPE");
            types.insert(name.to_owned(), kind.to_owned());
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(figures.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{name} twice");
        }
    }
    (figures, types)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_shows_what_was_told_to_whom_asked_and_nothing_that_follows_the_work() {
    let enclave = Enclave::new();
    enclave.configure("[metrics]\nlisten = \"127.0.0.1:0\"\n[log]\ncheckpoint_seconds = 1");
    let running = enclave.serve(&[], &[]);
    let (before, types) = parsed(&scraped(&running));
    assert_eq!(before["sekisho_books_sound"].to_bits(), 1.0_f64.to_bits());
    assert!(before.keys().any(|name| name.starts_with("sekisho_build_info{version=")));

    let analyst = running.permitted(&enclave, "P-1").await;
    let count = "SELECT COUNT(*) AS n FROM person";
    let again = "SELECT COUNT(*) AS m FROM demo.person";
    for sql in [count, count, again, "SELECT * FROM demo_sample.person LIMIT 1", "EXPLAIN SELECT COUNT(*) FROM person"]
    {
        analyst.query(sql).await.unwrap();
    }
    for sql in ["SELECT * FROM person", "SELEKT", "SELECT * FROM person"] {
        assert!(!code(&analyst.query(sql).await.unwrap_err()).is_empty());
    }
    let operator = running.client(&enclave, "operator").await;
    let halt = serde_json::json!({"target": {"principal": "auditor2"}, "reason": "a story"});
    operator.administer("halt.on", halt).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let (after, _) = parsed(&scraped(&running));
    let is = |name: &str, value: f64| assert_eq!(after[name].to_bits(), value.to_bits(), "{name}: {}", after[name]);
    is("sekisho_answers_total{kind=\"fresh\"}", 1.0);
    is("sekisho_answers_total{kind=\"kept\"}", 2.0);
    is("sekisho_answers_total{kind=\"free\"}", 2.0);
    // A client asks for the shape first, and is turned away there.
    is("sekisho_refusals_total{code=\"rows_not_released\"}", 2.0);
    is("sekisho_refusals_total{code=\"not_sql\"}", 1.0);
    is("sekisho_sign_ins_total{way=\"password\",outcome=\"accepted\"}", 3.0);
    is("sekisho_sessions", 3.0);
    assert!(after["sekisho_connections"] >= 2.0);
    is("sekisho_halts_in_force", 1.0);
    is("sekisho_books_suspended", 0.0);
    assert!(after["sekisho_checkpoint_timestamp_seconds"] > after["sekisho_start_timestamp_seconds"] - 1.0);
    assert!(after["sekisho_checkpoint_entries"] > 8.0);

    // Nothing is shown that is not in the list, and nothing that is for the operator's eyes.
    let public: BTreeSet<_> = FAMILIES.iter().filter(|f| f.seen_by == SeenBy::Anybody).map(|f| f.name).collect();
    for (name, kind) in &types {
        assert!(public.contains(name.as_str()), "{name}");
        let family = FAMILIES.iter().find(|family| family.name == name).unwrap();
        let expected = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        assert_eq!(kind, expected, "{name}");
    }
    running.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_who_asks_for_all_sees_the_books_and_the_process_as_well() {
    let enclave = Enclave::new();
    enclave.configure("[metrics]\nlisten = \"127.0.0.1:0\"\nshow = \"all\"");
    let running = enclave.serve(&[], &[]);
    let _analyst = running.permitted(&enclave, "P-1").await;
    let (figures, types) = parsed(&scraped(&running));
    for family in FAMILIES.iter().filter(|family| family.seen_by == SeenBy::Operator) {
        assert!(types.contains_key(family.name), "{}", family.name);
    }
    assert!(figures["sekisho_books_commit_seconds_count"] >= 3.0);
    assert!(figures["sekisho_books_commit_jobs_bucket{le=\"+Inf\"}"] >= 3.0);
    assert!(figures["sekisho_administration_seconds_count"] >= 1.0);
    assert!(figures["process_resident_memory_bytes"] > 1e6);
    assert!(figures["process_open_fds"] > 3.0 && figures["process_open_fds"] < figures["process_max_fds"]);
    running.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_nothing_listens_for_scrapes() {
    let enclave = Enclave::new();
    let running = enclave.serve(&[], &[]);
    assert_eq!(running.figures, None);
    running.stop();
}

#[test]
fn every_figure_that_the_program_counts_is_in_the_list_and_every_listed_one_is_counted() {
    fn below(folder: &std::path::Path, names: &mut BTreeSet<String>) {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                below(&path, names);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for call in ["counter!(\"", "gauge!(\"", "histogram!(\""] {
                let calls = text.split(call).skip(1).filter_map(|rest| rest.split_once('"'));
                names.extend(calls.map(|(name, _)| name.to_owned()));
            }
        }
    }
    let mut counted = BTreeSet::new();
    below(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut counted);
    assert_eq!(counted, FAMILIES.iter().map(|family| family.name.to_owned()).collect());
}
