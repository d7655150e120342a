//! What is publicly known of one column of a step, whatever the rows hold?

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::{ScalarValue, TableReference},
    logical_expr::Expr,
};

use super::{range::Range, stored::Stored};
use crate::{
    catalog::{self, ColumnClass, ColumnType},
    terms::Refusal,
};

/// The public facts of one column. They lower a price or find a public domain; they never remove an enforcement.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// It is the owner key, by lineage.
    pub(super) owner: bool,
    /// It holds the owner key of its row or NULL: the owner key, or what an outer join has made of it.
    pub(super) person: bool,
    /// The unit table whose rows it names, as their id or as a link to them; each of those rows is one person's.
    pub(super) link: Option<Arc<str>>,
    /// The reference table of which it names a row by a declared link: a site, a place or a provider, with whom many persons
    /// have to do.
    pub(super) place: Option<TableReference>,
    /// It numbers the rows of each person from 1, no number twice.
    pub(super) numbered: bool,
    /// It is a row id or a link between tables: it may be counted, never compared with a literal or released.
    pub(super) key: bool,
    /// It has one value per person.
    pub(super) fixed: bool,
    /// It may be NULL, or NaN, which counts as NULL.
    pub(super) nullable: bool,
    /// It is NULL on every row.
    pub(super) absent: bool,
    /// Its numbers, days or microseconds are clamped to here; where `holds`, no row lies outside.
    pub(super) range: Option<Range>,
    /// The range is enforced on every stored row, not only by the clamp of a release.
    pub(super) holds: bool,
    /// The resolution that the catalogue declares for its numbers.
    pub(super) grid: Option<f64>,
    /// Where the range comes from.
    pub(super) origin: Origin,
    /// Its values are among these, NULL aside.
    pub(super) domain: Option<Arc<[ScalarValue]>>,
    /// Whether the catalogue or the question spelled out where its values begin and where they end: both, where it listed
    /// them; not the ends of a declared range, which say what can be, not what is to be shown.
    pub(super) spelled: (bool, bool),
    /// How many bytes its text has at most; of a column of another type nothing.
    pub(super) text_bytes: u64,
    /// What it tells of the other columns of the stored row that it comes from.
    pub(super) stored: Option<Stored>,
    /// It tells months, weeks or days of a year apart.
    pub(super) calendar: bool,
}

/// The longest code list of the catalogue of which each value is shown, whether anybody has it or not.
const SPELLED_MAX: usize = 50;

/// The most bytes of a text of which nothing is declared. Of the tables here only public ones have such.
pub(super) const UNKNOWN_BYTES: u64 = 1024;

/// The most bytes of a number, a truth value or a time written as a text.
pub(super) const PLAIN_BYTES: u64 = 40;

/// Who says that a column lies within its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Interval arithmetic over the question itself.
    Question,
    /// A declaration of the catalogue, enforced at ingest.
    Catalogue,
}

impl Facts {
    /// Nothing is known.
    pub(super) fn unknown() -> Self {
        Self {
            owner: false,
            person: false,
            link: None,
            place: None,
            numbered: false,
            key: false,
            fixed: false,
            nullable: true,
            absent: false,
            range: None,
            holds: true,
            grid: None,
            origin: Origin::Question,
            domain: None,
            spelled: (false, false),
            text_bytes: UNKNOWN_BYTES,
            stored: None,
            calendar: false,
        }
    }

    /// The owner key itself.
    pub(super) fn owner_key() -> Self {
        Self { owner: true, person: true, fixed: true, nullable: false, ..Self::unknown() }
    }

    /// A value that every row shares.
    pub(super) fn constant(value: &ScalarValue) -> Self {
        let range = number(value).and_then(Range::point);
        let domain = (!value.is_null()).then(|| Arc::from([value.clone()]));
        let nan = matches!(value, ScalarValue::Float64(Some(v)) if v.is_nan());
        let text_bytes = match value.try_as_str().flatten() {
            Some(text) => u64::try_from(text.len()).unwrap_or(u64::MAX),
            None if value.is_null() => 0,
            None => PLAIN_BYTES,
        };
        let (nullable, absent) = (value.is_null() || nan, value.is_null());
        let spelled = (true, true);
        Self { fixed: true, nullable, absent, range, domain, spelled, text_bytes, ..Self::unknown() }
    }

    /// TRUE, FALSE or NULL.
    pub(super) fn boolean() -> Self {
        let both = [ScalarValue::Boolean(Some(false)), ScalarValue::Boolean(Some(true))];
        Self { domain: Some(Arc::from(both)), spelled: (true, true), ..Self::unknown() }
    }

