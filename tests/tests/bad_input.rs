//! Whatever a user sets and a client sends: an error that helps, or a record that is clean.

use redhanded::report::{Class, Report, Style, page};
use redhanded_tests::{PATIENCE, SLOW_AFTER, Stall, caught, until};
use std::process::Output;

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A start that is refused, with an error that has all these words.
#[track_caller]
fn is_refused(output: &Output, words: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for word in words {
        assert!(text.contains(word), "the error lacks {word:?}: {text}");
    }
}

#[test]
fn a_threshold_of_zero() {
    is_refused(
        &Stall::of(&[]).args(&["--slow-after", "0"]).output(),
        &["slow_after(0)", "zero", "2 s"],
    );
    let route = ["--route", "/export/{id}", "0"];
    is_refused(
        &Stall::of(&[]).args(&route).output(),
        &["/export/{id}", "zero"],
    );
}

#[test]
fn variables_of_ours_that_make_no_sense() {
    let cases: [(&str, &str, &[&str]); 10] = [
        ("REDHANDED_SLOW_AFTER", "soon", &["2s", "500ms"]),
        ("REDHANDED_SLOW_AFTER", "0s", &["above zero"]),
        ("REDHANDED_SLOW_AFTER", "", &["500ms"]),
        ("REDHANDED_SLOW_LOG", "", &["path", "stderr"]),
        ("REDHANDED_LOG", "loud", &["off, warn or info"]),
        ("REDHANDED_SPOOL", "", &["a directory", "or off"]),
        (
            "REDHANDED_SPOOL",
            "/proc/none/spool",
            &["a directory that can be made, written and locked, or off"],
        ),
        (
            "REDHANDED_FLIGHT_RECORDER",
            "/does/not/exist/requests.rh",
            &["cannot be created", "writable directory", "or off"],
        ),
        (
            "REDHANDED_FLIGHT_RECORDER",
            "/dev/null",
            &["is no regular file", "or off"],
        ),
        (
            "REDHANDED_SLOW_LOG",
            "/does/not/exist/slow.jsonl",
            &["cannot be written", "writable directory", "stderr"],
        ),
    ];
    for (name, value, accepted) in cases {
        let output = Stall::of(&[]).env(name, value).output();
        is_refused(&output, accepted);
        is_refused(&output, &[value]);
        // A path may come from code as well, and the message says so of neither.
        assert!(
            stderr(&output).contains(name) || value.starts_with('/'),
            "{name}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn a_variable_that_is_no_text() {
    use std::os::unix::ffi::OsStringExt;
    let output = Stall::of(&[])
        .env(
            "REDHANDED_SLOW_AFTER",
            std::ffi::OsString::from_vec(b"2s\xff".to_vec()),
        )
        .output();
    is_refused(&output, &["REDHANDED_SLOW_AFTER", "500ms"]);
}

#[test]
fn variables_of_opentelemetry_that_make_no_sense_are_warned_about() {
    let cases = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "no url at all"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "pigeon"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "nonsense"),
        ("OTEL_RESOURCE_ATTRIBUTES", "nonsense"),
    ];
    for (name, value) in cases {
        let mut start = Stall::of(&["sleep"]).env(name, value);
        if name != "OTEL_EXPORTER_OTLP_ENDPOINT" {
            start = start.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
        }
        let stall = start.start();
        stall.is_well();
        let text = stall.stderr();
        let warned = text.lines().any(|line| line.contains(name));
        assert!(warned, "{name}={value:?} is not warned about: {text}");
        // The values of headers are keys to the collector: they are not repeated.
        let shown = text.contains(value);
        assert_eq!(shown, !name.ends_with("_HEADERS"), "{name}: {text}");
    }
}

#[test]
fn a_log_that_cannot_be_written_where_it_was_asked_for() {
    let start = Stall::of(&[]);
    let directory = start.dir().to_str().expect("text").to_owned();
    is_refused(
        &start.args(&["--log", &directory]).output(),
        &[&directory, "cannot be written", "a directory"],
    );
    is_refused(
        &Stall::of(&[]).args(&["--log", "/dev/full"]).output(),
        &["/dev/full", "no regular file", "stderr"],
    );
}

