//! What the texts look like.

use redhanded::Redhanded;
use redhanded::test_util;

fn counting() -> Redhanded {
    let (builder, _) = test_util::builder("quote \" and\nline");
    builder.metrics(true).install().expect("an install")
}

/// Requests whose labels nobody would choose.
pub(crate) async fn ask_oddly(redhanded: &Redhanded) {
    for route in [
        "/plain/{id}",
        "/quo\"te/\\{x}",
        "/line\nfeed",
        "/tab\tand\u{1b}[2J",
        "/é/€",
    ] {
        redhanded
            .request("GET", "/some/path?secret=1")
            .route(route)
            .run(async {})
            .await;
    }
    redhanded
        .request("BR\"EW\n", "/x")
        .route("/plain/{id}")
        .run(async {})
        .await;
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let call = redhanded::outbound("http", "ho\"st\n:80").try_run(async { Err::<(), _>(refused) });
    call.await.expect_err("refused");
}

#[tokio::test]
async fn label_values_are_escaped() {
    let redhanded = counting();
    ask_oddly(&redhanded).await;
    let text = redhanded.prometheus();
    for wanted in [
        r#"http_route="/quo\"te/\\{x}""#,
        r#"http_route="/line%0Afeed""#,
        r#"http_route="/tab%09and%1B[2J""#,
        r#"http_route="/é/€""#,
        r#"http_request_method="_OTHER""#,
        r#"target_info{service_name="quote \" and\nline""#,
    ] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    for missing in ["/some/path", "secret", "BR\\\"EW"] {
        assert!(!text.contains(missing), "{missing} in {text}");
    }
}
