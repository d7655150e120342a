//! Does a row keep what the catalogue declares, and what is it under pseudonyms?
//!
//! [`TableCheck::judge`] looks at values alone; [`TableCheck::link`] gives the judged rows their owner keys and row
//! pseudonyms and leaves the rejected ones out. What needs other rows (references, duplicates, maxima) is `arrange.rs`.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use chrono::NaiveDate;
use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, NullArray, RecordBatch, UInt64Array, new_null_array},
    buffer::BooleanBuffer,
    compute::{filter_record_batch, nullif},
    datatypes::{DataType, Date32Type, Field, Float64Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType},
};

use super::{
    convert::{Converted, convert},
    fault::IngestFault,
    people::People,
    pseudonym::{Pseudonyms, Recent},
    report::{Emptied, Reason, TableQuality},
    source::SourceBatch,
};
use crate::{
    catalog::{Column, ColumnClass, ColumnType, Domain, OutsideRule, Table, TableKind},
    engine::schema::{arrow_schema, arrow_type},
};

/// The hidden first column of rows on their way: which file and row of the source they come from.
pub(super) const ORIGIN: &str = " origin";

/// Bits of an origin that hold the row; the rest hold the file.
const ROW_BITS: u32 = 44;

const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

/// A file's number in its table and a row's number in its file, as one number.
pub(super) fn origin(file: usize, row: u64) -> u64 {
    ((file as u64) << ROW_BITS) | (row & ((1 << ROW_BITS) - 1))
}

/// The file's number and the row's number of an origin.
pub(super) fn file_and_row(origin: u64) -> (usize, u64) {
    (usize::try_from(origin >> ROW_BITS).unwrap_or(usize::MAX), origin & ((1 << ROW_BITS) - 1))
}

/// What a column is for the check.
enum Role {
    /// The owner key: becomes dense.
    Owner,
    /// A row key: becomes a pseudonym under this label.
    Key(String),
    /// Anything else: stays.
    Value,
}

/// A declared list, fast to look up.
enum Listed {
    Range(i64, i64),
    Integers(HashSet<i64>),
    Texts(HashSet<String>),
}

struct ColumnCheck {
    column: Column,
    role: Role,
    listed: Option<Listed>,
    /// No file of the source has it.
    absent: bool,
}

/// The check of one table.
pub(super) struct TableCheck {
    columns: Vec<ColumnCheck>,
    /// The columns as they are written.
    pub(super) schema: SchemaRef,
    /// The same behind the origin; columns that no file has take no room on the way.
    pub(super) travelling: SchemaRef,
}

/// What one worker remembers between batches.
pub(super) struct Memory(Vec<Recent>);

/// Rows whose values were looked at.
pub(super) struct Judged {
    columns: Vec<ArrayRef>,
    origins: Vec<u64>,
    verdicts: Vec<Option<Reason>>,
    /// What was found; rejects are counted by [`TableCheck::link`].
    found: TableQuality,
    broken: Vec<u64>,
}

/// Rows that stay, under pseudonyms.
pub(super) struct Linked {
    /// Origin, then the columns as written.
    pub(super) rows: RecordBatch,
    pub(super) rejects: Vec<(u64, Reason)>,
    pub(super) found: TableQuality,
}

impl TableCheck {
    pub(super) fn new(table: &Table) -> Result<Self, IngestFault> {
        let refuse = |reason| IngestFault::Model { table: table.name.clone(), reason };
        let public = table.kind == TableKind::Public;
        let mut columns = Vec::new();
        for column in table.queryable() {
            let role = match column.class {
                ColumnClass::Key if table.owner.as_ref() == Some(&column.name) => Role::Owner,
                ColumnClass::Key if !public => Role::Key(label(table, column)),
                _ => Role::Value,
            };
            if !matches!(role, Role::Value) && column.data_type != ColumnType::Int64 {
                return Err(refuse("a key is not of type int64"));
            }
            if matches!(role, Role::Owner) && column.nullable {
                return Err(refuse("the owner key may be NULL"));
            }
            columns.push(ColumnCheck {
                listed: column.domain.as_ref().map(listed),
                column: column.clone(),
                role,
                absent: false,
            });
        }
        let owned = columns.iter().any(|c| matches!(c.role, Role::Owner));
        if (table.kind == TableKind::Unit) != owned {
            return Err(refuse("a unit table, and no other, has an owner key among its columns"));
        }
        let schema = Arc::new(arrow_schema(table));
        let travelling = travelling(&schema, &columns);
        Ok(Self { columns, schema, travelling })
    }

