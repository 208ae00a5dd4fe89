//! One request to the collector and its answer back.

use crate::endpoint::Endpoint;
use crate::tls::Tls;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An answer to a batch of spans is a few bytes; what is longer is not for us.
const ANSWER: usize = 64 * 1024;
/// Once the collector has said that it took the batch, the rest is worth no more than this.
const REST: Duration = Duration::from_secs(1);
/// One address of a name that swallows packets must not use up the time of the others.
const CONNECT: Duration = Duration::from_secs(3);

/// A request as it goes out.
pub(crate) type Outgoing = Request<Full<Bytes>>;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What became of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Taken, but for this many spans.
    Taken { rejected: u64 },
    /// Not now; perhaps after that time.
    Later(Option<Duration>),
    /// Never: the collector does not want it.
    Refused(StatusCode),
}

/// Posts to one endpoint, on a connection for each request.
pub(crate) struct Transport {
    endpoint: Endpoint,
    headers: HeaderMap,
    tls: Option<Tls>,
}

impl Transport {
    pub(crate) fn new(
        endpoint: Endpoint,
        headers: HeaderMap,
        roots: Option<&str>,
    ) -> Result<Self, String> {
        let tls = if endpoint.tls {
            Some(Tls::new(roots)?)
        } else {
            None
        };
        Ok(Self {
            endpoint,
            headers,
            tls,
        })
    }

    /// `asked` with the headers that we stand for: of its own ones it keeps only how its body is
    /// encoded. The others may come from a process environment that we were not told of.
    pub(crate) fn outgoing(&self, asked: Request<Bytes>) -> Result<Outgoing, http::Error> {
        let (asked, body) = asked.into_parts();
        let target = asked.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::post(target).body(Full::new(body))?;
        let headers = request.headers_mut();
        let agent = concat!("redhanded-otlp/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        headers.extend(self.headers.clone());
        headers.insert(HOST, HeaderValue::from_str(&self.endpoint.authority)?);
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-protobuf"),
        );
        if let Some(encoding) = asked.headers.get(CONTENT_ENCODING) {
            headers.insert(CONTENT_ENCODING, encoding.clone());
        }
        Ok(request)
    }

    /// One attempt. What has no answer can be tried again.
    pub(crate) async fn post(&self, request: Outgoing) -> Answer {
        self.attempt(request).await.unwrap_or(Answer::Later(None))
    }

    async fn attempt(&self, request: Outgoing) -> Result<Answer, Failure> {
        let stream = self.connect().await?;
        // An attempt is one or two small writes; delaying them helps nobody.
        stream.set_nodelay(true)?;
        match &self.tls {
            Some(tls) => exchange(tls.wrap(&self.endpoint, stream).await?, request).await,
            None => exchange(stream, request).await,
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        let addresses: Vec<SocketAddr> =
            tokio::net::lookup_host((self.endpoint.host.as_str(), self.endpoint.port))
                .await?
                .collect();
        for address in addresses {
            match timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }
}

async fn exchange<S>(stream: S, request: Outgoing) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut exchange = pin!(async move { answer(sender.send_request(request).await?).await });
    // Polled side by side and not spawned: nothing of an attempt outlives it.
    let mut connection = Some(Box::pin(connection));
    poll_fn(|cx| {
        if connection
            .as_mut()
            .is_some_and(|open| open.as_mut().poll(cx).is_ready())
        {
            // Its error, if any, is also the exchange's.
            connection = None;
        }
        exchange.as_mut().poll(cx)
    })
    .await
}

/// Reads the answer as the OTLP specification has it
/// (<https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>).
async fn answer(response: Response<Incoming>) -> Result<Answer, Failure> {
    let status = response.status();
    if status.is_success() {
        // It is taken, whatever becomes of the rest of the answer.
        let body = timeout(REST, Limited::new(response.into_body(), ANSWER).collect()).await;
        return Ok(Answer::Taken {
            rejected: body
                .ok()
                .and_then(Result::ok)
                .map_or(0, |body| rejected(body.to_bytes())),
        });
    }
    Ok(match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Answer::Later(retry_after(response.headers())),
        _ => Answer::Refused(status),
    })
}

fn rejected(body: Bytes) -> u64 {
    let answer = ExportTraceServiceResponse::decode(body).unwrap_or_default();
    answer.partial_success.map_or(0, |partial| {
        u64::try_from(partial.rejected_spans).unwrap_or(0)
    })
}

/// Seconds only: a date far enough away to matter is beyond our patience.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}
