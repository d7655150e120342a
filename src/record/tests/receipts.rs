//! Does a receipt prove its entry, and nothing else?

use super::*;
use crate::audit::ReceiptFault;

fn a_receipt() -> (Verifier, Receipt) {
    let (_enclave, books) = Enclave::new();
    // Two more leaves, so that the proof has more than one hash.
    for _ in 0..2 {
        books.note(Note { kind: "sign_in", account: None, permit: None, body: json!({}) }).unwrap();
    }
    let reservation = books.reserve(charge("P-1", pure(0.5)), question()).unwrap();
    (books.verifier(), books.release(reservation, answer(1, 20.0)).unwrap())
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
    assert_eq!(fault(|r| r.format = 2), ReceiptFault::NotAReceipt);
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
