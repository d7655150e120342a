//! Does every charge stand, whatever fails at whatever step?
//!
//! Every act meets every fault at every step of the commit protocol. Afterwards the books are opened again and must be
//! exactly those of before the act or exactly those of after it: after it where the caller was told so.
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::AtomicBool,
};

use super::{
    acts::{Act, picture, sound},
    *,
};
use crate::store::{Meddling, Step, Steps};

/// The books as they are after a crash right before an act, between its commits where it has two, and right after it.
pub(super) struct Pictures {
    before: Vec<String>,
    between: Option<Vec<String>>,
    after: Vec<String>,
}

impl Pictures {
    pub(super) fn of(act: Act, pad: usize) -> Self {
        let (enclave, books) = Enclave::new();
        let doing = act.prepare_padded(&books, pad);
        let seen = |folder: &Path| picture(&crashed(folder, &enclave).1);
        let before = seen(enclave.dir.path());
        // An answer sold again is charged in a first commit and released in a second, as a fresh one is.
        let between = (act == Act::SellAgain).then(|| {
            let (folder, copy) = crashed(enclave.dir.path(), &enclave);
            let _charged = copy.reserve_in(charge("P-2", pure(0.25)), question(), ledger::Scope::Again).unwrap();
            seen(folder.path())
        });
        doing(&books).unwrap();
        let after = seen(enclave.dir.path());
        assert_ne!(before, after, "{act:?} leaves a trace");
        Self { before, between, after }
    }
}

/// The books as another machine finds them from the files as they lie there now.
fn crashed(folder: &Path, enclave: &Enclave) -> (tempfile::TempDir, Books) {
    let copy = tempfile::tempdir().unwrap();
    for file in ["books.db", "books.db-wal"] {
        std::fs::copy(folder.join(file), copy.path().join(file)).unwrap();
    }
    let opened = Books::open(copy.path(), &enclave.keys, enclave.clock()).unwrap();
    (copy, opened)
}

/// What was found after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    Before,
    Between,
    After,
}

/// Opens the books again and says which of these they are. Everything else is a failure.
pub(super) fn found(enclave: &Enclave, pictures: &Pictures, what: &str) -> Found {
    let books = enclave.open().unwrap_or_else(|fault| panic!("{what}: {fault}"));
    sound(&books, &enclave.dir.path().join("export"));
    let seen = picture(&books);
    // And they go on from there.
    let reservation = books.reserve(charge("P-1", pure(0.01)), question()).unwrap();
    let receipt = books.release(reservation, answer(99, 1.0)).unwrap();
    assert_eq!(receipt.verify(&books.verifier()), Ok(()));
    match seen {
        seen if seen == pictures.before => Found::Before,
        seen if seen == pictures.after => Found::After,
        seen if pictures.between.as_ref() == Some(&seen) => Found::Between,
        seen => panic!("{what}: half done: {seen:#?}"),
    }
}

/// What is expected where the fault met the first commit of the act.
fn first_commit(act: Act, expected: Found) -> Found {
    if act == Act::SellAgain && expected == Found::After { Found::Between } else { expected }
}

#[derive(Default)]
struct Table(BTreeMap<(String, String), BTreeMap<Found, u32>>);

impl Table {
    fn add(&mut self, fault: &str, step: &str, found: Found) {
        *self.0.entry((fault.to_owned(), step.to_owned())).or_default().entry(found).or_default() += 1;
    }

    fn print(&self, title: &str) {
        say(&format!("{title}: acts found as before, charged and not released, as after"));
        for ((fault, step), found) in &self.0 {
            let of = |what| found.get(&what).copied().unwrap_or(0);
            let (before, between, after) = (of(Found::Before), of(Found::Between), of(Found::After));
            say(&format!("  {fault:<16} {step:<10} before {before:>4}  between {between:>4}  after {after:>4}"));
        }
        let all: u32 = self.0.values().flat_map(BTreeMap::values).sum();
        say(&format!("  {} cells, {all} crashes, 0 half done, 0 charges lost, 0 answers without record", self.0.len()));
    }
}

