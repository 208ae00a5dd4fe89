//! Processes that hang, scraped over real HTTP.

use redhanded_tests::{PATIENCE, Stall, asked_http, caught, until};

fn line_of(text: &str, beginning: &str) -> Option<String> {
    text.lines()
        .find(|line| line.starts_with(beginning))
        .map(str::to_owned)
}

#[test]
fn who_is_caught_is_told_by_class_and_is_an_example_once_it_ends() {
    let stall = Stall::of(&["late"]).args(&["--metrics"]).start();
    let mut request = stall.get("/late/7");
    caught(&stall, "/late/7");
    let open = "GET /metrics HTTP/1.1\r\nhost: x\r\naccept: application/openmetrics-text\r\n\r\n";
    let scrape = || {
        stall
            .send(open.as_bytes())
            .body_within(PATIENCE)
            .expect("it is answered")
    };
    let runaways = until(PATIENCE, || line_of(&scrape(), "redhanded_runaways_total{"));
    let runaways = runaways.expect("it is counted");
    for part in [
        "http_route=\"/late/{id}\"",
        "redhanded_class=\"",
        "redhanded_role=\"",
        "} 1 # {trace_id=\"",
    ] {
        assert!(runaways.contains(part), "{part} in {runaways}");
    }
    assert_eq!(request.status_within(PATIENCE), Some(200));
    let trace = runaways
        .split("trace_id=\"")
        .nth(1)
        .and_then(|rest| rest.get(..32))
        .expect("an id");
    let example = until(PATIENCE, || {
        let text = scrape();
        text.lines()
            .find(|line| {
                line.starts_with("http_server_request_duration_seconds_bucket")
                    && line.contains(trace)
            })
            .map(str::to_owned)
    });
    let example = example.expect("its bucket has it as an example");
    assert!(example.contains("http_route=\"/late/{id}\""), "{example}");
}

#[test]
fn who_is_in_flight_is_told_until_it_is_over() {
    let stall = Stall::of(&["sleep"]).args(&["--metrics"]).start();
    let becomes = |count: u32| {
        let line = format!(
            "http_server_active_requests{{http_request_method=\"GET\",url_scheme=\"http\"}} {count}\n"
        );
        let told = until(PATIENCE, || {
            let text = stall.get("/metrics").body_within(PATIENCE)?;
            text.contains(&line).then_some(())
        });
        assert!(told.is_some(), "it should become {count}");
    };
    let held = [stall.get("/sleep/1"), stall.get("/sleep/2")];
    becomes(2);
    drop(held);
    becomes(0);
}

#[test]
fn numbers_are_told_while_every_worker_stands() {
    let args = ["--metrics", "--workers", "1", "--health", "127.0.0.1:0"];
    let stall = Stall::of(&["spin"]).args(&args).start();
    let address = stall.told("health").parse().expect("an address");
    let before = asked_http(address, "/metrics");
    assert_eq!(before.0, 200);
    assert!(
        before.1.contains("\nredhanded_health_wedged 0\n"),
        "{}",
        before.1
    );
    let _hangs = stall.get("/spin/42");
    let wedged = until(PATIENCE, || {
        let (_, text) = asked_http(address, "/metrics");
        text.contains("\nredhanded_health_wedged 1\n")
            .then_some(text)
    });
    let text = wedged.expect("its only worker stands");
    assert!(text.contains("\nredhanded_health_ready 0\n"), "{text}");
    let busy = line_of(&text, "redhanded_runtime_workers{redhanded_runtime=");
    assert!(
        busy.is_some_and(|line| line.ends_with("redhanded_state=\"busy\"} 1")),
        "{text}"
    );
    let cpu = line_of(&text, "redhanded_watchdog_cpu_time_seconds_total ");
    let cpu = cpu.and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    assert!(cpu.is_some_and(|seconds| seconds > 0.0), "{text}");
}

#[test]
fn no_stranger_switches_the_counting_on() {
    let stall = Stall::of(&["spin"])
        .args(&["--health", "127.0.0.1:0"])
        .start();
    let address = stall.told("health").parse().expect("an address");
    let (status, text) = asked_http(address, "/metrics");
    assert_eq!(status, 404);
    assert!(text.contains("metrics(true)"), "{text}");
}
