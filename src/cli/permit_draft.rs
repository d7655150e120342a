//! How does a permit come from flags, a file and what the gateway knows?

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    str::FromStr,
    time::Duration,
};

use chrono::{Datelike, NaiveDate};
use datafusion::arrow::array::AsArray;
use serde::Deserialize;
use serde_json::Value;

use super::{client::Client, ingest::today, stop::Stop};
use crate::{
    record::{EVERY_COLUMN, Permit, PermitState},
    terms::{AccountName, Cap, Clock, DatasetName, Instant, PermitId, Position, PurposeCode},
};

/// A permit as far as it was said; the rest has defaults.
#[derive(Debug, Clone, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "The permit")]
pub struct Draft {
    /// Its number; the next free one of this year unless given.
    #[arg(long, value_name = "P-...")]
    pub id: Option<PermitId>,
    /// The data set that bears the loss.
    #[arg(long, value_name = "NAME")]
    pub dataset: Option<DatasetName>,
    /// Who may ask under it; may be given several times.
    #[arg(long = "principal", value_name = "ACCOUNT")]
    #[serde(default)]
    pub principals: Vec<AccountName>,
    /// What for: a code of policies/purposes.toml.
    #[arg(long, value_name = "CODE")]
    pub purpose: Option<PurposeCode>,
    /// Columns of a table with the positions they may stand in; * stands for all. May be given several times.
    #[arg(long = "grant", value_name = "TABLE:COLUMNS:POSITIONS")]
    #[serde(skip)]
    pub grant: Vec<Granted>,
    /// Every queryable column of every table, in every position.
    #[arg(long)]
    #[serde(default)]
    pub grant_all: bool,
    /// The most that all its principals together may ever take [default: 1].
    #[arg(long)]
    pub epsilon: Option<f64>,
    /// The δ at which it is stated [default: the data set's].
    #[arg(long)]
    pub delta: Option<f64>,
    /// The most that each of them may take [default: the permit's].
    #[arg(long)]
    pub analyst_epsilon: Option<f64>,
    /// The ε of a question that names none [default: the permit's / 20].
    #[arg(long)]
    pub per_question_epsilon: Option<f64>,
    /// Its first day, in UTC [default: from now].
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub from: Option<Day>,
    /// For how many days [default: 365].
    #[arg(long)]
    pub days: Option<u32>,
    /// The disclosure rules applied after the noise [default: none].
    #[arg(long)]
    pub rule_pack: Option<String>,
    /// In a file: table, column, positions.
    #[arg(skip)]
    #[serde(default)]
    pub grants: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

/// A day as YYYY-MM-DD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Day(NaiveDate);

impl FromStr for Day {
    type Err = String;
    fn from_str(given: &str) -> Result<Self, String> {
        given.parse().map(Self).map_err(|_| format!("{given:?} is no day such as 2026-04-01"))
    }
}

impl TryFrom<String> for Day {
    type Error = String;
    fn try_from(given: String) -> Result<Self, String> {
        given.parse()
    }
}

/// One `TABLE:COLUMNS:POSITIONS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    table: String,
    columns: Vec<String>,
    positions: BTreeSet<Position>,
}

impl FromStr for Granted {
    type Err = String;
    fn from_str(given: &str) -> Result<Self, String> {
        let mut parts = given.split(':');
        let (Some(table), columns, positions, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err("a grant is TABLE:COLUMNS:POSITIONS".into());
        };
        let list = |part: Option<&str>| -> Vec<String> {
            part.unwrap_or_default().split(',').map(str::trim).filter(|p| !p.is_empty()).map(str::to_owned).collect()
        };
        let columns = list(columns);
        let positions = if columns.is_empty() { BTreeSet::new() } else { positions_of(&list(positions))? };
        Ok(Self { table: table.to_owned(), columns, positions })
    }
}

