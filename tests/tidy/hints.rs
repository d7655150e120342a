//! Has every hint that the source gives its Japanese?
//!
//! Each literal is put into a refusal, with marks where the source puts its own parts: in its Japanese sentence the
//! marks must be there and the English must not. A hint that is made elsewhere than in the places named below is not
//! seen.

use std::collections::BTreeMap;

use sekisho::terms::{Language, Refusal};

use super::scan::{Token, tokens};
use super::{File, all_files, all_keep, file};

/// What makes a refusal of its argument: below which path, its name, and the words around the argument.
const CALLS: [(&str, &str, &str); 18] = [
    ("src/privacy/", "mixed", "{}"),
    ("src/privacy/", "refused", "{}"),
    ("src/privacy/", "keyed", "{}"),
    ("src/sql/", "not_a_question", "{}"),
    ("src/identity/", "lacks", "{}"),
    ("src/identity/certificate.rs", "no", "{}"),
    ("src/gateway/", "not_done_because", "{}"),
    ("src/gateway/session.rs", "wrong", "sekisho.name is {}"),
    ("src/gateway/session.rs", "positive", "sekisho.name is {}"),
    ("src/gateway/session.rs", "count", "sekisho.name is {}"),
    // Faults that an administrator reads.
    ("src/gateway/world.rs", "error", "{}"),
    ("src/identity/password.rs", "error", "{}"),
    ("src/policy/grant.rs", "error", "{}"),
    ("src/policy/compile.rs", "wrong", "permit P-1 cannot be compiled: {}"),
    ("src/engine/layout.rs", "require", "demo v1: manifest.json: {}"),
    ("src/record/", "Unknown", "there is no {}"),
    ("src/record/", "AlreadyThere", "{} exists already"),
    ("src/record/", "Mismatch", "{}"),
];

/// The same of what is given a name first.
const LETS: [(&str, &str, &str); 8] = [
    ("src/sql/", "hint", "{}"),
    ("src/privacy/", "hint", "{}"),
    ("src/privacy/", "limit", "{}"),
    ("src/privacy/", "fix", "{}"),
    ("src/gateway/", "hint", "{}"),
    ("src/flight/", "limit", "{}"),
    ("src/gateway/session.rs", "ladder", "sekisho.deadline is {}"),
    ("src/permits/mod.rs", "rules", "permit P-1: {}"),
];

/// Where in a refusal a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Hint,
    Name,
    Granted,
}

/// A text that the source puts into a refusal.
struct Said {
    place: Place,
    literal: String,
    around: &'static str,
    line: usize,
}

impl Said {
    fn has_japanese(&self) -> bool {
        let (literal, marks) = marked(&self.literal);
        let text = self.around.replace("{}", &literal);
        let refusal = match self.place {
            Place::Hint => Refusal::PersonsMixed { hint: text },
            Place::Name => Refusal::FunctionNotAllowed { name: text, hint: String::new() },
            Place::Granted => Refusal::NotGranted { what: text },
        };
        let sentence = refusal.sentence(Language::Ja);
        !sentence.contains(&literal) && marks.iter().all(|mark| sentence.contains(mark))
    }
}

/// `literal` with a mark at each of its holes, and the marks.
fn marked(literal: &str) -> (String, Vec<String>) {
    let mut pieces = literal.split('{');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    let mut marks = vec![];
    for piece in pieces {
        let (_, rest) = piece.split_once('}').unwrap_or(("", piece));
        let mark = format!("X{}Y", marks.len());
        out = out + mark.as_str() + rest;
        marks.push(mark);
    }
    (out, marks)
}

/// Whether it is English at all: names, SQL and values stay as they are.
fn is_prose(literal: &str) -> bool {
    let (text, _) = marked(literal);
    let plain = |word: &str| word.len() > 1 && word.chars().all(|c| c.is_ascii_lowercase());
    text.contains(' ') && text.split(' ').any(|word| plain(word.trim_end_matches([',', ';', ':'])))
}

fn said(file: &File) -> Vec<Said> {
    let by_us = file.in_src().is_some_and(|path| !path.starts_with("terms/") && !path.contains("tests"));
    if !by_us {
        return vec![];
    }
    let words = tokens(file.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default());
    let word = |at: usize| words.get(at).map_or("", |t| t.text.as_str());
    let constants = constants(&words);
    let mut out = vec![];
    let mut say = |place: Place, around: &'static str, text: &Text| {
        if is_prose(text.literal) {
            out.push(Said { place, literal: text.literal.to_owned(), around, line: text.line });
        }
    };
    for at in 0..words.len() {
        if word(at) == "Refusal" && word(at + 1) == "::" && word(at + 3) == "{" {
            for text in texts(span(&words, at + 4), &constants) {
                match (word(at + 2), text.field) {
                    (_, "hint" | "reason" | "limit") => say(Place::Hint, "{}", &text),
                    ("FunctionNotAllowed", "name") => say(Place::Name, "{}", &text),
                    ("NotGranted", "what") => say(Place::Granted, "{}", &text),
                    _ => {}
                }
            }
        }
        let defined = at > 0 && word(at - 1) == "fn";
        for (path, call, around) in CALLS {
            if file.path.starts_with(path) && word(at) == call && word(at + 1) == "(" && !defined {
                for text in texts(span(&words, at + 2), &constants) {
                    let named = call == "refused" && text.argument == 0;
                    say(if named { Place::Name } else { Place::Hint }, around, &text);
                }
            }
        }
        for (path, name, around) in LETS {
            if file.path.starts_with(path) && word(at) == "let" && word(at + 1) == name && word(at + 2) == "=" {
                for text in texts(span(&words, at + 3), &constants) {
                    say(Place::Hint, around, &text);
                }
            }
        }
    }
    out
}

