//! Is this the password of that account?
//!
//! Argon2id (RFC 9106) with 32 MiB, 3 passes, 1 lane: above the least that OWASP's Password Storage Cheat Sheet names
//! (19 MiB, 2 passes, 1 lane). One verification takes tens of milliseconds on purpose, so callers run it off the
//! request threads (`tokio::task::spawn_blocking`).

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version, password_hash::SaltString,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::Principal;
use crate::{accounts::Account, terms::Refusal};

const MEMORY_KIB: u32 = 32 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;
const PASSWORD_CHARS_MIN: usize = 12;
const PASSWORD_BYTES_MAX: usize = 1024;
/// So many verifications run at once: 128 MiB in all.
const AT_ONCE_MAX: usize = 4;
/// So many may wait; the next is told to come back, whoever it is.
const WAITING_MAX: usize = 64;

/// A password that cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    /// Too few characters.
    #[error("a password has at least {PASSWORD_CHARS_MIN} characters")]
    TooShort,
    /// Too many bytes.
    #[error("a password has at most {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// The operating system gave no randomness.
    #[error("no randomness for a salt")]
    NoRandomness,
    /// Argon2 could not work, for instance for want of memory.
    #[error("the password could not be hashed")]
    NotHashed,
}

/// Makes and verifies password hashes, a few at a time.
pub struct Passwords {
    argon: Argon2<'static>,
    /// The hash of a random password that nobody knows: what an unknown name is verified against.
    dummy: String,
    gate: Gate,
}

impl Passwords {
    /// Ready to verify.
    ///
    /// # Errors
    /// [`PasswordFault`] where there is no randomness or no memory.
    pub fn new() -> Result<Self, PasswordFault> {
        Self::with_cost(MEMORY_KIB, PASSES)
    }

    fn with_cost(memory_kib: u32, passes: u32) -> Result<Self, PasswordFault> {
        let params = Params::new(memory_kib, passes, LANES, None).map_err(|_| PasswordFault::NotHashed)?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody_knows = URL_SAFE_NO_PAD.encode(random::<32>()?);
        let dummy = hash(&argon, &nobody_knows)?;
        Ok(Self { argon, dummy, gate: Gate::default() })
    }

    /// The PHC string to keep for a new password, with a fresh salt. Slow.
    ///
    /// # Errors
    /// [`PasswordFault`] where the password is too short or too long, or there is no randomness or no memory.
    pub fn hash(&self, password: &str) -> Result<String, PasswordFault> {
        if password.chars().count() < PASSWORD_CHARS_MIN {
            return Err(PasswordFault::TooShort);
        }
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordFault::TooLong);
        }
        hash(&self.argon, password)
    }

    /// Who this is, if `password` is that of the account `known`. Slow, and equally slow for a name that nobody has
    /// (`known` is None), a disabled account, or a hash that does not parse.
    ///
    /// # Errors
    /// `NotSignedIn`, whatever was wrong; `Busy` where too many are signing in at once.
    pub fn authenticate(&self, known: Option<&Account>, password: &str) -> Result<Principal, Refusal> {
        let _place = self.gate.enter().ok_or(Refusal::Busy)?;
        let kept = known.map_or(self.dummy.as_str(), |k| k.password_hash.as_str());
        let usable = sound(kept);
        let stands = known.filter(|k| usable & !k.disabled);
        let against = if usable { kept } else { self.dummy.as_str() };
        let fits = password.len() <= PASSWORD_BYTES_MAX;
        let offered = if fits { password } else { "" };
        let verified =
            PasswordHash::new(against).is_ok_and(|hash| self.argon.verify_password(offered.as_bytes(), &hash).is_ok());
        match (stands, verified & fits) {
            (Some(k), true) => Ok(Principal::proved(k.name.clone(), k.roles.clone(), k.language)),
            _ => Err(Refusal::NotSignedIn),
        }
    }
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}

fn sound(phc: &str) -> bool {
    PasswordHash::new(phc).is_ok_and(|h| {
        Algorithm::new(h.algorithm) == Ok(Algorithm::Argon2id) && h.hash.is_some() && Params::try_from(&h).is_ok()
    })
}

fn hash(argon: &Argon2<'_>, password: &str) -> Result<String, PasswordFault> {
    let salt = SaltString::encode_b64(&random::<16>()?).map_err(|_| PasswordFault::NotHashed)?;
    let phc = argon.hash_password(password.as_bytes(), &salt).map_err(|_| PasswordFault::NotHashed)?;
    Ok(phc.to_string())
}

fn random<const N: usize>() -> Result<[u8; N], PasswordFault> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| PasswordFault::NoRandomness)?;
    Ok(bytes)
}

/// Keeps a crowd at the sign-in from taking all memory.
#[derive(Default)]
struct Gate {
    crowd: Mutex<Crowd>,
    freed: Condvar,
}

#[derive(Default)]
struct Crowd {
    inside: usize,
    waiting: usize,
}

struct Place<'a>(&'a Gate);

