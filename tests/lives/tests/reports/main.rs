//! What is said of requests by the lives that they have: facts of those that are caught, silence
//! about those that are merely long, and nobody accused for what a client does.

mod accused;
mod facts;
mod long;

use bytes::Bytes;
use http::{Method, Request};
use redhanded::report::{Event, Report};
use redhanded_lives::{Client, Flavour, Frames, Gate, Protocol, Server, Watched, comes};
use std::time::Duration;

/// What takes longer is caught.
const SLOW_AFTER: Duration = Duration::from_millis(150);
/// Long, and more than that.
const LONG: Duration = Duration::from_secs(2);
/// Between two signs of life of something that is merely long.
const PACE: Duration = Duration::from_millis(20);
/// So many signs of life make it long.
const SIGNS: u64 = (LONG.as_millis() / PACE.as_millis()) as u64;

/// An install with one server.
struct One {
    watched: Watched,
    gate: Gate,
    server: Server,
}

impl One {
    async fn new(flavour: Flavour) -> Self {
        Self::slow_after(flavour, SLOW_AFTER).await
    }

    async fn slow_after(flavour: Flavour, slow_after: Duration) -> Self {
        let watched = Watched::new("reports", slow_after);
        let gate = Gate::default();
        let proved = flavour != Flavour::Tonic;
        let server = Server::start(flavour, proved, &watched, &gate).await;
        Self {
            watched,
            gate,
            server,
        }
    }

    async fn client(&self, protocol: Protocol) -> Client {
        Client::connect(&self.server.address, protocol, false).await
    }

    /// The record of this event about `path`, when it comes.
    async fn report(&self, path: &str, event: Event) -> Report {
        let mut found = None;
        let come = comes(|| {
            found = self.watched.kept.find(path, event);
            found.is_some()
        });
        let come = come.await;
        assert!(
            come,
            "{path}: no {event:?} in {:#?}",
            self.watched.kept.all()
        );
        found.expect("it has come")
    }

    /// Nothing was caught, and nothing else is in flight than that.
    #[track_caller]
    fn is_silent(&self, in_flight: usize) {
        let redhanded = &self.watched.redhanded;
        let reports = self.watched.kept.all();
        assert_eq!(redhanded.stats().caught, 0, "{reports:#?}");
        assert_eq!(redhanded.in_flight(), in_flight);
    }

    async fn becomes_empty(&self) {
        let redhanded = &self.watched.redhanded;
        assert!(comes(|| redhanded.in_flight() == 0).await, "{redhanded:?}");
    }
}

fn get(target: &str) -> Request<Frames> {
    ask("GET", target, Frames::empty())
}

fn ask(method: &str, target: &str, body: Frames) -> Request<Frames> {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let request = Request::builder().method(method).uri(target);
    request.body(body).expect("a request")
}

/// Reads an answer to its end.
async fn read(answer: http::Response<hyper::body::Incoming>) -> Bytes {
    let body = http_body_util::BodyExt::collect(answer.into_body()).await;
    body.expect("a whole body").to_bytes()
}
