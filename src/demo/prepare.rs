//! How does the demo's enclave come to be, or come back?

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Demo, tell::Teller};
use crate::{
    cli::{Stop, ingest, init, serve, synth},
    config::{self, Config},
    ingest::{Format, IngestFault, REJECT_SHARE_MAX},
    keys::MasterSource,
    record::{Activation, Books, VocabularyDeclaration},
    terms::{Clock, DatasetName, PopulationName, SourceName, VocabularyName},
};

/// An enclave with everything loaded.
pub(super) struct Ready {
    pub(super) directory: PathBuf,
    pub(super) connect: PathBuf,
}

/// What is written when everything is loaded: without it the enclave is half-made.
#[derive(Serialize, Deserialize)]
struct Finished {
    persons: u64,
    seed: u64,
}

/// Makes the enclave, or finds the one of an earlier run.
pub(super) fn enclave(demo: &Demo, teller: &mut Teller<'_>) -> Result<Ready, Stop> {
    let directory = std::path::absolute(&demo.dir).map_err(|fault| disk(&demo.dir, &fault))?;
    let ready = Ready { connect: directory.join(init::CONNECT), directory };
    match found(&ready.directory)? {
        Some(Finished { persons, .. }) => {
            teller.line(&format!("using the enclave in {}: {persons} persons", ready.directory.display()))?;
            if persons != demo.persons {
                let other = "for another number of persons choose another --dir, or remove this one";
                teller.line(&format!("(asked for {}: {other})", demo.persons))?;
            }
        }
        None => make(demo, &ready.directory, teller)?,
    }
    Ok(ready)
}

/// The record of a finished demo; none where the directory is absent or empty.
fn found(directory: &Path) -> Result<Option<Finished>, Stop> {
    let empty = match fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_none(),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => true,
        Err(fault) => return Err(disk(directory, &fault)),
    };
    if empty {
        return Ok(None);
    }
    let finished = fs::read_to_string(directory.join(FINISHED)).ok();
    let finished = finished.and_then(|text| serde_json::from_str(&text).ok());
    let half = || {
        let dir = directory.display();
        match directory.join(config::FILE).exists() {
            true => format!("{dir} holds a demo that was not finished: remove it (rm -r {dir}) and run again"),
            false => format!("{dir} is not empty and holds no demo: choose another --dir"),
        }
    };
    finished.map(Some).ok_or_else(|| Stop::Usage(half()))
}

fn make(demo: &Demo, directory: &Path, teller: &mut Teller<'_>) -> Result<(), Stop> {
    let clock = Clock::of_the_machine();
    let (dataset, vocabulary) = (name(DatasetName::new("demo"))?, name(VocabularyName::new("vocab"))?);
    let beginning = init::Beginning {
        directory: directory.to_path_buf(),
        name: "demo".into(),
        dataset: dataset.clone(),
        model: "omop-5.4".into(),
        population: name(PopulationName::new("jp"))?,
        population_max: demo.persons,
        epsilon: EPSILON,
        vocabulary: vocabulary.clone(),
        flight: SocketAddr::from((Ipv4Addr::LOCALHOST, 8815)),
        master: MasterSource::default(),
        rows_per_person: &ROWS_PER_PERSON,
    };
    init::make(&beginning, &init::sample_accounts()?, true, &clock)?;
    let config = Config::load(directory)?;
    let declared = config.dataset(&dataset).ok_or_else(|| Stop::Fault("the demo has no data set".into()))?;
    teller.line(&format!("made {}: keys, certificates, books, one account per role", directory.display()))?;
    teller.line(&format!(
        "caps of the demo: epsilon {} at delta {:e} (a real enclave: 8); population_max {}",
        declared.cap.epsilon(),
        declared.cap.delta(),
        declared.population_max,
    ))?;

    let files = directory.join("synth-tmp");
    let persons = demo.persons;
    teller.timed("drew synthetic persons (OMOP CDM 5.4)", || {
        let made = synth::generate(persons, SEED, &files, crate::synth::Format::Parquet)?;
        Ok(((), format!("{persons} persons, {} rows", made.rows())))
    })?;

    let keys = config.unlock(directory)?;
    let books = Books::open(directory, &keys, clock.clone())?;
    let date = ingest::today(&clock)?;
    let failed = |fault: IngestFault| Stop::fault(&fault);
    let release = "synthetic";
    let folder = files.join(crate::synth::VOCABULARY);
    teller.timed("loaded the public vocabulary", || {
        let done = ingest::vocabulary(
            &config,
            &keys,
            &vocabulary,
            release,
            Format::OmopParquet,
            &folder,
            date,
            REJECT_SHARE_MAX,
        )
        .map_err(failed)?;
        let statement = "made by sekisho synth without regard to the persons drawn".to_owned();
        let declaration = VocabularyDeclaration {
            name: vocabulary.clone(),
            release: release.into(),
            version: done.version,
            statement,
        };
        books.declare_vocabulary(None, declaration)?;
        Ok(((), format!("{} rows, declared public", done.rows_written())))
    })?;
    let source = name(SourceName::new("synth"))?;
    teller.timed("loaded the records", || {
        let done =
            ingest::records(&config, declared, &keys, &source, Format::OmopParquet, &files, date, REJECT_SHARE_MAX)
                .map_err(failed)?;
        let (version, manifest_mac) = (done.version, done.manifest_mac.clone());
        books
            .activate("demo", Activation { dataset: dataset.clone(), version, manifest_mac, source: source.clone() })?;
        Ok(((), format!("{} rows, pseudonymised, as {version}", done.rows_written())))
    })?;
    drop(books);
    fs::remove_dir_all(&files).map_err(|fault| disk(&files, &fault))?;

    // On disk: a whole enclave. From here on a demo in this directory is finished.
    let finished = serde_json::to_string(&Finished { persons, seed: SEED }).map_err(|fault| Stop::fault(&fault))?;
    fs::write(directory.join(FINISHED), finished).map_err(|fault| disk(directory, &fault))
}

