//! What does a window say of one row, given that person's other rows alone?
//!
//! A window whose PARTITION BY holds the owner key never sees two persons. Where its result depends on the order of
//! rows that the caller's ORDER BY leaves equal, the order is made total by all other columns: rows that are still equal
//! are the same in everything that follows, so which of them comes first shows nowhere (person-local determinism).
//! Sums of floating-point numbers are taken on an integer grid, so that they depend on no order.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::datatypes::DataType,
    common::{Column, ScalarValue},
    functions::core::expr_fn::nullif,
    logical_expr::{
        AggregateUDF, Case, Expr, LogicalPlan, Projection, SortExpr, Window, WindowFrame, WindowFrameBound,
        WindowFrameUnits, WindowFunctionDefinition, WindowUDF,
        expr::{NullTreatment, WindowFunction, WindowFunctionParams},
        lit,
    },
};

use super::{
    expression::{refused, union},
    facts::{Facts, number, short_rows},
    numbers::{Number, addend, as_float, without_nan},
    per_person::{total_range, u64_to_f64},
    person_moments,
    range::Range,
    statistics::Statistic,
    subqueries,
    typing::{Owned, Walk, built, columns, mixed},
};
use crate::{sql::vocabulary, terms::Refusal};

/// The columns that anything above the windows of `plan` can tell rows apart by, where a SELECT list stands there:
/// enough to make an order total.
pub(super) fn needed(select: &Projection) -> Option<BTreeSet<Column>> {
    let mut exprs: Vec<Expr> = select.expr.clone();
    let mut below = select.input.as_ref();
    loop {
        match below {
            LogicalPlan::Filter(filter) => {
                exprs.push(filter.predicate.clone());
                below = &filter.input;
            }
            LogicalPlan::Window(window) => {
                exprs.extend(window.window_expr.iter().cloned());
                match window.input.as_ref() {
                    LogicalPlan::Window(_) => below = &window.input,
                    _ => break,
                }
            }
            _ => return None,
        }
    }
    if exprs.iter().any(subqueries::any) {
        return None;
    }
    Some(exprs.iter().flat_map(Expr::column_refs).cloned().collect())
}

/// The windows of one step over `input`.
pub(super) fn window(walk: &mut Walk<'_>, window: &Window, input: Owned) -> Result<Owned, Refusal> {
    let shown = window.input.schema().fields().len();
    let mut items = columns(&input.plan);
    let mut facts: Vec<Facts> = input.facts.clone();
    let mut inner = vec![];
    let ties = ties(walk, &input);
    of_short_rows(&input, &ties)?;
    for (expr, field) in window.window_expr.iter().zip(window.schema.iter().skip(shown)) {
        let Expr::WindowFunction(call) = expr.clone().unalias_nested().data else {
            return Err(refused("this window", "call a window function or an aggregate OVER (PARTITION BY person_id)"));
        };
        let (outer, known) = One { walk, input: &input, ties: &ties, inner: &mut inner }.of(*call)?;
        items.push(outer.alias_qualified(field.0.cloned(), field.1.name()));
        facts.push(Facts { owner: false, person: false, ..known });
    }
    let Owned { mut plan, owner, rows_max, defaults, halves, .. } = input;
    for expr in inner {
        plan = LogicalPlan::Window(built(Window::try_new(vec![expr], Arc::new(plan)))?);
    }
    let plan = LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(plan)))?);
    Ok(Owned { plan, owner, facts, rows_max, defaults, halves }.settled())
}

/// An order that tells all rows of a person apart which differ in anything that is still to be used.
fn ties(walk: &mut Walk<'_>, input: &Owned) -> Vec<SortExpr> {
    let needed = walk.needed.clone();
    let schema = input.plan.schema();
    let places: Option<BTreeSet<usize>> =
        needed.map(|needed| needed.iter().filter_map(|c| schema.maybe_index_of_column(c)).collect());
    let all = columns(&input.plan).into_iter().enumerate();
    let used = all.filter(|(i, _)| *i != input.owner && places.as_ref().is_none_or(|places| places.contains(i)));
    used.map(|(_, column)| column.sort(true, false)).collect()
}

