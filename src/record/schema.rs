//! Which tables do the books have?

use super::{data, halts, kept, kept_failures, publish, restore};
use crate::{
    accounts, audit, ledger, permits,
    store::{Detour, Migration},
};

/// Every step of the schema. A step that has shipped is never changed: a change is a further step.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "the walking enclave",
        batches: &[
            ENCLAVE,
            accounts::SCHEMA,
            permits::SCHEMA,
            ledger::SCHEMA,
            audit::SCHEMA,
            data::SCHEMA,
            kept::SCHEMA,
        ],
        detours: &[],
    },
    Migration {
        version: 2,
        name: "halts, roles given by two, client certificates",
        batches: &[halts::SCHEMA, accounts::grants::SCHEMA, accounts::certificates::SCHEMA],
        // Three programs have called something version 2, before they were one.
        detours: &[
            Detour {
                name: "halts",
                lacks: None,
                batches: &[accounts::grants::SCHEMA, accounts::certificates::SCHEMA],
                leads_to: 2,
            },
            Detour {
                name: "checkpoints at fixed instants",
                lacks: None,
                batches: &[halts::SCHEMA, accounts::grants::SCHEMA, accounts::certificates::SCHEMA, kept::EPSILON],
                leads_to: 3,
            },
        ],
    },
    Migration {
        version: 3,
        name: "checkpoints at fixed instants, restored copies",
        batches: &[publish::SCHEMA, restore::SCHEMA, ledger::MARKS, kept::EPSILON],
        // The last statement was added to the step when it had been in use for a few hours.
        detours: &[Detour {
            name: "checkpoints at fixed instants, restored copies",
            lacks: Some(("answers", "epsilon")),
            batches: &[kept::EPSILON],
            leads_to: 3,
        }],
    },
    Migration { version: 4, name: "failures kept as answers", batches: &[kept_failures::SCHEMA], detours: &[] },
];

const ENCLAVE: &str = "
CREATE TABLE enclave (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    name TEXT NOT NULL,
    verifier TEXT NOT NULL
) STRICT;
";
