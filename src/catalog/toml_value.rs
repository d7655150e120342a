//! How is a value of a TOML file read so that a fault names its line?
//!
//! Readers walk a table entry by entry and match on the key, so a key that nobody reads is met and refused.

use chrono::NaiveDate;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::fault::{CatalogFault, Place, Reason, Source};

/// A value with the place it was read from.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// One `key = value` of a table.
#[derive(Clone)]
pub(super) struct Entry<'a> {
    pub(super) source: Source<'a>,
    pub(super) key: String,
    offset: usize,
    value: DeValue<'a>,
}

/// The entries of a whole file.
pub(super) fn document<'a>(source: Source<'a>) -> Result<Vec<Entry<'a>>, CatalogFault> {
    let table = DeTable::parse(source.text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        source.fault(offset, Reason::NotToml(error.message().to_owned()))
    })?;
    Ok(entries(source, table.into_inner()))
}

fn entries<'a>(source: Source<'a>, table: DeTable<'a>) -> Vec<Entry<'a>> {
    let entry = |(key, value): (Spanned<std::borrow::Cow<'a, str>>, Spanned<DeValue<'a>>)| Entry {
        source,
        offset: key.span().start,
        key: key.into_inner().into_owned(),
        value: value.into_inner(),
    };
    table.into_iter().map(entry).collect()
}

impl<'a> Entry<'a> {
    pub(super) fn place(&self) -> Place {
        self.source.place(self.offset)
    }

    pub(super) fn fault(&self, reason: Reason) -> CatalogFault {
        self.source.fault(self.offset, reason)
    }

    pub(super) fn unknown(&self) -> CatalogFault {
        self.fault(Reason::UnknownKey(self.key.clone()))
    }

    fn wrong(&self, expected: &'static str) -> CatalogFault {
        self.fault(Reason::WrongSort { key: self.key.clone(), expected })
    }

    /// The value with the line of its key.
    pub(super) fn at<T>(&self, value: T) -> At<T> {
        At { value, place: self.place() }
    }

    /// A text that says something.
    pub(super) fn text(&self) -> Result<String, CatalogFault> {
        match &self.value {
            DeValue::String(text) if text.trim().is_empty() => Err(self.fault(Reason::Empty(self.key.clone()))),
            DeValue::String(text) => Ok(text.clone().into_owned()),
            _ => Err(self.wrong("a text")),
        }
    }

    /// One word of a closed list.
    pub(super) fn word<T: Copy>(
        &self,
        key: &'static str,
        given: &str,
        all: &[T],
        spelled: fn(T) -> &'static str,
    ) -> Result<T, CatalogFault> {
        all.iter().copied().find(|word| spelled(*word) == given).ok_or_else(|| {
            let allowed = all.iter().map(|word| spelled(*word)).collect::<Vec<_>>().join(", ");
            self.fault(Reason::UnknownWord { key, given: given.to_owned(), allowed })
        })
    }

    pub(super) fn boolean(&self) -> Result<bool, CatalogFault> {
        match self.value {
            DeValue::Boolean(value) => Ok(value),
            _ => Err(self.wrong("true or false")),
        }
    }

    /// A count that fits 32 bits.
    pub(super) fn count(&self) -> Result<u32, CatalogFault> {
        let expected = "a whole number from 0 to 4294967295";
        integer(&self.value).and_then(|value| u32::try_from(value).ok()).ok_or_else(|| self.wrong(expected))
    }

    pub(super) fn number(&self) -> Result<f64, CatalogFault> {
        number(&self.value).ok_or_else(|| self.wrong("a number"))
    }

    pub(super) fn texts(&self) -> Result<Vec<String>, CatalogFault> {
        self.list().and_then(|list| list.iter().map(text).collect()).ok_or_else(|| self.wrong("a list of texts"))
    }

    /// A list of whole numbers, if it is one.
    pub(super) fn integers(&self) -> Option<Vec<i64>> {
        self.list()?.iter().map(integer).collect()
    }

    /// A list of numbers, if it is one.
    pub(super) fn numbers(&self) -> Option<Vec<f64>> {
        self.list()?.iter().map(number).collect()
    }

    /// A list of days, if it is one.
    pub(super) fn days(&self) -> Option<Vec<NaiveDate>> {
        self.list()?.iter().map(day).collect()
    }

    /// A code: a whole number or a text.
    pub(super) fn code(&self) -> Result<super::Code, CatalogFault> {
        match (integer(&self.value), text(&self.value)) {
            (Some(code), _) => Ok(super::Code::Integer(code)),
            (None, Some(code)) => Ok(super::Code::Text(code)),
            (None, None) => Err(self.wrong("a whole number or a text")),
        }
    }

    /// The entries of a table.
    pub(super) fn table(&self) -> Result<Vec<Entry<'a>>, CatalogFault> {
        match &self.value {
            DeValue::Table(table) => Ok(entries(self.source, table.clone())),
            _ => Err(self.wrong("a table")),
        }
    }

    /// The tables of a list, each with the line it begins on.
    pub(super) fn tables(&self) -> Result<Vec<At<Vec<Entry<'a>>>>, CatalogFault> {
        let DeValue::Array(list) = &self.value else { return Err(self.wrong("a list of tables")) };
        let one = |item: &Spanned<DeValue<'a>>| match item.get_ref() {
            DeValue::Table(table) => {
                let value = entries(self.source, table.clone());
                Ok(At { value, place: self.source.place(item.span().start) })
            }
            _ => Err(self
                .source
                .fault(item.span().start, Reason::WrongSort { key: self.key.clone(), expected: "a list of tables" })),
        };
        list.iter().map(one).collect()
    }

    fn list(&self) -> Option<Vec<DeValue<'a>>> {
        match &self.value {
            DeValue::Array(list) => Some(list.iter().map(|item| item.get_ref().clone()).collect()),
            _ => None,
        }
    }
}

fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        _ => None,
    }
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    match value {
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok(),
        _ => None,
    }
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(float) => float.as_str().parse().ok(),
        DeValue::Integer(whole) => whole.as_str().parse().ok().filter(|_| whole.radix() == 10),
        _ => None,
    }
}

fn day(value: &DeValue<'_>) -> Option<NaiveDate> {
    match value {
        DeValue::Datetime(given) => {
            let date = given.date.filter(|_| given.time.is_none())?;
            NaiveDate::from_ymd_opt(i32::from(date.year), u32::from(date.month), u32::from(date.day))
        }
        _ => None,
    }
}
