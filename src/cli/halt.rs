//! How is something stopped from the shell, and by two people started again?

use std::io::Write;

use serde_json::{Value, json};

use super::{
    account::{administer, quoted},
    listing,
    query::Connection,
    stop::Stop,
};
use crate::{
    record::HaltTarget,
    terms::{AccountName, DatasetName, Instant, PermitId, SourceName},
};

/// Stop a principal, a permit, a data set, a source or everything; see and lift halts.
#[derive(Debug, Clone, clap::Args)]
pub struct Halt {
    /// What to do.
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Act {
    /// Stop at once: running questions end within a second, their charges stand, new ones are refused with `halted`.
    On {
        #[command(flatten)]
        target: Target,
        /// Why; it goes on record.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Be one of the two people who lift a halt: the first asks, the second agrees. After failed questions one of the two
    /// is an auditor.
    Off {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        connection: Connection,
    },
    /// List the halts in force.
    List {
        /// Those that were lifted, too.
        #[arg(long)]
        all: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// Everything that anybody asks.
    #[arg(long)]
    everything: bool,
    /// Whatever this account asks or administers.
    #[arg(long, value_name = "NAME")]
    principal: Option<AccountName>,
    /// Every question under this permit.
    #[arg(long, value_name = "P-...")]
    permit: Option<PermitId>,
    /// Every question about this data set.
    #[arg(long, value_name = "NAME")]
    dataset: Option<DatasetName>,
    /// Every question about data that this holder delivered.
    #[arg(long, value_name = "NAME")]
    source: Option<SourceName>,
}

impl Target {
    fn halt(&self) -> HaltTarget {
        let named = self.principal.clone().map(HaltTarget::Principal);
        let named = named.or_else(|| self.permit.clone().map(HaltTarget::Permit));
        let named = named.or_else(|| self.dataset.clone().map(HaltTarget::Dataset));
        // The command line takes exactly one, so nothing else named is everything.
        named.or_else(|| self.source.clone().map(HaltTarget::Source)).unwrap_or(HaltTarget::Everything)
    }
}

/// Does it.
///
/// # Errors
/// [`Stop`], the gateway's refusal among others.
pub fn run(halt: &Halt, out: &mut dyn Write) -> Result<(), Stop> {
    match &halt.act {
        Act::On { target, reason, connection } => {
            let target = target.halt();
            let body = json!({"target": target, "reason": reason});
            let done = administer(connection, "operator", "halt.on", body)?;
            let ended = done.get("ended").and_then(Value::as_u64).unwrap_or_default();
            writeln!(out, "halted {target}, {ended} running questions ended{}", quoted(&done))?;
        }
        Act::Off { target, connection } => {
            let target = target.halt();
            let done = administer(connection, "auditor", "halt.off", json!({ "target": target }))?;
            match done.get("lifted").and_then(Value::as_bool) {
                Some(true) => writeln!(out, "lifted the halt of {target}{}", quoted(&done))?,
                _ => writeln!(out, "asked for; a second person has to agree to lift {target}{}", quoted(&done))?,
            }
        }
        Act::List { all, json, connection } => {
            let mut halts = administer(connection, "auditor", "halt.list", Value::Null)?;
            if let Some(halts) = halts.as_array_mut() {
                halts.retain(|halt| *all || halt.get("lifted_at").is_none_or(Value::is_null));
            }
            if !*json {
                halts.as_array_mut().into_iter().flatten().for_each(readable);
            }
            let columns = ["number", "target", "cause", "reason", "by", "since", "asked_by", "lifted_by", "lifted_at"];
            listing::write(&halts, &columns, *json, out)?;
        }
    }
    Ok(())
}

/// Targets and times as a person reads them.
fn readable(halt: &mut Value) {
    let Some(fields) = halt.as_object_mut() else { return };
    if let Some(target) = fields.get("target").cloned().and_then(|t| serde_json::from_value::<HaltTarget>(t).ok()) {
        fields.insert("target".into(), target.to_string().into());
    }
    for time in ["since", "lifted_at"] {
        if let Some(at) = fields.get(time).and_then(Value::as_i64) {
            fields.insert(time.into(), Instant(at).to_string().into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_halt_reads_as_a_person_would_say_it() {
        let mut halt = json!({"target": {"permit": "P-1"}, "since": 0, "lifted_at": null});
        readable(&mut halt);
        assert_eq!(halt, json!({"target": "permit P-1", "since": "1970-01-01T00:00:00Z", "lifted_at": null}));
    }
}
