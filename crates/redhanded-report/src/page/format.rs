//! Values as a person reads them.

use crate::{Culprit, Died, Outcome, OverRepresented, Peer, Service};

/// `text` with everything that could move a cursor, split a line or turn text around written as an
/// escape such as `\u{1b}`: a log that was edited by hand is no friend.
///
/// ```
/// assert_eq!(redhanded_report::shown("GET /\u{1b}[2J"), "GET /\\u{1b}[2J");
/// ```
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// C0, DEL, C1; line and paragraph separators; bidirectional controls; invisible characters.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Milliseconds in the unit that fits: `0.45 ms`, `12 ms`, `2.01 s`, `3 min 20 s`, `2 h 5 min`.
///
/// ```
/// assert_eq!(redhanded_report::duration(2012.3), "2.01 s");
/// ```
pub fn duration(ms: f64) -> String {
    if !(0.0..1e15).contains(&ms) {
        return format!("{ms:?} ms");
    }
    let seconds = ms / 1000.0;
    let whole = |unit: f64| (seconds / unit).floor();
    if ms < 10.0 {
        format!("{} ms", rounded(ms))
    } else if ms < 999.5 {
        format!("{ms:.0} ms")
    } else if seconds < 99.995 {
        format!("{} s", rounded(seconds))
    } else if seconds < 3600.0 {
        format!("{} min {} s", whole(60.0), (seconds % 60.0).floor())
    } else {
        format!(
            "{} h {} min",
            whole(3600.0),
            (seconds % 3600.0 / 60.0).floor()
        )
    }
}

/// Two digits behind the point, without zeros that say nothing.
/// Bytes in the unit that fits: `512 bytes`, `1.5 KiB`, `812 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    let mut amount = bytes as f64;
    let mut units = ["bytes", "KiB", "MiB", "GiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        // What would be rounded to a thousand and more is said in the larger unit.
        if amount < 999.5 {
            break;
        }
        (amount, unit) = (amount / 1024.0, larger);
    }
    let digits = usize::from(amount < 9.95 && unit != "bytes");
    format!("{amount:.digits$} {unit}")
}

fn rounded(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `src/search.rs:41:13`, as far as known.
pub(super) fn place(file: Option<&str>, line: Option<u32>, column: Option<u32>) -> String {
    let mut place = file.map(shown).unwrap_or_default();
    for number in [line, line.and(column)].into_iter().flatten() {
        if !place.is_empty() {
            place.push_str(&format!(":{number}"));
        }
    }
    place
}

/// How the process of a request came to its end.
pub(super) fn died(died: &Died) -> String {
    let how = if died.shut_down {
        "in flight when its process ended, after a shutdown"
    } else {
        "in flight when its process was killed"
    };
    format!("{how}; last sign of life {}", shown(&died.last_seen))
}

/// A function and its place.
pub(super) fn call(function: &str, place: &str) -> String {
    if place.is_empty() {
        shown(function)
    } else {
        format!("{} {place}", shown(function))
    }
}

pub(super) fn culprit(culprit: &Culprit) -> String {
    call(
        &culprit.function,
        &place(culprit.file.as_deref(), culprit.line, culprit.column),
    )
}

/// `db1 (10.0.0.7:5432)`, as far as known; one that was only concluded is said to be so.
pub(super) fn peer_name(peer: &Peer) -> String {
    let mut name = told_name(peer);
    if peer.inferred {
        name.push_str(" (inferred)");
    }
    name
}

fn told_name(peer: &Peer) -> String {
    let address = peer.address.as_deref().map(|address| match peer.port {
        Some(port) if address.contains(':') => format!("[{}]:{port}", shown(address)),
        Some(port) => format!("{}:{port}", shown(address)),
        None => shown(address),
    });
    match (&peer.name, address) {
        (Some(name), Some(address)) => format!("{} ({address})", shown(name)),
        (Some(name), None) => peer
            .port
            .map_or(shown(name), |port| format!("{}:{port}", shown(name))),
        (None, Some(address)) => address,
        (None, None) => "unknown host".to_owned(),
    }
}

/// `query.q = x (3 of 3 here, 2 of 512 normal requests)`.
pub(super) fn in_common(param: &OverRepresented) -> String {
    let OverRepresented {
        with,
        of,
        baseline_with,
        baseline_of,
        ..
    } = param;
    let counts = format!("{with} of {of} here, {baseline_with} of {baseline_of} normal requests");
    format!("{} ({counts})", param.feature())
}

/// `completed with status 200 after 7.8 s`.
pub(super) fn outcome(outcome: &Outcome) -> String {
    let status = outcome
        .status
        .map(|status| format!(" with status {status}"));
    format!(
        "{}{} after {}",
        outcome.how.as_str(),
        status.unwrap_or_default(),
        duration(outcome.total_ms)
    )
}

/// `identica 1.4.2 on web-3, pid 4711`.
pub(super) fn service(service: &Service) -> String {
    let name = if service.name.is_empty() {
        "unnamed"
    } else {
        &service.name
    };
    let version = service
        .version
        .as_ref()
        .map(|version| format!(" {version}"));
    let host = service.host.as_ref().map(|host| format!(" on {host}"));
    let pid = service.pid.map(|pid| format!(", pid {pid}"));
    [Some(name.to_owned()), version, host, pid]
        .into_iter()
        .flatten()
        .collect()
}
