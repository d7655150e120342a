//! What becomes of half-widths where rows meet?
//!
//! In joins they stay with their values. Of stacked rows each keeps its own, exact ones have none. A sum is as far off as
//! all its parts together, a mean as they are on average, an end or a repeated row as the widest of them. Windows do to
//! the half-widths what they do to the values.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, Field},
    common::{Column, DFSchema, JoinType},
    functions_aggregate::min_max::max_udaf,
    logical_expr::{
        Aggregate, Distinct, Expr, Join, LogicalPlan, Projection, Union, Window, WindowFunctionDefinition,
        expr::{AggregateFunction, AggregateFunctionParams, WindowFunction},
        lit,
    },
};

use super::{
    intervals::{Standing, Thread, Threaded},
    subqueries,
    typing::columns,
    widths::{Reach, Widths, held},
};

impl Thread<'_> {
    pub(super) fn join(&self, join: &Join) -> Option<Threaded> {
        let plan = LogicalPlan::Join(join.clone());
        let exprs = plan.expressions();
        let (left, right) = (self.through(&join.left), self.through(&join.right));
        if left.public && right.public && !exprs.iter().any(subqueries::any) {
            return None;
        }
        let (from_left, from_right) = match join.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => (true, true),
            JoinType::LeftSemi | JoinType::LeftAnti => (true, false),
            JoinType::RightSemi | JoinType::RightAnti => (false, true),
            JoinType::LeftMark | JoinType::RightMark => return None,
        };
        let (mut visible, mut standings) = (vec![], vec![]);
        for (side, _) in [(&left, from_left), (&right, from_right)].into_iter().filter(|(_, there)| *there) {
            visible.extend(side.visible());
            standings.extend(side.columns.iter().cloned());
        }
        if !left.hides() && !right.hides() {
            return Some(Threaded::alone(&plan, standings));
        }
        let joined = plan.with_new_exprs(exprs, vec![left.plan, right.plan]).ok()?;
        Self::gathered(joined, visible, standings, vec![])
    }

    pub(super) fn union(&self, union: &Union) -> Option<Threaded> {
        let branches: Vec<Threaded> = union.inputs.iter().map(|input| self.through(input)).collect();
        if branches.iter().all(|branch| branch.public) {
            return None;
        }
        let standing = |place: usize| {
            let of = || branches.iter().filter_map(|branch| branch.columns.get(place));
            match (of().any(|column| column.width().is_some()), of().all(|column| *column == Standing::Exact)) {
                (true, _) => Standing::Noisy { passed: None, width: Column::from_name(self.hidden()) },
                (false, true) => Standing::Exact,
                (false, false) => Standing::Unknown,
            }
        };
        let standings: Vec<Standing> = (0..union.schema.fields().len()).map(standing).collect();
        if !branches.iter().any(Threaded::hides) {
            return Some(Threaded::alone(&LogicalPlan::Union(union.clone()), standings));
        }
        let inputs = branches.into_iter().map(|branch| stacked(branch, &standings)).collect::<Option<Vec<_>>>()?;
        let shown = union.schema.iter().map(|(of, field)| (of.cloned(), Arc::clone(field)));
        let widths = standings.iter().filter_map(Standing::width);
        let hidden = widths.map(|width| (None, Arc::new(Field::new(width.name.clone(), DataType::Float64, true))));
        let fields = shown.chain(hidden).collect();
        let schema = DFSchema::new_with_metadata(fields, union.schema.metadata().clone()).ok()?;
        let plan = LogicalPlan::Union(Union { inputs, schema: Arc::new(schema) });
        Some(Threaded { plan, columns: standings, public: false })
    }

    /// Equal rows are one, as wide as the widest of them.
    pub(super) fn distinct(&self, distinct: &Distinct) -> Option<Threaded> {
        let Distinct::All(input) = distinct else { return None };
        let below = self.through(input);
        if below.public {
            return None;
        }
        if !below.hides() {
            return Some(Threaded::alone(&LogicalPlan::Distinct(distinct.clone()), below.columns));
        }
        let (mut standings, mut widths) = (vec![], vec![]);
        for column in &below.columns {
            standings.push(match column {
                Standing::Noisy { passed, width } => Standing::Noisy {
                    passed: passed.clone(),
                    width: self.widest(Expr::Column(width.clone()), &mut widths),
                },
                other => other.clone(),
            });
        }
        let visible = below.visible();
        let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(below.plan), visible, widths).ok()?);
        Some(Threaded { plan, columns: standings, public: false })
    }

    fn widest(&self, width: Expr, widths: &mut Vec<Expr>) -> Column {
        let hidden = self.hidden();
        let of = AggregateFunction::new_udf(max_udaf(), vec![width], false, None, vec![], None);
        widths.push(Expr::AggregateFunction(of).alias(hidden.clone()));
        Column::from_name(hidden)
    }

    pub(super) fn aggregate(&self, aggregate: &Aggregate) -> Option<Threaded> {
        let below = self.through(&aggregate.input);
        if below.public {
            return None;
        }
        let over = Widths { thread: self, below: &below };
        let (mut standings, mut made) = (vec![], vec![]);
        match aggregate.group_expr.as_slice() {
            [Expr::GroupingSet(sets)] => {
                for key in sets.distinct_expr() {
                    standings.push(if over.exact(key) { Standing::Exact } else { Standing::Unknown });
                }
                // Which keys a row is grouped by.
                standings.push(Standing::Exact);
            }
            keys => {
                for key in keys {
                    standings.push(match over.value(key) {
                        Value::Exact => Standing::Exact,
                        Value::Within(width) => Standing::Noisy { passed: None, width: self.widest(width, &mut made) },
                        Value::Unknown => Standing::Unknown,
                    });
                }
            }
        }
        for call in &aggregate.aggr_expr {
            standings.push(match over.aggregate(call) {
                Value::Exact => Standing::Exact,
                Value::Within(width) => {
                    let hidden = self.hidden();
                    made.push(width.alias(hidden.clone()));
                    Standing::Noisy { passed: None, width: Column::from_name(hidden) }
                }
                Value::Unknown => Standing::Unknown,
            });
        }
        if standings.len() != aggregate.schema.fields().len() {
            return None;
        }
        let calls = aggregate.aggr_expr.iter().cloned().chain(made).collect();
        let plan = Aggregate::try_new(Arc::new(below.plan), aggregate.group_expr.clone(), calls).ok()?;
        Some(Threaded { plan: LogicalPlan::Aggregate(plan), columns: standings, public: false })
    }

    pub(super) fn window(&self, window: &Window) -> Option<Threaded> {
        let below = self.through(&window.input);
        if below.public && !window.window_expr.iter().any(subqueries::any) {
            return None;
        }
        let over = Widths { thread: self, below: &below };
        let (mut calls, mut found) = (window.window_expr.clone(), vec![]);
        for call in &window.window_expr {
            found.push(match over.window(call) {
                Value::Within(width) => {
                    let place = calls.iter().position(|known| *known == width);
                    if place.is_none() {
                        calls.push(width);
                    }
                    Value::Within(place.unwrap_or(calls.len() - 1))
                }
                Value::Exact => Value::Exact,
                Value::Unknown => Value::Unknown,
            });
        }
        let (mut visible, mut standings) = (below.visible(), below.columns.clone());
        let hides = below.hides();
        let plan = LogicalPlan::Window(Window::try_new(calls, Arc::new(below.plan)).ok()?);
        let windows = columns(&plan).split_off(plan.schema().fields().len().checked_sub(calls_of(&plan))?);
        let mut made = vec![];
        for (value, known) in windows.iter().zip(found) {
            visible.push(value.clone());
            standings.push(match known {
                Value::Exact => Standing::Exact,
                Value::Within(place) => {
                    let hidden = self.hidden();
                    made.push(held(value, windows.get(place)?.clone()).alias(hidden.clone()));
                    Standing::Noisy { passed: None, width: Column::from_name(hidden) }
                }
                Value::Unknown => Standing::Unknown,
            });
        }
        match hides || !made.is_empty() {
            true => Self::gathered(plan, visible, standings, made),
            false => Some(Threaded { plan, columns: standings, public: false }),
        }
    }
}

