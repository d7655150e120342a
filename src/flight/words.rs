//! In whose words does the server say no?
//!
//! In ours alone: clients print a server's error text verbatim, and the texts of the libraries underneath can carry
//! values. Handlers can only return [`No`]; whatever the layers below them say is replaced by [`OwnWords`].

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use tonic::{
    Code, Status,
    body::Body,
    codegen::{
        Service,
        http::{HeaderValue, Request, Response},
    },
    metadata::{MetadataMap, MetadataValue},
    server::NamedService,
};

use crate::terms::{Language, Refusal};

/// The response header that carries the stable code of a refusal.
pub const CODE_HEADER: &str = "sekisho-code";
/// What the names of administrative actions begin with.
pub const ACTION_PREFIX: &str = "sekisho.";

/// Why a call gets no answer.
#[derive(Debug)]
pub(super) enum No {
    /// The gateway or the door turned it away.
    Refused(Refusal),
    /// The protocol has this command, Sekisho does not.
    NotOffered(NotOffered),
}

/// The commands of the protocol that Sekisho does not have.
#[derive(Debug, Clone, Copy)]
pub(super) enum NotOffered {
    Updates,
    Ingest,
    Transactions,
    Substrait,
    Exchange,
    FlightLists,
    Unknown,
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl No {
    /// The one constant sentence for everything that should not have happened.
    pub(super) fn failed() -> Self {
        Self::Refused(Refusal::Failed { entry: None })
    }

    /// A message that no client of the protocol sends.
    pub(super) fn malformed() -> Self {
        Self::Refused(malformed())
    }

    /// What goes on the wire, counted by its code.
    pub(super) fn into_status(self, language: Language) -> Status {
        let (grpc, code, message) = match self {
            Self::Refused(refusal) => {
                let code = refusal.code();
                (grpc_code(&refusal), code, format!("{code}: {}", refusal.sentence(language)))
            }
            Self::NotOffered(what) => (Code::Unimplemented, "not_offered", what.sentence(language).to_owned()),
        };
        metrics::counter!("sekisho_refusals_total", "code" => code).increment(1);
        spoken(grpc, code, message)
    }
}

impl NotOffered {
    fn sentence(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Updates, Language::En) => {
                "not_offered: nothing can be changed through this door; ask questions with SELECT"
            }
            (Self::Updates, Language::Ja) => "not_offered: ここからは何も変更できません。SELECT で質問してください",
            (Self::Ingest, Language::En) => {
                "not_offered: records are loaded by a custodian with sekisho ingest, not through this door"
            }
            (Self::Ingest, Language::Ja) => "not_offered: データの取り込みはデータ管理者が sekisho ingest で行います",
            (Self::Transactions, Language::En) => "not_offered: there are no transactions; every question stands alone",
            (Self::Transactions, Language::Ja) => "not_offered: トランザクションはありません。質問はそれぞれ独立です",
            (Self::Substrait, Language::En) => "not_offered: Substrait plans are not accepted; send SQL",
            (Self::Substrait, Language::Ja) => "not_offered: Substrait は受け付けません。SQL を送ってください",
            (Self::Exchange, Language::En) => "not_offered: data is not exchanged; send SQL",
            (Self::Exchange, Language::Ja) => "not_offered: データ交換はできません。SQL を送ってください",
            (Self::FlightLists, Language::En) => "not_offered: there is no list of flights; see sekisho.tables",
            (Self::FlightLists, Language::Ja) => {
                "not_offered: フライトの一覧はありません。sekisho.tables を参照してください"
            }
            (Self::Unknown, Language::En) => "not_offered: this command is not known here",
            (Self::Unknown, Language::Ja) => "not_offered: この命令はありません",
        }
    }
}

/// What is said of a message that no client of the protocol sends.
pub(super) fn malformed() -> Refusal {
    Refusal::NotAQuestion { hint: "send one well-formed Flight SQL command".into() }
}

