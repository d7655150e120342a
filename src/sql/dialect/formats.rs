//! What does a format such as 'YYYY-MM-DD' mean to the engine?
//!
//! It reads formats with percent signs and shows all else as it stands: what it does not know would come out as a text
//! that its writer never meant. So a format is translated whole or refused.

use datafusion::sql::sqlparser::ast::Expr;

use super::{arguments, name, text_of};
use crate::terms::Refusal;

const WORDS: [(&str, &str); 17] = [
    ("FMMonth", "%B"),
    ("FMDay", "%A"),
    ("YYYY", "%Y"),
    ("IYYY", "%G"),
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("DDD", "%j"),
    ("Mon", "%b"),
    ("YY", "%y"),
    ("MM", "%m"),
    ("MI", "%M"),
    ("DD", "%d"),
    ("Dy", "%a"),
    ("IW", "%V"),
    ("ID", "%u"),
    ("HH", "%I"),
    ("SS", "%S"),
];

/// A format of PostgreSQL or Oracle as the engine writes it; `None` for one that holds something else, or that is the
/// engine's own. What stands in double quotes is shown as it is.
pub(super) fn translated(format: &str) -> Option<String> {
    if format.contains('%') {
        return None;
    }
    let mut out = String::new();
    for (place, part) in format.split('"').enumerate() {
        match place % 2 {
            0 => {
                out += &in_words(part, &WORDS, '"', |word, rest| {
                    let exact = word.chars().any(|c| c.is_ascii_lowercase());
                    rest.get(..word.len())
                        .is_some_and(|head| head == word || (!exact && head.eq_ignore_ascii_case(word)))
                })?;
            }
            _ => out += part,
        }
    }
    Some(out)
}

/// `value` in a format of PostgreSQL or Oracle as a text; a Q outside of quotes is its quarter, which the engine's formats
/// do not have.
pub(super) fn shown(value: &Expr, format: &str) -> Option<String> {
    let whole = match format {
        "Month" => Some(format!("rpad(to_char({value}, '%B'), 9, ' ')")),
        "Day" => Some(format!("rpad(to_char({value}, '%A'), 9, ' ')")),
        "D" => Some(format!("CAST(EXTRACT(DOW FROM {value}) + 1 AS VARCHAR)")),
        _ => None,
    };
    if whole.is_some() {
        return whole;
    }
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for letter in format.chars() {
        quoted ^= letter == '"';
        match (letter, parts.last_mut()) {
            ('Q' | 'q', _) if !quoted => parts.push(String::new()),
            (letter, Some(part)) => part.push(letter),
            (_, None) => return None,
        }
    }
    let quarter = format!("CAST(EXTRACT(QUARTER FROM {value}) AS VARCHAR)");
    let parts = parts.iter().map(|part| match part.as_str() {
        "" => Some(None),
        part => Some(Some(format!("to_char({value}, '{}')", translated(part)?.replace('\'', "''")))),
    });
    let parts = parts.collect::<Option<Vec<_>>>()?;
    let (mut shown, count) = (vec![], parts.len());
    for (place, part) in parts.into_iter().enumerate() {
        shown.extend(part);
        if place + 1 < count {
            shown.push(quarter.clone());
        }
    }
    Some(if shown.len() == 1 { shown.pop()? } else { format!("({})", shown.join(" || ")) })
}

/// `format` with each of its words, as `begins` finds them at the beginning of a text, as the engine writes it; `None` where
/// another letter or `quote` stands in it.
fn in_words(format: &str, words: &[(&str, &str)], quote: char, begins: impl Fn(&str, &str) -> bool) -> Option<String> {
    let (mut rest, mut out) = (format, String::new());
    while let Some(first) = rest.chars().next() {
        rest = match words.iter().find(|(word, _)| begins(word, rest)) {
            Some((word, to)) => {
                out += to;
                rest.get(word.len()..)?
            }
            None if first.is_ascii_alphanumeric() || first == quote => return None,
            None => {
                out.push(first);
                rest.get(first.len_utf8()..)?
            }
        };
    }
    Some(out)
}

const LETTERS: [(&str, &str); 9] = [
    ("yyyy", "%Y"),
    ("MMM", "%b"),
    ("MM", "%m"),
    ("dd", "%d"),
    ("HH", "%H"),
    ("mm", "%M"),
    ("ss", "%S"),
    ("yy", "%y"),
    ("DDD", "%j"),
];

/// A format of Spark or .NET, where `mm` are minutes, or of MySQL as far as it means the same to the engine.
pub(super) fn by_letters(format: &str) -> Option<String> {
    if format.contains('%') {
        let known = |rest: &str| rest.starts_with(['Y', 'm', 'd', 'H', 'y', 'j']);
        return format.split('%').skip(1).all(known).then(|| format.to_owned());
    }
    in_words(format, &LETTERS, '\'', |word, rest| rest.starts_with(word))
}

/// The refusal of a format that the engine would show as it stands.
pub(super) fn unknown(expr: &Expr) -> Option<Refusal> {
    let Expr::Function(call) = expr else { return None };
    let name = name(call)?;
    let arguments = arguments(call)?;
    if let ("date_format", [_, format]) = (name.as_str(), arguments.as_slice()) {
        let known = text_of(format).and_then(by_letters).is_some();
        let hint = "use yyyy, MM, MMM, dd, DDD, HH, mm and ss in its format, or %Y, %m, %d, %H";
        return (!known).then(|| Refusal::FunctionNotAllowed { name, hint: hint.into() });
    }
    let ("to_char" | "to_date" | "to_timestamp", [_, format]) = (name.as_str(), arguments.as_slice()) else {
        return None;
    };
    let format = text_of(format)?;
    let known = match name.as_str() {
        "to_char" => format.contains('%') || shown(expr, format).is_some(),
        _ => format.contains('%') || translated(format).is_some(),
    };
    (!known).then(|| Refusal::FunctionNotAllowed {
        name,
        hint: "use YYYY, MM, DD, Mon, Dy, DDD, Q, IYYY, IW, ID, HH24, MI and SS in its format, or %Y, %m and so on"
            .into(),
    })
}
