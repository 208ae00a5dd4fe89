//! Which facts of a request are copied into its slot.

use crate::route;
use http::uri::Scheme;
use http::{HeaderName, Request};
use redhanded_core::connection;
use redhanded_core::{Copying, Engine, Ticket};

/// Names longer than this share one entry.
const LENGTHS: usize = 32;

/// Copies facts, knowing which headers are of interest.
#[derive(Debug)]
pub(crate) struct Copier {
    engine: &'static Engine,
    /// Sorted by the length of the name.
    headers: Vec<(HeaderName, Interest)>,
    /// Where in `headers` the names of `n` bytes stand: most headers are told by their length alone.
    by_length: [(u8, u8); LENGTHS],
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
        let ours = [
            ("host", Interest::Host),
            ("x-request-id", Interest::RequestId),
            ("traceparent", Interest::Traceparent),
        ];
        let allowed = config
            .headers
            .iter()
            .zip(0..)
            .map(|(name, i)| (name.as_str(), Interest::Allowed(i)));
        // A name that is no header name can never come.
        let mut headers: Vec<_> = allowed
            .chain(ours)
            .filter_map(|(n, i)| Some((HeaderName::try_from(n).ok()?, i)))
            .collect();
        headers.sort_by_key(|(name, _)| length(name));
        let by_length = std::array::from_fn(|n| {
            let range = |least| headers.partition_point(|(name, _)| length(name) < least) as u8;
            (range(n), range(n + 1))
        });
        let nanos = |d: std::time::Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        let routes = config
            .routes
            .iter()
            .map(|(route, after)| (route.clone(), nanos(*after)))
            .collect();
        Self {
            engine,
            headers,
            by_length,
            routes,
        }
    }

    /// Opens a ticket with everything that is copied of `request`.
    #[inline]
    pub(crate) fn open<B>(&self, request: &Request<B>) -> Ticket {
        let route = route::matched(request);
        self.engine
            .open(self.slow_after_ns(request, route), |copy| {
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
                if connection::any() {
                    told_connection(request, copy);
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
        self.routes
            .iter()
            .find(|(r, _)| r == route)
            .map(|(_, after_ns)| *after_ns)
    }

    #[inline]
    fn copy_headers(&self, headers: &http::HeaderMap, copy: &mut Copying<'_>) {
        for (name, value) in headers {
            let (first, end) = self.by_length[length(name)];
            if first == end {
                continue;
            }
            let candidates = self
                .headers
                .get(first as usize..end as usize)
                .unwrap_or_default();
            for (_, interest) in candidates.iter().filter(|(n, _)| n == name) {
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

/// Only where there are connections of ours, and this is none that this task polls.
#[cold]
fn told_connection<B>(request: &Request<B>, copy: &mut Copying<'_>) {
    if !copy.has_connection()
        && let Some(told) = route::connection(request)
    {
        copy.connection(told.0);
    }
}

#[inline]
fn length(name: &HeaderName) -> usize {
    name.as_str().len().min(LENGTHS - 1)
}
