//! What does a subquery inside an expression say of one row?
//!
//! Each becomes hidden columns of the step around it, joined on person by person; the expression then reads those
//! columns. EXISTS and IN become a mark (is there a row of the same person that meets the conditions?), a scalar
//! subquery an aggregate per person. No row is added or lost, so the invariant stays. The engine never sees a subquery
//! over persons' rows: its own way of NOT IN keeps one flag for all of them.

use std::sync::Arc;

use datafusion::{
    common::{
        Column, DataFusionError, ExprSchema, JoinConstraint, JoinType, NullEquality, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    functions::core::expr_fn::coalesce,
    logical_expr::{
        Aggregate, Case, Distinct, Expr, ExprFunctionExt, Join, LogicalPlan, Operator, Projection, Subquery,
        SubqueryAlias, expr::SetQuantifier, lit, utils::split_conjunction,
    },
};

use super::{
    correlated::{Terms, existing, inward, members, outward, peel, renamed_columns, speaks_outward},
    cut,
    expression::{Scope, refused},
    facts::Facts,
    joins::{keyed, lone_side, of_one_dataset},
    per_person,
    typing::{Owned, Typed, Walk, built, columns, mixed},
};
use crate::{sql::vocabulary, terms::Refusal};

fn subquery(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery) => Some(subquery),
        Expr::Exists(exists) => Some(&exists.subquery),
        Expr::InSubquery(within) => Some(&within.subquery),
        Expr::SetComparison(any) => Some(&any.subquery),
        _ => None,
    }
}

/// Whether a subquery stands in `expr`.
pub(super) fn any(expr: &Expr) -> bool {
    expr.exists(|e| Ok(subquery(e).is_some())).unwrap_or(true)
}

