//! Which groups are publicly known, whatever the rows hold?
//!
//! A key whose values are all public (a declared list, the whole numbers or days of an enforced range, or whatever an
//! expression makes of such) has its groups released whether anybody is in them or not. Other keys are selected by noise.

use std::{
    cell::RefCell,
    collections::{VecDeque, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch, RecordBatchOptions},
        compute::partition,
        datatypes::{DataType, Field, Schema, SchemaRef},
    },
    common::{
        Column, DFSchema, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    execution::context::ExecutionProps,
    logical_expr::{Case, ColumnarValue, Expr, physical_planning_context::PhysicalPlanningContext},
    physical_expr::{PhysicalExpr, create_physical_expr},
};

use super::{
    expression::{Scope, Total},
    facts::{Facts, number, whole},
    guarded::with_few_halves,
    range::Range,
};

/// An expression is evaluated over at most so many combinations of its columns' public values.
const COMBINATIONS_MAX: usize = 131_072;

/// So many of them at once, so that long texts stay few.
const AT_ONCE: usize = 8192;

/// The most different values of an expression. More make no list of groups; what is known by arithmetic remains.
const IMAGE_MAX: usize = 16_384;

/// A guarded function that fails on more than some rows is not looked at further: this is before any charge.
const HALVES_MAX: u32 = 256;

/// All values of every key, if each has a public list and the cells stay within the cap.
pub(super) fn public_groups(keys: &[(Facts, DataType)], most: usize) -> Option<Vec<Vec<ScalarValue>>> {
    let mut groups = vec![];
    let mut cells = 1_usize;
    for (facts, data_type) in keys {
        let mut values = values(facts, data_type, most)?;
        if facts.nullable {
            values.push(ScalarValue::try_new_null(data_type).ok()?);
        }
        cells = cells.checked_mul(values.len()).filter(|c| *c <= most)?;
        groups.push(values);
    }
    Some(groups)
}

/// What `total` can be, found by evaluating it over all public values of its columns, or step by step over those of its
/// parts. It depends on the question and on declarations that hold for every stored row, on nothing else.
pub(super) fn with_image(scope: &Scope<'_>, mut total: Total) -> Total {
    let known = total.facts.domain.is_some() || total.facts.owner || total.facts.key;
    if known || matches!(total.expr, Expr::Column(_) | Expr::Literal(..)) {
        return total;
    }
    let Some(values) = image(scope, &total.expr, 0) else { return total };
    if values.iter().any(|v| matches!(v, ScalarValue::Float64(Some(v)) if v.is_nan())) {
        return total;
    }
    let (nulls, values): (Vec<_>, Vec<_>) = values.into_iter().partition(ScalarValue::is_null);
    total.facts.nullable = !nulls.is_empty();
    let numbers: Option<Vec<f64>> = values.iter().map(number).collect();
    if let Some(numbers) = numbers.filter(|n| !n.is_empty() && n.iter().all(|v| v.is_finite())) {
        let lo = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let hi = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        total.facts.range = Range::new(lo, hi);
        total.facts.holds = true;
    }
    total.facts.domain = Some(values.into());
    let spelled = spelled(scope, &total.expr);
    total.facts.spelled = (spelled, spelled);
    total
}

/// The public values of the one column that `condition` looks at for which it is true, where these are fewer: `2024 -
/// year_of_birth BETWEEN 40 AND 69` leaves thirty years. NULL aside, for which it may be true as well.
pub(super) fn left_by(scope: &Scope<'_>, condition: &Expr) -> Option<Vec<ScalarValue>> {
    let columns = columns_of(condition);
    let [column] = columns.as_slice() else { return None };
    let value = Expr::Column(column.clone());
    let chosen = Case::new(None, vec![(Box::new(condition.clone()), Box::new(value))], None);
    let all = values_of(scope, column, false)?.iter().filter(|value| !value.is_null()).count();
    let mut values = image(scope, &Expr::Case(chosen), 0)?;
    values.retain(|value| !value.is_null());
    (!values.is_empty() && values.len() < all).then_some(values)
}

