//! What is in a data set, and what of it may a question touch?
//!
//! The nouns of a catalogue model. They are plain values: the reader makes them from TOML and refuses what does not
//! hold together, so whoever holds a [`Model`] need not check it again.

use std::{collections::BTreeMap, sync::Arc};

use chrono::NaiveDate;

/// All tables of one data model, such as OMOP CDM 5.4.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The name by which a data set chooses it: `omop-5.4`.
    pub name: String,
    /// A counter that its author raises with every change of meaning.
    pub version: u32,
    /// By table name.
    pub tables: BTreeMap<String, Table>,
    /// The closed lists with a name for every code, by list name.
    pub code_lists: BTreeMap<String, CodeList>,
    /// SHA-256 over the texts that the model was read from: what a kept answer's key holds of the catalogue.
    pub text_sha256: [u8; 32],
}

/// To whom the rows of a table belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableKind {
    /// Every row is about exactly one person, named by [`Table::owner`].
    Unit,
    /// Rows about no person, but known only from the records: never answered alone, never a public key domain.
    Reference,
    /// Exists without these persons.
    Public,
    /// Never loaded, for the reason in [`Table::refused_because`].
    Refused,
}

impl TableKind {
    /// All kinds, in the order of their definition.
    pub const ALL: [Self; 4] = [Self::Unit, Self::Reference, Self::Public, Self::Refused];

    /// The kind as it is written in a model.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Reference => "reference",
            Self::Public => "public",
            Self::Refused => "refused",
        }
    }
}

/// One text in the two languages of the house.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// English.
    pub en: String,
    /// Japanese.
    pub ja: String,
}

/// One table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Lower case, as in SQL.
    pub name: String,
    /// To whom its rows belong.
    pub kind: TableKind,
    /// The column that names the person; present for unit tables only.
    pub owner: Option<String>,
    /// The columns that name a row. Its uniqueness is enforced where another table refers to it and nowhere else.
    pub primary_key: Vec<String>,
    /// Whether a person has at most one row. Enforced at ingest.
    pub one_row_per_person: bool,
    /// The most rows that a person may have; the rest is dropped by the total order of rows. 0 for tables without persons.
    pub rows_per_person_max: u32,
    /// m: the rows per person and group that a release counts by default. 0 for tables without persons.
    pub rows_per_group: u32,
    /// C: the groups per person that a release counts by default. 0 for tables without persons.
    pub groups: u32,
    /// D: the distinct values per person and group that a release counts by default. 0 for tables without persons.
    pub distinct_values: u32,
    /// The date by which a person's rows are ordered.
    pub event_date: Option<String>,
    /// What it holds.
    pub description: Text,
    /// In the order of the standard; empty for refused tables.
    pub columns: Vec<Column>,
    /// The keys that point to rows of other tables (or of this one).
    pub foreign_keys: Vec<ForeignKey>,
    /// Why it is never loaded; present for refused tables only.
    pub refused_because: Option<String>,
}

/// A key that points to a row of another table. Enforced at ingest where that table is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// The column here.
    pub column: String,
    /// The table there.
    pub table: String,
    /// The column there: all of that table's primary key.
    pub references: String,
    /// Whether each row of that table is one person's: then a link never leads to another person.
    pub unit: bool,
    /// What ingest does with a link to a row that is missing, duplicated or another person's.
    pub missing: OutsideRule,
}

/// What values a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// 64-bit signed integer.
    Int64,
    /// 64-bit floating point.
    Float64,
    /// Text.
    Utf8,
    /// A day.
    Date,
    /// A day and a time, in microseconds, without a zone.
    Timestamp,
    /// True or false.
    Boolean,
}

impl ColumnType {
    /// All types, in the order of their definition.
    pub const ALL: [Self; 6] = [Self::Int64, Self::Float64, Self::Utf8, Self::Date, Self::Timestamp, Self::Boolean];

    /// The type as it is written in a model.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Utf8 => "utf8",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Boolean => "boolean",
        }
    }
}

/// What a column could tell about a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnClass {
    /// Names, free text, codes as written in the source: never written to a data version, never queryable.
    Identifier,
    /// Numbers of rows, replaced by keyed pseudonyms. A foreign key takes the pseudonym of the column that it points to.
    Key,
    /// Facts that a neighbour may know.
    Quasi,
    /// All others.
    Clinical,
}

impl ColumnClass {
    /// All classes, in the order of their definition.
    pub const ALL: [Self; 4] = [Self::Identifier, Self::Key, Self::Quasi, Self::Clinical];

    /// The class as it is written in a model.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identifier => "identifier",
            Self::Key => "key",
            Self::Quasi => "quasi",
            Self::Clinical => "clinical",
        }
    }
}

