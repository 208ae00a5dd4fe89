//! A collector in small that speaks gRPC: hyper's HTTP/2 server, answering by script.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Read;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// One call as it came.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: ExportTraceServiceRequest,
}

/// What to answer.
#[derive(Clone, Default)]
pub(crate) struct Say {
    /// Other than 200.
    pub(crate) http: Option<u16>,
    /// The body, framed already.
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(&'static str, String)>,
    /// The trailers stand in the headers.
    pub(crate) at_once: bool,
    /// The content type is not gRPC's.
    pub(crate) html: bool,
}

impl Say {
    pub(crate) fn status(code: u32) -> Self {
        Self {
            trailers: vec![("grpc-status", code.to_string())],
            ..Self::default()
        }
    }
}

#[derive(Clone, Default)]
struct Shared {
    script: Arc<Mutex<VecDeque<Say>>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

pub(crate) struct GrpcCollector {
    pub(crate) address: String,
    shared: Shared,
    connections: Arc<Mutex<usize>>,
    _runtime: Runtime,
}

impl GrpcCollector {
    /// Answers by `script`, then OK for ever.
    pub(crate) fn saying(script: Vec<Say>) -> Self {
        Self::over(script, |stream| async { Some(stream) })
    }

    /// The same behind `wrap`.
    pub(crate) fn over<S, F>(
        script: Vec<Say>,
        wrap: impl Fn(tokio::net::TcpStream) -> F + Clone + Send + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = Option<S>> + Send,
    {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Shared::default();
        shared.script.lock().unwrap().extend(script);
        let connections = Arc::<Mutex<usize>>::default();
        let (all, count) = (shared.clone(), Arc::clone(&connections));
        runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                *count.lock().unwrap() += 1;
                let (all, wrap) = (all.clone(), wrap.clone());
                tokio::spawn(async move {
                    let Some(stream) = wrap(stream).await else {
                        return;
                    };
                    let service = service_fn(move |request| serve(request, all.clone()));
                    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            address,
            shared,
            connections,
            _runtime: runtime,
        }
    }

    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }

    /// All calls, when there are so many.
    #[track_caller]
    pub(crate) fn calls(&self, count: usize) -> Vec<Call> {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let calls = self.shared.calls.lock().unwrap().clone();
            if calls.len() >= count {
                return calls;
            }
            assert!(Instant::now() < until, "{} of {count} calls", calls.len());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

async fn serve(request: Request<Incoming>, shared: Shared) -> Result<Response<Frames>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let length = u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize;
    assert_eq!(body.len(), length + 5, "one whole message");
    let mut message = body[5..].to_vec();
    assert_eq!(body[0] == 1, head.headers.contains_key("grpc-encoding"));
    if body[0] == 1 {
        let packed = std::mem::take(&mut message);
        let mut reader = flate2::read::GzDecoder::new(&packed[..]);
        reader.read_to_end(&mut message).unwrap();
    }
    shared.calls.lock().unwrap().push(Call {
        path: head.uri.path().to_owned(),
        headers: head.headers,
        body: ExportTraceServiceRequest::decode(&message[..]).unwrap(),
    });
    let say = shared.script.lock().unwrap().pop_front();
    Ok(answer(say.unwrap_or_else(|| Say {
        body: vec![0; 5],
        ..Say::status(0)
    })))
}

fn answer(say: Say) -> Response<Frames> {
    let mut response = Response::new(());
    *response.status_mut() = say.http.unwrap_or(200).try_into().unwrap();
    let kind = if say.html {
        "text/html"
    } else {
        "application/grpc+proto"
    };
    response
        .headers_mut()
        .insert("content-type", kind.parse().unwrap());
    let mut trailers = HeaderMap::new();
    for (name, value) in say.trailers {
        trailers.insert(name, value.parse().unwrap());
    }
    let mut frames = VecDeque::new();
    if say.at_once {
        response.headers_mut().extend(trailers);
    } else {
        frames.push_back(Frame::data(Bytes::from(say.body)));
        if !trailers.is_empty() {
            frames.push_back(Frame::trailers(trailers));
        }
    }
    response.map(|()| Frames(frames))
}

/// Frames that are all there.
struct Frames(VecDeque<Frame<Bytes>>);

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}
