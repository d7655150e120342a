//! What may be done with a table that is known from the records alone, before it meets persons' rows?
//!
//! Its rows are about no person, but which of them there are may follow from one. So nothing that could fail on a row is
//! computed there: it is renamed, filtered by comparisons and joined. Once joined to persons, its columns are theirs, and
//! whatever is computed with them is total. And rows of persons meet those rows of it alone to which their own links lead, and
//! these the rows to which theirs lead: what else is in it would be told by all persons at once.

use datafusion::{
    arrow::datatypes::DataType,
    common::{Column, DFSchema, JoinType, NullEquality, TableReference},
    logical_expr::{
        Cast, Expr, ExprSchemable, Join, LogicalPlan, TableScan, TryCast,
        expr::{AggregateFunctionParams, Alias},
    },
};

use super::{
    expression::compares,
    facts::{self, is_text},
    typing::{Owned, mixed},
};
use crate::{
    catalog,
    sql::{Standing, catalogued},
    terms::Refusal,
};

/// Whether `step`, over such tables, cannot fail.
///
/// # Errors
/// [`Refusal::PersonsMixed`] says what can be done instead.
pub(super) fn harmless(step: &LogicalPlan, expressions: &[Expr]) -> Result<(), Refusal> {
    let kind = matches!(
        step,
        LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Join(_)
            | LogicalPlan::Distinct(_)
            | LogicalPlan::Sort(_)
    );
    match kind && expressions.iter().all(|expr| plain(expr, step)) {
        true => Ok(()),
        false => Err(mixed(
            "reference tables are renamed, filtered by comparisons and joined; compute after the join to persons",
        )),
    }
}

/// What a column of a step over such tables says of their rows. Names are of schema and table.
#[derive(Debug, Clone, PartialEq)]
enum Says {
    /// Which row of that table it is that this row tells of, never NULL. All else in it, and that it is there, follows from
    /// that row and the rows to which its links lead, from public tables, and from nothing else.
    Names(TableReference),
    /// A row of that table to which the links of this row lead.
    Leads(TableReference),
    /// Something else.
    Else,
}

/// Whether nothing that `plan`, evaluated beside persons' rows, does with such a table can fail or tells of rows to which no
/// link leads; and whether it reads one.
///
/// # Errors
/// As [`harmless`], and [`Refusal::PersonsMixed`] for a join of two such tables by something else than a link of one to the
/// other.
pub(super) fn checked(plan: &LogicalPlan) -> Result<bool, Refusal> {
    columns(plan).map(|columns| columns.is_some())
}

/// What the columns of `plan` say of the rows of such tables; `None` where it reads none.
fn columns(plan: &LogicalPlan) -> Result<Option<Vec<Says>>, Refusal> {
    if let LogicalPlan::TableScan(scan) = plan {
        let Some(table) = catalogued(scan) else { return Ok(None) };
        return Ok(match &table.standing {
            Standing::Reference { table: declared, .. } => Some(stored(scan, declared, &table.schema)),
            _ => None,
        });
    }
    let mut below = vec![];
    for input in plan.inputs() {
        below.push(columns(input)?);
    }
    if below.iter().all(Option::is_none) {
        return Ok(None);
    }
    match plan {
        LogicalPlan::Aggregate(_) if plan.expressions().iter().all(|expr| adds_up(expr, plan)) => {}
        _ => harmless(plan, &plan.expressions())?,
    }
    let mut said = match (plan, below.as_mut_slice()) {
        (LogicalPlan::Join(join), [left, right]) => joined(join, left.take(), right.take())?,
        (LogicalPlan::Projection(projection), [Some(input)]) => of_items(&projection.expr, plan, input),
        (LogicalPlan::Aggregate(aggregate), [Some(input)]) => of_items(&aggregate.group_expr, plan, input),
        (_, [Some(input)]) => std::mem::take(input),
        _ => vec![],
    };
    said.resize(plan.schema().fields().len(), Says::Else);
    Ok(Some(said))
}