/// The columns of the step around that subqueries of `expr` speak of.
pub(super) fn outer_columns(expr: &Expr) -> Vec<&Column> {
    let mut found = vec![];
    let _ = expr.apply(|e| {
        for outer in subquery(e).iter().flat_map(|s| &s.outer_ref_columns) {
            if let Expr::OuterReferenceColumn(_, column) = outer {
                found.push(column);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// `expr` with the plan of each subquery replaced.
pub(super) fn replaced(
    expr: Expr,
    replace: &mut dyn FnMut(&LogicalPlan) -> Result<LogicalPlan, Refusal>,
) -> Result<Expr, Refusal> {
    let mut refusal = None;
    let done = expr.transform_down(|mut e| {
        let inner = match &mut e {
            Expr::ScalarSubquery(subquery) => subquery,
            Expr::Exists(exists) => &mut exists.subquery,
            Expr::InSubquery(within) => &mut within.subquery,
            Expr::SetComparison(any) => &mut any.subquery,
            _ => return Ok(Transformed::no(e)),
        };
        match replace(&inner.subquery) {
            Ok(plan) => inner.subquery = Arc::new(plan),
            Err(refused) => {
                refusal = Some(refused);
                return Err(DataFusionError::Internal(String::new()));
            }
        }
        Ok(Transformed::yes(e))
    });
    match refusal {
        Some(refusal) => Err(refusal),
        None => built(done).map(|done| done.data),
    }
}

/// `exprs` over `owned` without subqueries: over the same step with hidden columns more.
pub(super) fn resolve(walk: &mut Walk<'_>, owned: Owned, exprs: &[Expr]) -> Result<(Owned, Vec<Expr>), Refusal> {
    let mut owned = owned;
    let mut resolved = vec![];
    for expr in exprs {
        let expr = owned.resolved(expr);
        match any(&expr) {
            true => {
                let (wider, expr) = one(walk, owned, expr, false)?;
                owned = wider;
                resolved.push(expr);
            }
            false => resolved.push(expr),
        }
    }
    Ok((owned, resolved))
}

/// The same for the condition of a filter, where NULL is as good as FALSE.
pub(super) fn resolve_filter(walk: &mut Walk<'_>, owned: Owned, predicate: &Expr) -> Result<(Owned, Expr), Refusal> {
    let predicate = owned.resolved(predicate);
    if !any(&predicate) {
        return Ok((owned, predicate));
    }
    let mut owned = owned;
    let mut terms = vec![];
    for term in split_conjunction(&predicate) {
        let (wider, term) = one(walk, owned, term.clone(), true)?;
        owned = wider;
        terms.push(term);
    }
    let all = terms.into_iter().reduce(Expr::and).ok_or_else(|| refused("this WHERE", "write a condition"))?;
    Ok((owned, all))
}

fn one(walk: &mut Walk<'_>, owned: Owned, expr: Expr, filtering: bool) -> Result<(Owned, Expr), Refusal> {
    let whole = expr.clone();
    let mut held = Some(owned);
    let mut refusal = None;
    let done = expr.transform_down(|e| {
        if subquery(&e).is_none() {
            return Ok(Transformed::no(e));
        }
        let owned = held.take().ok_or_else(|| DataFusionError::Internal(String::new()))?;
        match hidden(walk, owned, &e, filtering && e == whole) {
            Ok((owned, expr)) => {
                held = Some(owned);
                Ok(Transformed::new(expr, true, TreeNodeRecursion::Jump))
            }
            Err(refused) => {
                refusal = Some(refused);
                Err(DataFusionError::Internal(String::new()))
            }
        }
    });
    match (done, held, refusal) {
        (_, _, Some(refusal)) => Err(refusal),
        (Ok(done), Some(owned), None) => Ok((owned, done.data)),
        _ => Err(refused("a subquery in an expression", "join the table instead")),
    }
}

/// One subquery: the step with its hidden columns, and what stands for it.
fn hidden(walk: &mut Walk<'_>, owned: Owned, expr: &Expr, filtering: bool) -> Result<(Owned, Expr), Refusal> {
    match expr {
        Expr::Exists(exists) => {
            let side = Side::of(walk, existing(&exists.subquery.subquery))?;
            let (owned, mark) = side.mark(walk, owned, None)?;
            Ok((owned, if exists.negated { Expr::Not(Box::new(mark)) } else { mark }))
        }
        Expr::InSubquery(within) => {
            let (owned, found) = is_in(walk, owned, &within.expr, &within.subquery, filtering && !within.negated)?;
            Ok((owned, if within.negated { Expr::Not(Box::new(found)) } else { found }))
        }
        Expr::SetComparison(any) => match (any.op, any.quantifier) {
            (Operator::Eq, SetQuantifier::Any) => is_in(walk, owned, &any.expr, &any.subquery, filtering),
            (Operator::NotEq, SetQuantifier::All) => {
                let (owned, found) = is_in(walk, owned, &any.expr, &any.subquery, false)?;
                Ok((owned, Expr::Not(Box::new(found))))
            }
            _ => Err(refused("ANY and ALL", "use IN, EXISTS, or compare with MIN or MAX of the subquery")),
        },
        Expr::ScalarSubquery(subquery) => match speaks_outward(&subquery.subquery) {
            true => correlated_scalar(walk, owned, &subquery.subquery),
            false => lone_scalar(walk, owned, &subquery.subquery),
        },
        _ => Err(refused("this subquery", "use EXISTS, IN or an aggregate")),
    }
}

/// What a subquery without its outward conditions is.
#[derive(Clone)]
struct Side {
    typed: Typed,
    terms: Terms,
    /// Its columns before it was typed: what stands in SELECT.
    shown: Vec<Column>,
}

impl Side {
    fn of(walk: &mut Walk<'_>, plan: &LogicalPlan) -> Result<Self, Refusal> {
        let peeled = peel(walk, plan)?;
        let shown = peeled.plan.schema().columns();
        let typed = walk.node(&peeled.plan)?;
        if peeled.terms.iter().any(any) {
            return Err(refused("a subquery inside a correlated condition", "join it in the subquery's FROM"));
        }
        Ok(Self { typed, terms: Terms::of(peeled.terms), shown })
    }

    /// A hidden column that says whether a row exists; `compared` is one equality more.
    fn mark(self, walk: &mut Walk<'_>, owned: Owned, compared: Option<(Expr, Expr)>) -> Result<(Owned, Expr), Refusal> {
        let Terms { mut pairs, rest } = self.terms;
        pairs.extend(compared);
        match self.typed {
            Typed::Owned(inner) => mark_of_person(walk, owned, inner, pairs, rest),
            Typed::Public(plan) | Typed::Reference(plan) | Typed::Released(plan) => {
                mark_of_public(walk, owned, plan, pairs, rest)
            }
        }
    }
}

/// `x IN (SELECT y ...)` with the three values of SQL; where `filtering`, NULL may come out as FALSE.
fn is_in(
    walk: &mut Walk<'_>,
    owned: Owned,
    compared: &Expr,
    within: &Subquery,
    filtering: bool,
) -> Result<(Owned, Expr), Refusal> {
    if any(compared) {
        return Err(refused("a subquery before IN", "join it instead"));
    }
    let side = Side::of(walk, members(&within.subquery))?;
    let member = side.shown.first().cloned().ok_or_else(|| refused("IN", "select one column"))?;
    let pair = (compared.clone(), Expr::Column(member.clone()));
    let x_nullable = owned.scope().item(compared)?.facts.nullable;
    let y_nullable = match &side.typed {
        Typed::Owned(inner) => inner.scope().facts_of(&member)?.nullable,
        Typed::Public(p) | Typed::Reference(p) | Typed::Released(p) => {
            p.schema().field_from_column(&member).map_or(true, |f| f.is_nullable())
        }
    };
    if filtering || !(x_nullable || y_nullable) {
        return side.mark(walk, owned, Some(pair));
    }
    let again = side.clone();
    let (owned, found) = side.mark(walk, owned, Some(pair))?;
    let (owned, unknown) = match (&again.typed, again.terms.is_empty()) {
        (Typed::Owned(_), _) => {
            let mut again = again;
            let unequal = outward(compared, owned.plan.schema()).eq(Expr::Column(member));
            again.terms.rest.push(unequal.is_null());
            again.mark(walk, owned, None)?
        }
        (_, true) => unknown_among_public(walk, owned, compared, again, &member)?,
        (_, false) => return Err(refused("NOT IN with a correlated subquery", "write NOT EXISTS")),
    };
    let truth = |value| Box::new(Expr::Literal(ScalarValue::Boolean(value), None));
    let cases = vec![(Box::new(found), truth(Some(true))), (Box::new(unknown), truth(None))];
    Ok((owned, Expr::Case(Case::new(None, cases, Some(truth(Some(false)))))))
}

/// Whether `x IN (public values)` is NULL where nothing is found: a NULL among them, or x is NULL and there are some.
fn unknown_among_public(
    walk: &mut Walk<'_>,
    owned: Owned,
    compared: &Expr,
    side: Side,
    member: &Column,
) -> Result<(Owned, Expr), Refusal> {
    let plan = match side.typed {
        Typed::Public(plan) | Typed::Reference(plan) | Typed::Released(plan) => plan,
        Typed::Owned(_) => return Err(mixed("compare person_id, or correlate by it")),
    };
    let count = vocabulary().aggregate("count").ok_or_else(|| refused("COUNT", "it is missing"))?;
    let counts =
        vec![count.call(vec![lit(1_i64)]).alias("all"), count.call(vec![Expr::Column(member.clone())]).alias("known")];
    let plan = LogicalPlan::Aggregate(built(Aggregate::try_new(Arc::new(plan), vec![], counts))?);
    let (owned, values) = with_one_row(walk, owned, plan)?;
    let [all, known] = values.as_slice() else { return Err(refused("IN", "select one column")) };
    let unknown = owned.scope().item(compared)?.expr.is_null().and(all.clone().gt(lit(0_i64)));
    Ok((owned, all.clone().gt(known.clone()).or(unknown)))
}

/// Joins the one row of a public step to every row; returns its columns.
fn with_one_row(walk: &mut Walk<'_>, owned: Owned, plan: LogicalPlan) -> Result<(Owned, Vec<Expr>), Refusal> {
    let input = walk.public_input(plan)?;
    let mut items = columns(&owned.plan);
    let (mut facts, mut values) = (owned.facts, vec![]);
    for column in columns(&input) {
        let name = walk.fresh("value");
        items.push(column.alias(name.clone()));
        values.push(Expr::Column(Column::from_name(name)));
        // One value for all: it is fixed for each person.
        facts.push(Facts { fixed: true, ..Facts::unknown() });
    }
    let alike = NullEquality::NullEqualsNothing;
    let joined = Join::try_new(
        Arc::new(owned.plan),
        Arc::new(input),
        vec![],
        None,
        JoinType::Inner,
        JoinConstraint::On,
        alike,
        false,
    );
    let plan = Projection::try_new(items, Arc::new(LogicalPlan::Join(built(joined)?)));
    Ok((Owned { plan: LogicalPlan::Projection(built(plan)?), facts, ..owned }, values))
}

/// Rows of the same person: the owner keys are equated, or a declared link and then the owner keys besides.
fn mark_of_person(
    walk: &mut Walk<'_>,
    owned: Owned,
    inner: Owned,
    pairs: Vec<(Expr, Expr)>,
    rest: Vec<Expr>,
) -> Result<(Owned, Expr), Refusal> {
    of_one_dataset(&owned, &inner)?;
    let on = keyed(&owned, &inner, &pairs, "a subquery over persons compares person_id, or is correlated by it")?;
    let product = owned.rows_max.saturating_mul(inner.rows_max);
    let owned = match !rest.is_empty() && product > walk.bounds.work_rows_max {
        true => cut::before_join(walk, owned, &inner, JoinType::Left)?,
        false => owned,
    };
    let mut right = Right::new(walk);
    let on: Vec<(Expr, Expr)> = on
        .into_iter()
        .map(|(l, r)| {
            let facts = inner.scope().item(&r)?.facts;
            Ok((l, right.column(r, facts)))
        })
        .collect::<Result<_, Refusal>>()?;
    let rest = right.conditions(rest, |column| Ok(inner.scope().facts_of(column)?.clone()))?;
    // Without other conditions one row of each kind tells all: nothing multiplies.
    let plan = right.plan(inner.plan, rest.is_empty())?;
    right.mark(walk, owned, plan, on, rest)
}

/// Rows about nobody, the same for all.
fn mark_of_public(
    walk: &mut Walk<'_>,
    owned: Owned,
    plan: LogicalPlan,
    pairs: Vec<(Expr, Expr)>,
    rest: Vec<Expr>,
) -> Result<(Owned, Expr), Refusal> {
    let rows = cut::rows(&plan).unwrap_or(u64::MAX);
    let mut right = Right::new(walk);
    let mut on = vec![];
    for (l, r) in pairs {
        on.push((lone_side(&owned, &l)?, right.column(r, Facts::unknown())));
    }
    let rest = right.conditions(rest, |_| Ok(Facts::unknown()))?;
    let plan = walk.public_input(right.items(plan, rest.is_empty())?)?;
    let plan = right.named(plan)?;
    let many = !rest.is_empty() && owned.rows_max.saturating_mul(rows) > walk.bounds.work_rows_max;
    let owned = match many {
        true => cut::before_public_join(walk, owned, &plan, &on, true)?,
        false => owned,
    };
    right.mark(walk, owned, plan, on, rest)
}

/// The inner side of a mark: its columns under names of their own.
struct Right {
    alias: String,
    columns: Vec<(Expr, Facts)>,
}

impl Right {
    fn new(walk: &mut Walk<'_>) -> Self {
        Self { alias: walk.fresh("inside"), columns: vec![] }
    }

    fn column(&mut self, expr: Expr, facts: Facts) -> Expr {
        let place = self.columns.iter().position(|(known, _)| *known == expr).unwrap_or_else(|| {
            self.columns.push((expr, facts));
            self.columns.len() - 1
        });
        Expr::Column(self.at(place))
    }

    fn at(&self, place: usize) -> Column {
        Column::new(Some(self.alias.clone()), format!("c{place}"))
    }

    /// The conditions over both sides, as the join writes them.
    fn conditions(
        &mut self,
        terms: Vec<Expr>,
        facts: impl Fn(&Column) -> Result<Facts, Refusal>,
    ) -> Result<Vec<Expr>, Refusal> {
        let mut conditions = vec![];
        for term in terms {
            let mut names = vec![];
            let mut inner: Vec<Column> = term.column_refs().into_iter().cloned().collect();
            // A set's order is not that of the text: fixed here, so that equal questions make equal plans.
            inner.sort();
            for column in inner {
                let facts = facts(&column)?;
                let Expr::Column(to) = self.column(Expr::Column(column.clone()), facts) else { continue };
                names.push((column, to));
            }
            conditions.push(inward(renamed_columns(term, &names)));
        }
        Ok(conditions)
    }

    fn items(&self, plan: LogicalPlan, distinct: bool) -> Result<LogicalPlan, Refusal> {
        let mut items: Vec<Expr> =
            self.columns.iter().enumerate().map(|(i, (expr, _))| expr.clone().alias(format!("c{i}"))).collect();
        if items.is_empty() {
            items.push(lit(1_i64).alias("c0"));
        }
        let plan = LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(plan)))?);
        Ok(if distinct { LogicalPlan::Distinct(Distinct::All(Arc::new(plan))) } else { plan })
    }

    fn named(&self, plan: LogicalPlan) -> Result<LogicalPlan, Refusal> {
        built(SubqueryAlias::try_new(Arc::new(plan), self.alias.clone())).map(LogicalPlan::SubqueryAlias)
    }

    fn plan(&self, plan: LogicalPlan, distinct: bool) -> Result<LogicalPlan, Refusal> {
        self.named(self.items(plan, distinct)?)
    }

    fn mark(
        self,
        walk: &mut Walk<'_>,
        owned: Owned,
        plan: LogicalPlan,
        on: Vec<(Expr, Expr)>,
        rest: Vec<Expr>,
    ) -> Result<(Owned, Expr), Refusal> {
        let schema = built(owned.plan.schema().join(plan.schema()))?;
        let mut facts = owned.facts.clone();
        facts.extend(self.columns.into_iter().map(|(_, facts)| facts));
        facts.resize_with(schema.fields().len(), Facts::unknown);
        let scope = Scope { schema: &schema, facts: &facts };
        let all = rest.into_iter().reduce(Expr::and).map(|rest| scope.total(&rest)).transpose()?.map(|t| t.expr);
        // The mark is one for all rows of a person where all that it reads of the outer row is.
        let outer = on.iter().map(|(l, _)| l).chain(&all).flat_map(Expr::column_refs);
        let own = owned.plan.schema();
        let fixed =
            outer.filter_map(|c| own.maybe_index_of_column(c)).all(|i| owned.facts.get(i).is_some_and(|f| f.fixed));
        let mut items = columns(&owned.plan);
        let alike = NullEquality::NullEqualsNothing;
        let kind = JoinType::LeftMark;
        let joined = built(Join::try_new(
            Arc::new(owned.plan),
            Arc::new(plan),
            on,
            all,
            kind,
            JoinConstraint::On,
            alike,
            false,
        ))?;
        let name = walk.fresh("mark");
        let mark = joined.schema.iter().last().map(|field| Expr::Column(Column::from(field)));
        items.push(mark.ok_or_else(|| mixed("join the table instead"))?.alias(name.clone()));
        let mut facts = owned.facts;
        facts.push(Facts { nullable: false, fixed, ..Facts::boolean() });
        let plan = LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(LogicalPlan::Join(joined))))?);
        Ok((Owned { plan, facts, ..owned }, Expr::Column(Column::from_name(name))))
    }
}

