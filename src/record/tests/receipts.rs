//! Does a receipt prove its entry, and nothing else?

use super::*;
use crate::audit::ReceiptFault;

fn an_answer() -> (Enclave, Books, Receipt) {
    let (enclave, books) = Enclave::new();
    // Two more leaves, so that the proof has more than one hash.
    for _ in 0..2 {
        books.note(Note { kind: "sign_in", account: None, permit: None, body: json!({}) }).unwrap();
    }
    let reservation = books.reserve(charge("P-1", pure(0.5)), question()).unwrap();
    let receipt = books.release(reservation, answer(1, 20.0)).unwrap();
    (enclave, books, receipt)
}

/// The receipt of an answer once its checkpoint is published.
fn a_receipt() -> (Verifier, Receipt) {
    let (_enclave, books, promise) = an_answer();
    books.publish(Instant(60_000_000)).unwrap().unwrap();
    (books.verifier(), books.receipt(promise.entry).unwrap())
}

#[test]
fn an_answer_leaves_with_a_promise_that_the_next_checkpoint_keeps() {
    let (_enclave, books, promise) = an_answer();
    assert_eq!(promise.prove(&books.verifier()), Ok(Proved::Promised("1970-01-01T00:01:00Z".into())));
    assert_eq!(books.receipt(promise.entry).unwrap(), promise, "until then it is the same for whoever asks");
    assert!(books.proof(promise.entry).is_err());
    let made = books.publish(Instant(60_000_000)).unwrap().unwrap();
    let kept = books.receipt(promise.entry).unwrap();
    assert_eq!(kept.prove(&books.verifier()), Ok(Proved::InTheTree(made.size)));
    assert_eq!((&kept.leaf, &kept.body, &kept.salt), (&promise.leaf, &promise.body, &promise.salt));
    // Nothing of what comes after shows before the next instant.
    let later = books.note(Note { kind: "sign_in", account: None, permit: None, body: json!({}) }).unwrap();
    assert_eq!(books.receipt(promise.entry).unwrap(), kept);
    assert!(matches!(books.receipt(later).unwrap().prove(&books.verifier()), Ok(Proved::Promised(_))));
}

#[test]
fn every_flipped_byte_of_a_promise_is_found() {
    let (_enclave, books, promise) = an_answer();
    let json = promise.to_json();
    for place in 0..json.len() {
        for bit in 0..8 {
            let mut bytes = json.clone().into_bytes();
            bytes[place] ^= 1 << bit;
            let read = String::from_utf8(bytes).ok().and_then(|text| Receipt::from_json(&text).ok());
            assert!(read.is_none_or(|r| r.verify(&books.verifier()).is_err()), "byte {place} bit {bit} of {json}");
        }
    }
    let other = Receipt { format: 1, ..promise.clone() };
    assert!(other.verify(&books.verifier()).is_err(), "a promise is no checkpoint");
    books.publish(Instant(60_000_000)).unwrap();
    let receipt = books.receipt(promise.entry).unwrap();
    assert!(Receipt { format: 2, ..receipt }.verify(&books.verifier()).is_err(), "a checkpoint is no promise");
}

#[test]
fn a_clock_that_jumps_back_promises_no_instant_that_is_over() {
    let (enclave, books, _) = an_answer();
    books.publish(Instant(600_000_000)).unwrap().unwrap();
    enclave.hand.store(1_000, Ordering::Relaxed);
    let entry = books.note(Note { kind: "sign_in", account: None, permit: None, body: json!({}) }).unwrap();
    let promised = books.receipt(entry).unwrap().prove(&books.verifier()).unwrap();
    assert_eq!(promised, Proved::Promised("1970-01-01T00:11:00Z".into()));
    assert_eq!(books.publish(Instant(60_000_000)).unwrap(), None, "and none is published twice");
}

