//! Can this expression fail or tell on any row, and between which bounds does it lie?
//!
//! Over persons' rows no expression may fail: a failure is an answer that no noise covers. What is listed here is
//! total as it stands or becomes so by the rewrite beside it (CAST to TRY_CAST, division NULL on zero); anything else
//! is refused.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    common::{
        Column, DFSchema, ScalarValue,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        BinaryExpr, Case, Expr, ExprSchemable, Operator, TryCast,
        expr::{InList, Like, ScalarFunction},
    },
};

use super::{
    facts::{Facts, Origin, PLAIN_BYTES, is_text, number, shared},
    group_keys::with_image,
    guarded::{guarded_cast, guarded_sum},
    narrowing,
    range::Range,
    scalar_functions,
    stored::{bound_by_codes, clamped},
    times,
};
use crate::terms::Refusal;

/// The step whose rows an expression is evaluated on.
pub(super) struct Scope<'a> {
    pub(super) schema: &'a DFSchema,
    pub(super) facts: &'a [Facts],
}

/// An expression that cannot fail, with its public facts.
#[derive(Debug, Clone)]
pub(super) struct Total {
    pub(super) expr: Expr,
    pub(super) facts: Facts,
}

const KEYS: &str = "key columns may be joined with =, grouped inside a person, and counted, nothing else";

