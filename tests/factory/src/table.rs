//! A row for each case.

use crate::Case;
use crate::score::Judged;
use redhanded::report::{Culprit, Peer};

/// The names of the columns.
pub fn head() -> String {
    let names = [
        "class", "sure", "culprit", "host", "param", "role", "after ms", "points",
    ];
    row("case", names.map(str::to_owned))
}

/// What was said of a case; what is wrong in it has a `NO` before it.
pub fn line(case: &Case, judged: &Judged) -> String {
    let none = || "-".to_owned();
    let after = judged.verdict_after_ms.map(|ms| format!("{ms:.0}"));
    let points = judged.points().to_string();
    if judged.control {
        let guilty = if judged.wrong.is_empty() {
            "nobody"
        } else {
            "NO somebody"
        };
        let empty = String::new;
        return row(
            case.code,
            [
                guilty.to_owned(),
                empty(),
                empty(),
                empty(),
                empty(),
                empty(),
                empty(),
                points,
            ],
        );
    }
    let found = judged.verdict.as_ref();
    let class = found.map_or_else(none, |v| v.class.as_str().to_owned());
    let role = found.map_or_else(none, |v| v.role.as_str().to_owned());
    let host = found.and_then(|v| v.peer.as_ref()).map_or_else(none, host);
    let param = case.truth.param.map_or("", |(name, _)| name).to_owned();
    row(
        case.code,
        [
            marked(judged.class, class),
            found.map_or("-", |v| v.confidence.as_str()).to_owned(),
            culprit(judged),
            judged
                .peer
                .map_or_else(String::new, |right| marked(right, host)),
            judged
                .param
                .map_or(String::new(), |right| marked(right, param)),
            marked(judged.role, role),
            after.unwrap_or_else(none),
            points,
        ],
    )
}

fn row(
    code: &str,
    [class, sure, culprit, host, param, role, after, points]: [String; 8],
) -> String {
    format!(
        "{code:5} {class:18} {sure:9} {culprit:44} {host:18} {param:14} {role:12} {after:>8} {points:>6}"
    )
}

fn marked(right: bool, said: String) -> String {
    if right { said } else { format!("NO {said}") }
}

fn culprit(judged: &Judged) -> String {
    let found = judged.verdict.as_ref().and_then(|v| v.culprit.as_ref());
    let Some(found) = found else {
        return marked(judged.function, "-".to_owned());
    };
    let function = marked(judged.function, short(&found.function).to_owned());
    let line = found
        .line
        .map_or_else(|| "-".to_owned(), |line| line.to_string());
    format!("{function}:{}", marked(judged.line, line))
}

/// The last two parts of a function's path, which tell it from others here.
fn short(function: &str) -> &str {
    let parts = function.rmatch_indices("::");
    let begins = parts.map(|(at, colons)| at + colons.len()).nth(1);
    &function[begins.unwrap_or(0)..]
}

/// A host as people write it.
pub fn host(peer: &Peer) -> String {
    let name = peer
        .name
        .as_deref()
        .or(peer.address.as_deref())
        .unwrap_or("?");
    peer.port
        .map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

/// A function and its place in the source, as people write them.
pub fn place(culprit: &Culprit) -> String {
    match (&culprit.file, culprit.line) {
        (Some(file), Some(line)) => {
            let name = file.rsplit('/').next().unwrap_or(file);
            format!("{} {name}:{line}", short(&culprit.function))
        }
        _ => short(&culprit.function).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redhanded::report::{Class, Confidence, Role, Verdict};

    #[test]
    fn what_is_wrong_is_marked() {
        let case = crate::by_code("A1").expect("it is there");
        let mut verdict = Verdict::new(Class::CpuLoop, Role::Culprit, Confidence::Proved, "on CPU");
        verdict.culprit = Some(Culprit::new("shop::regex::check", None, Some(44), None));
        let judged = Judged {
            verdict: Some(verdict),
            function: true,
            param: Some(false),
            role: true,
            ..Judged::default()
        };
        let words: Vec<String> = line(&case, &judged)
            .split("  ")
            .map(|w| w.trim().to_owned())
            .collect();
        let words: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .filter(|w| !w.is_empty())
            .collect();
        assert_eq!(
            words,
            [
                "A1",
                "NO cpu_loop",
                "proved",
                "regex::check:NO 44",
                "NO q",
                "culprit",
                "-",
                "0"
            ]
        );
    }

    #[test]
    fn a_path_is_short_and_whole_where_it_is_short() {
        assert_eq!(short("a::b::c"), "b::c");
        assert_eq!(short("b::c"), "b::c");
        assert_eq!(short("c"), "c");
    }
}