fn of_short_rows(input: &Owned, used: &[SortExpr]) -> Result<(), Refusal> {
    let scope = input.scope();
    let known = |sort: &SortExpr| match &sort.expr {
        Expr::Column(column) => Ok((scope.facts_of(column)?, scope.data_type(&sort.expr)?)),
        _ => Err(refused("this window", "call a window function or an aggregate OVER (PARTITION BY person_id)")),
    };
    let used = used.iter().map(known).collect::<Result<Vec<_>, _>>()?;
    short_rows(used.into_iter(), input.rows_max, input.defaults.room)
}

/// One window function.
struct One<'a, 'w> {
    walk: &'a mut Walk<'w>,
    input: &'a Owned,
    ties: &'a [SortExpr],
    /// What the engine computes.
    inner: &'a mut Vec<Expr>,
}

/// The window's own clauses, total.
#[derive(Clone)]
struct Over {
    partition_by: Vec<Expr>,
    order_by: Vec<SortExpr>,
    frame: WindowFrame,
    by_owner_alone: bool,
}

const OVER_PERSONS: &str = "a window over persons' rows needs PARTITION BY person_id; over all persons, aggregates of whole \
                            partitions by keys that are never NULL, and NTILE";
const NTH_MAX: f64 = 1_000_000.0;
/// The most rows before or after a row that a frame reaches, unless it reaches all.
const FRAME_ROWS_MAX: f64 = 65_536.0;

impl One<'_, '_> {
    fn of(self, call: WindowFunction) -> Result<(Expr, Facts), Refusal> {
        let over = self.over(&call.params)?;
        match &call.fun {
            WindowFunctionDefinition::WindowUDF(function) => {
                let function = Arc::clone(function);
                self.ranking(function, call.params, over)
            }
            WindowFunctionDefinition::AggregateUDF(function) => {
                let function = Arc::clone(function);
                self.aggregate(&function, call.params, over)
            }
        }
    }

    fn over(&self, params: &WindowFunctionParams) -> Result<Over, Refusal> {
        let scope = self.input.scope();
        let mut partition_by = vec![];
        for expr in &params.partition_by {
            let total = scope.item(&self.input.resolved(expr))?;
            // What has one value per person parts nobody's rows; the engine stumbles over some such columns.
            if total.facts.person || !total.facts.fixed {
                partition_by.push(total.expr);
            }
        }
        let owners = partition_by.iter().filter(|e| self.input.is_owner(e)).count();
        if owners == 0 {
            // Rows that share a link are one person's: the owner key beside it tells nothing more apart.
            let linked = partition_by.iter().any(|e| self.input.names_a_row(e));
            let owner = self.input.owner_key().filter(|_| linked);
            partition_by.push(owner.ok_or_else(|| mixed(OVER_PERSONS))?);
        }
        let mut order_by = vec![];
        for sort in &params.order_by {
            let total = scope.item(&self.input.resolved(&sort.expr))?;
            // It is the same on all rows of a partition; the owner key or NULL is not.
            if !total.facts.owner {
                order_by.push(SortExpr { expr: total.expr, ..sort.clone() });
            }
        }
        for bound in [&params.window_frame.start_bound, &params.window_frame.end_bound] {
            if params.window_frame.units != WindowFrameUnits::Range && !few_rows(bound) {
                return Err(refused("this frame", "reach UNBOUNDED or a literal number of at most 65,536 rows"));
            }
        }
        let by_owner_alone = owners == partition_by.len();
        Ok(Over { partition_by, order_by, frame: params.window_frame.clone(), by_owner_alone })
    }