impl Scope<'_> {
    /// A whole SELECT item, group key or argument: a bare column passes whatever its class; anything else is made total.
    pub(super) fn item(&self, expr: &Expr) -> Result<Total, Refusal> {
        match expr.clone().unalias_nested().data {
            Expr::Column(column) => {
                let facts = self.facts_of(&column)?.clone();
                Ok(Total { expr: Expr::Column(column), facts })
            }
            other => match self.chosen_key(&other)? {
                Some(key) => Ok(key),
                None => Ok(with_image(self, self.total(&other)?)),
            },
        }
    }

    /// `CASE WHEN ... THEN person_id END`: the owner key of its row or NULL, as conditions on that row choose; links alike.
    fn chosen_key(&self, expr: &Expr) -> Result<Option<Total>, Refusal> {
        let Expr::Case(Case { expr: None, when_then_expr, else_expr }) = expr else { return Ok(None) };
        let results = || when_then_expr.iter().map(|(_, then)| then).chain(else_expr);
        let key = |e: &Expr| match e {
            Expr::Column(column) => self.facts_of(column).ok().filter(|f| f.key || f.person).cloned(),
            _ => None,
        };
        let keys: Vec<Facts> = results().filter_map(|e| key(e)).collect();
        let person = keys.iter().all(|f| f.person);
        let one_kind = person || keys.iter().all(|f| !f.person);
        if keys.is_empty() || !one_kind || !results().all(|e| key(e).is_some() || is_null(e)) {
            return Ok(None);
        }
        let mut fixed = keys.iter().all(|f| f.fixed);
        let mut branches = vec![];
        for (when, then) in when_then_expr {
            let when = self.total(when)?;
            fixed &= when.facts.fixed;
            branches.push((Box::new(when.expr), then.clone()));
        }
        let (link, place) = (shared(&keys, |f| &f.link), shared(&keys, |f| &f.place));
        let facts = Facts { key: true, person, fixed, link, place, ..Facts::unknown() };
        let expr = Expr::Case(Case::new(None, branches, else_expr.clone()));
        Ok(Some(Total { expr, facts }))
    }

    /// Makes `expr` total. Keys may not stand inside it.
    pub(super) fn total(&self, expr: &Expr) -> Result<Total, Refusal> {
        let mut total = None;
        // The engine's walk makes room on the stack before each level, so that no depth overflows it.
        let _ = expr.apply(|e| {
            total = Some(self.total_here(e));
            Ok(TreeNodeRecursion::Stop)
        });
        total.unwrap_or_else(|| Err(refused("this expression", "write it with fewer levels")))
    }

    fn total_here(&self, expr: &Expr) -> Result<Total, Refusal> {
        match expr {
            Expr::Alias(alias) => self.total(&alias.expr),
            Expr::Column(column) => {
                let facts = self.facts_of(column)?.clone();
                match facts.owner || facts.key {
                    true => Err(refused(&column.name, KEYS)),
                    false => Ok(Total { expr: expr.clone(), facts }),
                }
            }
            Expr::Literal(value, _) => Ok(Total { expr: expr.clone(), facts: Facts::constant(value) }),
            Expr::BinaryExpr(binary) => self.binary(binary),
            Expr::Negative(inner) => {
                let data_type = self.data_type(inner)?;
                let inner = self.total(inner)?;
                if let Expr::Literal(value, _) = &inner.expr {
                    let negated = value.arithmetic_negate().ok();
                    return Ok(constant(negated, &value.data_type()));
                }
                // Numbers wrap; the least difference of times has no negative, and fails.
                if !data_type.is_integer() && !data_type.is_floating() {
                    return Err(refused("- of this type", "negate numbers; subtract times the other way round"));
                }
                let range = inner.facts.range.map(Range::negated);
                let facts = Facts { range, domain: None, stored: None, ..inner.facts };
                Ok(Total { expr: Expr::Negative(Box::new(inner.expr)), facts })
            }
            Expr::Not(inner) => self.test(inner, Expr::Not),
            Expr::IsNull(inner) => self.null_test(inner, Expr::IsNull),
            Expr::IsNotNull(inner) => self.null_test(inner, Expr::IsNotNull),
            Expr::IsTrue(inner) => self.test(inner, Expr::IsTrue),
            Expr::IsFalse(inner) => self.test(inner, Expr::IsFalse),
            Expr::IsUnknown(inner) => self.test(inner, Expr::IsUnknown),
            Expr::IsNotTrue(inner) => self.test(inner, Expr::IsNotTrue),
            Expr::IsNotFalse(inner) => self.test(inner, Expr::IsNotFalse),
            Expr::IsNotUnknown(inner) => self.test(inner, Expr::IsNotUnknown),
            Expr::Between(between) => {
                let (value, low, high) =
                    (self.total(&between.expr)?, self.total(&between.low)?, self.total(&between.high)?);
                let fixed = value.facts.fixed && low.facts.fixed && high.facts.fixed;
                let mut between = between.clone();
                (*between.expr, *between.low, *between.high) = (value.expr, low.expr, high.expr);
                Ok(boolean(Expr::Between(between), fixed))
            }
            Expr::InList(list) => self.in_list(list),
            Expr::Like(like) => self.like(like, false),
            Expr::SimilarTo(like) => self.like(like, true),
            Expr::Case(case) => self.case(case),
            Expr::Cast(cast) => {
                readable(&cast.expr, cast.field.data_type())?;
                self.cast(&cast.expr, cast.field.data_type())
            }
            Expr::TryCast(cast) => self.cast(&cast.expr, cast.field.data_type()),
            Expr::ScalarFunction(call) => self.function(call),
            Expr::InSubquery(_) | Expr::Exists(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_) => {
                Err(refused("a subquery in an expression", "join the table instead"))
            }
            Expr::Placeholder(_) => Err(refused("a parameter without a value", "bind a value to it")),
            Expr::WindowFunction(_) => {
                Err(refused("a window function", "aggregate per person in a subquery grouped by person_id"))
            }
            _ => Err(refused("this expression", "use comparisons, arithmetic, CASE and the listed functions")),
        }
    }

    pub(super) fn facts_of(&self, column: &Column) -> Result<&Facts, Refusal> {
        let index = self.schema.maybe_index_of_column(column);
        index.and_then(|i| self.facts.get(i)).ok_or_else(|| Refusal::UnknownColumn { name: column.flat_name() })
    }

    pub(super) fn data_type(&self, expr: &Expr) -> Result<DataType, Refusal> {
        expr.get_type(self.schema).map_err(|_| refused("this expression", "its types do not fit together"))
    }

    fn test(&self, inner: &Expr, build: fn(Box<Expr>) -> Expr) -> Result<Total, Refusal> {
        let inner = self.total(inner)?;
        Ok(boolean(build(Box::new(inner.expr)), inner.facts.fixed))
    }

    /// Whether a link is NULL says nothing that a count of it would not: keys pass here.
    fn null_test(&self, inner: &Expr, build: fn(Box<Expr>) -> Expr) -> Result<Total, Refusal> {
        let inner = match inner.clone().unalias_nested().data {
            Expr::Column(column) => Total { facts: self.facts_of(&column)?.clone(), expr: Expr::Column(column) },
            other => match self.chosen_key(&other)? {
                Some(key) => key,
                None => self.total(&other)?,
            },
        };
        let facts = Facts { nullable: false, fixed: inner.facts.fixed, ..Facts::boolean() };
        Ok(Total { expr: build(Box::new(inner.expr)), facts })
    }

    fn in_list(&self, list: &InList) -> Result<Total, Refusal> {
        let value = self.total(&list.expr)?;
        let mut fixed = value.facts.fixed;
        let mut members = vec![];
        for member in &list.list {
            let member = self.total(member)?;
            fixed &= member.facts.fixed;
            members.push(member.expr);
        }
        Ok(boolean(Expr::InList(InList::new(Box::new(value.expr), members, list.negated)), fixed))
    }

    fn like(&self, like: &Like, regular: bool) -> Result<Total, Refusal> {
        let value = self.total(&like.expr)?;
        let pattern = self.total(&like.pattern)?;
        if !matches!(pattern.expr, Expr::Literal(..)) {
            return Err(refused("LIKE", "give the pattern as a literal"));
        }
        if regular && !scalar_functions::pattern_compiles(&pattern.expr) {
            return Err(refused("SIMILAR TO", "this pattern is no regular expression"));
        }
        if regular {
            scalar_functions::searchable("SIMILAR TO", &value.facts)?;
        }
        let mut like = like.clone();
        (*like.expr, *like.pattern) = (value.expr, pattern.expr);
        if !regular && !scalar_functions::like_compiles(&like) {
            return Err(refused("LIKE", "give a pattern of at most 1024 bytes"));
        }
        Ok(boolean(if regular { Expr::SimilarTo(like) } else { Expr::Like(like) }, value.facts.fixed))
    }

    /// What is known of `expr` on the rows on which `condition` is true, where that says more. Facts alone: the expression
    /// itself stays total on all rows, whichever the engine evaluates it on.
    pub(super) fn where_true(&self, condition: &Expr, expr: &Expr) -> Option<Facts> {
        // Looked at twice: a CASE in it would be at every level.
        let nested = expr.exists(|e| Ok(matches!(e, Expr::Case(_)))).unwrap_or(true);
        let mut facts = self.facts.to_vec();
        narrowing::narrow(condition, self.schema, &mut facts);
        bound_by_codes(&mut facts);
        let narrowed = facts.iter().zip(self.facts).any(|(a, b)| a.range != b.range);
        if nested || !narrowed {
            return None;
        }
        Scope { schema: self.schema, facts: &facts }.item(expr).ok().map(|total| total.facts)
    }

    fn cast(&self, inner: &Expr, to: &DataType) -> Result<Total, Refusal> {
        if !castable(to) {
            return Err(refused(&format!("CAST to {to}"), "cast to numbers, texts, booleans, DATE or TIMESTAMP"));
        }
        let from = self.data_type(inner)?;
        let inner = self.total(inner)?;
        match &inner.expr {
            Expr::Literal(value, _) => return Ok(constant(value.cast_to(to).ok(), to)),
            _ if from == *to => return Ok(inner),
            _ => {}
        }
        let numeric = |t: &DataType| t.is_numeric() && !t.is_decimal();
        let days = matches!((&from, to), (DataType::Date32, DataType::Int32 | DataType::Int64))
            || matches!((&from, to), (DataType::Int32, DataType::Date32))
            || (from == MICROS && *to == DataType::Int64);
        let truth = from == DataType::Boolean && (to.is_integer() || to.is_floating());
        let widened = (from.is_integer() && *to == DataType::Float64) || days || truth;
        let range = match (&from, to) {
            // Days since 1970, microseconds since then, and the same read as times again.
            (DataType::Date32, t) if t.is_integer() => inner.facts.range.and_then(|r| fit(r, t)),
            (f, DataType::Date32) if f.is_integer() => inner.facts.range.and_then(|r| fit(r, &DataType::Int32)),
            (f, DataType::Int64) if *f == MICROS => inner.facts.range,
            (DataType::Int64, t) if *t == MICROS => inner.facts.range,
            (DataType::Boolean, _) if truth => Range::new(0.0, 1.0),
            (f, t) if numeric(f) && t.is_integer() => inner.facts.range.map(Range::to_integers).and_then(|r| fit(r, t)),
            (f, t) if numeric(f) && t.is_floating() => inner.facts.range,
            // Whatever their unit, timestamps count in microseconds here.
            (DataType::Date32, DataType::Timestamp(_, None)) => {
                inner.facts.range.and_then(|r| r.times(Range { lo: MICROS_A_DAY, hi: MICROS_A_DAY }))
            }
            (DataType::Timestamp(_, None), DataType::Timestamp(_, None)) => inner.facts.range,
            (DataType::Timestamp(_, None), DataType::Date32) => {
                inner.facts.range.and_then(|r| Range::new((r.lo / MICROS_A_DAY).floor(), (r.hi / MICROS_A_DAY).floor()))
            }
            _ => None,
        };
        let perhaps_outside = fails_outside_the_calendar(&from, to);
        let near = perhaps_outside && stays_near(inner.facts.range, inner.facts.holds, &from, to);
        let days_again = *to == DataType::Date32 && from.is_integer() && range.is_some() && inner.facts.holds;
        let domain =
            inner.facts.domain.as_ref().and_then(|values| {
                values.iter().map(|v| v.cast_to(to)).collect::<Result<Vec<_>, _>>().ok().map(Arc::from)
            });
        let facts = Facts {
            range,
            domain: domain.filter(|_| widened),
            nullable: inner.facts.nullable || !(widened || days_again || near),
            grid: match from.is_integer() || ((days || truth) && to.is_numeric()) {
                true => inner.facts.grid.or(Some(1.0)),
                false => inner.facts.grid,
            }
            .filter(|_| range.is_some()),
            text_bytes: match (is_text(&from), &from) {
                (true, _) => inner.facts.text_bytes,
                (_, DataType::Duration(_) | DataType::Interval(_)) => 4 * PLAIN_BYTES,
                _ => PLAIN_BYTES,
            },
            stored: inner.facts.stored.as_ref().and_then(|stored| stored.cast(&from, to)),
            ..inner.facts
        };
        if perhaps_outside && !near {
            return Ok(Total { expr: guarded_cast(inner.expr, to), facts });
        }
        Ok(Total { expr: Expr::TryCast(TryCast::new(Box::new(inner.expr), to.clone())), facts })
    }

    fn function(&self, call: &ScalarFunction) -> Result<Total, Refusal> {
        let mut arguments = vec![];
        for argument in &call.args {
            let data_type = self.data_type(argument)?;
            arguments.push((self.total(argument)?, data_type));
        }
        scalar_functions::total(&call.func, arguments)
    }

    /// Two keys of one row compared with each other: `a.visit_id <> b.visit_id` tells two rows of a person apart, no more.
    fn keys_compared(&self, binary: &BinaryExpr) -> Option<Total> {
        let key = |expr: &Expr| match expr {
            Expr::Column(column) => self.facts_of(column).ok().filter(|f| f.key || f.person),
            _ => None,
        };
        let (left, right) = (key(&binary.left)?, key(&binary.right)?);
        let one_kind = left.person == right.person;
        let compares = matches!(
            binary.op,
            Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
        );
        (one_kind && compares).then(|| boolean(Expr::BinaryExpr(binary.clone()), left.fixed && right.fixed))
    }

    fn binary(&self, binary: &BinaryExpr) -> Result<Total, Refusal> {
        if let Some(compared) = self.keys_compared(binary) {
            return Ok(compared);
        }
        let (left, right) = (self.total(&binary.left)?, self.total(&binary.right)?);
        let fixed = left.facts.fixed && right.facts.fixed;
        let rebuilt = |l: Expr, r: Expr| Expr::BinaryExpr(BinaryExpr::new(Box::new(l), binary.op, Box::new(r)));
        match binary.op {
            op if compares(op) => Ok(boolean(rebuilt(left.expr, right.expr), fixed)),
            Operator::StringConcat => {
                let bytes = |side: &Total, expr: &Expr| -> Result<u64, Refusal> {
                    let text = is_text(&self.data_type(expr)?);
                    Ok(if text { side.facts.text_bytes } else { PLAIN_BYTES })
                };
                let (before, after) = (bytes(&left, &binary.left)?, bytes(&right, &binary.right)?);
                let text_bytes = short_enough(before.saturating_add(after))?;
                let facts = Facts { fixed, text_bytes, ..Facts::unknown() };
                Ok(Total { expr: rebuilt(left.expr, right.expr), facts })
            }
            Operator::RegexMatch
            | Operator::RegexIMatch
            | Operator::RegexNotMatch
            | Operator::RegexNotIMatch
            | Operator::LikeMatch
            | Operator::ILikeMatch
            | Operator::NotLikeMatch
            | Operator::NotILikeMatch => {
                if !scalar_functions::pattern_compiles(&right.expr) {
                    return Err(refused(&binary.op.to_string(), "give a regular expression as a literal"));
                }
                scalar_functions::searchable(&binary.op.to_string(), &left.facts)?;
                Ok(boolean(rebuilt(left.expr, right.expr), fixed))
            }
            Operator::BitwiseAnd | Operator::BitwiseOr | Operator::BitwiseXor => {
                let nullable = left.facts.nullable || right.facts.nullable;
                let facts = Facts { fixed, nullable, ..Facts::unknown() };
                Ok(Total { expr: rebuilt(left.expr, right.expr), facts })
            }
            Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo => {
                let result = self.data_type(&Expr::BinaryExpr(binary.clone()))?;
                let left_type = self.data_type(&binary.left)?;
                let right_type = self.data_type(&binary.right)?;
                let subtract = binary.op == Operator::Minus;
                if (subtract || binary.op == Operator::Plus)
                    && let Some(known) = times::shifted(subtract, (&left, &left_type), (&right, &right_type), &result)
                {
                    let facts = Facts { fixed, ..known };
                    return Ok(Total { expr: guarded_sum(subtract, left.expr, right.expr, &result), facts });
                }
                arithmetic(binary.op, left, right, &left_type, &result, fixed)
            }
            _ => Err(refused(&binary.op.to_string(), "use comparisons, +, -, *, /, %, || and LIKE")),
        }
    }
}

