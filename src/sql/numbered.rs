//! Which percentiles are written with row numbers?
//!
//! `MIN(CASE WHEN nr < 0.25 * n THEN 9999 ELSE x END)`, where rows are numbered in the order of `x` and there are `n` of them,
//! is PERCENTILE_DISC(0.25): so are distributions written where an engine has no percentiles. Numbers over all persons' rows
//! would tell of each row how many others stand before it; a percentile does not.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column, JoinType, Result, ScalarValue,
        tree_node::{Transformed, TransformedResult},
    },
    logical_expr::{
        Aggregate, BinaryExpr, Cast, Expr, Filter, Join, LogicalPlan, Operator, Projection, SortExpr, Window,
        expr::{AggregateFunction, WindowFunction},
        lit,
    },
};

use super::{Standing, accumulated, catalogued, picked::percentile_disc};

/// `plan` with such percentiles by their name. Others stay.
///
/// # Errors
/// Only those of building steps.
pub(super) fn named(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_down_with_subqueries(|node| {
        let LogicalPlan::Aggregate(aggregate) = &node else { return Ok(Transformed::no(node)) };
        let renamed = match renamed(aggregate)? {
            None => accumulated::renamed(aggregate)?,
            renamed => renamed,
        };
        Ok(renamed.map_or_else(|| Transformed::no(node), Transformed::yes))
    })
    .data()
}

/// What an aggregate picks: the value at a share of the rows.
pub(super) struct Picked {
    pub(super) share: f64,
    pub(super) value: Expr,
    /// Columns with the row's number and the number of rows.
    pub(super) number: Column,
    pub(super) count: Column,
    /// The column that stands for rows before that share.
    pub(super) otherwise: Option<Column>,
    /// The greatest value up to the share instead of the least from it on: of numbered rows that is one rank.
    pub(super) up_to: bool,
}

/// A step of the plan and which of its columns: where a column comes from that others pass on as it is.
pub(super) type Origin<'a> = (&'a LogicalPlan, usize);

/// How the rows are numbered and counted.
struct Numbered<'a> {
    number: Origin<'a>,
    count: Origin<'a>,
    /// Where rows are counted beside: the join, and which of its sides counts.
    beside: Option<(&'a Join, bool)>,
}

fn renamed(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let picks: Vec<Option<Picked>> = picks(aggregate);
    let Some(first) = picks.iter().flatten().next() else { return Ok(None) };
    let Some(numbered) = numbered(aggregate, first) else { return Ok(None) };
    let input = aggregate.input.as_ref();
    let same = |column: &Column, of: Origin<'_>| origin(column, input).is_some_and(|found| at(found, of));
    let of_numbers = |column: &Column| same(column, numbered.number) || same(column, numbered.count);
    let mut exprs = vec![];
    for (expr, pick) in aggregate.aggr_expr.iter().zip(&picks) {
        exprs.push(match pick {
            Some(pick)
                if same(&pick.number, numbered.number)
                    && same(&pick.count, numbered.count)
                    && pick.otherwise.is_none() =>
            {
                match orders(&numbered, &pick.value, input) {
                    true => share_of(&pick.value, pick.share),
                    false => return Ok(None),
                }
            }
            Some(_) => return Ok(None),
            None if counts_alone(expr).is_some_and(|column| same(column, numbered.count)) => {
                datafusion::functions_aggregate::count::count_udaf().call(vec![lit(1_i64)])
            }
            None => expr.clone(),
        });
    }
    let left = exprs.iter().chain(&aggregate.group_expr).flat_map(Expr::column_refs).any(of_numbers);
    if left || !passed_on(input, &of_numbers) {
        return Ok(None);
    }
    let below = without_numbers(input, &numbered)?;
    in_place(aggregate, below, exprs).map(Some)
}

