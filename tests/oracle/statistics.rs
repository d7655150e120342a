//! Which statistics do random questions ask for, and what is each of them of exact sums?

use datafusion::arrow::{
    array::{ArrayRef, AsArray, Int32Array, Int64Array},
    compute::cast,
    datatypes::{DataType, Float64Type, TimeUnit},
};
use rand::{Rng, seq::IndexedRandom};
use sekisho::privacy::Statistic;
use std::sync::Arc;

use super::expressions::{Col, Gen, Ty};

/// Columns whose tame values lie on their grids: products of them are exact.
const ON_GRID: [&str; 5] = ["minutes", "cost", "weight", "value", "birth_year"];

impl Gen {
    /// An aggregate of a release.
    pub fn aggregate(&mut self, cols: &[Col]) -> String {
        let owner = cols.iter().find(|c| c.owner).map(|c| c.sql.clone());
        let call = match (self.rng.random_range(0..10), owner) {
            (0 | 1, _) => {
                self.label("count(*)");
                "COUNT(*)".to_owned()
            }
            (2, _) => {
                self.label("count(e)");
                let ty = *self.pick(&[Ty::Int, Ty::Float, Ty::Text, Ty::Date, Ty::Bool]);
                match (self.one_in(3), cols.choose(&mut self.rng)) {
                    (true, Some(column)) => format!("COUNT({})", column.sql),
                    _ => format!("COUNT({})", self.expr(cols, ty, 2)),
                }
            }
            (3, _) if cols.iter().any(|c| c.half) => {
                self.label("count(distinct owner or null)");
                format!("COUNT(DISTINCT {})", cols.iter().find(|c| c.half).unwrap().sql)
            }
            (3, Some(owner)) if self.one_in(3) => {
                let chosen = self.chosen_owner(cols, &owner);
                format!("COUNT(DISTINCT {chosen})")
            }
            (3 | 4, Some(owner)) => {
                self.label("count(distinct person)");
                format!("COUNT(DISTINCT {owner})")
            }
            (5, _) if self.wild && self.one_in(10) => {
                self.label("aggregate of any column");
                let column = cols.choose(&mut self.rng).map_or("1".into(), |c| c.sql.clone());
                let call = *self.pick(&[
                    "COUNT(DISTINCT {})",
                    "approx_distinct({})",
                    "MIN({})",
                    "MAX({})",
                    "SUM(DISTINCT {})",
                    "STDDEV({})",
                    "MEDIAN({})",
                ]);
                call.replace("{}", &column)
            }
            (5..=7, _) if self.one_in(2) => self.statistic(cols),
            (5..=7, _) if self.one_in(5) => return self.narrowed(cols),
            (5..=7, _) => {
                self.label("sum");
                format!("SUM({})", self.bounded_number(cols))
            }
            _ => {
                self.label("avg");
                format!("AVG({})", self.bounded_number(cols))
            }
        };
        match self.one_in(4) {
            true => {
                self.label("aggregate filter");
                format!("{call} FILTER (WHERE {})", self.boolean(cols, 1))
            }
            false => call,
        }
    }

    /// A sum or mean of a column without bounds, whose two ends the question itself gives: in FILTER or in CASE.
    fn narrowed(&mut self, cols: &[Col]) -> String {
        let plain = |c: &&Col| !c.bounded && !c.owner && !c.key && matches!(c.ty, Ty::Int | Ty::Float);
        let unbounded: Vec<Col> = cols.iter().filter(plain).cloned().collect();
        let Some(column) = unbounded.choose(&mut self.rng) else { return "COUNT(*)".into() };
        let (x, point) = (column.sql.clone(), if column.ty == Ty::Float { ".5" } else { "" });
        let (lo, hi) =
            (format!("-{}{point}", self.rng.random_range(1..4)), format!("{}{point}", self.rng.random_range(3..20)));
        let within = match self.rng.random_range(0..3) {
            0 => format!("{x} BETWEEN {lo} AND {hi}"),
            1 => format!("{x} >= {lo} AND {hi} > {x}"),
            _ => format!("{x} > {lo} AND {x} <= {hi} AND {}", self.boolean(cols, 1)),
        };
        let call = *self.pick(&["SUM", "AVG"]);
        match self.one_in(2) {
            true => {
                self.label("bounds from a filter");
                format!("{call}({x}) FILTER (WHERE {within})")
            }
            false => {
                self.label("bounds from a case");
                format!("{call}(CASE WHEN {within} THEN {x} END)")
            }
        }
    }

