//! How does somebody else watch over the log?

use std::{io::Write, net::SocketAddr, path::PathBuf, sync::Arc};

use tokio::net::TcpListener;

use super::{
    serve::{asked_to_stop, runtime},
    stop::Stop,
};
use crate::{
    terms::Clock,
    witness::{self, Notary},
};

/// Run a witness: it cosigns an enclave's checkpoints and refuses forks, roll-backs and accounts that fall. On a machine
/// of its own, with a key of its own, by somebody else than the enclave's operator.
#[derive(Debug, Clone, clap::Args)]
pub struct Witness {
    /// What to do.
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Act {
    /// Make the witness's folder with a fresh key; prints the public key that the enclave's configuration needs.
    Init {
        /// The folder to make.
        #[arg(long, value_name = "W")]
        dir: PathBuf,
        /// The witness's name, such as ethics.example/w1: no blanks, no '+'.
        #[arg(long)]
        name: String,
    },
    /// Accept an enclave's log, by its public key (D/log.vkey) from where it is trusted.
    AddLog {
        /// The witness's folder.
        #[arg(long, value_name = "W")]
        dir: PathBuf,
        /// The log's public key.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Answer the enclaves' gateways over HTTP (C2SP tlog-witness). Prints `ready` when it does.
    Serve {
        /// The witness's folder.
        #[arg(long, value_name = "W")]
        dir: PathBuf,
        /// Where to listen; port 0 takes a free one.
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8817")]
        listen: SocketAddr,
    },
}

/// Does it.
///
/// # Errors
/// [`Stop`].
pub fn run(witness: &Witness, out: &mut dyn Write) -> Result<(), Stop> {
    match &witness.act {
        Act::Init { dir, name } => {
            Notary::make(dir, name)?;
            writeln!(out, "{}", Notary::open(dir, Clock::of_the_machine())?.key().to_text())?;
        }
        Act::AddLog { dir, key } => {
            let key = std::fs::read_to_string(key).map_err(|f| Stop::Usage(format!("{}: {f}", key.display())))?;
            writeln!(out, "witnesses {}", Notary::add_log(dir, &key)?)?;
        }
        Act::Serve { dir, listen } => {
            let notary = Arc::new(Notary::open(dir, Clock::of_the_machine())?);
            runtime()?.block_on(async {
                let cannot = |fault| Stop::Fault(format!("cannot listen on {listen}: {fault}"));
                let listener = TcpListener::bind(listen).await.map_err(cannot)?;
                writeln!(out, "listening on http://{}", listener.local_addr()?)?;
                writeln!(out, "ready")?;
                out.flush()?;
                witness::serve(notary, listener, asked_to_stop()?).await.map_err(Stop::from)
            })?;
        }
    }
    Ok(())
}