/// The aggregate of `exprs` over `below` by the same keys, under the names and types of `aggregate`.
pub(super) fn in_place(aggregate: &Aggregate, below: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    let schema = &aggregate.schema;
    let exprs: Vec<Expr> = exprs.into_iter().zip(0..).map(|(e, i)| e.alias(format!("__sekisho_share_{i}"))).collect();
    let groups = aggregate.group_expr.len();
    let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(below), aggregate.group_expr.clone(), exprs)?);
    let shown = schema.iter().enumerate().map(|(place, (relation, field))| {
        let column = Expr::Column(Column::from(plan.schema().qualified_field(place)));
        let retyped = plan.schema().field(place).data_type() != field.data_type();
        let column = match retyped {
            true => Expr::Cast(Cast::new(Box::new(column), field.data_type().clone())),
            false => column,
        };
        match place < groups && !retyped {
            true => column,
            false => column.alias_qualified(relation.cloned(), field.name()),
        }
    });
    let shown = shown.collect();
    Ok(LogicalPlan::Projection(Projection::try_new(shown, Arc::new(plan))?))
}

/// The value at a share of the rows.
pub(super) fn share_of(value: &Expr, share: f64) -> Expr {
    let value = Expr::Cast(Cast::new(Box::new(value.clone()), DataType::Float64));
    let order = vec![SortExpr::new(value.clone(), true, false)];
    let arguments = vec![value, lit(share)];
    Expr::AggregateFunction(AggregateFunction::new_udf(percentile_disc(), arguments, false, None, order, None))
}

/// What each aggregate picks, of numbers.
pub(super) fn picks(aggregate: &Aggregate) -> Vec<Option<Picked>> {
    let types = aggregate.schema.fields().iter().skip(aggregate.group_expr.len()).map(|field| field.data_type());
    let numbers = types.map(DataType::is_numeric);
    aggregate.aggr_expr.iter().zip(numbers).map(|(expr, number)| picked(expr).filter(|_| number)).collect()
}

/// MIN or MAX of a CASE that compares a row's number with a share of their number.
fn picked(expr: &Expr) -> Option<Picked> {
    let (name, argument) = end(expr)?;
    let Expr::Case(case) = uncast(argument) else { return None };
    let ([(when, then)], None) = (case.when_then_expr.as_slice(), &case.expr) else { return None };
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = when.as_ref() else { return None };
    let (number, op, (share, count)) = match (column(left), product(right)) {
        (Some(number), Some(product)) => (number, *op, product),
        _ => (column(right)?, op.swap()?, product(left)?),
    };
    let otherwise = case.else_expr.as_deref();
    let literal = |expr: Option<&Expr>| expr.is_none_or(|e| matches!(uncast(e), Expr::Literal(..)));
    let (value, otherwise) = match (name, op) {
        ("min", Operator::Lt | Operator::LtEq) if literal(Some(then)) => (otherwise?, None),
        ("min", Operator::Gt | Operator::GtEq) | ("max", Operator::Eq | Operator::Lt | Operator::LtEq)
            if literal(otherwise) =>
        {
            (then.as_ref(), None)
        }
        ("min", Operator::Gt | Operator::GtEq) => (then.as_ref(), Some(column(otherwise?)?)),
        _ => return None,
    };
    let up_to = name == "max" && op != Operator::Eq;
    (0.0..=1.0).contains(&share).then(|| Picked { share, value: value.clone(), number, count, otherwise, up_to })
}

/// A plain MIN or MAX, and of what.
fn end(expr: &Expr) -> Option<(&str, &Expr)> {
    let Expr::AggregateFunction(call) = unaliased(expr) else { return None };
    let params = &call.params;
    let plain = !params.distinct && params.filter.is_none() && params.order_by.is_empty();
    match (call.func.name(), params.args.as_slice()) {
        (name @ ("min" | "max"), [argument]) if plain => Some((name, argument)),
        _ => None,
    }
}

/// The column of which it is MIN or MAX.
fn counts_alone(expr: &Expr) -> Option<&Column> {
    match uncast(end(expr)?.1) {
        Expr::Column(column) => Some(column),
        _ => None,
    }
}

pub(super) fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

