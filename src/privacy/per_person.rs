//! What does one person's group yield, as a function of that person's rows alone, to the last bit?
//!
//! An aggregate whose GROUP BY holds the owner key itself never mixes persons. Sums of floating-point numbers are taken
//! on an integer grid, so that they depend on no order.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::Column,
    functions::core::expr_fn::nullif,
    functions::unicode::left,
    logical_expr::{
        Aggregate, AggregateUDF, Expr, LogicalPlan, Projection, SortExpr, TryCast,
        expr::{AggregateFunction, AggregateFunctionParams, ScalarFunction},
        lit,
    },
};

use super::{
    aggregate_call::{combined, one_text},
    expression::{Scope, Total, refused},
    facts::{Facts, UNKNOWN_BYTES, is_text, short_rows, text_of},
    guarded::guarded,
    numbers::{Number, addend, as_float, both_present, without_nan},
    person_moments,
    range::Range,
    statistics::Statistic,
    typing::{Owned, Walk, built, mixed},
};
use crate::{sql::vocabulary, terms::Refusal};

/// Whether the GROUP BY holds the owner key itself, or a link that is never NULL: rows that share one are one person's.
pub(super) fn by_owner(aggregate: &Aggregate, input: &Owned) -> bool {
    aggregate.group_expr.iter().any(|expr| is_owner(expr, input) || input.names_a_row(expr))
}

fn is_owner(expr: &Expr, input: &Owned) -> bool {
    match expr {
        Expr::Column(column) => input.scope().facts_of(column).is_ok_and(|f| f.owner),
        _ => false,
    }
}

/// The per-person step of `aggregate` over `input`.
pub(super) fn aggregate(walk: &mut Walk<'_>, aggregate: &Aggregate, input: Owned) -> Result<Owned, Refusal> {
    let only_owner = aggregate.group_expr.iter().all(|expr| is_owner(expr, &input));
    let (mut groups, mut items, mut facts) = (vec![], vec![], vec![]);
    let mut owner = None;
    for (index, (expr, field)) in aggregate.group_expr.iter().zip(aggregate.schema.iter()).enumerate() {
        if matches!(expr, Expr::GroupingSet(_)) {
            return Err(mixed("GROUPING SETS inside a person; group by plain keys"));
        }
        let total = input.scope().item(expr)?;
        if total.facts.owner {
            owner = owner.or(Some(index));
        }
        let column = match &total.expr {
            Expr::Column(column) => Expr::Column(column.clone()),
            _ => Expr::Column(Column::from_name(walk.fresh("group"))),
        };
        groups.push(match (&total.expr, &column) {
            (Expr::Column(_), _) => total.expr,
            (_, Expr::Column(named)) => total.expr.alias(named.name.clone()),
            _ => total.expr,
        });
        items.push(rename(column, field));
        facts.push(Facts { fixed: only_owner || total.facts.fixed, ..total.facts });
    }
    let data_types = aggregate.schema.fields().iter().map(|field| field.data_type().clone());
    short_rows(facts.iter().zip(data_types), input.rows_max, input.defaults.room)?;
    let joined = aggregate.aggr_expr.iter().filter(|expr| joins_texts(expr)).count();
    if joined > JOINED_MAX {
        return Err(Refusal::TooComplex {
            limit: format!("at most {JOINED_MAX} STRING_AGG side by side inside a person"),
        });
    }
    few_kept(aggregate, &input, if only_owner { 1 } else { input.rows_max })?;
    let chosen = chosen(aggregate);
    let mut inner = vec![];
    for (expr, field) in aggregate.aggr_expr.iter().zip(aggregate.schema.iter().skip(items.len())) {
        let Expr::AggregateFunction(call) = expr.clone().unalias_nested().data else {
            return Err(mixed("this aggregate; use COUNT, SUM, AVG, MIN or MAX per person"));
        };
        let (outer, known) = one(walk, &call, &input, &chosen, &mut inner)?;
        items.push(rename(outer, field));
        facts.push(Facts { fixed: only_owner, ..known });
    }
    let owner = match owner {
        Some(owner) => owner,
        // By a link: the owner key is grouped by as well, so no group can span persons whatever the link holds.
        None => {
            let key = input.owner_key().ok_or_else(|| mixed("group by person_id itself"))?;
            groups.push(key.clone());
            items.push(key.alias(walk.fresh("owner")));
            facts.push(Facts::owner_key());
            facts.len() - 1
        }
    };
    let rows_max = if only_owner { 1 } else { input.rows_max };
    let defaults = input.defaults.clone().grouped(facts.iter().take(aggregate.group_expr.len()));
    let plan = LogicalPlan::Aggregate(built(Aggregate::try_new(Arc::new(input.plan), groups, inner))?);
    let plan = LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(plan)))?);
    Ok(Owned { plan, owner, facts, rows_max, defaults, halves: None })
}