fn calls_of(plan: &LogicalPlan) -> usize {
    if let LogicalPlan::Window(window) = plan { window.window_expr.len() } else { 0 }
}

/// One branch of a union: its columns, then a half-width for each that is noisy in some branch.
fn stacked(branch: Threaded, standings: &[Standing]) -> Option<Arc<LogicalPlan>> {
    let mut items = branch.visible();
    let mut widths = vec![];
    for ((value, own), standing) in items.iter().zip(&branch.columns).zip(standings) {
        if let Some(hidden) = standing.width() {
            let width = match own {
                Standing::Noisy { width, .. } => Expr::Column(width.clone()),
                Standing::Exact => held(value, lit(0.0)),
                Standing::Unknown => held(value, lit(f64::INFINITY)),
            };
            widths.push(width.alias(hidden.name.clone()));
        }
    }
    items.extend(widths);
    Some(Arc::new(LogicalPlan::Projection(Projection::try_new(items, Arc::new(branch.plan)).ok()?)))
}

/// What is known of a value, its half-width being a `W`.
enum Value<W> {
    Exact,
    Within(W),
    Unknown,
}

impl Widths<'_> {
    /// The half-width of `expr` as a hidden column would hold it.
    fn value(&self, expr: &Expr) -> Value<Expr> {
        if let Expr::Column(column) = expr
            && let Standing::Noisy { width, .. } = self.below.standing(column)
        {
            return Value::Within(Expr::Column(width));
        }
        match self.of(expr) {
            Reach::Exact => Value::Exact,
            // The engine plans subqueries in arguments that it was asked for, and not those that we would add.
            Reach::Within(_) if subqueries::any(expr) => Value::Unknown,
            Reach::Within(width) => Value::Within(held(expr, width.expr)),
            Reach::Unknown => Value::Unknown,
        }
    }

    /// Of one value of the group or frame, of their sum or their mean. `None` of what no half-width is known of.
    fn call(&self, name: &str, args: &[Expr]) -> Option<Call> {
        let (first, rest) = args.split_first()?;
        let Value::Within(width) = self.value(first) else { return None };
        let rest: Vec<Expr> = rest
            .iter()
            .enumerate()
            // What stands in for a row that is not there.
            .map(|(i, other)| if i == 1 && matches!(name, "lag" | "lead") { lit(f64::INFINITY) } else { other.clone() })
            .collect();
        let args = std::iter::once(width).chain(rest).collect();
        match name {
            "min" | "max" => Some(Call { args, widest: true }),
            "sum" | "avg" | "first_value" | "last_value" | "nth_value" | "lag" | "lead" => {
                Some(Call { args, widest: false })
            }
            _ => None,
        }
    }

    fn aggregate(&self, call: &Expr) -> Value<Expr> {
        if self.exact(call) {
            return Value::Exact;
        }
        let Expr::AggregateFunction(written) = call.clone().unalias_nested().data else { return Value::Unknown };
        let AggregateFunction { func, params } = written;
        let repeated = params.distinct && matches!(func.name(), "sum" | "avg");
        match self.call(func.name(), &params.args).filter(|_| !repeated) {
            Some(Call { args, widest }) => {
                let func = if widest { max_udaf() } else { func };
                let params = AggregateFunctionParams { args, ..params };
                Value::Within(Expr::AggregateFunction(AggregateFunction { func, params }))
            }
            None => Value::Unknown,
        }
    }

    fn window(&self, call: &Expr) -> Value<Expr> {
        if self.exact(call) {
            return Value::Exact;
        }
        let Expr::WindowFunction(written) = call.clone().unalias_nested().data else { return Value::Unknown };
        let WindowFunction { fun, mut params } = *written;
        let repeated = params.distinct && matches!(fun.name(), "sum" | "avg");
        match self.call(fun.name(), &params.args).filter(|_| !repeated) {
            Some(Call { args, widest }) => {
                let fun = if widest { WindowFunctionDefinition::AggregateUDF(max_udaf()) } else { fun };
                params.args = args;
                Value::Within(Expr::from(WindowFunction { fun, params }))
            }
            None => Value::Unknown,
        }
    }
}

/// What to call for the half-width.
struct Call {
    args: Vec<Expr>,
    /// The widest of all, whatever was called for the value.
    widest: bool,
}
