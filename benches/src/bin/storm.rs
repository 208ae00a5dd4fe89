//! `storm`: ten thousand requests become overdue within one second, on connections of their own, while others go
//! on: what that costs the others, with and without redhanded, and what redhanded spends on it. The first catch of a
//! process loads its debug information, once and however many there are: it is made before, and told by itself.
//!
//! `storm [REQUESTS]` measures; it starts itself as the server, once bare and once watched, in turns.

use axum::Router;
use axum::routing::get;
use redhanded::Redhanded;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

const SLOW_AFTER: Duration = Duration::from_secs(2);
/// The requests are sent over so long.
const FRONT: Duration = Duration::from_secs(1);
/// What is measured: from the first overdue request until the last was looked at.
const WINDOW: Duration = Duration::from_secs(2);
/// Connections that ask for `/hello` all the time.
const BUSY: usize = 16;
const ROUNDS: usize = 3;

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("serve") => serve(args.next().as_deref() == Some("watched")),
        requests => measure(requests.map_or(Ok(10_000), str::parse)?),
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "tells its port")]
async fn serve(watched: bool) -> Outcome<()> {
    // Nobody answers: the upstream is dead.
    let dead = get(async || std::future::pending::<()>().await);
    let mut app = Router::new()
        .route("/hello", get(async || "hello"))
        .route("/first", get(async || std::future::pending::<()>().await))
        .route("/dead", dead);
    let log = std::env::temp_dir().join(format!("redhanded-storm-{}.jsonl", std::process::id()));
    let mut redhanded = None;
    if watched {
        let builder = Redhanded::builder("storm").slow_after(SLOW_AFTER);
        let installed = builder.slow_log(&log).install()?;
        app = app.layer(installed.layer());
        redhanded = Some(installed);
    }
    let stats = async move || {
        let stats = redhanded.as_ref().map(Redhanded::stats);
        let counts = stats.map_or((0, 0), |s| (s.caught, s.repeats));
        let lines = std::fs::read_to_string(&log).map_or(0, |text| text.lines().count());
        let (ours_ns, all_ns) = cpu_ns();
        format!(
            "{} {} {lines} {ours_ns} {all_ns} {}",
            counts.0,
            counts.1,
            rss_kb()
        )
    };
    let app = app.route("/stats", get(stats));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    Ok(axum::serve(listener, app).await?)
}

/// CPU time of redhanded's threads, and of all.
fn cpu_ns() -> (u64, u64) {
    let (mut ours, mut all) = (0, 0);
    for task in std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let read = |file| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let ns = read("schedstat")
            .split(' ')
            .next()
            .and_then(|n| n.parse().ok());
        let ns: u64 = ns.unwrap_or(0);
        all += ns;
        ours += if read("comm").starts_with("redhanded") {
            ns
        } else {
            0
        };
    }
    (ours, all)
}

