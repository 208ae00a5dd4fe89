//! The answer for people.

use super::finding::{Finding, Hint};
use crate::output::Output;
use redhanded_report::{OverRepresented, SIGNIFICANCE, shown};
use std::io;

pub(super) fn print(finding: &Finding, output: &mut Output) -> io::Result<()> {
    head(finding, output)?;
    if finding.normal == 0 {
        return output.line(
            "no normal request of this route was sampled in what was read: nothing to compare with",
        );
    }
    if !finding.shared.is_empty() {
        output.line("the culprits share, and normal requests do not:")?;
        return finding.shared.iter().try_for_each(|s| shared(s, output));
    }
    match finding.culprits {
        1 => output.line("one culprit has nothing in common with another")?,
        _ => output.line(&format!(
            "nothing in common that chance does not explain (p over {SIGNIFICANCE} for each of {} features)",
            finding.compared
        ))?,
    }
    if finding.hints.is_empty() {
        return output.line("and nothing that is rare among normal requests");
    }
    output.line(match finding.culprits {
        1 => "rare among normal requests; a hint, not significant:",
        _ => "closest to it; a hint, not significant:",
    })?;
    finding.hints.iter().try_for_each(|h| hint(h, output))
}

fn head(finding: &Finding, output: &mut Output) -> io::Result<()> {
    let at = finding.culprit.as_ref();
    let at = at
        .map(|at| format!(" at {}", shown(at)))
        .unwrap_or_default();
    let title = format!("{}{at}, {}", shown(&finding.class), shown(&finding.route));
    output.line(&output.inked("1", &title))?;
    let (first, last) = (shown(&finding.first_seen), shown(&finding.last_seen));
    output.line(&format!(
        "  {} of {}, {first} to {last}",
        many(finding.culprits, "culprit", "culprits"),
        many(finding.processes, "process", "processes"),
    ))?;
    let of = many(finding.normal, "normal request", "normal requests");
    output.line(&format!("  compared with {of} of the route"))?;
    if finding.others > 0 {
        let others = many(finding.others, "request", "requests");
        output.line(&format!("  not compared: {others} late because of another"))?;
    }
    if finding.culprits_left_out > 0 {
        let more = finding.culprits_left_out;
        output.line(&format!("  not compared: {more} lines of more culprits"))?;
    }
    let (fingerprint, id) = (shown(&finding.fingerprint), shown(&finding.last_id));
    output.line(&format!(
        "  fingerprint {fingerprint}; redhanded show {id}\n"
    ))
}

fn shared(shared: &OverRepresented, output: &mut Output) -> io::Result<()> {
    let what = shown(&shared.feature().to_string());
    output.line(&format!("  {}", output.inked("1", &what)))?;
    let p = shared.p.unwrap_or_default();
    output.line(&format!(
        "    {} of {} culprits, {} of {} normal requests; by chance: p = {p:.1e}",
        shared.with, shared.of, shared.baseline_with, shared.baseline_of,
    ))
}

fn hint(hint: &Hint, output: &mut Output) -> io::Result<()> {
    output.line(&format!("  {}", shown(&hint.text)))?;
    let more = many(hint.culprits_needed, "more culprit", "more culprits");
    output.line(&format!(
        "    {} of {}, {} of {} normal requests; {more} with it would be enough",
        hint.with,
        many(hint.of, "culprit", "culprits"),
        hint.baseline_with,
        hint.baseline_of,
    ))
}

fn many(number: u64, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}
