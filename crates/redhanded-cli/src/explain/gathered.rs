//! The culprits of one fingerprint, line by line.

use redhanded_report::{Baseline, Feature, Report, Role, Service, Tally, features};
use std::collections::{BTreeMap, HashMap};

/// Culprits that are compared; more are counted.
const CULPRITS: usize = 16_384;
/// What a process's normal requests of one route are told by.
type Place = (String, String);

/// Everything that the lines of one fingerprint say.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) fingerprint: String,
    culprits: HashMap<String, Culprit>,
    /// Culprits for which there was no room.
    pub(super) left_out: u64,
    /// Requests with lines that were late because of others.
    others: HashMap<String, ()>,
    places: BTreeMap<Place, Normal>,
    numbers: HashMap<Feature, u32>,
}

/// One culprit.
#[derive(Debug, Default)]
struct Culprit {
    time: String,
    has_baseline: bool,
    /// By their numbers.
    features: Vec<u32>,
    process: String,
    /// The line that says what it did.
    said: Said,
}

/// What a person wants to know of a culprit besides.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub(super) id: String,
    pub(super) time: String,
    pub(super) class: String,
    pub(super) culprit: Option<String>,
    pub(super) route: String,
}

/// The normal requests of a process on a route.
#[derive(Debug, Default)]
struct Normal {
    requests: u64,
    compared: u64,
    /// By the number of a feature: of how many requests how many have it, in the line that knew most.
    counts: HashMap<u32, (u64, u64)>,
}

impl Gathered {
    pub(super) fn new(fingerprint: &str) -> Self {
        Self {
            fingerprint: fingerprint.to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.culprits.is_empty()
    }

    pub(super) fn add(&mut self, report: &Report) {
        let (Some(verdict), Some(request)) = (&report.verdict, &report.request) else {
            return;
        };
        let known = self.culprits.get(&report.id);
        if known.is_some_and(|known| known.time > report.time) {
            return;
        }
        if verdict.role != Role::Culprit {
            self.culprits.remove(&report.id);
            if self.others.len() < CULPRITS {
                self.others.insert(report.id.clone(), ());
            }
            return;
        }
        if known.is_none() && self.culprits.len() >= CULPRITS {
            self.left_out += 1;
            return;
        }
        self.others.remove(&report.id);
        let process = process(&report.service);
        let baseline = report.evidence.as_ref().and_then(|e| e.baseline.as_ref());
        let told = baseline.filter(|baseline| baseline.requests > 0);
        if let Some(baseline) = told {
            let route = request.route.clone().unwrap_or_default();
            self.count((process.clone(), route), baseline);
        }
        let before = self
            .culprits
            .remove(&report.id)
            .filter(|known| known.has_baseline);
        let features = match (told, before) {
            (None, Some(known)) => known.features,
            (None, None) => self.number_all(features(request)),
            (Some(told), _) => self.number_all(told.features.iter().map(|usual| usual.feature())),
        };
        let culprit = Culprit {
            time: report.time.clone(),
            has_baseline: told.is_some(),
            features,
            process,
            said: said(report),
        };
        self.culprits.insert(report.id.clone(), culprit);
    }

    fn count(&mut self, place: Place, baseline: &Baseline) {
        let numbers = self.number_all(baseline.features.iter().map(|usual| usual.feature()));
        let normal = self.places.entry(place).or_default();
        normal.requests = normal.requests.max(baseline.requests);
        normal.compared = normal.compared.max(baseline.compared);
        for (number, usual) in numbers.into_iter().zip(&baseline.features) {
            let known = normal.counts.entry(number).or_default();
            if known.0 <= baseline.requests {
                *known = (baseline.requests, usual.requests);
            }
        }
    }

    fn number_all(&mut self, features: impl IntoIterator<Item = Feature>) -> Vec<u32> {
        let number = |feature| {
            let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
            *self.numbers.entry(feature).or_insert(next)
        };
        features.into_iter().map(number).collect()
    }

    /// How often each feature is seen on both sides. Normal requests of a process count for the
    /// features that a line of that process tells of.
    pub(super) fn tallies(&self) -> Vec<Tally> {
        let mut with = HashMap::<u32, u64>::new();
        for culprit in self.culprits.values() {
            let mut features = culprit.features.clone();
            features.sort_unstable();
            features.dedup();
            features
                .into_iter()
                .for_each(|f| *with.entry(f).or_default() += 1);
        }
        let of = self.culprits.len() as u64;
        let mut tallies: Vec<Tally> = Vec::new();
        for (feature, number) in &self.numbers {
            let Some(with) = with.get(number) else {
                continue;
            };
            let known = self.places.values().filter_map(|n| n.counts.get(number));
            let (all, having) = known.fold((0_u64, 0_u64), |(all, having), (of, with)| {
                (all.saturating_add(*of), having.saturating_add(*with))
            });
            tallies.push(Tally::new(feature.clone(), (*with, of), (having, all)));
        }
        tallies.sort_by(|a, b| a.feature.cmp(&b.feature));
        tallies
    }

    pub(super) fn culprits(&self) -> u64 {
        self.culprits.len() as u64
    }

    /// Those with lines that were late because of others.
    pub(super) fn others(&self) -> u64 {
        self.others.len() as u64
    }

    pub(super) fn processes(&self) -> u64 {
        let mut all: Vec<&str> = self.culprits.values().map(|c| c.process.as_str()).collect();
        all.sort_unstable();
        all.dedup();
        all.len() as u64
    }

    /// Normal requests, and features that a comparison is corrected for.
    pub(super) fn normal(&self) -> (u64, u64) {
        self.places
            .values()
            .fold((0, 0), |(requests, compared), normal| {
                (
                    u64::saturating_add(requests, normal.requests),
                    u64::saturating_add(compared, normal.compared),
                )
            })
    }

    /// The first and the last culprit.
    pub(super) fn ends(&self) -> Option<(Said, Said)> {
        let by_time = |a: &&Said, b: &&Said| (&a.time, &a.id).cmp(&(&b.time, &b.id));
        let first = self.culprits.values().map(|c| &c.said).min_by(by_time)?;
        let last = self.culprits.values().map(|c| &c.said).max_by(by_time)?;
        Some((first.clone(), last.clone()))
    }
}

fn said(report: &Report) -> Said {
    let verdict = report.verdict.as_ref();
    let culprit = verdict.and_then(|verdict| verdict.culprit.as_ref());
    let place = culprit.map(|c| match (&c.file, c.line) {
        (Some(file), Some(line)) => format!("{} {file}:{line}", c.function),
        _ => c.function.clone(),
    });
    let request = report.request.as_ref();
    let asked = request.map(|r| format!("{} {}", r.method, r.route.as_ref().unwrap_or(&r.path)));
    Said {
        id: report.id.clone(),
        time: report.time.clone(),
        class: verdict.map(|v| v.class.to_string()).unwrap_or_default(),
        culprit: place,
        route: asked.unwrap_or_default(),
    }
}

fn process(service: &Service) -> String {
    format!(
        "{}\0{}\0{}\0{:?}",
        service.name,
        service.host.as_deref().unwrap_or_default(),
        service.instance.as_deref().unwrap_or_default(),
        service.pid
    )
}
