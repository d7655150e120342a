//! How does a list of things look in a terminal, or to a program?

use std::io::Write;

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::Value;

use super::{
    render::{printable, short},
    stop::Stop,
};

/// Writes `rows`, a JSON array of objects: as it is with `as_json`, else as a table of the named fields.
///
/// # Errors
/// [`Stop`] where `out` fails.
pub fn write(rows: &Value, columns: &[&str], as_json: bool, out: &mut dyn Write) -> Result<(), Stop> {
    if as_json {
        writeln!(out, "{rows}")?;
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|name| name.replace('_', " ")));
    for row in rows.as_array().into_iter().flatten() {
        table.add_row(columns.iter().map(|name| row.get(*name).map(cell).unwrap_or_default()));
    }
    writeln!(out, "{table}")?;
    Ok(())
}

/// A JSON value as a person reads it.
#[must_use]
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => String::new(),
        Value::String(text) => printable(text),
        Value::Number(number) => number.as_f64().filter(|_| number.is_f64()).map_or_else(|| number.to_string(), short),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_the_named_fields_and_json_has_all() {
        let rows = json!([{"name": "aki", "roles": ["reviewer", "auditor"], "disabled": false, "delta": 1e-7}]);
        let mut out = Vec::new();
        write(&rows, &["name", "roles", "disabled"], false, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("aki") && text.contains("reviewer, auditor") && !text.contains("1e-7"), "{text}");
        let mut out = Vec::new();
        write(&rows, &[], true, &mut out).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), rows);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(short(0.1 + 0.2), "0.3");
        assert_eq!(short(1e-7), "1e-7");
        assert_eq!(cell(&json!(8.0)), "8");
        assert_eq!(cell(&json!("a\u{1b}[2J")), "a\u{fffd}[2J");
    }
}
