//! What is known of one fingerprint.

use crate::record::{Record, Request, Verdict};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::HashMap;

/// Routes that are told apart in one group.
const ROUTES: usize = 8;
/// Characters that are kept of a text.
const LONGEST: usize = 1024;

/// Guilty, or late because of another. A role that we do not know accuses nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Culprit,
    Victim,
    Bystander,
}

impl Role {
    pub(super) fn of(word: &str) -> Self {
        match word {
            "culprit" => Self::Culprit,
            "victim" => Self::Victim,
            _ => Self::Bystander,
        }
    }
}

/// Requests with lines, by role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Roles {
    pub(super) culprit: u64,
    pub(super) victim: u64,
    pub(super) bystander: u64,
}

impl Roles {
    fn at(&mut self, role: Role) -> &mut u64 {
        match role {
            Role::Culprit => &mut self.culprit,
            Role::Victim => &mut self.victim,
            Role::Bystander => &mut self.bystander,
        }
    }

    pub(super) fn change(&mut self, from: Option<Role>, to: Option<Role>) {
        if let Some(from) = from {
            *self.at(from) -= 1;
        }
        if let Some(to) = to {
            *self.at(to) += 1;
        }
    }

    /// One culprit makes a group of culprits: its victims share the fingerprint where they share the code.
    pub(super) fn main(self) -> Role {
        if self.culprit > 0 {
            Role::Culprit
        } else if self.victim > 0 {
            Role::Victim
        } else {
            Role::Bystander
        }
    }
}

/// How often one process has seen a fingerprint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Of lives of this process that are over: the same pid and instance, and a count begun anew.
    before: u64,
    most: u64,
    /// When `most` was said.
    at: Option<Timestamp>,
    /// Requests with lines.
    requests: u64,
}

impl Seen {
    fn occurrences(&mut self, said: u64, at: Option<Timestamp>) {
        if said < self.most && at > self.at {
            self.before += self.most;
            (self.most, self.at) = (said, at);
        } else if said >= self.most {
            (self.most, self.at) = (said, at.max(self.at));
        }
    }

    fn count(self) -> u64 {
        (self.before + self.most).max(self.requests)
    }
}

/// The verdict that is shown for a group: the surest, and of those the last.
#[derive(Clone, Debug, Default)]
pub(super) struct Finding {
    pub(super) class: String,
    pub(super) confidence: String,
    pub(super) culprit: Option<Culprit>,
    pub(super) peer: Option<Peer>,
    pub(super) waiting_for: Option<String>,
}

/// The line to blame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Culprit {
    pub(super) function: String,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
    pub(super) column: Option<u32>,
}

/// The remote host involved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Peer {
    pub(super) name: Option<String>,
    pub(super) address: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) inferred: bool,
}

impl Finding {
    fn of(verdict: &Verdict<'_>) -> Self {
        Self {
            class: clipped(&verdict.class),
            confidence: clipped(&verdict.confidence),
            culprit: verdict.culprit.as_ref().map(|culprit| Culprit {
                function: clipped(&culprit.function),
                file: culprit.file.as_deref().map(clipped),
                line: culprit.line,
                column: culprit.column,
            }),
            peer: verdict.peer.as_ref().map(|peer| Peer {
                name: peer.name.as_deref().map(clipped),
                address: peer.address.as_deref().map(clipped),
                port: peer.port,
                inferred: peer.inferred,
            }),
            waiting_for: verdict.waiting_for.as_ref().map(|w| clipped(&w.what)),
        }
    }

    /// A named culprit is worth more than a higher confidence about nobody.
    fn weight(&self) -> (bool, u8) {
        let sure = match self.confidence.as_str() {
            "proved" => 3,
            "likely" => 2,
            "suspected" => 1,
            _ => 0,
        };
        (self.culprit.is_some(), sure)
    }
}

/// A route and how many requests with lines had it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Route {
    pub(super) method: String,
    pub(super) route: String,
    pub(super) requests: u64,
}

/// Everything of one fingerprint.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) finding: Finding,
    pub(super) roles: Roles,
    pub(super) routes: Vec<Route>,
    /// By the index of the process.
    pub(super) processes: HashMap<u32, Seen>,
    pub(super) requests: u64,
    pub(super) ended: u64,
    pub(super) total_ms: f64,
    pub(super) longest_ms: f64,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    pub(super) last_id: String,
}

impl Group {
    /// How often it was seen, with the repeats that have no lines.
    pub(super) fn count(&self) -> u64 {
        self.processes.values().map(|seen| seen.count()).sum()
    }

    pub(super) fn line(&mut self, record: &Record<'_>, process: u32, at: Option<Timestamp>) {
        let seen = self.processes.entry(process).or_default();
        if let Some(said) = record.occurrences {
            seen.occurrences(said, at);
        }
        if let Some(verdict) = &record.verdict {
            let found = Finding::of(verdict);
            if found.weight() >= self.finding.weight() {
                self.finding = found;
            }
        }
        if let Some(at) = at {
            self.first = Some(self.first.map_or(at, |first| first.min(at)));
            if self.last.is_none_or(|last| last <= at) {
                self.last = Some(at);
                self.last_id = clipped(&record.id);
            }
        }
    }

    /// A request that has not been seen before.
    pub(super) fn request(&mut self, process: u32, request: Option<&Request<'_>>) {
        self.requests += 1;
        self.processes.entry(process).or_default().requests += 1;
        let Some(request) = request else { return };
        let asked = request
            .route
            .as_deref()
            .filter(|route| !route.is_empty())
            .unwrap_or(&request.path);
        let full = self.routes.len() >= ROUTES;
        let known = self
            .routes
            .iter_mut()
            .find(|known| known.route == *asked && known.method == *request.method);
        match known {
            Some(known) => known.requests += 1,
            None if full => {}
            None => self.routes.push(Route {
                method: clipped(&request.method),
                route: clipped(asked),
                requests: 1,
            }),
        }
    }

    pub(super) fn time(&mut self, more_ms: f64, whole_ms: f64) {
        self.total_ms += more_ms;
        self.longest_ms = self.longest_ms.max(whole_ms);
    }
}

pub(super) fn clipped(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::Seen;
    use jiff::Timestamp;

    fn seen(said: &[(u64, i64)]) -> u64 {
        let mut seen = Seen::default();
        for (occurrences, second) in said {
            seen.occurrences(*occurrences, Timestamp::from_second(*second).ok());
        }
        seen.count()
    }

    #[test]
    fn a_process_counts_up_and_may_begin_anew() {
        assert_eq!(seen(&[(1, 1), (2, 2), (900, 3)]), 900);
        assert_eq!(seen(&[(900, 3), (1, 1), (2, 2)]), 900, "read backwards");
        assert_eq!(
            seen(&[(5, 1), (900, 3), (2, 4), (7, 5)]),
            907,
            "started anew"
        );
    }

    #[test]
    fn requests_with_lines_are_the_least() {
        let mut seen = Seen {
            requests: 4,
            ..Seen::default()
        };
        seen.occurrences(2, None);
        assert_eq!(seen.count(), 4);
    }
}
