//! The environment: what is honoured, and what a bad value is told.

use crate::collector::{Collector, small, text};
use redhanded_core::sink::Sink;
use redhanded_otlp::{Configured, Export, Otlp};
use redhanded_report::Service;
use std::time::Duration;

fn configured(service: &Service, env: &[(&str, &str)]) -> Configured {
    Otlp::from_env(service, |name| {
        env.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    })
}

/// The only warning, and the exporter if it is on.
#[track_caller]
fn warned(env: &[(&str, &str)], words: &[&str]) -> Export {
    let configured = configured(&Service::default(), env);
    assert_eq!(configured.warnings.len(), 1, "{:?}", configured.warnings);
    for word in words {
        assert!(
            configured.warnings[0].contains(word),
            "{:?} does not name {word:?}",
            configured.warnings[0]
        );
    }
    configured.export
}

#[track_caller]
fn off(configured: &Configured, why: &str) {
    match &configured.export {
        Export::Off { why: said } => assert!(said.contains(why), "{said}"),
        Export::On(_) => panic!("on"),
    }
}

const SOMEWHERE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");

#[test]
fn without_an_endpoint_nothing_is_exported() {
    for env in [
        &[][..],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
        &[("OTEL_EXPORTER_OTLP_TIMEOUT", "nonsense")],
    ] {
        let configured = configured(&Service::default(), env);
        off(&configured, "OTEL_EXPORTER_OTLP_ENDPOINT");
        assert_eq!(configured.warnings, Vec::<String>::new());
    }
}

#[test]
fn it_can_be_switched_off() {
    off(
        &configured(
            &Service::default(),
            &[SOMEWHERE, ("OTEL_SDK_DISABLED", "TRUE")],
        ),
        "OTEL_SDK_DISABLED",
    );
    off(
        &configured(
            &Service::default(),
            &[SOMEWHERE, ("OTEL_TRACES_EXPORTER", "none")],
        ),
        "OTEL_TRACES_EXPORTER",
    );
}

#[test]
fn a_bad_value_is_named_and_ignored() {
    let on = |export| assert!(matches!(export, Export::On(_)));
    on(warned(
        &[SOMEWHERE, ("OTEL_SDK_DISABLED", "ja")],
        &["OTEL_SDK_DISABLED", "ja", "true and false"],
    ));
    on(warned(
        &[SOMEWHERE, ("OTEL_TRACES_EXPORTER", "zipkin")],
        &["OTEL_TRACES_EXPORTER", "zipkin", "otlp"],
    ));
    #[cfg(not(feature = "grpc"))]
    on(warned(
        &[SOMEWHERE, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
        &[
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "grpc",
            "http/protobuf",
            "4318",
        ],
    ));
    on(warned(
        &[
            SOMEWHERE,
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ],
        &[
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "http/json",
            "http/protobuf",
        ],
    ));
    on(warned(
        &[SOMEWHERE, ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd")],
        &["COMPRESSION", "zstd", "gzip and none"],
    ));
    on(warned(
        &[SOMEWHERE, ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,hunter2")],
        &["HEADERS", "entry 2", "key=value"],
    ));
    on(warned(
        &[SOMEWHERE, ("OTEL_RESOURCE_ATTRIBUTES", "a=1,b")],
        &["OTEL_RESOURCE_ATTRIBUTES", "a=1,b", "entry 2"],
    ));
    for bad in ["0", "-1", "10s", "999999999999999999999", "60001"] {
        on(warned(
            &[SOMEWHERE, ("OTEL_EXPORTER_OTLP_TIMEOUT", bad)],
            &["OTEL_EXPORTER_OTLP_TIMEOUT", bad, "milliseconds"],
        ));
    }
}

#[test]
fn a_bad_endpoint_is_named_without_its_password() {
    for bad in ["localhost:4318", "ftp://c", "http://", "http://c:99999"] {
        let export = warned(
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", bad)],
            &["OTEL_EXPORTER_OTLP_ENDPOINT", bad, "http://localhost:4318"],
        );
        assert!(matches!(export, Export::Off { .. }));
    }
    let configured = configured(
        &Service::default(),
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:hunter2@c")],
    );
    assert!(
        !configured.warnings.concat().contains("hunter2"),
        "{:?}",
        configured.warnings
    );
}

#[test]
fn a_bad_endpoint_for_traces_leaves_the_general_one() {
    let collector = Collector::ok();
    let env = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "nowhere"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url),
    ];
    let Export::On(otlp) = warned(&env, &["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]) else {
        panic!("off")
    };
    otlp.accept(&small(1), None);
    assert!(otlp.flush(Duration::from_secs(5)));
}

#[test]
fn headers_path_and_resource_reach_the_collector() {
    let collector = Collector::ok();
    let mut service = Service::default();
    (service.name, service.version) = ("from code".to_owned(), Some("1.2".to_owned()));
    (service.instance, service.host, service.pid) =
        (Some("i-1".to_owned()), Some("h1".to_owned()), Some(42));
    let base = format!("{}/otlp/", collector.url);
    let configured = configured(
        &service,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &base),
            ("OTEL_EXPORTER_OTLP_HEADERS", "ignored=yes"),
            (
                "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
                "Authorization=Bearer%20abc,x-tenant=ü,x-escaped=a%2520b",
            ),
            ("OTEL_SERVICE_NAME", "identica"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=lesser,deployment.environment.name=a%2Cb,host.name=h2,os.type=said,k8s.pod.name=p-1,container.id=c",
            ),
        ],
    );
    assert_eq!(configured.warnings, Vec::<String>::new());
    let Export::On(otlp) = configured.export else {
        panic!("off")
    };
    otlp.accept(&small(1), None);
    assert!(otlp.flush(Duration::from_secs(5)));
    let request = &collector.requests()[0];
    assert_eq!(request.line, "POST /otlp/v1/traces HTTP/1.1");
    assert_eq!(request.headers["authorization"], "Bearer abc");
    assert_eq!(request.headers["x-tenant"], "ü");
    assert_eq!(request.headers["x-escaped"], "a%20b", "decoded once");
    assert!(request.headers["user-agent"].starts_with("redhanded-otlp/"));
    assert!(!request.headers.contains_key("content-encoding"));
    assert_eq!(request.headers["content-type"], "application/x-protobuf");
    assert_eq!(request.headers["host"], collector.url["http://".len()..]);
    assert!(!request.headers.contains_key("ignored"));
    let resource = request.resource();
    for (key, value) in [
        ("service.name", "identica"),
        ("service.version", "1.2"),
        ("service.instance.id", "i-1"),
        ("host.name", "h2"),
        ("deployment.environment.name", "a,b"),
        ("os.type", "said"),
        ("k8s.pod.name", "p-1"),
        ("container.id", "c"),
        ("process.runtime.name", "rustc"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.name", "redhanded"),
    ] {
        assert_eq!(resource.get(key), Some(&text(value)), "{key}");
    }
    assert_eq!(
        resource["process.pid"],
        opentelemetry_proto::tonic::common::v1::any_value::Value::IntValue(42)
    );
    for found in [
        "process.executable.name",
        "process.runtime.version",
        "host.arch",
    ] {
        assert!(resource.contains_key(found), "{found}");
    }
    assert!(!format!("{otlp:?}").contains("abc"), "no secret in Debug");
}

#[test]
fn what_is_compressed_arrives() {
    const GENERAL: &str = "OTEL_EXPORTER_OTLP_COMPRESSION";
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION";
    for (env, encoding) in [
        (&[(GENERAL, "gzip")][..], Some("gzip")),
        (&[(GENERAL, "none"), (TRACES, "GZIP")], Some("gzip")),
        (&[(GENERAL, "gzip"), (TRACES, "none")], None),
    ] {
        let collector = Collector::ok();
        let endpoint = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str())];
        let configured = configured(&Service::default(), &[&endpoint, env].concat());
        assert_eq!(configured.warnings, Vec::<String>::new());
        let Export::On(otlp) = configured.export else {
            panic!("off")
        };
        otlp.accept(&small(1), None);
        assert!(otlp.flush(Duration::from_secs(5)), "{env:?}");
        let request = &collector.requests()[0];
        let said = request.headers.get("content-encoding").map(String::as_str);
        assert_eq!(said, encoding, "{env:?}");
        assert_eq!(request.spans()[0].name, "redhanded.caught");
    }
}

