use super::entry::kind;
use super::packed::Spot;
use super::read::Reading;
use super::ring::{OPEN, Ring, WORDS};
use super::*;
use std::sync::atomic::{AtomicBool, Ordering};

fn begin(ring: &Ring, key: u64, fields: &Fields) -> Option<Spot> {
    ring.begin(ring.epoch(), (key, 0), (key, 0), fields.finish())
}

fn event(ring: &Ring, n: u64) {
    let mut fields = Fields::new();
    fields.u64(0, n);
    let what = (kind::EVENT, 0);
    ring.append(ring.epoch(), what, (n, 0), fields.finish());
}

fn numbers(ring: &Ring) -> Vec<u64> {
    let copied = ring.copy(ring.epoch()).expect("nobody writes");
    let story = Reading::of(&copied.words);
    story.events.iter().map(|event| event.at_ns).collect()
}

#[test]
fn a_ring_takes_no_more_than_16_kib() {
    assert!(size_of::<Ring>() <= 16 * 1024, "{}", size_of::<Ring>());
}

#[test]
fn the_newest_events_win_wherever_the_end_is() {
    for first in 0..WORDS as u64 {
        let ring = Ring::new(0);
        for n in 0..first / 5 + 600 {
            event(&ring, n);
        }
        let seen = numbers(&ring);
        let last = first / 5 + 599;
        assert_eq!(seen.last(), Some(&last));
        assert!(seen.windows(2).all(|pair| pair[0] + 1 == pair[1]));
        assert_eq!(seen.len(), (WORDS / 5).min(last as usize + 1));
    }
}

#[test]
fn an_open_span_keeps_its_fields() {
    let ring = Ring::new(0);
    let mut fields = Fields::new();
    fields.text(0, "kept");
    let spot = begin(&ring, 7, &fields).expect("there is room");
    for n in 0..10_000 {
        event(&ring, n);
    }
    let copied = ring.copy(ring.epoch()).expect("nobody writes");
    let reading = Reading::of(&copied.words);
    let span = &reading.spans[&spot.serial];
    assert_eq!(span.fields[0].value, Value::Text("kept".into(), 0));
    assert_eq!(copied.open.len(), 1);
    ring.end(ring.epoch(), spot, 7, 20_000);
    for n in 0..10_000 {
        event(&ring, n);
    }
    let copied = ring.copy(ring.epoch()).expect("nobody writes");
    assert!(Reading::of(&copied.words).spans.is_empty());
    assert!(copied.open.is_empty());
}

#[test]
fn open_spans_that_fill_the_ring_leave_events_out() {
    let ring = Ring::new(0);
    let mut fields = Fields::new();
    fields.text(0, &"x".repeat(1000));
    let opened = (1..=OPEN as u64 + 10).filter(|key| begin(&ring, *key, &fields).is_some());
    assert_eq!(opened.count(), OPEN);
    for n in 0..100 {
        event(&ring, n);
    }
    let copied = ring.copy(ring.epoch()).expect("nobody writes");
    assert_eq!(copied.open.len(), OPEN);
    assert!(copied.lost > 0);
}

#[test]
fn a_span_is_over_once() {
    let ring = Ring::new(0);
    let spot = begin(&ring, 7, &Fields::new()).expect("there is room");
    for _ in 0..2 {
        ring.end(ring.epoch(), spot, 7, 9);
    }
    let again = begin(&ring, 8, &Fields::new()).expect("there is room");
    ring.end(ring.epoch(), spot, 7, 9);
    let copied = ring.copy(ring.epoch()).expect("nobody writes");
    assert_eq!(copied.open.len(), 1, "the other one's entry is its own");
    assert_ne!(again.serial, spot.serial);
}

#[test]
fn nothing_goes_from_one_request_to_the_next() {
    let ring = Ring::new(0);
    let epoch = ring.epoch();
    let spot = begin(&ring, 7, &Fields::new()).expect("there is room");
    event(&ring, 1);
    assert!(ring.clear().is_some());
    ring.append(epoch, (kind::EVENT, 0), (2, 0), (&[], 0));
    ring.end(epoch, spot, 7, 3);
    assert!(ring.begin(epoch, (9, 0), (4, 0), (&[], 0)).is_none());
    assert!(ring.copy(epoch).is_none(), "it is another's");
    let copied = ring.copy(ring.epoch()).expect("nobody writes");
    assert!(copied.words.is_empty() && copied.open.is_empty() && copied.lost == 0);
}

