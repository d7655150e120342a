//! Which secrets does the enclave hold, and who can read their files?
//!
//! Four keys, one file each, owner-only and sealed under the root key (`root.key`), which is sealed under a master key that
//! lies elsewhere (`master.rs`). They are wiped from memory on drop, and none of the types here can be printed, cloned or
//! serialised:
//!
//! ```compile_fail,E0277
//! fn show(keys: &sekisho::keys::Keys) -> String {
//!     format!("{keys:?}")
//! }
//! ```

mod master;
mod seal;
mod token;

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding},
};
use zeroize::Zeroizing;

pub use self::{
    master::{FORMS, Master, MasterSource},
    seal::{SecretKey, is_sealed},
    token::TokenKey,
};

/// Why a key was not made or not loaded. Names files, never their contents.
#[derive(Debug, thiserror::Error)]
pub enum KeysFault {
    /// The folder or file could not be made.
    #[error("cannot make {path}")]
    Make {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder or file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody besides the owner may open it.
    #[error("{path} has mode {mode:04o}: nobody but its owner may have access; chmod {wanted:04o} it")]
    TooOpen {
        /// The folder or file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode that it should have.
        wanted: u32,
    },
    /// The file holds something else than the key expected there.
    #[error("{path} does not hold a key of its kind")]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// The master key cannot be had.
    #[error("the master key ({from}): {reason}")]
    Master {
        /// Where it should come from.
        from: String,
        /// Why it does not.
        reason: &'static str,
    },
    /// The master key is another one, or the file was changed.
    #[error(
        "{path} does not open with this master key: it is the wrong one, or the file was changed. Nothing was touched"
    )]
    WrongMaster {
        /// The file.
        path: PathBuf,
    },
    /// The key lies there in clear.
    #[error("{path} is not sealed under the master key: sekisho keys seal does it, while no gateway runs")]
    InClear {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system")]
    Randomness,
}

/// The enclave's secrets. No Debug, no Clone, no Serialize; wiped on drop.
pub struct Keys {
    pseudonym: SecretKey,
    group: SecretKey,
    file: SecretKey,
    log: SigningKey,
    books: SecretKey,
    sealing: SecretKey,
}

impl Keys {
    /// Makes the folder `keys` (mode 0700) with four fresh keys (mode 0600 each), sealed under a fresh master key beside
    /// them; durable when this returns.
    ///
    /// # Errors
    /// [`KeysFault::Make`] where the folder exists already: a key is never overwritten.
    pub fn make(keys: &Path) -> Result<Self, KeysFault> {
        Self::make_under(keys, &MasterSource::File(keys.join(MASTER)), Path::new(""))
    }