/// Whether the question or the catalogue spelled the values of `expr` out: those that it computes from values that are, and
/// those that it chooses by a CASE.
fn spelled(scope: &Scope<'_>, expr: &Expr) -> bool {
    let all = |of: &[&Expr]| of.iter().all(|e| spelled(scope, e));
    match expr {
        _ if scope.data_type(expr).is_ok_and(|t| t == DataType::Boolean) => true,
        Expr::Literal(..) => true,
        Expr::Alias(alias) => spelled(scope, &alias.expr),
        Expr::Case(case) => {
            let chosen = case.when_then_expr.iter().map(|(_, then)| then).chain(case.else_expr.iter());
            all(&chosen.map(AsRef::as_ref).collect::<Vec<_>>())
        }
        _ => expr.column_refs().into_iter().all(|c| scope.facts_of(c).is_ok_and(|f| f.spelled == (true, true))),
    }
}

/// The values of a key, NULL aside: those of its facts, or all days of an enforced range.
fn values(facts: &Facts, data_type: &DataType, most: usize) -> Option<Vec<ScalarValue>> {
    if *data_type != DataType::Date32 || facts.domain.is_some() {
        return facts.values(data_type, most);
    }
    let days = facts.range.filter(|r| facts.holds && r.is_finite())?;
    let (first, last) = (whole(days.lo.ceil())?, whole(days.hi.floor())?);
    let few = usize::try_from(last.checked_sub(first)?).is_ok_and(|span| span < most);
    few.then(|| (first..=last).map(|day| i32::try_from(day).ok().map(|d| ScalarValue::Date32(Some(d)))).collect())?
}

/// All midnights of an enforced range of timestamps: enough where an expression looks at the day alone.
fn midnights(facts: &Facts, data_type: &DataType) -> Option<Vec<ScalarValue>> {
    let span = facts.range.filter(|r| facts.holds && r.is_finite())?;
    let first = whole((span.lo / MICROS_A_DAY).floor())?;
    let last = whole((span.hi / MICROS_A_DAY).floor())?;
    let few = usize::try_from(last.checked_sub(first)?).is_ok_and(|span| span < COMBINATIONS_MAX);
    let micros = 86_400_000_000_i64;
    let midnight = |day: i64| ScalarValue::TimestampMicrosecond(Some(day * micros), None).cast_to(data_type).ok();
    few.then(|| (first..=last).map(midnight).collect())?
}

const MICROS_A_DAY: f64 = 86_400_000_000.0;

/// Whether `expr` looks at the day of every timestamp column alone: by truncation or parts of a day or longer, or as a
/// date.
fn by_day(scope: &Scope<'_>, expr: &Expr) -> bool {
    let timestamp = |e: &Expr| matches!(scope.data_type(e), Ok(DataType::Timestamp(_, None)));
    let whole_days = |unit: &Expr| match unit {
        Expr::Literal(ScalarValue::Utf8(Some(unit)), _) => {
            matches!(unit.to_ascii_lowercase().as_str(), "year" | "quarter" | "month" | "week" | "day" | "doy" | "dow")
        }
        _ => false,
    };
    let bare = |e: &Expr| matches!(e, Expr::Column(_));
    match expr {
        Expr::Column(_) => !timestamp(expr),
        Expr::ScalarFunction(call) if matches!(call.func.name(), "date_trunc" | "date_part") => {
            match call.args.as_slice() {
                [unit, of] if bare(of) && timestamp(of) => whole_days(unit),
                args => args.iter().all(|e| by_day(scope, e)),
            }
        }
        Expr::TryCast(cast) if bare(&cast.expr) && timestamp(&cast.expr) => *cast.field.data_type() == DataType::Date32,
        other => {
            let mut all = true;
            let _ = other.apply_children(|child| {
                all &= by_day(scope, child);
                Ok(TreeNodeRecursion::Continue)
            });
            all
        }
    }
}

