//! Which keys do GROUP BY and ORDER BY mean without naming them?

use std::{collections::BTreeSet, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Distinct, Expr, GroupByExpr, Ident, OrderByExpr, OrderByKind, Query, Select, SelectItem,
    SetExpr, TableFactor, visit_expressions,
};

use super::{
    items::{expression, last, table_name},
    whole,
};

/// `GROUP BY p.person_id` over the table of persons: their other columns are fixed with it, and PostgreSQL lets them be
/// selected. They become keys beside it.
pub(super) fn fixed_by_person(select: &mut Select) {
    let persons: BTreeSet<String> = select
        .from
        .iter()
        .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)))
        .filter_map(|relation| match relation {
            TableFactor::Table { name, args: None, .. } => {
                let of_persons = name.0.last()?.as_ident()?.value.eq_ignore_ascii_case("person");
                table_name(relation).filter(|_| of_persons)
            }
            _ => None,
        })
        .collect();
    let GroupByExpr::Expressions(keys, sets) = &mut select.group_by else { return };
    if persons.is_empty() || !sets.is_empty() {
        return;
    }
    let grouped: Vec<String> = keys.iter().filter_map(|key| person_key(key, &persons)).collect();
    let mut known: BTreeSet<String> = keys.iter().map(|key| key.to_string().to_ascii_lowercase()).collect();
    for item in &select.projection {
        let Some(expr) = expression(item) else { continue };
        // Within a call it may be what is added up.
        let mut calls = false;
        let _ = visit_expressions(expr, |e| {
            calls |= matches!(e, Expr::Function(_) | Expr::Subquery(_) | Expr::Exists { .. });
            ControlFlow::<()>::Continue(())
        });
        let _ = visit_expressions(expr, |e| {
            if let Expr::CompoundIdentifier(parts) = e
                && let [table, _] = parts.as_slice()
                && !calls
                && grouped.contains(&table.value.to_ascii_lowercase())
                && known.insert(e.to_string().to_ascii_lowercase())
            {
                keys.push(e.clone());
            }
            ControlFlow::<()>::Continue(())
        });
    }
}

/// `person_id <> 0`: no person has the number 0, which stands for nobody where records are mapped.
pub(super) fn of_nobody(key: &Expr, op: &BinaryOperator, zero: &Expr) -> Option<String> {
    let of_person = last(key).is_some_and(|name| name.value.eq_ignore_ascii_case("person_id"));
    (of_person && *op == BinaryOperator::NotEq && whole(zero) == Some(0)).then(|| format!("({key} IS NOT NULL)"))
}

/// `CAST(v.visit_occurrence_id AS BIGINT)`: numbers of persons and of rows are BIGINT, and stay keys without a cast.
pub(super) fn as_it_is(key: &Expr, to: &DataType) -> Option<String> {
    const OF_ROWS: [&str; 6] = ["person_id", "_occurrence_id", "_exposure_id", "_era_id", "_period_id", "_detail_id"];
    let name = last(key)?.value.to_ascii_lowercase();
    let whole = matches!(to, DataType::BigInt(_) | DataType::Int8(_));
    (whole && OF_ROWS.iter().any(|end| name.ends_with(end))).then(|| key.to_string())
}

/// The name of the table of persons whose key this is.
fn person_key(key: &Expr, persons: &BTreeSet<String>) -> Option<String> {
    let Expr::CompoundIdentifier(parts) = key else { return None };
    let [table, column] = parts.as_slice() else { return None };
    let table = table.value.to_ascii_lowercase();
    (column.value.eq_ignore_ascii_case("person_id") && persons.contains(&table)).then_some(table)
}

