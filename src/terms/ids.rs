//! What are people, permits, data sets and versions called?

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A name that does not follow the rules of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {given:?}: {rule}")]
pub struct IdFault {
    kind: &'static str,
    given: String,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $accepts:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name, if it follows the rule of its kind.
            ///
            /// # Errors
            /// [`IdFault`] names the rule that `given` breaks.
            pub fn new(given: impl Into<String>) -> Result<Self, IdFault> {
                let given = given.into();
                let accepts: fn(&str) -> bool = $accepts;
                match accepts(&given) {
                    true => Ok(Self(given)),
                    false => Err(IdFault { kind: $kind, given, rule: $rule }),
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdFault;
            fn from_str(given: &str) -> Result<Self, IdFault> {
                Self::new(given)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdFault;
            fn try_from(given: String) -> Result<Self, IdFault> {
                Self::new(given)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

name!(
    /// Who signs in: a person or a machine with an account.
    AccountName, "account", |s| spelled(s, 64, |c| c.is_ascii_alphanumeric() || "._-@".contains(c)),
    "1 to 64 of a-z, A-Z, 0-9, '.', '_', '-', '@', beginning with a letter"
);
name!(
    /// The number of a permit, such as `P-2026-0001`.
    PermitId, "permit", |s| s.starts_with("P-") && spelled(s, 32, |c| c.is_ascii_alphanumeric() || c == '-'),
    "P- followed by letters, digits and '-', 32 in all"
);
name!(
    /// A data set, which is also the SQL schema of its tables.
    DatasetName, "data set", |s| sql_name(s) && !reserved_schema(s),
    "1 to 48 of a-z, 0-9 and '_', beginning with a letter, not a reserved schema and not ending in _sample"
);
name!(
    /// One linkage key space: everybody in it is one privacy unit wherever the records lie.
    PopulationName, "population", sql_name, "1 to 48 of a-z, 0-9 and '_', beginning with a letter"
);
name!(
    /// The holder that delivered records, who stays responsible for them.
    SourceName, "source", sql_name, "1 to 48 of a-z, 0-9 and '_', beginning with a letter"
);
name!(
    /// A public vocabulary, which is also the SQL schema of its tables.
    VocabularyName, "vocabulary", |s| sql_name(s) && !reserved_schema(s),
    "1 to 48 of a-z, 0-9 and '_', beginning with a letter, not a reserved schema"
);
name!(
    /// A purpose of the closed list in `policies/purposes.toml`.
    PurposeCode, "purpose", |s| spelled(s, 48, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
    "1 to 48 of a-z, 0-9 and '-', beginning with a letter"
);

fn spelled(s: &str, longest: usize, allowed: fn(char) -> bool) -> bool {
    s.len() <= longest && s.starts_with(|c: char| c.is_ascii_alphabetic()) && s.chars().all(allowed)
}

fn sql_name(s: &str) -> bool {
    spelled(s, 48, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn reserved_schema(s: &str) -> bool {
    matches!(s, "sekisho" | "audit" | "information_schema" | "public" | "pg_catalog") || s.ends_with("_sample")
}

/// The counter of one ingest of a data set: 1, 2, 3 and so on. A public number; never a hash of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DataVersion(pub u32);

impl fmt::Display for DataVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// The index of an entry in the log: 0 for the first leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryNumber(pub u64);

impl fmt::Display for EntryNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule_of_their_kind() {
        assert!(AccountName::new("hanako.sato@example").is_ok());
        assert!(AccountName::new("user:hanako").is_err(), "a colon would collide with Casbin's prefixes");
        assert!(AccountName::new("").is_err());
        assert!(DatasetName::new("demo").is_ok());
        for reserved in ["sekisho", "audit", "demo_sample", "Demo", "1demo", "a-b"] {
            assert!(DatasetName::new(reserved).is_err(), "{reserved}");
        }
        assert!(PermitId::new("P-2026-0001").is_ok());
        assert!(PermitId::new("2026-0001").is_err());
    }

    #[test]
    fn serde_goes_through_the_same_constructor() {
        assert!(serde_json::from_str::<DatasetName>("\"audit\"").is_err());
        assert_eq!(serde_json::to_string(&PopulationName::new("jp").ok()).ok().as_deref(), Some("\"jp\""));
    }
}