/// All values that `expr` can take, NULL among them where it can be; sorted, each once.
fn image(scope: &Scope<'_>, expr: &Expr, depth: u32) -> Option<Vec<ScalarValue>> {
    let data_type = scope.data_type(expr).ok()?;
    if !super::release_point::groupable(&data_type) || depth > 16 {
        return None;
    }
    let columns = columns_of(expr);
    if columns.is_empty() {
        return None;
    }
    let days = by_day(scope, expr);
    let lists: Option<Vec<Vec<ScalarValue>>> = columns.iter().map(|column| values_of(scope, column, days)).collect();
    if let Some(lists) = lists.filter(|lists| few_enough(lists)) {
        let fields = columns.iter().zip(&lists).map(|(column, list)| (column.name.clone(), list)).collect();
        return evaluated(expr, &columns, fields);
    }
    // Too many combinations at once: those of the parts' values, which may be fewer.
    let (mut inputs, mut lists, mut whole) = (vec![], vec![], true);
    let replaced = expr.clone().map_children(|child| {
        if matches!(child, Expr::Literal(..)) || columns_of(&child).is_empty() {
            return Ok(Transformed::no(child));
        }
        let list = match &child {
            Expr::Column(column) => values_of(scope, column, false),
            other => image(scope, other, depth + 1).or_else(|| truth_values(scope, other)),
        };
        match list {
            Some(list) => {
                let column = Column::from_name(format!("__sekisho_part_{}", inputs.len()));
                inputs.push(column.clone());
                lists.push(list);
                Ok(Transformed::yes(Expr::Column(column)))
            }
            None => {
                whole = false;
                Ok(Transformed::no(child))
            }
        }
    });
    let replaced = replaced.ok()?.data;
    if !whole || inputs.is_empty() || !few_enough(&lists) {
        return None;
    }
    let fields = inputs.iter().zip(&lists).map(|(column, list)| (column.name.clone(), list)).collect();
    evaluated(&replaced, &inputs, fields)
}

fn truth_values(scope: &Scope<'_>, expr: &Expr) -> Option<Vec<ScalarValue>> {
    let boolean = scope.data_type(expr).is_ok_and(|t| t == DataType::Boolean);
    boolean.then(|| [None, Some(false), Some(true)].into_iter().map(ScalarValue::Boolean).collect())
}

fn few_enough(lists: &[Vec<ScalarValue>]) -> bool {
    let all = lists.iter().try_fold(1_usize, |product, list| product.checked_mul(list.len().max(1)));
    all.is_some_and(|all| all <= COMBINATIONS_MAX)
}

/// The public values of a column, NULL among them where it can be; of a timestamp by day the midnights.
fn values_of(scope: &Scope<'_>, column: &Column, by_day: bool) -> Option<Vec<ScalarValue>> {
    let facts = scope.facts_of(column).ok()?;
    if facts.owner || facts.key {
        return None;
    }
    let data_type = scope.data_type(&Expr::Column(column.clone())).ok()?;
    let mut values = match data_type {
        DataType::Timestamp(_, None) if by_day && facts.domain.is_none() => midnights(facts, &data_type)?,
        _ => values(facts, &data_type, COMBINATIONS_MAX)?,
    };
    if facts.nullable {
        values.push(ScalarValue::try_new_null(&data_type).ok()?);
    }
    Some(values)
}

/// The value of an expression without columns; `None` where it fails.
pub(super) fn constant(expr: &Expr) -> Option<ScalarValue> {
    let none = DFSchema::empty();
    let physical =
        create_physical_expr(expr, &none, &ExecutionProps::new(), &PhysicalPlanningContext::default()).ok()?;
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).ok()?;
    match physical.evaluate(&row).ok()? {
        ColumnarValue::Scalar(value) => Some(value),
        ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0).ok(),
    }
}

fn columns_of(expr: &Expr) -> Vec<Column> {
    let mut columns: Vec<Column> = expr.column_refs().into_iter().cloned().collect();
    columns.sort();
    columns
}

/// The values of `expr` over all combinations of the lists.
fn evaluated(expr: &Expr, columns: &[Column], lists: Vec<(String, &Vec<ScalarValue>)>) -> Option<Vec<ScalarValue>> {
    let rows: usize = lists.iter().map(|(_, list)| list.len()).product();
    if rows > looked_at(expr) {
        return None;
    }
    let mut fields = vec![];
    for (index, (_, list)) in lists.iter().enumerate() {
        fields.push(Field::new(format!("c{index}"), list.first()?.data_type(), true));
    }
    // Columns of two tables may share a name: they are told apart by their place.
    let placed = expr.clone().transform_up(|e| {
        let Expr::Column(column) = &e else { return Ok(Transformed::no(e)) };
        let index = columns.iter().position(|known| known == column);
        Ok(index
            .map_or_else(|| Transformed::no(e), |i| Transformed::yes(Expr::Column(Column::from_name(format!("c{i}"))))))
    });
    let (placed, schema) = (placed.ok()?.data, Arc::new(Schema::new(fields)));
    let lists: Vec<&[ScalarValue]> = lists.into_iter().map(|(_, list)| list.as_slice()).collect();
    let digest = digest(&lists);
    let known =
        SEEN.with_borrow(|all| all.iter().find(|seen| seen.0 == digest && seen.1 == placed).map(|s| s.2.clone()));
    if let Some(known) = known {
        return known;
    }
    let values = over_all(&placed, &schema, &lists, rows);
    SEEN.with_borrow_mut(|all| {
        all.push_front((digest, placed, values.clone()));
        all.truncate(SEEN_MAX);
    });
    values
}