fn rename(
    expr: Expr,
    (relation, field): (Option<&datafusion::common::TableReference>, &datafusion::arrow::datatypes::FieldRef),
) -> Expr {
    match &expr {
        Expr::Column(column) if column.relation.as_ref() == relation && column.name == *field.name() => expr,
        _ => expr.alias_qualified(relation.cloned(), field.name()),
    }
}

/// One aggregate: pushes what the engine computes and returns what to make of it, with its facts.
fn one(
    walk: &mut Walk<'_>,
    call: &AggregateFunction,
    input: &Owned,
    chosen: &[Expr],
    inner: &mut Vec<Expr>,
) -> Result<(Expr, Facts), Refusal> {
    let AggregateFunctionParams { args, distinct, filter, order_by, null_treatment } = &call.params;
    let ordered = matches!(call.func.name(), "first_value" | "last_value") && !order_by.is_empty() && !*distinct;
    // The order of a percentile is that of its own values.
    let ranked =
        matches!(call.func.name(), "percentile_cont" | "percentile_disc") && null_treatment.is_none() && !*distinct;
    let joined = call.func.name() == "string_agg" && null_treatment.is_none();
    if !ordered && !joined && !ranked && (!order_by.is_empty() || null_treatment.is_some()) {
        return Err(refused(call.func.name(), "without ORDER BY or RESPECT NULLS"));
    }
    let scope = input.scope();
    let order_by = match (ordered || joined, order_by.as_slice()) {
        // Different texts stand in their own order, or in its reverse.
        (true, order_by) if joined && *distinct => {
            let text = args.first().ok_or_else(|| refused("STRING_AGG", "with a text"))?;
            match order_by {
                [] => vec![SortExpr::new(scope.item(text)?.expr, true, false)],
                [by] if by.expr == *text => vec![SortExpr { expr: scope.item(text)?.expr, ..by.clone() }],
                _ => return Err(refused("STRING_AGG(DISTINCT ...)", "order it by the text that it joins")),
            }
        }
        (true, order_by) => total_order(input, order_by, chosen)?,
        (false, [by]) if ranked => vec![SortExpr { expr: number_of(&scope, &by.expr)?, ..by.clone() }],
        _ => vec![],
    };
    // Rows that FILTER leaves out are not seen: what it says of a value bounds the value.
    let condition = filter.as_deref();
    let seen = |expr: &Expr, all: Facts| {
        let known = condition.filter(|_| !all.key && !all.person).and_then(|c| scope.where_true(c, expr));
        known.map_or(all.clone(), |known| known.within(&all))
    };
    let filter = condition.map(|f| scope.total(f)).transpose()?.map(|t| Box::new(t.expr));
    let (args, second) = match args.as_slice() {
        [value, second] if (joined || ranked) && is_literal(second) => {
            (std::slice::from_ref(value), Some(second.clone()))
        }
        all => (all, None),
    };
    let rows = Range::new(0.0, u64_to_f64(input.rows_max));
    let plain = Facts { nullable: true, ..Facts::unknown() };
    let mut push = |func: &Arc<AggregateUDF>, argument: Expr, distinct: bool| {
        let name = walk.fresh("per_person");
        let params = AggregateFunctionParams {
            args: std::iter::once(argument).chain(second.clone()).collect(),
            distinct,
            filter: filter.clone(),
            order_by: order_by.clone(),
            null_treatment: *null_treatment,
        };
        let call = Expr::AggregateFunction(AggregateFunction { func: Arc::clone(func), params });
        inner.push(call.alias(name.clone()));
        Expr::Column(Column::from_name(name))
    };
    let name = call.func.name();
    let number = |expr: &Expr| Number::of(name, expr, &scope, seen);
    match (Statistic::named(name).filter(|_| !*distinct), args) {
        (Some(statistic), [x]) => {
            return person_moments::of(statistic, number(x)?, None, input.rows_max, &mut |f, x| push(f, x, false));
        }
        (Some(statistic), [y, x]) => {
            let y = Some(number(y)?);
            return person_moments::of(statistic, number(x)?, y, input.rows_max, &mut |f, x| push(f, x, false));
        }
        (None, [y, x]) if name == "regr_count" && !*distinct => {
            let (x, _) = both_present(number(x)?, number(y)?);
            let count = vocabulary().aggregate("count").ok_or_else(|| refused("COUNT", "it is missing"))?;
            let counted = push(&count, without_nan(x.expr, &x.data_type), false);
            return Ok((counted, Facts { nullable: false, range: rows, grid: Some(1.0), ..plain }));
        }
        _ => {}
    }
    let combined = combined(args).filter(|_| call.func.name() == "count" && *distinct);
    let (argument, item, data_type) = match (combined, args) {
        (Some(columns), [first, ..]) => (first, one_text(columns, &scope)?, DataType::Utf8),
        (_, [argument]) => {
            let Total { expr, facts } = scope.item(argument)?;
            (argument, Total { expr, facts: seen(argument, facts) }, scope.data_type(argument)?)
        }
        _ => return Err(refused(call.func.name(), "with one argument")),
    };
    match (call.func.name(), distinct) {
        ("count", distinct) => {
            let counted = push(&call.func, item.expr, *distinct);
            Ok((counted, Facts { nullable: false, range: rows, grid: Some(1.0), ..plain }))
        }
        _ if item.facts.owner || item.facts.key => Err(refused(call.func.name(), "keys can be counted, nothing else")),
        ("min" | "max", false) => {
            let value = push(&call.func, without_nan(item.expr, &data_type), false);
            // A group has a row at least: without a FILTER and without NaN its least value is NULL only where all are.
            let nullable = item.facts.nullable || filter.is_some() || data_type.is_floating();
            Ok((value, Facts { nullable, owner: false, fixed: false, stored: None, ..item.facts }))
        }
        ("first_value" | "last_value", false) if ordered => {
            let value = push(&call.func, item.expr, false);
            Ok((value, Facts { nullable: true, fixed: false, numbered: false, stored: None, ..item.facts }))
        }
        // However many rows a person has: the text that goes on is cut, so that its rows above have room in memory.
        ("string_agg", distinct) if second.is_some() => {
            let short = second.as_ref().is_some_and(|between| separator_bytes(between) <= SEPARATOR_BYTES_MAX);
            if !short {
                return Err(refused("STRING_AGG", "separate by a literal of at most 64 bytes"));
            }
            // The whole text of a person is built before it is cut.
            let bytes = item.facts.text_bytes.saturating_add(SEPARATOR_BYTES_MAX as u64);
            if bytes.saturating_mul(input.rows_max) > JOINED_BYTES_MAX {
                let limit = format!(
                    "STRING_AGG builds at most {} MiB of a person; shorten its texts with left(x, n)",
                    JOINED_BYTES_MAX >> 20
                );
                return Err(Refusal::TooComplex { limit });
            }
            let whole = push(&call.func, item.expr, *distinct);
            let joined = ScalarFunction::new_udf(guarded(&left()), vec![whole, lit(JOINED_CHARACTERS_MAX)]);
            let text_bytes = u64::try_from(JOINED_CHARACTERS_MAX.saturating_mul(4)).unwrap_or(u64::MAX);
            Ok((Expr::ScalarFunction(joined), Facts { text_bytes, ..plain }))
        }
        ("bool_or" | "bool_and", false) => Ok((push(&call.func, item.expr, false), Facts::boolean())),
        // The middle of the sorted values, whatever order they come in.
        ("median", false) if data_type.is_integer() || data_type.is_floating() => {
            let value = push(&call.func, without_nan(item.expr, &data_type), false);
            let (range, holds) = (item.facts.range.map(Range::to_integers), item.facts.holds);
            Ok((value, Facts { range, holds, ..plain }))
        }
        ("percentile_cont" | "percentile_disc", false)
            if second.is_some() && (data_type.is_integer() || data_type.is_floating()) =>
        {
            let value = push(&call.func, without_nan(item.expr, &data_type), false);
            let (range, holds) = (item.facts.range.map(Range::to_integers), item.facts.holds);
            Ok((value, Facts { range, holds, ..plain }))
        }
        ("sum", distinct) if data_type.is_integer() => {
            let range = item.facts.range.and_then(|r| total_range(r, input.rows_max)).filter(|r| r.within(-9e18, 9e18));
            Ok((push(&call.func, item.expr, *distinct), Facts { range, grid: Some(1.0), ..plain }))
        }
        // A mean of whole numbers without bounds: their sum as a decimal neither wraps nor depends on an order.
        ("avg", false) if item.facts.range.is_none() && of_integers(argument, &scope).is_some() => {
            let whole = of_integers(argument, &scope).ok_or_else(|| refused("AVG", "give a column"))?;
            let item = scope.item(whole)?;
            let sum = vocabulary().aggregate("sum").ok_or_else(|| refused("SUM", "it is missing"))?;
            let count = vocabulary().aggregate("count").ok_or_else(|| refused("COUNT", "it is missing"))?;
            let whole = TryCast::new(Box::new(item.expr.clone()), DataType::Decimal128(38, 0));
            let total = as_float(push(&sum, Expr::TryCast(whole), false));
            let counted = push(&count, item.expr, false);
            Ok((total / nullif(as_float(counted), lit(0.0)), plain))
        }
        ("sum" | "avg", false) if data_type == DataType::Float64 => {
            let sum = vocabulary().aggregate("sum").ok_or_else(|| refused("SUM", "it is missing"))?;
            let (addend, step) = addend(item.expr, &item.facts);
            let total = as_float(push(&sum, addend.clone(), false)) * lit(step);
            if call.func.name() == "sum" {
                let range = item.facts.range.and_then(|r| total_range(r, input.rows_max));
                let grid = item.facts.grid.filter(|_| range.is_some());
                return Ok((total, Facts { range, grid, ..plain }));
            }
            let count = vocabulary().aggregate("count").ok_or_else(|| refused("COUNT", "it is missing"))?;
            let mean = total / nullif(as_float(push(&count, addend, false)), lit(0.0));
            Ok((mean, Facts { range: item.facts.range, grid: item.facts.grid, ..plain }))
        }
        (name, _) => Err(refused(
            &format!("{}{name} inside a person", if *distinct { "DISTINCT " } else { "" }),
            "use COUNT, SUM, AVG, MIN, MAX, MEDIAN, PERCENTILE_CONT, VAR, STDDEV, COVAR, CORR, REGR_*, BOOL_OR, BOOL_AND, STRING_AGG or FIRST_VALUE(x ORDER BY y)",
        )),
    }
}

