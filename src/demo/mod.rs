//! What does the whole look like at work, in one command?
//!
//! Nothing here is special to the demo: the enclave is made as `init` makes it, filled as `synth` and `ingest` fill it,
//! served as `serve` serves it, and asked over TLS through the same Flight SQL client as `query`.

mod prepare;
mod session;
mod tell;

use std::{io::Write, path::PathBuf};

use self::{prepare::Ready, tell::Teller};
use crate::cli::{Stop, serve};

/// See everything at work: makes an enclave with synthetic records, serves it and asks it, as an analyst with a permit.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "The records are synthetic (seed 7) and about nobody, so the demo states larger caps than a real \
enclave should have. A second run uses the enclave that the first one made; what was asked before is answered from the \
record, with the same figures and free of charge."
)]
pub struct Demo {
    /// The directory of the enclave: absent, empty, or made by an earlier demo.
    #[arg(long, value_name = "D", default_value = "sekisho-demo")]
    pub dir: PathBuf,
    /// How many synthetic persons.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(100..=100_000_000))]
    pub persons: u64,
    /// End after the sample session instead of staying up.
    #[arg(long)]
    pub once: bool,
}

/// The whole demo.
///
/// # Errors
/// [`Stop`] where any step fails; what was made so far stays in the directory.
pub fn run(demo: &Demo, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Stop> {
    let mut teller = Teller::new(out);
    teller.chapter("An enclave, and records that belong to nobody", "エンクレーブと、誰のものでもない合成データ")?;
    let ready = prepare::enclave(demo, &mut teller)?;

    serve::runtime()?.block_on(async {
        teller.chapter("The gateway opens", "関所を開く")?;
        let open = prepare::open(&ready).await?;
        let url = open.url();
        let (close, closed) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(open.serve(async {
            // Asked to, or because whoever would ask is gone.
            let _ = closed.await;
        }));
        teller.line(&format!("listening on {url}, TLS under the enclave's own CA"))?;

        session::whole(&ready, &url, &mut teller).await?;
        if !demo.once {
            stay(&ready, &url, &mut teller)?;
            serve::asked_to_stop()?.await;
            writeln!(err, "closing")?;
        }
        // The receiver is gone only where the gateway stopped by itself, which the next line says.
        let _ = close.send(());
        match tokio::time::timeout(CLOSING_MAX, serving).await {
            Ok(ended) => ended.map_err(|_| Stop::Fault("the gateway stopped unexpectedly".into()))?,
            // Somebody's idle connection does not keep the process.
            Err(_) => Ok(()),
        }
    })
}

fn stay(ready: &Ready, url: &str, teller: &mut Teller<'_>) -> Result<(), Stop> {
    let connect = ready.connect.display();
    teller.chapter("It stays open. Ask your own questions", "このまま開けておきます。自由に質問してください")?;
    teller.text(&format!(
        "From another shell:\n\n  \
         sekisho query --connect {connect} \"SELECT gender_concept_id, COUNT(*) AS n FROM person GROUP BY 1\"\n\n\
         From Python (pip install adbc-driver-flightsql pyarrow):\n\n  \
         import json, adbc_driver_flightsql.dbapi as sql, adbc_driver_flightsql as fl\n  \
         c = json.load(open({connect:?}))\n  \
         me = next(a for a in c[\"accounts\"] if \"analyst\" in a[\"roles\"])\n  \
         db = sql.connect({url:?}, db_kwargs={{\"username\": me[\"name\"], \"password\": me[\"password\"],\n      \
         fl.DatabaseOptions.TLS_ROOT_CERTS.value: open(c[\"ca\"]).read()}}, autocommit=True)\n  \
         cur = db.cursor(); cur.execute(\"SELECT COUNT(*) AS n FROM person\"); print(cur.fetch_arrow_table())\n\n\
         Columns: SELECT * FROM sekisho.columns. What is left: SELECT * FROM sekisho.my_budget.\n\
         Stop with Ctrl-C; `sekisho demo --dir {dir}` opens it again.",
        connect = connect.to_string(),
        dir = ready.directory.display(),
    ))
}

const CLOSING_MAX: std::time::Duration = std::time::Duration::from_secs(5);
