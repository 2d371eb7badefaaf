//! Certificates made by `openssl`, and a client that trusts one authority alone.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use super::temp::TempDir;
use super::wait::DEADLINE;

/// Signs certificates.
pub(crate) struct Authority {
    directory: TempDir,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    /// The certificate's file.
    pub(crate) certificate: PathBuf,
    /// The key's file.
    pub(crate) key: PathBuf,
}

const CONFIG: &str = "[req]\nprompt = no\ndistinguished_name = name\n[name]\nCN = a test\n\
                      [ca]\nbasicConstraints = critical,CA:TRUE\n\
                      [leaf]\nbasicConstraints = critical,CA:FALSE\nsubjectAltName = IP:127.0.0.1\n";

impl Authority {
    /// A new one.
    pub(crate) fn new() -> Self {
        let this = Self { directory: TempDir::new() };
        this.directory.write("config", CONFIG);
        this.openssl("req -x509 -extensions ca -days 2 -keyout ca.key -out ca.pem", true);
        this
    }

    /// The file of its certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.file("ca.pem")
    }

    /// A certificate for 127.0.0.1, of a server or a client, for two days.
    pub(crate) fn issue(&self, name: &str) -> Issued {
        self.issue_for(name, 2)
    }

    /// The same for another number of days.
    pub(crate) fn issue_for(&self, name: &str, days: u32) -> Issued {
        self.openssl(&format!("req -new -keyout {name}.key -out {name}.csr"), true);
        self.openssl(
            &format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} \
                 -extfile config -extensions leaf -out {name}.pem"
            ),
            false,
        );
        let file = |end: &str| self.directory.file(&format!("{name}.{end}"));
        Issued { certificate: file("pem"), key: file("key") }
    }

    fn openssl(&self, words: &str, makes_key: bool) {
        let mut command = Command::new("openssl");
        command.current_dir(self.directory.file("")).args(words.split_whitespace());
        if makes_key {
            let key = "-config config -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
            command.args(key.split_whitespace());
        }
        let made = command.output().expect("openssl, which .ci/setup installs");
        assert!(made.status.success(), "{words}: {}", String::from_utf8_lossy(&made.stderr));
    }
}

/// A client of TLS.
#[derive(Clone)]
pub(crate) struct Trusting(Arc<ClientConfig>);

impl Trusting {
    /// One that trusts this authority, and shows this certificate.
    pub(crate) fn new(authority: &Authority, shows: Option<&Issued>) -> Self {
        Self::speaking(authority, shows, rustls::ALL_VERSIONS)
    }

    /// The same with these versions of TLS alone.
    pub(crate) fn speaking(
        authority: &Authority,
        shows: Option<&Issued>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&authority.file())).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        Self(Arc::new(match shows {
            None => builder.with_no_client_auth(),
            Some(Issued { certificate: file, key }) => {
                let key = PrivateKeyDer::from_pem_file(key).unwrap();
                builder.with_client_auth_cert(vec![certificate(file)], key).unwrap()
            }
        }))
    }

    /// Gets a path with extra header lines; returns the answer as it came.
    pub(crate) fn get(&self, address: SocketAddr, path: &str, headers: &str) -> io::Result<String> {
        let name = ServerName::try_from(address.ip().to_string()).unwrap();
        let connection = ClientConnection::new(Arc::clone(&self.0), name).unwrap();
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let mut stream = StreamOwned::new(connection, stream);
        let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
        stream.write_all(format!("{head}{headers}\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

fn certificate(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file).unwrap()
}
