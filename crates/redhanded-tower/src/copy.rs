//! Which facts of a request are copied into its slot.

use crate::route;
use http::Request;
use http::uri::Scheme;
use redhanded_core::{Copying, Engine, Ticket};

/// What a header name is to us, besides the allow-list.
const HOST: &str = "host";
const REQUEST_ID: &str = "x-request-id";
const TRACEPARENT: &str = "traceparent";

/// Copies facts, knowing which headers are allowed.
#[derive(Debug)]
pub(crate) struct Copier {
    engine: &'static Engine,
    /// Bit `n`: some header of interest has a name of `n` bytes. Most names are told by that alone.
    lengths: u64,
    /// Other thresholds by route, in nanoseconds.
    routes: Vec<(String, u64)>,
}

impl Copier {
    pub(crate) fn new(engine: &'static Engine) -> Self {
        let config = engine.config();
        let names = config.headers.iter().map(String::as_str).chain([HOST, REQUEST_ID, TRACEPARENT]);
        let lengths = names.fold(0, |bits, name| bits | bit(name));
        let nanos = |d: std::time::Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        let routes = config.routes.iter().map(|(route, after)| (route.clone(), nanos(*after))).collect();
        Self { engine, lengths, routes }
    }

    /// Opens a ticket with everything that is copied of `request`.
    #[inline]
    pub(crate) fn open<B>(&self, request: &Request<B>) -> Ticket {
        self.engine.open(self.slow_after_ns(request), |copy| self.facts(request, copy))
    }

    #[inline]
    fn slow_after_ns<B>(&self, request: &Request<B>) -> Option<u64> {
        if self.routes.is_empty() {
            return None;
        }
        let route = route::matched(request).unwrap_or_else(|| request.uri().path());
        self.routes.iter().find(|(r, _)| r == route).map(|(_, after_ns)| *after_ns)
    }

    #[inline]
    fn facts<B>(&self, request: &Request<B>, copy: &mut Copying<'_>) {
        let uri = request.uri();
        copy.method(request.method().as_str());
        copy.target(uri.path_and_query().map_or("/", |target| target.as_str()));
        if let Some(authority) = uri.authority() {
            copy.host(authority.as_str().as_bytes());
            if uri.scheme() == Some(&Scheme::HTTPS) {
                copy.https();
            }
        }
        if let Some(route) = route::matched(request) {
            copy.route(route);
        }
        if let Some(client) = route::client(request) {
            copy.client(client);
        }
        for (name, value) in request.headers() {
            let name = name.as_str();
            if self.lengths & bit(name) != 0 {
                self.header(name, value.as_bytes(), copy);
            }
        }
    }

    fn header(&self, name: &str, value: &[u8], copy: &mut Copying<'_>) {
        match name {
            HOST => copy.host(value),
            REQUEST_ID => copy.request_id(value),
            TRACEPARENT => copy.traceparent(value),
            _ => {}
        }
        if let Some(index) = self.engine.config().headers.iter().position(|h| h == name) {
            copy.header(u8::try_from(index).unwrap_or(u8::MAX), value);
        }
    }
}

#[inline]
fn bit(name: &str) -> u64 {
    1u64.checked_shl(name.len() as u32).unwrap_or(1 << 63)
}
