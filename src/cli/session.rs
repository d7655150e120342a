//! Which sessions are open, and how are they ended from the shell?

use std::io::Write;

use serde_json::{Value, json};

use super::{
    account::{administer, quoted},
    listing,
    query::Connection,
    stop::Stop,
};
use crate::terms::Instant;

/// List and end open sessions.
#[derive(Debug, Clone, clap::Args)]
pub struct Session {
    /// What to do.
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Act {
    /// List open sessions: one's own; operators and auditors see everybody's.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// End an open session: one's own; operators end anybody's.
    End {
        /// What it is called in the list.
        session: String,
        #[command(flatten)]
        connection: Connection,
    },
}

/// Does it.
///
/// # Errors
/// [`Stop`], the gateway's refusal among others.
pub fn run(session: &Session, out: &mut dyn Write) -> Result<(), Stop> {
    match &session.act {
        Act::List { json, connection } => {
            let mut open = administer(connection, "operator", "session.list", Value::Null)?;
            if !*json {
                open.as_array_mut().into_iter().flatten().for_each(readable);
            }
            let columns = ["session", "account", "way", "address", "begun", "used", "ends", "this"];
            listing::write(&open, &columns, *json, out)?;
        }
        Act::End { session, connection } => {
            let done = administer(connection, "operator", "session.end", json!({ "session": session }))?;
            writeln!(out, "ended the session {session}{}", quoted(&done))?;
        }
    }
    Ok(())
}

/// Times as a person reads them.
fn readable(session: &mut Value) {
    let Some(fields) = session.as_object_mut() else { return };
    for time in ["begun", "used", "ends"] {
        if let Some(at) = fields.get(time).and_then(Value::as_i64) {
            fields.insert(time.into(), Instant(at).to_string().into());
        }
    }
}