    /// Says which columns no file has.
    pub(super) fn leave_absent(&mut self, given: &BTreeSet<String>) {
        for check in &mut self.columns {
            check.absent = !given.contains(&check.column.name);
        }
        self.travelling = travelling(&self.schema, &self.columns);
    }

    /// Whether no file has the column.
    pub(super) fn is_absent(&self, name: &str) -> bool {
        self.columns.iter().any(|check| check.absent && check.column.name == name)
    }

    /// Rows as they are written: without their origin, with the columns that no file has.
    pub(super) fn written(&self, rows: &RecordBatch) -> Result<RecordBatch, IngestFault> {
        let given = rows.columns().iter().skip(1).zip(self.schema.fields());
        let columns = given.map(|(column, field)| match column.data_type() {
            DataType::Null => new_null_array(field.data_type(), rows.num_rows()),
            _ => Arc::clone(column),
        });
        let stopped = |_| IngestFault::Stopped("writing rows");
        RecordBatch::try_new(Arc::clone(&self.schema), columns.collect()).map_err(stopped)
    }

    /// The names of the columns to read.
    pub(super) fn wanted(&self) -> BTreeSet<String> {
        self.columns.iter().map(|c| c.column.name.clone()).collect()
    }

    /// The columns that a file lacks; a fault where one of them may not be absent.
    pub(super) fn missing(&self, file: &str, given: &[String]) -> Result<Vec<String>, IngestFault> {
        let absent = self.columns.iter().map(|c| &c.column).filter(|c| !given.contains(&c.name));
        absent
            .map(|c| match c.required || !c.nullable {
                true => Err(IngestFault::MissingColumn { file: file.to_owned(), column: c.name.clone() }),
                false => Ok(c.name.clone()),
            })
            .collect()
    }

    pub(super) fn memory(&self) -> Memory {
        Memory(self.columns.iter().map(|_| Recent::new()).collect())
    }

    /// Looks at the values of a batch of the file with this number and name.
    pub(super) fn judge(&self, file: (usize, &str), batch: &SourceBatch) -> Result<Judged, IngestFault> {
        let rows = batch.rows.len();
        let mut judged = Judged {
            columns: Vec::with_capacity(self.columns.len()),
            origins: batch.rows.iter().map(|row| origin(file.0, *row)).collect(),
            verdicts: vec![None; rows],
            found: TableQuality { rows_read: (rows + batch.broken.len()) as u64, ..TableQuality::default() },
            broken: batch.broken.iter().map(|row| origin(file.0, *row)).collect(),
        };
        for check in &self.columns {
            if check.absent {
                judged.columns.push(Arc::new(NullArray::new(rows)));
                continue;
            }
            let converted = match batch.columns.column_by_name(&check.column.name) {
                None => new_null(check, rows),
                Some(given) => convert(given, check.column.data_type).ok_or_else(|| IngestFault::ColumnType {
                    file: file.1.to_owned(),
                    column: check.column.name.clone(),
                    expected: check.column.data_type.as_str(),
                    found: given.data_type().to_string(),
                })?,
            };
            let array = check.examine(converted, &mut judged.verdicts, &mut judged.found);
            judged.columns.push(array);
        }
        Ok(judged)
    }

