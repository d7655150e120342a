//! Who comes in, who gives roles, and whose sessions end when?

use std::{net::IpAddr, time::Duration};

use sekisho::terms::Refusal;
use serde_json::{Value, json};

use super::house::{House, PASSWORD};

const HERE: &str = "192.0.2.1";
const ELSEWHERE: &str = "198.51.100.7";

fn from(address: &str) -> Option<IpAddr> {
    Some(address.parse().unwrap())
}

async fn act(house: &House, who: &str, verb: &str, body: Value) -> Result<Value, Refusal> {
    let who = house.sign_in(who).await;
    house.gateway.administer(&who.session, verb, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_watches_over_others_takes_two_of_its_holders() {
    let house = House::new().await;
    for (role, first, second) in [
        ("reviewer", "reviewer", "reviewer2"),
        ("auditor", "auditor", "auditor2"),
        ("custodian", "custodian", "custodian2"),
    ] {
        let name = format!("new-{role}");
        let new = json!({"name": name, "roles": [role], "password": PASSWORD});
        act(&house, first, "account.add", new).await.unwrap();
        let account = || house.books.account(&name.parse().unwrap()).unwrap().unwrap();
        assert!(account().roles.is_empty(), "begun, and no more");
        let token = house.gateway.sign_in(&name, PASSWORD).await.unwrap();
        let session = house.gateway.authenticate(&token).await.unwrap();
        let nothing = house.gateway.administer(&session, "permit.list", Value::Null).await;
        assert_eq!(nothing, Err(Refusal::RoleNotAllowed));
        let grant = json!({"name": name, "role": role});
        assert!(act(&house, first, "account.grant", grant.clone()).await.is_err(), "the same holder twice");
        for other in ["operator", "hanako", &name] {
            assert_eq!(
                act(&house, other, "account.grant", grant.clone()).await,
                Err(Refusal::RoleNotAllowed),
                "{other}"
            );
        }
        assert!(account().roles.is_empty());
        let done = act(&house, second, "account.grant", grant.clone()).await.unwrap();
        assert_eq!(done["granted"], true);
        assert_eq!(account().roles.len(), 1);
        assert!(house.gateway.authenticate(&token).await.is_err(), "signed in anew to act with the new role");
        assert!(act(&house, second, "account.grant", grant).await.is_err(), "it has the role");
    }
    assert_eq!((house.count("role_grant_begun"), house.count("role_granted")), (3, 3));
    // To an account that is there, in the same two steps; and a role of operators in one.
    let grant = json!({"name": "kei", "role": "auditor"});
    assert_eq!(act(&house, "auditor2", "account.grant", grant.clone()).await.unwrap()["granted"], false);
    let listed = act(&house, "auditor", "account.list", Value::Null).await.unwrap();
    let kei = listed.as_array().unwrap().iter().find(|a| a["name"] == "kei").unwrap();
    assert_eq!((&kei["roles"], &kei["begun"]), (&json!(["analyst"]), &json!(["auditor"])));
    // A first holder who may no longer sign in does not count.
    act(&house, "operator", "account.disable", json!({"name": "auditor2"})).await.unwrap();
    assert_eq!(act(&house, "auditor", "account.grant", grant.clone()).await.unwrap()["granted"], false);
    assert_eq!(act(&house, "new-auditor", "account.grant", grant).await.unwrap()["granted"], true);
    let single = json!({"name": "kei", "role": "operator"});
    assert_eq!(act(&house, "operator", "account.grant", single).await.unwrap()["granted"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_down_alike_for_names_that_exist_and_that_do_not() {
    let house = House::new().await;
    for name in ["hanako", "nobody-has-this", "not a name at all!"] {
        for _ in 0..10 {
            let no = house.gateway.sign_in_from(name, "a wrong password", from(HERE)).await;
            assert_eq!(no, Err(Refusal::NotSignedIn), "{name}");
        }
        let waits = house.gateway.sign_in_from(name, "a wrong password", from(HERE)).await;
        assert_eq!(waits, Err(Refusal::TooManyAttempts { wait_seconds: 30 }), "{name}");
    }
    let refused = house.count("login_refused");
    let right = house.gateway.sign_in_from("hanako", PASSWORD, from(HERE)).await;
    assert_eq!(right, Err(Refusal::TooManyAttempts { wait_seconds: 30 }), "the right password waits, too");
    assert_eq!(house.count("login_refused"), refused, "who has to wait is heard no further");
    assert!(house.gateway.sign_in_from("hanako", PASSWORD, from(ELSEWHERE)).await.is_ok(), "the owner elsewhere");
    house.later(Duration::from_secs(30));
    assert!(house.gateway.sign_in_from("hanako", PASSWORD, from(HERE)).await.is_ok());
    assert!(house.gateway.sign_in_from("hanako", "a wrong password", from(HERE)).await == Err(Refusal::NotSignedIn));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_at_the_sign_in_is_turned_away_and_the_signed_in_are_answered_meanwhile() {
    let house = House::new().await;
    let hanako = house.asker("hanako", "P-WIDE").await;
    let crowd: Vec<_> = (0..200)
        .map(|n| {
            let gateway = std::sync::Arc::clone(&house.gateway);
            let address = from(&format!("203.0.113.{n}"));
            tokio::spawn(async move { gateway.sign_in_from("jiro", "a wrong password", address).await })
        })
        .collect();
    hanako.ask("SELECT COUNT(*) AS n FROM demo.person").await;
    let (mut busy, mut heard) = (0, 0);
    for one in crowd {
        match one.await.unwrap() {
            Err(Refusal::Busy) => busy += 1,
            Err(Refusal::NotSignedIn | Refusal::TooManyAttempts { .. }) => heard += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(busy > 0 && heard >= 64, "{busy} turned away, {heard} heard");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_ended_by_their_owner_and_by_operators() {
    let house = House::new().await;
    let token = house.gateway.sign_in_from("hanako", PASSWORD, from(HERE)).await.unwrap();
    let second = house.gateway.sign_in_from("hanako", PASSWORD, from(ELSEWHERE)).await.unwrap();
    let session = house.gateway.authenticate(&token).await.unwrap();
    let jiro = house.sign_in("jiro").await;
    let own = house.gateway.administer(&session, "session.list", Value::Null).await.unwrap();
    let own = own.as_array().unwrap();
    assert_eq!(own.len(), 2, "one's own alone: {own:?}");
    assert!(own.iter().all(|s| s["account"] == "hanako" && s["way"] == "password"));
    let this = own.iter().find(|s| s["this"] == true).unwrap();
    assert_eq!(this["address"], HERE);
    let other = own.iter().find(|s| s["this"] == false).unwrap()["session"].clone();
    let to_end = json!({ "session": other });
    assert!(house.gateway.administer(&jiro.session, "session.end", to_end.clone()).await.is_err(), "not jiro's");
    house.gateway.administer(&session, "session.end", to_end.clone()).await.unwrap();
    assert!(house.gateway.authenticate(&second).await.is_err());
    assert!(house.gateway.administer(&session, "session.end", to_end).await.is_err(), "it has ended");
    let all = act(&house, "auditor", "session.list", Value::Null).await.unwrap();
    assert!(all.as_array().unwrap().iter().any(|s| s["account"] == "jiro"));
    act(&house, "operator", "session.end", json!({"session": this["session"]})).await.unwrap();
    assert!(house.gateway.authenticate(&token).await.is_err());
    assert_eq!(house.count("session_ended"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_ends_every_session_and_the_old_one_is_worth_nothing() {
    let house = House::new().await;
    let tokens = [
        house.gateway.sign_in("hanako", PASSWORD).await.unwrap(),
        house.gateway.sign_in("hanako", PASSWORD).await.unwrap(),
    ];
    let change = |old: &str, new: &str| json!({"old": old, "new": new});
    let new = "quite another long password";
    assert_eq!(act(&house, "hanako", "account.password", change("wrong", new)).await, Err(Refusal::NotSignedIn));
    let weak = act(&house, "hanako", "account.password", change(PASSWORD, "short")).await.unwrap_err();
    assert_eq!(weak.code(), "not_done");
    assert!(house.gateway.authenticate(&tokens[0]).await.is_ok(), "nothing has changed yet");
    act(&house, "hanako", "account.password", change(PASSWORD, new)).await.unwrap();
    for token in &tokens {
        assert_eq!(house.gateway.authenticate(token).await.err(), Some(Refusal::NotSignedIn));
    }
    assert_eq!(house.gateway.sign_in("hanako", PASSWORD).await, Err(Refusal::NotSignedIn));
    assert!(house.gateway.sign_in("hanako", new).await.is_ok());
    assert_eq!(house.count("password_changed"), 1);
    let said =
        house.entries().iter().any(|e| e.body.contains(new) || e.body.contains(PASSWORD) || e.body.contains("argon2"));
    assert!(!said, "neither password nor hash stands in the log");
}