    /// What the catalogue declares of a stored column of a table in `schema`, of which this is the `scan`-th.
    pub(super) fn declared(column: &catalog::Column, table: &catalog::Table, schema: &str, scan: usize) -> Self {
        let owner = table.owner.as_deref() == Some(column.name.as_str());
        let domain = column.domain.as_ref().map(|domain| match domain {
            catalog::Domain::Integers(values) => values.iter().map(|v| ScalarValue::Int64(Some(*v))).collect(),
            catalog::Domain::Texts(values) => values.iter().map(|v| ScalarValue::Utf8(Some(v.clone()))).collect(),
        });
        // Of long lists of codes, such as all sources that a record may have, hardly any is ever there.
        let long = |values: &Arc<[ScalarValue]>| column.code_list.is_some() && values.len() > SPELLED_MAX;
        let spelled = domain.as_ref().is_some_and(|values| !long(values));
        Self {
            owner,
            person: owner,
            link: link(column, table),
            place: place(column, table, schema),
            numbered: false,
            key: column.class == ColumnClass::Key && !owner,
            fixed: owner || table.one_row_per_person,
            nullable: column.nullable,
            absent: false,
            text_bytes: declared_bytes(column),
            range: declared_range(column),
            holds: column.bounds.is_none(),
            grid: column.bounds.as_ref().map(|b| b.grid),
            origin: Origin::Catalogue,
            spelled: (spelled, spelled),
            domain,
            stored: Stored::declared(column, table, scan),
            calendar: column.dates.is_some(),
        }
    }

    /// A column of which rows of either input may come.
    pub(super) fn or(&self, other: &Self) -> Self {
        Self {
            owner: false,
            person: self.person && other.person,
            link: shared([self, other], |f| &f.link),
            place: shared([self, other], |f| &f.place),
            numbered: false,
            key: self.key || other.key || self.owner || other.owner,
            fixed: self.fixed && other.fixed,
            nullable: self.nullable || other.nullable,
            absent: self.absent && other.absent,
            spelled: (self.spelled.0 && other.spelled.0, self.spelled.1 && other.spelled.1),
            text_bytes: self.text_bytes.max(other.text_bytes),
            stored: self.stored.as_ref().zip(other.stored.as_ref()).and_then(|(a, b)| a.or(b)),
            calendar: self.calendar || other.calendar,
            range: self.range.zip(other.range).map(|(a, b)| a.union(b)),
            holds: self.holds && other.holds,
            grid: self.grid.zip(other.grid).map(|(a, b)| a.min(b)),
            origin: self.origin.min(other.origin),
            domain: self.domain.as_ref().zip(other.domain.as_ref()).map(|(a, b)| {
                let mut values = a.to_vec();
                values.extend(b.iter().filter(|v| !a.contains(v)).cloned());
                values.into()
            }),
        }
    }

    /// The same value on some of its rows, of which `self` is known, in place of `all` its rows: bounds alone are taken over.
    pub(super) fn within(self, all: &Self) -> Self {
        match self.range {
            Some(range) => {
                Self { range: Some(range), grid: self.grid, origin: self.origin, holds: self.holds, ..all.clone() }
            }
            None => all.clone(),
        }
    }

    /// The same column on the side of an outer join that may be missing. It stays fixed per person where rows meet by
    /// the owner key alone (`by_owner`): then all of a person's rows find the other side, or none does.
    pub(super) fn outer(self, by_owner: bool) -> Self {
        Self {
            owner: false,
            key: self.key || self.owner,
            fixed: self.fixed && by_owner,
            nullable: true,
            numbered: false,
            ..self
        }
    }

    /// The same column after rows were multiplied.
    pub(super) fn multiplied(self) -> Self {
        Self { numbered: false, ..self }
    }

    /// The values that a group key of this column can take, NULL aside: the declared list, or all whole numbers of its
    /// range; `None` where that is no public list of at most `most`.
    pub(super) fn values(&self, data_type: &DataType, most: usize) -> Option<Vec<ScalarValue>> {
        if let Some(domain) = &self.domain {
            return (domain.len() <= most)
                .then(|| domain.iter().map(|v| v.cast_to(data_type)).collect::<Result<Vec<_>, _>>().ok())
                .flatten();
        }
        if !data_type.is_integer() || !self.holds {
            return None;
        }
        let range = self.range?;
        let (lo, hi) = (range.lo.ceil(), range.hi.floor());
        if hi - lo + 1.0 > usize_to_f64(most) {
            return None;
        }
        (whole(lo)?..=whole(hi)?).map(|v| ScalarValue::Int64(Some(v)).cast_to(data_type).ok()).collect()
    }
}

