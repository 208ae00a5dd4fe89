//! How much a span weighs while it waits.

use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::SpanData;

/// About what the span takes in memory, and not less than it takes on the wire.
pub(crate) fn bytes(span: &SpanData) -> usize {
    let status = match &span.status {
        opentelemetry::trace::Status::Error { description } => description.len(),
        _ => 0,
    };
    let events = span
        .events
        .iter()
        .map(|event| size_of_val(event) + event.name.len() + attributes(&event.attributes));
    let links = span.links.iter();
    let links = links.map(|link| size_of_val(link) + attributes(&link.attributes));
    let own = size_of_val(span) + span.name.len() + status;
    own + attributes(&span.attributes) + events.sum::<usize>() + links.sum::<usize>()
}

fn attributes(list: &[KeyValue]) -> usize {
    list.iter()
        .map(|one| size_of_val(one) + one.key.as_str().len() + value(&one.value))
        .sum()
}

/// What a value takes outside of itself.
fn value(value: &Value) -> usize {
    match value {
        Value::String(text) => text.as_str().len(),
        Value::Array(Array::String(texts)) => texts
            .iter()
            .map(|text| size_of::<StringValue>() + text.as_str().len())
            .sum(),
        // The others that we make have no such part.
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::trace::v1::Span;
    use prost::Message;
    use redhanded_report::{Class, Confidence, Event, Evidence, Report, Role, Verdict};

    fn weights(report: &Report) -> Vec<(usize, usize)> {
        // Unsure: then calls with an id have a link to it.
        let mut told = crate::told::Told::unsure();
        crate::mapping::runaway("redhanded.caught", report, &mut told)
            .into_iter()
            .map(|span| (bytes(&span), Span::from(span).encoded_len()))
            .collect()
    }

    #[test]
    fn what_is_long_on_the_wire_weighs_at_least_as_much() {
        let mut report = Report::new(Event::Caught, "id");
        let (role, confidence) = (Role::Culprit, Confidence::Proved);
        let mut verdict = Verdict::new(Class::CpuLoop, role, confidence, "c".repeat(2000));
        verdict.victim_ids = vec!["v".repeat(3000); 64];
        report.verdict = Some(verdict);
        let mut evidence = Evidence::default();
        evidence.stacks = vec![Default::default(); 200];
        let mut event = redhanded_report::LogEvent::default();
        event.text = "e".repeat(2500);
        evidence.events = vec![event; 64];
        let mut open = redhanded_report::SpanSnapshot::default();
        (open.name, open.age_ms) = ("s".repeat(100), 1.0);
        open.fields = (0..32).map(|n| (n.to_string(), "f".repeat(500))).collect();
        evidence.spans = vec![open; 2];
        let mut call = redhanded_report::OutboundCall::default();
        (call.kind, call.what) = (
            "http".to_owned(),
            Some(format!("GET /{}", "w".repeat(2000))),
        );
        (call.error, call.span_id) = (Some("e".repeat(3000)), Some("00f067aa0ba902b7".to_owned()));
        let tried = redhanded_report::Tried::new("a".repeat(500), 1.0, Some("t".repeat(500)));
        call.tried = vec![tried; 20];
        evidence.outbound = vec![call; 40];
        report.evidence = Some(evidence);

        for report in [report, Report::new(Event::Caught, "small")] {
            for (weight, encoded) in weights(&report) {
                assert!(weight >= encoded, "{weight} for {encoded} bytes");
                assert!(weight < encoded * 2 + 4096, "{weight} for {encoded} bytes");
            }
        }
    }
}
