//! How is one question asked from the shell?

use std::{
    io::{self, Read, Write},
    path::PathBuf,
    time::Duration,
};

use datafusion::arrow::datatypes::{Schema, SchemaRef};

use super::{
    client::{Client, ClientFault, ConnectTo},
    render::{self, Format},
    secret,
};

/// Where a verb finds the gateway: a connection file, or its parts.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "The gateway")]
pub struct Connection {
    /// The connection file that `demo` and `init --with-sample-accounts` write.
    #[arg(long, value_name = "FILE")]
    pub connect: Option<PathBuf>,
    /// Without such a file: the gateway, such as grpc+tls://127.0.0.1:8815, with --ca and either --user or --certificate.
    #[arg(long, conflicts_with = "connect", requires = "ca")]
    pub url: Option<String>,
    /// The CA certificate to trust.
    #[arg(long, value_name = "FILE", conflicts_with = "connect")]
    pub ca: Option<PathBuf>,
    /// The account; with --connect, one of those in the file.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// A file whose first line is the password; without it, it is asked for or read from standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "connect")]
    pub password_file: Option<PathBuf>,
    /// A client certificate that the account has registered, instead of --user; its key lies beside it as FILE.key.
    #[arg(long, value_name = "FILE.pem", conflicts_with_all = ["connect", "user"])]
    pub certificate: Option<PathBuf>,
}

impl Connection {
    /// What to connect to; `role` picks the account where the file has several and none is named.
    ///
    /// # Errors
    /// [`ClientFault`] for a file that cannot be used, or where nothing says which gateway.
    pub fn resolve(&self, role: &str) -> Result<ConnectTo, ClientFault> {
        self.resolve_if_given(role)?.ok_or(ClientFault::Nowhere)
    }

    /// The same where a gateway is named; none where nothing is.
    ///
    /// # Errors
    /// [`ClientFault`] for a file that cannot be used.
    pub fn resolve_if_given(&self, role: &str) -> Result<Option<ConnectTo>, ClientFault> {
        if let Some(file) = &self.connect {
            return ConnectTo::from_file(file, self.user.as_deref(), role).map(Some);
        }
        let (Some(url), Some(ca)) = (&self.url, &self.ca) else { return Ok(None) };
        if let Some(certificate) = &self.certificate {
            return ConnectTo::with_certificate(url, ca, certificate, &certificate.with_extension("key")).map(Some);
        }
        let Some(user) = &self.user else { return Err(ClientFault::Nowhere) };
        let password = secret::password(self.password_file.as_deref(), user, &mut io::stderr());
        let password = password.map_err(|stop| ClientFault::Password(stop.words().unwrap_or_default().to_owned()))?;
        ConnectTo::from_parts(url, ca, user, password).map(Some)
    }
}

/// Ask one question; the answer goes to standard output, its price to standard error.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "  sekisho query --connect D/connect.json 'SELECT gender_concept_id, COUNT(*) AS n FROM person GROUP BY 1'\n  \
sekisho query --connect D/connect.json --explain 'SELECT COUNT(*) FROM death'\n  \
sekisho query --connect D/connect.json --set epsilon=0.1 'SELECT COUNT(*) FROM death'\n\n\
Noisy values are printed with the 95 % half-width of their noise; a line says where rows of one person may be left out. `SELECT * FROM sekisho.my_budget` says what is left."
)]
pub struct Query {
    /// The permit under which to ask.
    #[arg(long, value_name = "P-...")]
    pub permit: Option<String>,
    /// A setting for this question, such as epsilon=0.1, accuracy=50 or deadline=16; may be repeated. SHOW ALL lists them.
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// Show what would be released, at which price, without asking.
    #[arg(long)]
    pub explain: bool,
    /// Save the answer's receipt, for `sekisho audit verify --receipt`.
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
    /// The form of the answer.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// The question, or - to read it from standard input.
    pub sql: String,
    /// Where to ask.
    #[command(flatten)]
    pub connection: Connection,
}

