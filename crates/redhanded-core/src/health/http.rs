//! As much of HTTP/1.1 as a health check needs.

use super::{Ask, Health};

/// A longer head is no health check.
pub(super) const LONGEST_HEAD: usize = 4096;

/// What is told in place of numbers.
const NOT_COUNTED: &str = "metrics are not switched on: metrics(true) on the builder does it\n";

/// What has come of a request so far.
#[derive(Debug, PartialEq)]
pub(super) enum Asked {
    /// Not all of its head.
    NotYet,
    /// Method, target, and what it accepts.
    For(String, String, String),
    /// No request, or one that is too long.
    Garbage,
}

/// Reads the head of a request.
pub(super) fn parse(bytes: &[u8]) -> Asked {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => return Asked::Garbage,
    };
    if !(text.contains("\r\n\r\n") || text.contains("\n\n")) {
        return if bytes.len() > LONGEST_HEAD {
            Asked::Garbage
        } else {
            Asked::NotYet
        };
    }
    let mut words = text.lines().next().unwrap_or_default().split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    match (method, target, version, words.next()) {
        (Some(method), Some(target), Some("HTTP/1.0" | "HTTP/1.1"), None)
            if !method.is_empty() && target.starts_with('/') =>
        {
            Asked::For(method.to_owned(), target.to_owned(), accept(text))
        }
        _ => Asked::Garbage,
    }
}

/// The values of all `Accept` headers.
fn accept(head: &str) -> String {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let accepts = fields.filter(|(name, _)| name.eq_ignore_ascii_case("accept"));
    let values: Vec<&str> = accepts.map(|(_, value)| value.trim()).collect();
    values.join(",")
}

/// The answer to a request, or to garbage.
pub(super) fn answer(asked: &Asked, ask: &Ask, may_scrape: bool) -> Vec<u8> {
    let Asked::For(method, target, accept) = asked else {
        return whole("400 Bad Request", "text/plain", "no request\n", false);
    };
    let path = target.split('?').next().unwrap_or_default();
    let scrape = ask.scrape.as_ref().filter(|_| path == "/metrics");
    if !matches!(path, "/ready" | "/live" | "/health") && scrape.is_none() {
        return whole(
            "404 Not Found",
            "text/plain",
            "not found\n",
            method == "HEAD",
        );
    }
    if !matches!(method.as_str(), "GET" | "HEAD") {
        let status = "405 Method Not Allowed\r\nallow: GET, HEAD";
        return whole(status, "text/plain", "GET or HEAD\n", false);
    }
    if let Some(scrape) = scrape {
        if !may_scrape {
            let why = "others are being told the numbers; ask again\n";
            return whole("503 Service Unavailable", "text/plain", why, false);
        }
        let (status, (kind, body)) = match scrape(accept) {
            Some(told) => ("200 OK", told),
            None => ("404 Not Found", ("text/plain", NOT_COUNTED.to_owned())),
        };
        return whole(status, kind, &body, method == "HEAD");
    }
    let health = (ask.health)();
    let (is_well, kind, body) = match path {
        "/ready" => (health.ready, "text/plain", ready_line(&health)),
        "/live" => (health.alive, "text/plain", live_line(&health)),
        _ => (health.ready, "application/json", json(&health)),
    };
    let status = if is_well {
        "200 OK"
    } else {
        "503 Service Unavailable"
    };
    whole(status, kind, &body, method == "HEAD")
}

fn json(health: &Health) -> String {
    serde_json::to_string(health).unwrap_or_default() + "\n"
}

/// Whether it is ready, in words.
pub(super) fn ready_line(health: &Health) -> String {
    line("ready", health.ready, health)
}

/// Whether it is alive, in words.
pub(super) fn live_line(health: &Health) -> String {
    line("alive", health.alive, health)
}

fn line(word: &str, is_so: bool, health: &Health) -> String {
    match &health.reason {
        _ if is_so => format!("{word}\n"),
        Some(reason) => format!("not {word}: {reason}\n"),
        None => format!("not {word}\n"),
    }
}

