use super::*;
use crate::{FeatureKind, Request, features};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A tiny generator (SplitMix64), so that each trial can be run again by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// Traffic as a shop has it: skewed values, optional keys, a few clients, words of all lengths.
fn visitor(dice: &mut Dice) -> Request {
    let method = if dice.roll(20) == 0 { "HEAD" } else { "GET" };
    let mut request = Request {
        method: method.to_owned(),
        route: Some("/search/{shop}".to_owned()),
        ..Request::default()
    };
    let shop = dice.roll(30) * dice.roll(2);
    request
        .params
        .path
        .insert("shop".into(), format!("shop-{shop}"));
    let mut query = |key: &str, value: String| request.params.query.insert(key.into(), value);
    let longest = 1 << dice.roll(7);
    query("q", "x".repeat(dice.roll(longest) as usize));
    if dice.roll(2) == 0 {
        query("page", (dice.roll(10) * dice.roll(20)).to_string());
    }
    if dice.roll(3) == 0 {
        let sorts = ["date", "name", "size", "rating"];
        query("sort", sorts[dice.roll(4) as usize].to_owned());
    }
    if dice.roll(40) == 0 {
        query("debug", "1".to_owned());
    }
    let agents = ["Firefox", "Chrome", "Safari", "bot/1", "bot/2", "curl"];
    let agent = agents[(dice.roll(6) * dice.roll(6) / 5) as usize];
    request.headers.insert("user-agent".into(), agent.into());
    let client = format!("10.0.{}.{}:40000", dice.roll(4), dice.roll(50));
    request.client = Some(client);
    request.body_bytes = (dice.roll(4) == 0).then(|| dice.roll(5_000));
    request
}

/// The comparison as the engine and the command make it.
fn compare(culprits: &[Request], normal: &[Request]) -> Vec<OverRepresented> {
    let count = |requests: &[Request]| {
        let mut counts = BTreeMap::<Feature, u64>::new();
        let each = requests.iter().flat_map(features);
        each.for_each(|feature| *counts.entry(feature).or_default() += 1);
        counts
    };
    let (guilty, usual) = (count(culprits), count(normal));
    let compared = usual.values().filter(|n| **n > 1).count() + guilty.len();
    let tallies: Vec<Tally> = guilty
        .into_iter()
        .map(|(feature, with)| {
            let baseline_with = usual.get(&feature).copied().unwrap_or(0);
            let baseline = (baseline_with, normal.len() as u64);
            Tally::new(feature, (with, culprits.len() as u64), baseline)
        })
        .collect();
    over_represented(&tallies, compared as u64)
}

fn crowd(dice: &mut Dice, size: usize) -> Vec<Request> {
    (0..size).map(|_| visitor(dice)).collect()
}

fn close(found: f64, exact: f64) {
    assert!((found / exact - 1.0).abs() < 1e-9, "{found} is not {exact}");
}

/// Fisher's lady, and tables that R's `fisher.test(…, alternative = "greater")` gives.
#[test]
fn known_tables() {
    close(fisher((4, 4), (0, 4)), 1.0 / 70.0);
    close(fisher((3, 4), (1, 4)), 17.0 / 70.0);
    close(fisher((8, 10), (1, 6)), 0.024_475_524_475_524_48);
    // 1 / C(503, 3), and C(5, 3) / C(503, 3).
    let triples = 503.0 * 502.0 * 501.0 / 6.0;
    close(fisher((3, 3), (0, 500)), 1.0 / triples);
    close(fisher((3, 3), (2, 500)), 10.0 / triples);
    close(fisher((0, 3), (2, 500)), 1.0);
    close(fisher((3, 3), (500, 500)), 1.0);
}

#[test]
fn factorials_agree_where_the_series_begins() {
    let mut sum = 0.0;
    for n in 1..5_000_u64 {
        sum += (n as f64).ln();
        assert!((ln_factorial(n) - sum).abs() <= 1e-11 * sum.max(1.0), "{n}");
    }
}

/// Culprits that are like everybody else share what everybody shares: nothing is named, in at least
/// 99 of 100 trials for every number of culprits.
#[test]
fn chance_is_silent() {
    for culprits in [2, 3, 20] {
        let trials = 400;
        let named = (0..trials)
            .filter(|seed| {
                let mut dice = Dice(seed * 7_919 + culprits as u64);
                let normal = crowd(&mut dice, 256);
                !compare(&crowd(&mut dice, culprits), &normal).is_empty()
            })
            .count();
        assert!(
            named * 100 <= trials as usize,
            "{culprits} culprits: {named} of {trials}"
        );
    }
}

/// What all of three culprits have and 2 of 500 others is named, and nothing besides.
#[test]
fn a_planted_parameter_is_found_alone() {
    let trials = 100;
    let mut others = 0;
    for seed in 0..trials {
        let mut dice = Dice(seed);
        let mut normal = crowd(&mut dice, 500);
        let mut culprits = crowd(&mut dice, 3);
        for request in culprits.iter_mut().chain(&mut normal[..2]) {
            let query = &mut request.params.query;
            query.insert("sort".into(), "price".into());
        }
        let found = compare(&culprits, &normal);
        let price = found.iter().find(|entry| entry.name == "query.sort");
        let price = price.unwrap_or_else(|| panic!("seed {seed}: {found:?}"));
        assert_eq!(
            (
                price.value.as_str(),
                price.with,
                price.of,
                price.baseline_with
            ),
            ("price", 3, 3, 2)
        );
        others += found.len() - 1;
    }
    assert!(
        others * 100 <= trials as usize,
        "{others} others in {trials} trials"
    );
}

