//! Which ways of saying no does an analyst read?
//!
//! A closed list: a stable code, one sentence, and the fix where there is one. No word depends on a row.

use serde::{Deserialize, Serialize};

use super::hints::{granted_in_japanese, in_japanese, named_in_japanese};

/// The language of an account's messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Japanese.
    Ja,
}

/// Why a call is turned away. Fields hold only names from the caller's own text, from the catalogue or from the permit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    /// Wrong name or password, or a token that is unknown, tampered with or expired.
    NotSignedIn,
    /// Too many sign-ins have failed for this name or from this address, whether or not there is such an account.
    TooManyAttempts {
        /// After so many seconds the next attempt is heard.
        wait_seconds: u64,
    },
    /// No permit was named and there is not exactly one active.
    NoPermit,
    /// The permit is unknown to this account, expired, not yet valid or revoked.
    PermitNotActive,
    /// The permit does not grant this table or column in this position.
    NotGranted {
        /// `schema.table` or `schema.table.column (position)`.
        what: String,
    },
    /// The account's roles do not include this action.
    RoleNotAllowed,
    /// A kill switch is on.
    Halted,
    /// The text is not SQL.
    NotSql {
        /// Line of the fault, from 1; 0 where unknown.
        line: u64,
        /// Column of the fault, from 1; 0 where unknown.
        column: u64,
    },
    /// SQL, but not a question: a definition, a change, a copy, an engine setting.
    NotAQuestion {
        /// What would be accepted instead.
        hint: String,
    },
    /// No such table under this name.
    UnknownTable {
        /// As written by the caller.
        name: String,
    },
    /// No such column under this name.
    UnknownColumn {
        /// As written by the caller.
        name: String,
    },
    /// The function or operator is not on the allow list.
    FunctionNotAllowed {
        /// As written by the caller.
        name: String,
        /// What would be accepted instead.
        hint: String,
    },
    /// The question selects rows about persons instead of aggregates over them.
    RowsNotReleased,
    /// A step would mix rows of several persons before the noise.
    PersonsMixed {
        /// What would be accepted instead.
        hint: String,
    },
    /// A sum or mean has no public bounds.
    BoundMissing {
        /// The column or expression without bounds.
        column: String,
    },
    /// The group keys have more combinations than one release may show.
    TooManyGroups {
        /// The most that one release may have.
        most: u64,
    },
    /// The question is larger than the public limits.
    TooComplex {
        /// Which limit, in words.
        limit: String,
    },
    /// A setting has a name or value that does not exist.
    UnknownSetting {
        /// What is wrong, in words.
        hint: String,
    },
    /// An act of administration that cannot be done as it was asked for.
    NotDone {
        /// Why, in words of the caller's own names.
        reason: String,
    },
    /// A cap would be passed.
    BudgetExhausted {
        /// The largest ε that this account could still ask for under this permit.
        left: f64,
    },
    /// The caller gave up waiting.
    Cancelled,
    /// A client certificate is good, and yet opens nothing here.
    CertificateNotAccepted {
        /// Why, in words.
        reason: String,
    },
    /// A token of the identity provider is genuine, and yet opens nothing here.
    TokenNotAccepted {
        /// Why, in words.
        reason: String,
    },
    /// All places for questions are taken.
    Busy,
    /// Anything that went wrong after data was touched: one constant sentence.
    Failed {
        /// The entry to quote; none where nothing could be recorded.
        entry: Option<u64>,
    },
}

