//! How does an enclave begin?
//!
//! Everything is made in a hidden folder beside the directory and moved there in one step, so that there is a whole
//! enclave or none.

use std::{
    collections::BTreeSet,
    io::Write,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde_json::json;

use super::{secret, stop::Stop};
use crate::{
    catalog::Model,
    certificates,
    config::{self, Config},
    identity::Passwords,
    keys::{self, Keys, MasterSource},
    policy::PolicyFiles,
    record::{Books, NewAccount},
    terms::{AccountName, Cap, Clock, DatasetName, Language, PopulationName, Role, VocabularyName},
};

/// Make a new enclave: its directory with keys, certificates, books, policies and sekisho.toml.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "The first accounts are made here, since nobody is there yet who could add them: \
one at least of each of reviewer, auditor, custodian and operator, and better two: later it takes two \
reviewers, auditors or custodians to make another.\n\n\
  sekisho init --dir D --with-sample-accounts\n\
  sekisho init --dir D --population-max 5000000 --account aki:reviewer:aki.pw --account ren:auditor:ren.pw \\\n      \
--account jun:custodian:jun.pw --account mio:operator:mio.pw")]
pub struct Init {
    /// The directory to make; it must be absent or empty.
    #[arg(long, value_name = "D")]
    pub dir: PathBuf,
    /// The enclave's name; its log is called sekisho/NAME.
    #[arg(long, default_value = "enclave")]
    pub name: String,
    /// The data set, which is also the SQL schema of its tables.
    #[arg(long, default_value = "demo")]
    pub dataset: DatasetName,
    /// What its tables are: a built-in model (see `sekisho catalog check`).
    #[arg(long, default_value = "omop-5.4")]
    pub model: String,
    /// The population whose persons the data set is about.
    #[arg(long, default_value = "jp")]
    pub population: PopulationName,
    /// The most persons of the population there will ever be; rounded up to two digits, public.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    pub population_max: u64,
    /// The public vocabulary read beside the data set.
    #[arg(long, default_value = "vocab")]
    pub vocabulary: VocabularyName,
    /// Where the Flight SQL server will listen.
    #[arg(long, value_name = "ADDR", default_value = config::FLIGHT)]
    pub flight: SocketAddr,
    /// Where the master key comes from that seals all others; a file that does not exist is made. Without it the master
    /// key lies in D/keys, which protects a copy of books or data, not of all of D.
    #[arg(long, value_name = "SOURCE", default_value_t = MasterSource::default())]
    pub master_key: MasterSource,
    /// One account per role with random passwords, written to D/connect.json. For trying out, not for service.
    #[arg(long, conflicts_with = "account")]
    pub with_sample_accounts: bool,
    /// A first account, with its password in the first line of a file; without FILE it is asked for.
    #[arg(long, value_name = "NAME:ROLE[,ROLE]:[FILE]", required_unless_present = "with_sample_accounts")]
    pub account: Vec<AccountToMake>,
}

/// `NAME:ROLE[,ROLE]:FILE`.
#[derive(Debug, Clone)]
pub struct AccountToMake {
    name: AccountName,
    roles: BTreeSet<Role>,
    password_file: Option<PathBuf>,
}

impl FromStr for AccountToMake {
    type Err = String;
    fn from_str(given: &str) -> Result<Self, String> {
        let mut parts = given.splitn(3, ':');
        let (name, roles) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let file = parts.next().filter(|file| !file.is_empty());
        Ok(Self {
            name: name.parse().map_err(|fault: crate::terms::IdFault| fault.to_string())?,
            roles: roles.split(',').map(Role::from_str).collect::<Result<_, _>>()?,
            password_file: file.map(PathBuf::from),
        })
    }
}

/// What an enclave begins with.
#[derive(Clone)]
pub struct Beginning {
    /// Its directory, absent or empty.
    pub directory: PathBuf,
    /// Its name.
    pub name: String,
    /// Its data set.
    pub dataset: DatasetName,
    /// The model of the data set.
    pub model: String,
    /// The population of the data set.
    pub population: PopulationName,
    /// The most persons; rounded up here.
    pub population_max: u64,
    /// ε of the caps of population and data set.
    pub epsilon: f64,
    /// The vocabulary beside the data set.
    pub vocabulary: VocabularyName,
    /// Where it will listen.
    pub flight: SocketAddr,
    /// Where its master key comes from.
    pub master: MasterSource,
    /// Rows that a person usually has, by table, as far as that is known beforehand.
    pub rows_per_person: &'static [(&'static str, u32)],
}