fn rss_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(kind: &str) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", kind])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, line.trim().parse()?));
        Ok(Self { child, address })
    }

    fn ask(&self, path: &str) -> Outcome<TcpStream> {
        let mut stream = TcpStream::connect(self.address)?;
        send(&mut stream, path)?;
        Ok(stream)
    }

    fn stats(&self) -> Outcome<Vec<u64>> {
        let mut stream = self.ask("/stats")?;
        let mut bytes = [0; 1024];
        let length = stream.read(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes[..length]);
        let body = text.rsplit("\r\n\r\n").next().unwrap_or_default();
        Ok(body.split(' ').map(str::parse).collect::<Result<_, _>>()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send(stream: &mut TcpStream, path: &str) -> std::io::Result<()> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: storm\r\n\r\n").as_bytes())
}

/// Those who go on: keep-alive connections that ask again as soon as they are answered.
struct Others {
    answered: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Others {
    fn begin(address: SocketAddr) -> Self {
        let (answered, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        for _ in 0..BUSY {
            let (answered, stop) = (answered.clone(), stop.clone());
            std::thread::spawn(move || -> std::io::Result<()> {
                let mut stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                let mut bytes = [0; 1024];
                while !stop.load(Ordering::Relaxed) {
                    send(&mut stream, "/hello")?;
                    if stream.read(&mut bytes)? == 0 {
                        break;
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        Self { answered, stop }
    }

    /// Answers a second over the next `window`.
    fn rate(&self, window: Duration) -> f64 {
        let (before, begun) = (self.answered.load(Ordering::Relaxed), Instant::now());
        std::thread::sleep(window);
        let answered = self.answered.load(Ordering::Relaxed) - before;
        answered as f64 / begun.elapsed().as_secs_f64()
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What one storm showed.
struct Storm {
    /// CPU time of redhanded's threads for the first catch, in milliseconds.
    first_ms: f64,
    calm: f64,
    storm: f64,
    /// CPU time of redhanded's threads as a share of one core, in the window and in the second before.
    ours: f64,
    ours_calm: f64,
    /// CPU time of the application's threads for each answer, in microseconds, in calm and in the storm.
    app_us: (f64, f64),
    stats: Vec<u64>,
    rss_before_kb: u64,
}

/// Lets one request be caught, and returns the CPU time that redhanded's threads took for it in milliseconds.
fn first_catch(server: &Server) -> Outcome<f64> {
    let before = server.stats()?;
    let stream = server.ask("/first")?;
    let begun = Instant::now();
    loop {
        std::thread::sleep(Duration::from_millis(100));
        let stats = server.stats()?;
        if stats[2] > 0 && begun.elapsed() > SLOW_AFTER + Duration::from_secs(1) {
            // Who hangs up is no case any more: the next look at it does not fall into the storm.
            drop(stream);
            return Ok((stats[3] - before[3]) as f64 / 1e6);
        }
        if begun.elapsed() > Duration::from_secs(30) {
            return Err("the first one was not caught".into());
        }
    }
}

fn storm(kind: &str, requests: usize) -> Outcome<Storm> {
    let server = Server::start(kind)?;
    let mut connections = Vec::with_capacity(requests);
    for _ in 0..requests {
        connections.push(TcpStream::connect(server.address)?);
    }
    let first_ms = if kind == "watched" {
        first_catch(&server)?
    } else {
        0.0
    };
    let others = Others::begin(server.address);
    others.rate(Duration::from_millis(500));
    let at_first = server.stats()?;
    let calm = others.rate(WINDOW);
    let before = server.stats()?;
    let begun = Instant::now();
    for (at, stream) in connections.iter_mut().enumerate() {
        let due = FRONT.mul_f64(at as f64 / requests as f64);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        send(stream, "/dead")?;
    }
    std::thread::sleep(SLOW_AFTER.saturating_sub(begun.elapsed()));
    let at_storm = server.stats()?;
    let storm = others.rate(WINDOW);
    let after = server.stats()?;
    // Every one of them is overdue by now.
    std::thread::sleep(Duration::from_millis(500));
    let stats = server.stats()?;
    let share = |a: &[u64], b: &[u64]| (b[3] - a[3]) as f64 / WINDOW.as_nanos() as f64;
    let app = |a: &[u64], b: &[u64], rate: f64| {
        let ns = (b[4] - a[4]).saturating_sub(b[3] - a[3]);
        ns as f64 / 1e3 / (rate * WINDOW.as_secs_f64())
    };
    Ok(Storm {
        first_ms,
        calm,
        storm,
        ours: share(&at_storm, &after),
        ours_calm: share(&at_first, &before),
        app_us: (app(&at_first, &before, calm), app(&at_storm, &after, storm)),
        stats,
        rss_before_kb: before[5],
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[expect(clippy::print_stdout, reason = "its output is what it is for")]
fn measure(requests: usize) -> Outcome<()> {
    let (mut bare, mut watched) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (kind, ratios) in [("bare", &mut bare), ("watched", &mut watched)] {
            let seen = storm(kind, requests)?;
            let s = &seen.stats;
            println!(
                "{kind:8} /hello a second: calm {:6.0}, storm {:6.0}, ratio {:.3} | ours: first catch {:3.0} ms, calm {:5.2} %, storm {:5.2} % of a core | app per answer: calm {:5.1} us, storm {:5.1} us | caught {}, repeats {}, lines {} | RSS {} -> {} KiB",
                seen.calm,
                seen.storm,
                seen.storm / seen.calm,
                seen.first_ms,
                100.0 * seen.ours_calm,
                100.0 * seen.ours,
                seen.app_us.0,
                seen.app_us.1,
                s[0],
                s[1],
                s[2],
                seen.rss_before_kb,
                s[5],
            );
            ratios.push(seen.storm / seen.calm);
        }
    }
    let (bare, watched) = (median(bare), median(watched));
    println!(
        "median ratio: bare {bare:.3}, watched {watched:.3}; watched to bare {:.3}",
        watched / bare
    );
    Ok(())
}
