//! How are released values put away, so that the same question gets the same bytes?

use std::io::Cursor;

use datafusion::arrow::{
    array::RecordBatch,
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::deadline::Fault;
use crate::{
    audit::Receipt,
    privacy::{Mechanism, Noisy, Plan, Target},
    record::{Admission, Books, BooksFault, Denied, Kept, Released, Reservation},
    terms::{Charge, EntryNumber, PermitId, Refusal},
};

/// What is known of a question from earlier.
#[derive(Clone)]
pub(super) enum Before {
    /// Nothing that would serve.
    Never,
    /// The asking permit has bought it.
    Own(Own),
    /// Another permit has, with the very noise that this one would buy: it is sold again, as if it were new.
    Others(Box<Kept>),
}

/// What the asking permit has of its own.
#[derive(Clone)]
pub(super) enum Own {
    Answer(Box<Kept>),
    Failure(EntryNumber),
}

impl Before {
    pub(super) fn of(kept: Kept, asking: &PermitId) -> Self {
        let kept = Box::new(kept);
        if kept.bought_by == *asking { Self::Own(Own::Answer(kept)) } else { Self::Others(kept) }
    }

    /// Takes the charge from all caps that have to bear it.
    pub(super) fn reserve(self, books: &Books, charge: Charge, question: Admission) -> Result<Reservation, Denied> {
        match self {
            Self::Never | Self::Own(_) => books.reserve(charge, question),
            Self::Others(kept) => books.reserve_for_kept(charge, question, &kept),
        }
    }

    /// The released values that are there already.
    pub(super) fn noisy(self) -> Result<Option<(Noisy, Box<Kept>)>, Fault> {
        match self {
            Self::Never | Self::Own(_) => Ok(None),
            Self::Others(kept) => Ok(Some((unpack(&kept.answer).map_err(|_| Unreadable)?, kept))),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a kept answer cannot be read")]
struct Unreadable;

#[derive(Debug, thiserror::Error)]
#[error("an answer cannot be put away")]
struct NotKept;

/// Released values before they are on record.
pub(super) struct Made {
    pub(super) noisy: Noisy,
    pub(super) outcome: Outcome,
}

/// What the books are to hold of it.
pub(super) enum Outcome {
    New(Released),
    Again(Box<Kept>),
}

impl Made {
    pub(super) fn of(plan: &Plan, key: [u8; 32], noisy: Noisy, bought: Option<Box<Kept>>) -> Result<Self, Fault> {
        let outcome = match bought {
            Some(kept) => Outcome::Again(kept),
            None => Outcome::New(released(plan, key, &noisy).map_err(|_| NotKept)?),
        };
        Ok(Self { noisy, outcome })
    }
}

impl Outcome {
    /// Settles, records and keeps, in one durable transaction.
    pub(super) fn release(self, books: &Books, reservation: Reservation) -> Result<Receipt, BooksFault> {
        match self {
            Self::New(released) => books.release(reservation, released),
            Self::Again(kept) => books.release_kept(reservation, &kept),
        }
    }
}

/// The noised batches as bytes: for each its length, then an Arrow IPC stream.
pub(super) fn pack(noisy: &Noisy) -> Result<Vec<u8>, Refusal> {
    let mut bytes = vec![];
    for batch in noisy.releases() {
        let stream = write(batch).map_err(|_| Refusal::Failed { entry: None })?;
        bytes.extend(u64::try_from(stream.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend(stream);
    }
    Ok(bytes)
}

/// What [`pack`] wrote.
pub(super) fn unpack(mut bytes: &[u8]) -> Result<Noisy, Refusal> {
    let broken = || Refusal::Failed { entry: None };
    let mut batches = vec![];
    while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
        let length = usize::try_from(u64::from_be_bytes(*length)).map_err(|_| broken())?;
        let (stream, after) = rest.split_at_checked(length).ok_or_else(broken)?;
        let mut reader = StreamReader::try_new(Cursor::new(stream), None).map_err(|_| broken())?;
        let schema = reader.schema();
        let batch = reader.next().transpose().map_err(|_| broken())?;
        batches.push(batch.unwrap_or_else(|| RecordBatch::new_empty(schema)));
        bytes = after;
    }
    Ok(Noisy::kept(batches))
}

fn write(batch: &RecordBatch) -> Result<Vec<u8>, datafusion::arrow::error::ArrowError> {
    let mut writer = StreamWriter::try_new(vec![], &batch.schema())?;
    writer.write(batch)?;
    writer.into_inner()
}

/// What the books keep of a release.
fn released(plan: &Plan, key: [u8; 32], noisy: &Noisy) -> Result<Released, Refusal> {
    let answer_ipc = pack(noisy)?;
    Ok(Released {
        key,
        answer_sha256: Sha256::digest(&answer_ipc).into(),
        answer_ipc,
        half_widths: plan.half_widths(),
        epsilon: plan.priced().epsilon,
        mechanisms: mechanisms(plan),
    })
}

/// Which mechanisms a plan draws from, with bounds and scales: two plans that say the same here are answered alike.
pub(super) fn mechanisms(plan: &Plan) -> Value {
    plan.priced().mechanisms.iter().map(described).collect()
}

fn described(mechanism: &Mechanism) -> Value {
    let target = match mechanism.target {
        Target::Selection => json!("selection"),
        Target::Partial(index) => json!(index),
    };
    json!({
        "release": mechanism.release,
        "target": target,
        "mechanism": mechanism.family.as_str(),
        "scale": mechanism.scale.to_string(),
        "unit": mechanism.unit.to_string(),
        "bound_per_group": mechanism.bound,
        "groups_per_person": mechanism.groups,
        "threshold": mechanism.threshold,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array};

    use super::*;

    #[test]
    fn what_is_put_away_comes_back_to_the_bit() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(-3), None]));
        let widths: ArrayRef = Arc::new(Float64Array::from(vec![0.1, 1e300]));
        let one = RecordBatch::try_from_iter([("c0", numbers), ("c1", widths)]).unwrap();
        let none = one.slice(0, 0);
        let noisy = Noisy::kept(vec![one, none]);
        let bytes = pack(&noisy).unwrap();
        let back = unpack(&bytes).unwrap();
        assert_eq!(back.releases(), noisy.releases());
        assert_eq!(pack(&back).unwrap(), bytes, "the same bytes again");
        assert!(unpack(&bytes[..bytes.len() - 1]).is_err());
    }
}
