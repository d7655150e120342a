//! How wide is the interval of a number that is computed from noisy ones?
//!
//! The half-widths of all parts work in the worst direction, in first order where a quotient or a condition is among them.
//! A function that never falls is taken at both ends. Where a constant stands in for a value that is missing, or was
//! chosen by a noisy condition, nothing is known of what the truth would have been there.

use std::sync::Arc;

use super::{
    facts::number,
    intervals::{Standing, Thread, Threaded},
    placeholder,
};
use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column, ScalarValue,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    functions::{
        core::expr_fn::greatest,
        math::expr_fn::{abs, trunc},
    },
    logical_expr::{
        BinaryExpr, Case, Expr, ExprSchemable, LogicalPlan, Operator, Projection, Subquery, TryCast, Volatility,
        binary_expr, expr::ScalarFunction, lit,
    },
};

/// What is known of the noise in an expression.
pub(super) enum Reach {
    /// There is none.
    Exact,
    /// It is within this half-width.
    Within(Width),
    /// There may be some.
    Unknown,
}

/// A half-width as an expression; NULL or not finite where nothing is known.
#[derive(Clone)]
pub(super) struct Width {
    pub(super) expr: Expr,
    /// How many terms it has: what is written twice doubles at each level.
    terms: usize,
}

/// The half-widths of expressions over a step.
pub(super) struct Widths<'a> {
    pub(super) thread: &'a Thread<'a>,
    pub(super) below: &'a Threaded,
}

/// Beyond so many terms a half-width is not worth its work.
const TERMS_MAX: usize = 2048;
const UNKNOWN: f64 = f64::INFINITY;

/// As a hidden column holds it: NULL where `value` is, infinite where nothing is known.
pub(super) fn held(value: &Expr, width: Expr) -> Expr {
    let finite = binary_expr(abs(width.clone()), Operator::LtEq, lit(f64::MAX));
    choice(vec![(value.clone().is_null(), null()), (finite, width)], lit(UNKNOWN))
}

pub(super) fn as_float(expr: &Expr) -> Expr {
    Expr::TryCast(TryCast::new(Box::new(expr.clone()), DataType::Float64))
}

fn null() -> Expr {
    Expr::Literal(ScalarValue::Float64(None), None)
}

fn choice(branches: Vec<(Expr, Expr)>, otherwise: Expr) -> Expr {
    let branches = branches.into_iter().map(|(when, then)| (Box::new(when), Box::new(then))).collect();
    Expr::Case(Case::new(None, branches, Some(Box::new(otherwise))))
}

fn size(expr: &Expr) -> Expr {
    abs(as_float(expr))
}

fn terms(expr: &Expr) -> usize {
    let mut terms = 0;
    let _ = expr.apply(|_| {
        terms += 1;
        Ok(TreeNodeRecursion::Continue)
    });
    terms
}

impl Width {
    fn of(expr: Expr, terms: usize) -> Option<Self> {
        (terms <= TERMS_MAX).then_some(Self { expr, terms })
    }

    /// Infinite where it is NULL or no number, for functions that would pass over it.
    fn certain(self) -> Expr {
        let finite = binary_expr(abs(self.expr.clone()), Operator::LtEq, lit(f64::MAX));
        choice(vec![(finite, self.expr)], lit(UNKNOWN))
    }
}

