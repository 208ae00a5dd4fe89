//! A client whose calls are watched, whatever its connections are.

use crate::target::authority;
use crate::{RequestBody, ResponseBody};
use http::header::{HeaderName, HeaderValue};
use http::{Request, Response, Version};
use http_body::Body;
use pin_project_lite::pin_project;
use redhanded_core::{Authority, Call, CallPhase};
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Makes a [`Client`] of any HTTP client that is a tower service.
///
/// Tells the other end whose call it is (`traceparent`) where the request came with a trace, and the
/// call's own request does not bring one.
#[derive(Clone, Debug)]
pub struct ClientLayer {
    peer: Option<String>,
    traceparent: bool,
}

impl Default for ClientLayer {
    fn default() -> Self {
        Self {
            peer: None,
            traceparent: true,
        }
    }
}

impl ClientLayer {
    /// For requests whose URI names the host.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whom it calls, where the URI does not say: a tonic channel knows, and its requests do not.
    ///
    /// ```
    /// use redhanded_connect::ClientLayer;
    /// let layer = ClientLayer::new().peer("inventory:50051");
    /// // ServiceBuilder::new()
    /// //     .layer(layer)
    /// //     .map_request(|r: http::Request<RequestBody<_>>| r.map(tonic::body::Body::new))
    /// //     .service(channel)
    /// # let _ = layer;
    /// ```
    pub fn peer(mut self, peer: impl Into<String>) -> Self {
        self.peer = Some(peer.into());
        self
    }

    /// Tells the other end nothing.
    pub fn without_traceparent(mut self) -> Self {
        self.traceparent = false;
        self
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = Client<S>;

    fn layer(&self, inner: S) -> Client<S> {
        Client {
            inner,
            layer: self.clone(),
        }
    }
}

/// An HTTP client whose calls are watched; see [`ClientLayer`].
#[derive(Clone, Debug)]
pub struct Client<S> {
    inner: S,
    layer: ClientLayer,
}

impl<S> Client<S> {
    /// Watches the calls of `client`.
    pub fn new(client: S) -> Self {
        ClientLayer::new().layer(client)
    }

    fn begin<B>(&self, request: &mut Request<B>) -> Call {
        let uri = request.uri();
        let said = self.layer.peer.as_deref();
        let peer = authority(uri)
            .or_else(|| said.map(Authority::parse))
            .unwrap_or_else(|| Authority::new("(unknown)", None));
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let method = request.method().as_str();
        let mut what = String::with_capacity(method.len() + 1 + path.len());
        what.push_str(method);
        what.push(' ');
        what.push_str(path);
        let call = Call::begin_in(CallPhase::Pool, "http", peer, Some(what));
        if request.version() == Version::HTTP_2 {
            call.shares_its_connection();
        }
        if self.layer.traceparent && !request.headers().contains_key(TRACEPARENT) {
            let value = call.traceparent();
            let value = value.and_then(|value| HeaderValue::try_from(value).ok());
            request
                .headers_mut()
                .extend(value.map(|value| (TRACEPARENT, value)));
        }
        call
    }
}

impl<S, B, RB> Service<Request<B>> for Client<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<RB>, Error: Error + 'static>,
    B: Body,
    RB: Body,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let call = self.begin(&mut request);
        send(call, request, |request| self.inner.call(request))
    }
}

impl<S> Client<S> {
    /// Sends one request, as the method of the same name of hyper-util's client does.
    ///
    /// # Errors
    ///
    /// Those of the client.
    pub fn request<B, RB, E, F>(&self, request: Request<B>) -> ResponseFuture<F>
    where
        for<'s> &'s S:
            Service<Request<RequestBody<B>>, Response = Response<RB>, Error = E, Future = F>,
        B: Body,
        RB: Body,
        E: Error + 'static,
    {
        let mut request = request;
        let call = self.begin(&mut request);
        send(call, request, |request| (&self.inner).call(request))
    }
}

/// Sends a request within its call.
fn send<B: Body, F>(
    call: Call,
    request: Request<B>,
    send: impl FnOnce(Request<RequestBody<B>>) -> F,
) -> ResponseFuture<F> {
    if !request.body().is_end_stream() {
        call.owes_body();
    }
    let request = request.map(|body| RequestBody::new(body, call.handle()));
    let inner = call.within(|| send(request));
    ResponseFuture {
        inner,
        call: Some(call),
    }
}

pin_project! {
    /// An answer that is waited for; see [`Client`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
    }
}

impl<F, RB, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    RB: Body,
    E: Error + 'static,
{
    type Output = Result<Response<ResponseBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let inner = this.inner;
        let polled = match this.call {
            Some(call) => call.within(|| inner.poll(cx)),
            None => inner.poll(cx),
        };
        let Poll::Ready(result) = polled else {
            if let Some(call) = this.call {
                call.found_a_connection();
            }
            return Poll::Pending;
        };
        let call = this.call.take();
        Poll::Ready(match result {
            Ok(response) => {
                if let Some(call) = &call {
                    call.answered(response.status().as_u16());
                    call.enter(CallPhase::ReadBody);
                }
                Ok(response.map(|body| ResponseBody::new(body, call)))
            }
            Err(error) => {
                if let Some(call) = call {
                    call.fail_with(&error);
                }
                Err(error)
            }
        })
    }
}