/// `/proc` is a directory in which not even root can make a file.
#[test]
fn a_default_log_that_cannot_be_written_goes_to_stderr() {
    let stall = Stall::of(&["sleep"]).in_dir("/proc").start_as_is();
    let text = stall.stderr();
    assert!(
        text.contains("slow-requests.jsonl cannot be written") && text.contains("stderr"),
        "{text}"
    );
    let _hangs = stall.get("/sleep/42");
    let line = until(PATIENCE, || {
        let text = stall.stderr();
        text.lines()
            .find(|l| l.starts_with('{') && l.contains("/sleep/42"))
            .map(str::to_owned)
    });
    let line = line.unwrap_or_else(|| panic!("no record on stderr: {}", stall.stderr()));
    let record: Report = serde_json::from_str(&line).expect("a record");
    assert_eq!(record.verdict.map(|v| v.class), Some(Class::StuckAwait));
}

#[test]
fn a_log_in_the_working_directory_is_the_default() {
    let start = Stall::of(&["sleep"]);
    let log = start.dir().join("slow-requests.jsonl");
    let stall = start.log_is(log).start_as_is();
    let _hangs = stall.get("/sleep/42");
    caught(&stall, "/sleep/42").as_class(Class::StuckAwait);
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(stall.log())
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "for its owner alone");
}

/// Capture of running threads goes without, says so, and the application keeps its signal.
#[test]
fn an_application_that_handles_sigurg_itself() {
    let stall = Stall::of(&["spin"]).args(&["--own-urgent"]).start();
    let _hangs = stall.get("/spin/42");
    caught(&stall, "/spin/42")
        .that("without its stack, and it says why", |r| {
            let missing = r
                .evidence
                .as_ref()
                .map(|e| e.missing.join("; "))
                .unwrap_or_default();
            missing.contains("SIGURG")
        })
        .that("in a class that fits", |r| {
            r.verdict
                .as_ref()
                .is_some_and(|v| matches!(v.class, Class::CpuLoop | Class::Unknown))
        });
    stall.signal(rustix::process::Signal::URG);
    stall.counts("urgent", 1);
    stall.is_well();
}

/// A stack of a blocked thread comes from /proc; what cannot be seen is named and nothing breaks.
#[test]
fn a_machine_without_proc() {
    let script = r#"mount -t tmpfs none /proc; exec "$@""#;
    let Some(start) = Stall::of_in_namespace(&["std_sleep", "sleep"], script) else {
        eprintln!("skipped: this test may make no mount namespace");
        return;
    };
    let stall = start.start();
    let _hangs = [stall.get("/std_sleep/42"), stall.get("/sleep/42")];
    caught(&stall, "/sleep/42").as_class(Class::StuckAwait);
    caught(&stall, "/std_sleep/42")
        .that("saying what is missing", |r| {
            r.evidence.as_ref().is_some_and(|e| !e.missing.is_empty())
        })
        .that("in a class that fits", |r| {
            r.verdict
                .as_ref()
                .is_some_and(|v| matches!(v.class, Class::BlockedThread | Class::Unknown))
        });
    assert!(
        stall.stderr().contains("not blocked threads"),
        "said at the start: {}",
        stall.stderr()
    );
    stall.is_well();
}

/// hyper refuses more than 64 KiB; what it lets through is cut in the report.
#[test]
fn a_very_long_url() {
    let stall = Stall::of(&["sleep"]).start();
    let long = |bytes: usize| format!("/sleep/42?q={}", "x".repeat(bytes));
    assert_eq!(stall.get(&long(100_000)).status_within(PATIENCE), Some(414));
    let _hangs = stall.get(&long(60_000));
    let record = caught(&stall, "/sleep/42")
        .as_class(Class::StuckAwait)
        .record();
    let request = record.request.expect("a request");
    assert!(
        request.url.len() < 1_200 && request.url.contains("bytes)"),
        "cut, and it says so: {}",
        request.url
    );
    assert!(
        stall.lines().iter().all(|l| l.len() < 64 << 10),
        "no line carries it all"
    );
    stall.counts("in_flight", 1);
}