    /// Functions of the place among the person's rows.
    fn ranking(
        mut self,
        function: Arc<WindowUDF>,
        params: WindowFunctionParams,
        over: Over,
    ) -> Result<(Expr, Facts), Refusal> {
        let name = function.name().to_owned();
        // The engine looks for them anew from each row: the square of a person's rows.
        if params.null_treatment == Some(NullTreatment::IgnoreNulls) && !matches!(&*name, "first_value" | "last_value")
        {
            return Err(refused("IGNORE NULLS", "leave it out, and take the rows with WHERE x IS NOT NULL"));
        }
        if params.distinct || params.filter.is_some() {
            return Err(refused(&name, "without DISTINCT or FILTER"));
        }
        // What it sees is the partition, whatever its frame; the engine computes the ends of a frame nevertheless.
        if over.frame.units == WindowFrameUnits::Range && !peers(&over.frame) {
            return Err(refused("RANGE with an offset", "leave the frame out, or use ROWS"));
        }
        let rows = Range::new(1.0, u64_to_f64(self.input.rows_max.max(1)));
        let counted = Facts { nullable: false, range: rows, grid: Some(1.0), ..Facts::unknown() };
        let numbered = over.by_owner_alone;
        let (args, known, over) = match name.as_str() {
            "row_number" => (vec![], Facts { numbered, ..counted }, self.total(over)),
            // Equal rows have equal ranks: no order among them is needed, and one would change the ranks.
            "rank" | "dense_rank" => (vec![], counted, over),
            "percent_rank" | "cume_dist" => {
                (vec![], Facts { nullable: false, range: Range::new(0.0, 1.0), ..Facts::unknown() }, over)
            }
            "ntile" => {
                let tiles = literal(params.args.first()).filter(|n| *n >= 1.0 && *n <= NTH_MAX);
                let tiles = tiles.ok_or_else(|| refused("ntile", "give a whole number from 1"))?;
                (params.args, Facts { range: Range::new(1.0, tiles), ..counted }, self.total(over))
            }
            "lag" | "lead" => {
                let (args, known) = self.shifted(&name, &params.args)?;
                (args, known, self.total(over))
            }
            "first_value" | "last_value" | "nth_value" => {
                let (args, known) = self.chosen(&name, &params.args)?;
                let frame = rows_of(&name, &over.frame)?;
                (args, known, self.total(Over { frame, ..over }))
            }
            _ => return Err(refused(&name, WINDOWS)),
        };
        let function = WindowFunctionDefinition::WindowUDF(function);
        let column = self.push(function, args, over, params.null_treatment);
        Ok((column, known))
    }

    /// Ties are broken by all other columns.
    fn total(&self, over: Over) -> Over {
        let mut order_by = over.order_by;
        for tie in self.ties {
            if order_by.iter().all(|sort| sort.expr != tie.expr) {
                order_by.push(tie.clone());
            }
        }
        Over { order_by, ..over }
    }

    fn shifted(&self, name: &str, args: &[Expr]) -> Result<(Vec<Expr>, Facts), Refusal> {
        let value = args.first().ok_or_else(|| refused(name, "give a value"))?;
        let value = self.input.scope().item(value)?;
        let mut known = value.facts.clone();
        let mut total = vec![value.expr];
        if let Some(offset) = args.get(1) {
            literal(Some(offset)).filter(|n| n.abs() <= NTH_MAX).ok_or_else(|| refused(name, "shift by a literal"))?;
            total.push(offset.clone());
        }
        if let Some(otherwise) = args.get(2) {
            let otherwise = self.input.scope().total(otherwise)?;
            if !matches!(otherwise.expr, Expr::Literal(..)) {
                return Err(refused(name, "give the default as a literal, or use COALESCE"));
            }
            known = union(&[known, otherwise.facts]);
            total.push(otherwise.expr);
        }
        Ok((total, value_of_another_row(known)))
    }

    fn chosen(&self, name: &str, args: &[Expr]) -> Result<(Vec<Expr>, Facts), Refusal> {
        let value = args.first().ok_or_else(|| refused(name, "give a value"))?;
        let value = self.input.scope().item(value)?;
        let mut total = vec![value.expr];
        if let Some(place) = args.get(1) {
            literal(Some(place))
                .filter(|n| *n >= 1.0 && *n <= NTH_MAX)
                .ok_or_else(|| refused(name, "give a whole number from 1"))?;
            total.push(place.clone());
        }
        Ok((total, value_of_another_row(value.facts)))
    }

