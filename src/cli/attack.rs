//! Does the promise hold against every attack that we know of?

use std::{collections::BTreeSet, io::Write, path::PathBuf};

use serde_json::Value;

use super::{secret, stop::Stop};
use crate::attack::{self, Finding, Plan, Verdict, measure::SIGMAS};

/// Attack a throw-away enclave in every known way, and measure how far each attacker gets against what the spent loss
/// allows.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Makes its own enclaves with made-up people, serves them over TLS on free ports and attacks them as \
analysts with permits who collude and know everything but one bit of each target. Advantage is 2·(share of right guesses) \
− 1 with a 99.99 % interval; the bound is (e^ε − 1 + 2δ)/(e^ε + 1) for the ε that the gateway says was spent on the \
target. What must not depend on a person at all is asked of two enclaves that differ in that person.\n\n\
held: the interval begins below the bound, or nothing differs. open: this version says itself that it does not protect \
there. not applicable: what is attacked does not exist in this version. not run: the attack could not be carried out.\n\n  \
sekisho attack --short                # a minute or two, as for every change\n  \
sekisho attack --rows 1,2,3 --json\n\n\
Exit status: 1 if anything is broken or could not be run."
)]
pub struct Attack {
    /// Fewer repetitions: what is checked for every change.
    #[arg(long)]
    pub short: bool,
    /// Only these attacks, by number.
    #[arg(long, value_name = "1,2,3", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=44))]
    pub rows: Vec<u8>,
    /// Where to make the enclaves, and leave them; absent or empty. A folder of its own, removed at the end, unless given.
    #[arg(long, value_name = "D")]
    pub dir: Option<PathBuf>,
    /// Print JSON: one array of findings.
    #[arg(long)]
    pub json: bool,
}

/// Attacks, and says what came of it.
///
/// # Errors
/// [`Stop::Said`] with 1 where anything is broken; [`Stop`] where the enclaves cannot be made.
pub fn run(attack: &Attack, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Stop> {
    let directory = match &attack.dir {
        Some(directory) => directory.clone(),
        None => std::env::temp_dir().join(format!("sekisho-attack-{}", secret::fresh()?)),
    };
    let begun = std::fs::read_dir(&directory).is_ok_and(|mut entries| entries.next().is_some());
    if begun {
        return Err(Stop::Usage(format!("{}: is not empty; attacks make enclaves of their own", directory.display())));
    }
    let rows: BTreeSet<u8> = match attack.rows.as_slice() {
        [] => (1..=44).collect(),
        some => some.iter().copied().collect(),
    };
    let plan = Plan { rows: rows.into_iter().collect(), directory, short: attack.short };
    if !attack.json {
        writeln!(err, "making enclaves in {}", plan.directory.display())?;
    }
    let mut written = Ok(());
    let found = attack::run(&plan, &mut |finding| {
        if !attack.json && written.is_ok() {
            written = write(finding, out);
        }
    });
    if attack.dir.is_none() {
        // What remains of a throw-away enclave is nobody's loss; the attack's own outcome is said below.
        let _ = std::fs::remove_dir_all(&plan.directory);
    }
    let found = found?;
    written?;
    if attack.json {
        let all: Vec<Value> = found.iter().map(|one| one.to_json(attack::name_of(one.row))).collect();
        writeln!(out, "{}", Value::from(all))?;
    } else {
        sum_up(&found, out)?;
    }
    let stood = found.iter().all(|one| one.verdict != Verdict::Broken && one.verdict != Verdict::NotRun);
    if stood { Ok(()) } else { Err(Stop::Said(1)) }
}

/// One finding in two lines: the verdict, then what it rests on.
fn write(finding: &Finding, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "{:>2}  {:<56} {}", finding.row, attack::name_of(finding.row), finding.verdict)?;
    let mut words = vec![];
    if !finding.tried.is_empty() {
        words.push(format!("{} ({} times)", finding.tried, finding.times));
    }
    if let Some(advantage) = finding.advantage {
        let interval = finding.interval.map(|(low, high)| format!(" ({low:.3} to {high:.3})")).unwrap_or_default();
        let bound = finding.bound.map(|bound| format!(", allowed {bound:.4}")).unwrap_or_default();
        let spent =
            finding.spent.map(|s| format!(" at epsilon {:.3}, delta {:.0e}", s.epsilon, s.delta)).unwrap_or_default();
        words.push(format!("advantage {advantage:.3}{interval}{bound}{spent}"));
    }
    if !finding.note.is_empty() {
        words.push(finding.note.clone());
    }
    writeln!(out, "      {}", words.join("; "))?;
    out.flush()
}

fn sum_up(found: &[Finding], out: &mut dyn Write) -> std::io::Result<()> {
    let of = |verdict: Verdict| found.iter().filter(|one| one.verdict == verdict).count();
    writeln!(
        out,
        "\n{} attacks: {} held, {} open, {} not applicable, {} not run, {} broken (intervals at {SIGMAS} standard \
         deviations)",
        found.len(),
        of(Verdict::Held),
        of(Verdict::Open),
        of(Verdict::NotApplicable),
        of(Verdict::NotRun),
        of(Verdict::Broken),
    )
}
