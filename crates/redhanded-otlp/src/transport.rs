//! One request to the collector and its answer back.

use crate::answer::Answer;
use crate::endpoint::{Endpoint, Protocol};
use crate::link::Link;
use crate::tls::Tls;
use crate::{grpc, http1};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Uri};
use http_body_util::Full;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// One address of a name that swallows packets must not use up the time of the others.
const CONNECT: Duration = Duration::from_secs(3);

/// A request as it goes out.
pub(crate) type Outgoing = Request<Full<Bytes>>;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Posts to one endpoint.
pub(crate) struct Transport {
    endpoint: Endpoint,
    uri: Uri,
    headers: HeaderMap,
    gzip: bool,
    /// For one attempt, from the name look-up to the end of the answer.
    timeout: Duration,
    tls: Option<Tls>,
    /// The connection of the attempt before, while another follows at once.
    kept: Mutex<Option<Link>>,
}

impl Transport {
    pub(crate) fn new(
        endpoint: Endpoint,
        headers: HeaderMap,
        gzip: bool,
        timeout: Duration,
        tls: Option<Tls>,
    ) -> Result<Self, String> {
        let mut all = HeaderMap::new();
        let agent = concat!("redhanded-otlp/", env!("CARGO_PKG_VERSION"));
        all.insert(USER_AGENT, HeaderValue::from_static(agent));
        all.extend(headers);
        let uri = match endpoint.protocol {
            Protocol::Http => {
                let host = HeaderValue::from_str(&endpoint.authority);
                all.insert(HOST, host.map_err(|e| e.to_string())?);
                http1::headers(&mut all);
                // Whole, so that one that is too long is known now.
                Uri::try_from(endpoint.to_string())
                    .and_then(|_| Uri::try_from(endpoint.target.as_str()))
            }
            Protocol::Grpc => {
                grpc::headers(&mut all, timeout);
                Uri::try_from(endpoint.to_string())
            }
        };
        Ok(Self {
            uri: uri.map_err(|error| error.to_string())?,
            endpoint,
            headers: all,
            gzip,
            timeout,
            tls,
            kept: Mutex::new(None),
        })
    }

    /// One attempt; what has no answer can be tried again. The connection is kept if `more` follows.
    pub(crate) async fn send(&self, body: Bytes, more: bool) -> Answer {
        let attempt = async {
            let request = self.request(body)?;
            self.attempt(request, more).await
        };
        match timeout(self.timeout, attempt).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Answer::Later(None),
        }
    }

    fn request(&self, body: Bytes) -> Result<Outgoing, Failure> {
        let is_grpc = self.endpoint.protocol == Protocol::Grpc;
        let body = if self.gzip {
            let mut packed = GzEncoder::new(Vec::new(), Compression::default());
            packed.write_all(&body)?;
            Bytes::from(packed.finish()?)
        } else {
            body
        };
        let body = if is_grpc {
            grpc::framed(&body, self.gzip)
        } else {
            body
        };
        let mut request = Request::post(self.uri.clone()).body(Full::new(body))?;
        *request.headers_mut() = self.headers.clone();
        if self.gzip {
            let name = if is_grpc {
                grpc::ENCODING
            } else {
                CONTENT_ENCODING
            };
            let headers = request.headers_mut();
            headers.insert(name, HeaderValue::from_static("gzip"));
        }
        Ok(request)
    }

    async fn attempt(&self, request: Outgoing, more: bool) -> Result<Answer, Failure> {
        let kept = self.kept().take();
        if let Some(link) = kept
            && let Ok(answer) = self.exchange(link, request.clone(), more).await
        {
            return Ok(answer);
        }
        // One that was kept may have been closed at its other end meanwhile.
        let link = self.connect().await?;
        self.exchange(link, request, more).await
    }

    async fn exchange(
        &self,
        mut link: Link,
        request: Outgoing,
        more: bool,
    ) -> Result<Answer, Failure> {
        let answer = match self.endpoint.protocol {
            Protocol::Http => link.exchange(request, http1::answer).await?,
            Protocol::Grpc => link.exchange(request, grpc::answer).await?,
        };
        if more && matches!(answer, Answer::Taken { .. }) {
            *self.kept() = Some(link);
        }
        Ok(answer)
    }

    async fn connect(&self) -> Result<Link, Failure> {
        let stream = self.reach().await?;
        // An attempt is one or two small writes; delaying them helps nobody.
        stream.set_nodelay(true)?;
        let protocol = self.endpoint.protocol;
        match &self.tls {
            Some(tls) => Link::over(tls.wrap(&self.endpoint, stream).await?, protocol).await,
            None => Link::over(stream, protocol).await,
        }
    }

    async fn reach(&self) -> io::Result<TcpStream> {
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

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Link>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
