//! What does one table section of a model say, on its own or as a change of another model's table?

use super::{
    Column, TableKind,
    column::{ColumnDraft, Surroundings, column, is_sql_name},
    fault::{CatalogFault, Place, Reason},
    toml_value::{At, Entry},
};

/// A table as far as its section says it; [`super::check`] makes the [`super::Table`] of it.
#[derive(Debug, Clone)]
pub(super) struct TableDraft {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) kind: Option<TableKind>,
    pub(super) owner: Option<At<String>>,
    pub(super) primary_key: Option<At<Vec<String>>>,
    pub(super) one_row_per_person: Option<At<bool>>,
    pub(super) rows_per_person_max: Option<At<u32>>,
    pub(super) rows_per_group: Option<At<u32>>,
    pub(super) groups: Option<At<u32>>,
    pub(super) distinct_values: Option<At<u32>>,
    pub(super) event_date: Option<At<String>>,
    pub(super) en: Option<String>,
    pub(super) ja: Option<String>,
    pub(super) refused_because: Option<At<String>>,
    pub(super) columns: Vec<ColumnDraft>,
}

/// The table after this section, given the same table of the extended model; none if the section takes it away.
pub(super) fn table(
    section: &Entry<'_>,
    extended: Option<TableDraft>,
    around: &Surroundings<'_>,
) -> Result<Option<TableDraft>, CatalogFault> {
    if !is_sql_name(&section.key) {
        return Err(section.fault(Reason::BadName(section.key.clone())));
    }
    let is_change = extended.is_some();
    let mut draft = extended.unwrap_or_else(|| blank(section));
    let (mut columns, mut drop, mut rename) = (None, None, None);
    for entry in section.table()? {
        match entry.key.as_str() {
            "absent" | "drop" | "rename" if !is_change => {
                return Err(entry.fault(Reason::NothingToChange { place: section.key.clone() }));
            }
            "absent" if entry.boolean()? => return Ok(None),
            "absent" => {}
            "drop" => drop = Some(entry),
            "rename" => rename = Some(entry),
            "columns" => columns = Some(entry),
            _ => say(&mut draft, &entry)?,
        }
    }
    // Dropped and renamed first, so that a column named again below means the table as it then is.
    if let Some(entry) = drop {
        for name in entry.texts()? {
            let index = find(&draft, &entry, &name)?;
            draft.columns.remove(index);
        }
    }
    if let Some(entry) = rename {
        for pair in entry.table()? {
            let index = find(&draft, &pair, &pair.key)?;
            let name = pair.text()?;
            if !is_sql_name(&name) {
                return Err(pair.fault(Reason::BadName(name)));
            }
            if let Some(renamed) = draft.columns.get_mut(index) {
                renamed.column = Column { name, ..renamed.column.clone() };
                renamed.place = pair.place();
            }
        }
    }
    for line in columns.map(|entry| entry.table()).transpose()?.unwrap_or_default() {
        let read = column(&line, around)?;
        match draft.columns.iter_mut().find(|known| known.column.name == read.column.name) {
            Some(known) => *known = read,
            None => draft.columns.push(read),
        }
    }
    Ok(Some(draft))
}

fn say(draft: &mut TableDraft, entry: &Entry<'_>) -> Result<(), CatalogFault> {
    match entry.key.as_str() {
        "kind" => draft.kind = Some(entry.word("kind", &entry.text()?, &TableKind::ALL, TableKind::as_str)?),
        "owner" => draft.owner = Some(entry.at(entry.text()?)),
        "primary_key" => draft.primary_key = Some(entry.at(entry.texts()?)),
        "one_row_per_person" => draft.one_row_per_person = Some(entry.at(entry.boolean()?)),
        "rows_per_person_max" => draft.rows_per_person_max = Some(entry.at(entry.count()?)),
        "rows_per_group" => draft.rows_per_group = Some(entry.at(entry.count()?)),
        "groups" => draft.groups = Some(entry.at(entry.count()?)),
        "distinct_values" => draft.distinct_values = Some(entry.at(entry.count()?)),
        "event_date" => draft.event_date = Some(entry.at(entry.text()?)),
        "en" => draft.en = Some(entry.text()?),
        "ja" => draft.ja = Some(entry.text()?),
        "refused_because" => draft.refused_because = Some(entry.at(entry.text()?)),
        _ => return Err(entry.unknown()),
    }
    Ok(())
}

fn find(draft: &TableDraft, entry: &Entry<'_>, name: &str) -> Result<usize, CatalogFault> {
    let place = format!("{}.{name}", draft.name);
    let index = draft.columns.iter().position(|known| known.column.name == name);
    index.ok_or_else(|| entry.fault(Reason::NothingToChange { place }))
}

fn blank(section: &Entry<'_>) -> TableDraft {
    TableDraft {
        name: section.key.clone(),
        place: section.place(),
        kind: None,
        owner: None,
        primary_key: None,
        one_row_per_person: None,
        rows_per_person_max: None,
        rows_per_group: None,
        groups: None,
        distinct_values: None,
        event_date: None,
        en: None,
        ja: None,
        refused_because: None,
        columns: Vec::new(),
    }
}