/// A scalar subquery that reads nothing of the outer row: one public value. Where plain SQL would fail for finding
/// several, it is NULL.
fn lone_scalar(walk: &mut Walk<'_>, owned: Owned, plan: &LogicalPlan) -> Result<(Owned, Expr), Refusal> {
    let plan = match walk.node(plan)? {
        Typed::Public(plan) | Typed::Reference(plan) | Typed::Released(plan) => plan,
        Typed::Owned(_) => return Err(refused("a subquery that yields persons' rows", "aggregate in it")),
    };
    let value = columns(&plan).into_iter().next().ok_or_else(|| refused("a subquery", "select one column"))?;
    let function = |name| vocabulary().aggregate(name).ok_or_else(|| refused(name, "it is missing"));
    let of = vec![
        function("min")?.call(vec![value]).alias("value"),
        function("count")?.call(vec![lit(1_i64)]).alias("rows"),
    ];
    let plan = LogicalPlan::Aggregate(built(Aggregate::try_new(Arc::new(plan), vec![], of))?);
    let (owned, values) = with_one_row(walk, owned, plan)?;
    let [value, rows] = values.as_slice() else { return Err(refused("a subquery", "select one column")) };
    let single = vec![(Box::new(rows.clone().eq(lit(1_i64))), Box::new(value.clone()))];
    Ok((owned, Expr::Case(Case::new(None, single, None))))
}

