//! From the raw [`Facts`] to the request as a report shows it: redacted, printable, bounded.

mod curl;
mod target;

use crate::facts::Facts;
use crate::redact::Redactor;
use crate::redact::printable::{cut, from_bytes};
use redhanded_report::{Params, Request};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use target::Target;

/// The first second of the year 10000, where RFC 3339 ends.
const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);

/// What was asked, fit to be stored and shown.
///
/// Pure: no clock, no I/O. Bytes that are not UTF-8 and control characters are percent-encoded;
/// values over 1 KiB and a target that was cut end in `…(+N bytes)`. Never panics, whatever the
/// bytes are.
pub fn request(facts: &Facts, redactor: &Redactor) -> Request {
    let route = facts.route.as_deref();
    let target = Target::new(facts);
    let headers = headers(facts, redactor);
    let mut request = Request::default();
    request.method = cut(from_bytes(&facts.method), 0);
    request.route = route.map(|route| cut(from_bytes(route.as_bytes()), 0));
    request.url = target.url(redactor, route);
    request.path = target.path(redactor, route);
    request.query = target.query(redactor);
    request.params = params(&target, redactor, route);
    request.client = facts.client.map(|client| client.to_string());
    request.request_id = facts.request_id.as_deref().map(|id| cut(redactor.text(&from_bytes(id)), 0));
    request.body_bytes = body_bytes(facts);
    request.started = facts.started.and_then(rfc3339);
    request.reproduce = curl::line(&request, &target.full_url(redactor, route), &headers, target.lost);
    request.headers = headers;
    request
}

fn params(target: &Target<'_>, redactor: &Redactor, route: Option<&str>) -> Params {
    let mut params = Params::default();
    params.path = joined(target.path_params(redactor, route));
    params.query = joined(target.query_params(redactor));
    params
}

/// Headers with their values; those that repeat are joined, the last one tells what did not fit.
fn headers(facts: &Facts, redactor: &Redactor) -> BTreeMap<String, String> {
    let last = facts.headers.len().saturating_sub(1);
    joined(facts.headers.iter().enumerate().map(|(at, (name, value))| {
        let lost = if at == last { facts.headers_cut.into() } else { 0 };
        let value = redactor.header(name, value, facts.route.as_deref());
        (from_bytes(name.as_bytes()), cut(value, lost))
    }))
}

/// Values by key; a key that repeats has its values joined by `, `.
fn joined(pairs: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let mut map = BTreeMap::<String, String>::new();
    for (key, value) in pairs {
        let key = cut(key, 0);
        match map.get_mut(&key) {
            Some(known) => *known = cut(format!("{known}, {value}"), 0),
            None => {
                map.insert(key, cut(value, 0));
            }
        }
    }
    map
}

/// The announced size of the body; none when the header was cut or is no number.
fn body_bytes(facts: &Facts) -> Option<u64> {
    let at = facts.headers.iter().position(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    if facts.headers_cut > 0 && at + 1 == facts.headers.len() {
        return None;
    }
    let digits = facts.headers[at].1.trim_ascii();
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Microseconds in UTC; none for a clock before 1970 or after 9999, which the format cannot say.
fn rfc3339(time: SystemTime) -> Option<String> {
    let age = time.duration_since(UNIX_EPOCH).ok()?;
    (age < YEAR_10000).then(|| humantime::format_rfc3339_micros(time).to_string())
}

#[cfg(test)]
mod tests;
