//! How is it all put together?

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;
use sekisho::{
    cli::{self, Stop},
    demo,
    telemetry::{self, Level},
};

/// The C library's allocator keeps what each of many threads once had at its most: the gateway grew for hours.
#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

/// Sekisho (関所): a secure research enclave with one door. SQL in, differentially private answers out.
#[derive(Debug, Parser)]
#[command(name = "sekisho", version, propagate_version = true, after_help = AFTER)]
struct Sekisho {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Demo(demo::Demo),
    Init(cli::init::Init),
    Serve(cli::serve::Serve),
    Query(cli::query::Query),
    Synth(cli::synth::Synth),
    Ingest(cli::ingest::Ingest),
    Catalog(cli::catalog::Catalog),
    Account(cli::account::Account),
    Permit(cli::permit::Permit),
    Budget(cli::budget::Budget),
    Halt(cli::halt::Halt),
    Session(cli::session::Session),
    Certificate(cli::certificate::Certificate),
    Policy(cli::policy::PolicyVerb),
    Audit(cli::audit::Audit),
    Attack(cli::attack::Attack),
    Witness(cli::witness::Witness),
    Keys(cli::keys::KeysVerb),
    Backup(cli::backup::Backup),
    Restore(cli::backup::Restore),
}

const AFTER: &str = "See it all at work: sekisho demo\n\n\
Exit status: 0 done, 1 fault, 2 wrong usage, 3 refused (the refusal on standard error).";

fn main() -> ExitCode {
    let verb = Sekisho::parse().verb;
    telemetry::hush_panics();
    match verb {
        // It says itself where its traces go.
        Verb::Serve(_) => {}
        Verb::Witness(_) => telemetry::start(Level::Info, None),
        _ => telemetry::start(Level::Warn, None),
    }
    let (mut out, mut err) = (io::stdout(), io::stderr());
    match run(&verb, &mut out, &mut err) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            if let Some(words) = stop.words() {
                // Nobody is left to tell where standard error is gone.
                let _ = writeln!(err, "{words}");
            }
            ExitCode::from(stop.status())
        }
    }
}

fn run(verb: &Verb, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Stop> {
    match verb {
        Verb::Demo(demo) => demo::run(demo, out, err),
        Verb::Init(init) => cli::init::run(init, out, err),
        Verb::Serve(serve) => cli::serve::run(serve, out, err),
        Verb::Query(query) => match cli::serve::runtime()?.block_on(cli::query::run(query, out, err))? {
            0 => Ok(()),
            status => Err(Stop::Said(status)),
        },
        Verb::Synth(synth) => cli::synth::run(synth, out),
        Verb::Ingest(ingest) => cli::ingest::run(ingest, out, err),
        Verb::Catalog(catalog) => cli::catalog::run(catalog, out),
        Verb::Account(account) => cli::account::run(account, out, err),
        Verb::Permit(permit) => cli::permit::run(permit, out),
        Verb::Budget(budget) => cli::budget::run(budget, out),
        Verb::Halt(halt) => cli::halt::run(halt, out),
        Verb::Session(session) => cli::session::run(session, out),
        Verb::Certificate(certificate) => cli::certificate::run(certificate, out),
        Verb::Policy(policy) => cli::policy::run(policy, out),
        Verb::Audit(audit) => cli::audit::run(audit, out),
        Verb::Attack(attack) => cli::attack::run(attack, out, err),
        Verb::Witness(witness) => cli::witness::run(witness, out),
        Verb::Keys(keys) => cli::keys::run(keys, out),
        Verb::Backup(backup) => cli::backup::backup(backup, out),
        Verb::Restore(restore) => cli::backup::restore(restore, out),
    }
}
