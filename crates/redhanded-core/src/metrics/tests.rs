use super::*;
use crate::config::Config;
use crate::engine::Engine;
use crate::install::{Installed, install};
use crate::registry::Stage;
use crate::sink::{Kept, Sink};
use crate::ticket::{BodyStage, Ticket};
use crate::work::{Asked, Job};
use redhanded_report::{How, Report};
use std::time::Duration;

fn counting() -> &'static Engine {
    let mut config = Config::new("app");
    config.slow_after = Duration::from_secs(30);
    let engine = Engine::new(config, None);
    engine.start_counting();
    engine
}

fn open(engine: &'static Engine, method: &str, route: Option<&str>) -> Ticket {
    engine.open(None, |copy| {
        copy.method(method);
        copy.target("/a/path?q=1");
        copy.host(b"example");
        if let Some(route) = route {
            copy.route(route);
        }
        copy.header(0, b"agent/1");
    })
}

fn serve(engine: &'static Engine, method: &str, route: Option<&str>, status: u16) {
    let mut ticket = open(engine, method, route);
    ticket.responded(status, Some(0), BodyStage::Sized);
}

fn find<'s>(snapshot: &'s Snapshot, name: &str) -> &'s Data {
    let metric = snapshot.metrics.iter().find(|metric| metric.name == name);
    &metric.unwrap_or_else(|| panic!("no {name}")).data
}

fn snapshot(engine: &'static Engine) -> Snapshot {
    gather(engine, Outside::default())
}

/// Count by labels, as one text each.
fn durations(engine: &'static Engine) -> Vec<(String, u64)> {
    let points = engine.start_counting().requests.durations();
    let shown = |point: Point<Buckets>| (labels(&point.attributes), point.value.count());
    points.into_iter().map(shown).collect()
}

fn labels(attributes: &Attributes) -> String {
    let pairs = attributes
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(" ")
}

fn number(snapshot: &Snapshot, name: &str, wanted: &str) -> Option<f64> {
    let (Data::Counter(points) | Data::UpDown(points) | Data::Gauge(points)) = find(snapshot, name)
    else {
        panic!("{name} is no number");
    };
    let point = points
        .iter()
        .find(|point| labels(&point.attributes) == wanted);
    point.map(|point| point.value.as_f64())
}

#[test]
fn requests_are_counted_by_what_they_are_labelled_with() {
    let engine = counting();
    serve(engine, "GET", Some("/notice/{id}"), 200);
    serve(engine, "GET", Some("/notice/{id}"), 200);
    serve(engine, "GET", Some("/notice/{id}"), 503);
    serve(engine, "BREW", Some("/notice/{id}"), 418);
    serve(engine, "POST", None, 404);
    assert_eq!(
        durations(engine),
        [
            ("error.type=503 http.request.method=GET http.response.status_code=503 http.route=/notice/{id} url.scheme=http".to_owned(), 1),
            ("http.request.method=GET http.response.status_code=200 http.route=/notice/{id} url.scheme=http".to_owned(), 2),
            ("http.request.method=POST http.response.status_code=404 url.scheme=http".to_owned(), 1),
            ("http.request.method=_OTHER http.response.status_code=418 http.route=/notice/{id} url.scheme=http".to_owned(), 1),
        ]
    );
}

#[test]
fn what_went_wrong_is_told() {
    let engine = counting();
    drop(open(engine, "GET", Some("/a")));
    open(engine, "GET", Some("/b")).fail();
    let inside = open(engine, "GET", Some("/c"));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _mark = inside.enter();
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    drop(inside);
    // A body that breaks off after its head.
    let mut half = open(engine, "GET", Some("/d"));
    half.responded(200, Some(9), BodyStage::Sized);
    drop(half);
    let told: Vec<String> = durations(engine)
        .into_iter()
        .map(|(text, _)| text)
        .collect();
    assert_eq!(
        told,
        [
            "error.type=dropped http.request.method=GET http.response.status_code=200 http.route=/d url.scheme=http",
            "error.type=dropped http.request.method=GET http.route=/a url.scheme=http",
            "error.type=panicked http.request.method=GET http.route=/c url.scheme=http",
            "error.type=service_error http.request.method=GET http.route=/b url.scheme=http",
        ]
    );
}

