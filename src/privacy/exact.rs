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
/// nor writing it out:
/// ```compile_fail,E0277
/// fn store(exact: &sekisho::privacy::Exact) -> serde_json::Result<String> {
///     serde_json::to_string(exact)
/// }
/// ```
/// nor copying it for later:
/// ```compile_fail,E0277
/// fn copies<T: Clone>() {}
/// copies::<sekisho::privacy::Exact>();
/// ```
/// nor opening it anywhere but in this folder:
/// ```compile_fail,E0624
/// fn peek(exact: sekisho::privacy::Exact) {
///     let _ = exact.open();
/// }
/// ```
/// nor reaching inside:
/// ```compile_fail,E0616
/// fn peek(exact: &sekisho::privacy::Exact) {
///     let _ = &exact.sums;
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
