//! An outbound call in the terms of the conventions for clients of HTTP and of databases.

use crate::attributes::Attributes;
use crate::{mapping, names, text};
use redhanded_report::{OutboundCall, Peer, Tried};

/// As many as a call can need, with phases that we do not know yet.
const LIMIT: usize = 48;
/// A statement or path is at most as long in a report; 32 of them wait in the queue for each.
const WHAT: usize = 1024;

/// Kinds of call that are databases, and what the conventions call them.
const DATABASES: [(&str, &str); 6] = [
    ("postgres", "postgresql"),
    ("postgresql", "postgresql"),
    ("mysql", "mysql"),
    ("redis", "redis"),
    ("memcached", "memcached"),
    ("mongodb", "mongodb"),
];

/// The method of an HTTP call, the system of a database, else the kind: never a path or a
/// statement, of which there is no end.
pub(crate) fn name(call: &OutboundCall) -> String {
    if is_http(call) {
        let method = http_request(call).map(|(method, _)| method);
        let known = method.filter(|method| names::KNOWN_METHODS.contains(method));
        return known.unwrap_or("HTTP").to_owned();
    }
    match database(call) {
        Some(system) => system.to_owned(),
        None if call.kind.is_empty() => "outbound".to_owned(),
        None => text::bounded(&call.kind, text::KEY),
    }
}

pub(crate) fn of(call: &OutboundCall) -> Attributes {
    let mut to = Attributes::with_limit(LIMIT);
    to.yes(names::RUNAWAY);
    if call.open {
        to.yes("redhanded.still_open");
    }
    peer(&mut to, &call.peer);
    asked(&mut to, call);
    moved(&mut to, call);
    to.maybe_int(names::HTTP_RESPONSE_STATUS_CODE, call.status);
    to.maybe_text(names::ERROR_TYPE, error_type(call));
    for (phase, ms) in &call.phases_ms {
        to.maybe_float(&format!("redhanded.phases.{phase}_ms"), Some(*ms));
    }
    to
}

/// One address that was tried for a connection.
pub(crate) fn of_tried(tried: &Tried) -> Attributes {
    let mut to = Attributes::new();
    let keys = (names::NETWORK_PEER_ADDRESS, names::NETWORK_PEER_PORT);
    mapping::address(&mut to, keys, &tried.address);
    to.maybe_float("redhanded.elapsed_ms", Some(tried.elapsed_ms));
    to.maybe_text(names::ERROR_TYPE, tried.error.as_ref());
    to
}

/// How it failed; to a client every status from 400 on is a failure.
pub(crate) fn error_type(call: &OutboundCall) -> Option<String> {
    let status = || call.status.filter(|status| *status >= 400);
    let error = call.error.clone();
    error.or_else(|| status().map(|status| status.to_string()))
}

/// Whom it calls, by name and by what the name came to, and how far it has got.
fn peer(to: &mut Attributes, peer: &Peer) {
    let server = peer.name.as_ref().or(peer.address.as_ref());
    to.maybe_text(names::SERVER_ADDRESS, server);
    to.maybe_int(names::SERVER_PORT, peer.port.filter(|_| server.is_some()));
    if let Some(address) = &peer.address {
        to.text(names::NETWORK_PEER_ADDRESS, address);
        to.maybe_int(names::NETWORK_PEER_PORT, peer.port);
    }
    mapping::progress(to, peer);
    if peer.inferred {
        to.yes("redhanded.inferred");
    }
}

/// What it asks, in the words of its kind.
fn asked(to: &mut Attributes, call: &OutboundCall) {
    if let Some(system) = database(call) {
        to.text(names::DB_SYSTEM_NAME, system);
    }
    let Some(what) = &call.what else { return };
    if let Some((method, path)) = http_request(call) {
        mapping::method(to, method);
        let (path, query) = path
            .split_once('?')
            .map_or((path, None), |(path, query)| (path, Some(query)));
        to.long_text(names::URL_PATH, path, WHAT);
        if let Some(query) = query {
            to.long_text(names::URL_QUERY, query, WHAT);
        }
    } else if database(call).is_some() {
        to.long_text(names::DB_QUERY_TEXT, what, WHAT);
    } else {
        to.long_text("redhanded.what", what, WHAT);
    }
}