/// Features of one parameter imply each other: the one that tells most is named, for all of them.
#[test]
fn what_says_the_same_is_named_once() {
    let tally = |kind, value: &str, baseline_with| {
        let feature = Feature::new("query.sort", kind, value);
        Tally::new(feature, (4, 4), (baseline_with, 500))
    };
    let named = |tallies: &[Tally]| {
        let found = over_represented(tallies, 50);
        let texts = found.iter().map(|entry| entry.feature().to_string());
        texts.collect::<Vec<_>>()
    };
    let mut tallies = [
        tally(FeatureKind::Length, "8", 0),
        tally(FeatureKind::Present, "", 0),
        tally(FeatureKind::Value, "by-price", 0),
        tally(FeatureKind::Text, "", 0),
    ];
    assert_eq!(named(&tallies), ["query.sort = by-price"]);
    tallies.reverse();
    assert_eq!(named(&tallies), ["query.sort = by-price"]);
    let usual = [
        tally(FeatureKind::Present, "", 5),
        tally(FeatureKind::Length, "24", 2),
        tally(FeatureKind::Length, "16", 2),
        tally(FeatureKind::Length, "8", 4),
    ];
    assert_eq!(named(&usual), ["query.sort has 24 bytes or more"]);
}

/// Values that differ and are all long, numbers that differ and are all large: the class is named.
#[test]
fn a_shared_class_is_found() {
    let mut dice = Dice(42);
    let mut normal = crowd(&mut dice, 500);
    for request in &mut normal {
        request.params.query.insert("q".into(), "short".into());
    }
    let mut culprits = crowd(&mut dice, 3);
    for (request, n) in culprits.iter_mut().zip(30..) {
        request.params.query.insert("q".into(), "y".repeat(n));
        request
            .params
            .query
            .insert("page".into(), (n * 70_000).to_string());
    }
    let found = compare(&culprits, &normal);
    let told: BTreeSet<String> = found.iter().map(|e| e.feature().to_string()).collect();
    assert!(
        told.iter().any(|t| t == "query.q has 24 bytes or more"),
        "{told:?}"
    );
    assert!(
        told.iter().any(|t| t == "query.page is 1000000 or more"),
        "{told:?}"
    );
}

#[test]
fn one_culprit_is_a_hint_and_no_more() {
    let rare = Feature::new("query.debug", FeatureKind::Present, "");
    let tally = Tally::new(rare, (1, 1), (0, 100_000));
    assert!(over_represented(std::slice::from_ref(&tally), 20).is_empty());
    assert_eq!(tally.culprits_needed(20), Some(1));
    let usual = Tally::new(Feature::default(), (2, 2), (250, 500));
    let needed = usual.culprits_needed(100).unwrap();
    let enough = Tally::new(Feature::default(), (2 + needed, 2 + needed), (250, 500));
    assert!(!over_represented(&[enough], 100).is_empty());
    let everybody = Tally::new(Feature::default(), (2, 2), (500, 500));
    assert_eq!(everybody.culprits_needed(100), None);
}

proptest! {
    #[test]
    fn no_counts_make_it_panic(
        counts in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), 0..9_u64), 0..20),
        small in proptest::collection::vec((0..40_u64, 0..40_u64, 0..40_u64, 0..40_u64, 0..3_u64), 0..20),
        compared in any::<u64>(),
    ) {
        let tally = |(a, b, c, d, name): &(u64, u64, u64, u64, u64)| {
            Tally::new(Feature::new(name.to_string(), FeatureKind::Present, ""), (*a, *b), (*c, *d))
        };
        let tallies: Vec<Tally> = counts.iter().chain(&small).map(tally).collect();
        for tally in &tallies {
            prop_assert!((0.0..=1.0).contains(&tally.chance()), "{tally:?}");
        }
        for tally in tallies.iter().filter(|t| t.of < 1_000 && t.baseline_of < 1_000) {
            tally.culprits_needed(compared);
        }
        for entry in over_represented(&tallies, compared) {
            prop_assert!(entry.with <= entry.of && entry.baseline_with <= entry.baseline_of);
        }
    }

    /// Both sides of one coin: the tail and the rest of it make one.
    #[test]
    fn it_is_the_hypergeometric_tail(with in 0..30_u64, without in 0..30_u64, others in 0..200_u64, rest in 0..200_u64) {
        let (of, all) = (with + without, with + without + others + rest);
        let having = with + others;
        let choose = |n: u64, k: u64| if k > n { 0.0 } else { ln_choose(n, k).exp() };
        let exact: f64 = (with..=of.min(having))
            .map(|i| choose(having, i) * choose(all - having, of - i) / choose(all, of))
            .sum();
        let found = fisher((with, of), (others, others + rest));
        let exact = if with * all <= having * of { 1.0 } else { exact };
        prop_assert!((found - exact.min(1.0)).abs() < 1e-6, "{found} {exact}");
    }
}
