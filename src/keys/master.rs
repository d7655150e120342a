//! Where does the key come from that opens all the others?
//!
//! The master key is never in the enclave's books, data or backups. It opens `keys/root.key` alone, so that another
//! master key means sealing one small file anew. How far each source is trusted:
//!
//! | source | who can read it |
//! |---|---|
//! | `file:PATH` | the owner of the file, and root; relative to the enclave's directory |
//! | `fd:N` | whoever opened the descriptor, once: it leaves no trace in the file system or the environment |
//! | `credential:NAME` | the service manager, which hands the file over in `$CREDENTIALS_DIRECTORY` |
//! | `env:NAME` | every process of the same user, through the list of processes; and every child |
//! | `pkcs11:…` | nobody: the key stays in the token, which signs a label with it |

use std::{
    fmt,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    str::FromStr,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{KeysFault, read_secret, seal::SecretKey, token::TokenKey, write_secret};

/// Where the master key comes from, as `[keys] master` in `sekisho.toml` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterSource {
    /// A file that its owner alone can open.
    File(PathBuf),
    /// An open file descriptor of this process.
    Descriptor(u32),
    /// A file in the folder that `$CREDENTIALS_DIRECTORY` names.
    Credential(String),
    /// An environment variable.
    Environment(String),
    /// A key in a PKCS#11 token.
    Token(TokenKey),
}

/// The master key, however it came.
pub struct Master(SecretKey);

impl Master {
    /// The key itself, for [`super::Keys`] alone.
    pub(super) fn key(&self) -> &SecretKey {
        &self.0
    }
}

impl MasterSource {
    /// The master key. Relative files are looked for in `directory`.
    ///
    /// # Errors
    /// [`KeysFault`] names the source, never what it holds.
    pub fn read(&self, directory: &Path) -> Result<Master, KeysFault> {
        let text = match self {
            Self::File(path) => read_secret(&directory.join(path))?,
            Self::Descriptor(number) => self.slurp(&PathBuf::from(format!("/dev/fd/{number}")))?,
            Self::Credential(name) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| self.unusable(NO_CREDENTIALS))?;
                self.slurp(&Path::new(&folder).join(name))?
            }
            Self::Environment(name) => {
                let value = std::env::var(name).map_err(|_| self.unusable("is not set"))?;
                Zeroizing::new(value.into_bytes())
            }
            Self::Token(token) => return token.sign(LABEL).map(Master).map_err(|reason| self.unusable(reason)),
        };
        let key = decoded(&text).ok_or_else(|| self.unusable("does not hold 32 bytes in base64 or hexadecimal"))?;
        Ok(Master(key))
    }

    /// The master key; a file that does not exist is made with a fresh one.
    ///
    /// # Errors
    /// As [`MasterSource::read`]; [`KeysFault::Make`] where the file cannot be made.
    pub fn read_or_make(&self, directory: &Path) -> Result<Master, KeysFault> {
        if let Self::File(path) = self {
            let path = directory.join(path);
            if !path.exists() {
                let key = SecretKey::fresh().ok_or(KeysFault::Randomness)?;
                let line = Zeroizing::new(format!("{}\n", Zeroizing::new(STANDARD.encode(key.bytes())).as_str()));
                write_secret(&path, line.as_bytes())?;
            }
        }
        self.read(directory)
    }

    fn slurp(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, KeysFault> {
        let mut text = Zeroizing::new(Vec::with_capacity(LONGEST));
        let read = File::open(path).and_then(|file| file.take(LONGEST as u64).read_to_end(&mut text));
        read.map_err(|_| self.unusable("cannot be read"))?;
        Ok(text)
    }

    fn unusable(&self, reason: &'static str) -> KeysFault {
        KeysFault::Master { from: self.to_string(), reason }
    }
}

impl Default for MasterSource {
    /// Beside the keys: for trying out. It protects a copy of the books or the data, not of the whole directory.
    fn default() -> Self {
        Self::File(PathBuf::from("keys").join(super::MASTER))
    }
}

