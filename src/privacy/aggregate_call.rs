//! Which partials and which output does an aggregate of SQL become?

use datafusion::{
    arrow::datatypes::DataType,
    common::ScalarValue,
    functions::{core::expr_fn::coalesce, string::expr_fn::concat, unicode::expr_fn::character_length},
    logical_expr::{
        Case, Expr,
        expr::{AggregateFunction, AggregateFunctionParams, Sort},
        lit,
        utils::split_conjunction,
    },
    sql::unparser::expr_to_sql,
};

use super::{
    candidates::Candidates,
    expression::{Scope, Total, refused, short_enough},
    facts::{Facts, Origin, PLAIN_BYTES, is_text, number},
    grid::Grid,
    narrowing::seen_between,
    numbers::{Around, Number, as_number, both_present, cast, count_of_time, in_units, without_nan},
    partial::{Kind, Partial, Rank},
    release_point::{Axis, Output},
    statistics::Statistic,
    typing::Owned,
};
use crate::terms::Refusal;

/// The public limits within which one release is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// m.
    pub(super) rows_per_group: u64,
    /// D, and whether the analyst set it.
    pub(super) distinct_values: u64,
    pub(super) distinct_origin: Origin,
    /// No person has more rows.
    pub(super) rows_max: u64,
    pub(super) population_max: u64,
    /// The most candidates of a histogram.
    pub(super) candidates_max: u64,
}

/// Input columns and partials, each kept once however often it is used.
pub(super) struct Parts {
    pub(super) columns: Vec<Expr>,
    /// How many bytes the texts among them have at most.
    pub(super) text_bytes: u64,
    pub(super) partials: Vec<Partial>,
    /// What all rows have passed.
    passed: Vec<Expr>,
    limits: Limits,
}

const ACCEPTED: &str = "use COUNT, SUM, AVG, MIN, MAX, MEDIAN, PERCENTILE_CONT, VAR, STDDEV, COVAR, CORR or REGR_*";

impl Parts {
    pub(super) fn new(limits: Limits, passed: Vec<Expr>) -> Self {
        Self { columns: vec![], text_bytes: 0, partials: vec![], passed, limits }
    }

    fn column(&mut self, expr: Expr) -> usize {
        match self.columns.iter().position(|c| *c == expr) {
            Some(index) => index + 1,
            None => {
                self.columns.push(expr);
                self.columns.len()
            }
        }
    }

    fn partial(&mut self, kind: Kind, argument: Option<usize>, filter: Option<usize>) -> usize {
        let partial = Partial { kind, argument, filter };
        match self.partials.iter().position(|p| *p == partial) {
            Some(index) => index,
            None => {
                self.partials.push(partial);
                self.partials.len() - 1
            }
        }
    }

