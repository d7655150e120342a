//! What does one column line of a model say, and does it hold together by itself?

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    sync::Arc,
};

use super::{
    Bounds, BoundsBy, Code, CodeList, Column, ColumnClass, ColumnType, DateRange, Domain, Examples, OutsideRule, Text,
    fault::{CatalogFault, Place, Reason},
    toml_value::{At, Entry},
};

/// What a column may refer to besides its own line.
pub(super) struct Surroundings<'a> {
    pub(super) table: &'a str,
    pub(super) declared_by: Option<&'a str>,
    pub(super) code_lists: &'a BTreeMap<String, CodeList>,
}

/// A column, where it stands and what it points to; the target is looked up when all tables are read.
#[derive(Debug, Clone)]
pub(super) struct ColumnDraft {
    pub(super) column: Column,
    pub(super) place: Place,
    pub(super) references: Option<At<String>>,
}

/// The most values that an integer range may list.
const RANGE_LENGTH_MAX: i64 = 100_000;
/// Beyond this many steps from zero a float no longer counts every step.
const GRID_STEPS_MAX: f64 = 4_503_599_627_370_496.0; // 2^52

pub(super) fn column(line: &Entry<'_>, around: &Surroundings<'_>) -> Result<ColumnDraft, CatalogFault> {
    let at = format!("{}.{}", around.table, line.key);
    if !is_sql_name(&line.key) {
        return Err(line.fault(Reason::BadName(line.key.clone())));
    }
    let mut said = Said::default();
    for entry in line.table()? {
        match entry.key.as_str() {
            "type" => said.data_type = Some(data_type(&entry)?),
            "class" => {
                said.class = Some(entry.word("class", &entry.text()?, &ColumnClass::ALL, ColumnClass::as_str)?)
            }
            "required" => said.required = Some(entry.boolean()?),
            "bounds" => said.bounds = Some(entry),
            "dates" => said.dates = Some(entry),
            "after_event" => said.after_event = Some(entry),
            "bounds_by" => said.bounds_by = Some(entry),
            "values" | "integer_range" | "code_list" if said.domain.is_some() => {
                return Err(entry.fault(Reason::TwoDomains(at)));
            }
            "values" | "integer_range" | "code_list" => said.domain = Some(entry),
            "outside" => {
                let rule = entry.word("outside", &entry.text()?, &OutsideRule::ALL, OutsideRule::as_str)?;
                said.outside = Some(entry.at(rule));
            }
            "length_max" => said.length_max = Some(entry),
            "examples" => said.examples = Some(entry),
            "references" => said.references = Some(entry.at(entry.text()?)),
            "en" => said.en = Some(entry.text()?),
            "ja" => said.ja = Some(entry.text()?),
            _ => return Err(entry.unknown()),
        }
    }
    let (data_type, nullable) = said.data_type.ok_or_else(|| missing(line, &at, "type"))?;
    let domain = said.domain.as_ref().map(|entry| domain(entry, &at, data_type, around.code_lists)).transpose()?;
    let column = Column {
        name: line.key.clone(),
        data_type,
        nullable,
        class: said.class.ok_or_else(|| missing(line, &at, "class"))?,
        required: required(line, &at, said.required, nullable)?,
        bounds: said.bounds.map(|entry| bounds(&entry, &at, data_type, around.declared_by)).transpose()?,
        dates: said.dates.as_ref().map(|entry| dates(entry, &at, data_type)).transpose()?,
        after_event: said
            .after_event
            .map(|entry| after_event(&entry, &at, data_type, around.declared_by))
            .transpose()?,
        bounds_by: said.bounds_by.map(|entry| bounds_by(&entry, &at, data_type, around.code_lists)).transpose()?,
        code_list: said.domain.filter(|entry| entry.key == "code_list").map(|entry| entry.text()).transpose()?,
        domain,
        outside: if nullable { OutsideRule::Null } else { OutsideRule::Reject },
        length_max: said.length_max.map(|entry| length(&entry, &at, data_type)).transpose()?,
        examples: said.examples.map(|entry| examples(&entry, &at, data_type)).transpose()?,
        description: Text {
            en: said.en.ok_or_else(|| missing(line, &at, "en"))?,
            ja: said.ja.ok_or_else(|| missing(line, &at, "ja"))?,
        },
    };
    let column = match said.outside {
        Some(rule) => with_outside(column, &rule, &at)?,
        None => column,
    };
    Ok(ColumnDraft { column, place: line.place(), references: said.references })
}