/// `+ - *` wrap in the engine and so cannot fail; `/ %` are NULL on zero and for the one overflow left, the least
/// integer over -1.
fn arithmetic(
    op: Operator,
    left: Total,
    right: Total,
    left_type: &DataType,
    result: &DataType,
    fixed: bool,
) -> Result<Total, Refusal> {
    let plain = |t: &DataType| t.is_integer() || t.is_floating();
    let days = *left_type == DataType::Date32 && *result == DataType::Int64 && op == Operator::Minus;
    if !plain(result) || !(plain(left_type) || days) {
        return Err(refused(&format!("{op} on these types"), "use numbers, or DATE - DATE for days"));
    }
    let divides = matches!(op, Operator::Divide | Operator::Modulo);
    let whole = result.is_integer();
    let literal = |e: &Expr| matches!(e, Expr::Literal(v, _) if number(v).is_some_and(|n| n != 0.0 && n != -1.0));
    let left_expr = match divides && whole && !literal(&right.expr) {
        true => not_least(left.expr, result),
        false => left.expr,
    };
    let range = left.facts.range.zip(right.facts.range).and_then(|(a, b)| match op {
        Operator::Plus => a.plus(b),
        Operator::Minus => a.minus(b),
        Operator::Multiply => a.times(b),
        Operator::Divide if whole => a.over(b, 1.0).map(Range::to_integers),
        Operator::Divide => a.over(b, 0.0),
        _ => {
            let most = b.magnitude().hi;
            Range::new(if a.lo < 0.0 { -most } else { 0.0 }, most)
        }
    });
    let range = range.and_then(|r| fit(r, result));
    let (stored, apart) = match (op, &left.facts.stored, &right.facts.stored) {
        (Operator::Minus, Some(a), Some(b)) => (None, a.since(b)),
        (Operator::Minus, Some(a), None) => (right.facts.range.and_then(|by| a.moved(by.negated())), None),
        (Operator::Plus, Some(a), None) => (right.facts.range.and_then(|by| a.moved(by)), None),
        (Operator::Plus, None, Some(b)) => (left.facts.range.and_then(|by| b.moved(by)), None),
        _ => (None, None),
    };
    let (range, declared) = clamped(range, apart);
    let grid = match op {
        Operator::Plus | Operator::Minus => left.facts.grid.zip(right.facts.grid).map(|(a, b)| a.min(b)),
        _ => None,
    };
    let holds = left.facts.holds && right.facts.holds && !declared;
    // Values outside their bounds may overflow to infinities, whose differences and quotients are NaN.
    let perhaps_nan = result.is_floating() && !(holds && range.is_some());
    let nullable = left.facts.nullable || right.facts.nullable || divides || perhaps_nan;
    let right_expr = match divides && !literal(&right.expr) {
        true => datafusion::functions::core::expr_fn::nullif(right.expr, zero(result)),
        false => right.expr,
    };
    let expr = Expr::BinaryExpr(BinaryExpr::new(Box::new(left_expr), op, Box::new(right_expr)));
    let origin = if declared { Origin::Catalogue } else { Origin::Question };
    // What lies between two dates is no date.
    let calendar = left.facts.calendar != right.facts.calendar || (left.facts.calendar && op != Operator::Minus);
    let facts = Facts { fixed, nullable, range, holds, grid, stored, origin, calendar, ..Facts::unknown() };
    Ok(Total { expr, facts })
}

