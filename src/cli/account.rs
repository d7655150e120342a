//! How are accounts managed from the shell?

use std::{io::Write, path::PathBuf};

use serde_json::{Value, json};

use super::{
    client::{Client, ConnectTo},
    listing,
    query::Connection,
    secret, serve,
    stop::Stop,
};
use crate::terms::{AccountName, Role};

/// Add, disable and list accounts, give roles and change passwords, through the running gateway.
#[derive(Debug, Clone, clap::Args)]
pub struct Account {
    /// What to do.
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Act {
    /// Add an account. Operators add analysts and operators; reviewers, auditors and custodians begin adding their like,
    /// and a second holder of the role agrees with `account grant`.
    Add {
        /// Its name.
        name: AccountName,
        /// A role it plays; may be given several times.
        #[arg(long, required = true)]
        role: Vec<Role>,
        /// The language of its messages.
        #[arg(long, default_value = "en", value_parser = ["en", "ja"])]
        language: String,
        /// A file whose first line is the password of the new account; without it, it is asked for or read from
        /// standard input.
        #[arg(long, value_name = "FILE")]
        new_password_file: Option<PathBuf>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Give a role to an account. Reviewers, auditors and custodians are made by two holders of that role: the first
    /// begins, the second agrees. The account's open sessions end.
    Grant {
        /// Its name.
        name: AccountName,
        /// The role.
        #[arg(long)]
        role: Role,
        #[command(flatten)]
        connection: Connection,
    },
    /// Change one's own password; all open sessions of the account end.
    Password {
        /// A file whose first line is the new password; without it, it is asked for or read from standard input.
        #[arg(long, value_name = "FILE")]
        new_password_file: Option<PathBuf>,
        #[command(flatten)]
        connection: Connection,
    },
    /// End an account's right to sign in; its open sessions end too. Its entries stay.
    Disable {
        /// Its name.
        name: AccountName,
        #[command(flatten)]
        connection: Connection,
    },
    /// List all accounts.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
}

/// Does it.
///
/// # Errors
/// [`Stop`], the gateway's refusal among others.
pub fn run(account: &Account, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Stop> {
    match &account.act {
        Act::Add { name, role, language, new_password_file, connection } => {
            let password = secret::password(new_password_file.as_deref(), name.as_str(), err)?;
            let body = json!({"name": name, "roles": role, "language": language, "password": password});
            let entry = administer(connection, giver(role), "account.add", body)?;
            writeln!(out, "added {name}{}", quoted(&entry))?;
            for role in role.iter().filter(|role| role.takes_two()) {
                writeln!(out, "a second {role} has to agree: sekisho account grant {name} --role {role}")?;
            }
        }
        Act::Grant { name, role, connection } => {
            let body = json!({"name": name, "role": role});
            let done = administer(connection, giver(std::slice::from_ref(role)), "account.grant", body)?;
            match done.get("granted").and_then(Value::as_bool) {
                Some(true) => writeln!(out, "{name} is {role} now{}", quoted(&done))?,
                _ => writeln!(out, "begun; a second {role} has to agree{}", quoted(&done))?,
            }
        }
        Act::Password { new_password_file, connection } => {
            let to = connection.resolve("analyst")?;
            let new = secret::password(new_password_file.as_deref(), &to.user, err)?;
            let body = json!({"old": to.password, "new": new});
            let done = administer_at(&to, "account.password", body)?;
            writeln!(out, "changed the password of {}{}", to.user, quoted(&done))?;
        }
        Act::Disable { name, connection } => {
            let entry = administer(connection, "operator", "account.disable", json!({"name": name}))?;
            writeln!(out, "disabled {name}{}", quoted(&entry))?;
        }
        Act::List { json, connection } => {
            let accounts = administer(connection, "operator", "account.list", Value::Null)?;
            listing::write(&accounts, &["name", "roles", "begun", "language", "disabled"], *json, out)?;
        }
    }
    Ok(())
}

/// Which role of a connection file may give these roles.
fn giver(roles: &[Role]) -> &'static str {
    let own = |role: &&Role| matches!(role, Role::Reviewer | Role::Auditor | Role::Custodian);
    roles.iter().find(own).map_or(Role::Operator.as_str(), |role| role.as_str())
}

/// One act of administration through the gateway.
///
/// # Errors
/// [`Stop`], the gateway's refusal among others.
pub fn administer(connection: &Connection, role: &str, act: &str, body: Value) -> Result<Value, Stop> {
    administer_at(&connection.resolve(role)?, act, body)
}

fn administer_at(to: &ConnectTo, act: &str, body: Value) -> Result<Value, Stop> {
    serve::runtime()?.block_on(async {
        let client = Client::connect(to).await?;
        let done = client.administer(act, body).await;
        // The session would end by itself in time.
        let _closed = client.sign_out().await;
        Ok(done?)
    })
}

/// Where in the log it stands.
#[must_use]
pub fn quoted(answer: &Value) -> String {
    answer.get("entry").and_then(Value::as_u64).map(|entry| format!(" (entry {entry})")).unwrap_or_default()
}