/// `SELECT x.yr::int AS yr ... ORDER BY x.yr`: of the two columns of that name, the one in the answer has the same order.
pub(super) fn in_the_answer(query: &mut Query) {
    let (SetExpr::Select(select), Some(order_by)) = (query.body.as_ref(), &mut query.order_by) else { return };
    let OrderByKind::Expressions(keys) = &mut order_by.kind else { return };
    if let [all] = keys.as_slice()
        && matches!(&all.expr, Expr::Identifier(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("all"))
    {
        let all = all.clone();
        let named = select.projection.iter().all(|item| expression(item).is_some());
        let places: Option<Vec<Expr>> =
            (1..=select.projection.len()).map(|place| super::parsed(&place.to_string())).collect();
        if let (true, Some(places)) = (named, places) {
            *keys = places.into_iter().map(|expr| OrderByExpr { expr, ..all.clone() }).collect();
        }
        return;
    }
    if select.distinct.as_ref().is_some_and(|distinct| matches!(distinct, Distinct::On(_))) {
        return;
    }
    for key in keys {
        if let Some(name) = select.projection.iter().find_map(|item| cast_of(item, &key.expr)) {
            key.expr = Expr::Identifier(name);
        }
    }
}

/// `SELECT to_char(m.day, 'YYYY') AS day ... ORDER BY m.day`: the column that the answer hides by its name is selected beside it,
/// and left out above. Says how much was written.
pub(super) fn hidden_by_the_answer(query: &mut Query) -> usize {
    let (SetExpr::Select(select), Some(order_by)) = (query.body.as_ref(), &query.order_by) else { return 0 };
    let OrderByKind::Expressions(keys) = &order_by.kind else { return 0 };
    let names: Option<Vec<Ident>> = select.projection.iter().map(shown).collect();
    let Some(names) = names.filter(|_| select.distinct.is_none()) else { return 0 };
    let called = |name: &Ident| names.iter().filter(|known| known.value.eq_ignore_ascii_case(&name.value)).count();
    let hides = |key: &Expr| {
        let other = |item: &SelectItem| matches!(item, SelectItem::ExprWithAlias { expr, .. } if expr != key);
        let name = last(key).filter(|_| matches!(key, Expr::CompoundIdentifier(_)));
        let alike = |item: &SelectItem| {
            shown(item).zip(name.as_ref()).is_some_and(|(a, b)| a.value.eq_ignore_ascii_case(&b.value))
        };
        select.projection.iter().any(|item| other(item) && alike(item))
    };
    let plain = |key: &Expr| whole(key).is_some() || matches!(key, Expr::Identifier(name) if called(name) == 1);
    let all_known = keys.iter().all(|key| plain(&key.expr) || hides(&key.expr));
    if !all_known || !keys.iter().any(|key| hides(&key.expr)) || names.iter().any(|name| called(name) > 1) {
        return 0;
    }
    let (mut inner, mut above) = (select.clone(), keys.clone());
    for (place, key) in above.iter_mut().enumerate() {
        if hides(&key.expr) {
            let alias = Ident::new(format!("__sekisho_by_{place}"));
            inner.projection.push(SelectItem::ExprWithAlias { expr: key.expr.clone(), alias: alias.clone() });
            key.expr = Expr::Identifier(alias);
        }
    }
    let list = |all: Vec<String>| all.join(", ");
    let names = list(names.iter().map(ToString::to_string).collect());
    let above = list(above.iter().map(ToString::to_string).collect());
    let text = format!("SELECT {names} FROM ({inner}) AS __sekisho_ordered ORDER BY {above}");
    if let Some(ordered) = super::parsed_query(&text) {
        (query.body, query.order_by) = (ordered.body, ordered.order_by);
    }
    text.len()
}

/// Under which name an item is shown, where it has one.
fn shown(item: &SelectItem) -> Option<Ident> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.clone()),
        SelectItem::UnnamedExpr(expr @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_))) => last(expr),
        _ => None,
    }
}

/// The name of an item that is `column`, cast in its order, and called alike.
fn cast_of(item: &SelectItem, column: &Expr) -> Option<Ident> {
    let SelectItem::ExprWithAlias { expr: Expr::Cast { expr, data_type, .. }, alias } = item else { return None };
    let (Expr::CompoundIdentifier(of), Expr::CompoundIdentifier(wanted)) = (super::bare(expr), column) else {
        return None;
    };
    let ordered = matches!(
        data_type,
        DataType::Date
            | DataType::Timestamp(..)
            | DataType::Int(_)
            | DataType::Integer(_)
            | DataType::BigInt(_)
            | DataType::SmallInt(_)
            | DataType::Double(_)
            | DataType::DoublePrecision
            | DataType::Float(_)
            | DataType::Numeric(_)
            | DataType::Decimal(_)
    );
    let same = of.len() == wanted.len() && of.iter().zip(wanted).all(|(a, b)| a.value.eq_ignore_ascii_case(&b.value));
    (ordered && same && of.last()?.value.eq_ignore_ascii_case(&alias.value)).then(|| alias.clone())
}