pub(super) fn uncast(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(cast) => uncast(&cast.expr),
        Expr::Alias(alias) => uncast(&alias.expr),
        other => other,
    }
}

pub(super) fn column(expr: &Expr) -> Option<Column> {
    match uncast(expr) {
        Expr::Column(column) => Some(column.clone()),
        _ => None,
    }
}

/// A literal times a column, or a column divided by a literal; rounded to whole numbers or not.
fn product(expr: &Expr) -> Option<(f64, Column)> {
    match uncast(expr) {
        Expr::ScalarFunction(call) if matches!(call.func.name(), "ceil" | "floor" | "round") => {
            product(call.args.first()?)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Multiply, right }) => match (literal(left), literal(right)) {
            (Some(share), None) => Some((share, column(right)?)),
            (None, Some(share)) => Some((share, column(left)?)),
            _ => None,
        },
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Divide, right }) => {
            let parts = literal(right).filter(|parts| *parts > 0.0)?;
            Some((1.0 / parts, column(left)?))
        }
        _ => None,
    }
}

fn literal(expr: &Expr) -> Option<f64> {
    let Expr::Literal(value, _) = uncast(expr) else { return None };
    match value.cast_to(&DataType::Float64) {
        Ok(ScalarValue::Float64(value)) => value,
        _ => None,
    }
}

/// Where `column` of `plan` is computed or read.
pub(super) fn origin<'a>(column: &Column, plan: &'a LogicalPlan) -> Option<Origin<'a>> {
    let place = plan.schema().maybe_index_of_column(column)?;
    let below = |column: &Column, input: &'a LogicalPlan| origin(column, input);
    let of_place = |place: usize, input: &'a LogicalPlan| {
        input.schema().iter().nth(place).map(Column::from).and_then(|column| origin(&column, input))
    };
    match plan {
        LogicalPlan::SubqueryAlias(alias) => of_place(place, &alias.input),
        LogicalPlan::Projection(projection) => match uncast(projection.expr.get(place)?) {
            Expr::Column(column) => below(column, &projection.input),
            _ => Some((plan, place)),
        },
        LogicalPlan::Filter(filter) => of_place(place, &filter.input),
        LogicalPlan::Window(window) if place < window.input.schema().fields().len() => of_place(place, &window.input),
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => match join.left.schema().fields().len() {
            width if place < width => of_place(place, &join.left),
            width => of_place(place - width, &join.right),
        },
        other => Some((other, place)),
    }
}

pub(super) fn at(a: Origin<'_>, b: Origin<'_>) -> bool {
    std::ptr::eq(a.0, b.0) && a.1 == b.1
}

