//! Does a table hold together, and do the tables hold together?

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Column, ColumnClass, ColumnType, ForeignKey, OutsideRule, Table, TableKind, Text,
    column::ColumnDraft,
    fault::{CatalogFault, Place, Reason},
    table::TableDraft,
    toml_value::At,
};

/// What a unit table says where its section says nothing (privacy.md, section 8).
const ROWS_PER_PERSON_MAX: u32 = 4096;
const ROWS_PER_GROUP: u32 = 8;
const GROUPS: u32 = 8;
const DISTINCT_VALUES: u32 = 16;

/// The tables of a model, every one checked by itself and against those it refers to.
pub(super) fn tables(drafts: &BTreeMap<String, TableDraft>) -> Result<BTreeMap<String, Table>, CatalogFault> {
    let mut tables = BTreeMap::new();
    for (name, draft) in drafts {
        tables.insert(name.clone(), table(draft)?);
    }
    let mut linked = tables.clone();
    for (name, draft) in drafts {
        let keys = foreign_keys(draft, &tables)?;
        if let Some(table) = linked.get_mut(name) {
            table.foreign_keys = keys;
        }
    }
    Ok(linked)
}

fn table(draft: &TableDraft) -> Result<Table, CatalogFault> {
    let lacks = |key| draft.place.fault(Reason::Missing { place: draft.name.clone(), key });
    let kind = draft.kind.ok_or_else(|| lacks("kind"))?;
    let en = draft.en.clone().ok_or_else(|| lacks("en"))?;
    let ja = draft.ja.clone().ok_or_else(|| lacks("ja"))?;
    let contributions = contributions(draft, kind)?;
    columns(draft, kind)?;
    Ok(Table {
        name: draft.name.clone(),
        kind,
        owner: owner(draft, kind)?,
        primary_key: primary_key(draft)?,
        one_row_per_person: one_row_per_person(draft, kind, contributions.rows_per_person_max)?,
        rows_per_person_max: contributions.rows_per_person_max,
        rows_per_group: contributions.rows_per_group,
        groups: contributions.groups,
        distinct_values: contributions.distinct_values,
        event_date: event_date(draft)?,
        description: Text { en, ja },
        columns: draft.columns.iter().map(|known| known.column.clone()).collect(),
        foreign_keys: Vec::new(),
        refused_because: refused_because(draft, kind)?,
    })
}

struct Contributions {
    rows_per_person_max: u32,
    rows_per_group: u32,
    groups: u32,
    distinct_values: u32,
}

fn contributions(draft: &TableDraft, kind: TableKind) -> Result<Contributions, CatalogFault> {
    let one = |said: &Option<At<u32>>, key: &'static str, default: u32| match (said, kind) {
        (Some(said), TableKind::Unit) if said.value == 0 => {
            Err(said.place.fault(Reason::Zero { table: draft.name.clone(), key }))
        }
        (Some(said), TableKind::Unit) => Ok(said.value),
        (None, TableKind::Unit) => Ok(default),
        (Some(said), _) => Err(said.place.fault(Reason::NotForThisKind { table: draft.name.clone(), key })),
        (None, _) => Ok(0),
    };
    Ok(Contributions {
        rows_per_person_max: one(&draft.rows_per_person_max, "rows_per_person_max", ROWS_PER_PERSON_MAX)?,
        rows_per_group: one(&draft.rows_per_group, "rows_per_group", ROWS_PER_GROUP)?,
        groups: one(&draft.groups, "groups", GROUPS)?,
        distinct_values: one(&draft.distinct_values, "distinct_values", DISTINCT_VALUES)?,
    })
}

fn one_row_per_person(draft: &TableDraft, kind: TableKind, rows_max: u32) -> Result<bool, CatalogFault> {
    let key = "one_row_per_person";
    match (&draft.one_row_per_person, kind) {
        (Some(said), TableKind::Unit) if said.value && rows_max != 1 => {
            Err(said.place.fault(Reason::OneRowMax(draft.name.clone())))
        }
        (Some(said), TableKind::Unit) => Ok(said.value),
        (Some(said), _) => Err(said.place.fault(Reason::NotForThisKind { table: draft.name.clone(), key })),
        (None, _) => Ok(false),
    }
}

fn owner(draft: &TableDraft, kind: TableKind) -> Result<Option<String>, CatalogFault> {
    let table = draft.name.clone();
    let said = match (&draft.owner, kind) {
        (Some(said), TableKind::Unit) => said,
        (None, TableKind::Unit) => return Err(draft.place.fault(Reason::OwnerMissing(table))),
        (Some(said), _) => return Err(said.place.fault(Reason::OwnerOfNoPerson(table))),
        (None, _) => return Ok(None),
    };
    match find(draft, &said.value) {
        None => Err(said.place.fault(Reason::OwnerUnknown { table, column: said.value.clone() })),
        Some(known) if known.column.nullable => Err(known.place.fault(Reason::OwnerNullable(table))),
        Some(known) if !is_key(&known.column) => Err(known.place.fault(Reason::OwnerNotKey(table))),
        Some(_) => Ok(Some(said.value.clone())),
    }
}

