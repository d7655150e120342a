//! May they, for this purpose, with these columns?
//!
//! Floor 4. Two judgements: [`Policy::judge`] before the text is looked at, [`Policy::judge_question`] once it is known
//! what the question touches. Nothing is allowed that no rule of `policies/` or of the permit allows.

mod action;
mod cases;
mod check;
mod clearance;
mod compile;
mod enforcer;
mod example;
mod fault;
mod files;
mod grant;
mod judge;
mod matrix;
mod model;
mod purposes;
mod roles;
mod rules;

pub use action::Action;
pub use check::{Report, check};
pub use clearance::{Clearance, QuestionClearance};
pub use fault::PolicyFault;
pub use files::PolicyFiles;
pub use grant::{GrantFault, GrantSurroundings};
pub use judge::Policy;
pub use purposes::{ProhibitedUse, Purpose};
pub use rules::{Rounding, RulePack};
