//! Does each misuse that must not compile fail for the stated reason?
//!
//! `cargo test` sees of a `compile_fail` example only that it fails; a typing error in it would pass. Here each is
//! compiled against the built library and its errors are compared with the code that it names.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// One example that must not compile.
struct Misuse {
    file: String,
    line: usize,
    code: String,
    source: String,
}

fn below(folder: &Path, files: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            below(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn examples(file: &str, text: &str) -> Vec<Misuse> {
    let mut found: Vec<Misuse> = vec![];
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let Some(said) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else {
            open = false;
            continue;
        };
        let said = said.strip_prefix(' ').unwrap_or(said);
        let said = said.strip_prefix("# ").unwrap_or(said);
        match said.strip_prefix("```") {
            Some(words) if !open && words.starts_with("compile_fail") => {
                let code = words.split(',').nth(1).unwrap_or("none").to_owned();
                found.push(Misuse { file: file.to_owned(), line: number + 1, code, source: String::new() });
                open = true;
            }
            Some(_) => open = false,
            None if open => {
                let last = found.last_mut().unwrap();
                last.source += said;
                last.source.push('\n');
            }
            None => {}
        }
    }
    found
}

/// The folder of the libraries that this test was linked with.
fn libraries() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// The newest library of that name there.
fn library(name: &str) -> PathBuf {
    let start = format!("lib{name}-");
    let all = fs::read_dir(libraries()).unwrap().map(|entry| entry.unwrap().path());
    let built = all.filter(|path| {
        let file = path.file_name().unwrap().to_str().unwrap_or("");
        file.starts_with(&start) && file.ends_with(".rlib")
    });
    let newest = built.max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
    newest.unwrap_or_else(|| panic!("no library {name} beside this test"))
}

/// The codes of all errors of `source`, each once; `other` for one without a code.
fn errors(source: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("example.rs");
    fs::write(&file, format!("#![allow(unused)]\nfn main() {{\n{source}\n}}\n")).unwrap();
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition", "2024", "--crate-type", "bin", "--emit", "metadata", "--error-format", "short"]);
    rustc.arg("-L").arg(format!("dependency={}", libraries().display())).arg("--out-dir").arg(folder.path());
    for name in ["sekisho", "serde_json", "datafusion"] {
        rustc.arg("--extern").arg(format!("{name}={}", library(name).display()));
    }
    let output = rustc.arg(&file).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let mut codes: Vec<String> = said
        .lines()
        .filter_map(|line| line.split_once("error").filter(|_| !line.contains("aborting due to")))
        .map(|(_, rest)| rest.strip_prefix('[').and_then(|r| r.split_once(']')).map_or("other", |(code, _)| code))
        .map(str::to_owned)
        .collect();
    codes.sort();
    codes.dedup();
    assert_eq!(output.status.success(), codes.is_empty(), "{said}");
    codes
}

#[test]
fn a_proper_use_compiles() {
    let proper = "fn once(books: &sekisho::record::Books, reservation: sekisho::record::Reservation) {
        let _ended = books.fail(reservation);
    }
    fn nothing() -> serde_json::Value { datafusion::DATAFUSION_VERSION.into() }";
    assert_eq!(errors(proper), Vec::<String>::new());
    assert_eq!(errors("let x: u8 = sekisho::terms::Loss::zero();"), ["E0308"], "an error is seen with its code");
}

#[test]
fn every_misuse_fails_for_the_reason_that_it_states() {
    let mut files = vec![];
    below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    files.sort();
    let mut all = vec![];
    for path in files {
        all.extend(examples(&path.display().to_string(), &fs::read_to_string(&path).unwrap()));
    }
    assert!(all.len() >= 15, "only {} examples were found", all.len());
    let wrong: Vec<String> = all
        .iter()
        .filter_map(|misuse| {
            let codes = errors(&misuse.source);
            let stated = codes == [misuse.code.clone()];
            (!stated).then(|| format!("{}:{}: states {}, is {codes:?}", misuse.file, misuse.line, misuse.code))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn examples_are_found_in_comments_of_either_kind() {
    let text = "//! ```compile_fail,E0277\n//! one();\n//! ```\n/// ```\n/// fine();\n/// ```\n    /// ```compile_fail\n    \
                /// two();\n    /// ```\nfn f() {}\n";
    let found = examples("x.rs", text);
    let said: Vec<(usize, &str, &str)> = found.iter().map(|m| (m.line, m.code.as_str(), m.source.as_str())).collect();
    assert_eq!(said, [(1, "E0277", "one();\n"), (7, "none", "two();\n")]);
}
