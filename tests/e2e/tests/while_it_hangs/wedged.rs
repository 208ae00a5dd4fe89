//! A real HAProxy before three processes, one of which is wedged on all workers: drained within a second, the others
//! serve on, a supervisor restarts it, and both log and Jaeger name the request. Run by `cargo xtask haproxy`.

use crate::servers::{Servers, Span};
use redhanded::report::{Class, Report, Role};
use redhanded_tests::{PATIENCE, Stall, Start, Supervisor, caught, free_port, until};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const NODES: [&str; 3] = ["a", "b", "c"];
/// What the three are one of, in Jaeger.
const SERVICE: &str = "wedged";
/// From the wedge until HAProxy gives the node no more requests, with agent-checks every 200 ms.
const DRAINED_WITHIN: Duration = Duration::from_secs(1);
const WATCHDOG: Duration = Duration::from_secs(1);
/// A client gives up then.
const CLIENT_PATIENCE: Duration = Duration::from_millis(1_500);

/// One process and where it answers.
struct Node {
    name: &'static str,
    ports: [u16; 3],
    supervisor: Supervisor,
    stall: Stall,
}

impl Node {
    fn start(name: &'static str, otlp: &str) -> Self {
        let ports = std::array::from_fn(|_| free_port());
        let supervisor = Supervisor::new();
        let stall = supervisor.start(Self::command(ports, otlp), Some(WATCHDOG));
        Self {
            name,
            ports,
            supervisor,
            stall,
        }
    }

    fn command([app, health, agent]: [u16; 3], otlp: &str) -> Start {
        let at = |port| format!("127.0.0.1:{port}");
        let listeners = ["--health", &at(health), "--agent", &at(agent), "--listener"];
        Stall::of(&["regex"])
            .args(&["--slow-after", "2000", "--restart-after", "5000"])
            .args(&["--port", &app.to_string()])
            .args(&listeners)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", otlp)
            .env("OTEL_SERVICE_NAME", SERVICE)
    }

    fn restart(&mut self, otlp: &str) {
        self.supervisor.ends(&mut self.stall);
        let command = Self::command(self.ports, otlp);
        self.stall = self.supervisor.start(command, Some(WATCHDOG));
    }
}

