//! What the children of a request do stands in its report.

use redhanded::report::{Class, Confidence, Event, Report, Role, Stack, StackKind, WaitKind};
use redhanded::test_util::{self, Memory, PATIENCE, SLOW_AFTER};
use redhanded::{InCurrentRequest, Redhanded, current};
use redhanded_tests::until;
use std::future::{Future, pending};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::sleep;

struct Watched {
    redhanded: Redhanded,
    reports: Memory,
}

fn watched() -> Watched {
    let (builder, reports) = test_util::builder("children");
    let redhanded = builder.install().expect("an install");
    Watched { redhanded, reports }
}

impl Watched {
    /// Runs `hangs` as a request for `path` until `wanted` was reported of it.
    async fn until(
        &self,
        path: &str,
        hangs: impl Future<Output = ()> + Send + 'static,
        wanted: impl Fn(&Report) -> bool + Send + 'static,
    ) -> Arc<Report> {
        let task = tokio::spawn(self.redhanded.request("GET", path).run(hangs));
        let (reports, about) = (self.reports.clone(), path.to_owned());
        let found = tokio::task::spawn_blocking(move || {
            let fits = |r: &Report| {
                let here = r.request.as_ref().is_some_and(|q| q.path == about);
                here && r.verdict.is_some() && wanted(r)
            };
            let found = reports.wait_for(PATIENCE, fits);
            let so_far = reports.reports();
            let so_far: Vec<Report> = so_far.iter().map(|r| Report::clone(r)).collect();
            found.unwrap_or_else(|| {
                panic!(
                    "not reported; this was:\n{}",
                    redhanded_tests::show(&so_far)
                )
            })
        });
        let found = found.await.expect("reported");
        task.abort();
        let _ = task.await;
        found
    }

    fn is_empty(&self) {
        let none = until(PATIENCE, || (self.redhanded.in_flight() == 0).then_some(()));
        assert!(
            none.is_some(),
            "{} slots leaked",
            self.redhanded.in_flight()
        );
        assert_eq!(self.redhanded.stats().internal_errors, 0);
    }
}

fn class(report: &Report) -> Class {
    report.verdict.as_ref().map(|v| v.class).unwrap_or_default()
}

fn culprit(report: &Report) -> String {
    let culprit = report.verdict.as_ref().and_then(|v| v.culprit.as_ref());
    culprit.map(|c| c.function.clone()).unwrap_or_default()
}

/// Stacks of children, which must say where they were made.
fn tasks(report: &Report) -> Vec<&Stack> {
    let evidence = report.evidence.as_ref().expect("evidence");
    let tasks: Vec<&Stack> = evidence
        .stacks
        .iter()
        .filter(|s| s.kind == StackKind::Task)
        .collect();
    for task in &tasks {
        let here = |at: &String| at.contains("tests/children.rs:");
        assert!(
            task.spawned_at.as_ref().is_some_and(here),
            "{:?}",
            task.spawned_at
        );
    }
    tasks
}

fn holds(stack: &Stack, function: &str) -> bool {
    let names = stack.frames.iter().filter_map(|f| f.function.as_deref());
    names.into_iter().any(|name| name.ends_with(function))
}

#[inline(never)]
fn resize(stop: &AtomicBool) {
    let mut n = 1u64;
    while !stop.load(Ordering::Relaxed) {
        n = black_box(n.wrapping_mul(31));
    }
}

