//! What may still be asked?

use std::io::Write;

use serde_json::Value;

use super::{account::administer, listing, query::Connection, stop::Stop};

/// Show caps, and what is left of them.
#[derive(Debug, Clone, clap::Args)]
pub struct Budget {
    /// What to do.
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Act {
    /// Show every cap that the account may see: analysts those of their own permits, the others all.
    Show {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
}

/// Shows the caps.
///
/// # Errors
/// [`Stop`], the gateway's refusal among others.
pub fn run(budget: &Budget, out: &mut dyn Write) -> Result<(), Stop> {
    let Act::Show { json, connection } = &budget.act;
    let caps = administer(connection, "reviewer", "budget.show", Value::Null)?;
    listing::write(&caps, &["cap", "epsilon", "delta", "spent_epsilon"], *json, out)
}