    /// The output that `call` over `input` becomes.
    pub(super) fn output(&mut self, call: &AggregateFunction, input: &Owned) -> Result<Output, Refusal> {
        let AggregateFunctionParams { args, distinct, filter, order_by, null_treatment } = &call.params;
        let name = call.func.name();
        let percentile = matches!(name, "percentile_cont" | "percentile_disc" | "approx_percentile_cont");
        if (!order_by.is_empty() && !percentile) || null_treatment.is_some() {
            return Err(refused(name, "without ORDER BY or RESPECT NULLS"));
        }
        let scope = input.scope();
        // Rows that WHERE and FILTER leave out are not seen: what they say of a value bounds the value.
        let mut passed = self.passed.clone();
        passed.extend(filter.iter().flat_map(|filter| split_conjunction(filter)).cloned());
        let seen = |expr: &Expr, all: Facts| {
            let condition = filter.as_deref().filter(|_| !all.key && !all.person);
            let facts = condition
                .and_then(|condition| scope.where_true(condition, expr))
                .map_or(all.clone(), |known| known.within(&all));
            seen_between(&passed, expr, facts)
        };
        let filter = match filter {
            Some(condition) => Some(self.column(scope.total(condition)?.expr)),
            None => None,
        };
        if let ("count", true, Some(columns)) = (name, distinct, combined(args)) {
            return self.distinct(one_text(columns, &scope)?, &DataType::Utf8, filter);
        }
        let Some(first) = args.first() else { return Err(refused(name, "with an argument")) };
        let Total { expr, facts } = scope.item(first)?;
        let item = Total { expr, facts: seen(first, facts) };
        let data_type = scope.data_type(first)?;
        match (name, distinct) {
            // The owner key or NULL: of one person it is one value, so it counts whether any row has it.
            ("count", true) | ("approx_distinct", _) if args.len() == 1 && item.facts.person => {
                let argument = (!item.facts.owner).then(|| self.column(item.expr));
                return Ok(Output::Count(self.partial(Kind::Person, argument, filter)));
            }
            ("count", true) | ("approx_distinct", _) if args.len() == 1 => {
                return self.distinct(item, &data_type, filter);
            }
            ("count", false) if args.len() == 1 => {
                let argument = item.facts.nullable.then(|| self.column(item.expr));
                return Ok(Output::Count(self.partial(Kind::Rows, argument, filter)));
            }
            _ if item.facts.person || item.facts.owner || item.facts.key => {
                return Err(refused(name, "person_id and row ids can be counted, nothing else"));
            }
            ("min" | "max", _) => return self.end(name == "min", first, item, &data_type, filter),
            ("sum" | "avg" | "median" | "var" | "stddev", true) => {
                let fix =
                    format!("{name}(DISTINCT x) has no bound; group by person_id and x first, or leave DISTINCT out");
                return Err(refused(&format!("DISTINCT {name}"), &fix));
            }
            (_, true) => return Err(refused(&format!("DISTINCT {name}"), ACCEPTED)),
            ("bool_and" | "bool_or", _) => {
                return Err(refused(name, "COUNT(*) FILTER (WHERE ...) says how many; compare it with COUNT(*)"));
            }
            _ => {}
        }
        let number = |expr: &Expr| Number::of(name, expr, &scope, seen);
        match (name, args.as_slice()) {
            ("sum", [_]) => {
                let x = number(first)?;
                let sum = self.sum(&x, filter, false)?;
                Ok(Output::Sum(sum))
            }
            ("avg", [_]) => {
                let x = number(first)?;
                let rows = self.rows(&x, filter);
                let sum = self.sum(&x, filter, true)?;
                Ok(Output::Mean { sum, rows })
            }
            ("median" | "approx_median", [_]) => {
                let x = number(first)?;
                self.quantile(&x, Rank::Quantile { below: 1, of: 2 }, filter)
            }
            ("percentile_cont" | "percentile_disc", [_, share])
            | ("approx_percentile_cont", [_, share] | [_, share, _]) => {
                let rank = rank_of(share, order_by)?;
                let x = number(first)?;
                self.quantile(&x, rank, filter)
            }
            ("regr_count", [y, x]) => {
                let (x, y) = both_present(number(x)?, number(y)?);
                let _ = y;
                Ok(Output::Count(self.rows(&x, filter)))
            }
            (_, arguments) => match (Statistic::named(name), arguments) {
                (Some(statistic), [_]) => self.moments(statistic, &number(first)?, None, filter),
                (Some(statistic), [y, x]) => {
                    let (x, y) = both_present(number(x)?, number(y)?);
                    self.moments(statistic, &x, Some(&y), filter)
                }
                _ => Err(refused(name, ACCEPTED)),
            },
        }
    }

    /// COUNT(DISTINCT e): at most D values of one person and group. Links and row ids may be counted too.
    fn distinct(&mut self, item: Total, data_type: &DataType, filter: Option<usize>) -> Result<Output, Refusal> {
        if !super::release_point::groupable(data_type) {
            return Err(refused("COUNT(DISTINCT ...)", "count distinct numbers, dates, texts or booleans"));
        }
        let listed = item.facts.domain.as_ref().and_then(|values| u64::try_from(values.len()).ok());
        let most = self.limits.distinct_values.min(self.limits.rows_max).min(listed.unwrap_or(u64::MAX)).max(1);
        let kind = Kind::Values { most, origin: self.limits.distinct_origin };
        if is_text(data_type) && !self.columns.contains(&item.expr) {
            self.text_bytes = self.text_bytes.saturating_add(item.facts.text_bytes);
        }
        let argument = self.column(item.expr);
        Ok(Output::Count(self.partial(kind, Some(argument), filter)))
    }

    /// The rows that an aggregate of `x` sees.
    fn rows(&mut self, x: &Number, filter: Option<usize>) -> usize {
        let seen = x.facts.nullable.then(|| self.column(as_number(&x.expr, &x.data_type)));
        self.partial(Kind::Rows, seen, filter)
    }

    fn sum(&mut self, x: &Number, filter: Option<usize>, centred: bool) -> Result<usize, Refusal> {
        let grid = x.grid()?;
        let centre = if centred { grid.centre() } else { 0 };
        let argument = self.column(as_number(&x.expr, &x.data_type));
        Ok(self.partial(Kind::Sum { grid, centre, origin: x.facts.origin }, Some(argument), filter))
    }

