//! Which data, from where, is in force?

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Books, BooksFault, Change};
use crate::{
    ledger::{self, Declared, Effect},
    store::StoreFault,
    terms::{
        AccountName, Cap, CapName, DataVersion, DatasetName, EntryNumber, PopulationName, SourceName, VocabularyName,
    },
};

/// A data version that is to be the one that questions read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    /// The data set.
    pub dataset: DatasetName,
    /// The version; higher than every one before.
    pub version: DataVersion,
    /// The keyed hash of its manifest (HMAC-SHA-256 under the file key, hexadecimal).
    pub manifest_mac: String,
    /// The holder that delivered it.
    pub source: SourceName,
}

/// A custodian's word that a vocabulary is public: that it exists without these persons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VocabularyDeclaration {
    /// Its name, which is the SQL schema of its tables.
    pub name: VocabularyName,
    /// The release as its publisher calls it.
    pub release: String,
    /// Our counter for it; higher than every one before.
    pub version: DataVersion,
    /// What is declared, in words.
    pub statement: String,
}

pub(super) const SCHEMA: &str = "
CREATE TABLE datasets (
    name TEXT PRIMARY KEY,
    population TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE data_versions (
    dataset TEXT NOT NULL REFERENCES datasets (name),
    version INTEGER NOT NULL,
    manifest_mac TEXT NOT NULL,
    source TEXT NOT NULL,
    entry INTEGER NOT NULL REFERENCES entries (number),
    PRIMARY KEY (dataset, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE vocabularies (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    release TEXT NOT NULL,
    statement TEXT NOT NULL,
    entry INTEGER NOT NULL REFERENCES entries (number),
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;
";

impl Books {
    /// Sets the caps of a population and of one of its data sets, as the configuration has them. Where nothing differs
    /// from before nothing is written and there is no entry. What was spent stays spent, whatever the new figures.
    ///
    /// # Errors
    /// [`BooksFault::Mismatch`] where the data set was declared for another population; [`BooksFault`].
    pub fn declare_caps(
        &self,
        population: &PopulationName,
        cap: Cap,
        dataset: &DatasetName,
        dataset_cap: Cap,
    ) -> Result<Option<EntryNumber>, BooksFault> {
        let (population, dataset) = (population.clone(), dataset.clone());
        self.write(move |w| {
            let new_here = bind(w.connection, &dataset, &population)?;
            let caps =
                [(CapName::Population(population.clone()), cap), (CapName::Dataset(dataset.clone()), dataset_cap)];
            let mut changed = Vec::new();
            for (name, cap) in &caps {
                if ledger::declare(w.connection, name, *cap)? != Change::Same {
                    changed.push(Declared::new(name, *cap));
                }
            }
            if changed.is_empty() && !new_here {
                return Ok(None);
            }
            let detail = json!({"population": population, "dataset": dataset});
            w.append("caps", None, None, detail, Some(Effect::Declares(changed))).map(Some)
        })
    }

    /// Puts a data version in force. It must lie on disk complete before this is called.
    ///
    /// # Errors
    /// [`BooksFault::Unknown`] for a data set without caps, [`BooksFault::AlreadyThere`] where this or a higher version
    /// was in force before; [`BooksFault`].
    pub fn activate(&self, by: &str, activation: Activation) -> Result<EntryNumber, BooksFault> {
        let by = by.to_owned();
        self.write(move |w| {
            let Activation { dataset, version, manifest_mac, source } = activation;
            if population_of(w.connection, &dataset)?.is_none() {
                return Err(BooksFault::Unknown(format!("data set {dataset}")));
            }
            if active(w.connection, &dataset)?.is_some_and(|before| before >= version) {
                return Err(BooksFault::AlreadyThere(format!("{version} of {dataset}, or a later one,")));
            }
            let detail = json!({"by": by, "dataset": dataset, "version": version, "manifest_mac": manifest_mac,
                "source": source});
            let entry = w.append("activation", None, None, detail, None)?;
            w.connection.execute(
                "INSERT INTO data_versions VALUES (?1, ?2, ?3, ?4, ?5)",
                params![dataset.as_str(), version.0, manifest_mac, source.as_str(), crate::store::to_column(entry.0)?],
            )?;
            Ok(entry)
        })
    }

    /// The data version that questions read; none before the first activation.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn active(&self, dataset: &DatasetName) -> Result<Option<DataVersion>, BooksFault> {
        self.store.read(|c| active(c, dataset))
    }

    /// The activation in force, with the keyed hash that the manifest on disk must have.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn activation(&self, dataset: &DatasetName) -> Result<Option<Activation>, BooksFault> {
        let newest = "SELECT version, manifest_mac, source FROM data_versions WHERE dataset = ?1
                      ORDER BY version DESC LIMIT 1";
        self.store.read(|c| {
            let row = c.query_row(newest, [dataset.as_str()], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).optional()?;
            let Some((version, manifest_mac, source)): Option<(u32, String, String)> = row else { return Ok(None) };
            let source = SourceName::new(source).map_err(|_| StoreFault::Broken { what: "source" })?;
            Ok(Some(Activation { dataset: dataset.clone(), version: DataVersion(version), manifest_mac, source }))
        })
    }

    /// Records a custodian's declaration that a vocabulary is public, and puts that version of it in force.
    ///
    /// # Errors
    /// [`BooksFault::AlreadyThere`] where this or a higher version was declared before; [`BooksFault`].
    pub fn declare_vocabulary(
        &self,
        by: Option<&AccountName>,
        declaration: VocabularyDeclaration,
    ) -> Result<EntryNumber, BooksFault> {
        let by = by.cloned();
        self.write(move |w| {
            let VocabularyDeclaration { name, release, version, statement } = &declaration;
            let newest = "SELECT max(version) FROM vocabularies WHERE name = ?1";
            let before: Option<u32> = w.connection.query_row(newest, [name.as_str()], |row| row.get(0))?;
            if before.is_some_and(|before| before >= version.0) {
                return Err(BooksFault::AlreadyThere(format!("{version} of {name}, or a later one,")));
            }
            let detail = serde_json::to_value(&declaration).map_err(|_| BooksFault::Wording)?;
            let entry = w.append("vocabulary", by, None, detail, None)?;
            w.connection.execute(
                "INSERT INTO vocabularies VALUES (?1, ?2, ?3, ?4, ?5)",
                params![name.as_str(), version.0, release, statement, crate::store::to_column(entry.0)?],
            )?;
            Ok(entry)
        })
    }

    /// The newest declaration of every vocabulary, by name.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn vocabularies(&self) -> Result<Vec<VocabularyDeclaration>, BooksFault> {
        let newest = "SELECT name, release, max(version), statement FROM vocabularies GROUP BY name ORDER BY name";
        self.store.read(|c| {
            let mut statement = c.prepare_cached(newest)?;
            let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?;
            let mut declared = Vec::new();
            for row in rows {
                let (name, release, version, statement): (String, String, u32, String) = row?;
                let name = VocabularyName::new(name).map_err(|_| StoreFault::Broken { what: "vocabulary" })?;
                declared.push(VocabularyDeclaration { name, release, version: DataVersion(version), statement });
            }
            Ok(declared)
        })
    }
}

/// Says whose persons are in a data set, once and for all: under a second name they would have a second cap.
fn bind(connection: &Connection, dataset: &DatasetName, population: &PopulationName) -> Result<bool, BooksFault> {
    match population_of(connection, dataset)? {
        Some(before) if before == population.as_str() => Ok(false),
        Some(_) => Err(BooksFault::Mismatch("the data set was declared for another population")),
        None => {
            let values = [dataset.as_str(), population.as_str()];
            connection.execute("INSERT INTO datasets VALUES (?1, ?2)", values)?;
            Ok(true)
        }
    }
}

pub(super) fn population_of(connection: &Connection, dataset: &DatasetName) -> Result<Option<String>, BooksFault> {
    let mut statement = connection.prepare_cached("SELECT population FROM datasets WHERE name = ?1")?;
    Ok(statement.query_row([dataset.as_str()], |row| row.get(0)).optional()?)
}

/// The holders that delivered the version in force.
pub(super) fn sources_of(connection: &Connection, dataset: &DatasetName) -> Result<Vec<SourceName>, BooksFault> {
    let newest = "SELECT source FROM data_versions WHERE dataset = ?1 ORDER BY version DESC LIMIT 1";
    let mut statement = connection.prepare_cached(newest)?;
    let source: Option<String> = statement.query_row([dataset.as_str()], |row| row.get(0)).optional()?;
    let broken = |_| StoreFault::Broken { what: "source" };
    Ok(source.map(SourceName::new).transpose().map_err(broken)?.into_iter().collect())
}

fn active(connection: &Connection, dataset: &DatasetName) -> Result<Option<DataVersion>, BooksFault> {
    let mut statement = connection.prepare_cached("SELECT max(version) FROM data_versions WHERE dataset = ?1")?;
    let version: Option<u32> = statement.query_row([dataset.as_str()], |row| row.get(0))?;
    Ok(version.map(DataVersion))
}
