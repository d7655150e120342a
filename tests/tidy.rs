//! Does the code keep the rules of its own house?
//!
//! Floors, third-party homes, the question at the head of each file, its length, the few functions that only one place
//! may call, and the Japanese of each hint. Plain text scanning with `std`: what a rule catches is shown below by files
//! that break it.

mod hints;
mod scan;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use scan::{paths, tokens};

/// A module imports only from a lower floor; modules on one floor do not know each other.
const FLOORS: [(usize, &[&str]); 12] = [
    (0, &["terms", "store", "keys"]),
    (1, &["catalog", "permits", "ledger", "audit", "stopuse", "accounts"]),
    (2, &["record"]),
    (3, &["identity"]),
    (4, &["policy"]),
    (5, &["sql"]),
    (6, &["privacy"]),
    (7, &["engine"]),
    (8, &["gateway", "review", "ingest", "synth"]),
    (9, &["flight", "web", "witness", "worker"]),
    (ASSEMBLY, &["cli", "config", "telemetry", "demo", "attack", "certificates"]),
    (11, &["main", "lib"]),
];
/// Whatever puts the rest together knows itself: the one floor whose modules may name each other.
const ASSEMBLY: usize = 10;

/// Where a third-party crate may be named.
enum Home {
    /// Below these paths of `src/`.
    In(&'static [&'static str]),
    /// By modules of these floors.
    Floors(usize, usize),
    /// By all: it carries no decision that somebody must be able to find.
    Anywhere,
}
use Home::{Anywhere, Floors, In};

/// Every dependency of `Cargo.toml` has one line here.
const HOMES: &[(&str, Home)] = &[
    ("datafusion", Floors(5, 10)),
    ("arrow_flight", In(&["flight/", "cli/client.rs", "attack/wire.rs"])),
    ("tonic", In(&["flight/", "cli/client.rs", "attack/wire.rs"])),
    ("prost", In(&["flight/", "cli/client.rs", "attack/wire.rs"])),
    ("tokio", Anywhere),
    ("futures", Anywhere),
    ("opendp", In(&["privacy/noise.rs", "privacy/price.rs"])),
    ("dashu", In(&["privacy/noise.rs"])),
    ("libm", In(&["terms/gaussian.rs"])),
    ("casbin", In(&["policy/enforcer.rs"])),
    ("rusqlite", In(&["store/", "ledger/", "accounts/", "permits/", "audit/", "record/"])),
    ("rustls", In(&["flight/", "web/", "identity/provider.rs", "certificates.rs"])),
    // Tests of the identity provider's tokens make keys with it.
    ("rcgen", In(&["certificates.rs", "identity/"])),
    ("x509_parser", In(&["identity/", "certificates.rs"])),
    ("jsonwebtoken", In(&["identity/"])),
    ("hyper", In(&["identity/provider.rs"])),
    ("hyper_util", In(&["identity/provider.rs"])),
    ("hyper_rustls", In(&["identity/provider.rs"])),
    ("http_body_util", In(&["identity/provider.rs"])),
    ("tonic_health", In(&["flight/"])),
    // In the last three it is the provider that rustls calls by that name.
    ("ring", In(&["keys/", "certificates.rs", "flight/tls.rs", "identity/provider.rs"])),
    ("cryptoki", In(&["keys/token.rs"])),
    ("metrics", Anywhere),
    ("metrics_exporter_prometheus", In(&["telemetry/"])),
    ("opentelemetry", In(&["telemetry/"])),
    ("opentelemetry_sdk", In(&["telemetry/"])),
    ("opentelemetry_otlp", In(&["telemetry/"])),
    // The collector of a test.
    ("opentelemetry_proto", In(&[])),
    ("tracing_opentelemetry", In(&["telemetry/"])),
    ("argon2", In(&["identity/password.rs"])),
    ("ed25519_dalek", In(&["audit/", "keys.rs", "record/tests/", "witness/"])),
    ("sha2", Anywhere),
    ("hmac", In(&["engine/layout.rs", "ingest/pseudonym.rs"])),
    (
        "getrandom",
        In(&[
            "keys.rs",
            "keys/",
            "identity/",
            "audit/commitment.rs",
            "flight/desk.rs",
            "cli/",
            "demo/",
            "attack/",
            "witness/",
        ]),
    ),
    ("zeroize", In(&["keys.rs", "keys/", "store/", "identity/", "witness/"])),
    ("base64", Anywhere),
    ("serde", Anywhere),
    ("serde_json", Anywhere),
    ("toml", Anywhere),
    ("chrono", Anywhere),
    // Seeded generators make synthetic rows; noise and secrets never come from them.
    ("rand", In(&["synth/"])),
    ("rand_chacha", In(&["synth/", "engine/sample.rs"])),
    ("clap", In(&["cli/", "demo/", "main.rs"])),
    ("indicatif", In(&["cli/", "demo/"])),
    ("comfy_table", In(&["cli/", "demo/"])),
    ("mimalloc", In(&["main.rs"])),
    ("csv", In(&["cli/", "ingest/", "synth/"])),
    ("thiserror", Anywhere),
    ("tracing", Anywhere),
    ("tracing_subscriber", In(&["telemetry/"])),
    ("axum", In(&["web/", "witness/", "telemetry/"])),
    ("axum_server", In(&["flight/", "web/"])),
    ("tempfile", Anywhere),
];

