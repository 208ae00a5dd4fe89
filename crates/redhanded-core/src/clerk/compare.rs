//! What the culprits of a fingerprint have in common, and how usual that is on their route.
//!
//! Samples of normal requests are redacted and taken apart here, on the clerk's own time, and once:
//! what is remembered of each is what its features hash to.

use crate::ask;
use crate::baseline::{Baseline, Sample};
use crate::config::Config;
use crate::copied;
use crate::redact::Redactor;
use redhanded_report::{
    Baseline as Usuals, Feature, FeatureKind, OverRepresented, Report, Request, Role, Tally, Usual,
    Verdict, features, over_represented,
};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::SystemTime;

/// Fingerprints whose culprits are remembered; beyond, the one with the fewest makes room.
const FINGERPRINTS: usize = 1024;
/// Features that are counted for each.
const FEATURES: usize = 96;
/// Routes whose samples are remembered as taken apart.
const ROUTES: usize = 16;
/// Keys of a route that are known by name, so that one may be missed.
const KEYS: usize = 128;
/// Keys that a request is said to lack.
const ABSENT: usize = 8;

/// Everything that is compared.
#[derive(Default)]
pub(super) struct Compare {
    /// By fingerprint and route: other routes have other normal requests.
    culprits: HashMap<(u64, u64), Culprits>,
    /// The one that was used last is the last.
    routes: Vec<Normal>,
    cases: u64,
}

/// The culprits of one fingerprint on one route.
#[derive(Default)]
struct Culprits {
    count: u64,
    features: HashMap<Feature, u64>,
    last_case: u64,
}

/// The normal requests of a route, taken apart.
#[derive(Default)]
struct Normal {
    route: u64,
    /// By the sample's number: its features' hashes.
    samples: HashMap<u64, Vec<u64>>,
    counts: HashMap<u64, u64>,
    /// Keys by the hash of their presence.
    keys: HashMap<u64, String>,
}

impl Compare {
    /// Tells in `report` how usual its request is, if it is a culprit so far and that was not told.
    pub(super) fn tell_usual(
        &mut self,
        report: &mut Report,
        route: u64,
        baseline: &Baseline,
        (config, redactor): (&Config, &Redactor),
    ) {
        let (Some(request), Some(evidence)) = (&report.request, &mut report.evidence) else {
            return;
        };
        let is_culprit = report.verdict.as_ref().is_some_and(is_culprit);
        if is_culprit && evidence.baseline.is_none() {
            let normal = self.normal(route, baseline, config, redactor);
            evidence.baseline = Some(normal.usuals(request));
        }
    }

    /// Counts the request of `report` among the culprits of its fingerprint, if it is `new` there,
    /// and names what they have in common; if it turned out to be no culprit, says nothing of it.
    pub(super) fn name_common(
        &mut self,
        report: &mut Report,
        (fingerprint, route): (u64, u64),
        baseline: &Baseline,
        is_new: bool,
    ) {
        let (Some(verdict), Some(evidence)) = (&mut report.verdict, &mut report.evidence) else {
            return;
        };
        if !is_culprit(verdict) {
            evidence.baseline = None;
            return;
        }
        let Some(usuals) = &evidence.baseline else {
            return;
        };
        let culprits = self.culprits_of((fingerprint, route), baseline);
        if is_new {
            culprits.add(usuals.features.iter().map(Usual::feature));
        }
        let (features, count) = (culprits.features.clone(), culprits.count);
        if let Some(normal) = self.routes.iter().find(|normal| normal.route == route) {
            verdict.params = normal.compare(features, count);
        }
    }

    fn culprits_of(&mut self, key: (u64, u64), baseline: &Baseline) -> &mut Culprits {
        self.cases += 1;
        if self.culprits.len() >= FINGERPRINTS && !self.culprits.contains_key(&key) {
            let worth =
                |(_, culprits): &(&(u64, u64), &Culprits)| (culprits.count, culprits.last_case);
            let least = self.culprits.iter().min_by_key(worth).map(|(key, _)| *key);
            least.and_then(|least| self.culprits.remove(&least));
            baseline.count_forgotten();
        }
        let culprits = self.culprits.entry(key).or_default();
        culprits.last_case = self.cases;
        culprits
    }

    /// The normal requests of `route` as they are now.
    fn normal(
        &mut self,
        route: u64,
        baseline: &Baseline,
        config: &Config,
        redactor: &Redactor,
    ) -> &Normal {
        let known = self.routes.iter().position(|known| known.route == route);
        let mut normal = known.map_or_else(Normal::default, |at| self.routes.remove(at));
        normal.route = route;
        normal.bring_up_to_date(baseline, |sample| {
            let mut facts = copied::facts(&sample.facts(), &config.headers, SystemTime::UNIX_EPOCH);
            facts.labels.clone_from(&sample.labels);
            features(&ask::traits(&facts, redactor))
        });
        if self.routes.len() >= ROUTES {
            self.routes.remove(0);
        }
        self.routes.push(normal);
        &self.routes[self.routes.len() - 1]
    }
}

