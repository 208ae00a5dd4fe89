//! OTLP over gRPC: what is sent, and what each answer means.

use crate::collector::{Collector, small};
use crate::grpc_collector::{GrpcCollector, Say};
use redhanded_core::sink::Sink;
use redhanded_otlp::{Export, Options, Otlp, Spool};
use redhanded_report::Service;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);

fn exporter(env: &[(&str, &str)]) -> Otlp {
    exporter_with(Options::default(), env)
}

fn exporter_with(options: Options, env: &[(&str, &str)]) -> Otlp {
    let configured = options.from_env(&Service::default(), |name| {
        let all = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        let found = env.iter().chain(&all).find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    });
    assert_eq!(configured.warnings, Vec::<String>::new());
    match configured.export {
        Export::On(otlp) => otlp,
        Export::Off { why } => panic!("{why}"),
    }
}

fn to(collector: &GrpcCollector) -> Otlp {
    exporter(&[(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        &format!("http://{}", collector.address),
    )])
}

#[test]
fn a_call_is_what_a_collector_expects() {
    let collector = GrpcCollector::saying(vec![]);
    let otlp = exporter(&[
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            &format!("http://{}/", collector.address),
        ),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20abc"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
    ]);
    assert_eq!(otlp.url(), format!("http://{} (gRPC)", collector.address));
    otlp.accept(&small(1), None);
    assert!(otlp.flush(SOON));
    let call = &collector.calls(1)[0];
    assert_eq!(
        call.path,
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    );
    for (name, value) in [
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("grpc-timeout", "2500m"),
        ("authorization", "Bearer abc"),
    ] {
        assert_eq!(call.headers[name], value, "{name}");
    }
    assert!(
        call.headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("redhanded-otlp/")
    );
    let span = &call.body.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(span.name, "redhanded.caught");
}

#[test]
fn what_is_compressed_arrives() {
    let collector = GrpcCollector::saying(vec![]);
    let otlp = exporter(&[
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            &format!("http://{}", collector.address),
        ),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ]);
    otlp.accept(&small(1), None);
    assert!(otlp.flush(SOON));
    let call = &collector.calls(1)[0];
    assert_eq!(call.headers["grpc-encoding"], "gzip");
    assert_eq!(call.body.resource_spans.len(), 1);
}

#[test]
fn a_host_without_a_scheme_is_spoken_to_in_the_clear_only_if_somebody_says_so() {
    let collector = GrpcCollector::saying(vec![]);
    for name in [
        "OTEL_EXPORTER_OTLP_INSECURE",
        "OTEL_EXPORTER_OTLP_TRACES_INSECURE",
    ] {
        let otlp = exporter(&[
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &collector.address),
            (name, "true"),
        ]);
        otlp.accept(&small(1), None);
        assert!(otlp.flush(SOON), "{name}");
    }
    let configured = Otlp::from_env(&Service::default(), |name| match name {
        "OTEL_EXPORTER_OTLP_PROTOCOL" => Some("grpc".to_owned()),
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(collector.address.clone()),
        "OTEL_EXPORTER_OTLP_INSECURE" => Some("maybe".to_owned()),
        _ => None,
    });
    assert!(
        configured.warnings[0].contains("true and false"),
        "{:?}",
        configured.warnings
    );
    match configured.export {
        Export::On(otlp) => assert!(otlp.url().starts_with("https://"), "{}", otlp.url()),
        Export::Off { .. } => assert!(
            configured.warnings[1].contains("TLS"),
            "{:?}",
            configured.warnings
        ),
    }
}

#[test]
fn what_may_be_asked_again_is() {
    for code in [1, 4, 10, 11, 14, 15] {
        let at_once = Say {
            at_once: code == 14,
            ..Say::status(code)
        };
        let collector = GrpcCollector::saying(vec![at_once]);
        let otlp = to(&collector);
        otlp.accept(&small(1), None);
        assert!(otlp.flush(SOON), "{code}");
        assert_eq!((collector.calls(2).len(), otlp.lost()), (2, 0), "{code}");
    }
}

#[test]
fn what_is_refused_is_lost_and_counted() {
    for code in [2, 3, 5, 6, 7, 8, 9, 12, 13, 16, 99] {
        let collector = GrpcCollector::saying(vec![Say::status(code)]);
        let otlp = to(&collector);
        otlp.accept(&small(1), None);
        assert!(!otlp.flush(SOON), "{code}");
        assert_eq!((collector.calls(1).len(), otlp.lost()), (1, 1), "{code}");
    }
}

