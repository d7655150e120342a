//! Which texts does a pattern match?
//!
//! In LIKE the engine knows a backslash alone before what is meant as it stands, and it takes SIMILAR TO for a regular expression that
//! matches anywhere. In the standard its pattern is of the whole text, with % and _.

use datafusion::sql::sqlparser::ast::{Expr, Value, ValueWithSpan};

use super::text_of;
use crate::terms::Refusal;

/// A pattern in the engine's own words.
pub(super) fn rewritten(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Like { negated, any: false, expr, pattern, escape_char: Some(escape) } => {
            like(*negated, "LIKE", expr, pattern, escape)
        }
        Expr::ILike { negated, any: false, expr, pattern, escape_char: Some(escape) } => {
            like(*negated, "ILIKE", expr, pattern, escape)
        }
        Expr::SimilarTo { negated, expr, pattern, escape_char } => {
            let escape = match escape_char {
                Some(escape) => one(escape)?,
                None => Some('\\'),
            };
            let regular = similar(text_of(pattern)?, escape)?;
            let not = if *negated { "!" } else { "" };
            Some(format!("({expr}) {not}~ '{}'", regular.replace('\'', "''")))
        }
        _ => super::relations::like_any(expr),
    }
}

/// The refusal of a pattern that is none, or that the engine would read as something else.
pub(super) fn unknown(expr: &Expr) -> Option<Refusal> {
    let (name, hint) = match expr {
        Expr::SimilarTo { .. } if rewritten(expr).is_none() => {
            ("SIMILAR TO", "give a literal pattern that is complete")
        }
        Expr::Like { escape_char: Some(_), .. } | Expr::ILike { escape_char: Some(_), .. }
            if rewritten(expr).is_none() =>
        {
            ("LIKE ... ESCAPE", "give a literal pattern, and one character or none to escape with")
        }
        _ => return None,
    };
    Some(Refusal::FunctionNotAllowed { name: name.to_owned(), hint: hint.to_owned() })
}

/// The character that a clause names; none where it names none.
fn one(escape: &ValueWithSpan) -> Option<Option<char>> {
    let Value::SingleQuotedString(text) = &escape.value else { return None };
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (first, None) => Some(first),
        _ => None,
    }
}

fn like(negated: bool, like: &str, expr: &Expr, pattern: &Expr, escape: &ValueWithSpan) -> Option<String> {
    let escape = one(escape)?;
    let mut out = String::new();
    let mut rest = text_of(pattern)?.chars();
    while let Some(next) = rest.next() {
        let plain = if Some(next) == escape { Some(rest.next()?) } else { None };
        match (plain, next) {
            (Some(plain @ ('%' | '_' | '\\')), _) => out.extend(['\\', plain]),
            (Some(plain), _) => out.push(plain),
            (None, '\\') => out.push_str("\\\\"),
            (None, next) => out.push(next),
        }
    }
    let not = if negated { "NOT " } else { "" };
    Some(format!("({expr}) {not}{like} '{}'", out.replace('\'', "''")))
}

/// A pattern of SIMILAR TO as a regular expression over the whole text.
fn similar(pattern: &str, escape: Option<char>) -> Option<String> {
    let mut out = "(?s)^(".to_owned();
    let (mut rest, mut listed) = (pattern.chars(), false);
    while let Some(next) = rest.next() {
        match next {
            _ if Some(next) == escape => {
                let plain = rest.next()?;
                if plain.is_ascii_punctuation() {
                    out.push('\\');
                }
                out.push(plain);
            }
            '[' if !listed => {
                listed = true;
                out.push('[');
            }
            ']' => {
                listed = false;
                out.push(']');
            }
            _ if listed => out.push(next),
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '.' | '^' | '$' | '\\' => out.extend(['\\', next]),
            _ => out.push(next),
        }
    }
    (!listed).then(|| out + ")$")
}
