//! `key=value,key=value` lists of OpenTelemetry's environment variables.

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

/// What is ours to say: a second one would break the request.
const OURS: [HeaderName; 7] = [
    http::header::CONNECTION,
    http::header::CONTENT_ENCODING,
    http::header::CONTENT_LENGTH,
    http::header::CONTENT_TYPE,
    http::header::HOST,
    http::header::TE,
    http::header::TRANSFER_ENCODING,
];

/// Headers of `list`, and what is wrong with each entry that was left out.
///
/// The complaints give positions and keys, never values: those are API keys more often than not.
pub(crate) fn parse(list: &str) -> (HeaderMap, Vec<String>) {
    let mut headers = HeaderMap::new();
    let mut complaints = Vec::new();
    for (at, entry) in list.split(',').enumerate() {
        if entry.trim().is_empty() {
            continue;
        }
        match header(entry) {
            Ok((name, value)) => {
                headers.insert(name, value);
            }
            Err(wrong) => complaints.push(format!("entry {} {wrong}", at + 1)),
        }
    }
    (headers, complaints)
}

fn header(entry: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (key, value) = pair(entry).ok_or("is not key=value")?;
    let name: HeaderName = key
        .parse()
        .map_err(|_| format!("has the key {key:?}, which is not a header name"))?;
    if OURS.contains(&name) {
        return Err(format!(
            "has the key {key:?}, which the exporter sets itself"
        ));
    }
    let mut value = HeaderValue::from_str(&value)
        .map_err(|_| format!("({key}) has a value that a header cannot carry"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// `key=value` with both percent-decoded; `None` where there is no key or it is not UTF-8.
pub(crate) fn pair(entry: &str) -> Option<(String, String)> {
    let (key, value) = entry.split_once('=')?;
    let decode = |text: &str| {
        percent_decode_str(text.trim())
            .decode_utf8()
            .ok()
            .map(std::borrow::Cow::into_owned)
    };
    Some((decode(key).filter(|key| !key.is_empty())?, decode(value)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_percent_decoded() {
        let (headers, complaints) = parse("Authorization=Basic%20dXNlcjpwYXNz, x-tenant = a=b ,,");
        assert_eq!(headers["authorization"], "Basic dXNlcjpwYXNz");
        assert_eq!(headers["x-tenant"], "a=b");
        assert!(headers.values().all(HeaderValue::is_sensitive));
        assert_eq!(complaints, Vec::<String>::new());
    }

    #[test]
    fn a_bad_entry_is_named_without_its_value_and_the_others_stay() {
        let (headers, complaints) =
            parse("good=1,hunter2,b d=hunter2,x=%0Ahunter2,Host=hunter2,y=%ff");
        assert_eq!(headers.len(), 1);
        assert_eq!(complaints.len(), 5, "{complaints:?}");
        assert!(
            complaints
                .iter()
                .all(|complaint| !complaint.contains("hunter2")),
            "{complaints:?}"
        );
    }
}
