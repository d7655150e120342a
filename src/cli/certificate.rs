//! How are certificates issued, renewed, registered and revoked from the shell?

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    account::{administer, quoted},
    listing,
    query::Connection,
    serve,
    stop::Stop,
};
use crate::{
    certificates,
    config::Config,
    keys,
    terms::{AccountName, Clock, Fingerprint, Instant},
};

/// Issue client certificates, renew the server's, register and revoke them.
#[derive(Debug, Clone, clap::Args)]
pub struct Certificate {
    /// What to do.
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Act {
    /// Issue a client certificate under the enclave's own CA, good for 13 months. It opens nothing until its account
    /// registers it with `certificate add`.
    Issue {
        /// The account that it is for.
        name: AccountName,
        /// The enclave's directory.
        #[arg(long, value_name = "D")]
        dir: PathBuf,
        /// Where to write it; its private key goes to the same name with .key instead of .pem.
        #[arg(long, value_name = "FILE.pem")]
        out: PathBuf,
    },
    /// Renew the server's certificate under the enclave's own CA. A running gateway shows the new one within seconds.
    Renew {
        /// The enclave's directory.
        #[arg(long, value_name = "D")]
        dir: PathBuf,
        /// A further name or address of the server; localhost is always one.
        #[arg(long, value_name = "HOST")]
        host: Vec<String>,
    },
    /// Register a client certificate to the account that signs in: from then on it opens that account without a password.
    Add {
        /// The certificate, PEM.
        file: PathBuf,
        #[command(flatten)]
        connection: Connection,
    },
    /// Revoke a client certificate, for good: one's own; operators revoke anybody's. Its sessions end.
    Revoke {
        /// The certificate in PEM, or its SHA-256 fingerprint.
        certificate: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// List registered client certificates: one's own; operators and auditors see all.
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
pub fn run(certificate: &Certificate, out: &mut dyn Write) -> Result<(), Stop> {
    match &certificate.act {
        Act::Issue { name, dir, out: file } => {
            let config = Config::load(dir)?;
            let ca = serve::text(&dir.join("keys/ca.key"))?;
            let now = Clock::of_the_machine().now();
            let issued = certificates::issue_client(&config.enclave.name, &ca, name.as_str(), now)?;
            let key = file.with_extension("key");
            keys::write_secret(&key, issued.key_pem.as_bytes())?;
            keys::write_secret(file, issued.pem.as_bytes())?;
            let fingerprint = certificates::fingerprint(&issued.pem)?;
            writeln!(out, "issued {} with its key {}", file.display(), key.display())?;
            writeln!(out, "fingerprint {fingerprint}")?;
            writeln!(out, "next, as {name}: sekisho certificate add {}", file.display())?;
        }
        Act::Renew { dir, host } => {
            let config = Config::load(dir)?;
            let ca = serve::text(&dir.join("keys/ca.key"))?;
            let mut hosts = vec![config.flight.ip().to_string()];
            hosts.extend(host.iter().cloned());
            let renewed = certificates::renew(&config.enclave.name, &ca, &hosts, Clock::of_the_machine().now())?;
            certificates::replace_server(&dir.join("keys"), &renewed)?;
            writeln!(out, "renewed {}", dir.join("keys/server.pem").display())?;
        }
        Act::Add { file, connection } => {
            let body = json!({ "fingerprint": certificates::fingerprint(&text(file)?)? });
            let done = administer(connection, "analyst", "certificate.add", body)?;
            writeln!(out, "registered {}{}", file.display(), quoted(&done))?;
        }
        Act::Revoke { certificate, connection } => {
            let body = json!({ "fingerprint": named(certificate)? });
            let done = administer(connection, "operator", "certificate.revoke", body)?;
            writeln!(out, "revoked{}", quoted(&done))?;
        }
        Act::List { json, connection } => {
            let mut known = administer(connection, "operator", "certificate.list", Value::Null)?;
            if !*json {
                known.as_array_mut().into_iter().flatten().for_each(readable);
            }
            listing::write(&known, &["account", "fingerprint", "added", "revoked"], *json, out)?;
        }
    }
    Ok(())
}

fn named(given: &str) -> Result<Fingerprint, Stop> {
    match given.parse() {
        Ok(fingerprint) => Ok(fingerprint),
        Err(_) => Ok(certificates::fingerprint(&text(Path::new(given))?)?),
    }
}

fn text(path: &Path) -> Result<String, Stop> {
    fs::read_to_string(path).map_err(|fault| Stop::Usage(format!("{}: {fault}", path.display())))
}

/// Times as a person reads them.
fn readable(certificate: &mut Value) {
    let Some(fields) = certificate.as_object_mut() else { return };
    for time in ["added", "revoked"] {
        if let Some(at) = fields.get(time).and_then(Value::as_i64) {
            fields.insert(time.into(), Instant(at).to_string().into());
        }
    }
}
