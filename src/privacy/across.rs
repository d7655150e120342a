//! What does a window over all persons say of one row?
//!
//! What an aggregate says: `AVG(x) OVER ()` is one mean for all rows, `COUNT(*) OVER (PARTITION BY sex)` one count for each
//! sex. So the aggregate is released, with noise and at its price, and put beside the rows: a join of persons' rows with
//! released values. NTILE(4) puts a row into the quarter in which its value lies, between quartiles that are released. Which
//! row comes before which other among all persons is nobody's to know: numbers and ranks over them stay refused.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::{Column, JoinConstraint, JoinType, NullEquality, ScalarValue},
    logical_expr::{
        Aggregate, Case, Cast, Expr, Join, LogicalPlan, Projection, SortExpr, SubqueryAlias, Window, WindowFrameBound,
        WindowFunctionDefinition,
        expr::{AggregateFunction, WindowFunction},
        lit,
    },
};

use super::{
    facts::number,
    typing::{Owned, Walk, built},
};
use crate::{sql::vocabulary, terms::Refusal};

/// The most parts of an NTILE: each has an end that is released.
const PARTS_MAX: u8 = 20;

/// The most steps of windows that become joins: what stands below one is walked anew for each.
const WINDOWS_MAX: usize = 3;

/// The windows of a step as a join with what they say of all persons; `None` where one of them is of a person's rows, or
/// is none of these.
///
/// # Errors
/// [`Refusal::FunctionNotAllowed`] where the engine cannot build it.
pub(super) fn released(walk: &mut Walk<'_>, window: &Window, input: &Owned) -> Result<Option<LogicalPlan>, Refusal> {
    let mut all: Vec<(Vec<Expr>, Said)> = vec![];
    for expr in &window.window_expr {
        let Expr::WindowFunction(call) = expr.clone().unalias_nested().data else { return Ok(None) };
        match said(&call, input) {
            Some(said) if of_all(&call, input)? => all.push((call.params.partition_by.clone(), said)),
            _ => return Ok(None),
        }
    }
    // A WITH that is read twice stands twice in the plan, and under the same names it is released once.
    let step = match walk.across.iter().position(|known| known == window) {
        Some(step) => step,
        None if walk.across.len() >= WINDOWS_MAX => return Ok(None),
        None => {
            walk.across.push(window.clone());
            walk.across.len() - 1
        }
    };
    let mut plan = window.input.as_ref().clone();
    let mut items: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    let shown = window.schema.iter().skip(items.len());
    // Those of the same partitions are one release.
    let mut beside: Vec<(Vec<Expr>, String, Vec<Expr>)> = vec![];
    for ((keys, said), (relation, field)) in all.into_iter().zip(shown) {
        let place = beside.iter().position(|(known, ..)| *known == keys);
        let place = place.unwrap_or_else(|| {
            beside.push((keys, format!("__sekisho_across_{step}_{}", beside.len()), vec![]));
            beside.len() - 1
        });
        let Some((_, name, aggregates)) = beside.get_mut(place) else { continue };
        let first = aggregates.len();
        aggregates.extend(said.aggregates());
        let value = said.of_row((first..aggregates.len()).map(|i| column(name, "v", i)).collect());
        let value = Expr::Cast(Cast::new(Box::new(value), field.data_type().clone()));
        items.push(value.alias_qualified(relation.cloned(), field.name()));
    }
    for (keys, name, aggregates) in beside {
        let named = |stem: &str, exprs: Vec<Expr>| {
            exprs.into_iter().enumerate().map(|(i, e)| e.alias(format!("{name}_{stem}{i}"))).collect::<Vec<_>>()
        };
        let grouped = Aggregate::try_new(Arc::clone(&window.input), named("k", keys.clone()), named("v", aggregates));
        let grouped = Arc::new(LogicalPlan::Aggregate(built(grouped)?));
        let right = LogicalPlan::SubqueryAlias(built(SubqueryAlias::try_new(grouped, name.clone()))?);
        let on: Vec<(Expr, Expr)> = keys.into_iter().enumerate().map(|(i, key)| (key, column(&name, "k", i))).collect();
        let kind = if on.is_empty() { JoinType::Inner } else { JoinType::Left };
        let nulls = NullEquality::NullEqualsNothing;
        let (left, right) = (Arc::new(plan), Arc::new(right));
        plan = LogicalPlan::Join(built(Join::try_new(left, right, on, None, kind, JoinConstraint::On, nulls, false))?);
    }
    Ok(Some(LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(plan)))?)))
}