#[test]
fn the_endpoint_for_traces_is_taken_as_it_is() {
    let collector = Collector::ok();
    let exact = format!("{}/in?k=1", collector.url);
    let env = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", exact.as_str()),
        SOMEWHERE,
    ];
    let Export::On(otlp) = configured(&Service::default(), &env).export else {
        panic!("off")
    };
    otlp.accept(&small(1), None);
    assert!(otlp.flush(Duration::from_secs(5)));
    assert_eq!(collector.requests()[0].line, "POST /in?k=1 HTTP/1.1");
    assert_eq!(otlp.url(), exact);
}

#[test]
fn code_appends_the_path_once() {
    let service = Service::default();
    for end in ["", "/", "/v1/traces"] {
        let otlp = Otlp::to(&format!("http://127.0.0.1:9{end}"), &service).unwrap();
        assert_eq!(otlp.url(), "http://127.0.0.1:9/v1/traces");
    }
    let error = Otlp::to("127.0.0.1:9", &service).unwrap_err();
    assert!(error.is_endpoint() && !error.is_start(), "{error}");
    assert!(
        error.to_string().contains("http://localhost:4318"),
        "{error}"
    );
}

#[test]
fn an_endpoint_can_be_checked_without_an_exporter() {
    for good in ["http://127.0.0.1:9", "http://no-such-host.invalid/otlp/"] {
        assert!(Otlp::check(good).is_ok(), "{good}");
    }
    for bad in ["127.0.0.1:9", "ftp://c", "http://u:hunter2@c", ""] {
        let checked = Otlp::check(bad).unwrap_err();
        let made = Otlp::to(bad, &Service::default()).unwrap_err();
        assert_eq!(checked.to_string(), made.to_string());
        assert!(checked.is_endpoint(), "{checked}");
        assert!(!checked.to_string().contains("hunter2"), "{checked}");
    }
}

#[test]
fn what_cannot_be_built_says_so_at_the_start() {
    // A URI by itself, and too long for one once the path is appended.
    let long = format!("http://c/{}", "p".repeat(65_520));
    let made = Otlp::to(&long, &Service::default()).map(drop);
    let error = made.unwrap_err();
    assert!(error.is_start() && !error.is_endpoint(), "{error}");
    assert!(error.to_string().len() < 1024, "{error}");

    let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", long.as_str())];
    let configured = configured(&Service::default(), &env);
    assert_eq!(configured.warnings.len(), 1);
    off(&configured, "cannot start");
}
