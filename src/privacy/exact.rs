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
    /// For each partial that is a histogram, in their order: one per group.
    histograms: Vec<Vec<Histogram>>,
}

/// How many parts of rows each candidate has, by its place from 0; in order, those with none left out.
pub type Histogram = Vec<(u32, i64)>;

/// The contents of an [`Exact`], opened.
pub(super) struct Opened {
    pub(super) keys: Vec<ArrayRef>,
    pub(super) sums: Vec<Vec<i64>>,
    pub(super) persons: Vec<i64>,
    pub(super) histograms: Vec<Vec<Histogram>>,
}

impl Exact {
    /// Seals what the exact stage computed. All vectors have one entry per group.
    pub fn seal(keys: Vec<ArrayRef>, sums: Vec<Vec<i64>>, persons: Vec<i64>) -> Self {
        Self { keys, sums, persons, histograms: vec![] }
    }

    /// The same with the histograms of those partials that are one; the sums of these partials mean nothing.
    pub fn with_histograms(self, histograms: Vec<Vec<Histogram>>) -> Self {
        Self { histograms, ..self }
    }

    /// Opens the seal, for noise alone.
    pub(super) fn open(self) -> Opened {
        Opened { keys: self.keys, sums: self.sums, persons: self.persons, histograms: self.histograms }
    }

    /// The exact sums, for the oracles that prove the analyser. Nothing that serves may call it.
    #[must_use]
    #[expect(clippy::type_complexity, reason = "taken apart at once by its one caller")]
    pub fn dangerous_exact_for_tests(self) -> (Vec<ArrayRef>, Vec<Vec<i64>>, Vec<i64>, Vec<Vec<Histogram>>) {
        let Opened { keys, sums, persons, histograms } = self.open();
        (keys, sums, persons, histograms)
    }
}