#[test]
fn every_act_meets_every_fault_at_every_step() {
    let mut table = Table::default();
    let cells = [
        ("fails", Step::Begin, Some(Meddling::Fails), Found::Before),
        ("fails", Step::Ran, Some(Meddling::Fails), Found::Before),
        ("fails", Step::Commit, Some(Meddling::Fails), Found::Before),
        ("done but fails", Step::Commit, Some(Meddling::DoneButFails), Found::After),
        ("done but fails", Step::Committed, Some(Meddling::Fails), Found::After),
        ("panics", Step::Begin, None, Found::Before),
        ("panics", Step::Ran, None, Found::Before),
        ("panics", Step::Commit, None, Found::Before),
        ("panics", Step::Committed, None, Found::After),
    ];
    for act in Act::ALL {
        let pictures = Pictures::of(act, 0);
        for (fault, at, meddling, expected) in cells {
            let what = format!("{act:?} {fault} at {at:?}");
            let (enclave, books) = Enclave::new();
            drop(books);
            let armed = Arc::new(AtomicBool::new(false));
            let trigger = Arc::clone(&armed);
            let steps = Steps::meddled(move |step| match step == at && trigger.load(Ordering::SeqCst) {
                true => meddling.unwrap_or_else(|| panic!("a fault of ours, on purpose")),
                false => Meddling::Nothing,
            });
            let store = Store::open_meddled(
                &enclave.dir.path().join(FILE),
                schema::MIGRATIONS,
                enclave.keys.books().bytes(),
                steps,
            )
            .unwrap();
            let books = Books::over(store, &enclave.keys, enclave.clock()).unwrap();
            let doing = act.prepare(&books);
            armed.store(true, Ordering::SeqCst);
            assert!(doing(&books).is_err(), "{what}: the caller is told that it is not known to be done");
            // Poisoned, and it stays so although the disk is well again.
            armed.store(false, Ordering::SeqCst);
            for _ in 0..3 {
                assert!(books.is_poisoned(), "{what}");
                assert!(books.reserve(charge("P-1", pure(0.1)), question()).is_err(), "{what}");
                assert!(books.budgets().is_err() && books.kept(&[7; 32], &permit_id("P-1"), |_, _| true).is_err());
            }
            drop(books);
            let found = found(&enclave, &pictures, &what);
            assert_eq!(found, first_commit(act, expected), "{what}");
            table.add(fault, &format!("{at:?}"), found);
        }
    }
    table.print("faults at steps");
}

#[test]
fn a_process_killed_at_any_step_leaves_before_or_after() {
    let mut table = Table::default();
    let acts = [
        Act::Reserve,
        Act::Release,
        Act::Fail,
        Act::SellAgain,
        Act::Grant,
        Act::Account,
        Act::Activate,
        Act::Halt,
        Act::EndByHalt,
        Act::Publish,
    ];
    for act in acts {
        let pictures = Pictures::of(act, 0);
        for (at, expected) in [
            (Step::Begin, Found::Before),
            (Step::Ran, Found::Before),
            (Step::Commit, Found::Before),
            (Step::Committed, Found::After),
            (Step::Told, Found::After),
        ] {
            let (enclave, books) = Enclave::new();
            drop(books);
            let mut child = child(
                &enclave,
                "a_child_that_is_killed",
                &[("ACT", &format!("{act:?}")), ("STEP", &format!("{at:?}"))],
            );
            let out = BufReader::new(child.stdout.take().unwrap());
            assert!(out.lines().map_while(Result::ok).any(|line| line.contains("there")), "{act:?} {at:?}");
            // SIGKILL: nothing of the process runs any more.
            child.kill().unwrap();
            child.wait().unwrap();
            enclave.hand.store(1_000, Ordering::Relaxed);
            let found = found(&enclave, &pictures, &format!("{act:?} killed at {at:?}"));
            assert_eq!(found, first_commit(act, expected), "{act:?} killed at {at:?}");
            table.add("SIGKILL", &format!("{at:?}"), found);
        }
    }
    table.print("a process killed");
}

/// Runs the test `name` of this binary as a process of its own, on the books of `enclave`.
fn child(enclave: &Enclave, name: &str, given: &[(&str, &str)]) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&format!("record::tests::crashes::{name}"), "--exact", "--ignored", "--nocapture"]);
    command.env("SEKISHO_CRASH_DIR", enclave.dir.path()).stdout(Stdio::piped()).stderr(Stdio::null());
    for (key, value) in given {
        command.env(format!("SEKISHO_CRASH_{key}"), value);
    }
    command.spawn().unwrap()
}

/// The enclave that the parent made, in a child.
pub(super) fn given() -> Option<(Enclave, impl Fn(&str) -> String)> {
    let dir = std::path::PathBuf::from(std::env::var_os("SEKISHO_CRASH_DIR")?);
    let keys = Keys::load(&dir.join("keys")).unwrap();
    // A folder that nobody takes away when the child ends.
    let own = tempfile::tempdir().unwrap();
    let dir_of_parent = own.path().join("enclave");
    std::os::unix::fs::symlink(&dir, &dir_of_parent).unwrap();
    let enclave = Enclave { dir: own, keys, hand: Arc::new(AtomicI64::new(1_000)) };
    Some((enclave, |key: &str| std::env::var(format!("SEKISHO_CRASH_{key}")).unwrap()))
}

