//! Does one of these rules allow this?
//!
//! The home of Casbin. An [`Enforcer`] is immutable once built. What its library needs watching for (version 2.20): a
//! disabled enforcer allows everything; with no rule at all the matcher runs on empty strings; an unknown effect
//! panics; every name holds itself as a role, hence the prefixes `user:`, `role:` and `permit:`; rules in CSV text can
//! be injected into, hence `add_policies`; `eval` runs code from rules.

use std::collections::BTreeSet;

use casbin::{CoreApi, DefaultModel, MemoryAdapter, MgmtApi};
use futures::FutureExt;

use super::{fault::PolicyFault, model::Model};

/// What every enforcer holds besides its rules, so that there is never none. No subject is called this.
const SENTINEL: &str = "sentinel:nobody";
/// Stands where a request has no such part.
pub(super) const NOTHING: &str = "-";
/// In a rule: every one of them.
pub(super) const EVERY: &str = "*";

/// One thing allowed. Whoever makes one vouches that no part comes from free text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rule {
    pub subject: String,
    pub action: String,
    pub object: String,
    pub column: String,
    pub position: String,
}

impl Rule {
    /// A rule about an action alone.
    pub fn on_action(subject: &str, action: &str) -> Self {
        Self::new(subject, action, NOTHING, NOTHING, NOTHING)
    }

    pub fn new(subject: &str, action: &str, object: &str, column: &str, position: &str) -> Self {
        let [subject, action, object, column, position] = [subject, action, object, column, position].map(String::from);
        Self { subject, action, object, column, position }
    }

    /// The rule as a line of text, for people and for hashes.
    pub fn line(&self) -> String {
        format!("{}, {}, {}, {}, {}", self.subject, self.action, self.object, self.column, self.position)
    }

    fn fields(self) -> Vec<String> {
        vec![self.subject, self.action, self.object, self.column, self.position]
    }
}

/// One thing asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub subject: &'a str,
    pub action: &'a str,
    /// `schema.*`, or nothing.
    pub schema: &'a str,
    /// `schema.table`, or what else is acted upon, or nothing.
    pub object: &'a str,
    pub column: &'a str,
    pub position: &'a str,
}

impl<'a> Request<'a> {
    pub fn on_action(subject: &'a str, action: &'a str) -> Self {
        Self::on_object(subject, action, NOTHING)
    }

    pub fn on_object(subject: &'a str, action: &'a str, object: &'a str) -> Self {
        Self { subject, action, schema: NOTHING, object, column: NOTHING, position: NOTHING }
    }

    /// A request may not itself contain what rules use as "every", nor lack a part.
    fn plain(&self) -> bool {
        let parts = [self.subject, self.action, self.object, self.column, self.position];
        parts.iter().all(|p| !p.is_empty() && !p.contains(EVERY)) && !self.schema.is_empty()
    }
}

/// A set of rules, fixed.
pub(super) struct Enforcer(casbin::Enforcer);

impl Enforcer {
    /// An enforcer of `rules`, in which each first of `members` holds each second.
    pub fn new(
        model: &Model,
        rules: &BTreeSet<Rule>,
        members: &BTreeSet<(String, String)>,
    ) -> Result<Self, PolicyFault> {
        let built = build(model.text(), rules, members).now_or_never();
        built.unwrap_or(Err(PolicyFault::Engine { step: "building waited for something" })).map(Self)
    }

    /// Whether some rule allows this. Anything that goes wrong on the way is a no.
    pub fn allows(&self, r: &Request<'_>) -> bool {
        if !self.0.is_enabled() || !r.plain() {
            return false;
        }
        match self.0.enforce((r.subject, r.action, r.schema, r.object, r.column, r.position)) {
            Ok(allowed) => allowed,
            Err(_) => {
                tracing::error!("the policy engine failed on a request; refused");
                false
            }
        }
    }
}

