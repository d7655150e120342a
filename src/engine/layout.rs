//! Where do the rows of a data version lie, and are they still the ones that were written?
//!
//! A data version is a folder `v<N>` that never changes: Parquet files per table and `manifest.json`, which names every
//! file with a keyed hash. Unit tables are cut by owner key into the same ranges; the cut depends on the population's
//! declared maximum alone, so the number of files says nothing about the data. Rows of a range are in the order
//! (owner key, event date, remaining columns), ascending, NULL last.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Component, Path, PathBuf},
};

use chrono::NaiveDate;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::version_key::VersionKey;
use crate::terms::{DataVersion, DatasetName, PopulationName, SourceName, VocabularyName};

/// The name of the manifest in its folder.
pub const MANIFEST_FILE: &str = "manifest.json";

/// The format of manifest that this build writes and reads.
const FORMAT: u32 = 1;

/// At most this many owner keys share a range.
const RANGE_WIDTH_MAX: u64 = 131_072;

/// Why a data version cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayoutFault {
    /// A file of the version cannot be read or written.
    #[error("{file}: cannot be read or written")]
    File {
        /// The file, relative to the version's folder.
        file: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The manifest is not JSON of the expected shape.
    #[error("{MANIFEST_FILE}: {reason}")]
    Manifest {
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The key of the files does not open.
    #[error("{MANIFEST_FILE}: the key of its files does not open with keys/file.key")]
    Key,
    /// A file is not the one that was written.
    #[error("{file}: is not the file that was written (its keyed hash differs)")]
    Altered {
        /// The file, relative to the version's folder.
        file: String,
    },
}

/// How owner keys are cut into ranges: a function of the population's declared maximum alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranges {
    /// How many ranges there are.
    pub count: u32,
    /// How many owner keys a range holds.
    pub width: u64,
}

impl Ranges {
    /// The cut for a population of at most `population_max` persons.
    #[must_use]
    pub fn of(population_max: u64) -> Self {
        let population_max = population_max.clamp(1, u64::from(u32::MAX));
        let count = population_max.div_ceil(RANGE_WIDTH_MAX).max(2);
        Self { count: u32::try_from(count).unwrap_or(u32::MAX), width: population_max.div_ceil(count) }
    }
}

/// What kind of table a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// Rows about persons, cut into ranges.
    Unit,
    /// Rows about no person that are known only from the records: one file.
    Reference,
    /// A table of a public vocabulary: one file.
    Public,
}

/// One Parquet file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Which range of owner keys it holds; none for tables that are not cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<u32>,
    /// Its path, relative to the version's folder, with `/`.
    pub file: String,
    /// HMAC-SHA-256 of its bytes under the file key, in hexadecimal.
    pub mac: String,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableEntry {
    /// Its name in the catalogue.
    pub name: String,
    /// What kind of table it is.
    pub kind: FileKind,
    /// The columns in the order of its files.
    pub columns: Vec<String>,
    /// Its files; for a unit table one for each range, in order.
    pub files: Vec<FileEntry>,
}

/// What a data version consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format of this file: 1.
    pub format: u32,
    /// The data set.
    pub dataset: DatasetName,
    /// The population whose persons it is about.
    pub population: PopulationName,
    /// Which version of the data set.
    pub version: DataVersion,
    /// The catalogue model that it was checked against.
    pub model: String,
    /// The holder that delivered it.
    pub source: SourceName,
    /// The value of `now()` and `current_date` in questions.
    #[serde(with = "iso_day")]
    pub date: NaiveDate,
    /// The population's declared maximum.
    pub persons_max: u64,
    /// How many owner keys a range holds.
    pub range_width: u64,
    /// How many ranges every unit table is cut into.
    pub ranges: u32,
    /// The sealed key of its files; none where they lie in clear, as earlier versions of the program wrote them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// For each range the pseudonyms of its owner keys, in order; none in versions that earlier programs wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub persons: Vec<FileEntry>,
    /// The tables: every unit and Reference table of the model, whether or not the source delivered it.
    pub tables: Vec<TableEntry>,
}

