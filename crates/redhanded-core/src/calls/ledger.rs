//! The outbound calls of one request: which are open, which were the last, and what all of them
//! together have cost.

use super::{CallState, Row};
use std::collections::VecDeque;
use std::sync::Arc;

/// Open calls that are known one by one.
const OPEN: usize = 64;
/// Finished calls that are kept.
const RECENT: usize = 8;
/// Hosts whose calls are summed up.
const TOTALS: usize = 16;

/// The calls of one request.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    open: Vec<Arc<CallState>>,
    recent: VecDeque<Arc<CallState>>,
    totals: Vec<Total>,
    unlisted: u64,
}

/// Finished calls to one host.
#[derive(Clone, Debug)]
pub(crate) struct Total {
    pub(crate) kind: String,
    pub(crate) row: Arc<Row>,
    pub(crate) calls: u64,
    /// Without an answer, or with 429 or 5xx.
    pub(crate) failed: u64,
    pub(crate) redirected: u64,
    /// Asked for another part of the same as the call before.
    pub(crate) paged: u64,
    pub(crate) total_ns: u64,
    /// The last one, for what it asked.
    last: Option<Arc<CallState>>,
}

impl Ledger {
    pub(crate) fn begin(&mut self, call: &Arc<CallState>) {
        if self.open.len() < OPEN {
            self.open.push(call.clone());
        } else {
            self.unlisted = self.unlisted.saturating_add(1);
        }
    }

    pub(crate) fn end(&mut self, call: &Arc<CallState>) {
        if let Some(at) = self.open.iter().position(|known| Arc::ptr_eq(known, call)) {
            self.open.remove(at);
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(call.clone());
        if let Some(total) = self.total(call) {
            total.add(call);
        }
    }

    fn total(&mut self, call: &CallState) -> Option<&mut Total> {
        let same = |total: &Total| Arc::ptr_eq(&total.row, &call.row) && total.kind == call.kind;
        if let Some(at) = self.totals.iter().position(same) {
            return self.totals.get_mut(at);
        }
        if self.totals.len() == TOTALS {
            return None;
        }
        self.totals.push(Total {
            kind: call.kind.clone().into_owned(),
            row: call.row.clone(),
            calls: 0,
            failed: 0,
            redirected: 0,
            paged: 0,
            total_ns: 0,
            last: None,
        });
        self.totals.last_mut()
    }

    /// Open calls in the order in which they were begun.
    pub(crate) fn open(&self) -> &[Arc<CallState>] {
        &self.open
    }

    /// The last finished calls, the oldest first.
    pub(crate) fn recent(&self) -> impl Iterator<Item = &Arc<CallState>> {
        self.recent.iter()
    }

    pub(crate) fn totals(&self) -> &[Total] {
        &self.totals
    }

    /// Open calls that there was no room for.
    pub(crate) fn unlisted(&self) -> u64 {
        self.unlisted
    }
}

impl Total {
    fn add(&mut self, call: &Arc<CallState>) {
        let ended_ns = call.ended_ns().unwrap_or(call.started_ns);
        let took_ns = ended_ns.saturating_sub(call.started_ns);
        self.calls = self.calls.saturating_add(1);
        self.total_ns = self.total_ns.saturating_add(took_ns);
        let status = call.status().unwrap_or_default();
        let is_error = status == 429 || status >= 500;
        self.failed += u64::from(call.failure().is_some() || is_error);
        self.redirected += u64::from(matches!(status, 301..=303 | 307 | 308));
        self.paged += u64::from(self.last.as_ref().is_some_and(|last| pages(last, call)));
        self.last = Some(call.clone());
    }
}

/// Whether `call` asks for another part of the same as `last`: same path, another query.
fn pages(last: &CallState, call: &CallState) -> bool {
    let (Some(last), Some(what)) = (&last.what, &call.what) else {
        return false;
    };
    last != what && path(last) == path(what)
}

fn path(what: &str) -> &[u8] {
    let end = what.bytes().position(|byte| byte == b'?');
    &what.as_bytes()[..end.unwrap_or(what.len())]
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::super::Failure;
    use super::*;

    fn made(row: &Arc<Row>, what: &str) -> Arc<CallState> {
        let what = Some(what.into());
        Arc::new(CallState::new(
            "http".into(),
            row.clone(),
            None,
            what,
            (None, true),
            0,
        ))
    }

    fn host(name: &str) -> Arc<Row> {
        Arc::new(Row::new(name, None))
    }

    #[test]
    fn what_a_request_remembers_is_bounded() {
        let mut ledger = Ledger::default();
        let calls: Vec<_> = (0..1000)
            .map(|i| made(&host(&i.to_string()), "GET /"))
            .collect();
        calls.iter().for_each(|call| ledger.begin(call));
        assert_eq!((ledger.open().len(), ledger.unlisted()), (OPEN, 1000 - 64));
        for call in &calls {
            call.end(None, 5);
            ledger.end(call);
        }
        assert_eq!(ledger.open().len(), 0);
        assert_eq!(
            (ledger.recent().count(), ledger.totals().len()),
            (RECENT, TOTALS)
        );
    }

    #[test]
    fn pages_failures_and_redirects_are_counted() {
        let (mut ledger, api) = (Ledger::default(), host("api"));
        let mut call = |what: String, status: u16, failure| {
            let call = made(&api, &what);
            ledger.begin(&call);
            call.set_status(status);
            call.end(failure, 1_000_000);
            ledger.end(&call);
        };
        for page in 0..10 {
            call(format!("GET /items?page={page}"), 200, None);
        }
        call("GET /items?page=9".into(), 503, None);
        call("GET /other".into(), 302, None);
        call("GET /other".into(), 0, Some(Failure::Timeout));
        let total = &ledger.totals()[0];
        assert_eq!((total.calls, total.paged), (13, 9));
        assert_eq!((total.failed, total.redirected), (2, 1));
        assert_eq!(total.total_ns, 13_000_000);
    }
}
