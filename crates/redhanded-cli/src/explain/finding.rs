//! What follows from the culprits that were gathered.

use super::gathered::Gathered;
use crate::input::Summary;
use redhanded_report::{FeatureKind, OverRepresented, Tally, over_represented};
use serde::Serialize;
use std::collections::BTreeMap;

/// Hints that are given at once.
const HINTS: usize = 5;
/// What more than one in so many normal requests has is not rare.
const RARE: u64 = 50;

/// The answer, as JSON has it.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    format: &'static str,
    files: u64,
    lines: u64,
    records: u64,
    skipped: u64,
    pub(super) fingerprint: String,
    pub(super) class: String,
    pub(super) culprit: Option<String>,
    pub(super) route: String,
    pub(super) culprits: u64,
    /// Those that there was no room for.
    pub(super) culprits_left_out: u64,
    /// Requests of the fingerprint that were late because of others, and are not compared.
    pub(super) others: u64,
    pub(super) processes: u64,
    pub(super) first_seen: String,
    pub(super) last_seen: String,
    pub(super) last_id: String,
    /// Normal requests that they were compared with.
    pub(super) normal: u64,
    /// Features that the comparison was corrected for.
    pub(super) compared: u64,
    /// What chance does not explain.
    pub(super) shared: Vec<OverRepresented>,
    /// What chance may explain, and what would show that it does not.
    pub(super) hints: Vec<Hint>,
}

/// Something that is not significant.
#[derive(Debug, Serialize)]
pub(super) struct Hint {
    pub(super) name: String,
    pub(super) kind: FeatureKind,
    pub(super) value: String,
    /// As a person reads it.
    pub(super) text: String,
    pub(super) with: u64,
    pub(super) of: u64,
    pub(super) baseline_with: u64,
    pub(super) baseline_of: u64,
    /// So many more culprits with it would be enough.
    pub(super) culprits_needed: u64,
}

impl Finding {
    pub(super) fn of(gathered: Gathered, summary: &Summary) -> Self {
        let tallies = gathered.tallies();
        let (normal, compared) = gathered.normal();
        let compared = compared.max(tallies.len() as u64);
        let shared = over_represented(&tallies, compared);
        let hints = if shared.is_empty() {
            hints(&tallies, compared)
        } else {
            Vec::new()
        };
        let (first, last) = gathered.ends().unwrap_or_default();
        Self {
            format: "redhanded-explain/1",
            files: summary.files,
            lines: summary.lines,
            records: summary.records,
            skipped: summary.skipped,
            class: last.class,
            culprit: last.culprit,
            route: last.route,
            culprits: gathered.culprits(),
            culprits_left_out: gathered.left_out,
            others: gathered.others(),
            processes: gathered.processes(),
            fingerprint: gathered.fingerprint,
            first_seen: first.time,
            last_seen: last.time,
            last_id: last.id,
            normal,
            compared,
            shared,
            hints,
        }
    }
}

/// What all culprits have and few others, the rarest first; one of each name.
fn hints(tallies: &[Tally], compared: u64) -> Vec<Hint> {
    let rare = tallies.iter().filter(|tally| {
        tally.with == tally.of
            && tally.baseline_of > 0
            && (tally.of > 1 || tally.baseline_with.saturating_mul(RARE) <= tally.baseline_of)
    });
    let mut best = BTreeMap::<&str, &Tally>::new();
    for tally in rare {
        let known = best.entry(&tally.feature.name).or_insert(tally);
        let exact = |t: &Tally| t.feature.kind == FeatureKind::Value;
        let same = tally.baseline_with == known.baseline_with;
        if tally.chance() < known.chance() || (same && exact(tally)) {
            *known = tally;
        }
    }
    let mut best: Vec<&Tally> = best.into_values().collect();
    best.sort_by(|a, b| a.chance().total_cmp(&b.chance()));
    let hints = best.into_iter().filter_map(|tally| hint(tally, compared));
    hints.take(HINTS).collect()
}

fn hint(tally: &Tally, compared: u64) -> Option<Hint> {
    Some(Hint {
        name: tally.feature.name.clone(),
        kind: tally.feature.kind,
        value: tally.feature.value.clone(),
        text: tally.feature.to_string(),
        with: tally.with,
        of: tally.of,
        baseline_with: tally.baseline_with,
        baseline_of: tally.baseline_of,
        culprits_needed: tally.culprits_needed(compared).filter(|n| *n > 0)?,
    })
}
