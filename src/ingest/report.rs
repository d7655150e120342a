//! How good was what the source delivered? For the custodian's eyes only: every figure here is computed from rows.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// Why a row of the source is not in the data version. A closed list; the code is what the reject file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The line has another number of fields than the header, or is not UTF-8.
    LineBroken,
    /// A key that may not be NULL is NULL.
    KeyNull,
    /// A key is not a whole number of 64 bits, or is stored as DOUBLE beyond 2^53.
    KeyNotWhole,
    /// A column that may not be NULL has no value.
    ValueMissing,
    /// A value is not of the column's type.
    ValueUnreadable,
    /// A date outside of the range that the catalogue declares.
    DateOutsideRange,
    /// A value outside of the list that the catalogue declares.
    ValueOutsideDomain,
    /// A text longer than the catalogue declares.
    TextTooLong,
    /// A second row of the person table with the same person.
    PersonDuplicate,
    /// The person is not in the person table.
    PersonUnknown,
    /// A second row with a key that other tables refer to.
    KeyDuplicate,
    /// The row that it refers to is missing, or another person's.
    ReferenceBroken,
    /// A second row about a person in a table that holds one at most.
    PersonHasRow,
}

impl Reason {
    /// The code in the reject file.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::LineBroken => "line_broken",
            Self::KeyNull => "key_null",
            Self::KeyNotWhole => "key_not_whole",
            Self::ValueMissing => "value_missing",
            Self::ValueUnreadable => "value_unreadable",
            Self::DateOutsideRange => "date_outside_range",
            Self::ValueOutsideDomain => "value_outside_domain",
            Self::TextTooLong => "text_too_long",
            Self::PersonDuplicate => "person_duplicate",
            Self::PersonUnknown => "person_unknown",
            Self::KeyDuplicate => "key_duplicate",
            Self::ReferenceBroken => "reference_broken",
            Self::PersonHasRow => "person_has_row",
        }
    }
}

/// Why a value of the source became NULL while its row was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Emptied {
    /// Not a number, or infinite.
    NotFinite,
    /// A date outside of the range that the catalogue declares.
    DateOutsideRange,
    /// Outside of the list that the catalogue declares.
    OutsideDomain,
    /// A text longer than the catalogue declares.
    TextTooLong,
    /// The row that it refers to is missing, or another person's.
    ReferenceBroken,
}

impl Emptied {
    /// The code in the report.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NotFinite => "not_finite",
            Self::DateOutsideRange => "date_outside_range",
            Self::OutsideDomain => "outside_domain",
            Self::TextTooLong => "text_too_long",
            Self::ReferenceBroken => "reference_broken",
        }
    }
}

/// One rejected row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reject {
    /// The table.
    pub table: String,
    /// The file, relative to the source's folder.
    pub file: String,
    /// The line of a text file (the header is line 1) or the row of a Parquet file, from 1.
    pub row: u64,
    /// Why.
    pub reason: Reason,
}

/// What was found in one column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ColumnQuality {
    /// How many written rows have no value here.
    pub nulls: u64,
    /// How many values became NULL, by cause.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub emptied: BTreeMap<Emptied, u64>,
    /// How many values outside of the declared list became 0 ("no matching concept").
    pub zeroed: u64,
    /// How many kept values lie outside of the declared bounds: every release clamps them.
    pub outside_bounds: u64,
}

/// What was found in one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TableQuality {
    /// Its files, relative to the source's folder.
    pub files: Vec<String>,
    /// How many rows the source has.
    pub rows_read: u64,
    /// How many the data version has.
    pub rows_written: u64,
    /// How many were rejected, by reason.
    pub rejected: BTreeMap<Reason, u64>,
    /// How many were left out because one person had more than the catalogue allows.
    pub rows_over_maximum: u64,
    /// What was found in each column of the catalogue.
    pub columns: BTreeMap<String, ColumnQuality>,
    /// Columns of the catalogue that the source does not have: written as NULL.
    pub columns_missing: Vec<String>,
    /// Columns of the source that the catalogue does not have: not read.
    pub columns_unknown: Vec<String>,
}

impl TableQuality {
    /// How many rows were rejected in all.
    #[must_use]
    pub fn rejected_in_all(&self) -> u64 {
        self.rejected.values().sum()
    }

    pub(super) fn reject(&mut self, reason: Reason) {
        *self.rejected.entry(reason).or_default() += 1;
    }

    pub(super) fn emptied(&mut self, column: &str, why: Emptied, count: u64) {
        if count > 0 {
            let quality = self.columns.entry(column.to_owned()).or_default();
            *quality.emptied.entry(why).or_default() += count;
        }
    }

    /// Adds what another part of the load found in the same table.
    pub(super) fn add(&mut self, part: Self) {
        self.rows_read += part.rows_read;
        self.rows_written += part.rows_written;
        self.rows_over_maximum += part.rows_over_maximum;
        for (reason, count) in part.rejected {
            *self.rejected.entry(reason).or_default() += count;
        }
        for (name, found) in part.columns {
            let quality = self.columns.entry(name).or_default();
            quality.nulls += found.nulls;
            quality.zeroed += found.zeroed;
            quality.outside_bounds += found.outside_bounds;
            for (why, count) in found.emptied {
                *quality.emptied.entry(why).or_default() += count;
            }
        }
    }
}

