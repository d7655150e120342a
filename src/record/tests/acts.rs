//! What can be done to the books, one of each kind, and what do they look like before and after?

use std::path::Path;

use serde_json::Value;

use super::*;
use crate::terms::{Fingerprint, SourceName, VocabularyName};

/// An act that can be done now.
pub type Doing = Box<dyn FnOnce(&Books) -> Result<(), String>>;

/// One act on the books. Each is one durable transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    Reserve,
    Release,
    Fail,
    ServeKept,
    SellAgain,
    Note,
    Account,
    Disable,
    Grant,
    Revoke,
    Caps,
    Activate,
    Vocabulary,
    Halt,
    Lift,
    EndByHalt,
    Role,
    Password,
    Certificate,
    Publish,
}

impl Act {
    pub const ALL: [Self; 20] = [
        Self::Reserve,
        Self::Release,
        Self::Fail,
        Self::ServeKept,
        Self::SellAgain,
        Self::Note,
        Self::Account,
        Self::Disable,
        Self::Grant,
        Self::Revoke,
        Self::Caps,
        Self::Activate,
        Self::Vocabulary,
        Self::Halt,
        Self::Lift,
        Self::EndByHalt,
        Self::Role,
        Self::Password,
        Self::Certificate,
        Self::Publish,
    ];

    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|act| format!("{act:?}") == name).unwrap()
    }

    /// Does what has to be there before the act; then the act can be done, once.
    pub fn prepare(self, books: &Books) -> Doing {
        self.prepare_padded(books, 0)
    }

    /// The same, with texts longer by `pad` where the act has any.
    pub fn prepare_padded(self, books: &Books, pad: usize) -> Doing {
        let long = " ".repeat(pad);
        let question = move || Admission { sql: format!("{}{long}", question().sql), ..question() };
        let long = " ".repeat(pad);
        let buy = |id: &str| {
            let reservation = books.reserve(charge(id, pure(0.25)), question()).unwrap();
            books.release(reservation, answer(7, 20.0)).unwrap()
        };
        match self {
            Self::Reserve => {
                Box::new(move |b| b.reserve(charge("P-1", pure(0.5)), question()).map(drop).map_err(|e| e.to_string()))
            }
            Self::Release => {
                let reservation = books.reserve(charge("P-1", pure(0.5)), question()).unwrap();
                Box::new(move |b| said(b.release(reservation, answer(1, 20.0))))
            }
            Self::Fail => {
                let reservation = books.reserve(charge("P-1", pure(0.5)), question()).unwrap();
                Box::new(move |b| said(b.fail(reservation)))
            }
            Self::ServeKept | Self::SellAgain => {
                buy("P-1");
                let id = if self == Self::ServeKept { "P-1" } else { "P-2" };
                let kept = books.kept(&[7; 32], &permit_id(id), |_, _| true).unwrap().unwrap();
                Box::new(move |b| {
                    b.serve_kept(charge(id, pure(0.25)), question(), &kept).map(drop).map_err(|e| e.to_string())
                })
            }
            Self::Note => Box::new(move |b| {
                let (account, body) = (Some(who("hanako")), json!({"refusal": "no_permit", "sql": long}));
                said(b.note(super::Note { kind: "refusal", account, permit: None, body }))
            }),
            Self::Account => Box::new(|b| said(b.add_account(Some(&who("review")), account("saburo", Role::Analyst)))),
            Self::Disable => Box::new(|b| said(b.disable_account(&who("review"), &who("taro")))),
            Self::Grant => {
                Box::new(|b| said(b.grant_permit(&who("review"), permit("P-3", Cap::new(1.0, 1e-7).unwrap()))))
            }
            Self::Revoke => {
                Box::new(move |b| said(b.revoke_permit(&who("review"), &permit_id("P-2"), &format!("asked for{long}"))))
            }
            Self::Caps => Box::new(|b| {
                let cap = Cap::new(9.0, 1e-7).unwrap();
                said(b.declare_caps(&population(), cap, &dataset(), cap))
            }),
            Self::Activate => {
                Box::new(|b| {
                    let source = SourceName::new("hospital").unwrap();
                    let version = DataVersion(1);
                    said(b.activate(
                        "jun",
                        Activation { dataset: dataset(), version, manifest_mac: "ab".repeat(32), source },
                    ))
                })
            }
            Self::Vocabulary => Box::new(move |b| {
                let declaration = VocabularyDeclaration {
                    name: VocabularyName::new("vocab").unwrap(),
                    release: "2026-01".into(),
                    version: DataVersion(1),
                    statement: format!("published without any of these persons{long}"),
                };
                said(b.declare_vocabulary(Some(&who("review")), declaration))
            }),
            Self::Halt => Box::new(move |b| said(b.halt(&who("review"), second_permit(), &format!("asked for{long}")))),
            Self::Lift => {
                books.halt(&who("review"), second_permit(), "asked for").unwrap();
                books.lift(&who("review"), second_permit()).unwrap();
                Box::new(|b| said(b.lift(&who("taro"), second_permit())))
            }
            Self::EndByHalt => {
                let reservation = books.reserve(charge("P-1", pure(0.5)), question()).unwrap();
                Box::new(move |b| said(b.end_by_halt(reservation)))
            }
            Self::Role => Box::new(|b| said(b.grant_role(&who("review"), &who("taro"), Role::Operator))),
            Self::Password => Box::new(|b| said(b.change_password(&who("taro"), "$argon2id$another".into()))),
            Self::Certificate => Box::new(|b| said(b.add_certificate(&who("taro"), Fingerprint::of(b"a certificate")))),
            Self::Publish => {
                buy("P-1");
                Box::new(|b| said(b.publish(Instant(60_000_000))))
            }
        }
    }
}