/// How the rows below `aggregate` are numbered, where its groups are those that they are numbered in.
fn numbered<'a>(aggregate: &'a Aggregate, pick: &Picked) -> Option<Numbered<'a>> {
    let input = aggregate.input.as_ref();
    let number = origin(&pick.number, input)?;
    let call = window_of(number).filter(|call| call.fun.name() == "row_number")?;
    let LogicalPlan::Window(window) = number.0 else { return None };
    let of = |expr: &Expr, plan: &'a LogicalPlan| origin(&column(expr)?, plan);
    let part = |e: &Expr| of(e, &window.input);
    let partition = call.params.partition_by.iter().map(part).collect::<Option<Vec<_>>>()?;
    let grouped = |of: &Origin<'_>| {
        aggregate
            .group_expr
            .iter()
            .any(|key| column(key).and_then(|c| origin(&c, input)).is_some_and(|key| at(key, *of)))
    };
    let count = origin(&pick.count, input)?;
    if ![number, count].iter().all(|of| all_rows_of(of.0, input)) {
        return None;
    }
    let of_persons = persons(&window.input);
    let (beside, keys) = match count.0 {
        LogicalPlan::Window(counted) => {
            let params = &window_of(count).filter(|call| call.fun.name() == "count")?.params;
            let whole = params.order_by.is_empty() && params.args.iter().all(|of| matches!(of, Expr::Literal(..)));
            let parts: Option<Vec<_>> = params.partition_by.iter().map(|e| of(e, &counted.input)).collect();
            let same = parts?.iter().all(|a| partition.iter().any(|b| at(*a, *b)));
            let alone = the_join(input).is_none();
            (alone && same && whole && params.partition_by.len() == partition.len())
                .then_some((None, partition.clone()))?
        }
        LogicalPlan::Aggregate(counted) => {
            let join = the_join(input)?;
            let counts_left = within(&join.left, count.0);
            let same_rows = rows_of(&counted.input) == rows_of(&window.input);
            if !same_rows || !counts(counted) || join.filter.is_some() || join.on.len() != counted.group_expr.len() {
                return None;
            }
            let mut keys = vec![];
            for (left, right) in &join.on {
                let (mine, theirs) = if counts_left { (right, left) } else { (left, right) };
                let (mine_in, theirs_in) =
                    if counts_left { (&join.right, &join.left) } else { (&join.left, &join.right) };
                let (mine, theirs) = (of(mine, mine_in)?, of(theirs, theirs_in)?);
                let key = std::ptr::eq(theirs.0, count.0) && theirs.1 < counted.group_expr.len();
                (key && partition.iter().any(|part| at(*part, mine))).then_some(())?;
                keys.push(mine);
            }
            let plain = [&join.left, &join.right].iter().all(|side| the_join(side).is_none());
            (plain && keys.len() == partition.len()).then_some((Some((join, counts_left)), keys))?
        }
        _ => return None,
    };
    let by_partition = aggregate.group_expr.len() == partition.len() && partition.iter().all(grouped);
    (of_persons && by_partition && keys.len() == partition.len()).then_some(Numbered { number, count, beside })
}

pub(super) fn window_of<'a>((plan, place): Origin<'a>) -> Option<&'a WindowFunction> {
    let LogicalPlan::Window(window) = plan else { return None };
    match unaliased(window.window_expr.get(place.checked_sub(window.input.schema().fields().len())?)?) {
        Expr::WindowFunction(call) => Some(call),
        _ => None,
    }
}

/// Whether `value` is what the rows are numbered by, the least first.
fn orders(numbered: &Numbered<'_>, value: &Expr, input: &LogicalPlan) -> bool {
    let (Some(call), LogicalPlan::Window(window)) = (window_of(numbered.number), numbered.number.0) else {
        return false;
    };
    let [order] = call.params.order_by.as_slice() else { return false };
    let ordered = column(&order.expr).and_then(|c| origin(&c, &window.input)).filter(|_| order.asc);
    let shown = column(value).and_then(|c| origin(&c, input));
    ordered.zip(shown).is_some_and(|(a, b)| at(a, b))
}

/// Whether no step above `step` leaves rows of it out, but for one that joins them.
fn all_rows_of(step: &LogicalPlan, plan: &LogicalPlan) -> bool {
    let passes = matches!(
        plan,
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Window(_) | LogicalPlan::Join(_)
    );
    std::ptr::eq(plan, step) || (passes && plan.inputs().into_iter().any(|input| all_rows_of(step, input)))
}

/// The one join below projections and names.
pub(super) fn the_join(plan: &LogicalPlan) -> Option<&Join> {
    match plan {
        LogicalPlan::Join(join) => Some(join),
        LogicalPlan::Projection(step) => the_join(&step.input),
        LogicalPlan::SubqueryAlias(step) => the_join(&step.input),
        _ => None,
    }
}

pub(super) fn within(plan: &LogicalPlan, step: &LogicalPlan) -> bool {
    std::ptr::eq(plan, step) || plan.inputs().into_iter().any(|input| within(input, step))
}

/// The step below that decides which rows there are.
fn rows_of(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Projection(step) => rows_of(&step.input),
        LogicalPlan::SubqueryAlias(step) => rows_of(&step.input),
        LogicalPlan::Window(step) => rows_of(&step.input),
        other => other,
    }
}