/// The least integer, of which neither negation nor absolute value exists, becomes NULL.
pub(super) fn not_least(expr: Expr, data_type: &DataType) -> Expr {
    let least = match data_type {
        DataType::Int8 => ScalarValue::Int8(Some(i8::MIN)),
        DataType::Int16 => ScalarValue::Int16(Some(i16::MIN)),
        DataType::Int32 => ScalarValue::Int32(Some(i32::MIN)),
        DataType::Int64 => ScalarValue::Int64(Some(i64::MIN)),
        _ => return expr,
    };
    datafusion::functions::core::expr_fn::nullif(expr, Expr::Literal(least, None))
}

fn is_null(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => value.is_null(),
        Expr::Cast(cast) => is_null(&cast.expr),
        _ => false,
    }
}

fn zero(data_type: &DataType) -> Expr {
    Expr::Literal(ScalarValue::new_zero(data_type).unwrap_or(ScalarValue::Int64(Some(0))), None)
}

/// The range, if no value of it wraps in `data_type`.
pub(super) fn fit(range: Range, data_type: &DataType) -> Option<Range> {
    let (lo, hi) = match data_type {
        DataType::Int8 => (-128.0, 127.0),
        DataType::Int16 => (-32_768.0, 32_767.0),
        DataType::Int32 => (-2_147_483_648.0, 2_147_483_647.0),
        DataType::Int64 => (-9.0e18, 9.0e18),
        DataType::UInt8 => (0.0, 255.0),
        DataType::UInt16 => (0.0, 65_535.0),
        DataType::UInt32 => (0.0, 4_294_967_295.0),
        DataType::UInt64 => (0.0, 1.8e19),
        _ => (f64::MIN, f64::MAX),
    };
    range.within(lo, hi).then_some(range)
}