/// What a release of a public vocabulary consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VocabularyManifest {
    /// The format of this file: 1.
    pub format: u32,
    /// The vocabulary.
    pub vocabulary: VocabularyName,
    /// The release as its publisher calls it.
    pub release: String,
    /// The counter of loads of this vocabulary.
    pub version: DataVersion,
    /// The catalogue model that it was checked against.
    pub model: String,
    /// The date of loading.
    #[serde(with = "iso_day")]
    pub date: NaiveDate,
    /// The tables that the release delivered.
    pub tables: Vec<TableEntry>,
}

impl Manifest {
    /// A manifest without tables yet.
    #[must_use]
    pub fn new(
        dataset: DatasetName,
        population: PopulationName,
        version: DataVersion,
        model: String,
        source: SourceName,
        date: NaiveDate,
        persons_max: u64,
    ) -> Self {
        let Ranges { count, width } = Ranges::of(persons_max);
        let tables = Vec::new();
        Self {
            format: FORMAT,
            dataset,
            population,
            version,
            model,
            source,
            date,
            persons_max,
            range_width: width,
            ranges: count,
            key: None,
            persons: Vec::new(),
            tables,
        }
    }

    /// The manifest of the data version in `dir`, its shape checked; [`Manifest::verify`] checks the bytes.
    ///
    /// # Errors
    /// [`LayoutFault`] where it is absent or does not have the shape of a data version.
    pub fn read(dir: &Path) -> Result<Self, LayoutFault> {
        let manifest: Self = parse(&read_manifest(dir)?)?;
        manifest.check_shape()?;
        Ok(manifest)
    }

    /// Writes the manifest into `dir` durably and says its keyed hash, which the books keep.
    ///
    /// # Errors
    /// [`LayoutFault`] where the disk refuses or the shape is wrong.
    pub fn write(&self, dir: &Path, file_key: &[u8; 32]) -> Result<[u8; 32], LayoutFault> {
        self.check_shape()?;
        write_manifest(self, dir, file_key)
    }

    /// The key of its files; none where they lie in clear.
    ///
    /// # Errors
    /// [`LayoutFault::Key`] where it does not open with this file key.
    pub fn version_key(&self, file_key: &[u8; 32]) -> Result<Option<VersionKey>, LayoutFault> {
        let open = |wrapped: &String| VersionKey::unwrap_from(wrapped, file_key, &self.dataset, self.version);
        self.key.as_ref().map(open).transpose()
    }

    /// A table by its name.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&TableEntry> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// The files of a table, relative to the version's folder: of one range, or all in order. Empty where no such table is.
    #[must_use]
    pub fn files(&self, table: &str, range: Option<u32>) -> Vec<PathBuf> {
        let files = self.table(table).map(|t| t.files.as_slice()).unwrap_or_default();
        files.iter().filter(|f| range.is_none() || f.range == range).map(|f| PathBuf::from(&f.file)).collect()
    }

    /// The owner keys of one range: the first, and the first that is no longer in it.
    #[must_use]
    pub fn owner_keys(&self, range: u32) -> (u64, u64) {
        let first = u64::from(range).saturating_mul(self.range_width);
        (first, first.saturating_add(self.range_width))
    }

    /// Whether the manifest is the one whose keyed hash the books keep, and every file the one it names.
    ///
    /// # Errors
    /// [`LayoutFault::Altered`] names the first file that differs.
    pub fn verify(&self, dir: &Path, file_key: &[u8; 32], manifest_mac: &[u8; 32]) -> Result<(), LayoutFault> {
        verify_manifest(self, dir, file_key, manifest_mac)?;
        verify_files(self.tables.iter().flat_map(|t| &t.files).chain(&self.persons), dir, file_key)
    }

