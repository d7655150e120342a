//! How does an answer look in a terminal or a file?
//!
//! As a table each noisy value stands with its 95 % half-width, `1234 ± 12`, rounded to what the noise leaves; csv,
//! json and arrow give every column as it came.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use datafusion::arrow::{
    array::{Array, AsArray},
    csv::WriterBuilder,
    datatypes::{DataType, Field, Float64Type, Schema, SchemaRef},
    error::ArrowError,
    ipc::writer::StreamWriter,
    json::ArrayWriter,
    record_batch::RecordBatch,
    util::display::{ArrayFormatter, FormatOptions},
};

/// The field metadata that names the 95 % half-width of a noisy column.
pub const HALF_WIDTH: &str = "sekisho.half_width_95";

/// And the one that says what it measures.
const HALF_WIDTH_OF: &str = "sekisho.half_width_of";

/// The one that says how far apart the candidates are of which a value was picked.
const APART: &str = "sekisho.candidates_apart";

/// The forms of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table, noisy values with their half-widths.
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// An array of objects.
    Json,
    /// An Arrow IPC stream, with all metadata.
    Arrow,
}

/// Writes an answer in the given form.
///
/// # Errors
/// What `out` reports.
pub fn write(format: Format, schema: &SchemaRef, batches: &[RecordBatch], out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Table => writeln!(out, "{}", table(schema, batches).map_err(io::Error::other)?),
        Format::Csv => csv(schema, batches, out).map_err(io::Error::other),
        Format::Json => json(batches, out),
        Format::Arrow => arrow(schema, batches, out).map_err(io::Error::other),
    }
}

/// What EXPLAIN says of the question and not of one mechanism.
const OF_QUESTION: [&str; 4] = ["question_epsilon", "remaining_after", "deadline_seconds", "time_channel"];

/// What EXPLAIN says, a block of lines for each mechanism and one for the question: as a table it is wider than screens.
///
/// # Errors
/// What `out` reports.
pub fn write_explained(batches: &[RecordBatch], out: &mut dyn Write) -> io::Result<()> {
    let mut question = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let (of_question, mechanism): (Vec<_>, Vec<_>) =
                lines(batch, row).map_err(io::Error::other)?.into_iter().partition(|(name, _)| is_of_question(name));
            block(&mechanism, out)?;
            question = of_question;
        }
    }
    block(&question, out)
}

fn is_of_question(name: &str) -> bool {
    OF_QUESTION.contains(&name)
}

/// Name and value of each column that has one in this row.
fn lines(batch: &RecordBatch, row: usize) -> Result<Vec<(String, String)>, ArrowError> {
    let columns = columns_shown(batch.schema_ref());
    let there = columns.iter().filter(|shown| batch.column(shown.column).is_valid(row));
    there.map(|shown| Ok((shown.name.clone(), cell(shown, batch, row)?))).collect()
}

fn block(lines: &[(String, String)], out: &mut dyn Write) -> io::Result<()> {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    lines.iter().try_for_each(|(name, value)| writeln!(out, "{name:<width$}  {value}"))?;
    if lines.is_empty() { Ok(()) } else { writeln!(out) }
}

/// The line under a table: what the answer cost and which receipt proves it. None for what was free and unrecorded.
#[must_use]
pub fn price_line(schema: &Schema) -> Option<String> {
    let mark = |key: &str| schema.metadata().get(key).map(String::as_str);
    let receipt = mark("sekisho.receipt")?;
    let spent = mark("sekisho.epsilon_spent").unwrap_or("0");
    let kept = match mark("sekisho.kept_answer") {
        Some("true") => ", kept answer",
        _ => "",
    };
    let time = match (mark("sekisho.time_channel"), mark("sekisho.deadline")) {
        (Some("open"), _) => ", time channel open".to_owned(),
        (_, Some(seconds)) => format!(", deadline {seconds} s"),
        _ => String::new(),
    };
    let bounds = match mark("sekisho.person_bounds") {
        Some(bounds) => {
            format!("\nof one person count at most: {bounds}; ± is the noise alone, not what that leaves out")
        }
        None => String::new(),
    };
    let hidden = match mark("sekisho.groups_not_shown") {
        Some(groups) => format!(
            "\nnot shown: {groups} groups that do not stand out from noise; EXPLAIN says from how many on, and a WHERE that names \
             them shows them"
        ),
        None => String::new(),
    };
    let loose = match mark("sekisho.loosely_bounded") {
        Some(columns) => format!(
            "\nmostly noise: {columns}; narrower bounds have less: least(greatest(x, lowest), highest) inside, or WHERE"
        ),
        None => String::new(),
    };
    Some(format!("epsilon spent {spent}, receipt {receipt}{kept}{time}{bounds}{hidden}{loose}"))
}

