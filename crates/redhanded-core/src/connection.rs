//! ① Connections that a listener of ours has accepted: who is at the other end, whether it is gone,
//! and which requests came from there.
//!
//! A server calls its service in the same poll of the same task in which it reads the connection.
//! So the connection that this thread polled last, if this task polled it, is the one that a request
//! comes from; nothing is handed through the server, and a request that comes another way belongs to
//! none.
//!
//! Records are pooled and never freed: there are as many as connections were open at once, and a few
//! more, because a record rests for a while before it is used again. Who asks late, such as a stream
//! of HTTP/2 whose task ends after its connection's, still gets the right answer.

use crate::engine::Engine;
use crate::registry::{Key, Slot};
use parking_lot::Mutex;
use std::cell::Cell;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Closed records that rest before the oldest of them is used again.
const RESTING: usize = 256;

/// The connection is open.
const OPEN: u64 = 1;
/// Its socket said that the client is gone.
const GONE: u64 = 2;
/// What is awaited of it is a TLS handshake.
const HANDSHAKE: u64 = 4;
/// Below the generation.
const FLAGS: u32 = 32;

/// Set with the first connection: without any, nobody looks at the rest.
static ANY: AtomicBool = AtomicBool::new(false);

static POOL: Mutex<Pool> = Mutex::new(Pool {
    all: Vec::new(),
    free: VecDeque::new(),
});

thread_local! {
    // const and without Drop: runtimes shut down in any order, and this may be read until the end
    static LAST: Cell<Option<Last>> = const { Cell::new(None) };
}

/// The connection that this thread polled last.
#[derive(Clone, Copy)]
struct Last {
    record: &'static Record,
    generation: u32,
    task: tokio::task::Id,
}

struct Pool {
    all: Vec<&'static Record>,
    free: VecDeque<&'static Record>,
}

/// What is known of one connection, in atomics.
#[derive(Debug)]
struct Record {
    index: u32,
    /// Generation, then flags.
    state: AtomicU64,
    /// The client's address: IP as IPv6, then the port with a mark; all zero when it is not known.
    address: [AtomicU64; 3],
    /// The request that came last: key and generation of its slot.
    request: [AtomicU64; 2],
    /// Bytes of a request that has not come whole.
    received: AtomicU64,
}

/// The port's word is marked, so that an address that is not known is told from all others.
const KNOWN: u64 = 1 << 16;

impl Record {
    fn new(index: u32) -> Self {
        Self {
            index,
            state: AtomicU64::new(0),
            address: [const { AtomicU64::new(0) }; 3],
            request: [const { AtomicU64::new(0) }; 2],
            received: AtomicU64::new(0),
        }
    }

    /// The flags, while it is the connection of that generation.
    fn flags(&self, generation: u32) -> Option<u64> {
        let state = self.state.load(Ordering::Acquire);
        (state >> FLAGS == u64::from(generation)).then_some(state & !(u64::MAX << FLAGS))
    }

    fn set_address(&self, address: Option<SocketAddr>) {
        let mut words = [0; 3];
        if let Some(address) = address {
            let ip = match address.ip() {
                IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                IpAddr::V6(v6) => v6,
            };
            let bits = ip.to_bits();
            words = [
                (bits >> 64) as u64,
                bits as u64,
                u64::from(address.port()) | KNOWN,
            ];
        }
        for (word, at) in words.into_iter().zip(&self.address) {
            at.store(word, Ordering::Relaxed);
        }
    }

    fn address(&self) -> Option<SocketAddr> {
        let [high, low, port] = self
            .address
            .each_ref()
            .map(|word| word.load(Ordering::Relaxed));
        let ip = Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).to_canonical();
        (port & KNOWN != 0).then(|| SocketAddr::new(ip, port as u16))
    }

    fn note(&self, slot: &Slot) {
        let words = [slot.key.word(), u64::from(slot.hand.generation())];
        for (word, at) in words.into_iter().zip(&self.request) {
            at.store(word, Ordering::Relaxed);
        }
    }
}