/// Whether what the engine keeps beside the rows has room in memory: for a first or last value all that it is chosen by, in
/// each of `groups`; for a median or for different values each of them.
pub(super) fn few_kept(aggregate: &Aggregate, input: &Owned, groups: u64) -> Result<(), Refusal> {
    let (scope, rows) = (input.scope(), input.rows_max);
    let text = |expr: &Expr| match scope.data_type(expr) {
        Ok(data_type) if is_text(&data_type) => scope.item(expr).map_or(UNKNOWN_BYTES, |item| item.facts.text_bytes),
        _ => 0,
    };
    // Of a combination one text is made.
    let together = |args: &[Expr]| match combined(args) {
        Some(columns) => columns.of.iter().map(|column| text(column) + KEPT_BYTES).fold(0, u64::saturating_add),
        None => args.iter().map(text).fold(0, u64::saturating_add),
    };
    let of = |exprs: &[Expr]| exprs.iter().map(|expr| KEPT_BYTES + text(expr)).fold(KEPT_BYTES, u64::saturating_add);
    let chosen = of(&chosen(aggregate));
    let kept = |expr: &Expr| {
        let Expr::AggregateFunction(call) = expr.clone().unalias_nested().data else { return 0 };
        match call.func.name() {
            name @ ("first_value" | "last_value" | "string_agg") => {
                let by: Vec<Expr> = call.params.order_by.iter().map(|sort| sort.expr.clone()).collect();
                let times = if name == "string_agg" { rows } else { groups };
                let sets = if call.params.distinct { groups.saturating_mul(SET_BYTES) } else { 0 };
                of(&by).saturating_add(chosen).saturating_mul(times).saturating_add(sets)
            }
            "median" | "percentile_cont" | "percentile_disc" => rows.saturating_mul(KEPT_BYTES),
            _ if call.params.distinct => {
                let texts = together(&call.params.args);
                let sets = groups.saturating_mul(if texts > 0 { SET_BYTES } else { KEPT_BYTES });
                rows.saturating_mul(texts.saturating_add(KEPT_BYTES)).saturating_add(sets)
            }
            _ => 0,
        }
    };
    let all = aggregate.aggr_expr.iter().map(kept).fold(0, u64::saturating_add);
    match all <= input.defaults.room {
        true => Ok(()),
        false => Err(Refusal::TooComplex {
            limit: "fewer FIRST_VALUE, MEDIAN or DISTINCT side by side inside a person; take some in a subquery of their own"
                .to_owned(),
        }),
    }
}