    /// The same under the master key of `master`, whose relative files lie in `directory`.
    ///
    /// # Errors
    /// As [`Keys::make`], and where there is no master key.
    pub fn make_under(keys: &Path, master: &MasterSource, directory: &Path) -> Result<Self, KeysFault> {
        let fault = |source| KeysFault::Make { path: keys.to_owned(), source };
        std::fs::DirBuilder::new().mode(0o700).create(keys).map_err(fault)?;
        let (root, sealing) = fresh_root(keys, &master.read_or_make(directory)?)?;
        let pseudonym = SecretKey::fresh().ok_or(KeysFault::Randomness)?;
        let group = SecretKey::fresh().ok_or(KeysFault::Randomness)?;
        let file = SecretKey::fresh().ok_or(KeysFault::Randomness)?;
        let log = SigningKey::from_bytes(SecretKey::fresh().ok_or(KeysFault::Randomness)?.bytes());
        for (name, key) in [(PSEUDONYM, &pseudonym), (GROUP, &group), (FILE, &file)] {
            write_secret(&keys.join(name), &sealing.seal(name, key.bytes()).ok_or(KeysFault::Randomness)?)?;
        }
        let path = keys.join(LOG);
        let pem = log.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeysFault::NotAKey { path: path.clone() })?;
        write_secret(&path, &sealing.seal(LOG, pem.as_bytes()).ok_or(KeysFault::Randomness)?)?;
        if let Some(parent) = keys.parent().filter(|p| !p.as_os_str().is_empty()) {
            File::open(parent).and_then(|d| d.sync_all()).map_err(fault)?;
        }
        let books = derived(&root, BOOKS)?;
        Ok(Self { pseudonym, group, file, log, books, sealing })
    }

    /// Loads the four keys from the folder `keys`, with the master key that lies beside them.
    ///
    /// # Errors
    /// [`KeysFault`] names the file that is missing, open to others or no key.
    pub fn load(keys: &Path) -> Result<Self, KeysFault> {
        Self::open(keys, &MasterSource::File(keys.join(MASTER)), Path::new(""))
    }

    /// The same with the master key of `master`, whose relative files lie in `directory`. Nothing is written.
    ///
    /// # Errors
    /// [`KeysFault::WrongMaster`] where it is another one; [`KeysFault::InClear`] where the keys were never sealed.
    pub fn open(keys: &Path, master: &MasterSource, directory: &Path) -> Result<Self, KeysFault> {
        let folder = File::open(keys).map_err(|source| KeysFault::Read { path: keys.to_owned(), source })?;
        owner_only(&folder, keys, 0o700)?;
        if !keys.join(ROOT).exists() {
            return Err(KeysFault::InClear { path: keys.to_owned() });
        }
        let (root, sealing) = open_root(keys, &master.read(directory)?)?;
        Ok(Self {
            pseudonym: load_key(keys, PSEUDONYM, &sealing)?,
            group: load_key(keys, GROUP, &sealing)?,
            file: load_key(keys, FILE, &sealing)?,
            log: load_log_key(keys, &sealing)?,
            books: derived(&root, BOOKS)?,
            sealing,
        })
    }

    /// Seals the keys of an earlier version, which lie in clear, under the master key of `master`. What is sealed already
    /// stays as it is, so a run that was cut short is finished by the next. The old bytes may stay on the disk until it
    /// writes over them. Says how many files it sealed.
    ///
    /// # Errors
    /// [`KeysFault`]; every key is still there then, in clear or sealed.
    pub fn seal_folder(keys: &Path, master: &MasterSource, directory: &Path) -> Result<usize, KeysFault> {
        let folder = File::open(keys).map_err(|source| KeysFault::Read { path: keys.to_owned(), source })?;
        owner_only(&folder, keys, 0o700)?;
        let (_, sealing) = match keys.join(ROOT).exists() {
            true => open_root(keys, &master.read(directory)?)?,
            false => fresh_root(keys, &master.read_or_make(directory)?)?,
        };
        let mut sealed = 0;
        for name in [PSEUDONYM, GROUP, FILE, LOG] {
            let path = keys.join(name);
            let bytes = read_secret(&path)?;
            if !is_sealed(&bytes) {
                // On disk now: the key in clear. The rename inside replaces it by the sealed one in one step.
                replace_secret(&path, &sealing.seal(name, &bytes).ok_or(KeysFault::Randomness)?)?;
                sealed += 1;
            }
        }
        Ok(sealed)
    }

    /// Seals the root key under another master key, in one step: afterwards `old` opens nothing here. Keys, books and data
    /// stay as they are.
    ///
    /// # Errors
    /// [`KeysFault::WrongMaster`] where `old` is not the master key; the old one is still in force then.
    pub fn rotate(keys: &Path, old: &Master, new: &Master) -> Result<(), KeysFault> {
        let (root, _) = open_root(keys, old)?;
        let sealed = new.key().seal(ROOT, root.bytes()).ok_or(KeysFault::Randomness)?;
        replace_secret(&keys.join(ROOT), &sealed)
    }

    /// Opens the books (SQLCipher).
    #[must_use]
    pub fn books(&self) -> &SecretKey {
        &self.books
    }

    /// Puts a name to a digest: a seal that nobody makes without these keys.
    ///
    /// # Errors
    /// [`KeysFault::Randomness`].
    pub fn vouch(&self, called: &str, digest: &[u8]) -> Result<Vec<u8>, KeysFault> {
        self.sealing.seal(called, digest).ok_or(KeysFault::Randomness)
    }

    /// Whether these keys vouched for this digest under this name.
    #[must_use]
    pub fn has_vouched(&self, called: &str, digest: &[u8], seal: &[u8]) -> bool {
        self.sealing.unseal(called, seal).is_some_and(|sealed| sealed.as_slice() == digest)
    }

    /// Reads a secret file of the folder `keys` that may be sealed, such as the server's private key.
    ///
    /// # Errors
    /// As [`read_secret`]; [`KeysFault::WrongMaster`] where it was sealed under another root key.
    pub fn read(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, KeysFault> {
        let bytes = read_secret(path)?;
        if is_sealed(&bytes) { unsealed(path, &bytes, &self.sealing) } else { Ok(bytes) }
    }

    /// Seals a secret file that lies in clear, in one step.
    ///
    /// # Errors
    /// [`KeysFault`]; the file is as it was then.
    pub fn seal_file(&self, path: &Path) -> Result<(), KeysFault> {
        let bytes = read_secret(path)?;
        match is_sealed(&bytes) {
            true => Ok(()),
            false => replace_secret(path, &self.sealing.seal(name_of(path), &bytes).ok_or(KeysFault::Randomness)?),
        }
    }

    /// Turns source person ids into pseudonyms (HMAC-SHA-256).
    #[must_use]
    pub fn pseudonym(&self) -> &[u8; 32] {
        self.pseudonym.bytes()
    }

    /// Chooses the groups that a person is kept in (privacy.md section 3, step 3).
    #[must_use]
    pub fn group(&self) -> &[u8; 32] {
        self.group.bytes()
    }

    /// Seals the files of data versions (HMAC-SHA-256).
    #[must_use]
    pub fn file(&self) -> &[u8; 32] {
        self.file.bytes()
    }

    /// Signs the log's checkpoints (Ed25519).
    #[must_use]
    pub fn log(&self) -> &SigningKey {
        &self.log
    }
}

