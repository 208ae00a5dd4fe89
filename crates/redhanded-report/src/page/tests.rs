use super::format::duration;
use super::{Style, headline, page};
use crate::{Report, Stack};
use serde_json::{Value, json};

const EXAMPLE: &str = include_str!("../../fixtures/caught.jsonl");

fn example(line: usize) -> Report {
    serde_json::from_str(EXAMPLE.lines().nth(line).unwrap()).unwrap()
}

/// A report with these fields and nothing else.
fn report(mut fields: Value) -> Report {
    let all = fields.as_object_mut().unwrap();
    for (name, value) in [
        ("schema", "redhanded/1"),
        ("event", "caught"),
        ("id", "01K1"),
        ("time", "2026-07-01T02:03:04Z"),
    ] {
        all.entry(name).or_insert(value.into());
    }
    serde_json::from_value(fields).unwrap()
}

#[test]
fn a_caught_request_as_a_page() {
    let expected = "\
CULPRIT cpu_loop, proved
worker thread 3 has been on CPU for 2.01 s in one poll; all 20 samples are under app::search::matches

  at          app::search::matches src/search.rs:41:13
  victims     2 01KWE5H2Z9V1C7T1M0000000AA 01KWE5H2ZAV1C7T1M0000000AB
  in common   query.q = (a+)+$ (3 of 3 here, 0 of 512 normal requests)

request
GET https://identica.example/search/notices?q=%28a%2B%29%2B%24&page=2&api_key=REDACTED
  route       /search/{index}
  path        index = notices
  query       api_key = REDACTED
  query       page = 2
  query       q = (a+)+$
  label       tenant = acme
  header      referer = https://identica.example/
  header      user-agent = Mozilla/5.0 (X11; Linux x86_64)
  client      192.0.2.17:51234
  request id  req-7f3a
  started     2026-07-01T02:03:04.000005Z
  elapsed     2.01 s, in handler, slow after 2 s
  trace       4bf92f3577b34da6a3ce929d0e0e4736
  span        00f067aa0ba902b7

stack of the thread, 14 samples, innermost first
    … 2 runtime frames, called as regex_lite::pikevm::PikeVM::search
  > app::search::matches src/search.rs:41:13
  > app::search::search src/search.rs:27:20
    … 5 runtime frames

stack of the thread, 6 samples, innermost first
    … 3 runtime frames, called as regex_lite::pikevm::PikeVM::search
  > app::search::matches src/search.rs:41:13
  > app::search::search src/search.rs:27:20
    … 5 runtime frames

thread
  thread      tokio-rt-worker (4716), state R
  on CPU      1.99 s
  run queue   21 ms

open spans
  2.01 s      search index=notices

last events
  1.2 ms      DEBUG compiled pattern, 412 notices to scan

counted
polls 1, wakes 0, 2.01 s in polls, longest 2.01 s, 1.99 s on CPU, 1 of 4 workers busy, load 1.8

ask again
curl -H 'user-agent: Mozilla/5.0 (X11; Linux x86_64)' 'https://identica.example/search/notices?q=%28a%2B%29%2B%24&page=2&api_key=REDACTED'

report
  id          01KWE5H2Z8Q4T7N1B6C3D9F0GA
  time        2026-07-01T02:03:06.012345Z (caught)
  fingerprint 9c41f0d2a7be5316, seen 3 times in this process
  service     identica 1.4.2 on web-3, pid 4711
";
    assert_eq!(page(&example(0), Style::Plain), expected);
}

#[test]
fn spans_and_events_say_where_they_are_from() {
    let report = report(json!({"evidence": {
        "spans": [{"name": "search", "fields": {"page": "2"}, "age_ms": 2000.0, "busy_ms": 3.0, "number": 1,
            "level": "INFO", "target": "app", "file": "src/search.rs", "line": 41}],
        "events": [{"at_ms": 1.2, "level": "DEBUG", "text": "looked up", "target": "app::db", "file": "src/db.rs",
            "line": 7, "span": "search"}]}}));
    let page = page(&report, Style::Plain);
    for line in [
        "  2 s         search page=2 (3 ms inside) at src/search.rs:41\n",
        "  1.2 ms      DEBUG app::db: looked up in search at src/db.rs:7\n",
    ] {
        assert!(page.contains(line), "{page}");
    }
}

