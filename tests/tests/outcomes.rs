//! Requests through the layer in this very process: every way to end leaves the right outcome, and
//! no slot behind.

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use redhanded::report::{Class, Confidence, Event, How, Report, Role};
use redhanded::sink::Sink;
use redhanded::{Redhanded, WatchLayer};
use redhanded_tests::{PATIENCE, until};
use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::sleep;
use tower::{Layer, Service, ServiceExt, service_fn};

const SLOW_AFTER: Duration = Duration::from_millis(60);
const SLOW: Duration = Duration::from_millis(400);

/// Keeps every report.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Report>>>);

impl Sink for Kept {
    fn accept(&self, report: &Arc<Report>, _: Option<&Arc<Report>>) {
        self.0.lock().expect("no panic").push(Report::clone(report));
    }
    fn flush(&self, _: Duration) -> bool {
        true
    }
    fn lost(&self) -> u64 {
        0
    }
}

/// An install with a log and a memory of its own.
struct Watched {
    redhanded: Redhanded,
    kept: Kept,
    _dir: tempfile::TempDir,
}

fn watched() -> Watched {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let kept = Kept::default();
    let builder = Redhanded::builder("outcomes")
        .slow_after(SLOW_AFTER)
        .slow_log(dir.path().join("slow.jsonl"));
    let redhanded = builder.sink(kept.clone()).install().expect("good settings");
    Watched {
        redhanded,
        kept,
        _dir: dir,
    }
}

impl Watched {
    fn layer(&self) -> WatchLayer {
        self.redhanded.layer()
    }

    fn find(&self, path: &str, event: Event) -> Option<Report> {
        let reports = self.kept.0.lock().expect("no panic");
        let caught = reports
            .iter()
            .find(|r| r.request.as_ref().is_some_and(|q| q.path == path))?;
        reports
            .iter()
            .find(|r| r.id == caught.id && r.event == event)
            .cloned()
    }

    /// The outcome of the request for `path`, once it has ended.
    #[track_caller]
    fn outcome(&self, path: &str) -> (How, Option<u16>) {
        let end = until(PATIENCE, || self.find(path, Event::Ended));
        let reports = || redhanded_tests::show(&self.kept.0.lock().expect("no panic"));
        let outcome = end
            .unwrap_or_else(|| panic!("{path} has no end:\n{}", reports()))
            .outcome
            .expect("an end has one");
        (outcome.how, outcome.status)
    }

    #[track_caller]
    fn is_empty(&self) {
        assert!(
            until(PATIENCE, || (self.redhanded.in_flight() == 0).then_some(())).is_some(),
            "{:?}",
            self.redhanded
        );
        assert_eq!(self.redhanded.stats().internal_errors, 0);
    }
}

fn request(path: &str) -> Request<()> {
    Request::get(path).body(()).expect("a request")
}

type Boxed = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

fn boxed(body: impl Body<Data = Bytes, Error = Infallible> + Send + 'static) -> Boxed {
    body.map_err(|never| match never {}).boxed_unsync()
}

fn streamed(frames: Vec<Result<Frame<Bytes>, std::io::Error>>) -> Boxed {
    let pace = |frame| async move {
        tokio::task::yield_now().await;
        frame
    };
    BodyExt::boxed_unsync(StreamBody::new(Box::pin(futures_util::StreamExt::then(
        futures_util::stream::iter(frames),
        pace,
    ))))
}