/// What only one place in `src/` may call, as words in a row; and that place.
const CALLERS: &[(&[&str], &[&str])] = &[
    (&["Exact", "::", "open"], &["privacy/noise.rs"]),
    (&["Exact", "::", "seal"], &["engine/sums.rs"]),
    (&["exact_stage"], &["gateway/answer.rs"]),
    (&["Noisy", "::", "kept"], &["gateway/kept.rs"]),
];

/// At this length a file holds two ideas.
const LINES_MAX: usize = 600;

/// One file: its path below the repository, and its text.
struct File {
    path: String,
    text: String,
}

impl File {
    /// The path below `src/`, for files there.
    fn in_src(&self) -> Option<&str> {
        self.path.strip_prefix("src/")
    }

    fn says(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

/// The modules from the crate to the file: `policy/judge.rs` is `["policy", "judge"]`.
fn module_of(in_src: &str) -> Vec<String> {
    let mut parts: Vec<String> = in_src.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    let end = parts.last().map_or("", String::as_str);
    if end == "mod" || (parts.len() == 1 && (end == "lib" || end == "main")) {
        parts.pop();
    }
    parts
}

/// The top-level module that the file belongs to, `lib` and `main` being their own.
fn top_of(in_src: &str) -> &str {
    in_src.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

fn floor_of(top: &str) -> Option<usize> {
    FLOORS.iter().find(|(_, modules)| modules.contains(&top)).map(|(floor, _)| *floor)
}

fn breaks_floors(file: &File) -> Vec<String> {
    let Some(in_src) = file.in_src() else { return vec![] };
    let top = top_of(in_src);
    let Some(own) = floor_of(top) else { return vec![file.says(1, &format!("module `{top}` has no floor"))] };
    let mut out = vec![];
    let words = tokens(&file.text);
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1).map_or("", |t| t.text.as_str());
        let hides = match word.text.as_str() {
            "extern" => next == "crate",
            "path" => next == "=" && at > 1 && words[at - 1].text == "[",
            "include" => next == "!",
            _ => false,
        };
        if hides {
            out.push(file.says(word.line, "a module or crate under another name or place hides from these rules"));
        }
    }
    for path in paths(&words, &module_of(in_src)) {
        let ours = path.segments[0] == "crate" || path.segments[0] == "sekisho";
        if !ours {
            continue;
        }
        let named = path.segments.get(1).map_or("", String::as_str);
        let fault = match floor_of(named) {
            _ if named == top => continue,
            None => format!("`{}` is no module with a floor", path.segments.join("::")),
            Some(floor) if floor < own || (floor == ASSEMBLY && own == ASSEMBLY) => continue,
            Some(floor) if floor == own => format!("`{top}` and `{named}` share floor {own}"),
            Some(floor) => format!("`{top}` on floor {own} looks up to `{named}` on floor {floor}"),
        };
        out.push(file.says(path.line, &fault));
    }
    out
}

fn breaks_homes(file: &File) -> Vec<String> {
    let Some(in_src) = file.in_src() else { return vec![] };
    let floor = floor_of(top_of(in_src)).unwrap_or(0);
    let mut out = vec![];
    for path in paths(&tokens(&file.text), &module_of(in_src)) {
        let Some((name, home)) = HOMES.iter().find(|(name, _)| path.segments[0] == *name) else { continue };
        let at_home = match home {
            In(places) => places.iter().any(|place| in_src.starts_with(place)),
            Floors(low, high) => (*low..=*high).contains(&floor),
            Anywhere => true,
        };
        if !at_home {
            out.push(file.says(path.line, &format!("`{name}` is not at home here")));
        } else if path.public && !matches!(home, Anywhere) {
            out.push(file.says(path.line, &format!("`{name}` leaves its home by `pub use`")));
        }
    }
    out
}

/// Dependencies without a line in [`HOMES`], and lines without a dependency.
fn breaks_manifest(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut named = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line == "[dependencies]" || line == "[dev-dependencies]";
        } else if let Some((name, _)) = line.split_once('=').filter(|_| inside && !line.starts_with('#')) {
            named.insert(name.trim().replace('-', "_"));
        }
    }
    let known: BTreeSet<String> = HOMES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let homeless = named.difference(&known).map(|name| format!("Cargo.toml: `{name}` has no home"));
    let gone = known.difference(&named).map(|name| format!("Cargo.toml: `{name}` has a home and is no dependency"));
    homeless.chain(gone).collect()
}

