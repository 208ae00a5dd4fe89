//! Jobs, requests by other ways, and what the application says about the request it works for.

use http::{Request, Response};
use http_body_util::Empty;
use redhanded::report::{Class, Confidence, Event, How, Phase, Role};
use redhanded::test_util::{self, Memory, PATIENCE, SLOW_AFTER};
use redhanded::{Redhanded, current, job, long_lived, slow_after};
use std::convert::Infallible;
use std::future::{Future, pending};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tower::{Layer, ServiceExt, service_fn};

type Body = Empty<bytes::Bytes>;

/// Free functions use the first install there is: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Held by one test at a time.
struct Alone(#[expect(dead_code, reason = "held, not read")] MutexGuard<'static, ()>);

fn alone() -> Alone {
    Alone(ALONE.lock().unwrap_or_else(|e| e.into_inner()))
}

struct Watched {
    redhanded: Redhanded,
    reports: Memory,
    _alone: Alone,
}

fn watched() -> Watched {
    let alone = alone();
    let (builder, reports) = test_util::builder("work");
    let redhanded = builder
        .route("/poll", long_lived())
        .route("nightly", slow_after(Duration::from_secs(3600)))
        .install()
        .expect("an install");
    Watched {
        redhanded,
        reports,
        _alone: alone,
    }
}

impl Watched {
    /// Nothing is left in flight; ends the install, so that the next test's is the first.
    async fn close(self) {
        let idle =
            redhanded_tests::until(PATIENCE, || (self.redhanded.in_flight() == 0).then_some(()));
        assert!(
            idle.is_some(),
            "{} slots leaked",
            self.redhanded.in_flight()
        );
        assert!(self.redhanded.shutdown(PATIENCE).await);
        assert_eq!(self.redhanded.stats().internal_errors, 0);
    }
}

/// Runs it until it was caught, and drops it then.
async fn until_caught(
    watched: &Watched,
    what: &str,
    future: impl Future<Output = ()> + Send + 'static,
) {
    let task = tokio::spawn(future);
    let (reports, what) = (watched.reports.clone(), what.to_owned());
    tokio::task::spawn_blocking(move || drop(reports.assert_caught(&what)))
        .await
        .expect("it is caught");
    task.abort();
    let _ = task.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_hangs_is_caught_with_its_parameters() {
    let watched = watched();
    let run = job("distribute")
        .param("notice", 42)
        .param("token", "hunter2")
        .run(pending::<()>());
    until_caught(&watched, "distribute", run).await;
    let caught = watched
        .reports
        .assert_caught("distribute")
        .with_param("notice", "42");
    let report = caught.report();
    let request = report.request.clone().expect("a request");
    assert_eq!(
        (request.method.as_str(), report.phase),
        ("JOB", Some(Phase::Job))
    );
    assert_eq!(
        request.params.job.get("token").map(String::as_str),
        Some("REDACTED")
    );
    assert_eq!((request.url.as_str(), request.reproduce), ("", None));
    let _ = caught.and_ends(How::Dropped);
    watched.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_end_as_they_end() {
    let watched = watched();
    let before = watched.redhanded.stats().ended;
    assert_eq!(job("quick").run(async { 7 }).await, 7);
    assert_eq!(job("sync").run_blocking(|| 8), 8);
    drop(job("never polled").run(pending::<()>()));
    let panics = tokio::spawn(job("panics").run(async { panic!("on purpose") }));
    assert!(panics.await.is_err());
    let ended = watched.redhanded.stats().ended;
    let since = (
        ended.completed - before.completed,
        ended.dropped - before.dropped,
        ended.panicked - before.panicked,
    );
    assert_eq!(since, (2, 1, 1));
    watched.close().await;
}

/// A job's name may be anything a queue says.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_control_bytes_reaches_no_terminal() {
    let watched = watched();
    let name = "evil\u{1b}[2J\nname\u{202e}";
    let hangs = job(name).param("k\0\u{7}", "v\r\n").run(pending::<()>());
    let task = tokio::spawn(hangs);
    let reports = watched.reports.clone();
    let report = tokio::task::spawn_blocking(move || {
        reports.wait_for(PATIENCE, |r| r.event == Event::Caught)
    });
    let report = report.await.expect("no panic").expect("caught");
    let route = report.request.clone().and_then(|r| r.route);
    assert_eq!(route.as_deref(), Some("evil%1B[2J%0Aname%E2%80%AE"));
    let line = serde_json::to_string(&*report).expect("serialises");
    assert!(
        !line.contains("\\u001b") && !line.contains("\\u0007"),
        "{line}"
    );
    task.abort();
    let _ = task.await;
    watched.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_for_jobs_too_and_what_may_rest_is_left_in_peace() {
    let watched = watched();
    let waits = tokio::join!(
        timeout(SLOW_AFTER * 4, job("nightly").run(pending::<()>())),
        timeout(
            SLOW_AFTER * 4,
            job("watch").long_lived().run(pending::<()>())
        ),
        timeout(
            SLOW_AFTER * 4,
            watched
                .redhanded
                .job("own")
                .slow_after(Duration::from_secs(60))
                .run(pending::<()>())
        ),
        timeout(SLOW_AFTER * 4, job("ordinary").run(pending::<()>())),
    );
    drop(waits);
    let _ = watched.reports.assert_caught("ordinary");
    for calm in ["nightly", "watch", "own"] {
        watched.reports.assert_not_caught(calm);
    }
    watched.close().await;
}

/// A long poll rests; a poll of it that does not return is a hang all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_lived_request_is_caught_inside_a_poll_only() {
    let watched = watched();
    let service = watched
        .redhanded
        .layer()
        .layer(service_fn(|r: Request<()>| async move {
            if r.uri().query() == Some("block") {
                std::thread::sleep(SLOW_AFTER * 4);
            }
            sleep(SLOW_AFTER * 4).await;
            Ok::<_, Infallible>(Response::new(Body::new()))
        }));
    let ask = |uri: &str| service.oneshot(Request::get(uri).body(()).expect("a request"));
    let answer = ask("/poll").await;
    assert!(answer.is_ok());
    watched.reports.assert_not_caught("/poll");
    let answer = tokio::spawn(ask("/poll?block")).await.expect("no panic");
    assert!(answer.is_ok());
    let caught = watched
        .reports
        .assert_caught("/poll")
        .as_class(Class::BlockedThread);
    drop(answer);
    let _ = caught.and_ends(How::Completed);
    watched.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_says_that_it_moves_is_caught_when_it_no_longer_does() {
    let watched = watched();
    let begun = std::time::Instant::now();
    let moves = async move {
        while begun.elapsed() < SLOW_AFTER * 5 {
            current().progress();
            sleep(SLOW_AFTER / 10).await;
        }
        pending::<()>().await;
    };
    let task = tokio::spawn(job("import").run(moves));
    let reports = watched.reports.clone();
    let report = tokio::task::spawn_blocking(move || reports.assert_caught("import").report());
    let elapsed = report.await.expect("caught").elapsed_ms.unwrap_or_default();
    let least = (SLOW_AFTER * 6).as_millis() as f64 - 50.0;
    assert!(elapsed >= least, "caught at {elapsed} ms");
    task.abort();
    let _ = task.await;
    watched.close().await;
}

#[test]
fn outside_of_a_request_everything_is_accepted_and_nothing_done() {
    current().progress().set("tenant", "acme");
    assert_eq!(current().id(), None);
    assert!(!current().is_watched());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_application_says_stands_in_the_report() {
    let watched = watched();
    let (tell, told) = tokio::sync::oneshot::channel();
    let says = async move {
        current().set("tenant", "acme").set("password", "hunter2");
        current().set("tenant", format_args!("acme-{}", 2));
        current()
            .set("long", "x".repeat(1000))
            .set("esc\u{1b}", "\u{1b}");
        for i in 0..50 {
            current().set(format!("more-{i}"), i);
        }
        let _ = tell.send(current());
        pending::<()>().await;
    };
    let task = tokio::spawn(
        watched
            .redhanded
            .request("GET", "/say?q=1")
            .route("/say")
            .run(says),
    );
    let said = told.await.expect("it runs");
    let id = said.id().expect("in flight");
    let reports = watched.reports.clone();
    let caught = tokio::task::spawn_blocking(move || reports.assert_caught("/say"));
    let caught = caught.await.expect("caught");
    let report = caught.report();
    assert_eq!(report.id, id, "the id that the application was given");
    let request = report.request.clone().expect("a request");
    let label = |key: &str| request.labels.get(key).map(String::as_str);
    assert_eq!(label("tenant"), Some("acme-2"));
    assert_eq!(label("password"), Some("REDACTED"));
    assert!(label("long").is_some_and(|v| v.ends_with("…(+744 bytes)")));
    assert_eq!(label("esc%1B"), Some("%1B"));
    assert_eq!(request.labels.len(), 16);
    let missing = &report.evidence.as_ref().expect("evidence").missing;
    assert!(
        missing.iter().any(|m| m.starts_with("38 labels")),
        "{missing:?}"
    );
    task.abort();
    let _ = task.await;
    let _ = caught.and_ends(How::Dropped);
    assert!(!said.is_watched() && said.id().is_none(), "it is over");
    said.set("late", "word").progress();
    watched.close().await;
}

/// Frameworks with a middleware of their own: the guard tells the same as the layer.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_by_another_way() {
    let watched = watched();
    let asked = watched
        .redhanded
        .request("POST", "/users/7?q=needle")
        .route("/users/{id}")
        .header("Host", "shop.example")
        .header("User-Agent", "tests/1")
        .header("Cookie", "secret")
        .client("192.0.2.1:5000".parse().expect("an address"))
        .https();
    until_caught(&watched, "/users/7", asked.run(pending())).await;
    let report = watched
        .reports
        .assert_caught("/users/{id}")
        .with_param("id", "7")
        .with_param("q", "needle")
        .report();
    let request = report.request.clone().expect("a request");
    assert_eq!(request.url, "https://shop.example/users/7?q=needle");
    assert_eq!(request.client.as_deref(), Some("192.0.2.1:5000"));
    assert_eq!(request.headers.len(), 1, "{:?}", request.headers);
    watched.close().await;
}

/// The same layer twice around one handler, also behind a prefix that a router strips: one request.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_layer_twice_is_one_request() {
    let watched = watched();
    let inner = axum::Router::new()
        .route(
            "/users/{id}",
            axum::routing::get(|| async { sleep(SLOW_AFTER * 3).await }),
        )
        .layer(watched.redhanded.layer());
    let app = axum::Router::new().nest("/api", inner);
    let app = watched.redhanded.layer().layer(app);
    let request = Request::get("/api/users/7")
        .body(axum::body::Body::empty())
        .expect("a request");
    let before = watched.redhanded.stats();
    let answer = tokio::spawn(app.oneshot(request)).await.expect("no panic");
    drop(answer);
    let after = watched.redhanded.stats();
    assert_eq!(after.caught - before.caught, 1);
    assert_eq!(after.ended.total() - before.ended.total(), 1);
    let caught = watched
        .reports
        .assert_caught("/api/users/7")
        .with_param("id", "7");
    assert_eq!(
        caught
            .report()
            .request
            .clone()
            .and_then(|r| r.route)
            .as_deref(),
        Some("/api/users/{id}"),
        "the inner layer knows the route"
    );
    watched.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_caught_is_called_once_per_request() {
    let _alone = alone();
    let (send, heard) = std::sync::mpsc::channel();
    let (builder, reports) = test_util::builder("work");
    let redhanded = builder
        .on_caught(move |report| {
            let _ = send.send(report.id.clone());
        })
        .install()
        .expect("an install");
    let hangs = tokio::spawn(redhanded.job("heard").run(pending::<()>()));
    let id = tokio::task::spawn_blocking(move || {
        let id = reports.assert_caught("heard").report().id.clone();
        // A later look has the same id and is no call.
        reports
            .wait_for(PATIENCE, |r| r.event == Event::Updated)
            .expect("looked at again");
        id
    });
    let id = id.await.expect("caught");
    hangs.abort();
    assert!(redhanded.shutdown(PATIENCE).await);
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), [id]);
}

/// One future is polled by one runtime, then by another.
#[test]
fn a_request_that_moves_between_runtimes() {
    let watched = watched();
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime")
    };
    let (one, two) = (runtime(), runtime());
    let moved = watched.redhanded.request("GET", "/moved").run(async {
        let (tx, rx) = tokio::sync::oneshot::channel::<()>();
        let _keep = tx;
        let _ = rx.await;
    });
    let mut moved = Box::pin(moved);
    let first = one.block_on(async { timeout(Duration::from_millis(5), &mut moved).await });
    assert!(first.is_err());
    drop(one);
    let task = two.spawn(moved);
    let caught = watched
        .reports
        .assert_caught("/moved")
        .as_class(Class::StuckAwait);
    assert!(
        caught
            .report()
            .verdict
            .as_ref()
            .is_some_and(|v| v.confidence < Confidence::Proved)
    );
    task.abort();
    let _ = caught.by_role(Role::Culprit).and_ends(How::Dropped);
    two.block_on(watched.close());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_shutdown_everything_runs_unwatched() {
    let watched = watched();
    assert!(watched.redhanded.shutdown(PATIENCE).await);
    let before = watched.redhanded.stats();
    assert_eq!(watched.redhanded.job("late").run(async { 1 }).await, 1);
    assert_eq!(job("late").run(async { 2 }).await, 2);
    assert_eq!(redhanded::spawn(async { 3 }).await.expect("no panic"), 3);
    assert_eq!(
        redhanded::spawn_blocking("late", || 4)
            .await
            .expect("no panic"),
        4
    );
    assert_eq!(watched.redhanded.stats(), before);
    watched.close().await;
}
