//! How do exact sums stay unseen until noise is added?

use datafusion::arrow::array::ArrayRef;

/// The exact bounded sums of one release: sealed. No Debug, Display, Clone or serde; only the noise stage opens it, by
/// value.
///
/// Printing one must not compile:
/// ```compile_fail,E0277
/// fn show(exact: &sekisho::privacy::Exact) {
///     println!("{exact:?}");
/// }
/// ```
///
/// Nor copying it for later:
/// ```compile_fail,E0599
/// fn keep(exact: &sekisho::privacy::Exact) -> sekisho::privacy::Exact {
///     exact.clone()
/// }
/// ```
#[must_use]
pub struct Exact {
    /// One array per key, one row per group, sorted by key.
    keys: Vec<ArrayRef>,
    /// One vector per partial, one entry per group.
    sums: Vec<Vec<i64>>,
    /// How many persons kept each group; what selection looks at.
    persons: Vec<i64>,
}

impl Exact {
    /// Seals what the exact stage computed. All vectors have one entry per group.
    pub fn seal(keys: Vec<ArrayRef>, sums: Vec<Vec<i64>>, persons: Vec<i64>) -> Self {
        Self { keys, sums, persons }
    }

    /// Opens the seal, for noise alone.
    pub(super) fn open(self) -> (Vec<ArrayRef>, Vec<Vec<i64>>, Vec<i64>) {
        (self.keys, self.sums, self.persons)
    }

    /// The exact sums, for the oracles that prove the analyser. Nothing that serves may call it.
    #[must_use]
    pub fn dangerous_exact_for_tests(self) -> (Vec<ArrayRef>, Vec<Vec<i64>>, Vec<i64>) {
        self.open()
    }
}