/// Sets its flag when the test is over, however it ends.
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn new() -> (Self, Arc<AtomicBool>) {
        let flag = Arc::new(AtomicBool::new(false));
        (Self(flag.clone()), flag)
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_loops_is_found_behind_its_join_handle() {
    let watched = watched();
    let (_stop, stopped) = Stop::new();
    let hangs = async move {
        let _ = redhanded::spawn(async move { resize(&stopped) }).await;
    };
    let report = watched
        .until("/loop", hangs, |r| class(r) == Class::CpuLoop)
        .await;
    let verdict = report.verdict.clone().expect("a verdict");
    assert_eq!(verdict.role, Role::Culprit);
    assert!(
        culprit(&report).ends_with("children::resize"),
        "{}",
        culprit(&report)
    );
    assert!(
        verdict.cause.contains("spawned at") && verdict.cause.contains("children.rs"),
        "{}",
        verdict.cause
    );
    assert!(tasks(&report).iter().any(|s| holds(s, "resize")));
    drop(_stop);
    watched.is_empty();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocking_closure_is_found_with_its_name() {
    let watched = watched();
    let (send, wait) = std::sync::mpsc::channel::<()>();
    let hangs = async move {
        let blocks = move || thumbnail(&wait);
        let _ = redhanded::spawn_blocking("thumbnail", blocks).await;
    };
    let report = watched
        .until("/block", hangs, |r| class(r) == Class::BlockedThread)
        .await;
    assert!(
        culprit(&report).ends_with("children::thumbnail"),
        "{}",
        culprit(&report)
    );
    let found = tasks(&report);
    assert!(
        found
            .iter()
            .any(|s| s.name.as_deref() == Some("thumbnail") && holds(s, "thumbnail"))
    );
    let cause = report
        .verdict
        .as_ref()
        .map(|v| v.cause.clone())
        .unwrap_or_default();
    assert!(
        cause.starts_with("waits for the child thumbnail, spawned at"),
        "{cause}"
    );
    drop(send);
    watched.is_empty();
}

#[inline(never)]
fn thumbnail(wait: &std::sync::mpsc::Receiver<()>) {
    let _ = black_box(wait.recv());
}

async fn part(n: u32) {
    if n == 3 {
        the_stuck_one().await;
    }
    sleep(Duration::from_millis(10)).await;
}

async fn the_stuck_one() {
    let (_keep, wait) = tokio::sync::oneshot::channel::<()>();
    let _ = wait.await;
}

fn sets(kind: &'static str) -> impl Future<Output = ()> + Send + 'static {
    use futures_util::stream::{FuturesUnordered, StreamExt};
    async move {
        if kind == "JoinSet" {
            let mut set = tokio::task::JoinSet::new();
            for n in 0..6 {
                set.spawn(part(n).in_current_request());
            }
            while set.join_next().await.is_some() {}
        } else {
            let mut set: FuturesUnordered<_> =
                (0..6).map(|n| part(n).in_current_request()).collect();
            while set.next().await.is_some() {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stuck_one_of_a_set_is_found() {
    let watched = watched();
    for (kind, path) in [("JoinSet", "/join-set"), ("FuturesUnordered", "/unordered")] {
        let named = |r: &Report| culprit(r).ends_with("the_stuck_one");
        let report = watched.until(path, sets(kind), named).await;
        let verdict = report.verdict.clone().expect("a verdict");
        assert_eq!(
            (verdict.class, verdict.role),
            (Class::StuckAwait, Role::Culprit)
        );
        assert_eq!(
            verdict.waiting_for.map(|w| w.kind),
            Some(WaitKind::Channel),
            "{kind}"
        );
        assert_eq!(tasks(&report).len(), 1, "the others are done");
        watched.is_empty();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_of_others_are_not_visible_and_the_report_says_so() {
    let watched = watched();
    let hangs = async {
        let _ = tokio::spawn(the_stuck_one()).await;
    };
    let report = watched
        .until("/foreign", hangs, |r| r.event == Event::Caught)
        .await;
    let verdict = report.verdict.clone().expect("a verdict");
    assert_eq!(verdict.class, Class::StuckAwait);
    assert_eq!(verdict.waiting_for.map(|w| w.kind), Some(WaitKind::Task));
    assert!(
        verdict.cause.ends_with("children not visible"),
        "{}",
        verdict.cause
    );
    let evidence = report.evidence.clone().expect("evidence");
    assert!(
        evidence
            .missing
            .iter()
            .any(|m| m.starts_with("children not visible"))
    );
    assert!(tasks(&report).is_empty());
    watched.is_empty();
}

/// A closure that no thread has begun is the victim of those that have all threads.
#[test]
fn a_closure_that_waits_for_the_blocking_pool_is_a_victim() {
    let watched = watched();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (send, wait) = std::sync::mpsc::channel::<()>();
    let (report, hog) = runtime.block_on(async {
        let blocks = async move {
            let _ = redhanded::spawn_blocking("hog", move || thumbnail(&wait)).await;
        };
        let hog = tokio::spawn(watched.redhanded.request("GET", "/hog").run(blocks));
        let reports = watched.reports.clone();
        // On a thread of its own: the blocking pool is taken.
        let caught = std::thread::spawn(move || {
            reports
                .assert_caught("/hog")
                .as_class(Class::BlockedThread)
                .report()
                .id
                .clone()
        });
        let mut caught = Some(caught);
        let hog_id = loop {
            if caught.as_ref().is_some_and(|c| c.is_finished()) {
                break caught.take().expect("once").join().expect("caught");
            }
            sleep(Duration::from_millis(20)).await;
        };
        let queued = async {
            let _ = redhanded::spawn_blocking("late", || ()).await;
        };
        let late = tokio::spawn(watched.redhanded.request("GET", "/late").run(queued));
        let reports = watched.reports.clone();
        let starved = std::thread::spawn(move || {
            reports
                .assert_caught("/late")
                .as_class(Class::Starved)
                .report()
        });
        while !starved.is_finished() {
            sleep(Duration::from_millis(20)).await;
        }
        late.abort();
        hog.abort();
        (starved.join().expect("caught"), hog_id)
    });
    let verdict = report.verdict.clone().expect("a verdict");
    assert_eq!((verdict.role, verdict.victim_of), (Role::Victim, Some(hog)));
    assert_eq!(
        verdict.waiting_for.map(|w| w.kind),
        Some(WaitKind::BlockingPool)
    );
    drop(send);
    drop(runtime);
    watched.is_empty();
}

/// A child that outlives its request goes on by itself, and is caught when it does not return from a
/// poll; its request is the one it came from, not whoever has the slot by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_outlives_its_request() {
    let watched = watched();
    let (_stop, stopped) = Stop::new();
    let (go, started) = tokio::sync::oneshot::channel::<()>();
    let request = watched
        .redhanded
        .request("GET", "/chat?room=7")
        .route("/chat")
        .run(async move {
            let child = redhanded::spawn(async move {
                let _ = started.await;
                resize(&stopped);
            });
            (child,) // to be awaited when its request is over
        });
    let (child,) = request.await;
    assert_eq!(watched.redhanded.in_flight(), 0, "the request is over");
    // Others come and go in the same slots.
    for i in 0..200 {
        watched
            .redhanded
            .request("GET", &format!("/other/{i}"))
            .run(sleep(Duration::from_micros(10)))
            .await;
    }
    sleep(SLOW_AFTER * 3).await;
    watched.reports.assert_not_caught("/chat");
    let _ = go.send(());
    let reports = watched.reports.clone();
    let report = tokio::task::spawn_blocking(move || {
        let caught = reports
            .assert_caught("/chat")
            .as_class(Class::CpuLoop)
            .at("children::resize");
        let report = caught.report();
        drop(_stop);
        let _ = caught.and_ends(redhanded::report::How::Completed);
        report
    });
    let report = report.await.expect("caught");
    let request = report.request.clone().expect("a request");
    assert_eq!(request.query.as_deref(), Some("room=7"));
    let verdict = report.verdict.clone().expect("a verdict");
    assert!(
        verdict
            .cause
            .starts_with("task of this request, spawned at"),
        "{}",
        verdict.cause
    );
    assert!(child.await.is_ok());
    watched.is_empty();
}

/// Inside of a child, the current request is its parent; after that, itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_speaks_for_its_request() {
    let watched = watched();
    let hangs = async {
        let mine = current().id();
        assert!(mine.is_some());
        let theirs = redhanded::spawn(async {
            current().set("from", "a child");
            let closure = redhanded::spawn_blocking("deep", || current().id());
            (current().id(), closure.await.expect("no panic"))
        });
        let (child, grandchild) = theirs.await.expect("no panic");
        assert_eq!((child, grandchild), (mine.clone(), mine));
        pending::<()>().await;
    };
    let report = watched
        .until("/speak", hangs, |r| r.event == Event::Caught)
        .await;
    let request = report.request.clone().expect("a request");
    assert_eq!(
        request.labels.get("from").map(String::as_str),
        Some("a child")
    );
    watched.is_empty();
}

/// Ten thousand children of one request, most of them short: bounded, and none is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_children() {
    let watched = watched();
    let hangs = async {
        let mut set = tokio::task::JoinSet::new();
        for n in 0..10_000u32 {
            set.spawn(
                async move {
                    if n % 100 == 0 {
                        the_stuck_one().await
                    }
                }
                .in_current_request(),
            );
        }
        while set.join_next().await.is_some() {}
    };
    // On a slow machine it is caught while it still makes them; then at a later look.
    let report = watched.until("/many", hangs, |r| tasks(r).len() > 1).await;
    assert_eq!(tasks(&report).len(), 8, "so many are looked at");
    let missing = report.evidence.clone().expect("evidence").missing;
    assert!(
        missing
            .iter()
            .any(|m| m.contains("more children were not looked at")),
        "{missing:?}"
    );
    let confidence = report.verdict.as_ref().map(|v| v.confidence);
    assert!(confidence <= Some(Confidence::Likely));
    watched.is_empty();
}