/// Records that say the same thrice, so that a torn one shows.
#[test]
fn what_is_read_while_it_is_written_is_whole() {
    let ring = Ring::new(0);
    let stop = AtomicBool::new(false);
    let mut read = 0;
    std::thread::scope(|scope| {
        for writer in 0..2u64 {
            let (ring, stop) = (&ring, &stop);
            scope.spawn(move || {
                let mut n = writer << 32;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    let mut fields = Fields::new();
                    for index in 0..n % 7 {
                        fields.u64(index as usize, n);
                    }
                    let who = n << 32;
                    ring.append(ring.epoch(), (kind::EVENT, 0), (n, who), fields.finish());
                }
            });
        }
        let begun = std::time::Instant::now();
        while read < 200 && begun.elapsed().as_secs() < 20 {
            let Some(copied) = ring.copy(ring.epoch()) else {
                continue;
            };
            let reading = Reading::of(&copied.words);
            if reading.events.is_empty() {
                continue;
            }
            read += 1;
            for event in &reading.events {
                assert_eq!(event.span, event.at_ns as u32);
                for field in &event.fields {
                    assert_eq!(field.value, Value::U64(event.at_ns));
                }
                assert_eq!(event.fields.len() as u64, event.at_ns % 7);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(read >= 20, "only {read} copies could be read");
}

/// Spans on whatever ring there is, from the beginning to the end.
#[test]
fn spans_are_found_on_every_ring() {
    let rings: Vec<_> = (0..9).filter_map(|_| pool::take()).collect();
    for ring in rings {
        let (key, epoch) = (u64::from(ring.index) + 1_000_000, ring.epoch());
        for inner in [key, key + 50_000] {
            let spot = ring.begin(epoch, (inner, 0), (1, 0), (&[], 0));
            thread::begun(inner, ring, spot.expect("there is room"));
            enter(inner);
        }
        follows(key + 50_000, key);
        for inner in [key + 50_000, key] {
            exit(inner);
            end(inner);
        }
        let copied = ring.copy(epoch).expect("nobody writes");
        let reading = Reading::of(&copied.words);
        assert_eq!(reading.spans.len(), 2, "ring {}", ring.index);
        assert!(reading.spans.values().all(|span| span.ended_ns.is_some()));
        let links: Vec<_> = reading.spans.values().map(|span| &span.links[..]).collect();
        let first = reading.spans.values().next().map_or(0, |span| span.number);
        assert_eq!(links, [&[][..], &[Link { number: first }][..]]);
        assert!(copied.open.is_empty());
        pool::give_back(ring);
    }
}

const ONE_THREAD: u64 = 1 << 60;
const ANOTHER: u64 = 2 << 60;

/// A thread that has found a span's entry and stands still, until the ring is another request's.
#[test]
fn who_enters_or_leaves_as_the_request_ends_touches_no_others_span() {
    for was_inside in [false, true] {
        let ring = Ring::new(0);
        let spot = begin(&ring, 7, &Fields::new()).expect("there is room");
        let found = ring.entry(spot.entry);
        if was_inside {
            found.enter(0, ONE_THREAD, 10);
        }
        assert!(ring.clear().is_some());
        let next = begin(&ring, 8, &Fields::new()).expect("there is room");
        let its = ring.entry(next.entry);
        its.enter(0, ANOTHER, 100);
        if was_inside {
            found.exit(ONE_THREAD, 5_000);
        } else {
            found.enter(0, ONE_THREAD, 5_000);
        }
        its.exit(ANOTHER, 200);
        let copied = ring.copy(ring.epoch()).expect("nobody writes");
        let [open] = copied.open[..] else {
            panic!("{:?}", copied.open)
        };
        assert_eq!((open.busy_ns, open.entered_ns), (100, 0), "{was_inside}");
        ring.close_left(spot, 8);
        let other = begin(&ring, 9, &Fields::new()).expect("there is room");
        assert_ne!(other.entry, spot.entry, "it is open still");
        ring.close_left(spot, 7);
        let other = begin(&ring, 10, &Fields::new()).expect("there is room");
        assert_eq!(other.entry, spot.entry);
    }
}

#[test]
fn spans_that_are_never_closed_leave_room_for_others() {
    let ring = Ring::new(0);
    for request in 0..1_000u64 {
        let spots: Vec<_> = (1..=30)
            .filter_map(|n| begin(&ring, request * 100 + n, &Fields::new()))
            .collect();
        assert_eq!(spots.len(), 30, "of request {request}");
        for (n, spot) in (1..=30).zip(spots).skip(3) {
            ring.end(ring.epoch(), spot, request * 100 + n, 9);
        }
        assert!(ring.clear().is_some());
    }
    for key in 1..=OPEN as u64 {
        begin(&ring, key, &Fields::new());
    }
    assert!(ring.clear().is_some());
    let all = (1..=OPEN as u64).filter(|key| begin(&ring, 100 + key, &Fields::new()).is_some());
    assert_eq!(all.count(), OPEN, "who needs all of them has all");
}

#[test]
fn what_was_found_before_is_nothing_in_the_next_request() {
    let ring = pool::take().expect("there are some");
    let key = 77_000_001;
    let spot = begin(ring, key, &Fields::new()).expect("there is room");
    thread::begun(key, ring, spot);
    let found = thread::find(key).expect("it has begun");
    assert!(
        found
            .target()
            .is_some_and(|target| target.epoch == ring.epoch())
    );
    assert!(ring.clear().is_some());
    assert!(found.target().is_none(), "its request is over");
    begin(ring, key + 1, &Fields::new()).expect("there is room");
    assert!(found.target().is_none(), "and another one has the ring");
    // Closed late: what it had is free.
    end(key);
    let next = begin(ring, key + 2, &Fields::new()).expect("there is room");
    assert_eq!(next.entry, spot.entry);
    assert!(ring.clear().is_some());
}
