//! What is proved about one call, and then about its question?

use std::{ops::Deref, sync::Arc};

use super::{action::Action, compile::CompiledPermit};
use crate::{
    identity::Principal,
    terms::{AccountName, DatasetName, Instant, Language, PermitId, PurposeCode},
};

/// This principal may do this now: a proof, since only this folder can build one. Covers one call.
///
/// ```compile_fail,E0451
/// use sekisho::{identity::Principal, policy::Clearance};
/// fn forge(principal: Principal, others: Clearance) -> Clearance {
///     Clearance { principal, ..others }
/// }
/// ```
#[must_use]
pub struct Clearance {
    pub(super) principal: Principal,
    pub(super) action: Action,
    pub(super) at: Instant,
    pub(super) permit: Option<Arc<CompiledPermit>>,
    pub(super) policy_hash: [u8; 32],
}

impl Clearance {
    /// Who was cleared.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The account that was cleared.
    #[must_use]
    pub fn account(&self) -> &AccountName {
        self.principal.account()
    }

    /// The language of its messages.
    #[must_use]
    pub fn language(&self) -> Language {
        self.principal.language()
    }

    /// For what.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// When.
    #[must_use]
    pub fn at(&self) -> Instant {
        self.at
    }

    /// Under which permit; none for what needs none.
    #[must_use]
    pub fn permit(&self) -> Option<&PermitId> {
        self.permit.as_deref().map(|p| &p.id)
    }

    /// The permit's data set.
    #[must_use]
    pub fn dataset(&self) -> Option<&DatasetName> {
        self.permit.as_deref().map(|p| &p.dataset)
    }

    /// The permit's purpose.
    #[must_use]
    pub fn purpose(&self) -> Option<&PurposeCode> {
        self.permit.as_deref().map(|p| &p.purpose)
    }

    /// The permit's rule pack.
    #[must_use]
    pub fn rule_pack(&self) -> Option<&str> {
        self.permit.as_deref().map(|p| p.rule_pack.as_str())
    }

    /// What a question under the permit gets that does not say.
    #[must_use]
    pub fn per_question_epsilon(&self) -> Option<f64> {
        self.permit.as_deref().map(|p| p.per_question_epsilon)
    }

    /// SHA-256 over the policy files and the compiled permit, for the record of the decision.
    #[must_use]
    pub fn policy_hash(&self) -> &[u8; 32] {
        &self.policy_hash
    }
}

/// Says who and what, and nothing that a debugger should not see.
impl std::fmt::Debug for Clearance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Clearance");
        shown.field("account", self.account()).field("action", &self.action).field("permit", &self.permit()).finish()
    }
}

/// And the question may touch every table and column that it touches, in every position: the second judgement.
///
/// Nothing can be reserved or read with the first alone, since this is another type:
///
/// ```compile_fail,E0308
/// fn reserve(_: &sekisho::policy::QuestionClearance) {}
/// fn after_the_first_judgement(clearance: &sekisho::policy::Clearance) {
///     reserve(clearance);
/// }
/// ```
///
/// and the second judgement cannot be skipped by wrapping the first:
///
/// ```compile_fail,E0603
/// fn skip(clearance: sekisho::policy::Clearance) -> sekisho::policy::QuestionClearance {
///     sekisho::policy::QuestionClearance(clearance)
/// }
/// ```
#[must_use]
#[derive(Debug)]
pub struct QuestionClearance(pub(super) Clearance);

impl Deref for QuestionClearance {
    type Target = Clearance;
    fn deref(&self) -> &Clearance {
        &self.0
    }
}