    /// The owner ids of rows that no value speaks against.
    pub(super) fn sound_owners<'a>(&self, judged: &'a Judged) -> impl Iterator<Item = (i64, u64)> + 'a {
        let at = self.columns.iter().position(|c| matches!(c.role, Role::Owner));
        let ids = at.and_then(|at| judged.columns.get(at)).map(|ids| ids.as_primitive::<Int64Type>());
        let rows = judged.origins.iter().zip(&judged.verdicts);
        let ids = ids.into_iter().flat_map(IntoIterator::into_iter);
        ids.zip(rows).filter_map(|(id, (origin, verdict))| id.filter(|_| verdict.is_none()).map(|id| (id, *origin)))
    }

    /// Gives the rows that stay their owner keys and pseudonyms. Of the person table itself, `census` says so.
    pub(super) fn link(
        &self,
        mut judged: Judged,
        people: &People,
        census: bool,
        pseudonyms: &Pseudonyms,
        memory: &mut Memory,
    ) -> Result<Linked, IngestFault> {
        for (at, check) in self.columns.iter().enumerate() {
            let Some(given) = judged.columns.get_mut(at).filter(|_| !check.absent) else { continue };
            match &check.role {
                Role::Value => {}
                Role::Owner => *given = owner_keys(given, people, census, &judged.origins, &mut judged.verdicts),
                Role::Key(label) => {
                    let Some(recent) = memory.0.get_mut(at) else { continue };
                    *given = row_keys(given, label, pseudonyms, recent, &judged.verdicts);
                }
            }
        }
        let Judged { columns, origins, verdicts, mut found, broken } = judged;
        let mut rejects: Vec<_> = broken.iter().map(|origin| (*origin, Reason::LineBroken)).collect();
        rejects.extend(origins.iter().zip(&verdicts).filter_map(|(origin, verdict)| verdict.map(|v| (*origin, v))));
        rejects.sort_unstable_by_key(|(origin, _)| *origin);
        rejects.iter().for_each(|(_, reason)| found.reject(*reason));
        let origins: ArrayRef = Arc::new(UInt64Array::from(origins));
        let nullable: Vec<Field> =
            self.travelling.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
        let stopped = |_| IngestFault::Stopped("checking rows");
        let columns = [vec![origins], columns].concat();
        let rows = RecordBatch::try_new(Arc::new(Schema::new(nullable)), columns).map_err(stopped)?;
        let rows = match rejects.len() > broken.len() {
            true => {
                filter_record_batch(&rows, &verdicts.iter().map(|v| Some(v.is_none())).collect()).map_err(stopped)?
            }
            false => rows,
        };
        // The rejected rows took every forbidden NULL with them.
        let rows = RecordBatch::try_new(Arc::clone(&self.travelling), rows.columns().to_vec()).map_err(stopped)?;
        Ok(Linked { rows, rejects, found })
    }
}

fn travelling(schema: &SchemaRef, columns: &[ColumnCheck]) -> SchemaRef {
    let fields = schema.fields().iter().zip(columns).map(|(field, check)| match check.absent {
        true => field.as_ref().clone().with_data_type(DataType::Null),
        false => field.as_ref().clone(),
    });
    Arc::new(Schema::new([Field::new(ORIGIN, DataType::UInt64, false)].into_iter().chain(fields).collect::<Vec<_>>()))
}

/// Foreign keys carry the label of what they refer to, so that they still match it.
fn label(table: &Table, column: &Column) -> String {
    let foreign = table.foreign_keys.iter().find(|key| key.column == column.name);
    foreign.map_or(&column.name, |key| &key.references).clone()
}

fn listed(domain: &Domain) -> Listed {
    match domain {
        Domain::Texts(texts) => Listed::Texts(texts.iter().cloned().collect()),
        Domain::Integers(values) => {
            let values: HashSet<i64> = values.iter().copied().collect();
            let (least, most) = (values.iter().min().copied(), values.iter().max().copied());
            match (least, most) {
                (Some(a), Some(b)) if b.checked_sub(a) == i64::try_from(values.len() - 1).ok() => Listed::Range(a, b),
                _ => Listed::Integers(values),
            }
        }
    }
}

