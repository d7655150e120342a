//! Who comes in by a client certificate, and what does the server show?

use std::time::Duration;

use rcgen::{
    CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams,
};
use sekisho::{
    certificates::{self, issue, issue_client, renew},
    cli::client::{Client, ClientFault, ConnectTo},
    flight::{DoorLimits, ServerIdentity, Tls},
    terms::{Clock, Instant},
};
use serde_json::json;

use super::{SHORT, Served, code, identity};

fn now() -> Instant {
    Clock::of_the_machine().now()
}

/// A certificate and its key for `account`, under the CA with this key.
fn client_of(ca_key_pem: &str, account: &str, at: Instant) -> (String, String) {
    let made = issue_client("stories", ca_key_pem, account, at).unwrap();
    (made.pem, made.key_pem)
}

async fn connect(served: &Served, certificate: &(String, String)) -> Result<Client, ClientFault> {
    Client::connect(&ConnectTo { certificate: Some(certificate.clone()), ..served.to("") }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_opens_the_account_that_registered_it_until_it_is_revoked() {
    let served = Served::new(DoorLimits::default()).await;
    let own = client_of(&served.certificates.ca_key_pem, "hanako", now());
    let fingerprint = certificates::fingerprint(&own.0).unwrap();
    // Its name says hanako; that alone opens nothing.
    let fault = connect(&served, &own).await.unwrap_err();
    assert_eq!(code(&fault), "certificate_not_accepted");
    assert!(fault.to_string().contains("no account has registered it"), "{fault}");
    let hanako = served.client("hanako").await;
    hanako.administer("certificate.add", json!({ "fingerprint": fingerprint })).await.unwrap();
    let certified = connect(&served, &own).await.unwrap();
    certified.clone().with_setting("permit", "P-WIDE").unwrap().query(SHORT).await.unwrap();
    let sessions = certified.administer("session.list", serde_json::Value::Null).await.unwrap();
    let ways: Vec<_> = sessions.as_array().unwrap().iter().map(|s| s["way"].clone()).collect();
    assert!(ways.contains(&json!("certificate")) && ways.contains(&json!("password")), "{ways:?}");
    // Another account cannot take it over, nor revoke it.
    let jiro = served.client("jiro").await;
    assert!(jiro.administer("certificate.add", json!({ "fingerprint": fingerprint })).await.is_err());
    assert!(jiro.administer("certificate.revoke", json!({ "fingerprint": fingerprint })).await.is_err());
    let operator = served.client("operator").await;
    operator.administer("certificate.revoke", json!({ "fingerprint": fingerprint })).await.unwrap();
    assert_eq!(code(&certified.query(SHORT).await.unwrap_err()), "not_signed_in", "its session has ended");
    let fault = connect(&served, &own).await.unwrap_err();
    assert!(fault.to_string().contains("revoked"), "{fault}");
    let hanako = served.client("hanako").await;
    assert!(hanako.administer("certificate.add", json!({ "fingerprint": fingerprint })).await.is_err(), "for good");
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_strangers_and_of_yesterday_do_not_pass_the_handshake() {
    let served = Served::new(DoorLimits::default()).await;
    let foreign = issue("elsewhere", &[], now()).unwrap();
    let theirs = issue_client("elsewhere", &foreign.ca_key_pem, "hanako", now()).unwrap();
    let theirs = (theirs.pem, theirs.key_pem);
    let fingerprint = certificates::fingerprint(&theirs.0).unwrap();
    let hanako = served.client("hanako").await;
    hanako.administer("certificate.add", json!({ "fingerprint": fingerprint })).await.unwrap();
    let shut_out = |fault: ClientFault| assert_ne!(fault.exit_status(), 3, "no account is asked: {fault}");
    shut_out(connect(&served, &theirs).await.unwrap_err());
    // Fourteen months ago it was good for thirteen.
    let past = Instant(now().0 - 14 * 31 * 86_400_000_000);
    let expired = client_of(&served.certificates.ca_key_pem, "hanako", past);
    let fingerprint = certificates::fingerprint(&expired.0).unwrap();
    hanako.administer("certificate.add", json!({ "fingerprint": fingerprint })).await.unwrap();
    shut_out(connect(&served, &expired).await.unwrap_err());
    // The foreign CA is put on the list, without a restart: its client comes in as the account that registered it.
    let both = ServerIdentity { foreign_ca_pem: vec![foreign.ca_pem.clone()], ..identity(&served.certificates) };
    served.tls.renew(&both).unwrap();
    connect(&served, &theirs).await.unwrap();
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_certificate_is_shown_without_a_restart_and_a_bad_one_never() {
    let served = Served::new(DoorLimits::default()).await;
    let before = served.client("hanako").await;
    // Another CA altogether, so that a client tells them apart.
    let other = issue("stories", &[], now()).unwrap();
    served.tls.renew(&identity(&other)).unwrap();
    before.tables().await.expect("who is connected stays so");
    let trusting_old = Client::connect(&served.to("hanako")).await.unwrap_err();
    let said = trusting_old.to_string();
    assert!(said.contains("is this its CA certificate?"), "{said}");
    let to = ConnectTo { ca_pem: other.ca_pem.clone(), ..served.to("hanako") };
    Client::connect(&to).await.unwrap();
    // A certificate that does not fit its key leaves the one before in force.
    let misfit = ServerIdentity { key_pem: served.certificates.server.key_pem.clone(), ..identity(&other) };
    for bad in [
        misfit,
        ServerIdentity { certificate_pem: "garbage".into(), ..identity(&other) },
        ServerIdentity { own_ca_pem: String::new(), ..identity(&other) },
        ServerIdentity {
            revoked_pem: vec!["-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n".into()],
            ..identity(&other)
        },
    ] {
        assert!(served.tls.renew(&bad).is_err());
        assert!(Tls::new(&bad).is_err(), "nor does a gateway start with it");
    }
    Client::connect(&to).await.unwrap();
    let renewed = renew("stories", &other.ca_key_pem, &[], now()).unwrap();
    let next = ServerIdentity { certificate_pem: renewed.pem, key_pem: renewed.key_pem, ..identity(&other) };
    served.tls.renew(&next).unwrap();
    tokio::time::timeout(Duration::from_secs(20), Client::connect(&to)).await.unwrap().unwrap();
    served.close().await;
}

/// The list in which the CA of `enclave` revokes this certificate, PEM.
fn revoking(enclave: &str, ca_key_pem: &str, certificate_pem: &str) -> String {
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes()).unwrap();
    let serial = pem.parse_x509().unwrap().raw_serial().to_vec();
    let mut ca = CertificateParams::new(vec![]).unwrap();
    ca.distinguished_name = DistinguishedName::new();
    ca.distinguished_name.push(DnType::CommonName, format!("Sekisho CA of {enclave}"));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let revoked = RevokedCertParams {
        serial_number: serial.into(),
        revocation_time: rcgen::date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 1, 1),
        next_update: rcgen::date_time_ymd(2099, 1, 1),
        crl_number: 1.into(),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let key = KeyPair::from_pem(ca_key_pem).unwrap();
    list.signed_by(&Issuer::from_params(&ca, &key)).unwrap().pem().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_foreign_ca_has_revoked_does_not_pass_the_handshake_any_more_and_the_rest_does() {
    let served = Served::new(DoorLimits::default()).await;
    let foreign = issue("elsewhere", &[], now()).unwrap();
    let hanako = served.client("hanako").await;
    let mut theirs = vec![];
    for _ in 0..2 {
        let made = issue_client("elsewhere", &foreign.ca_key_pem, "hanako", now()).unwrap();
        let fingerprint = certificates::fingerprint(&made.pem).unwrap();
        hanako.administer("certificate.add", json!({ "fingerprint": fingerprint })).await.unwrap();
        theirs.push((made.pem, made.key_pem));
    }
    let with = |revoked_pem| ServerIdentity {
        foreign_ca_pem: vec![foreign.ca_pem.clone()],
        revoked_pem,
        ..identity(&served.certificates)
    };
    served.tls.renew(&with(vec![])).unwrap();
    connect(&served, &theirs[0]).await.unwrap();
    // The list is put beside the CA while the gateway runs.
    served.tls.renew(&with(vec![revoking("elsewhere", &foreign.ca_key_pem, &theirs[0].0)])).unwrap();
    let fault = connect(&served, &theirs[0]).await.unwrap_err();
    assert!(matches!(fault, ClientFault::NotShaken(_) | ClientFault::Unreachable { .. }), "{fault}");
    connect(&served, &theirs[1]).await.unwrap();
    // Whom the enclave's own CA vouches for is no affair of that list.
    served.client("hanako").await;
    served.close().await;
}
