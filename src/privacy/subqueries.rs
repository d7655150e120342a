//! What does a subquery inside an expression say of one row?
//!
//! Each becomes hidden columns of the step around it, joined on person by person; the expression then reads those
//! columns. EXISTS and IN become a mark (is there a row of the same person that meets the conditions?), a scalar
//! subquery an aggregate per person. No row is added or lost, so the invariant stays. The engine never sees a subquery
//! over persons' rows: its own way of NOT IN keeps one flag for all of them.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column, DataFusionError, ExprSchema, JoinConstraint, JoinType, NullEquality, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        Aggregate, BinaryExpr, Case, Distinct, Expr, Join, LogicalPlan, Operator, Projection, Subquery, SubqueryAlias,
        expr::SetQuantifier, lit, utils::split_conjunction,
    },
};

use super::{
    correlated::{Terms, existing, inward, members, outward, peel, renamed_columns, speaks_outward},
    cut::{self, Before},
    expression::{Scope, refused},
    facts::Facts,
    joins::{keyed, lone_side, of_one_dataset},
    listed, references, scalar_subqueries,
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

/// Whether something must be the very day, instant or fraction that an aggregate of all persons is released as.
fn equals_released(predicate: &Expr) -> bool {
    let fine = |data_type: &DataType| data_type.is_floating() || data_type.is_temporal();
    let released = |expr: &Expr| match bare(expr) {
        Expr::ScalarSubquery(inner) => {
            let plan = &inner.subquery;
            let shown = plan.schema().fields().first();
            shown.is_some_and(|field| fine(field.data_type())) && !speaks_outward(plan) && listed::about_persons(plan)
        }
        _ => false,
    };
    let found = predicate.exists(|expr| match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq | Operator::NotEq, right }) => {
            Ok(released(left) || released(right))
        }
        _ => Ok(false),
    });
    found.unwrap_or(true)
}

/// `expr` without its casts.
fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(cast) => bare(&cast.expr),
        other => other,
    }
}

fn one(walk: &mut Walk<'_>, owned: Owned, expr: Expr, filtering: bool) -> Result<(Owned, Expr), Refusal> {
    if equals_released(&expr) {
        return Err(refused(
            "= with a noised time or fraction",
            "it meets nobody's value: compare with >= or <=, or write the value down",
        ));
    }
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
            true => scalar_subqueries::correlated(walk, owned, &subquery.subquery),
            false => scalar_subqueries::lone(walk, owned, &subquery.subquery),
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
        // A row's own link is NULL, or among what it leads to. Whether there is any would be the same for all who have none.
        (Typed::Reference(_), _) => {
            let unknown = owned.scope().item(compared)?.expr.is_null();
            (owned, unknown)
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
pub(super) fn with_one_row(
    walk: &mut Walk<'_>,
    owned: Owned,
    plan: LogicalPlan,
) -> Result<(Owned, Vec<Expr>), Refusal> {
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
    inner.in_memory()?;
    let on = keyed(&owned, &inner, &pairs, "a subquery over persons compares person_id, or is correlated by it")?;
    let product = owned.rows_max.saturating_mul(inner.rows_max);
    let owned = match !rest.is_empty() && product > walk.bounds.work_rows_max {
        true => {
            let nulls = NullEquality::NullEqualsNothing;
            cut::before(walk, owned, &inner.plan, Before { on: &on, nulls, unmatched_stay: true })?
        }
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
    references::linked(&owned, &plan, &pairs)?;
    let rows = cut::rows(&plan, &walk.releases).unwrap_or(u64::MAX);
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
        true => {
            let nulls = NullEquality::NullEqualsNothing;
            cut::before(walk, owned, &plan, Before { on: &on, nulls, unmatched_stay: true })?
        }
        false => owned,
    };
    right.mark(walk, owned, plan, on, rest)
}

/// The inner side of a mark: its columns under names of their own.
pub(super) struct Right {
    alias: String,
    columns: Vec<(Expr, Facts)>,
}

impl Right {
    pub(super) fn new(walk: &mut Walk<'_>) -> Self {
        Self { alias: walk.fresh("inside"), columns: vec![] }
    }

    fn column(&mut self, expr: Expr, facts: Facts) -> Expr {
        let place = self.columns.iter().position(|(known, _)| *known == expr).unwrap_or_else(|| {
            self.columns.push((expr, facts));
            self.columns.len() - 1
        });
        Expr::Column(self.at(place))
    }

    pub(super) fn at(&self, place: usize) -> Column {
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

    pub(super) fn named(&self, plan: LogicalPlan) -> Result<LogicalPlan, Refusal> {
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
