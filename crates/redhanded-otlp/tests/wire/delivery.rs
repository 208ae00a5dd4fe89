//! Collectors that are away, silent, busy or unwilling.

use crate::collector::{Collector, Say, small};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use redhanded_core::sink::Sink;
use redhanded_core::{Asked, Config, Log, install};
use redhanded_otlp::{Export, Otlp};
use redhanded_report::Service;
use std::net::TcpListener;
use std::time::{Duration, Instant, SystemTime};

const MOMENT: Duration = Duration::from_millis(300);

fn with_timeout(url: &str, ms: u64) -> Otlp {
    let configured = Otlp::from_env(&Service::default(), |name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(url.to_owned()),
        "OTEL_EXPORTER_OTLP_TIMEOUT" => Some(ms.to_string()),
        _ => None,
    });
    assert_eq!(configured.warnings, Vec::<String>::new());
    match configured.export {
        Export::On(otlp) => otlp,
        Export::Off { why } => panic!("{why}"),
    }
}

fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[track_caller]
fn lost_within(otlp: &Otlp, count: u64, time: Duration) {
    let until = Instant::now() + time;
    while otlp.lost() != count {
        assert!(Instant::now() < until, "{} lost, not {count}", otlp.lost());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_absent_collector_costs_a_counted_loss_and_nothing_else() {
    let otlp = with_timeout(&nobody(), 500);
    let mut longest = Duration::ZERO;
    for n in 0..10_000 {
        let report = small(n);
        let started = Instant::now();
        otlp.accept(&report, None);
        longest = longest.max(started.elapsed());
    }
    assert!(longest < MOMENT, "an accept() took {longest:?}");
    assert!(!otlp.flush(MOMENT));
    let waiting = otlp.waiting();
    assert!((1..=4 << 20).contains(&waiting.memory_bytes), "{waiting:?}");
    assert_eq!(waiting.disk_bytes, 0, "nobody gave it a directory");
    assert!(!otlp.shutdown(Duration::ZERO));
    lost_within(&otlp, 10_000, Duration::from_secs(5));
    assert!(otlp.flush(Duration::MAX), "nothing is on the way any more");
}

#[test]
fn memory_is_bounded_and_the_oldest_make_room() {
    let url = nobody();
    let otlp = with_timeout(&url, 500);
    let mut report = (*small(0)).clone();
    report.time = "2026-07-01T02:03:06.010000Z".to_owned();
    let mut evidence = redhanded_report::Evidence::default();
    let mut event = redhanded_report::LogEvent::default();
    event.text = "e".repeat(1000);
    evidence.events = vec![event; 64];
    report.evidence = Some(evidence);
    let report = std::sync::Arc::new(report);
    for _ in 0..2_000 {
        otlp.accept(&report, None);
        let waiting = otlp.waiting().memory_bytes;
        assert!(waiting <= 4 << 20, "{waiting} bytes");
    }
    let until = Instant::now() + Duration::from_secs(10);
    while otlp.lost() == 0 {
        assert!(Instant::now() < until, "nothing made room");
        std::thread::sleep(Duration::from_millis(10));
    }
    otlp.accept(&small(4711), None);
    let collector = Collector::at(url.strip_prefix("http://").unwrap());
    assert!(!otlp.flush(Duration::from_secs(20)), "some are lost");
    let came = collector.spans(1).len() as u64;
    assert_eq!(came + otlp.lost(), 2_001);
    let last = collector.spans(1).pop().unwrap();
    assert!(
        format!("{last:?}").contains("id-4711"),
        "the youngest came last"
    );
}

#[test]
fn a_black_hole_holds_nobody_up_and_what_waits_is_bounded() {
    let collector = Collector::saying(vec![Say::Silence; 100]);
    let otlp = with_timeout(&collector.url, 60_000);
    for n in 0..5_000 {
        otlp.accept(&small(n), None);
    }
    let started = Instant::now();
    assert!(!otlp.flush(MOMENT));
    assert!(
        (MOMENT..Duration::from_secs(2)).contains(&started.elapsed()),
        "{:?}",
        started.elapsed()
    );
    let started = Instant::now();
    assert!(!otlp.shutdown(MOMENT));
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    lost_within(&otlp, 5_000, Duration::from_secs(2));
    otlp.accept(&small(0), None);
    assert_eq!(
        otlp.lost(),
        5_001,
        "what comes after the end is lost, and counted"
    );
}

#[test]
fn a_silent_collector_is_asked_again_after_the_timeout() {
    let collector = Collector::saying(vec![Say::Silence]);
    let otlp = with_timeout(&collector.url, 200);
    otlp.accept(&small(1), None);
    collector.spans(1);
    otlp.accept(&small(2), None);
    assert!(otlp.flush(Duration::from_secs(5)), "both arrive");
    assert_eq!((collector.spans(3).len(), otlp.lost()), (3, 0));
    assert_eq!(otlp.waiting().requests, 0);
}

#[test]
fn a_busy_collector_is_asked_again_when_it_says() {
    let busy = Say::Status(503, "Retry-After: 1\r\n", b"later".to_vec());
    let collector = Collector::saying(vec![busy]);
    let otlp = with_timeout(&collector.url, 10_000);
    let started = Instant::now();
    otlp.accept(&small(1), None);
    assert!(otlp.flush(Duration::from_secs(5)));
    assert!(
        started.elapsed() >= Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    assert_eq!((collector.requests().len(), otlp.lost()), (2, 0));
    let ids: Vec<_> = collector
        .spans(2)
        .into_iter()
        .map(|span| span.span_id)
        .collect();
    assert_eq!(ids[0], ids[1], "the same span, taken the second time");
    std::thread::sleep(MOMENT);
    assert_eq!(collector.requests().len(), 2, "delivered once");
}

#[test]
fn a_date_is_waited_for_like_seconds() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3));
    let header: &'static str = format!("Retry-After: {date}\r\n").leak();
    let collector = Collector::saying(vec![Say::Status(503, header, vec![])]);
    let otlp = with_timeout(&collector.url, 10_000);
    let started = Instant::now();
    otlp.accept(&small(1), None);
    assert!(otlp.flush(Duration::from_secs(10)));
    // Dates have whole seconds.
    assert!(
        started.elapsed() > Duration::from_millis(1500),
        "{:?}",
        started.elapsed()
    );
    assert_eq!((collector.requests().len(), otlp.lost()), (2, 0));
}

