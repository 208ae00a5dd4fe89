//! Ten thousand requests overdue within one second: everyone is counted, few have lines, and all
//! of them go on as if nothing had been.

use redhanded::Redhanded;
use redhanded::report::{Event, Report};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt, service_fn};

const REQUESTS: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_is_counted_and_harmless() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("slow.jsonl");
    let redhanded = Redhanded::builder("storm")
        .slow_after(Duration::from_millis(300))
        .slow_log(&log)
        .install()
        .expect("an install");
    let answer = Arc::new(Semaphore::new(0));
    let database = answer.clone();
    let service = redhanded
        .layer()
        .layer(service_fn(move |_: http::Request<()>| {
            let database = database.clone();
            async move {
                let _ = database.acquire().await;
                Ok::<_, Infallible>(http::Response::new(
                    http_body_util::Empty::<bytes::Bytes>::new(),
                ))
            }
        }));
    let hanging: Vec<_> = (0..REQUESTS)
        .map(|_| tokio::spawn(service.clone().oneshot(http::Request::new(()))))
        .collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    while redhanded.stats().caught < REQUESTS as u64 {
        assert!(Instant::now() < deadline, "{:?}", redhanded.stats());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    answer.add_permits(REQUESTS);
    for request in hanging {
        request.await.expect("no panic").expect("infallible");
    }
    assert!(redhanded.flush(Duration::from_secs(20)).await);
    assert_eq!(redhanded.in_flight(), 0);
    let stats = redhanded.stats();
    assert_eq!(
        (stats.caught, stats.internal_errors, stats.lost.reports),
        (REQUESTS as u64, 0, 0),
        "{stats:?}"
    );
    let text = std::fs::read_to_string(&log).expect("a log");
    let records: Vec<Report> = text
        .lines()
        .map(|l| serde_json::from_str(l).expect("a record"))
        .collect();
    let caught = records.iter().filter(|r| r.event == Event::Caught).count() as u64;
    assert!(
        (1..=10).contains(&caught),
        "{caught} lines for one fingerprint"
    );
    assert_eq!(
        stats.repeats,
        REQUESTS as u64 - caught,
        "everyone has a line or is a repeat"
    );
}
