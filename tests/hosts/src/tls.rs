//! A certificate of our own for every name under `hosts.test`, and both ends that use it.

use std::sync::{Arc, OnceLock};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, DEFAULT_VERSIONS, RootCertStore, ServerConfig};

struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(vec!["*.hosts.test".to_owned()]).unwrap();
        let key = made.signing_key.serialize_der();
        Identity {
            certificate: made.cert.der().clone(),
            key: PrivateKeyDer::try_from(key).unwrap(),
        }
    })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The server's end, for this protocol.
pub fn acceptor(alpn: &str) -> TlsAcceptor {
    let Identity { certificate, key } = identity();
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(DEFAULT_VERSIONS)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.clone_key())
        .unwrap();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// The client's end.
pub fn client() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(identity().certificate.clone()).unwrap();
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(DEFAULT_VERSIONS)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}
