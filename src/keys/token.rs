//! How does a PKCS#11 token give the master key without giving away its own?
//!
//! The token holds a secret key that never leaves it and signs one fixed label with it (HMAC-SHA-256); what comes out is
//! the master key. Any token with `CKM_SHA256_HMAC` does.

use std::{fmt, path::PathBuf, str::FromStr};

use cryptoki::{
    context::{CInitializeArgs, Pkcs11},
    error::{Error, RvError},
    mechanism::Mechanism,
    object::{Attribute, ObjectClass},
    session::UserType,
    types::AuthPin,
};
use zeroize::Zeroizing;

use super::seal::SecretKey;

/// A key in a token, as `MODULE;token=LABEL;key=LABEL;pin=SOURCE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenKey {
    module: PathBuf,
    token: String,
    key: String,
    pin: PinSource,
}

/// Where the token's user PIN comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PinSource {
    File(PathBuf),
    Environment(String),
}

impl TokenKey {
    /// The token's signature of `label`.
    pub(super) fn sign(&self, label: &[u8]) -> Result<SecretKey, &'static str> {
        let pin = self.pin()?;
        let module = Pkcs11::new(&self.module).map_err(|_| "its module cannot be loaded")?;
        match module.initialize(CInitializeArgs::OsThreads) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(_) => return Err("its module does not start"),
        }
        let slots = module.get_slots_with_token().map_err(|_| "its module shows no tokens")?;
        let labelled = |slot: &_| module.get_token_info(*slot).is_ok_and(|info| info.label().trim() == self.token);
        let slot = slots.into_iter().find(labelled).ok_or("there is no token of that label")?;
        let session = module.open_ro_session(slot).map_err(|_| "the token opens no session")?;
        let pin = AuthPin::new(pin.as_str().into());
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
                return Err("the token refuses the PIN; tokens lock after a few wrong ones");
            }
            Err(_) => return Err("the token refuses the sign-in"),
        }
        let wanted = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Label(self.key.clone().into_bytes())];
        let found = session.find_objects(&wanted).map_err(|_| "the token cannot be searched")?;
        let [key] = found.as_slice() else { return Err("the token holds no secret key of that label, or several") };
        let signed = session.sign(&Mechanism::Sha256Hmac, *key, label);
        let signed = Zeroizing::new(signed.map_err(|_| "the token's key does not sign with HMAC-SHA-256")?);
        SecretKey::of(&signed).ok_or("the token's signature has another length than HMAC-SHA-256 has")
    }

    fn pin(&self) -> Result<Zeroizing<String>, &'static str> {
        match &self.pin {
            PinSource::File(path) => {
                let bytes = super::read_secret(path).map_err(|_| "its PIN file is absent or open to others")?;
                let text = std::str::from_utf8(&bytes).map_err(|_| "its PIN is no text")?;
                Ok(Zeroizing::new(text.trim_end().to_owned()))
            }
            PinSource::Environment(name) => {
                std::env::var(name).map(Zeroizing::new).map_err(|_| "the variable of its PIN is not set")
            }
        }
    }
}

impl FromStr for TokenKey {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let mut parts = given.split(';');
        let module = parts.next().filter(|module| !module.is_empty());
        let (mut token, mut key, mut pin) = (None, None, None);
        for part in parts {
            match part.split_once('=') {
                Some(("token", label)) => token = Some(label.to_owned()),
                Some(("key", label)) => key = Some(label.to_owned()),
                Some(("pin", source)) => match source.split_once(':') {
                    Some(("file", path)) => pin = Some(PinSource::File(path.into())),
                    Some(("env", name)) => pin = Some(PinSource::Environment(name.to_owned())),
                    _ => return Err("pin=file:PATH or pin=env:NAME".to_owned()),
                },
                _ => return Err(format!("{part:?} is none of token=, key=, pin=")),
            }
        }
        match (module, token, key, pin) {
            (Some(module), Some(token), Some(key), Some(pin)) => Ok(Self { module: module.into(), token, key, pin }),
            _ => Err("a token is pkcs11:MODULE;token=LABEL;key=LABEL;pin=file:PATH, or pin=env:NAME".to_owned()),
        }
    }
}