/// A connection in one word: its record and generation. Zero is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(u64);

impl Word {
    fn new(record: &Record, generation: u32) -> Self {
        Self((u64::from(generation) << 32) | (u64::from(record.index) + 1))
    }

    pub(crate) fn from_word(word: u64) -> Option<Self> {
        (word as u32 != 0).then_some(Self(word))
    }

    pub(crate) fn word(self) -> u64 {
        self.0
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Its record; takes the pool's lock, so it is not for the hot path.
    fn record(self) -> Option<&'static Record> {
        let index = (self.0 as u32).checked_sub(1)?;
        POOL.lock().all.get(index as usize).copied()
    }

    fn flags(self) -> Option<u64> {
        self.record()?.flags(self.generation())
    }

    /// Its socket said that the client is gone; known for a while after it was closed.
    pub(crate) fn is_gone(self) -> bool {
        self.flags().is_some_and(|flags| flags & GONE != 0)
    }

    /// Bytes that came of a request that is not whole yet, and whether they are a TLS handshake's.
    pub(crate) fn received(self) -> Option<(u64, bool)> {
        let record = self.record()?;
        let bytes = record.received.load(Ordering::Relaxed);
        let flags = record.flags(self.generation())?;
        Some((bytes, flags & HANDSHAKE != 0))
    }
}

/// One accepted connection, as long as it is open.
///
/// Made by listeners; tells requests which connection they came on, see [`polled`](Self::polled).
#[derive(Debug)]
pub struct Connection {
    record: &'static Record,
    generation: u32,
}

impl Connection {
    /// A connection that was accepted from `client`, where that is known.
    pub fn new(client: Option<SocketAddr>) -> Self {
        ANY.store(true, Ordering::Relaxed);
        let record = take();
        let generation = (record.state.load(Ordering::Relaxed) >> FLAGS) as u32;
        let generation = generation.wrapping_add(1);
        record
            .state
            .store(u64::from(generation) << FLAGS | OPEN, Ordering::Release);
        record.set_address(client);
        record.received.store(0, Ordering::Relaxed);
        for word in &record.request {
            word.store(0, Ordering::Relaxed);
        }
        Self { record, generation }
    }

    /// Whose it is, for requests that cannot find out by themselves.
    pub fn client(&self) -> Client {
        Client {
            word: self.word(),
            address: self.record.address(),
        }
    }

    pub(crate) fn word(&self) -> Word {
        Word::new(self.record, self.generation)
    }

    /// It is being read or written now, in the task that runs on this thread: requests that this
    /// poll of this task opens come from here. To be said at every poll.
    #[inline]
    pub fn polled(&self) {
        // Without a task nobody can tell whose poll this is.
        let last = tokio::task::try_id().map(|task| Last {
            record: self.record,
            generation: self.generation,
            task,
        });
        let _ = LAST.try_with(|cell| cell.set(last));
    }

    /// Its socket says that the client is gone: the end of what it sends, or a reset.
    #[cold]
    pub fn gone(&self) {
        self.record.state.fetch_or(GONE, Ordering::Release);
    }

    /// Whether the request that came last is still in flight: what is read now may be its body.
    pub fn has_request(&self) -> bool {
        let [key, generation] = self
            .record
            .request
            .each_ref()
            .map(|word| word.load(Ordering::Relaxed));
        let slot = Key::from_word(key).and_then(|key| Engine::of(key)?.registry.slot(key));
        slot.is_some_and(|slot| {
            slot.hand.looks_live() && u64::from(slot.hand.generation()) == generation
        })
    }

    /// `bytes` have come, since it began, of what is to become a request.
    #[inline]
    pub fn received(&self, bytes: u64) {
        self.record.received.store(bytes, Ordering::Relaxed);
    }