fn moved(to: &mut Attributes, call: &OutboundCall) {
    let (sent, received) = if is_http(call) {
        (
            names::HTTP_REQUEST_BODY_SIZE,
            names::HTTP_RESPONSE_BODY_SIZE,
        )
    } else {
        ("redhanded.sent_bytes", "redhanded.received_bytes")
    };
    to.maybe_int(sent, call.sent_bytes);
    to.maybe_int(received, call.received_bytes);
}

fn is_http(call: &OutboundCall) -> bool {
    call.kind == "http"
}

/// `GET` and `/path` of `GET /path`.
fn http_request(call: &OutboundCall) -> Option<(&str, &str)> {
    let what = call.what.as_deref().filter(|_| is_http(call))?;
    let (method, path) = what.split_once(' ')?;
    (!method.is_empty() && path.starts_with('/')).then_some((method, path))
}

fn database(call: &OutboundCall) -> Option<&'static str> {
    let known = DATABASES.iter().find(|(kind, _)| *kind == call.kind);
    known.map(|(_, system)| *system)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::Value;
    use std::collections::HashMap;

    fn call(kind: &str, what: Option<&str>) -> OutboundCall {
        let mut call = OutboundCall::default();
        call.kind = kind.to_owned();
        call.what = what.map(str::to_owned);
        call
    }

    fn attributes(call: &OutboundCall) -> HashMap<String, Value> {
        let list = of(call).finish().0;
        list.into_iter()
            .map(|one| (one.key.to_string(), one.value))
            .collect()
    }

    #[test]
    fn a_name_is_never_what_somebody_asks_for() {
        for (kind, what, expected) in [
            ("http", Some("GET /a/b?c"), "GET"),
            ("http", Some("BREW /pot"), "HTTP"),
            ("http", Some("/a"), "HTTP"),
            ("http", None, "HTTP"),
            ("postgres", Some("SELECT 1"), "postgresql"),
            ("postgresql", None, "postgresql"),
            ("redis", Some("GET /key"), "redis"),
            ("smtp", Some("MAIL"), "smtp"),
            ("", None, "outbound"),
        ] {
            assert_eq!(name(&call(kind, what)), expected, "{kind} {what:?}");
        }
        assert!(name(&call(&"k".repeat(10_000), None)).len() < 200);
    }

    #[test]
    fn what_is_asked_stands_in_the_words_of_its_kind() {
        for (kind, what, key, value) in [
            ("http", "GET /a?b=c", "http.request.method", "GET"),
            ("http", "GET /a?b=c", "url.path", "/a"),
            ("http", "GET /a?b=c", "url.query", "b=c"),
            ("http", "BREW /pot", "http.request.method", "_OTHER"),
            ("http", "BREW /pot", "http.request.method_original", "BREW"),
            ("http", "strange", "redhanded.what", "strange"),
            ("mysql", "SELECT 1", "db.query.text", "SELECT 1"),
            ("mysql", "SELECT 1", "db.system.name", "mysql"),
            ("postgres", "SELECT 1", "db.system.name", "postgresql"),
            ("redis", "GET /key", "db.query.text", "GET /key"),
            ("smtp", "MAIL", "redhanded.what", "MAIL"),
        ] {
            let got = attributes(&call(kind, Some(what)));
            assert_eq!(got.get(key), Some(&Value::from(value)), "{kind} {what}");
        }
        let other = attributes(&call("smtp", Some("GET /a")));
        assert!(!other.contains_key("http.request.method"));
    }

    #[test]
    fn a_peer_without_a_name_is_its_address() {
        let mut call = call("http", None);
        call.peer.port = Some(80);
        assert!(!attributes(&call).contains_key("server.port"));
        call.peer.address = Some("10.0.0.9".to_owned());
        let got = attributes(&call);
        for key in ["server.address", "network.peer.address"] {
            assert_eq!(got[key], Value::from("10.0.0.9"));
        }
        for key in ["server.port", "network.peer.port"] {
            assert_eq!(got[key], Value::I64(80));
        }
        assert!(!got.contains_key("redhanded.inferred"));
    }

    #[test]
    fn bytes_are_those_of_a_body_only_in_http() {
        let mut call = call("http", None);
        (call.sent_bytes, call.received_bytes) = (Some(1), Some(2));
        let got = attributes(&call);
        assert_eq!(got["http.request.body.size"], Value::I64(1));
        assert_eq!(got["http.response.body.size"], Value::I64(2));
        call.kind = "redis".to_owned();
        let got = attributes(&call);
        assert_eq!(got["redhanded.sent_bytes"], Value::I64(1));
        assert_eq!(got["redhanded.received_bytes"], Value::I64(2));
    }
}
