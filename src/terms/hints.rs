//! What does a hint say in Japanese?
//!
//! Refusals hold their hints in English: so they are recorded, compared and replayed. Here is how each reads for an
//! account whose language is Japanese. In a text `{}` is whatever stands there, taken over as it is; in its Japanese
//! `{}` is the next of these parts, `{1}` the second. What is not known here stays English; `tests/tidy/hints.rs`
//! names it.

mod administration;
mod asking;
mod functions;
mod names;
mod steps;

use std::borrow::Cow;

/// A hint, a reason or a limit.
pub(super) fn in_japanese(hint: &str) -> Cow<'_, str> {
    found(&HINTS, hint)
}

/// What stands where the name of a function would, such as "this expression"; real names stay.
pub(super) fn named_in_japanese(name: &str) -> Cow<'_, str> {
    found(&[names::NAMES], name)
}

/// What a permit does not grant.
pub(super) fn granted_in_japanese(what: &str) -> Cow<'_, str> {
    found(&[names::GRANTED], what)
}

/// Of all texts that fit, the one that leaves least to its parts.
fn found<'t>(tables: &[&[Pair]], english: &'t str) -> Cow<'t, str> {
    let mut best: Option<(usize, String)> = None;
    for (from, to) in tables.iter().copied().flatten() {
        let fixed: usize = from.split("{}").map(str::len).sum();
        if let Some(parts) = parts(from, english)
            && best.as_ref().is_none_or(|(longest, _)| fixed > *longest)
        {
            best = Some((fixed, filled(to, &parts)));
        }
    }
    best.map_or(Cow::Borrowed(english), |(_, japanese)| Cow::Owned(japanese))
}

/// What stands at the `{}` of `pattern` in `text`; none where it does not fit.
fn parts<'t>(pattern: &str, text: &'t str) -> Option<Vec<&'t str>> {
    let mut fixed = pattern.split("{}").peekable();
    let mut rest = text.strip_prefix(fixed.next()?)?;
    let mut parts = vec![];
    while let Some(piece) = fixed.next() {
        let (part, after) = match fixed.peek() {
            Some(_) => rest.split_once(piece)?,
            None => (rest.strip_suffix(piece)?, ""),
        };
        parts.push(part);
        rest = after;
    }
    rest.is_empty().then_some(parts)
}

/// `japanese` with `parts` in their places.
fn filled(japanese: &str, parts: &[&str]) -> String {
    let mut pieces = japanese.split('{');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for (place, piece) in pieces.enumerate() {
        let (named, rest) = piece.split_once('}').unwrap_or(("", piece));
        out += parts.get(named.parse().unwrap_or(place)).copied().unwrap_or_default();
        out += rest;
    }
    out
}

/// English and Japanese.
type Pair = (&'static str, &'static str);

const HINTS: [&[Pair]; 4] = [steps::STEPS, functions::FUNCTIONS, asking::ASKING, administration::ADMINISTRATION];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_hint_is_found_whole() {
        let hint = "LIMIT over persons' rows; aggregate first, then LIMIT";
        assert_eq!(in_japanese(hint), "個人の行には LIMIT を使えません。先に集計してから LIMIT を使ってください");
        assert_eq!(named_in_japanese("this expression"), "この式");
    }

    #[test]
    fn its_parts_are_taken_over_as_they_are() {
        assert_eq!(in_japanese("bind exactly 2 parameters"), "パラメーターをちょうど 2 個割り当ててください");
        let twice = in_japanese("this question may have 16 seconds at most: SET sekisho.deadline = 4 or DEFAULT");
        assert!(twice.contains("長くても 16 秒です。SET sekisho.deadline = 4 または"), "{twice}");
        assert_eq!(in_japanese("a {b} names two columns; say which table's").matches("a {b}").count(), 1);
        assert_eq!(named_in_japanese("CAST to Time64(µs)"), "Time64(µs) への CAST");
    }

    #[test]
    fn parts_may_change_places() {
        assert_eq!(in_japanese("role auditor of hanako exists already"), "hanako はすでに役割 auditor を持っています");
        assert_eq!(granted_in_japanese("a.b beside c.d"), "c.d と並べて使う a.b");
    }

    #[test]
    fn the_longest_text_that_fits_is_meant() {
        assert_eq!(in_japanese("there is no account x that may sign in"), "サインインできるアカウント x はありません");
        assert_eq!(in_japanese("there is no account x"), "アカウント x はありません");
        assert_eq!(in_japanese("there is no rose"), "rose はありません");
    }

    #[test]
    fn what_is_unknown_stays_english() {
        for hint in ["", "bind exactly 2", "missing field `name`", "Join with ="] {
            assert!(matches!(in_japanese(hint), Cow::Borrowed(same) if same == hint), "{hint}");
        }
        assert_eq!(named_in_japanese("regexp_match"), "regexp_match");
    }

    #[test]
    fn every_text_stands_once_and_keeps_its_parts() {
        let tables = [&HINTS[..], &[names::NAMES, names::GRANTED][..]].concat();
        let mut seen = BTreeSet::new();
        for (english, japanese) in tables.iter().copied().flatten() {
            assert!(seen.insert(english), "{english} stands twice");
            assert_eq!(english.matches("{}").count(), japanese.matches('{').count(), "{english}");
            let spoken = english.replace("{}", "part");
            assert_ne!(found(&tables, &spoken), spoken, "it is not found");
        }
    }
}