#[test]
fn an_ended_request_as_a_page() {
    let expected = "\
completed with status 200 after 7.81 s

request
GET /search/notices
  route       /search/{index}
  elapsed     7.81 s, slow after 2 s
  trace       4bf92f3577b34da6a3ce929d0e0e4736
  span        00f067aa0ba902b7

report
  id          01KWE5H2Z8Q4T7N1B6C3D9F0GA
  time        2026-07-01T02:03:11.812345Z (ended)
  fingerprint 9c41f0d2a7be5316
  service     identica 1.4.2 on web-3, pid 4711
";
    assert_eq!(page(&example(1), Style::Plain), expected);
}

#[test]
fn headlines() {
    let id = "[01KWE5H2Z8Q4T7N1B6C3D9F0GA]";
    assert_eq!(
        headline(&example(0)),
        format!(
            "2026-07-01T02:03:06.012345Z caught CULPRIT cpu_loop, proved: GET /search/{{index}} 2.01 s at app::search::matches src/search.rs:41:13 {id}"
        )
    );
    assert_eq!(
        headline(&example(1)),
        format!(
            "2026-07-01T02:03:11.812345Z ended completed with status 200 after 7.81 s: GET /search/{{index}} {id}"
        )
    );
    let pending = report(
        json!({"elapsed_ms": 61_000.0, "request": {"method": "GET", "path": "/a"}, "verdict": {
        "class": "silent_peer", "role": "culprit", "confidence": "likely", "cause": "",
        "waiting_for": {"kind": "socket", "what": "tokio::net::TcpStream::read"}, "peer": {"name": "db1", "address": "::1", "port": 5432}}}),
    );
    assert_eq!(
        headline(&pending),
        "2026-07-01T02:03:04Z caught CULPRIT silent_peer, likely: GET /a 61 s at tokio::net::TcpStream::read to db1 ([::1]:5432) [01K1]"
    );
    assert_eq!(
        headline(&report(json!({"event": "process"}))),
        "2026-07-01T02:03:04Z process [01K1]"
    );
}

#[test]
fn whom_and_what_it_waits_for() {
    let text = page(
        &report(
            json!({"durable": false, "action": "cancelled", "lost": {"reports": 1}, "verdict": {
            "class": "pool_wait", "role": "victim", "confidence": "suspected", "cause": "c",
            "peer": {"name": "db1", "address": "10.0.0.7", "port": 5432, "phase": "connect", "state": "SYN_SENT", "elapsed_ms": 1500.0},
            "waiting_for": {"kind": "blocking_pool", "what": "a thread"}, "holder": "01K2", "victim_of": "01K3"},
            "evidence": {"missing": ["no /proc"], "outbound": [{"kind": "http", "peer": {"name": "h", "port": 80}, "phases_ms": {"dns": 1.25}, "open": true}]}}),
        ),
        Style::Plain,
    );
    for line in [
        "VICTIM pool_wait, suspected",
        "  peer        db1 (10.0.0.7:5432) in connect for 1.5 s, socket SYN_SENT",
        "  waits for   blocking_pool: a thread",
        "  held by     01K2",
        "  victim of   01K3",
        "outbound call, open",
        "  http        h:80",
        "  phases      dns 1.25 ms",
        "  not seen    no /proc",
        "  action      cancelled",
        "  durable     no: the disk had not taken it when it was told",
        "  lost        1 reports, 0 stacks, 0 events in this process so far",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line:?} is not in\n{text}"
        );
    }
}