fn is_culprit(verdict: &Verdict) -> bool {
    verdict.role == Role::Culprit
}

impl Culprits {
    fn add(&mut self, features: impl Iterator<Item = Feature>) {
        self.count += 1;
        for feature in features {
            if self.features.len() >= FEATURES && !self.features.contains_key(&feature) {
                self.forget_one();
            }
            *self.features.entry(feature).or_default() += 1;
        }
    }

    /// What fewest have is shared by fewest. The last in order, so that it is the same every time.
    fn forget_one(&mut self) {
        let rarest = self
            .features
            .iter()
            .min_by(|(a, n), (b, m)| n.cmp(m).then(b.cmp(a)));
        if let Some(rarest) = rarest.map(|(feature, _)| feature.clone()) {
            self.features.remove(&rarest);
        }
    }
}

impl Normal {
    fn bring_up_to_date(
        &mut self,
        baseline: &Baseline,
        mut apart: impl FnMut(&Sample) -> Vec<Feature>,
    ) {
        let mut now = HashMap::new();
        let mut new = Vec::new();
        baseline.of_route(self.route, |sample| {
            match self.samples.remove(&sample.number) {
                Some(known) => {
                    now.insert(sample.number, known);
                }
                None => new.push(sample.copied()),
            }
        });
        let unchanged = new.is_empty() && self.samples.is_empty();
        for sample in new {
            let features = apart(&sample);
            for feature in features.iter().filter(|f| f.kind == FeatureKind::Present) {
                if self.keys.len() < KEYS {
                    self.keys.insert(hash(feature), feature.name.clone());
                }
            }
            now.insert(sample.number, features.iter().map(hash).collect());
        }
        self.samples = now;
        if !unchanged {
            self.counts.clear();
            for feature in self.samples.values().flatten() {
                *self.counts.entry(*feature).or_default() += 1;
            }
            self.keys.retain(|key, _| self.counts.contains_key(key));
        }
    }

    fn requests(&self) -> u64 {
        self.samples.len() as u64
    }

    /// Normal requests that have `feature`.
    fn with(&self, feature: &Feature) -> u64 {
        let count = |feature| self.counts.get(&hash(feature)).copied().unwrap_or(0);
        if feature.kind == FeatureKind::Absent {
            let present = Feature::new(&feature.name, FeatureKind::Present, "");
            return self.requests().saturating_sub(count(&present));
        }
        count(feature)
    }

    fn usuals(&self, request: &Request) -> Usuals {
        let mut features = features(request);
        let absent = self.absent(&features);
        features.extend(absent);
        let mut usuals = Usuals::default();
        usuals.requests = self.requests();
        usuals.compared = self.compared(features.iter());
        let each = features.into_iter();
        usuals.features = each
            .map(|feature| {
                let requests = self.with(&feature);
                Usual::new(feature, requests)
            })
            .collect();
        usuals
    }

    /// The keys that more than half of the normal requests have and `features` have not.
    fn absent(&self, features: &[Feature]) -> Vec<Feature> {
        let often = |key: &u64| self.counts.get(key).copied().unwrap_or(0);
        let has = |name: &str| features.iter().any(|f| f.name == name);
        let missed = self
            .keys
            .iter()
            .filter(|(key, name)| often(key) * 2 > self.requests() && !has(name));
        let mut missed: Vec<(u64, &String)> =
            missed.map(|(key, name)| (often(key), name)).collect();
        missed.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        let absent = missed.into_iter().take(ABSENT);
        absent
            .map(|(_, name)| Feature::new(name, FeatureKind::Absent, ""))
            .collect()
    }

    /// How many features could have been found: those of `culprits`, and those that at least two
    /// of the normal requests have. What only one of them has can prove nothing.
    fn compared<'f>(&self, culprits: impl Iterator<Item = &'f Feature>) -> u64 {
        let several = self.counts.values().filter(|count| **count > 1).count();
        let own = culprits.filter(|f| self.counts.get(&hash(f)).is_none_or(|count| *count < 2));
        (several + own.count()) as u64
    }

    fn compare(&self, features: HashMap<Feature, u64>, culprits: u64) -> Vec<OverRepresented> {
        let compared = self.compared(features.keys());
        let tallies: Vec<Tally> = features
            .into_iter()
            .map(|(feature, with)| {
                let normal = (self.with(&feature), self.requests());
                Tally::new(feature, (with, culprits), normal)
            })
            .collect();
        over_represented(&tallies, compared)
    }
}

fn hash(feature: &Feature) -> u64 {
    let mut hasher = DefaultHasher::new();
    feature.hash(&mut hasher);
    hasher.finish()
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests;
