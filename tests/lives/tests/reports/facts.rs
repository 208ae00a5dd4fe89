//! What was asked and how it ended, as the record says.

use super::*;
use futures_util::stream::{self, StreamExt};
use redhanded::report::How;
use redhanded_lives::Protocol::{H1, H2};
use redhanded_lives::{call_greeter, channel};

/// Longer than the threshold.
const SLOW: &str = "delay_us=500000";

/// One slow request: how it is made, and what is to be said of it.
struct Case {
    flavour: Flavour,
    method: &'static str,
    target: &'static str,
    route: Option<&'static str>,
    how: How,
    status: Option<u16>,
}

const fn case(method: &'static str, target: &'static str, how: How, status: u16) -> Case {
    Case {
        flavour: Flavour::Axum,
        method,
        target,
        route: Some("/{word}"),
        how,
        status: if status == 0 { None } else { Some(status) },
    }
}

impl Case {
    const fn on(self, flavour: Flavour, route: Option<&'static str>) -> Self {
        Self {
            flavour,
            route,
            ..self
        }
    }
}

const CASES: [Case; 21] = [
    case("GET", "/plain?bytes=9", How::Completed, 200),
    case("HEAD", "/plain?bytes=9", How::Completed, 200),
    case("HEAD", "/unknown?frames=2&bytes=9", How::Completed, 200),
    case("GET", "/unknown?frames=2&bytes=9", How::Completed, 200),
    case("GET", "/trailers?frames=2&bytes=9", How::Completed, 200),
    case("GET", "/declared?frames=2&bytes=9", How::Completed, 200),
    case("POST", "/echo", How::Completed, 200),
    case("PUT", "/unread", How::Completed, 200),
    case("PURGE", "/none", How::Completed, 204),
    case("GET", "/unmodified?bytes=9", How::Completed, 304),
    case("GET", "/moved", How::Completed, 302),
    case("GET", "/broken?bytes=9", How::Completed, 500),
    case("GET", "/nowhere", How::Completed, 404),
    case("GET", "/panic_late", How::Panicked, 0),
    case("GET", "/panic_body?frames=2&bytes=9", How::Panicked, 200),
    case("GET", "/breaks?frames=2&bytes=9", How::Dropped, 200),
    case("GET", "/limited/plain?bytes=9", How::Completed, 200)
        .on(Flavour::Axum, Some("/limited/{word}")),
    case("GET", "/plain?bytes=9", How::Completed, 200).on(Flavour::Tls, Some("/{word}")),
    case("GET", "/plain?bytes=9", How::Completed, 200).on(Flavour::Unix, Some("/{word}")),
    case("GET", "/plain?bytes=9", How::Completed, 200).on(Flavour::Bare, None),
    case("GET", "/fails", How::Completed, 0).on(Flavour::Bare, None),
];

async fn is_said(case: &Case, protocol: Protocol) {
    let one = One::new(case.flavour).await;
    let mut client = one.client(protocol).await;
    let and = if case.target.contains('?') { '&' } else { '?' };
    let target = format!("{}{and}{SLOW}", case.target);
    let body = match case.method {
        "POST" | "PUT" => Frames::whole(10),
        _ => Frames::empty(),
    };
    let answer = client.send(ask(case.method, &target, body));
    let asking = tokio::spawn(async move {
        if let Ok(answer) = answer.await {
            let _ = http_body_util::BodyExt::collect(answer.into_body()).await;
        }
    });
    let path = target.split_once('?').expect("a query").0;
    // What a nested router strips, a layer inside of it never sees
    let path = path.strip_prefix("/limited").unwrap_or(path);
    let what = format!("{:?} {protocol:?} {} {target}", case.flavour, case.method);
    let caught = one.report(path, Event::Caught).await;
    let request = caught.request.expect("one");
    assert_eq!(request.method, case.method, "{what}");
    assert_eq!(request.route.as_deref(), case.route, "{what}");
    assert!(
        target.ends_with(request.query.as_deref().unwrap_or("none")),
        "{what}"
    );
    let unix = case.flavour == Flavour::Unix;
    assert_eq!(
        request.client.is_none(),
        unix,
        "{what}: {:?}",
        request.client
    );
    let outcome = one.report(path, Event::Ended).await.outcome.expect("one");
    assert_eq!(
        (outcome.how, outcome.status),
        (case.how, case.status),
        "{what}"
    );
    asking.await.expect("no panic");
    one.becomes_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_every_kind() {
    let cases = CASES.iter().flat_map(|case| [(case, H1), (case, H2)]);
    let mut cases = stream::iter(cases)
        .map(|(case, protocol)| is_said(case, protocol))
        .buffer_unordered(6);
    while cases.next().await.is_some() {}
}

/// The client goes, or gives up its stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_one_that_is_left() {
    for (protocol, path, closes, how, status) in [
        (H1, "/hang", true, How::ClientGone, None),
        (H2, "/hang", true, How::ClientGone, None),
        (H2, "/hang", false, How::Dropped, None),
        (H1, "/hang_body", true, How::ClientGone, Some(200)),
        (H2, "/hang_body", true, How::ClientGone, Some(200)),
        (H2, "/hang_body", false, How::Dropped, Some(200)),
    ] {
        let one = One::new(Flavour::Axum).await;
        let mut client = one.client(protocol).await;
        let answer = client.send(get(path));
        let asking = tokio::spawn(async move {
            let answer = answer.await.expect("a head");
            let _ = http_body_util::BodyExt::collect(answer.into_body()).await;
        });
        one.report(path, Event::Caught).await;
        if closes {
            drop(client);
        } else {
            asking.abort();
        }
        let outcome = one.report(path, Event::Ended).await.outcome.expect("one");
        assert_eq!(
            (outcome.how, outcome.status),
            (how, status),
            "{path} {protocol:?}"
        );
        one.becomes_empty().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_websocket() {
    let one = One::new(Flavour::Axum).await;
    let at = one.server.port();
    let io = tokio::net::TcpStream::connect(at)
        .await
        .expect("it listens");
    let url = format!("ws://{at}/socket?{SLOW}");
    let opened = tokio_tungstenite::client_async(url, io).await;
    let (socket, _) = opened.expect("an upgrade");
    let outcome = one
        .report("/socket", Event::Ended)
        .await
        .outcome
        .expect("one");
    assert_eq!((outcome.how, outcome.status), (How::Completed, Some(101)));
    drop(socket);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_grpc_call() {
    let one = One::new(Flavour::Tonic).await;
    let channel = channel(&one.server.address).await;
    let hangs = tokio::spawn(call_greeter(channel, "Hang", "me"));
    let path = "/lives.Greeter/Hang";
    let request = one.report(path, Event::Caught).await.request.expect("one");
    assert_eq!((request.method.as_str(), request.route), ("POST", None));
    hangs.abort();
    let outcome = one.report(path, Event::Ended).await.outcome.expect("one");
    assert_eq!((outcome.how, outcome.status), (How::Dropped, None));
}
