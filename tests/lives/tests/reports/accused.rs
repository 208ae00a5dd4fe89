//! Who is accused, and who is not.

use super::*;
use redhanded::report::{Class, Phase, Role};
use redhanded_lives::Protocol::{H1, H2};

/// The client's own doing, whatever is said of it, and however often.
pub(crate) async fn is_the_clients(one: &One, path: &str, phase: Phase) {
    let stalled = |r: &Report| {
        r.verdict
            .as_ref()
            .is_some_and(|v| v.class == Class::ClientStalled)
    };
    let kept = &one.watched.kept;
    let said = || kept.all().into_iter().find(stalled);
    assert!(comes(|| said().is_some()).await, "{:#?}", kept.all());
    let report = said().expect("it was there");
    assert_eq!(report.request.expect("one").path, path);
    assert_eq!(report.phase, Some(phase));
    for report in kept.all() {
        let role = report.verdict.as_ref().map(|v| v.role);
        assert!(role.is_none_or(|r| r == Role::Bystander), "{report:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_go_on_with_its_upload() {
    for protocol in [H1, H2] {
        let one = One::new(Flavour::Axum).await;
        let body = Frames::unknown()
            .in_frames(2, 100, Duration::ZERO)
            .and_hangs(&Gate::default());
        let mut client = one.client(protocol).await;
        let answer = tokio::spawn(client.send(ask("POST", "/echo", body)));
        is_the_clients(&one, "/echo", Phase::RequestBody).await;
        answer.abort();
        drop(client);
        one.becomes_empty().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read() {
    for protocol in [H1, H2] {
        let one = One::new(Flavour::Axum).await;
        let mut client = one.client(protocol).await;
        let answer = client.send(get("/flood")).await.expect("a head");
        is_the_clients(&one, "/flood", Phase::ResponseBody).await;
        drop(answer);
        drop(client);
        one.becomes_empty().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_stream_that_stops() {
    for protocol in [H1, H2] {
        let one = One::new(Flavour::Axum).await;
        let mut client = one.client(protocol).await;
        let answer = client.send(get("/hang_body?frames=3&bytes=100"));
        let answer = answer.await.expect("a head");
        let reading = tokio::spawn(async {
            http_body_util::BodyExt::collect(answer.into_body())
                .await
                .is_ok()
        });
        let report = one.report("/hang_body", Event::Caught).await;
        let verdict = report.verdict.expect("one");
        assert_eq!(
            (verdict.class, verdict.role),
            (Class::StuckAwait, Role::Culprit)
        );
        assert_eq!(report.phase, Some(Phase::ResponseBody));
        drop(client);
        assert!(!reading.await.expect("no panic"));
        one.becomes_empty().await;
    }
}