/// A file opens with the question that it answers: its first sentence ends with a question mark.
fn breaks_head(file: &File) -> Vec<String> {
    let first = file.text.lines().next().unwrap_or_default();
    let asks = first.strip_prefix("//! ").is_some_and(|words| {
        let end = words.char_indices().find(|(at, c)| {
            let after = words[at + c.len_utf8()..].chars().next();
            matches!(c, '.' | '?' | '!') && after.is_none_or(char::is_whitespace)
        });
        end.is_some_and(|(at, c)| c == '?' && at > 0)
    });
    if asks { vec![] } else { vec![file.says(1, "the file does not open with `//!` and its question")] }
}

fn breaks_length(file: &File) -> Vec<String> {
    let lines = file.text.lines().count();
    if lines > LINES_MAX { vec![file.says(lines, &format!("longer than {LINES_MAX} lines"))] } else { vec![] }
}

/// Calls that belong to one place: opening what is sealed, running the exact stage, whatever is named dangerous.
fn breaks_callers(file: &File) -> Vec<String> {
    if file.path.starts_with("tests/") {
        return vec![];
    }
    let in_src = file.in_src().unwrap_or("");
    let words = tokens(&file.text);
    let word = |at: usize| words.get(at).map_or("", |t| t.text.as_str());
    let mut out = vec![];
    for (at, line) in words.iter().map(|word| word.line).enumerate() {
        let defined = at > 0 && word(at - 1) == "fn";
        if word(at).starts_with("dangerous_") && !defined {
            out.push(file.says(line, &format!("`{}` is for tests alone", word(at))));
        }
        // Inside `privacy/`, where the compiler allows it, a sealed value is opened as a method.
        let opens = word(at) == "." && word(at + 1) == "open" && in_src.starts_with("privacy/");
        if opens && !["privacy/noise.rs", "privacy/exact.rs"].contains(&in_src) {
            out.push(file.says(line, "only privacy/noise.rs opens what is sealed"));
        }
        for (call, places) in CALLERS {
            let benched = file.path.starts_with("benches/") && call.len() == 1;
            if !defined && !benched && (0..call.len()).all(|n| word(at + n) == call[n]) && !places.contains(&in_src) {
                out.push(file.says(line, &format!("only {} may call `{}`", places.join(", "), call.concat())));
            }
        }
        // Private to its folder, or the line above means nothing.
        let opener = word(at) == "fn" && word(at + 1) == "open" && in_src == "privacy/exact.rs";
        if opener && !(word(at.wrapping_sub(2)) == "super" && word(at.wrapping_sub(4)) == "pub") {
            out.push(file.says(line, "`Exact::open` must stay `pub(super)`"));
        }
    }
    out
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read_below(folder: &Path, files: &mut Vec<File>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            read_below(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned();
            files.push(File { path, text });
        }
    }
}