/// Asks, writes the answer to `out` and everything else to `err`; the exit status.
///
/// # Errors
/// What `err` reports; what `out` reports is a fault of its own and exit status 1.
pub async fn run(query: &Query, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let sql = match query.sql.as_str() {
        "-" => io::read_to_string(io::stdin().take(SQL_BYTES_MAX))?,
        given => given.to_owned(),
    };
    let sql = match query.explain {
        true => format!("EXPLAIN {sql}"),
        false => sql,
    };
    let (schema, batches) = match answered(ask(query, &sql), PATIENCE, err).await? {
        Ok(answer) => answer,
        Err(fault) => {
            writeln!(err, "{fault}")?;
            return Ok(fault.exit_status());
        }
    };
    let written = match (query.explain, query.format) {
        (true, render::Format::Table) => render::write_explained(&batches, out),
        _ => render::write(query.format, &schema, &batches, out),
    };
    if let Err(fault) = written.and_then(|()| out.flush()) {
        // A reader that has seen enough, such as `head`, is no fault.
        return match fault.kind() {
            io::ErrorKind::BrokenPipe => Ok(0),
            _ => writeln!(err, "the answer could not be written: {fault}").map(|()| 1),
        };
    }
    if let Some(line) = render::price_line(&schema) {
        writeln!(err, "{line}")?;
    }
    save_receipt(query, &schema, err)
}

fn save_receipt(query: &Query, schema: &Schema, err: &mut dyn Write) -> io::Result<u8> {
    let Some(file) = &query.receipt else { return Ok(0) };
    let Some(receipt) = schema.metadata().get(RECEIPT) else {
        return writeln!(err, "this answer has no receipt: it is about nobody").map(|()| 0);
    };
    match std::fs::write(file, format!("{receipt}\n")) {
        Ok(()) => Ok(0),
        Err(fault) => writeln!(err, "the receipt could not be written to {}: {fault}", file.display()).map(|()| 1),
    }
}

/// NAME=VALUE of `--set`.
fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as epsilon=0.1")?;
    let name = name.strip_prefix("sekisho.").unwrap_or(name);
    Ok((format!("sekisho.{name}"), value.to_owned()))
}

/// What is asked comes to, with a word to who watches where it takes long.
async fn answered(
    asked: impl Future<Output = Result<Answer, ClientFault>>,
    patience: Duration,
    err: &mut dyn Write,
) -> io::Result<Result<Answer, ClientFault>> {
    let mut asked = std::pin::pin!(asked);
    match tokio::time::timeout(patience, &mut asked).await {
        Ok(answer) => Ok(answer),
        Err(_) => {
            writeln!(
                err,
                "waiting: an answer leaves at its deadline, whenever it is made (--explain: deadline_seconds)"
            )?;
            Ok(asked.await)
        }
    }
}

/// After so long it is said what is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The metadata of an answer that holds its receipt.
pub const RECEIPT: &str = "sekisho.receipt_json";

/// More than any gateway accepts; keeps a wrong file on standard input from being read whole.
const SQL_BYTES_MAX: u64 = 1 << 20;

type Answer = (SchemaRef, Vec<datafusion::arrow::record_batch::RecordBatch>);

async fn ask(query: &Query, sql: &str) -> Result<Answer, ClientFault> {
    let to = query.connection.resolve("analyst")?;
    let client = Client::connect(&to).await?;
    if let Some(permit) = query.permit.as_deref().or(to.permit.as_deref()) {
        match client.set("sekisho.permit", permit).await {
            // The file's permit may be another account's; one that was named must hold.
            Err(ClientFault::Refused { .. }) if query.permit.is_none() => {}
            other => other?,
        }
    }
    // The interface promises intervals here; a gateway without that setting still answers.
    match client.set("sekisho.intervals", "on").await {
        Err(ClientFault::Refused { code, .. }) if code == "unknown_setting" => {}
        other => other?,
    }
    for (name, value) in &query.set {
        client.set(name, value).await?;
    }
    let answer = client.query(sql).await;
    // The session would end by itself in time; whether it could be closed changes nothing for the asker.
    let _closed = client.sign_out().await;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_name_and_a_value_with_or_without_the_prefix() {
        let epsilon = || Ok(("sekisho.epsilon".to_owned(), "0.1".to_owned()));
        assert_eq!(setting("epsilon=0.1"), epsilon());
        assert_eq!(setting("sekisho.epsilon=0.1"), epsilon());
        assert_eq!(setting("permit=P=1").unwrap().1, "P=1");
        assert!(setting("epsilon").is_err());
    }

    #[tokio::test]
    async fn who_waits_is_told_for_what() {
        let (soon, mut said) = (Duration::from_millis(10), vec![]);
        let late = async {
            tokio::time::sleep(soon * 20).await;
            Err(ClientFault::Nowhere)
        };
        assert!(answered(late, soon, &mut said).await.unwrap().is_err());
        assert!(String::from_utf8(said).unwrap().starts_with("waiting: "));
        let mut silent = vec![];
        assert!(answered(async { Err(ClientFault::Nowhere) }, PATIENCE, &mut silent).await.unwrap().is_err());
        assert!(silent.is_empty());
    }
}
