//! The numbers of hosts as they are counted, for metrics.

use super::peers::rows;
use super::{CallPhase, Failure};
use hdrhistogram::Histogram;
use std::collections::HashMap;

/// What was counted of one host, or of several together.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    /// Printable.
    pub(crate) host: Box<str>,
    pub(crate) port: Option<u16>,
    pub(crate) attempts: u64,
    pub(crate) ended: u64,
    /// Those kinds that happened.
    pub(crate) failures: Vec<(Failure, u64)>,
    /// Those phases that happened.
    pub(crate) phases: Vec<(CallPhase, Spread)>,
}

/// How long a phase took.
#[derive(Clone, Debug)]
pub(crate) struct Spread {
    /// In each bucket alone, one more than bounds. Which bucket it is that a duration near a bound is in is right to one
    /// significant digit, as all percentiles of hosts are.
    pub(crate) counts: Vec<u64>,
    pub(crate) sum_s: f64,
}

impl Spread {
    pub(super) fn of(histogram: &Histogram<u32>, sum_ns: u64, bounds: &[f64]) -> Self {
        let mut counts = vec![0; bounds.len() + 1];
        for step in histogram.iter_recorded() {
            let seconds = histogram.median_equivalent(step.value_iterated_to()) as f64 / 1e6;
            let at = bounds.iter().filter(|bound| seconds > **bound).count();
            counts[at] += u64::from(step.count_at_value());
        }
        Self {
            counts,
            sum_s: sum_ns as f64 / 1e9,
        }
    }

    fn add(&mut self, other: Self) {
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum += count;
        }
        self.sum_s += other.sum_s;
    }
}

impl Counted {
    fn add(&mut self, other: Self) {
        self.attempts += other.attempts;
        self.ended += other.ended;
        for (failure, count) in other.failures {
            match self
                .failures
                .iter_mut()
                .find(|(known, _)| *known == failure)
            {
                Some((_, sum)) => *sum += count,
                None => self.failures.push((failure, count)),
            }
        }
        for (phase, spread) in other.phases {
            match self.phases.iter_mut().find(|(known, _)| *known == phase) {
                Some((_, sum)) => sum.add(spread),
                None => self.phases.push((phase, spread)),
            }
        }
    }
}

/// The first `most` hosts one by one, all others as one that is called `others`.
pub(crate) fn counted(most: usize, others: &str, bounds: &[f64]) -> Vec<Counted> {
    let mut hosts: Vec<Counted> = Vec::new();
    let mut known: HashMap<(Box<str>, Option<u16>), usize> = HashMap::new();
    for row in rows() {
        let mut counted = row.counted(bounds);
        if row.number() >= most {
            (counted.host, counted.port) = (others.into(), None);
        }
        if counted.attempts == 0 {
            continue;
        }
        // Names that differ in what is not printable read alike.
        let name = (counted.host.clone(), counted.port);
        match known.get(&name).and_then(|at| hosts.get_mut(*at)) {
            Some(sum) => sum.add(counted),
            None => {
                known.insert(name, hosts.len());
                hosts.push(counted);
            }
        }
    }
    hosts
}