fn all_files() -> Vec<File> {
    let mut files = vec![];
    for folder in ["src", "tests", "benches", "fuzz"] {
        read_below(&repository().join(folder), &mut files);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// Holds every file of the repository against one rule.
fn all_keep(rule: fn(&File) -> Vec<String>) {
    let files = all_files();
    for known in ["src/lib.rs", "src/gateway/answer.rs", "src/privacy/exact.rs", "tests/tidy.rs"] {
        assert!(files.iter().any(|file| file.path == known), "{known} was not looked at");
    }
    let broken: Vec<String> = files.iter().flat_map(rule).collect();
    assert!(broken.is_empty(), "{} broken:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn modules_import_from_lower_floors_alone() {
    all_keep(breaks_floors);
}

#[test]
fn third_party_crates_stay_at_home() {
    all_keep(breaks_homes);
    let manifest = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    assert_eq!(breaks_manifest(&manifest), Vec::<String>::new());
}

#[test]
fn files_open_with_their_question() {
    all_keep(breaks_head);
}

#[test]
fn files_hold_one_idea() {
    all_keep(breaks_length);
}

#[test]
fn sealed_and_dangerous_things_have_one_caller() {
    all_keep(breaks_callers);
}

/// A file at `path` that says `text`.
fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

#[test]
fn an_import_from_above_or_beside_is_seen_however_it_is_written() {
    for (path, text) in [
        ("src/sql/admit.rs", "use crate::engine::Engine;"),
        ("src/sql/admit.rs", "use crate::{\n    terms::Refusal,\n    engine::{Engine, EngineFault},\n};"),
        ("src/sql/admit.rs", "fn f() -> crate::engine::Engine { todo() }"),
        ("src/sql/admit.rs", "use super::super::engine::Engine;"),
        ("src/sql/admit.rs", "mod inner { use super::super::super::engine::Engine; }"),
        ("src/sql/mod.rs", "pub use super::engine as e;"),
        ("src/keys.rs", "use super::record::Books;"),
        ("src/keys.rs", "#[cfg(test)]\nmod tests { use super::super::record::Books; }"),
        ("src/gateway/answer.rs", "use crate::ingest::Load;"),
        ("src/ledger/mod.rs", "use crate::audit::Entry;"),
        ("src/sql/admit.rs", "use crate::*;"),
        ("src/sql/admit.rs", "use crate as all;"),
        ("src/sql/admit.rs", "use super::super as all;"),
        ("src/sql/admit.rs", "pub(in crate::engine) fn f() {}"),
        ("src/sql/admit.rs", "const A: char = '\"'; use crate::engine::Engine; const B: char = '\"';"),
        ("src/sql/admit.rs", "extern crate sekisho as other;"),
        ("src/sql/admit.rs", "#[path = \"../engine/mod.rs\"] mod engine;"),
        ("src/unheard/of.rs", "fn f() {}"),
        ("src/cli/mod.rs", "use crate::main::start;"),
    ] {
        assert!(!breaks_floors(&file(path, text)).is_empty(), "unseen in {path}: {text}");
    }
}

#[test]
fn an_import_from_below_or_from_itself_is_no_fault() {
    for (path, text) in [
        ("src/engine/local.rs", "use crate::{privacy::{Exact, Plan}, terms::Loss};"),
        ("src/engine/local.rs", "use super::layout::Manifest;\nuse crate::engine::fault::EngineFault;"),
        ("src/engine/local.rs", "mod tests { use super::*; use super::super::layout; }"),
        ("src/keys.rs", "mod tests { use super::*; }\nuse std::io;"),
        ("src/sql/admit.rs", "// use crate::engine::Engine;\n/* crate::engine /* nested */ crate::engine::Engine */"),
        (
            "src/sql/admit.rs",
            "const A: &str = \"crate::engine::Engine\"; const B: &str = r#\"\"crate::engine::Engine\"#;",
        ),
        (
            "src/sql/admit.rs",
            "pub(crate) fn f<'a>(x: &'a str) -> impl Iterator<Item = &'a str> + use<'a> { x.lines() }",
        ),
        ("src/demo/mod.rs", "use crate::cli::client::Client;"),
        ("src/main.rs", "fn main() { sekisho::cli::run() }"),
        ("tests/all.rs", "use sekisho::engine::Engine;"),
    ] {
        assert_eq!(breaks_floors(&file(path, text)), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn a_crate_away_from_home_is_seen() {
    for (path, text) in [
        ("src/sql/admit.rs", "use casbin::Enforcer;"),
        ("src/policy/judge.rs", "use casbin::{CoreApi, Enforcer};"),
        ("src/privacy/typing.rs", "fn f() { opendp::measurements::make_laplace() }"),
        ("src/engine/local.rs", "use ::rusqlite::Connection;"),
        ("src/gateway/mod.rs", "use {argon2::Argon2, std::io};"),
        ("src/cli/query.rs", "use tonic::Status;"),
        ("src/ledger/mod.rs", "use datafusion::common::ScalarValue;"),
        ("src/main.rs", "use datafusion as d;"),
        ("src/identity/token.rs", "fn key() -> u64 { rand::random() }"),
        ("src/store/mod.rs", "pub use rusqlite::Connection;"),
        ("src/privacy/noise.rs", "pub(super) use opendp::core::Measurement;"),
    ] {
        assert!(!breaks_homes(&file(path, text)).is_empty(), "{path}: {text}");
    }
    for (path, text) in [
        ("src/policy/enforcer.rs", "use casbin::Enforcer;"),
        ("src/privacy/price.rs", "use opendp::core::Measurement;"),
        ("src/record/kept.rs", "use rusqlite::Connection; // and casbin::Enforcer"),
        ("src/sql/admit.rs", "use super::casbin::of_our_own;"),
        ("src/cli/client.rs", "use tonic::Status;"),
        ("benches/gateway.rs", "use rusqlite::Connection;"),
    ] {
        assert_eq!(breaks_homes(&file(path, text)), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn a_dependency_without_a_home_is_seen() {
    let all: String = HOMES.iter().map(|(name, _)| format!("{} = \"1\"\n", name.replace('_', "-"))).collect();
    let manifest = format!("[package]\nname = \"sekisho\"\n[dependencies]\n{all}[profile.release]\nlto = \"off\"\n");
    assert_eq!(breaks_manifest(&manifest), Vec::<String>::new());
    let more = manifest.replace("[profile.release]", "left-pad = { version = \"1\" }\n[profile.release]");
    assert_eq!(breaks_manifest(&more), ["Cargo.toml: `left_pad` has no home"]);
    let less = manifest.replace("casbin = \"1\"\n", "");
    assert_eq!(breaks_manifest(&less), ["Cargo.toml: `casbin` has a home and is no dependency"]);
}

#[test]
fn a_head_without_a_question_is_seen() {
    for text in [
        "",
        "fn f() {}",
        "//! One question, top to bottom.",
        "//! The first sentence says something. Does the second ask?",
        "//!What is this?",
        "//! ?",
        "// What is this?",
        "\n//! What is this?",
        "//! Which file is a.b?c",
    ] {
        assert_eq!(breaks_head(&file("src/x.rs", text)).len(), 1, "{text}");
    }
    for text in ["//! What is this?", "//! Which of `a.rs` or 2.5? The first.\n", "//! What is this?\n//!\n//! That."] {
        assert_eq!(breaks_head(&file("src/x.rs", text)), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_file_of_two_ideas_is_seen() {
    assert_eq!(breaks_length(&file("src/x.rs", &"//\n".repeat(LINES_MAX))), Vec::<String>::new());
    assert_eq!(breaks_length(&file("src/x.rs", &"//\n".repeat(LINES_MAX + 1))).len(), 1);
}

#[test]
fn a_call_from_the_wrong_place_is_seen() {
    for (path, text) in [
        ("src/privacy/output.rs", "fn f(exact: Exact) { let (k, s, p) = exact.open(); }"),
        ("src/privacy/output.rs", "fn f(exact: Exact) { let all = Exact::open(exact); }"),
        ("src/privacy/exact.rs", "impl Exact { pub fn open(self) {} }"),
        ("src/privacy/exact.rs", "impl Exact { pub(crate) fn open(self) {} }"),
        ("src/gateway/answer.rs", "fn f(e: Exact) { e.dangerous_exact_for_tests() }"),
        ("benches/gateway.rs", "fn f(e: Exact) { let open = Exact::dangerous_exact_for_tests; }"),
        ("src/flight/desk.rs", "fn f() { engine.exact_stage(analysis, tables) }"),
        ("src/gateway/kept.rs", "fn f() { Engine::exact_stage(&engine, analysis, tables) }"),
        ("src/gateway/answer.rs", "fn f() { Noisy::kept(batches) }"),
        ("src/gateway/answer.rs", "fn f() { Exact::seal(keys, sums, persons) }"),
    ] {
        assert_eq!(breaks_callers(&file(path, text)).len(), 1, "{path}: {text}");
    }
    for (path, text) in [
        ("src/privacy/noise.rs", "fn f(exact: Exact) { exact.open() }"),
        (
            "src/privacy/exact.rs",
            "impl Exact { pub(super) fn open(self) {} pub fn dangerous_exact_for_tests(self) {} }",
        ),
        ("src/gateway/answer.rs", "fn f() { self.engine.exact_stage(plan.analysis(), tables) } // dangerous_"),
        ("src/engine/local.rs", "impl Engine { pub async fn exact_stage(&self) {} }"),
        ("tests/oracle/run.rs", "fn f(e: Exact) { e.dangerous_exact_for_tests() }"),
        ("src/store/mod.rs", "fn f() { File::options().open(path) }"),
    ] {
        assert_eq!(breaks_callers(&file(path, text)), Vec::<String>::new(), "{path}: {text}");
    }
}
