//! The ranking as a table for people.

use super::group::Peer;
use super::rank::{Entry, Others, Ranking};
use crate::args::Top;
use crate::output::Output;
use redhanded_report::{duration, shown};
use std::io;

/// Characters of a route that the table shows.
const WIDEST_ROUTE: usize = 40;

const BOLD: &str = "1";
const ALARM: &str = "1;31";
const FAINT: &str = "2";

pub(super) fn print(ranking: &Ranking, asked: &Top, output: &mut Output) -> io::Result<()> {
    if ranking.records == 0 {
        return Ok(());
    }
    table(&ranking.culprits, ranking.requests.is_some(), output)?;
    if !ranking.others.is_empty() {
        output.line(if ranking.culprits.is_empty() {
            "not to blame"
        } else {
            "\nnot to blame"
        })?;
        table(&ranking.others, ranking.requests.is_some(), output)?;
    }
    if !ranking.is_empty() {
        output.line("")?;
    }
    for line in summary(ranking, asked) {
        let line = output.inked(FAINT, &line);
        output.line(&line)?;
    }
    Ok(())
}

fn table(entries: &[Entry], rate: bool, output: &mut Output) -> io::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let head = ["count", "per million", "time", "class", "route", "culprit"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(head)
        .chain(entries.iter().map(cells))
        .collect();
    let widths: [usize; 6] = std::array::from_fn(|column| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    });
    for (index, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            match column {
                1 if !rate => continue,
                0..=2 => line.push_str(&format!("{cell:>width$}  ")),
                3 | 4 => line.push_str(&format!("{cell:<width$}  ")),
                _ => line.push_str(cell),
            }
        }
        let entry = index.checked_sub(1).and_then(|index| entries.get(index));
        let ink = match entry {
            None => FAINT,
            Some(entry) if entry.role == "culprit" => ALARM,
            Some(_) => BOLD,
        };
        let line = output.inked(ink, line.trim_end());
        output.line(&line)?;
        if let Some(entry) = entry {
            for details in details(entry) {
                let details = output.inked(FAINT, &format!("    {details}"));
                output.line(&details)?;
            }
        }
    }
    Ok(())
}

fn cells(entry: &Entry) -> [String; 6] {
    let route = entry.routes.first().map(|first| {
        let route = clip(&shown(&format!("{} {}", first.method, first.route)));
        match entry.routes.len() {
            1 => route,
            more => format!("{route} +{}", more - 1),
        }
    });
    let rate = entry.per_million.map(|rate| format!("{rate:.1}"));
    [
        number(entry.count),
        rate.unwrap_or_default(),
        duration(entry.total_ms),
        shown(&entry.class),
        route.unwrap_or_else(|| "-".to_owned()),
        blamed(entry),
    ]
}

/// The line to blame, else what is waited for; and the remote host, where there is one.
fn blamed(entry: &Entry) -> String {
    match &entry.peer {
        Some(peer) => format!("{} to {}", place(entry), whom(peer)),
        None => place(entry),
    }
}

/// Its name, else its address: the page of one runaway has both.
fn whom(peer: &Peer) -> String {
    let host = match (&peer.name, &peer.address) {
        (Some(name), _) => shown(name),
        (None, Some(address)) if peer.port.is_some() && address.contains(':') => {
            format!("[{}]", shown(address))
        }
        (None, Some(address)) => shown(address),
        (None, None) => "unknown host".to_owned(),
    };
    let port = peer.port.map(|port| format!(":{port}"));
    let inferred = if peer.inferred { " (inferred)" } else { "" };
    format!("{host}{}{inferred}", port.unwrap_or_default())
}

fn place(entry: &Entry) -> String {
    let Some(culprit) = &entry.culprit else {
        let waits = entry.waiting_for.as_ref();
        return waits.map_or_else(
            || "-".to_owned(),
            |what| format!("waits for {}", shown(what)),
        );
    };
    let line = culprit
        .line
        .map(|line| format!(":{line}"))
        .unwrap_or_default();
    match &culprit.file {
        Some(file) => format!("{} {}{line}", shown(&culprit.function), shown(file)),
        None => shown(&culprit.function),
    }
}

