//! Whose client certificate is this?
//!
//! That the certificate is good (its key, its dates, its CA) the handshake has found. Whose it is the account itself has
//! said, signed in by other means: no CA, and nobody who runs one, can name an account that has not.

use super::Principal;
use crate::{
    accounts::{Account, certificates::ClientCertificate},
    terms::{Fingerprint, Refusal},
};

/// Who this is, if `shown` is the certificate that `account` has registered as `known`.
///
/// # Errors
/// `CertificateNotAccepted` says why not. To say so gives nothing away: who asks holds the certificate's key.
pub fn recognise(
    shown: &Fingerprint,
    known: Option<&ClientCertificate>,
    account: Option<&Account>,
) -> Result<Principal, Refusal> {
    let no = |reason: &str| Err(Refusal::CertificateNotAccepted { reason: reason.to_owned() });
    let Some(known) = known.filter(|known| known.fingerprint == *shown) else {
        return no("no account has registered it; sign in and use sekisho certificate add");
    };
    if known.revoked.is_some() {
        return no("it was revoked");
    }
    match account.filter(|account| account.name == known.account && !account.disabled) {
        Some(account) => Ok(Principal::proved(account.name.clone(), account.roles.clone(), account.language)),
        None => no("its account may not sign in"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::terms::{AccountName, Instant, Language, Role};

    #[test]
    fn a_certificate_opens_the_account_that_registered_it_and_says_why_not() {
        let shown = Fingerprint::of(b"one");
        let name = AccountName::new("hanako").unwrap();
        let known = ClientCertificate { fingerprint: shown, account: name.clone(), added: Instant(0), revoked: None };
        let account = Account {
            name,
            roles: BTreeSet::from([Role::Analyst]),
            language: Language::Ja,
            password_hash: String::new(),
            disabled: false,
        };
        assert_eq!(recognise(&shown, Some(&known), Some(&account)).unwrap().account(), &account.name);
        let reason = |known: Option<&ClientCertificate>, account: Option<&Account>| {
            recognise(&shown, known, account).unwrap_err().to_string()
        };
        assert!(reason(None, Some(&account)).contains("no account has registered it"));
        let other = ClientCertificate { fingerprint: Fingerprint::of(b"two"), ..known.clone() };
        assert!(reason(Some(&other), Some(&account)).contains("no account has registered it"));
        let revoked = ClientCertificate { revoked: Some(Instant(1)), ..known.clone() };
        assert!(reason(Some(&revoked), Some(&account)).contains("revoked"));
        let disabled = Account { disabled: true, ..account.clone() };
        assert!(reason(Some(&known), Some(&disabled)).contains("may not sign in"));
        let another = Account { name: AccountName::new("jiro").unwrap(), ..account };
        assert!(reason(Some(&known), Some(&another)).contains("may not sign in"));
        assert!(reason(Some(&known), None).contains("may not sign in"));
    }
}