const MICROS_A_DAY: f64 = 86_400_000_000.0;
const MICROS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// The facts of a value that comes from one of several expressions.
pub(super) fn union(all: &[Facts]) -> Facts {
    // A NULL branch adds no number: it only makes the value nullable.
    let mut of_values = all.iter().filter(|f| !f.absent);
    let nulls = all.iter().any(|f| f.absent);
    let only_null = || Facts { absent: !all.is_empty(), ..Facts::unknown() };
    let mut facts = of_values.next().cloned().unwrap_or_else(only_null);
    facts.owner = false;
    for next in of_values {
        facts = facts.or(next);
    }
    facts.nullable |= nulls;
    facts
}

/// A literal, or the NULL that a failing conversion gives.
fn constant(value: Option<ScalarValue>, data_type: &DataType) -> Total {
    let value = value.or_else(|| ScalarValue::try_new_null(data_type).ok()).unwrap_or(ScalarValue::Null);
    Total { facts: Facts::constant(&value), expr: Expr::Literal(value, None) }
}

/// What was written must be a value of the type that it is compared with or cast to: otherwise every row would miss it, at a
/// price. `TRY_CAST` says that NULL is meant. The text itself is not said again: refusals are written down.
fn readable(expr: &Expr, to: &DataType) -> Result<(), Refusal> {
    let Expr::Literal(value, _) = expr else { return Ok(()) };
    if value.is_null() || value.cast_to(to).is_ok_and(|read| !read.is_null()) {
        return Ok(());
    }
    let hint = match to {
        DataType::Date32 => "write a date as '2024-01-31'",
        DataType::Timestamp(..) => "write an instant as '2024-01-31 12:00:00'",
        _ => "write a value of that type, or TRY_CAST where NULL is meant",
    };
    Err(refused(&format!("a literal that is no {to}"), hint))
}

