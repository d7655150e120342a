//! Who vouches for the server?
//!
//! A private CA made by `init`: clients trust `ca.pem`, the server shows `server.pem`. The CA's key stays in `keys/` to
//! issue a new server certificate before the old one runs out, and certificates for clients.

use std::{
    fs::{DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use chrono::{Datelike, Months, NaiveDate};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{pem::parse_x509_pem, time::ASN1Time};

use crate::terms::{Fingerprint, Instant};

/// How long the CA is good for.
const CA_MONTHS: u32 = 120;
/// How long a server certificate is good for: below the 825 days that some clients accept at most.
const SERVER_MONTHS: u32 = 26;
/// How long a client certificate is good for.
const CLIENT_MONTHS: u32 = 13;

/// The CA and the first server certificate, all PEM.
pub struct Certificates {
    /// What clients trust.
    pub ca_pem: String,
    /// The CA's private key.
    pub ca_key_pem: String,
    /// What the server shows.
    pub server: ServerCertificate,
}

/// What the server shows, and its private key, both PEM.
pub struct ServerCertificate {
    /// The certificate.
    pub pem: String,
    /// Its private key.
    pub key_pem: String,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFault {
    /// A key or certificate could not be made.
    #[error("the certificate could not be made")]
    Made(#[source] rcgen::Error),
    /// The clock shows a date that no certificate can carry.
    #[error("the clock shows no usable date")]
    Date,
    /// The certificate's time has not come or is over.
    #[error(
        "the server's certificate is good from {from} to {until}, and it is {now}: sekisho certificate renew makes another"
    )]
    OutOfTime {
        /// From when it is good.
        from: Instant,
        /// Until when.
        until: Instant,
        /// What the clock shows.
        now: Instant,
    },
    /// There is no certificate in the text.
    #[error("there is no certificate in PEM")]
    Pem,
    /// A file could not be written.
    #[error("{} could not be written", path.display())]
    Written {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl From<rcgen::Error> for CertificateFault {
    fn from(fault: rcgen::Error) -> Self {
        Self::Made(fault)
    }
}

/// A CA for this enclave and a server certificate for `localhost`, `127.0.0.1`, `::1` and the `hosts` given.
///
/// # Errors
/// [`CertificateFault`] if a host name cannot be written into a certificate or the clock shows no usable date.
pub fn issue(enclave: &str, hosts: &[String], now: Instant) -> Result<Certificates, CertificateFault> {
    let key = KeyPair::generate()?;
    let params = ca_params(enclave, now)?;
    let ca_pem = params.self_signed(&key)?.pem();
    let ca_key_pem = key.serialize_pem();
    let server = sign_server(&Issuer::from_params(&params, &key), enclave, hosts, now)?;
    Ok(Certificates { ca_pem, ca_key_pem, server })
}

/// A new server certificate under the CA that [`issue`] made for the enclave of the same name.
///
/// # Errors
/// [`CertificateFault`] as for [`issue`], or if `ca_key_pem` is no private key.
pub fn renew(
    enclave: &str,
    ca_key_pem: &str,
    hosts: &[String],
    now: Instant,
) -> Result<ServerCertificate, CertificateFault> {
    let key = KeyPair::from_pem(ca_key_pem)?;
    // A signature needs the CA's name and key alone; its dates do not enter.
    let params = ca_params(enclave, now)?;
    sign_server(&Issuer::from_params(&params, &key), enclave, hosts, now)
}

/// A certificate for a client of the enclave, under the CA that [`issue`] made.
///
/// # Errors
/// [`CertificateFault`] as for [`renew`].
pub fn issue_client(
    enclave: &str,
    ca_key_pem: &str,
    account: &str,
    now: Instant,
) -> Result<ServerCertificate, CertificateFault> {
    let (ca_key, key) = (KeyPair::from_pem(ca_key_pem)?, KeyPair::generate()?);
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = named(account);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    last(&mut params, now, CLIENT_MONTHS)?;
    let ca = ca_params(enclave, now)?;
    let pem = params.signed_by(&key, &Issuer::from_params(&ca, &ca_key))?.pem();
    Ok(ServerCertificate { pem, key_pem: key.serialize_pem() })
}

/// What the first certificate of a PEM text is known by.
///
/// # Errors
/// [`CertificateFault::Pem`] where there is none.
pub fn fingerprint(pem: &str) -> Result<Fingerprint, CertificateFault> {
    let first = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CertificateFault::Pem)?;
    Ok(Fingerprint::of(&first))
}

/// Whether the server may show this certificate now; and if it may, whether clients that trust `ca_pem` alone accept it.
///
/// # Errors
/// [`CertificateFault::OutOfTime`] where it has run out or is not yet good; [`CertificateFault::Pem`].
pub fn check_server(pem: &str, ca_pem: &str, now: Instant) -> Result<bool, CertificateFault> {
    let (_, shown) = parse_x509_pem(pem.as_bytes()).map_err(|_| CertificateFault::Pem)?;
    let (_, ca) = parse_x509_pem(ca_pem.as_bytes()).map_err(|_| CertificateFault::Pem)?;
    let (shown, ca) = (shown.parse_x509(), ca.parse_x509());
    let (shown, ca) = (shown.map_err(|_| CertificateFault::Pem)?, ca.map_err(|_| CertificateFault::Pem)?);
    let at = |time: ASN1Time| Instant(time.timestamp().saturating_mul(1_000_000));
    let (from, until) = (at(shown.validity().not_before), at(shown.validity().not_after));
    if now < from || now >= until {
        return Err(CertificateFault::OutOfTime { from, until, now });
    }
    // A chain of several is some other CA's, whose root clients have from elsewhere.
    Ok(shown.verify_signature(Some(ca.public_key())).is_ok() || pem.matches("BEGIN CERTIFICATE").count() > 1)
}

/// Puts a new server certificate and its key in the place of those in `keys`, each at once.
///
/// # Errors
/// [`CertificateFault::Written`].
pub fn replace_server(keys: &Path, new: &ServerCertificate) -> Result<(), CertificateFault> {
    // Between the two the pair does not fit: a running gateway keeps the pair before until both are there.
    for (name, text) in [("server.key", &new.key_pem), ("server.pem", &new.pem)] {
        let (path, draft) = (keys.join(name), keys.join(format!(".{name}.new")));
        // A draft that a crash left behind is nobody's.
        let _absent = std::fs::remove_file(&draft);
        write_new(&draft, text)?;
        std::fs::rename(&draft, &path).map_err(|e| written(&path, e))?;
    }
    Ok(())
}

impl Certificates {
    /// Writes `ca.pem`, `ca.key`, `server.pem` and `server.key` into `keys` (made with mode 0700 if absent), each 0600.
    ///
    /// # Errors
    /// [`CertificateFault::Written`] for the first file that exists already or cannot be written.
    pub fn write(&self, keys: &Path) -> Result<(), CertificateFault> {
        DirBuilder::new().recursive(true).mode(0o700).create(keys).map_err(|e| written(keys, e))?;
        write_new(&keys.join("ca.key"), &self.ca_key_pem)?;
        write_new(&keys.join("ca.pem"), &self.ca_pem)?;
        write_new(&keys.join("server.key"), &self.server.key_pem)?;
        write_new(&keys.join("server.pem"), &self.server.pem)
    }
}

fn ca_params(enclave: &str, now: Instant) -> Result<CertificateParams, CertificateFault> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = named(&format!("Sekisho CA of {enclave}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    last(&mut params, now, CA_MONTHS)?;
    Ok(params)
}

fn sign_server(
    issuer: &Issuer<'_, &KeyPair>,
    enclave: &str,
    hosts: &[String],
    now: Instant,
) -> Result<ServerCertificate, CertificateFault> {
    let key = KeyPair::generate()?;
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(Into::into).into();
    names.extend(hosts.iter().filter(|host| !names.contains(host)).cloned().collect::<Vec<_>>());
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = named(&format!("Sekisho gateway of {enclave}"));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    last(&mut params, now, SERVER_MONTHS)?;
    Ok(ServerCertificate { pem: params.signed_by(&key, issuer)?.pem(), key_pem: key.serialize_pem() })
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// Valid from yesterday, so that a client whose clock is a little behind accepts it.
fn last(params: &mut CertificateParams, now: Instant, months: u32) -> Result<(), CertificateFault> {
    let today = chrono::DateTime::from_timestamp_micros(now.0).ok_or(CertificateFault::Date)?.date_naive();
    let yesterday = today.pred_opt().ok_or(CertificateFault::Date)?;
    let until = today.checked_add_months(Months::new(months)).ok_or(CertificateFault::Date)?;
    // Outside these years the certificate's own date format breaks off.
    if yesterday.year() < 1970 || until.year() > 9999 {
        return Err(CertificateFault::Date);
    }
    // The return type of `date_time_ymd` is of a crate that is not ours to name, hence no helper around it.
    let (month, day) = month_and_day(yesterday)?;
    params.not_before = rcgen::date_time_ymd(yesterday.year(), month, day);
    let (month, day) = month_and_day(until)?;
    params.not_after = rcgen::date_time_ymd(until.year(), month, day);
    Ok(())
}

fn month_and_day(date: NaiveDate) -> Result<(u8, u8), CertificateFault> {
    match (u8::try_from(date.month()), u8::try_from(date.day())) {
        (Ok(month), Ok(day)) => Ok((month, day)),
        _ => Err(CertificateFault::Date),
    }
}

fn written(path: &Path, source: io::Error) -> CertificateFault {
    CertificateFault::Written { path: path.to_owned(), source }
}

fn write_new(path: &Path, text: &str) -> Result<(), CertificateFault> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|e| written(path, e))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| written(path, e))
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

    use rustls::{
        RootCertStore,
        client::{WebPkiServerVerifier, danger::ServerCertVerifier},
        crypto::ring,
        pki_types::{ServerName, UnixTime},
    };

    use super::*;

    const NOW: Instant = Instant(1_795_000_000_000_000);

    #[test]
    fn the_files_are_for_the_owner_alone_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        let certificates = issue("demo", &["gateway.example".into()], NOW).unwrap();
        certificates.write(&keys).unwrap();
        for file in ["ca.key", "ca.pem", "server.key", "server.pem"] {
            let mode = std::fs::metadata(keys.join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        assert!(matches!(certificates.write(&keys), Err(CertificateFault::Written { .. })));
    }

    #[test]
    fn a_clock_out_of_range_is_a_fault_and_not_a_crash() {
        for now in [Instant(i64::MIN), Instant(i64::MAX), Instant(-86_400_000_000_000)] {
            assert!(matches!(issue("demo", &[], now), Err(CertificateFault::Date)));
        }
    }

    #[test]
    fn a_host_that_no_certificate_can_name_is_a_fault() {
        assert!(matches!(issue("demo", &["関所.example".into()], NOW), Err(CertificateFault::Made(_))));
    }

    #[test]
    fn the_key_of_the_ca_issues_a_new_server_certificate() {
        let first = issue("demo", &[], NOW).unwrap();
        let second = renew("demo", &first.ca_key_pem, &[], NOW).unwrap();
        assert_ne!(first.server.pem, second.pem);
        assert!(accepted(&first.ca_pem, &second.pem, "127.0.0.1"));
        assert!(renew("demo", "no key", &[], NOW).is_err());
    }

    #[test]
    fn a_certificate_out_of_its_time_or_of_another_ca_is_noticed() {
        let ours = issue("demo", &[], NOW).unwrap();
        assert!(check_server(&ours.server.pem, &ours.ca_pem, NOW).unwrap());
        let day = 86_400_000_000;
        for now in [Instant(NOW.0 + 27 * 31 * day), Instant(NOW.0 - 3 * day)] {
            let fault = check_server(&ours.server.pem, &ours.ca_pem, now).unwrap_err();
            assert!(fault.to_string().contains("sekisho certificate renew"), "{fault}");
        }
        let theirs = issue("demo", &[], NOW).unwrap();
        assert!(!check_server(&ours.server.pem, &theirs.ca_pem, NOW).unwrap(), "the same names, another key");
        assert!(matches!(check_server("garbage", &ours.ca_pem, NOW), Err(CertificateFault::Pem)));
    }

    #[test]
    fn clients_accept_the_server_under_its_names_and_its_ca_only() {
        let ours = issue("demo", &["gateway.example".into()], NOW).unwrap();
        for host in ["localhost", "127.0.0.1", "::1", "gateway.example"] {
            assert!(accepted(&ours.ca_pem, &ours.server.pem, host), "{host}");
        }
        assert!(!accepted(&ours.ca_pem, &ours.server.pem, "elsewhere.example"));
        let theirs = issue("demo", &[], NOW).unwrap();
        assert!(!accepted(&theirs.ca_pem, &ours.server.pem, "localhost"));
    }

    fn accepted(ca_pem: &str, server_pem: &str, host: &'static str) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let server = CertificateDer::from_pem_slice(server_pem.as_bytes()).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_micros(NOW.0.unsigned_abs()));
        verifier.verify_server_cert(&server, &[], &ServerName::try_from(host).unwrap(), &[], now).is_ok()
    }
}