/// Opens the gateway on its usual port, or a free one where that is taken, and says so in `connect.json`.
pub(super) async fn open(ready: &Ready) -> Result<serve::Open, Stop> {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let usual = Config::load(&ready.directory)?.flight;
    let taken = std::net::TcpListener::bind(usual).is_err();
    let open = serve::Open::new(&ready.directory, taken.then_some(free)).await?;
    note(&ready.connect, "flight", open.url().into())?;
    Ok(open)
}

/// Writes one field of the connection file, all of it or nothing.
pub(super) fn note(connect: &Path, field: &str, value: serde_json::Value) -> Result<(), Stop> {
    let text = fs::read_to_string(connect).map_err(|fault| disk(connect, &fault))?;
    let mut whole: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&text).map_err(|fault| Stop::fault(&fault))?;
    whole.insert(field.to_owned(), value);
    let text = serde_json::to_string_pretty(&whole).map_err(|fault| Stop::fault(&fault))?;
    let draft = connect.with_extension("json.tmp");
    // What a crash left of an earlier draft.
    let _ = fs::remove_file(&draft);
    crate::keys::write_secret(&draft, text.as_bytes())?;
    fs::rename(&draft, connect).map_err(|fault| disk(connect, &fault))
}

fn name<T>(made: Result<T, crate::terms::IdFault>) -> Result<T, Stop> {
    made.map_err(|fault| Stop::fault(&fault))
}

pub(super) fn disk(path: &Path, fault: &io::Error) -> Stop {
    Stop::Fault(format!("{}: {fault}", path.display()))
}

/// ε of the demo's caps: its persons do not exist.
const EPSILON: f64 = 100.0;
/// What its persons grow from.
const SEED: u64 = 7;
/// How many rows the generator makes for a person, rounded up: it is known before any is drawn.
const ROWS_PER_PERSON: [(&str, u32); 7] = [
    ("observation_period", 2),
    ("visit_occurrence", 14),
    ("condition_occurrence", 9),
    ("drug_exposure", 14),
    ("procedure_occurrence", 2),
    ("measurement", 19),
    ("observation", 2),
];
/// Says that the enclave is whole.
const FINISHED: &str = "demo.json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_new_finished_half_made_or_somebody_elses() {
        let dir = tempfile::tempdir().unwrap();
        assert!(found(dir.path()).unwrap().is_none());
        assert!(found(&dir.path().join("absent")).unwrap().is_none());
        fs::write(dir.path().join("mine"), "x").unwrap();
        let words = |stop: Option<Stop>| stop.and_then(|s| s.words().map(str::to_owned)).unwrap();
        assert!(words(found(dir.path()).err()).contains("holds no demo"));
        fs::write(dir.path().join(config::FILE), "x").unwrap();
        assert!(words(found(dir.path()).err()).contains("rm -r"));
        fs::write(dir.path().join(FINISHED), r#"{"persons":100,"seed":7}"#).unwrap();
        assert_eq!(found(dir.path()).unwrap().unwrap().persons, 100);
    }
}
