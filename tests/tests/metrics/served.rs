//! The handler, in process.

use crate::text::ask_oddly;
use axum::body::Body;
use axum::routing::get;
use http::{Request, header};
use http_body_util::BodyExt;
use redhanded::test_util;
use std::time::{Duration, Instant};
use tower::ServiceExt;

/// What `/metrics` of `app` answers to who accepts `accept`.
pub(crate) async fn scraped(app: &axum::Router, accept: &str) -> (String, String) {
    let request = Request::get("/metrics").header(header::ACCEPT, accept);
    let request = request.body(Body::empty()).expect("a request");
    let response = app.clone().oneshot(request).await.expect("infallible");
    assert_eq!(response.status(), 200);
    let kind = response.headers()[header::CONTENT_TYPE]
        .to_str()
        .expect("text")
        .to_owned();
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    (kind, String::from_utf8(body.to_vec()).expect("UTF-8"))
}

#[tokio::test]
async fn who_accepts_openmetrics_gets_it() {
    let (builder, _) = test_util::builder("app");
    let redhanded = builder.install().expect("an install");
    let app = axum::Router::new().route("/metrics", get(redhanded.metrics_handler()));
    let (kind, text) = scraped(&app, "application/openmetrics-text;version=1.0.0,*/*;q=0.1").await;
    assert!(
        kind.starts_with("application/openmetrics-text; version=1.0.0"),
        "{kind}"
    );
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    let (kind, text) = scraped(&app, "text/plain").await;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    assert!(!text.contains("# EOF") && text.ends_with('\n'));
}

/// Sums of the counts of all series of the duration of requests.
fn counted(text: &str) -> u64 {
    let counts = text
        .lines()
        .filter(|line| line.starts_with("http_server_request_duration_seconds_count"));
    counts
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_is_scraped_while_all_workers_are_busy_and_the_end_is_exact() {
    const EACH: u64 = 500;
    let (builder, _) = test_util::builder("app");
    let redhanded = builder
        .slow_after(Duration::from_secs(60))
        .install()
        .expect("an install");
    let scrape = axum::Router::new().route("/metrics", get(redhanded.metrics_handler()));
    let app = axum::Router::new()
        .route(
            "/jobs/{id}",
            get(async || std::hint::black_box((0..2_000_u64).sum::<u64>()).to_string()),
        )
        .layer(redhanded.layer());
    let clients: Vec<_> = (0..16)
        .map(|client| {
            let app = app.clone();
            tokio::spawn(async move {
                for n in 0..EACH {
                    let request = Request::get(format!("/jobs/{client}-{n}")).body(Body::empty());
                    let response = app.clone().oneshot(request.expect("a request")).await;
                    response
                        .expect("infallible")
                        .into_body()
                        .collect()
                        .await
                        .expect("a body");
                }
            })
        })
        .collect();
    let (mut before, until) = (0, Instant::now() + Duration::from_secs(60));
    while !clients.iter().all(tokio::task::JoinHandle::is_finished) && Instant::now() < until {
        let sum = counted(&scraped(&scrape, "").await.1);
        assert!(sum >= before, "{sum} after {before}");
        before = sum;
        tokio::task::yield_now().await;
    }
    for client in clients {
        client.await.expect("no panic");
    }
    let (_, text) = scraped(&scrape, "").await;
    assert_eq!(counted(&text), 16 * EACH, "{text}");
    let wanted = r#"http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/jobs/{id}",url_scheme="http"} 8000"#;
    assert!(text.contains(wanted), "{text}");
}

#[tokio::test]
async fn two_installs_tell_numbers_of_their_own() {
    let install = |name| {
        test_util::builder(name)
            .0
            .metrics(true)
            .install()
            .expect("an install")
    };
    let (one, other) = (install("one"), install("other"));
    ask_oddly(&one).await;
    assert_eq!(
        (counted(&one.prometheus()), counted(&other.prometheus())),
        (6, 0)
    );
    assert!(one.prometheus().contains("service_name=\"one\""));
}
