//! `inside CASE`: calls that hang in a network, or by a clock, that whoever starts it has made.
//!
//! Prints `bare: hangs` when the call hangs without redhanded, and then the reports of the same call
//! with it, a line of JSON each.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::{self, connect::Connect, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use redhanded::Redhanded;
use redhanded::connect::{Client, Connector, RequestBody, Resolver, Tcp};
use redhanded::report::{Event, Report};
use redhanded::test_util::{self, Memory};
use redhanded_hosts::clients::{Clients, Way, job};
use redhanded_hosts::{faults, names, tls};
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

type Failure = Box<dyn Error + Send + Sync>;
type Outcome = Result<(), Failure>;

/// A call that takes longer hangs.
const HANGS: Duration = Duration::from_millis(600);
/// What is to come comes within this.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whom the calls ask.
const HOST: &str = "db.example.com";
const PORT: u16 = 8080;
/// Where packets vanish.
const SWALLOWED: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);

fn main() -> Outcome {
    let case = std::env::args().nth(1).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(run(&case));
    // The system's resolver may hold its thread for longer.
    runtime.shutdown_background();
    outcome
}

async fn run(case: &str) -> Outcome {
    match case {
        "swallowed-hyper" => swallowed(Way::Hyper).await,
        "swallowed-reqwest" => swallowed(Way::Reqwest).await,
        "swallowed-tonic" => swallowed(Way::Tonic).await,
        "name-tcp" => unnamed(by_tcp).await,
        "name-resolver" => unnamed(by_resolver).await,
        "name-reqwest" => unnamed(by_reqwest).await,
        "cut" => cut().await,
        "clock-forward" => clock(["+1d", "-1d"]).await,
        "clock-back" => clock(["-1d", "+1d"]).await,
        other => Err(format!("there is no case {other:?}").into()),
    }
}

/// An installation, and what it reports.
struct Watched {
    redhanded: Redhanded,
    reports: Memory,
}

impl Watched {
    fn new() -> Result<Self, Failure> {
        let (builder, reports) = test_util::builder("inside");
        let redhanded = builder.install()?;
        Ok(Self { redhanded, reports })
    }

    fn start<F>(&self, call: F) -> JoinHandle<Outcome>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        job(&self.redhanded, "inside", call)
    }

    /// Prints what is reported of it once that has names, which may come a moment after the first line.
    async fn tell(&self, fits: impl Fn(&Report) -> bool + Send + 'static) -> Outcome {
        let reports = self.reports.clone();
        let named = |report: &Report| {
            let verdict = report.verdict.as_ref();
            verdict.is_some_and(|verdict| verdict.culprit.is_some())
        };
        let wait = move || reports.wait_for(PATIENCE, |report| named(report) && fits(report));
        let report = tokio::task::spawn_blocking(wait).await?;
        let Some(report) = report else {
            let all = self.reports.reports();
            return Err(format!("it was not reported so: {all:?}").into());
        };
        say(&serde_json::to_string(&*report)?);
        Ok(())
    }
}

#[expect(clippy::print_stdout, reason = "who started it reads it")]
fn say(line: &str) {
    println!("{line}");
}

/// Says that `call` hangs, or fails with what came of it.
async fn hangs<F>(call: F) -> Outcome
where
    F: Future<Output = Outcome>,
{
    match tokio::time::timeout(HANGS, call).await {
        Err(_) => {
            say("bare: hangs");
            Ok(())
        }
        Ok(answer) => Err(format!("it does not hang without us: {answer:?}").into()),
    }
}

/// The call without us, and then with us.
async fn bare_and_watched<F>(call: impl Fn() -> F) -> Outcome
where
    F: Future<Output = Outcome> + Send + 'static,
{
    hangs(call()).await?;
    let watched = Watched::new()?;
    let running = watched.start(call());
    watched.tell(|_| true).await?;
    running.abort();
    Ok(())
}

/// Nothing comes back from the host, not even that there is none.
async fn swallowed(way: Way) -> Outcome {
    names::set(HOST, &[(SWALLOWED, PORT).into()]);
    bare_and_watched(|| async move {
        let clients = Clients::new();
        Ok(clients.ask(way, HOST, PORT, false).await?)
    })
    .await
}

/// The system asks a name server that says nothing.
async fn unnamed<F>(call: fn() -> F) -> Outcome
where
    F: Future<Output = Outcome> + Send + 'static,
{
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53))?;
    server.set_read_timeout(Some(PATIENCE))?;
    bare_and_watched(call).await?;
    let mut question = [0; 512];
    let length = server.recv(&mut question)?;
    let name = b"\x02db\x07example\x03com\x00";
    if !question[..length].windows(name.len()).any(|at| at == name) {
        return Err("another name was asked for".into());
    }
    Ok(())
}

/// With the addresses of a name tried one by one.
async fn by_tcp() -> Outcome {
    get(Tcp::new(HttpConnector::new())).await
}

/// With hyper-util's own connector over names that are watched.
async fn by_resolver() -> Outcome {
    get(HttpConnector::new_with_resolver(Resolver::default())).await
}

async fn by_reqwest() -> Outcome {
    let builder = reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(tls::client());
    let client = redhanded::connect::reqwest::watched(builder).build()?;
    let response = client.get(format!("http://{HOST}:{PORT}/")).send().await?;
    response.bytes().await?;
    Ok(())
}

type HyperClient<C> = Client<legacy::Client<Connector<C>, RequestBody<Empty<Bytes>>>>;

