//! `https://`: whom to trust, and the certificate to show.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::net::TcpStream;
use crate::tls::{self, PemFault};

/// What `https://` needs.
#[derive(Args, Clone, Debug, Default)]
pub(in crate::cli) struct TrustArgs {
    /// Certificates (PEM) to trust with https://, in place of the system's
    #[arg(long, global = true, value_name = "FILE", env = "INTERLOCK_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// The certificate (PEM) to show, where the admin plane asks for one
    #[arg(long, global = true, value_name = "FILE", env = "INTERLOCK_CLIENT_CERT")]
    client_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, global = true, value_name = "FILE", env = "INTERLOCK_CLIENT_KEY")]
    client_key: Option<PathBuf>,
}

/// Why there can be no secure connection, whoever is called.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum TrustError {
    #[error("{option} {}: {source}", path.display())]
    Unreadable { option: &'static str, path: PathBuf, source: io::Error },
    #[error("{option} {}: {fault}", path.display())]
    Pem { option: &'static str, path: PathBuf, fault: PemFault },
    #[error("--client-cert and --client-key go together: name the other file too")]
    Half,
    #[error("--client-key {}: is not the key of the certificate in --client-cert: {source}", path.display())]
    KeyMismatch { path: PathBuf, source: rustls::Error },
    #[error("no certificate to trust was found on this system: name a file of them with --ca-file")]
    NobodyToTrust,
    #[error("TLS can't be set up")]
    Setup(#[source] rustls::Error),
}

const CA_FILE: &str = "--ca-file";
const CLIENT_CERT: &str = "--client-cert";
const CLIENT_KEY: &str = "--client-key";

impl TrustArgs {
    /// Reads the files.
    pub(in crate::cli) fn read(&self) -> Result<Trust, TrustError> {
        let roots = match &self.ca_file {
            Some(path) => read(CA_FILE, path, tls::roots)?,
            None => tls::system_roots().ok_or(TrustError::NobodyToTrust)?,
        };
        let builder = tls::client().map_err(TrustError::Setup)?.with_root_certificates(roots);
        let config = match (&self.client_cert, &self.client_key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(key)) => {
                let certificate = read(CLIENT_CERT, certificate, tls::certificates)?;
                let path = key.clone();
                let key = read(CLIENT_KEY, key, tls::key)?;
                let made = builder.with_client_auth_cert(certificate, key);
                made.map_err(|source| TrustError::KeyMismatch { path, source })?
            }
            _ => return Err(TrustError::Half),
        };
        Ok(Trust(Arc::new(config)))
    }
}

fn read<T>(
    option: &'static str,
    path: &Path,
    make: fn(&[u8]) -> Result<T, PemFault>,
) -> Result<T, TrustError> {
    let unreadable = |source| TrustError::Unreadable { option, path: path.to_owned(), source };
    let text = fs::read(path).map_err(unreadable)?;
    make(&text).map_err(|fault| TrustError::Pem { option, path: path.to_owned(), fault })
}

/// Whom to trust, and what to show.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Secures a connection to a host, by the name that its certificate has to have.
    pub(super) async fn secure(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await
    }
}

/// What TLS has to say in the causes of an error: of TLS 1.3, whether our certificate is taken shows only when an answer
/// is read.
pub(super) fn cause<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.filter_map(|error| error.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()).next()
}