/// A halt of it stops nothing that these tests go on with.
fn second_permit() -> HaltTarget {
    HaltTarget::Permit(permit_id("P-2"))
}

fn said<T>(outcome: Result<T, BooksFault>) -> Result<(), String> {
    outcome.map(drop).map_err(|fault| fault.to_string())
}

/// Everything that the books hold, times and salts aside: what two runs of the same acts have in common.
pub fn picture(books: &Books) -> Vec<String> {
    let mut lines: Vec<String> = books
        .entries(0..u64::MAX)
        .unwrap()
        .into_iter()
        .map(|entry| {
            let mut body: Value = serde_json::from_str(&entry.body).unwrap();
            body["at"] = json!(null);
            for timed in ["log", "not_after"] {
                body["detail"].as_object_mut().map(|detail| detail.remove(timed));
            }
            body.to_string()
        })
        .collect();
    lines.push(serde_json::to_string(&books.budgets().unwrap()).unwrap());
    lines.extend(books.accounts().unwrap().iter().map(|a| format!("{} {:?} {}", a.name, a.roles, a.disabled)));
    lines.extend(books.permits().unwrap().into_iter().map(|mut permit| {
        if let PermitState::Revoked { at, .. } = &mut permit.state {
            *at = Instant(0);
        }
        serde_json::to_string(&permit).unwrap()
    }));
    lines.extend(books.accounts().unwrap().iter().map(|a| a.password_hash.clone()));
    lines.extend(
        books.halts().unwrap().iter().map(|h| format!("{} {} {:?} {:?}", h.number, h.target, h.asked_by, h.lifted_by)),
    );
    lines.extend(books.certificates().unwrap().iter().map(|c| format!("{} {}", c.fingerprint, c.account)));
    // A root is another one each time: it is over salted leaves.
    lines.extend(books.published().unwrap().map(|made| format!("published {} {}", made.at, made.size)));
    lines.push(format!("{:?} {:?}", books.activation(&dataset()).unwrap(), books.vocabularies().unwrap()));
    let kept = "SELECT release, key, permit, hex(answers.answer), answers.entry
                FROM kept JOIN answers ON kept.answer = answers.entry ORDER BY release";
    let kept = books.store.read(|c| {
        let mut statement = c.prepare(kept)?;
        let rows = statement.query_map([], |r| {
            Ok(format!(
                "kept {} {:?} {} {} {}",
                r.get::<_, i64>(0)?,
                r.get::<_, Vec<u8>>(1)?,
                r.get::<_, String>(2)?,
                r.get::<_, String>(3)?,
                r.get::<_, i64>(4)?
            ))
        })?;
        Ok::<_, BooksFault>(rows.collect::<Result<Vec<_>, _>>()?)
    });
    lines.extend(kept.unwrap());
    let failures = books.store.read(|c| {
        let mut statement = c.prepare("SELECT entry, key, permit FROM kept_failures ORDER BY entry")?;
        let rows = statement.query_map([], |r| {
            Ok(format!("failed {} {:?} {}", r.get::<_, i64>(0)?, r.get::<_, Vec<u8>>(1)?, r.get::<_, String>(2)?))
        })?;
        Ok::<_, BooksFault>(rows.collect::<Result<Vec<_>, _>>()?)
    });
    lines.extend(failures.unwrap());
    lines
}

