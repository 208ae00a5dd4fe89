//! Counts by fingerprint, line by line.

use super::group::{Group, Role, clipped};
use super::looks::{Look, Looks, REMEMBERED};
use crate::record::{Record, Service};
use jiff::Timestamp;
use std::collections::HashMap;

/// A life of more than thirty years is a broken line, and would hide everything else.
const LONGEST_MS: f64 = 1e12;

/// Which lines count.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

impl Window {
    fn has(self, at: Option<Timestamp>) -> bool {
        let late_enough = self
            .since
            .is_none_or(|since| at.is_some_and(|at| at >= since));
        let early_enough = self
            .until
            .is_none_or(|until| at.is_some_and(|at| at < until));
        late_enough && early_enough
    }
}

/// One process that wrote lines.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) service: String,
    pub(super) host: Option<String>,
}

/// All groups, and what belongs to none.
#[derive(Debug)]
pub(super) struct Tally {
    window: Window,
    by_key: HashMap<Box<str>, u32>,
    pub(super) groups: Vec<(Option<String>, Group)>,
    process_index: HashMap<Box<str>, u32>,
    pub(super) processes: Vec<Process>,
    looks: Looks,
    /// Lines without a guilty request: a machine that was paused.
    pub(super) process_events: u64,
    /// Requests that were in flight when their process died, caught or not.
    pub(super) died: u64,
    /// Ends of requests of which nothing else is known.
    pub(super) ends_without_fingerprint: u64,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    /// Used again for every line.
    key: String,
}

impl Tally {
    pub(super) fn new(window: Window) -> Self {
        Self::remembering(window, REMEMBERED)
    }

    fn remembering(window: Window, ids: usize) -> Self {
        Self {
            window,
            by_key: HashMap::new(),
            groups: Vec::new(),
            process_index: HashMap::new(),
            processes: Vec::new(),
            looks: Looks::new(ids),
            process_events: 0,
            died: 0,
            ends_without_fingerprint: 0,
            first: None,
            last: None,
            key: String::new(),
        }
    }

    pub(super) fn add(&mut self, record: &Record<'_>) {
        let at = record.timestamp();
        if !self.window.has(at) {
            return;
        }
        if let Some(at) = at {
            self.first = Some(self.first.map_or(at, |first| first.min(at)));
            self.last = self.last.max(Some(at));
        }
        if &*record.event == "process" {
            self.process_events += 1;
            return;
        }
        let has_died = &*record.event == "died";
        self.died += u64::from(has_died);
        if has_died && record.verdict.is_none() && record.fingerprint.is_none() {
            // It was not caught: nobody knows whether it would have been.
            return;
        }
        let known = self.looks.get(&record.id);
        let Some(group) = known
            .map(|look| look.group)
            .or_else(|| self.group_of(record))
        else {
            self.ends_without_fingerprint += 1;
            return;
        };
        let process = self.process_of(&record.service);
        if let Some((_, group)) = self.groups.get_mut(group as usize) {
            group.line(record, process, at);
        }
        let look = self.look(record, known, group, process);
        self.looks.set(&record.id, look);
    }

    /// What is known of the record's request from now on.
    fn look(&mut self, record: &Record<'_>, known: Option<Look>, index: u32, process: u32) -> Look {
        let mut look = known.unwrap_or(Look {
            group: index,
            role: None,
            counted_ms: 0.0,
            ended: false,
        });
        let Some((_, group)) = self.groups.get_mut(index as usize) else {
            return look;
        };
        if known.is_none() {
            group.request(process, record.request.as_ref());
        }
        if let Some(verdict) = &record.verdict {
            let role = Some(Role::of(&verdict.role));
            group.roles.change(look.role, role);
            look.role = role;
        }
        let ended = record.outcome.as_ref();
        let whole_ms = ended.map(|outcome| outcome.total_ms).or(record.elapsed_ms);
        let whole_ms = whole_ms.unwrap_or(0.0).clamp(0.0, LONGEST_MS);
        if ended.is_some() || (!look.ended && whole_ms > look.counted_ms) {
            group.time(whole_ms - look.counted_ms, whole_ms);
            look.counted_ms = whole_ms;
        }
        if ended.is_some() && !look.ended {
            group.ended += 1;
            look.ended = true;
        }
        look
    }

    /// `None` for a line that belongs to no fingerprint and has no verdict either.
    fn group_of(&mut self, record: &Record<'_>) -> Option<u32> {
        self.key.clear();
        match (&record.fingerprint, &record.verdict) {
            (Some(fingerprint), _) => self.key.push_str(fingerprint),
            // Made by hand or by another program: what it says of its culprit has to do.
            (None, Some(verdict)) => {
                let function = verdict.culprit.as_ref().map(|culprit| &*culprit.function);
                let route = record.request.as_ref().and_then(|r| r.route.as_deref());
                let parts = [
                    "",
                    &*verdict.class,
                    function.unwrap_or(""),
                    route.unwrap_or(""),
                ];
                self.key.push_str(&parts.join("\0"));
            }
            (None, None) => return None,
        }
        if let Some(index) = self.by_key.get(self.key.as_str()) {
            return Some(*index);
        }
        let index = u32::try_from(self.groups.len()).ok()?;
        self.by_key.insert(self.key.as_str().into(), index);
        let fingerprint = record.fingerprint.as_deref().map(clipped);
        self.groups.push((fingerprint, Group::default()));
        Some(index)
    }

    fn process_of(&mut self, service: &Service<'_>) -> u32 {
        use std::fmt::Write as _;
        self.key.clear();
        let texts = [
            Some(&service.name),
            service.host.as_ref(),
            service.instance.as_ref(),
        ];
        for text in texts {
            self.key.push_str(text.map_or("", |text| text));
            self.key.push('\0');
        }
        // Into a String that never fails.
        let _ = write!(self.key, "{:?}", service.pid);
        if let Some(index) = self.process_index.get(self.key.as_str()) {
            return *index;
        }
        let index = u32::try_from(self.processes.len()).unwrap_or(u32::MAX);
        self.process_index.insert(self.key.as_str().into(), index);
        self.processes.push(Process {
            service: clipped(&service.name),
            host: service.host.as_deref().map(clipped),
        });
        index
    }
}

#[cfg(test)]
mod tests;