/// An aggregate over rows that are correlated with the outer row by equalities: the aggregate per key, joined on.
fn correlated_scalar(walk: &mut Walk<'_>, owned: Owned, plan: &LogicalPlan) -> Result<(Owned, Expr), Refusal> {
    let form = || {
        refused(
            "this correlated subquery",
            "select one aggregate in it, without GROUP BY or HAVING, or ORDER BY ... LIMIT 1",
        )
    };
    let first = first_row(plan)?;
    let (item, aggregate) = match first.as_ref().unwrap_or(plan) {
        LogicalPlan::Projection(projection) => match (projection.input.as_ref(), projection.expr.as_slice()) {
            (LogicalPlan::Aggregate(aggregate), [item]) => (item.clone(), aggregate),
            _ => return Err(form()),
        },
        plan @ LogicalPlan::Aggregate(aggregate) => (columns(plan).into_iter().next().ok_or_else(form)?, aggregate),
        _ => return Err(form()),
    };
    if !aggregate.group_expr.is_empty() || any(&item) || aggregate.aggr_expr.iter().any(any) {
        return Err(form());
    }
    let peeled = peel(walk, &aggregate.input)?;
    let Terms { pairs, rest } = Terms::of(peeled.terms);
    if !rest.is_empty() {
        return Err(refused("this correlated subquery", "correlate with = alone, or join and aggregate per person"));
    }
    match walk.node(&peeled.plan)? {
        Typed::Owned(inner) => scalar_of_person(walk, owned, inner, pairs, &item, aggregate),
        Typed::Public(plan) | Typed::Reference(plan) => scalar_of_public(walk, owned, plan, pairs, &item, aggregate),
        Typed::Released(_) => Err(mixed("released values and persons' rows in one subquery")),
    }
}

