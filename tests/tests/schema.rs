//! What the log of real stalls says is what the schema says, to the letter.

use redhanded::report::{Class, Event};
use redhanded_tests::{Stall, caught, until};

fn schema() -> serde_json::Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../crates/redhanded-report/schema/report.schema.json"
    );
    let text = std::fs::read_to_string(path).expect("the schema is checked in");
    serde_json::from_str(&text).expect("the schema is JSON")
}

#[test]
fn every_line_of_real_stalls_is_valid() {
    let names = [
        "std_sleep",
        "std_read",
        "channel",
        "read",
        "mutex",
        "no_waker",
        "stops",
        "upload",
        "panic",
    ];
    let stall = Stall::of(&names).args(&["--workers", "6"]).start();
    let asked = names.map(|name| stall.get(&format!("/{name}/42?q=x%ff&token=y")));
    for name in [
        "std_sleep",
        "std_read",
        "channel",
        "read",
        "mutex",
        "no_waker",
        "stops",
    ] {
        caught(&stall, &format!("/{name}/42"));
    }
    caught(&stall, "/channel/42").as_class(Class::StuckAwait);
    drop(asked);
    let ended = until(redhanded_tests::PATIENCE, || {
        stall
            .records()
            .into_iter()
            .find(|r| r.event == Event::Ended)
    });
    assert!(ended.is_some(), "lines of every kind");
    let validator = jsonschema::validator_for(&schema()).expect("the schema is a schema");
    for line in stall.lines() {
        let record: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let errors: Vec<String> = validator
            .iter_errors(&record)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}\n{line}");
    }
}

/// A schema that lets everything through would prove nothing.
#[test]
fn the_schema_tells_right_from_wrong() {
    let validator = jsonschema::validator_for(&schema()).expect("the schema is a schema");
    let stall = Stall::of(&["channel"]).start();
    let _hangs = stall.get("/channel/42");
    caught(&stall, "/channel/42");
    let line = stall.lines().into_iter().next().expect("a line");
    let good: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert!(validator.is_valid(&good));
    for (place, value) in [
        ("/event", "cought"),
        ("/elapsed_ms", "long"),
        ("/verdict/class", "cpu loop"),
        ("/lost/reports", "-1"),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(place).expect("it is there") = value.into();
        assert!(
            !validator.is_valid(&bad),
            "{place} = {value:?} is let through"
        );
    }
}
