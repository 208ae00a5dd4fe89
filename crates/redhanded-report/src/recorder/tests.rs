use super::layout::{
    self, BYTE_ORDER, Check, HEADER_BYTES, HEADER_WORDS, MAGIC, RECORD_BYTES, RECORD_WORDS,
    VERSION, asked, fact, head, header, other, part, word,
};
use super::{Recording, Refused, State, read};
use crate::{Class, Confidence, Phase, Role};
use proptest::prelude::*;
use std::ops::Range;

/// Puts facts into words, as the engine does.
fn put(words: &mut [u64], at: &mut usize, kind: u8, bytes: &[u8]) {
    words[*at] = head(kind, bytes.len(), bytes.len());
    for (n, eight) in bytes.chunks(8).enumerate() {
        let mut whole = [0; 8];
        whole[..eight.len()].copy_from_slice(eight);
        words[*at + 1 + n] = u64::from_le_bytes(whole);
    }
    *at += 1 + bytes.len().div_ceil(8);
}

fn sum(check: Check, words: &[u64]) -> [u64; 2] {
    words
        .iter()
        .fold(check, |check, word| check.with(*word))
        .with(words.len() as u64)
        .sums()
}

fn a_header(records: usize) -> Vec<u64> {
    let mut words = vec![0; HEADER_WORDS];
    words[header::MAGIC] = u64::from_ne_bytes(MAGIC);
    words[header::BYTE_ORDER] = BYTE_ORDER;
    words[header::VERSION] = u64::from(VERSION) | (HEADER_WORDS as u64) << 32;
    words[header::RECORDS] = RECORD_WORDS as u64 | (records as u64) << 32;
    words[header::PID] = 4711;
    words[header::MADE_NS] = 1_000;
    words[header::MADE_WALL_NS] = 1_000_001_000;
    let mut at = header::SERVICE;
    put(&mut words, &mut at, word::SERVICE_NAME, b"shop");
    put(&mut words, &mut at, word::HOST_NAME, b"web3.example");
    words[header::SERVICE_USED] = (at - header::SERVICE) as u64;
    words[header::ALIVE_NS] = 9_000;
    words[header::ALIVE_WALL_NS] = 1_000_009_000;
    words[header::UNRECORDED] = 12;
    words[header::UNRECORDED_NOW] = 2;
    let before = words[..header::CHECK]
        .iter()
        .fold(Check::new(0), |check, word| check.with(*word));
    let both = sum(before, &words[header::CHECK + 2..header::FIXED_END]);
    words[header::CHECK..header::CHECK + 2].copy_from_slice(&both);
    words
}

fn a_part(record: &mut [u64], part: Range<usize>, serial: u64, facts: &[(u8, &[u8])]) {
    let part = &mut record[part];
    let mut at = other::FACTS;
    for (kind, bytes) in facts {
        put(part, &mut at, *kind, bytes);
    }
    part[other::SEQUENCE] = 2;
    part[other::SERIAL] = serial;
    part[other::USED] = (at - other::FACTS) as u64;
    let both = sum(Check::new(serial), &part[other::FACTS..at]);
    part[other::CHECK..other::CHECK + 2].copy_from_slice(&both);
}

fn a_record(serial: u64, started_ns: u64, target: &str) -> Vec<u64> {
    let mut words = vec![0; RECORD_WORDS];
    let mut at = asked::FACTS;
    put(&mut words, &mut at, fact::METHOD, b"GET");
    put(&mut words, &mut at, fact::TARGET, target.as_bytes());
    put(&mut words, &mut at, fact::HOST, b"shop.example");
    put(&mut words, &mut at, fact::ROUTE, b"/search");
    words[asked::USED] = (at - asked::FACTS) as u64;
    words[asked::STARTED_NS] = started_ns;
    words[asked::SLOW_AFTER_NS] = 2_000_000_000;
    let check = Check::new(serial).with(started_ns).with(2_000_000_000);
    let both = sum(check, &words[asked::FACTS..at]);
    words[asked::CHECK..asked::CHECK + 2].copy_from_slice(&both);
    words[asked::STATE] = serial << asked::STATE_BITS | asked::LIVE;
    a_part(
        &mut words,
        part::TRACE,
        serial,
        &[(word::TRACE_ID, &[7; 16]), (word::SPAN_ID, &[1; 8])],
    );
    let seen: [(u8, &[u8]); 6] = [
        (word::AT_NS, &8_000_u64.to_le_bytes()),
        (word::PHASE, b"response_body"),
        (word::THREAD, &42_u64.to_le_bytes()),
        (word::THREAD_NAME, b"tokio-rt-worker"),
        (word::PEER, b"db1"),
        (word::PEER_PORT, &5432_u64.to_le_bytes()),
    ];
    a_part(&mut words, part::SEEN, serial, &seen);
    let verdict: [(u8, &[u8]); 6] = [
        (word::ID, b"01K0000000000000000000000A"),
        (word::CLASS, b"cpu_loop"),
        (word::ROLE, b"culprit"),
        (word::CONFIDENCE, b"proved"),
        (word::FINGERPRINT, &0xabc_u64.to_le_bytes()),
        (word::CAUSE, b"on CPU for 2 s"),
    ];
    a_part(&mut words, part::VERDICT, serial, &verdict);
    let mut named = verdict.to_vec();
    named.push((word::CULPRIT, b"app::search::matches"));
    a_part(&mut words, part::NAMED, serial, &named);
    words
}