/// `SELECT x FROM ... ORDER BY y LIMIT 1` as what it means: FIRST_VALUE(x ORDER BY y), NULL over no rows.
fn first_row(plan: &LogicalPlan) -> Result<Option<LogicalPlan>, Refusal> {
    let LogicalPlan::Limit(limit) = plan else { return Ok(None) };
    let one = matches!(limit.fetch.as_deref(), Some(Expr::Literal(ScalarValue::Int64(Some(1)), _)));
    if !one || limit.skip.is_some() {
        return Ok(None);
    }
    let (outer, sorted) = match limit.input.as_ref() {
        LogicalPlan::Projection(projection) => (Some(projection), projection.input.as_ref()),
        other => (None, other),
    };
    let LogicalPlan::Sort(sort) = sorted else { return Ok(None) };
    let value = match outer {
        Some(projection) => projection.expr.first().cloned(),
        None => columns(sorted).into_iter().next(),
    };
    let value = value.ok_or_else(|| refused("this correlated subquery", "select one column"))?;
    let function = vocabulary().aggregate("first_value").ok_or_else(|| refused("LIMIT", "use MIN or MAX"))?;
    let call = function.call(vec![value.unalias_nested().data]).order_by(sort.expr.clone());
    let call = built(call.build())?;
    let aggregate = built(Aggregate::try_new(Arc::clone(&sort.input), vec![], vec![call]))?;
    Ok(Some(LogicalPlan::Aggregate(aggregate)))
}

