//! Who has an account, and who a permit?

use serde_json::json;

use super::{Account, Books, BooksFault, NewAccount, Permit, PermitState, data, roles};
use crate::{
    accounts,
    ledger::{self, Declared, Effect},
    permits,
    terms::{AccountName, CapName, EntryNumber, PermitId, Role},
};

impl Books {
    /// Adds an account. `by` is none at the making of the enclave only: then it has its roles at once. Later, a role that
    /// takes two holders is only begun by this; see [`Books::grant_role`].
    ///
    /// # Errors
    /// [`BooksFault::AlreadyThere`] where the name is taken, in whatever case; [`BooksFault`].
    pub fn add_account(&self, by: Option<&AccountName>, mut new: NewAccount) -> Result<EntryNumber, BooksFault> {
        let by = by.cloned();
        self.write(move |w| {
            let begun: Vec<Role> = new.roles.iter().copied().filter(|role| by.is_some() && role.takes_two()).collect();
            new.roles.retain(|role| !begun.contains(role));
            if !accounts::insert(w.connection, &new)? {
                return Err(BooksFault::AlreadyThere(format!("account {}", new.name)));
            }
            let detail = json!({"added": new.name, "roles": new.roles, "language": new.language});
            let entry = w.append("account_added", by.clone(), None, detail, None)?;
            for (role, by) in begun.into_iter().zip(by.iter().cycle()) {
                roles::begin(w, &new.name, role, by)?;
            }
            Ok(entry)
        })
    }

    /// Ends an account's right to sign in.
    ///
    /// # Errors
    /// [`BooksFault::Unknown`] where there is no such account or it was disabled before; [`BooksFault`].
    pub fn disable_account(&self, by: &AccountName, name: &AccountName) -> Result<EntryNumber, BooksFault> {
        let (by, name) = (by.clone(), name.clone());
        self.write(move |w| {
            if !accounts::disable(w.connection, &name)? {
                return Err(BooksFault::Unknown(format!("account {name} that may sign in")));
            }
            w.append("account_disabled", Some(by), None, json!({"disabled": name}), None)
        })
    }

    /// The account called `name`.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn account(&self, name: &AccountName) -> Result<Option<Account>, BooksFault> {
        self.store.read(|c| Ok(accounts::find(c, name)?))
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn accounts(&self) -> Result<Vec<Account>, BooksFault> {
        self.store.read(|c| Ok(accounts::all(c)?))
    }

    /// Grants a permit and opens its caps: its own and one for each principal.
    ///
    /// # Errors
    /// [`BooksFault::Permit`] where it makes no sense, [`BooksFault::AlreadyThere`] where its number is taken,
    /// [`BooksFault::Unknown`] where its data set or a principal does not exist; [`BooksFault`].
    pub fn grant_permit(&self, by: &AccountName, permit: Permit) -> Result<EntryNumber, BooksFault> {
        let by = by.clone();
        self.write(move |w| {
            permit.check()?;
            if data::population_of(w.connection, &permit.dataset)?.is_none() {
                return Err(BooksFault::Unknown(format!("data set {}", permit.dataset)));
            }
            for principal in &permit.principals {
                if accounts::find(w.connection, principal)?.is_none() {
                    return Err(BooksFault::Unknown(format!("account {principal}")));
                }
            }
            if !permits::insert(w.connection, &permit)? {
                return Err(BooksFault::AlreadyThere(format!("permit {}", permit.id)));
            }
            let own = (CapName::Permit(permit.id.clone()), permit.cap);
            let each = |who: &AccountName| (CapName::Analyst(permit.id.clone(), who.clone()), permit.analyst_cap);
            let mut declared = Vec::new();
            for (name, cap) in std::iter::once(own).chain(permit.principals.iter().map(each)) {
                ledger::declare(w.connection, &name, cap)?;
                declared.push(Declared::new(&name, cap));
            }
            let detail = serde_json::to_value(&permit).map_err(|_| BooksFault::Wording)?;
            w.append("permit_granted", Some(by), Some(permit.id), detail, Some(Effect::Declares(declared)))
        })
    }

    /// Revokes a permit, for good, from the next reservation on.
    ///
    /// # Errors
    /// [`BooksFault::Unknown`] where there is no such permit or it was revoked before; [`BooksFault`].
    pub fn revoke_permit(&self, by: &AccountName, id: &PermitId, reason: &str) -> Result<EntryNumber, BooksFault> {
        let (by, id, reason) = (by.clone(), id.clone(), reason.to_owned());
        self.write(move |w| {
            let revoked = PermitState::Revoked { by: by.clone(), at: w.clock.now(), reason: reason.clone() };
            if !permits::revoke(w.connection, &id, &revoked)? {
                return Err(BooksFault::Unknown(format!("permit {id} in force")));
            }
            w.append("permit_revoked", Some(by), Some(id), json!({"reason": reason}), None)
        })
    }

    /// The permit with this number, whatever its standing.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn permit(&self, id: &PermitId) -> Result<Option<Permit>, BooksFault> {
        self.store.read(|c| Ok(permits::find(c, id)?))
    }

    /// All permits, by number.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn permits(&self) -> Result<Vec<Permit>, BooksFault> {
        self.store.read(|c| Ok(permits::all(c)?))
    }

    /// The permits that name this account as a principal, by number.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn permits_of(&self, account: &AccountName) -> Result<Vec<Permit>, BooksFault> {
        let mut permits = self.permits()?;
        permits.retain(|permit| permit.principals.contains(account));
        Ok(permits)
    }
}