/// Three requests, of which the second record is free.
fn a_file() -> Vec<u8> {
    let free = {
        let mut words = a_record(5, 3_000, "/gone");
        words[asked::STATE] = 5 << asked::STATE_BITS | asked::FREE;
        words
    };
    let all = [
        a_header(4),
        a_record(9, 7_000, "/search?q=b"),
        free,
        a_record(2, 2_000, "/search?q=a"),
        vec![0; RECORD_WORDS],
    ];
    all.concat()
        .iter()
        .flat_map(|word: &u64| word.to_ne_bytes())
        .collect()
}

fn good() -> Recording {
    read(&a_file()).unwrap()
}

#[test]
fn a_whole_file_is_read() {
    let recording = good();
    assert_eq!(recording.header.service.name, "shop");
    assert_eq!(recording.header.service.pid, Some(4711));
    assert_eq!(
        (recording.header.records, recording.header.unrecorded_now),
        (4, 2)
    );
    assert_eq!(recording.header.state, State::Running);
    assert_eq!((recording.torn, recording.torn_parts), (0, 0));
    let asked: Vec<String> = recording
        .requests
        .iter()
        .map(|request| request.asked())
        .collect();
    let url = "GET http://shop.example/search?q=";
    assert_eq!(
        asked,
        [format!("{url}a"), format!("{url}b")],
        "the oldest first"
    );
    let request = &recording.requests[0];
    assert_eq!(request.trace_id.as_deref(), Some("07".repeat(16).as_str()));
    assert_eq!(
        (request.phase, request.seen_ns),
        (Some(Phase::ResponseBody), Some(8_000))
    );
    let thread = request.thread.as_ref().unwrap();
    assert_eq!(
        (thread.tid, thread.name.as_deref()),
        (42, Some("tokio-rt-worker"))
    );
    let peer = request.peer.as_ref().unwrap();
    assert_eq!((peer.name.as_str(), peer.port), ("db1", Some(5432)));
    let caught = request.caught.as_ref().unwrap();
    let verdict = &caught.verdict;
    assert_eq!(
        (verdict.class, verdict.role, verdict.confidence),
        (Class::CpuLoop, Role::Culprit, Confidence::Proved)
    );
    assert_eq!(
        verdict.culprit.as_ref().unwrap().function,
        "app::search::matches"
    );
    assert_eq!(caught.fingerprint, Some(0xabc));
    assert_eq!(recording.elapsed_ns(request), 7_000);
    assert_eq!(recording.header.wall_ns(2_000), 1_000_002_000);
}

#[test]
fn a_url_says_whether_it_was_cut_and_came_over_tls() {
    let mut record = a_record(1, 1, "/x");
    let mut at = asked::FACTS;
    put(&mut record, &mut at, fact::METHOD, b"PUT");
    put(&mut record, &mut at, fact::TARGET, b"/long");
    record[at - 2] = head(fact::TARGET, 5, 700);
    put(&mut record, &mut at, fact::HOST, b"shop.example");
    put(&mut record, &mut at, fact::HTTPS, b"");
    record[asked::USED] = (at - asked::FACTS) as u64;
    let check = Check::new(1).with(1).with(2_000_000_000);
    let both = sum(check, &record[asked::FACTS..at]);
    record[asked::CHECK..asked::CHECK + 2].copy_from_slice(&both);
    let words = [a_header(1), record].concat();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let request = &read(&bytes).unwrap().requests[0];
    assert_eq!(request.asked(), "PUT https://shop.example/long…");
    assert_eq!(request.target_bytes, 700);
}

#[test]
fn what_was_being_written_is_skipped_and_counted() {
    let mut bytes = a_file();
    let record = |n: usize| HEADER_BYTES + n * RECORD_BYTES;
    bytes[record(0)] = (9 << asked::STATE_BITS | asked::WRITING) as u8;
    let sequence = record(2) + 8 * part::VERDICT.start;
    bytes[sequence..sequence + 8].copy_from_slice(&3_u64.to_ne_bytes());
    let recording = read(&bytes).unwrap();
    assert_eq!(
        (
            recording.torn,
            recording.torn_parts,
            recording.requests.len()
        ),
        (1, 1, 1)
    );
    let named = recording.requests[0].caught.as_ref().unwrap();
    assert_eq!(
        named.verdict.class,
        Class::CpuLoop,
        "the other part tells it, too"
    );
    // A part of an earlier use of the record is none of this one.
    let serial = sequence + 8 * other::SERIAL;
    bytes[serial..serial + 8].copy_from_slice(&1_u64.to_ne_bytes());
    assert_eq!(read(&bytes).unwrap().torn_parts, 0);
}