/// Whether all that it has beside its keys is one COUNT(*).
pub(super) fn counts(aggregate: &Aggregate) -> bool {
    let [count] = aggregate.aggr_expr.as_slice() else { return false };
    match unaliased(count) {
        Expr::AggregateFunction(call) => {
            call.func.name() == "count"
                && !call.params.distinct
                && call.params.filter.is_none()
                && call.params.args.iter().all(|of| matches!(of, Expr::Literal(..)))
        }
        _ => false,
    }
}

/// Whether rows of single persons come out of `plan`.
pub(super) fn persons(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => {
            catalogued(scan).is_some_and(|table| matches!(table.standing, Standing::Unit { .. }))
        }
        LogicalPlan::Aggregate(aggregate) => {
            let owner = |key: &Expr| column(key).is_some_and(|column| owns(&column, &aggregate.input));
            persons(&aggregate.input) && aggregate.group_expr.iter().any(owner)
        }
        other => other.inputs().into_iter().any(persons),
    }
}

/// Whether a column is the owner key of a table of persons.
fn owns(column: &Column, plan: &LogicalPlan) -> bool {
    let Some(place) = plan.schema().maybe_index_of_column(column) else { return false };
    if let LogicalPlan::TableScan(scan) = plan {
        return catalogued(scan).is_some_and(|table| match &table.standing {
            Standing::Unit { table, .. } => table.owner.as_ref() == Some(&column.name),
            _ => false,
        });
    }
    if let LogicalPlan::Projection(projection) = plan {
        return projection.expr.get(place).and_then(self::column).is_some_and(|c| owns(&c, &projection.input));
    }
    if let LogicalPlan::SubqueryAlias(alias) = plan {
        return alias.input.schema().iter().nth(place).map(Column::from).is_some_and(|c| owns(&c, &alias.input));
    }
    if let LogicalPlan::Aggregate(aggregate) = plan {
        return aggregate.group_expr.get(place).and_then(self::column).is_some_and(|c| owns(&c, &aggregate.input));
    }
    plan.inputs().into_iter().any(|input| owns(column, input))
}

/// Whether numbers of rows are passed on alone, and nothing below is computed of them.
fn passed_on(plan: &LogicalPlan, of_numbers: &dyn Fn(&Column) -> bool) -> bool {
    let computed = |exprs: &[Expr], input: &LogicalPlan, top: &LogicalPlan| {
        exprs.iter().filter(|e| !matches!(uncast(e), Expr::Column(_))).flat_map(Expr::column_refs).any(|column| {
            // As seen from above, by the place that it would have there.
            origin(column, input).is_some_and(|found| names(top, found).iter().any(of_numbers))
        })
    };
    let mut step = plan;
    let mut clean = true;
    while let LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) = step {
        if let LogicalPlan::Projection(projection) = step {
            clean &= !computed(&projection.expr, &projection.input, plan);
            step = &projection.input;
        } else if let LogicalPlan::SubqueryAlias(alias) = step {
            step = &alias.input;
        }
    }
    clean
}

/// The columns of `plan` that come from there.
fn names(plan: &LogicalPlan, from: Origin<'_>) -> Vec<Column> {
    let columns = plan.schema().iter().map(Column::from);
    columns.filter(|column| origin(column, plan).is_some_and(|found| at(found, from))).collect()
}

/// `plan` with something of the same type where rows were numbered and counted.
fn without_numbers(plan: &LogicalPlan, numbered: &Numbered<'_>) -> Result<LogicalPlan> {
    if let Some((join, counts_left)) = numbered.beside
        && let LogicalPlan::Join(here) = plan
        && std::ptr::eq(here, join)
    {
        return without_count(join, counts_left, numbered);
    }
    if let LogicalPlan::Window(window) = plan {
        return without_windows(window, plan, numbered);
    }
    let inputs = plan.inputs().into_iter().map(|input| without_numbers(input, numbered)).collect::<Result<Vec<_>>>()?;
    match inputs.is_empty() {
        true => Ok(plan.clone()),
        false => plan.with_new_exprs(plan.expressions(), inputs),
    }
}