    /// The sums that `statistic` is made of, all over the rows where both numbers are present.
    fn moments(
        &mut self,
        statistic: Statistic,
        x: &Number,
        y: Option<&Number>,
        filter: Option<usize>,
    ) -> Result<Output, Refusal> {
        let needs = statistic.needs();
        let rows = self.rows(x, filter);
        let mut axis = |x: &Number, sum: bool, squares: bool| -> Result<Axis, Refusal> {
            let sum = if sum { Some(self.sum(x, filter, true)?) } else { None };
            let squares = if squares { Some(self.product(x, x, filter)?) } else { None };
            Ok(Axis { sum, squares })
        };
        let of_x = axis(x, needs.x, needs.xx)?;
        let of_y = match y {
            Some(y) => axis(y, needs.y, needs.yy)?,
            None => Axis { sum: None, squares: None },
        };
        let product = match y.filter(|_| needs.xy) {
            Some(y) => Some(self.product(x, y, filter)?),
            None => None,
        };
        Ok(Output::Moments { statistic, rows, x: of_x, y: of_y, product })
    }

    /// Σ (x − cx)(y − cy) on integer grids, coarse enough for the sum over the population to fit. The centres are those
    /// of the sums of x and y, so that the parts belong together.
    fn product(&mut self, x: &Number, y: &Number, filter: Option<usize>) -> Result<usize, Refusal> {
        let (fine_x, fine_y) = (x.grid()?, y.grid()?);
        let most = (1_u64 << 61) / self.limits.rows_per_group.max(1) / self.limits.population_max.max(1);
        let (of_x, of_y) = Around::both(&fine_x, &fine_y, most)?;
        let most = i64::try_from(of_x.radius().saturating_mul(of_y.radius())).unwrap_or(i64::MAX);
        let square = x.expr == y.expr;
        let grid = Grid { step: of_x.step() * of_y.step(), lo: if square { 0 } else { -most }, hi: most };
        let argument = self.column(of_x.of(x) * of_y.of(y));
        let origin = x.facts.origin.min(y.facts.origin);
        Ok(self.partial(Kind::Sum { grid, centre: 0, origin }, Some(argument), filter))
    }

    fn quantile(&mut self, x: &Number, rank: Rank, filter: Option<usize>) -> Result<Output, Refusal> {
        let whole = x.data_type.is_integer() || x.facts.grid == Some(1.0);
        let missing = || Refusal::BoundMissing { column: x.name.clone() };
        let (range, declared, most) = (x.facts.range, x.facts.grid, self.limits.candidates_max);
        let candidates = Candidates::of(range, declared, whole, !x.time, most).ok_or_else(missing)?;
        let argument = self.column(in_units(&x.expr, &x.data_type, candidates.grid()));
        let kind = Kind::Histogram { candidates, rank, origin: x.facts.origin };
        Ok(Output::Quantile(self.partial(kind, Some(argument), filter)))
    }

    /// MIN and MAX: protected ends.
    fn end(
        &mut self,
        least: bool,
        argument: &Expr,
        item: Total,
        data_type: &DataType,
        filter: Option<usize>,
    ) -> Result<Output, Refusal> {
        let name = if least { "MIN" } else { "MAX" };
        let time = matches!(data_type, DataType::Date32 | DataType::Timestamp(_, None));
        if !time && !data_type.is_integer() && !data_type.is_floating() {
            let fix = format!("{name} takes numbers, dates and timestamps; count texts by GROUP BY instead");
            return Err(refused(&format!("{name}({})", readable(argument)), &fix));
        }
        let expr = if time { count_of_time(&item.expr, data_type) } else { item.expr };
        let data_type = if time { DataType::Int64 } else { data_type.clone() };
        let x = Number { expr, facts: item.facts, data_type, time, name: readable(argument) };
        self.quantile(&x, if least { Rank::Least } else { Rank::Greatest }, filter)
    }
}

/// The columns whose combinations a count tells apart.
pub(super) struct Combined<'a> {
    pub(super) of: &'a [Expr],
    /// A row of values is there also where one of them is NULL. Of several arguments none may be.
    row: bool,
}

/// `(a, b)`, ROW(a, b), or more than one argument.
pub(super) fn combined(args: &[Expr]) -> Option<Combined<'_>> {
    match args {
        [Expr::ScalarFunction(call)] if call.func.name() == "struct" => Some(Combined { of: &call.args, row: true }),
        [_, _, ..] => Some(Combined { of: args, row: false }),
        _ => None,
    }
}