impl FromStr for MasterSource {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        let source = match given.split_once(':') {
            Some(("file", path)) => named(path).map(|path| Self::File(path.into())),
            Some(("fd", number)) => number.parse().ok().filter(|n| *n > 2).map(Self::Descriptor),
            Some(("credential", name)) => named(name).filter(|name| !name.contains('/')).map(Self::Credential),
            Some(("env", name)) => named(name).map(Self::Environment),
            Some(("pkcs11", token)) => return token.parse().map(Self::Token),
            _ => None,
        };
        source.ok_or_else(|| format!("{given:?} is none of {FORMS}"))
    }
}

impl fmt::Display for MasterSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Descriptor(number) => write!(f, "fd:{number}"),
            Self::Credential(name) => write!(f, "credential:{name}"),
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::Token(token) => write!(f, "pkcs11:{token}"),
        }
    }
}

fn decoded(text: &[u8]) -> Option<SecretKey> {
    let text = text.trim_ascii();
    let mut bytes = Zeroizing::new([0; 48]);
    // 64 hexadecimal digits are base64 as well: the length decides.
    if text.len() != 64 {
        let length = STANDARD.decode_slice(text, bytes.as_mut_slice()).ok()?;
        return SecretKey::of(bytes.get(..length)?);
    }
    for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    SecretKey::of(bytes.get(..32)?)
}

/// The forms that `[keys] master` has.
pub const FORMS: &str = "file:PATH, fd:N, credential:NAME, env:NAME, pkcs11:MODULE;token=LABEL;key=LABEL;pin=SOURCE";
const NO_CREDENTIALS: &str = "is handed over by a service manager, and none did: $CREDENTIALS_DIRECTORY is not set";
/// What a token signs to give the master key.
const LABEL: &[u8] = b"sekisho master key 1";
/// No master key is written longer, in bytes.
const LONGEST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_reads_as_it_is_written_and_nonsense_is_refused() {
        for text in ["file:/etc/sekisho/master.key", "fd:3", "credential:master", "env:SEKISHO_MASTER_KEY"] {
            assert_eq!(text.parse::<MasterSource>().unwrap().to_string(), text);
        }
        for text in ["", "file:", "master.key", "fd:0", "fd:x", "env:", "credential:../x", "pkcs11:", "vault:x"] {
            assert!(text.parse::<MasterSource>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_master_key_is_made_once_owner_only_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let source: MasterSource = "file:master.key".parse().unwrap();
        assert!(matches!(source.read(dir.path()), Err(KeysFault::Read { .. })));
        let made = source.read_or_make(dir.path()).unwrap();
        assert_eq!(source.read_or_make(dir.path()).unwrap().key().bytes(), made.key().bytes());
        std::fs::set_permissions(dir.path().join("master.key"), std::os::unix::fs::PermissionsExt::from_mode(0o640))
            .unwrap();
        assert!(matches!(source.read(dir.path()), Err(KeysFault::TooOpen { .. })));
    }

    #[test]
    fn a_key_is_32_bytes_in_base64_or_hexadecimal_and_anything_else_is_named_without_being_shown() {
        assert_eq!(decoded(b"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n").unwrap().bytes(), &[1; 32]);
        assert_eq!(decoded("0f".repeat(32).as_bytes()).unwrap().bytes(), &[15; 32]);
        for wrong in ["", "AQEB", "zz", &"0g".repeat(32), &"0f".repeat(31)] {
            assert!(decoded(wrong.as_bytes()).is_none(), "{wrong}");
        }
        let dir = tempfile::tempdir().unwrap();
        write_secret(&dir.path().join("k"), b"canary").unwrap();
        let fault = MasterSource::File("k".into()).read(dir.path()).err().unwrap();
        assert!(fault.to_string().contains("file:k") && !format!("{fault} {fault:?}").contains("canary"));
    }

    #[test]
    fn a_descriptor_hands_the_key_over() {
        use std::os::fd::AsRawFd as _;
        let dir = tempfile::tempdir().unwrap();
        write_secret(&dir.path().join("k"), "0f".repeat(32).as_bytes()).unwrap();
        let open = File::open(dir.path().join("k")).unwrap();
        let source: MasterSource = format!("fd:{}", open.as_raw_fd()).parse().unwrap();
        assert_eq!(source.read(dir.path()).unwrap().key().bytes(), &[15; 32]);
        assert!(matches!(MasterSource::Descriptor(9_999).read(dir.path()), Err(KeysFault::Master { .. })));
    }
}