#[test]
fn what_is_no_such_file_is_refused_with_what_was_found() {
    let good = a_file();
    let with = |at: usize, word: u64| {
        let mut bytes = good.clone();
        bytes[at * 8..at * 8 + 8].copy_from_slice(&word.to_ne_bytes());
        read(&bytes).unwrap_err()
    };
    assert_eq!(
        with(0, u64::from_ne_bytes(*b"SQLite f")),
        Refused::Foreign {
            begins: *b"SQLite f"
        }
    );
    assert_eq!(with(1, BYTE_ORDER.swap_bytes()), Refused::OtherByteOrder);
    assert_eq!(
        with(2, 2 | (HEADER_WORDS as u64) << 32),
        Refused::OtherVersion { found: 2 }
    );
    assert!(matches!(with(header::PID, 1), Refused::Damaged { .. }));
    let bytes = good.len() as u64;
    let needed = layout::file_bytes(4) as u64;
    assert_eq!(bytes, needed);
    let cut = read(&good[..good.len() - 1]);
    assert_eq!(
        cut,
        Err(Refused::Truncated {
            bytes: bytes - 1,
            needed
        })
    );
    let longer = [&good[..], b"x"].concat();
    assert_eq!(
        read(&longer),
        Err(Refused::TooLong {
            bytes: bytes + 1,
            needed
        })
    );
    let other = with(2, 9);
    assert_eq!(
        other.to_string(),
        "a flight recorder of format 9, and this version reads format 1; take the redhanded that wrote it"
    );
}

#[test]
fn a_machine_of_the_other_byte_order_is_told_as_such() {
    let turned: Vec<u8> = a_file()
        .chunks(8)
        .flat_map(|word| word.iter().rev().copied())
        .collect();
    // Its magic is bytes, and stands as it is in any order.
    let turned = [&MAGIC[..], &turned[8..]].concat();
    assert_eq!(read(&turned), Err(Refused::OtherByteOrder));
}

#[test]
fn words_of_a_newer_writer_become_the_least_that_can_be_claimed() {
    let mut record = a_record(1, 1, "/x");
    let newer: [(u8, &[u8]); 4] = [
        (word::ID, b"01K0000000000000000000000A"),
        (word::CLASS, b"gpu_loop"),
        (word::ROLE, b"ghost"),
        (200, b"?"),
    ];
    a_part(&mut record, part::VERDICT, 1, &newer);
    a_part(&mut record, part::NAMED, 0, &[]);
    let words = [a_header(1), record].concat();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let recording = read(&bytes).unwrap();
    let verdict = &recording.requests[0].caught.as_ref().unwrap().verdict;
    assert_eq!(
        (verdict.class, verdict.role),
        (Class::Unknown, Role::Bystander)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3_000), begin in 0..4_usize) {
        // Bytes that begin well come further.
        let good = a_file();
        let begin = [0, 24, HEADER_BYTES, HEADER_BYTES + 2_000][begin];
        let _ = read(&[&good[..begin], &bytes].concat());
        let mut whole = good;
        let at = HEADER_BYTES + begin / 2;
        let end = (at + bytes.len()).min(whole.len());
        whole[at..end].copy_from_slice(&bytes[..end - at]);
        if let Ok(recording) = read(&whole) {
            prop_assert!(recording.requests.len() + recording.torn as usize <= 4);
            recording.requests.iter().for_each(|request| drop(request.asked()));
        }
    }

    #[test]
    fn a_flipped_byte_is_refused_or_counted_or_changes_no_request(at in 0..HEADER_BYTES + 4 * RECORD_BYTES, bits in 1..=u8::MAX) {
        let mut bytes = a_file();
        bytes[at] ^= bits;
        let Ok(recording) = read(&bytes) else { return Ok(()) };
        let good = good();
        for request in &recording.requests {
            let known = good.requests.iter().find(|known| known.record == request.record);
            // What was free may look alive: then it is what was there before.
            let Some(known) = known else {
                prop_assert_eq!(request.url(), "http://shop.example/gone");
                continue;
            };
            prop_assert_eq!(request.asked(), known.asked());
            prop_assert_eq!(request.started_ns, known.started_ns);
            if let Some(caught) = &request.caught {
                // Where one of the two parts is damaged the other tells what it knows.
                let known = known.caught.as_ref().unwrap();
                prop_assert_eq!(&caught.id, &known.id);
                prop_assert_eq!(caught.verdict.class, known.verdict.class);
                prop_assert_eq!(&caught.verdict.cause, &known.verdict.cause);
            }
        }
    }

    #[test]
    fn a_cut_file_is_refused(length in 0..HEADER_BYTES + 4 * RECORD_BYTES) {
        let cut = read(&a_file()[..length]);
        let truncated = matches!(cut, Err(Refused::Truncated { .. }));
        prop_assert!(truncated, "{cut:?}");
    }
}
