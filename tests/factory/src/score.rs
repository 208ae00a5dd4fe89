//! What was reported beside what is true.

use crate::Case;
use crate::play::Part;
use crate::stage::Seen;
use redhanded::report::{Class, Report, Role, Verdict};
use std::collections::HashSet;

/// How well a case was judged.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// The best verdict on a culprit, if one was caught.
    pub verdict: Option<Verdict>,
    /// Its class is one of those that are right, and so are those of its victims.
    pub class: bool,
    /// Its culprit is the function that is to blame.
    pub function: bool,
    /// And the line.
    pub line: bool,
    /// The host is right; `None` where there is none.
    pub peer: Option<bool>,
    /// The parameter is in the report; `None` where none gives it away.
    pub param: Option<bool>,
    /// All culprits are reported as such, or as victims of each other.
    pub role: bool,
    /// Milliseconds from the threshold to the first line with that class.
    pub verdict_after_ms: Option<f64>,
    /// Accusations of the innocent, in words.
    pub wrong: Vec<String>,
    /// It was a control: nobody is guilty.
    pub control: bool,
    /// The report shows what was seen, whatever was concluded from it.
    pub evidence: bool,
}

impl Judged {
    /// Nothing more is to be waited for.
    pub fn is_settled(&self) -> bool {
        self.class && self.function && self.role && self.peer != Some(false)
    }

    /// Nothing is missing and nobody innocent is accused.
    pub fn is_right(&self) -> bool {
        self.wrong.is_empty() && (self.control || self.is_settled())
    }

    /// One point for the right class or a control in peace, half of one for an "unknown" that shows its
    /// evidence, minus two for each wrong accusation.
    pub fn points(&self) -> f64 {
        let unknown = |v: &Verdict| v.class == Class::Unknown;
        let honest = self.evidence && self.verdict.as_ref().is_some_and(unknown);
        let class = match (self.class, honest) {
            (true, _) => 1.0,
            (false, true) => 0.5,
            (false, false) => 0.0,
        };
        let class = if self.control { 1.0 } else { class };
        class - 2.0 * self.wrong.len() as f64
    }
}

/// Judges what was seen of a case.
pub fn judge(case: &Case, seen: &Seen) -> Judged {
    let mut judged = Judged {
        wrong: wrong_accusations(seen),
        control: case.is_control(),
        ..Judged::default()
    };
    if judged.control {
        return judged;
    }
    let mut best: Option<(u32, &Report)> = None;
    for (_, target) in seen.asked.iter().filter(|(part, _)| part.is_caught()) {
        if let Some(report) = last_of(seen, target) {
            let value = value(case, seen, report);
            if best.is_none_or(|(known, _)| value > known) {
                best = Some((value, report));
            }
        }
    }
    judged.role = roles_are_right(seen);
    let Some((_, report)) = best else {
        return judged;
    };
    let found = report.verdict.clone().unwrap_or_default();
    judged.class = case.truth.classes.contains(&found.class) && victims_are_right(case, seen);
    judged.function = is_function(case, &found);
    judged.line = is_line(case, &found);
    judged.peer = seen.peer.map(|_| is_peer(seen, &found));
    judged.param = case
        .truth
        .param
        .map(|(name, value)| has_param(report, name, value));
    let evidence = report.evidence.as_ref();
    judged.evidence = evidence.is_some_and(|evidence| !evidence.stacks.is_empty());
    judged.verdict_after_ms = first_ms(case, seen, &report.id);
    judged.verdict = Some(found);
    judged
}

fn value(case: &Case, seen: &Seen, report: &Report) -> u32 {
    let Some(found) = &report.verdict else {
        return 0;
    };
    let right = [
        case.truth.classes.contains(&found.class),
        is_function(case, found),
        is_line(case, found),
        is_peer(seen, found),
        found.role == Role::Culprit,
    ];
    right.iter().map(|right| u32::from(*right)).sum::<u32>() + 1
}

/// The last line about a request that has a verdict.
fn last_of<'s>(seen: &'s Seen, target: &str) -> Option<&'s Report> {
    let has_verdict = |r: &&Report| is_about(r, target) && r.verdict.is_some();
    seen.records.iter().rfind(has_verdict)
}