#[test]
fn exhausted_resources_come_back_when_they_are_said_to() {
    // google.rpc.Status with a RetryInfo of one second.
    let mut info = vec![0x0a, 0x02, 0x08, 0x01];
    let url = b"type.googleapis.com/google.rpc.RetryInfo";
    let mut any = vec![0x0a, url.len() as u8];
    any.extend(url);
    any.extend([0x12, info.len() as u8]);
    any.append(&mut info);
    let mut status = vec![0x08, 0x08, 0x1a, any.len() as u8];
    status.append(&mut any);
    let mut say = Say::status(8);
    say.trailers
        .push(("grpc-status-details-bin", base64(&status)));
    let collector = GrpcCollector::saying(vec![say]);
    let otlp = to(&collector);
    let begun = Instant::now();
    otlp.accept(&small(1), None);
    assert!(otlp.flush(SOON));
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!((collector.calls(2).len(), otlp.lost()), (2, 0));
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn what_a_collector_rejects_of_a_batch_is_counted() {
    let partial = vec![0, 0, 0, 0, 4, 0x0a, 0x02, 0x08, 0x02];
    let say = Say {
        body: partial,
        ..Say::status(0)
    };
    let collector = GrpcCollector::saying(vec![say]);
    let otlp = to(&collector);
    for n in 0..5 {
        otlp.accept(&small(n), None);
    }
    assert!(!otlp.flush(SOON));
    assert_eq!(otlp.lost(), 2);
}

#[test]
fn a_proxy_that_answers_in_its_stead_is_understood() {
    for (status, taken) in [
        (503, true),
        (502, true),
        (429, true),
        (504, true),
        (404, false),
        (401, false),
    ] {
        let say = Say {
            http: Some(status),
            html: true,
            ..Say::default()
        };
        let collector = GrpcCollector::saying(vec![say]);
        let otlp = to(&collector);
        otlp.accept(&small(1), None);
        assert_eq!(otlp.flush(SOON), taken, "{status}");
        assert_eq!(otlp.lost(), u64::from(!taken), "{status}");
    }
}

#[test]
fn an_answer_without_trailers_is_none() {
    let collector = GrpcCollector::saying(vec![Say::default()]);
    let otlp = to(&collector);
    otlp.accept(&small(1), None);
    assert!(otlp.flush(SOON));
    assert_eq!((collector.calls(2).len(), otlp.lost()), (2, 0));
}

#[test]
fn a_collector_that_speaks_http_1_is_no_harm() {
    let collector = Collector::ok();
    let otlp = exporter(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)]);
    otlp.accept(&small(1), None);
    assert!(!otlp.shutdown(Duration::from_secs(1)));
    assert_eq!(otlp.lost(), 1);
}

#[test]
fn what_waited_goes_out_on_one_connection() {
    let directory = tempfile::tempdir().unwrap();
    let spool = || Options::default().spool(Spool::open(directory.path()).unwrap());
    let nobody = exporter_with(
        spool(),
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")],
    );
    let mut report = (*small(0)).clone();
    let mut evidence = redhanded_report::Evidence::default();
    let mut event = redhanded_report::LogEvent::default();
    event.text = "e".repeat(1000);
    evidence.events = vec![event; 64];
    report.evidence = Some(evidence);
    let report = std::sync::Arc::new(report);
    // Some three megabytes, which is three requests at least.
    for _ in 0..50 {
        nobody.accept(&report, None);
    }
    drop(nobody);
    let collector = GrpcCollector::saying(vec![]);
    let otlp = exporter_with(
        spool(),
        &[(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            &format!("http://{}", collector.address),
        )],
    );
    collector.calls(3);
    let until = Instant::now() + SOON;
    while otlp.waiting().requests > 0 {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(10));
    }
    let calls = collector.calls(3);
    let spans: usize = calls
        .iter()
        .flat_map(|call| &call.body.resource_spans)
        .flat_map(|all| &all.scope_spans)
        .map(|scope| scope.spans.len())
        .sum();
    assert_eq!((spans, otlp.lost()), (50, 0));
    assert_eq!(collector.connections(), 1, "{} calls", calls.len());
}
