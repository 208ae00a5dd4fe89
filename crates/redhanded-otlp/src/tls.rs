//! TLS, checked against the system's roots or a file of certificates.

use crate::config::{File, Files};
use crate::endpoint::Endpoint;
use std::fmt::Display;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// An encrypted connection.
pub(crate) type Stream = TlsStream<TcpStream>;

/// How to encrypt.
pub(crate) struct Tls {
    connector: TlsConnector,
}

impl Tls {
    /// As `files` say; `alpn` is what the other end is asked to speak.
    pub(crate) fn new(files: &Files, alpn: &[u8]) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        match &files.roots {
            Some(file) => {
                for certificate in certificates(file)? {
                    store.add(certificate).map_err(|error| wrong(file, error))?;
                }
            }
            None => {
                store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        if store.is_empty() {
            return Err(
                "the system has no root certificates; OTEL_EXPORTER_OTLP_CERTIFICATE can name some"
                    .to_owned(),
            );
        }
        // The provider is named here: the process-wide default is not ours to set.
        let config =
            ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?
                .with_root_certificates(store);
        let mut config = match &files.identity {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let private =
                    PrivateKeyDer::from_pem_file(&key.path).map_err(|error| wrong(key, error))?;
                let chain = certificates(certificate)?;
                config
                    .with_client_auth_cert(chain, private)
                    .map_err(|error| wrong(certificate, error))?
            }
        };
        config.alpn_protocols = vec![alpn.to_vec()];
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    pub(crate) async fn wrap(&self, endpoint: &Endpoint, stream: TcpStream) -> io::Result<Stream> {
        let name = ServerName::try_from(endpoint.host.clone()).map_err(io::Error::other)?;
        self.connector.connect(name, stream).await
    }
}

fn certificates(file: &File) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&file.path)
        .map_err(|error| wrong(file, error))?
        .collect();
    let all = all.map_err(|error| wrong(file, error))?;
    if all.is_empty() {
        return Err(wrong(file, "there are no certificates in it"));
    }
    Ok(all)
}

fn wrong(file: &File, what: impl Display) -> String {
    format!("{}: {}: {what}", file.name, file.path)
}
