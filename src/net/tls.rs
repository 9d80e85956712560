//! TLS towards upstreams: rustls with aws-lc-rs, TLS 1.2 and 1.3, verification always on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::crypto::aws_lc_rs;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;

use super::connect::ConnectError;
use super::io::BoxIo;
use super::shortage::Warned;
use crate::failure::Failure;
use crate::time::now;

/// Which protocols are offered to the upstream (ALPN, RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Offer {
    /// HTTP/1.1 only.
    Http1,
    /// The same, where it is no news that the upstream does not speak it.
    Switch,
    /// HTTP/2 only.
    Http2,
    /// HTTP/2, else HTTP/1.1.
    Either,
}

/// Why TLS towards an upstream cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of trusted certificates cannot be used.
    #[error("cannot use `ca_file` {}: expected PEM certificates", .0.display())]
    CaFile(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// The system has no trusted certificates.
    #[error(
        "found no trusted certificates on this system: install ca-certificates, or name a `tls.ca_file`"
    )]
    NoSystemRoots,
    /// The host is not a name that a certificate can have.
    #[error("`{0}` cannot be verified: expected a DNS name or an IP address")]
    ServerName(String),
    /// The TLS library refused its settings.
    #[error("cannot set up TLS")]
    Setup(#[from] rustls::Error),
}

/// TLS to one host with one trust.
pub struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
    offer: Offer,
    /// Limits how often a certificate's error is logged. It stands in no answer, since its text comes from the upstream.
    warned: Warned,
}

impl Tls {
    /// Prepares TLS to `host`, trusting `ca_file` or else the system's certificates.
    ///
    /// # Errors
    /// [`TlsError`] when the trust cannot be loaded or the host cannot be verified.
    pub fn new(host: &str, ca_file: Option<&Path>, offer: Offer) -> Result<Self, TlsError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| TlsError::ServerName(host.to_owned()))?;
        let roots = match ca_file {
            Some(path) => Arc::new(read_roots(path)?),
            None => system_roots()?,
        };
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_no_client_auth();
        config.alpn_protocols = match offer {
            Offer::Http1 | Offer::Switch => vec![b"http/1.1".to_vec()],
            Offer::Http2 => vec![b"h2".to_vec()],
            Offer::Either => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name,
            offer,
            warned: Warned::default(),
        })
    }

    /// Shakes hands over `io`; says whether HTTP/2 was agreed on. The caller bounds the time.
    ///
    /// # Errors
    /// [`Failure::Tls`] when the upstream's certificate or its TLS is not accepted.
    pub async fn handshake(&self, io: BoxIo) -> Result<(BoxIo, bool), ConnectError> {
        match self.connector.connect(self.name.clone(), io).await {
            Ok(stream) => {
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                Ok((Box::new(stream), is_http2))
            }
            Err(source) => {
                let is_news = self.offer != Offer::Switch || !speaks_another(&source);
                if is_news && self.warned.is_due(now()) {
                    tracing::warn!(
                        host = %self.name.to_str(),
                        error = &source as &dyn std::error::Error,
                        remedy = remedy(&source),
                        "No TLS with an upstream; calls to it fail"
                    );
                }
                Err(ConnectError {
                    failure: Failure::Tls,
                    source,
                })
            }
        }
    }
}

/// Whether an upstream speaks none of the protocols that it was offered (RFC 7301 §3.2).
#[must_use]
pub fn speaks_another(error: &io::Error) -> bool {
    let said = error.get_ref().and_then(|error| error.downcast_ref());
    let none = AlertDescription::NoApplicationProtocol;
    matches!(said, Some(Error::AlertReceived(alert)) if *alert == none)
}

/// Advice for the most frequent mistakes.
fn remedy(error: &io::Error) -> Option<&'static str> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    if let Error::InvalidCertificate(error) = error {
        // In the second case another authority of the same name signed it.
        let is_unknown = matches!(
            error,
            CertificateError::UnknownIssuer | CertificateError::BadSignature
        );
        let is_of_another = matches!(
            error,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        );
        let is_out_of_time = matches!(
            error,
            CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
        );
        return if is_unknown {
            Some("name the authority that signed its certificate in `upstream.tls.ca_file`")
        } else if is_of_another {
            Some("write a host in `upstream.url` that its certificate names")
        } else if is_out_of_time {
            Some("have its certificate renewed, or set the clock of this machine")
        } else {
            None
        };
    }
    let is_no_tls = matches!(error, Error::InvalidMessage(_));
    is_no_tls.then_some("write `http://` in `upstream.url` if it speaks no TLS")
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn read_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let fail = |source: Box<dyn std::error::Error + Send + Sync>| {
        TlsError::CaFile(path.to_owned(), source)
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| fail(error.into()))? {
        let certificate = certificate.map_err(|error| fail(error.into()))?;
        roots.add(certificate).map_err(|error| fail(error.into()))?;
    }
    if roots.is_empty() {
        return Err(fail(
            io::Error::new(io::ErrorKind::InvalidData, "it holds no certificate").into(),
        ));
    }
    Ok(roots)
}

/// The system's certificates: a system has some 140 of them, and every route without a `ca_file` shares them.
fn system_roots() -> Result<Arc<RootCertStore>, TlsError> {
    static ROOTS: KnownRoots = KnownRoots(Mutex::new(None));
    ROOTS.get(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    })
}

/// Certificates that are read once. A failure is not cached: a reload finds certificates that were installed since.
struct KnownRoots(Mutex<Option<Arc<RootCertStore>>>);

impl KnownRoots {
    fn get(&self, read: impl FnOnce() -> RootCertStore) -> Result<Arc<RootCertStore>, TlsError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(roots) = &*known {
            return Ok(Arc::clone(roots));
        }
        let roots = read();
        if roots.is_empty() {
            return Err(TlsError::NoSystemRoots);
        }
        Ok(Arc::clone(known.insert(Arc::new(roots))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_there_are_no_certificates_is_not_remembered_and_those_found_are() {
        let known = KnownRoots(Mutex::new(None));
        let none = known.get(RootCertStore::empty);
        assert!(matches!(none, Err(TlsError::NoSystemRoots)), "{none:?}");
        let installed = || {
            let made = rcgen::generate_simple_self_signed(["a.example.com".to_owned()]).unwrap();
            let mut roots = RootCertStore::empty();
            roots.add(made.cert.der().clone()).unwrap();
            roots
        };
        let first = known.get(installed).unwrap();
        let again = known.get(RootCertStore::empty).unwrap();
        assert!(first.len() == 1 && Arc::ptr_eq(&first, &again));
    }
}
