//! What is in a data model, and does it hold together?

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{listing, stop::Stop};
use crate::{
    catalog::{Column, Domain, Model, Table, TableKind},
    config::Config,
    privacy::{SETTLED, Settled},
};

/// Check or show data models, and the functions that persons' rows may pass through.
#[derive(Debug, Clone, clap::Args)]
pub struct Catalog {
    /// What to do.
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Act {
    /// Check models: those given, those of an enclave, or all that are built in.
    Check {
        /// Files of models.
        files: Vec<PathBuf>,
        /// The directory of an enclave whose sekisho.toml names models.
        #[arg(long, value_name = "D", conflicts_with = "files")]
        dir: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the functions of the engine, and what becomes of each over persons' rows.
    Functions {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the tables of a model, or the columns of one of its tables.
    Show {
        /// The name of a built-in model, or a file.
        model: String,
        /// The table.
        table: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Checks or shows.
///
/// # Errors
/// [`Stop::Fault`] names file and line of what does not hold.
pub fn run(catalog: &Catalog, out: &mut dyn Write) -> Result<(), Stop> {
    match &catalog.act {
        Act::Check { files, dir, json } => check(files, dir.as_deref(), *json, out),
        Act::Functions { json } => functions(*json, out),
        Act::Show { model, table, json } => {
            let model = read(model)?;
            match table {
                None => tables(&model, *json, out),
                Some(name) => {
                    let missing = || Stop::Usage(format!("{} has no table {name}", model.name));
                    columns(model.table(name).ok_or_else(missing)?, *json, out)
                }
            }
        }
    }
}

fn check(files: &[PathBuf], dir: Option<&Path>, as_json: bool, out: &mut dyn Write) -> Result<(), Stop> {
    let models = match dir {
        Some(dir) => Config::load(dir)?.enclave.datasets.iter().map(|d| d.model.as_ref().clone()).collect(),
        None if files.is_empty() => Model::builtin_names().map(Model::builtin).collect::<Result<Vec<_>, _>>()?,
        None => files.iter().map(|file| read(&file.display().to_string())).collect::<Result<Vec<_>, _>>()?,
    };
    let count = |model: &Model, kind| model.tables.values().filter(|table| table.kind == kind).count();
    let line = |model: &Model| {
        json!({"model": model.name, "version": model.version,
            "unit_tables": count(model, TableKind::Unit), "reference_tables": count(model, TableKind::Reference),
            "public_tables": count(model, TableKind::Public), "refused_tables": count(model, TableKind::Refused),
            "columns": model.tables.values().map(|t| t.queryable().count()).sum::<usize>()})
    };
    let columns = ["model", "version", "unit_tables", "reference_tables", "public_tables", "refused_tables", "columns"];
    listing::write(&models.iter().map(line).collect::<Value>(), &columns, as_json, out)
}

fn functions(as_json: bool, out: &mut dyn Write) -> Result<(), Stop> {
    let line = |f: &Settled| json!({"function": f.name, "persons_rows": f.verdict.as_str(), "note": f.note});
    listing::write(&SETTLED.iter().map(line).collect::<Value>(), &["function", "persons_rows", "note"], as_json, out)
}

fn read(named: &str) -> Result<Model, Stop> {
    if Model::builtin_names().any(|name| name == named) {
        return Ok(Model::builtin(named)?);
    }
    match std::fs::read_to_string(named) {
        Ok(text) => Ok(Model::from_toml(named, &text)?),
        Err(fault) => {
            let known = Model::builtin_names().collect::<Vec<_>>().join(", ");
            Err(Stop::Usage(format!("{named} is neither a built-in model ({known}) nor a file: {fault}")))
        }
    }
}

fn tables(model: &Model, as_json: bool, out: &mut dyn Write) -> Result<(), Stop> {
    let line = |t: &Table| {
        json!({"table": t.name, "kind": t.kind.as_str(), "rows_per_group": unit(t, t.rows_per_group),
            "groups": unit(t, t.groups), "distinct_values": unit(t, t.distinct_values),
            "rows_per_person_max": unit(t, t.rows_per_person_max), "description": t.description.en,
            "description_ja": t.description.ja, "refused_because": t.refused_because})
    };
    let shown = ["table", "kind", "rows_per_group", "groups", "rows_per_person_max", "description"];
    listing::write(&model.tables.values().map(line).collect::<Value>(), &shown, as_json, out)
}

fn unit(table: &Table, value: u32) -> Option<u32> {
    (table.kind == TableKind::Unit).then_some(value)
}

fn columns(table: &Table, as_json: bool, out: &mut dyn Write) -> Result<(), Stop> {
    let line = |c: &Column| {
        let bounds = c.bounds.as_ref().map(|b| format!("{} to {} by {}", b.lo, b.hi, b.grid));
        json!({"column": c.name, "type": c.data_type.as_str(), "class": c.class.as_str(), "nullable": c.nullable,
            "bounds": bounds, "public_values": c.domain.as_ref().map(Domain::len), "code_list": c.code_list,
            "description": c.description.en, "description_ja": c.description.ja})
    };
    let shown = ["column", "type", "class", "nullable", "bounds", "public_values", "description"];
    listing::write(&table.columns.iter().map(line).collect::<Value>(), &shown, as_json, out)
}