/// Writes a new secret file that only its owner can open, durable when this returns.
///
/// # Errors
/// [`KeysFault::Make`], also where the file exists: a secret is never overwritten.
pub fn write_secret(path: &Path, secret: &[u8]) -> Result<(), KeysFault> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(secret)?;
        file.sync_all()?;
        path.parent().filter(|p| !p.as_os_str().is_empty()).map_or(Ok(()), |p| File::open(p)?.sync_all())
    };
    write().map_err(|source| KeysFault::Make { path: path.to_owned(), source })
}

/// Reads a secret file; refuses one that anybody but its owner can open. The bytes are wiped on drop.
///
/// # Errors
/// [`KeysFault::Read`] or [`KeysFault::TooOpen`].
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeysFault> {
    let fault = |source| KeysFault::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(fault)?;
    owner_only(&file, path, 0o600)?;
    // Room for any key from the start, so that growing leaves no copy behind.
    let mut secret = Zeroizing::new(Vec::with_capacity(LARGEST));
    Read::by_ref(&mut file).take(LARGEST as u64).read_to_end(&mut secret).map_err(fault)?;
    Ok(secret)
}

/// Replaces a secret file by another in one step, durable when this returns.
fn replace_secret(path: &Path, secret: &[u8]) -> Result<(), KeysFault> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    // What a crash left of an earlier draft; the file itself is whole.
    let _ = std::fs::remove_file(&draft);
    write_secret(&draft, secret)?;
    let renamed = std::fs::rename(&draft, path).and_then(|()| {
        path.parent().filter(|p| !p.as_os_str().is_empty()).map_or(Ok(()), |p| File::open(p)?.sync_all())
    });
    renamed.map_err(|source| KeysFault::Make { path: path.to_owned(), source })
}

/// A fresh root key, sealed on disk; and the key derived from it that seals the other files.
fn fresh_root(keys: &Path, master: &Master) -> Result<(SecretKey, SecretKey), KeysFault> {
    let root = SecretKey::fresh().ok_or(KeysFault::Randomness)?;
    write_secret(&keys.join(ROOT), &master.key().seal(ROOT, root.bytes()).ok_or(KeysFault::Randomness)?)?;
    let sealing = derived(&root, FILES)?;
    Ok((root, sealing))
}

fn open_root(keys: &Path, master: &Master) -> Result<(SecretKey, SecretKey), KeysFault> {
    let path = keys.join(ROOT);
    let bytes = unsealed(&path, &read_secret(&path)?, master.key())?;
    let root = SecretKey::of(&bytes).ok_or(KeysFault::NotAKey { path })?;
    let sealing = derived(&root, FILES)?;
    Ok((root, sealing))
}

