//! Which certificate does the server show, and whose does it accept?
//!
//! One provider of cryptography, TLS 1.2 and 1.3, HTTP/2 alone. A client certificate is asked for and need not be shown;
//! one that is shown must be good: in its dates, under a CA of the list, and not revoked by that CA.

use std::{fmt, sync::Arc};

use axum_server::tls_rustls::RustlsConfig;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

/// What the server shows and whom it accepts, all PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ServerIdentity {
    /// The server's certificate, followed by the chain up to the CA if there is one.
    pub certificate_pem: String,
    /// Its private key.
    pub key_pem: String,
    /// The enclave's own CA, whose clients are accepted.
    pub own_ca_pem: String,
    /// CAs of others whose clients are accepted, too.
    pub foreign_ca_pem: Vec<String>,
    /// Lists of what those CAs have revoked.
    pub revoked_pem: Vec<String>,
}

impl fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerIdentity")
    }
}

/// What of an identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// Some text is no PEM of its kind, or there is none in it.
    #[error("{0} holds nothing of its kind in PEM")]
    Pem(&'static str),
    /// The certificate and its key do not fit, or cannot be used.
    #[error("the server's certificate and its key cannot be used together")]
    Identity(#[source] rustls::Error),
    /// A CA certificate cannot be used.
    #[error("{0} cannot be used as a CA")]
    Ca(&'static str),
    /// A list of revoked certificates cannot be used.
    #[error("the CAs or their lists of revoked certificates cannot be used")]
    Clients(#[source] rustls::server::VerifierBuilderError),
}

/// The identity in force; handing in another takes effect with the next connection.
#[derive(Clone)]
pub struct Tls {
    pub(super) server: RustlsConfig,
}

impl Tls {
    /// Ready to shake hands.
    ///
    /// # Errors
    /// [`TlsFault`] says what cannot be used.
    pub fn new(identity: &ServerIdentity) -> Result<Self, TlsFault> {
        Ok(Self { server: RustlsConfig::from_config(read(identity)?) })
    }

    /// Puts another identity in force, or leaves the one before as it was.
    ///
    /// # Errors
    /// [`TlsFault`] says what cannot be used.
    pub fn renew(&self, identity: &ServerIdentity) -> Result<(), TlsFault> {
        self.server.reload_from_config(read(identity)?);
        Ok(())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

fn read(identity: &ServerIdentity) -> Result<Arc<ServerConfig>, TlsFault> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    add(&mut roots, &identity.own_ca_pem, "the enclave's CA")?;
    for pem in &identity.foreign_ca_pem {
        add(&mut roots, pem, "a foreign CA")?;
    }
    let mut revoked = vec![];
    for pem in &identity.revoked_pem {
        let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(pem.as_bytes()).collect();
        revoked.extend(lists.map_err(|_| TlsFault::Pem("a list of revoked certificates"))?);
    }
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .with_crls(revoked)
        // Not every CA has a list.
        .allow_unknown_revocation_status()
        .build()
        .map_err(TlsFault::Clients)?;
    let shown = certificates(&identity.certificate_pem, "the server's certificate")?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes());
    let key = key.map_err(|_| TlsFault::Pem("the server's key"))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsFault::Identity)?
        .with_client_cert_verifier(clients)
        .with_single_cert(shown, key)
        .map_err(TlsFault::Identity)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(pem: &str, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    read.ok().filter(|read| !read.is_empty()).ok_or(TlsFault::Pem(what))
}

fn add(roots: &mut RootCertStore, pem: &str, what: &'static str) -> Result<(), TlsFault> {
    for certificate in certificates(pem, what)? {
        roots.add(certificate).map_err(|_| TlsFault::Ca(what))?;
    }
    Ok(())
}