    /// What comes is a TLS handshake, or no longer one.
    pub fn set_handshake(&self, yes: bool) {
        if yes {
            self.record.state.fetch_or(HANDSHAKE, Ordering::Relaxed);
        } else {
            self.record.state.fetch_and(!HANDSHAKE, Ordering::Relaxed);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.record.state.fetch_and(!OPEN, Ordering::Release);
        POOL.lock().free.push_back(self.record);
    }
}

/// The record that has rested longest, or a new one while few do.
fn take() -> &'static Record {
    let mut pool = POOL.lock();
    if pool.free.len() > RESTING
        && let Some(record) = pool.free.pop_front()
    {
        return record;
    }
    let index = u32::try_from(pool.all.len()).unwrap_or(u32::MAX);
    let record: &'static Record = Box::leak(Box::new(Record::new(index)));
    pool.all.push(record);
    record
}

/// Who is at the other end of a connection that a listener of ours has accepted, and which
/// connection that is.
///
/// Not needed where the server calls its service in the connection's own task, as hyper does with
/// HTTP/1. A stream of HTTP/2 that has a task of its own gets it as an extension of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    word: Word,
    address: Option<SocketAddr>,
}

impl Client {
    /// The client's address; none for a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    pub(crate) fn word(self) -> Word {
        self.word
    }
}

/// Whether there was ever a connection of ours. One load: what the requests of a process without a
/// listener pay.
#[inline]
pub fn any() -> bool {
    ANY.load(Ordering::Relaxed)
}

/// The connection that a request comes from which this thread opens now, if it is one of ours.
/// With `slot`, the connection notes that this is its last request.
pub(crate) fn here(slot: Option<&Slot>) -> Option<Client> {
    let last = LAST.try_with(Cell::get).ok().flatten()?;
    let open = last.record.flags(last.generation)? & OPEN != 0;
    if !open || tokio::task::try_id() != Some(last.task) {
        return None;
    }
    if let Some(slot) = slot {
        last.record.note(slot);
    }
    Some(Client {
        word: Word::new(last.record, last.generation),
        address: last.record.address(),
    })
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back() {
        for text in ["127.0.0.1:80", "[2001:db8::1]:65535", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().unwrap();
            let connection = Connection::new(Some(address));
            assert_eq!(connection.client().address(), Some(address));
        }
        assert_eq!(Connection::new(None).client().address(), None);
    }

    #[test]
    fn who_asks_after_the_end_still_hears_that_the_client_is_gone() {
        let connection = Connection::new(None);
        let word = connection.word();
        assert!(!word.is_gone());
        connection.gone();
        drop(connection);
        assert!(word.is_gone());
    }

    #[test]
    fn a_record_that_is_used_again_is_another_connection() {
        let first = Connection::new(None);
        let word = first.word();
        first.gone();
        drop(first);
        let begun = POOL.lock().all.len();
        let again = (0..RESTING * 4)
            .map(|_| Connection::new(None))
            .find(|c| std::ptr::eq(c.record, word.record().unwrap()));
        assert!(again.is_some(), "records are used again");
        assert!(!word.is_gone(), "it says nothing of its predecessor");
        assert!(POOL.lock().all.len() <= begun + RESTING * 2);
    }

    #[tokio::test]
    async fn a_request_belongs_to_the_connection_that_its_own_task_polled_last() {
        let address = "192.0.2.7:99".parse().unwrap();
        let told = tokio::spawn(async move {
            let connection = Connection::new(Some(address));
            let before = here(None);
            connection.polled();
            let during = here(None).and_then(|c| c.address());
            let other = tokio::spawn(async { here(None) }).await.unwrap();
            connection.polled();
            drop(connection);
            (before, during, other, here(None))
        });
        let (before, during, other, after) = told.await.unwrap();
        assert_eq!((before, during), (None, Some(address)));
        assert_eq!((other, after), (None, None));
    }
}
