//! With no request in flight, our threads do not wake up at all, though they answer health checks; with a listener
//! once a second.
#![cfg(target_os = "linux")]

use redhanded::Redhanded;
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tower::{Layer, ServiceExt, service_fn};

/// Voluntary and involuntary context switches of all our threads.
fn switches() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task")
        .expect("/proc")
        .flatten();
    let ours = tasks.filter(|t| {
        std::fs::read_to_string(t.path().join("comm"))
            .is_ok_and(|name| name.starts_with("redhanded-"))
    });
    let counts = ours.map(|t| {
        let status = std::fs::read_to_string(t.path().join("status")).expect("a status");
        let count = |l: &str| {
            l.rsplit('\t')
                .next()
                .and_then(|n| n.parse::<u64>().ok())
                .unwrap_or(0)
        };
        status
            .lines()
            .filter(|l| l.contains("ctxt_switches"))
            .map(count)
            .sum::<u64>()
    });
    counts.sum()
}

#[tokio::test]
async fn an_idle_process_is_not_woken() {
    let log = tempfile::tempdir().expect("a directory");
    let builder = Redhanded::builder("idle")
        .slow_after(Duration::from_secs(3600))
        .slow_log(log.path().join("log"))
        .health_listener(([127, 0, 0, 1], 0))
        .agent_check(([127, 0, 0, 1], 0));
    let redhanded = builder.install().expect("an install");
    let service = redhanded
        .layer()
        .layer(service_fn(|_: http::Request<()>| async {
            Ok::<_, Infallible>(http::Response::new(
                http_body_util::Empty::<bytes::Bytes>::new(),
            ))
        }));
    service
        .oneshot(http::Request::new(()))
        .await
        .expect("infallible");
    assert_eq!(redhanded.in_flight(), 0);
    // It lingers for a second; then a whole second without a switch is what is asked for.
    settles(1, 0).await;
    // Whose queue has to be looked at.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = redhanded.listener(listener.expect("a port"));
    settles(4, 6).await;
    drop(listener);
    settles(1, 0).await;
}

/// Waits for so many seconds in which our threads wake up no more often than that.
async fn settles(seconds: u64, most: u64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let before = switches();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let woken = switches() - before;
        if woken <= most {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "our threads wake up {woken} times in {seconds} s of an idle process"
        );
    }
}
