//! Which functions does the planner know at all?
//!
//! What a person's rows may pass through is settled by `privacy/expression.rs`; here stands only what no question may
//! use: functions that are volatile, that tell about the engine, or whose output grows with a value.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use datafusion::{
    execution::SessionStateDefaults,
    logical_expr::{AggregateUDF, ScalarUDF, Volatility, WindowUDF, planner::ExprPlanner},
};

use super::{days::Days, dialect, picked, ranking};

const REFUSED: [&str; 12] = [
    "arrow_cast",
    "arrow_metadata",
    "arrow_try_cast",
    "arrow_typeof",
    "file_row_index",
    "generate_series",
    "get_field",
    "input_file_name",
    "range",
    "repeat",
    "uuid",
    "version",
];

/// The most characters that LPAD and RPAD fill up to, over persons' rows and over public ones.
pub const PADDED_MAX: u16 = 1024;

/// The functions and planners that the planner may resolve names to.
pub struct Vocabulary {
    pub(super) scalar: HashMap<String, Arc<ScalarUDF>>,
    pub(super) aggregate: HashMap<String, Arc<AggregateUDF>>,
    pub(super) window: HashMap<String, Arc<WindowUDF>>,
    pub(super) planners: Vec<Arc<dyn ExprPlanner>>,
}

/// The one vocabulary of this process.
#[must_use]
pub fn vocabulary() -> &'static Vocabulary {
    static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(build);
    &VOCABULARY
}

impl Vocabulary {
    /// The aggregate function of this name.
    #[must_use]
    pub fn aggregate(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.aggregate.get(name).cloned()
    }

    /// The window function of this name.
    #[must_use]
    pub fn window(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.window.get(name).cloned()
    }

    /// The scalar function of this name.
    #[must_use]
    pub fn scalar(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.scalar.get(name).cloned()
    }

    /// All scalar functions by their first name.
    #[must_use]
    pub fn scalars(&self) -> Vec<Arc<ScalarUDF>> {
        self.scalar.iter().filter(|(name, udf)| name.as_str() == udf.name()).map(|(_, udf)| Arc::clone(udf)).collect()
    }
}

fn build() -> Vocabulary {
    let mut scalar = HashMap::new();
    for udf in SessionStateDefaults::default_scalar_functions() {
        let volatile = udf.signature().volatility == Volatility::Volatile;
        if volatile || REFUSED.contains(&udf.name()) || udf.name().starts_with("array_") {
            continue;
        }
        for name in udf.aliases().iter().map(String::as_str).chain([udf.name()]) {
            scalar.insert(name.to_owned(), Arc::clone(&udf));
        }
    }
    for (alias, name) in dialect::ALIASES {
        if let Some(udf) = scalar.get(name).cloned() {
            scalar.insert(alias.to_owned(), udf);
        }
    }
    let mut aggregate = HashMap::new();
    for udf in SessionStateDefaults::default_aggregate_functions() {
        for name in udf.aliases().iter().map(String::as_str).chain([udf.name()]) {
            aggregate.insert(name.to_owned(), Arc::clone(&udf));
        }
    }
    aggregate.insert("percentile_disc".to_owned(), picked::percentile_disc());
    let mut window = HashMap::new();
    for udf in SessionStateDefaults::default_window_functions() {
        let udf = ranking::whole(udf);
        for name in udf.aliases().iter().map(String::as_str).chain([udf.name()]) {
            window.insert(name.to_owned(), Arc::clone(&udf));
        }
    }
    let mut planners: Vec<Arc<dyn ExprPlanner>> = vec![Arc::new(Days)];
    planners.extend(SessionStateDefaults::default_expr_planners());
    Vocabulary { scalar, aggregate, window, planners }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_volatile_is_known() {
        for name in ["random", "uuid", "version", "repeat"] {
            assert!(vocabulary().scalar(name).is_none(), "{name}");
        }
        assert!(vocabulary().scalar("abs").is_some());
        assert!(vocabulary().scalars().iter().all(|udf| udf.signature().volatility != Volatility::Volatile));
    }
}
