//! Who gets a role, by whose hands?
//!
//! Reviewers, auditors and custodians watch over the others: such a role takes two of its holders to give. Those of the
//! enclave's making have nobody before them. Both hands are looked at here, in the transaction that gives the role.

use serde_json::json;

use super::{Books, BooksFault, Writing};
use crate::{
    accounts::{self, Account, PendingRole, grants},
    terms::{AccountName, EntryNumber, Role},
};

/// What came of giving a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granting {
    /// The first of two holders has given it; a second has to agree.
    Begun(EntryNumber),
    /// The account has it now.
    Granted(EntryNumber),
}

impl Books {
    /// Gives `role` to an account; where it takes two, the first call begins and the second, by another holder, gives it.
    ///
    /// # Errors
    /// [`BooksFault::Unknown`] where nobody of this name may sign in, [`BooksFault::AlreadyThere`] where they have the role,
    /// [`BooksFault::Mismatch`] where `by` is none of its holders or has given it already; [`BooksFault`].
    pub fn grant_role(&self, by: &AccountName, to: &AccountName, role: Role) -> Result<Granting, BooksFault> {
        let (by, to) = (by.clone(), to.clone());
        self.write(move |w| {
            let account =
                living(w, &to)?.ok_or_else(|| BooksFault::Unknown(format!("account {to} that may sign in")))?;
            if account.roles.contains(&role) {
                return Err(BooksFault::AlreadyThere(format!("role {role} of {to}")));
            }
            if !role.takes_two() {
                return give(w, account, role, &by, None).map(Granting::Granted);
            }
            let holds = |account: &Account| account.roles.contains(&role);
            living(w, &by)?.filter(holds).ok_or(BooksFault::Mismatch("only a holder of the role gives it"))?;
            // Whoever has lost the right to sign in since does not count as one of the two.
            let first = match grants::first(w.connection, &to, role)? {
                Some(first) => living(w, &first)?.filter(holds).map(|account| account.name),
                None => None,
            };
            match first {
                None => begin(w, &to, role, &by).map(Granting::Begun),
                Some(first) if first == by => {
                    Err(BooksFault::Mismatch("you have given it; a second holder of the role has to agree"))
                }
                Some(first) => give(w, account, role, &by, Some(&first)).map(Granting::Granted),
            }
        })
    }

    /// The roles that wait for their second holder.
    ///
    /// # Errors
    /// [`BooksFault`].
    pub fn pending_roles(&self) -> Result<Vec<PendingRole>, BooksFault> {
        self.store.read(|c| Ok(grants::all(c)?))
    }

    /// Replaces an account's password by its own act; its hash never stands in the log.
    ///
    /// # Errors
    /// [`BooksFault::Unknown`] where nobody of this name may sign in; [`BooksFault`].
    pub fn change_password(&self, account: &AccountName, hash: String) -> Result<EntryNumber, BooksFault> {
        let account = account.clone();
        self.write(move |w| {
            if !accounts::set_password(w.connection, &account, &hash)? {
                return Err(BooksFault::Unknown(format!("account {account} that may sign in")));
            }
            w.append("password_changed", Some(account), None, json!({}), None)
        })
    }
}

/// Writes down that one holder gives a role.
pub(super) fn begin(
    w: &Writing<'_>,
    to: &AccountName,
    role: Role,
    by: &AccountName,
) -> Result<EntryNumber, BooksFault> {
    grants::begin(w.connection, &PendingRole { account: to.clone(), role, first: by.clone() })?;
    w.append("role_grant_begun", Some(by.clone()), None, json!({"to": to, "role": role}), None)
}

fn give(
    w: &Writing<'_>,
    mut account: Account,
    role: Role,
    by: &AccountName,
    first: Option<&AccountName>,
) -> Result<EntryNumber, BooksFault> {
    account.roles.insert(role);
    accounts::set_roles(w.connection, &account.name, &account.roles)?;
    grants::end(w.connection, &account.name, role)?;
    let detail = json!({"to": account.name, "role": role, "first": first});
    w.append("role_granted", Some(by.clone()), None, detail, None)
}

fn living(w: &Writing<'_>, name: &AccountName) -> Result<Option<Account>, BooksFault> {
    Ok(accounts::find(w.connection, name)?.filter(|account| !account.disabled))
}