fn scalar_of_person(
    walk: &mut Walk<'_>,
    owned: Owned,
    inner: Owned,
    pairs: Vec<(Expr, Expr)>,
    item: &Expr,
    aggregate: &Aggregate,
) -> Result<(Owned, Expr), Refusal> {
    of_one_dataset(&owned, &inner)?;
    let mut on = keyed(&owned, &inner, &pairs, "a subquery over persons is correlated by person_id")?;
    if !on.iter().any(|(_, r)| inner.is_owner(r)) {
        let owners = owned.owner_key().zip(inner.owner_key());
        on.push(owners.ok_or_else(|| mixed("select person_id in the subquery"))?);
    }
    let mut groups: Vec<Expr> = vec![];
    for (_, r) in &on {
        if !groups.contains(r) {
            groups.push(r.clone());
        }
    }
    let whole = built(Aggregate::try_new(Arc::new(inner.plan.clone()), groups.clone(), aggregate.aggr_expr.clone()))?;
    let by_owner = groups.len() == 1;
    let per_person = per_person::aggregate(walk, &whole, inner)?;
    let place = |expr: &Expr| groups.iter().position(|g| g == expr);
    let on = on.iter().map(|(l, r)| Some((l.clone(), place(r)?))).collect::<Option<Vec<_>>>();
    let on = on.ok_or_else(|| mixed("correlate by person_id"))?;
    let facts = per_person.facts.iter().skip(groups.len()).cloned().map(|f| f.outer(by_owner)).collect();
    joined_scalar(walk, owned, per_person.plan, on, facts, item, aggregate)
}

