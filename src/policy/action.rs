//! What can an account ask to do?

use std::{fmt, str::FromStr};

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Everything that the gateway does for an account; which role may do it is in `policies/roles.toml`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// All actions, in the order of the policy grid.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The action as it is written in `policies/` and in the log.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

actions! {
    /// Ask a question, or have its price explained, under a permit.
    Ask = "ask",
    /// See what there is: catalogs, tables, columns, and the schemas that need no permit.
    Describe = "describe",
    /// See caps and what is left of them.
    BudgetShow = "budget-show",
    /// See permits.
    PermitList = "permit-list",
    /// Grant a permit.
    PermitGrant = "permit-grant",
    /// Revoke a permit.
    PermitRevoke = "permit-revoke",
    /// Add an account.
    AccountAdd = "account-add",
    /// Disable an account.
    AccountDisable = "account-disable",
    /// See accounts.
    AccountList = "account-list",
    /// Bring an ingested data version into force.
    DataActivate = "data-activate",
    /// See data versions.
    DataList = "data-list",
    /// Declare a vocabulary public.
    VocabularyDeclare = "vocabulary-declare",
    /// Declare the caps of a population and a data set.
    CapDeclare = "cap-declare",
    /// Read entries of the log.
    AuditRead = "audit-read",
    /// Export the log.
    AuditExport = "audit-export",
    /// Stop a principal, a permit, a data set, a source or everything.
    HaltOn = "halt-on",
    /// Be one of the two who lift a halt.
    HaltOff = "halt-off",
    /// See halts.
    HaltList = "halt-list",
    /// See everybody's open sessions.
    SessionList = "session-list",
    /// End another's session.
    SessionEnd = "session-end",
    /// Be one of the two who give a role to an account.
    RoleGrant = "role-grant",
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Action {
    type Err = String;
    fn from_str(given: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|a| a.as_str() == given).ok_or_else(|| format!("{given:?} is not an action"))
    }
}