/// A text of its own for each combination; NULL where there is none.
pub(super) fn one_text(columns: Combined<'_>, scope: &Scope<'_>) -> Result<Total, Refusal> {
    let (mut parts, mut bytes, mut missing) = (vec![], 0_u64, vec![]);
    for column in columns.of {
        let data_type = scope.data_type(column)?;
        if !super::release_point::groupable(&data_type) {
            return Err(refused("COUNT(DISTINCT ...)", "count distinct numbers, dates, texts or booleans"));
        }
        let item = scope.item(column)?;
        let text = match data_type {
            DataType::Utf8 => item.expr,
            DataType::Date32 | DataType::Timestamp(..) => cast(count_of_time(&item.expr, &data_type), DataType::Utf8),
            _ => cast(without_nan(item.expr, &data_type), DataType::Utf8),
        };
        bytes = bytes.saturating_add(if is_text(&data_type) { item.facts.text_bytes } else { PLAIN_BYTES } + 24);
        missing.push(text.clone().is_null());
        // Its length stands before it: no two combinations have one text.
        let length = cast(character_length(text.clone()), DataType::Utf8);
        parts.extend([coalesce(vec![length, lit("-")]), lit(" "), coalesce(vec![text, lit("")])]);
    }
    let text_bytes = short_enough(bytes)?;
    let null = Expr::Literal(ScalarValue::Utf8(None), None);
    let of_nothing = missing.into_iter().reduce(Expr::or).filter(|_| !columns.row);
    let text = concat(parts);
    let expr = match of_nothing {
        Some(missing) => Expr::Case(Case::new(None, vec![(Box::new(missing), Box::new(null))], Some(Box::new(text)))),
        None => text,
    };
    Ok(Total { expr, facts: Facts { text_bytes, ..Facts::unknown() } })
}

/// The rank that a percentile asks for, in ten-thousandths.
fn rank_of(share: &Expr, order_by: &[Sort]) -> Result<Rank, Refusal> {
    const PARTS: f64 = 10_000.0;
    let wrong = || refused("this percentile", "give the share as a literal from 0 to 1 in steps of 0.0001");
    let value = match share.clone().unalias_nested().data {
        Expr::Literal(value, _) => value.cast_to(&DataType::Float64).ok().as_ref().and_then(number),
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::Literal(value, _) => value.cast_to(&DataType::Float64).ok().as_ref().and_then(number),
            _ => None,
        },
        _ => None,
    };
    let value = value.filter(|v| (0.0..=1.0).contains(v)).ok_or_else(wrong)?;
    let descending = order_by.first().is_some_and(|sort| !sort.asc);
    let value = if descending { 1.0 - value } else { value };
    let parts = (value * PARTS).round();
    if (value * PARTS - parts).abs() > 1e-6 {
        return Err(wrong());
    }
    let below = super::facts::whole(parts).and_then(|p| u32::try_from(p).ok()).ok_or_else(wrong)?;
    Ok(match below {
        0 => Rank::Least,
        10_000 => Rank::Greatest,
        _ => {
            let shared = greatest_common_divisor(below, 10_000);
            Rank::Quantile { below: below / shared, of: 10_000 / shared }
        }
    })
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    match b {
        0 => a.max(1),
        _ => greatest_common_divisor(b, a % b),
    }
}

/// The argument as its writer knows it: SQL that can be written again, without the casts that planning put around it.
pub(super) fn readable(expr: &Expr) -> String {
    match expr {
        Expr::Alias(alias) => readable(&alias.expr),
        Expr::Cast(cast) => readable(&cast.expr),
        Expr::TryCast(cast) => readable(&cast.expr),
        Expr::Column(column) => column.name.clone(),
        other => expr_to_sql(other).map_or_else(|_| other.schema_name().to_string(), |sql| sql.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_named_in_words_that_can_be_asked() {
        let product = lit(1.0) * cast(datafusion::logical_expr::ident("weight"), DataType::Float64);
        assert_eq!(readable(&cast(product, DataType::Float64)), "(1.0 * TRY_CAST(weight AS DOUBLE))");
    }

    #[test]
    fn percentiles_are_read_in_their_lowest_terms_and_downward_where_the_order_is() {
        let up = [];
        assert_eq!(rank_of(&lit(0.25), &up).unwrap(), Rank::Quantile { below: 1, of: 4 });
        assert_eq!(rank_of(&lit(0.9), &up).unwrap(), Rank::Quantile { below: 9, of: 10 });
        assert_eq!(rank_of(&lit(1_i64), &up).unwrap(), Rank::Greatest);
        let down = [lit(1).sort(false, false)];
        assert_eq!(rank_of(&lit(0.9), &down).unwrap(), Rank::Quantile { below: 1, of: 10 });
        for wrong in [1.5, -0.1, 0.123_456, f64::NAN] {
            assert!(rank_of(&lit(wrong), &up).is_err(), "{wrong}");
        }
    }
}
