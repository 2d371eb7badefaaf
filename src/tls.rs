//! Certificates and keys from PEM, and the one provider of cryptography: what TLS to the store, to the admin plane and from
//! its clients has in common.

mod expiry;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

/// Why a text in PEM is of no use. What it holds is in none of these: it may be a key.
#[derive(Debug, thiserror::Error)]
pub enum PemFault {
    /// Not PEM, or PEM that broke off.
    #[error("is no PEM: {0}")]
    NotPem(#[source] pem::Error),
    /// PEM without a certificate in it.
    #[error(
        "has no certificate: it has to hold one in PEM, which begins with -----BEGIN CERTIFICATE-----"
    )]
    NoCertificate,
    /// PEM without a private key in it.
    #[error(
        "has no private key: it has to hold one in PEM, unencrypted, which begins with -----BEGIN PRIVATE KEY-----"
    )]
    NoKey,
    /// What calls itself a certificate is none.
    #[error("has a certificate that can't be read: {0}")]
    BadCertificate(#[source] rustls::Error),
}

/// The provider that all TLS here uses. It is named, so that nothing depends on one that the process has installed, or not.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The beginning of a client's configuration: TLS 1.2 and 1.3.
///
/// # Errors
/// None in practice: the provider speaks both.
pub(crate) fn client() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()
}

/// All certificates in a text, in their order.
///
/// # Errors
/// See [`PemFault`]; a text without a certificate is one.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemFault> {
    let found = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(PemFault::NotPem)?;
    if found.is_empty() { Err(PemFault::NoCertificate) } else { Ok(found) }
}

/// When the first of these runs out, in seconds since the Unix epoch; `None` where none of them says it in a way that can be
/// read.
pub(crate) fn expiry(certificates: &[CertificateDer<'_>]) -> Option<u64> {
    certificates.iter().filter_map(|certificate| expiry::not_after(certificate)).min()
}

/// The first private key in a text.
///
/// # Errors
/// See [`PemFault`]; a text without a key is one.
pub(crate) fn key(text: &[u8]) -> Result<PrivateKeyDer<'static>, PemFault> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound => PemFault::NoKey,
        other => PemFault::NotPem(other),
    })
}

/// The certificates in a text as those to trust.
///
/// # Errors
/// See [`PemFault`].
pub(crate) fn roots(text: &[u8]) -> Result<RootCertStore, PemFault> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(text)? {
        roots.add(certificate).map_err(PemFault::BadCertificate)?;
    }
    Ok(roots)
}

/// Those that the system trusts; `None` where there are none. Its store may hold some that can't be read: the others are trusted
/// all the same.
pub(crate) fn system_roots() -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (_added, _ignored) = roots.add_parsable_certificates(found.certs);
    (!roots.is_empty()).then_some(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_DER: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    #[test]
    fn what_is_no_certificate_is_refused_with_its_reason() {
        assert!(matches!(certificates(b""), Err(PemFault::NoCertificate)));
        assert!(matches!(certificates(b"hello"), Err(PemFault::NoCertificate)));
        let broken_off = b"-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(matches!(certificates(broken_off), Err(PemFault::NotPem(_))));
        assert!(matches!(roots(NOT_DER.as_bytes()), Err(PemFault::BadCertificate(_))));
    }

    #[test]
    fn what_is_no_key_is_refused_and_never_quoted() {
        assert!(matches!(key(b""), Err(PemFault::NoKey)));
        assert!(matches!(key(NOT_DER.as_bytes()), Err(PemFault::NoKey)));
        let broken = "-----BEGIN PRIVATE KEY-----\ns3cret!\n-----END PRIVATE KEY-----\n";

        let fault = key(broken.as_bytes()).unwrap_err();

        assert!(!format!("{fault} {fault:?}").contains("s3cret"), "{fault:?}");
    }
}
