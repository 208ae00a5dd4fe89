//! The request target: path, query, and the URL they make with the host.

use crate::facts::Facts;
use crate::redact::{Redactor, printable, split_once, split_origin};
use printable::cut;

/// A target taken apart, still raw.
pub(super) struct Target<'f> {
    /// `http` or `https`.
    scheme: &'static str,
    host: Option<&'f [u8]>,
    /// The target as sent.
    whole: &'f [u8],
    path: &'f [u8],
    query: Option<&'f [u8]>,
    /// Bytes at its end that were not copied.
    pub(super) lost: u64,
}

impl<'f> Target<'f> {
    pub(super) fn new(facts: &'f Facts) -> Self {
        let (head, query) = split_once(&facts.target, b'?');
        let (_, path) = split_origin(head);
        Self {
            scheme: if facts.https { "https" } else { "http" },
            host: facts.host.as_deref().filter(|host| !host.is_empty()),
            whole: &facts.target,
            path,
            query,
            lost: u64::from(facts.target_bytes).saturating_sub(facts.target.len() as u64),
        }
    }

    pub(super) fn path(&self, redactor: &Redactor, route: Option<&str>) -> String {
        cut(redactor.path(self.path, route), self.lost_in_path())
    }

    pub(super) fn query(&self, redactor: &Redactor) -> Option<String> {
        self.query
            .map(|query| cut(redactor.query(query), self.lost))
    }

    pub(super) fn path_params(
        &self,
        redactor: &Redactor,
        route: Option<&str>,
    ) -> Vec<(String, String)> {
        let params = route.map(|route| redactor.path_params(self.path, route));
        params.unwrap_or_default()
    }

    pub(super) fn query_params(&self, redactor: &Redactor) -> Vec<(String, String)> {
        let params = self.query.map(|query| redactor.query_params(query));
        params.unwrap_or_default()
    }

    /// How many parameters the query has, those of one key apart.
    pub(super) fn pairs(&self) -> usize {
        let pairs = self.query.unwrap_or_default().split(|byte| *byte == b'&');
        pairs.filter(|pair| !pair.is_empty()).count()
    }

    /// As long as values may be, with a word on what is missing.
    pub(super) fn url(&self, redactor: &Redactor, route: Option<&str>) -> String {
        cut(self.full_url(redactor, route), self.lost)
    }

    /// Absolute where the host is known, else as sent.
    pub(super) fn full_url(&self, redactor: &Redactor, route: Option<&str>) -> String {
        match self.host {
            Some(host) if self.whole.starts_with(b"/") => {
                let host = redactor.host(host);
                let query = self
                    .query
                    .map(|query| format!("?{}", redactor.query(query)));
                let path = redactor.path(self.path, route);
                format!(
                    "{}://{host}{path}{}",
                    self.scheme,
                    query.unwrap_or_default()
                )
            }
            // `OPTIONS *` asks about the server as a whole.
            Some(host) if self.whole == b"*" => {
                format!("{}://{}", self.scheme, redactor.host(host))
            }
            _ => redactor.url(self.whole, route),
        }
    }

    /// Bytes that were not copied and may belong to the path.
    pub(super) fn lost_in_path(&self) -> u64 {
        if self.query.is_none() { self.lost } else { 0 }
    }
}
