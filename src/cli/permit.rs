//! How are permits granted, revoked and seen from the shell?

use std::{io::Write, path::PathBuf};

use serde_json::{Value, json};

use super::{
    account::{administer, quoted},
    client::Client,
    listing,
    permit_draft::{Draft, complete},
    query::Connection,
    serve,
    stop::Stop,
};
use crate::terms::{Clock, PermitId};

/// Grant, revoke, list and show permits, through the running gateway.
#[derive(Debug, Clone, clap::Args)]
pub struct Permit {
    /// What to do.
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Act {
    /// Grant a permit, as a reviewer. What is not granted is refused.
    #[command(after_help = GRANT_HELP)]
    Grant {
        /// A TOML or JSON file with the permit; flags given beside it win.
        file: Option<PathBuf>,
        #[command(flatten)]
        draft: Box<Draft>,
        /// Show what it would allow, without granting it.
        #[arg(long)]
        preview: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Revoke a permit for good, as a reviewer. It is noticed by the next question.
    Revoke {
        /// Its number.
        permit: PermitId,
        /// Why; recorded.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// List permits: analysts their own, the others all.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show one permit in full, as JSON.
    Show {
        /// Its number.
        permit: PermitId,
        #[command(flatten)]
        connection: Connection,
    },
}

const GRANT_HELP: &str = "As flags:\n\n  \
sekisho permit grant --connect D/connect.json --dataset demo --principal hanako --purpose epidemiology \\\n      \
--grant person:gender_concept_id,year_of_birth:group,filter --grant condition_occurrence:*:* --epsilon 1 --days 180\n\n\
The same as a file (TOML; JSON with the same fields if it ends in .json):\n\n  \
dataset = \"demo\"\n  \
principals = [\"hanako\"]\n  \
purpose = \"epidemiology\"        # a code of policies/purposes.toml\n  \
epsilon = 1.0                   # of the permit; delta, analyst_epsilon, per_question_epsilon, from, days, id likewise\n  \
[grants.person]                 # table.column = positions out of group, filter, aggregate, or *\n  \
gender_concept_id = [\"group\", \"filter\"]\n  \
year_of_birth = [\"*\"]\n  \
[grants.condition_occurrence]\n  \
\"*\" = [\"*\"]";

/// Does it.
///
/// # Errors
/// [`Stop`], the gateway's refusal among others.
pub fn run(permit: &Permit, out: &mut dyn Write) -> Result<(), Stop> {
    match &permit.act {
        Act::Grant { file, draft, preview, connection } => {
            let draft = match file {
                Some(path) => draft.as_ref().clone().over(Draft::read(path)?),
                None => draft.as_ref().clone(),
            };
            let to = connection.resolve("reviewer")?;
            serve::runtime()?.block_on(async {
                let client = Client::connect(&to).await?;
                let permit = complete(draft, &client, &Clock::of_the_machine()).await?;
                let body = serde_json::to_value(&permit).map_err(|fault| Stop::fault(&fault))?;
                if *preview {
                    let lines = client.administer("permit.preview", body).await?;
                    for line in lines.as_array().into_iter().flatten().filter_map(Value::as_str) {
                        writeln!(out, "{line}")?;
                    }
                } else {
                    let entry = client.administer("permit.grant", body).await?;
                    writeln!(out, "granted {}{}", permit.id, quoted(&entry))?;
                }
                let _closed = client.sign_out().await;
                Ok(())
            })
        }
        Act::Revoke { permit, reason, connection } => {
            let body = json!({"permit": permit, "reason": reason});
            let entry = administer(connection, "reviewer", "permit.revoke", body)?;
            writeln!(out, "revoked {permit}{}", quoted(&entry))?;
            Ok(())
        }
        Act::List { json, connection } => {
            let permits = administer(connection, "reviewer", "permit.list", Value::Null)?;
            match json {
                true => listing::write(&permits, &[], true, out),
                false => {
                    let shown = ["id", "standing", "dataset", "principals", "purpose", "epsilon", "until"];
                    let lines = permits.as_array().into_iter().flatten().map(for_people).collect::<Value>();
                    listing::write(&lines, &shown, false, out)
                }
            }
        }
        Act::Show { permit, connection } => {
            let permits = administer(connection, "reviewer", "permit.list", Value::Null)?;
            let same = |p: &&Value| p.get("id").and_then(Value::as_str) == Some(permit.as_str());
            let found = permits.as_array().into_iter().flatten().find(same);
            let found =
                found.ok_or_else(|| Stop::Fault(format!("there is no permit {permit} that this account may see")))?;
            writeln!(out, "{found:#}")?;
            Ok(())
        }
    }
}

/// A line of the list: caps and dates as people read them.
fn for_people(permit: &Value) -> Value {
    let mut line = permit.clone();
    let until = permit.get("not_after").and_then(Value::as_i64).map(|at| crate::terms::Instant(at).to_string());
    if let Some(fields) = line.as_object_mut() {
        fields.insert("until".into(), json!(until));
        fields.insert("epsilon".into(), permit.pointer("/cap/epsilon").cloned().unwrap_or_default());
    }
    line
}
