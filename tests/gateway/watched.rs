//! Does the whole chain hold: gateway, published log, witness over HTTP, restored copy, two acknowledgements?

use std::{sync::Arc, time::Duration};

use sekisho::{
    record::{Held, verify_watched_export},
    terms::{Clock, Instant},
    witness::{self, Notary, Publisher, WitnessAddress, newest_known},
};

use super::house::{House, NOON};

async fn a_witness(folder: &std::path::Path, log: &str) -> WitnessAddress {
    Notary::make(folder, "ethics.example/w1").unwrap();
    Notary::add_log(folder, log).unwrap();
    let notary = Arc::new(Notary::open(folder, Clock::from_fn(|| Instant(NOON))).unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, key) = (format!("http://{}", listener.local_addr().unwrap()), notary.key());
    tokio::spawn(witness::serve(notary, listener, std::future::pending()));
    WitnessAddress { url, key }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_cosigns_what_grows_and_finds_the_restored_copy() {
    let mut house = House::new().await;
    let place = tempfile::tempdir().unwrap();
    let witness = a_witness(&place.path().join("w"), &house.books.verifier().to_text()).await;
    let publisher = |house: &House| {
        let clock = Clock::from_fn(|| Instant(NOON));
        let outside = Some(place.path().join("outside/totals"));
        Arc::new(Publisher::new(house.books.clone(), house.folder().join("log"), outside, vec![witness.clone()], clock))
    };
    let publish = |publisher: Arc<Publisher>, n: i64| async move {
        let at = Instant(NOON + n * 60_000_000);
        tokio::task::spawn_blocking(move || publisher.publish(at)).await.unwrap().unwrap().unwrap()
    };
    let hanako = house.asker("hanako", "P-WIDE").await;
    let first = hanako.ask("SELECT COUNT(*) FROM demo.person").await;
    let publishing = publisher(&house);
    let made = publish(Arc::clone(&publishing), 1).await;
    assert!(made.public.contains("ethics.example/w1") && made.totals.contains("ethics.example/w1"), "{}", made.public);
    let proof = house.books.proof(first.receipt().entry).unwrap();
    assert_eq!(proof.verify(&house.books.verifier(), std::slice::from_ref(&witness.key)).unwrap().len(), 1);
    // A backup, then life goes on, witnessed.
    let backup = tempfile::tempdir().unwrap();
    house.books.export(&backup.path().join("export")).unwrap();
    let keys = std::slice::from_ref(&witness.key);
    let verified = verify_watched_export(&backup.path().join("export"), Some(&house.books.verifier()), keys).unwrap();
    assert_eq!(verified.published, Some((made.size, vec!["ethics.example/w1".to_owned()])));
    drop((hanako, publishing));
    house = house.reopened().await;
    let database = house.folder().join("books.db");
    let copies: Vec<_> =
        ["books.db", "books.db-wal"].map(|name| (name, std::fs::read(house.folder().join(name)).ok())).into();
    let hanako = house.asker("hanako", "P-WIDE").await;
    hanako.ask("SELECT AVG(year_of_birth) FROM demo.person").await;
    let spent = house.spent_of_permit("P-WIDE");
    let newest = publish(publisher(&house), 2).await;
    assert!(newest.totals.contains("ethics.example/w1"), "across a restart, from the size that the witness names");
    // The machine is lost; the copy is put back.
    let folder = house.folder().to_owned();
    drop(hanako);
    let house = house
        .reopened_after(|| {
            for (name, bytes) in &copies {
                match bytes {
                    Some(bytes) => std::fs::write(folder.join(name), bytes).unwrap(),
                    None => drop(std::fs::remove_file(folder.join(name))),
                }
            }
            std::fs::remove_dir_all(folder.join("log")).unwrap();
            assert!(database.is_file());
        })
        .await;
    assert!(house.spent_of_permit("P-WIDE") < spent, "it has forgotten a charge");
    let (log, asked) = (house.books.verifier(), vec![witness.clone()]);
    let known = tokio::task::spawn_blocking(move || newest_known(&log, &[], &asked)).await.unwrap().unwrap();
    assert!(matches!(house.books.hold_against(&known).unwrap(), Held::Behind { .. }));
    let hanako = house.asker("hanako", "P-WIDE").await;
    for sql in
        ["SELECT COUNT(*) FROM demo.person", "SELECT COUNT(*) FROM vocab.concept", "SELECT * FROM sekisho.my_budget"]
    {
        assert_eq!(hanako.refusal(sql).await.code(), "halted", "{sql}");
    }
    let act = |who: &'static str, verb: &'static str| {
        let house = &house;
        async move {
            let session = house.sign_in(who).await.session;
            house.gateway.administer(&session, verb, serde_json::json!({})).await
        }
    };
    assert!(
        act("hanako", "restore.acknowledge").await.is_err() && act("reviewer", "restore.acknowledge").await.is_err()
    );
    assert!(act("operator", "restore.acknowledge").await.unwrap()["raised"].is_null());
    assert_eq!(hanako.refusal("SELECT COUNT(*) FROM demo.person").await.code(), "halted");
    assert_eq!(act("auditor", "restore.show").await.unwrap()["suspended"]["operator"], "operator");
    assert!(act("auditor", "restore.acknowledge").await.unwrap()["raised"].is_u64());
    assert!(house.spent_of_permit("P-WIDE") >= spent);
    hanako.ask("SELECT COUNT(*) FROM vocab.concept").await;
    house.later(Duration::from_secs(1));
    // The witness was not there when it was acknowledged: it goes on refusing what is no continuation.
    let made = publish(publisher(&house), 3).await;
    assert!(!made.totals.contains("ethics.example/w1"));
}