/// An account with its password in clear, on its way to be hashed.
#[derive(Clone)]
pub struct FirstAccount {
    /// Its name.
    pub name: AccountName,
    /// Its roles.
    pub roles: BTreeSet<Role>,
    /// Its password.
    pub password: String,
}

/// Makes the enclave and says what was made.
///
/// # Errors
/// [`Stop`]; nothing is left then.
pub fn run(init: &Init, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Stop> {
    let accounts = match init.with_sample_accounts {
        true => sample_accounts()?,
        false => given_accounts(&init.account, err)?,
    };
    let beginning = Beginning {
        directory: init.dir.clone(),
        name: init.name.clone(),
        dataset: init.dataset.clone(),
        model: init.model.clone(),
        population: init.population.clone(),
        population_max: init.population_max,
        epsilon: EPSILON,
        vocabulary: init.vocabulary.clone(),
        flight: init.flight,
        master: init.master_key.clone(),
        rows_per_person: &[],
    };
    make(&beginning, &accounts, init.with_sample_accounts, &Clock::of_the_machine())?;
    let dir = init.dir.display();
    writeln!(out, "made the enclave {} in {dir}", init.name)?;
    writeln!(
        out,
        "next: sekisho ingest --dir {dir} --dataset {} --source SOURCE --format omop-csv PATH",
        init.dataset
    )?;
    writeln!(out, "      sekisho serve --dir {dir}")?;
    if init.with_sample_accounts {
        writeln!(out, "accounts with their passwords: {dir}/connect.json (for trying out, not for service)")?;
    }
    Ok(())
}

/// One account per role, named like the role, and a second of each role that takes two to give, with random passwords.
///
/// # Errors
/// [`Stop::Fault`] where there is no randomness.
pub fn sample_accounts() -> Result<Vec<FirstAccount>, Stop> {
    let account = |(role, name): (Role, String)| {
        let name = AccountName::new(name).map_err(|fault| Stop::fault(&fault))?;
        Ok(FirstAccount { name, roles: BTreeSet::from([role]), password: secret::fresh()? })
    };
    let first = Role::ALL.into_iter().map(|role| (role, role.to_string()));
    let second = Role::ALL.into_iter().filter(|role| role.takes_two()).map(|role| (role, format!("{role}2")));
    first.chain(second).map(account).collect()
}

fn given_accounts(given: &[AccountToMake], err: &mut dyn Write) -> Result<Vec<FirstAccount>, Stop> {
    for needed in [Role::Reviewer, Role::Auditor, Role::Custodian, Role::Operator] {
        if !given.iter().any(|account| account.roles.contains(&needed)) {
            let fix = format!("the first {needed} is made here: --account NAME:{needed}:FILE");
            return Err(Stop::Usage(fix));
        }
    }
    for role in Role::ALL.into_iter().filter(|role| role.takes_two()) {
        if given.iter().filter(|account| account.roles.contains(&role)).count() < 2 {
            let alone = format!("note: with one {role} nobody can ever be made {role} later, since it takes two");
            // A terminal that is gone is no reason to make no enclave.
            let _ = writeln!(err, "{alone}; name a second one with --account");
        }
    }
    let with_password = |account: &AccountToMake| {
        let password = secret::password(account.password_file.as_deref(), account.name.as_str(), err)?;
        Ok(FirstAccount { name: account.name.clone(), roles: account.roles.clone(), password })
    };
    given.iter().map(with_password).collect()
}

/// Makes an enclave, complete or not at all. With `keep_passwords` they are written to `connect.json`.
///
/// # Errors
/// [`Stop::Usage`] where the directory holds anything; [`Stop`].
pub fn make(beginning: &Beginning, accounts: &[FirstAccount], keep_passwords: bool, clock: &Clock) -> Result<(), Stop> {
    let directory = std::path::absolute(&beginning.directory)
        .map_err(|fault| Stop::Usage(format!("{}: {fault}", beginning.directory.display())))?;
    refuse_if_filled(&directory)?;
    let draft = draft_beside(&directory)?;
    private_folder(&draft)?;
    let made = fill(&draft, &directory, beginning, accounts, keep_passwords, clock);
    let made = made.and_then(|()| std::fs::rename(&draft, &directory).map_err(|fault| disk(&directory, &fault)));
    if made.is_err() {
        // What went wrong is said above, whatever becomes of the draft.
        let _ = std::fs::remove_dir_all(&draft);
    }
    made
}

fn fill(
    draft: &Path,
    directory: &Path,
    beginning: &Beginning,
    accounts: &[FirstAccount],
    keep_passwords: bool,
    clock: &Clock,
) -> Result<(), Stop> {
    let write = |name: &str, text: &str| {
        let path = draft.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(draft))
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|fault| disk(&path, &fault))
    };
    // 1. What the enclave is. Read back at once, so that a wrong name is found before any key is made.
    Model::builtin(&beginning.model).map_err(|fault| Stop::usage(&fault))?;
    write(config::FILE, &configuration(beginning)?)?;
    for (name, text) in PolicyFiles::embedded().all() {
        write(&format!("policies/{name}"), text)?;
    }
    let config = Config::load(draft)?;

    // 2. Secrets.
    let folder = draft.join("keys");
    let keys = Keys::make_under(&folder, &beginning.master, draft)?;
    certificates::issue(&beginning.name, &[beginning.flight.ip().to_string()], clock.now())?.write(&folder)?;

    // 3. Books: caps, then the first accounts.
    let books = Books::create(draft, &keys, &beginning.name, clock.clone())?;
    for dataset in &config.enclave.datasets {
        books.declare_caps(&dataset.population, dataset.population_cap, &dataset.name, dataset.cap)?;
    }
    let passwords = Passwords::new()?;
    for account in accounts {
        let (name, roles) = (account.name.clone(), account.roles.clone());
        let password_hash = passwords.hash(&account.password)?;
        books.add_account(None, NewAccount { name, roles, language: Language::En, password_hash })?;
    }
    write(LOG_KEY, &format!("{}\n", books.verifier().to_text()))?;
    drop(books);
    private_folder(&draft.join("data"))?;

    // 4. Where and as whom to connect.
    if keep_passwords {
        let shown = |a: &FirstAccount| json!({"name": a.name, "password": a.password, "roles": a.roles});
        let accounts: Vec<_> = accounts.iter().map(shown).collect();
        let connect = json!({
            "flight": format!("grpc+tls://{}", beginning.flight),
            "ca": directory.join("keys/ca.pem"),
            "accounts": accounts,
        });
        let text = serde_json::to_string_pretty(&connect).map_err(|fault| Stop::fault(&fault))?;
        keys::write_secret(&draft.join(CONNECT), text.as_bytes())?;
    }
    Ok(())
}