async fn build(
    model: &str,
    rules: &BTreeSet<Rule>,
    members: &BTreeSet<(String, String)>,
) -> Result<casbin::Enforcer, PolicyFault> {
    let step = |step| move |_| PolicyFault::Engine { step };
    let model = DefaultModel::from_str(model).await.map_err(step("reading the model"))?;
    let adapter = MemoryAdapter::default();
    let mut enforcer = casbin::Enforcer::new(model, adapter).await.map_err(step("compiling the matcher"))?;
    let sentinel = Rule::on_action(SENTINEL, SENTINEL);
    let lines: Vec<_> = rules.iter().cloned().chain([sentinel]).map(Rule::fields).collect();
    let added = enforcer.add_policies(lines).await.map_err(step("adding rules"))?;
    let links: Vec<_> = members.iter().map(|(who, what)| vec![who.clone(), what.clone()]).collect();
    let linked = links.is_empty() || enforcer.add_grouping_policies(links).await.map_err(step("adding members"))?;
    match added && linked && enforcer.is_enabled() {
        true => Ok(enforcer),
        false => Err(PolicyFault::Engine { step: "not every rule was taken" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        Model::read(include_str!("../../policies/model.conf")).unwrap()
    }

    fn enforcer(rules: &[Rule], members: &[(&str, &str)]) -> Enforcer {
        let members = members.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        Enforcer::new(&model(), &rules.iter().cloned().collect(), &members).unwrap()
    }

    #[test]
    fn without_rules_nothing_is_allowed() {
        let none = enforcer(&[], &[]);
        assert!(!none.allows(&Request::on_action("user:hanako", "ask")));
        assert!(!none.allows(&Request::on_action("", "")), "the empty request of a rule-less enforcer");
    }

    #[test]
    fn a_member_may_what_its_permit_may_and_nobody_else() {
        let rules = [Rule::new("permit:P-1", "ask", "demo.person", "sex", "group")];
        let one = enforcer(&rules, &[("user:hanako", "permit:P-1")]);
        let asks = |subject| Request {
            subject,
            action: "ask",
            schema: "demo.*",
            object: "demo.person",
            column: "sex",
            position: "group",
        };
        assert!(one.allows(&asks("user:hanako")));
        assert!(!one.allows(&asks("user:jiro")));
        assert!(!one.allows(&asks("role:analyst")));
        assert!(!one.allows(&Request { position: "filter", ..asks("user:hanako") }));
        assert!(!one.allows(&Request { column: "age", ..asks("user:hanako") }));
    }

    #[test]
    fn an_account_called_like_a_role_or_a_permit_holds_neither() {
        let rules = [Rule::on_action("role:auditor", "audit-read"), Rule::on_action("permit:P-1", "ask")];
        let one = enforcer(&rules, &[]);
        assert!(!one.allows(&Request::on_action("user:auditor", "audit-read")));
        assert!(!one.allows(&Request::on_action("user:P-1", "ask")));
    }

    #[test]
    fn a_request_cannot_use_the_wildcards_of_rules() {
        let rules = [Rule::new("role:a", "ask", "demo.person", "*", "*")];
        let one = enforcer(&rules, &[]);
        let good = Request {
            subject: "role:a",
            action: "ask",
            schema: "demo.*",
            object: "demo.person",
            column: "sex",
            position: "group",
        };
        assert!(one.allows(&good));
        assert!(!one.allows(&Request { column: "*", ..good }));
        assert!(!one.allows(&Request { position: "*", ..good }));
        assert!(!one.allows(&Request { object: "demo.*", ..good }));
        assert!(!one.allows(&Request { column: "", ..good }));
    }

    #[test]
    fn the_sentinel_is_nobody() {
        let one = enforcer(&[], &[]);
        assert!(!one.allows(&Request::on_action("user:sentinel:nobody", SENTINEL)));
    }

    #[test]
    fn it_can_be_built_and_asked_inside_a_running_runtime() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let allowed = runtime.block_on(async {
            tokio::spawn(async {
                enforcer(&[Rule::on_action("role:a", "ask")], &[]).allows(&Request::on_action("role:a", "ask"))
            })
            .await
        });
        assert!(allowed.unwrap());
    }
}