/// What a sum or mean clamps a value to before the noise.
///
/// A public fact about the field and **no promise about stored values**: ingest keeps a value outside, every release
/// clamps it. What stored values can be is said by [`Column::domain`] and [`Column::dates`].
#[derive(Debug, Clone, PartialEq)]
pub struct Bounds {
    /// The least value that counts as itself.
    pub lo: f64,
    /// The greatest value that counts as itself.
    pub hi: f64,
    /// The resolution to which values are rounded, such as 1 or 0.1.
    pub grid: f64,
    /// Who declared it.
    pub declared_by: String,
    /// On what grounds.
    pub because: String,
}

/// The finite public list of values that a column can hold, besides NULL where it is nullable; in the order written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// For [`ColumnType::Int64`].
    Integers(Vec<i64>),
    /// For [`ColumnType::Utf8`].
    Texts(Vec<String>),
}

impl Domain {
    /// How many values it has, NULL not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Integers(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }

    /// Whether it has no value. A model that was read has no such domain.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What ingest does with a value outside the domain or the dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutsideRule {
    /// The row goes to the reject file.
    Reject,
    /// The value becomes NULL; only for nullable columns.
    Null,
    /// The value becomes 0, "no matching concept"; only where 0 is in the domain.
    Zero,
}

impl OutsideRule {
    /// All rules, in the order of their definition.
    pub const ALL: [Self; 3] = [Self::Reject, Self::Null, Self::Zero];

    /// The rule as it is written in a model.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Null => "null",
            Self::Zero => "zero",
        }
    }
}

/// The days that a date or a timestamp can be of, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateRange {
    /// The first day.
    pub first: NaiveDate,
    /// The last day.
    pub last: NaiveDate,
}

/// What the synthetic persons of the sample schema have in a column. Used for nothing else.
#[derive(Debug, Clone, PartialEq)]
pub enum Examples {
    /// For [`ColumnType::Int64`].
    Integers(Vec<i64>),
    /// For [`ColumnType::Float64`].
    Floats(Vec<f64>),
    /// For [`ColumnType::Utf8`].
    Texts(Vec<String>),
}

/// One column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Lower case, as in SQL.
    pub name: String,
    /// What values it holds.
    pub data_type: ColumnType,
    /// What it could tell about a person.
    pub class: ColumnClass,
    /// Whether NULL may stand in it. Enforced at ingest.
    pub nullable: bool,
    /// Whether a source must have it; where it is nullable and not required, an absent column is all NULL.
    pub required: bool,
    /// What a sum or mean clamps to.
    pub bounds: Option<Bounds>,
    /// What a sum or mean clamps to where conditions have left some codes of another column.
    pub bounds_by: Option<BoundsBy>,
    /// The days it can be of; present for every queryable date and timestamp of a unit table.
    pub dates: Option<DateRange>,
    /// How many days after the `event_date` of its row it lies: what a sum or mean of such lengths clamps to.
    pub after_event: Option<Bounds>,
    /// The finite public list of its values.
    pub domain: Option<Domain>,
    /// The code list that the domain was taken from, with a name for every value.
    pub code_list: Option<String>,
    /// What ingest does with a value outside `domain` or `dates`, or longer than `length_max`.
    pub outside: OutsideRule,
    /// The most bytes of a text.
    pub length_max: Option<u32>,
    /// What the sample schema has in it.
    pub examples: Option<Examples>,
    /// What it means.
    pub description: Text,
}

/// Bounds of a value that depend on what it is a value of.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundsBy {
    /// The column of the same table that says of what.
    pub column: String,
    /// Lowest and highest, by the code in it.
    pub each: Arc<BTreeMap<i64, (f64, f64)>>,
}

/// A closed list of codes with their names.
#[derive(Debug, Clone, PartialEq)]
pub struct CodeList {
    /// The name by which columns refer to it.
    pub name: String,
    /// What it lists.
    pub description: Text,
    /// The codes, in the order written.
    pub values: Vec<CodeValue>,
}

/// One code of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct CodeValue {
    /// The code.
    pub code: Code,
    /// Its name.
    pub label: Text,
    /// Between which numbers its values lie: public facts about the field.
    pub between: Option<(f64, f64)>,
}

/// A code is a number or a text; one list has one sort.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// Such as an OMOP concept id.
    Integer(i64),
    /// Such as an ISO country code.
    Text(String),
}

impl Model {
    /// The table of this name (lower case).
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }
}

impl Table {
    /// How many bytes the texts of its columns have at most, of those whose length is declared; enforced at ingest.
    #[must_use]
    pub fn text_bytes(&self) -> BTreeMap<String, u64> {
        let declared = |column: &Column| Some((column.name.clone(), u64::from(column.length_max?)));
        self.columns.iter().filter_map(declared).collect()
    }

    /// The column of this name (lower case).
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns that a data version holds and a question may name: all but identifiers, in the order of the standard.
    pub fn queryable(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.class != ColumnClass::Identifier)
    }
}