    /// An aggregate beyond counts, sums and means.
    pub fn statistic(&mut self, cols: &[Col]) -> String {
        match self.rng.random_range(0..8) {
            0 | 1 => {
                self.label("count(distinct e)");
                let ty = match self.wild {
                    true => *self.pick(&[Ty::Int, Ty::Text, Ty::Date, Ty::Bool, Ty::Float, Ty::Stamp]),
                    false => *self.pick(&[Ty::Int, Ty::Text, Ty::Date, Ty::Bool]),
                };
                let keys: Vec<String> = cols.iter().filter(|c| c.key).map(|c| c.sql.clone()).collect();
                match keys.choose(&mut self.rng) {
                    Some(key) if self.rng.random_range(0..4) == 0 => format!("COUNT(DISTINCT {key})"),
                    Some(key) if self.rng.random_range(0..4) == 0 => {
                        format!("COUNT(DISTINCT ({key}, {}))", self.expr(cols, ty, 1))
                    }
                    _ if self.rng.random_range(0..4) == 0 => {
                        self.label("count(distinct (e, f))");
                        let other = *self.pick(&[Ty::Int, Ty::Text]);
                        format!("COUNT(DISTINCT ({}, {}))", self.expr(cols, ty, 1), self.expr(cols, other, 1))
                    }
                    _ => format!("COUNT(DISTINCT {})", self.expr(cols, ty, 1)),
                }
            }
            2 => {
                self.label("min/max");
                let call = *self.pick(&["MIN", "MAX"]);
                let times: Vec<&Col> = cols.iter().filter(|c| matches!(c.ty, Ty::Date | Ty::Stamp)).collect();
                match times.choose(&mut self.rng) {
                    Some(column) if self.rng.random_range(0..2) == 0 => format!("{call}({})", column.sql),
                    _ => format!("{call}({})", self.bounded_number(cols)),
                }
            }
            // Between two middle values every candidate is a median; plain SQL takes their mean, so meaning is not
            // compared. `picks` says how near it comes.
            3 if self.wild => {
                self.label("median");
                format!("MEDIAN({})", self.bounded_number(cols))
            }
            4 if self.wild => {
                self.label("percentile");
                let x = self.bounded_number(cols);
                let share = *self.pick(&["0.5", "0.25", "0.9", "0.99", "0.001", "0", "1", "0.0001", "0.3333"]);
                match self.rng.random_range(0..6) {
                    0 => format!("approx_percentile_cont({x}, {share})"),
                    1 => format!("approx_percentile_cont({share}) WITHIN GROUP (ORDER BY {x})"),
                    2 => format!("approx_median({x})"),
                    3 => format!("percentile_cont({share}) WITHIN GROUP (ORDER BY {x} DESC)"),
                    4 => format!("percentile_disc({share}) WITHIN GROUP (ORDER BY {x})"),
                    _ => format!("percentile_cont({share}) WITHIN GROUP (ORDER BY {x})"),
                }
            }
            4 | 5 => {
                let call = *self.pick(&["VAR", "VAR_POP", "STDDEV", "STDDEV_POP", "VAR_SAMP"]);
                let Some(x) = self.measured(cols) else { return "COUNT(*)".into() };
                self.label("variance");
                format!("{call}({x})")
            }
            _ => {
                let (Some(x), Some(y)) = (self.measured(cols), self.measured(cols)) else { return "COUNT(*)".into() };
                self.label("two numbers");
                let call = *self.pick(&[
                    "COVAR_SAMP",
                    "COVAR_POP",
                    "CORR",
                    "REGR_SLOPE",
                    "REGR_INTERCEPT",
                    "REGR_R2",
                    "REGR_COUNT",
                    "REGR_AVGX",
                    "REGR_AVGY",
                    "REGR_SXX",
                    "REGR_SYY",
                    "REGR_SXY",
                ]);
                format!("{call}({x}, {y})")
            }
        }
    }

