//! What does a WHERE clause say about the rows that pass it?

use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    common::{DFSchema, JoinType, ScalarValue},
    logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, utils::split_conjunction},
};

use super::{
    facts::{Facts, Origin, number},
    range::Range,
};

/// Narrows the facts of columns by the AND terms of `predicate` that compare a bare column with a literal: rows that
/// do not satisfy them are gone.
pub(super) fn narrow(predicate: &Expr, schema: &DFSchema, facts: &mut [Facts]) {
    match predicate {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            narrow(left, schema, facts);
            narrow(right, schema, facts);
        }
        Expr::InList(list) if !list.negated => one_of(&list.expr, &list.list, schema, facts),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            if *op == Operator::Eq {
                one_of(left, std::slice::from_ref(right), schema, facts);
                one_of(right, std::slice::from_ref(left), schema, facts);
            }
            if let Some(value) = literal(right) {
                compare(left, *op, value, schema, facts);
            } else if let (Some(value), Some(op)) = (literal(left), op.swap()) {
                compare(right, op, value, schema, facts);
            }
        }
        Expr::Between(between) if !between.negated => {
            if let (Some(low), Some(high)) = (literal(&between.low), literal(&between.high)) {
                compare(&between.expr, Operator::GtEq, low, schema, facts);
                compare(&between.expr, Operator::LtEq, high, schema, facts);
            }
        }
        Expr::IsNotNull(inner) => {
            if let Some(facts) = of(inner, schema, facts) {
                facts.nullable = false;
            }
        }
        _ => {}
    }
}

/// The conditions that all rows of `plan` have passed, as far down as its columns have the same names.
pub(super) fn passed(plan: &LogicalPlan) -> Vec<Expr> {
    match plan {
        LogicalPlan::Filter(filter) => {
            let mut all = passed(&filter.input);
            all.extend(split_conjunction(&filter.predicate).into_iter().cloned());
            all
        }
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::Inner => passed(&join.left).into_iter().chain(passed(&join.right)).collect(),
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti => passed(&join.left),
            JoinType::Right => passed(&join.right),
            _ => vec![],
        },
        _ => vec![],
    }
}

/// What is known of `expr` in rows that have passed all of `conditions`.
pub(super) fn seen_between(conditions: &[Expr], expr: &Expr, facts: Facts) -> Facts {
    let Some(known) = between(conditions, expr) else { return facts };
    let range = facts.range.map_or(Some(known), |range| range.intersect(known));
    Facts { range: range.or(facts.range), origin: Origin::Question, ..facts }
}

/// Between which literals `expr`, whatever it computes, lies where all of `conditions` are true.
fn between(conditions: &[Expr], expr: &Expr) -> Option<Range> {
    let wanted = uncast(expr);
    if matches!(wanted, Expr::Column(_) | Expr::Literal(..)) {
        return None;
    }
    let all = Range { lo: f64::NEG_INFINITY, hi: f64::INFINITY };
    let side = |op: Operator, value: f64| match op {
        _ if value.is_nan() => all,
        Operator::Lt | Operator::LtEq => Range { hi: value, ..all },
        Operator::Gt | Operator::GtEq => Range { lo: value, ..all },
        Operator::Eq => Range { lo: value, hi: value },
        _ => all,
    };
    let of = |condition: &Expr| match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (literal(left), literal(right)) {
            (None, Some(value)) if uncast(left) == wanted => side(*op, value),
            (Some(value), None) if uncast(right) == wanted => op.swap().map_or(all, |op| side(op, value)),
            _ => all,
        },
        Expr::Between(between) if !between.negated && uncast(&between.expr) == wanted => {
            let known = |end: &Expr| literal(end).filter(|value| !value.is_nan());
            let (low, high) = (known(&between.low), known(&between.high));
            Range { lo: low.unwrap_or(all.lo), hi: high.unwrap_or(all.hi) }
        }
        _ => all,
    };
    let found = conditions.iter().map(of).try_fold(all, Range::intersect)?;
    (found.lo.is_finite() || found.hi.is_finite()).then_some(found)
}

