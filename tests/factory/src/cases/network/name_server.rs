//! A name server that is silent: asked again and again, each time for five seconds.

use crate::{Case, Ground, Hang, Needs, Play, Truth, peers};
use axum::Router;
use axum::extract::{Query, State};
use axum::routing::get;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use redhanded::report::Class;
use std::collections::HashMap;

pub(super) fn case() -> Case {
    Case {
        code: "F6",
        title: "a name server that does not answer",
        source: include_str!("name_server.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::UnreachableHost],
            function: Some("name_server::resolve"),
            // Its socket is not connected: the kernel does not know whom it asks
            param: Some(("host", "db.example.com")),
            // The resolver gives up after some attempts
            hang: Hang::Late,
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    let server = peers::silent_name_server("name_server");
    let mut udp = ConnectionConfig::udp();
    udp.port = server.port();
    let server = NameServerConfig::new(server.ip(), true, vec![udp]);
    let config = ResolverConfig::from_name_servers(vec![server]);
    let resolver =
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build();
    Router::new()
        .route("/resolve", get(resolve))
        .with_state(resolver.expect("no file is read"))
}

fn play(play: &mut Play) {
    play.told("name_server");
    play.culprit("/resolve?host=db.example.com.");
}

async fn resolve(
    State(resolver): State<TokioResolver>,
    Query(query): Query<HashMap<String, String>>,
) -> String {
    let host = query.get("host").map_or("", String::as_str);
    let addresses = resolver.lookup_ip(host).await; // <- here
    format!("{addresses:?}")
}
