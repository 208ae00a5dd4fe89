//! The four requests that hang, and what must be found out about each.

use crate::jobs::NEVER_CONFIRMED;
use crate::notices::AUTHORS;
use crate::outside;
use redhanded::report::{Class, Report, Role};

/// A request that hangs, and the truth about it.
pub(crate) struct Culprit {
    /// In a word, for people.
    pub(crate) title: &'static str,
    pub(crate) method: &'static str,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) class: Class,
    pub(crate) route: &'static str,
    /// The parameter that makes it hang.
    pub(crate) param: (&'static str, String),
    /// The end of the function's name.
    pub(crate) function: &'static str,
    /// The end of the file's name.
    pub(crate) file: &'static str,
}

/// A word that is long and ends with a character that no query may have; `%21` is `!`.
const LONG_WORD: &str = "Rindfleischetikettierungsueberwachungsaufgabenuebertragungsgesetz";

/// All of them.
pub(crate) fn all() -> [Culprit; 4] {
    [
        Culprit {
            title: "a regular expression that backtracks",
            method: "GET",
            target: format!("/search?q={LONG_WORD}%21"),
            class: Class::CpuLoop,
            route: "/search",
            param: ("q", format!("{LONG_WORD}!")),
            function: "search::is_well_formed",
            file: "src/search.rs",
        },
        Culprit {
            title: "a driver that blocks its thread",
            method: "GET",
            target: format!("/avatar/{}", outside::NO_ANSWER_FOR),
            class: Class::BlockedThread,
            route: "/avatar/{user}",
            param: ("user", outside::NO_ANSWER_FOR.to_owned()),
            function: "avatars::ask_store",
            file: "src/avatars.rs",
        },
        Culprit {
            title: "a lock held across an await",
            method: "POST",
            target: boost_of(NEVER_CONFIRMED),
            class: Class::StuckAwait,
            route: "/boost",
            param: ("notice", NEVER_CONFIRMED.to_string()),
            function: "boosts::boost",
            file: "src/boosts.rs",
        },
        Culprit {
            title: "a host that swallows packets",
            method: "GET",
            target: format!("/federate?host={}", outside::SWALLOWED),
            class: Class::UnreachableHost,
            route: "/federate",
            param: ("host", outside::SWALLOWED.to_owned()),
            function: "federation::node_info",
            file: "src/federation.rs",
        },
    ]
}

/// Boosts that will wait for the lock that the third culprit holds: innocent, but slow.
pub(crate) fn waiters() -> impl Iterator<Item = String> {
    (1..=5).map(|n| boost_of(NEVER_CONFIRMED - n * AUTHORS.len() as u64))
}

fn boost_of(notice: u64) -> String {
    format!("/boost?notice={notice}")
}

impl Culprit {
    /// Whether this report is about this request.
    pub(crate) fn is(&self, report: &Report) -> bool {
        report.request.as_ref().is_some_and(|request| {
            let query = request
                .query
                .as_deref()
                .map(|query| format!("?{query}"))
                .unwrap_or_default();
            request.method == self.method && format!("{}{query}", request.path) == self.target
        })
    }

    /// What a report about this request does not tell, or tells wrongly.
    pub(crate) fn missing(&self, report: &Report) -> Vec<String> {
        let mut missing = Vec::new();
        let mut demand = |what: &str, wanted: &str, found: Option<&str>, fits: bool| {
            if !fits {
                missing.push(format!(
                    "{what}: wanted {wanted}, found {}",
                    found.unwrap_or("nothing")
                ));
            }
        };
        let verdict = report.verdict.as_ref();
        let class = verdict.map(|v| v.class);
        demand(
            "class",
            self.class.as_str(),
            class.map(Class::as_str),
            class == Some(self.class),
        );
        let role = verdict.map(|v| v.role);
        demand(
            "role",
            "culprit",
            role.map(Role::as_str),
            role == Some(Role::Culprit),
        );
        let culprit = verdict.and_then(|v| v.culprit.as_ref());
        let function = culprit.map(|c| c.function.as_str());
        demand(
            "function",
            self.function,
            function,
            function.is_some_and(|f| f.ends_with(self.function)),
        );
        let file = culprit.and_then(|c| c.file.as_deref());
        demand(
            "file",
            self.file,
            file,
            file.is_some_and(|f| f.ends_with(self.file)),
        );
        let line = culprit.and_then(|c| c.line);
        demand("line", "a line", None, line.is_some());
        let request = report.request.as_ref();
        let route = request.and_then(|r| r.route.as_deref());
        demand("route", self.route, route, route == Some(self.route));
        let (name, value) = &self.param;
        let found = request.and_then(|r| {
            r.params
                .query
                .get(*name)
                .or_else(|| r.params.path.get(*name))
        });
        demand(name, value, found.map(String::as_str), found == Some(value));
        missing
    }
}