/// HAProxy, and its control socket.
struct Balancer {
    child: Child,
    port: u16,
    socket: PathBuf,
    _dir: tempfile::TempDir,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Balancer {
    fn before(nodes: &[Node]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (port, socket) = (free_port(), dir.path().join("control"));
        let servers = nodes.iter().map(|node| {
            let [app, health, agent] = node.ports;
            format!(
                "  server {} 127.0.0.1:{app} weight 100 check port {health} inter 1s agent-check agent-port {agent} agent-inter 200ms\n",
                node.name
            )
        });
        let servers: String = servers.collect();
        let config = dir.path().join("haproxy.cfg");
        std::fs::write(&config, configuration(port, &socket, &servers)).expect("it is ours");
        let said = std::fs::File::create(dir.path().join("said")).expect("it is ours");
        let child = Command::new("haproxy")
            .args(["-db", "-f"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(said.try_clone().expect("a file"))
            .stderr(said)
            .spawn()
            .expect("haproxy is installed: cargo xtask haproxy");
        Self {
            child,
            port,
            socket,
            _dir: dir,
        }
    }

    /// What HAProxy counts of each server, by the names of its columns.
    fn stats(&self) -> Option<HashMap<String, HashMap<String, String>>> {
        let mut control = UnixStream::connect(&self.socket).ok()?;
        control.write_all(b"show stat\n").ok()?;
        let mut text = String::new();
        control.read_to_string(&mut text).ok()?;
        let mut lines = text.lines();
        let names: Vec<&str> = lines.next()?.trim_start_matches("# ").split(',').collect();
        let row = |line: &str| {
            let cells = line.split(',').map(str::to_owned);
            let row: HashMap<String, String> =
                names.iter().map(|n| (*n).to_owned()).zip(cells).collect();
            Some((row.get("svname")?.clone(), row))
        };
        Some(lines.filter_map(row).collect())
    }

    fn cell(&self, server: &str, column: &str) -> String {
        let stats = self.stats().unwrap_or_default();
        let cell = stats.get(server).and_then(|row| row.get(column));
        cell.cloned().unwrap_or_default()
    }

    /// Asserts that `server` is given requests as the others are.
    #[track_caller]
    fn serves(&self, server: &str) {
        let is_up = || {
            let status = self.cell(server, "status");
            (status == "UP" && self.cell(server, "weight") == "100").then_some(())
        };
        let (status, weight) = (self.cell(server, "status"), self.cell(server, "weight"));
        assert!(
            until(PATIENCE, is_up).is_some(),
            "{server}: {status} {weight}"
        );
    }
}

fn configuration(port: u16, socket: &Path, servers: &str) -> String {
    format!(
        "global
  stats socket {} mode 600
defaults
  mode http
  timeout connect 1s
  timeout client 10s
  timeout server 5s
frontend site
  bind 127.0.0.1:{port}
  default_backend app
backend app
  balance roundrobin
  option httpchk GET /ready
  http-response set-header x-server %s
{servers}",
        socket.display()
    )
}

/// One answer, or none.
struct Answer {
    at: Instant,
    took: Duration,
    /// Status and server.
    told: Option<(u16, String)>,
}

/// Clients that ask all the time.
struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<Mutex<Vec<Answer>>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn on(port: u16) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let client = |_| {
            let (stop, answers): (_, Arc<Mutex<Vec<Answer>>>) =
                (Arc::clone(&stop), Arc::clone(&answers));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let at = Instant::now();
                    let told = ask(port);
                    let took = at.elapsed();
                    let answer = Answer { at, took, told };
                    answers.lock().expect("no panic").push(answer);
                    std::thread::sleep(Duration::from_millis(20));
                }
            })
        };
        let threads = (0..12).map(client).collect();
        Self {
            stop,
            answers,
            threads,
        }
    }

    /// Waits for so many more answers.
    #[track_caller]
    fn has(&self, more: usize) {
        let count = || self.answers.lock().expect("no panic").len();
        let enough = count() + more;
        let come = until(PATIENCE, || (count() >= enough).then_some(()));
        assert!(come.is_some(), "nobody answers: {} of {enough}", count());
    }

    fn end(self) -> Vec<Answer> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("no panic");
        }
        std::mem::take(&mut self.answers.lock().expect("no panic"))
    }
}

fn ask(port: u16) -> Option<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(CLIENT_PATIENCE)).ok()?;
    let request = "GET /healthy HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let server = text
        .lines()
        .find_map(|line| line.strip_prefix("x-server: "));
    Some((status, server.unwrap_or_default().to_owned()))
}

/// The slowest of a hundred, in milliseconds, among answers of `servers` that were asked for in this time.
fn p99(answers: &[Answer], servers: &[&str], from: Instant, until: Instant) -> f64 {
    let of_them = |a: &&Answer| {
        let server = a.told.as_ref().map_or("", |(_, server)| server);
        servers.contains(&server) && (from..until).contains(&a.at)
    };
    let mut took: Vec<f64> = answers
        .iter()
        .filter(of_them)
        .map(|a| a.took.as_secs_f64() * 1e3)
        .collect();
    took.sort_by(f64::total_cmp);
    assert!(took.len() >= 20, "{} answers", took.len());
    took[took.len() * 99 / 100]
}