fn derived(root: &SecretKey, used_for: &str) -> Result<SecretKey, KeysFault> {
    root.derive(used_for).ok_or(KeysFault::Randomness)
}

fn unsealed(path: &Path, sealed: &[u8], with: &SecretKey) -> Result<Zeroizing<Vec<u8>>, KeysFault> {
    if !is_sealed(sealed) {
        return Err(KeysFault::InClear { path: path.to_owned() });
    }
    with.unseal(name_of(path), sealed).ok_or_else(|| KeysFault::WrongMaster { path: path.to_owned() })
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn load_key(keys: &Path, name: &str, sealing: &SecretKey) -> Result<SecretKey, KeysFault> {
    let path = keys.join(name);
    let bytes = unsealed(&path, &read_secret(&path)?, sealing)?;
    SecretKey::of(&bytes).ok_or(KeysFault::NotAKey { path })
}

fn load_log_key(keys: &Path, sealing: &SecretKey) -> Result<SigningKey, KeysFault> {
    let path = keys.join(LOG);
    let bytes = unsealed(&path, &read_secret(&path)?, sealing)?;
    let pem = std::str::from_utf8(&bytes).ok();
    pem.and_then(|pem| SigningKey::from_pkcs8_pem(pem).ok()).ok_or(KeysFault::NotAKey { path })
}

fn owner_only(file: &File, path: &Path, wanted: u32) -> Result<(), KeysFault> {
    let metadata = file.metadata().map_err(|source| KeysFault::Read { path: path.to_owned(), source })?;
    match metadata.permissions().mode() & 0o7777 {
        mode if mode & 0o077 != 0 => Err(KeysFault::TooOpen { path: path.to_owned(), mode, wanted }),
        _ => Ok(()),
    }
}

/// The master key of an enclave that was told of no better place.
const MASTER: &str = "master.key";
const ROOT: &str = "root.key";
const PSEUDONYM: &str = "pseudonym.key";
const GROUP: &str = "group.key";
const FILE: &str = "file.key";
const LOG: &str = "log.key";
/// What is derived from the root key.
const FILES: &str = "sekisho key files 1";
const BOOKS: &str = "sekisho books 1";
/// No key file is longer, in bytes.
const LARGEST: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_same_after_a_restart_and_differ_from_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        let made = Keys::make(&keys).unwrap();
        let loaded = Keys::load(&keys).unwrap();
        assert_eq!(made.pseudonym(), loaded.pseudonym());
        assert_eq!(made.group(), loaded.group());
        assert_eq!(made.file(), loaded.file());
        assert_eq!(made.log().to_bytes(), loaded.log().to_bytes());
        assert_ne!(made.pseudonym(), made.group());
        assert_ne!(made.group(), made.file());
        for name in [PSEUDONYM, GROUP, FILE, LOG] {
            let mode = std::fs::metadata(keys.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        let made = Keys::make(&keys).unwrap();
        assert!(matches!(Keys::make(&keys), Err(KeysFault::Make { .. })));
        assert!(write_secret(&keys.join(FILE), b"other").is_err());
        assert_eq!(Keys::load(&keys).unwrap().file(), made.file());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        Keys::make(&keys).unwrap();
        for name in [PSEUDONYM, GROUP, FILE, LOG] {
            for mode in [0o640, 0o604, 0o660, 0o610] {
                std::fs::set_permissions(keys.join(name), Permissions::from_mode(mode)).unwrap();
                assert!(matches!(Keys::load(&keys), Err(KeysFault::TooOpen { .. })), "{name} {mode:o}");
            }
            std::fs::set_permissions(keys.join(name), Permissions::from_mode(0o600)).unwrap();
        }
        std::fs::set_permissions(&keys, Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(Keys::load(&keys), Err(KeysFault::TooOpen { .. })));
    }

    #[test]
    fn a_damaged_key_is_named_and_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        Keys::make(&keys).unwrap();
        std::fs::write(keys.join(LOG), "-----BEGIN secret-canary").unwrap();
        let fault = Keys::load(&keys).err().unwrap();
        let shown = format!("{fault} {fault:?}");
        assert!(shown.contains("log.key") && !shown.contains("canary"), "{shown}");
        let mut group = std::fs::read(keys.join(GROUP)).unwrap();
        *group.last_mut().unwrap() ^= 1;
        std::fs::write(keys.join(GROUP), group).unwrap();
        assert!(matches!(Keys::load(&keys), Err(KeysFault::WrongMaster { path }) if path.ends_with(GROUP)));
    }

    #[test]
    fn with_the_wrong_master_key_nothing_opens_and_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let (keys, source) = (dir.path().join("keys"), MasterSource::File("one".into()));
        let made = Keys::make_under(&keys, &source, dir.path()).unwrap();
        let other = MasterSource::File("two".into());
        other.read_or_make(dir.path()).unwrap();
        let fault = Keys::open(&keys, &other, dir.path()).err().unwrap();
        assert!(matches!(&fault, KeysFault::WrongMaster { path } if path.ends_with(ROOT)), "{fault}");
        assert!(matches!(Keys::open(&keys, &MasterSource::File("no".into()), dir.path()), Err(KeysFault::Read { .. })));
        let opened = Keys::open(&keys, &source, dir.path()).unwrap();
        assert_eq!(opened.file(), made.file());
        // None of the secrets lies in clear anywhere in the folder.
        for entry in std::fs::read_dir(&keys).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            for secret in [made.file(), made.group(), made.pseudonym(), made.books().bytes(), &made.log().to_bytes()] {
                assert!(!bytes.windows(32).any(|part| part == secret));
            }
        }
    }

    #[test]
    fn rotation_changes_the_master_key_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (keys, old) = (dir.path().join("keys"), MasterSource::File("old".into()));
        let new = MasterSource::File("new".into());
        let made = Keys::make_under(&keys, &old, dir.path()).unwrap();
        let (old_key, new_key) = (old.read(dir.path()).unwrap(), new.read_or_make(dir.path()).unwrap());
        // What a crash of an earlier rotation left is no obstacle.
        std::fs::write(keys.join("root.key.new"), "half").unwrap();
        assert!(matches!(Keys::rotate(&keys, &new_key, &old_key), Err(KeysFault::WrongMaster { .. })));
        Keys::rotate(&keys, &old_key, &new_key).unwrap();
        assert!(matches!(Keys::open(&keys, &old, dir.path()), Err(KeysFault::WrongMaster { .. })));
        let opened = Keys::open(&keys, &new, dir.path()).unwrap();
        assert_eq!((opened.file(), opened.books().bytes()), (made.file(), made.books().bytes()));
    }

    #[test]
    fn keys_of_an_earlier_version_are_refused_until_they_are_sealed_and_a_run_cut_short_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let (keys, source) = (dir.path().join("keys"), MasterSource::File("master".into()));
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&keys).unwrap();
        for (name, byte) in [(PSEUDONYM, 1), (GROUP, 2), (FILE, 3)] {
            write_secret(&keys.join(name), &[byte; 32]).unwrap();
        }
        let log = SigningKey::from_bytes(&[4; 32]);
        write_secret(&keys.join(LOG), log.to_pkcs8_pem(LineEnding::LF).unwrap().as_bytes()).unwrap();
        assert!(matches!(Keys::open(&keys, &source, dir.path()), Err(KeysFault::InClear { .. })));
        assert_eq!(Keys::seal_folder(&keys, &source, dir.path()).unwrap(), 4);
        // As after a crash between two files.
        std::fs::remove_file(keys.join(FILE)).unwrap();
        write_secret(&keys.join(FILE), &[3; 32]).unwrap();
        let fault = Keys::open(&keys, &source, dir.path()).err().unwrap();
        assert!(matches!(&fault, KeysFault::InClear { path } if path.ends_with(FILE)), "{fault}");
        assert_eq!(Keys::seal_folder(&keys, &source, dir.path()).unwrap(), 1);
        let opened = Keys::open(&keys, &source, dir.path()).unwrap();
        assert_eq!((opened.pseudonym(), opened.group(), opened.file()), (&[1; 32], &[2; 32], &[3; 32]));
        assert_eq!(opened.log().to_bytes(), [4; 32]);
    }
}
