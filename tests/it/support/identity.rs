//! Who an origin with TLS is.

use std::path::PathBuf;
use std::sync::Arc;
use std::{fmt, fs};

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;

/// A certificate for loopback and the authority that signed it.
pub(crate) struct Identity {
    pub(crate) server: Arc<ServerConfig>,
    /// The authority's certificate as PEM.
    pub(crate) ca_file: PathBuf,
    _directory: TempDir,
}

impl Identity {
    pub(crate) fn new() -> Self {
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut ca = rcgen::CertificateParams::default();
        // Names must differ, or the leaf looks as if it had signed itself.
        ca.distinguished_name
            .push(rcgen::DnType::CommonName, "sidefuse test authority");
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(ca, ca_key);

        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = rcgen::CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();

        let directory = tempfile::tempdir().unwrap();
        let ca_file = directory.path().join("ca.pem");
        fs::write(&ca_file, ca_certificate.pem()).unwrap();

        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let server = builder
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Self {
            server: Arc::new(server),
            ca_file,
            _directory: directory,
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}