/// `sekisho.toml` as `init` writes it.
fn configuration(beginning: &Beginning) -> Result<String, Stop> {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let population_max = config::rounded_up(beginning.population_max.max(1));
    let cap = Cap::new(beginning.epsilon, default_delta(population_max)).map_err(|fault| Stop::usage(&fault))?;
    let cap = format!("{{ epsilon = {:?}, delta = {:e} }}", cap.epsilon(), cap.delta());
    Ok(format!(
        "# What this enclave is. Everything here is public. After a change: restart `sekisho serve`.\n\
         # Trusted are all settings but those marked \"untrusted\": whoever can change a trusted one can break the\n\
         # guarantee. `sekisho serve --help` lists them all.\n\
         \n\
         [enclave]\n\
         # The log of the enclave is called sekisho/NAME. It cannot be changed later.\n\
         name = {name}\n\
         \n\
         [listen]\n\
         # untrusted: flight\n\
         flight = {flight}\n\
         # client_ca = [\"keys/lab.pem\"]  # further CAs whose client certificates pass the handshake\n\
         \n\
         [keys]\n\
         # Where the key comes from that opens all others:\n\
         # {forms}\n\
         master = {master}\n\
         \n\
         # Everybody in a population is one person wherever the records lie. population_max: the most persons there will\n\
         # ever be, rounded up to two digits; it cannot be lowered below what is loaded. cap: the most that everything\n\
         # ever answered about the population may reveal about one person.\n\
         [population.{population}]\n\
         population_max = {population_max}\n\
         cap = {cap}\n\
         \n\
         # A data set is an SQL schema. model: what its tables are. vocabularies: public schemas read beside it.\n\
         [dataset.{dataset}]\n\
         population = {population_quoted}\n\
         model = {model}\n\
         cap = {cap}\n\
         vocabularies = [{vocabulary}]\n\
         # release: \"at_deadline\" hides how long an answer took; \"immediate\" does not, and every answer says so.\n\
         release = \"at_deadline\"\n\
         # Rows that a person usually has in a table: public figures that deadlines follow from. 32 where nothing is said.\n\
         # untrusted: rows_per_person\n\
         {rows_per_person}\n\
         \n\
         # How the log is published. outside: a place that is not restored together with this directory.\n\
         # untrusted: checkpoint_seconds\n\
         # [log]\n\
         # checkpoint_seconds = 60\n\
         # outside = \"/mnt/elsewhere/totals\"\n\
         # interval_share = 0.25    # of a cap, between two checkpoints\n\
         # [[log.witness]]\n\
         # url = \"http://witness.example:8817\"\n\
         # key = \"ethics.example/w1+...\"\n\
         \n\
         # The identity provider whose tokens are believed.\n\
         # [oidc]\n\
         # issuer = \"https://idp.example\"\n\
         # audience = \"sekisho\"\n\
         # ca = \"keys/idp.pem\"\n\
         # account_claim = \"sub\"\n\
         # roles_claim = \"groups\"\n\
         # roles = {{ researchers = \"analyst\" }}\n\
         # second_factor = [\"otp\"]\n\
         \n\
         # What the operator watches. show: \"public\", or \"all\", which also says how long work took.\n\
         # untrusted: listen\n\
         # [metrics]\n\
         # listen = \"127.0.0.1:9464\"\n\
         # show = \"public\"\n\
         # [traces]\n\
         # otlp = \"http://127.0.0.1:4317\"\n\
         \n\
         # What questions may use of the machine; public figures. All have defaults.\n\
         # untrusted: row_steps_per_second memory_bytes work_rows_max cells_max waiting_max\n\
         # [engine]\n\
         # threads = 2              # for questions about persons alone; fewer than there are cores\n\
         # row_steps_per_second = 200000000 # of one thread; deadlines follow from it\n\
         # memory_bytes = 4294967296 # for hash tables and sorts; nothing is spilled to disk\n\
         # work_rows_max = 65536    # rows of one person that a step may hold\n\
         # cells_max = 100000       # cells of one release\n\
         # waiting_max = 64         # questions that may wait\n",
        name = quoted(&beginning.name),
        flight = quoted(&beginning.flight.to_string()),
        forms = keys::FORMS,
        master = quoted(&beginning.master.to_string()),
        population = beginning.population,
        population_quoted = quoted(beginning.population.as_str()),
        dataset = beginning.dataset,
        model = quoted(&beginning.model),
        vocabulary = quoted(beginning.vocabulary.as_str()),
        rows_per_person = rows_per_person(beginning.rows_per_person),
    ))
}