fn csv(schema: &SchemaRef, batches: &[RecordBatch], out: &mut dyn Write) -> Result<(), ArrowError> {
    let mut writer = WriterBuilder::new().with_header(true).build(out);
    if batches.is_empty() {
        return writer.write(&RecordBatch::new_empty(SchemaRef::clone(schema)));
    }
    batches.iter().try_for_each(|batch| writer.write(batch))
}

fn json(batches: &[RecordBatch], out: &mut dyn Write) -> io::Result<()> {
    let mut writer = ArrayWriter::new(&mut *out);
    for batch in batches {
        writer.write(batch).map_err(io::Error::other)?;
    }
    writer.finish().map_err(io::Error::other)?;
    writeln!(out)
}

fn arrow(schema: &SchemaRef, batches: &[RecordBatch], out: &mut dyn Write) -> Result<(), ArrowError> {
    let mut writer = StreamWriter::try_new(out, schema)?;
    batches.iter().try_for_each(|batch| writer.write(batch))?;
    writer.finish()
}

/// One column of the table on the screen.
struct Shown {
    name: String,
    column: usize,
    /// Public half-width, from the field's metadata.
    half_width: Option<f64>,
    /// The same of a picked value: by how many ranks it may be off, and how far apart its candidates are.
    ranks: Option<(f64, Option<f64>)>,
    /// The columns of the interval's ends, folded into this one.
    interval: Option<(usize, usize)>,
}