fn new_null(check: &ColumnCheck, rows: usize) -> Converted {
    let array = new_null_array(&arrow_type(check.column.data_type), rows);
    Converted { array, unreadable: None, not_finite: 0 }
}

impl ColumnCheck {
    /// The column with what the catalogue does not allow taken out; a row that cannot stay gets its verdict.
    fn examine(&self, given: Converted, verdicts: &mut [Option<Reason>], found: &mut TableQuality) -> ArrayRef {
        let key = !matches!(self.role, Role::Value);
        let name = &self.column.name;
        found.emptied(name, Emptied::NotFinite, given.not_finite);
        if let Some(marks) = &given.unreadable {
            condemn(verdicts, marks, if key { Reason::KeyNotWhole } else { Reason::ValueUnreadable });
        }
        let mut array = given.array;
        if let Some(marks) = self.outside_dates(&array) {
            let outcome = (Emptied::DateOutsideRange, Reason::DateOutsideRange);
            array = self.settle(array, &marks, outcome, verdicts, found);
        }
        if let Some(marks) = self.too_long(&array) {
            array = self.settle(array, &marks, (Emptied::TextTooLong, Reason::TextTooLong), verdicts, found);
        }
        if let Some(marks) = self.outside_list(&array) {
            let outcome = (Emptied::OutsideDomain, Reason::ValueOutsideDomain);
            array = self.settle(array, &marks, outcome, verdicts, found);
        }
        if !self.column.nullable && array.null_count() > 0 {
            let absent = BooleanBuffer::from_iter((0..array.len()).map(|row| array.is_null(row)));
            condemn(verdicts, &absent, if key { Reason::KeyNull } else { Reason::ValueMissing });
        }
        self.count_outside_bounds(&array, found);
        array
    }

    /// Does with the marked values what the catalogue says: their rows are rejected, or they become NULL or 0.
    fn settle(
        &self,
        array: ArrayRef,
        marks: &BooleanBuffer,
        (emptied, rejected): (Emptied, Reason),
        verdicts: &mut [Option<Reason>],
        found: &mut TableQuality,
    ) -> ArrayRef {
        let count = marks.count_set_bits() as u64;
        match self.column.outside {
            OutsideRule::Null if self.column.nullable => {
                found.emptied(&self.column.name, emptied, count);
                without(&array, marks)
            }
            OutsideRule::Zero if self.column.data_type == ColumnType::Int64 => {
                found.columns.entry(self.column.name.clone()).or_default().zeroed += count;
                zeroed(&array, marks)
            }
            _ => {
                condemn(verdicts, marks, rejected);
                array
            }
        }
    }

    fn outside_dates(&self, array: &ArrayRef) -> Option<BooleanBuffer> {
        let range = self.column.dates.as_ref()?;
        let (first, last) = (days(range.first), days(range.last));
        let outside = |day: i64| day < first || day > last;
        match self.column.data_type {
            ColumnType::Date => {
                marks(array.as_primitive::<Date32Type>().iter().map(|d| d.is_some_and(|d| outside(i64::from(d)))))
            }
            ColumnType::Timestamp => {
                let times = array.as_primitive::<TimestampMicrosecondType>().iter();
                marks(times.map(|t| t.is_some_and(|t| outside(t.div_euclid(MICROSECONDS_A_DAY)))))
            }
            _ => None,
        }
    }

    fn too_long(&self, array: &ArrayRef) -> Option<BooleanBuffer> {
        let most = usize::try_from(self.column.length_max?).ok()?;
        let texts = (self.column.data_type == ColumnType::Utf8).then(|| array.as_string::<i32>())?;
        marks(texts.iter().map(|text| text.is_some_and(|t| t.len() > most)))
    }

