//! Which secrets does the enclave hold, and who can read their files?
//!
//! Four keys, one file each, owner-only. They are wiped from memory on drop, and none of the types here can be printed,
//! cloned or serialised:
//!
//! ```compile_fail,E0277
//! fn show(keys: &sekisho::keys::Keys) -> String {
//!     format!("{keys:?}")
//! }
//! ```

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
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system")]
    Randomness,
}

/// The enclave's secrets. No Debug, no Clone, no Serialize; wiped on drop.
pub struct Keys {
    pseudonym: Secret,
    group: Secret,
    file: Secret,
    log: SigningKey,
}

impl Keys {
    /// Makes the folder `keys` (mode 0700) with four fresh keys (mode 0600 each), durable when this returns.
    ///
    /// # Errors
    /// [`KeysFault::Make`] where the folder exists already: a key is never overwritten.
    pub fn make(keys: &Path) -> Result<Self, KeysFault> {
        let fault = |source| KeysFault::Make { path: keys.to_owned(), source };
        std::fs::DirBuilder::new().mode(0o700).create(keys).map_err(fault)?;
        let made = Self {
            pseudonym: Secret::fresh()?,
            group: Secret::fresh()?,
            file: Secret::fresh()?,
            log: SigningKey::from_bytes(&Secret::fresh()?.0),
        };
        write_secret(&keys.join(PSEUDONYM), made.pseudonym())?;
        write_secret(&keys.join(GROUP), made.group())?;
        write_secret(&keys.join(FILE), made.file())?;
        let path = keys.join(LOG);
        let pem = made.log.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeysFault::NotAKey { path: path.clone() })?;
        write_secret(&path, pem.as_bytes())?;
        if let Some(parent) = keys.parent().filter(|p| !p.as_os_str().is_empty()) {
            File::open(parent).and_then(|d| d.sync_all()).map_err(fault)?;
        }
        Ok(made)
    }

    /// Loads the four keys from the folder `keys`.
    ///
    /// # Errors
    /// [`KeysFault`] names the file that is missing, open to others or no key.
    pub fn load(keys: &Path) -> Result<Self, KeysFault> {
        let folder = File::open(keys).map_err(|source| KeysFault::Read { path: keys.to_owned(), source })?;
        owner_only(&folder, keys, 0o700)?;
        Ok(Self {
            pseudonym: Secret::load(&keys.join(PSEUDONYM))?,
            group: Secret::load(&keys.join(GROUP))?,
            file: Secret::load(&keys.join(FILE))?,
            log: load_log_key(&keys.join(LOG))?,
        })
    }

    /// Turns source person ids into pseudonyms (HMAC-SHA-256).
    #[must_use]
    pub fn pseudonym(&self) -> &[u8; 32] {
        &self.pseudonym.0
    }

    /// Chooses the groups that a person is kept in (privacy.md section 3, step 3).
    #[must_use]
    pub fn group(&self) -> &[u8; 32] {
        &self.group.0
    }

    /// Seals the files of data versions (HMAC-SHA-256).
    #[must_use]
    pub fn file(&self) -> &[u8; 32] {
        &self.file.0
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

struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    fn fresh() -> Result<Self, KeysFault> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|_| KeysFault::Randomness)?;
        Ok(Self(bytes))
    }

    fn load(path: &Path) -> Result<Self, KeysFault> {
        let bytes = read_secret(path)?;
        let exact = <[u8; 32]>::try_from(bytes.as_slice());
        exact.map(|b| Self(Zeroizing::new(b))).map_err(|_| KeysFault::NotAKey { path: path.to_owned() })
    }
}

fn load_log_key(path: &Path) -> Result<SigningKey, KeysFault> {
    let bytes = read_secret(path)?;
    let pem = std::str::from_utf8(&bytes).ok();
    pem.and_then(|pem| SigningKey::from_pkcs8_pem(pem).ok()).ok_or_else(|| KeysFault::NotAKey { path: path.to_owned() })
}

fn owner_only(file: &File, path: &Path, wanted: u32) -> Result<(), KeysFault> {
    let metadata = file.metadata().map_err(|source| KeysFault::Read { path: path.to_owned(), source })?;
    match metadata.permissions().mode() & 0o7777 {
        mode if mode & 0o077 != 0 => Err(KeysFault::TooOpen { path: path.to_owned(), mode, wanted }),
        _ => Ok(()),
    }
}

const PSEUDONYM: &str = "pseudonym.key";
const GROUP: &str = "group.key";
const FILE: &str = "file.key";
const LOG: &str = "log.key";
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
        std::fs::write(keys.join(GROUP), [7; 31]).unwrap();
        assert!(matches!(Keys::load(&keys), Err(KeysFault::NotAKey { path }) if path.ends_with(GROUP)));
    }
}