fn rows_per_person(known: &[(&str, u32)]) -> String {
    let (known, comment) = match known {
        [] => (&[("measurement", 60), ("visit_occurrence", 20)][..], "# "),
        known => (known, ""),
    };
    let figures: Vec<String> = known.iter().map(|(table, rows)| format!("{table} = {rows}")).collect();
    format!("{comment}rows_per_person = {{ {} }}", figures.join(", "))
}

/// 1 / (10 × population_max), rounded down to a power of ten (privacy.md section 8).
#[must_use]
pub fn default_delta(population_max: u64) -> f64 {
    let (mut power, mut delta) = (1_u64, 1.0_f64);
    let mut digits = 0;
    while power < population_max.saturating_mul(10) && power < u64::MAX / 10 {
        power = power.saturating_mul(10);
        digits += 1;
    }
    if let Ok(exact) = format!("1e-{digits}").parse() {
        delta = exact;
    }
    delta
}

fn private_folder(path: &Path) -> Result<(), Stop> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|fault| disk(path, &fault))
}

fn refuse_if_filled(directory: &Path) -> Result<(), Stop> {
    let wrong = |reason: &dyn std::fmt::Display| Stop::Usage(format!("{}: {reason}", directory.display()));
    match std::fs::read_dir(directory).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(wrong(&"is not empty; an enclave begins in a directory of its own")),
        Ok(false) => Ok(()),
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(fault) => Err(wrong(&fault)),
    }
}

fn draft_beside(directory: &Path) -> Result<PathBuf, Stop> {
    let name = directory.file_name().ok_or_else(|| Stop::Usage("give the directory a name".into()))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".tmp-{}", std::process::id()));
    Ok(directory.with_file_name(hidden))
}

fn disk(path: &Path, fault: &std::io::Error) -> Stop {
    Stop::Fault(format!("{}: {fault}", path.display()))
}