/// What was found in one load. Printed for the custodian; never for an analyst and never into a log.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct QualityReport {
    /// The tables that the source delivered.
    pub tables: BTreeMap<String, TableQuality>,
    /// Tables of the source that the catalogue refuses or that do not belong into this load, with the reason.
    pub tables_skipped: BTreeMap<String, String>,
    /// Tables of the catalogue that the source does not have: written without rows.
    pub tables_missing: Vec<String>,
    /// Files of the source that are no table of the catalogue.
    pub files_unknown: Vec<String>,
    /// The first rejected rows; the reject file has them all.
    pub first_rejects: Vec<Reject>,
}

/// Says nothing: a fault that carries a report may be logged.
impl fmt::Debug for QualityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QualityReport(for the custodian only)")
    }
}

impl QualityReport {
    /// The table with most rejected rows, where more than `share_max` of all rows were rejected.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share need not be exact beyond 2^53 rows")]
    pub fn rejects_more_than(&self, share_max: f64) -> Option<String> {
        let read: u64 = self.tables.values().map(|table| table.rows_read).sum();
        let rejected: u64 = self.tables.values().map(TableQuality::rejected_in_all).sum();
        let worst = self.tables.iter().max_by_key(|(_, table)| table.rejected_in_all());
        worst.map(|(name, _)| name.clone()).filter(|_| rejected as f64 > share_max * read as f64)
    }
}

impl fmt::Display for QualityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24}{:>14}{:>14}{:>12}{:>14}", "table", "rows read", "written", "rejected", "over maximum")?;
        for (name, table) in &self.tables {
            let (read, written, rejected) = (table.rows_read, table.rows_written, table.rejected_in_all());
            writeln!(f, "{name:<24}{read:>14}{written:>14}{rejected:>12}{:>14}", table.rows_over_maximum)?;
        }
        for (name, table) in &self.tables {
            for (reason, count) in &table.rejected {
                writeln!(f, "{name}: {count} rows rejected: {}", reason.code())?;
            }
            for (column, quality) in &table.columns {
                for (why, count) in &quality.emptied {
                    writeln!(f, "{name}.{column}: {count} values became NULL: {}", why.code())?;
                }
                if quality.zeroed > 0 {
                    writeln!(f, "{name}.{column}: {} values outside of the declared list became 0", quality.zeroed)?;
                }
                if quality.outside_bounds > 0 {
                    writeln!(f, "{name}.{column}: {} values outside of the declared bounds", quality.outside_bounds)?;
                }
                if table.rows_written > 0 && quality.nulls == table.rows_written {
                    writeln!(f, "{name}.{column}: NULL in every row")?;
                }
            }
            list(f, name, "columns that the source lacks, written as NULL", &table.columns_missing)?;
            list(f, name, "columns that the catalogue lacks, not read", &table.columns_unknown)?;
        }
        for (name, why) in &self.tables_skipped {
            writeln!(f, "{name}: not loaded: {why}")?;
        }
        list(f, "source", "tables that it lacks, written without rows", &self.tables_missing)?;
        list(f, "source", "files that the catalogue does not know, not read", &self.files_unknown)
    }
}

fn list(f: &mut fmt::Formatter<'_>, whose: &str, what: &str, names: &[String]) -> fmt::Result {
    if names.is_empty() { Ok(()) } else { writeln!(f, "{whose}: {what}: {}", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_names_tables_columns_and_reasons() {
        let mut part = TableQuality { rows_read: 10, rows_written: 8, ..TableQuality::default() };
        part.reject(Reason::KeyNull);
        part.reject(Reason::PersonUnknown);
        part.emptied("value_as_number", Emptied::NotFinite, 3);
        part.emptied("value_as_number", Emptied::NotFinite, 0);
        let mut table = TableQuality { columns_unknown: vec!["extra".into()], ..TableQuality::default() };
        table.add(part.clone());
        table.add(part);
        assert_eq!(table.rejected_in_all(), 4);
        let mut report = QualityReport::default();
        report.tables.insert("measurement".into(), table);
        assert_eq!(report.rejects_more_than(0.19).as_deref(), Some("measurement"));
        assert_eq!(report.rejects_more_than(0.2), None);
        let text = report.to_string();
        assert!(text.contains("measurement: 2 rows rejected: key_null"), "{text}");
        assert!(text.contains("measurement.value_as_number: 6 values became NULL: not_finite"), "{text}");
        assert!(text.contains("not read: extra"), "{text}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["tables"]["measurement"]["rejected"]["person_unknown"], 2);
    }

    #[test]
    fn the_code_of_a_reason_is_its_name_in_the_report() {
        for reason in [Reason::LineBroken, Reason::KeyNotWhole, Reason::PersonHasRow, Reason::ReferenceBroken] {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.code());
        }
    }
}
