//! What model does a TOML file hold?

use std::{collections::BTreeMap, path::Path};

use sha2::{Digest, Sha256};

use super::{
    Code, CodeList, CodeValue, Model, Text, check,
    column::{Surroundings, no_duplicates},
    fault::{CatalogFault, Place, Reason, Source},
    table::{self, TableDraft},
    toml_value::{At, Entry, document},
};

/// The models that are built in, with their files.
const BUILTIN: [(&str, Source<'static>); 2] = [
    ("omop-5.3", Source { file: "catalog/omop-5.3.toml", text: include_str!("../../catalog/omop-5.3.toml") }),
    ("omop-5.4", Source { file: "catalog/omop-5.4.toml", text: include_str!("../../catalog/omop-5.4.toml") }),
];
const CODE_LISTS: Source<'static> =
    Source { file: "catalog/code_lists.toml", text: include_str!("../../catalog/code_lists.toml") };
const MEASURED: Source<'static> =
    Source { file: "catalog/measured.toml", text: include_str!("../../catalog/measured.toml") };

impl Model {
    /// The names of the models that are built in.
    pub fn builtin_names() -> impl Iterator<Item = &'static str> {
        BUILTIN.iter().map(|(name, _)| *name)
    }

    /// A model that is built in, such as `omop-5.4`.
    ///
    /// # Errors
    /// [`Reason::UnknownModel`] if there is none of this name.
    pub fn builtin(name: &str) -> Result<Self, CatalogFault> {
        read(builtin_source(name).ok_or_else(|| unknown_model(name))?)
    }

    /// The model that a text holds. `file_name` is for faults only.
    ///
    /// # Errors
    /// The first thing that does not hold together, with `file_name` and line.
    pub fn from_toml(file_name: &str, text: &str) -> Result<Self, CatalogFault> {
        read(Source { file: file_name, text })
    }

    /// The model of this name: `<folder>/<name>.toml` if that file exists, else the one that is built in.
    ///
    /// # Errors
    /// As [`Model::from_toml`]; also if the file cannot be read or holds a model of another name.
    pub fn load(folder: &Path, name: &str) -> Result<Self, CatalogFault> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(legal) {
            return Err(unknown_model(name));
        }
        let path = folder.join(format!("{name}.toml"));
        let file = path.display().to_string();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Self::builtin(name),
            Err(_) => return Err(Place { file, line: 0 }.fault(Reason::Unreadable)),
        };
        let model = Self::from_toml(&file, &text)?;
        match model.name == name {
            true => Ok(model),
            false => {
                Err(Place { file, line: 0 }.fault(Reason::NameDiffers { wanted: name.to_owned(), given: model.name }))
            }
        }
    }
}

/// A model before the checks that need all of it.
struct Draft {
    name: String,
    version: u32,
    tables: BTreeMap<String, TableDraft>,
    code_lists: BTreeMap<String, CodeList>,
    texts: Sha256,
}

fn read(source: Source<'_>) -> Result<Model, CatalogFault> {
    let draft = draft(source)?;
    Ok(Model {
        name: draft.name,
        version: draft.version,
        tables: check::tables(&draft.tables)?,
        code_lists: draft.code_lists,
        text_sha256: draft.texts.finalize().into(),
    })
}

fn draft(source: Source<'_>) -> Result<Draft, CatalogFault> {
    let (mut name, mut version, mut extends, mut declared_by) = (None, None, None, None);
    let (mut list_sections, mut table_sections) = (Vec::new(), Vec::new());
    for entry in document(source)? {
        match entry.key.as_str() {
            "name" => name = Some(entry.text()?),
            "version" => version = Some(entry.count()?),
            "extends" => extends = Some(entry.at(entry.text()?)),
            "declared_by" => declared_by = Some(entry.text()?),
            "code_list" => list_sections = entry.table()?,
            "table" => table_sections = entry.table()?,
            _ => return Err(entry.unknown()),
        }
    }
    let lacks = |key| source.fault(0, Reason::Missing { place: "the model".to_owned(), key });
    let mut draft = match extends {
        Some(extended) => extended_draft(&extended)?,
        None => empty()?,
    };
    draft.name = name.ok_or_else(|| lacks("name"))?;
    draft.version = version.ok_or_else(|| lacks("version"))?;
    draft.texts.update(source.text);
    for section in list_sections {
        draft.code_lists.insert(section.key.clone(), code_list(&section)?);
    }
    for section in table_sections {
        let around =
            Surroundings { table: &section.key, declared_by: declared_by.as_deref(), code_lists: &draft.code_lists };
        let extended = draft.tables.remove(&section.key);
        if let Some(table) = table::table(&section, extended, &around)? {
            draft.tables.insert(section.key.clone(), table);
        }
    }
    Ok(draft)
}