fn table(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Table, ArrowError> {
    let shown = columns_shown(schema);
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(shown.iter().map(|s| s.name.clone()));
    for batch in batches {
        for row in 0..batch.num_rows() {
            table.add_row(shown.iter().map(|s| cell(s, batch, row)).collect::<Result<Vec<_>, _>>()?);
        }
    }
    for (place, one) in shown.iter().enumerate() {
        let number = schema.fields().get(one.column).is_some_and(|f| f.data_type().is_numeric());
        if let Some(column) = table.column_mut(place).filter(|_| number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    Ok(table)
}

fn columns_shown(schema: &Schema) -> Vec<Shown> {
    let numeric = |f: &Field| f.data_type().is_numeric();
    let place = |name: String| schema.fields().iter().position(|f| *f.name() == name && numeric(f));
    let mut shown = Vec::new();
    let mut folded = Vec::new();
    for (column, field) in schema.fields().iter().enumerate() {
        let [low, high] = ["lo", "hi"].map(|end| format!("{}_{end}", field.name()));
        // Two columns of one name have their own ends behind them.
        let stands = |at: usize, name: &String| schema.fields().get(at).is_some_and(|f| f.name() == name && numeric(f));
        let interval = match stands(column + 1, &low) && stands(column + 2, &high) {
            true => Some((column + 1, column + 2)),
            false => place(low).zip(place(high)),
        };
        let interval = interval.filter(|_| numeric(field));
        if let Some((lo, hi)) = interval {
            folded.extend([lo, hi]);
        }
        // A picked value is off by ranks, not by so many of its own unit.
        let of_value = field.metadata().get(HALF_WIDTH_OF).is_none_or(|of| of == "value");
        let mark = |name: &str| field.metadata().get(name).and_then(|text| text.parse::<f64>().ok());
        let half_width = mark(HALF_WIDTH).filter(|_| of_value);
        let ranks = mark(HALF_WIDTH).filter(|_| !of_value).map(|ranks| (ranks, mark(APART)));
        shown.push(Shown { name: field.name().clone(), column, half_width, ranks, interval });
    }
    shown.retain(|s| !folded.contains(&s.column));
    shown
}

fn cell(shown: &Shown, batch: &RecordBatch, row: usize) -> Result<String, ArrowError> {
    let column = batch.column(shown.column);
    if column.is_null(row) {
        return Ok("NULL".into());
    }
    let whole = column.data_type().is_integer();
    let ends = shown.interval.and_then(|(lo, hi)| Some((number(batch, lo, row)?, number(batch, hi, row)?)));
    match (number(batch, shown.column, row), ends, shown.half_width) {
        (Some(value), Some((lo, hi)), _) => Ok(with_interval(value, lo, hi, whole)),
        (Some(value), None, Some(half)) => Ok(with_half_width(value, half, whole)),
        (Some(value), None, None) if shown.ranks.is_some() => {
            let (ranks, apart) = shown.ranks.unwrap_or_default();
            let apart = apart.map(|apart| format!(", values {} apart", short(apart))).unwrap_or_default();
            Ok(format!("{} (rank ± {:.0}{apart})", short(value), ranks.ceil()))
        }
        (Some(value), None, None) if column.data_type().is_floating() => Ok(short(value)),
        _ => {
            let text =
                ArrayFormatter::try_new(column.as_ref(), &FormatOptions::default())?.value(row).try_to_string()?;
            Ok(printable(&text))
        }
    }
}

/// A text from the data must not steer the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn number(batch: &RecordBatch, column: usize, row: usize) -> Option<f64> {
    let column = batch.columns().get(column)?;
    let as_float = datafusion::arrow::compute::cast(&column.slice(row, 1), &DataType::Float64).ok()?;
    let value = as_float.as_primitive::<Float64Type>();
    value.is_valid(0).then(|| value.value(0))
}

/// Six digits after the point, without zeros at the end; small numbers in powers of ten.
pub(super) fn short(number: f64) -> String {
    match number.abs() {
        small if small > 0.0 && small < 1e-4 => format!("{number:e}"),
        whole if whole >= 1e15 => format!("{number}"),
        _ => format!("{number:.6}").trim_end_matches('0').trim_end_matches('.').to_owned(),
    }
}

/// Value and half-width, both rounded to two digits of the half-width; whole numbers stay whole.
fn with_half_width(value: f64, half: f64, whole: bool) -> String {
    let places = if whole { 0 } else { decimals(half) };
    format!("{:.places$} ± {:.places$}", tidy(value, places), half)
}

/// As a half-width where the ends lie evenly around the value, else with both ends.
fn with_interval(value: f64, lo: f64, hi: f64, whole: bool) -> String {
    let (below, above) = (value - lo, hi - value);
    let wider = below.max(above);
    if (below - above).abs() <= 0.02 * wider {
        return with_half_width(value, wider, whole);
    }
    let places = if whole { 0 } else { decimals(wider) };
    format!("{:.places$} ({:.places$} to {:.places$})", tidy(value, places), tidy(lo, places), tidy(hi, places))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=12 before")]
fn decimals(half: f64) -> usize {
    match half > 0.0 && half.is_finite() {
        true => (1.0 - half.log10().floor()).clamp(0.0, 12.0) as usize,
        false => 0,
    }
}

/// No `-0`: what rounds to nothing is nothing.
fn tidy(value: f64, places: usize) -> f64 {
    match value.abs() < 0.5 / 10_f64.powi(i32::try_from(places).unwrap_or(0)) {
        true => 0.0,
        false => value,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::Arc};

    use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};

    use super::*;

    fn answer() -> (SchemaRef, Vec<RecordBatch>) {
        let half = HashMap::from([(HALF_WIDTH.to_owned(), "12.4".to_owned())]);
        let receipt = HashMap::from([
            ("sekisho.receipt".to_owned(), "41".to_owned()),
            ("sekisho.epsilon_spent".to_owned(), "0.05".to_owned()),
        ]);
        let fields = vec![
            Field::new("sex", DataType::Utf8, true),
            Field::new("n", DataType::Int64, true).with_metadata(half),
            Field::new("mean", DataType::Float64, true),
            Field::new("mean_lo", DataType::Float64, true),
            Field::new("mean_hi", DataType::Float64, true),
        ];
        let schema = Arc::new(Schema::new_with_metadata(fields, receipt));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![Some("F"), None])),
            Arc::new(Int64Array::from(vec![Some(1234), None])),
            Arc::new(Float64Array::from(vec![1.234_56, 2.0])),
            Arc::new(Float64Array::from(vec![1.104_56, 1.5])),
            Arc::new(Float64Array::from(vec![1.364_56, 4.0])),
        ];
        (Arc::clone(&schema), vec![RecordBatch::try_new(schema, columns).unwrap()])
    }

    fn written(format: Format) -> String {
        let (schema, batches) = answer();
        let mut out = Vec::new();
        write(format, &schema, &batches, &mut out).unwrap();
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn a_table_shows_half_widths_and_folds_the_intervals() {
        let text = written(Format::Table);
        assert!(text.contains("1234 ± 12"), "{text}");
        assert!(text.contains("1.23 ± 0.13"), "{text}");
        assert!(text.contains("2.0 (1.5 to 4.0)"), "{text}");
        assert!(text.contains("NULL") && !text.contains("mean_lo"), "{text}");
    }

    #[test]
    fn csv_and_json_keep_every_column() {
        assert!(written(Format::Csv).starts_with("sex,n,mean,mean_lo,mean_hi\nF,1234,1.23456,"));
        let json: serde_json::Value = serde_json::from_str(&written(Format::Json)).unwrap();
        assert_eq!(json[0]["n"], 1234);
    }

    #[test]
    fn an_empty_answer_still_has_its_header() {
        let (schema, _) = answer();
        let mut out = Vec::new();
        write(Format::Csv, &schema, &[], &mut out).unwrap();
        assert_eq!(out, b"sex,n,mean,mean_lo,mean_hi\n");
        out.clear();
        write(Format::Json, &schema, &[], &mut out).unwrap();
        assert_eq!(out, b"[]\n");
    }

    #[test]
    fn the_price_stands_under_the_table() {
        let (schema, _) = answer();
        assert_eq!(price_line(&schema).as_deref(), Some("epsilon spent 0.05, receipt 41"));
        assert_eq!(price_line(&Schema::empty()), None);
        let bounded = HashMap::from([
            ("sekisho.receipt".to_owned(), "41".to_owned()),
            ("sekisho.person_bounds".to_owned(), "rows_per_group=8 groups=4".to_owned()),
        ]);
        let line = price_line(&Schema::empty().with_metadata(bounded)).unwrap_or_default();
        assert!(line.contains("receipt 41\n") && line.contains("at most: rows_per_group=8 groups=4;"), "{line}");
        let hidden = HashMap::from([
            ("sekisho.receipt".to_owned(), "41".to_owned()),
            ("sekisho.groups_not_shown".to_owned(), "117".to_owned()),
        ]);
        let line = price_line(&Schema::empty().with_metadata(hidden)).unwrap_or_default();
        assert!(line.contains("not shown: 117 groups"), "{line}");
        let loose = HashMap::from([
            ("sekisho.receipt".to_owned(), "41".to_owned()),
            ("sekisho.loosely_bounded".to_owned(), "days, weight".to_owned()),
        ]);
        let line = price_line(&Schema::empty().with_metadata(loose)).unwrap_or_default();
        assert!(line.contains("mostly noise: days, weight; narrower bounds have less"), "{line}");
    }

    #[test]
    fn what_is_explained_is_a_line_for_each_value_and_the_question_comes_once() {
        let columns: [(&str, ArrayRef); 4] = [
            ("release", Arc::new(Int64Array::from(vec![1, 1]))),
            ("half_width_95", Arc::new(Float64Array::from(vec![Some(7.0), None]))),
            ("question_epsilon", Arc::new(Float64Array::from(vec![0.5, 0.5]))),
            ("time_channel", Arc::new(StringArray::from(vec!["closed", "closed"]))),
        ];
        let mut out = Vec::new();
        write_explained(&[RecordBatch::try_from_iter(columns).unwrap()], &mut out).unwrap();
        let first = "release        1\nhalf_width_95  7\n\n";
        let rest = "release  1\n\nquestion_epsilon  0.5\ntime_channel      closed\n\n";
        assert_eq!(String::from_utf8(out).unwrap(), format!("{first}{rest}"));
    }

    #[test]
    fn a_text_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc 関所"), "a\u{fffd}[2Jb\u{fffd}c 関所");
    }

    #[test]
    fn digits_follow_the_noise() {
        assert_eq!(with_half_width(-0.04, 1.3, false), "0.0 ± 1.3");
        assert_eq!(with_half_width(1045.0, 7.0, true), "1045 ± 7");
        assert_eq!(with_half_width(123_456.7, 980.0, false), "123457 ± 980");
        assert_eq!(with_half_width(5.0, 0.0, false), "5 ± 0");
    }

    #[test]
    fn a_picked_value_is_off_by_ranks_not_by_so_many_of_its_own_unit() {
        let of = |what: &str| {
            let marks = HashMap::from([
                (HALF_WIDTH.to_owned(), "187.2".to_owned()),
                (HALF_WIDTH_OF.to_owned(), what.to_owned()),
                (APART.to_owned(), "0.1".to_owned()),
            ]);
            let field = Field::new("p95", DataType::Float64, true).with_metadata(marks);
            let column: ArrayRef = Arc::new(Float64Array::from(vec![8.2]));
            let schema = Arc::new(Schema::new(vec![field]));
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap();
            table(&schema, &[batch]).unwrap().to_string()
        };
        assert!(of("rank in rows").contains("8.2 (rank ± 188, values 0.1 apart)"), "{}", of("rank in rows"));
        assert!(of("value").contains("8 ± 187"), "{}", of("value"));
    }
}
