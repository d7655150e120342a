//! Is this the access model that the rest of the house relies on?
//!
//! Request, rule, membership and effect are fixed; the matcher may be replaced by one without function calls other
//! than `g`. Casbin would take far more (and panic at some of it), so it never sees a model that did not pass here.

use super::fault::PolicyFault;

const FILE: &str = "model.conf";
const FIXED: [(&str, &str, &str); 4] = [
    ("request_definition", "r", "sub, act, schema, obj, column, position"),
    ("policy_definition", "p", "sub, act, obj, column, position"),
    ("role_definition", "g", "_, _"),
    ("policy_effect", "e", "some(where (p.eft == allow))"),
];
const MATCHER: (&str, &str) = ("matchers", "m");

/// The text of `model.conf`, read and found sound.
#[derive(Debug, Clone)]
pub(super) struct Model(String);

impl Model {
    /// The model of `text`, if it is one.
    pub fn read(text: &str) -> Result<Self, PolicyFault> {
        let (mut section, mut seen) = (String::new(), Vec::new());
        for (at, line) in text.lines().enumerate() {
            let (at, line) = (at + 1, line.trim());
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = name.into();
                continue;
            }
            let (key, value) = line.split_once('=').ok_or_else(|| wrong(at, "not KEY = VALUE"))?;
            let (key, value) = (key.trim(), value.trim());
            check(&section, key, value).map_err(|reason| wrong(at, reason))?;
            if seen.iter().any(|k| k == key) {
                return Err(wrong(at, format!("{key} is defined twice")));
            }
            seen.push(key.to_owned());
        }
        match seen.len() == FIXED.len() + 1 {
            true => Ok(Self(text.into())),
            false => Err(wrong(text.lines().count(), "r, p, g, e and m are all needed")),
        }
    }

    /// The text for Casbin.
    pub fn text(&self) -> &str {
        &self.0
    }
}

fn check(section: &str, key: &str, value: &str) -> Result<(), String> {
    if value.contains(['#', '\\', ';', '`', '{']) {
        return Err("a value holds none of # \\ ; ` {".into());
    }
    if (section, key) == MATCHER {
        return only_calls_g(value);
    }
    match FIXED.iter().find(|(s, k, _)| (*s, *k) == (section, key)) {
        Some((_, _, fixed)) if *fixed == value => Ok(()),
        Some((_, _, fixed)) => Err(format!("{key} is fixed: {fixed}")),
        None => Err(format!("[{section}] {key} is not part of this model")),
    }
}

fn only_calls_g(matcher: &str) -> Result<(), String> {
    for (at, _) in matcher.match_indices('(') {
        let before = matcher.get(..at).unwrap_or_default().trim_end();
        let callee: String = before.chars().rev().take_while(|c| c.is_alphanumeric() || "_.".contains(*c)).collect();
        if !callee.is_empty() && callee != "g" {
            return Err("the matcher may call g and nothing else".into());
        }
    }
    Ok(())
}

fn wrong(line: usize, reason: impl Into<String>) -> PolicyFault {
    PolicyFault::wrong(FILE, line, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = include_str!("../../policies/model.conf");

    #[test]
    fn our_own_model_is_sound() {
        assert_eq!(Model::read(OURS).unwrap().text(), OURS);
    }

    #[test]
    fn what_casbin_would_misread_or_panic_at_is_refused_with_its_line() {
        for (from, to, reason) in [
            ("some(where (p.eft == allow))", "some(where (p.eft == maybe))", "e is fixed"),
            ("some(where (p.eft == allow))", "!some(where (p.eft == deny))", "e is fixed"),
            ("g = _, _", "g = _", "g is fixed"),
            ("m = r.act", "m = eval(p.obj) || r.act", "call g and nothing else"),
            ("m = r.act", "m = regexMatch(r.obj, p.obj) || r.act", "call g and nothing else"),
            ("m = r.act", "m = true # || r.act", "holds none of"),
            ("[matchers]", "[matchers]\nm2 = true", "not part of this model"),
            ("[matchers]", "[matchers]\nm = g(r.sub, p.sub)", "defined twice"),
            ("[matchers]", "[matchers]\nnonsense", "not KEY = VALUE"),
            ("g = _, _", "", "all needed"),
        ] {
            assert!(OURS.contains(from), "{from}");
            let fault = Model::read(&OURS.replace(from, to)).unwrap_err().to_string();
            assert!(fault.starts_with("model.conf:") && fault.contains(reason), "{to}: {fault}");
        }
    }
}
