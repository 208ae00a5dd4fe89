use super::*;
use crate::config::Config;
use crate::copied::kind;
use crate::registry::Slot;
use std::collections::HashMap;

/// Opens and ends a request as the layer does it.
fn request(engine: &'static Engine, route: &str, target: &str, how: How) {
    let mut ticket = engine.open(None, |copy| {
        copy.method("GET");
        copy.route(route);
        copy.target(target);
    });
    ticket.end(how);
}

/// Many of them, while the watchdog makes its rounds.
fn requests(engine: &'static Engine, count: u32, route: &str) {
    for n in 0..count {
        request(engine, route, &format!("{route}?n={n}"), How::Completed);
        if n % 32 == 0 {
            engine.baseline.collect();
        }
    }
}

fn targets(engine: &'static Engine, route: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    engine.baseline.of_route(route_named(route), |sample| {
        let facts = sample.facts();
        let target = facts.into_iter().find(|f| f.kind == kind::TARGET);
        found.push(target.map(|f| f.bytes).unwrap_or_default());
    });
    found
}

fn engine() -> &'static Engine {
    Engine::new(Config::new("baseline"), None)
}

#[test]
fn the_first_of_a_route_are_all_kept_and_later_ones_seldom() {
    let engine = engine();
    for n in 0..40 {
        request(engine, "/rare/{id}", &format!("/rare/{n}"), How::Completed);
    }
    assert_eq!(targets(engine, "/rare/{id}").len(), 40);
    requests(engine, 20_000, "/often");
    let kept = targets(engine, "/often");
    assert!((200..=256).contains(&kept.len()), "{}", kept.len());
    let stats = engine.baseline.stats();
    assert_eq!((stats.routes, stats.missed), (2, 0));
    // A route that comes late, by the same thread, is not told by the pace of others.
    for n in 0..40 {
        request(
            engine,
            "/late/one/{id}",
            &format!("/late/one/{n}"),
            How::Completed,
        );
    }
    assert_eq!(targets(engine, "/late/one/{id}").len(), 40);
}

#[test]
fn what_was_not_normal_is_not_kept() {
    let engine = engine();
    for how in [How::Dropped, How::ClientGone, How::Cancelled, How::Panicked] {
        request(engine, "/x", "/x", how);
    }
    let mut slow = engine.open(Some(1), |copy| copy.route("/x"));
    std::thread::sleep(std::time::Duration::from_millis(1));
    slow.end(How::Completed);
    assert_eq!(targets(engine, "/x").len(), 0);
}

#[test]
fn nobody_waits_for_the_lock() {
    let engine = engine();
    let held = engine.baseline.desk.hold();
    request(engine, "/x", "/x", How::Completed);
    engine.baseline.collect();
    assert_eq!(engine.baseline.missed.load(Ordering::Relaxed), 1);
    drop(held);
    let _held = engine.baseline.kept.lock();
    (0..1_000).for_each(|n| request(engine, &format!("/{n}"), "/x", How::Completed));
    let missed = engine.baseline.missed.load(Ordering::Relaxed);
    engine.baseline.collect();
    assert!(missed > 1, "there is room for so many, and not for more");
}

fn offer(kept: &mut Kept, words: Vec<u64>, stands_for: u32, noise: &Noise) -> Outcome {
    let mut left = desk::Left::default();
    left.words = words;
    kept.offer(&mut left, stands_for, noise)
}

fn words(route: &str, target: &[u8]) -> Vec<u64> {
    let arena = crate::registry::FactsArena::new();
    let mut writer = arena.rewrite();
    writer.put(kind::ROUTE, route.as_bytes(), 128);
    writer.put(kind::TARGET, target, 512);
    writer.done();
    let mut words = Vec::new();
    arena.copy_to(&mut words);
    words
}

/// Whatever the pace was when it came, a request is as likely to be in the sample as another.
#[test]
fn the_sample_is_even() {
    let noise = Noise::default();
    let (mut early, mut all) = (0, 0);
    for _ in 0..40 {
        let mut kept = Kept::default();
        // 3,000 one by one, then 12,000 of which every tenth is offered.
        for n in 0..4_200_u32 {
            let stands_for = if n < 3_000 { 1 } else { 10 };
            offer(&mut kept, words("/x", &n.to_le_bytes()), stands_for, &noise);
        }
        let facts = words("/x", b"");
        let route = route_of(&crate::registry::facts_in(&facts));
        for sample in kept.of_route(route) {
            let n = sample.facts()[1].bytes.clone();
            let n = u32::from_le_bytes(n.try_into().unwrap_or_default());
            early += u32::from(n < 3_000);
            all += 1;
        }
    }
    let share = f64::from(early) / f64::from(all);
    assert!(
        (0.18..0.22).contains(&share),
        "{share} of the sample for 0.2 of the requests"
    );
}

#[test]
fn ten_thousand_routes_of_long_values_stay_bounded() {
    let noise = Noise::default();
    let mut kept = Kept::default();
    let long = vec![b'x'; 1_000_000];
    let mut outcomes = HashMap::new();
    for n in 0..40_000 {
        let words = words(&format!("/{}", n % 10_000), &long);
        let seen = offer(&mut kept, words, 1, &noise);
        *outcomes.entry(seen == Outcome::NoRoom).or_insert(0) += 1;
    }
    for n in 0..20_000 {
        offer(&mut kept, words(&format!("/{}", n % 200), &long), 1, &noise);
    }
    let (routes, samples) = kept.counts();
    assert_eq!(routes, 256);
    assert!(samples > 5_000, "{samples}");
    assert!(kept.bytes() <= 8 << 20);
    assert_eq!(outcomes.get(&true), Some(&(40_000 - 4 * 256)));
}

#[test]
fn a_route_is_told_from_words_as_from_facts() {
    for route in ["", "/", "/12345678", "/users/{id}", "/a/b/c/d/{e}/fghijk"] {
        let words = words(route, b"/x");
        let facts = crate::registry::facts_in(&words);
        let mut kept = Kept::default();
        offer(&mut kept, words.clone(), 1, &Noise::default());
        assert_eq!(kept.of_route(route_of(&facts)).len(), 1, "{route}");
    }
}

#[test]
fn a_sampled_slot_stays_small() {
    assert!(size_of::<Slot>() <= 1536);
    assert!(size_of::<Pace>() <= 1024);
}

#[test]
fn labels_are_kept() {
    let engine = engine();
    let mut ticket = engine.open(None, |copy| copy.route("/x"));
    let (key, generation) = ticket.identity().expect("a slot");
    let slot = engine.registry.slot(key).expect("it is ours");
    slot.extra(generation, |e| e.set_label("tenant", "acme".to_owned()));
    ticket.end(How::Completed);
    let mut labels = Vec::new();
    let show = |sample: &Sample| labels.extend(sample.copied().labels);
    engine.baseline.of_route(route_named("/x"), show);
    assert_eq!((labels.len(), labels[0].value.as_str()), (1, "acme"));
}
