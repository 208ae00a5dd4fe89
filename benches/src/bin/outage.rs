//! `outage`: an hour without a collector, in thirty seconds: what that costs the requests, in memory and on disk, and
//! whether all reports are delivered afterwards.
//!
//! Time is compressed 120 times: attempts are at most 250 ms apart instead of 30 s, so that there are as many as in an
//! hour. `outage [REPORTS]` starts itself as three services that answer `/hello` while reports are made: two that throw
//! them away, which shows the noise, and one that exports them with a spool. Ends with 1 if a bound is broken.

use axum::Router;
use axum::routing::get;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use redhanded::Redhanded;
use redhanded::report::{Report, Service};
use redhanded::sink::Sink;
use redhanded_otlp::{Options, Otlp, Spool};
use std::collections::HashSet;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

const OUTAGE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Instead of the default 30 s.
const FACTOR: f64 = 30.0 / 0.25;
/// Each service is asked for so long in turn.
const BLOCK: Duration = Duration::from_millis(50);
const MEMORY_KIB: u64 = 16 * 1024;
const DISK_BYTES: u64 = 64 << 20;
/// A runaway as the engine reports it, stacks, spans and calls included.
const CAUGHT: &str = include_str!("../../../crates/redhanded-report/fixtures/caught.jsonl");

fn main() -> Outcome<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["serve", reports, "-", directory] => serve(reports.parse()?, None, Path::new(directory))?,
        ["serve", reports, collector, directory] => {
            serve(reports.parse()?, Some(collector), Path::new(directory))?;
        }
        [] => return measure(3_000),
        [reports] => return measure(reports.parse()?),
        _ => return Err("outage [REPORTS]".into()),
    }
    Ok(ExitCode::SUCCESS)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "tells its port")]
async fn serve(reports: u64, collector: Option<&str>, directory: &Path) -> Outcome<()> {
    let log = directory.join("slow-requests.jsonl");
    let redhanded = Redhanded::builder("outage").slow_log(log).install()?;
    let otlp = match collector {
        Some(url) => Some(exporter(url, &directory.join("spool"))?),
        None => None,
    };
    let otlp = otlp.map(Arc::new);
    let begin = Arc::<AtomicBool>::default();
    feed(reports, otlp.clone(), begin.clone())?;
    let stats = async move || {
        let waiting = otlp.as_ref().map(|otlp| otlp.waiting()).unwrap_or_default();
        let lost = otlp.as_ref().map_or(0, |otlp| otlp.lost());
        let (rss, peak) = (memory_kib("VmRSS:"), memory_kib("VmHWM:"));
        let (requests, disk) = (waiting.requests, waiting.disk_bytes);
        format!("{rss} {peak} {requests} {disk} {lost}")
    };
    let app = Router::new()
        .route("/hello", get(async || "hello"))
        .route("/stats", get(stats))
        .route(
            "/begin",
            get(async move || begin.store(true, Ordering::Relaxed)),
        )
        .layer(redhanded.layer());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    Ok(axum::serve(listener, app).await?)
}

fn exporter(url: &str, spool: &Path) -> Outcome<Otlp> {
    let spool = Spool::open(spool)?;
    let options = Options::default().spool(spool).longest_pause(LONGEST_PAUSE);
    Ok(options.to(url, &Service::default())?)
}

/// Makes reports as the clerk would, from another thread, spread over the outage.
fn feed(reports: u64, otlp: Option<Arc<Otlp>>, begin: Arc<AtomicBool>) -> Outcome<()> {
    let line = CAUGHT.lines().next().ok_or("a line")?;
    let template: Report = serde_json::from_str(line)?;
    std::thread::spawn(move || {
        while !begin.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let begun = Instant::now();
        for number in 0..reports {
            // A little sooner than it ends.
            let due = OUTAGE.mul_f64(0.9 * number as f64 / reports as f64);
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
            let mut report = template.clone();
            report.id = format!("{number:026}");
            report.trace_id = Some(format!("{:032x}", number + 1));
            let report = Arc::new(report);
            if let Some(otlp) = &otlp {
                otlp.accept(&report, None);
            }
        }
    });
    Ok(())
}

fn memory_kib(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// A service and a kept connection to it.
struct Server {
    child: Child,
    stream: TcpStream,
    latencies_ns: Vec<u64>,
}

impl Server {
    fn start(reports: u64, collector: &str, directory: &Path) -> Outcome<Self> {
        std::fs::create_dir_all(directory)?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", &reports.to_string(), collector])
            .arg(directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, line.trim().parse()?));
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            child,
            stream,
            latencies_ns: Vec::new(),
        })
    }

    fn ask(&mut self, path: &str) -> Outcome<String> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: outage\r\n\r\n");
        self.stream.write_all(request.as_bytes())?;
        let mut bytes = [0; 1024];
        let length = self.stream.read(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes[..length]);
        Ok(text
            .rsplit("\r\n\r\n")
            .next()
            .unwrap_or_default()
            .to_owned())
    }

    fn block(&mut self) -> Outcome<()> {
        let begun = Instant::now();
        while begun.elapsed() < BLOCK {
            let asked = Instant::now();
            self.ask("/hello")?;
            self.latencies_ns
                .push(u64::try_from(asked.elapsed().as_nanos())?);
        }
        Ok(())
    }

    /// In microseconds.
    fn percentile(&mut self, of_1000: usize) -> f64 {
        self.latencies_ns.sort_unstable();
        let at = self.latencies_ns.len() * of_1000 / 1000;
        self.latencies_ns
            .get(at)
            .map_or(f64::NAN, |ns| *ns as f64 / 1e3)
    }

    fn stats(&mut self) -> Outcome<Stats> {
        let body = self.ask("/stats")?;
        let numbers: Vec<u64> = body.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [rss_kib, peak_kib, requests, disk_bytes, lost] = numbers[..] else {
            return Err(format!("stats: {body}").into());
        };
        Ok(Stats {
            rss_kib,
            peak_kib,
            requests,
            disk_bytes,
            lost,
        })
    }
}