fn stored(scan: &TableScan, table: &catalog::Table, schema: &str) -> Vec<Says> {
    let says = |name: &String| match table.column(name) {
        Some(_) if table.primary_key.as_slice() == [name.as_str()] => {
            Says::Names(TableReference::partial(schema, table.name.as_str()))
        }
        Some(column) => facts::place(column, table, schema).map_or(Says::Else, Says::Leads),
        None => Says::Else,
    };
    scan.projected_schema.fields().iter().map(|field| says(field.name())).collect()
}

fn of_items(items: &[Expr], step: &LogicalPlan, below: &[Says]) -> Vec<Says> {
    let input = step.inputs().into_iter().next().map(LogicalPlan::schema);
    items.iter().map(|item| input.map_or(Says::Else, |schema| said(item, schema, below))).collect()
}

fn said(item: &Expr, schema: &DFSchema, below: &[Says]) -> Says {
    let index = renamed(item).and_then(|column| schema.maybe_index_of_column(column));
    index.and_then(|index| below.get(index)).cloned().unwrap_or(Says::Else)
}

/// The key that an expression is, under another name or written in another way that tells all keys apart.
fn renamed(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(Alias { expr, .. }) => renamed(expr),
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            let one_to_one = matches!(field.data_type(), DataType::Int64) || is_text(field.data_type());
            renamed(expr).filter(|_| one_to_one)
        }
        _ => None,
    }
}

/// A join of which one side reads such tables leaves what that side says. Of two, the rows of the one tell of rows of the
/// other to which their own links lead, and the result of the rows of the first alone. A row for which none was found, and
/// which an outer join keeps, tells of what is not there: it has no name.
fn joined(join: &Join, left: Option<Vec<Says>>, right: Option<Vec<Says>>) -> Result<Vec<Says>, Refusal> {
    let (l_schema, r_schema) = (join.left.schema(), join.right.schema());
    let both = left.is_some() && right.is_some();
    let beside = |schema: &DFSchema| vec![Says::Else; schema.fields().len()];
    let (mut left, mut right) = (left.unwrap_or_else(|| beside(l_schema)), right.unwrap_or_else(|| beside(r_schema)));
    let pairs = join.on.iter().map(|(l, r)| (said(l, l_schema, &left), said(r, r_schema, &right)));
    let by_link = |pair: (Says, Says)| match pair {
        (Says::Leads(to), Says::Names(row)) if to == row => Some((true, false)),
        (Says::Names(row), Says::Leads(to)) if to == row => Some((false, true)),
        (Says::Names(one), Says::Names(other)) if one == other => Some((true, true)),
        _ => None,
    };
    let equated = join.null_equality == NullEquality::NullEqualsNothing;
    let found = pairs.filter_map(by_link).reduce(|a, b| (a.0 || b.0, a.1 || b.1)).filter(|_| equated);
    let (of_left, of_right) = match found {
        Some(found) => found,
        None if both => return Err(mixed(BY_LINK)),
        None => (true, true),
    };
    let (l_found, r_found) = match join.join_type {
        JoinType::Left => (true, false),
        JoinType::Right => (false, true),
        JoinType::Full => (false, false),
        _ => (true, true),
    };
    for (side, stays) in [(&mut left, of_left && l_found), (&mut right, of_right && r_found)] {
        for says in side.iter_mut().filter(|_| !stays) {
            if let Says::Names(row) = says {
                *says = Says::Leads(row.clone());
            }
        }
    }
    Ok(kept(join, left, right))
}

/// The columns that a join puts out.
fn kept(join: &Join, left: Vec<Says>, right: Vec<Says>) -> Vec<Says> {
    match join.join_type {
        JoinType::LeftSemi | JoinType::LeftAnti => left,
        JoinType::RightSemi | JoinType::RightAnti => right,
        _ => left.into_iter().chain(right).collect(),
    }
}

