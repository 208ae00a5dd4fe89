//! Whatever hangs behind the clerk, a disk or a sink, the watching goes on and what is lost is
//! counted.

use redhanded::Redhanded;
use redhanded::report::Report;
use redhanded::sink::Sink;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tower::{Layer, ServiceExt, service_fn};

/// Never comes back.
struct Hangs;

impl Sink for Hangs {
    fn accept(&self, _: &Arc<Report>, _: Option<&Arc<Report>>) {
        loop {
            std::thread::park();
        }
    }
    fn flush(&self, _: Duration) -> bool {
        false
    }
    fn lost(&self) -> u64 {
        0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_clerk_does_not_blind_the_watchdog() {
    let directory = tempfile::tempdir().expect("a directory");
    let builder = Redhanded::builder("hung").slow_after(Duration::from_millis(100));
    let builder = builder.slow_log(directory.path().join("slow.jsonl"));
    let redhanded = builder.sink(Hangs).install().expect("an install");
    let service = redhanded
        .layer()
        .layer(service_fn(|_: http::Request<()>| async {
            tokio::time::sleep(Duration::from_millis(250)).await;
            Ok::<_, Infallible>(http::Response::new(
                http_body_util::Empty::<bytes::Bytes>::new(),
            ))
        }));
    let deadline = Instant::now() + Duration::from_secs(60);
    // One after the other, each after the clerk has hung on the first.
    for caught in 1..=5 {
        let request = tokio::spawn(service.oneshot(http::Request::new(())));
        while redhanded.stats().caught < caught {
            assert!(Instant::now() < deadline, "{:?}", redhanded.stats());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        request.await.expect("no panic").expect("infallible");
    }
    assert_eq!(redhanded.in_flight(), 0);
    assert!(
        !redhanded.flush(Duration::from_millis(100)).await,
        "nobody says that all is well"
    );
}