    fn check_shape(&self) -> Result<(), LayoutFault> {
        let Ranges { count, width } = Ranges::of(self.persons_max);
        require(self.format == FORMAT, "is of a format that this build does not read")?;
        require((self.ranges, self.range_width) == (count, width), "cuts ranges otherwise than persons_max demands")?;
        check_tables(&self.tables, &self.persons)?;
        let sound = self.persons.is_empty() || self.persons.iter().map(|f| f.range).eq((0..count).map(Some));
        require(sound, "has persons whose files do not fit its ranges")?;
        for table in &self.tables {
            let sound = match table.kind {
                FileKind::Unit => table.files.iter().map(|f| f.range).eq((0..count).map(Some)),
                FileKind::Reference => matches!(table.files.as_slice(), [FileEntry { range: None, .. }]),
                FileKind::Public => false,
            };
            require(sound, "has a table whose files do not fit its kind")?;
        }
        Ok(())
    }
}

impl VocabularyManifest {
    /// A manifest without tables yet.
    #[must_use]
    pub fn new(
        vocabulary: VocabularyName,
        release: String,
        version: DataVersion,
        model: String,
        date: NaiveDate,
    ) -> Self {
        Self { format: FORMAT, vocabulary, release, version, model, date, tables: Vec::new() }
    }

    /// The manifest of the vocabulary release in `dir`, its shape checked.
    ///
    /// # Errors
    /// [`LayoutFault`] where it is absent or does not have the shape of a vocabulary.
    pub fn read(dir: &Path) -> Result<Self, LayoutFault> {
        let manifest: Self = parse(&read_manifest(dir)?)?;
        manifest.check_shape()?;
        Ok(manifest)
    }

    /// Writes the manifest into `dir` durably and says its keyed hash.
    ///
    /// # Errors
    /// [`LayoutFault`] where the disk refuses or the shape is wrong.
    pub fn write(&self, dir: &Path, file_key: &[u8; 32]) -> Result<[u8; 32], LayoutFault> {
        self.check_shape()?;
        write_manifest(self, dir, file_key)
    }

    /// Whether the manifest and every file are those that were written.
    ///
    /// # Errors
    /// [`LayoutFault::Altered`] names the first file that differs.
    pub fn verify(&self, dir: &Path, file_key: &[u8; 32], manifest_mac: &[u8; 32]) -> Result<(), LayoutFault> {
        verify_manifest(self, dir, file_key, manifest_mac)?;
        verify_files(self.tables.iter().flat_map(|t| &t.files), dir, file_key)
    }

    fn check_shape(&self) -> Result<(), LayoutFault> {
        require(self.format == FORMAT, "is of a format that this build does not read")?;
        check_tables(&self.tables, &[])?;
        let one_file = |t: &TableEntry| {
            t.kind == FileKind::Public && matches!(t.files.as_slice(), [FileEntry { range: None, .. }])
        };
        require(self.tables.iter().all(one_file), "has a table whose files do not fit its kind")
    }
}

/// A writer that hashes, under the file key, what passes through it.
pub struct MacWriter<W> {
    inner: W,
    mac: Hmac<Sha256>,
}

impl<W> MacWriter<W> {
    /// Hashes what goes to `inner`.
    #[must_use]
    pub fn new(inner: W, file_key: &[u8; 32]) -> Self {
        Self { inner, mac: keyed(file_key) }
    }

    /// What was written to, and the keyed hash in hexadecimal.
    #[must_use]
    pub fn finish(self) -> (W, String) {
        (self.inner, hexadecimal(&self.mac.finalize().into_bytes()))
    }
}

impl<W: Write> Write for MacWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.mac.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn check_tables(tables: &[TableEntry], beside: &[FileEntry]) -> Result<(), LayoutFault> {
    let mut names: Vec<_> = tables.iter().map(|t| &t.name).collect();
    names.sort_unstable();
    names.dedup();
    require(names.len() == tables.len(), "names a table twice")?;
    let inside =
        |file: &str| !file.is_empty() && Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
    let files = || tables.iter().flat_map(|t| &t.files).chain(beside);
    require(files().all(|f| inside(&f.file)), "names a file outside of its folder")?;
    let mut paths: Vec<_> = files().map(|f| &f.file).collect();
    let all = paths.len();
    paths.sort_unstable();
    paths.dedup();
    require(paths.len() == all, "names a file twice")
}