    fn outside_list(&self, array: &ArrayRef) -> Option<BooleanBuffer> {
        match (self.listed.as_ref()?, self.column.data_type) {
            (Listed::Range(least, most), ColumnType::Int64) => {
                let values = array.as_primitive::<Int64Type>().iter();
                marks(values.map(|v| v.is_some_and(|v| v < *least || v > *most)))
            }
            (Listed::Integers(known), ColumnType::Int64) => {
                marks(array.as_primitive::<Int64Type>().iter().map(|v| v.is_some_and(|v| !known.contains(&v))))
            }
            (Listed::Texts(known), ColumnType::Utf8) => {
                marks(array.as_string::<i32>().iter().map(|v| v.is_some_and(|v| !known.contains(v))))
            }
            _ => None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a figure of the report, compared with bounds far below 2^53")]
    fn count_outside_bounds(&self, array: &ArrayRef, found: &mut TableQuality) {
        let Some(bounds) = &self.column.bounds else { return };
        let outside = |value: f64| value < bounds.lo || value > bounds.hi;
        let count = match self.column.data_type {
            ColumnType::Int64 => {
                array.as_primitive::<Int64Type>().iter().flatten().filter(|v| outside(*v as f64)).count()
            }
            ColumnType::Float64 => array.as_primitive::<Float64Type>().iter().flatten().filter(|v| outside(*v)).count(),
            _ => 0,
        };
        if count > 0 {
            found.columns.entry(self.column.name.clone()).or_default().outside_bounds += count as u64;
        }
    }
}

/// The first reason against a row stands.
fn condemn(verdicts: &mut [Option<Reason>], marks: &BooleanBuffer, reason: Reason) {
    for row in marks.set_indices() {
        if let Some(verdict) = verdicts.get_mut(row) {
            verdict.get_or_insert(reason);
        }
    }
}

fn marks(rows: impl Iterator<Item = bool>) -> Option<BooleanBuffer> {
    let marks: BooleanBuffer = rows.collect();
    (marks.count_set_bits() > 0).then_some(marks)
}

/// `array` with NULL where marked.
pub(super) fn without(array: &ArrayRef, marks: &BooleanBuffer) -> ArrayRef {
    // `nullif` fails only on arrays of different lengths.
    nullif(array, &BooleanArray::new(marks.clone(), None)).unwrap_or_else(|_| Arc::clone(array))
}

/// `array` with 0 where marked.
pub(super) fn zeroed(array: &ArrayRef, marks: &BooleanBuffer) -> ArrayRef {
    match array.as_primitive_opt::<Int64Type>() {
        None => without(array, marks),
        Some(values) => {
            let values: Int64Array = values.iter().zip(marks).map(|(v, mark)| if mark { Some(0) } else { v }).collect();
            Arc::new(values)
        }
    }
}

fn owner_keys(
    ids: &ArrayRef,
    people: &People,
    census: bool,
    origins: &[u64],
    verdicts: &mut [Option<Reason>],
) -> ArrayRef {
    let ids = ids.as_primitive::<Int64Type>();
    let rows = ids.iter().zip(origins).zip(verdicts);
    let keys = rows.map(|((id, origin), verdict)| {
        let key = id.and_then(|id| people.owner_key(id));
        if key.is_none() {
            verdict.get_or_insert(Reason::PersonUnknown);
        }
        if census && people.repeats(*origin) {
            verdict.get_or_insert(Reason::PersonDuplicate);
        }
        key.map(i64::from)
    });
    Arc::new(keys.collect::<Int64Array>())
}

fn row_keys(
    ids: &ArrayRef,
    label: &str,
    pseudonyms: &Pseudonyms,
    recent: &mut Recent,
    verdicts: &[Option<Reason>],
) -> ArrayRef {
    let ids = ids.as_primitive::<Int64Type>();
    let made: Vec<i64> = ids
        .iter()
        .zip(verdicts)
        .map(|(id, verdict)| match (id, verdict) {
            (Some(id), None) => recent.of_row(pseudonyms, label, id),
            _ => 0,
        })
        .collect();
    Arc::new(Int64Array::new(made.into(), ids.nulls().cloned()))
}

fn days(date: NaiveDate) -> i64 {
    i64::from(Date32Type::from_naive_date(date))
}