impl fmt::Display for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pin = match &self.pin {
            PinSource::File(path) => format!("file:{}", path.display()),
            PinSource::Environment(name) => format!("env:{name}"),
        };
        write!(f, "{};token={};key={};pin={pin}", self.module.display(), self.token, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Keys, KeysFault, MasterSource};

    const MODULES: [&str; 3] = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib64/softhsm/libsofthsm2.so",
    ];

    fn skip(why: &str) {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("skipped: {why}\n").as_bytes());
    }

    /// Makes a token with a key of its own. The module reads its configuration from the environment, which one process
    /// shares: so this is the only test here that loads it.
    fn token(module: &str, slot_label: &str, pin: &str) {
        let module = Pkcs11::new(module).unwrap();
        module.initialize(CInitializeArgs::OsThreads).unwrap();
        let slot = *module.get_all_slots().unwrap().last().unwrap();
        let (officer, user) = (AuthPin::new("officer-pin".into()), AuthPin::new(pin.into()));
        module.init_token(slot, &officer, slot_label).unwrap();
        let slots = module.get_slots_with_token().unwrap();
        let labelled = |slot: &&_| module.get_token_info(**slot).is_ok_and(|info| info.label().trim() == slot_label);
        let slot = *slots.iter().find(labelled).unwrap();
        let session = module.open_rw_session(slot).unwrap();
        session.login(UserType::So, Some(&officer)).unwrap();
        session.init_pin(&user).unwrap();
        session.logout().unwrap();
        session.login(UserType::User, Some(&user)).unwrap();
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            Attribute::ValueLen(32.into()),
            Attribute::Label(b"master".to_vec()),
        ];
        session.generate_key(&Mechanism::GenericSecretKeyGen, &template).unwrap();
        session.logout().unwrap();
    }

    #[test]
    fn keys_open_with_a_token_and_not_with_a_wrong_pin_or_another_token() {
        let Some(module) = MODULES.iter().find(|path| std::path::Path::new(path).exists()) else {
            skip("SoftHSM is not installed here");
            return;
        };
        let Ok(configuration) = std::env::var("SOFTHSM2_CONF") else {
            skip("SOFTHSM2_CONF names no configuration of SoftHSM with a token folder of its own");
            return;
        };
        assert!(std::path::Path::new(&configuration).exists());
        let label = format!("sekisho-{}", std::process::id());
        token(module, &label, "user-pin");
        let dir = tempfile::tempdir().unwrap();
        super::super::write_secret(&dir.path().join("pin"), b"user-pin\n").unwrap();
        super::super::write_secret(&dir.path().join("wrong"), b"no-such-pin\n").unwrap();
        let source = |label: &str, key: &str, pin: &str| -> MasterSource {
            let pin = dir.path().join(pin);
            format!("pkcs11:{module};token={label};key={key};pin=file:{}", pin.display()).parse().unwrap()
        };
        let right = source(&label, "master", "pin");
        let made = Keys::make_under(&dir.path().join("keys"), &right, dir.path()).unwrap();
        let opened = Keys::open(&dir.path().join("keys"), &right, dir.path()).unwrap();
        assert_eq!(made.file(), opened.file());
        assert_eq!(made.books().bytes(), opened.books().bytes());
        let wrong = source(&label, "master", "wrong");
        for wrong in [source(&label, "other", "pin"), source("nobody", "master", "pin"), wrong] {
            let fault = Keys::open(&dir.path().join("keys"), &wrong, dir.path()).err().unwrap();
            assert!(matches!(fault, KeysFault::Master { .. }), "{fault}");
            assert!(!fault.to_string().contains("-pin\n"));
        }
    }

    #[test]
    fn a_token_is_named_in_full_or_not_at_all() {
        let text = "/lib/x.so;token=a b;key=k;pin=env:PIN";
        assert_eq!(text.parse::<TokenKey>().unwrap().to_string(), text);
        for text in ["", "/lib/x.so", "/lib/x.so;token=a;key=k", "/lib/x.so;token=a;key=k;pin=1234", "/x;slot=1"] {
            assert!(text.parse::<TokenKey>().is_err(), "{text:?}");
        }
    }
}