fn require(sound: bool, reason: &'static str) -> Result<(), LayoutFault> {
    if sound { Ok(()) } else { Err(LayoutFault::Manifest { reason }) }
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, LayoutFault> {
    serde_json::from_slice(bytes).map_err(|_| LayoutFault::Manifest { reason: "does not have the shape of a manifest" })
}

fn read_manifest(dir: &Path) -> Result<Vec<u8>, LayoutFault> {
    fs::read(dir.join(MANIFEST_FILE)).map_err(at(MANIFEST_FILE))
}

fn write_manifest(manifest: &impl Serialize, dir: &Path, file_key: &[u8; 32]) -> Result<[u8; 32], LayoutFault> {
    let text = serde_json::to_vec_pretty(manifest)
        .map_err(|_| LayoutFault::Manifest { reason: "cannot be written as JSON" })?;
    let write = || {
        let mut file = File::create_new(dir.join(MANIFEST_FILE))?;
        file.write_all(&text)?;
        file.sync_all()
    };
    write().map_err(at(MANIFEST_FILE))?;
    let mut mac = keyed(file_key);
    mac.update(&text);
    Ok(mac.finalize().into_bytes().into())
}

/// The bytes on disk must hash to what the books keep, and say what `held` says.
fn verify_manifest<T>(held: &T, dir: &Path, file_key: &[u8; 32], manifest_mac: &[u8; 32]) -> Result<(), LayoutFault>
where
    T: for<'a> Deserialize<'a> + PartialEq,
{
    let altered = || LayoutFault::Altered { file: MANIFEST_FILE.to_owned() };
    let bytes = read_manifest(dir)?;
    let mut mac = keyed(file_key);
    mac.update(&bytes);
    mac.verify_slice(manifest_mac).map_err(|_| altered())?;
    if parse::<T>(&bytes)? == *held { Ok(()) } else { Err(altered()) }
}

fn verify_files<'e>(
    files: impl Iterator<Item = &'e FileEntry>,
    dir: &Path,
    file_key: &[u8; 32],
) -> Result<(), LayoutFault> {
    let mut buffer = vec![0; 1 << 16];
    for entry in files {
        let mut file = File::open(dir.join(&entry.file)).map_err(at(&entry.file))?;
        let mut mac = keyed(file_key);
        loop {
            let count = file.read(&mut buffer).map_err(at(&entry.file))?;
            if count == 0 {
                break;
            }
            mac.update(buffer.get(..count).unwrap_or_default());
        }
        let written = bytes_of(&entry.mac).unwrap_or_default();
        mac.verify_slice(&written).map_err(|_| LayoutFault::Altered { file: entry.file.clone() })?;
    }
    Ok(())
}

fn at(file: &str) -> impl FnOnce(io::Error) -> LayoutFault {
    let file = file.to_owned();
    |source| LayoutFault::File { file, source }
}