#[test]
#[ignore = "half of a_process_killed_at_any_step_leaves_before_or_after, which runs it in a process of its own and kills that"]
fn a_child_that_is_killed() {
    let Some((enclave, given)) = given() else { return };
    let (act, at) = (Act::named(&given("ACT")), given("STEP"));
    let armed = Arc::new(AtomicBool::new(false));
    let (trigger, begun) = (Arc::clone(&armed), AtomicBool::new(false));
    let steps = Steps::meddled(move |step| {
        // The commit before may still be telling its callers.
        let this_one = trigger.load(Ordering::SeqCst) && (begun.load(Ordering::SeqCst) || step == Step::Begin);
        begun.store(this_one, Ordering::SeqCst);
        if this_one && format!("{step:?}") == at {
            child_says("there");
            loop {
                std::thread::park();
            }
        }
        Meddling::Nothing
    });
    let store = Store::open_meddled(
        &enclave.dir.path().join("enclave").join(FILE),
        schema::MIGRATIONS,
        enclave.keys.books().bytes(),
        steps,
    )
    .unwrap();
    let books = Books::over(store, &enclave.keys, enclave.clock()).unwrap();
    let doing = act.prepare(&books);
    armed.store(true, Ordering::SeqCst);
    let _ = doing(&books);
    std::thread::sleep(std::time::Duration::from_secs(60));
}

#[test]
fn a_log_torn_at_any_byte_of_the_last_commit_leaves_before_or_after() {
    let mut table = Table::default();
    for act in [Act::Reserve, Act::Release, Act::Fail, Act::SellAgain, Act::Grant, Act::Activate] {
        let pictures = Pictures::of(act, 0);
        let (enclave, books) = Enclave::new();
        let doing = act.prepare(&books);
        let file = |name: &str| std::fs::read(enclave.dir.path().join(name)).unwrap();
        let (database, written) = (file("books.db"), file("books.db-wal").len());
        doing(&books).unwrap();
        let log = file("books.db-wal");
        assert!(log.len() > written && written > 32, "{act:?} appends");
        let frame = 24 + 4096;
        assert_eq!((log.len() - 32) % frame, 0);
        // Every frame boundary of the commit and bytes around it; inside the last two frames also in between.
        let boundaries: BTreeSet<usize> = (written..=log.len()).step_by(frame).collect();
        let mut cuts: BTreeSet<(usize, &str)> = BTreeSet::new();
        for &boundary in &boundaries {
            cuts.extend([0, 1, 8, 24, 25, 2_000].map(|more| (boundary + more, "cut")));
            cuts.extend([0, 24, 100].map(|more| (boundary + more, "zeros after")));
            cuts.extend([0, 24, 100].map(|more| (boundary + more, "noise after")));
            cuts.insert((boundary - 1, "cut"));
        }
        cuts.extend((log.len() - 2 * frame..log.len()).step_by(997).map(|cut| (cut, "cut")));
        for (cut, fault) in cuts.into_iter().filter(|(cut, _)| (written..=log.len()).contains(cut)) {
            let what = format!("{act:?} {fault} {cut} of {written} to {}", log.len());
            let copy = tempfile::tempdir().unwrap();
            let mut torn = log[..cut].to_vec();
            match fault {
                "zeros after" => torn.resize(log.len(), 0),
                "noise after" => torn.resize(log.len(), 0xa5),
                _ => {}
            }
            std::fs::write(copy.path().join("books.db"), &database).unwrap();
            std::fs::write(copy.path().join("books.db-wal"), &torn).unwrap();
            let keys = Keys::load(&enclave.dir.path().join("keys")).unwrap();
            let torn = Enclave { dir: copy, keys, hand: Arc::new(AtomicI64::new(1_000)) };
            let found = found(&torn, &pictures, &what);
            assert_eq!(found == Found::After, cut == log.len(), "{what}");
            assert!(found != Found::Between || act == Act::SellAgain, "{what}");
            table.add("torn", fault, found);
        }
    }
    table.print("the write-ahead log torn in its last commit");
}

#[test]
fn pages_torn_while_the_log_is_written_back_are_mended_from_the_log() {
    let mut table = Table::default();
    for act in [Act::Reserve, Act::Release, Act::Fail, Act::SellAgain, Act::Publish] {
        let pictures = Pictures::of(act, 0);
        let (enclave, books) = Enclave::new();
        act.prepare(&books)(&books).unwrap();
        let file = |name: &str| std::fs::read(enclave.dir.path().join(name)).unwrap();
        let (database, log) = (file("books.db"), file("books.db-wal"));
        let frames: Vec<&[u8]> = log[32..].chunks(24 + PAGE).collect();
        // The machine stops while page after page of the log goes into the database: some are there, one is torn.
        for (n, frame) in frames.iter().enumerate() {
            for (torn, what) in [(0, "none of it"), (512, "512 bytes"), (PAGE / 2, "half"), (PAGE, "all of it")] {
                let mut pages = database.clone();
                for done in &frames[..n] {
                    write_back(&mut pages, done, PAGE);
                }
                write_back(&mut pages, frame, torn);
                let copy = tempfile::tempdir().unwrap();
                std::fs::write(copy.path().join("books.db"), &pages).unwrap();
                std::fs::write(copy.path().join("books.db-wal"), &log).unwrap();
                let keys = Keys::load(&enclave.dir.path().join("keys")).unwrap();
                let copy = Enclave { dir: copy, keys, hand: Arc::new(AtomicI64::new(1_000)) };
                let found = found(&copy, &pictures, &format!("{act:?} {what} of page {n}"));
                assert_eq!(found, Found::After, "{act:?} {what} of page {n}");
                table.add("torn page", what, found);
            }
        }
    }
    table.print("a page torn while the log is written back");
}