    /// Aggregates over the frame.
    fn aggregate(
        mut self,
        function: &Arc<AggregateUDF>,
        params: WindowFunctionParams,
        over: Over,
    ) -> Result<(Expr, Facts), Refusal> {
        let name = function.name().to_owned();
        if params.distinct || params.null_treatment.is_some() {
            return Err(refused(&name, "without DISTINCT or RESPECT NULLS in a window"));
        }
        let over = match over.frame.units {
            // A frame of rows depends on the order of equal ones, a frame of peers does not.
            WindowFrameUnits::Rows => self.total(over),
            WindowFrameUnits::Groups => over,
            WindowFrameUnits::Range if peers(&over.frame) || self.within_days(&over) => over,
            WindowFrameUnits::Range => {
                let fix = "give literal intervals and order by one stored date, use ROWS, or join the table to itself";
                return Err(refused("RANGE with an offset", fix));
            }
        };
        let scope = self.input.scope();
        let filter = params.filter.as_deref().map(|f| scope.total(f)).transpose()?.map(|t| t.expr);
        let fixed = over.by_owner_alone && whole(&over);
        let rows = self.input.rows_max;
        let plain = Facts { fixed, ..Facts::unknown() };
        // FILTER means what WHERE means: the rows that miss it are NULL to the aggregate.
        let seen = |value: Expr| match &filter {
            Some(filter) => Expr::Case(Case::new(None, vec![(Box::new(filter.clone()), Box::new(value))], None)),
            None => value,
        };
        let call = |one: &mut Self, function: &Arc<AggregateUDF>, argument: Expr| {
            one.push(WindowFunctionDefinition::AggregateUDF(Arc::clone(function)), vec![argument], over.clone(), None)
        };
        let number = |expr: &Expr| Number::of(&name, expr, &scope, |_, facts| facts);
        let mut push = |function: &Arc<AggregateUDF>, argument: Expr| call(&mut self, function, seen(argument));
        let argument = match (params.args.as_slice(), Statistic::named(&name)) {
            ([x], Some(statistic)) => return person_moments::of(statistic, number(x)?, None, rows, &mut push),
            ([y, x], Some(statistic)) => {
                let y = Some(number(y)?);
                return person_moments::of(statistic, number(x)?, y, rows, &mut push);
            }
            ([argument], None) => argument,
            _ => return Err(refused(&name, "with one argument")),
        };
        let item = scope.item(argument)?;
        let data_type = scope.data_type(argument)?;
        match name.as_str() {
            "count" => {
                let counted = call(&mut self, function, seen(item.expr));
                let range = Range::new(0.0, u64_to_f64(rows));
                Ok((counted, Facts { nullable: false, range, grid: Some(1.0), ..plain }))
            }
            _ if item.facts.person || item.facts.key => Err(refused(&name, "keys can be counted, nothing else")),
            "min" | "max" => {
                let value = call(&mut self, function, seen(without_nan(item.expr, &data_type)));
                Ok((value, Facts { nullable: true, fixed, numbered: false, stored: None, ..item.facts }))
            }
            "sum" if data_type.is_integer() => {
                let range = item.facts.range.and_then(|r| total_range(r, rows)).filter(|r| r.within(-9e18, 9e18));
                Ok((call(&mut self, function, seen(item.expr)), Facts { range, grid: Some(1.0), ..plain }))
            }
            "sum" | "avg" if data_type == DataType::Float64 => {
                let sum = vocabulary().aggregate("sum").ok_or_else(|| refused("SUM", "it is missing"))?;
                let (addend, step) = addend(item.expr, &item.facts);
                let total = as_float(call(&mut self, &sum, seen(addend.clone()))) * lit(step);
                if name == "sum" {
                    let range = item.facts.range.and_then(|r| total_range(r, rows));
                    let grid = item.facts.grid.filter(|_| range.is_some());
                    return Ok((total, Facts { range, grid, ..plain }));
                }
                let count = vocabulary().aggregate("count").ok_or_else(|| refused("COUNT", "it is missing"))?;
                let mean = total / nullif(as_float(call(&mut self, &count, seen(addend))), lit(0.0));
                Ok((mean, Facts { range: item.facts.range, grid: item.facts.grid, ..plain }))
            }
            _ => Err(refused(&format!("{name} in a window"), WINDOWS)),
        }
    }

    /// Whether a RANGE frame reaches a literal interval around a date that every stored row holds within declared bounds:
    /// then no end of a frame leaves the calendar, and which rows lie in it is a matter of that person's dates alone.
    fn within_days(&self, over: &Over) -> bool {
        let [sort] = over.order_by.as_slice() else { return false };
        let Ok(total) = self.input.scope().item(&sort.expr) else { return false };
        let dated = self.input.scope().data_type(&sort.expr).is_ok_and(|t| t == DataType::Date32);
        let held = matches!(total.expr, Expr::Column(_)) && total.facts.holds;
        let near = total.facts.range.is_some_and(|r| r.within(-200_000.0, 200_000.0));
        let short = |bound: &WindowFrameBound| match bound {
            WindowFrameBound::CurrentRow => true,
            WindowFrameBound::Preceding(value) | WindowFrameBound::Following(value) => match value {
                ScalarValue::IntervalMonthDayNano(Some(v)) => {
                    (0..=2400).contains(&v.months) && (0..=100_000).contains(&v.days) && v.nanoseconds == 0
                }
                other => other.is_null(),
            },
        };
        dated && held && near && short(&over.frame.start_bound) && short(&over.frame.end_bound)
    }