fn data(text: &'static str) -> Result<Frame<Bytes>, std::io::Error> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

/// A slow answer with this body, watched; it is caught before it comes.
async fn answer(
    watched: &Watched,
    path: &str,
    body: Boxed,
) -> Response<redhanded::WatchedBody<Boxed>> {
    let body = Arc::new(Mutex::new(Some(body)));
    let service = service_fn(move |_: Request<()>| {
        let body = body.lock().expect("no panic").take().expect("one request");
        async move {
            sleep(SLOW).await;
            Ok::<_, Infallible>(
                Response::builder()
                    .status(203)
                    .body(body)
                    .expect("a response"),
            )
        }
    });
    let response = watched.layer().layer(service).oneshot(request(path)).await;
    response.unwrap_or_else(|never| match never {})
}

/// Reads so many frames of a slow answer, and drops the rest.
async fn read(watched: &Watched, path: &str, body: Boxed, frames: usize) {
    let mut body = answer(watched, path, body).await.into_body();
    for _ in 0..frames {
        let _ = body.frame().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_read_to_its_end() {
    let watched = watched();
    read(&watched, "/empty", boxed(Empty::new()), 0).await;
    read(&watched, "/exact", boxed(Full::from("whole")), 2).await;
    read(
        &watched,
        "/streaming",
        streamed(vec![data("a"), data("b")]),
        3,
    )
    .await;
    for path in ["/empty", "/exact", "/streaming"] {
        let outcome = watched.outcome(path);
        assert_eq!((path, outcome), (path, (How::Completed, Some(203))));
    }
    watched.is_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_read_to_its_end() {
    let watched = watched();
    let broken = vec![data("a"), Err(std::io::ErrorKind::BrokenPipe.into())];
    read(&watched, "/unread", boxed(Full::from("whole")), 0).await;
    read(&watched, "/half", streamed(vec![data("a"), data("b")]), 1).await;
    read(&watched, "/broken", streamed(broken), 2).await;
    for path in ["/unread", "/half", "/broken"] {
        let outcome = watched.outcome(path);
        assert_eq!((path, outcome), (path, (How::Dropped, Some(203))));
    }
    watched.is_empty();
}

/// hyper reads a body of known length to its last byte and not to its end.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_byte_of_a_known_length_is_the_end() {
    let watched = watched();
    let mut body = answer(&watched, "/exact", boxed(Full::from("whole")))
        .await
        .into_body();
    assert!(body.frame().await.is_some());
    assert_eq!(watched.outcome("/exact"), (How::Completed, Some(203)));
    watched.is_empty();
    drop(body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_fails_has_answered() {
    let watched = watched();
    let fails = service_fn(|_: Request<()>| async {
        sleep(SLOW).await;
        Err::<Response<Boxed>, _>("no database")
    });
    assert!(
        watched
            .layer()
            .layer(fails)
            .oneshot(request("/fails"))
            .await
            .is_err()
    );
    assert_eq!(watched.outcome("/fails"), (How::Completed, None));
    watched.is_empty();
}

async fn slow_panic() -> Result<Response<Boxed>, Infallible> {
    sleep(SLOW).await;
    panic!("on purpose")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_task_of_its_own() {
    let watched = watched();
    let service = watched
        .layer()
        .layer(service_fn(|_: Request<()>| slow_panic()));
    assert!(
        tokio::spawn(service.oneshot(request("/task")))
            .await
            .is_err()
    );
    assert_eq!(watched.outcome("/task"), (How::Panicked, None));
    watched.is_empty();
}

/// As a middleware does that turns panics into status 500: it drops the future when all is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_that_somebody_outside_catches_is_still_a_panic() {
    let watched = watched();
    let service = watched
        .layer()
        .layer(service_fn(|_: Request<()>| slow_panic()));
    let caught = AssertUnwindSafe(service.oneshot(request("/caught")))
        .catch_unwind()
        .await;
    assert!(caught.is_err());
    assert_eq!(watched.outcome("/caught"), (How::Panicked, None));
    watched.is_empty();
}

/// A service may panic before there is a future at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_call() {
    let watched = watched();
    let service = service_fn(
        |_: Request<()>| -> std::future::Ready<Result<Response<Boxed>, Infallible>> {
            std::thread::sleep(SLOW);
            panic!("on purpose")
        },
    );
    let mut service = watched.layer().layer(service);
    let called =
        std::panic::catch_unwind(AssertUnwindSafe(|| drop(service.call(request("/call")))));
    assert!(called.is_err());
    assert_eq!(watched.outcome("/call"), (How::Panicked, None));
    watched.is_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_around_drops_it() {
    let watched = watched();
    let service = watched.layer().layer(service_fn(|_: Request<()>| async {
        sleep(SLOW).await;
        Ok::<_, Infallible>(Response::new(boxed(Empty::new())))
    }));
    assert!(
        tokio::time::timeout(SLOW / 2, service.oneshot(request("/timeout")))
            .await
            .is_err()
    );
    assert_eq!(watched.outcome("/timeout"), (How::Dropped, None));
    watched.is_empty();
}

/// Polled once, woken since, and kept by an owner who polls no more: said, and nobody accused of
/// more than that.
#[tokio::test(flavor = "multi_thread")]
async fn a_future_that_its_owner_does_not_drive() {
    let watched = watched();
    let service = watched.layer().layer(service_fn(|_: Request<()>| async {
        sleep(Duration::from_millis(5)).await;
        Ok::<_, Infallible>(Response::new(boxed(Empty::new())))
    }));
    let mut future = Box::pin(service.oneshot(request("/undriven")));
    assert!(
        future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    let found =
        until(PATIENCE, || watched.find("/undriven", Event::Caught)).expect("it is reported");
    let verdict = found.verdict.expect("with a verdict");
    assert!(
        matches!(verdict.class, Class::Unknown | Class::Undriven),
        "{verdict:?}"
    );
    assert!(
        verdict.confidence <= Confidence::Suspected && verdict.culprit.is_none(),
        "{verdict:?}"
    );
    assert_eq!(watched.redhanded.in_flight(), 1);
    drop(future);
    assert_eq!(watched.outcome("/undriven"), (How::Dropped, None));
    watched.is_empty();
}

/// Made, and never polled at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_future_that_is_never_polled() {
    let watched = watched();
    let mut service = watched.layer().layer(service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(boxed(Empty::new())))
    }));
    let future = service.call(request("/unpolled"));
    let found =
        until(PATIENCE, || watched.find("/unpolled", Event::Caught)).expect("it is reported");
    assert!(
        found
            .verdict
            .is_some_and(|v| v.class == Class::Unknown && v.confidence == Confidence::Suspected)
    );
    drop(future);
    assert_eq!(watched.outcome("/unpolled"), (How::Dropped, None));
    watched.is_empty();
}

/// Many requests in one task, each with a waker of the set's own.
#[tokio::test(flavor = "multi_thread")]
async fn requests_in_a_set_of_futures() {
    use futures_util::stream::{FuturesUnordered, StreamExt};
    let watched = watched();
    let service = watched
        .layer()
        .layer(service_fn(|r: Request<()>| async move {
            sleep(if r.uri().path() == "/set/slow" {
                SLOW
            } else {
                Duration::from_millis(1)
            })
            .await;
            Ok::<_, Infallible>(Response::new(boxed(Empty::new())))
        }));
    let paths = ["/set/a", "/set/slow", "/set/b"];
    let mut set: FuturesUnordered<_> = paths
        .into_iter()
        .map(|path| service.oneshot(request(path)))
        .collect();
    while let Some(answer) = set.next().await {
        drop(answer);
    }
    assert_eq!(watched.outcome("/set/slow"), (How::Completed, Some(200)));
    assert_eq!(watched.redhanded.stats().caught, 1);
    watched.is_empty();
}

/// Each sees its own requests and nothing of the other's; a request may be in both.
#[tokio::test(flavor = "multi_thread")]
async fn two_installs_side_by_side() {
    let (one, two) = (watched(), watched());
    let slow = service_fn(|_: Request<()>| async {
        sleep(SLOW).await;
        Ok::<_, Infallible>(Response::new(boxed(Empty::new())))
    });
    let in_one = one.layer().layer(slow).oneshot(request("/one"));
    let in_two = two.layer().layer(slow).oneshot(request("/two"));
    let in_both = one
        .layer()
        .layer(two.layer().layer(slow))
        .oneshot(request("/both"));
    let (a, b, c) = tokio::join!(in_one, in_two, in_both);
    drop((a, b, c));
    for (install, path) in [
        (&one, "/one"),
        (&two, "/two"),
        (&one, "/both"),
        (&two, "/both"),
    ] {
        assert_eq!(
            (path, install.outcome(path)),
            (path, (How::Completed, Some(200)))
        );
        assert_eq!(install.redhanded.stats().caught, 2);
        install.is_empty();
    }
    assert!(one.find("/two", Event::Caught).is_none() && two.find("/one", Event::Caught).is_none());
    assert!(one.redhanded.shutdown(PATIENCE).await);
    let again = two.layer().layer(slow).oneshot(request("/again")).await;
    drop(again);
    assert_eq!(
        two.outcome("/again"),
        (How::Completed, Some(200)),
        "the other goes on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_shutdown_requests_run_unwatched() {
    let watched = watched();
    let slow = service_fn(|_: Request<()>| async {
        sleep(SLOW).await;
        Ok::<_, Infallible>(Response::new(boxed(Empty::new())))
    });
    let mut hanging = pin!(watched.layer().layer(slow).oneshot(request("/before")));
    assert!(futures_util::poll!(hanging.as_mut()).is_pending());
    assert!(until(PATIENCE, || watched.find("/before", Event::Caught)).is_some());
    assert!(watched.redhanded.shutdown(PATIENCE).await);
    assert!(hanging.await.is_ok(), "it is served all the same");
    assert!(
        watched
            .layer()
            .layer(slow)
            .oneshot(request("/after"))
            .await
            .is_ok()
    );
    assert!(watched.find("/after", Event::Caught).is_none());
    watched.is_empty();
}

/// A runtime that goes away with its requests in the middle of a look.
#[test]
fn a_runtime_that_is_shut_down() {
    let watched = watched();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let slow = service_fn(|_: Request<()>| async {
        sleep(SLOW * 100).await;
        Ok::<_, Infallible>(Response::new(boxed(Empty::new())))
    });
    for i in 0..20 {
        runtime.spawn(
            watched
                .layer()
                .layer(slow)
                .oneshot(request(&format!("/gone/{i}"))),
        );
    }
    assert!(
        until(PATIENCE, || (watched.redhanded.stats().caught > 0)
            .then_some(()))
        .is_some()
    );
    runtime.shutdown_background();
    watched.is_empty();
    let ends = || {
        let reports = watched.kept.0.lock().expect("no panic");
        let outcomes = reports.iter().filter_map(|r| r.outcome.as_ref());
        outcomes
            .clone()
            .next()
            .is_some()
            .then(|| outcomes.map(|o| o.how).collect::<Vec<_>>())
    };
    assert!(until(PATIENCE, ends).is_some_and(|hows| hows.iter().all(|how| *how == How::Dropped)));
    let accused = watched.kept.0.lock().expect("no panic").iter().any(|r| {
        r.verdict
            .as_ref()
            .is_some_and(|v| v.role == Role::Culprit && v.confidence == Confidence::Proved)
    });
    assert!(!accused, "a sleeping future proves nothing");
}

/// A handler that asks the same service again, in its own poll.
#[tokio::test(flavor = "multi_thread")]
async fn requests_within_requests() {
    let watched = watched();
    let inner = watched.layer().layer(service_fn(|_: Request<()>| async {
        sleep(SLOW).await;
        Ok::<_, Infallible>(Response::new(boxed(Empty::new())))
    }));
    let outer = watched
        .layer()
        .layer(service_fn(move |_: Request<()>| async move {
            inner.oneshot(request("/inner")).await
        }));
    let answer: Pin<Box<dyn Future<Output = _> + Send>> =
        Box::pin(outer.oneshot(request("/outer")));
    drop(answer.await);
    for path in ["/inner", "/outer"] {
        assert_eq!(
            (path, watched.outcome(path)),
            (path, (How::Completed, Some(200)))
        );
    }
    assert_eq!(watched.redhanded.stats().caught, 2);
    watched.is_empty();
}

/// A body that is polled by nobody once it says that it is ready does not keep its slot.
#[test]
fn a_response_may_go_to_another_thread() {
    let watched = watched();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let response = runtime.block_on(answer(&watched, "/moved", streamed(vec![data("a")])));
    let moved = std::thread::spawn(move || {
        let mut body = pin!(response.into_body());
        let mut cx = Context::from_waker(Waker::noop());
        while !matches!(body.as_mut().poll_frame(&mut cx), Poll::Ready(None)) {}
    });
    moved.join().expect("no panic");
    assert_eq!(watched.outcome("/moved"), (How::Completed, Some(203)));
    watched.is_empty();
}