#[test]
fn https_is_told_whoever_says_so() {
    let engine = counting();
    let mut ticket = engine.open(None, |copy| {
        copy.method("GET");
        copy.https();
        copy.route("/a");
    });
    ticket.responded(200, Some(0), BodyStage::Sized);
    drop(
        Asked::new(Some(engine), "GET", "/x?y=z")
            .route("/b")
            .https()
            .run(async {}),
    );
    for (text, count) in durations(engine) {
        assert!(text.ends_with("url.scheme=https"), "{text}");
        assert_eq!(count, 1);
    }
}

#[test]
fn a_path_is_no_label_and_what_is_no_request_is_not_counted() {
    let engine = counting();
    drop(Asked::new(Some(engine), "GET", "/secret/path").run(async {}));
    drop(Job::new(Some(engine), "job").run(async {}));
    drop(engine.open_with(None, |slot, _| slot.set_stage(Stage::Head)));
    let [(text, 1)] = &durations(engine)[..] else {
        panic!("one request: {:?}", durations(engine));
    };
    assert_eq!(
        text,
        "error.type=dropped http.request.method=GET url.scheme=http"
    );
}

#[test]
fn a_child_of_a_request_is_no_request() {
    let engine = counting();
    let ticket = open(engine, "GET", Some("/parent"));
    let inside = ticket.enter();
    drop(crate::child::attach(async {}));
    let held = crate::child::attach(async {});
    inside.leave();
    let active = number(
        &snapshot(engine),
        "http.server.active_requests",
        "http.request.method=GET url.scheme=http",
    );
    assert_eq!(active, Some(1.0));
    drop((ticket, held));
    let [(_, 1)] = &durations(engine)[..] else {
        panic!("one request: {:?}", durations(engine));
    };
}

#[test]
fn what_nobody_asked_for_is_not_counted() {
    let engine = Engine::new(Config::new("app"), None);
    serve(engine, "GET", Some("/a"), 200);
    assert!(engine.meter.counted().is_none());
    // In flight while somebody begins to ask: it is there when it ends.
    let ticket = open(engine, "GET", Some("/b"));
    engine.start_counting();
    drop(ticket);
    assert_eq!(durations(engine).len(), 1);
}

#[test]
fn ten_thousand_routes_and_methods_are_bounded_and_all_are_counted() {
    let engine = counting();
    for n in 0..10_000 {
        serve(engine, &format!("M{n}"), Some(&format!("/{n}/{{id}}")), 200);
    }
    let told = durations(engine);
    assert_eq!(told.len(), 2_001);
    assert_eq!(told.iter().map(|(_, count)| count).sum::<u64>(), 10_000);
    assert_eq!(
        told.last(),
        Some(&("otel.metric.overflow=true".to_owned(), 8_000))
    );
    let known = told
        .iter()
        .filter(|(text, _)| text.contains("method=_OTHER"));
    assert_eq!(known.count(), 2_000);
    // Those that are known go on.
    serve(engine, "GONE", Some("/7/{id}"), 200);
    let again = durations(engine)
        .into_iter()
        .find(|(text, _)| text.contains("route=/7/"));
    assert_eq!(again.map(|(_, count)| count), Some(2));
    let snapshot = snapshot(engine);
    let lost = number(&snapshot, "redhanded.lost", "redhanded.kind=labels");
    assert_eq!(lost, Some(8_000.0));
    assert_eq!(
        number(&snapshot, "redhanded.metrics.series", ""),
        Some(2_000.0)
    );
}

