//! Which features requests of one kind share and others do not, and whether chance explains it.

use crate::{Feature, OverRepresented};
use std::collections::BTreeMap;
use std::f64::consts::TAU;

/// What is named has this probability of being chance, at most, over all that was compared.
pub const SIGNIFICANCE: f64 = 0.01;
/// One request shares nothing with itself.
const FEWEST: u64 = 2;
/// A count beyond this was not counted.
const MOST_REQUESTS: u64 = 1 << 40;
/// Features that are named at once.
const NAMED: usize = 8;

/// How often a feature was seen on both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// What was counted.
    pub feature: Feature,
    /// Culprits that have it.
    pub with: u64,
    /// Culprits.
    pub of: u64,
    /// Normal requests of the same route that have it.
    pub baseline_with: u64,
    /// Normal requests of the same route that were sampled.
    pub baseline_of: u64,
}

impl Tally {
    /// Counts of `feature`: `(with it, all)` among culprits and among normal requests.
    pub fn new(feature: Feature, culprits: (u64, u64), baseline: (u64, u64)) -> Self {
        Self {
            feature,
            with: culprits.0,
            of: culprits.1,
            baseline_with: baseline.0,
            baseline_of: baseline.1,
        }
    }

    /// The probability that so many culprits or more have it by chance, were they drawn from the
    /// same requests as the others: Fisher's exact test, one-sided. Not corrected.
    pub fn chance(&self) -> f64 {
        fisher((self.with, self.of), (self.baseline_with, self.baseline_of))
    }

    /// How many more culprits, all with this feature, would be enough to name it, if `compared`
    /// features are compared; `None` if a thousand would not.
    pub fn culprits_needed(&self, compared: u64) -> Option<u64> {
        (0..=1_000).find(|more| {
            let (with, of) = (
                self.with.saturating_add(*more),
                self.of.saturating_add(*more),
            );
            let baseline = (self.baseline_with, self.baseline_of);
            of >= FEWEST && fisher((with, of), baseline) * compared as f64 <= SIGNIFICANCE
        })
    }
}

/// The features that chance does not explain, the least likely first; empty where it may.
///
/// `compared` is the number of features that could have been found, those not in `tallies` among
/// them; the correction for it is Holm's. Of features of one name, which imply each other, the one
/// that tells most is named. Needs two culprits with the feature at least.
///
/// ```
/// use redhanded_report::{Feature, FeatureKind, Tally, over_represented};
/// let price = Feature::new("query.sort", FeatureKind::Value, "price");
/// let found = over_represented(&[Tally::new(price.clone(), (3, 3), (2, 500))], 100);
/// assert_eq!(found[0].feature(), price);
/// let by_chance = Tally::new(price, (3, 3), (400, 500));
/// assert!(over_represented(&[by_chance], 100).is_empty());
/// ```
pub fn over_represented(tallies: &[Tally], compared: u64) -> Vec<OverRepresented> {
    let mut tests: Vec<(f64, &Tally)> = tallies.iter().map(|t| (t.chance(), t)).collect();
    tests.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let hypotheses = compared.max(tests.len() as u64);
    let mut best = BTreeMap::<&str, (f64, &Tally)>::new();
    let mut least = 0.0_f64;
    for (rank, (chance, tally)) in (0_u64..).zip(tests) {
        // Holm: each against those that are left, and never below the one before it.
        least = least.max((chance * (hypotheses - rank) as f64).min(1.0));
        if least > SIGNIFICANCE {
            break;
        }
        if tally.with < FEWEST {
            continue;
        }
        let name = tally.feature.name.as_str();
        let known = best.entry(name).or_insert((least, tally));
        if explains_more(tally, known.1) {
            *known = (least, tally);
        }
    }
    let mut named: Vec<_> = best.into_values().collect();
    named.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    named.truncate(NAMED);
    named.into_iter().map(|(p, t)| entry(t, p)).collect()
}

/// Whether `tally` is to be named rather than `known`, which has the same name: less likely by
/// chance, and of equals the more specific.
fn explains_more(tally: &Tally, known: &Tally) -> bool {
    let (new, old) = (tally.chance(), known.chance());
    if tally.with == known.with && tally.baseline_with == known.baseline_with {
        return tally.feature.specific() > known.feature.specific();
    }
    new < old
}

fn entry(tally: &Tally, p: f64) -> OverRepresented {
    let mut entry = OverRepresented::default();
    entry.name.clone_from(&tally.feature.name);
    entry.kind = tally.feature.kind;
    entry.value.clone_from(&tally.feature.value);
    entry.with = tally.with;
    entry.of = tally.of;
    entry.baseline_with = tally.baseline_with;
    entry.baseline_of = tally.baseline_of;
    entry.p = Some(p);
    entry
}

/// The upper tail of the hypergeometric distribution; 1 where no more have it than among the others.
/// Counts that contradict themselves, or are more than anybody could count, prove nothing.
fn fisher((with, of): (u64, u64), (baseline_with, baseline_of): (u64, u64)) -> f64 {
    if with > of || baseline_with > baseline_of || of.max(baseline_of) > MOST_REQUESTS {
        return 1.0;
    }
    let (all, having) = (of + baseline_of, with + baseline_with);
    if u128::from(with) * u128::from(all) <= u128::from(having) * u128::from(of) {
        return 1.0;
    }
    let ln = ln_choose(having, with) + ln_choose(all - having, of - with) - ln_choose(all, of);
    // Above the mean each term is smaller than the one before it.
    let (mut term, mut sum) = (ln.exp(), 0.0);
    for i in with..=of.min(having) {
        sum += term;
        if term <= sum * f64::EPSILON {
            break;
        }
        let up = (having - i) as f64 * (of - i) as f64;
        let down = (i + 1) as f64 * (all - having + i + 1).saturating_sub(of) as f64;
        term *= up / down;
    }
    sum.min(1.0)
}

fn ln_choose(n: u64, k: u64) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n.saturating_sub(k))
}

/// Stirling's series; its error beyond 16 is less than a double can say.
fn ln_factorial(n: u64) -> f64 {
    if n < 16 {
        return (2..=n).map(|i| (i as f64).ln()).sum();
    }
    let x = n as f64;
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let series = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square / 1260.0));
    x * x.ln() - x + 0.5 * (TAU * x).ln() + series
}

#[cfg(test)]
mod tests;
