//! TLS for both protocols, with certificates of our own on both ends.

use crate::collector::small;
use crate::grpc_collector::GrpcCollector;
use redhanded_core::sink::Sink;
use redhanded_otlp::{Export, Otlp};
use redhanded_report::Service;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

/// A certificate authority, and what it signed for both ends.
struct Papers {
    authority: CertificateDer<'static>,
    server: (CertificateDer<'static>, PrivateKeyDer<'static>),
}

/// Writes `ca.pem`, `client.pem` and `client.key`.
fn papers(directory: &Path) -> Papers {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let signed = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let (client, client_key) = signed("client");
    let (server, server_key) = signed("localhost");
    let pem = |der: &[u8], label: &str| {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .map(|c| std::str::from_utf8(c).unwrap())
            .collect();
        format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            lines.join("\n")
        )
    };
    let write = |name: &str, text: String| fs::write(directory.join(name), text).unwrap();
    write("ca.pem", pem(authority.der(), "CERTIFICATE"));
    write("client.pem", pem(client.der(), "CERTIFICATE"));
    write(
        "client.key",
        pem(&client_key.serialize_der(), "PRIVATE KEY"),
    );
    Papers {
        authority: authority.der().clone(),
        server: (
            server.der().clone(),
            server_key.serialize_der().try_into().unwrap(),
        ),
    }
}

/// A collector that wants a certificate of its clients.
fn collector(papers: Papers) -> GrpcCollector {
    let mut roots = RootCertStore::empty();
    roots.add(papers.authority).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let (certificate, key) = papers.server;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    GrpcCollector::over(vec![], move |stream| {
        let accepted = acceptor.accept(stream);
        async move { accepted.await.ok() }
    })
}

fn configured(collector: &GrpcCollector, env: &[(&str, String)]) -> (Otlp, Vec<String>) {
    let port = collector.address.rsplit(':').next().unwrap();
    let endpoint = format!("https://localhost:{port}");
    let configured = Otlp::from_env(&Service::default(), |name| match name {
        "OTEL_EXPORTER_OTLP_PROTOCOL" => Some("grpc".to_owned()),
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        _ => env
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.clone()),
    });
    match configured.export {
        Export::On(otlp) => (otlp, configured.warnings),
        Export::Off { why } => panic!("{why}"),
    }
}

#[test]
fn both_ends_show_their_papers() {
    let directory = tempfile::tempdir().unwrap();
    let collector = collector(papers(directory.path()));
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (otlp, warnings) = configured(
        &collector,
        &[
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", path("ca.pem")),
            (
                "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
                path("client.pem"),
            ),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", path("client.key")),
        ],
    );
    assert_eq!(warnings, Vec::<String>::new());
    otlp.accept(&small(1), None);
    assert!(otlp.flush(Duration::from_secs(10)));
    assert_eq!(collector.calls(1).len(), 1);
}

#[test]
fn who_has_no_papers_gets_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let collector = collector(papers(directory.path()));
    let path = |name: &str| directory.path().join(name).display().to_string();
    for (env, warned) in [
        // No certificate of ours; half of one; and the server's is unknown.
        (
            vec![("OTEL_EXPORTER_OTLP_CERTIFICATE", path("ca.pem"))],
            None,
        ),
        (
            vec![
                ("OTEL_EXPORTER_OTLP_CERTIFICATE", path("ca.pem")),
                ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", path("client.pem")),
            ],
            Some("OTEL_EXPORTER_OTLP_CLIENT_KEY"),
        ),
        (
            vec![("OTEL_EXPORTER_OTLP_CERTIFICATE", path("absent.pem"))],
            Some("the system's roots are used"),
        ),
    ] {
        let (otlp, warnings) = configured(&collector, &env);
        assert_eq!(
            warnings.len(),
            usize::from(warned.is_some()),
            "{warnings:?}"
        );
        assert!(
            warned.is_none_or(|words| warnings[0].contains(words)),
            "{warnings:?}"
        );
        otlp.accept(&small(1), None);
        assert!(!otlp.shutdown(Duration::from_millis(500)), "{env:?}");
    }
    assert_eq!(collector.calls(0).len(), 0);
}

#[test]
fn a_file_that_is_no_certificate_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("garbage.pem");
    for garbage in [
        "",
        "garbage",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        fs::write(&file, garbage).unwrap();
        let configured = Otlp::from_env(&Service::default(), |name| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("https://localhost:1".to_owned()),
            "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE" => Some(file.display().to_string()),
            _ => None,
        });
        let [warning] = &configured.warnings[..] else {
            panic!("{:?}", configured.warnings)
        };
        assert!(
            warning.contains("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"),
            "{warning}"
        );
        assert!(warning.contains("garbage.pem"), "{warning}");
        assert!(matches!(configured.export, Export::Off { .. }));
    }
}