/// Lower case, so that no question has to quote it.
pub(super) fn is_sql_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.len() <= 63 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(legal)
}

/// Refuses what is written twice.
pub(super) fn no_duplicates<T: Ord + Display>(values: impl IntoIterator<Item = T>, place: &str) -> Result<(), Reason> {
    let mut seen = BTreeSet::new();
    for value in values {
        let written = value.to_string();
        if !seen.insert(value) {
            return Err(Reason::DuplicateValue { place: place.to_owned(), value: written });
        }
    }
    Ok(())
}

#[derive(Default)]
struct Said<'a> {
    data_type: Option<(ColumnType, bool)>,
    class: Option<ColumnClass>,
    required: Option<bool>,
    bounds: Option<Entry<'a>>,
    dates: Option<Entry<'a>>,
    after_event: Option<Entry<'a>>,
    bounds_by: Option<Entry<'a>>,
    domain: Option<Entry<'a>>,
    outside: Option<At<OutsideRule>>,
    length_max: Option<Entry<'a>>,
    examples: Option<Entry<'a>>,
    references: Option<At<String>>,
    en: Option<String>,
    ja: Option<String>,
}

fn missing(line: &Entry<'_>, place: &str, key: &'static str) -> CatalogFault {
    line.fault(Reason::Missing { place: place.to_owned(), key })
}

/// `int64` or, where NULL may stand, `int64?`.
fn data_type(entry: &Entry<'_>) -> Result<(ColumnType, bool), CatalogFault> {
    let written = entry.text()?;
    let (word, nullable) = match written.strip_suffix('?') {
        Some(word) => (word, true),
        None => (written.as_str(), false),
    };
    Ok((entry.word("type", word, &ColumnType::ALL, ColumnType::as_str)?, nullable))
}

fn required(line: &Entry<'_>, at: &str, said: Option<bool>, nullable: bool) -> Result<bool, CatalogFault> {
    match (said, nullable) {
        (Some(false), false) => Err(line.fault(Reason::RequiredNotNull(at.to_owned()))),
        (Some(required), _) => Ok(required),
        (None, nullable) => Ok(!nullable),
    }
}

fn bounds(
    written: &Entry<'_>,
    at: &str,
    data_type: ColumnType,
    declared_by: Option<&str>,
) -> Result<Bounds, CatalogFault> {
    if !matches!(data_type, ColumnType::Int64 | ColumnType::Float64) {
        return Err(written.fault(Reason::BoundsOfWrongType(at.to_owned())));
    }
    clamp(written, at, None, declared_by)
}

/// Bounds that depend on the code in another column, as a code list says.
fn bounds_by(
    written: &Entry<'_>,
    at: &str,
    data_type: ColumnType,
    code_lists: &BTreeMap<String, CodeList>,
) -> Result<BoundsBy, CatalogFault> {
    if data_type != ColumnType::Float64 {
        return Err(written.fault(Reason::BoundsOfWrongType(at.to_owned())));
    }
    let (mut column, mut list) = (None, None);
    for entry in written.table()? {
        match entry.key.as_str() {
            "column" => column = Some(entry.text()?),
            "code_list" => list = Some(entry.text()?),
            _ => return Err(entry.unknown()),
        }
    }
    let list = list.ok_or_else(|| missing(written, at, "bounds_by.code_list"))?;
    let unknown = || written.fault(Reason::UnknownCodeList { place: at.to_owned(), list: list.clone() });
    let known = code_lists.get(&list).ok_or_else(unknown)?;
    let each = known.values.iter().filter_map(|value| match value.code {
        Code::Integer(code) => Some((code, value.between?)),
        Code::Text(_) => None,
    });
    let column = column.ok_or_else(|| missing(written, at, "bounds_by.column"))?;
    Ok(BoundsBy { column, each: Arc::new(each.collect()) })
}

