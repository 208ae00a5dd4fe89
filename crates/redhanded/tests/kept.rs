//! Which requests a sink gets whole, and what it gets of them.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use http_body_util::BodyExt;
use redhanded::report::{Event, How, Report};
use redhanded::sink::{Kept, Sink, Why};
use redhanded::{Builder, Redhanded, trace_layer};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};
use tower::ServiceExt;
use tracing::{Instrument, debug, info_span, instrument};
use tracing_subscriber::prelude::*;

#[derive(Clone, Default)]
struct Memory {
    kept: Arc<Mutex<Vec<Arc<Kept>>>>,
    reports: Arc<Mutex<Vec<Arc<Report>>>>,
}

impl Sink for Memory {
    fn accept(&self, report: &Arc<Report>, _: Option<&Arc<Report>>) {
        self.reports.lock().expect("no panic").push(report.clone());
    }
    fn keeps(&self) -> bool {
        true
    }
    fn keep(&self, kept: &Arc<Kept>) {
        self.kept.lock().expect("no panic").push(kept.clone());
    }
    fn flush(&self, _: Duration) -> bool {
        true
    }
    fn lost(&self) -> u64 {
        0
    }
}

#[instrument]
async fn look_up(id: u64) -> StatusCode {
    debug!(password = "hunter2", "looking");
    let status = match id {
        500.. => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    async move { status }.instrument(info_span!("inner")).await
}

async fn user(Path(id): Path<u64>) -> StatusCode {
    assert_ne!(id, 13, "a handler that panics, in a test");
    if id == 7 {
        hang().await;
    }
    look_up(id).await
}

#[instrument]
async fn hang() {
    tokio::time::sleep(Duration::from_millis(800)).await;
}

struct App {
    memory: Memory,
    redhanded: Redhanded,
    router: Router,
}

fn app(settings: impl FnOnce(Builder) -> Builder) -> App {
    static STACK: Once = Once::new();
    STACK.call_once(|| tracing_subscriber::registry().with(trace_layer()).init());
    let memory = Memory::default();
    let builder = Redhanded::builder("kept")
        .slow_after(Duration::from_millis(200))
        .slow_log(tempfile::tempdir().expect("a directory").keep().join("log"))
        .sink(memory.clone());
    let redhanded = settings(builder).install().expect("an install");
    let router = Router::new()
        .route("/users/{id}", get(user))
        .layer(redhanded.layer())
        .with_state(());
    App {
        memory,
        redhanded,
        router,
    }
}

impl App {
    async fn get(&self, uri: &str, traceparent: Option<&str>) {
        let mut request = Request::get(uri);
        if let Some(value) = traceparent {
            request = request.header("traceparent", value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("infallible");
        response.into_body().collect().await.expect("a body");
    }

    async fn kept(&self) -> Vec<Arc<Kept>> {
        assert!(self.redhanded.flush(Duration::from_secs(30)).await);
        self.memory.kept.lock().expect("no panic").clone()
    }
}

#[tokio::test]
async fn a_failure_is_kept_whole() {
    let app = app(|builder| builder.keep_one_in(0));
    app.get("/users/1", None).await;
    app.get("/users/503?token=abc", None).await;
    let kept = app.kept().await;
    let [failed] = &kept[..] else {
        panic!("{kept:#?}")
    };
    assert_eq!(failed.why, Why::Failed);
    assert_eq!(failed.request.route.as_deref(), Some("/users/{id}"));
    assert!(failed.request.url.ends_with("/users/503?token=REDACTED"));
    let outcome = failed.outcome.as_ref().expect("it is over");
    assert_eq!((outcome.how, outcome.status), (How::Completed, Some(503)));
    let names: Vec<_> = failed
        .told
        .spans
        .iter()
        .map(|s| (s.name.as_str(), s.parent))
        .collect();
    assert_eq!(names[0], ("look_up", None));
    assert_eq!(names[1], ("inner", Some(failed.told.spans[0].number)));
    assert!(failed.told.spans.iter().all(|span| !span.is_open()));
    assert_eq!(failed.told.events[0].text(), "looking password=REDACTED");
    let span = &failed.told.spans[0];
    assert!(span.busy_ns > 0 && Some(span.start_ns + span.busy_ns) <= span.end_ns);
    assert!(outcome.total_ms * 1e6 + 1e3 >= span.end_ns.expect("it is over") as f64);
}

#[tokio::test]
async fn a_panic_is_kept() {
    // To print it with its stack takes long.
    let app = app(|builder| builder.keep_one_in(0).slow_after(Duration::from_secs(60)));
    let router = app.router.clone();
    let request = Request::get("/users/13")
        .body(Body::empty())
        .expect("a request");
    let died = tokio::spawn(router.oneshot(request)).await;
    assert!(died.is_err_and(|error| error.is_panic()));
    let kept = app.kept().await;
    assert_eq!(kept.len(), 1);
    let outcome = kept[0].outcome.as_ref().expect("it is over");
    assert_eq!((kept[0].why, outcome.how), (Why::Failed, How::Panicked));
}

#[tokio::test]
async fn the_baseline_is_decided_by_the_trace_id() {
    let app = app(|builder| builder.keep_one_in(4));
    for low in ["0", "1", "2", "9", "f"] {
        let traceparent = format!("00-0af7651916cd43dd{low}448eb211c80319c-b7ad6b7169203331-00");
        app.get("/users/1", Some(&traceparent)).await;
    }
    let kept = app.kept().await;
    let ids: Vec<_> = kept.iter().map(|kept| &kept.trace_id[16..17]).collect();
    assert_eq!(ids, ["0", "1", "2"], "of 16 the first quarter");
    for kept in &kept {
        assert_eq!(kept.why, Why::Sampled);
        assert_eq!(kept.parent_span_id.as_deref(), Some("b7ad6b7169203331"));
    }
}

#[tokio::test]
async fn the_baseline_has_its_share_of_those_without_an_id() {
    let app = app(|builder| builder.keep_one_in(10));
    for _ in 0..20_000 {
        app.get("/users/1", None).await;
    }
    let kept = app.kept().await;
    let lost = app.redhanded.stats().lost.events as usize;
    let all = kept.len() + lost;
    assert!(
        (1_600..2_400).contains(&all),
        "{} and {lost} of 20,000",
        kept.len()
    );
    for kept in &kept {
        let low = u64::from_str_radix(&kept.trace_id[16..], 16).expect("hex");
        assert!(
            low >> 1 < (1 << 63) / 10,
            "others would decide otherwise: {}",
            kept.trace_id
        );
    }
}

#[tokio::test]
async fn all_and_none_are_shares_too() {
    let (all, none) = (app(|b| b.keep_one_in(1)), app(|b| b.keep_one_in(0)));
    for _ in 0..4 {
        // No more at once than may wait for the clerk: what is beyond is counted, and not kept.
        for _ in 0..50 {
            all.get("/users/1", None).await;
        }
        all.kept().await;
    }
    for _ in 0..200 {
        none.get(
            "/users/1",
            Some("00-0af7651916cd43dd0000000000000001-b7ad6b7169203331-01"),
        )
        .await;
    }
    assert_eq!(all.kept().await.len(), 200);
    assert_eq!(none.kept().await.len(), 0);
}

#[tokio::test]
async fn who_is_caught_is_told_of_twice() {
    let app = app(|builder| builder.keep_one_in(1));
    app.get("/users/7", None).await;
    let begun = Instant::now();
    let kept = loop {
        let kept = app.kept().await;
        if kept.len() >= 2 || begun.elapsed() > Duration::from_secs(20) {
            break kept;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let [first, second] = &kept[..] else {
        panic!("{kept:#?}")
    };
    assert_eq!((first.why, second.why), (Why::Caught, Why::Caught));
    assert!(first.outcome.is_none() && second.outcome.is_some());
    assert!(first.id.is_some() && first.id == second.id && first.span_id == second.span_id);
    assert!(
        first.told.spans[0].is_open() && !second.told.spans[0].is_open(),
        "{:?} {:?}",
        first.told,
        second.told
    );
    assert_eq!(first.told.spans[0].name, "hang");
    let until_ns = second.told_until_ns.expect("it was told before");
    assert_eq!(until_ns, first.told.at_ns);
    assert!(second.told.spans[0].end_ns > Some(until_ns));
    assert!(
        second.told.spans.len() > first.told.spans.len(),
        "it went on"
    );
    let reports = app.memory.reports.lock().expect("no panic");
    let caught = reports
        .iter()
        .find(|r| r.event == Event::Caught)
        .expect("a report");
    assert_eq!(caught.trace_id.as_deref(), Some(first.trace_id.as_str()));
    let evidence = caught.evidence.as_ref().expect("evidence");
    assert_eq!(evidence.spans[0].number, Some(first.told.spans[0].number));
}

#[tokio::test]
async fn what_others_export_is_not_handed_out() {
    let app = app(|builder| builder.keep_one_in(1).spans_exported_elsewhere());
    app.get("/users/503", None).await;
    app.get("/users/7", None).await;
    assert_eq!(app.kept().await.len(), 0);
}