/// The values of an expression, with what it was of.
type Seen = ([u64; 2], Expr, Option<Vec<ScalarValue>>);

/// So many expressions are remembered.
const SEEN_MAX: usize = 24;

thread_local! {
    /// What this question has looked at last: a WITH that is read twice asks the same again, and one that reads another twice
    /// as often as there are paths to it.
    static SEEN: RefCell<VecDeque<Seen>> = const { RefCell::new(VecDeque::new()) };
}

/// Forgets what the question before asked: how long this one takes must not tell of it.
pub(super) fn forget() {
    SEEN.with_borrow_mut(VecDeque::clear);
}

fn digest(lists: &[&[ScalarValue]]) -> [u64; 2] {
    [0_u8, 1].map(|salt| {
        let mut hasher = DefaultHasher::new();
        (salt, lists).hash(&mut hasher);
        hasher.finish()
    })
}

fn over_all(placed: &Expr, schema: &SchemaRef, lists: &[&[ScalarValue]], rows: usize) -> Option<Vec<ScalarValue>> {
    let named = DFSchema::try_from(schema.as_ref().clone()).ok()?;
    let physical =
        create_physical_expr(placed, &named, &ExecutionProps::new(), &PhysicalPlanningContext::default()).ok()?;
    let mut seen = std::collections::HashSet::new();
    with_few_halves(HALVES_MAX, || {
        for from in (0..rows).step_by(AT_ONCE) {
            let to = rows.min(from + AT_ONCE);
            see(physical.as_ref(), &combinations(schema, lists, from, to)?, &mut seen)?;
        }
        Some(())
    })?;
    let mut values: Vec<ScalarValue> = seen.into_iter().collect();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    Some(values)
}

/// At how many combinations an expression may be looked at: this happens before anything is charged, and what searches or
/// builds texts takes its time.
fn looked_at(expr: &Expr) -> usize {
    let mut most = COMBINATIONS_MAX;
    let _ = expr.apply(|e| {
        let at_most = match e {
            Expr::SimilarTo(_) => 512,
            Expr::ScalarFunction(call) => match call.func.name() {
                name if name.starts_with("regexp_") => 512,
                "lpad" | "rpad" | "repeat" | "replace" | "translate" | "reverse" | "overlay" | "initcap" => 8_192,
                _ => COMBINATIONS_MAX,
            },
            Expr::BinaryExpr(binary) if binary.op.to_string().contains('~') => 512,
            _ => COMBINATIONS_MAX,
        };
        most = most.min(at_most);
        Ok(TreeNodeRecursion::Continue)
    });
    most
}

/// The combinations from `from` up to `to`, in an order in which the first list turns fastest.
fn combinations(schema: &SchemaRef, lists: &[&[ScalarValue]], from: usize, to: usize) -> Option<RecordBatch> {
    let (mut arrays, mut repeat) = (vec![], 1_usize);
    for list in lists {
        let column = (from..to).map(|row| list.get(row / repeat % list.len().max(1)).cloned());
        let array: ArrayRef = ScalarValue::iter_to_array(column.collect::<Option<Vec<_>>>()?).ok()?;
        arrays.push(array);
        repeat = repeat.checked_mul(list.len())?;
    }
    let options = RecordBatchOptions::new().with_row_count(Some(to - from));
    RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options).ok()
}

/// Adds what `expr` yields on the rows of `batch`; `None` where it fails or yields too many values.
fn see(expr: &dyn PhysicalExpr, batch: &RecordBatch, seen: &mut std::collections::HashSet<ScalarValue>) -> Option<()> {
    match expr.evaluate(batch).ok()? {
        ColumnarValue::Scalar(value) => {
            seen.insert(value);
        }
        ColumnarValue::Array(array) => {
            // The days of a month lie together: one look at each run.
            for run in partition(&[Arc::clone(&array)]).ok()?.ranges() {
                let value = ScalarValue::try_from_array(&array, run.start).ok()?;
                if seen.insert(value) && seen.len() > IMAGE_MAX {
                    return None;
                }
            }
        }
    }
    Some(())
}
