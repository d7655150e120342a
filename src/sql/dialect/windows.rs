//! Which windows are groups, as SQL Server writes percentiles?

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Select, SelectItem, WindowSpec, WindowType, visit_expressions, visit_expressions_mut,
};

use super::items::expression;

/// `SELECT DISTINCT k, COUNT(*) OVER (PARTITION BY k)` is one row for each group: GROUP BY, where all windows are whole
/// partitions of the same keys and those keys are the other columns.
pub(super) fn as_groups(select: &mut Select) {
    let plain = matches!(&select.group_by, GroupByExpr::Expressions(keys, sets) if keys.is_empty() && sets.is_empty())
        && select.having.is_none()
        && select.qualify.is_none();
    if !plain || select.distinct != Some(Distinct::Distinct) {
        return;
    }
    let mut partitions: Vec<Option<Vec<String>>> = vec![];
    let mut others = vec![];
    for item in &select.projection {
        let Some(expr) = expression(item) else { return };
        let before = partitions.len();
        let _ = visit_expressions(expr, |e| {
            if let Expr::Function(call) = e
                && let Some(over) = &call.over
            {
                partitions.push(whole_partition(over));
            }
            ControlFlow::<()>::Continue(())
        });
        if partitions.len() == before {
            others.push(expr.clone());
        }
    }
    let Some(Some(first)) = partitions.first().cloned() else { return };
    let keys: Vec<String> = others.iter().map(text).collect();
    let same = partitions.iter().all(|keys| keys.as_ref() == Some(&first));
    if !same
        || keys.is_empty()
        || !keys.iter().all(|key| first.contains(key))
        || !first.iter().all(|k| keys.contains(k))
    {
        return;
    }
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            let _ = visit_expressions_mut(expr, |e| {
                if let Expr::Function(call) = e {
                    call.over = None;
                }
                ControlFlow::<()>::Continue(())
            });
        }
    }
    select.distinct = None;
    select.group_by = GroupByExpr::Expressions(others, vec![]);
}

fn text(expr: &Expr) -> String {
    super::bare(expr).to_string().to_ascii_lowercase()
}

/// The keys of a window over all rows of its partition.
fn whole_partition(over: &WindowType) -> Option<Vec<String>> {
    match over {
        WindowType::WindowSpec(WindowSpec { window_name: None, partition_by, order_by, window_frame: None })
            if order_by.is_empty() =>
        {
            Some(partition_by.iter().map(text).collect())
        }
        _ => None,
    }
}