/// What the engine sets aside for a set of texts before there is one in it.
const SET_BYTES: u64 = 12_288;

/// What a value takes where it is kept by itself.
const KEPT_BYTES: u64 = 64;

fn number_of(scope: &Scope<'_>, expr: &Expr) -> Result<Expr, Refusal> {
    let data_type = scope.data_type(expr)?;
    Ok(without_nan(scope.item(expr)?.expr, &data_type))
}

/// What one STRING_AGG may build of one person, with as many and as long texts as are declared.
const JOINED_BYTES_MAX: u64 = 64 << 20;
/// How many of them one step may hold.
const JOINED_MAX: usize = 8;

fn joins_texts(expr: &Expr) -> bool {
    matches!(expr.clone().unalias_nested().data, Expr::AggregateFunction(call) if call.func.name() == "string_agg")
}

/// The characters that are kept of the texts of a person that were joined.
const JOINED_CHARACTERS_MAX: i64 = 960;
const SEPARATOR_BYTES_MAX: usize = 64;

fn separator_bytes(expr: &Expr) -> usize {
    match expr {
        Expr::Cast(cast) => separator_bytes(&cast.expr),
        other => text_of(other).map_or(0, str::len),
    }
}

fn is_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Cast(cast) => is_literal(&cast.expr),
        other => matches!(other, Expr::Literal(..)),
    }
}

