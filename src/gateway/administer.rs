//! What do reviewers, custodians, auditors and operators do through the gateway, as signed-in accounts?

use std::{collections::BTreeSet, sync::Arc};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Gateway, Session, blocking, failed, figures,
    world::{Dataset, World},
};
use crate::{
    audit::AuditFault,
    policy::{Action, Clearance, GrantSurroundings},
    record::{Account, Activation, BooksFault, Granting, HaltTarget, NewAccount, Permit, VocabularyDeclaration},
    terms::{AccountName, EntryNumber, Language, PermitId, Refusal, Role},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountToAdd {
    name: AccountName,
    roles: BTreeSet<Role>,
    #[serde(default)]
    language: Language,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    name: AccountName,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleToGrant {
    name: AccountName,
    role: Role,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revocation {
    permit: PermitId,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToActivate {
    dataset: crate::terms::DatasetName,
    version: crate::terms::DataVersion,
    manifest_mac: String,
    source: crate::terms::SourceName,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Number {
    entry: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Folder {
    name: String,
}

impl Gateway {
    /// One act of administration: `verb` such as `permit.grant`, with its JSON body. What it may be depends on the
    /// session's roles; what it did, or why not, is an entry.
    ///
    /// # Errors
    /// A [`Refusal`], recorded.
    #[tracing::instrument(skip_all)]
    pub async fn administer(&self, session: &Session, verb: &str, body: Value) -> Result<Value, Refusal> {
        if let Err(refusal) = self.not_halted_itself(session).await {
            return Err(self.refuse(session.principal(), verb, refusal).await);
        }
        let done = figures::administered(self.act(session, verb, body)).await;
        match done {
            Ok(value) => Ok(value),
            Err(refusal) => Err(self.refuse(session.principal(), verb, refusal).await),
        }
    }

    async fn act(&self, session: &Session, verb: &str, body: Value) -> Result<Value, Refusal> {
        match verb {
            "halt.on" => self.halt_on(session, body).await,
            "halt.off" => self.halt_off(session, body).await,
            "halt.list" => self.halt_list(session).await,
            "account.add" => self.account_add(session, body).await,
            "account.grant" => self.account_grant(session, body).await,
            "account.password" => self.account_password(session, body).await,
            "certificate.add" => self.certificate_add(session, body).await,
            "certificate.revoke" => self.certificate_revoke(session, body).await,
            "certificate.list" => self.certificate_list(session).await,
            "session.list" => self.session_list(session).await,
            "session.end" => self.session_end(session, body).await,
            "account.disable" => self.account_disable(session, body).await,
            "account.list" => self.account_list(session).await,
            "permit.grant" => self.permit_grant(session, body).await,
            "permit.revoke" => self.permit_revoke(session, body).await,
            "permit.list" => self.permit_list(session).await,
            "permit.preview" => self.permit_preview(session, body).await,
            "budget.show" => self.budget_show(session).await,
            "data.activate" => self.data_activate(session, body).await,
            "vocabulary.declare" => self.vocabulary_declare(session, body).await,
            "audit.export" => self.audit_export(session, body).await,
            "audit.receipt" => self.audit_receipt(session, body).await,
            "audit.proof" => self.audit_proof(session, body).await,
            "restore.show" => self.restore_show(session).await,
            "restore.acknowledge" => self.restore_acknowledge(session).await,
            _ => Err(not_done_because(&format!("there is no act {verb}"))),
        }
    }

    pub(super) fn may(&self, session: &Session, action: Action) -> Result<AccountName, Refusal> {
        let clearance = self.policy.judge_without_permit(session.principal(), action, self.clock.now())?;
        Ok(clearance.account().clone())
    }

    async fn account_add(&self, session: &Session, body: Value) -> Result<Value, Refusal> {
        let AccountToAdd { name, roles, language, password } = read(body)?;
        let by = self.policy.judge_account(session.principal(), &roles, self.clock.now())?.account().clone();
        let (books, passwords) = (self.books.clone(), Arc::clone(&self.passwords));
        let added = blocking(move || {
            let password_hash = passwords.hash(&password).map_err(|fault| not_done(&fault))?;
            books.add_account(Some(&by), NewAccount { name, roles, language, password_hash }).map_err(|f| words(&f))
        });
        Ok(entry(added.await??))
    }

    async fn account_disable(&self, session: &Session, body: Value) -> Result<Value, Refusal> {
        let Name { name } = read(body)?;
        let by = self.may(session, Action::AccountDisable)?;
        let (books, disabled) = (self.books.clone(), name.clone());
        let done = blocking(move || books.disable_account(&by, &disabled)).await?.map_err(|f| words(&f))?;
        self.tokens.revoke_account(&name);
        self.sessions.drop_dead(&self.tokens);
        self.running_now.end(&HaltTarget::Principal(name));
        Ok(entry(done))
    }

    /// Gives a role; those that take two holders are begun by the first call and given by the second.
    async fn account_grant(&self, session: &Session, body: Value) -> Result<Value, Refusal> {
        let RoleToGrant { name, role } = read(body)?;
        let by = self.policy.judge_grant(session.principal(), role, self.clock.now())?.account().clone();
        let (books, to) = (self.books.clone(), name.clone());
        match blocking(move || books.grant_role(&by, &to, role)).await?.map_err(|f| words(&f))? {
            Granting::Begun(entry) => Ok(json!({"entry": entry, "granted": false})),
            Granting::Granted(entry) => {
                // A session acts with the roles that it began with.
                self.tokens.revoke_account(&name);
                self.sessions.drop_dead(&self.tokens);
                Ok(json!({"entry": entry, "granted": true}))
            }
        }
    }

    async fn account_list(&self, session: &Session) -> Result<Value, Refusal> {
        self.may(session, Action::AccountList)?;
        let books = self.books.clone();
        let listed = blocking(move || Ok::<_, BooksFault>((books.accounts()?, books.pending_roles()?)));
        let (accounts, pending) = listed.await?.map_err(|fault| failed(&fault))?;
        let line = |a: &Account| {
            let begun: Vec<_> = pending.iter().filter(|p| p.account == a.name).map(|p| p.role).collect();
            json!({"name": a.name, "roles": a.roles, "begun": begun, "language": a.language, "disabled": a.disabled})
        };
        Ok(accounts.iter().map(line).collect())
    }

    async fn permit_grant(&self, session: &Session, body: Value) -> Result<Value, Refusal> {
        let permit: Permit = read(body)?;
        let now = self.clock.now();
        let clearance = self.policy.judge_without_permit(session.principal(), Action::PermitGrant, now)?;
        if permit.rule_pack != "none" {
            return Err(not_done_because("this version applies no rule pack; grant with the pack none"));
        }
        let world = self.world();
        let dataset =
            world.datasets.get(&permit.dataset).ok_or_else(|| not_done_because("there is no such data set"))?;
        let books = self.books.clone();
        let accounts = blocking(move || books.accounts()).await?.map_err(|fault| failed(&fault))?;
        self.grantable(&clearance, &permit, dataset, &accounts)?;
        let (books, by) = (self.books.clone(), clearance.account().clone());
        Ok(entry(blocking(move || books.grant_permit(&by, permit)).await?.map_err(|f| words(&f))?))
    }

    fn grantable(
        &self,
        clearance: &Clearance,
        permit: &Permit,
        dataset: &Dataset,
        accounts: &[Account],
    ) -> Result<(), Refusal> {
        let model = &dataset.config.model;
        let queryable = |table: &str, column: &str| {
            model.table(table).is_some_and(|t| column == "*" || t.queryable().any(|c| c.name == column))
        };
        let roles_of =
            |name: &AccountName| accounts.iter().find(|a| a.name == *name && !a.disabled).map(|a| a.roles.clone());
        let around = GrantSurroundings { dataset_cap: dataset.config.cap, queryable: &queryable, roles_of: &roles_of };
        self.policy.check_grant(clearance, permit, &around).map_err(|fault| not_done(&fault))
    }

    async fn permit_revoke(&self, session: &Session, body: Value) -> Result<Value, Refusal> {
        let Revocation { permit, reason } = read(body)?;
        let by = self.may(session, Action::PermitRevoke)?;
        let books = self.books.clone();
        Ok(entry(blocking(move || books.revoke_permit(&by, &permit, &reason)).await?.map_err(|f| words(&f))?))
    }

    async fn permit_list(&self, session: &Session) -> Result<Value, Refusal> {
        let account = self.may(session, Action::PermitList)?;
        let only_own = session.principal().roles().iter().all(|r| matches!(r, Role::Analyst | Role::Operator));
        let books = self.books.clone();
        let permits = blocking(move || if only_own { books.permits_of(&account) } else { books.permits() });
        let permits = permits.await?.map_err(|fault| failed(&fault))?;
        let now = self.clock.now();
        let line = |p: &Permit| {
            let mut value = serde_json::to_value(p).unwrap_or_default();
            if let Some(object) = value.as_object_mut() {
                object.insert("standing".into(), json!(p.standing(now)));
            }
            value
        };
        Ok(permits.iter().map(line).collect())
    }

    async fn permit_preview(&self, session: &Session, body: Value) -> Result<Value, Refusal> {
        let permit: Permit = read(body)?;
        self.may(session, Action::PermitGrant)?;
        Ok(json!(self.policy.preview(&permit).map_err(|fault| not_done(&fault))?))
    }

    async fn budget_show(&self, session: &Session) -> Result<Value, Refusal> {
        let account = self.may(session, Action::BudgetShow)?;
        let only_own = session.principal().roles().iter().all(|r| matches!(r, Role::Analyst | Role::Operator));
        let books = self.books.clone();
        let lines = blocking(move || {
            let own: BTreeSet<String> = books.permits_of(&account)?.into_iter().map(|p| p.id.to_string()).collect();
            Ok::<_, BooksFault>((own, books.budgets()?))
        });
        let (own, totals) = lines.await?.map_err(|fault| failed(&fault))?;
        // The whole name: P-1 is a part of P-10 as well.
        let of = |cap: &str, id: &str| cap == format!("permit/{id}") || cap.starts_with(&format!("analyst/{id}/"));
        let mine = |cap: &str| !only_own || own.iter().any(|id| of(cap, id));
        let line = |c: &crate::record::TotalsLine| {
            let delta = c.delta.parse().unwrap_or(0.0);
            json!({"cap": c.cap, "epsilon": c.epsilon, "delta": c.delta, "spent_epsilon": c.committed.epsilon(delta)})
        };
        Ok(totals.caps.iter().filter(|c| mine(&c.cap)).map(line).collect())
    }

    async fn data_activate(&self, session: &Session, body: Value) -> Result<Value, Refusal> {
        let ToActivate { dataset, version, manifest_mac, source } = read(body)?;
        let by = self.may(session, Action::DataActivate)?;
        let activation = Activation { dataset, version, manifest_mac, source };
        // What cannot be read must not come into force: the next start would refuse to open.
        let (enclave, key, wanted) = (self.enclave.clone(), self.file_key, activation.clone());
        blocking(move || World::check(&enclave, &wanted, &key)).await?.map_err(|fault| not_done(&fault))?;
        let books = self.books.clone();
        let done = blocking(move || books.activate(by.as_str(), activation)).await?.map_err(|f| words(&f))?;
        self.reload().await.map_err(|fault| failed(&fault))?;
        Ok(entry(done))
    }

    async fn vocabulary_declare(&self, session: &Session, body: Value) -> Result<Value, Refusal> {
        let declaration: VocabularyDeclaration = read(body)?;
        let by = self.may(session, Action::VocabularyDeclare)?;
        let readable = World::check_vocabulary(&self.enclave, &declaration, &self.engine).await;
        readable.map_err(|fault| not_done(&fault))?;
        let books = self.books.clone();
        let done = blocking(move || books.declare_vocabulary(Some(&by), declaration)).await?.map_err(|f| words(&f))?;
        self.reload().await.map_err(|fault| failed(&fault))?;
        Ok(entry(done))
    }

    /// Writes the export under `D/exports/NAME`: the gateway writes no other place on a caller's word.
    async fn audit_export(&self, session: &Session, body: Value) -> Result<Value, Refusal> {
        let Folder { name } = read(body)?;
        self.may(session, Action::AuditExport)?;
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !plain {
            return Err(not_done_because("name the export with letters, digits, - and _"));
        }
        let folder = self.enclave.directory.join("exports").join(name);
        let (books, to) = (self.books.clone(), folder.clone());
        blocking(move || {
            if to.exists() {
                return Err(not_done_because("there is an export of this name already"));
            }
            std::fs::create_dir_all(to.parent().unwrap_or(&to))
                .map_err(|_| not_done_because("the exports folder cannot be made"))?;
            books.export(&to).map_err(|f| words(&f))
        })
        .await??;
        Ok(json!({ "folder": folder.display().to_string() }))
    }

    /// The receipt of an entry: of any for an auditor, of one's own for the others.
    async fn audit_receipt(&self, session: &Session, body: Value) -> Result<Value, Refusal> {
        let Number { entry } = read(body)?;
        let account = session.principal().account().as_str().to_owned();
        let auditor = self.may(session, Action::AuditRead).is_ok();
        let books = self.books.clone();
        let receipt = blocking(move || books.receipt(EntryNumber(entry))).await?.map_err(|f| words(&f))?;
        let of: Value = serde_json::from_str(&receipt.body).unwrap_or_default();
        match auditor || of.get("account").and_then(Value::as_str) == Some(&account) {
            true => serde_json::to_value(&receipt).map_err(|_| Refusal::Failed { entry: None }),
            false => Err(Refusal::RoleNotAllowed),
        }
    }

    /// The C2SP proof of a published entry: of any for an auditor, of one's own for the others.
    async fn audit_proof(&self, session: &Session, body: Value) -> Result<Value, Refusal> {
        let Number { entry } = read(body)?;
        let account = session.principal().account().as_str().to_owned();
        let auditor = self.may(session, Action::AuditRead).is_ok();
        let books = self.books.clone();
        let proof = blocking(move || books.proof(EntryNumber(entry))).await?.map_err(|f| words(&f))?;
        let of: Value = serde_json::from_str(&proof.opening.1).unwrap_or_default();
        match auditor || of.get("account").and_then(Value::as_str) == Some(&account) {
            true => Ok(json!({ "proof": proof.to_text() })),
            false => Err(Refusal::RoleNotAllowed),
        }
    }

    /// Whether the books were found to be older than what was seen of them, and who has acknowledged it.
    async fn restore_show(&self, session: &Session) -> Result<Value, Refusal> {
        acknowledging(session)?;
        let books = self.books.clone();
        let suspension = blocking(move || books.suspension()).await?.map_err(|fault| failed(&fault))?;
        Ok(json!({ "suspended": suspension }))
    }

    /// One of the two acknowledgements of a restored copy. Only these two roles, whatever the policy files say: it is the
    /// one act of a gateway that answers nothing else.
    async fn restore_acknowledge(&self, session: &Session) -> Result<Value, Refusal> {
        let role = acknowledging(session)?;
        let (books, by) = (self.books.clone(), session.principal().account().clone());
        let done = blocking(move || books.acknowledge(&by, role)).await?.map_err(|f| words(&f))?;
        Ok(json!({ "raised": done }))
    }
}

fn acknowledging(session: &Session) -> Result<Role, Refusal> {
    let roles = session.principal().roles();
    let role = [Role::Operator, Role::Auditor].into_iter().find(|role| roles.contains(role));
    role.ok_or(Refusal::RoleNotAllowed)
}

pub(super) fn entry(number: EntryNumber) -> Value {
    json!({ "entry": number })
}

pub(super) fn read<T: for<'a> Deserialize<'a>>(body: Value) -> Result<T, Refusal> {
    // The text of serde names fields and types of the caller's own body.
    serde_json::from_value(body).map_err(|fault| not_done_because(&fault.to_string()))
}

pub(super) fn not_done(fault: &dyn std::error::Error) -> Refusal {
    not_done_because(&fault.to_string())
}

pub(super) fn not_done_because(reason: &str) -> Refusal {
    Refusal::NotDone { reason: reason.to_owned() }
}

/// What an administrator reads of a fault of the books: names they gave themselves, else the constant sentence.
pub(super) fn words(fault: &BooksFault) -> Refusal {
    match fault {
        BooksFault::Unknown(_)
        | BooksFault::AlreadyThere(_)
        | BooksFault::Mismatch(_)
        | BooksFault::Audit(AuditFault::NoEntry(_)) => not_done(fault),
        other => failed(other),
    }
}