/// ε of the caps of population and data set (privacy.md section 8).
const EPSILON: f64 = 8.0;
/// The log's public key, for whoever verifies a receipt.
pub const LOG_KEY: &str = "log.vkey";
/// Where and as whom to connect.
pub const CONNECT: &str = "connect.json";

#[cfg(test)]
mod tests {
    use super::*;

    fn beginning(directory: PathBuf) -> Beginning {
        Beginning {
            directory,
            name: "test".into(),
            dataset: DatasetName::new("demo").unwrap(),
            model: "omop-5.4".into(),
            population: PopulationName::new("jp").unwrap(),
            population_max: 123_456,
            epsilon: EPSILON,
            vocabulary: VocabularyName::new("vocab").unwrap(),
            flight: config::FLIGHT.parse().unwrap(),
            master: MasterSource::default(),
            rows_per_person: &[("measurement", 18)],
        }
    }

    #[test]
    fn an_enclave_is_made_whole_and_opens_again() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("enclave");
        make(&beginning(directory.clone()), &sample_accounts().unwrap(), true, &Clock::of_the_machine()).unwrap();
        let config = Config::load(&directory).unwrap();
        let dataset = config.enclave.datasets.first().unwrap();
        assert_eq!(dataset.population_max, 130_000);
        assert_eq!(dataset.cap, Cap::new(8.0, 1e-7).unwrap());
        assert_eq!(dataset.rows_per_person.get("measurement"), Some(&18));
        let keys = Keys::load(&directory.join("keys")).unwrap();
        let books = Books::open(&directory, &keys, Clock::of_the_machine()).unwrap();
        assert_eq!(books.accounts().unwrap().len(), 8, "one for each role, two where it takes two");
        let connect = super::super::client::ConnectTo::from_file(&directory.join(CONNECT), None, "auditor").unwrap();
        assert_eq!(connect.user, "auditor");
        let left: Vec<_> = std::fs::read_dir(parent.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing hidden is left");
    }

    #[test]
    fn the_written_file_names_every_setting_and_marks_the_untrusted_ones() {
        let text = configuration(&beginning(PathBuf::new())).unwrap();
        let marked: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# untrusted: "))
            .flat_map(|names| names.split(' '))
            .collect();
        for setting in config::SETTINGS.iter().filter(|setting| setting.name != "web") {
            let named = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{} = ", setting.name));
            assert!(text.lines().any(named), "{} {}", setting.table, setting.name);
            assert_eq!(marked.contains(setting.name), setting.trusted == config::Trusted::No, "{}", setting.name);
        }
        // Taken at its word, with everything that is only an example switched on.
        let on: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ").filter(|rest| rest.contains(" = ") || rest.starts_with('[')) {
                Some(rest) => format!("{rest}\n"),
                None => format!("{line}\n"),
            })
            .collect();
        let fault = Config::read(Path::new("/nowhere"), &on).unwrap_err().to_string();
        assert!(fault.contains("not the public key of a witness"), "{fault}");
    }

    #[test]
    fn a_directory_with_anything_in_it_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        std::fs::write(parent.path().join("mine"), "x").unwrap();
        let accounts = sample_accounts().unwrap();
        let no = make(&beginning(parent.path().into()), &accounts, true, &Clock::of_the_machine()).unwrap_err();
        assert_eq!(no.status(), 2);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_left_where_something_is_wrong() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("enclave");
        let weak = FirstAccount { password: "short".into(), ..sample_accounts().unwrap().remove(0) };
        assert!(make(&beginning(directory), &[weak], true, &Clock::of_the_machine()).is_err());
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn delta_is_a_power_of_ten_below_one_in_ten_populations() {
        assert_eq!(default_delta(100_000).to_bits(), 1e-6_f64.to_bits());
        assert_eq!(default_delta(130_000).to_bits(), 1e-7_f64.to_bits());
        assert_eq!(default_delta(2_000).to_bits(), 1e-5_f64.to_bits());
    }

    #[test]
    fn an_account_is_written_name_role_file() {
        let account: AccountToMake = "aki:reviewer,custodian:pw:1".parse().unwrap();
        assert_eq!(account.roles.len(), 2);
        assert_eq!(account.password_file, Some(PathBuf::from("pw:1")));
        assert!("aki:boss:pw".parse::<AccountToMake>().is_err());
        assert!("aki".parse::<AccountToMake>().is_err());
    }
}