/// No byte that steers a terminal or tears a line, in the log or on the page.
#[track_caller]
fn is_clean(stall: &Stall) {
    let raw = std::fs::read(stall.log()).expect("a log");
    let text = String::from_utf8(raw).expect("UTF-8");
    let dirty = text
        .split('\n')
        .flat_map(str::chars)
        .find(|c| c.is_control());
    assert_eq!(dirty, None, "a control character in the log: {text:?}");
    let escaped = ["\\u001b", "\\u0000", "\\r", "\\n", "\\u009b", "\\u007f"];
    let hidden = escaped.iter().find(|e| text.contains(**e));
    assert_eq!(
        hidden, None,
        "a control character behind JSON's escape: {text}"
    );
    for record in stall.records() {
        let page = page(&record, Style::Plain);
        assert_eq!(
            page.chars().find(|c| c.is_control() && *c != '\n'),
            None,
            "{page:?}"
        );
    }
}

#[test]
fn bytes_that_steer_a_terminal() {
    let stall = Stall::of(&["sleep"]).start();
    let get = |target: &str, agent: &[u8]| {
        let head = format!("GET {target} HTTP/1.1\r\nhost: shop.example\r\nuser-agent: ");
        stall.send(&[head.as_bytes(), agent, b"\r\n\r\n"].concat())
    };
    let _hang = [
        get("/sleep/a?q=%ff%fe%00&%ff=1", b"tests/1"),
        get(
            "/sleep/b?q=%1b%5b31mred%0d%0aSet-Cookie:%20x&%1b=1",
            b"tests/1",
        ),
        get("/sleep/c%1b%5b2J%0a", b"tests/1"),
        get("/sleep/d", b"\xff\xfe\x80 latin\tand tab"),
        get("/sleep/e", "c1 \u{9b}31m and \u{202e}turned".as_bytes()),
    ];
    for id in ["a", "b", "d", "e"] {
        caught(&stall, &format!("/sleep/{id}")).as_class(Class::StuckAwait);
    }
    assert!(
        until(PATIENCE, || stall
            .lines()
            .iter()
            .any(|l| l.contains("/sleep/c"))
            .then_some(()))
        .is_some()
    );
    is_clean(&stall);
    // What no header or target may hold is refused before anybody sees it.
    assert_eq!(
        get("/sleep/f", b"\x1b[31m").status_within(PATIENCE),
        Some(400)
    );
    assert_eq!(
        get("/sleep/\x1b[31m", b"tests/1").status_within(PATIENCE),
        Some(400)
    );
    let mut raw = stall.send(b"GET /sleep/g?q=\xff\xfe HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    if raw.status_within(SLOW_AFTER).is_none() {
        caught(&stall, "/sleep/g").as_class(Class::StuckAwait);
        is_clean(&stall);
    }
}

#[test]
fn secrets_never_reach_the_log() {
    let headers = [
        "--header",
        "authorization",
        "--header",
        "referer",
        "--header",
        "x-api-key",
        "--header",
        "user-agent",
    ];
    let stall = Stall::of(&["secrets", "reset"]).args(&headers).start();
    let head = "host: user:hunter2a@shop.example\r\n\
        authorization: Bearer hunter2b\r\n\
        x-api-key: hunter2c\r\n\
        user-agent: tests/1 password=hunter2d\r\n\
        referer: https://me:hunter2e@shop.example/reset/x?token=hunter2f#access_token=hunter2g\r\n\r\n";
    let targets = [
        "/secrets/42?password=hunter2h&api_key=hunter2i&q=public&p%61ssword=hunter2j&next=%2Flogin%3Ftoken%3Dhunter2k",
        "/reset/hunter2l",
    ];
    let _hang = targets.map(|t| stall.send(format!("GET {t} HTTP/1.1\r\n{head}").as_bytes()));
    caught(&stall, "/secrets/42")
        .as_class(Class::StuckAwait)
        .that("with what is no secret", |r| {
            r.request
                .as_ref()
                .is_some_and(|q| q.params.query.get("q").is_some_and(|v| v == "public"))
        })
        .that("with the keys kept", |r| {
            r.request.as_ref().is_some_and(|q| {
                q.params
                    .query
                    .get("password")
                    .is_some_and(|v| v.starts_with("REDACTED"))
            })
        });
    caught(&stall, "/reset/REDACTED").as_class(Class::StuckAwait);
    let raw = std::fs::read_to_string(stall.log()).expect("a log");
    let leaks: Vec<&str> = raw
        .match_indices("hunter2")
        .map(|(at, _)| &raw[at.saturating_sub(60)..at + 8])
        .collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
    assert!(!stall.stderr().contains("hunter2"), "{}", stall.stderr());
}
