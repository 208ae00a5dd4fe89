//! Which facts of a request are copied into its slot.

use crate::route;
use http::uri::Scheme;
use http::{HeaderName, Request};
use redhanded_core::{Copying, Engine, Ticket};

/// Copies facts, knowing which headers are of interest.
#[derive(Debug)]
pub(crate) struct Copier {
    engine: &'static Engine,
    /// Bit `n`: some header of interest has a name of `n` bytes. Most names are told by that alone.
    lengths: u64,
    headers: Vec<(HeaderName, Interest)>,
    /// Other thresholds by route, in nanoseconds.
    routes: Vec<(String, u64)>,
}

/// What a header is to us.
#[derive(Clone, Copy, Debug)]
enum Interest {
    Host,
    RequestId,
    Traceparent,
    /// Its number in the allow-list.
    Allowed(u8),
}

impl Copier {
    pub(crate) fn new(engine: &'static Engine) -> Self {
        let config = engine.config();
        let ours = [("host", Interest::Host), ("x-request-id", Interest::RequestId), ("traceparent", Interest::Traceparent)];
        let allowed = config.headers.iter().zip(0..).map(|(name, i)| (name.as_str(), Interest::Allowed(i)));
        // A name that is no header name can never come.
        let headers: Vec<_> = allowed.chain(ours).filter_map(|(n, i)| Some((HeaderName::try_from(n).ok()?, i))).collect();
        let lengths = headers.iter().fold(0, |bits, (name, _)| bits | bit(name.as_str()));
        let nanos = |d: std::time::Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        let routes = config.routes.iter().map(|(route, after)| (route.clone(), nanos(*after))).collect();
        Self { engine, lengths, headers, routes }
    }

    /// Opens a ticket with everything that is copied of `request`.
    #[inline]
    pub(crate) fn open<B>(&self, request: &Request<B>) -> Ticket {
        let route = route::matched(request);
        self.engine.open(self.slow_after_ns(request, route), |copy| {
            let uri = request.uri();
            copy.method(request.method().as_str());
            copy.target(uri.path_and_query().map_or("/", |target| target.as_str()));
            if let Some(authority) = uri.authority() {
                copy.host(authority.as_str().as_bytes());
                if uri.scheme() == Some(&Scheme::HTTPS) {
                    copy.https();
                }
            }
            if let Some(route) = route {
                copy.route(route);
            }
            if let Some(client) = route::client(request) {
                copy.client(client);
            }
            self.copy_headers(request.headers(), copy);
        })
    }

    #[inline]
    fn slow_after_ns<B>(&self, request: &Request<B>, route: Option<&str>) -> Option<u64> {
        if self.routes.is_empty() {
            return None;
        }
        let route = route.unwrap_or_else(|| request.uri().path());
        self.routes.iter().find(|(r, _)| r == route).map(|(_, after_ns)| *after_ns)
    }

    #[inline]
    fn copy_headers(&self, headers: &http::HeaderMap, copy: &mut Copying<'_>) {
        for (name, value) in headers {
            if self.lengths & bit(name.as_str()) == 0 {
                continue;
            }
            for (_, interest) in self.headers.iter().filter(|(n, _)| n == name) {
                let value = value.as_bytes();
                match *interest {
                    Interest::Allowed(index) => copy.header(index, value),
                    Interest::Host => copy.host(value),
                    Interest::RequestId => copy.request_id(value),
                    Interest::Traceparent => copy.traceparent(value),
                }
            }
        }
    }
}

#[inline]
fn bit(name: &str) -> u64 {
    1 << name.len().min(63)
}