#[test]
fn what_was_allocated_is_counted_in_units_that_fit() {
    let line = |bytes: u64| {
        let text = page(
            &report(json!({"evidence": {"alloc_bytes": bytes}})),
            Style::Plain,
        );
        let found = text
            .lines()
            .find_map(|line| line.strip_suffix(" allocated"));
        found.map(str::to_owned).unwrap_or(text)
    };
    let said = [0, 999, 1000, 1536, 812 << 20, 1 << 30, u64::MAX].map(line);
    let wanted = [
        "0 bytes",
        "999 bytes",
        "1.0 KiB",
        "1.5 KiB",
        "812 MiB",
        "1.0 GiB",
        "17179869184 GiB",
    ];
    assert_eq!(said, wanted);
}

/// A failed call with everything that a call can say, an open one with little, and two sums.
fn calls() -> Value {
    json!({
        "outbound": [
            {"kind": "http", "peer": {"name": "api", "address": "10.0.0.9", "port": 443}, "what": "GET /items?page=2",
                "phases_ms": {"connect": 1010.0, "dns": 1.25, "odd": 3.0, "read_body": 4.0, "tls": 2.0}, "at_ms": 12.0, "elapsed_ms": 1500.0,
                "sent_bytes": 1, "received_bytes": 4096, "status": 503, "error": "reset", "span_id": "00f067aa0ba902b8",
                "tried": [{"address": "[::9]:443", "elapsed_ms": 1000.0, "error": "timeout"}, {"address": "10.0.0.9:443", "elapsed_ms": 10.0}]},
            {"kind": "postgres", "peer": {"address": "10.0.0.7", "port": 5432, "phase": "wait_headers", "state": "ESTABLISHED",
                "elapsed_ms": 490.0, "inferred": true}, "open": true, "elapsed_ms": 500.0}],
        "outbound_totals": [
            {"kind": "http", "peer": "api:443", "calls": 240, "failed": 238, "redirected": 2, "paged": 7, "total_ms": 11_900.0},
            {"kind": "redis", "peer": "cache:6379", "calls": 1, "failed": 0, "redirected": 0, "paged": 0, "total_ms": 0.3}],
    })
}