fn primary_key(draft: &TableDraft) -> Result<Vec<String>, CatalogFault> {
    let Some(said) = &draft.primary_key else { return Ok(Vec::new()) };
    for name in &said.value {
        queryable(draft, name, "primary_key", &said.place)?;
    }
    Ok(said.value.clone())
}

fn event_date(draft: &TableDraft) -> Result<Option<String>, CatalogFault> {
    let Some(said) = &draft.event_date else {
        return match draft.columns.iter().find(|known| known.column.after_event.is_some()) {
            Some(known) => {
                Err(known.place.fault(Reason::AfterNoEvent(format!("{}.{}", draft.name, known.column.name))))
            }
            None => Ok(None),
        };
    };
    let known = queryable(draft, &said.value, "event_date", &said.place)?;
    match known.column.data_type {
        ColumnType::Date if !known.column.nullable => Ok(Some(said.value.clone())),
        _ => Err(said.place.fault(Reason::EventDateUnfit(draft.name.clone()))),
    }
}

fn refused_because(draft: &TableDraft, kind: TableKind) -> Result<Option<String>, CatalogFault> {
    match (&draft.refused_because, kind) {
        (Some(said), TableKind::Refused) => Ok(Some(said.value.clone())),
        (None, TableKind::Refused) => Err(draft.place.fault(Reason::RefusedBecause(draft.name.clone()))),
        (Some(said), _) => Err(said.place.fault(Reason::RefusedBecause(draft.name.clone()))),
        (None, _) => Ok(None),
    }
}

fn columns(draft: &TableDraft, kind: TableKind) -> Result<(), CatalogFault> {
    if draft.columns.is_empty() && kind != TableKind::Refused {
        return Err(draft.place.fault(Reason::NoColumns(draft.name.clone())));
    }
    let mut names = BTreeSet::new();
    for ColumnDraft { column, place, .. } in &draft.columns {
        let at = || format!("{}.{}", draft.name, column.name);
        // TOML refuses a name written twice; this meets a rename onto a name that is taken.
        if !names.insert(&column.name) {
            return Err(place.fault(Reason::DuplicateValue { place: draft.name.clone(), value: column.name.clone() }));
        }
        let is_code = |known: &&ColumnDraft| known.column.data_type == ColumnType::Int64;
        if let Some(by) = &column.bounds_by
            && draft.columns.iter().filter(is_code).all(|known| known.column.name != by.column)
        {
            return Err(place.fault(Reason::BoundsByNoCode(at())));
        }
        if column.class == ColumnClass::Identifier || matches!(kind, TableKind::Public | TableKind::Refused) {
            continue;
        }
        match column.data_type {
            ColumnType::Date | ColumnType::Timestamp if column.dates.is_none() => {
                return Err(place.fault(Reason::DatesMissing(at())));
            }
            ColumnType::Utf8 if column.length_max.is_none() && column.domain.is_none() => {
                return Err(place.fault(Reason::LengthMissing(at())));
            }
            _ => {}
        }
    }
    Ok(())
}

fn foreign_keys(draft: &TableDraft, tables: &BTreeMap<String, Table>) -> Result<Vec<ForeignKey>, CatalogFault> {
    draft
        .columns
        .iter()
        .filter_map(|known| Some((known, known.references.as_ref()?)))
        .map(|(known, target)| {
            let at = || format!("{}.{}", draft.name, known.column.name);
            let fault = |reason| target.place.fault(reason);
            let unknown = || fault(Reason::ReferenceUnknown { place: at(), target: target.value.clone() });
            let (table, references) = target.value.split_once('.').ok_or_else(unknown)?;
            let parent = tables.get(table).filter(|parent| {
                matches!(parent.kind, TableKind::Unit | TableKind::Reference) && parent.column(references).is_some()
            });
            let parent = parent.ok_or_else(unknown)?;
            if parent.primary_key != [references] {
                return Err(fault(Reason::ReferenceNotKey { place: at(), target: target.value.clone() }));
            }
            if !is_key(&known.column) {
                return Err(fault(Reason::ReferenceFromNoKey(at())));
            }
            Ok(ForeignKey {
                column: known.column.name.clone(),
                table: table.to_owned(),
                references: references.to_owned(),
                unit: parent.kind == TableKind::Unit,
                missing: if known.column.nullable { OutsideRule::Null } else { OutsideRule::Reject },
            })
        })
        .collect()
}

fn is_key(column: &Column) -> bool {
    column.data_type == ColumnType::Int64 && column.class == ColumnClass::Key
}

fn find<'a>(draft: &'a TableDraft, name: &str) -> Option<&'a ColumnDraft> {
    draft.columns.iter().find(|known| known.column.name == name)
}

fn queryable<'a>(
    draft: &'a TableDraft,
    name: &str,
    key: &'static str,
    place: &Place,
) -> Result<&'a ColumnDraft, CatalogFault> {
    let found = find(draft, name).filter(|known| known.column.class != ColumnClass::Identifier);
    found.ok_or_else(|| place.fault(Reason::NoSuchColumn { table: draft.name.clone(), key, column: name.to_owned() }))
}
