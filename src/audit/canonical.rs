//! What is the one text of an entry?
//!
//! JSON without white space, keys of every object in byte order and distinct, strings with only the escapes that JSON
//! demands, numbers as they were first written. One value has one text, so that two readers of an entry cannot be
//! shown two different things.

use serde_json::Value;

/// The canonical text of `value`, whatever order its objects are held in.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

/// Whether `text` is one JSON object in canonical form.
#[must_use]
pub fn is_canonical(text: &str) -> bool {
    let mut reader = Reader { rest: text };
    text.starts_with('{') && reader.value(DEPTH_MOST).is_some() && reader.rest.is_empty()
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (place, (key, member)) in members.into_iter().enumerate() {
                text.push_str(if place == 0 { "" } else { "," });
                write_string(key, text);
                text.push(':');
                write(member, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                text.push_str(if place == 0 { "" } else { "," });
                write(item, text);
            }
            text.push(']');
        }
        Value::String(string) => write_string(string, text),
        Value::Null | Value::Bool(_) | Value::Number(_) => text.push_str(&value.to_string()),
    }
}

fn write_string(string: &str, text: &mut String) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            c if c < ' ' => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
}

/// Reads only what [`write`] writes. (Reading with serde_json and writing again would not do: its numbers need not come
/// back to the last digit.)
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: u32) -> Option<()> {
        match self.rest.as_bytes().first()? {
            b'{' => self.object(depth.checked_sub(1)?),
            b'[' => self.array(depth.checked_sub(1)?),
            b'"' => self.string().map(drop),
            b't' => self.take("true"),
            b'f' => self.take("false"),
            b'n' => self.take("null"),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: u32) -> Option<()> {
        self.take("{")?;
        let mut before: Option<String> = None;
        while self.take("}").is_none() {
            if before.is_some() {
                self.take(",")?;
            }
            let key = self.string()?;
            if before.is_some_and(|before| before >= key) {
                return None;
            }
            self.take(":")?;
            self.value(depth)?;
            before = Some(key);
        }
        Some(())
    }

    fn array(&mut self, depth: u32) -> Option<()> {
        self.take("[")?;
        let mut first = true;
        while self.take("]").is_none() {
            if !first {
                self.take(",")?;
            }
            first = false;
            self.value(depth)?;
        }
        Some(())
    }

    fn string(&mut self) -> Option<String> {
        let inside = self.rest.strip_prefix('"')?;
        let mut escaped = false;
        let end = inside.bytes().position(|b| {
            let ends = b == b'"' && !escaped;
            escaped = b == b'\\' && !escaped;
            ends
        })?;
        let quoted = self.rest.get(..end + 2)?;
        let string: String = serde_json::from_str(quoted).ok()?;
        let mut written = String::new();
        write_string(&string, &mut written);
        self.rest = self.rest.get(end + 2..)?;
        (written == quoted).then_some(string)
    }

    fn number(&mut self) -> Option<()> {
        let end = self.rest.find([',', ']', '}']).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at_checked(end)?;
        serde_json::from_str::<serde_json::Number>(number).ok()?;
        let no_blanks = !number.contains(|c: char| c.is_ascii_whitespace());
        self.rest = rest;
        no_blanks.then_some(())
    }

    fn take(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(token)?;
        Some(())
    }
}

/// No entry nests deeper. Below the limit of common JSON readers, which is 128.
const DEPTH_MOST: u32 = 64;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_and_nothing_is_spaced() {
        let value = json!({"b": [1, 2.5, -3e-7, null, true], "a": {"z": "\u{1}\n\"\\é日", "": {}}, "c": []});
        let text = canonical(&value);
        assert_eq!(text, "{\"a\":{\"\":{},\"z\":\"\\u0001\\n\\\"\\\\é日\"},\"b\":[1,2.5,-3e-7,null,true],\"c\":[]}");
        assert!(is_canonical(&text));
    }

    #[test]
    fn every_other_spelling_of_an_entry_is_refused() {
        for bad in [
            "{\"b\":1,\"a\":1}",
            "{\"a\":1,\"a\":1}",
            "{\"a\": 1}",
            "{\"a\":1 }",
            " {\"a\":1}",
            "{\"a\":1}\n",
            "{\"\\u0061\":1}",
            "{\"a\":\"\\/\"}",
            "{\"a\":\"\\u000A\"}",
            "{\"a\":1,}",
            "{,\"a\":1}",
            "{\"a\":[1,]}",
            "{\"a\":01}",
            "{\"a\":NaN}",
            "[]",
            "",
            "{\"a\":1}{}",
        ] {
            assert!(!is_canonical(bad), "{bad}");
        }
        assert!(is_canonical("{}"));
        assert!(!is_canonical(&format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000))));
    }
}