fn grpc_code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::NotSignedIn | Refusal::CertificateNotAccepted { .. } | Refusal::TokenNotAccepted { .. } => {
            Code::Unauthenticated
        }
        Refusal::Cancelled => Code::Cancelled,
        Refusal::NoPermit
        | Refusal::PermitNotActive
        | Refusal::NotGranted { .. }
        | Refusal::RoleNotAllowed
        | Refusal::Halted => Code::PermissionDenied,
        Refusal::NotSql { .. }
        | Refusal::NotAQuestion { .. }
        | Refusal::UnknownTable { .. }
        | Refusal::UnknownColumn { .. }
        | Refusal::FunctionNotAllowed { .. }
        | Refusal::RowsNotReleased
        | Refusal::PersonsMixed { .. }
        | Refusal::BoundMissing { .. }
        | Refusal::TooManyGroups { .. }
        | Refusal::TooComplex { .. }
        | Refusal::UnknownSetting { .. }
        | Refusal::NotDone { .. } => Code::InvalidArgument,
        Refusal::BudgetExhausted { .. } | Refusal::TooManyAttempts { .. } => Code::ResourceExhausted,
        Refusal::Busy => Code::Unavailable,
        Refusal::Failed { .. } => Code::Internal,
    }
}

fn spoken(code: Code, ours: &'static str, message: String) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert(CODE_HEADER, MetadataValue::from_static(ours));
    Status::with_metadata(code, message, metadata)
}

/// Replaces every error text that is not ours: too large a message, a broken frame, an unknown method.
#[derive(Clone)]
pub(super) struct OwnWords<S>(pub(super) S);

impl<S: NamedService> NamedService for OwnWords<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for OwnWords<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            if said_by_others(&response) {
                // No account is known at this depth: English.
                response = no_to_strangers(&response).into_status(Language::En).into_http();
            }
            Ok(response)
        })
    }
}

fn said_by_others(response: &Response<Body>) -> bool {
    let status = response.headers().get("grpc-status").map(HeaderValue::as_bytes);
    status.is_some_and(|s| s != b"0") && !response.headers().contains_key(CODE_HEADER)
}

fn no_to_strangers(response: &Response<Body>) -> No {
    match response.headers().get("grpc-status").map(HeaderValue::as_bytes).map(Code::from_bytes) {
        Some(Code::Unimplemented) => No::NotOffered(NotOffered::Unknown),
        // OUT_OF_RANGE and RESOURCE_EXHAUSTED are how the transport names a message above the limit.
        Some(Code::OutOfRange | Code::ResourceExhausted) => {
            No::Refused(Refusal::TooComplex { limit: "a message is larger than 16 MiB".into() })
        }
        Some(Code::InvalidArgument | Code::Internal) => No::malformed(),
        _ => No::failed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reaches_the_client_with_its_code_and_sentence() {
        let status = No::from(Refusal::RowsNotReleased).into_status(Language::En);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with("rows_not_released: rows about persons"), "{}", status.message());
        assert_eq!(status.metadata().get(CODE_HEADER).map(|v| v.as_bytes()), Some(&b"rows_not_released"[..]));
    }

    #[test]
    fn the_sentence_follows_the_language_of_the_account() {
        let status = No::from(Refusal::NoPermit).into_status(Language::Ja);
        assert!(status.message().contains("許可"), "{}", status.message());
    }

    #[test]
    fn every_kind_of_no_has_its_grpc_code() {
        let table = [
            (Refusal::NotSignedIn, Code::Unauthenticated),
            (Refusal::Halted, Code::PermissionDenied),
            (Refusal::NotSql { line: 1, column: 1 }, Code::InvalidArgument),
            (Refusal::BudgetExhausted { left: 0.5 }, Code::ResourceExhausted),
            (Refusal::Busy, Code::Unavailable),
            (Refusal::Failed { entry: Some(7) }, Code::Internal),
        ];
        for (refusal, code) in table {
            assert_eq!(No::from(refusal).into_status(Language::En).code(), code);
        }
    }

    #[test]
    fn words_of_the_libraries_are_replaced_and_ours_are_kept() {
        let theirs = Status::internal("Cannot cast string '001f4a87' to value of Int64").into_http::<Body>();
        assert!(said_by_others(&theirs));
        let ours = No::from(Refusal::Busy).into_status(Language::En).into_http::<Body>();
        assert!(!said_by_others(&ours));
    }
}