struct Stats {
    rss_kib: u64,
    peak_kib: u64,
    requests: u64,
    disk_bytes: u64,
    lost: u64,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What takes everything, and counts whose traces came.
#[derive(Clone, Default)]
struct Collector {
    traces: Arc<Mutex<HashSet<Vec<u8>>>>,
    spans: Arc<AtomicU64>,
}

impl Collector {
    fn begin(&self, address: SocketAddr) -> Outcome<()> {
        let listener = TcpListener::bind(address)?;
        let collector = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Until its client has enough of it.
                drop(collector.serve(stream));
            }
        });
        Ok(())
    }

    fn serve(&self, mut stream: TcpStream) -> Outcome<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        loop {
            let mut length = None;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line)? == 0 {
                    return Ok(());
                }
                let line = line.trim_end().to_ascii_lowercase();
                if line.is_empty() {
                    break;
                }
                length = line
                    .strip_prefix("content-length: ")
                    .map(str::parse)
                    .or(length);
            }
            let mut body = vec![0; length.ok_or("no length")??];
            reader.read_exact(&mut body)?;
            let request = ExportTraceServiceRequest::decode(&body[..])?;
            let scopes = request
                .resource_spans
                .into_iter()
                .flat_map(|all| all.scope_spans);
            for span in scopes.flat_map(|scope| scope.spans) {
                self.spans.fetch_add(1, Ordering::Relaxed);
                self.traces
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(span.trace_id);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        }
    }

    fn traces(&self) -> u64 {
        self.traces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len() as u64
    }
}

#[expect(clippy::print_stdout, reason = "its output is what it is for")]
fn measure(reports: u64) -> Outcome<ExitCode> {
    let root = std::env::temp_dir().join(format!("redhanded-outage-{}", std::process::id()));
    // Free a moment ago, and nobody's until the collector is back.
    let absent = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let url = format!("http://{absent}");
    let mut servers = Vec::new();
    for (name, collector) in [("without", "-"), ("again", "-"), ("absent", &url)] {
        servers.push(Server::start(reports, collector, &root.join(name))?);
    }
    for server in &mut servers {
        server.block()?;
        server.latencies_ns.clear();
        server.ask("/begin")?;
    }
    let hours = OUTAGE.as_secs_f64() * FACTOR / 3600.0;
    println!(
        "no collector for {OUTAGE:?}, {reports} reports; {FACTOR} times faster attempts make that {hours} h"
    );
    let begun = Instant::now();
    let mut most_disk = 0;
    while begun.elapsed() < OUTAGE {
        for server in &mut servers {
            server.block()?;
        }
        most_disk = most_disk.max(servers[2].stats()?.disk_bytes);
    }
    let [without, again, absent_server] = &mut servers[..] else {
        return Err("three servers".into());
    };
    let (base, stats) = (without.stats()?, absent_server.stats()?);
    for (name, of_1000) in [("p50", 500), ("p90", 900), ("p99", 990)] {
        let [a, b, c] =
            [&mut *without, &mut *again, &mut *absent_server].map(|it| it.percentile(of_1000));
        println!(
            "/hello {name}: without export {a:.1} us, again {b:.1} us (ratio {:.3}), collector absent {c:.1} us (ratio {:.3})",
            b / a,
            c / a
        );
    }
    let more_kib = stats.peak_kib.saturating_sub(base.peak_kib);
    println!(
        "memory: {more_kib} KiB more than without export at the peak, {} KiB at the end (bound {MEMORY_KIB}); spool: {} KiB at most (bound {}); waiting {} requests, lost {}",
        stats.rss_kib.saturating_sub(base.rss_kib),
        most_disk / 1024,
        DISK_BYTES / 1024,
        stats.requests,
        stats.lost,
    );
    let collector = Collector::default();
    collector.begin(absent)?;
    let back = Instant::now();
    let mut left = absent_server.stats()?;
    while left.requests > 0 && back.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
        left = absent_server.stats()?;
    }
    let came = collector.traces();
    println!(
        "the collector is back: {came} of {reports} reports ({} spans) delivered after {:.2} s, lost {}",
        collector.spans.load(Ordering::Relaxed),
        back.elapsed().as_secs_f64(),
        left.lost
    );
    drop(servers);
    std::fs::remove_dir_all(&root)?;
    let kept = more_kib <= MEMORY_KIB && most_disk <= DISK_BYTES && came + left.lost >= reports;
    let kept = kept && (left.lost == 0 || most_disk + (2 << 20) > DISK_BYTES);
    println!("bounds: {}", if kept { "kept" } else { "BROKEN" });
    Ok(if kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
