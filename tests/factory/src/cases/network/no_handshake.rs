//! A host that accepts and never speaks TLS.

use crate::{Case, Ground, Needs, Play, Truth, peers};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use redhanded::report::Class;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub(super) fn case() -> Case {
    Case {
        code: "F7",
        title: "a host that never shakes hands",
        source: include_str!("no_handshake.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            // A TLS handshake is part of reaching a host; to the kernel it is connected
            classes: &[Class::UnreachableHost, Class::SilentPeer],
            function: Some("no_handshake::pay"),
            peer: Some("peer"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

#[derive(Clone)]
struct Bank {
    tls: TlsConnector,
    host: SocketAddr,
}

fn app(_: &Ground) -> Router {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the versions that there are")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let bank = Bank {
        tls: TlsConnector::from(Arc::new(config)),
        host: peers::silent("peer"),
    };
    Router::new().route("/pay", get(pay)).with_state(bank)
}

fn play(play: &mut Play) {
    play.told("peer");
    play.culprit("/pay");
}

async fn pay(State(bank): State<Bank>) -> String {
    let answer = async {
        let stream = TcpStream::connect(bank.host).await?;
        let name = ServerName::try_from("bank.example.com").map_err(io::Error::other)?;
        let mut stream = bank.tls.connect(name, stream).await?; // <- here
        stream.read_u8().await
    };
    let answer = answer.await; // <- here
    format!("{answer:?}")
}