#[test]
fn outbound_calls_one_by_one_and_summed_up() {
    let expected = "\
outbound call
  http        api (10.0.0.9:443)
  asks        GET /items?page=2
  began       12 ms into the request, took 1.5 s
  phases      dns 1.25 ms, connect 1.01 s, tls 2 ms, read_body 4 ms, odd 3 ms
  moved       sent 1 byte, received 4096 bytes
  answer      status 503
  failed      reset
  tried       [::9]:443 for 1 s: timeout
  tried       10.0.0.9:443 for 10 ms
  span        00f067aa0ba902b8

outbound call, open
  postgres    10.0.0.7:5432 (inferred) in wait_headers for 490 ms, socket ESTABLISHED
  began       open for 500 ms

outbound calls, summed up
  http        api:443: 240 calls, 238 failed, 2 redirected, 7 paged, 11.9 s
  redis       cache:6379: 1 call, 0.3 ms

report
";
    let text = page(&report(json!({"evidence": calls()})), Style::Plain);
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn a_peer_that_was_concluded_is_said_to_be_so() {
    let mut fields = json!({"verdict": {"class": "silent_peer", "role": "culprit", "confidence": "likely", "cause": "c",
        "peer": {"name": "db1", "port": 5432, "phase": "read_body", "inferred": true}}});
    let inferred = report(fields.clone());
    let text = page(&inferred, Style::Plain);
    let line = "\n  peer        db1:5432 (inferred) in read_body\n";
    assert!(text.contains(line), "{text}");
    assert!(headline(&inferred).ends_with(" to db1:5432 (inferred) [01K1]"));
    fields["verdict"]["peer"]["inferred"] = false.into();
    let told = report(fields);
    assert!(!page(&told, Style::Plain).contains("inferred"));
    assert!(!headline(&told).contains("inferred"));
}

#[test]
fn nothing_in_a_call_can_move_a_cursor() {
    let poison = "\u{1b}[2J\r\n\u{202e}";
    let clean = page(&report(json!({"evidence": calls()})), Style::Plain);
    let mut calls = poisoned(&calls(), poison);
    // Its own words too: a log that was edited by hand keeps no contract.
    for list in ["outbound", "outbound_totals"] {
        for call in calls[list].as_array_mut().unwrap() {
            call["kind"] = format!("http{poison}").into();
        }
    }
    calls["outbound"][0]["phases_ms"] = json!({format!("dns{poison}"): 1.0});
    calls["outbound"][1]["peer"]["name"] = poison.into();
    let text = page(&report(json!({"evidence": calls})), Style::Plain);
    let harmless = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
    assert!(text.chars().all(harmless), "{text:?}");
    assert_eq!(text.lines().count(), clean.lines().count(), "{text}");
    for name in ["http", "asks", "failed", "tried", "span"] {
        let line = text.lines().find(|line| line.trim().starts_with(name));
        assert!(
            line.is_some_and(|line| line.contains("\\u{1b}[2J\\r\\n\\u{202e}")),
            "{name}: {text}"
        );
    }
}

#[test]
fn a_stack_without_the_users_code_is_not_folded() {
    let frames = json!([{"function": "read", "file": "a.c", "line": 1}, {"module": "app", "offset": 4660}, {}]);
    let text = page(
        &report(
            json!({"evidence": {"stacks": [{"kind": "await", "samples": 1, "complete": false, "frames": frames}]}}),
        ),
        Style::Plain,
    );
    let expected = "stack of the waiting future, innermost first\n    read a.c:1\n    app+0x1234\n    ?\n    … deeper frames could not be taken\n";
    assert!(text.contains(expected), "{text}");
}

/// Puts `poison` behind every string and in front of every key of an object whose keys are data.
fn poisoned(value: &Value, poison: &str) -> Value {
    match value {
        Value::String(text) => format!("{text}{poison}").into(),
        Value::Array(items) => items.iter().map(|item| poisoned(item, poison)).collect(),
        Value::Object(fields) => {
            let is_data =
                |name: &str| matches!(name, "path" | "query" | "headers" | "labels" | "fields");
            let field = |(name, value): (&String, &Value)| match value {
                Value::Object(data) if is_data(name) => {
                    let data = data
                        .iter()
                        .map(|(key, value)| (format!("{poison}{key}"), poisoned(value, poison)));
                    (name.clone(), Value::Object(data.collect()))
                }
                // The words of the contract stay what they are.
                _ if matches!(
                    name.as_str(),
                    "event" | "phase" | "action" | "class" | "role" | "confidence" | "kind"
                ) =>
                {
                    (name.clone(), value.clone())
                }
                _ => (name.clone(), poisoned(value, poison)),
            };
            Value::Object(fields.iter().map(field).collect())
        }
        other => other.clone(),
    }
}

#[test]
fn nothing_in_a_log_can_move_a_cursor() {
    let poison = "\u{1b}[2J\r\n\u{7}\u{7f}\u{9b}\u{202e}\u{2028}\u{feff}";
    let report: Report =
        serde_json::from_value(poisoned(&serde_json::to_value(example(0)).unwrap(), poison))
            .unwrap();
    let plain = page(&report, Style::Plain);
    let allowed = |c: char| {
        c == '\n' || !(c.is_control() || poison.contains(c) && c != '[' && c != '2' && c != 'J')
    };
    assert!(plain.chars().all(allowed), "{plain:?}");
    assert_eq!(
        plain.lines().count(),
        page(&example(0), Style::Plain).lines().count(),
        "no line was split"
    );
    assert!(plain.contains(
        "app::search::matches\\u{1b}[2J\\r\\n\\u{7}\\u{7f}\\u{9b}\\u{202e}\\u{2028}\\u{feff}"
    ));
    assert!(headline(&report).chars().all(|c| c != '\n' && allowed(c)));
}

#[test]
fn colours_are_the_only_difference() {
    let mut colored = page(&example(0), Style::Color);
    assert!(colored.starts_with("\u{1b}[1;31mCULPRIT"));
    assert!(colored.contains("\u{1b}[1m  > app::search::matches src/search.rs:41:13\u{1b}[0m\n"));
    for code in [
        "\u{1b}[1;31m",
        "\u{1b}[33m",
        "\u{1b}[1m",
        "\u{1b}[2m",
        "\u{1b}[0m",
    ] {
        colored = colored.replace(code, "");
    }
    assert_eq!(colored, page(&example(0), Style::Plain));
}

#[test]
fn an_empty_report_is_no_trouble() {
    let empty = Report::default();
    assert!(!page(&empty, Style::Color).is_empty());
    assert!(!headline(&empty).is_empty());
    let mut evidence = crate::Evidence::default();
    evidence.stacks.push(Stack::default());
    let odd = Report {
        evidence: Some(evidence),
        ..Report::default()
    };
    assert!(page(&odd, Style::Plain).contains("stack of the thread"));
}

#[test]
fn durations_in_the_unit_that_fits() {
    let cases = [
        (0.0, "0 ms"),
        (0.456, "0.46 ms"),
        (9.999, "10 ms"),
        (12.4, "12 ms"),
        (999.4, "999 ms"),
        (999.6, "1 s"),
        (2012.3, "2.01 s"),
        (99_994.0, "99.99 s"),
        (99_996.0, "1 min 39 s"),
        (200_000.0, "3 min 20 s"),
        (7_500_000.0, "2 h 5 min"),
        (-1.0, "-1.0 ms"),
        (f64::NAN, "NaN ms"),
        (1e300, "1e300 ms"),
    ];
    for (ms, expected) in cases {
        assert_eq!(duration(ms), expected, "{ms}");
    }
}

#[test]
fn trouble_without_a_request_as_a_page_and_as_a_line() {
    let paused = report(json!({
        "event": "process", "elapsed_ms": 890.0, "fingerprint": "00000000000000aa", "occurrences": 3,
        "verdict": {"class": "machine_paused", "role": "bystander", "confidence": "proved",
            "cause": "the process did not run for 890 ms: its CPU quota was used up"},
        "evidence": {"machine": {"load": 2.5, "cpu_throttled_ms": 1790.0}},
    }));
    let expected = "\
BYSTANDER machine_paused, proved
the process did not run for 890 ms: its CPU quota was used up

  elapsed     890 ms

counted
load 2.5, 1.79 s throttled

report
  id          01K1
  time        2026-07-01T02:03:04Z (process)
  fingerprint 00000000000000aa, seen 3 times in this process
";
    let text = page(&paused, Style::Plain);
    assert!(text.starts_with(expected), "{text}");
    assert_eq!(
        headline(&paused),
        "2026-07-01T02:03:04Z process BYSTANDER machine_paused, proved 890 ms [01K1]"
    );
}

#[test]
fn a_request_that_is_not_whole_is_told_by_its_client() {
    let half = report(json!({
        "request": {"method": "", "client": "192.0.2.7:4711"}, "elapsed_ms": 2010.0, "phase": "request_head",
        "verdict": {"class": "client_stalled", "role": "bystander", "confidence": "likely",
            "cause": "the client has sent 17 bytes of a request's head and has not finished it in 2.01 s"},
    }));
    assert_eq!(
        headline(&half),
        "2026-07-01T02:03:04Z caught BYSTANDER client_stalled, likely: 192.0.2.7:4711 2.01 s [01K1]"
    );
    let text = page(&half, Style::Plain);
    assert!(
        text.contains("\nrequest\n  client      192.0.2.7:4711\n")
            && text.contains("in request_head"),
        "{text}"
    );
}
