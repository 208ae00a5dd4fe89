//! Secrets in free text: panic messages, statements, header values, decoded parameters.
//!
//! Four passes, each over the whole text and each in linear time: logins in URLs, `key=value` and
//! `key: value`, bearer tokens, and percent-encoded text inside the text. In doubt more is taken
//! out than needed: a report without a word of a message is still a report.

use super::keys::Keys;
use super::{REDACTED, pairs};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::borrow::Cow;

/// How often text may be percent-encoded inside percent-encoded text before we stop looking.
const DEEPEST: u32 = 3;

const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// `text` without its secrets.
pub(super) fn redact(text: &str, keys: &Keys) -> String {
    level(text, keys, 0)
}

/// `text` as it stands in one component of a URL.
pub(super) fn component(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

fn level(text: &str, keys: &Keys, depth: u32) -> String {
    let text = logins(text);
    let text = pairs::redact(&text, keys);
    let text = schemes(&text);
    let text = web_tokens(&text);
    if depth < DEEPEST {
        nested(text, keys, depth)
    } else {
        text
    }
}

/// `scheme://user:password@host` becomes `scheme://REDACTED:REDACTED@host`, as OpenTelemetry asks.
pub(super) fn logins(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + "://".len());
        let (login, after) = split_login(after);
        out.push_str(before);
        out.push_str(&login);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// What to write in place of a login at the start of `after`, and what stands behind it.
fn split_login(after: &str) -> (Cow<'static, str>, &str) {
    let nothing = (Cow::Borrowed(""), after);
    // No farther than the next URL, so that many of them cost no more than their length.
    let token = after.find("://").map_or(after, |next| &after[..next]);
    let token = until(token, char::is_whitespace);
    let authority = until(token, |c| c.is_whitespace() || "/?#\\\"'`<>".contains(c));
    // A port that is no number is a password: one with a slash in it, or one that was cut before its `@`.
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    let odd_port = !host.starts_with('[') && !port.bytes().all(|byte| byte.is_ascii_digit());
    let end = match (authority.rfind('@'), token.rfind('@')) {
        (Some(end), _) => end,
        (None, Some(end)) if odd_port => end,
        _ if odd_port && authority.len() == after.len() => {
            return (Cow::Owned(format!("{host}:{REDACTED}")), "");
        }
        _ => return nothing,
    };
    let login = if after[..end].contains(':') {
        "REDACTED:REDACTED"
    } else {
        REDACTED
    };
    (Cow::Borrowed(login), &after[end..])
}

/// `Bearer abc` and `Basic dTpw` without a key before them.
fn schemes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_token68) {
        let (gap, from) = rest.split_at(start);
        let word = until(from, |c| !is_token68(c));
        let after = &from[word.len()..];
        out.push_str(gap);
        out.push_str(word);
        let blanks = after.len() - after.trim_start_matches([' ', '\t']).len();
        let (blank, value) = after.split_at(blanks);
        let value = until(value, |c| !is_token68(c));
        if blanks > 0 && is_credential(word, value) {
            out.push_str(blank);
            out.push_str(REDACTED);
            rest = &after[blanks + value.len()..];
        } else {
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// Whether `value` behind the word `scheme` is a credential and not the next word of a sentence.
fn is_credential(scheme: &str, value: &str) -> bool {
    // The scheme may be glued to what stands before it: `header=Bearer abc`.
    let scheme = scheme.rsplit(['=', '/', '.']).next().unwrap_or(scheme);
    let base64_of_a_login = || {
        value.len() >= 4
            && value.contains(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '=')
    };
    !value.is_empty()
        && (scheme.eq_ignore_ascii_case("bearer")
            || (scheme.eq_ignore_ascii_case("basic") && base64_of_a_login()))
}

fn is_token68(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~+/=".contains(c)
}

/// JSON web tokens: base64url of `{"` and at least one dot.
fn web_tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("eyJ") {
        let (before, from) = rest.split_at(start);
        let token = until(from, |c| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
        out.push_str(before);
        out.push_str(if token.trim_end_matches('.').contains('.') {
            REDACTED
        } else {
            token
        });
        rest = &from[token.len()..];
    }
    out.push_str(rest);
    out
}

/// Percent-encoded text inside the text: `next=https%3A%2F%2Fhost%2F%3Ftoken%3Dabc`.
fn nested(text: String, keys: &Keys, depth: u32) -> String {
    if !text.contains('%') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let run = until(rest, ends_run);
        let (run, after) = rest.split_at(run.len());
        let decoded = percent_decode_str(run).decode_utf8_lossy();
        let clean = level(&decoded, keys, depth + 1);
        if decoded == run || clean == decoded {
            out.push_str(run);
        } else {
            out.push_str(&component(&clean));
        }
        let end = after.chars().next().map_or(0, char::len_utf8);
        out.push_str(&after[..end]);
        rest = &after[end..];
    }
    out
}

fn ends_run(c: char) -> bool {
    c.is_whitespace() || "\"'`<>&=?,;".contains(c)
}

/// The start of `text` before the first character that `ends` it.
pub(super) fn until(text: &str, ends: impl Fn(char) -> bool) -> &str {
    text.find(ends).map_or(text, |end| &text[..end])
}
