//! `background WHAT COUNT`: what costs beside the requests' own thread, for callgrind to count on all threads.
//!
//! `story` sends that many requests that say much by `tracing`, of which one in a thousand is exported whole to a
//! collector that takes everything, and ends when it has; `rounds-1` and `rounds-1000` let the watchdog make that many
//! rounds with so many requests in flight, none of which is overdue.

use axum::routing::get;
use redhanded::metrics::{Data, Snapshot};
use redhanded::{Builder, Redhanded, slow_after};
use redhanded_benches::{Around, app, once};
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::task::Poll;
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Far more than anything here takes, under callgrind on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let what = args.next().ok_or("story, rounds-1 or rounds-1000?")?;
    let count = args.next().ok_or("how many?")?.parse()?;
    match what.as_str() {
        "story" => story(count).await,
        _ => {
            let in_flight = what.strip_prefix("rounds-").ok_or("rounds-N?")?.parse()?;
            rounds(in_flight, count).await
        }
    }
}

fn builder() -> Builder {
    Redhanded::builder("bench")
        .slow_after(Duration::from_secs(3600))
        .slow_log_to_stderr()
}

async fn story(count: u64) -> Outcome<()> {
    if let Some(stack) = Around::Story.stack() {
        tracing::dispatcher::set_global_default(stack)?;
    }
    let redhanded = builder().otlp(collector()?).install()?;
    let app = app().layer(redhanded.layer()).with_state(());
    let uri = "/spans".parse()?;
    for _ in 0..count {
        once(&app, &uri).await;
    }
    if redhanded.shutdown(PATIENCE).await {
        return Ok(());
    }
    Err("not all was exported".into())
}

/// Takes everything; its thread is counted as well, and does next to nothing.
fn collector() -> Outcome<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Until its client has enough of it.
            std::thread::spawn(|| drop(take(stream)));
        }
    });
    Ok(url)
}

fn take(mut stream: TcpStream) -> Outcome<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    let mut length = 0;
    while reader.read_line(&mut line)? > 0 {
        let said = line.trim_end().to_ascii_lowercase();
        line.clear();
        if let Some(bytes) = said.strip_prefix("content-length: ") {
            length = bytes.parse()?;
        }
        if said.is_empty() {
            reader.read_exact(&mut vec![0; length])?;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        }
    }
    Ok(())
}

async fn rounds(in_flight: usize, count: u64) -> Outcome<()> {
    // Rounds follow the shortest threshold: 5 ms apart by this route, which nobody asks for.
    let often = slow_after(Duration::from_millis(40));
    let redhanded = builder().metrics(true).route("/often", often).install()?;
    let never = get(async || std::future::pending::<()>().await);
    let app = app().route("/never", never);
    let app = app.layer(redhanded.layer()).with_state(());
    let uri = "/never".parse()?;
    let mut requests: Vec<_> = (0..in_flight).map(|_| Box::pin(once(&app, &uri))).collect();
    std::future::poll_fn(|context| {
        for request in &mut requests {
            assert!(request.as_mut().poll(context).is_pending(), "in flight");
        }
        Poll::Ready(())
    })
    .await;
    let begun = Instant::now();
    while rounds_of(&redhanded.metrics()) < count {
        if begun.elapsed() > PATIENCE {
            return Err("the watchdog stands".into());
        }
        // This thread is not counted, and looks at what costs the other nothing.
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn rounds_of(snapshot: &Snapshot) -> u64 {
    let name = "redhanded.watchdog.round.duration";
    let metric = snapshot.metrics.iter().find(|metric| metric.name == name);
    match metric.map(|metric| &metric.data) {
        Some(Data::Histogram(points)) => points.iter().map(|point| point.value.count()).sum(),
        _ => 0,
    }
}
