//! `redhanded postmortem`, and what the other commands make of requests that died with their process. Real files of real
//! processes are read by the tests of `redhanded-weather`.

use crate::run::{Place, caught, id, line, log};
use redhanded_report::recorder::layout::{
    BYTE_ORDER, Check, HEADER_WORDS, MAGIC, RECORD_WORDS, VERSION, asked, fact, head, header, part,
    word,
};
use redhanded_report::{Died, Event, Report, Request};

/// Puts a text into words.
fn put(words: &mut [u64], at: &mut usize, kind: u8, text: &str) {
    words[*at] = head(kind, text.len(), text.len());
    for (n, eight) in text.as_bytes().chunks(8).enumerate() {
        let mut whole = [0; 8];
        whole[..eight.len()].copy_from_slice(eight);
        words[*at + 1 + n] = u64::from_le_bytes(whole);
    }
    *at += 1 + text.len().div_ceil(8);
}

fn sums(check: Check, words: &[u64]) -> [u64; 2] {
    let all = words.iter().fold(check, |check, word| check.with(*word));
    all.with(words.len() as u64).sums()
}

/// A file with one record for each target; an empty one is torn.
fn file(targets: &[&str]) -> Vec<u8> {
    let mut words = vec![0; HEADER_WORDS];
    words[header::MAGIC] = u64::from_ne_bytes(MAGIC);
    words[header::BYTE_ORDER] = BYTE_ORDER;
    words[header::VERSION] = u64::from(VERSION) | (HEADER_WORDS as u64) << 32;
    words[header::RECORDS] = RECORD_WORDS as u64 | (targets.len() as u64) << 32;
    words[header::PID] = 4711;
    words[header::MADE_NS] = 1_000_000_000;
    words[header::MADE_WALL_NS] = 1_782_871_384_000_005_000;
    words[header::ALIVE_NS] = 3_000_000_000;
    words[header::ALIVE_WALL_NS] = 1_782_871_386_000_005_000;
    words[header::UNRECORDED_NOW] = 7;
    let mut at = header::SERVICE;
    put(&mut words, &mut at, word::SERVICE_NAME, "shop");
    put(&mut words, &mut at, word::HOST_NAME, "web-3");
    words[header::SERVICE_USED] = (at - header::SERVICE) as u64;
    let before = words[..header::CHECK]
        .iter()
        .fold(Check::new(0), |check, word| check.with(*word));
    let both = sums(before, &words[header::CHECK + 2..header::FIXED_END]);
    words[header::CHECK..header::CHECK + 2].copy_from_slice(&both);
    for target in targets {
        let mut record = vec![0; RECORD_WORDS];
        let mut at = asked::FACTS;
        put(&mut record, &mut at, fact::METHOD, "GET");
        put(&mut record, &mut at, fact::TARGET, target);
        record[asked::USED] = (at - asked::FACTS) as u64;
        record[asked::STARTED_NS] = 2_000_000_000;
        let check = Check::new(1).with(2_000_000_000).with(0);
        let both = sums(check, &record[asked::FACTS..at]);
        record[asked::CHECK..asked::CHECK + 2].copy_from_slice(&both);
        let state = if target.is_empty() {
            asked::WRITING
        } else {
            asked::LIVE
        };
        record[asked::STATE] = 1 << asked::STATE_BITS | state;
        assert!(at < part::ASKED.end);
        words.extend(record);
    }
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

#[test]
fn a_file_of_another_machine_is_shown() {
    let place = Place::new();
    place.write("requests.rh", file(&["/search?q=x", "/evil\u{1b}[2J", ""]));
    let said = place.run(&["postmortem", "requests.rh"]).ends(0);
    let expected = "shop on web-3, process 4711 was killed, or ended without a shutdown
  started      2026-07-01T02:03:04.000005Z
  last sign    2026-07-01T02:03:06.000005Z
  in flight    2, 0 of them caught; 7 more were not recorded, for there are 3 records
  torn         1 records that were being written or are damaged, and 0 parts of others

         age  phase          request
         1 s  -              GET /search?q=x
         1 s  -              GET /evil\\u{1b}[2J
";
    assert_eq!(said.out, expected);
    let json = place
        .run(&["postmortem", "requests.rh", "--json"])
        .ends(0)
        .json();
    assert_eq!(json["format"], "redhanded-postmortem/1");
    assert_eq!(
        (&json["state"], &json["torn"], &json["unrecorded_now"]),
        (&"killed".into(), &1.into(), &7.into())
    );
    assert_eq!(json["requests"][0]["url"], "/search?q=x");
    assert_eq!(json["requests"][0]["elapsed_ms"], 1000.0);
    assert_eq!(
        json["requests"][0]["started"],
        "2026-07-01T02:03:05.000005Z"
    );
}

#[test]
fn a_process_with_nothing_in_flight_is_said_to_have_had_nothing() {
    let place = Place::new();
    place.write("idle.rh", file(&[]));
    let said = place.run(&["postmortem", "idle.rh"]).ends(1);
    assert!(
        said.out.ends_with("nothing was in flight\n"),
        "{}",
        said.out
    );
}

#[test]
fn a_shutdown_and_the_last_sync_are_said() {
    let place = Place::new();
    let mut bytes = file(&["/x"]);
    bytes[header::STATE * 8] = 1;
    let made_ns = header::MADE_NS * 8..(header::MADE_NS + 1) * 8;
    let synced_ns = header::SYNCED_NS * 8;
    bytes.copy_within(made_ns, synced_ns);
    // Later than when it was made, or it would be none in a file that was made at the boot.
    bytes[synced_ns] |= 1;
    place.write("shut.rh", bytes);
    let said = place.run(&["postmortem", "shut.rh"]).ends(0).out;
    assert!(said.contains("process 4711 was shut down\n"), "{said}");
    assert!(said.contains("synced       2026-07-01T02:03:0"), "{said}");
    let json = place.run(&["postmortem", "shut.rh", "--json"]).ends(0);
    assert_eq!(json.json()["state"], "shut_down");
}

#[test]
fn what_is_no_flight_recorder_is_refused_and_the_file_is_named() {
    let place = Place::new();
    let good = file(&["/x"]);
    place.write("cut.rh", &good[..good.len() - 1]);
    place.write("notes.txt", "these are my notes");
    place.write("empty", "");
    let mut newer = good.clone();
    newer[16..20].copy_from_slice(&9_u32.to_ne_bytes());
    place.write("newer.rh", newer);
    let mut other = good.clone();
    other[8..16].reverse();
    place.write("other.rh", other);
    let mut damaged = good;
    damaged[header::PID * 8] ^= 1;
    place.write("damaged.rh", damaged);
    for (name, why) in [
        ("cut.rh", "was cut"),
        ("notes.txt", "begins with \"these ar\""),
        ("empty", "0 bytes of 4096"),
        ("newer.rh", "of format 9, and this version reads format 1"),
        ("other.rh", "other byte order"),
        ("damaged.rh", "checksum is wrong"),
        ("missing.rh", "No such file"),
        (".", "is a directory"),
        ("/dev/zero", "no regular file"),
    ] {
        let said = place.run(&["postmortem", name]).ends(3);
        assert!(
            said.err.contains(name) && said.err.contains(why),
            "{}",
            said.err
        );
        assert_eq!(said.out, "");
    }
    place.run(&["postmortem"]).ends(2);
}

/// Of a process that was killed.
fn died(id: &str) -> Report {
    let mut report = Report::new(Event::Died, id);
    report.time = "2026-07-01T03:00:00.000000Z".to_owned();
    report.service = caught(1, "app::a").service;
    let mut request = Request::default();
    request.method = "GET".to_owned();
    request.path = "/young".to_owned();
    report.request = Some(request);
    report.elapsed_ms = Some(12.0);
    let mut died = Died::default();
    died.last_seen = "2026-07-01T02:30:00.000000Z".to_owned();
    report.died = Some(died);
    report
}

#[test]
fn the_other_commands_know_what_died() {
    let place = Place::new();
    let runaway = caught(1, "app::a");
    let mut end = died(&runaway.id);
    end.verdict.clone_from(&runaway.verdict);
    end.fingerprint.clone_from(&runaway.fingerprint);
    end.elapsed_ms = Some(90_000.0);
    let young = died(&id(2));
    place.write(
        "slow-requests.jsonl",
        log(&[runaway.clone(), young.clone(), end]),
    );
    let shown = place.run(&["show", &runaway.id]).ends(0).out;
    let killed =
        "in flight when its process was killed; last sign of life 2026-07-01T02:30:00.000000Z";
    assert!(
        shown.contains(killed) && shown.contains("CULPRIT cpu_loop") && shown.contains("90 s"),
        "{shown}"
    );
    assert!(!shown.contains("no end in what was read"), "{shown}");
    let shown = place.run(&["show", &young.id]).ends(0).out;
    assert!(
        shown.contains(killed) && shown.contains("GET /young"),
        "{shown}"
    );
    let ranked = place.run(&["top"]).ends(0).out;
    assert!(
        ranked.contains("2 requests in flight when their process died"),
        "{ranked}"
    );
    let json = place.run(&["top", "--json"]).ends(0).json();
    assert_eq!(
        (&json["died"], &json["ends_without_fingerprint"]),
        (&2.into(), &0.into())
    );
    assert_eq!(json["culprits"][0]["longest_ms"], 90_000.0);
    let told = place
        .run_with(&["tail", "-"], line(&young).as_bytes())
        .ends(0)
        .out;
    assert_eq!(
        told,
        format!(
            "2026-07-01T03:00:00.000000Z died: GET /young 12 ms [{}]\n",
            young.id
        )
    );
}
