//! The example log that the documentation shows.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

use redhanded_report::{Class, Event, How, Report, SCHEMA};

const EXAMPLE: &str = include_str!("../fixtures/caught.jsonl");

fn reports() -> Vec<Report> {
    EXAMPLE
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn it_is_one_runaway_that_was_caught_and_ended() {
    let [caught, ended] = reports().try_into().unwrap();
    assert_eq!((caught.event, ended.event), (Event::Caught, Event::Ended));
    assert_eq!(caught.id, ended.id);
    assert_eq!(caught.id.len(), 26);
    assert_eq!(
        (caught.schema.as_str(), ended.schema.as_str()),
        (SCHEMA, SCHEMA)
    );
    assert_eq!(caught.verdict.unwrap().class, Class::CpuLoop);
    assert_eq!(ended.outcome.unwrap().how, How::Completed);
}

/// Nothing in the example is unknown to the types, and nothing is written that it does not have.
#[test]
fn it_survives_the_way_through_the_types() {
    for (line, report) in EXAMPLE.lines().zip(reports()) {
        let given: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_value(&report).unwrap(), given);
        let again: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        assert_eq!(again, report);
    }
}
