//! Connections whose calls nobody tells: the clients that made them are watched while they connect, and
//! not afterwards. What a request waits for may be one of them.

use super::Row;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

/// Other ends that are known; beyond that the oldest are forgotten.
const MOST: usize = 256;

static KNOWN: Mutex<VecDeque<(SocketAddr, Arc<Row>)>> = Mutex::new(VecDeque::new());

/// A connection to `remote` was made for whoever will use it, by the name of `row`.
pub(crate) fn note(remote: SocketAddr, row: &Arc<Row>) {
    let mut known = KNOWN.lock();
    if let Some(at) = known.iter().position(|(known, _)| *known == remote) {
        known.remove(at);
    } else if known.len() == MOST {
        known.pop_front();
    }
    known.push_back((remote, row.clone()));
}

/// The other ends, and the hosts that they were last asked for as.
pub(crate) fn known() -> Vec<(SocketAddr, Arc<Row>)> {
    KNOWN.lock().iter().cloned().collect()
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_known_by_their_last_name() {
        let row = |name: &str| Arc::new(Row::new(name, None));
        let remote = |n: u16| SocketAddr::from(([192, 0, 2, 1], n));
        for n in 1..=1000 {
            note(remote(n), &row("first"));
        }
        note(remote(900), &row("second"));
        let known = known();
        assert_eq!(known.len(), MOST);
        assert!(
            known
                .iter()
                .all(|(remote, _)| remote.port() > 1000 - MOST as u16)
        );
        let (_, name) = known.iter().find(|(r, _)| r.port() == 900).expect("known");
        assert_eq!(&*name.host, "second");
    }
}