const PAGE: usize = 4096;

/// The first bytes of the page that a frame of the log holds, where they belong in the database.
fn write_back(database: &mut Vec<u8>, frame: &[u8], bytes: usize) {
    let number = u32::from_be_bytes(frame[..4].try_into().unwrap());
    let at = (usize::try_from(number).unwrap() - 1) * PAGE;
    if database.len() < at + bytes {
        database.resize(at + bytes, 0);
    }
    database[at..at + bytes].copy_from_slice(&frame[24..24 + bytes]);
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let mut table = Table::default();
    for act in Act::ALL {
        for pad in [0, 100_000] {
            let pictures = Pictures::of(act, pad);
            let (enclave, books) = Enclave::new();
            let doing = act.prepare_padded(&books, pad);
            // No page more than there are: what needs a new one meets SQLITE_FULL; what fits is done.
            books.write(|w| Ok::<_, BooksFault>(w.connection.pragma_update(None, "max_page_count", 1)?)).unwrap();
            let told = doing(&books);
            drop(books);
            let found = found(&enclave, &pictures, &format!("{act:?} on a full disk"));
            assert_eq!(found == Found::After, told.is_ok(), "{act:?}");
            assert!(found != Found::Between || act == Act::SellAgain, "{act:?}");
            table.add("full disk", if pad == 0 { "small" } else { "large" }, found);
        }
    }
    table.print("a full disk: small entries may still fit into pages that are there");
}

#[test]
fn a_disk_that_fills_up_at_any_block_loses_no_charge() {
    let (mut crashes, mut charged) = (0, 0);
    // The operating system itself refuses to write beyond so many blocks of 512 bytes, in the middle of a frame or not.
    for blocks in (9..9_000).step_by(211) {
        let (enclave, books) = Enclave::new();
        drop(books);
        let exe = std::env::current_exe().unwrap();
        let limited = format!(
            "trap '' XFSZ; ulimit -f {blocks}; exec '{}' record::tests::crashes::a_child_on_a_small_disk --exact --ignored --nocapture",
            exe.display()
        );
        let child = Command::new("sh").args(["-c", &limited]).env("SEKISHO_CRASH_DIR", enclave.dir.path()).output();
        let said = String::from_utf8(child.unwrap().stdout).unwrap();
        let acked = |what: &str| said.matches(what).count();
        let books = enclave.open().unwrap();
        sound(&books, &enclave.dir.path().join("export"));
        let taken = kinds(&books).iter().filter(|kind| *kind == "admission").count();
        let released = kinds(&books).iter().filter(|kind| *kind == "release").count();
        assert!(taken >= acked("reserved") && taken <= acked("reserved") + 1, "{blocks}: {said}");
        assert!(released >= acked("released"), "{blocks}: {said}");
        assert!(said.contains("stopped") || said.contains("did not open"), "{blocks}: {said}");
        let each = pure(0.001);
        let expected = (0..taken).fold(Loss::zero(), |total, _| total.plus(&each).unwrap());
        assert_eq!(all_caps(&books)[0].spent, expected, "{blocks}");
        crashes += 1;
        charged += taken;
    }
    say(&format!("a disk that fills up: {crashes} sizes, {charged} charges, 0 lost"));
    assert!(charged > 100, "{charged}");
}

#[test]
#[ignore = "half of a_disk_that_fills_up_at_any_block_loses_no_charge, which runs it in a process that may write only so much"]
fn a_child_on_a_small_disk() {
    let Some((enclave, _)) = given() else { return };
    let Ok(books) = Books::open(&enclave.dir.path().join("enclave"), &enclave.keys, enclave.clock()) else {
        child_says("did not open");
        return;
    };
    for n in 0..200 {
        let Ok(reservation) = books.reserve(charge("P-1", pure(0.001)), question()) else { break };
        child_says("reserved");
        let Ok(_) = books.release(reservation, answer(n, 20.0)) else { break };
        child_says("released");
    }
    child_says("stopped");
}