#[test]
fn a_receipt_verifies_offline_with_the_public_key_alone() {
    let (verifier, receipt) = a_receipt();
    let (key, json) = (verifier.to_text(), receipt.to_json());
    // Elsewhere, later, with two texts.
    let read = Receipt::from_json(&json).unwrap();
    assert_eq!(read.verify(&Verifier::from_text(&key).unwrap()), Ok(()));
    assert!(read.proof.len() > 1, "a tree of several leaves");
}

#[test]
fn every_flipped_byte_of_a_receipt_is_found() {
    let (verifier, receipt) = a_receipt();
    let json = receipt.to_json();
    for place in 0..json.len() {
        for bit in 0..8 {
            let mut bytes = json.clone().into_bytes();
            bytes[place] ^= 1 << bit;
            let read = String::from_utf8(bytes).ok().and_then(|text| Receipt::from_json(&text).ok());
            let holds = read.is_some_and(|receipt| receipt.verify(&verifier).is_ok());
            assert!(!holds, "byte {place} bit {bit} of {json}");
        }
    }
}

#[test]
fn each_part_of_a_receipt_is_held_by_the_others() {
    let (verifier, good) = a_receipt();
    let fault = |spoil: fn(&mut Receipt)| {
        let mut receipt = good.clone();
        spoil(&mut receipt);
        receipt.verify(&verifier).unwrap_err()
    };
    assert_eq!(fault(|r| r.body = r.body.replace("0.05", "0.06")), ReceiptFault::Leaf);
    assert_eq!(fault(|r| r.salt = "00".repeat(32)), ReceiptFault::Leaf);
    assert_eq!(fault(|r| r.leaf = "00".repeat(32)), ReceiptFault::Leaf);
    assert_eq!(fault(|r| r.entry = EntryNumber(0)), ReceiptFault::Inclusion);
    assert_eq!(fault(|r| r.proof.reverse()), ReceiptFault::Inclusion);
    assert_eq!(fault(|r| drop(r.proof.pop())), ReceiptFault::Inclusion);
    assert!(matches!(fault(|r| r.checkpoint = r.checkpoint.replacen("test", "toast", 1)), ReceiptFault::Checkpoint(_)));
    assert_eq!(fault(|r| r.format = 3), ReceiptFault::NotAReceipt);
    let (other, _) = a_receipt();
    assert!(matches!(good.verify(&other), Err(ReceiptFault::Checkpoint(_))));
}

#[test]
fn a_receipt_shows_an_analyst_nothing_of_others() {
    let (_enclave, books) = Enclave::new();
    let rival = Charge { account: who("taro"), ..charge("P-2", pure(0.25)) };
    let reservation = books.reserve(rival, question()).unwrap();
    let _ = books.release(reservation, answer(9, 1.0)).unwrap();
    let reservation = books.reserve(charge("P-1", pure(0.5)), question()).unwrap();
    let json = books.release(reservation, answer(1, 20.0)).unwrap().to_json();
    for canary in ["taro", "P-2", "population/", "ledger "] {
        assert!(!json.contains(canary), "{canary} in {json}");
    }
}

#[test]
fn any_entry_can_be_proved_later_to_those_who_may_read_it() {
    let (_enclave, books) = Enclave::new();
    let said = json!({"code": "rows_not_released"});
    let (account, permit) = (Some(who("hanako")), Some(permit_id("P-1")));
    let refused = books.note(Note { kind: "refusal", account, permit, body: said }).unwrap();
    for _ in 0..20 {
        books.note(Note { kind: "sign_in", account: None, permit: None, body: json!({}) }).unwrap();
    }
    for number in 0..books.size().unwrap() {
        assert_eq!(books.receipt(EntryNumber(number)).unwrap().verify(&books.verifier()), Ok(()));
    }
    let entry = body(&books, refused);
    assert_eq!((entry["kind"].as_str(), entry["permit"].as_str()), (Some("refusal"), Some("P-1")));
    assert!(books.receipt(EntryNumber(books.size().unwrap())).is_err());
}