impl Gate {
    fn enter(&self) -> Option<Place<'_>> {
        let mut crowd = self.lock();
        if crowd.waiting >= WAITING_MAX {
            return None;
        }
        crowd.waiting += 1;
        while crowd.inside >= AT_ONCE_MAX {
            crowd = self.freed.wait(crowd).unwrap_or_else(PoisonError::into_inner);
        }
        crowd.waiting -= 1;
        crowd.inside += 1;
        Some(Place(self))
    }

    fn lock(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut crowd = self.0.lock();
        crowd.inside = crowd.inside.saturating_sub(1);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::terms::{AccountName, Language, Role};

    const RIGHT: &str = "correct horse battery";

    fn hanako(passwords: &Passwords) -> Account {
        Account {
            name: AccountName::new("hanako").unwrap(),
            roles: BTreeSet::from([Role::Analyst]),
            language: Language::Ja,
            password_hash: passwords.hash(RIGHT).unwrap(),
            disabled: false,
        }
    }

    fn quick() -> Passwords {
        Passwords::with_cost(64, 1).unwrap()
    }

    #[test]
    fn the_right_password_proves_the_account_with_its_roles_and_language() {
        let passwords = quick();
        let hanako = hanako(&passwords);
        let principal = passwords.authenticate(Some(&hanako), RIGHT).unwrap();
        assert_eq!(principal.account(), &hanako.name);
        assert_eq!(principal.roles(), &hanako.roles);
        assert_eq!(principal.language(), Language::Ja);
    }

    #[test]
    fn everything_else_is_the_same_refusal() {
        let passwords = quick();
        let hanako = hanako(&passwords);
        let no = Err(Refusal::NotSignedIn);
        assert_eq!(passwords.authenticate(Some(&hanako), "correct horse batterY"), no, "wrong");
        assert_eq!(passwords.authenticate(Some(&hanako), ""), no, "empty");
        assert_eq!(passwords.authenticate(None, RIGHT), no, "unknown name");
        assert_eq!(passwords.authenticate(Some(&hanako), &"x".repeat(1 << 20)), no, "a megabyte");
        assert_eq!(passwords.authenticate(Some(&Account { disabled: true, ..hanako.clone() }), RIGHT), no, "disabled");
        for broken in ["", "plain", "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ", "$argon2id$v=19$m=1,t=1,p=1$YQ$YQ"] {
            let known = Account { password_hash: broken.into(), ..hanako.clone() };
            assert_eq!(passwords.authenticate(Some(&known), RIGHT), no, "{broken:?}");
        }
    }

    #[test]
    fn a_hash_that_cannot_verify_is_replaced_by_the_dummy_so_that_the_work_is_the_same() {
        let passwords = quick();
        assert!(sound(&passwords.dummy) && sound(&passwords.hash(RIGHT).unwrap()));
        assert!(!sound("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ"), "no hash in it");
        assert!(!sound(&passwords.dummy.replace("argon2id", "argon2i")));
        assert_eq!(
            PasswordHash::new(&passwords.dummy).unwrap().params,
            PasswordHash::new(&passwords.hash(RIGHT).unwrap()).unwrap().params
        );
    }

    #[test]
    fn an_unknown_name_takes_about_as_long_as_a_wrong_password() {
        let passwords = Passwords::with_cost(4096, 2).unwrap();
        let hanako = hanako(&passwords);
        let timed = |known: Option<&Account>| {
            let begun = Instant::now();
            assert_eq!(passwords.authenticate(known, "a wrong password"), Err(Refusal::NotSignedIn));
            begun.elapsed()
        };
        // In turns, so that whatever else the machine does falls on both; the fastest of each, since load only adds.
        let (mut wrong, mut unknown) = (Duration::MAX, Duration::MAX);
        for _ in 0..40 {
            wrong = wrong.min(timed(Some(&hanako)));
            unknown = unknown.min(timed(None));
        }
        let ratio = unknown.as_secs_f64() / wrong.as_secs_f64();
        assert!((0.5..2.0).contains(&ratio), "unknown {unknown:?}, wrong {wrong:?}");
    }

    #[test]
    fn the_cost_in_service_is_above_the_owasp_minimum() {
        const { assert!(MEMORY_KIB >= 19 * 1024 && PASSES >= 2) }
        let hash = Passwords::new().unwrap().hash(RIGHT).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=32768,t=3,p=1$"), "{hash}");
    }

    #[test]
    fn salts_are_fresh_and_weak_passwords_are_not_kept() {
        let passwords = quick();
        assert_ne!(passwords.hash(RIGHT), passwords.hash(RIGHT));
        assert_eq!(passwords.hash("short"), Err(PasswordFault::TooShort));
        assert_eq!(passwords.hash(&"x".repeat(1025)), Err(PasswordFault::TooLong));
    }

    #[test]
    fn a_crowd_beyond_the_waiting_room_is_told_to_come_back() {
        let gate = Gate::default();
        let places: Vec<_> = (0..AT_ONCE_MAX).map(|_| gate.enter()).collect();
        gate.lock().waiting = WAITING_MAX;
        assert!(gate.enter().is_none());
        gate.lock().waiting = 0;
        drop(places);
        assert!(gate.enter().is_some());
    }

    #[test]
    fn nothing_secret_is_printed() {
        assert_eq!(format!("{:?}", quick()), "Passwords");
    }
}