/// How sure, how often and where; then when, and how to see more.
fn details(entry: &Entry) -> [String; 2] {
    let hosts = match entry.hosts.as_slice() {
        [] => String::new(),
        [host] => format!(" on {}", shown(host)),
        _ => format!(" on {} hosts", entry.hosts_total),
    };
    let ended = match (entry.ended, entry.requests) {
        (ended, requests) if ended == requests => "all ended".to_owned(),
        (0, _) => "none ended".to_owned(),
        (ended, _) => format!("{} ended", number(ended)),
    };
    let span = match (&entry.first_seen, &entry.last_seen) {
        (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
        (Some(first), _) => first.clone(),
        _ => "no time".to_owned(),
    };
    let processes = plural(entry.processes as u64, "process", "processes");
    let fingerprint = entry.fingerprint.as_deref().map(shown);
    [
        [
            shown(&entry.confidence),
            format!("{processes}{hosts}"),
            format!("{} with lines, {ended}", number(entry.requests)),
            format!("longest {}", duration(entry.longest_ms)),
        ],
        [
            span,
            fingerprint.map_or(String::new(), |f| format!("fingerprint {f}")),
            format!("redhanded show {}", shown(&entry.last_id)),
            String::new(),
        ],
    ]
    .map(|parts| {
        parts
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("; ")
    })
}

fn summary(ranking: &Ranking, asked: &Top) -> Vec<String> {
    let mut lines = Vec::new();
    let hidden = ranking.culprits_total - ranking.culprits.len() as u64;
    if hidden > 0 {
        lines.push(format!(
            "{} more: --limit 0 lists all",
            plural(hidden, "culprit", "culprits")
        ));
    }
    let hint = if asked.all { "" } else { ": --all lists them" };
    let innocent = |others: Others, one, more| {
        (others.fingerprints > 0).then(|| {
            let places = plural(others.fingerprints, "place", "places");
            format!("{} in {places}", plural(others.count, one, more))
        })
    };
    let innocent: Vec<String> = [
        innocent(ranking.victims, "victim", "victims"),
        innocent(ranking.bystanders, "bystander", "bystanders"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !innocent.is_empty() {
        lines.push(format!("not to blame: {}{hint}", innocent.join(", ")));
    }
    if ranking.process_events > 0 {
        let events = plural(ranking.process_events, "line", "lines");
        lines.push(format!("{events} of trouble without a guilty request"));
    }
    if ranking.died > 0 {
        let died = plural(ranking.died, "request", "requests");
        lines.push(format!("{died} in flight when their process died"));
    }
    let read = plural(ranking.records, "record", "records");
    let files = plural(ranking.files, "file", "files");
    let span = match (&ranking.first_seen, &ranking.last_seen) {
        (Some(first), Some(last)) => format!(", {first} to {last}"),
        _ => String::new(),
    };
    lines.push(format!("{read} in {files}{span}"));
    lines
}

fn plural(count: u64, one: &str, more: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { more })
}

/// `1,234,567`.
fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn clip(text: &str) -> String {
    if text.chars().count() <= WIDEST_ROUTE {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(WIDEST_ROUTE - 1).collect();
    format!("{beginning}…")
}

#[cfg(test)]
mod tests {
    use super::{Peer, number, whom};

    #[test]
    fn a_host_is_named_as_far_as_it_is_known() {
        let peer = |name: Option<&str>, address: Option<&str>, port, inferred| Peer {
            name: name.map(str::to_owned),
            address: address.map(str::to_owned),
            port,
            inferred,
        };
        for (peer, text) in [
            (
                peer(Some("db1"), Some("::1"), Some(5432), false),
                "db1:5432",
            ),
            (
                peer(Some("d\u{1b}b"), None, None, true),
                "d\\u{1b}b (inferred)",
            ),
            (peer(None, Some("::1"), Some(80), false), "[::1]:80"),
            (peer(None, Some("::1"), None, false), "::1"),
            (
                peer(None, Some("10.0.0.9"), Some(80), true),
                "10.0.0.9:80 (inferred)",
            ),
            (peer(None, None, None, false), "unknown host"),
        ] {
            assert_eq!(whom(&peer), text);
        }
    }

    #[test]
    fn numbers_have_commas() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(number(count), text);
        }
    }
}