impl Refusal {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotSignedIn => "not_signed_in",
            Self::TooManyAttempts { .. } => "too_many_attempts",
            Self::NoPermit => "no_permit",
            Self::PermitNotActive => "permit_not_active",
            Self::NotGranted { .. } => "not_granted",
            Self::RoleNotAllowed => "role_not_allowed",
            Self::Halted => "halted",
            Self::NotSql { .. } => "not_sql",
            Self::NotAQuestion { .. } => "not_a_question",
            Self::UnknownTable { .. } => "unknown_table",
            Self::UnknownColumn { .. } => "unknown_column",
            Self::FunctionNotAllowed { .. } => "function_not_allowed",
            Self::RowsNotReleased => "rows_not_released",
            Self::PersonsMixed { .. } => "persons_mixed",
            Self::BoundMissing { .. } => "bound_missing",
            Self::TooManyGroups { .. } => "too_many_groups",
            Self::TooComplex { .. } => "too_complex",
            Self::UnknownSetting { .. } => "unknown_setting",
            Self::NotDone { .. } => "not_done",
            Self::BudgetExhausted { .. } => "budget_exhausted",
            Self::Cancelled => "cancelled",
            Self::CertificateNotAccepted { .. } => "certificate_not_accepted",
            Self::TokenNotAccepted { .. } => "token_not_accepted",
            Self::Busy => "busy",
            Self::Failed { .. } => "failed",
        }
    }

    /// One sentence, with the fix where there is one.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        match language {
            Language::En => self.english(),
            Language::Ja => self.japanese(),
        }
    }

    fn english(&self) -> String {
        match self {
            Self::NotSignedIn => "sign in with a valid name and password or token".into(),
            Self::TooManyAttempts { wait_seconds } => {
                format!("too many sign-ins have failed; try again in {wait_seconds} seconds")
            }
            Self::NoPermit => "say under which permit you ask: SET sekisho.permit = 'P-...'".into(),
            Self::PermitNotActive => "this permit is not active for you; see sekisho.my_permits".into(),
            Self::NotGranted { what } => format!("the permit does not grant {what}; leave it out or ask the reviewers for it"),
            Self::RoleNotAllowed => "none of your roles allows this".into(),
            Self::Halted => "stopped by a halt; ask the enclave's auditor".into(),
            Self::NotSql { line: 0, .. } => "not SQL, or not all of it".into(),
            Self::NotSql { line, column } => format!("not SQL at line {line}, column {column}"),
            Self::NotAQuestion { hint } => format!("only questions are answered here; {hint}"),
            Self::UnknownTable { name } => {
                format!("no table {name:?}; sekisho.tables lists those that are here, and why others are never loaded")
            }
            Self::UnknownColumn { name } => {
                format!("no column {name:?}; see sekisho.columns: identifiers, values as the source wrote them and free text \
                         are never loaded")
            }
            Self::FunctionNotAllowed { name, hint } => format!("{name} is not allowed here; {hint}"),
            Self::RowsNotReleased => {
                "rows about persons are never released; select aggregates, such as COUNT(*), with GROUP BY, or try the rows of the _sample schema".into()
            }
            Self::PersonsMixed { hint } => format!("this would mix persons before the noise; {hint}"),
            Self::BoundMissing { column } => {
                format!(
                    "{column} has no public bounds; write least(greatest({column}, lowest), highest), with FILTER (WHERE \
                     {column} IS NOT NULL) where it may be missing: greatest and least pass over NULL"
                )
            }
            Self::TooManyGroups { most } => format!("more than {most} groups; use coarser keys"),
            Self::TooComplex { limit } => format!("too complex: {limit}"),
            Self::UnknownSetting { hint } => hint.clone(),
            Self::NotDone { reason } => reason.clone(),
            Self::BudgetExhausted { left } => {
                let left = millionths_down(*left);
                format!("the budget does not allow this; a question of epsilon {left:.6} still fits: SET sekisho.epsilon = ...")
            }
            Self::Cancelled => "cancelled; what was asked stays charged, and its answer, if there is one, is kept for you".into(),
            Self::CertificateNotAccepted { reason } => format!("this client certificate opens nothing here: {reason}"),
            Self::TokenNotAccepted { reason } => format!("this token opens nothing here: {reason}"),
            Self::Busy => "all places are taken; ask again in a moment".into(),
            Self::Failed { entry: Some(entry) } => format!("failed; quote entry {entry} to the operator"),
            Self::Failed { entry: None } => "failed; tell the operator".into(),
        }
    }

    fn japanese(&self) -> String {
        match self {
            Self::NotSignedIn => "正しい名前とパスワード、またはトークンでサインインしてください".into(),
            Self::TooManyAttempts { wait_seconds } => {
                format!("サインインの失敗が多すぎます。{wait_seconds} 秒後にもう一度試してください")
            }
            Self::NoPermit => "どの許可のもとで質問するかを指定してください: SET sekisho.permit = 'P-...'".into(),
            Self::PermitNotActive => "この許可は現在あなたには有効ではありません。sekisho.my_permits を参照してください".into(),
            Self::NotGranted { what } => {
                let what = spaced(&granted_in_japanese(what));
                format!("許可は {what}を認めていません。外すか、審査委員に申請してください")
            }
            Self::RoleNotAllowed => "あなたの役割ではこの操作はできません".into(),
            Self::Halted => "停止措置により止められています。監査人に問い合わせてください".into(),
            Self::NotSql { line: 0, .. } => "SQL として読めません".into(),
            Self::NotSql { line, column } => format!("SQL として読めません ({line} 行 {column} 文字目)"),
            Self::NotAQuestion { hint } => format!("質問だけを受け付けます。{}", in_japanese(hint)),
            Self::UnknownTable { name } => {
                format!("表 {name:?} はありません。使える表と、読み込まない表の理由は sekisho.tables にあります")
            }
            Self::UnknownColumn { name } => {
                format!("列 {name:?} はありません。sekisho.columns を参照してください。識別子、元データの表記、自由記載は読み込まれません")
            }
            Self::FunctionNotAllowed { name, hint } => {
                format!("{}はここでは使えません。{}", spaced(&named_in_japanese(name)), in_japanese(hint))
            }
            Self::RowsNotReleased => {
                "個人の行は決して提供されません。COUNT(*) などの集計を GROUP BY とともに選択するか、_sample スキーマの行で試してください".into()
            }
            Self::PersonsMixed { hint } => format!("雑音を加える前に複数の個人が混ざります。{}", in_japanese(hint)),
            Self::BoundMissing { column } => {
                format!(
                    "{column} に公開の上下限がありません。least(greatest({column}, 下限), 上限) と書いてください。欠測がありうる列では \
                     FILTER (WHERE {column} IS NOT NULL) を添えてください（greatest と least は NULL を無視します）"
                )
            }
            Self::TooManyGroups { most } => format!("グループが {most} を超えます。粗いキーを使ってください"),
            Self::TooComplex { limit } => format!("複雑すぎます。{}", in_japanese(limit)),
            Self::UnknownSetting { hint } => format!("設定に誤りがあります。{}", in_japanese(hint)),
            Self::NotDone { reason } => format!("実行できません。{}", in_japanese(reason)),
            Self::BudgetExhausted { left } => {
                let left = millionths_down(*left);
                format!("予算が足りません。epsilon {left:.6} までの質問ならできます: SET sekisho.epsilon = ...")
            }
            Self::Cancelled => "取り消されました。質問の予算は使われたままで、回答は保存されています".into(),
            Self::CertificateNotAccepted { reason } => {
                format!("このクライアント証明書は使えません。{}", in_japanese(reason))
            }
            Self::TokenNotAccepted { reason } => format!("このトークンは使えません。{}", in_japanese(reason)),
            Self::Busy => "混み合っています。少し待ってからもう一度質問してください".into(),
            Self::Failed { entry: Some(entry) } => format!("失敗しました。運用者に記録番号 {entry} を伝えてください"),
            Self::Failed { entry: None } => "失敗しました。運用者に連絡してください".into(),
        }
    }
}