fn uncast(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => uncast(&alias.expr),
        Expr::Cast(cast) if is_wide(cast.field.data_type()) => uncast(&cast.expr),
        other => other,
    }
}

/// How many rows a person has at most, by the columns that number them: `WHERE rn <= 3` leaves three.
pub(super) fn numbered_rows(facts: &[Facts]) -> u64 {
    let last = facts.iter().filter(|f| f.numbered && !f.nullable).filter_map(|f| f.range);
    let last = last.filter(|r| r.lo >= 1.0).filter_map(|r| super::facts::whole(r.hi.floor()));
    last.filter_map(|hi| u64::try_from(hi).ok()).min().unwrap_or(u64::MAX)
}

/// The fewest values that are left of a column that varies within a person and of which there were more.
pub(super) fn picked(before: &[Facts], after: &[Facts]) -> u32 {
    let values = |facts: &Facts| facts.domain.as_ref().and_then(|domain| u32::try_from(domain.len()).ok());
    let fewer = |(before, after): (&Facts, &Facts)| {
        let left = values(after).filter(|_| !after.fixed)?;
        values(before).is_none_or(|all| left < all).then_some(left.max(1))
    };
    before.iter().zip(after).filter_map(fewer).min().unwrap_or(u32::MAX)
}

/// `column IN (literals)`: the rows that are left hold one of these values, and the list is public.
fn one_of(column: &Expr, list: &[Expr], schema: &DFSchema, facts: &mut [Facts]) {
    let literals = list.iter().map(|member| match member {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::Literal(value, _) => value.cast_to(cast.field.data_type()).ok(),
            _ => None,
        },
        _ => None,
    });
    let Some(mut values) = literals.collect::<Option<Vec<ScalarValue>>>() else { return };
    let Some(facts) = of(column, schema, facts) else { return };
    values.retain(|value| !value.is_null());
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    values.dedup();
    if facts.owner || facts.key || values.is_empty() {
        return;
    }
    let known = facts.domain.as_ref().map(|domain| {
        let same = |a: &ScalarValue, b: &ScalarValue| a.cast_to(&b.data_type()).is_ok_and(|a| a == *b);
        values.iter().filter(|v| domain.iter().any(|d| same(v, d))).cloned().collect::<Vec<_>>()
    });
    facts.nullable = false;
    facts.domain = Some(known.unwrap_or(values).into());
    facts.spelled = (true, true);
}

/// The column is NULL or among public values, which a condition has left.
pub(super) fn among(values: Vec<ScalarValue>, facts: &mut Facts) {
    let numbers: Option<Vec<f64>> = values.iter().map(number).collect();
    if let Some(numbers) = numbers {
        let lo = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let hi = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        facts.range = Range::new(lo, hi).or(facts.range);
        facts.origin = Origin::Question;
    }
    facts.domain = Some(values.into());
    facts.spelled = (true, true);
}