/// Only a built-in model can be extended, so a chain of models ends.
fn extended_draft(extended: &At<String>) -> Result<Draft, CatalogFault> {
    let unknown = || extended.place.fault(Reason::UnknownModel(extended.value.clone()));
    draft(builtin_source(&extended.value).ok_or_else(unknown)?)
}

fn empty() -> Result<Draft, CatalogFault> {
    let mut code_lists = BTreeMap::new();
    let mut texts = Sha256::new();
    for source in [CODE_LISTS, MEASURED] {
        for entry in document(source)? {
            match entry.key.as_str() {
                "code_list" => {
                    for section in entry.table()? {
                        code_lists.insert(section.key.clone(), code_list(&section)?);
                    }
                }
                _ => return Err(entry.unknown()),
            }
        }
        texts.update(source.text);
    }
    Ok(Draft { name: String::new(), version: 0, tables: BTreeMap::new(), code_lists, texts })
}

fn code_list(section: &Entry<'_>) -> Result<CodeList, CatalogFault> {
    let name = section.key.clone();
    let place = format!("code_list.{name}");
    let (mut en, mut ja, mut values) = (None, None, None);
    for entry in section.table()? {
        match entry.key.as_str() {
            "en" => en = Some(entry.text()?),
            "ja" => ja = Some(entry.text()?),
            "values" => values = Some(entry.at(code_values(&entry, &place)?)),
            _ => return Err(entry.unknown()),
        }
    }
    let lacks = |key| section.fault(Reason::Missing { place: place.clone(), key });
    let values = values.ok_or_else(|| lacks("values"))?;
    let spelled = |value: &CodeValue| match &value.code {
        Code::Integer(code) => code.to_string(),
        Code::Text(code) => code.clone(),
    };
    no_duplicates(values.value.iter().map(spelled), &place).map_err(|reason| values.place.fault(reason))?;
    let whole = |value: &CodeValue| matches!(value.code, Code::Integer(_));
    if values.value.iter().any(whole) && !values.value.iter().all(whole) {
        let expected = "whole numbers or texts throughout";
        return Err(values.place.fault(Reason::WrongSort { key: "code".to_owned(), expected }));
    }
    let description = Text { en: en.ok_or_else(|| lacks("en"))?, ja: ja.ok_or_else(|| lacks("ja"))? };
    Ok(CodeList { name, description, values: values.value })
}

fn code_values(list: &Entry<'_>, place: &str) -> Result<Vec<CodeValue>, CatalogFault> {
    let one = |item: At<Vec<Entry<'_>>>| {
        let (mut code, mut en, mut ja, mut lo, mut hi) = (None, None, None, None, None);
        for entry in item.value {
            match entry.key.as_str() {
                "code" => code = Some(entry.code()?),
                "en" => en = Some(entry.text()?),
                "ja" => ja = Some(entry.text()?),
                "lo" => lo = Some(entry.number()?),
                "hi" => hi = Some(entry.number()?),
                _ => return Err(entry.unknown()),
            }
        }
        let between = match (lo, hi) {
            (Some(lo), Some(hi)) if lo < hi && lo.is_finite() && hi.is_finite() => Some((lo, hi)),
            (None, None) => None,
            _ => return Err(item.place.fault(Reason::BoundsReversed(place.to_owned()))),
        };
        let lacks = |key| item.place.fault(Reason::Missing { place: place.to_owned(), key });
        let label = Text { en: en.ok_or_else(|| lacks("en"))?, ja: ja.ok_or_else(|| lacks("ja"))? };
        Ok(CodeValue { code: code.ok_or_else(|| lacks("code"))?, label, between })
    };
    list.tables()?.into_iter().map(one).collect()
}

fn builtin_source(name: &str) -> Option<Source<'static>> {
    BUILTIN.iter().find(|(known, _)| *known == name).map(|(_, source)| *source)
}

fn unknown_model(name: &str) -> CatalogFault {
    Place { file: "catalog".to_owned(), line: 0 }.fault(Reason::UnknownModel(name.to_owned()))
}