/// Whether a record is about the request for `target`.
pub fn is_about(report: &Report, target: &str) -> bool {
    let Some(request) = &report.request else {
        return false;
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let same_query = request.query.as_deref().unwrap_or_default() == query;
    request.path == path && (same_query || query.len() > 400)
}

/// Every request that is to blame was reported as such, and every one whose client is; of those that hold each other
/// up, one.
fn roles_are_right(seen: &Seen) -> bool {
    let role = |target: &str| {
        last_of(seen, target)
            .and_then(|r| r.verdict.as_ref())
            .map(|v| v.role)
    };
    let of = |part: Part| seen.asked.iter().filter(move |(p, _)| *p == part);
    let all = |part, wanted| of(part).all(|(_, target)| role(target) == Some(wanted));
    let each = all(Part::Culprit, Role::Culprit) && all(Part::Bystander, Role::Bystander);
    let mut either = of(Part::Either).map(|(_, target)| role(target)).peekable();
    let some = either.peek().is_none() || either.any(|role| role == Some(Role::Culprit));
    each && some
}

/// Every victim was reported as one, where the case says as what.
fn victims_are_right(case: &Case, seen: &Seen) -> bool {
    let is_right = |target: &str| {
        let verdict = last_of(seen, target).and_then(|r| r.verdict.as_ref());
        verdict.is_some_and(|v| v.role == Role::Victim && case.truth.victims.contains(&v.class))
    };
    let victims = seen.asked.iter().filter(|(part, _)| *part == Part::Victim);
    case.truth.victims.is_empty()
        || victims
            .map(|(_, target)| target)
            .all(|target| is_right(target))
}

/// One for each request that was ever called the culprit and is none, however many lines say so.
fn wrong_accusations(seen: &Seen) -> Vec<String> {
    let mut known = HashSet::new();
    let guilty = |report: &Report| {
        seen.asked.iter().any(|(part, target)| {
            matches!(part, Part::Culprit | Part::Either) && is_about(report, target)
        })
    };
    let accused = seen.records.iter().filter(|report| {
        let culprit = report
            .verdict
            .as_ref()
            .is_some_and(|v| v.role == Role::Culprit);
        let wrong = culprit && report.request.is_some() && !guilty(report);
        wrong && known.insert(report.id.as_str())
    });
    let words = |report: &Report| {
        let target = report
            .request
            .as_ref()
            .map(|r| r.path.clone())
            .unwrap_or_default();
        let verdict = report.verdict.clone().unwrap_or_default();
        format!(
            "{target} as {}, {}: {}",
            verdict.class,
            verdict.confidence.as_str(),
            verdict.cause
        )
    };
    accused.map(words).collect()
}

fn is_function(case: &Case, found: &Verdict) -> bool {
    match (case.truth.function, &found.culprit) {
        (None, _) => true,
        (Some(function), Some(culprit)) => culprit.function.ends_with(function),
        (Some(_), None) => false,
    }
}

fn is_line(case: &Case, found: &Verdict) -> bool {
    let Some(culprit) = &found.culprit else {
        return case.truth.function.is_none();
    };
    let lines = case.lines();
    let in_file = culprit
        .file
        .as_deref()
        .is_some_and(|f| f.ends_with(case.file) || case.file.ends_with(f));
    lines.is_empty() || (in_file && culprit.line.is_some_and(|line| lines.contains(&line)))
}

fn is_peer(seen: &Seen, found: &Verdict) -> bool {
    let (Some(wanted), Some(peer)) = (seen.peer, &found.peer) else {
        return seen.peer.is_none();
    };
    let named = peer.address.as_deref().or(peer.name.as_deref());
    let host = named.is_some_and(|host| host == wanted.ip().to_string() || host == "localhost");
    host && peer.port == Some(wanted.port())
}

/// The report shows the parameter that gives the culprit away.
fn has_param(report: &Report, name: &str, value: &str) -> bool {
    let Some(request) = &report.request else {
        return false;
    };
    let json = serde_json::to_value(request).unwrap_or_default();
    let places = ["path", "query"].map(|place| json["params"][place][name].clone());
    let headers = json["headers"][name].clone();
    places
        .iter()
        .chain([&headers])
        .any(|found| text(found).is_some_and(|found| found.starts_with(value)))
}

fn text(value: &serde_json::Value) -> Option<&str> {
    value
        .as_str()
        .or_else(|| value.as_array()?.first()?.as_str())
}

fn first_ms(case: &Case, seen: &Seen, id: &str) -> Option<f64> {
    let right = |r: &&Report| {
        r.id == id
            && r.verdict
                .as_ref()
                .is_some_and(|v| case.truth.classes.contains(&v.class))
    };
    let first = seen.records.iter().find(right)?;
    Some(first.elapsed_ms? - first.slow_after_ms?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use redhanded::report::Confidence;

    fn judged(class: Class, right: bool) -> Judged {
        let verdict = Verdict::new(class, Role::Culprit, Confidence::Likely, "because");
        Judged {
            verdict: Some(verdict),
            class: right,
            ..Judged::default()
        }
    }

    #[test]
    fn points_are_counted_as_promised() {
        assert_eq!(judged(Class::CpuLoop, true).points(), 1.0);
        assert_eq!(judged(Class::CpuLoop, false).points(), 0.0);
        let mut unknown = judged(Class::Unknown, false);
        assert_eq!(unknown.points(), 0.0, "nothing to show");
        unknown.evidence = true;
        assert_eq!(unknown.points(), 0.5);
        unknown.wrong = vec!["/a".to_owned(), "/b".to_owned()];
        assert_eq!(unknown.points(), -3.5);
        let control = Judged {
            control: true,
            ..Judged::default()
        };
        assert!(control.points() == 1.0 && control.is_right());
        assert!(!Judged::default().is_right(), "not caught");
    }
}