/// Between what ends in ASCII and Japanese stands a space.
fn spaced(name: &str) -> String {
    match name.chars().next_back() {
        Some(last) if last.is_ascii() => format!("{name} "),
        _ => name.to_owned(),
    }
}

/// What is written must still fit: never rounded up.
fn millionths_down(value: f64) -> f64 {
    (value * 1e6).floor() / 1e6
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code(), self.sentence(Language::En))
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_on_the_wire_is_the_code_in_the_record() {
        for refusal in [Refusal::NotSignedIn, Refusal::RowsNotReleased, Refusal::TooManyGroups { most: 1 }] {
            let json = serde_json::to_value(&refusal).unwrap_or_default();
            assert_eq!(json.get("code").and_then(|c| c.as_str()), Some(refusal.code()));
        }
    }

    #[test]
    fn in_japanese_the_hint_is_japanese_too() {
        let hint = || "join with =".to_owned();
        for refusal in [
            Refusal::NotAQuestion { hint: hint() },
            Refusal::FunctionNotAllowed { name: "this join".into(), hint: hint() },
            Refusal::PersonsMixed { hint: hint() },
            Refusal::TooComplex { limit: hint() },
            Refusal::UnknownSetting { hint: hint() },
            Refusal::NotDone { reason: hint() },
            Refusal::CertificateNotAccepted { reason: hint() },
            Refusal::TokenNotAccepted { reason: hint() },
        ] {
            let sentence = refusal.sentence(Language::Ja);
            assert!(sentence.ends_with("。= で結合してください"), "{sentence}");
        }
    }

    #[test]
    fn in_japanese_a_name_stays_and_a_description_does_not() {
        for (name, subject) in [("sum", "sum はここでは"), ("this join", "この結合はここでは")] {
            let refusal = Refusal::FunctionNotAllowed { name: name.into(), hint: String::new() };
            let sentence = refusal.sentence(Language::Ja);
            assert!(sentence.starts_with(subject), "{sentence}");
        }
        let sentence = Refusal::NotGranted { what: "demo.death".into() }.sentence(Language::Ja);
        assert!(sentence.starts_with("許可は demo.death を認めていません"), "{sentence}");
        let sentence = Refusal::NotGranted { what: "demo.a, demo.b and 3 more".into() }.sentence(Language::Ja);
        assert!(sentence.starts_with("許可は demo.a, demo.b ほか 3 件を認めていません"), "{sentence}");
    }

    #[test]
    fn what_is_said_to_fit_is_rounded_down() {
        let sentence = Refusal::BudgetExhausted { left: 0.299_999_9 }.sentence(Language::En);
        assert!(sentence.contains("epsilon 0.299999 still fits"), "{sentence}");
    }

    #[test]
    fn the_failure_sentence_is_one_constant_whatever_failed() {
        assert_eq!(Refusal::Failed { entry: None }.sentence(Language::En), "failed; tell the operator");
    }
}
