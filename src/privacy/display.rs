//! How are counts shown to readers who stumble over negative ones?
//!
//! Noise makes small counts negative. That is right for whoever adds up or averages, so it is the default. With
//! `sekisho.display = non_negative` each count, and each sum of what is never negative, is moved up to zero where the
//! release enters the rest of the question, so that HAVING, ORDER BY and arithmetic see what is shown. It is
//! post-processing: it costs nothing, and the kept answer stays as it was drawn.

use std::sync::Arc;

use datafusion::{
    common::{
        ScalarValue,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    functions::core::expr_fn::greatest,
    logical_expr::{Expr, LogicalPlan, Projection, expr::Alias},
};

use super::{
    partial::Kind,
    placeholder::released,
    release_point::{Output, Release},
    typing::built,
};
use crate::terms::Refusal;

/// `plan` with every count and every sum of what is never negative moved up to zero.
pub(super) fn non_negative(plan: LogicalPlan, releases: &[Release]) -> Result<LogicalPlan, Refusal> {
    let shown = plan.transform_up(|node| {
        let LogicalPlan::Projection(projection) = &node else { return Ok(Transformed::no(node)) };
        let Some((index, _)) = released(projection) else { return Ok(Transformed::no(node)) };
        let Some(release) = releases.get(index) else { return Ok(Transformed::no(node)) };
        // Behind the outputs may stand whether a group stands out.
        let items = projection.expr.iter().enumerate().map(|(place, item)| match (item, release.outputs.get(place)) {
            (Expr::Alias(alias), Some(output)) if counts(output, release) => raised(alias, release, output),
            (other, _) => other.clone(),
        });
        let projection = Projection::try_new(items.collect(), Arc::clone(&projection.input))?;
        Ok(Transformed::yes(LogicalPlan::Projection(projection)))
    });
    built(shown.data())
}

fn counts(output: &Output, release: &Release) -> bool {
    match output {
        Output::Count(_) => true,
        Output::Sum(partial) => match release.partials.get(*partial).map(|p| &p.kind) {
            Some(Kind::Sum { grid, .. }) => grid.lo >= 0,
            _ => false,
        },
        _ => false,
    }
}

fn raised(alias: &Alias, release: &Release, output: &Output) -> Expr {
    let place = release.outputs.iter().position(|o| o == output);
    let zero = place.and_then(|i| ScalarValue::new_zero(release.schema.field(i).data_type()).ok());
    let Some(zero) = zero else { return Expr::Alias(alias.clone()) };
    let raised = greatest(vec![alias.expr.as_ref().clone(), Expr::Literal(zero, None)]);
    Expr::Alias(Alias { expr: Box::new(raised), ..alias.clone() })
}