/// The caller's order, and then what stands in the aggregates that choose by one: where it leaves rows equal all of them
/// choose the same, and rows equal in that as well yield the same.
fn total_order(input: &Owned, order_by: &[SortExpr], chosen: &[Expr]) -> Result<Vec<SortExpr>, Refusal> {
    let mut total: Vec<SortExpr> = vec![];
    let asked = order_by.iter().map(|sort| Ok((input.scope().item(&sort.expr)?, sort.asc, sort.nulls_first)));
    let ties = chosen.iter().map(|expr| Ok((input.scope().item(expr)?, true, false)));
    for key in asked.chain(ties) {
        let (item, asc, nulls_first) = key?;
        // What is sorted by before decides alone; the engine counts one key twice and fails over the first row.
        if !item.facts.owner && total.iter().all(|sort| sort.expr != item.expr) {
            total.push(SortExpr { expr: item.expr, asc, nulls_first });
        }
    }
    Ok(total)
}

/// What is chosen or joined by an order in `aggregate`.
fn chosen(aggregate: &Aggregate) -> Vec<Expr> {
    let of = |expr: &Expr| match expr.clone().unalias_nested().data {
        Expr::AggregateFunction(call) if matches!(call.func.name(), "first_value" | "last_value" | "string_agg") => {
            call.params.args.into_iter().next()
        }
        _ => None,
    };
    aggregate.aggr_expr.iter().filter_map(of).collect()
}

/// The whole number in `argument` that was only cast to take its mean.
fn of_integers<'a>(argument: &'a Expr, scope: &Scope<'_>) -> Option<&'a Expr> {
    match argument {
        Expr::Cast(cast) => Some(cast.expr.as_ref()).filter(|e| scope.data_type(e).is_ok_and(|t| t.is_integer())),
        _ => None,
    }
}

/// The range of a sum of at most `rows` values of `range`, of which there may also be fewer.
pub(super) fn total_range(range: Range, rows: u64) -> Option<Range> {
    let rows = u64_to_f64(rows);
    Range::new((range.lo * rows).min(range.lo).min(0.0), (range.hi * rows).max(range.hi).max(0.0))
}

#[expect(clippy::cast_precision_loss, reason = "row counts are far below 2^53")]
pub(super) fn u64_to_f64(rows: u64) -> f64 {
    rows as f64
}