impl Widths<'_> {
    /// What is known of the noise in `expr`.
    pub(super) fn of(&self, expr: &Expr) -> Reach {
        if self.exact(expr) {
            return Reach::Exact;
        }
        self.within(expr).map_or(Reach::Unknown, Reach::Within)
    }

    /// Whether nothing in `expr` comes from noise.
    pub(super) fn exact(&self, expr: &Expr) -> bool {
        let told =
            |inner: &Subquery| inner.outer_ref_columns.is_empty() && placeholder::read(&inner.subquery).is_empty();
        let noisy = expr.exists(|e| {
            Ok(match e {
                Expr::Column(column) => self.below.standing(column) != Standing::Exact,
                Expr::OuterReferenceColumn(..) | Expr::Placeholder(_) => true,
                Expr::ScalarSubquery(inner) => !told(inner),
                Expr::Exists(exists) => !told(&exists.subquery),
                Expr::InSubquery(within) => !told(&within.subquery),
                Expr::SetComparison(any) => !told(&any.subquery),
                Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Volatile,
                _ => false,
            })
        });
        !noisy.unwrap_or(true)
    }

    /// The half-width of an expression that is noisy; `None` where it is not known.
    fn noisy(&self, expr: &Expr) -> Option<Width> {
        if let Reach::Within(width) = self.of(expr) { Some(width) } else { None }
    }

    /// The half-width of a part, `Some(None)` of one that is exact.
    fn part(&self, expr: &Expr) -> Option<Option<Width>> {
        match self.of(expr) {
            Reach::Exact => Some(None),
            Reach::Within(width) => Some(Some(width)),
            Reach::Unknown => None,
        }
    }

    fn within(&self, expr: &Expr) -> Option<Width> {
        match expr {
            Expr::Alias(alias) => self.noisy(&alias.expr),
            Expr::Cast(cast) => self.cast(&cast.expr, cast.field.data_type()),
            Expr::TryCast(cast) => self.cast(&cast.expr, cast.field.data_type()),
            Expr::Negative(inner) => self.noisy(inner),
            Expr::Column(column) => Width::of(Expr::Column(self.below.standing(column).width()?.clone()), 1),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => self.arithmetic(left, *op, right),
            Expr::Case(case) => self.case(case),
            Expr::ScalarFunction(call) => self.function(call),
            Expr::ScalarSubquery(inner) => self.subquery(inner),
            _ => None,
        }
    }

    fn data_type(&self, expr: &Expr) -> Option<DataType> {
        expr.get_type(self.below.plan.schema()).ok()
    }

    fn cast(&self, inner: &Expr, to: &DataType) -> Option<Width> {
        let width = self.noisy(inner)?;
        let from = self.data_type(inner)?;
        match to {
            DataType::Boolean => None,
            whole if whole.is_integer() && from.is_numeric() && !from.is_integer() => {
                stepped(inner, width, |number| trunc(vec![number]))
            }
            _ => Some(width),
        }
    }

    fn arithmetic(&self, left: &Expr, op: Operator, right: &Expr) -> Option<Width> {
        let (of_left, of_right) = (self.part(left)?, self.part(right)?);
        let of = |width: &Option<Width>| width.as_ref().map_or(0, |w| w.terms);
        let written = terms(left) + terms(right) + 8;
        if matches!(op, Operator::Plus | Operator::Minus) {
            let terms = of(&of_left) + of(&of_right) + 1;
            let sum = [of_left, of_right].into_iter().flatten().map(|w| w.expr).reduce(|a, b| a + b);
            return Width::of(sum?, terms);
        }
        let types = (self.data_type(left)?, self.data_type(right)?);
        if !(types.0.is_numeric() && types.1.is_numeric()) {
            return None;
        }
        let terms = 2 * (of(&of_left) + of(&of_right)) + 2 * written;
        if terms > TERMS_MAX {
            return None;
        }
        let (of_left, of_right) = (of_left.map(|w| w.expr), of_right.map(|w| w.expr));
        match op {
            Operator::Multiply => {
                let both = of_left.clone().zip(of_right.clone()).map(|(l, r)| l * r);
                let of_left = of_left.map(|l| size(right) * l);
                let of_right = of_right.map(|r| size(left) * r);
                Width::of([of_right, of_left, both].into_iter().flatten().reduce(|a, b| a + b)?, terms)
            }
            Operator::Divide => {
                let of_right = of_right.map(|r| abs(as_float(left) / as_float(right)) * r);
                let width = [of_left, of_right].into_iter().flatten().reduce(|a, b| a + b)? / size(right);
                let width = Width::of(width, terms)?;
                match types.0.is_integer() && types.1.is_integer() {
                    true => stepped(&(as_float(left) / as_float(right)), width, |number| trunc(vec![number])),
                    false => Some(width),
                }
            }
            _ => None,
        }
    }

    /// The half-width of the branch that was chosen. A constant that a noisy condition chose stands for anything.
    fn case(&self, case: &Case) -> Option<Width> {
        let told = case.expr.iter().chain(case.when_then_expr.iter().map(|(when, _)| when)).all(|c| self.exact(c));
        let (mut all, mut noisy) = (terms(&Expr::Case(case.clone())), false);
        let mut of = |branch: &Expr| match self.of(branch) {
            Reach::Exact if told => lit(0.0),
            Reach::Within(width) => {
                all += width.terms;
                noisy = true;
                width.expr
            }
            Reach::Exact | Reach::Unknown => lit(UNKNOWN),
        };
        let chosen = case.when_then_expr.iter().map(|(when, then)| (when.clone(), Box::new(of(then)))).collect();
        let otherwise = case.else_expr.as_ref().map(|branch| Box::new(of(branch)));
        let width = Expr::Case(Case::new(case.expr.clone(), chosen, otherwise));
        Width::of(width, all).filter(|_| noisy)
    }

    fn function(&self, call: &ScalarFunction) -> Option<Width> {
        let (first, rest) = call.args.split_first()?;
        match call.func.name() {
            "abs" => self.noisy(first),
            "nullif" => self.noisy(first),
            "greatest" | "least" => self.one_of(&call.args),
            "coalesce" | "nvl" => self.first_there(&call.args),
            // A power with an exponent of at least 1 turns once at most, and is farthest at one of both ends.
            "round" | "trunc" | "ceil" | "floor" | "sqrt" | "cbrt" | "exp" | "ln" | "log2" | "log10" | "power"
                if (call.func.name() != "power" || rest.iter().all(rises))
                    && rest.iter().all(|argument| self.exact(argument)) =>
            {
                let width = self.noisy(first)?;
                stepped(first, width, |number| {
                    let args = std::iter::once(number).chain(rest.iter().cloned()).collect();
                    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&call.func), args))
                })
            }
            _ => None,
        }
    }

    /// The greatest or least moves by no more than one of its parts does.
    fn one_of(&self, args: &[Expr]) -> Option<Width> {
        let parts = args.iter().map(|arg| self.part(arg)).collect::<Option<Vec<_>>>()?;
        let mut noisy: Vec<Width> = parts.into_iter().flatten().collect();
        if noisy.len() < 2 {
            return noisy.pop();
        }
        let terms = noisy.iter().map(|w| 2 * w.terms + 4).sum();
        if terms > TERMS_MAX {
            return None;
        }
        Width::of(greatest(noisy.into_iter().map(Width::certain).collect()), terms)
    }

    /// The half-width of the value that is there. Where a noisy one is missing, what is exact stands in for it.
    fn first_there(&self, args: &[Expr]) -> Option<Width> {
        let (mut branches, mut terms_here, mut noisy) = (vec![], 0, false);
        for arg in args {
            let width = match self.of(arg) {
                Reach::Exact if !noisy => lit(0.0),
                Reach::Within(width) => {
                    terms_here += width.terms;
                    noisy = true;
                    width.expr
                }
                Reach::Exact | Reach::Unknown => lit(UNKNOWN),
            };
            terms_here += terms(arg) + 2;
            branches.push((arg.clone().is_not_null(), width));
        }
        if !noisy {
            return None;
        }
        Width::of(choice(branches, null()), terms_here)
    }

    fn subquery(&self, inner: &Subquery) -> Option<Width> {
        if !inner.outer_ref_columns.is_empty() {
            return None;
        }
        let threaded = self.thread.through_subquery(&inner.subquery)?;
        let width: Column = threaded.columns.first()?.width()?.clone();
        let plan = Projection::try_new(vec![Expr::Column(width)], Arc::new(threaded.plan)).ok()?;
        let subquery = Arc::new(LogicalPlan::Projection(plan));
        Width::of(Expr::ScalarSubquery(Subquery { subquery, ..inner.clone() }), TERMS_MAX / 16)
    }
}

/// Whether a literal exponent is at least 1.
fn rises(exponent: &Expr) -> bool {
    match exponent {
        Expr::Cast(cast) => rises(&cast.expr),
        Expr::Literal(value, _) => number(value).is_some_and(|exponent| exponent >= 1.0),
        _ => false,
    }
}

/// The half-width of `step` of `value`, which is farthest at one of both ends: what it makes of them.
fn stepped(value: &Expr, width: Width, step: impl Fn(Expr) -> Expr) -> Option<Width> {
    let terms = 4 * terms(value) + 2 * width.terms + 16;
    if terms > TERMS_MAX {
        return None;
    }
    let (at, width) = (as_float(value), width.expr);
    let found = as_float(&step(at.clone()));
    let above = as_float(&step(at.clone() + width.clone())) - found.clone();
    let below = found - as_float(&step(at - width));
    Width::of(greatest(vec![abs(above), abs(below)]), terms)
}
