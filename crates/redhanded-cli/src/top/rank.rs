//! From counts to a ranking, as `--json` prints it.

use super::group::{Culprit, Group, Peer, Role, Roles, Route};
use super::tally::{Process, Tally};
use crate::args::{By, Top};
use crate::input::Summary;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeSet;

/// Services and hosts of one culprit that are named.
const NAMED: usize = 16;

/// The answer of `redhanded top`.
#[derive(Debug, Serialize)]
pub(super) struct Ranking {
    pub(super) format: &'static str,
    pub(super) files: u64,
    pub(super) lines: u64,
    pub(super) records: u64,
    pub(super) skipped: u64,
    pub(super) requests: Option<u64>,
    pub(super) first_seen: Option<String>,
    pub(super) last_seen: Option<String>,
    pub(super) culprits: Vec<Entry>,
    pub(super) culprits_total: u64,
    pub(super) victims: Others,
    pub(super) bystanders: Others,
    pub(super) others: Vec<Entry>,
    pub(super) process_events: u64,
    pub(super) died: u64,
    pub(super) ends_without_fingerprint: u64,
}

/// Those who are not to blame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Others {
    pub(super) fingerprints: u64,
    pub(super) count: u64,
}

/// One fingerprint.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    pub(super) rank: usize,
    pub(super) fingerprint: Option<String>,
    pub(super) class: String,
    pub(super) role: &'static str,
    pub(super) roles: Roles,
    pub(super) confidence: String,
    pub(super) culprit: Option<Culprit>,
    pub(super) peer: Option<Peer>,
    pub(super) waiting_for: Option<String>,
    pub(super) routes: Vec<Route>,
    pub(super) count: u64,
    pub(super) per_million: Option<f64>,
    pub(super) requests: u64,
    pub(super) ended: u64,
    pub(super) total_ms: f64,
    pub(super) longest_ms: f64,
    pub(super) first_seen: Option<String>,
    pub(super) last_seen: Option<String>,
    pub(super) services: Vec<String>,
    pub(super) hosts: Vec<String>,
    pub(super) hosts_total: usize,
    pub(super) processes: usize,
    pub(super) last_id: String,
}

impl Ranking {
    /// Nothing that was asked for was found.
    pub(super) fn is_empty(&self) -> bool {
        self.culprits.is_empty() && self.others.is_empty()
    }
}

pub(super) fn rank(tally: Tally, summary: &Summary, asked: &Top) -> Ranking {
    let (mut victims, mut bystanders) = (Others::default(), Others::default());
    let (mut culprits, mut others) = (Vec::new(), Vec::new());
    for (fingerprint, group) in tally.groups {
        let count = group.count();
        let role = group.roles.main();
        let list = match role {
            Role::Culprit => &mut culprits,
            Role::Victim | Role::Bystander => &mut others,
        };
        list.push(Ranked {
            fingerprint,
            count,
            group,
        });
        let sum = match role {
            Role::Culprit => continue,
            Role::Victim => &mut victims,
            Role::Bystander => &mut bystanders,
        };
        sum.fingerprints += 1;
        sum.count += count;
    }
    let culprits_total = culprits.len() as u64;
    if !asked.all {
        others.clear();
    }
    let entries = |list| entries(list, asked, &tally.processes);
    Ranking {
        format: "redhanded-top/1",
        files: summary.files,
        lines: summary.lines,
        records: summary.records,
        skipped: summary.skipped,
        requests: asked.requests,
        first_seen: tally.first.map(rfc3339),
        last_seen: tally.last.map(rfc3339),
        culprits: entries(culprits),
        culprits_total,
        victims,
        bystanders,
        others: entries(others),
        process_events: tally.process_events,
        died: tally.died,
        ends_without_fingerprint: tally.ends_without_fingerprint,
    }
}

struct Ranked {
    fingerprint: Option<String>,
    count: u64,
    group: Group,
}

/// The worst first; equals in an order that is the same every time.
fn entries(mut list: Vec<Ranked>, asked: &Top, processes: &[Process]) -> Vec<Entry> {
    list.sort_by(|one, two| {
        let time = || two.group.total_ms.total_cmp(&one.group.total_ms);
        let count = || two.count.cmp(&one.count);
        let last = || two.group.last.cmp(&one.group.last);
        let by = match asked.by {
            By::Count => count().then_with(time),
            By::Time => time().then_with(count),
            By::Last => last().then_with(count),
        };
        by.then_with(|| one.fingerprint.cmp(&two.fingerprint))
    });
    let limit = if asked.limit == 0 {
        usize::MAX
    } else {
        asked.limit
    };
    list.into_iter()
        .take(limit)
        .enumerate()
        .map(|(place, ranked)| entry(place + 1, ranked, asked.requests, processes))
        .collect()
}

fn entry(rank: usize, ranked: Ranked, requests: Option<u64>, processes: &[Process]) -> Entry {
    let Ranked {
        fingerprint,
        count,
        mut group,
    } = ranked;
    let of = || {
        group
            .processes
            .keys()
            .filter_map(|index| processes.get(*index as usize))
    };
    let (services, _) = named(of().map(|process| process.service.as_str()));
    let (hosts, hosts_total) = named(of().filter_map(|process| process.host.as_deref()));
    group
        .routes
        .sort_by_key(|route| std::cmp::Reverse(route.requests));
    Entry {
        rank,
        fingerprint,
        class: group.finding.class,
        role: match group.roles.main() {
            Role::Culprit => "culprit",
            Role::Victim => "victim",
            Role::Bystander => "bystander",
        },
        roles: group.roles,
        confidence: group.finding.confidence,
        culprit: group.finding.culprit,
        peer: group.finding.peer,
        waiting_for: group.finding.waiting_for,
        routes: group.routes,
        count,
        per_million: requests.map(|all| count as f64 / all as f64 * 1e6),
        requests: group.requests,
        ended: group.ended,
        total_ms: micros(group.total_ms),
        longest_ms: micros(group.longest_ms),
        first_seen: group.first.map(rfc3339),
        last_seen: group.last.map(rfc3339),
        services,
        hosts,
        hosts_total,
        processes: group.processes.len(),
        last_id: group.last_id,
    }
}

/// The first names, and how many there are.
fn named<'n>(names: impl Iterator<Item = &'n str>) -> (Vec<String>, usize) {
    let names: BTreeSet<&str> = names.filter(|name| !name.is_empty()).collect();
    let first = names.iter().take(NAMED);
    (first.map(|name| (*name).to_owned()).collect(), names.len())
}

/// A sum of many figures of three digits behind the point has no more of them.
fn micros(ms: f64) -> f64 {
    (ms * 1000.0).round() / 1000.0
}

fn rfc3339(at: Timestamp) -> String {
    format!("{at:.6}")
}
