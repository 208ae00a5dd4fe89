//! Which facts of a request are copied into its slot.

use crate::listener::ClientAddress;
use crate::route;
use http::uri::Scheme;
use http::{HeaderName, Request};
use redhanded_core::connection;
use redhanded_core::{Copying, Current, Engine, Ticket};

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
    /// Rules by route; other thresholds in nanoseconds.
    routes: Vec<(String, Rule)>,
}

/// What is different about a route.
#[derive(Clone, Copy, Debug, Default)]
struct Rule {
    slow_after_ns: Option<u64>,
    long_lived: bool,
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
            .map(|(route, rule)| {
                let rule = Rule {
                    slow_after_ns: rule.slow_after.map(nanos),
                    long_lived: rule.long_lived,
                };
                (route.clone(), rule)
            })
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
        let rule = self.rule(request, route);
        if Engine::is_polling() && self.is_open(request, route, rule) {
            return Ticket::default();
        }
        self.engine.open(rule.slow_after_ns, |copy| {
            if rule.long_lived {
                copy.long_lived();
            }
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
            if connection::any()
                && !copy.has_connection()
                && let Some(told) = told_connection(request)
            {
                copy.connection(told.0);
            }
            if let Some(client) = route::client(request) {
                copy.client(client);
            }
            self.copy_headers(request.headers(), copy);
        })
    }

    /// Whether a layer of the same install around us has opened this very request; if so, what only
    /// we know of it goes there.
    #[cold]
    fn is_open<B>(&self, request: &Request<B>, route: Option<&str>, rule: Rule) -> bool {
        let target = request.uri().path_and_query().map_or("/", |t| t.as_str());
        let open = self
            .engine
            .is_open_here(request.method().as_str(), target, route);
        if open && let Some(slow_after_ns) = rule.slow_after_ns {
            Current::here().set_slow_after(std::time::Duration::from_nanos(slow_after_ns));
        }
        if open && rule.long_lived {
            Current::here().set_long_lived();
        }
        open
    }

    #[inline]
    fn rule<B>(&self, request: &Request<B>, route: Option<&str>) -> Rule {
        if self.routes.is_empty() {
            return Rule::default();
        }
        let route = route.unwrap_or_else(|| request.uri().path());
        self.routes
            .iter()
            .find(|(r, _)| r == route)
            .map(|(_, rule)| *rule)
            .unwrap_or_default()
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

/// Only where there are connections of ours, and this is none that this task polls. Not with what is
/// copied, which is to stay in registers.
#[cold]
#[inline(never)]
fn told_connection<B>(request: &Request<B>) -> Option<ClientAddress> {
    route::connection(request)
}

#[inline]
fn length(name: &HeaderName) -> usize {
    name.as_str().len().min(LENGTHS - 1)
}