/// Whatever happened: the log verifies, the ledger is its sum, every charge has its record and every record its charge,
/// every kept answer has the release that states its hash, and nothing is open.
pub fn sound(books: &Books, scratch: &Path) {
    let _ = std::fs::remove_dir_all(scratch);
    books.export(scratch).unwrap();
    let verified = verify_export(scratch, Some(&books.verifier())).unwrap();
    std::fs::remove_dir_all(scratch).unwrap();
    assert_eq!(verified.totals, books.budgets().unwrap());
    assert_eq!(verified.totals.open, Vec::<u64>::new(), "open after a start");
    let entries = books.entries(0..u64::MAX).unwrap();
    let bodies: Vec<Value> = entries.iter().map(|e| serde_json::from_str(&e.body).unwrap()).collect();
    let of_kind = |kind: &str| bodies.iter().filter(|b| b["kind"] == kind).count() as u64;
    let counted = |sql: &'static str| {
        let count: i64 = books.store.read(|c| Ok::<_, BooksFault>(c.query_row(sql, [], |r| r.get(0))?)).unwrap();
        u64::try_from(count).unwrap()
    };
    assert_eq!(counted("SELECT count(*) FROM reservations"), of_kind("admission"), "charges and admissions");
    assert_eq!(counted("SELECT count(*) FROM reservations WHERE ending = 'released'"), of_kind("release"));
    let ended = of_kind("failure") + of_kind("ended_by_halt");
    assert_eq!(counted("SELECT count(*) FROM reservations WHERE ending = 'failed'"), ended);
    assert_eq!(counted("SELECT count(*) FROM reservations WHERE ending = 'recovered'"), of_kind("recovered"));
    assert_eq!(counted("SELECT count(*) FROM kept"), of_kind("release"), "answers and releases");
    assert_eq!(counted("SELECT count(*) FROM kept_failures"), of_kind("failure"), "failures are kept");
    let answers = books.store.read(|c| {
        let mut statement =
            c.prepare("SELECT release, answers.answer FROM kept JOIN answers ON kept.answer = answers.entry")?;
        let rows = statement.query_map([], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, Vec<u8>>(1)?)))?;
        Ok::<_, BooksFault>(rows.collect::<Result<Vec<_>, _>>()?)
    });
    for (release, answer) in answers.unwrap() {
        let stated = &bodies[usize::try_from(release).unwrap()]["detail"]["answer_sha256"];
        assert_eq!(*stated, crate::audit::to_hex(&Sha256::digest(&answer)), "no answer without its record");
    }
}