/// How many days after the event of its row a date lies.
fn after_event(
    written: &Entry<'_>,
    at: &str,
    data_type: ColumnType,
    declared_by: Option<&str>,
) -> Result<Bounds, CatalogFault> {
    if !matches!(data_type, ColumnType::Date | ColumnType::Timestamp) {
        return Err(written.fault(Reason::AfterEventOfWrongType(at.to_owned())));
    }
    clamp(written, at, Some(1.0), declared_by)
}

/// What values are clamped to, on a grid that is written or `grid`.
fn clamp(written: &Entry<'_>, at: &str, grid: Option<f64>, declared_by: Option<&str>) -> Result<Bounds, CatalogFault> {
    let (fixed, mut grid) = (grid.is_some(), grid);
    let (mut lo, mut hi, mut because) = (None, None, None);
    let mut declared_by = declared_by.map(str::to_owned);
    for entry in written.table()? {
        match entry.key.as_str() {
            "lo" => lo = Some(entry.number()?),
            "hi" => hi = Some(entry.number()?),
            "grid" if !fixed => grid = Some(entry.number()?),
            "because" => because = Some(entry.text()?),
            "declared_by" => declared_by = Some(entry.text()?),
            _ => return Err(entry.unknown()),
        }
    }
    let bounds = Bounds {
        lo: lo.ok_or_else(|| missing(written, at, "bounds.lo"))?,
        hi: hi.ok_or_else(|| missing(written, at, "bounds.hi"))?,
        grid: grid.ok_or_else(|| missing(written, at, "bounds.grid"))?,
        because: because.ok_or_else(|| missing(written, at, "bounds.because"))?,
        declared_by: declared_by.ok_or_else(|| missing(written, at, "bounds.declared_by"))?,
    };
    match bounds_reason(&bounds, at) {
        Some(reason) => Err(written.fault(reason)),
        None => Ok(bounds),
    }
}

fn bounds_reason(bounds: &Bounds, at: &str) -> Option<Reason> {
    let Bounds { lo, hi, grid, .. } = *bounds;
    if !(lo.is_finite() && hi.is_finite() && lo < hi) {
        return Some(Reason::BoundsReversed(at.to_owned()));
    }
    if !(grid.is_finite() && grid > 0.0) {
        return Some(Reason::GridNotPositive(at.to_owned()));
    }
    let exact = (lo / grid).abs() < GRID_STEPS_MAX && (hi / grid).abs() < GRID_STEPS_MAX;
    (!exact).then(|| Reason::GridTooFine(at.to_owned()))
}

fn dates(written: &Entry<'_>, at: &str, data_type: ColumnType) -> Result<DateRange, CatalogFault> {
    let days = written.days().filter(|_| matches!(data_type, ColumnType::Date | ColumnType::Timestamp));
    match days.as_deref() {
        Some([first, last]) if first <= last => Ok(DateRange { first: *first, last: *last }),
        _ => Err(written.fault(Reason::BadDates(at.to_owned()))),
    }
}

