//! A limit of calls in flight that is full, and wakes itself to see whether it still is.

use crate::{Case, Ground, Needs, Play, Truth, peers};
use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use redhanded::report::Class;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tower_layer::layer_fn;
use tower_service::Service;

pub(super) fn case() -> Case {
    Case {
        code: "B2",
        title: "a full limit that wakes itself instead of waiting",
        source: include_str!("self_waking_ready.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::SpinLoop],
            function: Some("poll_ready"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    let host = peers::silent("host");
    let report = async move || {
        let mut stream = TcpStream::connect(host).await.expect("it accepts");
        format!("{:?}", stream.read(&mut [0; 16]).await)
    };
    let in_flight = Arc::new(AtomicUsize::new(0));
    let limited = layer_fn(move |inner| Limited {
        inner,
        in_flight: in_flight.clone(),
    });
    Router::new().route("/report", get(report)).layer(limited)
}

fn play(play: &mut Play) {
    // It holds the only place, and its host never answers
    play.culprit("/report?holds=it");
    play.wait(Duration::from_millis(200));
    play.culprit("/report?wants=it");
}

#[derive(Clone)]
struct Limited<S> {
    inner: S,
    in_flight: Arc<AtomicUsize>,
}

impl<S> Service<Request> for Limited<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if self.in_flight.load(Ordering::Acquire) > 0 {
            cx.waker().wake_by_ref(); // <- here
            return Poll::Pending; // <- here
        }
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let in_flight = self.in_flight.clone();
        in_flight.fetch_add(1, Ordering::AcqRel);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            in_flight.fetch_sub(1, Ordering::AcqRel);
            answer
        })
    }
}
