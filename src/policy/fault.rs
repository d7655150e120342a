//! What can be wrong with the policy itself?

/// What the operator reads when the policy files or a permit do not hold together.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFault {
    /// A file of the override folder cannot be read.
    #[error("{file}: cannot be read")]
    Unreadable {
        /// The file's name inside the policy folder.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file says something that it may not say.
    #[error("{file}:{line}: {reason}")]
    Wrong {
        /// The file's name inside the policy folder.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong, in words.
        reason: String,
    },
    /// Casbin did not accept what the checks before it let through.
    #[error("the policy engine failed: {step}")]
    Engine {
        /// The step that failed.
        step: &'static str,
    },
    /// A permit cannot be turned into rules.
    #[error("permit {permit} cannot be compiled: {reason}")]
    Permit {
        /// The permit's number.
        permit: String,
        /// What is wrong, in words.
        reason: String,
    },
    /// An example of `cases.toml` comes out otherwise.
    #[error("cases.toml:{line}: {name:?} is expected to be {expected}, but is {found}")]
    Case {
        /// Line of the example, from 1.
        line: usize,
        /// Its name.
        name: String,
        /// `allowed` or the code of a refusal.
        expected: String,
        /// The same, from the enforcer.
        found: String,
    },
    /// The grid on file is not the grid of the policy.
    #[error("roles.golden:{line}: the file says {kept:?}, the policy {found:?}")]
    Grid {
        /// Line, from 1.
        line: usize,
        /// What the file says.
        kept: String,
        /// What the policy says.
        found: String,
    },
    /// The enforcer and the plain evaluator give different verdicts.
    #[error("at {point} the enforcer says {enforcer}, the plain evaluator {plain}")]
    Disagree {
        /// Role, permit state, action, object and position.
        point: String,
        /// `allowed` or the code of a refusal.
        enforcer: String,
        /// The same, from the plain evaluator.
        plain: String,
    },
}

impl PolicyFault {
    pub(super) fn wrong(file: &str, line: usize, reason: impl Into<String>) -> Self {
        Self::Wrong { file: file.into(), line, reason: reason.into() }
    }

    /// A fault of the TOML reader, at its line.
    pub(super) fn toml(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let line = error.span().map_or(1, |s| line_at(text, s.start));
        Self::wrong(file, line, error.message())
    }
}

/// The line, from 1, of a byte of `text`.
pub(super) fn line_at(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|b| *b == b'\n').count() + 1
}
