//! Clients that are not hyper: curl, h2load, nghttp.

use redhanded_lives::tools::{curl, curl_to_kill, h2load, nghttp};
use redhanded_lives::{End, Flavour, Lane, Table, Wanted, scale};
use std::sync::Arc;

pub(crate) async fn outside(proved: bool, table: Arc<Table>) {
    let mut lane = Lane::new(Flavour::Axum, proved, &table).await;
    curls(&mut lane).await;
    nghttps(&mut lane).await;
    loads(&mut lane).await;
}

async fn completed(lane: &mut Lane, kind: &str, count: u64) {
    lane.settle(kind, Wanted::of(End::Completed, count)).await;
}

/// One process of curl makes many requests: it takes numbers in brackets for a range.
async fn curls(lane: &mut Lane) {
    let count = scale(300);
    let base = format!("http://{}", lane.server.port());
    let sized = format!("{base}/plain?delay_us=50&bytes=[1-{count}]");
    let stream = format!("{base}/unknown?frames=3&pause_us=50&bytes=[1-{count}]");
    let quiet = ["--output", "/dev/null"];
    for (name, arguments) in [
        ("curl GET", vec![sized.as_str()]),
        ("curl GET of a stream", vec![&stream]),
        ("curl HEAD", vec!["--head", &sized]),
        ("curl HEAD of a stream", vec!["--head", &stream]),
        ("curl GET HTTP/1.0", vec!["--http1.0", &stream]),
    ] {
        curl(&[&quiet, arguments.as_slice()].concat()).await;
        completed(lane, name, count).await;
    }
    one_by_one(lane, &base).await;
    // More than a megabyte: curl then says Expect by itself
    let body = tempfile::NamedTempFile::new().expect("a file");
    let length = 1_100_000;
    std::fs::write(body.path(), vec![b'x'; length]).expect("room for it");
    let data = format!("@{}", body.path().display());
    for (name, version, uploads) in [
        ("curl upload with Expect", "--http1.1", scale(20)),
        ("curl upload HTTP/2", "--http2-prior-knowledge", 1),
    ] {
        let to = format!("{base}/echo?upload=[1-{uploads}]");
        let said = curl(&[
            version,
            "--data-binary",
            &data,
            "--write-out",
            "%{size_download}\n",
            "--output",
            "/dev/null",
            &to,
        ])
        .await;
        assert_eq!(
            said.lines().filter(|l| *l == "1100000").count() as u64,
            uploads,
            "{said}"
        );
        completed(lane, name, uploads).await;
    }
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        killed(lane, version, scale(10)).await;
    }
}

/// The process of the client is killed while it waits.
async fn killed(lane: &mut Lane, version: &str, count: u64) {
    let hang = format!("http://{}/hang", lane.server.port());
    let arrived = lane.gate.arrived();
    let curls: Vec<_> = (0..count)
        .map(|_| curl_to_kill(&[version, &hang]))
        .collect();
    lane.gate.wait(arrived + count, "curl").await;
    drop(curls);
    lane.settle("curl, killed", Wanted::of(End::Gone, count))
        .await;
}

/// With prior knowledge, older curls cannot use an HTTP/2 connection twice.
async fn one_by_one(lane: &mut Lane, base: &str) {
    let count = scale(20);
    let url = format!("{base}/unknown?frames=3&pause_us=50&bytes=2000");
    for (name, method) in [("curl GET HTTP/2", "GET"), ("curl HEAD HTTP/2", "HEAD")] {
        let head: &[&str] = if method == "HEAD" { &["--head"] } else { &[] };
        for _ in 0..count {
            curl(&[&["--http2-prior-knowledge", &url], head].concat()).await;
        }
        completed(lane, name, count).await;
    }
}

async fn nghttps(lane: &mut Lane) {
    let base = format!("http://{}", lane.server.port());
    let times = scale(100);
    let multiply = times.to_string();
    for (name, method, word) in [
        ("nghttp GET", "GET", "plain?bytes=3000"),
        ("nghttp HEAD", "HEAD", "plain?bytes=3000"),
        ("nghttp trailers", "GET", "trailers?bytes=30&frames=3"),
    ] {
        let (method, url) = (format!(":method: {method}"), format!("{base}/{word}"));
        let said = nghttp(&["-n", "-s", "-m", &multiply, "-H", &method, &url]).await;
        let ok = said.matches(" 200 ").count() as u64;
        assert_eq!(ok, times, "{said}");
        completed(lane, name, times).await;
    }
}

async fn loads(lane: &mut Lane) {
    let base = format!("http://{}", lane.server.port());
    let plain = format!("{base}/plain?bytes=300");
    let frames = format!("{base}/frames?bytes=300&frames=4");
    let stream = format!("{base}/unknown?bytes=300&frames=4");
    let trailers = format!("{base}/trailers?bytes=300&frames=2");
    let many = ["-c", "4", "-m", "100"];
    for (name, count, arguments, url) in [
        ("h2load GET", 20_000, &[] as &[&str], &plain),
        ("h2load HEAD", 5_000, &["-H", ":method: HEAD"], &plain),
        ("h2load sized body in frames", 3_000, &[], &frames),
        ("h2load stream", 3_000, &[], &stream),
        ("h2load trailers", 3_000, &[], &trailers),
        ("h2load GET HTTP/1.1", 10_000, &["--h1"], &plain),
    ] {
        let count = scale(count);
        // HTTP/1.1 is pipelined by it, as many deep as streams
        h2load(count, &[&many, arguments, &[url.as_str()]].concat()).await;
        completed(lane, name, count).await;
    }
}