impl Draft {
    /// The permit in a file: JSON if it ends in `.json`, else TOML.
    ///
    /// # Errors
    /// [`Stop::Usage`] says what is wrong with the file.
    pub fn read(path: &Path) -> Result<Self, Stop> {
        let wrong = |reason: String| Stop::Usage(format!("{}: {reason}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|fault| wrong(fault.to_string()))?;
        match path.extension().is_some_and(|ending| ending == "json") {
            true => serde_json::from_str(&text).map_err(|fault| wrong(fault.to_string())),
            false => toml::from_str(&text).map_err(|fault| wrong(fault.to_string())),
        }
    }

    /// This draft, with what it leaves open taken from `file`.
    #[must_use]
    pub fn over(self, file: Self) -> Self {
        let principals = if self.principals.is_empty() { file.principals } else { self.principals };
        let said = !self.grant.is_empty() || self.grant_all;
        let (grant, grant_all) = if said { (self.grant, self.grant_all) } else { (file.grant, file.grant_all) };
        Self {
            id: self.id.or(file.id),
            dataset: self.dataset.or(file.dataset),
            principals,
            purpose: self.purpose.or(file.purpose),
            grant,
            grant_all,
            epsilon: self.epsilon.or(file.epsilon),
            delta: self.delta.or(file.delta),
            analyst_epsilon: self.analyst_epsilon.or(file.analyst_epsilon),
            per_question_epsilon: self.per_question_epsilon.or(file.per_question_epsilon),
            from: self.from.or(file.from),
            days: self.days.or(file.days),
            rule_pack: self.rule_pack.or(file.rule_pack),
            grants: if said { BTreeMap::new() } else { file.grants },
        }
    }
}

/// The whole permit: what the draft leaves open is asked of the gateway or has its default.
///
/// # Errors
/// [`Stop::Usage`] for what must be said and is not; [`Stop`] where the gateway refuses.
pub async fn complete(draft: Draft, client: &Client, clock: &Clock) -> Result<Permit, Stop> {
    let say = |flag: &str| Stop::Usage(format!("say {flag}"));
    let dataset = draft.dataset.clone().ok_or_else(|| say("--dataset NAME"))?;
    let purpose = draft.purpose.clone().ok_or_else(|| say("--purpose CODE"))?;
    if draft.principals.is_empty() {
        return Err(say("--principal ACCOUNT"));
    }
    let grants = grants(&draft, &dataset, client).await?;
    let epsilon = draft.epsilon.unwrap_or(1.0);
    let delta = match draft.delta {
        Some(delta) => delta,
        None => delta_of(&dataset, client).await?,
    };
    let cap = |epsilon| Cap::new(epsilon, delta).map_err(|fault| Stop::usage(&fault));
    let analyst_epsilon = draft.analyst_epsilon.unwrap_or(epsilon);
    let not_before = match draft.from {
        Some(Day(day)) => midnight(day),
        None => clock.now(),
    };
    let id = match draft.id {
        Some(id) => id,
        None => next_number(client, clock).await?,
    };
    Ok(Permit {
        id,
        principals: draft.principals.into_iter().collect(),
        dataset,
        grants,
        purpose,
        cap: cap(epsilon)?,
        analyst_cap: cap(analyst_epsilon)?,
        per_question_epsilon: draft.per_question_epsilon.unwrap_or(analyst_epsilon / 20.0),
        not_before,
        not_after: not_before.plus(DAY.saturating_mul(draft.days.unwrap_or(365))),
        rule_pack: draft.rule_pack.unwrap_or_else(|| "none".into()),
        state: PermitState::Granted,
    })
}

type Grants = BTreeMap<String, BTreeMap<String, BTreeSet<Position>>>;

async fn grants(draft: &Draft, dataset: &DatasetName, client: &Client) -> Result<Grants, Stop> {
    let full = |table: &str| if table.contains('.') { table.to_owned() } else { format!("{dataset}.{table}") };
    let mut grants = Grants::new();
    if draft.grant_all {
        for table in tables(dataset, client).await? {
            let all = BTreeMap::from([(EVERY_COLUMN.to_owned(), BTreeSet::from(Position::ALL))]);
            grants.insert(full(&table), all);
        }
    }
    for granted in &draft.grant {
        let table = grants.entry(full(&granted.table)).or_default();
        for column in &granted.columns {
            table.entry(column.clone()).or_default().extend(granted.positions.iter().copied());
        }
    }
    for (table, columns) in &draft.grants {
        let table = grants.entry(full(table)).or_default();
        for (column, positions) in columns {
            let positions = positions_of(positions).map_err(Stop::Usage)?;
            table.entry(column.clone()).or_default().extend(positions);
        }
    }
    match grants.is_empty() {
        true => Err(Stop::Usage("say what is granted: --grant TABLE:COLUMNS:POSITIONS, or --grant-all".into())),
        false => Ok(grants),
    }
}

fn positions_of(given: &[String]) -> Result<BTreeSet<Position>, String> {
    if given.iter().any(|position| position == "*") {
        return Ok(BTreeSet::from(Position::ALL));
    }
    match given.is_empty() {
        true => Err("say the positions: group, filter, aggregate or *".into()),
        false => given.iter().map(|position| position.parse()).collect(),
    }
}

/// The tables about persons or places, as the gateway describes them.
async fn tables(dataset: &DatasetName, client: &Client) -> Result<Vec<String>, Stop> {
    let sql =
        format!("SELECT table_name FROM sekisho.tables WHERE dataset = '{dataset}' AND kind IN ('unit', 'reference')");
    let (_, batches) = client.query(&sql).await?;
    let mut names = Vec::new();
    for batch in &batches {
        let column = batch.columns().first().and_then(|column| column.as_string_opt::<i32>());
        names.extend(column.into_iter().flatten().flatten().map(str::to_owned));
    }
    Ok(names)
}

async fn delta_of(dataset: &DatasetName, client: &Client) -> Result<f64, Stop> {
    let caps = client.administer("budget.show", Value::Null).await?;
    let name = format!("dataset/{dataset}");
    let cap = caps.as_array().into_iter().flatten().find(|c| c.get("cap").and_then(Value::as_str) == Some(&name));
    let delta = cap.and_then(|cap| cap.get("delta")).and_then(Value::as_str).and_then(|delta| delta.parse().ok());
    delta.ok_or_else(|| Stop::Usage(format!("there is no data set {dataset}")))
}

async fn next_number(client: &Client, clock: &Clock) -> Result<PermitId, Stop> {
    let year = today(clock)?.year();
    let permits = client.administer("permit.list", Value::Null).await?;
    let begin = format!("P-{year}-");
    let ids = permits.as_array().into_iter().flatten().filter_map(|p| p.get("id").and_then(Value::as_str));
    let highest = ids.filter_map(|id| id.strip_prefix(&begin)?.parse::<u32>().ok()).max().unwrap_or(0);
    PermitId::new(format!("{begin}{:04}", highest.saturating_add(1))).map_err(|fault| Stop::fault(&fault))
}

fn midnight(day: NaiveDate) -> Instant {
    Instant(day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros())
}

const DAY: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_table_columns_positions() {
        let granted: Granted = "person:gender_concept_id,year_of_birth:group,filter".parse().unwrap();
        assert_eq!(granted.columns, ["gender_concept_id", "year_of_birth"]);
        assert_eq!(granted.positions, BTreeSet::from([Position::Filter, Position::Group]));
        assert_eq!("death:*:*".parse::<Granted>().unwrap().positions.len(), Position::ALL.len());
        assert!("death".parse::<Granted>().unwrap().columns.is_empty(), "a table may be counted only");
        for wrong in ["person:a", "person:a:", "person:a:everywhere", "a:b:*:c"] {
            assert!(wrong.parse::<Granted>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_and_flags_make_one_permit_and_flags_win() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("permit.toml");
        let text = "dataset = \"demo\"\nprincipals = [\"hanako\"]\npurpose = \"epidemiology\"\nepsilon = 2.0\n\
                    from = \"2026-04-01\"\n[grants.person]\ngender_concept_id = [\"group\"]\n";
        std::fs::write(&path, text).unwrap();
        let flags = Draft { epsilon: Some(1.0), ..Draft::default() };
        let both = flags.over(Draft::read(&path).unwrap());
        assert_eq!(both.epsilon, Some(1.0));
        assert_eq!(both.principals.len(), 1);
        assert_eq!(both.grants.len(), 1);
        assert_eq!(midnight(both.from.unwrap().0).to_string(), "2026-04-01T00:00:00Z");
        std::fs::write(&path, "datasat = \"demo\"").unwrap();
        assert_eq!(Draft::read(&path).unwrap_err().status(), 2);
    }
}