fn whole(status: &str, kind: &str, body: &str, head_only: bool) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
    );
    let body = if head_only { "" } else { body };
    [head.as_bytes(), body.as_bytes()].concat()
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn health(ready: bool) -> Health {
        Health {
            ready,
            alive: true,
            shutting_down: false,
            free_workers_percent: 50,
            reason: (!ready).then(|| "all 2 workers stand".to_owned()),
            culprit: None,
        }
    }

    fn asking(ready: bool, scrape: bool) -> Ask {
        let write = |accept: &str| {
            (accept != "nothing").then(|| ("text/plain", format!("accepts {accept}\n")))
        };
        Ask {
            health: Box::new(move || health(ready)),
            scrape: scrape.then(|| -> Box<dyn Fn(&str) -> _ + Send> { Box::new(write) }),
        }
    }

    fn ask(head: &str, ready: bool) -> String {
        let asked = parse(format!("{head}\r\nhost: x\r\n\r\n").as_bytes());
        String::from_utf8(answer(&asked, &asking(ready, false), true)).expect("text")
    }

    #[test]
    fn numbers_are_told_where_somebody_can_write_them() {
        assert!(ask("GET /metrics HTTP/1.1", true).starts_with("HTTP/1.1 404 "));
        let head = b"GET /metrics HTTP/1.1\r\nAccept: a/b;q=0.5\r\nhost: x\r\naccept:c/d\r\n\r\n";
        let told = answer(&parse(head), &asking(false, true), true);
        let told = String::from_utf8(told).expect("text");
        assert!(told.starts_with("HTTP/1.1 200 "), "{told}");
        assert!(told.ends_with("\r\n\r\naccepts a/b;q=0.5,c/d\n"), "{told}");
        let off = answer(
            &parse(b"GET /metrics HTTP/1.1\r\naccept: nothing\r\n\r\n"),
            &asking(true, true),
            true,
        );
        assert!(off.starts_with(b"HTTP/1.1 404 ") && off.ends_with(NOT_COUNTED.as_bytes()));
        let posted = answer(
            &parse(b"POST /metrics HTTP/1.1\r\n\r\n"),
            &asking(true, true),
            true,
        );
        assert!(posted.starts_with(b"HTTP/1.1 405 "));
    }

    #[test]
    fn readiness_liveness_and_reasons() {
        assert!(ask("GET /ready HTTP/1.1", true).starts_with("HTTP/1.1 200 OK\r\n"));
        let not = ask("GET /ready?x=1 HTTP/1.0", false);
        assert!(not.starts_with("HTTP/1.1 503 "), "{not}");
        assert!(not.ends_with("\r\n\r\nnot ready: all 2 workers stand\n"));
        assert!(ask("GET /live HTTP/1.1", false).starts_with("HTTP/1.1 200 "));
        let json = ask("GET /health HTTP/1.1", false);
        assert!(json.starts_with("HTTP/1.1 503 ") && json.contains("application/json"));
        let body = json.split("\r\n\r\n").nth(1).expect("a body");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["free_workers_percent"], 50);
        assert_eq!(body["reason"], "all 2 workers stand");
    }

    #[test]
    fn head_has_no_body_and_its_length() {
        let head = ask("HEAD /ready HTTP/1.1", true);
        assert!(head.ends_with("\r\n\r\n") && head.contains("content-length: 6\r\n"));
    }

    #[test]
    fn other_paths_methods_and_garbage() {
        assert!(ask("GET / HTTP/1.1", true).starts_with("HTTP/1.1 404 "));
        let post = ask("POST /ready HTTP/1.1", true);
        assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("\r\nallow: GET, HEAD\r\n"));
        for garbage in [
            "GET",
            "GET /ready",
            "GET /ready HTTP/2",
            " / HTTP/1.1",
            "A B C D",
        ] {
            assert!(ask(garbage, true).starts_with("HTTP/1.1 400 "), "{garbage}");
        }
        assert_eq!(parse(b"GET /ready HTTP/1.1\r\nhost"), Asked::NotYet);
        assert_eq!(parse(&[b'x'; LONGEST_HEAD + 1]), Asked::Garbage);
        assert_eq!(parse(b"\xff\xfe"), Asked::Garbage);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_answered(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let answered = answer(&parse(&bytes), &asking(true, true), true);
            prop_assert!(answered.starts_with(b"HTTP/1.1 "));
        }
    }
}
