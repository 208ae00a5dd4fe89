//! TLS, checked against the system's roots or a file of certificates.

use crate::endpoint::Endpoint;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// An encrypted connection.
pub(crate) type Stream = TlsStream<TcpStream>;

/// How to encrypt.
pub(crate) struct Tls {
    connector: TlsConnector,
}

impl Tls {
    /// `roots` is a PEM file that replaces the system's roots.
    pub(crate) fn new(roots: Option<&str>) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        match roots {
            Some(path) => from_file(&mut store, path)?,
            None => {
                store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        if store.is_empty() {
            return Err(match roots {
                Some(path) => format!("OTEL_EXPORTER_OTLP_CERTIFICATE: no certificates in {path}"),
                None => "the system has no root certificates; OTEL_EXPORTER_OTLP_CERTIFICATE can name some".to_owned(),
            });
        }
        // The provider is named here: the process-wide default is not ours to set.
        let config =
            ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?
                .with_root_certificates(store)
                .with_no_client_auth();
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    pub(crate) async fn wrap(&self, endpoint: &Endpoint, stream: TcpStream) -> io::Result<Stream> {
        let name = ServerName::try_from(endpoint.host.clone()).map_err(io::Error::other)?;
        self.connector.connect(name, stream).await
    }
}

fn from_file(store: &mut RootCertStore, path: &str) -> Result<(), String> {
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(|error| format!("OTEL_EXPORTER_OTLP_CERTIFICATE: {path}: {error}"))?;
    for certificate in certificates {
        let certificate = certificate
            .map_err(|error| format!("OTEL_EXPORTER_OTLP_CERTIFICATE: {path}: {error}"))?;
        store
            .add(certificate)
            .map_err(|error| format!("OTEL_EXPORTER_OTLP_CERTIFICATE: {path}: {error}"))?;
    }
    Ok(())
}