/// All rows of a person are in memory at once below a window, and where they are made distinct or grouped: of so many rows
/// each is short, whatever it holds.
pub(super) fn short_rows<'f>(
    columns: impl Iterator<Item = (&'f Facts, DataType)>,
    rows_max: u64,
    room: u64,
) -> Result<(), Refusal> {
    let most = ROW_BYTES_MAX.min(room / rows_max.max(1));
    let bytes =
        |(facts, data_type): (&Facts, DataType)| if is_text(&data_type) { facts.text_bytes } else { CELL_BYTES };
    let all = columns.map(bytes).fold(0, u64::saturating_add);
    match all <= most {
        true => Ok(()),
        false => Err(Refusal::TooComplex {
            limit: format!(
                "a row has at most {most} bytes where {rows_max} rows of a person are compared; shorten its texts with \
                 left(x, n), four bytes a character, or join them afterwards"
            ),
        }),
    }
}

/// What a number or a time takes.
const CELL_BYTES: u64 = 16;
const ROW_BYTES_MAX: u64 = 16_384;
/// How many bytes all rows of a person may take where W is `work_rows_max`: 4,096 for each of them. With 65,536 rows that is
/// a fifth of what a question has, since the engine keeps them in several forms.
pub(super) fn room(work_rows_max: u64) -> u64 {
    work_rows_max.max(65_536).saturating_mul(4_096)
}

/// The row that a link of a table in `schema` names, where it is no person's.
pub(super) fn place(column: &catalog::Column, table: &catalog::Table, schema: &str) -> Option<TableReference> {
    let key = table.foreign_keys.iter().find(|key| key.column == column.name && !key.unit)?;
    Some(TableReference::partial(schema, key.table.as_str()))
}

/// What columns are all known to name.
pub(super) fn shared<'f, T: Clone + PartialEq + 'f>(
    columns: impl IntoIterator<Item = &'f Facts>,
    names: impl Fn(&'f Facts) -> &'f Option<T>,
) -> Option<T> {
    let mut named = columns.into_iter().map(names);
    let first = named.next()?.clone();
    first.filter(|first| named.all(|other| other.as_ref() == Some(first)))
}

/// The unit table whose rows `column` names.
fn link(column: &catalog::Column, table: &catalog::Table) -> Option<Arc<str>> {
    if let Some(key) = table.foreign_keys.iter().find(|key| key.column == column.name) {
        return key.unit.then(|| Arc::from(key.table.as_str()));
    }
    let is_id = column.class == ColumnClass::Key && table.primary_key.as_slice() == [column.name.as_str()];
    is_id.then(|| Arc::from(table.name.as_str()))
}

fn declared_bytes(column: &catalog::Column) -> u64 {
    let listed = match &column.domain {
        Some(catalog::Domain::Texts(values)) => values.iter().map(String::len).max(),
        _ => None,
    };
    let listed = listed.and_then(|bytes| u64::try_from(bytes).ok());
    listed.or(column.length_max.map(u64::from)).unwrap_or(UNKNOWN_BYTES)
}

pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8)
}

/// The text of a literal, whichever of the engine's types it has.
pub(super) fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

fn declared_range(column: &catalog::Column) -> Option<Range> {
    let epoch = chrono::NaiveDate::default();
    if let Some(dates) = &column.dates {
        let day = |date: chrono::NaiveDate| date.signed_duration_since(epoch).num_days();
        let scale = match column.data_type {
            ColumnType::Timestamp => 86_400_000_000,
            _ => 1,
        };
        let last = (day(dates.last) + 1) * scale - 1;
        return Range::new(to_f64(day(dates.first) * scale), to_f64(last));
    }
    if let Some(bounds) = &column.bounds {
        return Range::new(bounds.lo, bounds.hi);
    }
    match &column.domain {
        Some(catalog::Domain::Integers(values)) => {
            Range::new(to_f64(*values.iter().min()?), to_f64(*values.iter().max()?))
        }
        _ => None,
    }
}

/// A literal as a number; dates in days, timestamps in microseconds.
pub(super) fn number(value: &ScalarValue) -> Option<f64> {
    match value {
        ScalarValue::Float64(v) => *v,
        ScalarValue::Float32(v) => v.map(f64::from),
        ScalarValue::Boolean(_) | ScalarValue::Utf8(_) | ScalarValue::Utf8View(_) | ScalarValue::LargeUtf8(_) => None,
        ScalarValue::Date32(v) => v.map(f64::from),
        ScalarValue::TimestampMicrosecond(v, _) => v.map(to_f64),
        ScalarValue::TimestampNanosecond(v, _) => v.map(|n| to_f64(n.div_euclid(1000))),
        other => match other.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(v)) if other.data_type().is_integer() => v.map(to_f64),
            _ => None,
        },
    }
}

#[expect(clippy::cast_precision_loss, reason = "bounds of this size are widened outward by their users")]
pub(super) fn to_f64(value: i64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "compared with interval widths only")]
fn usize_to_f64(value: usize) -> f64 {
    value as f64
}

/// A whole number of at most 2^53 as an integer.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
pub(super) fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0).then_some(value as i64)
}
