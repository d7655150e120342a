//! What is wrong with a model, in which file and line?

/// A model that does not hold together. The operator reads it at start; it names no data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct CatalogFault {
    /// The file as it was named to the reader.
    pub file: String,
    /// From 1; 0 where the fault has no line (an unknown model).
    pub line: usize,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong with a model. `place` is `table` or `table.column`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Not TOML, or a key written twice.
    #[error("not TOML: {0}")]
    NotToml(String),
    /// Neither built in nor in the enclave's own catalogue.
    #[error("no model {0:?}")]
    UnknownModel(String),
    /// The file exists but cannot be read.
    #[error("cannot be read as UTF-8 text")]
    Unreadable,
    /// A file that holds a model of another name than its own.
    #[error("the file is named for {wanted:?} but holds model {given:?}")]
    NameDiffers {
        /// What was asked for.
        wanted: String,
        /// What the file says.
        given: String,
    },
    /// A key that nobody reads.
    #[error("unknown key {0:?}")]
    UnknownKey(String),
    /// A key that must be there.
    #[error("{place} has no {key}")]
    Missing {
        /// The table or column.
        place: String,
        /// The key that it lacks.
        key: &'static str,
    },
    /// A value of another sort than the key takes.
    #[error("{key} must be {expected}")]
    WrongSort {
        /// The key.
        key: String,
        /// What it takes.
        expected: &'static str,
    },
    /// A word outside a closed list of words.
    #[error("{key} {given:?} is none of {allowed}")]
    UnknownWord {
        /// The key.
        key: &'static str,
        /// As written.
        given: String,
        /// The words that it takes.
        allowed: String,
    },
    /// A name that SQL would have to quote.
    #[error("{0:?} is not a lower-case SQL name")]
    BadName(String),
    /// An empty description or ground.
    #[error("{0} is empty")]
    Empty(String),
    /// Bounds that no value fits.
    #[error("bounds of {0}: lo must be less than hi, both finite")]
    BoundsReversed(String),
    /// A grid that rounds nothing.
    #[error("bounds of {0}: grid must be finite and greater than 0")]
    GridNotPositive(String),
    /// More grid steps than a float counts exactly.
    #[error("bounds of {0}: more than 2^52 steps of the grid")]
    GridTooFine(String),
    /// Bounds on a column without numbers.
    #[error("{0}: bounds are for int64 and float64, bounds_by for float64")]
    BoundsOfWrongType(String),
    /// Bounds by the codes of a column that holds none.
    #[error("{0}: bounds_by names no int64 column of the table")]
    BoundsByNoCode(String),
    /// Days after the event of a column that is no date.
    #[error("{0}: after_event is for date and timestamp")]
    AfterEventOfWrongType(String),
    /// Days after an event that is not named.
    #[error("{0}: after_event needs the event_date of the table")]
    AfterNoEvent(String),
    /// A domain of another type than the column.
    #[error("{0}: the listed values are of another type than the column")]
    DomainOfWrongType(String),
    /// A value listed twice.
    #[error("{place}: value {value} is listed twice")]
    DuplicateValue {
        /// The column or code list.
        place: String,
        /// The value, from the model's own text.
        value: String,
    },
    /// More than one of values, integer_range and code_list.
    #[error("{0}: give one of values, integer_range and code_list")]
    TwoDomains(String),
    /// An integer range that is reversed or too long to list.
    #[error("{0}: integer_range must be [first, last] with at most 100,000 values")]
    BadRange(String),
    /// A code list that no file defines.
    #[error("{place}: no code list {list:?}")]
    UnknownCodeList {
        /// The column.
        place: String,
        /// As written.
        list: String,
    },
    /// Dates that are no range of days, or on a column without days.
    #[error("{0}: dates must be [first day, last day] and stand on a date or timestamp")]
    BadDates(String),
    /// A date without a range of days in a table about persons.
    #[error("{0} has no dates")]
    DatesMissing(String),
    /// A rule for values outside nothing.
    #[error("{0}: outside needs values, dates or length_max to be outside of")]
    OutsideOfNothing(String),
    /// A rule that the column cannot follow.
    #[error("{place}: outside = {rule:?} needs {needs}")]
    OutsideImpossible {
        /// The column.
        place: String,
        /// As written.
        rule: &'static str,
        /// What it needs.
        needs: &'static str,
    },
    /// A text of any length in a table about persons or places.
    #[error("{0} has neither length_max nor listed values")]
    LengthMissing(String),
    /// A column that may be absent although NULL may not stand in it.
    #[error("{0}: required = false needs a nullable column")]
    RequiredNotNull(String),
    /// A length on a column without text.
    #[error("{0}: length_max is for utf8 and at least 1")]
    BadLength(String),
    /// A unit table without the column that names the person.
    #[error("unit table {0} has no owner")]
    OwnerMissing(String),
    /// An owner on a table about no person.
    #[error("{0} is no unit table and cannot have an owner")]
    OwnerOfNoPerson(String),
    /// An owner that is no column of the table.
    #[error("{table}: owner {column:?} is no column of it")]
    OwnerUnknown {
        /// The table.
        table: String,
        /// As written.
        column: String,
    },
    /// An owner that may be NULL.
    #[error("{0}: the owner must not be nullable")]
    OwnerNullable(String),
    /// An owner of another type or class than a key of persons has.
    #[error("{0}: the owner must be an int64 of class key")]
    OwnerNotKey(String),
    /// A contribution default on a table about no person.
    #[error("{table}: {key} is for unit tables")]
    NotForThisKind {
        /// The table.
        table: String,
        /// The key.
        key: &'static str,
    },
    /// A contribution default of 0.
    #[error("{table}: {key} must be at least 1")]
    Zero {
        /// The table.
        table: String,
        /// The key.
        key: &'static str,
    },
    /// One row per person, but more rows per person.
    #[error("{0}: one_row_per_person needs rows_per_person_max = 1")]
    OneRowMax(String),
    /// A primary key or event date that is no column of the table.
    #[error("{table}: {key} {column:?} is no queryable column of it")]
    NoSuchColumn {
        /// The table.
        table: String,
        /// The key that names the column.
        key: &'static str,
        /// As written.
        column: String,
    },
    /// An event date that may be NULL, or is no date.
    #[error("{0}: event_date must be a date that is not nullable")]
    EventDateUnfit(String),
    /// A reference that is not written `table.column`, or to no such table or column.
    #[error("{place}: references {target:?}, which is no column of a unit or reference table")]
    ReferenceUnknown {
        /// The column.
        place: String,
        /// As written.
        target: String,
    },
    /// A reference to a column that does not name a row.
    #[error("{place}: references {target:?}, which is not that table's primary key")]
    ReferenceNotKey {
        /// The column.
        place: String,
        /// As written.
        target: String,
    },
    /// A reference from a column that is no key.
    #[error("{0}: a column that references must be an int64 of class key")]
    ReferenceFromNoKey(String),
    /// A refused table without a reason, or a reason on a table that is not refused.
    #[error("{0}: refused_because belongs to refused tables, and each needs one")]
    RefusedBecause(String),
    /// A table without columns that is not refused.
    #[error("{0} has no columns")]
    NoColumns(String),
    /// Changes to a table or column that the extended model does not have.
    #[error("{place} is not in the model that this one extends")]
    NothingToChange {
        /// The table or column.
        place: String,
    },
    /// Examples of another type than the column, or outside its domain.
    #[error("{0}: examples are of another type than the column")]
    BadExamples(String),
}

/// Where in a file something stands: the lines are found when a fault is made, not before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// The line of a byte offset, from 1.
    pub(super) fn line(self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or(self.text);
        before.bytes().filter(|byte| *byte == b'\n').count().saturating_add(1)
    }

    pub(super) fn place(self, offset: usize) -> Place {
        Place { file: self.file.to_owned(), line: self.line(offset) }
    }

    pub(super) fn fault(self, offset: usize, reason: Reason) -> CatalogFault {
        self.place(offset).fault(reason)
    }
}

/// A file and a line in it, kept for the checks that need the whole model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: String,
    pub(super) line: usize,
}

impl Place {
    pub(super) fn fault(&self, reason: Reason) -> CatalogFault {
        CatalogFault { file: self.file.clone(), line: self.line, reason }
    }
}