fn scalar_of_public(
    walk: &mut Walk<'_>,
    owned: Owned,
    plan: LogicalPlan,
    pairs: Vec<(Expr, Expr)>,
    item: &Expr,
    aggregate: &Aggregate,
) -> Result<(Owned, Expr), Refusal> {
    let (mut groups, mut on): (Vec<Expr>, Vec<(Expr, usize)>) = (vec![], vec![]);
    for (l, r) in pairs {
        let place = groups.iter().position(|g| *g == r).unwrap_or_else(|| {
            groups.push(r);
            groups.len() - 1
        });
        on.push((lone_side(&owned, &l)?, place));
    }
    let whole = Aggregate::try_new(Arc::new(plan), groups, aggregate.aggr_expr.clone());
    let plan = walk.public_input(LogicalPlan::Aggregate(built(whole)?))?;
    let facts = aggregate.aggr_expr.iter().map(|_| Facts::unknown()).collect();
    joined_scalar(walk, owned, plan, on, facts, item, aggregate)
}

/// Left join with `plan`, whose first columns are keys that stand at most once in it and whose others are aggregates.
/// Where no row is found COUNT is 0 and every other aggregate NULL, as over an empty set.
fn joined_scalar(
    walk: &mut Walk<'_>,
    owned: Owned,
    plan: LogicalPlan,
    on: Vec<(Expr, usize)>,
    facts: Vec<Facts>,
    item: &Expr,
    aggregate: &Aggregate,
) -> Result<(Owned, Expr), Refusal> {
    let right = Right::new(walk);
    let items: Vec<Expr> =
        columns(&plan).into_iter().enumerate().map(|(i, column)| column.alias(format!("c{i}"))).collect();
    let keys = items.len().saturating_sub(facts.len());
    let plan = right.named(LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(plan)))?))?;
    let on = on.into_iter().map(|(l, place)| (l, Expr::Column(right.at(place)))).collect();
    let mut items = columns(&owned.plan);
    let (mut all_facts, mut names) = (owned.facts, vec![]);
    for (index, facts) in facts.into_iter().enumerate() {
        let name = walk.fresh("value");
        items.push(Expr::Column(right.at(keys + index)).alias(name.clone()));
        names.push(Expr::Column(Column::from_name(name)));
        all_facts.push(Facts { person: false, link: None, ..facts });
    }
    let alike = NullEquality::NullEqualsNothing;
    let kind = JoinType::Left;
    let joined =
        built(Join::try_new(Arc::new(owned.plan), Arc::new(plan), on, None, kind, JoinConstraint::On, alike, false))?;
    let plan = LogicalPlan::Projection(built(Projection::try_new(items, Arc::new(LogicalPlan::Join(joined))))?);
    let value = item.clone().unalias_nested().data.transform_up(|e| {
        let Expr::Column(column) = &e else { return Ok(Transformed::no(e)) };
        let place = aggregate.schema.maybe_index_of_column(column);
        let Some(value) = place.and_then(|i| names.get(i)) else { return Ok(Transformed::no(e)) };
        let counts = place.and_then(|i| aggregate.aggr_expr.get(i)).is_some_and(is_count);
        Ok(Transformed::yes(if counts { coalesce(vec![value.clone(), lit(0_i64)]) } else { value.clone() }))
    });
    let value = built(value)?.data;
    Ok((Owned { plan, facts: all_facts, ..owned }, value))
}

fn is_count(expr: &Expr) -> bool {
    match expr.clone().unalias_nested().data {
        Expr::AggregateFunction(call) => call.func.name() == "count",
        _ => false,
    }
}
