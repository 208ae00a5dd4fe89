//! More requests at a time that tell something than there are rings; a process of its own, because
//! the rings are the process's.

use redhanded_core::{Asked, Config, Log, install};
use redhanded_trace::TraceLayer;
use std::future::Future;
use std::task::{Context, Waker};
use std::time::Duration;
use tracing::{debug, info_span};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

const RINGS: u64 = 4096;

#[test]
fn who_finds_all_rings_taken_is_counted() {
    let mut config = Config::new("full");
    config.slow_after = Duration::from_secs(600);
    config.log = Log::Nowhere;
    let (installed, _) = install(config, Vec::new()).expect("an install");
    tracing::subscriber::with_default(registry().with(TraceLayer::new()), || {
        let mut cx = Context::from_waker(Waker::noop());
        let mut tell = || {
            let request = Asked::new(Some(installed.engine()), "GET", "/one").run(async {
                let span = info_span!("mine");
                debug!(parent: &span, "told");
                std::future::pending::<()>().await;
            });
            let mut request = Box::pin(request);
            assert!(request.as_mut().poll(&mut cx).is_pending());
            request
        };
        let mut requests: Vec<_> = (0..RINGS).map(|_| tell()).collect();
        let stats = installed.stats();
        assert_eq!((stats.story.rings, stats.story.no_ring), (RINGS, 0));
        requests.extend((0..100).map(|_| tell()));
        let stats = installed.stats();
        assert_eq!((stats.story.rings, stats.story.no_ring), (RINGS, 200));
        assert_eq!(stats.lost.events, 200);
        drop(requests);
        drop(tell());
        let stats = installed.stats();
        assert_eq!(stats.story.no_ring, 200, "they came home");
    });
}