pub(crate) fn is_drained_restarted_and_served_around(servers: &Servers) {
    let otlp = servers.otlp();
    let start = |name| Node::start(name, &otlp);
    let mut nodes: Vec<Node> = NODES.into_iter().map(start).collect();
    let balancer = Balancer::before(&nodes);
    NODES.iter().for_each(|node| balancer.serves(node));
    let load = Load::on(balancer.port);
    let begun = Instant::now();
    load.has(1_000);

    // Neither of its two workers turns to anything else any more.
    let target = format!("/regex/1?q={}%20OR", "x".repeat(40));
    let wedged = Instant::now();
    let hangs = [(); 2].map(|()| nodes[0].stall.get(&target));
    let drained = until(PATIENCE, || {
        (balancer.cell("a", "weight") == "0").then(|| wedged.elapsed())
    });
    let drained = drained.expect("it is drained some day");
    eprintln!("wedged -> drained: {} ms", drained.as_millis());
    let agent = balancer.cell("a", "last_agt");
    assert!(agent.contains("all 2 workers"), "{agent}");
    assert!(drained <= DRAINED_WITHIN, "{drained:?}");
    let settled = Instant::now() + Duration::from_millis(100);

    let missed = until(PATIENCE, || {
        let supervisor = &mut nodes[0].supervisor;
        supervisor.misses(begun, WATCHDOG).then_some(())
    });
    assert!(
        missed.is_some(),
        "a wedged process does not feed its watchdog"
    );
    eprintln!("wedged -> restarted: {} ms", wedged.elapsed().as_millis());
    let record = caught(&nodes[0].stall, "/regex/1")
        .as_class(Class::CpuLoop)
        .by_role(Role::Culprit)
        .record();
    let request = record.request.as_ref().expect("a request");
    eprintln!("evidence: {} {}", request.url, record.id);
    is_in_jaeger(servers, &record);
    let restarted = Instant::now();
    drop(hangs);
    nodes[0].restart(&otlp);
    balancer.serves("a");
    let up = Instant::now();
    eprintln!("restarted -> up: {} ms", restarted.elapsed().as_millis());
    load.has(300);
    let answers = load.end();
    judge(&answers, &balancer, (begun, wedged, settled, restarted, up));
}

/// Jaeger names what the log names, while the process is wedged.
fn is_in_jaeger(servers: &Servers, record: &Report) {
    let is_it =
        |span: &Span| span.name() == "redhanded.caught" && span.tag("redhanded.id") == record.id;
    let span = until(PATIENCE, || {
        servers.runaways_of(SERVICE).into_iter().find(is_it)
    });
    let span = span.expect("it is in Jaeger before anybody restarts the process");
    let request = record.request.as_ref().expect("a request");
    let verdict = record.verdict.as_ref().expect("a verdict");
    assert_eq!(span.tag("url.full"), request.url);
    assert_eq!(span.tag("redhanded.class"), verdict.class.as_str());
    assert_eq!(span.tag("redhanded.role"), verdict.role.as_str());
}

/// The others have answered all the time, and the wedged one again.
fn judge(
    answers: &[Answer],
    balancer: &Balancer,
    (begun, wedged, settled, restarted, up): (Instant, Instant, Instant, Instant, Instant),
) {
    let failed: Vec<_> = answers
        .iter()
        .filter(|a| a.told.as_ref().is_none_or(|(status, _)| *status != 200))
        .collect();
    let late = failed.iter().filter(|a| a.at > settled && a.at < restarted);
    eprintln!(
        "{} requests, {} without an answer, all of them sent to the wedged process before it was drained",
        answers.len(),
        failed.len()
    );
    assert_eq!(late.count(), 0, "once it is drained nobody is sent there");
    for server in ["b", "c"] {
        for column in [
            "econ", "eresp", "cli_abrt", "srv_abrt", "hrsp_5xx", "wretr", "wredis",
        ] {
            let count = balancer.cell(server, column);
            assert!(
                matches!(count.as_str(), "0" | ""),
                "{server} {column}: {count}"
            );
        }
    }
    let before = p99(answers, &["b", "c"], begun, wedged);
    let during = p99(answers, &["b", "c"], wedged, restarted);
    eprintln!(
        "the others' p99: {before:.1} ms before, {during:.1} ms while it was wedged, ratio {:.2}",
        during / before
    );
    assert!(during < 1_000.0, "{during} ms");
    let again = answers.iter().filter(|a| a.at > up);
    let by_a = again.filter(|a| a.told.as_ref().is_some_and(|(_, server)| server == "a"));
    assert!(by_a.count() > 0, "it serves again");
}
