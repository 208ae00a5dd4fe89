//! From the raw [`Facts`] to the request as a report shows it: redacted, printable, bounded.

mod curl;
mod target;

use crate::facts::Facts;
use crate::redact::printable::{cut, from_bytes};
use crate::redact::{REDACTED, Redactor};
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
pub(crate) fn request(facts: &Facts, redactor: &Redactor) -> Request {
    let route = facts.route.as_deref();
    let target = Target::new(facts);
    let mut request = traits(facts, redactor);
    request.started = facts.started.and_then(rfc3339);
    if facts.method == b"JOB" {
        return request;
    }
    request.url = target.url(redactor, route);
    request.path = target.path(redactor, route);
    request.query = target.query(redactor);
    request.request_id = facts
        .request_id
        .as_deref()
        .map(|id| cut(redactor.text(&from_bytes(id)), 0));
    request.reproduce = curl::line(
        &request,
        &target.full_url(redactor, route),
        &request.headers,
        target.lost,
    );
    request
}

/// The part of a request that others may share with it: no URL and no time; redacted like the whole.
pub(crate) fn traits(facts: &Facts, redactor: &Redactor) -> Request {
    let route = facts.route.as_deref();
    let mut request = Request::default();
    request.labels = labels(facts, redactor);
    request.method = cut(from_bytes(&facts.method), 0);
    request.route = route.map(|route| cut(from_bytes(route.as_bytes()), 0));
    request.params.job = job(facts, redactor);
    if facts.method == b"JOB" {
        return request;
    }
    let target = Target::new(facts);
    request.params = params(&target, redactor, route);
    if route.is_none() {
        request.path = target.path(redactor, route);
    }
    if target.pairs() > request.params.query.len() {
        request.query = target.query(redactor);
    }
    request.headers = headers(facts, redactor);
    request.client = facts.client.map(|client| client.to_string());
    request.body_bytes = body_bytes(facts);
    request
}

fn params(target: &Target<'_>, redactor: &Redactor, route: Option<&str>) -> Params {
    let mut params = Params::default();
    let path = target.path_params(redactor, route);
    params.path = joined(path, target.lost_in_path());
    params.query = joined(target.query_params(redactor), target.lost);
    params
}

/// The parameters of a job, secrets out.
fn job(facts: &Facts, redactor: &Redactor) -> BTreeMap<String, String> {
    let pairs = facts.job.iter();
    joined(
        pairs
            .map(|(name, value)| named(name, value, redactor))
            .collect(),
        0,
    )
}

/// What the application said, secrets out.
fn labels(facts: &Facts, redactor: &Redactor) -> BTreeMap<String, String> {
    let labels = facts.labels.iter().map(|label| {
        let (key, value) = named(&label.key, &label.value, redactor);
        let cut_off = if value == REDACTED { 0 } else { label.cut };
        (cut(key, 0), cut(value, cut_off))
    });
    labels.collect()
}

/// A name and its value, every byte printable, and no value that the name calls a secret.
fn named(name: &str, value: &str, redactor: &Redactor) -> (String, String) {
    let value = if redactor.is_secret_key(name) {
        REDACTED.to_owned()
    } else {
        from_bytes(redactor.text(value).as_bytes())
    };
    (from_bytes(name.as_bytes()), value)
}

/// The headers that were kept, wholly or in part.
///
/// They fill their room one after the other: when something did not fit, the last one with a byte in
/// it is the one that may be cut, and empty ones behind it say nothing.
fn kept_headers(facts: &Facts) -> &[(String, Vec<u8>)] {
    let all = facts.headers.as_slice();
    if facts.headers_cut == 0 {
        return all;
    }
    let last = all.iter().rposition(|(_, value)| !value.is_empty());
    &all[..last.map_or(0, |at| at + 1)]
}

/// Headers with their values, redacted.
fn headers(facts: &Facts, redactor: &Redactor) -> BTreeMap<String, String> {
    let headers = kept_headers(facts).iter().map(|(name, value)| {
        let value = redactor.header(name, value, facts.route.as_deref());
        (from_bytes(name.as_bytes()), value)
    });
    joined(headers.collect(), facts.headers_cut.into())
}

/// Values by key; a key that repeats has its values joined by `, `. `lost` bytes are missing from
/// the end of the last one, which says so unless it says nothing anyway.
fn joined(pairs: Vec<(String, String)>, lost: u64) -> BTreeMap<String, String> {
    let mut map = BTreeMap::<String, (String, u64)>::new();
    let last = pairs.len().saturating_sub(1);
    for (at, (key, value)) in pairs.into_iter().enumerate() {
        let lost = if at == last && value != REDACTED {
            lost
        } else {
            0
        };
        match map.get_mut(&key) {
            Some((known, known_lost)) => {
                *known = format!("{known}, {value}");
                *known_lost += lost;
            }
            None => {
                map.insert(key, (value, lost));
            }
        }
    }
    let bounded = map
        .into_iter()
        .map(|(key, (value, lost))| (cut(key, 0), cut(value, lost)));
    bounded.collect()
}

/// The announced size of the body; none when the header may be cut or is no number.
fn body_bytes(facts: &Facts) -> Option<u64> {
    let kept = kept_headers(facts);
    let whole = if facts.headers_cut > 0 {
        kept.len().saturating_sub(1)
    } else {
        kept.len()
    };
    let (_, value) = kept[..whole]
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    let digits = value.trim_ascii();
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Microseconds in UTC; none for a clock before 1970 or after 9999, which the format cannot say.
pub(crate) fn rfc3339(time: SystemTime) -> Option<String> {
    let age = time.duration_since(UNIX_EPOCH).ok()?;
    (age < YEAR_10000).then(|| humantime::format_rfc3339_micros(time).to_string())
}

#[cfg(test)]
mod tests;