fn castable(to: &DataType) -> bool {
    let time = matches!(to, DataType::Date32 | DataType::Timestamp(_, None));
    to.is_integer() || to.is_floating() || is_text(to) || time || *to == DataType::Boolean
}

/// Texts that a question builds stay within a public bound, whatever a row holds: the rows that one person may have times
/// this is what the memory of a question must have room for.
pub(super) fn short_enough(bytes: u64) -> Result<u64, Refusal> {
    match bytes <= BUILT_BYTES_MAX {
        true => Ok(bytes),
        false => Err(Refusal::TooComplex {
            limit: format!(
                "a text has at most {BUILT_BYTES_MAX} bytes, by the lengths that are declared; shorten its parts with \
                 left(x, n), four bytes a character"
            ),
        }),
    }
}

/// The most bytes of a text that a question builds.
pub const BUILT_BYTES_MAX: u64 = 4096;

/// Whether TRY_CAST between these types fails on some values in place of giving NULL. Numbers are days or units of a time
/// as they stand.
fn fails_outside_the_calendar(from: &DataType, to: &DataType) -> bool {
    let plain = |t: &DataType| t.is_integer() || t.is_floating();
    (from.is_temporal() || to.is_temporal()) && from != to && !plain(from) && !plain(to)
}

/// Whether every value is a time within some centuries of 1970: 547 years to both sides, or as far as nanoseconds go.
fn stays_near(range: Option<Range>, holds: bool, from: &DataType, to: &DataType) -> bool {
    let fine = |t: &DataType| matches!(t, DataType::Timestamp(TimeUnit::Nanosecond, _));
    let days = if fine(from) || fine(to) { 100_000.0 } else { 200_000.0 };
    let most = match from {
        DataType::Date32 => days,
        DataType::Timestamp(_, None) => days * MICROS_A_DAY,
        _ => return false,
    };
    holds && range.is_some_and(|r| r.within(-most, most))
}

pub(super) fn boolean(expr: Expr, fixed: bool) -> Total {
    Total { expr, facts: Facts { fixed, ..Facts::boolean() } }
}

/// Whether an operator compares or joins truths: it gives one for any two values of its types, and fails on none.
pub(super) fn compares(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::And
            | Operator::Or
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

pub(super) fn refused(name: &str, hint: &str) -> Refusal {
    Refusal::FunctionNotAllowed { name: name.to_owned(), hint: hint.to_owned() }
}