fn nothing(data_type: &DataType) -> Result<Expr> {
    Ok(Expr::Literal(ScalarValue::new_zero(data_type)?, None))
}

fn without_windows(window: &Window, plan: &LogicalPlan, numbered: &Numbered<'_>) -> Result<LogicalPlan> {
    let width = window.input.schema().fields().len();
    let gone = |place: usize| [numbered.number, numbered.count].iter().any(|of| at((plan, place), *of));
    let mut below = without_numbers(&window.input, numbered)?;
    let kept: Vec<Expr> =
        window.window_expr.iter().enumerate().filter(|(i, _)| !gone(width + i)).map(|(_, e)| e.clone()).collect();
    if !kept.is_empty() {
        below = LogicalPlan::Window(Window::try_new(kept, Arc::new(below))?);
    }
    let mut items = vec![];
    for (place, (relation, field)) in window.schema.iter().enumerate() {
        items.push(match gone(place) {
            true => nothing(field.data_type())?.alias_qualified(relation.cloned(), field.name()),
            false => Expr::Column(Column::from((relation, field))),
        });
    }
    Ok(LogicalPlan::Projection(Projection::try_new(items, Arc::new(below))?))
}

/// The side of the join that is not counted, with its keys for those of the other, where they are there.
fn without_count(join: &Join, counts_left: bool, numbered: &Numbered<'_>) -> Result<LogicalPlan> {
    let (mine, theirs) = if counts_left { (&join.right, &join.left) } else { (&join.left, &join.right) };
    let mut below = without_numbers(mine, numbered)?;
    let mut pairs = vec![];
    for (left, right) in &join.on {
        let (own, other) = if counts_left { (right, left) } else { (left, right) };
        pairs.push((own.clone(), column(other).and_then(|c| origin(&c, theirs))));
    }
    if let Some(there) = pairs.iter().map(|(own, _)| own.clone().is_not_null()).reduce(Expr::and) {
        below = LogicalPlan::Filter(Filter::try_new(there, Arc::new(below))?);
    }
    let width = mine.schema().fields().len();
    let first_of_mine = if counts_left { theirs.schema().fields().len() } else { 0 };
    let mut items = vec![];
    for (place, (relation, field)) in join.schema.iter().enumerate() {
        let own = Column::from((relation, field));
        if (first_of_mine..first_of_mine + width).contains(&place) {
            items.push(Expr::Column(own));
            continue;
        }
        let from = origin(&own, theirs);
        let key = pairs.iter().find(|(_, key)| key.zip(from).is_some_and(|(a, b)| at(a, b)));
        let item = match key {
            Some((key, _)) => key.clone(),
            None => nothing(field.data_type())?,
        };
        items.push(item.alias_qualified(relation.cloned(), field.name()));
    }
    Ok(LogicalPlan::Projection(Projection::try_new(items, Arc::new(below))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product_of(text: &str) -> Option<(f64, String)> {
        let frame = datafusion::common::DFSchema::from_unqualified_fields(
            vec![datafusion::arrow::datatypes::Field::new("n", DataType::Int64, false)].into(),
            Default::default(),
        )
        .unwrap();
        let expr = datafusion::prelude::SessionContext::new().parse_sql_expr(text, &frame).unwrap();
        product(&expr).map(|(share, column)| (share, column.name))
    }

    #[test]
    fn a_share_is_a_literal_times_the_number_of_rows() {
        for text in ["0.25 * n", "n * 0.25", "n / 4", "ceil(n * 0.25)", "CAST(0.25 * CAST(n AS DOUBLE) AS INT)"] {
            assert_eq!(product_of(text), Some((0.25, "n".to_owned())), "{text}");
        }
        for text in ["n", "0.5", "n * n", "4 / n", "n / 0", "n + 1"] {
            assert_eq!(product_of(text), None, "{text}");
        }
    }
}