#[test]
fn routes_that_read_alike_are_one_series() {
    let engine = counting();
    let long = "/é".repeat(60);
    for more in ["", "/a", "/b"] {
        serve(engine, "GET", Some(&format!("{long}{more}")), 200);
    }
    let [(text, 3)] = &durations(engine)[..] else {
        panic!("{:?}", durations(engine));
    };
    assert!(text.contains(&long[..120]), "{text}");
}

#[test]
fn requests_in_flight_are_told_by_method_and_scheme() {
    let engine = counting();
    let held = [
        open(engine, "GET", Some("/a")),
        open(engine, "GET", None),
        open(engine, "PUT", None),
    ];
    let job = Job::new(Some(engine), "job").run(async {});
    let head = engine.open_with(None, |slot, _| slot.set_stage(Stage::Head));
    let active = |of: &str| number(&snapshot(engine), "http.server.active_requests", of);
    assert_eq!(active("http.request.method=GET url.scheme=http"), Some(2.0));
    assert_eq!(active("http.request.method=PUT url.scheme=http"), Some(1.0));
    drop(held);
    assert_eq!(active("http.request.method=GET url.scheme=http"), Some(0.0));
    drop((job, head));
}

#[test]
fn a_clock_that_goes_backwards_takes_no_time() {
    let engine = counting();
    let slot = engine.registry.take(0, u64::MAX - 1, 1).expect("a slot");
    let mut facts = slot.facts.rewrite();
    facts.put(crate::copied::kind::METHOD, b"GET", 32);
    facts.done();
    slot.open();
    slot.finish(How::Completed);
    ended(slot);
    let point = &engine.start_counting().requests.durations()[0];
    assert_eq!((point.value.counts[0], point.value.sum), (1, 0.0));
}

#[test]
fn whoever_reads_while_sixteen_threads_count_sees_sums_that_only_grow() {
    let engine = counting();
    const EACH: u64 = 2_000;
    std::thread::scope(|scope| {
        for thread in 0..16 {
            scope.spawn(move || {
                for n in 0..EACH {
                    serve(
                        engine,
                        "GET",
                        Some(["/a", "/b/{id}"][(n % 2) as usize]),
                        200 + thread % 2,
                    );
                }
            });
        }
        let mut before = 0;
        for _ in 0..50 {
            let sum = durations(engine).iter().map(|(_, count)| count).sum();
            assert!(sum >= before && sum <= 16 * EACH);
            before = sum;
            snapshot(engine);
        }
    });
    let told = durations(engine);
    assert_eq!(told.len(), 4);
    assert!(told.iter().all(|(_, count)| *count == 4 * EACH), "{told:?}");
}

#[test]
fn two_installs_have_numbers_of_their_own() {
    let (one, other) = (counting(), counting());
    serve(one, "GET", Some("/a"), 200);
    serve(one, "GET", Some("/a"), 200);
    serve(other, "GET", Some("/a"), 200);
    let sum = |engine| {
        durations(engine)
            .iter()
            .map(|(_, count)| count)
            .sum::<u64>()
    };
    assert_eq!((sum(one), sum(other)), (2, 1));
}

/// An install whose watchdog runs, and that writes nowhere.
fn installed(slow_after_ms: u64) -> Installed {
    let mut config = Config::new("app");
    config.slow_after = Duration::from_millis(slow_after_ms);
    config.log = crate::config::Log::Nowhere;
    config.metrics = true;
    install(config, Vec::new()).expect("an install").0
}

fn until(what: impl Fn() -> bool) -> bool {
    (0..2_000).any(|_| {
        what() || {
            std::thread::sleep(Duration::from_millis(5));
            false
        }
    })
}

