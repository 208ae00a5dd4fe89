//! What is accepted, and what is said of what is not.

use super::*;

fn with(name: &str, value: &str) -> Result<(Config, Vec<String>), Error> {
    let mut config = Config::new("app");
    let warnings = config.resolve(|n| (n == name).then(|| value.to_owned()))?;
    Ok((config, warnings))
}

#[test]
fn zero_thresholds_are_refused() {
    let mut config = Config::new("app");
    config.slow_after = Duration::ZERO;
    assert!(config.resolve(|_| None).unwrap_err().is_config());
    let mut config = Config::new("app");
    let rule = RouteRule {
        slow_after: Some(Duration::ZERO),
        ..RouteRule::default()
    };
    config.routes.push(("/export".into(), rule));
    let error = config.resolve(|_| None).unwrap_err().to_string();
    assert!(
        error.contains("/export") && error.contains("zero"),
        "{error}"
    );
}

#[test]
fn bad_values_of_ours_name_variable_value_and_what_is_accepted() {
    for bad in ["", "soon", "2", "-1s", "0s"] {
        let error = with("REDHANDED_SLOW_AFTER", bad).unwrap_err().to_string();
        for part in ["REDHANDED_SLOW_AFTER", &format!("{bad:?}"), "500ms"] {
            assert!(error.contains(part), "{error} lacks {part}");
        }
    }
    assert!(with("REDHANDED_SLOW_LOG", "").is_err());
    let error = with("REDHANDED_LOG", "loud").unwrap_err().to_string();
    assert!(
        error.contains("REDHANDED_LOG=\"loud\"") && error.contains("off, warn or info"),
        "{error}"
    );
}

#[test]
fn the_baseline_is_a_whole_number() {
    for (value, one_in) in [("0", 0), ("1", 1), ("100", 100)] {
        assert_eq!(
            with("REDHANDED_KEEP_ONE_IN", value).unwrap().0.keep_one_in,
            one_in
        );
    }
    for bad in ["", "-1", "1/1000", "0.001", "all"] {
        let error = with("REDHANDED_KEEP_ONE_IN", bad).unwrap_err().to_string();
        assert!(
            error.contains(&format!("REDHANDED_KEEP_ONE_IN={bad:?}"))
                && error.contains("whole number"),
            "{error}"
        );
    }
}

#[test]
fn thresholds_of_health_that_make_no_sense_are_refused() {
    for (unready_ms, restart_ms) in [(0, 1_000), (300, 299)] {
        let mut config = Config::new("app");
        config.health.unready_after = Duration::from_millis(unready_ms);
        config.health.restart_after = Duration::from_millis(restart_ms);
        let error = config.resolve(|_| None).unwrap_err();
        assert!(error.is_config() && error.to_string().contains("unready_after"));
    }
}

#[test]
fn the_environment_says_where_health_checks_are_answered() {
    let (config, _) = with("REDHANDED_HEALTH_LISTEN", "[::1]:9901").unwrap();
    assert_eq!(config.health.listener, "[::1]:9901".parse().ok());
    let (config, _) = with("REDHANDED_AGENT_CHECK_LISTEN", "off").unwrap();
    assert_eq!(config.health.agent_check, None);
    for bad in ["", "9901", "localhost:9901", "127.0.0.1"] {
        for name in ["REDHANDED_HEALTH_LISTEN", "REDHANDED_AGENT_CHECK_LISTEN"] {
            let error = with(name, bad).unwrap_err().to_string();
            for part in [name, &format!("{bad:?}"), "127.0.0.1:9901"] {
                assert!(error.contains(part), "{error} lacks {part}");
            }
        }
    }
}

#[test]
fn the_environment_names_the_flight_recorder_or_switches_it_off() {
    const NAME: &str = "REDHANDED_FLIGHT_RECORDER";
    let (config, _) = with(NAME, "/run/a.rh").unwrap();
    assert_eq!(
        config.flight_recorder.unwrap().path,
        PathBuf::from("/run/a.rh")
    );
    let resolved = |value: &str| {
        let mut config = Config::new("app");
        config.flight_recorder = Some(FlightRecorder::new("code.rh").records(7));
        config
            .resolve(|n| (n == NAME).then(|| value.to_owned()))
            .map(|_| config.flight_recorder)
    };
    let changed = resolved("env.rh").unwrap().unwrap();
    assert_eq!(
        (changed.path, changed.records),
        (PathBuf::from("env.rh"), 7)
    );
    for off in ["", "off"] {
        assert_eq!(resolved(off).unwrap(), None);
    }
    for bad in ["/run/", "a\u{fffd}b"] {
        let error = resolved(bad).unwrap_err().to_string();
        for part in [NAME, &format!("{bad:?}"), "/run/app/requests.rh, or off"] {
            assert!(error.contains(part), "{error} lacks {part}");
        }
    }
}

#[test]
fn a_flight_recorder_without_records_is_refused() {
    let check = |recorder: FlightRecorder| recorder.check().unwrap_err().to_string();
    assert!(check(FlightRecorder::new("x").records(0)).contains("from 1 to 1048576"));
    assert!(check(FlightRecorder::new("x").records(1 << 21)).contains("2097152"));
    assert!(check(FlightRecorder::new("x").sync_every(Duration::ZERO)).contains("10 ms or more"));
}

#[test]
fn the_environment_has_the_last_word() {
    assert_eq!(
        with("REDHANDED_SLOW_AFTER", "500ms").unwrap().0.slow_after,
        Duration::from_millis(500)
    );
    assert_eq!(
        with("REDHANDED_SLOW_LOG", "stderr").unwrap().0.log,
        Log::Stderr
    );
    assert_eq!(
        with("OTEL_SERVICE_NAME", "other").unwrap().0.service.name,
        "other"
    );
    let (config, warnings) =
        with("OTEL_RESOURCE_ATTRIBUTES", "service.version=1%2E2,nonsense").unwrap();
    assert_eq!(config.service.version.as_deref(), Some("1.2"));
    assert!(warnings[0].contains("nonsense") && warnings[0].contains("key=value"));
}
