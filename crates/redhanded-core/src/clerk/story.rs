//! What the request itself said, as the record has it.

use super::assemble::ms;
use crate::told::{Told, ToldEvent, ToldSpan};
use redhanded_report::{Evidence, LogEvent, SpanSnapshot};

/// Events that a record shows.
const EVENTS: usize = 64;

/// Puts the spans that are open and the last events into `evidence`, and says what was lost of them.
pub(super) fn tell(told: &Told, evidence: &mut Evidence) {
    let open = told.spans.iter().filter(|span| span.is_open());
    evidence.spans = open.map(|span| snapshot(span, told)).collect();
    let over = told.events.len().saturating_sub(EVENTS);
    let last = told.events.iter().skip(over);
    evidence.events = last.map(|event| line(event, told)).collect();
    if told.overwritten > 0 {
        evidence.missing.push(format!(
            "{} older spans and events of its story were written over by newer ones",
            told.overwritten
        ));
    }
    if told.lost > 0 {
        evidence.missing.push(format!(
            "there was no room or time for {} spans and events of its story",
            told.lost
        ));
    }
}

fn snapshot(span: &ToldSpan, told: &Told) -> SpanSnapshot {
    let mut shown = SpanSnapshot::default();
    shown.name.clone_from(&span.name);
    let fields = span.fields.iter();
    shown.fields = fields
        .map(|(name, value)| (name.clone(), value.to_string()))
        .collect();
    shown.age_ms = ms(told.at_ns.saturating_sub(span.start_ns));
    shown.number = Some(span.number);
    shown.parent = span.parent;
    shown.busy_ms = Some(ms(span.busy_ns));
    shown.level = Some(span.source.level.as_str().to_owned());
    shown.target = Some(span.source.target.clone());
    shown.file.clone_from(&span.source.file);
    shown.line = span.source.line;
    shown
}

fn line(event: &ToldEvent, told: &Told) -> LogEvent {
    let mut shown = LogEvent::default();
    shown.at_ms = ms(event.at_ns);
    shown.level = event.source.level.as_str().to_owned();
    shown.text = event.text();
    shown.target = Some(event.source.target.clone());
    shown.file.clone_from(&event.source.file);
    shown.line = event.source.line;
    shown.span = event
        .span
        .and_then(|number| told.name_of(number))
        .map(str::to_owned);
    shown
}
