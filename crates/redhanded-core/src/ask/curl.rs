//! One line for a shell that asks the same again.

use crate::redact::printable::LONGEST_VALUE;
use redhanded_report::Request;
use std::collections::BTreeMap;

/// Headers that change what a handler does and are safe to send again.
const SENT_AGAIN: [&str; 3] = ["accept", "content-type", "user-agent"];

/// The `curl` line for a redacted `request`, with a comment on what is missing from it.
///
/// None for what curl cannot ask: `CONNECT` and targets that are no URL; and for a job.
pub(super) fn line(
    request: &Request,
    url: &str,
    headers: &BTreeMap<String, String>,
    lost: u64,
) -> Option<String> {
    if matches!(request.method.as_str(), "" | "CONNECT" | "JOB") {
        return None;
    }
    let (url, note) = address(url)?;
    let kept = url.floor_char_boundary(LONGEST_VALUE);
    let lost = lost.saturating_add((url.len() - kept) as u64);
    let url = &url[..kept];
    let mut line = String::from("curl");
    for option in options(&request.method, url) {
        line = line + " " + &option;
    }
    if request.path == "*" {
        line += " --request-target '*'";
    }
    for name in SENT_AGAIN {
        if let Some(value) = headers
            .get(name)
            .filter(|value| !value.is_empty() && value.len() <= LONGEST_VALUE)
        {
            line = line + " -H " + &quoted(&format!("{name}: {value}"));
        }
    }
    line = line + " " + &quoted(url);
    let notes = [
        note.map(str::to_owned),
        (lost > 0).then(|| format!("{lost} bytes of the target were not kept")),
        request
            .body_bytes
            .filter(|bytes| *bytes > 0)
            .map(|bytes| format!("body of {bytes} bytes was not kept")),
    ];
    let notes: Vec<String> = notes.into_iter().flatten().collect();
    if !notes.is_empty() {
        line = line + " # " + &notes.join("; ");
    }
    Some(line)
}

/// A URL that curl takes, and what had to be made up for it.
fn address(url: &str) -> Option<(String, Option<&'static str>)> {
    if url.starts_with('/') {
        Some((format!("http://localhost{url}"), Some("host not known")))
    } else if url.starts_with("http://") || url.starts_with("https://") {
        Some((url.to_owned(), None))
    } else {
        None
    }
}

fn options(method: &str, url: &str) -> Vec<String> {
    let mut options = Vec::new();
    match method {
        "GET" => {}
        "HEAD" => options.push("-I".to_owned()),
        other => options.push(format!("-X {}", quoted(other))),
    }
    // curl would take brackets and braces for patterns, and would walk `..` itself.
    if url.contains(['[', ']', '{', '}']) {
        options.push("--globoff".to_owned());
    }
    if url.contains("/.") {
        options.push("--path-as-is".to_owned());
    }
    options
}

/// One word for a POSIX shell, whatever is in it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
