//! A certificate of our own, and both ends of a connection that is secured with it.

use std::sync::{Arc, OnceLock};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, DEFAULT_VERSIONS, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let names = vec!["localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let key = made.signing_key.serialize_der();
        Identity {
            certificate: made.cert.der().clone(),
            key: PrivateKeyDer::try_from(key).expect("a key"),
        }
    })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The server's end, for both protocols.
pub(crate) fn acceptor() -> TlsAcceptor {
    let Identity { certificate, key } = identity();
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(DEFAULT_VERSIONS)
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.clone_key())
        .expect("a certificate and its key");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// The client's end, for the protocol of this name.
pub(crate) fn connector(alpn: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(identity().certificate.clone()).expect("a root");
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(DEFAULT_VERSIONS)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    TlsConnector::from(Arc::new(config))
}

pub(crate) fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}
