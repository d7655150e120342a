//! Does a load that is stopped at any moment leave a whole version in force?

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use sekisho::{
    engine::layout::Manifest,
    keys::Keys,
    record::Books,
    terms::{Clock, DatasetName},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sekisho");

/// An enclave with one version of 1,500 persons in force, and another delivery for it.
struct Clinic {
    folder: tempfile::TempDir,
}

impl Clinic {
    fn with_a_version() -> Self {
        let clinic = Self { folder: tempfile::tempdir().unwrap() };
        let dir = clinic.dir();
        let init = ["init", "--dir", dir.to_str().unwrap(), "--with-sample-accounts", "--population-max", "2000"];
        assert!(quiet(&init).status().unwrap().success());
        let delivery = clinic.delivery();
        let synth = ["synth", "--persons", "1500", "--seed", "7", "--out", delivery.to_str().unwrap()];
        assert!(quiet(&synth).status().unwrap().success());
        assert!(clinic.load().status().unwrap().success());
        assert_eq!(clinic.version_in_force(), 1);
        clinic
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("enclave")
    }

    fn delivery(&self) -> PathBuf {
        self.folder.path().join("delivery")
    }

    fn words(&self) -> Vec<String> {
        let (dir, delivery) = (self.dir().display().to_string(), self.delivery().display().to_string());
        ["ingest", "--dir", &dir, "--dataset", "demo", "--source", "hospital_a", "--format", "omop-parquet", &delivery]
            .map(str::to_owned)
            .to_vec()
    }

    fn load(&self) -> Command {
        quiet(&self.words())
    }

    /// The number of the version that the books name, every byte of which is as it was written.
    fn version_in_force(&self) -> u32 {
        let keys = Keys::load(&self.dir().join("keys")).unwrap();
        let books = Books::open(&self.dir(), &keys, Clock::of_the_machine()).unwrap();
        let named = books.activation(&DatasetName::new("demo").unwrap()).unwrap().unwrap();
        let folder = self.data().join(format!("v{}", named.version.0));
        let mac: Vec<u8> =
            (0..32).map(|i| u8::from_str_radix(&named.manifest_mac[2 * i..2 * i + 2], 16).unwrap()).collect();
        let manifest = Manifest::read(&folder).unwrap();
        manifest.verify(&folder, keys.file(), &mac.try_into().unwrap()).unwrap();
        named.version.0
    }

    fn data(&self) -> PathBuf {
        self.dir().join("data/demo")
    }

    /// Folders that are being written, or were when somebody stopped it.
    fn unfinished(&self) -> usize {
        let names = std::fs::read_dir(self.data()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with(".v")).count()
    }
}

fn quiet(words: &[impl AsRef<std::ffi::OsStr>]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn killed_at_any_moment_a_load_leaves_a_whole_version_in_force() {
    let clinic = Clinic::with_a_version();
    let begun = Instant::now();
    assert!(clinic.load().status().unwrap().success());
    let whole = begun.elapsed();
    let mut last = clinic.version_in_force();
    assert_eq!(last, 2);
    let (mut killed, mut half_written) = (0, 0);
    for sixteenth in 0..16 {
        let mut load = clinic.load().spawn().unwrap();
        thread::sleep(whole * sixteenth / 16 + Duration::from_millis(1));
        load.kill().unwrap();
        killed += u32::from(!load.wait().unwrap().success());
        half_written += u32::from(clinic.unfinished() > 0);
        let now = clinic.version_in_force();
        assert!(now == last || now > last && now <= last + 2, "from version {last} to {now}");
        last = now;
    }
    assert!(killed >= 8 && half_written >= 1, "killed {killed}, caught while writing {half_written}");
    crate::say(&format!(
        "loads killed: {killed} of 16, {half_written} while writing; a whole version in force after each"
    ));
    assert!(clinic.load().status().unwrap().success(), "the next load goes through");
    assert!(clinic.version_in_force() > last);
    assert_eq!(clinic.unfinished(), 0, "what a killed load left is swept by the next");
}

#[test]
fn a_disk_that_takes_no_more_fails_the_load_and_changes_nothing() {
    let clinic = Clinic::with_a_version();
    for kilobytes in [64, 128, 512] {
        // A file may not grow beyond this: writing fails as on a full disk, and the signal is ignored.
        let limited = format!("ulimit -f {}; trap '' XFSZ; exec \"$@\"", kilobytes * 2);
        let output = Command::new("sh").args(["-c", &limited, "sh", PROGRAM]).args(clinic.words()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{kilobytes} kB: {said}");
        assert!(said.contains("File too large"), "{said}");
        assert_eq!((clinic.version_in_force(), clinic.unfinished()), (1, 0), "{kilobytes} kB");
    }
    assert!(versions(&clinic.data()) == ["v1"], "{:?}", versions(&clinic.data()));
}

fn versions(data: &Path) -> Vec<String> {
    let names = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.starts_with('v')).collect();
    names.sort();
    names
}