fn keyed(file_key: &[u8; 32]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    Hmac::new_from_slice(file_key).expect("HMAC takes a key of any length")
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes_of(hexadecimal: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<_>> = hexadecimal.chars().map(|c| c.to_digit(16)).collect();
    digits?.chunks(2).map(|pair| u8::try_from(pair.iter().fold(0, |n, d| n * 16 + d)).ok()).collect()
}

/// A day as `YYYY-MM-DD`.
mod iso_day {
    use chrono::NaiveDate;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(day: &NaiveDate, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(day)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<NaiveDate, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| D::Error::custom("not a day"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    /// A data version with one unit table and one Reference table.
    fn version(dir: &Path) -> (Manifest, [u8; 32]) {
        let date = NaiveDate::from_ymd_opt(2026, 4, 1).unwrap();
        let mut manifest = Manifest::new(
            DatasetName::new("demo").unwrap(),
            PopulationName::new("jp").unwrap(),
            DataVersion(1),
            "omop-5.4".into(),
            SourceName::new("clinic").unwrap(),
            date,
            1000,
        );
        fs::create_dir(dir.join("person")).unwrap();
        let entry = |range: Option<u32>, file: &str| {
            let mut writer = MacWriter::new(Vec::new(), &KEY);
            writer.write_all(file.as_bytes()).unwrap();
            let (bytes, mac) = writer.finish();
            fs::write(dir.join(file), bytes).unwrap();
            FileEntry { range, file: file.into(), mac }
        };
        let columns = vec!["person_id".to_owned()];
        let files = vec![entry(Some(0), "person/r0000.parquet"), entry(Some(1), "person/r0001.parquet")];
        manifest.tables.push(TableEntry {
            name: "person".into(),
            kind: FileKind::Unit,
            columns: columns.clone(),
            files,
        });
        let files = vec![entry(None, "care_site.parquet")];
        manifest.tables.push(TableEntry { name: "care_site".into(), kind: FileKind::Reference, columns, files });
        let mac = manifest.write(dir, &KEY).unwrap();
        (manifest, mac)
    }

    #[test]
    fn the_cut_depends_on_the_declared_maximum_alone() {
        assert_eq!(Ranges::of(1), Ranges { count: 2, width: 1 });
        assert_eq!(Ranges::of(100_000), Ranges { count: 2, width: 50_000 });
        assert_eq!(Ranges::of(262_145), Ranges { count: 3, width: 87_382 });
        for population_max in [1, 2, 3, 131_072, 131_073, 1_000_000, 130_000_000] {
            let Ranges { count, width } = Ranges::of(population_max);
            assert!(u64::from(count) * width >= population_max && width <= RANGE_WIDTH_MAX, "{population_max}");
        }
    }

    #[test]
    fn what_was_written_is_read_back_and_verifies() {
        let dir = tempfile::tempdir().unwrap();
        let (written, mac) = version(dir.path());
        let read = Manifest::read(dir.path()).unwrap();
        assert_eq!(read, written);
        read.verify(dir.path(), &KEY, &mac).unwrap();
        assert_eq!(read.files("person", Some(1)), [PathBuf::from("person/r0001.parquet")]);
        assert_eq!(read.files("person", None).len(), 2);
        assert_eq!(read.files("care_site", None), [PathBuf::from("care_site.parquet")]);
        assert!(read.files("unknown", None).is_empty());
        assert_eq!(read.owner_keys(1), (500, 1000));
    }

    #[test]
    fn an_altered_file_manifest_or_key_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (manifest, mac) = version(dir.path());
        let altered = |key: &[u8; 32], mac: &[u8; 32]| match manifest.verify(dir.path(), key, mac) {
            Err(LayoutFault::Altered { file }) => file,
            other => panic!("{other:?}"),
        };
        assert_eq!(altered(&[8; 32], &mac), MANIFEST_FILE);
        assert_eq!(altered(&KEY, &[0; 32]), MANIFEST_FILE);
        fs::write(dir.path().join("person/r0001.parquet"), "other rows").unwrap();
        assert_eq!(altered(&KEY, &mac), "person/r0001.parquet");
        fs::write(dir.path().join(MANIFEST_FILE), "{}").unwrap();
        assert_eq!(altered(&KEY, &mac), MANIFEST_FILE);
    }

    #[test]
    fn a_manifest_of_another_shape_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (sound, _) = version(dir.path());
        let spoil = |change: &dyn Fn(&mut Manifest)| {
            let mut manifest = sound.clone();
            change(&mut manifest);
            manifest.check_shape().is_err()
        };
        assert!(spoil(&|m| m.format = 2));
        assert!(spoil(&|m| m.ranges = 3));
        assert!(spoil(&|m| m.range_width = 7));
        assert!(spoil(&|m| m.tables[0].files.truncate(1)));
        assert!(spoil(&|m| m.tables[0].files.swap(0, 1)));
        assert!(spoil(&|m| m.tables[1].files[0].file = "../v0/care_site.parquet".into()));
        assert!(spoil(&|m| m.tables[1].files[0].file = "/etc/passwd".into()));
        assert!(spoil(&|m| m.tables[1].name = "person".into()));
        assert!(spoil(&|m| m.tables[1].files[0].file = "person/r0000.parquet".into()));
        assert!(!spoil(&|_| ()));
    }
}
