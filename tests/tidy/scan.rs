//! Which paths does a source file name, comments and strings aside?

/// One word or sign of the source; a literal is `""` or `0`, whatever it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    /// What a plain literal holds.
    pub held: String,
    pub line: usize,
}

/// A path as the crate sees it: `["crate", "terms", "Loss"]`, or `["rusqlite", "Connection"]` for anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    pub segments: Vec<String>,
    pub line: usize,
    /// Named by a `pub use`.
    pub public: bool,
}

/// The words and signs of `source`, without comments; `::` is one sign, lifetimes are left out.
pub fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut out, mut i, mut line) = (vec![], 0, 1);
    while i < chars.len() {
        let start = i;
        let mut held = String::new();
        let text = match at(i) {
            '/' if at(i + 1) == '/' => {
                i = end_of_line(&chars, i);
                None
            }
            '/' if at(i + 1) == '*' => {
                i = end_of_comment(&chars, i);
                None
            }
            '"' => {
                i = end_of_string(&chars, i);
                held = unescaped(chars.get(start + 1..i - 1).unwrap_or_default());
                Some("\"\"".to_owned())
            }
            '\'' if at(i + 1) == '\\' || at(i + 2) == '\'' => {
                i = end_of_character(&chars, i);
                Some("\"\"".to_owned())
            }
            '\'' => {
                i = end_of_word(&chars, i + 1);
                None
            }
            c if c.is_ascii_digit() => {
                i = end_of_word(&chars, i);
                Some("0".to_owned())
            }
            c if is_word(c) => {
                i = end_of_word(&chars, i);
                let word: String = chars[start..i].iter().collect();
                match raw_string(&chars, &word, i) {
                    Some(end) => {
                        i = end;
                        Some("\"\"".to_owned())
                    }
                    None if word == "r" && at(i) == '#' && is_word(at(i + 1)) => {
                        i += 1;
                        None
                    }
                    None => Some(word),
                }
            }
            ':' if at(i + 1) == ':' => {
                i += 2;
                Some("::".to_owned())
            }
            c => {
                i += 1;
                (!c.is_whitespace()).then(|| c.to_string())
            }
        };
        out.extend(text.map(|text| Token { text, held, line }));
        line += chars[start..i.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    out
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn end_of_word(chars: &[char], from: usize) -> usize {
    chars[from..].iter().position(|c| !is_word(*c)).map_or(chars.len(), |n| from + n)
}

fn end_of_line(chars: &[char], from: usize) -> usize {
    chars[from..].iter().position(|c| *c == '\n').map_or(chars.len(), |n| from + n)
}

fn end_of_comment(chars: &[char], from: usize) -> usize {
    let (mut depth, mut i) = (0, from);
    while i < chars.len() {
        match &chars[i..(i + 2).min(chars.len())] {
            ['/', '*'] => (depth, i) = (depth + 1, i + 2),
            ['*', '/'] => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    i
}

fn end_of_string(chars: &[char], from: usize) -> usize {
    let mut i = from + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

/// What stands between the quotes: continued lines joined, signs without their backslash.
fn unescaped(chars: &[char]) -> String {
    let (mut out, mut i) = (String::new(), 0);
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('\\', Some('\n')) => {
                i += 1;
                while chars.get(i).is_some_and(|c| c.is_whitespace()) {
                    i += 1;
                }
            }
            ('\\', Some(c)) => {
                out.push(*c);
                i += 2;
            }
            (c, _) => {
                out.push(c);
                i += 1;
            }
        }
    }
    out
}

fn end_of_character(chars: &[char], from: usize) -> usize {
    let first = if chars.get(from + 1) == Some(&'\\') { from + 3 } else { from + 2 };
    chars.get(first..).and_then(|rest| rest.iter().position(|c| *c == '\'')).map_or(chars.len(), |n| first + n + 1)
}

/// The end of `r"…"`, `br#"…"#`, `b"…"` and their like, where `prefix` ends at `from`.
fn raw_string(chars: &[char], prefix: &str, from: usize) -> Option<usize> {
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    match prefix {
        "b" | "c" if at(from) == '"' => Some(end_of_string(chars, from)),
        "r" | "br" | "cr" => {
            let hashes = chars[from..].iter().take_while(|c| **c == '#').count();
            let mut i = from + hashes + 1;
            if at(i - 1) != '"' {
                return None;
            }
            while i < chars.len() {
                if chars[i] == '"' && (1..=hashes).all(|n| at(i + n) == '#') {
                    return Some(i + 1 + hashes);
                }
                i += 1;
            }
            Some(i)
        }
        _ => None,
    }
}

/// Every path in `tokens`, that of a file which is the module `module` of the crate; `self` and `super` resolved.
pub fn paths(tokens: &[Token], module: &[String]) -> Vec<Path> {
    let text = |i: usize| tokens.get(i).map_or("", |t| t.text.as_str());
    let mut inside: Vec<(String, usize)> = vec![];
    let (mut out, mut depth, mut i) = (vec![], 0_usize, 0);
    while i < tokens.len() {
        let here: Vec<String> = module.iter().cloned().chain(inside.iter().map(|(name, _)| name.clone())).collect();
        let before = if i == 0 { "" } else { text(i - 1) };
        match text(i) {
            "mod" if text(i + 2) == "{" => {
                inside.push((text(i + 1).to_owned(), depth));
                i += 1;
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if inside.last().is_some_and(|(_, at)| *at == depth) {
                    inside.pop();
                }
            }
            "use" if text(i + 1) != "<" => {
                let public = before == "pub" || before == ")";
                let mut named = vec![];
                i = tree(tokens, i + 1, &[], &mut named);
                out.extend(named.into_iter().map(|(segments, line)| Path {
                    segments: resolved(segments, &here),
                    line,
                    public,
                }));
            }
            head if head.starts_with(is_word) && text(i + 1) == "::" && before != "::" && before != "." => {
                let line = tokens[i].line;
                let mut segments = vec![head.to_owned()];
                while text(i + 1) == "::" && text(i + 2).starts_with(is_word) {
                    segments.push(text(i + 2).to_owned());
                    i += 2;
                }
                out.push(Path { segments: resolved(segments, &here), line, public: false });
            }
            _ => {}
        }
        i += 1;
    }
    out
}

/// Reads one use tree from `i`; returns where it ends.
fn tree(tokens: &[Token], mut i: usize, prefix: &[String], out: &mut Vec<(Vec<String>, usize)>) -> usize {
    let text = |i: usize| tokens.get(i).map_or("", |t| t.text.as_str());
    let mut segments = prefix.to_vec();
    let line = tokens.get(i).map_or(0, |t| t.line);
    loop {
        match text(i) {
            "::" => i += 1,
            "{" => {
                i += 1;
                while !matches!(text(i), "}" | "") {
                    i = tree(tokens, i, &segments, out);
                    i += usize::from(text(i) == ",");
                }
                return i + 1;
            }
            "as" => i += 2,
            "self" if !segments.is_empty() => i += 1,
            word if word == "*" || word.starts_with(is_word) => {
                segments.push(word.to_owned());
                i += 1;
            }
            _ => {
                out.push((segments, line));
                return i;
            }
        }
    }
}

fn resolved(segments: Vec<String>, here: &[String]) -> Vec<String> {
    let ups = segments.iter().take_while(|s| *s == "super").count();
    let below = match segments.first().map(String::as_str) {
        Some("self") => [here, &segments[1..]].concat(),
        Some("super") => [&here[..here.len().saturating_sub(ups)], &segments[ups..]].concat(),
        _ => return segments,
    };
    [vec!["crate".to_owned()], below].concat()
}