    fn push(
        &mut self,
        fun: WindowFunctionDefinition,
        args: Vec<Expr>,
        over: Over,
        null_treatment: Option<NullTreatment>,
    ) -> Expr {
        let name = self.walk.fresh("window");
        let params = WindowFunctionParams {
            args,
            partition_by: over.partition_by,
            order_by: over.order_by,
            window_frame: over.frame,
            filter: None,
            null_treatment,
            distinct: false,
        };
        let call = Expr::WindowFunction(Box::new(WindowFunction { fun, params }));
        self.inner.push(call.alias(name.clone()));
        Expr::Column(Column::from_name(name))
    }
}

const WINDOWS: &str = "use row_number, rank, dense_rank, percent_rank, cume_dist, ntile, lag, lead, first_value, \
                       last_value, nth_value, COUNT, SUM, AVG, MIN, MAX, VAR, STDDEV, COVAR, CORR or REGR_*";

/// What is known of a column, of a row that may not be there: then it is NULL, so even a fixed column varies.
fn value_of_another_row(facts: Facts) -> Facts {
    Facts { key: facts.key || facts.owner, fixed: false, nullable: true, numbered: false, stored: None, ..facts }
}

fn literal(expr: Option<&Expr>) -> Option<f64> {
    match expr {
        Some(Expr::Literal(value, _)) => number(value).filter(|n| n.fract() == 0.0),
        Some(Expr::Negative(inner)) => literal(Some(inner)).map(|n| -n),
        Some(Expr::Cast(cast)) => literal(Some(&cast.expr)),
        _ => None,
    }
}

fn unbounded(bound: &WindowFrameBound) -> bool {
    matches!(bound, WindowFrameBound::Preceding(value) | WindowFrameBound::Following(value) if value.is_null())
}

/// Whether a ROWS or GROUPS frame ends where counting rows cannot overflow.
fn few_rows(bound: &WindowFrameBound) -> bool {
    match bound {
        WindowFrameBound::CurrentRow => true,
        WindowFrameBound::Preceding(value) | WindowFrameBound::Following(value) => {
            value.is_null() || number(value).is_some_and(|rows| (0.0..=FRAME_ROWS_MAX).contains(&rows))
        }
    }
}

/// Whether a RANGE frame ends at peers of the current row or at the ends of the partition.
fn peers(frame: &WindowFrame) -> bool {
    let plain = |bound: &WindowFrameBound| unbounded(bound) || matches!(bound, WindowFrameBound::CurrentRow);
    plain(&frame.start_bound) && plain(&frame.end_bound)
}

/// Whether the frame is the whole partition whatever the row.
fn whole(over: &Over) -> bool {
    unbounded(&over.frame.start_bound) && unbounded(&over.frame.end_bound)
        || (over.order_by.is_empty() && over.frame.units == WindowFrameUnits::Range && peers(&over.frame))
}

/// The frame of FIRST_VALUE and its kin over rows in total order. A frame that ends among peers has no last row that
/// an order could settle without changing the frame: only frames that end elsewhere mean the same.
fn rows_of(name: &str, frame: &WindowFrame) -> Result<WindowFrame, Refusal> {
    let from_start = unbounded(&frame.start_bound);
    let to_end = unbounded(&frame.end_bound);
    let to_current = name == "first_value" && matches!(frame.end_bound, WindowFrameBound::CurrentRow);
    match frame.units {
        WindowFrameUnits::Rows => Ok(frame.clone()),
        _ if from_start && (to_end || to_current) => {
            let end = match to_end {
                true => WindowFrameBound::Following(ScalarValue::UInt64(None)),
                false => WindowFrameBound::CurrentRow,
            };
            let start = WindowFrameBound::Preceding(ScalarValue::UInt64(None));
            Ok(WindowFrame::new_bounds(WindowFrameUnits::Rows, start, end))
        }
        _ => Err(refused(name, "add ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING")),
    }
}
