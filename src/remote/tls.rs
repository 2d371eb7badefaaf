//! TLS to the store: whom to trust, and the handshake.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::credentials::{self, CredentialsError};
use crate::net::StoreStream;
use crate::tls::{self, PemFault};

/// Why there is no secure connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    /// The file of certificates to trust can't be used.
    #[error("store.ca_file = \"{}\" {fault}", path.display())]
    CaFile {
        /// The configuration's value.
        path: PathBuf,
        /// What is wrong.
        fault: PemFault,
    },
    /// It can't be read.
    #[error(transparent)]
    Unreadable(#[from] CredentialsError),
    /// There is nobody to trust.
    #[error("no certificate to trust was found; name a file of them in store.ca_file")]
    NobodyToTrust,
    /// The library refuses.
    #[error(transparent)]
    Setup(#[from] rustls::Error),
    /// The server proves to be somebody else, or speaks no TLS.
    #[error("TLS: {0}")]
    Handshake(#[source] io::Error),
}

/// Makes connections secure.
pub(super) struct Tls {
    ca_file: Option<PathBuf>,
    /// Whom to trust, as long as that goes well: it is read anew after a failure, since certificates are replaced.
    trust: RefCell<Option<Arc<ClientConfig>>>,
}

impl Tls {
    pub(super) fn new(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, trust: RefCell::new(None) }
    }

    /// Secures a connection to a host, by the name that its certificate has to have.
    pub(super) async fn secure(
        &self,
        host: &str,
        stream: StoreStream,
    ) -> Result<TlsStream<StoreStream>, TlsError> {
        let trust = self.trust()?;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| TlsError::Handshake(io::Error::other(error)))?;
        let result = TlsConnector::from(trust).connect(name, stream).await;
        result.map_err(|error| {
            self.trust.take();
            TlsError::Handshake(error)
        })
    }

    fn trust(&self) -> Result<Arc<ClientConfig>, TlsError> {
        if let Some(trust) = &*self.trust.borrow() {
            return Ok(Arc::clone(trust));
        }
        let path = self.ca_file.as_deref();
        let roots = match path.zip(credentials::read("store.ca_file", path)?) {
            Some((path, text)) => tls::roots(text.as_bytes())
                .map_err(|fault| TlsError::CaFile { path: path.to_owned(), fault })?,
            None => tls::system_roots().ok_or(TlsError::NobodyToTrust)?,
        };
        let trust = tls::client()?.with_root_certificates(roots).with_no_client_auth();
        let trust = Arc::new(trust);
        *self.trust.borrow_mut() = Some(Arc::clone(&trust));
        Ok(trust)
    }
}