const BY_LINK: &str =
    "a reference table is joined, or compared in a subquery, by the link that leads to its rows, such as care_site_id";

/// Of the columns of `plan`, to be put beside persons' rows where the pairs `on`, theirs first, are equal, the reference
/// table to whose rows they lead; `None` where it reads no such table. It then says something of the persons' own places
/// alone: without a link it would tell whether some row of it exists, which may have come with one person, by as many rows
/// as all persons have.
///
/// # Errors
/// [`Refusal::PersonsMixed`] where no pair is such a link; and as [`checked`].
pub(super) fn linked(
    owned: &Owned,
    plan: &LogicalPlan,
    on: &[(Expr, Expr)],
) -> Result<Option<Vec<Option<TableReference>>>, Refusal> {
    let Some(columns) = columns(plan)? else { return Ok(None) };
    let links = |(mine, theirs): &(Expr, Expr)| {
        let leads = renamed(mine).and_then(|column| owned.scope().facts_of(column).ok()?.place.clone());
        leads.is_some_and(|to| said(theirs, plan.schema(), &columns) == Says::Names(to))
    };
    match on.iter().any(links) {
        true => Ok(Some(columns.into_iter().map(Says::place).collect())),
        false => Err(mixed(BY_LINK)),
    }
}

impl Says {
    fn place(self) -> Option<TableReference> {
        match self {
            Self::Names(row) | Self::Leads(row) => Some(row),
            Self::Else => None,
        }
    }
}

/// A key, or one of the aggregates that no value makes fail.
fn adds_up(expr: &Expr, step: &LogicalPlan) -> bool {
    match expr {
        Expr::Alias(alias) => adds_up(&alias.expr, step),
        Expr::AggregateFunction(call) => {
            let AggregateFunctionParams { args, filter, order_by, .. } = &call.params;
            let known = matches!(call.func.name(), "count" | "sum" | "avg" | "min" | "max");
            let of = args.iter().chain(filter.as_deref());
            known && order_by.is_empty() && of.into_iter().all(|expr| plain(expr, step))
        }
        key => plain(key, step),
    }
}

/// Columns, constants and comparisons of them.
fn plain(expr: &Expr, step: &LogicalPlan) -> bool {
    let plain = |expr: &Expr| plain(expr, step);
    match expr {
        Expr::Column(_) | Expr::Literal(..) => true,
        Expr::Alias(alias) => plain(&alias.expr),
        Expr::Not(inner) | Expr::IsNull(inner) | Expr::IsNotNull(inner) => plain(inner),
        // Times outside the calendar fail in TRY_CAST too.
        Expr::Cast(Cast { expr: inner, field }) | Expr::TryCast(TryCast { expr: inner, field }) => {
            plain(inner) && widens(inner, field.data_type(), step)
        }
        Expr::BinaryExpr(binary) => compares(binary.op) && plain(&binary.left) && plain(&binary.right),
        Expr::Between(between) => plain(&between.expr) && plain(&between.low) && plain(&between.high),
        Expr::InList(list) => plain(&list.expr) && list.list.iter().all(plain),
        Expr::Like(like) => {
            like.escape_char.is_none() && plain(&like.expr) && matches!(*like.pattern, Expr::Literal(..))
        }
        _ => false,
    }
}

/// Whether no value is too large for the cast: numbers as wider ones, texts as texts.
fn widens(expr: &Expr, to: &DataType, step: &LogicalPlan) -> bool {
    let from = step.inputs().into_iter().find_map(|input| expr.get_type(input.schema()).ok());
    from.is_some_and(|from| {
        let wider = matches!(to, DataType::Int64) && from.is_signed_integer() || matches!(to, DataType::Float64);
        from == *to || (is_text(&from) && is_text(to)) || (from.is_numeric() && !from.is_decimal() && wider)
    })
}
