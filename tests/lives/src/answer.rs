//! What a handler does is said by the path; how much and how long by the query.

use crate::ON_PURPOSE;
use crate::frames::Frames;
use crate::gate::Gate;
use bytes::{Buf, Bytes};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt;
use std::future::pending;
use std::time::Duration;

/// A service that gives no answer but an error.
#[derive(Debug)]
pub(crate) struct Failure;

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(ON_PURPOSE)
    }
}

impl std::error::Error for Failure {}

type Answer = Result<Response<Frames>, Failure>;

/// A number in the query.
fn number(uri: &http::Uri, name: &str) -> u64 {
    let pairs = uri.query().unwrap_or_default().split('&');
    pairs
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0)
}

async fn wait(us: u64) {
    if us > 0 {
        tokio::time::sleep(Duration::from_micros(us)).await;
    }
}

fn with(status: u16, body: Frames) -> Response<Frames> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

fn named(
    mut response: Response<Frames>,
    name: header::HeaderName,
    value: &str,
) -> Response<Frames> {
    let value = HeaderValue::from_str(value).expect("a value");
    response.headers_mut().insert(name, value);
    response
}

/// Answers as the last word of the path says.
pub(crate) async fn answer<B>(request: Request<B>, gate: Gate) -> Answer
where
    B: Body<Data = Bytes> + Unpin,
{
    let (head, body) = request.into_parts();
    let word = match head.method {
        // It has an authority and no path
        http::Method::CONNECT => "connected",
        _ => head.uri.path().rsplit('/').next().unwrap_or_default(),
    };
    let ask = |name| number(&head.uri, name);
    let (bytes, frames) = (ask("bytes") as usize, ask("frames"));
    let pause = Duration::from_micros(ask("pause_us"));
    wait(ask("delay_us")).await;
    let several = |body: Frames| body.in_frames(frames, bytes, pause);
    Ok(match word {
        "plain" => Response::new(Frames::whole(bytes)),
        "poll" => {
            wait(20_000 + 40 * bytes as u64).await;
            Response::new(Frames::whole(bytes))
        }
        "unknown" => Response::new(several(Frames::unknown())),
        "frames" => Response::new(several(Frames::exact())),
        "trailers" => announced(several(Frames::unknown()).and_trailers()),
        "sized_trailers" => announced(several(Frames::exact()).and_trailers()),
        "declared" => {
            let length = (frames * bytes as u64).to_string();
            let response = Response::new(several(Frames::unknown()));
            named(response, header::CONTENT_LENGTH, &length)
        }
        "told" => Response::new(several(Frames::over())),
        "over" => Response::new(Frames::over()),
        "none" => with(204, several(Frames::unknown())),
        "unmodified" => {
            let length = bytes.to_string();
            named(
                with(304, Frames::whole(bytes)),
                header::CONTENT_LENGTH,
                &length,
            )
        }
        "broken" => with(500, Frames::whole(bytes)),
        "moved" => named(with(302, Frames::empty()), header::LOCATION, "/plain"),
        "connected" => Response::new(Frames::empty()),
        "echo" => {
            let taken = body.collect().await.map_err(|_| Failure)?.to_bytes();
            Response::new(Frames::whole(taken.len()))
        }
        "sink" => Response::new(Frames::whole(take(body, pause).await? as usize)),
        "unread" => Response::new(Frames::whole(bytes)),
        "fails" => return Err(Failure),
        "breaks" => Response::new(several(Frames::unknown()).and_fails()),
        _ => return left(word, body, gate, several).await,
    })
}

/// Those that do not come to a good end.
async fn left<B: Body<Data = Bytes> + Unpin>(
    word: &str,
    mut body: B,
    gate: Gate,
    several: impl Fn(Frames) -> Frames,
) -> Answer {
    match word {
        "hang" => {
            gate.arrive();
            pending().await
        }
        "hang_upload" => {
            let first = body.frame().await;
            gate.arrive();
            while first.is_some() && matches!(body.frame().await, Some(Ok(_))) {}
            gate.desert();
            // There is no answer, whatever the body says.
            drop(first);
            pending().await
        }
        "give_up_upload" => {
            let first = body.frame().await;
            gate.arrive();
            while first.is_some() && matches!(body.frame().await, Some(Ok(_))) {}
            drop(first);
            Ok(with(400, Frames::empty()))
        }
        "hang_body" => Ok(Response::new(several(Frames::unknown()).and_hangs(&gate))),
        "hang_sized" => {
            let body = several(Frames::exact()).and_hangs(&gate).and(1);
            Ok(Response::new(body))
        }
        "flood" => Ok(Response::new(Frames::unknown().and_floods(&gate))),
        "panic" => std::panic::panic_any(ON_PURPOSE),
        "panic_late" => {
            tokio::task::yield_now().await;
            std::panic::panic_any(ON_PURPOSE)
        }
        "panic_body" => Ok(Response::new(several(Frames::unknown()).and_panics())),
        "panic_sized" => Ok(Response::new(several(Frames::exact()).and_panics().and(1))),
        _ => Ok(with(404, Frames::empty())),
    }
}

/// HTTP/1.1 sends trailers that were announced, and no others.
fn announced(body: Frames) -> Response<Frames> {
    named(Response::new(body), header::TRAILER, "x-sum")
}

/// Reads a body with a rest after each frame; its length.
async fn take<B: Body<Data = Bytes> + Unpin>(mut body: B, pause: Duration) -> Result<u64, Failure> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure)?;
        bytes += frame.data_ref().map_or(0, |data| data.remaining() as u64);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(bytes)
}
