//! What is proved about the one who asks?

use std::collections::BTreeSet;

use crate::terms::{AccountName, Language, Role};

/// Somebody who signed in: a proof, since only this folder can build one.
///
/// ```compile_fail,E0451
/// use std::collections::BTreeSet;
/// use sekisho::{identity::Principal, terms::{AccountName, Language, Role}};
/// fn forge(account: AccountName, roles: BTreeSet<Role>) -> Principal {
///     Principal { account, roles, language: Language::En }
/// }
/// ```
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    account: AccountName,
    roles: BTreeSet<Role>,
    language: Language,
}

impl Principal {
    /// The one constructor: after a password was verified.
    pub(super) fn proved(account: AccountName, roles: BTreeSet<Role>, language: Language) -> Self {
        Self { account, roles, language }
    }

    /// The account that signed in.
    #[must_use]
    pub fn account(&self) -> &AccountName {
        &self.account
    }

    /// The roles it held when it signed in; a change of roles revokes its tokens.
    #[must_use]
    pub fn roles(&self) -> &BTreeSet<Role> {
        &self.roles
    }

    /// The language of its messages.
    #[must_use]
    pub fn language(&self) -> Language {
        self.language
    }

    /// A principal out of thin air, for the tests of the floors above.
    #[cfg(test)]
    #[allow(clippy::expect_used, reason = "test only")]
    pub fn for_tests(account: &str, roles: impl IntoIterator<Item = Role>) -> Self {
        let account = AccountName::new(account).expect("an account name");
        Self::proved(account, roles.into_iter().collect(), Language::En)
    }
}
