//! The whole story in small: all four culprits are caught and named, and nobody else is.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn identica(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_identica"));
    // What the environment says is stronger than the code, and would be another story.
    for name in [
        "REDHANDED_SLOW_AFTER",
        "REDHANDED_SLOW_LOG",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ] {
        command.env_remove(name);
    }
    command
        .args(args)
        .output()
        .expect("identica could not be started")
}

#[test]
fn four_are_caught_and_no_innocent_is_accused() {
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("story/slow-requests.jsonl");
    let output = identica(&[
        "--requests",
        "2000",
        "--json",
        "--log",
        &log.to_string_lossy(),
    ]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let all = format!("{stdout}\n{stderr}\nsee {}", log.display());
    assert_eq!(output.status.code(), Some(0), "{all}");
    let story: Value = serde_json::from_str(&stdout).expect("one line of JSON");
    assert_eq!(story["innocents_named_culprit"], 0, "{all}");
    assert_eq!(story["failed"], 0, "{all}");
    // Samples may be lost on a busy machine; reports may not.
    assert_eq!(story["lost"]["reports"], 0, "{all}");

    let caught =
        |class: &str, route: &str, function: &str, file: &str, place: &str, param: (&str, &str)| {
            let found = story["caught"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|c| c["route"] == route);
            let found = found.unwrap_or_else(|| panic!("{route} was not caught: {all}"));
            assert_eq!(
                (&found["class"], &found["role"]),
                (&Value::from(class), &Value::from("culprit")),
                "{all}"
            );
            let ends =
                |key: &str, end: &str| found[key].as_str().is_some_and(|text| text.ends_with(end));
            assert!(
                ends("function", function)
                    && ends("file", file)
                    && found["line"].as_u64() > Some(1),
                "{found}"
            );
            let value = found["params"][place][param.0].as_str().unwrap_or_default();
            assert!(value.starts_with(param.1), "{found}");
            found
        };
    caught(
        "cpu_loop",
        "/search",
        "search::is_well_formed",
        "src/search.rs",
        "query",
        ("q", "Rindfleisch"),
    );
    let blocked = caught(
        "blocked_thread",
        "/avatar/{user}",
        "avatars::ask_store",
        "src/avatars.rs",
        "path",
        ("user", "mallory"),
    );
    let unreachable = caught(
        "unreachable_host",
        "/federate",
        "federation::node_info",
        "src/federation.rs",
        "query",
        ("host", "swallowed.example"),
    );
    let holder = caught(
        "stuck_await",
        "/boost",
        "boosts::boost",
        "src/boosts.rs",
        "query",
        ("notice", "313"),
    );

    assert!(
        ["recvfrom", "read"]
            .iter()
            .any(|call| blocked["syscall"] == *call),
        "{blocked}"
    );
    assert_eq!(blocked["peer"]["address"], "127.0.0.1", "{blocked}");
    assert!(blocked["peer"]["port"].as_u64() > Some(0), "{blocked}");
    assert_swallowed(&unreachable["peer"]);
    // What it hangs in is told by the call itself: with its name, not only where its packets go.
    let calls = calls_of(unreachable, &log);
    let open: Vec<&Value> = calls.iter().filter(|call| call["open"] == true).collect();
    let [call] = open[..] else {
        panic!("not one open call: {calls:?}");
    };
    assert_eq!(call["what"], "GET /nodeinfo", "{call}");
    assert_swallowed(&call["peer"]);
    assert!(call["peer"]["port"].as_u64() > Some(0), "{call}");
    assert_eq!(call["peer"]["port"], unreachable["peer"]["port"], "{call}");
    // What it asked before it hung is told, though all of it was answered.
    let calls = calls_of(holder, &log);
    for (kind, what) in [("database", "SELECT "), ("queue", "SEND /queue/")] {
        let asked = |call: &Value| {
            let found = call["what"].as_str().unwrap_or_default();
            call["kind"] == kind && found.starts_with(what) && call["open"] == false
        };
        assert!(calls.iter().any(asked), "{kind} is not in {calls:?}");
    }
    let victims = story["victims"].as_array().map_or(&[][..], Vec::as_slice);
    assert!(
        victims.iter().any(|v| v["victim_of"] == holder["id"]),
        "{all}"
    );
}

/// The host by its name, and what the call has come to.
#[track_caller]
fn assert_swallowed(peer: &Value) {
    for (key, wanted) in [
        ("name", "swallowed.example"),
        ("phase", "connect"),
        ("state", "SYN_SENT"),
    ] {
        assert_eq!(peer[key], wanted, "{key} of {peer}");
    }
}

/// The outbound calls that the log tells of a request.
fn calls_of(caught: &Value, log: &Path) -> Vec<Value> {
    let told = std::fs::read_to_string(log).expect("the log");
    let calls = told
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"))
        .filter(|report| report["id"] == caught["id"])
        .find_map(|report| report["evidence"]["outbound"].as_array().cloned());
    calls.unwrap_or_else(|| panic!("no calls of {caught} in {told}"))
}

#[test]
fn a_mistake_on_the_command_line_is_explained() {
    let output = identica(&["--request", "5"]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("\"--request\"") && told.contains("--requests N") && output.stdout.is_empty(),
        "{told}"
    );
}

#[test]
fn a_server_that_is_not_there_is_named_without_its_password() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = listener.local_addr().expect("its address");
    drop(listener);
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nobody/slow-requests.jsonl");
    let log = log.to_string_lossy();
    let mut servers = vec![("--queue", "stomp")];
    if cfg!(feature = "servers") {
        servers.extend([("--database", "postgres"), ("--cache", "redis")]);
    }
    for (option, scheme) in servers {
        let url = format!("{scheme}://app:secret@{nobody}/0");
        let output = identica(&[option, &url, "--log", &log]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(&format!("{scheme}://{nobody}")), "{told}");
        assert!(
            told.contains("refused") && !told.contains("secret"),
            "{told}"
        );
    }
}