fn hyper<C>(connector: C) -> HyperClient<C>
where
    Connector<C>: Connect + Clone,
{
    Client::new(legacy::Client::builder(TokioExecutor::new()).build(Connector::new(connector)))
}

async fn get<C>(connector: C) -> Outcome
where
    Connector<C>: Connect + Clone + Send + Sync + 'static,
{
    let request = http::Request::get(format!("http://{HOST}:{PORT}/")).body(Empty::new())?;
    let response = hyper(connector).request(request).await?;
    response.into_body().collect().await?;
    Ok(())
}

/// The link goes down while an answer comes over it.
async fn cut() -> Outcome {
    let host = Parts::start().await?;
    let reading = tokio::spawn(host.clone().read());
    host.received().await?;
    host.goes_on.notify_one();
    // So it is the link alone that makes the next ones hang.
    tokio::time::timeout(PATIENCE, reading).await???;

    let bare = tokio::spawn(host.clone().read());
    host.is_cut_off().await?;
    let stops_bare = bare.abort_handle();
    hangs(async { bare.await? }).await?;
    stops_bare.abort();
    link("up").await?;

    let watched = Watched::new()?;
    let running = watched.start(host.clone().read());
    host.is_cut_off().await?;
    watched.tell(|_| true).await?;
    running.abort();
    Ok(())
}

/// A host that sends the second part of its answer when it is told to.
#[derive(Clone)]
struct Parts {
    address: SocketAddr,
    received: Arc<Notify>,
    goes_on: Arc<Notify>,
}

const LENGTH: usize = 100;

impl Parts {
    async fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let host = Self {
            address: listener.local_addr()?,
            received: Arc::default(),
            goes_on: Arc::default(),
        };
        let goes_on = host.goes_on.clone();
        tokio::spawn(async move {
            // All are kept: none is closed when it was answered.
            let mut kept = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(faults::PART).await;
                goes_on.notified().await;
                let rest = [b'.'; LENGTH - faults::PART.len()];
                let _ = stream.write_all(&rest).await;
                kept.push(stream);
            }
        });
        Ok(host)
    }

    async fn read(self) -> Outcome {
        let request = http::Request::get(format!("http://{}/", self.address));
        let client = hyper(Tcp::new(HttpConnector::new()));
        let response = client.request(request.body(Empty::new())?).await?;
        let (mut body, mut length) = (response.into_body(), 0);
        while let Some(frame) = body.frame().await {
            length += frame?.data_ref().map_or(0, Bytes::len);
            if length == faults::PART.len() {
                self.received.notify_one();
            }
        }
        Ok(())
    }

    /// The first part has come.
    async fn received(&self) -> Outcome {
        Ok(tokio::time::timeout(PATIENCE, self.received.notified()).await?)
    }

    /// After the first part; the second one is sent into nowhere.
    async fn is_cut_off(&self) -> Outcome {
        self.received().await?;
        link("down").await?;
        self.goes_on.notify_one();
        Ok(())
    }
}

/// Takes the loop-back of this namespace `up` or `down`.
async fn link(state: &'static str) -> Outcome {
    let ip = move || {
        Command::new("ip")
            .args(["link", "set", "lo", state])
            .status()
    };
    let status = tokio::task::spawn_blocking(ip).await??;
    status
        .success()
        .then_some(())
        .ok_or_else(|| format!("lo does not go {state}").into())
}

/// The time of day jumps while a call hangs: before it is caught, and back before the next look at it.
async fn clock(steps: [&str; 2]) -> Outcome {
    let (address, heard) = silent().await?;
    hangs(ask(address)).await?;
    heard.notified().await;
    let watched = Watched::new()?;
    let begun = Instant::now();
    let running = watched.start(ask(address));
    tokio::time::timeout(PATIENCE, heard.notified()).await?;
    step(steps[0]).await?;
    watched.tell(|_| true).await?;
    step(steps[1]).await?;
    let age_ms = begun.elapsed().as_secs_f64() * 1000.0;
    let is_later = move |r: &Report| r.elapsed_ms.is_some_and(|ms| ms > age_ms);
    watched
        .tell(move |r| r.event == Event::Updated && is_later(r))
        .await?;
    running.abort();
    Ok(())
}

/// A host that never answers, and is heard to have been asked.
async fn silent() -> Result<(SocketAddr, Arc<Notify>), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let heard = Arc::new(Notify::new());
    let tells = heard.clone();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            tells.notify_one();
            kept.push(stream);
        }
    });
    Ok((address, heard))
}

async fn ask(address: SocketAddr) -> Outcome {
    let request = http::Request::get(format!("http://{address}/")).body(Empty::new())?;
    let client = hyper(Tcp::new(HttpConnector::new()));
    let response = client.request(request).await?;
    response.into_body().collect().await?;
    Ok(())
}

/// Sets libfaketime's offset, and sees that it is one.
async fn step(offset: &str) -> Outcome {
    let file = std::env::var_os("FAKETIME_TIMESTAMP_FILE").ok_or("no clock to be stepped")?;
    let file = PathBuf::from(file);
    let whole = file.with_extension("next");
    std::fs::write(&whole, offset)?;
    let before = SystemTime::now();
    // In one piece: it is read at every look at the clock.
    std::fs::rename(&whole, &file)?;
    let deadline = Instant::now() + PATIENCE;
    let hour = Duration::from_secs(3600);
    while Instant::now() < deadline {
        let now = SystemTime::now();
        let apart = now.duration_since(before).unwrap_or_else(|e| e.duration());
        if apart > hour {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
    Err(format!("the clock does not go to {offset}").into())
}
