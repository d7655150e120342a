//! Which questions are in the collection, and what is expected of each?

use std::path::Path;

/// What has to become of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expect {
    /// An aggregate of persons' rows: answered with the meaning of plain SQL.
    Answerable,
    /// About nobody: answered exactly.
    PublicOnly,
    /// Refused, whatever it is disguised as.
    MustRefuse,
}

/// One question.
#[derive(Debug, Clone)]
pub struct Question {
    /// The file that it stands in.
    pub family: String,
    pub name: String,
    pub expect: Expect,
    /// The code with which it must be refused, where that matters.
    pub code: Option<String>,
    pub sql: String,
    /// The same in the reference engine's words.
    pub plain: Option<String>,
}

impl Question {
    /// The text without comments and line breaks, in capitals: what the shares of the collection are counted on.
    pub fn bare(&self) -> String {
        let lines = self.sql.lines().map(|line| line.split("--").next().unwrap_or(""));
        lines.collect::<Vec<_>>().join(" ").to_uppercase()
    }
}

/// All questions of `folder`, file by file.
pub fn read(folder: &Path) -> Vec<Question> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "sql"));
    files.sort();
    files.iter().flat_map(|file| of_file(file)).collect()
}

fn of_file(file: &Path) -> Vec<Question> {
    let family = file.file_stem().unwrap().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(file).unwrap();
    let parts: Vec<&str> = text.split("-- name:").collect();
    assert!(parts[0].trim().is_empty(), "{family}: text before the first question");
    let questions: Vec<Question> = parts[1..].iter().map(|part| question(&family, part)).collect();
    let names: std::collections::BTreeSet<&str> = questions.iter().map(|q| q.name.as_str()).collect();
    assert_eq!(names.len(), questions.len(), "{family}: a name stands twice");
    questions
}

fn question(family: &str, part: &str) -> Question {
    let (name, rest) = part.split_once('\n').unwrap();
    let (mut expect, mut code, mut sql, mut plain) = (None, None, String::new(), None::<String>);
    for line in rest.lines() {
        if let Some(word) = line.strip_prefix("-- expect:") {
            expect = Some(match word.trim() {
                "answerable" => Expect::Answerable,
                "public-only" => Expect::PublicOnly,
                "must-refuse" => Expect::MustRefuse,
                other => panic!("{family}, {name}: expects {other}"),
            });
        } else if let Some(word) = line.strip_prefix("-- code:") {
            code = Some(word.trim().to_owned());
        } else if line.starts_with("-- plain:") {
            plain = Some(String::new());
        } else {
            let text = plain.as_mut().unwrap_or(&mut sql);
            text.push_str(line);
            text.push('\n');
        }
    }
    let expect = expect.unwrap_or_else(|| panic!("{family}, {name}: expects nothing"));
    let name = name.trim().to_owned();
    Question { family: family.to_owned(), name, expect, code, sql: sql.trim().to_owned(), plain }
}