    /// How one person's values vary, and whether what comes out is bounded.
    pub fn person_moment(&mut self, cols: &[Col]) -> (String, Ty, bool) {
        let (x, y) = (self.bounded_number(cols), self.bounded_number(cols));
        let (label, call, bounded) = match self.rng.random_range(0..4) {
            0 => ("per person: mean without bounds", format!("AVG({})", self.expr(cols, Ty::Float, 1)), false),
            1 => {
                let call = *self.pick(&["VAR", "VAR_POP", "STDDEV", "STDDEV_POP"]);
                ("per person: variance", format!("{call}({x})"), true)
            }
            2 => {
                let call = *self.pick(&["COVAR_SAMP", "COVAR_POP", "CORR", "REGR_R2", "REGR_COUNT", "REGR_SXY"]);
                ("per person: two numbers", format!("{call}({x}, {y})"), true)
            }
            _ => {
                let call = *self.pick(&["REGR_SLOPE", "REGR_INTERCEPT"]);
                ("per person: slope", format!("{call}({x}, {y})"), false)
            }
        };
        self.label(label);
        (call, Ty::Float, bounded)
    }

    fn measured(&mut self, cols: &[Col]) -> Option<String> {
        if self.wild && self.one_in(2) {
            return Some(self.bounded_number(cols));
        }
        let measured: Vec<&Col> = cols.iter().filter(|c| c.bounded && ON_GRID.contains(&c.name.as_str())).collect();
        measured.choose(&mut self.rng).map(|c| c.sql.clone())
    }
}

/// A statistic of n rows whose sums x, y, xx, yy, xy are taken around two centres. Written anew, to check the other.
pub fn of(statistic: Statistic, n: f64, [x, y, xx, yy, xy]: [f64; 5], [cx, cy]: [f64; 2]) -> Option<f64> {
    if n == 0.0 {
        return None;
    }
    let (sxx, syy, sxy) = (xx - x * x / n, yy - y * y / n, xy - x * y / n);
    let over = |a: f64, b: f64| (b > 0.0).then(|| a / b);
    match statistic {
        Statistic::VarianceSample => over(sxx, n - 1.0),
        Statistic::VariancePopulation => over(sxx, n),
        Statistic::DeviationSample => over(sxx, n - 1.0).map(|v| v.max(0.0).sqrt()),
        Statistic::DeviationPopulation => over(sxx, n).map(|v| v.max(0.0).sqrt()),
        Statistic::CovarianceSample => over(sxy, n - 1.0),
        Statistic::CovariancePopulation => over(sxy, n),
        Statistic::Correlation => over(sxy, (sxx * syy).sqrt()),
        Statistic::Slope => over(sxy, sxx),
        Statistic::Intercept => Some(cy + y / n - over(sxy, sxx)? * (cx + x / n)),
        Statistic::Determination => over(sxy * sxy, sxx * syy),
        Statistic::MeanX => Some(cx + x / n),
        Statistic::MeanY => Some(cy + y / n),
        Statistic::SquaresX => Some(sxx),
        Statistic::SquaresY => Some(syy),
        Statistic::Products => Some(sxy),
    }
}

/// The place of the best score, where several are best of their middle, or of the one that an end is nearest to.
pub fn best(scores: &[i64], rank: sekisho::privacy::Rank, candidates: &sekisho::privacy::Candidates) -> f64 {
    let least = *scores.iter().min().unwrap();
    let tied = || (0..scores.len()).filter(|place| scores[*place] == least);
    let [first, last] = [tied().next(), tied().next_back()].map(|place| candidates.value(place.unwrap()).unwrap());
    match rank {
        sekisho::privacy::Rank::Quantile { .. } => (first + last) / 2.0,
        sekisho::privacy::Rank::Least => last,
        sekisho::privacy::Rank::Greatest => first,
    }
}

/// Days and microseconds as the type of their column.
pub fn timed(values: ArrayRef, data_type: &DataType) -> ArrayRef {
    let values = values.as_primitive::<Float64Type>();
    match data_type {
        DataType::Date32 => {
            let days: Int32Array = values.iter().map(|v| v.map(|v| v as i32)).collect();
            cast(&days, &DataType::Date32).unwrap()
        }
        DataType::Timestamp(..) => {
            let micros: Int64Array = values.iter().map(|v| v.map(|v| v as i64)).collect();
            cast(&micros, &DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap()
        }
        _ => Arc::new(values.clone()) as ArrayRef,
    }
}
