//! TLS of the admin plane: its certificate, whom of the clients it trusts, and the handshake.
//!
//! A client's certificate lets it connect and gives it no role: that is the token's.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::files::{FileError, FileFault, Recipe};
use crate::config::AdminTlsConfig;
use crate::net::TcpStream;
use crate::telemetry::labels::AdminFile;
use crate::tls;

/// For a handshake, from the connection on.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the admin plane speaks.
const HTTP_1_1: &[u8] = b"http/1.1";

/// What is made of the files of `admin.tls`.
pub(crate) struct Certificate {
    config: Arc<ServerConfig>,
    /// In seconds since the Unix epoch.
    expiry: Option<u64>,
}

const CERTIFICATE: &str = "admin.tls.cert_file";
const KEY: &str = "admin.tls.key_file";
const CLIENT_CA: &str = "admin.tls.client_ca_file";

impl Recipe for AdminTlsConfig {
    type Made = Certificate;

    const FILE: AdminFile = AdminFile::Tls;

    fn paths(&self) -> Vec<(&'static str, &Path)> {
        let mut paths = vec![(CERTIFICATE, self.cert_file.as_path()), (KEY, &self.key_file)];
        paths.extend(self.client_ca_file.iter().map(|path| (CLIENT_CA, path.as_path())));
        paths
    }

    fn make(&self, contents: &[Vec<u8>]) -> Result<Certificate, FileError> {
        let text = |place: usize| contents.get(place).map_or(&[][..], Vec::as_slice);
        let error = |key, path: &Path, fault: FileFault| {
            let (path, fault) = (path.to_owned(), Box::new(fault));
            FileError { key, path, fault }
        };
        let of_key = |fault| error(KEY, &self.key_file, fault);
        let certificates = tls::certificates(text(0))
            .map_err(|fault| error(CERTIFICATE, &self.cert_file, fault.into()))?;
        let expiry = tls::expiry(&certificates);
        let key = tls::key(text(1)).map_err(|fault| of_key(fault.into()))?;
        let builder = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .map_err(|source| of_key(FileFault::Setup(source)))?;
        let builder = match &self.client_ca_file {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let of_ca = |fault| error(CLIENT_CA, path, fault);
                let roots = tls::roots(text(2)).map_err(|fault| of_ca(fault.into()))?;
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots.into(), tls::provider());
                let verifier = verifier.build();
                builder.with_client_cert_verifier(
                    verifier.map_err(|fault| of_ca(FileFault::NoAuthority(fault)))?,
                )
            }
        };
        let made = builder.with_single_cert(certificates, key);
        let mut config = made.map_err(|source| of_key(FileFault::KeyMismatch(source)))?;
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(Certificate { config: Arc::new(config), expiry })
    }

    fn expiry(made: &Certificate) -> Option<u64> {
        made.expiry
    }
}

/// Why a connection did not get as far as the first call.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// It took too long.
    #[error("no handshake within {HANDSHAKE_TIMEOUT:?}")]
    TooSlow,
    /// It spoke no TLS, or none that is spoken here, or showed no certificate that is trusted.
    #[error("TLS: {0}")]
    Failed(#[source] io::Error),
}

/// Secures connections with the certificate in force.
#[derive(Clone)]
pub struct Secure(Arc<ArcSwap<Certificate>>);

impl Secure {
    /// With what is in force at the time of each handshake.
    pub(crate) fn with(in_force: Arc<ArcSwap<Certificate>>) -> Self {
        Self(in_force)
    }

    /// The handshake. `None` where the other side left without a word, as those do that only see whether a port is open.
    pub(super) async fn handshake(
        &self,
        stream: TcpStream,
    ) -> Option<Result<TlsStream<TcpStream>, HandshakeError>> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.0.load().config));
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
            Err(_) => Some(Err(HandshakeError::TooSlow)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Ok(Err(error)) => Some(Err(HandshakeError::Failed(error))),
            Ok(Ok(stream)) => Some(Ok(stream)),
        }
    }
}
