//! The hosts of this process: one row each, and no more rows than there is room for.

use super::row::{PeerStats, Row};
use foldhash::fast::RandomState;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// Hosts that have a row of their own.
const MOST: usize = 10_000;
/// Bytes of a host's name that are kept; longer than any name of DNS.
const NAME_BYTES: usize = 300;
/// What those share that have no row.
const OTHERS: &str = "(others)";

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(MOST));

/// What is known of the hosts that this process calls.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Peers {
    /// One for each host, those with most calls in flight first, then those with most calls.
    pub known: Vec<PeerStats>,
    /// All calls to hosts beyond the first 10,000, which have no row of their own; `None` as long as
    /// there are none.
    pub others: Option<PeerStats>,
}

/// The hosts that this process has called, by whatever install. Looks at every row; for people,
/// metrics and tests.
pub fn peers() -> Peers {
    TABLE.read()
}

/// The row of `host` at `port`; one for all others, when there are too many.
pub(crate) fn row_of(host: &str, port: Option<u16>) -> Arc<Row> {
    TABLE.row(host, port)
}

/// Every row in the order in which they were made, and the one for all others at last.
pub(super) fn rows() -> Vec<Arc<Row>> {
    let mut rows = TABLE.all();
    rows.sort_by_key(|row| row.number());
    rows.push(TABLE.others.clone());
    rows
}

/// Names may come from anybody: the hash is seeded, and cheaper than the standard library's.
type ByHost = HashMap<Box<str>, Arc<Row>, RandomState>;

#[derive(Debug, Default)]
struct Rows {
    by_port: HashMap<Option<u16>, ByHost, RandomState>,
    count: usize,
}

impl Rows {
    fn get(&self, host: &str, port: Option<u16>) -> Option<&Arc<Row>> {
        self.by_port.get(&port)?.get(host)
    }
}

#[derive(Debug)]
struct Table {
    most: usize,
    /// By port, then by host: a name can be looked up as it is borrowed.
    rows: RwLock<Rows>,
    others: Arc<Row>,
}

impl Table {
    fn new(most: usize) -> Self {
        Self {
            most,
            rows: RwLock::default(),
            others: Arc::new(Row::new(OTHERS, None)),
        }
    }

    fn row(&self, host: &str, port: Option<u16>) -> Arc<Row> {
        let host = &host[..host.floor_char_boundary(NAME_BYTES)];
        if let Some(row) = self.rows.read().get(host, port) {
            return row.clone();
        }
        let mut rows = self.rows.write();
        if let Some(row) = rows.get(host, port) {
            return row.clone(); // somebody else was faster
        }
        if rows.count >= self.most {
            return self.others.clone();
        }
        let row = Arc::new(Row::born(rows.count, host, port));
        rows.count += 1;
        let of_port = rows.by_port.entry(port).or_default();
        of_port.insert(host.into(), row.clone());
        row
    }

    fn all(&self) -> Vec<Arc<Row>> {
        let rows = self.rows.read();
        let rows = rows.by_port.values().flat_map(HashMap::values);
        rows.cloned().collect()
    }

    fn read(&self) -> Peers {
        let rows = self.all();
        let mut known: Vec<PeerStats> = rows.iter().map(|row| row.stats()).collect();
        known.sort_by(|a, b| {
            let rank = |peer: &PeerStats| (peer.in_flight, peer.attempts);
            rank(b).cmp(&rank(a)).then_with(|| a.peer.cmp(&b.peer))
        });
        let others = self.others.stats();
        Peers {
            known,
            others: (others.attempts > 0).then_some(others),
        }
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::super::{CallPhase, CallState, Failure};
    use super::*;
    use std::time::Duration;

    fn call(row: &Arc<Row>, at_ns: u64) -> Arc<CallState> {
        let state = CallState::new("http".into(), row.clone(), None, None, (None, true), at_ns);
        let call = Arc::new(state);
        row.begin(&call);
        call
    }

    #[test]
    fn a_hundred_thousand_hosts_have_ten_thousand_rows_and_none_is_lost_from_the_count() {
        let table = Table::new(MOST);
        for i in 0..100_000_u64 {
            let row = table.row(&format!("host-{i}.example"), Some(443));
            let call = call(&row, 0);
            call.end(None, 1);
            row.end(&call, None, 1);
        }
        let peers = table.read();
        let others = peers.others.expect("more than there is room for");
        assert_eq!((peers.known.len(), others.attempts), (MOST, 90_000));
        assert_eq!((others.in_flight, others.peer.as_str()), (0, OTHERS));
        assert!(peers.known.iter().all(|peer| peer.attempts == 1));
    }

    #[test]
    fn a_name_is_cut_and_has_no_control_bytes() {
        let table = Table::new(2);
        let long = "é".repeat(1000);
        let row = table.row(&long, None);
        assert!(
            row.host.len() <= 3 * NAME_BYTES,
            "as percent-encoded at most"
        );
        table.row("evil\x1b[2J\n", Some(80));
        let evil = table
            .read()
            .known
            .into_iter()
            .find(|p| p.peer.contains("evil"));
        let shown = evil.expect("has a row").peer;
        assert!(!shown.contains(char::is_control), "{shown:?}");
    }

    #[test]
    fn phases_and_failures_are_told_apart() {
        let table = Table::new(2);
        let row = table.row("db1", Some(5432));
        for n in 1..=100_u64 {
            let call = call(&row, 0);
            call.enter(CallPhase::Connect, 0);
            call.enter(CallPhase::WaitHeaders, 2_000_000);
            let failure = (n > 98).then_some(Failure::Reset);
            call.end(failure, 2_000_000 + n * 1_000_000);
            row.end(&call, failure, 2_000_000 + n * 1_000_000);
        }
        let stats = row.stats();
        let near = |was: Duration, ms: u64| {
            let ms = Duration::from_millis(ms);
            was >= ms * 9 / 10 && was <= ms * 11 / 10
        };
        let connect = stats.phase(CallPhase::Connect).expect("happened");
        assert!(near(connect.p50, 2) && near(connect.max, 2), "{connect:?}");
        let waits = stats.phase(CallPhase::WaitHeaders).expect("happened");
        assert_eq!(waits.count, 100);
        assert!(near(waits.p50, 50) && near(waits.p99, 99), "{waits:?}");
        assert_eq!(stats.failures, [(Failure::Reset, 2)]);
        let (_, failure, phase) = stats.last_error.expect("the last one failed");
        assert_eq!(
            (failure, phase),
            (Failure::Reset, Some(CallPhase::WaitHeaders))
        );
        assert!(stats.last_success.is_some() && stats.phase(CallPhase::Dns).is_none());
    }

    #[test]
    fn open_calls_are_bounded_and_all_are_counted() {
        let table = Table::new(2);
        let row = table.row("db1", Some(5432));
        let calls: Vec<_> = (0..1000).map(|_| call(&row, 0)).collect();
        assert_eq!((row.open().len(), row.stats().in_flight), (256, 1000));
        for call in &calls {
            call.end(Some(Failure::Dropped), 1);
            row.end(call, Some(Failure::Dropped), 1);
        }
        assert_eq!((row.open().len(), row.stats().in_flight), (0, 0));
        assert_eq!(row.stats().failed(), 1000);
    }
}