fn compare(column: &Expr, op: Operator, value: f64, schema: &DFSchema, facts: &mut [Facts]) {
    // The next below or above, of what counts in whole numbers.
    let next = if counted(column, schema) && value.fract() == 0.0 && value.abs() < EXACT_MAX { 1.0 } else { 0.0 };
    let allowed = match op {
        Operator::Eq => Range { lo: value, hi: value },
        Operator::Lt => Range { lo: f64::NEG_INFINITY, hi: value - next },
        Operator::LtEq => Range { lo: f64::NEG_INFINITY, hi: value },
        Operator::Gt => Range { lo: value + next, hi: f64::INFINITY },
        Operator::GtEq => Range { lo: value, hi: f64::INFINITY },
        _ => return,
    };
    if value.is_nan() {
        return;
    }
    let Some(facts) = of(column, schema, facts) else { return };
    if let Some(domain) = &facts.domain {
        let inside = |v: &&ScalarValue| number(v).is_none_or(|n| allowed.lo <= n && n <= allowed.hi);
        facts.domain = Some(domain.iter().filter(inside).cloned().collect());
    }
    // A comparison with NULL is not true: NULLs are gone as well.
    facts.nullable = false;
    let narrowed = match facts.range {
        Some(range) => range.intersect(allowed),
        None => Some(allowed),
    };
    if let Some(narrowed) = narrowed.filter(|n| Some(*n) != facts.range) {
        let (from_here, to_here) = (narrowed.lo >= allowed.lo, narrowed.hi <= allowed.hi);
        facts.spelled.0 |= from_here && allowed.lo.is_finite();
        facts.spelled.1 |= to_here && allowed.hi.is_finite();
        facts.range = Some(narrowed);
        facts.origin = Origin::Question;
    }
}

/// Up to here whole numbers are exact as doubles.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Whether a bare column, cast to a wider number or not, holds whole numbers, days or microseconds.
fn counted(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::Column(column) => {
            schema.maybe_index_of_column(column).and_then(|i| schema.fields().get(i)).is_some_and(|f| {
                let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
                f.data_type().is_integer() || *f.data_type() == DataType::Date32 || *f.data_type() == micros
            })
        }
        Expr::Cast(cast) => is_wide(cast.field.data_type()) && counted(&cast.expr, schema),
        _ => false,
    }
}

/// Whether every number that columns hold is one of these too: a cast to it makes none NULL.
fn is_wide(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::Float64)
}

/// The facts of a bare column, also one that the engine has cast to a wider number to compare it.
fn of<'a>(expr: &Expr, schema: &DFSchema, facts: &'a mut [Facts]) -> Option<&'a mut Facts> {
    match expr {
        Expr::Column(column) => schema.maybe_index_of_column(column).and_then(|i| facts.get_mut(i)),
        Expr::Cast(cast) if is_wide(cast.field.data_type()) => match cast.expr.as_ref() {
            Expr::Column(column) => {
                let index = schema.maybe_index_of_column(column)?;
                let from = schema.fields().get(index)?.data_type();
                let exact = from.is_integer() || from == cast.field.data_type();
                facts.get_mut(index).filter(|_| exact && from.is_numeric())
            }
            _ => None,
        },
        _ => None,
    }
}

fn literal(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Literal(value, _) => number(value),
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::Literal(value, _) => value.cast_to(cast.field.data_type()).ok().as_ref().and_then(number),
            _ => None,
        },
        Expr::Negative(inner) => literal(inner).map(|v| -v),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{cast, col, lit};

    use super::*;

    #[test]
    fn what_is_computed_lies_where_conditions_say_of_the_same_and_of_nothing_else() {
        let stay = || col("t.e") - col("t.s");
        let widened = || cast(stay(), DataType::Float64);
        let range = |lo, hi| Some(Range { lo, hi });
        for (conditions, expected) in [
            (vec![widened().between(lit(0), lit(60))], range(0.0, 60.0)),
            (vec![stay().gt_eq(lit(1)), lit(9).gt(stay())], range(1.0, 9.0)),
            (vec![stay().lt(lit(5))], range(f64::NEG_INFINITY, 5.0)),
            (vec![stay().gt(lit(3)), stay().lt(lit(2))], None),
            (vec![stay().not_between(lit(0), lit(60)), stay().not_eq(lit(1))], None),
            (vec![stay().lt(lit(f64::NAN)), stay().lt(col("t.x"))], None),
            (vec![(col("t.s") - col("t.e")).lt(lit(5)), stay().lt(lit(5)).or(lit(true))], None),
        ] {
            assert_eq!(between(&conditions, &widened()), expected, "{conditions:?}");
        }
        assert_eq!(between(&[col("t.e").lt(lit(5))], &col("t.e")), None, "columns are narrowed by themselves");
    }
}