fn column(name: &str, stem: &str, place: usize) -> Expr {
    Expr::Column(Column::new(Some(name.to_owned()), format!("{name}_{stem}{place}")))
}

/// Whether its partitions hold rows of any persons, by keys that are there on every row.
fn of_all(call: &WindowFunction, input: &Owned) -> Result<bool, Refusal> {
    for key in &call.params.partition_by {
        let known = input.scope().item(&input.resolved(key))?.facts;
        if known.person || known.key || known.nullable || input.names_a_row(key) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What a window says, in terms of aggregates.
enum Said {
    Value(Expr),
    /// The part of a row whose value is this, between the ends of the parts; the first part holds the greatest where so asked.
    Part {
        value: Expr,
        ends: Vec<Expr>,
        descending: bool,
    },
}

fn said(call: &WindowFunction, input: &Owned) -> Option<Said> {
    let params = &call.params;
    match &call.fun {
        WindowFunctionDefinition::AggregateUDF(func) => {
            let frame = &params.window_frame;
            let whole = unbounded(&frame.start_bound) && (unbounded(&frame.end_bound) || params.order_by.is_empty());
            (whole && params.null_treatment.is_none()).then(|| {
                let (args, filter) = (params.args.clone(), params.filter.clone());
                let call = AggregateFunction::new_udf(Arc::clone(func), args, params.distinct, filter, vec![], None);
                Said::Value(Expr::AggregateFunction(call))
            })
        }
        WindowFunctionDefinition::WindowUDF(func) if func.name() == "ntile" => {
            let ([parts], [SortExpr { expr, asc, .. }, ties @ ..]) =
                (params.args.as_slice(), params.order_by.as_slice())
            else {
                return None;
            };
            // Equal values fall into one part, whichever of their rows comes first by its number.
            if !ties.iter().all(|tie| input.names_a_row(&tie.expr) || input.is_owner(&tie.expr)) {
                return None;
            }
            let parts = parts_of(parts).filter(|parts| (2..=PARTS_MAX).contains(parts))?;
            let func = vocabulary().aggregate("percentile_disc")?;
            let value = Expr::Cast(Cast::new(Box::new(expr.clone()), DataType::Float64));
            let ends = (1..parts).map(|part| {
                let order = vec![SortExpr::new(value.clone(), true, false)];
                let share = lit(f64::from(part) / f64::from(parts));
                let args = vec![value.clone(), share];
                Expr::AggregateFunction(AggregateFunction::new_udf(Arc::clone(&func), args, false, None, order, None))
            });
            Some(Said::Part { ends: ends.collect(), value, descending: !asc })
        }
        WindowFunctionDefinition::WindowUDF(_) => None,
    }
}

fn unbounded(bound: &WindowFrameBound) -> bool {
    match bound {
        WindowFrameBound::Preceding(rows) | WindowFrameBound::Following(rows) => rows.is_null(),
        WindowFrameBound::CurrentRow => false,
    }
}

fn parts_of(expr: &Expr) -> Option<u8> {
    let literal = match expr {
        Expr::Cast(cast) => cast.expr.as_ref(),
        other => other,
    };
    let Expr::Literal(value, _) = literal else { return None };
    match value.cast_to(&DataType::UInt8) {
        Ok(ScalarValue::UInt8(parts)) if number(value).is_some() => parts,
        _ => None,
    }
}

impl Said {
    fn aggregates(&self) -> Vec<Expr> {
        match self {
            Self::Value(call) => vec![call.clone()],
            Self::Part { ends, .. } => ends.clone(),
        }
    }

    /// What it says of a row, over the columns of the released aggregates.
    fn of_row(self, columns: Vec<Expr>) -> Expr {
        match self {
            Self::Value(_) => columns.into_iter().next().unwrap_or_else(|| lit(ScalarValue::Null)),
            Self::Part { value, descending, .. } => {
                let parts = i64::try_from(columns.len()).unwrap_or(i64::MAX).saturating_add(1);
                let number = |place: i64| if descending { parts - place } else { place + 1 };
                let below = columns
                    .into_iter()
                    .zip(0_i64..)
                    .map(|(end, place)| (Box::new(value.clone().lt_eq(end)), Box::new(lit(number(place)))));
                let last = value.clone().is_not_null();
                let below = below.chain([(Box::new(last), Box::new(lit(number(parts - 1))))]).collect();
                Expr::Case(Case::new(None, below, None))
            }
        }
    }
}
