//! Which client certificates were registered and revoked, by whom?

use serde_json::json;

use super::{Books, BooksFault};
use crate::{
    accounts::certificates::{self, ClientCertificate},
    terms::{AccountName, EntryNumber, Fingerprint},
};

impl Books {
    /// Registers a certificate to its account, by the account's own act.
    ///
    /// # Errors
    /// [`BooksFault::AlreadyThere`] where it was registered before, by whomever; [`BooksFault`].
    pub fn add_certificate(&self, account: &AccountName, fingerprint: Fingerprint) -> Result<EntryNumber, BooksFault> {
        let account = account.clone();
        self.write(move |w| {
            let new = ClientCertificate { fingerprint, account: account.clone(), added: w.clock.now(), revoked: None };
            if !certificates::add(w.connection, &new)? {
                return Err(BooksFault::AlreadyThere("this certificate, registered or revoked,".into()));
            }
            w.append("certificate_added", Some(account), None, json!({ "fingerprint": fingerprint }), None)
        })
    }

    /// Revokes a certificate, for good.
    ///
    /// # Errors
    /// [`BooksFault::Unknown`] where there is none in force; [`BooksFault`].
    pub fn revoke_certificate(&self, by: &AccountName, fingerprint: Fingerprint) -> Result<EntryNumber, BooksFault> {
        let by = by.clone();
        self.write(move |w| {
            if !certificates::revoke(w.connection, &fingerprint, w.clock.now())? {
                return Err(BooksFault::Unknown("certificate of this fingerprint in force".into()));
            }
            w.append("certificate_revoked", Some(by), None, json!({ "fingerprint": fingerprint }), None)
        })
    }

    /// The certificate known by this fingerprint.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn certificate(&self, fingerprint: &Fingerprint) -> Result<Option<ClientCertificate>, BooksFault> {
        self.store.read(|c| Ok(certificates::find(c, fingerprint)?))
    }

    /// All certificates that were ever registered, by account.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn certificates(&self) -> Result<Vec<ClientCertificate>, BooksFault> {
        self.store.read(|c| Ok(certificates::all(c)?))
    }
}
