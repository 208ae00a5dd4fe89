//! What an axum user has: a router with our layer, and layers of others outside of it.

use crate::answer::answer;
use crate::gate::Gate;
use crate::install::Watched;
use axum::Router;
use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Query, Request, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use futures_util::{Stream, stream};
use http::StatusCode;
use http_body_util::Limited;
use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;
use tower::timeout::TimeoutLayer;

/// What is served below `/late` is dropped after this time.
const LATE: Duration = Duration::from_millis(25);
/// Bodies below `/limited` are dropped after so many bytes.
const LIMIT: usize = 1000;

/// The router; see [`answer`](crate::answer) for its words.
pub(crate) fn router(watched: &Watched, gate: &Gate) -> Router {
    let watched = || routes(gate).layer(watched.layer());
    let too_late = HandleErrorLayer::new(|_| async { StatusCode::GATEWAY_TIMEOUT });
    let timeout = tower::ServiceBuilder::new()
        .layer(too_late)
        .layer(TimeoutLayer::new(LATE));
    let limit = axum::middleware::map_response(|response: Response| async {
        response.map(|body| Body::new(Limited::new(body, LIMIT)))
    });
    watched()
        .nest("/late", watched().layer(timeout))
        .nest("/limited", watched().layer(limit))
}

fn routes(gate: &Gate) -> Router {
    Router::new()
        .route("/events", get(|gate, asked| events(gate, asked, false)))
        .route("/rest", get(|gate, asked| events(gate, asked, true)))
        .route("/socket", any(socket))
        .route("/{word}", any(handle))
        .with_state(gate.clone())
}

async fn handle(State(gate): State<Gate>, request: Request) -> Response {
    match answer(request, gate).await {
        Ok(response) => response.map(Body::new),
        // A handler of axum cannot fail
        Err(failure) => (StatusCode::BAD_REQUEST, failure.to_string()).into_response(),
    }
}

type Asked = Query<HashMap<String, u64>>;

/// So many events at such a pace; then it is over, or rests for ever.
async fn events(
    State(gate): State<Gate>,
    Query(asked): Asked,
    rests: bool,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let ask = |name| asked.get(name).copied().unwrap_or(0);
    let (frames, pause) = (ask("frames"), Duration::from_micros(ask("pause_us")));
    Sse::new(stream::unfold(0, move |event| {
        let gate = gate.clone();
        async move {
            if event >= frames {
                if rests {
                    gate.arrive();
                    std::future::pending::<()>().await;
                }
                return None;
            }
            tokio::time::sleep(pause).await;
            let data = Event::default().data(event.to_string());
            Some((Ok(data), event + 1))
        }
    }))
}

/// Says back what it hears until the client has enough.
async fn socket(Query(asked): Asked, upgrade: WebSocketUpgrade) -> Response {
    let delay_us = asked.get("delay_us").copied().unwrap_or(0);
    tokio::time::sleep(Duration::from_micros(delay_us)).await;
    upgrade.on_upgrade(async |mut socket: WebSocket| {
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                break;
            }
        }
    })
}