fn domain(
    written: &Entry<'_>,
    at: &str,
    data_type: ColumnType,
    code_lists: &BTreeMap<String, CodeList>,
) -> Result<Domain, CatalogFault> {
    let listed = match written.key.as_str() {
        "integer_range" => integer_range(written, at)?,
        "code_list" => {
            let list = written.text()?;
            let unknown = || written.fault(Reason::UnknownCodeList { place: at.to_owned(), list: list.clone() });
            codes(code_lists.get(&list).ok_or_else(unknown)?)
        }
        _ => match written.integers() {
            Some(integers) => Domain::Integers(integers),
            None => Domain::Texts(written.texts()?),
        },
    };
    let unique = match &listed {
        Domain::Integers(values) => no_duplicates(values, at),
        Domain::Texts(values) => no_duplicates(values, at),
    };
    unique.map_err(|reason| written.fault(reason))?;
    match (&listed, data_type) {
        _ if listed.is_empty() => Err(written.fault(Reason::Empty(format!("the list of values of {at}")))),
        (Domain::Integers(_), ColumnType::Int64) | (Domain::Texts(_), ColumnType::Utf8) => Ok(listed),
        _ => Err(written.fault(Reason::DomainOfWrongType(at.to_owned()))),
    }
}

fn integer_range(written: &Entry<'_>, at: &str) -> Result<Domain, CatalogFault> {
    let short =
        |first: i64, last: i64| last.checked_sub(first).is_some_and(|steps| (0..RANGE_LENGTH_MAX).contains(&steps));
    match written.integers().as_deref() {
        Some([first, last]) if short(*first, *last) => Ok(Domain::Integers((*first..=*last).collect())),
        _ => Err(written.fault(Reason::BadRange(at.to_owned()))),
    }
}

fn codes(list: &CodeList) -> Domain {
    let integers: Option<Vec<i64>> = list
        .values
        .iter()
        .map(|value| match value.code {
            Code::Integer(code) => Some(code),
            Code::Text(_) => None,
        })
        .collect();
    let spelled = |value: &super::CodeValue| match &value.code {
        Code::Integer(code) => code.to_string(),
        Code::Text(code) => code.clone(),
    };
    match integers {
        Some(integers) => Domain::Integers(integers),
        None => Domain::Texts(list.values.iter().map(spelled).collect()),
    }
}

fn length(written: &Entry<'_>, at: &str, data_type: ColumnType) -> Result<u32, CatalogFault> {
    match written.count()? {
        bytes if bytes > 0 && data_type == ColumnType::Utf8 => Ok(bytes),
        _ => Err(written.fault(Reason::BadLength(at.to_owned()))),
    }
}

fn examples(written: &Entry<'_>, at: &str, data_type: ColumnType) -> Result<Examples, CatalogFault> {
    let listed = match data_type {
        ColumnType::Int64 => written.integers().filter(|listed| !listed.is_empty()).map(Examples::Integers),
        ColumnType::Float64 => {
            let finite = |listed: &Vec<f64>| !listed.is_empty() && listed.iter().all(|value| value.is_finite());
            written.numbers().filter(finite).map(Examples::Floats)
        }
        ColumnType::Utf8 => written.texts().ok().filter(|listed| !listed.is_empty()).map(Examples::Texts),
        ColumnType::Date | ColumnType::Timestamp | ColumnType::Boolean => None,
    };
    listed.ok_or_else(|| written.fault(Reason::BadExamples(at.to_owned())))
}

fn with_outside(column: Column, rule: &At<OutsideRule>, at: &str) -> Result<Column, CatalogFault> {
    if column.domain.is_none() && column.dates.is_none() && column.length_max.is_none() {
        return Err(rule.place.fault(Reason::OutsideOfNothing(at.to_owned())));
    }
    let holds_zero = matches!(&column.domain, Some(Domain::Integers(values)) if values.contains(&0));
    let needs = match rule.value {
        OutsideRule::Null if !column.nullable => Some("a nullable column"),
        OutsideRule::Zero if !holds_zero => Some("0 among the listed values"),
        _ => None,
    };
    match needs {
        Some(needs) => {
            Err(rule.place.fault(Reason::OutsideImpossible { place: at.to_owned(), rule: rule.value.as_str(), needs }))
        }
        None => Ok(Column { outside: rule.value, ..column }),
    }
}
