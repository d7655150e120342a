//! Where does a plan that runs let go of its thread?
//!
//! A task that is dropped ends where it next lets go, and the engine lets go where it reads. A join, or an expansion of
//! lists, makes any number of batches of one that it has read: without more, a product of a few tables would hold its
//! thread until it is through, whoever has stopped waiting.

use std::sync::Arc;

use datafusion::{
    common::{
        Result,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    physical_plan::{ExecutionPlan, coop::CooperativeExec},
};

/// `plan`, which lets go between the batches of every step that makes more of them than it reads.
pub(super) fn yielding(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let marked = plan.transform_up(|step| {
        Ok(match step.children().len() > 1 || step.name() == "UnnestExec" {
            true => Transformed::yes(Arc::new(CooperativeExec::new(step)) as Arc<dyn ExecutionPlan>),
            false => Transformed::no(step),
        })
    });
    marked.data()
}