/// A literal among arguments or fields.
struct Text<'w> {
    literal: &'w str,
    argument: usize,
    field: &'w str,
    line: usize,
}

/// The literals of `span`, also those that a constant of the file stands for.
fn texts<'w>(span: &'w [Token], constants: &BTreeMap<&str, &'w str>) -> Vec<Text<'w>> {
    let (mut depth, mut argument, mut field, mut out) = (0_usize, 0_usize, "", vec![]);
    for (at, word) in span.iter().enumerate() {
        let line = word.line;
        match word.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            "," if depth == 0 => argument += 1,
            ":" if depth == 0 && at > 0 => field = &span[at - 1].text,
            "\"\"" => out.push(Text { literal: &word.held, argument, field, line }),
            name => out.extend(constants.get(name).copied().map(|literal| Text { literal, argument, field, line })),
        }
    }
    out
}

/// From `from` to the bracket that closes around it, or to the end of the statement.
fn span(words: &[Token], from: usize) -> &[Token] {
    let (mut depth, mut to) = (0_usize, from);
    while let Some(word) = words.get(to) {
        match word.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth > 0 => depth -= 1,
            ")" | "]" | "}" | ";" if depth == 0 => break,
            _ => {}
        }
        to += 1;
    }
    &words[from..to]
}

/// `const NAME: &str = "...";`
fn constants(words: &[Token]) -> BTreeMap<&str, &str> {
    let texts = words.windows(7).filter(|w| w[0].text == "const" && w[4].text == "str" && w[6].text == "\"\"");
    texts.map(|w| (w[1].text.as_str(), w[6].held.as_str())).collect()
}

fn breaks_hints(file: &File) -> Vec<String> {
    let english = said(file).into_iter().filter(|said| !said.has_japanese());
    english.map(|said| file.says(said.line, &format!("no Japanese in src/terms/hints: {:?}", said.literal))).collect()
}

#[test]
fn hints_have_their_japanese() {
    all_keep(breaks_hints);
}

#[test]
fn hints_are_seen_wherever_they_are_given() {
    let files = all_files();
    let found = |folder: &str| {
        files.iter().filter(|file| file.path.starts_with(folder)).map(|file| said(file).len()).sum::<usize>()
    };
    for (folder, least) in [
        ("src/sql/", 25),
        ("src/privacy/", 150),
        ("src/gateway/", 25),
        ("src/flight/", 5),
        ("src/identity/", 10),
        ("src/policy/", 12),
        ("src/record/", 30),
        ("src/permits/", 9),
        ("src/engine/", 8),
    ] {
        let found = found(folder);
        assert!(found >= least, "{found} in {folder}");
    }
}

#[test]
fn a_hint_without_japanese_is_seen() {
    for (path, text) in [
        ("src/privacy/x.rs", "fn f() { mixed(\"say it with flowers\") }"),
        ("src/privacy/x.rs", "fn f() { refused(\"SUM\", \"say it with \\\n    flowers\") }"),
        ("src/privacy/x.rs", "fn f() { refused(\"this bouquet\", \"select one column\") }"),
        ("src/privacy/x.rs", "const A: &str = \"say it with flowers\"; fn f() { refused(\"SUM\", A) }"),
        ("src/sql/x.rs", "fn f() { Refusal::NotAQuestion { hint: format!(\"say it with {n} flowers\") } }"),
        ("src/sql/x.rs", "fn f() { let hint = if a { \"say it with flowers\".to_owned() } else { b }; }"),
        ("src/sql/x.rs", "fn f() { Refusal::FunctionNotAllowed { name: \"this bouquet\".into(), hint } }"),
        ("src/gateway/session.rs", "fn f() { positive(\"a bunch of flowers\") }"),
        ("src/record/x.rs", "fn f() { BooksFault::Unknown(format!(\"flower {name} in the garden\")) }"),
    ] {
        assert_eq!(breaks_hints(&file(path, text)).len(), 1, "{path}: {text}");
    }
    for (path, text) in [
        ("src/privacy/x.rs", "fn f() { refused(\"date_part {unit}\", \"select one column\") }"),
        ("src/privacy/x.rs", "fn f() { refused(&format!(\"DISTINCT {name}\"), line.note) }"),
        ("src/privacy/x.rs", "fn mixed(hint: &str) { said(\"a word of another kind\") }"),
        ("src/sql/x.rs", "fn f() { Refusal::NotAQuestion { hint: format!(\"bind exactly {} parameters\", n) } }"),
        ("src/sql/x.rs", "#[cfg(test)]\nmod tests { fn f() { mixed(\"say it with flowers\") } }"),
    ] {
        assert_eq!(breaks_hints(&file(path, text)), Vec::<String>::new(), "{path}: {text}");
    }
}
