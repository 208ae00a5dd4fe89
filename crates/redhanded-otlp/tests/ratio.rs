//! The baseline beside OpenTelemetry's real ratio sampler: of each trace id both say the same. A process of its own, and
//! one after the other: a request waits for no install, and is not asked about its trace while there is one.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

use opentelemetry::trace::{SpanKind, TraceId};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample};
use redhanded_core::sink::{Kept, Sink, Why};
use redhanded_core::{Asked, Config, Installed, Log, install};
use redhanded_report::Report;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(20);

/// The ids of the traces that were kept.
#[derive(Clone, Default)]
struct Baseline(Arc<Mutex<HashSet<String>>>);

impl Sink for Baseline {
    fn accept(&self, _: &Arc<Report>, _: Option<&Arc<Report>>) {}
    fn keeps(&self) -> bool {
        true
    }
    fn keep(&self, kept: &Arc<Kept>) {
        assert_eq!(kept.why, Why::Sampled);
        self.0.lock().unwrap().insert(kept.trace_id.clone());
    }
    fn flush(&self, _: Duration) -> bool {
        true
    }
    fn lost(&self) -> u64 {
        0
    }
}

impl Baseline {
    fn has(&self, id: &str) -> bool {
        self.0.lock().unwrap().contains(id)
    }
}

fn keeping(one_in: u32) -> (Installed, Baseline) {
    let mut config = Config::new("ratio");
    config.slow_after = Duration::from_secs(600);
    config.log = Log::Nowhere;
    config.keep_one_in = one_in;
    let baseline = Baseline::default();
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(baseline.clone())];
    (install(config, sinks).unwrap().0, baseline)
}

/// What OpenTelemetry's sampler says.
fn samples(ratio: f64, id: &str) -> bool {
    let id = TraceId::from_hex(id).unwrap();
    let sampler = Sampler::TraceIdRatioBased(ratio);
    let result = sampler.should_sample(None, id, "GET", &SpanKind::Server, &[], &[]);
    result.decision == SamplingDecision::RecordAndSample
}

fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// Ids from everywhere, as many that are kept as others, and those next to the bound and to the ends.
fn ids(ratio: f64) -> Vec<String> {
    let bound = (ratio * 2_f64.powi(63)) as u64;
    let near = [0, 1, 2, bound, u64::MAX >> 1].into_iter();
    let near = near.flat_map(|low| [low.saturating_sub(1), low, low.saturating_add(1)]);
    let below = (0..150).map(|_| random() % bound.max(1));
    let lows = near
        .chain(below)
        .chain((0..150).map(|_| random() >> 1))
        .flat_map(|low| [low.wrapping_shl(1), low.wrapping_shl(1) | 1]);
    // Of a trace id no half may be zero for everybody.
    lows.map(|low| format!("{:016x}{low:016x}", random() | 1))
        .collect()
}

fn ask(installed: &Installed, traceparent: Option<&str>) {
    let mut asked = Asked::new(Some(installed.engine()), "GET", "/");
    if let Some(id) = traceparent {
        asked = asked.header("traceparent", format!("00-{id}-b7ad6b7169203331-00"));
    }
    let mut request = Box::pin(asked.run(async {}));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(request.as_mut().poll(&mut cx).is_ready());
}

/// Waits until `looked` says so: the clerk is told when the request is over.
fn comes(looked: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < DEADLINE {
        if looked() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

#[test]
fn the_baseline_is_that_of_the_sampler() {
    a_trace_id_decides_as_it_does_for_opentelemetrys_sampler();
    an_id_that_we_choose_says_the_same();
}

fn a_trace_id_decides_as_it_does_for_opentelemetrys_sampler() {
    for one_in in [0, 1, 2, 3, 7, 10, 1000, 1_000_003, u32::MAX] {
        let ratio = match one_in {
            0 => 0.0,
            one_in => 1.0 / f64::from(one_in),
        };
        let (installed, baseline) = keeping(one_in);
        let ids = ids(ratio);
        let (kept, dropped): (Vec<_>, Vec<_>) = ids.iter().partition(|id| samples(ratio, id));
        // One at a time, so that none is left out because there are too many.
        for id in &kept {
            ask(&installed, Some(id));
            let came = comes(|| baseline.has(id));
            assert!(came, "1 of {one_in} keeps {id}; {:?}", installed.stats());
        }
        for id in &dropped {
            ask(&installed, Some(id));
        }
        // What is asked last has come last.
        installed.flush(DEADLINE);
        let wrong = dropped.iter().find(|id| baseline.has(id));
        assert_eq!(wrong, None, "1 of {one_in} keeps what it should not");
        let count = |ids: &[&String]| ids.len() as f64 / 700.0;
        let expected = match one_in {
            0 => (0.0, 0.9),
            1 => (0.9, 0.0),
            _ => (0.3, 0.2),
        };
        assert!(count(&kept) >= expected.0 && count(&dropped) >= expected.1);
    }
}

fn an_id_that_we_choose_says_the_same() {
    let (installed, baseline) = keeping(3);
    let count = || baseline.0.lock().unwrap().len();
    // Chosen by a countdown, a few of a thousand.
    let enough = comes(|| {
        (0..100).for_each(|_| ask(&installed, None));
        count() >= 100
    });
    assert!(enough, "{} are kept", count());
    let ids = baseline.0.lock().unwrap().clone();
    let other = ids.iter().find(|id| !samples(1.0 / 3.0, id));
    assert_eq!(other, None, "other services would not keep it");
}
