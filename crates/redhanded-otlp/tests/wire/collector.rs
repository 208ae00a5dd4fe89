//! A collector in small: a real HTTP server that decodes what it is sent and answers by script.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use redhanded_core::sink::Sink;
use redhanded_otlp::Otlp;
use redhanded_report::{Event, Report, Service};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// One request as it came.
#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) line: String,
    pub(crate) headers: HashMap<String, String>,
    /// Empty if it is none of spans.
    pub(crate) body: ExportTraceServiceRequest,
    pub(crate) raw: Vec<u8>,
}

/// What to answer.
#[derive(Clone)]
pub(crate) enum Say {
    Status(u16, &'static str, Vec<u8>),
    /// Something that is no HTTP, perhaps, and then the end.
    Raw(&'static [u8]),
    Silence,
    /// Taken, and a body that never comes.
    Unfinished,
    /// Taken, and a body that never ends.
    Endless,
}

pub(crate) struct Collector {
    pub(crate) url: String,
    received: Arc<(Mutex<Vec<Received>>, Condvar)>,
    poured: Arc<AtomicUsize>,
}

impl Collector {
    pub(crate) fn ok() -> Self {
        Self::saying(vec![])
    }

    /// Answers by `script`, then 200 for ever.
    pub(crate) fn saying(script: Vec<Say>) -> Self {
        Self::listening(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    /// One that takes everything, at an address that was free a moment ago.
    pub(crate) fn at(address: &str) -> Self {
        Self::listening(TcpListener::bind(address).unwrap(), vec![])
    }

    fn listening(listener: TcpListener, script: Vec<Say>) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::<(Mutex<Vec<Received>>, Condvar)>::default();
        let seen = Arc::clone(&received);
        let poured = Arc::<AtomicUsize>::default();
        let out = Arc::clone(&poured);
        std::thread::spawn(move || {
            let mut script = script.into_iter();
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // One a connection: a second one on it finds it closed, as many servers do.
                let Some(request) = read(&stream) else {
                    continue;
                };
                seen.0.lock().unwrap().push(request);
                seen.1.notify_all();
                match script.next().unwrap_or(Say::Status(200, "", vec![])) {
                    Say::Status(status, header, body) => {
                        let length = body.len();
                        let head = format!(
                            "HTTP/1.1 {status} So\r\n{header}Content-Length: {length}\r\n\r\n"
                        );
                        let _ = stream.write_all(head.as_bytes());
                        let _ = stream.write_all(&body);
                    }
                    Say::Raw(bytes) => {
                        let _ = stream.write_all(bytes);
                    }
                    Say::Silence => silent.push(stream),
                    Say::Unfinished => {
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
                        silent.push(stream);
                    }
                    Say::Endless => {
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
                        while stream.write_all(&[0; 4096]).is_ok() {
                            out.fetch_add(4096, Ordering::SeqCst);
                        }
                    }
                }
            }
        });
        Self {
            url,
            received,
            poured,
        }
    }

    /// Bytes of endless answers that were taken off our hands.
    pub(crate) fn poured(&self) -> usize {
        self.poured.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.received.0.lock().unwrap().clone()
    }

    /// All spans that came within the time, at least `count`.
    #[track_caller]
    pub(crate) fn spans(&self, count: usize) -> Vec<Span> {
        let until = Instant::now() + Duration::from_secs(5);
        let mut received = self.received.0.lock().unwrap();
        loop {
            let spans: Vec<Span> = received.iter().flat_map(Received::spans).collect();
            if spans.len() >= count {
                return spans;
            }
            let rest = until.saturating_duration_since(Instant::now());
            assert!(!rest.is_zero(), "{} of {count} spans came", spans.len());
            received = self.received.1.wait_timeout(received, rest).unwrap().0;
        }
    }
}

impl Received {
    pub(crate) fn spans(&self) -> Vec<Span> {
        let scopes = self
            .body
            .resource_spans
            .iter()
            .flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    pub(crate) fn resource(&self) -> HashMap<String, Value> {
        values(
            &self.body.resource_spans[0]
                .resource
                .as_ref()
                .unwrap()
                .attributes,
        )
    }
}

fn read(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut headers = HashMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((key, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        headers
            .entry(key.to_ascii_lowercase())
            .and_modify(|there: &mut String| *there += &format!(" and again {value}"))
            .or_insert_with(|| value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    if headers
        .get("content-encoding")
        .is_some_and(|it| it == "gzip")
    {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&body[..])
            .read_to_end(&mut plain)
            .unwrap();
        body = plain;
    }
    let raw = body;
    let body = if line.contains("/v1/metrics") {
        ExportTraceServiceRequest::default()
    } else {
        ExportTraceServiceRequest::decode(&raw[..]).unwrap()
    };
    Some(Received {
        line: line.trim_end().to_owned(),
        headers,
        body,
        raw,
    })
}

pub(crate) fn values(attributes: &[KeyValue]) -> HashMap<String, Value> {
    let unique: HashMap<_, _> = attributes
        .iter()
        .map(|kv| (kv.key.clone(), kv.value.clone().unwrap().value.unwrap()))
        .collect();
    assert_eq!(unique.len(), attributes.len(), "a key stands twice");
    unique
}

pub(crate) fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spans that arrive of these reports, all of them.
#[track_caller]
pub(crate) fn exported(reports: &[(Report, Option<Report>)]) -> Vec<Span> {
    let collector = Collector::ok();
    let otlp = Otlp::to(&collector.url, &Service::default()).unwrap();
    for (report, caught) in reports {
        otlp.accept(
            &Arc::new(report.clone()),
            caught.clone().map(Arc::new).as_ref(),
        );
    }
    assert!(otlp.shutdown(Duration::from_secs(5)));
    assert_eq!(otlp.lost(), 0);
    collector.spans(0)
}

/// A runaway with everything that a report can say.
pub(crate) fn caught() -> Report {
    serde_json::from_str(include_str!("caught.json")).unwrap()
}

/// The `n`th of many small runaways.
pub(crate) fn small(n: u64) -> Arc<Report> {
    let mut report = Report::new(Event::Caught, format!("id-{n}"));
    report.time = "2026-07-01T02:03:06.010000Z".to_owned();
    Arc::new(report)
}
