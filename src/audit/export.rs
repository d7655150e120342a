//! How does the log look in files?
//!
//! `entries.jsonl` holds one line per entry in order, `log.vkey` the public key. Checkpoint and ledger lie beside them
//! (`record/export.rs`). Every line has one spelling.

use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};

use super::{
    commitment::{Salt, leaf_of},
    log::Entry,
    text::{from_hex, to_hex},
    tree::Hash,
};

/// The file of the entries.
pub const ENTRIES: &str = "entries.jsonl";
/// The file of the public key.
pub const KEY: &str = "log.vkey";

/// One entry as a line of the file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportLine {
    /// The number, from 0 without gaps.
    pub entry: u64,
    /// The salt, in hexadecimal.
    pub salt: String,
    /// The whole entry, canonical JSON.
    pub body: String,
}

impl ExportLine {
    /// The line of `entry`, with its newline.
    #[must_use]
    pub fn of(entry: &Entry) -> String {
        let line = Self { entry: entry.number.0, salt: to_hex(&entry.salt), body: entry.body.clone() };
        line.text()
    }

    /// The leaf that this line's entry must be in the tree; none where the salt is none.
    #[must_use]
    pub fn leaf(&self) -> Option<Hash> {
        from_hex::<32>(&self.salt).map(|salt: Salt| leaf_of(&salt, &self.body))
    }

    fn text(&self) -> String {
        // A struct of strings and numbers always has a JSON text.
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// Reads lines as [`ExportLine::of`] wrote them and gives each to `each`, until it says `false`. Stops before a line in
/// any other spelling, a cut one too, and says `false` then.
///
/// # Errors
/// What the reader returns.
pub fn read_lines(mut reader: impl BufRead, mut each: impl FnMut(ExportLine) -> bool) -> io::Result<bool> {
    let mut text = Vec::new();
    loop {
        text.clear();
        if reader.read_until(b'\n', &mut text)? == 0 {
            return Ok(true);
        }
        match serde_json::from_slice::<ExportLine>(&text) {
            Ok(line) if line.text().as_bytes() == text => {
                if !each(line) {
                    return Ok(false);
                }
            }
            _ => return Ok(false),
        }
    }
}