#[test]
fn a_collector_that_wants_much_patience_is_left_alone_and_what_waits_is_kept() {
    let collector = Collector::saying(vec![Say::Status(429, "Retry-After: 3600\r\n", vec![])]);
    let otlp = with_timeout(&collector.url, 10_000);
    otlp.accept(&small(1), None);
    assert!(!otlp.flush(Duration::from_secs(1)), "it did not arrive");
    assert_eq!((collector.requests().len(), otlp.lost()), (1, 0));
    assert_eq!(otlp.waiting().requests, 1);
    assert!(!otlp.shutdown(Duration::ZERO));
    lost_within(&otlp, 1, MOMENT);
}

#[test]
fn an_application_that_ends_does_not_wait_for_another_attempt() {
    let busy = Say::Status(503, "Retry-After: 30\r\n", vec![]);
    let collector = Collector::saying(vec![busy]);
    let otlp = with_timeout(&collector.url, 60_000);
    otlp.accept(&small(1), None);
    collector.spans(1);
    std::thread::sleep(MOMENT);
    let started = Instant::now();
    drop(otlp);
    // Less than the second after which a thread that does not end is left behind.
    assert!(
        started.elapsed() < Duration::from_millis(500),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(collector.requests().len(), 1);
}

#[test]
fn a_refusal_is_not_retried() {
    for status in [400, 401, 403, 404, 413, 500, 501, 302, 307] {
        let collector = Collector::saying(vec![Say::Status(
            status,
            "Location: /elsewhere\r\n",
            b"no".to_vec(),
        )]);
        let otlp = with_timeout(&collector.url, 2_000);
        otlp.accept(&small(1), None);
        assert!(!otlp.flush(Duration::from_secs(5)), "{status}");
        std::thread::sleep(MOMENT);
        assert_eq!(
            (collector.requests().len(), otlp.lost()),
            (1, 1),
            "{status}"
        );
    }
}

#[test]
fn a_refusal_is_named_once_in_the_log_beside_the_count() {
    let no = || Say::Status(401, "WWW-Authenticate: Basic\r\n", b"secret".to_vec());
    let collector = Collector::saying(vec![no(); 100]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("slow.jsonl");
    let mut config = Config::new("refused");
    config.slow_after = Duration::from_millis(50);
    config.log = Log::Path(path.clone());
    let otlp = with_timeout(&collector.url, 2_000);
    let (installed, _) = install(config, vec![Box::new(otlp)]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let hang = || {
        let before = installed.stats().caught;
        let waits = async {
            while installed.stats().caught == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        runtime.block_on(Asked::new(Some(installed.engine()), "GET", "/").run(waits));
        installed.flush(Duration::from_secs(10));
    };
    (0..3).for_each(|_| hang());
    let log = std::fs::read_to_string(&path).unwrap();
    let told = "spans were refused by http://127.0.0.1";
    assert_eq!(log.matches(told).count(), 1, "{log}");
    let line = log.lines().find(|line| line.contains(told)).unwrap();
    for said in [
        "HTTP 401 Unauthorized",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "missing",
    ] {
        assert!(line.contains(said), "{line}");
    }
    assert!(!log.contains("secret"), "{log}");
    assert!(installed.stats().lost.events >= 3);
}

#[test]
fn what_a_collector_rejects_of_a_batch_is_counted() {
    let mut answer = ExportTraceServiceResponse::default();
    let partial = ExportTracePartialSuccess {
        rejected_spans: 2,
        error_message: "too old".to_owned(),
    };
    answer.partial_success = Some(partial);
    let collector = Collector::saying(vec![Say::Status(200, "", answer.encode_to_vec())]);
    let otlp = with_timeout(&collector.url, 2_000);
    for n in 0..5 {
        otlp.accept(&small(n), None);
    }
    assert!(!otlp.flush(Duration::from_secs(5)));
    assert_eq!(otlp.lost(), 2);
    otlp.accept(&small(5), None);
    assert!(otlp.flush(Duration::from_secs(5)), "of that batch only");
    assert_eq!(otlp.lost(), 2);
}

#[test]
fn more_than_all_is_not_rejected() {
    let answer = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: i64::MAX,
            error_message: String::new(),
        }),
    };
    let collector = Collector::saying(vec![Say::Status(200, "", answer.encode_to_vec())]);
    let otlp = with_timeout(&collector.url, 2_000);
    otlp.accept(&small(1), None);
    assert!(!otlp.flush(Duration::from_secs(5)));
    assert_eq!(otlp.lost(), 1);
}

#[test]
fn garbage_is_no_answer_and_the_next_one_is() {
    for garbage in [
        &b""[..],
        b"\0\0\0\x01",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\n",
    ] {
        let collector = Collector::saying(vec![Say::Raw(garbage)]);
        let otlp = with_timeout(&collector.url, 2_000);
        otlp.accept(&small(1), None);
        assert!(otlp.flush(Duration::from_secs(5)), "{garbage:?}");
        assert_eq!((collector.requests().len(), otlp.lost()), (2, 0));
    }
    let html = Say::Status(
        200,
        "Content-Type: text/html\r\n",
        b"<html>welcome</html>".to_vec(),
    );
    let collector = Collector::saying(vec![html]);
    let otlp = with_timeout(&collector.url, 2_000);
    otlp.accept(&small(1), None);
    assert!(otlp.flush(Duration::from_secs(5)));
    assert_eq!((collector.requests().len(), otlp.lost()), (1, 0));
}

#[test]
fn an_answer_without_end_is_not_read_to_its_end() {
    for say in [Say::Endless, Say::Unfinished] {
        let collector = Collector::saying(vec![say]);
        let otlp = with_timeout(&collector.url, 8_000);
        let started = Instant::now();
        otlp.accept(&small(1), None);
        assert!(
            otlp.flush(Duration::from_secs(20)),
            "it was taken all the same"
        );
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{:?}",
            started.elapsed()
        );
        assert!(
            collector.poured() < 32 << 20,
            "{} bytes were read",
            collector.poured()
        );
    }
}

#[test]
fn what_comes_together_goes_together() {
    let collector = Collector::ok();
    let otlp = with_timeout(&collector.url, 5_000);
    for n in 0..1000 {
        otlp.accept(&small(n), None);
    }
    assert!(otlp.flush(Duration::from_secs(5)));
    assert_eq!(collector.spans(1000).len(), 1000);
    assert!(
        collector.requests().len() <= 4,
        "{} requests",
        collector.requests().len()
    );
}

#[test]
fn a_name_that_does_not_exist_is_an_absent_collector() {
    let otlp = with_timeout("http://no-such-host.invalid:4318", 300);
    otlp.accept(&small(1), None);
    assert!(!otlp.shutdown(MOMENT));
    lost_within(&otlp, 1, Duration::from_secs(10));
}

#[cfg(feature = "tls")]
#[test]
fn a_collector_without_tls_is_never_spoken_to_in_the_clear() {
    let collector = Collector::ok();
    let otlp = with_timeout(&collector.url.replace("http:", "https:"), 500);
    otlp.accept(&small(1), None);
    assert!(!otlp.shutdown(Duration::from_secs(1)));
    lost_within(&otlp, 1, Duration::from_secs(5));
    assert_eq!(collector.requests().len(), 0);
}