#[test]
fn who_is_caught_is_counted_and_an_example_of_its_bucket() {
    let installed = installed(30);
    let ticket = open(installed.engine(), "GET", Some("/hangs"));
    let runaways = || match find(&installed.numbers().snapshot(), "redhanded.runaways") {
        Data::Counter(points) => points.clone(),
        other => panic!("{other:?}"),
    };
    assert!(until(|| installed.stats().caught == 1
        && installed.flush(Duration::from_secs(5))
        && installed
            .numbers()
            .snapshot()
            .metrics
            .iter()
            .any(|m| m.name == "redhanded.runaways")));
    let caught = runaways();
    assert_eq!(caught.len(), 1);
    let text = labels(&caught[0].attributes);
    assert!(
        text.starts_with("http.route=/hangs redhanded.class="),
        "{text}"
    );
    let exemplar = caught[0].exemplar.clone().expect("its trace is known");
    assert_eq!((exemplar.trace_id.len(), exemplar.span_id.len()), (32, 16));
    drop(ticket);
    let snapshot = installed.numbers().snapshot();
    let Data::Histogram(points) = find(&snapshot, "http.server.request.duration") else {
        panic!("a histogram");
    };
    let example = points[0].value.exemplars.first().expect("an example");
    assert_eq!(example.trace_id, exemplar.trace_id);
    assert!(example.value >= 0.03, "{example:?}");
    assert!(number(&snapshot, "redhanded.watchdog.cpu_time", "").is_some_and(|s| s > 0.0));
    let Data::Histogram(rounds) = find(&snapshot, "redhanded.watchdog.round.duration") else {
        panic!("a histogram");
    };
    assert!(rounds[0].value.count() > 0);
    assert!(installed.shutdown(Duration::from_secs(5)));
}

#[test]
fn what_ends_well_is_no_example() {
    let engine = counting();
    serve(engine, "GET", Some("/a"), 200);
    assert!(
        engine.start_counting().requests.durations()[0]
            .value
            .exemplars
            .is_empty()
    );
}

/// Wants what is kept, and remembers its traces.
#[derive(Clone, Default)]
struct Keeper(std::sync::Arc<parking_lot::Mutex<Vec<String>>>);

impl Sink for Keeper {
    fn accept(&self, _: &std::sync::Arc<Report>, _: Option<&std::sync::Arc<Report>>) {}
    fn flush(&self, _: Duration) -> bool {
        true
    }
    fn lost(&self) -> u64 {
        0
    }
    fn keeps(&self) -> bool {
        true
    }
    fn keep(&self, kept: &std::sync::Arc<Kept>) {
        self.0.lock().push(kept.trace_id.clone());
    }
}

#[test]
fn who_failed_is_an_example_where_somebody_keeps_its_trace() {
    let keeper = Keeper::default();
    let mut config = Config::new("app");
    config.log = crate::config::Log::Nowhere;
    config.metrics = true;
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(keeper.clone())];
    let (installed, _) = install(config, sinks).expect("an install");
    serve(installed.engine(), "GET", Some("/fails"), 500);
    assert!(installed.flush(Duration::from_secs(5)));
    let points = installed.engine().start_counting().requests.durations();
    let example = points[0].value.exemplars.first().expect("an example");
    assert!(until(|| keeper.0.lock().contains(&example.trace_id)));
    // Without anybody who keeps it there is nothing to be found.
    let alone = counting();
    serve(alone, "GET", Some("/fails"), 500);
    let points = alone.start_counting().requests.durations();
    assert!(points[0].value.exemplars.is_empty());
}

#[test]
fn no_two_points_of_a_metric_have_the_same_labels() {
    let engine = counting();
    serve(engine, "GET", Some("/a"), 200);
    for metric in snapshot(engine).metrics {
        let mut all: Vec<String> = match &metric.data {
            Data::Counter(points) | Data::UpDown(points) | Data::Gauge(points) => points
                .iter()
                .map(|point| labels(&point.attributes))
                .collect(),
            Data::Histogram(points) => points
                .iter()
                .map(|point| labels(&point.attributes))
                .collect(),
        };
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count, "{}", metric.name);
    }
}
